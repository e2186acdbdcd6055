//! The errors of one expansion, collected so that all of them are reported at once.

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Collects errors. Whoever makes one ends with [`finish`](Self::finish).
#[derive(Default)]
pub(crate) struct Ctxt {
    errors: Option<syn::Error>,
}

impl Ctxt {
    /// Adds an error that stands under all of `tokens`.
    pub(crate) fn refuse(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error that has its place already.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            none => *none = Some(error),
        }
    }

    /// How many errors there are, to see whether a step added one.
    pub(crate) fn count(&self) -> usize {
        self.errors.iter().flatten().count()
    }

    /// All errors as `compile_error!` invocations, if there are any.
    pub(crate) fn finish(self) -> Result<(), TokenStream> {
        match self.errors {
            None => Ok(()),
            Some(errors) => Err(errors.to_compile_error()),
        }
    }
}

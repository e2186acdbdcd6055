//! `#[derive(ShmLayout)]`.
#![warn(missing_docs, unreachable_pub)]

mod ast;
mod attr;
mod check;
mod ctxt;
mod expand;
mod fallback;
mod repr;
mod view;

use proc_macro2::TokenStream;
use syn::DeriveInput;

/// The derive.
#[proc_macro_derive(ShmLayout, attributes(shm))]
pub fn derive_shm_layout(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into()).into()
}

fn derive(input: TokenStream) -> TokenStream {
    let input: DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.to_compile_error(),
    };
    let mut cx = ctxt::Ctxt::default();
    let mut record = ast::Record::parse(&mut cx, &input);
    check::check(&mut cx, &mut record);
    match cx.finish() {
        Ok(()) => expand::emit(&record),
        Err(mut errors) => {
            errors.extend(fallback::emit(&record));
            errors
        }
    }
}

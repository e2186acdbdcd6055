//! An attribute that changes a type after a derive above it has read it.

use proc_macro::{Group, Ident, TokenStream, TokenTree};

/// `#[replace(a b)]` writes `b` for every `a` in the item.
#[proc_macro_attribute]
pub fn replace(names: TokenStream, item: TokenStream) -> TokenStream {
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let [from, to] = names.as_slice() else { panic!("two names") };
    replaced(item, from, to)
}

fn replaced(tokens: TokenStream, from: &str, to: &str) -> TokenStream {
    let replace = |token| match token {
        TokenTree::Ident(ident) if ident.to_string() == from => TokenTree::Ident(Ident::new(to, ident.span())),
        TokenTree::Group(group) => {
            let mut changed = Group::new(group.delimiter(), replaced(group.stream(), from, to));
            changed.set_span(group.span());
            TokenTree::Group(changed)
        }
        other => other,
    };
    tokens.into_iter().map(replace).collect()
}

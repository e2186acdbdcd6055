//! Paths of the crate as a table, and frozen expansions.
//!
//! An expansion differs from its file: read the difference, then renew the files with `SHM_BLESS=1 cargo test`.

use crate::attr::absolute;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use std::fmt::Write;
use std::path::Path;
use syn::parse::Parser;

#[test]
fn a_crate_path_is_made_absolute_or_refused() {
    let valid = [
        ("shmtypes", ":: shmtypes"),
        ("::shmtypes", ":: shmtypes"),
        ("framework::shm", ":: framework :: shm"),
        ("::framework::shm", ":: framework :: shm"),
        ("r#try", ":: r#try"),
        ("crate", "crate"),
        ("crate::shm", "crate :: shm"),
        ("self", "self"),
        ("self::shm", "self :: shm"),
        ("super", "super"),
        ("super::super::shm", "super :: super :: shm"),
        ("self::super::shm", "self :: super :: shm"),
    ];
    for (path, expected) in valid {
        let parsed = syn::Path::parse_mod_style.parse_str(path).ok().and_then(absolute);
        assert_eq!(parsed.map(|path| path.to_token_stream().to_string()).as_deref(), Some(expected), "{path}");
    }
    let invalid = [
        "",
        "::",
        "shm::",
        "::crate",
        "::self",
        "::super",
        "shm::crate",
        "shm::self",
        "shm::super",
        "crate::super",
        "crate::self",
        "super::self",
        "super::shm::super",
        "Self",
        "shm::Self",
        "shm<u8>",
        "shm::<u8>",
        "shm types",
        "$crate",
        "1",
    ];
    for path in invalid {
        let parsed = syn::Path::parse_mod_style.parse_str(path).ok().and_then(absolute);
        assert!(parsed.is_none(), "{path}");
    }
}

#[test]
fn a_struct_expands_as_frozen() {
    assert_frozen(
        "struct",
        quote! {
            /// Documentation of the type stays with the type.
            #[repr(C)]
            #[shm(version = 2, bytemuck)]
            pub struct Tick {
                /// In cents.
                pub price: f64,
                #[shm(rename = "kind")]
                r#type: [u8; Self::LENGTH],
                #[shm(bytemuck = "Colour")]
                pub(crate) colour: graphics::Colour,
            }
        },
    );
}

#[test]
fn a_generic_tuple_struct_expands_as_frozen() {
    assert_frozen(
        "generic",
        quote! {
            #[repr(C)]
            #[shm(crate = "crate::shm", view = "Place")]
            struct Pair<A: Copy, const N: usize = 4>(pub A, [u8; N]) where A: Default;
        },
    );
}

#[test]
fn an_enum_expands_as_frozen() {
    assert_frozen(
        "enum",
        quote! {
            #[repr(i16)]
            enum Side {
                Buy = -1,
                #[shm(rename = "sell")]
                Sell = 1 << 3,
            }
        },
    );
}

#[test]
fn a_refused_type_expands_to_its_errors_and_a_fallback() {
    assert_frozen(
        "refused",
        quote! {
            struct Tick {
                price: f64,
                name: String,
            }
        },
    );
}

#[test]
fn no_input_makes_the_derive_panic() {
    let inputs = [
        quote!(
            struct A;
        ),
        quote!(#[repr(C)] union A { a: u8 }),
        quote!(
            #[repr]
            struct A(u8);
        ),
        quote!(
            #[repr(C)]
            #[shm]
            struct A(u8);
        ),
        quote!(
            #[repr(C)]
            #[shm(=)]
            struct A(u8);
        ),
        quote!(
            #[repr(C)]
            #[shm(a::b = 1, crate(x), version, bytemuck(1))]
            struct A(u8);
        ),
        quote!(
            enum A {}
        ),
        quote!(
            #[repr(u8)]
            enum A {
                B { c: u8 },
                D(u8),
                E,
            }
        ),
        quote!(#[repr(C)] struct A<'a, T: ?Sized, const N: usize>(&'a T, [u8; N], fn(), dyn B, (), !, (u8,))),
        quote!(
            #[repr(C)]
            struct A(<T as B>::C, m!(), Vec, Vec, Box<'a>, Fn(u8) -> usize);
        ),
        quote!(
            trait A {}
        ),
    ];
    for input in inputs {
        assert!(crate::derive(input.clone()).to_string().contains("compile_error"), "{input}");
    }
}

#[track_caller]
fn assert_frozen(name: &str, input: TokenStream) {
    let expanded = pretty(crate::derive(input));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/tests/{name}.expanded"));
    if std::env::var_os("SHM_BLESS").is_some() {
        std::fs::write(&file, &expanded).expect("the sources are writable");
    }
    let frozen = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = frozen.lines().zip(expanded.lines()).find(|(frozen, expanded)| frozen != expanded);
    assert!(frozen == expanded, "{} differs, first at {differs:#?}", file.display());
}

/// One line per statement or item, with no care for width.
fn pretty(tokens: TokenStream) -> String {
    let mut text = String::new();
    write_block(&mut text, tokens, 0);
    text
}

fn write_block(text: &mut String, tokens: TokenStream, depth: usize) {
    let indent = "    ".repeat(depth);
    let mut line = TokenStream::new();
    let flush = |text: &mut String, line: &mut TokenStream| {
        if !line.is_empty() {
            let _ = writeln!(text, "{indent}{}", std::mem::take(line));
        }
    };
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !group.stream().is_empty() => {
                let _ = writeln!(text, "{indent}{} {{", std::mem::take(&mut line));
                write_block(text, group.stream(), depth + 1);
                let _ = writeln!(text, "{indent}}}");
            }
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                line.extend([TokenTree::Group(group)]);
                flush(text, &mut line);
            }
            TokenTree::Punct(punct) if punct.as_char() == ';' => {
                line.extend([TokenTree::Punct(punct)]);
                flush(text, &mut line);
            }
            token => line.extend([token]),
        }
    }
    flush(text, &mut line);
}

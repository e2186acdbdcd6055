//! What a type gets when it was refused: enough for its uses to compile, so that one mistake is one error.
//!
//! A type with a lifetime or without a size gets nothing: the trait itself asks for `Sized + 'static`, and would say so
//! again.

use crate::ast::{Record, Shape};
use crate::expand::{Paths, implement, itself, layout_bounds, wrap};
use crate::view;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

pub(crate) fn emit(record: &Record<'_>) -> TokenStream {
    if record.has_lifetime() || record.is_unsized() || !record.krate_is_right {
        return TokenStream::new();
    }
    let paths = Paths::of(record);
    let Paths { krate, private, core } = &paths;
    let itself = itself(record);
    let view_name = &record.view;
    let arguments = view::arguments(record);
    let (item, projections, view, fields) = match &record.shape {
        Shape::Struct(fields) => {
            (view::item(record), view::impls(record, fields), quote!(#view_name<#arguments>), fields.as_slice())
        }
        Shape::Enum(..) | Shape::Refused => {
            (quote!(), quote!(), quote!(#krate::ShmRef<'__shm, Self, __ShmMode>), [].as_slice())
        }
    };
    let bounds = layout_bounds(record, fields);
    let mut copy = bounds.clone();
    copy.push(parse_quote!(for<'__shm_t> Self: #private::CopyIn<'__shm_t>));

    let layout = implement(
        record,
        &quote!(#krate::ShmLayout),
        &bounds,
        &quote! {
            const SCHEMA: #krate::Schema = #krate::Schema::of::<#itself>(#private::Kind::Opaque { name: "" });
            type View<'__shm, __ShmMode: #krate::AccessMode> = #view;
        },
    );
    let value = implement(
        record,
        &quote!(#krate::ShmValue),
        &copy,
        &quote! {
            type Lane = #private::Bounce;
            fn find_invalid(_: &#private::Candidate<Self>) -> #core::option::Option<#krate::InvalidBits> {
                #core::option::Option::None
            }
        },
    );
    let zero = implement(record, &quote!(#krate::ShmZero), &bounds, &quote!());
    let pod = implement(record, &quote!(#krate::ShmPod), &copy, &quote!());
    wrap(&item, &quote!(#layout #value #zero #pod #projections))
}

//! What the expansion works on: the parts of a type that can be emitted, borrowed from syn's tree.

use crate::attr::{FieldAttrs, Given, TypeAttrs, VariantAttrs};
use crate::ctxt::Ctxt;
use crate::repr::{self, Integer};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, GenericParam, Generics, LitStr, Member, Path, Type, Visibility};

/// A type with `#[derive(ShmLayout)]`.
pub(crate) struct Record<'a> {
    /// The path of the crate `shmtypes`.
    pub(crate) krate: Path,
    /// Whether `krate` can be relied on.
    pub(crate) krate_is_right: bool,
    pub(crate) vis: &'a Visibility,
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    /// The name in the schema.
    pub(crate) name: String,
    pub(crate) version: u32,
    /// The name of the view struct.
    pub(crate) view: Ident,
    /// Where that name was given, if it was.
    pub(crate) view_given: Option<Span>,
    /// The place of `bytemuck` in the type's attributes.
    pub(crate) bytemuck: Option<Span>,
    pub(crate) shape: Shape<'a>,
}

pub(crate) enum Shape<'a> {
    Struct(Vec<Field<'a>>),
    Enum(Integer, Vec<Variant<'a>>),
    /// Not to be emitted; the error is reported.
    Refused,
}

pub(crate) struct Field<'a> {
    pub(crate) member: Member,
    pub(crate) vis: &'a Visibility,
    /// The attributes that go to the projection: documentation and deprecation.
    pub(crate) carried: Vec<&'a Attribute>,
    pub(crate) documented: bool,
    /// The type as written.
    pub(crate) ty: &'a Type,
    /// The type with `Self` spelled out, so that it means the same in the view's methods.
    pub(crate) spelled: TokenStream,
    /// The name in the schema.
    pub(crate) name: String,
    pub(crate) rename: Option<LitStr>,
    /// The name of a foreign `Pod` type.
    pub(crate) foreign: Option<LitStr>,
    /// Whether an error about its type was reported.
    pub(crate) refused: bool,
}

pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    /// The name in the schema.
    pub(crate) name: String,
    pub(crate) rename: Option<LitStr>,
}

impl<'a> Record<'a> {
    pub(crate) fn parse(cx: &mut Ctxt, input: &'a DeriveInput) -> Self {
        let attrs = TypeAttrs::parse(cx, &input.attrs);
        let ident = &input.ident;
        let shape = match &input.data {
            Data::Struct(data) => {
                repr::of_struct(cx, ident, &input.attrs);
                Shape::Struct(fields(cx, input, &data.fields))
            }
            Data::Enum(data) => {
                if data.variants.is_empty() {
                    cx.refuse(ident, "an enum without variants has no values; give it one");
                    Shape::Refused
                } else {
                    let integer = repr::of_enum(cx, ident, &input.attrs);
                    let variants = variants(cx, &data.variants);
                    integer.map_or(Shape::Refused, |integer| Shape::Enum(integer, variants))
                }
            }
            Data::Union(data) => {
                let message = "a union does not say which of its fields is valid; use a struct, or `[u8; N]` for its \
                               bytes";
                cx.push(syn::Error::new(data.union_token.span, message));
                Shape::Refused
            }
        };
        Self {
            krate_is_right: !matches!(attrs.krate, Given::Wrong),
            krate: match attrs.krate {
                Given::Yes(path) => path,
                Given::No | Given::Wrong => syn::parse_quote!(::shmtypes),
            },
            vis: &input.vis,
            ident,
            generics: &input.generics,
            name: schema_name(attrs.rename.as_ref(), ident),
            version: attrs.version,
            view_given: attrs.view.as_ref().map(Ident::span),
            view: attrs.view.unwrap_or_else(|| format_ident!("{}View", ident.unraw(), span = ident.span())),
            bytemuck: attrs.bytemuck,
            shape,
        }
    }

    /// Whether the layout depends on parameters, so that it can be judged only where the type is used.
    pub(crate) fn is_generic(&self) -> bool {
        !self.generics.params.is_empty()
    }

    pub(crate) fn has_lifetime(&self) -> bool {
        self.generics.lifetimes().next().is_some()
    }

    /// Whether a field has no size, which no impl on the type would survive.
    pub(crate) fn is_unsized(&self) -> bool {
        let Shape::Struct(fields) = &self.shape else { return false };
        let without_size = |ty: &Type| match ty {
            Type::Slice(_) | Type::TraitObject(_) => true,
            Type::Path(path) => path.path.is_ident("str"),
            _ => false,
        };
        fields.iter().any(|field| without_size(field.ty))
    }

    /// Whether `tokens` name a type parameter.
    pub(crate) fn mentions_parameter(&self, tokens: &TokenStream) -> bool {
        tokens.clone().into_iter().any(|token| match token {
            TokenTree::Ident(ident) => self.generics.type_params().any(|parameter| parameter.ident == ident),
            TokenTree::Group(group) => self.mentions_parameter(&group.stream()),
            _ => false,
        })
    }
}

fn schema_name(rename: Option<&LitStr>, ident: &Ident) -> String {
    rename.map_or_else(|| ident.unraw().to_string(), LitStr::value)
}

fn fields<'a>(cx: &mut Ctxt, input: &'a DeriveInput, fields: &'a Fields) -> Vec<Field<'a>> {
    let itself = itself(input);
    let named = |(field, member): (&'a syn::Field, Member)| {
        let attrs = FieldAttrs::parse(cx, &field.attrs);
        let carries =
            |attribute: &&Attribute| attribute.path().is_ident("doc") || attribute.path().is_ident("deprecated");
        let name = match &member {
            Member::Named(ident) => schema_name(attrs.rename.as_ref(), ident),
            Member::Unnamed(index) => attrs.rename.as_ref().map_or_else(|| index.index.to_string(), LitStr::value),
        };
        Field {
            member,
            vis: &field.vis,
            carried: field.attrs.iter().filter(carries).collect(),
            documented: field.attrs.iter().any(|attribute| attribute.path().is_ident("doc")),
            ty: &field.ty,
            spelled: spell_out_self(field.ty.to_token_stream(), &itself),
            name,
            rename: attrs.rename,
            foreign: attrs.bytemuck,
            refused: false,
        }
    };
    fields.iter().zip(fields.members()).map(named).collect()
}

/// The first and the last token of a type: from the one to the other the compiler underlines.
pub(crate) fn ends(ty: &Type) -> (Span, Span) {
    let mut spans = ty.to_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

impl Field<'_> {
    /// From where to where an error about the field's place stands: its name, or its type if it has none.
    pub(crate) fn ends(&self) -> (Span, Span) {
        match &self.member {
            Member::Named(ident) => (ident.span(), ident.span()),
            Member::Unnamed(_) => ends(self.ty),
        }
    }

    /// The name of the projection.
    pub(crate) fn method(&self) -> Ident {
        match &self.member {
            Member::Named(ident) => ident.clone(),
            Member::Unnamed(index) => format_ident!("_{}", index.index, span = self.ty.span()),
        }
    }
}

fn variants<'a>(cx: &mut Ctxt, variants: impl IntoIterator<Item = &'a syn::Variant>) -> Vec<Variant<'a>> {
    let plain = |variant: &'a syn::Variant| {
        let attrs = VariantAttrs::parse(cx, &variant.attrs);
        match &variant.fields {
            Fields::Unit => {}
            data => cx.refuse(
                data,
                "an enum with data has no fixed layout in a segment; use a struct with a fieldless enum and the data \
                 of each variant as fields",
            ),
        }
        Variant {
            ident: &variant.ident,
            name: schema_name(attrs.rename.as_ref(), &variant.ident),
            rename: attrs.rename,
        }
    };
    variants.into_iter().map(plain).collect()
}

/// The type itself, in a form that is right both as a type and before `::` in an expression.
fn itself(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    if input.generics.params.is_empty() {
        return quote!(#ident);
    }
    let arguments = input.generics.params.iter().map(|parameter| match parameter {
        GenericParam::Type(parameter) => parameter.ident.to_token_stream(),
        GenericParam::Const(parameter) => parameter.ident.to_token_stream(),
        GenericParam::Lifetime(parameter) => parameter.lifetime.to_token_stream(),
    });
    quote!(#ident::<#(#arguments),*>)
}

fn spell_out_self(tokens: TokenStream, itself: &TokenStream) -> TokenStream {
    let spell = |token| match token {
        TokenTree::Ident(ident) if ident == "Self" => itself.clone(),
        TokenTree::Group(group) => {
            let mut spelled = proc_macro2::Group::new(group.delimiter(), spell_out_self(group.stream(), itself));
            spelled.set_span(group.span());
            TokenTree::Group(spelled).into()
        }
        other => other.into(),
    };
    tokens.into_iter().flat_map(|token| -> TokenStream { spell(token) }).collect()
}

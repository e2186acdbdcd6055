//! Names from a segment, made fit to be shown.
//!
//! A name may be any text, also one that moves the cursor of a terminal or turns the direction of writing. Everything
//! written here, the canonical JSON too, spells such characters out.

/// Whether a character may stand for itself: no control character, no line separator, none that changes the direction
/// of writing. All others lie in Unicode's first plane, so that four hexadecimal digits can spell them.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with what is not plain written as `\u202e`, and cut after 64 characters: for messages.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 64;
    let mut shown = String::new();
    for (index, c) in text.chars().enumerate() {
        if index == LONGEST {
            shown.push('…');
            break;
        }
        if is_plain(c) { shown.push(c) } else { shown.push_str(&format!("\\u{:04x}", c as u32)) }
    }
    shown
}

/// An ASCII identifier made from a text, and none of the words that the language keeps for itself.
pub(super) fn identifier(text: &str, reserved: &[&str]) -> String {
    let mut identifier: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !identifier.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        identifier.insert(0, 'x');
    }
    if identifier.starts_with(|c: char| c.is_ascii_digit()) {
        identifier.insert(0, '_');
    }
    if reserved.contains(&identifier.as_str()) {
        identifier.push('_');
    }
    identifier
}

/// Python's keywords (its Language Reference, 2.3.1), and the one name that the source uses.
#[rustfmt::skip]
pub(super) const PYTHON: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield", "np",
];

/// Rust's keywords (the Reference, "Keywords"), and the one type that the source uses without a path.
#[rustfmt::skip]
pub(super) const RUST: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern", "false", "fn",
    "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return", "self", "Self",
    "static", "struct", "super", "trait", "true", "type", "unsafe", "use", "where", "while", "abstract", "become",
    "box", "do", "final", "gen", "macro", "override", "priv", "try", "typeof", "unsized", "virtual", "yield",
    "Option",
];

/// The keywords of C11 (6.4.1) and, since headers are shared, of C++; names that the source or a compiler defines.
#[rustfmt::skip]
pub(super) const C: &[&str] = &[
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
    "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
    "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
    "_Alignas", "_Alignof", "_Atomic", "_Bool", "_Complex", "_Generic", "_Imaginary", "_Noreturn", "_Static_assert",
    "_Thread_local",
    "alignas", "alignof", "and", "and_eq", "asm", "bitand", "bitor", "bool", "catch", "class", "compl", "concept",
    "constexpr", "const_cast", "decltype", "delete", "dynamic_cast", "explicit", "export", "false", "friend",
    "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq", "private",
    "protected", "public", "reinterpret_cast", "requires", "static_assert", "static_cast", "template", "this",
    "thread_local", "throw", "true", "try", "typeid", "typename", "typeof", "using", "virtual", "wchar_t", "xor",
    "xor_eq",
    "NULL", "linux", "offsetof", "unix",
];

//! A type of a path that means another type in another crate, as `$crate::words::Word` does.

/// Here any byte is no `Word`.
pub type Word = bool;

/// Derives for a struct of `$field` and this crate's [`Word`].
#[macro_export]
macro_rules! beside_a_word {
    ($name:ident { $($field:tt)* }) => {
        #[derive(::shmtypes::ShmLayout, Clone, Copy)]
        #[repr(C)]
        struct $name {
            theirs: $($field)*,
            ours: $crate::words::Word,
        }
    };
}

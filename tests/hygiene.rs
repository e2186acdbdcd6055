//! The derive without a prelude.

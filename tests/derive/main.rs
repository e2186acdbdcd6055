//! The derive, used.

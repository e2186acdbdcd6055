//! What the derive refuses.
fn main() {}

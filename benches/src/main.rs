//! Measures the library against its peers, and prints a table.

fn main() {}

//! The examples stand beside this file, one per file: `cargo run --release --example quickstart`.

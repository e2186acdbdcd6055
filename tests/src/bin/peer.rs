//! The other process of the integration tests: does what its arguments say and reports by lines.

use shmtypes::ShmArray;
use std::io::stdin;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", name] => hold(name),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Attaches to an array of `u64` and stays attached until its input closes.
fn hold(name: &str) {
    let array = ShmArray::<u64>::open(name).expect("attach");
    println!("attached {}", array.len());
    wait_for_end_of_input();
    println!("{:?}", array.close().expect("close"));
}

fn wait_for_end_of_input() {
    let mut line = String::new();
    while stdin().read_line(&mut line).expect("read input") > 0 {}
}

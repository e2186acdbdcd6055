//! The other process of the integration tests: does what its arguments say and reports by lines.

use shmtypes::{ArrayOptions, ShmArray};
use std::io::stdin;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", name] => hold(&ShmArray::options().name(*name)),
        ["hold-in", directory, name] => hold(&ShmArray::options().dir(*directory).name(*name)),
        // Until it is killed.
        ["open-wrongly", name] => {
            println!("ready");
            loop {
                assert!(ShmArray::<f32>::open(name).is_err());
            }
        }
        ["try-open", name] => match ShmArray::<u64>::open(name) {
            Ok(array) => println!("attached {}", array.len()),
            Err(error) => println!("{error}"),
        },
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Attaches to an array of `u64` and stays attached until its input closes.
fn hold(options: &ArrayOptions<u64>) {
    let array = options.open().expect("attach");
    println!("attached {}", array.len());
    wait_for_end_of_input();
    println!("{:?}", array.close().expect("close"));
}

fn wait_for_end_of_input() {
    let mut line = String::new();
    while stdin().read_line(&mut line).expect("read input") > 0 {}
}

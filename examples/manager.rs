//! The example of Python's documentation of `SharedMemoryManager`: a manager, a list of 2,000 numbers, two worker
//! processes that fill halves of it, the sum, and nothing left afterwards.

use shmtypes::compat::{ShareableList, Value};
use shmtypes::manager::{self, Address, SharedMemoryManager};
use std::process::Command;

const NUMBERS: usize = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // First: the manager is this program, started again.
    manager::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, start, end] = &arguments[..] {
        return fill(name, start.parse()?, end.parse()?);
    }

    let manager = SharedMemoryManager::start()?;
    println!("the manager is process {}, reached at {}", manager.process_id().unwrap_or_default(), manager.address());
    let list = manager.shareable_list(&vec![0; NUMBERS])?;
    let name = list.name().to_owned();
    println!("it owns {:?}", manager.segments()?);

    let half = NUMBERS / 2;
    let workers = [(0, half), (half, NUMBERS)].map(|(start, end)| {
        let program = std::env::current_exe()?;
        Command::new(program).args([&name, &start.to_string(), &end.to_string()]).spawn()
    });
    for worker in workers {
        let status = worker?.wait()?;
        assert!(status.success(), "a worker failed: {status}");
    }
    let sum: i64 = list.iter().map(|value| if let Ok(Value::Int(number)) = value { number } else { 0 }).sum();
    println!("the sum of the {} numbers is {sum}", list.len());
    assert_eq!(sum, (0..NUMBERS as i64).sum());

    // Anybody who knows the address and the key may join.
    let key = manager.authkey().as_bytes().to_vec();
    let address: Address = manager.address().into();
    let client = SharedMemoryManager::connect(address, key)?;
    println!("a client sees {} segment", client.segments()?.len());

    drop(manager);
    assert!(ShareableList::open(&name).is_err(), "{name} is left");
    println!("the manager has ended, and {name} is gone");
    Ok(())
}

/// A worker: fills a part of the list.
fn fill(name: &str, start: isize, end: isize) -> Result<(), Box<dyn std::error::Error>> {
    let list = ShareableList::open(name)?;
    for index in start..end {
        list.set(index, index as i64)?;
    }
    println!("  a worker has filled {start}..{end}");
    Ok(())
}

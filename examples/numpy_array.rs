//! The example of Python's documentation, with a Rust process in place of the second shell.
//!
//! ```text
//! cargo run --release --example numpy_array
//! ```
//!
//! Python makes a NumPy array in a shared block; Rust attaches to it, computes and changes an element; Python sees that.
//! Then Rust makes an array of structs, and Python opens it with the dtype that Rust's type gives.
//!
//! Needs `python3` on the PATH with NumPy. `PYTHON` names another interpreter.

use shmtypes::ShmLayout;
use shmtypes::compat::NdArray;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What both sides call a measurement. NumPy gets its dtype from this definition.
#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Measurement {
    place: [f32; 2],
    value: f64,
    count: u32,
    flags: [u8; 4],
}

const SHELL: &str = r"
import sys
import numpy as np
from multiprocessing import shared_memory
a = np.array([1, 1, 2, 3, 5, 8])
shm = shared_memory.SharedMemory(create=True, size=a.nbytes)
b = np.ndarray(a.shape, dtype=a.dtype, buffer=shm.buf)
b[:] = a[:]
print(shm.name, b.dtype, b.shape[0], flush=True)
sys.stdin.readline()
print('Python: ', b, flush=True)
del b
shm.close()
shm.unlink()

name, dtype = sys.stdin.readline().strip(), sys.stdin.readline()
exec(dtype)
shm = shared_memory.SharedMemory(name=name)
c = np.ndarray((3,), dtype=measurement, buffer=shm.buf)
print('Python: ', c['place'].tolist(), c['value'].tolist(), flush=True)
c['value'] *= 10
del c
shm.close()
shm.unlink()
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("numpy_array: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_numpy = Command::new(&program).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    match has_numpy {
        Ok(status) if status.success() => {}
        Ok(_) => {
            return Err(format!(
                "{program} has no NumPy: `{program} -m pip install numpy`, or `apt-get install python3-numpy`"
            )
            .into());
        }
        Err(error) => return Err(format!("{program}: {error}; `apt-get install python3 python3-numpy`").into()),
    }
    let mut python = Command::new(program).args(["-c", SHELL]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut input), Some(output)) = (python.stdin.take(), python.stdout.take()) else {
        return Err("Python has no input or output".into());
    };
    let mut output = BufReader::new(output);

    let mut line = String::new();
    output.read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, "int64", length] = words[..] else { return Err(format!("unexpected: {line:?}").into()) };
    println!("Python: an array of {length} int64 in {name:?}");

    let array = NdArray::<i64>::open(name, &[length.parse()?])?;
    println!("Rust:    {:?}, the sum is {}", array.to_vec()?, array.sum()?);
    array.set(5, 888)?;
    println!("Rust:    the last element is now {}", array.get(5)?);
    writeln!(input)?;
    copy_line(&mut output)?;

    let measurements = NdArray::<Measurement>::create(&[3])?;
    for i in 0..3 {
        let place = [i as f32, 0.5];
        measurements.set(i, Measurement { place, value: i as f64 / 4.0, count: 7, flags: [0, 1, 0, 0] })?;
    }
    // One statement, on one line for the shell above.
    let dtype = NdArray::<Measurement>::numpy_dtype("measurement").replace('\n', " ");
    writeln!(input, "{}\n{}", measurements.name(), dtype.replace("import numpy as np", "").trim())?;
    copy_line(&mut output)?;
    drop(input);
    let status = python.wait()?;
    if !status.success() {
        return Err(format!("Python ended with {status}").into());
    }
    let values = measurements.to_vec()?;
    println!("Rust:    Python has made the values {:?}", values.iter().map(|m| m.value).collect::<Vec<_>>());
    Ok(())
}

fn copy_line(output: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    if output.read_line(&mut line)? == 0 {
        return Err("Python ended early".into());
    }
    print!("{line}");
    Ok(())
}

//! The program of the README: `cargo run --release --example short`.

use shmtypes::{Result, ShmArray, ShmLayout};

#[derive(ShmLayout, Clone, Copy)]
#[repr(C)]
struct Body {
    position: [f64; 3],
    mass: f64,
}

fn main() -> Result<()> {
    let bodies = ShmArray::<Body>::create(1000)?;
    // Another process does the same with nothing but the name. Another layout of `Body` would be an error.
    let same = ShmArray::<Body>::open(bodies.name())?;
    same.at(3).mass().set(2.5);
    same.at(3).position().at(0).set(-1.0);
    let mass = bodies.fold_blocks(0.0, |sum, block| sum + block.iter().map(|body| body.mass).sum::<f64>())?;
    println!("{} bodies in {:?}, {mass} kg", same.len(), same.name());
    Ok(()) // The last handle to go takes the name with it.
}

//! What is measured, in groups that can be chosen.

mod attach;
mod attachers;
mod cell;
mod copy;
mod create;
mod descriptors;
mod element;
mod fill;
mod list;
mod lock;
mod locked;
mod manager;
mod numeric;
mod pages;
mod shm_list;
mod slices;
mod soak;
mod vec;
mod wake;

use crate::Fallible;
use crate::report::Report;

pub(crate) type Group = fn(&mut Report) -> Fallible;

pub(crate) const ALL: &[(&str, Group)] = &[
    ("attach", attach::measure),
    ("attachers", attachers::measure),
    ("create", create::measure),
    ("fill", fill::measure),
    ("numeric", numeric::measure),
    ("slices", slices::measure),
    ("element", element::measure),
    ("copy", copy::measure),
    ("descriptors", descriptors::measure),
    ("pages", pages::measure),
    ("list", list::measure),
    ("shm_list", shm_list::measure),
    ("wake", wake::measure),
    ("cell", cell::measure),
    ("vec", vec::measure),
    ("lock", lock::measure),
    ("locked", locked::measure),
    ("manager", manager::measure),
];

/// Those that run only if they are asked for: they take long, and are no measurements.
pub(crate) const ON_REQUEST: &[(&str, Group)] = &[("soak", soak::measure)];

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// How many numbers fill so many bytes.
const fn numbers(bytes: usize) -> usize {
    bytes / size_of::<f64>()
}

fn size(bytes: usize) -> String {
    if bytes < MIB { format!("{} KiB", bytes / KIB) } else { format!("{} MiB", bytes / MIB) }
}

//! `ShmList` against `ShareableList`, which has neither locks nor versions.

use crate::kernels::random_indices;
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, scratch};
use shmtypes::ShmList;
use shmtypes::compat::{ShareableList, Value, ValueRef};
use std::hint::black_box;

const ROUNDS: usize = 40;
const PLACES: usize = 20_000;

pub(super) fn measure(report: &mut Report) -> Fallible {
    let texts: Vec<Value> = (0..1_000).map(|i| Value::Str(format!("{i:020}"))).collect();
    let long: Vec<Value> = (0..10).map(|i| Value::Str(format!("{i:04096}"))).collect();
    for n in [10, 1_000, 100_000] {
        let ints: Vec<Value> = (0..n).map(|i| Value::Int(i * 1_000_003 + 2)).collect();
        let goals = Goals { get: Target::AtMost(2.0), set: Target::AtMost(3.0) };
        measure_list(report, &format!("{n} ints"), &ints, PLACES, goals)?;
    }
    let shown = Goals { get: Target::Shown, set: Target::Shown };
    measure_list(report, "1000 texts of 20 bytes", &texts, PLACES, shown)?;
    measure_list(report, "10 texts of 4 KiB", &long, PLACES / 20, shown)
}

#[derive(Clone, Copy)]
struct Goals {
    get: Target,
    set: Target,
}

fn measure_list(report: &mut Report, what: &str, values: &[Value], places: usize, goals: Goals) -> Fallible {
    let pythons = ShareableList::options().name(scratch::name()).create(values)?;
    let ours = ShmList::options().name(scratch::name()).create(values)?;
    let places = random_indices(places, values.len());
    let (mut get, mut get_ref, mut set, mut add) = (Log::default(), Log::default(), Log::default(), Log::default());
    let mut scratch = Vec::new();
    let is_int = matches!(values[0], Value::Int(_));
    for _ in 0..=ROUNDS {
        let pythons_get = || each(&places, |at| digest(pythons.get(at).expect("nobody writes").as_ref()));
        let (mut first, mut second) = (pythons_get, pythons_get);
        get.round(&mut [
            (REFERENCE, &mut first),
            (NULL, &mut second),
            ("ours", &mut || each(&places, |at| digest(ours.get(at).expect("nobody writes").as_ref()))),
        ]);
        let mut pythons_ref = || each(&places, |at| digest(pythons.get_ref(at, &mut scratch).expect("nobody writes")));
        let mut more = Vec::new();
        get_ref.round(&mut [
            (REFERENCE, &mut pythons_ref),
            ("ours", &mut || each(&places, |at| digest(ours.get_ref(at, &mut more).expect("nobody writes")))),
        ]);
        let pythons_set = || each(&places, |at| stored(pythons.set(at, &values[at as usize])));
        let (mut first, mut second) = (pythons_set, pythons_set);
        set.round(&mut [
            (REFERENCE, &mut first),
            (NULL, &mut second),
            ("ours", &mut || each(&places, |at| stored(ours.set(at, &values[at as usize])))),
        ]);
        if is_int {
            add.round(&mut [
                (REFERENCE, &mut || each(&places, |at| stored(pythons.set(at, &values[at as usize])))),
                ("ours", &mut || each(&places, |at| ours.fetch_add(at, 1).expect("an int").cast_unsigned())),
            ]);
        }
    }
    report.row(&format!("`get`, {what}"), goals.get, &get, "ours");
    report.row(&format!("`get_ref`, {what}"), goals.get, &get_ref, "ours");
    report.row(&format!("`set`, {what}"), goals.set, &set, "ours");
    if is_int {
        report.row(&format!("`fetch_add` against a `set`, {what}"), Target::Shown, &add, "ours");
    }
    pythons.unlink()?;
    Ok(())
}

/// The time of one of many accesses.
fn each(places: &[u32], mut access: impl FnMut(isize) -> u64) -> f64 {
    cpu(1, || places.iter().fold(0, |sum, &at| sum ^ access(black_box(at as isize)))) / places.len() as f64
}

fn stored(outcome: shmtypes::Result<()>) -> u64 {
    outcome.expect("it fits");
    1
}

/// What the compiler cannot leave out, and costs next to nothing.
#[inline(always)]
fn digest(value: ValueRef<'_>) -> u64 {
    match value {
        ValueRef::Int(int) => int.cast_unsigned(),
        ValueRef::Float(float) => float.to_bits(),
        ValueRef::Bool(bool) => bool.into(),
        ValueRef::Str(text) => text.len() as u64,
        ValueRef::Bytes(bytes) => bytes.len() as u64,
        ValueRef::None => 1,
    }
}

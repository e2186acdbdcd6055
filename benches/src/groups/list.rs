//! Python's lists: each operation against CPython's own `ShareableList`, on one segment that CPython made.

use crate::kernels::random_indices;
use crate::measure::{Case, Log, cpu};
use crate::python::Python;
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, scratch};
use shmtypes::compat::{ShareableList, SharedMemory, Value, ValueRef};
use std::cell::RefCell;
use std::fmt::Write;
use std::hint::black_box;

const PROGRAM: &str = include_str!("../list.py");

/// So many that they do not stay in a cache where the list does not.
const PLACES: usize = 50_000;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ints,
    Floats,
    Strings,
    Mixed,
}

const KINDS: [(Kind, &str); 4] =
    [(Kind::Ints, "ints"), (Kind::Floats, "floats"), (Kind::Strings, "strings"), (Kind::Mixed, "mixed")];

impl Kind {
    /// What the program in Python calls by the same name.
    fn value(self, i: usize) -> Value {
        match self {
            Self::Ints => Value::Int(i as i64 * 1_000_003 + 2),
            Self::Floats => Value::Float(i as f64 * 0.5 + 0.25),
            Self::Strings => Value::Str(format!("{i:020}")),
            Self::Mixed => match i % 5 {
                0 => Value::Bool(i.is_multiple_of(2)),
                1 => Value::None,
                2 => Self::Floats.value(i),
                3 => Self::Strings.value(i),
                _ => Self::Ints.value(i),
            },
        }
    }
}

pub(super) fn measure(report: &mut Report) -> Fallible {
    let python = match Python::start(PROGRAM) {
        Ok(python) => RefCell::new(python),
        Err(error) => {
            report.absent("Python's lists", &error.to_string());
            return Ok(());
        }
    };
    let mut table = Table::default();
    for n in [10, 1_000, 100_000] {
        for (kind, name) in KINDS {
            measure_list(report, &mut table, &python, n, kind, name)?;
        }
    }
    let version = &python.borrow().version;
    report.note(&format!(
        "Python's lists: times faster than CPython {version} / must / aim\n\n\
         | operation | N | ints | floats | strings | mixed |\n|---|---|---|---|---|---|\n{}",
        table.print()
    ));
    Ok(())
}

fn measure_list(
    report: &mut Report,
    table: &mut Table,
    python: &RefCell<Python>,
    n: usize,
    kind: Kind,
    kind_name: &str,
) -> Fallible {
    let name = scratch::name();
    python.borrow_mut().ask(&format!("make {kind_name} {n} {name}"))?;
    let values: Vec<Value> = (0..n).map(|i| kind.value(i)).collect();
    let list = ShareableList::open(&name)?;
    if list.to_vec()? != values {
        return Err("Python's list has other values".into());
    }
    let (rounds, passes) = match n {
        10 => (40, 10_000),
        1_000 => (40, 100),
        _ => (15, 1),
    };
    let contest = |operation: &str, repeat: u32, ours: &mut [Case<'_>]| {
        let ask = || python.borrow_mut().ask(&format!("{operation} {repeat}")).unwrap_or(f64::NAN);
        let (mut first, mut second) = (ask, ask);
        let mut log = Log::default();
        let mut cases: Vec<Case<'_>> = vec![(REFERENCE, &mut first), (NULL, &mut second)];
        cases.extend(ours.iter_mut().map(|(name, run)| (*name, &mut **run as &mut dyn FnMut() -> f64)));
        for _ in 0..rounds {
            log.round(&mut cases);
        }
        log
    };
    let mut row = |operation: &'static str, target: Option<(f64, f64)>, log: &Log, case: &str| {
        let what = format!("{operation}, {n} {kind_name}");
        let shown = target.map_or(Target::Shown, |(must, aim)| Target::TimesFaster { must, aim });
        report.row(&what, shown, log, case);
        table.add(operation, n, log.ratio(case, REFERENCE).times_faster(), target);
    };
    let numbers = matches!(kind, Kind::Ints | Kind::Floats);
    // What Python does in a pass is not much for ten values.
    let repeat = if n == 10 { 100 } else { 1 };

    let log = contest(
        "iterate",
        repeat,
        &mut [
            ("for_each", &mut || cpu(passes, || visit(&list))),
            ("iter", &mut || cpu(passes, || copies(&list))),
            ("to_vec", &mut || cpu(passes, || black_box(&list).to_vec().expect("nobody writes"))),
        ],
    );
    let borrowed = match kind {
        Kind::Strings => (100.0, 180.0),
        Kind::Mixed => (150.0, 300.0),
        _ => (250.0, 400.0),
    };
    let owned = match kind {
        Kind::Strings => (30.0, 70.0),
        Kind::Mixed => (30.0, 120.0),
        _ => (150.0, 300.0),
    };
    row("`for_each`", Some(borrowed), &log, "for_each");
    row("`iter`", Some(owned), &log, "iter");
    row("`to_vec`", Some(owned), &log, "to_vec");

    let places = random_indices(PLACES, n);
    let mut scratch = Vec::new();
    let log = contest(
        "get",
        1,
        &mut [
            ("get", &mut || each(&places, |at| digest(list.get(at as isize).expect("it is in range").as_ref()))),
            ("get_ref", &mut || {
                each(&places, |at| digest(list.get_ref(at as isize, &mut scratch).expect("it is in range")))
            }),
        ],
    );
    let target = if n > 1_000 { (18.0, 50.0) } else { (120.0, 250.0) };
    row("`get`, random", Some(target), &log, "get");
    row("`get_ref`, random", Some(target), &log, "get_ref");

    let log = contest(
        "set",
        1,
        &mut [
            ("set", &mut || each(&places, |at| set(&list, at, &values[at]))),
            ("set_ref", &mut || {
                each(&places, |at| {
                    list.set_ref(at as isize, values[at].as_ref()).expect("it fits");
                    1
                })
            }),
        ],
    );
    let target = if n > 1_000 { (25.0, 100.0) } else { (250.0, 700.0) };
    row("`set`, random", Some(target), &log, "set");
    row("`set_ref`, random", Some(target), &log, "set_ref");
    if list.to_vec()? != values {
        return Err("a store went wrong".into());
    }

    let last = &values[n - 1];
    let target = if kind == Kind::Strings { Some((90.0, 200.0)) } else { numbers.then_some((200.0, 400.0)) };
    let log = contest(
        "count",
        repeat,
        &mut [("count", &mut || cpu(passes, || black_box(&list).count(last).expect("nobody writes")))],
    );
    row("`count`", target, &log, "count");
    let log = contest(
        "index",
        repeat,
        &mut [("index", &mut || cpu(passes, || black_box(&list).index(last).expect("it is there")))],
    );
    row("`index` of the last", target, &log, "index");

    let bytes = list.shared_memory().to_vec()?;
    let new = scratch::name();
    let copy = || cpu(passes.clamp(1, 20), || copied(&new, &bytes));
    let (mut copy_first, mut copy_second) = (copy, copy);
    let log = contest(
        "create",
        repeat.min(20),
        &mut [
            ("create", &mut || cpu(passes.clamp(1, 20), || created(&new, &values))),
            ("copy", &mut copy_first),
            ("copy null", &mut copy_second),
        ],
    );
    let target = match n {
        10 => (2.5, 4.0),
        1_000 => (15.0, 24.0),
        _ => (18.0, 30.0),
    };
    row("create, unlink, drop", Some(target), &log, "create");

    let attach_log = contest(
        "attach",
        repeat.min(20),
        &mut [("attach", &mut || cpu(50, || drop(ShareableList::open(&name).expect("it is there"))))],
    );
    let target = match n {
        10 => (2.5, 4.0),
        1_000 => (5.0, 6.0),
        _ => (35.0, 100.0),
    };
    row("attach, drop", Some(target), &attach_log, "attach");

    let what = format!("create, {n} {kind_name}, against a copy of the bytes to a fresh block");
    report.row_against(&what, Target::AtMost(1.5), &log, "create", "copy", "copy null");
    table.add_at_most("create: time of a copy", n, log.ratio("create", "copy").median, 1.5);
    Ok(())
}

/// The time of one of many accesses.
fn each(places: &[u32], mut access: impl FnMut(usize) -> u64) -> f64 {
    cpu(1, || places.iter().fold(0, |sum, &at| sum ^ access(at as usize))) / places.len() as f64
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

#[inline(never)]
fn visit(list: &ShareableList) -> u64 {
    let mut sum = 0;
    list.for_each(|_, value| sum ^= digest(value)).expect("nobody writes");
    sum
}

#[inline(never)]
fn copies(list: &ShareableList) -> u64 {
    list.iter().fold(0, |sum, value| sum ^ digest(value.expect("nobody writes").as_ref()))
}

/// By the type that a caller has in hand.
#[inline(always)]
fn set(list: &ShareableList, at: usize, value: &Value) -> u64 {
    list.set(at as isize, value).expect("it fits");
    1
}

fn created(name: &str, values: &[Value]) {
    let list = ShareableList::options().name(name).create(values).expect("there is room");
    list.unlink().expect("it is there");
}

fn copied(name: &str, bytes: &[u8]) {
    let block = SharedMemory::create_named(name, bytes.len()).expect("there is room");
    block.copy_from_slice(0, bytes).expect("it has the size");
    block.unlink().expect("it is there");
}

/// One line per operation and number of values, one column per kind.
#[derive(Default)]
struct Table(Vec<(&'static str, usize, String)>);

impl Table {
    fn add(&mut self, operation: &'static str, n: usize, faster: f64, target: Option<(f64, f64)>) {
        let number = if faster < 10.0 { format!("{faster:.1}") } else { format!("{faster:.0}") };
        self.cell(
            operation,
            n,
            &match target {
                None => number,
                Some((must, aim)) if faster >= must => format!("{number} / {must} / {aim}"),
                Some((must, aim)) => format!("**{number}** / {must} / {aim}"),
            },
        );
    }

    fn add_at_most(&mut self, operation: &'static str, n: usize, ratio: f64, most: f64) {
        let bold = if ratio <= most { "" } else { "**" };
        self.cell(operation, n, &format!("{bold}{ratio:.2}{bold} ≤ {most}"));
    }

    fn cell(&mut self, operation: &'static str, n: usize, text: &str) {
        let known = self.0.iter_mut().find(|(known, count, _)| *known == operation && *count == n);
        match known {
            Some((_, _, cells)) => *cells += &format!(" {text} |"),
            None => self.0.push((operation, n, format!(" {text} |"))),
        }
    }

    fn print(&self) -> String {
        let mut text = String::new();
        for (operation, n, cells) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {operation} | {n} |{cells}");
        }
        text
    }
}

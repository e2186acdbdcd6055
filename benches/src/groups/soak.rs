//! Eight readers and a writer of one value, for as long as `SHMTYPES_SOAK_SECONDS` says: how many reads, and how many torn ones.
//!
//! Run by its name only (`cargo run --release -- soak`). mmap-sync is the control: it shows that the harness finds torn values.

use crate::Fallible;
use crate::report::Report;
use crate::snapshots::Snapshots;
use shmtypes::{ErrorKind, ShmCell};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const READERS: usize = 8;
const ENOUGH: u64 = 100_000_000;
/// Seconds for the cell; the control gets as many.
const SECONDS: u64 = 20;

type Words = [u64; 8];

#[derive(Default)]
struct Counts {
    reads: AtomicU64,
    torn: AtomicU64,
    busy: AtomicU64,
    backwards: AtomicU64,
}

pub(super) fn measure(report: &mut Report) -> Fallible {
    let seconds = match std::env::var("SHMTYPES_SOAK_SECONDS") {
        Ok(text) => text.parse()?,
        Err(_) => SECONDS,
    };
    let time = Duration::from_secs(seconds);

    let cell = ShmCell::<Words>::create()?;
    let ours = Counts::default();
    let stores = run(
        time,
        &ours,
        |number| cell.store([number; 8]).map_err(Into::into),
        || {
            let reader = ShmCell::<Words>::open_read_only(cell.name())?;
            Ok(move || match reader.load() {
                Ok(words) => Ok(Some(words)),
                Err(error) if *error.kind() == ErrorKind::Busy => Ok(None),
                Err(error) => Err(error.into()),
            })
        },
    )?;
    let told = |counts: &Counts, stores| {
        let [reads, torn, busy, backwards] =
            [&counts.reads, &counts.torn, &counts.busy, &counts.backwards].map(|count| count.load(Ordering::Relaxed));
        (reads, torn, format!("{reads} reads, {stores} stores, {torn} torn, {backwards} backwards, {busy} busy"))
    };
    let (reads, torn, text) = told(&ours, stores);
    let sound = torn == 0 && ours.backwards.load(Ordering::Relaxed) == 0;
    let what = format!("cell, 64 B, {READERS} readers and a writer, {seconds} s");
    report.count(&what, "≥ 10^8 reads in 20 s, 0 torn", &text, sound && reads >= ENOUGH * seconds / SECONDS);

    let name = Snapshots::name();
    let mut writer = Snapshots::new(&name);
    writer.store(&[0_u64; 8])?;
    let control = Counts::default();
    let stores = run(
        time,
        &control,
        |number| writer.store(&[number; 8]),
        || {
            let mut reader = Snapshots::new(&name);
            Ok(move || reader.load::<Words>().map(Some))
        },
    )?;
    let (_, torn, text) = told(&control, stores);
    report.count(&format!("mmap-sync, the same, as control, {seconds} s"), "some torn", &text, torn > 0);
    Ok(())
}

/// Returns how many stores there were.
fn run<R: FnMut() -> Fallible<Option<Words>>>(
    time: Duration,
    counts: &Counts,
    mut store: impl FnMut(u64) -> Fallible,
    reader: impl Fn() -> Fallible<R> + Sync,
) -> Fallible<u64> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (stop, reader) = (&stop, &reader);
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(move || {
                    let outcome = reader().and_then(|read| read_on_and_on(stop, counts, read));
                    outcome.map_err(|error| error.to_string())
                })
            })
            .collect();
        let end = Instant::now() + time;
        let mut number = 0;
        let mut outcome = Ok(());
        while outcome.is_ok() && Instant::now() < end {
            for _ in 0..64 {
                number += 1;
                outcome = outcome.and_then(|()| store(number));
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().map_err(|_| "a reader panicked")??;
        }
        outcome.map(|()| number)
    })
}

fn read_on_and_on(stop: &AtomicBool, counts: &Counts, mut read: impl FnMut() -> Fallible<Option<Words>>) -> Fallible {
    let (mut reads, mut torn, mut busy, mut backwards, mut last) = (0, 0, 0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1_000 {
            let Some(words) = read()? else {
                busy += 1;
                continue;
            };
            reads += 1;
            torn += u64::from(words.iter().any(|word| *word != words[0]));
            backwards += u64::from(words[0] < last);
            last = words[0];
        }
    }
    for (count, more) in
        [(&counts.reads, reads), (&counts.torn, torn), (&counts.busy, busy), (&counts.backwards, backwards)]
    {
        count.fetch_add(more, Ordering::Relaxed);
    }
    Ok(())
}

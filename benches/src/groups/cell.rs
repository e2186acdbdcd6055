//! Reading and replacing a value that is always whole, against copying its bytes, a blackboard of iceoryx2, and mmap-sync.

use super::KIB;
use crate::Fallible;
use crate::measure::{Log, cpu};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::snapshots::{self, Board, Snapshots};
use iceoryx2::prelude::ZeroCopySend;
use shmtypes::ShmCell;
use std::hint::black_box;

const ROUNDS: usize = 60;

const CELL: &str = "cell";
const INTO: &str = "cell, into a place";
const BOARD: &str = "blackboard";
const SYNCHRONIZER: &str = "synchronizer";
const NOTIFIED: &str = "cell, notified";

pub(super) fn measure(report: &mut Report) -> Fallible {
    one_size::<8>(report, "64 B", 20_000, 2.0)?;
    one_size::<{ 4 * KIB / 8 }>(report, "4 KiB", 4_000, 1.5)
}

fn one_size<const N: usize>(report: &mut Report, size: &str, iterations: u32, limit: f64) -> Fallible
where
    [u64; N]: snapshots::Value + ZeroCopySend,
{
    let value = [7_u64; N];
    let boxes = (Box::new(value), Box::new(value));
    let (plain, null) = (&*boxes.0, &*boxes.1);
    let cell = ShmCell::create_from(value)?;
    let reader = ShmCell::<[u64; N]>::open_read_only(cell.name())?;
    let board = Board::new(value)?;
    let mut peer = Snapshots::new(&Snapshots::name());
    peer.store(&value)?;
    let mut place = Box::new(value);
    let (mut read, mut write) = (Log::default(), Log::default());
    for _ in 0..=ROUNDS {
        read.round(&mut [
            (REFERENCE, &mut || cpu(iterations, || *black_box(plain))),
            (NULL, &mut || cpu(iterations, || *black_box(null))),
            (CELL, &mut || cpu(iterations, || black_box(&reader).load().expect("read"))),
            (INTO, &mut || cpu(iterations, || black_box(&reader).load_into(&mut place).expect("read"))),
            (BOARD, &mut || cpu(iterations, || *black_box(&board).reader.get())),
            (SYNCHRONIZER, &mut || cpu(iterations, || black_box(&mut peer).load::<[u64; N]>().expect("read"))),
        ]);
    }
    let mut others = (Box::new(value), Box::new(value));
    for _ in 0..=ROUNDS {
        write.round(&mut [
            (REFERENCE, &mut || cpu(iterations, || *black_box(&mut *others.0) = *black_box(plain))),
            (NULL, &mut || cpu(iterations, || *black_box(&mut *others.1) = *black_box(null))),
            (CELL, &mut || cpu(iterations, || cell.store(*black_box(plain)).expect("store"))),
            (NOTIFIED, &mut || {
                cpu(iterations, || {
                    cell.store(*black_box(plain)).expect("store");
                    cell.notify()
                })
            }),
            (BOARD, &mut || cpu(iterations, || board.writer.update_with_copy(*black_box(plain)))),
            (SYNCHRONIZER, &mut || cpu(iterations / 20, || peer.store(black_box(plain)).expect("store"))),
        ]);
    }
    // What `load` returns is a `Result`, which the compiler moves once more; for large values there is `load_into`.
    let (by_value, into_place) =
        if N <= 8 { (Target::AtMost(limit), Target::Shown) } else { (Target::Shown, Target::AtMost(limit)) };
    report.row(&format!("`load` {size}, against copying the bytes"), by_value, &read, CELL);
    report.row(&format!("`load_into` {size}, against copying the bytes"), into_place, &read, INTO);
    let against = |report: &mut Report, what: &str, target, log, peer| {
        report.row_against(&format!("{what} {size}, against {peer}"), target, log, CELL, peer, "");
    };
    against(report, "read", Target::AtMost(0.6), &read, BOARD);
    against(report, "read", Target::Shown, &read, SYNCHRONIZER);
    report.row(&format!("store {size}, against copying the bytes"), Target::Shown, &write, CELL);
    report.row(&format!("store {size} and notify"), Target::Shown, &write, NOTIFIED);
    against(report, "store", Target::Shown, &write, BOARD);
    against(report, "store", Target::Shown, &write, SYNCHRONIZER);
    Ok(())
}

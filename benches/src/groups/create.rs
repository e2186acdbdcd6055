//! Creating and dropping a small segment, against the system calls alone and against others' objects.

use super::{KIB, numbers};
use crate::measure::{Case, Log, cpu};
use crate::python::{self, Python};
use crate::report::{NULL, REFERENCE, Report, Target};
use crate::{Fallible, protocol, raw, scratch};
use iceoryx2::prelude::*;
use shmtypes::ShmArray;

const ROUNDS: usize = 60;
const ITERATIONS: u32 = 100;
/// A service takes about a millisecond.
const SERVICES: u32 = 5;

const PAGE: usize = 4 * KIB;

pub(super) fn measure(report: &mut Report) -> Fallible {
    let raw_name = scratch::raw_name();
    let create = |name: &str, bytes| {
        drop(ShmArray::<f64>::options().name(name).create(numbers(bytes)).expect("there is room"));
    };
    let (name, whole_name) = (scratch::name(), scratch::name());
    let alone = || cpu(ITERATIONS, || raw::create_and_drop(&raw_name, PAGE).expect("there is room"));
    let (mut first, mut second) = (alone, alone);
    let mut data = || cpu(ITERATIONS, || create(&name, PAGE));
    // Header and schema take half a KiB.
    let mut file = || cpu(ITERATIONS, || create(&whole_name, PAGE - KIB));
    let mut fresh = || cpu(ITERATIONS, || drop(ShmArray::<f64>::create(numbers(PAGE)).expect("there is room")));

    let path = std::ffi::CString::new(format!("/dev/shm/{}", scratch::name()))?;
    let mut calls = || cpu(ITERATIONS, || protocol::create_and_drop(&path, &[1; PAGE]).expect("there is room"));

    let mut python = Python::start(python::BLOCKS);
    let mut python_run = || match &mut python {
        Ok(python) => python.ask(&ITERATIONS.to_string()).unwrap_or(f64::NAN),
        Err(_) => f64::NAN,
    };
    let services = Services::start();
    let mut service_run = || match &services {
        Ok(services) => cpu(SERVICES, || services.create_and_drop().expect("a service can be created")),
        Err(_) => f64::NAN,
    };

    let mut log = Log::default();
    for _ in 0..ROUNDS {
        let mut cases: [Case<'_>; 8] = [
            (REFERENCE, &mut first),
            (NULL, &mut second),
            ("data", &mut data),
            ("file", &mut file),
            ("fresh", &mut fresh),
            ("calls", &mut calls),
            ("python", &mut python_run),
            ("service", &mut service_run),
        ];
        log.round(&mut cases);
    }

    // As many pages as the reference has. A page of elements is a file of two.
    report.row("create and drop, 4 KiB", Target::AtMost(1.8), &log, "file");
    report.row("the system calls of the library's protocol alone, 4 KiB", Target::Shown, &log, "calls");
    report.row("create and drop, 4 KiB of elements and a header", Target::Shown, &log, "data");
    report.row("create and drop, 4 KiB of elements and a header, fresh name", Target::Shown, &log, "fresh");
    let against = |report: &mut Report, peer: &str, target, case| {
        let what = format!("create and drop, 4 KiB, against {peer}");
        report.row_against(&what, Target::AtLeast(target), &log, "file", case, "");
        let what = format!("create and drop, 4 KiB of elements and a header, against {peer}");
        report.row_against(&what, Target::AtLeast(target), &log, "data", case, "");
    };
    match &python {
        Ok(python) => against(report, &format!("Python {}'s `SharedMemory`", python.version), 1.7, "python"),
        Err(error) => report.absent("create and drop, 4 KiB, against Python's `SharedMemory`", &error.to_string()),
    }
    let peer = "an iceoryx2 service with a publisher";
    match &services {
        Ok(_) => against(report, peer, 20.0, "service"),
        Err(error) => report.absent(&format!("create and drop, 4 KiB, against {peer}"), &error.to_string()),
    }
    Ok(())
}

/// A node of iceoryx2, with all its files under names of this run.
struct Services {
    node: Node<ipc::Service>,
    name: ServiceName,
}

impl Services {
    fn start() -> Fallible<Self> {
        let node = scratch::iceoryx_node()?;
        Ok(Self { node, name: ServiceName::new("bench").map_err(|error| format!("{error:?}"))? })
    }

    fn create_and_drop(&self) -> Fallible {
        let builder = self.node.service_builder(&self.name).publish_subscribe::<[u8; PAGE]>();
        let service = builder.create().map_err(|error| format!("{error:?}"))?;
        drop(service.publisher_builder().create().map_err(|error| format!("{error:?}"))?);
        Ok(())
    }
}

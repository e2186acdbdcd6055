//! Peers that share one value: a blackboard of iceoryx2, and mmap-sync.
#![allow(unsafe_code, reason = "reading of mmap-sync is unsafe: the caller answers for its grace period")]

use crate::{Fallible, scratch};
use iceoryx2::port::reader::EntryHandle;
use iceoryx2::port::writer::EntryHandleMut;
use iceoryx2::prelude::*;
use mmap_sync::locks::LockDisabled;
use mmap_sync::synchronizer::Synchronizer;
use std::hash::DefaultHasher;
use std::path::PathBuf;
use std::time::Duration;

/// A blackboard with one entry, and both of its ends.
pub(crate) struct Board<T: Copy + ZeroCopySend + std::fmt::Debug + 'static> {
    pub(crate) writer: EntryHandleMut<ipc::Service, u64, T>,
    pub(crate) reader: EntryHandle<ipc::Service, u64, T>,
    _node: Node<ipc::Service>,
}

impl<T: Copy + ZeroCopySend + std::fmt::Debug> Board<T> {
    pub(crate) fn new(value: T) -> Fallible<Self> {
        let failed = |error: &dyn std::fmt::Debug| format!("{error:?}");
        let node = scratch::iceoryx_node()?;
        let name = ServiceName::new(&scratch::name())?;
        let board = node.service_builder(&name).blackboard_creator::<u64>().add::<T>(1, value).create();
        let board = board.map_err(|error| failed(&error))?;
        let writer = board.writer_builder().create().map_err(|error| failed(&error))?;
        let reader = board.reader_builder().create().map_err(|error| failed(&error))?;
        let writer = writer.entry::<T>(&1).map_err(|error| failed(&error))?;
        let reader = reader.entry::<T>(&1).map_err(|error| failed(&error))?;
        Ok(Self { writer, reader, _node: node })
    }
}

/// How long the writer of mmap-sync waits between two looks at its readers, in nanoseconds. Its default is a second.
const PAUSE: u64 = 1_000;
/// How long readers may take by its contract.
const GRACE: Duration = Duration::from_millis(1);

type Peer = Synchronizer<DefaultHasher, LockDisabled, 1024, PAUSE>;

/// One end of a value shared by mmap-sync.
pub(crate) struct Snapshots {
    peer: Peer,
}

impl Snapshots {
    /// Names start with the run's prefix, so that the files go with it.
    pub(crate) fn name() -> PathBuf {
        std::path::Path::new("/dev/shm").join(scratch::name())
    }

    pub(crate) fn new(name: &std::path::Path) -> Self {
        Self { peer: Peer::with_params(name.as_os_str()) }
    }

    pub(crate) fn store(&mut self, value: &impl Value) -> Fallible {
        value.store(&mut self.peer)
    }

    pub(crate) fn load<T: Value>(&mut self) -> Fallible<T> {
        T::load(&mut self.peer)
    }
}

/// What mmap-sync can share, without naming the traits that it asks for.
pub(crate) trait Value: Sized {
    fn store(&self, peer: &mut Peer) -> Fallible;
    fn load(peer: &mut Peer) -> Fallible<Self>;
}

macro_rules! values {
    ($($length:literal)*) => { $(
        impl Value for [u64; $length] {
            fn store(&self, peer: &mut Peer) -> Fallible {
                peer.write(self, GRACE)?;
                Ok(())
            }

            fn load(peer: &mut Peer) -> Fallible<Self> {
                // SAFETY: the reference ends with this copy. Whether it does within the grace period nobody can promise: the
                // bytes are numbers, of which any will do.
                Ok(*unsafe { peer.read::<Self>(false) }?)
            }
        }
    )* };
}
values!(8 512);

//! Slots of processes that are killed, forked and executed.
#![allow(unsafe_code, reason = "forks, and maps a page where a parent has its own")]

use super::tests::{Name, STARTING, is_dead, me, undisturbed};
use super::*;
use crate::segment::attach::attach_descriptor;
use crate::segment::attachment::Attachment;
use crate::sys::Directory;
use core::ptr::NonNull;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::cell::Cell;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::PoisonError;

const HERE: &str = "participants::process_tests::";
const INSIDE: &str = "SHMTYPES_TEST_INSIDE";
const HOLDER: &str = "SHMTYPES_TEST_HOLDER";

/// Starts this binary again for the test `name` alone.
fn rerun(wrapper: &[&str], name: &str) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().copied().map(std::ffi::OsString::from).chain([own.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", name, "--nocapture", "--test-threads=1"]).env(INSIDE, name);
    command
}

/// Runs the body of the test `name` in a process of its own: forks must not copy what other tests have mapped.
pub(super) fn alone_under(wrapper: &[&str], name: &str, body: impl FnOnce()) {
    if std::env::var(INSIDE).is_ok_and(|inside| inside == name) {
        return body();
    }
    let mut command = rerun(wrapper, name);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let starting = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let started = command.spawn().unwrap();
    drop(starting);
    let output = started.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{}\n{text}\n{errors}", output.status);
}

fn alone(name: &str, body: impl FnOnce()) {
    alone_under(&[], &format!("{HERE}{name}"), body);
}

/// One end of a conversation with a forked process, in lines. Whoever hears that the other one is gone, panics.
pub(super) struct Line {
    input: BufReader<PipeReader>,
    output: PipeWriter,
}

impl Line {
    /// Both ends.
    fn pair() -> (Self, Self) {
        let ((here, output), (input, there)) = (pipe().unwrap(), pipe().unwrap());
        let own = Self { input: BufReader::new(input), output };
        (own, Self { input: BufReader::new(here), output: there })
    }

    pub(super) fn say(&mut self, word: impl std::fmt::Display) {
        writeln!(self.output, "{word}").unwrap();
    }

    #[track_caller]
    pub(super) fn hear(&mut self) -> String {
        let mut line = String::new();
        assert!(self.input.read_line(&mut line).unwrap() > 0, "the other one is gone");
        line.trim_end().to_owned()
    }

    #[track_caller]
    fn hear_identity(&mut self) -> Identity {
        Identity::from_bits(self.hear().parse().unwrap()).unwrap()
    }

    /// Ends, silently, with the other one.
    pub(super) fn wait_for_the_end(&mut self) {
        let _ = self.input.read_line(&mut String::new());
    }
}

/// A forked process.
pub(super) struct Child {
    pid: Pid,
    pub(super) line: Line,
}

impl Child {
    /// Forks. The child runs `body` and ends without destructors.
    pub(super) fn new(body: impl FnOnce(&mut Line)) -> Self {
        let (own, mut line) = Line::pair();
        // SAFETY: `alone` leaves no thread that could hold a lock of the allocator's or the standard library's, but for those
        // of tests that fork beside a thread, which glibc's allocator allows for.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Self { pid: child, line: own },
            ForkResult::Child => {
                drop(own);
                let outcome = catch_unwind(AssertUnwindSafe(|| body(&mut line)));
                // SAFETY: ends the process, whose destructors belong to its parent.
                unsafe { nix::libc::_exit(if outcome.is_ok() { 0 } else { 101 }) }
            }
        }
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(super) fn ends_well(self) {
        let Self { pid, line } = self;
        drop(line);
        assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
    }

    fn end_by_sigkill(self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        assert_eq!(waitpid(self.pid, None).unwrap(), WaitStatus::Signaled(self.pid, Signal::SIGKILL, false));
    }
}

pub(super) fn participant(attachment: &Attachment) -> &Participant {
    attachment.participant().unwrap()
}

#[test]
fn a_killed_process_leaves_its_slot_and_its_identity_is_dead_for_good() {
    const NAME: &str = "a_killed_process_leaves_its_slot_and_its_identity_is_dead_for_good";
    alone(NAME, || {
        if let Ok(given) = std::env::var(HOLDER) {
            // This is the process to be killed, of this very binary, which is executed and not forked.
            let mut name = Name::new(3);
            name.0.name = Some(given);
            let attachment = name.open().unwrap();
            println!("\nidentity {}", me(&attachment).to_bits());
            let _ = std::io::stdin().lines().next();
            return;
        }
        let name = Name::new(3);
        let first = name.create().unwrap();
        let mut generation = 0;
        for _ in 0..3 {
            let mut command = rerun(&[], &format!("{HERE}{NAME}"));
            command.env(HOLDER, name.0.name.as_ref().unwrap());
            let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
            let said = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("identity ")?.parse().ok());
            let held = Identity::from_bits(said.expect("it attaches")).unwrap();
            assert_eq!(held.slot(), 1);
            assert!(held.generation() > generation, "no identity comes back");
            generation = held.generation();
            assert!(!is_dead(&first, held));
            assert_eq!(participant(&first).holder(held), Holder { slot: 1, pid: holder.id() });
            let slots = crate::inspect(first.name()).unwrap().slots.unwrap();
            assert_eq!(slots.taken, [participant(&first).holder(me(&first)), participant(&first).holder(held)]);

            holder.kill().unwrap();
            holder.wait().unwrap();
            assert!(is_dead(&first, held));
            assert_eq!(name.taken(), [0]);
            let second = name.open().unwrap();
            assert_eq!((me(&second).slot(), me(&second).generation()), (1, generation + 1));
            assert!(is_dead(&first, held), "its slot is taken by another one");
            assert!(!is_dead(&first, me(&second)));
        }
    });
}

#[test]
fn a_forked_child_is_nobody_until_it_asks_and_then_somebody_else() {
    alone("a_forked_child_is_nobody_until_it_asks_and_then_somebody_else", || {
        let name = Name::new(3);
        let parent = name.create().unwrap();
        let own = me(&parent);
        let mut child = Child::new(|line| {
            let participant = participant(&parent);
            assert_eq!(participant.identity(), None);
            assert!(!participant.is_dead(own).unwrap(), "the parent, as seen from a child without a slot");
            assert_eq!(name.taken(), [0]);
            let registered = participant.registered().unwrap();
            assert_ne!(registered, own);
            assert_eq!(participant.registered().unwrap(), registered);
            assert_eq!(participant.identity(), Some(registered));
            assert!(!participant.is_dead(own).unwrap() && !participant.is_dead(registered).unwrap());
            assert_eq!(participant.holder(registered).pid, std::process::id());
            line.say(registered.to_bits());
            line.hear();
        });
        let registered = child.line.hear_identity();
        assert_eq!(registered.slot(), 1);
        assert!(!is_dead(&parent, registered));
        assert_eq!(me(&parent), own);
        assert_eq!(participant(&parent).holder(registered).pid, child.pid.as_raw() as u32);
        child.line.say("end");
        child.ends_well();
        assert!(is_dead(&parent, registered));
        assert_eq!(name.taken(), [0], "the child has not taken its parent's slot with it");
        let other = name.open().unwrap();
        assert_eq!(me(&other).slot(), 1);
        assert!(!is_dead(&other, own));
    });
}

#[test]
fn a_slot_dies_with_its_process_while_forked_children_live() {
    alone("a_slot_dies_with_its_process_while_forked_children_live", || {
        let name = Name::new(4);
        let first = name.create().unwrap();
        for registers in [false, true] {
            // Between this process and the child that stays: the one that is killed.
            let (talk, child_talk) = Line::pair();
            let talk = Cell::new(Some(talk));
            let mut parent = Child::new(|line| {
                // Or the child would talk to itself for ever.
                drop(talk.take());
                let attachment = name.open().unwrap();
                let mut child_talk = child_talk;
                let _child = Child::new(|_| {
                    if registers {
                        child_talk.say(participant(&attachment).registered().unwrap().to_bits());
                    } else {
                        child_talk.say("there");
                    }
                    child_talk.hear();
                    child_talk.say("still there");
                    child_talk.wait_for_the_end();
                });
                line.say(me(&attachment).to_bits());
                line.wait_for_the_end();
            });
            let held = parent.line.hear_identity();
            let mut talk = talk.take().unwrap();
            let there = talk.hear();
            assert!(!is_dead(&first, held));
            parent.end_by_sigkill();
            talk.say("are you there?");
            assert_eq!(talk.hear(), "still there");
            assert!(is_dead(&first, held));
            let next = name.open().unwrap();
            assert_eq!(me(&next).slot(), held.slot());
            if registers {
                assert!(!is_dead(&first, Identity::from_bits(there.parse().unwrap()).unwrap()));
                assert_eq!(name.taken(), [0, 1, 2]);
            } else {
                assert_eq!(name.taken(), [0, 1]);
            }
            drop(talk);
        }
    });
}

/// Where this process has the page that keeps its slot.
fn anchor_address(name: &Name) -> Option<NonZeroUsize> {
    let (maps, inode) = (fs::read_to_string("/proc/self/maps").unwrap(), fs::metadata(name.path()).unwrap().ino());
    let inode = format!(" {inode} ");
    let anchor = maps.lines().find(|line| line.contains(&inode) && line.contains(" ---s "))?;
    NonZeroUsize::new(usize::from_str_radix(anchor.split('-').next().unwrap(), 16).unwrap())
}

/// A page of this process's own, at an address where nothing is mapped.
pub(super) fn own_page_at(address: NonZeroUsize) -> NonNull<u64> {
    let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: new address space; it fails where something is mapped.
    let page = unsafe { mmap_anonymous(Some(address), NonZeroUsize::MIN, access, flags) }.unwrap().cast();
    // SAFETY: just mapped, and this process's own.
    unsafe { page.write_volatile(42) };
    page
}

/// Whether it is still there. If not, this ends the process by SIGSEGV, or finds another page.
pub(super) fn is_kept(page: NonNull<u64>) -> bool {
    // SAFETY: reads what was mapped by `own_page_at`; that it may be gone is what the caller asks.
    unsafe { page.read_volatile() == 42 }
}

#[test]
fn a_child_that_drops_a_handle_unmaps_nothing_that_stands_where_its_parent_has_its_slot() {
    alone("a_child_that_drops_a_handle_unmaps_nothing_that_stands_where_its_parent_has_its_slot", || {
        for registers in [false, true] {
            let name = Name::new(3);
            let attachment = name.create().unwrap();
            let address = anchor_address(&name).expect("the parent's page");
            let (kept, attachment) = (me(&attachment), Cell::new(Some(attachment)));
            let child = Child::new(|_| {
                assert_eq!(anchor_address(&name), None, "a fork does not copy it");
                let page = own_page_at(address);
                let attachment = attachment.take().unwrap();
                if registers {
                    participant(&attachment).registered().unwrap();
                    assert_eq!(name.taken(), [0, 1]);
                    assert!(anchor_address(&name).is_some());
                }
                drop(attachment);
                assert_eq!(name.taken(), [0], "of its own slot, and no other");
                assert_eq!(anchor_address(&name), None);
                assert!(is_kept(page));
            });
            child.ends_well();
            let attachment = attachment.take().unwrap();
            assert_eq!(me(&attachment), kept);
            assert_eq!(name.taken(), [0]);
        }
    });
}

#[test]
fn a_child_that_finds_no_slot_gets_one_later() {
    alone("a_child_that_finds_no_slot_gets_one_later", || {
        let name = Name::new(1);
        let parent = name.create().unwrap();
        let own = me(&parent);
        let parent = Cell::new(Some(parent));
        let mut child = Child::new(|line| {
            let attachment = parent.take().unwrap();
            for _ in 0..2 {
                let error = participant(&attachment).registered().unwrap_err();
                assert_eq!(*error.kind(), ErrorKind::SlotsExhausted { slots: 1 });
                assert_eq!(participant(&attachment).identity(), None);
            }
            line.say("none");
            line.hear();
            let registered = participant(&attachment).registered().unwrap();
            assert_eq!((registered.slot(), registered.generation()), (0, own.generation() + 1));
            assert!(participant(&attachment).is_dead(own).unwrap());
        });
        assert_eq!(child.line.hear(), "none");
        drop(parent.take());
        child.line.say("now");
        child.ends_well();
    });
}

#[test]
fn an_executed_program_keeps_nothing() {
    alone("an_executed_program_keeps_nothing", || {
        let name = Name::new(2);
        let (first, second) = (name.create().unwrap(), name.open().unwrap());
        let mut program = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let held = me(&second);
        drop(second);
        assert!(is_dead(&first, held));
        assert_eq!(name.taken(), [0]);
        program.kill().unwrap();
        program.wait().unwrap();
    });
}

#[test]
fn a_descriptor_that_somebody_closed_is_no_proof_of_death() {
    alone("a_descriptor_that_somebody_closed_is_no_proof_of_death", || {
        let name = Name::new(3);
        let (first, second) = (name.create().unwrap(), name.open().unwrap());
        let held = me(&second);
        for reuse in [false, true] {
            let child = Child::new(|_| {
                let number = participant(&first).file().descriptor().as_raw_fd();
                if reuse {
                    let other = Name::new(3);
                    let other = other.create().unwrap();
                    let source = participant(&other).file().descriptor().as_raw_fd();
                    // SAFETY: both are open; this child never uses the old one again but in error.
                    let number = unsafe { nix::libc::dup2(source, number) };
                    assert!(number >= 0);
                    std::mem::forget(other);
                } else {
                    // SAFETY: closes what this process never uses again but in error.
                    unsafe { nix::libc::close(number) };
                }
                for error in
                    [participant(&first).is_dead(held).unwrap_err(), participant(&first).registered().unwrap_err()]
                {
                    assert!(
                        error.to_string().contains("descriptor, which somebody has closed"),
                        "reused: {reuse}: {error}"
                    );
                }
                // What the table says needs no descriptor.
                assert!(participant(&first).is_dead(Identity::new(held.slot(), 77)).unwrap());
            });
            child.ends_well();
            assert_eq!(name.taken(), [0, 1]);
        }
    });
}

/// The descriptors of this process that refer to a file, by its number.
fn descriptors(inode: u64) -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter(|entry| fs::metadata(entry.path()).is_ok_and(|file| file.ino() == inode)).count()
}

#[test]
fn an_attachment_with_a_slot_keeps_one_descriptor_and_others_none() {
    let _quiet = undisturbed();
    let name = Name::new(3);
    let first = name.create().unwrap();
    let inode = fs::metadata(name.path()).unwrap().ino();
    assert_eq!(descriptors(inode), 1);
    let second = name.open().unwrap();
    assert_eq!(descriptors(inode), 2);
    let reader = name.open_read_only().unwrap();
    assert_eq!(descriptors(inode), 2);
    drop((first, second));
    assert_eq!(descriptors(inode), 0);
    drop(reader);
    let mut name = Name::new(3);
    name.0.slots = None;
    let _without = name.create().unwrap();
    assert_eq!(descriptors(fs::metadata(name.path()).unwrap().ino()), 0);
}

#[test]
fn slots_are_the_bytes_that_the_format_says() {
    let name = Name::new(MAX_SLOTS);
    let _attachments = [name.create().unwrap(), name.open().unwrap(), name.open_read_only().unwrap()];
    let inode = format!(":{} ", fs::metadata(name.path()).unwrap().ino());
    let held = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let own = locks.lines().filter(|line| line.contains("OFDLCK"));
        let mut held: Vec<String> = own.filter_map(|line| Some(line.split_once(&inode)?.1.to_owned())).collect();
        held.sort_unstable();
        held
    };
    let (life, slot) = (1_u64 << 62, (1_u64 << 62) + 16);
    let expected = [life, life, life, slot, slot + 1].map(|byte| format!("{byte} {byte}"));
    // The list is not read at one instant: while others let go of their locks, some are left out.
    let complete = (0..1000).any(|_| held() == expected);
    assert!(complete, "{:?} and not {expected:?}", held());
}

#[test]
fn unnamed_segments_have_slots_too() {
    alone("unnamed_segments_have_slots_too", || {
        let mut name = Name::new(2);
        name.0.name = None;
        name.0.unnamed = true;
        let first = name.create().unwrap();
        let sent = || first.descriptor().unwrap().as_fd().try_clone_to_owned().unwrap();
        let second = attach_descriptor(&name.0, sent(), &|_, _| Ok(())).unwrap();
        assert_eq!((me(&first).slot(), me(&second).slot()), (0, 1));
        assert!(!is_dead(&first, me(&second)) && !is_dead(&second, me(&first)));
        let full = attach_descriptor(&name.0, sent(), &|_, _| Ok(())).unwrap_err();
        assert_eq!(*full.kind(), ErrorKind::SlotsExhausted { slots: 2 });
        let held = me(&second);
        drop(second);
        assert!(is_dead(&first, held));
        let child = Child::new(|_| {
            assert_eq!(participant(&first).registered().unwrap().slot(), 1);
        });
        child.ends_well();
        let mut other = Child::new(|line| {
            let attachment = attach_descriptor(&name.0, sent(), &|_, _| Ok(())).unwrap();
            line.say(me(&attachment).to_bits());
            line.wait_for_the_end();
        });
        let held = other.line.hear_identity();
        assert!(!is_dead(&first, held));
        other.end_by_sigkill();
        assert!(is_dead(&first, held));
        std::mem::forget(name);
    });
}

#[test]
fn what_nobody_is_attached_to_stays_as_it_was_found() {
    alone("what_nobody_is_attached_to_stays_as_it_was_found", || {
        let name = Name::new(1);
        let mut creator = Child::new(|line| {
            let attachment = name.create().unwrap();
            line.say(me(&attachment).generation());
            line.wait_for_the_end();
        });
        assert_eq!(creator.line.hear(), "1");
        creator.end_by_sigkill();
        let orphan = Directory::open(&name.path(), Access::ReadWrite).unwrap();
        assert!(orphan.lock(LockBytes::slot(0), Lock::Exclusive).unwrap());
        assert_eq!(*name.open().unwrap_err().kind(), ErrorKind::SlotsExhausted { slots: 1 });
        assert!(name.is_there(), "an attempt that failed has removed an orphan");
        drop(orphan);
        assert_eq!(me(&name.open().unwrap()).generation(), 2);
    });
}

#[test]
fn without_descriptors_nothing_is_published_and_nothing_left() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    alone("without_descriptors_nothing_is_published_and_nothing_left", || {
        let name = Name::new(2);
        let first = name.create().unwrap();
        let other = Name::new(2);
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        // So that there is one descriptor left, for the file, and none for the slot.
        let free = fs::File::open("/dev/null").unwrap().as_raw_fd();
        setrlimit(Resource::RLIMIT_NOFILE, free as u64 + 1, hard).unwrap();
        let (created, opened) = (other.create().unwrap_err(), name.open().unwrap_err());
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(*created.kind(), ErrorKind::TooManyFiles);
        assert_eq!(*opened.kind(), ErrorKind::TooManyFiles);
        assert!(!other.is_there());
        assert_eq!(name.taken(), [0]);
        drop(first);
        assert!(!name.is_there());
    });
}

#[test]
fn where_a_mapping_does_not_keep_a_lock_slots_are_unsupported() {
    let script = "mount -t tmpfs tmpfs /dev/shm && cd /dev/shm && mkdir lower upper work merged && \
                  mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script];
    alone_under(&wrapper, &format!("{HERE}where_a_mapping_does_not_keep_a_lock_slots_are_unsupported"), || {
        let unsupported = ErrorKind::Unsupported {
            what: "locks on this file system: a mapping does not keep the kernel's lock on its file",
        };
        let mut name = Name::new(2);
        let _in_memory = name.create().unwrap();
        let from = name.path();
        name.0.set_directory("/dev/shm/merged".into());
        assert_eq!(*name.create().unwrap_err().kind(), unsupported);
        assert_eq!(fs::read_dir("/dev/shm/merged").unwrap().count(), 0, "nothing is left of it");

        fs::copy(&from, name.path()).unwrap();
        assert_eq!(*name.open().unwrap_err().kind(), unsupported);
        let reader = name.open_read_only().unwrap();
        assert!(reader.participant().is_none());
        let info = crate::SegmentDirectory::new("/dev/shm/merged").inspect(reader.name()).unwrap();
        assert_eq!(info.slots.unwrap().taken, []);
    });
}

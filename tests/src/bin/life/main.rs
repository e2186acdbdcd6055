//! The other process of the tests of the life cycle: does what its arguments say and reports by lines.

mod exit;
mod fork;

use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use shmtypes::{Detached, ErrorKind, Persist, Result, SegmentDirectory, ShmArray};
use shmtypes_tests::life::{Barrier, ELEMENTS, elements_of, fill, is_as_published, is_complete, options};
use std::fs;
use std::io::{Write, stdin, stdout};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

fn main() {
    // Many of these processes end by signals on purpose.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).expect("no core files");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    obey(&words);
}

fn obey(words: &[&str]) {
    match words {
        ["as-nobody", rest @ ..] => {
            become_nobody();
            obey(rest);
        }
        ["life", kind, folder, name] => life(kind, folder, name),
        ["create", kind, folder, name] => hold(create(kind, folder, name).expect("create")),
        ["attach", folder, name] => hold(options(folder, name).open().expect("attach")),
        ["read", folder, name] => {
            let array = options::<u64>(folder, name).open_read_only().expect("attach");
            println!("attached {}", is_complete(&array));
            wait_for_end_of_input();
            println!("{:?}", array.close().expect("close"));
        }
        ["inspect", folder, name] => {
            println!("begin");
            let info = SegmentDirectory::new(folder).inspect(name).expect("inspect");
            println!("end {}", info.attached);
        }
        ["reap", folder] => {
            let reaped = SegmentDirectory::new(folder).reap().expect("reap");
            println!("removed {:?}, left for owner {:?}", reaped.removed, reaped.left_for_owner);
        }
        ["create-on-and-on", folder, name] => create_on_and_on(folder, name),
        ["attach-on-and-on", folder, name] => attach_on_and_on(folder, name),
        ["come-and-go", folder, name, place] => come_and_go(folder, name, place.parse().expect("a number")),
        ["reap-on-and-on", folder] => reap_on_and_on(folder),
        ["create-and-drop", folder] => create_and_drop(folder),
        ["leave-together", folder, barrier, parties, rounds] => {
            let barrier = Barrier::join(Path::new(barrier), parties.parse().expect("a number"));
            leave_together(folder, barrier, parties.parse().expect("a number"), rounds.parse().expect("a number"));
        }
        ["open-or-create", folder, name] => open_or_create(folder, name),
        ["spawn-and-create", folder, rounds] => spawn_and_create(folder, rounds.parse().expect("a number")),
        ["descriptors", folder] => descriptors(folder),
        ["list-descriptors"] => list_descriptors(),
        ["from-input"] => from_input(),
        ["fork", order, how, folder, name] => fork::run(order, how, folder, name),
        ["exit", role, how, folder, name] => exit::run(role, how, folder, name),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// Becomes the user that owns nothing, for good.
fn become_nobody() {
    let (user, group) = (Uid::from_raw(65534), Gid::from_raw(65534));
    setgroups(&[]).expect("leave all groups: these tests need root");
    setresgid(group, group, group).expect("change the group");
    setresuid(user, user, user).expect("change the user");
    // A process that changed its user may not look into its own /proc until it says so, or executes a program.
    set_dumpable(true).expect("be an ordinary process");
}

pub(crate) fn create(kind: &str, folder: &str, name: &str) -> Result<ShmArray<u64>> {
    let options = match kind {
        "small" => return options(folder, name).create(elements_of(kind)),
        "plain" => options(folder, name),
        "mode-666" => options(folder, name).mode(0o666),
        "mode-644" => options(folder, name).mode(0o644),
        "keep" => options(folder, name).persist(Persist::Keep),
        "prefault" => options(folder, name).prefault(true),
        "huge" => options(folder, name).huge_pages(true),
        other => panic!("unknown kind {other:?}"),
    };
    options.create_with(ELEMENTS, fill)
}

/// A whole life: create, attach, look, detach, remove.
fn life(kind: &str, folder: &str, name: &str) {
    let live = || -> Result<Detached> {
        let array = create(kind, folder, name)?;
        let second = options::<u64>(folder, name).open()?;
        assert!(is_as_published(kind, &second), "attached to something half-made");
        SegmentDirectory::new(folder).inspect(name)?;
        second.close()?;
        array.close()
    };
    println!("begin");
    match live() {
        Ok(detached) => println!("end {detached:?}"),
        Err(error) => println!("end {:?}", error.kind()),
    }
}

fn hold(array: ShmArray<u64>) {
    println!("attached {}", is_complete(&array));
    wait_for_end_of_input();
    println!("{:?}", array.close().expect("close"));
}

/// Publishes and drops segments until it is killed.
fn create_on_and_on(folder: &str, name: &str) {
    println!("creating");
    loop {
        match create("plain", folder, name) {
            Ok(array) => drop(array),
            // Another creator has the name.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Attaches to whatever has the name until its input closes, and looks at all of it.
fn attach_on_and_on(folder: &str, name: &str) {
    let options = options::<u64>(folder, name);
    let stop = input_closes();
    let (mut attempts, mut attached, mut half_made) = (0_u64, 0_u64, 0_u64);
    println!("attaching");
    while !stop.load(Relaxed) {
        attempts += 1;
        match options.open() {
            Ok(array) => {
                attached += 1;
                half_made += u64::from(!is_complete(&array));
            }
            // On a busy machine a remover may be without a processor for longer than is waited for it.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
    println!("{attempts} {attached} {half_made}");
}

/// Attaches to a name that others also create and remove all the time. While attached, the name must denote the segment
/// that this process holds, or a remover took it from under it.
fn come_and_go(folder: &str, name: &str, place: usize) {
    let options = options::<u64>(folder, name);
    let stop = input_closes();
    let (mut cycles, mut created) = (0_u64, 0_u64);
    println!("going");
    while !stop.load(Relaxed) {
        cycles += 1;
        let array = options.open_or_create(ELEMENTS).expect("open or create");
        created += u64::from(array.get(ELEMENTS - 1).expect("read") == 0);
        array.set(ELEMENTS - 1, 1).expect("write");
        array.set(place, cycles).expect("write");
        let same = options.open().is_ok_and(|again| again.get(place).expect("read") == cycles);
        if !same {
            println!("split after {cycles}");
            wait_for_end_of_input();
            return;
        }
    }
    println!("{cycles} {created}");
}

fn reap_on_and_on(folder: &str) {
    let directory = SegmentDirectory::new(folder);
    let stop = input_closes();
    let (mut reaps, mut removed) = (0_u64, 0_usize);
    println!("reaping");
    while !stop.load(Relaxed) {
        reaps += 1;
        removed += directory.reap().expect("reap").removed.len();
    }
    println!("{reaps} {removed}");
}

/// Creates and drops segments under a few names until its input closes.
fn create_and_drop(folder: &str) {
    let stop = input_closes();
    let mut cycles = 0_u64;
    println!("going");
    while !stop.load(Relaxed) {
        let name = format!("{}-{}", std::process::id(), cycles % 7);
        let array = create("plain", folder, &name).expect("create");
        assert!(Path::new(folder).join(&name).exists(), "the name was taken from under its owner");
        // A reaper may come between the end of the attachment and the removal.
        let detached = array.close().expect("close");
        assert!(matches!(detached, Detached::Removed | Detached::NameGone), "{detached:?}");
        cycles += 1;
    }
    println!("{cycles}");
}

/// All parties attach to one segment, and detach at one instant. Then the name must be gone.
fn leave_together(folder: &str, mut barrier: Barrier, parties: u64, rounds: u64) {
    let (mut removed, mut leaked, mut apart) = (0_u64, 0_u64, 0_u64);
    for round in 0..rounds {
        let name = format!("round-{}", round % 3);
        let options = options::<AtomicU64>(folder, &name);
        let array = options.open_or_create(1).expect("open or create");
        array.at(0).fetch_add(1, SeqCst);
        barrier.wait();
        apart += u64::from(array.at(0).load(SeqCst) != parties);
        barrier.wait();
        removed += u64::from(array.close().expect("close") == Detached::Removed);
        barrier.wait();
        leaked += u64::from(Path::new(folder).join(&name).exists());
        barrier.wait();
    }
    println!("{removed} {leaked} {apart}");
}

/// Races others for the name, and says whether its array was there first.
fn open_or_create(folder: &str, name: &str) {
    let options = options::<AtomicU64>(folder, name);
    println!("ready");
    let mut line = String::new();
    while stdin().read_line(&mut line).expect("read input") > 0 {
        let array = options.open_or_create(ELEMENTS).expect("open or create");
        println!("{}", array.at(0).fetch_add(1, SeqCst));
        line.clear();
        stdin().read_line(&mut line).expect("read input");
        drop(array);
        println!("left");
        line.clear();
    }
}

/// Creates and drops segments while threads spawn processes all the time, each of which holds copies of this one's
/// mappings and descriptors for a moment.
fn spawn_and_create(folder: &str, rounds: usize) {
    let stop = AtomicBool::new(false);
    let (mut removed, mut ghosts) = (0, 0);
    let spawned: usize = std::thread::scope(|scope| {
        let spawners: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut spawned = 0;
                    while !stop.load(Relaxed) {
                        Command::new("true").status().expect("spawn");
                        spawned += 1;
                    }
                    spawned
                })
            })
            .collect();
        for round in 0..rounds {
            let array = create("plain", folder, &format!("segment-{round}")).expect("create");
            match array.close().expect("close") {
                Detached::Removed => removed += 1,
                Detached::StillInUse => ghosts += 1,
                other => panic!("{other:?}"),
            }
        }
        stop.store(true, Relaxed);
        spawners.into_iter().map(|spawner| spawner.join().expect("join")).sum()
    });
    let left = fs::read_dir(folder).expect("list").count();
    println!("{removed} {ghosts} {spawned} {left}");
    let reaped = SegmentDirectory::new(folder).reap().expect("reap");
    println!("{} {}", reaped.removed.len(), fs::read_dir(folder).expect("list").count());
}

/// Holds segments of every kind, and becomes a program that lists the descriptors it got.
fn descriptors(folder: &str) {
    use std::os::unix::process::CommandExt;
    let named = create("plain", folder, "named").expect("create");
    let opened = options::<u64>(folder, "named").open().expect("open");
    let huge = create("huge", folder, "huge").expect("create");
    let unnamed = ShmArray::<u64>::options().unnamed().create(ELEMENTS).expect("create");
    let segments = SegmentDirectory::new(folder).list().expect("list").segments.len();
    println!("{segments} segments, descriptor for the unnamed one: {}", unnamed.as_fd().is_some());
    print_descriptors("holding");
    let error = Command::new(std::env::current_exe().expect("own path")).arg("list-descriptors").exec();
    drop((named, opened, huge, unnamed));
    panic!("exec: {error}");
}

fn list_descriptors() {
    print_descriptors("after exec");
}

/// One line with what the descriptors beyond the standard three refer to.
fn print_descriptors(when: &str) {
    let entries: Vec<_> = fs::read_dir("/proc/self/fd").expect("list descriptors").flatten().collect();
    let open = entries.iter().filter_map(|entry| {
        let number: u32 = entry.file_name().to_string_lossy().parse().expect("a number");
        let target = fs::read_link(entry.path()).ok()?;
        // This process may have been given others of the test's own.
        let ours = target.starts_with("/dev/shm") || target.starts_with("/memfd:shmtypes (deleted)");
        (number > 2 && ours).then(|| target.display().to_string())
    });
    println!("{when}: {:?}", open.collect::<Vec<_>>());
}

/// Attaches through the descriptor that is its standard input.
fn from_input() {
    let descriptor = stdin().as_fd().try_clone_to_owned().expect("duplicate");
    let file = fs::File::from(descriptor.try_clone().expect("duplicate"));
    let array = ShmArray::<u64>::from_fd(descriptor).expect("attach");
    println!("complete {}", is_complete(&array));
    for length in [0, 1 << 30] {
        println!("{:?}", file.set_len(length).map_err(|error| error.kind()));
    }
    array.set(0, 4711).expect("write");
    println!("{:?}", array.close().expect("close"));
}

fn wait_for_end_of_input() {
    let mut line = String::new();
    while stdin().read_line(&mut line).expect("read input") > 0 {}
}

/// A flag that is set when the input closes.
fn input_closes() -> Arc<AtomicBool> {
    let closed = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&closed);
    std::thread::spawn(move || {
        wait_for_end_of_input();
        flag.store(true, Relaxed);
    });
    closed
}

/// Prints a line whose process may end in any way right after it.
pub(crate) fn say(line: &str) {
    println!("{line}");
    stdout().flush().expect("flush");
}

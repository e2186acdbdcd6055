//! Registries that somebody has forged: reaping one removes what its owner could have removed, and nothing else.

use super::{MANAGER, Owner, World, is_gone, pid, signal, until};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shmtypes_tests::peer::Peer;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENTRY: usize = 280;
const NOBODY: u32 = 65534;
const DATA_OFFSET: u64 = 48;

/// One entry, of any contents.
#[derive(Clone, Debug)]
struct Entry {
    inode: u64,
    device: u64,
    kind: u16,
    name_bytes: u16,
    name: Vec<u8>,
}

impl Entry {
    /// For what stands at a path, under this name.
    fn of(path: &Path, name: &str) -> Self {
        let status = fs::symlink_metadata(path).unwrap();
        Self { inode: status.ino(), device: status.dev(), ..Self::named(1, name) }
    }

    fn named(kind: u16, name: &str) -> Self {
        Self { inode: u64::MAX, device: u64::MAX, kind, name_bytes: name.len() as u16, name: name.into() }
    }

    fn bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.inode.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.device.to_ne_bytes());
        bytes[16..18].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[18..20].copy_from_slice(&self.name_bytes.to_ne_bytes());
        let len = self.name.len().min(ENTRY - 20);
        bytes[20..20 + len].copy_from_slice(&self.name[..len]);
        bytes
    }
}

/// The registry of a manager that was killed, and its bytes.
struct Orphan {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Orphan {
    fn new(world: &World) -> Self {
        let manager = world.options().address(shmtypes::manager::Address::Unix(world.temp.file("s"))).start().unwrap();
        signal(pid(&manager), Signal::SIGKILL);
        until("the manager has ended", || is_gone(pid(&manager)));
        fs::remove_file(world.temp.file("s")).unwrap();
        // Its owner would clean up.
        std::mem::forget(manager);
        let [registry] = &world.folder.left()[..] else { panic!("{:?}", world.folder.left()) };
        let path = world.folder.file(registry);
        Self { bytes: fs::read(&path).unwrap(), path }
    }

    /// Puts the registry there again, with these bytes as its entries.
    fn write(&self, entries: &[u8]) {
        let mut bytes = self.bytes.clone();
        let start = u64::from_ne_bytes(bytes[DATA_OFFSET as usize..][..8].try_into().unwrap()) as usize;
        bytes[start..start + entries.len()].copy_from_slice(entries);
        let _ = fs::remove_file(&self.path);
        fs::write(&self.path, bytes).unwrap();
    }

    fn forge(&self, entries: &[Entry]) {
        self.write(&entries.iter().flat_map(Entry::bytes).collect::<Vec<u8>>());
    }

    /// Stores a number of the header.
    fn patch(&self, offset: u64, value: u64) {
        fs::File::options().write(true).open(&self.path).unwrap().write_all_at(&value.to_ne_bytes(), offset).unwrap();
    }
}

#[test]
fn an_entry_leads_to_nothing_but_a_file_of_its_numbers_in_the_directory() {
    let world = World::new();
    let orphan = Orphan::new(&world);
    let own = |name: &str| {
        fs::write(world.folder.file(name), name).unwrap();
        world.folder.file(name)
    };
    let outside = world.temp.file("outside");
    fs::write(&outside, "x").unwrap();
    let temp = world.temp.path().file_name().unwrap().to_str().unwrap();
    let right = own("right");
    let wrong = own("wrong");
    fs::create_dir(world.folder.file("directory")).unwrap();
    symlink("wrong", world.folder.file("link")).unwrap();
    nix::unistd::mkfifo(&world.folder.file("fifo"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let _socket = UnixListener::bind(world.folder.file("socket")).unwrap();
    let kind = |kind| Entry { kind, ..Entry::of(&wrong, "wrong") };
    let mut entries = vec![
        Entry::of(&right, "right"),
        // Free.
        Entry { inode: 0, ..Entry::of(&wrong, "wrong") },
        Entry { inode: u64::MAX, ..Entry::of(&wrong, "wrong") },
        Entry { device: 0, ..Entry::of(&wrong, "wrong") },
        Entry::of(&right, "wrong"),
        kind(0),
        kind(2),
        kind(3),
        kind(u16::MAX),
        Entry::of(&outside, &format!("../{temp}/outside")),
        Entry::of(&outside, outside.to_str().unwrap()),
        Entry::of(&wrong, "./wrong"),
        Entry::of(&wrong, "wrong/"),
        Entry::of(&wrong, "wrong\0"),
        Entry { name_bytes: u16::MAX, ..Entry::of(&wrong, "wrong") },
        Entry { name_bytes: 261, ..Entry::of(&wrong, "wrong") },
        Entry { name_bytes: 0, ..Entry::of(&wrong, "wrong") },
        Entry { name: vec![0xff; 260], name_bytes: 260, ..Entry::of(&wrong, "wrong") },
    ];
    entries.extend(["", ".", ".."].map(|name| Entry::of(world.folder.path(), name)));
    entries.extend(["directory", "link", "fifo", "socket"].map(|name| Entry::of(&world.folder.file(name), name)));
    // The registry itself.
    entries.push(Entry::of(&orphan.path, orphan.path.file_name().unwrap().to_str().unwrap()));
    orphan.forge(&entries);
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), ["directory", "fifo", "link", "socket", "wrong"]);
    assert_eq!(world.temp.left(), ["outside"]);
}

#[test]
fn files_of_other_users_go_with_registries_of_roots_alone() {
    assert!(nix::unistd::geteuid().is_root(), "run the tests as root: this one gives files away");
    let world = World::new();
    let orphan = Orphan::new(&world);
    for (registry, file, stays) in [(NOBODY, 0, true), (NOBODY, NOBODY, false), (0, NOBODY, false), (NOBODY, 1, true)] {
        let victim = world.folder.file("victim");
        fs::write(&victim, "x").unwrap();
        chown(&victim, Some(file), None).unwrap();
        let directory = world.temp.file("shmtypes-manager-x");
        fs::create_dir(&directory).unwrap();
        drop(UnixListener::bind(directory.join("socket")).unwrap());
        chown(directory.join("socket"), Some(file), None).unwrap();
        chown(&directory, Some(file), None).unwrap();
        orphan.forge(&[Entry::of(&victim, "victim"), Entry::named(2, directory.join("socket").to_str().unwrap())]);
        chown(&orphan.path, Some(registry), None).unwrap();
        world.folder.segments().reap().unwrap();
        assert_eq!(victim.exists(), stays, "a registry of {registry}, a file of {file}");
        assert_eq!(directory.join("socket").exists(), file != registry, "a registry of {registry}, a socket of {file}");
        let _ = fs::remove_dir_all(&directory);
        let _ = fs::remove_file(&victim);
    }
}

/// In a directory in which everybody may remove everything.
#[test]
fn a_manager_removes_no_file_of_another_user_that_a_client_has_announced() {
    assert!(nix::unistd::geteuid().is_root(), "run the tests as root: this one starts a manager of another user");
    let world = World::new();
    for folder in [&world.folder, &world.temp] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let manager = world.under(&["setpriv", "--reuid", "65534", "--clear-groups"]).start().unwrap();
    let block = manager.shared_memory(100).unwrap();
    let error = manager.release(block.name()).unwrap_err();
    assert!(error.to_string().contains("PermissionError"), "{error}");
    assert!(world.exists(block.name()));
    drop(manager);
    assert_eq!(world.folder.left(), [block.name()]);
}

#[test]
fn a_socket_is_removed_from_a_manager_s_directory_alone() {
    let world = World::new();
    let orphan = Orphan::new(&world);
    let bind = |path: PathBuf| drop(UnixListener::bind(path).unwrap());
    let make = |name: &str| {
        let path = world.temp.file(name);
        fs::create_dir(&path).unwrap();
        path
    };
    bind(make("shmtypes-manager-right").join("socket"));
    bind(make("other").join("socket"));
    bind(make("shmtypes-manager-name").join("another"));
    fs::write(make("shmtypes-manager-file").join("socket"), "x").unwrap();
    let more = make("shmtypes-manager-more");
    bind(more.join("socket"));
    fs::write(more.join("more"), "x").unwrap();
    symlink("other", world.temp.file("shmtypes-manager-link")).unwrap();
    bind(world.temp.file("socket"));
    let path = |text: &str| Entry::named(2, &format!("{}/{text}", world.temp.path().display()));
    let entries = [
        path("shmtypes-manager-right/socket"),
        path("shmtypes-manager-absent/socket"),
        path("other/socket"),
        path("shmtypes-manager-name/another"),
        path("shmtypes-manager-file/socket"),
        path("shmtypes-manager-more/socket"),
        path("shmtypes-manager-link/socket"),
        path("shmtypes-manager-more/../socket"),
        path("shmtypes-manager-more/.."),
        path("socket"),
        path("shmtypes-manager-more/socket\0"),
        Entry::named(2, "shmtypes-manager-right/socket"),
        Entry::named(2, "/"),
        Entry::named(2, ""),
    ];
    orphan.forge(&entries);
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), [""; 0]);
    let left = [
        "other",
        "shmtypes-manager-file",
        "shmtypes-manager-link",
        "shmtypes-manager-more",
        "shmtypes-manager-name",
        "socket",
    ];
    assert_eq!(world.temp.left(), left);
    assert!(world.temp.file("other/socket").exists());
    assert!(world.temp.file("shmtypes-manager-name/another").exists());
    assert!(!more.join("socket").exists() && more.join("more").exists());
}

#[test]
fn a_registry_that_is_none_is_left_alone() {
    const TOTAL_BYTES: u64 = 32;
    const DATA_BYTES: u64 = 56;
    const ELEMENT_BYTES: u64 = 80;
    const CAPACITY: u64 = 96;
    const SHAPE: u64 = 104;
    let world = World::new();
    let orphan = Orphan::new(&world);
    let victim = world.folder.file("victim");
    fs::write(&victim, "x").unwrap();
    let forge = || orphan.forge(&vec![Entry::of(&victim, "victim"); 256]);
    let start = u64::from_ne_bytes(orphan.bytes[DATA_OFFSET as usize..][..8].try_into().unwrap());

    // Entries of another size.
    forge();
    for (offset, value) in [(ELEMENT_BYTES, 140), (CAPACITY, 512), (SHAPE, 512)] {
        orphan.patch(offset, value);
    }
    world.folder.segments().reap().unwrap();
    assert!(victim.exists() && orphan.path.exists());

    // More of them than any manager writes, most of them a hole.
    let entries = 16385;
    forge();
    let file = fs::File::options().write(true).open(&orphan.path).unwrap();
    file.set_len(start + entries * ENTRY as u64).unwrap();
    for (offset, value) in [
        (TOTAL_BYTES, start + entries * ENTRY as u64),
        (DATA_BYTES, entries * ENTRY as u64),
        (CAPACITY, entries),
        (SHAPE, entries),
    ] {
        orphan.patch(offset, value);
    }
    world.folder.segments().reap().unwrap();
    assert!(victim.exists() && orphan.path.exists());

    // Cut off at any place.
    for length in [0, 1, 383, 384, start - 1, start, start + 1, start + 279, start + 281, start + 3000] {
        forge();
        fs::File::options().write(true).open(&orphan.path).unwrap().set_len(length).unwrap();
        world.folder.segments().reap().unwrap();
        assert!(victim.exists() && orphan.path.exists(), "cut off at {length}");
    }
    forge();
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), [""; 0], "as it was, it would have been one");
}

fn lock_name(file: &fs::File) {
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as i16,
        l_whence: 0,
        // docs/format.md: the byte of the name.
        l_start: (1 << 62) + 1,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).unwrap();
}

/// Of how many registries there are. What is counted is how often the reaper falls asleep, for 50 µs each time.
#[test]
fn a_reaper_is_as_patient_with_many_registries_as_with_one() {
    let world = World::new();
    let orphan = Orphan::new(&world);
    let mut files = Vec::new();
    for number in 0..16 {
        let names: Vec<String> = (0..8).map(|index| format!("file-{number}-{index}")).collect();
        for name in &names {
            let file = fs::File::create_new(world.folder.file(name)).unwrap();
            lock_name(&file);
            files.push(file);
        }
        orphan.forge(&names.iter().map(|name| Entry::of(&world.folder.file(name), name)).collect::<Vec<_>>());
        fs::copy(&orphan.path, world.folder.file(&format!("registry-{number}"))).unwrap();
    }
    let sleeps = || getrusage(UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches();
    let before = sleeps();
    world.folder.segments().reap().unwrap();
    let slept = sleeps() - before;
    println!("asleep {slept} times");
    // 8 times a tenth of a second.
    assert!(slept <= 16_000 + 1000, "{slept}");
    drop(files);
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), [""; 0]);
}

/// Registries beside that of a manager that runs, with a name and a header like its own.
fn beside(world: &World, count: usize) -> Vec<Orphan> {
    let [registry] = &world.folder.left()[..] else { panic!("{:?}", world.folder.left()) };
    let bytes = fs::read(world.folder.file(registry)).unwrap();
    let (prefix, _) = registry.rsplit_once('-').unwrap();
    let path = |number| world.folder.file(&format!("{prefix}-x{number}"));
    (0..count).map(|number| Orphan { path: path(number), bytes: bytes.clone() }).collect()
}

/// Of how many registries somebody has forged. Counted as above.
#[test]
fn an_owner_is_as_patient_with_many_registries_as_with_one() {
    let world = World::new();
    let manager = world.start();
    let mut files = Vec::new();
    for (number, forged) in beside(&world, 16).iter().enumerate() {
        let names: Vec<String> = (0..8).map(|index| format!("file-{number}-{index}")).collect();
        for name in &names {
            let file = fs::File::create_new(world.folder.file(name)).unwrap();
            lock_name(&file);
            files.push(file);
        }
        forged.forge(&names.iter().map(|name| Entry::of(&world.folder.file(name), name)).collect::<Vec<_>>());
        // The name of the registry itself, too.
        let file = fs::File::options().write(true).open(&forged.path).unwrap();
        lock_name(&file);
        files.push(file);
    }
    signal(pid(&manager), Signal::SIGKILL);
    until("the manager has ended", || is_gone(pid(&manager)));
    let sleeps = || getrusage(UsageWho::RUSAGE_THREAD).unwrap().voluntary_context_switches();
    let before = sleeps();
    drop(manager);
    let slept = sleeps() - before;
    println!("asleep {slept} times");
    // 8 times a tenth of a second.
    assert!(slept <= 16_000 + 1000, "{slept}");
    assert_eq!(world.folder.left().len(), 16 * 9, "all but the manager's own");
    drop(files);
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), [""; 0]);
}

/// In a directory in which everybody may remove everything.
#[test]
fn an_owner_leaves_the_registries_of_other_users_alone() {
    assert!(nix::unistd::geteuid().is_root(), "run the tests as root: this one starts an owner of another user");
    let world = World::new();
    for folder in [&world.folder, &world.temp] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &NOBODY.to_string(), "--clear-groups", MANAGER, "own", world.folder()]);
    command.env("TMPDIR", world.temp.path());
    let mut owner = Owner::from(Peer::spawn(command));
    for (forged, user) in beside(&world, 2).iter().zip([NOBODY, 1]) {
        let victim = world.folder.file(&format!("victim-{user}"));
        fs::write(&victim, "x").unwrap();
        forged.forge(&[Entry::of(&victim, victim.file_name().unwrap().to_str().unwrap())]);
        for path in [&victim, &forged.path] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
            chown(path, Some(user), None).unwrap();
        }
    }
    signal(owner.manager, Signal::SIGKILL);
    owner.until_the_manager_has_ended();
    owner.run("drop");
    let left = world.folder.left();
    assert!(left.len() == 2 && left[0].ends_with("-x1") && left[1] == "victim-1", "{left:?}");
}

#[test]
fn names_that_somebody_keeps_locked_do_not_keep_a_reaper() {
    let world = World::new();
    let orphan = Orphan::new(&world);
    let names: Vec<String> = (0..40).map(|number| format!("file-{number}")).collect();
    let files: Vec<fs::File> =
        names.iter().map(|name| fs::File::create_new(world.folder.file(name)).unwrap()).collect();
    files[..20].iter().for_each(lock_name);
    orphan.forge(&names.iter().map(|name| Entry::of(&world.folder.file(name), name)).collect::<Vec<_>>());
    // Each of them costs a tenth of a second, but for those that come when that has happened too often.
    world.folder.segments().reap().unwrap();
    assert!(orphan.path.exists());
    assert_eq!(world.folder.left().len(), 1 + 20);
    drop(files);
    world.folder.segments().reap().unwrap();
    assert_eq!(world.folder.left(), [""; 0]);
}

#[test]
fn any_bytes_as_entries_remove_only_what_they_name_exactly() {
    let world = World::new();
    let orphan = Orphan::new(&world);
    let names = ["a", "b", "c"];
    let entry = (0..5_usize, 0..4_usize, 0..4_u16, 0..4_usize, any::<u64>(), any::<u16>(), any::<Vec<u8>>());
    let strategy = proptest::collection::vec(entry, 0..16);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&strategy, |choices| {
        for name in names {
            fs::write(world.folder.file(name), name).unwrap();
        }
        let mut expected = vec![true; names.len()];
        let entries: Vec<Entry> = choices
            .iter()
            .map(|(name, of, kind, size, number, short, bytes)| {
                let text = names.get(*name).copied().unwrap_or("../a");
                let mut entry = match names.get(*of) {
                    Some(of) => Entry::of(&world.folder.file(of), text),
                    None => Entry { inode: *number, ..Entry::named(1, text) },
                };
                entry.kind = *kind;
                if *size == 0 {
                    entry.name_bytes = *short;
                } else if *size == 1 {
                    entry.name = bytes.clone();
                }
                let is_exact = *kind == 1
                    && *name == *of
                    && *name < names.len()
                    && entry.name.starts_with(text.as_bytes())
                    && usize::from(entry.name_bytes) == text.len();
                if is_exact {
                    expected[*name] = false;
                }
                entry
            })
            .collect();
        orphan.forge(&entries);
        world.folder.segments().reap().unwrap();
        let exist: Vec<bool> = names.iter().map(|name| world.exists(name)).collect();
        prop_assert_eq!(exist, expected, "{:?}", entries);
        prop_assert!(!orphan.path.exists());
        Ok(())
    });
    outcome.unwrap();
    // Bytes without any structure.
    let strategy = proptest::collection::vec(any::<u8>(), 0..20 * ENTRY);
    let outcome = runner.run(&strategy, |bytes| {
        for name in names {
            fs::write(world.folder.file(name), name).unwrap();
        }
        orphan.write(&bytes);
        world.folder.segments().reap().unwrap();
        prop_assert!(names.iter().all(|name| world.exists(name)) && !orphan.path.exists());
        Ok(())
    });
    outcome.unwrap();
}

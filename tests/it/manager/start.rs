//! Managers that do not start, and what is said of them.

use super::{MANAGER, Owner, World, is_gone, pid, until};
use nix::sys::signal::Signal;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shmtypes::ErrorKind;
use shmtypes::manager::{Address, SharedMemoryManager};
use shmtypes_tests::peer::Peer;
use shmtypes_tests::trace::{describe, injected, run};
use shmtypes_tests::world::{inside, private_shm};
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[track_caller]
fn reason(result: shmtypes::Result<SharedMemoryManager>) -> String {
    match result.unwrap_err().kind() {
        ErrorKind::ManagerDidNotStart { reason } => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_that_has_not_called_init_is_told_so() {
    let world = World::new();
    let error = SharedMemoryManager::options().dir(world.folder.path()).start().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ManagerNotInitialised);
    assert!(error.hint().unwrap().contains("manager::init()"), "{error}");
    world.assert_empty("not started");
}

#[test]
fn a_program_that_does_not_serve_is_no_manager() {
    let world = World::new();
    let options = || SharedMemoryManager::options().dir(world.folder.path());
    let none: [&str; 0] = [];
    for program in ["true", "false"] {
        let reason = reason(options().program(program, none).start());
        assert!(reason.contains("ended before it served") && reason.contains("`init`"), "{reason}");
    }
    let reason_of = |program: &str, arguments: &[&str]| {
        reason(options().program(program, arguments).timeout(Duration::from_millis(300)).start())
    };
    // Says nothing; goes on although its input was closed.
    for (program, arguments) in
        [("cat", vec![]), ("sleep", vec!["600"]), ("sh", vec!["-c", "exec sleep 600 < /dev/null"])]
    {
        let reason = reason_of(program, &arguments);
        assert!(
            reason.contains("it has said nothing for 300ms") || reason.contains("does not serve"),
            "{program}: {reason}"
        );
    }
    // Answers, but nonsense.
    let reason = reason_of("sh", &["-c", "printf '\\000\\000\\000\\003abc' >&0; exec sleep 600"]);
    assert_eq!(reason, "its answer is none that this program knows");
    // A length of two gigabytes.
    let reason = reason_of("sh", &["-c", "printf '\\177\\377\\377\\377abc' >&0; exec sleep 600"]);
    assert!(reason.contains("does not serve"), "{reason}");
    let missing = options().program("/nonexistent/program", none).start();
    assert_eq!(self::reason(missing), "/nonexistent/program could not be run");
    world.assert_empty("not started");
}

/// It has made its registry and the directory of its socket by then.
#[test]
fn a_manager_that_is_stopped_before_it_listens_leaves_nothing() {
    let world = World::new();
    let stops = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "inject=listen:signal=STOP"];
    let reason = reason(world.under(&stops).timeout(Duration::from_secs(5)).start());
    assert_eq!(reason, "it has said nothing for 5s");
    world.assert_empty("given up");
}

/// As a terminal does to all processes in front. What handles it is the owner; it finds a manager, or an error and nothing
/// left that would be for `reap` to find.
#[test]
fn a_start_that_is_interrupted_or_killed_at_any_system_call_leaves_nothing() {
    let name = "manager::start::a_start_that_is_interrupted_or_killed_at_any_system_call_leaves_nothing";
    inside::<&str>(&[], name, || {
        let (world, logs) = (World::new(), World::new());
        let log = logs.temp.file("log");
        let traced = ["strace", "-qq", "-e", "signal=none", "-o", log.to_str().unwrap()];
        drop(world.under(&traced).start().unwrap());
        let text = fs::read_to_string(log).unwrap();
        let mut counts = std::collections::HashMap::<&str, usize>::new();
        let (mut started, mut failed) = (0, 0);
        for line in text.lines() {
            let Some((call, _)) = line.split_once('(') else { continue };
            let nth = counts.entry(call).or_default();
            *nth += 1;
            if call == "accept4" {
                break;
            }
            // Before that it is another program.
            if !counts.contains_key("recvmsg") || call == "poll" {
                continue;
            }
            for by in ["INT", "KILL"] {
                let injection = format!("inject={call}:signal={by}:when={nth}", nth = counts[call]);
                let trace = format!("trace={call}");
                let words = ["strace", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &injection];
                match world.under(&words).start() {
                    Ok(manager) => {
                        started += 1;
                        drop(manager);
                    }
                    Err(error) => {
                        failed += 1;
                        assert!(error.to_string().contains("the program ended before it served (signal: "), "{error}");
                    }
                }
                world.assert_empty(&format!("{by} at {line}"));
            }
        }
        println!("{started} started, {failed} failed");
        assert!(started > 10 && failed > 20, "{started} started, {failed} failed");
    });
}

#[test]
fn a_start_whose_messages_are_interrupted_goes_on() {
    let world = World::new();
    // Both of the owner and of the manager.
    let injections = ["sendmsg:error=EINTR:when=1", "sendto:error=EINTR:when=1", "recvmsg:error=EINTR:when=1"];
    let mut command = injected(&injections, MANAGER, &["own", world.folder()]);
    let output = run(command.env("TMPDIR", world.temp.path()).stdin(Stdio::null()));
    assert!(output.status.success() && output.stdout.starts_with(b"manager "), "{}", describe(&output));
    world.assert_empty("dropped");
}

#[test]
fn a_manager_that_is_stopped_while_it_starts_is_given_up_and_killed() {
    let world = World::new();
    // Stops itself, and is the manager once somebody lets it go on.
    let script = format!("echo $$ > {}; kill -STOP $$; exec \"$0\"", world.temp.file("pid").display());
    let options = SharedMemoryManager::options().dir(world.folder.path()).program("sh", ["-c", &script, MANAGER]);
    let reason = reason(options.timeout(Duration::from_millis(300)).start());
    assert_eq!(reason, "it has said nothing for 300ms");
    let stopped: i32 = std::fs::read_to_string(world.temp.file("pid")).unwrap().trim().parse().unwrap();
    assert!(is_gone(stopped));
    assert_eq!(world.folder.left(), [""; 0]);
}

#[test]
fn an_address_that_is_taken_is_said_to_be() {
    let world = World::new();
    let tcp: Address = "127.0.0.1:0".parse().unwrap();
    let unix = Address::Unix(world.temp.file("socket"));
    let name = format!("@{}", world.folder.path().display());
    for address in [tcp, unix, name.parse().unwrap()] {
        let manager = world.options().address(&address).start().unwrap();
        let taken = manager.address();
        let reason = reason(world.options().address(taken).start());
        assert!(reason.starts_with(&format!("it cannot listen at {taken}: ")) && reason.contains("in use"), "{reason}");
        let block = SharedMemoryManager::connect(taken, manager.authkey().as_bytes());
        assert_eq!(block.unwrap().segments().unwrap(), [""; 0], "the first one serves on");
        drop(manager);
        world.assert_empty("dropped");
    }
    let missing = Address::Unix(world.temp.file("missing/socket"));
    assert!(reason(world.options().address(missing).start()).contains("No such file"), "a directory is not made");
    world.assert_empty("not started");
}

/// The owner has it all in the error, and may not own the terminal.
#[test]
fn a_manager_that_does_not_start_prints_nothing() {
    let world = World::new();
    let said = world.temp.file("said");
    let script = format!("exec \"$0\" 2> {}", said.display());
    let options = |words: &[&str]| {
        let words: Vec<&str> = ["sh", "-c", &script].iter().chain(words).copied().collect();
        world.under(&words)
    };
    let missing = Address::Unix(world.temp.file("missing/socket"));
    let reason = reason(options(&[]).address(missing).start());
    assert!(reason.contains("No such file"), "{reason}");
    assert_eq!(fs::read_to_string(&said).unwrap(), "");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let world = World::new();
    let long = vec![b'x'; 108];
    let path = |bytes: &[u8]| Address::Unix(std::ffi::OsStr::from_bytes(bytes).into());
    let addresses =
        [path(b""), Address::Abstract(vec![]), path(&[b"/", &*long].concat()), Address::Abstract(long), path(b"/a\0b")];
    for address in addresses {
        let options = world.options().address(address.clone()).authkey(b"key");
        for result in [options.start().map(drop), options.connect().map(drop), options.serve(|_, _| ())] {
            let error = result.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{address:?}: {error:?}");
        }
    }
    for text in ["", "@", "\0", "socket", "@a\\", "@a\\x1", "@a\\q", &format!("@{}", "x".repeat(108))] {
        let error = text.parse::<Address>().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{text:?}: {error:?}");
    }
    world.assert_empty("refused");
}

#[test]
fn an_address_can_be_parsed_from_what_is_shown_of_it() {
    let names = proptest::collection::vec(any::<u8>(), 1..108).prop_map(Address::Abstract);
    let paths = "(/[^/\0]{1,8}){1,3}".prop_map(|path| Address::Unix(path.into()));
    let ports = any::<std::net::SocketAddr>().prop_map(|address| match address {
        // What a router is told is not shown.
        std::net::SocketAddr::V6(address) => {
            std::net::SocketAddrV6::new(*address.ip(), address.port(), 0, address.scope_id()).into()
        }
        address => address,
    });
    let addresses = prop_oneof![names, paths, ports.prop_map(Address::Tcp)];
    let mut runner = TestRunner::new(Config { cases: 2000, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&addresses, |address| {
        let shown = address.to_string();
        prop_assert_eq!(shown.parse::<Address>().ok(), Some(address), "{}", shown);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let literal = Address::Abstract("prices-ü'\"".into());
    assert_eq!("@prices-ü'\"".parse::<Address>().unwrap(), literal);
    assert_eq!("\0a\\x41".parse::<Address>().unwrap(), Address::Abstract(b"a\\x41".to_vec()));
}

#[test]
fn a_manager_is_reached_by_what_is_shown_of_its_address() {
    let world = World::new();
    let name = [b"a\\\0\xff'\n", world.folder().as_bytes()].concat();
    let manager = world.options().address(Address::Abstract(name)).start().unwrap();
    let shown: Address = manager.address().to_string().parse().unwrap();
    let client = SharedMemoryManager::connect(shown, manager.authkey().as_bytes()).unwrap();
    assert_eq!(client.segments().unwrap(), [""; 0]);
}

#[test]
fn a_temporary_directory_with_too_long_a_path_is_said_to_be_one() {
    let world = World::new();
    let long = world.temp.file(&"x".repeat(100));
    let program = ["env".to_owned(), format!("TMPDIR={}", long.display()), MANAGER.to_owned()];
    let options = world.options().program(&program[0], &program[1..]);
    let reason = reason(options.start());
    assert!(reason.contains("bytes too long below") && reason.contains("set TMPDIR to a shorter path"), "{reason}");
    options.address(Address::Unix(world.temp.file("socket"))).start().unwrap();
    world.assert_empty("not started, and dropped");
}

#[test]
fn a_manager_that_ends_leaves_the_socket_of_its_successor() {
    let world = World::new();
    let address = Address::Unix(world.temp.file("socket"));
    let first = world.options().address(&address).start().unwrap();
    std::fs::remove_file(world.temp.file("socket")).unwrap();
    let second = world.options().address(&address).start().unwrap();
    // Its own address leads to the second one, which does not know its key.
    super::signal(pid(&first), Signal::SIGTERM);
    until("the first one has ended", || is_gone(pid(&first)));
    second.shared_memory(100).unwrap();
    drop(second);
    drop(first);
    world.assert_empty("dropped");
}

#[test]
fn a_registry_that_has_no_room_is_no_space() {
    inside(&private_shm("size=64k"), "manager::start::a_registry_that_has_no_room_is_no_space", || {
        let none: [&str; 0] = [];
        let options = SharedMemoryManager::options().program(MANAGER, none);
        // 256 entries of 280 bytes.
        let reason = reason(options.start());
        assert!(reason.contains("no space: "), "{reason}");
        assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
    });
}

#[test]
fn what_the_registry_has_no_room_for_is_refused_and_not_made() {
    let name = "manager::start::what_the_registry_has_no_room_for_is_refused_and_not_made";
    inside(&private_shm("size=200k"), name, || {
        let none: [&str; 0] = [];
        let manager = SharedMemoryManager::options().program(MANAGER, none).start().unwrap();
        // Empty blocks take no room, and the second part of the registry takes 140 KiB.
        let mut made = 0;
        let error = loop {
            match manager.shared_memory(1) {
                Ok(block) => {
                    made += 1;
                    drop(block);
                }
                Err(error) => break error,
            }
            assert!(made < 300, "where is the room?");
        };
        println!("{made}: {error}");
        assert_eq!(manager.segments().unwrap().len(), made);
        manager.release(&manager.segments().unwrap()[0]).unwrap();
        manager.shared_memory(1).unwrap();
        drop(manager);
        assert_eq!(std::fs::read_dir("/dev/shm").unwrap().count(), 0);
    });
}

#[test]
fn a_child_that_was_forked_starts_a_manager_of_its_own() {
    let world = World::new();
    let mut command = Command::new(MANAGER);
    command.args(["start-in-a-fork", world.folder()]).env("TMPDIR", world.temp.path());
    let mut owner = Owner::from(Peer::spawn(command));
    let made = owner.peer.line().unwrap();
    assert!(made.starts_with("ok psm_"), "{made}");
    owner.peer.expect_line("dropped");
    world.assert_empty("dropped in the child");
    assert!(owner.peer.wait().success());
}

#[test]
fn a_program_with_the_variable_set_by_hand_says_what_it_is() {
    for input in [Stdio::null(), Stdio::piped()] {
        let output = Command::new(MANAGER).env("SHMTYPES_MANAGER", "1").stdin(input).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("standard input is not from a program that starts a manager"), "{said}");
    }
}

/// Its environment and its input are whose who started it, who would have it remove files of its user.
#[test]
fn a_program_with_rights_that_its_starter_lacks_is_no_manager() {
    assert!(nix::unistd::geteuid().is_root(), "run the tests as root: this one gives a program to another user");
    let name = "manager::start::a_program_with_rights_that_its_starter_lacks_is_no_manager";
    inside(&private_shm("size=512m,mode=777"), name, || {
        let options = |program: &Path| SharedMemoryManager::options().program(program, [""; 0]);
        let program = Path::new("/dev/shm/program");
        fs::copy(MANAGER, program).unwrap();
        chown(program, Some(65534), None).unwrap();
        // Changing the owner has taken such bits away.
        for (mode, serves) in [(0o755, true), (0o4755, false)] {
            fs::set_permissions(program, Permissions::from_mode(mode)).unwrap();
            let started = options(program).start();
            assert_eq!(started.is_ok(), serves, "{mode:o}: {started:?}");
            if let Err(error) = started {
                assert!(error.to_string().contains("ended before it served"), "{error}");
            }
        }
    });
}

/// It would start itself, and that one itself.
#[test]
fn a_program_that_is_to_be_a_manager_starts_none() {
    let name = "manager::start::a_program_that_is_to_be_a_manager_starts_none";
    inside(&["env", "SHMTYPES_MANAGER=1"], name, || {
        let reason = reason(SharedMemoryManager::options().program("true", [""; 0]).start());
        assert!(reason.contains("let its `main` call `init` first"), "{reason}");
    });
}

#[test]
fn a_socket_that_nobody_can_connect_to_is_refused() {
    let world = World::new();
    let path = world.temp.file("socket");
    let socket = UnixListener::from(OwnedFd::from(UnixDatagram::bind(&path).unwrap()));
    UnixDatagram::unbound().unwrap().send_to(b"hello", &path).unwrap();
    let options = SharedMemoryManager::options().dir(world.folder.path()).authkey(b"key");
    let error = options.serve_on(socket).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidOptions { .. }), "{error}");
    assert_eq!(world.folder.left(), [""; 0]);
}

#[test]
fn no_timeout_is_too_long_or_too_short() {
    let world = World::new();
    let manager = world.options().timeout(Duration::MAX).start().unwrap();
    manager.shared_memory(1).unwrap();
    drop(manager);
    let reason = reason(world.options().timeout(Duration::ZERO).start());
    assert_eq!(reason, "it has said nothing for 0ns");
    assert_eq!(world.names(), [""; 0]);
}

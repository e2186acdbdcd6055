//! Holders that are killed, stopped or forked while they have the slices.

use super::{array, ask, cooperative, talker};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use shmtypes::ErrorKind;
use shmtypes::sync::LockError;
use shmtypes_tests::scratch::Scratch;

#[test]
fn the_death_of_a_writer_with_slices_is_told_to_the_next_writer_once() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, 3);
    let mut writer = talker(&array);
    ask(&mut writer, "write", "Ok");
    ask(&mut writer, "set 1 7", "set");
    writer.kill();

    let Err(LockError::Poisoned(guard)) = array.read() else { panic!("a reader is warned") };
    assert_eq!((&guard[..], guard.is_poisoned()), (&[0, 7, 0][..], true));
    drop(guard);
    assert_eq!(*array.get(1).unwrap_err().kind(), ErrorKind::Poisoned);
    let mut next = talker(&array);
    ask(&mut next, "write", "OwnerDied");
    ask(&mut next, "get", "[0, 7, 0]");
    ask(&mut next, "drop", "dropped");
    let Err(LockError::Poisoned(mut guard)) = array.write() else { panic!("the news was told already") };
    guard[1] = 0;
    drop(guard.recover());
    for order in ["read", "write", "safe-read", "safe-write"] {
        ask(&mut next, order, "Ok");
        ask(&mut next, "get", "[0, 0, 0]");
    }
}

#[test]
fn a_call_without_a_guard_is_told_too() {
    let scratch = Scratch::new();
    let array = array(&scratch, 2);
    let mut writer = talker(&array);
    ask(&mut writer, "safe-write", "Ok");
    ask(&mut writer, "set 0 5", "set");
    writer.kill();
    assert_eq!(*array.set(0, 1).unwrap_err().kind(), ErrorKind::OwnerDied);
    assert_eq!(*array.set(0, 1).unwrap_err().kind(), ErrorKind::Poisoned);
    let Err(LockError::Poisoned(guard)) = array.write() else { panic!("still poisoned") };
    assert_eq!(guard.recover().to_vec().unwrap(), [5, 0]);
}

#[test]
fn readers_share_and_a_killed_one_lets_the_writer_in() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, 2);
    let [mut one, mut two, mut writer] = [(); 3].map(|()| talker(&array));
    let own = array.read().unwrap();
    ask(&mut one, "read", "Ok");
    ask(&mut two, "safe-read", "Ok");
    ask(&mut one, "get", "[0, 0]");
    drop(own);
    one.tell("get");
    one.expect_line("[0, 0]");
    ask(&mut writer, "try-write", &format!("Held 1 {}", one.id()));
    one.kill();
    ask(&mut two, "drop", "dropped");
    ask(&mut writer, "write", "Ok");
    ask(&mut writer, "set 0 1", "set");
    ask(&mut writer, "drop", "dropped");
    assert_eq!(array.to_vec().unwrap(), [1, 0]);
}

#[test]
fn a_stopped_writer_keeps_the_slices() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, 2);
    let [mut writer, mut other] = [(); 2].map(|()| talker(&array));
    ask(&mut writer, "write", "Ok");
    let process = Pid::from_raw(writer.id().cast_signed());
    kill(process, Signal::SIGSTOP).unwrap();
    let status = waitpid(process, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(status, WaitStatus::Stopped(process, Signal::SIGSTOP));
    for order in ["read 60", "write 60", "safe-read 60", "safe-write 60"] {
        ask(&mut other, order, &format!("TimedOut 1 {}", writer.id()));
    }
    kill(process, Signal::SIGCONT).unwrap();
    ask(&mut writer, "set 0 5", "set");
    ask(&mut writer, "drop", "dropped");
    ask(&mut other, "read", "Ok");
    ask(&mut other, "get", "[5, 0]");
}

#[test]
fn a_forked_child_s_copy_of_a_guard_lets_go_of_nothing() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, 2);
    let [mut holder, mut other] = [(); 2].map(|()| talker(&array));
    let held = format!("Held 1 {}", holder.id());
    for take in ["write", "safe-write"] {
        ask(&mut holder, take, "Ok");
        ask(&mut holder, "fork", &format!("child {held} {held}"));
        holder.expect_line("forked");
        ask(&mut other, "try-write", &held);
        ask(&mut other, "try-read", &held);
        ask(&mut holder, "set 0 5", "set");
        ask(&mut holder, "drop", "dropped");
        ask(&mut other, "write", "Ok");
        ask(&mut other, "drop", "dropped");
    }
    for take in ["read", "safe-read"] {
        ask(&mut holder, take, "Ok");
        ask(&mut holder, "fork", &format!("child {held} Ok"));
        holder.expect_line("forked");
        ask(&mut other, "try-write", &held);
        ask(&mut holder, "drop", "dropped");
        ask(&mut other, "write", "Ok");
        ask(&mut other, "drop", "dropped");
    }
}

#[test]
fn a_forked_child_s_copy_of_a_safe_guard_refuses_every_call_on_many_elements() {
    let scratch = Scratch::new();
    let array = cooperative(&scratch, 200);
    let mut holder = talker(&array);
    for take in ["safe-write", "safe-read"] {
        ask(&mut holder, take, "Ok");
        ask(&mut holder, "forked-calls", "child []");
        holder.expect_line("forked");
        ask(&mut holder, "drop", "dropped");
        assert_eq!(array.to_vec().unwrap(), [0; 200]);
    }
}

//! Holders and waiters that are killed.

use super::{ask, board, first_to_speak, make_wait, talker, talkers};
use shmtypes_tests::scratch::Scratch;

#[test]
fn the_death_of_a_holder_is_told_to_one_of_many_waiters() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let mut holder = talker(&board);
    ask(&mut holder, "lock", "Ok");
    ask(&mut holder, "set 0 7", "set");
    let mut waiters = talkers::<4>(&board);
    waiters.iter_mut().for_each(|waiter| make_wait(waiter, "lock"));
    holder.kill();

    let mut silent = vec![0, 1, 2, 3];
    for expected in ["OwnerDied", "Poisoned", "Poisoned", "Ok"] {
        let (speaker, line) = first_to_speak(&mut waiters, &mut silent);
        assert_eq!(line, expected, "waiter {speaker}");
        let waiter = &mut waiters[speaker];
        ask(waiter, "get", "Some([7, 0])");
        // The last but one repairs.
        if silent.len() == 1 {
            ask(waiter, "recover", "recovered");
        }
        ask(waiter, "drop", "dropped");
    }
    assert!(board.view().mutex().lock().is_ok());
}

#[test]
fn a_holder_that_was_told_of_a_death_and_dies_too_has_a_successor_that_is_told() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    for _ in 0..3 {
        let mut holder = talker(&board);
        holder.tell("lock");
        holder.line();
        holder.kill();
        let mut told = talker(&board);
        ask(&mut told, "lock", "OwnerDied");
        told.kill();
        for (order, answer) in [("try-lock", "OwnerDied"), ("try-lock", "Poisoned"), ("recover", "recovered")] {
            let mut peer = talker(&board);
            ask(&mut peer, "lock", if order == "try-lock" { answer } else { "Poisoned" });
            if order == "recover" {
                ask(&mut peer, order, answer);
            }
            ask(&mut peer, "drop", "dropped");
        }
        assert!(board.view().mutex().lock().is_ok());
    }
}

#[test]
fn killed_waiters_for_the_mutex_harm_nothing() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let guard = board.view().mutex().lock().unwrap();
    let mut waiters = talkers::<3>(&board);
    waiters.iter_mut().for_each(|waiter| make_wait(waiter, "lock"));
    waiters[0].kill();
    waiters[2].kill();
    drop(guard);
    waiters[1].expect_line("Ok");
    ask(&mut waiters[1], "drop", "dropped");
    assert!(board.view().mutex().lock().is_ok());
}

#[test]
fn killed_waiters_for_a_writer_harm_nothing() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let guard = board.view().rwlock().write().unwrap();
    let mut readers = talkers::<2>(&board);
    let mut writers = talkers::<2>(&board);
    readers.iter_mut().for_each(|reader| make_wait(reader, "read"));
    writers.iter_mut().for_each(|writer| make_wait(writer, "write"));
    readers[0].kill();
    writers[0].kill();
    drop(guard);
    let ([_, reader], [_, writer]) = (readers, writers);
    let mut living = [reader, writer];
    let mut silent = vec![0, 1];
    for _ in 0..2 {
        let (speaker, line) = first_to_speak(&mut living, &mut silent);
        assert_eq!(line, "Ok");
        ask(&mut living[speaker], "drop", "dropped");
    }
    assert!(board.view().rwlock().read().is_ok());
    assert!(board.view().rwlock().write().is_ok());
}

#[test]
fn a_writer_that_is_killed_while_it_waits_for_readers_harms_nothing() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    for next in ["read", "write", "try-read", "try-write"] {
        let guard = board.view().rwlock().read().unwrap();
        let mut writer = talker(&board);
        make_wait(&mut writer, "write");
        writer.kill();
        drop(guard);
        let mut peer = talker(&board);
        ask(&mut peer, next, "Ok");
        ask(&mut peer, "drop", "dropped");
        assert!(board.view().rwlock().write().is_ok(), "after {next}");
    }
}

#[test]
fn what_a_writer_knew_that_is_killed_while_it_waits_for_readers_is_not_lost() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let mut dead = talker(&board);
    ask(&mut dead, "write", "Ok");
    dead.kill();
    for (told, poisoned) in [("OwnerDied", false), ("Poisoned", true)] {
        // Reads beside the news of a death, or beside the poison.
        let mut reader = talker(&board);
        ask(&mut reader, "read", "Poisoned");
        let mut writer = talker(&board);
        make_wait(&mut writer, "write");
        writer.kill();
        ask(&mut reader, "drop", "dropped");
        let mut next = talker(&board);
        ask(&mut next, "read", "Poisoned");
        ask(&mut next, "drop", "dropped");
        ask(&mut next, "write", told);
        if poisoned {
            ask(&mut next, "recover", "recovered");
        }
        ask(&mut next, "drop", "dropped");
    }
    assert!(board.view().rwlock().write().is_ok());
}

#[test]
fn a_killed_reader_lets_the_writer_in() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let [mut one, mut two, mut writer] = talkers(&board);
    ask(&mut one, "read", "Ok");
    ask(&mut two, "read", "Ok");
    make_wait(&mut writer, "write");
    one.kill();
    ask(&mut two, "drop", "dropped");
    writer.expect_line("Ok");
    ask(&mut writer, "drop", "dropped");
    // Also one that does not wait.
    let mut reader = talker(&board);
    ask(&mut reader, "read", "Ok");
    reader.kill();
    ask(&mut writer, "try-write", "Ok");
    ask(&mut writer, "drop", "dropped");
    assert!(board.view().rwlock().read().is_ok());
}

#[test]
fn the_death_of_a_writer_is_told_to_waiting_readers_as_poison_and_to_the_next_writer_once() {
    let scratch = Scratch::new();
    let board = board(&scratch);
    let mut writer = talker(&board);
    ask(&mut writer, "write", "Ok");
    ask(&mut writer, "set 1 7", "set");
    let mut readers = talkers::<3>(&board);
    readers.iter_mut().for_each(|reader| make_wait(reader, "read"));
    writer.kill();
    for reader in &mut readers {
        reader.expect_line("Poisoned");
        ask(reader, "get", "Some([0, 7])");
    }
    assert!(board.view().rwlock().is_poisoned());
    let mut writers = talkers::<3>(&board);
    writers.iter_mut().for_each(|writer| make_wait(writer, "write"));
    for reader in &mut readers {
        ask(reader, "drop", "dropped");
    }
    let mut silent = vec![0, 1, 2];
    for expected in ["OwnerDied", "Poisoned", "Ok"] {
        let (speaker, line) = first_to_speak(&mut writers, &mut silent);
        assert_eq!(line, expected);
        if expected == "Poisoned" {
            ask(&mut writers[speaker], "recover", "recovered");
        }
        ask(&mut writers[speaker], "drop", "dropped");
    }
    assert!(board.view().rwlock().read().is_ok());
}

//! A writer that is killed behind each instruction of a store.
//!
//! Instructions between two that change the file leave the same file, so what is killed behind is each one that changes it. With
//! SHMTYPES_SOAK set, every single instruction.

use super::SHM_LISTS;
use shmtypes::ShmList;
use shmtypes::compat::{Value, ValueRef};
use shmtypes_tests::scratch::Scratch;
use shmtypes_tests::single_step::Stepped;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// The file as it is, in private memory.
fn image(file: &File, bytes: &mut [u8]) {
    file.read_exact_at(bytes, 0).expect("read the file");
}

/// Kills a writer that stores `new` over `old`, at every place, and looks.
fn killed_everywhere(old: &Value, new: ValueRef<'_>) {
    let scratch = Scratch::new();
    let name = scratch.name("list");
    let slots = [(old.clone(), 48), (Value::from("neighbour"), 16)];
    let list = ShmList::options().name(&name).create_with_capacities(slots).unwrap();
    let file = File::open(scratch.path("list")).unwrap();
    let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
    let arguments = match new {
        ValueRef::Int(int) => ["step", &name, "int", &int.to_string()].map(str::to_owned),
        ValueRef::Str(text) => ["step", &name, "text", text].map(str::to_owned),
        other => panic!("{other}"),
    };
    let arguments = arguments.each_ref().map(String::as_str);
    let every = std::env::var_os("SHMTYPES_SOAK").is_some();
    let (mut before, mut now) = (vec![0; length], vec![0; length]);
    let (mut kills, mut olds, mut news, mut instructions) = (0, 0, 0, 0);
    let mut over = false;
    while !over {
        list.set_ref(0, old.as_ref()).unwrap();
        let mut writer = Stepped::start(SHM_LISTS, &arguments);
        image(&file, &mut before);
        // So many places it passes.
        let (mut passed, mut steps) = (0, 0);
        while !over && (passed < kills || kills == 0 && steps == 0) {
            over = !writer.step();
            steps += 1;
            image(&file, &mut now);
            if every || now != before {
                passed += 1;
                before.copy_from_slice(&now);
            }
        }
        instructions = steps;
        writer.kill();
        let found = list.get(0).unwrap();
        match found.as_ref() {
            value if value == new => news += 1,
            value if value == old.as_ref() => olds += 1,
            other => panic!("a mixture behind instruction {steps}: {other}"),
        }
        assert_eq!(list.get(1).unwrap(), Value::from("neighbour"));
        assert_eq!(ShmList::open_read_only(&name).unwrap().get(0).unwrap(), found);
        // Another process can store, whatever state the lock is in.
        let next = ShmList::open(&name).unwrap();
        next.set(0, "the next writer").unwrap();
        assert_eq!(list.get(0).unwrap(), Value::from("the next writer"));
        kills += 1;
    }
    println!(
        "{old} -> {new}: {kills} kills in {instructions} instructions, {olds} left the old value, {news} the new one"
    );
    // At least: taking the lock, mark, head, bytes, version, number, letting go.
    assert!(kills >= 7 && olds >= 5 && news >= 2, "{kills} kills, {olds} old, {news} new: does it still step?");
}

#[test]
fn an_int_over_an_int_is_the_old_or_the_new_one_behind_every_instruction() {
    killed_everywhere(&Value::Int(1), ValueRef::Int(-2));
}

#[test]
fn a_text_over_a_text_is_the_old_or_the_new_one_behind_every_instruction() {
    killed_everywhere(
        &Value::from("old and rather long text"),
        ValueRef::Str("new text, which is even longer than the old"),
    );
}

#[test]
fn a_text_over_an_int_is_the_old_or_the_new_one_behind_every_instruction() {
    killed_everywhere(&Value::Int(i64::MAX), ValueRef::Str("a text in place of a number"));
}

//! The other process of the tests of locks: does what its arguments say and reports by lines.

mod exercise;
mod scribble;
mod step;
mod talk;
mod work;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["talk", name] => talk::run(name),
        ["work", kind, name, place, seed] => work::run(kind, name, number(place) as usize, number(seed)),
        ["exercise", name, rounds] => exercise::run(name, number(rounds)),
        ["scribble", path, what, seed] => scribble::run(path, what, number(seed)),
        ["step", name, what] => step::run(name, what),
        other => panic!("unknown arguments {other:?}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().expect("a number")
}

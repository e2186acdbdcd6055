//! The transcripts in README.md are what the examples print.

use shmtypes::compat::name::PosixName;
use std::path::PathBuf;
use std::process::Command;

/// Names and the version of Python differ from run to run.
fn normalised(text: &str) -> String {
    let mut names: Vec<String> = Vec::new();
    let mut out = String::new();
    for (index, piece) in text.split("psm_").enumerate() {
        let (digits, rest) = if index == 0 { ("", piece) } else { piece.split_at(8) };
        if index > 0 {
            let name = PosixName::new(format!("psm_{digits}")).unwrap().file_name().to_owned();
            let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            out.push_str(&format!("<name {number}>"));
        }
        out.push_str(rest);
    }
    let lines = out.lines().map(|line| if line.starts_with("Python 3 ") { "Python 3 x" } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

/// What an example prints is the block of README.md that contains `mark`.
fn shows(example: &str, mark: &str) {
    // Beside this test: `cargo test` builds the examples of the workspace, too.
    let target: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().into();
    let example = target.join("examples").join(example);
    assert!(example.exists(), "{} is missing: `cargo build --examples` makes it", example.display());
    let output = Command::new(example).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));

    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let shown = readme.split("```").find(|block| block.contains(mark)).expect("a transcript");
    let shown = shown.trim_start_matches("text\n").trim_end();
    assert_eq!(normalised(shown), normalised(text.trim_end()));
}

#[test]
fn the_readme_shows_what_the_python_examples_print() {
    shows("python_list", "-- Python makes a list");
    shows("python_manager", "-- A manager of Rust's");
}

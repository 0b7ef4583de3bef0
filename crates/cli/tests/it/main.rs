//! Integration tests of the program: one binary that starts it.
#![allow(clippy::disallowed_types)]

mod arguments;
mod bad_input;
mod databases;
mod demo;
mod directories;
mod interrupts;
mod memory;
mod output;
mod readme;
mod sessions;
mod sql_scripts;
mod sql_texts;
mod support;

/// Every file beside this one is a module of this binary.
#[test]
fn no_file_is_forgotten() {
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap();
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name} is no module");
    }
}

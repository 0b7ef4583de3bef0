//! Integration tests of the store: one binary.
#![allow(clippy::disallowed_types)]

mod history;
mod sim;

/// Every file beside this one, and every folder, is a module of this binary.
#[test]
fn no_file_is_forgotten() {
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name} is no module");
    }
}

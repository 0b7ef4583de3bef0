//! Integration tests of the planner: one binary.
#![allow(clippy::disallowed_types)]

mod budgets;
mod catalog;
mod depth;
mod errors;
mod pieces;
mod plans;
mod random;
mod scripts;
mod views;

#[global_allocator]
static ALLOCATOR: cofferdam_testkit::counting::CountingAllocator =
    cofferdam_testkit::counting::CountingAllocator;

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

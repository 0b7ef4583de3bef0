//! Integration tests of the public API: one binary.
#![allow(clippy::disallowed_types, clippy::result_large_err)]

mod api;
mod appender;
mod budgets;
mod compatibility;
mod copy_out;
mod directories;
mod documented;
mod examples;
mod explain;
mod given_back;
mod grouping_sets;
mod groups_below_joins;
mod groups_in_order;
mod groups_of_keys;
mod guards;
mod index_reads;
mod introspect;
mod key_filters;
mod large_joins;
mod long_values;
mod memory;
mod named;
mod plan_cache;
mod prepared;
mod scripts;
mod settings;
mod spilling;
mod support;
mod threads;
mod views;
mod whole_windows;
mod workers;

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

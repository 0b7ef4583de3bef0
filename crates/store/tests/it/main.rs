//! Integration tests of the store, on simulated disks.
#![allow(clippy::disallowed_types)]

use cofferdam_testkit::counting::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

mod backup;
mod bulk;
mod check;
mod directory;
mod engine;
mod faults;
mod formats;
mod gate;
mod history;
mod large;
mod leaks;
mod life;
mod lifecycle;
mod limits;
mod machine;
mod manifest;
mod memory;
mod recovery;
mod runs;
mod seeds;
mod sim;
mod stalls;
mod statistics;
mod tenants;
mod uncharged;
mod wal;
mod zones;

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

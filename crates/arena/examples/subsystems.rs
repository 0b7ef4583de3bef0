//! Hierarchical subsystems (seed 001, pattern 3): each owns one arena, its children get a coordinator, and what they
//! take together never exceeds the parent's limit.
//!
//! Run with `cargo run -p cofferdam-arena --example subsystems`.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, ArenaOwner, Budget, Coordinator, PinError};

struct StorageEngine {
    budget: Budget,
    arena: ArenaOwner,
    memtable: Memtable,
    index: Subsystem,
}

/// Has no arena of its own: it uses the engine's through a handle, which survives every move of the engine.
struct Memtable {
    coordinator: Coordinator,
}

/// Has an arena of its own under the engine's budget.
struct Subsystem {
    local: ArenaOwner,
}

fn open(process: &Budget) -> Result<StorageEngine, AllocError> {
    let budget = process.child("storage", 64 << 10)?;
    let arena = ArenaOwner::new(&budget)?;
    let memtable = Memtable { coordinator: arena.coordinator().clone() };
    let index = Subsystem { local: ArenaOwner::new(&budget.child("index", 16 << 10)?)? };
    Ok(StorageEngine { budget, arena, memtable, index })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let process = Budget::root("process", 1 << 20)?;
    let engine = Box::new(open(&process)?); // moved: the handles do not care
    let entry = engine.memtable.coordinator.write()?.alloc_str("key = value")?;
    while engine.index.local.write()?.alloc([0u8; 1000]).is_ok() {}
    let refusal = engine.budget.last_refusal().ok_or("the index was refused")?;
    println!("{refusal}");
    print!("{}", process.memory_tree());
    assert_eq!(refusal.refused_by(), "index");
    assert!(engine.budget.used() <= engine.budget.limit());

    engine.arena.reset()?; // the flush: all memtable memory in one step
    assert!(engine.memtable.coordinator.read()?.get(entry).is_err());
    let left = engine.memtable.coordinator.clone();
    drop(engine);
    assert_eq!(left.read().err(), Some(PinError::Destroyed));
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}

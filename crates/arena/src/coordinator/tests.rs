//! Coordinators: moves, copies, pins, resets, locations that do not fit, owners that go.

extern crate std;
use super::*;
use std::string::ToString;
use std::vec::Vec;

const KIB: u64 = 1024;
const ROUNDS: usize = if cfg!(miri) { 30 } else { 3000 };

fn budget(limit: u64) -> Budget {
    Budget::root("process", limit + 64 * KIB).unwrap().child("db", limit).unwrap()
}

/// The structure of seed 001 that breaks when its arena is embedded.
struct Engine {
    owner: ArenaOwner,
    memtable: Memtable,
}

#[derive(Clone)]
struct Memtable {
    coordinator: Coordinator,
    rows: Vec<Loc<str>>,
}

fn engine(budget: &Budget) -> Engine {
    let owner = ArenaOwner::new(budget).unwrap();
    let memtable = Memtable { coordinator: owner.coordinator().clone(), rows: Vec::new() };
    Engine { owner, memtable }
}

#[test]
fn seed_09_a_coordinator_survives_moves_copies_and_resets_of_what_holds_it() {
    let budget = budget(64 * KIB);
    let mut engine = engine(&budget);
    let row = engine.memtable.coordinator.write().unwrap().alloc_str("row 1").unwrap();
    engine.memtable.rows.push(row);
    let mut engines = Vec::from([engine]);
    engines.reserve(100);
    let moved = Box::new(engines.pop().unwrap());
    let copied = moved.memtable.clone();
    let pin = copied.coordinator.read().unwrap();
    assert_eq!(pin.get(copied.rows[0]), Ok("row 1"));
    drop(pin);
    moved.owner.reset().unwrap();
    let pin = copied.coordinator.write().unwrap();
    assert_eq!(pin.get(copied.rows[0]), Err(LocError::Stale));
    let again = pin.alloc_str("row 2").unwrap();
    assert_eq!(moved.memtable.coordinator.read().unwrap().get(again), Ok("row 2"));
    assert!(copied.coordinator.is_same(&moved.owner));
}

#[test]
fn seed_16_use_after_reset_is_a_typed_error() {
    let owner = ArenaOwner::new(&budget(64 * KIB)).unwrap();
    for reset in [Coordinator::reset, Coordinator::release] {
        let number = owner.write().unwrap().alloc(7u64).unwrap();
        assert_eq!(owner.read().unwrap().get(number), Ok(&7));
        reset(&owner).unwrap();
        let reused = owner.write().unwrap().alloc(8u64).unwrap();
        assert_eq!(owner.read().unwrap().get(number), Err(LocError::Stale));
        assert_eq!(owner.read().unwrap().get(reused), Ok(&8));
        assert_ne!(number, reused);
    }
    assert_eq!(
        LocError::Stale.to_string(),
        "the location is from before the arena's last reset: copy values out before a reset"
    );
}

#[test]
fn seed_16_a_pointer_of_another_arena_is_a_typed_error_and_copy_out_works() {
    let budget = budget(64 * KIB);
    let (first, second) = (ArenaOwner::new(&budget).unwrap(), ArenaOwner::new(&budget).unwrap());
    let pin = first.write().unwrap();
    let text = pin.alloc_str("copied").unwrap();
    let numbers = pin.alloc_slice_copy(&[1u16, 2, 3]).unwrap();
    let pair = pin.alloc((1u8, 2u32)).unwrap();
    let target = second.write().unwrap();
    assert_eq!(target.get(text), Err(LocError::Foreign));
    assert_eq!(second.read().unwrap().get(numbers), Err(LocError::Foreign));
    let text = pin.copy_to(text, &target).unwrap();
    let numbers = pin.copy_to(numbers, &target).unwrap();
    let pair = first.read().unwrap().copy_to(pair, &target).unwrap();
    assert_eq!(pin.copy_to(pair, &target), Err(CopyError::Loc(LocError::Foreign)));
    drop(pin);
    first.release().unwrap();
    assert_eq!((target.get(text), target.get(numbers)), (Ok("copied"), Ok(&[1u16, 2, 3][..])));
    assert_eq!(target.get(pair), Ok(&(1, 2)));
}

#[test]
fn seed_16_a_location_of_a_dead_arena_never_matches_a_new_one() {
    let budget = budget(64 * KIB);
    let old = ArenaOwner::new(&budget).unwrap();
    let number = old.write().unwrap().alloc(1u64).unwrap();
    drop(old);
    for _ in 0..ROUNDS {
        let new = ArenaOwner::new(&budget).unwrap();
        let pin = new.write().unwrap();
        pin.alloc(2u64).unwrap();
        assert_eq!(pin.get(number), Err(LocError::Foreign));
    }
}

#[test]
fn a_location_stays_an_error_when_generations_run_out() {
    let owner = ArenaOwner::new(&budget(64 * KIB)).unwrap();
    let number = owner.write().unwrap().alloc(1u64).unwrap();
    let resets = if cfg!(miri) { 10 } else { 70_000 };
    for _ in 0..resets {
        owner.reset().unwrap();
        assert!(owner.read().unwrap().get(number).is_err());
    }
}

#[test]
fn reset_and_release_are_busy_while_anyone_pins() {
    let owner = ArenaOwner::new(&budget(64 * KIB)).unwrap();
    let handle = owner.coordinator().clone();
    let (first, second) = (handle.read().unwrap(), owner.read().unwrap());
    let busy = PinError::Busy { readers_count: 2, has_writer: false };
    assert_eq!((owner.reset(), owner.release()), (Err(busy), Err(busy)));
    assert_eq!(busy.to_string(), "the arena is in use by 2 readers and no writer: retry when they are done");
    drop((first, second));
    let writer = handle.write().unwrap();
    let busy = PinError::Busy { readers_count: 0, has_writer: true };
    assert_eq!((owner.reset(), owner.write().err()), (Err(busy), Some(busy)));
    assert!(owner.read().is_ok(), "readers go on beside the writer");
    drop(writer);
    assert_eq!((owner.reset(), owner.release()), (Ok(()), Ok(())));
}

#[test]
fn handles_of_an_arena_whose_owner_is_gone_get_destroyed() {
    let budget = budget(64 * KIB);
    let owner = ArenaOwner::new(&budget).unwrap();
    let handle = owner.coordinator().clone();
    owner.write().unwrap().alloc([0u8; 5000]).unwrap();
    drop(owner);
    assert!(handle.is_destroyed());
    assert_eq!(budget.used(), KIB, "only the control block is left");
    let gone = PinError::Destroyed;
    assert_eq!((handle.read().err(), handle.write().err()), (Some(gone), Some(gone)));
    assert_eq!((handle.reset(), handle.release()), (Err(gone), Err(gone)));
    assert_eq!(std::format!("{handle:?}"), "Coordinator(db: destroyed)");
    drop(handle);
    assert_eq!(budget.used(), 0);
}

#[test]
fn an_owner_that_goes_while_others_pin_leaves_the_values_to_the_last_pin() {
    let budget = budget(64 * KIB);
    let owner = ArenaOwner::new(&budget).unwrap();
    let handle = owner.coordinator().clone();
    let (reader, writer) = (handle.read().unwrap(), handle.write().unwrap());
    let text = writer.alloc_str("still there").unwrap();
    drop(owner);
    assert_eq!(handle.read().err(), Some(PinError::Destroyed));
    assert_eq!((reader.get(text), writer.get(text)), (Ok("still there"), Ok("still there")));
    drop(writer);
    assert_eq!(reader.get(text), Ok("still there"));
    assert!(budget.used() > KIB);
    drop(reader);
    assert_eq!(budget.used(), KIB, "the last pin gave the chunks back");
}

#[test]
fn an_arena_that_nobody_destroys_is_a_visible_node() {
    let root = Budget::root("process", 1 << 20).unwrap();
    let node = root.child("forgotten", 64 * KIB).unwrap();
    let owner = ArenaOwner::new(&node).unwrap();
    owner.write().unwrap().alloc(1u8).unwrap();
    drop(node);
    let shown = root.memory_tree().to_string();
    assert!(shown.contains("forgotten") && shown.contains("2.0 KiB"), "{shown}");
    drop(owner);
    assert!(!root.memory_tree().to_string().contains("forgotten"));
}

#[test]
fn a_refused_control_block_or_value_is_a_typed_error() {
    let budget = budget(2 * KIB);
    let owner = ArenaOwner::new(&budget).unwrap();
    let pin = owner.write().unwrap();
    assert_eq!(pin.alloc([0u8; 3000]), Err(AllocError));
    assert!(pin.alloc_str("fits").is_ok());
    assert!(ArenaOwner::new(&budget).is_err());
    let other = ArenaOwner::new(&Budget::unlimited("other").unwrap()).unwrap();
    let source = other.write().unwrap();
    let large = source.alloc_slice_fill_with(2000, |n| n as u16).unwrap();
    assert_eq!(source.copy_to(large, &pin), Err(CopyError::OutOfMemory(AllocError)));
    assert_eq!(CopyError::from(AllocError).to_string(), AllocError.to_string());
}

#[test]
fn structures_link_by_location() {
    struct Node {
        value: u32,
        next: Option<Loc<Node>>,
    }
    let owner = ArenaOwner::new(&budget(64 * KIB)).unwrap();
    let pin = owner.write().unwrap();
    let mut first = None;
    for value in 0..10 {
        first = Some(pin.alloc(Node { value, next: first }).unwrap());
    }
    let (mut sum, mut at) = (0, first);
    while let Some(loc) = at {
        let node = pin.get(loc).unwrap();
        sum += node.value;
        at = node.next;
    }
    assert_eq!(sum, 45);
    assert_eq!(pin.stats().chunks_count, 1);
}

#[test]
fn interleaved_arenas_keep_their_values_apart() {
    let budget = budget(1 << 20);
    let owners: Vec<_> = (0..3).map(|_| ArenaOwner::new(&budget).unwrap()).collect();
    let pins: Vec<_> = owners.iter().map(|owner| owner.write().unwrap()).collect();
    let locs: Vec<_> = (0..ROUNDS).map(|n| pins[n % 3].alloc([n; 5]).unwrap()).collect();
    for (n, loc) in locs.iter().enumerate() {
        assert_eq!(pins[n % 3].get(*loc), Ok(&[n; 5]));
        assert_eq!(pins[(n + 1) % 3].get(*loc), Err(LocError::Foreign));
    }
}

/// Method: one thread writes and publishes, two read what was published, one resets whenever it may; a location leads
/// to its value or to `Stale`, never to another value.
#[test]
fn readers_writer_and_resets_on_four_threads_never_see_a_wrong_value() {
    let budget = budget(4 << 20);
    let owner = ArenaOwner::new(&budget).unwrap();
    let published = std::sync::Mutex::new(Vec::<(usize, Loc<[usize; 4]>)>::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..ROUNDS {
                let Ok(pin) = owner.write() else { continue };
                let loc = pin.alloc([n; 4]).unwrap();
                published.lock().unwrap().push((n, loc));
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for n in 0..ROUNDS {
                    let Some((value, loc)) = ({
                        let published = published.lock().unwrap();
                        published.get(n % published.len().max(1)).copied()
                    }) else {
                        continue;
                    };
                    let Ok(pin) = owner.read() else { continue };
                    match pin.get(loc) {
                        Ok(found) => assert_eq!(*found, [value; 4]),
                        Err(error) => assert_eq!(error, LocError::Stale),
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..ROUNDS / 10 {
                let _ = owner.reset();
                std::thread::yield_now();
            }
        });
    });
    drop(owner);
    assert_eq!(budget.used(), 0);
}

//! Every interleaving of pins, resets and the owner's end, by loom. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-arena --lib model`.
//!
//! The tracked cell in the control block fails the model where a reset or the end of the arena is not ordered after
//! every pin that came before it, and before every pin that comes after it.

use super::*;
use loom::thread;

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// A reader finds the value or learns that it is gone; a reset happens beside no pin.
#[test]
fn a_reader_beside_a_reset_sees_the_value_or_an_error() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let owner = ArenaOwner::new(&budget).unwrap();
        let number = owner.write().unwrap().alloc(7usize).unwrap();
        let handle = owner.coordinator().clone();
        let reader = thread::spawn(move || match handle.read() {
            Ok(pin) => match pin.get(number) {
                Ok(value) => assert_eq!(*value, 7),
                Err(error) => assert_eq!(error, LocError::Stale),
            },
            Err(error) => assert!(matches!(error, PinError::Busy { .. })),
        });
        if owner.reset().is_ok() {
            if let Ok(pin) = owner.write() {
                pin.alloc(8usize).unwrap();
            }
        }
        reader.join().unwrap();
    });
}

/// Two threads ask for the write pin and allocate: never both at once, and each finds its own value.
#[test]
fn there_is_one_writer_at_a_time() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let owner = ArenaOwner::new(&budget).unwrap();
        let write = |handle: Coordinator, value: usize| {
            move || {
                let Ok(pin) = handle.write() else { return 0 };
                let loc = pin.alloc(value).unwrap();
                assert_eq!(pin.get(loc), Ok(&value));
                1
            }
        };
        let other = thread::spawn(write(owner.coordinator().clone(), 1));
        let mine = write(owner.coordinator().clone(), 2)();
        let theirs = other.join().unwrap();
        assert!(mine + theirs >= 1, "one of two always gets the pin");
    });
}

/// The owner goes while a reader pins, or before it does: the value stays for the pin, the chunks go back once, and the
/// control block goes with the last handle, whichever thread has it.
#[test]
fn the_owner_or_the_last_pin_gives_the_chunks_back() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let owner = ArenaOwner::new(&budget).unwrap();
        let number = owner.write().unwrap().alloc(7usize).unwrap();
        let handle = owner.coordinator().clone();
        let reader = thread::spawn(move || match handle.read() {
            Ok(pin) => assert_eq!(pin.get(number), Ok(&7)),
            Err(error) => assert_eq!(error, PinError::Destroyed),
        });
        drop(owner);
        reader.join().unwrap();
        assert_eq!(budget.used(), 4096);
    });
}

/// A swap's seal against a writer: either the writer is seen and the seal refused, or the writer is refused.
#[test]
fn a_seal_and_a_writer_exclude_each_other() {
    explore(|| {
        let budget = Budget::unlimited("r").unwrap();
        let owner = ArenaOwner::new(&budget).unwrap();
        let handle = owner.coordinator().clone();
        let writer = thread::spawn(move || match handle.write() {
            Ok(pin) => {
                pin.alloc(1usize).unwrap();
                true
            }
            Err(error) => {
                assert_eq!(error, PinError::Sealed);
                false
            }
        });
        let sealed_first = owner.seal().is_ok() && owner.empty_sealed(Arena::reset).is_ok();
        let written = writer.join().unwrap();
        assert!(sealed_first || written);
    });
}

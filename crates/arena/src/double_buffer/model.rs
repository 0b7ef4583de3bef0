//! Readers of both sides beside a swap and a reset, by loom. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-arena --lib model`.

use super::*;
use crate::coordinator::Loc;
use loom::thread;
use std::sync::Arc;

/// A value that was written before the pins were taken is on a side that they hold, or was flushed before: each reset is
/// counted after its values were safe elsewhere.
#[test]
fn pins_of_both_sides_hold_what_was_not_flushed() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(|| {
        let budget = Budget::unlimited("r").unwrap();
        let buffer = Arc::new(DoubleBuffer::new(&budget, Growth::STATEMENT).unwrap());
        let value: Loc<usize> = buffer.write().unwrap().alloc(7usize).unwrap();
        let flushed = Arc::new(AtomicU64::new(0));
        let reader = {
            let (buffer, flushed) = (buffer.clone(), flushed.clone());
            thread::spawn(move || {
                let pins = buffer.read().unwrap();
                let mut sides = [Some(pins.active()), pins.sealed()].into_iter().flatten();
                let found = sides.any(|(_, pin)| pin.get(value) == Ok(&7));
                assert!(found || flushed.load(Ordering::Acquire) == 1, "the value is nowhere");
            })
        };
        buffer.swap().unwrap();
        flushed.store(1, Ordering::Release);
        buffer.mark_flushed().unwrap();
        if buffer.reset_sealed_keeping(0, |_| ()).is_ok() {
            buffer.swap().unwrap();
        }
        reader.join().unwrap();
    });
}

/// Whoever has the write pin has that of the active side, whatever was swapped and reset before it came.
#[test]
fn a_writer_pins_the_active_side() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(|| {
        let budget = Budget::unlimited("r").unwrap();
        let buffer = Arc::new(DoubleBuffer::new(&budget, Growth::STATEMENT).unwrap());
        let writer = {
            let buffer = buffer.clone();
            thread::spawn(move || {
                let Ok(pin) = buffer.write() else { return };
                assert!(buffer.active().write().is_err(), "the active side has a writer");
                drop(pin);
            })
        };
        if buffer.swap().is_ok() {
            buffer.mark_flushed().unwrap();
            let _ = buffer.reset_sealed();
        }
        writer.join().unwrap();
    });
}

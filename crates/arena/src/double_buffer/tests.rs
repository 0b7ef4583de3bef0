//! The turns of a double buffer, and what may not happen out of turn.

extern crate std;
use super::*;
use crate::coordinator::{Loc, LocError};
use std::string::ToString;
use std::vec::Vec;

const ROWS: u64 = if cfg!(miri) { 40 } else { 5000 };

fn buffer() -> (Budget, DoubleBuffer) {
    let budget = Budget::root("process", 8 << 20).unwrap().child("memtable", 4 << 20).unwrap();
    let buffer = DoubleBuffer::new(&budget, Growth::STATEMENT).unwrap();
    (budget, buffer)
}

#[test]
fn writes_go_on_while_the_sealed_side_is_flushed_and_reset() {
    let (_budget, buffer) = buffer();
    let old = buffer.write().unwrap().alloc(1u64).unwrap();
    buffer.swap().unwrap();
    assert_eq!(buffer.epoch(), 1);
    let new = buffer.write().unwrap().alloc(2u64).unwrap();
    let sealed = buffer.sealed().unwrap();
    assert_eq!(sealed.write().err(), Some(PinError::Sealed));
    let flush = sealed.read().unwrap();
    assert_eq!(flush.get(old), Ok(&1));
    let newer = buffer.write().unwrap().alloc(3u64).unwrap();
    drop(flush);
    buffer.mark_flushed().unwrap();
    buffer.reset_sealed().unwrap();
    assert!(buffer.sealed().is_none());
    let pin = buffer.active().read().unwrap();
    assert_eq!((pin.get(new), pin.get(newer), pin.get(old)), (Ok(&2), Ok(&3), Err(LocError::Foreign)));
}

#[test]
fn the_sealed_side_is_reset_only_when_flushed_and_unpinned() {
    let (_budget, buffer) = buffer();
    let handle = buffer.active().clone();
    assert_eq!(buffer.reset_sealed(), Err(DoubleBufferError::NothingSealed));
    assert_eq!(buffer.mark_flushed(), Err(DoubleBufferError::NothingSealed));
    let row = buffer.write().unwrap().alloc(1u64).unwrap();
    buffer.swap().unwrap();
    assert_eq!(buffer.reset_sealed(), Err(DoubleBufferError::NotFlushed));
    assert_eq!((handle.reset(), handle.release()), (Err(PinError::Sealed), Err(PinError::Sealed)));
    assert_eq!(buffer.swap(), Err(DoubleBufferError::StandbyNotReset));
    let reader = handle.read().unwrap();
    buffer.mark_flushed().unwrap();
    let busy = DoubleBufferError::Pinned(PinError::Busy { readers_count: 1, has_writer: false });
    assert_eq!(buffer.reset_sealed(), Err(busy));
    assert_eq!(reader.get(row), Ok(&1), "the refused reset changed nothing");
    drop(reader);
    buffer.release_sealed().unwrap();
    assert_eq!(handle.read().unwrap().get(row), Err(LocError::Stale));
    assert!(busy.to_string().contains("1 readers"));
}

/// Looks at a double buffer whenever it hears of pressure.
struct Curious(DoubleBuffer, std::sync::Mutex<Vec<Option<PinError>>>);

impl crate::Observer for Curious {
    fn pressure_changed(&self, event: &crate::PressureEvent) {
        if event.to < event.from {
            let sealed = self.0.sealed().expect("its memory is on its way back");
            self.1.lock().unwrap().push(sealed.read().err());
            assert_eq!(self.0.swap(), Err(DoubleBufferError::StandbyNotReset));
            assert_eq!(self.0.release_sealed(), Err(DoubleBufferError::NothingSealed));
        }
    }
}

#[test]
fn an_observer_may_look_at_the_buffer_that_is_released() {
    crate::sync::finishes(|| {
        let budget = Budget::root("process", 64 << 10).unwrap();
        let buffer = DoubleBuffer::new(&budget, Growth::STATEMENT).unwrap();
        let curious = std::sync::Arc::new(Curious(buffer, std::sync::Mutex::default()));
        budget.set_observer(Some(curious.clone()));
        let buffer = &curious.0;
        while buffer.write().unwrap().alloc([0u64; 16]).is_ok() {}
        buffer.swap().unwrap();
        buffer.mark_flushed().unwrap();
        buffer.release_sealed().unwrap();
        assert!(buffer.sealed().is_none());
        assert!(matches!(curious.1.lock().unwrap()[..], [Some(PinError::Busy { has_writer: true, .. }), ..]));
        budget.set_observer(None);
    });
}

#[test]
fn a_swap_waits_for_the_writer_to_finish() {
    let (_budget, buffer) = buffer();
    let writer = buffer.write().unwrap();
    let busy = PinError::Busy { readers_count: 0, has_writer: true };
    assert_eq!(buffer.swap(), Err(DoubleBufferError::Pinned(busy)));
    drop(writer);
    assert_eq!(buffer.swap(), Ok(()));
}

#[test]
fn memory_stays_at_two_sides_whatever_is_written() {
    let (budget, buffer) = buffer();
    for turn in 0..20u64 {
        let pin = buffer.write().unwrap();
        for row in 0..ROWS / 10 {
            pin.alloc([turn, row]).unwrap();
        }
        drop(pin);
        buffer.swap().unwrap();
        buffer.mark_flushed().unwrap();
        buffer.reset_sealed().unwrap();
    }
    let peak = budget.peak();
    assert_eq!(budget.used(), peak, "the chunks of both sides are kept");
    buffer.active().release().unwrap();
    buffer.swap().unwrap();
    buffer.mark_flushed().unwrap();
    buffer.release_sealed().unwrap();
    buffer.active().release().unwrap();
    assert_eq!(budget.used(), 2048, "two control blocks");
}

#[test]
fn both_sides_are_pinned_as_they_are_at_one_moment() {
    let (_budget, buffer) = buffer();
    let old = buffer.write().unwrap().alloc(1u64).unwrap();
    let pins = buffer.read().unwrap();
    assert_eq!((pins.turn(), pins.active().0, pins.sealed().is_some()), (0, 0, false));
    buffer.swap().unwrap();
    let new = buffer.write().unwrap().alloc(2u64).unwrap();
    assert_eq!(pins.active().1.get(old), Ok(&1), "a swap does not touch what is pinned");
    let both = buffer.read().unwrap();
    assert_eq!((both.turn(), both.active().0, both.sealed().unwrap().0), (1, 1, 0));
    assert_eq!(both.active().1.get(new), Ok(&2));
    assert_eq!(both.sealed().unwrap().1.get(old), Ok(&1));
    buffer.mark_flushed().unwrap();
    assert!(matches!(buffer.reset_sealed(), Err(DoubleBufferError::Pinned(_))));
    assert_eq!(buffer.turn(), 1, "a refused reset is no turn");
    drop((pins, both));
    buffer.reset_sealed().unwrap();
    let after = buffer.read().unwrap();
    assert_eq!((after.turn(), buffer.epoch(), after.active().0, after.sealed().is_some()), (2, 1, 1, false));
}

/// Aim: a reader loses no row to a swap. Method: rows are numbered; a row that was counted before the pins were taken
/// is on one of the pinned sides, or was flushed.
#[test]
fn pins_of_both_sides_miss_nothing() {
    let (_budget, buffer) = buffer();
    let rows = [const { std::sync::Mutex::new(Vec::<Loc<u64>>::new()) }; 2];
    let [written, flushed] = [const { AtomicU64::new(0) }; 2];
    let (buffer, rows, written, flushed) = (&buffer, &rows, &written, &flushed);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for row in 0..ROWS {
                let pin = buffer.write().unwrap();
                let side = buffer.read().unwrap().active().0;
                rows[side].lock().unwrap().push(pin.alloc(row).unwrap());
                written.store(row + 1, Ordering::Release);
                drop(pin);
                if row % 7 == 0 && buffer.swap().is_ok() {
                    flushed.fetch_add(rows[side].lock().unwrap().len() as u64, Ordering::Release);
                    buffer.mark_flushed().unwrap();
                }
                let sealed = 1 - buffer.read().unwrap().active().0;
                let _ = buffer.reset_sealed_keeping(0, |_| rows[sealed].lock().unwrap().clear());
            }
        });
        for _ in 0..2 {
            scope.spawn(move || {
                loop {
                    let before = written.load(Ordering::Acquire);
                    let pins = buffer.read().unwrap();
                    let sides = [Some(pins.active()), pins.sealed()];
                    let count = sides.into_iter().flatten().map(|(side, pin)| {
                        let rows = rows[side].lock().unwrap();
                        rows.iter().for_each(|row| assert!(*pin.get(*row).unwrap() < ROWS));
                        rows.len() as u64
                    });
                    let seen = count.sum::<u64>() + flushed.load(Ordering::Acquire);
                    assert!(seen >= before, "{seen} of {before} rows");
                    if before == ROWS {
                        break;
                    }
                }
            });
        }
    });
}

#[test]
fn the_minimum_is_charged_at_once_and_kept() {
    let (budget, _) = buffer();
    let before = budget.used();
    let buffer = DoubleBuffer::with_minimum(&budget, Growth::STATEMENT, 16 << 10).unwrap();
    assert_eq!(budget.used() - before, (2 * (16 + 1)) << 10, "a chunk and a control block each");
    for turn in 0..4 {
        let pin = buffer.write().unwrap();
        let first = pin.alloc_rest_with(10, |_| 0u64).unwrap();
        assert!((2000..2048).contains(&pin.get(first).unwrap().len()), "the whole chunk");
        let more = pin.alloc_rest_with(10, |index| index).unwrap();
        assert_eq!(pin.get(more).unwrap()[9], 9);
        drop(pin);
        buffer.swap().unwrap();
        buffer.mark_flushed().unwrap();
        let mut held_bytes = 0;
        buffer.reset_sealed_keeping(16 << 10, |stats| held_bytes = stats.allocated_bytes).unwrap();
        assert_eq!(held_bytes, 16 << 10, "turn {turn}");
    }
    assert!(buffer.write().unwrap().alloc_rest_with(usize::MAX, |_| 0u64).is_err());
}

/// Method: a writer numbers its rows; a flusher swaps, reads every row of the sealed side and resets it. Every row must
/// be flushed exactly once and in order.
#[test]
fn no_row_is_lost_or_flushed_twice() {
    let (_budget, buffer) = buffer();
    let rows = [const { std::sync::Mutex::new(Vec::<Loc<u64>>::new()) }; 2];
    let (buffer, rows) = (&buffer, &rows);
    let done = &std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for row in 0..ROWS {
                let pin = loop {
                    if let Ok(pin) = buffer.write() {
                        break pin;
                    }
                };
                // The side cannot be swapped while it is pinned for writing.
                let side = (buffer.epoch() & 1) as usize;
                rows[side].lock().unwrap().push(pin.alloc(row).unwrap());
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(move || {
            let mut next = 0;
            loop {
                let is_last = done.load(Ordering::Acquire);
                if buffer.swap().is_err() {
                    std::thread::yield_now();
                    continue;
                }
                let side = ((buffer.epoch() + 1) & 1) as usize;
                let pin = buffer.sealed().unwrap().read().unwrap();
                for loc in rows[side].lock().unwrap().drain(..) {
                    assert_eq!(pin.get(loc), Ok(&next));
                    next += 1;
                }
                drop(pin);
                buffer.mark_flushed().unwrap();
                buffer.reset_sealed().unwrap();
                if is_last {
                    break;
                }
            }
            assert_eq!(next, ROWS);
        });
    });
}

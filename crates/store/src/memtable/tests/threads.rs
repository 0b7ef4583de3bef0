//! Readers beside a writer, on real threads.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const ROUNDS: u64 = if cfg!(miri) { 30 } else { 8_000 };

/// The key of a sequence: in a random order, or in order, or versions of few keys.
fn key_of(sequence: u64, pattern: u64) -> [u8; 9] {
    bigint(match pattern {
        0 => sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        1 => sequence,
        2 => u64::MAX - sequence,
        _ => sequence % 7,
    })
}

/// Checks that a memtable has every sequence of `1..=snapshot` once, in order, and rows that go with them.
fn check_snapshot(memtable: Memtable<'_>, from: u64, snapshot: u64, pattern: u64) {
    let mut cursor = memtable.cursor();
    let mut before: Option<Entry<'_>> = None;
    let (mut count, mut sum) = (0, 0u64);
    cursor.seek_first();
    while let Some(entry) = cursor.entry() {
        assert_eq!(entry.key, key_of(entry.sequence, pattern), "a whole entry");
        assert_eq!(entry.row, entry.sequence.to_le_bytes());
        if let Some(before) = before {
            let order = |entry: &Entry<'_>| (entry.table, entry.key.to_vec(), Reverse(entry.sequence));
            assert!(order(&before) < order(&entry), "{before:?} {entry:?}");
        }
        if entry.sequence <= snapshot {
            (count, sum) = (count + 1, sum + entry.sequence);
        }
        before = Some(entry);
        cursor.next();
    }
    assert_eq!(count, snapshot + 1 - from, "a scan sees all that was committed before it began");
    assert_eq!(sum, (from..=snapshot).sum::<u64>());
}

/// Aim: a reader sees everything that was committed before it began, in order, each entry whole; what it holds does not
/// change. Method: the writer publishes a sequence after inserting it; readers take the published one, then look.
fn readers_beside_a_writer(pattern: u64) {
    let (_budget, memtables) = memtables(64 << 20);
    let (published, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (memtables, published, done) = (&memtables, &published, &done);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for sequence in 1..=ROUNDS {
                let writer = memtables.writer().unwrap();
                let row = sequence.to_le_bytes();
                writer
                    .insert(TableId(0), &key_of(sequence, pattern), sequence, EntryKind::Put, &row)
                    .unwrap();
                published.store(sequence, Ordering::Release);
            }
            done.store(true, Ordering::Release);
        });
        for reader in 0..2u64 {
            scope.spawn(move || {
                let mut seed = reader;
                let mut held: Option<(Pins<'_>, u64)> = None;
                loop {
                    let is_last = done.load(Ordering::Acquire);
                    let snapshot = published.load(Ordering::Acquire);
                    let pins = memtables.pin().unwrap();
                    let memtable = pins.active();
                    for _ in 0..if cfg!(miri) { 5 } else { 200 } {
                        let sequence = random(&mut seed, snapshot.max(1)) + 1;
                        if sequence <= snapshot {
                            let key = key_of(sequence, pattern);
                            let found = memtable.get(TableId(0), &key, sequence).expect("it was published");
                            assert_eq!((found.key, found.sequence), (&key[..], sequence));
                            let mut cursor = memtable.cursor();
                            cursor.seek(TableId(0), &key, sequence);
                            assert_eq!(cursor.entry(), Some(found));
                        }
                    }
                    check_snapshot(memtable, 1, snapshot, pattern);
                    if let Some((pins, snapshot)) = &held {
                        check_snapshot(pins.active(), 1, *snapshot, pattern);
                    }
                    held = Some((pins, snapshot));
                    if is_last {
                        break;
                    }
                }
            });
        }
    });
}

#[test]
fn readers_beside_a_writer_of_random_keys_miss_nothing() {
    readers_beside_a_writer(0);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn readers_beside_a_writer_of_ascending_keys_miss_nothing() {
    readers_beside_a_writer(1);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn readers_beside_a_writer_of_descending_keys_miss_nothing() {
    readers_beside_a_writer(2);
}

#[test]
fn readers_beside_a_writer_of_versions_miss_nothing() {
    readers_beside_a_writer(3);
}

/// Aim: a swap, a flush and a reset hide nothing. Method: whoever flushes remembers the last sequence that is safe elsewhere
/// before it resets; a reader finds the rest in the sides that it pins.
#[test]
fn readers_beside_flushes_miss_nothing() {
    let (_budget, memtables) = memtables(64 << 20);
    let [published, flushed] = [const { AtomicU64::new(0) }; 2];
    let done = AtomicBool::new(false);
    let (memtables, published, flushed, done) = (&memtables, &published, &flushed, &done);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for sequence in 1..=ROUNDS {
                let writer = loop {
                    match memtables.writer() {
                        Ok(writer) => break writer,
                        Err(error) => assert!(matches!(error, PinError::Busy { .. }), "{error}"),
                    }
                };
                let row = sequence.to_le_bytes();
                writer.insert(TableId(0), &key_of(sequence, 0), sequence, EntryKind::Put, &row).unwrap();
                published.store(sequence, Ordering::Release);
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(move || {
            while !done.load(Ordering::Acquire) {
                if memtables.swap().is_err() {
                    std::thread::yield_now();
                    continue;
                }
                let pins = memtables.pin().unwrap();
                let sealed = pins.sealed().unwrap();
                if let Some((first, last)) = sealed.figures().sequences {
                    assert_eq!(
                        first,
                        flushed.load(Ordering::Relaxed) + 1,
                        "nothing is left out between two turns"
                    );
                    check_snapshot(sealed, first, last, 0);
                    flushed.store(last, Ordering::Release);
                }
                drop(pins);
                memtables.mark_flushed().unwrap();
                while memtables.reset_sealed(64 << 10).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        scope.spawn(move || {
            let mut seed = 9;
            while !done.load(Ordering::Acquire) {
                let snapshot = published.load(Ordering::Acquire);
                let pins = memtables.pin().unwrap();
                let safe = flushed.load(Ordering::Acquire);
                for _ in 0..50 {
                    let sequence = random(&mut seed, snapshot.max(1)) + 1;
                    let find = |memtable: Memtable<'_>| {
                        memtable
                            .get(TableId(0), &key_of(sequence, 0), u64::MAX)
                            .is_some_and(|found| found.sequence == sequence)
                    };
                    let is_found = find(pins.active()) || pins.sealed().is_some_and(find);
                    assert!(
                        is_found || sequence <= safe || sequence > snapshot,
                        "{sequence} of {safe}..{snapshot}"
                    );
                }
            }
        });
    });
}

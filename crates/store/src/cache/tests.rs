use super::*;
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;

use crate::files::{FileId, FileKind};
use std::vec::Vec as Std;

const FILE: FileId = FileId::new(FileKind::Segments, 7);

fn root(limit_bytes: u64) -> Budget {
    Budget::root("process", limit_bytes).unwrap()
}

fn key(file_number: u64, offset: u64) -> PieceKey {
    PieceKey { file_number, offset }
}

/// Bytes that tell which piece they are.
fn fill(key: PieceKey, bytes: &mut [u8]) {
    bytes.fill(key.offset as u8 ^ key.file_number as u8);
    let name = (key.offset << 8 | key.file_number).to_le_bytes();
    bytes[..8].copy_from_slice(&name);
    bytes[8..].last_chunk_mut::<8>().unwrap().copy_from_slice(&name);
}

fn load(cache: &Cache, key: PieceKey, len: usize) -> Option<Piece> {
    cache
        .get_or_read(key, len, |bytes| {
            fill(key, bytes);
            Ok(())
        })
        .unwrap()
}

fn assert_is(piece: &Piece, key: PieceKey, len: usize) {
    let mut expected = std::vec![0; len];
    fill(key, &mut expected);
    assert!(**piece == *expected, "the piece at {key:?} holds other bytes");
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn an_empty_cache_takes_little_and_leaves_nothing() {
    let root = root(1 << 20);
    let store = root.child("store", 1 << 20).unwrap();
    let cache = Cache::new(&store, 512 << 10).unwrap();
    assert_eq!(store.used(), FIXED_BYTES);
    const { assert!(FIXED_BYTES + size_of::<Cache>() as u64 <= 4 << 10) };
    drop(load(&cache, key(1, 0), 1000).unwrap());
    assert!(store.used() > FIXED_BYTES);
    cache.clear();
    assert_eq!(store.used(), FIXED_BYTES, "C5");
    drop(load(&cache, key(1, 0), 1000).unwrap());
    drop(cache);
    assert_eq!(store.used(), 0);
}

#[test]
fn what_was_read_is_found_until_its_file_is_forgotten() {
    let cache = Cache::new(&root(8 << 20), 4 << 20).unwrap();
    for file in 1..=3 {
        for offset in (0..50).map(|i| i * 4096) {
            assert_is(&load(&cache, key(file, offset), 3000).unwrap(), key(file, offset), 3000);
        }
    }
    for file in 1..=3 {
        assert_is(&cache.get(key(file, 4096)).unwrap(), key(file, 4096), 3000);
    }
    let held = cache.get(key(2, 0)).unwrap();
    cache.forget_file(2);
    assert!(cache.get(key(2, 0)).is_none());
    assert!((0..50).all(|i| cache.get(key(1, i * 4096)).is_some() && cache.get(key(3, i * 4096)).is_some()));
    assert_is(&held, key(2, 0), 3000);
    let before = cache.budget().used();
    drop(held);
    assert_eq!(before - cache.budget().used(), 3 << 10, "C2: released by the last holder");
    assert_eq!((cache.stats().pieces_count, cache.stats().misses_count), (100, 150));
}

#[test]
fn a_failed_read_leaves_nothing() {
    let cache = Cache::new(&root(1 << 20), 1 << 20).unwrap();
    let error = cache.get_or_read(key(1, 0), 100, |_| Err(Error::corrupt(FILE, 0, "damage"))).unwrap_err();
    assert_eq!(error.sqlstate(), "XX001");
    assert!(cache.get(key(1, 0)).is_none());
    assert_eq!(cache.budget().used(), FIXED_BYTES);
}

/// Aim: copies take room that is free, and no other. Method: more of them than fit, once under the cache's own limit, once under
/// that of somebody above it who has something to give up; and one that is not right.
#[test]
fn copies_drive_nothing_out() {
    for (above_bytes, limit_bytes) in [(1 << 20, 64 << 10), (64 << 10, 1 << 20)] {
        let root = root(above_bytes);
        let (cache, other) = (Cache::new(&root, limit_bytes).unwrap(), Cache::new(&root, 20 << 10).unwrap());
        drop(load(&other, key(2, 0), 10_000));
        let bytes = |place| {
            let mut bytes = std::vec![0; 5000];
            fill(place, &mut bytes);
            bytes
        };
        assert!(!cache.keep_copy(key(1, 7), &bytes(key(1, 7)), || false) && cache.get(key(1, 7)).is_none());
        let is_kept = |i: &u64| cache.keep_copy(key(1, *i), &bytes(key(1, *i)), || true);
        let kept: Std<u64> = (0..40).map(|i| i * 4096).take_while(is_kept).collect();
        assert!((5..40).contains(&kept.len()), "{}", kept.len());
        assert!(!cache.keep_copy(key(1, 7), &[0; 5000], || panic!("nobody looks where there is no room")));
        for place in kept.iter().map(|offset| key(1, *offset)) {
            assert_is(&cache.get(place).unwrap(), place, 5000);
        }
        assert!(other.get(key(2, 0)).is_some());
        assert_eq!((cache.stats().evictions_count, other.stats().evictions_count), (0, 0));
    }
}

/// Aim: a cache that has no room for more slots goes on to take pieces in. Method: pieces of a size at which all slots are
/// taken where more of them would not fit, four times as many as fit; then those that came last are there.
#[test]
fn pieces_take_each_others_slots() {
    for len in (1500..8000).step_by(250) {
        let cache = Cache::new(&root(8 << 20), 512 << 10).unwrap();
        let count = 4 * (512 << 10) / len as u64;
        for _ in 0..2 {
            for offset in 0..count {
                load(&cache, key(1, offset), len).unwrap();
            }
        }
        let CacheStats { pieces_count, evictions_count, .. } = cache.stats();
        let there = (count - 8..count).filter(|offset| cache.get(key(1, *offset)).is_some()).count();
        assert!(evictions_count >= count, "{evictions_count} pieces of {len} bytes were evicted");
        assert_eq!(there, 8, "of {pieces_count} pieces of {len} bytes");
    }
}

/// Aim: a page that is read once does not come into a full cache, one that is read again does (C6). Method: a cache is filled; then
/// others are asked about, once and twice, and again after so many that the first time is forgotten.
#[test]
fn what_is_missed_twice_is_admitted() {
    let cache = Cache::new(&root(8 << 20), 256 << 10).unwrap();
    let admits = |key| matches!(cache.get_or_admit(key, 3000), Looked::Admitted);
    assert!(admits(key(1, 0)), "there is room");
    let mut count = 0;
    while cache.stats().evictions_count == 0 {
        load(&cache, key(1, count), 3000).unwrap();
        count += 1;
    }
    let there = (0..count).find(|offset| cache.get(key(1, *offset)).is_some()).unwrap();
    assert!(matches!(cache.get_or_admit(key(1, there), 3000), Looked::There(_)));
    let news: Std<_> = (0..8).map(|offset| key(2, offset << 20)).collect();
    assert!(news.iter().all(|key| !admits(*key)), "they were never missed");
    let admitted = news.iter().filter(|key| admits(**key)).count();
    assert!(admitted >= 6, "{admitted} of 8 are missed again");
    assert!(news.iter().any(|key| cache.get(*key).is_none()), "nobody has read them");
    for offset in 0..100_000 {
        admits(key(3, offset));
    }
    assert!(news.iter().all(|key| !admits(*key)), "that was long ago");
}

/// Aim: reads never grow long-lived memory. Method: a million reads of pieces at random out of ten times what fits; the
/// budget's peak stays under its limit, every piece holds its own bytes. (Fewer where nothing is optimized.)
#[test]
fn a_million_reads_stay_within_the_limit() {
    let store = root(1 << 20);
    let cache = Cache::new(&store, 256 << 10).unwrap();
    let mut state = 1;
    let mut peak_half = 0;
    let rounds = if cfg!(debug_assertions) { 40_000 } else { 1_000_000 };
    for round in 0..rounds {
        let r = random(&mut state);
        // A tenth of the pieces gets half of the reads.
        let which = if r & 1 == 0 { (r >> 8) % 64 } else { (r >> 8) % 640 };
        let place = key(which % 3, which);
        if let Some(piece) = load(&cache, place, 100 + which as usize * 10) {
            assert_eq!((piece[0], piece[1]), ((which % 3) as u8, which as u8));
        }
        if round == rounds / 2 {
            peak_half = cache.budget().peak();
        }
    }
    assert!(cache.budget().peak() <= 256 << 10);
    assert_eq!(cache.budget().peak(), peak_half, "flat");
    let stats = cache.stats();
    assert!(stats.hits_count > rounds * 4 / 10, "{stats:?}");
}

/// Aim: a scan does not push out what is used again and again. Method: a hot set of a third of the cache, then a scan of
/// a hundred times the cache, hot reads between; nearly all hot reads hit.
#[test]
fn a_scan_leaves_what_is_used_again() {
    let cache = Cache::new(&root(16 << 20), 1 << 20).unwrap();
    let hot = || (0..80).map(|i| key(1, i));
    for _ in 0..4 {
        hot().for_each(|place| drop(load(&cache, place, 3900)));
    }
    let mut hot_hits = 0;
    for i in 0..20_000u64 {
        drop(load(&cache, key(2, i), 3900));
        if i % 20 == 0 {
            hot_hits += u64::from(cache.get(key(1, i / 20 % 80)).is_some());
        }
    }
    assert!(hot_hits > 950, "{hot_hits} of 1000");
}

#[test]
fn it_gives_way_to_a_charge_that_would_fail() {
    let root = root(1 << 20);
    let cache = Cache::new(&root, u64::MAX).unwrap();
    for i in 0..200 {
        drop(load(&cache, key(1, i), 3900));
    }
    assert!(cache.budget().used() > 600 << 10);
    let held = cache.get(key(1, 199)).unwrap();
    let other = root.child("other", u64::MAX).unwrap();
    other.charge(900 << 10).unwrap();
    assert_is(&held, key(1, 199), 3900);
    assert!(cache.stats().evictions_count > 0);
    // With nothing free, reads are refused, not answered wrongly.
    let rest = root.available();
    other.charge(rest).unwrap();
    drop(held);
    cache.clear();
    let free = root.available();
    other.charge(free).unwrap();
    assert!(load(&cache, key(1, 0), 3900).is_none());
    assert_eq!(cache.stats().refusals_count, 1);
}

#[test]
fn a_large_cache_beside_others_evicts_its_own_and_a_small_one_theirs() {
    let root = root(4 << 20);
    let (first, second) = (Cache::new(&root, u64::MAX).unwrap(), Cache::new(&root, u64::MAX).unwrap());
    for i in 0..2000 {
        drop(load(&first, key(1, i), 3900));
    }
    let before = first.budget().used();
    assert!(before > 3 << 20);
    for i in 0..2000 {
        drop(load(&second, key(1, i), 3900));
    }
    assert!(second.budget().used() >= (4 << 20) / SHARE_OF_LIMIT / 2, "{}", second.budget().used());
    assert!(first.budget().used() < before);
}

/// Aim: C3. Method: the read of a piece reads the same piece, as a second reader would in the middle of the first.
#[test]
fn two_readers_of_a_missing_piece_both_get_it() {
    let cache = Cache::new(&root(1 << 20), 1 << 20).unwrap();
    let outer = cache
        .get_or_read(key(1, 0), 500, |bytes| {
            assert_is(&load(&cache, key(1, 0), 500).unwrap(), key(1, 0), 500);
            fill(key(1, 0), bytes);
            Ok(())
        })
        .unwrap()
        .unwrap();
    assert_is(&outer, key(1, 0), 500);
    assert_eq!(cache.stats().pieces_count, 1);
}

#[test]
fn threads_share_it_under_pressure() {
    let root = root(2 << 20);
    for limit_bytes in [128 << 10, 8 << 20] {
        let cache = Cache::new(&root, limit_bytes).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (cache, root) = (cache.clone(), &root);
                scope.spawn(move || {
                    let mut state = thread;
                    let mut held = Std::new();
                    for round in 0..5000u64 {
                        let r = random(&mut state);
                        let place = key(r % 4, (r >> 4) % 200);
                        let len = 100 + (place.offset as usize * 53) % 9000;
                        if let Some(piece) = load(&cache, place, len) {
                            assert_is(&piece, place, len);
                            held.push((place, len, piece));
                        }
                        if held.len() > 6 {
                            let (place, len, piece) = held.swap_remove(r as usize % 6);
                            assert_is(&piece, place, len);
                        }
                        match round % 500 {
                            100 => cache.forget_file(r % 4),
                            200 if root.charge(200 << 10).is_ok() => root.release(200 << 10),
                            _ => {}
                        }
                    }
                });
            }
        });
        assert!(cache.budget().peak() <= limit_bytes);
        drop(cache);
        assert_eq!(root.walk().nth(1).map(|node| node.name.as_str().to_owned()), None, "nothing is left");
    }
}

#[test]
fn refusals_at_any_charge_lose_nothing() {
    let root = root(1 << 20);
    let store =
        root.child_with("store", cofferdam_arena::BudgetOptions::unlimited().keeps_refusals()).unwrap();
    let found = Injection::new().bounds(200, 4).run(&store, |budget: &Budget| -> Result<u64, Failure> {
        let cache =
            Cache::new(budget, 64 << 10).map_err(|error| Failure::of(budget, &Error::from(error), true))?;
        for i in 0..60 {
            if let Some(piece) = load(&cache, key(1, i % 30), 900) {
                assert_is(&piece, key(1, i % 30), 900);
            }
        }
        Ok(0)
    });
    found.unwrap();
    assert_eq!(store.used(), 0);
}

/// Aim: a charge that the cache has room for is never refused because somebody is looking into the cache at that moment (C4).
/// Method: threads that look for pieces without holding them, and one that charges what only the cache can give up.
#[test]
fn who_looks_into_it_costs_no_one_a_charge() {
    let root = root(256 << 10);
    let cache = Cache::new(&root, 192 << 10).unwrap();
    let other = root.child("other", 256 << 10).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    (0..64).for_each(|offset| drop(cache.get(key(1, offset))));
                }
            });
        }
        let rounds = if cfg!(debug_assertions) { 300 } else { 3_000 };
        let refused = (0..rounds).find(|_| {
            (0..64).for_each(|offset| drop(load(&cache, key(1, offset), 2000)));
            let is_refused = other.charge(200 << 10).is_err();
            if !is_refused {
                other.release(200 << 10);
            }
            is_refused
        });
        is_over.store(true, Relaxed);
        assert_eq!(refused, None);
    });
}

//! Ordered maps in memory: what a memtable does to a million small entries.
//!
//! Keys are random and of 64 bits, values of 8 bytes. One thread inserts all, gets each once in another order, walks over
//! all in order, and lets go of all of them. Where a map can be read while it is written, the same inserts run again
//! beside a thread that gets what is there already. The time is the processor's for the thread that works; of the reset,
//! which may be too short for that, the processor's counter.

use crate::cell::{Figures, Outcome, Settings};
use bench_harness::clock::once_ns;
use bench_harness::stats::median;
use bench_harness::usage::{thread_cpu_ns, thread_cpu_of};
use bench_harness::{Random, black_box};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Entries at scale 1.
const ENTRIES_COUNT: usize = 1_000_000;
/// How often all entries are walked over.
const SCANS_COUNT: usize = 3;
/// The small number of entries after which a reset is timed.
const ENTRIES_COUNT_FEW: usize = 10_000;
/// How often resets are timed, of few entries and of all.
const RESETS_COUNT: usize = 9;
/// Memory that is written before each reset, more than processors keep near: as a flush does, which goes over all entries
/// and writes them to a file. So a reset finds no more of a small map near than of a large one.
const FLUSHED_BYTES: usize = 128 << 20;

/// An ordered map from `u64` to `u64`.
pub trait OrderedMap: Sized {
    /// An empty one that will have up to `entries_count` entries.
    ///
    /// # Errors
    /// Its own.
    fn new(entries_count: usize) -> Outcome<Self>;
    /// Adds an entry.
    ///
    /// # Errors
    /// Its own.
    fn insert(&mut self, key: u64, value: u64) -> Outcome<()>;
    /// The value of `key`.
    fn get(&self, key: u64) -> Option<u64>;
    /// Gives every entry to `seen`, by key.
    fn scan(&self, seen: impl FnMut(u64, u64));
    /// Lets go of all entries; the map can be used again.
    fn reset(&mut self);
}

/// A map that is read while one thread writes it.
pub trait SharedMap: OrderedMap + Sync {
    /// [`OrderedMap::insert`] while others read; only one thread calls it.
    ///
    /// # Errors
    /// Its own.
    fn insert_shared(&self, key: u64, value: u64) -> Outcome<()>;
}

/// Measures a map alone.
///
/// # Errors
/// The map's own, and a wrong answer.
pub fn alone<M: OrderedMap>(settings: &Settings) -> Outcome<Figures> {
    let count = settings.scaled(ENTRIES_COUNT);
    let keys = keys(count);
    let mut figures = Figures::default();
    let mut map = M::new(count)?;
    let insert_ns = time(|| fill(&mut map, &keys))?;
    figures.add("insert_ns", insert_ns / count as f64);
    figures.add("get_ns", get(&map, &keys, settings.seed)? / count as f64);
    figures.add("scan_ns", scan(&map, &keys)? / count as f64);
    resets(&mut figures, map, &keys)?;
    Ok(figures)
}

/// Measures a map alone, and then beside a reader.
///
/// # Errors
/// As [`alone`].
pub fn alone_and_shared<M: SharedMap>(settings: &Settings) -> Outcome<Figures> {
    let mut figures = alone::<M>(settings)?;
    let count = settings.scaled(ENTRIES_COUNT);
    let keys = keys(count);
    let map = M::new(count)?;
    let (inserted, reader_is_there) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (insert_ns, (get_ns, gets_count)) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            reader_is_there.store(true, Ordering::Release);
            read_until_full(&map, &keys, &inserted)
        });
        while !reader_is_there.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let written = time(|| {
            for (index, &key) in keys.iter().enumerate() {
                map.insert_shared(key, !key)?;
                inserted.store(index + 1, Ordering::Release);
            }
            Ok(())
        });
        // Whatever happened: the reader ends.
        inserted.store(count, Ordering::Release);
        let read = reader.join().map_err(|_| "the reader panicked")?;
        Ok::<_, Box<dyn std::error::Error>>((written?, read?))
    })?;
    figures.add("insert_read_ns", insert_ns / count as f64);
    figures.add("get_written_ns", get_ns / gets_count as f64);
    figures.add("gets_per_insert", gets_count as f64 / count as f64);
    Ok(figures)
}

fn keys(count: usize) -> Vec<u64> {
    (0..count).map(|index| Random::new(index as u64).next_u64()).collect()
}

fn fill<M: OrderedMap>(map: &mut M, keys: &[u64]) -> Outcome<()> {
    keys.iter().try_for_each(|&key| map.insert(key, !key))
}

/// The thread's processor time for `work`.
fn time(work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let start = thread_cpu_ns();
    work()?;
    Ok((thread_cpu_ns() - start) as f64)
}

fn get<M: OrderedMap>(map: &M, keys: &[u64], seed: u64) -> Outcome<f64> {
    let mut shuffled = keys.to_vec();
    Random::new(seed).shuffle(&mut shuffled);
    let mut right = 0;
    let ns = thread_cpu_of(|| {
        for &key in &shuffled {
            right += usize::from(map.get(key) == Some(!key));
        }
    });
    if right == keys.len() { Ok(ns) } else { Err("a get had the wrong answer".into()) }
}

fn scan<M: OrderedMap>(map: &M, keys: &[u64]) -> Outcome<f64> {
    let expected = keys.iter().fold(0u64, |sum, key| sum.wrapping_add(*key));
    let mut times = Vec::new();
    for _ in 0..SCANS_COUNT {
        let (mut sum, mut last, mut ascends) = (0u64, None, true);
        times.push(thread_cpu_of(|| {
            map.scan(|key, value| {
                ascends &= last < Some(key);
                last = Some(key);
                sum = sum.wrapping_add(black_box(!value));
            });
        }));
        if sum != expected || !ascends {
            return Err("a scan had the wrong answer".into());
        }
    }
    Ok(median(&times))
}

/// Gets of random keys among those that are in the map, until all are. What they took, and how many they were.
fn read_until_full<M: SharedMap>(
    map: &M,
    keys: &[u64],
    inserted: &AtomicUsize,
) -> Result<(f64, u64), String> {
    let mut random = Random::new(1);
    let mut gets_count = 0;
    let start = thread_cpu_ns();
    loop {
        let count = inserted.load(Ordering::Acquire);
        if count == keys.len() && gets_count > 0 {
            return Ok(((thread_cpu_ns() - start) as f64, gets_count));
        }
        if count == 0 {
            std::hint::spin_loop();
            continue;
        }
        let key = keys[random.below(count)];
        if map.get(key) != Some(!key) {
            return Err("a reader beside the writer missed an entry".to_owned());
        }
        gets_count += 1;
    }
}

/// Resets of all entries and of few, each behind a reset of another map and memory that is written: what the processor still has near
/// is the same for both.
fn resets<M: OrderedMap>(figures: &mut Figures, mut full: M, keys: &[u64]) -> Outcome<()> {
    let few_keys = &keys[..keys.len().min(ENTRIES_COUNT_FEW)];
    let (mut few, mut other) = (M::new(few_keys.len())?, M::new(few_keys.len())?);
    let mut flushed = vec![0; FLUSHED_BYTES];
    let (mut all_us, mut few_us) = (Vec::new(), Vec::new());
    for round in 0..RESETS_COUNT {
        if round > 0 {
            fill(&mut full, keys)?;
        }
        fill(&mut few, few_keys)?;
        for (map, us) in [(&mut full, &mut all_us), (&mut few, &mut few_us)] {
            fill(&mut other, few_keys)?;
            other.reset();
            us.push(reset_us(map, &mut flushed));
        }
    }
    figures.add("reset_10k_us", median(&few_us));
    figures.add("reset_1m_us", median(&all_us));
    Ok(())
}

fn reset_us<M: OrderedMap>(map: &mut M, flushed: &mut [u8]) -> f64 {
    for line in flushed.chunks_mut(64) {
        line[0] = line[0].wrapping_add(1);
    }
    black_box(&flushed);
    once_ns(|| map.reset()) / 1e3
}

/// The standard library's B-tree.
pub mod btree {
    use super::{OrderedMap, Outcome};
    use std::collections::BTreeMap;

    /// One thread at a time.
    pub type Map = BTreeMap<u64, u64>;

    impl OrderedMap for Map {
        fn new(_entries_count: usize) -> Outcome<Map> {
            Ok(BTreeMap::new())
        }

        fn insert(&mut self, key: u64, value: u64) -> Outcome<()> {
            BTreeMap::insert(self, key, value);
            Ok(())
        }

        fn get(&self, key: u64) -> Option<u64> {
            BTreeMap::get(self, &key).copied()
        }

        fn scan(&self, mut seen: impl FnMut(u64, u64)) {
            self.iter().for_each(|(&key, &value)| seen(key, value));
        }

        fn reset(&mut self) {
            self.clear();
        }
    }
}

/// The same behind a lock, which is how it would be read while it is written.
pub mod locked {
    use super::{OrderedMap, Outcome, SharedMap, btree};
    use std::sync::{PoisonError, RwLock};

    /// Readers wait for the writer, and it for them.
    pub struct Map(RwLock<btree::Map>);

    impl OrderedMap for Map {
        fn new(entries_count: usize) -> Outcome<Map> {
            Ok(Map(RwLock::new(OrderedMap::new(entries_count)?)))
        }

        fn insert(&mut self, key: u64, value: u64) -> Outcome<()> {
            OrderedMap::insert(self.0.get_mut().unwrap_or_else(PoisonError::into_inner), key, value)
        }

        fn get(&self, key: u64) -> Option<u64> {
            OrderedMap::get(&*self.0.read().unwrap_or_else(PoisonError::into_inner), key)
        }

        fn scan(&self, seen: impl FnMut(u64, u64)) {
            self.0.read().unwrap_or_else(PoisonError::into_inner).scan(seen);
        }

        fn reset(&mut self) {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner).reset();
        }
    }

    impl SharedMap for Map {
        fn insert_shared(&self, key: u64, value: u64) -> Outcome<()> {
            OrderedMap::insert(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), key, value)
        }
    }
}

/// The skip list of crossbeam.
#[cfg(feature = "peers")]
pub mod skiplist {
    use super::{OrderedMap, Outcome, SharedMap};
    use crossbeam_skiplist::SkipMap;

    /// Any number of threads read and write.
    pub type Map = SkipMap<u64, u64>;

    impl OrderedMap for Map {
        fn new(_entries_count: usize) -> Outcome<Map> {
            Ok(SkipMap::new())
        }

        fn insert(&mut self, key: u64, value: u64) -> Outcome<()> {
            self.insert_shared(key, value)
        }

        fn get(&self, key: u64) -> Option<u64> {
            SkipMap::get(self, &key).map(|entry| *entry.value())
        }

        fn scan(&self, mut seen: impl FnMut(u64, u64)) {
            self.iter().for_each(|entry| seen(*entry.key(), *entry.value()));
        }

        /// By dropping: `clear` leaves the entries to a collector, for later.
        fn reset(&mut self) {
            *self = SkipMap::new();
        }
    }

    impl SharedMap for Map {
        fn insert_shared(&self, key: u64, value: u64) -> Outcome<()> {
            SkipMap::insert(self, key, value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn settings() -> Settings {
        Settings { dir: PathBuf::new(), scale: 0.001, seed: 1, python: None, program: None }
    }

    /// A map that forgets one key.
    struct Forgetful(btree::Map);

    impl OrderedMap for Forgetful {
        fn new(entries_count: usize) -> Outcome<Forgetful> {
            Ok(Forgetful(OrderedMap::new(entries_count)?))
        }
        fn insert(&mut self, key: u64, value: u64) -> Outcome<()> {
            if self.0.len() == 500 { Ok(()) } else { OrderedMap::insert(&mut self.0, key, value) }
        }
        fn get(&self, key: u64) -> Option<u64> {
            OrderedMap::get(&self.0, key)
        }
        fn scan(&self, seen: impl FnMut(u64, u64)) {
            self.0.scan(seen);
        }
        fn reset(&mut self) {
            self.0.reset();
        }
    }

    #[test]
    fn every_figure_is_measured() {
        let figures = alone::<btree::Map>(&settings()).expect("a map works");
        for name in ["insert_ns", "get_ns", "scan_ns", "reset_10k_us", "reset_1m_us"] {
            assert!(figures.get(name).is_some_and(|figure| figure > 0.0), "{name}: {figures}");
        }
    }

    #[test]
    fn a_shared_map_is_read_while_it_is_written() {
        let figures = alone_and_shared::<locked::Map>(&settings()).expect("a map works");
        assert!(figures.get("insert_read_ns").is_some_and(|figure| figure > 0.0), "{figures}");
    }

    #[test]
    fn wrong_answers_are_no_figures() {
        assert!(alone::<Forgetful>(&settings()).is_err());
    }
}

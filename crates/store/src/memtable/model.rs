//! Readers beside the writer in every interleaving, by loom, with nodes of three entries. Run with
//! `RUSTFLAGS="--cfg loom" cargo test --release -p cofferdam-store --lib memtable::model`.
//!
//! A record begins with a cell that the model checker watches (`record.rs`): it fails the model where a record can be read
//! before it was published.

use super::node::Target;
use super::*;
use loom::sync::Arc;
use loom::thread;

const TABLE: TableId = TableId(1);

/// Explores a model with so many switches of threads where neither has to wait, or as many as `LOOM_MAX_PREEMPTIONS` says: what
/// goes wrong with more is rare, and takes hours to explore.
fn explore(switches: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(switches));
    builder.max_branches = 50_000;
    builder.check(model);
}

/// Explores a writer that inserts keys into a memtable that has others, beside a reader that looks.
fn race(before: &'static [&'static str], inserted: &'static [&'static str], look: fn(Memtable<'_>, &[&str])) {
    race_with(2, before, inserted, look);
}

/// As `race`, with so many switches of threads.
fn race_with(
    switches: usize,
    before: &'static [&'static str],
    inserted: &'static [&'static str],
    look: fn(Memtable<'_>, &[&str]),
) {
    explore(switches, move || {
        let budget = Budget::unlimited("r").unwrap();
        let memtables = Arc::new(Memtables::new(&budget, 8 << 10).unwrap());
        let insert = |keys: &[&str]| {
            let writer = memtables.writer().unwrap();
            for key in keys {
                writer.insert(TABLE, key.as_bytes(), 1, EntryKind::Put, key.as_bytes()).unwrap();
            }
        };
        insert(before);
        let reader = {
            let memtables = memtables.clone();
            thread::spawn(move || look(memtables.pin().unwrap().active(), before))
        };
        insert(inserted);
        reader.join().unwrap();
        let pins = memtables.pin().unwrap();
        finds_all(pins.active(), before);
        finds_all(pins.active(), inserted);
    });
}

/// Every key that was there is found, with its row.
fn finds_all(memtable: Memtable<'_>, before: &[&str]) {
    for key in before {
        let found = memtable.get(TABLE, key.as_bytes(), 9).expect("it was there before");
        assert_eq!((found.key, found.row), (key.as_bytes(), key.as_bytes()));
    }
}

/// One of the keys that were there is found.
fn finds_last(memtable: Memtable<'_>, before: &[&str]) {
    finds_all(memtable, &before[before.len() - 1..]);
}

/// A scan gives what was there, in order, each once; and perhaps what came.
fn scans(memtable: Memtable<'_>, before: &[&str]) {
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    let mut expected = before.iter().peekable();
    let mut last: &[u8] = b"";
    while let Some(entry) = cursor.entry() {
        assert!(entry.key > last, "in order");
        assert_eq!(entry.key, entry.row, "a whole entry");
        last = entry.key;
        expected.next_if(|key| key.as_bytes() == last);
        cursor.next();
    }
    assert_eq!(expected.next(), None, "it was there before");
}

/// A cursor that begins in the middle misses nothing behind.
fn seeks(memtable: Memtable<'_>, before: &[&str]) {
    let [.., middle, last] = before else { return };
    let mut cursor = memtable.cursor();
    cursor.seek(TABLE, middle.as_bytes(), 9);
    assert_eq!(cursor.entry().expect("it was there before").key, middle.as_bytes());
    while cursor.entry().is_some_and(|entry| entry.key < last.as_bytes()) {
        cursor.next();
    }
    assert_eq!(cursor.entry().expect("it was there before").key, last.as_bytes());
}

/// A cursor finds one of the keys that were there.
fn seeks_last(memtable: Memtable<'_>, before: &[&str]) {
    let last = before.last().expect("a key").as_bytes();
    let mut cursor = memtable.cursor();
    cursor.seek(TABLE, last, 9);
    assert_eq!(cursor.entry().expect("it was there before").key, last);
}

/// Entries are moved to the right while somebody looks for them.
#[test]
fn entries_that_move_are_found() {
    race(&["b", "d"], &["a"], finds_all);
    race(&["b", "d"], &["c"], scans);
    race(&["b", "d"], &["a"], scans);
    race(&["c"], &["b", "a"], scans);
}

/// A full leaf gives up its upper half; the tree gets a top.
#[test]
fn entries_that_are_given_up_are_found() {
    race(&["b", "d", "f"], &["c"], finds_all);
    race(&["b", "d", "f"], &["e"], scans);
    race(&["b", "d", "f"], &["a"], seeks);
}

/// What was given up is filled again while somebody reads what was there.
#[test]
fn places_that_are_filled_again_hide_nothing() {
    race(&["b", "d", "f"], &["e", "a", "c"], finds_last);
    race(&["b", "d", "f"], &["e", "a"], seeks_last);
}

/// Heads are rewritten for another skip.
#[test]
#[expect(unsafe_code, reason = "a model's way to what is private")]
fn heads_that_are_rewritten_mislead_nobody() {
    for look in [finds_all, scans] {
        explore(2, move || {
            let budget = Budget::unlimited("r").unwrap();
            let memtables = Arc::new(Memtables::new(&budget, 8 << 10).unwrap());
            let before = &["kk1", "kk2", "kk4"];
            let writer = memtables.writer().unwrap();
            for key in before {
                writer.insert(TABLE, key.as_bytes(), 1, EntryKind::Put, key.as_bytes()).unwrap();
            }
            let reader = {
                let memtables = memtables.clone();
                thread::spawn(move || look(memtables.pin().unwrap().active(), before))
            };
            // SAFETY: the side is pinned by the writer.
            let tree = unsafe { writer.side.directory() }.table(TABLE.0).unwrap();
            let (leaf, state) = tree.leaf_for(&Target::FIRST).unwrap();
            insert::reshape(tree, *leaf, state.sure(2));
            reader.join().unwrap();
            finds_all(writer.read(), before);
        });
    }
}

/// An inner node is split, and the tree grows. (With two switches it takes minutes.)
#[test]
fn inner_nodes_that_are_split_lead_on() {
    race_with(1, &["c1", "c2", "c3", "c4", "c5", "c6", "c7"], &["c25"], finds_last);
}

/// A reader of the whole, beside a swap, a flush and a reset: what was there is in a side that it pins, or safe elsewhere.
#[test]
fn sides_that_are_swapped_hide_nothing() {
    use super::sync::{AtomicU32, Ordering};
    explore(2, || {
        let budget = Budget::unlimited("r").unwrap();
        let memtables = Arc::new(Memtables::new(&budget, 8 << 10).unwrap());
        let insert = |key: &[u8]| {
            memtables.writer().unwrap().insert(TABLE, key, 1, EntryKind::Put, b"row").unwrap();
        };
        insert(b"a");
        let flushed = Arc::new(AtomicU32::new(0));
        let reader = {
            let (memtables, flushed) = (memtables.clone(), flushed.clone());
            thread::spawn(move || {
                let pins = memtables.pin().unwrap();
                let is_found = |memtable: Memtable<'_>| memtable.get(TABLE, b"a", 9).is_some();
                let found = is_found(pins.active()) || pins.sealed().is_some_and(is_found);
                assert!(found || flushed.load(Ordering::Acquire) == 1);
            })
        };
        memtables.swap().unwrap();
        insert(b"b");
        flushed.store(1, Ordering::Release);
        memtables.mark_flushed().unwrap();
        if memtables.reset_sealed(0).is_ok() {
            memtables.swap().unwrap();
            insert(b"c");
        }
        reader.join().unwrap();
    });
}

//! A memtable against the standard library's ordered map; its turns; what it refuses.

use super::*;
use cofferdam_arena::PinError;
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

mod observers;
mod threads;
mod write_set;

/// (table, key, sequence) to (kind, row).
type Model = BTreeMap<(u32, Vec<u8>, Reverse<u64>), (EntryKind, Vec<u8>)>;

/// A tree of budgets and two memtables in it.
fn memtables(limit_bytes: u64) -> (Budget, Memtables) {
    let budget = Budget::root("process", limit_bytes).unwrap().child("memtables", u64::MAX).unwrap();
    let memtables = Memtables::new(&budget, 16 << 10).unwrap();
    (budget, memtables)
}

/// A number below `end`. (Knuth, MMIX.)
fn random(seed: &mut u64, end: u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 20) % end
}

/// The encoding of a bigint.
fn bigint(value: u64) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&(value ^ 1 << 63).to_be_bytes());
    key
}

#[expect(unsafe_code, reason = "a test's way to what is private")]
fn check(writer: &Writer<'_>) -> usize {
    // SAFETY: the side is pinned.
    unsafe { check::check(writer.side) }
}

#[expect(clippy::type_complexity, reason = "what a map's iterator gives")]
fn entry_of<'m>(
    ((table, key, sequence), (kind, row)): (&'m (u32, Vec<u8>, Reverse<u64>), &'m (EntryKind, Vec<u8>)),
) -> Entry<'m> {
    Entry { table: TableId(*table), key, sequence: sequence.0, kind: *kind, row }
}

/// A scan gives what the model has.
fn check_scan(memtable: Memtable<'_>, model: &Model) {
    let mut cursor = memtable.cursor();
    assert_eq!(cursor.entry(), None, "a new cursor stands nowhere");
    cursor.seek_first();
    for expected in model.iter().map(entry_of) {
        assert_eq!(cursor.entry(), Some(expected));
        cursor.next();
    }
    for _ in 0..2 {
        assert_eq!(cursor.entry(), None);
        cursor.next();
    }
    assert_eq!(memtable.figures().entries_count, model.len() as u64);
}

/// A lookup, and a cursor's first steps from a place.
fn check_seek(memtable: Memtable<'_>, model: &Model, table: u32, key: &[u8], sequence: u64) {
    let from = (table, key.to_vec(), Reverse(sequence));
    let mut cursor = memtable.cursor();
    cursor.seek(TableId(table), key, sequence);
    let mut expected = model.range(from.clone()..).map(entry_of);
    let first = expected.next();
    assert_eq!(cursor.entry(), first, "seek {from:?}");
    for _ in 0..3 {
        cursor.next();
        assert_eq!(cursor.entry(), expected.next(), "after seek {from:?}");
    }
    let found = memtable.get(TableId(table), key, sequence);
    assert_eq!(found, first.filter(|first| first.table.0 == table && first.key == key), "get {from:?}");
    let next_table =
        model.range((table, Vec::new(), Reverse(u64::MAX))..).next().map(|(key, _)| TableId(key.0));
    assert_eq!(memtable.table_from(TableId(table)), next_table);
}

/// Inserts into both.
fn insert(writer: &Writer<'_>, model: &mut Model, table: u32, key: &[u8], sequence: u64, row: &[u8]) {
    let kind = if row.is_empty() { EntryKind::Delete } else { EntryKind::Put };
    writer.insert(TableId(table), key, sequence, kind, row).unwrap();
    model.insert((table, key.to_vec(), Reverse(sequence)), (kind, row.to_vec()));
}

/// Inserts `count` bigints, given by their rank, into table 7 and checks everything. Returns entries per leaf.
fn fill(count: u64, key: impl Fn(u64, &mut u64) -> u64) -> f64 {
    let (_budget, memtables) = memtables(64 << 20);
    let writer = memtables.writer().unwrap();
    let (mut model, mut seed) = (Model::new(), 1);
    for at in 0..count {
        insert(&writer, &mut model, 7, &bigint(key(at, &mut seed)), at, &at.to_le_bytes());
    }
    let leaves = check(&writer);
    check_scan(writer.read(), &model);
    for (index, (table, key, sequence)) in model.keys().enumerate() {
        if index % 7 == 0 {
            check_seek(writer.read(), &model, *table, key, sequence.0);
            check_seek(writer.read(), &model, *table, key, u64::MAX);
        }
    }
    model.len() as f64 / leaves as f64
}

/// What fills a memtable, with as few entries as there may be.
const ROW: &[u8] = if cfg!(miri) { &[5; 3_000] } else { &[5; 50] };
const COUNT: u64 = if cfg!(miri) { 30 } else { 5_000 };

#[test]
fn random_keys_are_found_and_scanned_in_order() {
    let per_leaf = fill(COUNT, |_, seed| random(seed, u64::MAX));
    assert!(per_leaf > 18.0 || cfg!(miri), "leaves are at least six tenths full: {per_leaf}");
}

#[test]
fn keys_in_order_fill_their_leaves() {
    for (per_leaf, what) in [
        (fill(COUNT, |at, _| at), "ascending"),
        (fill(COUNT, |at, _| u64::MAX - at), "descending"),
        // A few streaks in the middle of others.
        (fill(COUNT, |at, _| ((at % 5) << 32) | (at / 5)), "five streaks"),
    ] {
        assert!(per_leaf > 28.0 || cfg!(miri), "{what}: {per_leaf} of 30 entries a leaf");
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn streaks_that_get_into_each_others_way_leave_half_full_leaves() {
    for (per_leaf, what) in [
        (fill(COUNT, |at, _| if at % 2 == 0 { at } else { (1 << 40) - at }), "one up, one down"),
        (fill(COUNT, |at, _| if at < 30 { at } else { (1 << 20) - at }), "down into a gap"),
        (
            fill(COUNT, |at, seed| if at < COUNT / 2 { random(seed, COUNT) * 1000 } else { 250_500 - at }),
            "down among others",
        ),
        (fill(COUNT, |at, seed| (random(seed, COUNT / 10) << 32) + at), "short streaks"),
    ] {
        assert!(per_leaf > 14.9 || cfg!(miri), "{what}: {per_leaf} of 30 entries a leaf");
    }
}

/// Aim: a row that is overwritten again and again is so many versions, all of which are held: what the memtable holds grows until
/// it is flushed, and every snapshot finds its version.
#[test]
fn overwriting_one_row_fills_the_memtable() {
    let (budget, memtables) = memtables(64 << 20);
    let writer = memtables.writer().unwrap();
    let row = [7; 100];
    for sequence in 1..=COUNT {
        writer.insert(TableId(1), &bigint(5), sequence, EntryKind::Put, &row).unwrap();
    }
    check(&writer);
    let figures = writer.read().figures();
    assert_eq!((figures.entries_count, figures.sequences), (COUNT, Some((1, COUNT))));
    assert!(figures.used_bytes > COUNT * 100, "every version is held: {figures:?}");
    assert!(
        figures.used_bytes < COUNT * 126 + (4 << 10),
        "114 bytes of record and 9 of full leaves: {figures:?}"
    );
    assert_eq!(figures.held_bytes + 16 * 1024 + 2 * 1024, budget.used(), "beside the other side's minimum");
    for sequence in (1..=COUNT).step_by(97) {
        assert_eq!(writer.read().get(TableId(1), &bigint(5), sequence).unwrap().sequence, sequence);
    }
    assert_eq!(writer.read().get(TableId(1), &bigint(5), u64::MAX).unwrap().sequence, COUNT);
    assert_eq!(writer.read().get(TableId(1), &bigint(5), 0), None);
}

/// Keys that are hard to tell apart: empty, starts of each other, with zeros and ones, with long common beginnings.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![Just(0u8), Just(1), Just(0xff), Just(b'a'), any::<u8>()];
    let tail = prop::collection::vec(letter, 0..6);
    let beginning = prop_oneof![Just(0usize), Just(3), Just(9), Just(40), Just(140)];
    (beginning, tail).prop_map(|(len, tail)| {
        let mut key = vec![b'x'; len];
        key.extend(tail);
        key
    })
}

fn rows() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 1..20),
        (100usize..400).prop_map(|len| vec![9; len]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 20 }))]

    /// Aim: whatever is inserted in whatever order is found, in order. Method: the ordered map of the standard library.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn a_memtable_is_an_ordered_map(
        entries in prop::collection::vec((0u32..3, keys(), 0u64..40, rows()), 0..if cfg!(miri) { 40 } else { 400 }),
        looks in prop::collection::vec((0u32..4, keys(), 0u64..42), 0..if cfg!(miri) { 10 } else { 60 }),
    ) {
        let (_budget, memtables) = memtables(64 << 20);
        let writer = memtables.writer().unwrap();
        let mut model = Model::new();
        for (table, key, sequence, row) in &entries {
            insert(&writer, &mut model, *table * 1000, key, *sequence << (*sequence % 4 * 8), row);
        }
        check(&writer);
        check_scan(writer.read(), &model);
        for (table, key, sequence) in &looks {
            check_seek(writer.read(), &model, *table * 1000, key, *sequence << (*sequence % 4 * 8));
        }
        for (table, key, sequence) in model.keys().step_by(5) {
            check_seek(writer.read(), &model, *table, key, sequence.0);
        }
    }

    /// Aim: a transaction that was reserved is applied whole, whatever is in the memtable. Method: after the reservation
    /// nothing is left of the budget.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn what_was_reserved_cannot_fail(
        before in prop::collection::vec((0u32..40, keys(), rows()), 0..if cfg!(miri) { 30 } else { 500 }),
        after in prop::collection::vec((0u32..60, keys(), rows()), 1..if cfg!(miri) { 15 } else { 150 }),
        spread in 1u32..60,
    ) {
        let (budget, memtables) = memtables(64 << 20);
        let writer = memtables.writer().unwrap();
        let mut model = Model::new();
        for (sequence, (table, key, row)) in before.iter().enumerate() {
            insert(&writer, &mut model, *table % spread, key, sequence as u64, row);
        }
        // As the changes of a transaction come.
        let after: BTreeMap<_, _> =
            after.iter().map(|(table, key, row)| ((table % spread, key), row)).collect();
        let tables = after.keys().map(|(table, _)| *table).collect::<std::collections::BTreeSet<_>>();
        let bytes = after.iter().map(|((_, key), row)| key.len() + row.len()).sum();
        writer.reserve(tables.len(), after.len(), bytes).unwrap();
        budget.charge(budget.available()).unwrap();
        for (sequence, ((table, key), row)) in after.iter().enumerate() {
            insert(&writer, &mut model, *table, key, (before.len() + sequence) as u64, row);
        }
        check(&writer);
        check_scan(writer.read(), &model);
    }
}

/// Aim: what is made sure of for a transaction is enough for it, wherever its entries fall, and a small part of what one node for each of
/// them would be. Method: numbers in several orders and distances before it and in it; after the reservation nothing is left of the
/// budget.
#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn what_a_large_transaction_reserves_is_enough_and_not_much() {
    const MANY: u64 = 3_000;
    type Order = fn(u64) -> u64;
    // By position, numbers below 100 * MANY.
    let orders: [Order; 7] = [
        |at| at * 100,
        |at| (MANY - at) * 100,
        |at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (100 * MANY),
        |at| at / 9 * 900 + at % 9,
        |at| at / 40 * 4000 + (39 - at % 40),
        |at| at / 30 * 3000 + at % 30,
        |at| 50 * MANY + at,
    ];
    for (number, before) in orders.iter().enumerate() {
        for (other, after) in orders.iter().enumerate() {
            for count in [0, 50, MANY] {
                let (budget, memtables) = memtables(64 << 20);
                let writer = memtables.writer().unwrap();
                let put = |key: u64, sequence| {
                    writer.insert(TableId(7), &bigint(key), sequence, EntryKind::Delete, b"")
                };
                (0..count).for_each(|at| put(before(at), at).unwrap());
                let mut keys: Vec<u64> = (0..MANY).map(|at| after(at) + 1).collect();
                keys.sort_unstable();
                keys.dedup();
                let used = budget.used();
                writer.reserve(1, keys.len(), keys.len() * 9).unwrap();
                let reserved = budget.used() - used;
                assert!(reserved < 2 << 20, "{number}, {other}, {count}: {reserved}");
                assert!(count > 0 || reserved < 512 << 10, "{number}, {other}: {reserved}");
                budget.charge(budget.available()).unwrap();
                for (at, key) in keys.iter().enumerate() {
                    assert!(put(*key, count + at as u64).is_ok(), "{number}, {other}, {count}: {at}");
                }
                check(&writer);
            }
        }
    }
}

#[test]
fn long_keys_and_rows_are_kept() {
    let (_budget, memtables) = memtables(64 << 20);
    let writer = memtables.writer().unwrap();
    let mut model = Model::new();
    let lens =
        if cfg!(miri) { &[0, 126, 127, 128][..] } else { &[0, 1, 126, 127, 128, 8192, 70_000, 300_000] };
    for (index, len) in lens.iter().enumerate() {
        let bytes = vec![index as u8; *len];
        let sequence = [5, 5 + (1 << 24) - 1, 5 + (1 << 24), (1 << 60) + 3, 0][index % 5];
        insert(&writer, &mut model, u32::MAX, &bytes, sequence, b"row");
        insert(&writer, &mut model, 0, &bigint(index as u64), sequence, &bytes);
        insert(&writer, &mut model, u32::MAX, &bytes[..len / 2], 5, &bytes);
    }
    check(&writer);
    check_scan(writer.read(), &model);
    for (table, key, sequence) in model.keys() {
        check_seek(writer.read(), &model, *table, key, sequence.0);
    }
}

#[test]
fn an_entry_larger_than_offsets_can_tell_is_refused() {
    let (budget, memtables) = memtables(u64::MAX);
    let writer = memtables.writer().unwrap();
    writer.insert(TableId(1), b"a", 1, EntryKind::Put, b"1").unwrap();
    assert!(writer.reserve(1, 1, usize::MAX).is_err());
    assert!(writer.reserve(usize::MAX, usize::MAX, 3 << 30).is_err());
    assert_eq!(budget.last_refusal().unwrap().reason(), cofferdam_arena::Reason::TooLarge);
    writer.insert(TableId(1), b"b", 2, EntryKind::Put, b"2").unwrap();
    check(&writer);
}

#[test]
fn sides_take_turns() {
    let (budget, memtables) = memtables(64 << 20);
    let empty_bytes = budget.used();
    assert_eq!(empty_bytes, (2 * 17) << 10, "16 KiB and a control block each, up front");
    let (mut older, mut newer) = (Model::new(), Model::new());
    for sequence in 0..COUNT / 10 {
        insert(&memtables.writer().unwrap(), &mut older, 1, &bigint(sequence), sequence, b"old");
    }
    let epochs = [memtables.epoch()];
    assert_eq!(memtables.mark_flushed(), Err(DoubleBufferError::NothingSealed));
    memtables.swap().unwrap();
    let epochs = [epochs[0], memtables.epoch()];
    insert(&memtables.writer().unwrap(), &mut newer, 2, b"k", COUNT, b"new");
    let pins = memtables.pin().unwrap();
    assert_eq!(pins.epoch(), epochs[1]);
    check_scan(pins.active(), &newer);
    check_scan(pins.sealed().unwrap(), &older);
    assert_eq!(memtables.swap(), Err(DoubleBufferError::StandbyNotReset));
    assert_eq!(memtables.reset_sealed(0), Err(DoubleBufferError::NotFlushed));
    memtables.mark_flushed().unwrap();
    let busy = PinError::Busy { readers_count: 1, has_writer: false };
    assert_eq!(memtables.reset_sealed(0), Err(DoubleBufferError::Pinned(busy)));
    check_scan(pins.sealed().unwrap(), &older);
    drop(pins);
    memtables.reset_sealed(0).unwrap();
    assert!(![epochs[0], epochs[1]].contains(&memtables.epoch()));
    assert_eq!(budget.used(), empty_bytes, "the minimum is kept, the rest is given back");
    let pins = memtables.pin().unwrap();
    assert!(pins.sealed().is_none());
    check_scan(pins.active(), &newer);
    drop(pins);
    let writer = memtables.writer().unwrap();
    assert_eq!(memtables.writer().err(), Some(PinError::Busy { readers_count: 0, has_writer: true }));
    let busy = PinError::Busy { readers_count: 0, has_writer: true };
    assert_eq!(memtables.swap(), Err(DoubleBufferError::Pinned(busy)));
    drop(writer);
    memtables.swap().unwrap();
    let pins = memtables.pin().unwrap();
    check_scan(pins.active(), &Model::new());
    assert_eq!(pins.active().figures().used_bytes, 0);
    assert_eq!(
        pins.active().get(TableId(1), &bigint(1), u64::MAX),
        None,
        "nothing is left of the turn before"
    );
}

/// Aim: what is kept over resets is used again, so that turns of the same size take no more memory.
#[test]
fn memory_stays_at_two_sides_whatever_is_written() {
    let (budget, memtables) = memtables(64 << 20);
    let mut used = Vec::new();
    for turn in 0..if cfg!(miri) { 3 } else { 6 } {
        let writer = memtables.writer().unwrap();
        let mut seed = turn;
        for at in 0..COUNT {
            writer
                .insert(TableId(1), &bigint(random(&mut seed, 1 << 60)), at, EntryKind::Put, b"12345678")
                .unwrap();
        }
        check(&writer);
        drop(writer);
        memtables.swap().unwrap();
        memtables.mark_flushed().unwrap();
        memtables.reset_sealed(usize::MAX).unwrap();
        used.push(budget.used());
    }
    assert!(used[2..].iter().all(|used_bytes| *used_bytes <= used[1] + used[1] / 8), "{used:?}");
}

/// Aim: a refused charge changes nothing, whichever it is. Method: every charge of some hundred insertions is refused
/// once; afterwards the memtable has exactly what was accepted, and takes the rest.
#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn a_refused_insertion_changes_nothing() {
    let budget = Budget::root("process", 64 << 20).unwrap().child("memtables", u64::MAX).unwrap();
    let work = |budget: &Budget| {
        let refused = |error| Failure::of(budget, &error, true);
        let memtables = Memtables::new(budget, 4 << 10).map_err(refused)?;
        let writer = memtables.writer().unwrap();
        let (mut model, mut seed, mut failure) = (Model::new(), 3, None);
        for at in 0..if cfg!(miri) { 8 } else { 500u64 } {
            let (table, key) = ((at % 3) as u32, bigint(random(&mut seed, 1 << 40)));
            let row = vec![1; (at % 11 * 40) as usize];
            if at % 50 == 49
                && let Err(error) = writer.reserve(2, 10, 1000)
            {
                failure = Some(refused(error));
            }
            if let Err(error) = writer.insert(TableId(table), &key, at, EntryKind::Put, &row) {
                failure = Some(refused(error));
                check(&writer);
                check_scan(writer.read(), &model);
                writer.insert(TableId(table), &key, at, EntryKind::Put, &row).map_err(refused)?;
            }
            model.insert((table, key.to_vec(), Reverse(at)), (EntryKind::Put, row));
        }
        check(&writer);
        check_scan(writer.read(), &model);
        failure.map_or(Ok(model.len()), Err)
    };
    let injected = Injection::new().run(&budget, work).unwrap();
    assert!(injected.refused_count + injected.survived_count > 10 || cfg!(miri), "{injected:?}");
    println!("{injected:?}");
}

/// Aim: a memtable that is full says so, keeps what it has, and goes on after a flush.
#[test]
fn a_full_memtable_refuses_until_it_is_flushed() {
    let budget = Budget::root("process", 1 << 20).unwrap().child("memtables", 96 << 10).unwrap();
    let memtables = Memtables::new(&budget, 16 << 10).unwrap();
    let mut key = 0;
    for _ in 0..if cfg!(miri) { 2 } else { 3 } {
        let writer = memtables.writer().unwrap();
        let mut model = Model::new();
        while writer.insert(TableId(1), &bigint(key), key, EntryKind::Put, ROW).is_ok() {
            model.insert((1, bigint(key).to_vec(), Reverse(key)), (EntryKind::Put, ROW.to_vec()));
            key += 1;
        }
        assert_eq!(budget.last_refusal().unwrap().refused_by(), "memtables");
        check(&writer);
        check_scan(writer.read(), &model);
        assert!(model.len() > 25_000 / ROW.len(), "{}", model.len());
        drop(writer);
        memtables.swap().unwrap();
        memtables.mark_flushed().unwrap();
        memtables.reset_sealed(0).unwrap();
    }
}

#[test]
#[cfg_attr(miri, ignore = "there is no unsafe code in it")]
fn bytes_compare_and_heads_order_as_keys_do() {
    use super::node::{compare, head, shared_bytes};
    let mut seed = 5;
    let mut keys: Vec<Vec<u8>> = (0..if cfg!(miri) { 20 } else { 300 })
        .map(|_| (0..random(&mut seed, 20)).map(|_| [0, 1, 255][random(&mut seed, 3) as usize]).collect())
        .collect();
    keys.push(Vec::new());
    for left in &keys {
        for right in &keys {
            assert_eq!(compare(left, right), left.cmp(right), "{left:?} {right:?}");
            for skip in 0..=shared_bytes(left, right) {
                let heads = head(left, skip).cmp(&head(right, skip));
                assert!(heads == left.cmp(right) || heads.is_eq(), "{left:?} {right:?} {skip}");
            }
        }
    }
}

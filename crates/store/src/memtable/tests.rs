//! A memtable against the standard library's ordered map, and its turns.

use super::*;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

type Model = BTreeMap<(u32, Vec<u8>, Reverse<u64>), (EntryKind, Vec<u8>)>;

fn memtables(limit_bytes: u64) -> (Budget, Memtables) {
    let budget = Budget::root("process", limit_bytes).unwrap();
    let memtables = Memtables::new(&budget.child("memtables", u64::MAX).unwrap(), 16 << 10).unwrap();
    (budget, memtables)
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *seed >> 20
}

fn bigint_key(value: u64) -> [u8; 9] {
    let mut key = [1; 9];
    key[1..].copy_from_slice(&(value ^ 1 << 63).to_be_bytes());
    key
}

fn check_scan(memtable: Memtable<'_>, model: &Model) {
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    for ((table, key, Reverse(sequence)), (kind, row)) in model {
        let expected = Entry { table: TableId(*table), key, sequence: *sequence, kind: *kind, row };
        assert_eq!(cursor.entry(), Some(expected));
        cursor.next();
    }
    assert_eq!(cursor.entry(), None);
    cursor.next();
    assert_eq!(cursor.entry(), None);
    assert_eq!(memtable.figures().entries_count, model.len() as u64);
}

fn check_seek(memtable: Memtable<'_>, model: &Model, table: u32, key: &[u8], sequence: u64) {
    let from = (table, key.to_vec(), Reverse(sequence));
    let mut cursor = memtable.cursor();
    cursor.seek(TableId(table), key, sequence);
    let mut expected = model.range(from.clone()..).map(|((table, key, sequence), (kind, row))| Entry {
        table: TableId(*table),
        key,
        sequence: sequence.0,
        kind: *kind,
        row,
    });
    let first = expected.next();
    assert_eq!(cursor.entry(), first, "seek {from:?}");
    cursor.next();
    assert_eq!(cursor.entry(), expected.next(), "after seek {from:?}");
    let found = memtable.get(TableId(table), key, sequence);
    assert_eq!(found, first.filter(|first| first.table.0 == table && first.key == key), "get {from:?}");
}

#[test]
fn random_numbers_are_found_and_scanned_in_order() {
    let (_budget, memtables) = memtables(64 << 20);
    let writer = memtables.writer().unwrap();
    let mut model = Model::new();
    let mut seed = 1;
    for at in 0..if cfg!(miri) { 300 } else { 20_000 } {
        let key = bigint_key(random(&mut seed));
        writer.insert(TableId(7), &key, at, EntryKind::Put, &at.to_le_bytes()).unwrap();
        model.insert((7, key.to_vec(), Reverse(at)), (EntryKind::Put, at.to_le_bytes().to_vec()));
        if at % 1000 == 0 {
            check_scan(writer.read(), &model);
        }
    }
    check_scan(writer.read(), &model);
    for (table, key, sequence) in model.keys() {
        check_seek(writer.read(), &model, *table, key, sequence.0);
        check_seek(writer.read(), &model, *table, key, u64::MAX);
    }
}

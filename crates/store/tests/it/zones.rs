//! Scans that leave out pages by their zone maps give the same rows as those that do not, and so do scans that are cut into pieces.

use std::ops::Bound;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, ColumnRange, Durability, KeyRange, Options, Scan, Snapshot, Store, TableDef, TableId, View,
};
use cofferdam_types::{Type, Value};

use crate::engine::{KEY, Machine, column, now};

const ROWS: i64 = 6000;

/// A table `id bigint, turn integer null, name text` with the key `id`.
fn create(store: &Store, budget: &Budget) -> TableId {
    let mut transaction = store.begin(budget).unwrap();
    let columns = [
        column("id", Type::BigInt, false),
        column("turn", Type::Integer, true),
        column("name", Type::Text, false),
    ];
    let def = TableDef { name: "turns", columns: &columns, key: &KEY, properties: b"" };
    let id = transaction.create_table(&def).unwrap();
    transaction.commit(Durability::Normal).unwrap();
    id
}

fn put(
    store: &Store,
    budget: &Budget,
    table: TableId,
    rows: impl Iterator<Item = (i64, Option<i32>)>,
) -> Result<(), cofferdam_store::Error> {
    let mut transaction = store.begin(budget)?;
    for (id, turn) in rows {
        let name = format!("{:05}", turn.unwrap_or(0));
        let turn = turn.map_or(Value::Null, Value::Integer);
        transaction.put(table, &[Value::BigInt(id), turn, Value::Text(&name)])?;
    }
    transaction.commit(Durability::Normal).map(|_| ())
}

/// Ids and turns of the rows within `turns`; and how many rows the store gave.
fn read(
    snapshot: &Snapshot,
    view: View<'_>,
    turns: (i32, i32),
    leaves_out: bool,
    rows_per_piece: Option<u64>,
) -> (Vec<(i64, i32)>, usize) {
    let budget = Budget::unlimited("reader").unwrap();
    let arena = Arena::new(&budget);
    let table = snapshot.table("turns").unwrap();
    let mut scan = Scan::new(&table, &[0, 1], &KeyRange::ALL, &arena).unwrap();
    let names = (format!("{:05}", turns.0), format!("{:05}", turns.1));
    if leaves_out {
        let within =
            |column, from, to| ColumnRange { column, from: Bound::Included(from), to: Bound::Excluded(to) };
        let turns = within(1, Value::Integer(turns.0), Value::Integer(turns.1));
        let names = within(2, Value::Text(&names.0), Value::Text(&names.1));
        scan.leave_out_all_but(&[turns, names]).unwrap();
    }
    let mut ids = Column::new(Type::BigInt, 700, &arena).unwrap();
    let mut values = Column::new(Type::Integer, 700, &arena).unwrap();
    let pieces = rows_per_piece.map(|rows| scan.pieces(view, rows, &arena).unwrap());
    let mut left = 1..pieces.map_or(1, |pieces| pieces.count());
    if let Some(pieces) = &pieces {
        scan.restart_at(pieces, 0).unwrap();
    }
    let (mut found, mut given) = (vec![], 0);
    loop {
        ids.clear();
        values.clear();
        let rows = scan.next(view, &mut [ids.target(), values.target()], 700).unwrap();
        if rows == 0 {
            let Some((pieces, next)) = pieces.as_ref().zip(left.next()) else { return (found, given) };
            scan.restart_at(pieces, next).unwrap();
            continue;
        }
        given += rows;
        for row in 0..rows {
            if let (Value::BigInt(id), Value::Integer(turn)) = (ids.value(row), values.value(row))
                && (turns.0..turns.1).contains(&turn)
            {
                found.push((id, turn));
            }
        }
    }
}

/// The same, where ids and names are read for the rows that are wanted only: of every other batch alone, else of all its rows.
fn read_in_parts(snapshot: &Snapshot, view: View<'_>, turns: (i32, i32)) -> (Vec<(i64, i32)>, usize) {
    let budget = Budget::unlimited("reader").unwrap();
    let arena = Arena::new(&budget);
    let table = snapshot.table("turns").unwrap();
    let mut scan = Scan::new(&table, &[0, 1, 2], &KeyRange::ALL, &arena).unwrap();
    let wanted = arena.alloc_slice_copy(&[(i64::from(turns.0), i64::from(turns.1) - 1)]).unwrap();
    scan.leave_out_all_but_numbers(1, wanted).unwrap();
    let types = [Type::BigInt, Type::Integer, Type::Text];
    let mut columns = types.map(|ty| Column::new(ty, 700, &arena).unwrap());
    let (mut found, mut given, mut is_dense) = (vec![], 0, false);
    loop {
        columns.iter_mut().for_each(Column::clear);
        let mut targets = columns.each_mut().map(Column::target);
        let part = scan.next_of(view, &mut targets, 700, Some(&[1])).unwrap();
        if part.rows == 0 {
            return (found, given);
        }
        given += part.rows;
        is_dense = !is_dense;
        let turn = |row: &u16| match columns[1].value((*row).into()) {
            Value::Integer(turn) => turn,
            _ => i32::MIN,
        };
        let rows: Vec<u16> =
            (0..part.rows as u16).filter(|row| (turns.0..turns.1).contains(&turn(row))).collect();
        let turns: Vec<i32> = rows.iter().map(turn).collect();
        let is_gathered = !part.is_whole && !is_dense;
        if !part.is_whole {
            let mut targets = columns.each_mut().map(Column::target);
            scan.rest(&mut targets, &[1], is_gathered.then_some(&rows)).unwrap();
        }
        for (place, row) in rows.iter().enumerate() {
            let at = if is_gathered { place } else { usize::from(*row) };
            let (id, name) = (columns[0].value(at), columns[2].value(at));
            let (Value::BigInt(id), Value::Text(name)) = (id, name) else { panic!("{id:?}, {name:?}") };
            assert_eq!(name, format!("{:05}", turns[place]), "row {id}");
            found.push((id, turns[place]));
        }
    }
}

fn both_agree(snapshot: &Snapshot, view: View<'_>, what: &str) -> usize {
    let mut fewest = usize::MAX;
    for turns in [(100, 130), (590, 700), (-5, 0), (0, 10_000)] {
        let (all, _) = read(snapshot, view, turns, false, None);
        let (some, given) = read(snapshot, view, turns, true, None);
        assert_eq!(all, some, "{what}, turns {turns:?}");
        let (parts, given_in_parts) = read_in_parts(snapshot, view, turns);
        assert_eq!(all, parts, "{what}, turns {turns:?}, in parts");
        // Its limits are those of one column, and the other's leave out the same pages.
        assert_eq!(given, given_in_parts, "{what}, turns {turns:?}");
        for (rows, leaves_out) in [(1, true), (700, false), (100_000, true)] {
            let (cut, _) = read(snapshot, view, turns, leaves_out, Some(rows));
            assert_eq!(all, cut, "{what}, turns {turns:?}, pieces of {rows} rows");
        }
        fewest = fewest.min(given);
    }
    fewest
}

/// Aim: nothing that a reader sees is lost and nothing that is hidden comes back. Method: rows whose column grows with the key lie in
/// the lowest level; newer versions of some of them, which leave their pages' zones or come into them, and tombstones lie in segments
/// above, in memtables and in an open transaction; an older snapshot still sees the first versions.
#[test]
fn a_scan_that_leaves_out_pages_gives_the_same_rows() {
    let machine = Machine::new(4 << 20);
    let store = machine.try_open(&Options::new().memtable_bytes(1 << 20)).unwrap();
    let table = create(&store, &machine.budget);
    let turn = |id: i64| (id % 97 != 0).then_some((id / 10) as i32);
    put(&store, &machine.budget, table, (0..ROWS).map(|id| (id, turn(id)))).unwrap();
    store.flush().unwrap();
    store.compact().unwrap();
    let snapshot = now(&store);
    let fewest = both_agree(&snapshot, snapshot.view(), "one level");
    assert!(fewest < ROWS as usize / 4, "{fewest} of {ROWS} rows were given");

    let before = now(&store);
    let moved = |id: i64| (id, Some(if id % 2 == 0 { 100 + (id % 50) as i32 } else { 9000 }));
    put(&store, &machine.budget, table, (0..ROWS).step_by(61).map(moved)).unwrap();
    let after = now(&store);
    both_agree(&after, after.view(), "changes in the memtable");
    store.flush().unwrap();
    both_agree(&after, after.view(), "changes in level 0");
    both_agree(&before, before.view(), "a snapshot from before, changes in level 0");
    let mut transaction = store.begin(&machine.budget).unwrap();
    for id in (0..ROWS).step_by(7) {
        transaction.delete(table, &[Value::BigInt(id)]).unwrap();
    }
    let own = now(&store);
    both_agree(&own, transaction.view(), "tombstones of its own");
    transaction.commit(Durability::Normal).unwrap();
    store.flush().unwrap();
    for round in 0..2 {
        store.compact().unwrap();
        let now = now(&store);
        both_agree(&now, now.view(), "everything");
        both_agree(&before, before.view(), "a snapshot from before, everything");
        put(&store, &machine.budget, table, (round * 50..ROWS).step_by(301).map(moved)).unwrap();
        store.flush().unwrap();
    }
}

/// Aim: of rows with long texts a scan gives as many at once as it may, and all of them in the end. Method: texts longer and shorter than
/// that, in segments, in the memtable and in an open transaction, and changes of them; the number of rows of each batch.
#[test]
fn long_texts_come_a_few_at_a_time() {
    const TEXT_BYTES: usize = 20_000;
    let machine = Machine::new(32 << 20);
    let store = machine.try_open(&Options::new().memtable_bytes(4 << 20)).unwrap();
    let table = create(&store, &machine.budget);
    let name = |id: i64| format!("{id:05}").repeat(if id % 10 == 9 { 1 } else { TEXT_BYTES / 5 });
    let put = |ids: std::ops::Range<i64>, step: usize| {
        let mut transaction = store.begin(&machine.budget).unwrap();
        for id in ids.step_by(step) {
            transaction.put(table, &[Value::BigInt(id), Value::Null, Value::Text(&name(id))]).unwrap();
        }
        transaction
    };
    let read = |view: View<'_>, bytes_max: u64| {
        let budget = Budget::unlimited("reader").unwrap();
        let arena = Arena::new(&budget);
        let mut scan =
            Scan::new(&now(&store).table("turns").unwrap(), &[0, 2], &KeyRange::ALL, &arena).unwrap();
        scan.give_texts_of(bytes_max).unwrap();
        let mut columns = [Type::BigInt, Type::Text].map(|ty| Column::new(ty, 700, &arena).unwrap());
        let (mut next, mut batches, mut bytes_most) = (0, 0, 0);
        loop {
            columns.iter_mut().for_each(Column::clear);
            let rows = scan.next(view, &mut columns.each_mut().map(Column::target), 700).unwrap();
            if rows == 0 {
                return (next, batches, bytes_most);
            }
            for row in 0..rows {
                assert_eq!(columns[0].value(row), Value::BigInt(next));
                assert_eq!(columns[1].value(row), Value::Text(&name(next)));
                next += 1;
            }
            (batches, bytes_most) = (batches + 1, columns[1].heap().len().max(bytes_most));
        }
    };
    put(0..100, 1).commit(Durability::Normal).unwrap();
    let check = |what: &str, view: View<'_>, count: i64| {
        let (rows, batches_least, _) = read(view, u64::MAX);
        assert_eq!(rows, count, "{what}");
        let (rows, batches, bytes_most) = read(view, 3 * TEXT_BYTES as u64);
        assert_eq!(rows, count, "{what}");
        // An input may add as much, and a row, to what another one has given.
        assert!(bytes_most <= 9 * TEXT_BYTES && batches >= batches_least.max(count as usize / 10), "{what}");
        let (rows, batches, _) = read(view, 0);
        assert!(rows == count && batches > count as usize * 8 / 10, "{what}: {batches}");
    };
    assert_eq!(read(now(&store).view(), u64::MAX).1, 1);
    check("memtable", now(&store).view(), 100);
    store.flush().unwrap();
    check("segment", now(&store).view(), 100);
    put(0..100, 7).commit(Durability::Normal).unwrap();
    check("segment and memtable", now(&store).view(), 100);
    let transaction = put(50..120, 1);
    check("all and a transaction", transaction.view(), 120);
}

/// Aim: a table of one segment and one of many are cut into as many pieces as were asked for, and none is much larger than the others.
/// Method: the rows of each piece are counted.
#[test]
fn pieces_have_about_as_many_rows() {
    let machine = Machine::new(4 << 20);
    let store = machine.try_open(&Options::new().memtable_bytes(1 << 20)).unwrap();
    let table = create(&store, &machine.budget);
    let counts = |parts: u64| {
        let snapshot = now(&store);
        let budget = Budget::unlimited("reader").unwrap();
        let arena = Arena::new(&budget);
        let table = snapshot.table("turns").unwrap();
        let mut scan = Scan::new(&table, &[], &KeyRange::ALL, &arena).unwrap();
        let pieces = scan.pieces(snapshot.view(), (ROWS as u64).div_ceil(parts), &arena).unwrap();
        let count = |index| {
            scan.restart_at(&pieces, index).unwrap();
            core::iter::from_fn(|| Some(scan.next(snapshot.view(), &mut [], 512).unwrap()))
                .take_while(|rows| *rows > 0)
                .sum()
        };
        (0..pieces.count()).map(count).collect::<Vec<usize>>()
    };
    assert_eq!(counts(4), [0], "an empty table is one piece");
    for half in [0..ROWS / 2, ROWS / 2..ROWS] {
        put(&store, &machine.budget, table, half.map(|id| (id, None))).unwrap();
        store.flush().unwrap();
    }
    for merge in [false, true] {
        if merge {
            store.compact().unwrap();
        }
        let counts = counts(4);
        assert_eq!(counts.iter().sum::<usize>(), ROWS as usize, "{counts:?}");
        assert!(counts.len() == 4 && counts.iter().all(|rows| *rows <= ROWS as usize / 2), "{counts:?}");
    }
}

//! Statements over stored tables, from text to rows.

use std::fmt::Write;
use std::path::Path;

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::table::TableSource;
use cofferdam_plan::{Catalog, selectivity};
use cofferdam_testkit::golden::{self, Script};
use cofferdam_testkit::simfs::{Fault, Op, Rule};
use cofferdam_types::Value;
use proptest::prelude::*;
use std::ops::Bound;

use crate::world::{Failure, World};

fn budget() -> Budget {
    Budget::root("root", 1 << 30).unwrap().child("statement", u64::MAX).unwrap()
}

/// Rows, or the error with its place and hint, as a script shows them.
fn shown(sql: &str, outcome: Result<Vec<String>, Failure>) -> String {
    let mut out = String::new();
    match outcome {
        Ok(rows) => rows.iter().for_each(|row| writeln!(out, "{row}").unwrap()),
        Err(failure) => {
            writeln!(out, "{}: {}", failure.sqlstate, failure.message).unwrap();
            failure.span.iter().for_each(|span| writeln!(out, "at: {}", span.of(sql)).unwrap());
            failure.hint.iter().for_each(|hint| writeln!(out, "hint: {hint}").unwrap());
        }
    }
    out
}

/// Aim: statements have the outcomes that the scripts say, which are PostgreSQL's but for the texts around them.
#[test]
fn golden_scripts_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let ran = golden::run_folder(&folder, |_| {
        let world = World::new();
        move |sql: &str| shown(sql, world.run(sql, &budget()))
    });
    assert!(ran.unwrap_or_else(|finding| panic!("{finding}")) >= 4);
}

/// Aim: what is in segments is what was in memory. Method: a flush behind each statement, and the database opened again.
#[test]
fn golden_scripts_agree_from_disk() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let ran = golden::run_folder(&folder, |_| {
        let mut world = Some(World::new());
        move |sql: &str| {
            let now = world.take().expect("it is put back");
            let outcome = now.run(sql, &budget());
            now.store.flush().expect("the disk works");
            world = Some(now.reopened());
            shown(sql, outcome)
        }
    });
    assert!(ran.unwrap_or_else(|finding| panic!("{finding}")) >= 4);
}

/// A world in which a script has run.
fn world_after(statements: &[&str]) -> World {
    let world = World::new();
    for sql in statements {
        world.run(sql, &budget()).unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
    }
    world
}

/// Aim: under any limit a statement has its outcome or is out of memory, gives everything back, and has changed its table
/// as a whole or not at all. Method: limits from nothing to enough, in steps of a chunk.
#[test]
fn every_limit_gives_the_outcome_or_the_typed_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for path in golden::scripts(&folder).unwrap() {
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let world = World::new();
        for block in &script.blocks {
            let place = format!("{}:{}", path.display(), block.line);
            let root = Budget::root("root", 1 << 30).unwrap();
            let (mut limit_bytes, mut refusals_count) = (0u64, 0);
            let outcome = loop {
                let statement = root.child("statement", limit_bytes).unwrap();
                match world.run(&block.input, &statement) {
                    Err(failure) if failure.sqlstate == "53200" => refusals_count += 1,
                    outcome => break outcome,
                }
                assert!(limit_bytes < 1 << 20, "{place}");
                limit_bytes += (limit_bytes / 8).max(1 << 10);
            };
            assert!(refusals_count > 0, "{place}");
            assert_eq!(shown(&block.input, outcome), block.output, "{place}");
        }
    }
}

/// Aim: a long list of VALUES gives the same rows in pieces, or none.
#[test]
fn pieces_insert_what_the_whole_inserts() {
    let create =
        "CREATE TABLE t (a integer PRIMARY KEY, b varchar(3) DEFAULT 'x', c numeric(5, 2), CHECK (a > 0))";
    let rows: Vec<String> =
        (1..100).map(|n| format!("({n}, DEFAULT, {n} / 8.0), ({n}00, lower('AB'), NULL)")).collect();
    let sql = format!("INSERT INTO t VALUES {}", rows.join(", "));
    let whole = world_after(&[create, &sql]);
    let expected = whole.run("SELECT * FROM t", &budget()).unwrap();
    assert_eq!(expected.len(), 198);
    for at_once in [1, 7, 1000] {
        let world = world_after(&[create]);
        assert_eq!(world.run_in_pieces(&sql, at_once, &budget()), Ok(vec!["INSERT 0 198".to_owned()]));
        assert_eq!(world.run("SELECT * FROM t", &budget()), Ok(expected.clone()));
        let failure = world.run_in_pieces("INSERT INTO t VALUES (20000), (20001), (0)", at_once, &budget());
        assert_eq!(failure.unwrap_err().sqlstate, "23514");
        assert_eq!(world.run("SELECT count(*) FROM t", &budget()), Ok(vec!["198".to_owned()]));
    }
}

/// Aim: rows of VALUES, computed ones too, need the memory of a batch. Method: two lists, one three times as long, in
/// batches of the same size.
#[test]
fn values_need_the_memory_of_a_batch() {
    let create = "CREATE TABLE t (a integer, b text)";
    let peak = |count: usize| {
        let world = world_after(&[create]);
        let rows: Vec<String> = (0..count).map(|n| format!("(length('a') / 1, upper('{:04}'))", n)).collect();
        world.run(&format!("INSERT INTO t VALUES {}", rows.join(", ")), &budget()).unwrap();
        world.execution_bytes_peak.get()
    };
    assert_eq!(peak(2_048), peak(6_000));
}

/// Aim: a disk that fails is a typed error of the statement that reads. Method: all reads fail once the rows are in
/// segments.
#[test]
fn a_table_that_cannot_be_read_is_a_typed_error() {
    let world = world_after(&["CREATE TABLE t (a integer)", "INSERT INTO t VALUES (1), (2)"]);
    world.store.flush().unwrap();
    let world = world.reopened();
    world.disk.inject(Rule::new([Op::Read], Fault::Error(5)));
    let failure = world.run("SELECT a FROM t", &budget()).unwrap_err();
    assert_eq!(failure.sqlstate, "58030", "{failure:?}");
    world.disk.clear_rules();
    assert_eq!(world.run("SELECT a FROM t", &budget()).unwrap(), ["1", "2"]);
}

/// Aim: what a catalog tells of columns is what planners need to know how many rows conditions keep. Method: rows of known
/// values, in memory and in segments, and estimates held against counts; no memory or a disk that fails means to do without.
#[test]
fn conditions_are_estimated_by_the_values_of_a_table() {
    let rows: Vec<String> = (0..2000)
        .map(|n| format!("({n}, {}, '{}')", n % 50, ["AIR", "AIR", "RAIL", "SHIP"][n % 4]))
        .collect();
    let insert = format!("INSERT INTO t VALUES {}", rows.join(", "));
    let world = world_after(&["CREATE TABLE t (a bigint PRIMARY KEY, b integer, c text)", &insert]);
    let estimated = |world: &World| -> Option<[f64; 5]> {
        let plan = budget();
        let arena = Arena::new(&plan);
        let Some(TableSource::Stored(table)) = world.table("t", &arena).unwrap() else { panic!("no table") };
        let known = world.statistics(table, &[0, 1, 2], &arena).unwrap()?;
        let column = |position| known.column(position).unwrap();
        let (from, to) = (Value::BigInt(500), Value::BigInt(1500));
        let air = Value::Text("AIR");
        Some([
            known.rows,
            selectivity::equal(column(0), known.rows, Some(&from)) * known.rows,
            selectivity::range(column(0), known.rows, Bound::Included(&from), Bound::Excluded(&to))
                * known.rows,
            selectivity::equal(column(1), known.rows, Some(&Value::Integer(7))) * known.rows,
            selectivity::equal(column(2), known.rows, Some(&air)) * known.rows,
        ])
    };
    for is_flushed in [false, true] {
        if is_flushed {
            world.store.flush().unwrap();
        }
        let found = estimated(&world).unwrap();
        for (found, (count, off)) in
            found.iter().zip([(2000.0, 0.0), (1.0, 0.0), (1000.0, 200.0), (40.0, 30.0), (1000.0, 200.0)])
        {
            assert!((found - count).abs() <= off + 1e-9, "{found} rows for {count}, flushed: {is_flushed}");
        }
    }
    let world = world.reopened();
    world.disk.inject(Rule::new([Op::Read], Fault::Error(5)));
    assert_eq!(estimated(&world), None);
    world.disk.clear_rules();
    assert!(estimated(&world).is_some());
}

/// Aim: a statement that inserts what it reads ends, and reads what was there before it.
#[test]
fn a_table_is_copied_into_itself_once() {
    let world = world_after(&["CREATE TABLE t (a integer)", "INSERT INTO t VALUES (1), (2), (3)"]);
    for expected in [6, 12, 24] {
        world.run("INSERT INTO t SELECT a FROM t", &budget()).unwrap();
        let count = world.run("SELECT count(*) FROM t", &budget()).unwrap();
        assert_eq!(count, [expected.to_string()]);
    }
}

/// A condition on one of the columns a, b, c.
fn condition() -> impl Strategy<Value = String> {
    let column = prop_oneof![Just("a"), Just("b"), Just("c")];
    let op = prop_oneof![Just("="), Just("<"), Just("<="), Just(">"), Just(">="), Just("<>")];
    let number = -1..5i32;
    prop_oneof![
        4 => (column.clone(), op.clone(), number.clone()).prop_map(|(c, op, n)| format!("{c} {op} {n}")),
        2 => (column.clone(), op, number.clone()).prop_map(|(c, op, n)| format!("{n} {op} {c}")),
        2 => (column.clone(), number.clone(), number.clone()).prop_map(|(c, l, h)| format!("{c} BETWEEN {l} AND {h}")),
        2 => (column.clone(), proptest::collection::vec(number, 1..4)).prop_map(|(c, list)| {
            format!("{c} IN ({})", list.iter().map(i32::to_string).collect::<Vec<_>>().join(", "))
        }),
        1 => column.prop_map(|c| format!("{c} = NULL")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Aim: a range never leaves out a row that passes. Method: the same rows in a table with a key and in one without,
    /// under random conditions.
    #[test]
    fn ranges_of_the_key_change_no_answer(
        rows in proptest::collection::btree_set((0..4i32, 0..4i32, 0..4i32), 0..40),
        conditions in proptest::collection::vec(condition(), 1..5),
        joined in prop_oneof![3 => Just(" AND "), 1 => Just(" OR ")],
    ) {
        let world = World::new();
        let run = |sql: &str| world.run(sql, &budget()).unwrap_or_else(|failure| panic!("{sql}: {failure:?}"));
        run("CREATE TABLE keyed (a integer, b integer, c integer, PRIMARY KEY (b, a, c))");
        run("CREATE TABLE heap (a integer, b integer, c integer)");
        if !rows.is_empty() {
            let rows: Vec<String> = rows.iter().map(|(a, b, c)| format!("({a}, {b}, {c})")).collect();
            run(&format!("INSERT INTO heap VALUES {}", rows.join(", ")));
            run("INSERT INTO keyed SELECT * FROM heap");
        }
        let condition = conditions.join(joined);
        let answer = |table: &str| run(&format!("SELECT * FROM {table} WHERE {condition} ORDER BY 1, 2, 3"));
        prop_assert_eq!(answer("keyed"), answer("heap"), "{}", condition);
    }
}

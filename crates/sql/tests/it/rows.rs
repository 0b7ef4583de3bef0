//! Rows of an `INSERT` that are read one at a time.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Error, InsertRows, Visit, parse};

fn arena() -> Arena {
    Arena::new(&Budget::root("rows", 64 << 20).expect("a budget"))
}

/// What is read of a statement: its head, its rows, and where and why there are no more.
type Read = (String, Vec<String>, Option<(u32, String)>);

fn rows(text: &str) -> Option<Read> {
    let head = arena();
    let mut rows = match InsertRows::open(text, &head) {
        Ok(rows) => rows?,
        Err(error) => {
            let place = error.span().map_or(0, |span| span.start);
            return Some((String::new(), Vec::new(), Some((place, error.to_string()))));
        }
    };
    let mut found = Vec::new();
    let mut row_arena = arena();
    let error = loop {
        match rows.next_row(&row_arena) {
            Ok(Some(row)) => found.push(row.node().to_string()),
            Ok(None) => break None,
            Err(error) => break Some((error.span().map_or(0, |span| span.start), error.to_string())),
        }
        row_arena.reset();
    };
    assert!(matches!(rows.next_row(&arena()), Ok(None)), "the end stays the end");
    Some((rows.head().to_string(), found, error))
}

#[test]
fn rows_come_one_at_a_time_and_are_those_of_the_whole_statement() {
    let texts = [
        "INSERT INTO t VALUES (1)",
        "insert into s.t as x (a, b) values (1, 'x'), (- 2, (select max(a) from (values (1), (2)) v)) ;",
        "INSERT INTO t (a) OVERRIDING USER VALUE VALUES (DEFAULT), (NULL), (f(1, (2)))",
    ];
    for text in texts {
        let (head, found, error) = rows(text).expect("an INSERT with VALUES");
        assert_eq!(error, None, "{text}");
        let whole = arena();
        let printed = parse(text, &whole).expect("SQL").to_string();
        assert_eq!(format!("{head} {}", found.join(", ")), printed);
    }
}

#[test]
fn other_statements_are_left_to_the_parser() {
    for text in [
        "SELECT 1",
        "VALUES (1)",
        "INSERT INTO t SELECT a FROM u",
        "INSERT INTO t DEFAULT VALUES",
        "WITH c AS (SELECT 1) INSERT INTO t VALUES (1)",
        "INSERT INTO t WITH c AS (SELECT 1) VALUES (1)",
        "",
    ] {
        assert!(rows(text).is_none(), "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let error = |text: &str| rows(text).expect("an INSERT").2.expect("an error");
    assert_eq!(error("INSERT INTO t VALUES").0, 20);
    assert_eq!(error("INSERT INTO t VALUES (1), (2,)").0, 29);
    assert_eq!(error("INSERT INTO t VALUES (1) (2)").0, 25);
    assert_eq!(error("INSERT INTO t VALUES (1); SELECT 2").0, 26);
    assert_eq!(error("INSERT t VALUES (1)").0, 7);
    let (head, found, error) =
        rows("INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING").expect("an INSERT");
    assert_eq!((head.as_str(), found.len()), ("INSERT INTO t VALUES", 1));
    let (place, message) = error.expect("an error");
    assert!(place == 30 && message.contains("ON CONFLICT"), "{place} {message}");
}

/// Aim: a megabyte of rows takes a few KiB. Method: the peak of the budget that pays for the head and the rows.
#[test]
fn a_megabyte_of_rows_takes_a_few_kib() {
    let row = "(123456, 'some text', 3.25, NULL, '2026-01-01')";
    let count = 1_000_000 / row.len();
    let text = format!("INSERT INTO t VALUES {}", vec![row; count].join(", "));
    let budget = Budget::root("rows", 1 << 20).expect("a budget");
    let statement = budget.child("statement", 64 << 10).expect("a child");
    let (head, mut row_arena) = (Arena::new(&statement), Arena::new(&statement));
    let mut rows = InsertRows::open(&text, &head).expect("room").expect("an INSERT with VALUES");
    let mut found = 0;
    while let Some(row) = rows.next_row(&row_arena).expect("room") {
        let nodes = row.node().children().count();
        assert_eq!(nodes, 5);
        found += 1;
        row_arena.reset();
    }
    assert_eq!(found, count);
    assert!(statement.peak() <= 4 << 10, "{} bytes", statement.peak());
    assert!(rows.head().walk().any(|visit| matches!(visit, Visit::Enter(_))));
}

#[test]
fn too_little_memory_is_a_typed_error() {
    let root = Budget::root("rows", 1 << 20).expect("a budget");
    let none = Arena::new(&root.child("none", 0).expect("a child"));
    let text = "INSERT INTO t VALUES (1)";
    assert!(matches!(InsertRows::open(text, &none), Err(Error::OutOfMemory(_))));
    let head = Arena::new(&root);
    let mut rows = InsertRows::open(text, &head).expect("room").expect("an INSERT with VALUES");
    assert!(matches!(rows.next_row(&none), Err(Error::OutOfMemory(_))));
    assert!(matches!(rows.next_row(&head), Ok(None)));
}

//! `OVERLAPS`, whose answer is an expression too large for the limits that golden scripts are run at.

use cofferdam::{Database, Options};

/// Aim: spans of time overlap as PostgreSQL says, with ends in any order and ends that are not known. Method: pairs of spans, with what
/// PostgreSQL 15 answers.
#[test]
fn spans_overlap_as_in_postgresql() {
    let cases = [
        ("(date '2024-01-01', date '2024-02-01')", "(date '2024-01-15', date '2024-03-01')", Some(true)),
        ("(date '2024-01-01', date '2024-01-15')", "(date '2024-01-15', date '2024-03-01')", Some(false)),
        ("(date '2024-01-15', date '2024-01-15')", "(date '2024-01-15', interval '1 day')", Some(true)),
        ("(date '2024-02-01', date '2024-01-01')", "(date '2024-01-15', NULL)", Some(true)),
        ("(time '10:00', time '11:00')", "(time '11:30', time '10:59')", Some(true)),
        (
            "(timestamp '2024-01-01', interval '1 day')",
            "(timestamp '2024-01-03', interval '1 day')",
            Some(false),
        ),
        ("(NULL::date, date '2024-01-01')", "(date '2024-01-15', NULL::date)", None),
        ("(NULL::date, NULL::date)", "(date '2024-01-15', date '2024-01-16')", None),
    ];
    let connection = Database::open_in_memory(Options::new()).unwrap().connect().unwrap();
    for (left, right, expected) in cases {
        for (left, right) in [(left, right), (right, left)] {
            let sql = format!("SELECT {left} OVERLAPS {right}");
            let found =
                connection.query(&sql, |rows| rows.next_row()?.expect("one row").get::<Option<bool>>(0));
            assert_eq!(found.unwrap(), expected, "{sql}");
        }
    }
}

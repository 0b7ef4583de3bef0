//! Every statement of the scripts under every limit, with every charge refused, and without a byte outside the budgets.

use std::hash::{DefaultHasher, Hash, Hasher};

use cofferdam::{Connection, Error, Value};
use cofferdam_arena::BudgetAlloc;
use cofferdam_testkit::Failure;
use cofferdam_testkit::counting::{Counting, Counts};
use cofferdam_testkit::golden::{self, Script};
use cofferdam_testkit::inject::{FindingKind, Injection};
use cofferdam_testkit::sweep::Sweep;

use crate::support::{Directory, database, golden_folder, outcome};

/// The statements of all scripts but those about settings, whose answers tell the limit, and about transactions, which
/// statements leave behind.
fn statements() -> Vec<String> {
    let mut statements = Vec::new();
    for path in golden::scripts(&golden_folder().join("memory")).expect("the scripts are there") {
        let script = Script::parse(&std::fs::read_to_string(&path).expect("a text")).expect("a script");
        let folder = path.parent().expect("scripts stand in folders");
        if !folder.ends_with("setting") && !folder.ends_with("transaction") {
            statements.extend(script.blocks.into_iter().map(|block| block.input));
        }
    }
    statements
}

fn failure(error: Error) -> Failure {
    match error.out_of_memory() {
        Some(record) => (*record).into(),
        None => Failure::Other(error.to_string()),
    }
}

/// A statement that is wrong from its first words makes no charge.
fn is_syntax_error(outcome: &str) -> bool {
    outcome.starts_with("error 42601") || outcome.starts_with("error 0A000")
}

/// Aim: a statement that does not fit fails with the typed error, gives everything back, and succeeds with enough.
/// Method: the limit of the database is raised by what each error says; its budget must be back to what it was.
#[test]
fn every_script_survives_every_limit() {
    for sql in statements() {
        let database = database(64 << 20);
        let connection = database.connect().expect("room for a connection");
        let expected = outcome(&connection, &sql).expect("64 MiB are enough");
        let swept = Sweep::new()
            .run_under(database.budget(), |_| outcome(&connection, &sql).map_err(failure))
            .unwrap_or_else(|finding| panic!("{sql}\n{finding}"));
        assert_eq!(swept.value, expected, "{sql}");
        assert!(swept.refusals_count > 0 || is_syntax_error(&expected), "{sql}");
    }
}

/// Aim: each single charge may be refused. Method: the n-th is, for the first n and a sample of the others; for every n with
/// `EVERY_CHARGE=1`.
#[test]
fn every_script_survives_every_refused_charge() {
    for sql in statements() {
        let database = database(64 << 20);
        let connection = database.connect().expect("room for a connection");
        let expected = outcome(&connection, &sql).expect("64 MiB are enough");
        // What EXPLAIN tells of the memory that was taken depends on what was refused.
        let shown = |text: String| if sql.starts_with("EXPLAIN") { String::new() } else { text };
        let injected = Injection::sampled(40, 20)
            .run(database.budget(), |_| outcome(&connection, &sql).map(shown).map_err(failure));
        match injected {
            Err(finding) if finding.kind == FindingKind::NoCharges && is_syntax_error(&expected) => {}
            injected => drop(injected.unwrap_or_else(|finding| panic!("{sql}\n{finding}"))),
        }
    }
}

/// Pages of the tree of budgets come from the global allocator, and the root is charged 4 KiB for each before that.
const NODES_PAGE_BYTES: i64 = 4080;

/// Counts what is taken from the global allocator, and what of that is charged to a budget before.
struct Untracked {
    counting: Counting,
    charged_before: u64,
}

impl Untracked {
    fn start() -> Untracked {
        Untracked { charged_before: BudgetAlloc::taken_count(), counting: Counting::start() }
    }

    /// Asserts that whatever was taken was charged, and has been given back but for pages of the tree.
    fn assert_nothing(self, sql: &str) {
        let counts = self.assert_charged(sql);
        let pages = counts.bytes_left / NODES_PAGE_BYTES;
        assert_eq!(counts.bytes_left, pages * NODES_PAGE_BYTES, "{sql}\n{counts:?}");
        assert_eq!(counts.frees_count as i64, counts.allocations_count as i64 - pages, "{sql}\n{counts:?}");
    }

    /// Asserts that whatever was taken was charged.
    fn assert_charged(self, sql: &str) -> Counts {
        let counts = self.counting.finish();
        // In the whole process: other tests that run beside this one only add to it.
        let charged = BudgetAlloc::taken_count() - self.charged_before;
        assert!(counts.allocations_count <= charged, "{sql}\n{charged} charged, {counts:?}");
        counts
    }
}

/// Reads every value of an answer without keeping any.
fn checksum(connection: &Connection, sql: &str) -> Result<u64, Error> {
    connection.query(sql, |rows| {
        let mut hasher = DefaultHasher::new();
        while let Some(batch) = rows.next_batch()? {
            for row in batch.rows() {
                for value in row.values() {
                    std::mem::discriminant(&value).hash(&mut hasher);
                    if let Value::Text(text) = value {
                        text.hash(&mut hasher);
                    }
                }
            }
        }
        Ok(hasher.finish())
    })
}

/// Aim: no byte outside of the budgets while a statement parses, plans and executes, whether it succeeds or fails.
/// Method: the global allocator counts; chunks come from the reservoir and do not pass through it.
#[test]
fn no_statement_takes_a_byte_outside_of_the_budgets() {
    let database = database(64 << 20);
    let connection = database.connect().expect("room for a connection");
    let mut statements = statements();
    statements.extend(["SHOW ALL", "SET threads = 2", "RESET ALL"].map(str::to_owned));
    for sql in statements {
        let counting = Untracked::start();
        let _ = checksum(&connection, &sql);
        counting.assert_nothing(&sql);
    }
}

/// Aim: the same of statements that are planned once, with values for their parameters.
#[test]
fn no_prepared_statement_takes_a_byte_outside_of_the_budgets() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (a integer PRIMARY KEY, b text)").expect("room for a table");
    let mut insert = connection.prepare("INSERT INTO t VALUES ($1, 'row ' || $1)").expect("room for a plan");
    for row in 1..500 {
        insert.execute([row]).expect("room for a row");
    }
    let cases = [
        "SELECT b FROM t WHERE a = $1",
        "SELECT count(*), $1::integer / 100 FROM t WHERE b > 'row 2' || $1",
        "SELECT b FROM t WHERE a / $1 > 1 ORDER BY b LIMIT 5",
        "SELECT $1::date, upper($1::text)",
        "SELECT nothing, $1 FROM t",
    ];
    let text = "x".repeat(100_000);
    for sql in cases {
        let counting = Untracked::start();
        if let Ok(mut statement) = connection.prepare(sql) {
            for value in [Value::Integer(7), Value::Null, Value::Integer(0), Value::Text(&text)] {
                let _ = statement.execute([value]);
            }
        }
        counting.assert_nothing(sql);
    }
}

/// Aim: the same of many rows for one table, from the first to the last before they are committed.
#[test]
fn no_appender_takes_a_byte_outside_of_the_budgets() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().expect("room for a connection");
    connection.execute("CREATE TABLE t (a integer PRIMARY KEY, b text)").expect("room for a table");
    let text = "x".repeat(300);
    for (from, last, is_fine) in [(0, 499, true), (1000, 1007, false), (2000, 2499, true)] {
        let transaction = connection.transaction().expect("room for a transaction");
        // What the store makes at the first change of a transaction is not the appender's.
        transaction.execute_with("INSERT INTO t VALUES ($1)", [from - 1]).expect("room for a row");
        let counting = Untracked::start();
        let outcome = transaction.appender("t").and_then(|mut appender| {
            for row in (from..from + 499).chain([last]) {
                appender.append((row, text.as_str()))?;
            }
            appender.finish()
        });
        counting.assert_charged("appender");
        assert_eq!(outcome.is_ok(), is_fine, "{outcome:?}");
    }
}

/// The same when memory runs out.
#[test]
fn running_out_takes_no_byte_outside_of_the_budgets() {
    let database = database(64 << 20);
    let connection = database.connect().expect("room for a connection");
    for sql in statements() {
        for limit_bytes in [0, 2 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10] {
            database.budget().set_limit(limit_bytes);
            let counting = Untracked::start();
            let _ = checksum(&connection, &sql);
            counting.assert_nothing(&sql);
        }
    }
}

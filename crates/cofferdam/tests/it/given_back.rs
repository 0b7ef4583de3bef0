//! What statements take from the system beside chunks: nothing that nobody is charged for, with files and threads too. And what is left of
//! them: nothing.
//!
//! Here all threads of the program are counted, so what counts runs as a process of its own: this program, with one test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use cofferdam::{Connection, Database, Error, Options};
use cofferdam_arena::BudgetAlloc;
use cofferdam_testkit::counting::Everywhere;
use cofferdam_vfs::OsVfs;

const ROWS: u64 = 20_000;

const SETUP: &str = "
    CREATE TABLE t (k integer PRIMARY KEY, g integer, v numeric(12,2), s text);
    CREATE TABLE d (g integer, name text);
    INSERT INTO d SELECT i, 'group ' || i FROM generate_series(0, 49) AS i";

/// Each with a limit of the statement, where that makes it write files.
const READS: [(&str, Option<u64>); 9] = [
    ("SELECT g, count(*), sum(v) FROM t GROUP BY g ORDER BY g", None),
    ("SELECT count(*) FROM (SELECT s, k FROM t ORDER BY s, k OFFSET 5) AS o", Some(384 << 10)),
    (
        "SELECT count(*) FROM (SELECT s, v, count(*) AS n FROM t GROUP BY s, v) AS g WHERE n > 0",
        Some(480 << 10),
    ),
    ("SELECT count(*) FROM t AS a JOIN t AS b ON a.k = b.k + 1 AND a.s <> b.s", Some(512 << 10)),
    ("SELECT sum(r) FROM (SELECT rank() OVER (PARTITION BY g ORDER BY s) AS r FROM t) AS w", Some(768 << 10)),
    ("SELECT d.name, count(*) FROM t JOIN d USING (g) GROUP BY d.name ORDER BY 1 LIMIT 3", None),
    ("SELECT s FROM t WHERE k = 77", None),
    ("SELECT k / (k - 77) FROM t", None),
    ("SELECT nothing FROM t", None),
];

const WRITES: [&str; 4] = [
    "UPDATE t SET v = v + 1 WHERE k % 100 = 3",
    "DELETE FROM t WHERE k % 1000 = 9",
    "INSERT INTO t SELECT i + 1000000, 5, 1, 'new' FROM generate_series(1, 100) AS i",
    "UPDATE d SET name = name || '!'",
];

/// Definitions that come and go, and copies; each with the SQLSTATE that it ends with.
const DEFINITIONS: [(&str, &str); 34] = [
    (
        "CREATE TABLE a (k integer PRIMARY KEY, g integer CHECK (g >= 0), s text DEFAULT 'none', UNIQUE (g, s))",
        "",
    ),
    ("CREATE TABLE a (k integer)", "42P07"),
    ("CREATE TABLE b AS SELECT k, g, s FROM t WHERE k < 40", ""),
    ("CREATE TABLE b AS SELECT 1 / (k - 3) AS n FROM t", "42P07"),
    ("CREATE TABLE c AS SELECT 1 / (k - 3) AS n FROM t", "22012"),
    ("CREATE TABLE c (k nothing)", "42704"),
    ("INSERT INTO a SELECT k, 5, 'same' FROM t", "23505"),
    ("INSERT INTO a SELECT k, k, s FROM t WHERE k < 2000", ""),
    ("CREATE INDEX a_s ON a (s, g)", ""),
    ("CREATE UNIQUE INDEX a_g ON a (s)", "23505"),
    ("CREATE INDEX a_n ON a (nothing)", "42703"),
    ("CREATE VIEW v AS SELECT s, count(*) AS n FROM a GROUP BY s", ""),
    ("SELECT count(*) FROM v", ""),
    ("DROP TABLE a", "2BP01"),
    ("COPY a TO '$/a.csv' (HEADER)", ""),
    ("COPY a FROM '$/a.csv' (HEADER)", "23505"),
    ("COPY b FROM '$/a.csv'", "22P02"),
    ("COPY b FROM '$/a.csv' (HEADER)", ""),
    ("COPY (SELECT 1 / (k - 50) FROM t) TO '$/b.csv'", "22012"),
    ("COPY t TO '$/nowhere/b.csv'", "58P01"),
    ("BEGIN", ""),
    ("CREATE TABLE c (k integer PRIMARY KEY, s text)", ""),
    ("INSERT INTO c SELECT k, s FROM t WHERE k < 3000", ""),
    ("CREATE INDEX c_s ON c (s)", ""),
    ("CREATE VIEW w AS SELECT s FROM c", ""),
    ("DROP VIEW v", ""),
    ("DROP INDEX a_s", ""),
    ("SELECT 1 / 0", "22012"),
    ("ROLLBACK", ""),
    ("DROP INDEX nothing", "42704"),
    ("DROP VIEW v", ""),
    ("DROP INDEX a_s", ""),
    ("DROP TABLE a", ""),
    ("DROP TABLE b", ""),
];

/// A folder that is removed with all that is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What each budget holds after a charge that nobody can grant has had everybody give up what they can.
fn held_after_reclaim(database: &Database) -> BTreeMap<String, u64> {
    let budget = database.budget();
    assert!(budget.charge_waiting(budget.limit()).is_err(), "the store holds something");
    let mut held = BTreeMap::new();
    for node in budget.walk().filter(|node| node.own_bytes > 0) {
        *held.entry(node.path.as_str().to_owned()).or_default() += node.own_bytes;
    }
    held
}

/// Runs a statement and keeps nothing of its answer.
fn discard(connection: &Connection, sql: &str, limit_bytes: Option<u64>) -> Result<(), Error> {
    let mut statement = connection.statement(sql)?;
    if let Some(bytes) = limit_bytes {
        statement.budget().set_limit(bytes);
    }
    statement.prepare().and_then(|query| {
        let mut rows = query.rows()?;
        while rows.next_row()?.is_some() {}
        Ok(())
    })
}

/// Runs a statement; whatever it takes from the global allocator has been charged, or is for the length of a call on a directory.
fn counted(connection: &Connection, sql: &str, limit_bytes: Option<u64>) -> Result<(), Error> {
    let (charged, transient) = (BudgetAlloc::taken_count(), OsVfs::transient_count());
    let counting = Everywhere::start();
    let outcome = discard(connection, sql, limit_bytes);
    let counts = counting.finish();
    let charged = BudgetAlloc::taken_count() - charged;
    let transient = OsVfs::transient_count() - transient;
    let what = format!("{sql}: {outcome:?}\n{charged} charged, {transient} transient, {counts:?}");
    assert!(counts.allocations_count <= charged + transient, "{what}");
    outcome
}

#[test]
#[ignore = "the process of `files_and_threads_take_nothing_uncharged_and_leave_nothing`"]
fn child_counts_all_threads() {
    let folder = Folder(std::env::temp_dir().join(format!("cofferdam-given-back-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let open = || {
        let options = Options::new().memory_limit(32 << 20).without_worker();
        Database::open(folder.0.join("db"), options).expect("a folder for it")
    };
    let connection = open().connect().expect("room for a connection");
    connection.execute_batch(SETUP).expect("room for tables");
    let rows = format!(
        "INSERT INTO t SELECT i, i % 97, i * 0.25, 'row ' || i % 1000 FROM generate_series(1, {ROWS}) i"
    );
    assert_eq!(connection.execute(&rows).expect("room for rows"), ROWS);
    drop(connection);
    let database = open();
    let connection = database.connect().expect("room for a connection");
    let held = held_after_reclaim(&database);
    for threads in [1, 3] {
        connection.execute(&format!("SET threads = {threads}")).expect("a setting");
        for (sql, limit_bytes) in READS {
            let files_before = database.temporary_counts().files_total;
            let outcome = counted(&connection, sql, limit_bytes);
            if limit_bytes.is_some() {
                let files = database.temporary_counts().files_total - files_before;
                assert!(outcome.is_ok() && files > 0, "{sql}: {files}, {outcome:?}");
            }
            assert_eq!(held_after_reclaim(&database), held, "{threads} threads: {sql}");
        }
    }
    for sql in WRITES {
        counted(&connection, sql, None).expect("room for changes");
    }
    println!("<done>");
}

/// Aim: definitions that come and go leave nothing behind, whether they succeed, fail or are rolled back: neither bytes nor files. Method:
/// the same ones again and again; behind the first flush, which makes segments of the table that stays, what is held is the same to the
/// byte, but for the memtables and the log before them, which keep what they have until the next one.
#[test]
fn definitions_leave_nothing() {
    let folder = Folder(std::env::temp_dir().join(format!("cofferdam-definitions-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).expect("a folder");
    let options = Options::new().memory_limit(32 << 20).without_worker();
    let database = Database::open(folder.0.join("db"), options).expect("a folder for it");
    let connection = database.connect().expect("room for a connection");
    connection.execute_batch(SETUP).expect("room for tables");
    let rows = "INSERT INTO t SELECT i, i % 97, i * 0.25, 'row ' || i % 1000 FROM generate_series(1, 4000) i";
    connection.execute(rows).expect("room for rows");
    let mut before = None;
    for round in 0..12 {
        for (sql, state) in DEFINITIONS {
            let sql = sql.replace('$', folder.0.to_str().expect("a path that is a text"));
            let found = discard(&connection, &sql, None)
                .map_or_else(|error| error.sqlstate().to_owned(), |()| String::new());
            assert_eq!(found, state, "{sql}");
        }
        let mut held = held_after_reclaim(&database);
        held.retain(|path, _| !path.contains("/memtable") && !path.ends_with("/wal"));
        if let Some(before) = before.filter(|_| round > 6) {
            assert_eq!(held, before, "round {round}");
        }
        before = Some(held);
        let files = std::fs::read_dir(&folder.0).expect("the folder is there").count();
        assert_eq!(files, 2, "the database and the one copy that was complete");
    }
}

/// Aim: no byte outside of the budgets where statements read tables for the first time, change them, write files or have threads; and when
/// nobody reads any more, each budget and the root hold to the byte what they held when the database was opened. Method: see the head of this
/// file.
#[test]
fn files_and_threads_take_nothing_uncharged_and_leave_nothing() {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let output = child
        .args(["--ignored", "--exact", "--nocapture", "given_back::child_counts_all_threads"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("<done>"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

//! Databases in directories: who may open them, what their transactions promise, and what happens when a disk fails.

use std::fmt::Write;
use std::sync::Arc;

use cofferdam::{Connection, Database, Error, Options, Remedy, StatementKind};
use cofferdam_testkit::simfs::{Fault, Op, Rule};
use cofferdam_vfs::Vfs;

use crate::support::{Directory, outcome, table};

const LIMIT_BYTES: u64 = 16 << 20;

fn directory() -> Directory {
    Directory::new(LIMIT_BYTES)
}

fn connection(directory: &Directory) -> Connection {
    directory.database.connect().unwrap()
}

#[track_caller]
fn run(connection: &Connection, statements: &[&str]) {
    for sql in statements {
        connection.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[track_caller]
fn count(connection: &Connection, table: &str) -> u64 {
    let sql = format!("SELECT * FROM {table}");
    connection.execute(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn statements_are_what_they_are() {
    let directory = directory();
    let connection = connection(&directory);
    let kind = |sql: &str| {
        let mut statement = connection.statement(sql).unwrap();
        let query = statement.prepare().unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(query.columns().is_empty(), "{sql}");
        let rows = query.rows().unwrap_or_else(|error| panic!("{sql}: {error}"));
        (rows.kind(), rows.command_tag().to_string(), rows.rows_count())
    };
    let definition = |tag: &str| (StatementKind::Definition, tag.to_owned(), 0);
    assert_eq!(kind("CREATE TABLE t (a integer)"), definition("CREATE TABLE"));
    assert_eq!(kind("INSERT INTO t VALUES (1), (2)"), (StatementKind::Change, "INSERT 0 2".to_owned(), 2));
    assert_eq!(kind("DROP TABLE t"), definition("DROP TABLE"));
    assert_eq!(kind("CREATE TABLE s (a integer, b text)"), definition("CREATE TABLE"));
    let copied = kind("COPY s FROM 'tests/data/small.csv' WITH (FORMAT csv, HEADER)");
    assert_eq!(copied, (StatementKind::Change, "COPY 2".to_owned(), 2));
    assert_eq!(connection.execute("CREATE TABLE t (a integer)").unwrap(), 0);
    assert_eq!(connection.execute("INSERT INTO t SELECT id FROM 'tests/data/people.csv'").unwrap(), 6);
}

/// Aim: a statement that changes tables may run again, and each time is a change of its own.
#[test]
fn a_change_runs_as_often_as_it_is_asked() {
    let directory = directory();
    let connection = connection(&directory);
    run(&connection, &["CREATE TABLE t (a integer, b integer PRIMARY KEY)", "INSERT INTO t VALUES (1, 0)"]);
    let mut statement = connection
        .statement(
            "INSERT INTO t SELECT a, b + count FROM t, \
        (SELECT count(*) AS count FROM t) AS c",
        )
        .unwrap();
    let query = statement.prepare().unwrap();
    for rows in [1, 2, 4, 8] {
        assert_eq!(query.rows().unwrap().rows_count(), rows);
    }
    assert_eq!(count(&connection, "t"), 16);
}

#[test]
fn a_directory_is_open_once() {
    let directory = directory();
    let vfs: Arc<dyn Vfs> = Arc::clone(&directory.disk) as Arc<dyn Vfs>;
    let options = || Options::new().memory_limit(LIMIT_BYTES).vfs(&vfs);
    let error = Database::open("/db", options()).unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("55006", Remedy::Retry), "{error}");
    // The last handle closes it; connections are handles.
    let Directory { database, .. } = directory;
    let connection = database.connect().unwrap();
    drop(database);
    assert_eq!(Database::open("/db", options()).unwrap_err().sqlstate(), "55006");
    run(&connection, &["CREATE TABLE t (a integer)"]);
    drop(connection);
    let database = Database::open("/db", options()).unwrap();
    assert_eq!(count(&database.connect().unwrap(), "t"), 0);
}

#[test]
fn a_directory_on_a_disk_is_one_too() {
    let path = std::env::temp_dir().join(format!("cofferdam-directory-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    for round in 1..=2 {
        let database = Database::open(&path, Options::new().memory_limit(4 << 20)).unwrap();
        let connection = database.connect().unwrap();
        run(&connection, &["CREATE TABLE IF NOT EXISTS t (a integer)", "INSERT INTO t VALUES (1)"]);
        assert_eq!(count(&connection, "t"), round);
    }
    std::fs::remove_dir_all(&path).unwrap();
    let error = Database::open(path.join("none/db"), Options::new()).unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("58P01", Remedy::FixInput), "{error}");
}

/// Aim: a limit that is too small is a typed error wherever it strikes while a directory is opened. Method: limits from 0 up.
#[test]
fn a_limit_that_is_too_small_is_an_error() {
    let directory = directory();
    run(&connection(&directory), &["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('one'), ('two')"]);
    let Directory { disk, database, .. } = directory;
    drop(database);
    let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as Arc<dyn Vfs>;
    let (mut refused, mut opened) = (0, 0);
    for limit_bytes in (0..=64).map(|step| step * (8 << 10)) {
        let options = Options::new().memory_limit(limit_bytes).vfs(&vfs);
        let counted = Database::open("/db", options)
            .and_then(|database| database.connect())
            .and_then(|connection| connection.execute("SELECT * FROM t"));
        match counted {
            Ok(rows) => assert_eq!(rows, 2),
            Err(Error::OutOfMemory(_)) => assert_eq!(opened, 0, "{limit_bytes} B are more"),
            Err(error) => panic!("{limit_bytes} B: {error}"),
        }
        match counted {
            Ok(_) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused >= 32 && opened > 0, "{refused} refused, {opened} opened");
}

/// A long list of rows; its keys go from 0.
fn long_insert(rows: usize, last: &str) -> String {
    let mut sql = "INSERT INTO t (id, word) VALUES ".to_owned();
    for id in 0..rows {
        write!(sql, "({id}, 'word number {id}'), ").unwrap();
    }
    sql + last
}

/// Aim: a long INSERT takes the memory of a few rows, and is all or nothing. Method: lists that end well and not, in a transaction
/// and outside of one.
#[test]
fn a_long_insert_takes_the_memory_of_a_few_rows() {
    let directory = directory();
    let connection = connection(&directory);
    run(&connection, &["CREATE TABLE t (id integer PRIMARY KEY, word text)"]);
    let peak = |sql: &str| {
        let mut statement = connection.statement(sql).unwrap();
        let outcome = statement.prepare().and_then(|query| query.rows().map(|rows| rows.rows_count()));
        (outcome, statement.budget().peak())
    };
    for (last, sqlstate) in [
        ("(1, 'again')", "23505"),
        ("(-1, 'x', 3)", "42601"),
        ("(-1, nothing)", "42703"),
        ("(-1, 'x') RETURNING id", "0A000"),
        ("(-1, 'x'", "42601"),
    ] {
        let error = peak(&long_insert(3000, last)).0.unwrap_err();
        assert_eq!(error.sqlstate(), sqlstate, "{last}: {error}");
        assert_eq!(count(&connection, "t"), 0, "{last}");
    }
    let error = peak(&long_insert(3000, "(-1, x + 1)")).0.unwrap_err();
    let span = error.span().expect("a place");
    assert!(long_insert(3000, "(-1, x + 1)")[span.start as usize..].starts_with("x + 1"), "{error}");
    let (few, many) = (peak(&long_insert(2000, "(-1, DEFAULT)")), peak(&long_insert(8000, "(-2, '')")));
    assert_eq!(few.0.unwrap(), 2001);
    assert_eq!(many.0.unwrap_err().sqlstate(), "23505", "the first ones are there");
    run(&connection, &["DROP TABLE t", "CREATE TABLE t (id integer, word text)", "BEGIN"]);
    let many = peak(&long_insert(8000, "(-2, '')"));
    assert_eq!(many.0.unwrap(), 8001);
    // In a transaction its budget pays for what was changed, so here is only what the statement itself takes.
    assert!(many.1 < 1 << 20, "{} B for 240 KiB of text", many.1);
    run(&connection, &["ROLLBACK"]);
    assert_eq!(count(&connection, "t"), 0);
}

/// The rows of a query, each as text.
fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let text = connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"));
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Aim: changes of more rows than the write set holds are right, whether rows stay where they are, move or go, and a savepoint
/// undoes them. Method: a table of some MiB below a small limit, with a unique index, changed twice in a transaction.
#[test]
fn changes_larger_than_memory_go_through_the_write_set() {
    const ROWS: u64 = 12_000;
    let directory = Directory::new(6 << 20);
    let connection = connection(&directory);
    run(
        &connection,
        &[
            "CREATE TABLE t (id integer PRIMARY KEY, word text, mark integer UNIQUE)",
            "CREATE TABLE plain (id integer, word text)",
        ],
    );
    for start in (0..ROWS).step_by(2000) {
        let mut sql = "INSERT INTO t VALUES ".to_owned();
        for id in start..start + 2000 {
            let separator = if id == start { "" } else { ", " };
            write!(sql, "{separator}({id}, 'the word of row number {id} and some more of it', {})", id + 1)
                .unwrap();
        }
        run(&connection, &[&sql]);
    }
    let changed = |sql: &str| connection.execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!(changed("INSERT INTO plain SELECT id, word FROM t"), ROWS);
    let sums = "SELECT count(*), min(id), max(id), sum(id), sum(mark), max(word) FROM t";
    let before = texts(&connection, sums);
    run(&connection, &["BEGIN"]);
    assert_eq!(changed("UPDATE t SET word = word || '!'"), ROWS);
    run(&connection, &["SAVEPOINT s"]);
    let after = texts(&connection, sums);
    assert_eq!(after[0], format!("{}!", before[0]));
    assert_eq!(changed(&format!("UPDATE t SET id = {} - id, mark = mark + 1", ROWS - 1)), ROWS);
    assert_eq!(texts(&connection, "SELECT id, mark FROM t WHERE id < 2"), ["0|12001", "1|12000"]);
    assert_eq!(changed("DELETE FROM t WHERE id % 2 = 0"), ROWS / 2);
    assert_eq!(changed("UPDATE plain SET id = id + 1 WHERE id % 3 = 0"), ROWS / 3);
    assert_eq!(changed("DELETE FROM plain USING t WHERE plain.id = t.id"), ROWS / 2);
    assert_eq!(count(&connection, "t"), ROWS / 2);
    run(&connection, &["ROLLBACK TO s"]);
    assert_eq!(texts(&connection, sums), after);
    run(&connection, &["COMMIT"]);
    let directory = {
        drop(connection);
        directory.crashed()
    };
    let connection = self::connection(&directory);
    assert_eq!(texts(&connection, sums), after);
    assert_eq!(count(&connection, "plain"), ROWS);
    let error = connection.execute("UPDATE t SET mark = 7").unwrap_err();
    assert_eq!(error.sqlstate(), "23505", "{error}");
    assert_eq!(texts(&connection, sums), after);
}

/// Aim: rows that are given while their transaction goes on are those of when the statement began; when it ends they are an error,
/// never other rows.
#[test]
fn rows_are_read_from_the_transaction_that_they_were_asked_in() {
    let directory = directory();
    let connection = connection(&directory);
    run(&connection, &["CREATE TABLE t (a integer PRIMARY KEY)"]);
    run(
        &connection,
        &[&format!(
            "INSERT INTO t VALUES {}",
            (0..5000).map(|a| format!("({a})")).collect::<Vec<_>>().join(",")
        )],
    );
    run(&connection, &["BEGIN", "INSERT INTO t VALUES (5000)", "SAVEPOINT s"]);
    let ends: [(&[&str], Option<u64>); 5] = [
        (&["INSERT INTO t VALUES (6000)"], Some(5001)),
        (&["ROLLBACK TO s"], None),
        (&["RELEASE s"], Some(5001)),
        (&["COMMIT"], None),
        (&["BEGIN", "ROLLBACK", "BEGIN"], Some(5001)),
    ];
    for (statements, expected) in ends {
        let mut statement = connection.statement("SELECT a FROM t").unwrap();
        let query = statement.prepare().unwrap();
        let mut rows = query.rows().unwrap();
        assert!(rows.next_batch().unwrap().is_some());
        run(&connection, statements);
        let outcome = loop {
            match rows.next_batch() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(rows.rows_count()),
                Err(error) => break Err(error.sqlstate()),
            }
        };
        assert_eq!(outcome.ok(), expected, "{statements:?}");
        drop(rows);
        drop(query);
        drop(statement);
        if expected.is_none() && statements != ["COMMIT"] {
            // The error has ended the transaction.
            run(&connection, &["ROLLBACK TO s"]);
        }
    }
}

/// Aim: a statement that is cancelled has changed nothing.
#[test]
fn a_change_can_be_cancelled() {
    let directory = directory();
    let connection = connection(&directory);
    run(&connection, &["CREATE TABLE t (id integer, word text)"]);
    for sql in ["INSERT INTO t (id) SELECT id FROM 'tests/data/people.csv'", &long_insert(3000, "(1, '')")] {
        let canceller = connection.canceller();
        let mut statement = connection.statement(sql).unwrap();
        let Ok(query) = statement.prepare() else { continue };
        canceller.cancel();
        let error = query.rows().unwrap_err();
        assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry));
        assert_eq!(count(&connection, "t"), 0);
    }
}

/// Aim: what the disk refuses is an error that says so, and what was committed before is there. Method: a full disk, and one whose
/// syncs fail.
#[test]
fn a_disk_that_refuses_is_an_error_of_the_system() {
    let full = directory();
    let connection = connection(&full);
    run(&connection, &["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('one')"]);
    full.disk.set_capacity(Some(full.disk.used_bytes()));
    let error = connection.execute("INSERT INTO t VALUES ('two')").unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("53100", Remedy::FixSystem), "{error}");
    full.disk.set_capacity(None);
    drop(connection);
    let full = full.crashed();
    assert_eq!(count(&full.database.connect().unwrap(), "t"), 1);

    let failing = directory();
    let connection = failing.database.connect().unwrap();
    run(
        &connection,
        &["CREATE TABLE t (a text)", "INSERT INTO t VALUES ('one')", "BEGIN", "INSERT INTO t VALUES ('two')"],
    );
    failing.disk.inject(Rule::new([Op::Sync], Fault::Error(5)));
    let error = connection.execute("COMMIT").unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("58030", Remedy::FixSystem), "{error}");
    failing.disk.clear_rules();
    // Nothing is acknowledged until the database is opened again, and reading goes on.
    let error = connection.execute("INSERT INTO t VALUES ('three')").unwrap_err();
    assert_eq!(error.sqlstate(), "58030", "{error}");
    drop(connection);
    let failing = failing.crashed();
    let rows = count(&failing.database.connect().unwrap(), "t");
    assert!((1..=2).contains(&rows), "{rows}");
}

/// Aim: bytes that are not what was written are an error that says to restore them.
#[test]
fn damage_is_an_error() {
    let directory = directory();
    run(&connection(&directory), &["CREATE TABLE t (a text)"]);
    let Directory { disk, database, .. } = directory;
    drop(database);
    let manifest = disk.image().keys().find(|path| path.contains("manifest")).expect("there is one").clone();
    disk.flip(&manifest, 60, 1).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as Arc<dyn Vfs>;
    let error = Database::open("/db", Options::new().vfs(&vfs)).unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("XX001", Remedy::Restore), "{error}");
    assert!(error.to_string().contains("manifest"), "{error}");
}

/// Aim: what statements and transactions took is back when they are over, however they end.
#[test]
fn everything_is_given_back() {
    let directory = directory();
    let connection = connection(&directory);
    run(&connection, &["CREATE TABLE t (a integer PRIMARY KEY)"]);
    let used = |name: &str| {
        let nodes = directory.database.budget().walk();
        nodes.filter(|node| node.name.as_str() == name).map(|node| node.used_bytes).sum::<u64>()
    };
    let script = [
        "INSERT INTO t VALUES (1), (2)",
        "INSERT INTO t VALUES (1)",
        "BEGIN",
        "INSERT INTO t VALUES (3)",
        "SAVEPOINT s",
        "INSERT INTO t SELECT a + 10 FROM t",
        "SELECT * FROM t",
        "INSERT INTO t VALUES (1)",
        "ROLLBACK",
        "BEGIN",
        "INSERT INTO t VALUES (3)",
        "COMMIT",
    ];
    for sql in script {
        let _ = connection.query(sql, table);
        assert_eq!(used("statement"), 0, "{sql}");
    }
    assert_eq!(used("transaction"), 0);
    run(&connection, &["BEGIN", "INSERT INTO t VALUES (4)"]);
    assert!(used("transaction") > 0);
    drop(connection);
    assert_eq!(used("transaction"), 0, "it is rolled back with its connection");
    assert_eq!(
        outcome(&directory.database.connect().unwrap(), "SELECT max(a) FROM t").unwrap(),
        "max integer\n3\n"
    );
}

/// Aim: a store that was made under one name is the one of that name; two databases do not share tables.
#[test]
fn databases_have_tables_of_their_own() {
    let first = directory();
    let second = directory();
    run(&connection(&first), &["CREATE TABLE t (a integer)"]);
    let error = connection(&second).execute("SELECT * FROM t").unwrap_err();
    assert_eq!(error.sqlstate(), "42P01");
}

/// Aim: a file that is registered under the name of a table is what that connection reads, and only that one.
#[test]
fn registered_files_come_before_tables() {
    let directory = directory();
    let mut first = connection(&directory);
    run(&first, &["CREATE TABLE people (a integer)"]);
    first.register_file("people", "tests/data/people.csv", None).unwrap();
    assert_eq!(count(&first, "people"), 6);
    assert_eq!(first.execute("INSERT INTO people VALUES (1)").unwrap_err().sqlstate(), "42809");
    assert_eq!(count(&connection(&directory), "people"), 0);
}

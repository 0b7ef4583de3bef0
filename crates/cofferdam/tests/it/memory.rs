//! Databases in memory: tables under the limit, transactions that are older than any table, and what happens when memory runs out.

use std::fmt::Write;

use cofferdam::{Budget, Connection, Database, Error, Options, Remedy};

use crate::support::{database, table};

#[track_caller]
fn rows(connection: &Connection, sql: &str) -> String {
    connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// `count` rows from a key on, of about 128 bytes each, which do not compress to nothing.
fn insert(from: u64, count: u64) -> String {
    let mut sql = "INSERT INTO t VALUES ".to_owned();
    for key in from..from + count {
        write!(sql, "{}({key}, '", if key == from { "" } else { ", " }).unwrap();
        let mut state = key + 1;
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(sql, "{state:016x}").unwrap();
        }
        sql.push_str("')");
    }
    sql
}

/// Aim: where memory is refused for one value, the error says which, how large it had become and what would help, and does not for
/// many small ones. Method: values of functions, operators and aggregates that are larger than the limit.
#[test]
fn a_value_that_does_not_fit_is_told() {
    let connection = database(512 << 10).connect().unwrap();
    let numbers = "FROM generate_series(1, 150000) AS t(i)";
    for (what, sql) in [
        ("repeat", "SELECT length(repeat('x', 5000000))".to_owned()),
        ("lpad", "SELECT length(lpad('a', 4000000, 'b'))".to_owned()),
        ("||", "SELECT length(repeat('x', 150000) || repeat('y', 150000))".to_owned()),
        ("replace", "SELECT max(length(replace(repeat('x', 100000), 'x', 'abcdefgh')))".to_owned()),
        ("string_agg", format!("SELECT length(string_agg(i::text, ',')) {numbers}")),
        ("string_agg", format!("SELECT i % 2, length(string_agg(i::text, ',')) {numbers} GROUP BY 1")),
        ("array_agg", format!("SELECT array_length(array_agg(i), 1) {numbers}")),
        ("json_agg", format!("SELECT json_agg(i) {numbers}")),
    ] {
        let Err(error) = connection.query(&sql, table) else { panic!("{sql}: 512 KiB are enough") };
        assert_eq!((error.sqlstate(), error.remedy()), ("53200", Remedy::GiveMemory), "{sql}: {error}");
        let record = error.out_of_memory().unwrap();
        let (name, bytes) = record.value().unwrap_or_else(|| panic!("{sql}: {error}"));
        assert_eq!(name, what, "{sql}: {error}");
        assert!((64 << 10..8 << 20).contains(&bytes) && record.sufficient_bytes().is_none(), "{error}");
        assert!(error.to_string().contains(&format!("one value of {what} had come to ")), "{error}");
        let hint = error.hint().unwrap().to_string();
        assert!(hint.ends_with("to several times the size of the value, or make shorter values"), "{hint}");
    }
    let short = database(64 << 10).connect().unwrap();
    let sql = "SELECT a.i + b.i FROM generate_series(1, 99) a(i), generate_series(1, 99) b(i) ORDER BY 1";
    let Err(error) = short.query(sql, table) else { panic!("64 KiB are enough") };
    assert_eq!((error.sqlstate(), error.out_of_memory().unwrap().value()), ("53200", None), "{error}");
}

#[test]
fn connections_share_tables_and_nothing_is_taken_before_there_are_any() {
    let database = database(16 << 20);
    let [first, second] = [(); 2].map(|()| database.connect().unwrap());
    let used = database.budget().used();
    assert_eq!(rows(&first, "SELECT 1 AS one"), "one integer\n1\n");
    first.execute("BEGIN").unwrap();
    assert!(database.budget().used() <= used, "a transaction of a database without tables is free");
    second.execute("CREATE TABLE t (a integer)").unwrap();
    second.execute("INSERT INTO t VALUES (1)").unwrap();
    // It begins with the first statement that could see a table, and sees no changes of others from then on.
    assert_eq!(rows(&first, "SELECT a FROM t"), "a integer\n1\n");
    second.execute("INSERT INTO t VALUES (2)").unwrap();
    assert_eq!(rows(&first, "SELECT a FROM t"), "a integer\n1\n");
    first.execute("COMMIT").unwrap();
    assert_eq!(rows(&first, "SELECT a FROM t ORDER BY a"), "a integer\n1\n2\n");
    first.execute("BEGIN").unwrap();
    second.execute("BEGIN").unwrap();
    first.execute("UPDATE t SET a = 3 WHERE a = 2").unwrap();
    second.execute("UPDATE t SET a = 4 WHERE a = 2").unwrap();
    first.execute("COMMIT").unwrap();
    assert_eq!(second.execute("COMMIT").unwrap_err().sqlstate(), "40001");
    assert_eq!(rows(&second, "SELECT a FROM t ORDER BY a"), "a integer\n1\n3\n");
}

/// Aim: a database in memory that is full says so, keeps what was committed, goes on reading, and has room again when tables are
/// dropped. Method: rows until a refusal, at several limits; then a count, a drop, and the same again.
#[test]
fn a_full_database_loses_nothing() {
    for limit_bytes in [4 << 20, 16 << 20] {
        let database = database(limit_bytes);
        let connection = database.connect().unwrap();
        let mut counts = Vec::new();
        for round in 0..3 {
            connection.execute("CREATE TABLE t (a bigint PRIMARY KEY, b text)").unwrap();
            let mut committed = 0;
            let error = loop {
                match connection.execute(&insert(committed, 200)) {
                    Ok(rows) => committed += rows,
                    Err(error) => break error,
                }
                assert!(committed < limit_bytes / 128, "{committed} rows are more than fit");
            };
            let Error::OutOfMemory(record) = error else { panic!("{limit_bytes} B, round {round}: {error}") };
            assert!(record.limit_bytes() <= limit_bytes, "{record}");
            let found =
                rows(&connection, "SELECT count(*) AS n, max(a) + 1 AS m, min(length(b)) AS l FROM t");
            assert_eq!(found, format!("n bigint|m bigint|l integer\n{committed}|{committed}|128\n"));
            counts.push(committed);
            connection.execute("DROP TABLE t").unwrap();
        }
        let least = limit_bytes / 128 / 8;
        assert!(counts.iter().all(|count| *count > least), "{limit_bytes} B: {counts:?}");
    }
}

/// Aim: whatever is refused while tables change leaves a database that goes on. Method: a script of changes at limits from the least
/// one up, in steps of 160 KiB, or of 32 KiB with `EVERY_CHARGE=1`; each statement succeeds or is the typed error, and what was
/// committed is there.
#[test]
fn every_limit_is_an_error_or_enough() {
    let (mut refused, mut whole) = (0, 0);
    let step_kib = if std::env::var_os("EVERY_CHARGE").is_some() { 32 } else { 160 };
    for limit_bytes in (64..64 + 60 * 32).step_by(step_kib).map(|kib| kib << 10) {
        let database = database(64 << 20);
        let connection = database.connect().unwrap();
        database.budget().set_limit(limit_bytes);
        let mut committed = 0;
        let mut was_refused = false;
        for statement in 0..40 {
            let sql = if statement == 0 {
                "CREATE TABLE t (a bigint PRIMARY KEY, b text)".to_owned()
            } else {
                insert(committed, 100)
            };
            match connection.execute(&sql) {
                Ok(rows) => committed += rows,
                Err(Error::OutOfMemory(_)) => was_refused = true,
                Err(error) if error.sqlstate() == "42P01" && committed == 0 => was_refused = true,
                Err(error) => panic!("{limit_bytes} B: {error}"),
            }
        }
        connection.execute("SET memory_limit = '64MiB'").unwrap();
        if committed > 0 {
            assert_eq!(connection.execute("SELECT a FROM t").unwrap(), committed, "{limit_bytes} B");
            connection.execute("DELETE FROM t").unwrap();
        }
        *(if was_refused { &mut refused } else { &mut whole }) += 1;
    }
    assert!(refused > 1 && whole > 1, "{refused} limits refused, {whole} were enough");
}

/// Aim: who raises the limit of a full database gives its tables more room. Method: rows until a refusal, before and after.
#[test]
fn tables_follow_the_limit() {
    let database = database(2 << 20);
    let connection = database.connect().unwrap();
    connection.execute("CREATE TABLE t (a bigint PRIMARY KEY, b text)").unwrap();
    let mut committed = 0;
    for limit in ["2MiB", "8MiB"] {
        connection.execute(&format!("SET memory_limit = '{limit}'")).unwrap();
        let before = committed;
        while let Ok(rows) = connection.execute(&insert(committed, 200)) {
            committed += rows;
        }
        assert!(committed >= 2 * before + 4000, "{before} rows, then {committed}");
    }
}

#[test]
fn a_database_gives_everything_back() {
    let process = Budget::unlimited("process").unwrap();
    let options = Options::new().memory_limit(16 << 20).parent(&process);
    // The first one leaves pages of the tree of budgets behind.
    let mut used = None;
    for _ in 0..2 {
        let database = Database::open_in_memory(options.clone()).unwrap();
        let connection = database.connect().unwrap();
        connection.execute("CREATE TABLE t (a bigint PRIMARY KEY, b text)").unwrap();
        for round in 0..10 {
            connection.execute(&insert(round * 2000, 2000)).unwrap();
        }
        assert!(process.used() > 1 << 20);
        drop((connection, database));
        assert_eq!(process.used(), *used.get_or_insert(process.used()));
    }
    assert!(used.is_some_and(|used| used <= 16 << 10), "{used:?}");
}

//! What programs that embed the database rely on.

use cofferdam::{Connection, Database, Error, Options, Remedy, StatementKind, Type, Value};

use crate::support::{database, outcome, table};

fn connection(limit_bytes: u64) -> Connection {
    Database::open_in_memory(Options::new().memory_limit(limit_bytes)).unwrap().connect().unwrap()
}

#[test]
fn rows_come_in_batches_and_one_by_one() {
    let connection = connection(16 << 20);
    let mut statement = connection.statement("SELECT * FROM (VALUES (1), (2), (3)) AS t(n)").unwrap();
    let query = statement.prepare().unwrap();
    assert_eq!((query.kind(), query.columns()[0].name), (StatementKind::Query, "n"));
    let mut rows = query.rows().unwrap();
    let first = rows.next_batch().unwrap().unwrap();
    assert_eq!((first.rows_count(), first.value(2, 0)), (3, Value::Integer(3)));
    // The batch is there already; its rows can still be taken one by one.
    let mut sum = 0;
    while let Some(row) = rows.next_row().unwrap() {
        let Value::Integer(n) = row.value(0) else { panic!("an integer") };
        sum += n;
    }
    assert_eq!(sum, 6);
    assert!(rows.next_row().unwrap().is_none());
    assert!(rows.next_batch().unwrap().is_none());
}

#[test]
fn command_tags_are_those_of_postgresql() {
    let connection = connection(16 << 20);
    let tag = |sql: &str| {
        let answer = connection.query(sql, |rows| {
            while rows.next_batch()?.is_some() {}
            Ok((rows.command_tag().to_string(), rows.kind().has_answer(), rows.columns().len()))
        });
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let cases = [
        ("SELECT id FROM 'tests/data/people.csv'", ("SELECT 6", true, 1)),
        ("VALUES (1, 2)", ("SELECT 1", true, 2)),
        ("EXPLAIN SELECT 1", ("EXPLAIN", true, 1)),
        ("SHOW threads", ("SHOW", true, 1)),
        ("SET threads = 2", ("SET", false, 0)),
        ("RESET ALL", ("RESET", false, 0)),
        ("BEGIN", ("BEGIN", false, 0)),
        ("SAVEPOINT a", ("SAVEPOINT", false, 0)),
        ("ROLLBACK TO a", ("ROLLBACK", false, 0)),
        ("RELEASE a", ("RELEASE", false, 0)),
        ("COMMIT", ("COMMIT", false, 0)),
        ("ROLLBACK", ("ROLLBACK", false, 0)),
    ];
    for (sql, (expected, has_answer, columns)) in cases {
        assert_eq!(tag(sql), (expected.to_owned(), has_answer, columns), "{sql}");
    }
    assert_eq!(connection.execute("SELECT id FROM 'tests/data/people.csv'").unwrap(), 6);
}

/// Aim: a failure while rows are given ends the transaction, as one before them does.
#[test]
fn a_failing_answer_ends_the_transaction() {
    let connection = connection(16 << 20);
    connection.execute("BEGIN").unwrap();
    let error = connection.execute("SELECT 1 / (id - id) FROM 'tests/data/people.csv'").unwrap_err();
    assert_eq!(error.sqlstate(), "22012");
    let refused = connection.execute("SELECT 1").unwrap_err();
    assert_eq!((refused.sqlstate(), refused.remedy()), ("25P02", Remedy::FixInput));
    // Another connection has a transaction of its own.
    let other = connection.database().connect().unwrap();
    other.execute("SELECT 1").unwrap();
    connection.execute("ROLLBACK").unwrap();
    connection.execute("SELECT 1").unwrap();
}

#[test]
fn a_query_runs_as_often_as_it_is_asked() {
    let connection = connection(16 << 20);
    let mut statement = connection.statement("SELECT count(*) FROM 'tests/data/people.csv'").unwrap();
    let query = statement.prepare().unwrap();
    for _ in 0..3 {
        let mut rows = query.rows().unwrap();
        assert_eq!(rows.next_row().unwrap().unwrap().value(0), Value::BigInt(6));
    }
}

/// Aim: what a statement took is back when it is dropped, however far it ran.
#[test]
fn everything_is_given_back() {
    let database = database(16 << 20);
    let connection = database.connect().unwrap();
    let used = || database.budget().walk().next().unwrap().used_bytes;
    let before = used();
    {
        let mut statement = connection.statement("SELECT * FROM 'tests/data/people.csv' ORDER BY 1").unwrap();
        let query = statement.prepare().unwrap();
        let mut rows = query.rows().unwrap();
        rows.next_row().unwrap().unwrap();
        assert!(used() > before);
        assert!(rows.budget().used() > 0);
    }
    assert_eq!(used(), before);
}

#[test]
fn registered_tables_have_names() {
    let mut connection = connection(16 << 20);
    connection.register_file("people", "tests/data/people.csv", None).unwrap();
    let schema = [("key", Type::BigInt), ("word", Type::Text)];
    connection.register_file("words", "tests/data/headless.csv", Some(&schema)).unwrap();
    let answer =
        connection.query("SELECT word, name FROM words JOIN people ON id = key ORDER BY 1", table).unwrap();
    assert_eq!(answer, "word text|name text\none|Ada\ntwo|Gauss, Carl\n");
    let error = connection.execute("SELECT * FROM peple").unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("42P01", Remedy::FixInput));
    assert_eq!(error.hint().unwrap().to_string(), "did you mean people?");
    // The same name again is another table.
    connection.register_file("people", "tests/data/small.csv", None).unwrap();
    assert_eq!(connection.execute("SELECT * FROM people").unwrap(), 2);
}

#[test]
fn tables_are_paid_for() {
    let mut connection = connection(64 << 10);
    let schema: Vec<(String, Type)> = (0..100).map(|i| (format!("column_{i}"), Type::Text)).collect();
    let schema: Vec<(&str, Type)> = schema.iter().map(|(name, ty)| (name.as_str(), *ty)).collect();
    let (name, refused) = (0..100)
        .map(|i| format!("t{i}"))
        .find_map(|name| {
            Some((name.clone(), connection.register_file(&name, "file.csv", Some(&schema)).err()?))
        })
        .expect("64 KiB are not enough for 100 tables");
    let record = *refused.out_of_memory().unwrap();
    assert!(record.path().ends_with("/catalog"), "{record}");
    // What would have been enough is known, and is enough.
    let enough = record.sufficient_bytes().unwrap();
    assert!(refused.hint().unwrap().to_string().ends_with("which is known to suffice"));
    connection.database().budget().set_limit(enough - 1);
    assert!(connection.register_file(&name, "file.csv", Some(&schema)).is_err());
    connection.database().budget().set_limit(enough);
    connection.register_file(&name, "file.csv", Some(&schema)).unwrap();
}

/// Aim: one statement that runs out disturbs nobody. Method: the next ones run as ever.
#[test]
fn the_next_statement_runs_as_if_nothing_had_happened() {
    let connection = connection(128 << 10);
    let wide = "SELECT count(*) FROM (SELECT DISTINCT a.id * 1000 + b.id * 100 + c.id * 10 + d.id AS n \
                FROM 'tests/data/people.csv' a, 'tests/data/people.csv' b, 'tests/data/people.csv' c, \
                'tests/data/people.csv' d) AS q";
    let mut enough = 0;
    for _ in 0..3 {
        let error = connection.execute(wide).unwrap_err();
        assert_eq!((error.sqlstate(), error.remedy()), ("53200", Remedy::GiveMemory), "{error}");
        let record = error.out_of_memory().unwrap();
        assert!(record.path().starts_with("process/db/statement/"), "{record}");
        assert!(record.asked_bytes() > 0 && record.limit_bytes() == 128 << 10, "{record}");
        assert!(!record.stage().is_empty() && record.holders().count() > 0, "{record}");
        // From there on rows go to files, however many there are.
        enough = record.sufficient_bytes().unwrap();
        assert!(error.hint().unwrap().to_string().ends_with("which is known to suffice"));
        assert_eq!(outcome(&connection, "SELECT 1 AS one").unwrap(), "one integer\n1\n");
    }
    assert!((256 << 10..2 << 20).contains(&enough), "{enough}");
    connection.database().budget().set_limit(enough);
    assert_eq!(outcome(&connection, wide).unwrap(), "count bigint\n1296\n");
}

#[test]
fn a_limit_that_is_too_small_for_a_database_is_an_error() {
    for limit_bytes in [0, 1, 1 << 10, 4 << 10] {
        let opened = Database::open_in_memory(Options::new().memory_limit(limit_bytes));
        let error = opened
            .and_then(|database| database.connect())
            .and_then(|connection| connection.execute("SELECT 1"));
        assert!(matches!(error, Err(Error::OutOfMemory(_))), "{limit_bytes}: {error:?}");
    }
}

#[test]
fn a_statement_can_be_cancelled() {
    let connection = connection(16 << 20);
    let canceller = connection.canceller();
    let mut statement = connection.statement("SELECT * FROM 'tests/data/people.csv'").unwrap();
    let query = statement.prepare().unwrap();
    let mut rows = query.rows().unwrap();
    canceller.cancel();
    let error = rows.next_batch().unwrap_err();
    assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry));
    assert!(rows.next_batch().unwrap().is_none(), "after an error there are no more rows");
    drop(rows);
    drop(query);
    assert_eq!(connection.execute("SELECT * FROM 'tests/data/people.csv'").unwrap(), 6);
}

#[test]
fn several_statements_run_at_once() {
    let connection = connection(16 << 20);
    let mut first = connection.statement("SELECT id FROM 'tests/data/people.csv'").unwrap();
    let mut second = connection.statement("SELECT count(*) FROM 'tests/data/people.csv'").unwrap();
    let (first, second) = (first.prepare().unwrap(), second.prepare().unwrap());
    let (mut first, mut second) = (first.rows().unwrap(), second.rows().unwrap());
    assert_eq!(first.next_row().unwrap().unwrap().value(0), Value::BigInt(1));
    assert_eq!(second.next_row().unwrap().unwrap().value(0), Value::BigInt(6));
    assert_eq!(first.next_row().unwrap().unwrap().value(0), Value::BigInt(2));
}

#[test]
fn databases_can_share_a_limit() {
    let process = Database::open_in_memory(Options::new().memory_limit(1 << 20)).unwrap();
    let tenants: Vec<Database> = (0..3)
        .map(|_| {
            Database::open_in_memory(Options::new().memory_limit(512 << 10).parent(process.budget())).unwrap()
        })
        .collect();
    for tenant in &tenants {
        let connection = tenant.connect().unwrap();
        assert_eq!(outcome(&connection, "SHOW memory_limit").unwrap(), "memory_limit text\n512.0 KiB\n");
    }
    process.budget().charge(990 << 10).unwrap();
    let error = tenants[0].connect().unwrap().execute("SELECT * FROM 'tests/data/people.csv'").unwrap_err();
    assert_eq!(error.out_of_memory().unwrap().refused_by(), "process");
    process.budget().release(990 << 10);
}

#[test]
fn errors_outlive_their_statement_and_are_cut_at_a_character() {
    let connection = connection(16 << 20);
    let name = "é".repeat(300);
    let error = connection.execute(&format!("SELECT \"{name}\"")).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("column \"éé") && message.ends_with('…') && message.len() <= 255,
        "{message}"
    );
}

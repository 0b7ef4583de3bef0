//! Views that nest, and what happens to them when memory runs out.

use cofferdam::{Connection, Error, Remedy};

use crate::support::{database, table};

#[track_caller]
fn rows(connection: &Connection, sql: &str) -> String {
    connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Aim: views of views have an end, which is an error. Method: one above the other until one is refused, on a thread of little stack.
#[test]
fn views_nest_so_deep_and_no_deeper() {
    let run = || {
        let connection = database(64 << 20).connect().unwrap();
        connection.execute("CREATE VIEW v0 AS SELECT 7 AS a").unwrap();
        let deepest = (1..100).find_map(|level| {
            let sql = format!("CREATE VIEW v{level} AS SELECT * FROM v{} WHERE a > 0", level - 1);
            connection.execute(&sql).err().map(|error| (level, error))
        });
        let Some((level, error)) = deepest else { panic!("no end") };
        assert_eq!((level, error.sqlstate()), (65, "54001"), "{error}");
        assert_eq!(rows(&connection, "SELECT a FROM v63"), "a integer\n7\n");
        let whole = connection.execute("SELECT (SELECT a FROM v62) FROM v63").unwrap();
        assert_eq!(whole, 1);
        assert_eq!(connection.execute("SELECT (SELECT a FROM v63)").unwrap_err().sqlstate(), "54001");
        connection.execute("DROP VIEW v0 CASCADE").unwrap();
        assert_eq!(connection.execute("SELECT a FROM v63").unwrap_err().sqlstate(), "42P01");
    };
    std::thread::Builder::new().stack_size(4 << 20).spawn(run).unwrap().join().unwrap();
}

/// Aim: views that grow twofold at each level end with the memory. Method: a chain of joins with themselves.
#[test]
fn a_view_that_grows_ends_with_the_memory() {
    let connection = database(2 << 20).connect().unwrap();
    connection.execute("CREATE VIEW v0 AS SELECT 1 AS a").unwrap();
    let refused = (1..30).find_map(|level| {
        let below = level - 1;
        let sql =
            format!("CREATE VIEW v{level} AS SELECT x.a FROM v{below} AS x JOIN v{below} AS y ON x.a = y.a");
        connection.execute(&sql).err()
    });
    assert!(matches!(refused, Some(Error::OutOfMemory(_))), "{refused:?}");
    assert_eq!(rows(&connection, "SELECT a FROM v3"), "a integer\n1\n");
}

/// Aim: at every limit a view is made or it is not. Method: limits from the least one up, for making, replacing and dropping.
#[test]
fn every_limit_is_an_error_or_enough() {
    let (mut refused, mut whole) = (0, 0);
    for step in 0..40 {
        let database = database(16 << 20);
        let connection = database.connect().unwrap();
        connection.execute("CREATE TABLE t (a integer PRIMARY KEY, b text)").unwrap();
        connection.execute("INSERT INTO t VALUES (1, 'one')").unwrap();
        let used = database.budget().used();
        let mut columns = 0;
        for (sql, after) in [
            ("CREATE VIEW v AS SELECT * FROM t WHERE a IN (SELECT a FROM t)", 2),
            ("CREATE OR REPLACE VIEW v AS SELECT t.*, a + 1 AS c FROM t", 3),
            ("DROP VIEW v", 0),
        ] {
            database.budget().set_limit(used + step * 256);
            match connection.execute(sql) {
                Ok(_) => {
                    columns = after;
                    whole += 1;
                }
                Err(Error::OutOfMemory(_)) => refused += 1,
                Err(error) => assert!(error.sqlstate() == "42P01" && columns == 0, "{sql}: {error}"),
            }
            database.budget().set_limit(16 << 20);
            let found = connection.query("SELECT * FROM v", |rows| Ok(rows.columns().len()));
            assert_eq!(found.unwrap_or(0), columns, "step {step}: {sql}");
        }
    }
    assert!(refused > 10 && whole > 10, "{refused} refused, {whole} whole");
}

/// Aim: no view is left without what it reads: of two that make a view and drop its table at the same time, one is told to try again.
/// Method: both orders, with and without transactions, the one between the planning and the running of the other.
#[test]
fn views_and_drops_notice_each_other() {
    let database = database(16 << 20);
    let (a, b) = (database.connect().unwrap(), database.connect().unwrap());
    let make = "CREATE VIEW v AS SELECT * FROM t";
    let is_whole = || {
        let views =
            a.query_row("SELECT count(*) FROM cofferdam_tables() WHERE name = 'v'", |row| row.get::<i64>(0));
        if views.unwrap() == 1 {
            a.execute("SELECT * FROM v").unwrap();
            a.execute("DROP VIEW v").unwrap();
        }
        b.execute("DROP TABLE IF EXISTS t").unwrap();
        b.execute("CREATE TABLE t (n integer)").unwrap();
    };
    is_whole();
    for (first, second) in [(make, "DROP TABLE t"), ("DROP TABLE t", make)] {
        let mut statement = a.statement(first).unwrap();
        let query = statement.prepare().unwrap();
        b.execute(second).unwrap();
        let error = query.rows().unwrap_err();
        assert_eq!((error.sqlstate(), error.remedy()), ("40001", Remedy::Retry), "{first}");
        drop(query);
        is_whole();

        a.execute("BEGIN").unwrap();
        a.execute(first).unwrap();
        b.execute(second).unwrap();
        assert_eq!(a.execute("COMMIT").unwrap_err().sqlstate(), "40001", "{first}");
        a.execute("SELECT 1").unwrap();
        is_whole();

        a.execute("BEGIN").unwrap();
        b.execute("BEGIN").unwrap();
        a.execute(first).unwrap();
        b.execute(second).unwrap();
        b.execute("COMMIT").unwrap();
        assert_eq!(a.execute("COMMIT").unwrap_err().sqlstate(), "40001", "{first}");
        is_whole();
    }
    // What has nothing to do with that goes on side by side.
    a.execute("BEGIN").unwrap();
    a.execute(make).unwrap();
    b.execute("CREATE TABLE other (n integer)").unwrap();
    a.execute("DROP VIEW v").unwrap();
    a.execute(make).unwrap();
    a.execute("COMMIT").unwrap();
    is_whole();
}

//! Statements with names beyond what the script `prepare.golden` says: memory, rows that are read meanwhile, values from outside.

use cofferdam::{Database, Options, StatementKind, Type};

fn database() -> Database {
    Database::open_in_memory(Options::new().memory_limit(16 << 20).plan_cache_size(0)).unwrap()
}

/// Aim: names and plans take what the setting allows and no more, and all of it is given back with them.
#[test]
fn names_have_a_limit() {
    let database = database();
    let connection = database.connect().unwrap();
    let held =
        || database.budget().walk().find(|node| node.name.as_str() == "named").map(|node| node.used_bytes);
    connection.execute("SET prepared_memory_limit = '64KiB'").unwrap();
    let mut count = 0;
    let error = loop {
        match connection.execute(&format!("PREPARE p{count} AS SELECT $1 + {count}, 'text'")) {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
        assert!(count < 100);
    };
    let record = error.out_of_memory().expect("64 KiB are not enough");
    assert_eq!((record.path(), record.limit_bytes()), ("process/db/named", 64 << 10));
    assert!(count > 3, "{count}");
    let sum: i32 = connection.query_row("EXECUTE p2(40)", |row| row.get(0)).unwrap();
    assert_eq!(sum, 42);
    assert_eq!(connection.execute(&format!("EXECUTE p{count}(1)")).unwrap_err().sqlstate(), "26000");
    connection.execute("SET prepared_memory_limit = 'none'").unwrap();
    connection.execute(&format!("PREPARE p{count} AS SELECT 1")).unwrap();
    connection.execute("DEALLOCATE ALL").unwrap();
    assert!(held().unwrap() <= 1 << 10, "{held:?}", held = held());
    drop(connection);
    assert_eq!(held(), None);
}

/// Aim: a statement whose rows are being read cannot be run once more, may lose its name, and its rows stay.
#[test]
fn rows_are_read_before_the_next_run() {
    let database = database();
    let connection = database.connect().unwrap();
    connection.execute("PREPARE p AS SELECT * FROM generate_series(1, 3) AS g(n)").unwrap();
    connection
        .query("EXECUTE p", |rows| {
            assert_eq!(rows.next_row()?.expect("the first").get::<i32>(0)?, 1);
            assert_eq!(connection.execute("EXECUTE p").unwrap_err().sqlstate(), "55006");
            assert_eq!(connection.execute("PREPARE p AS SELECT 1").unwrap_err().sqlstate(), "42P05");
            connection.execute("DEALLOCATE p")?;
            connection.execute("PREPARE p AS SELECT 'another'")?;
            assert_eq!(rows.next_row()?.expect("the second").get::<i32>(0)?, 2);
            Ok(())
        })
        .unwrap();
    let text: String = connection.query_row("EXECUTE p", |row| row.get(0)).unwrap();
    assert_eq!(text, "another");
    assert_eq!(connection.execute("EXECUTE p").unwrap(), 1);
}

/// Aim: an EXECUTE may have parameters of its own, may itself be prepared and run again and again.
#[test]
fn an_execute_takes_values() {
    let database = database();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (n integer, s text); PREPARE add (int, text) AS INSERT INTO t VALUES ($1, $2)",
        )
        .unwrap();
    let mut add = connection.prepare("EXECUTE add($1 + 1, $2 || '!')").unwrap();
    assert_eq!(
        (add.kind(), add.parameter_types()),
        (StatementKind::Change, &[Type::Integer, Type::Text][..])
    );
    for (n, s) in [(1, "one"), (2, "two")] {
        assert_eq!(add.execute((n, s)).unwrap(), 1);
    }
    // It is one and the same plan, which is given back with the statement.
    assert_eq!(connection.execute("EXECUTE add(1, 'x')").unwrap_err().sqlstate(), "55006");
    drop(add);
    connection.execute_with("EXECUTE add($n, $s)", [("s", Some("9")), ("n", None)]).unwrap();
    let all: String = connection
        .query_row("SELECT string_agg(coalesce(n, 0) || s, ' ' ORDER BY s) FROM t", |row| row.get(0))
        .unwrap();
    assert_eq!(all, "09 2one! 3two!");
    let error = connection.query("EXECUTE add(1, 2, 3)", |_| Ok(())).unwrap_err();
    assert_eq!(
        (error.sqlstate(), error.hint().unwrap().to_string().as_str()),
        ("42601", "expected 2 parameters but got 3")
    );
}

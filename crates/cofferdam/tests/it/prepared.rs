//! Statements that are planned once: parameters and their types, values, runs, changes of tables.

use cofferdam::{Connection, Date, Error, Params, Rows, StatementKind, Type, Value, named_params, params};

use crate::support::{Directory, database, table};

fn directory() -> Directory {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    connection
        .execute("CREATE TABLE t (id integer PRIMARY KEY, name text, price numeric(10,2), day date)")
        .unwrap();
    connection
        .execute(
            "INSERT INTO t VALUES (1, 'one', 1.50, '2024-01-01'), (2, 'two', 2.50, NULL), (3, NULL, 3, NULL)",
        )
        .unwrap();
    directory
}

/// The answer with these values, as text without its head.
fn answer(connection: &Connection, sql: &str, params: impl Params) -> Result<String, Error> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query(params)?;
    body(&mut rows)
}

fn body(rows: &mut Rows<'_>) -> Result<String, Error> {
    let text = table(rows)?;
    Ok(text.split_once('\n').map_or("", |(_, body)| body).to_owned())
}

/// Aim: parameters have the types that PostgreSQL 15 gives them (`pg_prepared_statements.parameter_types`), and its errors.
#[test]
fn types_follow_from_places() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let integers = [Type::Integer.array().unwrap()];
    let cases: [(&str, Result<&[Type], &str>); 35] = [
        ("SELECT $1", Ok(&[Type::Text])),
        ("SELECT $1 + 1", Ok(&[Type::Integer])),
        ("SELECT $1::date + $1", Err("42883")),
        ("SELECT $1::date - $1", Ok(&[Type::Date])),
        ("SELECT * FROM t WHERE id = $1", Ok(&[Type::Integer])),
        ("SELECT * FROM t WHERE $2 > id AND name LIKE $1", Ok(&[Type::Text, Type::Integer])),
        ("SELECT * FROM t WHERE price > $1", Ok(&[Type::Numeric])),
        ("SELECT price * $1 FROM t", Ok(&[Type::Numeric])),
        ("SELECT * FROM t WHERE price BETWEEN $1 AND $2", Ok(&[Type::Numeric, Type::Numeric])),
        ("SELECT * FROM t WHERE price IN ($1, 2)", Ok(&[Type::Numeric])),
        ("SELECT * FROM t WHERE day < $1", Ok(&[Type::Date])),
        ("SELECT * FROM t WHERE $1", Ok(&[Type::Boolean])),
        ("SELECT coalesce(name, $1) FROM t", Ok(&[Type::Text])),
        ("SELECT CASE WHEN $1 THEN $2 ELSE 1 END", Ok(&[Type::Boolean, Type::Integer])),
        ("SELECT * FROM t LIMIT $1 OFFSET $2", Ok(&[Type::BigInt, Type::BigInt])),
        ("SELECT id FROM t UNION ALL SELECT $1", Ok(&[Type::Integer])),
        (
            "INSERT INTO t VALUES ($1, $2, $3, $4)",
            Ok(&[Type::Integer, Type::Text, Type::Numeric, Type::Date]),
        ),
        ("UPDATE t SET name = $1, day = $3 WHERE id = $2", Ok(&[Type::Text, Type::Integer, Type::Date])),
        ("DELETE FROM t WHERE id IN ($1, $2)", Ok(&[Type::Integer, Type::Integer])),
        ("SELECT * FROM t WHERE id = ANY($1)", Ok(&integers)),
        ("SELECT day - $1 FROM t", Ok(&[Type::Date])),
        ("SELECT generate_series(1, $1)", Ok(&[Type::Integer])),
        ("SELECT abs($1)", Ok(&[Type::Double])),
        ("INSERT INTO t(id) SELECT $1", Ok(&[Type::Integer])),
        ("SELECT $1 || $2", Ok(&[Type::Text, Type::Text])),
        ("SELECT $1 = $1", Ok(&[Type::Text])),
        ("VALUES (1), ($1)", Ok(&[Type::Integer])),
        ("SELECT price + 1 = $1 FROM t", Ok(&[Type::Numeric])),
        ("SELECT count(*) FROM t GROUP BY id HAVING count(*) > $1", Ok(&[Type::BigInt])),
        ("SELECT $2::integer", Err("42P18")),
        ("SELECT $1 IS NULL", Err("42P18")),
        ("SELECT $1::integer + 1, upper($1)", Err("42883")),
        ("SELECT $1 + 1, $1 || 'x'", Ok(&[Type::Integer])),
        ("SELECT $0", Err("42P02")),
        ("SELECT $65536", Err("42P02")),
    ];
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let found = connection.prepare(sql);
        let found =
            found.as_ref().map(|statement| statement.parameter_types()).map_err(|error| error.sqlstate());
        if found != expected {
            wrong.push(format!("{sql}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Two places that ask for different types before either is told.
    let error = connection.prepare("SELECT * FROM t WHERE ($1 = id) = ($1 = name)").unwrap_err();
    assert_eq!(error.sqlstate(), "42883");
    let error = connection.execute("SELECT 1 + $1").unwrap_err();
    assert_eq!((error.sqlstate(), error.to_string().as_str()), ("42P02", "there is no parameter $1"));
    assert_eq!(error.span().map(|span| span.start), Some(11));
}

/// Aim: a parameter says what its value would as a literal. Method: the same queries with one and with the other.
#[test]
fn values_mean_what_literals_mean() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let cases: [(&str, &[(&str, Value<'_>)]); 12] = [
        (
            "SELECT * FROM t WHERE id = $1",
            &[("2", Value::Integer(2)), ("'3'", Value::Text("3")), ("NULL", Value::Null)],
        ),
        ("SELECT id FROM t WHERE id > $1 AND id < 3", &[("0", Value::Integer(0)), ("1", Value::BigInt(1))]),
        ("SELECT id FROM t WHERE id BETWEEN $1 AND 2", &[("2", Value::Integer(2)), ("NULL", Value::Null)]),
        ("SELECT id FROM t WHERE id IN ($1, 3)", &[("1", Value::Integer(1)), ("NULL", Value::Null)]),
        (
            "SELECT id FROM t WHERE id IS NOT DISTINCT FROM $1",
            &[("1", Value::Integer(1)), ("NULL", Value::Null)],
        ),
        ("SELECT id FROM t WHERE price > $1", &[("2.499", Value::Text("2.499")), ("3", Value::Integer(3))]),
        (
            "SELECT id FROM t WHERE name LIKE $1",
            &[("'%o%'", Value::Text("%o%")), ("'t_o'", Value::Text("t_o"))],
        ),
        (
            "SELECT id FROM t ORDER BY id LIMIT $1",
            &[("2", Value::Integer(2)), ("NULL", Value::Null), ("0", Value::Integer(0))],
        ),
        ("SELECT day + $1::integer FROM t", &[("30", Value::Integer(30))]),
        (
            "SELECT coalesce(name, $1), $1 IS NULL FROM t",
            &[("'none'", Value::Text("none")), ("NULL::text", Value::Null)],
        ),
        ("SELECT a.id FROM t a JOIN t b ON a.id = b.id + $1", &[("1", Value::Integer(1))]),
        ("SELECT id, price * $1::numeric FROM t", &[("0.10", Value::Text("0.10"))]),
    ];
    for (sql, values) in cases {
        let mut statement = connection.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        for (literal, value) in values {
            let expected = connection.query(&sql.replace("$1", literal), body);
            let expected = expected.unwrap_or_else(|error| panic!("{sql} {literal}: {error}"));
            let found = statement.query([*value]).and_then(|mut rows| body(&mut rows));
            assert_eq!(
                found.unwrap_or_else(|error| panic!("{sql} {literal}: {error}")),
                expected,
                "{sql} {literal}"
            );
        }
    }
    let error = connection.prepare("SELECT 1 LIMIT $1").unwrap().execute([-1]).unwrap_err();
    assert_eq!(error.sqlstate(), "2201W");
}

#[test]
fn values_are_checked_before_a_run() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let mut statement =
        connection.prepare("SELECT id FROM t WHERE id = $1 AND day IS NOT DISTINCT FROM $2").unwrap();
    let mut fails = |params: &dyn Params| {
        let error = statement.query(params).unwrap_err();
        format!("{} {error}", error.sqlstate())
    };
    assert_eq!(fails(&[1]), "08P01 the statement has 2 parameters, 1 values are given");
    assert_eq!(fails(&(1i64 << 40, "2024-01-01")), "22003 parameter $1: integer out of range");
    assert!(fails(&(1, "2024-02-30")).starts_with("22008 parameter $2: "));
    assert_eq!(fails(&(true, "x")), "42804 parameter $1 is of type integer but the value is of type boolean");
    let day = Date::parse(b"2024-01-01").unwrap();
    assert_eq!(statement.execute((1i64, day)).unwrap(), 1);
    assert_eq!(statement.execute(params![2u8, None::<Date>]).unwrap(), 1);
}

/// Aim: changes with parameters, again and again; each run is a transaction of its own, or part of the open one.
#[test]
fn changes_run_again_and_again() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let mut insert =
        connection.prepare("INSERT INTO t (id, name, price) VALUES ($1, $2, $3), ($1 + 1, $2, 0)").unwrap();
    assert_eq!(insert.kind(), StatementKind::Change);
    for id in (10..1000).step_by(2) {
        assert_eq!(insert.execute((id, format!("row {id}"), "1.005")).unwrap(), 2);
    }
    let error = insert.execute((10, "again", 1)).unwrap_err();
    assert_eq!(error.sqlstate(), "23505");
    assert_eq!(insert.execute((1000, "after an error", 1)).unwrap(), 2);
    assert_eq!(
        answer(&connection, "SELECT count(*), min(price), max(price) FROM t WHERE id >= $1", [10]).unwrap(),
        "992|0.00|1.01\n"
    );
    let mut delete = connection.prepare("DELETE FROM t WHERE id >= $1").unwrap();
    connection.execute("BEGIN").unwrap();
    assert_eq!(delete.execute([500]).unwrap(), 502);
    assert_eq!(delete.execute([500]).unwrap(), 0);
    connection.execute("ROLLBACK").unwrap();
    assert_eq!(delete.execute([500]).unwrap(), 502);
    assert_eq!((insert.plans_count(), delete.plans_count()), (1, 1));
}

/// Aim: a plan is made again when definitions change, by whomever, and only then.
#[test]
fn plans_follow_definitions() {
    let directory = directory();
    let (connection, other) = (directory.database.connect().unwrap(), directory.database.connect().unwrap());
    let mut statement = connection.prepare("SELECT * FROM t WHERE id = $1").unwrap();
    let mut run = |columns: usize, plans: u64| {
        let mut rows = statement.query([1]).unwrap();
        assert_eq!(rows.columns().len(), columns);
        assert!(rows.next_row().unwrap().is_some());
        drop(rows);
        assert_eq!(statement.plans_count(), plans);
    };
    run(4, 1);
    other.execute("INSERT INTO t VALUES (4, 'four', 4, NULL)").unwrap();
    run(4, 1);
    other.execute("CREATE TABLE u (a integer)").unwrap();
    run(4, 2);
    other.execute("DROP TABLE t").unwrap();
    other.execute("CREATE TABLE t (id integer)").unwrap();
    other.execute("INSERT INTO t VALUES (1)").unwrap();
    run(1, 3);
    // Definitions in a transaction are seen by those in it, until it is rolled back.
    connection.execute("BEGIN").unwrap();
    connection.execute("DROP TABLE t").unwrap();
    connection.execute("CREATE TABLE t (id integer, b integer)").unwrap();
    connection.execute("INSERT INTO t VALUES (1, 2)").unwrap();
    run(2, 4);
    connection.execute("ROLLBACK").unwrap();
    run(1, 5);
    other.execute("DROP TABLE t").unwrap();
    assert_eq!(statement.query([1]).unwrap_err().sqlstate(), "42P01");
    other.execute("CREATE TABLE t (id integer)").unwrap();
    assert_eq!(statement.execute([1]).unwrap(), 0);
}

/// Aim: a failure of a run is over with the next run; in a transaction it ends that.
#[test]
fn failures_of_runs_are_over() {
    let connection = database(16 << 20).connect().unwrap();
    let mut divide = connection.prepare("SELECT 10 / $1").unwrap();
    let one = |row: cofferdam::Row<'_>| Ok(row.value(0).to_string());
    assert_eq!(divide.query_row([0], one).unwrap_err().sqlstate(), "22012");
    assert_eq!(divide.query_row([5], one).unwrap(), "2");
    connection.execute("BEGIN").unwrap();
    assert_eq!(divide.query_row([0], one).unwrap_err().sqlstate(), "22012");
    assert_eq!(divide.query_row([5], one).unwrap_err().sqlstate(), "25P02");
    let mut rollback = connection.prepare("ROLLBACK").unwrap();
    rollback.execute(()).unwrap();
    assert_eq!(divide.query_row([5], one).unwrap(), "2");
    let mut none = connection.prepare("SELECT 1 WHERE $1").unwrap();
    assert_eq!(none.query_row([false], one).unwrap_err().sqlstate(), "P0002");
}

/// Aim: what a run takes is given back but for a little, however many there are. Method: bytes after two runs and after hundreds.
#[test]
fn runs_do_not_add_up() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let sql = "SELECT name, count(*) FROM t WHERE id <> $1 AND name <> $2 GROUP BY name ORDER BY 2 DESC, 1 LIMIT $3";
    let mut statement = connection.prepare(sql).unwrap();
    let long = "x".repeat(20_000);
    let mut run = |text: &str| {
        assert_eq!(statement.execute((7, text, 5)).unwrap(), 2);
        statement.budget().walk().next().unwrap().used_bytes
    };
    run(&long);
    let before = run("short");
    for _ in 0..300 {
        run("short");
    }
    assert_eq!(run("short"), before);
    assert!(before < 64 << 10, "{before}");
}

/// Aim: a limit that a statement does not fit is an error of that statement, when it is planned and when it runs.
#[test]
fn running_out_is_the_statements_own() {
    let database = database(16 << 20);
    let connection = database.connect().unwrap();
    let mut statement = connection.prepare("SELECT $1 || 'x'").unwrap();
    let used = statement.budget().used();
    statement.budget().set_limit(used + (32 << 10));
    let error = statement.execute(["x".repeat(1 << 20)]).unwrap_err();
    assert_eq!(error.out_of_memory().unwrap().path(), "process/db/prepared/plan", "{error}");
    assert_eq!(statement.execute(["short"]).unwrap(), 1);
    drop(statement);
    database.budget().set_limit(64 << 10);
    let long = format!("SELECT {}$1", "1 + ".repeat(10_000));
    assert!(connection.prepare(&long).unwrap_err().out_of_memory().is_some());
    connection.prepare("SELECT $1").unwrap();
}

#[test]
fn explain_takes_parameters() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let plan = answer(&connection, "EXPLAIN (COSTS off) SELECT * FROM t WHERE name = $1", ["x"]).unwrap();
    assert_eq!(plan, "Seq Scan on t\n  Filter: (name = $1)\n");
    let sql = "EXPLAIN (COSTS off) SELECT * FROM t WHERE name = $wanted";
    let plan = answer(&connection, sql, cofferdam::named_params! { "wanted": "x" }).unwrap();
    assert_eq!(plan, "Seq Scan on t\n  Filter: (name = $wanted)\n");
}

/// Aim: a statement that is run and explained takes values as well, changes what it says, and may run again.
#[test]
fn explain_analyze_runs_with_values() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let options = "EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off)";
    let mut select = connection.prepare(&format!("{options} SELECT * FROM t WHERE id >= $1")).unwrap();
    assert_eq!(select.parameter_types(), [Type::Integer]);
    for (id, rows) in [(1, "rows=3"), (3, "rows=1"), (4, "rows=0")] {
        let text = body(&mut select.query([id]).unwrap()).unwrap();
        assert!(text.contains(rows), "{id}: {text}");
    }
    let mut delete = connection.prepare(&format!("{options} DELETE FROM t WHERE id = $1")).unwrap();
    delete.execute([2]).unwrap();
    assert_eq!(answer(&connection, "SELECT count(*) FROM t", ()).unwrap(), "2\n");
    assert_eq!(select.query(()).unwrap_err().sqlstate(), "08P01");
}

/// Aim: parameters have names in every kind of statement, and the errors say which.
#[test]
fn parameters_have_names() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let mut insert =
        connection.prepare("INSERT INTO t (id, name) VALUES ($id, $name), ($id + 1, $name)").unwrap();
    assert_eq!(insert.parameter_types(), [Type::Integer, Type::Text]);
    assert_eq!(insert.execute(named_params! { "$name": "named", "id": 50 }).unwrap(), 2);
    assert_eq!(insert.execute((60, "in order")).unwrap(), 2);
    let changed = "UPDATE t SET name = $name WHERE id BETWEEN $low AND $high";
    let values = named_params! { "low": 50, "high": 60, "name": None::<&str> };
    assert_eq!(connection.execute_with(changed, values).unwrap(), 3);
    let mut delete = connection.prepare("DELETE FROM t WHERE id = $id").unwrap();
    assert_eq!(delete.execute([("id", 51)]).unwrap(), 1);
    let fails = |sql: &str, params: &dyn Params| {
        let error = connection.execute_with(sql, params).unwrap_err();
        let hint = error.hint().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{} {error}{hint}", error.sqlstate())
    };
    let sql = "SELECT * FROM t WHERE id = $id AND name = $name";
    assert_eq!(fails(sql, &[("id", 1)]), "08P01 no value is given for the parameter $name");
    assert_eq!(
        fails(sql, &[("id", "x"), ("name", "y")]),
        "22P02 parameter $id: invalid input syntax for type integer: \"x\" (expected a digit at byte 0)"
    );
    assert_eq!(
        fails(sql, &named_params! { "id": true, "name": "y" }),
        "42804 parameter $id is of type integer but the value is of type boolean"
    );
    assert_eq!(
        fails("SELECT $1, $a", &()),
        "42601 parameters with numbers and with names cannot be mixed (write either $1 or $name for all of them)"
    );
    assert_eq!(
        fails("SELECT $x IS NULL", &()),
        "42P18 could not determine data type of parameter $x (write its type: $1::integer)"
    );
    assert_eq!(connection.execute("SELECT $x").unwrap_err().to_string(), "there is no parameter $x");
}

/// Aim: conditions that a row's key answers need not be tested, all others are. Method: rows by whole keys, beside the same
/// conditions on computations that no key is looked for by.
#[test]
fn rows_by_whole_keys_satisfy_every_condition() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    let run = |sql: &str| connection.execute(sql).unwrap();
    run("CREATE TABLE k (a integer, b numeric(10,2), c text, v text, PRIMARY KEY (a, b, c))");
    run(
        "INSERT INTO k VALUES (1, 1.00, 'x', 'one'), (1, 1.50, 'x', 'half'), (2, 1, 'y', NULL), (-1, 0, '', 'none')",
    );
    let mut found = 0;
    for condition in [
        "{a} = $1 AND {b} = $2 AND {c} = $3",
        "{a} = $1 AND {b} = $2 AND {c} = $3 AND {a} = 1",
        "{a} = $1 AND {a} = 2 AND {b} = $2 AND {c} = $3",
        "{a} = $1 AND {b} = $2 AND {c} = $3 AND v = 'one'",
        "{a} = $1 AND {b} = $2 AND {c} = $3 AND v IS NULL",
        "{a} = $1 AND {b} = $2 AND {c} = $3 AND {c} <> 'x'",
        "{a} IN ($1, 2) AND {b} = $2 AND {c} = $3",
        "$1 = {a} AND {b} = $2 AND {c} = $3 AND {b} > 0.5",
    ] {
        let text = |a: &str, b: &str, c: &str| {
            let condition = condition.replace("{a}", a).replace("{b}", b).replace("{c}", c);
            format!("SELECT v FROM k WHERE {condition}")
        };
        let (by_key, computed) = (text("a", "b", "c"), text("(a + 0)", "(b + 0)", "(c || '')"));
        for (a, b, c) in [(1, "1", "x"), (1, "1.5", "x"), (2, "1.00", "y"), (-1, "0", ""), (3, "1", "x")] {
            let params = || (a, Value::Text(b), c);
            let rows = answer(&connection, &by_key, params()).unwrap();
            assert_eq!(rows, answer(&connection, &computed, params()).unwrap(), "{by_key} of {a}, {b}, {c}");
            found += rows.lines().count();
        }
        let none: Option<i32> = None;
        assert_eq!(answer(&connection, &by_key, (none, Value::Text("1"), "x")).unwrap(), "");
    }
    assert!(found > 8, "{found}");
}

/// Aim: a row that is looked for by its key alone is that of a scan, whatever the types. Method: all types, NULLs and a long text; whole
/// rows and some columns in another order, by parameters and by constants; in memory, in a segment, in a transaction that has
/// just written them.
#[test]
fn rows_that_are_looked_for_are_those_of_scans() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    let run = |sql: &str| connection.execute(sql).unwrap();
    let create = |name: &str| {
        run(&format!(
            "CREATE TABLE {name} (b boolean, s smallint, d numeric(10,2), n numeric, r real, f double precision, name text, v varchar(5), c char(4), y bytea, day date, at time, ts timestamp, tz timestamptz, span interval, id integer, u uuid, j json, jb jsonb, ia integer[], ta text[], l bigint, PRIMARY KEY (name, id))"
        ))
    };
    create("small");
    run(
        "INSERT INTO small VALUES (true, 1, 4.5, 6.789, 0.1, 0.2, 'one', 'vary', 'ab', '\\x00ff', '2024-02-29', '12:34:56.789', '2024-02-29 12:34:56', '2024-02-29 12:34:56+02', '1 month 2 days 03:04:05', 1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\":  1}', '{\"b\": 1, \"a\": [2, 3]}', '{1,NULL,3}', '{a,\"b c\",NULL}', 3), \
         (false, -1, -4.5, 1e20, 'NaN', 'Infinity', 'one', '', 'ab  ', '', '0001-01-01 BC', '00:00', 'infinity', '-infinity', '-1 day', -2, '00000000-0000-0000-0000-000000000000', '[]', 'null', '{}', '{}', 1), \
         (NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL)",
    );
    run(
        "INSERT INTO small (name, id, v, ta) VALUES (repeat('n', 200), 7, 'long', array[repeat('t', 30000)])",
    );
    run("BEGIN");
    create("stored");
    run("INSERT INTO stored SELECT * FROM small");
    run("COMMIT");
    run("BEGIN");
    create("own");
    run("INSERT INTO own SELECT * FROM small");
    let long = "n".repeat(200);
    for table in ["small", "stored", "own"] {
        let mut found = 0;
        for (columns, end) in [
            ("*", ""),
            ("jb, id, ia, id AS again, d, u", "LIMIT 1"),
            ("name, ta", "LIMIT 2 OFFSET 0"),
            ("count(*)", ""),
            ("id", "LIMIT 0"),
            ("id", "OFFSET 1"),
            ("", ""),
            ("l + 1, f", ""),
        ] {
            let by_key = format!("SELECT {columns} FROM {table} WHERE name = $1 AND $2 = id {end}");
            let scanned =
                format!("SELECT {columns} FROM {table} WHERE name || '' = $1 AND id + 0 = $2 {end}");
            for (name, id) in [("one", 1), ("one", -2), ("", 0), (long.as_str(), 7), ("one", 7), ("two", 1)] {
                let rows = answer(&connection, &by_key, (name, id)).unwrap();
                assert_eq!(rows, answer(&connection, &scanned, (name, id)).unwrap(), "{by_key} {name} {id}");
                let written = by_key.replace("$1", &format!("'{name}'")).replace("$2", &id.to_string());
                assert_eq!(rows, answer(&connection, &written, ()).unwrap(), "{written}");
                found += rows.lines().count();
            }
            let none: Option<i32> = None;
            let rows = answer(&connection, &by_key, ("one", none)).unwrap();
            assert_eq!(rows, answer(&connection, &scanned, ("one", none)).unwrap(), "{by_key}");
        }
        assert!(found >= 22, "{table}: {found}");
    }
    run("ROLLBACK");
}

/// Aim: what a row takes that is looked for by its key is charged before it is taken, and a refusal names a limit that is enough.
#[test]
fn a_row_that_is_looked_for_and_does_not_fit_is_refused() {
    let directory = Directory::new(16 << 20);
    let connection = directory.database.connect().unwrap();
    connection.execute("CREATE TABLE t (id bigint PRIMARY KEY, s text)").unwrap();
    connection.execute("INSERT INTO t VALUES (1, repeat('x', 100000)), (2, 'short')").unwrap();
    let mut get = connection.prepare("SELECT s FROM t WHERE id = $1").unwrap();
    let length = |row: cofferdam::Row<'_>| Ok(row.get::<&str>(0)?.len());
    assert_eq!(get.query_row([1], length).unwrap(), 100_000);
    let limit = get.budget().used() + (64 << 10);
    get.budget().set_limit(limit);
    for _ in 0..3 {
        let refused = get.query_row([1], length).unwrap_err();
        let record = refused.out_of_memory().expect("a refusal");
        assert!(record.used_bytes() <= limit && record.limit_bytes() == limit, "{record:?}");
        assert_eq!(get.query_row([2], length).unwrap(), 5);
    }
    get.budget().set_limit(u64::MAX);
    assert_eq!(get.query_row([1], length).unwrap(), 100_000);
    for _ in 0..100 {
        get.query_row([1], length).unwrap();
        // A budget that is asked again and again has credit of up to 1 MiB.
        assert!(get.budget().used() < (1 << 20) + (64 << 10), "{}", get.budget().memory_tree());
    }
    drop(get);
    let mut first = connection.prepare("SELECT s FROM t WHERE id = $1").unwrap();
    let mut limit = first.budget().used();
    let enough = loop {
        first.budget().set_limit(limit);
        let refused = first.query_row([2], length).unwrap_err();
        // The values of parameters come first, of which nothing is known.
        match refused.out_of_memory().expect("a refusal").sufficient_bytes() {
            Some(enough) => break enough,
            None => limit += 1 << 10,
        }
    };
    first.budget().set_limit(enough);
    assert_eq!(first.query_row([2], length).unwrap(), 5);
    drop(first);
    let db = directory.database.budget();
    assert!(db.walk().all(|node| node.name.as_str() != "prepared"), "{}", db.memory_tree());
}

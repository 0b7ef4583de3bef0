//! The plan cache: which statements find their plans, when they do not, and that it gives way.

use cofferdam::{Connection, Database, Error, Options, PlanCacheCounts};

fn database() -> Database {
    let database = Database::open_in_memory(Options::new().memory_limit(16 << 20)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE t (id integer PRIMARY KEY, n integer); INSERT INTO t VALUES (1, 10), (2, 20)",
        )
        .unwrap();
    database
}

fn number(connection: &Connection, sql: &str) -> Result<i64, Error> {
    connection.query_row(sql, |row| row.get(0))
}

/// How many of the statements that `work` runs found their plans, and how many did not.
fn looked(database: &Database, work: impl FnOnce()) -> (u64, u64) {
    let before = database.plan_cache_counts();
    work();
    let PlanCacheCounts { hits_count, misses_count, .. } = database.plan_cache_counts();
    (hits_count - before.hits_count, misses_count - before.misses_count)
}

/// Aim: the third run of a text finds its plan, that of another connection too, and the answer is that of the tables as they are.
#[test]
fn texts_that_come_again_find_their_plans() {
    let database = database();
    let (connection, other) = (database.connect().unwrap(), database.connect().unwrap());
    let sql = "SELECT sum(n) FROM t WHERE id < 100";
    let found = looked(&database, || {
        for id in 3..8 {
            connection.execute(&format!("INSERT INTO t VALUES ({id}, 0)")).unwrap();
            assert_eq!(number(if id % 2 == 0 { &connection } else { &other }, sql).unwrap(), 30);
        }
    });
    // Each of the five INSERTs has a text of its own.
    assert_eq!(found, (3, 2 + 5));
    assert_eq!(database.plan_cache_counts().plans_count, 1);
    assert_eq!(connection.execute_with(sql, ()).unwrap(), 1);
    let changes = looked(&database, || {
        for _ in 0..4 {
            assert_eq!(connection.execute("UPDATE t SET n = n + 1 WHERE id = 1").unwrap(), 1);
        }
    });
    assert_eq!(changes, (2, 2));
    assert_eq!(number(&connection, "SELECT n FROM t WHERE id = 1").unwrap(), 14);
}

/// Aim: values for parameters are new each time, and a statement that takes none is told apart from one that does.
#[test]
fn plans_take_parameters() {
    let database = database();
    let connection = database.connect().unwrap();
    let sql = "SELECT n FROM t WHERE id = $id";
    for (id, n) in [(1, 10), (2, 20), (1, 10), (2, 20)] {
        assert_eq!(connection.query_row_with(sql, [("id", id)], |row| row.get::<i32>(0)).unwrap(), n);
        assert_eq!(connection.execute(sql).unwrap_err().sqlstate(), "42P02");
    }
    assert!(database.plan_cache_counts().hits_count >= 2);
}

/// Aim: whoever sees other definitions than the plan was made for does not find it: after a change, in the transaction that makes one, in one
/// that began before it, and with a file of the table's name.
#[test]
fn definitions_that_change_are_noticed() {
    let database = database();
    let (mut connection, other) = (database.connect().unwrap(), database.connect().unwrap());
    let sql = "SELECT count(*) FROM t";
    let run = |connection: &Connection| number(connection, sql);
    for _ in 0..3 {
        assert_eq!(run(&connection).unwrap(), 2);
    }
    other.execute("BEGIN").unwrap();
    assert_eq!(looked(&database, || assert_eq!(run(&other).unwrap(), 2)), (1, 0));
    connection.execute_batch("BEGIN; DROP TABLE t; CREATE TABLE t (a integer)").unwrap();
    // It sees its own table, and the others see theirs.
    assert_eq!(looked(&database, || assert_eq!(run(&connection).unwrap(), 0)), (0, 0));
    let third = database.connect().unwrap();
    for _ in 0..3 {
        assert_eq!(run(&third).unwrap(), 2);
    }
    connection.execute("COMMIT").unwrap();
    for _ in 0..3 {
        assert_eq!(run(&connection).unwrap(), 0);
        assert_eq!(run(&third).unwrap(), 0);
        assert_eq!(run(&other).unwrap(), 0, "definitions hold at once");
    }
    other.execute("COMMIT").unwrap();
    assert_eq!(looked(&database, || assert_eq!(run(&other).unwrap(), 0)), (1, 0));
    connection.execute("CREATE VIEW v AS SELECT 1 AS a").unwrap();
    for _ in 0..3 {
        assert_eq!(number(&connection, "SELECT a FROM v").unwrap(), 1);
    }
    other.execute("CREATE OR REPLACE VIEW v AS SELECT 2 AS a").unwrap();
    assert_eq!(number(&connection, "SELECT a FROM v").unwrap(), 2);
    let path = std::env::temp_dir().join(format!("cofferdam-plans-{}.csv", std::process::id()));
    std::fs::write(&path, "1\n2\n3\n").unwrap();
    connection.register_file("t", &path, None).unwrap();
    assert_eq!(looked(&database, || assert_eq!(run(&connection).unwrap(), 3)), (0, 0));
    std::fs::remove_file(&path).unwrap();
}

/// Aim: a plan for few rows is not that for many. Method: an index that pays for one row of many and not of two.
#[test]
fn plans_follow_the_rows() {
    let database = database();
    let connection = database.connect().unwrap();
    let sql = "SELECT n FROM t WHERE id = 1";
    for _ in 0..3 {
        assert_eq!(number(&connection, sql).unwrap(), 10);
    }
    let load = "INSERT INTO t SELECT i, i FROM generate_series(10, 2000) AS g(i)";
    assert_eq!(connection.execute(load).unwrap(), 1991);
    assert_eq!(looked(&database, || assert_eq!(number(&connection, sql).unwrap(), 10)), (0, 1));
}

/// Aim: what a statement may not do it may not do with a plan that is kept.
#[test]
fn kept_plans_are_refused_where_statements_are() {
    let database = database();
    let connection = database.connect().unwrap();
    let change = "DELETE FROM t WHERE id = 77";
    for _ in 0..3 {
        connection.execute(change).unwrap();
    }
    connection.execute("BEGIN READ ONLY").unwrap();
    assert_eq!(connection.execute(change).unwrap_err().sqlstate(), "25006");
    assert_eq!(connection.execute(change).unwrap_err().sqlstate(), "25P02");
    connection.execute("ROLLBACK").unwrap();
    assert_eq!(connection.execute(change).unwrap(), 0);
    // What is wrong with a statement is so each time.
    for _ in 0..4 {
        assert_eq!(connection.execute("SELECT nothing FROM t").unwrap_err().sqlstate(), "42703");
        assert_eq!(connection.execute("SELECT 1 / 0").unwrap_err().sqlstate(), "22012");
    }
}

/// Aim: a setting says how much there may be, and 0 is none.
#[test]
fn the_size_is_a_setting() {
    let database = database();
    let connection = database.connect().unwrap();
    let run = || {
        for n in 0..40 {
            let mut statement =
                connection.prepare_cached(&format!("SELECT n + {n} FROM t WHERE id = 1")).unwrap();
            assert_eq!(statement.query_row((), |row| row.get::<i64>(0)).unwrap(), 10 + n);
        }
        database.plan_cache_counts()
    };
    let all = run();
    assert_eq!(all.plans_count, 40);
    connection.execute("SET plan_cache_size = '64KiB'").unwrap();
    let some = run();
    assert!(some.plans_count > 0 && some.plans_count < 40 && some.bytes <= 64 << 10, "{some:?}");
    connection.execute("SET plan_cache_size = 0").unwrap();
    let none = run();
    assert!(none.plans_count == 0 && none.bytes <= 1 << 10, "{none:?}");
    assert_eq!(none.hits_count + none.misses_count, some.hits_count + some.misses_count);
    connection.execute("RESET plan_cache_size").unwrap();
    assert_eq!(run().plans_count, 40);
    let shown: String = connection.query_row("SHOW plan_cache_size", |row| row.get(0)).unwrap();
    assert_eq!(shown, "1.0 MiB");
}

/// Aim: plans give way to whoever needs the memory, and statements go on without them.
#[test]
fn plans_give_way() {
    let database = database();
    let connection = database.connect().unwrap();
    for n in 0..40 {
        connection.prepare_cached(&format!("SELECT n + {n} FROM t")).unwrap();
    }
    let before = database.plan_cache_counts();
    assert_eq!(before.plans_count, 40);
    let hog = database.budget().child("hog", u64::MAX).unwrap();
    let mut taken = 0;
    while hog.charge(4 << 10).is_ok() {
        taken += 4 << 10;
    }
    assert_eq!(database.plan_cache_counts().plans_count, 0);
    hog.release(taken);
    assert_eq!(number(&connection, "SELECT n + 1 FROM t WHERE id = 1").unwrap(), 11);
}

/// Aim: statements of many threads share plans without getting in each other's way.
#[test]
fn threads_share_plans() {
    let database = database();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let connection = database.connect().unwrap();
                for round in 0..50 {
                    let sql = ["SELECT sum(n) FROM t", "SELECT 30 + count(*) - 2 FROM t"][round % 2];
                    assert_eq!(number(&connection, sql).unwrap(), 30);
                }
            });
        }
    });
    let counts = database.plan_cache_counts();
    assert!(counts.plans_count <= 2 && counts.hits_count > 100, "{counts:?}");
}

/// Aim: without memory for a plan to keep a statement runs as it would without a cache, or fails for what it needs itself, and nothing is
/// lost. Method: limits from one that nothing fits to one that everything does; at the end the cache lets go of all it has.
#[test]
fn any_limit_does() {
    let process = Database::open_in_memory(Options::new()).unwrap();
    let mut hits = 0;
    for limit in (40..=1200).step_by(29) {
        let options = Options::new().memory_limit(limit << 10).parent(process.budget());
        let Ok(database) = Database::open_in_memory(options) else { continue };
        let Ok(connection) = database.connect() else { continue };
        let before = database.budget().used();
        for round in 0..12 {
            let sql = format!(
                "SELECT {}::bigint + count(*) FROM (VALUES (1), (2)) AS t(n) GROUP BY n > 9",
                round % 4
            );
            let outcome = match round % 2 {
                0 => number(&connection, &sql),
                _ => connection
                    .prepare_cached(&sql)
                    .and_then(|mut prepared| prepared.query_row((), |row| row.get::<i64>(0))),
            };
            match outcome {
                Ok(found) => assert_eq!(found, round % 4 + 2),
                Err(error) => assert!(error.out_of_memory().is_some(), "{limit}: {error}"),
            }
        }
        let counts = database.plan_cache_counts();
        hits += counts.hits_count;
        assert!(counts.bytes <= (limit << 10) / 32, "{limit}: {counts:?}");
        database.connect().unwrap().execute("SET plan_cache_size = 0").unwrap();
        assert!(
            database.budget().used() <= before + (2 << 10),
            "{limit}: {before}, {}",
            database.budget().used()
        );
    }
    assert!(hits > 0);
}

/// Aim: what is new in each run is so with a plan that is kept: the time, random numbers, and ranges of keys that depend on them.
#[test]
fn kept_plans_do_not_keep_values() {
    let database = database();
    let connection = database.connect().unwrap();
    connection.execute("CREATE TABLE log (at timestamptz PRIMARY KEY)").unwrap();
    let mut seen = Vec::new();
    for round in 1..=5 {
        connection.execute("INSERT INTO log VALUES (clock_timestamp())").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert_eq!(number(&connection, "SELECT count(*) FROM log WHERE at <= now()").unwrap(), round);
        assert_eq!(
            number(&connection, "SELECT count(*) FROM log WHERE at <= current_timestamp").unwrap(),
            round
        );
        for sql in ["SELECT now()::text", "SELECT random()::text", "SELECT gen_random_uuid()::text"] {
            seen.push(connection.query_row(sql, |row| row.get::<String>(0)).unwrap());
        }
    }
    let all = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((seen.len(), all), (15, 15));
    assert!(database.plan_cache_counts().hits_count >= 5 * 3);
}

/// Aim: what the cache did can be asked for in SQL.
#[test]
fn statements_tell_of_the_cache() {
    let database = database();
    let connection = database.connect().unwrap();
    for _ in 0..4 {
        assert_eq!(number(&connection, "SELECT count(*) FROM t").unwrap(), 2);
    }
    let told = connection.query_row("SELECT * FROM cofferdam_plan_cache()", |row| {
        Ok((row.get::<i64>("plans_count")?, row.get::<i64>("hits_count")?, row.get::<i64>("used_bytes")? > 0))
    });
    assert_eq!(told.unwrap(), (1, 2, true));
}

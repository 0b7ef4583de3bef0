//! Many rows into one table, one by one.

use cofferdam::{Connection, Decimal, Value, params};

use crate::support::{Directory, table};

fn directory(limit_bytes: u64) -> Directory {
    let directory = Directory::new(limit_bytes);
    let connection = directory.database.connect().unwrap();
    connection
        .execute(
            "CREATE TABLE t (id integer PRIMARY KEY, name varchar(10), price numeric(10,2) NOT NULL DEFAULT 7, \
             \"the day\" date)",
        )
        .unwrap();
    directory
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM t", |row| row.get(0)).unwrap()
}

/// Aim: rows are what `INSERT` would make of the same values, in whatever order and number they come. Method: the same rows both ways.
#[test]
fn rows_are_those_of_insert() {
    let directory = directory(16 << 20);
    let connection = directory.database.connect().unwrap();
    connection
        .execute("CREATE TABLE u (id integer PRIMARY KEY, name varchar(10), price numeric(10,2), d date)")
        .unwrap();
    let mut insert = connection.prepare("INSERT INTO u VALUES ($1, $2, $3, $4)").unwrap();
    let mut appender = connection.appender("t").unwrap();
    for n in (0..777).rev() {
        let id = n * 7919 % 777;
        let name = (id % 5 > 0).then(|| format!("n{id}"));
        let price = Decimal::new(i128::from(id) * 1005, 3).unwrap();
        let day = Value::Text("2024-02-29");
        let row = params![id, name, price, day];
        appender.append(row).unwrap();
        insert.execute(row).unwrap();
    }
    assert_eq!(appender.finish().unwrap(), 777);
    let all = |name: &str| connection.query(&format!("SELECT * FROM {name} ORDER BY 1"), table).unwrap();
    let (t, u) = (all("t"), all("u"));
    assert_eq!(t.lines().skip(1).collect::<Vec<_>>(), u.lines().skip(1).collect::<Vec<_>>());
    assert_eq!(t.lines().count(), 778);
}

#[test]
fn columns_that_are_not_named_have_their_defaults() {
    let directory = directory(16 << 20);
    let connection = directory.database.connect().unwrap();
    let mut appender = connection.appender_of("t", &["the day", "id"]).unwrap();
    appender.append(("2024-01-01", 1)).unwrap();
    appender.append((None::<&str>, 2i64)).unwrap();
    assert_eq!(appender.append([3]).unwrap_err().sqlstate(), "08P01");
    assert_eq!(appender.finish().unwrap(), 2);
    let rows = connection.query("SELECT * FROM t ORDER BY 1", table).unwrap();
    assert_eq!(rows.split_once('\n').unwrap().1, "1|NULL|7.00|2024-01-01\n2|NULL|7.00|NULL\n");
    assert_eq!(connection.appender("nothing").unwrap_err().sqlstate(), "42P01");
    assert_eq!(connection.appender_of("t", &["nothing"]).unwrap_err().sqlstate(), "42703");
    assert_eq!(connection.appender_of("t", &["id", "id"]).unwrap_err().sqlstate(), "42701");
    connection.execute("SELECT 1").unwrap();
}

/// Aim: all rows or none, unless the caller's transaction decides that.
#[test]
fn rows_are_there_as_a_whole() {
    let directory = directory(16 << 20);
    let (connection, other) = (directory.database.connect().unwrap(), directory.database.connect().unwrap());
    let mut appender = connection.appender_of("t", &["id"]).unwrap();
    for id in 0..1000 {
        appender.append([id]).unwrap();
    }
    appender.flush().unwrap();
    assert_eq!((count(&connection), count(&other)), (1000, 0));
    drop(appender);
    assert_eq!(count(&connection), 0);
    for bad in [Value::Text("x"), Value::Null, Value::Integer(5)] {
        let mut appender = connection.appender_of("t", &["id"]).unwrap();
        for id in 0..300 {
            appender.append([id]).unwrap();
        }
        let error = appender.append([bad]).and_then(|()| appender.flush()).unwrap_err();
        let expected = if bad.is_null() {
            "23502"
        } else if bad == Value::Integer(5) {
            "23505"
        } else {
            "22P02"
        };
        assert_eq!(error.sqlstate(), expected);
        assert_eq!(appender.append([301]).unwrap_err().sqlstate(), "25P02");
        assert_eq!(appender.finish().unwrap_err().sqlstate(), "25P02");
        assert_eq!(count(&connection), 0);
    }
    let transaction = connection.transaction().unwrap();
    let mut appender = transaction.appender_of("t", &["id"]).unwrap();
    appender.append([1]).unwrap();
    assert_eq!(appender.finish().unwrap(), 1);
    assert_eq!((count(&transaction), count(&other)), (1, 0));
    transaction.rollback().unwrap();
    assert_eq!(count(&connection), 0);
}

/// Aim: however many rows and however long, what the appender holds stays small, and a long one is given back; a row that does not fit is refused.
#[test]
fn memory_does_not_grow_with_rows() {
    let directory = Directory::new(2 << 20);
    let connection = directory.database.connect().unwrap();
    connection.execute("CREATE TABLE t (id integer, name text)").unwrap();
    let mut appender = connection.appender("t").unwrap();
    let mut most = 0;
    for id in 0..3000 {
        appender.append((id, "x".repeat(id % 400))).unwrap();
        most = most.max(appender.budget().used());
    }
    assert!(most > 0 && most <= 192 << 10, "{most}");
    appender.append((3000, "x".repeat(200_000))).unwrap();
    assert!(appender.budget().used() <= 192 << 10);
    let error = appender.append((3001, "x".repeat(8 << 20))).unwrap_err();
    assert_eq!(error.out_of_memory().unwrap().path(), "process/db/appender");
    appender.append((3002, "after that")).unwrap();
    assert_eq!(appender.finish().unwrap(), 3002);
    assert_eq!(count(&connection), 3002);
}

/// Aim: where the plan of a block does not fit, rows go one by one. Method: the limit rises from where nothing fits.
#[test]
fn little_memory_is_enough_for_rows_one_by_one() {
    let directory = Directory::new(2 << 20);
    let connection = directory.database.connect().unwrap();
    connection.execute("CREATE TABLE t (id integer, name text)").unwrap();
    let mut block_rows = Vec::new();
    let mut limit_bytes = directory.database.budget().used();
    while !block_rows.contains(&128) {
        directory.database.budget().set_limit(limit_bytes);
        match connection.appender("t") {
            Ok(appender) => {
                let shown = format!("{appender:?}");
                let rows = shown.split_once("block_rows: ").unwrap().1;
                block_rows.push(rows.split(',').next().unwrap().parse::<u32>().unwrap());
            }
            Err(error) => assert!(error.out_of_memory().is_some() && block_rows.is_empty(), "{error}"),
        }
        limit_bytes += 8 << 10;
    }
    assert_eq!(block_rows.first(), Some(&1), "{block_rows:?}");
    assert!(block_rows.is_sorted(), "{block_rows:?}");
    let rows = block_rows.iter().filter(|rows| **rows == 1).count() as u64;
    directory.database.budget().set_limit(limit_bytes - (8 << 10) * (rows / 4 + 1));
    let mut appender = connection.appender("t").unwrap();
    for id in 0..20 {
        appender.append((id, "little")).unwrap();
    }
    assert_eq!(appender.finish().unwrap(), 20);
}

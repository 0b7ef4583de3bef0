//! Transactions and savepoints as values, batches of statements, and what ends a statement before it is through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cofferdam::{Connection, Error, Remedy, Rows};

use crate::support::{Directory, database};

const ENDLESS: &str =
    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";

fn directory() -> Directory {
    let directory = Directory::new(16 << 20);
    directory.database.connect().unwrap().execute("CREATE TABLE t (n integer PRIMARY KEY)").unwrap();
    directory
}

fn numbers(connection: &Connection) -> String {
    let read = |rows: &mut Rows<'_>| {
        let mut text = String::new();
        while let Some(row) = rows.next_row()? {
            text = format!("{text} {}", row.get::<i32>("n")?);
        }
        Ok(text.trim_start().to_owned())
    };
    connection.query("SELECT n FROM t ORDER BY n", read).unwrap()
}

/// Aim: what is not committed is forgotten, whichever way the value goes; what is committed is seen by others, and only then.
#[test]
fn transactions_end_with_their_values() {
    let directory = directory();
    let (connection, other) = (directory.database.connect().unwrap(), directory.database.connect().unwrap());
    let mut insert = connection.prepare("INSERT INTO t VALUES ($1)").unwrap();
    {
        let transaction = connection.transaction().unwrap();
        insert.execute([1]).unwrap();
        assert_eq!((numbers(&transaction).as_str(), numbers(&other).as_str()), ("1", ""));
        assert_eq!(connection.transaction().unwrap_err().sqlstate(), "25001");
        assert_eq!(numbers(&transaction), "1", "the second one was none");
    }
    assert_eq!(numbers(&connection), "");
    let transaction = connection.transaction().unwrap();
    insert.execute([2]).unwrap();
    transaction.rollback().unwrap();
    let transaction = connection.transaction().unwrap();
    insert.execute([3]).unwrap();
    transaction.commit().unwrap();
    assert_eq!(numbers(&other), "3");
    let transaction = connection.read_transaction().unwrap();
    other.execute("INSERT INTO t VALUES (4)").unwrap();
    assert_eq!(numbers(&transaction), "3", "a snapshot");
    assert_eq!(insert.execute([5]).unwrap_err().sqlstate(), "25006");
    drop(transaction);
    assert_eq!(numbers(&connection), "3 4");
}

/// Aim: a commit of a transaction that has failed is an error and no commit; so is one that another transaction has overtaken.
#[test]
fn a_commit_that_cannot_be_is_an_error() {
    let directory = directory();
    let (connection, other) = (directory.database.connect().unwrap(), directory.database.connect().unwrap());
    let transaction = connection.transaction().unwrap();
    transaction.execute("INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(transaction.execute("SELECT 1 / 0").unwrap_err().sqlstate(), "22012");
    assert_eq!(transaction.commit().unwrap_err().sqlstate(), "25P02");
    assert_eq!(numbers(&connection), "");
    connection.execute("INSERT INTO t VALUES (1)").unwrap();
    let (first, second) = (connection.transaction().unwrap(), other.transaction().unwrap());
    first.execute("DELETE FROM t").unwrap();
    let late = second.execute("DELETE FROM t").and_then(|_| {
        first.commit()?;
        second.commit()
    });
    let late = late.unwrap_err();
    assert_eq!((late.sqlstate(), late.remedy()), ("40001", Remedy::Retry));
    assert_eq!(numbers(&other), "");
}

/// Aim: savepoints nest, go back alone, and are the way back from a failure.
#[test]
fn savepoints_go_back_to_where_they_began() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let insert = |connection: &Connection, n: i32| connection.execute_with("INSERT INTO t VALUES ($1)", [n]);
    let mut transaction = connection.transaction().unwrap();
    insert(&transaction, 1).unwrap();
    {
        let mut outer = transaction.savepoint().unwrap();
        insert(&outer, 2).unwrap();
        let inner = outer.savepoint().unwrap();
        insert(&inner, 3).unwrap();
        inner.rollback().unwrap();
        let inner = outer.savepoint().unwrap();
        insert(&inner, 4).unwrap();
        inner.release().unwrap();
        assert_eq!(numbers(&outer), "1 2 4");
        outer.release().unwrap();
    }
    {
        let savepoint = transaction.savepoint().unwrap();
        insert(&savepoint, 5).unwrap();
        assert_eq!(insert(&savepoint, 1).unwrap_err().sqlstate(), "23505");
        assert_eq!(insert(&savepoint, 6).unwrap_err().sqlstate(), "25P02");
        assert_eq!(savepoint.release().unwrap_err().sqlstate(), "25P02");
    }
    {
        let dropped = transaction.savepoint().unwrap();
        insert(&dropped, 7).unwrap();
    }
    insert(&transaction, 8).unwrap();
    transaction.commit().unwrap();
    assert_eq!(numbers(&connection), "1 2 4 8");
}

#[test]
fn a_batch_ends_at_its_first_failure() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let sql = "INSERT INTO t VALUES (1); -- one;\n INSERT INTO t VALUES (2); SELECT nothing FROM t; INSERT INTO t VALUES (3)";
    let error = connection.execute_batch(sql).unwrap_err();
    let span = error.span().unwrap();
    assert_eq!((error.sqlstate(), &sql[span.start as usize..][..span.len as usize]), ("42703", "nothing"));
    assert_eq!(numbers(&connection), "1 2");
    connection.execute_batch("BEGIN; DELETE FROM t; ROLLBACK;;  ").unwrap();
    assert_eq!(numbers(&connection), "1 2");
}

/// Aim: a statement that runs longer than it may ends with an error that says so, be it a query, a change or a plan that is kept.
#[test]
fn statements_end_at_their_time_limit() {
    let directory = directory();
    let connection = directory.database.connect().unwrap();
    let series = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT n FROM s";
    let few = series.replace(" FROM s)", " FROM s WHERE n < 100)");
    let mut endless = connection.prepare(ENDLESS).unwrap();
    connection.set_statement_timeout(Some(Duration::from_millis(10)));
    assert_eq!(connection.statement_timeout(), Some(Duration::from_millis(10)));
    let late = |error: Error| {
        assert_eq!(error.to_string(), "canceling statement due to statement timeout");
        assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry));
    };
    late(connection.execute(ENDLESS).unwrap_err());
    late(endless.execute(()).unwrap_err());
    late(connection.execute(&format!("INSERT INTO t {series}")).unwrap_err());
    connection.set_statement_timeout(Some(Duration::from_secs(3600)));
    assert_eq!(numbers(&connection), "");
    assert_eq!(connection.execute(&format!("INSERT INTO t {few}")).unwrap(), 100);
}

/// Aim: a handle cancels from another thread, what the statement took is given back, and the next one runs.
#[test]
fn another_thread_cancels() {
    let database = database(16 << 20);
    let connection = database.connect().unwrap();
    let before = database.budget().walk().next().unwrap().used_bytes;
    let started = Arc::new(AtomicU64::new(0));
    let asked = Arc::clone(&started);
    connection.set_progress_handler(Some(Arc::new(move || {
        asked.fetch_add(1, Ordering::Relaxed);
        false
    })));
    let canceller = connection.canceller();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while started.load(Ordering::Relaxed) < 3 {
                std::thread::yield_now();
            }
            canceller.cancel();
        });
        let outcome = connection.execute(ENDLESS);
        started.store(3, Ordering::Relaxed);
        outcome.unwrap_err()
    });
    assert_eq!(
        (error.sqlstate(), error.to_string().as_str()),
        ("57014", "canceling statement due to user request")
    );
    assert_eq!(database.budget().walk().next().unwrap().used_bytes, before);
    connection.execute("SELECT 1").unwrap();
}

/// Aim: a handler is asked while a statement runs, may end it, and one that panics is the statement's defect alone.
#[test]
fn a_handler_may_end_a_statement() {
    let connection = database(16 << 20).connect().unwrap();
    connection.set_progress_handler(Some(Arc::new(|| true)));
    let error = connection.execute(ENDLESS).unwrap_err();
    assert_eq!(
        (error.sqlstate(), error.to_string().as_str()),
        ("57014", "canceling statement due to user request")
    );
    connection.set_progress_handler(Some(Arc::new(|| panic!("the handler's own"))));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let error = connection.execute(ENDLESS).unwrap_err();
    std::panic::set_hook(hook);
    assert_eq!((error.sqlstate(), error.remedy()), ("XX000", Remedy::Report));
    connection.set_progress_handler(None);
    connection.execute("SELECT 1").unwrap();
}

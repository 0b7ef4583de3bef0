//! Statements that end before they are through: by another thread, by a time limit, and by what the program itself finds out meanwhile.
//! Nothing of them is left, and the connection goes on.
//!
//! `cargo run --example deadlines`
#![allow(clippy::disallowed_types, clippy::result_large_err)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cofferdam::{Database, Error, Options, Remedy};

/// Counts for ever.
const ENDLESS: &str =
    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";

fn assert_ended(outcome: Result<u64, Error>) {
    let error = outcome.expect_err("it never ends by itself");
    println!("{error}");
    assert_eq!((error.sqlstate(), error.remedy()), ("57014", Remedy::Retry));
}

/// Runs the example.
///
/// # Errors
/// Whatever goes wrong that should not.
pub(crate) fn main() -> Result<(), Error> {
    let database = Database::open_in_memory(Options::new().memory_limit(16 << 20))?;
    let connection = database.connect()?;

    // Another thread has a handle, and uses it when the statement runs.
    let is_running = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_running);
    connection.set_progress_handler(Some(Arc::new(move || {
        seen.store(true, Ordering::Relaxed);
        false
    })));
    let canceller = connection.canceller();
    let waiting = std::thread::spawn(move || {
        while !is_running.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        canceller.cancel();
    });
    assert_ended(connection.execute(ENDLESS));
    waiting.join().expect("the thread has nothing to panic about");

    // A limit for each statement.
    connection.set_progress_handler(None);
    connection.set_statement_timeout(Some(Duration::from_millis(20)));
    assert_ended(connection.execute(ENDLESS));
    connection.set_statement_timeout(None);

    // A deadline for several statements: whatever the program knows can end one.
    let (deadline, asked) = (Instant::now() + Duration::from_millis(20), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&asked);
    connection.set_progress_handler(Some(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Instant::now() >= deadline
    })));
    connection.execute("SELECT 1")?;
    assert_ended(connection.execute(ENDLESS));
    connection.set_progress_handler(None);
    println!("the handler was asked {} times", asked.load(Ordering::Relaxed));
    assert!(asked.load(Ordering::Relaxed) > 1);

    // Nothing below the database's budget holds anything for them.
    assert!(database.budget().walk().all(|node| node.name.as_str() != "statement"));
    let answer: i64 = connection.query_row("SELECT 42", |row| row.get(0))?;
    assert_eq!(answer, 42);
    Ok(())
}

//! A device with 4 MiB for its database: readings are appended, summed up and thinned out, and what was committed is there when the power
//! comes back.
//!
//! `cargo run --example edge`
#![allow(clippy::disallowed_types, clippy::result_large_err)]

use std::path::PathBuf;

use cofferdam::{Connection, Database, Error, Options, params};

const LIMIT_BYTES: u64 = 4 << 20;
const MINUTES: i32 = 1440;

/// A folder that goes with the example.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Nothing is left to be done where it cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a sensor reads in a minute.
fn reading(sensor: i32, minute: i32) -> f64 {
    20.0 + f64::from(sensor) + f64::from(minute % 60) / 10.0
}

fn record(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch(
        "CREATE TABLE readings (sensor integer, minute integer, celsius double precision, PRIMARY KEY (sensor, minute));
         CREATE TABLE hours (sensor integer, hour integer, highest double precision, PRIMARY KEY (sensor, hour));",
    )?;
    // A transaction for each sensor: what the appender does when there is none.
    for sensor in 0..3 {
        let mut readings = connection.appender("readings")?;
        for minute in 0..MINUTES {
            readings.append((sensor, minute, reading(sensor, minute)))?;
        }
        readings.finish()?;
    }
    Ok(())
}

/// Puts the highest reading of each hour in the place of those before noon.
fn thin_out(connection: &Connection) -> Result<u64, Error> {
    let transaction = connection.transaction()?;
    let noon = MINUTES / 2;
    transaction.execute_with(
        "INSERT INTO hours SELECT sensor, minute / 60, max(celsius) FROM readings WHERE minute < $1 GROUP BY 1, 2",
        [noon],
    )?;
    let removed = transaction.execute_with("DELETE FROM readings WHERE minute < $1", [noon])?;
    transaction.commit()?;
    Ok(removed)
}

/// Runs the example.
///
/// # Errors
/// Whatever goes wrong that should not.
pub(crate) fn main() -> Result<(), Error> {
    let folder = Folder(std::env::temp_dir().join(format!("cofferdam-edge-{}", std::process::id())));
    let options = Options::new().memory_limit(LIMIT_BYTES).without_worker();
    {
        let database = Database::open(&folder.0, options.clone())?;
        let connection = database.connect()?;
        record(&connection)?;
        assert_eq!(thin_out(&connection)?, 3 * MINUTES as u64 / 2);
        println!("{}", database.memory());
        assert!(database.budget().peak() <= LIMIT_BYTES);
    }

    // With a half of the memory the same answers, and one plan for as many of them as one likes.
    let database = Database::open(&folder.0, options.memory_limit(LIMIT_BYTES / 2))?;
    let connection = database.connect()?;
    let mut highest = connection.prepare("SELECT highest FROM hours WHERE sensor = $1 AND hour = $2")?;
    for (sensor, hour) in [(0, 0), (1, 5), (2, 11)] {
        let celsius: f64 = highest.query_row(params![sensor, hour], |row| row.get(0))?;
        assert_eq!(celsius, reading(sensor, 59));
    }
    assert_eq!(highest.plans_count(), 1);
    let left: i64 = connection.query_row("SELECT count(*) FROM readings", |row| row.get(0))?;
    assert_eq!(left, 3 * i64::from(MINUTES) / 2);
    println!("{left} readings are left; at most {} bytes were taken", database.budget().peak());
    Ok(())
}

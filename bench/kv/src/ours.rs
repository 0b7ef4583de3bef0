//! Cofferdam, in a directory, under 64 MiB.

use crate::{Engine, Outcome, value_of};
use cofferdam::{Connection, Database, Options, Prepared};
use std::path::Path;

/// A connection; the database is held by it.
pub struct Ours(Connection);

const GET: &str = "SELECT value FROM rows WHERE key = $1";

fn get_each(prepared: &mut Prepared<'_>, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
    let mut bytes = 0;
    for key in keys {
        bytes += prepared.query_row([key as i64], |row| Ok(row.get::<&str>(0)?.len() as u64))?;
    }
    Ok(bytes)
}

impl Engine for Ours {
    fn open(dir: &Path) -> Outcome<Ours> {
        // Statements that are not prepared are planned each time, as SQLite's are.
        let options = Options::new().memory_limit(64 << 20).plan_cache_size(0);
        let database = Database::open(dir.join("database"), options)?;
        let connection = database.connect()?;
        connection
            .execute("CREATE TABLE IF NOT EXISTS rows (key bigint PRIMARY KEY, value text NOT NULL)")?;
        Ok(Ours(connection))
    }

    fn load(&self, count: u64) -> Outcome<()> {
        let mut appender = self.0.appender("rows")?;
        for key in 0..count {
            appender.append((key as i64, value_of(key).as_str()))?;
        }
        appender.finish()?;
        Ok(())
    }

    fn get_prepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        get_each(&mut self.0.prepare(GET)?, keys)
    }

    fn get_in_transaction(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let transaction = self.0.read_transaction()?;
        let bytes = get_each(&mut self.0.prepare(GET)?, keys)?;
        transaction.commit()?;
        Ok(bytes)
    }

    fn get_unprepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let mut bytes = 0;
        for key in keys {
            let sql = format!("SELECT value FROM rows WHERE key = {key}");
            bytes += self.0.query_row(&sql, |row| Ok(row.get::<&str>(0)?.len() as u64))?;
        }
        Ok(bytes)
    }

    fn insert_durable(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<()> {
        let mut insert = self.0.prepare("INSERT INTO rows VALUES ($1, $2)")?;
        for key in keys {
            insert.execute((key as i64, value_of(key).as_str()))?;
        }
        Ok(())
    }
}

//! SQLite, as rusqlite bundles it, with a cache of 64 MiB.

use crate::{Engine, Outcome, value_of};
use rusqlite::{Connection, Statement};
use std::path::Path;

/// A connection.
pub struct Sqlite(Connection);

const GET: &str = "SELECT value FROM rows WHERE key = ?1";
const INSERT: &str = "INSERT INTO rows VALUES (?1, ?2)";

fn get_each(prepared: &mut Statement<'_>, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
    let mut bytes = 0;
    for key in keys {
        bytes += prepared.query_row([key as i64], |row| Ok(row.get_ref(0)?.as_str()?.len() as u64))?;
    }
    Ok(bytes)
}

impl Engine for Sqlite {
    fn open(dir: &Path) -> Outcome<Sqlite> {
        let connection = Connection::open(dir.join("rows.sqlite"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA cache_size = -65536;
             CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, value TEXT NOT NULL)",
        )?;
        Ok(Sqlite(connection))
    }

    fn load(&self, count: u64) -> Outcome<()> {
        let transaction = self.0.unchecked_transaction()?;
        let mut insert = transaction.prepare(INSERT)?;
        for key in 0..count {
            insert.execute((key as i64, value_of(key)))?;
        }
        drop(insert);
        Ok(transaction.commit()?)
    }

    fn get_prepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        get_each(&mut self.0.prepare(GET)?, keys)
    }

    fn get_in_transaction(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let transaction = self.0.unchecked_transaction()?;
        let bytes = get_each(&mut transaction.prepare(GET)?, keys)?;
        transaction.commit()?;
        Ok(bytes)
    }

    fn get_unprepared(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<u64> {
        let mut bytes = 0;
        for key in keys {
            let sql = format!("SELECT value FROM rows WHERE key = {key}");
            bytes += self.0.query_row(&sql, (), |row| Ok(row.get_ref(0)?.as_str()?.len() as u64))?;
        }
        Ok(bytes)
    }

    fn insert_durable(&self, keys: &mut dyn Iterator<Item = u64>) -> Outcome<()> {
        let mut insert = self.0.prepare(INSERT)?;
        for key in keys {
            insert.execute((key as i64, value_of(key)))?;
        }
        Ok(())
    }
}

//! SQLite, as rusqlite bundles it.
//!
//! A rowid table, so that the key is the B-tree's own; a write-ahead log with `synchronous = FULL`; nothing mapped.
//! A load is one transaction of a prepared statement, which was cheaper than several. Only for that, the journal is one
//! for rollback: pages of an empty table need no copy in it, so everything is written once, and is as durable.
//! Committers share a connection behind a lock: with a connection each, the losers of a race would sleep and try again.

use crate::cell::Outcome;
use crate::kv::{KvEngine, Order, Row, missing};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// A connection.
pub struct Sqlite(Mutex<Connection>);

const INSERT: &str = "INSERT INTO rows (key, value) VALUES (?1, ?2)";
const GET: &str = "SELECT value FROM rows WHERE key = ?1";

impl Sqlite {
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl KvEngine for Sqlite {
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Sqlite> {
        let connection = Connection::open(dir.join("rows.sqlite"))?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 0; PRAGMA cache_size = -{};
             CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, value TEXT NOT NULL)",
            cache_bytes >> 10
        ))?;
        Ok(Sqlite(Mutex::new(connection)))
    }

    fn load(&self, rows: &[Row], _order: Order) -> Outcome<()> {
        let mut connection = self.connection();
        connection.execute_batch("PRAGMA journal_mode = DELETE")?;
        let transaction = connection.transaction()?;
        let mut insert = transaction.prepare(INSERT)?;
        for row in rows {
            insert.execute((row.key as i64, row.text()))?;
        }
        drop(insert);
        transaction.commit()?;
        Ok(connection.execute_batch("PRAGMA journal_mode = WAL")?)
    }

    fn settle(&self) -> Outcome<()> {
        Ok(self.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?)
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        self.connection().prepare_cached(INSERT)?.execute((row.key as i64, row.text()))?;
        Ok(())
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let mut get = transaction.prepare(GET)?;
        for key in keys {
            let found = get
                .query_row([key as i64], |row| {
                    seen(row.get_ref(0)?.as_bytes()?);
                    Ok(())
                })
                .optional()?;
            if found.is_none() {
                return missing(key);
            }
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        let connection = self.0.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(connection.close().map_err(|(_, error)| error)?)
    }
}

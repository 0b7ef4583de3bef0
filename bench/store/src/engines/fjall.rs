//! fjall: an LSM tree.
//!
//! In order, a load is an ingestion, which fjall advises for sorted rows: it writes tables and no journal. At random, rows
//! are inserted one by one into a journal that is not flushed each time, and synced at the end; batches of 1,000 were no
//! cheaper. A commit is an insert and a sync of the journal's data; fjall has no group commit.

use crate::cell::Outcome;
use crate::kv::{KvEngine, Order, Row, missing};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use std::path::Path;

/// A database and its one keyspace.
pub struct Fjall {
    database: Database,
    rows: Keyspace,
}

impl KvEngine for Fjall {
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Fjall> {
        let database = Database::builder(dir.join("rows.fjall"))
            .cache_size(cache_bytes as u64)
            .manual_journal_persist(true)
            .open()?;
        let rows =
            database.keyspace("rows", || KeyspaceCreateOptions::default().manual_journal_persist(true))?;
        Ok(Fjall { database, rows })
    }

    fn load(&self, rows: &[Row], order: Order) -> Outcome<()> {
        if order == Order::Ascending {
            let mut ingestion = self.rows.start_ingestion()?;
            for row in rows {
                ingestion.write(row.key.to_be_bytes(), row.value.as_slice())?;
            }
            return Ok(ingestion.finish()?);
        }
        for row in rows {
            self.rows.insert(row.key.to_be_bytes(), row.value.as_slice())?;
        }
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn settle(&self) -> Outcome<()> {
        self.rows.rotate_memtable_and_wait()?;
        Ok(self.rows.major_compact()?)
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        self.rows.insert(row.key.to_be_bytes(), row.value.as_slice())?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        for key in keys {
            match self.rows.get(key.to_be_bytes())? {
                Some(value) => seen(&value),
                None => return missing(key),
            }
        }
        Ok(())
    }

    /// The last handle syncs and stops the threads.
    fn close(self) -> Outcome<()> {
        Ok(())
    }
}

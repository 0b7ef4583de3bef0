//! redb: a copy-on-write B-tree.
//!
//! A load is one transaction, which was cheaper than several; a commit is a write transaction of its own, with the default durability `Immediate`, one
//! phase. Write transactions wait for each other; redb has no group commit.

use crate::cell::Outcome;
use crate::kv::{KvEngine, Order, Row, missing};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;

const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("rows");

/// A database.
pub struct Redb(Database);

impl KvEngine for Redb {
    fn open(dir: &Path, cache_bytes: usize) -> Outcome<Redb> {
        let mut builder = Database::builder();
        Ok(Redb(builder.set_cache_size(cache_bytes).create(dir.join("rows.redb"))?))
    }

    fn load(&self, rows: &[Row], _order: Order) -> Outcome<()> {
        let transaction = self.0.begin_write()?;
        let mut table = transaction.open_table(ROWS)?;
        for row in rows {
            table.insert(row.key, row.value.as_slice())?;
        }
        drop(table);
        Ok(transaction.commit()?)
    }

    /// There is nothing behind the scenes, and `compact` would only shorten the file.
    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn commit(&self, row: &Row) -> Outcome<()> {
        let transaction = self.0.begin_write()?;
        transaction.open_table(ROWS)?.insert(row.key, row.value.as_slice())?;
        Ok(transaction.commit()?)
    }

    fn get_each(&self, keys: impl Iterator<Item = u64>, mut seen: impl FnMut(&[u8])) -> Outcome<()> {
        let table = self.0.begin_read()?.open_table(ROWS)?;
        for key in keys {
            match table.get(key)? {
                Some(value) => seen(value.value()),
                None => return missing(key),
            }
        }
        Ok(())
    }

    fn close(self) -> Outcome<()> {
        Ok(self.0.close()?)
    }
}

//! The store of a database: that of its directory, or one in memory that the first statement opens that changes tables.
//!
//! In memory the files of a store are files of memory, charged to `tables` below the database's budget: segments, as on a disk, and logs
//! that have a length and no bytes, since nobody will ever read them (`vfs/src/memory.rs`). So a commit takes what its rows take in
//! the memtable and nothing more, and cannot fail half way; a flush that finds no memory is the error of the statement that needs the room,
//! and what was committed is there. Segments take at most a half of the limit, so that statements have the other one. A cache of such
//! files would be memory for memory: it is small.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cofferdam_arena::Budget;
use cofferdam_store::{FileId, FileKind, MINIMUM_BYTES, Store, Worker};
use cofferdam_vfs::{MemoryVfs, Vfs};

use crate::error::Error;

/// What segments in memory may take of the limit: a share of so many.
const TABLES_SHARE: u64 = 2;
/// What the cache of files in memory may take: a share of so many of the limit.
const CACHE_SHARE: u64 = 64;

/// The store of a database, as soon as there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoreSlot(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    store: OnceLock<Store>,
    opening: Mutex<()>,
    /// In memory: what pays for segments.
    tables: OnceLock<Budget>,
}

impl StoreSlot {
    /// A store that is there.
    pub(crate) fn of(store: Store) -> StoreSlot {
        StoreSlot(Arc::new(Slot { store: OnceLock::from(store), ..Slot::default() }))
    }

    /// The store, if there is one by now.
    pub(crate) fn get(&self) -> Option<&Store> {
        self.0.store.get()
    }

    /// The store, which is opened in memory where there is none. A worker that databases share flushes it, if there is one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn open(&self, db: &Budget, worker: Option<&Arc<Worker>>) -> Result<&Store, Error> {
        if let Some(store) = self.get() {
            return Ok(store);
        }
        let _turn = self.0.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.get() {
            return Ok(store);
        }
        let (store, tables) = in_memory(db)?;
        if let Some(worker) = worker {
            // Where there is no room to note it, it is as if there were none.
            let _ = store.attach(worker);
        }
        self.0.tables.get_or_init(|| tables);
        Ok(self.0.store.get_or_init(|| store))
    }

    /// Lets segments in memory take half as much again for a while. A table is dropped behind a flush of what is in the memtable: where
    /// nothing else gives memory back, this does.
    pub(crate) fn reserve<'d>(&'d self, db: &'d Budget) -> Reserve<'d> {
        if let Some(tables) = self.0.tables.get() {
            tables.set_limit(tables_bytes(db) / 2 * 3);
        }
        Reserve { slot: self, db }
    }

    /// Lets segments in memory follow a limit that has changed.
    pub(crate) fn fit(&self, db: &Budget) {
        if let Some(tables) = self.0.tables.get() {
            tables.set_limit(tables_bytes(db));
        }
    }
}

/// While it lives, segments in memory may take what is set aside for giving memory back.
#[derive(Debug)]
pub(crate) struct Reserve<'d> {
    slot: &'d StoreSlot,
    db: &'d Budget,
}

impl Drop for Reserve<'_> {
    fn drop(&mut self) {
        self.slot.fit(self.db);
    }
}

/// What segments in memory may take.
fn tables_bytes(db: &Budget) -> u64 {
    db.limit_on_path() / TABLES_SHARE
}

/// An empty store whose files are memory, and the budget that pays for these.
fn in_memory(db: &Budget) -> Result<(Store, Budget), Error> {
    let refused = |_| Error::refused(db);
    if db.limit_on_path() < MINIMUM_BYTES {
        // Refused, which leaves the record of who has the limit.
        db.charge(MINIMUM_BYTES).map_err(refused)?;
        db.release(MINIMUM_BYTES);
    }
    let tables = db.child("tables", tables_bytes(db)).map_err(refused)?;
    let files = MemoryVfs::new(&tables);
    let vfs: Arc<dyn Vfs> = Arc::new(files.clone());
    let limit = db.limit_on_path();
    let options =
        cofferdam_store::Options::new().sized_for(limit, limit / 4).cache_bytes(limit / CACHE_SHARE);
    let path = Path::new("/");
    let store = Store::open(&vfs, path, db, &options).map_err(|error| Error::from_open(error, path, db))?;
    files.forget(is_log);
    Ok((store, tables))
}

/// Whether a file is read by those alone who open the database.
fn is_log(name: &str) -> bool {
    FileId::parse(name).is_some_and(|id| match id.kind {
        FileKind::Lock | FileKind::Segments => false,
        FileKind::Root | FileKind::Manifest | FileKind::Wal | FileKind::Temporary => true,
    })
}

/// Sizes of a store for what others leave of the limit, a half of which is for statements. Where others take much just now, an
/// eighth of the limit all the same. The cache gives way to everybody and may have three eighths: of its pieces, what does not fill
/// pages of the system stays with the process for a while when others take their memory, so it is not all.
pub(crate) fn sizes(db: &Budget) -> cofferdam_store::Options {
    let limit = db.limit_on_path();
    let left = db.available().clamp(limit / 8, limit);
    cofferdam_store::Options::new().sized_for(left, left / 2).cache_bytes(left / 8 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_while_a_database_is_open_is_kept() {
        for (name, is_forgotten) in [
            (FileId::LOCK, false),
            (FileId::ROOT, true),
            (FileId::new(FileKind::Segments, 7), false),
            (FileId::new(FileKind::Wal, 7), true),
            (FileId::new(FileKind::Manifest, 7), true),
        ] {
            assert_eq!(is_log(&name.to_string()), is_forgotten, "{name}");
        }
        assert!(!is_log("other"));
    }

    #[test]
    fn a_limit_that_is_too_small_is_told() {
        let process = Budget::root("process", 1 << 20).unwrap();
        let db = process.child("db", MINIMUM_BYTES - 1).unwrap();
        let slot = StoreSlot::default();
        let error = slot.open(&db, None).unwrap_err();
        let record = error.out_of_memory().expect("memory ran out");
        assert!(record.needed_bytes() > 0 && slot.get().is_none());
        db.set_limit(1 << 20);
        assert!(slot.open(&db, None).is_ok() && slot.get().is_some());
        drop(slot);
        assert_eq!(db.used(), 0);
    }
}

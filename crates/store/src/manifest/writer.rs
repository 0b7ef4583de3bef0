//! Edits, snapshots and the switch from one manifest to the next.

use cofferdam_arena::Budget;

use super::item::{Counters, Grammar, ITEM_BYTES_MAX, Item, PROPERTIES_PIECE_BYTES, Properties, Table};
use super::replay::{Place, replay};
use super::root::Root;
use super::{Column, EDIT, FORMAT, SNAPSHOT};
use crate::directory::{Access, Directory};
use crate::error::{Error, InputKind, InputProblem};
use crate::files::{FileId, FileKind};
use crate::log::writer::BUFFER_BYTES_MIN;
use crate::log::{HEADER_BYTES, Header, LogCounters, LogWriter};
use crate::schema::{ColumnType, KeyColumn, TableId};

/// A new manifest is wanted where the edits have so many times the bytes of the snapshot …
const EDITS_PER_SNAPSHOT: u64 = 2;
/// … and this many.
const EDITS_BYTES_MIN: u64 = 32 << 10;

/// A column of a new table.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDefinition<'d> {
    /// Its name.
    pub name: &'d str,
    /// Its type.
    pub ty: ColumnType,
}

/// A new table or index.
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition<'d> {
    /// Its number, which no table has had.
    pub id: TableId,
    /// The table that it is an index of.
    pub parent: Option<TableId>,
    /// Whether its key is unique beyond what makes rows of an index differ.
    pub is_unique: bool,
    /// Its name.
    pub name: &'d str,
    /// Its columns.
    pub columns: &'d [ColumnDefinition<'d>],
    /// Its key, most significant column first.
    pub key: &'d [KeyColumn],
    /// Opaque bytes.
    pub properties: &'d [u8],
}

/// An edit or a snapshot that is being written.
#[derive(Debug)]
pub struct Edit<'w> {
    log: &'w mut LogWriter,
    grammar: Grammar,
    items_count: u64,
}

impl Edit<'_> {
    /// Appends an item.
    ///
    /// # Errors
    /// [`Error::Input`] for an item that cannot be, or not here; [`Error::Io`], [`Error::Poisoned`].
    pub fn put(&mut self, item: &Item<'_>) -> Result<(), Error> {
        self.grammar.accept(item).map_err(|_| refused(item))?;
        let encoded = item.encode();
        debug_assert!(encoded.bytes_count() <= ITEM_BYTES_MAX);
        self.log.keep_together(encoded.bytes_count())?;
        self.log.put(encoded.head())?;
        self.log.put(encoded.tail)?;
        self.items_count += 1;
        Ok(())
    }

    /// Appends a new table.
    ///
    /// # Errors
    /// As [`Edit::put`].
    pub fn create_table(&mut self, definition: &TableDefinition<'_>) -> Result<(), Error> {
        let TableDefinition { id, parent, is_unique, name, columns, key, properties } = *definition;
        // Too many for their type are too many for a table.
        let columns_count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
        let key_count = u16::try_from(key.len()).unwrap_or(u16::MAX);
        let outcome = (|| {
            self.put(&Item::Table(Table { id, parent, is_unique, columns_count, key_count, name }))?;
            columns.iter().try_for_each(|column| {
                self.put(&Item::Column(Column { ty: column.ty, name: column.name }))
            })?;
            key.iter().try_for_each(|key| self.put(&Item::KeyColumn(*key)))
        })();
        outcome.map_err(|error| match error {
            Error::Input(problem) => Error::Input(InputProblem { table: id, ..problem }),
            _ => error,
        })?;
        if properties.is_empty() { Ok(()) } else { self.set_properties(id, properties) }
    }

    /// Gives a table, or the database ([`DATABASE`](super::DATABASE)), other properties.
    ///
    /// # Errors
    /// As [`Edit::put`].
    pub fn set_properties(&mut self, table: TableId, properties: &[u8]) -> Result<(), Error> {
        let mut pieces = properties.chunks(PROPERTIES_PIECE_BYTES);
        let bytes = pieces.next().unwrap_or(&[]);
        self.put(&Item::Properties(Properties { table, is_first: true, bytes }))?;
        pieces.try_for_each(|bytes| self.put(&Item::Properties(Properties { table, is_first: false, bytes })))
    }
}

fn refused(item: &Item<'_>) -> Error {
    let table = match item {
        Item::Table(Table { id: table, .. })
        | Item::Properties(Properties { table, .. })
        | Item::DropTable(table)
        | Item::RemoveSegment { table, .. } => *table,
        Item::AddSegment(segment) => segment.table,
        Item::Counters(_) | Item::Column(_) | Item::KeyColumn(_) => TableId(0),
    };
    Error::Input(InputProblem { table, column: None, kind: InputKind::Definition })
}

/// What writes an edit's items.
type Fill<'f> = dyn FnMut(&mut Edit<'_>) -> Result<(), Error> + 'f;

/// Appends edits to the manifest that holds, and switches to the next one.
///
/// Memory: 8 KiB of its budget for the log's buffer and 1 KiB for the file, twice that while it switches.
#[derive(Debug)]
pub struct ManifestWriter {
    log: LogWriter,
    root: Root,
    counters: Counters,
    edit: u64,
    snapshot_bytes: u64,
    budget: Budget,
    is_poisoned: bool,
}

/// Makes the manifest of a new database, with nothing in it, durable but for its name.
pub(crate) fn create(
    directory: &Directory,
    number: u64,
    database: u64,
    budget: &Budget,
) -> Result<(), Error> {
    write_snapshot(directory, number, database, 1, &Counters::FIRST, budget, &mut |_| Ok(())).map(drop)
}

/// Makes a manifest with a snapshot, durable but for its name when it returns.
pub(crate) fn write_snapshot(
    directory: &Directory,
    number: u64,
    database: u64,
    edit: u64,
    counters: &Counters,
    budget: &Budget,
    fill: &mut Fill<'_>,
) -> Result<LogWriter, Error> {
    let salt = directory.vfs().random_u64();
    let header = Header { number, database, salt, previous: 0, previous_bytes: 0, writer_features: 0 };
    let mut log = LogWriter::create(directory, &FORMAT, header, 0, BUFFER_BYTES_MIN, budget)?;
    append(&mut log, SNAPSHOT, edit, counters, fill)?;
    log.sync()?;
    log.mark()?;
    Ok(log)
}

/// Appends a record, or nothing.
fn append(
    log: &mut LogWriter,
    record: u8,
    edit: u64,
    counters: &Counters,
    fill: &mut Fill<'_>,
) -> Result<(), Error> {
    log.begin(record, edit)?;
    let mut items = Edit { log, grammar: Grammar::new(), items_count: 0 };
    let outcome = items.put(&Item::Counters(*counters)).and_then(|()| fill(&mut items)).and_then(|()| {
        match items.grammar.is_complete() {
            true => items.log.end(items.items_count, edit),
            false => Err(refused(&Item::Counters(*counters))),
        }
    });
    if outcome.is_err() {
        log.abort();
    }
    outcome
}

impl ManifestWriter {
    /// Gives all items of the manifest that holds to `visit`, as [`replay`] does, and goes on behind them: a torn tail
    /// is cut, other manifests are removed (M4).
    ///
    /// # Errors
    /// As [`replay`].
    pub fn open(
        directory: &Directory,
        root: Root,
        budget: &Budget,
        visit: &mut dyn FnMut(&Item<'_>, Place) -> Result<(), Error>,
    ) -> Result<ManifestWriter, Error> {
        assert!(directory.access() != Access::Read, "a reader writes no edits");
        let replayed = replay(directory, &root, budget, visit)?;
        if has_others(directory, root.manifest)? {
            // A switch was interrupted: the slot that was read may be in the system's cache only.
            root.write(directory, budget)?;
            remove_others(directory, root.manifest)?;
        }
        let log = LogWriter::resume(directory, &FORMAT, &replayed.summary, BUFFER_BYTES_MIN, budget)?;
        let (counters, edit, snapshot_bytes) = (replayed.counters, replayed.edit, replayed.snapshot_bytes);
        Ok(ManifestWriter {
            log,
            root,
            counters,
            edit,
            snapshot_bytes,
            budget: budget.clone(),
            is_poisoned: false,
        })
    }

    /// Where the database stands, by the last edit.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Which manifest holds.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// What was written to the manifest that holds, since it was opened or made.
    pub fn log_counters(&self) -> LogCounters {
        self.log.counters()
    }

    /// Appends an edit and makes it durable. Tables and properties are better written by [`ManifestWriter::commit_with`].
    ///
    /// # Errors
    /// As [`ManifestWriter::commit_with`].
    pub fn commit(&mut self, counters: &Counters, items: &[Item<'_>]) -> Result<(), Error> {
        self.commit_with(counters, &mut |edit| items.iter().try_for_each(|item| edit.put(item)))
    }

    /// Appends the edit that `fill` writes, and makes it durable.
    ///
    /// # Errors
    /// [`Error::Input`] and those of `fill`: nothing has changed. [`Error::Io`]: it is not known whether the edit will be there after
    /// the next open, and everything later is [`Error::Poisoned`].
    ///
    /// # Panics
    /// The counters go back.
    pub fn commit_with(&mut self, counters: &Counters, fill: &mut Fill<'_>) -> Result<(), Error> {
        self.is_usable()?;
        assert!(counters.follows(&self.counters), "manifest M1");
        append(&mut self.log, EDIT, self.edit + 1, counters, fill)?;
        self.log.sync().inspect_err(|_| self.is_poisoned = true)?;
        (self.edit, self.counters) = (self.edit + 1, *counters);
        // The edit is durable, whatever becomes of its witness.
        self.is_poisoned |= self.log.mark().is_err();
        Ok(())
    }

    fn is_usable(&self) -> Result<(), Error> {
        if self.is_poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Whether the edits have outgrown the snapshot, so that the next manifest should begin.
    pub fn wants_rotation(&self) -> bool {
        let edits_bytes = self.log.bytes().saturating_sub(self.snapshot_bytes);
        edits_bytes > EDITS_BYTES_MIN.max(EDITS_PER_SNAPSHOT * self.snapshot_bytes)
    }

    /// Begins the manifest `number`, with the snapshot that `fill` writes, and removes the one before.
    ///
    /// # Errors
    /// Those of `fill`, [`Error::Input`], [`Error::OutOfMemory`], and [`Error::Io`] while the new file is written: the old one goes on.
    /// [`Error::Io`] from the switch on: it is not known which one holds (they say the same), and everything later is
    /// [`Error::Poisoned`].
    ///
    /// # Panics
    /// The counters go back, or leave `number` to another file.
    pub fn rotate(
        &mut self,
        directory: &Directory,
        number: u64,
        counters: &Counters,
        fill: &mut Fill<'_>,
    ) -> Result<(), Error> {
        self.is_usable()?;
        assert!(counters.follows(&self.counters) && counters.next_file > number, "manifest M1");
        assert!(number > self.root.manifest, "numbers go up");
        let (database, edit) = (self.root.database, self.edit + 1);
        let log = write_snapshot(directory, number, database, edit, counters, &self.budget, fill)
            .inspect_err(|_| {
                // Nobody names it: what is left of it goes with the next open, if not now.
                _ = directory.remove(FileId::new(FileKind::Manifest, number));
            })?;
        let outcome = self.root.switch(directory, number, &self.budget).and_then(|root| {
            remove_others(directory, number)?;
            Ok(root)
        });
        self.root = match outcome {
            Ok(root) => root,
            Err(Error::OutOfMemory(error)) => {
                _ = directory.remove(FileId::new(FileKind::Manifest, number));
                return Err(Error::OutOfMemory(error));
            }
            Err(error) => {
                self.is_poisoned = true;
                return Err(error);
            }
        };
        (self.snapshot_bytes, self.log) = (log.bytes().max(HEADER_BYTES), log);
        (self.edit, self.counters) = (edit, *counters);
        Ok(())
    }
}

fn has_others(directory: &Directory, number: u64) -> Result<bool, Error> {
    let mut has_others = false;
    directory.list(&mut |id| {
        has_others |= id.kind == FileKind::Manifest && id.number != number;
        Ok(())
    })?;
    Ok(has_others)
}

/// Removes all manifests but one, durably.
fn remove_others(directory: &Directory, number: u64) -> Result<(), Error> {
    directory.remove_all(&|id| id.kind == FileKind::Manifest && id.number != number).map(drop)
}

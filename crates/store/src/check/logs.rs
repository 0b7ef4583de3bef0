//! The logs: every record, and the keys and rows of what has committed.

use core::cell::Cell;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Arena, BudgetAlloc, collections};
use cofferdam_types::key::decode_key;
use cofferdam_types::row::decode_row;
use cofferdam_vfs::OpenMode;

use super::{Check, Problem, RemainsKind, key_text};
use crate::catalog::Catalog;
use crate::encode::{self, Bytes};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::log::HEADER_BYTES;
use crate::schema::DECODED_KEY_BYTES_MAX;
use crate::table::Table;
use crate::wal::{self, Change, Entry, Event};

/// What is known of the logs.
pub(super) struct Logs {
    /// How many entries each table has in them, by its place in the catalog.
    pub(super) entries: Vec<u64, BudgetAlloc>,
    /// Whether all of them can be read.
    pub(super) are_whole: bool,
}

/// The bytes of all logs that are needed.
pub(super) fn bytes(catalog: &Catalog) -> Result<u64, Error> {
    let mut bytes = 0;
    catalog.for_each_log(&mut |id| {
        // One that cannot be opened is told of later.
        let file = catalog.directory.open_file(id, OpenMode::Read, &catalog.budget);
        bytes += file.and_then(|file| file.bytes()).unwrap_or(0);
        Ok(())
    })?;
    Ok(bytes)
}

impl Check<'_> {
    /// Reads all logs.
    pub(super) fn logs(&mut self, catalog: &Catalog) -> Result<Logs, Error> {
        let mut entries = Vec::new_in(BudgetAlloc::new(&self.budget));
        entries.try_reserve_exact(catalog.tables.len())?;
        entries.resize(catalog.tables.len(), 0);
        let mut logs = Logs { entries, are_whole: true };
        let problems_before = self.checked.problems_count;
        let outcome = self.replay(catalog, &mut logs);
        match outcome {
            Err(error) => {
                let damaged = match &error {
                    Error::Corrupt(problem) => problem.file.number,
                    Error::Unsupported(problem) => problem.file.number,
                    Error::Io(problem) => problem.file.map_or(0, |file| file.number),
                    _ => return Err(error),
                };
                self.or_tell::<()>(None, Err(error))?;
                self.logs_behind(catalog, damaged)?;
            }
            Ok(()) => {
                let outcome = self.unmade(catalog);
                self.or_tell(None, outcome)?;
            }
        }
        logs.are_whole = self.checked.problems_count == problems_before;
        self.meter.advance(bytes(catalog)?)?;
        Ok(logs)
    }

    fn replay(&mut self, catalog: &Catalog, logs: &mut Logs) -> Result<(), Error> {
        let (oldest, root, budget) = (catalog.counters().oldest_wal, &catalog.root, self.budget.clone());
        let number = Cell::new(0);
        let mut rows = EntryCheck::new(&BudgetAlloc::new(&budget), Arena::new(&budget));
        let begin = |log| number.set(log);
        let recovered = wal::recover_each(
            &catalog.directory,
            root,
            oldest,
            0,
            &budget,
            &begin,
            &mut |event| match event {
                Event::Entry(entry) => {
                    let log = FileId::new(FileKind::Wal, number.get());
                    self.entry(catalog, log, entry, &mut rows, logs)
                }
                Event::Commit { .. } => {
                    self.checked.transactions_count += 1;
                    self.meter.check()
                }
            },
        )?;
        if let Some(tail) = recovered.tail.filter(|_| recovered.torn_bytes > 0) {
            let file = FileId::new(FileKind::Wal, tail.number());
            self.remains(file, tail.bytes(), RemainsKind::TornTail(recovered.torn_bytes))?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        catalog: &Catalog,
        log: FileId,
        entry: &Entry<'_>,
        rows: &mut EntryCheck,
        logs: &mut Logs,
    ) -> Result<(), Error> {
        if entry.table.0 >= catalog.counters().next_table {
            let what = "an entry of a table whose number was not given yet";
            return self.problem(&Problem::new(Some(log), None, what));
        }
        // Of tables that were dropped later, logs may still have entries.
        let Some(place) = catalog.place_of(entry.table) else { return Ok(()) };
        let (table, count) = (&catalog.tables[place], &mut logs.entries[place]);
        *count += 1;
        match rows.fault_of(entry, table)? {
            Some(what) => self.problem(&Problem {
                key: key_text(&table.schema(), entry.key),
                ..Problem::new(Some(log), Some(table), what)
            }),
            None => Ok(()),
        }
    }

    /// The logs that follow one that cannot be read, each by itself.
    fn logs_behind(&mut self, catalog: &Catalog, damaged: u64) -> Result<(), Error> {
        catalog.for_each_log(&mut |id| {
            if id.number <= damaged {
                return Ok(());
            }
            let outcome =
                wal::replay_alone(&catalog.directory, &catalog.root, id.number, &catalog.budget, &mut |_| {
                    Ok(())
                });
            self.or_tell(None, outcome).map(drop)
        })
    }

    /// Logs whose making was interrupted, or that look like it.
    fn unmade(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let (directory, budget) = (&catalog.directory, &catalog.budget);
        catalog.for_each_log(&mut |id| {
            let file = directory.open_file(id, OpenMode::Read, budget)?;
            let is_unmade = file.bytes()? <= HEADER_BYTES
                && wal::replay_alone(directory, &catalog.root, id.number, budget, &mut |_| Ok(()))?.is_none();
            if is_unmade { self.remains(id, 0, RemainsKind::Orphan) } else { Ok(()) }
        })
    }
}

/// Looks at entries of logs.
///
/// **Memory.** A key, and 40 bytes a column.
pub(super) struct EntryCheck {
    key: Bytes,
    arena: Arena,
}

impl EntryCheck {
    pub(super) fn new(alloc: &BudgetAlloc, arena: Arena) -> EntryCheck {
        EntryCheck { key: Bytes::new_in(alloc.clone()), arena }
    }

    /// What is wrong with the key or the row of an entry.
    ///
    /// # Errors
    /// The budget refuses.
    pub(super) fn fault_of(
        &mut self,
        entry: &Entry<'_>,
        table: &Table,
    ) -> Result<Option<&'static str>, Error> {
        let outcome = self.look(entry, table);
        self.arena.reset();
        outcome
    }

    fn look(&mut self, entry: &Entry<'_>, table: &Table) -> Result<Option<&'static str>, Error> {
        if entry.change == Change::Delete {
            return Ok((!is_key(entry.key, table)).then_some("the key of an entry is none of its table"));
        }
        let columns = table.schema().columns;
        let mut values = collections::Vec::with_capacity_in(columns.len(), &self.arena)?;
        let mut rest = entry.row;
        for column in columns {
            let Ok((value, used)) = decode_row(rest, column.ty) else {
                return Ok(Some("the row of an entry is none of its table"));
            };
            values.push(value)?;
            rest = rest.get(used..).unwrap_or(&[]);
        }
        let own = values.get(..columns.len() - usize::from(table.has_row_id())).unwrap_or(&[]);
        if !rest.is_empty() || table.check(own).is_err() {
            return Ok(Some("the row of an entry is none of its table"));
        }
        self.key.clear();
        match encode::put_key(table.id(), &table.schema(), &values, &mut self.key) {
            Ok(()) if self.key[..] == *entry.key => Ok(None),
            Err(error @ Error::OutOfMemory(_)) => Err(error),
            _ => Ok(Some("the key of an entry is not that of its row")),
        }
    }
}

/// Whether bytes are a key of a table.
fn is_key(key: &[u8], table: &Table) -> bool {
    let (schema, mut rest, mut room) = (table.schema(), key, [0; DECODED_KEY_BYTES_MAX]);
    for part in schema.key {
        let ty = schema.columns.get(usize::from(part.column)).map(|column| column.ty);
        let decoded = ty.and_then(|ty| decode_key(rest, ty, part.order, &mut room).ok());
        let Some((_, used)) = decoded else { return false };
        rest = rest.get(used..).unwrap_or(&[]);
    }
    rest.is_empty()
}

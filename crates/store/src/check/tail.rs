//! The entries of one table that are only in the logs, sorted, in slices that fit the memory there is.
//!
//! ```text
//!   logs      d=1 a=1 x=1 b=1 d=2 | a=2 c=1 …
//!   slice 1   a=2 b=1                 [‥c)      full: of each key the newest is kept, then the lower half of the keys
//!   slice 2   c=1 d=2 x=1             [c‥
//! ```
//!
//! The logs are read once for each slice.

use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc};

use super::logs::EntryCheck;
use crate::catalog::Catalog;
use crate::encode::{self, Bytes, EncodedRange};
use crate::error::Error;
use crate::memtable::{self, EntryKind, Memtable, Memtables};
use crate::table::Table;
use crate::wal::{self, Change, Entry, Event};

/// What a slice may take, at least and at most.
const SLICE_BYTES_MIN: u64 = 16 << 10;
const SLICE_BYTES_MAX: u64 = 16 << 20;

/// A slice after the other of a table's entries.
///
/// **Memory.** A quarter of the limit, and half as much again while a full slice is cut.
pub(super) struct Tail<'t> {
    catalog: &'t Catalog,
    table: &'t Table,
    memtables: Memtables,
    slice_bytes: u64,
    /// What is in the slice: the keys from the first on and before the second.
    range: EncodedRange,
    budget: Budget,
}

impl<'t> Tail<'t> {
    /// Before the first slice.
    ///
    /// # Errors
    /// The budget refuses.
    pub(super) fn new(catalog: &'t Catalog, table: &'t Table, budget: &Budget) -> Result<Tail<'t>, Error> {
        let nothing = || Bytes::new_in(BudgetAlloc::new(budget));
        Ok(Tail {
            catalog,
            table,
            memtables: Memtables::new(budget, 0)?,
            slice_bytes: (budget.limit_on_path() / 4).clamp(SLICE_BYTES_MIN, SLICE_BYTES_MAX),
            range: EncodedRange { from: nothing(), to: Some(nothing()) },
            budget: budget.clone(),
        })
    }

    /// Reads the next slice, and gives it to `visit` with its range; false where there was none left.
    ///
    /// # Errors
    /// Those of the logs and of `visit`; the budget refuses.
    pub(super) fn next(
        &mut self,
        visit: &mut dyn FnMut(&EncodedRange, Memtable<'_>) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let Some(from) = self.range.to.take() else { return Ok(false) };
        self.range.from = from;
        self.fill()?;
        {
            let pins = self.memtables.pin().expect("one reader");
            visit(&self.range, pins.active())?;
        }
        self.memtables.swap().expect("the other side is empty");
        self.empty();
        Ok(true)
    }

    fn empty(&self) {
        self.memtables.mark_flushed().expect("it is sealed");
        self.memtables.reset_sealed(0).expect("nobody reads it");
    }

    fn fill(&mut self) -> Result<(), Error> {
        let (catalog, budget) = (self.catalog, self.budget.clone());
        let mut check = EntryCheck::new(&BudgetAlloc::new(&budget), Arena::new(&budget));
        let oldest = catalog.counters().oldest_wal;
        wal::recover(&catalog.directory, &catalog.root, oldest, 0, &budget, &mut |event| match event {
            Event::Entry(entry) if entry.table == self.table.id() && self.has(entry.key) => {
                match check.fault_of(entry, self.table)? {
                    // It was told of, and no reader could make anything of it.
                    Some(_) => Ok(()),
                    None => self.put(entry),
                }
            }
            _ => Ok(()),
        })?;
        Ok(())
    }

    fn has(&self, key: &[u8]) -> bool {
        key >= &self.range.from[..] && !self.range.is_behind(key)
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let kind = match entry.change {
            Change::Put => EntryKind::Put,
            Change::Delete => EntryKind::Delete,
        };
        if self.is_full() || self.insert(entry, kind).is_err() {
            self.cut()?;
            if self.has(entry.key) {
                self.insert(entry, kind)?;
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.used_bytes() > self.slice_bytes
    }

    fn used_bytes(&self) -> u64 {
        let pins = self.memtables.pin().expect("one reader");
        pins.active().figures().used_bytes
    }

    fn insert(&self, entry: &Entry<'_>, kind: EntryKind) -> Result<(), AllocError> {
        let writer = self.memtables.writer().expect("one writer");
        writer.insert(entry.table, entry.key, entry.sequence, kind, entry.row)
    }

    /// Keeps the newest versions, as many as fit half of what a slice may take, and ends the slice there.
    fn cut(&mut self) -> Result<(), Error> {
        self.memtables.swap().expect("the other side is empty");
        let end = self.keep_half();
        self.empty();
        if let Some(end) = end? {
            self.range.to = Some(end);
        }
        Ok(())
    }

    /// Copies what is kept of the sealed side to the other one, and gives the first key that was not.
    fn keep_half(&self) -> Result<Option<Bytes>, Error> {
        let pins = self.memtables.pin().expect("one reader");
        let Some(sealed) = pins.sealed() else { return Ok(None) };
        let writer = self.memtables.writer().expect("one writer");
        let mut cursor = sealed.cursor();
        cursor.seek_first();
        let mut last: Option<&[u8]> = None;
        while let Some(memtable::Entry { table, key, sequence, kind, row }) = cursor.entry() {
            cursor.next();
            if last == Some(key) {
                continue;
            }
            let is_over = last.is_some() && writer.read().figures().used_bytes > self.slice_bytes / 2;
            let outcome =
                if is_over { Err(AllocError) } else { writer.insert(table, key, sequence, kind, row) };
            match outcome {
                Ok(()) => last = Some(key),
                // Without one key there is no slice.
                Err(error) if last.is_none() => return Err(error.into()),
                Err(_) => {
                    let mut end = Bytes::new_in(BudgetAlloc::new(&self.budget));
                    encode::put(&mut end, key)?;
                    return Ok(Some(end));
                }
            }
        }
        Ok(None)
    }
}

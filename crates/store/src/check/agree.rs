//! Whether what is in several places is the same: tables and their indexes, versions of rows and the levels that they stand in.
//!
//! **A table and an index** are compared without sorting or looking up rows, in memory that does not depend on them: each row is
//! hashed as the index should have it, and added to one of 512 *cells* by its hash; each entry of the index is taken away again.
//! Where the two are the same all cells are empty. A cell with one row too many has that row's hash in it, so a second look at
//! both tells which rows these are:
//!
//! ```text
//!   table      + h(a) + h(b) + h(c)           cell 17:  count  1   sum h(b)     -> the row b has no entry
//!   index      - h(a) - h(c) - h(d)           cell 302: count -1   sum h(d)     -> the entry d has no row
//! ```
//!
//! Cells in which several differ say only that they do; the rows of the others are told, and what is left is told as one.
//! A hash has 64 bits, so differences that are taken for none are as rare as that.
//!
//! # Source
//! Eppstein, Goodrich, Uyeda, Varghese: What's the difference? Efficient set reconciliation without prior context
//! (SIGCOMM 2011), with one hash function, since the second look makes up for what one table of cells leaves open.

use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Arena, Budget, BudgetAlloc};
use cofferdam_types::key::encode_key;

use super::logs::Logs;
use super::rows::{Seen, Versions};
use super::segments::{AreWhole, open};
use super::tail::Tail;
use super::{Check, Problem, key_text};
use crate::cache::Cache;
use crate::catalog::{Catalog, Listed};
use crate::conflict::unique_prefix_bytes;
use crate::encode::{self, Bytes, EncodedRange, KeyRange};
use crate::error::Error;
use crate::flush::BUFFERS;
use crate::memtable::Memtable;
use crate::progress::{Meter, Share};
use crate::segment::hash_key;
use crate::table::Table;
use crate::version::{Segment, sort_segments};

/// Cells of a comparison.
const CELLS: usize = 512;
/// Rows that are told of one by one.
const ROWS_TOLD_MAX: usize = 64;
/// So many rows pass between two looks at who watches.
const ROWS_PER_LOOK: u64 = 256;
/// What the cache of a scan may take.
const CACHE_BYTES_MAX: u64 = 4 << 20;

/// What differs between the rows whose hashes lead to a cell.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// Rows less entries.
    count: i64,
    /// Their hashes, added and taken away.
    sum: u64,
}

/// Which of the two a row is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Table,
    Index,
}

/// What differs between two sets of rows.
struct Difference {
    cells: Vec<Cell, BudgetAlloc>,
}

/// Rows that only one side has, by their hashes.
struct Odd {
    hashes: [(u64, Option<Side>); ROWS_TOLD_MAX],
    count: usize,
    /// There is more that is not known by its hash.
    has_more: bool,
}

impl Difference {
    fn new(alloc: &BudgetAlloc) -> Result<Difference, Error> {
        let mut cells = Vec::new_in(alloc.clone());
        cells.try_reserve_exact(CELLS)?;
        cells.resize(CELLS, Cell::default());
        Ok(Difference { cells })
    }

    fn add(&mut self, hash: u64, side: Side) {
        let Some(cell) = self.cells.get_mut(hash as usize % CELLS) else { return };
        match side {
            Side::Table => (cell.count, cell.sum) = (cell.count + 1, cell.sum.wrapping_add(hash)),
            Side::Index => (cell.count, cell.sum) = (cell.count - 1, cell.sum.wrapping_sub(hash)),
        }
    }

    /// The rows of cells in which one is odd; `None` where nothing differs.
    fn odd(&self) -> Option<Odd> {
        let mut odd = Odd { hashes: [(0, None); ROWS_TOLD_MAX], count: 0, has_more: false };
        let mut is_same = true;
        for (place, cell) in self.cells.iter().enumerate() {
            let (hash, side) = match cell {
                Cell { count: 0, sum: 0 } => continue,
                Cell { count: 1, sum } => (*sum, Side::Table),
                Cell { count: -1, sum } => (sum.wrapping_neg(), Side::Index),
                _ => (0, Side::Table),
            };
            is_same = false;
            let is_one = cell.count.abs() == 1 && hash as usize % CELLS == place;
            match odd.hashes.get_mut(odd.count).filter(|_| is_one) {
                Some(slot) => (*slot, odd.count) = ((hash, Some(side)), odd.count + 1),
                None => odd.has_more = true,
            }
        }
        (!is_same).then_some(odd)
    }
}

impl Odd {
    /// Whether a row of a side is one of them; each is found once.
    fn take(&mut self, hash: u64, side: Side) -> bool {
        let rows = self.hashes.get_mut(..self.count).unwrap_or_default();
        match rows.iter_mut().find(|row| **row == (hash, Some(side))) {
            Some(row) => {
                row.1 = None;
                true
            }
            None => false,
        }
    }

    /// Whether something differs that was not found.
    fn is_left(&self) -> bool {
        let rows = self.hashes.get(..self.count).unwrap_or_default();
        self.has_more || rows.iter().any(|(_, side)| side.is_some())
    }
}

/// How many inputs a table's segments are read through.
fn inputs_count(segments: &[Listed]) -> usize {
    let is_own = |place: usize| {
        segments[place].info.level == 0 || segments[place - 1].info.level != segments[place].info.level
    };
    (0..segments.len()).filter(|place| *place == 0 || is_own(*place)).count()
}

/// The bytes that are read to compare what there is.
pub(super) fn bytes(catalog: &Catalog) -> u64 {
    let of = |table: &Table| -> u64 {
        catalog.segments_of(table.id()).iter().map(|segment| segment.info.bytes).sum()
    };
    let tables = catalog.tables.iter().filter(|table| table.parent().is_none());
    let each = tables.map(|table| {
        let indexes = catalog.indexes(table.id());
        let (count, bytes) = indexes.fold((0, 0), |(count, bytes), index| (count + 1, bytes + of(index)));
        let is_alone = count == 0 && inputs_count(catalog.segments_of(table.id())) > 1;
        of(table) * (count + u64::from(is_alone)) + bytes
    });
    each.sum()
}

/// What is read of a table, and how.
struct Reading<'r> {
    catalog: &'r Catalog,
    table: &'r Table,
    /// By level.
    segments: Vec<Arc<Segment>, BudgetAlloc>,
    /// Whether logs have entries of it.
    has_tail: bool,
    budget: &'r Budget,
}

impl<'r> Reading<'r> {
    fn open(
        catalog: &'r Catalog,
        table: &'r Table,
        logs: &Logs,
        budget: &'r Budget,
    ) -> Result<Reading<'r>, Error> {
        let listed = catalog.segments_of(table.id());
        let alloc = BudgetAlloc::new(budget);
        let mut segments = Vec::new_in(alloc.clone());
        segments.try_reserve_exact(listed.len())?;
        for Listed { info, added } in listed {
            let reader = open(&catalog.directory, info, table, budget)?;
            segments.push(Segment::of(*info, *added, reader, &alloc)?);
        }
        sort_segments(&mut segments);
        let place = catalog.place_of(table.id());
        let has_tail = place.and_then(|place| logs.entries.get(place)).is_some_and(|count| *count > 0);
        Ok(Reading { catalog, table, segments, has_tail, budget })
    }

    /// Gives all versions to `visit`, with some columns.
    fn each(
        &self,
        columns: &[u16],
        visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let cache = Cache::new(self.budget, (self.budget.limit_on_path() / 8).min(CACHE_BYTES_MAX))?;
        let arena = Arena::with_growth(self.budget, BUFFERS);
        let mut versions = Versions::new(self.table, &self.segments, columns, &cache, &arena)?;
        let mut each =
            |range: &EncodedRange, memory: Option<Memtable<'_>>| versions.each(range, memory, visit);
        if self.has_tail {
            let mut tail = Tail::new(self.catalog, self.table, self.budget)?;
            while tail.next(&mut |range, memory| each(range, Some(memory)))? {}
            return Ok(());
        }
        let alloc = BudgetAlloc::new(self.budget);
        let range = EncodedRange::new(self.table.id(), &self.table.schema(), &KeyRange::ALL, &alloc)?;
        each(&range, None)
    }

    /// Counts its rows.
    fn counter(&self) -> Counter {
        let bytes = self.segments.iter().map(|segment| segment.info.bytes).sum();
        let rows = self.segments.iter().map(|segment| segment.info.rows_count).sum();
        Counter { share: Share::new(bytes, rows), rows: 0 }
    }
}

/// Counts the rows of a reading for who watches.
struct Counter {
    share: Share,
    /// Since the last look.
    rows: u64,
}

impl Counter {
    fn next(&mut self, meter: &mut Meter<'_>) -> Result<(), Error> {
        self.rows += 1;
        if self.rows < ROWS_PER_LOOK {
            return Ok(());
        }
        meter.advance(self.share.take(core::mem::take(&mut self.rows)))
    }

    fn end(mut self, meter: &mut Meter<'_>) -> Result<(), Error> {
        meter.advance(self.share.rest())
    }
}

impl Check<'_> {
    /// Compares what is in several places.
    pub(super) fn rows(&mut self, catalog: &Catalog, logs: &Logs, are_whole: &AreWhole) -> Result<(), Error> {
        let is_whole = |table: &Table| {
            catalog.place_of(table.id()).and_then(|place| are_whole.get(place)).is_some_and(|whole| *whole)
        };
        for table in catalog.tables.iter().filter(|table| table.parent().is_none() && is_whole(table)) {
            let mut is_first = true;
            for index in catalog.indexes(table.id()).filter(|index| is_whole(index) && logs.are_whole) {
                let outcome = self.index(catalog, logs, table, index, is_first);
                self.or_tell(Some(index), outcome)?;
                is_first = false;
            }
            if is_first && inputs_count(catalog.segments_of(table.id())) > 1 {
                let outcome = self.order(catalog, table);
                self.or_tell(Some(table), outcome)?;
            }
        }
        Ok(())
    }

    /// Whether no version of a row stands above a newer one (`level` L2).
    fn order(&mut self, catalog: &Catalog, table: &Table) -> Result<(), Error> {
        let budget = self.budget.clone();
        let none = Logs { entries: Vec::new_in(BudgetAlloc::new(&budget)), are_whole: true };
        let reading = Reading::open(catalog, table, &none, &budget)?;
        let mut rows = reading.counter();
        reading.each(&[], &mut |seen| {
            rows.next(&mut self.meter)?;
            self.place_of_version(table, seen)
        })?;
        rows.end(&mut self.meter)
    }

    fn place_of_version(&mut self, table: &Table, seen: &Seen<'_>) -> Result<(), Error> {
        match seen.is_misplaced {
            true => {
                self.row_problem(table, table, seen, "an older version of a row stands above a newer one")
            }
            false => Ok(()),
        }
    }

    /// `of`: the table whose row it is.
    fn row_problem(
        &mut self,
        table: &Table,
        of: &Table,
        seen: &Seen<'_>,
        what: &'static str,
    ) -> Result<(), Error> {
        self.problem(&Problem {
            offset: seen.place.map(|(_, offset)| offset),
            key: key_text(&of.schema(), seen.key),
            ..Problem::new(seen.place.map(|(file, _)| file), Some(table), what)
        })
    }

    /// Whether an index has an entry for each row of its table, and nothing else, and is unique where it should be.
    fn index(
        &mut self,
        catalog: &Catalog,
        logs: &Logs,
        table: &Table,
        index: &Table,
        checks_order: bool,
    ) -> Result<(), Error> {
        let budget = self.budget.clone();
        let alloc = BudgetAlloc::new(&budget);
        let of_table = Reading::open(catalog, table, logs, &budget)?;
        let of_index = Reading::open(catalog, index, logs, &budget)?;
        let mut difference = Difference::new(&alloc)?;
        let (mut key, mut rows) = (Bytes::new_in(alloc.clone()), of_table.counter());
        of_table.each(index.sources(), &mut |seen| {
            rows.next(&mut self.meter)?;
            if checks_order {
                self.place_of_version(table, seen)?;
            }
            if seen.is_newest && !seen.is_delete {
                difference.add(entry_hash(index, seen, &mut key)?, Side::Table);
            }
            Ok(())
        })?;
        rows.end(&mut self.meter)?;
        let (mut last, mut rows) = (Bytes::new_in(alloc.clone()), of_index.counter());
        of_index.each(&[], &mut |seen| {
            rows.next(&mut self.meter)?;
            self.place_of_version(index, seen)?;
            if seen.is_newest && !seen.is_delete {
                difference.add(hash_key(seen.key), Side::Index);
                self.unique(index, seen, &mut last)?;
            }
            Ok(())
        })?;
        rows.end(&mut self.meter)?;
        self.checked.compared_count += 1;
        match difference.odd() {
            Some(odd) => self.differences((&of_table, &of_index), odd),
            None => Ok(()),
        }
    }

    /// Whether an entry of a unique index has other values than the one before.
    fn unique(&mut self, index: &Table, seen: &Seen<'_>, last: &mut Bytes) -> Result<(), Error> {
        if index.unique_columns() == 0 {
            return Ok(());
        }
        let bytes = unique_prefix_bytes(&index.schema(), index.unique_columns(), seen.key);
        // NULL is like no other.
        let Some(prefix) = bytes.and_then(|bytes| seen.key.get(..bytes)) else { return Ok(()) };
        if last[..] == *prefix {
            self.row_problem(index, index, seen, "two rows have the same values in a unique index")?;
        }
        last.clear();
        Ok(encode::put(last, prefix)?)
    }

    /// Tells which rows only one of the two has.
    fn differences(
        &mut self,
        (of_table, of_index): (&Reading<'_>, &Reading<'_>),
        mut odd: Odd,
    ) -> Result<(), Error> {
        let (table, index) = (of_table.table, of_index.table);
        let mut key = Bytes::new_in(BudgetAlloc::new(&self.budget));
        let mut rows = of_table.counter();
        of_table.each(index.sources(), &mut |seen| {
            rows.next(&mut self.meter)?;
            let is_row = seen.is_newest && !seen.is_delete;
            match is_row && odd.take(entry_hash(index, seen, &mut key)?, Side::Table) {
                true => self.row_problem(index, table, seen, "a row has no entry in the index"),
                false => Ok(()),
            }
        })?;
        let mut rows = of_index.counter();
        of_index.each(&[], &mut |seen| {
            rows.next(&mut self.meter)?;
            let is_entry = seen.is_newest && !seen.is_delete;
            match is_entry && odd.take(hash_key(seen.key), Side::Index) {
                true => self.row_problem(index, index, seen, "an entry of the index has no row"),
                false => Ok(()),
            }
        })?;
        match odd.is_left() {
            true => {
                let what = "the index and its table differ in more rows than were told";
                self.problem(&Problem::new(None, Some(index), what))
            }
            false => Ok(()),
        }
    }
}

/// The hash of the key that an index should have for a row, whose columns are those of the index.
fn entry_hash(index: &Table, seen: &Seen<'_>, key: &mut Bytes) -> Result<u64, Error> {
    key.clear();
    for (place, part) in index.key().iter().enumerate() {
        encode_key(seen.value(place), part.order, &mut |bytes: &[u8]| encode::put(key, bytes))?;
    }
    Ok(hash_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: what differs is found as long as each cell has one odd row, and never overlooked. Method: sets of numbers.
    #[test]
    fn odd_rows_are_found_by_their_hashes() {
        let budget = Budget::unlimited("process").unwrap();
        let alloc = BudgetAlloc::new(&budget);
        for (missing, extra) in [(0, 0), (1, 0), (0, 1), (3, 2), (20, 20), (400, 500)] {
            let mut difference = Difference::new(&alloc).unwrap();
            let hash = |n: u64| hash_key(&n.to_le_bytes());
            (0..10_000).for_each(|n| difference.add(hash(n), Side::Table));
            (missing..10_000 + extra).for_each(|n| difference.add(hash(n), Side::Index));
            let Some(mut odd) = difference.odd() else {
                assert_eq!((missing, extra), (0, 0));
                continue;
            };
            let of_table =
                (0..10_000).filter(|n| odd.take(hash(*n), Side::Table)).collect::<std::vec::Vec<_>>();
            let of_index =
                (0..11_000).filter(|n| odd.take(hash(*n), Side::Index)).collect::<std::vec::Vec<_>>();
            assert!(of_table.iter().all(|n| *n < missing) && of_index.iter().all(|n| *n >= 10_000));
            let is_all = (of_table.len(), of_index.len()) == (missing as usize, extra as usize);
            assert!(is_all || odd.is_left(), "{missing} {extra}: {of_table:?} {of_index:?}");
            assert!(missing + extra > 40 || of_table.len() + of_index.len() > 0);
        }
    }
}

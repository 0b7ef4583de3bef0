//! Rows in bulk: as long as they come in the order of their keys, they go straight into a run.
//!
//! ```text
//!   source ──> write set ──nearly full, and in order──> writer of a run ──> run, run, …
//!                  ^                                          │
//!                  └──── a row that is not in order, is long, ┘  or no memory for a writer
//! ```
//!
//! A row that is inserted alone stands in the write set, sorted, and is encoded once more when that is written to a run. Rows that
//! are known to follow one another ([`Gap`], or numbers that the store gives) need neither: they become pages at once. So
//! loads of few rows cost no file, and large ones no more than the writing of their pages.
//!
//! - **B1** Rows in a writer are seen by nobody, so nothing may ask for them: while it is open the transaction takes no other
//!   changes, and rows are put into it only where it is known that no row has their key.
//! - **B2** All rows between two changes of the way have one number of an operation: what goes back to a savepoint keeps all of
//!   them or none.
//! - **B3** The writer takes the place of the write set, which is empty and has given back its memory meanwhile, and of the flush that
//!   would have written that.

use core::cell::RefCell;
use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::collections::Vec as ArenaVec;
use cofferdam_arena::{Arena, Budget, BudgetAlloc, append};
use cofferdam_types::Value;

use crate::compaction::can_cut;
use crate::encode::{self, Bytes};
use crate::error::Error;
use crate::flush::NewSegments;
use crate::gap::Gap;
use crate::merge::OWN_SEQUENCE;
use crate::schema::TableId;
use crate::segment::{SegmentWriter, WriterSizes, staged_bytes};
use crate::store::Store;
use crate::table::Table;
use crate::transaction::Transaction;

/// The texts of a row that a writer takes without memory beside its allowance have at most such a part of that.
const ROWS_OF_ALLOWANCE: u64 = 16;

/// Rows, one after the other.
pub trait RowSource {
    /// What goes wrong with it.
    type Error;

    /// Goes to the next row, the first time to the first one. False behind the last one.
    ///
    /// # Errors
    /// Its own: the load ends there.
    fn advance(&mut self) -> Result<bool, Self::Error>;

    /// A value of the row that it stands at. Of a table without a key the row id is not asked for.
    fn value(&self, column: usize) -> Value<'_>;
}

/// Why a load ended.
#[derive(Debug)]
pub enum LoadError<E> {
    /// The source's error.
    Source(E),
    /// The store's: of the row that the source stands at, or of what was written.
    Store(Error),
}

impl<E> From<Error> for LoadError<E> {
    fn from(error: Error) -> LoadError<E> {
        LoadError::Store(error)
    }
}

/// Why no more rows are put into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// There are no more.
    End,
    /// It is large enough; the source stands at the next row.
    Full,
    /// The row that the source stands at has to go into the write set.
    Other,
}

impl Transaction {
    /// Inserts every row of a source, as [`Transaction::insert`] does it row by row, and gives their number.
    ///
    /// While it is asked for rows the source may read in the transaction, but not change anything in it; it does not see the rows
    /// that it gives.
    ///
    /// **Memory.** Of the transaction's budget: a row, and either what its changes may take anyway or the buffers of a flush (three
    /// quarters of an eighth of the store's limit, 72 KiB to 6 MiB); where these are refused it does without.
    ///
    /// # Errors
    /// As [`Transaction::insert`], and the source's. Some rows are there then: go back to a savepoint, or roll back.
    pub fn load<S: RowSource>(
        this: &RefCell<&mut Transaction>,
        table: TableId,
        source: &mut S,
    ) -> Result<u64, LoadError<S::Error>> {
        let (mut rows_count, mut has_room) = (0, true);
        let columns_count = given_columns(&*this.borrow().view().table(table)?);
        let mut scratch = Arena::new(this.borrow().budget());
        while source.advance().map_err(LoadError::Source)? {
            loop {
                scratch.reset();
                let mut values = ArenaVec::with_capacity_in(columns_count, &scratch).map_err(Error::from)?;
                values.extend((0..columns_count).map(|column| source.value(column))).map_err(Error::from)?;
                let mut transaction = this.borrow_mut();
                let direct = if has_room { transaction.begin_direct(table, &values)? } else { None };
                let Some(direct) = direct else {
                    transaction.insert(table, &values)?;
                    rows_count += 1;
                    break;
                };
                drop(transaction);
                drop(values);
                let (outcome, count) = direct.run(this, source, &mut scratch);
                rows_count += count;
                match outcome {
                    Ok(Stop::End) => return Ok(rows_count),
                    Ok(_) => {}
                    // There is less to be had than the write set has given back.
                    Err(LoadError::Store(Error::OutOfMemory(_))) if count == 0 => has_room = false,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(rows_count)
    }
}

/// Rows on their way into runs, of which each begins where the last one ends.
pub(crate) struct Direct {
    store: Store,
    budget: Budget,
    table: Arc<Table>,
    /// Where rows are free; of a table without a key they always are.
    gap: Gap,
    /// The number that all rows have (B2).
    operation: u64,
    /// What a writer may take (B3).
    allowed_bytes: u64,
    /// The keys of the row that comes next and of the one before it; that of the gap's beginning at first.
    key: Bytes,
    last: Bytes,
    rows_count: u64,
    bytes: u64,
}

impl Direct {
    /// Rows of a table without indexes, in a transaction that has nothing in its write set.
    pub(crate) fn new(
        store: &Store,
        budget: &Budget,
        table: Arc<Table>,
        gap: Gap,
        operation: u64,
    ) -> Result<Direct, Error> {
        let alloc = BudgetAlloc::new(budget);
        let (key, mut last) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc));
        if !table.has_row_id() {
            append(&mut last, gap.last())?;
        }
        let allowed_bytes = allowed_bytes(store);
        let (store, budget) = (store.clone(), budget.clone());
        let (rows_count, bytes) = (0, 0);
        Ok(Direct { store, budget, table, gap, operation, allowed_bytes, key, last, rows_count, bytes })
    }

    /// Whether a row of a table can begin a run; it goes into the write set else. `is_ordered`: whether those before it came in order.
    pub(crate) fn is_possible(store: &Store, table: &Table, is_ordered: bool, values: &[Value<'_>]) -> bool {
        let allowed_bytes = allowed_bytes(store);
        (table.has_row_id() || is_ordered)
            && WriterSizes::bytes_min(&table.schema()) as u64 <= allowed_bytes
            && values.iter().map(staged_bytes).sum::<usize>() as u64 <= allowed_bytes / ROWS_OF_ALLOWANCE
    }

    /// Writes rows as long as they are in order, beginning with the one that the source stands at. Their number is that of the rows
    /// that were taken from the source, whatever the outcome.
    fn run<S: RowSource>(
        mut self,
        this: &RefCell<&mut Transaction>,
        source: &mut S,
        scratch: &mut Arena,
    ) -> (Result<Stop, LoadError<S::Error>>, u64) {
        let outcome = loop {
            match self.write_run(this, source, scratch) {
                Ok(Stop::Full) => {}
                outcome => break outcome,
            }
        };
        // Of rows that came to nothing it would be wrong.
        let is_known = outcome.is_ok() && !self.table.has_row_id();
        if is_known && self.rows_count > 0 {
            // Where nothing is known, the next row is looked for.
            let _ = self.gap.inserted(self.table.id(), &self.last);
        }
        this.borrow_mut().end_direct(is_known.then_some(self.gap));
        (outcome, self.rows_count)
    }

    /// Writes one run.
    fn write_run<S: RowSource>(
        &mut self,
        this: &RefCell<&mut Transaction>,
        source: &mut S,
        scratch: &mut Arena,
    ) -> Result<Stop, LoadError<S::Error>> {
        let (store, budget, table) = (self.store.clone(), self.budget.clone(), Arc::clone(&self.table));
        let arena = Arena::new(&budget);
        let mut new = NewSegments::new(store.inner(), &arena);
        // Each costs as much as a run: an eighth of what there is.
        let target_bytes = store.inner().sizing.segment_bytes(self.bytes.saturating_mul(4));
        let mut stop = Ok(Stop::End);
        let outcome = new.write(&table, (0, OWN_SEQUENCE), (&budget, self.allowed_bytes), |writer| {
            loop {
                scratch.reset();
                if let Some(other) = self.put(source, writer, target_bytes, scratch)? {
                    stop = Ok(other);
                    return Ok(());
                }
                self.rows_count += 1;
                match source.advance() {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(error) => {
                        stop = Err(LoadError::Source(error));
                        // The segment comes to nothing, and this is not seen.
                        return Err(Error::Cancelled);
                    }
                }
            }
        });
        let stop = stop?;
        outcome?;
        self.bytes += new.segments.iter().map(|segment| segment.info.bytes).sum::<u64>();
        this.borrow_mut().add_runs(&new)?;
        Ok(stop)
    }

    /// Puts the row that a source stands at into a segment, unless it belongs elsewhere.
    fn put<S: RowSource>(
        &mut self,
        source: &S,
        writer: &mut SegmentWriter<'_, '_, '_>,
        target_bytes: u64,
        scratch: &Arena,
    ) -> Result<Option<Stop>, Error> {
        let table = &*self.table;
        let schema = table.schema();
        let columns_count = given_columns(table);
        let mut row = ArenaVec::with_capacity_in(columns_count + 1, scratch)?;
        row.extend((0..columns_count).map(|column| source.value(column)))?;
        table.check(&row)?;
        let bytes = row.iter().map(staged_bytes).sum::<usize>();
        if bytes as u64 > self.allowed_bytes / ROWS_OF_ALLOWANCE {
            return Ok(Some(Stop::Other));
        }
        if table.has_row_id() {
            row.push(Value::BigInt(table.next_row_id() as i64))?;
        }
        self.key.clear();
        encode::put_key(table.id(), &schema, &row, &mut self.key)?;
        if self.key <= self.last || !(table.has_row_id() || self.gap.is_before_end(&self.key)) {
            return Ok(Some(Stop::Other));
        }
        if writer.written_bytes() >= target_bytes && can_cut(&self.last, &self.key) {
            return Ok(Some(Stop::Full));
        }
        writer.push_values(&self.key, self.operation, &row, bytes)?;
        core::mem::swap(&mut self.key, &mut self.last);
        Ok(None)
    }
}

/// What a writer may take: as much as one of a flush, which writes what is in a write set.
fn allowed_bytes(store: &Store) -> u64 {
    store.inner().sizing.flush_bytes * 3 / 4
}

/// The columns whose values a table is given.
fn given_columns(table: &Table) -> usize {
    table.schema().columns.len() - usize::from(table.has_row_id())
}

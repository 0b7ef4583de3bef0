//! Reading a stored table: the store decodes into the operator's vectors, and the conjuncts pick the rows that are
//! handed on.
//!
//! How the rows are found is the plan's choice ([`Way`]):
//!
//! ```text
//! ranges of keys of the table, or of an index that has all columns     pages are decoded column by column
//! whole keys of the table                                              each row is looked for
//! ranges of an index                                                   entries by the batch, then the row of each by its key
//! ```
//!
//! An index has the versions of its entries as the table has those of its rows, so both are seen at the same state. What was
//! changed between the reading of an entry and that of its row, in a transaction that goes on, is met by the conjuncts, which
//! are tested on the row.
//!
//! **Columns that are read first.** Where conjuncts or key filters read some of the columns only, these are decoded first, and the others
//! for the rows that passed: one by one if they are less than half, put together at the front of the batch. Key filters of few values leave
//! out pages as well.
//!
//! **Peak bytes**: the vectors of the read columns; for texts, those of a batch; what the store's scan holds. Through an index, beside it
//! the keys of a batch of its entries.
//!
//! **Ladder**: smaller batches under a small limit, then the typed error.

use core::ops::Range;
use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, ArenaBox};
use cofferdam_plan::expr::{BinaryOp, Expr, ExprKind, walk};
use cofferdam_plan::physical::{KeyRange as PlanRange, Scan as PlanScan};
use cofferdam_plan::table::StoredTable;
use cofferdam_plan::{RunRanges, ranges_of_run};
use cofferdam_store::{Column, ColumnMut, ColumnRange, KeyRange, Part, Pieces, RowReader, Scan, Table, View};
use cofferdam_types::Value;

use super::filter::{Conjuncts, flatten};
use super::key_tests::{KeyTests, ranges_of};
use crate::batch::{BatchRows, Data, Kind, SelectionId, Store, Vector, VectorId};
use crate::error::{Error, StoreProblem};
use crate::exchange::{Morsels, piece_rows};
use crate::expr::Registers;
use crate::pipeline::{Context, Output, batch_bytes_max, has_room, headroom_bytes};
use crate::tables::{Ends, Tables};

/// Reads the needed columns of a stored table.
#[derive(Debug)]
pub(crate) struct StoredScan<'a> {
    way: Way<'a>,
    columns: &'a [VectorId],
    /// The columns while the store writes to them.
    taken: Vec<'a, Taken<'a>>,
    /// For the list of what the store writes to.
    scratch: Arena,
    conjuncts: Conjuncts<'a>,
    key_tests: KeyTests<'a>,
    /// Which of the columns are read before it is known which rows are wanted; `None`: all.
    first: Option<&'a [u16]>,
    /// The rows that passed, where columns are read for these alone.
    passed: SelectionId,
    problem: Option<&'a mut StoreProblem<'a>>,
    /// How many rows were read last.
    pub(crate) rows_read: usize,
    /// How many of them were left out because a join above has no match for them.
    pub(crate) rows_filtered: usize,
    is_done: bool,
    /// What it held when it was opened, and what it may take beside that to read pages.
    opened_bytes: u64,
    reading_bytes: u64,
}

/// What a page takes that is read, of a column.
const PAGE_BYTES: u64 = 64 << 10;
/// Pages are left a part of the limit at most.
const READING_SHARE: u64 = 4;

/// A vector and its heap, out of their table.
#[derive(Debug)]
struct Taken<'a> {
    vector: Vector<'a>,
    heap: Vec<'a, u8>,
}

impl<'a> StoredScan<'a> {
    pub(crate) fn open(
        plan: &PlanScan<'a>,
        table: &StoredTable<'a>,
        cx: &Context<'_>,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(StoredScan<'a>, &'a [VectorId]), Error<'a>> {
        let columns = arena.alloc_slice_fill(plan.projection.len(), VectorId(0))?;
        for (id, position) in columns.iter_mut().zip(plan.projection) {
            *id = store.add_vector(Kind::of(table.columns[*position as usize].ty), arena)?;
        }
        let columns = &*columns;
        let problem = arena.alloc(StoreProblem { error: cofferdam_store::Error::Cancelled, place: None })?;
        let parameters = store.statement.parameters;
        let (mut way, is_done) = match begin(plan, table, parameters, cx, store.capacity, arena) {
            Ok(begun) => begun,
            Err(error) => return Err(describe(problem, error)),
        };
        let mut parts = flatten(plan.conjuncts, arena)?;
        if let Way::ByKey { keys: [key], rows } = &mut way {
            let is_open = |part: &&&Expr<'a>| !is_answered(part, key, table, plan, parameters);
            parts = arena.alloc_slice_from_iter(parts.iter().filter(is_open).copied())?;
            if parts.is_empty() && plan.key_filters.is_empty() {
                rows.read_only(plan.output, arena)?;
            }
        }
        let conjuncts = Conjuncts::compile(parts, columns, store, &mut Registers::new(arena), arena)?;
        let output = arena.alloc_slice_from_iter(plan.output.iter().map(|&slot| columns[slot as usize]))?;
        let taken = Vec::with_capacity_in(columns.len(), arena)?;
        let (scratch, problem) = (Arena::new(arena.budget()), Some(problem));
        let first = match way {
            Way::InOrder(_) => columns_first(plan, arena)?,
            Way::ByKey { .. } | Way::Through(_) => None,
        };
        let scan = StoredScan {
            way,
            columns,
            taken,
            scratch,
            conjuncts,
            key_tests: KeyTests::open(plan.key_filters, columns, store, arena)?,
            first,
            passed: if first.is_some() { store.add_selection(arena)? } else { SelectionId(0) },
            problem,
            rows_read: 0,
            rows_filtered: 0,
            is_done,
            opened_bytes: arena.budget().used(),
            reading_bytes: (plan.projection.len() + table.key.len()) as u64 * PAGE_BYTES,
        };
        Ok((scan, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        (self.rows_read, self.rows_filtered) = (0, 0);
        if self.is_done {
            return Ok(Output::End);
        }
        self.leave_room(cx)?;
        let first = self.first;
        let mut is_whole = true;
        let rows = self.with_columns(store, true, |way, columns, rows_max| {
            cx.tables.with_view(&mut |view| {
                let part = way.next(view, columns, rows_max, first)?;
                is_whole = part.is_whole;
                Ok(part.rows)
            })
        });
        let rows = rows.map_err(|error| self.describe(error))?;
        self.rows_read = rows;
        if rows == 0 {
            self.is_done = true;
            return Ok(Output::End);
        }
        let tested = self.key_tests.apply(BatchRows::all(rows), store, cx);
        self.rows_filtered = rows - store.rows(tested).len();
        let batch = self.conjuncts.apply(tested, store)?;
        let passed = store.rows(batch).len();
        let Some(first) = first.filter(|_| !is_whole && passed > 0) else {
            return Ok(if passed == 0 { Output::Again } else { Output::Batch(batch) });
        };
        let is_dense = passed * 2 > rows;
        self.read_rest(first, (!is_dense).then_some(batch), store).map_err(|error| self.describe(error))?;
        Ok(Output::Batch(if is_dense { batch } else { BatchRows::all(passed) }))
    }

    #[cold]
    fn describe(&mut self, error: cofferdam_store::Error) -> Error<'a> {
        describe(self.problem.take().expect("the first error ends the statement"), error)
    }

    /// Has others give memory back that reading may take: a scan that was refused memory within a batch cannot go on.
    fn leave_room(&self, cx: &mut Context<'_>) -> Result<(), Error<'a>> {
        let budget = self.scratch.budget();
        let limit = budget.limit_on_path();
        let taken_bytes = budget.used().saturating_sub(self.opened_bytes);
        let missing_bytes = self.reading_bytes.min(limit / READING_SHARE).saturating_sub(taken_bytes);
        if missing_bytes > 0 {
            let needed_bytes = missing_bytes + headroom_bytes(limit);
            while !has_room(budget, needed_bytes) && cx.relieve_for_batches(None)? {}
        }
        Ok(())
    }

    /// Cuts the table into pieces for several threads, if it has rows enough and is read in one range.
    pub(crate) fn pieces<'p>(
        &self,
        tables: &Tables<'_>,
        threads_count: usize,
        arena: &'p Arena,
    ) -> Option<Pieces<'p>> {
        let Way::InOrder(ranges) = &self.way else { return None };
        let Ranges { scan, rest: [], .. } = &**ranges else { return None };
        if self.is_done {
            return None;
        }
        let mut found = None;
        let cut = tables.with_view(&mut |view| {
            let rows = piece_rows(view.rows_estimate(scan.table()), threads_count);
            found = Some(scan.pieces(view, rows, arena)?);
            Ok(0)
        });
        // What cannot be read is told by who reads it.
        cut.ok().and(found).filter(|pieces| pieces.count() > 1)
    }

    /// Reads pieces that nobody else reads.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub(crate) fn share(&mut self, morsels: &'a Morsels<'a>) -> Result<(), Error<'a>> {
        let Way::InOrder(ranges) = &mut self.way else { return Ok(()) };
        ranges.morsels = Some(morsels);
        let outcome = ranges.next_piece();
        self.is_done = !outcome.map_err(|error| self.describe(error))?;
        Ok(())
    }

    /// Reads a piece that somebody else has not read to its end, from its begin.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub(crate) fn read_again(&mut self, piece: usize) -> Result<(), Error<'a>> {
        let Way::InOrder(ranges) = &mut self.way else { return Ok(()) };
        let outcome = ranges.restart_at(piece);
        self.is_done = false;
        outcome.map_err(|error| self.describe(error))
    }

    /// The piece that the rows were of which it gave last, or that it failed at.
    pub(crate) fn piece(&self) -> Option<usize> {
        match &self.way {
            Way::InOrder(ranges) => ranges.piece,
            _ => None,
        }
    }

    /// Has the store write the columns that were not read first: for all rows, or for some, which are put together.
    fn read_rest(
        &mut self,
        first: &[u16],
        only: Option<BatchRows>,
        store: &mut Store<'a>,
    ) -> Result<(), cofferdam_store::Error> {
        let mut chosen = store.take_selection(self.passed);
        if let Some(batch) = only {
            chosen.count = 0;
            store.rows(batch).for_each(|row| {
                chosen.rows[chosen.count] = row as u16;
                chosen.count += 1;
            });
            for &place in first {
                compact(store.vector_mut(self.columns[usize::from(place)]), &chosen.rows[..chosen.count]);
            }
        }
        let rows = only.map(|_| &chosen.rows[..chosen.count]);
        let outcome = self.with_columns(store, false, |way, columns, _| match way {
            Way::InOrder(ranges) => ranges.scan.rest(columns, first, rows),
            Way::ByKey { .. } | Way::Through(_) => unreachable!("they read all columns at once"),
        });
        store.put_selection_back(self.passed, chosen);
        outcome
    }

    /// Lends the columns to the store; `is_new`: they are empty.
    fn with_columns<T>(
        &mut self,
        store: &mut Store<'a>,
        is_new: bool,
        run: impl FnOnce(&mut Way<'a>, &mut [ColumnMut<'_, 'a>], usize) -> Result<T, cofferdam_store::Error>,
    ) -> Result<T, cofferdam_store::Error> {
        for &id in self.columns {
            let mut vector = store.take(id);
            vector.all_valid |= is_new;
            // Other kinds have no heap: an empty one stands for it, which takes nothing.
            let heap = if vector.kind() == Kind::Text {
                let mut heap = store.take_heap(vector.heap);
                if is_new {
                    heap.clear();
                }
                heap
            } else {
                store.no_heap()
            };
            self.taken.push(Taken { vector, heap })?;
        }
        let outcome = self.with_taken(store.capacity, run);
        self.scratch.reset();
        for &id in self.columns.iter().rev() {
            let Some(Taken { vector, heap }) = self.taken.pop() else { break };
            if vector.kind() == Kind::Text {
                store.put_heap_back(vector.heap, heap);
            }
            store.put_back(id, vector);
        }
        outcome
    }

    fn with_taken<T>(
        &mut self,
        rows_max: usize,
        run: impl FnOnce(&mut Way<'a>, &mut [ColumnMut<'_, 'a>], usize) -> Result<T, cofferdam_store::Error>,
    ) -> Result<T, cofferdam_store::Error> {
        let mut columns = Vec::with_capacity_in(self.taken.len(), &self.scratch)?;
        for Taken { vector, heap } in self.taken.iter_mut() {
            let Vector { data, valid, all_valid, .. } = vector;
            columns.push(ColumnMut { data, valid, all_valid, heap })?;
        }
        run(&mut self.way, &mut columns, rows_max)
    }
}

/// The columns that decide which rows are wanted, by position in the projection, where there are others beside them.
fn columns_first<'a>(plan: &PlanScan<'a>, arena: &'a Arena) -> Result<Option<&'a [u16]>, AllocError> {
    if plan.conjuncts.is_empty() && plan.key_filters.is_empty() {
        return Ok(None);
    }
    let is_first: &mut [bool] = arena.alloc_slice_fill(plan.projection.len(), false)?;
    plan.key_filters.iter().for_each(|filter| is_first[filter.column as usize] = true);
    for conjunct in plan.conjuncts {
        walk::for_each(conjunct, arena, |expr| {
            if let ExprKind::Column(slot) = expr.kind {
                is_first[slot as usize] = true;
            }
        })?;
    }
    let mut first = Vec::with_capacity_in(is_first.len(), arena)?;
    first.extend((0..is_first.len() as u16).filter(|slot| is_first[usize::from(*slot)]))?;
    Ok(if first.len() == is_first.len() { None } else { Some(first.into_slice()) })
}

/// Puts the values of some rows, which ascend, one behind the other.
fn compact(vector: &mut Vector<'_>, rows: &[u16]) {
    fn put<T: Copy>(values: &mut [T], rows: &[u16]) {
        for (to, &from) in rows.iter().enumerate() {
            values[to] = values[usize::from(from)];
        }
    }
    match &mut vector.data {
        Data::Bool(values) => put(values, rows),
        Data::I32(values) => put(values, rows),
        Data::I64(values) => put(values, rows),
        Data::I128(values) => put(values, rows),
        Data::F64(values) => put(values, rows),
        Data::Text(values) => put(values, rows),
    }
    if !vector.all_valid {
        put(vector.valid, rows);
    }
}

/// How rows are found. What is large and used for many rows stands in the arena, so that a scan that is opened is moved quickly.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a scan has one of them, in place")]
enum Way<'a> {
    /// In the order of their keys, in the table or in an index that has all columns.
    InOrder(ArenaBox<'a, Ranges<'a>>),
    /// By whole keys.
    ByKey { rows: Fetch<'a>, keys: &'a [PlanRange<'a>] },
    /// Through the entries of an index.
    Through(ArenaBox<'a, Through<'a>>),
}

impl Way<'_> {
    /// Writes the next rows; none at the end. Rows that come in order may lack columns other than the `first` ones.
    fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
        first: Option<&[u16]>,
    ) -> Result<Part, cofferdam_store::Error> {
        let rows = match self {
            Way::InOrder(ranges) => return ranges.next(view, into, rows_max, first),
            Way::ByKey { rows, keys } => {
                let mut found = 0;
                while found < rows_max
                    && rows.has_room(into)
                    && let Some((key, rest)) = keys.split_first()
                {
                    found += usize::from(rows.put(view, key.prefix, into, found)?);
                    *keys = rest;
                }
                found
            }
            Way::Through(entries) => entries.next(view, into, rows_max)?,
        };
        Ok(Part { rows, is_whole: true })
    }
}

/// Ranges of keys, one behind the other.
#[derive(Debug)]
struct Ranges<'a> {
    scan: Scan<'a>,
    /// Those behind the one that is read.
    rest: &'a [Ends<'a>],
    /// The pieces that the one range is cut into, where others read it too, and which of them is read.
    morsels: Option<&'a Morsels<'a>>,
    piece: Option<usize>,
}

impl<'a> Ranges<'a> {
    fn begin(
        table: &Arc<Table>,
        columns: &[u16],
        ranges: &[PlanRange<'a>],
        arena: &'a Arena,
    ) -> Result<Ranges<'a>, cofferdam_store::Error> {
        let mut ends = Vec::with_capacity_in(ranges.len(), arena)?;
        for range in ranges {
            ends.push(Ends::of(range, table.key(), arena)?)?;
        }
        let ends: &'a [Ends<'a>] = ends.into_slice();
        let (first, rest) = ends.split_first().unwrap_or((&Ends::ALL, &[]));
        Ok(Ranges {
            scan: Scan::new(table, columns, &KeyRange::from(*first), arena)?,
            rest,
            morsels: None,
            piece: None,
        })
    }

    /// Goes to a piece that nobody reads; false if there is none.
    fn next_piece(&mut self) -> Result<bool, cofferdam_store::Error> {
        match self.morsels.and_then(Morsels::take) {
            Some(piece) => self.restart_at(piece).map(|()| true),
            None => Ok(false),
        }
    }

    fn restart_at(&mut self, piece: usize) -> Result<(), cofferdam_store::Error> {
        self.piece = Some(piece);
        self.morsels.map_or(Ok(()), |morsels| self.scan.restart_at(&morsels.pieces, piece))
    }

    fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
        first: Option<&[u16]>,
    ) -> Result<Part, cofferdam_store::Error> {
        loop {
            let part = self.scan.next_of(view, into, rows_max, first)?;
            if part.rows > 0 {
                return Ok(part);
            }
            if self.next_piece()? {
                continue;
            }
            let Some((next, rest)) = self.rest.split_first() else { return Ok(part) };
            self.scan.restart(&KeyRange::from(*next))?;
            self.rest = rest;
        }
    }
}

/// Whether a conjunct says nothing but what a row of this key says by being there: that a part of it is what was looked for, of a
/// type whose values have one encoding each.
fn is_answered<'a>(
    part: &Expr<'a>,
    key: &PlanRange<'a>,
    table: &StoredTable<'_>,
    plan: &PlanScan<'_>,
    parameters: &[Value<'a>],
) -> bool {
    let ExprKind::Binary { op: BinaryOp::Equal, left, right } = part.kind else { return false };
    let (column, constant) = match (left.kind, right.kind) {
        (ExprKind::Column(column), other) | (other, ExprKind::Column(column)) => (column, other),
        _ => return false,
    };
    let value = match constant {
        ExprKind::Literal(value) => Some(value),
        ExprKind::Parameter(number) => parameters.get((number as usize).wrapping_sub(1)).copied(),
        _ => None,
    };
    let has_one_encoding = |value: &Value<'_>| {
        use Value::{BigInt, Boolean, Date, Integer, SmallInt, Timestamp, Uuid};
        matches!(value, Boolean(_) | SmallInt(_) | Integer(_) | BigInt(_) | Date(_) | Timestamp(_) | Uuid(_))
    };
    let position = plan.projection.get(column as usize);
    let mut looked_for = table.key.iter().zip(key.prefix);
    value.filter(has_one_encoding).is_some_and(|value| {
        looked_for.any(|(part, sought)| Some(&part.column) == position && *sought == value)
    })
}

/// Reads rows by their keys.
#[derive(Debug)]
struct Fetch<'a> {
    rows: RowReader<'a>,
    /// What is read, and into which of the columns that are written to.
    columns: &'a [u16],
    places: &'a [u32],
    /// What the texts of a batch have, but for the last row's.
    batch_bytes_max: u64,
}

impl<'a> Fetch<'a> {
    /// Leaves all columns out but some.
    fn read_only(&mut self, places: &'a [u32], arena: &'a Arena) -> Result<(), AllocError> {
        let (columns, all) = (self.columns, self.places);
        // Columns are read in ascending order.
        let is_wanted = |at: &usize| places.contains(&all[*at]);
        let wanted = (0..columns.len()).filter(is_wanted);
        self.columns = arena.alloc_slice_from_iter(wanted.clone().map(|at| columns[at]))?;
        self.places = arena.alloc_slice_from_iter(wanted.map(|at| all[at]))?;
        Ok(())
    }

    /// Whether another row may follow those that are written.
    fn has_room(&self, into: &[ColumnMut<'_, '_>]) -> bool {
        into.iter().map(|column| column.heap.len() as u64).sum::<u64>() < self.batch_bytes_max
    }

    /// Writes the row of a key to row `at`; false if there is none.
    fn put(
        &mut self,
        view: View<'_>,
        key: &[Value<'_>],
        into: &mut [ColumnMut<'_, '_>],
        at: usize,
    ) -> Result<bool, cofferdam_store::Error> {
        let (columns, places) = (self.columns, self.places);
        let found = self.rows.get(view, key, |row| {
            row.each(columns, |place, value| Ok(into[places[place] as usize].put(at, value)?))
        })?;
        Ok(found.is_some())
    }
}

/// Entries of an index, and the rows that they lead to.
#[derive(Debug)]
struct Through<'a> {
    entries: Ranges<'a>,
    /// The columns of the entries that are the table's key, in its order.
    key: Vec<'a, Column<'a>>,
    /// The entries whose rows are still to be read.
    waiting: Range<usize>,
    rows: Fetch<'a>,
    /// How many entries are read next: few at first, since few may be wanted.
    entries_max: usize,
    capacity: usize,
    scratch: Arena,
}

/// Entries that are read first.
const ENTRIES_FIRST: usize = 16;

impl<'a> Through<'a> {
    fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, cofferdam_store::Error> {
        let mut rows = 0;
        while rows == 0 {
            if self.waiting.is_empty() && !self.read_entries(view, rows_max)? {
                break;
            }
            self.scratch.reset();
            let mut key = Vec::with_capacity_in(self.key.len(), &self.scratch)?;
            while !self.waiting.is_empty() && self.rows.has_room(into) {
                let entry = self.waiting.start;
                key.clear();
                key.extend(self.key.iter().map(|column| column.value(entry)))?;
                rows += usize::from(self.rows.put(view, &key, into, rows)?);
                self.waiting.start += 1;
            }
        }
        Ok(rows)
    }

    /// Reads the next entries; false at the end.
    fn read_entries(&mut self, view: View<'_>, rows_max: usize) -> Result<bool, cofferdam_store::Error> {
        let wanted = self.entries_max.min(rows_max);
        self.entries_max = (wanted * 4).min(self.capacity);
        self.key.iter_mut().for_each(Column::clear);
        self.scratch.reset();
        let mut targets = Vec::with_capacity_in(self.key.len(), &self.scratch)?;
        for column in self.key.iter_mut() {
            targets.push(column.target())?;
        }
        self.waiting = 0..self.entries.next(view, &mut targets, wanted, None)?.rows;
        Ok(!self.waiting.is_empty())
    }
}

/// Begins to read what the plan's ranges leave of the table, the way that the plan says; also whether that is known to have no rows.
fn begin<'a>(
    plan: &PlanScan<'a>,
    table: &StoredTable<'a>,
    parameters: &[Value<'a>],
    cx: &Context<'_>,
    capacity: usize,
    arena: &'a Arena,
) -> Result<(Way<'a>, bool), cofferdam_store::Error> {
    let tables: &Tables<'_> = cx.tables;
    let RunRanges { ranges, column_ranges, is_empty } = ranges_of_run(plan, table, parameters, arena)?;
    let columns = arena.alloc_slice_from_iter(plan.projection.iter().map(|&position| position as u16))?;
    let of = tables.table(table.id)?;
    let Some(used) = plan.index else {
        let is_whole = |range: &PlanRange<'_>| range.prefix.len() == table.key.len();
        if !table.key.is_empty() && !ranges.is_empty() && ranges.iter().all(is_whole) {
            return Ok((Way::ByKey { rows: fetch(&of, columns, arena)?, keys: ranges }, is_empty));
        }
        let mut ranges = Ranges::begin(&of, columns, ranges, arena)?;
        ranges.scan.give_texts_of(batch_bytes_max(arena.budget().limit_on_path()))?;
        let scratch = Arena::new(arena.budget());
        let limits = column_ranges.iter().map(|range| ColumnRange {
            column: range.column as u16,
            from: range.lower,
            to: range.upper,
        });
        ranges.scan.leave_out_all_but(scratch.alloc_slice_from_iter(limits)?)?;
        for filter in plan.key_filters {
            if let Some(wanted) = ranges_of(filter, cx, arena)? {
                let column = plan.projection[filter.column as usize] as u16;
                ranges.scan.leave_out_all_but_numbers(column, wanted)?;
            }
        }
        return Ok((Way::InOrder(arena.alloc_box(ranges)?), is_empty));
    };
    let index = tables.table(used.index.id)?;
    // An index has the columns of its table's key, and those that the plan says.
    let place = |column: u16| index.sources().iter().position(|source| *source == column).unwrap_or(0) as u16;
    if used.is_only {
        let columns = arena.alloc_slice_from_iter(columns.iter().map(|column| place(*column)))?;
        let ranges = Ranges::begin(&index, columns, ranges, arena)?;
        return Ok((Way::InOrder(arena.alloc_box(ranges)?), is_empty));
    }
    let places = arena.alloc_slice_from_iter(of.key().iter().map(|part| place(part.column)))?;
    let mut key = Vec::with_capacity_in(places.len(), arena)?;
    for place in places.iter() {
        let ty = index.schema().columns[usize::from(*place)].ty;
        key.push(Column::new(ty, capacity, arena)?)?;
    }
    let through = Through {
        entries: Ranges::begin(&index, places, ranges, arena)?,
        key,
        waiting: 0..0,
        rows: fetch(&of, columns, arena)?,
        entries_max: ENTRIES_FIRST.min(capacity),
        capacity,
        scratch: Arena::new(arena.budget()),
    };
    Ok((Way::Through(arena.alloc_box(through)?), is_empty))
}

fn fetch<'a>(table: &Arc<Table>, columns: &'a [u16], arena: &'a Arena) -> Result<Fetch<'a>, AllocError> {
    let places = arena.alloc_slice_from_iter(0..columns.len() as u32)?;
    let batch_bytes_max = batch_bytes_max(arena.budget().limit_on_path());
    Ok(Fetch { rows: RowReader::new(table, arena), columns, places, batch_bytes_max })
}

#[cold]
fn describe<'a>(problem: &'a mut StoreProblem<'a>, error: cofferdam_store::Error) -> Error<'a> {
    match error {
        cofferdam_store::Error::OutOfMemory(error) => Error::OutOfMemory(error),
        error => {
            problem.error = error;
            Error::Store(problem)
        }
    }
}

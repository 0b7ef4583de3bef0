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
//! **Peak bytes**: the vectors of the read columns; for texts, those of a batch; what the store's scan holds. Through an index, beside it
//! the keys of a batch of its entries.
//!
//! **Ladder**: smaller batches under a small limit, then the typed error.

use std::sync::Arc;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::{KeyRange as PlanRange, Scan as PlanScan};
use cofferdam_plan::table::StoredTable;
use cofferdam_plan::{RunRanges, ranges_of_run};
use cofferdam_store::{Column, ColumnMut, ColumnRange, KeyRange, RowReader, Scan, Table, View};
use cofferdam_types::Value;

use super::filter::{Conjuncts, flatten};
use crate::batch::{BatchRows, Kind, Store, Vector, VectorId};
use crate::error::{Error, StoreProblem};
use crate::expr::Registers;
use crate::pipeline::{Context, Output};
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
    problem: Option<&'a mut StoreProblem<'a>>,
    /// How many rows were read last.
    pub(crate) rows_read: usize,
    is_done: bool,
}

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
        tables: &Tables<'_>,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(StoredScan<'a>, &'a [VectorId]), Error<'a>> {
        let columns = arena.alloc_slice_fill(plan.projection.len(), VectorId(0))?;
        for (id, position) in columns.iter_mut().zip(plan.projection) {
            *id = store.add_vector(Kind::of(table.columns[*position as usize].ty), arena)?;
        }
        let columns = &*columns;
        let parts = flatten(plan.conjuncts, arena)?;
        let conjuncts = Conjuncts::compile(parts, columns, store, &mut Registers::new(arena), arena)?;
        let problem = arena.alloc(StoreProblem { error: cofferdam_store::Error::Cancelled, place: None })?;
        let parameters = store.statement.parameters;
        let (way, is_done) = match begin(plan, table, parameters, tables, store.capacity, arena) {
            Ok(begun) => begun,
            Err(error) => return Err(describe(problem, error)),
        };
        let output = arena.alloc_slice_from_iter(plan.output.iter().map(|&slot| columns[slot as usize]))?;
        let taken = Vec::with_capacity_in(columns.len(), arena)?;
        let (scratch, problem) = (Arena::new(arena.budget()), Some(problem));
        let rows_read = 0;
        let scan = StoredScan { way, columns, taken, scratch, conjuncts, problem, rows_read, is_done };
        Ok((scan, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &Context<'_>) -> Result<Output, Error<'a>> {
        self.rows_read = 0;
        if self.is_done {
            return Ok(Output::End);
        }
        let rows = match self.read(store, cx.tables) {
            Ok(rows) => rows,
            Err(error) => {
                let problem = self.problem.take().expect("the first error ends the statement");
                return Err(describe(problem, error));
            }
        };
        self.rows_read = rows;
        if rows == 0 {
            self.is_done = true;
            return Ok(Output::End);
        }
        let batch = self.conjuncts.apply(BatchRows::all(rows), store)?;
        Ok(if store.rows(batch).len() == 0 { Output::Again } else { Output::Batch(batch) })
    }

    /// Has the store write the next rows into the columns.
    fn read(&mut self, store: &mut Store<'a>, tables: &Tables<'_>) -> Result<usize, cofferdam_store::Error> {
        for &id in self.columns {
            let mut vector = store.take(id);
            vector.all_valid = true;
            // Other kinds have no heap: an empty one stands for it, which takes nothing.
            let heap = if vector.kind() == Kind::Text {
                let mut heap = store.take_heap(vector.heap);
                heap.clear();
                heap
            } else {
                store.no_heap()
            };
            self.taken.push(Taken { vector, heap })?;
        }
        let outcome = self.read_taken(tables, store.capacity);
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

    fn read_taken(&mut self, tables: &Tables<'_>, rows_max: usize) -> Result<usize, cofferdam_store::Error> {
        let mut columns = Vec::with_capacity_in(self.taken.len(), &self.scratch)?;
        for Taken { vector, heap } in self.taken.iter_mut() {
            let Vector { data, valid, all_valid, .. } = vector;
            columns.push(ColumnMut { data, valid, all_valid, heap })?;
        }
        let way = &mut self.way;
        tables.with_view(&mut |view| way.next(view, &mut columns, rows_max))
    }
}

/// How rows are found.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a scan has one of them, in place")]
enum Way<'a> {
    /// In the order of their keys, in the table or in an index that has all columns.
    InOrder(Ranges<'a>),
    /// By whole keys.
    ByKey { rows: Fetch<'a>, keys: &'a [PlanRange<'a>] },
    /// Through the entries of an index.
    Through(Through<'a>),
}

impl Way<'_> {
    /// Writes the next rows; none at the end.
    fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, cofferdam_store::Error> {
        match self {
            Way::InOrder(ranges) => ranges.next(view, into, rows_max),
            Way::ByKey { rows, keys } => {
                let mut found = 0;
                while found < rows_max
                    && let Some((key, rest)) = keys.split_first()
                {
                    found += usize::from(rows.put(view, key.prefix, into, found)?);
                    *keys = rest;
                }
                Ok(found)
            }
            Way::Through(entries) => entries.next(view, into, rows_max),
        }
    }
}

/// Ranges of keys, one behind the other.
#[derive(Debug)]
struct Ranges<'a> {
    scan: Scan<'a>,
    /// Those behind the one that is read.
    rest: &'a [Ends<'a>],
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
        Ok(Ranges { scan: Scan::new(table, columns, &KeyRange::from(*first), arena)?, rest })
    }

    fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, cofferdam_store::Error> {
        loop {
            let rows = self.scan.next(view, into, rows_max)?;
            if rows > 0 {
                return Ok(rows);
            }
            let Some((next, rest)) = self.rest.split_first() else { return Ok(0) };
            self.scan.restart(&KeyRange::from(*next))?;
            self.rest = rest;
        }
    }
}

/// Reads rows by their keys.
#[derive(Debug)]
struct Fetch<'a> {
    rows: RowReader<'a>,
    columns: &'a [u16],
}

impl Fetch<'_> {
    /// Writes the row of a key to row `at`; false if there is none.
    fn put(
        &mut self,
        view: View<'_>,
        key: &[Value<'_>],
        into: &mut [ColumnMut<'_, '_>],
        at: usize,
    ) -> Result<bool, cofferdam_store::Error> {
        let columns = self.columns;
        let found = self
            .rows
            .get(view, key, |row| row.each(columns, |place, value| Ok(into[place].put(at, value)?)))?;
        Ok(found.is_some())
    }
}

/// Entries of an index, and the rows that they lead to.
#[derive(Debug)]
struct Through<'a> {
    entries: Ranges<'a>,
    /// The columns of the entries that are the table's key, in its order.
    key: Vec<'a, Column<'a>>,
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
            let wanted = self.entries_max.min(rows_max);
            self.entries_max = (wanted * 4).min(self.capacity);
            self.key.iter_mut().for_each(Column::clear);
            self.scratch.reset();
            let entries = {
                let mut targets = Vec::with_capacity_in(self.key.len(), &self.scratch)?;
                for column in self.key.iter_mut() {
                    targets.push(column.target())?;
                }
                self.entries.next(view, &mut targets, wanted)?
            };
            if entries == 0 {
                break;
            }
            let mut key = Vec::with_capacity_in(self.key.len(), &self.scratch)?;
            for entry in 0..entries {
                key.clear();
                key.extend(self.key.iter().map(|column| column.value(entry)))?;
                rows += usize::from(self.rows.put(view, &key, into, rows)?);
            }
        }
        Ok(rows)
    }
}

/// Begins to read what the plan's ranges leave of the table, the way that the plan says; also whether that is known to have no rows.
fn begin<'a>(
    plan: &PlanScan<'a>,
    table: &StoredTable<'a>,
    parameters: &[Value<'a>],
    tables: &Tables<'_>,
    capacity: usize,
    arena: &'a Arena,
) -> Result<(Way<'a>, bool), cofferdam_store::Error> {
    let RunRanges { ranges, column_ranges, is_empty } = ranges_of_run(plan, table, parameters, arena)?;
    let columns = arena.alloc_slice_from_iter(plan.projection.iter().map(|&position| position as u16))?;
    let of = tables.table(table.id)?;
    let Some(used) = plan.index else {
        let is_whole = |range: &PlanRange<'_>| range.prefix.len() == table.key.len();
        if !table.key.is_empty() && !ranges.is_empty() && ranges.iter().all(is_whole) {
            return Ok((Way::ByKey { rows: fetch(&of, columns, arena), keys: ranges }, is_empty));
        }
        let mut ranges = Ranges::begin(&of, columns, ranges, arena)?;
        let scratch = Arena::new(arena.budget());
        let limits = column_ranges.iter().map(|range| ColumnRange {
            column: range.column as u16,
            from: range.lower,
            to: range.upper,
        });
        ranges.scan.leave_out_all_but(scratch.alloc_slice_from_iter(limits)?)?;
        return Ok((Way::InOrder(ranges), is_empty));
    };
    let index = tables.table(used.index.id)?;
    // An index has the columns of its table's key, and those that the plan says.
    let place = |column: u16| index.sources().iter().position(|source| *source == column).unwrap_or(0) as u16;
    if used.is_only {
        let columns = arena.alloc_slice_from_iter(columns.iter().map(|column| place(*column)))?;
        return Ok((Way::InOrder(Ranges::begin(&index, columns, ranges, arena)?), is_empty));
    }
    let places = arena.alloc_slice_from_iter(of.key().iter().map(|part| place(part.column)))?;
    let mut key = Vec::with_capacity_in(places.len(), arena)?;
    for place in places.iter() {
        let ty = index.schema().columns[usize::from(*place)].ty;
        key.push(Column::new(ty, capacity, arena)?)?;
    }
    let way = Way::Through(Through {
        entries: Ranges::begin(&index, places, ranges, arena)?,
        key,
        rows: fetch(&of, columns, arena),
        entries_max: ENTRIES_FIRST.min(capacity),
        capacity,
        scratch: Arena::new(arena.budget()),
    });
    Ok((way, is_empty))
}

fn fetch<'a>(table: &Arc<Table>, columns: &'a [u16], arena: &'a Arena) -> Fetch<'a> {
    Fetch { rows: RowReader::new(table, arena), columns }
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

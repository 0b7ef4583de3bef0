//! Reading a file: rows are split into fields, the fields that a filter needs are converted first, and the others only
//! for the rows that pass it.
//!
//! A field that no row of the answer needs is split but never converted, so a malformed number in it goes unnoticed;
//! that is what makes reading two of sixteen columns cost a third of reading all.
//!
//! **Peak bytes**: the window (256 KiB, less under small limits; a longer line doubles it), 8 bytes per read column and
//! row of a batch for the fields' places, and the batch's vectors.
//!
//! **Ladder**: smaller window and batches under a small limit, then the typed error.

use std::fs::File;
use std::io;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::{Column, Expr, ExprKind, walk};
use cofferdam_plan::physical::{FileFormat, FileSource, Scan as PlanScan};

use super::filter::{Conjuncts, flatten};
use crate::batch::{BatchRows, HeapId, Kind, Origin, Store, TextView, VectorId};
use crate::csv::field::{BadField, FieldError, Fields, convert, is_made, make};
use crate::csv::reader::{ReadProblem, Reader, window_bytes};
use crate::csv::rows::{RowProblem, RowReader, special_byte};
use crate::csv::split::NULL_VIEW;
use crate::error::{Error, FileProblem, FileProblemKind};
use crate::expr::Registers;
use crate::pipeline::Output;

/// Reads the needed columns of a file.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    rows: RowReader<'a>,
    window: HeapId,
    /// The places of fields: `views[slot * capacity + row]`.
    views: &'a mut [TextView],
    columns: &'a [Slot<'a>],
    conjuncts: Conjuncts<'a>,
    /// The slots that each conjunct is the first to need, then those that only the output needs.
    needs: &'a [&'a [u32]],
    /// Where a problem is described; taken by the first one.
    problem: Option<&'a mut FileProblem<'a>>,
    fields: u32,
    is_assigned: bool,
    /// Whether the lines of rows are noted for errors of operators above.
    notes_lines: bool,
    /// How many rows were read last.
    pub(crate) rows_read: usize,
    is_done: bool,
}

/// A column that is read.
#[derive(Clone, Copy, Debug)]
struct Slot<'a> {
    /// Its position in the file.
    position: u32,
    column: Column<'a>,
    vector: VectorId,
}

impl<'a> Scan<'a> {
    pub(crate) fn open(
        plan: &PlanScan<'a>,
        source: &'a FileSource<'a>,
        notes_lines: bool,
        sources_count: u64,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(Scan<'a>, &'a [VectorId]), Error<'a>> {
        let FileFormat::Csv(format) = source.format;
        let problem = arena.alloc(FileProblem {
            path: source.path,
            line: 0,
            kind: FileProblemKind::Io { kind: io::ErrorKind::Other },
        })?;
        let file = match File::open(source.path) {
            Ok(file) => file,
            Err(error) => {
                problem.kind = FileProblemKind::Io { kind: error.kind() };
                return Err(Error::File(problem));
            }
        };
        if notes_lines {
            let lines = arena.alloc_slice_fill(store.capacity, 0)?;
            store.origin = Some(Origin { path: source.path, lines });
        }
        let window = store.add_heap(arena)?;
        let mut slots = Vec::with_capacity_in(plan.projection.len(), arena)?;
        for &position in plan.projection {
            let column = source.columns[position as usize];
            let vector = match Kind::of(column.ty) {
                Kind::Text if !is_made(column.ty) => store.add_text_over(window, arena)?,
                kind => store.add_vector(kind, arena)?,
            };
            slots.push(Slot { position, column, vector })?;
        }
        let slots = &*slots.into_slice();
        let vectors = arena.alloc_slice_from_iter(slots.iter().map(|slot| slot.vector))?;
        let parts = flatten(plan.conjuncts, arena)?;
        let conjuncts = Conjuncts::compile(parts, vectors, store, &mut Registers::new(arena), arena)?;
        let window_bytes = window_bytes(arena.budget().limit_on_path() / sources_count);
        let reader = Reader::new(file, special_byte(format), window_bytes);
        // Now, so that who looks for room behind the opening knows of it.
        store.heap_mut(window).reserve_exact(window_bytes)?;
        let fields = source.columns.len() as u32;
        let rows =
            RowReader::new(reader, format, source.fields, fields, plan.projection, store.capacity, arena)?;
        let scan = Scan {
            rows,
            window,
            views: arena.alloc_slice_fill(slots.len() * store.capacity, NULL_VIEW)?,
            columns: slots,
            conjuncts,
            needs: needs(parts, plan.output, arena)?,
            problem: Some(problem),
            fields,
            is_assigned: source.fields.is_assigned,
            notes_lines,
            rows_read: 0,
            is_done: false,
        };
        let output =
            arena.alloc_slice_from_iter(plan.output.iter().map(|&slot| slots[slot as usize].vector))?;
        Ok((scan, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>) -> Result<Output, Error<'a>> {
        self.rows_read = 0;
        if self.is_done {
            return Ok(Output::End);
        }
        let capacity = store.capacity;
        let count = match self.rows.next_rows(store.heap_mut(self.window), self.views, capacity) {
            Ok(count) => count,
            Err(problem) => return Err(self.row_error(problem)),
        };
        self.rows_read = count;
        if count == 0 {
            self.is_done = true;
            return Ok(Output::End);
        }
        if let Some(origin) = store.origin.as_mut().filter(|_| self.notes_lines) {
            for (row, line) in origin.lines.iter_mut().enumerate().take(count) {
                *line = self.rows.line_of(row);
            }
        }
        let mut batch = BatchRows::all(count);
        let needs = self.needs;
        for (index, slots) in needs.iter().enumerate() {
            for &slot in *slots {
                self.convert(slot as usize, batch, store)?;
            }
            if index < self.conjuncts.programs.len() {
                batch = self.conjuncts.apply_one(index, batch, store)?;
                if store.rows(batch).len() == 0 {
                    return Ok(Output::Again);
                }
            }
        }
        Ok(Output::Batch(batch))
    }

    /// Converts the fields of one column for the rows that are left.
    fn convert(&mut self, slot: usize, batch: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        let Slot { column, vector: id, .. } = self.columns[slot];
        let mut vector = store.take(id);
        let made = if is_made(column.ty) { store.take_heap(vector.heap) } else { store.no_heap() };
        let capacity = store.capacity;
        let views = &self.views[slot * capacity..(slot + 1) * capacity];
        let fields = Fields {
            views,
            window: store.heap(self.window),
            is_ascii: self.rows.reader.is_ascii,
            is_assigned: self.is_assigned,
        };
        let session = store.statement.conversions();
        let rows = store.rows(batch);
        let done = if is_made(column.ty) {
            let place = vector.heap;
            let mut heap = made;
            let done = make(fields, rows, column.ty, &session, &mut vector, &mut heap);
            store.put_heap_back(place, heap);
            done
        } else {
            Ok(convert(fields, rows, column.ty, &session, &mut vector))
        };
        store.put_back(id, vector);
        let done = done?;
        done.map_err(|bad| self.field_error(slot, bad))
    }

    fn field_error(&mut self, slot: usize, bad: BadField) -> Error<'a> {
        let Slot { position, column, .. } = self.columns[slot];
        let kind = match bad.error {
            FieldError::Value(error) => {
                let (column, name, is_assigned) = (position + 1, column.name, self.is_assigned);
                FileProblemKind::BadField { column, name, error, is_assigned }
            }
            FieldError::Utf8(at) => FileProblemKind::InvalidUtf8 {
                offset: self.rows.reader.offset + at as u64,
                name: column.name,
            },
        };
        self.describe(self.rows.line_of(bad.row), kind)
    }

    fn row_error(&mut self, problem: RowProblem) -> Error<'a> {
        let kind = match problem {
            RowProblem::Ragged { fields } => FileProblemKind::Ragged { fields, expected: self.fields },
            RowProblem::UnclosedQuote => FileProblemKind::UnclosedQuote,
            RowProblem::Read(ReadProblem::OutOfMemory(error)) => return Error::OutOfMemory(error),
            RowProblem::Read(ReadProblem::Io(kind)) => FileProblemKind::Io { kind },
            RowProblem::Read(ReadProblem::TooLong) => FileProblemKind::LineTooLong,
            RowProblem::Read(ReadProblem::Shrunk) => FileProblemKind::Shrunk,
            RowProblem::Read(ReadProblem::NulByte { at, newlines }) => {
                let kind = FileProblemKind::NulByte { offset: self.rows.reader.offset + at as u64 };
                return self.describe(self.rows.line_reached() + newlines, kind);
            }
        };
        self.describe(self.rows.line_reached(), kind)
    }

    #[cold]
    fn describe(&mut self, line: u64, kind: FileProblemKind<'a>) -> Error<'a> {
        let problem = self.problem.take().expect("the first error ends the statement");
        problem.line = line;
        problem.kind = kind;
        Error::File(problem)
    }
}

/// The slots that each conjunct needs and none before it did, then those that only the output needs.
fn needs<'a>(
    conjuncts: &[&'a Expr<'a>],
    output: &[u32],
    arena: &'a Arena,
) -> Result<&'a [&'a [u32]], AllocError> {
    let mut seen = Vec::new_in(arena);
    let mut ends = Vec::new_in(arena);
    for conjunct in conjuncts {
        let mut outcome = Ok(());
        walk::for_each(conjunct, arena, |expr| {
            if let ExprKind::Column(slot) = expr.kind
                && !seen.contains(&slot)
                && outcome.is_ok()
            {
                outcome = seen.push(slot);
            }
        })?;
        outcome?;
        ends.push(seen.len())?;
    }
    for slot in output {
        if !seen.contains(slot) {
            seen.push(*slot)?;
        }
    }
    ends.push(seen.len())?;
    let seen = &*seen.into_slice();
    let mut start = 0;
    let parts = ends.iter().map(|&end| {
        let part = &seen[start..end];
        start = end;
        part
    });
    Ok(arena.alloc_slice_from_iter(parts)?)
}

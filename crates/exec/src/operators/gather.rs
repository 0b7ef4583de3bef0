//! Columns of a join's matches: probe columns picked by row number, build columns read from kept rows.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::expr::{Expr, walk};
use cofferdam_plan::physical::OperatorId;

use crate::batch::{BatchRows, Data, Element, Kind, Rows, Store, TextView, Vector, VectorId};
use crate::error::Error;
use crate::expr::Registers;
use crate::operators::filter::{Conjuncts, flatten};
use crate::pipeline::Opening;
use crate::rows::{RowBlocks, RowLayout, RowRef};

/// A probe row and a build row that go together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Match {
    pub(super) probe: u16,
    pub(super) build: RowRef,
}

/// Turns matches into batches: probe columns followed by build columns, the residual conjuncts, the columns handed on.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub(super) matches: Vec<'a, Match>,
    probe_columns: &'a [VectorId],
    /// Where each probe column, then each build column goes, if anyone reads it.
    targets: &'a [Option<VectorId>],
    /// How build rows are kept; only columns that are read are.
    layout: RowLayout<'a>,
    residual: Conjuncts<'a>,
}

impl<'a> Joined<'a> {
    /// Gives the columns that are handed on as well.
    pub(super) fn open(
        probe: OperatorId,
        build: OperatorId,
        residual: &[&'a Expr<'a>],
        output: &[u32],
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(Joined<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        let probe_columns = opening.columns_of(probe);
        let build_kinds = arena.alloc_slice_from_iter(opening.kinds_of(build))?;
        let count = probe_columns.len() + build_kinds.len();
        let is_read = columns_read(residual, output, count, arena)?;
        let residual = flatten(residual, arena)?;
        let targets = arena.alloc_slice_fill(count, None)?;
        let mut kept = Vec::new_in(arena);
        for (position, target) in targets.iter_mut().enumerate().filter(|(position, _)| is_read[*position]) {
            let source = probe_columns.get(position).copied();
            *target = Some(match source {
                Some(source) if store.vector(source).kind() == Kind::Text => {
                    let heap = store.vector(source).heap;
                    store.add_text_over(heap, arena)?
                }
                Some(source) => store.add_vector(store.vector(source).kind(), arena)?,
                None => {
                    let kind = build_kinds[position - probe_columns.len()];
                    kept.push(kind)?;
                    store.add_vector(kind, arena)?
                }
            });
        }
        let layout = RowLayout::new(kept.iter().copied(), arena)?;
        // Columns that nobody reads have no vector; no program refers to them.
        let columns =
            arena.alloc_slice_from_iter(targets.iter().map(|target| target.unwrap_or(VectorId(u32::MAX))))?;
        let residual = Conjuncts::compile(residual, columns, store, &mut Registers::new(arena), arena)?;
        let handed_on =
            arena.alloc_slice_from_iter(output.iter().map(|&position| columns[position as usize]))?;
        let matches = Vec::with_capacity_in(store.capacity, arena)?;
        let joined = Joined { matches, probe_columns, targets, layout, residual };
        Ok((joined, handed_on))
    }

    /// Makes a batch of the matches and forgets them; `skip` bytes of each build row stand before what `layout` describes.
    pub(super) fn emit(
        &mut self,
        rows: &RowBlocks,
        skip: impl Fn(&[u8]) -> usize + Copy,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        let (probe, build) = self.targets.split_at(self.probe_columns.len());
        for (&source, &target) in self.probe_columns.iter().zip(probe) {
            if let Some(target) = target {
                gather(source, target, &self.matches, store);
            }
        }
        let payloads = self.matches.iter().map(|found| {
            let row = rows.get(found.build);
            &row[skip(row)..]
        });
        for (index, &target) in build.iter().flatten().enumerate() {
            self.layout.decode(index, payloads.clone(), target, store)?;
        }
        let batch = BatchRows::all(self.matches.len());
        self.matches.clear();
        self.residual.apply(batch, store)
    }
}

/// Which columns of both sides are read behind the matching.
fn columns_read<'a>(
    residual: &[&'a Expr<'a>],
    output: &[u32],
    count: usize,
    arena: &'a Arena,
) -> Result<&'a [bool], AllocError> {
    let is_read = arena.alloc_slice_fill(count, false)?;
    for &position in output {
        is_read[position as usize] = true;
    }
    for conjunct in residual {
        walk::for_each(conjunct, arena, |expr| {
            if let ExprKind::Column(position) = expr.kind {
                is_read[position as usize] = true;
            }
        })?;
    }
    Ok(is_read)
}

/// The build columns that are kept.
pub(super) fn kept_columns<'a>(
    probe: OperatorId,
    build: OperatorId,
    residual: &[&'a Expr<'a>],
    output: &[u32],
    opening: &Opening<'_, 'a>,
) -> Result<&'a [VectorId], AllocError> {
    let (arena, columns) = (opening.arena, opening.columns_of(build));
    let probe_count = opening.kinds_of(probe).len();
    let is_read = columns_read(residual, output, probe_count + columns.len(), arena)?;
    let mut kept = Vec::new_in(arena);
    for (&column, _) in columns.iter().zip(&is_read[probe_count..]).filter(|(_, is_read)| **is_read) {
        kept.push(column)?;
    }
    Ok(kept.into_slice())
}

/// Copies rows of a column to the first places of another, whose heap becomes the column's.
pub(super) fn copy_rows(source: VectorId, target: VectorId, batch: BatchRows, store: &mut Store<'_>) {
    let mut vector = store.take(target);
    let (from, rows) = (store.vector(source), store.rows(batch));
    vector.all_valid = from.all_valid;
    vector.heap = from.heap;
    if !from.all_valid {
        for (i, valid) in vector.valid[..rows.len()].iter_mut().enumerate() {
            *valid = from.is_valid(rows.nth(i));
        }
    }
    match &mut vector.data {
        Data::Bool(out) => copy(from, rows, out),
        Data::I32(out) => copy(from, rows, out),
        Data::I64(out) => copy(from, rows, out),
        Data::I128(out) => copy(from, rows, out),
        Data::F64(out) => copy(from, rows, out),
        Data::Text(out) => copy::<TextView>(from, rows, out),
    }
    store.put_back(target, vector);
}

#[inline(always)]
fn copy<T: Element>(from: &Vector<'_>, rows: Rows<'_>, out: &mut [T]) {
    let values = from.values::<T>();
    for (i, out) in out[..rows.len()].iter_mut().enumerate() {
        *out = values.get(rows.nth(i));
    }
}

/// Picks the probe rows of the matches from one column.
fn gather(source: VectorId, target: VectorId, matches: &[Match], store: &mut Store<'_>) {
    let mut vector = store.take(target);
    let from = store.vector(source);
    vector.all_valid = from.all_valid;
    if !from.all_valid {
        for (valid, found) in vector.valid.iter_mut().zip(matches) {
            *valid = from.is_valid(usize::from(found.probe));
        }
    }
    match &mut vector.data {
        Data::Bool(out) => pick(from, matches, out),
        Data::I32(out) => pick(from, matches, out),
        Data::I64(out) => pick(from, matches, out),
        Data::I128(out) => pick(from, matches, out),
        Data::F64(out) => pick(from, matches, out),
        Data::Text(out) => pick::<TextView>(from, matches, out),
    }
    store.put_back(target, vector);
}

#[inline(always)]
fn pick<T: Element>(from: &Vector<'_>, matches: &[Match], out: &mut [T]) {
    let values = from.values::<T>();
    for (out, found) in out.iter_mut().zip(matches) {
        *out = values.get(usize::from(found.probe));
    }
}

//! Columns of a join's matches: probe columns picked by row number, build columns read from kept rows.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::{Expr, ExprKind, walk};
use cofferdam_plan::physical::OperatorId;

use crate::batch::{BatchRows, Data, Element, Kind, Rows, SelectionId, Store, TextView, Vector, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, Test, compile, passing};
use crate::operators::filter::flatten;
use crate::pipeline::{Opening, batch_bytes_max};
use crate::rows::RowLayout;
use crate::spill::RowRef;

/// Stands for a probe row that there is none of.
pub(super) const NO_ROW: u16 = u16::MAX;
/// Stands for the table of a build row that there is none of.
pub(super) const NO_TABLE: u8 = u8::MAX;

/// What a build row has before it counts as long.
const SHORT_ROW_BYTES: usize = 128;

/// A probe row and a build row that go together; one of them may be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    /// Its number among the batch's rows.
    pub(super) probe: u16,
    /// Where the build row is.
    pub(super) table: u8,
    pub(super) build: RowRef,
}

impl Match {
    pub(super) const fn pair(probe: usize, table: u8, build: RowRef) -> Match {
        Match { probe: probe as u16, table, build }
    }

    /// A probe row without a build row.
    pub(super) fn probe_alone(probe: usize) -> Match {
        Match { probe: probe as u16, table: NO_TABLE, build: RowRef::default() }
    }

    /// A build row without a probe row.
    pub(super) const fn build_alone(table: u8, build: RowRef) -> Match {
        Match { probe: NO_ROW, table, build }
    }
}

/// Turns matches into batches: probe columns followed by build columns, and tests the conjuncts.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    pub(super) matches: Vec<'a, Match>,
    /// What the matches' build rows have beyond [`SHORT_ROW_BYTES`], and the most that they have; one row may have more.
    long_bytes: u64,
    long_bytes_max: u64,
    /// Where each probe column goes, if anyone reads it.
    probe_targets: &'a [Option<VectorId>],
    /// Where the kept build columns go.
    build_targets: &'a [VectorId],
    /// How build rows are kept.
    layout: RowLayout<'a>,
    /// A build row of NULLs.
    nulls: &'a [u8],
    conjuncts: Vec<'a, Program<'a>>,
    selection: SelectionId,
    /// By match, whether a conjunct was NULL and none false; only where that is asked for.
    pub(super) unknown: &'a mut [bool],
}

impl<'a> Joined<'a> {
    /// Gives the columns that are handed on as well.
    pub(super) fn open(
        probe: OperatorId,
        build: OperatorId,
        conjuncts: &[&'a Expr<'a>],
        output: &[u32],
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(Joined<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        let probe_columns = opening.columns_of(probe);
        let build_kinds = &*arena.alloc_slice_from_iter(opening.kinds_of(build))?;
        let count = probe_columns.len() + build_kinds.len();
        let is_read = columns_read(conjuncts, output, count, arena)?;
        let conjuncts = flatten(conjuncts, arena)?;
        let (probe_read, build_read) = is_read.split_at(probe_columns.len());
        // Columns that nobody reads have no vector; no program refers to them.
        let columns = arena.alloc_slice_fill(count, VectorId(u32::MAX))?;
        let probe_targets = arena.alloc_slice_fill(probe_columns.len(), None)?;
        for (at, target) in probe_targets.iter_mut().enumerate().filter(|(at, _)| probe_read[*at]) {
            let source = store.vector(probe_columns[at]);
            let (kind, heap) = (source.kind(), source.heap);
            columns[at] = match kind {
                Kind::Text => store.add_text_over(heap, arena)?,
                kind => store.add_vector(kind, arena)?,
            };
            *target = Some(columns[at]);
        }
        let (mut kept, mut build_targets) = (Vec::new_in(arena), Vec::new_in(arena));
        for (at, &kind) in build_kinds.iter().enumerate().filter(|(at, _)| build_read[*at]) {
            let target = store.add_vector(kind, arena)?;
            columns[probe_columns.len() + at] = target;
            kept.push(kind)?;
            build_targets.push(target)?;
        }
        let layout = RowLayout::new(kept.iter().copied(), arena)?;
        let mut registers = Registers::new(arena);
        let mut programs = Vec::with_capacity_in(conjuncts.len(), arena)?;
        for conjunct in conjuncts {
            let program = compile(conjunct, columns, store, &mut registers)?;
            // The result is read before the next conjunct runs.
            registers.give_back(&program)?;
            programs.push(program)?;
        }
        let handed_on =
            arena.alloc_slice_from_iter(output.iter().map(|&position| columns[position as usize]))?;
        let joined = Joined {
            matches: Vec::with_capacity_in(store.capacity, arena)?,
            long_bytes: 0,
            long_bytes_max: match kept.contains(&Kind::Text) {
                true => batch_bytes_max(arena.budget().limit_on_path()),
                false => u64::MAX,
            },
            probe_targets,
            build_targets: build_targets.into_slice(),
            nulls: layout.row_of_nulls(arena)?,
            layout,
            conjuncts: programs,
            selection: store.add_selection(arena)?,
            unknown: arena.alloc_slice_fill(store.capacity, false)?,
        };
        Ok((joined, handed_on))
    }

    /// Whether there is no room for another match in a batch of `capacity`.
    #[inline(always)]
    pub(super) fn is_full(&self, capacity: usize) -> bool {
        self.matches.len() == capacity || self.long_bytes >= self.long_bytes_max
    }

    /// Adds a match with a build row of so many bytes.
    #[inline(always)]
    pub(super) fn push(&mut self, found: Match, row_bytes: usize) -> Result<(), AllocError> {
        self.long_bytes += row_bytes.saturating_sub(SHORT_ROW_BYTES) as u64;
        self.matches.push(found)
    }

    /// Forgets the matches.
    pub(super) fn clear(&mut self) {
        self.matches.clear();
        self.long_bytes = 0;
    }

    /// The probe columns that are read, by position.
    pub(super) fn probe_read(&self) -> impl Iterator<Item = usize> + '_ {
        self.probe_targets.iter().enumerate().filter(|(_, target)| target.is_some()).map(|(at, _)| at)
    }

    /// Whether pairs are tested.
    pub(super) fn has_conjuncts(&self) -> bool {
        !self.conjuncts.is_empty()
    }

    /// Writes the columns of the matches: `sources` has a vector for each probe column that is read, `rows` are the batch's, and
    /// `payload` gives the kept columns of a build row.
    pub(super) fn write<'r>(
        &mut self,
        sources: &[VectorId],
        batch: BatchRows,
        payload: impl Fn(&Match) -> &'r [u8] + Copy,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        for (&source, &target) in sources.iter().zip(self.probe_targets.iter().flatten()) {
            gather(source, target, &self.matches, batch, store);
        }
        let nulls = self.nulls;
        let rows =
            self.matches.iter().map(|found| if found.table == NO_TABLE { nulls } else { payload(found) });
        for (index, &target) in self.build_targets.iter().enumerate() {
            self.layout.decode(index, rows.clone(), target, store)?;
        }
        Ok(BatchRows::all(self.matches.len()))
    }

    /// Writes the build columns of the matches, which are a block of build rows.
    pub(super) fn write_block<'r>(
        &mut self,
        payload: impl Fn(&Match) -> &'r [u8] + Copy,
        store: &mut Store<'a>,
    ) -> Result<(), AllocError> {
        let rows = self.matches.iter().map(payload);
        self.build_targets
            .iter()
            .enumerate()
            .try_for_each(|(index, &target)| self.layout.decode(index, rows.clone(), target, store))
    }

    /// Lets the probe columns stand for the `i`-th row of a batch, whatever the row of the block.
    pub(super) fn hold(&self, sources: &[VectorId], batch: BatchRows, i: usize, store: &mut Store<'a>) {
        for (&source, &target) in sources.iter().zip(self.probe_targets.iter().flatten()) {
            let mut vector = store.take(target);
            let row = store.rows(batch).nth(i);
            pick_all(store.vector(source), core::iter::once(Some(row)), &mut vector);
            vector.is_constant = true;
            store.put_back(target, vector);
        }
    }

    /// The matches whose columns were written for which all conjuncts are true; with `three_valued` also those for which none is false,
    /// and `unknown` says which of them have a NULL.
    pub(super) fn test(
        &mut self,
        mut batch: BatchRows,
        three_valued: bool,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        if three_valued {
            self.unknown[..batch.count].fill(false);
        }
        let test = if three_valued { Test::NotFalse } else { Test::True };
        for index in 0..self.conjuncts.len() {
            let program = &mut self.conjuncts[index];
            program.run(store, batch)?;
            let mut selection = store.take_selection(self.selection);
            let result = store.vector(program.result);
            if batch.selection.is_some() {
                let mut kept = 0;
                for i in 0..selection.count {
                    let row = selection.rows[i];
                    kept += passing(result, test, Rows::Some(&[row]), &mut selection.rows[kept..=kept]);
                }
                selection.count = kept;
            } else {
                selection.count = passing(result, test, store.rows(batch), selection.rows);
            }
            if three_valued && !result.all_valid {
                for &row in &selection.rows[..selection.count] {
                    self.unknown[usize::from(row)] |= !result.is_valid(usize::from(row));
                }
            }
            store.put_selection_back(self.selection, selection);
            batch.selection = Some(self.selection);
        }
        Ok(batch)
    }
}

/// Which columns of both sides are read behind the matching.
fn columns_read<'a>(
    conjuncts: &[&'a Expr<'a>],
    output: &[u32],
    count: usize,
    arena: &'a Arena,
) -> Result<&'a [bool], AllocError> {
    let is_read = arena.alloc_slice_fill(count, false)?;
    for &position in output {
        is_read[position as usize] = true;
    }
    for conjunct in conjuncts {
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
    conjuncts: &[&'a Expr<'a>],
    output: &[u32],
    opening: &Opening<'_, 'a>,
) -> Result<&'a [VectorId], AllocError> {
    let (arena, columns) = (opening.arena, opening.columns_of(build));
    let probe_count = opening.kinds_of(probe).len();
    let is_read = columns_read(conjuncts, output, probe_count + columns.len(), arena)?;
    let mut kept = Vec::new_in(arena);
    for (&column, _) in columns.iter().zip(&is_read[probe_count..]).filter(|(_, is_read)| **is_read) {
        kept.push(column)?;
    }
    Ok(kept.into_slice())
}

/// Copies rows of a column to the first places of another, whose heap becomes the column's.
pub(in crate::operators) fn copy_rows(
    source: VectorId,
    target: VectorId,
    batch: BatchRows,
    store: &mut Store<'_>,
) {
    let mut vector = store.take(target);
    let (from, rows) = (store.vector(source), store.rows(batch));
    let places = (0..rows.len()).map(|i| Some(rows.nth(i)));
    pick_all(from, places, &mut vector);
    store.put_back(target, vector);
}

/// Picks the probe rows of the matches from one column.
fn gather(source: VectorId, target: VectorId, matches: &[Match], batch: BatchRows, store: &mut Store<'_>) {
    let mut vector = store.take(target);
    let (from, rows) = (store.vector(source), store.rows(batch));
    let place = |found: &Match| (found.probe != NO_ROW).then(|| rows.nth(usize::from(found.probe)));
    pick_all(from, matches.iter().map(place), &mut vector);
    store.put_back(target, vector);
}

/// Writes the values at some places of a column; there is none at `None`, which is NULL.
fn pick_all(from: &Vector<'_>, places: impl Iterator<Item = Option<usize>> + Clone, vector: &mut Vector<'_>) {
    vector.heap = from.heap;
    (vector.all_valid, vector.is_constant) = (true, false);
    for (valid, place) in vector.valid.iter_mut().zip(places.clone()) {
        *valid = place.is_some_and(|row| from.is_valid(row));
        vector.all_valid &= *valid;
    }
    match &mut vector.data {
        Data::Bool(out) => pick(from, places, out),
        Data::I32(out) => pick(from, places, out),
        Data::I64(out) => pick(from, places, out),
        Data::I128(out) => pick(from, places, out),
        Data::F64(out) => pick(from, places, out),
        Data::Text(out) => pick::<TextView>(from, places, out),
    }
}

#[inline(always)]
fn pick<T: Element>(from: &Vector<'_>, places: impl Iterator<Item = Option<usize>>, out: &mut [T]) {
    let values = from.values::<T>();
    for (out, place) in out.iter_mut().zip(places) {
        *out = place.map_or(T::default(), |row| values.get(row));
    }
}

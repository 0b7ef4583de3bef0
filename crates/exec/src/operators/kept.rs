//! Rows that are kept as they are: of a `Materialize` for the scans that read it, and of a recursion from round to round.
//!
//! ```text
//! base ──> next ──swap──> working ──> handed out ──> round: step reads working, writes next ──swap──> …
//!           └── UNION: only rows that `seen` has not
//! ```
//!
//! **Peak bytes**: the rows with 4 bytes of length each; of a recursion those of two rounds, and with `UNION` the distinct rows with
//! 24 bytes of table for each.
//!
//! **Ladder**: in memory, then the typed error.

use cofferdam_arena::BudgetAlloc;
use cofferdam_plan::physical::{OperatorId, OperatorKind};

use super::State;
use crate::batch::{BatchRows, Store, VectorId};
use crate::canonical::ComparedColumns;
use crate::error::Error;
use crate::hash_table::HashTable;
use crate::pipeline::{Context, ListId, Opening, Output};
use crate::rows::{RowBlocks, RowEncoder, RowLayout, RowRef};

/// The rows of a `Materialize`.
#[derive(Debug)]
pub(crate) struct KeptRows {
    rows: RowBlocks,
}

/// The rows of a recursion.
#[derive(Debug)]
pub(crate) struct Recursion {
    /// Those of the last round.
    working: RowBlocks,
    /// Those of the round that is under way.
    next: RowBlocks,
    /// All rows so far, if they are given once.
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    rows: RowBlocks,
    table: HashTable,
}

/// Keeps rows for scans.
#[derive(Debug)]
pub(crate) struct KeptSink<'a> {
    id: OperatorId,
    columns: &'a [VectorId],
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
}

impl<'a> KeptSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        opening: &Opening<'_, 'a>,
        cx: &mut Context<'_>,
    ) -> Result<KeptSink<'a>, Error<'a>> {
        let pieces = BudgetAlloc::new(opening.budget());
        *cx.state(opening.id) = State::Kept(KeptRows { rows: RowBlocks::new(&pieces) });
        Ok(KeptSink {
            id: opening.id,
            columns: opening.columns_of(input),
            layout: RowLayout::new(opening.kinds_of(input), opening.arena)?,
            encoder: RowEncoder::new(opening.arena),
        })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let State::Kept(kept) = cx.state(self.id) else { unreachable!("it was made when this was opened") };
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.columns, rows, store)?;
        for i in 0..rows.len() {
            kept.rows.push(&[self.encoder.row(i)])?;
        }
        Ok(())
    }
}

/// Keeps the rows that a recursion begins with, or those of a round.
#[derive(Debug)]
pub(crate) struct RecursionSink<'a> {
    kept: KeptSink<'a>,
    /// How rows are compared.
    compared: ComparedColumns<'a>,
    keys: RowLayout<'a>,
    key_encoder: RowEncoder<'a>,
}

impl<'a> RecursionSink<'a> {
    pub(crate) fn open(
        input: OperatorId,
        is_base: bool,
        is_distinct: bool,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<RecursionSink<'a>, Error<'a>> {
        if is_base {
            let pieces = BudgetAlloc::new(opening.budget());
            let rows = || RowBlocks::new(&pieces);
            let seen = is_distinct.then(|| Seen { rows: rows(), table: HashTable::new(&pieces) });
            *cx.state(opening.id) = State::Recursion(Recursion { working: rows(), next: rows(), seen });
        }
        let kept = KeptSink {
            id: opening.id,
            columns: opening.columns_of(input),
            layout: RowLayout::new(opening.kinds_of(input), opening.arena)?,
            encoder: RowEncoder::new(opening.arena),
        };
        let types = opening.operators[input.index()].columns.iter().map(|column| column.ty);
        let columns = kept.columns.iter().copied().zip(types);
        let compared = ComparedColumns::open(columns, store, opening.arena)?;
        let kinds = compared.columns.iter().map(|&id| store.vector(id).kind());
        let keys = RowLayout::keys(kinds, opening.arena)?;
        Ok(RecursionSink { kept, compared, keys, key_encoder: RowEncoder::new(opening.arena) })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let KeptSink { id, columns, layout, encoder } = &mut self.kept;
        let Recursion { next, seen, .. } = recursion(cx, *id);
        if seen.is_some() {
            self.compared.run(batch, store)?;
        }
        let rows = store.rows(batch);
        encoder.encode(layout, columns, rows, store)?;
        if seen.is_some() {
            self.key_encoder.encode(&self.keys, self.compared.columns, rows, store)?;
        }
        for i in 0..rows.len() {
            let is_new = match seen {
                Some(seen) => seen.table.find_or_insert(self.key_encoder.row(i), &mut seen.rows)?.1,
                None => true,
            };
            if is_new {
                next.push(&[encoder.row(i)])?;
            }
        }
        Ok(())
    }
}

fn recursion<'c>(cx: &'c mut Context<'_>, id: OperatorId) -> &'c mut Recursion {
    let State::Recursion(recursion) = cx.state(id) else { unreachable!("the sink of its base made it") };
    recursion
}

/// Whose rows are read.
#[derive(Clone, Copy, Debug)]
enum Whose {
    Materialize(OperatorId),
    Recursion(OperatorId),
}

/// Reads kept rows.
#[derive(Debug)]
pub(crate) struct KeptSource<'a> {
    whose: Whose,
    /// Whether rows are given back behind the reading.
    consumes: bool,
    /// Where the next row is.
    place: RowRef,
    /// The rows of a batch.
    batch: &'a mut [RowRef],
    layout: RowLayout<'a>,
    output: &'a [VectorId],
}

impl<'a> KeptSource<'a> {
    fn open(
        whose: Whose,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        let output = opening.add_columns(store)?;
        let layout = RowLayout::new(opening.kinds_of(opening.id), opening.arena)?;
        let batch = opening.arena.alloc_slice_fill(store.capacity, RowRef::default())?;
        let consumes = opening.consumes && matches!(whose, Whose::Materialize(_));
        let place = RowRef::default();
        Ok((KeptSource { whose, consumes, place, batch, layout, output }, output))
    }

    /// Reads what a `Materialize` keeps.
    pub(crate) fn open_cte(
        cte: OperatorId,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        KeptSource::open(Whose::Materialize(cte), opening, store)
    }

    /// Reads the last round of the recursion of this number.
    pub(crate) fn open_working(
        working: u32,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(KeptSource<'a>, &'a [VectorId]), Error<'a>> {
        let is_it = |kind: &OperatorKind<'_>| matches!(kind, OperatorKind::Recursive { working: of, .. } if *of == working);
        let index = opening.operators.iter().position(|operator| is_it(&operator.kind));
        let index = index.expect("a working table is that of a recursion of the plan");
        KeptSource::open(Whose::Recursion(OperatorId::new(index as u32)), opening, store)
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let rows = match self.whose {
            Whose::Recursion(id) => &mut recursion(cx, id).working,
            Whose::Materialize(id) => match cx.state(id) {
                State::Kept(kept) => &mut kept.rows,
                _ => unreachable!("it is kept until the last scan has read it"),
            },
        };
        let mut count = 0;
        while count < self.batch.len()
            && let Some((row, next)) = rows.next(self.place)
        {
            (self.batch[count], self.place) = (row, next);
            count += 1;
        }
        if count == 0 {
            return Ok(Output::End);
        }
        let bytes = self.batch[..count].iter().map(|&row| rows.get(row));
        for (index, &target) in self.output.iter().enumerate() {
            self.layout.decode(index, bytes.clone(), target, store)?;
        }
        if self.consumes {
            rows.release_before(self.place);
        }
        Ok(Output::Batch(BatchRows::all(count)))
    }
}

/// Hands out the rows of a recursion, and asks for rounds.
#[derive(Debug)]
pub(crate) struct RecursionSource<'a> {
    id: OperatorId,
    rounds: ListId,
    rows: KeptSource<'a>,
    /// Whether the rows of the last round are being handed out.
    is_handing_out: bool,
}

impl<'a> RecursionSource<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(RecursionSource<'a>, &'a [VectorId]), Error<'a>> {
        let (rows, columns) = KeptSource::open(Whose::Recursion(opening.id), opening, store)?;
        let rounds = opening.rounds.expect("a recursion has rounds");
        Ok((RecursionSource { id: opening.id, rounds, rows, is_handing_out: false }, columns))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        if !self.is_handing_out {
            // A round is over.
            let Recursion { working, next, .. } = recursion(cx, self.id);
            core::mem::swap(working, next);
            next.clear();
            if working.next(RowRef::default()).is_none() {
                return Ok(Output::End);
            }
            self.rows.place = RowRef::default();
            self.is_handing_out = true;
        }
        let output = self.rows.next(store, cx)?;
        if output == Output::End {
            self.is_handing_out = false;
            return Ok(Output::Round(self.rounds));
        }
        Ok(output)
    }
}

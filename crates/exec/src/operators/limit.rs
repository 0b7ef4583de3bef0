//! OFFSET and LIMIT: rows are skipped and cut by selection, and no more input is asked for once there are enough.
//!
//! With ties rows go on to pass as long as they are equal to the last one in the columns of the order, which are compared
//! as key bytes.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::expr::{Column, Expr};
use cofferdam_plan::physical::Limit as PlanLimit;
use cofferdam_types::{Type, Value};

use super::values::evaluate;
use crate::batch::{BatchRows, SelectionId, Store, VectorId};
use crate::canonical::ComparedColumns;
use crate::error::{ArgumentProblem, Error};
use crate::pipeline::Passed;
use crate::rows::{RowEncoder, RowLayout};
use crate::statement::Statement;

/// Skips rows, then passes so many.
#[derive(Debug)]
pub(crate) struct Limit<'a> {
    /// Rows still to skip.
    skip: u64,
    /// Rows still to pass, ties aside.
    pass: u64,
    ties: Option<Ties<'a>>,
    selection: SelectionId,
}

/// What rows are compared in with the last one.
#[derive(Debug)]
struct Ties<'a> {
    columns: ComparedColumns<'a>,
    layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    /// The key of the last row that was passed.
    last: Vec<'a, u8>,
}

impl<'a> Limit<'a> {
    pub(crate) fn open(
        plan: &PlanLimit<'a>,
        columns: &'a [VectorId],
        types: &[Column<'a>],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Limit<'a>, Error<'a>> {
        let statement = store.statement;
        let skip = number(plan.offset, ArgumentProblem::NegativeOffset, statement, arena)?.unwrap_or(0);
        let pass = number(plan.count, ArgumentProblem::NegativeLimit, statement, arena)?;
        let ties = match (plan.ties, pass) {
            (Some(ties), Some(1..)) => {
                let column = |&at: &u32| (columns[at as usize], types[at as usize].ty);
                let columns = ComparedColumns::open(ties.iter().map(column), store, arena)?;
                let layout =
                    RowLayout::keys(columns.columns.iter().map(|&id| store.vector(id).kind()), arena)?;
                Some(Ties { columns, layout, encoder: RowEncoder::new(arena), last: Vec::new_in(arena) })
            }
            _ => None,
        };
        let selection = store.add_selection(arena)?;
        Ok(Limit { skip, pass: pass.unwrap_or(u64::MAX), ties, selection })
    }

    /// Whether it passes nothing.
    pub(crate) fn is_finished(&self) -> bool {
        self.pass == 0 && self.ties.is_none()
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        let rows = store.rows(batch).len();
        let skipped = self.skip.min(rows as u64) as usize;
        let mut passed = self.pass.min((rows - skipped) as u64) as usize;
        let was_passing = self.pass > 0;
        self.skip -= skipped as u64;
        self.pass -= passed as u64;
        let mut is_last = self.pass == 0;
        if let Some(ties) = &mut self.ties
            && is_last
        {
            if was_passing {
                ties.remember(batch, skipped + passed - 1, store)?;
            }
            passed = ties.end(batch, skipped + passed, store)? - skipped;
            is_last = skipped + passed < rows;
        }
        let kept = if passed == rows { batch } else { self.cut(batch, skipped, passed, store) };
        Ok(match (passed, is_last) {
            (0, true) => Passed::Finished,
            (0, false) => Passed::Nothing,
            (_, true) => Passed::Last(kept),
            (_, false) => Passed::Batch(kept),
        })
    }

    /// The rows of a batch from position `skipped` on, `passed` of them.
    fn cut(&self, batch: BatchRows, skipped: usize, passed: usize, store: &mut Store<'_>) -> BatchRows {
        let mut selection = store.take_selection(self.selection);
        let rows = store.rows(batch);
        for (i, slot) in selection.rows[..passed].iter_mut().enumerate() {
            *slot = rows.nth(skipped + i) as u16;
        }
        selection.count = passed;
        store.put_selection_back(self.selection, selection);
        BatchRows { count: batch.count, selection: Some(self.selection) }
    }
}

impl<'a> Ties<'a> {
    /// Keeps the key of the row at a position of the batch.
    fn remember(&mut self, batch: BatchRows, at: usize, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        self.columns.run(batch, store)?;
        self.encoder.encode(&self.layout, self.columns.columns, store.rows(batch), store)?;
        self.last.clear();
        Ok(self.last.extend_from_slice(self.encoder.row(at))?)
    }

    /// The position of the first row from `from` on that is not equal to the last one.
    fn end(&mut self, batch: BatchRows, from: usize, store: &mut Store<'a>) -> Result<usize, Error<'a>> {
        self.columns.run(batch, store)?;
        let rows = store.rows(batch);
        self.encoder.encode(&self.layout, self.columns.columns, rows, store)?;
        let is_other = |at: &usize| self.encoder.row(*at) != &*self.last;
        Ok((from..rows.len()).find(is_other).unwrap_or(rows.len()))
    }
}

/// The value of a count; `None` for NULL and where there is none.
fn number<'a>(
    expr: Option<&'a Expr<'a>>,
    problem: ArgumentProblem,
    statement: Statement<'a>,
    arena: &'a Arena,
) -> Result<Option<u64>, Error<'a>> {
    let Some(expr) = expr else { return Ok(None) };
    let scratch = Arena::new(arena.budget());
    let mut statement = statement;
    let value = evaluate(expr, Type::BigInt, &mut statement, &scratch, |value| match value {
        Value::BigInt(number) => Some(number),
        _ => None,
    });
    let value = value.map_err(Error::detached)?;
    let negative = |_| Error::Argument { problem, span: expr.span };
    value.map(|number| u64::try_from(number).map_err(negative)).transpose()
}

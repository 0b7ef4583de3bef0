//! Filter and projection: what they compute is computed by programs, what they pass on is passed on as it stands.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::{BinaryOp, Column, Expr, ExprKind};
use cofferdam_types::Type;

use crate::batch::{BatchRows, SelectionId, Store, VectorId};
use crate::error::{Error, FileProblem, FileProblemKind};
use crate::expr::{Program, Registers, Test, compile, narrow_in_place, passing};
use crate::pipeline::Passed;

/// Conjuncts that are tested one after the other, each on the rows that passed those before it.
#[derive(Debug)]
pub(crate) struct Conjuncts<'a> {
    pub(crate) programs: Vec<'a, Program<'a>>,
    selection: SelectionId,
}

impl<'a> Conjuncts<'a> {
    pub(crate) fn compile(
        conjuncts: &[&'a Expr<'a>],
        columns: &[VectorId],
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Conjuncts<'a>, Error<'a>> {
        if conjuncts.is_empty() {
            // Nobody asks for a selection.
            return Ok(Conjuncts { programs: Vec::new_in(arena), selection: SelectionId(0) });
        }
        let mut programs = Vec::with_capacity_in(conjuncts.len(), arena)?;
        for conjunct in conjuncts {
            let program = compile(conjunct, columns, store, registers)?;
            // The result is read before the next conjunct runs.
            registers.give_back(&program)?;
            programs.push(program)?;
        }
        Ok(Conjuncts { programs, selection: store.add_selection(arena)? })
    }

    /// The rows of the batch that satisfy all conjuncts.
    pub(crate) fn apply(
        &mut self,
        mut batch: BatchRows,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        for index in 0..self.programs.len() {
            batch = self.apply_one(index, batch, store)?;
        }
        Ok(batch)
    }

    /// The rows of the batch that satisfy one conjunct.
    pub(crate) fn apply_one(
        &mut self,
        index: usize,
        batch: BatchRows,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        let program = &mut self.programs[index];
        program.run(store, batch)?;
        let mut selection = store.take_selection(self.selection);
        let result = store.vector(program.result);
        selection.count = if batch.selection == Some(self.selection) {
            narrow_in_place(result, selection.rows, selection.count)
        } else {
            passing(result, Test::True, store.rows(batch), selection.rows)
        };
        store.put_selection_back(self.selection, selection);
        Ok(BatchRows { count: batch.count, selection: Some(self.selection) })
    }
}

/// Splits conjunctions into their parts, and `a BETWEEN b AND c` of a column into two comparisons, so that each part
/// is tested only where those before it are true.
pub(crate) fn flatten<'a>(
    conjuncts: &[&'a Expr<'a>],
    arena: &'a Arena,
) -> Result<&'a [&'a Expr<'a>], AllocError> {
    let is_part = |expr: &&Expr<'_>| {
        !matches!(
            expr.kind,
            ExprKind::Binary { op: BinaryOp::And, .. } | ExprKind::Between { negated: false, .. }
        )
    };
    if conjuncts.iter().all(is_part) {
        return Ok(arena.alloc_slice_copy(conjuncts)?);
    }
    let scratch = Arena::new(arena.budget());
    let mut rest = Vec::new_in(&scratch);
    for &conjunct in conjuncts.iter().rev() {
        rest.push(conjunct)?;
    }
    let mut parts = Vec::new_in(arena);
    while let Some(expr) = rest.pop() {
        match &expr.kind {
            ExprKind::Binary { op: BinaryOp::And, left, right } => {
                rest.push(*right)?;
                rest.push(*left)?;
            }
            ExprKind::Between { arg, low, high, negated: false }
                if matches!(arg.kind, ExprKind::Column(_)) =>
            {
                for (op, right) in [(BinaryOp::GreaterEqual, low), (BinaryOp::LessEqual, high)] {
                    let kind = ExprKind::Binary { op, left: arg, right };
                    parts.push(&*arena.alloc(Expr { kind, ty: Type::Boolean, span: expr.span })?)?;
                }
            }
            _ => parts.push(expr)?,
        }
    }
    Ok(parts.into_slice())
}

/// Passes the rows for which all conjuncts are true.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    conjuncts: Conjuncts<'a>,
}

impl<'a> Filter<'a> {
    pub(crate) fn open(
        conjuncts: &[&'a Expr<'a>],
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Filter<'a>, Error<'a>> {
        let parts = flatten(conjuncts, arena)?;
        let conjuncts = Conjuncts::compile(parts, columns, store, &mut Registers::new(arena), arena)?;
        Ok(Filter { conjuncts })
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        let passed = self.conjuncts.apply(batch, store)?;
        let is_empty = store.rows(passed).len() == 0;
        Ok(if is_empty { Passed::Nothing } else { Passed::Batch(passed) })
    }
}

/// Computes columns. A column of the input is not copied but named again.
#[derive(Debug)]
pub(crate) struct Project<'a> {
    programs: Vec<'a, Program<'a>>,
    /// What the computed columns are called.
    names: &'a [Column<'a>],
    arena: &'a Arena,
}

impl<'a> Project<'a> {
    pub(crate) fn open(
        exprs: &[&'a Expr<'a>],
        names: &'a [Column<'a>],
        columns: &[VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<(Project<'a>, &'a [VectorId]), Error<'a>> {
        let mut registers = Registers::new(arena);
        let mut programs = Vec::with_capacity_in(exprs.len(), arena)?;
        for expr in exprs {
            programs.push(compile(expr, columns, store, &mut registers)?)?;
        }
        let results =
            arena.alloc_slice_from_iter(programs.iter().map(|program: &Program<'_>| program.result))?;
        Ok((Project { programs, names, arena }, results))
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        for index in 0..self.programs.len() {
            if let Err(error) = self.programs[index].run(store, batch) {
                return Err(self.located(index, error, batch, store));
            }
        }
        Ok(Passed::Batch(batch))
    }

    /// The error with the line of its row, where rows come from a file: the rows are computed again, one at a time. Without
    /// memory for that it stays what it is.
    #[cold]
    fn located(
        &mut self,
        index: usize,
        error: Error<'a>,
        batch: BatchRows,
        store: &mut Store<'a>,
    ) -> Error<'a> {
        let Some(row_error) = error.of_row().filter(|_| store.origin.is_some()) else { return error };
        let Ok(selection) = store.add_selection(self.arena) else { return error };
        for i in 0..store.rows(batch).len() {
            let row = store.rows(batch).nth(i);
            let mut one = store.take_selection(selection);
            (one.rows[0], one.count) = (row as u16, 1);
            store.put_selection_back(selection, one);
            let only = BatchRows { count: batch.count, selection: Some(selection) };
            if self.programs[index].run(store, only).is_ok() {
                continue;
            }
            let Some(place) = store.place_of(row) else { break };
            let name = self.names.get(index).map_or("", |column| column.name);
            let kind = FileProblemKind::Refused { name, error: row_error };
            return match self.arena.alloc(FileProblem { path: place.path, line: place.line, kind }) {
                Ok(problem) => Error::File(problem),
                Err(_) => error,
            };
        }
        error
    }
}

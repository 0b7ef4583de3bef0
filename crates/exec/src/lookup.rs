//! One row that is looked for by its whole key, of which columns are the answer: `SELECT name, price FROM items WHERE id = $1`.
//!
//! What a program asks most often needs no pipeline: neither vectors nor programs, nothing that is opened and closed for each run.
//!
//! ```text
//! with the workspace   Lookup   the plan reads a table by its key; for each column of that, an `=` with a constant or a parameter, and
//!                               no other condition; above it nothing but columns by name and a LIMIT that lets a row through
//! for each run         Seek     values ──> key ──> own changes, memtables, segments ──> the columns that are asked for
//! ```
//!
//! All other plans, and those that are measured, run as [`pipeline`](crate::pipeline) says, and give the same.
//!
//! **Peak bytes**: 32 bytes for each column of the key and of the answer, the texts of the row, and what the store's reader takes.
//!
//! **Ladder**: the typed error.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::expr::{BinaryOp, Expr, ExprKind, copy_value};
use cofferdam_plan::physical::{Limit, Operator, OperatorKind, PhysicalPlan, Scan};
use cofferdam_plan::table::{StoredTable, TableSource};
use cofferdam_store::TableId;
use cofferdam_types::{Type, Value};

use crate::error::{Error, StoreProblem};
use crate::execution::EXECUTE;
use crate::progress::Progress;
use crate::tables::Tables;

/// What a plan looks for, and what of it is the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'s> {
    table: TableId,
    /// By column of the key, the conjunct that says what it equals.
    key: &'s [u16],
    /// The columns of the table that are read, ascending.
    columns: &'s [u16],
    /// By column of the answer, which of those it is.
    places: &'s [u16],
}

impl<'s> Lookup<'s> {
    /// What the plan looks for, if it is of this form.
    ///
    /// # Errors
    /// There is no room to note it.
    pub(crate) fn of(plan: &PhysicalPlan<'_>, arena: &'s Arena) -> Result<Option<Lookup<'s>>, AllocError> {
        let [Operator { kind: OperatorKind::Scan(scan), .. }, above @ ..] = plan.operators else {
            return Ok(None);
        };
        let TableSource::Stored(table) = scan.source else { return Ok(None) };
        let is_by_key = !table.key.is_empty()
            && scan.conjuncts.len() == table.key.len()
            && scan.index.is_none()
            && scan.key_filters.is_empty();
        if !is_by_key || !above.iter().all(only_hands_on) {
            return Ok(None);
        }
        let mut key = Vec::with_capacity_in(table.key.len(), arena)?;
        for part in table.key {
            let says = |conjunct: &&Expr<'_>| is_sought(conjunct, part.column, scan, table);
            let Some(conjunct) = scan.conjuncts.iter().position(says) else { return Ok(None) };
            key.push(conjunct as u16)?;
        }
        // The answer's columns, from the scan's up.
        let output = scan.output.iter().map(|slot| scan.projection[*slot as usize] as u16);
        let mut answer = &*arena.alloc_slice_from_iter(output)?;
        for operator in above {
            if let OperatorKind::Project { exprs, .. } = operator.kind {
                let columns = exprs.iter().filter_map(|expr| match expr.kind {
                    ExprKind::Column(slot) => answer.get(slot as usize).copied(),
                    _ => None,
                });
                let mut named = Vec::with_capacity_in(exprs.len(), arena)?;
                named.extend(columns)?;
                answer = named.into_slice();
            }
        }
        let sorted = arena.alloc_slice_copy(answer)?;
        sorted.sort_unstable();
        let mut columns = Vec::with_capacity_in(sorted.len(), arena)?;
        for column in sorted {
            if columns.last() != Some(column) {
                columns.push(*column)?;
            }
        }
        let columns = &*columns.into_slice();
        // Every one of the answer's is among them.
        let places = answer.iter().map(|column| columns.partition_point(|before| before < column) as u16);
        let places = arena.alloc_slice_from_iter(places)?;
        Ok(Some(Lookup { table: TableId(table.id), key: key.into_slice(), columns, places }))
    }

    /// Begins a run of the plan, with values for its parameters.
    ///
    /// # Errors
    /// There is no room.
    pub(crate) fn seek<'a>(
        &self,
        plan: &PhysicalPlan<'a>,
        parameters: &'a [Value<'a>],
        tables: Tables<'a>,
        (progress, is_cancelled): (Option<&'a Progress>, &'a dyn Fn() -> bool),
        arena: &'a Arena,
    ) -> Result<Seek<'a>, AllocError>
    where
        's: 'a,
    {
        let conjuncts = match &plan.operators.first().map(|operator| &operator.kind) {
            Some(OperatorKind::Scan(scan)) => scan.conjuncts,
            _ => &[],
        };
        let of = |place: &u16| sought(conjuncts[usize::from(*place)], parameters);
        let key = arena.alloc_slice_from_iter(self.key.iter().map(of))?;
        // What equals NULL is in no row.
        let is_done = key.iter().any(Value::is_null);
        let problem = StoreProblem { error: cofferdam_store::Error::Cancelled, place: None };
        Ok(Seek {
            lookup: *self,
            key,
            values: arena.alloc_slice_fill(self.columns.len(), Value::Null)?,
            tables,
            progress,
            is_cancelled,
            arena,
            problem: Some(arena.alloc(problem)?),
            is_found: false,
            is_done,
        })
    }
}

/// Whether an operator changes nothing of one row but which columns it has.
fn only_hands_on(operator: &Operator<'_>) -> bool {
    let literal = |expr: &Expr<'_>| match expr.kind {
        ExprKind::Literal(Value::BigInt(count)) => Some(count),
        _ => None,
    };
    match operator.kind {
        OperatorKind::Project { exprs, .. } => {
            exprs.iter().all(|expr| matches!(expr.kind, ExprKind::Column(_)))
        }
        OperatorKind::Limit(Limit { count, offset, ties: None, .. }) => {
            count.is_none_or(|count| literal(count).is_some_and(|count| count > 0))
                && offset.is_none_or(|offset| literal(offset) == Some(0))
        }
        _ => false,
    }
}

/// Whether a conjunct says what a column of the key equals: a value of its own type, of those that have one encoding each.
fn is_sought(conjunct: &Expr<'_>, column: u32, scan: &Scan<'_>, table: &StoredTable<'_>) -> bool {
    let ExprKind::Binary { op: BinaryOp::Equal, left, right } = conjunct.kind else { return false };
    let (place, value) = match (left.kind, right.kind) {
        (ExprKind::Column(place), ExprKind::Literal(_) | ExprKind::Parameter(_)) => (place, right),
        (ExprKind::Literal(_) | ExprKind::Parameter(_), ExprKind::Column(place)) => (place, left),
        _ => return false,
    };
    let ty = table.columns[column as usize].ty;
    let has_one_encoding = matches!(
        ty,
        Type::Boolean
            | Type::SmallInt
            | Type::Integer
            | Type::BigInt
            | Type::Date
            | Type::Timestamp
            | Type::TimestampTz
            | Type::Uuid
            | Type::Text
    );
    scan.projection.get(place as usize) == Some(&column) && value.ty == ty && has_one_encoding
}

/// The value that a conjunct compares a column with.
fn sought<'a>(conjunct: &Expr<'a>, parameters: &[Value<'a>]) -> Value<'a> {
    let ExprKind::Binary { left, right, .. } = conjunct.kind else { return Value::Null };
    let value = if matches!(left.kind, ExprKind::Column(_)) { right } else { left };
    match value.kind {
        ExprKind::Literal(value) => value,
        ExprKind::Parameter(number) => parameters[number as usize - 1],
        _ => Value::Null,
    }
}

/// A run of such a plan.
pub(crate) struct Seek<'a> {
    lookup: Lookup<'a>,
    key: &'a [Value<'a>],
    /// The columns that are read, once the row is found.
    values: &'a mut [Value<'a>],
    tables: Tables<'a>,
    progress: Option<&'a Progress>,
    is_cancelled: &'a dyn Fn() -> bool,
    arena: &'a Arena,
    problem: Option<&'a mut StoreProblem<'a>>,
    is_found: bool,
    is_done: bool,
}

impl<'a> Seek<'a> {
    /// Looks for the row; false where there is none, and the second time.
    ///
    /// # Errors
    /// Those of the store; [`Error::Cancelled`].
    pub(crate) fn next(&mut self) -> Result<bool, Error<'a>> {
        self.is_found = false;
        if core::mem::replace(&mut self.is_done, true) {
            return Ok(false);
        }
        if (self.is_cancelled)() {
            return Err(Error::Cancelled);
        }
        self.arena.budget().set_stage(&EXECUTE);
        let Seek { lookup, key, values, tables, arena, .. } = self;
        let (lookup, key, arena): (Lookup<'a>, &'a [Value<'a>], &'a Arena) = (*lookup, key, arena);
        let found = tables.with_view(&mut |view| {
            let found = view.row(lookup.table, key, arena, |row| {
                row.each(lookup.columns, |place, value| {
                    values[place] = copy_value(value, arena)?;
                    Ok(())
                })
            })?;
            Ok(usize::from(found.is_some()))
        });
        let rows_count = found.map_err(|error| self.describe(error))?;
        if let Some(progress) = self.progress {
            progress.count_read(rows_count as u64);
        }
        self.is_found = rows_count > 0;
        Ok(self.is_found)
    }

    /// By column of the answer, where its value is among the second; of the row that was found last.
    pub(crate) fn row(&self) -> Option<(&'a [u16], &[Value<'a>])> {
        self.is_found.then_some((self.lookup.places, self.values))
    }

    #[cold]
    fn describe(&mut self, error: cofferdam_store::Error) -> Error<'a> {
        match error {
            cofferdam_store::Error::OutOfMemory(error) => Error::OutOfMemory(error),
            error => {
                let problem = self.problem.take().expect("the first error ends the statement");
                problem.error = error;
                Error::Store(problem)
            }
        }
    }
}

//! The rules of a table: passes rows on until one breaks a rule, which is an error that tells the row.
//!
//! Of several broken rules that of the first row counts, and of one row NULL before the checks, which go by name.

use core::fmt::Write as _;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, InlineText};
use cofferdam_plan::physical::Check as Rule;
use cofferdam_plan::table::StoredTable;
use cofferdam_types::Value;

use crate::batch::{BatchRows, Data, Store, VectorId};
use crate::error::{Error, Violation, ViolationKind};
use crate::expr::{Program, Registers, compile};
use crate::pipeline::Passed;

/// Passes the rows that a table takes.
#[derive(Debug)]
pub(crate) struct Insert<'a> {
    table: &'a StoredTable<'a>,
    columns: &'a [VectorId],
    checks: Vec<'a, Check<'a>>,
    violation: Option<&'a mut Violation<'a>>,
}

#[derive(Debug)]
struct Check<'a> {
    name: &'a str,
    program: Program<'a>,
}

impl<'a> Insert<'a> {
    /// For rows of which these are the columns of the table.
    pub(crate) fn open(
        table: &'a StoredTable<'a>,
        rules: &'a [Rule<'a>],
        columns: &'a [VectorId],
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Insert<'a>, Error<'a>> {
        let mut registers = Registers::new(arena);
        let mut checks = Vec::with_capacity_in(rules.len(), arena)?;
        for check in rules {
            let program = compile(check.condition, columns, store, &mut registers)?;
            // The result is read before the next check runs.
            registers.give_back(&program)?;
            checks.push(Check { name: check.name, program })?;
        }
        let violation = arena.alloc(Violation {
            table: table.name,
            kind: ViolationKind::Check { name: "" },
            row: InlineText::EMPTY,
            place: None,
        })?;
        Ok(Insert { table, columns, checks, violation: Some(violation) })
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        match self.broken(batch, store)? {
            None => Ok(Passed::Batch(batch)),
            Some((row, kind)) => Err(self.refuse(row, kind, store)),
        }
    }

    /// The first row that breaks a rule, and the rule.
    fn broken(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
    ) -> Result<Option<(usize, ViolationKind<'a>)>, Error<'a>> {
        let mut first: Option<(usize, ViolationKind<'a>)> = None;
        let mut note = |row: Option<usize>, kind: ViolationKind<'a>| {
            if let Some(row) = row.filter(|row| first.is_none_or(|(known, _)| *row < known)) {
                first = Some((row, kind));
            }
        };
        for ((column, rule), id) in self.table.columns.iter().zip(self.table.rules).zip(self.columns) {
            let vector = store.vector(*id);
            if !rule.is_nullable && !vector.all_valid {
                let null = first_row(store, batch, |row| !vector.is_valid(row));
                note(null, ViolationKind::Null { column: column.name });
            }
        }
        for Check { name, program } in self.checks.iter_mut() {
            program.run(store, batch)?;
            let result = store.vector(program.result);
            let is_false = |row: usize| match &result.data {
                Data::Bool(values) => result.is_valid(row) && !values[result.at(row)],
                _ => false,
            };
            note(first_row(store, batch, is_false), ViolationKind::Check { name });
        }
        Ok(first)
    }

    #[cold]
    fn refuse(&mut self, row: usize, kind: ViolationKind<'a>, store: &Store<'a>) -> Error<'a> {
        let violation = self.violation.take().expect("the first error ends the statement");
        violation.kind = kind;
        violation.place = store.place_of(row);
        violation.row = self.row_text(row, store);
        Error::Violation(violation)
    }

    /// `(1, null, x)`; what does not fit is cut.
    fn row_text(&self, row: usize, store: &Store<'a>) -> InlineText<160> {
        let mut text = InlineText::EMPTY;
        for (index, (id, column)) in self.columns.iter().zip(self.table.columns).enumerate() {
            let before = if index == 0 { "(" } else { ", " };
            let _ = match store.value(*id, row, column.ty) {
                Value::Null => write!(text, "{before}null"),
                value => write!(text, "{before}{value}"),
            };
        }
        let _ = write!(text, ")");
        text
    }
}

/// The first row of a batch of which something holds.
fn first_row(store: &Store<'_>, batch: BatchRows, holds: impl Fn(usize) -> bool) -> Option<usize> {
    let found = store.rows(batch).try_for_each(|row| if holds(row) { Err(row) } else { Ok(()) });
    found.err()
}

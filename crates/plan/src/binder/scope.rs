//! The names that an expression may use: the tables of one FROM and their columns.
//!
//! All columns of all tables stand in one list, each with its number in the plan. Columns of the same name are chained, so a
//! lookup costs one hash and a step for each namesake; a list of few is looked through and has no map:
//!
//! ```text
//! FROM orders o, customer c             newest ─┐
//!   position  0 o.key  1 o.date  2 c.key  3 c.name
//!             ▲                     │
//!             └───── previous ──────┘      names: key → 2, date → 1, name → 3
//! ```

use std::ops::Range;

use cofferdam_arena::collections::{Map, Vec};
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use super::suggest::Suggestion;
use crate::Span;
use crate::error::{CountProblem, Error, NameProblem};
use crate::expr::Column;
use crate::logical::ColumnId;
use crate::table::StoredTable;

/// The most columns of one FROM; positions beyond are kept free for the results of aggregates.
const COLUMNS_MAX: usize = 1 << 20;

/// So many columns, or tables, are looked through one by one: maps of so few would cost more than they save.
const FEW: usize = 8;

/// A table of FROM.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relation<'a> {
    /// The name before the dot; empty for a query without an alias.
    pub(super) alias: &'a str,
    /// The stored table that its columns are, if they are one's.
    pub(super) table: Option<&'a StoredTable<'a>>,
    /// Whether it is a function of one column, whose value its name means too.
    pub(super) is_value: bool,
    /// Whether an outer join may have put NULLs in the place of its row.
    pub(super) is_padded: bool,
    /// The position of its first column.
    pub(super) first_column: u32,
    /// How many columns it has.
    pub(super) columns_count: u32,
}

impl Relation<'_> {
    /// The positions of its columns.
    pub(super) fn positions(&self) -> Range<u32> {
        self.first_column..self.first_column + self.columns_count
    }
}

/// A column that can be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeColumn<'a> {
    pub(super) id: ColumnId,
    pub(super) name: &'a str,
    pub(super) ty: Type,
    /// The table that it belongs to.
    pub(super) relation: u32,
    /// The column of the same name that came before it.
    previous: Option<u32>,
    /// Whether `USING` has merged it into another, so that only a qualified name finds it.
    is_merged: bool,
}

/// The tables and columns of one FROM.
#[derive(Debug)]
pub(super) struct Scope<'s, 'a> {
    pub(super) relations: Vec<'s, Relation<'a>>,
    pub(super) columns: Vec<'s, ScopeColumn<'a>>,
    /// Tables by alias, where they are more than a few.
    aliases: Map<'s, &'a str, u32>,
    /// The newest column of each name, where there are more than a few.
    names: Map<'s, &'a str, u32>,
    /// Positions by number in the plan, where there are more than a few.
    ids: Map<'s, ColumnId, u32>,
}

/// A column as a statement names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnName<'a> {
    pub(super) table: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) span: Span,
}

impl<'s, 'a> Scope<'s, 'a> {
    pub(super) fn new_in(arena: &'s Arena) -> Scope<'s, 'a> {
        Scope {
            relations: Vec::new_in(arena),
            columns: Vec::new_in(arena),
            aliases: Map::new_in(arena),
            names: Map::new_in(arena),
            ids: Map::new_in(arena),
        }
    }

    /// The number of columns: positions from here on are free.
    pub(super) fn columns_count(&self) -> u32 {
        self.columns.len() as u32
    }

    /// Adds a table with its columns.
    pub(super) fn add_relation(
        &mut self,
        alias: &'a str,
        columns: impl ExactSizeIterator<Item = (ColumnId, Column<'a>)>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let found = self.columns.len() + columns.len();
        if found > COLUMNS_MAX {
            let (expected, found) = (COLUMNS_MAX as u64, found as u64);
            return Err(Error::Count { problem: CountProblem::Columns, name: alias, expected, found, span });
        }
        let relation = self.relations.len() as u32;
        if self.aliased(alias).is_some() {
            return Err(name_error(
                NameProblem::DuplicateAlias,
                ColumnName { table: None, name: alias, span },
            ));
        }
        let (first_column, columns_count) = (self.columns_count(), columns.len() as u32);
        self.relations.push(Relation {
            alias,
            table: None,
            is_value: false,
            is_padded: false,
            first_column,
            columns_count,
        })?;
        let unmapped = if self.relations.len() == FEW + 1 { 0 } else { FEW.max(self.relations.len() - 1) };
        for (place, relation) in self.relations.iter().enumerate().skip(unmapped) {
            if !relation.alias.is_empty() {
                self.aliases.insert(relation.alias, place as u32)?;
            }
        }
        self.columns.reserve(columns.len())?;
        for (id, column) in columns {
            self.add_column(id, column, relation)?;
        }
        Ok(())
    }

    /// Adds a column to a table.
    pub(super) fn add_column(
        &mut self,
        id: ColumnId,
        column: Column<'a>,
        relation: u32,
    ) -> Result<u32, AllocError> {
        let position = self.columns_count();
        let previous = self.newest(column.name);
        let (name, ty) = (column.name, column.ty);
        self.columns.push(ScopeColumn { id, name, ty, relation, previous, is_merged: false })?;
        let unmapped = if self.columns.len() == FEW + 1 { 0 } else { FEW.max(self.columns.len() - 1) };
        for (place, column) in self.columns.iter().enumerate().skip(unmapped) {
            self.names.insert(column.name, place as u32)?;
            self.ids.insert(column.id, place as u32)?;
        }
        Ok(position)
    }

    /// The newest column of a name.
    fn newest(&self, name: &str) -> Option<u32> {
        if self.columns.len() > FEW {
            return self.names.get(name).copied();
        }
        self.columns.iter().rposition(|column| column.name == name).map(|place| place as u32)
    }

    /// The table that goes by an alias.
    fn aliased(&self, alias: &str) -> Option<u32> {
        if self.relations.len() > FEW {
            return self.aliases.get(alias).copied();
        }
        let is_it = |relation: &Relation<'_>| !alias.is_empty() && relation.alias == alias;
        self.relations.iter().position(is_it).map(|place| place as u32)
    }

    /// The position of a column of the plan, if it is one of these.
    pub(super) fn position_of(&self, id: ColumnId) -> Option<u32> {
        if self.columns.len() > FEW {
            return self.ids.get(&id).copied();
        }
        self.columns.iter().rposition(|column| column.id == id).map(|place| place as u32)
    }

    /// Hides tables with all of their columns, which go by other names from here on.
    pub(super) fn hide(&mut self, relations: Range<u32>) {
        for relation in relations {
            let Relation { alias, .. } = self.relations[relation as usize];
            if self.aliases.get(alias) == Some(&relation) {
                self.aliases.remove(alias);
            }
            self.relations[relation as usize].alias = "";
            for position in self.relations[relation as usize].positions() {
                self.merge(position);
            }
        }
    }

    /// Hides a column from unqualified names.
    pub(super) fn merge(&mut self, position: u32) {
        self.columns[position as usize].is_merged = true;
    }

    /// The position of a column among the tables in `visible`.
    ///
    /// # Errors
    /// 42703, 42702, 42P01 with a suggestion where a name is near.
    pub(super) fn resolve(&self, wanted: ColumnName<'a>, visible: Range<u32>) -> Result<u32, Error<'a>> {
        let Some(table) = wanted.table else { return self.resolve_unqualified(wanted, visible) };
        let relation = self.resolve_relation(table, wanted.span, visible)?;
        let mut found =
            self.namesakes(wanted.name).filter(|position| self.relation_of(*position) == relation);
        match (found.next(), found.next()) {
            (Some(position), None) => Ok(position),
            (Some(_), Some(_)) => Err(name_error(NameProblem::AmbiguousColumn, wanted)),
            (None, _) => Err(self.undefined_column(wanted, relation..relation + 1)),
        }
    }

    fn resolve_unqualified(&self, wanted: ColumnName<'a>, visible: Range<u32>) -> Result<u32, Error<'a>> {
        let mut found = self.namesakes(wanted.name).filter(|position| {
            visible.contains(&self.relation_of(*position)) && !self.columns[*position as usize].is_merged
        });
        match (found.next(), found.next()) {
            (Some(position), None) => Ok(position),
            (Some(_), Some(_)) => Err(name_error(NameProblem::AmbiguousColumn, wanted)),
            (None, _) => Err(self.undefined_column(wanted, visible)),
        }
    }

    /// The table in `visible` that goes by this alias.
    pub(super) fn resolve_relation(
        &self,
        alias: &'a str,
        span: Span,
        visible: Range<u32>,
    ) -> Result<u32, Error<'a>> {
        if let Some(relation) = self.aliased(alias).filter(|found| visible.contains(found)) {
            return Ok(relation);
        }
        let mut suggestion = Suggestion::new(alias);
        for relation in self.relations.iter().filter(|relation| !relation.alias.is_empty()) {
            suggestion.offer(relation.alias);
        }
        let (problem, suggestion) = (NameProblem::MissingFromEntry, suggestion.best());
        Err(Error::Name { problem, name: alias, qualifier: None, suggestion, span })
    }

    /// Whether an unqualified name has a column at all.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.newest(name).is_some()
    }

    /// Positions of the columns of a name, newest first.
    fn namesakes(&self, name: &str) -> impl Iterator<Item = u32> + '_ {
        let newest = self.newest(name);
        std::iter::successors(newest, |position| self.columns[*position as usize].previous)
    }

    fn relation_of(&self, position: u32) -> u32 {
        self.columns[position as usize].relation
    }

    fn undefined_column(&self, wanted: ColumnName<'a>, among: Range<u32>) -> Error<'a> {
        let mut suggestion = Suggestion::new(wanted.name);
        for column in self.columns.iter().filter(|column| among.contains(&column.relation)) {
            suggestion.offer(column.name);
        }
        Error::Name {
            problem: NameProblem::UndefinedColumn,
            name: wanted.name,
            qualifier: wanted.table,
            suggestion: suggestion.best(),
            span: wanted.span,
        }
    }
}

/// An error about a name without a suggestion.
pub(super) fn name_error<'a>(problem: NameProblem, wanted: ColumnName<'a>) -> Error<'a> {
    Error::Name { problem, name: wanted.name, qualifier: wanted.table, suggestion: None, span: wanted.span }
}

//! Binds FROM: tables to logical nodes, join conditions to conjuncts, and what `*` means.
//!
//! Joins are walked along the links of the tree. Tables that are bound but not yet joined wait as *items*: each covers a
//! run of relations and a run of the list of columns that `*` would give, so joining two neighbours costs nothing unless
//! `USING` merges columns.

use std::ops::Range;

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::{Alias, Derived, FileRef, Join, JoinCondition, JoinKind, TableExpr, TableRef};
use cofferdam_sql::{Node, NodeKind, Visit, Walk};

use super::Binder;
use super::build::Builder;
use super::conjuncts;
use super::expression::{ExpressionBinder, Place};
use super::scope::{ColumnName, Scope, name_error};
use super::suggest::Suggestion;
use super::type_name;
use crate::Span;
use crate::catalog::{Catalog, FileRequest};
use crate::error::{CountProblem, Error, NameProblem};
use crate::expr::{BinaryOp, Column, Expr};
use crate::logical::{LogicalId, LogicalKind};
use crate::table::TableSource;

/// What a FROM has become.
#[derive(Debug)]
pub(super) struct From<'s, 'a> {
    pub(super) scope: Scope<'s, 'a>,
    /// The positions that `*` gives, in order.
    pub(super) star: Vec<'s, u32>,
    /// The conditions of all joins.
    pub(super) conjuncts: Vec<'a, &'a Expr<'a>>,
}

/// Neighbouring tables that are joined already.
#[derive(Clone, Debug)]
struct Item {
    relations: Range<u32>,
    /// Where its columns begin in the list of `*`; they end where the next item's begin.
    star_start: usize,
}

impl<'s, 'a> From<'s, 'a> {
    pub(super) fn new(scratch: &'s Arena, arena: &'a Arena) -> From<'s, 'a> {
        From { scope: Scope::new_in(scratch), star: Vec::new_in(scratch), conjuncts: Vec::new_in(arena) }
    }

    /// Adds a table and its columns.
    pub(super) fn add(
        &mut self,
        alias: &'a str,
        node: LogicalId,
        columns: &[Column<'a>],
        span: Span,
    ) -> Result<(), Error<'a>> {
        let first = self.scope.columns_count();
        self.scope.add_relation(alias, node, columns, span)?;
        Ok(self.star.extend(first..self.scope.columns_count())?)
    }
}

impl<'a> Binder<'a, '_> {
    /// Binds one element of FROM with the joins in it.
    pub(super) fn bind_table_expr<'q: 'a>(
        &mut self,
        from: &mut From<'_, 'a>,
        table: TableExpr<'q>,
        scratch: &Arena,
    ) -> Result<(), Error<'a>> {
        let mut items: Vec<'_, Item> = Vec::new_in(scratch);
        let mut walk = Walk::new(table.node());
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) if !matches!(node.kind(), NodeKind::Join) => walk.skip_children(node),
                Visit::Enter(_) => {}
                Visit::Leave(node) => self.leave_table(from, node, &mut items)?,
            }
        }
        Ok(())
    }

    fn leave_table<'q: 'a>(
        &mut self,
        from: &mut From<'_, 'a>,
        node: &'q Node<'q>,
        items: &mut Vec<'_, Item>,
    ) -> Result<(), Error<'a>> {
        let (relation, star_start) = (from.scope.relations.len() as u32, from.star.len());
        match TableExpr::of(node) {
            Some(TableExpr::Table(table)) => self.bind_table(from, table)?,
            Some(TableExpr::File(file)) => self.bind_file(from, file)?,
            Some(TableExpr::Derived(derived)) => self.bind_derived(from, derived)?,
            Some(table @ (TableExpr::Function(_) | TableExpr::RowsFrom(_))) => {
                return Err(Error::NotSupported { what: "a function in FROM", span: table.span() });
            }
            Some(TableExpr::Join(join)) => {
                let right = items.pop().expect("a join has two sides");
                let left = items.pop().expect("a join has two sides");
                self.bind_join(from, join, &left, &right)?;
                let relations = left.relations.start..right.relations.end;
                return Ok(items.push(Item { relations, star_start: left.star_start })?);
            }
            // ON, USING and aliases belong to the node above.
            None => return Ok(()),
        }
        Ok(items.push(Item { relations: relation..relation + 1, star_start })?)
    }

    fn bind_table<'q: 'a>(&mut self, from: &mut From<'_, 'a>, table: TableRef<'q>) -> Result<(), Error<'a>> {
        let span = table.span();
        if table.catalog().is_some() || table.schema().is_some_and(|schema| schema != "public") {
            return Err(Error::NotSupported { what: "a table with a schema", span });
        }
        if table.sample().is_some() {
            return Err(Error::NotSupported { what: "TABLESAMPLE", span });
        }
        let found = self.catalog.table(table.name(), self.arena);
        let source = match found.map_err(|error| Error::from_catalog(error, span))? {
            Some(source) => source,
            None => {
                let problem = NameProblem::UndefinedTable;
                return Err(undefined_table(self.catalog, self.arena, problem, table.name(), span));
            }
        };
        if let Some(typed) = table.alias().and_then(first_typed) {
            return Err(Error::NotSupported {
                what: "a column type for a table that has types",
                span: typed,
            });
        }
        self.add_source(from, source, table.name(), table.alias(), span)
    }

    fn bind_file<'q: 'a>(&mut self, from: &mut From<'_, 'a>, file: FileRef<'q>) -> Result<(), Error<'a>> {
        let (path, span) = (file.path(), file.span());
        let typed = file.alias().filter(|alias| first_typed(*alias).is_some());
        let columns = typed.map(|alias| self.declared_columns(alias)).transpose()?;
        let request = FileRequest { path, columns, format: None, span };
        let source =
            self.catalog.file(request, self.arena).map_err(|error| Error::from_catalog(error, span))?;
        self.add_source(from, TableSource::File(source), file_stem(path), file.alias(), span)
    }

    fn bind_derived<'q: 'a>(
        &mut self,
        from: &mut From<'_, 'a>,
        derived: Derived<'q>,
    ) -> Result<(), Error<'a>> {
        let span = derived.span();
        if derived.is_lateral() {
            return Err(Error::NotSupported { what: "LATERAL", span });
        }
        if let Some(typed) = derived.alias().and_then(first_typed) {
            return Err(Error::NotSupported { what: "a column type for a query", span: typed });
        }
        let node = self.bound_derived(derived);
        let alias = derived.alias().map_or("", Alias::name);
        let columns = self.renamed(self.plan.columns(node), derived.alias(), span)?;
        from.add(alias, node, columns, span)
    }

    fn add_source<'q: 'a>(
        &mut self,
        from: &mut From<'_, 'a>,
        source: TableSource<'a>,
        name: &'a str,
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let name = alias.map(Alias::name).filter(|alias| !alias.is_empty()).unwrap_or(name);
        let columns = self.renamed(source.columns(), alias, span)?;
        let kind = LogicalKind::Scan { source, alias: name, conjuncts: &[] };
        let node = self.plan.push(kind, columns)?;
        from.add(name, node, columns, span)
    }

    /// The columns of `AS t(a integer, b text)`.
    fn declared_columns<'q: 'a>(&self, alias: Alias<'q>) -> Result<&'a [Column<'a>], Error<'a>> {
        let mut columns: Vec<'a, Column<'a>> = Vec::with_capacity_in(alias.columns().len(), self.arena)?;
        for column in alias.columns() {
            let (name, span) = (column.name(), column.span());
            let Some(ty) = column.type_name() else {
                return Err(Error::NotSupported { what: "a column list with and without types", span });
            };
            if columns.iter().any(|known| known.name == name) {
                return Err(name_error(NameProblem::DuplicateColumn, ColumnName { table: None, name, span }));
            }
            columns.push(Column { name, ty: type_name::bind(ty)? })?;
        }
        Ok(columns.into_slice())
    }

    /// The columns under the names of `AS t(a, b)`; the rest keep theirs.
    fn renamed<'q: 'a>(
        &self,
        columns: &'a [Column<'a>],
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<&'a [Column<'a>], Error<'a>> {
        let Some(alias) = alias.filter(|alias| alias.columns().len() > 0) else { return Ok(columns) };
        if alias.columns().len() > columns.len() {
            let (expected, found) = (columns.len() as u64, alias.columns().len() as u64);
            let problem = CountProblem::ColumnAliases;
            return Err(Error::Count { problem, name: alias.name(), expected, found, span });
        }
        let renamed = self.arena.alloc_slice_copy(columns)?;
        for (column, name) in renamed.iter_mut().zip(alias.columns()) {
            column.name = name.name();
        }
        Ok(renamed)
    }

    fn bind_join<'q: 'a>(
        &mut self,
        from: &mut From<'_, 'a>,
        join: Join<'q>,
        left: &Item,
        right: &Item,
    ) -> Result<(), Error<'a>> {
        let span = join.span();
        let unsupported = |what| Err(Error::NotSupported { what, span });
        match join.kind() {
            JoinKind::Inner | JoinKind::Cross => {}
            JoinKind::Left => return unsupported("LEFT JOIN"),
            JoinKind::Right => return unsupported("RIGHT JOIN"),
            JoinKind::Full => return unsupported("FULL JOIN"),
        }
        if join.alias().is_some() {
            return unsupported("an alias for a join");
        }
        if join.using_alias().is_some() {
            return unsupported("an alias for the columns of USING");
        }
        match join.condition() {
            JoinCondition::None => Ok(()),
            JoinCondition::On(condition) => {
                let visible = left.relations.start..right.relations.end;
                let place = Place { clause: "JOIN/ON", visible };
                let mut binder = ExpressionBinder::new(self.arena, &from.scope, place, None);
                let condition = binder.bind_condition(condition)?;
                conjuncts::split(condition, &mut from.conjuncts)
            }
            JoinCondition::Using(names) => {
                let mut merged = Vec::new_in(self.arena);
                for name in names {
                    let wanted = ColumnName { table: None, name: name.name(), span: name.span() };
                    let on_left = from.scope.resolve(wanted, left.relations.clone())?;
                    merged.push((on_left, from.scope.resolve(wanted, right.relations.clone())?))?;
                }
                self.merge_columns(from, &merged, left, right, span)
            }
            JoinCondition::Natural => {
                let merged = self.natural_columns(from, left, right, span)?;
                self.merge_columns(from, &merged, left, right, span)
            }
        }
    }

    /// The columns of the right side that have a namesake on the left, with it.
    fn natural_columns(
        &self,
        from: &From<'_, 'a>,
        left: &Item,
        right: &Item,
        span: Span,
    ) -> Result<Vec<'a, (u32, u32)>, Error<'a>> {
        let mut merged = Vec::new_in(self.arena);
        for position in &from.star[right.star_start..] {
            let name = from.scope.columns[*position as usize].name;
            let wanted = ColumnName { table: None, name, span };
            match from.scope.resolve(wanted, left.relations.clone()) {
                Ok(on_left) => {
                    merged.push((on_left, from.scope.resolve(wanted, right.relations.clone())?))?;
                }
                Err(Error::Name { problem: NameProblem::UndefinedColumn, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(merged)
    }

    /// Makes pairs of columns equal; only the left one of each stays visible, in front of `*`.
    fn merge_columns(
        &mut self,
        from: &mut From<'_, 'a>,
        merged: &[(u32, u32)],
        left: &Item,
        right: &Item,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let build = Builder { arena: self.arena };
        for (on_left, on_right) in merged {
            let sides = [*on_left, *on_right]
                .map(|position| build.column(position, from.scope.columns[position as usize].ty, span));
            let [a, b] = sides;
            from.conjuncts.push(build.compare(BinaryOp::Equal, a?, b?, span)?)?;
            from.scope.merge(*on_right);
        }
        debug_assert!(left.star_start <= right.star_start);
        let is_merged = |position: u32| merged.iter().any(|pair| pair.0 == position || pair.1 == position);
        let mut star = Vec::with_capacity_in(from.star.len() - left.star_start, self.arena)?;
        star.extend(merged.iter().map(|pair| pair.0))?;
        star.extend(from.star[left.star_start..].iter().copied().filter(|position| !is_merged(*position)))?;
        from.star.truncate(left.star_start);
        Ok(from.star.extend_from_slice(&star)?)
    }
}

/// An error about a table that does not exist, with the nearest name that does.
pub(super) fn undefined_table<'a>(
    catalog: &dyn Catalog,
    arena: &'a Arena,
    problem: NameProblem,
    name: &'a str,
    span: Span,
) -> Error<'a> {
    let mut nearest: Option<(&'a str, usize)> = None;
    let mut refusal = None;
    catalog.table_names(&mut |known| {
        let mut suggestion = Suggestion::new(name);
        suggestion.offer(known);
        let Some(distance) = suggestion.distance() else { return };
        if nearest.is_none_or(|(_, best)| distance < best) {
            match arena.alloc_str(known) {
                Ok(known) => nearest = Some((known, distance)),
                Err(error) => refusal = Some(error),
            }
        }
    });
    match refusal {
        Some(error) => Error::OutOfMemory(error),
        None => {
            let suggestion = nearest.map(|(name, _)| name);
            Error::Name { problem, name, qualifier: None, suggestion, span }
        }
    }
}

/// Where the first type stands in a list of columns.
fn first_typed(alias: Alias<'_>) -> Option<Span> {
    alias.columns().find_map(|column| column.type_name()).map(|ty| ty.span())
}

/// `lineitem` of `data/lineitem.csv`.
fn file_stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::file_stem;

    #[test]
    fn a_file_is_called_by_its_stem() {
        assert_eq!(file_stem("data/lineitem.csv"), "lineitem");
        assert_eq!(file_stem("lineitem.tbl.1"), "lineitem.tbl");
        assert_eq!(file_stem("plain"), "plain");
        assert_eq!(file_stem("../.csv"), ".csv");
    }
}

//! Binds FROM: tables to logical nodes, joins with their conditions, and what `*` means.
//!
//! Joins are walked along the links of the tree. Tables that are bound but not yet joined wait as *items*: each covers a
//! run of relations and a run of the list of columns that `*` would give, so joining two neighbours costs nothing unless
//! `USING` merges columns. A query after LATERAL and a function see the columns of everything that stands before them.

use std::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_sql::views::{
    self, Alias, CallForm, Derived, FileRef, Join as JoinView, JoinCondition, JoinKind as ViewKind, RowsFrom,
    Select, TableExpr, TableFunction, TableRef,
};
use cofferdam_sql::{Node, NodeKind, Visit, Walk};
use cofferdam_types::{Type, Value};

use super::expression::{Place, Stage};
use super::query::{Bound, BoundColumn, columns_from};
use super::scope::{ColumnName, name_error};
use super::suggest::Suggestion;
use super::{Binder, functions, type_name};
use crate::Span;
use crate::catalog::{Catalog, FileRequest};
use crate::error::{Error, NameProblem};
use crate::expr::{BinaryOp, Column, Expr, ExprKind, Function, walk};
use crate::logical::{Call, ColumnId, Join, LogicalId, LogicalKind, Named};
use crate::physical::{JoinKind, TableFunctionKind};
use crate::table::{EngineSource, EngineTable, StoredTable, TableSource};

/// The table of the engine that a function without arguments means.
fn engine_table(function: TableFunction<'_>) -> Option<EngineTable> {
    let views::Expr::Call(call) = function.call() else { return None };
    let is_plain = call.schema().is_none() && call.form() == CallForm::Plain && call.args().next().is_none();
    EngineTable::named(call.name()).filter(|_| is_plain)
}

/// Neighbouring tables that are joined already.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) node: LogicalId,
    pub(super) relations: Range<u32>,
    /// Where its columns begin in the list of `*`; they end where the next item's begin.
    star_start: usize,
}

impl<'s, 'a> Binder<'s, 'a, '_> {
    /// The rows of FROM; one row of no columns without it.
    pub(super) fn bind_from<'q: 'a>(&mut self, select: Select<'q>) -> Result<LogicalId, Error<'a>> {
        let mut node: Option<LogicalId> = None;
        for table in select.from() {
            let item = self.bind_table_expr(table)?;
            node = Some(match node {
                None => item,
                Some(left) => self.cross(left, item)?,
            });
        }
        match node {
            Some(node) => Ok(node),
            None => Ok(self.plan.one_row()?),
        }
    }

    pub(super) fn cross(&mut self, left: LogicalId, right: LogicalId) -> Result<LogicalId, Error<'a>> {
        let (kind, conjuncts, mark) = (JoinKind::Inner, &[][..], 0);
        Ok(self.plan.push(LogicalKind::Join(Join { kind, left, right, conjuncts, mark }))?)
    }

    /// Adds a table and its columns to the innermost scope.
    pub(super) fn add_relation(
        &mut self,
        alias: &'a str,
        columns: &[BoundColumn<'a>],
        table: Option<&'a StoredTable<'a>>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let Self { plan, blocks, .. } = self;
        let block = blocks.last_mut().expect("a select is being bound");
        let first = block.scope.columns_count();
        let described = columns
            .iter()
            .map(|column| (column.id, Column { name: column.name, ty: plan.columns[column.id as usize].ty }));
        block.scope.add_relation(alias, described, span)?;
        if let Some(relation) = block.scope.relations.last_mut() {
            relation.table = table;
        }
        Ok(block.star.extend(first..block.scope.columns_count())?)
    }

    /// Binds one element of FROM with the joins in it.
    pub(super) fn bind_table_expr<'q: 'a>(&mut self, table: TableExpr<'q>) -> Result<LogicalId, Error<'a>> {
        let mut items: Vec<'_, Item> = Vec::new_in(self.scratch);
        let mut walk = Walk::new(table.node());
        while let Some(visit) = walk.next() {
            match visit {
                Visit::Enter(node) if !matches!(node.kind(), NodeKind::Join) => walk.skip_children(node),
                Visit::Enter(_) => {}
                Visit::Leave(node) => self.leave_table(node, &mut items)?,
            }
        }
        Ok(items.pop().expect("leaving the root pushes it").node)
    }

    fn leave_table<'q: 'a>(
        &mut self,
        node: &'q Node<'q>,
        items: &mut Vec<'_, Item>,
    ) -> Result<(), Error<'a>> {
        let (relation, star_start) = (self.block().scope.relations.len() as u32, self.block().star.len());
        let node = match TableExpr::of(node) {
            Some(TableExpr::Table(table)) => self.bind_table(table)?,
            Some(TableExpr::File(file)) => self.bind_file(file)?,
            Some(TableExpr::Derived(derived)) => self.bind_derived(derived)?,
            Some(TableExpr::Function(function)) => self.bind_function(function)?,
            Some(TableExpr::RowsFrom(rows)) => self.bind_rows_from(rows)?,
            Some(TableExpr::Join(join)) => {
                let right = items.pop().expect("a join has two sides");
                let left = items.pop().expect("a join has two sides");
                let node = self.bind_join(join, &left, &right)?;
                let end = self.block().scope.relations.len() as u32;
                let relations = left.relations.start..end;
                return Ok(items.push(Item { node, relations, star_start: left.star_start })?);
            }
            // ON, USING and aliases belong to the node above.
            None => return Ok(()),
        };
        let relations = relation..self.block().scope.relations.len() as u32;
        Ok(items.push(Item { node, relations, star_start })?)
    }

    fn bind_table<'q: 'a>(&mut self, table: TableRef<'q>) -> Result<LogicalId, Error<'a>> {
        let (span, name) = (table.span(), table.name());
        if table.catalog().is_some() || table.schema().is_some_and(|schema| schema != "public") {
            return Err(Error::NotSupported { what: "a table with a schema", span });
        }
        if table.sample().is_some() {
            return Err(Error::NotSupported { what: "TABLESAMPLE", span });
        }
        if let Some(typed) = table.alias().and_then(first_typed) {
            let what = "a column type for a table that has types";
            return Err(Error::NotSupported { what, span: typed });
        }
        if table.schema().is_none()
            && let Some(cte) = self.scan_cte(name, table.node(), span)?
        {
            return self.add_bound(cte, name, table.alias(), span);
        }
        if table.schema().is_none() {
            self.refuse_itself(name, table.node(), span)?;
        }
        let found = self.catalog.table(name, self.arena);
        match found.map_err(|error| Error::from_catalog(error, span))? {
            Some(source) => {
                self.note_read(name)?;
                self.add_source(source, name, table.alias(), span)
            }
            None => {
                let view = self.catalog.view(name, self.arena);
                match view.map_err(|error| Error::from_catalog(error, span))? {
                    Some(view) => self.bind_view(view, table.alias(), span),
                    None => {
                        let problem = NameProblem::UndefinedTable;
                        Err(undefined_table(self.catalog, self.arena, problem, name, span))
                    }
                }
            }
        }
    }

    fn bind_file<'q: 'a>(&mut self, file: FileRef<'q>) -> Result<LogicalId, Error<'a>> {
        let (path, span) = (file.path(), file.span());
        let typed = file.alias().filter(|alias| first_typed(*alias).is_some());
        let columns = typed.map(|alias| self.declared_columns(alias)).transpose()?;
        let request = FileRequest { path, columns, format: None, span };
        let source =
            self.catalog.file(request, self.arena).map_err(|error| Error::from_catalog(error, span))?;
        self.add_source(TableSource::File(source), file_stem(path), file.alias(), span)
    }

    fn bind_derived<'q: 'a>(&mut self, derived: Derived<'q>) -> Result<LogicalId, Error<'a>> {
        let span = derived.span();
        if let Some(typed) = derived.alias().and_then(first_typed) {
            return Err(Error::NotSupported { what: "a column type for a query", span: typed });
        }
        let bound = match derived.is_lateral() {
            false => self.bound_query(derived.query()),
            true => {
                self.enter(span)?;
                let bound = self.bind_query(derived.query())?;
                self.nesting -= 1;
                bound
            }
        };
        let bound = self.settle(bound)?;
        self.add_bound(bound, "", derived.alias(), span)
    }

    /// Adds the columns of a query.
    pub(super) fn add_bound<'q: 'a>(
        &mut self,
        bound: Bound<'a>,
        name: &'a str,
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        let name = alias.map(Alias::name).filter(|alias| !alias.is_empty()).unwrap_or(name);
        // The same column may be given twice, and be told apart by name from here on.
        let mut columns = self.renamed(bound.columns, alias, span)?;
        let mut node = bound.node;
        let is_twice = |index: usize, column: &BoundColumn<'_>| {
            columns[..index].iter().any(|before| before.id == column.id)
        };
        if columns.iter().enumerate().any(|(index, column)| is_twice(index, column)) {
            let copies = self.arena.alloc_slice_copy(columns)?;
            let mut exprs: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
            for index in 0..copies.len() {
                if !copies[..index].iter().any(|before| before.id == copies[index].id) {
                    continue;
                }
                let expr = self.plan.read(copies[index].id, span, self.arena)?;
                let id = self.plan.column(copies[index].name, expr.ty)?;
                copies[index].id = id;
                exprs.push(Named { id, expr })?;
            }
            node = self.plan.push(LogicalKind::Extend { input: node, exprs: exprs.into_slice() })?;
            columns = copies;
        }
        self.add_relation(name, columns, None, span)?;
        Ok(node)
    }

    fn add_source<'q: 'a>(
        &mut self,
        source: TableSource<'a>,
        name: &'a str,
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        let alias_name = alias.map(Alias::name).filter(|alias| !alias.is_empty()).unwrap_or(name);
        let first = self.plan.columns_like(source.columns())?;
        let columns = columns_from(source.columns(), first, span, self.arena)?;
        let columns = self.renamed(columns, alias, span)?;
        let table = match source {
            TableSource::Stored(table) => Some(table),
            TableSource::File(_) | TableSource::Engine(_) => None,
        };
        let kind = LogicalKind::Scan { source, alias: alias_name, first, conjuncts: &[] };
        let node = self.plan.push(kind)?;
        self.add_relation(alias_name, columns, table, span)?;
        Ok(node)
    }

    /// A function in FROM: its rows for each row of what stands before it.
    fn bind_function<'q: 'a>(&mut self, function: TableFunction<'q>) -> Result<LogicalId, Error<'a>> {
        let span = function.span();
        if function.form().is_some() {
            return Err(Error::NotSupported { what: "XMLTABLE and JSON_TABLE", span });
        }
        if let Some(table) = engine_table(function) {
            return self.bind_engine_table(table, function);
        }
        if let Some(node) = self.bind_record(function)? {
            return Ok(node);
        }
        let (calls, names) = self.bind_calls(function, function.alias())?;
        self.push_calls(
            &calls,
            &names,
            function.has_ordinality(),
            function.alias(),
            names.first().copied().unwrap_or_default(),
            span,
        )
    }

    /// `jsonb_to_recordset(x) AS t(a integer, b text)` and the like: the elements, and of each the fields that the columns are called after.
    /// Nothing for other functions.
    fn bind_record<'q: 'a>(&mut self, function: TableFunction<'q>) -> Result<Option<LogicalId>, Error<'a>> {
        let views::Expr::Call(call) = function.call() else { return Ok(None) };
        let (ty, elements) = match call.name() {
            "jsonb_to_recordset" => (Type::Jsonb, Some("jsonb_array_elements")),
            "json_to_recordset" => (Type::Json, Some("json_array_elements")),
            "jsonb_to_record" => (Type::Jsonb, None),
            "json_to_record" => (Type::Json, None),
            _ => return Ok(None),
        };
        let is_plain = call.schema().is_none_or(|schema| schema == "pg_catalog") && call.args().len() == 1;
        let (Some(arg), true) = (call.args().next(), is_plain) else { return Ok(None) };
        let span = function.span();
        let alias = match function.alias() {
            Some(alias) if alias.columns().len() > 0 && first_typed(alias).is_some() => alias,
            _ => {
                let message = "a column definition list is required for functions returning \"record\"";
                return Err(Error::Source { sqlstate: "42601", message, span });
            }
        };
        if function.has_ordinality() {
            let message = "WITH ORDINALITY cannot be used with a column definition list";
            return Err(Error::Source { sqlstate: "42601", message, span });
        }
        let build = self.build();
        let bound = self.bind_expr(&Place::of_rows("functions in FROM", self.visible()), arg)?;
        if bound.ty != ty && bound.ty != Type::Unknown {
            return Err(functions::undefined(build, call.name(), &[bound], span));
        }
        let whole = build.cast(bound, ty, bound.span)?;
        let set =
            elements.map(|name| functions::set_named(build, name, &[whole], span)).transpose()?.flatten();
        let (function, args) = match set {
            Some(set) => (set.function, set.args),
            None => (TableFunctionKind::Once, &*self.arena.alloc_slice_copy(&[whole])?),
        };
        let value = self.plan.column("value", ty)?;
        let columns = self.arena.alloc_slice_copy(&[value])?;
        let calls = self.arena.alloc_slice_copy(&[Call { function, args, columns, span }])?;
        let one_row = self.plan.one_row()?;
        let attached = self.attach(Stage::Rows, one_row)?;
        let input = (attached != one_row).then_some(attached);
        let node = self.plan.push(LogicalKind::TableFunction {
            input,
            calls,
            ordinality: None,
            keeps_empty: false,
        })?;
        let mut exprs: Vec<'a, Named<'a>> = Vec::with_capacity_in(alias.columns().len(), self.arena)?;
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::with_capacity_in(alias.columns().len(), self.arena)?;
        for column in alias.columns() {
            let (name, span) = (column.name(), column.span());
            let Some(type_name) = column.type_name() else {
                return Err(Error::NotSupported { what: "a column list with and without types", span });
            };
            if columns.iter().any(|known| known.name == name) {
                return Err(name_error(NameProblem::DuplicateColumn, ColumnName { table: None, name, span }));
            }
            let wanted = type_name::bind(type_name)?;
            if let Type::Array(_) = wanted {
                return Err(Error::NotSupported { what: "an array as a field of JSON", span });
            }
            let operator = if matches!(wanted, Type::Json | Type::Jsonb) { "->" } else { "->>" };
            let read = self.plan.read(value, span, self.arena)?;
            let key = build.literal(Value::Text(name), Type::Text, span)?;
            let field = functions::operator(build, operator, Some(read), key, span)?;
            let id = self.plan.column(name, wanted)?;
            exprs.push(Named { id, expr: build.cast(field, wanted, span)? })?;
            columns.push(BoundColumn { id, name, open: None, span })?;
        }
        let node = self.plan.push(LogicalKind::Extend { input: node, exprs: exprs.into_slice() })?;
        let name = if alias.name().is_empty() { call.name() } else { alias.name() };
        self.add_relation(name, columns.into_slice(), None, span)?;
        Ok(Some(node))
    }

    /// A function whose rows the engine gives: a table of its name.
    fn bind_engine_table<'q: 'a>(
        &mut self,
        table: EngineTable,
        function: TableFunction<'q>,
    ) -> Result<LogicalId, Error<'a>> {
        let span = function.span();
        if function.has_ordinality() {
            return Err(Error::NotSupported { what: "WITH ORDINALITY of a function of the engine", span });
        }
        if let Some(typed) = function.alias().and_then(first_typed) {
            return Err(Error::NotSupported { what: "a column type for a function", span: typed });
        }
        let source = TableSource::Engine(EngineSource::new(table, self.arena)?);
        self.add_source(source, table.name(), function.alias(), span)
    }

    fn bind_rows_from<'q: 'a>(&mut self, rows: RowsFrom<'q>) -> Result<LogicalId, Error<'a>> {
        let (mut calls, mut names) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        for function in rows.functions() {
            if function.form().is_some() {
                return Err(Error::NotSupported { what: "XMLTABLE and JSON_TABLE", span: function.span() });
            }
            if engine_table(function).is_some() {
                let what = "a function of the engine in ROWS FROM";
                return Err(Error::NotSupported { what, span: function.span() });
            }
            let (made, own) = self.bind_calls(function, None)?;
            calls.extend_from_slice(&made)?;
            names.extend_from_slice(&own)?;
        }
        self.push_calls(&calls, &names, rows.has_ordinality(), rows.alias(), "", rows.span())
    }

    /// A call in FROM; `unnest` of several arrays is a call for each, side by side.
    #[allow(clippy::type_complexity, reason = "calls, and names of columns")]
    fn bind_calls<'q: 'a>(
        &mut self,
        function: TableFunction<'q>,
        alias: Option<Alias<'q>>,
    ) -> Result<(Vec<'a, Call<'a>>, Vec<'a, &'a str>), Error<'a>> {
        let (mut calls, mut names) = (Vec::new_in(self.arena), Vec::new_in(self.arena));
        if let views::Expr::Call(call) = function.call()
            && call.name() == "unnest"
            && call.schema().is_none()
            && call.args().len() > 1
        {
            let span = function.span();
            let place = Place::of_rows("functions in FROM", self.visible());
            for arg in call.args() {
                let arg = self.bind_expr(&place, arg)?;
                let set = functions::set_named(self.build(), call.name(), &[arg], span)?;
                let Some(set) = set else { continue };
                let id = self.plan.column(call.name(), set.columns[0])?;
                let columns = self.arena.alloc_slice_copy(&[id])?;
                calls.push(Call { function: set.function, args: set.args, columns, span })?;
                names.push(call.name())?;
            }
            return Ok((calls, names));
        }
        let (call, own) = self.bind_call(function, alias)?;
        calls.push(call)?;
        names.extend_from_slice(&own)?;
        Ok((calls, names))
    }

    /// A call in FROM, and what its columns are called without an alias.
    fn bind_call<'q: 'a>(
        &mut self,
        function: TableFunction<'q>,
        alias: Option<Alias<'q>>,
    ) -> Result<(Call<'a>, Vec<'a, &'a str>), Error<'a>> {
        let span = function.span();
        let place = Place::of_rows("functions in FROM", self.visible());
        let alias_name = alias.map(Alias::name).filter(|name| !name.is_empty());
        let mut names: Vec<'a, &'a str> = Vec::new_in(self.arena);
        let mut columns: Vec<'a, ColumnId> = Vec::new_in(self.arena);
        let resolved = match function.call() {
            views::Expr::Call(call) => {
                let mut args: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
                for arg in call.args() {
                    args.push(self.bind_expr(&place, arg)?)?;
                }
                let args = super::named_argument::arranged(self.build(), call, args.into_slice())?;
                functions::set_returning(self.build(), call, args)?.map(|set| (set, call.name()))
            }
            _ => None,
        };
        if let Some((set, name)) = resolved {
            for (index, ty) in set.columns.iter().enumerate() {
                let own = set.names.get(index).copied();
                // A function of one column gives it the name of the alias, or the function's, unless the column has one of its own.
                let name = match (own.filter(|own| *own != name), set.columns.len()) {
                    (None, 1) => alias_name.unwrap_or(own.unwrap_or(name)),
                    (Some(own), _) => own,
                    (None, _) => name,
                };
                names.push(name)?;
                columns.push(self.plan.column(name, *ty)?)?;
            }
            let call = Call { function: set.function, args: set.args, columns: columns.into_slice(), span };
            return Ok((call, names));
        }
        // A function of a row gives one row.
        let value = self.bind_expr(&place, function.call())?;
        let value = self.build().settle(value)?;
        let name = alias_name.unwrap_or_else(|| super::output_name::output_name(function.call()));
        names.push(name)?;
        columns.push(self.plan.column(name, value.ty)?)?;
        let args = self.arena.alloc_slice_copy(&[value])?;
        let call = Call { function: TableFunctionKind::Once, args, columns: columns.into_slice(), span };
        Ok((call, names))
    }

    fn push_calls<'q: 'a>(
        &mut self,
        calls: &[Call<'a>],
        names: &[&'a str],
        has_ordinality: bool,
        alias: Option<Alias<'q>>,
        name: &'a str,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        let calls: &'a [Call<'a>] = self.arena.alloc_slice_copy(calls)?;
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
        let ids = calls.iter().flat_map(|call| call.columns);
        for (id, name) in ids.zip(names) {
            columns.push(BoundColumn { id: *id, name, open: None, span })?;
        }
        let mut ordinality = None;
        if has_ordinality {
            let id = self.plan.column("ordinality", Type::BigInt)?;
            columns.push(BoundColumn { id, name: "ordinality", open: None, span })?;
            ordinality = Some(id);
        }
        if let Some(typed) = alias.and_then(first_typed) {
            return Err(Error::NotSupported { what: "a column type for a function", span: typed });
        }
        let columns = self.renamed(columns.into_slice(), alias, span)?;
        // What queries in the arguments make stands below.
        let one_row = self.plan.one_row()?;
        let attached = self.attach(Stage::Rows, one_row)?;
        let input = (attached != one_row).then_some(attached);
        let kind = LogicalKind::TableFunction { input, calls, ordinality, keeps_empty: false };
        let node = self.plan.push(kind)?;
        let alias_name = alias.map(Alias::name).filter(|alias| !alias.is_empty()).unwrap_or(name);
        self.add_relation(alias_name, columns, None, span)?;
        if let Some(relation) = self.block_mut().scope.relations.last_mut() {
            relation.is_value = columns.len() == 1;
        }
        Ok(node)
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
            columns.push(Column { name, ty: type_name::bind_of_file(ty)? })?;
        }
        Ok(columns.into_slice())
    }

    /// The columns under the names of `AS t(a, b)`; the rest keep theirs.
    fn renamed<'q: 'a>(
        &self,
        columns: &'a [BoundColumn<'a>],
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<&'a [BoundColumn<'a>], Error<'a>> {
        let Some(alias) = alias else { return Ok(columns) };
        let mut names: Vec<'a, &'a str> = Vec::new_in(self.arena);
        for column in alias.columns() {
            names.push(column.name())?;
        }
        self.rename(columns, alias.name(), names.iter().copied(), span)
    }

    fn bind_join<'q: 'a>(
        &mut self,
        join: JoinView<'q>,
        left: &Item,
        right: &Item,
    ) -> Result<LogicalId, Error<'a>> {
        let span = join.span();
        let kind = match join.kind() {
            ViewKind::Inner | ViewKind::Cross => JoinKind::Inner,
            ViewKind::Left => JoinKind::Left,
            ViewKind::Right => JoinKind::Right,
            ViewKind::Full => JoinKind::Full,
        };
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            self.refuse_lateral(left, right, span)?;
        }
        let join_node = self.bind_condition_of_join(join, kind, left, right)?;
        // In the condition itself the rows are there.
        let padded = [
            matches!(kind, JoinKind::Right | JoinKind::Full).then(|| left.relations.clone()),
            matches!(kind, JoinKind::Left | JoinKind::Full).then(|| right.relations.clone()),
        ];
        for relation in padded.into_iter().flatten().flatten() {
            self.block_mut().scope.relations[relation as usize].is_padded = true;
        }
        self.join_alias(join, join_node, left)
    }

    fn bind_condition_of_join<'q: 'a>(
        &mut self,
        join: JoinView<'q>,
        kind: JoinKind,
        left: &Item,
        right: &Item,
    ) -> Result<LogicalId, Error<'a>> {
        let span = join.span();
        let (mut left_node, mut right_node) = (left.node, right.node);
        let mut merged: Vec<'a, (u32, u32)> = Vec::new_in(self.arena);
        let mut conjuncts: Vec<'a, &'a Expr<'a>> = Vec::new_in(self.arena);
        let mut is_merged = false;
        match join.condition() {
            JoinCondition::None => {}
            JoinCondition::On(condition) => {
                let visible = left.relations.start..right.relations.end;
                let condition = self.bind_condition(&Place::of_rows("JOIN/ON", visible), condition)?;
                if !self.block().pending.is_empty() {
                    if kind == JoinKind::Inner {
                        let node = self.cross(left.node, right.node)?;
                        let node = self.attach(Stage::Rows, node)?;
                        return self.push_filter(node, condition);
                    }
                    match self.attach_to_sides(left, right)? {
                        Some(sides) => (left_node, right_node) = sides,
                        None => return self.join_by_queries(kind, left, right, condition, span),
                    }
                }
                super::conjuncts::split(condition, &mut conjuncts)?;
            }
            JoinCondition::Using(names) => {
                is_merged = true;
                for name in names {
                    let wanted = ColumnName { table: None, name: name.name(), span: name.span() };
                    let scope = &self.block().scope;
                    let on_left = scope.resolve(wanted, left.relations.clone())?;
                    merged.push((on_left, scope.resolve(wanted, right.relations.clone())?))?;
                }
            }
            JoinCondition::Natural => {
                is_merged = true;
                self.natural_columns(left, right, span, &mut merged)?;
            }
        }
        for (on_left, on_right) in &merged {
            let sides = [self.read_position(*on_left, span)?, self.read_position(*on_right, span)?];
            conjuncts.push(self.build().compare(BinaryOp::Equal, sides[0], sides[1], span)?)?;
        }
        let join_node =
            Join { kind, left: left_node, right: right_node, conjuncts: conjuncts.into_slice(), mark: 0 };
        let mut node = self.plan.push(LogicalKind::Join(join_node))?;
        if is_merged {
            node = self.merge_columns(node, kind, &merged, left, join.using_alias(), span)?;
        }
        Ok(node)
    }

    /// The right side of a join that keeps its rows may not read the left one.
    fn refuse_lateral(&self, left: &Item, right: &Item, span: Span) -> Result<(), Error<'a>> {
        let scratch = Arena::new(self.arena.budget());
        let scope = &self.block().scope;
        let mut found: Option<(u32, Span)> = None;
        let mut note = |id: ColumnId, span: Span| {
            let Some(position) = scope.position_of(id) else { return };
            let relation = scope.columns[position as usize].relation;
            if found.is_none() && left.relations.contains(&relation) {
                found = Some((relation, span));
            }
        };
        for id in self.plan.post_order(right.node, &scratch)? {
            let kind = self.plan.kind(id);
            kind.for_each_expr(|expr| {
                let mut walk = walk::PostOrder::new_in(expr, &scratch)?;
                while let Some(expr) = walk.next()? {
                    if let ExprKind::Column(id) = expr.kind {
                        note(id, expr.span);
                    }
                }
                Ok::<_, AllocError>(())
            })?;
            kind.for_each_read(&scratch, |id| {
                note(id, span);
                Ok(())
            })?;
        }
        let Some((relation, span)) = found else { return Ok(()) };
        let name = scope.relations[relation as usize].alias;
        let message = self
            .arena
            .alloc_fmt(format_args!("invalid reference to FROM-clause entry for table \"{name}\": the join must be INNER or LEFT for a LATERAL reference"))?;
        Err(Error::Source { sqlstate: "42P10", message, span })
    }

    fn read_position(&self, position: u32, span: Span) -> Result<&'a Expr<'a>, Error<'a>> {
        let column = &self.block().scope.columns[position as usize];
        Ok(self.build().column(column.id, column.ty, span)?)
    }

    /// The columns of the right side that have a namesake on the left, with it.
    fn natural_columns(
        &self,
        left: &Item,
        right: &Item,
        span: Span,
        merged: &mut Vec<'a, (u32, u32)>,
    ) -> Result<(), Error<'a>> {
        let scope = &self.block().scope;
        let end = self.block().star.len();
        for position in &self.block().star[left.star_start..right.star_start] {
            let name = scope.columns[*position as usize].name;
            let wanted = ColumnName { table: None, name, span };
            let is_right = self.block().star[right.star_start..end]
                .iter()
                .any(|other| scope.columns[*other as usize].name == name);
            if is_right {
                let on_left = scope.resolve(wanted, left.relations.clone())?;
                merged.push((on_left, scope.resolve(wanted, right.relations.clone())?))?;
            }
        }
        Ok(())
    }

    /// Makes one of each pair of columns, which stand in front of `*`.
    fn merge_columns(
        &mut self,
        node: LogicalId,
        kind: JoinKind,
        merged: &[(u32, u32)],
        left: &Item,
        alias: Option<&'a str>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        let mut node = node;
        let mut visible: Vec<'a, u32> = Vec::with_capacity_in(merged.len(), self.arena)?;
        let mut exprs: Vec<'a, Named<'a>> = Vec::new_in(self.arena);
        let relation = self.block().scope.relations.len() as u32;
        let mut made: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
        for (on_left, on_right) in merged {
            let (kept, hidden) = match kind {
                JoinKind::Right => (*on_right, *on_left),
                _ => (*on_left, *on_right),
            };
            self.block_mut().scope.merge(hidden);
            if kind != JoinKind::Full {
                visible.push(kept)?;
                continue;
            }
            self.block_mut().scope.merge(kept);
            let build = self.build();
            let sides = [self.read_position(*on_left, span)?, self.read_position(*on_right, span)?];
            let ty = build.common_type(sides.into_iter(), "JOIN/USING")?;
            let args = build.cast_all(&sides, ty)?;
            let expr = build.call(Function::Coalesce, args, ty, span)?;
            let name = self.block().scope.columns[*on_left as usize].name;
            let id = self.plan.column(name, ty)?;
            exprs.push(Named { id, expr })?;
            made.push(BoundColumn { id, name, open: None, span })?;
        }
        if !exprs.is_empty() {
            node = self.plan.push(LogicalKind::Extend { input: node, exprs: exprs.into_slice() })?;
            let star = self.block().star.len();
            self.add_relation("", &made, None, span)?;
            let added = self.block().star[star..].len();
            debug_assert_eq!(added, made.len());
            visible.extend_from_slice(&self.block().star[star..])?;
            self.block_mut().star.truncate(star);
            debug_assert_eq!(relation + 1, self.block().scope.relations.len() as u32);
        }
        let is_merged = |position: u32| merged.iter().any(|pair| pair.0 == position || pair.1 == position);
        let mut star: Vec<'a, u32> = Vec::new_in(self.arena);
        star.extend_from_slice(&visible)?;
        let rest = self.block().star[left.star_start..].iter().copied();
        star.extend(rest.filter(|position| !is_merged(*position)))?;
        self.block_mut().star.truncate(left.star_start);
        self.block_mut().star.extend_from_slice(&star)?;
        if let Some(alias) = alias {
            let mut columns: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
            for position in &visible {
                let column = &self.block().scope.columns[*position as usize];
                columns.push(BoundColumn { id: column.id, name: column.name, open: None, span })?;
            }
            let star = self.block().star.len();
            let first = self.block().scope.columns_count();
            self.add_relation(alias, &columns, None, span)?;
            self.block_mut().star.truncate(star);
            (first..self.block().scope.columns_count())
                .for_each(|position| self.block_mut().scope.merge(position));
        }
        Ok(node)
    }

    /// The alias of a join in parentheses hides the names inside.
    fn join_alias<'q: 'a>(
        &mut self,
        join: JoinView<'q>,
        node: LogicalId,
        left: &Item,
    ) -> Result<LogicalId, Error<'a>> {
        let Some(alias) = join.alias() else { return Ok(node) };
        let span = join.span();
        let mut columns: Vec<'a, BoundColumn<'a>> = Vec::new_in(self.arena);
        for position in &self.block().star[left.star_start..] {
            let column = &self.block().scope.columns[*position as usize];
            columns.push(BoundColumn { id: column.id, name: column.name, open: None, span })?;
        }
        let columns = self.renamed(columns.into_slice(), Some(alias), span)?;
        let hidden = left.relations.start..self.block().scope.relations.len() as u32;
        self.block_mut().scope.hide(hidden);
        self.block_mut().star.truncate(left.star_start);
        self.add_relation(alias.name(), columns, None, span)?;
        Ok(node)
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

//! Binds `CREATE VIEW`, and views in FROM.
//!
//! A view is kept as text and bound anew by each statement that reads it, as a query in FROM would be, but for names: it sees none of the
//! statement's. What `*` means is fixed when the view is made: columns stand in its place in the text, which is bound once more to see that
//! it says the same. A place in the text of a view is none in the statement, so whatever is wrong there stands where the view is read.
//!
//! A view that reads itself would have no end, so it is not made; views nest as deep as queries in expressions do.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::forms::{CreateRecursiveView, CreateView as CreateViewForm, FormRef, ObjectName};
use cofferdam_sql::views::{Alias, Query, Statement};
use cofferdam_sql::{NodeKind, RewriteError, Visit, Walk};

use super::Binder;
use super::index::is_taken;
use super::insert::plain_name;
use super::query::Bound;
use crate::Span;
use crate::catalog::Catalog;
use crate::error::{DefinitionProblem, Error};
use crate::expr::ExprKind;
use crate::logical::LogicalId;
use crate::parameter::Parameters;
use crate::table::{COLUMNS_MAX, CreateView, StoredView, ViewColumn, ViewProperties};

/// A column that a `*` means: the table before its dot, and its name.
type StarColumn<'a> = (Option<&'a str>, &'a str);

/// What is noted while the query of a new view is bound.
#[derive(Debug)]
pub(super) struct NewView<'s, 'a> {
    /// Its name.
    name: &'a str,
    /// What each `*` means, by where it stands.
    stars: Vec<'s, (Span, &'a [StarColumn<'a>])>,
    /// The tables and views that it reads.
    reads: Vec<'s, &'a str>,
    /// How many views are being bound around the place.
    depth: usize,
}

impl<'s, 'a> NewView<'s, 'a> {
    fn new_in(name: &'a str, arena: &'s Arena) -> NewView<'s, 'a> {
        NewView { name, stars: Vec::new_in(arena), reads: Vec::new_in(arena), depth: 0 }
    }
}

/// A checked `CREATE VIEW`, in `arena`.
///
/// # Errors
/// Whatever is wrong with the query; 42P07 for a name that is taken, 42809 where that is not a view's, 42P16 where the columns of a view
/// that is replaced do not stay, 42P17 for one that reads itself.
pub(crate) fn create_view<'a, 'q: 'a>(
    form: CreateViewForm<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateView<'a>, Error<'a>> {
    let says = [
        ("a temporary view", form.temporary()),
        ("an unlogged view", form.unlogged()),
        ("WITH in CREATE VIEW", form.options().next().is_some()),
        ("WITH CHECK OPTION", form.check_option()),
    ];
    refuse(form.form(), &says)?;
    let (Some(name), Some(query)) = (form.name(), form.query()) else {
        return Err(Error::NotSupported { what: "a view without a query", span: form.form().span() });
    };
    let mut names: Vec<'a, &'a str> = Vec::new_in(arena);
    for name in form.columns() {
        names.push(name)?;
    }
    Definition { name, names: &names, is_replacing: form.or_replace(), catalog, arena }.view(query)
}

/// A checked `CREATE RECURSIVE VIEW`, in `arena`: a view of a query of WITH RECURSIVE that has its name and columns.
///
/// # Errors
/// As [`create_view`].
pub(crate) fn create_recursive_view<'a, 'q: 'a>(
    form: CreateRecursiveView<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateView<'a>, Error<'a>> {
    let says = [
        ("a temporary view", form.temporary()),
        ("an unlogged view", form.unlogged()),
        ("WITH in CREATE VIEW", form.options().next().is_some()),
        ("WITH CHECK OPTION", form.form().says(cofferdam_sql::Keyword::Check)),
    ];
    refuse(form.form(), &says)?;
    let span = form.form().span();
    let (Some(name), Some(query)) = (form.name(), form.query()) else {
        return Err(Error::NotSupported { what: "a view without a query", span });
    };
    let mut names: Vec<'a, &'a str> = Vec::new_in(arena);
    for name in form.columns() {
        names.push(name)?;
    }
    let mut list = cofferdam_arena::collections::String::new_in(arena);
    for (index, name) in names.iter().enumerate() {
        list.push_str(if index == 0 { "" } else { ", " })?;
        list.push_str(arena.alloc_fmt(format_args!("{}", QuotedName(name)))?)?;
    }
    let (list, quoted) = (list.into_str(), QuotedName(name.name()));
    let text = arena.alloc_fmt(format_args!(
        "WITH RECURSIVE {quoted} ({list}) AS ({}) SELECT {list} FROM {quoted}",
        query.node()
    ))?;
    let query = stored_query(text, span, arena)?;
    Definition { name, names: &names, is_replacing: form.or_replace(), catalog, arena }.view(query)
}

fn refuse<'a>(form: FormRef<'_>, says: &[(&'static str, bool)]) -> Result<(), Error<'a>> {
    match says.iter().find(|(_, says)| *says) {
        Some((what, _)) => Err(Error::NotSupported { what, span: form.span() }),
        None => Ok(()),
    }
}

/// A name in quotes, whatever is in it.
struct QuotedName<'n>(&'n str);

impl std::fmt::Display for QuotedName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"")?;
        for (index, part) in self.0.split('"').enumerate() {
            f.write_str(if index == 0 { "" } else { "\"\"" })?;
            f.write_str(part)?;
        }
        f.write_str("\"")
    }
}

/// A `CREATE VIEW` while it is bound.
struct Definition<'c, 'q, 'a> {
    name: ObjectName<'q>,
    /// What its first columns are called.
    names: &'c [&'a str],
    is_replacing: bool,
    catalog: &'c dyn Catalog,
    arena: &'a Arena,
}

impl<'q: 'a, 'a> Definition<'_, 'q, 'a> {
    fn view<'t: 'a>(&self, query: Query<'t>) -> Result<CreateView<'a>, Error<'a>> {
        let (name, span) = (plain_name(self.name)?, self.name.span());
        let failed = |error| Error::from_catalog(error, span);
        let wrong = |problem| Err(Error::Definition { problem, name, table: name, span });
        let replaced = match self.catalog.view(name, self.arena).map_err(failed)? {
            Some(_) if !self.is_replacing => return wrong(DefinitionProblem::TableExists),
            None if is_taken(name, self.catalog, self.arena, span)? => {
                return wrong(match self.is_replacing {
                    true => DefinitionProblem::NoView,
                    false => DefinitionProblem::TableExists,
                });
            }
            replaced => replaced,
        };
        let properties = self.properties(name, query)?;
        if let Some(view) = replaced {
            self.check_replaced(view, properties.columns)?;
        }
        Ok(CreateView { name, span, replaced, properties })
    }

    /// What is kept of the view.
    fn properties<'t: 'a>(&self, name: &'a str, query: Query<'t>) -> Result<ViewProperties<'a>, Error<'a>> {
        let arena = self.arena;
        let scratch = Arena::new(arena.budget());
        let (columns, noted) = self.columns_of(query, NewView::new_in(name, &scratch))?;
        self.check_names(columns)?;
        let reads = arena.alloc_slice_copy(&noted.reads)?;
        let text: &'a str = arena.alloc_fmt(format_args!("{}", query.node()))?;
        let query = if noted.stars.is_empty() { text } else { self.without_stars(text, columns)? };
        Ok(ViewProperties { query, columns, reads })
    }

    /// The query with columns in the place of every `*`, bound once more, since it must say the same.
    fn without_stars(&self, text: &'a str, columns: &[ViewColumn<'a>]) -> Result<&'a str, Error<'a>> {
        let (arena, name, span) = (self.arena, self.name.name(), self.name.span());
        let scratch = Arena::new(arena.budget());
        let query = stored_query(text, span, arena)?;
        let (_, noted) = self.columns_of(query, NewView::new_in(name, &scratch))?;
        expand_stars(query, &noted.stars, span, arena)?;
        let text: &'a str = arena.alloc_fmt(format_args!("{}", query.node()))?;
        match self.columns_of(stored_query(text, span, arena)?, NewView::new_in(name, &scratch)) {
            Ok((found, _)) if found == columns => Ok(text),
            Err(error @ Error::OutOfMemory(_)) => Err(error),
            _ => {
                let what = "a view with a * whose columns cannot be told apart by name";
                Err(Error::NotSupported { what, span })
            }
        }
    }

    /// The columns of the query, under the names that the statement gives.
    fn columns_of<'s, 't: 'a>(
        &self,
        query: Query<'t>,
        noted: NewView<'s, 'a>,
    ) -> Result<(&'a [ViewColumn<'a>], NewView<'s, 'a>), Error<'a>> {
        let (arena, span) = (self.arena, self.name.span());
        let scratch = noted.reads.arena();
        let mut binder = Binder::new(self.catalog, Parameters::NONE, arena, scratch);
        binder.new_view = Some(noted);
        let bound = binder.bind_query(query)?;
        let bound = binder.settle(bound)?;
        if self.names.len() > bound.columns.len() {
            let (problem, name) = (DefinitionProblem::ViewColumnNames, self.name.name());
            return Err(Error::Definition { problem, name, table: name, span });
        }
        let mut columns: Vec<'a, ViewColumn<'a>> = Vec::with_capacity_in(bound.columns.len(), arena)?;
        for (index, column) in bound.columns.iter().enumerate() {
            let name = self.names.get(index).copied().unwrap_or(column.name);
            let type_name = arena.alloc_fmt(format_args!("{}", binder.plan.ty(column.id)))?;
            columns.push(ViewColumn { name, type_name })?;
        }
        let noted = binder.new_view.take().expect("nobody takes it while a query is bound");
        Ok((columns.into_slice(), noted))
    }

    fn check_names(&self, columns: &[ViewColumn<'a>]) -> Result<(), Error<'a>> {
        let (table, span) = (self.name.name(), self.name.span());
        let wrong = |problem, name| Err(Error::Definition { problem, name, table, span });
        if columns.len() > COLUMNS_MAX {
            return wrong(DefinitionProblem::TooManyColumns, table);
        }
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].iter().any(|before| before.name == column.name) {
                return wrong(DefinitionProblem::ColumnTwice, column.name);
            }
        }
        Ok(())
    }

    /// Whether those who read the view can go on to do so: its columns stay, others may follow.
    fn check_replaced(&self, old: &'a StoredView<'a>, columns: &[ViewColumn<'a>]) -> Result<(), Error<'a>> {
        let span = self.name.span();
        let wrong = |problem, name, table| Err(Error::Definition { problem, name, table, span });
        if columns.len() < old.properties.columns.len() {
            return wrong(DefinitionProblem::ViewColumnDropped, old.name, old.name);
        }
        for (before, after) in old.properties.columns.iter().zip(columns) {
            if before.name != after.name {
                return wrong(DefinitionProblem::ViewColumnRenamed, before.name, after.name);
            }
            if before.type_name != after.type_name {
                let types = format_args!("from {} to {}", before.type_name, after.type_name);
                let types = self.arena.alloc_fmt(types)?;
                return wrong(DefinitionProblem::ViewColumnType, before.name, types);
            }
        }
        Ok(())
    }
}

/// Puts columns in the place of every `*`.
fn expand_stars<'a>(
    query: Query<'a>,
    stars: &[(Span, &[StarColumn<'a>])],
    span: Span,
    arena: &'a Arena,
) -> Result<(), Error<'a>> {
    let scratch = Arena::new(arena.budget());
    let mut nodes = Vec::new_in(&scratch);
    for visit in Walk::new(query.node()) {
        if let Visit::Enter(node) = visit
            && node.kind() == NodeKind::Star
            && let Some((_, columns)) = stars.iter().find(|(place, _)| *place == node.span())
        {
            nodes.push((node, *columns))?;
        }
    }
    for (node, columns) in nodes.iter().copied() {
        let copied = node.expand_star(columns, arena);
        copied.map_err(|error| match error {
            RewriteError::OutOfMemory(error) => Error::OutOfMemory(error),
            _ => Error::NotSupported { what: "this * in a view", span },
        })?;
    }
    Ok(())
}

/// A query that is kept as text, for something at `span`.
fn stored_query<'a>(text: &'a str, span: Span, arena: &'a Arena) -> Result<Query<'a>, Error<'a>> {
    let message = "the query of a view cannot be read";
    match cofferdam_sql::parse(text, arena) {
        Ok(tree) => match tree.statement() {
            Statement::Query(query) => Ok(query),
            Statement::Form(_) => Err(Error::Source { sqlstate: "XX001", message, span }),
        },
        Err(cofferdam_sql::Error::OutOfMemory(error)) => Err(Error::OutOfMemory(error)),
        Err(_) => Err(Error::Source { sqlstate: "XX001", message, span }),
    }
}

impl<'s, 'a> Binder<'s, 'a, '_> {
    /// The query of a view in FROM, which sees no names of the statement.
    pub(super) fn bind_view<'q: 'a>(
        &mut self,
        view: &'a StoredView<'a>,
        alias: Option<Alias<'q>>,
        span: Span,
    ) -> Result<LogicalId, Error<'a>> {
        if self.new_view.as_ref().is_some_and(|new| new.name == view.name) {
            let (problem, name) = (DefinitionProblem::ViewOfItself, view.name);
            return Err(Error::Definition { problem, name, table: name, span });
        }
        self.enter(span)?;
        self.note_read(view.name)?;
        let query = stored_query(view.properties.query, span, self.arena)?;
        query.node().place_at(span);
        let scratch = self.scratch;
        let blocks = std::mem::replace(&mut self.blocks, Vec::new_in(scratch));
        let ctes = std::mem::replace(&mut self.ctes, Vec::new_in(scratch));
        let recursions = std::mem::replace(&mut self.recursions, Vec::new_in(scratch));
        self.note_depth(1);
        let bound = self.bind_query(query)?;
        let bound = self.settle(bound)?;
        self.note_depth(-1);
        (self.blocks, self.ctes, self.recursions) = (blocks, ctes, recursions);
        self.nesting -= 1;
        let (expected, found) = (view.properties.columns.len(), bound.columns.len());
        if expected != found {
            let message = "the query of a view has other columns than when it was made";
            return Err(Error::Source { sqlstate: "55000", message, span });
        }
        let names = view.properties.columns.iter().map(|column| column.name);
        let columns = self.rename(bound.columns, view.name, names, span)?;
        self.add_bound(Bound { node: bound.node, columns }, view.name, alias, span)
    }

    fn note_depth(&mut self, change: isize) {
        if let Some(new) = &mut self.new_view {
            new.depth = new.depth.saturating_add_signed(change);
        }
    }

    /// Notes that the query of a new view reads a table or view.
    pub(super) fn note_read(&mut self, name: &'a str) -> Result<(), Error<'a>> {
        match &mut self.new_view {
            Some(new) if new.depth == 0 && !new.reads.contains(&name) => Ok(new.reads.push(name)?),
            _ => Ok(()),
        }
    }

    /// Notes which columns a `*` in the query of a new view means: the items of the innermost select from `first` on.
    pub(super) fn note_star(&mut self, span: Span, first: usize) -> Result<(), Error<'a>> {
        if self.new_view.as_ref().is_none_or(|new| new.depth > 0) {
            return Ok(());
        }
        let mut columns: Vec<'a, StarColumn<'a>> = Vec::new_in(self.arena);
        let scope = &self.block().scope;
        for item in &self.block().items[first..] {
            let ExprKind::Column(id) = item.expr.kind else { continue };
            let Some(position) = scope.position_of(id) else { continue };
            let column = &scope.columns[position as usize];
            let table = scope.relations[column.relation as usize].alias;
            columns.push(((!table.is_empty()).then_some(table), column.name))?;
        }
        let columns: &'a [StarColumn<'a>] = columns.into_slice();
        match &mut self.new_view {
            Some(new) => Ok(new.stars.push((span, columns))?),
            None => Ok(()),
        }
    }
}

//! Binds `CREATE TABLE`, `CREATE TABLE … AS`, `DROP TABLE` and `DROP VIEW`.
//!
//! One pass over the elements in the order of the text: columns with their types first of all, then what is said of them
//! and of the table. Defaults and checks are bound to see that they can be, and kept as canonical SQL.
//!
//! **Names.** Constraints without a name get those that PostgreSQL would give: `t_pkey`, `t_a_b_key`, `t_a_check` (of a
//! condition on one column) or `t_check`, with a number behind it where that is taken. They are not cut at 63 bytes.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_sql::views::forms::{
    ColumnCollation, ColumnConstraint, ColumnDefinition, ConstraintAttribute, CreateTable as CreateTableForm,
    CreateTableAs, DropTable, DropView, KeyColumns, ObjectName, TableConstraint, TableElement,
};
use cofferdam_sql::views::{Expr as ExprView, Literal, TypeName};
use cofferdam_types::{Error as ValueError, Excerpt, Type};

use super::Binder;
use super::assign::{Target, bind_check, bind_default};
use super::from::undefined_table;
use super::index::is_taken as is_taken_by_others;
use super::insert::{InsertTarget, plain_name};
use super::scope::{ColumnName, name_error};
use super::type_name;
use crate::Span;
use crate::catalog::Catalog;
use crate::error::{DefinitionProblem, Error, NameProblem};
use crate::expr::{Column, ExprKind, walk};
use crate::logical::LogicalPlan;
use crate::parameter::Parameters;
use crate::table::{
    COLUMNS_MAX, CheckRule, ColumnRule, CreateTable, DropTables, StoredTable, StoredView, TableSource,
    UniqueKey,
};

/// The longest `varchar(n)`, as in PostgreSQL.
const CHARACTERS_MAX: u32 = 10_485_760;

/// Types of PostgreSQL that columns of files may be declared with, since they are read as they stand, and stored ones not,
/// since what they take away would be kept. What is used instead stands beside them.
const COLUMN_TYPES: [(&str, &str, Option<&str>); 10] = [
    ("serial", "serial", Some("integer")),
    ("serial4", "serial", Some("integer")),
    ("bigserial", "bigserial", Some("bigint")),
    ("serial8", "bigserial", Some("bigint")),
    ("smallserial", "smallserial", Some("integer")),
    ("serial2", "smallserial", Some("integer")),
    ("name", "name", Some("text")),
    ("oid", "oid", Some("bigint")),
    ("xml", "xml", Some("text")),
    ("inet", "inet", Some("text")),
];

/// A column while the definition is read.
#[derive(Clone, Copy)]
struct NewColumn<'q, 'a> {
    column: Column<'a>,
    rule: ColumnRule<'a>,
    /// What the statement says about NULL.
    says_null: Option<bool>,
    default: Option<ExprView<'q>>,
}

/// A check while the definition is read.
#[derive(Clone, Copy)]
struct NewCheck<'q> {
    name: Option<&'q str>,
    condition: ExprView<'q>,
    span: Span,
}

/// A key while the definition is read.
#[derive(Clone, Copy)]
struct NewKey<'q> {
    name: Option<&'q str>,
    columns: KeyPart<'q>,
    is_primary: bool,
    span: Span,
}

/// The columns of a key, as they are named.
#[derive(Clone, Copy)]
enum KeyPart<'q> {
    /// The column that the constraint stands at.
    Column(u32),
    /// Those in parentheses.
    Names(KeyColumns<'q>),
}

/// The definition of a table while it is read.
struct Definition<'s, 'q, 'a> {
    arena: &'a Arena,
    catalog: &'s dyn Catalog,
    table: &'a str,
    columns: Vec<'s, NewColumn<'q, 'a>>,
    checks: Vec<'s, NewCheck<'q>>,
    keys: Vec<'s, NewKey<'q>>,
}

/// A checked `CREATE TABLE`, in `arena`.
///
/// # Errors
/// Whatever is wrong with the definition, with its place.
pub(crate) fn create_table<'a, 'q: 'a>(
    form: CreateTableForm<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateTable<'a>, Error<'a>> {
    refuse_settings(form)?;
    let Some(name) = form.name() else {
        return Err(Error::NotSupported { what: "a table without a name", span: form.form().span() });
    };
    let empty = new_table(name, form.if_not_exists(), catalog, arena)?;
    if empty.exists {
        return Ok(empty);
    }
    let (table, span) = (empty.name, empty.span);
    let scratch = Arena::new(arena.budget());
    let mut definition = Definition {
        arena,
        catalog,
        table,
        columns: Vec::new_in(&scratch),
        checks: Vec::new_in(&scratch),
        keys: Vec::new_in(&scratch),
    };
    for element in form.elements() {
        match element {
            TableElement::ColumnDefinition(column) => definition.column(column)?,
            TableElement::TableConstraint(constraint) => definition.table_constraint(constraint)?,
            TableElement::LikeTable(like) => {
                return Err(Error::NotSupported { what: "LIKE in CREATE TABLE", span: like.form().span() });
            }
        }
    }
    if definition.columns.is_empty() {
        return Err(Error::NotSupported { what: "a table without columns", span });
    }
    definition.finish(empty)
}

/// A table of a name that is to be made, without columns yet; one that exists where that is no error.
///
/// # Errors
/// 42P07 for a name that is taken, 0A000 for one with a schema.
fn new_table<'a, 'q: 'a>(
    name: ObjectName<'q>,
    if_not_exists: bool,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateTable<'a>, Error<'a>> {
    let (table, span) = (plain_name(name)?, name.span());
    let found = catalog.table(table, arena).map_err(|error| Error::from_catalog(error, span))?;
    let new = CreateTable {
        name: table,
        span,
        if_not_exists,
        exists: false,
        columns: &[],
        rules: &[],
        checks: &[],
        primary_key: None,
        unique_keys: &[],
    };
    match found {
        Some(_) if if_not_exists => Ok(CreateTable { exists: true, ..new }),
        None if if_not_exists && is_view(table, catalog, arena, span)? => {
            Ok(CreateTable { exists: true, ..new })
        }
        Some(_) => Err(definition(DefinitionProblem::TableExists, table, table, span)),
        // Indexes share their names with tables.
        None if is_taken_by_others(table, catalog, arena, span)? => {
            Err(definition(DefinitionProblem::TableExists, table, table, span))
        }
        None => Ok(new),
    }
}

/// A table that is made for the rows of a query.
#[derive(Debug)]
pub(crate) struct TableOfQuery<'a> {
    /// The table.
    pub(crate) table: CreateTable<'a>,
    /// The rows, and what takes them; nothing where there is such a table already, or it is to be empty.
    pub(crate) rows: Option<(LogicalPlan<'a>, InsertTarget<'a>)>,
}

/// A checked `CREATE TABLE … AS`, in `arena`. Columns are of the types of the query's; what is computed of decimals is `numeric` of any
/// digits, as in PostgreSQL.
///
/// # Errors
/// Whatever is wrong with the query, with its place; 42P07 for a name that is taken, 42701 for two columns of a name, 42601 for more names
/// than columns.
pub(crate) fn create_table_as<'a, 'q: 'a>(
    form: CreateTableAs<'q>,
    catalog: &dyn Catalog,
    parameters: Parameters<'a>,
    arena: &'a Arena,
) -> Result<TableOfQuery<'a>, Error<'a>> {
    let span = form.form().span();
    let says = [
        ("a temporary table", form.temporary()),
        ("an unlogged table", form.unlogged()),
        ("USING in CREATE TABLE", form.access_method().is_some()),
        ("WITH in CREATE TABLE", form.options().next().is_some()),
        ("ON COMMIT", form.on_commit_drop() || form.on_commit_delete() || form.on_commit_preserve()),
        ("TABLESPACE", form.tablespace().is_some()),
        ("EXECUTE in CREATE TABLE AS", form.statement().is_some()),
    ];
    if let Some((what, _)) = says.into_iter().find(|(_, says)| *says) {
        return Err(Error::NotSupported { what, span });
    }
    let (Some(name), Some(query)) = (form.name(), form.query()) else {
        return Err(Error::NotSupported { what: "a table without a name", span });
    };
    let new = new_table(name, form.if_not_exists(), catalog, arena)?;
    if new.exists {
        return Ok(TableOfQuery { table: new, rows: None });
    }
    let scratch = Arena::new(arena.budget());
    let mut binder = Binder::new(catalog, parameters, arena, &scratch);
    let bound = binder.bind_query(query)?;
    let bound = binder.settle(bound)?;
    if form.columns().count() > bound.columns.len() {
        let message = "too many column names were specified";
        return Err(Error::Source { sqlstate: "42601", message, span: new.span });
    }
    if bound.columns.is_empty() {
        return Err(Error::NotSupported { what: "a table without columns", span: new.span });
    }
    if bound.columns.len() > COLUMNS_MAX {
        return Err(definition(DefinitionProblem::TooManyColumns, new.name, new.name, new.span));
    }
    let mut names = form.columns();
    let mut columns: Vec<'a, Column<'a>> = Vec::with_capacity_in(bound.columns.len(), arena)?;
    for column in bound.columns {
        let name = names.next().map_or(column.name, |name| name);
        if columns.iter().any(|known| known.name == name) {
            return Err(definition(DefinitionProblem::ColumnTwice, name, new.name, column.span));
        }
        let ty = match binder.plan.ty(column.id) {
            Type::Decimal { .. } if !binder.is_of_table(column.id) => Type::Numeric,
            ty => ty,
        };
        columns.push(Column { name, ty })?;
    }
    let columns = &*columns.into_slice();
    let rule = ColumnRule { is_nullable: true, characters_max: None, default: None };
    let rules = &*arena.alloc_slice_fill(columns.len(), rule)?;
    let stored = StoredTable {
        id: StoredTable::OF_STATEMENT,
        name: new.name,
        columns,
        rules,
        checks: &[],
        key: &[],
        key_name: "",
        indexes: &[],
        rows_estimate: 0,
        statistics: None,
    };
    let target = InsertTarget::of_new(arena.alloc(stored)?, new.span, parameters, arena)?;
    let table = CreateTable { columns, rules, ..new };
    if form.no_data() {
        return Ok(TableOfQuery { table, rows: None });
    }
    let bound = binder.push_target(bound, &target)?;
    Ok(TableOfQuery { table, rows: Some((binder.finish(bound)?, target)) })
}

/// What a `DROP TABLE` drops, in `arena`.
///
/// # Errors
/// 42P01 for a name that no table has, 42809 for a file or a view; 2BP01 for a table that a view reads.
pub(crate) fn drop_tables<'a, 'q: 'a>(
    form: DropTable<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropTables<'a>, Error<'a>> {
    let mut tables: Vec<'a, &'a StoredTable<'a>> = Vec::new_in(arena);
    let mut missing: Vec<'a, &'a str> = Vec::new_in(arena);
    for object in form.names() {
        let (name, span) = (plain_name(object)?, object.span());
        match catalog.table(name, arena).map_err(|error| Error::from_catalog(error, span))? {
            Some(TableSource::Stored(table)) => {
                if tables.iter().all(|known| known.id != table.id) {
                    tables.push(table)?;
                }
            }
            Some(TableSource::File(_) | TableSource::Engine(_)) => {
                return Err(definition(DefinitionProblem::NotStored, name, name, span));
            }
            None if is_view(name, catalog, arena, span)? => {
                return Err(definition(DefinitionProblem::NoTable, name, name, span));
            }
            None if form.if_exists() => missing.push(name)?,
            None => return Err(undefined_table(catalog, arena, NameProblem::NoSuchTable, name, span)),
        }
    }
    let dropped = Dropped { tables: &tables, views: Vec::new_in(arena), cascade: form.cascade() };
    let views = dropped.with_readers(catalog, arena, form.form().span())?;
    Ok(DropTables { tables: tables.into_slice(), views, missing: missing.into_slice() })
}

/// What a `DROP VIEW` drops, in `arena`.
///
/// # Errors
/// 42P01 for a name that no view has, 42809 for a table; 2BP01 for a view that another one reads.
pub(crate) fn drop_views<'a, 'q: 'a>(
    form: DropView<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropTables<'a>, Error<'a>> {
    let mut views: Vec<'a, &'a StoredView<'a>> = Vec::new_in(arena);
    let mut missing: Vec<'a, &'a str> = Vec::new_in(arena);
    for object in form.names() {
        let (name, span) = (plain_name(object)?, object.span());
        let failed = |error| Error::from_catalog(error, span);
        match catalog.view(name, arena).map_err(failed)? {
            Some(view) => {
                if views.iter().all(|known| known.id != view.id) {
                    views.push(view)?;
                }
            }
            None if catalog.table(name, arena).map_err(failed)?.is_some() => {
                return Err(definition(DefinitionProblem::NoView, name, name, span));
            }
            None if form.if_exists() => missing.push(name)?,
            None => return Err(undefined_table(catalog, arena, NameProblem::NoSuchView, name, span)),
        }
    }
    let dropped = Dropped { tables: &[], views, cascade: form.cascade() };
    let views = dropped.with_readers(catalog, arena, form.form().span())?;
    Ok(DropTables { tables: &[], views, missing: missing.into_slice() })
}

/// What a statement drops while that is found out.
struct Dropped<'t, 'a> {
    tables: &'t [&'a StoredTable<'a>],
    views: Vec<'a, &'a StoredView<'a>>,
    /// Whether the views go that read what goes.
    cascade: bool,
}

impl<'a> Dropped<'_, 'a> {
    /// The views that go: those that are named, and with `CASCADE` those that read what goes.
    ///
    /// # Errors
    /// 2BP01 where there are such without `CASCADE`.
    fn with_readers(
        mut self,
        catalog: &dyn Catalog,
        arena: &'a Arena,
        span: Span,
    ) -> Result<&'a [&'a StoredView<'a>], Error<'a>> {
        if self.tables.is_empty() && self.views.is_empty() {
            return Ok(&[]);
        }
        let all = catalog.views(arena).map_err(|error| Error::from_catalog(error, span))?;
        loop {
            let is_kept = |view: &StoredView<'_>| self.views.iter().all(|known| known.id != view.id);
            let kept = all.iter().copied().filter(|view| is_kept(view));
            let read =
                kept.filter_map(|view| self.read_by(view).map(|(problem, name)| (view, problem, name)));
            let Some((view, problem, name)) = { read }.next() else { return Ok(self.views.into_slice()) };
            if !self.cascade {
                return Err(definition(problem, name, view.name, span));
            }
            self.views.push(view)?;
        }
    }

    /// Something that goes and that a view reads.
    fn read_by(&self, view: &StoredView<'a>) -> Option<(DefinitionProblem, &'a str)> {
        let reads = |name: &str| view.properties.reads.contains(&name);
        let table = self.tables.iter().find(|table| reads(table.name));
        table.map(|table| (DefinitionProblem::TableIsRead, table.name)).or_else(|| {
            let view = self.views.iter().find(|view| reads(view.name));
            view.map(|view| (DefinitionProblem::ViewIsRead, view.name))
        })
    }
}

/// Whether a view has the name.
pub(super) fn is_view<'a>(
    name: &str,
    catalog: &dyn Catalog,
    arena: &'a Arena,
    span: Span,
) -> Result<bool, Error<'a>> {
    let view = catalog.view(name, arena);
    view.map(|view| view.is_some()).map_err(|error| Error::from_catalog(error, span))
}

fn definition<'a>(problem: DefinitionProblem, name: &'a str, table: &'a str, span: Span) -> Error<'a> {
    Error::Definition { problem, name, table, span }
}

/// Parts of a `CREATE TABLE` that are not here yet.
fn refuse_settings<'a>(form: CreateTableForm<'_>) -> Result<(), Error<'a>> {
    let says = [
        ("a temporary table", form.temporary()),
        ("an unlogged table", form.unlogged()),
        ("INHERITS", form.inherits().next().is_some()),
        ("PARTITION BY", form.partition_by().is_some()),
        ("PARTITION OF", form.partition_of().is_some()),
        ("a table of a type", form.of_type().is_some()),
        ("USING in CREATE TABLE", form.access_method().is_some()),
        ("WITH in CREATE TABLE", form.options().next().is_some()),
        ("ON COMMIT", form.on_commit_drop() || form.on_commit_delete() || form.on_commit_preserve()),
        ("TABLESPACE", form.tablespace().is_some()),
    ];
    match says.into_iter().find(|(_, says)| *says) {
        Some((what, _)) => Err(Error::NotSupported { what, span: form.form().span() }),
        None => Ok(()),
    }
}

impl<'q: 'a, 'a> Definition<'_, 'q, 'a> {
    fn column(&mut self, form: ColumnDefinition<'q>) -> Result<(), Error<'a>> {
        let (name, span) = (form.name().unwrap_or_default(), form.form().span());
        if self.columns.iter().any(|known| known.column.name == name) {
            return Err(definition(DefinitionProblem::ColumnTwice, name, self.table, span));
        }
        if self.columns.len() == COLUMNS_MAX {
            return Err(definition(DefinitionProblem::TooManyColumns, name, self.table, span));
        }
        let has_storage = form.storage().is_some() || form.storage_default();
        if has_storage || form.compression().is_some() || form.compression_default() {
            return Err(Error::NotSupported { what: "STORAGE and COMPRESSION", span });
        }
        if form.options().next().is_some() {
            return Err(Error::NotSupported { what: "OPTIONS of a column", span });
        }
        let Some(ty) = form.type_name() else {
            return Err(Error::NotSupported { what: "a column without a type", span });
        };
        let (ty, characters_max) = column_type(ty)?;
        let rule = ColumnRule { is_nullable: true, characters_max, default: None };
        let column = Column { name, ty };
        self.columns.push(NewColumn { column, rule, says_null: None, default: None })?;
        form.constraints().try_for_each(|constraint| self.column_constraint(constraint))
    }

    /// Takes in what is said of the last column.
    fn column_constraint(&mut self, constraint: ColumnConstraint<'q>) -> Result<(), Error<'a>> {
        let (table, index) = (self.table, self.columns.len() - 1);
        let span = constraint.form().span();
        let column = &mut self.columns[index];
        match constraint {
            ColumnConstraint::ColumnNotNull(_) => self.says_null(index, false, span),
            ColumnConstraint::ColumnNull(_) => self.says_null(index, true, span),
            ColumnConstraint::ColumnDefault(default) => {
                if column.default.is_some() {
                    let problem = DefinitionProblem::SeveralDefaults;
                    return Err(definition(problem, column.column.name, table, span));
                }
                column.default = default.value();
                Ok(())
            }
            ColumnConstraint::ColumnCheck(check) => self.check(check.name(), check.condition(), span),
            ColumnConstraint::ColumnUnique(unique) => {
                refuse_index(unique.nulls_not(), unique.options().next(), unique.tablespace(), span)?;
                self.key(unique.name(), KeyPart::Column(index as u32), false, span)
            }
            ColumnConstraint::ColumnPrimaryKey(key) => {
                refuse_index(false, key.options().next(), key.tablespace(), span)?;
                self.key(key.name(), KeyPart::Column(index as u32), true, span)
            }
            ColumnConstraint::ColumnCollation(collation) => collate(collation),
            ColumnConstraint::ConstraintAttribute(attribute) => refuse_attribute(attribute),
            ColumnConstraint::IdentityColumn(_) => {
                Err(Error::NotSupported { what: "an identity column", span })
            }
            ColumnConstraint::GeneratedColumn(_) => {
                Err(Error::NotSupported { what: "a generated column", span })
            }
            ColumnConstraint::ColumnReferences(_) => Err(Error::NotSupported { what: "REFERENCES", span }),
        }
    }

    fn says_null(&mut self, index: usize, says: bool, span: Span) -> Result<(), Error<'a>> {
        let column = &mut self.columns[index];
        if column.says_null.is_some_and(|said| said != says) {
            let problem = DefinitionProblem::ConflictingNulls;
            return Err(definition(problem, column.column.name, self.table, span));
        }
        column.says_null = Some(says);
        column.rule.is_nullable = says;
        Ok(())
    }

    fn table_constraint(&mut self, constraint: TableConstraint<'q>) -> Result<(), Error<'a>> {
        let span = constraint.form().span();
        match constraint {
            TableConstraint::CheckConstraint(check) => {
                check.attributes().try_for_each(refuse_attribute)?;
                self.check(check.name(), check.condition(), span)
            }
            TableConstraint::UniqueConstraint(unique) => {
                unique.attributes().try_for_each(refuse_attribute)?;
                refuse_index(unique.nulls_not(), unique.options().next(), unique.tablespace(), span)?;
                refuse_include(unique.include().next(), unique.index(), span)?;
                self.table_key(unique.name(), unique.key(), false, span)
            }
            TableConstraint::PrimaryKey(key) => {
                key.attributes().try_for_each(refuse_attribute)?;
                refuse_index(false, key.options().next(), key.tablespace(), span)?;
                refuse_include(key.include().next(), key.index(), span)?;
                self.table_key(key.name(), key.key(), true, span)
            }
            TableConstraint::NotNullConstraint(not_null) => {
                not_null.attributes().try_for_each(refuse_attribute)?;
                let name = not_null.column().unwrap_or_default();
                let Some(index) = self.columns.iter().position(|column| column.column.name == name) else {
                    let wanted = ColumnName { table: None, name, span };
                    return Err(name_error(NameProblem::UndefinedColumn, wanted));
                };
                self.says_null(index, false, span)
            }
            TableConstraint::ExclusionConstraint(_) => Err(Error::NotSupported { what: "EXCLUDE", span }),
            TableConstraint::ForeignKey(_) => Err(Error::NotSupported { what: "FOREIGN KEY", span }),
        }
    }

    fn check(
        &mut self,
        name: Option<&'q str>,
        condition: Option<ExprView<'q>>,
        span: Span,
    ) -> Result<(), Error<'a>> {
        match condition {
            Some(condition) => Ok(self.checks.push(NewCheck { name, condition, span })?),
            None => Ok(()),
        }
    }

    fn table_key(
        &mut self,
        name: Option<&'q str>,
        columns: Option<KeyColumns<'q>>,
        is_primary: bool,
        span: Span,
    ) -> Result<(), Error<'a>> {
        let Some(columns) = columns else { return Ok(()) };
        if columns.without_overlaps() {
            return Err(Error::NotSupported { what: "WITHOUT OVERLAPS", span });
        }
        self.key(name, KeyPart::Names(columns), is_primary, span)
    }

    fn key(
        &mut self,
        name: Option<&'q str>,
        columns: KeyPart<'q>,
        is_primary: bool,
        span: Span,
    ) -> Result<(), Error<'a>> {
        if is_primary && self.keys.iter().any(|key| key.is_primary) {
            return Err(definition(DefinitionProblem::SeveralPrimaryKeys, self.table, self.table, span));
        }
        Ok(self.keys.push(NewKey { name, columns, is_primary, span })?)
    }

    /// Binds what could only be bound when all columns are known, and gives names to what has none.
    fn finish(mut self, empty: CreateTable<'a>) -> Result<CreateTable<'a>, Error<'a>> {
        let (primary_key, unique_keys) = self.finish_keys()?;
        let primary = primary_key.map_or(&[][..], |key| key.columns);
        for &column in primary {
            self.columns[column as usize].rule.is_nullable = false;
        }
        let arena = self.arena;
        let columns: &'a [Column<'a>] =
            arena.alloc_slice_from_iter(self.columns.iter().map(|new| new.column))?;
        for new in &mut self.columns {
            let Some(value) = new.default else { continue };
            let bound = bind_default(arena, value, Target::new(&new.column, &new.rule))?;
            if !matches!(bound.kind, ExprKind::Literal(cofferdam_types::Value::Null)) {
                new.rule.default = Some(arena.alloc_fmt(format_args!("{}", value.node()))?);
            }
        }
        let rules: &'a [ColumnRule<'a>] =
            arena.alloc_slice_from_iter(self.columns.iter().map(|new| new.rule))?;
        let checks = self.finish_checks(columns)?;
        Ok(CreateTable { exists: false, columns, rules, checks, primary_key, unique_keys, ..empty })
    }

    fn finish_checks(&self, columns: &'a [Column<'a>]) -> Result<&'a [CheckRule<'a>], Error<'a>> {
        let mut checks: Vec<'a, CheckRule<'a>> = Vec::with_capacity_in(self.checks.len(), self.arena)?;
        for new in &self.checks {
            let bound = bind_check(self.arena, new.condition, self.table, columns)?;
            let is_taken = |name: &str| checks.iter().any(|check| check.name == name);
            let name = match new.name {
                Some(name) if is_taken(name) => {
                    return Err(definition(DefinitionProblem::CheckExists, name, self.table, new.span));
                }
                Some(name) => name,
                None => {
                    let mut only = Only::None;
                    walk::for_each(bound, self.arena, |node| {
                        if let ExprKind::Column(position) = node.kind {
                            only = only.and(position);
                        }
                    })?;
                    let column = only.one().map(|position| columns[position as usize].name);
                    self.free_name(&[column], "check", is_taken)?
                }
            };
            let condition = self.arena.alloc_fmt(format_args!("{}", new.condition.node()))?;
            checks.push(CheckRule { name, condition })?;
        }
        Ok(checks.into_slice())
    }

    /// The primary key and the other keys; one that has the columns of another is that other one.
    fn finish_keys(&self) -> Result<(Option<UniqueKey<'a>>, &'a [UniqueKey<'a>]), Error<'a>> {
        let mut found: Vec<'a, UniqueKey<'a>> = Vec::with_capacity_in(self.keys.len(), self.arena)?;
        let keys = |is_primary| self.keys.iter().filter(move |key| key.is_primary == is_primary);
        for new in keys(true).chain(keys(false)) {
            let columns = self.key_columns(new)?;
            if let Some(known) = found.iter_mut().find(|known| known.columns == columns) {
                // Which of two names it has does not matter where one is made up.
                known.name = if known.name.is_empty() { new.name.unwrap_or_default() } else { known.name };
                continue;
            }
            found.push(UniqueKey { name: new.name.unwrap_or_default(), columns })?;
        }
        let has_primary = self.keys.iter().any(|key| key.is_primary);
        for index in 0..found.len() {
            let name = self.key_name(&found, index, has_primary && index == 0)?;
            found[index].name = name;
        }
        let found: &'a [UniqueKey<'a>] = found.into_slice();
        Ok(match found.split_first() {
            Some((first, rest)) if has_primary => (Some(*first), rest),
            _ => (None, found),
        })
    }

    fn key_columns(&self, key: &NewKey<'q>) -> Result<&'a [u32], Error<'a>> {
        let names = match key.columns {
            KeyPart::Column(column) => return Ok(self.arena.alloc_slice_copy(&[column])?),
            KeyPart::Names(names) => names,
        };
        let mut columns: Vec<'a, u32> = Vec::new_in(self.arena);
        for name in names.columns() {
            let problem = match self.columns.iter().position(|column| column.column.name == name) {
                Some(column) if columns.contains(&(column as u32)) => DefinitionProblem::KeyColumnTwice,
                Some(column) => {
                    columns.push(column as u32)?;
                    continue;
                }
                None => DefinitionProblem::KeyColumnUndefined,
            };
            return Err(definition(problem, name, self.table, key.span));
        }
        Ok(columns.into_slice())
    }

    /// The name of a key, which shares its names with tables.
    fn key_name(&self, keys: &[UniqueKey<'a>], index: usize, is_primary: bool) -> Result<&'a str, Error<'a>> {
        let mut failed = None;
        let mut is_taken = |name: &str| {
            let is_key = keys.iter().enumerate().any(|(other, key)| other != index && key.name == name);
            is_key
                || name == self.table
                || match is_taken_by_others(name, self.catalog, self.arena, Span::default()) {
                    Ok(is_taken) => is_taken,
                    Err(error) => {
                        failed = Some(error);
                        // Ends the search for a free name.
                        false
                    }
                }
        };
        let UniqueKey { name, columns } = keys[index];
        let named = match name {
            "" if is_primary => self.free_name(&[], "pkey", &mut is_taken),
            "" => {
                let mut names = Vec::with_capacity_in(columns.len(), self.arena)?;
                names
                    .extend(columns.iter().map(|column| Some(self.columns[*column as usize].column.name)))?;
                self.free_name(&names, "key", &mut is_taken)
            }
            name if is_taken(name) => {
                let span = self.keys.iter().find(|key| key.name == Some(name)).map(|key| key.span);
                let problem = DefinitionProblem::KeyExists;
                Err(definition(problem, name, self.table, span.unwrap_or_default()))
            }
            name => Ok(name),
        };
        match failed {
            Some(error) => Err(error),
            None => named,
        }
    }

    /// `table_columns_label`, or that with the first number from 1 that makes it free.
    fn free_name(
        &self,
        columns: &[Option<&str>],
        label: &str,
        mut is_taken: impl FnMut(&str) -> bool,
    ) -> Result<&'a str, Error<'a>> {
        let mut name = cofferdam_arena::collections::String::new_in(self.arena);
        name.push_str(self.table)?;
        for column in columns.iter().flatten() {
            name.push('_')?;
            name.push_str(column)?;
        }
        name.push('_')?;
        name.push_str(label)?;
        let base: &'a str = name.into_str();
        let mut candidate = base;
        for number in 1u32.. {
            if !is_taken(candidate) {
                break;
            }
            candidate = self.arena.alloc_fmt(format_args!("{base}{number}"))?;
        }
        Ok(candidate)
    }
}

/// Which columns a condition uses.
#[derive(Clone, Copy)]
enum Only {
    None,
    One(u32),
    Several,
}

impl Only {
    fn and(self, position: u32) -> Only {
        match self {
            Only::None => Only::One(position),
            Only::One(known) if known == position => self,
            Only::One(_) | Only::Several => Only::Several,
        }
    }

    fn one(self) -> Option<u32> {
        match self {
            Only::One(position) => Some(position),
            Only::None | Only::Several => None,
        }
    }
}

/// Parts of a key that are not here yet.
fn refuse_index<'a, O>(
    nulls_not: bool,
    option: Option<O>,
    tablespace: Option<&str>,
    span: Span,
) -> Result<(), Error<'a>> {
    let says = [
        ("NULLS NOT DISTINCT", nulls_not),
        ("WITH in a constraint", option.is_some()),
        ("USING INDEX TABLESPACE", tablespace.is_some()),
    ];
    match says.into_iter().find(|(_, says)| *says) {
        Some((what, _)) => Err(Error::NotSupported { what, span }),
        None => Ok(()),
    }
}

fn refuse_include<'a>(include: Option<&str>, index: Option<&str>, span: Span) -> Result<(), Error<'a>> {
    match (include, index) {
        (Some(_), _) => Err(Error::NotSupported { what: "INCLUDE", span }),
        (_, Some(_)) => Err(Error::NotSupported { what: "USING INDEX", span }),
        (None, None) => Ok(()),
    }
}

/// `NOT DEFERRABLE` and the like are how it is anyway; what would change something is refused.
fn refuse_attribute<'a>(attribute: ConstraintAttribute<'_>) -> Result<(), Error<'a>> {
    let span = attribute.form().span();
    let what = match attribute.negated() {
        false if attribute.deferrable() || attribute.deferred() => "DEFERRABLE",
        true if attribute.enforced() => "NOT ENFORCED",
        _ if attribute.valid() => "NOT VALID",
        _ => return Ok(()),
    };
    Err(Error::NotSupported { what, span })
}

/// Text is ordered by its bytes, which is the collation "C".
fn collate<'a>(collation: ColumnCollation<'_>) -> Result<(), Error<'a>> {
    match collation.collation().map(|collation| collation.name()) {
        Some("C" | "POSIX" | "ucs_basic" | "default") | None => Ok(()),
        Some(_) => {
            Err(Error::NotSupported { what: "a collation other than \"C\"", span: collation.form().span() })
        }
    }
}

/// Whether values of a type have seconds, of which a column may keep fewer digits.
fn has_seconds(ty: Type) -> bool {
    matches!(ty, Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval)
}

/// The type that a stored column has, and the most characters of its texts or digits of its seconds.
fn column_type<'a, 'q: 'a>(name: TypeName<'q>) -> Result<(Type, Option<u32>), Error<'a>> {
    let span = name.span();
    let refused = |name: &'static str, instead| Err(Error::ColumnType { name, instead, span });
    if name.is_of_column() || name.is_set() {
        return Err(Error::NotSupported { what: "a column of a type of another column", span });
    }
    if !name.interval_fields().is_empty() {
        return Err(Error::NotSupported { what: "an interval with fields", span });
    }
    let found = COLUMN_TYPES.iter().find(|(known, _, _)| *known == name.name());
    if let Some((_, ty, instead)) = found.filter(|_| name.array_dimensions() == 0) {
        return refused(ty, *instead);
    }
    let modifier = name.modifiers().next().map(|modifier| match modifier {
        ExprView::Literal(Literal::Integer(node)) => node.name().parse().unwrap_or(u32::MAX),
        _ => u32::MAX,
    });
    let ty = type_name::bind(name)?;
    match (ty, name.name(), modifier) {
        (ty, _, Some(digits @ 0..6)) if has_seconds(ty) => Ok((ty, Some(digits))),
        (Type::Array(element), _, Some(0..6)) if has_seconds(element.ty()) => {
            let what = "a column of arrays of times with fewer than 6 digits of seconds";
            Err(Error::NotSupported { what, span })
        }
        (Type::Array(element), _, Some(_)) if element.ty().is_text() => {
            Err(Error::NotSupported { what: "a column of arrays of texts with a length", span })
        }
        (Type::Text | Type::Char, known, Some(given)) if given > CHARACTERS_MAX => {
            let cause = ValueError::InvalidModifier {
                name: Excerpt::new(known.as_bytes()),
                given,
                reason: "length cannot exceed 10485760",
            };
            Err(Error::Value { cause, span })
        }
        (Type::Text | Type::Char, _, Some(given)) => Ok((ty, Some(given))),
        (Type::Char, known, None) if known != "bpchar" => Ok((ty, Some(1))),
        _ => Ok((ty, None)),
    }
}

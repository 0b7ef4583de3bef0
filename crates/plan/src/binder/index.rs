//! Binds `CREATE INDEX` and `DROP INDEX`.
//!
//! An index without a name gets the one that PostgreSQL would give: `t_a_b_idx`, with a number behind it where that is taken.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::{String, Vec};
use cofferdam_sql::Keyword;
use cofferdam_sql::views::forms::{self, IndexElement};

use super::define::is_view;
use super::insert::{plain_name, stored_table};
use crate::Span;
use crate::catalog::Catalog;
use crate::error::{DefinitionProblem, Error, NameProblem};
use crate::expr::Column;
use crate::table::{CreateIndex, DropIndexes, KeyColumn, StoredIndex, StoredTable};

/// A checked `CREATE INDEX`, in `arena`.
///
/// # Errors
/// Whatever is wrong with the definition, with its place.
pub(crate) fn create_index<'a, 'q: 'a>(
    form: forms::CreateIndex<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<CreateIndex<'a>, Error<'a>> {
    let span = form.form().span();
    refuse_settings(form)?;
    let Some(name) = form.table().and_then(|relation| relation.table()) else {
        return Err(Error::NotSupported { what: "an index of no table", span });
    };
    if is_view(plain_name(name)?, catalog, arena, span)? {
        let (problem, table) = (DefinitionProblem::NoIndexOfView, name.name());
        return Err(Error::Definition { problem, name: table, table, span: name.span() });
    }
    let table = stored_table(name, catalog, arena)?;
    let mut key: Vec<'a, KeyColumn> = Vec::new_in(arena);
    for element in form.elements() {
        let part = key_column(element, table)?;
        // A column that is there already adds nothing to the order.
        if key.iter().all(|known| known.column != part.column) {
            key.push(part)?;
        }
    }
    let mut exists = false;
    let name = match form.name() {
        Some(name) if is_taken(name, catalog, arena, span)? => {
            if !form.if_not_exists() {
                let problem = DefinitionProblem::KeyExists;
                return Err(Error::Definition { problem, name, table: table.name, span });
            }
            exists = true;
            name
        }
        Some(name) => name,
        None => free_name(table, &key, catalog, arena, span)?,
    };
    Ok(CreateIndex { name, span, table, key: key.into_slice(), is_unique: form.unique(), exists })
}

/// The indexes that a `DROP INDEX` names, in `arena`.
///
/// # Errors
/// 42704 for a name that no index has, 42809 for a table, 2BP01 for the index of a constraint.
pub(crate) fn drop_indexes<'a, 'q: 'a>(
    form: forms::DropIndex<'q>,
    catalog: &dyn Catalog,
    arena: &'a Arena,
) -> Result<DropIndexes<'a>, Error<'a>> {
    if form.concurrently() {
        return Err(Error::NotSupported { what: "CONCURRENTLY", span: form.form().span() });
    }
    let mut indexes: Vec<'a, StoredIndex<'a>> = Vec::new_in(arena);
    let mut missing: Vec<'a, &'a str> = Vec::new_in(arena);
    for object in form.names() {
        let (name, span) = (plain_name(object)?, object.span());
        let failed = |error| Error::from_catalog(error, span);
        let wrong = |problem, table| Error::Definition { problem, name, table, span };
        match catalog.index(name, arena).map_err(failed)? {
            Some((table, index)) if index.is_constraint => {
                return Err(wrong(DefinitionProblem::IndexOfConstraint, table.name));
            }
            Some((_, index)) => {
                if indexes.iter().all(|known| known.id != index.id) {
                    indexes.push(index)?;
                }
            }
            None if is_taken(name, catalog, arena, span)? => {
                return Err(wrong(DefinitionProblem::NoIndex, name));
            }
            None if form.if_exists() => missing.push(name)?,
            None => {
                let (problem, qualifier, suggestion) = (NameProblem::NoSuchIndex, None, None);
                return Err(Error::Name { problem, name, qualifier, suggestion, span });
            }
        }
    }
    Ok(DropIndexes { indexes: indexes.into_slice(), missing: missing.into_slice() })
}

/// Whether a table, a view or an index has the name.
pub(super) fn is_taken<'a>(
    name: &str,
    catalog: &dyn Catalog,
    arena: &'a Arena,
    span: Span,
) -> Result<bool, Error<'a>> {
    let failed = |error| Error::from_catalog(error, span);
    Ok(catalog.table(name, arena).map_err(failed)?.is_some()
        || catalog.view(name, arena).map_err(failed)?.is_some()
        || catalog.index(name, arena).map_err(failed)?.is_some())
}

/// Parts of a `CREATE INDEX` that are not here yet.
fn refuse_settings<'a>(form: forms::CreateIndex<'_>) -> Result<(), Error<'a>> {
    let span = form.form().span();
    let says = [
        ("CONCURRENTLY", form.concurrently()),
        ("an index of another kind than btree", form.access_method().is_some_and(|method| method != "btree")),
        ("INCLUDE", form.include().next().is_some()),
        // `IF NOT EXISTS` has the word as well.
        ("NULLS NOT DISTINCT", form.nulls_not() && form.form().says(Keyword::Nulls)),
        ("WITH in CREATE INDEX", form.options().next().is_some()),
        ("TABLESPACE", form.tablespace().is_some()),
    ];
    if let Some((what, _)) = says.into_iter().find(|(_, says)| *says) {
        return Err(Error::NotSupported { what, span });
    }
    match form.condition() {
        Some(condition) => {
            Err(Error::NotSupported { what: "an index of some rows of a table", span: condition.span() })
        }
        None => Ok(()),
    }
}

/// What an element of an index says: a column and its order, with NULLs behind all values, or before them where it is descending.
fn key_column<'a, 'q: 'a>(
    element: IndexElement<'q>,
    table: &'a StoredTable<'a>,
) -> Result<KeyColumn, Error<'a>> {
    let span = element.form().span();
    let refused = |what| Err(Error::NotSupported { what, span });
    if element.collation().is_some() || element.operator_class().is_some() {
        return refused("a collation or operator class of an index");
    }
    let descending = element.descending();
    let nulls_first = element.nulls_first() || descending && !element.nulls_last();
    let Some(name) = element.column() else { return refused("an index of an expression") };
    match table.columns.iter().position(|Column { name: known, .. }| *known == name) {
        Some(position) => Ok(KeyColumn { column: position as u32, descending, nulls_first }),
        None => {
            let mut suggestion = super::suggest::Suggestion::new(name);
            table.columns.iter().for_each(|column| suggestion.offer(column.name));
            let (problem, suggestion) = (NameProblem::UndefinedColumn, suggestion.best());
            Err(Error::Name { problem, name, qualifier: None, suggestion, span })
        }
    }
}

fn free_name<'a>(
    table: &StoredTable<'a>,
    key: &[KeyColumn],
    catalog: &dyn Catalog,
    arena: &'a Arena,
    span: Span,
) -> Result<&'a str, Error<'a>> {
    let mut name = String::new_in(arena);
    name.push_str(table.name)?;
    for part in key {
        name.push('_')?;
        name.push_str(table.columns[part.column as usize].name)?;
    }
    name.push_str("_idx")?;
    let base: &'a str = name.into_str();
    let (mut candidate, mut number) = (base, 1u64);
    while is_taken(candidate, catalog, arena, span)? {
        candidate = arena.alloc_fmt(format_args!("{base}{number}"))?;
        number += 1;
    }
    Ok(candidate)
}

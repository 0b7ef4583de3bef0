//! What the planner learns of tables: registered and stored ones by name, files by path.
//!
//! **Memory.** The definitions of registered tables outlive statements and grow one by one, so they are plain strings
//! on the heap, and the budget `catalog` is charged for them before they are made: a named exception in
//! `docs/BUDGETS.md`. What a statement learns of a table is copied into its plan arena.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_exec::{SniffOptions, sniff_file};
use cofferdam_plan::catalog::{Catalog, CatalogError, FileRequest};
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{FieldRules, FileFormat, FileSource, KeyRange};
use cofferdam_plan::table::{StoredIndex, StoredTable, StoredView, TableSource, TableStatistics};
use cofferdam_types::Type;

use crate::error::Error;
use crate::transaction::TransactionState;

/// The tables of a connection.
#[derive(Debug)]
pub(crate) struct Tables {
    budget: Budget,
    list: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    name: Box<str>,
    path: Box<str>,
    schema: Option<Box<[NamedType]>>,
    charged_bytes: u64,
}

/// A column of a registered table.
type NamedType = (Box<str>, Type);

impl Tables {
    pub(crate) fn new(database: &Budget) -> Result<Tables, Error> {
        let budget = database.child("catalog", u64::MAX).map_err(|_| Error::refused(database))?;
        Ok(Tables { budget, list: Vec::new() })
    }

    pub(crate) fn register(
        &mut self,
        name: &str,
        path: &str,
        schema: Option<&[(&str, Type)]>,
    ) -> Result<(), Error> {
        let charged_bytes = charge_for(name, path, schema);
        self.budget.charge(charged_bytes).map_err(|_| self.refused())?;
        let schema = schema.map(|columns| columns.iter().map(|&(name, ty)| (name.into(), ty)).collect());
        let table = Table { name: name.into(), path: path.into(), schema, charged_bytes };
        match self.list.iter_mut().find(|table| *table.name == *name) {
            Some(old) => {
                self.budget.release(old.charged_bytes);
                *old = table;
            }
            None => self.list.push(table),
        }
        Ok(())
    }

    /// Whether no file is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Gives the name of each registered file, its path, and the number of its columns where they are declared.
    pub(crate) fn for_each<E>(
        &self,
        mut visit: impl FnMut(&str, &str, Option<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let columns_count = |table: &Table| table.schema.as_ref().map(|schema| schema.len());
        self.list.iter().try_for_each(|table| visit(&table.name, &table.path, columns_count(table)))
    }

    /// A definition is charged in one piece, so that the limit it would have fitted is known.
    fn refused(&self) -> Error {
        match Error::refused(&self.budget) {
            Error::OutOfMemory(record) => record.with_sufficient_bytes(record.needed_bytes()).into(),
            error => error,
        }
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        for table in &self.list {
            self.budget.release(table.charged_bytes);
        }
    }
}

/// Bytes of a definition: its strings with an allocator's overhead, and twice its entry, since the list doubles.
fn charge_for(name: &str, path: &str, schema: Option<&[(&str, Type)]>) -> u64 {
    const OVERHEAD_BYTES: usize = 16;
    let columns = schema.unwrap_or_default().iter();
    let columns_bytes: usize =
        columns.map(|(name, _)| name.len() + OVERHEAD_BYTES + size_of::<NamedType>()).sum();
    (name.len() + path.len() + 3 * OVERHEAD_BYTES + columns_bytes + 2 * size_of::<Table>()) as u64
}

/// The catalog of one statement: registered files, and stored tables as the statement's transaction sees them.
pub(crate) struct StatementCatalog<'c> {
    files: &'c Tables,
    transaction: &'c TransactionState,
    takes_parameters: bool,
    parameter_types: &'c [Type],
}

impl<'c> StatementCatalog<'c> {
    pub(crate) fn new(
        files: &'c Tables,
        transaction: &'c TransactionState,
        takes_parameters: bool,
    ) -> StatementCatalog<'c> {
        StatementCatalog { files, transaction, takes_parameters, parameter_types: &[] }
    }

    /// The same for a statement that declares the types of its first parameters.
    pub(crate) fn declaring(self, parameter_types: &'c [Type]) -> StatementCatalog<'c> {
        StatementCatalog { parameter_types, ..self }
    }
}

impl Catalog for StatementCatalog<'_> {
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        let Some(table) = self.files.list.iter().find(|table| *table.name == *name) else {
            return Ok(self.transaction.table(name, arena)?.map(TableSource::Stored));
        };
        let Some(schema) = &table.schema else {
            return Ok(Some(TableSource::File(look_at(&table.path, None, None, arena)?)));
        };
        let mut columns = cofferdam_arena::collections::Vec::with_capacity_in(schema.len(), arena)?;
        for (name, ty) in schema {
            columns.push(Column { name: arena.alloc_str(name)?, ty: *ty })?;
        }
        let file = look_at(&table.path, Some(columns.into_slice()), None, arena)?;
        Ok(Some(TableSource::File(file)))
    }

    fn view<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<&'a StoredView<'a>>, CatalogError<'a>> {
        self.transaction.view(name, arena)
    }

    fn views<'a>(&self, arena: &'a Arena) -> Result<&'a [&'a StoredView<'a>], CatalogError<'a>> {
        self.transaction.views(arena)
    }

    fn index<'a>(
        &self,
        name: &str,
        arena: &'a Arena,
    ) -> Result<Option<(&'a StoredTable<'a>, StoredIndex<'a>)>, CatalogError<'a>> {
        self.transaction.index(name, arena)
    }

    fn takes_parameters(&self) -> bool {
        self.takes_parameters
    }

    fn parameter_types(&self) -> &[Type] {
        self.parameter_types
    }

    fn table_names(&self, visit: &mut dyn FnMut(&str)) {
        for table in &self.files.list {
            visit(&table.name);
        }
        self.transaction.table_names(visit);
    }

    fn statistics<'a>(
        &self,
        table: &StoredTable<'_>,
        columns: &[u32],
        arena: &'a Arena,
    ) -> Result<Option<&'a TableStatistics<'a>>, CatalogError<'a>> {
        Ok(self.transaction.statistics(table, columns, arena)?)
    }

    fn entries_count(
        &self,
        index: &StoredIndex<'_>,
        ranges: &[KeyRange<'_>],
        most: usize,
        scratch: &Arena,
    ) -> Result<Option<usize>, AllocError> {
        self.transaction.entries_count(index, ranges, most, scratch)
    }

    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        look_at(request.path, request.columns, request.format, arena)
    }
}

/// A file as a table: its format and its columns, unless they are given.
fn look_at<'a>(
    path: &str,
    columns: Option<&[Column<'_>]>,
    format: Option<(FileFormat, FieldRules<'_>)>,
    arena: &'a Arena,
) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
    let options = SniffOptions { columns, format, ..SniffOptions::default() };
    sniff_file(path, options, arena).map_err(|error| match error {
        cofferdam_exec::Error::OutOfMemory(error) => CatalogError::OutOfMemory(error),
        error => match arena.alloc_fmt(format_args!("{error}")) {
            Ok(message) => CatalogError::Source { sqlstate: error.sqlstate(), message },
            Err(error) => CatalogError::OutOfMemory(error),
        },
    })
}

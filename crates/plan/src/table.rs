//! Tables and views: what a plan knows of those that exist, and what statements ask for that make and drop them.
//!
//! A table is a file or is kept by the store. Of a stored table a plan knows what its columns are, which of them are the
//! key that its rows are sorted by, and what every row must satisfy. Defaults and checks stand there as SQL, in the
//! canonical text of `sql`: they are bound by each statement that inserts, so that no bound form of an expression ever
//! gets into a file.

mod properties;
mod statistics;
mod view;

pub use properties::{Properties, PropertiesError};
pub use statistics::{ColumnStatistics, TableStatistics};
pub use view::{ViewColumn, ViewProperties};

use cofferdam_arena::{AllocError, Arena};
pub use cofferdam_functions::EngineTable;

use crate::Span;
use crate::expr::Column;
use crate::physical::FileSource;

/// The most columns of a stored table.
pub const COLUMNS_MAX: usize = 1600;

/// Where the rows of a table come from.
#[derive(Clone, Copy, Debug)]
pub enum TableSource<'a> {
    /// A file.
    File(&'a FileSource<'a>),
    /// The store.
    Stored(&'a StoredTable<'a>),
    /// The engine itself.
    Engine(EngineSource<'a>),
}

/// A table whose rows the engine gives, when it is read.
#[derive(Clone, Copy, Debug)]
pub struct EngineSource<'a> {
    /// Which one.
    pub table: EngineTable,
    /// Its columns.
    pub columns: &'a [Column<'a>],
}

impl<'a> EngineSource<'a> {
    /// A table with its columns, which stand in `arena`.
    ///
    /// # Errors
    /// The arena's budget has no room.
    pub fn new(table: EngineTable, arena: &'a Arena) -> Result<EngineSource<'a>, AllocError> {
        let columns = table.columns().iter().map(|column| Column { name: column.name, ty: column.ty });
        Ok(EngineSource { table, columns: arena.alloc_slice_from_iter(columns)? })
    }
}

impl<'a> TableSource<'a> {
    /// All columns of the table, in order.
    pub fn columns(&self) -> &'a [Column<'a>] {
        match self {
            TableSource::File(file) => file.columns,
            TableSource::Stored(table) => table.columns,
            TableSource::Engine(source) => source.columns,
        }
    }
}

/// A table that the store keeps.
#[derive(Clone, Copy, Debug)]
pub struct StoredTable<'a> {
    /// The store's number of it.
    pub id: u32,
    /// Its name.
    pub name: &'a str,
    /// The columns that statements see, in order.
    pub columns: &'a [Column<'a>],
    /// What else holds for each column; as many as `columns`.
    pub rules: &'a [ColumnRule<'a>],
    /// What every row satisfies, by name.
    pub checks: &'a [CheckRule<'a>],
    /// The primary key, most significant column first: what rows are sorted by and told apart by. Empty without one.
    pub key: &'a [KeyColumn],
    /// The name of the primary key; empty without one.
    pub key_name: &'a str,
    /// The indexes.
    pub indexes: &'a [StoredIndex<'a>],
    /// How many rows there are, as far as the store knows.
    pub rows_estimate: u64,
    /// What is known of its values, if anybody has asked [`Catalog::statistics`](crate::Catalog::statistics) and put it here.
    pub statistics: Option<&'a TableStatistics<'a>>,
}

impl StoredTable<'_> {
    /// The number of a table that the statement itself makes for its rows: the store gives it another one.
    pub const OF_STATEMENT: u32 = u32::MAX;
}

/// A view that the store keeps: a name for a query.
#[derive(Clone, Copy, Debug)]
pub struct StoredView<'a> {
    /// The store's number of it.
    pub id: u32,
    /// Its name.
    pub name: &'a str,
    /// What is kept of it.
    pub properties: ViewProperties<'a>,
}

/// An index of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredIndex<'a> {
    /// The store's number of it.
    pub id: u32,
    /// Its name.
    pub name: &'a str,
    /// The columns of the table that it sorts by, most significant first; those of the key follow where it is not unique.
    pub columns: &'a [u32],
    /// All that it sorts by, and all that it has: these columns in their orders, then the columns of the table's key that are not among
    /// them. Where the table has no key, the number of the row, behind its last column, stands for that.
    pub key: &'a [KeyColumn],
    /// Whether no two rows share the values of its columns.
    pub is_unique: bool,
    /// Whether it was made with the table, for a constraint of its name.
    pub is_constraint: bool,
}

/// What holds for the values of a column beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnRule<'a> {
    /// Whether NULL is a value.
    pub is_nullable: bool,
    /// The most characters of a text, for `varchar(n)`; the digits of seconds, for `timestamp(n)` and the like.
    pub characters_max: Option<u32>,
    /// The expression whose value a row gets that names none, as SQL; NULL without one.
    pub default: Option<&'a str>,
}

/// A condition that is not false for any row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRule<'a> {
    /// The name of the constraint.
    pub name: &'a str,
    /// The condition as SQL, over the table's columns.
    pub condition: &'a str,
}

/// A column of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its position in the table's columns.
    pub column: u32,
    /// Greatest first.
    pub descending: bool,
    /// NULLs before all values, whatever the direction.
    pub nulls_first: bool,
}

impl KeyColumn {
    /// The column in ascending order, with NULLs last.
    pub const fn ascending(column: u32) -> KeyColumn {
        KeyColumn { column, descending: false, nulls_first: false }
    }
}

/// A checked `CREATE TABLE`.
#[derive(Clone, Copy, Debug)]
pub struct CreateTable<'a> {
    /// The name.
    pub name: &'a str,
    /// Where the name stands.
    pub span: Span,
    /// Whether a table of the name is no error: then nothing is done.
    pub if_not_exists: bool,
    /// Whether there was one when the statement was bound; only with `if_not_exists`.
    pub exists: bool,
    /// The columns, at least one.
    pub columns: &'a [Column<'a>],
    /// What else holds for each column; the columns of the primary key take no NULL.
    pub rules: &'a [ColumnRule<'a>],
    /// The checks, in the order of the statement.
    pub checks: &'a [CheckRule<'a>],
    /// The primary key.
    pub primary_key: Option<UniqueKey<'a>>,
    /// The other keys of which no two rows have the same; rows with a NULL in such a key have none.
    pub unique_keys: &'a [UniqueKey<'a>],
}

/// Columns whose values no two rows of a table share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UniqueKey<'a> {
    /// The name of the constraint.
    pub name: &'a str,
    /// The positions of its columns, most significant first; at least one.
    pub columns: &'a [u32],
}

/// A checked `CREATE INDEX`.
#[derive(Clone, Copy, Debug)]
pub struct CreateIndex<'a> {
    /// The name.
    pub name: &'a str,
    /// Where the statement stands.
    pub span: Span,
    /// The table.
    pub table: &'a StoredTable<'a>,
    /// What it sorts by, most significant first; at least one column, and none twice.
    pub key: &'a [KeyColumn],
    /// Whether no two rows may share the values of its columns; rows with a NULL there share with none.
    pub is_unique: bool,
    /// Whether there was something of the name when the statement was bound; only with `IF NOT EXISTS`.
    pub exists: bool,
}

/// A checked `DROP INDEX`.
#[derive(Clone, Copy, Debug)]
pub struct DropIndexes<'a> {
    /// The indexes, each once.
    pub indexes: &'a [StoredIndex<'a>],
    /// With `IF EXISTS`, the names that no index has.
    pub missing: &'a [&'a str],
}

/// A checked `CREATE VIEW`.
#[derive(Clone, Copy, Debug)]
pub struct CreateView<'a> {
    /// The name.
    pub name: &'a str,
    /// Where the name stands.
    pub span: Span,
    /// The view that it is put in the place of.
    pub replaced: Option<&'a StoredView<'a>>,
    /// What is kept of it.
    pub properties: ViewProperties<'a>,
}

/// A checked `DROP TABLE` or `DROP VIEW`.
#[derive(Clone, Copy, Debug)]
pub struct DropTables<'a> {
    /// The tables, each once.
    pub tables: &'a [&'a StoredTable<'a>],
    /// The views, each once; with `CASCADE` those that read what is dropped as well.
    pub views: &'a [&'a StoredView<'a>],
    /// With `IF EXISTS`, the names that no table or view has.
    pub missing: &'a [&'a str],
}

/// What control of transactions asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatement<'a> {
    /// `BEGIN`, `START TRANSACTION`.
    Begin {
        /// Whether the transaction changes nothing.
        read_only: bool,
    },
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// `SAVEPOINT name`.
    Savepoint(&'a str),
    /// `ROLLBACK TO name`.
    RollbackTo(&'a str),
    /// `RELEASE name`.
    Release(&'a str),
}

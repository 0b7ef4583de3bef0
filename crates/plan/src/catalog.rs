//! Where tables come from: names and paths to what is known of tables.
//!
//! The planner never opens a file or the store. It asks the host, which knows the named tables, sniffs files and caches
//! what it found; answers are written into the statement's plan arena and live as long as the plan.

use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use crate::Span;
use crate::expr::Column;
use crate::physical::{FieldRules, FileFormat, FileSource, KeyRange};
use crate::table::{StoredIndex, StoredTable, StoredView, TableSource, TableStatistics};

/// What a host offers to the statements that it plans.
pub trait Catalog {
    /// The table of this name, `None` if there is none.
    ///
    /// # Errors
    /// [`CatalogError`] when there is one but it cannot be used now, or the arena has no room.
    fn table<'a>(&self, name: &str, arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>>;

    /// The view of this name, `None` if there is none. No table has the name of a view.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn view<'a>(
        &self,
        _name: &str,
        _arena: &'a Arena,
    ) -> Result<Option<&'a StoredView<'a>>, CatalogError<'a>> {
        Ok(None)
    }

    /// All views.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn views<'a>(&self, _arena: &'a Arena) -> Result<&'a [&'a StoredView<'a>], CatalogError<'a>> {
        Ok(&[])
    }

    /// The index of this name with its table, `None` if there is none. The name of a primary key is that of an index too.
    ///
    /// # Errors
    /// As [`Catalog::table`].
    fn index<'a>(
        &self,
        _name: &str,
        _arena: &'a Arena,
    ) -> Result<Option<(&'a StoredTable<'a>, StoredIndex<'a>)>, CatalogError<'a>> {
        Ok(None)
    }

    /// Whether statements may have parameters, `$1`: then their plan says of what types these are, and is given the values when it
    /// runs. Where not, a parameter is an error (42P02).
    fn takes_parameters(&self) -> bool {
        false
    }

    /// The types that are declared for the first parameters; [`Type::Unknown`] where their places tell.
    fn parameter_types(&self) -> &[Type] {
        &[]
    }

    /// Gives the name of every table and view to `visit`, for "did you mean" in errors.
    fn table_names(&self, visit: &mut dyn FnMut(&str));

    /// The file of a path in FROM, sniffed unless the query declares its columns.
    ///
    /// # Errors
    /// [`CatalogError`] when the file cannot be read or does not look like a table, or the arena has no room.
    fn file<'a>(
        &self,
        request: FileRequest<'_>,
        arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>>;

    /// What is known of the values of some columns of a stored table, whose positions ascend; `None` where nothing is. To be
    /// asked once, for what a plan is made with: it takes some ten microseconds a column.
    ///
    /// # Errors
    /// [`CatalogError`] when the arena has no room. That a planner's sources are damaged is no error of the planner's: then
    /// nothing is known.
    fn statistics<'a>(
        &self,
        _table: &StoredTable<'_>,
        _columns: &[u32],
        _arena: &'a Arena,
    ) -> Result<Option<&'a TableStatistics<'a>>, CatalogError<'a>> {
        Ok(None)
    }

    /// How many entries an index has in these ranges, counted up to `most`; `None` where nobody can tell. What is needed for counting is made
    /// in `scratch`. Some microseconds, where statistics of a large table take hundreds.
    ///
    /// # Errors
    /// As [`Catalog::statistics`].
    fn entries_count(
        &self,
        _index: &StoredIndex<'_>,
        _ranges: &[KeyRange<'_>],
        _most: usize,
        _scratch: &Arena,
    ) -> Result<Option<usize>, AllocError> {
        Ok(None)
    }
}

/// A file that a query names.
#[derive(Clone, Copy, Debug)]
pub struct FileRequest<'q> {
    /// The path as it was written.
    pub path: &'q str,
    /// Names and types of the columns where the query gives them (`AS t(a integer, b text)`); then nothing is sniffed
    /// but the delimiter and the presence of a header.
    pub columns: Option<&'q [Column<'q>]>,
    /// How the file is written, and how its fields become values, where the statement says so; then nothing is sniffed.
    pub format: Option<(FileFormat, FieldRules<'q>)>,
    /// Where the path stands in the statement's text.
    pub span: Span,
}

/// Why a table cannot be used.
#[derive(Clone, Copy, Debug)]
pub enum CatalogError<'a> {
    /// The arena's budget has no room.
    OutOfMemory(AllocError),
    /// The source is missing, unreadable or not a table.
    Source {
        /// The SQLSTATE, such as `58P01` for a missing file.
        sqlstate: &'static str,
        /// A message in the house's style: lower case, no final stop.
        message: &'a str,
    },
}

impl From<AllocError> for CatalogError<'_> {
    fn from(error: AllocError) -> Self {
        CatalogError::OutOfMemory(error)
    }
}

/// A catalog of nothing: every table is unknown and no file may be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyCatalog;

impl Catalog for EmptyCatalog {
    fn table<'a>(&self, _name: &str, _arena: &'a Arena) -> Result<Option<TableSource<'a>>, CatalogError<'a>> {
        Ok(None)
    }

    fn table_names(&self, _visit: &mut dyn FnMut(&str)) {}

    fn file<'a>(
        &self,
        _request: FileRequest<'_>,
        _arena: &'a Arena,
    ) -> Result<&'a FileSource<'a>, CatalogError<'a>> {
        Err(CatalogError::Source { sqlstate: "42501", message: "files in FROM are not allowed here" })
    }
}

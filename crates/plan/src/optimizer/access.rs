//! Chooses how a stored table is read: in the order of its key or through an index, and which parts of that order.
//!
//! A key of which every column equals a constant leads to one row at most, and so does a unique index: that is always the best,
//! and nothing has to be known for it. Nor where an index has a few entries alone, which are counted. Otherwise the ways are compared by what they cost. What an index leads to is looked for row by
//! row, which costs as much as decoding many rows of pages that are read in order ([`FETCH`]); so an index is for the few rows that are
//! left of many.
//!
//! ```text
//! all rows of the key's ranges, column by column       rows * share of the key's ranges  * (1/2 + columns / 2)
//! entries of an index, and the row of each             rows * share of the index' ranges * (FETCH + columns) + START
//! entries of an index that has all columns             rows * share of the index' ranges * (1/2 + columns / 2) + START
//! ```

use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::Type;

use super::key_range::{Given, KeyShape, bounds_of, key_ranges, key_shape};
use super::lower::Lowering;
use crate::catalog::Catalog;
use crate::expr::Expr;
use crate::logical::ColumnId;
use crate::physical::{KeyRange, ScanIndex};
use crate::table::{KeyColumn, StoredIndex, StoredTable};

/// What it costs to look for a row by its key, in rows of a column that are decoded in order.
pub(super) const FETCH: f64 = 40.0;
/// What it costs to begin to read an index.
pub(super) const START: f64 = 200.0;

/// From how many rows on they are not few.
const FEW_ROWS: usize = 64;
/// The most ranges whose rows are counted.
const COUNTED_RANGES_MAX: usize = 16;

/// How a stored table is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WayToRead<'a> {
    pub(super) index: Option<&'a ScanIndex<'a>>,
    pub(super) ranges: &'a [KeyRange<'a>],
    /// The most rows that it leads to, if that is known without looking.
    pub(super) rows_max: Option<usize>,
    /// How many rows it leads to, if they were counted.
    pub(super) rows_count: Option<usize>,
}

/// Whether the conjuncts over a table, whose first column has the number `first`, leave a choice for which sizes must be known.
pub(super) fn is_choice(table: &StoredTable<'_>, first: ColumnId, conjuncts: &[&Expr<'_>]) -> bool {
    if conjuncts.is_empty() || table.indexes.is_empty() {
        return false;
    }
    let given = Given::planning(first);
    let is_row =
        |key: &[KeyColumn], unique: usize| key_shape(key, conjuncts, given).rows_max(unique) == Some(1);
    !is_row(table.key, table.key.len())
        && !table.indexes.iter().any(|index| is_row(index.key, unique_columns(index)))
        && table.indexes.iter().any(|index| !key_shape(index.key, conjuncts, given).is_open())
}

/// An index that leads to few rows of the table whose first column has the number `first`.
#[derive(Clone, Copy, Debug)]
pub(super) struct FewRows {
    pub(super) first: ColumnId,
    pub(super) index: u32,
    pub(super) rows: usize,
}

/// The index that leads to the fewest rows, if these are so few that they can be counted.
pub(super) fn few_rows(
    table: &StoredTable<'_>,
    first: ColumnId,
    conjuncts: &[&Expr<'_>],
    catalog: &dyn Catalog,
    scratch: &Arena,
) -> Result<Option<FewRows>, AllocError> {
    let local = Arena::new(scratch.budget());
    let mut fewest: Option<FewRows> = None;
    for index in table.indexes {
        // Values of parameters are left out: then these are the most rows that there can be.
        let ranges = key_ranges(index.key, conjuncts, Given::planning(first), &local)?;
        if ranges.is_empty() || ranges.len() > COUNTED_RANGES_MAX {
            continue;
        }
        let most = fewest.map_or(FEW_ROWS, |known| known.rows);
        if let Some(rows) = catalog.entries_count(index, ranges, most, &local)?
            && rows < most
        {
            fewest = Some(FewRows { first, index: index.id, rows });
        }
    }
    Ok(fewest)
}

/// How many of the first columns of an index no two rows share the values of; none if it is not unique.
fn unique_columns(index: &StoredIndex<'_>) -> usize {
    if index.is_unique { index.columns.len() } else { 0 }
}

/// Whether equal keys of a type are the same value, so that an index has it as the table does: an entry stays what it is where a row
/// gets a value that is equal to the one before.
const fn is_told_by_key(ty: Type) -> bool {
    match ty {
        Type::Boolean
        | Type::SmallInt
        | Type::Integer
        | Type::BigInt
        | Type::Decimal { .. }
        | Type::Text
        | Type::Bytea
        | Type::Date
        | Type::Time
        | Type::Timestamp
        | Type::TimestampTz
        | Type::Uuid => true,
        // 1.0 and 1.00, zeros of either sign, blanks at an end, a month and 30 days, and what is made of these.
        Type::Real
        | Type::Double
        | Type::Numeric
        | Type::Char
        | Type::Interval
        | Type::Json
        | Type::Jsonb
        | Type::Array(_)
        | Type::Unknown => false,
    }
}

/// Whether an index has all these columns of its table, exactly.
pub(super) fn has_all(index: &StoredIndex<'_>, table: &StoredTable<'_>, projection: &[u32]) -> bool {
    projection.iter().all(|column| {
        let ty = table.columns.get(*column as usize).map_or(Type::BigInt, |column| column.ty);
        is_told_by_key(ty) && index.key.iter().any(|part| part.column == *column)
    })
}

impl<'s, 'a> Lowering<'_, 's, 'a> {
    /// The best way to the rows of a table for which the conjuncts are true; `projection` are the columns that are read.
    pub(super) fn way_to_read(
        &self,
        table: &'a StoredTable<'a>,
        first: ColumnId,
        conjuncts: &[&'a Expr<'a>],
        projection: &[u32],
        rows: f64,
    ) -> Result<WayToRead<'a>, AllocError> {
        if conjuncts.is_empty() {
            return Ok(WayToRead::default());
        }
        let given = Given::planning(first);
        let by_key = Candidate {
            index: None,
            key: table.key,
            shape: key_shape(table.key, conjuncts, given),
            unique: table.key.len(),
        };
        if let Some(FewRows { index, rows, .. }) = self.known.few_rows(first)
            && let Some(index) = table.indexes.iter().find(|known| known.id == index)
        {
            let used = ScanIndex { index, is_only: has_all(index, table, projection) };
            return Ok(WayToRead {
                index: Some(self.arena.alloc(used)?),
                ranges: key_ranges(index.key, conjuncts, given, self.arena)?,
                rows_max: None,
                rows_count: Some(rows),
            });
        }
        let mut best = by_key;
        if by_key.rows_max() != Some(1) {
            let mut best_cost = None;
            for index in table.indexes {
                let (key, shape) = (index.key, key_shape(index.key, conjuncts, given));
                if shape.is_open() {
                    continue;
                }
                let used = ScanIndex { index, is_only: has_all(index, table, projection) };
                let way = Candidate { index: Some(used), key, shape, unique: unique_columns(index) };
                if way.rows_max() == Some(1) {
                    best = way;
                    break;
                }
                let known = match best_cost {
                    Some(cost) => cost,
                    None => self.cost(&by_key, given, conjuncts, projection.len(), rows)?,
                };
                let cost = self.cost(&way, given, conjuncts, projection.len(), rows)?;
                best_cost = Some(known.min(cost));
                if cost < known {
                    best = way;
                }
            }
        }
        Ok(WayToRead {
            index: match best.index {
                Some(index) => Some(self.arena.alloc(index)?),
                None => None,
            },
            ranges: key_ranges(best.key, conjuncts, given, self.arena)?,
            rows_max: best.rows_max(),
            rows_count: None,
        })
    }

    /// What a way costs, in rows of a column that are decoded in order.
    fn cost(
        &self,
        way: &Candidate<'a>,
        given: Given<'_, '_>,
        conjuncts: &[&'a Expr<'a>],
        columns: usize,
        rows: f64,
    ) -> Result<f64, AllocError> {
        let local = Arena::new(self.scratch.budget());
        let narrowed = way.key.get(..way.shape.columns_count()).unwrap_or(way.key);
        let share = self.known.share(bounds_of(narrowed, conjuncts, given, &local)?, &local)?;
        let rows_max = way.rows_max().map(|most| most as f64);
        let rows = rows_max.map_or(rows * share, |most| most.min(rows * share));
        let in_order = 0.5 + 0.5 * columns as f64;
        Ok(match way.index {
            // Rows of whole keys are looked for one by one.
            None if rows_max.is_some() => rows * (FETCH + columns as f64),
            None => rows * in_order,
            Some(ScanIndex { is_only: true, .. }) => START + rows * in_order,
            Some(_) => START + rows * (FETCH + columns as f64),
        })
    }
}

/// A way to the rows of a table.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    /// The index that is used, or the table itself.
    index: Option<ScanIndex<'a>>,
    key: &'a [KeyColumn],
    shape: KeyShape,
    /// How many columns of the key no two rows share the values of.
    unique: usize,
}

impl Candidate<'_> {
    fn rows_max(&self) -> Option<usize> {
        self.shape.rows_max(self.unique)
    }
}

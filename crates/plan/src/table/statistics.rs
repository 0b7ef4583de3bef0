//! What is known of the values of a stored table.
//!
//! The store knows it from samples, so it is about right and not exact. The optimizer asks the [catalog](crate::Catalog) for the
//! columns that it has to estimate with and for no others, since looking takes some ten microseconds a column;
//! `optimizer::selectivity` has the estimates.

use cofferdam_types::Value;

/// What is known of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStatistics<'a> {
    /// How many rows there are.
    pub rows: f64,
    /// The columns that were asked for, by ascending position.
    pub columns: &'a [(u32, ColumnStatistics<'a>)],
}

impl<'a> TableStatistics<'a> {
    /// What is known of the column at a position; `None` for one that nobody asked for.
    pub fn column(&self, position: u32) -> Option<&'a ColumnStatistics<'a>> {
        let place = self.columns.binary_search_by_key(&position, |(column, _)| *column).ok()?;
        self.columns.get(place).map(|(_, statistics)| statistics)
    }
}

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnStatistics<'a> {
    /// The share of the rows that are NULL.
    pub null_fraction: f64,
    /// How many distinct values there are beside NULL; 0 where nothing is known of them.
    pub distinct: f64,
    /// Bytes of a value that is not NULL: of a text its own, of any other what it takes in a column.
    pub average_bytes: f64,
    /// A value that no value is less than.
    pub min: Option<Value<'a>>,
    /// A value that no value is greater than, as far as is known.
    pub max: Option<Value<'a>>,
    /// Values that are common, the most common one first, with their shares of the rows.
    pub common: &'a [(Value<'a>, f64)],
    /// Ascending bounds between which there are about as many rows each, of those that are neither NULL nor common; two
    /// at least, or none. Texts are beginnings.
    pub histogram: &'a [Value<'a>],
}

impl ColumnStatistics<'_> {
    /// Nothing is known.
    pub const UNKNOWN: ColumnStatistics<'static> = ColumnStatistics {
        null_fraction: 0.0,
        distinct: 0.0,
        average_bytes: 0.0,
        min: None,
        max: None,
        common: &[],
        histogram: &[],
    };

    /// The share of the rows that are common values.
    pub fn common_fraction(&self) -> f64 {
        self.common.iter().map(|(_, share)| share).sum()
    }

    /// The share of the rows that are neither NULL nor common values.
    pub fn rest_fraction(&self) -> f64 {
        (1.0 - self.null_fraction - self.common_fraction()).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_position() {
        let of = |distinct| ColumnStatistics { distinct, ..ColumnStatistics::UNKNOWN };
        let columns = [(1, of(10.0)), (4, of(40.0))];
        let table = TableStatistics { rows: 5.0, columns: &columns };
        let distinct = |position| table.column(position).map(|column| column.distinct);
        assert_eq!([0, 1, 3, 4, 5].map(distinct), [None, Some(10.0), None, Some(40.0), None]);
    }
}

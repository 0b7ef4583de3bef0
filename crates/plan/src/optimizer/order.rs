//! Finds where rows come in an order already: a scan of a stored table or of an index gives them in the order of its key.
//!
//! Columns that a condition has equal a constant make no difference to an order, and behind the whole of a key nothing does, since no two rows
//! share it.
//!
//! ```text
//! KEY (a, b, c)     ORDER BY a, b                       the order of the scan
//!                   WHERE b = 1 ORDER BY a, c           the same
//!                   ORDER BY a, b, c, d                 the same: no two rows have equal a, b and c
//!                   ORDER BY b                          to be sorted
//! ```
//!
//! Where the table is read as a whole, an index is taken for its order if few rows are wanted, or if it has all columns.
//!
//! **Groups** of rows that come by a key whose first columns are among the groups come one behind the other, or some of them together
//! (decision 0025). They are given as rows come where these columns have many values; else several threads had better share the scan.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

use super::access::{FETCH, START, has_all};
use super::estimate;
use super::key_range::{Given, equal_to};
use super::lower::{Lowering, Placed};
use crate::expr::{Expr, ExprKind};
use crate::physical::{OperatorId, OperatorKind, Scan, ScanIndex, SortKey};
use crate::table::{KeyColumn, StoredTable, TableSource};

/// So few rows are read by one thread in any case.
const ROWS_OF_ONE_THREAD: f64 = 65_536.0;
/// With more rows for each value there is less to be gained by giving groups as rows come than by reading them with several threads.
const ROWS_PER_VALUE_MAX: f64 = 64.0;

/// Columns whose values say where rows stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Together<'a> {
    /// Rows that are equal in these stand one behind the other; at least one.
    pub(super) columns: &'a [u32],
    /// Whether those do that are equal in all columns that were asked for.
    pub(super) are_equal_together: bool,
}

impl<'a> Lowering<'_, '_, 'a> {
    /// Whether the rows of an operator come in the order of these keys, of which `limit` are wanted at most; so many `rows` it will give.
    /// Has the scan below use an index where that costs less than sorting.
    pub(super) fn comes_in_order(
        &mut self,
        input: OperatorId,
        keys: &[SortKey],
        limit: Option<u64>,
        rows: f64,
    ) -> Result<bool, AllocError> {
        let wanted = self.scratch.alloc_slice_copy(keys)?;
        let Some((at, scan)) = self.scan_below(input, wanted) else { return Ok(false) };
        let TableSource::Stored(table) = scan.source else { return Ok(false) };
        let key = scan.index.map_or(table.key, |used| used.index.key);
        if is_in_order(&scan, table, key, wanted) {
            return Ok(true);
        }
        if scan.index.is_some() || !scan.ranges.is_empty() || scan.rows_max.is_some() {
            return Ok(false);
        }
        let all = estimate::source_rows(scan.source);
        let in_order = 0.5 + 0.5 * scan.projection.len() as f64;
        let share = limit.map_or(1.0, |limit| (limit as f64 / rows.max(1.0)).min(1.0));
        for index in table.indexes {
            let is_only = has_all(index, table, scan.projection);
            let each = if is_only { in_order } else { FETCH + scan.projection.len() as f64 };
            if START + all * share * each < all * in_order + rows
                && is_in_order(&scan, table, index.key, wanted)
            {
                let index = Some(&*self.arena.alloc(ScanIndex { index, is_only })?);
                self.replace_scan(at, Scan { index, column_ranges: &[], ..scan });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is known of the order of rows in some columns of the input, which are given by number as well; `None` where it is better
    /// not to build on it.
    pub(super) fn together(
        &self,
        input: Placed<'_>,
        wanted: impl Iterator<Item = (ExprKind<'a>, &'a Expr<'a>)>,
    ) -> Result<Option<Together<'a>>, AllocError> {
        let mut known: Vec<'_, (u32, u32, &'a Expr<'a>)> = Vec::new_in(self.scratch);
        let (mut below, mut others) = (None, 0);
        for (placed, numbered) in wanted {
            let column = if let ExprKind::Column(column) = placed { column } else { u32::MAX };
            let mut key = [SortKey { column, descending: false, nulls_first: false }];
            match self.scan_below(input.operator, &mut key) {
                Some((_, scan)) if column != u32::MAX => {
                    known.push((key[0].column, column, numbered))?;
                    below = Some(scan);
                }
                _ => others += 1,
            }
        }
        let Some(scan) = below else { return Ok(None) };
        let TableSource::Stored(table) = scan.source else { return Ok(None) };
        let (mut columns, mut exprs) = (Vec::new_in(self.arena), Vec::new_in(self.scratch));
        let mut parts = open_parts(&scan, scan.index.map_or(table.key, |used| used.index.key)).peekable();
        while let Some(part) = parts.peek()
            && let Some((_, column, numbered)) = known.iter().find(|known| known.0 == part.column)
        {
            columns.push(*column)?;
            exprs.push(*numbered)?;
            parts.next();
        }
        let values = self.known.groups(exprs.iter().copied(), input.rows);
        if columns.is_empty() || input.rows > ROWS_OF_ONE_THREAD && values * ROWS_PER_VALUE_MAX < input.rows {
            return Ok(None);
        }
        let is_said =
            |known: &(u32, u32, &Expr<'_>)| is_constant(known.0, &scan) || columns.contains(&known.1);
        let are_equal_together = parts.peek().is_none() || others == 0 && known.iter().all(is_said);
        Ok(Some(Together { columns: columns.into_slice(), are_equal_together }))
    }

    /// The scan whose rows an operator passes on in their order; `keys`, over the operator's columns, become those of the table.
    fn scan_below(&self, input: OperatorId, keys: &mut [SortKey]) -> Option<(OperatorId, Scan<'a>)> {
        let mut at = input;
        loop {
            match self.kind_of(at) {
                OperatorKind::Filter { input, .. } | OperatorKind::DistinctOn { input, .. } => at = input,
                OperatorKind::Project { input, exprs } => {
                    for key in keys.iter_mut() {
                        let ExprKind::Column(column) = exprs.get(key.column as usize)?.kind else {
                            return None;
                        };
                        key.column = column;
                    }
                    at = input;
                }
                OperatorKind::Scan(scan) => {
                    for key in keys.iter_mut() {
                        let slot = *scan.output.get(key.column as usize)?;
                        key.column = *scan.projection.get(slot as usize)?;
                    }
                    return Some((at, scan));
                }
                _ => return None,
            }
        }
    }
}

/// Whether a condition has a column of the table equal a constant.
fn is_constant(column: u32, scan: &Scan<'_>) -> bool {
    equal_to(column, scan.conjuncts, Given::reading(scan.projection)).is_some()
}

/// The columns of a key that make a difference to the order of a scan's rows.
fn open_parts<'k>(scan: &'k Scan<'_>, key: &'k [KeyColumn]) -> impl Iterator<Item = &'k KeyColumn> {
    key.iter().filter(|part| !is_constant(part.column, scan))
}

/// Whether rows that come by a key are in an order.
fn is_in_order(scan: &Scan<'_>, table: &StoredTable<'_>, key: &[KeyColumn], wanted: &[SortKey]) -> bool {
    let is_constant = |column: u32| is_constant(column, scan);
    let mut parts = open_parts(scan, key);
    for (place, one) in wanted.iter().enumerate() {
        let is_said = wanted[..place].iter().any(|before| before.column == one.column);
        if is_said || is_constant(one.column) {
            continue;
        }
        // Behind all of a key there are no equal rows; a table without one has no order at all.
        let Some(part) = parts.next() else { return !key.is_empty() };
        let is_nullable = table.rules.get(one.column as usize).is_none_or(|rule| rule.is_nullable);
        if part.column != one.column
            || part.descending != one.descending
            || is_nullable && part.nulls_first != one.nulls_first
        {
            return false;
        }
    }
    true
}

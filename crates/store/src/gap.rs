//! Where a transaction that inserts rows in order need not look whether their keys are taken.
//!
//! ```text
//!   rows        10 11 12 13 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ 90 91           of the snapshot, and of the transaction itself
//!                         ^ last                 ^ end
//!                           free: 14, 15, … 89
//! ```
//!
//! A snapshot does not change, so as long as the transaction itself puts nothing there, a gap between two of its rows stays one.
//! Rows that come in order fill it from below: each costs a comparison instead of a search through all that there is.
//!
//! To find where a gap ends costs more than to look for a row. So some rows have to come in order first, and more of them
//! each time that a gap was soon full.

use cofferdam_arena::{AllocError, BudgetAlloc, append};

use crate::encode::Bytes;
use crate::schema::TableId;

/// So many rows in order make it worth while to look for the end of the gap, at first and at most.
const WAIT_MIN: u32 = 8;
const WAIT_MAX: u32 = 1 << 12;
/// A gap that took so many rows was worth while.
const WORTH_ROWS: u32 = 64;

/// The keys behind the row that was inserted last, as far as there are no rows.
#[derive(Debug)]
pub(crate) struct Gap {
    /// The table of `last`.
    table: Option<TableId>,
    last: Bytes,
    end: End,
    end_key: Bytes,
    /// How many rows have come in order, or into the gap.
    ordered: u32,
    wait: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Unknown,
    /// The first row behind `last`.
    Key,
    /// There is no row behind `last`.
    Never,
}

impl Gap {
    /// Nothing is known.
    pub(crate) fn new(alloc: &BudgetAlloc) -> Gap {
        let bytes = || Bytes::new_in(alloc.clone());
        Gap { table: None, last: bytes(), end: End::Unknown, end_key: bytes(), ordered: 0, wait: WAIT_MIN }
    }

    /// True if there is no row with this key. False says nothing.
    #[inline]
    pub(crate) fn is_free(&self, table: TableId, key: &[u8]) -> bool {
        self.is_before_end(key) && self.table == Some(table) && key > &self.last[..]
    }

    /// [`Gap::is_free`] for a key of the table that is greater than [`Gap::last`].
    #[inline]
    pub(crate) fn is_before_end(&self, key: &[u8]) -> bool {
        match self.end {
            End::Unknown => false,
            End::Key => key < &self.end_key[..],
            End::Never => true,
        }
    }

    /// How many rows of a table have come into the gap, one behind the other, since it is known; `None` if it is not.
    #[inline]
    pub(crate) fn filled(&self, table: TableId) -> Option<u32> {
        (self.end != End::Unknown && self.table == Some(table)).then_some(self.ordered)
    }

    /// Notes that there is a row with this key now; true if it is time to look for the next one behind it.
    ///
    /// # Errors
    /// The budget refuses; nothing is known then.
    #[inline]
    pub(crate) fn inserted(&mut self, table: TableId, key: &[u8]) -> Result<bool, AllocError> {
        let follows = self.table == Some(table) && key > &self.last[..];
        if follows && (self.end == End::Unknown || self.is_free(table, key)) {
            self.ordered += u32::from(self.ordered < u32::MAX);
        } else if self.end != End::Unknown && !follows && self.table == Some(table) {
            // A row before the gap leaves that as it is.
            return Ok(false);
        } else {
            self.leave();
        }
        self.table = None;
        self.last.clear();
        append(&mut self.last, key)?;
        self.table = Some(table);
        Ok(self.end == End::Unknown && self.ordered >= self.wait)
    }

    /// A row of another table, or behind the gap, or out of order.
    fn leave(&mut self) {
        if self.end != End::Unknown {
            self.wait = if self.ordered < WORTH_ROWS { (self.wait * 2).min(WAIT_MAX) } else { WAIT_MIN };
        }
        (self.end, self.ordered) = (End::Unknown, 0);
    }

    /// The key that was inserted last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    /// Says which row is the next one behind [`Gap::last`], if there is one.
    ///
    /// # Errors
    /// The budget refuses; it stays unknown.
    pub(crate) fn set_end(&mut self, key: Option<&[u8]>) -> Result<(), AllocError> {
        self.end_key.clear();
        append(&mut self.end_key, key.unwrap_or(&[]))?;
        self.end = if key.is_some() { End::Key } else { End::Never };
        self.ordered = 0;
        Ok(())
    }

    /// Says that rows may have come back.
    pub(crate) fn forget(&mut self) {
        (self.table, self.end, self.ordered) = (None, End::Unknown, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const TABLE: TableId = TableId(7);

    fn gap() -> Gap {
        Gap::new(&BudgetAlloc::new(&Budget::unlimited("keys").unwrap()))
    }

    #[test]
    fn rows_in_order_find_the_end_once() {
        let (mut gap, mut searches) = (gap(), 0);
        for key in 0..200u8 {
            assert_eq!(gap.is_free(TABLE, &[key]), searches > 0, "{key}");
            if gap.inserted(TABLE, &[key]).unwrap() {
                searches += 1;
                gap.set_end(None).unwrap();
            }
        }
        assert_eq!(searches, 1);
        assert!(!gap.is_free(TABLE, &[199]) && !gap.is_free(TableId(8), &[200]));
        gap.forget();
        assert!(!gap.is_free(TABLE, &[200]));
    }

    #[test]
    fn small_gaps_are_looked_for_ever_less() {
        let (mut gap, mut searches) = (gap(), 0);
        for key in 0..20_000u32 {
            // Between any two there is a row already.
            let bytes = (2 * key).to_be_bytes();
            assert!(!gap.is_free(TABLE, &bytes));
            if gap.inserted(TABLE, &bytes).unwrap() {
                searches += 1;
                gap.set_end(Some(&(2 * key + 1).to_be_bytes())).unwrap();
            }
        }
        assert!((5..20).contains(&searches), "{searches}");
    }

    proptest! {
        /// Aim: what is free is free. Method: keys into two tables in orders of all kinds; the ends come from a model.
        #[test]
        fn no_key_that_is_there_is_free(
            before in proptest::collection::vec((0..2u32, 0..=255u8), 0..20),
            keys in proptest::collection::vec((0..2u32, 0..=255u8, 0..12u8), 1..60),
        ) {
            let mut gap = gap();
            let mut model: BTreeSet<(u32, u8)> = before.into_iter().collect();
            for (table, first, count) in keys {
                for key in first..=first.saturating_add(count) {
                    let is_free = gap.is_free(TableId(table), &[key]);
                    prop_assert!(!is_free || !model.contains(&(table, key)));
                    model.insert((table, key));
                    if gap.inserted(TableId(table), &[key]).unwrap() {
                        let next = model.range((table, key)..).nth(1).filter(|(of, _)| *of == table);
                        gap.set_end(next.map(|(_, key)| core::slice::from_ref(key))).unwrap();
                    }
                }
            }
        }
    }
}

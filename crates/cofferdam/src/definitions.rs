//! What plans were made for: the definitions of tables that hold, as a number, and how many rows have been changed.
//!
//! The number goes up whenever definitions of tables change, or are taken back. While a connection makes a change of definitions known to
//! all others, nobody can say which ones a plan is made with: [`Definitions::settled`] says so.
//!
//! ```text
//!   DROP TABLE, in autocommit        number 7 ──── begin ──── commit in the store ──── 8 ──── end
//!   plans that may be kept           for 7         none                                      for 8
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The definitions of a database's tables.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    version: AtomicU64,
    changing_count: AtomicU32,
    rows_changed: AtomicU64,
}

/// While it lives, definitions are being changed.
#[derive(Debug)]
pub(crate) struct Changing<'d>(&'d Definitions);

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    /// The definitions.
    pub(crate) version: u64,
    /// How many rows had been changed.
    pub(crate) rows_changed: u64,
}

impl Made {
    /// For nobody: a plan that is made for this is to be made again.
    pub(crate) const NOTHING: Made = Made { version: u64::MAX, rows_changed: 0 };
}

impl Definitions {
    /// The number of the definitions.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The number, unless somebody is changing definitions.
    pub(crate) fn settled(&self) -> Option<Made> {
        let version = self.version();
        let is_settled = self.changing_count.load(Ordering::Acquire) == 0;
        is_settled.then(|| Made { version, rows_changed: self.rows_changed.load(Ordering::Relaxed) })
    }

    /// Somebody begins to change definitions that all see.
    pub(crate) fn begin(&self) -> Changing<'_> {
        self.changing_count.fetch_add(1, Ordering::AcqRel);
        Changing(self)
    }

    /// Definitions are others now.
    pub(crate) fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// So many rows of tables have been changed.
    pub(crate) fn add_rows(&self, count: u64) {
        self.rows_changed.fetch_add(count, Ordering::Relaxed);
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changing_count.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_while_definitions_change() {
        let definitions = Definitions::default();
        let before = definitions.settled().unwrap();
        let (one, two) = (definitions.begin(), definitions.begin());
        definitions.changed();
        drop(one);
        assert_eq!(definitions.settled(), None);
        drop(two);
        definitions.add_rows(5);
        let after = Made { version: before.version + 1, rows_changed: before.rows_changed + 5 };
        assert_eq!(definitions.settled(), Some(after));
    }
}

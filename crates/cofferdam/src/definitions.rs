//! What plans were made for: the definitions of tables that hold, as a number, and how many rows have been changed.
//!
//! What reads a table, a view, and what drops one have to know of each other: whoever makes the one or the other known to all does that in
//! turn, and only if nobody else has since it looked ([`Definitions::publish`]).
//!
//! The number goes up whenever definitions of tables change, or are taken back. While a connection makes a change of definitions known to
//! all others, nobody can say which ones a plan is made with: [`Definitions::settled`] says so.
//!
//! ```text
//!   DROP TABLE, in autocommit        number 7 ──── begin ──── commit in the store ──── 8 ──── end
//!   plans that may be kept           for 7         none                                      for 8
//! ```

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// The definitions of a database's tables.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    version: AtomicU64,
    changing_count: AtomicU32,
    rows_changed: AtomicU64,
    /// How often views have been made and tables or views dropped, for all to see. Changes with the lock held.
    dependencies: Mutex<u64>,
}

/// The turn of somebody who makes a view or drops something for all to see.
#[derive(Debug)]
pub(crate) struct Publishing<'d>(MutexGuard<'d, u64>);

impl Publishing<'_> {
    /// It is done.
    pub(crate) fn done(mut self) {
        *self.0 += 1;
    }
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

    /// How often views have been made and tables or views dropped.
    pub(crate) fn dependencies(&self) -> u64 {
        *self.lock_dependencies()
    }

    /// The turn to make a view or to drop something, after one has looked at what depends on what when the number was `seen`.
    ///
    /// # Errors
    /// 40001 when somebody else has done such a thing since.
    pub(crate) fn publish(&self, seen: u64) -> Result<Publishing<'_>, Error> {
        let guard = self.lock_dependencies();
        if *guard == seen {
            return Ok(Publishing(guard));
        }
        Err(Error::retry("40001", "views or tables were made or dropped meanwhile").with_hint("run it again"))
    }

    fn lock_dependencies(&self) -> MutexGuard<'_, u64> {
        // A number: nobody leaves it half changed.
        self.dependencies.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn who_has_looked_before_another_has_done_it_is_refused() {
        let definitions = Definitions::default();
        let seen = definitions.dependencies();
        definitions.publish(seen).unwrap().done();
        assert_eq!(definitions.publish(seen).unwrap_err().sqlstate(), "40001");
        drop(definitions.publish(seen + 1).unwrap());
        definitions.publish(seen + 1).unwrap().done();
    }

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

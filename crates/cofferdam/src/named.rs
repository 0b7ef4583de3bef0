//! The statements of a connection that have names: `PREPARE`, `EXECUTE`, `DEALLOCATE`, with PostgreSQL's rules.
//!
//! A name holds from `PREPARE` until `DEALLOCATE`, or until the connection ends; transactions have nothing to do with it. The statement is
//! planned when it gets its name, and again when definitions of tables have changed, or many rows: its columns must stay what they are
//! (0A000). A plan that is run is taken out of the list meanwhile, so a statement cannot be run again before its rows are read (55006).
//!
//! **Memory.** Names and plans are charged to `named` below the database's budget, whose limit is the setting
//! `prepared_memory_limit` of the connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc, BudgetOptions, Buffer};

use crate::error::Error;
use crate::kept_plan::KeptPlan;

/// The setting `prepared_memory_limit` unless somebody says otherwise.
pub(crate) const LIMIT_DEFAULT_BYTES: u64 = 4 << 20;

/// The statements of a connection.
#[derive(Debug)]
pub(crate) struct Named {
    db: Budget,
    /// How many there have been.
    count: AtomicU64,
    kept: OnceLock<Kept>,
}

#[derive(Debug)]
struct Kept {
    budget: Budget,
    list: Mutex<Vec<Entry, BudgetAlloc>>,
}

#[derive(Debug)]
struct Entry {
    name: Buffer<u8>,
    /// Never used twice: a plan that comes back does not become that of a later statement of the same name.
    number: u64,
    /// `None` while it runs.
    plan: Option<KeptPlan>,
}

/// A plan that is taken out of the list, with what leads back to it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) plan: KeptPlan,
    pub(crate) number: u64,
}

impl Named {
    pub(crate) fn new(db: &Budget) -> Named {
        Named { db: db.clone(), count: AtomicU64::new(0), kept: OnceLock::new() }
    }

    /// The budget that pays, with this limit.
    ///
    /// # Errors
    /// There is no room for one.
    pub(crate) fn budget(&self, limit_bytes: u64) -> Result<&Budget, Error> {
        let kept = match self.kept.get() {
            Some(kept) => kept,
            None => {
                let options = BudgetOptions::limit(limit_bytes).keeps_refusals();
                let budget = self.db.child_with("named", options).map_err(|_| Error::refused(&self.db))?;
                self.kept.get_or_init(|| {
                    let list = Mutex::new(Vec::new_in(BudgetAlloc::new(&budget)));
                    Kept { budget, list }
                })
            }
        };
        kept.budget.set_limit(limit_bytes);
        Ok(&kept.budget)
    }

    fn list(&self) -> Option<MutexGuard<'_, Vec<Entry, BudgetAlloc>>> {
        // Every change is one step, so whoever panicked with the lock has left it whole.
        self.kept.get().map(|kept| kept.list.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a statement may get this name.
    ///
    /// # Errors
    /// 42P05 when another one has it.
    pub(crate) fn check_free(&self, name: &str) -> Result<(), Error> {
        let is_taken = self.list().is_some_and(|list| list.iter().any(|entry| entry.is(name)));
        if is_taken {
            let message = format_args!("prepared statement \"{name}\" already exists");
            return Err(Error::input("42P05", None, message));
        }
        Ok(())
    }

    /// Gives a statement its name.
    ///
    /// # Errors
    /// 42P05 when another one has it; there is no room.
    pub(crate) fn add(&self, name: &str, plan: KeptPlan) -> Result<(), Error> {
        self.check_free(name)?;
        let Some(kept) = self.kept.get() else { return Err(Error::refused(&self.db)) };
        let mut copy = Buffer::zeroed(&kept.budget, name.len()).map_err(|_| Error::refused(&kept.budget))?;
        copy.copy_from_slice(name.as_bytes());
        let mut list = kept.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.try_reserve(1).map_err(|_| Error::refused(&kept.budget))?;
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        list.push(Entry { name: copy, number, plan: Some(plan) });
        Ok(())
    }

    /// Takes out the plan of a statement, to be run.
    ///
    /// # Errors
    /// 26000 when no statement has the name; 55006 while it runs.
    pub(crate) fn take(&self, name: &str) -> Result<Taken, Error> {
        let mut list = self.list();
        let entry = list.as_mut().and_then(|list| list.iter_mut().find(|entry| entry.is(name)));
        let Some(entry) = entry else { return Err(unknown(name)) };
        let number = entry.number;
        let plan = entry.plan.take().ok_or_else(|| {
            let message = format_args!("prepared statement \"{name}\" is being executed");
            Error::input("55006", None, message).with_hint("read its rows first, or drop them")
        })?;
        Ok(Taken { plan, number })
    }

    /// Puts back what was taken, if it still has its name.
    pub(crate) fn put(&self, taken: Taken) {
        let mut list = self.list();
        let entry = list.as_mut().and_then(|list| list.iter_mut().find(|entry| entry.number == taken.number));
        if let Some(entry) = entry {
            entry.plan = Some(taken.plan);
        }
    }

    /// Forgets a statement, or all.
    ///
    /// # Errors
    /// 26000 when no statement has the name.
    pub(crate) fn remove(&self, name: Option<&str>) -> Result<(), Error> {
        let list = self.list();
        match (name, list) {
            (None, None) => Ok(()),
            (Some(name), None) => Err(unknown(name)),
            (None, Some(mut list)) => {
                *list = Vec::new_in(list.allocator().clone());
                Ok(())
            }
            (Some(name), Some(mut list)) => {
                let index = list.iter().position(|entry| entry.is(name)).ok_or_else(|| unknown(name))?;
                list.swap_remove(index);
                Ok(())
            }
        }
    }
}

impl Entry {
    fn is(&self, name: &str) -> bool {
        *self.name == *name.as_bytes()
    }
}

fn unknown(name: &str) -> Error {
    Error::input("26000", None, format_args!("prepared statement \"{name}\" does not exist"))
}

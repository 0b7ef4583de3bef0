//! Whether a connection is in a transaction, and its savepoints, with PostgreSQL's rules:
//!
//! ```text
//!            BEGIN              a statement fails
//!   idle ──────────────> open ─────────────────────> failed
//!     ^                   │  <── ROLLBACK TO ──────────  │
//!     └── COMMIT, ROLLBACK┴── COMMIT (rolls back), ROLLBACK
//! ```
//!
//! In a failed transaction every statement but `COMMIT`, `ROLLBACK` and `ROLLBACK TO` is refused. A `BEGIN` in a
//! transaction and a `COMMIT` or `ROLLBACK` outside of one change nothing.
//!
//! **Memory.** The names of savepoints, charged to the database's budget as they come, given back when the transaction
//! ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};
use cofferdam_plan::table::TransactionStatement;

use crate::error::Error;

/// The transaction of a connection.
#[derive(Debug)]
pub(crate) struct TransactionState {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    phase: Phase,
    is_read_only: bool,
    /// The names of the savepoints, oldest first, one behind the other.
    names: Vec<u8, BudgetAlloc>,
    /// Where each ends.
    ends: Vec<usize, BudgetAlloc>,
}

/// Where a connection is between `BEGIN` and `COMMIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Open,
    Failed,
}

impl TransactionState {
    pub(crate) fn new(alloc: &BudgetAlloc) -> TransactionState {
        TransactionState { inner: Mutex::new(Inner::new(alloc)) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is one step, so whoever panicked with the lock has left it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a statement may run now.
    ///
    /// # Errors
    /// 25P02 in a failed transaction.
    pub(crate) fn admit(&self) -> Result<(), Error> {
        match self.lock().phase {
            Phase::Idle | Phase::Open => Ok(()),
            Phase::Failed => Err(aborted()),
        }
    }

    /// A statement has failed.
    pub(crate) fn fail(&self) {
        let mut inner = self.lock();
        if inner.phase == Phase::Open {
            inner.phase = Phase::Failed;
        }
    }

    /// Does what a statement asks for, and gives the command tag.
    ///
    /// # Errors
    /// 25P01 for savepoints outside of a transaction, 3B001 for one that there is not, 25P02 in a failed transaction;
    /// `Err(None)` when there is no memory for a savepoint's name.
    pub(crate) fn apply(&self, statement: TransactionStatement<'_>) -> Result<&'static str, Option<Error>> {
        let mut inner = self.lock();
        match (statement, inner.phase) {
            (TransactionStatement::Begin { read_only }, Phase::Idle) => {
                inner.phase = Phase::Open;
                inner.is_read_only = read_only;
                Ok("BEGIN")
            }
            (TransactionStatement::Begin { .. }, Phase::Open) => Ok("BEGIN"),
            (TransactionStatement::Commit, Phase::Failed) | (TransactionStatement::Rollback, _) => {
                inner.end();
                Ok("ROLLBACK")
            }
            (TransactionStatement::Commit, _) => {
                inner.end();
                Ok("COMMIT")
            }
            (TransactionStatement::Savepoint(_), Phase::Idle) => Err(Some(outside("SAVEPOINT"))),
            (TransactionStatement::RollbackTo(_), Phase::Idle) => Err(Some(outside("ROLLBACK TO SAVEPOINT"))),
            (TransactionStatement::Release(_), Phase::Idle) => Err(Some(outside("RELEASE SAVEPOINT"))),
            (TransactionStatement::RollbackTo(name), _) => {
                let index = inner.find(name)?;
                inner.keep(index + 1);
                inner.phase = Phase::Open;
                Ok("ROLLBACK")
            }
            (_, Phase::Failed) => Err(Some(aborted())),
            (TransactionStatement::Savepoint(name), Phase::Open) => {
                inner.push(name).map_err(|_| None)?;
                Ok("SAVEPOINT")
            }
            (TransactionStatement::Release(name), Phase::Open) => {
                let index = inner.find(name)?;
                inner.keep(index);
                Ok("RELEASE")
            }
        }
    }
}

impl Inner {
    fn new(alloc: &BudgetAlloc) -> Inner {
        let (names, ends) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc.clone()));
        Inner { phase: Phase::Idle, is_read_only: false, names, ends }
    }

    /// The transaction is over, whichever way.
    fn end(&mut self) {
        let alloc = self.names.allocator().clone();
        *self = Inner::new(&alloc);
    }

    fn push(&mut self, name: &str) -> Result<(), AllocError> {
        self.ends.try_reserve(1).map_err(|_| AllocError)?;
        self.names.try_reserve(name.len()).map_err(|_| AllocError)?;
        self.names.extend_from_slice(name.as_bytes());
        self.ends.push(self.names.len());
        Ok(())
    }

    /// The newest savepoint of a name.
    fn find(&self, name: &str) -> Result<usize, Error> {
        let start = |index: usize| {
            index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end)
        };
        let is_it = |index: &usize| {
            let end = self.ends.get(*index).copied().unwrap_or_default();
            self.names.get(start(*index)..end) == Some(name.as_bytes())
        };
        (0..self.ends.len())
            .rev()
            .find(is_it)
            .ok_or_else(|| Error::input("3B001", None, format_args!("savepoint \"{name}\" does not exist")))
    }

    /// Forgets all savepoints but the first so many.
    fn keep(&mut self, count: usize) {
        self.ends.truncate(count);
        self.names.truncate(self.ends.last().copied().unwrap_or_default());
    }
}

fn aborted() -> Error {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Error::input("25P02", None, message).with_hint("ROLLBACK ends it")
}

fn outside(what: &str) -> Error {
    let message = format_args!("{what} can only be used in transaction blocks");
    Error::input("25P01", None, message).with_hint("BEGIN starts one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransactionStatement::{Begin, Commit, Release, Rollback, RollbackTo, Savepoint};
    use cofferdam_arena::Budget;

    const BEGIN: TransactionStatement<'_> = Begin { read_only: false };

    fn state() -> TransactionState {
        TransactionState::new(&BudgetAlloc::new(&Budget::unlimited("transaction").unwrap()))
    }

    /// The tags and SQLSTATEs of statements one after the other.
    fn run(state: &TransactionState, statements: &[TransactionStatement<'_>]) -> std::vec::Vec<&'static str> {
        let outcome = |statement: &TransactionStatement<'_>| match state.apply(*statement) {
            Ok(tag) => tag,
            Err(Some(error)) => error.sqlstate(),
            Err(None) => "53200",
        };
        statements.iter().map(outcome).collect()
    }

    #[test]
    fn savepoints_are_a_stack_of_names() {
        let state = state();
        let statements = [
            Savepoint("a"),
            BEGIN,
            Savepoint("a"),
            Savepoint("b"),
            Savepoint("a"),
            RollbackTo("b"),
            RollbackTo("b"),
            Release("b"),
            RollbackTo("b"),
            RollbackTo("a"),
            Release("a"),
            Release("a"),
            Commit,
            Release("a"),
            RollbackTo("a"),
        ];
        let expected = [
            "25P01",
            "BEGIN",
            "SAVEPOINT",
            "SAVEPOINT",
            "SAVEPOINT",
            "ROLLBACK",
            "ROLLBACK",
            "RELEASE",
            "3B001",
            "ROLLBACK",
            "RELEASE",
            "3B001",
            "COMMIT",
            "25P01",
            "25P01",
        ];
        assert_eq!(run(&state, &statements), expected);
    }

    #[test]
    fn a_failed_transaction_takes_nothing_but_its_end() {
        let state = state();
        state.fail();
        assert!(state.admit().is_ok(), "outside of a transaction a failure is over at once");
        assert_eq!(run(&state, &[BEGIN, Savepoint("a")]), ["BEGIN", "SAVEPOINT"]);
        state.fail();
        assert_eq!(state.admit().unwrap_err().sqlstate(), "25P02");
        assert_eq!(run(&state, &[Savepoint("b"), BEGIN, Release("a")]), ["25P02", "25P02", "25P02"]);
        assert_eq!(run(&state, &[RollbackTo("b"), RollbackTo("a")]), ["3B001", "ROLLBACK"]);
        assert!(state.admit().is_ok());
        state.fail();
        assert_eq!(run(&state, &[Commit, Commit, Rollback]), ["ROLLBACK", "COMMIT", "ROLLBACK"]);
        assert!(state.admit().is_ok());
    }

    #[test]
    fn names_are_paid_for() {
        let budget = Budget::root("root", 1 << 20).unwrap().child("transaction", 4 << 10).unwrap();
        let state = TransactionState::new(&BudgetAlloc::new(&budget));
        let name = "n".repeat(1000);
        assert_eq!(run(&state, &[BEGIN]), ["BEGIN"]);
        let taken = (0..10).take_while(|_| run(&state, &[Savepoint(&name)]) == ["SAVEPOINT"]).count();
        assert!((1..10).contains(&taken) && budget.used() > 0, "{taken}");
        assert_eq!(run(&state, &[Rollback]), ["ROLLBACK"]);
        assert_eq!(budget.used(), 0);
    }
}

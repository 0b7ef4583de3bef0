//! An engine that is simple enough to be believed: everything is in memory, commits are records of a log, and now and then
//! the whole database is written to a file of its own. It exists so that the simulation can be judged: on this engine it
//! must find nothing, and each [`Flaw`] of it must be found.
//!
//! ```text
//! state-3    the whole database after some commit
//! log-3      what was committed since: length, checksum, sequence, changes
//! temp-4     a state that is being written
//! ```
//!
//! The database is `state-N` of the greatest N with the records of `log-N`. A new state is written and synced as `temp-N`,
//! its log made and synced, both names made durable, then it is renamed and that made durable; only then the old files are
//! removed. Opening does this whenever there is a log to read, so nothing depends on what a system has cached.

mod disk;
mod encoding;
mod flaw;
mod state;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use cofferdam_vfs::Vfs;

use super::cell::{Cell, IndexSpec, Key, Range, Row, TableInfo, TableSpec};
use super::engine::{Durability, Engine, Failure, FailureKind, OpenOptions, Promises, Role, View};
use disk::Disk;
pub(crate) use flaw::{Flaw, with_flaw};
use state::{Change, State};

/// See the module.
pub(crate) struct Ledger {
    inner: RefCell<Inner>,
    flaw: Flaw,
}

struct Inner {
    disk: Disk,
    state: Arc<State>,
    sequence: u64,
    /// When each row was last written, and each table or index last dropped or made.
    changed: BTreeMap<(u32, Option<Key>), u64>,
    next_id: u32,
}

/// A transaction: a copy of the database that shares all tables it does not write to.
pub(crate) struct LedgerTxn {
    began: u64,
    state: State,
    changes: Vec<Change>,
}

/// A state of the database.
pub(crate) struct LedgerSnap {
    sequence: u64,
    state: Arc<State>,
}

impl Ledger {
    fn new_id(&self) -> u32 {
        let mut inner = self.inner.borrow_mut();
        inner.next_id += 1;
        inner.next_id
    }

    fn change(&self, txn: &mut LedgerTxn, change: Change) -> Result<(), Failure> {
        txn.state.apply(&change, self.flaw)?;
        txn.changes.push(change);
        Ok(())
    }

    /// Whether somebody has changed what a transaction changes since it began.
    fn conflict(&self, inner: &Inner, txn: &LedgerTxn) -> Result<(), Failure> {
        let is_newer = |id: u32, key: Option<&Key>| {
            inner.changed.get(&(id, key.cloned())).is_some_and(|at| *at > txn.began)
        };
        for change in &txn.changes {
            let is_lost = match change {
                _ if self.flaw == Flaw::NoConflicts => false,
                Change::Put { table, key, .. } => is_newer(*table, Some(key)),
                Change::Delete { .. } if self.flaw == Flaw::DeletesConflictWithNothing => false,
                Change::Delete { table, key } => is_newer(*table, Some(key)),
                Change::CreateTable { .. } => false,
                Change::CreateIndex { table, .. } => is_newer(*table, None),
                Change::Drop { id } => is_newer(*id, None),
            };
            if is_lost {
                return Err(Failure::new(FailureKind::Conflict, "the row has changed"));
            }
        }
        Ok(())
    }

    /// The state after a transaction's changes.
    fn merged(&self, inner: &Inner, txn: &LedgerTxn) -> Result<State, Failure> {
        let mut state = State::clone(&inner.state);
        for change in &txn.changes {
            if let Err(failure) = state.apply(change, self.flaw) {
                let kind = if self.flaw == Flaw::NoConflicts { failure.kind } else { FailureKind::Conflict };
                return Err(Failure::new(kind, failure.text));
            }
        }
        Ok(state)
    }

    fn publish(inner: &mut Inner, state: State, changes: &[Change]) {
        inner.sequence += 1;
        for change in changes {
            let sequence = inner.sequence;
            match change {
                Change::Put { table, key, .. } | Change::Delete { table, key } => {
                    inner.changed.insert((*table, Some(Key::clone(key))), sequence);
                }
                Change::CreateTable { id, .. } | Change::Drop { id } => {
                    inner.changed.insert((*id, None), sequence);
                }
                Change::CreateIndex { id, table, .. } => {
                    inner.changed.insert((*id, None), sequence);
                    inner.changed.insert((*table, None), sequence);
                }
            }
        }
        inner.state = Arc::new(state);
    }

    fn write(&self, inner: &mut Inner, changes: &[Change], durability: Durability) -> Result<(), Failure> {
        let sequence = inner.sequence + 1;
        inner.disk.append(sequence, changes)?;
        let is_synced = match (self.flaw, durability) {
            (Flaw::NoSyncOfCommits, _) => return Ok(()),
            (Flaw::NoSyncOfEveryThirdCommit, _) => !sequence.is_multiple_of(3),
            (_, durability) => durability == Durability::Full,
        };
        if !is_synced {
            return Ok(());
        }
        match inner.disk.sync_log() {
            Err(_) if self.flaw == Flaw::SyncErrorsIgnored => Ok(()),
            Err(_) if self.flaw == Flaw::SyncTriedAgain => inner.disk.sync_log(),
            Err(failure) => {
                inner.disk.is_poisoned = self.flaw != Flaw::NeverPoisoned;
                Err(failure)
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Engine for Ledger {
    type Txn = LedgerTxn;
    type Snap = LedgerSnap;
    type Savepoint = (State, usize);

    const PROMISES: Promises = Promises {
        failed_commits_stay_unseen: true,
        snapshots_keep_dropped_tables: true,
        index_names_differ: true,
        savepoints_of_definitions: true,
        rewrites_what_syncs_forgot: true,
        damaged_tails_are_told: false,
        damaged_logs_leave_a_prefix: true,
        has_check: true,
        empty_bytes_max: 1_000,
    };
    const FILES: &'static [&'static str] = &["*", "log-*", "state-*", "temp-*", "db"];

    fn open(vfs: &Arc<dyn Vfs>, _: &OpenOptions) -> Result<Ledger, Failure> {
        let flaw = flaw::current();
        let (disk, state, sequence) = Disk::open(vfs, flaw)?;
        let next_id = state.last_id;
        let inner = Inner { disk, state: Arc::new(state), sequence, changed: BTreeMap::new(), next_id };
        Ok(Ledger { inner: RefCell::new(inner), flaw })
    }

    fn close(self) -> Result<(), Failure> {
        match self.flaw {
            Flaw::NoSyncOfClosing => Ok(()),
            _ => self.sync(),
        }
    }

    fn snapshot(&self) -> Result<LedgerSnap, Failure> {
        let inner = self.inner.borrow();
        Ok(LedgerSnap { sequence: inner.sequence, state: Arc::clone(&inner.state) })
    }

    fn sequence(snap: &LedgerSnap) -> u64 {
        snap.sequence
    }

    fn begin(&self, _: u64) -> Result<LedgerTxn, Failure> {
        let inner = self.inner.borrow();
        Ok(LedgerTxn { began: inner.sequence, state: State::clone(&inner.state), changes: Vec::new() })
    }

    fn tables(&self, snap: &LedgerSnap) -> Result<Vec<TableInfo>, Failure> {
        Ok(snap.state.infos())
    }

    fn get(&self, from: View<'_, Ledger>, table: u32, key: &[Cell]) -> Result<Option<Row>, Failure> {
        match from {
            View::Snap(_) if self.flaw == Flaw::SnapshotsMove => self.inner.borrow().state.get(table, key),
            View::Snap(snap) => snap.state.get(table, key),
            View::Txn(txn) => txn.state.get(table, key),
        }
    }

    fn scan(
        &self,
        from: View<'_, Ledger>,
        table: u32,
        range: &Range,
        visit: &mut dyn FnMut(&[Row]) -> bool,
    ) -> Result<(), Failure> {
        let mut wider = range.clone();
        if let (Flaw::ExcludedEndsIncluded, Bound::Excluded(values)) = (self.flaw, &range.to) {
            wider.to = Bound::Included(values.clone());
        }
        let range = &wider;
        let mut rows = match from {
            View::Snap(snap) => snap.state.scan(table, range)?,
            View::Txn(txn) => txn.state.scan(table, range)?,
        };
        for place in (0..rows.len()).step_by(16) {
            if place > 0 && self.flaw == Flaw::ScansMove {
                rows = self.inner.borrow().state.scan(table, range)?;
            }
            let Some(batch) = rows.get(place..rows.len().min(place + 16)) else { break };
            if !visit(batch) {
                break;
            }
        }
        Ok(())
    }

    fn create_table(&self, txn: &mut LedgerTxn, spec: &TableSpec) -> Result<u32, Failure> {
        let id = self.new_id();
        self.change(txn, Change::CreateTable { id, spec: spec.clone() })?;
        Ok(id)
    }

    fn create_index(&self, txn: &mut LedgerTxn, table: u32, spec: &IndexSpec) -> Result<u32, Failure> {
        let id = self.new_id();
        self.change(txn, Change::CreateIndex { id, table, spec: spec.clone() })?;
        Ok(id)
    }

    fn drop_table(&self, txn: &mut LedgerTxn, table: u32) -> Result<(), Failure> {
        self.change(txn, Change::Drop { id: table })
    }

    fn insert(&self, txn: &mut LedgerTxn, table: u32, row: &[Cell]) -> Result<Option<i64>, Failure> {
        let spec = txn.state.spec(table)?.clone();
        if !spec.has_row_id() {
            let key = spec.key_of(row);
            if txn.state.has(table, &key) {
                return Err(Failure::new(FailureKind::Unique, "primary key"));
            }
            self.change(txn, Change::Put { table, key, row: row.into() })?;
            return Ok(None);
        }
        let id = i64::from(self.new_id());
        let row: Row = row.iter().cloned().chain([Cell::Big(id)]).collect();
        self.change(txn, Change::Put { table, key: spec.key_of(&row), row })?;
        Ok(Some(id))
    }

    fn put(&self, txn: &mut LedgerTxn, table: u32, row: &[Cell]) -> Result<(), Failure> {
        let key = txn.state.spec(table)?.key_of(row);
        self.change(txn, Change::Put { table, key, row: row.into() })
    }

    fn delete(&self, txn: &mut LedgerTxn, table: u32, key: &[Cell]) -> Result<bool, Failure> {
        let parts = txn.state.spec(table)?.key_parts();
        let key = super::cell::key_of(key.iter().cloned(), &parts);
        if !txn.state.has(table, &key) {
            return Ok(false);
        }
        self.change(txn, Change::Delete { table, key })?;
        Ok(true)
    }

    fn savepoint(&self, txn: &mut LedgerTxn) -> Result<(State, usize), Failure> {
        Ok((txn.state.clone(), txn.changes.len()))
    }

    fn rollback_to(&self, txn: &mut LedgerTxn, savepoint: &(State, usize)) -> Result<(), Failure> {
        txn.state = savepoint.0.clone();
        match self.flaw {
            // What is read is right, and what is committed is not.
            Flaw::RollbacksForgotten => {}
            Flaw::RollbacksForgetOneTooFew => txn.changes.truncate(savepoint.1 + 1),
            _ => txn.changes.truncate(savepoint.1),
        }
        Ok(())
    }

    fn commit(&self, txn: LedgerTxn, durability: Durability) -> Result<u64, Failure> {
        let inner = &mut *self.inner.borrow_mut();
        if txn.changes.is_empty() {
            return Ok(inner.sequence);
        }
        if inner.disk.is_poisoned {
            return Err(Failure::new(FailureKind::Poisoned, "a sync has failed"));
        }
        self.conflict(inner, &txn)?;
        let state = self.merged(inner, &txn)?;
        if self.flaw == Flaw::PublishedBeforeWritten {
            let before = inner.sequence;
            Ledger::publish(inner, state, &txn.changes);
            inner.sequence = before;
            self.write(inner, &txn.changes, durability)?;
            inner.sequence = before + 1;
            return Ok(inner.sequence);
        }
        self.write(inner, &txn.changes, durability)?;
        Ledger::publish(inner, state, &txn.changes);
        Ok(inner.sequence)
    }

    fn rollback(&self, txn: LedgerTxn) -> Result<(), Failure> {
        let inner = &mut *self.inner.borrow_mut();
        if let (Flaw::RollbackCommits, Ok(state)) = (self.flaw, self.merged(inner, &txn)) {
            Ledger::publish(inner, state, &txn.changes);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.disk.is_poisoned {
            return Err(Failure::new(FailureKind::Poisoned, "a sync has failed"));
        }
        if self.flaw == Flaw::NoSyncOfSync {
            return Ok(());
        }
        let outcome = inner.disk.sync_log();
        inner.disk.is_poisoned = outcome.is_err();
        outcome
    }

    fn flush(&self) -> Result<(), Failure> {
        self.sync()
    }

    fn compact(&self) -> Result<bool, Failure> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.disk.is_poisoned {
            return Err(Failure::new(FailureKind::Poisoned, "a sync has failed"));
        }
        let (state, sequence) = (Arc::clone(&inner.state), inner.sequence);
        inner.disk.write_state(&state, sequence)?;
        Ok(false)
    }

    fn check(vfs: &Arc<dyn Vfs>, problem: &mut dyn FnMut(String)) -> Result<(), Failure> {
        Disk::check(vfs, problem)
    }

    fn role(name: &str) -> Role {
        match name.split('-').next() {
            Some("log") => Role::Log,
            Some("temp") => Role::Temporary,
            _ => Role::Lasting,
        }
    }
}

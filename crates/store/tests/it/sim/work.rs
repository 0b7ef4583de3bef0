//! The steps of transactions, in the engine and in the model.

use std::rc::Rc;

use super::cell::{Cell, Key, Row, key_of};
use super::driver::{Done, Open, Sim, show};
use super::engine::{Durability, Engine, Failure, FailureKind, View};
use super::model::Sight;
use super::overlay::{Change, Duplicate, Txn, Verdict};
use super::report::Finding;
use super::script::{Bulk, Step};
use super::shapes::Shape;
use super::watch::Context;

/// A write of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Insert,
    Put,
    Delete,
}

/// How a transaction goes on after one of its operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    Ends,
}

impl<E: Engine> Sim<E> {
    /// A step of a transaction.
    pub(super) fn write_step(&mut self, step: Step) -> Done {
        self.watch.enter(Context::Write);
        match step {
            Step::Begin { slot, is_small } => self.begin(slot, is_small),
            Step::Insert { slot, table, key, values } => {
                self.write_row(slot, table, Write::Insert, key, values)
            }
            Step::Put { slot, table, key, values } => self.write_row(slot, table, Write::Put, key, values),
            Step::Delete { slot, table, key } => self.write_row(slot, table, Write::Delete, key, 0),
            Step::Bulk { slot, table, kind, key, count, values } => {
                self.with_txn(slot, |sim, engine, open| {
                    // The rows follow from the step.
                    let is_kept = std::mem::replace(&mut sim.trace.is_kept, false);
                    let fate = sim.bulk(engine, open, table, kind, key, count, values);
                    sim.trace.is_kept = is_kept;
                    fate
                })
            }
            Step::Savepoint { slot } => self.with_txn(slot, Sim::savepoint),
            Step::RollbackTo { slot, back } => {
                self.with_txn(slot, |sim, engine, open| sim.rollback_to(engine, open, back))
            }
            Step::CreateTable { slot, table, shape } => {
                self.with_txn(slot, |sim, engine, open| sim.create_table(engine, open, table, shape))
            }
            Step::CreateIndex { slot, table, index, kind } => {
                self.with_txn(slot, |sim, engine, open| sim.create_index(engine, open, table, index, kind))
            }
            Step::DropTable { slot, table } => {
                self.with_txn(slot, |sim, engine, open| sim.drop_table(engine, open, table))
            }
            Step::DropIndex { slot, index } => {
                self.with_txn(slot, |sim, engine, open| sim.drop_index(engine, open, index))
            }
            Step::Get { slot, table, key } => {
                self.with_txn(slot, |sim, engine, open| sim.get_in(engine, open, table, key))
            }
            Step::Scan { slot, table, bounds } => {
                self.with_txn(slot, |sim, engine, open| sim.scan_in(engine, open, table, bounds))
            }
            Step::Commit { slot, is_full } => self.commit(slot, is_full),
            Step::Rollback { slot } => self.rollback(slot),
            _ => unreachable!("other steps are done elsewhere"),
        }
    }

    fn begin(&mut self, slot: u8, is_small: bool) -> Done {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        let place = usize::from(slot);
        if self.txns[place].is_some() {
            return Ok(());
        }
        match engine.begin(if is_small { 32 << 10 } else { 1 << 20 }) {
            Ok(txn) => {
                let model = Txn::new(self.model.head);
                self.txns[place] = Some(Open { engine: txn, model, savepoints: Vec::new(), is_small });
                Ok(())
            }
            Err(failure) => self.excuse("begin", &failure),
        }
    }

    /// Does something in the transaction of a slot, which is begun where there is none.
    fn with_txn(
        &mut self,
        slot: u8,
        act: impl FnOnce(&mut Sim<E>, &Rc<E>, &mut Open<E>) -> Result<Fate, Finding>,
    ) -> Done {
        self.begin(slot, false)?;
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        let Some(mut open) = self.txns[usize::from(slot)].take() else { return Ok(()) };
        match act(self, &engine, &mut open)? {
            Fate::GoesOn => self.txns[usize::from(slot)] = Some(open),
            Fate::Ends => {
                self.stats.count("transactions ended by a failure");
                if let Err(failure) = engine.rollback(open.engine) {
                    self.excuse("rollback", &failure)?;
                }
            }
        }
        Ok(())
    }

    /// What becomes of a transaction whose operation failed for a reason of the machine's or of others: half of them go
    /// on as if the operation had not been tried.
    fn after_failure(
        &mut self,
        operation: &'static str,
        open: &Open<E>,
        failure: &Failure,
    ) -> Result<Fate, Finding> {
        if failure.kind == FailureKind::NoSuchTable && self.model.has_dropped_since(open.model.at) {
            self.stats.count("tables gone before the commit");
            return Ok(Fate::Ends);
        }
        if failure.kind == FailureKind::Conflict {
            if self.model.head == open.model.at {
                return Err(Finding::new("conflict with nobody", format!("{operation}: {failure}")));
            }
            self.stats.count("conflicts told before the commit");
            return Ok(Fate::Ends);
        }
        if !(open.is_small && failure.kind == FailureKind::OutOfMemory) {
            self.excuse(operation, failure)?;
        }
        Ok(if self.rng.percent(50) { Fate::GoesOn } else { Fate::Ends })
    }

    // Rows.

    fn write_row(&mut self, slot: u8, table: u8, write: Write, key: u32, values: u32) -> Done {
        self.with_txn(slot, |sim, engine, open| {
            let Some(target) = Target::find(&sim.model.of(&open.model), table) else {
                return Ok(Fate::GoesOn);
            };
            sim.write_target(engine, open, &target, write, key, values)
        })
    }

    fn write_target(
        &mut self,
        engine: &E,
        open: &mut Open<E>,
        target: &Target,
        write: Write,
        key: u32,
        values: u32,
    ) -> Result<Fate, Finding> {
        open.model.touched.insert(target.id);
        let row = target.shape.row(key, values);
        match (write, target.shape) {
            (Write::Delete, _) => {
                let key = target.existing_key(&self.model.of(&open.model), key);
                self.delete(engine, open, target.id, &key)
            }
            (_, Shape::Heap) => self.insert_numbered(engine, open, target, &row),
            (write, _) => self.write_keyed(engine, open, target, write, row),
        }
    }

    fn write_keyed(
        &mut self,
        engine: &E,
        open: &mut Open<E>,
        target: &Target,
        write: Write,
        row: Vec<Cell>,
    ) -> Result<Fate, Finding> {
        let outcome = match write {
            Write::Insert => engine.insert(&mut open.engine, target.id, &row).map(|_| ()),
            _ => engine.put(&mut open.engine, target.id, &row),
        };
        self.judge_keyed(open, target, write, row, outcome)
    }

    /// Whether the outcome of a write is right, and the model does the same.
    fn judge_keyed(
        &mut self,
        open: &mut Open<E>,
        target: &Target,
        write: Write,
        row: Vec<Cell>,
        outcome: Result<(), Failure>,
    ) -> Result<Fate, Finding> {
        let key = target.key_of(&row);
        let is_there = self.model.of(&open.model).row(target.id, &key).is_some();
        let mut duplicate = open.model.duplicate(&self.model, target.id, &key, &row);
        if write == Write::Insert && is_there {
            duplicate = Duplicate::Yes;
        }
        self.trace.note(|| format!("  {write:?} {}: {}", super::cell::show(&row), show(&outcome)));
        match outcome {
            Ok(()) if duplicate == Duplicate::Yes => {
                Err(Finding::new("duplicate", format!("{write:?} of {row:?} succeeds")))
            }
            Ok(()) => {
                open.model.write(&self.model, target.id, key, Some(row.into()));
                Ok(Fate::GoesOn)
            }
            Err(failure) if failure.kind == FailureKind::Unique => {
                self.judge_duplicate(open, target, &key, &row, duplicate)
            }
            Err(failure) => self.after_failure("write", open, &failure),
        }
    }

    /// Loads rows into a table with a key, all of them or none.
    fn load(
        &mut self,
        engine: &E,
        open: &mut Open<E>,
        target: &Target,
        rows: Vec<Vec<Cell>>,
    ) -> Result<Fate, Finding> {
        open.model.touched.insert(target.id);
        let before = match engine.savepoint(&mut open.engine) {
            Ok(savepoint) => savepoint,
            Err(failure) => return self.after_failure("savepoint", open, &failure),
        };
        let mark = open.model.savepoint();
        let (taken, outcome) = engine.load(&mut open.engine, target.id, &rows);
        let is_refused = outcome.is_err();
        let mut fate = Fate::GoesOn;
        let outcomes = (0..taken).map(|_| Ok(())).chain(outcome.err().map(Err));
        for (row, outcome) in rows.into_iter().zip(outcomes) {
            fate = self.judge_keyed(open, target, Write::Insert, row, outcome)?;
        }
        if is_refused && !self.disk.is_gone() {
            if let Err(failure) = engine.rollback_to(&mut open.engine, &before) {
                return self.after_failure("rollback to", open, &failure).map(|_| Fate::Ends);
            }
            open.model.rollback_to(mark);
        }
        self.stats.count("loads");
        Ok(fate)
    }

    /// A row was refused for being the second with its key: it is, or somebody else has committed the first one since.
    fn judge_duplicate(
        &mut self,
        open: &Open<E>,
        target: &Target,
        key: &Key,
        row: &[Cell],
        duplicate: Duplicate,
    ) -> Result<Fate, Finding> {
        let latest = Txn::new(self.model.head);
        let is_now = || {
            self.model.of(&latest).row(target.id, key).is_some()
                || latest.duplicate(&self.model, target.id, key, row) != Duplicate::No
        };
        if duplicate != Duplicate::No {
            self.stats.count("duplicates refused");
        } else if self.model.head > open.model.at && is_now() {
            self.stats.count("duplicates of later commits refused");
        } else {
            return Err(Finding::new("no duplicate", format!("{row:?} is refused as one")));
        }
        Ok(Fate::GoesOn)
    }

    fn insert_numbered(
        &mut self,
        engine: &E,
        open: &mut Open<E>,
        target: &Target,
        row: &[Cell],
    ) -> Result<Fate, Finding> {
        // Any key that no row has: the engine gives the real one.
        let nobody = target.key_of_id(i64::MIN);
        let duplicate = open.model.duplicate(&self.model, target.id, &nobody, row);
        let outcome = engine.insert(&mut open.engine, target.id, row);
        self.trace.note(|| format!("  insert {}: {:?}", super::cell::show(row), outcome));
        match outcome {
            Ok(_) if duplicate == Duplicate::Yes => {
                Err(Finding::new("duplicate", format!("insert of {row:?} succeeds")))
            }
            Ok(None) => Err(Finding::new("row id", "none is given")),
            Ok(Some(id)) => {
                let key = target.key_of_id(id);
                self.judge_row_id(open, target, &key)?;
                let row: Row = row.iter().cloned().chain([Cell::Big(id)]).collect();
                open.model.write(&self.model, target.id, key, Some(row));
                Ok(Fate::GoesOn)
            }
            Err(failure) if failure.kind == FailureKind::Unique => {
                self.judge_duplicate(open, target, &nobody, row, duplicate)
            }
            Err(failure) => self.after_failure("write", open, &failure),
        }
    }

    /// A row id must not be that of a row that anybody sees or may see.
    fn judge_row_id(&mut self, open: &Open<E>, target: &Target, key: &Key) -> Done {
        let others = self.txns.iter().flatten().map(|other| &other.model);
        let mut sights = others.chain([&open.model]).map(|txn| self.model.of(txn));
        let latest = self.model.at(self.model.head);
        if sights.any(|sight| sight.row(target.id, key).is_some()) || latest.row(target.id, key).is_some() {
            return Err(Finding::new("row id", format!("{key:?} is given twice")));
        }
        Ok(())
    }

    fn delete(&mut self, engine: &E, open: &mut Open<E>, table: u32, key: &Key) -> Result<Fate, Finding> {
        let is_there = self.model.of(&open.model).row(table, key).is_some();
        let cells = super::cell::cells_of(key);
        let outcome = engine.delete(&mut open.engine, table, &cells);
        self.trace.note(|| format!("  delete {}: {outcome:?}", super::cell::show(&cells)));
        match outcome {
            Ok(was_there) if was_there != is_there => {
                let what = format!("{cells:?} was there: {is_there}, the engine says {was_there}");
                Err(Finding::new("delete", what))
            }
            Ok(false) => Ok(Fate::GoesOn),
            Ok(true) => {
                open.model.write(&self.model, table, Key::clone(key), None);
                Ok(Fate::GoesOn)
            }
            Err(failure) => self.after_failure("write", open, &failure),
        }
    }

    /// Writes many rows.
    #[allow(clippy::too_many_arguments)]
    fn bulk(
        &mut self,
        engine: &E,
        open: &mut Open<E>,
        table: u8,
        kind: Bulk,
        key: u32,
        count: u32,
        values: u32,
    ) -> Result<Fate, Finding> {
        let sight = self.model.of(&open.model);
        let Some(target) = Target::find(&sight, table) else { return Ok(Fate::GoesOn) };
        let existing: Vec<Key> = match kind {
            Bulk::Insert => Vec::new(),
            _ => sight
                .rows(target.id)
                .into_iter()
                .take(count as usize)
                .map(|(key, _)| Key::clone(key))
                .collect(),
        };
        if kind == Bulk::Insert && target.shape != Shape::Heap && values % 2 == 1 {
            // So many that some go straight into runs; mostly in a place of their own.
            let first = key + values / 2 % 5 * 1_000;
            let row = |number: u32| target.shape.row(first + number, values.wrapping_add(number));
            return self.load(engine, open, &target, (0..3 * count).map(row).collect());
        }
        for number in 0..count {
            let values = values.wrapping_add(number);
            let fate = match (kind, existing.get(number as usize)) {
                (Bulk::Insert, _) => {
                    self.write_target(engine, open, &target, Write::Insert, key + number, values)?
                }
                (_, None) => break,
                (Bulk::Delete, Some(key)) => self.delete(engine, open, target.id, key)?,
                (Bulk::Update, Some(_)) if target.shape == Shape::Heap => break,
                (Bulk::Update, Some(key)) => {
                    let mut row = target.shape.row(super::shapes::BULK_KEYS + number, values);
                    for (cell, part) in row.iter_mut().zip(key.iter()) {
                        *cell = part.cell.clone();
                    }
                    self.write_keyed(engine, open, &target, Write::Put, row)?
                }
            };
            if fate == Fate::Ends || self.disk.is_gone() {
                return Ok(fate);
            }
        }
        self.stats.count("bulks");
        Ok(Fate::GoesOn)
    }

    // Savepoints.

    fn savepoint(&mut self, engine: &Rc<E>, open: &mut Open<E>) -> Result<Fate, Finding> {
        match engine.savepoint(&mut open.engine) {
            Ok(savepoint) => {
                open.savepoints.push((savepoint, open.model.savepoint()));
                Ok(Fate::GoesOn)
            }
            Err(failure) => self.after_failure("savepoint", open, &failure),
        }
    }

    fn rollback_to(&mut self, engine: &Rc<E>, open: &mut Open<E>, back: u8) -> Result<Fate, Finding> {
        let Some(place) = open.savepoints.len().checked_sub(1 + usize::from(back)) else {
            return Ok(Fate::GoesOn);
        };
        let (savepoint, mark) = open.savepoints[place].clone();
        if open.model.has_definitions_after(mark) && !E::PROMISES.savepoints_of_definitions {
            return Ok(Fate::GoesOn);
        }
        // The savepoint stays, those behind it are gone.
        open.savepoints.truncate(place + 1);
        match engine.rollback_to(&mut open.engine, &savepoint) {
            Ok(()) => {
                open.model.rollback_to(mark);
                self.stats.count("rollbacks to savepoints");
                Ok(Fate::GoesOn)
            }
            // Half rolled back it can only end.
            Err(failure) => self.after_failure("rollback to", open, &failure).map(|_| Fate::Ends),
        }
    }

    // Definitions.

    fn create_table(
        &mut self,
        engine: &Rc<E>,
        open: &mut Open<E>,
        table: u8,
        shape: u8,
    ) -> Result<Fate, Finding> {
        let name = format!("t{table}");
        if self.model.of(&open.model).table_named(&name).is_some() {
            return Ok(Fate::GoesOn);
        }
        let spec = Shape::ALL[usize::from(shape) % 3].table(name);
        match engine.create_table(&mut open.engine, &spec) {
            Ok(id) => {
                self.judge_new_id(open, id)?;
                open.model.apply(Change::CreateTable { id, spec });
                self.stats.count("tables created");
                Ok(Fate::GoesOn)
            }
            Err(failure) if self.is_name_taken(&failure, &spec.name) => Ok(Fate::GoesOn),
            Err(failure) => self.after_failure("create table", open, &failure),
        }
    }

    fn create_index(
        &mut self,
        engine: &Rc<E>,
        open: &mut Open<E>,
        table: u8,
        index: u8,
        kind: u8,
    ) -> Result<Fate, Finding> {
        let name = format!("i{index}");
        let sight = self.model.of(&open.model);
        let Some(target) = Target::find(&sight, table) else { return Ok(Fate::GoesOn) };
        if sight.index_named(&name).is_some() {
            return Ok(Fate::GoesOn);
        }
        let spec = target.shape.index(name, kind);
        let repeated = open.model.repeated(&self.model, target.id, &spec);
        let outcome = engine.create_index(&mut open.engine, target.id, &spec);
        self.trace.note(|| format!("  {spec:?}: {outcome:?}"));
        match (outcome, repeated) {
            (Ok(_), Some(values)) => Err(Finding::new(
                "duplicate",
                format!("{spec:?} is built over {values:?}, which is there twice"),
            )),
            (Ok(id), None) => {
                self.judge_new_id(open, id)?;
                open.model.apply(Change::CreateIndex { id, table: target.id, spec });
                self.stats.count("indexes created");
                Ok(Fate::GoesOn)
            }
            (Err(failure), Some(_)) if failure.kind == FailureKind::Unique => Ok(Fate::GoesOn),
            (Err(failure), _) if self.is_name_taken(&failure, &spec.name) => Ok(Fate::GoesOn),
            (Err(failure), _) => self.after_failure("create index", open, &failure),
        }
    }

    /// Somebody else has committed a table or an index of the name since the transaction began.
    fn is_name_taken(&self, failure: &Failure, name: &str) -> bool {
        let latest = self.model.at(self.model.head);
        let is_taken = latest.table_named(name).is_some() || latest.index_named(name).is_some();
        is_taken && matches!(failure.kind, FailureKind::Unique | FailureKind::Conflict | FailureKind::Other)
    }

    /// A table's number is never used twice.
    fn judge_new_id(&self, open: &Open<E>, id: u32) -> Done {
        let others = self.txns.iter().flatten().map(|other| &other.model);
        let mut all = others.chain([&open.model]).map(|txn| self.model.of(txn));
        let is_known = self.model.has_known(id);
        match is_known || all.any(|sight| sight.tables().iter().any(|(known, _)| *known == id)) {
            true => Err(Finding::new("table id", format!("{id} is given twice"))),
            false => Ok(()),
        }
    }

    fn drop_table(&mut self, engine: &Rc<E>, open: &mut Open<E>, table: u8) -> Result<Fate, Finding> {
        let Some(target) = Target::find(&self.model.of(&open.model), table) else { return Ok(Fate::GoesOn) };
        match engine.drop_table(&mut open.engine, target.id) {
            Ok(()) => {
                open.model.drop_table(&self.model, target.id);
                self.stats.count("tables dropped");
                Ok(Fate::GoesOn)
            }
            Err(failure) => self.after_failure("drop table", open, &failure),
        }
    }

    fn drop_index(&mut self, engine: &Rc<E>, open: &mut Open<E>, index: u8) -> Result<Fate, Finding> {
        let found = self.model.of(&open.model).index_named(&format!("i{index}"));
        let Some((_, id)) = found else { return Ok(Fate::GoesOn) };
        match engine.drop_table(&mut open.engine, id) {
            Ok(()) => {
                open.model.apply(Change::Drop { id });
                self.stats.count("indexes dropped");
                Ok(Fate::GoesOn)
            }
            Err(failure) => self.after_failure("drop index", open, &failure),
        }
    }

    // The end of a transaction.

    fn rollback(&mut self, slot: u8) -> Done {
        let (Some(engine), Some(open)) = (self.engine.clone(), self.txns[usize::from(slot)].take()) else {
            return Ok(());
        };
        self.stats.count("rollbacks");
        match engine.rollback(open.engine) {
            Ok(()) => Ok(()),
            Err(failure) => self.excuse("rollback", &failure),
        }
    }

    fn commit(&mut self, slot: u8, is_full: bool) -> Done {
        let (Some(engine), Some(open)) = (self.engine.clone(), self.txns[usize::from(slot)].take()) else {
            return Ok(());
        };
        self.watch.enter(Context::Commit);
        let (verdict, has_effect) = (self.model.verdict(&open.model), self.model.has_effect(&open.model));
        let before = self.disk.counts();
        let durability = if is_full { Durability::Full } else { Durability::Normal };
        let outcome = engine.commit(open.engine, durability);
        self.trace.note(|| format!("  commit: {outcome:?}, {verdict:?}"));
        match outcome {
            Ok(sequence) if has_effect => self.committed(open.model, sequence, is_full, verdict),
            Ok(sequence) => {
                self.model.commit(&open.model, sequence);
                Ok(())
            }
            Err(failure) if self.is_conflict(&failure, &verdict) => self.conflicted(&failure, &verdict),
            Err(failure) => {
                if !(open.is_small && failure.kind == FailureKind::OutOfMemory) {
                    self.excuse("commit", &failure)?;
                }
                self.is_poisoned |= self.faults.has_failed_log_sync::<E>(&self.disk, before.operations);
                if has_effect {
                    self.doubts.push(open.model.clone());
                }
                self.look_unseen(&engine, &open.model)
            }
        }
    }

    fn committed(&mut self, txn: Txn, sequence: u64, is_full: bool, verdict: Verdict) -> Done {
        if let Verdict::Must(reason) = verdict {
            return Err(Finding::new("no conflict", format!("a commit succeeds although {reason}")));
        }
        if self.is_poisoned {
            return Err(Finding::new("commit after a failed sync", "it is acknowledged"));
        }
        // Definitions alone need no sequence of their own.
        let is_new = sequence > self.model.newest_sequence;
        if sequence < self.model.newest_sequence || (txn.has_rows() && !is_new) {
            let what = format!("{sequence} after {}", self.model.newest_sequence);
            return Err(Finding::new("sequence goes back", what));
        }
        self.model.commit(&txn, sequence);
        if txn.has_definitions_after(0) {
            self.learn_indexes()?;
        }
        // Whoever reads now sees them not to be there.
        self.doubts.clear();
        self.stats.count(if is_full { "full commits" } else { "normal commits" });
        if is_full {
            self.model.durable = self.model.head;
        }
        Ok(())
    }

    fn is_conflict(&self, failure: &Failure, verdict: &Verdict) -> bool {
        match failure.kind {
            FailureKind::Conflict => true,
            FailureKind::Unique | FailureKind::NoSuchTable | FailureKind::Other => {
                matches!(verdict, Verdict::Must(_))
            }
            _ => false,
        }
    }

    fn conflicted(&mut self, failure: &Failure, verdict: &Verdict) -> Done {
        match verdict {
            Verdict::Must(_) => self.stats.count("conflicts"),
            Verdict::May => self.stats.count("conflicts that need not be"),
            Verdict::Never => return Err(Finding::new("conflict with nobody", failure)),
        }
        Ok(())
    }

    /// A commit that failed must not be seen.
    fn look_unseen(&mut self, engine: &Rc<E>, txn: &Txn) -> Done {
        if self.disk.is_gone() || !E::PROMISES.failed_commits_stay_unseen {
            return Ok(());
        }
        let snap = match engine.snapshot() {
            Ok(snap) => snap,
            Err(failure) => return self.excuse("snapshot", &failure),
        };
        let now = self.model.at(self.model.head);
        for (table, key) in txn.written().into_iter().take(4).filter(|(table, _)| now.table(*table).is_some())
        {
            match engine.get(View::Snap(&snap), table, &super::cell::cells_of(&key)) {
                Ok(found) if found.as_ref() != now.row(table, &key) => {
                    let what = format!("{key:?} is {found:?}");
                    return Err(Finding::new("a failed commit is seen", what));
                }
                Ok(_) => {}
                Err(failure) => return self.excuse("get", &failure),
            }
        }
        Ok(())
    }
}

/// A table that a step means.
pub(super) struct Target {
    pub(super) id: u32,
    pub(super) shape: Shape,
    spec: super::cell::TableSpec,
}

impl Target {
    pub(super) fn find(sight: &Sight<'_>, table: u8) -> Option<Target> {
        let (id, spec) = sight.table_named(&format!("t{table}"))?;
        Some(Target { id, shape: Shape::of(spec), spec: spec.clone() })
    }

    fn key_of(&self, row: &[Cell]) -> Key {
        self.spec.key_of(row)
    }

    fn key_of_id(&self, id: i64) -> Key {
        key_of([Cell::Big(id)], &self.spec.key_parts())
    }

    /// The key of a number; with row ids, that of some row.
    pub(super) fn existing_key(&self, sight: &Sight<'_>, key: u32) -> Key {
        if self.shape != Shape::Heap {
            return key_of(self.shape.key(key), &self.spec.key_parts());
        }
        let rows = sight.rows(self.id);
        match rows.len() {
            0 => self.key_of_id(999_999),
            count => Key::clone(rows[key as usize % count].0),
        }
    }

    pub(super) fn key_parts(&self) -> Vec<(u16, cofferdam_types::key::KeyOrder)> {
        self.spec.key_parts()
    }
}

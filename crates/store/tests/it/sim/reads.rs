//! Reads, in transactions and snapshots: what they give is what the model has, whatever happens meanwhile.

use std::ops::Bound;
use std::rc::Rc;

use super::cell::{Cell, Key, Range, Row, TableInfo, cells_of, key_of};
use super::driver::{Done, Open, Sim};
use super::engine::{Engine, Failure, FailureKind, View};
use super::model::rows_difference;
use super::report::Finding;
use super::rng::Rng;
use super::script::Step;
use super::watch::Context;
use super::work::{Fate, Target};

impl<E: Engine> Sim<E> {
    /// A step of a snapshot.
    pub(super) fn read_step(&mut self, step: Step) -> Done {
        self.watch.enter(Context::Read);
        match step {
            Step::Snapshot { slot } => self.take_snapshot(slot),
            Step::Release { slot } => {
                self.snaps[usize::from(slot)] = None;
                Ok(())
            }
            Step::Look { slot, table, key } => self.look(slot, table, key),
            _ => unreachable!("other steps are done elsewhere"),
        }
    }

    fn take_snapshot(&mut self, slot: u8) -> Done {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        match engine.snapshot() {
            Ok(snap) => {
                let (sequence, newest) = (E::sequence(&snap), self.model.newest_sequence);
                if sequence < newest {
                    let what = format!("a snapshot of {sequence} after a commit of {newest}");
                    return Err(Finding::new("old snapshot", what));
                }
                self.snaps[usize::from(slot)] = Some((snap, self.model.head));
                Ok(())
            }
            Err(failure) => self.excuse("snapshot", &failure),
        }
    }

    fn read_failed(&mut self, operation: &'static str, failure: &Failure) -> Result<Fate, Finding> {
        self.excuse(operation, failure)?;
        Ok(Fate::GoesOn)
    }

    // Transactions.

    pub(super) fn get_in(
        &mut self,
        engine: &Rc<E>,
        open: &mut Open<E>,
        table: u8,
        key: u32,
    ) -> Result<Fate, Finding> {
        let sight = self.model.of(&open.model);
        let Some(target) = Target::find(&sight, table) else { return Ok(Fate::GoesOn) };
        if !self.is_readable_in(open, target.id) {
            return Ok(Fate::GoesOn);
        }
        let key = target.existing_key(&sight, key);
        match engine.get(View::Txn(&open.engine), target.id, &cells_of(&key)) {
            Ok(found) => same_row("a transaction's row", &key, found.as_ref(), sight.row(target.id, &key))?,
            Err(failure) => return self.read_failed("get", &failure),
        }
        self.stats.count("rows compared");
        Ok(Fate::GoesOn)
    }

    pub(super) fn scan_in(
        &mut self,
        engine: &Rc<E>,
        open: &mut Open<E>,
        table: u8,
        bounds: u32,
    ) -> Result<Fate, Finding> {
        let sight = self.model.of(&open.model);
        let Some(target) = Target::find(&sight, table) else { return Ok(Fate::GoesOn) };
        if !self.is_readable_in(open, target.id) {
            return Ok(Fate::GoesOn);
        }
        let rows = sight.rows(target.id);
        let keys: Vec<Vec<Cell>> = rows.iter().map(|(key, _)| cells_of(key)).collect();
        let range = draw_range(&mut Rng::new(bounds.into()), &keys);
        let wanted = range.of_keys(&target.key_parts());
        let expected: Vec<&Row> =
            rows.iter().filter(|(key, _)| wanted.has(key)).map(|(_, row)| *row).collect();
        let mut found: Vec<Row> = Vec::new();
        let outcome = engine.scan(View::Txn(&open.engine), target.id, &range, &mut |batch| {
            found.extend_from_slice(batch);
            true
        });
        if let Err(failure) = outcome {
            return self.read_failed("scan", &failure);
        }
        match rows_difference(&format!("t{table} {range}"), found.iter(), expected.into_iter()) {
            Some(what) => Err(Finding::new("a transaction's scan", what)),
            None => Ok(Fate::GoesOn),
        }
    }

    // Snapshots.

    fn look(&mut self, slot: u8, table: u8, key: u32) -> Done {
        let (Some(engine), Some((snap, at))) = (self.engine.clone(), &self.snaps[usize::from(slot)]) else {
            return Ok(());
        };
        let sight = self.model.at(*at);
        let Some(target) = Target::find(&sight, table) else { return Ok(()) };
        if !self.is_readable(target.id) {
            return Ok(());
        }
        let key = target.existing_key(&sight, key);
        match engine.get(View::Snap(snap), target.id, &cells_of(&key)) {
            Ok(found) => same_row("a snapshot's row", &key, found.as_ref(), sight.row(target.id, &key))?,
            Err(failure) => return self.excuse("get", &failure),
        }
        self.stats.count("rows compared");
        let age = self.model.head - *at;
        self.stats.add("rows compared of the past", u64::from(age > 0));
        Ok(())
    }

    /// As [`Sim::is_readable`], in a transaction, which may have made the table itself.
    fn is_readable_in(&self, open: &Open<E>, id: u32) -> bool {
        let is_new = self.model.at(open.model.at).table(id).is_none();
        is_new || self.is_readable(id)
    }

    /// False for tables that were dropped, where the engine does not promise them to older snapshots.
    fn is_readable(&self, id: u32) -> bool {
        E::PROMISES.snapshots_keep_dropped_tables || {
            let now = self.model.at(self.model.head);
            now.table(id).is_some() || now.tables().iter().any(|(table, _)| is_index_of(&now, *table, id))
        }
    }

    /// Scans a table or an index in a snapshot, and does other steps between its batches.
    pub(super) fn walk(
        &mut self,
        slot: u8,
        table: u8,
        index: Option<u8>,
        bounds: u32,
        meanwhile: &[Step],
    ) -> Result<usize, Finding> {
        self.watch.enter(Context::Read);
        let Some(engine) = self.engine.clone() else { return Ok(0) };
        if self.snaps[usize::from(slot)].is_none() {
            self.take_snapshot(slot)?;
        }
        let Some((snap, at)) = self.snaps[usize::from(slot)].take() else { return Ok(0) };
        let mut steps = Meanwhile { steps: meanwhile, done: 0, is_cut: false, finding: None };
        let outcome = match self.plan_walk(at, table, index, bounds) {
            Some(plan) => self.walk_plan(&engine, &snap, &plan, &mut steps),
            None => Ok(()),
        };
        if !self.disk.is_gone() {
            self.snaps[usize::from(slot)] = Some((snap, at));
        }
        outcome?;
        Ok(steps.done)
    }

    fn plan_walk(&self, at: u64, table: u8, index: Option<u8>, bounds: u32) -> Option<Plan> {
        let sight = self.model.at(at);
        let target = Target::find(&sight, table)?;
        let (id, parts, rows): (u32, Vec<_>, Vec<(Key, Row)>) = match index {
            None => {
                let rows = sight.rows(target.id).into_iter();
                (
                    target.id,
                    target.key_parts(),
                    rows.map(|(key, row)| (Key::clone(key), Row::clone(row))).collect(),
                )
            }
            Some(index) => {
                let (of, id) = sight.index_named(&format!("i{index}"))?;
                let info = self.infos.iter().find(|info| info.id == id)?;
                let entries = sight.entries(of, info).into_iter();
                (id, info.key.clone(), entries.map(|entry| (entry_key(info, &entry), entry)).collect())
            }
        };
        if !self.is_readable(id) {
            return None;
        }
        let keys: Vec<Vec<Cell>> = rows.iter().map(|(key, _)| cells_of(key)).collect();
        let range = draw_range(&mut Rng::new(bounds.into()), &keys);
        let wanted = range.of_keys(&parts);
        let expected = rows.into_iter().filter(|(key, _)| wanted.has(key)).map(|(_, row)| row).collect();
        Some(Plan {
            id,
            name: format!("t{table} {index:?} {range}"),
            range,
            expected,
            is_past: at < self.model.head,
        })
    }

    fn walk_plan(&mut self, engine: &Rc<E>, snap: &E::Snap, plan: &Plan, steps: &mut Meanwhile<'_>) -> Done {
        let mut found: Vec<Row> = Vec::new();
        let outcome = engine.scan(View::Snap(snap), plan.id, &plan.range, &mut |batch| {
            found.extend_from_slice(batch);
            steps.go_on(self)
        });
        if let Some(finding) = steps.finding.take() {
            return Err(finding);
        }
        if let Err(failure) = outcome {
            let is_gone = failure.kind == FailureKind::NoSuchTable && !self.is_readable(plan.id);
            return if is_gone { Ok(()) } else { self.excuse("scan", &failure) };
        }
        let expected = plan.expected.iter().take(if steps.is_cut { found.len() } else { usize::MAX });
        self.stats.count("scans compared");
        self.stats.add("scans compared of the past", u64::from(plan.is_past));
        self.stats.add("steps done during scans", steps.done as u64);
        match rows_difference(&plan.name, found.iter(), expected) {
            Some(what) => Err(Finding::new("a snapshot's scan", what)),
            None => Ok(()),
        }
    }

    /// Asks the engine for its indexes again, after a commit has changed them.
    pub(super) fn learn_indexes(&mut self) -> Done {
        let Some(engine) = self.engine.clone() else { return Ok(()) };
        self.watch.enter(Context::Read);
        let known = engine.snapshot().and_then(|snap| engine.tables(&snap));
        match known {
            Ok(infos) => {
                for info in infos {
                    self.infos.retain(|known| known.id != info.id);
                    self.infos.push(info);
                }
                Ok(())
            }
            Err(failure) => self.excuse("tables", &failure),
        }
    }
}

/// A scan that is to be done.
struct Plan {
    id: u32,
    name: String,
    range: Range,
    expected: Vec<Row>,
    /// Something was committed since.
    is_past: bool,
}

/// Steps that are done between the batches of a scan.
struct Meanwhile<'s> {
    steps: &'s [Step],
    done: usize,
    is_cut: bool,
    finding: Option<Finding>,
}

impl Meanwhile<'_> {
    /// Does the next step; false if the scan cannot go on.
    fn go_on<E: Engine>(&mut self, sim: &mut Sim<E>) -> bool {
        if let Some(&step) = self.steps.get(self.done) {
            if Sim::<E>::is_ending(step) {
                self.is_cut = true;
                return false;
            }
            self.done += 1;
            self.finding = sim.step(step, &[]).err();
            sim.watch.enter(Context::Read);
        }
        self.is_cut = self.finding.is_some() || sim.disk.is_gone();
        !self.is_cut
    }
}

fn is_index_of(sight: &super::model::Sight<'_>, table: u32, id: u32) -> bool {
    sight.indexes(table).iter().any(|(index, _)| *index == id)
}

fn entry_key(info: &TableInfo, entry: &Row) -> Key {
    key_of(info.key.iter().map(|&(column, _)| entry[usize::from(column)].clone()), &info.key)
}

fn same_row(kind: &'static str, key: &Key, found: Option<&Row>, expected: Option<&Row>) -> Done {
    match found == expected {
        true => Ok(()),
        false => Err(Finding::new(kind, format!("{key:?}: found {found:?}, expected {expected:?}"))),
    }
}

/// Everything, or from one key to another: whole keys or their beginnings, with and without the ends.
fn draw_range(rng: &mut Rng, keys: &[Vec<Cell>]) -> Range {
    if keys.is_empty() || rng.percent(30) {
        return Range::ALL;
    }
    let mut places = [0, 1].map(|_| rng.below(keys.len() as u64) as usize);
    places.sort_unstable();
    let [from, to] = places.map(|place| {
        let key = &keys[place];
        let values = key[..rng.between(1, key.len() as u64) as usize].to_vec();
        match rng.below(5) {
            0 => Bound::Unbounded,
            1 | 2 => Bound::Included(values),
            _ => Bound::Excluded(values),
        }
    });
    match rng.below(8) {
        // All that begin with the same values.
        0 => {
            let key = rng.pick(keys);
            let values = key[..rng.between(1, key.len() as u64) as usize].to_vec();
            Range { from: Bound::Included(values.clone()), to: Bound::Included(values) }
        }
        // Nothing, mostly.
        1 => Range { from: to, to: from },
        _ => Range { from, to },
    }
}

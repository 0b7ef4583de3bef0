//! What a transaction has changed, and whether it may commit.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::cell::{Cell, IndexSpec, Key, Row, TableSpec};
use super::model::{Model, Sight, is_live, show_key};

/// An open transaction.
#[derive(Clone, Debug)]
pub(crate) struct Txn {
    /// The commits that it sees.
    pub(crate) at: u64,
    log: Vec<Change>,
    pub(super) own: Overlay,
    /// The tables that it ever tried to write to, also where that was refused or rolled back.
    pub(super) touched: BTreeSet<u32>,
}

/// The changes of a transaction, the last one for each row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay {
    pub(super) rows: BTreeMap<u32, BTreeMap<Key, Option<Row>>>,
    pub(super) created: BTreeMap<u32, TableSpec>,
    pub(super) dropped: BTreeSet<u32>,
    /// New indexes and their tables.
    pub(super) indexes: BTreeMap<u32, (u32, IndexSpec)>,
    /// For the unique indexes that were asked about: whose the values are.
    unique: RefCell<BTreeMap<u32, BTreeMap<Vec<Cell>, Key>>>,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { table: u32, key: Key, row: Option<Row> },
    CreateTable { id: u32, spec: TableSpec },
    CreateIndex { id: u32, table: u32, spec: IndexSpec },
    Drop { id: u32 },
}

/// Whether a row is the second with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Duplicate {
    No,
    /// Of an index that the transaction sees and somebody else has dropped since: it may be refused, and need not be.
    OfDropped,
    Yes,
}

/// Whether a transaction may commit now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It must not: why.
    Must(String),
    /// A conflict is more than first-committer-wins asks for, but somebody did change a table of this transaction.
    May,
    /// Nobody has changed anything that this transaction touched.
    Never,
}

impl Txn {
    pub(crate) fn new(at: u64) -> Txn {
        Txn { at, log: Vec::new(), own: Overlay::default(), touched: BTreeSet::new() }
    }

    /// The rows that it has written, by table and key.
    pub(crate) fn written(&self) -> Vec<(u32, Key)> {
        let rows = self.own.rows.iter();
        rows.flat_map(|(table, rows)| rows.keys().map(|key| (*table, Key::clone(key)))).collect()
    }

    pub(crate) fn has_rows(&self) -> bool {
        self.own.rows.values().any(|rows| rows.values().any(Option::is_some))
    }

    /// A place to roll back to.
    pub(crate) fn savepoint(&self) -> usize {
        self.log.len()
    }

    /// Forgets all changes after a savepoint.
    pub(crate) fn rollback_to(&mut self, savepoint: usize) {
        self.log.truncate(savepoint);
        self.own = Overlay::default();
        for change in std::mem::take(&mut self.log) {
            self.apply(change);
        }
    }

    /// True where something that can be rolled back is a definition.
    pub(crate) fn has_definitions_after(&self, savepoint: usize) -> bool {
        self.log[savepoint..].iter().any(|change| !matches!(change, Change::Write { .. }))
    }

    /// Notes a change.
    pub(crate) fn apply(&mut self, change: Change) {
        match &change {
            Change::Write { table, key, row } => {
                self.touched.insert(*table);
                self.own.rows.entry(*table).or_default().insert(Key::clone(key), row.clone());
            }
            Change::CreateTable { id, spec } => {
                self.own.created.insert(*id, spec.clone());
            }
            Change::CreateIndex { id, table, spec } => {
                self.touched.insert(*table);
                self.own.indexes.insert(*id, (*table, spec.clone()));
            }
            Change::Drop { id } => self.own.drop_object(*id),
        }
        self.log.push(change);
    }

    /// Notes a write, and who has which unique values now.
    pub(crate) fn write(&mut self, model: &Model, table: u32, key: Key, row: Option<Row>) {
        let sight = model.of(self);
        let before = sight.row(table, &key);
        for (index, spec) in sight.indexes(table) {
            let mut unique = self.own.unique.borrow_mut();
            let Some(owners) = unique.get_mut(&index) else { continue };
            if let Some(values) = before.and_then(|row| spec.unique_values(row)) {
                owners.remove(&values);
            }
            if let Some(values) = row.as_ref().and_then(|row| spec.unique_values(row)) {
                owners.insert(values, Key::clone(&key));
            }
        }
        self.apply(Change::Write { table, key, row });
    }

    /// Notes that a table was dropped.
    pub(crate) fn drop_table(&mut self, model: &Model, id: u32) {
        let sight = model.of(self);
        let indexes: Vec<u32> = sight.indexes(id).into_iter().map(|(index, _)| index).collect();
        self.touched.insert(id);
        for id in indexes.into_iter().chain([id]) {
            self.apply(Change::Drop { id });
        }
    }

    /// Whether a row would stand in a unique index twice.
    pub(crate) fn duplicate(&self, model: &Model, table: u32, key: &Key, row: &[Cell]) -> Duplicate {
        let sight = model.of(self);
        let verdicts = sight.indexes(table).into_iter().filter_map(|(index, spec)| {
            let values = spec.unique_values(row)?;
            let mut unique = self.own.unique.borrow_mut();
            let owners = unique.entry(index).or_insert_with(|| owners(&sight, table, spec));
            let is_dropped = model.is_dropped_index(table, index);
            let verdict = if is_dropped { Duplicate::OfDropped } else { Duplicate::Yes };
            owners.get(&values).filter(|owner| *owner != key).map(|_| verdict)
        });
        verdicts.max().unwrap_or(Duplicate::No)
    }

    /// The values that two rows of a table share, which a unique index over it would not allow.
    pub(crate) fn repeated(&self, model: &Model, table: u32, spec: &IndexSpec) -> Option<Vec<Cell>> {
        let mut seen = BTreeSet::new();
        let rows = model.of(self).rows(table).into_iter();
        let mut values = rows.filter_map(|(_, row)| spec.unique_values(row));
        values.find(|values| !seen.insert(values.clone()))
    }
}

fn owners(sight: &Sight<'_>, table: u32, spec: &IndexSpec) -> BTreeMap<Vec<Cell>, Key> {
    let rows = sight.rows(table).into_iter();
    rows.filter_map(|(key, row)| Some((spec.unique_values(row)?, Key::clone(key)))).collect()
}

impl Overlay {
    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.created.is_empty() && self.dropped.is_empty() && self.indexes.is_empty()
    }

    fn drop_object(&mut self, id: u32) {
        let was_new = self.created.remove(&id).is_some() | self.indexes.remove(&id).is_some();
        self.rows.remove(&id);
        self.indexes.retain(|_, (table, _)| *table != id);
        if !was_new {
            self.dropped.insert(id);
        }
    }
}

impl Model {
    /// Whether the transaction may commit now.
    pub(crate) fn verdict(&self, txn: &Txn) -> Verdict {
        if txn.own.is_empty() && txn.touched.is_empty() {
            return Verdict::Never;
        }
        let reasons =
            [self.lost_update(txn), self.lost_table(txn), self.taken_name(txn), self.taken_values(txn)];
        if let Some(reason) = reasons.into_iter().flatten().next() {
            return Verdict::Must(reason);
        }
        let own = &txn.own;
        let is_touched = |id: &u32, table: &super::model::Table| {
            txn.touched.contains(id)
                || own.dropped.contains(id)
                || own.indexes.values().any(|(of, _)| of == id)
                || table.indexes.keys().any(|index| own.dropped.contains(index))
        };
        let mut tables = self.tables.iter().filter(|(id, table)| is_touched(id, table));
        let is_newer = |table: &super::model::Table| {
            table.changed > txn.at || table.stirred.is_some_and(|stirred| stirred >= txn.at)
        };
        match tables.any(|(_, table)| is_newer(table)) {
            true => Verdict::May,
            false => Verdict::Never,
        }
    }

    /// A row that the transaction writes and somebody else has written since it began.
    fn lost_update(&self, txn: &Txn) -> Option<String> {
        txn.own.rows.iter().find_map(|(id, rows)| {
            let table = self.tables.get(id)?;
            if table.changed <= txn.at {
                return None;
            }
            let is_change = |key: &Key, row: &Option<Row>| row.is_some() || table.at(key, txn.at).is_some();
            let key = rows.iter().find(|(key, row)| table.newest_change(key) > txn.at && is_change(key, row));
            key.map(|(key, _)| format!("row {} of {} has changed", show_key(key), table.spec.name))
        })
    }

    /// A table that the transaction writes to and that was dropped since it began.
    fn lost_table(&self, txn: &Txn) -> Option<String> {
        let has_effect = |id: u32, rows: &BTreeMap<Key, Option<Row>>| {
            let was_there = |key| self.at(txn.at).row(id, key).is_some();
            rows.iter().any(|(key, row)| row.is_some() || was_there(key))
        };
        let written = txn.own.rows.iter().filter(|(id, rows)| has_effect(**id, rows)).map(|(id, _)| id);
        let mut written = written.chain(txn.own.indexes.values().map(|(table, _)| table));
        let id = written.find(|id| self.tables.get(id).is_some_and(|table| table.dropped.is_some()))?;
        Some(format!("table {} was dropped", self.tables[id].spec.name))
    }

    /// A name that the transaction gives and somebody else has given since it began.
    fn taken_name(&self, txn: &Txn) -> Option<String> {
        let now = self.at(self.head);
        let own = &txn.own;
        let mut tables = own.created.values();
        if let Some(spec) =
            tables.find(|spec| now.table_named(&spec.name).is_some_and(|(id, _)| !own.dropped.contains(&id)))
        {
            return Some(format!("another table {} was created", spec.name));
        }
        if !self.index_names_differ {
            return None;
        }
        let mut indexes = own.indexes.values();
        let taken = indexes
            .find(|(_, spec)| now.index_named(&spec.name).is_some_and(|(_, id)| !own.dropped.contains(&id)));
        taken.map(|(_, spec)| format!("another index {} was created", spec.name))
    }

    /// Unique values that the transaction writes and somebody else has written since it began.
    fn taken_values(&self, txn: &Txn) -> Option<String> {
        for (id, written) in &txn.own.rows {
            let Some(table) = self.tables.get(id).filter(|table| table.changed > txn.at) else { continue };
            let old =
                table.indexes.iter().filter(|(_, index)| is_live(index.created, index.dropped, self.head));
            let new = txn.own.indexes.iter().filter(|(_, (of, _))| of == id);
            let old = old.map(|(index, found)| (*index, &found.spec));
            let all = old.chain(new.map(|(index, (_, spec))| (*index, spec)));
            for (_, spec) in all.filter(|(index, spec)| spec.is_unique && !txn.own.dropped.contains(index)) {
                let mut taken = owners(&self.at(self.head), *id, spec);
                taken.retain(|_, owner| !written.contains_key(owner));
                let mut values = written.values().flatten().filter_map(|row| spec.unique_values(row));
                if let Some(values) = values.find(|values| taken.contains_key(values)) {
                    return Some(format!("{values:?} is in {} already", spec.name));
                }
            }
        }
        self.repeated_by_others(txn)
    }

    /// Values that others have written twice into a table over which the transaction builds a unique index.
    fn repeated_by_others(&self, txn: &Txn) -> Option<String> {
        let mut built = txn.own.indexes.values().filter(|(_, spec)| spec.is_unique);
        built.find_map(|(id, spec)| {
            self.tables.get(id).filter(|table| table.changed > txn.at)?;
            let now = Sight { model: self, at: self.head, own: Some(&txn.own) };
            let mut seen = BTreeSet::new();
            let rows = now.rows(*id).into_iter();
            let mut values = rows.filter_map(|(_, row)| spec.unique_values(row));
            let values = values.find(|values| !seen.insert(values.clone()))?;
            Some(format!("{values:?} is twice in what {} is built over", spec.name))
        })
    }
}

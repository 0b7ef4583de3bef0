//! What the database must hold: every version of every row in memory, by the number of the commit that made it.
//!
//! Time is the number of commits so far. A [`Sight`] is the database at a time, with the changes of one transaction on
//! top of it. Indexes are not kept but derived from the rows, so that they cannot be wrong in the same way.

use std::collections::{BTreeMap, BTreeSet};

use super::cell::{IndexSpec, Key, Row, TableInfo, TableSpec, cells_of, key_of, show};
use super::overlay::{Overlay, Txn};

/// Every state that the database has had, and may have after a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(super) tables: BTreeMap<u32, Table>,
    /// How many commits there were.
    pub(crate) head: u64,
    /// So many of them a crash cannot undo.
    pub(crate) durable: u64,
    /// The sequence that the engine gave to each commit.
    pub(crate) sequences: Vec<u64>,
    /// No two indexes have one name.
    pub(crate) index_names_differ: bool,
    /// The greatest one that the engine has given since it was opened, or had then.
    pub(crate) newest_sequence: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) spec: TableSpec,
    pub(super) created: u64,
    pub(super) dropped: Option<u64>,
    /// The versions of each row, oldest first; `None` where it is deleted.
    pub(super) rows: BTreeMap<Key, Vec<(u64, Option<Row>)>>,
    pub(super) indexes: BTreeMap<u32, Index>,
    /// The last commit that changed the table or its indexes.
    pub(super) changed: u64,
    /// The number of commits when somebody last committed something for it, of which nothing need be left.
    pub(super) stirred: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) spec: IndexSpec,
    pub(super) created: u64,
    pub(super) dropped: Option<u64>,
}

/// All that can be read from a database at once: the tables and indexes, and their rows in order.
pub(crate) type Observed = Vec<(TableInfo, Vec<Row>)>;

pub(super) fn is_live(created: u64, dropped: Option<u64>, at: u64) -> bool {
    created <= at && dropped.is_none_or(|dropped| dropped > at)
}

impl Table {
    /// The version of a row at a time.
    pub(super) fn at(&self, key: &Key, at: u64) -> Option<&Row> {
        newest(self.rows.get(key)?, at)
    }

    pub(super) fn newest_change(&self, key: &Key) -> u64 {
        self.rows.get(key).and_then(|versions| versions.last()).map_or(0, |(at, _)| *at)
    }
}

fn newest(versions: &[(u64, Option<Row>)], at: u64) -> Option<&Row> {
    versions.iter().rev().find(|(made, _)| *made <= at)?.1.as_ref()
}

impl Model {
    /// The database as of a commit.
    pub(crate) fn at(&self, at: u64) -> Sight<'_> {
        Sight { model: self, at, own: None }
    }

    /// The database as a transaction sees it.
    pub(crate) fn of<'m>(&'m self, txn: &'m Txn) -> Sight<'m> {
        Sight { model: self, at: txn.at, own: Some(&txn.own) }
    }

    /// Adds a transaction's changes as the next commit; false if there are none, and no commit then.
    pub(crate) fn commit(&mut self, txn: &Txn, sequence: u64) -> bool {
        let has_effect = self.has_effect(txn);
        self.head += u64::from(has_effect);
        for id in &txn.touched {
            if let Some(table) = self.tables.get_mut(id) {
                table.stirred = Some(self.head);
            }
        }
        if !has_effect {
            return false;
        }
        self.sequences.push(sequence);
        self.newest_sequence = sequence;
        let at = self.head;
        for (id, spec) in &txn.own.created {
            let (spec, rows, indexes) = (spec.clone(), BTreeMap::new(), BTreeMap::new());
            let (created, changed, stirred) = (at, at, None);
            self.tables.insert(*id, Table { spec, created, dropped: None, rows, indexes, changed, stirred });
        }
        for (id, (table, spec)) in &txn.own.indexes {
            if let Some(table) = self.tables.get_mut(table) {
                table.indexes.insert(*id, Index { spec: spec.clone(), created: at, dropped: None });
                table.changed = at;
            }
        }
        for (table, rows) in &txn.own.rows {
            let Some(table) = self.tables.get_mut(table) else { continue };
            table.changed = at;
            for (key, row) in rows {
                if row.is_some() || table.at(key, at).is_some() {
                    table.rows.entry(Key::clone(key)).or_default().push((at, row.clone()));
                }
            }
        }
        for id in &txn.own.dropped {
            self.drop_at(*id, at);
        }
        true
    }

    fn drop_at(&mut self, id: u32, at: u64) {
        if let Some(table) = self.tables.get_mut(&id) {
            table.dropped.get_or_insert(at);
            table.changed = at;
        }
        for table in self.tables.values_mut() {
            if let Some(index) = table.indexes.get_mut(&id) {
                index.dropped.get_or_insert(at);
                table.changed = at;
            }
        }
    }

    /// Whether a commit of the transaction changes anything.
    pub(crate) fn has_effect(&self, txn: &Txn) -> bool {
        let own = &txn.own;
        let changes_row = |table: &u32, key: &Key, row: &Option<Row>| {
            row.is_some() || self.tables.get(table).is_some_and(|table| table.at(key, self.head).is_some())
        };
        !own.created.is_empty()
            || !own.dropped.is_empty()
            || !own.indexes.is_empty()
            || own.rows.iter().any(|(table, rows)| rows.iter().any(|(key, row)| changes_row(table, key, row)))
    }

    /// Forgets all commits behind one: they are lost.
    pub(crate) fn truncate(&mut self, at: u64) {
        self.head = at;
        self.durable = self.durable.min(at);
        self.sequences.truncate(at as usize);
        self.tables.retain(|_, table| table.created <= at);
        for table in self.tables.values_mut() {
            table.changed = table.changed.min(at);
            table.stirred = None;
            table.dropped = table.dropped.filter(|dropped| *dropped <= at);
            table.indexes.retain(|_, index| index.created <= at);
            for index in table.indexes.values_mut() {
                index.dropped = index.dropped.filter(|dropped| *dropped <= at);
            }
            table.rows.retain(|_, versions| {
                versions.retain(|(made, _)| *made <= at);
                !versions.is_empty()
            });
        }
    }

    /// Forgets versions that only readers of the past would need.
    pub(crate) fn forget_past(&mut self) {
        let head = self.head;
        self.tables.retain(|_, table| table.dropped.is_none());
        for table in self.tables.values_mut() {
            table.indexes.retain(|_, index| index.dropped.is_none());
            table.rows.retain(|_, versions| {
                let last = versions.pop().filter(|(_, row)| row.is_some());
                versions.clear();
                versions.extend(last);
                !versions.is_empty()
            });
        }
        debug_assert!(self.tables.values().all(|table| table.created <= head));
    }

    /// Whether somebody has dropped something since a commit.
    pub(crate) fn has_dropped_since(&self, at: u64) -> bool {
        let is_late = |dropped: Option<u64>| dropped.is_some_and(|dropped| dropped > at);
        let mut tables = self.tables.values();
        tables
            .any(|table| is_late(table.dropped) || table.indexes.values().any(|index| is_late(index.dropped)))
    }

    /// Whether an index of a table is dropped by now.
    pub(crate) fn is_dropped_index(&self, table: u32, index: u32) -> bool {
        let index = self.tables.get(&table).and_then(|table| table.indexes.get(&index));
        index.is_some_and(|index| index.dropped.is_some())
    }

    /// Whether a table or an index of this number was ever committed.
    pub(crate) fn has_known(&self, id: u32) -> bool {
        self.tables.iter().any(|(table, known)| *table == id || known.indexes.contains_key(&id))
    }

    /// How many versions are kept.
    pub(crate) fn versions_count(&self) -> usize {
        self.tables.values().flat_map(|table| table.rows.values()).map(Vec::len).sum()
    }

    /// In what a database is not what it was at a time; `None` if in nothing.
    pub(crate) fn difference(&self, at: u64, observed: &Observed) -> Option<String> {
        self.difference_but(at, observed, &BTreeSet::new())
    }

    /// As [`Model::difference`], but for tables and indexes that could not be read.
    pub(crate) fn difference_but(
        &self,
        at: u64,
        observed: &Observed,
        unreadable: &BTreeSet<u32>,
    ) -> Option<String> {
        let sight = self.at(at);
        let mut left: BTreeMap<u32, &(TableInfo, Vec<Row>)> =
            observed.iter().map(|table| (table.0.id, table)).collect();
        for (id, spec) in sight.tables() {
            let found = match left.remove(&id) {
                Some((info, rows)) => table_difference(spec, info).or_else(|| {
                    let expected = sight.rows(id).into_iter().map(|(_, row)| row);
                    rows_difference(&spec.name, rows.iter(), expected)
                }),
                None if unreadable.contains(&id) => None,
                None => Some(format!("table {} ({id}) is missing", spec.name)),
            };
            if found.is_some() {
                return found;
            }
            for (index_id, index) in sight.indexes(id) {
                let found = match left.remove(&index_id) {
                    Some((info, entries)) => index_difference(id, spec, index, info).or_else(|| {
                        rows_difference(&index.name, entries.iter(), sight.entries(id, info).iter())
                    }),
                    None if unreadable.contains(&index_id) => None,
                    None => Some(format!("index {} ({index_id}) of {} is missing", index.name, spec.name)),
                };
                if found.is_some() {
                    return found;
                }
            }
        }
        let (info, rows) = left.into_values().next()?;
        Some(format!("{} ({}, {} rows) should not be there", info.name, info.id, rows.len()))
    }
}

/// The database at a time, with a transaction's changes.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'m> {
    pub(super) model: &'m Model,
    pub(crate) at: u64,
    pub(super) own: Option<&'m Overlay>,
}

impl<'m> Sight<'m> {
    fn is_dropped(&self, id: u32) -> bool {
        self.own.is_some_and(|own| own.dropped.contains(&id))
    }

    /// The tables and their numbers.
    pub(crate) fn tables(&self) -> Vec<(u32, &'m TableSpec)> {
        let (at, model) = (self.at, self.model);
        let old = model.tables.iter().filter(|(_, table)| is_live(table.created, table.dropped, at));
        let new = self.own.into_iter().flat_map(|own| own.created.iter());
        let all = old.map(|(id, table)| (*id, &table.spec)).chain(new.map(|(id, spec)| (*id, spec)));
        all.filter(|(id, _)| !self.is_dropped(*id)).collect()
    }

    pub(crate) fn table(&self, id: u32) -> Option<&'m TableSpec> {
        self.tables().into_iter().find(|(known, _)| *known == id).map(|(_, spec)| spec)
    }

    pub(crate) fn table_named(&self, name: &str) -> Option<(u32, &'m TableSpec)> {
        self.tables().into_iter().find(|(_, spec)| spec.name == name)
    }

    /// The indexes of a table and their numbers.
    pub(crate) fn indexes(&self, table: u32) -> Vec<(u32, &'m IndexSpec)> {
        let at = self.at;
        let known = self.model.tables.get(&table).into_iter().flat_map(|table| table.indexes.iter());
        let old = known.filter(|(_, index)| is_live(index.created, index.dropped, at));
        let own = self.own.into_iter().flat_map(|own| own.indexes.iter());
        let new = own.filter(|(_, (of, _))| *of == table).map(|(id, (_, spec))| (*id, spec));
        let all = old.map(|(id, index)| (*id, &index.spec)).chain(new);
        all.filter(|(id, _)| !self.is_dropped(*id)).collect()
    }

    /// The index of a name, with its table.
    pub(crate) fn index_named(&self, name: &str) -> Option<(u32, u32)> {
        self.tables().into_iter().find_map(|(table, _)| {
            let found = self.indexes(table).into_iter().find(|(_, spec)| spec.name == name);
            found.map(|(id, _)| (table, id))
        })
    }

    /// The row of a key.
    pub(crate) fn row(&self, table: u32, key: &Key) -> Option<&'m Row> {
        if let Some(row) = self.own.and_then(|own| own.rows.get(&table)?.get(key)) {
            return row.as_ref();
        }
        self.model.tables.get(&table)?.at(key, self.at)
    }

    /// All rows of a table by their keys.
    pub(crate) fn rows(&self, table: u32) -> Vec<(&'m Key, &'m Row)> {
        let at = self.at;
        let known = self.model.tables.get(&table).into_iter().flat_map(|table| table.rows.iter());
        let old = known.filter_map(|(key, versions)| Some((key, newest(versions, at)?)));
        let Some(own) = self.own.and_then(|own| own.rows.get(&table)).filter(|own| !own.is_empty()) else {
            return old.collect();
        };
        let kept = old.filter(|(key, _)| !own.contains_key(*key));
        let mut all: Vec<_> =
            kept.chain(own.iter().filter_map(|(key, row)| Some((key, row.as_ref()?)))).collect();
        all.sort_by(|a, b| a.0.cmp(b.0));
        all
    }

    /// The entries that an index must have, in its order.
    pub(crate) fn entries(&self, table: u32, index: &TableInfo) -> Vec<Row> {
        let rows = self.rows(table).into_iter().map(|(_, row)| row);
        let mut entries: Vec<(Key, Row)> = rows
            .map(|row| {
                let entry: Row =
                    index.sources.iter().map(|&source| row[usize::from(source)].clone()).collect();
                let parts = index.key.iter().map(|&(column, _)| entry[usize::from(column)].clone());
                (key_of(parts, &index.key), entry)
            })
            .collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

fn table_difference(spec: &TableSpec, info: &TableInfo) -> Option<String> {
    let mut columns: Vec<_> =
        spec.columns.iter().map(|column| (column.name.to_owned(), column.ty, column.is_nullable)).collect();
    if spec.has_row_id() {
        columns.push((String::new(), cofferdam_types::Type::BigInt, false));
    }
    let is_same = info.name == spec.name
        && info.columns == columns
        && info.key == spec.key_parts()
        && info.parent.is_none();
    (!is_same).then(|| format!("table {} is described as {info:?}", spec.name))
}

fn index_difference(table: u32, of: &TableSpec, spec: &IndexSpec, info: &TableInfo) -> Option<String> {
    let sources: BTreeSet<u16> = info.sources.iter().copied().collect();
    let key: BTreeSet<u16> = info.key.iter().map(|(column, _)| *column).collect();
    let is_same = info.name == spec.name
        && info.parent == Some(table)
        && info.sources.starts_with(spec.columns)
        && info.key.iter().zip(spec.parts()).all(|(part, (_, order))| part.1 == order)
        && info.unique_columns == if spec.is_unique { spec.columns.len() } else { 0 }
        && of.key_parts().iter().all(|(column, _)| sources.contains(column))
        && key.len() == info.columns.len();
    (!is_same).then(|| format!("index {} is described as {info:?}", spec.name))
}

/// Where rows are not the expected ones.
pub(crate) fn rows_difference<'r>(
    name: &str,
    found: impl Iterator<Item = &'r Row>,
    expected: impl Iterator<Item = &'r Row>,
) -> Option<String> {
    let (mut found, mut expected) = (found, expected);
    for place in 0.. {
        match (found.next(), expected.next()) {
            (None, None) => return None,
            (found, expected) if found == expected => {}
            (found, expected) => {
                let [found, expected] =
                    [found, expected].map(|row| row.map_or("no row".to_owned(), |row| show(row)));
                return Some(format!("{name}, row {place}: found {found}, expected {expected}"));
            }
        }
    }
    None
}

/// A key for a report.
pub(crate) fn show_key(key: &Key) -> String {
    show(&cells_of(key))
}

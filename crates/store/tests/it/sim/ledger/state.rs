//! The database in memory: tables that are shared until they are written to, each with its indexes beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::flaw::Flaw;
use crate::sim::cell::{Cell, IndexSpec, Key, KeyPart, Range, Row, TableInfo, TableSpec, key_of};
use crate::sim::engine::{Failure, FailureKind};
use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

/// Every table.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(super) tables: BTreeMap<u32, Arc<Table>>,
    /// The greatest number that any table, index or row has ever had.
    pub(super) last_id: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) spec: TableSpec,
    pub(super) rows: BTreeMap<Key, Row>,
    pub(super) indexes: BTreeMap<u32, Index>,
}

#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) spec: IndexSpec,
    /// The indexed values, behind them the key of the row.
    entries: BTreeSet<Key>,
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Put { table: u32, key: Key, row: Row },
    Delete { table: u32, key: Key },
    CreateTable { id: u32, spec: TableSpec },
    CreateIndex { id: u32, table: u32, spec: IndexSpec },
    Drop { id: u32 },
}

impl Change {
    /// The number that the change gives to something.
    fn id(&self) -> u32 {
        match self {
            Change::CreateTable { id, .. } | Change::CreateIndex { id, .. } => *id,
            Change::Put { row, .. } => match row.last() {
                // No other table ends with a bigint.
                Some(Cell::Big(id)) => *id as u32,
                _ => 0,
            },
            _ => 0,
        }
    }
}

fn no_table() -> Failure {
    Failure::new(FailureKind::NoSuchTable, "no such table")
}

fn duplicate(what: &str) -> Failure {
    Failure::new(FailureKind::Unique, what)
}

impl Index {
    fn entry(&self, key: &Key, row: &Row) -> Key {
        let part = |(column, order)| KeyPart { cell: row[usize::from(column)].clone(), order };
        self.spec.parts().map(part).chain(key.iter().cloned()).collect()
    }

    fn has(&self, key: &Key, row: &Row, flaw: Flaw) -> bool {
        let entry = self.entry(key, row);
        let values = &entry[..self.spec.columns.len()];
        if !self.spec.is_unique
            || (flaw != Flaw::NullsAreEqual && values.iter().any(|part| part.cell.is_null()))
        {
            return false;
        }
        let same = self.entries.range(Key::from(values)..).take_while(|other| other.starts_with(values));
        { same }.any(|other| other[values.len()..] != key[..])
    }

    fn build(&mut self, rows: &BTreeMap<Key, Row>, flaw: Flaw) -> Result<(), Failure> {
        if flaw == Flaw::IndexesBuiltEmpty {
            return Ok(());
        }
        for (key, row) in rows {
            if flaw != Flaw::UniqueUncheckedWhenBuilt && self.has(key, row, flaw) {
                return Err(duplicate("index"));
            }
            self.entries.insert(self.entry(key, row));
        }
        Ok(())
    }
}

impl State {
    fn table(&self, id: u32) -> Result<&Table, Failure> {
        self.tables.get(&id).map(|table| &**table).ok_or_else(no_table)
    }

    fn table_mut(&mut self, id: u32) -> Result<&mut Table, Failure> {
        self.tables.get_mut(&id).map(Arc::make_mut).ok_or_else(no_table)
    }

    pub(super) fn spec(&self, id: u32) -> Result<&TableSpec, Failure> {
        Ok(&self.table(id)?.spec)
    }

    pub(super) fn has(&self, id: u32, key: &Key) -> bool {
        self.table(id).is_ok_and(|table| table.rows.contains_key(key))
    }

    /// Does a change, or nothing.
    pub(super) fn apply(&mut self, change: &Change, flaw: Flaw) -> Result<(), Failure> {
        self.last_id = self.last_id.max(change.id());
        match change {
            Change::Put { table, key, row } => self.table_mut(*table)?.put(key, row, flaw),
            Change::Delete { table, key } => self.table_mut(*table)?.delete(key, flaw),
            Change::CreateTable { id, spec } => {
                if self.tables.values().any(|table| table.spec.name == spec.name) {
                    return Err(duplicate("name"));
                }
                let (spec, rows, indexes) = (spec.clone(), BTreeMap::new(), BTreeMap::new());
                self.tables.insert(*id, Arc::new(Table { spec, rows, indexes }));
                Ok(())
            }
            Change::CreateIndex { id, table, spec } => {
                let mut indexes = self.tables.values().flat_map(|table| table.indexes.values());
                if indexes.any(|index| index.spec.name == spec.name) {
                    return Err(duplicate("name"));
                }
                let table = self.table_mut(*table)?;
                let mut index = Index { spec: spec.clone(), entries: BTreeSet::new() };
                index.build(&table.rows, flaw)?;
                table.indexes.insert(*id, index);
                Ok(())
            }
            Change::Drop { id } => self.drop_object(*id, flaw),
        }
    }

    fn drop_object(&mut self, id: u32, flaw: Flaw) -> Result<(), Failure> {
        if flaw == Flaw::DroppedTablesKept && self.tables.len() > 3 {
            return Ok(());
        }
        if self.tables.remove(&id).is_some() {
            return Ok(());
        }
        let owner = self.tables.values_mut().find(|table| table.indexes.contains_key(&id));
        Arc::make_mut(owner.ok_or_else(no_table)?).indexes.remove(&id);
        Ok(())
    }

    pub(super) fn get(&self, id: u32, key: &[Cell]) -> Result<Option<Row>, Failure> {
        let table = self.table(id)?;
        Ok(table.rows.get(&key_of(key.iter().cloned(), &table.spec.key_parts())).cloned())
    }

    /// The rows of a range of a table or the entries of an index.
    pub(super) fn scan(&self, id: u32, range: &Range) -> Result<Vec<Row>, Failure> {
        if let Ok(table) = self.table(id) {
            let range = range.of_keys(&table.spec.key_parts());
            let rows = table.rows.iter().filter(|(key, _)| range.has(key));
            return Ok(rows.map(|(_, row)| Row::clone(row)).collect());
        }
        let indexes = self.tables.values().find_map(|table| Some((table, table.indexes.get(&id)?)));
        let (table, index) = indexes.ok_or_else(no_table)?;
        let range = range.of_keys(&index_key(&table.spec, &index.spec));
        let entries = index.entries.iter().filter(|entry| range.has(entry));
        Ok(entries.map(|entry| entry.iter().map(|part| part.cell.clone()).collect()).collect())
    }

    pub(super) fn infos(&self) -> Vec<TableInfo> {
        let mut infos = Vec::new();
        for (id, table) in &self.tables {
            let spec = &table.spec;
            infos.push(TableInfo {
                id: *id,
                name: spec.name.clone(),
                columns: columns(spec),
                key: spec.key_parts(),
                parent: None,
                sources: Vec::new(),
                unique_columns: 0,
            });
            infos.extend(table.indexes.iter().map(|(index_id, index)| {
                let key = spec.key_parts().into_iter().map(|(column, _)| column);
                let sources: Vec<u16> = index.spec.columns.iter().copied().chain(key).collect();
                let columns = columns(spec);
                TableInfo {
                    id: *index_id,
                    name: index.spec.name.clone(),
                    columns: sources.iter().map(|&source| columns[usize::from(source)].clone()).collect(),
                    key: index_key(spec, &index.spec),
                    parent: Some(*id),
                    unique_columns: if index.spec.is_unique { index.spec.columns.len() } else { 0 },
                    sources,
                }
            }));
        }
        infos
    }
}

fn columns(spec: &TableSpec) -> Vec<(String, Type, bool)> {
    let given = spec.columns.iter().map(|column| (column.name.to_owned(), column.ty, column.is_nullable));
    let row_id = spec.has_row_id().then(|| (String::new(), Type::BigInt, false));
    given.chain(row_id).collect()
}

/// The key of an index: all of its columns, the rows' own with their directions.
fn index_key(table: &TableSpec, index: &IndexSpec) -> Vec<(u16, KeyOrder)> {
    let orders = index.parts().map(|(_, order)| order);
    let orders = orders.chain(table.key_parts().into_iter().map(|(_, order)| order));
    orders.enumerate().map(|(place, order)| (place as u16, order)).collect()
}

impl Table {
    fn put(&mut self, key: &Key, row: &Row, flaw: Flaw) -> Result<(), Failure> {
        let is_checked = flaw != Flaw::UniqueUnchecked;
        if is_checked && self.indexes.values().any(|index| index.has(key, row, flaw)) {
            return Err(duplicate("index"));
        }
        let row = if flaw == Flaw::LongTextsCut { cut(row) } else { Row::clone(row) };
        let before = self.rows.insert(Key::clone(key), Row::clone(&row));
        for index in self.indexes.values_mut() {
            if let Some(before) = before.as_ref().filter(|_| flaw != Flaw::IndexesForgetUpdates) {
                index.entries.remove(&index.entry(key, before));
            }
            index.entries.insert(index.entry(key, &row));
        }
        Ok(())
    }

    fn delete(&mut self, key: &Key, flaw: Flaw) -> Result<(), Failure> {
        let Some(before) = self.rows.remove(key) else { return Ok(()) };
        for index in self.indexes.values_mut().filter(|_| flaw != Flaw::IndexesForgetDeletes) {
            index.entries.remove(&index.entry(key, &before));
        }
        Ok(())
    }
}

/// Without what is behind 8 KiB of a text.
fn cut(row: &Row) -> Row {
    let cut = |cell: &Cell| match cell {
        Cell::Text(text) if text.len() > 8 << 10 => {
            let end = (0..=8 << 10).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            Cell::text(&text[..end])
        }
        cell => cell.clone(),
    };
    row.iter().map(cut).collect()
}

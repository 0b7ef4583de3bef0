//! Changes and states as bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use cofferdam_types::key::KeyOrder;

use super::flaw::Flaw;
use super::state::{Change, State, Table};
use crate::sim::cell::{Cell, IndexSpec, Key, KeyPart, Row, TableSpec};
use crate::sim::shapes::Shape;

fn put_u32(bytes: &mut Vec<u8>, number: u32) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_u32(bytes, text.len() as u32);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_cell(bytes: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Null => bytes.push(0),
        Cell::Bool(value) => bytes.extend_from_slice(&[1, u8::from(*value)]),
        Cell::Int(value) => {
            bytes.push(2);
            put_u32(bytes, *value as u32);
        }
        Cell::Big(value) => {
            bytes.push(3);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        Cell::Decimal(unscaled, scale) => {
            bytes.push(4);
            bytes.extend_from_slice(&unscaled.to_le_bytes());
            bytes.push(*scale);
        }
        Cell::Double(bits) => {
            bytes.push(5);
            bytes.extend_from_slice(&bits.to_le_bytes());
        }
        Cell::Text(text) => {
            bytes.push(6);
            put_text(bytes, text);
        }
        Cell::Date(days) => {
            bytes.push(7);
            put_u32(bytes, *days as u32);
        }
    }
}

fn put_row(bytes: &mut Vec<u8>, row: &Row) {
    bytes.push(row.len() as u8);
    row.iter().for_each(|cell| put_cell(bytes, cell));
}

fn put_key(bytes: &mut Vec<u8>, key: &Key) {
    bytes.push(key.len() as u8);
    for part in key.iter() {
        bytes.extend_from_slice(&[u8::from(part.order.descending), u8::from(part.order.nulls_first)]);
        put_cell(bytes, &part.cell);
    }
}

fn put_spec(bytes: &mut Vec<u8>, spec: &TableSpec) {
    bytes.push(Shape::of(spec) as u8);
    put_text(bytes, &spec.name);
}

fn put_index(bytes: &mut Vec<u8>, spec: &IndexSpec) {
    let all = Shape::ALL.into_iter().flat_map(|shape| (0..8).map(move |kind| (shape, kind)));
    let is_spec = |&(shape, kind): &(Shape, u8)| shape.index(spec.name.clone(), kind) == *spec;
    let (shape, kind) = { all }.find(is_spec).expect("it was made from a shape");
    bytes.extend_from_slice(&[shape as u8, kind]);
    put_text(bytes, &spec.name);
}

pub(super) fn put_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Put { table, key, row } => {
            bytes.push(0);
            put_u32(bytes, *table);
            put_key(bytes, key);
            put_row(bytes, row);
        }
        Change::Delete { table, key } => {
            bytes.push(1);
            put_u32(bytes, *table);
            put_key(bytes, key);
        }
        Change::CreateTable { id, spec } => {
            bytes.push(2);
            put_u32(bytes, *id);
            put_spec(bytes, spec);
        }
        Change::CreateIndex { id, table, spec } => {
            bytes.push(3);
            put_u32(bytes, *id);
            put_u32(bytes, *table);
            put_index(bytes, spec);
        }
        Change::Drop { id } => {
            bytes.push(4);
            put_u32(bytes, *id);
        }
    }
}

pub(super) fn put_state(bytes: &mut Vec<u8>, state: &State) {
    put_u32(bytes, state.last_id);
    put_u32(bytes, state.tables.len() as u32);
    for (id, table) in &state.tables {
        put_u32(bytes, *id);
        put_spec(bytes, &table.spec);
        put_u32(bytes, table.rows.len() as u32);
        for (key, row) in &table.rows {
            put_key(bytes, key);
            put_row(bytes, row);
        }
        put_u32(bytes, table.indexes.len() as u32);
        for (id, index) in &table.indexes {
            put_u32(bytes, *id);
            put_index(bytes, &index.spec);
        }
    }
}

/// Takes bytes apart; `None` where they are not what was put.
pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Option<&'b str> {
        let len = self.u32()? as usize;
        str::from_utf8(self.take(len)?).ok()
    }

    fn cell(&mut self) -> Option<Cell> {
        Some(match self.u8()? {
            0 => Cell::Null,
            1 => Cell::Bool(self.u8()? == 1),
            2 => Cell::Int(self.u32()? as i32),
            3 => Cell::Big(self.u64()? as i64),
            4 => Cell::Decimal(i128::from_le_bytes(self.array()?), self.u8()?),
            5 => Cell::Double(self.u64()? as i64),
            6 => Cell::text(self.text()?),
            7 => Cell::Date(self.u32()? as i32),
            _ => return None,
        })
    }

    fn row(&mut self) -> Option<Row> {
        (0..self.u8()?).map(|_| self.cell()).collect()
    }

    fn key(&mut self) -> Option<Key> {
        let count = self.u8()?;
        let part = |_| {
            let order = KeyOrder { descending: self.u8()? == 1, nulls_first: self.u8()? == 1 };
            Some(KeyPart { cell: self.cell()?, order })
        };
        (0..count).map(part).collect()
    }

    fn shape(&mut self) -> Option<Shape> {
        Shape::ALL.get(usize::from(self.u8()?)).copied()
    }

    fn spec(&mut self) -> Option<TableSpec> {
        Some(self.shape()?.table(self.text()?.to_owned()))
    }

    fn index(&mut self) -> Option<IndexSpec> {
        let (shape, kind) = (self.shape()?, self.u8()?);
        Some(shape.index(self.text()?.to_owned(), kind))
    }

    pub(super) fn change(&mut self) -> Option<Change> {
        Some(match self.u8()? {
            0 => Change::Put { table: self.u32()?, key: self.key()?, row: self.row()? },
            1 => Change::Delete { table: self.u32()?, key: self.key()? },
            2 => Change::CreateTable { id: self.u32()?, spec: self.spec()? },
            3 => Change::CreateIndex { id: self.u32()?, table: self.u32()?, spec: self.index()? },
            4 => Change::Drop { id: self.u32()? },
            _ => return None,
        })
    }

    pub(super) fn state(&mut self) -> Option<State> {
        let mut state = State { last_id: self.u32()?, ..State::default() };
        for _ in 0..self.u32()? {
            let (id, spec) = (self.u32()?, self.spec()?);
            let mut rows = BTreeMap::new();
            for _ in 0..self.u32()? {
                rows.insert(self.key()?, self.row()?);
            }
            let table = Table { spec, rows, indexes: BTreeMap::new() };
            state.tables.insert(id, Arc::new(table));
            for _ in 0..self.u32()? {
                let (index, spec) = (self.u32()?, self.index()?);
                state.apply(&Change::CreateIndex { id: index, table: id, spec }, Flaw::None).ok()?;
            }
        }
        Some(state)
    }
}

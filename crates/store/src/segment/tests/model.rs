//! The model: a table as a vector of rows, a file as a vector of bytes, and the comparisons with a segment.

use std::boxed::Box;
use std::string::String;
use std::sync::{Arc, Mutex};
use std::vec::Vec;
use std::{io, vec};

pub(super) use crate::files::{FileId, FileKind};
pub(super) use crate::page::ColumnMut;
pub(super) use crate::schema::{ColumnType, KeyColumn, Schema};
use cofferdam_types::array::encode;
pub(super) use cofferdam_types::key::KeyOrder;
use cofferdam_types::row::decode_row;
use cofferdam_types::{ArrayRef, Time, Timestamp, Uuid};
pub(super) use cofferdam_types::{Date, Decimal, Interval, Type, Value};

use super::super::*;
use crate::cache::Cache;
use cofferdam_arena::{Arena, Budget};
use cofferdam_types::column::{Data, TextView, bytes_of};
use cofferdam_types::key::{decode_key, decoded_bytes_max, encode_key};
use cofferdam_types::row::encode_row;
use cofferdam_vfs::File;

// --------------------------------------------------------------------------------------------------------- files

/// A file in memory; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(in crate::segment) struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryFile {
    pub(in crate::segment) fn new() -> MemoryFile {
        MemoryFile::default()
    }

    pub(in crate::segment) fn of(bytes: &[u8]) -> MemoryFile {
        MemoryFile(Arc::new(Mutex::new(bytes.to_vec())))
    }

    pub(in crate::segment) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub(in crate::segment) fn flip(&self, at: usize, mask: u8) {
        self.0.lock().unwrap()[at] ^= mask;
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.0.lock().unwrap();
        let end = offset as usize + from.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(from);
        Ok(from.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(bytes as usize, 0);
        Ok(())
    }
}

// ------------------------------------------------------------------------------------------------------- values

/// A value that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::segment) enum Owned {
    Null,
    Boolean(bool),
    Integer(i32),
    BigInt(i64),
    Decimal(Decimal),
    Double(u64),
    Text(String),
    Date(Date),
    Interval(i32, i32, i64),
    /// Of one of the types that the others stand for, by its encoding.
    Encoded(Type, Vec<u8>),
}

impl Owned {
    pub(in crate::segment) fn of(value: Value<'_>) -> Owned {
        match value {
            Value::Null => Owned::Null,
            Value::Boolean(v) => Owned::Boolean(v),
            Value::Integer(v) => Owned::Integer(v),
            Value::BigInt(v) => Owned::BigInt(v),
            Value::Decimal(v) => Owned::Decimal(v),
            Value::Double(v) => Owned::Double(v.to_bits()),
            Value::Text(v) => Owned::Text(v.into()),
            Value::Date(v) => Owned::Date(v),
            Value::Interval(v) => Owned::Interval(v.months, v.days, v.micros),
            other => Owned::encoded(other, other.ty()),
        }
    }

    fn encoded(value: Value<'_>, ty: Type) -> Owned {
        let mut bytes = Vec::new();
        encode_row(value, &mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), core::convert::Infallible>(())
        })
        .unwrap();
        Owned::Encoded(ty, bytes)
    }

    pub(in crate::segment) fn value(&self) -> Value<'_> {
        match self {
            Owned::Null => Value::Null,
            Owned::Boolean(v) => Value::Boolean(*v),
            Owned::Integer(v) => Value::Integer(*v),
            Owned::BigInt(v) => Value::BigInt(*v),
            Owned::Decimal(v) => Value::Decimal(*v),
            Owned::Double(v) => Value::Double(f64::from_bits(*v)),
            Owned::Text(v) => Value::Text(v),
            Owned::Date(v) => Value::Date(*v),
            Owned::Interval(months, days, micros) => {
                Value::Interval(Interval { months: *months, days: *days, micros: *micros })
            }
            Owned::Encoded(ty, bytes) => decode_row(bytes, *ty).unwrap().0,
        }
    }
}

/// What the encoding of a value in a key is read back as.
fn from_key(value: &Owned, ty: Type, order: KeyOrder) -> Owned {
    let mut key = Vec::new();
    encode_key(value.value(), order, &mut |piece: &[u8]| {
        key.extend_from_slice(piece);
        Ok::<(), core::convert::Infallible>(())
    })
    .unwrap();
    let mut buffer = vec![0; decoded_bytes_max(key.len())];
    Owned::of(decode_key(&key, ty, order, &mut buffer).unwrap().0)
}

/// Random numbers that repeat.
#[derive(Clone, Debug)]
pub(in crate::segment) struct Random(pub(in crate::segment) u64);

impl Random {
    pub(in crate::segment) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(in crate::segment) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn encoded(&mut self, ty: Type, n: i64) -> Owned {
        let text = std::format!("{n:x}{}", " ".repeat(self.below(3) as usize));
        let bytes = n.to_le_bytes();
        let elements = [Value::Integer(n as i32), Value::Null];
        let mut array = Vec::new();
        let value = match ty {
            Type::SmallInt => Value::SmallInt(n as i16),
            Type::Real => Value::Real(n as f32 / 4.0),
            Type::Numeric => Value::Decimal(Decimal::new(n.into(), self.below(4) as u8).unwrap()),
            Type::Char => Value::Char(&text),
            Type::Bytea => Value::Bytea(&bytes),
            Type::Time => Value::Time(Time::from_micros(n.abs()).unwrap()),
            Type::Timestamp => Value::Timestamp(Timestamp::from_micros(n).unwrap()),
            Type::TimestampTz => Value::TimestampTz(Timestamp::from_micros(-n).unwrap()),
            Type::Uuid => Value::Uuid(Uuid::from_u128(n as u128)),
            Type::Json => Value::Json(&text),
            Type::Jsonb => Value::Jsonb(&text),
            Type::Array(element) => {
                encode(elements[..self.below(3) as usize].iter().copied(), &mut |piece: &[u8]| {
                    array.extend_from_slice(piece);
                    Ok::<(), core::convert::Infallible>(())
                })
                .unwrap();
                Value::Array(ArrayRef::new(&array, element).unwrap())
            }
            _ => unreachable!("the others have variants of their own"),
        };
        Owned::of(value)
    }

    fn value(&mut self, ty: Type, spread: u64) -> Owned {
        let n = self.below(spread) as i64 - spread as i64 / 2;
        match ty {
            Type::Boolean => Owned::Boolean(n & 1 == 0),
            Type::Integer => Owned::Integer(if self.one_in(30) { i32::MIN } else { n as i32 }),
            Type::BigInt => Owned::BigInt(if self.one_in(30) { i64::MAX - n.abs() } else { n }),
            Type::Decimal { precision, scale } => {
                let large = if precision > 18 { 1i128 << 80 } else { 1 };
                Owned::Decimal(Decimal::new(i128::from(n) * large, scale).unwrap())
            }
            Type::Double => Owned::Double(match self.below(12) {
                0 => f64::NAN.to_bits(),
                1 => f64::NEG_INFINITY.to_bits(),
                _ => (n as f64 / 4.0).to_bits(),
            }),
            Type::Text | Type::Unknown => {
                let parts = ["a", "bc", "\0", "é", "long words of text ", "z"];
                let count = if self.one_in(60) { self.below(900) } else { self.below(5) };
                let mut text: String = std::format!("{:x}", n.unsigned_abs());
                (0..count).for_each(|_| text.push_str(parts[self.below(6) as usize]));
                Owned::Text(text)
            }
            Type::Date => Owned::Date(Date::from_days(n).unwrap()),
            Type::Interval => Owned::Interval((n % 7) as i32, (n % 100) as i32, n * 1000),
            other => self.encoded(other, n),
        }
    }
}

const TYPES: [Type; 21] = [
    Type::BigInt,
    Type::Text,
    Type::Integer,
    Type::Boolean,
    Type::Double,
    Type::Date,
    Type::Interval,
    Type::Decimal { precision: 12, scale: 2 },
    Type::Decimal { precision: 38, scale: 5 },
    Type::Text,
    Type::SmallInt,
    Type::Real,
    Type::Numeric,
    Type::Char,
    Type::Bytea,
    Type::Time,
    Type::Timestamp,
    Type::TimestampTz,
    Type::Uuid,
    Type::Jsonb,
    Type::Json,
];

// -------------------------------------------------------------------------------------------------------- tables

/// A version of a row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::segment) struct Row {
    pub(in crate::segment) values: Vec<Owned>,
    pub(in crate::segment) sequence: u64,
    pub(in crate::segment) is_delete: bool,
}

/// A sorted table.
#[derive(Clone, Debug)]
pub(in crate::segment) struct Table {
    pub(in crate::segment) columns: Vec<ColumnType>,
    pub(in crate::segment) key: Vec<KeyColumn>,
    pub(in crate::segment) rows: Vec<Row>,
    pub(in crate::segment) base: u64,
}

impl Table {
    pub(in crate::segment) fn of(types: &[Type], key: &[(u16, KeyOrder)]) -> Table {
        Table {
            columns: types.iter().map(|ty| ColumnType { ty: *ty, is_nullable: true }).collect(),
            key: key.iter().map(|(column, order)| KeyColumn { column: *column, order: *order }).collect(),
            rows: vec![],
            base: 100,
        }
    }

    /// Up to so many rows of up to so many columns; keys repeat with other sequences.
    pub(in crate::segment) fn random(seed: u64, rows: usize, columns_max: u64) -> Table {
        let mut random = Random(seed);
        let columns = 1 + random.below(columns_max) as usize;
        let columns: Vec<ColumnType> = (0..columns)
            .map(|_| ColumnType {
                ty: TYPES[random.below(TYPES.len() as u64) as usize],
                is_nullable: random.one_in(2),
            })
            .collect();
        let mut key: Vec<KeyColumn> = vec![];
        for _ in 0..1 + random.below(3) {
            let column = random.below(columns.len() as u64) as u16;
            if key.iter().all(|part| part.column != column) {
                let order = KeyOrder { descending: random.one_in(3), nulls_first: random.one_in(2) };
                key.push(KeyColumn { column, order });
            }
        }
        let mut table = Table { columns, key, rows: vec![], base: random.below(1 << 40) };
        let spread = [3, 100, 1 << 20][random.below(3) as usize];
        let sequences = [1, 10, 1000][random.below(3) as usize];
        for _ in 0..rows {
            let values: Vec<Owned> = (0..table.columns.len())
                .map(|index| {
                    let ColumnType { ty, is_nullable } = table.columns[index];
                    if is_nullable && random.one_in(5) { Owned::Null } else { random.value(ty, spread) }
                })
                .collect();
            let (sequence, is_delete) = (random.below(sequences), random.one_in(8));
            table.put(&values, sequence, is_delete);
        }
        table.sort();
        table
    }

    pub(in crate::segment) fn put(&mut self, values: &[Owned], sequence: u64, is_delete: bool) {
        let mut values = values.to_vec();
        if is_delete {
            for (index, value) in values.iter_mut().enumerate() {
                let part = self.key.iter().find(|part| usize::from(part.column) == index);
                match (part, &value) {
                    (None, _) => *value = Owned::Null,
                    // As they come back from an encoded key.
                    (Some(part), _) => *value = from_key(value, self.columns[index].ty, part.order),
                }
            }
        }
        self.rows.push(Row { values, sequence, is_delete });
    }

    /// By key, newest first; one row for each version.
    pub(in crate::segment) fn sort(&mut self) {
        let mut rows = core::mem::take(&mut self.rows);
        rows.sort_by_cached_key(|row| (self.encoded_key(row), !row.sequence));
        rows.dedup_by(|a, b| self.encoded_key(a) == self.encoded_key(b) && a.sequence == b.sequence);
        self.rows = rows;
    }

    pub(in crate::segment) fn schema(&self) -> Schema<'_> {
        Schema { columns: &self.columns, key: &self.key }
    }

    pub(in crate::segment) fn encoded_key(&self, row: &Row) -> Vec<u8> {
        let mut key = Vec::new();
        for part in &self.key {
            let value = row.values[usize::from(part.column)].value();
            encode_key(value, part.order, &mut |bytes: &[u8]| {
                key.extend_from_slice(bytes);
                Ok::<(), core::convert::Infallible>(())
            })
            .unwrap();
        }
        key
    }

    pub(in crate::segment) fn encoded_row(&self, row: &Row) -> Vec<u8> {
        let mut bytes = Vec::new();
        for value in &row.values {
            encode_row(value.value(), &mut |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok::<(), core::convert::Infallible>(())
            })
            .unwrap();
        }
        bytes
    }

    pub(in crate::segment) fn new_file(&self, memory: &MemoryFile) -> SegmentFile {
        SegmentFile::create(Box::new(memory.clone()), FileId::new(FileKind::Segments, 42), 0x5A17).unwrap()
    }

    pub(in crate::segment) fn write(
        &self,
        memory: &MemoryFile,
        bytes: usize,
        rowwise: bool,
        seed: u64,
        arena: &Arena,
    ) -> Segment {
        let file = Arc::new(self.new_file(memory));
        let summary = self.write_at(&file, SegmentFile::HEADER_BYTES, bytes, rowwise, seed, arena);
        Segment::open(file, summary.location, self.base, &self.schema()).unwrap()
    }

    pub(in crate::segment) fn write_at<'a>(
        &self,
        file: &SegmentFile,
        offset: u64,
        bytes: usize,
        rowwise: bool,
        seed: u64,
        arena: &'a Arena,
    ) -> SegmentSummary<'a> {
        self.try_write_at(file, offset, bytes, rowwise, seed, arena).unwrap().unwrap()
    }

    pub(in crate::segment) fn try_write_at<'a>(
        &self,
        file: &SegmentFile,
        offset: u64,
        bytes: usize,
        rowwise: bool,
        seed: u64,
        arena: &'a Arena,
    ) -> Result<Option<SegmentSummary<'a>>, crate::Error> {
        let schema = self.schema();
        let sizes = WriterSizes::of(&schema, bytes);
        let mut writer = SegmentWriter::new(file, offset, schema, sizes, arena)?;
        if rowwise {
            for row in &self.rows {
                let bytes = if row.is_delete { vec![] } else { self.encoded_row(row) };
                writer.push_row(&self.encoded_key(row), row.sequence, row.is_delete, &bytes)?;
            }
        } else {
            let mut random = Random(seed);
            let mut at = 0;
            while at < self.rows.len() {
                let count = 1 + random.below(700) as usize;
                let end = (at + count).min(self.rows.len());
                self.push_rows(&mut writer, at..end, random.below(3) as usize)?;
                at = end;
            }
        }
        writer.finish()
    }

    /// Pushes rows as a batch that has `before` other rows in front.
    fn push_rows(
        &self,
        writer: &mut SegmentWriter<'_, '_, '_>,
        rows: core::ops::Range<usize>,
        before: usize,
    ) -> Result<(), crate::Error> {
        let budget = Budget::unlimited("batch").unwrap();
        let arena = Arena::new(&budget);
        let count = before + rows.len();
        let columns: Vec<Column<'_>> = (0..self.columns.len())
            .map(|index| {
                let mut column = Column::new(self.columns[index], count, &arena);
                for (place, row) in self.rows[rows.clone()].iter().enumerate() {
                    column.put(before + place, &row.values[index]);
                }
                column
            })
            .collect();
        let refs: Vec<ColumnRef<'_>> = columns.iter().map(Column::column_ref).collect();
        let mut sequences = vec![0; before];
        sequences.extend(self.rows[rows.clone()].iter().map(|row| row.sequence));
        let mut deletes = vec![true; before];
        deletes.extend(self.rows[rows].iter().map(|row| row.is_delete));
        writer.push_batch(&refs, &sequences, &deletes, before..count)
    }

    /// Copies a segment of this table into a new file, long texts from file to file.
    pub(in crate::segment) fn copy(&self, from: &Segment, memory: &MemoryFile, arena: &Arena) -> Segment {
        let schema = self.schema();
        let file = Arc::new(self.new_file(memory));
        let sizes = WriterSizes::of(&schema, 0);
        let mut writer = SegmentWriter::new(&file, SegmentFile::HEADER_BYTES, schema, sizes, arena).unwrap();
        let mut cursor = SegmentCursor::new(from, schema, PageSource::UNCACHED, 1000, arena);
        cursor.seek_row(0).unwrap();
        while let Some(range) = cursor.range().copied() {
            let rows = range.rows as usize;
            let (mut sequences, mut deletes) = (vec![0; rows], vec![false; rows]);
            cursor.sequences(0..rows, &mut sequences).unwrap();
            cursor.deletes(0..rows, &mut deletes).unwrap();
            sequences.iter_mut().for_each(|sequence| *sequence -= self.base);
            let mut columns: Vec<Column<'_>> =
                self.columns.iter().map(|ty| Column::new(*ty, rows, arena)).collect();
            let mut longs: Vec<Vec<LongText<'_>>> = vec![];
            for (index, column) in columns.iter_mut().enumerate() {
                let mut found = cofferdam_arena::collections::Vec::new_in(arena);
                cursor.decode_to_copy(index, 0..rows, column.target(), 0, &mut found).unwrap();
                longs.push(
                    found.iter().map(|(row, at)| LongText { row: *row, file: &from.file, at: *at }).collect(),
                );
            }
            let refs: Vec<ColumnRef<'_>> = columns
                .iter()
                .zip(&longs)
                .map(|(column, longs)| ColumnRef { longs, ..column.column_ref() })
                .collect();
            writer.push_batch(&refs, &sequences, &deletes, 0..rows).unwrap();
            cursor.next_range().unwrap();
        }
        let summary = writer.finish().unwrap().unwrap();
        Segment::open(file.clone(), summary.location, self.base, &schema).unwrap()
    }

    pub(in crate::segment) fn keys(&self) -> Vec<Vec<u8>> {
        self.rows.iter().map(|row| self.encoded_key(row)).collect()
    }

    /// Whether bytes are a key or the beginning of one.
    fn is_key_start(&self, mut key: &[u8]) -> bool {
        let mut text = [0; 8 << 10];
        for part in &self.key {
            if key.is_empty() {
                return true;
            }
            let ty = self.columns[usize::from(part.column)].ty;
            match decode_key(key, ty, part.order, &mut text) {
                Ok((_, used)) => key = &key[used..],
                // Cut off, or no key.
                Err(error) => return error.to_string().contains("ends here"),
            }
        }
        key.is_empty()
    }
}

/// A column in memory.
pub(in crate::segment) struct Column<'a> {
    ty: ColumnType,
    data: Data<'a>,
    valid: Vec<bool>,
    all_valid: bool,
    heap: cofferdam_arena::collections::Vec<'a, u8>,
}

impl<'a> Column<'a> {
    pub(in crate::segment) fn new(ty: ColumnType, rows: usize, arena: &'a Arena) -> Column<'a> {
        let data = staging::data_in(ty.kind(), rows, arena).unwrap();
        let heap = cofferdam_arena::collections::Vec::new_in(arena);
        Column { ty, data, valid: vec![true; rows], all_valid: true, heap }
    }

    fn put(&mut self, row: usize, value: &Owned) {
        match value {
            Owned::Null => {
                self.valid[row] = false;
                self.all_valid = false;
            }
            value => match &mut self.data {
                Data::Text(views) => {
                    let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                    let bytes = bytes_of(value.value(), &mut compact);
                    let start = self.heap.len() as u32;
                    self.heap.extend_from_slice(bytes).unwrap();
                    views[row] = TextView { start, len: bytes.len() as u32 };
                }
                data => data.put(row, value.value()),
            },
        }
    }

    fn column_ref(&self) -> ColumnRef<'_> {
        let valid = (!self.all_valid).then_some(&self.valid[..]);
        ColumnRef { data: &self.data, valid, heap: &self.heap, longs: &[] }
    }

    pub(in crate::segment) fn target(&mut self) -> ColumnMut<'_, 'a> {
        let Column { data, valid, all_valid, heap, .. } = self;
        ColumnMut { data, valid, all_valid, heap }
    }

    /// The sum of the first rows of a column of integers without NULLs.
    pub(in crate::segment) fn sum(&self, rows: usize) -> i64 {
        match &self.data {
            Data::I32(values) => values[..rows].iter().map(|value| i64::from(*value)).sum(),
            Data::I64(values) => values[..rows].iter().sum(),
            _ => panic!(),
        }
    }

    pub(in crate::segment) fn get(&self, row: usize) -> Owned {
        if !self.all_valid && !self.valid[row] {
            return Owned::Null;
        }
        Owned::of(self.data.value(row, self.ty.ty, &self.heap))
    }
}

// ---------------------------------------------------------------------------------------------------- comparisons

fn source(cache: Option<&Cache>) -> PageSource<'_> {
    cache.map_or(PageSource::UNCACHED, PageSource::cached)
}

/// What a get of a key gives: the place of the row.
fn find(table: &Table, keys: &[Vec<u8>], key: &[u8], sequence: u64) -> Option<usize> {
    let start = keys.partition_point(|row| row[..] < *key);
    let rows = (start..keys.len()).take_while(|row| keys[*row] == key);
    rows.into_iter().find(|row| table.rows[*row].sequence + table.base <= sequence)
}

/// Every version is found at its sequence and not before, and absent keys are not found.
pub(in crate::segment) fn check_gets(table: &Table, segment: &Segment, cache: Option<&Cache>) {
    let budget = Budget::unlimited("gets").unwrap();
    let arena = Arena::new(&budget);
    let mut scratch = Scratch::new_in(&arena);
    let (schema, source) = (table.schema(), source(cache));
    let mut random = Random(segment.rows_count());
    let step = 1 + table.rows.len() / 60;
    let keys = table.keys();
    for (index, row) in table.rows.iter().enumerate().step_by(step) {
        let key = table.encoded_key(row);
        let at =
            [row.sequence, row.sequence + random.below(3), row.sequence.saturating_sub(1), u64::MAX >> 9];
        for sequence in at.map(|sequence| sequence + table.base) {
            let expected = find(table, &keys, &key, sequence);
            let found = segment.get(&schema, &key, sequence, source, &mut scratch).unwrap();
            let Some(found) = found else {
                assert_eq!(expected, None, "row {index} at {sequence}");
                continue;
            };
            let expected = &table.rows[expected.expect("there is no such version")];
            assert_eq!(found.sequence, expected.sequence + table.base);
            assert_eq!(found.is_delete, expected.is_delete);
            for (column, value) in expected.values.iter().enumerate() {
                let read = segment.value(&schema, &found, column, source, &mut scratch).unwrap();
                assert_eq!(Owned::of(read), *value, "row {index}, column {column}");
            }
        }
        // Neighbours of keys are no keys, but by chance.
        let mut other = key.clone();
        let place = random.below(other.len() as u64) as usize;
        other[place] ^= 1 << random.below(8);
        for other in [&other[..], &key[..key.len() - 1], &[&key[..], &[1]].concat()] {
            let found = segment.get(&schema, other, u64::MAX >> 8, source, &mut scratch).unwrap();
            assert_eq!(found.is_some(), find(table, &keys, other, u64::MAX >> 8).is_some());
        }
        assert!(
            table.base == 0
                || segment.get(&schema, &key, table.base - 1, source, &mut scratch).unwrap().is_none()
        );
    }
}

/// A scan gives the rows, their versions and their keys.
pub(in crate::segment) fn check_scan(table: &Table, segment: &Segment) {
    let budget = Budget::unlimited("scan").unwrap();
    let arena = Arena::new(&budget);
    let schema = table.schema();
    for read_ahead_bytes in [0, 3000, 1 << 20] {
        let mut cursor = SegmentCursor::new(segment, schema, PageSource::UNCACHED, read_ahead_bytes, &arena);
        let mut at = 0;
        cursor.seek_row(0).unwrap();
        while let Some(range) = cursor.range().copied() {
            assert_eq!(range.first_row, at as u64);
            check_range(table, &mut cursor, at, range.rows as usize, &arena);
            at += range.rows as usize;
            cursor.next_range().unwrap();
        }
        assert_eq!(at, table.rows.len());
    }
}

fn check_range(table: &Table, cursor: &mut SegmentCursor<'_, '_>, at: usize, rows: usize, arena: &Arena) {
    let expected = &table.rows[at..at + rows];
    // A part of the range, behind something else.
    let part = rows / 3..rows;
    for (index, ty) in table.columns.iter().enumerate() {
        let mut column = Column::new(*ty, rows + 2, arena);
        cursor.decode(index, part.clone(), column.target(), 2).unwrap();
        for (place, row) in part.clone().enumerate() {
            assert_eq!(
                column.get(place + 2),
                expected[row].values[index],
                "row {}, column {index}",
                at + row
            );
        }
        let some: Vec<u16> = (0..rows as u16).step_by(3).collect();
        let mut column = Column::new(*ty, rows, arena);
        cursor.gather(index, &some, column.target(), 0).unwrap();
        for (place, row) in some.iter().enumerate() {
            assert_eq!(column.get(place), expected[usize::from(*row)].values[index]);
        }
    }
    let count = part.len();
    let (mut sequences, mut deletes, mut prefixes) = (vec![0; count], vec![false; count], vec![0; count]);
    cursor.sequences(part.clone(), &mut sequences).unwrap();
    cursor.deletes(part.clone(), &mut deletes).unwrap();
    cursor.prefixes(part.clone(), &mut prefixes).unwrap();
    let mut key = cofferdam_arena::collections::Vec::new_in(arena);
    for (place, row) in part.enumerate() {
        let expected = &expected[row];
        key.clear();
        cursor.put_key(row, &mut key).unwrap();
        assert_eq!(key[..], table.encoded_key(expected));
        assert_eq!(prefixes[place], table.schema().key_shape().prefix(&key));
        assert_eq!((sequences[place], deletes[place]), (expected.sequence + table.base, expected.is_delete));
    }
}

/// Seeks by key find the first row that is not before it.
pub(in crate::segment) fn check_seeks(table: &Table, segment: &Segment) {
    let budget = Budget::unlimited("seeks").unwrap();
    let arena = Arena::new(&budget);
    let mut cursor = SegmentCursor::new(segment, table.schema(), PageSource::UNCACHED, 0, &arena);
    let mut random = Random(7);
    let keys = table.keys();
    for index in (0..keys.len()).step_by(1 + keys.len() / 50) {
        let mut other = keys[index].clone();
        let place = random.below(other.len() as u64) as usize;
        other[place] = other[place].wrapping_add(1);
        let cut = 1 + random.below(other.len() as u64) as usize;
        for key in [&keys[index][..], &other, &keys[index][..cut.min(keys[index].len())], &[]] {
            if !table.is_key_start(key) {
                continue;
            }
            let expected = keys.partition_point(|row| row[..] < *key);
            let found = cursor.seek(key).unwrap();
            let found = found.map(|row| cursor.range().unwrap().first_row as usize + row);
            assert_eq!(found, (expected < keys.len()).then_some(expected), "{key:?}");
        }
        assert_eq!(
            cursor
                .seek_row(index as u64)
                .unwrap()
                .map(|row| { cursor.range().unwrap().first_row + row as u64 }),
            Some(index as u64)
        );
    }
    assert_eq!(cursor.seek_row(keys.len() as u64).unwrap(), None);
}

/// The verifier finds nothing wrong.
pub(in crate::segment) fn check_verified(table: &Table, segment: &Segment) {
    let budget = Budget::unlimited("verify").unwrap();
    let arena = Arena::new(&budget);
    let verified = verify(segment, table.schema(), &arena, &mut |problem| panic!("{problem}")).unwrap();
    assert_eq!((verified.rows_count, verified.problems_count), (table.rows.len() as u64, 0));
    assert_eq!(verified.pages_count, u64::from(segment.ranges_count) * table.columns.len() as u64);
}

//! Segments of arbitrary bytes: what the fuzz target `store_segment` calls. Not for anybody else.

use core::hash::Hasher as _;
use std::hash::DefaultHasher;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_types::Type;
use cofferdam_types::column::{Data, TextView};
use cofferdam_types::key::{KeyOrder, bigint_key};
use cofferdam_vfs::File;

use super::layout::{Bundle, ColumnLocation, GroupDirectory, IndexNode, RANGES_MAX, location_bytes};
use super::separators::{Separators, VersionedKey};
use super::{
    ColumnRef, Location, PageSource, Scratch, Segment, SegmentCursor, SegmentFile, SegmentWriter,
    WriterSizes, verify, zones,
};
use crate::cache::Cache;
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::schema::{ColumnType, KeyColumn, Schema};

const FILE: FileId = FileId::new(FileKind::Segments, 1);
const SCHEMA: Schema<'static> = Schema {
    columns: &[
        ColumnType { ty: Type::BigInt, is_nullable: false },
        ColumnType { ty: Type::Text, is_nullable: true },
        ColumnType { ty: Type::Integer, is_nullable: false },
    ],
    key: &[KeyColumn { column: 0, order: KeyOrder::ASC }],
};
const BATCH_ROWS: usize = 64;

/// Looks at bytes as each of the pieces whose checksum was right: what a check accepts can be read without a panic.
pub fn look_at(bytes: &[u8]) {
    let target = VersionedKey::new(bytes.get(..9).unwrap_or(bytes), 5);
    if GroupDirectory::check(bytes).is_ok()
        && let Ok(directory) = GroupDirectory::parse(bytes)
    {
        assert!(directory.separators.find(target) < directory.ranges_count());
        for row in [0, 1, directory.head.rows_count - 1] {
            let index = directory.find_row(row);
            assert!(directory.row_start(index) <= row && row < directory.record(index).row_end);
        }
        for index in 0..directory.ranges_count() {
            let _ = (directory.filter(directory.record(index).filter), directory.bundle(index));
            put_separator(&directory.separators, index);
        }
    }
    let level = u16::from(bytes.get(1).copied().unwrap_or(0));
    if IndexNode::check(bytes, level).is_ok()
        && let Ok(node) = IndexNode::parse(bytes)
    {
        let _ = (node.find(target), node.find_row(u64::MAX));
        put_separator(&node.separators, node.count() - 1);
    }
    for columns in [3, 5, usize::from(u16::MAX)] {
        let bundle = Bundle::of(bytes, columns);
        let _ = (bundle.check(0, 0), bundle.page(0), bundle.page(columns - 1));
    }
    for ranges in [1, 3, RANGES_MAX] {
        for index in 0..bytes.len() / location_bytes(ranges) {
            let column = ColumnLocation::of(bytes, index, ranges);
            if column.check(0, 1 << 40).is_ok() {
                assert!((0..ranges).all(|page| column.page(page).offset <= column.end_offset()));
            }
        }
    }
    for (index, column) in SCHEMA.columns.iter().enumerate() {
        let _ = zones::read(bytes, index, column.kind());
    }
}

fn put_separator(separators: &Separators<'_>, index: usize) {
    let budget = Budget::unlimited("separator").expect("a budget");
    let arena = Arena::new(&budget);
    separators.put(index, &mut cofferdam_arena::collections::Vec::new_in(&arena)).expect("there is no limit");
}

/// Writes a segment of some rows that `seed` chooses, and gives the place of its footer.
///
/// # Errors
/// Those of the file; the budget refuses.
#[allow(clippy::disallowed_types)]
pub fn write(file: Box<dyn File>, rows: usize, seed: u64, budget: &Budget) -> Result<u64, Error> {
    let file = SegmentFile::create(file, FILE, seed)?;
    let arena = Arena::new(budget);
    let sizes = WriterSizes::of(&SCHEMA, 0);
    let mut writer = SegmentWriter::new(&file, SegmentFile::HEADER_BYTES, SCHEMA, sizes, &arena)?;
    let text = [b'x'; 100];
    for first in (0..rows).step_by(BATCH_ROWS) {
        let count = BATCH_ROWS.min(rows - first);
        let (mut keys, mut views, mut numbers) =
            ([0i64; BATCH_ROWS], [TextView::default(); BATCH_ROWS], [0i32; BATCH_ROWS]);
        let (mut sequences, mut deletes, mut valid) =
            ([0u64; BATCH_ROWS], [false; BATCH_ROWS], [true; BATCH_ROWS]);
        for row in 0..count {
            let n = (first + row) as u64;
            let chance = (n ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            keys[row] = (n / 3) as i64;
            views[row] = TextView { start: 0, len: (chance % 100) as u32 };
            numbers[row] = chance as i32;
            sequences[row] = 9 - n % 3;
            deletes[row] = chance.is_multiple_of(11);
            valid[row] = !chance.is_multiple_of(7);
        }
        let (keys, views, numbers) = (Data::I64(&mut keys), Data::Text(&mut views), Data::I32(&mut numbers));
        let mut columns = [&keys, &views, &numbers].map(|data| ColumnRef::new(data, &text));
        columns[1].valid = Some(&valid);
        writer.push_batch(&columns, &sequences, &deletes, 0..count)?;
    }
    match writer.finish()? {
        Some(summary) => Ok(summary.location.footer_offset),
        None => Err(Error::corrupt(FILE, 0, "there are no rows")),
    }
}

/// Reads a segment in every way, and gives a digest of all that was read.
///
/// # Errors
/// Those of the file; damage; the budget refuses.
#[allow(clippy::disallowed_types)]
pub fn read(file: Box<dyn File>, footer_offset: u64, budget: &Budget) -> Result<u64, Error> {
    let file = Arc::new(SegmentFile::open(file, FILE)?);
    let segment = Segment::open(file, Location { footer_offset }, 0, &SCHEMA)?;
    let arena = Arena::new(budget);
    let cache = Cache::new(budget, 64 << 10)?;
    let source = PageSource::cached(&cache);
    let mut digest = DefaultHasher::new();
    let mut scratch = Scratch::new_in(&arena);
    for value in [0, 1, 7, 40, 100] {
        let mut key = [1; 9];
        key[1..].copy_from_slice(&bigint_key(value));
        let Some(found) = segment.get(&SCHEMA, &key, 8, source, &mut scratch)? else { continue };
        digest.write_u64(found.sequence);
        for column in 0..SCHEMA.columns.len() {
            match segment.value(&SCHEMA, &found, column, source, &mut scratch)? {
                cofferdam_types::Value::Text(text) => digest.write(text.as_bytes()),
                cofferdam_types::Value::BigInt(value) => digest.write_i64(value),
                cofferdam_types::Value::Integer(value) => digest.write_i32(value),
                _ => digest.write_u8(0),
            }
        }
    }
    let mut cursor = SegmentCursor::new(&segment, SCHEMA, source, 2000, &arena);
    cursor.seek_row(0)?;
    let mut key = cofferdam_arena::collections::Vec::new_in(&arena);
    while let Some(range) = cursor.range().copied() {
        let rows = (range.rows as usize).min(BATCH_ROWS);
        let (mut sequences, mut prefixes) = ([0; BATCH_ROWS], [0; BATCH_ROWS]);
        cursor.sequences(0..rows, &mut sequences[..rows])?;
        cursor.prefixes(0..rows, &mut prefixes[..rows])?;
        for row in 0..rows {
            key.clear();
            cursor.put_key(row, &mut key)?;
            digest.write(&key);
            digest.write_u64(sequences[row] ^ prefixes[row]);
        }
        cursor.next_range()?;
    }
    let verified = verify(&segment, SCHEMA, &arena, &mut |problem| Err(Error::Corrupt(*problem)))?;
    digest.write_u64(verified.rows_count);
    Ok(digest.finish())
}

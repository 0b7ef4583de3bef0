//! Damaged files: an error that names file and place, or the right rows; never a panic, never anything else.

use super::layout::BUNDLED_COLUMNS_MAX;
use super::model::*;
use super::*;
use crate::error::Error;
use cofferdam_vfs::File as _;
use std::sync::Arc;
use std::vec::Vec as Std;

/// A small segment that has everything: versions, tombstones, NULLs, long texts, several ranges, groups and nodes.
pub(super) fn sample_table() -> Table {
    let types =
        [Type::Text, Type::BigInt, Type::Double, Type::Text, Type::Decimal { precision: 30, scale: 3 }];
    let mut table = Table::of(&types, &[(0, KeyOrder::ASC), (1, KeyOrder::DESC)]);
    let mut random = Random(4);
    for i in 0..60 {
        let text = |n: u64| Owned::Text("fjord ".repeat(n as usize));
        let values = [
            text(random.below(4)),
            Owned::BigInt(random.below(5) as i64),
            if i % 3 == 0 { Owned::Null } else { Owned::Double((i as f64 / 3.0).to_bits()) },
            if i == 7 { text(1400) } else { text(random.below(30)) },
            Owned::Decimal(Decimal::new(i128::from(random.below(1 << 40)) << 30, 3).unwrap()),
        ];
        table.put(&values, random.below(9), i % 6 == 5);
    }
    table.sort();
    table
}

/// As [`sample_table`], with so few columns that its pages are in bundles.
pub(super) fn bundled_sample_table() -> Table {
    let sample = sample_table();
    let mut table =
        Table::of(&[Type::Text, Type::BigInt, Type::Text], &[(0, KeyOrder::ASC), (1, KeyOrder::DESC)]);
    for row in &sample.rows {
        let values = [0, 1, 3].map(|column: usize| row.values[column].clone());
        table.put(&values, row.sequence, row.is_delete);
    }
    table.sort();
    table
}

/// [`sample_table`] behind `offset` of a file, in pages of seven rows.
pub(super) fn write_sample<'a>(
    table: &Table,
    file: &SegmentFile,
    offset: u64,
    arena: &'a Arena,
) -> SegmentSummary<'a> {
    let schema = table.schema();
    let sizes = WriterSizes::of(&schema, 0).with_page_rows(7).with_ranges(3);
    let mut writer = SegmentWriter::new(file, offset, schema, sizes, arena).unwrap();
    for row in &table.rows {
        let bytes = table.encoded_row(row);
        writer.push_row(&table.encoded_key(row), row.sequence, row.is_delete, &bytes).unwrap();
    }
    writer.finish().unwrap().unwrap()
}

fn sample() -> (Table, MemoryFile, Location) {
    sample_of(sample_table())
}

fn sample_of(table: Table) -> (Table, MemoryFile, Location) {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let memory = MemoryFile::new();
    let file = table.new_file(&memory);
    let summary = write_sample(&table, &file, SegmentFile::HEADER_BYTES, &arena);
    let location = summary.location;
    assert!(open(&table, &memory, location).unwrap().groups_count > 2);
    (table, memory, location)
}

fn open(table: &Table, memory: &MemoryFile, location: Location) -> Result<Segment, Error> {
    let file = SegmentFile::open(Box::new(memory.clone()), FileId::new(FileKind::Segments, 42))?;
    Segment::open(Arc::new(file), location, table.base, &table.schema())
}

/// What reading a segment in every way gives, as text.
fn read_all(table: &Table, segment: &Segment) -> Result<Std<String>, Error> {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let schema = table.schema();
    let mut lines = Std::new();
    let mut scratch = Scratch::new_in(&arena);
    for row in table.rows.iter().step_by(5) {
        let key = table.encoded_key(row);
        let found =
            segment.get(&schema, &key, table.base + row.sequence, PageSource::UNCACHED, &mut scratch)?;
        lines.push(std::format!("{:?}", found.map(|found| (found.sequence, found.is_delete))));
        for column in 0..table.columns.len() {
            let Some(found) = &found else { break };
            let value = segment.value(&schema, found, column, PageSource::UNCACHED, &mut scratch)?;
            lines.push(std::format!("{:?}", Owned::of(value)));
        }
    }
    let mut cursor = SegmentCursor::new(segment, schema, PageSource::UNCACHED, 500, &arena);
    cursor.seek_row(0)?;
    while let Some(range) = cursor.range().copied() {
        let rows = range.rows as usize;
        let (mut sequences, mut deletes) = (std::vec![0; rows], std::vec![false; rows]);
        cursor.sequences(0..rows, &mut sequences)?;
        cursor.deletes(0..rows, &mut deletes)?;
        lines.push(std::format!("{sequences:?} {deletes:?}"));
        for (index, ty) in table.columns.iter().enumerate() {
            let mut column = Column::new(*ty, rows, &arena);
            cursor.decode(index, 0..rows, column.target(), 0)?;
            let zone = cursor.zone(index)?;
            lines.push(std::format!(
                "{zone:?} {:?}",
                (0..rows).map(|row| column.get(row)).collect::<Std<_>>()
            ));
        }
        cursor.next_range()?;
    }
    for column in 0..table.columns.len() {
        let statistics = segment.statistics(&schema, column, PageSource::UNCACHED, &mut scratch)?;
        lines.push(std::format!("{statistics:?}"));
        let kind = table.columns[column].kind();
        let sketch = segment.with_sketch(kind, column, PageSource::UNCACHED, &mut scratch, |sketch| {
            Ok(std::format!("{sketch:?}"))
        })?;
        lines.push(sketch.unwrap_or_default());
    }
    Ok(lines)
}

fn is_damage(error: &Error, file_bytes: usize) -> bool {
    match error {
        Error::Corrupt(problem) => {
            problem.file == FileId::new(FileKind::Segments, 42) && problem.offset < file_bytes as u64
        }
        Error::Unsupported(_) => true,
        _ => false,
    }
}

/// Aim: no flipped bit is read as data. Method: one bit of every byte of a file is flipped, one after the other (of some bytes, where nothing is optimized); all is
/// read, and verified: the verifier must find what reading finds.
#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    flip_each_byte(sample_table());
    flip_each_byte(bundled_sample_table());
}

fn flip_each_byte(table: Table) {
    let (table, memory, location) = sample_of(table);
    let bytes = memory.bytes();
    let expected = read_all(&table, &open(&table, &memory, location).unwrap()).unwrap();
    let budget = Budget::unlimited("test").unwrap();
    let step = if cfg!(debug_assertions) { 43 } else { 1 };
    let (mut noticed, mut harmless) = (0, 0);
    for at in (0..bytes.len()).step_by(step) {
        memory.flip(at, 1 << (at % 8));
        let result = open(&table, &memory, location).and_then(|segment| {
            let arena = Arena::new(&budget);
            let mut problems = 0;
            let verified = verify(&segment, table.schema(), &arena, &mut |problem| {
                assert!(is_damage(&Error::Corrupt(*problem), bytes.len()), "{problem}");
                problems += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(verified.problems_count, problems);
            let result = read_all(&table, &segment);
            assert!(result.is_ok() || problems > 0, "the verifier overlooks byte {at}: {result:?}");
            result
        });
        match result {
            Ok(lines) => {
                assert_eq!(lines, expected, "byte {at}");
                harmless += 1;
            }
            Err(error) => {
                assert!(is_damage(&error, bytes.len()), "byte {at}: {error}");
                noticed += 1;
            }
        }
        memory.flip(at, 1 << (at % 8));
    }
    // Filters that are asked for other keys, and the like.
    assert!(noticed > harmless * 20, "{noticed} noticed, {harmless} harmless");
}

/// Aim: pieces in each other's places are noticed, although each is whole. Method: a page of a column is overwritten by
/// the one before; in a table with bundles, and in one without.
#[test]
fn a_page_in_another_ones_place_is_noticed() {
    for columns_count in [2, BUNDLED_COLUMNS_MAX + 1] {
        overwrite_a_page(columns_count);
    }
}

fn overwrite_a_page(columns_count: usize) {
    let mut types = std::vec![Type::Integer; columns_count];
    types[0] = Type::BigInt;
    let mut table = Table::of(&types, &[(0, KeyOrder::ASC)]);
    for i in 0..2000 {
        let mut values = std::vec![Owned::Integer((i * 7919 % 1000) as i32); columns_count];
        values[0] = Owned::BigInt(i);
        table.put(&values, 1, false);
    }
    table.sort();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let memory = MemoryFile::new();
    let segment = table.write(&memory, 0, false, 0, &arena);
    let schema = table.schema();
    let mut pages = Std::new();
    let mut scratch = Scratch::new_in(&arena);
    segment
        .describe_pages(&schema, 1, PageSource::UNCACHED, &mut scratch, |range, page| {
            pages.push((range.first_row, page.offset, page.bytes));
            Ok(())
        })
        .unwrap();
    let pair = pages.windows(2).find(|pair| pair[0].2 == pair[1].2).expect("two pages of one length");
    let (from, to, len) = (pair[0].1 as usize, pair[1].1, pair[1].2 as usize);
    let bytes = memory.bytes();
    memory.write_all_at(&bytes[from..from + len], to).unwrap();
    let mut cursor = SegmentCursor::new(&segment, schema, PageSource::UNCACHED, 0, &arena);
    cursor.seek_row(pair[1].0).unwrap();
    let rows = cursor.range().unwrap().rows as usize;
    let mut column = Column::new(table.columns[1], rows, &arena);
    let error = cursor.decode(1, 0..rows, column.target(), 0).unwrap_err();
    // A bundle is damaged where it begins.
    let before = if columns_count == 2 { 200 } else { 0 };
    let Error::Corrupt(problem) = error else { panic!("{error}") };
    assert!(problem.offset <= to && problem.offset + before >= to, "{error}");
}

/// Aim: no byte of the sketches can change unnoticed, and sketches that lie are found out. Method: a bit of each of their bytes is
/// flipped; then a hash, a tombstone and the bytes of a text are changed with the checksum made to fit.
#[test]
fn damaged_sketches_are_noticed() {
    let (table, memory, location) = sample();
    let segment = open(&table, &memory, location).unwrap();
    let budget = Budget::unlimited("test").unwrap();
    let problems = || {
        let (arena, mut problems) = (Arena::new(&budget), Std::new());
        let segment = open(&table, &memory, location).unwrap();
        let verified = verify(&segment, table.schema(), &arena, &mut |problem| {
            problems.push(problem.what);
            Ok(())
        });
        assert_eq!(verified.unwrap().problems_count, problems.len() as u64);
        problems
    };
    assert!(problems().is_empty());
    let arena = Arena::new(&budget);
    let mut scratch = Scratch::new_in(&arena);
    let place = |column: usize| {
        let mut scratch = Scratch::new_in(&arena);
        let place = segment.with_sketches(PageSource::UNCACHED, &mut scratch, |head| Ok(head.place(column)));
        place.unwrap().unwrap()
    };
    let first = place(0).0 as usize;
    let head = segment.sketches;
    let step = if cfg!(debug_assertions) { 17 } else { 1 };
    for at in (first..head.offset as usize + head.len as usize).step_by(step) {
        memory.flip(at, 1 << (at % 8));
        assert!(!problems().is_empty(), "byte {at}");
        memory.flip(at, 1 << (at % 8));
    }
    let bytes = memory.bytes();
    let lie = |(offset, len): (u64, u32), at: usize, mask: u8| {
        let start = offset as usize;
        let mut piece = bytes[start..start + len as usize].to_vec();
        piece[at] ^= mask;
        let end = piece.len() - 4;
        let crc = layout::checksum(segment.file.salt(), offset, &piece[..end]);
        piece[end..].copy_from_slice(&crc.to_le_bytes());
        memory.write_all_at(&piece, offset).unwrap();
        let found = problems();
        memory.write_all_at(&bytes, 0).unwrap();
        found
    };
    let head_place = (head.offset, head.len);
    let rows =
        segment.with_sketches(PageSource::UNCACHED, &mut scratch, |head| Ok(head.rows())).unwrap().unwrap();
    let hashes_at = 32 + 4 * table.columns.len();
    assert_eq!(lie(head_place, hashes_at, 1), ["a sample has other keys than its segment"]);
    assert_eq!(lie(head_place, hashes_at + 8 * rows, 1), ["a sample has other keys than its segment"]);
    assert_eq!(lie(head_place, 24, 1), ["a sample has other keys than its segment"]);
    assert_eq!(lie(place(0), 0, 1), ["a column has other texts than its sketch says"]);
    assert_eq!(lie(head_place, 0, 1), ["there is no head of sketches"; 2]);
    assert_eq!(lie(head_place, 2, 1), ["no sketches are so large"; 2]);
    assert_eq!(lie(head_place, hashes_at + 7, 0xff), ["the keys of a sample are out of order"; 2]);
    assert_eq!(lie(head_place, 8 + 7, 0x40), ["a sketch is outside of its segment"; 2]);
    assert_eq!(lie(head_place, 32 + 3, 0x40), ["sketches do not follow one another"; 2]);
    assert_eq!(lie(place(1), 11, 0x40), ["a sketch ends too early"]);
}

#[test]
fn a_file_that_ends_early_is_damaged() {
    let (table, memory, location) = sample();
    let bytes = memory.bytes();
    for len in [0, 10, 63, 64, 100, bytes.len() / 2, bytes.len() - 1] {
        let cut = MemoryFile::of(&bytes[..len]);
        let error = open(&table, &cut, location).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{len}: {error}");
    }
}

#[test]
fn headers_of_other_files_and_versions_are_refused() {
    let (table, memory, location) = sample();
    let bytes = memory.bytes();
    let other = FileId::new(FileKind::Segments, 43);
    let error = SegmentFile::open(Box::new(memory.clone()), other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segments-000043 is damaged at byte 32: the header is that of another file"
    );
    // Fields that are right but not ours: the checksum is made to fit.
    for (at, sqlstate) in [(8, "0A000"), (16, "0A000"), (24, "XX001")] {
        let mut changed = bytes.clone();
        changed[at] = 2;
        let crc = crc32c::crc32c(&changed[..60]);
        changed[60..64].copy_from_slice(&crc.to_le_bytes());
        let result = open(&table, &MemoryFile::of(&changed), location);
        match at {
            // Features that only writers need to know.
            24 => assert!(result.is_ok()),
            _ => assert_eq!(result.unwrap_err().sqlstate(), sqlstate),
        }
    }
    let error = open(&table, &memory, Location { footer_offset: 64 }).unwrap_err();
    assert_eq!(error.sqlstate(), "XX001");
}

/// Aim: the verifier sees what no checksum can. Method: rows that lie about themselves: written in an order that
/// is none for another direction of the key.
#[test]
fn the_verifier_sees_a_wrong_order() {
    let mut table = Table::of(&[Type::BigInt, Type::Boolean], &[(0, KeyOrder::ASC)]);
    (0..3000).for_each(|i| table.put(&[Owned::BigInt(i), Owned::Boolean(i % 2 == 0)], 1, false));
    table.sort();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&MemoryFile::new(), 0, false, 0, &arena);
    let key = [KeyColumn { column: 0, order: KeyOrder::DESC }];
    let schema = Schema { columns: &table.columns, key: &key };
    let mut problems = Std::new();
    verify(&segment, schema, &arena, &mut |problem| {
        problems.push(problem.what);
        Ok(())
    })
    .unwrap();
    assert!(
        problems.contains(&"rows are out of order")
            || problems.contains(&"a filter denies a key that is there")
    );
    // A visitor's error ends the work.
    let end = verify(&segment, schema, &arena, &mut |problem| Err(Error::Corrupt(*problem)));
    assert!(matches!(end, Err(Error::Corrupt(_))));
}

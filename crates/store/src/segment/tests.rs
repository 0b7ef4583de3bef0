//! Segments against a naive model: rows in a vector.

mod damage;
mod golden;
mod limits;
mod measure;
mod model;
mod stretches;

use super::*;
use crate::cache::Cache;
use cofferdam_arena::{Arena, Budget};
use layout::{BLOCK_BYTES, KIND, SEQUENCE};
use model::*;
use proptest::prelude::*;
use search::Target;
use std::ops::Bound::{Excluded, Included, Unbounded};

/// Aim: what was written is what is read, by every way of reading. Method: random schemas, keys, versions, tombstones,
/// NULLs and texts; allowances from the least on, so that groups have from one to many ranges; batches of random sizes
/// or encoded rows.
#[test]
fn segments_have_the_rows_that_were_written() {
    let cases = if cfg!(debug_assertions) { 6 } else { 300 };
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 50,
        ..ProptestConfig::with_cases(cases)
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let strategy = (any::<u64>(), 1..300usize, prop_oneof![Just(0usize), 60_000..200_000usize]);
    // Keys of one smallint, whose prefixes were those of four bytes.
    check_all(5557346606217604823, 258, 113_609);
    runner
        .run(&strategy, |(seed, rows, bytes)| {
            check_all(seed, rows, bytes);
            Ok(())
        })
        .unwrap();
}

fn check_all(seed: u64, rows: usize, bytes: usize) {
    let table = Table::random(seed, rows, 10);
    for rowwise in [false, true] {
        let file = MemoryFile::new();
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let segment = table.write(&file, bytes, rowwise, seed, &arena);
        check_gets(&table, &segment, None);
        check_scan(&table, &segment);
        check_seeks(&table, &segment);
        check_verified(&table, &segment);
    }
}

/// Aim: the cache changes nothing. Method: the gets of the test above through caches with and without room.
#[test]
fn cached_reads_are_the_same() {
    let table = Table::random(3, 150, 6);
    let file = MemoryFile::new();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&file, 64 << 10, false, 3, &arena);
    for limit_bytes in [3 << 10, 20 << 10, 1 << 20] {
        let cache = Cache::new(&budget, limit_bytes).unwrap();
        check_gets(&table, &segment, Some(&cache));
        check_gets(&table, &segment, Some(&cache));
        assert!(cache.budget().peak() <= limit_bytes);
    }
}

/// Aim: versions of one key over several page ranges and groups are found. Method: one key with 800 versions between
/// two others, with pages of few rows.
#[test]
fn a_key_may_have_more_versions_than_a_page_has_rows() {
    let mut table = Table::of(&[Type::BigInt, Type::Text], &[(0, KeyOrder::ASC)]);
    let long = |n: u64| std::format!("{n:01500}");
    table.put(&[Owned::BigInt(1), Owned::Text(long(1))], 5, false);
    for sequence in 0..800 {
        table.put(&[Owned::BigInt(2), Owned::Text(long(sequence))], sequence * 2, sequence % 7 == 3);
    }
    table.put(&[Owned::BigInt(3), Owned::Text(long(3))], 1, false);
    table.sort();
    let file = MemoryFile::new();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&file, 0, false, 1, &arena);
    assert!(segment.groups_count > 1 && segment.ranges_count > 20, "{segment:?}");
    check_gets(&table, &segment, None);
    check_scan(&table, &segment);
    check_verified(&table, &segment);
}

#[test]
fn long_texts_stand_beside_the_pages() {
    let mut table = Table::of(&[Type::Integer, Type::Text, Type::Text], &[(0, KeyOrder::DESC)]);
    for i in 0..40 {
        let text = |n: usize| Owned::Text("añb".repeat(n));
        let other = if i % 3 == 0 { Owned::Null } else { text(i as usize) };
        table.put(&[Owned::Integer(i), text((i as usize % 5) * 4000), other], 1, i % 11 == 10);
    }
    table.sort();
    let file = MemoryFile::new();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    for (bytes, rowwise) in [(0, false), (0, true), (1 << 20, false)] {
        let segment = table.write(&file, bytes, rowwise, 1, &arena);
        check_gets(&table, &segment, None);
        check_scan(&table, &segment);
        // Copied to another file, they are the same.
        let copy = MemoryFile::new();
        let copied = table.copy(&segment, &copy, &arena);
        check_verified(&table, &segment);
        check_verified(&table, &copied);
        check_gets(&table, &copied, None);
        check_scan(&table, &copied);
    }
}

/// Aim: symbols of bundled groups are found beside the bundles. Method: texts of words, with a cache and without.
#[test]
fn texts_in_bundles_may_be_compressed() {
    let mut table = Table::of(&[Type::BigInt, Type::Text], &[(0, KeyOrder::ASC)]);
    let words = ["slyly ", "regular ", "deposits ", "carefully ", "final "];
    for i in 0..700usize {
        let text = (0..6).map(|n| words[(i * 7 + n * i) % 5]).collect::<String>();
        table.put(&[Owned::BigInt(i as i64), Owned::Text(text)], i as u64 % 4, i % 50 == 7);
    }
    table.sort();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&MemoryFile::new(), 1 << 20, false, 1, &arena);
    let (schema, mut scratch) = (table.schema(), Scratch::new_in(&arena));
    segment
        .describe_pages(&schema, 1, PageSource::UNCACHED, &mut scratch, |range, page| {
            assert!(range.is_bundled() && page.encoding.is_compressed);
            Ok(())
        })
        .unwrap();
    check_gets(&table, &segment, None);
    check_gets(&table, &segment, Some(&Cache::new(&budget, 1 << 20).unwrap()));
    check_scan(&table, &segment);
    check_verified(&table, &segment);
}

/// Aim: who reads a row reads a block. Method: texts that do not compress, of one length and of many; then most bundles lie within a
/// block and fill it, little is lost between them, and what is lost is looked at too.
#[test]
fn bundles_stand_within_blocks() {
    let mut random = Random(11);
    for lens in [90..91, 0..200] {
        let mut table = Table::of(&[Type::BigInt, Type::Text], &[(0, KeyOrder::ASC)]);
        for i in 0..4000 {
            let len = lens.start + random.below(lens.end - lens.start);
            let text = (0..len).map(|_| char::from(b'0' + (random.next() % 70) as u8)).collect::<String>();
            table.put(&[Owned::BigInt(i * 1_000_003), Owned::Text(text)], 3, false);
        }
        table.sort();
        let budget = Budget::unlimited("test").unwrap();
        let (arena, file) = (Arena::new(&budget), MemoryFile::new());
        let segment = table.write(&file, 1 << 20, true, 1, &arena);
        let (mut scratch, source) = (Scratch::new_in(&arena), PageSource::UNCACHED);
        let (bytes, mut zeros) = (file.bytes(), std::vec::Vec::new());
        let (mut all, mut within, mut bundle_bytes) = (0, 0, 0);
        let mut next = Some(segment.find_range(Target::Row(0), source, &mut scratch.pages).unwrap());
        while let Some(range) = next {
            let (start, len) = (range.bundle.0 as usize, range.bundle.1 as usize);
            all += 1;
            within += usize::from(start / BLOCK_BYTES == (start + len - 1) / BLOCK_BYTES);
            bundle_bytes += len;
            let behind = bytes[start..start + len].iter().rev().take_while(|byte| **byte == 0).count();
            zeros.extend(start + len - behind..start + len);
            next = segment.range_after(&range, source, &mut scratch.pages).unwrap();
        }
        assert!(within * 20 >= all * 17, "{within} of {all} bundles lie within a block");
        assert!(bundle_bytes * 10 >= all * BLOCK_BYTES * 9, "{all} bundles have {bundle_bytes} bytes");
        assert!(zeros.len() * 20 <= bundle_bytes, "{} of {bundle_bytes} bytes are zeros", zeros.len());
        check_gets(&table, &segment, None);
        check_scan(&table, &segment);
        check_verified(&table, &segment);
        let at = zeros[zeros.len() / 2];
        file.flip(at, 64);
        let found = verify(&segment, table.schema(), &arena, &mut |_| Ok(())).unwrap();
        assert!(found.problems_count > 0, "byte {at}");
    }
}

/// Aim: pages of sequences and kinds are left out where the directory says the same. Method: rows that are alike in one or the other,
/// or in both, or in none; bundled and by column.
#[test]
fn what_the_directory_says_needs_no_page() {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    for columns_count in [2, 5] {
        for (sequences, deletes) in [(1, 1), (1, 0), (4, 1), (4, 0), (4, 3), (1, 3)] {
            let types = [Type::BigInt; 5];
            let mut table = Table::of(&types[..columns_count], &[(0, KeyOrder::ASC)]);
            for i in 0..300u64 {
                let values: std::vec::Vec<_> =
                    (0..columns_count as i64).map(|column| Owned::BigInt(i as i64 ^ column)).collect();
                let is_delete = deletes > 0 && i.is_multiple_of(deletes);
                table.put(&values, 5 + i % sequences, is_delete);
            }
            table.base = 9;
            table.sort();
            let segment = table.write(&MemoryFile::new(), 0, true, 1, &arena);
            let (mut scratch, source) = (Scratch::new_in(&arena), PageSource::UNCACHED);
            let range = segment.find_range(Target::Row(0), source, &mut scratch.pages).unwrap();
            let left_out = [SEQUENCE, KIND].map(|physical| range.leaves_out(physical));
            assert_eq!(left_out, [sequences == 1, deletes < 2], "{columns_count}, {sequences}, {deletes}");
            check_gets(&table, &segment, None);
            check_scan(&table, &segment);
            check_verified(&table, &segment);
        }
    }
}

#[test]
fn columns_that_a_table_got_later_are_null() {
    let table = Table::random(9, 100, 4);
    let file = MemoryFile::new();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&file, 0, false, 1, &arena);
    let mut columns = table.columns.clone();
    columns.push(ColumnType { ty: Type::Date, is_nullable: true });
    let schema = Schema { columns: &columns, key: &table.key };
    let location = Location { footer_offset: segment.footer_offset };
    let segment = Segment::open(segment.file.clone(), location, table.base, &schema).unwrap();
    let mut scratch = Scratch::new_in(&arena);
    let last = columns.len() - 1;
    for row in &table.rows {
        let key = table.encoded_key(row);
        let found = segment
            .get(&schema, &key, table.base + row.sequence, PageSource::UNCACHED, &mut scratch)
            .unwrap()
            .unwrap();
        let value = segment.value(&schema, &found, last, PageSource::UNCACHED, &mut scratch).unwrap();
        assert!(value.is_null());
    }
    let mut cursor = SegmentCursor::new(&segment, schema, PageSource::UNCACHED, 4096, &arena);
    cursor.seek_row(0).unwrap();
    let rows = cursor.range().unwrap().rows as usize;
    let mut column = Column::new(columns[last], 2048, &arena);
    cursor.decode(last, 0..rows, column.target(), 0).unwrap();
    assert!((0..rows).all(|row| column.get(row) == Owned::Null));
    assert_eq!(cursor.zone(last).unwrap().unwrap().nulls as usize, rows);
    // Columns of other types are refused.
    columns[0].ty = if columns[0].ty == Type::Date { Type::Interval } else { Type::Date };
    let schema = Schema { columns: &columns, key: &table.key };
    let error = Segment::open(segment.file.clone(), location, 0, &schema).unwrap_err();
    assert_eq!(error.sqlstate(), "XX001");
}

#[test]
fn rows_out_of_order_are_refused() {
    let table = Table::random(5, 50, 3);
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let file = table.new_file(&MemoryFile::new());
    let sizes = WriterSizes::of(&table.schema(), 0);
    let mut writer =
        SegmentWriter::new(&file, SegmentFile::HEADER_BYTES, table.schema(), sizes, &arena).unwrap();
    let push = |writer: &mut SegmentWriter<'_, '_, '_>, row: &Row| {
        writer.push_row(&table.encoded_key(row), row.sequence, row.is_delete, &table.encoded_row(row))
    };
    push(&mut writer, &table.rows[1]).unwrap();
    let error = push(&mut writer, &table.rows[0]).unwrap_err();
    assert_eq!(error.sqlstate(), "XX001");
    assert!(error.to_string().contains("out of order"), "{error}");
    let mut writer =
        SegmentWriter::new(&file, SegmentFile::HEADER_BYTES, table.schema(), sizes, &arena).unwrap();
    push(&mut writer, &table.rows[1]).unwrap();
    assert!(push(&mut writer, &table.rows[1]).is_err(), "the same version twice");
}

#[test]
fn nothing_is_written_for_no_rows() {
    let table = Table::random(5, 1, 3);
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let memory = MemoryFile::new();
    let file = table.new_file(&memory);
    let sizes = WriterSizes::of(&table.schema(), 0);
    let writer = SegmentWriter::new(&file, SegmentFile::HEADER_BYTES, table.schema(), sizes, &arena).unwrap();
    assert!(writer.finish().unwrap().is_none());
    assert_eq!(memory.bytes().len() as u64, SegmentFile::HEADER_BYTES);
}

/// Aim: ranges that cannot have a row are passed over, and no others. Method: a predicate on a column that ascends with
/// the key.
#[test]
fn zones_say_which_ranges_count() {
    let mut table = Table::of(&[Type::BigInt, Type::Integer, Type::Text], &[(0, KeyOrder::ASC)]);
    for i in 0..5000 {
        let text = Owned::Text(std::format!("{i:06} and so on for long enough"));
        table.put(&[Owned::BigInt(i), Owned::Integer(i as i32 * 3), text], 1, false);
    }
    table.sort();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&MemoryFile::new(), 0, false, 1, &arena);
    let schema = table.schema();
    let mut cursor = SegmentCursor::new(&segment, schema, PageSource::UNCACHED, 4096, &arena);
    cursor.seek_row(0).unwrap();
    let limits =
        |column, from, to| [ZoneLimits::new(column, table.columns[usize::from(column)].ty, from, to)];
    let leave = |cursor: &mut SegmentCursor<'_, '_>, limits: &[ZoneLimits<'_>]| {
        (0..).find(|_| !cursor.leave_unwanted(limits, table.base + 1).unwrap()).unwrap()
    };
    let wanted = Value::Integer(9000);
    let skipped = leave(&mut cursor, &limits(1, Included(wanted), Included(wanted)));
    let range = *cursor.range().unwrap();
    assert!(skipped > 3 && (range.first_row..range.end_row()).contains(&3000));
    assert!(range.is_all_visible(1) && !range.is_all_visible(0));
    let wanted = Value::Text("003000 and so on");
    assert_eq!(leave(&mut cursor, &limits(2, Included(wanted), Unbounded)), 0);
    // None is left out where everything counts, nor where older readers do not see all; all are where nothing counts.
    let all = limits(1, Unbounded, Excluded(Value::Integer(15_000)));
    let none = limits(1, Excluded(Value::Integer(15_000)), Unbounded);
    assert_eq!(leave(&mut cursor, &all), 0);
    assert!(!cursor.leave_unwanted(&none, table.base).unwrap());
    leave(&mut cursor, &none);
    assert!(cursor.range().is_none());
}

#[test]
fn several_segments_share_a_file() {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let tables: std::vec::Vec<Table> = (0..3).map(|seed| Table::random(seed, 150, 5)).collect();
    let memory = MemoryFile::new();
    let file = std::sync::Arc::new(tables[0].new_file(&memory));
    let mut offset = SegmentFile::HEADER_BYTES;
    let mut places = std::vec::Vec::new();
    for table in &tables {
        let summary = table.write_at(&file, offset, 0, true, 0, &arena);
        assert_eq!(summary.start, offset);
        offset = summary.end;
        places.push(summary.location);
        assert_eq!(&*summary.smallest_key, table.encoded_key(&table.rows[0]));
        assert_eq!(&*summary.largest_key, table.encoded_key(table.rows.last().unwrap()));
        assert_eq!(summary.rows_count, table.rows.len() as u64);
        assert_eq!(summary.tombstones_count, table.rows.iter().filter(|row| row.is_delete).count() as u64);
    }
    assert_eq!(memory.bytes().len() as u64, offset);
    for (table, location) in tables.iter().zip(places) {
        let segment = Segment::open(file.clone(), location, table.base, &table.schema()).unwrap();
        check_gets(table, &segment, None);
        check_scan(table, &segment);
        let mut scratch = Scratch::new_in(&arena);
        for column in 0..table.columns.len() {
            let nulls = table.rows.iter().filter(|row| row.values[column] == Owned::Null).count() as u64;
            let statistics = segment
                .statistics(&table.schema(), column, PageSource::UNCACHED, &mut scratch)
                .unwrap()
                .unwrap();
            assert_eq!(statistics.nulls_count, nulls);
            let mut distinct: std::vec::Vec<String> =
                table.rows.iter().map(|row| std::format!("{:?}", row.values[column])).collect();
            distinct.sort();
            distinct.dedup();
            let distinct = distinct.len() as u64 - u64::from(nulls > 0);
            assert!(
                statistics.distinct_count * 2 >= distinct && statistics.distinct_count <= distinct * 2 + 1,
                "{} estimated for {distinct}",
                statistics.distinct_count
            );
            assert!(statistics.bytes > 0);
        }
    }
}

#[test]
fn a_segment_describes_itself() {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let table = Table::random(8, 3000, 5);
    let segment = table.write(&MemoryFile::new(), 0, false, 0, &arena);
    let mut scratch = Scratch::new_in(&arena);
    let (mut groups, mut rows) = (0, 0);
    segment
        .describe_groups(PageSource::UNCACHED, &mut scratch, |group| {
            assert_eq!(group.first_row, rows);
            assert!(group.filter_bytes > 0);
            (groups, rows) = (groups + 1, rows + u64::from(group.rows));
            Ok(())
        })
        .unwrap();
    assert_eq!((groups, rows), (segment.groups_count, table.rows.len() as u64));
    for column in 0..table.columns.len() {
        let mut rows = 0;
        segment
            .describe_pages(&table.schema(), column, PageSource::UNCACHED, &mut scratch, |range, page| {
                assert_eq!((range.first_row, range.rows), (rows, page.zone.rows));
                rows = range.end_row();
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, segment.rows_count());
    }
}

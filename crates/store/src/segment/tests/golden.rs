//! Files of each version of the format, which every later version reads. `UPDATE_GOLDEN=1` writes the current version's
//! anew: only while no release has it.

use super::damage::{bundled_sample_table, sample_table, write_sample};
use super::model::*;
use super::*;
use std::path::PathBuf;
use std::sync::Arc;

fn path(version: u32, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(std::format!("tests/formats/v{version}/{name}"))
}

/// Rows enough for an index with nodes and for texts with symbols.
fn large_table() -> Table {
    let types = [
        Type::Integer,
        Type::Text,
        Type::Boolean,
        Type::Date,
        Type::Interval,
        Type::Decimal { precision: 9, scale: 2 },
    ];
    let mut table = Table::of(&types, &[(3, KeyOrder::ASC), (0, KeyOrder::ASC)]);
    for i in 0..700i64 {
        let words = ["slyly ", "regular ", "deposits ", "carefully ", "final "];
        let text = (0..6).map(|n| words[((i * 7 + n * i) % 5) as usize]).collect::<String>();
        let values = [
            Owned::Integer((i * 31 % 97) as i32),
            if i % 10 == 9 { Owned::Null } else { Owned::Text(text) },
            Owned::Boolean(i % 3 == 0),
            Owned::Date(Date::from_days(9000 + i / 4).unwrap()),
            Owned::Interval((i % 5) as i32, (i % 13) as i32, i % 3 * 1_000_000),
            Owned::Decimal(Decimal::new(i128::from(i * 1001 % 5000), 2).unwrap()),
        ];
        table.put(&values, i as u64 % 4, false);
    }
    table.base = 7;
    table.sort();
    table
}

/// The three segments of the golden file.
fn write_golden(memory: &MemoryFile) -> [Location; 3] {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let (small, large) = (sample_table(), large_table());
    let file = small.new_file(memory);
    let first = write_sample(&small, &file, SegmentFile::HEADER_BYTES, &arena);
    let sizes = WriterSizes::of(&large.schema(), 1 << 20).with_page_rows(100).with_ranges(2);
    let mut writer = SegmentWriter::new(&file, first.end, large.schema(), sizes, &arena).unwrap();
    for row in &large.rows {
        writer
            .push_row(&large.encoded_key(row), row.sequence, row.is_delete, &large.encoded_row(row))
            .unwrap();
    }
    let second = writer.finish().unwrap().unwrap();
    let third = write_sample(&bundled_sample_table(), &file, second.end, &arena);
    [first.location, second.location, third.location]
}

/// Aim: files of version 1 are read, whatever the version of the program. Method: a file that was written once, held
/// against the rows that it was written from.
#[test]
fn files_of_version_1_are_read() {
    let file = path(1, "segments.bin");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let memory = MemoryFile::new();
        let locations = write_golden(&memory);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, memory.bytes()).unwrap();
        let places = locations.map(|location| location.footer_offset.to_string());
        std::fs::write(path(1, "segments.txt"), places.join(" ") + "\n").unwrap();
    }
    let bytes = std::fs::read(&file).unwrap();
    let places = std::fs::read_to_string(path(1, "segments.txt")).unwrap();
    let file = SegmentFile::open(Box::new(MemoryFile::of(&bytes)), FileId::new(FileKind::Segments, 42));
    let file = Arc::new(file.unwrap());
    for (place, table) in
        places.split_whitespace().zip([sample_table(), large_table(), bundled_sample_table()])
    {
        let location = Location { footer_offset: place.parse().unwrap() };
        let segment = Segment::open(file.clone(), location, table.base, &table.schema()).unwrap();
        check_verified(&table, &segment);
        check_gets(&table, &segment, None);
        check_scan(&table, &segment);
        check_seeks(&table, &segment);
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let mut has_symbols = false;
        segment
            .describe_pages(
                &table.schema(),
                1,
                PageSource::UNCACHED,
                &mut Scratch::new_in(&arena),
                |_, page| {
                    has_symbols |= page.encoding.is_compressed;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(has_symbols, table.columns.len() == 6, "only the large table's texts are compressed");
        assert!(segment.height > 0);
    }
}

/// Aim: sketches of version 1 are read, whatever the version of the program. Method: as above, with a file that has them; the sample
/// must have the rows of the keys with the least hashes, and the registers must count what is there.
#[test]
fn sketches_of_version_1_are_read() {
    let file = path(1, "sketches.bin");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let memory = MemoryFile::new();
        let locations = write_golden(&memory);
        std::fs::write(&file, memory.bytes()).unwrap();
        let places = locations.map(|location| location.footer_offset.to_string());
        std::fs::write(path(1, "sketches.txt"), places.join(" ") + "\n").unwrap();
    }
    let bytes = std::fs::read(&file).unwrap();
    let places = std::fs::read_to_string(path(1, "sketches.txt")).unwrap();
    let file = SegmentFile::open(Box::new(MemoryFile::of(&bytes)), FileId::new(FileKind::Segments, 42));
    let file = Arc::new(file.unwrap());
    for (place, table) in
        places.split_whitespace().zip([sample_table(), large_table(), bundled_sample_table()])
    {
        let location = Location { footer_offset: place.parse().unwrap() };
        let segment = Segment::open(file.clone(), location, table.base, &table.schema()).unwrap();
        check_verified(&table, &segment);
        check_sketches(&table, &segment);
    }
}

/// Holds the sketches of a segment against the rows of its table.
fn check_sketches(table: &Table, segment: &Segment) {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let (source, mut scratch) = (PageSource::UNCACHED, Scratch::new_in(&arena));
    let mut keys: std::vec::Vec<(u64, &Row)> =
        table.rows.iter().map(|row| (hash_key(&table.encoded_key(row)), row)).collect();
    // The newest version of each key comes first.
    keys.dedup_by_key(|(hash, _)| *hash);
    let keys_count = keys.len();
    keys.sort_by_key(|(hash, _)| *hash);
    let found = segment.with_sketches(source, &mut scratch, |head| {
        assert_eq!(head.keys_count(), keys_count as u64);
        keys.retain(|(hash, _)| *hash < head.limit());
        let sampled: std::vec::Vec<_> = (0..head.rows()).map(|row| head.row(row)).collect();
        let expected: std::vec::Vec<_> = keys.iter().map(|(hash, row)| (*hash, row.is_delete)).collect();
        assert!(sampled.len() >= 8 && sampled == expected, "{sampled:?}");
        Ok(())
    });
    assert!(found.unwrap().is_some());
    for (column, ty) in table.columns.iter().enumerate() {
        let texts = table.rows.iter().filter_map(|row| match &row.values[column] {
            Owned::Text(text) => Some(text.len() as u64),
            _ => None,
        });
        let text_bytes: u64 = texts.sum();
        let seen = segment.with_sketch(ty.kind(), column, source, &mut scratch, |sketch| {
            assert_eq!(sketch.text_bytes, text_bytes);
            let page = sketch.sample.expect("there is a sample");
            let mut text = Vec::new_in(&arena);
            for (index, (_, row)) in keys.iter().enumerate() {
                let value = page.value_at(index, ty.ty, None, &mut text).unwrap();
                let crate::page::PageValue::Inline(value) = value else { panic!() };
                match &row.values[column] {
                    Owned::Text(text) => {
                        let Value::Text(kept) = value else { panic!() };
                        assert!(text.starts_with(kept) && (kept.len() == text.len() || kept.len() >= 29));
                    }
                    expected => assert_eq!(Owned::of(value), *expected),
                }
            }
            Ok(())
        });
        assert!(seen.unwrap().is_some());
    }
}

/// Aim: the writer is deterministic, so that a difference in its bytes is a change somebody made.
#[test]
fn the_same_rows_make_the_same_bytes() {
    let (first, second) = (MemoryFile::new(), MemoryFile::new());
    assert_eq!(write_golden(&first), write_golden(&second));
    assert_eq!(first.bytes(), second.bytes());
}

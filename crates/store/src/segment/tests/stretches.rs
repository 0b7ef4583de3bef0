//! Stretches: pages that scans keep in the cache.

use super::*;
use crate::error::Error;
use std::vec::Vec as Std;

/// A table whose segment has many small pages, which do not stand in bundles.
fn sample() -> Table {
    let types = [Type::BigInt, Type::Integer, Type::Boolean, Type::Boolean];
    let mut table = Table::of(&types, &[(0, KeyOrder::ASC)]);
    for i in 0..3000 {
        let number = Owned::Integer((i * 7919 % 1000) as i32);
        table.put(&[Owned::BigInt(i), number, Owned::Boolean(true), Owned::Null], 1, false);
    }
    table.sort();
    table
}

/// The second column, read as a scan does, as far as that goes.
fn read(table: &Table, segment: &Segment, cache: &Cache) -> (Std<Owned>, Option<Error>) {
    let arena = Arena::new(&Budget::unlimited("scan").unwrap());
    let source = PageSource::cached(cache);
    let mut cursor = SegmentCursor::new(segment, table.schema(), source, 128 << 10, &arena);
    cursor.keep_pages();
    let mut values = Std::new();
    cursor.seek_row(0).unwrap();
    while let Some(range) = cursor.range().copied() {
        let rows = range.rows as usize;
        let mut column = Column::new(table.columns[1], rows, &arena);
        if let Err(error) = cursor.decode(1, 0..rows, column.target(), 0) {
            return (values, Some(error));
        }
        values.extend((0..rows).map(|row| column.get(row)));
        cursor.next_range().unwrap();
    }
    (values, None)
}

/// Where the pages of the second column are.
fn pages(table: &Table, segment: &Segment) -> Std<(u64, u64, usize)> {
    let arena = Arena::new(&Budget::unlimited("test").unwrap());
    let (mut pages, mut scratch) = (Std::new(), Scratch::new_in(&arena));
    let look = |range: &RangePlace, page: &PageDescription| {
        pages.push((range.first_row, page.offset, page.bytes as usize));
        Ok(())
    };
    segment.describe_pages(&table.schema(), 1, PageSource::UNCACHED, &mut scratch, look).unwrap();
    pages
}

/// Aim: what was kept is not read again, and what there is no free room for is read each time. Method: the pages are destroyed in the file after the first scan, with caches of several sizes.
#[test]
fn pages_that_were_kept_are_not_read_again() {
    let table = sample();
    let expected: Std<Owned> = table.rows.iter().map(|row| row.values[1].clone()).collect();
    for (limit_bytes, is_kept) in [(1 << 20, true), (8 << 10, false)] {
        let memory = MemoryFile::new();
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let segment = table.write(&memory, 0, false, 0, &arena);
        let pages = pages(&table, &segment);
        assert!(pages.len() > 20, "{} pages", pages.len());
        let cache = Cache::new(&budget, limit_bytes).unwrap();
        for _ in 0..2 {
            let (values, error) = read(&table, &segment, &cache);
            assert!(error.is_none() && values == expected);
            assert!(cache.budget().peak() <= limit_bytes);
        }
        for (_, offset, bytes) in pages {
            (offset as usize..offset as usize + bytes).for_each(|at| memory.flip(at, 0xff));
        }
        let (values, error) = read(&table, &segment, &cache);
        assert_eq!(error.is_none() && values == expected, is_kept, "{limit_bytes}: {error:?}");
    }
}

/// Aim: a page that is damaged is told when it is read, each time, and not with the others of its stretch. Method: one byte of
/// each page in turn, under a cache with room; behind the damage, scans that begin there.
#[test]
fn a_damaged_page_is_not_kept_and_hides_no_other() {
    let table = sample();
    let memory = MemoryFile::new();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let segment = table.write(&memory, 0, false, 0, &arena);
    let expected: Std<Owned> = table.rows.iter().map(|row| row.values[1].clone()).collect();
    for (first_row, offset, bytes) in pages(&table, &segment).into_iter().step_by(7) {
        let cache = Cache::new(&budget, 1 << 20).unwrap();
        memory.flip(offset as usize + bytes / 2, 4);
        for _ in 0..2 {
            let (values, error) = read(&table, &segment, &cache);
            assert!(matches!(error, Some(Error::Corrupt(problem)) if problem.offset == offset), "{error:?}");
            assert_eq!(values, expected[..first_row as usize]);
        }
        memory.flip(offset as usize + bytes / 2, 4);
        let (values, error) = read(&table, &segment, &cache);
        assert!(error.is_none() && values == expected);
    }
}

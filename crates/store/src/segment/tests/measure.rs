//! Times, printed: `cargo test --release -p cofferdam-store measure -- --ignored --nocapture --test-threads 1`.

use super::model::*;
use super::*;
use cofferdam_types::column::{Data, TextView};
use cofferdam_vfs::File;
use std::boxed::Box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::vec::Vec as Std;
use std::{io, println};

#[derive(Debug)]
struct Disk(std::fs::File);

impl File for Disk {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

fn file() -> Arc<SegmentFile> {
    let path = std::env::temp_dir().join(std::format!("cofferdam-measure-{}", std::process::id()));
    let file =
        std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    Arc::new(SegmentFile::create(Box::new(Disk(file)), FileId::new(FileKind::Segments, 1), 1).unwrap())
}

/// The processor's time of this thread: others may be busy.
struct Clock(u64);

impl Clock {
    fn now() -> Clock {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Clock(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn seconds(&self) -> f64 {
        (Clock::now().0 - self.0) as f64 / 1e9
    }
}

const ROWS: usize = 1_000_000;

#[test]
#[ignore = "prints times"]
fn measure_rows_of_a_key_and_a_text() {
    let table = Table::of(&[Type::BigInt, Type::Text], &[(0, KeyOrder::ASC)]);
    let schema = table.schema();
    let budget = Budget::unlimited("test").unwrap();
    for (allowance, symbols, rows_count) in
        [(64 << 10, false, ROWS), (1 << 20, true, ROWS), (4 << 20, false, ROWS), (4 << 20, false, ROWS / 10)]
    {
        let file = file();
        let arena = Arena::new(&budget);
        let mut random = Random(1);
        let letters: Std<u8> = (0..4 << 20).map(|_| b'a' + (random.below(26) as u8)).collect();
        let batch = 2048;
        let sizes = WriterSizes::of(&schema, allowance);
        let sizes = if symbols { sizes } else { sizes.without_symbols() };
        let start = Clock::now();
        let mut writer = SegmentWriter::new(&file, 64, schema, sizes, &arena).unwrap();
        let (mut keys, mut views) = (std::vec![0i64; batch], std::vec![TextView::default(); batch]);
        let (sequences, deletes) = (std::vec![1u64; batch], std::vec![false; batch]);
        for first in (0..rows_count).step_by(batch) {
            let rows = batch.min(rows_count - first);
            for row in 0..rows {
                keys[row] = (first + row) as i64 * 3;
                views[row] =
                    TextView { start: (random.next() % (letters.len() as u64 - 100)) as u32, len: 100 };
            }
            let (keys, views) = (Data::I64(&mut keys), Data::Text(&mut views));
            let columns = [ColumnRef::new(&keys, &[]), ColumnRef::new(&views, &letters)];
            writer.push_batch(&columns, &sequences, &deletes, 0..rows).unwrap();
        }
        let summary = writer.finish().unwrap().unwrap();
        let seconds = start.seconds();
        let segment = Segment::open(file.clone(), summary.location, 0, &schema).unwrap();
        println!(
            "write, {allowance} B allowed, symbols {symbols}: {:.0} MB/s of 108 B rows, {} bytes, {} groups, arena {}",
            rows_count as f64 * 108.0 / 1e6 / seconds,
            summary.end - summary.start,
            segment.groups_count,
            arena.stats().allocated_bytes,
        );
        let cache = Cache::new(&budget, 512 << 20).unwrap();
        let source = PageSource::cached(&cache);
        let scratch_arena = Arena::new(&budget);
        let mut scratch = Scratch::new_in(&scratch_arena);
        for round in 0..3 {
            let mut random = Random(2);
            let start = Clock::now();
            let mut bytes = 0;
            let gets = 300_000;
            for _ in 0..gets {
                let mut key = [1; 9];
                key[1..].copy_from_slice(&cofferdam_types::key::bigint_key(
                    random.below(rows_count as u64) as i64 * 3,
                ));
                let found = segment.get(&schema, &key, 5, source, &mut scratch).unwrap().unwrap();
                let Value::Text(text) = segment.value(&schema, &found, 1, source, &mut scratch).unwrap()
                else {
                    panic!()
                };
                bytes += text.len();
            }
            println!("get {round}: {:.0} ns", start.seconds() * 1e9 / gets as f64);
            assert_eq!(bytes, gets * 100);
            let start = Clock::now();
            for _ in 0..gets {
                let mut key = [1; 9];
                key[1..].copy_from_slice(&cofferdam_types::key::bigint_key(
                    random.below(rows_count as u64) as i64 * 3 + 1,
                ));
                assert!(segment.get(&schema, &key, 5, source, &mut scratch).unwrap().is_none());
            }
            println!("absent {round}: {:.0} ns", start.seconds() * 1e9 / gets as f64);
        }
        println!("{:?}, scratch {}", cache.stats(), scratch_arena.stats().allocated_bytes);
    }
}

#[test]
#[ignore = "prints times"]
fn measure_sums_of_three_columns() {
    let types = [Type::BigInt, Type::Integer, Type::Decimal { precision: 12, scale: 2 }, Type::BigInt];
    let table = Table::of(&types, &[(0, KeyOrder::ASC)]);
    let schema = table.schema();
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let file = file();
    let rows_count = 6 * ROWS;
    let mut writer =
        SegmentWriter::new(&file, 64, schema, WriterSizes::of(&schema, 4 << 20), &arena).unwrap();
    let batch = 2048;
    let mut columns =
        (std::vec![0i64; batch], std::vec![0i32; batch], std::vec![0i64; batch], std::vec![0i64; batch]);
    let (sequences, deletes) = (std::vec![1u64; batch], std::vec![false; batch]);
    let mut random = Random(1);
    let start = Clock::now();
    for first in (0..rows_count).step_by(batch) {
        let rows = batch.min(rows_count - first);
        for row in 0..rows {
            columns.0[row] = (first + row) as i64;
            columns.1[row] = random.below(50) as i32;
            columns.2[row] = 90_000 + random.below(10_000_000) as i64;
            columns.3[row] = random.below(200_000) as i64;
        }
        let data = (
            Data::I64(&mut columns.0),
            Data::I32(&mut columns.1),
            Data::I64(&mut columns.2),
            Data::I64(&mut columns.3),
        );
        let refs = [&data.0, &data.1, &data.2, &data.3].map(|data| ColumnRef::new(data, &[]));
        writer.push_batch(&refs, &sequences, &deletes, 0..rows).unwrap();
    }
    let summary = writer.finish().unwrap().unwrap();
    println!("write: {:.0} ns a row, {} bytes", start.seconds() * 1e9 / rows_count as f64, summary.end);
    let segment = Segment::open(file, summary.location, 0, &schema).unwrap();
    for read_ahead in [16 << 10, 64 << 10, 256 << 10] {
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..5 {
            let arena = Arena::new(&budget);
            let mut into: Std<Column<'_>> =
                (0..4).map(|index| Column::new(table.columns[index], 2048, &arena)).collect();
            let cache = Cache::new(&budget, 4 << 20).unwrap();
            let start = Clock::now();
            let mut cursor =
                SegmentCursor::new(&segment, schema, PageSource::cached(&cache), read_ahead, &arena);
            cursor.seek_row(0).unwrap();
            let mut sums = [0i64; 3];
            while let Some(range) = cursor.range() {
                let rows = range.rows as usize;
                for (column, into) in into.iter_mut().enumerate().skip(1) {
                    cursor.decode(column, 0..rows, into.target(), 0).unwrap();
                    sums[column - 1] += into.sum(rows);
                }
                cursor.next_range().unwrap();
            }
            let summed = start.seconds() * 1e3;
            let start = Clock::now();
            let mut cursor =
                SegmentCursor::new(&segment, schema, PageSource::cached(&cache), read_ahead, &arena);
            cursor.seek_row(0).unwrap();
            while let Some(range) = cursor.range() {
                let rows = range.rows as usize;
                for (column, into) in into.iter_mut().enumerate().skip(1) {
                    cursor.decode(column, 0..rows, into.target(), 0).unwrap();
                }
                cursor.next_range().unwrap();
            }
            let decoded = start.seconds() * 1e3;
            best = (best.0.min(summed), best.1.min(decoded));
            assert!(sums.iter().all(|sum| *sum > 0));
        }
        println!(
            "6M rows, 3 columns, read-ahead {read_ahead}: decoded and summed {:.1} ms, decoded {:.1} ms",
            best.0, best.1
        );
    }
}

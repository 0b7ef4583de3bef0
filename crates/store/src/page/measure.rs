//! Figures of pages: bytes of TPC-H's lineitem, and the speed of the loops. Nothing here runs unless asked for:
//!
//! ```console
//! $ cofferdam tpch-data --scale 0.1 --tables lineitem --out target
//! $ LINEITEM=$PWD/target/lineitem.tbl cargo test --release -p cofferdam-store --lib -- --ignored --nocapture page::measure
//! ```

use std::hint::black_box;
use std::string::String;
use std::time::Instant;
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget, collections};
use cofferdam_types::column::{Data, Kind, TextView};

use super::*;

/// Rows that share symbols.
const GROUP_ROWS: usize = 65_536;

struct Column {
    name: &'static str,
    numbers: Vec<i64>,
    doubles: Vec<f64>,
    views: Vec<TextView>,
    heap: Vec<u8>,
    kind: Kind,
}

impl Column {
    fn new(name: &'static str, kind: Kind) -> Column {
        Column { name, numbers: vec![], doubles: vec![], views: vec![], heap: vec![], kind }
    }

    fn push(&mut self, field: &str) {
        match self.kind {
            Kind::Text => {
                let view = TextView { start: self.heap.len() as u32, len: field.len() as u32 };
                self.heap.extend(field.as_bytes());
                self.views.push(view);
            }
            Kind::F64 => self.doubles.push(field.parse().unwrap()),
            // Dates and decimals of two digits: days from some day on do as well as those from 1970.
            _ if field.contains('-') => {
                let parts: Vec<i64> = field.split('-').map(|part| part.parse().unwrap()).collect();
                self.numbers.push(
                    cofferdam_types::Date::from_ymd(parts[0] as i32, parts[1] as u32, parts[2] as u32)
                        .unwrap()
                        .days()
                        .into(),
                );
            }
            _ => self.numbers.push(field.replace('.', "").parse().unwrap()),
        }
    }

    fn len(&self) -> usize {
        self.numbers.len() + self.views.len() + self.doubles.len()
    }

    fn text(&self, row: usize) -> &[u8] {
        self.views[row].of(&self.heap)
    }
}

fn lineitem() -> Option<Vec<Column>> {
    let path = std::env::var_os("LINEITEM")?;
    let file = std::fs::read_to_string(path).unwrap();
    let kinds = [
        ("l_orderkey", Kind::I64),
        ("l_partkey", Kind::I64),
        ("l_suppkey", Kind::I64),
        ("l_linenumber", Kind::I32),
        ("l_quantity", Kind::I64),
        ("l_extendedprice", Kind::I64),
        ("l_discount", Kind::I64),
        ("l_tax", Kind::I64),
        ("l_returnflag", Kind::Text),
        ("l_linestatus", Kind::Text),
        ("l_shipdate", Kind::I32),
        ("l_commitdate", Kind::I32),
        ("l_receiptdate", Kind::I32),
        ("l_shipinstruct", Kind::Text),
        ("l_shipmode", Kind::Text),
        ("l_comment", Kind::Text),
        ("price as a double", Kind::F64),
    ];
    let mut columns: Vec<Column> = kinds.iter().map(|(name, kind)| Column::new(name, *kind)).collect();
    for line in file.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        for (column, field) in columns.iter_mut().take(16).zip(&fields) {
            column.push(field);
        }
        columns[16].push(fields[5]);
    }
    Some(columns)
}

/// The pages of a column, with the symbols of each, and what they took.
struct Pages {
    pages: Vec<(Vec<u8>, usize)>,
    tables: Vec<Option<SymbolTable>>,
    stats: Vec<PageStats>,
    encode_ns: f64,
    train_ns: f64,
    symbols_bytes: usize,
}

fn encode_column(column: &Column) -> Pages {
    let budget = Budget::unlimited("measure").unwrap();
    let (arena, out_arena) = (Arena::new(&budget), Arena::new(&budget));
    let mut scratch = EncodeScratch::new_in(&arena);
    let mut out = collections::Vec::new_in(&out_arena);
    let (mut pages, mut tables, mut stats) = (vec![], vec![], vec![]);
    let (mut encode_ns, mut train_ns, mut symbols_bytes) = (0, 0, 0);
    let (mut ints, mut numbers, mut doubles, mut views) = (
        vec![0i32; ROWS_MAX],
        vec![0i64; ROWS_MAX],
        vec![0f64; ROWS_MAX],
        vec![TextView::default(); ROWS_MAX],
    );
    let rows = column.len();
    for group in (0..rows).step_by(GROUP_ROWS) {
        let end = (group + GROUP_ROWS).min(rows);
        let table = if column.kind == Kind::Text {
            let mut train = Arena::new(&budget);
            let start = Instant::now();
            let samples = (group..end).step_by(((end - group) / 1024).max(1)).map(|row| column.text(row));
            let table = SymbolTable::train(samples, &train).unwrap();
            train_ns += start.elapsed().as_nanos();
            train.release();
            table
        } else {
            None
        };
        let mut is_used = false;
        for first in (group..end).step_by(ROWS_MAX) {
            let count = (end - first).min(ROWS_MAX);
            let data = match column.kind {
                Kind::I32 => {
                    ints.iter_mut().zip(&column.numbers[first..]).for_each(|(to, from)| *to = *from as i32);
                    Data::I32(&mut ints)
                }
                Kind::I64 => {
                    numbers[..count].copy_from_slice(&column.numbers[first..first + count]);
                    Data::I64(&mut numbers)
                }
                Kind::F64 => {
                    doubles[..count].copy_from_slice(&column.doubles[first..first + count]);
                    Data::F64(&mut doubles)
                }
                _ => {
                    views[..count].copy_from_slice(&column.views[first..first + count]);
                    Data::Text(&mut views)
                }
            };
            let values = PageValues {
                data: &data,
                valid: None,
                heap: &column.heap,
                first: 0,
                rows: count,
                longs: &[],
            };
            let mut best = u128::MAX;
            for _ in 0..3 {
                out.clear();
                let start = Instant::now();
                encode(&values, table.as_ref(), &mut scratch, &mut out).unwrap();
                best = start.elapsed().as_nanos().min(best);
            }
            encode_ns += best;
            out.clear();
            let page = encode(&values, table.as_ref(), &mut scratch, &mut out).unwrap();
            is_used |= page.encoding.is_compressed;
            pages.push((out.to_vec(), tables.len()));
            stats.push(page);
        }
        if is_used {
            let mut form = collections::Vec::new_in(&out_arena);
            table.as_ref().unwrap().write(&mut form).unwrap();
            symbols_bytes += form.len();
        }
        tables.push(table);
    }
    let (encode_ns, train_ns) = (encode_ns as f64, train_ns as f64);
    Pages { pages, tables, stats, encode_ns, train_ns, symbols_bytes }
}

/// Nanoseconds that decoding all pages takes, and the bytes that it gives.
fn decode_column(kind: Kind, pages: &Pages) -> (f64, usize) {
    let budget = Budget::unlimited("measure").unwrap();
    let arena = Arena::new(&budget);
    let (mut ints, mut numbers, mut doubles, mut views) = (
        vec![0i32; ROWS_MAX],
        vec![0i64; ROWS_MAX],
        vec![0f64; ROWS_MAX],
        vec![TextView::default(); ROWS_MAX],
    );
    let mut valid = vec![true; ROWS_MAX];
    let mut heap = collections::Vec::new_in(&arena);
    let mut data = match kind {
        Kind::I32 => Data::I32(&mut ints),
        Kind::I64 => Data::I64(&mut numbers),
        Kind::F64 => Data::F64(&mut doubles),
        _ => Data::Text(&mut views),
    };
    // The best of each page by itself: other work on the machine comes and goes.
    let mut best = vec![u128::MAX; pages.pages.len()];
    let mut bytes = 0;
    for _ in 0..9 {
        bytes = 0;
        for ((page, table), best) in pages.pages.iter().zip(&mut best) {
            let start = Instant::now();
            let page = Page::parse_again(page).unwrap();
            heap.clear();
            let into =
                ColumnMut { data: &mut data, valid: &mut valid, all_valid: &mut true, heap: &mut heap };
            page.decode(0..page.rows(), into, 0, pages.tables[*table].as_ref()).unwrap();
            *best = start.elapsed().as_nanos().min(*best);
            bytes += page.rows() * kind.bytes() + heap.len();
        }
    }
    black_box(&data);
    (best.iter().sum::<u128>() as f64, bytes)
}

/// Nanoseconds of reading one value at a row that looks like chance, in pages that stay warm: where the row depends on
/// the value before, and where it does not.
fn access_column(kind: Kind, pages: &Pages) -> (f64, f64) {
    let budget = Budget::unlimited("measure").unwrap();
    let arena = Arena::new(&budget);
    let mut buffer = collections::Vec::new_in(&arena);
    let parsed: Vec<_> = pages.pages.iter().take(4).map(|(page, _)| Page::parse(page).unwrap()).collect();
    (latency::<true>(kind, pages, &parsed, &mut buffer), latency::<false>(kind, pages, &parsed, &mut buffer))
}

fn latency<const DEPENDS: bool>(
    kind: Kind,
    pages: &Pages,
    parsed: &[Page<'_>],
    buffer: &mut collections::Vec<'_, u8>,
) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..7 {
        let (mut sum, mut row) = (0i64, 0usize);
        let start = Instant::now();
        for _ in 0..500 {
            for page in parsed {
                for _ in 0..32 {
                    row = (row.wrapping_mul(5) + 1) & 1023;
                    if DEPENDS {
                        row ^= sum as usize & 1;
                    }
                    sum = sum.wrapping_add(match kind {
                        Kind::Text => match page.text_at(row, pages.tables[0].as_ref(), buffer).unwrap() {
                            TextRef::Inline(text) => text.len() as i64,
                            TextRef::Long(_) => 0,
                        },
                        Kind::F64 => page.f64_at(row) as i64,
                        _ => page.i64_at(row),
                    });
                }
            }
        }
        black_box(sum);
        best = best.min(start.elapsed().as_nanos() as f64 / (500 * 32 * parsed.len()) as f64);
    }
    best
}

/// Aim: how small lineitem is in pages of 2,048 rows in the order of the file, and how fast each column is.
#[test]
#[ignore = "measures; needs LINEITEM"]
fn lineitem_in_pages() {
    let Some(columns) = lineitem() else { return std::println!("LINEITEM is not set") };
    let mut total = 0.0;
    std::println!(
        "{:<18} {:>8} {:>8} {:>8} {:>9} {:>13}  encodings",
        "column",
        "B/row",
        "enc ns",
        "dec ns",
        "dec GB/s",
        "get ns"
    );
    for column in &columns {
        let pages = encode_column(column);
        let rows = column.len() as f64;
        let bytes = pages.stats.iter().map(|stats| stats.bytes as usize).sum::<usize>() + pages.symbols_bytes;
        let (decode_ns, decoded_bytes) = decode_column(column.kind, &pages);
        let (latency_ns, access_ns) = access_column(column.kind, &pages);
        let mut encodings: Vec<(String, usize)> = vec![];
        for stats in &pages.stats {
            let name = stats.encoding.to_string();
            match encodings.iter_mut().find(|(known, _)| *known == name) {
                Some((_, count)) => *count += 1,
                None => encodings.push((name, 1)),
            }
        }
        if column.kind != Kind::F64 {
            total += bytes as f64 / rows;
        }
        std::println!(
            "{:<18} {:>8.3} {:>8.1} {:>8.2} {:>9.1} {:>6.1} {:>6.1}  {encodings:?}{}",
            column.name,
            bytes as f64 / rows,
            pages.encode_ns / rows,
            decode_ns / rows,
            decoded_bytes as f64 / decode_ns,
            latency_ns,
            access_ns,
            if pages.train_ns > 0.0 {
                std::format!(
                    " train {:.2} ms/group, symbols {} B",
                    pages.train_ns / 1e6 / pages.tables.len() as f64,
                    pages.symbols_bytes
                )
            } else {
                String::new()
            }
        );
    }
    std::println!("{:<18} {total:>8.3}", "lineitem");
}

/// Aim: what compressing and decompressing texts costs by itself.
#[test]
#[ignore = "measures; needs LINEITEM"]
fn symbols_alone() {
    let Some(columns) = lineitem() else { return std::println!("LINEITEM is not set") };
    let comments = &columns[15];
    let arena = Arena::new(&Budget::unlimited("measure").unwrap());
    let table = SymbolTable::train((0..1024).map(|i| comments.text(i * 64)), &arena).unwrap().unwrap();
    let mut out = collections::Vec::with_capacity_in(TEXT_BYTES_MAX * 2, &arena).unwrap();
    let rows = ROWS_MAX as f64;
    let raw: usize = (0..ROWS_MAX).map(|row| comments.text(row).len()).sum();
    let mut ends = vec![];
    let mut best = [f64::MAX; 3];
    let mut room = vec![0; raw + 8];
    for _ in 0..50 {
        let start = Instant::now();
        black_box((0..ROWS_MAX).map(|row| table.encoded_bytes(comments.text(row))).sum::<usize>());
        best[0] = best[0].min(start.elapsed().as_nanos() as f64);
        out.clear();
        ends.clear();
        let start = Instant::now();
        for row in 0..ROWS_MAX {
            table.encode(comments.text(row), &mut out).unwrap();
            ends.push(out.len());
        }
        best[1] = best[1].min(start.elapsed().as_nanos() as f64);
        let start = Instant::now();
        let (mut at, mut from) = (0, 0);
        for end in &ends {
            at += table.decode(&out, from..*end, &mut room[at..]).unwrap();
            from = *end;
        }
        best[2] = best[2].min(start.elapsed().as_nanos() as f64);
        assert_eq!(at, raw);
    }
    std::println!(
        "line: {raw} bytes to {}: count {:.1}, encode {:.1}, decode {:.1} ns a text; {:.2}, {:.2}, {:.2} GB/s",
        out.len(),
        best[0] / rows,
        best[1] / rows,
        best[2] / rows,
        raw as f64 / best[0],
        raw as f64 / best[1],
        raw as f64 / best[2]
    );
}

/// Aim: time of encoding, for a profiler. Method: one column, named by COLUMN, over and over.
#[test]
#[ignore = "measures; needs LINEITEM and COLUMN"]
fn encode_alone() {
    let (Some(columns), Some(name)) = (lineitem(), std::env::var_os("COLUMN")) else { return };
    let column = columns.iter().find(|column| *column.name == name).unwrap();
    let mut best = f64::MAX;
    for _ in 0..10 {
        best = best.min(encode_column(column).encode_ns / column.len() as f64);
    }
    std::println!("line: {} {best:.1} ns", column.name);
}

/// Aim: decoding a column of 64 and of 32 bits by the width of its differences, in GB/s of output, and reading one.
#[test]
#[ignore = "measures"]
fn widths_alone() {
    for width in [1u32, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48, 56, 64] {
        let mut state = 1u64;
        let numbers = (0..ROWS_MAX).map(|_| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 32 ^ state) as i64 & (u64::MAX >> (64 - width)) as i64
        });
        let mut column = Column::new("", Kind::I64);
        column.numbers = numbers.collect();
        let longs = encode_column(&column);
        let (long_ns, long_bytes) = decode_column(Kind::I64, &longs);
        let (latency_ns, access_ns) = access_column(Kind::I64, &longs);
        let mut speed = std::format!("{:.1} GB/s", long_bytes as f64 / long_ns);
        if width < 32 {
            column.kind = Kind::I32;
            let ints = encode_column(&column);
            let (int_ns, int_bytes) = decode_column(Kind::I32, &ints);
            speed += &std::format!(", 32 bits {:.1} GB/s", int_bytes as f64 / int_ns);
        }
        let encoding = longs.stats[0].encoding;
        std::println!(
            "line: {width} bits, {encoding}: {speed}, get {access_ns:.1} ns, in a chain {latency_ns:.1} ns"
        );
    }
}

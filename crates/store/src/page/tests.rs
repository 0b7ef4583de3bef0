//! Pages against the values that they were made of.

use std::vec::Vec;

use super::*;
use cofferdam_arena::{Arena, Budget, collections};
use cofferdam_types::column::{Data, Kind, TextView};

/// A value of any kind, comparable bit by bit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Int(i128),
    /// By its bits.
    Double(u64),
    Text(Vec<u8>),
    Long(u64, u32, u32),
}

type Cells = Vec<Option<Cell>>;

fn arena() -> Arena {
    Arena::new(&Budget::unlimited("test").unwrap())
}

/// The slices that a [`Data`] is made of.
struct Slices {
    bools: Vec<bool>,
    ints: Vec<i32>,
    longs: Vec<i64>,
    wides: Vec<i128>,
    doubles: Vec<f64>,
    views: Vec<TextView>,
}

impl Slices {
    fn of(len: usize) -> Slices {
        let views = vec![TextView { start: 7, len: 7 }; len];
        Slices {
            bools: vec![true; len],
            ints: vec![77; len],
            longs: vec![77; len],
            wides: vec![77; len],
            doubles: vec![77.0; len],
            views,
        }
    }

    fn data(&mut self, kind: Kind) -> Data<'_> {
        match kind {
            Kind::Bool => Data::Bool(&mut self.bools),
            Kind::I32 => Data::I32(&mut self.ints),
            Kind::I64 => Data::I64(&mut self.longs),
            Kind::I128 => Data::I128(&mut self.wides),
            Kind::F64 => Data::F64(&mut self.doubles),
            Kind::Text => Data::Text(&mut self.views),
        }
    }
}

/// A column that is encoded from its third row on, so that offsets are tested too.
struct Column {
    slices: Slices,
    valid: Vec<bool>,
    heap: Vec<u8>,
    longs: Vec<(u16, LongRef)>,
    rows: usize,
}

const FIRST: usize = 3;

impl Column {
    fn of(cells: &Cells) -> Column {
        let mut slices = Slices::of(cells.len() + FIRST + 1);
        let (mut heap, mut longs) = (b"before".to_vec(), vec![]);
        let mut valid = vec![false; FIRST];
        for (row, cell) in cells.iter().enumerate() {
            let at = row + FIRST;
            valid.push(cell.is_some());
            match cell {
                // NULLs hold anything.
                None => slices.ints[at] = row as i32,
                Some(Cell::Int(value)) => {
                    slices.bools[at] = *value != 0;
                    slices.ints[at] = *value as i32;
                    slices.longs[at] = *value as i64;
                    slices.wides[at] = *value;
                }
                Some(Cell::Double(bits)) => slices.doubles[at] = f64::from_bits(*bits),
                Some(Cell::Text(text)) => {
                    slices.views[at] = TextView { start: heap.len() as u32, len: text.len() as u32 };
                    heap.extend(text);
                }
                &Some(Cell::Long(offset, len, crc)) => {
                    slices.views[at] = TextView { start: heap.len() as u32, len: 20 };
                    heap.extend(b"the beginning of it!");
                    longs.push((row as u16, LongRef { offset, len, crc }));
                }
            }
        }
        valid.push(true);
        Column { slices, valid, heap, longs, rows: cells.len() }
    }

    fn encode(&mut self, kind: Kind, symbols: Option<&SymbolTable>) -> (Vec<u8>, PageStats) {
        let arena = arena();
        let mut out = collections::Vec::new_in(&arena);
        out.extend_from_slice(b"front").unwrap();
        let mut scratch = EncodeScratch::new_in(&arena);
        let all_valid = self.valid[FIRST..FIRST + self.rows].iter().all(|valid| *valid);
        let values = PageValues {
            data: &self.slices.data(kind),
            valid: if all_valid { None } else { Some(&self.valid) },
            heap: &self.heap,
            first: FIRST,
            rows: self.rows,
            longs: &self.longs,
        };
        let stats = encode(&values, symbols, &mut scratch, &mut out).unwrap();
        assert_eq!(&out[..5], b"front");
        assert_eq!(out.len() - 5, stats.bytes as usize);
        (out[5..].to_vec(), stats)
    }
}

/// What [`Page::decode`] or [`Page::gather`] gives for so many rows.
fn decoded(
    kind: Kind,
    count: usize,
    run: impl FnOnce(ColumnMut<'_, '_>, usize) -> Result<(), PageError>,
    longs: impl Iterator<Item = (usize, LongRef)>,
) -> Cells {
    let arena = arena();
    let mut slices = Slices::of(count + 4);
    let mut valid = vec![false; count + 4];
    let mut all_valid = true;
    let mut heap = collections::Vec::new_in(&arena);
    heap.extend_from_slice(b"something").unwrap();
    let mut data = slices.data(kind);
    run(ColumnMut { data: &mut data, valid: &mut valid, all_valid: &mut all_valid, heap: &mut heap }, 2)
        .unwrap();
    assert!(heap.len() <= b"something".len() + TEXT_BYTES_MAX);
    assert!(all_valid || (valid[0] && valid[1] && valid[count + 2]), "rows beside them are valid");
    let mut cells: Cells =
        (2..count + 2).map(|at| (all_valid || valid[at]).then(|| cell_of(&data, at, &heap))).collect();
    for (at, long) in longs {
        assert_eq!(cells[at], Some(Cell::Text(vec![])), "the view of a long text is empty");
        cells[at] = Some(Cell::Long(long.offset, long.len, long.crc));
    }
    // Rows beside them are as they were.
    for at in [0, 1, count + 2, count + 3] {
        let untouched = match kind {
            Kind::Bool => Cell::Int(1),
            Kind::F64 => Cell::Double(77f64.to_bits()),
            Kind::Text => Cell::Text(TextView { start: 7, len: 7 }.of(&heap).to_vec()),
            _ => Cell::Int(77),
        };
        assert_eq!(cell_of(&data, at, &heap), untouched);
    }
    cells
}

fn cell_of(data: &Data<'_>, at: usize, heap: &[u8]) -> Cell {
    match data {
        Data::Bool(values) => Cell::Int(values[at].into()),
        Data::I32(values) => Cell::Int(values[at].into()),
        Data::I64(values) => Cell::Int(values[at].into()),
        Data::I128(values) => Cell::Int(values[at]),
        Data::F64(values) => Cell::Double(values[at].to_bits()),
        Data::Text(views) => Cell::Text(views[at].of(heap).to_vec()),
    }
}

fn cell_at(page: &Page<'_>, row: usize, symbols: Option<&SymbolTable>) -> Option<Cell> {
    if page.is_null(row) {
        return None;
    }
    let arena = arena();
    let mut buffer = collections::Vec::new_in(&arena);
    Some(match page.kind() {
        Kind::Bool | Kind::I32 | Kind::I64 => {
            assert_eq!(page.i128_at(row), page.i64_at(row).into());
            Cell::Int(page.i64_at(row).into())
        }
        Kind::I128 => Cell::Int(page.i128_at(row)),
        Kind::F64 => Cell::Double(page.f64_at(row).to_bits()),
        Kind::Text => match page.text_at(row, symbols, &mut buffer).unwrap() {
            TextRef::Inline(text) => Cell::Text(text.to_vec()),
            TextRef::Long(long) => Cell::Long(long.offset, long.len, long.crc),
        },
    })
}

/// Encodes the cells and reads them back in every way.
fn check(kind: Kind, cells: &Cells, symbols: Option<&SymbolTable>) -> (Vec<u8>, PageStats) {
    let (bytes, stats) = Column::of(cells).encode(kind, symbols);
    let page = Page::parse(&bytes).unwrap();
    assert_eq!((page.kind(), page.rows(), page.nulls()), (kind, cells.len(), usize::from(stats.nulls)));
    assert_eq!(page.nulls(), cells.iter().filter(|cell| cell.is_none()).count());
    assert_eq!(page.encoding(), stats.encoding);
    check_zone(kind, cells, stats.zone);
    let same = |found: &Cells, expected: &[Option<Cell>], how: &str| {
        if let Some(at) = found.iter().zip(expected).position(|(a, b)| a != b) {
            panic!("{how}: row {at} is {:?}, not {:?} ({})", found[at], expected[at], stats.encoding);
        }
    };
    let rows = cells.len();
    same(&(0..rows).map(|row| cell_at(&page, row, symbols)).collect(), cells, "random access");
    for range in
        [0..rows, 0..rows / 2, rows / 3..rows, rows / 2..rows / 2 + rows.min(1), rows / 5..rows / 5 * 3]
    {
        let longs: Vec<_> = page.longs(range.clone()).map(|(row, long)| (row - range.start, long)).collect();
        let decode = |into: ColumnMut<'_, '_>, at| page.decode(range.clone(), into, at, symbols);
        let found = decoded(kind, range.len(), decode, longs.into_iter());
        same(&found, &cells[range.clone()], "decode");
    }
    for step in [1, 2, 3, 17, 300] {
        let picked: Vec<u16> = (step as u16 / 2..rows as u16).step_by(step).collect();
        let place = |row: usize| picked.binary_search(&(row as u16)).ok();
        let longs: Vec<_> = page.longs(0..rows).filter_map(|(row, long)| Some((place(row)?, long))).collect();
        let gather = |into: ColumnMut<'_, '_>, at| page.gather(&picked, into, at, symbols);
        let found = decoded(kind, picked.len(), gather, longs.into_iter());
        let expected: Cells = picked.iter().map(|row| cells[usize::from(*row)].clone()).collect();
        same(&found, &expected, "gather");
    }
    (bytes, stats)
}

fn check_zone(kind: Kind, cells: &Cells, zone: Option<Zone>) {
    let some: Vec<&Cell> = cells.iter().flatten().collect();
    let Some(Zone { min, max }) = zone else { return assert!(some.is_empty()) };
    assert!(!some.is_empty());
    match kind {
        Kind::Text => {
            let ZoneBound::Text(min) = min else { panic!("a text has a lower bound") };
            for cell in some {
                let text = match cell {
                    Cell::Text(text) => text.clone(),
                    // Whatever follows the beginning, the bound holds.
                    _ => [&b"the beginning of it!"[..], &[0xff; 30]].concat(),
                };
                assert!(min.as_bytes() <= text.as_slice());
                match max {
                    ZoneBound::Text(max) => assert!(text.as_slice() <= max.as_bytes()),
                    _ => assert_eq!(max, ZoneBound::Unbounded),
                }
            }
        }
        Kind::F64 => {
            let values: Vec<Value<'_>> = some
                .iter()
                .map(|cell| match cell {
                    Cell::Double(bits) => Value::Double(f64::from_bits(*bits)),
                    _ => unreachable!(),
                })
                .collect();
            let (ZoneBound::Double(min), ZoneBound::Double(max)) = (min, max) else {
                panic!("doubles have bounds")
            };
            assert!(values.iter().all(|value| Value::Double(min).total_cmp(value).is_le()));
            assert!(values.iter().all(|value| Value::Double(max).total_cmp(value).is_ge()));
            assert!(values.iter().any(|value| Value::Double(max).total_cmp(value).is_eq()));
        }
        _ => {
            let Cell::Int(least) = some.iter().min().unwrap() else { unreachable!() };
            let Cell::Int(greatest) = some.iter().max().unwrap() else { unreachable!() };
            assert_eq!((min, max), (ZoneBound::Int(*least), ZoneBound::Int(*greatest)));
        }
    }
}

fn ints(values: impl IntoIterator<Item = i64>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Int(value.into()))).collect()
}

fn wides(values: impl IntoIterator<Item = i128>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Int(value))).collect()
}

fn doubles(values: impl IntoIterator<Item = f64>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Double(value.to_bits()))).collect()
}

fn texts<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Text(value.as_ref().to_vec()))).collect()
}

/// A number that looks like chance.
fn noise(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

#[test]
fn smoke() {
    for kind in [Kind::I32, Kind::I64, Kind::I128, Kind::Bool] {
        check(kind, &ints((0..2048).map(|i| (noise(i) % 2) as i64)), None);
    }
    check(Kind::I64, &ints((0..2048).map(|i| noise(i) as i64)), None);
    check(Kind::F64, &doubles((0..2048).map(|i| (noise(i) % 1000) as f64 / 100.0)), None);
    check(Kind::Text, &texts((0..2048).map(|i| format!("{}", noise(i) % 10000))), None);
}

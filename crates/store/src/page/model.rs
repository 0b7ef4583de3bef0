//! Columns as plain lists of values, by which pages are judged: for tests and for fuzzing.
#![allow(clippy::disallowed_types)]

use std::vec;
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget, collections};
use cofferdam_types::column::{Data, Kind, TextView};

use super::*;

/// A value of any kind, comparable bit by bit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Int(i128),
    /// By its bits.
    Double(u64),
    Text(Vec<u8>),
    Long(u64, u32, u32),
}

/// A column: `None` is NULL.
pub(super) type Cells = Vec<Option<Cell>>;

pub(super) fn arena() -> Arena {
    Arena::new(&Budget::unlimited("test").unwrap())
}

/// The slices that a [`Data`] is made of.
pub(super) struct Slices {
    bools: Vec<bool>,
    ints: Vec<i32>,
    longs: Vec<i64>,
    wides: Vec<i128>,
    doubles: Vec<f64>,
    views: Vec<TextView>,
}

impl Slices {
    pub(super) fn of(len: usize) -> Slices {
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

    pub(super) fn data(&mut self, kind: Kind) -> Data<'_> {
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
pub(super) struct Column {
    slices: Slices,
    valid: Vec<bool>,
    heap: Vec<u8>,
    longs: Vec<(u16, LongRef)>,
    rows: usize,
}

const FIRST: usize = 3;

impl Column {
    pub(super) fn of(cells: &Cells) -> Column {
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

    /// The page of the column.
    pub(super) fn encode(&mut self, kind: Kind, symbols: Option<&SymbolTable>) -> (Vec<u8>, PageStats) {
        let arena = arena();
        let mut out = collections::Vec::new_in(&arena);
        out.extend_from_slice(b"front").unwrap();
        let stats = self.encode_to(kind, symbols, &arena, &mut out).unwrap();
        assert_eq!(&out[..5], b"front");
        assert_eq!(out.len() - 5, stats.bytes as usize);
        (out[5..].to_vec(), stats)
    }

    pub(super) fn encode_to(
        &mut self,
        kind: Kind,
        symbols: Option<&SymbolTable>,
        scratch: &Arena,
        out: &mut collections::Vec<'_, u8>,
    ) -> Result<PageStats, AllocError> {
        self.encode_with(kind, symbols, &mut EncodeScratch::new_in(scratch), out)
    }

    pub(super) fn encode_with(
        &mut self,
        kind: Kind,
        symbols: Option<&SymbolTable>,
        scratch: &mut EncodeScratch<'_>,
        out: &mut collections::Vec<'_, u8>,
    ) -> Result<PageStats, AllocError> {
        let all_valid = self.valid[FIRST..FIRST + self.rows].iter().all(|valid| *valid);
        let values = PageValues {
            data: &self.slices.data(kind),
            valid: if all_valid { None } else { Some(&self.valid) },
            heap: &self.heap,
            first: FIRST,
            rows: self.rows,
            longs: &self.longs,
        };
        encode(&values, symbols, scratch, out)
    }
}

/// What [`Page::decode`] or [`Page::gather`] gives for so many rows.
pub(super) fn decoded(
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

pub(super) fn cell_of(data: &Data<'_>, at: usize, heap: &[u8]) -> Cell {
    match data {
        Data::Bool(values) => Cell::Int(values[at].into()),
        Data::I32(values) => Cell::Int(values[at].into()),
        Data::I64(values) => Cell::Int(values[at].into()),
        Data::I128(values) => Cell::Int(values[at]),
        Data::F64(values) => Cell::Double(values[at].to_bits()),
        Data::Text(views) => Cell::Text(views[at].of(heap).to_vec()),
    }
}

pub(super) fn cell_at(page: &Page<'_>, row: usize, symbols: Option<&SymbolTable>) -> Option<Cell> {
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
pub(super) fn check(kind: Kind, cells: &Cells, symbols: Option<&SymbolTable>) -> (Vec<u8>, PageStats) {
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

pub(super) fn check_zone(kind: Kind, cells: &Cells, zone: Option<Zone>) {
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

pub(super) fn ints(values: impl IntoIterator<Item = i64>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Int(value.into()))).collect()
}

pub(super) fn wides(values: impl IntoIterator<Item = i128>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Int(value))).collect()
}

pub(super) fn doubles(values: impl IntoIterator<Item = f64>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Double(value.to_bits()))).collect()
}

pub(super) fn texts<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Cells {
    values.into_iter().map(|value| Some(Cell::Text(value.as_ref().to_vec()))).collect()
}

/// A number that looks like chance.
pub(super) fn noise(i: usize) -> u64 {
    (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// The bytes with the length and the checksum that they should have.
pub(super) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut page = bytes.to_vec();
    if let Some(body) = page.len().checked_sub(TAIL_BYTES) {
        let length = page.len() as u32;
        page[body..body + 4].copy_from_slice(&length.to_le_bytes());
        let crc = crate::sum::crc32c(&page[..body + 4]);
        page[body + 4..].copy_from_slice(&crc.to_le_bytes());
    }
    page
}

/// Reads a page that may hold anything in every way: nothing panics, everything stays within its bounds, and where the
/// page was accepted, all ways agree.
///
/// Gives why it was not accepted.
pub(super) fn probe(bytes: &[u8], symbols: Option<&SymbolTable>) -> Result<(), &'static str> {
    let checked = Page::parse(bytes);
    if let Ok(page) = Page::parse_again(bytes) {
        read_all(&page, symbols, checked.is_ok());
    }
    checked.map(|page| assert!(Page::parse_again(bytes).is_ok_and(|again| again.rows() == page.rows())))
}

fn read_all(page: &Page<'_>, symbols: Option<&SymbolTable>, is_accepted: bool) {
    let (kind, rows, arena) = (page.kind(), page.rows(), arena());
    assert!(rows <= ROWS_MAX && page.nulls() <= rows);
    let _ = page.encoding().to_string();
    let (mut slices, mut again) = (Slices::of(rows), Slices::of(rows));
    let (mut data, mut valid, mut all_valid) = (slices.data(kind), vec![true; rows], true);
    let mut heap = collections::Vec::new_in(&arena);
    let into = ColumnMut { data: &mut data, valid: &mut valid, all_valid: &mut all_valid, heap: &mut heap };
    let decoded = page.decode(0..rows, into, 0, symbols);
    // Only texts may turn out to be wrong (P2): what they decompress to, and a dictionary's when each row takes its own.
    let may_fail =
        kind == Kind::Text && (page.encoding().is_compressed || page.encoding().shape != Shape::Plain);
    assert!(!is_accepted || may_fail || decoded.is_ok(), "{decoded:?}");
    assert!(heap.len() <= TEXT_BYTES_MAX, "P3: {} bytes", heap.len());

    let mut buffer = collections::Vec::new_in(&arena);
    for row in (0..rows).chain([rows, ROWS_MAX, usize::MAX / 128]) {
        let is_null = page.is_null(row);
        assert!(row < rows || is_null);
        let _ = (page.i64_at(row), page.i128_at(row), page.f64_at(row));
        let text = page.text_at(row, symbols, &mut buffer).map(|text| match text {
            TextRef::Inline(text) => {
                assert!(text.len() <= TEXT_BYTES_MAX);
                Some(Cell::Text(text.to_vec()))
            }
            TextRef::Long(_) => Some(Cell::Text(vec![])),
        });
        let _ = page.value_at(row, type_of(kind), symbols, &mut buffer);
        if !is_accepted || decoded.is_err() || row >= rows {
            continue;
        }
        let cell = match (kind, text) {
            (Kind::Text, Ok(text)) => text,
            // Too long for a text, but not for all texts of the page.
            (Kind::Text, Err(_)) => continue,
            _ => cell_at(page, row, symbols),
        };
        let found = (all_valid || valid[row]).then(|| cell_of(&data, row, &heap));
        assert_eq!(found, cell.filter(|_| !is_null), "row {row}");
    }
    let in_range = page.partition_point(rows / 3..rows, |value| value < 7);
    assert!((rows / 3..=rows).contains(&in_range));
    assert!(page.longs(0..rows).count() <= usize::from(u16::MAX));

    let picked: Vec<u16> = (0..rows as u16).step_by(3).collect();
    let (mut other, mut other_valid, mut other_all) = (again.data(kind), vec![true; rows], true);
    let mut other_heap = collections::Vec::new_in(&arena);
    let into = ColumnMut {
        data: &mut other,
        valid: &mut other_valid,
        all_valid: &mut other_all,
        heap: &mut other_heap,
    };
    let gathered = page.gather(&picked, into, 0, symbols);
    assert!(other_heap.len() <= TEXT_BYTES_MAX, "P3: {} bytes", other_heap.len());
    if is_accepted && decoded.is_ok() && gathered.is_ok() {
        for (place, row) in picked.iter().map(|row| usize::from(*row)).enumerate() {
            let is_valid = other_all || other_valid[place];
            assert_eq!(is_valid, !page.is_null(row));
            assert!(!is_valid || cell_of(&other, place, &other_heap) == cell_of(&data, row, &heap));
        }
    }
}

fn type_of(kind: Kind) -> Type {
    match kind {
        Kind::Bool => Type::Boolean,
        Kind::I32 => Type::Date,
        Kind::I64 => Type::BigInt,
        Kind::I128 => Type::Decimal { precision: 38, scale: 3 },
        Kind::F64 => Type::Double,
        Kind::Text => Type::Text,
    }
}

//! Sketches: what a segment knows of how the values of its columns are distributed, for planners.
//!
//! ```text
//!   sketch of column 0 | sketch of column 1 | … | head        pieces; the footer says where the head is
//!   sketch   bytes of texts, registers that count distinct values (`distinct`), a page of the sample's values (`sample`)
//!   head     limit of the sample, where each sketch is, the hashes of the sampled keys, which of them are tombstones
//! ```
//!
//! A writer whose allowance is small leaves out the sample, the registers, or both; without either there is no head. Sketches
//! of several segments can be merged: see `crate::statistics`.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_types::column::{Data, Kind};

use super::distinct::{REGISTERS_MAX, Sketches};
use super::group::ColumnTotals;
use super::layout::{CRC_BYTES, Damage, PIECE_BYTES_MAX, Put, u8_at, u16_at, u32_at, u64_at};
use super::output::Output;
use super::sample::{Closed, SAMPLE_ROWS_MAX, SAMPLE_TEXT_BYTES, Sample};
use crate::error::Error;
use crate::page::{EncodeScratch, Page, PageValues, encode};

const HEAD_TAG: u8 = b'K';
const HEAD_FIXED_BYTES: usize = 32;
/// What a sketch has before its pages.
const SKETCH_FIXED_BYTES: usize = 16;
/// A sketch has no more: registers as they are, texts and places of a sample, and what pages say of themselves.
const SKETCH_BYTES_MAX: usize = 4 * REGISTERS_MAX + SAMPLE_ROWS_MAX * (SAMPLE_TEXT_BYTES + 16) + 1024;

/// Where the head of a segment's sketches is; of no bytes where there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadPlace {
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// Writes the sketches of all columns. `buffer` is for the pages.
pub(super) fn write(
    totals: &[ColumnTotals],
    keys_count: u64,
    (sketches, sample, closed): (&Sketches<'_>, &Sample<'_>, Closed),
    (scratch, buffer, piece): (&mut EncodeScratch<'_>, &mut Vec<'_, u8>, &mut Vec<'_, u8>),
    out: &mut Output<'_, '_>,
) -> Result<HeadPlace, Error> {
    let registers_count = sketches.of(0).len();
    if registers_count == 0 && closed.rows == 0 {
        return Ok(HeadPlace::default());
    }
    let first_offset = out.position();
    piece.clear();
    piece.resize(head_bytes(totals.len(), closed.rows), 0)?;
    let mut put = Put::new(piece);
    put.u8(HEAD_TAG)
        .u8(if registers_count == 0 { 0 } else { registers_count.ilog2() as u8 })
        .u16(closed.rows as u16)
        .u32(0)
        .u64(first_offset)
        .u64(closed.limit)
        .u64(keys_count);
    for (column, totals) in totals.iter().enumerate() {
        buffer.clear();
        let registers_bytes = write_registers(sketches.of(column), scratch, buffer)?;
        if closed.rows > 0 {
            encode(&sample.column(column, closed.rows), None, scratch, buffer)?;
        }
        let mut fixed = [0; SKETCH_FIXED_BYTES];
        Put::new(&mut fixed).u64(totals.text_bytes).u32(registers_bytes);
        debug_assert!(SKETCH_FIXED_BYTES + buffer.len() <= SKETCH_BYTES_MAX);
        out.put_piece_of([&fixed, buffer])?;
        put.u32((out.position() - first_offset) as u32);
    }
    let rows = (0..closed.rows).map(|row| sample.row(row));
    rows.clone().for_each(|(hash, _)| {
        put.u64(hash);
    });
    let bits_at = head_bytes(totals.len(), closed.rows) - closed.rows.div_ceil(8);
    for (row, (_, is_delete)) in rows.enumerate() {
        piece[bits_at + row / 8] |= u8::from(is_delete) << (row % 8);
    }
    let (offset, len) = out.put_piece(piece)?;
    Ok(HeadPlace { offset, len })
}

/// Writes registers as a page, and gives its bytes.
fn write_registers(
    registers: &[u8],
    scratch: &mut EncodeScratch<'_>,
    buffer: &mut Vec<'_, u8>,
) -> Result<u32, Error> {
    if registers.is_empty() {
        return Ok(0);
    }
    let mut numbers = [0; REGISTERS_MAX];
    numbers.iter_mut().zip(registers).for_each(|(number, register)| *number = i32::from(*register));
    let (data, rows) = (Data::I32(&mut numbers), registers.len());
    let values = PageValues { data: &data, valid: None, heap: &[], first: 0, rows, longs: &[] };
    Ok(encode(&values, None, scratch, buffer)?.bytes)
}

fn head_bytes(columns_count: usize, rows: usize) -> usize {
    HEAD_FIXED_BYTES + 4 * columns_count + 8 * rows + rows.div_ceil(8)
}

/// The head of a segment's sketches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SketchHead<'p> {
    columns_count: usize,
    bytes: &'p [u8],
}

impl<'p> SketchHead<'p> {
    /// Sees whether a head is all right.
    pub(super) fn parse(bytes: &'p [u8], columns_count: usize) -> Result<SketchHead<'p>, Damage> {
        let head = SketchHead { columns_count, bytes };
        if u8_at(bytes, 0) != HEAD_TAG {
            return Err("there is no head of sketches");
        }
        let registers_count = head.registers_count();
        if head.rows() > SAMPLE_ROWS_MAX
            || registers_count > REGISTERS_MAX
            || bytes.len() != head_bytes(columns_count, head.rows())
        {
            return Err("no sketches are so large");
        }
        let ends = (0..columns_count).map(|column| head.end(column));
        let is_in_order = |(before, end): (u32, u32)| {
            let least = before.saturating_add((SKETCH_FIXED_BYTES + CRC_BYTES) as u32);
            end >= least && end - least <= SKETCH_BYTES_MAX as u32
        };
        if !core::iter::once(0).chain(ends.clone()).zip(ends).all(is_in_order) {
            return Err("sketches do not follow one another");
        }
        let hashes = (0..head.rows()).map(|row| head.row(row).0);
        if !hashes.clone().is_sorted_by(|a, b| a < b) || hashes.max().is_some_and(|last| last >= head.limit())
        {
            return Err("the keys of a sample are out of order");
        }
        Ok(head)
    }

    /// Rows of the sample.
    pub(crate) fn rows(&self) -> usize {
        u16_at(self.bytes, 2).into()
    }

    /// Every key of the segment whose hash is less is in the sample.
    pub(crate) fn limit(&self) -> u64 {
        u64_at(self.bytes, 16)
    }

    /// How many keys the segment has: rows without older versions.
    pub(crate) fn keys_count(&self) -> u64 {
        u64_at(self.bytes, 24)
    }

    /// The hash of a row's key, and whether the row is a tombstone; rows ascend by hash.
    pub(crate) fn row(&self, row: usize) -> (u64, bool) {
        let hashes_at = HEAD_FIXED_BYTES + 4 * self.columns_count;
        let bits = u8_at(self.bytes, hashes_at + 8 * self.rows() + row / 8);
        (u64_at(self.bytes, hashes_at + 8 * row), bits >> (row % 8) & 1 == 1)
    }

    fn registers_count(&self) -> usize {
        match u8_at(self.bytes, 1) {
            0 => 0,
            log => 1usize.checked_shl(log.into()).unwrap_or(usize::MAX),
        }
    }

    fn end(&self, column: usize) -> u32 {
        u32_at(self.bytes, HEAD_FIXED_BYTES + 4 * column)
    }

    /// Where the sketch of a column is in the file.
    pub(super) fn place(&self, column: usize) -> (u64, u32) {
        let start = column.checked_sub(1).map_or(0, |before| self.end(before));
        let offset = u64_at(self.bytes, 8).saturating_add(start.into());
        (offset, self.end(column).saturating_sub(start))
    }

    /// Whether all sketches stand in the segment, which has a column at least.
    pub(super) fn is_inside(&self, segment: Range<u64>) -> bool {
        let (start, _) = self.place(0);
        let (last, len) = self.place(self.columns_count.saturating_sub(1));
        start >= segment.start && last.checked_add(len.into()).is_some_and(|end| end <= segment.end)
    }

    /// What a sketch of a column has to be.
    pub(super) fn shape(&self) -> SketchShape {
        SketchShape { registers_count: self.registers_count(), rows: self.rows() }
    }
}

/// How many registers and rows a sketch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SketchShape {
    registers_count: usize,
    rows: usize,
}

/// The sketch of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sketch<'p> {
    /// Bytes of the texts of all rows; 0 of other values.
    pub(crate) text_bytes: u64,
    registers: Option<Page<'p>>,
    /// The values of the sample's rows, texts cut; `None` where there is no sample.
    pub(crate) sample: Option<Page<'p>>,
}

impl<'p> Sketch<'p> {
    /// The sketch of a column of a kind, whose checksum is right.
    pub(super) fn parse(bytes: &'p [u8], kind: Kind, shape: SketchShape) -> Result<Sketch<'p>, Damage> {
        const SHORT: Damage = "a sketch ends too early";
        let registers_bytes = u32_at(bytes, 8) as usize;
        let pages = bytes.get(SKETCH_FIXED_BYTES..).ok_or(SHORT)?;
        let (registers, sample) = pages.split_at_checked(registers_bytes).ok_or(SHORT)?;
        let page = |bytes: &'p [u8], kind: Kind, rows: usize| {
            if bytes.is_empty() != (rows == 0) {
                return Err("a part of a sketch is missing");
            }
            if bytes.is_empty() {
                return Ok(None);
            }
            let page = Page::parse_summed(bytes)?;
            let is_right = page.kind() == kind && page.rows() == rows && page.longs(0..rows).next().is_none();
            is_right.then_some(Some(page)).ok_or("a sketch has other values than its column")
        };
        Ok(Sketch {
            text_bytes: u64_at(bytes, 0),
            registers: page(registers, Kind::I32, shape.registers_count)?,
            sample: page(sample, kind, shape.rows)?,
        })
    }

    /// How many registers there are: none, or a power of two.
    pub(crate) fn registers_count(&self) -> usize {
        self.registers.map_or(0, |page| page.rows())
    }

    /// Puts the registers in `into`, which has room for as many.
    pub(crate) fn put_registers(&self, into: &mut [u8]) {
        if let Some(page) = &self.registers {
            into.iter_mut().enumerate().for_each(|(index, to)| *to = page.i64_at(index).clamp(0, 65) as u8);
        }
    }
}

/// Bytes of the piece that the head of so many columns may be.
pub(super) fn is_head_place(place: HeadPlace, segment: Range<u64>, columns_count: usize) -> bool {
    let HeadPlace { offset, len } = place;
    if len == 0 {
        return offset == 0;
    }
    let bytes_max = head_bytes(columns_count, SAMPLE_ROWS_MAX) + CRC_BYTES;
    segment.contains(&offset) && u64::from(len) <= segment.end - offset && len as usize <= bytes_max
}

const _: () = assert!(SKETCH_BYTES_MAX + CRC_BYTES <= PIECE_BYTES_MAX);
const _: () =
    assert!(HEAD_FIXED_BYTES + 4 * crate::schema::COLUMNS_MAX + 9 * SAMPLE_ROWS_MAX <= PIECE_BYTES_MAX);

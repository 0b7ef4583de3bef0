//! What a segment knows of each of its columns as a whole, for planners and people.

use cofferdam_types::column::Kind;

use super::group::ColumnTotals;
use super::layout::{CRC_BYTES, Put, u64_at};
use super::output::Output;
use super::zones;
use crate::error::Error;
use crate::page::Zone;

/// Columns of a piece.
const COLUMNS_PER_PIECE: usize = 32;
/// Bytes of a column.
const RECORD_BYTES: usize = 64;
const ZONE_AT: usize = 24;

/// What a segment knows of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ColumnStatistics {
    /// Values that are NULL, tombstones' included.
    pub(crate) nulls_count: u64,
    /// Bytes of the column's pages.
    pub(crate) bytes: u64,
    /// Distinct values as far as they were estimated; 0 where they were not.
    pub(crate) distinct_count: u64,
    /// What the values lie between.
    pub(crate) zone: Option<Zone>,
}

/// Writes the pieces for all columns, and gives the place of the first.
pub(super) fn write(totals: &[ColumnTotals], out: &mut Output<'_, '_>) -> Result<u64, Error> {
    let offset = out.position();
    for columns in totals.chunks(COLUMNS_PER_PIECE) {
        let mut piece = [0; COLUMNS_PER_PIECE * RECORD_BYTES];
        let bytes = &mut piece[..columns.len() * RECORD_BYTES];
        for (record, column) in bytes.chunks_mut(RECORD_BYTES).zip(columns) {
            let mut put = Put::new(record);
            put.u64(column.nulls).u64(column.bytes).u64(column.distinct);
            zones::write(&mut put, column.kind, 0, column.zone.as_ref());
        }
        out.put_piece(bytes)?;
    }
    Ok(offset)
}

/// The piece that a column of so many is in: its offset behind the first, its length, and the column's place in it.
pub(super) fn place(column: usize, columns_count: usize) -> (u64, usize, usize) {
    let before = column / COLUMNS_PER_PIECE * COLUMNS_PER_PIECE;
    let count = (columns_count - before).min(COLUMNS_PER_PIECE);
    let piece_bytes = COLUMNS_PER_PIECE * RECORD_BYTES + CRC_BYTES;
    ((before / COLUMNS_PER_PIECE * piece_bytes) as u64, count * RECORD_BYTES + CRC_BYTES, column - before)
}

/// Reads a column from its piece.
pub(super) fn read(piece: &[u8], index: usize, kind: Kind) -> ColumnStatistics {
    let record = piece.get(index * RECORD_BYTES..(index + 1) * RECORD_BYTES).unwrap_or(&[]);
    let zone = zones::read(record.get(ZONE_AT..).unwrap_or(&[]), 0, kind).1;
    let (nulls_count, bytes, distinct_count) = (u64_at(record, 0), u64_at(record, 8), u64_at(record, 16));
    ColumnStatistics { nulls_count, bytes, distinct_count, zone }
}

const _: () = assert!(ZONE_AT + 3 + 2 * 17 <= RECORD_BYTES);

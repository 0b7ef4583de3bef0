//! Pieces with other bytes and a checksum that fits them: what damage never makes and a writer with a defect, or somebody else, can.
//!
//! For tests and fuzzing of what planners are told; nobody else changes a segment.
#![allow(clippy::disallowed_types)]

use core::ops::Range;
use std::vec::Vec;

use super::layout::{CRC_BYTES, FOOTER_BYTES, Footer, HEADER_BYTES, Header, checked, checksum};
use super::sketch::SketchHead;
use super::statistics;

/// The salt of a file of one segment, and where in it the pieces stand that hold what is known of its columns: statistics, sketches,
/// and the head of these. `None` for a file that is none, or has more.
pub(crate) fn known_of_columns(bytes: &[u8]) -> Option<(u64, Vec<Range<usize>>)> {
    let salt = Header::parse(bytes.first_chunk::<HEADER_BYTES>()?).ok()?.salt;
    let offset = bytes.len().checked_sub(FOOTER_BYTES)?;
    let footer = Footer::parse(salt, offset as u64, bytes[offset..].first_chunk()?).ok()?;
    let columns_count = footer.columns_count as usize;
    let range = |offset: u64, len: usize| offset as usize..offset as usize + len;
    let mut pieces = Vec::new();
    for column in 0..columns_count {
        let (before, len, index) = statistics::place(column, columns_count);
        if index == 0 {
            pieces.push(range(footer.statistics_offset + before, len));
        }
    }
    let head = range(footer.sketches.offset, footer.sketches.len as usize);
    if !head.is_empty() {
        let payload = checked(salt, footer.sketches.offset, bytes.get(head.clone())?).ok()?;
        let sketches = SketchHead::parse(payload, columns_count).ok()?;
        for column in 0..columns_count {
            let (offset, len) = sketches.place(column);
            pieces.push(range(offset, len as usize));
        }
        pieces.push(head);
    }
    Some((salt, pieces))
}

/// Makes the checksum of a piece fit its bytes.
pub(crate) fn sum_again(salt: u64, bytes: &mut [u8], piece: Range<usize>) {
    let offset = piece.start as u64;
    let Some((payload, sum)) = bytes[piece].split_last_chunk_mut::<CRC_BYTES>() else { return };
    *sum = checksum(salt, offset, payload).to_le_bytes();
}

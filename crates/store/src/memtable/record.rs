//! The bytes of an entry: written once before anybody can find them, never changed after.
//!
//! ```text
//!   bit  0      1               2..8        9..15
//!   | kind | far sequence | key bytes | row bytes |   2 bytes, little-endian
//!   | key bytes, 4 |   where the 7 bits are all set
//!   | row bytes, 4 |   where the 7 bits are all set
//!   | sequence: 3 bytes above the base of the memtable, or, where it is far, all 8 |
//!   | key | row |
//! ```
//!
//! So an entry takes 5 bytes more than its key and row where these are short and sequences are near to each other.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::slice;

use cofferdam_arena::AllocError;

use super::EntryKind;
use super::slab::{Cutter, Memory, NEEDS_BYTES_MAX, Slabs};

/// An entry of a tree, in its memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'p> {
    pub(super) key: &'p [u8],
    pub(super) sequence: u64,
    pub(super) kind: EntryKind,
    pub(super) row: &'p [u8],
}

/// What a length of 7 bits cannot be.
const LONG: usize = (1 << 7) - 1;
const FAR: usize = 2;
const KEY_SHIFT: u32 = 2;
const ROW_SHIFT: u32 = 9;
/// So many sequences above the base are near.
const NEAR_COUNT: u64 = 1 << 24;
/// The most that a record has beside its key and row.
pub(super) const HEADER_BYTES_MAX: usize = 2 + 4 + 4 + 8;

/// What stands before a record's key.
pub(super) struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    #[inline(always)]
    fn put<const LEN: usize>(&mut self, bytes: [u8; LEN]) {
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(|room| room.first_chunk_mut()) {
            *room = bytes;
        }
        self.len += LEN;
    }

    /// The header of a record; lengths are below 2^32.
    #[inline(always)]
    pub(super) fn new(record: &Record<'_>, base_sequence: u64) -> Header {
        let above = record.sequence.wrapping_sub(base_sequence);
        let is_far = above >= NEAR_COUNT;
        let (key_bits, row_bits) = (record.key.len().min(LONG), record.row.len().min(LONG));
        let word = usize::from(record.kind == EntryKind::Delete)
            | if is_far { FAR } else { 0 }
            | key_bits << KEY_SHIFT
            | row_bits << ROW_SHIFT;
        let mut header = Header { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        header.put((word as u16).to_le_bytes());
        if key_bits == LONG {
            header.put((record.key.len() as u32).to_le_bytes());
        }
        if row_bits == LONG {
            header.put((record.row.len() as u32).to_le_bytes());
        }
        if is_far {
            header.put(record.sequence.to_le_bytes());
        } else {
            let [low, middle, high, ..] = above.to_le_bytes();
            header.put([low, middle, high]);
        }
        header
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

/// What a write set puts before each record.
pub(super) const BEFORE_BYTES: usize = 8;
/// See [`BEFORE_BYTES`].
pub(super) type Before = Option<[u8; BEFORE_BYTES]>;

/// How many bytes a record takes, or `None` where that is more than a slab can hold.
pub(super) fn record_bytes(header: &Header, record: &Record<'_>, before: Before) -> Option<usize> {
    let bytes = header.len.checked_add(record.key.len())?.checked_add(record.row.len())?;
    (bytes <= NEEDS_BYTES_MAX).then_some(bytes + TRACK_BYTES + before.map_or(0, |before| before.len()))
}

/// Writes a record to where nobody can find it yet, and returns its offset. Needs: `ensure` for its bytes.
#[inline(always)]
pub(super) fn write_record<M: Memory>(
    cutter: &Cutter<'_, M>,
    header: &Header,
    record: &Record<'_>,
    before: Before,
) -> u32 {
    let len = header.len + record.key.len() + record.row.len();
    let before = before.as_ref().map_or(&[][..], |before| before);
    let (offset, room) = cutter.cut_record(before.len() + len + TRACK_BYTES);
    let (front, room) = room.split_at_mut(before.len());
    copy(front, before);
    let (track, room) = room.split_at_mut(TRACK_BYTES);
    note_write(track);
    let (head, rest) = room.split_at_mut(header.len);
    let (key, row) = rest.split_at_mut(record.key.len());
    copy(head, header.bytes());
    copy(key, record.key);
    copy(row, record.row);
    offset + before.len() as u32
}

/// Copies bytes. Keys and headers are short, and two overlapping words are faster than a call of `memcpy`.
#[inline(always)]
fn copy(to: &mut [MaybeUninit<u8>], from: &[u8]) {
    match from.len() {
        8..=16 => copy_ends::<8>(to, from),
        4..=7 => copy_ends::<4>(to, from),
        _ => {
            to.write_copy_of_slice(from);
        }
    }
}

/// Copies bytes, no fewer than `LEN` and no more than twice as many.
#[inline(always)]
fn copy_ends<const LEN: usize>(to: &mut [MaybeUninit<u8>], from: &[u8]) {
    if let (Some(first), Some(last)) = (from.first_chunk::<LEN>(), from.last_chunk::<LEN>())
        && let Some(room) = to.first_chunk_mut::<LEN>()
    {
        room.write_copy_of_slice(first);
        if let Some(room) = to.last_chunk_mut::<LEN>() {
            room.write_copy_of_slice(last);
        }
    }
}

/// Reads a record.
///
/// # Safety
/// 1. `offset` is one that `write_record` has returned for these slabs in this generation.
/// 2. That happened before: in this thread, or published by a release that this thread has acquired.
#[inline(always)]
pub(super) unsafe fn read_record(slabs: &Slabs, offset: u32) -> Record<'_> {
    let begin = slabs.address(offset).cast_const();
    note_read(begin);
    // SAFETY: by 1 and 2 the bytes of a record stand here, which nobody writes any more, and which live while a view of
    // the slabs does (slab S3); each read is of what the ones before it say is there, as `Header::new` has put it.
    unsafe {
        let mut at = begin.add(TRACK_BYTES);
        let word = usize::from(u16::from_le_bytes(at.cast::<[u8; 2]>().read()));
        at = at.add(2);
        let (mut key_len, mut row_len) = (word >> KEY_SHIFT & LONG, word >> ROW_SHIFT);
        if key_len == LONG {
            key_len = u32::from_le_bytes(at.cast::<[u8; 4]>().read()) as usize;
            at = at.add(4);
        }
        if row_len == LONG {
            row_len = u32::from_le_bytes(at.cast::<[u8; 4]>().read()) as usize;
            at = at.add(4);
        }
        let sequence = if word & FAR == 0 {
            // With the byte before.
            let above = u32::from_le_bytes(at.sub(1).cast::<[u8; 4]>().read()) >> 8;
            at = at.add(3);
            slabs.base_sequence().wrapping_add(u64::from(above))
        } else {
            at = at.add(8);
            u64::from_le_bytes(at.sub(8).cast::<[u8; 8]>().read())
        };
        Record {
            key: slice::from_raw_parts(at, key_len),
            sequence,
            kind: if word & 1 == 0 { EntryKind::Put } else { EntryKind::Delete },
            row: slice::from_raw_parts(at.add(key_len), row_len),
        }
    }
}

/// What stands before a record.
///
/// # Safety
/// 1. As [`read_record`], and `write_record` has put something there.
pub(super) unsafe fn read_before(slabs: &Slabs, offset: u32) -> [u8; BEFORE_BYTES] {
    // SAFETY: by 1 these bytes were written with the record.
    unsafe { slabs.address(offset - BEFORE_BYTES as u32).cast::<[u8; BEFORE_BYTES]>().read() }
}

/// Under the model checker every record begins with a cell that it watches: a record that is read before it was published
/// fails the model. Nothing elsewhere.
#[cfg(loom)]
pub(super) const TRACK_BYTES: usize = 2 * size_of::<Track>();
#[cfg(loom)]
type Track = loom::cell::UnsafeCell<()>;
#[cfg(not(loom))]
pub(super) const TRACK_BYTES: usize = 0;

#[cfg(loom)]
fn track_at(begin: *const u8) -> *mut Track {
    begin.wrapping_add(begin.align_offset(align_of::<Track>())).cast_mut().cast()
}

#[cfg_attr(not(loom), inline(always))]
fn note_write(track: &mut [MaybeUninit<u8>]) {
    #[cfg(loom)]
    // SAFETY: the place is aligned, within the record's first bytes, and nobody else's.
    unsafe {
        let cell = track_at(track.as_ptr().cast());
        cell.write(Track::new(()));
        (*cell).with_mut(|_| ());
    }
    let _ = track;
}

#[cfg_attr(not(loom), inline(always))]
fn note_read(begin: *const u8) {
    #[cfg(loom)]
    // SAFETY: `note_write` has made a cell here.
    unsafe {
        (*track_at(begin)).with(|_| ());
    }
    let _ = begin;
}

/// A record that cannot be: asks the arena for more than there is, so that it records why.
#[cold]
pub(super) fn refuse_record<M: Memory>(memory: &M) -> AllocError {
    memory.take(usize::MAX).map_or(AllocError, |_| AllocError)
}

//! The open addressing table that readers probe, and the records that it points to.
//!
//! ```text
//!   chunk of a table
//!   | Table | .. | bucket 0: 4 slots | bucket 1 | ... | directory: one pointer for each symbol | chunk header |
//!
//!   slot: a pointer to a record with the name's tag in its upper 16 bits and a flag in bit 0
//!   | tag, never 0 :16 | address of a record :45 | 0 0 C |      C: condemned
//!   null: never used          DEAD: used once, matches no tag
//!
//!   record: | symbol 4 | len 4 | refs 4 | condemned 4 | text ... padded to 8 |
//! ```
//!
//! Four slots of a bucket are looked at together, without a branch between them, and the fourth says whether names
//! spilled over to the next bucket.
//!
//! - T1 A slot goes from null to a record, from there to the same record with the flag or without, at last to `DEAD`:
//!   never back to null. So a probe that stops at a null slot has missed nothing.
//! - T2 The slots of a bucket are filled in order.
//! - T3 A record is complete before a slot or the directory points to it (release), and readers load with acquire.
//! - T4 A table and the records that it shows are freed only when no pin of the epoch in which they were unlinked,
//!   or of an earlier one, lives (pins.rs).
//! - T5 At least one slot of the table is null.

use super::hash::{Seeds, Words, is_short};
use crate::chunk::{ChunkHeader, chunk_bytes_for};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use core::mem::offset_of;
use core::ptr::{self, NonNull};

/// Slots of a bucket.
pub(super) const WAYS: usize = 4;
/// The smallest table has this many buckets.
pub(super) const BUCKETS_MIN: usize = 16;

/// Where the tag stands in a slot. Where addresses leave no room for one, every name of a bucket is compared.
#[cfg(target_pointer_width = "64")]
const TAG_SHIFT: u32 = 48;
const FLAG: usize = 1;
const DEAD_ADDRESS: usize = 2;

/// [`Record::condemned`] of a name in use.
pub(super) const LIVE: u32 = 0;
/// [`Record::condemned`] of a name that no table shows any more.
pub(super) const UNLINKED: u32 = u32::MAX;

/// Names are at most this long.
pub(super) const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// One interned name, followed by its text.
#[repr(C, align(8))]
pub(super) struct Record {
    pub(super) symbol: u32,
    pub(super) len: u32,
    /// Long-lived holders.
    pub(super) refs: AtomicU32,
    /// The epoch in which the name was condemned, or [`LIVE`], or [`UNLINKED`].
    pub(super) condemned: AtomicU32,
}

const RECORD_TEXT: usize = size_of::<Record>();
#[cfg(not(loom))]
const _: () = assert!(RECORD_TEXT == 16 && offset_of!(Record, len) == 4);

/// Bytes that a name of `len` bytes takes.
pub(super) fn record_bytes(len: usize) -> usize {
    RECORD_TEXT + len.next_multiple_of(align_of::<Record>())
}

/// A pointer to a record, with the provenance of its whole chunk.
pub(super) type RecordPtr = NonNull<Record>;

/// The text of a record.
///
/// # Safety
/// 1. `record` is complete, and is not freed during `'t`.
#[inline(always)]
pub(super) unsafe fn text_of<'t>(record: RecordPtr) -> &'t [u8] {
    // SAFETY: by the condition; the text follows the record in the same chunk and is never written again.
    unsafe {
        let place = record.as_ptr().cast::<u8>().add(RECORD_TEXT);
        core::slice::from_raw_parts(place, (*record.as_ptr()).len as usize)
    }
}

/// Writes a record and its text.
///
/// # Safety
/// 1. `place` begins `record_bytes(text.len())` writable bytes, aligned to 8, that nobody else uses.
pub(super) unsafe fn write_record(place: NonNull<u8>, symbol: u32, text: &[u8]) -> RecordPtr {
    let len = u32::try_from(text.len()).expect("names are at most 64 KiB");
    let record = place.cast::<Record>();
    // SAFETY: by the condition.
    unsafe {
        record.write(Record { symbol, len, refs: AtomicU32::new(0), condemned: AtomicU32::new(LIVE) });
        ptr::copy_nonoverlapping(text.as_ptr(), place.as_ptr().add(RECORD_TEXT), text.len());
    }
    record
}

/// What a probe found: a record, and whether it is condemned.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) record: RecordPtr,
    pub(super) is_condemned: bool,
}

type Slot = AtomicPtr<Record>;
type Bucket = [Slot; WAYS];

/// What stands at the beginning of a table's chunk.
pub(super) struct Table {
    /// Buckets less one.
    mask: usize,
    buckets: NonNull<Bucket>,
    directory: NonNull<Slot>,
    /// Symbols below this have a place in the directory.
    pub(super) symbols_max: u32,
    /// So many slots may be in use.
    pub(super) names_max: u32,
    pub(super) chunk: NonNull<ChunkHeader>,
}

/// The shape of a table: so many buckets, and a directory for at least so many symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    buckets: usize,
    symbols: usize,
}

const HEAD_BYTES: usize = size_of::<Table>().next_multiple_of(16) + 64;

impl Shape {
    /// For `names` names, and symbols below `symbols`; `None` past what can be counted.
    pub(super) fn of(names: usize, symbols: usize) -> Option<Shape> {
        // At most half of the slots are used.
        let buckets = names.checked_mul(2)?.div_ceil(WAYS).checked_next_power_of_two()?.max(BUCKETS_MIN);
        Some(Shape { buckets, symbols })
    }

    /// The bytes of the chunk that holds such a table.
    pub(super) fn chunk_bytes(self) -> Option<usize> {
        let buckets = self.buckets.checked_mul(size_of::<Bucket>())?;
        let directory = self.symbols.checked_mul(size_of::<Slot>())?;
        chunk_bytes_for(HEAD_BYTES.checked_add(buckets)?.checked_add(directory)?)
    }
}

#[cfg(target_pointer_width = "64")]
#[inline(always)]
fn tag_of(hash: u64) -> usize {
    (hash >> TAG_SHIFT) as usize | 1
}

#[cfg(not(target_pointer_width = "64"))]
#[inline(always)]
fn tag_of(_hash: u64) -> usize {
    0
}

#[cfg(target_pointer_width = "64")]
#[inline(always)]
fn matches(slot: *mut Record, tag: usize) -> bool {
    slot.addr() >> TAG_SHIFT == tag
}

#[cfg(not(target_pointer_width = "64"))]
#[inline(always)]
fn matches(slot: *mut Record, _tag: usize) -> bool {
    slot.addr() > DEAD_ADDRESS
}

#[cfg(target_pointer_width = "64")]
fn tagged(record: RecordPtr, tag: usize, is_condemned: bool) -> *mut Record {
    record.as_ptr().map_addr(|address| address | tag << TAG_SHIFT | usize::from(is_condemned))
}

#[cfg(not(target_pointer_width = "64"))]
fn tagged(record: RecordPtr, _tag: usize, is_condemned: bool) -> *mut Record {
    record.as_ptr().map_addr(|address| address | usize::from(is_condemned))
}

#[cfg(target_pointer_width = "64")]
const ADDRESS_MASK: usize = (1 << TAG_SHIFT) - 1 - 7;
#[cfg(not(target_pointer_width = "64"))]
const ADDRESS_MASK: usize = !7;

/// True where the chunk's addresses leave the bits of the tag free.
pub(super) fn can_be_tagged(chunk: NonNull<ChunkHeader>) -> bool {
    chunk.addr().get() & ADDRESS_MASK & !7 == chunk.addr().get() & !7
}

/// The record of a slot that matched a tag.
#[inline(always)]
fn untagged(slot: *mut Record) -> RecordPtr {
    let record = slot.map_addr(|address| address & ADDRESS_MASK);
    // SAFETY: a slot that matches a tag holds the address of a record, which is not null.
    unsafe { NonNull::new_unchecked(record) }
}

impl Table {
    /// Makes an empty table of the given shape in a chunk.
    ///
    /// # Safety
    /// 1. `chunk` is the caller's alone, and has at least `shape.chunk_bytes()` bytes.
    pub(super) unsafe fn write(chunk: NonNull<ChunkHeader>, shape: Shape) -> NonNull<Table> {
        // SAFETY: the chunk is live and ours.
        let base = unsafe { (*chunk.as_ptr()).base };
        let head = size_of::<Table>();
        let start = (base.addr() + head).next_multiple_of(64) - base.addr();
        let behind = start + shape.buckets * size_of::<Bucket>();
        let symbols = (chunk.addr().get() - base.addr() - behind) / size_of::<Slot>();
        debug_assert!(symbols >= shape.symbols);
        // SAFETY: everything lies between the chunk's base and its header, by the size that `Shape` asked for.
        unsafe {
            let buckets = NonNull::new_unchecked(base.add(start).cast::<Bucket>());
            let directory = NonNull::new_unchecked(base.add(behind).cast::<Slot>());
            for index in 0..shape.buckets * WAYS {
                buckets.cast::<Slot>().add(index).write(Slot::new(ptr::null_mut()));
            }
            for index in 0..symbols {
                directory.add(index).write(Slot::new(ptr::null_mut()));
            }
            let table = NonNull::new_unchecked(base.cast::<Table>());
            table.write(Table {
                mask: shape.buckets - 1,
                buckets,
                directory,
                symbols_max: u32::try_from(symbols).unwrap_or(u32::MAX),
                names_max: u32::try_from(shape.buckets * WAYS / 2).unwrap_or(u32::MAX),
                chunk,
            });
            table
        }
    }

    #[inline(always)]
    fn bucket(&self, index: usize) -> &Bucket {
        // SAFETY: the index is masked, so it is below the number of buckets that were written.
        unsafe { self.buckets.add(index & self.mask).as_ref() }
    }

    /// Looks for a text.
    ///
    /// # Safety
    /// 1. The caller holds a pin that it took before it loaded this table, or the writer's lock (T4).
    #[inline(always)]
    pub(super) unsafe fn find(&self, seeds: &Seeds, text: &[u8]) -> Option<Found> {
        let len = text.len();
        if is_short(len) {
            // SAFETY: the length was checked, the slice is readable.
            let words = unsafe { Words::load(text.as_ptr(), len) };
            self.probe(seeds.hash_words(words, len), |record| {
                // SAFETY: a record in a slot is complete (T3) and not freed (the condition, T4); its text is `len` long.
                unsafe {
                    (*record.as_ptr()).len as usize == len
                        && Words::load(record.as_ptr().cast::<u8>().add(RECORD_TEXT), len) == words
                }
            })
        } else {
            // SAFETY: the caller's condition.
            unsafe { self.find_other(seeds, text) }
        }
    }

    /// # Safety
    /// As [`Table::find`].
    #[inline(never)]
    unsafe fn find_other(&self, seeds: &Seeds, text: &[u8]) -> Option<Found> {
        // SAFETY: as in `find`.
        self.probe(seeds.hash_other(text), |record| unsafe { text_of(record) == text })
    }

    #[inline(always)]
    fn probe(&self, hash: u64, is_same: impl Fn(RecordPtr) -> bool) -> Option<Found> {
        let tag = tag_of(hash);
        let mut index = hash as usize;
        loop {
            let slots = self.bucket(index).each_ref().map(|slot| slot.load(Ordering::Acquire));
            let mut found = ptr::null_mut();
            for slot in slots.iter().rev() {
                found = if matches(*slot, tag) { *slot } else { found };
            }
            if !found.is_null() {
                if is_same(untagged(found)) {
                    return Some(Found { record: untagged(found), is_condemned: found.addr() & FLAG != 0 });
                }
                for slot in slots {
                    if slot != found && matches(slot, tag) && is_same(untagged(slot)) {
                        return Some(Found { record: untagged(slot), is_condemned: slot.addr() & FLAG != 0 });
                    }
                }
            }
            if slots[WAYS - 1].is_null() {
                return None; // T2: nothing spilled over
            }
            index = index.wrapping_add(1);
        }
    }

    /// The record of a symbol, or `None` where it has none (any more).
    ///
    /// The record is not freed while a pin taken before this call lives.
    #[inline(always)]
    pub(super) fn record(&self, symbol: u32) -> Option<RecordPtr> {
        if symbol >= self.symbols_max {
            return None;
        }
        // SAFETY: below `symbols_max`, so written when the table was made.
        let cell = unsafe { self.directory.add(symbol as usize).as_ref() }.load(Ordering::Acquire);
        if cell.addr() & FLAG != 0 { None } else { NonNull::new(cell) }
    }

    fn cell(&self, symbol: u32) -> &Slot {
        assert!(symbol < self.symbols_max, "a table's directory covers the symbols in use");
        // SAFETY: just checked.
        unsafe { self.directory.add(symbol as usize).as_ref() }
    }

    /// Shows a record under its symbol and its text. For the writer.
    pub(super) fn link(&self, record: RecordPtr, symbol: u32, hash: u64, is_condemned: bool) {
        self.cell(symbol).store(record.as_ptr(), Ordering::Release);
        let mut index = hash as usize;
        loop {
            for slot in self.bucket(index) {
                if slot.load(Ordering::Relaxed).is_null() {
                    slot.store(tagged(record, tag_of(hash), is_condemned), Ordering::Release);
                    return;
                }
            }
            index = index.wrapping_add(1); // T5: there is a free one
        }
    }

    /// The slot of a record that the table shows.
    fn slot_of(&self, record: RecordPtr, hash: u64) -> &Slot {
        let mut index = hash as usize;
        loop {
            for slot in self.bucket(index) {
                let seen = slot.load(Ordering::Relaxed);
                assert!(!seen.is_null(), "a linked record has a slot");
                if matches(seen, tag_of(hash)) && untagged(seen) == record {
                    return slot;
                }
            }
            index = index.wrapping_add(1);
        }
    }

    /// Sets or clears the flag of a record's slot. For the writer.
    pub(super) fn set_condemned(&self, record: RecordPtr, hash: u64, is_condemned: bool) {
        self.slot_of(record, hash).store(tagged(record, tag_of(hash), is_condemned), Ordering::Release);
    }

    /// Stops showing a record; its symbol's place keeps `free_next` for the list of free symbols. For the writer.
    pub(super) fn unlink(&self, record: RecordPtr, symbol: u32, hash: u64, free_next: u32) {
        self.slot_of(record, hash).store(ptr::without_provenance_mut(DEAD_ADDRESS), Ordering::Release);
        self.set_free(symbol, free_next);
    }

    /// Puts a symbol without a name into the list of free ones.
    pub(super) fn set_free(&self, symbol: u32, free_next: u32) {
        let link = ptr::without_provenance_mut((free_next as usize) << 1 | FLAG);
        self.cell(symbol).store(link, Ordering::Release);
    }

    /// The free symbol after this one.
    pub(super) fn free_next(&self, symbol: u32) -> u32 {
        let cell = self.cell(symbol).load(Ordering::Relaxed).addr();
        assert!(cell & FLAG != 0, "a free symbol has no record");
        (cell >> 1) as u32
    }
}

//! The open addressing table that readers probe, and the records that it points to.
//!
//! ```text
//!   chunk of a table
//!   | Table | .. | bucket 0 | bucket 1 | ... | directory: one pointer for each symbol | .. | chunk header |
//!
//!   bucket, a cache line: | tags 8 x 1 byte | 7 slots |
//!     tag 0 to 6 of the slot: 0 not used yet, 1 was used once, else bits of the hash of the name in it
//!     tag 7: 0, or 1 where names spilled over to the next bucket
//!     slot: a pointer to a record, with a flag in bit 0: condemned
//!
//!   record: | symbol 4 | len 4 | refs 4 | condemned 4 | text ... padded to 8 |
//! ```
//!
//! The tags of a bucket are one word, so one load and a few instructions tell which slots are worth a look, and one
//! more whether the next bucket is (as Meta's F14 and hashbrown do with vector instructions, which atomics rule out).
//!
//! - T1 A tag goes from 0 to a name's, and at last to 1: never back. The mark in tag 7 stays. So a probe that stops at
//!   a bucket without the mark has missed nothing.
//! - T2 A slot is written before its tag, and not again but for the flag: a tag that was seen, even if it has become 1
//!   since, has its record behind it (T4).
//! - T3 A record is complete before a slot or the directory points to it (release), and readers load with acquire.
//! - T4 A table and the records that it shows are freed only when no pin of the epoch in which they were unlinked,
//!   or of an earlier one, lives (pins.rs).
//! - T5 At least one slot of the table is not used yet, so some bucket has no mark.

use super::hash::{Medium, Seeds, Short, Words, place_of};
use crate::chunk::{ChunkHeader, chunk_bytes_for};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use core::ptr::{self, NonNull};

/// Slots of a bucket.
const WAYS: usize = 7;
/// At most so many of them are used on average: one bucket in twenty spills over.
const WAYS_USED: usize = 4;
/// The smallest table has this many buckets.
const BUCKETS_MIN: usize = 8;

const FLAG: usize = 1;
/// The tag of a slot whose name was unlinked.
const DEAD_TAG: u64 = 1;
/// The mark of a bucket that names spilled over from.
const SPILLED: u64 = 1 << (8 * WAYS);
/// The lowest and the highest bit of each tag.
const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

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
const _: () = assert!(RECORD_TEXT == 16 && core::mem::offset_of!(Record, len) == 4);

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

/// What a slot holds whose tag has been seen: a record, and whether it is condemned, in one word.
#[derive(Clone, Copy)]
pub(super) struct Found(RecordPtr);

impl Found {
    fn new(record: RecordPtr, is_condemned: bool) -> Found {
        Found(record.map_addr(|address| address | usize::from(is_condemned)))
    }

    #[inline(always)]
    fn load(slot: &Slot) -> Found {
        // SAFETY: by T2 the slot holds a record, which is not null.
        Found(unsafe { NonNull::new_unchecked(slot.load(Ordering::Acquire)) })
    }

    #[inline(always)]
    pub(super) fn is_condemned(self) -> bool {
        self.0.addr().get() & FLAG != 0
    }

    #[inline(always)]
    pub(super) fn record(self) -> RecordPtr {
        let record = self.0.as_ptr().map_addr(|address| address & !FLAG);
        // SAFETY: the address of a record without the flag is not null.
        unsafe { NonNull::new_unchecked(record) }
    }
}

type Slot = AtomicPtr<Record>;

#[repr(C, align(64))]
struct Bucket {
    tags: AtomicU64,
    slots: [Slot; WAYS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    fn new() -> Bucket {
        Bucket { tags: AtomicU64::new(0), slots: core::array::from_fn(|_| Slot::new(ptr::null_mut())) }
    }

    /// Changes the tag of a slot. For the writer.
    fn set_tag(&self, way: usize, tag: u64) {
        let tags = self.tags.load(Ordering::Relaxed) & !(0xff << (8 * way));
        self.tags.store(tags | tag << (8 * way), Ordering::Release);
    }
}

/// What stands at the beginning of a table's chunk.
pub(super) struct Table {
    /// The bits of a hash that are the offset of its bucket, in bytes.
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
        let buckets = names.div_ceil(WAYS_USED).checked_next_power_of_two()?.max(BUCKETS_MIN);
        Some(Shape { buckets, symbols })
    }

    /// The bytes of the chunk that holds such a table.
    pub(super) fn chunk_bytes(self) -> Option<usize> {
        let buckets = self.buckets.checked_mul(size_of::<Bucket>())?;
        let directory = self.symbols.checked_mul(size_of::<Slot>())?;
        chunk_bytes_for(HEAD_BYTES.checked_add(buckets)?.checked_add(directory)?)
    }
}

/// The tag of a name with this hash: neither 0 nor [`DEAD_TAG`].
#[inline(always)]
fn tag_of(hash: u64) -> u64 {
    hash >> 56 | 2
}

/// The first of the slots whose tags may be `tag`, as the lowest of the set bits; all that are, and now and then one
/// that is not (of a tag that differs in the last bit, above one that is).
#[inline(always)]
fn candidates(tags: u64, tag: u64) -> u64 {
    let differences = tags ^ tag.wrapping_mul(LOW_BITS);
    differences.wrapping_sub(LOW_BITS) & !differences & HIGH_BITS
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
            for index in 0..shape.buckets {
                buckets.add(index).write(Bucket::new());
            }
            for index in 0..symbols {
                directory.add(index).write(Slot::new(ptr::null_mut()));
            }
            let table = NonNull::new_unchecked(base.cast::<Table>());
            table.write(Table {
                mask: (shape.buckets - 1) * size_of::<Bucket>(),
                buckets,
                directory,
                symbols_max: u32::try_from(symbols).unwrap_or(u32::MAX),
                names_max: u32::try_from(shape.buckets * WAYS_USED).unwrap_or(u32::MAX),
                chunk,
            });
            table
        }
    }

    #[inline(always)]
    fn bucket(&self, index: usize) -> &Bucket {
        // SAFETY: the mask keeps the offset within the buckets that were written, and at the beginning of one.
        unsafe { self.buckets.byte_add(index & self.mask).as_ref() }
    }

    /// Looks for a text.
    ///
    /// # Safety
    /// 1. The caller holds a pin that it took before it loaded this table, or the writer's lock (T4).
    #[inline(always)]
    pub(super) unsafe fn find(&self, seeds: &Seeds, text: &[u8]) -> Option<Found> {
        // SAFETY: the caller's condition.
        unsafe {
            match text.len() {
                len if Short::holds(len) => self.find_words::<Short>(seeds, text),
                len if Medium::holds(len) => self.find_words::<Medium>(seeds, text),
                _ => self.find_other(seeds, text),
            }
        }
    }

    /// # Safety
    /// As [`Table::find`].
    #[inline(never)]
    unsafe fn find_other(&self, seeds: &Seeds, text: &[u8]) -> Option<Found> {
        // SAFETY: as in `find`; records that are found are complete (T3) and not freed (T4).
        self.probe(seeds.hash_other(text), |record| unsafe { text_of(record) == text })
    }

    /// # Safety
    /// As [`Table::find`], for a text of the length that such words hold.
    #[inline(always)]
    unsafe fn find_words<W: Words>(&self, seeds: &Seeds, text: &[u8]) -> Option<Found> {
        let len = text.len();
        debug_assert!(W::holds(len));
        // SAFETY: the caller's condition; the slice is readable.
        let words = unsafe { W::load(text.as_ptr(), len) };
        self.probe(words.hash(len, seeds), |record| {
            // SAFETY: a record in a slot is complete (T3) and not freed (T4); its text is `len` long.
            unsafe {
                (*record.as_ptr()).len as usize == len
                    && W::load(record.as_ptr().cast::<u8>().add(RECORD_TEXT), len).is_same(&words)
            }
        })
    }

    #[inline(always)]
    fn probe(&self, hash: u64, is_same: impl Fn(RecordPtr) -> bool) -> Option<Found> {
        let mut index = place_of(hash);
        loop {
            let bucket = self.bucket(index);
            let tags = bucket.tags.load(Ordering::Acquire);
            let mut bits = candidates(tags, tag_of(hash));
            while bits != 0 {
                let way = bits.trailing_zeros() as usize / 8;
                // SAFETY: the eighth tag, 0 or 1, differs from a name's in a higher bit, so it is no candidate.
                let slot = unsafe { bucket.slots.get_unchecked(way) };
                let found = Found::load(slot);
                if is_same(found.record()) {
                    return Some(found);
                }
                bits &= bits - 1;
            }
            if tags < SPILLED {
                return None;
            }
            index = index.wrapping_add(size_of::<Bucket>());
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
        let mut index = place_of(hash);
        loop {
            let bucket = self.bucket(index);
            let tags = bucket.tags.load(Ordering::Relaxed);
            if let Some(way) = (0..WAYS).find(|way| tags >> (8 * way) & 0xff == 0) {
                bucket.slots[way].store(Found::new(record, is_condemned).0.as_ptr(), Ordering::Release);
                bucket.set_tag(way, tag_of(hash)); // T2
                return;
            }
            bucket.tags.store(tags | SPILLED, Ordering::Release);
            index = index.wrapping_add(size_of::<Bucket>()); // T5: there is a free one
        }
    }

    /// Where a record stands that the table shows.
    fn slot_of(&self, record: RecordPtr, hash: u64) -> (&Bucket, usize) {
        let mut index = place_of(hash);
        loop {
            let bucket = self.bucket(index);
            let tags = bucket.tags.load(Ordering::Relaxed);
            let holds = |way: &usize| {
                tags >> (8 * way) & 0xff == tag_of(hash)
                    && Found::load(&bucket.slots[*way]).record() == record
            };
            if let Some(way) = (0..WAYS).find(holds) {
                return (bucket, way);
            }
            assert!(tags >= SPILLED, "a linked record has a slot");
            index = index.wrapping_add(size_of::<Bucket>());
        }
    }

    /// Sets or clears the flag of a record's slot. For the writer.
    pub(super) fn set_condemned(&self, record: RecordPtr, hash: u64, is_condemned: bool) {
        let (bucket, way) = self.slot_of(record, hash);
        bucket.slots[way].store(Found::new(record, is_condemned).0.as_ptr(), Ordering::Release);
    }

    /// Stops showing a record; its symbol's place keeps `free_next` for the list of free symbols. For the writer.
    pub(super) fn unlink(&self, record: RecordPtr, symbol: u32, hash: u64, free_next: u32) {
        let (bucket, way) = self.slot_of(record, hash);
        bucket.set_tag(way, DEAD_TAG);
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

//! Memory of a tree: slabs that an arena gives, cut into records and nodes, and found again by 32 bits.
//!
//! ```text
//!   offset   0 ......... 64 KiB ....... 128 KiB ...................... 320 KiB ....
//!            |     0     |      1       |    2    |   3   |   4    |  5   |   stretches
//!   slab     |records->  <-nodes|gap    | records ->       <- nodes|gap|
//! ```
//!
//! A slab is all that is left of a chunk of the arena, of whatever size. It begins a stretch of 64 KiB of offsets and takes as
//! many stretches as it needs; a table has the address of each. So the first slab may be small, the last ones large, and
//! kept chunks are used again whatever their order. Records are handed out from a slab's begin upwards, unaligned; nodes from its
//! end downwards, aligned to cache lines: neither pays for the other's alignment. What a slab has left when the next one
//! begins is handed out still, where it fits.
//!
//! Invariants (cited as *slab S1* …):
//! - **S1** Only the one writer hands out memory; every byte is handed out at most once in a generation.
//! - **S2** Table entries are written before an offset into their stretch is handed out, and never change in a generation. A
//!   table that has grown is a copy with more entries; the old one stays as it is.
//! - **S3** Slabs stay where they are until the arena is reset, which nobody does while a view of them lives.
//! - **S4** No offset is 0: the first table stands there.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use cofferdam_arena::{AllocError, Arena, WritePin};

/// What slabs are counted in, and what nodes are aligned to.
pub(super) const LINE_BYTES: usize = 64;

/// 64 bytes of a slab: of no type, and perhaps not initialized.
#[repr(C, align(64))]
pub(super) struct Line(UnsafeCell<MaybeUninit<[u8; LINE_BYTES]>>);

// SAFETY: a line has no methods. Who reads or writes its bytes through a pointer obeys the rules of `Slabs` (S1).
unsafe impl Sync for Line {}

/// Where slabs come from.
pub(super) trait Memory {
    /// All that is left of a chunk, but `lines_min` lines at least. Charged before it is taken.
    fn take(&self, lines_min: usize) -> Result<NonNull<[Line]>, AllocError>;

    /// All chunks together, in bytes.
    fn held_bytes(&self) -> usize;
}

const fn empty_line(_: usize) -> Line {
    Line(UnsafeCell::new(MaybeUninit::uninit()))
}

impl Memory for WritePin<'_> {
    fn take(&self, lines_min: usize) -> Result<NonNull<[Line]>, AllocError> {
        let lines = self.alloc_rest_with(lines_min, empty_line)?;
        Ok(NonNull::from(self.get(lines).expect("it was just made under this pin")))
    }

    fn held_bytes(&self) -> usize {
        self.stats().allocated_bytes
    }
}

impl Memory for Arena {
    fn take(&self, lines_min: usize) -> Result<NonNull<[Line]>, AllocError> {
        Ok(NonNull::from(self.alloc_rest_with(lines_min, empty_line)?))
    }

    fn held_bytes(&self) -> usize {
        self.stats().allocated_bytes
    }
}

const STRETCH_LOG2: u32 = 16;
const STRETCH_BYTES: usize = 1 << STRETCH_LOG2;
/// One bit of an offset is left to whoever keeps it: 2 GiB.
const STRETCHES_MAX: usize = 1 << (31 - STRETCH_LOG2);
/// The most bytes that are made sure of at once.
pub(super) const NEEDS_BYTES_MAX: usize = 1 << 30;

type Stretch = AtomicPtr<Line>;

/// The slabs of one tree of tables, of the arena's current generation.
#[repr(C, align(64))]
pub(super) struct Slabs {
    /// The addresses of the stretches, in a slab; null while there is none.
    table: AtomicPtr<Stretch>,
    /// How many entries the table has.
    table_len: AtomicU32,
    /// What the sequences of records are relative to; `u64::MAX` until there is one.
    base_sequence: AtomicU64,
    /// The rest is the writer's.
    writer: Room,
}

/// What the writer has left to hand out.
#[repr(C, align(64))]
struct Room {
    /// Stretches that slabs were given.
    stretches_count: AtomicU32,
    /// The free offsets of the last slab.
    low: AtomicU32,
    high: AtomicU32,
    /// Those of the slab before it.
    spare_low: AtomicU32,
    spare_high: AtomicU32,
    /// Bytes of all slabs.
    slabs_bytes: AtomicU64,
    /// The arena is being asked: whoever hears of that must not insert.
    is_asking: AtomicBool,
}

impl Slabs {
    pub(super) const fn new() -> Slabs {
        Slabs {
            table: AtomicPtr::new(ptr::null_mut()),
            table_len: AtomicU32::new(0),
            base_sequence: AtomicU64::new(u64::MAX),
            writer: Room {
                stretches_count: AtomicU32::new(0),
                low: AtomicU32::new(0),
                high: AtomicU32::new(0),
                spare_low: AtomicU32::new(0),
                spare_high: AtomicU32::new(0),
                slabs_bytes: AtomicU64::new(0),
                is_asking: AtomicBool::new(false),
            },
        }
    }

    /// Forgets all slabs, because the arena was reset. For whoever has the arena to itself.
    pub(super) fn forget(&self) {
        self.table_len.store(0, Ordering::Relaxed);
        self.table.store(ptr::null_mut(), Ordering::Relaxed);
        self.base_sequence.store(u64::MAX, Ordering::Relaxed);
        let room = &self.writer;
        for word in [&room.stretches_count, &room.low, &room.high, &room.spare_low, &room.spare_high] {
            word.store(0, Ordering::Relaxed);
        }
        room.slabs_bytes.store(0, Ordering::Relaxed);
    }

    /// The table as it is now. The length comes first: it is written last.
    #[inline(always)]
    fn table(&self) -> &[Stretch] {
        let len = self.table_len.load(Ordering::Acquire) as usize;
        let table = self.table.load(Ordering::Acquire);
        if len == 0 {
            return &[];
        }
        // SAFETY: a table has at least as many initialized entries as any length that was stored before it (S2), and
        // lives while a view can (S3), for which `self` is borrowed.
        unsafe { slice::from_raw_parts(table, len) }
    }

    /// The address of an offset: of no use but for what was handed out. Null where nothing was.
    #[inline(always)]
    pub(super) fn address(&self, offset: u32) -> *mut u8 {
        let stretch = offset >> STRETCH_LOG2;
        if stretch >= self.table_len.load(Ordering::Acquire) {
            return ptr::null_mut();
        }
        // SAFETY: below a length of the table, so in it, as in `table`.
        let begin = unsafe { &*self.table.load(Ordering::Acquire).add(stretch as usize) };
        begin.load(Ordering::Relaxed).cast::<u8>().wrapping_add(offset as usize % STRETCH_BYTES)
    }

    /// Bytes that were handed out or left behind.
    pub(super) fn used_bytes(&self) -> u64 {
        let room = &self.writer;
        let free = |low: &AtomicU32, high: &AtomicU32| {
            u64::from(high.load(Ordering::Relaxed).saturating_sub(low.load(Ordering::Relaxed)))
        };
        let free_bytes = free(&room.low, &room.high) + free(&room.spare_low, &room.spare_high);
        room.slabs_bytes.load(Ordering::Relaxed).saturating_sub(free_bytes)
    }

    /// What the sequences of records are relative to.
    #[inline(always)]
    pub(super) fn base_sequence(&self) -> u64 {
        self.base_sequence.load(Ordering::Relaxed)
    }
}

/// The right to hand out a tree's memory: the writer's.
pub(super) struct Cutter<'w, M: Memory> {
    slabs: &'w Slabs,
    memory: &'w M,
    not_sync: PhantomData<core::cell::Cell<()>>,
}

/// What an insertion needs of memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Needs {
    /// Records, unaligned.
    pub(super) records_bytes: usize,
    /// Nodes: multiples of a line.
    pub(super) nodes_bytes: usize,
}

impl Needs {
    fn bytes(self) -> usize {
        self.records_bytes.saturating_add(self.nodes_bytes)
    }
}

impl<'w, M: Memory> Cutter<'w, M> {
    /// # Safety
    /// 1. While the cutter lives, no other one of the same slabs is used (S1).
    /// 2. `memory` is the arena that all slabs since the last `forget` came from; it is not reset while `'w` lasts (S3).
    ///
    /// # Panics
    /// An observer of the budget, or a reclaimer, inserts within the insertion that it was called by.
    pub(super) unsafe fn new(slabs: &'w Slabs, memory: &'w M) -> Cutter<'w, M> {
        assert!(!slabs.writer.is_asking.load(Ordering::Relaxed), "an insertion within an insertion");
        Cutter { slabs, memory, not_sync: PhantomData }
    }

    pub(super) fn slabs(&self) -> &'w Slabs {
        self.slabs
    }

    /// What the sequences of records are relative to, which is `first` where there is no record yet.
    pub(super) fn set_base_sequence(&self, first: u64) -> u64 {
        match self.slabs.base_sequence() {
            u64::MAX => {
                self.slabs.base_sequence.store(first, Ordering::Relaxed);
                first
            }
            base => base,
        }
    }

    /// Makes sure of memory: afterwards handing it out, in any order, does not fail. True if the arena was asked.
    ///
    /// # Errors
    /// The budget has no room for another slab, or offsets have run out; nothing has changed then.
    #[inline(always)]
    pub(super) fn ensure(&self, needs: Needs) -> Result<bool, AllocError> {
        let room = &self.slabs.writer;
        let free_bytes = room.high.load(Ordering::Relaxed) - room.low.load(Ordering::Relaxed);
        if needs.bytes() <= free_bytes as usize {
            return Ok(false);
        }
        self.take_slab(needs).map(|()| true)
    }

    #[cold]
    #[inline(never)]
    fn take_slab(&self, needs: Needs) -> Result<(), AllocError> {
        let room = &self.slabs.writer;
        let begin_stretch = room.stretches_count.load(Ordering::Relaxed) as usize;
        let bytes_min = slab_bytes_min(needs.bytes(), begin_stretch);
        if needs.bytes() > NEEDS_BYTES_MAX || bytes_min > (STRETCHES_MAX - begin_stretch) * STRETCH_BYTES {
            // The arena records why.
            return self.memory.take(usize::MAX).and(Err(AllocError));
        }
        // An observer of the charge may do anything but insert, because the slab's stretches are counted by now.
        let asking = Asking::begin(&room.is_asking);
        let slab = self.memory.take(bytes_min.div_ceil(LINE_BYTES))?;
        drop(asking);
        let slab_bytes = (slab.len() * LINE_BYTES).min((STRETCHES_MAX - begin_stretch) * STRETCH_BYTES);
        let end_stretch = begin_stretch + slab_bytes.div_ceil(STRETCH_BYTES);
        let begin = slab.cast::<Line>().as_ptr();

        let mut table = self.slabs.table();
        let mut table_bytes = 0;
        if end_stretch > table.len() {
            let len = table_len_for(end_stretch);
            table_bytes = len * size_of::<Stretch>();
            // SAFETY: the slab is fresh, aligned to 64, and larger than the table by `slab_bytes_min`. All entries are
            // written before the slice is made.
            table = unsafe {
                let entries = begin.cast::<Stretch>();
                for index in 0..len {
                    let begin =
                        table.get(index).map_or(ptr::null_mut(), |begin| begin.load(Ordering::Relaxed));
                    entries.add(index).write(AtomicPtr::new(begin));
                }
                slice::from_raw_parts(entries, len)
            };
        }
        for (index, entry) in table.iter().take(end_stretch).skip(begin_stretch).enumerate() {
            entry.store(begin.wrapping_byte_add(index * STRETCH_BYTES), Ordering::Release);
        }
        if table_bytes > 0 {
            self.slabs.table.store(ptr::from_ref(table).cast_mut().cast(), Ordering::Release);
            self.slabs.table_len.store(table.len() as u32, Ordering::Release);
        }
        room.spare_low.store(room.low.load(Ordering::Relaxed), Ordering::Relaxed);
        room.spare_high.store(room.high.load(Ordering::Relaxed), Ordering::Relaxed);
        room.low.store((begin_stretch * STRETCH_BYTES + table_bytes) as u32, Ordering::Relaxed);
        room.high.store((begin_stretch * STRETCH_BYTES + slab_bytes) as u32, Ordering::Relaxed);
        room.stretches_count.store(end_stretch as u32, Ordering::Relaxed);
        room.slabs_bytes
            .store(room.slabs_bytes.load(Ordering::Relaxed) + slab_bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Room for a record. Needs: `ensure`.
    #[expect(clippy::mut_from_ref, reason = "each call hands out other bytes")]
    pub(super) fn cut_record(&self, len: usize) -> (u32, &mut [MaybeUninit<u8>]) {
        let room = &self.slabs.writer;
        let offset = match cut_low(&room.spare_low, &room.spare_high, len) {
            Some(offset) => offset,
            None => cut_low(&room.low, &room.high, len).expect("ensure has made room"),
        };
        let begin = self.slabs.address(offset).cast::<MaybeUninit<u8>>();
        // SAFETY: between the low and the high end of a slab, so the bytes exist (S3), and handed out to nobody else (S1).
        (offset, unsafe { slice::from_raw_parts_mut(begin, len) })
    }

    /// Room for a node of `bytes`, a multiple of a line, aligned to a line. Needs: `ensure`.
    pub(super) fn cut_node(&self, bytes: usize) -> (u32, NonNull<u8>) {
        debug_assert!(bytes.is_multiple_of(LINE_BYTES));
        let room = &self.slabs.writer;
        let offset = match cut_high(&room.spare_low, &room.spare_high, bytes) {
            Some(offset) => offset,
            None => cut_high(&room.low, &room.high, bytes).expect("ensure has made room"),
        };
        (offset, NonNull::new(self.slabs.address(offset)).expect("a slab is somewhere"))
    }

    /// The arena.
    pub(super) fn memory(&self) -> &'w M {
        self.memory
    }
}

/// For as long as the arena is being asked, also where an observer panics.
struct Asking<'s>(&'s AtomicBool);

impl<'s> Asking<'s> {
    fn begin(is_asking: &'s AtomicBool) -> Asking<'s> {
        is_asking.store(true, Ordering::Relaxed);
        Asking(is_asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn cut_low(low: &AtomicU32, high: &AtomicU32, bytes: usize) -> Option<u32> {
    let offset = low.load(Ordering::Relaxed);
    if bytes > (high.load(Ordering::Relaxed) - offset) as usize {
        return None;
    }
    low.store(offset + bytes as u32, Ordering::Relaxed);
    Some(offset)
}

fn cut_high(low: &AtomicU32, high: &AtomicU32, bytes: usize) -> Option<u32> {
    let end = high.load(Ordering::Relaxed);
    if bytes > (end - low.load(Ordering::Relaxed)) as usize {
        return None;
    }
    let offset = end - bytes as u32;
    high.store(offset, Ordering::Relaxed);
    Some(offset)
}

/// How many entries a table has that must have `stretches_count`: so many more that all tables together take less than three
/// times the last one.
fn table_len_for(stretches_count: usize) -> usize {
    (2 * stretches_count).next_power_of_two().clamp(4, STRETCHES_MAX)
}

/// A size of slabs from which on they hold `bytes` and a new table beside them, however large they are.
fn slab_bytes_min(bytes: usize, stretches_before: usize) -> usize {
    // The table's bytes are less than 8 * 4 * (stretches before + slab / 64 KiB + 1), or 32.
    let table_bytes = 32 * (stretches_before + 2);
    let both_bytes = bytes.saturating_add(table_bytes);
    both_bytes.saturating_add(both_bytes / 1024)
}

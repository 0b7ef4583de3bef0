//! The untyped pool: slots of one layout, a free list through them, chunks that double.

use super::{POOL_CHUNK_OBJECTS, PoolStats};
use crate::budget::Budget;
use crate::bump::round_up;
use crate::chunk::{CHUNK_BYTES_MIN, ChunkHeader, chunk_bytes_for, round_chunk_down};
use crate::error::{AllocError, Reason};
use core::alloc::Layout;
use core::cell::Cell;
use core::ptr::{self, NonNull};

/// The largest chunk of a pool whose objects are small enough for it.
const POOL_CHUNK_BYTES_MAX: usize = 1 << 20;
/// The data of every chunk begins at a multiple of this.
const CHUNK_ALIGN: usize = 64;

/// What a free slot and a chunk's header begin with.
#[repr(C)]
struct Link {
    next: *mut Link,
}

const _: () = assert!(core::mem::offset_of!(ChunkHeader, next) == 0);

/// Slots of one layout.
///
/// - I1 a slot is in exactly one place: with an owner, in the free list, or in `fresh..fresh_end` of the first chunk.
/// - I2 chunks after the first one have no fresh slots.
pub(crate) struct RawPool {
    /// Free slots, the latest first; the only field that a recycling `get` and a `put` must touch.
    free: Cell<*mut Link>,
    gets_count: Cell<u64>,
    puts_count: Cell<u64>,
    fresh: Cell<*mut u8>,
    fresh_end: Cell<usize>,
    chunks: Cell<*mut ChunkHeader>,
    slots_count: Cell<usize>,
    chunks_count: Cell<usize>,
    allocated_bytes: Cell<usize>,
    slot_bytes: usize,
    slot_align: usize,
    budget: Budget,
}

// SAFETY: a pool owns its chunks. Whoever has a slot borrows the pool, so when the pool moves no slot is in use; and it
// is not Sync.
unsafe impl Send for RawPool {}

impl RawPool {
    pub(crate) fn new(budget: &Budget, object: Layout) -> RawPool {
        let slot_align = object.align().max(align_of::<Link>());
        let slot_bytes = round_up(object.size().max(size_of::<Link>()), slot_align)
            .expect("a layout's size, rounded up to its alignment, is at most isize::MAX");
        RawPool {
            free: Cell::new(ptr::null_mut()),
            gets_count: Cell::new(0),
            puts_count: Cell::new(0),
            fresh: Cell::new(ptr::null_mut()),
            fresh_end: Cell::new(0),
            chunks: Cell::new(ptr::null_mut()),
            slots_count: Cell::new(0),
            chunks_count: Cell::new(0),
            allocated_bytes: Cell::new(0),
            slot_bytes,
            slot_align,
            budget: budget.clone(),
        }
    }

    /// A slot: the one given back last, or a fresh one.
    #[inline(always)]
    pub(crate) fn get(&self) -> Result<NonNull<u8>, AllocError> {
        let Some(slot) = NonNull::new(self.free.get()) else { return self.get_fresh() };
        // SAFETY: a free slot holds the next one's address and belongs to nobody (I1).
        self.free.set(unsafe { (*slot.as_ptr()).next });
        self.gets_count.set(self.gets_count.get() + 1);
        Ok(slot.cast())
    }

    /// True where the next `get` recycles.
    pub(crate) fn has_free(&self) -> bool {
        !self.free.get().is_null()
    }

    #[inline]
    fn get_fresh(&self) -> Result<NonNull<u8>, AllocError> {
        let fresh = match NonNull::new(self.fresh.get()) {
            Some(fresh) if fresh.addr().get() < self.fresh_end.get() => fresh,
            _ => self.grow()?,
        };
        // SAFETY: at least one whole slot lies between `fresh` and `fresh_end`.
        self.fresh.set(unsafe { fresh.as_ptr().add(self.slot_bytes) });
        self.gets_count.set(self.gets_count.get() + 1);
        Ok(fresh)
    }

    /// Takes a slot back.
    ///
    /// # Safety
    /// 1. The slot came from this pool's `get` and was not given back since.
    /// 2. Nobody uses it any more.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, slot: NonNull<u8>) {
        let link = slot.cast::<Link>();
        // SAFETY: by the conditions the slot is ours alone; it is large enough and aligned for a link (`new`).
        unsafe { link.write(Link { next: self.free.get() }) };
        self.free.set(link.as_ptr());
        self.puts_count.set(self.puts_count.get() + 1);
    }

    /// Takes a chunk and makes all its slots fresh.
    #[cold]
    #[inline(never)]
    fn grow(&self) -> Result<NonNull<u8>, AllocError> {
        let chunk = take_chunk(&self.budget, self.slot_bytes, self.slot_align, self.allocated_bytes.get())?;
        let (first, count) = slots_of(chunk, self.slot_bytes, self.slot_align);
        // SAFETY: the chunk is fresh and this pool's; `first` begins `count` slots within it.
        unsafe {
            (*chunk.as_ptr()).next = self.chunks.get();
            self.allocated_bytes.set(self.allocated_bytes.get() + (*chunk.as_ptr()).bytes);
        }
        self.chunks.set(chunk.as_ptr());
        self.chunks_count.set(self.chunks_count.get() + 1);
        self.slots_count.set(self.slots_count.get() + count);
        self.fresh_end.set(first.addr().get() + count * self.slot_bytes);
        Ok(first)
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let live_count = (self.gets_count.get() - self.puts_count.get()) as usize;
        PoolStats {
            live_count,
            free_count: self.slots_count.get() - live_count,
            recycled_count: self.puts_count.get(),
            chunks_count: self.chunks_count.get(),
            allocated_bytes: self.allocated_bytes.get(),
        }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Gives back chunks without live slots: free slots and chunks are sorted by address, then walked side by side.
    pub(crate) fn shrink(&self) -> u64 {
        let fresh_chunk = self.chunks.get();
        // SAFETY: both lists are this pool's, linked through their first field, and end in null.
        let (mut free, mut chunk) = unsafe {
            let free = sort_by_address(self.free.get());
            (free, sort_by_address(self.chunks.get().cast()).cast::<ChunkHeader>())
        };
        let (mut kept_free, mut kept_chunks, mut out) = (Queue::EMPTY, Queue::EMPTY, Queue::EMPTY);
        let mut released_bytes = 0;
        while let Some(here) = NonNull::new(chunk) {
            // SAFETY: a live header of this pool; free slots below its address lie in its chunk, because those of
            // lower chunks are already gone from the list.
            unsafe {
                chunk = here.as_ref().next;
                let (first, count) = slots_of(here, self.slot_bytes, self.slot_align);
                let is_fresh = here.as_ptr() == fresh_chunk;
                let handed_count = if is_fresh {
                    (self.fresh.get().addr() - first.addr().get()) / self.slot_bytes
                } else {
                    count
                };
                let mut here_free = Queue::EMPTY;
                while !free.is_null() && free.addr() < here.addr().get() {
                    let next = (*free).next;
                    here_free.push(free);
                    free = next;
                }
                if here_free.count < handed_count {
                    kept_free.append(here_free);
                    kept_chunks.push(here.as_ptr().cast());
                    continue;
                }
                if is_fresh {
                    self.fresh.set(ptr::null_mut());
                    self.fresh_end.set(0);
                }
                self.slots_count.set(self.slots_count.get() - count);
                released_bytes += here.as_ref().bytes;
                out.push(here.as_ptr().cast());
            }
        }
        debug_assert!(free.is_null(), "every free slot lies in a chunk");
        self.free.set(kept_free.first);
        self.chunks.set(kept_chunks.first.cast());
        if !self.fresh.get().is_null() {
            self.move_to_front(fresh_chunk);
        }
        self.chunks_count.set(self.chunks_count.get() - out.count);
        self.allocated_bytes.set(self.allocated_bytes.get() - released_bytes);
        if let (Some(first), Some(last)) = (NonNull::new(out.first), NonNull::new(out.last)) {
            // Last, when the lists are whole again: an observer that hears of the release may use this very pool.
            // SAFETY: these chunks are in no list of the pool any more, none of their slots is in use, and they are
            // linked from the first to the last.
            unsafe { self.budget.give_back_chunks(first.cast(), last.cast(), released_bytes) };
        }
        released_bytes as u64
    }

    /// Makes the chunk with the fresh slots the first one again (I2).
    fn move_to_front(&self, fresh_chunk: *mut ChunkHeader) {
        let mut link = self.chunks.get();
        if link == fresh_chunk {
            return;
        }
        // SAFETY: all headers of the list are live, and the fresh chunk is one of them, behind the first.
        unsafe {
            while (*link).next != fresh_chunk {
                link = (*link).next;
            }
            (*link).next = (*fresh_chunk).next;
            (*fresh_chunk).next = self.chunks.get();
        }
        self.chunks.set(fresh_chunk);
    }

    /// Gives one chunk back, and says how many bytes it had.
    ///
    /// # Safety
    /// The chunk is this pool's, is in no list of it any more, and nobody uses its slots.
    unsafe fn give_back(&self, chunk: NonNull<ChunkHeader>) -> u64 {
        // SAFETY: the condition.
        let bytes = unsafe { give_back_chunk(&self.budget, chunk) };
        self.chunks_count.set(self.chunks_count.get() - 1);
        self.allocated_bytes.set(self.allocated_bytes.get() - bytes);
        bytes as u64
    }
}

impl core::fmt::Debug for RawPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RawPool({}: {})", self.budget.name(), self.stats())
    }
}

impl Drop for RawPool {
    fn drop(&mut self) {
        let mut chunk = self.chunks.get();
        while let Some(here) = NonNull::new(chunk) {
            // SAFETY: a header of this pool, given back once. Owners of slots borrow the pool, so none is left (one
            // that was forgotten is never used again).
            unsafe {
                chunk = here.as_ref().next;
                self.give_back(here);
            }
        }
    }
}

/// Takes a chunk for slots: as large as all before it together, for 1,024 objects, 1 MiB or a sixteenth of the limit
/// at most, and for one object at least.
pub(crate) fn take_chunk(
    budget: &Budget,
    slot_bytes: usize,
    slot_align: usize,
    allocated_bytes: usize,
) -> Result<NonNull<ChunkHeader>, AllocError> {
    let too_large = || budget.refuse(slot_bytes as u64, Reason::TooLarge);
    let slack = slot_align.saturating_sub(CHUNK_ALIGN);
    let needed =
        slot_bytes.checked_add(slack).and_then(chunk_bytes_for).ok_or_else(too_large)?.max(CHUNK_BYTES_MIN);
    let share = usize::try_from(budget.limit_on_path() / 16).unwrap_or(usize::MAX);
    let full_data = slot_bytes.saturating_mul(POOL_CHUNK_OBJECTS).saturating_add(slack);
    let full =
        chunk_bytes_for(full_data).map_or(POOL_CHUNK_BYTES_MAX, |bytes| bytes.min(POOL_CHUNK_BYTES_MAX));
    let proposed = round_chunk_down(allocated_bytes.clamp(CHUNK_BYTES_MIN, full).min(share)).max(needed);
    if proposed > needed
        && let Ok(chunk) = budget.take_chunk(proposed, true)
    {
        return Ok(chunk);
    }
    budget.take_chunk(needed, false)
}

/// Gives one chunk and its charge back, and says how many bytes it had.
///
/// # Safety
/// The chunk was taken for this budget, is given back once, and nobody uses it any more.
pub(crate) unsafe fn give_back_chunk(budget: &Budget, chunk: NonNull<ChunkHeader>) -> usize {
    // SAFETY: live until it goes back, by the condition.
    let bytes = unsafe { chunk.as_ref() }.bytes;
    // SAFETY: the condition.
    unsafe { budget.give_back_chunks(chunk, chunk, bytes) };
    bytes
}

/// The first slot of a chunk and how many it has, 1,024 at most.
pub(crate) fn slots_of(
    chunk: NonNull<ChunkHeader>,
    slot_bytes: usize,
    slot_align: usize,
) -> (NonNull<u8>, usize) {
    // SAFETY: called for chunks that the caller holds; a chunk's base is not null.
    let base = unsafe { NonNull::new_unchecked((*chunk.as_ptr()).base) };
    let start = round_up(base.addr().get(), slot_align).expect("the chunk was chosen with room to align");
    let count = (chunk.addr().get() - start) / slot_bytes;
    assert!(count > 0, "the chunk was chosen to hold a slot");
    // SAFETY: the aligned start lies within the chunk, because a slot fits behind it.
    (unsafe { base.add(start - base.addr().get()) }, count.min(POOL_CHUNK_OBJECTS))
}

/// A list with both ends.
struct Queue {
    first: *mut Link,
    last: *mut Link,
    count: usize,
}

impl Queue {
    const EMPTY: Queue = Queue { first: ptr::null_mut(), last: ptr::null_mut(), count: 0 };

    /// # Safety
    /// `link` is live and in no other list.
    unsafe fn push(&mut self, link: *mut Link) {
        // SAFETY: the condition.
        unsafe { (*link).next = ptr::null_mut() };
        // SAFETY: as above: a list of one.
        unsafe { self.append(Queue { first: link, last: link, count: 1 }) };
    }

    /// # Safety
    /// The other list's links are live and in no other list.
    unsafe fn append(&mut self, other: Queue) {
        if other.count == 0 {
            return;
        }
        match NonNull::new(self.last) {
            // SAFETY: this list's last link is live.
            Some(last) => unsafe { (*last.as_ptr()).next = other.first },
            None => self.first = other.first,
        }
        self.last = other.last;
        self.count += other.count;
    }
}

/// Sorts a list by the addresses of its links: merge sort, bottom up, in place.
///
/// # Safety
/// The links are live, ours alone, and end in null.
unsafe fn sort_by_address(mut list: *mut Link) -> *mut Link {
    // runs[i] is null or a sorted list of 2^i links.
    let mut runs = [ptr::null_mut::<Link>(); 48];
    while !list.is_null() {
        let mut run = list;
        // SAFETY: by the condition; every link is in one list at a time.
        unsafe {
            list = (*list).next;
            (*run).next = ptr::null_mut();
            let mut level = 0;
            while !runs[level].is_null() {
                run = merge(core::mem::replace(&mut runs[level], ptr::null_mut()), run);
                level += 1;
            }
            runs[level] = run;
        }
    }
    // SAFETY: as above.
    runs.into_iter().fold(ptr::null_mut(), |sorted, run| unsafe { merge(run, sorted) })
}

/// # Safety
/// Two disjoint lists of live links, each sorted and ending in null.
unsafe fn merge(mut left: *mut Link, mut right: *mut Link) -> *mut Link {
    let mut head = Link { next: ptr::null_mut() };
    let mut last: *mut Link = &raw mut head;
    // SAFETY: `last` is the local head or a link of one of the lists.
    unsafe {
        while !left.is_null() && !right.is_null() {
            let smaller = if left.addr() < right.addr() { &mut left } else { &mut right };
            (*last).next = *smaller;
            last = *smaller;
            *smaller = (*last).next;
        }
        (*last).next = if left.is_null() { right } else { left };
    }
    head.next
}

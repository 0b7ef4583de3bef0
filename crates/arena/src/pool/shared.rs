//! The shared pool: a lock-free stack of free slots, and handles that count references.
//!
//! ```text
//!   head: | tag 40 bits | index 24 bits |     index = chunk number << 10 | slot, plus 1; 0 is the empty stack
//!                             |
//!              tables: 64 x 112 chunks of up to 1,024 slots
//!                             v
//!   slot: | next | references | own index | value |
//! ```
//!
//! `get` pops a slot with one compare-and-swap, the last handle pushes it back with another. The tag changes with
//! every change of the head, so a pop that slept cannot mistake a head that came back for the one it read (ABA): that
//! would take 2^40 operations during one sleep. A popper may read `next` of a slot that another thread has just
//! popped: that is why `next` is atomic and stands beside the value, and why no chunk goes back before the pool does.
//!
//! Only growth waits: one thread takes a chunk while the others wait for it instead of taking more. No lock that an
//! observer or a reclaimer of that charge might want is held meanwhile.
//!
//! # Source
//! R. K. Treiber, Systems Programming: Coping with Parallelism, IBM RJ 5118, 1986.

use super::raw::{give_back_chunk, slots_of, take_chunk};
use super::{POOL_CHUNK_OBJECTS, PoolStats};
use crate::budget::Budget;
use crate::chunk::{ChunkHeader, chunk_bytes_for};
use crate::error::{AllocError, Reason};
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Mutex, Ordering, Turn, fence};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::{self, NonNull};

const SLOT_BITS: u32 = POOL_CHUNK_OBJECTS.trailing_zeros();
const INDEX_BITS: u32 = 24;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
/// Handles of one object; far from wrapping, because the check comes after the addition.
const REFERENCES_MAX: u32 = u32::MAX / 2;

/// Chunks per table: what fits into 1 KiB.
const TABLE_CHUNKS: usize = if cfg!(loom) { 2 } else { 112 };
const TABLES: usize = if cfg!(loom) { 1 } else { 64 };

const _: () = assert!(TABLES * TABLE_CHUNKS * POOL_CHUNK_OBJECTS < 1 << INDEX_BITS);

/// What every slot begins with.
#[repr(C)]
struct SlotHead {
    /// The index behind this slot in the stack of free ones.
    next: AtomicU32,
    references: AtomicU32,
    /// The slot's own index.
    index: u32,
    #[cfg(loom)]
    track: loom::cell::UnsafeCell<()>,
}

impl SlotHead {
    /// Tells the model checker that the value is written or dropped; nothing elsewhere.
    #[inline(always)]
    fn note_write(&self) {
        #[cfg(loom)]
        self.track.with_mut(|_| ());
    }

    /// Tells the model checker that the value is read; nothing elsewhere.
    #[inline(always)]
    fn note_read(&self) {
        #[cfg(loom)]
        self.track.with(|_| ());
    }
}

#[repr(C)]
struct Slot<T> {
    head: SlotHead,
    value: UnsafeCell<MaybeUninit<T>>,
}

type Table = [AtomicPtr<u8>; TABLE_CHUNKS];

/// What all handles of a pool share. It lives in a chunk of its own, charged like the others.
///
/// - I1 a slot is in the stack, or on the way there or back in one thread's hands, or has handles.
/// - I2 tables and chunks of slots stay where they are until the core goes.
/// - I3 `references` = handles of the pool + objects with handles; the core goes when it becomes 0.
#[repr(C, align(64))]
struct Core {
    head: AtomicU64,
    references: AtomicUsize,
    pools_count: AtomicUsize,
    slot_bytes: usize,
    slot_align: usize,
    budget: Budget,
    chunk: NonNull<ChunkHeader>,
    /// Had by the one thread that takes a chunk.
    growing: Turn,
    /// Changed only by whoever has its turn, and by the end of the pool.
    growth: Mutex<Growth>,
    tables: [AtomicPtr<Table>; TABLES],
}

#[cfg(not(loom))]
const _: () = assert!(
    matches!(chunk_bytes_for(size_of::<Core>()), Some(crate::chunk::CHUNK_BYTES_MIN))
        && matches!(chunk_bytes_for(size_of::<Table>()), Some(crate::chunk::CHUNK_BYTES_MIN)),
    "the core and a table fit into the smallest chunk"
);

/// What only a growing thread touches.
struct Growth {
    /// Chunks of slots and of tables, to be given back.
    chunks: *mut ChunkHeader,
    chunks_count: usize,
    slots_count: usize,
    slots_bytes: usize,
    allocated_bytes: usize,
    /// Changes of the tag that were neither a `get` nor a slot on its way back, less the `get`s that did not change it.
    tag_surplus: i64,
}

impl Growth {
    const EMPTY: Growth = Growth {
        chunks: ptr::null_mut(),
        chunks_count: 0,
        slots_count: 0,
        slots_bytes: 0,
        allocated_bytes: 0,
        tag_surplus: 0,
    };

    fn link(&mut self, chunk: NonNull<ChunkHeader>) -> usize {
        // SAFETY: the chunk was just taken and belongs to this pool.
        let bytes = unsafe {
            (*chunk.as_ptr()).next = self.chunks;
            (*chunk.as_ptr()).bytes
        };
        self.chunks = chunk.as_ptr();
        self.allocated_bytes += bytes;
        bytes
    }
}

/// The stack's head, taken apart.
#[derive(Clone, Copy)]
struct Head(u64);

impl Head {
    /// The index plus 1, or 0.
    fn top(self) -> u32 {
        (self.0 & INDEX_MASK) as u32
    }

    /// The head that follows this one, with another top.
    fn then(self, top: u32) -> Head {
        Head(((self.0 >> INDEX_BITS).wrapping_add(1) << INDEX_BITS) | u64::from(top))
    }
}

impl Core {
    fn create(budget: &Budget, slot_bytes: usize, slot_align: usize) -> Result<NonNull<Core>, AllocError> {
        let bytes = chunk_bytes_for(size_of::<Core>()).expect("a small constant");
        let chunk = budget.take_chunk(bytes, false)?;
        // SAFETY: the chunk is fresh, has room for a core, and its data begins at a cache line.
        unsafe {
            let core = (*chunk.as_ptr()).base.cast::<Core>();
            core.write(Core {
                head: AtomicU64::new(0),
                references: AtomicUsize::new(1),
                pools_count: AtomicUsize::new(1),
                slot_bytes,
                slot_align,
                budget: budget.clone(),
                chunk,
                growing: Turn::new(),
                growth: Mutex::new(Growth::EMPTY),
                tables: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            });
            Ok(NonNull::new_unchecked(core))
        }
    }

    /// Address of the slot that stands at `top` of the stack.
    #[inline(always)]
    fn slot_at(&self, top: u32) -> NonNull<SlotHead> {
        let index = (top - 1) as usize;
        let (chunk, offset) = (index >> SLOT_BITS, index & (POOL_CHUNK_OBJECTS - 1));
        // The pop that gave us the index came after the push that followed these stores, so Relaxed would do.
        let table = self.tables[chunk / TABLE_CHUNKS].load(Ordering::Acquire);
        // SAFETY: an index that was ever pushed has its table and its chunk in place (I2), and the slot within it.
        unsafe {
            let first = (*table)[chunk % TABLE_CHUNKS].load(Ordering::Acquire);
            NonNull::new_unchecked(first.add(offset * self.slot_bytes).cast())
        }
    }

    #[inline(always)]
    fn pop(&self) -> Option<NonNull<SlotHead>> {
        let mut head = Head(self.head.load(Ordering::Acquire));
        loop {
            if head.top() == 0 {
                return None;
            }
            let slot = self.slot_at(head.top());
            // SAFETY: slots stay mapped (I2); `next` is atomic, so reading it is sound even where another thread has
            // popped the slot meanwhile: the exchange below fails then.
            let next = unsafe { slot.as_ref() }.next.load(Ordering::Relaxed);
            let after = head.then(next);
            match self.head.compare_exchange_weak(head.0, after.0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(slot),
                Err(now) => head = Head(now),
            }
        }
    }

    /// Pushes the slots from `first` on, which are linked to `last` already, in one step.
    #[inline(always)]
    fn push(&self, first: &SlotHead, last: &SlotHead) {
        let mut head = Head(self.head.load(Ordering::Relaxed));
        loop {
            last.next.store(head.top(), Ordering::Relaxed);
            let after = head.then(first.index + 1);
            match self.head.compare_exchange_weak(head.0, after.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = Head(now),
            }
        }
    }

    /// Takes a chunk, unless another thread did meanwhile, and keeps its first slot.
    #[cold]
    #[inline(never)]
    fn grow(&self) -> Result<NonNull<SlotHead>, AllocError> {
        let turn = self.growing.take();
        if let Some(slot) = self.pop() {
            return Ok(slot);
        }
        if turn.is_none() {
            // Called by an observer or a reclaimer of the charge below: the pool is as empty as it is.
            return Err(self.budget.refuse(self.slot_bytes as u64, Reason::Limit));
        }
        let (number, slots_bytes) = {
            let growth = self.growth.lock();
            (growth.chunks_count, growth.slots_bytes)
        };
        let (table_index, entry) = (number / TABLE_CHUNKS, number % TABLE_CHUNKS);
        let Some(table) = self.tables.get(table_index) else {
            return Err(self.budget.refuse(self.slot_bytes as u64, Reason::TooLarge));
        };
        let table = match NonNull::new(table.load(Ordering::Relaxed)) {
            Some(made) => made,
            None => self.add_table(table)?,
        };
        let chunk = take_chunk(&self.budget, self.slot_bytes, self.slot_align, slots_bytes)?;
        let (first, count) = slots_of(chunk, self.slot_bytes, self.slot_align);
        let mut growth = self.growth.lock();
        growth.slots_bytes += growth.link(chunk);
        growth.chunks_count += 1;
        growth.slots_count += count;
        // SAFETY: `first` begins `count` slots of fresh memory that only this thread knows.
        unsafe {
            for offset in 0..count {
                let index = ((number << SLOT_BITS) | offset) as u32;
                first.add(offset * self.slot_bytes).cast::<SlotHead>().write(SlotHead {
                    next: AtomicU32::new(index + 2),
                    references: AtomicU32::new(0),
                    index,
                    #[cfg(loom)]
                    track: loom::cell::UnsafeCell::new(()),
                });
            }
            table.as_ref()[entry].store(first.as_ptr(), Ordering::Release);
            growth.tag_surplus -= 1;
            if count > 1 {
                growth.tag_surplus += 1;
                let second = first.add(self.slot_bytes).cast::<SlotHead>();
                let last = first.add((count - 1) * self.slot_bytes).cast::<SlotHead>();
                self.push(second.as_ref(), last.as_ref());
            }
        }
        Ok(first.cast())
    }

    fn add_table(&self, place: &AtomicPtr<Table>) -> Result<NonNull<Table>, AllocError> {
        let bytes = chunk_bytes_for(size_of::<Table>()).expect("a small constant");
        let chunk = self.budget.take_chunk(bytes, false)?;
        self.growth.lock().link(chunk);
        // SAFETY: the chunk is fresh, has room for a table, and its base is aligned to 16.
        let table = unsafe {
            let table = (*chunk.as_ptr()).base.cast::<Table>();
            table.write(core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())));
            NonNull::new_unchecked(table)
        };
        place.store(table.as_ptr(), Ordering::Release);
        Ok(table)
    }

    fn stats(&self) -> PoolStats {
        let growth = self.growth.lock();
        let tag = (self.head.load(Ordering::Relaxed) >> INDEX_BITS) as i64;
        let pools_count = self.pools_count.load(Ordering::Relaxed);
        let live_count = self.references.load(Ordering::Relaxed).saturating_sub(pools_count);
        PoolStats {
            live_count,
            free_count: growth.slots_count.saturating_sub(live_count),
            // tag = gets + returns + surplus, and gets = returns + live.
            recycled_count: (tag - growth.tag_surplus - live_count as i64).max(0) as u64 / 2,
            chunks_count: growth.chunks_count,
            allocated_bytes: growth.allocated_bytes + self.core_bytes(),
        }
    }

    fn core_bytes(&self) -> usize {
        // SAFETY: the core's own chunk is live while the core is.
        unsafe { self.chunk.as_ref().bytes }
    }

    /// Gives back all chunks but the core's own.
    ///
    /// # Safety
    /// No object has a handle, and no other thread uses the pool.
    unsafe fn give_back_slots(&self) -> u64 {
        let growth = {
            let mut growth = self.growth.lock();
            let emptied = Growth { tag_surplus: growth.tag_surplus + 1, ..Growth::EMPTY };
            core::mem::replace(&mut *growth, emptied)
        };
        self.head.store(Head(self.head.load(Ordering::Relaxed)).then(0).0, Ordering::Relaxed);
        for table in &self.tables {
            table.store(ptr::null_mut(), Ordering::Relaxed);
        }
        let mut chunk = growth.chunks;
        while let Some(here) = NonNull::new(chunk) {
            // SAFETY: a live header of this pool; by the condition nobody uses the chunk, and it goes back once.
            unsafe {
                chunk = here.as_ref().next;
                give_back_chunk(&self.budget, here);
            }
        }
        growth.allocated_bytes as u64
    }
}

/// Gives up one reference of a core, and the core with the last.
///
/// # Safety
/// The caller owns the reference and does not use the core through it any more.
#[inline(always)]
unsafe fn drop_reference(core: NonNull<Core>) {
    // SAFETY: live while the caller's reference is (I3).
    if unsafe { core.as_ref() }.references.fetch_sub(1, Ordering::Release) == 1 {
        fence(Ordering::Acquire);
        // SAFETY: the last reference is gone: nobody else can reach the core (I3).
        unsafe { destroy(core) };
    }
}

/// # Safety
/// No reference of the core is left.
#[cold]
#[inline(never)]
unsafe fn destroy(core: NonNull<Core>) {
    // SAFETY: by the condition this is the only access; the core is moved out before its own chunk goes back.
    unsafe {
        core.as_ref().give_back_slots();
        let Core { budget, chunk, .. } = core.read();
        give_back_chunk(&budget, chunk);
    }
}

/// A pool of objects for any number of threads; clones are handles to the same pool.
///
/// ```
/// use cofferdam_arena::{Budget, SharedPool};
///
/// let budget = Budget::unlimited("doc").unwrap();
/// let pool = SharedPool::new(&budget)?;
/// let plan = pool.get(String::from("scan"))?;
/// std::thread::scope(|scope| {
///     let plan = plan.clone();
///     scope.spawn(move || assert_eq!(*plan, "scan"));
/// });
/// drop(pool);
/// assert_eq!(*plan, "scan"); // the handle keeps the pool's memory
/// drop(plan);
/// assert_eq!(budget.used(), 4096); // the tree itself
/// # Ok::<(), cofferdam_arena::AllocError>(())
/// ```
pub struct SharedPool<T> {
    core: NonNull<Core>,
    objects: PhantomData<fn() -> T>,
}

// SAFETY: the core is reached through atomics and its lock, and its values only through their handles.
unsafe impl<T> Send for SharedPool<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedPool<T> {}

impl<T> SharedPool<T> {
    /// An empty pool whose chunks are charged to `budget`; 1 KiB for the pool itself at once.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn new(budget: &Budget) -> Result<SharedPool<T>, AllocError> {
        let core = Core::create(budget, size_of::<Slot<T>>(), align_of::<Slot<T>>())?;
        Ok(SharedPool { core, objects: PhantomData })
    }

    #[inline(always)]
    fn core(&self) -> &Core {
        // SAFETY: this handle keeps the core alive (I3).
        unsafe { self.core.as_ref() }
    }

    /// Moves `value` into a free slot, or into one of a new chunk.
    ///
    /// # Errors
    /// The budget refuses the chunk, or the pool has 7,168 chunks already; the value is dropped.
    #[inline]
    pub fn get(&self, value: T) -> Result<Shared<T>, AllocError> {
        let core = self.core();
        let slot = match core.pop() {
            Some(slot) => slot,
            None => core.grow()?,
        };
        core.references.fetch_add(1, Ordering::Relaxed);
        let slot = slot.cast::<Slot<T>>();
        // SAFETY: the slot was popped, so it is this thread's alone (I1). Its value is written through a raw pointer;
        // of its head, only atomics are touched.
        unsafe {
            (*slot.as_ptr()).head.note_write();
            (*slot.as_ptr()).head.references.store(1, Ordering::Relaxed);
            (*slot.as_ptr()).value.get().cast::<T>().write(value);
        }
        Ok(Shared { slot, core: self.core, object: PhantomData })
    }

    /// Gives back all chunks of slots where this is the only handle of the pool and no object is live, and returns
    /// how many bytes that was; 0 otherwise, because a thread might be looking at any slot.
    pub fn shrink(&mut self) -> u64 {
        if self.core().references.load(Ordering::Acquire) != 1 {
            return 0;
        }
        // SAFETY: the one reference is this handle, borrowed by `&mut`: no object has a handle and no other thread can
        // get one. The Acquire load saw the Release of whoever dropped the last.
        unsafe { self.core().give_back_slots() }
    }

    /// What the pool holds. While other threads use the pool, the figures are of slightly different moments.
    pub fn stats(&self) -> PoolStats {
        self.core().stats()
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.core().budget
    }
}

impl<T> Clone for SharedPool<T> {
    fn clone(&self) -> SharedPool<T> {
        self.core().pools_count.fetch_add(1, Ordering::Relaxed);
        self.core().references.fetch_add(1, Ordering::Relaxed);
        SharedPool { core: self.core, objects: PhantomData }
    }
}

impl<T> Drop for SharedPool<T> {
    fn drop(&mut self) {
        self.core().pools_count.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: this handle's own reference, not used afterwards.
        unsafe { drop_reference(self.core) };
    }
}

impl<T> fmt::Debug for SharedPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedPool({}: {})", self.budget().name(), self.stats())
    }
}

/// A handle to an object in a [`SharedPool`]; clones are handles to the same object, and the last one drops it.
///
/// It keeps the pool's memory alive, so it may outlive the pool's own handles.
pub struct Shared<T> {
    slot: NonNull<Slot<T>>,
    core: NonNull<Core>,
    object: PhantomData<T>,
}

// SAFETY: as `Arc`: handles on two threads share the value (Sync), and either may be the one that drops it (Send).
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above: a `&Shared` gives a clone.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn head(&self) -> &SlotHead {
        // SAFETY: the slot stays where it is while this handle keeps the core alive (I2, I3); the head's fields are
        // atomics or never written again.
        unsafe { &(*self.slot.as_ptr()).head }
    }

    /// How many handles the object has at this moment.
    pub fn references_count(this: &Shared<T>) -> u32 {
        this.head().references.load(Ordering::Relaxed)
    }

    /// The object for writing, where this is its only handle.
    pub fn get_mut(this: &mut Shared<T>) -> Option<&mut T> {
        if this.head().references.load(Ordering::Acquire) != 1 {
            return None;
        }
        this.head().note_write();
        // SAFETY: the only handle, borrowed by `&mut`; the Acquire load saw the Release of the others' last uses.
        Some(unsafe { &mut *(*this.slot.as_ptr()).value.get().cast::<T>() })
    }

    /// True where both are handles to the same object.
    pub fn is_same(this: &Shared<T>, other: &Shared<T>) -> bool {
        this.slot == other.slot
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        self.head().note_read();
        // SAFETY: the slot holds a value while it has handles, and nobody writes it while there are several.
        unsafe { &*(*self.slot.as_ptr()).value.get().cast::<T>() }
    }
}

impl<T> Clone for Shared<T> {
    /// # Panics
    /// There are two thousand million handles of the object.
    #[inline]
    fn clone(&self) -> Shared<T> {
        let before = self.head().references.fetch_add(1, Ordering::Relaxed);
        if before >= REFERENCES_MAX {
            // Taken back first, so that no number of caught panics makes the count wrap.
            self.head().references.fetch_sub(1, Ordering::Relaxed);
            panic!("more than {REFERENCES_MAX} handles of one object");
        }
        Shared { slot: self.slot, core: self.core, object: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        // The only handle needs no exchange: nobody else has one to clone. The Acquire load sees the Release of whoever
        // dropped the others; where there are others still, the load after the exchange does.
        if self.head().references.load(Ordering::Acquire) != 1 {
            if self.head().references.fetch_sub(1, Ordering::Release) != 1 {
                return;
            }
            self.head().references.load(Ordering::Acquire);
        }
        self.head().note_write();
        // The guard recycles the slot even where the value's own drop panics.
        let _slot = PushBack { slot: self.slot.cast(), core: self.core };
        // SAFETY: the last handle: nobody else reaches the value, which is dropped once.
        unsafe { (*self.slot.as_ptr()).value.get().cast::<T>().drop_in_place() };
    }
}

/// Returns a slot to its pool at the end of a block, and the reference that its object held.
struct PushBack {
    slot: NonNull<SlotHead>,
    core: NonNull<Core>,
}

impl Drop for PushBack {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the object's reference keeps the core and its slots until the second line gives it up.
        unsafe {
            self.core.as_ref().push(self.slot.as_ref(), self.slot.as_ref());
            drop_reference(self.core);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

//! A global allocator that counts what one thread takes from it.
//!
//! A test binary installs it and holds a [`Counting`] guard around the code in question:
//!
//! ```
//! use cofferdam_testkit::counting::{Counting, CountingAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! let counting = Counting::start();
//! let text = String::from("outside of every budget");
//! let counts = counting.finish();
//! assert_eq!((counts.allocations_count, counts.sizes.as_slice()), (1, [text.len()].as_slice()));
//! ```
//!
//! Under a reservoir, budgeted chunks are mappings and do not come through here: every byte that is counted is one
//! that no budget paid for. Under a root on the global allocator the chunks are counted too; they are told apart by
//! their sizes, which are recorded in order of allocation.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// How many sizes of allocations a guard records.
pub const SIZES_MAX: usize = 256;

/// The system's allocator, with a count per thread.
pub struct CountingAllocator;

/// What a thread took from the allocator while a guard was held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that took memory or made a block larger or smaller.
    pub allocations_count: u64,
    /// Calls that gave memory back.
    pub frees_count: u64,
    /// All bytes taken, growth of blocks included, however soon they were given back.
    pub bytes_total: u64,
    /// The most bytes held at one time beyond what was held at the start.
    pub bytes_peak: u64,
    /// Bytes held at the end beyond those at the start; negative when older memory was given back.
    pub bytes_left: i64,
    /// The sizes asked for, in order: the first [`SIZES_MAX`] of them.
    pub sizes: Vec<usize>,
}

/// The figures of one thread. Cells of plain integers: using them never allocates, not even the first time.
struct Tally {
    is_active: Cell<bool>,
    allocations_count: Cell<u64>,
    frees_count: Cell<u64>,
    bytes_total: Cell<u64>,
    bytes_peak: Cell<u64>,
    bytes_left: Cell<i64>,
    sizes: [Cell<usize>; SIZES_MAX],
}

thread_local! {
    static TALLY: Tally = const {
        Tally {
            is_active: Cell::new(false),
            allocations_count: Cell::new(0),
            frees_count: Cell::new(0),
            bytes_total: Cell::new(0),
            bytes_peak: Cell::new(0),
            bytes_left: Cell::new(0),
            sizes: [const { Cell::new(0) }; SIZES_MAX],
        }
    };
}

/// Whether what an [`Everywhere`] counts is told on standard error too, unless a function of this name led to it.
static TOLD_BUT: OnceLock<&'static str> = OnceLock::new();

thread_local! {
    /// Whether the thread is telling: what that takes is not counted.
    static IS_TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Has each allocation that an [`Everywhere`] counts told on standard error from now on, with the calls that led to it, unless a function
/// of the name `known` is among them: to find out where what nobody is charged for comes from.
pub fn tell_all_but(known: &'static str) {
    // Whoever was first is obeyed.
    let _ = TOLD_BUT.set(known);
}

/// Tells of an allocation.
#[cold]
fn tell(bytes: usize, known: &str) {
    let _ = IS_TELLING.try_with(|is_telling| {
        is_telling.set(true);
        let trace = Backtrace::force_capture().to_string();
        if !trace.contains(known) {
            eprintln!("{bytes} bytes from the global allocator:\n{trace}");
        }
        drop(trace);
        is_telling.set(false);
    });
}

fn is_telling() -> bool {
    TOLD_BUT.get().is_some() && IS_TELLING.try_with(Cell::get).unwrap_or(false)
}

impl Tally {
    fn took(&self, asked_bytes: usize, more_bytes: i64) {
        let index = self.allocations_count.get();
        self.allocations_count.set(index + 1);
        if let Some(size) = usize::try_from(index).ok().and_then(|index| self.sizes.get(index)) {
            size.set(asked_bytes);
        }
        self.bytes_total.set(self.bytes_total.get() + more_bytes.max(0).unsigned_abs());
        self.bytes_left.set(self.bytes_left.get() + more_bytes);
        self.bytes_peak.set(self.bytes_peak.get().max(self.bytes_left.get().max(0).unsigned_abs()));
    }

    fn gave_back(&self, bytes: usize) {
        self.frees_count.set(self.frees_count.get() + 1);
        self.bytes_left.set(self.bytes_left.get() - bytes as i64);
    }

    fn clear(&self) {
        for figure in [&self.allocations_count, &self.frees_count, &self.bytes_total, &self.bytes_peak] {
            figure.set(0);
        }
        self.bytes_left.set(0);
    }

    fn counts(&self) -> Counts {
        let sizes_count = self.allocations_count.get().min(SIZES_MAX as u64) as usize;
        Counts {
            allocations_count: self.allocations_count.get(),
            frees_count: self.frees_count.get(),
            bytes_total: self.bytes_total.get(),
            bytes_peak: self.bytes_peak.get(),
            bytes_left: self.bytes_left.get(),
            sizes: self.sizes[..sizes_count].iter().map(Cell::get).collect(),
        }
    }
}

/// Runs `count` on the thread's tally if a guard is held; late in a thread's life there may be no tally any more.
fn while_counting(count: impl FnOnce(&Tally)) {
    let _ = TALLY.try_with(|tally| {
        if tally.is_active.get() {
            count(tally);
        }
    });
}

fn took(asked_bytes: usize, more_bytes: i64) {
    if SUM.is_active.load(Ordering::Relaxed) && !is_telling() {
        SUM.took(more_bytes);
        if let Some(known) = TOLD_BUT.get() {
            tell(asked_bytes, known);
        }
    }
    while_counting(|tally| tally.took(asked_bytes, more_bytes));
}

fn gave_back(bytes: usize) {
    if SUM.is_active.load(Ordering::Relaxed) && !is_telling() {
        SUM.gave_back(bytes);
    }
    while_counting(|tally| tally.gave_back(bytes));
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments, and what it returns is returned
// unchanged; counting touches integers of this thread only, and neither allocates nor panics.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            took(layout.size(), layout.size() as i64);
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same one.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            took(layout.size(), layout.size() as i64);
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the block came from the system's allocator.
        unsafe { System.dealloc(memory, layout) };
        gave_back(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `realloc`, and the block came from the system's allocator.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        if !moved.is_null() {
            took(new_size, new_size as i64 - layout.size() as i64);
        }
        moved
    }
}

/// What all threads of the program take while an [`Everywhere`] is held.
struct Sum {
    is_active: AtomicBool,
    allocations_count: AtomicU64,
    frees_count: AtomicU64,
    bytes_left: AtomicI64,
    bytes_peak: AtomicI64,
}

static SUM: Sum = Sum {
    is_active: AtomicBool::new(false),
    allocations_count: AtomicU64::new(0),
    frees_count: AtomicU64::new(0),
    bytes_left: AtomicI64::new(0),
    bytes_peak: AtomicI64::new(0),
};

impl Sum {
    fn took(&self, more_bytes: i64) {
        self.allocations_count.fetch_add(1, Ordering::Relaxed);
        let now = self.bytes_left.fetch_add(more_bytes, Ordering::Relaxed) + more_bytes;
        self.bytes_peak.fetch_max(now, Ordering::Relaxed);
    }

    fn gave_back(&self, bytes: usize) {
        self.frees_count.fetch_add(1, Ordering::Relaxed);
        self.bytes_left.fetch_sub(bytes as i64, Ordering::Relaxed);
    }
}

/// While this guard is held, the allocations of all threads are counted: for programs that do one thing at a time.
#[must_use = "counting ends when the guard is dropped"]
#[derive(Debug)]
pub struct Everywhere(());

impl Everywhere {
    /// Starts counting from zero.
    ///
    /// # Panics
    /// Somebody is counting so already, or [`CountingAllocator`] is not the program's global allocator.
    pub fn start() -> Everywhere {
        SUM.allocations_count.store(0, Ordering::Relaxed);
        assert!(!SUM.is_active.swap(true, Ordering::SeqCst), "somebody is counting everywhere already");
        let everywhere = Everywhere(());
        drop(std::hint::black_box(Box::new(0u64)));
        let is_counted = SUM.allocations_count.load(Ordering::Relaxed) > 0;
        assert!(is_counted, "CountingAllocator is not this program's global allocator");
        SUM.allocations_count.store(0, Ordering::Relaxed);
        SUM.frees_count.store(0, Ordering::Relaxed);
        SUM.bytes_left.store(0, Ordering::Relaxed);
        SUM.bytes_peak.store(0, Ordering::Relaxed);
        everywhere
    }

    /// Ends counting and returns the figures; those of sizes and of all bytes that were taken are left out.
    pub fn finish(self) -> Counts {
        SUM.is_active.store(false, Ordering::SeqCst);
        Counts {
            allocations_count: SUM.allocations_count.load(Ordering::Relaxed),
            frees_count: SUM.frees_count.load(Ordering::Relaxed),
            bytes_peak: SUM.bytes_peak.load(Ordering::Relaxed).unsigned_abs(),
            bytes_left: SUM.bytes_left.load(Ordering::Relaxed),
            ..Counts::default()
        }
    }
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        SUM.is_active.store(false, Ordering::SeqCst);
    }
}

/// While this guard is held, the allocations of its thread are counted.
#[must_use = "counting ends when the guard is dropped"]
pub struct Counting {
    /// The tally is the thread's own, so the guard stays on it.
    _not_send: PhantomData<*const ()>,
}

impl Counting {
    /// Starts counting from zero.
    ///
    /// # Panics
    /// The thread is counting already, or [`CountingAllocator`] is not the program's global allocator.
    pub fn start() -> Counting {
        TALLY.with(|tally| {
            assert!(!tally.is_active.replace(true), "this thread is counting already");
            tally.clear();
            drop(std::hint::black_box(Box::new(0u64)));
            if tally.allocations_count.get() != 1 {
                tally.is_active.set(false);
                panic!("CountingAllocator is not this program's global allocator");
            }
            tally.clear();
        });
        Counting { _not_send: PhantomData }
    }

    /// The figures so far; taking them is not counted.
    pub fn counts(&self) -> Counts {
        TALLY.with(|tally| {
            tally.is_active.set(false);
            let counts = tally.counts();
            tally.is_active.set(true);
            counts
        })
    }

    /// Bytes held now beyond those at the start. Unlike [`Counting::counts`], whose result is on the heap and is counted when it is
    /// dropped, this changes nothing.
    pub fn bytes_left(&self) -> i64 {
        TALLY.with(|tally| tally.bytes_left.get())
    }

    /// Ends counting and returns the figures.
    pub fn finish(self) -> Counts {
        self.counts()
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = TALLY.try_with(|tally| tally.is_active.set(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn every_kind_of_call_is_counted() {
        let older: Vec<u8> = Vec::with_capacity(100);
        let counting = Counting::start();
        let mut grown: Vec<u8> = black_box(Vec::with_capacity(1000));
        grown.reserve_exact(4000);
        drop(grown);
        let zeroed = black_box(vec![0u8; 300]);
        drop(older);
        let counts = counting.finish();
        assert_eq!(counts.allocations_count, 3);
        assert_eq!(counts.frees_count, 2);
        assert_eq!((counts.bytes_total, counts.bytes_peak, counts.bytes_left), (4300, 4000, 200));
        assert_eq!(counts.sizes, [1000, 4000, 300]);
        drop(zeroed);
    }

    #[test]
    fn other_threads_and_times_are_not_counted() {
        drop(black_box(vec![1u8; 10]));
        let counting = Counting::start();
        let before = counting.counts();
        let go = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                go.wait();
                drop(black_box(vec![1u8; 12_345]));
                go.wait();
            });
            go.wait();
            go.wait();
        });
        let counts = counting.finish();
        drop(black_box(vec![1u8; 20]));
        assert_eq!(before, Counts::default());
        assert!(!counts.sizes.contains(&12_345), "{counts:?}");
        assert_eq!(Counting::start().finish(), Counts::default(), "a new guard starts from zero");
    }

    /// Aim: what another thread takes counts for who counts everywhere, and no more when that has ended. Method: more than the other tests of
    /// this program take, which may run beside this one.
    #[test]
    fn all_threads_are_counted_everywhere() {
        const BYTES: usize = 64 << 20;
        let everywhere = Everywhere::start();
        let taken = std::thread::spawn(|| black_box(Vec::<u8>::with_capacity(BYTES))).join().unwrap();
        drop(taken);
        let counts = everywhere.finish();
        assert!(counts.allocations_count > 0 && counts.frees_count > 0, "{counts:?}");
        assert!(counts.bytes_peak >= BYTES as u64 && counts.bytes_left < BYTES as i64, "{counts:?}");
        drop(black_box(Vec::<u8>::with_capacity(2 * BYTES)));
        let later = Everywhere::start().finish();
        assert!(later.bytes_peak < BYTES as u64, "{later:?}");
    }

    #[test]
    fn only_the_first_sizes_are_kept() {
        let counting = Counting::start();
        for size in 1..=SIZES_MAX + 10 {
            drop(black_box(Vec::<u8>::with_capacity(size)));
        }
        let counts = counting.finish();
        assert_eq!(counts.allocations_count, SIZES_MAX as u64 + 10);
        assert_eq!((counts.sizes.len(), counts.sizes[SIZES_MAX - 1]), (SIZES_MAX, SIZES_MAX));
    }

    #[test]
    #[should_panic(expected = "counting already")]
    fn guards_do_not_nest() {
        let _outer = Counting::start();
        let _inner = Counting::start();
    }
}

//! Work on whole arenas and on budgets: resets, warm memory, and charges from two threads.

use crate::peers::{Node, OURS, checked, statement};
use bench_harness::measure::Role;
use bench_harness::threads::together;
use bench_harness::{Bar, Row, Sample, Session, black_box, clock};
use cofferdam_arena::{AllocError, Arena, Budget, Growth};
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the fill rows write.
const FILL_BYTES: usize = 64 << 20;
/// Charges and releases per thread and repetition.
const CHARGES_COUNT: u64 = 1000;
/// What is charged and released: a middling chunk.
const CHUNK_BYTES: u64 = 64 << 10;

pub fn rows(session: &mut Session) {
    session.row("arena/reset", reset);
    session.row("arena/fill_64mib", fill);
    session.row("arena/budget_charge", budget);
}

/// Objects before a reset: few, and many.
const OBJECTS_COUNTS: [u64; 2] = [1_000, 10_000_000];

fn reset(name: &'static str) -> Row<'static> {
    let [few, many] = OBJECTS_COUNTS;
    let about = "the whole reset alone, after 10,000,000 objects of 8 bytes against after 1,000; per reset";
    Row::new(name, about, 1, Bar::Noise { twin: "after 1,000 again" })
        .repetitions(1)
        .limit_ns(50.0)
        .add_timed(Role::Ours, "after 10,000,000", resets(many))
        .add_timed(Role::Peer, "after 1,000", resets(few))
        .add_timed(Role::Info, "after 1,000 again", resets(few))
}

/// Resets of another arena just before the one that is timed.
const WARMING_COUNT: usize = 32;

/// Fills an arena and times nothing but its reset. Another arena is reset some times just before, so that instructions
/// and predictions of branches are at hand in both cases: filling ten million objects has driven them out.
fn resets(objects_count: u64) -> impl FnMut(u64) -> Sample {
    let budget = statement();
    let (mut arena, mut other) = (Arena::new(&budget), Arena::new(&budget));
    move |repetitions_count| {
        let mut spent_ns = 0.0;
        for _ in 0..repetitions_count {
            for object in 0..objects_count {
                black_box(arena.alloc(object).expect("the limit is far away"));
            }
            // No call of the system in between, not even to ask for disturbances: it would be felt too. A disturbed
            // reset is an outlier, and the median does not mind.
            for _ in 0..WARMING_COUNT {
                black_box(other.alloc(0u64).expect("the limit is far away"));
                reset_ns(&mut other);
            }
            // The writes of the filling are its own cost: they are through before the reset begins.
            std::sync::atomic::fence(Ordering::SeqCst);
            spent_ns += reset_ns(&mut arena);
        }
        Sample::clean(spent_ns)
    }
}

/// What one reading of the counter cannot tell from nothing.
const RESOLUTION_NS: f64 = 5.0;

#[inline(never)]
fn reset_ns(arena: &mut Arena) -> f64 {
    clock::once_ns(|| black_box(&mut *arena).reset()).max(RESOLUTION_NS)
}

fn fill(name: &'static str) -> Row<'static> {
    let nodes_count = (FILL_BYTES / size_of::<Node>()) as u64;
    let statement = statement();
    fill_arena(&statement).expect("the limit is far away");
    let warm = Mapping::new(FILL_BYTES, libc::MADV_NOHUGEPAGE);
    let about = "64 MiB of nodes written into an arena, after such an arena was given back, against a fresh mapping; per node";
    Row::new(name, about, nodes_count, Bar::Ratio(0.2))
        .repetitions(1)
        .rounds_max(20)
        .ours(OURS, checked(move || fill_arena(&statement)))
        .peer("fresh-mapping", || Mapping::new(FILL_BYTES, libc::MADV_NOHUGEPAGE).fill())
        .info("fresh, huge pages", || Mapping::new(FILL_BYTES, libc::MADV_HUGEPAGE).fill())
        .info("the writes alone", move || warm.fill())
}

/// An arena of its own, filled, and given back whole.
fn fill_arena(budget: &Budget) -> Result<(), AllocError> {
    let arena = Arena::with_growth(budget, Growth::CHAIN);
    let mut last = std::ptr::null();
    for number in 0..(FILL_BYTES / size_of::<Node>()) as u64 {
        last = std::ptr::from_ref(arena.alloc_with(|| Node::new(last, number))?);
    }
    black_box(last);
    Ok(())
}

/// Private memory straight from the system, which gets it back on drop.
struct Mapping(NonNull<u8>, usize);

impl Mapping {
    /// With pages of 4 KiB or 2 MiB, as `advice` says, whatever the system's default is.
    fn new(bytes: usize, advice: i32) -> Mapping {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the system's choice touches no memory of ours.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert_ne!(address, libc::MAP_FAILED, "a mapping of {bytes} bytes");
        // SAFETY: the range was mapped just now. The call may fail where there are no huge pages: then it changes nothing.
        unsafe { libc::madvise(address, bytes, advice) };
        Mapping(NonNull::new(address.cast()).expect("mappings do not start at 0"), bytes)
    }
}

impl Mapping {
    /// Writes nodes over the whole of it.
    fn fill(&self) {
        let start = self.0.cast::<Node>();
        let mut last = std::ptr::null();
        for index in 0..self.1 / size_of::<Node>() {
            // SAFETY: the mapping holds so many nodes, and its pages are aligned for them.
            let node = unsafe { start.add(index) };
            // SAFETY: as above; no reference points there.
            unsafe { node.write(Node::new(last, index as u64)) };
            last = node.as_ptr();
        }
        black_box(last);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly this range was mapped by `new`, and nobody uses it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), self.1) };
    }
}

/// What most engines do: one shared word, charged by compare-and-swap after a look at the limit.
#[derive(Default)]
#[repr(align(128))]
struct SharedCounter {
    used_bytes: AtomicU64,
}

impl SharedCounter {
    /// Charges `bytes` and says how often another thread came between; `None` when the limit forbids it.
    #[inline]
    fn charge(&self, bytes: u64, limit_bytes: u64) -> Option<u64> {
        let mut failures_count = 0;
        let mut used_bytes = self.used_bytes.load(Ordering::Relaxed);
        loop {
            let next = used_bytes.checked_add(bytes).filter(|&next| next <= limit_bytes)?;
            match self.used_bytes.compare_exchange_weak(used_bytes, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return Some(failures_count),
                Err(seen) => {
                    failures_count += 1;
                    used_bytes = seen;
                }
            }
        }
    }

    #[inline]
    fn release(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// Collected proof that two threads worked at the same time, and got in each other's way where they can.
#[derive(Default)]
struct Contention {
    overlap_min: Cell<Option<f64>>,
    pairs_count: Cell<u64>,
    lost_count: Cell<u64>,
}

impl Contention {
    /// Runs `work` on two threads; the work returns how many pairs it did and how many swaps it lost.
    fn measure(&self, work: impl Fn(usize) -> (u64, u64) + Sync) -> Sample {
        let (pairs_count, lost_count) = (AtomicU64::new(0), AtomicU64::new(0));
        let together = together(2, |thread| {
            let (pairs, lost) = work(thread);
            pairs_count.fetch_add(pairs, Ordering::Relaxed);
            lost_count.fetch_add(lost, Ordering::Relaxed);
        });
        let sample = together.sample();
        if !sample.is_undisturbed {
            return sample;
        }
        self.overlap_min.set(Some(self.overlap_min.get().unwrap_or(1.0).min(together.overlap)));
        self.pairs_count.set(self.pairs_count.get() + pairs_count.into_inner());
        self.lost_count.set(self.lost_count.get() + lost_count.into_inner());
        sample
    }
}

impl fmt::Display for Contention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overlap = 100.0 * self.overlap_min.get().unwrap_or(0.0);
        let lost = 100.0 * self.lost_count.get() as f64 / self.pairs_count.get() as f64;
        write!(f, "two threads on two processors during {overlap:.0} % of the time at least")?;
        if lost > 0.0 {
            write!(f, ", {lost:.1} swaps per 100 charges lost to the other thread")
        } else {
            Ok(())
        }
    }
}

fn budget(name: &'static str) -> Row<'static> {
    let (shared, single) = (Rc::new(Contention::default()), SharedCounter::default());
    let (ours, same) = (Rc::new(Contention::default()), Rc::new(Contention::default()));
    let (seen_shared, seen_ours) = (Rc::clone(&shared), Rc::clone(&ours));
    let parent = statement();
    let children = ["left", "right"].map(|side| parent.child(side, u64::MAX).expect("room for a node"));
    let (alone, both) = (children[0].clone(), parent.child("both", u64::MAX).expect("room for a node"));
    let about = "64 KiB charged and released by two threads at the same time, one limit over both; per pair";
    Row::new(name, about, CHARGES_COUNT, Bar::Ratio(0.3))
        .add_timed(Role::Ours, OURS, move |repetitions_count| {
            ours.measure(|thread| charge_budget(&children[thread], repetitions_count * CHARGES_COUNT))
        })
        .add_timed(Role::Peer, "shared-cas", move |repetitions_count| {
            let counter = SharedCounter::default();
            shared.measure(|_| charge_counter(&counter, repetitions_count * CHARGES_COUNT))
        })
        .add_timed(Role::Info, "ours, one node for both", move |repetitions_count| {
            same.measure(|_| charge_budget(&both, repetitions_count * CHARGES_COUNT))
        })
        .info("ours, one thread", move || _ = charge_budget(&alone, CHARGES_COUNT))
        .info("one-thread-cas", move || _ = charge_counter(&single, CHARGES_COUNT))
        .evidence(move || format!("shared-cas: {seen_shared}\n  {OURS}: {seen_ours}"))
}

/// Charges and releases a chunk so many times; returns pairs done and swaps lost.
fn charge_counter(counter: &SharedCounter, count: u64) -> (u64, u64) {
    let lost_count = (0..count).map(|_| {
        let lost_count = counter.charge(black_box(CHUNK_BYTES), u64::MAX >> 1).expect("below the limit");
        counter.release(black_box(CHUNK_BYTES));
        lost_count
    });
    (count, lost_count.sum())
}

/// The same with a budget, which does not tell what it lost.
fn charge_budget(budget: &Budget, count: u64) -> (u64, u64) {
    for _ in 0..count {
        budget.charge(black_box(CHUNK_BYTES)).expect("the limit is far away");
        budget.release(black_box(CHUNK_BYTES));
    }
    (count, 0)
}

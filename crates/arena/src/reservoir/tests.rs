#![allow(clippy::disallowed_types)]

use super::*;
use core::sync::atomic::AtomicU64;
use proptest::prelude::*;
use std::vec::Vec;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Enough addresses for the tests, few enough for the interpreter.
const ADDRESSES: u64 = if cfg!(miri) { 4 << 20 } else { 1 << 30 };

/// The account and every taker's budget in one: a sum with a limit.
struct Bank {
    limit: usize,
    used: AtomicUsize,
    warm: AtomicUsize,
    tables: AtomicUsize,
    /// Charges of the account until one is refused; 0 for never.
    fault: AtomicU64,
}

impl Bank {
    fn with_limit(limit: usize) -> Bank {
        let zero = || AtomicUsize::new(0);
        Bank { limit, used: zero(), warm: zero(), tables: zero(), fault: AtomicU64::new(0) }
    }

    fn charge(&self, bytes: usize) -> bool {
        self.used
            .fetch_update(AcqRel, Acquire, |used| (used + bytes <= self.limit).then_some(used + bytes))
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        assert!(self.used.fetch_sub(bytes, AcqRel) >= bytes);
    }

    fn used(&self) -> usize {
        self.used.load(Acquire)
    }

    fn is_faulty(&self) -> bool {
        let step = |left: u64| (left > 0).then(|| left - 1);
        self.fault.fetch_update(AcqRel, Acquire, step) == Ok(1)
    }
}

impl Account for Bank {
    fn charge_warm(&self, bytes: usize) -> bool {
        assert!(bytes.is_multiple_of(UNIT_BYTES));
        let charged = !self.is_faulty() && self.charge(bytes);
        if charged {
            self.warm.fetch_add(bytes, AcqRel);
        }
        charged
    }

    fn release_warm(&self, bytes: usize) {
        assert!(self.warm.fetch_sub(bytes, AcqRel) >= bytes, "more warm memory is released than was charged");
        self.release(bytes);
    }

    fn charge_tables(&self, bytes: usize) -> bool {
        assert!(bytes.is_multiple_of(UNIT_BYTES));
        let charged = !self.is_faulty() && self.charge(bytes);
        if charged {
            self.tables.fetch_add(bytes, AcqRel);
        }
        charged
    }

    fn release_tables(&self, bytes: usize) {
        assert!(self.tables.fetch_sub(bytes, AcqRel) >= bytes, "more tables are released than were charged");
        self.release(bytes);
    }
}

#[derive(Clone, Copy)]
struct Chunk {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a chunk is exclusive memory of the reservoir.
unsafe impl Send for Chunk {}

impl Chunk {
    fn address(&self) -> usize {
        self.base.addr().get()
    }

    fn fill(&self, value: u8) {
        // SAFETY: the test holds the chunk, and all places lie in it.
        unsafe {
            match cfg!(miri) {
                true => self.few_places().into_iter().for_each(|at| self.base.add(at).write(value)),
                false => self.base.as_ptr().write_bytes(value, self.bytes),
            }
        }
    }

    fn holds(&self, value: u8) -> bool {
        // SAFETY: the test holds the chunk, whose memory is initialized, and all places lie in it.
        unsafe {
            match cfg!(miri) {
                true => self.few_places().into_iter().all(|at| self.base.add(at).read() == value),
                false => {
                    let bytes = core::slice::from_raw_parts(self.base.as_ptr(), self.bytes);
                    bytes.iter().all(|byte| *byte == value)
                }
            }
        }
    }

    /// What is looked at in the interpreter, where every byte costs a microsecond.
    fn few_places(&self) -> [usize; 3] {
        [0, self.bytes / 2, self.bytes - 1]
    }

    fn write_header(&self, next: *mut ChunkHeader) -> NonNull<ChunkHeader> {
        // SAFETY: the test holds the chunk, which has at least 1 KiB and is aligned to it.
        unsafe {
            let header = crate::chunk::write_reserved_header(self.base, self.bytes);
            (*header.as_ptr()).next = next;
            header
        }
    }
}

/// A reservoir with the budget that pays for it.
struct Setup {
    reservoir: Reservoir,
    bank: Bank,
}

impl Setup {
    fn new(options: ReservoirOptions, limit: usize) -> Setup {
        Setup { reservoir: Reservoir::new(options).unwrap(), bank: Bank::with_limit(limit) }
    }

    fn roomy() -> Setup {
        Setup::new(options(), usize::MAX / 2)
    }

    /// Charges and takes, as an arena does: asks for warm memory back before it gives up.
    fn take(&self, bytes: usize) -> Result<Chunk, Shortage> {
        loop {
            let releases = self.reservoir.releases();
            if self.bank.charge(bytes) {
                break;
            }
            if self.reservoir.trim(&self.bank, bytes) == 0 && self.reservoir.releases() == releases {
                return Err(Shortage::Budget { bytes: 0 });
            }
        }
        match self.reservoir.take(&self.bank, bytes) {
            Ok(base) => Ok(Chunk { base, bytes }),
            Err(shortage) => {
                self.bank.release(bytes);
                Err(shortage)
            }
        }
    }

    fn give_back(&self, chunks: &[Chunk]) {
        let Some((last, others)) = chunks.split_last() else { return };
        let last = last.write_header(ptr::null_mut());
        let first = others.iter().rev().fold(last, |next, chunk| chunk.write_header(next.as_ptr()));
        let bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        let transfer = || {
            self.bank.warm.fetch_add(bytes, AcqRel);
        };
        // SAFETY: the test held the chunks, forgets them now, and has written their headers.
        unsafe { self.reservoir.give_back(&self.bank, first, last, bytes, transfer) };
    }

    fn trim_all(&self) -> usize {
        self.reservoir.trim(&self.bank, usize::MAX)
    }

    /// The figures of the reservoir and of the bank are the same, and count everything.
    fn check(&self, live_bytes: usize) {
        let stats = self.reservoir.stats();
        assert_eq!(stats.warm_bytes, self.bank.warm.load(Acquire));
        assert_eq!(stats.tables_bytes, self.bank.tables.load(Acquire));
        assert_eq!(stats.committed_bytes, live_bytes + stats.warm_bytes);
        assert_eq!(self.bank.used(), stats.committed_bytes + stats.tables_bytes);
    }
}

fn options() -> ReservoirOptions {
    ReservoirOptions::new(u64::MAX).address_bytes(ADDRESSES)
}

fn sizes() -> impl Iterator<Item = usize> {
    [1, 2, 4, 8, 16, 32, 64, 128, 192, 320].into_iter().map(|kib| kib * KIB)
}

#[test]
fn chunks_are_aligned_disjoint_and_charged() {
    let setup = Setup::roomy();
    let mut chunks: Vec<Chunk> = Vec::new();
    for (index, bytes) in sizes().chain(sizes()).enumerate() {
        let chunk = setup.take(bytes).unwrap();
        assert!(chunk.address().is_multiple_of(bytes.min(GRANULE_BYTES)));
        chunk.fill(index as u8);
        chunks.push(chunk);
        setup.check(chunks.iter().map(|chunk| chunk.bytes).sum());
    }
    for (index, chunk) in chunks.iter().enumerate() {
        assert!(chunk.holds(index as u8), "chunk {index} was written by another");
    }
    setup.give_back(&chunks);
    setup.check(0);
    setup.trim_all();
    setup.check(0);
    assert_eq!(setup.reservoir.stats().committed_bytes, 0);
}

#[test]
fn sizes_that_no_chunk_has_are_refused() {
    let setup = Setup::roomy();
    for bytes in [0, 1, 1023, 1025, 3 * KIB, 48 * KIB, 65 * KIB, 100 * KIB, usize::MAX] {
        assert_eq!(setup.reservoir.take(&setup.bank, bytes).err(), Some(Shortage::Addresses), "{bytes}");
    }
    setup.check(0);
}

#[test]
fn the_first_small_chunk_commits_one_page() {
    let setup = Setup::roomy();
    let page_bytes = system::page_bytes();
    let first = setup.take(KIB).unwrap();
    assert_eq!(setup.reservoir.stats().committed_bytes, page_bytes);
    let mates: Vec<Chunk> = (1..page_bytes / KIB).map(|_| setup.take(KIB).unwrap()).collect();
    assert_eq!(setup.reservoir.stats().committed_bytes, page_bytes);
    assert_eq!(setup.reservoir.stats().warm_bytes, 0);
    for mate in &mates {
        assert_eq!(mate.address() / page_bytes, first.address() / page_bytes);
    }
    setup.check(page_bytes);
}

#[test]
fn returned_chunks_are_taken_again_by_size() {
    let setup = Setup::roomy();
    for bytes in sizes() {
        let chunk = setup.take(bytes).unwrap();
        let committed_bytes = setup.reservoir.stats().committed_bytes;
        setup.give_back(&[chunk]);
        let again = setup.take(bytes).unwrap();
        let page_bytes = system::page_bytes();
        assert_eq!(
            again.address() / page_bytes,
            chunk.address() / page_bytes,
            "the same page, if not the same slot"
        );
        assert_eq!(setup.reservoir.stats().committed_bytes, committed_bytes);
        setup.give_back(&[again]);
        setup.trim_all();
    }
    setup.check(0);
}

#[test]
fn odd_sizes_serve_only_their_own_size() {
    let setup = Setup::roomy();
    let odd = setup.take(192 * KIB).unwrap();
    setup.give_back(&[odd]);
    let other = setup.take(320 * KIB).unwrap();
    assert_ne!(other.address(), odd.address());
    assert_eq!(setup.take(192 * KIB).unwrap().address(), odd.address());
}

#[test]
fn trimming_gives_back_what_was_asked_for_and_memory_comes_back_zeroed() {
    let setup = Setup::roomy();
    let chunks: Vec<Chunk> = (0..8).map(|_| setup.take(64 * KIB).unwrap()).collect();
    chunks.iter().for_each(|chunk| chunk.fill(0xAA));
    setup.give_back(&chunks);
    assert_eq!(setup.reservoir.trim(&setup.bank, 100 * KIB), 128 * KIB);
    assert_eq!(setup.reservoir.stats().warm_bytes, 6 * 64 * KIB);
    assert_eq!(setup.trim_all(), 6 * 64 * KIB);
    assert_eq!(setup.trim_all(), 0);
    setup.check(0);
    assert!(setup.take(64 * KIB).unwrap().holds(0), "trimmed pages read as zero");
}

/// Aim: tables that tell of nothing go back, those of small chunks and those of addresses far away, and come again. Method: as many chunks
/// as have a page of small chunks' tables, several times, and a large one behind them; a small one in the middle stays, and then goes.
#[test]
fn tables_go_back_with_what_they_tell_of() {
    let setup = Setup::roomy();
    let first = setup.take(KIB).unwrap();
    let least = setup.bank.tables.load(Acquire);
    let large = if cfg!(miri) { 512 * KIB } else { 3 << 20 };
    let some = || (0..8).map(|_| 64 * KIB).chain((0..33).map(|_| 2 * KIB));
    for _ in 0..3 {
        let mut many: Vec<Chunk> =
            (0..3).flat_map(|_| some()).chain([large]).map(|bytes| setup.take(bytes).unwrap()).collect();
        let most = setup.bank.tables.load(Acquire);
        assert!(most >= least + 2 * 4 * KIB, "{most} after {least}");
        let stays = many.swap_remove(70);
        setup.give_back(&many);
        setup.trim_all();
        let with_one = setup.bank.tables.load(Acquire);
        assert!(with_one < most && with_one > least, "{with_one}");
        stays.fill(7);
        assert!(stays.holds(7));
        setup.check(first.bytes + stays.bytes);
        setup.give_back(&[stays]);
        setup.trim_all();
        assert_eq!(setup.bank.tables.load(Acquire), least);
        setup.check(first.bytes);
    }
    setup.give_back(&[first]);
    setup.trim_all();
    setup.check(0);
}

#[test]
fn pages_of_slots_are_trimmed_around_those_in_use() {
    let setup = Setup::roomy();
    let page_bytes = system::page_bytes();
    let mut chunks: Vec<Chunk> = (0..64).map(|_| setup.take(KIB).unwrap()).collect();
    chunks.sort_by_key(Chunk::address);
    let kept = chunks.remove(17);
    kept.fill(7);
    setup.give_back(&chunks);
    assert_eq!(setup.trim_all(), 64 * KIB - page_bytes);
    assert!(kept.holds(7));
    setup.check(KIB);
    let again: Vec<Chunk> = (0..63).map(|_| setup.take(KIB).unwrap()).collect();
    assert!(again.iter().all(|chunk| chunk.address() / GRANULE_BYTES == kept.address() / GRANULE_BYTES));
    setup.give_back(&again);
    setup.give_back(&[kept]);
    assert_eq!(setup.trim_all(), 64 * KIB);
    assert_eq!(setup.take(64 * KIB).unwrap().address(), kept.address() & !(GRANULE_BYTES - 1), "a run again");
}

#[test]
fn owners_are_found_for_every_place_of_a_chunk_and_only_there() {
    let setup = Setup::roomy();
    let owner_at = |address: usize| setup.reservoir.owner_of(ptr::without_provenance::<u8>(address));
    let chunks: Vec<Chunk> = sizes().map(|bytes| setup.take(bytes).unwrap()).collect();
    for (stamp, chunk) in (1..).zip(&chunks) {
        setup.reservoir.set_owner(chunk.base.as_ptr(), chunk.bytes, stamp);
    }
    let owned = |address: usize| {
        (1..)
            .zip(&chunks)
            .find(|(_, chunk)| (chunk.address()..chunk.address() + chunk.bytes).contains(&address))
    };
    let lowest = chunks.iter().map(Chunk::address).min().unwrap();
    let highest = chunks.iter().map(|chunk| chunk.address() + chunk.bytes).max().unwrap();
    // The interpreter gives addresses from the lowest megabyte on, so that there may be less than 2 MiB in front.
    let places = lowest.saturating_sub(2 * MIB)..highest + MIB;
    for address in places.step_by(if cfg!(miri) { 61 * KIB + 1 } else { 509 }) {
        assert_eq!(owner_at(address), owned(address).map(|(stamp, _)| stamp), "{address:#x}");
    }
    for address in [0, 1, usize::MAX, usize::MAX - 64 * KIB, ptr::from_ref(&setup).addr()] {
        assert_eq!(owner_at(address), None);
    }
    setup.give_back(&chunks);
    setup.trim_all();
    assert!(chunks.iter().all(|chunk| owner_at(chunk.address()).is_none()));
}

#[test]
fn a_granule_that_was_slots_forgets_their_owners() {
    let setup = Setup::roomy();
    let slot = setup.take(4 * KIB).unwrap();
    setup.reservoir.set_owner(slot.base.as_ptr(), slot.bytes, 5);
    setup.give_back(&[slot]);
    setup.trim_all();
    let run = setup.take(64 * KIB).unwrap();
    assert_eq!(run.address(), slot.address());
    assert_eq!(setup.reservoir.owner_of(slot.base.as_ptr()), None);
    setup.reservoir.set_owner(run.base.as_ptr(), run.bytes, 6);
    assert_eq!(setup.reservoir.owner_of(slot.base.as_ptr()), Some(6));
}

#[test]
fn exhausted_addresses_are_a_shortage_and_cold_runs_join() {
    let setup = Setup::new(options().address_bytes(MIB as u64), usize::MAX / 2);
    assert_eq!(setup.take(2 * MIB).err(), Some(Shortage::Addresses));
    let chunks: Vec<Chunk> = (0..16).map(|_| setup.take(64 * KIB).unwrap()).collect();
    for bytes in sizes() {
        assert_eq!(setup.take(bytes).err(), Some(Shortage::Addresses));
    }
    setup.check(MIB);
    setup.give_back(&chunks);
    let whole = setup.take(MIB).expect("warm granules are given up and join");
    setup.check(MIB);
    setup.give_back(&[whole]);
}

#[test]
fn a_budget_without_room_for_neighbours_or_tables_is_a_shortage() {
    let generous = Setup::roomy();
    let _chunk = generous.take(KIB).unwrap();
    let sufficient = generous.bank.used();
    for limit in (0..sufficient).step_by(KIB) {
        let setup = Setup::new(options(), limit);
        assert!(matches!(setup.take(KIB), Err(Shortage::Budget { .. })), "limit {limit} of {sufficient}");
        setup.check(0);
    }
    let setup = Setup::new(options(), sufficient);
    let chunk = setup.take(KIB).unwrap();
    assert_eq!(
        setup.take(2 * KIB).err(),
        Some(Shortage::Budget { bytes: 0 }),
        "nothing is left at the limit"
    );
    chunk.fill(1);
}

#[test]
fn warm_neighbours_change_hands_at_the_limit() {
    let generous = Setup::roomy();
    let _chunk = generous.take(KIB).unwrap();
    let setup = Setup::new(options(), generous.bank.used());
    let take_with_charge = |granted: bool| {
        setup.reservoir.take_with_charge(&setup.bank, KIB, || {
            setup.bank.warm.fetch_sub(if granted { KIB } else { 0 }, AcqRel);
            granted
        })
    };
    assert_eq!(take_with_charge(true), None, "nothing is warm yet");
    let first = setup.take(KIB).unwrap();
    let slots_per_page = system::page_bytes() / KIB;
    for taken in 1..slots_per_page {
        assert!(setup.take(KIB).is_err(), "not even one more can be charged");
        assert_eq!(take_with_charge(false), None);
        setup.check(taken * KIB);
        let base = take_with_charge(true).expect("a neighbour is warm");
        assert_eq!(base.addr().get() / system::page_bytes(), first.address() / system::page_bytes());
        setup.check((taken + 1) * KIB);
    }
    assert_eq!(take_with_charge(true), None);
    setup.give_back(&[first]);
    assert_eq!(take_with_charge(true), Some(first.base), "returned chunks are sorted first");
}

#[test]
fn room_for_neighbours_is_made_from_warm_memory() {
    let generous = Setup::roomy();
    let _chunks = [generous.take(64 * KIB).unwrap(), generous.take(KIB).unwrap()];
    let setup = Setup::new(options(), generous.bank.used() - KIB);
    let run = setup.take(64 * KIB).unwrap();
    assert!(matches!(setup.take(KIB), Err(Shortage::Budget { bytes }) if bytes > 0));
    setup.give_back(&[run]);
    setup.take(KIB).expect("the warm run makes way");
}

#[test]
fn each_refused_charge_leaves_everything_as_it_was() {
    for nth in 1.. {
        let setup = Setup::new(options().address_bytes(2 << 20), usize::MAX / 2);
        setup.bank.fault.store(nth, Release);
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut refusals = 0;
        for bytes in sizes() {
            match setup.take(bytes) {
                Ok(chunk) => chunks.push(chunk),
                Err(Shortage::Budget { .. }) => refusals += 1,
                Err(Shortage::Addresses) => panic!("there are enough addresses"),
            }
            setup.check(chunks.iter().map(|chunk| chunk.bytes).sum());
        }
        setup.give_back(&chunks);
        setup.trim_all();
        setup.check(0);
        assert!(refusals <= 1);
        if setup.bank.fault.load(Acquire) > 0 {
            assert!(nth > 5, "tables and neighbours are charged");
            break;
        }
        assert!(setup.take(2 * MIB).is_ok(), "all addresses are free again after refusal {nth}");
    }
}

#[test]
fn a_refused_reservation_becomes_several_regions() {
    let setup = Setup::new(options().address_bytes(4 << 20).mapping_bytes_max(1536 << 10), usize::MAX / 2);
    let mut chunks: Vec<Chunk> = Vec::new();
    while let Ok(chunk) = setup.take(256 * KIB) {
        chunk.fill(chunks.len() as u8);
        setup.reservoir.set_owner(chunk.base.as_ptr(), chunk.bytes, chunks.len() as u64 + 1);
        chunks.push(chunk);
    }
    assert!(setup.reservoir.stats().regions_count >= 4);
    assert!(chunks.len() >= 8, "{} chunks", chunks.len());
    for (index, chunk) in chunks.iter().enumerate() {
        assert!(chunk.holds(index as u8));
        assert_eq!(setup.reservoir.owner_of(chunk.base.as_ptr()), Some(index as u64 + 1));
    }
    assert_eq!(setup.take(2 * MIB).err(), Some(Shortage::Addresses));
    setup.give_back(&chunks);
    setup.trim_all();
    setup.check(0);
}

#[test]
fn a_system_without_addresses_is_an_error() {
    let error = Reservoir::new(options().mapping_bytes_max(64 * KIB)).unwrap_err();
    assert_eq!(error, ReservoirError::AddressesRefused { asked_bytes: ADDRESSES });
    assert!(std::format!("{error}").contains("mapping_bytes_max"));
    let none = Reservoir::new(options().address_bytes(0)).unwrap_err();
    assert_eq!(none, ReservoirError::AddressesRefused { asked_bytes: 0 });
}

#[test]
fn default_addresses_follow_the_limit() {
    let address_bytes = |limit| ReservoirOptions::new(limit).address_bytes;
    assert_eq!(address_bytes(0), ADDRESS_BYTES_MIN);
    assert_eq!(address_bytes(u64::MAX), ADDRESS_BYTES_UNLIMITED);
    if usize::BITS >= 64 {
        assert_eq!(address_bytes(1 << 30), 16 << 30);
        assert_eq!(address_bytes(4 << 40), 8 << 40);
    }
    #[cfg(not(miri))]
    assert_eq!(Reservoir::new(ReservoirOptions::new(u64::MAX)).unwrap().stats().regions_count, 1);
}

#[test]
fn warm_memory_above_the_watermark_is_trimmed_step_by_step() {
    let setup = Setup::new(options().warm_bytes_limit(256 * KIB), usize::MAX / 2);
    let chunks: Vec<Chunk> = (0..24).map(|_| setup.take(64 * KIB).unwrap()).collect();
    setup.give_back(&chunks);
    assert_eq!(setup.reservoir.stats().warm_bytes, 16 * 64 * KIB, "one step is eight chunks");
    let small = setup.take(KIB).unwrap();
    setup.give_back(&[small]);
    while setup.reservoir.stats().warm_bytes > 256 * KIB {
        let before = setup.reservoir.stats().warm_bytes;
        let chunk = setup.take(64 * KIB).unwrap();
        setup.give_back(&[chunk]);
        assert!(setup.reservoir.stats().warm_bytes < before, "each step gives something back");
    }
    setup.check(0);
}

#[test]
#[cfg_attr(miri, ignore = "needs more memory than the interpreter should have")]
fn oversize_runs_are_not_kept() {
    let setup = Setup::roomy();
    let large = setup.take(100 * MIB).unwrap();
    setup.give_back(&[large]);
    assert_eq!(setup.reservoir.stats().warm_bytes, 100 * MIB);
    for _ in 0..10 {
        let chunk = setup.take(64 * KIB).unwrap();
        setup.give_back(&[chunk]);
    }
    assert!(setup.reservoir.stats().warm_bytes <= 65 * MIB, "cut down to what may be kept");
    assert!(setup.reservoir.stats().warm_bytes >= 56 * MIB, "in bites of 4 MiB");
    setup.check(0);
    setup.trim_all();
    assert_eq!(setup.take(128 * MIB).unwrap().address(), large.address(), "the addresses are whole again");
}

#[test]
#[should_panic(expected = "a run comes back once")]
fn a_run_that_comes_back_twice_is_noticed() {
    let setup = Setup::roomy();
    let (first, second) = (setup.take(64 * KIB).unwrap(), setup.take(64 * KIB).unwrap());
    setup.give_back(&[first]);
    setup.trim_all();
    let _first_again = setup.take(64 * KIB).unwrap();
    setup.give_back(&[second]);
    let _sorted = setup.reservoir.trim(&setup.bank, 1);
    let _unrelated = setup.take(128 * KIB).unwrap();
    setup.give_back(&[second]);
    setup.trim_all();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 2 } else { 48 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_order_of_calls_keeps_contents_owners_and_figures(
        warm_bytes_limit in 0..2 * MIB,
        limit_kib in 64..4096usize,
        steps in prop::collection::vec(
            (0..10u8, any::<prop::sample::Index>(), 1..6usize), 1..if cfg!(miri) { 15 } else { 300 }
        ),
    ) {
        let options = options().address_bytes(4 << 20).warm_bytes_limit(warm_bytes_limit);
        let setup = Setup::new(options, limit_kib * KIB);
        let sizes: Vec<usize> = sizes().collect();
        let mut chunks: Vec<(Chunk, u64)> = Vec::new();
        let mut stamp = 0;
        for (kind, index, count) in steps {
            match kind {
                0..6 => if let Ok(chunk) = setup.take(sizes[index.index(sizes.len())]) {
                    stamp += 1;
                    chunk.fill(stamp as u8);
                    setup.reservoir.set_owner(chunk.base.as_ptr(), chunk.bytes, stamp);
                    chunks.push((chunk, stamp));
                },
                6..9 => {
                    let count = count.min(chunks.len());
                    let at = index.index(chunks.len() - count + 1);
                    let returned: Vec<(Chunk, u64)> = chunks.drain(at..at + count).collect();
                    for (chunk, stamp) in &returned {
                        assert!(chunk.holds(*stamp as u8));
                        let end = chunk.base.as_ptr().wrapping_add(chunk.bytes - 1);
                        assert_eq!(setup.reservoir.owner_of(chunk.base.as_ptr()), Some(*stamp));
                        assert_eq!(setup.reservoir.owner_of(end), Some(*stamp));
                    }
                    let returned: Vec<Chunk> = returned.into_iter().map(|(chunk, _)| chunk).collect();
                    setup.give_back(&returned);
                }
                _ => {
                    let warm_bytes = setup.reservoir.stats().warm_bytes;
                    let asked = index.index(sizes.len()) * 64 * KIB;
                    let freed = setup.reservoir.trim(&setup.bank, asked);
                    assert_eq!(setup.reservoir.stats().warm_bytes, warm_bytes - freed);
                }
            }
            setup.check(chunks.iter().map(|(chunk, _)| chunk.bytes).sum());
        }
        let rest: Vec<Chunk> = chunks.into_iter().map(|(chunk, _)| chunk).collect();
        setup.give_back(&rest);
        setup.trim_all();
        setup.check(0);
        assert_eq!(setup.reservoir.stats().warm_bytes, 0);
    }
}

/// A small generator, so that threads need no shared one.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Takes, fills, checks and gives back chunks of all sizes for `rounds`; `pause` is held in each round.
fn churn(setup: &Setup, seed: u64, rounds: usize, pause: &std::sync::RwLock<()>) {
    let mut random = Lcg(seed);
    let sizes: Vec<usize> = sizes().collect();
    let mut held: Vec<(Chunk, u8)> = Vec::new();
    for round in 0..rounds {
        let _running = pause.read().unwrap();
        if random.below(3) < 2
            && let Ok(chunk) = setup.take(sizes[random.below(sizes.len())])
        {
            let value = (seed as u8).wrapping_mul(31).wrapping_add(round as u8);
            chunk.fill(value);
            setup.reservoir.set_owner(chunk.base.as_ptr(), chunk.bytes, seed);
            held.push((chunk, value));
        } else if !held.is_empty() {
            let count = 1 + random.below(held.len());
            let returned: Vec<Chunk> = held
                .drain(held.len() - count..)
                .map(|(chunk, value)| {
                    assert!(chunk.holds(value), "somebody else wrote into the chunk");
                    assert_eq!(setup.reservoir.owner_of(chunk.base.as_ptr()), Some(seed));
                    chunk
                })
                .collect();
            setup.give_back(&returned);
        }
    }
    let _running = pause.read().unwrap();
    let rest: Vec<Chunk> = held.into_iter().map(|(chunk, _)| chunk).collect();
    setup.give_back(&rest);
}

/// Eight threads at a limit that is too small for them; while they are paused, `look` is called.
fn contend(setup: &Setup, rounds: usize, mut look: impl FnMut()) {
    let threads = if cfg!(miri) { 3 } else { 8 };
    let pause = std::sync::RwLock::new(());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..=threads)
            .map(|seed| {
                let (setup, pause) = (&setup, &pause);
                scope.spawn(move || churn(setup, seed, rounds, pause))
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            let paused = pause.write().unwrap();
            look();
            drop(paused);
            std::thread::sleep(core::time::Duration::from_millis(1));
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    setup.check(0);
    setup.trim_all();
    setup.check(0);
    assert_eq!(setup.reservoir.stats().committed_bytes, 0);
}

#[test]
fn threads_share_a_reservoir_at_its_limit() {
    let options = options().warm_bytes_limit(256 * KIB);
    let setup = Setup::new(options, MIB);
    contend(&setup, if cfg!(miri) { 8 } else { 3000 }, || assert!(setup.bank.used() <= MIB));
}

#[test]
fn nobody_is_refused_while_memory_is_only_on_its_way() {
    // As many threads as chunks fit: each always finds one, whatever the others are just doing with theirs.
    let threads = if cfg!(miri) { 2 } else { 4 };
    let probe = Setup::roomy();
    let _chunks: Vec<Chunk> = (0..threads).map(|_| probe.take(64 * KIB).unwrap()).collect();
    let setup = Setup::new(options(), probe.bank.used());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for round in 0..if cfg!(miri) { 10 } else { 5000 } {
                    let chunk = setup
                        .take(64 * KIB)
                        .unwrap_or_else(|why| panic!("refused in round {round}: {why:?}"));
                    setup.give_back(&[chunk]);
                }
            });
        }
    });
}

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    use super::*;

    const THP: &str = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// Anonymous memory of the whole process, in bytes.
    fn rss_anon_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux reports RssAnon");
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * KIB
    }

    /// The mode of huge pages, put back when dropped. The file lock keeps other tests from taking ours for theirs.
    struct HugePagesAlways {
        before: String,
        _lock: std::fs::File,
    }

    impl HugePagesAlways {
        fn set() -> Option<HugePagesAlways> {
            let lock = std::fs::File::create(std::env::temp_dir().join("cofferdam-huge-pages.lock")).ok()?;
            lock.lock().ok()?;
            let modes = std::fs::read_to_string(THP).ok()?;
            let before =
                modes.split_whitespace().find_map(|mode| mode.strip_prefix('[')?.strip_suffix(']'))?;
            let guard = HugePagesAlways { before: before.into(), _lock: lock };
            std::fs::write(THP, "always").ok()?;
            Some(guard)
        }
    }

    impl Drop for HugePagesAlways {
        fn drop(&mut self) {
            let _restored = std::fs::write(THP, &self.before);
        }
    }

    #[test]
    fn trimming_shows_in_the_process() {
        let setup = Setup::new(options(), usize::MAX / 2);
        let before = rss_anon_bytes();
        let chunks: Vec<Chunk> = (0..64).map(|_| setup.take(MIB).unwrap()).collect();
        chunks.iter().for_each(|chunk| chunk.fill(1));
        let full = rss_anon_bytes();
        assert!(full >= before + 60 * MIB, "{before} to {full}");
        setup.give_back(&chunks);
        assert!(setup.reservoir.resident_bytes() >= 64 * MIB, "warm memory stays");
        assert_eq!(setup.trim_all(), 64 * MIB);
        let after = rss_anon_bytes();
        assert!(after + 60 * MIB <= full, "{full} to {after}");
        assert!(setup.reservoir.resident_bytes() <= setup.bank.used());
    }

    #[test]
    fn resident_memory_never_exceeds_what_is_charged_even_with_huge_pages_always() {
        let always = HugePagesAlways::set();
        if always.is_none() {
            std::eprintln!("skipped in part: {THP} cannot be set to always here");
        }
        for huge_pages in [false, true] {
            let options = options().address_bytes(64 << 20).warm_bytes_limit(MIB).huge_pages(huge_pages);
            let setup = Setup::new(options, 8 * MIB);
            let (mut looks, mut highest) = (0, 0);
            contend(&setup, 4000, || {
                let (resident, charged) = (setup.reservoir.resident_bytes(), setup.bank.used());
                assert!(resident <= charged, "{resident} resident, {charged} charged");
                (looks, highest) = (looks + 1, highest.max(resident));
            });
            assert!(looks > 5 && highest > MIB, "{looks} looks, at most {highest} resident");
        }
    }

    #[test]
    fn huge_pages_come_only_where_whole_ones_are_charged() {
        let Some(_always) = HugePagesAlways::set() else {
            return std::eprintln!("skipped: {THP} cannot be set to always here");
        };
        let setup = Setup::new(options().huge_pages(true), usize::MAX / 2);
        for bytes in [64 * KIB, 2 * MIB, 3 * MIB, 5 * MIB + 64 * KIB] {
            let chunk = setup.take(bytes).unwrap();
            // SAFETY: the chunk is ours; one byte in it is written.
            unsafe { chunk.base.write(1) };
            let resident = setup.reservoir.resident_bytes();
            assert!(resident <= setup.bank.used(), "{resident} resident after one byte of {bytes}");
            chunk.fill(2);
            assert!(setup.reservoir.resident_bytes() <= setup.bank.used());
            setup.give_back(&[chunk]);
            setup.trim_all();
            let resident = setup.reservoir.resident_bytes();
            assert!(resident <= setup.bank.used(), "{resident} resident after trimming");
        }
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -p cofferdam-arena reservoir -- --ignored --nocapture"]
fn cost_of_a_warm_chunk() {
    let setup = Setup::roomy();
    for bytes in [KIB, 64 * KIB, MIB] {
        let mut medians: Vec<f64> = (0..21)
            .map(|_| {
                let start = std::time::Instant::now();
                for _ in 0..10_000 {
                    setup.give_back(&[setup.take(bytes).unwrap()]);
                }
                start.elapsed().as_nanos() as f64 / 10_000.0
            })
            .collect();
        medians.sort_by(f64::total_cmp);
        std::println!("{} KiB warm: {:.1} ns take + give back", bytes / KIB, medians[10]);
    }
    let start = std::time::Instant::now();
    for _ in 0..1_000 {
        let chunk = setup.take(64 * KIB).unwrap();
        chunk.fill(1);
        setup.give_back(&[chunk]);
        setup.trim_all();
    }
    std::println!("64 KiB cold, filled: {:.1} ns", start.elapsed().as_nanos() as f64 / 1_000.0);
}

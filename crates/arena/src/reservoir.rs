//! The reservoir: the one place that asks the operating system for memory.
//!
//! It reserves addresses once and commits exactly what is charged. A *run* is so many granules of 64 KiB; a *slot* is
//! a chunk of 1 to 32 KiB, cut from a granule. Example, on a fresh reservoir:
//!
//! ```text
//!  take 1 KiB     granule 0 becomes slots of 1 KiB; one page is carved: 1 KiB is the taker's, 3 KiB are warm
//!  take 192 KiB   granules 4..7 of the run 4..8 (a power of two of addresses, 192 KiB of memory)
//!  give both back one splice, charged to `warm`; the pages stay, so the next taker pays no page faults
//!  trim           the pages go back to the system, the addresses become cold runs that join with their neighbours
//! ```
//!
//! Transparent huge pages are off for the reservation, because they would commit what nobody charged. Where they are
//! asked for, they are allowed only in those parts of a run that are charged for as whole 2 MiB.
//!
//! # Who pays
//!
//! The taker has charged its own budget before it takes. Everything else (returned chunks, the neighbours of a slot
//! on its page, the tables) is charged through an [`Account`] before it is touched. See `heap.rs`, H1 to H4.
//!
//! # Order of locks
//!
//! The account is called under the reservoir's lock. So nobody may call the reservoir under a lock that the account
//! takes.
//!
//! | file | what it holds |
//! |---|---|
//! | `layout.rs` | sizes, granule numbers, where tables lie: arithmetic only |
//! | `table.rs` | one entry per granule, and lists through them |
//! | `buddy.rs` | which addresses are cold |
//! | `slots.rs` | chunks smaller than a granule |
//! | `space.rs` | regions, pointers, owner stamps |
//! | `heap.rs` | what the lock guards: take, sort, trim |
//! | `system.rs` | the calls to the operating system |

mod buddy;
mod heap;
mod layout;
mod slots;
mod space;
mod system;
mod table;
#[cfg(test)]
mod tests;

use crate::chunk::ChunkHeader;
// Apart from the tree that owns it: a tree's page has no room for the tables' lists.
#[allow(clippy::disallowed_types)]
use alloc::boxed::Box;
use buddy::Buddy;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{
    AtomicPtr, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use heap::{Context, Counters, Heap};
use layout::{GRANULE_BYTES, Size, UNIT_BYTES};
use space::Space;
use std::sync::{Mutex, MutexGuard, TryLockError};

/// Default for the addresses of a reservoir without a limit, in bytes: 1 TiB, and 512 MiB where a pointer has 32 bits.
const ADDRESS_BYTES_UNLIMITED: u64 = if usize::BITS >= 64 { 1 << 40 } else { 1 << 29 };
/// The least that is reserved by default, in bytes.
const ADDRESS_BYTES_MIN: u64 = if usize::BITS >= 64 { 1 << 30 } else { 1 << 28 };
/// How often `trim` lets other threads run while chunks are on their way to it.
const TRANSIT_YIELDS_MAX: usize = 1000;

/// Who pays for what the reservoir holds itself: returned chunks, carved neighbours and tables.
///
/// Called under the reservoir's lock: an implementation must not call the reservoir, nor ask reclaimers.
pub(crate) trait Account {
    /// Charges `bytes` of warm memory; false when there is no room for them.
    fn charge_warm(&self, bytes: usize) -> bool;
    /// Releases `bytes` of warm memory.
    fn release_warm(&self, bytes: usize);
    /// Charges `bytes` of tables; false when there is no room.
    fn charge_tables(&self, bytes: usize) -> bool;
    /// Releases `bytes` of tables.
    fn release_tables(&self, bytes: usize);
}

/// Why a chunk was not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shortage {
    /// The account has no room for what comes with the chunk: so many bytes of tables or of neighbours on its page.
    Budget {
        /// Bytes beyond those of the chunk.
        bytes: usize,
    },
    /// No addresses of that length are left, or the system grants no more.
    Addresses,
}

/// What a new reservoir is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReservoirOptions {
    address_bytes: u64,
    warm_bytes_limit: usize,
    huge_pages: bool,
    mapping_bytes_max: usize,
}

impl ReservoirOptions {
    /// Options for a tree of budgets whose root has this limit ([`u64::MAX`] for none).
    ///
    /// Addresses are 16 times the limit, at least 1 GiB and at most 1 TiB (or twice the limit, if that is more), so
    /// that fragmentation of addresses stays harmless. A quarter of the limit stays warm, 1 GiB at most.
    pub fn new(limit_bytes: u64) -> ReservoirOptions {
        let roomy = limit_bytes.saturating_mul(16).clamp(ADDRESS_BYTES_MIN, ADDRESS_BYTES_UNLIMITED);
        let twice = if limit_bytes < 1 << 46 { limit_bytes * 2 } else { 0 };
        let address_bytes = if usize::BITS >= 64 { roomy.max(twice) } else { roomy };
        let warm_bytes_limit = (limit_bytes / 4).min(1 << 30) as usize;
        ReservoirOptions { address_bytes, warm_bytes_limit, huge_pages: false, mapping_bytes_max: usize::MAX }
    }

    /// Addresses that the reservoir may use for chunks, in bytes: rounded up to 64 KiB. They cost no memory.
    pub fn address_bytes(mut self, bytes: u64) -> ReservoirOptions {
        self.address_bytes = bytes;
        self
    }

    /// The watermark: warm memory above it is given back to the system step by step.
    pub fn warm_bytes_limit(mut self, bytes: usize) -> ReservoirOptions {
        self.warm_bytes_limit = bytes;
        self
    }

    /// Allows transparent huge pages in those parts of chunks of 2 MiB and more that fill them.
    pub fn huge_pages(mut self, allowed: bool) -> ReservoirOptions {
        self.huge_pages = allowed;
        self
    }

    /// The largest single mapping to ask the system for, in bytes. The reservoir then has several regions, up to 32.
    /// For processes under a limit of addresses (`ulimit -v`) that others need too.
    pub fn mapping_bytes_max(mut self, bytes: usize) -> ReservoirOptions {
        self.mapping_bytes_max = bytes;
        self
    }
}

/// Why a reservoir could not be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReservoirError {
    /// The system grants not even the smallest region of addresses.
    AddressesRefused {
        /// Bytes of addresses that were asked for at first.
        asked_bytes: u64,
    },
}

impl fmt::Display for ReservoirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ReservoirError::AddressesRefused { asked_bytes } = self;
        write!(
            f,
            "the system refuses to reserve addresses: asked {asked_bytes} bytes, then less, down to 1 MiB; \
             raise the process's limit of address space (ulimit -v) or set mapping_bytes_max and address_bytes"
        )
    }
}

impl core::error::Error for ReservoirError {}

/// What a reservoir holds; all figures in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReservoirStats {
    /// Addresses reserved, tables included. They are not memory.
    pub reserved_bytes: usize,
    /// Memory that may have pages behind it and is in chunks: live and warm.
    pub committed_bytes: usize,
    /// Chunks returned and neighbours carved, waiting to be taken.
    pub warm_bytes: usize,
    /// Tables and the reservoir itself, as charged.
    pub tables_bytes: usize,
    /// Mappings that the addresses are made of: 1 unless the system refused.
    pub regions_count: usize,
}

/// The one place that memory comes from. A tree of budgets owns it: see
/// [`Budget::root_on_reservoir`](crate::Budget::root_on_reservoir).
///
/// Its addresses are given back when it is dropped, so whoever holds a chunk holds a handle of the tree.
#[allow(clippy::disallowed_types)]
pub struct Reservoir(Box<Shared>);

struct Shared {
    space: Space,
    counters: Counters,
    warm_bytes_limit: usize,
    /// Chains given back and not taken over yet; pushed without the lock, swapped out whole under it.
    incoming: AtomicPtr<ChunkHeader>,
    /// Returns that have been charged to `warm` or are about to be, and are not in `incoming` yet.
    in_transit: AtomicUsize,
    heap: Mutex<Heap>,
}

// SAFETY: `incoming` leads to memory of `space`, which any thread may use; everything else is Send and Sync itself.
unsafe impl Send for Shared {}
// SAFETY: as above; the chain behind `incoming` is followed only under the lock.
unsafe impl Sync for Shared {}

impl Reservoir {
    /// Reserves addresses; takes no memory but the reservoir's own few KiB. Those and the tables are charged when
    /// they are first used.
    ///
    /// Where the system refuses, half is asked for, and so on; more regions are added when they are needed.
    ///
    /// # Errors
    /// The system refuses even the smallest region.
    #[allow(clippy::disallowed_types)]
    pub fn new(options: ReservoirOptions) -> Result<Reservoir, ReservoirError> {
        let granules_max = options.address_bytes.div_ceil(GRANULE_BYTES as u64);
        let space = Space::new(granules_max, options.mapping_bytes_max, options.huge_pages);
        let fixed_bytes = layout::round_up(size_of::<Shared>(), UNIT_BYTES);
        let mut heap = Heap::new(space.page_bytes(), fixed_bytes);
        heap.add_region(&space, 0)
            .map_err(|_| ReservoirError::AddressesRefused { asked_bytes: options.address_bytes })?;
        Ok(Reservoir(Box::new(Shared {
            space,
            counters: Counters::default(),
            warm_bytes_limit: options.warm_bytes_limit,
            incoming: AtomicPtr::new(ptr::null_mut()),
            in_transit: AtomicUsize::new(0),
            heap: Mutex::new(heap),
        })))
    }

    /// Takes a chunk of `bytes`: 1, 2, 4, 8, 16 or 32 KiB, or a multiple of 64 KiB. The caller has charged `bytes`
    /// to a budget of its own. What the chunk holds is unspecified but initialized.
    ///
    /// A chunk of less than 64 KiB is aligned to its size, a larger one to 64 KiB.
    ///
    /// # Errors
    /// [`Shortage::Budget`] when the account has no room for what comes with the chunk, [`Shortage::Addresses`] when
    /// no addresses are left. Nothing has changed then, except that warm memory may have been given up.
    pub(crate) fn take(&self, account: &dyn Account, bytes: usize) -> Result<NonNull<u8>, Shortage> {
        let shared = &*self.0;
        let size = Size::of(bytes).ok_or(Shortage::Addresses)?;
        let context = shared.context(account);
        let mut heap = shared.lock();
        let (granule, offset) = heap.take(&context, size)?;
        shared.trim_above_watermark(&mut heap, &context);
        Ok(shared.space.pointer(granule, offset))
    }

    /// Takes a warm chunk of `bytes` together with its charge, if there is one. For a caller whose budget has no room
    /// to be charged before the warm charge is released: at the limit, slots whose page is in use can be neither
    /// trimmed nor paid for twice, but they can change hands.
    ///
    /// `transfer` moves the charge of `bytes` from the warm account to the caller's budget and may refuse; it runs
    /// under the reservoir's lock.
    pub(crate) fn take_with_charge(
        &self,
        account: &dyn Account,
        bytes: usize,
        transfer: impl FnOnce() -> bool,
    ) -> Option<NonNull<u8>> {
        let shared = &*self.0;
        let (granule, offset) =
            shared.lock().take_with_charge(&shared.context(account), Size::of(bytes)?, transfer)?;
        Some(shared.space.pointer(granule, offset))
    }

    /// Takes back a chain of chunks of any sizes and any number, linked by `next` from `first` to `last`, together
    /// `bytes`. The splice is lock-free and looks at the last chunk only.
    ///
    /// `transfer` moves the chunks' charge from the caller's budget to the warm account, in one step that cannot
    /// fail. It is called once, before the chunks can be seen: whoever takes them releases that charge.
    ///
    /// # Safety
    /// 1. Each chunk of the chain was taken from this reservoir and is given back once; no reference into it lives.
    /// 2. The last 64 bytes of each are a valid header with its base and size as taken, and `next` leads from `first`
    ///    to `last`.
    /// 3. `account` is the one that the reservoir's other calls get.
    pub(crate) unsafe fn give_back(
        &self,
        account: &dyn Account,
        first: NonNull<ChunkHeader>,
        last: NonNull<ChunkHeader>,
        bytes: usize,
        transfer: impl FnOnce(),
    ) {
        let shared = &*self.0;
        shared.in_transit.fetch_add(1, AcqRel);
        transfer();
        shared.counters.note_return(bytes);
        // SAFETY: by 1 and 2 the chain is ours and `last` is its valid last header.
        unsafe { shared.push(first, last) };
        shared.in_transit.fetch_sub(1, Release);
        shared.trim_if_idle(account);
    }

    /// Gives at least `bytes` of warm memory back to the system, if there is that much, and returns how many bytes
    /// it was. Asks the system in bites of 4 MiB, and lets others take chunks between them.
    pub(crate) fn trim(&self, account: &dyn Account, bytes: usize) -> usize {
        let shared = &*self.0;
        let context = shared.context(account);
        let mut freed_bytes = 0;
        while freed_bytes < bytes {
            match shared.lock().trim_bite(&context, bytes - freed_bytes) {
                0 if shared.arrivals_possible() => {}
                0 => break,
                bite_bytes => freed_bytes += bite_bytes,
            }
        }
        freed_bytes
    }

    /// Changes whenever warm memory is released. Who was refused a charge, has trimmed nothing, and sees the same value
    /// as before the charge, was refused rightly; otherwise room was made meanwhile, and it must try again.
    pub(crate) fn releases(&self) -> usize {
        self.0.counters.releases()
    }

    /// Marks the chunk of `bytes` at `base` as owned by `stamp`, which is neither 0 nor [`u64::MAX`] and never used
    /// for anyone else.
    ///
    /// # Panics
    /// `base` is not in this reservoir, or the stamp is one of the two.
    pub(crate) fn set_owner(&self, base: *mut u8, bytes: usize, stamp: u64) {
        self.0.space.set_owner(base.addr(), bytes, stamp);
    }

    /// The stamp of the chunk that `pointer` points into, in constant time. Any pointer may be asked about: the
    /// answer is a stamp that this place was given, or `None`; nothing behind it is read. Memory that was given back
    /// may still show its last owner's stamp.
    pub fn owner_of<T: ?Sized>(&self, pointer: *const T) -> Option<u64> {
        self.0.space.owner_of(pointer.cast::<u8>().addr())
    }

    /// Current figures, each exact, together approximate while other threads work.
    pub fn stats(&self) -> ReservoirStats {
        let shared = &*self.0;
        let warm_bytes = shared.counters.warm();
        ReservoirStats {
            reserved_bytes: shared.space.reserved_bytes(),
            committed_bytes: shared.counters.live() + warm_bytes,
            warm_bytes,
            tables_bytes: shared.counters.tables(),
            regions_count: shared.space.regions().count(),
        }
    }

    /// Bytes of the reservation that have memory behind them.
    #[cfg(all(test, target_os = "linux", not(miri)))]
    fn resident_bytes(&self) -> usize {
        self.0.space.resident_bytes()
    }
}

impl fmt::Debug for Reservoir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reservoir").field(&self.stats()).finish()
    }
}

impl Shared {
    fn context<'a>(&'a self, account: &'a dyn Account) -> Context<'a> {
        Context { space: &self.space, counters: &self.counters, incoming: &self.incoming, account }
    }

    /// # Panics
    /// An invariant broke under the lock before: the lists cannot be trusted any more.
    fn lock(&self) -> MutexGuard<'_, Heap> {
        self.heap.lock().expect("no thread has found the reservoir's lists broken")
    }

    /// # Safety
    /// The chain from `first` to `last` is the caller's to give, and `last` is valid.
    unsafe fn push(&self, first: NonNull<ChunkHeader>, last: NonNull<ChunkHeader>) {
        let mut head = self.incoming.load(Relaxed);
        loop {
            // SAFETY: `last` is valid and ours until the exchange succeeds.
            unsafe { (*last.as_ptr()).next = head };
            // Takers swap the whole list out, so a head that came back is a list that is whole: there is no ABA.
            match self.incoming.compare_exchange_weak(head, first.as_ptr(), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether a caller who found nothing warm should look again: chunks are on their way, or have just come.
    fn arrivals_possible(&self) -> bool {
        let was_in_transit = self.in_transit.load(Acquire) != 0;
        for _ in 0..TRANSIT_YIELDS_MAX {
            if !self.incoming.load(Relaxed).is_null() {
                return true;
            }
            if self.in_transit.load(Acquire) == 0 {
                return was_in_transit && !self.incoming.load(Relaxed).is_null();
            }
            std::thread::yield_now();
        }
        false
    }

    fn trim_above_watermark(&self, heap: &mut Heap, context: &Context<'_>) {
        let warm_bytes = self.counters.warm();
        let excess_bytes = warm_bytes.saturating_sub(self.warm_bytes_limit);
        if excess_bytes > 0 || heap.has_oversize() {
            heap.trim_step(context, excess_bytes.clamp(1, heap::BITE_GRANULES as usize * GRANULE_BYTES));
        }
    }

    /// Trims above the watermark unless somebody else is at work: whoever that is will see to it.
    fn trim_if_idle(&self, account: &dyn Account) {
        if self.counters.warm() <= self.warm_bytes_limit {
            return;
        }
        match self.heap.try_lock() {
            Ok(mut heap) => self.trim_above_watermark(&mut heap, &self.context(account)),
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {}
        }
    }
}

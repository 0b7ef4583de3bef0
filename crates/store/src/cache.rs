//! The block cache: checked pieces of segment files, kept as long as memory allows.
//!
//! ```text
//!   get_or_read(file, offset) --> shard of the hash --> slot --> Piece (a counted reference to the bytes)
//!                                    |  miss
//!                                    '--> charge, read and check outside of every lock, insert
//!
//!   a shard's queues:   new --> [ small, a tenth ] --used twice--> [ main ] --used--> back to its head
//!                                      | else                         | else
//!                                      v                              v
//!                               remembered as a ghost                gone
//! ```
//!
//! It is the only thing that may remember what was read, and it gives way: it is a reclaimer of its budget, so a charge
//! by anybody below the same limits that would fail takes from here first. What it holds:
//!
//! - C1 Every byte is charged to the budget `cache` before it is taken: the pieces and their counted handles, the slots,
//!   and the cache itself.
//! - C2 A piece that somebody holds is not evicted; one that is forgotten while it is held leaves the map at once,
//!   and its bytes when the last holder lets go.
//! - C3 No lock is held during a read, a charge for a piece, or the end of a piece. Two readers of the same missing
//!   piece both read it, and the second one's copy is dropped.
//! - C4 The reclaimer never waits for a shard whose holder charges (for slots): that charge may be the one that asks, or wait for
//!   the one that asks. Any other holder is on its way out, and is waited for: its moment must not become a refusal.
//! - C5 A shard without a piece holds no memory.
//! - C6 Pages that single rows are read from come into a full cache when they are missed a second time while their ghost is
//!   there ([`Cache::get_or_admit`]): one that is read once costs no other its place, nor itself a way through memory that is cold.
//!
//! **Memory of a piece.** Each is a vector behind the cache's one [`BudgetAlloc`], whose account charges what all of
//! them take with what the allocator keeps about each, so a piece of 200 bytes costs about 300. Sizes are rounded up
//! to sixteenths of a power of two, so that pieces take each other's places in the allocator's heap. (An arena for each
//! would round 200 bytes up to 1 KiB and 17 KiB to 32, and threads cannot share it.) The price: what is given back to the
//! budget stays in the global allocator's heap until that gives it to somebody, or to the system. A piece that has to make
//! room for one that takes as much becomes that one, charge and all.
//!
//! # Source
//! J. Yang, Y. Zhang, Z. Qiu, Y. Yue, R. Vinayak: FIFO queues are all you need for cache eviction, SOSP 2023,
//! algorithm 1 (S3-FIFO): a scan passes through the small queue and leaves the main one alone. The ghost queue is a
//! table of fingerprints, one a slot, as in its section 4.2.

mod shard;
#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Deref;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Reclaim, UNIT};

use crate::error::Error;
use crate::page::SymbolTable;
use shard::{Evicted, Shard};

/// The most shards of a cache.
const SHARDS_MAX: usize = 8;
/// Limits from which on a cache has more than one shard: slots of eight shards take 8 KiB at least.
const SHARDED_FROM_BYTES: u64 = 4 << 20;
/// What a piece takes beside its bytes: the counted block behind [`Piece`].
const HANDLE_BYTES: usize = size_of::<PieceBytes>() + 2 * size_of::<usize>();
/// What the allocator keeps about a block; [`BudgetAlloc`] charges it by itself.
const BLOCK_BYTES: usize = 16;
/// Where everything is full, a cache below this share of the smallest limit above it makes others give way; a larger
/// one evicts its own.
const SHARE_OF_LIMIT: u64 = 16;

const _: () = assert!(size_of::<Inner>() + 2 * size_of::<usize>() + ACCOUNT_BYTES <= FIXED_BYTES as usize);

/// The account of a [`BudgetAlloc`], and the reclaimer.
const ACCOUNT_BYTES: usize = 64 + 3 * 8 + 4 * BLOCK_BYTES;

/// What an empty cache takes, charged when it is made.
const FIXED_BYTES: u64 = 2 << 10;

/// Where a piece stands: in which file, at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PieceKey {
    /// The file's number, of whatever kind: numbers are never used twice.
    pub(crate) file_number: u64,
    /// The first byte.
    pub(crate) offset: u64,
}

impl PieceKey {
    /// Mixes all bits into the upper ones. In memory only, so it may change.
    fn hash(self) -> u64 {
        let wide = u128::from(self.file_number ^ 0x9E37_79B9_7F4A_7C15)
            * u128::from(self.offset.wrapping_mul(0xD134_2543_DE82_EF95) ^ 0xA076_1D64_78BD_642F);
        (wide >> 64) as u64 ^ wide as u64
    }
}

/// What a look for a piece has brought.
#[derive(Debug)]
pub(crate) enum Looked {
    There(Piece),
    /// It is missing, and is to be taken in.
    Admitted,
    /// It is missing, and is to be read past the cache.
    Missing,
}

struct PieceBytes {
    content: Content,
    alloc: BudgetAlloc,
}

enum Content {
    Bytes(Vec<u8, BudgetAlloc>),
    /// A table that is used in another form than it is written in.
    Symbols(Box<SymbolTable, BudgetAlloc>),
}

/// A piece of a file that the cache knows or knew; clones are the same bytes, which live as long as one of them.
#[derive(Clone)]
pub(crate) struct Piece(Arc<PieceBytes>);

impl Piece {
    /// The table that the piece is.
    pub(crate) fn symbols(&self) -> Option<&SymbolTable> {
        match &self.0.content {
            Content::Symbols(table) => Some(table),
            Content::Bytes(_) => None,
        }
    }

    /// What the piece takes.
    fn charged_bytes(&self) -> u64 {
        match &self.0.content {
            Content::Bytes(bytes) => charged_bytes(bytes.len()),
            Content::Symbols(_) => charged_bytes(size_of::<SymbolTable>()),
        }
    }

    /// True where somebody beside this handle has the piece.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Makes the piece one of `len` bytes, whatever they are, if its memory is what such a piece takes and nobody else has
    /// it. So what is read takes the place of what is evicted, without a way through budget and allocator.
    fn become_room(&mut self, len: usize) -> bool {
        match Arc::get_mut(&mut self.0).map(|piece| &mut piece.content) {
            Some(Content::Bytes(bytes)) if bytes.capacity() == capacity_for(len) => {
                bytes.resize(len, 0);
                true
            }
            _ => false,
        }
    }

    /// The bytes of a piece that nobody else has yet.
    fn own_bytes(&mut self) -> &mut [u8] {
        match Arc::get_mut(&mut self.0).map(|piece| &mut piece.content) {
            Some(Content::Bytes(bytes)) => bytes,
            _ => &mut [],
        }
    }

    /// Lets go, and tells how many bytes that released: none where somebody else has the piece.
    fn release(self) -> u64 {
        let charged_bytes = self.charged_bytes();
        Arc::into_inner(self.0).map_or(0, |_last| charged_bytes)
    }
}

impl PieceBytes {
    /// Something that `make` makes of the allocator's memory; `None` where the budget refuses.
    fn new(alloc: &BudgetAlloc, make: impl FnOnce(BudgetAlloc) -> Option<Content>) -> Option<PieceBytes> {
        alloc.charge(HANDLE_BYTES).ok()?;
        match make(alloc.clone()) {
            Some(content) => Some(PieceBytes { content, alloc: alloc.clone() }),
            None => {
                alloc.release(HANDLE_BYTES);
                None
            }
        }
    }

    /// Room for `len` bytes, zeroed.
    fn with_room(alloc: &BudgetAlloc, len: usize) -> Option<PieceBytes> {
        PieceBytes::new(alloc, |alloc| {
            let mut bytes = Vec::new_in(alloc);
            bytes.try_reserve_exact(capacity_for(len)).ok()?;
            bytes.resize(len, 0);
            Some(Content::Bytes(bytes))
        })
    }
}

impl Drop for PieceBytes {
    fn drop(&mut self) {
        self.alloc.release(HANDLE_BYTES);
    }
}

/// Room for a piece of `len` bytes: a sixteenth of a power of two, 64 bytes at least.
fn capacity_for(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 16).max(64))
}

/// What a piece of `len` bytes takes.
fn charged_bytes(len: usize) -> u64 {
    (capacity_for(len) + HANDLE_BYTES + 2 * BLOCK_BYTES) as u64
}

impl Deref for Piece {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0.content {
            Content::Bytes(bytes) => bytes,
            Content::Symbols(_) => &[],
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} bytes)", self.len())
    }
}

/// What a cache has done and holds.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheStats {
    /// Pieces that were there.
    pub(crate) hits_count: u64,
    /// Pieces that were read from their file.
    pub(crate) misses_count: u64,
    /// Pieces that had to make room, or were asked to.
    pub(crate) evictions_count: u64,
    /// Reads whose piece found no room and was not kept.
    pub(crate) refusals_count: u64,
    /// Pieces that are there.
    pub(crate) pieces_count: u64,
    /// What the cache is charged now.
    pub(crate) used_bytes: u64,
}

/// The block cache of a database; clones are handles to the same one.
#[derive(Clone)]
pub(crate) struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    budget: Budget,
    alloc: BudgetAlloc,
    shards: [Mutex<Shard>; SHARDS_MAX],
    /// Of each shard: who holds it charges for slots (C4).
    charging: [AtomicBool; SHARDS_MAX],
    /// A power of two.
    shards_count: usize,
    /// Where the next reclaim begins.
    next_victim: AtomicUsize,
    /// A thread that charges for a piece of a small cache, as its token: its charge asks others, not this cache.
    growing_thread: AtomicUsize,
    misses_count: AtomicU64,
    evictions_count: AtomicU64,
    refusals_count: AtomicU64,
}

/// What the budget knows of the cache; holds it weakly, because the cache holds the budget.
struct Reclaimer(Weak<Inner>);

impl Cache {
    /// An empty cache under a budget `cache` of its own below `parent`, of at most `limit_bytes`.
    ///
    /// # Errors
    /// The budget refuses 2 KiB.
    pub(crate) fn new(parent: &Budget, limit_bytes: u64) -> Result<Cache, AllocError> {
        let budget = parent.child("cache", limit_bytes)?;
        budget.charge(FIXED_BYTES)?;
        let is_large = budget.limit_on_path() >= SHARDED_FROM_BYTES;
        let alloc = BudgetAlloc::new(&budget);
        let inner = Arc::new(Inner {
            shards: core::array::from_fn(|_| Mutex::new(Shard::new(&alloc))),
            charging: [const { AtomicBool::new(false) }; SHARDS_MAX],
            shards_count: if is_large { SHARDS_MAX } else { 1 },
            budget,
            alloc,
            next_victim: AtomicUsize::new(0),
            growing_thread: AtomicUsize::new(0),
            misses_count: AtomicU64::new(0),
            evictions_count: AtomicU64::new(0),
            refusals_count: AtomicU64::new(0),
        });
        inner.budget.set_reclaimer(Some(Arc::new(Reclaimer(Arc::downgrade(&inner)))));
        Ok(Cache { inner })
    }

    /// The budget that pays.
    #[cfg(test)]
    pub(crate) fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    /// The piece at `key`, if it is there.
    #[inline]
    pub(crate) fn get(&self, key: PieceKey) -> Option<Piece> {
        let hash = key.hash();
        self.inner.shard(hash).get(key, hash)
    }

    /// The piece of `len` bytes at `key`; where it is missing, `read` fills and checks it, and it is kept. `Ok(None)`
    /// where there is no room for it, and then `read` was not called.
    ///
    /// # Errors
    /// Those of `read`; nothing is kept then.
    pub(crate) fn get_or_read(
        &self,
        key: PieceKey,
        len: usize,
        read: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Option<Piece>, Error> {
        if let Some(piece) = self.get(key) {
            return Ok(Some(piece));
        }
        let inner = &*self.inner;
        let make = || PieceBytes::with_room(&inner.alloc, len);
        let reuse = |piece: &mut Piece| piece.become_room(len);
        let Some(mut piece) = inner.take_room(key.hash(), len, make, reuse) else { return Ok(None) };
        read(piece.own_bytes())?;
        Ok(Some(inner.keep(key, piece)))
    }

    /// The piece of `len` bytes at `key`, or whether it is to be taken in: if there is room that nobody uses, or if it was missed not
    /// long ago. A full cache remembers that it was missed.
    #[inline]
    pub(crate) fn get_or_admit(&self, key: PieceKey, len: usize) -> Looked {
        let (inner, hash) = (&*self.inner, key.hash());
        inner.shard(hash).get_or_admit(key, hash, || !inner.has_room(charged_bytes(len) + UNIT))
    }

    /// Bytes that scans keep as one piece: a share of the limit that leaves room for many.
    pub(crate) fn stretch_bytes(&self) -> u64 {
        (self.inner.budget.limit_on_path() / 64).clamp(4 << 10, 128 << 10)
    }

    /// Keeps a copy of bytes that somebody has read, if nobody uses the room that it takes: nothing gives way to it. Then, and if
    /// `is_right`, true.
    pub(crate) fn keep_copy(&self, key: PieceKey, bytes: &[u8], is_right: impl FnOnce() -> bool) -> bool {
        let inner = &*self.inner;
        if inner.budget.available() < charged_bytes(bytes.len()) + UNIT || !is_right() {
            return false;
        }
        let Some(mut piece) = PieceBytes::with_room(&inner.alloc, bytes.len()) else { return false };
        if let Content::Bytes(copy) = &mut piece.content {
            copy.copy_from_slice(bytes);
        }
        inner.keep(key, Piece(Arc::new(piece)));
        true
    }

    /// Keeps a table of symbols that was read from `key`; `None` where there is no room for it.
    pub(crate) fn keep_symbols(&self, key: PieceKey, table: &SymbolTable) -> Option<Piece> {
        let inner = &*self.inner;
        let make = || {
            PieceBytes::new(&inner.alloc, |alloc| {
                Box::try_new_in(table.clone(), alloc).ok().map(Content::Symbols)
            })
        };
        let piece = inner.take_room(key.hash(), size_of::<SymbolTable>(), make, |_| false)?;
        Some(inner.keep(key, piece))
    }

    /// Forgets every piece of a file that is about to be removed. Looks at every piece there is.
    pub(crate) fn forget_file(&self, file_number: u64) {
        self.inner.forget(|key| key.file_number == file_number);
    }

    /// Forgets everything.
    #[cfg(test)]
    pub(crate) fn clear(&self) {
        self.inner.forget(|_| true);
    }

    /// What the cache has done and holds; figures of slightly different moments while others use it.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> CacheStats {
        let inner = &*self.inner;
        CacheStats {
            hits_count: inner.used_shards().map(|shard| lock(shard).hits_count()).sum(),
            misses_count: inner.misses_count.load(Relaxed),
            evictions_count: inner.evictions_count.load(Relaxed),
            refusals_count: inner.refusals_count.load(Relaxed),
            pieces_count: inner.used_shards().map(|shard| lock(shard).pieces_count() as u64).sum(),
            used_bytes: inner.budget.used(),
        }
    }
}

impl Inner {
    fn used_shards(&self) -> impl Iterator<Item = &Mutex<Shard>> {
        self.shards.iter().take(self.shards_count)
    }

    fn shard_index(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards_count - 1)
    }

    #[inline]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(self.shards.get(self.shard_index(hash)).unwrap_or(&self.shards[0]))
    }

    /// Room for a piece: what is free, what this cache evicts, or what others give up. A piece that it evicts is used
    /// itself where `reuse` has made it what is wanted.
    fn take_room(
        &self,
        hash: u64,
        len: usize,
        make: impl Fn() -> Option<PieceBytes>,
        reuse: impl Fn(&mut Piece) -> bool,
    ) -> Option<Piece> {
        if let Some(piece) = self.make_room(hash, charged_bytes(len) + UNIT, reuse) {
            return Some(piece);
        }
        let is_first = self.growing_thread.compare_exchange(0, thread_token(), Relaxed, Relaxed).is_ok();
        let piece = make();
        if is_first {
            self.growing_thread.store(0, Relaxed);
        }
        // Nobody else has anything: now the charge may ask this cache too.
        let piece = piece.or_else(make);
        if piece.is_none() {
            self.refusals_count.fetch_add(1, Relaxed);
        }
        piece.map(|piece| Piece(Arc::new(piece)))
    }

    /// Keeps what was read, and gives what is kept.
    fn keep(&self, key: PieceKey, piece: Piece) -> Piece {
        self.misses_count.fetch_add(1, Relaxed);
        let hash = key.hash();
        let charging = &self.charging[self.shard_index(hash)];
        let mut shard = self.shard(hash);
        charging.store(shard.is_growing(), Release);
        let (kept, evicted) = shard.insert(key, hash, piece);
        charging.store(false, Release);
        drop(shard);
        if let Some(evicted) = evicted {
            self.let_go(evicted);
        }
        kept
    }

    /// Evicts until `bytes` could be charged, the cache is small, or it is empty; first in the shard of `hash`. Or until there
    /// is a piece that `reuse` accepts, which is given.
    fn make_room(&self, hash: u64, bytes: u64, reuse: impl Fn(&mut Piece) -> bool) -> Option<Piece> {
        let first = self.shard_index(hash);
        for step in 0..self.shards_count {
            let shard = &self.shards[(first + step) & (self.shards_count - 1)];
            loop {
                // With each turn a piece fewer, or the end of the loop.
                if self.has_room(bytes) {
                    return None;
                }
                let evicted = lock(shard).evict();
                let Some(evicted) = evicted else { break };
                match evicted.reuse(&reuse) {
                    Ok(piece) => {
                        self.evictions_count.fetch_add(1, Relaxed);
                        return Some(piece);
                    }
                    Err(evicted) => _ = self.let_go(evicted),
                }
            }
        }
        None
    }

    /// What a shard gives up for the charge of somebody else, if it has anything and its holder does not charge (C4).
    fn evict_for_others(&self, index: usize) -> Option<Evicted> {
        loop {
            match self.shards[index].try_lock() {
                Ok(mut shard) => return shard.evict(),
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner().evict(),
                Err(TryLockError::WouldBlock) if self.charging[index].load(Acquire) => return None,
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    /// True where so much can be charged without evicting.
    fn has_room(&self, bytes: u64) -> bool {
        self.budget.available() >= bytes || self.makes_others_give_way()
    }

    /// True where the cache is far from its own limit and small beside what others hold.
    fn makes_others_give_way(&self) -> bool {
        let used_bytes = self.budget.used();
        used_bytes < self.budget.limit() / 2 && used_bytes < self.budget.limit_on_path() / SHARE_OF_LIMIT
    }

    /// Drops what a shard has given up, outside of its lock; tells how many bytes that released.
    fn let_go(&self, evicted: Evicted) -> u64 {
        self.evictions_count.fetch_add(1, Relaxed);
        evicted.release()
    }

    fn forget(&self, is_meant: impl Fn(PieceKey) -> bool) {
        for shard in self.used_shards() {
            loop {
                let removed = lock(shard).remove_some(&is_meant);
                if removed.release() == 0 {
                    break;
                }
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.budget.set_reclaimer(None);
        for shard in &mut self.shards {
            shard.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).clear();
        }
        self.budget.release(FIXED_BYTES);
    }
}

impl Reclaim for Reclaimer {
    fn reclaim(&self, bytes: u64) -> u64 {
        let Some(inner) = self.0.upgrade() else { return 0 };
        if inner.growing_thread.load(Relaxed) == thread_token() {
            return 0;
        }
        let mut released_bytes = 0;
        let first = inner.next_victim.fetch_add(1, Relaxed);
        for step in 0..inner.shards_count {
            let index = (first + step) & (inner.shards_count - 1);
            while released_bytes < bytes {
                let Some(evicted) = inner.evict_for_others(index) else { break };
                released_bytes += inner.let_go(evicted);
            }
        }
        released_bytes
    }
}

/// A shard, whatever happened to a thread that held it: nothing foreign runs under the lock.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A number that the calling thread shares with no other one at the same time, never 0.
fn thread_token() -> usize {
    std::thread_local!(static TOKEN: u8 = const { 0 });
    TOKEN.with(|token| core::ptr::from_ref(token).addr())
}

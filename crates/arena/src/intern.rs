//! The interner: names as symbols, so that the same name is the same `u32` for everybody who uses it.
//!
//! ```
//! use cofferdam_arena::{Budget, Identifier, Interner};
//!
//! let budget = Budget::root("process", 1 << 20).unwrap().child("interner", 64 << 10)?;
//! let interner = Interner::new(&budget, &["select", "from"])?;
//!
//! let pin = interner.pin(); // a statement's
//! let select = pin.lookup("select").unwrap();
//! assert!(interner.is_keyword(select) && select.as_u32() == 0);
//!
//! let name = Identifier::new("l_orderkey");
//! assert_eq!(pin.sight(name)?, None);
//! assert_eq!(pin.sight(name)?, None);
//! let symbol = pin.sight(name)?.expect("names are admitted at their third sighting");
//! assert_eq!(pin.resolve(symbol), Some("l_orderkey"));
//! # drop(pin);
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```
//!
//! How it works: readers probe an open addressing table (intern/table.rs) without a lock and without writing anything
//! that is shared; a [`Pin`], taken once for a statement, keeps what they may see (intern/pins.rs). Whoever admits a
//! name does so under one lock (intern/writer.rs) and publishes it with a release store. A table that is full is
//! replaced by a larger one; the old one is given back when no pin can see it any more.
//!
//! Which names: the keywords given at creation, for good; catalog names ([`Pin::intern`], [`Interner::hold`]); other
//! identifiers at their third sighting ([`Pin::sight`]). Under moderate pressure it takes six sightings, and from high
//! pressure on none are admitted that way, and the table is compacted. Literals are never interned: what can be
//! interned is an [`Identifier`], and nobody makes one of a literal.
//!
//! Who pays: the budget that the interner was made with, before anything is taken: for the interner itself at
//! creation (4 KiB), for each chunk of names (1 to 16 KiB), and for each table (24 to 64 bytes a name, from a hundred
//! names on). While a table grows, and for as long as a pin could see the old one, both are charged.

mod frozen;
mod hash;
mod overlay;
mod pins;
mod sightings;
mod table;
mod writer;

pub use frozen::Frozen;
pub use overlay::{Names, Overlay};

use crate::budget::Budget;
use crate::chunk::ChunkHeader;
use crate::error::{AllocError, Reason};
use crate::pressure::Pressure;
use crate::reclaim::Reclaim;
use crate::sync::{AtomicBool, AtomicPtr, Mutex, Ordering};
use crate::text::human_bytes;
use alloc::sync::Arc;
use core::fmt;
use core::ptr::{self, NonNull};
use hash::Seeds;
use pins::{Pins, Ticket};
use sightings::Sightings;
use table::{Found, LIVE, RecordPtr, Table, UNLINKED, text_of};
use writer::{Chain, Lack, SYMBOLS_MAX, Shared, Writer};

/// A name as a number: equal symbols are equal names, and the other way round, for as long as the [`Pin`] (or the
/// [`SymbolRef`], [`Frozen`], [`Overlay`]) lives that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(u32);

impl Symbol {
    /// The number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The symbol of a number that [`Symbol::as_u32`] gave.
    pub const fn from_u32(number: u32) -> Symbol {
        Symbol(number)
    }

    /// True for the symbols that an [`Overlay`] gave to a statement's own names.
    pub const fn is_local(self) -> bool {
        self.0 > SYMBOLS_MAX
    }
}

/// The text of an identifier: what may be interned. Literals may not: never make one of a literal's text, which is
/// different in each statement and would stay for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identifier<'t>(&'t str);

impl<'t> Identifier<'t> {
    /// Longer names are not counted by [`Pin::sight`].
    pub const SIGHTED_BYTES_MAX: usize = 255;

    /// The text of an identifier token, or of a name in the catalog, folded to the case in which names are compared.
    pub const fn new(text: &'t str) -> Identifier<'t> {
        Identifier(text)
    }

    /// The text.
    pub const fn as_str(self) -> &'t str {
        self.0
    }
}

/// What readers load for each lookup; written only when a table is replaced.
#[repr(C, align(64))]
struct Hot {
    table: AtomicPtr<Table>,
    seeds: Seeds,
    keywords_count: u32,
}

/// What an interner, its pins and its long-lived holders share.
#[repr(C)]
struct Core {
    hot: Hot,
    pins: Pins,
    writer: Mutex<Writer>,
    sightings: Sightings,
    budget: Budget,
    symbols_max: u32,
    /// The table was compacted because of the present high pressure.
    relieved: AtomicBool,
}

/// What is charged for [`Core`]: itself, the two counters in front of it, and the allocator's prefix.
const CORE_BYTES: u64 = (size_of::<Core>() + 64 + crate::chunk::GLOBAL_PREFIX_BYTES) as u64;
#[cfg(not(loom))]
const _: () = assert!(CORE_BYTES <= 4096);

/// A set of names shared by many threads; see the head of this page for the rules.
///
/// The budget it is made with should be its own: the interner registers itself there as the reclaimer.
pub struct Interner {
    core: Arc<Core>,
}

/// What an interner holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InternerStats {
    /// Names that can be found, keywords included.
    pub names_count: usize,
    /// Of these, keywords.
    pub keywords_count: usize,
    /// Names that nobody holds and that only older pins still find.
    pub condemned_count: usize,
    /// Charged for the table and the directory of symbols.
    pub table_bytes: usize,
    /// Charged for names.
    pub text_bytes: usize,
    /// Charged for what was replaced or emptied and may still be seen by a pin.
    pub retired_bytes: usize,
}

impl fmt::Display for InternerStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} names ({} keywords, {} condemned), {} of text, {} of tables, {} retired",
            self.names_count,
            self.keywords_count,
            self.condemned_count,
            human_bytes(self.text_bytes as u64),
            human_bytes(self.table_bytes as u64),
            human_bytes(self.retired_bytes as u64)
        )
    }
}

impl Interner {
    /// An interner whose first symbols are the keywords, in order.
    ///
    /// # Errors
    /// The budget does not have the bytes.
    ///
    /// # Panics
    /// A keyword is listed twice.
    pub fn new(budget: &Budget, keywords: &[&str]) -> Result<Interner, AllocError> {
        Interner::with_symbols_max(budget, keywords, SYMBOLS_MAX)
    }

    /// As [`Interner::new`], with at most `symbols_max` names (2^31 - 1 in any case).
    ///
    /// # Errors
    /// The budget does not have the bytes, or there are more keywords than that.
    ///
    /// # Panics
    /// A keyword is listed twice.
    pub fn with_symbols_max(
        budget: &Budget,
        keywords: &[&str],
        symbols_max: u32,
    ) -> Result<Interner, AllocError> {
        let too_large = || budget.refuse(keywords.len() as u64, Reason::TooLarge);
        let keywords_count = u32::try_from(keywords.len()).map_err(|_| too_large())?;
        budget.charge(CORE_BYTES)?;
        let core = Arc::new(Core {
            hot: Hot { table: AtomicPtr::new(ptr::null_mut()), seeds: Seeds::new(), keywords_count },
            pins: Pins::new(),
            writer: Mutex::new(Writer::new()),
            sightings: Sightings::new(),
            budget: budget.clone(),
            symbols_max: symbols_max.min(SYMBOLS_MAX),
            relieved: AtomicBool::new(false),
        });
        core.prepare()?;
        for (index, keyword) in keywords.iter().enumerate() {
            let record = core.admit(keyword.as_bytes(), false)?;
            // SAFETY: keywords are never condemned.
            let symbol = unsafe { (*record.as_ptr()).symbol };
            assert_eq!(symbol as usize, index, "the keyword {keyword} is listed twice");
        }
        budget.set_reclaimer(Some(core.clone()));
        Ok(Interner { core })
    }

    /// Keeps everything that is visible now, and what is admitted meanwhile, until the pin is dropped. Takes no memory.
    pub fn pin(&self) -> Pin<'_> {
        Pin { core: &self.core, interner: self, ticket: self.core.pins.pin() }
    }

    /// True for the symbols of keywords: one comparison.
    #[inline(always)]
    pub fn is_keyword(&self, symbol: Symbol) -> bool {
        symbol.0 < self.core.hot.keywords_count
    }

    /// Interns a name at once and holds it: for names of the catalog and of cached plans.
    ///
    /// # Errors
    /// As [`Pin::intern`].
    pub fn hold(&self, name: Identifier<'_>) -> Result<SymbolRef, AllocError> {
        let record = self.core.admit(name.0.as_bytes(), true)?;
        Ok(SymbolRef { record, core: self.core.clone() })
    }

    /// Takes all names out of use that nobody holds and that are not keywords, and gives back what no pin can see any
    /// more; what pins still see goes at a later compaction, or when the interner next grows. Returns the bytes given
    /// back to the budget.
    ///
    /// A name that is held keeps the chunk it is in (at most 16 KiB, or its own size).
    pub fn compact(&self) -> u64 {
        self.core.compact(u64::MAX)
    }

    /// An immutable copy of the table for lookups without a pin. It holds every name in it, and `budget` pays for its
    /// table (24 to 64 bytes a name, from a hundred names on).
    ///
    /// # Errors
    /// The budget does not have the bytes.
    pub fn freeze(&self, budget: &Budget) -> Result<Frozen, AllocError> {
        Frozen::of(&self.core, budget)
    }

    /// What the interner holds.
    pub fn stats(&self) -> InternerStats {
        let writer = self.core.writer.lock();
        InternerStats {
            names_count: writer.names_count - writer.condemned_count,
            keywords_count: self.core.hot.keywords_count as usize,
            condemned_count: writer.condemned_count,
            table_bytes: writer.table_bytes(),
            text_bytes: writer.text.bytes,
            retired_bytes: writer.retired.bytes,
        }
    }

    /// The budget that pays.
    pub fn budget(&self) -> &Budget {
        &self.core.budget
    }
}

impl Drop for Interner {
    fn drop(&mut self) {
        self.core.budget.set_reclaimer(None);
    }
}

impl fmt::Debug for Interner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

/// A reader of an interner. While it lives, every symbol that it gave, or that was given under it, keeps its name.
///
/// Take one for a statement: taking and dropping one writes a counter that other threads may share, a lookup under
/// it writes nothing. A pin that lives long keeps names from being given back.
pub struct Pin<'i> {
    core: &'i Core,
    interner: &'i Interner,
    ticket: Ticket,
}

impl Pin<'_> {
    /// The symbol of a name that is interned. Never admits one.
    #[inline]
    pub fn lookup(&self, text: &str) -> Option<Symbol> {
        // SAFETY: this pin was taken before the table is loaded.
        let found = unsafe { self.core.table().find(&self.core.hot.seeds, text.as_bytes()) }?;
        if found.is_condemned() && !self.may_see(found) {
            return None;
        }
        // SAFETY: records that a table shows are kept by this pin; the symbol is never written again.
        Some(Symbol(unsafe { (*found.record().as_ptr()).symbol }))
    }

    /// True where this pin is as old as the condemnation, or that was taken back.
    #[cold]
    fn may_see(&self, found: Found) -> bool {
        // SAFETY: as in `lookup`.
        let condemned = unsafe { &(*found.record().as_ptr()).condemned }.load(Ordering::Relaxed);
        condemned == LIVE || (condemned != UNLINKED && self.ticket.epoch <= condemned)
    }

    /// The name of a symbol, or `None` where it is no name (any more).
    #[inline]
    pub fn resolve(&self, symbol: Symbol) -> Option<&str> {
        let record = self.core.table().record(symbol.0)?;
        // SAFETY: the record is kept by this pin, to which the text is bound; only texts of `str` are interned.
        Some(unsafe { core::str::from_utf8_unchecked(text_of(record)) })
    }

    /// True for the symbols of keywords: one comparison.
    #[inline(always)]
    pub fn is_keyword(&self, symbol: Symbol) -> bool {
        symbol.0 < self.core.hot.keywords_count
    }

    /// Interns a name at once: for names of the catalog.
    ///
    /// # Errors
    /// The budget does not have the bytes, the name is longer than 64 KiB, or there are 2^31 names. The interner
    /// is as before.
    pub fn intern(&self, name: Identifier<'_>) -> Result<Symbol, AllocError> {
        if let Some(symbol) = self.lookup(name.0) {
            return Ok(symbol);
        }
        self.admit(name)
    }

    fn admit(&self, name: Identifier<'_>) -> Result<Symbol, AllocError> {
        let record = self.core.admit(name.0.as_bytes(), false)?;
        // SAFETY: admitted while this pin lives, so not condemned in an epoch before it.
        Ok(Symbol(unsafe { (*record.as_ptr()).symbol }))
    }

    /// Counts a sighting of an identifier, and gives its symbol from the third one on (the sixth under moderate
    /// pressure); under high pressure only names that are interned already have one. Names longer than
    /// [`Identifier::SIGHTED_BYTES_MAX`] are not counted.
    ///
    /// # Errors
    /// As [`Pin::intern`]. A statement can go on with a name of its own ([`Overlay`]).
    pub fn sight(&self, name: Identifier<'_>) -> Result<Option<Symbol>, AllocError> {
        if let Some(symbol) = self.lookup(name.0) {
            return Ok(Some(symbol));
        }
        if self.core.counts_enough(name) { self.admit(name).map(Some) } else { Ok(None) }
    }

    /// Holds a name beyond this pin; `None` where the symbol has none.
    pub fn retain(&self, symbol: Symbol) -> Option<SymbolRef> {
        let mut writer = self.core.writer.lock();
        let record = writer.record(symbol.0)?;
        writer.bring_back(&self.core.shared(), record);
        hold(record);
        drop(writer);
        Some(SymbolRef { record, core: self.interner.core.clone() })
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.core.pins.unpin(self.ticket);
    }
}

impl fmt::Debug for Pin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pin").field("epoch", &self.ticket.epoch).finish()
    }
}

/// A name that is held: it stays interned, with its symbol, until the last holder lets go. Clones are holders too.
///
/// Holding takes no memory, but keeps the name's chunk and the interner's own 4 KiB.
pub struct SymbolRef {
    record: RecordPtr,
    core: Arc<Core>,
}

// SAFETY: a held record is not freed and its text never changes; its count is atomic.
unsafe impl Send for SymbolRef {}
// SAFETY: as above.
unsafe impl Sync for SymbolRef {}

/// From here on a count of holders is not believed any more and the name stays for good.
const REFS_STUCK: u32 = 1 << 31;

/// Counts one more holder, up to [`REFS_STUCK`]: a count that wrapped would free a held name. The caller holds the lock,
/// or the name is held already.
fn hold(record: RecordPtr) {
    // SAFETY: the record is linked, and stays so by what the caller holds.
    let refs = unsafe { &(*record.as_ptr()).refs };
    let more = |refs| (refs < REFS_STUCK).then(|| refs + 1);
    let _stuck = refs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
}

/// Counts one holder less, after its last look at the record.
fn let_go(record: RecordPtr) {
    // SAFETY: the record is held until the count is written.
    let refs = unsafe { &(*record.as_ptr()).refs };
    let fewer = |refs: u32| (refs < REFS_STUCK).then(|| refs - 1);
    let _stuck = refs.fetch_update(Ordering::Release, Ordering::Relaxed, fewer);
}

impl SymbolRef {
    /// The symbol.
    pub fn symbol(&self) -> Symbol {
        // SAFETY: a held record is not freed; the symbol is never written again.
        Symbol(unsafe { (*self.record.as_ptr()).symbol })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        // SAFETY: a held record is not freed; only texts of `str` are interned.
        unsafe { core::str::from_utf8_unchecked(text_of(self.record)) }
    }
}

impl Clone for SymbolRef {
    fn clone(&self) -> SymbolRef {
        hold(self.record);
        SymbolRef { record: self.record, core: self.core.clone() }
    }
}

impl Drop for SymbolRef {
    fn drop(&mut self) {
        let_go(self.record);
    }
}

impl fmt::Debug for SymbolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.symbol(), self.as_str())
    }
}

impl Core {
    #[inline(always)]
    fn table(&self) -> &Table {
        // SAFETY: there is a table from creation on; callers are pinned, so the one they load is not freed meanwhile.
        unsafe { &*self.hot.table.load(Ordering::Acquire) }
    }

    fn shared(&self) -> Shared<'_> {
        Shared {
            table: &self.hot.table,
            seeds: &self.hot.seeds,
            pins: &self.pins,
            keywords_count: self.hot.keywords_count,
            symbols_max: self.symbols_max,
        }
    }

    /// Gives a new interner its first table.
    fn prepare(&self) -> Result<(), AllocError> {
        let names = self.hot.keywords_count as usize;
        self.provide(names as u64, |writer, given, _| writer.prepare(&self.shared(), names, given))
    }

    /// The record of a name, admitted where it was not there; counted as held where `holds`.
    fn admit(&self, text: &[u8], holds: bool) -> Result<RecordPtr, AllocError> {
        self.provide(text.len() as u64, |writer, given, freed| {
            let shared = self.shared();
            let record = writer.admit(&shared, text, given)?;
            if holds {
                hold(record);
            }
            if writer.retired.first.is_some() {
                writer.collect(&shared, false, freed);
            }
            Ok(record)
        })
    }

    /// Calls `work` under the lock until it lacks nothing, getting chunks for it outside of the lock (W1).
    fn provide<T>(
        &self,
        asked_bytes: u64,
        mut work: impl FnMut(&mut Writer, &mut Option<NonNull<ChunkHeader>>, &mut Chain) -> Result<T, Lack>,
    ) -> Result<T, AllocError> {
        let mut given = None;
        loop {
            let mut freed = Chain::EMPTY;
            let outcome = work(&mut self.writer.lock(), &mut given, &mut freed);
            self.give_back(Chain::of(given.take()));
            self.give_back(freed);
            match outcome {
                Ok(value) => return Ok(value),
                Err(Lack::TooLarge) => return Err(self.budget.refuse(asked_bytes, Reason::TooLarge)),
                Err(Lack::Chunk(bytes)) => {
                    given = Some(self.budget.take_chunk(bytes, false)?);
                }
            }
        }
    }

    fn give_back(&self, mut chain: Chain) -> u64 {
        let freed_bytes = chain.bytes as u64;
        while let Some(chunk) = chain.pop() {
            // SAFETY: the chunk came from this tree, is in no chain any more, and nobody can see it.
            unsafe { self.budget.give_back_chunks(chunk, chunk, bytes_of(chunk)) };
        }
        freed_bytes
    }

    /// Gives back `bytes`, or what can be: first what waits, then names without holders, then a table half empty.
    fn compact(&self, bytes: u64) -> u64 {
        let freed_bytes = self.collect(false);
        if freed_bytes >= bytes {
            return freed_bytes;
        }
        // The smaller table last: it is charged to what was just given back.
        freed_bytes + self.collect(true) + self.shrink()
    }

    fn collect(&self, condemns: bool) -> u64 {
        let mut freed = Chain::EMPTY;
        self.writer.lock().collect(&self.shared(), condemns, &mut freed);
        self.give_back(freed)
    }

    /// Moves to a smaller table where that saves half of it and the budget has room for both right now.
    fn shrink(&self) -> u64 {
        let Some((_, bytes)) = self.writer.lock().smaller_table() else { return 0 };
        let Ok(chunk) = self.budget.take_chunk(bytes, true) else { return 0 };
        let mut freed = Chain::EMPTY;
        let moved = {
            let mut writer = self.writer.lock();
            let moved = writer.shrink(&self.shared(), chunk, bytes);
            writer.collect(&self.shared(), false, &mut freed);
            moved
        };
        let freed_bytes = self.give_back(freed);
        if moved {
            return freed_bytes.saturating_sub(bytes as u64);
        }
        self.give_back(Chain::of(Some(chunk)));
        freed_bytes
    }

    /// Counts a sighting; true where the name has been seen often enough for the pressure there is.
    #[cold]
    fn counts_enough(&self, name: Identifier<'_>) -> bool {
        let wanted = match self.budget.pressure() {
            Pressure::Normal => SIGHTINGS_NORMAL,
            Pressure::Moderate => SIGHTINGS_MODERATE,
            Pressure::High | Pressure::Critical => {
                if !self.relieved.swap(true, Ordering::Relaxed) {
                    self.compact(u64::MAX);
                }
                return false;
            }
        };
        if self.relieved.load(Ordering::Relaxed) {
            self.relieved.store(false, Ordering::Relaxed);
        }
        if name.0.len() > Identifier::SIGHTED_BYTES_MAX {
            return false;
        }
        let hash = self.hot.seeds.hash(name.0.as_bytes());
        if self.sightings.note(hash) < wanted {
            return false;
        }
        self.sightings.forget(hash);
        true
    }
}

/// Seed 004: a name is interned at its third sighting, and at a later one under moderate pressure.
const SIGHTINGS_NORMAL: u32 = 3;
const SIGHTINGS_MODERATE: u32 = 6;

fn bytes_of(chunk: NonNull<ChunkHeader>) -> usize {
    // SAFETY: callers hold the chunk.
    unsafe { (*chunk.as_ptr()).bytes }
}

impl Reclaim for Core {
    fn reclaim(&self, bytes: u64) -> u64 {
        self.compact(bytes)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let all = self.writer.lock().take_all();
        self.give_back(all);
        self.budget.release(CORE_BYTES);
    }
}

#[cfg(all(test, loom))]
mod loom;
#[cfg(all(test, not(loom)))]
mod tests;

//! The build side: kept rows in partitions, each in memory with a hash table over it, or in a temporary file.
//!
//! ```text
//! kept row    | next 8 | flags 1 | key | kept columns |            tag: the hash
//! slot        | which of 16 bits of hashes its chain has | place of the newest row of the chain, plus one |
//! ```
//!
//! Rows are kept in one partition until they take more than what spilling needs. Then that is reserved ([`Reserve`]), and the rows
//! are parted by the highest bits of their hashes. When memory runs short the largest partition that is in memory goes to
//! a file, and rows that come for it go there too.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer, InlineText, prefetch};

use super::key_filter::KeyFilter;
use super::keys::KeyMode;
use crate::pipeline::{Counters, has_room, headroom_bytes};
use crate::spill::{
    IsCancelled, Reserve, RowPages, RowRef, SpillFailure, SpillSpace, SpillWriter, Spilled, block_bytes,
};

/// Where the flags of a kept row stand.
pub(super) const FLAGS_AT: usize = 8;
/// Where its key begins.
pub(super) const KEY_AT: usize = 9;
/// A row that has a match; of a probe row in a file, too.
pub(super) const MATCHED: u8 = 1;
/// A build row that is in no table: a NULL in its key matches nothing.
pub(super) const UNLINKED: u8 = 2;
/// A probe row for which a comparison was unknown.
pub(super) const UNKNOWN: u8 = 4;

/// The table of a partition that was read from its file.
pub(super) const LOADED: u8 = u8::MAX - 1;
/// Rows that are linked in one go: a small part of a second.
const LINKED_ROWS: usize = 1 << 20;
const SLOTS_MIN: usize = 16;
/// What a processor core keeps near, about.
const FAR_BYTES: u64 = 256 << 10;
const PLACE_BITS: u32 = 48;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;
/// Below this limit there are eight partitions, from it on sixteen. It is none at which blocks double too.
const FEW_PARTITIONS_BYTES: u64 = 6 << 20;
/// Four partitions, where there is no room for more.
const BITS_LEAST: u32 = 2;
/// The bits of a hash that partitions of partitions are told apart by.
const PARTED_BITS_MAX: u32 = 40;

/// Rows with a hash table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) rows: RowPages,
    slots: Buffer<u64>,
    slots_count: usize,
}

impl Table {
    fn new(budget: &Budget, page_bytes: usize) -> Table {
        Table { rows: RowPages::new(budget, page_bytes), slots: Buffer::empty(budget), slots_count: 0 }
    }

    fn held_bytes(&self) -> u64 {
        self.rows.held_bytes() + self.slots.charged_bytes() as u64
    }

    fn release(&mut self) {
        self.rows.release();
        self.slots_count = 0;
        self.slots = Buffer::empty(&self.slots.budget().clone());
    }

    /// Makes slots for so many rows, if there are fewer; none is linked then.
    fn make_slots(&mut self, rows: u64) -> Result<(), AllocError> {
        let count = (rows.max(SLOTS_MIN as u64) as usize).next_power_of_two();
        if self.slots_count >= count {
            self.slots.fill(0);
            return Ok(());
        }
        let budget = self.slots.budget().clone();
        self.slots_count = 0;
        self.slots = Buffer::empty(&budget);
        self.slots = Buffer::zeroed(&budget, count)?;
        self.slots_count = count;
        Ok(())
    }

    /// Links rows from a place on, not all in one go, and gives the place to go on from.
    fn link(&mut self, mut place: RowRef) -> Option<RowRef> {
        let mask = self.slots_count - 1;
        for _ in 0..LINKED_ROWS {
            let (row, next) = self.rows.next(place)?;
            place = next;
            let hash = self.rows.tag(row);
            let bytes = self.rows.get_mut(row);
            if bytes[FLAGS_AT] & UNLINKED == 0 {
                let slot = &mut self.slots[hash as usize & mask];
                bytes[..8].copy_from_slice(&(*slot & PLACE_MASK).to_le_bytes());
                *slot = packed(row) | *slot & !PLACE_MASK | bloom(hash);
            }
        }
        Some(place)
    }

    /// The newest row of the chain that a hash belongs to, packed; 0 if there is certainly no row with this hash.
    #[inline(always)]
    pub(super) fn chain(&self, hash: u64) -> u64 {
        if self.slots_count == 0 {
            return 0;
        }
        let slot = self.slots[hash as usize & (self.slots_count - 1)];
        if slot & bloom(hash) == 0 { 0 } else { slot & PLACE_MASK }
    }

    /// Has the slot of a hash brought near.
    #[inline(always)]
    fn prefetch_chain(&self, hash: u64) {
        if self.slots_count > 0 {
            prefetch(&self.slots[hash as usize & (self.slots_count - 1)]);
        }
    }

    /// The row behind another one in its chain, packed.
    #[inline(always)]
    pub(super) fn next_in_chain(row: &[u8]) -> u64 {
        let mut next = [0; 8];
        next.copy_from_slice(&row[..8]);
        u64::from_le_bytes(next)
    }
}

/// A row's place in 48 bits, plus one: pages have at most 64 KiB, but for those that have a single row, at their begin.
#[inline(always)]
fn packed(row: RowRef) -> u64 {
    let bits = row.to_bits();
    ((bits >> 32) << 16 | bits & 0xFFFF) + 1
}

/// The place that [`packed`] gave.
#[inline(always)]
pub(super) fn unpacked(packed: u64) -> RowRef {
    let bits = packed - 1;
    RowRef::from_bits((bits >> 16) << 32 | bits & 0xFFFF)
}

#[inline(always)]
fn bloom(hash: u64) -> u64 {
    1 << (PLACE_BITS + (hash >> 20 & 15) as u32)
}

/// Rows of one part of the hashes.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) table: Table,
    pub(super) build: Spilled,
    /// Which pass of the probe side the flags in the file are of.
    pub(super) flags_pass: u32,
    /// Probe rows that wait for the build rows in the file.
    pub(super) probe: Spilled,
}

/// Whether there are files, or could be.
#[derive(Debug)]
enum Spilling {
    Impossible,
    /// The reserve is taken when so many bytes are held.
    Possible {
        space: SpillSpace,
        name: InlineText<32>,
        at_bytes: u64,
    },
    Ready(Reserve),
}

/// The build side of a join.
#[derive(Debug)]
pub(crate) struct Build {
    pub(super) budget: Budget,
    pub(super) mode: KeyMode,
    pub(super) partitions: Vec<Partition, BudgetAlloc>,
    /// How many bits of hashes tell partitions apart, now and when there are several.
    bits: u32,
    bits_wanted: u32,
    pub(super) block_bytes: usize,
    headroom_bytes: u64,
    spilling: Spilling,
    /// Rows that came, those that are not kept too.
    pub(super) rows_count: u64,
    /// Whether one had NULL in a key that then may be anything.
    pub(super) has_unknown: bool,
    /// How often a probe side began to be read: in a recursion one comes in each round.
    pub(super) pass: u32,
    /// A partition that was read from its file.
    pub(super) loaded: Table,
    /// Others need what memory there is.
    is_loaded_full: bool,
    /// Where rows are linked next, by partition.
    linking: (usize, RowRef),
    is_linking: bool,
    /// All rows are there.
    is_built: bool,
    /// Somebody holds places in the tables: nothing may be moved.
    pub(super) is_in_use: bool,
    partitions_spilled: u64,
    /// What scans are told of the keys that any of them asks for.
    pub(super) filters: Vec<KeyFilter, BudgetAlloc>,
}

impl Build {
    /// No rows. With a `space`, rows go there when memory runs short.
    pub(super) fn new(
        mode: KeyMode,
        budget: &Budget,
        space: Option<&SpillSpace>,
    ) -> Result<Build, AllocError> {
        let limit_bytes = budget.limit_on_path();
        let block_bytes = block_bytes(limit_bytes);
        let bits_wanted = match mode {
            KeyMode::None => 0,
            _ => bits_wanted(limit_bytes),
        };
        let reserve_bytes = Reserve::charged_bytes(slots_count(bits_wanted), block_bytes);
        let spilling = match space.filter(|space| space.is_enabled()) {
            Some(space) => Spilling::Possible {
                space: space.clone(),
                name: InlineText::new(budget.name()),
                at_bytes: reserve_bytes / 2,
            },
            None => Spilling::Impossible,
        };
        let mut partitions = Vec::new_in(BudgetAlloc::new(budget));
        partitions.try_reserve_exact(1).map_err(|_| AllocError)?;
        partitions.push(Partition::new(budget, block_bytes));
        Ok(Build {
            budget: budget.clone(),
            mode,
            partitions,
            bits: 0,
            bits_wanted,
            block_bytes,
            headroom_bytes: headroom_bytes(limit_bytes),
            spilling,
            rows_count: 0,
            has_unknown: false,
            pass: 0,
            loaded: Table::new(budget, block_bytes),
            is_loaded_full: false,
            linking: (0, RowRef::default()),
            is_linking: false,
            is_built: false,
            is_in_use: false,
            partitions_spilled: 0,
            filters: Vec::new_in(BudgetAlloc::new(budget)),
        })
    }

    /// Has rows that come noted for the scans that one of the keys filters.
    pub(super) fn add_filter(&mut self, key: u32, rows_estimate: u64) -> Result<(), AllocError> {
        self.filters.try_reserve_exact(1).map_err(|_| AllocError)?;
        self.filters.push(KeyFilter::new(key, rows_estimate, &self.budget));
        Ok(())
    }

    /// What is known of a key, when all rows are there.
    pub(crate) fn key_filter(&self, key: u32) -> Option<&KeyFilter> {
        self.filters.iter().find(|filter| filter.key == key && filter.is_complete())
    }

    /// Gives back what scans are told; false if that takes nothing. They read more rows then, and no others.
    pub(crate) fn give_up_filters(&mut self) -> bool {
        let holds = self.filters.iter().any(|filter| filter.held_bytes() > 0);
        self.filters.iter_mut().for_each(KeyFilter::give_up);
        holds
    }

    /// The partition of a hash.
    #[inline(always)]
    pub(super) fn partition_of(&self, hash: u64) -> usize {
        if self.bits == 0 { 0 } else { (hash >> (u64::BITS - self.bits)) as usize }
    }

    /// Whether there is so much that a look at any place waits for memory.
    pub(super) fn is_far(&self) -> bool {
        self.partitions.iter().map(|part| part.table.held_bytes()).sum::<u64>() >= FAR_BYTES
    }

    /// Has the slot of a hash brought near.
    #[inline(always)]
    pub(super) fn prefetch_chain(&self, hash: u64) {
        self.partitions[self.partition_of(hash)].table.prefetch_chain(hash);
    }

    /// The table of a match.
    #[inline(always)]
    pub(super) fn table(&self, table: u8) -> &Table {
        if table == LOADED { &self.loaded } else { &self.partitions[usize::from(table)].table }
    }

    #[inline(always)]
    pub(super) fn table_mut(&mut self, table: u8) -> &mut Table {
        if table == LOADED { &mut self.loaded } else { &mut self.partitions[usize::from(table)].table }
    }

    /// Whether no row is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.iter().all(|part| part.table.rows.rows_count() == 0 && part.build.is_no())
    }

    /// What goes to a file could give back.
    pub(crate) fn yieldable_bytes(&self) -> u64 {
        // Without the reserve too little is held to be worth it.
        let is_ready = matches!(self.spilling, Spilling::Ready(_)) && !self.is_in_use && !self.is_linking;
        if is_ready { self.partitions.iter().map(|part| part.table.held_bytes()).sum() } else { 0 }
    }

    /// Keeps a row: its flags, its key and its columns.
    pub(super) fn push(
        &mut self,
        hash: u64,
        flags: u8,
        key: &[u8],
        columns: &[u8],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        loop {
            let at = self.partition_of(hash);
            let part = &mut self.partitions[at];
            if let (Spilled::Writing(writer), Spilling::Ready(reserve)) =
                (&mut part.build, &mut self.spilling)
            {
                return writer.push(hash, &[&[flags], key, columns], &mut reserve.io, is_cancelled);
            }
            let Err(error) = part.table.rows.push(hash, &[&[0; 8], &[flags], key, columns]) else {
                return Ok(());
            };
            if !self.make_room(is_cancelled)? {
                return Err(error.into());
            }
        }
    }

    /// Between batches: reserves what spilling needs as soon as it is small beside what is held, and leaves room for others.
    pub(super) fn settle(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        if let Spilling::Possible { at_bytes, .. } = self.spilling
            && self.partitions[0].table.held_bytes() >= at_bytes
        {
            // Refused, it is asked for again when a row is; then it is an error.
            if self.prepare().is_ok() {
                self.part(is_cancelled)?;
            }
        }
        while self.is_short() && self.evict(is_cancelled)? {}
        Ok(())
    }

    /// Whether rows are to go to files.
    pub(super) fn is_short(&self) -> bool {
        matches!(self.spilling, Spilling::Ready(_)) && !self.has_headroom()
    }

    /// Whether others would get what they may need.
    fn has_headroom(&self) -> bool {
        has_room(&self.budget, self.headroom_bytes)
    }

    /// Gives memory back, whatever it takes; false if there is nothing to give.
    fn make_room(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        if let Spilling::Possible { .. } = self.spilling {
            if self.prepare().is_err() {
                // Smaller blocks and fewer partitions serve as well.
                let (wanted, bits, bytes) =
                    (self.bits_wanted, self.bits_wanted.min(BITS_LEAST), self.block_bytes);
                if bits == wanted && bytes == block_bytes(0) {
                    return Err(AllocError.into());
                }
                (self.bits_wanted, self.block_bytes) = (bits, block_bytes(0));
                if let Err(refused) = self.prepare() {
                    (self.bits_wanted, self.block_bytes) = (wanted, bytes);
                    return Err(refused.into());
                }
            }
            // Once there is a table over all rows they stay together; their file may be parted.
            if !self.is_built {
                self.part(is_cancelled)?;
            }
        }
        Ok(self.evict(is_cancelled)? || self.give_up_filters())
    }

    /// Takes the reserve; refused, nothing has changed.
    fn prepare(&mut self) -> Result<(), AllocError> {
        let Spilling::Possible { space, name, .. } = &self.spilling else { return Ok(()) };
        let count = slots_count(self.bits_wanted);
        if !has_room(&self.budget, Reserve::charged_bytes(count, self.block_bytes)) {
            return Err(AllocError);
        }
        let levels = PARTED_BITS_MAX.div_ceil(self.bits_wanted.max(1)) as usize;
        let files_max = 2 * levels.min(4) * (1 << self.bits_wanted) + 4;
        let reserve = Reserve::new(space, name.as_str(), &self.budget, self.block_bytes, count, files_max)?;
        let wanted = 1usize << self.bits_wanted;
        self.partitions.try_reserve_exact(wanted - self.partitions.len()).map_err(|_| AllocError)?;
        self.spilling = Spilling::Ready(reserve);
        Ok(())
    }

    /// Moves the rows of the only partition to several.
    fn part(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        while self.partitions.len() < 1 << self.bits_wanted {
            self.partitions.push(Partition::new(&self.budget, self.block_bytes));
        }
        if self.bits_wanted == 0 {
            return Ok(());
        }
        self.bits = self.bits_wanted;
        let empty = Table::new(&self.budget, self.block_bytes);
        let Table { mut rows, .. } = core::mem::replace(&mut self.partitions[0].table, empty);
        for page in 0..rows.pages_count() {
            for (_, hash, row) in rows.iter_page(page) {
                self.push(hash, row[FLAGS_AT], &[], &row[KEY_AT..], is_cancelled)?;
            }
            rows.release_page(page);
        }
        Ok(())
    }

    /// Writes the largest partition that is in memory to a file. While the build side is read, the file stays open for more.
    fn evict(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        let Spilling::Ready(reserve) = &mut self.spilling else { return Ok(false) };
        let in_memory = self.partitions.iter_mut().filter(|part| part.table.rows.rows_count() > 0);
        let Some(part) = in_memory.max_by_key(|part| part.table.held_bytes()) else { return Ok(false) };
        let slot = reserve.take_slot(&self.budget, self.block_bytes)?;
        let mut writer = SpillWriter::create(slot, &reserve.io)?;
        let rows = &mut part.table.rows;
        for page in 0..rows.pages_count() {
            for (_, hash, row) in rows.iter_page(page) {
                writer.push(hash, &[&row[FLAGS_AT..]], &mut reserve.io, is_cancelled)?;
            }
            rows.release_page(page);
        }
        part.table.release();
        assert!(part.build.is_no(), "rows of a partition that is in a file go there");
        part.flags_pass = self.pass;
        part.build = Spilled::Writing(writer);
        self.partitions_spilled += 1;
        if self.is_built {
            part.build.finish(reserve, is_cancelled)?;
        }
        Ok(true)
    }

    /// After the last row: makes the tables, some rows at a time; gives whether they are made.
    pub(super) fn finish(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        if !self.is_linking {
            self.filters.iter_mut().for_each(KeyFilter::finish);
            self.make_all_slots(is_cancelled)?;
            if let Spilling::Ready(reserve) = &mut self.spilling {
                for part in self.partitions.iter_mut() {
                    part.build.finish(reserve, is_cancelled)?;
                }
            }
            self.is_linking = true;
        }
        let (at, place) = self.linking;
        let table = &mut self.partitions[at].table;
        let next = if table.slots_count > 0 { table.link(place) } else { None };
        self.linking = match next {
            Some(place) => (at, place),
            None => (at + 1, RowRef::default()),
        };
        self.is_linking = self.linking.0 < self.partitions.len();
        self.is_built = true;
        Ok(!self.is_linking)
    }

    /// Makes slots for all rows that are in memory, as far as they stay there.
    fn make_all_slots(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        let is_loop = self.mode == KeyMode::None;
        let is_missing =
            |part: &Partition| !is_loop && part.table.rows.rows_count() > 0 && part.table.slots_count == 0;
        // Making room may part the rows: then all is to be looked at again.
        while let Some(at) = self.partitions.iter().position(is_missing) {
            let table = &mut self.partitions[at].table;
            if let Err(error) = table.make_slots(table.rows.rows_count())
                && !self.make_room(is_cancelled)?
            {
                return Err(error.into());
            }
        }
        while self.is_short() && self.evict(is_cancelled)? {}
        Ok(())
    }

    /// Gives memory back for others, before or while the probe side is read.
    pub(crate) fn yield_memory(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        if self.yieldable_bytes() == 0 { Ok(false) } else { self.make_room(is_cancelled) }
    }

    /// What files are written and read with, beside the rest.
    pub(super) fn reserve(&mut self) -> (&mut Reserve, &mut [Partition], &mut Table) {
        let Spilling::Ready(reserve) = &mut self.spilling else {
            unreachable!("there are files, so there is a reserve")
        };
        (reserve, &mut self.partitions, &mut self.loaded)
    }

    /// Whether some partition is in a file.
    pub(super) fn has_files(&self) -> bool {
        self.partitions.iter().any(|part| !part.build.is_no())
    }

    /// How many bits of hashes the rows of a partition have in common.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// By how many bits partitions are parted whose rows have so many in common; not if there are too few left.
    pub(super) fn parting(&self, bits_common: u32) -> Option<u32> {
        let bits = self.bits_wanted;
        (bits > 0 && bits_common + bits <= PARTED_BITS_MAX).then_some(bits)
    }

    /// Makes ready for a probe side, which may have come before: no row has a match yet, and what is left of a pass that was
    /// given up is removed. Flags in files stay as they are, and are known to be old by their pass.
    pub(super) fn begin_pass(&mut self, has_flags: bool) {
        if has_flags && self.pass > 0 {
            self.forget_matches();
        }
        self.pass += 1;
        self.is_in_use = false;
        self.release_loaded();
        if let Spilling::Ready(reserve) = &mut self.spilling {
            self.partitions.iter_mut().for_each(|part| part.probe.remove(reserve));
            reserve.refill(&self.budget, self.block_bytes);
        }
    }

    fn forget_matches(&mut self) {
        for part in self.partitions.iter_mut() {
            let mut place = RowRef::default();
            while let Some((row, next)) = part.table.rows.next(place) {
                part.table.rows.get_mut(row)[FLAGS_AT] &= !MATCHED;
                place = next;
            }
        }
    }

    /// Adds a row that was read from a file, and its flags, to the loaded table; false if there is no room for it, its slot and
    /// others' needs.
    pub(super) fn load(&mut self, hash: u64, flags: u8, row: &[u8]) -> bool {
        if self.is_loaded_full && self.has_loaded() {
            return false;
        }
        self.load_row(hash, flags, row).is_ok()
    }

    /// Whether there are rows in the loaded table.
    pub(super) fn has_loaded(&self) -> bool {
        self.loaded.rows.rows_count() > 0
    }

    /// The bytes of the loaded rows.
    pub(super) fn loaded_bytes(&self) -> u64 {
        self.loaded.rows.held_bytes()
    }

    /// Others have made room: more rows may be loaded.
    pub(super) fn load_on(&mut self) {
        self.is_loaded_full = false;
    }

    fn load_row(&mut self, hash: u64, flags: u8, row: &[u8]) -> Result<(), AllocError> {
        let Table { rows, slots, slots_count } = &mut self.loaded;
        if self.mode != KeyMode::None && rows.rows_count() >= *slots_count as u64 {
            let count = (*slots_count * 2).max(SLOTS_MIN);
            // Rows are linked when all are there, so nothing is to be copied.
            *slots = Buffer::zeroed(&self.budget, count)?;
            *slots_count = count;
        }
        let held = rows.held_bytes();
        rows.push(hash, &[&[0; 8], &[flags], row])?;
        if rows.held_bytes() != held {
            // Batches of both sides come on top. Where there is little, half of that is for them: many tiny blocks help nobody.
            self.is_loaded_full = !has_room(&self.budget, 2 * self.headroom_bytes)
                && 2 * self.loaded.held_bytes() >= self.budget.available();
        }
        Ok(())
    }

    /// Links the rows of the loaded table.
    pub(super) fn link_loaded(&mut self) {
        if self.mode == KeyMode::None || self.loaded.slots_count == 0 {
            return;
        }
        self.loaded.slots.fill(0);
        let mut place = RowRef::default();
        while let Some(next) = self.loaded.link(place) {
            place = next;
        }
    }

    /// Forgets the loaded rows, for others. Their pages go too, so that each block takes what is there and no more.
    pub(super) fn clear_loaded(&mut self) {
        self.loaded.rows.release();
        self.is_loaded_full = false;
    }

    /// Gives the loaded table's memory back.
    pub(super) fn release_loaded(&mut self) {
        self.loaded.release();
        self.is_loaded_full = false;
    }

    /// Gives the memory of tables back whose rows nobody needs any more.
    pub(super) fn release_tables(&mut self) {
        self.partitions.iter_mut().for_each(|part| part.table.release());
    }

    /// Gives everything back that takes memory, when nobody asks for a row any more.
    pub(super) fn release_all(&mut self) {
        self.release_tables();
        self.release_loaded();
        self.filters.clear();
        if let Spilling::Ready(reserve) = &mut self.spilling {
            reserve.release_slots();
        }
    }

    /// Notes what files took.
    pub(super) fn count(&self, counters: &mut Counters) {
        counters.partitions_spilled = self.partitions_spilled;
        if let Spilling::Ready(reserve) = &self.spilling {
            let counts = reserve.io.owner().counts();
            counters.spilled_bytes = counts.bytes_total;
            counters.spilled_files = counts.files_total;
        }
    }
}

impl Partition {
    fn new(budget: &Budget, page_bytes: usize) -> Partition {
        Partition {
            table: Table::new(budget, page_bytes),
            build: Spilled::No,
            flags_pass: 0,
            probe: Spilled::No,
        }
    }
}

/// By how many bits of their hashes rows are parted under a limit.
fn bits_wanted(limit_bytes: u64) -> u32 {
    if limit_bytes < FEW_PARTITIONS_BYTES { 3 } else { 4 }
}

/// What files are written and read with under a limit, where rows have keys.
pub(super) fn reserve_bytes(limit_bytes: u64) -> u64 {
    Reserve::charged_bytes(slots_count(bits_wanted(limit_bytes)), block_bytes(limit_bytes))
}

/// So many files are open at once: those of the partitions and one that is parted, or two that are read and one that is written.
fn slots_count(bits: u32) -> usize {
    ((1 << bits) + 1).max(3)
}

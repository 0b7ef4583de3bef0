//! The writer's side: admitting names, growing, condemning, giving back. Everything here happens under the lock of
//! the interner.
//!
//! The life of a name without a holder, once it is condemned in epoch *e*:
//!
//! ```text
//!   in use -> condemned in e -> unlinked in u > e -> its chunk is given back
//!             |                 |                    when u is settled and no name of the chunk is in use
//!             |                 when e is settled: nobody has its symbol, which may be used again
//!             pins of e and before still find it, younger ones do not; interned again it is in use again, with
//!             the same symbol
//! ```
//!
//! - W1 No budget is charged and nothing is released under the lock: a charge may ask this interner to compact, and a
//!   release may call an observer.
//! - W2 One text has at most one linked record; so a text has one symbol for as long as a pin that saw it lives.

use super::hash::Seeds;
use super::pins::Pins;
use super::table::{
    LIVE, RecordPtr, Shape, TEXT_BYTES_MAX, Table, UNLINKED, record_bytes, text_of, write_record,
};
use crate::chunk::{ChunkHeader, chunk_bytes_for};
use crate::sync::{AtomicPtr, Ordering};
use core::ptr::NonNull;

/// Symbols of an interner are below this; what is above is an overlay's.
pub(super) const SYMBOLS_MAX: u32 = (1 << 31) - 1;
const NO_SYMBOL: u32 = SYMBOLS_MAX;
/// A chunk of text is as large as all before it, within these bounds. A held name keeps its whole chunk.
const TEXT_CHUNK_BYTES_MIN: usize = 1024;
const TEXT_CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Why a name cannot be admitted right now.
pub(super) enum Lack {
    /// A chunk of so many bytes is needed; the caller gets one and tries again.
    Chunk(usize),
    /// No symbol is left, or the text is longer than any name may be.
    TooLarge,
}

/// Chunks linked by `next`.
pub(super) struct Chain {
    pub(super) first: Option<NonNull<ChunkHeader>>,
    pub(super) bytes: usize,
}

impl Chain {
    pub(super) const EMPTY: Chain = Chain { first: None, bytes: 0 };

    /// A chunk that is in no other chain, or none.
    pub(super) fn of(chunk: Option<NonNull<ChunkHeader>>) -> Chain {
        let mut chain = Chain::EMPTY;
        if let Some(chunk) = chunk {
            // SAFETY: callers have the chunk for themselves.
            unsafe { chain.push(chunk) };
        }
        chain
    }

    /// Puts a chunk in front.
    ///
    /// # Safety
    /// 1. The chunk is live and in no chain.
    unsafe fn push(&mut self, chunk: NonNull<ChunkHeader>) {
        // SAFETY: by the condition.
        unsafe {
            (*chunk.as_ptr()).next = self.first.map_or(core::ptr::null_mut(), NonNull::as_ptr);
            self.bytes += (*chunk.as_ptr()).bytes;
        }
        self.first = Some(chunk);
    }

    /// Takes the first chunk out.
    pub(super) fn pop(&mut self) -> Option<NonNull<ChunkHeader>> {
        let chunk = self.first?;
        // SAFETY: chunks of a chain are live and belong to the chain.
        unsafe {
            self.first = NonNull::new((*chunk.as_ptr()).next);
            self.bytes -= (*chunk.as_ptr()).bytes;
        }
        Some(chunk)
    }
}

/// A word in the header of a chunk that its holder may use: the end of the records in a chunk of text, the epoch in
/// which a retired chunk was unlinked. Readers never look at a header.
fn word(chunk: NonNull<ChunkHeader>) -> usize {
    // SAFETY: the writer's chunks are live.
    unsafe { (*chunk.as_ptr()).used_before }
}

fn set_word(chunk: NonNull<ChunkHeader>, value: usize) {
    // SAFETY: as in `word`; the lock makes this the only access.
    unsafe { (*chunk.as_ptr()).used_before = value };
}

/// What readers and the writer share of an interner.
pub(super) struct Shared<'c> {
    pub(super) table: &'c AtomicPtr<Table>,
    pub(super) seeds: &'c Seeds,
    pub(super) pins: &'c Pins,
    pub(super) keywords_count: u32,
    pub(super) symbols_max: u32,
}

/// What only the writer knows.
pub(super) struct Writer {
    /// The table that readers see.
    table: Option<NonNull<Table>>,
    /// Slots of the table that are not null.
    slots_used: usize,
    /// Names that the table shows, condemned ones included.
    pub(super) names_count: usize,
    pub(super) condemned_count: usize,
    /// Symbols from here on were never given out, or all given back.
    symbols_next: u32,
    /// The first free symbol below `symbols_next`.
    symbol_free: u32,
    /// Chunks of text; names are added to the first.
    pub(super) text: Chain,
    /// Unlinked chunks that pinned readers may still look at.
    pub(super) retired: Chain,
}

// SAFETY: a writer owns its chunks; readers on other threads look only at what is published through atomics.
unsafe impl Send for Writer {}

impl Writer {
    pub(super) const fn new() -> Writer {
        Writer {
            table: None,
            slots_used: 0,
            names_count: 0,
            condemned_count: 0,
            symbols_next: 0,
            symbol_free: NO_SYMBOL,
            text: Chain::EMPTY,
            retired: Chain::EMPTY,
        }
    }

    fn table(&self) -> &Table {
        let table = self.table.expect("an interner has a table before it has names");
        // SAFETY: the writer's table is retired only by replacing it.
        unsafe { table.as_ref() }
    }

    /// Bytes of the current table's chunk.
    pub(super) fn table_bytes(&self) -> usize {
        // SAFETY: the table's chunk is live while it is the current one.
        self.table.map_or(0, |_| unsafe { (*self.table().chunk.as_ptr()).bytes })
    }

    // ------------------------------------------------------------------------------------------------ admitting

    /// Makes the first table, with room for so many names.
    pub(super) fn prepare(
        &mut self,
        shared: &Shared<'_>,
        names: usize,
        given: &mut Option<NonNull<ChunkHeader>>,
    ) -> Result<(), Lack> {
        let shape = Shape::of(names, names).ok_or(Lack::TooLarge)?;
        let chunk = take_given(given, shape.chunk_bytes().ok_or(Lack::TooLarge)?)?;
        self.replace_table(shared, chunk, shape);
        Ok(())
    }

    /// The record of `text`: the one there is, brought back to use where it was condemned, or a new one. Takes `given`
    /// where it needs a chunk of that size.
    pub(super) fn admit(
        &mut self,
        shared: &Shared<'_>,
        text: &[u8],
        given: &mut Option<NonNull<ChunkHeader>>,
    ) -> Result<RecordPtr, Lack> {
        // SAFETY: the lock is held.
        if let Some(found) = unsafe { self.table().find(shared.seeds, text) } {
            if found.is_condemned() {
                self.bring_back(shared, found.record());
            }
            return Ok(found.record());
        }
        if self.symbol_candidate() >= shared.symbols_max || text.len() > TEXT_BYTES_MAX {
            return Err(Lack::TooLarge);
        }
        self.make_table_room(shared, given)?;
        let place = self.make_text_room(record_bytes(text.len()), given)?;
        let symbol = self.symbol_candidate(); // again: a new table begins with the smallest free one
        if symbol == self.symbol_free {
            self.symbol_free = self.table().free_next(symbol);
        } else {
            self.symbols_next = symbol + 1;
        }
        // SAFETY: `place` was just set aside for this record.
        let record = unsafe { write_record(place, symbol, text) };
        self.table().link(record, symbol, shared.seeds.hash(text), false);
        self.slots_used += 1;
        self.names_count += 1;
        Ok(record)
    }

    pub(super) fn record(&self, symbol: u32) -> Option<RecordPtr> {
        self.table().record(symbol)
    }

    /// Takes a condemnation back.
    pub(super) fn bring_back(&mut self, shared: &Shared<'_>, record: RecordPtr) {
        // SAFETY: linked records are live under the lock.
        let (record_ref, hash) = unsafe { (record.as_ref(), shared.seeds.hash(text_of(record))) };
        if record_ref.condemned.load(Ordering::Relaxed) != LIVE {
            self.table().set_condemned(record, hash, false);
            record_ref.condemned.store(LIVE, Ordering::Relaxed);
            self.condemned_count -= 1;
        }
    }

    /// The symbol of the next new name.
    fn symbol_candidate(&self) -> u32 {
        if self.symbol_free == NO_SYMBOL { self.symbols_next } else { self.symbol_free }
    }

    /// All symbols with a name are below this.
    fn symbols_end(&self) -> u32 {
        let mut end = self.symbols_next;
        while end > 0 && self.table().record(end - 1).is_none() {
            end -= 1;
        }
        end
    }

    fn make_table_room(
        &mut self,
        shared: &Shared<'_>,
        given: &mut Option<NonNull<ChunkHeader>>,
    ) -> Result<(), Lack> {
        let symbol = self.symbol_candidate();
        let table = self.table();
        if self.slots_used < table.names_max as usize && symbol < table.symbols_max {
            return Ok(());
        }
        let names = self.names_count + self.names_count / 2 + 1;
        let symbols = names.max(self.symbols_end() as usize + 1);
        let shape = Shape::of(names, symbols).ok_or(Lack::TooLarge)?;
        let bytes = shape.chunk_bytes().ok_or(Lack::TooLarge)?;
        let chunk = take_given(given, bytes)?;
        self.replace_table(shared, chunk, shape);
        Ok(())
    }

    /// Sets `bytes` aside behind the last record.
    fn make_text_room(
        &mut self,
        bytes: usize,
        given: &mut Option<NonNull<ChunkHeader>>,
    ) -> Result<NonNull<u8>, Lack> {
        let fits = |chunk: NonNull<ChunkHeader>| chunk.addr().get() - word(chunk) >= bytes;
        let chunk = match self.text.first {
            Some(chunk) if fits(chunk) => chunk,
            _ => {
                let proposed = self.text.bytes.next_power_of_two();
                let proposed = proposed.clamp(TEXT_CHUNK_BYTES_MIN, TEXT_CHUNK_BYTES_MAX);
                let needed = chunk_bytes_for(bytes).ok_or(Lack::TooLarge)?;
                let chunk = take_given(given, proposed.max(needed))?;
                // SAFETY: the chunk was taken for this, and is nobody else's.
                unsafe {
                    set_word(chunk, (*chunk.as_ptr()).base.addr());
                    self.text.push(chunk);
                }
                chunk
            }
        };
        let end = word(chunk);
        set_word(chunk, end + bytes);
        // SAFETY: `end` is an address within the chunk's data, so the place is not null.
        Ok(unsafe { NonNull::new_unchecked((*chunk.as_ptr()).base.with_addr(end)) })
    }

    /// Builds a table in `chunk`, shows it to readers, and retires the one before.
    fn replace_table(&mut self, shared: &Shared<'_>, chunk: NonNull<ChunkHeader>, shape: Shape) {
        // SAFETY: the chunk was taken for a table of this shape.
        let table = unsafe { Table::write(chunk, shape) };
        // SAFETY: just written.
        let new = unsafe { table.as_ref() };
        self.slots_used = 0;
        self.symbol_free = NO_SYMBOL;
        if self.table.is_some() {
            self.symbols_next = self.symbols_end();
            // Downwards, so that the list of free symbols begins with the smallest.
            for symbol in (0..self.symbols_next).rev() {
                let Some(record) = self.table().record(symbol) else {
                    new.set_free(symbol, self.symbol_free);
                    self.symbol_free = symbol;
                    continue;
                };
                // SAFETY: linked records are live under the lock.
                let (condemned, text) =
                    unsafe { (record.as_ref().condemned.load(Ordering::Relaxed), text_of(record)) };
                new.link(record, symbol, shared.seeds.hash(text), condemned != LIVE);
                self.slots_used += 1;
            }
            let old = self.table().chunk;
            self.retire(old, shared.pins.epoch());
        }
        self.table = Some(table);
        shared.table.store(table.as_ptr(), Ordering::Release);
    }

    fn retire(&mut self, chunk: NonNull<ChunkHeader>, epoch: u32) {
        set_word(chunk, epoch as usize);
        // SAFETY: the chunk was just taken out of where it was.
        unsafe { self.retired.push(chunk) };
    }

    // ----------------------------------------------------------------------------------------------- giving back

    /// Takes names without holders out of use (where `condemns`), unlinks what was condemned long enough ago, and
    /// puts the chunks that nobody can see any more into `freed`. Takes no memory.
    pub(super) fn collect(&mut self, shared: &Shared<'_>, mut condemns: bool, freed: &mut Chain) {
        loop {
            let (epoch, settled) = (shared.pins.epoch(), shared.pins.settled());
            let mut waits = self.free_retired(epoch, settled, freed);
            if condemns || self.condemned_count > 0 {
                waits |= self.sweep(shared, condemns, epoch, settled);
            }
            condemns = false;
            if !waits || !shared.pins.advance() {
                return;
            }
        }
    }

    /// True where some chunk was retired in the current epoch.
    fn free_retired(&mut self, epoch: u32, settled: u32, freed: &mut Chain) -> bool {
        let mut kept = Chain::EMPTY;
        let mut waits = false;
        while let Some(chunk) = self.retired.pop() {
            let retired_in = word(chunk);
            waits |= retired_in == epoch as usize;
            let chain = if retired_in <= settled as usize { &mut *freed } else { &mut kept };
            // SAFETY: the chunk was just taken out of its chain.
            unsafe { chain.push(chunk) };
        }
        self.retired = kept;
        waits
    }

    /// Goes through all records. True where something waits for the end of the current epoch.
    fn sweep(&mut self, shared: &Shared<'_>, condemns: bool, epoch: u32, settled: u32) -> bool {
        let mut waits = false;
        let (mut kept, mut last) = (Chain::EMPTY, None::<NonNull<ChunkHeader>>);
        while let Some(chunk) = self.text.pop() {
            let mut is_linked = false;
            for record in records_of(chunk) {
                // SAFETY: records of a chunk of text are complete.
                let seen = unsafe { record.as_ref() }.condemned.load(Ordering::Relaxed);
                match seen {
                    UNLINKED => continue,
                    LIVE if condemns && self.condemn(shared, record, epoch) => waits = true,
                    LIVE => {}
                    condemned_in if condemned_in <= settled => {
                        self.unlink(shared, record);
                        continue;
                    }
                    condemned_in => waits |= condemned_in == epoch,
                }
                is_linked = true;
            }
            if !is_linked {
                self.retire(chunk, epoch);
                waits = true;
                continue;
            }
            // Behind the last one that was kept: names are added to the first.
            // SAFETY: both chunks are ours; this one is in no chain.
            unsafe {
                match last {
                    None => kept.push(chunk),
                    Some(last) => {
                        (*chunk.as_ptr()).next = core::ptr::null_mut();
                        (*last.as_ptr()).next = chunk.as_ptr();
                        kept.bytes += (*chunk.as_ptr()).bytes;
                    }
                }
            }
            last = Some(chunk);
        }
        self.text = kept;
        waits
    }

    /// Condemns a name that nobody holds; false where somebody does, or it is a keyword.
    fn condemn(&mut self, shared: &Shared<'_>, record: RecordPtr, epoch: u32) -> bool {
        // SAFETY: linked records are live under the lock.
        let (this, hash) = unsafe { (record.as_ref(), shared.seeds.hash(text_of(record))) };
        if this.symbol < shared.keywords_count || this.refs.load(Ordering::Acquire) > 0 {
            return false;
        }
        this.condemned.store(epoch, Ordering::Relaxed);
        self.table().set_condemned(record, hash, true);
        self.condemned_count += 1;
        true
    }

    fn unlink(&mut self, shared: &Shared<'_>, record: RecordPtr) {
        // SAFETY: linked records are live under the lock.
        let (this, hash) = unsafe { (record.as_ref(), shared.seeds.hash(text_of(record))) };
        self.table().unlink(record, this.symbol, hash, self.symbol_free);
        self.symbol_free = this.symbol;
        this.condemned.store(UNLINKED, Ordering::Relaxed);
        self.condemned_count -= 1;
        self.names_count -= 1;
    }

    /// The shape and bytes of a table that would be at most half as large, where there is one.
    pub(super) fn smaller_table(&self) -> Option<(Shape, usize)> {
        let shape = Shape::of(self.names_count + self.names_count / 4, self.symbols_end() as usize)?;
        let bytes = shape.chunk_bytes()?;
        (bytes <= self.table_bytes() / 2).then_some((shape, bytes))
    }

    /// Moves to a smaller table where one of these bytes is still what is wanted; false leaves the chunk to the caller.
    pub(super) fn shrink(&mut self, shared: &Shared<'_>, chunk: NonNull<ChunkHeader>, bytes: usize) -> bool {
        match self.smaller_table() {
            Some((shape, wanted)) if wanted == bytes => {
                self.replace_table(shared, chunk, shape);
                true
            }
            _ => false,
        }
    }

    /// All chunks, for the end of the interner.
    pub(super) fn take_all(&mut self) -> Chain {
        let mut all = Chain::EMPTY;
        let table = self.table.take().map(|table| {
            // SAFETY: the current table is live.
            unsafe { table.as_ref() }.chunk
        });
        for chain in [&mut self.text, &mut self.retired] {
            while let Some(chunk) = chain.pop() {
                // SAFETY: the chunk was just taken out of its chain.
                unsafe { all.push(chunk) };
            }
        }
        if let Some(chunk) = table {
            // SAFETY: a table's chunk is in no chain.
            unsafe { all.push(chunk) };
        }
        all
    }

    pub(super) fn symbols_next(&self) -> u32 {
        self.symbols_next
    }
}

/// The records of a chunk of text, one behind the other.
fn records_of(chunk: NonNull<ChunkHeader>) -> impl Iterator<Item = RecordPtr> {
    // SAFETY: the writer's chunks are live.
    let base = unsafe { (*chunk.as_ptr()).base };
    let (mut at, end) = (base.addr(), word(chunk));
    core::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let record = NonNull::new(base.with_addr(at))?.cast();
        // SAFETY: records stand one behind the other from the base to `end`, each complete.
        at += record_bytes(unsafe { text_of(record) }.len());
        Some(record)
    })
}

fn take_given(given: &mut Option<NonNull<ChunkHeader>>, bytes: usize) -> Result<NonNull<ChunkHeader>, Lack> {
    // SAFETY: a given chunk is live and the caller's.
    let fits = |chunk: &NonNull<ChunkHeader>| unsafe { (*chunk.as_ptr()).bytes } == bytes;
    match given.take_if(|chunk| fits(chunk)) {
        Some(chunk) => Ok(chunk),
        None => Err(Lack::Chunk(bytes)),
    }
}

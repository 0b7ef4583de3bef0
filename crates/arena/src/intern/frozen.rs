//! The table as it was at one moment, for lookups without a pin.

use super::table::{RecordPtr, Shape, Table, text_of};
use super::writer::Lack;
use super::{Core, Symbol, bytes_of, hold, let_go};
use crate::budget::Budget;
use crate::chunk::ChunkHeader;
use crate::error::{AllocError, Reason};
use alloc::sync::Arc;
use core::fmt;
use core::ptr::NonNull;

/// An immutable table of the names that an interner had when [`Interner::freeze`](super::Interner::freeze) was called,
/// with the same symbols. It holds these names, so they stay valid as long as it lives; names that are interned later
/// are not in it.
pub struct Frozen {
    table: NonNull<Table>,
    names_count: usize,
    core: Arc<Core>,
    budget: Budget,
}

// SAFETY: nothing in a frozen table is written before its end; the records are held and do not change.
unsafe impl Send for Frozen {}
// SAFETY: as above.
unsafe impl Sync for Frozen {}

impl Frozen {
    pub(super) fn of(core: &Arc<Core>, budget: &Budget) -> Result<Frozen, AllocError> {
        let mut given: Option<NonNull<ChunkHeader>> = None;
        loop {
            let outcome = Frozen::copy(core, budget, given);
            let lack = match outcome {
                Ok(frozen) => return Ok(frozen),
                Err(lack) => lack,
            };
            if let Some(chunk) = given.take() {
                give_back(budget, chunk);
            }
            match lack {
                Lack::TooLarge => return Err(budget.refuse(0, Reason::TooLarge)),
                Lack::Chunk(bytes) => {
                    given = Some(budget.take_chunk(bytes, false)?);
                }
            }
        }
    }

    /// Copies the table into `given` where that has the right size.
    fn copy(core: &Arc<Core>, budget: &Budget, given: Option<NonNull<ChunkHeader>>) -> Result<Frozen, Lack> {
        let mut writer = core.writer.lock();
        let symbols = writer.symbols_next() as usize;
        let shape = Shape::of(writer.names_count, symbols).ok_or(Lack::TooLarge)?;
        let bytes = shape.chunk_bytes().ok_or(Lack::TooLarge)?;
        let chunk = given.filter(|chunk| bytes_of(*chunk) == bytes).ok_or(Lack::Chunk(bytes))?;
        // SAFETY: the chunk was taken for this, with the bytes that the shape needs.
        let table = unsafe { Table::write(chunk, shape) };
        let shared = core.shared();
        for symbol in 0..writer.symbols_next() {
            let Some(record) = writer.record(symbol) else { continue };
            writer.bring_back(&shared, record);
            hold(record);
            // SAFETY: the table was just written; the record is linked, and held from now on.
            unsafe { table.as_ref().link(record, symbol, shared.seeds.hash(text_of(record)), false) };
        }
        let names_count = writer.names_count;
        drop(writer);
        Ok(Frozen { table, names_count, core: core.clone(), budget: budget.clone() })
    }

    #[inline(always)]
    fn table(&self) -> &Table {
        // SAFETY: the table is this value's own until it is dropped.
        unsafe { self.table.as_ref() }
    }

    /// The symbol of a name.
    #[inline]
    pub fn lookup(&self, text: &str) -> Option<Symbol> {
        // SAFETY: the records of this table are held, so they are not freed while it lives.
        let found = unsafe { self.table().find(&self.core.hot.seeds, text.as_bytes()) }?;
        // SAFETY: as above; a symbol is never written again.
        Some(Symbol(unsafe { (*found.record().as_ptr()).symbol }))
    }

    /// The name of a symbol.
    #[inline]
    pub fn resolve(&self, symbol: Symbol) -> Option<&str> {
        // SAFETY: as in `lookup`; only texts of `str` are interned.
        self.table()
            .record(symbol.as_u32())
            .map(|record| unsafe { core::str::from_utf8_unchecked(text_of(record)) })
    }

    /// True for the symbols of keywords.
    #[inline(always)]
    pub fn is_keyword(&self, symbol: Symbol) -> bool {
        symbol.as_u32() < self.core.hot.keywords_count
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names_count
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.names_count == 0
    }

    fn records(&self) -> impl Iterator<Item = RecordPtr> {
        (0..self.table().symbols_max).filter_map(|symbol| self.table().record(symbol))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.records().for_each(let_go);
        give_back(&self.budget, self.table().chunk);
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("names", &self.names_count).finish()
    }
}

fn give_back(budget: &Budget, chunk: NonNull<ChunkHeader>) {
    let bytes = bytes_of(chunk);
    // SAFETY: the chunk is the caller's, came from this budget, and nobody sees it any more.
    unsafe { budget.give_back_chunks(chunk, chunk, bytes) };
}

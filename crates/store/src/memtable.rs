//! Memtables: what was committed and is not in segments yet, and a transaction's own changes before it commits.
//!
//! ```text
//!   Memtables      side 0: arena, trees   <- the writer               readers: Pins of both sides
//!                  side 1: arena, trees   <- whoever flushes          swap, mark_flushed, reset_sealed
//!
//!   side           directory -> root of a table's tree -> inner nodes -> leaves -> records (key, sequence, kind, row)
//! ```
//!
//! An ordered structure in an arena, by (table, encoded key, sequence *descending*): the newest version of a key comes first.
//! Nothing is taken out of it but everything at once, when its side is reset, in the same few steps for ten entries or ten
//! million. What it holds is what its arena holds: a row that is overwritten a million times is a million versions, so the
//! memtable fills and is flushed.
//!
//! One writer inserts; any number of readers look on, without locks and without waiting for it, wherever it is stopped. For
//! example, the writer splits a full leaf `M N O P Q R` while a reader looks for `Q`. The new leaf `P Q R` is filled first; then
//! the nodes above lead to it; then the old leaf's count goes down to `M N O`. A reader that came through the nodes above before
//! may arrive at the old leaf after, and miss `Q`. But the number of the tree's *changes* went up in between, so the reader
//! sees that it must go down once more; it never has to wait for the writer to finish.
//!
//! | file | what is in it | unsafe |
//! |---|---|---|
//! | `slab.rs` | memory: slabs of an arena, cut into records and nodes | yes |
//! | `record.rs` | an entry's bytes | yes |
//! | `node.rs` | nodes: heads of keys, places, the way to children and records | yes |
//! | `tally.rs` | how many entries a node has, and whether they come in order | |
//! | `tree.rs` | roots, the directory of tables, the protocol of writer and readers | yes |
//! | `plain.rs` | numbers that the writer alone changes | |
//! | `insert.rs` | the writer: insertion, splits, reservation | its maker |
//! | `view.rs` | readers: lookup and cursor | its maker |
//! | `write_set.rs` | the same structure for one transaction | yes |
//! | this one | two sides that take turns; pins | the makers of views and inserters |
//!
//! The invariants are numbered in the headers: slab S1-S4, node N1-N6, tree T1-T6, and here:
//! - **I1** A side's trees are changed only under its arena's write pin, and forgotten only under its exclusive pin.
//! - **I2** Whatever a [`Memtable`], [`Entry`] or [`Cursor`] refers to lives as long as the pin that it borrows.
//!
//! # How a reader uses it
//! First the snapshot's sequence, then [`Memtables::pin`], then the list of segments: an entry is in a pinned side or in a segment,
//! or (while a flush is installed) in both. Pins are for a batch of rows, never for the life of a client's cursor: remember
//! the last key and the epoch, and seek again where the epoch has changed.
//!
//! # Sources
//! Hwang, Kim, Won, Nam: Endurable transient inconsistency in byte-addressable persistent B+-tree (FAST 2018) for entries that
//! are moved while others read. Graefe: Modern B-tree techniques (2011), §3.5, for shared prefixes and heads of keys. Mao,
//! Kohler, Morris: Cache craftiness for fast multicore key-value storage (EuroSys 2012) for what a split must publish when.

mod insert;
mod node;
mod plain;
mod record;
mod slab;
mod sync;
mod tally;
mod tree;
mod view;
mod write_set;

use cofferdam_arena::{
    AllocError, BothPins, Budget, DoubleBuffer, DoubleBufferError, Growth, PinError, WritePin,
};

use crate::schema::TableId;
use insert::Inserter;
use record::Record;
use slab::Cutter;
use tree::Side;
#[allow(unused_imports)]
pub(crate) use view::{Cursor, Memtable};
#[allow(unused_imports)]
pub(crate) use write_set::WriteSet;

/// What a version says of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The row is this.
    Put,
    /// There is no row any more: a tombstone.
    Delete,
}

/// A version of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'p> {
    pub(crate) table: TableId,
    /// Encoded.
    pub(crate) key: &'p [u8],
    pub(crate) sequence: u64,
    pub(crate) kind: EntryKind,
    /// Encoded; empty for a tombstone.
    pub(crate) row: &'p [u8],
}

impl<'p> Entry<'p> {
    #[inline(always)]
    fn new(table: u32, record: Record<'p>) -> Entry<'p> {
        let Record { key, sequence, kind, row } = record;
        Entry { table: TableId(table), key, sequence, kind, row }
    }
}

/// What a memtable holds. Taken piece by piece: beside a writer the figures may be of different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) entries_count: u64,
    /// Tables with entries.
    pub(crate) tables_count: u64,
    /// The smallest and the largest sequence; none without entries.
    pub(crate) sequences: Option<(u64, u64)>,
    /// All that the arena holds, chunks kept from before a reset included.
    pub(crate) held_bytes: u64,
    /// The part of it that is in use: what a threshold for flushes is compared with.
    pub(crate) used_bytes: u64,
}

impl Figures {
    fn of(side: &Side) -> Figures {
        let figures = &side.figures;
        let sequences = (figures.sequence_min.get(), figures.sequence_max.get());
        Figures {
            entries_count: figures.entries_count.get(),
            tables_count: figures.tables_count.get(),
            sequences: (sequences.0 <= sequences.1).then_some(sequences),
            held_bytes: figures.held_bytes.get(),
            used_bytes: side.slabs().used_bytes(),
        }
    }
}

/// The two memtables of a database: one is written, the other is empty or being flushed.
///
/// **Memory.** Each side keeps `minimum_bytes`, charged from the start, and grows on demand; 2 KiB for the arenas' control
/// blocks. The structure itself is [`Memtables::HANDLE_BYTES`], which its owner charges.
pub(crate) struct Memtables {
    buffer: DoubleBuffer,
    sides: [Side; 2],
    minimum_bytes: usize,
}

impl Memtables {
    /// What the structure itself takes.
    pub(crate) const HANDLE_BYTES: usize = size_of::<Memtables>();

    /// Two empty memtables.
    ///
    /// # Errors
    /// The budget has no room for the minimum of both.
    pub(crate) fn new(budget: &Budget, minimum_bytes: usize) -> Result<Memtables, AllocError> {
        let buffer = DoubleBuffer::with_minimum(budget, Growth::STATEMENT, minimum_bytes)?;
        // The same for both.
        let held_bytes = buffer.write().map_or(0, |pin| pin.stats().allocated_bytes as u64);
        Ok(Memtables { buffer, sides: [Side::new(held_bytes), Side::new(held_bytes)], minimum_bytes })
    }

    /// Changes with every swap and every reset.
    pub(crate) fn epoch(&self) -> u64 {
        self.buffer.turn()
    }

    /// Pins what there is to read: no entry that was inserted before is missed because of a swap. Two or four atomic changes, no
    /// lock, no memory.
    ///
    /// # Errors
    /// There are 2^32 pins.
    pub(crate) fn pin(&self) -> Result<Pins<'_>, PinError> {
        Ok(Pins { sides: &self.sides, pins: self.buffer.read()? })
    }

    /// The right to insert into the active side, which nobody else has until the writer is dropped.
    ///
    /// # Errors
    /// Somebody else has it.
    pub(crate) fn writer(&self) -> Result<Writer<'_>, PinError> {
        let pin = self.buffer.write()?;
        // While the active side is pinned for writing there is no swap.
        let side = &self.sides[(self.buffer.epoch() & 1) as usize];
        Ok(Writer { side, pin })
    }

    /// Seals the active side, to be flushed, and makes the other one active.
    ///
    /// # Errors
    /// The other side is still sealed, or a writer is at work.
    pub(crate) fn swap(&self) -> Result<(), DoubleBufferError> {
        self.buffer.swap()
    }

    /// Says that everything in the sealed side is in segments.
    ///
    /// # Errors
    /// No side is sealed.
    pub(crate) fn mark_flushed(&self) -> Result<(), DoubleBufferError> {
        self.buffer.mark_flushed()
    }

    /// Empties the sealed side, and gives back what it holds above `keep_bytes` and its minimum.
    ///
    /// # Errors
    /// No side is sealed, it is not flushed, or a reader pins it: try again when the readers' batches are done.
    pub(crate) fn reset_sealed(&self, keep_bytes: usize) -> Result<(), DoubleBufferError> {
        self.buffer.reset_sealed_keeping(keep_bytes.max(self.minimum_bytes), |stats| {
            // Under the exclusive pin (I1), which lasts until after the call; so there is no swap before.
            let sealed = &self.sides[((self.buffer.epoch() + 1) & 1) as usize];
            sealed.forget(stats.allocated_bytes as u64);
        })
    }
}

/// The sides of [`Memtables`] as they are at one moment, kept for as long as this lives.
pub(crate) struct Pins<'m> {
    sides: &'m [Side; 2],
    pins: BothPins<'m>,
}

impl Pins<'_> {
    /// The epoch in which they were taken.
    pub(crate) fn epoch(&self) -> u64 {
        self.pins.turn()
    }

    /// The side that was active.
    #[expect(unsafe_code, reason = "listed in the module's text")]
    pub(crate) fn active(&self) -> Memtable<'_> {
        let (index, _pin) = self.pins.active();
        // SAFETY: the side is pinned while `self` is borrowed, so its arena is not reset, nor its trees forgotten (I1).
        unsafe { Memtable::new(&self.sides[index]) }
    }

    /// The side that was sealed, until its reset begins: from then on everything in it is in segments.
    #[expect(unsafe_code, reason = "listed in the module's text")]
    pub(crate) fn sealed(&self) -> Option<Memtable<'_>> {
        let (index, _pin) = self.pins.sealed()?;
        // SAFETY: as in `active`.
        Some(unsafe { Memtable::new(&self.sides[index]) })
    }
}

/// The writer of the active memtable. Readers see an entry as soon as `insert` returns: sequences keep them from looking at
/// what is not committed.
pub(crate) struct Writer<'m> {
    side: &'m Side,
    pin: WritePin<'m>,
}

impl Writer<'_> {
    #[expect(unsafe_code, reason = "listed in the module's text")]
    fn inserter(&self) -> Inserter<'_, WritePin<'_>> {
        // SAFETY: 1. there is one write pin of the side, so one writer, which is not Sync; none of its methods uses two
        // inserters at once. 2. The side's slabs come from the pinned arena alone, which is not reset under a pin. And the
        // cutter is of the side's own slabs.
        unsafe { Inserter::new(self.side, Cutter::new(self.side.slabs(), &self.pin)) }
    }

    /// Makes sure that so many entries can be inserted into so many tables at most, with keys and rows of `bytes` together, by table and
    /// key in ascending order: these insertions do not fail. So a transaction is applied as a whole or not at all.
    ///
    /// It makes sure of the worst: about 80 bytes for each entry beside its own, and 512 for each leaf that there is, of as many as there
    /// are entries. What is not needed stays for later insertions.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed then.
    pub(crate) fn reserve(&self, tables: usize, entries: usize, bytes: usize) -> Result<(), AllocError> {
        self.inserter().reserve(tables, entries, bytes)
    }

    /// Inserts a version. One with the same table, key and sequence is replaced.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed then.
    #[inline]
    pub(crate) fn insert(
        &self,
        table: TableId,
        key: &[u8],
        sequence: u64,
        kind: EntryKind,
        row: &[u8],
    ) -> Result<(), AllocError> {
        self.inserter().insert(table.0, &Record { key, sequence, kind, row }, None)?;
        Ok(())
    }

    /// The active side as readers see it.
    #[expect(unsafe_code, reason = "listed in the module's text")]
    pub(crate) fn read(&self) -> Memtable<'_> {
        // SAFETY: the side is pinned for writing while `self` is borrowed (I1).
        unsafe { Memtable::new(self.side) }
    }
}

#[cfg(all(test, not(loom)))]
mod check;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;

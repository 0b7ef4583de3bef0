//! Two arenas that take turns: one is written while the other is flushed (seed 001, double-buffered memtable).
//!
//! ```text
//!   A active,  B empty      writers fill A
//!      | swap               A is sealed: readers yes, writers no
//!   A sealed,  B active     somebody writes A to disk; writers fill B meanwhile
//!      | mark_flushed
//!      | reset_sealed       Err(Busy) while a reader pins A; then O(1), whatever A held
//!   A empty,   B active
//! ```
//!
//! The seed resets the standby side within the swap, before anybody has flushed it. Here the side that was active is
//! reset only after it is marked as flushed and nobody pins it, and nothing else can reset it: a handle of the sealed
//! side gets [`PinError::Sealed`].
//!
//! One number, the *turn*, says which side is which: it is even while there is no sealed side and odd while there is, so
//! every swap and every reset adds 1. Readers pin both sides without a lock: they look at the turn, pin, and look again.

use crate::arena::{Arena, ArenaStats, Growth};
use crate::budget::Budget;
use crate::chunk::data_bytes_within;
use crate::coordinator::{ArenaOwner, Coordinator, PinError, ReadPin, WritePin};
use crate::error::AllocError;
use crate::sync::{AtomicU64, Mutex, Ordering};
use core::fmt;

/// Why the sides of a double buffer could not be swapped or reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubleBufferError {
    /// The other side is still sealed: flush and reset it before the next swap.
    StandbyNotReset,
    /// There is no sealed side: nothing was swapped since the last reset.
    NothingSealed,
    /// The sealed side was not marked as flushed.
    NotFlushed,
    /// Somebody pins the side: a writer the active one, or a reader the sealed one.
    Pinned(PinError),
}

impl fmt::Display for DoubleBufferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DoubleBufferError::StandbyNotReset => {
                f.write_str("the other side is sealed still: flush and reset it before the next swap")
            }
            DoubleBufferError::NothingSealed => f.write_str("no side is sealed: swap first"),
            DoubleBufferError::NotFlushed => f.write_str("the sealed side is not marked as flushed"),
            DoubleBufferError::Pinned(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DoubleBufferError {}

impl From<PinError> for DoubleBufferError {
    fn from(error: PinError) -> DoubleBufferError {
        DoubleBufferError::Pinned(error)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standby {
    Empty,
    Sealed,
    Flushed,
    /// Flushed, and somebody is giving its memory back.
    Emptying,
}

/// An active and a standby arena. Shared by reference between writers, readers and whoever flushes.
///
/// Bytes: 2 KiB for the control blocks, and what the two arenas hold.
pub struct DoubleBuffer {
    sides: [ArenaOwner; 2],
    /// How many swaps and resets there were, changed under the lock: odd while a side is sealed.
    turn: AtomicU64,
    standby: Mutex<Standby>,
}

/// Both sides of a double buffer pinned for reading, as they were at one moment.
#[derive(Debug)]
pub struct BothPins<'c> {
    turn: u64,
    active: ReadPin<'c>,
    sealed: Option<ReadPin<'c>>,
}

impl<'c> BothPins<'c> {
    /// The turn in which they were pinned, see [`DoubleBuffer::turn`].
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// The side that was active, and its number: 0 or 1.
    pub fn active(&self) -> (usize, &ReadPin<'c>) {
        (active_index(self.turn), &self.active)
    }

    /// The side that was sealed, if there was one whose reset had not begun, and its number.
    pub fn sealed(&self) -> Option<(usize, &ReadPin<'c>)> {
        self.sealed.as_ref().map(|pin| (1 - active_index(self.turn), pin))
    }
}

/// How many swaps there were before a turn: each is followed by a reset.
const fn epoch_of(turn: u64) -> u64 {
    turn.div_ceil(2)
}

const fn active_index(turn: u64) -> usize {
    (epoch_of(turn) & 1) as usize
}

impl DoubleBuffer {
    /// Two empty arenas.
    ///
    /// # Errors
    /// The budget refuses a control block.
    pub fn new(budget: &Budget, growth: Growth) -> Result<DoubleBuffer, AllocError> {
        DoubleBuffer::with_minimum(budget, growth, 0)
    }

    /// Two empty arenas that have one chunk of `minimum_bytes` each already (rounded up to a size that chunks have).
    ///
    /// # Errors
    /// The budget refuses a control block or a chunk.
    pub fn with_minimum(
        budget: &Budget,
        growth: Growth,
        minimum_bytes: usize,
    ) -> Result<DoubleBuffer, AllocError> {
        let side = || {
            let arena = Arena::with_growth(budget, growth);
            arena.reserve(data_bytes_within(minimum_bytes))?;
            ArenaOwner::of(arena)
        };
        Ok(DoubleBuffer {
            sides: [side()?, side()?],
            turn: AtomicU64::new(0),
            standby: Mutex::new(Standby::Empty),
        })
    }

    /// How many swaps there were: a reader that remembers it sees that the sides have changed.
    pub fn epoch(&self) -> u64 {
        epoch_of(self.turn())
    }

    /// How many swaps and resets there were.
    pub fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    fn side(&self, epoch: u64) -> &Coordinator {
        &self.sides[(epoch & 1) as usize]
    }

    /// Pins the active side and, where there is one, the sealed side, as they are at one moment: nothing that was written
    /// before this call is missed because of a swap. A sealed side whose reset has begun counts as none. Takes no lock and
    /// no memory; a swap or reset between makes it begin again.
    ///
    /// # Errors
    /// There are 2^32 readers, or somebody resets the active side by a handle of its own.
    pub fn read(&self) -> Result<BothPins<'_>, PinError> {
        loop {
            let turn = self.turn();
            let active = self.sides[active_index(turn)].read();
            let sealed = match turn % 2 {
                0 => None,
                // Refused: it is being reset.
                _ => self.sides[1 - active_index(turn)].read().ok(),
            };
            // Whoever pins a side that was reset since, or is refused because of the reset, sees the later turn.
            if self.turn() == turn {
                return Ok(BothPins { turn, active: active?, sealed });
            }
        }
    }

    /// The side that is written now. It may become the sealed one at any moment; see [`DoubleBuffer::write`].
    pub fn active(&self) -> &Coordinator {
        self.side(self.epoch())
    }

    /// The side that is sealed and not yet reset, for whoever flushes it and for readers.
    pub fn sealed(&self) -> Option<&Coordinator> {
        let standby = self.standby.lock();
        (*standby != Standby::Empty).then(|| self.side(self.epoch() + 1))
    }

    /// Pins the active side for writing, whichever that is by then.
    ///
    /// # Errors
    /// There is a writer already.
    pub fn write(&self) -> Result<WritePin<'_>, PinError> {
        loop {
            let epoch = self.epoch();
            match self.side(epoch).write() {
                // Sealed between the two lines: the epoch has changed, or is about to under the swapper's lock.
                Err(PinError::Sealed) => drop(self.standby.lock()),
                // A side that was swapped, flushed and reset between them can be pinned, but is not the active one.
                outcome if self.epoch() == epoch => return outcome,
                _ => {}
            }
        }
    }

    /// Seals the active side and makes the other one active. Readers of both sides go on.
    ///
    /// # Errors
    /// The other side was not reset since the last swap, or a writer pins the active one.
    pub fn swap(&self) -> Result<(), DoubleBufferError> {
        let mut standby = self.standby.lock();
        if *standby != Standby::Empty {
            return Err(DoubleBufferError::StandbyNotReset);
        }
        let turn = self.turn.load(Ordering::Relaxed);
        self.side(epoch_of(turn)).seal()?;
        self.turn.store(turn + 1, Ordering::Release);
        *standby = Standby::Sealed;
        Ok(())
    }

    /// Says that everything in the sealed side is safe elsewhere.
    ///
    /// # Errors
    /// There is no sealed side.
    pub fn mark_flushed(&self) -> Result<(), DoubleBufferError> {
        let mut standby = self.standby.lock();
        match *standby {
            Standby::Empty | Standby::Emptying => Err(DoubleBufferError::NothingSealed),
            Standby::Sealed | Standby::Flushed => {
                *standby = Standby::Flushed;
                Ok(())
            }
        }
    }

    /// Forgets the flushed side's values and keeps its chunks for the next turn; a few steps, whatever it held.
    ///
    /// # Errors
    /// There is no sealed side, it is not flushed, or a reader pins it.
    pub fn reset_sealed(&self) -> Result<(), DoubleBufferError> {
        self.empty_sealed(Arena::reset)
    }

    /// As [`DoubleBuffer::reset_sealed`], and gives back what is more than `keep_bytes`, as [`Arena::reset_keeping`] does.
    /// Before anybody can pin the side again, `after` is called with what the arena holds: to reset what points into it.
    ///
    /// # Errors
    /// As [`DoubleBuffer::reset_sealed`]; `after` was not called.
    pub fn reset_sealed_keeping(
        &self,
        keep_bytes: usize,
        after: impl FnOnce(ArenaStats),
    ) -> Result<(), DoubleBufferError> {
        self.empty_sealed(|arena| {
            arena.reset_keeping(keep_bytes);
            after(arena.stats());
        })
    }

    /// As [`DoubleBuffer::reset_sealed`], and gives the chunks back.
    ///
    /// # Errors
    /// As [`DoubleBuffer::reset_sealed`].
    pub fn release_sealed(&self) -> Result<(), DoubleBufferError> {
        self.empty_sealed(Arena::release)
    }

    fn empty_sealed(&self, empty: impl FnOnce(&mut Arena)) -> Result<(), DoubleBufferError> {
        let sealed = {
            let mut standby = self.standby.lock();
            match *standby {
                Standby::Empty | Standby::Emptying => return Err(DoubleBufferError::NothingSealed),
                Standby::Sealed => return Err(DoubleBufferError::NotFlushed),
                Standby::Flushed => *standby = Standby::Emptying,
            }
            self.side(self.epoch() + 1)
        };
        // Without the lock: a release may call an observer, who may look at this buffer. Nobody swaps meanwhile.
        let outcome = sealed.empty_sealed(empty);
        let mut standby = self.standby.lock();
        *standby = match outcome {
            Ok(()) => {
                self.turn.store(self.turn.load(Ordering::Relaxed) + 1, Ordering::Release);
                Standby::Empty
            }
            Err(_) => Standby::Flushed,
        };
        Ok(outcome?)
    }
}

impl fmt::Debug for DoubleBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoubleBuffer").field("epoch", &self.epoch()).field("sealed", &self.sealed()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod model;

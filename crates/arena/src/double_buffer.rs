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

use crate::arena::Growth;
use crate::budget::Budget;
use crate::coordinator::{ArenaOwner, Coordinator, PinError, WritePin};
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
    /// How many swaps there were; the active side is its lowest bit.
    epoch: AtomicU64,
    standby: Mutex<Standby>,
}

impl DoubleBuffer {
    /// Two empty arenas.
    ///
    /// # Errors
    /// The budget refuses a control block.
    pub fn new(budget: &Budget, growth: Growth) -> Result<DoubleBuffer, AllocError> {
        Ok(DoubleBuffer {
            sides: [ArenaOwner::with_growth(budget, growth)?, ArenaOwner::with_growth(budget, growth)?],
            epoch: AtomicU64::new(0),
            standby: Mutex::new(Standby::Empty),
        })
    }

    /// How many swaps there were: a reader that remembers it sees that the sides have changed.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn side(&self, epoch: u64) -> &Coordinator {
        &self.sides[(epoch & 1) as usize]
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
                outcome => return outcome,
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
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.side(epoch).seal()?;
        self.epoch.store(epoch + 1, Ordering::Release);
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
        self.empty_sealed(true)
    }

    /// As [`DoubleBuffer::reset_sealed`], and gives the chunks back.
    ///
    /// # Errors
    /// As [`DoubleBuffer::reset_sealed`].
    pub fn release_sealed(&self) -> Result<(), DoubleBufferError> {
        self.empty_sealed(false)
    }

    fn empty_sealed(&self, keep_chunks: bool) -> Result<(), DoubleBufferError> {
        let sealed = {
            let mut standby = self.standby.lock();
            match *standby {
                Standby::Empty | Standby::Emptying => return Err(DoubleBufferError::NothingSealed),
                Standby::Sealed => return Err(DoubleBufferError::NotFlushed),
                Standby::Flushed => *standby = Standby::Emptying,
            }
            self.side(self.epoch.load(Ordering::Relaxed) + 1)
        };
        // Without the lock: a release may call an observer, who may look at this buffer. Nobody swaps meanwhile.
        let outcome = sealed.reset_sealed(keep_chunks);
        *self.standby.lock() = if outcome.is_ok() { Standby::Empty } else { Standby::Flushed };
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

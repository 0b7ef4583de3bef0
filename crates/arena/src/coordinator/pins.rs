//! Who uses a coordinated arena, in one word.
//!
//! ```text
//!   | readers 32 bits | writer | exclusive | sealed | destroyed |
//! ```
//!
//! - P1 `readers`, `writer` and `exclusive` are pins. `exclusive` (a reset under way) is never set beside another pin.
//! - P2 at most one writer; none begins while `sealed` is set.
//! - P3 no pin begins after `destroyed` was set, so it happens once that there is no pin and `destroyed` is set:
//!   whoever makes that so tears the arena down.
//! - P4 every pin begins with an acquire and ends with a release, so what was done under a pin is seen by the reset,
//!   and what the reset did by the next pin. A refusal is an acquire too: who is refused because of a reset sees what
//!   came before it.

use crate::sync::{AtomicU64, Ordering, fence};
use core::fmt;

const READER: u64 = 1;
const READERS_MASK: u64 = u32::MAX as u64;
const WRITER: u64 = 1 << 32;
const EXCLUSIVE: u64 = 1 << 33;
const SEALED: u64 = 1 << 34;
const DESTROYED: u64 = 1 << 35;
const PINS: u64 = READERS_MASK | WRITER | EXCLUSIVE;

/// Why an arena could not be pinned, reset or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinError {
    /// Others use the arena: try again when they are done.
    Busy {
        /// Read pins at that moment.
        readers_count: u32,
        /// Whether there was a write pin, or a reset under way.
        has_writer: bool,
    },
    /// The arena takes no more values until it is reset ([`DoubleBuffer`](crate::DoubleBuffer) sealed it).
    Sealed,
    /// The arena's owner is gone, and the arena with it.
    Destroyed,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PinError::Busy { readers_count, has_writer } => {
                let writer = if *has_writer { "a" } else { "no" };
                write!(
                    f,
                    "the arena is in use by {readers_count} readers and {writer} writer: retry when they are done"
                )
            }
            PinError::Sealed => {
                f.write_str("the arena is sealed until it is flushed and reset: use the active one")
            }
            PinError::Destroyed => f.write_str("the arena's owner is gone, and the arena with it"),
        }
    }
}

impl core::error::Error for PinError {}

/// The word.
pub(crate) struct Pins(AtomicU64);

impl Pins {
    pub(crate) fn new() -> Pins {
        Pins(AtomicU64::new(0))
    }

    /// Replaces the word by what `change` makes of it, or returns its refusal.
    fn update(&self, change: impl Fn(u64) -> Result<u64, PinError>) -> Result<(), PinError> {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            let after = change(before).inspect_err(|_| fence(Ordering::Acquire))?;
            match self.0.compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => before = now,
            }
        }
    }

    pub(crate) fn begin_read(&self) -> Result<(), PinError> {
        self.update(|word| match word {
            _ if word & DESTROYED != 0 => Err(PinError::Destroyed),
            _ if word & EXCLUSIVE != 0 || word & READERS_MASK == READERS_MASK => Err(busy(word)),
            _ => Ok(word + READER),
        })
    }

    pub(crate) fn begin_write(&self) -> Result<(), PinError> {
        self.update(|word| match word {
            _ if word & DESTROYED != 0 => Err(PinError::Destroyed),
            _ if word & SEALED != 0 => Err(PinError::Sealed),
            _ if word & (WRITER | EXCLUSIVE) != 0 => Err(busy(word)),
            _ => Ok(word | WRITER),
        })
    }

    /// Begins a reset. One of a sealed arena must say that it means the sealed one, and of an unsealed one likewise.
    pub(crate) fn begin_exclusive(&self, of_sealed: bool) -> Result<(), PinError> {
        self.update(|word| match word {
            _ if word & DESTROYED != 0 => Err(PinError::Destroyed),
            _ if (word & SEALED != 0) != of_sealed => Err(PinError::Sealed),
            _ if word & PINS != 0 => Err(busy(word)),
            _ => Ok(word | EXCLUSIVE),
        })
    }

    /// Ends the pins of `begin_read`; true where the caller must tear the arena down (P3).
    #[must_use]
    pub(crate) fn end_read(&self) -> bool {
        let before = self.0.fetch_sub(READER, Ordering::AcqRel);
        debug_assert!(before & READERS_MASK > 0, "P1");
        (before - READER) & (PINS | DESTROYED) == DESTROYED
    }

    /// As `end_read`, for `begin_write`.
    #[must_use]
    pub(crate) fn end_write(&self) -> bool {
        let before = self.0.fetch_and(!WRITER, Ordering::AcqRel);
        debug_assert!(before & WRITER != 0, "P2");
        (before & !WRITER) & (PINS | DESTROYED) == DESTROYED
    }

    /// As `end_read`, for `begin_exclusive`; the seal goes with it.
    #[must_use]
    pub(crate) fn end_exclusive(&self) -> bool {
        let before = self.0.fetch_and(!(EXCLUSIVE | SEALED), Ordering::AcqRel);
        debug_assert!(before & PINS == EXCLUSIVE, "P1");
        before & DESTROYED != 0
    }

    /// No more write pins until the next reset. Refused while there is one.
    pub(crate) fn seal(&self) -> Result<(), PinError> {
        self.update(|word| match word {
            _ if word & DESTROYED != 0 => Err(PinError::Destroyed),
            _ if word & SEALED != 0 => Err(PinError::Sealed),
            _ if word & (WRITER | EXCLUSIVE) != 0 => Err(busy(word)),
            _ => Ok(word | SEALED),
        })
    }

    /// No more pins at all; true where the caller must tear the arena down (P3).
    #[must_use]
    pub(crate) fn destroy(&self) -> bool {
        let before = self.0.fetch_or(DESTROYED, Ordering::AcqRel);
        debug_assert!(before & DESTROYED == 0, "an arena has one owner");
        before & PINS == 0
    }

    pub(crate) fn is_destroyed(&self) -> bool {
        self.0.load(Ordering::Acquire) & DESTROYED != 0
    }
}

fn busy(word: u64) -> PinError {
    PinError::Busy {
        readers_count: (word & READERS_MASK) as u32,
        has_writer: word & (WRITER | EXCLUSIVE) != 0,
    }
}

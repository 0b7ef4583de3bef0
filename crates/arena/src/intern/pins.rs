//! Epochs: which readers could still see what has been unlinked.
//!
//! ```text
//!   epoch        7                8                9
//!   pins    |--A--------------------|
//!                |--B--|    |--C----------|
//!                           ^ 7 -> 8: allowed when nobody is pinned in 6
//!                                         ^ 8 -> 9: allowed when A and B are gone; C (of 8) may still live
//! ```
//!
//! Terms: a pin is *of* the epoch that it found when it was taken; an epoch is *settled* when no pin of it or of an
//! earlier one lives, or ever will.
//!
//! - P1 Pins live only of the current epoch and of the one before.
//! - P2 The epoch moves only when the one before is settled; so two counters, by the epoch's parity, are enough.
//! - P3 A pin of an epoch sees everything that was stored before that epoch began.
//! - P4 The epoch never wraps: it stops at `u32::MAX - 1`, and then nothing more is given back.
//!
//! # Source
//! The two counters are those of SRCU (McKenney, "Sleepable RCU", LWN 2006), with a re-check by the reader in place
//! of the second flip.

use crate::sync::{AtomicU32, AtomicUsize, Ordering, fence};

#[cfg(not(loom))]
const STRIPES: usize = 8;
#[cfg(loom)]
const STRIPES: usize = 1;

/// Counters of pins by parity of their epoch, for the threads that share the stripe.
#[repr(align(64))]
struct Stripe([AtomicUsize; 2]);

/// The epoch and the counters of its readers.
#[repr(align(64))]
pub(super) struct Pins {
    epoch: AtomicU32,
    stripes: [Stripe; STRIPES],
}

/// What a reader keeps to find its counter again.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) epoch: u32,
    stripe: u32,
}

impl Pins {
    pub(super) fn new() -> Pins {
        Pins {
            epoch: AtomicU32::new(1),
            stripes: core::array::from_fn(|_| Stripe([AtomicUsize::new(0), AtomicUsize::new(0)])),
        }
    }

    /// Keeps everything that is visible now until [`Pins::unpin`]. Takes no memory and no lock.
    pub(super) fn pin(&self) -> Ticket {
        let stripe = stripe_of_thread();
        loop {
            let epoch = self.epoch.load(Ordering::Relaxed);
            let counter = &self.stripes[stripe].0[(epoch & 1) as usize];
            counter.fetch_add(1, Ordering::Relaxed);
            // With the fence in `advance`: either this thread sees the new epoch, or the writer sees the count.
            fence(Ordering::SeqCst);
            if self.epoch.load(Ordering::Acquire) == epoch {
                return Ticket { epoch, stripe: stripe as u32 };
            }
            counter.fetch_sub(1, Ordering::Release);
        }
    }

    /// Ends a pin. It may happen on another thread than the one that took it.
    pub(super) fn unpin(&self, ticket: Ticket) {
        let counter = &self.stripes[ticket.stripe as usize].0[(ticket.epoch & 1) as usize];
        let before = counter.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "a pin ends once");
    }

    /// The current epoch. For the writer, who holds the lock that [`Pins::advance`] needs.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// The latest settled epoch.
    pub(super) fn settled(&self) -> u32 {
        let epoch = self.epoch();
        let counters = self.stripes.iter().map(|stripe| &stripe.0[(epoch.wrapping_sub(1) & 1) as usize]);
        let mut live = 0;
        for counter in counters {
            live += counter.load(Ordering::Acquire);
        }
        // P2: the epoch would not have moved to this one before `epoch - 2` was settled.
        if live == 0 { epoch - 1 } else { epoch.saturating_sub(2) }
    }

    /// Begins the next epoch; false where pins of the one before live, or at the last epoch (P4).
    ///
    /// needs: the caller holds the writer's lock.
    pub(super) fn advance(&self) -> bool {
        let epoch = self.epoch();
        if self.settled() != epoch - 1 || epoch == u32::MAX - 1 {
            return false;
        }
        self.epoch.store(epoch + 1, Ordering::Release);
        fence(Ordering::SeqCst);
        true
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn set_epoch(&self, epoch: u32) {
        self.epoch.store(epoch, Ordering::Release);
    }
}

/// A number below [`STRIPES`] that tends to differ between threads: their stacks lie apart.
#[cfg(not(loom))]
fn stripe_of_thread() -> usize {
    let here = 0u8;
    let page = (&raw const here).addr() >> 16;
    ((page as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61) as usize % STRIPES
}

#[cfg(loom)]
fn stripe_of_thread() -> usize {
    0
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_waits_for_pins_of_the_one_before() {
        let pins = Pins::new();
        let old = pins.pin();
        assert_eq!((old.epoch, pins.settled()), (1, 0));
        assert!(pins.advance());
        let young = pins.pin();
        assert_eq!((young.epoch, pins.settled()), (2, 0));
        assert!(!pins.advance(), "a pin of epoch 1 lives");
        pins.unpin(old);
        assert_eq!(pins.settled(), 1);
        assert!(pins.advance());
        assert_eq!(pins.settled(), 1);
        pins.unpin(young);
        assert_eq!(pins.settled(), 2);
    }

    #[test]
    fn the_epoch_stops_before_it_would_wrap() {
        let pins = Pins::new();
        pins.set_epoch(u32::MAX - 2);
        assert!(pins.advance());
        assert!(!pins.advance());
        assert_eq!(pins.epoch(), u32::MAX - 1);
    }
}

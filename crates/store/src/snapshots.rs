//! Which states of the database somebody may still read.
//!
//! A snapshot is a sequence: it sees every version up to it. Flushes and compactions ask for all snapshots and keep what
//! one of them sees; a new snapshot takes the newest published sequence under the same lock, so none can appear that
//! an answer has left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, collections};

/// The open snapshots, and the sequence that a new one gets.
///
/// **Memory.** 8 bytes for each open snapshot.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// Ascending; a sequence stands there once for each snapshot.
    open: Mutex<Vec<u64, BudgetAlloc>>,
    /// Everything up to it is committed and may be seen.
    published: AtomicU64,
}

impl Snapshots {
    pub(crate) fn new(alloc: BudgetAlloc, published: u64) -> Snapshots {
        Snapshots { open: Mutex::new(Vec::new_in(alloc)), published: AtomicU64::new(published) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64, BudgetAlloc>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest sequence that readers may see.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Lets readers see everything up to `sequence`; an older one changes nothing.
    pub(crate) fn publish(&self, sequence: u64) {
        self.published.fetch_max(sequence, Ordering::Release);
    }

    /// A snapshot of now, to be given back with [`Snapshots::close`].
    ///
    /// # Errors
    /// There is no room to note it.
    pub(crate) fn open(&self) -> Result<u64, AllocError> {
        let mut open = self.lock();
        open.try_reserve(1)?;
        // Under the lock: see the head of the file. Nothing newer is open, so the end is its place.
        let sequence = self.published();
        open.push(sequence);
        Ok(sequence)
    }

    /// One more snapshot of a sequence that is open.
    ///
    /// # Errors
    /// There is no room to note it.
    pub(crate) fn open_again(&self, sequence: u64) -> Result<(), AllocError> {
        let mut open = self.lock();
        open.try_reserve(1)?;
        let place = open.binary_search(&sequence).expect("it is open");
        open.insert(place, sequence);
        Ok(())
    }

    /// Forgets a snapshot.
    pub(crate) fn close(&self, sequence: u64) {
        let mut open = self.lock();
        let place = open.binary_search(&sequence).expect("a snapshot is closed once");
        open.remove(place);
    }

    /// The sequences of all open snapshots and of one that would be opened now, ascending, each once.
    ///
    /// # Errors
    /// `into` has no room.
    pub(crate) fn all(&self, into: &mut collections::Vec<'_, u64>) -> Result<(), AllocError> {
        let open = self.lock();
        into.clear();
        for &sequence in open.iter().chain(&[self.published()]) {
            if into.last() != Some(&sequence) {
                into.push(sequence)?;
            }
        }
        Ok(())
    }

    /// The oldest sequence that somebody may read.
    #[cfg(test)]
    pub(crate) fn oldest(&self) -> u64 {
        let open = self.lock();
        open.first().copied().unwrap_or_else(|| self.published())
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::{Arena, Budget};

    #[test]
    fn what_is_open_is_known_and_forgotten_when_it_closes() {
        let budget = Budget::unlimited("snapshots").unwrap();
        let arena = Arena::new(&budget);
        let mut all = collections::Vec::new_in(&arena);
        let snapshots = Snapshots::new(BudgetAlloc::new(&budget), 7);
        snapshots.all(&mut all).unwrap();
        assert_eq!((&all[..], snapshots.oldest(), snapshots.count()), (&[7][..], 7, 0));
        assert_eq!((snapshots.open(), snapshots.open()), (Ok(7), Ok(7)));
        snapshots.publish(12);
        snapshots.publish(9);
        assert_eq!(snapshots.open(), Ok(12));
        snapshots.publish(15);
        snapshots.all(&mut all).unwrap();
        assert_eq!((&all[..], snapshots.oldest(), snapshots.count()), (&[7, 12, 15][..], 7, 3));
        snapshots.close(7);
        snapshots.close(12);
        snapshots.all(&mut all).unwrap();
        assert_eq!((&all[..], snapshots.oldest()), (&[7, 15][..], 7));
        assert_eq!(snapshots.open_again(7), Ok(()));
        snapshots.close(7);
        assert_eq!((snapshots.oldest(), snapshots.count()), (7, 1));
        snapshots.close(7);
        assert_eq!((snapshots.oldest(), snapshots.count()), (15, 0));
    }

    #[test]
    fn a_snapshot_that_cannot_be_noted_is_refused() {
        let budget = Budget::unlimited("process").unwrap().child("snapshots", 1 << 10).unwrap();
        let snapshots = Snapshots::new(BudgetAlloc::new(&budget), 1);
        let opened = (0..1000).take_while(|_| snapshots.open().is_ok()).count();
        assert!((32..128).contains(&opened), "{opened}");
        for _ in 0..opened {
            snapshots.close(1);
        }
        assert_eq!(snapshots.count(), 0);
    }
}

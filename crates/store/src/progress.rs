//! How far long work is, and whether it shall go on.

use core::fmt;

use crate::error::Error;

/// How far work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of files that were looked at, each as often as it is.
    pub done_bytes: u64,
    /// What they will be at the end, as far as that is known.
    pub total_bytes: u64,
}

/// Who looks on while long work is done: asked between pieces of it, at least once a second on a disk that answers.
#[derive(Clone, Copy)]
pub struct Watch<'w> {
    /// True to end the work with [`Error::Cancelled`].
    pub cancelled: &'w dyn Fn() -> bool,
    /// Told how far the work is.
    pub progress: &'w dyn Fn(Progress),
}

impl Watch<'static> {
    /// Nobody: the work is done to its end.
    pub const NOBODY: Watch<'static> = Watch { cancelled: &|| false, progress: &|_| () };
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

/// Counts the bytes of work that somebody watches.
#[derive(Debug)]
pub(crate) struct Meter<'w> {
    watch: Watch<'w>,
    progress: Progress,
}

impl<'w> Meter<'w> {
    /// Nothing is done yet, and nothing is known of what there is to do.
    pub(crate) fn new(watch: Watch<'w>) -> Meter<'w> {
        Meter { watch, progress: Progress::default() }
    }

    /// There is so much more to do.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.progress.total_bytes = self.progress.total_bytes.saturating_add(bytes);
    }

    /// So much more is done.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn advance(&mut self, bytes: u64) -> Result<(), Error> {
        self.progress.done_bytes = self.progress.done_bytes.saturating_add(bytes);
        // What takes longer than it was thought to is never more than done.
        self.progress.total_bytes = self.progress.total_bytes.max(self.progress.done_bytes);
        (self.watch.progress)(self.progress);
        self.check()
    }

    /// Whether the work shall go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if (self.watch.cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

/// The bytes of a whole that parts of it stand for: handed out as they are counted, all of them at the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    bytes: u64,
    parts_count: u64,
    counted: u64,
    given: u64,
}

impl Share {
    /// So many bytes in so many parts.
    pub(crate) fn new(bytes: u64, parts_count: u64) -> Share {
        Share { bytes, parts_count: parts_count.max(1), counted: 0, given: 0 }
    }

    /// The bytes of so many more parts.
    pub(crate) fn take(&mut self, parts: u64) -> u64 {
        self.counted = self.counted.saturating_add(parts).min(self.parts_count);
        let reached = u128::from(self.bytes) * u128::from(self.counted) / u128::from(self.parts_count);
        let bytes = reached as u64 - self.given;
        self.given += bytes;
        bytes
    }

    /// The bytes that were not given yet.
    pub(crate) fn rest(&mut self) -> u64 {
        self.take(self.parts_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    #[test]
    fn whoever_looks_on_hears_of_every_piece_and_ends_the_work() {
        let (seen, is_ended) = (RefCell::new(vec![]), Cell::new(false));
        let watch = Watch {
            cancelled: &|| is_ended.get(),
            progress: &|at| seen.borrow_mut().push((at.done_bytes, at.total_bytes)),
        };
        let mut meter = Meter::new(watch);
        meter.expect(10);
        meter.advance(4).unwrap();
        meter.advance(8).unwrap();
        is_ended.set(true);
        assert!(matches!(meter.advance(1), Err(Error::Cancelled)));
        assert_eq!(*seen.borrow(), [(4, 10), (12, 12), (13, 13)]);
        Meter::new(Watch::NOBODY).advance(1).unwrap();
    }

    #[test]
    fn shares_add_up_to_the_whole() {
        let mut share = Share::new(100, 7);
        let taken: u64 = (0..3).map(|_| share.take(2)).sum();
        assert_eq!((taken, share.rest(), share.rest(), share.take(5)), (85, 15, 0, 0));
        assert_eq!(Share::new(5, 0).rest(), 5);
    }
}

//! Group commit: many committers share one sync.
//!
//! ```text
//!   A  append ──> wait ──> sync ───────────> done
//!   B     append ──> wait ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄> sync (of B and C) ──> done
//!   C        append ──────> wait ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄> done
//! ```
//!
//! Committers append to the log one after the other and then wait until the log is durable up to where they ended. The
//! first one that waits syncs for all that have appended by then; who comes during a sync waits for the next.
//!
//! - **G1** One sync runs at a time.
//! - **G2** After a failed sync no one is told that anything is durable, ever: what a later sync would say about the
//!   bytes of the failed one is not known.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// How far a log is durable, and who makes it so.
#[derive(Debug, Default)]
pub(crate) struct Group {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Everything up to this sequence is durable.
    durable: u64,
    is_syncing: bool,
    has_failed: bool,
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everything up to `sequence` is durable. Where nobody syncs, this caller does, by `sync`, which gives the
    /// sequence up to which the log was durable when it returned.
    ///
    /// # Errors
    /// That of `sync` for who called it; [`Error::Poisoned`] for all others, now and later.
    pub(crate) fn wait(&self, sequence: u64, sync: impl FnOnce() -> Result<u64, Error>) -> Result<(), Error> {
        let mut state = self.lock();
        loop {
            if state.has_failed {
                return Err(Error::Poisoned);
            }
            if state.durable >= sequence {
                return Ok(());
            }
            if !state.is_syncing {
                break;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_syncing = true;
        drop(state);
        // Should `sync` panic, nobody must wait for ever.
        let mut turn = Turn { group: self, outcome: None };
        let outcome = sync();
        turn.outcome = outcome.as_ref().ok().copied();
        drop(turn);
        let durable = outcome?;
        debug_assert!(durable >= sequence, "the caller's bytes were appended before it asked");
        Ok(())
    }

    /// Says that everything up to `sequence` is durable, for who synced by another way.
    pub(crate) fn is_durable_up_to(&self, sequence: u64) {
        let mut state = self.lock();
        state.durable = state.durable.max(sequence);
    }

    /// Says that it is not known what is durable (G2).
    pub(crate) fn poison(&self) {
        self.lock().has_failed = true;
        self.changed.notify_all();
    }

    /// True after a failed sync.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.lock().has_failed
    }
}

/// The turn of who syncs; ends it however that went.
struct Turn<'g> {
    group: &'g Group,
    outcome: Option<u64>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        state.is_syncing = false;
        match self.outcome {
            Some(durable) => state.durable = state.durable.max(durable),
            None => state.has_failed = true,
        }
        drop(state);
        self.group.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;
    use std::time::Duration;

    /// Aim: who waits is durable when it returns, and syncs are shared. Method: eight committers of a log whose sync
    /// takes a while.
    #[test]
    fn committers_share_a_sync() {
        let (group, appended, syncs) = (Group::default(), AtomicU64::new(0), AtomicU64::new(0));
        let durable = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let mine = appended.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            let reach = appended.load(Ordering::SeqCst);
                            thread::sleep(Duration::from_micros(200));
                            durable.fetch_max(reach, Ordering::SeqCst);
                            syncs.fetch_add(1, Ordering::SeqCst);
                            Ok(reach)
                        };
                        group.wait(mine, sync).unwrap();
                        assert!(durable.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
        let syncs = syncs.load(Ordering::SeqCst);
        assert!((20..120).contains(&syncs), "{syncs} syncs for 160 commits");
    }

    #[test]
    fn nothing_is_durable_after_a_failed_sync() {
        let group = Group::default();
        group.wait(1, || Ok(1)).unwrap();
        let failure = || Err(Error::io("sync", None, &std::io::ErrorKind::Other.into()));
        assert!(matches!(group.wait(2, failure), Err(Error::Io(_))));
        assert!(matches!(group.wait(2, || Ok(2)), Err(Error::Poisoned)));
        assert!(matches!(group.wait(1, || Ok(1)), Err(Error::Poisoned)));
        assert!(group.is_poisoned());
    }

    #[test]
    fn a_panic_in_a_sync_leaves_nobody_waiting() {
        let group = Group::default();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let outcome =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.wait(1, || panic!("broken"))));
        std::panic::set_hook(hook);
        assert!(outcome.is_err());
        assert!(matches!(group.wait(1, || Ok(1)), Err(Error::Poisoned)));
    }
}

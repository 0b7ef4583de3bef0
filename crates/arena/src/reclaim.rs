//! Memory that can be given up on request: caches, free lists, flushable tables.

/// A holder of memory that can let go of some of it when a budget above it refuses a charge.
///
/// Registered with [`Budget::set_reclaimer`](crate::Budget::set_reclaimer) on the budget that it holds its memory
/// under. It is asked without any lock of the tree held, instant ones one after the other; it must release budget, not
/// charge any, and must not panic. A charge that it makes all the same (a flush, or an observer of its release) is
/// refused where nothing is free: of an instant reclaimer it asks nobody, of a blocking one the instant ones.
pub trait Reclaim: Send + Sync {
    /// Gives up at least `bytes` where it can, and returns how many bytes it released to its budget; 0 says that
    /// there is nothing more to give.
    fn reclaim(&self, bytes: u64) -> u64;

    /// True where giving up takes long (a flush). Such a reclaimer is asked only for charges that may wait
    /// ([`Budget::charge_waiting`](crate::Budget::charge_waiting)).
    fn is_blocking(&self) -> bool {
        false
    }
}

//! What a store is opened with, and how its limit is shared among its parts.

use core::time::Duration;

/// What a store is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) sized_for: Option<(u64, u64)>,
    pub(crate) memtable_bytes: Option<u64>,
    pub(crate) cache_bytes: Option<u64>,
    pub(crate) stall: Stall,
    pub(crate) compaction_percent: u8,
}

/// What a writer does when both memtables are full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Waits for a flush, so long at most; then [`Error::Stalled`](crate::Error::Stalled).
    Wait(Duration),
    /// Gets [`Error::Stalled`](crate::Error::Stalled) at once.
    Fail,
}

/// How long a commit's changes take to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Durability {
    /// When the commit returns: they survive a crash of the machine.
    #[default]
    Full,
    /// When the commit returns they survive the end of the process; a crash of the machine may lose the last of them, from
    /// some commit on all, never one between two that are kept. They are durable at the next barrier: the next commit
    /// with [`Durability::Full`] by anyone, the next flush, [`Store::sync`](crate::Store::sync) or the store's closing.
    Normal,
}

impl Default for Options {
    fn default() -> Options {
        Options::new()
    }
}

impl Options {
    /// A database that is made where there is none; a writer waits for a flush up to a minute; sizes follow the limit.
    pub const fn new() -> Options {
        Options {
            create: true,
            sized_for: None,
            memtable_bytes: None,
            cache_bytes: None,
            stall: Stall::Wait(Duration::from_secs(60)),
            compaction_percent: 75,
        }
    }

    /// Whether a database is made where there is none.
    pub const fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// Sizes for a limit of `limit_bytes`, of which memtables and cache, what stays taken, follow `share_bytes`; without this both
    /// are the budget's limit. For a store that has others beside it.
    pub const fn sized_for(mut self, limit_bytes: u64, share_bytes: u64) -> Options {
        self.sized_for = Some((limit_bytes, share_bytes));
        self
    }

    /// The most bytes that one memtable grows to before it is flushed. There are two.
    pub const fn memtable_bytes(mut self, bytes: u64) -> Options {
        self.memtable_bytes = Some(bytes);
        self
    }

    /// The most bytes that the block cache grows to.
    pub const fn cache_bytes(mut self, bytes: u64) -> Options {
        self.cache_bytes = Some(bytes);
        self
    }

    /// The share of its time that a background compaction works, in percent, 1 to 100: the rest is left to others' reads and
    /// writes. It takes all of the time when writers would have to wait for it soon.
    pub const fn compaction_percent(mut self, percent: u8) -> Options {
        self.compaction_percent = percent;
        self
    }

    /// What a writer does when both memtables are full.
    pub const fn stall(mut self, stall: Stall) -> Options {
        self.stall = stall;
        self
    }
}

/// The least limit of a store: with less it does not open.
pub const MINIMUM_BYTES: u64 = 256 << 10;
/// What each memtable is charged up front and keeps.
pub(crate) const MEMTABLE_MINIMUM_BYTES: u64 = 16 << 10;
/// What a flush can always have: a writer's one chunk of 64 KiB, and its lists.
pub(crate) const FLUSH_MINIMUM_BYTES: u64 = 72 << 10;
/// What a flush may take however small the limit is: a row of the greatest length needs as much again as a writer's chunk, twice.
pub(crate) const FLUSH_LIMIT_BYTES: u64 = 192 << 10;
/// What a flush or a compaction plans with where a limit is small.
const WORK_MINIMUM_BYTES: u64 = 96 << 10;

/// How a limit is shared: caps, taken only as they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizing {
    /// Of one memtable.
    pub(crate) memtable_bytes: u64,
    /// Of a transaction's changes, which its own budget pays for.
    pub(crate) writes_bytes: u64,
    /// Of the block cache.
    pub(crate) cache_bytes: u64,
    /// Of the buffer before the WAL.
    pub(crate) wal_buffer_bytes: u64,
    /// Of a flush's buffers.
    pub(crate) flush_bytes: u64,
    /// Of a compaction's buffers.
    pub(crate) compaction_bytes: u64,
    /// Of the level below the flushed segments.
    pub(crate) first_level_bytes: u64,
}

impl Sizing {
    /// The shares of a limit: an eighth for each memtable, an eighth for a flush, a quarter for a compaction and up to half
    /// for the cache, which gives way to all of them. Where others live below the limit, what stays taken, memtables and cache, is
    /// smaller; buffers that are given back at once are not, since large ones make small segments.
    pub(crate) fn of(limit_bytes: u64, options: &Options) -> Sizing {
        let (asked_bytes, share_bytes) = options.sized_for.unwrap_or((limit_bytes, limit_bytes));
        let limit_bytes = asked_bytes.clamp(MINIMUM_BYTES, limit_bytes);
        let share_bytes = share_bytes.clamp(MINIMUM_BYTES, limit_bytes);
        let memtable = options.memtable_bytes.unwrap_or((share_bytes / 8).min(64 << 20));
        let memtable_bytes =
            memtable.clamp(MEMTABLE_MINIMUM_BYTES, (share_bytes / 4).max(MEMTABLE_MINIMUM_BYTES));
        Sizing {
            memtable_bytes,
            writes_bytes: (memtable_bytes / 2 * (limit_bytes / share_bytes)).clamp(8 << 10, memtable_bytes),
            cache_bytes: options.cache_bytes.unwrap_or(share_bytes / 2),
            wal_buffer_bytes: (limit_bytes / 64).clamp(8 << 10, 256 << 10),
            flush_bytes: (limit_bytes / 8).clamp(WORK_MINIMUM_BYTES, 8 << 20),
            compaction_bytes: (limit_bytes / 4).clamp(WORK_MINIMUM_BYTES, 32 << 20),
            first_level_bytes: (memtable_bytes * 4).clamp(1 << 20, 256 << 20),
        }
    }

    /// How large a segment grows before a compaction begins the next one: a 32nd of its table, so that neither they nor what
    /// is kept of each become too many.
    pub(crate) fn segment_bytes(&self, table_bytes: u64) -> u64 {
        (table_bytes / 32).clamp(self.first_level_bytes / 4, 64 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parts_cannot_do_without_fits_the_least_limit() {
        let sizing = Sizing::of(MINIMUM_BYTES, &Options::new());
        let needed = 2 * MEMTABLE_MINIMUM_BYTES + FLUSH_MINIMUM_BYTES + sizing.wal_buffer_bytes;
        assert!(needed <= MINIMUM_BYTES * 3 / 4, "{needed}");
        assert!(sizing.memtable_bytes >= MEMTABLE_MINIMUM_BYTES);
    }

    #[test]
    fn shares_grow_with_the_limit_up_to_their_caps() {
        let of = |limit| Sizing::of(limit, &Options::new());
        assert_eq!(of(8 << 20).memtable_bytes, 1 << 20);
        assert_eq!(of(8 << 30).memtable_bytes, 64 << 20);
        assert_eq!(of(8 << 30).wal_buffer_bytes, 256 << 10);
        let asked = Sizing::of(8 << 20, &Options::new().memtable_bytes(1 << 30).cache_bytes(1 << 20));
        assert_eq!((asked.memtable_bytes, asked.cache_bytes), (2 << 20, 1 << 20));
        assert_eq!(of(8 << 20).writes_bytes, 512 << 10);
        let half = Sizing::of(64 << 20, &Options::new().sized_for(8 << 20, 4 << 20));
        assert_eq!((half.memtable_bytes, half.cache_bytes, half.flush_bytes), (512 << 10, 2 << 20, 1 << 20));
        assert_eq!(half.writes_bytes, 512 << 10);
        assert_eq!(Sizing::of(MINIMUM_BYTES, &Options::new().sized_for(0, 0)), of(MINIMUM_BYTES));
        assert_eq!(of(8 << 20).segment_bytes(0), 1 << 20);
        assert_eq!(of(8 << 20).segment_bytes(2 << 30), 64 << 20);
    }
}

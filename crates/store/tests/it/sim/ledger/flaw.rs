//! What can be wrong with an engine. Each flaw is a mistake that somebody has made in a real one.

use std::cell::Cell;

/// A mistake that the engine makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    // Durability.
    NoSyncOfCommits,
    NoSyncOfEveryThirdCommit,
    NoSyncOfSync,
    NoSyncOfClosing,
    NoSyncOfStates,
    NoSyncOfNewLogs,
    NoDirectorySyncBeforeRename,
    NoDirectorySyncAfterRename,
    /// The old files are removed before the new ones are durable.
    RemovedTooEarly,
    /// Opening goes on with the log that it has read, without making it durable.
    OpeningTrustsCache,
    /// What is behind the last whole record stays there, and the next record is written behind it.
    TornTailKept,
    /// Records are taken without looking at their checksums.
    NoChecksums,
    /// A record with a wrong checksum is left out, and those behind it are taken.
    BadRecordsSkipped,
    /// Normal commits wait in memory, and full ones overtake them.
    NormalCommitsOvertaken,
    SyncErrorsIgnored,
    SyncTriedAgain,
    NeverPoisoned,
    /// What a write that failed has left in the log stays there.
    FailedWritesKept,
    /// A short write is taken for a whole one.
    ShortWritesTrusted,
    // Isolation.
    NoConflicts,
    DeletesConflictWithNothing,
    PublishedBeforeWritten,
    SnapshotsMove,
    ScansMove,
    // Rollback.
    RollbackCommits,
    RollbacksForgotten,
    RollbacksForgetOneTooFew,
    // Indexes.
    IndexesForgetDeletes,
    IndexesForgetUpdates,
    IndexesBuiltEmpty,
    UniqueUnchecked,
    UniqueUncheckedWhenBuilt,
    NullsAreEqual,
    // Values.
    LongTextsCut,
    ExcludedEndsIncluded,
    // Files.
    TemporaryFilesKept,
    OldFilesKept,
    DroppedTablesKept,
}

impl Flaw {
    pub(crate) const ALL: [Flaw; 38] = [
        Flaw::NoSyncOfCommits,
        Flaw::NoSyncOfEveryThirdCommit,
        Flaw::NoSyncOfSync,
        Flaw::NoSyncOfClosing,
        Flaw::NoSyncOfStates,
        Flaw::NoSyncOfNewLogs,
        Flaw::NoDirectorySyncBeforeRename,
        Flaw::NoDirectorySyncAfterRename,
        Flaw::RemovedTooEarly,
        Flaw::OpeningTrustsCache,
        Flaw::TornTailKept,
        Flaw::NoChecksums,
        Flaw::BadRecordsSkipped,
        Flaw::NormalCommitsOvertaken,
        Flaw::SyncErrorsIgnored,
        Flaw::SyncTriedAgain,
        Flaw::NeverPoisoned,
        Flaw::FailedWritesKept,
        Flaw::ShortWritesTrusted,
        Flaw::NoConflicts,
        Flaw::DeletesConflictWithNothing,
        Flaw::PublishedBeforeWritten,
        Flaw::SnapshotsMove,
        Flaw::ScansMove,
        Flaw::RollbackCommits,
        Flaw::RollbacksForgotten,
        Flaw::RollbacksForgetOneTooFew,
        Flaw::IndexesForgetDeletes,
        Flaw::IndexesForgetUpdates,
        Flaw::IndexesBuiltEmpty,
        Flaw::UniqueUnchecked,
        Flaw::UniqueUncheckedWhenBuilt,
        Flaw::NullsAreEqual,
        Flaw::LongTextsCut,
        Flaw::ExcludedEndsIncluded,
        Flaw::TemporaryFilesKept,
        Flaw::OldFilesKept,
        Flaw::DroppedTablesKept,
    ];
}

thread_local! {
    /// An engine is opened again and again in a run, always with the same flaw.
    static FLAW: Cell<Flaw> = const { Cell::new(Flaw::None) };
}

/// The flaw of engines that this thread opens.
pub(super) fn current() -> Flaw {
    FLAW.get()
}

/// Does something with engines that have a flaw.
pub(crate) fn with_flaw<T>(flaw: Flaw, act: impl FnOnce() -> T) -> T {
    FLAW.set(flaw);
    let outcome = act();
    FLAW.set(Flaw::None);
    outcome
}

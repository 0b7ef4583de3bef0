//! Faults of the disk, and what they excuse.

use cofferdam_testkit::simfs::{EIO, Fault, Op, Rule, SimDisk, Unwritten};

use super::driver::Sim;
use super::engine::{Engine, FailureKind, Role};
use super::script::FaultKind;

/// The faults that are in force, and those that were since the database was opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    active: Vec<FaultKind>,
    since_opening: Vec<FaultKind>,
    /// How many operations had gone wrong when the database was opened.
    base: u64,
}

const SYNC_FAULTS: [FaultKind; 4] =
    [FaultKind::FailSync, FaultKind::FailSyncDirty, FaultKind::FailSyncClean, FaultKind::FailSyncEvicted];

impl Faults {
    /// Forgets the past: the database is opened.
    pub(super) fn begin(&mut self, faults: u64) {
        self.base = faults;
        self.since_opening = self.active.clone();
    }

    /// True if nothing can go wrong now.
    pub(super) fn is_quiet(&self) -> bool {
        self.active.is_empty()
    }

    /// True if what is read may be wrong: a log that is damaged at its end looks like one that a crash has cut.
    pub(super) fn would_mislead_recovery(&self) -> bool {
        self.active.contains(&FaultKind::FlipOnce)
    }

    /// True if a sync since the opening may have forgotten what it was to write.
    pub(super) fn has_forgotten(&self, faults: u64) -> bool {
        let forgets =
            |kind: &FaultKind| matches!(kind, FaultKind::FailSyncClean | FaultKind::FailSyncEvicted);
        faults > self.base && self.since_opening.iter().any(forgets)
    }

    /// Whether a failure of this kind has a cause, after so many operations have gone wrong.
    pub(super) fn excuse(&self, kind: FailureKind, faults: u64) -> bool {
        let has = |wanted: FaultKind| self.since_opening.contains(&wanted);
        let has_struck = faults > self.base;
        match kind {
            FailureKind::NoSpace => has(FaultKind::Full),
            FailureKind::Corrupt => has_struck && has(FaultKind::FlipOnce),
            FailureKind::Io | FailureKind::Poisoned | FailureKind::Stalled => {
                let fails = |kind: &FaultKind| !matches!(kind, FaultKind::Short | FaultKind::FlipOnce);
                has(FaultKind::Full) || (has_struck && self.since_opening.iter().any(fails))
            }
            _ => false,
        }
    }

    /// Whether a sync of a log has failed since an operation of the disk. That of a log which was made since does not
    /// count: nobody needs it.
    pub(super) fn has_failed_log_sync<E: Engine>(&self, disk: &SimDisk, operation: u64) -> bool {
        if !self.since_opening.iter().any(|kind| SYNC_FAULTS.contains(kind)) {
            return false;
        }
        let mut log = disk.log();
        log.retain(|entry| entry.number > operation && E::role(&entry.file) == Role::Log);
        let is_new = |file: &str| log.iter().any(|entry| entry.op == Op::Create && *entry.file == *file);
        log.iter().any(|entry| {
            let has_failed = matches!(entry.fault, Some(Fault::Error(_) | Fault::FailSync(_)));
            entry.op == Op::Sync && has_failed && !is_new(&entry.file)
        })
    }
}

impl<E: Engine> Sim<E> {
    /// Lets something go wrong from now on.
    pub(super) fn fault(&mut self, kind: FaultKind, file: u8, nth: u8) {
        let pattern = E::FILES[usize::from(file) % E::FILES.len()];
        self.faults.active.push(kind);
        self.faults.since_opening.push(kind);
        self.stats.count("faults");
        if kind == FaultKind::Full {
            self.disk.set_capacity(Some(self.disk.used_bytes() + u64::from(nth) * 700));
            return;
        }
        let rule = match kind {
            FaultKind::Short => Rule::new([Op::Read, Op::Write], Fault::Short).chance(300_000),
            FaultKind::FailRead => Rule::new([Op::Read], Fault::Error(EIO)),
            FaultKind::FailWrite => Rule::new([Op::Write], Fault::Error(EIO)),
            FaultKind::FailCreate => Rule::new([Op::Create], Fault::Error(EIO)),
            FaultKind::FailOpen => Rule::new([Op::Open, Op::List], Fault::Error(EIO)),
            FaultKind::FailNames => Rule::new([Op::Rename, Op::Remove], Fault::Error(EIO)),
            FaultKind::FailSetLen => Rule::new([Op::SetLen], Fault::Error(EIO)),
            FaultKind::FailSync => Rule::new([Op::Sync, Op::SyncDirectory], Fault::Error(EIO)),
            FaultKind::FailSyncDirty => failing_sync(Unwritten::Dirty),
            FaultKind::FailSyncClean => failing_sync(Unwritten::Clean),
            FaultKind::FailSyncEvicted => failing_sync(Unwritten::Evicted),
            FaultKind::FlipOnce => Rule::new([Op::Read], Fault::FlipOnce),
            FaultKind::Full => unreachable!("it is no rule"),
        };
        let rule = match kind {
            FaultKind::Short => rule,
            // Half of them strike once, the others again and again.
            _ if nth.is_multiple_of(2) => rule.file(pattern).from(nth.into()),
            _ => rule.file(pattern).nth(nth.into()),
        };
        self.disk.inject(rule);
    }

    /// Lets nothing go wrong any more. What has failed before may still be felt until the database is opened again.
    pub(super) fn heal(&mut self) {
        self.disk.clear_rules();
        self.disk.set_capacity(None);
        self.faults.active.clear();
    }
}

/// Files only: no system is known to forget names whose sync has failed, and go on.
fn failing_sync(unwritten: Unwritten) -> Rule {
    match unwritten {
        Unwritten::Dirty => Rule::new([Op::Sync, Op::SyncDirectory], Fault::FailSync(unwritten)),
        Unwritten::Clean | Unwritten::Evicted => Rule::new([Op::Sync], Fault::FailSync(unwritten)),
    }
}

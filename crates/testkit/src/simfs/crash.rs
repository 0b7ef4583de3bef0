//! What a crash does: how much of what was not synced is there afterwards, and what the disk says about it.

use super::rng::Rng;

/// What a disk makes of unsynced work when the machine loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPolicy {
    /// Which sectors, lengths and names survive.
    pub survival: Survival,
    /// So many of a hundred surviving sectors are torn: new up to some byte, old behind it, or the other way round.
    pub torn_percent: u32,
    /// So many of a hundred sectors that a file grew by, without their data having survived, hold what the disk had
    /// there before, which is other data of a file, or noise; all others are zeros. File systems with journals for data
    /// or ordered writes never show it; the default is 0.
    pub stale_percent: u32,
}

/// Which unsynced changes survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// None: the disk is as it was synced.
    Nothing,
    /// All: as if everything had been synced.
    Everything,
    /// Each on its own, by a chance that is drawn for each file and directory: none, few, half, most or all.
    Drawn,
}

impl Default for CrashPolicy {
    /// Each change on its own, one sector of ten torn, nothing stale.
    fn default() -> CrashPolicy {
        CrashPolicy { survival: Survival::Drawn, torn_percent: 10, stale_percent: 0 }
    }
}

/// What a crash kept and lost, for those who want to know that a test has teeth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// Unsynced sectors that survived whole.
    pub sectors_kept: u64,
    /// Unsynced sectors that are as they were before, or not there.
    pub sectors_lost: u64,
    /// Sectors that are half new and half old.
    pub sectors_torn: u64,
    /// Sectors that hold something else's data.
    pub sectors_stale: u64,
    /// Files whose length is neither the one they had before the crash nor the synced one.
    pub lengths_between: u64,
    /// Files whose synced length came back.
    pub lengths_lost: u64,
    /// Names created, renamed or removed that survived.
    pub names_kept: u64,
    /// Names created, renamed or removed for which this is undone.
    pub names_lost: u64,
}

impl CrashPolicy {
    /// Nothing that was not synced survives.
    pub fn lose_everything() -> CrashPolicy {
        CrashPolicy { survival: Survival::Nothing, torn_percent: 0, stale_percent: 0 }
    }

    /// Everything survives.
    pub fn keep_everything() -> CrashPolicy {
        CrashPolicy { survival: Survival::Everything, torn_percent: 0, stale_percent: 0 }
    }

    /// The chance that the changes of one file or directory have, of 64.
    pub(super) fn draw_chance(&self, rng: &mut Rng) -> u32 {
        match self.survival {
            Survival::Nothing => 0,
            Survival::Everything => 64,
            Survival::Drawn => [0, 4, 32, 60, 64][rng.below(5)],
        }
    }
}

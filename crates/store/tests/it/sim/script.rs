//! What happens in a run: steps that follow from a seed. A step names its transaction, table and key by numbers that are
//! looked up when it is done and does nothing where there is none, so any part of a script is a script: that is what
//! makes it smaller when it fails.
//!
//! Every script leaves out some kinds of steps and prefers others, so that rare combinations become common (Groce et al.,
//! "Swarm Testing", ISSTA 2012).

use std::fmt;

use super::rng::Rng;
use super::shapes::BULK_KEYS;

/// Transactions and snapshots that may be open at once, each.
pub(crate) const SLOTS: usize = 3;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begins a transaction; writes begin one too, where none is open.
    Begin {
        slot: u8,
        is_small: bool,
    },
    Insert {
        slot: u8,
        table: u8,
        key: u32,
        values: u32,
    },
    Put {
        slot: u8,
        table: u8,
        key: u32,
        values: u32,
    },
    Delete {
        slot: u8,
        table: u8,
        key: u32,
    },
    /// Many writes at once, more than a memtable holds.
    Bulk {
        slot: u8,
        table: u8,
        kind: Bulk,
        key: u32,
        count: u32,
        values: u32,
    },
    Savepoint {
        slot: u8,
    },
    RollbackTo {
        slot: u8,
        back: u8,
    },
    Commit {
        slot: u8,
        is_full: bool,
    },
    Rollback {
        slot: u8,
    },
    CreateTable {
        slot: u8,
        table: u8,
        shape: u8,
    },
    DropTable {
        slot: u8,
        table: u8,
    },
    CreateIndex {
        slot: u8,
        table: u8,
        index: u8,
        kind: u8,
    },
    DropIndex {
        slot: u8,
        index: u8,
    },
    /// Reads a row in a transaction.
    Get {
        slot: u8,
        table: u8,
        key: u32,
    },
    /// Reads a range in a transaction.
    Scan {
        slot: u8,
        table: u8,
        bounds: u32,
    },
    Snapshot {
        slot: u8,
    },
    Release {
        slot: u8,
    },
    /// Reads a row in a snapshot.
    Look {
        slot: u8,
        table: u8,
        key: u32,
    },
    /// Reads a range of a table or an index in a snapshot; so many of the following steps are done meanwhile.
    Walk {
        slot: u8,
        table: u8,
        index: Option<u8>,
        bounds: u32,
        meanwhile: u8,
    },
    Flush,
    Compact {
        slices: u8,
    },
    Sync,
    Close {
        memory: u8,
    },
    /// Ends the process.
    Kill {
        memory: u8,
    },
    /// Ends the machine at the so many-th change of the disk from now.
    Crash {
        after: u32,
        seed: u32,
        memory: u8,
    },
    /// Lets something go wrong from now on.
    Fault {
        kind: FaultKind,
        file: u8,
        nth: u8,
    },
    /// Nothing goes wrong any more.
    Heal,
    /// Damages a copy of the disk, and looks what becomes of it.
    Rot {
        kind: Rot,
        seed: u32,
    },
}

/// Kinds of [`Step::Bulk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bulk {
    Insert,
    Update,
    Delete,
}

/// Kinds of [`Step::Fault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Reads and writes move less than asked, and nothing fails.
    Short,
    FailRead,
    FailWrite,
    FailCreate,
    FailOpen,
    FailNames,
    FailSetLen,
    FailSync,
    /// A sync fails, and what was to be written stays so, is forgotten, or is gone.
    FailSyncDirty,
    FailSyncClean,
    FailSyncEvicted,
    /// The disk runs full.
    Full,
    /// A bit of what is read is wrong.
    FlipOnce,
}

impl FaultKind {
    pub(crate) const ALL: [FaultKind; 13] = [
        FaultKind::Short,
        FaultKind::FailRead,
        FaultKind::FailWrite,
        FaultKind::FailCreate,
        FaultKind::FailOpen,
        FaultKind::FailNames,
        FaultKind::FailSetLen,
        FaultKind::FailSync,
        FaultKind::FailSyncDirty,
        FaultKind::FailSyncClean,
        FaultKind::FailSyncEvicted,
        FaultKind::Full,
        FaultKind::FlipOnce,
    ];
}

/// Kinds of [`Step::Rot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rot {
    /// A bit on the disk turns.
    Flip,
    /// A bit of what is read is wrong, once, while the database is opened and read.
    FlipRead,
    /// A write goes elsewhere.
    Misdirect,
    /// A write does nothing.
    LoseWrite,
}

/// What kinds of runs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Crashes and restarts on a disk that keeps its promises.
    Crashes,
    /// Errors of the disk as well.
    Faults,
    /// Damaged copies as well.
    Rot,
    /// A crash every few steps, of a small database.
    Bursts,
}

impl Profile {
    pub(crate) const ALL: [Profile; 4] = [Profile::Crashes, Profile::Faults, Profile::Rot, Profile::Bursts];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Crashes => "crashes",
            Profile::Faults => "faults",
            Profile::Rot => "rot",
            Profile::Bursts => "bursts",
        }
    }
}

/// How often each kind of step comes; the order is that of [`draw`].
const WEIGHTS: [u32; 26] = [
    2,  // begin
    14, // insert
    20, // put
    10, // delete
    4,  // bulk
    5,  // savepoint
    5,  // roll back to
    16, // commit
    2,  // roll back
    1,  // create a table
    1,  // drop a table
    2,  // create an index
    1,  // drop an index
    6,  // get
    4,  // scan
    4,  // snapshot
    1,  // release
    4,  // look
    6,  // walk
    5,  // flush
    5,  // compact
    2,  // sync
    1,  // close
    2,  // kill
    0,  // crash: drawn
    0,  // fault, heal, rot
];

/// The steps of a seed.
pub(crate) fn script(profile: Profile, seed: u64, steps: usize) -> Vec<Step> {
    let mut rng = Rng::new(seed ^ (profile as u64) << 56);
    let mut weights = WEIGHTS;
    for (kind, weight) in weights.iter_mut().enumerate() {
        match rng.below(10) {
            // Without commits nothing happens, and without crashes not what this is for.
            0 if kind != 7 && kind != 24 => *weight = 0,
            1 => *weight *= 3,
            _ => {}
        }
    }
    weights[25] = match profile {
        Profile::Crashes | Profile::Bursts => 0,
        Profile::Faults => 9,
        Profile::Rot => 4,
    };
    // Some run long enough between two crashes for old snapshots to be read.
    weights[24] = *rng.pick(&[2, 5, 9, 12]);
    if profile == Profile::Bursts {
        weights[4] = weights[4].min(1);
        weights[24] = 90;
    }
    let world = World {
        profile,
        slots: rng.between(1, SLOTS as u64),
        keys: *rng.pick(&[4, 20, 90]),
        full_percent: *rng.pick(&[20, 60, 100]),
    };
    let mut script = prologue(&mut rng);
    while script.len() < steps {
        let step = world.draw(&weights, &mut rng);
        script.push(step);
        if profile == Profile::Faults && rng.percent(2) {
            world.tell_of_a_sync(&mut script, &mut rng);
        }
    }
    script
}

/// Makes the tables, with an index or two each.
fn prologue(rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    for table in 0..3 {
        steps.push(Step::CreateTable { slot: 0, table, shape: table });
        for index in 0..rng.below(3) as u8 {
            let kind = rng.below(5) as u8;
            steps.push(Step::CreateIndex { slot: 0, table, index: 2 * table + index, kind });
        }
    }
    steps.push(Step::Commit { slot: 0, is_full: rng.percent(80) });
    steps
}

/// What is the same in all steps of a script.
struct World {
    profile: Profile,
    /// How many transactions and snapshots may be open.
    slots: u64,
    /// How many keys there are that transactions fight for.
    keys: u64,
    full_percent: u64,
}

impl World {
    fn draw(&self, weights: &[u32], rng: &mut Rng) -> Step {
        let kind = rng.weighted(weights);
        let slot = rng.below(self.slots) as u8;
        let table = *rng.pick(&[0, 0, 0, 1, 1, 2, 2, 3]);
        let index = rng.below(8) as u8;
        let (key, values) = (rng.below(self.keys) as u32, rng.next() as u32);
        let memory = rng.below(8) as u8;
        match kind {
            0 => Step::Begin { slot, is_small: rng.percent(30) },
            1 => Step::Insert { slot, table, key, values },
            2 => Step::Put { slot, table, key, values },
            3 => Step::Delete { slot, table, key },
            4 => self.bulk(slot, table, values, rng),
            5 => Step::Savepoint { slot },
            6 => Step::RollbackTo { slot, back: rng.below(3) as u8 },
            7 => Step::Commit { slot, is_full: rng.percent(self.full_percent) },
            8 => Step::Rollback { slot },
            9 => Step::CreateTable { slot, table, shape: rng.below(3) as u8 },
            10 => Step::DropTable { slot, table },
            11 => Step::CreateIndex { slot, table, index, kind: rng.below(5) as u8 },
            12 => Step::DropIndex { slot, index },
            13 => Step::Get { slot, table, key },
            14 => Step::Scan { slot, table, bounds: values },
            15 => Step::Snapshot { slot },
            16 => Step::Release { slot },
            17 => Step::Look { slot, table, key },
            18 => {
                let index = rng.percent(50).then_some(index);
                let meanwhile = if rng.percent(50) { rng.below(12) as u8 } else { 0 };
                Step::Walk { slot, table, index, bounds: values, meanwhile }
            }
            19 => Step::Flush,
            20 => Step::Compact { slices: rng.between(1, 6) as u8 },
            21 => Step::Sync,
            22 => Step::Close { memory },
            23 => Step::Kill { memory },
            24 => {
                let most = match self.profile {
                    Profile::Bursts => *rng.pick(&[1, 4, 12]),
                    _ => *rng.pick(&[1, 6, 20, 60]),
                };
                Step::Crash { after: rng.below(most) as u32, seed: values, memory }
            }
            _ => self.trouble(values, rng),
        }
    }

    fn bulk(&self, slot: u8, table: u8, values: u32, rng: &mut Rng) -> Step {
        let kind = *rng.pick(&[Bulk::Insert, Bulk::Insert, Bulk::Update, Bulk::Delete]);
        let count = rng.between(20, 200) as u32;
        let key = BULK_KEYS + rng.below(4) as u32 * 100;
        Step::Bulk { slot, table, kind, key, count, values }
    }

    /// A commit whose sync fails, another process that goes on, and a crash: each step is left out now and then.
    fn tell_of_a_sync(&self, script: &mut Vec<Step>, rng: &mut Rng) {
        let kinds = [FaultKind::FailSyncDirty, FaultKind::FailSyncClean, FaultKind::FailSyncEvicted];
        let kind = *rng.pick(&kinds);
        let (slot, table, seed, memory) = (0, 0, rng.next() as u32, rng.below(8) as u8);
        let mut put =
            || Step::Put { slot, table, key: rng.below(self.keys) as u32, values: rng.next() as u32 };
        let commit = Step::Commit { slot, is_full: true };
        let story = [
            put(),
            Step::Commit { slot, is_full: false },
            put(),
            Step::Fault { kind, file: 0, nth: 1 },
            commit,
            Step::Heal,
            Step::Kill { memory },
            put(),
            commit,
            Step::Crash { after: 0, seed, memory },
        ];
        script.extend(story.into_iter().filter(|_| rng.percent(90)));
    }

    fn trouble(&self, seed: u32, rng: &mut Rng) -> Step {
        if self.profile == Profile::Rot {
            let kind =
                *rng.pick(&[Rot::Flip, Rot::Flip, Rot::Flip, Rot::FlipRead, Rot::Misdirect, Rot::LoseWrite]);
            return Step::Rot { kind, seed };
        }
        match rng.percent(35) {
            true => Step::Heal,
            false => {
                let often =
                    [FaultKind::FailWrite, FaultKind::FailWrite, FaultKind::Full, FaultKind::FailSync];
                let kind = if rng.percent(30) { *rng.pick(&often) } else { *rng.pick(&FaultKind::ALL) };
                let most = *rng.pick(&[2, 12]);
                Step::Fault { kind, file: rng.below(12) as u8, nth: rng.between(1, most) as u8 }
            }
        }
    }
}

impl fmt::Display for Step {
    /// `put s0 t1 17 3a5f`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Step::Begin { slot, is_small } => {
                write!(f, "begin s{slot}{}", if is_small { " small" } else { "" })
            }
            Step::Insert { slot, table, key, values } => {
                write!(f, "insert s{slot} t{table} {key} {values:x}")
            }
            Step::Put { slot, table, key, values } => write!(f, "put s{slot} t{table} {key} {values:x}"),
            Step::Delete { slot, table, key } => write!(f, "delete s{slot} t{table} {key}"),
            Step::Bulk { slot, table, kind, key, count, values } => {
                write!(f, "bulk {kind:?} s{slot} t{table} {key} {count} {values:x}")
            }
            Step::Savepoint { slot } => write!(f, "savepoint s{slot}"),
            Step::RollbackTo { slot, back } => write!(f, "rollback to s{slot} {back}"),
            Step::Commit { slot, is_full } => {
                write!(f, "commit s{slot} {}", if is_full { "full" } else { "normal" })
            }
            Step::Rollback { slot } => write!(f, "rollback s{slot}"),
            Step::CreateTable { slot, table, shape } => write!(f, "create table s{slot} t{table} {shape}"),
            Step::DropTable { slot, table } => write!(f, "drop table s{slot} t{table}"),
            Step::CreateIndex { slot, table, index, kind } => {
                write!(f, "create index s{slot} t{table} i{index} {kind}")
            }
            Step::DropIndex { slot, index } => write!(f, "drop index s{slot} i{index}"),
            Step::Get { slot, table, key } => write!(f, "get s{slot} t{table} {key}"),
            Step::Scan { slot, table, bounds } => write!(f, "scan s{slot} t{table} {bounds:x}"),
            Step::Snapshot { slot } => write!(f, "snapshot r{slot}"),
            Step::Release { slot } => write!(f, "release r{slot}"),
            Step::Look { slot, table, key } => write!(f, "look r{slot} t{table} {key}"),
            Step::Walk { slot, table, index, bounds, meanwhile } => {
                write!(f, "walk r{slot} t{table}")?;
                if let Some(index) = index {
                    write!(f, " i{index}")?;
                }
                write!(f, " {bounds:x} meanwhile {meanwhile}")
            }
            Step::Flush => f.write_str("flush"),
            Step::Compact { slices } => write!(f, "compact {slices}"),
            Step::Sync => f.write_str("sync"),
            Step::Close { memory } => write!(f, "close, memory {memory}"),
            Step::Kill { memory } => write!(f, "kill, memory {memory}"),
            Step::Crash { after, seed, memory } => {
                write!(f, "crash after {after} seed {seed:x}, memory {memory}")
            }
            Step::Fault { kind, file, nth } => write!(f, "fault {kind:?} file {file} nth {nth}"),
            Step::Heal => f.write_str("heal"),
            Step::Rot { kind, seed } => write!(f, "rot {kind:?} {seed:x}"),
        }
    }
}

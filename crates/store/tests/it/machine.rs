//! What the tests of files share: a machine with a budget, and random choices from a seed.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::Budget;
use cofferdam_store::Error;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::manifest::Root;
use cofferdam_testkit::simfs::{CrashPolicy, EIO, ENOSPC, Fault, Op, Rule, SimDisk, Survival, Unwritten};
use cofferdam_vfs::Vfs;

/// Random choices (splitmix64).
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
#[derive(Clone, Debug)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Choices {
        Choices(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes()).take(count as usize).collect()
    }
}

/// The budget of a root with this limit.
pub(crate) fn budget(limit_bytes: u64) -> Budget {
    Budget::unlimited("process").unwrap().child("store", limit_bytes).unwrap()
}

pub(crate) fn open(disk: &SimDisk, access: Access, budget: &Budget) -> Result<(Directory, Root), Error> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Directory::open(&vfs, Path::new("db"), access, budget)
}

/// What lets operations go wrong that a program must bear.
pub(crate) fn faults(choices: &mut Choices) -> Vec<Rule> {
    let chance = 1 + choices.below(30_000) as u32;
    let unwritten = [Unwritten::Dirty, Unwritten::Clean, Unwritten::Evicted][choices.below(3) as usize];
    let mut rules = vec![Rule::new([Op::Read, Op::Write], Fault::Short).chance(100_000)];
    match choices.below(4) {
        0 => {}
        1 => {
            let fault = Fault::FailSync(unwritten);
            rules.push(Rule::new([Op::Sync], fault).chance(10 * chance));
            // Not of the directory above: whoever makes a database again after that must look for it there.
            rules.push(Rule::new([Op::SyncDirectory], fault).file("db").chance(10 * chance));
        }
        2 => {
            let ops = [Op::Write, Op::SetLen, Op::Create, Op::Remove, Op::Rename];
            rules.push(Rule::new(ops, Fault::Error(ENOSPC)).chance(chance));
        }
        _ => {
            let ops = [Op::Read, Op::Open, Op::List, Op::Sync, Op::SyncDirectory];
            rules.push(Rule::new(ops, Fault::Error(EIO)).chance(chance));
        }
    }
    rules
}

/// Whether an error is the system's, or what it leaves.
pub(crate) fn is_of_the_system(error: &Error) -> bool {
    matches!(error, Error::Io(_) | Error::Poisoned)
}

/// The seeds of a test: `count` of them, or as many as the variable `STORE_SEEDS` says.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    0..std::env::var("STORE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(count)
}

/// Why a life of a machine ended before its time.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The store gave an error.
    Error(Error),
    /// What is there is not what must be there.
    Wrong(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Error(error)
    }
}

/// Says what is wrong, if it is.
pub(crate) fn must(is_right: bool, what: impl FnOnce() -> String) -> Result<(), Stop> {
    if is_right { Ok(()) } else { Err(Stop::Wrong(what())) }
}

/// What befalls a machine in its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Losses of power only.
    Crashes,
    /// The process ends, and operations of the system fail.
    Faults,
}

/// Lets a machine live several times. Each life gets the disk, random choices and a budget with this limit, and works until
/// something stops it; then the machine loses its power, or the process ends. Syncs of `ignored` names do nothing.
pub(crate) fn live(
    seed: u64,
    fate: Fate,
    ignored: Option<&str>,
    limit_bytes: u64,
    mut life: impl FnMut(&SimDisk, &mut Choices, &Budget) -> Result<(), Stop>,
) -> Result<(), String> {
    let mut choices = Choices::new(seed);
    let disk = SimDisk::new(seed);
    for number in 0..6 {
        match fate {
            Fate::Crashes => disk.crash_at(1 + choices.below(120)),
            Fate::Faults => faults(&mut choices).into_iter().for_each(|rule| disk.inject(rule)),
        }
        ignored.into_iter().for_each(|pattern| disk.ignore_syncs(pattern));
        let budget = budget(limit_bytes);
        let wrong = match life(&disk, &mut choices, &budget) {
            Ok(()) => None,
            Err(Stop::Error(error))
                if is_of_the_system(&error) && (disk.is_gone() || fate == Fate::Faults) =>
            {
                None
            }
            Err(Stop::Error(error)) => Some(error.to_string()),
            Err(Stop::Wrong(what)) => Some(what),
        };
        if let Some(what) = wrong {
            return Err(format!("seed {seed}, life {number}: {what}\n{}", disk.log_text()));
        }
        assert_eq!(budget.used(), 0, "seed {seed}, life {number}: memory is left behind");
        disk.clear_rules();
        let stale_percent = [0, 50][choices.below(2) as usize];
        let policy = CrashPolicy { survival: Survival::Drawn, torn_percent: 20, stale_percent };
        if disk.is_gone() || choices.one_in(2) {
            disk.crash_with(&policy, choices.next());
        } else {
            disk.kill();
        }
    }
    Ok(())
}

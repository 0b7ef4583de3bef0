//! What is measured: jobs, who does them, and what they leave behind for others.

use crate::cell::{Figures, Outcome, Settings};
use crate::engines::{self, ours};
use crate::kv::{Order, Workload};
use crate::lineitem;
use crate::memtable;

/// Something that each contestant does in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Maps in memory.
    Memtable,
    /// Small rows in an engine.
    Rows(Workload),
    /// TPC-H's `lineitem`.
    Lineitem(lineitem::Workload),
}

/// All jobs, in the order in which they run, by name.
const JOBS: &[(&str, Job)] = &[
    ("memtable", Job::Memtable),
    ("load_in_order", Job::Rows(Workload::Load(Order::Ascending))),
    ("load_at_random", Job::Rows(Workload::Load(Order::Random))),
    ("commit_1", Job::Rows(Workload::Commit(1))),
    ("commit_8", Job::Rows(Workload::Commit(8))),
    ("get_prepare", Job::Rows(Workload::Prepare)),
    ("get_in_cache", Job::Rows(Workload::Get { in_cache: true })),
    ("get_out_of_cache", Job::Rows(Workload::Get { in_cache: false })),
    ("lineitem_generate", Job::Lineitem(lineitem::Workload::Generate)),
    ("lineitem_size", Job::Lineitem(lineitem::Workload::Size)),
    ("lineitem_sum", Job::Lineitem(lineitem::Workload::Sum)),
    ("lineitem_load_32m", Job::Lineitem(lineitem::Workload::LoadLimited(32))),
    ("lineitem_load_16m", Job::Lineitem(lineitem::Workload::LoadLimited(16))),
];

/// What a job works on that another job has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: an empty directory.
    Nothing,
    /// What this job has left in the contestant's directory, which no job changes any more.
    Kept(&'static str),
}

impl Job {
    /// The job that is called `name`.
    pub fn named(name: &str) -> Option<Job> {
        JOBS.iter().find(|(known, _)| *known == name).map(|(_, job)| *job)
    }

    /// All that are measured, in order.
    pub fn all() -> impl Iterator<Item = Job> {
        JOBS.iter().map(|(_, job)| *job).filter(|job| !job.prepares())
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        JOBS.iter().find(|(_, job)| *job == self).map_or("", |(name, _)| name)
    }

    /// It makes something for others, and its figures are of no interest.
    fn prepares(self) -> bool {
        matches!(self, Job::Rows(Workload::Prepare) | Job::Lineitem(lineitem::Workload::Generate))
    }

    /// A line for people.
    pub fn about(self) -> &'static str {
        use lineitem::Workload::{LoadLimited, Size, Sum};
        match self {
            Job::Memtable => "ordered maps in memory: 1M random keys of 8 B, values of 8 B; per entry",
            Job::Rows(Workload::Load(Order::Ascending)) => {
                "1M rows of 100 B into an empty table, keys ascending, until closed; per row"
            }
            Job::Rows(Workload::Load(Order::Random)) => {
                "1M rows of 100 B into an empty table, keys at random, until closed; per row"
            }
            Job::Rows(Workload::Commit(1)) => {
                "durable commits of one row of 100 B, over 100K rows; per commit"
            }
            Job::Rows(Workload::Commit(_)) => "the same by 8 threads; per commit",
            Job::Rows(Workload::Get { in_cache: true }) => {
                "single rows out of 1M, in one transaction, all in the engine's cache; per row"
            }
            Job::Rows(Workload::Get { in_cache: false }) => {
                "the same with a cache of 1 MiB, files cached by the system; per row"
            }
            Job::Lineitem(Size) => "lineitem at scale factor 1, alone in a database",
            Job::Lineitem(Sum) => "sums of three integer columns of lineitem, one thread, hot; per query",
            Job::Lineitem(LoadLimited(32)) => "load of lineitem from .tbl at a limit of 32 MiB",
            Job::Lineitem(LoadLimited(_)) => "the same at 16 MiB",
            Job::Rows(Workload::Prepare) | Job::Lineitem(lineitem::Workload::Generate) => "made for others",
        }
    }

    /// What must be there before.
    pub fn needs(self) -> Needs {
        match self {
            Job::Rows(Workload::Get { .. }) => Needs::Kept("get_prepare"),
            Job::Lineitem(lineitem::Workload::Sum) => Needs::Kept("lineitem_size"),
            _ => Needs::Nothing,
        }
    }

    /// It reads `lineitem.tbl`, or compares with what its generation has noted.
    pub fn needs_text(self) -> bool {
        matches!(self, Job::Lineitem(workload) if workload != lineitem::Workload::Generate)
    }

    /// How often it is done: what has one answer is done once.
    pub fn rounds(self, rounds_count: usize) -> usize {
        use lineitem::Workload::{LoadLimited, Size};
        if matches!(self, Job::Lineitem(Size | LoadLimited(_))) { 1 } else { rounds_count }
    }

    /// The names of all who can do it.
    pub fn contestants(self) -> Vec<&'static str> {
        use lineitem::Workload::{LoadLimited, Size, Sum};
        match self {
            Job::Memtable => {
                let mut names = ours::MEMTABLES.to_vec();
                if cfg!(feature = "peers") {
                    names.push("skipmap");
                }
                names.extend(["btreemap", "btreemap-locked"]);
                names
            }
            Job::Rows(Workload::Get { .. }) => [ours::READERS, &engines::names()].concat(),
            Job::Rows(_) => engines::names(),
            Job::Lineitem(Size) => with_ours(&[lineitem::DUCKDB]),
            Job::Lineitem(Sum) => with_ours(&[lineitem::DUCKDB, lineitem::PLAIN]),
            Job::Lineitem(LoadLimited(_)) => {
                [&[lineitem::PROGRAM], ours::LINEITEM_LOADERS, &[lineitem::DUCKDB]].concat()
            }
            Job::Lineitem(lineitem::Workload::Generate) => Vec::new(),
        }
    }

    /// Does it, for `contestant`, in this process.
    ///
    /// # Errors
    /// Nobody is called so, its own, or a wrong answer.
    pub fn run(self, contestant: &str, settings: &Settings) -> Outcome<Figures> {
        match (self, contestant) {
            (Job::Memtable, "btreemap") => memtable::alone::<memtable::btree::Map>(settings),
            (Job::Memtable, "btreemap-locked") => {
                memtable::alone_and_shared::<memtable::locked::Map>(settings)
            }
            #[cfg(feature = "peers")]
            (Job::Memtable, "skipmap") => memtable::alone_and_shared::<memtable::skiplist::Map>(settings),
            (Job::Memtable, _) => ours::memtable(contestant, settings),
            (Job::Rows(workload), _) => engines::run(contestant, workload, settings),
            (Job::Lineitem(workload), _) => workload.run(contestant, settings),
        }
    }
}

fn with_ours(peers: &[&'static str]) -> Vec<&'static str> {
    [ours::LINEITEM_STORES, peers].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_has_a_name_and_finds_what_it_needs() {
        for job in Job::all() {
            assert_eq!(Job::named(job.name()), Some(job));
            assert!(!job.contestants().is_empty(), "{job:?}");
            if let Needs::Kept(name) = job.needs() {
                assert!(Job::named(name).is_some(), "{name}");
            }
        }
    }
}

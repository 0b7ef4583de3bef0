//! The limit sweep: work is rerun with more and more memory until it succeeds.
//!
//! ```text
//! limit 0  ->  refused, used 0 + asked 4 KiB     next limit 4 KiB
//! 4 KiB    ->  refused, used 4 + asked 1 KiB     next limit 5 KiB
//! 5 KiB    ->  refused, ...
//! ...
//! 72 KiB   ->  success: 72 KiB is the least that this work needs
//! ```
//!
//! Each limit is the smallest at which something new can happen, so the sweep stops at every charge that can be the
//! first to fail, and at no limit twice. After each attempt it checks that
//!
//! 1. the failure is a refusal of memory and its path is not empty;
//! 2. every watched budget holds exactly what it held before;
//! 3. at the limit that a refusal names as sufficient, the work succeeds;
//! 4. the next limit is a larger one.
//!
//! # Source
//! SQLite's `malloc_common.tcl` and Lua's `memerr.lua` fail allocations one after the other; limits that grow by what
//! the error says test the error's figures as well.

use crate::refusal::{Refused, checked, held_bytes};
use cofferdam_arena::Budget;
use std::collections::BTreeSet;
use std::fmt;

/// How to sweep; see the module.
#[derive(Default)]
pub struct Sweep {
    watched: Vec<Budget>,
    first_limit_bytes: u64,
    steps_max: Option<usize>,
}

/// Attempts after which a sweep gives up, unless told otherwise.
pub const STEPS_MAX: usize = 20_000;

/// A sweep that found nothing wrong.
#[derive(Debug)]
pub struct Swept<T> {
    /// What the work returned when it had enough.
    pub value: T,
    /// The first limit under which it succeeded, in bytes.
    pub limit_bytes: u64,
    /// How many attempts were refused.
    pub refusals_count: usize,
    /// Where they were refused: path and stage of each refusal, without repetitions.
    pub places: BTreeSet<(String, &'static str)>,
}

/// What a sweep found wrong, and under which limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The limit of the attempt, in bytes.
    pub limit_bytes: u64,
    /// What is wrong.
    pub kind: FindingKind,
}

/// The kinds of findings, one for each check of the module's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The work failed otherwise than by a proper refusal.
    Untyped(String),
    /// A watched budget holds something else than before.
    NotBack {
        /// Name of the budget.
        budget: String,
        /// Bytes that it held before the sweep.
        before_bytes: u64,
        /// Bytes that it holds now.
        after_bytes: u64,
    },
    /// The limit that a refusal named as sufficient was not.
    NotSufficient {
        /// That limit in bytes.
        named_bytes: u64,
        /// How the work failed under it.
        failure: String,
    },
    /// The refusal does not say how to get further.
    NoProgress {
        /// The next limit according to the refusal, in bytes.
        next_bytes: u64,
        /// The refusal.
        failure: String,
    },
    /// The work still fails after so many attempts.
    TooManySteps(usize),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with a limit of {} bytes: ", self.limit_bytes)?;
        match &self.kind {
            FindingKind::Untyped(failure) => f.write_str(failure),
            FindingKind::NotBack { budget, before_bytes, after_bytes } => {
                write!(f, "`{budget}` held {before_bytes} bytes before and {after_bytes} after")
            }
            FindingKind::NotSufficient { named_bytes, failure } => {
                write!(f, "{named_bytes} bytes were called sufficient, and under that limit: {failure}")
            }
            FindingKind::NoProgress { next_bytes, failure } => {
                write!(f, "the next limit would be {next_bytes} bytes, which is not more: {failure}")
            }
            FindingKind::TooManySteps(steps_count) => write!(f, "still refused after {steps_count} attempts"),
        }
    }
}

impl std::error::Error for Finding {}

impl Sweep {
    /// From limit 0, with at most [`STEPS_MAX`] attempts, watching nothing.
    pub fn new() -> Sweep {
        Sweep::default()
    }

    /// `budget` must hold the same after each attempt as before the sweep. Not for the root of a tree: it keeps the
    /// pages of nodes that its tree once had.
    pub fn watching(mut self, budget: &Budget) -> Sweep {
        self.watched.push(budget.clone());
        self
    }

    /// Begins with this limit instead of 0.
    pub fn from_bytes(mut self, limit_bytes: u64) -> Sweep {
        self.first_limit_bytes = limit_bytes;
        self
    }

    /// Gives up after so many attempts.
    pub fn steps_max(mut self, steps_max: usize) -> Sweep {
        self.steps_max = Some(steps_max);
        self
    }

    /// Sweeps `work`, which gets the limit of each attempt.
    ///
    /// The refusals must come from the budget that has this limit; one from a budget whose limit stays the same ends
    /// the sweep with [`FindingKind::NoProgress`].
    ///
    /// # Errors
    /// The first finding.
    pub fn run<T, E: Refused>(self, mut work: impl FnMut(u64) -> Result<T, E>) -> Result<Swept<T>, Finding> {
        let before: Vec<u64> = self.watched.iter().map(held_bytes).collect();
        let mut attempt = |limit_bytes: u64| {
            let outcome = work(limit_bytes);
            self.all_are_back(limit_bytes, &before).map(|()| outcome)
        };
        let steps_max = self.steps_max.unwrap_or(STEPS_MAX);
        let mut places = BTreeSet::new();
        let mut sufficient_seen = BTreeSet::new();
        let mut limit_bytes = self.first_limit_bytes;
        for refusals_count in 0..steps_max {
            let found = |kind| Finding { limit_bytes, kind };
            let error = match attempt(limit_bytes)? {
                Ok(value) => return Ok(Swept { value, limit_bytes, refusals_count, places }),
                Err(error) => error,
            };
            let record = checked(&error).map_err(|text| found(FindingKind::Untyped(text)))?;
            places.insert((record.path().to_owned(), record.stage()));
            if let Some(named_bytes) =
                record.sufficient_bytes().filter(|&bytes| sufficient_seen.insert(bytes))
                && let Err(error) = attempt(named_bytes)?
            {
                return Err(found(FindingKind::NotSufficient { named_bytes, failure: error.to_string() }));
            }
            let next_bytes = record.needed_bytes();
            if next_bytes <= limit_bytes {
                return Err(found(FindingKind::NoProgress { next_bytes, failure: error.to_string() }));
            }
            limit_bytes = next_bytes;
        }
        Err(Finding { limit_bytes, kind: FindingKind::TooManySteps(steps_max) })
    }

    /// Sweeps `work` under `budget`, whose limit is set for each attempt and set back at the end, and watches it.
    ///
    /// # Errors
    /// The first finding.
    pub fn run_under<T, E: Refused>(
        self,
        budget: &Budget,
        mut work: impl FnMut(&Budget) -> Result<T, E>,
    ) -> Result<Swept<T>, Finding> {
        let limit_bytes_before = budget.limit();
        let swept = self.watching(budget).run(|limit_bytes| {
            budget.set_limit(limit_bytes);
            work(budget)
        });
        budget.set_limit(limit_bytes_before);
        swept
    }

    fn all_are_back(&self, limit_bytes: u64, before: &[u64]) -> Result<(), Finding> {
        for (budget, &before_bytes) in self.watched.iter().zip(before) {
            let after_bytes = held_bytes(budget);
            if after_bytes != before_bytes {
                let budget = budget.name().to_owned();
                return Err(Finding {
                    limit_bytes,
                    kind: FindingKind::NotBack { budget, before_bytes, after_bytes },
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use cofferdam_arena::{Arena, Stage};

    static FIRST: Stage = Stage::new("first");
    static SECOND: Stage = Stage::new("second");

    fn db() -> Budget {
        let root = Budget::root("root", 64 << 20).expect("room for a tree");
        root.child("db", 32 << 20).expect("room for a node")
    }

    /// Two stages with an arena each, `bytes` in the second.
    fn work(budget: &Budget, bytes: usize) -> Result<u64, Failure> {
        let failure = |error| Failure::of(budget, &error, true);
        let statement = budget.child("statement", u64::MAX).map_err(failure)?;
        statement.set_stage(&FIRST);
        let first = Arena::new(&statement);
        first.alloc_slice_fill(1000, 1u64).map_err(failure)?;
        statement.set_stage(&SECOND);
        let second = Arena::new(&statement);
        let mut sum = 0;
        for byte in 0..bytes {
            sum += u64::from(*second.alloc(byte as u8).map_err(failure)?);
        }
        Ok(sum)
    }

    /// Aim: the sweep meets every charge and ends at the least sufficient limit. Method: one byte less must not do.
    #[test]
    fn the_least_sufficient_limit_is_found() {
        let db = db();
        let swept = Sweep::new().run_under(&db, |budget| work(budget, 5000)).expect("no finding");
        assert_eq!(swept.value, (0..5000).map(|byte: u64| byte % 256).sum::<u64>());
        let stages: Vec<&str> = swept.places.iter().map(|(_, stage)| *stage).collect();
        assert_eq!(stages, ["first", "second"]);
        assert!(swept.refusals_count >= 3, "{swept:?}");
        assert_eq!(db.limit(), 32 << 20, "the limit is as it was");
        db.set_limit(swept.limit_bytes - 1);
        assert!(work(&db, 5000).is_err());
        db.set_limit(swept.limit_bytes);
        assert!(work(&db, 5000).is_ok());
    }

    #[test]
    fn a_whole_tree_can_be_swept() {
        let swept = Sweep::new()
            .run(|limit_bytes| {
                let root = Budget::root("root", limit_bytes).map_err(Failure::from)?;
                work(&root, 100)
            })
            .expect("no finding");
        assert!(swept.limit_bytes >= 4096 + 8000, "{}", swept.limit_bytes);
    }

    fn kind_of<T: fmt::Debug>(swept: Result<Swept<T>, Finding>) -> FindingKind {
        swept.expect_err("something is wrong").kind
    }

    #[test]
    fn a_leak_is_found() {
        let db = db();
        let kind = kind_of(Sweep::new().run_under(&db, |budget| {
            let outcome = work(budget, 10);
            if budget.limit() > 0 {
                budget.charge(1024).map_err(|error| Failure::of(budget, &error, true))?;
            }
            outcome
        }));
        assert!(matches!(kind, FindingKind::NotBack { before_bytes: 0, after_bytes: 1024, .. }), "{kind:?}");
    }

    #[test]
    fn an_untyped_error_is_found() {
        let db = db();
        let lost = |budget: &Budget| work(budget, 10).map_err(|_| Failure::Other("it went wrong".to_owned()));
        let kind = kind_of(Sweep::new().run_under(&db, lost));
        assert_eq!(kind, FindingKind::Untyped("not a refusal of memory: it went wrong".to_owned()));
        let kind = kind_of(Sweep::new().run_under(&db, |budget| {
            budget.clear_refusal();
            Err::<(), _>(Failure::of(budget, &"out of memory", true))
        }));
        assert!(matches!(kind, FindingKind::Untyped(text) if text.contains("has no record")));
    }

    #[test]
    fn a_false_sufficient_limit_is_found() {
        let db = db();
        let named = |bytes: u64| {
            move |budget: &Budget| match work(budget, 5000) {
                Err(Failure::OutOfMemory(record)) => Err(record.with_sufficient_bytes(bytes).into()),
                outcome => outcome,
            }
        };
        let kind = kind_of(Sweep::new().run_under(&db, named(9 << 10)));
        assert!(matches!(kind, FindingKind::NotSufficient { named_bytes: 9216, .. }), "{kind:?}");
        Sweep::new().run_under(&db, named(1 << 20)).expect("a true one is confirmed");
    }

    #[test]
    fn a_refusal_by_another_limit_is_found() {
        let db = db();
        let small = db.child("small", 1 << 10).expect("room for a node");
        let kind = kind_of(Sweep::new().run_under(&db, |_| work(&small, 10)));
        assert!(matches!(kind, FindingKind::NoProgress { .. }), "{kind:?}");
    }

    #[test]
    fn endless_work_is_found() {
        let db = db();
        let kind = kind_of(Sweep::new().steps_max(5).run_under(&db, |budget| work(budget, 1 << 20)));
        assert_eq!(kind, FindingKind::TooManySteps(5));
    }
}

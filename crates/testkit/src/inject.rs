//! Injection: the n-th charge of some work is refused, for every n.
//!
//! Unlike the limit sweep, which stops where memory really ends, this makes each single charge the one that fails,
//! also those that come after larger ones were given back. First the work runs undisturbed and its charges are
//! counted. Then, for n = 1, 2, … it runs again with the n-th charge refused: up to [`EVERY_MAX`] every n, beyond
//! that one n at random out of each of [`STRATA_COUNT`] equal parts of the rest. After each run
//!
//! 1. the work has failed with a refusal of memory that names a path, or it has succeeded without that charge
//!    (it has a cheaper form) and as it did at first;
//! 2. the watched budget holds exactly what it held before.
//!
//! At the end the work must succeed undisturbed, and as it did at first.

use crate::refusal::{Refused, checked, held_bytes};
use cofferdam_arena::Budget;
use std::collections::BTreeSet;
use std::fmt;

/// Up to here every n is tried.
pub const EVERY_MAX: u64 = 2_000;
/// So many n are tried beyond.
pub const STRATA_COUNT: u64 = 200;
/// The first guess at how many charges a work makes; it is made eight times larger until it is too large.
const CHARGES_GUESS: u64 = 1 << 12;

/// How to inject; see the module.
#[derive(Clone, Debug)]
pub struct Injection {
    every_max: u64,
    strata_count: u64,
    seed: u64,
}

/// An injection that found nothing wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Injected {
    /// Charges that the undisturbed work makes.
    pub charges_count: u64,
    /// Runs that ended with the refusal.
    pub refused_count: u64,
    /// Runs that succeeded without the refused charge.
    pub survived_count: u64,
    /// Where it was refused: path and stage of each refusal, without repetitions.
    pub places: BTreeSet<(String, &'static str)>,
}

/// What an injection found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The refused charge; 0 where none was.
    pub nth: u64,
    /// The seed of the sample.
    pub seed: u64,
    /// What is wrong.
    pub kind: FindingKind,
}

/// The kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The work failed without an injection.
    Undisturbed(String),
    /// The work failed otherwise than by a proper refusal.
    Untyped(String),
    /// The budget holds something else than before.
    NotBack {
        /// Bytes that it held before.
        before_bytes: u64,
        /// Bytes that it holds now.
        after_bytes: u64,
    },
    /// The work returns something else than at the beginning: undisturbed at the end, or without the refused charge.
    Changed,
    /// The work makes no charge at all, so nothing was tested.
    NoCharges,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nth > 0 {
            write!(f, "charge {} refused (seed {}): ", self.nth, self.seed)?;
        }
        match &self.kind {
            FindingKind::Undisturbed(failure) => write!(f, "the undisturbed work fails: {failure}"),
            FindingKind::Untyped(failure) => f.write_str(failure),
            FindingKind::NotBack { before_bytes, after_bytes } => {
                write!(f, "{before_bytes} bytes were held before and {after_bytes} after")
            }
            FindingKind::Changed => f.write_str("the work has another result than at first"),
            FindingKind::NoCharges => f.write_str("the work makes no charge"),
        }
    }
}

impl std::error::Error for Finding {}

impl Default for Injection {
    fn default() -> Injection {
        Injection { every_max: EVERY_MAX, strata_count: STRATA_COUNT, seed: 1 }
    }
}

impl Injection {
    /// Every n up to [`EVERY_MAX`], [`STRATA_COUNT`] beyond, seed 1.
    pub fn new() -> Injection {
        Injection::default()
    }

    /// Tries so many as [`Injection::bounds`] says, or those of [`Injection::new`] with `EVERY_CHARGE=1` in the environment: for work whose
    /// every charge takes too long for every day.
    pub fn sampled(every_max: u64, strata_count: u64) -> Injection {
        match std::env::var_os("EVERY_CHARGE") {
            Some(_) => Injection::new(),
            None => Injection::new().bounds(every_max, strata_count),
        }
    }

    /// Tries every n up to `every_max`, and `strata_count` beyond.
    pub fn bounds(mut self, every_max: u64, strata_count: u64) -> Injection {
        (self.every_max, self.strata_count) = (every_max, strata_count);
        self
    }

    /// Draws the sample beyond from this seed.
    pub fn seed(mut self, seed: u64) -> Injection {
        self.seed = seed;
        self
    }

    /// Reruns `work` under `budget`, which must not be the root of its tree (that keeps pages of nodes). Nothing else
    /// may charge in the same tree meanwhile.
    ///
    /// # Errors
    /// The first finding.
    pub fn run<T: PartialEq, E: Refused>(
        &self,
        budget: &Budget,
        mut work: impl FnMut(&Budget) -> Result<T, E>,
    ) -> Result<Injected, Finding> {
        let before_bytes = held_bytes(budget);
        let outcome = self.run_armed(|nth| {
            budget.inject_refusal(nth);
            let outcome = work(budget);
            match held_bytes(budget) {
                after_bytes if after_bytes == before_bytes => Ok((outcome, charges_left(budget, nth))),
                after_bytes => Err(FindingKind::NotBack { before_bytes, after_bytes }),
            }
        });
        budget.inject_refusal(0);
        outcome
    }

    /// The same for work that makes its budget itself: `attempt` runs it with the n-th charge refused (0 refuses none), looks whether
    /// everything is back, and gives the outcome and what [`charges_left`] says of the budget then.
    ///
    /// # Errors
    /// The first finding.
    pub fn run_armed<T: PartialEq, E: Refused>(
        &self,
        mut attempt: impl FnMut(u64) -> Result<(Result<T, E>, u64), FindingKind>,
    ) -> Result<Injected, Finding> {
        let found = |nth, kind| Finding { nth, seed: self.seed, kind };
        let mut attempt = |nth: u64| attempt(nth).map_err(|kind| found(nth, kind));
        let undisturbed = |error: E| found(0, FindingKind::Undisturbed(error.to_string()));

        let mut guess = CHARGES_GUESS;
        let (first, charges_count) = loop {
            match attempt(guess)? {
                (_, 0) => guess *= 8,
                (outcome, left_count) => break (outcome.map_err(undisturbed)?, guess - left_count),
            }
        };
        if charges_count == 0 {
            return Err(found(0, FindingKind::NoCharges));
        }
        let mut injected =
            Injected { charges_count, refused_count: 0, survived_count: 0, places: BTreeSet::new() };
        for nth in self.sample(charges_count) {
            match attempt(nth)?.0 {
                Ok(value) if value != first => return Err(found(nth, FindingKind::Changed)),
                Ok(_) => injected.survived_count += 1,
                Err(error) => {
                    let record = checked(&error).map_err(|text| found(nth, FindingKind::Untyped(text)))?;
                    injected.refused_count += 1;
                    injected.places.insert((record.path().to_owned(), record.stage()));
                }
            }
        }
        let last = attempt(0)?.0.map_err(undisturbed)?;
        if last == first { Ok(injected) } else { Err(found(0, FindingKind::Changed)) }
    }

    /// The charges to refuse, in ascending order.
    fn sample(&self, charges_count: u64) -> impl Iterator<Item = u64> {
        let every = self.every_max.min(charges_count);
        let rest = charges_count - every;
        let strata_count = self.strata_count.min(rest);
        if strata_count > 0 {
            println!(
                "injection: 1 to {every}, then {strata_count} of {rest} charges at random, seed {}",
                self.seed
            );
        }
        let mut state = self.seed;
        let strata = (0..strata_count).map(move |index| {
            let (start, end) = (rest * index / strata_count, rest * (index + 1) / strata_count);
            every + 1 + start + splitmix(&mut state) % (end - start)
        });
        (1..=every).chain(strata)
    }
}

/// How many charges the refusal of the `nth` was still away from, found by charging nothing until it strikes; 0 when it
/// had struck already.
pub fn charges_left(budget: &Budget, nth: u64) -> u64 {
    (1..=nth).find(|_| budget.charge(0).is_err()).unwrap_or(0)
}

/// A random number.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;
    use cofferdam_arena::{AllocError, Stage};
    use std::cell::Cell;

    static CHARGING: Stage = Stage::new("charging");

    fn db() -> Budget {
        let root = Budget::root("root", 64 << 20).expect("room for a tree");
        root.child("db", 32 << 20).expect("room for a node")
    }

    /// Charges and releases `count` times.
    fn charges(budget: &Budget, count: u64) -> Result<u64, Failure> {
        budget.set_stage(&CHARGING);
        for _ in 0..count {
            budget.charge(1024).map_err(|error| Failure::of(budget, &error, true))?;
            budget.release(1024);
        }
        Ok(count)
    }

    #[test]
    fn every_charge_is_refused_once() {
        let injected = Injection::new().run(&db(), |budget| charges(budget, 57)).expect("no finding");
        let places = BTreeSet::from([("root/db".to_owned(), "charging")]);
        let expected = Injected { charges_count: 57, refused_count: 57, survived_count: 0, places };
        assert_eq!(injected, expected);
    }

    /// Aim: long works are sampled over their whole length. Method: each stratum has exactly one.
    #[test]
    fn long_works_are_sampled() {
        let injection = Injection::new().bounds(10, 9).seed(7);
        let sample: Vec<u64> = injection.sample(100).collect();
        assert_eq!(sample[..10], (1..=10).collect::<Vec<u64>>());
        for (index, nth) in sample[10..].iter().enumerate() {
            let index = index as u64;
            assert!((11 + 10 * index..21 + 10 * index).contains(nth), "{sample:?}");
        }
        let injected = injection.run(&db(), |budget| charges(budget, 100)).expect("no finding");
        assert_eq!((injected.charges_count, injected.refused_count), (100, 19));
    }

    /// Aim: work that can do without a charge passes and is counted as such.
    #[test]
    fn a_cheaper_form_survives() {
        let work = |budget: &Budget| -> Result<u64, Failure> {
            if budget.charge(8 << 10).is_ok() {
                budget.release(8 << 10);
            }
            charges(budget, 3)
        };
        let injected = Injection::new().run(&db(), work).expect("no finding");
        assert_eq!((injected.charges_count, injected.refused_count, injected.survived_count), (4, 3, 1));
    }

    fn kind_of(outcome: Result<Injected, Finding>) -> (u64, FindingKind) {
        let finding = outcome.expect_err("something is wrong");
        (finding.nth, finding.kind)
    }

    #[test]
    fn a_leak_on_the_way_out_is_found() {
        let work = |budget: &Budget| -> Result<(), Failure> {
            let failure = |error: AllocError| Failure::of(budget, &error, true);
            budget.charge(2048).map_err(failure)?;
            budget.charge(1024).map_err(failure)?;
            budget.release(3072);
            Ok(())
        };
        let kind = kind_of(Injection::new().run(&db(), work));
        assert_eq!(kind, (2, FindingKind::NotBack { before_bytes: 0, after_bytes: 2048 }));
    }

    #[test]
    fn an_untyped_error_is_found() {
        let work = |budget: &Budget| charges(budget, 2).map_err(|_| Failure::Other("lost".to_owned()));
        let (nth, kind) = kind_of(Injection::new().run(&db(), work));
        assert_eq!((nth, kind), (1, FindingKind::Untyped("not a refusal of memory: lost".to_owned())));
    }

    #[test]
    fn work_that_never_works_is_found() {
        let broken = |_: &Budget| Err::<(), _>(Failure::Other("broken".to_owned()));
        let (nth, kind) = kind_of(Injection::new().run(&db(), broken));
        assert_eq!((nth, kind), (0, FindingKind::Undisturbed("broken".to_owned())));
        let idle = |_: &Budget| Ok::<_, Failure>(1);
        assert_eq!(kind_of(Injection::new().run(&db(), idle)), (0, FindingKind::NoCharges));
    }

    #[test]
    fn damage_that_stays_is_found() {
        let failures_count = Cell::new(0);
        let work = |budget: &Budget| -> Result<u32, Failure> {
            charges(budget, 2).inspect_err(|_| failures_count.set(failures_count.get() + 1))?;
            Ok(failures_count.get())
        };
        assert_eq!(kind_of(Injection::new().run(&db(), work)), (0, FindingKind::Changed));
    }
}

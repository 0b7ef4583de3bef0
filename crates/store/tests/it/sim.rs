//! Deterministic simulation: seeded runs of transactions, flushes, compactions, crashes, restarts and faults on a simulated
//! disk, judged by a model in memory.
//!
//! | module | what it has |
//! |---|---|
//! | `script` | the steps that follow from a seed |
//! | `driver`, `work`, `reads`, `trouble`, `rot` | the steps, done with an engine and with the model |
//! | `model`, `overlay` | what must be there: all versions by commit, and what a transaction has changed |
//! | `cell`, `shapes` | values, rows and keys, and the tables that scripts use |
//! | `engine` | what is asked of an engine |
//! | `ledger` | an engine that is simple, and can be broken on purpose |
//! | `watch` | knows the syncs, and leaves some out |
//! | `runner`, `report` | many seeds; what failed, made smaller |
//! | `long` | as many seeds as one has time for |
//! | `teeth` | proof that all this finds something |
//!
//! A seed that fails is printed with its steps and runs again with `COFFERDAM_SIM_SEED=profile:seed`.

pub(crate) mod cell;
mod driver;
pub(crate) mod engine;
pub(crate) mod ledger;
mod long;
mod model;
mod overlay;
mod reads;
mod report;
pub(crate) mod rng;
mod rot;
mod runner;
pub(crate) mod script;
mod shapes;
pub(crate) mod stored;
mod teeth;
mod trouble;
mod watch;
mod work;

use driver::Config;
use engine::Engine;
use ledger::Ledger;
use report::Stats;
use runner::{STEPS, report, run_seed, run_seeds};
use script::Profile;
use stored::Stored;

/// Runs `runs` seeds of a profile, of which none may fail.
pub(crate) fn no_seed_fails<E: Engine>(profile: Profile, runs: u64) -> Stats {
    let campaign = run_seeds::<E>(profile, 1, &Config::default(), |stats| stats.runs >= runs);
    if let Some((seed, finding)) = campaign.failed {
        panic!("{}", report::<E>(profile, seed, STEPS, &finding, &Config::default()));
    }
    eprintln!("{}\n{}", profile.name(), campaign.stats);
    campaign.stats
}

/// Aim: on an engine that is right nothing is found, and the runs are not about nothing.
#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let mut stats = Stats::default();
    for profile in Profile::ALL {
        stats.merge(&no_seed_fails::<Ledger>(profile, 50));
    }
    for (what, least) in [
        ("crashes that lost something", 300),
        ("sectors torn", 100),
        ("crashes while opening", 30),
        ("kills", 300),
        ("commits lost, as they may be", 30),
        ("commits there, though nobody was told", 20),
        ("conflicts", 20),
        ("duplicates refused", 500),
        ("rollbacks to savepoints", 50),
        ("scans compared of the past", 100),
        ("steps done during scans", 200),
        ("damages told", 50),
    ] {
        assert!(stats.of(what) >= least, "{what}: {}", stats.of(what));
    }
}

/// Aim: the store survives what happens to disks and processes.
#[test]
fn the_store_survives_crashes() {
    let mut stats = no_seed_fails::<Stored>(Profile::Crashes, 15);
    stats.merge(&no_seed_fails::<Stored>(Profile::Bursts, 45));
    for (what, least) in [
        ("crashes", 2_000),
        ("crashes that lost something", 300),
        ("crashes while opening", 30),
        ("sectors torn", 50),
        ("full commits", 150),
        ("normal commits", 100),
        ("commits lost, as they may be", 30),
        ("flush", 100),
        ("compact", 100),
        ("bulks", 30),
        ("checks", 100),
    ] {
        assert!(stats.of(what) >= least, "{what}: {}", stats.of(what));
    }
}

#[test]
fn the_store_survives_faults() {
    no_seed_fails::<Stored>(Profile::Faults, 15);
}

#[test]
fn the_store_tells_damage() {
    no_seed_fails::<Stored>(Profile::Rot, 15);
}

/// Aim: what was found once is not there again, as far as these scripts still come by.
#[test]
fn nothing_is_found_where_something_was() {
    let known = [
        (Profile::Crashes, 4_476),
        (Profile::Crashes, 5_493),
        (Profile::Crashes, 8_007),
        (Profile::Faults, 466),
        (Profile::Faults, 108_829),
        (Profile::Faults, 120_217),
        (Profile::Faults, 131_441),
        (Profile::Faults, 138_597),
        (Profile::Faults, 139_593),
        (Profile::Rot, 107_538),
    ];
    for (profile, seed) in known {
        if let Some(finding) = run_seed::<Stored>(profile, seed, &Config::default()).finding {
            panic!("{}", report::<Stored>(profile, seed, STEPS, &finding, &Config::default()));
        }
    }
}

/// Runs the one seed of `COFFERDAM_SIM_SEED=profile:seed`, and prints all that is known of it.
#[test]
fn seed_from_the_environment() {
    let Ok(text) = std::env::var("COFFERDAM_SIM_SEED") else { return };
    let (name, seed) = text.split_once(':').expect("profile:seed, such as crashes:17");
    let profile = Profile::ALL.into_iter().find(|profile| profile.name() == name).expect("a known profile");
    let seed = seed.parse().expect("a number");
    let outcome = run_seed::<Stored>(profile, seed, &Config::default());
    eprintln!("{}", outcome.stats);
    if let Some(finding) = outcome.finding {
        panic!("{}", report::<Stored>(profile, seed, STEPS, &finding, &Config::default()));
    }
}

//! Proof that the simulation finds what it is for: every flaw of the simple engine, and every sync that is left out.

use std::collections::BTreeSet;

use super::driver::Config;
use super::engine::Engine;
use super::ledger::{Flaw, Ledger, with_flaw};
use super::report::Finding;
use super::runner::{run_seed, run_seeds};
use super::script::Profile;
use super::stored::Stored;
use super::watch::Site;

/// Runs all kinds of seeds, so many of each at most, until one fails.
fn find<E: Engine>(seeds: u64, config: &Config) -> Option<(Profile, u64, Finding)> {
    // A few of each kind first: most flaws need no special one.
    (0..seeds).step_by(10).find_map(|first| {
        Profile::ALL.into_iter().find_map(|profile| {
            let campaign = run_seeds::<E>(profile, first, config, |stats| stats.runs >= 10);
            campaign.failed.map(|(seed, finding)| (profile, seed, finding))
        })
    })
}

/// The syncs that can be left out for whole runs without anything being found in so many seeds of each kind, but for those
/// that are `covered`.
pub(super) fn needless_syncs<E: Engine>(seeds: u64, covered: &[&str]) -> Vec<Site> {
    let runs = Profile::ALL.into_iter().flat_map(|profile| (0..20).map(move |seed| (profile, seed)));
    let seen = runs.flat_map(|(profile, seed)| run_seed::<E>(profile, seed, &Config::default()).watch.seen());
    let sites: BTreeSet<Site> = seen.map(|(site, _)| site).collect();
    eprintln!("syncs: {}", sites.iter().map(Site::to_string).collect::<Vec<_>>().join(", "));
    let mut needless = Vec::new();
    for site in sites.into_iter().filter(|site| !covered.contains(&&site.to_string()[..])) {
        let config = Config { ignored: Some(site.clone()), ..Config::default() };
        match find::<E>(seeds, &config) {
            Some((profile, seed, finding)) => {
                eprintln!("without {site}: {} seed {seed}: {}", profile.name(), finding.kind);
            }
            None => {
                eprintln!("without {site}: nothing in {seeds} seeds of each profile");
                needless.push(site);
            }
        }
    }
    needless
}

/// Aim: no sync can be left out. Method: each kind of sync of each kind of operation is, for whole runs.
#[test]
fn every_sync_is_needed() {
    let needless: Vec<String> = needless_syncs::<Ledger>(200, &[]).iter().map(Site::to_string).collect();
    // What opening reads again and finds whole is durable already, but for logs without records.
    assert_eq!(needless, Vec::<String>::new());
}

/// Syncs that others cover where the store does them: those of the making of a database, which ends with the sync of its first log's
/// name, before anything is promised to anybody, and some more.
///
/// - that of the directory at an opening which has changed no names is needed where a process was killed right after it had removed a
///   log: too rare for seeds, so it has a test of its own (`empty_logs_that_were_removed_stay_away`);
/// - that of a flush which a compaction waits for is the one of all flushes, and too rare there;
/// - that of a file of runs was done before where other runs of the same file came first;
/// - that of the directory at a commit with runs finds nothing to do where a flush has come in between, which has synced their names with its own;
/// - that of a new manifest's header comes before that of its snapshot, and nobody names it before that; it is done by what also
///   makes logs, which need it (log L1);
/// - that of the first manifest's name comes before that of the root's name, which a file system that keeps no order of names
///   might make durable alone; the simulated disk keeps one. It is done by what also makes the later manifests and logs;
/// - that of the root's name is the last one of a backup and of a directory that is made without a store.
const COVERED: [&str; 9] = [
    "Compact: directory with segments and wal",
    "Open: directory",
    "Commit: segments",
    "Commit: directory",
    "Open: new manifest",
    "Commit: new manifest",
    "Open: directory with manifest",
    "Open: directory with root and temp",
    "Open: directory with root and temp and wal",
];

/// Aim: the same for the store.
#[test]
#[ignore = "takes minutes"]
fn every_sync_of_the_store_is_needed() {
    let needless = needless_syncs::<Stored>(1_500, &COVERED);
    let needless: Vec<String> = needless.iter().map(Site::to_string).collect();
    assert_eq!(needless, Vec::<String>::new());
}

/// Aim: every mistake is found. Method: engines with one mistake each.
#[test]
fn every_flaw_is_found() {
    let mut missed = Vec::new();
    for flaw in Flaw::ALL {
        let found = with_flaw(flaw, || find::<Ledger>(300, &Config::default()));
        match found {
            Some((profile, seed, finding)) => {
                let what: String = finding.what.chars().take(160).collect();
                eprintln!("{flaw:?}: {} seed {seed}: {}: {what}", profile.name(), finding.kind);
            }
            None => missed.push(flaw),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

//! The long form: as many crashes as one has time for, on all cores.
//!
//! ```text
//! COFFERDAM_SIM_CRASHES=1000000 cargo test --release -p cofferdam-store --test it sim::long -- --ignored --nocapture
//! ```
//!
//! | variable | meaning | without it |
//! |---|---|---|
//! | `COFFERDAM_SIM_CRASHES` | how many crashes are enough | 100,000 |
//! | `COFFERDAM_SIM_THREADS` | how many threads run seeds | one for each core |
//! | `COFFERDAM_SIM_FIRST` | the first seed; all profiles take turns | 1 |
//! | `COFFERDAM_SIM_PROFILE` | only this profile | all |
//! | `COFFERDAM_SIM_STEPS` | how many steps a script has | 260 |

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::driver::{Config, run};
use super::report::Stats;
use super::runner::{STEPS, report};
use super::script::{Profile, script};
use super::stored::Stored;

/// So many seeds that fail are told with all that is known of them; of more, only how many there are.
const REPORTS: u64 = 5;
const PROGRESS: Duration = Duration::from_secs(10);

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

struct Campaign {
    crashes: u64,
    steps: usize,
    profiles: Vec<Profile>,
    next: AtomicU64,
    stats: Mutex<Stats>,
    /// How often each kind of finding was made.
    findings: Mutex<BTreeMap<&'static str, u64>>,
    started: Instant,
}

impl Campaign {
    fn work(&self) {
        let mut told = Instant::now();
        while self.crashes_so_far() < self.crashes {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            let profile = self.profiles[(seed % self.profiles.len() as u64) as usize];
            let outcome = run::<Stored>(&script(profile, seed, self.steps), seed, &Config::default());
            self.stats.lock().unwrap_or_else(PoisonError::into_inner).merge(&outcome.stats);
            if let Some(finding) = outcome.finding {
                let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
                *findings.entry(finding.kind).or_default() += 1;
                let count: u64 = findings.values().sum();
                drop(findings);
                eprintln!("{}:{seed} {finding}", profile.name());
                if count <= REPORTS {
                    eprintln!(
                        "{}",
                        report::<Stored>(profile, seed, self.steps, &finding, &Config::default())
                    );
                }
            }
            if told.elapsed() > PROGRESS {
                told = Instant::now();
                self.tell();
            }
        }
    }

    fn crashes_so_far(&self) -> u64 {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).of("crashes")
    }

    fn tell(&self) {
        let crashes = self.crashes_so_far();
        let seconds = self.started.elapsed().as_secs_f64();
        let findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!(
            "{crashes} crashes in {seconds:.0} s ({:.0} a second), {} seeds, findings: {findings:?}",
            crashes as f64 / seconds,
            self.next.load(Ordering::Relaxed),
        );
    }
}

/// Aim: a million crashes find nothing. Method: the same as in the short form, for as long as it takes.
#[test]
#[ignore = "takes as long as it is told to"]
fn many_crashes() {
    let first = variable("COFFERDAM_SIM_FIRST", 1);
    let wanted = std::env::var("COFFERDAM_SIM_PROFILE").ok();
    let is_wanted = |profile: &Profile| wanted.as_ref().is_none_or(|name| name == profile.name());
    let campaign = Campaign {
        crashes: variable("COFFERDAM_SIM_CRASHES", 100_000),
        steps: variable("COFFERDAM_SIM_STEPS", STEPS as u64) as usize,
        profiles: Profile::ALL.into_iter().filter(is_wanted).collect(),
        next: AtomicU64::new(first),
        stats: Mutex::default(),
        findings: Mutex::default(),
        started: Instant::now(),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for _ in 0..variable("COFFERDAM_SIM_THREADS", cores) {
            scope.spawn(|| campaign.work());
        }
    });
    campaign.tell();
    eprintln!("{}", campaign.stats.lock().unwrap_or_else(PoisonError::into_inner));
    let findings = campaign.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(findings.is_empty(), "{findings:?}");
}

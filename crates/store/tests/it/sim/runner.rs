//! Runs seeds, and makes a script that fails smaller before it is printed.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::driver::{Config, Outcome, run};
use super::engine::Engine;
use super::report::{Finding, Stats};
use super::script::{Profile, Step, script};

/// How many steps a script has.
pub(crate) const STEPS: usize = 260;

/// Runs the script of a seed.
pub(crate) fn run_seed<E: Engine>(profile: Profile, seed: u64, config: &Config) -> Outcome {
    run::<E>(&script(profile, seed, STEPS), seed, config)
}

/// What runs of many seeds gave.
#[derive(Debug, Default)]
pub(crate) struct Campaign {
    pub(crate) stats: Stats,
    /// The first seed that failed.
    pub(crate) failed: Option<(u64, Finding)>,
}

/// Runs seeds from `first` on until one fails or `is_enough` says so.
pub(crate) fn run_seeds<E: Engine>(
    profile: Profile,
    first: u64,
    config: &Config,
    mut is_enough: impl FnMut(&Stats) -> bool,
) -> Campaign {
    let mut campaign = Campaign::default();
    for seed in first.. {
        if is_enough(&campaign.stats) {
            break;
        }
        let outcome = run_seed::<E>(profile, seed, config);
        campaign.stats.merge(&outcome.stats);
        if let Some(finding) = outcome.finding {
            campaign.failed = Some((seed, finding));
            break;
        }
    }
    campaign
}

/// The smallest script that could be found in `time` that has the same kind of finding.
fn shrunk<E: Engine>(steps: Vec<Step>, seed: u64, config: &Config, kind: &str, time: Duration) -> Vec<Step> {
    let deadline = Instant::now() + time;
    let fails = |steps: &[Step]| {
        let outcome = run::<E>(steps, seed, config);
        outcome.finding.is_some_and(|finding| finding.kind == kind)
    };
    let mut steps = steps;
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let mut at = 0;
        while at < steps.len() && Instant::now() < deadline {
            let mut fewer = steps[..at].to_vec();
            fewer.extend_from_slice(&steps[steps.len().min(at + piece)..]);
            match fails(&fewer) {
                true => steps = fewer,
                false => at += piece,
            }
        }
        piece /= 2;
    }
    // Less in bulk does as well, sometimes.
    for at in 0..steps.len() {
        while let Step::Bulk { slot, table, kind, key, count, values } = steps[at] {
            let mut fewer = steps.clone();
            fewer[at] = Step::Bulk { slot, table, kind, key, count: count * 2 / 3, values };
            if count == 1 || Instant::now() >= deadline || !fails(&fewer) {
                break;
            }
            steps = fewer;
        }
    }
    steps
}

/// All that is known of a seed that fails, with the script made smaller.
pub(crate) fn report<E: Engine>(
    profile: Profile,
    seed: u64,
    steps: usize,
    finding: &Finding,
    config: &Config,
) -> String {
    let steps = script(profile, seed, steps);
    let steps = shrunk::<E>(steps, seed, config, finding.kind, Duration::from_secs(20));
    let outcome = run::<E>(&steps, seed, &Config { has_trace: true, ..config.clone() });
    let mut text = format!("{} seed {seed}: {finding}\n", profile.name());
    let again = outcome.finding.map_or("it does not fail again".to_owned(), |finding| finding.to_string());
    let _ = writeln!(text, "\n{} steps are enough: {again}", steps.len());
    for line in outcome.trace.last(200) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "\nthe disk's last operations:");
    for entry in outcome.disk.log().iter().rev().take(60).rev() {
        let _ = writeln!(text, "  {entry}");
    }
    let _ = writeln!(
        text,
        "\nagain: COFFERDAM_SIM_SEED={}:{seed} cargo test -p cofferdam-store --test it sim::seed -- --nocapture",
        profile.name()
    );
    text
}

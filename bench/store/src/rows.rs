//! The rows of the table of speed: which figure of which job is compared with whose, and what passes.
//!
//! All figures are costs, the less the better. A ratio is the median over rounds of both figures of the same round, so
//! that what disturbs the machine disturbs both.

use crate::cell::Figures;
use crate::lineitem::DUCKDB;
use bench_harness::report::{Bound, Verdict};
use bench_harness::stats::{median, quantile};
use std::collections::BTreeMap;

/// The name of ours, as a contestant.
pub const OURS: &str = "cofferdam";

/// What each contestant measured in each round of each job: figures by job and contestant.
pub type Results = BTreeMap<(&'static str, &'static str), Vec<Figures>>;

/// One row.
#[derive(Debug)]
pub struct Row {
    /// `area/name`.
    pub name: &'static str,
    /// The job that it is about.
    pub job: &'static str,
    /// The figure that is shown.
    pub figure: &'static str,
    /// What must be.
    pub bar: Option<Test>,
    /// What is hoped for.
    pub goal: Option<Test>,
}

/// A comparison.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// The figure of ours.
    pub ours: &'static str,
    /// What it is compared with.
    pub against: Against,
    /// What passes: at most so many times the other's cost, or at least so many times its speed.
    pub bound: Bound,
}

/// The other side of a comparison.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    /// The same figure of the best of these.
    Best(&'static [&'static str]),
    /// This figure of this one.
    One(&'static str, &'static str),
    /// Nobody: the ratio is the figure itself.
    Nobody,
    /// Another figure of ours; equal is what differs by less than that one's own noise.
    OursWithinNoise(&'static str),
}

/// The engines that a load is compared with.
const LOADERS: Against = Against::Best(&["fjall", "redb", "sqlite"]);
const fn most(ours: &'static str, against: Against, bound: f64) -> Option<Test> {
    Some(Test { ours, against, bound: Bound::Most(bound) })
}

const fn times(ours: &'static str, against: Against, bound: f64) -> Option<Test> {
    Some(Test { ours, against, bound: Bound::Least(bound) })
}

const fn row(
    name: &'static str,
    job: &'static str,
    figure: &'static str,
    bar: Option<Test>,
    goal: Option<Test>,
) -> Row {
    Row { name, job, figure, bar, goal }
}

const fn skipmap(figure: &'static str) -> Against {
    Against::One("skipmap", figure)
}

const fn btreemap(figure: &'static str) -> Against {
    Against::One("btreemap", figure)
}

const fn sqlite(figure: &'static str) -> Against {
    Against::One("sqlite", figure)
}

const fn duckdb(figure: &'static str) -> Against {
    Against::One(DUCKDB, figure)
}

/// All rows.
///
/// The goal of a memtable is a B-tree's speed although somebody reads: its own figures are those beside a reader or
/// writer, the B-tree's those of one thread alone.
pub const ROWS: &[Row] = &[
    row(
        "memtable/insert",
        "memtable",
        "insert_ns",
        most("insert_ns", skipmap("insert_ns"), 0.4),
        most("insert_read_ns", btreemap("insert_ns"), 1.0),
    ),
    row(
        "memtable/get",
        "memtable",
        "get_ns",
        most("get_ns", skipmap("get_ns"), 0.4),
        most("get_written_ns", btreemap("get_ns"), 1.0),
    ),
    row(
        "memtable/scan",
        "memtable",
        "scan_ns",
        most("scan_ns", skipmap("scan_ns"), 0.1),
        most("scan_ns", btreemap("scan_ns"), 1.0),
    ),
    row(
        "memtable/reset_10k",
        "memtable",
        "reset_10k_us",
        most("reset_10k_us", Against::Nobody, 10.0),
        most("reset_10k_us", Against::Nobody, 1.0),
    ),
    row(
        "memtable/reset_1m",
        "memtable",
        "reset_1m_us",
        most("reset_1m_us", Against::Nobody, 10.0),
        most("reset_1m_us", Against::Nobody, 1.0),
    ),
    row(
        "memtable/reset_flat",
        "memtable",
        "reset_1m_us",
        most("reset_1m_us", Against::OursWithinNoise("reset_10k_us"), 1.25),
        None,
    ),
    row(
        "load/in_order",
        "load_in_order",
        "cpu_ns",
        times("cpu_ns", LOADERS, 1.0),
        times("cpu_ns", LOADERS, 2.0),
    ),
    row(
        "load/in_order_wall",
        "load_in_order",
        "wall_ns",
        times("wall_ns", LOADERS, 1.0),
        times("wall_ns", LOADERS, 2.0),
    ),
    row(
        "load/at_random",
        "load_at_random",
        "cpu_ns",
        times("cpu_ns", LOADERS, 1.0),
        times("cpu_ns", LOADERS, 2.0),
    ),
    row(
        "load/at_random_wall",
        "load_at_random",
        "wall_ns",
        times("wall_ns", LOADERS, 1.0),
        times("wall_ns", LOADERS, 2.0),
    ),
    row("commit_1/syncs", "commit_1", "syncs", most("syncs", sqlite("syncs"), 1.0), None),
    row(
        "commit_1/written_bytes",
        "commit_1",
        "written_bytes",
        most("written_bytes", sqlite("written_bytes"), 1.0),
        None,
    ),
    row("commit_1/cpu", "commit_1", "cpu_us", most("cpu_us", sqlite("cpu_us"), 1.0), None),
    row(
        "commit_8/syncs",
        "commit_8",
        "syncs",
        most("syncs", sqlite("syncs"), 1.0),
        // Those who wait while one syncs share the next sync: half of eight, where each comes back at once.
        most("syncs", Against::Nobody, 0.25),
    ),
    row(
        "commit_8/written_bytes",
        "commit_8",
        "written_bytes",
        most("written_bytes", sqlite("written_bytes"), 1.0),
        None,
    ),
    row("commit_8/cpu", "commit_8", "cpu_us", most("cpu_us", sqlite("cpu_us"), 1.0), None),
    row(
        "get/in_cache",
        "get_in_cache",
        "cpu_ns",
        times("cpu_ns", sqlite("cpu_ns"), 1.0),
        times("cpu_ns", sqlite("cpu_ns"), 2.0),
    ),
    row(
        "get/out_of_cache",
        "get_out_of_cache",
        "cpu_ns",
        times("cpu_ns", sqlite("cpu_ns"), 1.0),
        times("cpu_ns", sqlite("cpu_ns"), 2.0),
    ),
    row(
        "lineitem/size",
        "lineitem_size",
        "file_mib",
        most("file_mib", duckdb("file_mib"), 1.3),
        most("file_mib", duckdb("file_mib"), 1.0),
    ),
    row(
        "lineitem/sum",
        "lineitem_sum",
        "cpu_ms",
        most("cpu_ms", duckdb("cpu_ms"), 0.5),
        most("cpu_ms", duckdb("cpu_ms"), 0.25),
    ),
    row(
        "lineitem/load_32m",
        "lineitem_load_32m",
        "over_limit_mib",
        most("over_limit_mib", Against::Nobody, 8.0),
        None,
    ),
    row(
        "lineitem/load_16m",
        "lineitem_load_16m",
        "over_limit_mib",
        None,
        most("over_limit_mib", Against::Nobody, 8.0),
    ),
];

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Our median; `None` where ours was not measured.
    pub ours: Option<f64>,
    /// Whom it was compared with.
    pub reference: &'static str,
    /// Its median; not a number where it was not measured.
    pub figure: f64,
    /// The cost of ours over the other's, or the other way round where the bound is one of speed.
    pub ratio: f64,
    /// What passes.
    pub bound: Bound,
}

impl Judged {
    /// Whether it passes; not so where something was not measured.
    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::Most(bound) => self.ratio <= bound,
            Bound::Least(bound) => self.ratio >= bound,
        }
    }
}

/// The values of a figure, one a round, where the round went well.
pub fn column(results: &Results, job: &'static str, contestant: &'static str, figure: &str) -> Vec<f64> {
    let rounds = results.get(&(job, contestant)).map_or(&[][..], Vec::as_slice);
    rounds.iter().map(|figures| figures.get(figure).unwrap_or(f64::NAN)).collect()
}

/// The median of those values that are numbers; not a number where there is none.
pub fn middle(values: &[f64]) -> f64 {
    median(&numbers(values))
}

fn numbers(values: &[f64]) -> Vec<f64> {
    values.iter().copied().filter(|value| !value.is_nan()).collect()
}

/// Compares.
pub fn judge(test: &Test, job: &'static str, results: &Results) -> Judged {
    let ours = column(results, job, OURS, test.ours);
    let of = |name: &'static str, figure: &str| (name, column(results, job, name, figure));
    let mut bound = test.bound;
    let (reference, theirs) = match test.against {
        Against::One(name, figure) => of(name, figure),
        Against::Nobody => ("nobody", vec![1.0; ours.len()]),
        Against::Best(names) => {
            let all = names.iter().map(|name| of(name, test.ours));
            let measured = all.filter(|(_, values)| !middle(values).is_nan());
            let best = measured.min_by(|(_, a), (_, b)| middle(a).total_cmp(&middle(b)));
            best.unwrap_or(("none", Vec::new()))
        }
        Against::OursWithinNoise(figure) => {
            let (_, values) = of(OURS, figure);
            let spread = quantile(&numbers(&values), 0.9) / middle(&values);
            if let Bound::Most(least) = bound {
                bound = Bound::Most(spread.max(least));
            }
            (OURS, values)
        }
    };
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let ratio = middle(&ratios);
    let ratio = if matches!(bound, Bound::Least(_)) { 1.0 / ratio } else { ratio };
    let ours = Some(middle(&ours)).filter(|ours| !ours.is_nan());
    Judged { ours, reference, figure: middle(&theirs), ratio, bound }
}

impl Row {
    /// Its bar and its goal, judged.
    pub fn judge(&self, results: &Results) -> (Option<Judged>, Option<Judged>) {
        let judged = |test: &Option<Test>| test.as_ref().map(|test| judge(test, self.job, results));
        (judged(&self.bar), judged(&self.goal))
    }

    /// The unit of its figure, which is the end of the figure's name.
    pub fn unit(&self) -> &'static str {
        match self.figure.rsplit_once('_').map_or(self.figure, |(_, last)| last) {
            "ns" => "ns",
            "us" => "us",
            "ms" => "ms",
            "mib" => "MiB",
            "bytes" => "B",
            _ => "count",
        }
    }

    /// What the row says in one word.
    pub fn verdict(&self, results: &Results) -> &'static str {
        let (bar, goal) = self.judge(results);
        let is_measured = bar.or(goal).is_some_and(|judged| !judged.ratio.is_nan());
        match (is_measured, bar.map(|bar| bar.passes()), goal.map(|goal| goal.passes())) {
            (false, ..) => "not measured",
            (_, Some(false), _) => "below the bar",
            (_, _, Some(true)) => "goal",
            (_, None, Some(false)) => "goal missed",
            (_, _, _) => "bar",
        }
    }

    /// Its line for scripts, in the form that all benches share.
    pub fn line(&self, results: &Results) -> Option<String> {
        let (bar, goal) = self.judge(results);
        let judged = bar.or(goal)?;
        let (Bound::Most(goal) | Bound::Least(goal)) = goal.map_or(judged.bound, |goal| goal.bound);
        let verdict = Verdict {
            name: self.name.to_owned(),
            unit: self.unit(),
            ours: judged.ours,
            peer: judged.reference,
            peer_figure: judged.figure,
            ratio: judged.ratio,
            bar: judged.bound,
            goal: Some(goal),
        };
        Some(verdict.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Job;

    fn results(columns: &[(&'static str, &'static str, &[f64])]) -> Results {
        let mut results = Results::new();
        for (contestant, figure, values) in columns {
            let rounds = results.entry(("load_in_order", contestant)).or_default();
            rounds.resize(values.len(), Figures::default());
            for (figures, value) in rounds.iter_mut().zip(*values) {
                figures.add(figure, *value);
            }
        }
        results
    }

    fn row_named(name: &str) -> &'static Row {
        ROWS.iter().find(|row| row.name == name).expect("there is one")
    }

    #[test]
    fn rows_are_about_jobs_that_there_are() {
        for row in ROWS {
            assert!(Job::named(row.job).is_some(), "{}", row.name);
            assert!(row.bar.is_some() || row.goal.is_some(), "{}", row.name);
        }
    }

    /// Aim: the best peer counts, and rounds are paired. Method: a slow and a quick peer, and a machine that is slow in one
    /// round.
    #[test]
    fn speed_is_compared_with_the_best_peer() {
        let results = results(&[
            ("cofferdam", "cpu_ns", &[100.0, 300.0, 100.0]),
            ("sqlite", "cpu_ns", &[250.0, 750.0, 250.0]),
            ("fjall", "cpu_ns", &[900.0, 900.0, 900.0]),
            ("rocksdb", "cpu_ns", &[1.0, 1.0, 1.0]),
        ]);
        let row = row_named("load/in_order");
        assert_eq!(row.verdict(&results), "goal");
        let line = row.line(&results).expect("it has a bar");
        let expected = "ROW load/in_order unit=ns ours=100.00 peer=sqlite:250.00 ratio=2.500 bar=1.000 goal=2.000 pass=yes";
        assert_eq!(line, expected);
    }

    #[test]
    fn what_was_not_measured_passes_nothing() {
        let peers = results(&[("sqlite", "cpu_ns", &[250.0])]);
        let row = row_named("load/in_order");
        assert_eq!(row.verdict(&peers), "not measured");
        assert!(row.line(&peers).is_some_and(|line| line.contains("ours=none peer=sqlite:250.00")));
        let failed = results(&[("sqlite", "cpu_ns", &[250.0]), ("cofferdam", "wall_ns", &[1.0])]);
        assert_eq!(row.verdict(&failed), "not measured");
    }

    /// Aim: a reset is flat when its times differ by no more than each of them does. Method: the same times twice, then
    /// a reset that grows.
    #[test]
    fn noise_is_taken_from_the_smaller_number() {
        let test = most("many", Against::OursWithinNoise("few"), 1.25).expect("it is one");
        let few: &[f64] = &[1.0, 1.0, 1.1, 1.0, 2.0];
        let flat = results(&[("cofferdam", "few", few), ("cofferdam", "many", &[1.4, 1.4, 1.4, 1.4, 1.4])]);
        assert!(judge(&test, "load_in_order", &flat).passes());
        let grows = results(&[("cofferdam", "few", few), ("cofferdam", "many", &[9.0, 9.0, 9.0, 9.0, 9.0])]);
        assert!(!judge(&test, "load_in_order", &grows).passes());
    }
}

//! Verdicts, tables and `ROW` lines.

use crate::measure::{Bar, Contestant, Role, Row};
use crate::stats::{median, paired_ratios, quantile};
use std::fmt;

/// What one `ROW` line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `area/name`.
    pub name: String,
    /// What the figures are of: `ns` for an operation, `MB/s`, `B`.
    pub unit: &'static str,
    /// Our median; `None` where ours does not take part.
    pub ours: Option<f64>,
    /// The best peer.
    pub peer: &'static str,
    /// Its median.
    pub peer_figure: f64,
    /// Our cost over the peer's, the median of the rounds' own ratios; of throughput the other way round, so that it
    /// says how many times the peer's ours is.
    pub ratio: f64,
    /// What passes.
    pub bar: Bound,
    /// What is hoped for, where that is more.
    pub goal: Option<f64>,
}

/// Which ratios pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Those up to this one.
    Most(f64),
    /// Those from this one on.
    Least(f64),
}

impl Verdict {
    /// Whether the row meets its bar; not so when nothing could be measured.
    pub fn passes(&self) -> bool {
        match self.bar {
            Bound::Most(bar) => self.ratio <= bar,
            Bound::Least(bar) => self.ratio >= bar,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ROW {} unit={} ours=", self.name, self.unit)?;
        match self.ours {
            Some(ours) => write!(f, "{ours:.2}")?,
            None => f.write_str("none")?,
        }
        let pass = if self.passes() { "yes" } else { "no" };
        let (peer, figure, ratio) = (self.peer, self.peer_figure, self.ratio);
        let (Bound::Most(bar) | Bound::Least(bar)) = self.bar;
        write!(f, " peer={peer}:{figure:.2} ratio={ratio:.3} bar={bar:.3}")?;
        if let Some(goal) = self.goal {
            write!(f, " goal={goal:.3}")?;
        }
        write!(f, " pass={pass}")
    }
}

/// The samples of a column that could be measured.
fn measured(samples: &[f64]) -> Vec<f64> {
    samples.iter().copied().filter(|sample| !sample.is_nan()).collect()
}

impl Contestant<'_> {
    fn median_ns(&self) -> f64 {
        median(&measured(&self.samples))
    }

    fn ratio_to(&self, other: &Contestant<'_>) -> f64 {
        median(&measured(&paired_ratios(&self.samples, &other.samples)))
    }
}

impl<'a> Row<'a> {
    fn one(&self, role: Role) -> Option<&Contestant<'a>> {
        let cost = |contestant: &&Contestant<'a>| contestant.median_ns();
        self.contestants
            .iter()
            .filter(|contestant| contestant.role == role && !contestant.median_ns().is_nan())
            .min_by(|a, b| cost(a).total_cmp(&cost(b)))
    }

    fn bar_against(&self, peer: &Contestant<'a>) -> Bound {
        match self.bar {
            Bar::Ratio(bar) => Bound::Most(bar),
            Bar::Times { bar, .. } => Bound::Least(bar),
            Bar::Noise { twin } => {
                let twin = self.contestants.iter().find(|contestant| contestant.name == twin);
                let twin = twin.expect("a row names its own contestant");
                let ratios = paired_ratios(&twin.samples, &peer.samples);
                let apart: Vec<f64> = measured(&ratios).iter().map(|ratio| ratio.max(1.0 / ratio)).collect();
                Bound::Most(quantile(&apart, 0.75).max(1.05))
            }
        }
    }

    /// A figure that the row shows, from nanoseconds per operation.
    fn shown(&self, ns: f64) -> f64 {
        if self.is_throughput() { 1000.0 / ns } else { ns }
    }

    fn is_throughput(&self) -> bool {
        matches!(self.bar, Bar::Times { .. })
    }
}

/// What the measured `row` comes to: against its best peer, and against its limit where it has one.
pub fn judge(row: &Row<'_>) -> Vec<Verdict> {
    let ours = row.one(Role::Ours);
    let ours_ns = ours.map(Contestant::median_ns);
    let mut verdicts = Vec::new();
    let best = row.one(Role::Peer);
    let ratio = ours.zip(best).map_or(f64::NAN, |(ours, peer)| ours.ratio_to(peer));
    verdicts.push(Verdict {
        name: row.name.to_owned(),
        unit: if row.is_throughput() { "MB/s" } else { "ns" },
        ours: ours_ns.map(|ns| row.shown(ns)),
        peer: best.map_or("none", |peer| peer.name),
        peer_figure: row.shown(best.map_or(f64::NAN, Contestant::median_ns)),
        ratio: if row.is_throughput() { 1.0 / ratio } else { ratio },
        bar: best.map_or(Bound::Most(f64::NAN), |peer| row.bar_against(peer)),
        goal: if let Bar::Times { goal, .. } = row.bar { Some(goal) } else { None },
    });
    if let Some(limit_ns) = row.limit_ns {
        verdicts.push(Verdict {
            name: format!("{}_limit", row.name),
            unit: "ns",
            ours: ours_ns,
            peer: "limit",
            peer_figure: limit_ns,
            ratio: ours_ns.unwrap_or(f64::NAN) / limit_ns,
            bar: Bound::Most(1.0),
            goal: None,
        });
    }
    verdicts
}

/// Prints one row: every contestant with its spread and what ours costs in proportion to it.
pub fn print_table(row: &Row<'_>, verdicts: &[Verdict]) {
    println!("\n{}: {}", row.name, row.about);
    let (unit, quotient) =
        if row.is_throughput() { ("MB/s", "times this") } else { ("ns per operation", "ours/this") };
    println!("  {unit:<26} {:>10} {:>10} {:>10} {quotient:>10}", "median", "p10", "p90");
    let ours = row.one(Role::Ours);
    for contestant in &row.contestants {
        let samples = measured(&contestant.samples);
        let ratio = match (contestant.role, ours) {
            (Role::Ours, _) | (_, None) => String::new(),
            (_, Some(ours)) if row.is_throughput() => format!("{:.2}", 1.0 / ours.ratio_to(contestant)),
            (_, Some(ours)) => format!("{:.3}", ours.ratio_to(contestant)),
        };
        let mark = match contestant.role {
            Role::Ours => '>',
            Role::Peer if verdicts[0].peer == contestant.name => '*',
            Role::Peer => ' ',
            Role::Info => 'i',
        };
        let mut spread = [0.1, 0.5, 0.9].map(|part| row.shown(quantile(&samples, part)));
        spread.sort_by(f64::total_cmp);
        let [p10, p50, p90] = spread;
        print!("{mark} {:<26} {p50:>10.2} {p10:>10.2} {p90:>10.2} {ratio:>10}", contestant.name);
        match contestant.disturbed_count {
            0 => println!(),
            count => println!("   ({count} disturbed, repeated)"),
        }
    }
    if let Some(evidence) = &row.evidence {
        println!("  {}", evidence());
    }
}

/// A figure among the lines `FIGURE name value` that a measured process has printed.
///
/// ```
/// use bench_harness::report::figure;
///
/// let printed = "x\nFIGURE wall_s 2\nFIGURE cpu_s 1.5\n";
/// assert_eq!(figure(printed, "cpu_s").unwrap(), 1.5);
/// assert!(figure("FIGURE wall_s 2\n", "cpu_s").is_err() && figure("FIGURE cpu_s x", "cpu_s").is_err());
/// ```
///
/// # Errors
/// It is not there, or no number.
pub fn figure(text: &str, name: &str) -> Result<f64, Box<dyn std::error::Error>> {
    let rest = text.lines().find_map(|line| line.strip_prefix("FIGURE ")?.strip_prefix(name));
    Ok(rest.ok_or_else(|| format!("the process printed no figure {name}"))?.trim().parse()?)
}

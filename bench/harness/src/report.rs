//! Verdicts, tables and `ROW` lines.

use crate::measure::{Bar, Contestant, Role, Row};
use crate::stats::{median, paired_ratios, quantile};
use std::fmt;

/// What one `ROW` line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// `area/name`.
    pub name: String,
    /// Our median, in nanoseconds per operation; `None` where ours does not take part.
    pub ours_ns: Option<f64>,
    /// The best peer.
    pub peer: &'static str,
    /// Its median, in nanoseconds per operation.
    pub peer_ns: f64,
    /// Our cost over the peer's: the median of the rounds' own ratios.
    pub ratio: f64,
    /// The highest ratio that passes.
    pub bar: f64,
}

impl Verdict {
    /// Whether the row meets its bar; not so when nothing could be measured.
    pub fn passes(&self) -> bool {
        self.ratio <= self.bar
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ROW {} unit=ns ours=", self.name)?;
        match self.ours_ns {
            Some(ours_ns) => write!(f, "{ours_ns:.2}")?,
            None => f.write_str("none")?,
        }
        let pass = if self.passes() { "yes" } else { "no" };
        let (peer, peer_ns, ratio, bar) = (self.peer, self.peer_ns, self.ratio, self.bar);
        write!(f, " peer={peer}:{peer_ns:.2} ratio={ratio:.3} bar={bar:.3} pass={pass}")
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

    fn bar_against(&self, peer: &Contestant<'a>) -> f64 {
        match self.bar {
            Bar::Ratio(bar) => bar,
            Bar::Noise { twin } => {
                let twin = self.contestants.iter().find(|contestant| contestant.name == twin);
                let twin = twin.expect("a row names its own contestant");
                let ratios = paired_ratios(&twin.samples, &peer.samples);
                let apart: Vec<f64> = measured(&ratios).iter().map(|ratio| ratio.max(1.0 / ratio)).collect();
                quantile(&apart, 0.75).max(1.05)
            }
        }
    }
}

/// What the measured `row` comes to: against its best peer, and against its limit where it has one.
pub fn judge(row: &Row<'_>) -> Vec<Verdict> {
    let ours = row.one(Role::Ours);
    let ours_ns = ours.map(Contestant::median_ns);
    let mut verdicts = Vec::new();
    let best = row.one(Role::Peer);
    verdicts.push(Verdict {
        name: row.name.to_owned(),
        ours_ns,
        peer: best.map_or("none", |peer| peer.name),
        peer_ns: best.map_or(f64::NAN, Contestant::median_ns),
        ratio: ours.zip(best).map_or(f64::NAN, |(ours, peer)| ours.ratio_to(peer)),
        bar: best.map_or(f64::NAN, |peer| row.bar_against(peer)),
    });
    if let Some(limit_ns) = row.limit_ns {
        verdicts.push(Verdict {
            name: format!("{}_limit", row.name),
            ours_ns,
            peer: "limit",
            peer_ns: limit_ns,
            ratio: ours_ns.unwrap_or(f64::NAN) / limit_ns,
            bar: 1.0,
        });
    }
    verdicts
}

/// Prints one row: every contestant with its spread and what ours costs in proportion to it.
pub fn print_table(row: &Row<'_>, verdicts: &[Verdict]) {
    println!("\n{}: {}", row.name, row.about);
    println!("  {:<26} {:>10} {:>10} {:>10} {:>10}", "ns per operation", "median", "p10", "p90", "ours/this");
    let ours = row.one(Role::Ours);
    for contestant in &row.contestants {
        let samples = measured(&contestant.samples);
        let ratio = match (contestant.role, ours) {
            (Role::Ours, _) | (_, None) => String::new(),
            (_, Some(ours)) => format!("{:.3}", ours.ratio_to(contestant)),
        };
        let mark = match contestant.role {
            Role::Ours => '>',
            Role::Peer if verdicts[0].peer == contestant.name => '*',
            Role::Peer => ' ',
            Role::Info => 'i',
        };
        let (p10, p50, p90) = (quantile(&samples, 0.1), median(&samples), quantile(&samples, 0.9));
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

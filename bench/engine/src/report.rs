//! Tables for people, and the lines that others read.

use crate::contest::{Contestant, Ended, Taken};
use bench_harness::report::{Bound, Verdict};
use bench_harness::stats::median;

/// Room that a process may take beyond the limit of its memory, in MiB: the program itself, stacks, what the system gives.
pub const BEYOND_MIB: f64 = 8.0;

/// A statement's name and how it ended for each contestant.
pub type Line = (String, Vec<(Contestant, Ended)>);

/// The middle of several rounds; the first failure where there is one.
pub fn middle(rounds: Vec<Ended>) -> Ended {
    let rounds: Vec<Taken> = rounds.into_iter().collect::<Result<_, _>>()?;
    let of = |figure: fn(&Taken) -> f64| rounds.iter().map(figure).collect::<Vec<f64>>();
    let private_mib = of(|taken| taken.private_mib).into_iter().fold(0.0, f64::max);
    Ok(Taken { cpu_s: median(&of(|taken| taken.cpu_s)), private_mib })
}

/// The geometric mean; not a number where there is nothing.
pub fn geometric_mean(figures: impl IntoIterator<Item = f64>) -> f64 {
    let logarithms: Vec<f64> = figures.into_iter().map(f64::ln).collect();
    (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp()
}

/// Prints the head of a table of statements.
pub fn print_head(contestants: &[Contestant]) {
    print!("  {:<22}", "");
    contestants.iter().for_each(|contestant| print!(" {:>22}", contestant.name()));
    println!("  ours to duckdb");
}

/// Prints a statement's line; `remark` comes last.
pub fn print_line(line: &Line, remark: &str) {
    print!("  {:<22}", line.0);
    for (_, ended) in &line.1 {
        match ended {
            Ok(taken) => print!(" {:>9.3} s {:>6.1} MiB", taken.cpu_s, taken.private_mib),
            Err(_) => print!(" {:>22}", "failed"),
        }
    }
    match ratio(line, Contestant::DuckDb) {
        Some(ratio) => println!(" {ratio:>14.2}  {remark}"),
        None => println!(" {:>14}  {remark}", "-"),
    }
    for (contestant, ended) in &line.1 {
        if let Err(said) = ended {
            println!("      {}: {said}", contestant.name());
        }
    }
}

/// Our processor time and another's; `None` where one of the two failed or did not take part.
pub fn pair(line: &Line, other: Contestant) -> Option<(f64, f64)> {
    let of = |contestant| {
        let (_, ended) = line.1.iter().find(|(known, _)| *known == contestant)?;
        ended.as_ref().ok().map(|taken| taken.cpu_s)
    };
    Some((of(Contestant::Ours)?, of(other)?))
}

/// Our processor time in proportion to another's, where there is a [`pair`].
pub fn ratio(line: &Line, other: Contestant) -> Option<f64> {
    pair(line, other).map(|(ours, theirs)| ours / theirs)
}

/// The most private memory that a contestant took for any statement that it finished, in MiB.
pub fn private_mib_most(lines: &[Line], contestant: Contestant) -> f64 {
    let taken = lines.iter().flat_map(|line| &line.1).filter(|(known, _)| *known == contestant);
    taken.filter_map(|(_, ended)| ended.as_ref().ok()).fold(0.0, |most, taken| most.max(taken.private_mib))
}

/// A row that says whether a figure stays at or below its bar.
pub fn at_most(
    name: String,
    unit: &'static str,
    ours: f64,
    peer: (&'static str, f64),
    bar: f64,
    goal: f64,
) -> Verdict {
    let ratio = ours / peer.1;
    let (peer, peer_figure) = peer;
    Verdict {
        name,
        unit,
        ours: Some(ours),
        peer,
        peer_figure,
        ratio,
        bar: Bound::Most(bar),
        goal: Some(goal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(cpu_s: f64, private_mib: f64) -> Ended {
        Ok(Taken { cpu_s, private_mib })
    }

    #[test]
    fn a_failure_in_any_round_is_a_failure() {
        assert_eq!(middle(vec![taken(3.0, 1.0), taken(1.0, 2.0), taken(2.0, 1.5)]), taken(2.0, 2.0));
        assert_eq!(middle(vec![taken(3.0, 1.0), Err("no".to_owned())]), Err("no".to_owned()));
    }

    #[test]
    fn ratios_are_of_those_that_finished() {
        let line =
            |ours, duckdb| ("q".to_owned(), vec![(Contestant::Ours, ours), (Contestant::DuckDb, duckdb)]);
        let lines = [line(taken(1.0, 5.0), taken(2.0, 50.0)), line(taken(8.0, 7.0), Err("no".to_owned()))];
        assert_eq!(ratio(&lines[0], Contestant::DuckDb), Some(0.5));
        assert_eq!(ratio(&lines[1], Contestant::DuckDb), None);
        assert_eq!(ratio(&lines[0], Contestant::Sqlite), None);
        assert_eq!(private_mib_most(&lines, Contestant::Ours), 7.0);
        assert!((geometric_mean([1.0, 4.0]) - 2.0).abs() < 1e-12 && geometric_mean([]).is_nan());
    }
}

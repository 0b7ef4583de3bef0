//! One run: jobs in rounds, what they leave on the disk, and the tables that come out.

use crate::cell::{self, Outcome, Settings};
use crate::jobs::{Job, Needs};
use crate::options::Options;
use crate::place;
use crate::rows::{OURS, ROWS, Results, Row, column, middle};
use bench_harness::Random;
use bench_harness::report::Bound;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// A run of the program.
pub struct Session {
    options: Options,
    /// Everything in it is gone at the end.
    dir: place::Data,
    python: Option<PathBuf>,
    random: Random,
    results: Results,
    /// Directories that jobs have left for others, by their names.
    kept: BTreeSet<String>,
    has_text: bool,
}

impl Session {
    /// Finds the disk and the peers that are not part of the program.
    ///
    /// # Errors
    /// There is no disk, or no room.
    pub fn new(options: Options) -> Outcome<Session> {
        let (rounds_count, scale, seed) = (options.rounds_count, options.scale, options.seed);
        let quick = if options.quick { ", quick: not a measurement of speed" } else { "" };
        println!("{rounds_count} rounds, scale {scale}, seed {seed}{quick}");
        let place = place::prepare(options.dir.as_deref(), scale, options.quick)?;
        let dir = place::Data::new(&place)?;
        let python = options.python.clone().unwrap_or_else(|| place.join("venv/bin/python"));
        let version = duckdb_version(&python);
        match &version {
            Some(version) => println!("duckdb {version}"),
            None => {
                println!("SKIPPED duckdb: no Python with it (how to get one is in bench/store/README.md)")
            }
        }
        let python = version.map(|_| python);
        let random = Random::new(seed);
        let (results, kept) = (Results::new(), BTreeSet::new());
        Ok(Session { options, dir, python, random, results, kept, has_text: false })
    }

    /// Does all jobs that a wanted row is about.
    ///
    /// # Errors
    /// The disk's. What a contestant fails at is printed, and the others go on.
    pub fn run(&mut self) -> Outcome<()> {
        for job in Job::all() {
            let is_wanted = ROWS.iter().any(|row| row.job == job.name() && self.options.wants_row(row.name));
            if is_wanted {
                self.job(job)?;
            }
        }
        Ok(())
    }

    fn contestants(&self, job: Job) -> Vec<&'static str> {
        let mut contestants = job.contestants();
        contestants.retain(|name| self.options.wants_contestant(name));
        if matches!(job, Job::Lineitem(_)) {
            contestants.retain(|name| *name != crate::lineitem::DUCKDB || self.python.is_some());
        }
        let loads = matches!(job, Job::Lineitem(crate::lineitem::Workload::LoadLimited(_)));
        if loads && self.options.program.is_none() {
            contestants.retain(|name| *name != crate::lineitem::PROGRAM);
        }
        contestants
    }

    /// All rounds of one job.
    fn job(&mut self, job: Job) -> Outcome<()> {
        let mut contestants = self.contestants(job);
        if contestants.is_empty() {
            return Ok(());
        }
        println!("\n{}: {}", job.name(), job.about());
        self.prepare(job, &mut contestants)?;
        let mut order = contestants.clone();
        for round in 0..job.rounds(self.options.rounds_count) {
            self.random.shuffle(&mut order);
            for contestant in order.clone() {
                let done = self.cell(job, contestant, self.options.seed + round as u64)?;
                match done {
                    Ok(figures) => self.results.entry((job.name(), contestant)).or_default().push(figures),
                    Err(error) => {
                        println!("  FAILED {contestant}: {error}");
                        order.retain(|name| *name != contestant);
                        self.results.remove(&(job.name(), contestant));
                    }
                }
            }
        }
        self.print_job(job, &contestants);
        Ok(())
    }

    /// What the job needs: the text, and databases of all contestants; who fails at that does not take part.
    fn prepare(&mut self, job: Job, contestants: &mut Vec<&'static str>) -> Outcome<()> {
        if job.needs_text() && !self.has_text {
            let generate = Job::named("lineitem_generate").ok_or("there is no such job")?;
            self.cell(generate, "generator", self.options.seed)??;
            self.has_text = true;
        }
        let Needs::Kept(needed) = job.needs() else { return Ok(()) };
        let needed = Job::named(needed).ok_or("there is no such job")?;
        for contestant in contestants.clone() {
            if !self.kept.contains(&kept_name(needed, contestant))
                && let Err(error) = self.cell(needed, contestant, self.options.seed)?
            {
                println!("  FAILED {contestant}: {error}");
                contestants.retain(|name| *name != contestant);
            }
        }
        Ok(())
    }

    /// One child, with its directory. The outer error is the disk's, the inner one the contestant's.
    fn cell(&mut self, job: Job, contestant: &str, seed: u64) -> Outcome<Outcome<cell::Figures>> {
        let dir = match job.needs() {
            Needs::Nothing => self.dir.fresh(&kept_name(job, contestant))?,
            Needs::Kept(name) => {
                let job = Job::named(name).ok_or("there is no such job")?;
                self.dir.path().join(kept_name(job, contestant))
            }
        };
        let settings = Settings {
            dir: dir.clone(),
            scale: self.options.scale,
            seed,
            python: self.python.clone(),
            program: self.options.program.clone(),
        };
        let done = cell::start(job, contestant, &settings);
        let is_needed = Job::all().any(|other| other.needs() == Needs::Kept(job.name()));
        if is_needed && done.is_ok() {
            self.kept.insert(kept_name(job, contestant));
        } else if job.needs() == Needs::Nothing {
            place::remove(&dir)?;
        }
        Ok(done)
    }

    /// Every contestant's medians, and the spread of the first figure.
    fn print_job(&self, job: Job, contestants: &[&'static str]) {
        let measured = |name: &&'static str| self.results.get(&(job.name(), *name));
        let mut names: Vec<String> = Vec::new();
        for figures in contestants.iter().filter_map(|name| measured(name)?.first()) {
            for (name, _) in figures.iter().filter(|(name, _)| is_shown(name)) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        let Some(first) = names.first() else { return };
        print!("  {:<14}", "median");
        names.iter().for_each(|name| print!(" {name:>width$}", width = width(name)));
        println!("   {first} from - to");
        for contestant in contestants.iter().filter(|name| measured(name).is_some()) {
            print!("  {contestant:<14}");
            for name in &names {
                let value = middle(&column(&self.results, job.name(), contestant, name));
                print!(" {:>width$}", shown(value), width = width(name));
            }
            let spread = column(&self.results, job.name(), contestant, first);
            let from = spread.iter().copied().fold(f64::INFINITY, f64::min);
            let to = spread.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            println!("   {} - {}", shown(from), shown(to));
        }
        for contestant in contestants {
            let figures = measured(contestant).and_then(|rounds| rounds.first());
            let columns = figures.into_iter().flat_map(|figures| figures.iter());
            let columns: Vec<String> = columns
                .filter_map(|(name, value)| Some((name.strip_prefix("column_")?, value)))
                .map(|(name, value)| format!("{} {}", name.trim_end_matches("_mib"), shown(value)))
                .collect();
            if !columns.is_empty() {
                println!("  {contestant}, MiB by column: {}", columns.join(", "));
            }
        }
    }

    /// Prints the table of rows and their lines; the code is 1 when `--strict` was given and a row failed, 2 when no row
    /// was asked for.
    pub fn finish(self) -> ExitCode {
        let wanted: Vec<&Row> = ROWS.iter().filter(|row| self.options.wants_row(row.name)).collect();
        if wanted.is_empty() {
            eprintln!("no row of this bench contains `{}`", self.options.only.join("` or `"));
            return ExitCode::from(2);
        }
        println!();
        let head = ["row", "unit", OURS, "beside", "its figure", "ratio", "bar", "goal", "verdict"];
        print_line(&head.map(str::to_owned));
        for row in &wanted {
            print_line(&self.line(row));
        }
        println!();
        for line in wanted.iter().filter_map(|row| row.line(&self.results)) {
            println!("{line}");
        }
        let failed = |row: &&&Row| matches!(row.verdict(&self.results), "below the bar" | "not measured");
        let is_failed =
            self.options.strict && wanted.iter().filter(|row| row.bar.is_some()).any(|row| failed(&row));
        ExitCode::from(u8::from(is_failed))
    }

    /// The row's fields for people.
    fn line(&self, row: &Row) -> [String; 9] {
        let (bar, goal) = row.judge(&self.results);
        let shown_bound = |judged: &Option<crate::rows::Judged>| match judged.map(|judged| judged.bound) {
            Some(Bound::Most(bound)) => format!("<= {bound:.2}"),
            Some(Bound::Least(bound)) => format!(">= {bound:.2}"),
            None => String::new(),
        };
        let judged = bar.or(goal);
        let goal_text = match goal {
            // Where the goal is about something else than the bar, its ratio stands beside it.
            Some(judged) if bar.is_some_and(|bar| bar.ratio != judged.ratio) && !judged.ratio.is_nan() => {
                format!("{} ({:.2} of {})", shown_bound(&goal), judged.ratio, judged.reference)
            }
            _ => shown_bound(&goal),
        };
        let number = |value: Option<f64>| value.filter(|value| !value.is_nan()).map_or("-".to_owned(), shown);
        [
            row.name.to_owned(),
            row.unit().to_owned(),
            number(judged.and_then(|judged| judged.ours)),
            judged.map_or("", |judged| judged.reference).to_owned(),
            number(judged.map(|judged| judged.figure)),
            number(judged.map(|judged| judged.ratio)),
            shown_bound(&bar),
            goal_text,
            row.verdict(&self.results).to_owned(),
        ]
    }
}

/// A figure for people, in the table of a job.
fn is_shown(name: &str) -> bool {
    name != "rows" && !name.starts_with("sum_") && !name.starts_with("column_")
}

fn print_line(fields: &[String; 9]) {
    let [name, unit, ours, reference, figure, ratio, bar, goal, verdict] = fields;
    println!(
        "{name:<23} {unit:<5} {ours:>10}  {reference:<10} {figure:>10} {ratio:>8}  {bar:<8} {goal:<24} {verdict}"
    );
}

fn kept_name(job: Job, contestant: &str) -> String {
    format!("{}-{contestant}", job.name())
}

/// Wide enough for a figure and its name.
fn width(name: &str) -> usize {
    name.len().max(9)
}

/// A number with three or four digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        0.0 => "0".to_owned(),
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The version of the package that a Python has, if it has any.
fn duckdb_version(python: &std::path::Path) -> Option<String> {
    let output =
        Command::new(python).args(["-c", "import duckdb; print(duckdb.__version__)"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.0, 0.0123, 1.5, 123.456, 123_456.7, f64::NAN].map(shown).into();
        assert_eq!(shown, ["0", "0.0123", "1.500", "123.5", "123457", "-"]);
    }
}

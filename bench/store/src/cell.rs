//! One measurement: one contestant, one job, in a process of its own.
//!
//! The program starts itself with the arguments that [`start`] makes; the child measures and prints its figures as lines
//! `FIGURE name value`, which [`parse`] reads. Children in other languages print the same.

use crate::jobs::Job;
use bench_harness::counting::Counts;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The result of anything here; whatever goes wrong is shown to the user.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The first argument of a child.
pub const CELL: &str = "cell";

/// What a child is to do it with.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The contestant's own directory; it exists.
    pub dir: PathBuf,
    /// How large, 1 being what the table of speed says.
    pub scale: f64,
    /// Start of random orders.
    pub seed: u64,
    /// The interpreter that has the peers which are Python packages, if there is one.
    pub python: Option<PathBuf>,
    /// Our program, if it is to be measured.
    pub program: Option<PathBuf>,
}

impl Settings {
    /// So many of `count` as the scale says, but one at least.
    pub fn scaled(&self, count: usize) -> usize {
        ((count as f64 * self.scale) as usize).max(1)
    }
}

/// Named numbers, in the order in which they were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures(Vec<(String, f64)>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, name: &str, value: f64) {
        self.0.push((name.to_owned(), value));
    }

    /// The one that is called `name`.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(name, value)| writeln!(f, "FIGURE {name} {value}"))
    }
}

/// The figures among the lines of `text`.
pub fn parse(text: &str) -> Outcome<Figures> {
    let mut figures = Figures::default();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("FIGURE ") else { continue };
        let (name, value) = rest.split_once(' ').ok_or_else(|| format!("`{line}` is not a figure"))?;
        figures.add(name, value.parse()?);
    }
    if figures.0.is_empty() { Err("the child printed no figure".into()) } else { Ok(figures) }
}

/// Runs `job` for `contestant` in a child and reads its figures.
///
/// # Errors
/// The child cannot be started or failed; what it said last is in the text.
pub fn start(job: Job, contestant: &str, settings: &Settings) -> Outcome<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CELL, job.name(), contestant]);
    command.arg(&settings.dir).arg(settings.scale.to_string()).arg(settings.seed.to_string());
    for path in [&settings.python, &settings.program] {
        command.arg(path.as_deref().unwrap_or(Path::new("")));
    }
    figures_of(&command.output()?)
}

/// The figures that a process has printed.
///
/// # Errors
/// It failed; what it said last is in the text.
pub fn figures_of(output: &Output) -> Outcome<Figures> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        return Err(format!("{} ({})", last.join(" | "), output.status).into());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// The other side of [`start`]: does what the arguments after [`CELL`] say, and prints the figures.
///
/// # Errors
/// The arguments are not those that [`start`] makes, or the contestant's own.
pub fn run(arguments: &[String]) -> Outcome<()> {
    let [job, contestant, dir, scale, seed, python, program] = arguments else {
        return Err("a child takes seven arguments".into());
    };
    let job = Job::named(job).ok_or_else(|| format!("no job is called `{job}`"))?;
    let path = |text: &String| (!text.is_empty()).then(|| PathBuf::from(text));
    let settings = Settings {
        dir: PathBuf::from(dir),
        scale: scale.parse()?,
        seed: seed.parse()?,
        python: path(python),
        program: path(program),
    };
    print!("{}", job.run(contestant, &settings)?);
    // Who doubts the counts compares them with those of `strace -f` around a child.
    eprintln!("from start to end: {:?}", Counts::now());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_survive_the_way_to_the_parent() {
        let mut figures = Figures::default();
        figures.add("cpu_ns", 12.5);
        figures.add("syncs", 1.0);
        let text = format!("something else\n{figures}");
        assert_eq!(parse(&text).expect("as printed"), figures);
        assert_eq!(figures.get("syncs"), Some(1.0));
        assert!(parse("nothing").is_err() && parse("FIGURE cpu_ns").is_err() && parse("FIGURE a b").is_err());
    }
}

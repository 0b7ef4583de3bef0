//! The command line.

use std::path::PathBuf;

/// What a run does.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Only rows whose name contains one of these; all where there is none.
    pub only: Vec<String>,
    /// Only these contestants, and ours; all where there is none.
    pub peers: Vec<String>,
    /// How often each contestant does each job.
    pub rounds_count: usize,
    /// How much of the table's size: 1,000,000 rows, `lineitem` at scale factor 1.
    pub scale: f64,
    /// Start of random orders.
    pub seed: u64,
    /// Where the data is, on a file system that has a disk.
    pub dir: Option<PathBuf>,
    /// The interpreter that has the package of DuckDB.
    pub python: Option<PathBuf>,
    /// Our program, for the load under a limit.
    pub program: Option<PathBuf>,
    /// Fail when a row misses its bar.
    pub strict: bool,
    /// Whether it works, not how fast it is.
    pub quick: bool,
}

/// What `--help` prints.
pub const USAGE: &str = "\
usage: bench-store [--only TEXT]… [--peer NAME]… [--rounds N] [--scale F] [--quick] [--strict] [--seed N]
                   [--dir PATH] [--python PATH] [--program PATH]
  --only TEXT     only rows whose name contains TEXT
  --peer NAME     only this contestant beside ours
  --rounds N      how often each contestant does each job, in turn (5)
  --scale F       a part of the table's sizes, which are 1,000,000 rows and lineitem at scale factor 1 (1)
  --quick         2 rounds at scale 0.005: shows that the bench works, says nothing about speed
  --strict        exit code 1 when a row misses its bar or is not measured
  --seed N        start of the random orders (1)
  --dir PATH      where the data is (bench-store in the target directory)
  --python PATH   a Python with the package duckdb (the venv in the data's directory)
  --program PATH  our program, for the load under a limit";

impl Default for Options {
    fn default() -> Options {
        Options {
            only: Vec::new(),
            peers: Vec::new(),
            rounds_count: 5,
            scale: 1.0,
            seed: 1,
            dir: None,
            python: None,
            program: None,
            strict: false,
            quick: false,
        }
    }
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// A line that says what was not understood, or the usage when that was asked for.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--only" => options.only.push(value()?),
                "--peer" => options.peers.push(value()?),
                "--rounds" => options.rounds_count = number::<usize>(&value()?)?.max(1),
                "--scale" => options.scale = scale(&value()?)?,
                "--seed" => options.seed = number(&value()?)?,
                "--dir" => options.dir = Some(value()?.into()),
                "--python" => options.python = Some(value()?.into()),
                "--program" => options.program = Some(value()?.into()),
                "--quick" => (options.quick, options.rounds_count, options.scale) = (true, 2, 0.005),
                "--strict" => options.strict = true,
                "--help" | "-h" => return Err(USAGE.to_owned()),
                _ => return Err(format!("unknown argument `{argument}`\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether the row `name` was asked for.
    pub fn wants_row(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text.as_str()))
    }

    /// Whether the contestant `name` takes part.
    pub fn wants_contestant(&self, name: &str) -> bool {
        self.peers.is_empty()
            || name.starts_with(crate::rows::OURS)
            || self.peers.iter().any(|peer| peer == name)
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number\n{USAGE}"))
}

fn scale(text: &str) -> Result<f64, String> {
    let scale: f64 = number(text)?;
    if scale > 0.0 && scale <= 10.0 {
        Ok(scale)
    } else {
        Err(format!("a scale is above 0 and at most 10\n{USAGE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_understood_or_named() {
        let options =
            parse("--only get/ --peer sqlite --peer redb --rounds 3 --scale 0.1").expect("all known");
        assert_eq!((options.rounds_count, options.scale), (3, 0.1));
        assert!(options.wants_row("get/in_cache") && !options.wants_row("load/in_order"));
        assert!(options.wants_contestant("redb") && options.wants_contestant("cofferdam"));
        assert!(!options.wants_contestant("fjall"));
        assert!(parse("").expect("nothing is all").wants_row("memtable/get"));
        assert!(parse("--only").unwrap_err().contains("--only needs a value"));
        assert!(parse("--scale 0").is_err() && parse("--scale much").is_err());
        assert!(parse("--fast").unwrap_err().contains("unknown argument `--fast`"));
    }
}

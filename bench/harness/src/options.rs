//! The command line of a bench.

/// What a run does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Rounds per row.
    pub rounds_count: usize,
    /// Only rows whose name contains this.
    pub only: Option<String>,
    /// Fail when a row misses its bar.
    pub strict: bool,
    /// Few rounds: whether it works, not how fast it is.
    pub quick: bool,
    /// Keep the measuring thread on processor 0.
    pub pin: bool,
    /// Start of the random orders and inputs.
    pub seed: u64,
}

/// What `--help` prints.
pub const USAGE: &str = "\
usage: bench-AREA [--rounds N] [--only TEXT] [--quick] [--strict] [--pin] [--seed N]
  --rounds N   rounds per row (60)
  --only TEXT  only rows whose name contains TEXT
  --quick      7 short rounds: shows that the bench works, says little about speed
  --strict     exit code 1 when a row misses its bar
  --pin        keep the measuring thread on processor 0
  --seed N     start of the random orders";

impl Default for Options {
    fn default() -> Options {
        Options { rounds_count: 60, only: None, strict: false, quick: false, pin: false, seed: 1 }
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
                "--rounds" => options.rounds_count = number(&value()?)?.max(1) as usize,
                "--only" => options.only = Some(value()?),
                "--seed" => options.seed = number(&value()?)?,
                "--quick" => {
                    options.quick = true;
                    options.rounds_count = 7;
                }
                "--strict" => options.strict = true,
                "--pin" => options.pin = true,
                "--help" | "-h" => return Err(USAGE.to_owned()),
                _ => return Err(format!("unknown argument `{argument}`\n{USAGE}")),
            }
        }
        Ok(options)
    }

    /// Whether the row `name` was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_understood_or_named() {
        let options = parse("--rounds 12 --only reset --strict --pin --seed 9").expect("all known");
        assert_eq!((options.rounds_count, options.seed, options.strict, options.pin), (12, 9, true, true));
        assert!(options.wants("arena/reset_1k") && !options.wants("arena/cold"));
        assert_eq!(parse("--quick").expect("known").rounds_count, 7);
        assert!(parse("--rounds").unwrap_err().contains("--rounds needs a value"));
        assert!(parse("--rounds many").unwrap_err().contains("`many` is not a number"));
        assert!(parse("--fast").unwrap_err().contains("unknown argument `--fast`"));
    }
}

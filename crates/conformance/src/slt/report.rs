//! Failures as lines and in groups.

use std::collections::HashMap;
use std::fmt;

/// A record that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file and the line.
    pub place: String,
    /// The statement.
    pub sql: String,
    /// What failures of one cause have in common: the SQLSTATE and the message, or what is wrong with the answer.
    pub group: String,
    /// What should have been, cut where it is long.
    pub expected: String,
    /// What was, cut where it is long.
    pub actual: String,
}

/// What became of the records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records whose answer was the expected one.
    pub passed_count: u64,
    /// Records for other engines.
    pub skipped_count: u64,
    /// The others.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Takes the records of another file in.
    pub fn add(&mut self, other: Report) {
        self.passed_count += other.passed_count;
        self.skipped_count += other.skipped_count;
        self.failures.extend(other.failures);
    }
}

/// Prints as `N passed, N failed`.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed_count, self.failures.len())
    }
}

impl Failure {
    /// The failure on one line.
    pub fn line(&self) -> String {
        let line = format!("{}\t{}\t{}", self.place, self.group, self.sql);
        line.replace('\n', " ")
    }
}

/// Prints on several lines: the place, the statement, what was expected and what came.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}\n  {}\n  expected: {}\n  actual:   {}",
            self.place,
            self.group,
            self.sql.replace('\n', "\n  "),
            self.expected,
            self.actual
        )
    }
}

/// Failures by what they have in common, the largest group first, each with its first place. Numbers and quoted names
/// within messages do not tell groups apart.
pub fn summary(failures: &[Failure]) -> Vec<(usize, String, String)> {
    let mut groups: HashMap<String, (usize, String)> = HashMap::new();
    for failure in failures {
        let (count, _) = groups.entry(general(&failure.group)).or_insert((0, failure.place.clone()));
        *count += 1;
    }
    let mut groups: Vec<_> =
        groups.into_iter().map(|(group, (count, place))| (count, group, place)).collect();
    groups.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    groups
}

/// A message without the numbers and quoted names in it; its SQLSTATE stays.
fn general(message: &str) -> String {
    let (sqlstate, rest) = match message.split_once(' ') {
        Some((word, rest))
            if word.len() == 5 && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()) =>
        {
            (word, rest)
        }
        _ => ("", message),
    };
    let mut text = sqlstate.to_owned();
    if !text.is_empty() {
        text.push(' ');
    }
    let mut rest = rest.chars().peekable();
    while let Some(c) = rest.next() {
        text.push(if c.is_ascii_digit() { '#' } else { c });
        if c == '"' {
            while rest.next_if(|&c| c != '"').is_some() {}
            text.push('…');
            text.extend(rest.next());
        } else if c.is_ascii_digit() {
            while rest.next_if(char::is_ascii_digit).is_some() {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(place: &str, group: &str) -> Failure {
        Failure {
            place: place.to_owned(),
            sql: "SELECT\n1".to_owned(),
            group: group.to_owned(),
            expected: "1".to_owned(),
            actual: "2".to_owned(),
        }
    }

    #[test]
    fn groups_leave_out_what_varies_and_the_largest_is_first() {
        let failures = [
            failure("a:1", "wrong answer"),
            failure("a:2", "42703 column \"x1\" does not exist"),
            failure("a:3", "42703 column \"y\" does not exist"),
            failure("a:4", "53200 asked for 120 of 45 bytes"),
        ];
        assert_eq!(
            summary(&failures),
            [
                (2, "42703 column \"…\" does not exist".to_owned(), "a:2".to_owned()),
                (1, "53200 asked for # of # bytes".to_owned(), "a:4".to_owned()),
                (1, "wrong answer".to_owned(), "a:1".to_owned()),
            ]
        );
    }

    #[test]
    fn a_failure_is_one_line_in_a_list() {
        assert_eq!(failure("a:1", "wrong answer").line(), "a:1\twrong answer\tSELECT 1");
        let mut report = Report { passed_count: 2, skipped_count: 1, failures: vec![failure("a:1", "x")] };
        report.add(report.clone());
        assert_eq!(report.to_string(), "4 passed, 2 failed");
    }
}

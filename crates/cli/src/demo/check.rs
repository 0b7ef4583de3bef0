//! Whether an answer is the one that TPC-H expects.
//!
//! Every value must be equal: texts and dates letter for letter, numbers as exact decimals, whatever their scale. The
//! stored means were computed in binary floating point, so a column whose name begins with `avg_` may differ by
//! [`MEAN_TOLERANCE`] of its value.

use std::fmt;

use cofferdam::{Decimal, Error, Rows};

/// The relative difference that is allowed in a mean.
const MEAN_TOLERANCE: f64 = 1e-9;

/// The rows of an answer as texts. Answers of the demo have ten rows at most.
#[derive(Debug)]
pub(super) struct Answer {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The statement's budgets, stage by stage, when the last row had been read.
    memory: String,
}

/// What the check says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the stored answer.
    Right,
    /// It is not: where it differs.
    Wrong(String),
    /// No answer is stored for this scale.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Right => f.write_str("the answer is right"),
            Verdict::Wrong(difference) => write!(f, "the answer is WRONG: {difference}"),
            Verdict::Unknown => f.write_str("no answer is stored for this scale"),
        }
    }
}

impl Answer {
    /// Reads all rows.
    ///
    /// # Errors
    /// What the statement raises.
    pub(super) fn read(rows: &mut Rows<'_>) -> Result<Answer, Error> {
        let names = rows.columns().iter().map(|column| column.name.to_owned()).collect();
        let mut answer = Answer { names, rows: Vec::new(), memory: String::new() };
        while let Some(row) = rows.next_row()? {
            answer.rows.push(row.values().map(|value| value.to_string()).collect());
        }
        answer.memory = rows.budget().memory_tree().to_string();
        Ok(answer)
    }

    /// The statement's memory, stage by stage.
    pub(super) fn memory(&self) -> &str {
        &self.memory
    }

    pub(super) fn rows_count(&self) -> usize {
        self.rows.len()
    }

    /// Compares with a stored answer: a header and rows, with `|` between fields.
    pub(super) fn check(&self, stored: &str) -> Verdict {
        let mut lines = stored.lines().map(|line| line.split('|'));
        let names: Vec<&str> = lines.next().map(Iterator::collect).unwrap_or_default();
        if names != self.names {
            return Verdict::Wrong(format!("columns {:?} instead of {names:?}", self.names));
        }
        let expected: Vec<Vec<&str>> = lines.map(Iterator::collect).collect();
        if expected.len() != self.rows.len() {
            return Verdict::Wrong(format!("{} rows instead of {}", self.rows.len(), expected.len()));
        }
        for (number, (row, expected)) in self.rows.iter().zip(&expected).enumerate() {
            for ((name, value), expected) in names.iter().zip(row).zip(expected) {
                if !is_same(name, value, expected) {
                    return Verdict::Wrong(format!(
                        "row {}, {name}: {value} instead of {expected}",
                        number + 1
                    ));
                }
            }
        }
        Verdict::Right
    }
}

fn is_same(name: &str, value: &str, expected: &str) -> bool {
    if value == expected {
        return true;
    }
    if name.starts_with("avg_")
        && let (Ok(value), Ok(expected)) = (value.parse::<f64>(), expected.parse::<f64>())
    {
        return (value - expected).abs() <= MEAN_TOLERANCE * expected.abs();
    }
    match (Decimal::parse(value.as_bytes()), Decimal::parse(expected.as_bytes())) {
        (Ok(value), Ok(expected)) => value.cmp(&expected).is_eq(),
        _ => false,
    }
}

/// The rows as a table.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.chain(self.names.get(column)).map(String::len).max().unwrap_or(0)
        };
        for row in std::iter::once(&self.names).chain(&self.rows) {
            for (column, cell) in row.iter().enumerate() {
                write!(f, "  {cell:>0$}", width(column))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[[&str; 2]]) -> Answer {
        let rows = rows.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).collect();
        Answer { names: vec!["key".to_owned(), "avg_x".to_owned()], rows, memory: String::new() }
    }

    #[test]
    fn only_means_may_differ_and_only_a_little() {
        let stored = "key|avg_x\nA|0.5000000000000001\n7.50|2\n";
        assert_eq!(answer(&[["A", "0.5000000000"], ["7.5", "2.0"]]).check(stored), Verdict::Right);
        for wrong in [
            answer(&[["A", "0.500001"], ["7.5", "2"]]),
            answer(&[["A", "0.5"], ["7.51", "2"]]),
            answer(&[["B", "0.5"], ["7.5", "2"]]),
            answer(&[["A", "0.5"]]),
        ] {
            assert!(matches!(wrong.check(stored), Verdict::Wrong(_)), "{wrong}");
        }
        assert!(matches!(answer(&[]).check("other|avg_x\n"), Verdict::Wrong(_)));
    }
}

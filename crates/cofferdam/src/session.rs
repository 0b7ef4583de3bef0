//! What a connection has settings of its own for, and how long its statements may run.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::named::LIMIT_DEFAULT_BYTES;

/// The longest `statement_timeout` in milliseconds, as in PostgreSQL.
pub(crate) const TIMEOUT_MS_MAX: u64 = i32::MAX as u64;

/// The settings of a connection.
#[derive(Debug)]
pub(crate) struct Session {
    statement_memory_bytes: AtomicU64,
    statement_timeout_ms: AtomicU64,
    prepared_memory_bytes: AtomicU64,
}

impl Session {
    /// As a connection begins.
    pub(crate) const fn new() -> Session {
        Session {
            statement_memory_bytes: AtomicU64::new(u64::MAX),
            statement_timeout_ms: AtomicU64::new(0),
            prepared_memory_bytes: AtomicU64::new(LIMIT_DEFAULT_BYTES),
        }
    }

    /// What one statement may take, beside what the database may; [`u64::MAX`] leaves it to that.
    pub(crate) fn statement_memory_bytes(&self) -> u64 {
        self.statement_memory_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_statement_memory_bytes(&self, bytes: u64) {
        self.statement_memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What the statements may take that `PREPARE` has given names.
    pub(crate) fn prepared_memory_bytes(&self) -> u64 {
        self.prepared_memory_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn set_prepared_memory_bytes(&self, bytes: u64) {
        self.prepared_memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// How long a statement may run, in milliseconds; 0 for any time.
    pub(crate) fn statement_timeout_ms(&self) -> u64 {
        self.statement_timeout_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_statement_timeout_ms(&self, ms: u64) {
        self.statement_timeout_ms.store(ms, Ordering::Relaxed);
    }
}

/// When a statement has to end.
#[derive(Debug, Default)]
pub(crate) struct Deadline(Cell<Option<Instant>>);

impl Deadline {
    /// A run begins.
    pub(crate) fn begin(&self, session: &Session) {
        let timeout = Some(session.statement_timeout_ms()).filter(|ms| *ms > 0).map(Duration::from_millis);
        // A time that the clock does not reach is none.
        self.0.set(timeout.and_then(|timeout| Instant::now().checked_add(timeout)));
    }

    /// Whether it is over. The clock is read only where there is a deadline.
    pub(crate) fn is_over(&self) -> bool {
        self.0.get().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether the statement shall end: somebody has cancelled it, or it is over.
    pub(crate) fn ends(&self, cancelled: &AtomicBool) -> bool {
        cancelled.load(Ordering::Relaxed) || self.is_over()
    }
}

/// A time as PostgreSQL's settings take it: a number and a unit, of which `ms` may be left out, rounded to milliseconds.
///
/// # Errors
/// [`DurationProblem`].
pub(crate) fn parse_milliseconds(text: &str) -> Result<u64, DurationProblem> {
    const UNITS: [(&str, f64); 6] =
        [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("min", 60e3), ("h", 3_600e3), ("d", 86_400e3)];
    let text = text.trim();
    let (number, unit) = text.split_at(number_bytes(text));
    let number: f64 = number.parse().map_err(|_| DurationProblem::NoNumber)?;
    let unit = unit.trim();
    let scale = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => 1.0,
        None => return Err(DurationProblem::NoUnit),
    };
    let ms = (number * scale).round_ties_even();
    if !(0.0..=TIMEOUT_MS_MAX as f64).contains(&ms) {
        return Err(DurationProblem::OutOfRange(ms));
    }
    Ok(ms as u64)
}

/// How long the number at the beginning of a text is: digits with a sign, a point and an exponent.
fn number_bytes(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_sign = |at: usize| matches!(bytes.get(at), Some(b'+' | b'-'));
    let after = |mut at: usize, is_part: fn(&u8) -> bool| {
        while bytes.get(at).is_some_and(is_part) {
            at += 1;
        }
        at
    };
    let end = after(usize::from(is_sign(0)), |byte| byte.is_ascii_digit() || *byte == b'.');
    if !matches!(bytes.get(end), Some(b'e' | b'E')) {
        return end;
    }
    let digits = end + 1 + usize::from(is_sign(end + 1));
    let exponent_end = after(digits, u8::is_ascii_digit);
    if exponent_end > digits { exponent_end } else { end }
}

/// What is wrong with a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum DurationProblem {
    /// It does not begin with a number.
    NoNumber,
    /// There is no such unit.
    NoUnit,
    /// So many milliseconds are too many, or less than none.
    OutOfRange(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 says to `SET statement_timeout` of the same texts.
    #[test]
    fn times_are_read_as_postgresql_reads_them() {
        for (text, ms) in [
            ("0", 0),
            ("1500", 1500),
            (" 1.5s ", 1500),
            ("90min", 5_400_000),
            ("1 d", 86_400_000),
            ("1us", 0),
            ("600us", 1),
            ("2.5ms", 2),
            ("2147483647", TIMEOUT_MS_MAX),
            ("+3h", 10_800_000),
            ("3.5ms", 4),
            ("1e3", 1000),
            ("1e-1s", 100),
        ] {
            assert_eq!(parse_milliseconds(text), Ok(ms), "{text}");
        }
        assert_eq!(parse_milliseconds("x"), Err(DurationProblem::NoNumber));
        assert_eq!(parse_milliseconds(""), Err(DurationProblem::NoNumber));
        assert_eq!(parse_milliseconds("1-2"), Err(DurationProblem::NoUnit));
        assert_eq!(parse_milliseconds("1e"), Err(DurationProblem::NoUnit));
        assert_eq!(parse_milliseconds("1h30"), Err(DurationProblem::NoUnit));
        assert_eq!(parse_milliseconds("12 parsecs"), Err(DurationProblem::NoUnit));
        assert_eq!(parse_milliseconds("1 MS"), Err(DurationProblem::NoUnit));
        assert_eq!(parse_milliseconds("-1"), Err(DurationProblem::OutOfRange(-1.0)));
        assert_eq!(parse_milliseconds("100d"), Err(DurationProblem::OutOfRange(8_640_000_000.0)));
        assert_eq!(parse_milliseconds("2147483648"), Err(DurationProblem::OutOfRange(2_147_483_648.0)));
    }

    /// Aim: a deadline ends a statement, and none does not. Method: a timeout of a millisecond, and 0.
    #[test]
    fn a_deadline_passes() {
        let (session, deadline, flag) = (Session::new(), Deadline::default(), AtomicBool::new(false));
        deadline.begin(&session);
        assert!(!deadline.ends(&flag));
        session.set_statement_timeout_ms(1);
        deadline.begin(&session);
        std::thread::sleep(Duration::from_millis(2));
        assert!(deadline.ends(&flag) && deadline.is_over());
        session.set_statement_timeout_ms(0);
        deadline.begin(&session);
        assert!(!deadline.ends(&flag));
        flag.store(true, Ordering::Relaxed);
        assert!(deadline.ends(&flag) && !deadline.is_over());
    }
}

//! Spans of time: months, days and microseconds, as they are added to dates and timestamps.
//!
//! A month has no fixed number of days and a day no fixed number of hours, so all three are kept. Where intervals are
//! compared, a month counts as 30 days and a day as 24 hours, as in PostgreSQL: one month and 30 days are equal.

use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};

use crate::time::{DAY_MICROS, HOUR_MICROS, push_clock};
use crate::{Error, TextBuffer, Type};

/// Months, days and microseconds, each with its own sign.
///
/// Equality, order and hash count a month as 30 days and a day as 24 hours.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    /// Months, years being 12 of them.
    pub months: i32,
    /// Days, weeks being 7 of them.
    pub days: i32,
    /// Microseconds, hours being 3,600,000,000 of them.
    pub micros: i64,
}

/// The unit behind `interval '3'`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntervalUnit {
    /// 12 months.
    Year,
    /// One month.
    Month,
    /// 7 days.
    Week,
    /// One day.
    Day,
}

impl IntervalUnit {
    /// The unit called `name`: `year`, `years`, `mon`, `month`, `week`, `day` and PostgreSQL's short forms.
    pub fn from_name(name: &str) -> Option<IntervalUnit> {
        const NAMES: [(&str, IntervalUnit); 16] = [
            ("year", IntervalUnit::Year),
            ("years", IntervalUnit::Year),
            ("yr", IntervalUnit::Year),
            ("yrs", IntervalUnit::Year),
            ("y", IntervalUnit::Year),
            ("month", IntervalUnit::Month),
            ("months", IntervalUnit::Month),
            ("mon", IntervalUnit::Month),
            ("mons", IntervalUnit::Month),
            ("week", IntervalUnit::Week),
            ("weeks", IntervalUnit::Week),
            ("w", IntervalUnit::Week),
            ("day", IntervalUnit::Day),
            ("days", IntervalUnit::Day),
            ("d", IntervalUnit::Day),
            ("m", IntervalUnit::Month),
        ];
        NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, unit)| *unit)
    }

    fn times(self, count: i64) -> Option<(i64, i64)> {
        Some(match self {
            IntervalUnit::Year => (count.checked_mul(12)?, 0),
            IntervalUnit::Month => (count, 0),
            IntervalUnit::Week => (0, count.checked_mul(7)?),
            IntervalUnit::Day => (0, count),
        })
    }
}

impl Interval {
    /// No time at all.
    pub const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };

    /// Reads `1 year 2 months -3 days`, with `ago` behind it to turn all signs.
    ///
    /// # Errors
    /// [`Error::InvalidText`], [`Error::DatetimeOverflow`].
    pub fn parse(text: &str) -> Result<Interval, Error> {
        parse_with(text, None)
    }

    /// Reads the text of `interval '3' month`: a number takes the unit that stands behind the quotes, and text with
    /// units of its own keeps them.
    ///
    /// # Errors
    /// [`Error::InvalidText`], [`Error::DatetimeOverflow`].
    pub fn parse_unit(text: &str, unit: IntervalUnit) -> Result<Interval, Error> {
        parse_with(text, Some(unit))
    }

    /// The sum, each part for itself.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] beyond 32 bits.
    pub fn checked_add(self, other: Interval) -> Result<Interval, Error> {
        let micros = self.micros.checked_add(other.micros).ok_or_else(|| overflow(&[]))?;
        let days = i64::from(self.days) + i64::from(other.days);
        of_parts(i64::from(self.months) + i64::from(other.months), days, micros, &[])
    }

    /// The difference, each part for itself.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] beyond 32 bits.
    pub fn checked_sub(self, other: Interval) -> Result<Interval, Error> {
        let micros = self.micros.checked_sub(other.micros).ok_or_else(|| overflow(&[]))?;
        let days = i64::from(self.days) - i64::from(other.days);
        of_parts(i64::from(self.months) - i64::from(other.months), days, micros, &[])
    }

    /// The interval `factor` times.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] beyond 32 bits.
    pub fn checked_mul(self, factor: i32) -> Result<Interval, Error> {
        let factor = i64::from(factor);
        let micros = self.micros.checked_mul(factor).ok_or_else(|| overflow(&[]))?;
        of_parts(i64::from(self.months) * factor, i64::from(self.days) * factor, micros, &[])
    }

    /// The microseconds that the interval counts in comparisons, a month being 30 days and a day 24 hours.
    #[inline]
    pub fn comparable_micros(self) -> i128 {
        let days = i64::from(self.months) * 30 + i64::from(self.days);
        i128::from(days) * i128::from(DAY_MICROS) + i128::from(self.micros)
    }

    /// The text form, in a buffer on the stack: `1 year 2 mons -3 days +04:05:06.789`.
    pub fn to_text(self) -> TextBuffer {
        let mut text = TextBuffer::new();
        self.print(&mut text).expect("an interval has at most 70 characters");
        text
    }

    fn print(self, text: &mut TextBuffer) -> fmt::Result {
        let mut after_negative = false;
        let parts = [(self.months / 12, "year"), (self.months % 12, "mon"), (self.days, "day")];
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
            let space = if text.as_bytes().is_empty() { "" } else { " " };
            let sign = if after_negative && count > 0 { "+" } else { "" };
            let plural = if count == 1 { "" } else { "s" };
            write!(text, "{space}{sign}{count} {unit}{plural}")?;
            after_negative = count < 0;
        }
        if self.micros == 0 && !text.as_bytes().is_empty() {
            return Ok(());
        }
        let space = if text.as_bytes().is_empty() { "" } else { " " };
        let sign = match self.micros {
            ..0 => "-",
            _ if after_negative => "+",
            _ => "",
        };
        write!(text, "{space}{sign}")?;
        // The least number has no positive twin: hours apart from the rest, both positive.
        let (hours, rest) = (self.micros / HOUR_MICROS, self.micros % HOUR_MICROS);
        let mut rest_text = TextBuffer::new();
        push_clock(&mut rest_text, rest.abs())?;
        write!(text, "{:02}", hours.unsigned_abs())?;
        text.write_str(rest_text.as_str().get(2..).unwrap_or(""))
    }
}

#[cold]
fn overflow(text: &[u8]) -> Error {
    Error::datetime(Type::Interval, text, "an interval holds 2^31 months and 2^31 days")
}

fn of_parts(months: i64, days: i64, micros: i64, text: &[u8]) -> Result<Interval, Error> {
    match (i32::try_from(months), i32::try_from(days)) {
        (Ok(months), Ok(days)) => Ok(Interval { months, days, micros }),
        _ => Err(overflow(text)),
    }
}

fn parse_with(text: &str, default: Option<IntervalUnit>) -> Result<Interval, Error> {
    let bytes = text.as_bytes();
    let invalid = |at, reason| Error::invalid(Type::Interval, bytes, at, reason);
    let overflow = || Error::datetime(Type::Interval, bytes, "an interval holds 2^31 months and 2^31 days");
    let (mut months, mut days) = (0i64, 0i64);
    let mut rest = text;
    let mut fields_count = 0;
    loop {
        rest = rest.trim_ascii_start();
        let at = text.len() - rest.len();
        if rest.is_empty() {
            break;
        }
        let (word, behind) = take_while(rest, |byte| byte.is_ascii_alphabetic());
        if word.eq_ignore_ascii_case("ago") && fields_count > 0 && behind.trim_ascii().is_empty() {
            (months, days) = (-months, -days);
            break;
        }
        let (number, behind) = take_while(rest, |byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-'));
        if number.is_empty() {
            return Err(invalid(at, "expected a whole number"));
        }
        let count = match number.parse::<i64>() {
            Ok(count) => count,
            Err(error) if *error.kind() == core::num::IntErrorKind::InvalidDigit => {
                return Err(invalid(at, "expected a whole number"));
            }
            Err(_) => return Err(overflow()),
        };
        let behind = behind.trim_ascii_start();
        let (word, tail) = take_while(behind, |byte| byte.is_ascii_alphabetic());
        let unit = match (word, default) {
            ("", Some(unit)) if tail.is_empty() => Some(unit),
            ("", None) => return Err(invalid(text.len() - behind.len(), "expected a unit")),
            (name, _) => IntervalUnit::from_name(name),
        };
        let unit =
            unit.ok_or(invalid(text.len() - behind.len(), "the units are year, month, week and day"))?;
        let (more_months, more_days) = unit.times(count).ok_or_else(overflow)?;
        months = months.checked_add(more_months).ok_or_else(overflow)?;
        days = days.checked_add(more_days).ok_or_else(overflow)?;
        fields_count += 1;
        rest = tail;
    }
    if fields_count == 0 {
        return Err(invalid(text.len(), "expected a whole number"));
    }
    of_parts(months, days, 0, bytes)
}

/// The longest start of `text` whose bytes are all wanted (ASCII ones only), and the rest.
fn take_while(text: &str, is_wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let count = text.bytes().take_while(|byte| is_wanted(*byte)).count();
    text.split_at_checked(count).unwrap_or((text, ""))
}

impl PartialEq for Interval {
    fn eq(&self, other: &Interval) -> bool {
        self.comparable_micros() == other.comparable_micros()
    }
}

impl Eq for Interval {}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Interval) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Interval) -> Ordering {
        self.comparable_micros().cmp(&other.comparable_micros())
    }
}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.comparable_micros().hash(state);
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    fn parts(interval: Interval) -> (i32, i32) {
        (interval.months, interval.days)
    }

    #[test]
    fn text_is_read_as_postgresql_reads_it() {
        let cases = [
            ("1 year 2 months", (14, 0)),
            ("1year2mons", (14, 0)),
            ("-1 year +2 mons -3 days", (-10, -3)),
            (" 2 WEEKS 1 day ", (0, 15)),
            ("1 month 3 days ago", (-1, -3)),
            ("90 day", (0, 90)),
        ];
        for (text, expected) in cases {
            assert_eq!(Interval::parse(text).map(parts), Ok(expected), "{text}");
        }
        assert_eq!(Interval::parse_unit("3", IntervalUnit::Month).map(parts), Ok((3, 0)));
        assert_eq!(Interval::parse_unit(" -90 ", IntervalUnit::Day).map(parts), Ok((0, -90)));
        assert_eq!(Interval::parse_unit("1 year", IntervalUnit::Day).map(parts), Ok((12, 0)));
    }

    #[test]
    fn bad_intervals_say_what_is_wrong() {
        let cases = [
            ("", "22007", "expected a whole number at byte 0"),
            ("ago", "22007", "expected a whole number at byte 0"),
            ("1 day --2 days", "22007", "expected a whole number at byte 6"),
            ("90", "22007", "expected a unit at byte 2"),
            ("1.5 days", "22007", "expected a unit at byte 1"),
            ("3 hours", "22007", "the units are year, month, week and day at byte 2"),
            ("3 \u{e9}", "22007", "expected a unit at byte 2"),
            ("1 day ago 2 days", "22007", "expected a whole number at byte 6"),
            ("9999999999999999999 days", "22008", "an interval holds 2^31 months and 2^31 days"),
            ("2147483648 days", "22008", "an interval holds 2^31 months and 2^31 days"),
            ("9223372036854775807 years", "22008", "an interval holds 2^31 months and 2^31 days"),
        ];
        for (text, sqlstate, message) in cases {
            let error = Interval::parse(text).unwrap_err();
            assert_eq!(error.sqlstate(), sqlstate, "{text}: {error}");
            assert!(error.to_string().ends_with(&std::format!("({message})")), "{text}: {error}");
        }
    }

    #[test]
    fn text_form_is_that_of_postgresql() {
        let show = |months, days| Interval { months, days, micros: 0 }.to_string();
        assert_eq!(show(0, 0), "00:00:00");
        assert_eq!(show(14, 3), "1 year 2 mons 3 days");
        assert_eq!(show(-14, 3), "-1 years -2 mons +3 days");
        assert_eq!(show(i32::MIN, i32::MIN), "-178956970 years -8 mons -2147483648 days");
        let clock = |months, micros| Interval { months, days: 0, micros }.to_string();
        assert_eq!(clock(0, 1_500_000), "00:00:01.5");
        assert_eq!(clock(-1, HOUR_MICROS * 100), "-1 mons +100:00:00");
        assert_eq!(clock(1, -1), "1 mon -00:00:00.000001");
        assert_eq!(clock(i32::MIN, i64::MIN), "-178956970 years -8 mons -2562047788:00:54.775808");
    }

    #[test]
    fn a_month_counts_as_thirty_days() {
        assert_eq!(Interval { months: 1, days: 0, micros: 0 }, Interval { months: 0, days: 30, micros: 0 });
        assert!(Interval { months: 1, days: 0, micros: 0 } < Interval { months: 0, days: 31, micros: 0 });
    }

    #[test]
    fn arithmetic_is_checked() {
        let great = Interval { months: i32::MAX, days: i32::MIN, micros: 0 };
        let one = Interval { months: 1, days: 1, micros: 0 };
        assert_eq!(great.checked_add(one).unwrap_err().sqlstate(), "22008");
        assert_eq!(great.checked_sub(one).unwrap_err().sqlstate(), "22008");
        assert_eq!(great.checked_mul(2).unwrap_err().sqlstate(), "22008");
        assert_eq!(one.checked_mul(-3).map(parts), Ok((-3, -3)));
        assert_eq!(one.checked_sub(one).map(parts), Ok((0, 0)));
    }

    proptest! {
        #[test]
        fn text_reads_back(months in any::<i32>(), days in any::<i32>()) {
            prop_assume!((months, days) != (0, 0));
            let interval = Interval { months, days, micros: 0 };
            prop_assert_eq!(Interval::parse(interval.to_text().as_str()).map(parts), Ok((months, days)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([-+]?[0-9]{1,4} ?[a-z]{0,5} ?){0,3}|\\PC{0,8}") {
            if let Err(error) = Interval::parse(&text) {
                prop_assert!(matches!(error.sqlstate(), "22007" | "22008"));
            }
        }
    }
}

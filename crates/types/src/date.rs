//! Days of the proleptic Gregorian calendar.
//!
//! A date is the number of days since 1970-01-01. The calendar is the Gregorian one for all time, before 1582 too, and
//! the range is PostgreSQL's: 4714-11-24 BC (Julian day 0) to 5874897-12-31. The year before 1 is 1 BC, which is the
//! year 0 of the arithmetic.
//!
//! # Source
//! The conversions are Howard Hinnant's `days_from_civil` and `civil_from_days` (chrono-Compatible Low-Level Date
//! Algorithms): years begin in March, so that the leap day is the last of its year, and 400 years have 146,097 days.

use core::fmt::{self, Write as _};

use crate::{Error, Interval, TextBuffer, Type};

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

const DAYS_OF_MONTH: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const NO_SUCH_DAY: [&str; 12] = [
    "january has 31 days",
    "february has 28 days in this year",
    "march has 31 days",
    "april has 30 days",
    "may has 31 days",
    "june has 30 days",
    "july has 31 days",
    "august has 31 days",
    "september has 30 days",
    "october has 31 days",
    "november has 30 days",
    "december has 31 days",
];

const OUT_OF_RANGE: &str = "dates run from 4714-11-24 BC to 5874897-12-31";

impl Date {
    /// The first day: 4714-11-24 BC.
    pub const MIN: Date = Date(-2_440_588);
    /// The last day: 5874897-12-31.
    pub const MAX: Date = Date(2_145_042_905);
    /// Before all days.
    pub const NEG_INFINITY: Date = Date(i32::MIN);
    /// Behind all days.
    pub const INFINITY: Date = Date(i32::MAX);

    /// The day `days` after 1970-01-01; the least and the greatest number of 32 bits are the infinities.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside [`Date::MIN`] to [`Date::MAX`].
    #[inline]
    pub fn from_days(days: i64) -> Result<Date, Error> {
        match i32::try_from(days) {
            Ok(days) if (Date::MIN.0..=Date::MAX.0).contains(&days) => Ok(Date(days)),
            Ok(days @ (i32::MIN | i32::MAX)) => Ok(Date(days)),
            _ => Err(Error::datetime(Type::Date, &[], OUT_OF_RANGE)),
        }
    }

    /// Whether it is one of the infinities.
    #[inline]
    pub const fn is_infinite(self) -> bool {
        matches!(self.0, i32::MIN | i32::MAX)
    }

    /// Days since 1970-01-01.
    #[inline]
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The day of a year (0 is 1 BC), a month and a day of the month.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] when there is no such day.
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Result<Date, Error> {
        ymd(year, month, day).map_err(|reason| Error::datetime(Type::Date, &[], reason))
    }

    /// Reads `yyyy-mm-dd`, with ` BC` behind it for years before 1, or `yyyymmdd`. White space around it is skipped.
    ///
    /// # Errors
    /// [`Error::InvalidText`] when the text has another shape; [`Error::DatetimeOverflow`] when there is no such day.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Date, Error> {
        let (year, month, day) = match parse_ten(text) {
            Some(parts) => parts,
            None => parse_parts(text)?,
        };
        ymd(year, month, day).map_err(|reason| Error::datetime(Type::Date, text, reason))
    }

    /// Reads a text of the shape `yyyy-mm-dd`; nothing for other shapes.
    #[inline]
    pub(crate) fn parse_usual(text: &[u8]) -> Option<Result<Date, Error>> {
        let (year, month, day) = parse_ten(text)?;
        Some(ymd(year, month, day).map_err(|reason| Error::datetime(Type::Date, text, reason)))
    }

    /// Year (0 is 1 BC), month (1 to 12) and day of the month (1 to 31).
    pub fn ymd(self) -> (i32, u32, u32) {
        civil(self.0.into())
    }

    /// The year, as `extract(year from date)` gives it: 1 BC is -1.
    pub fn year(self) -> i32 {
        let year = self.ymd().0;
        if year > 0 { year } else { year - 1 }
    }

    /// The month, 1 to 12.
    pub fn month(self) -> u32 {
        self.ymd().1
    }

    /// The day of the month, 1 to 31.
    pub fn day(self) -> u32 {
        self.ymd().2
    }

    /// The day of the week, as `extract(dow from date)` gives it: Sunday is 0.
    pub fn day_of_week(self) -> u32 {
        // 1970-01-01 was a Thursday.
        (i64::from(self.0) + 4).rem_euclid(7) as u32
    }

    /// The day of the year, 1 to 366.
    pub fn day_of_year(self) -> u32 {
        (i64::from(self.0) - days_of(self.ymd().0, 1, 1) + 1) as u32
    }

    /// The day `days` later; the infinities stay.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside the range.
    #[inline]
    pub fn add_days(self, days: i32) -> Result<Date, Error> {
        self.move_days(days.into())
    }

    /// The day `days` earlier; the infinities stay.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside the range.
    #[inline]
    pub fn sub_days(self, days: i32) -> Result<Date, Error> {
        self.move_days(-i64::from(days))
    }

    fn move_days(self, days: i64) -> Result<Date, Error> {
        if self.is_infinite() {
            return Ok(self);
        }
        let moved = Date::from_days(i64::from(self.0) + days)?;
        if moved.is_infinite() { Err(Error::datetime(Type::Date, &[], OUT_OF_RANGE)) } else { Ok(moved) }
    }

    /// The days from `other` to `self`.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] where one of them is infinite, or beyond 32 bits.
    #[inline]
    pub fn days_since(self, other: Date) -> Result<i32, Error> {
        match self.0.checked_sub(other.0) {
            Some(days) if !self.is_infinite() && !other.is_infinite() => Ok(days),
            _ => Err(Error::datetime(Type::Date, &[], "cannot subtract infinite dates")),
        }
    }

    /// The same day of the month `months` later, or the last day of that month where it is shorter.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside the range.
    pub fn add_months(self, months: i32) -> Result<Date, Error> {
        self.move_months_and_days(i64::from(months), 0)
    }

    /// The day an interval later: months first, as PostgreSQL adds them, then days.
    ///
    /// # Errors
    /// [`Error::NotSupported`] for an interval with hours, which makes a timestamp of a date;
    /// [`Error::DatetimeOverflow`] outside the range.
    pub fn add_interval(self, interval: Interval) -> Result<Date, Error> {
        whole_days(interval)?;
        self.move_months_and_days(interval.months.into(), interval.days.into())
    }

    /// The day an interval earlier: months first, then days.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside the range.
    pub fn sub_interval(self, interval: Interval) -> Result<Date, Error> {
        whole_days(interval)?;
        self.move_months_and_days(-i64::from(interval.months), -i64::from(interval.days))
    }

    pub(crate) fn move_months_and_days(self, months: i64, days: i64) -> Result<Date, Error> {
        if months == 0 || self.is_infinite() {
            return self.move_days(days);
        }
        let (year, month, day) = self.ymd();
        let month0 = i64::from(year) * 12 + i64::from(month) - 1 + months;
        let (year, month) = (month0.div_euclid(12) as i32, month0.rem_euclid(12) as u32 + 1);
        let moved = Date::from_days(days_of(year, month, day.min(days_in_month(year, month))))?;
        moved.move_days(days)
    }

    /// The text form, in a buffer on the stack.
    pub fn to_text(self) -> TextBuffer {
        let mut text = TextBuffer::new();
        if self.is_infinite() {
            let shown: &[u8] = if self == Date::INFINITY { b"infinity" } else { b"-infinity" };
            text.push_ascii(shown).expect("nine characters");
            return text;
        }
        let (year, month, day) = self.ymd();
        if let 1..=9999 = year {
            let digit = |value: u32| b'0' + (value % 10) as u8;
            let pair = |value: u32| [digit(value / 10), digit(value)];
            let ([y1, y2], [y3, y4]) = (pair(year as u32 / 100), pair(year as u32));
            let ([m1, m2], [d1, d2]) = (pair(month), pair(day));
            let shown = [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2];
            text.push_ascii(&shown).expect("a date has at most 16 characters");
            return text;
        }
        let shown = if year > 0 { year } else { 1 - year };
        let era = if year > 0 { "" } else { " BC" };
        write!(text, "{shown:04}-{month:02}-{day:02}{era}").expect("a date has at most 16 characters");
        text
    }
}

/// Refuses intervals with hours: a day and hours are no day.
fn whole_days(interval: Interval) -> Result<(), Error> {
    match interval.micros {
        0 => Ok(()),
        _ => Err(Error::NotSupported { what: "an interval with hours cannot be added to a date" }),
    }
}

/// Year, month and day of the day `days` after 1970-01-01.
pub(crate) fn civil(days: i64) -> (i32, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u32, day as u32)
}

const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month from 1 to 12.
pub(crate) fn days_in_month(year: i32, month: u32) -> u32 {
    let days = DAYS_OF_MONTH.get(month as usize - 1).copied().unwrap_or(31);
    u32::from(days) + u32::from(month == 2 && is_leap(year))
}

/// Days from 1970-01-01 to a day that exists.
fn days_of(year: i32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn ymd(year: i32, month: u32, day: u32) -> Result<Date, &'static str> {
    if !(1..=12).contains(&month) {
        return Err("months run from 1 to 12");
    }
    if day == 0 {
        return Err("days of a month start at 1");
    }
    if day > days_in_month(year, month) {
        return Err(match month {
            2 if is_leap(year) => "february has 29 days in this year",
            _ => NO_SUCH_DAY.get(month as usize - 1).copied().unwrap_or(OUT_OF_RANGE),
        });
    }
    Date::from_days(days_of(year, month, day)).map_err(|_| OUT_OF_RANGE)
}

/// The parts of `dddd-dd-dd`, the form of almost every field of a file; year 0 does not exist in text.
#[inline]
fn parse_ten(text: &[u8]) -> Option<(i32, u32, u32)> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let digit = |byte: u8| u32::from(byte.wrapping_sub(b'0'));
    let pair = |tens: u8, ones: u8| digit(tens) * 10 + digit(ones);
    let highest =
        [y1, y2, y3, y4, m1, m2, d1, d2].into_iter().fold(0, |highest, byte| highest.max(digit(byte)));
    let year = pair(y1, y2) * 100 + pair(y3, y4);
    (highest < 10 && year > 0).then_some((year as i32, pair(m1, m2), pair(d1, d2)))
}

fn parse_parts(text: &[u8]) -> Result<(i32, u32, u32), Error> {
    let invalid = |at, reason| Error::invalid(Type::Date, text, at, reason);
    let start = text.len() - text.trim_ascii_start().len();
    let (year, year_end) = digits(text, start);
    let (mut rest, parts) = match (year_end - start, text.get(year_end)) {
        (0, _) => return Err(invalid(start, "expected a year")),
        (8, _) => (year_end, (year / 10_000, year / 100 % 100, year % 100)),
        (4..=7, Some(b'-')) => {
            let (month, month_end) =
                part(text, year_end + 1).ok_or(invalid(year_end + 1, "expected a month"))?;
            if text.get(month_end) != Some(&b'-') {
                return Err(invalid(month_end, "expected - and a day"));
            }
            let (day, day_end) = part(text, month_end + 1).ok_or(invalid(month_end + 1, "expected a day"))?;
            (day_end, (year, month, day))
        }
        (4..=7, _) => return Err(invalid(year_end, "expected - and a month")),
        _ => return Err(invalid(start, "expected a year of 4 to 7 digits")),
    };
    let (year, month, day) = parts;
    let mut year = year as i32;
    if year == 0 {
        return Err(Error::datetime(Type::Date, text, "there is no year 0"));
    }
    let era = text.get(rest..).unwrap_or(&[]).trim_ascii();
    if era.eq_ignore_ascii_case(b"bc") {
        year = 1 - year;
        rest = text.len();
    }
    match text.get(rest..).is_some_and(|tail| tail.trim_ascii().is_empty()) {
        true => Ok((year, month, day)),
        false => Err(invalid(rest, "expected the end of the date")),
    }
}

/// The number at `at` and where it ends; at most nine digits are read.
fn digits(text: &[u8], at: usize) -> (u32, usize) {
    let tail = text.get(at..).unwrap_or(&[]);
    let count = tail.iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
    let value = tail.iter().take(count).fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    (value, at + count)
}

/// A month or a day: one or two digits.
fn part(text: &[u8], at: usize) -> Option<(u32, usize)> {
    let (value, end) = digits(text, at);
    (1..=2).contains(&(end - at)).then_some((value, end))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan as _;
    use proptest::prelude::*;
    use std::string::ToString as _;

    fn date(text: &str) -> Date {
        Date::parse(text.as_bytes()).unwrap()
    }

    fn jiff_day(days: i32) -> jiff::civil::Date {
        jiff::civil::date(1970, 1, 1).checked_add(i64::from(days).days()).unwrap()
    }

    #[test]
    fn ends_of_the_range_are_days() {
        assert_eq!(Date::MIN.to_string(), "4714-11-24 BC");
        assert_eq!(Date::MAX.to_string(), "5874897-12-31");
        assert_eq!(date("4714-11-24 BC"), Date::MIN);
        assert_eq!(date("5874897-12-31"), Date::MAX);
        assert_eq!(Date::MAX.add_days(1).unwrap_err().sqlstate(), "22008");
        assert_eq!(Date::MIN.sub_days(1).unwrap_err().sqlstate(), "22008");
        assert_eq!(Date::MAX.add_months(i32::MAX).unwrap_err().sqlstate(), "22008");
        assert!(Date::MAX.sub_interval(Interval { months: i32::MIN, days: 0, micros: 0 }).is_err());
        assert_eq!(Date::MAX.days_since(Date::MIN), Ok(2_147_483_493));
        assert_eq!(date("0001-01-01").sub_days(1).unwrap(), date("0001-12-31 bc"));
        assert_eq!(date("0001-12-31 BC").year(), -1);
        for days in [Date::MIN.0, Date::MAX.0] {
            let (year, month, day) = Date(days).ymd();
            assert_eq!(days_of(year, month, day), i64::from(days));
        }
    }

    #[test]
    fn bad_dates_say_what_is_wrong() {
        let cases = [
            ("", "22007", "expected a year at byte 0"),
            ("hello", "22007", "expected a year at byte 0"),
            ("98-12-01", "22007", "expected a year of 4 to 7 digits at byte 0"),
            ("1998", "22007", "expected - and a month at byte 4"),
            ("1998-", "22007", "expected a month at byte 5"),
            ("1998-123-01", "22007", "expected a month at byte 5"),
            ("1998-12", "22007", "expected - and a day at byte 7"),
            ("1998-12-x", "22007", "expected a day at byte 8"),
            ("1998-12-01 x", "22007", "expected the end of the date at byte 10"),
            ("1998-12-01\u{e9}", "22007", "expected the end of the date at byte 10"),
            ("1998-13-01", "22008", "months run from 1 to 12"),
            ("1998-00-01", "22008", "months run from 1 to 12"),
            ("1998-12-00", "22008", "days of a month start at 1"),
            ("1998-12-32", "22008", "december has 31 days"),
            ("1998-02-31", "22008", "february has 28 days in this year"),
            ("2000-02-30", "22008", "february has 29 days in this year"),
            ("1900-02-29", "22008", "february has 28 days in this year"),
            ("0000-01-01", "22008", "there is no year 0"),
            ("5874898-01-01", "22008", "dates run from 4714-11-24 BC to 5874897-12-31"),
            ("4714-11-23 BC", "22008", "dates run from 4714-11-24 BC to 5874897-12-31"),
        ];
        for (text, sqlstate, message) in cases {
            let error = Date::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.sqlstate(), sqlstate, "{text}");
            assert!(error.to_string().ends_with(&std::format!("({message})")), "{text}: {error}");
        }
    }

    #[test]
    fn other_shapes_are_read() {
        assert_eq!(date(" 1998-2-1 "), date("1998-02-01"));
        assert_eq!(date("19980201"), date("1998-02-01"));
        assert_eq!(date("12345-01-01").to_string(), "12345-01-01");
    }

    #[test]
    fn months_end_on_their_last_day() {
        assert_eq!(date("1999-01-31").add_months(1).unwrap(), date("1999-02-28"));
        assert_eq!(date("2000-03-31").add_months(-1).unwrap(), date("2000-02-29"));
        assert_eq!(date("2000-02-29").add_months(12).unwrap(), date("2001-02-28"));
        assert_eq!(
            date("1998-12-01").sub_interval(Interval { months: 0, days: 90, micros: 0 }),
            Ok(date("1998-09-02"))
        );
        let interval = Interval { months: 1, days: 1, micros: 0 };
        assert_eq!(date("1999-01-31").add_interval(interval), Ok(date("1999-03-01")));
    }

    proptest! {
        #[test]
        fn calendar_matches_jiff(days in -719_528..2_932_896i32) {
            let (ours, theirs) = (Date(days), jiff_day(days));
            prop_assert_eq!(ours.ymd(), (theirs.year().into(), theirs.month() as u32, theirs.day() as u32));
            prop_assert_eq!(ours.day_of_year(), theirs.day_of_year() as u32);
            prop_assert_eq!(ours.day_of_week(), theirs.weekday().to_sunday_zero_offset() as u32);
            if theirs.year() > 0 {
                prop_assert_eq!(ours.to_string(), theirs.to_string());
            }
            prop_assert_eq!(Date::parse(ours.to_text().as_bytes()), Ok(ours));
        }

        #[test]
        fn month_arithmetic_matches_jiff(days in -700_000..2_900_000i32, months in -1000..1000i32) {
            let ours = Date(days).add_months(months).unwrap();
            if let Ok(theirs) = jiff_day(days).checked_add(months.months()) {
                prop_assert_eq!(ours.ymd(), (theirs.year().into(), theirs.month() as u32, theirs.day() as u32));
            }
        }

        #[test]
        fn every_day_of_the_range_reads_back(days in Date::MIN.0..=Date::MAX.0) {
            prop_assert_eq!(Date::parse(Date(days).to_text().as_bytes()), Ok(Date(days)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9 -]{0,12}|\\PC{0,8}") {
            if let Ok(date) = Date::parse(text.as_bytes()) {
                prop_assert_eq!(Date::parse(date.to_text().as_bytes()), Ok(date));
            }
        }
    }
}

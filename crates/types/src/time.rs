//! Times of day, and moments: a day and a time of it.
//!
//! Both count microseconds. A [`Time`] counts from midnight up to 24:00:00. A [`Timestamp`] counts from 2000-01-01
//! 00:00:00, as PostgreSQL does, and has its range: 4714-11-24 BC to 294276-12-31 23:59:59.999999, and `-infinity` and
//! `infinity` before and behind all of these. A timestamp with time zone is the same number, counted in UTC.

use core::fmt::{self, Write as _};

use crate::{Date, Error, TextBuffer, Type};

/// Microseconds of a second.
pub const SECOND_MICROS: i64 = 1_000_000;
/// Microseconds of a minute.
pub const MINUTE_MICROS: i64 = 60 * SECOND_MICROS;
/// Microseconds of an hour.
pub const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;
/// Microseconds of a day of 24 hours.
pub const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// Days from 1970-01-01, where dates count from, to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

/// A time of day in microseconds, from 00:00:00 to 24:00:00.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// The first moment of a day.
    pub const MIDNIGHT: Time = Time(0);
    /// The end of a day: 24:00:00.
    pub const MAX: Time = Time(DAY_MICROS);

    /// The time so many microseconds behind midnight.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside of a day.
    pub fn from_micros(micros: i64) -> Result<Time, Error> {
        match micros {
            0..=DAY_MICROS => Ok(Time(micros)),
            _ => Err(Error::datetime(Type::Time, &[], "times run from 00:00:00 to 24:00:00")),
        }
    }

    /// Microseconds behind midnight.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The text form, in a buffer on the stack: `04:05:06.789`.
    pub fn to_text(self) -> TextBuffer {
        let mut text = TextBuffer::new();
        push_clock(&mut text, self.0).expect("a time has at most 15 characters");
        text
    }
}

/// A day and a time, in microseconds since 2000-01-01 00:00:00.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before all others.
    pub const NEG_INFINITY: Timestamp = Timestamp(i64::MIN);
    /// Behind all others.
    pub const INFINITY: Timestamp = Timestamp(i64::MAX);
    /// The first one: 4714-11-24 00:00:00 BC.
    pub const MIN: Timestamp = Timestamp(-211_813_488_000_000_000);
    /// The last one: 294276-12-31 23:59:59.999999.
    pub const MAX: Timestamp = Timestamp(9_223_371_331_199_999_999);
    /// 1970-01-01 00:00:00.
    pub const UNIX_EPOCH: Timestamp = Timestamp(-EPOCH_DAYS * DAY_MICROS);

    /// The moment so many microseconds behind 2000-01-01 00:00:00; the least and the greatest number are the
    /// infinities.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside of the range.
    #[inline]
    pub fn from_micros(micros: i64) -> Result<Timestamp, Error> {
        let timestamp = Timestamp(micros);
        match (Timestamp::MIN..=Timestamp::MAX).contains(&timestamp) || timestamp.is_infinite() {
            true => Ok(timestamp),
            false => Err(out_of_range()),
        }
    }

    /// Microseconds since 2000-01-01 00:00:00.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whether it is one of the infinities.
    pub const fn is_infinite(self) -> bool {
        matches!(self.0, i64::MIN | i64::MAX)
    }

    /// A moment of a day. Infinite dates give infinite timestamps.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside of the range.
    pub fn from_parts(date: Date, time: Time) -> Result<Timestamp, Error> {
        if date.is_infinite() {
            return Ok(if date == Date::INFINITY { Timestamp::INFINITY } else { Timestamp::NEG_INFINITY });
        }
        let days = i64::from(date.days()) - EPOCH_DAYS;
        let micros = days.checked_mul(DAY_MICROS).and_then(|micros| micros.checked_add(time.0));
        let finite = micros.and_then(|micros| Timestamp::from_micros(micros).ok());
        finite.filter(|timestamp| !timestamp.is_infinite()).ok_or_else(out_of_range)
    }

    /// The day, infinite where the moment is.
    pub fn date(self) -> Date {
        match self {
            Timestamp::NEG_INFINITY => Date::NEG_INFINITY,
            Timestamp::INFINITY => Date::INFINITY,
            Timestamp(micros) => {
                Date::from_days(micros.div_euclid(DAY_MICROS) + EPOCH_DAYS).unwrap_or(Date::INFINITY)
            }
        }
    }

    /// The time of day; midnight for the infinities.
    pub const fn time(self) -> Time {
        if self.is_infinite() { Time::MIDNIGHT } else { Time(self.0.rem_euclid(DAY_MICROS)) }
    }

    /// The moment so many microseconds later; the infinities stay.
    ///
    /// # Errors
    /// [`Error::DatetimeOverflow`] outside of the range.
    pub fn add_micros(self, micros: i64) -> Result<Timestamp, Error> {
        if self.is_infinite() {
            return Ok(self);
        }
        let sum = self.0.checked_add(micros).map(Timestamp);
        sum.filter(|sum| (Timestamp::MIN..=Timestamp::MAX).contains(sum)).ok_or_else(out_of_range)
    }

    /// The text form, in a buffer on the stack: `2004-10-19 10:23:54.5`, with ` BC` behind years before 1.
    pub fn to_text(self) -> TextBuffer {
        self.text_with(None)
    }

    /// The text form with a time zone behind it: the moment counts in UTC and is shown `offset_seconds` east of it, as
    /// `2004-10-19 10:23:54+02`.
    pub fn to_text_at(self, offset_seconds: i32) -> TextBuffer {
        self.text_with(Some(offset_seconds))
    }

    fn text_with(self, offset_seconds: Option<i32>) -> TextBuffer {
        let mut text = TextBuffer::new();
        self.print(offset_seconds, &mut text).expect("a timestamp has at most 46 characters");
        text
    }

    fn print(self, offset_seconds: Option<i32>, text: &mut TextBuffer) -> fmt::Result {
        match self {
            Timestamp::NEG_INFINITY => return text.write_str("-infinity"),
            Timestamp::INFINITY => return text.write_str("infinity"),
            _ => {}
        }
        let shift = i64::from(offset_seconds.unwrap_or(0)) * SECOND_MICROS;
        // At the ends of the range the local time may lie a day outside of it.
        let local = self.0.saturating_add(shift);
        let days = local.div_euclid(DAY_MICROS) + EPOCH_DAYS;
        let (year, month, day) = crate::date::civil(days);
        let shown = if year > 0 { year } else { 1 - year };
        write!(text, "{shown:04}-{month:02}-{day:02} ")?;
        push_clock(text, local.rem_euclid(DAY_MICROS))?;
        if let Some(offset) = offset_seconds {
            push_offset(text, offset)?;
        }
        if year > 0 { Ok(()) } else { text.write_str(" BC") }
    }
}

/// Writes `hh:mm:ss`, and the fraction without zeros at its end; hours may be more than 24.
pub(crate) fn push_clock(text: &mut TextBuffer, micros: i64) -> fmt::Result {
    let (hours, rest) = (micros / HOUR_MICROS, micros % HOUR_MICROS);
    let (minutes, rest) = (rest / MINUTE_MICROS, rest % MINUTE_MICROS);
    write!(text, "{hours:02}:{minutes:02}:{:02}", rest / SECOND_MICROS)?;
    push_fraction(text, rest % SECOND_MICROS)
}

/// Writes microseconds as digits behind a point, without zeros at the end; nothing for zero.
pub(crate) fn push_fraction(text: &mut TextBuffer, micros: i64) -> fmt::Result {
    let (mut digits, mut count) = (micros, 6);
    if digits == 0 {
        return Ok(());
    }
    while digits % 10 == 0 {
        digits /= 10;
        count -= 1;
    }
    write!(text, ".{digits:0count$}")
}

/// Writes `+hh`, with minutes and seconds where there are some.
pub(crate) fn push_offset(text: &mut TextBuffer, seconds: i32) -> fmt::Result {
    let sign = if seconds < 0 { '-' } else { '+' };
    let magnitude = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (magnitude / 3600, magnitude / 60 % 60, magnitude % 60);
    write!(text, "{sign}{hours:02}")?;
    if minutes > 0 || seconds > 0 {
        write!(text, ":{minutes:02}")?;
    }
    if seconds > 0 { write!(text, ":{seconds:02}") } else { Ok(()) }
}

#[cold]
fn out_of_range() -> Error {
    Error::datetime(Type::Timestamp, &[], "timestamps run from 4714-11-24 BC to 294276-12-31")
}

macro_rules! text_forms {
    ($($ty:ty),*) => {$(
        impl fmt::Display for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.to_text().as_str())
            }
        }

        impl fmt::Debug for $ty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
text_forms!(Time, Timestamp);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn at(days: i64, micros: i64) -> Timestamp {
        Timestamp::from_parts(Date::from_days(days).unwrap(), Time::from_micros(micros).unwrap()).unwrap()
    }

    #[test]
    fn times_print_as_postgresql_prints_them() {
        let show = |micros| Time::from_micros(micros).unwrap().to_string();
        assert_eq!(show(0), "00:00:00");
        assert_eq!(show(4 * HOUR_MICROS + 5 * MINUTE_MICROS + 6_789_000), "04:05:06.789");
        assert_eq!(show(DAY_MICROS), "24:00:00");
        assert_eq!(show(1), "00:00:00.000001");
        assert!(Time::from_micros(-1).is_err() && Time::from_micros(DAY_MICROS + 1).is_err());
    }

    #[test]
    fn timestamps_print_as_postgresql_prints_them() {
        assert_eq!(at(0, 0).to_string(), "1970-01-01 00:00:00");
        assert_eq!(at(0, 0), Timestamp::UNIX_EPOCH);
        assert_eq!(Timestamp::MIN.to_string(), "4714-11-24 00:00:00 BC");
        assert_eq!(Timestamp::MAX.to_string(), "294276-12-31 23:59:59.999999");
        assert_eq!(Timestamp::INFINITY.to_string(), "infinity");
        assert_eq!(Timestamp::NEG_INFINITY.to_string(), "-infinity");
        let zones = [(0, "+00"), (7200, "+02"), (-34_200, "-09:30"), (1172, "+00:19:32")];
        for (offset, shown) in zones {
            assert!(at(0, 0).to_text_at(offset).as_str().ends_with(shown), "{offset}");
        }
        assert_eq!(at(0, 0).to_text_at(-3600).as_str(), "1969-12-31 23:00:00-01");
        assert_eq!(Timestamp::MIN.to_text_at(0).as_str(), "4714-11-24 00:00:00+00 BC");
    }

    #[test]
    fn days_and_times_come_apart_again() {
        for timestamp in [Timestamp::MIN, at(-1, 1), at(0, DAY_MICROS - 1), Timestamp::MAX] {
            assert_eq!(Timestamp::from_parts(timestamp.date(), timestamp.time()), Ok(timestamp));
        }
        for date in [Date::INFINITY, Date::NEG_INFINITY] {
            assert_eq!(Timestamp::from_parts(date, Time::MIDNIGHT).unwrap().date(), date);
        }
        assert!(Timestamp::from_parts(Date::MAX, Time::MIDNIGHT).is_err());
        assert!(Timestamp::MAX.add_micros(1).is_err() && Timestamp::MIN.add_micros(-1).is_err());
        assert_eq!(Timestamp::INFINITY.add_micros(1), Ok(Timestamp::INFINITY));
    }
}

//! Spans of time: months, days and microseconds, as they are added to dates and timestamps.
//!
//! A month has no fixed number of days and a day no fixed number of hours, so all three are kept. Where intervals are
//! compared, a month counts as 30 days and a day as 24 hours, as in PostgreSQL: one month and 30 days are equal.

use core::cmp::Ordering;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};

use crate::array::is_space;
use crate::moment::{fraction_of, half_even};
use crate::time::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, push_clock};
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum IntervalUnit {
    /// A thousand years.
    Millennium,
    /// A hundred years.
    Century,
    /// Ten years.
    Decade,
    /// 12 months.
    Year,
    /// One month.
    Month,
    /// 7 days.
    Week,
    /// One day.
    Day,
    /// 60 minutes.
    Hour,
    /// 60 seconds.
    Minute,
    /// 1000 milliseconds.
    Second,
    /// 1000 microseconds.
    Millisecond,
    /// The least unit.
    Microsecond,
}

/// What a unit counts.
enum Size {
    Months(i64),
    Days(i64),
    Micros(i64),
}

impl IntervalUnit {
    /// The unit called `name`: `year`, `years`, `mon`, `month`, `week`, `day`, `hour` and PostgreSQL's short forms. Of a range,
    /// such as `day to second`, the last one.
    pub fn from_name(name: &str) -> Option<IntervalUnit> {
        use IntervalUnit::{
            Century, Day, Decade, Hour, Microsecond, Millennium, Millisecond, Minute, Month, Second, Week,
            Year,
        };
        const NAMES: [(IntervalUnit, &[&str]); 12] = [
            (Year, &["year", "years", "yr", "yrs", "y"]),
            (Month, &["month", "months", "mon", "mons"]),
            (Week, &["week", "weeks", "w"]),
            (Day, &["day", "days", "d"]),
            (Hour, &["hour", "hours", "hr", "hrs", "h"]),
            (Minute, &["minute", "minutes", "min", "mins", "m"]),
            (Second, &["second", "seconds", "sec", "secs", "s"]),
            (
                Millisecond,
                &["millisecond", "milliseconds", "millisecon", "msec", "msecs", "msecond", "mseconds", "ms"],
            ),
            (
                Microsecond,
                &["microsecond", "microseconds", "microsecon", "usec", "usecs", "usecond", "useconds", "us"],
            ),
            (Decade, &["decade", "decades", "dec", "decs"]),
            (Century, &["century", "centuries", "cent", "c"]),
            (Millennium, &["millennium", "millennia", "millenniums", "mil", "mils"]),
        ];
        let last = name.split_ascii_whitespace().next_back().unwrap_or(name);
        let found =
            NAMES.iter().find(|(_, names)| names.iter().any(|known| last.eq_ignore_ascii_case(known)));
        found.map(|(unit, _)| *unit)
    }

    const fn size(self) -> Size {
        match self {
            IntervalUnit::Millennium => Size::Months(12_000),
            IntervalUnit::Century => Size::Months(1200),
            IntervalUnit::Decade => Size::Months(120),
            IntervalUnit::Year => Size::Months(12),
            IntervalUnit::Month => Size::Months(1),
            IntervalUnit::Week => Size::Days(7),
            IntervalUnit::Day => Size::Days(1),
            IntervalUnit::Hour => Size::Micros(HOUR_MICROS),
            IntervalUnit::Minute => Size::Micros(MINUTE_MICROS),
            IntervalUnit::Second => Size::Micros(SECOND_MICROS),
            IntervalUnit::Millisecond => Size::Micros(1000),
            IntervalUnit::Microsecond => Size::Micros(1),
        }
    }
}

impl Interval {
    /// No time at all.
    pub const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };

    /// Reads an interval in any of PostgreSQL's forms: `1 year 2 months -3 days 04:05:06.789`, `1-2`, `3 4:05`, `P1Y2M3DT4H`,
    /// `@ 1 minute`, `1.5 hours`, with `ago` behind it to turn all signs. A number alone counts seconds.
    ///
    /// # Errors
    /// [`Error::InvalidText`], [`Error::DatetimeOverflow`].
    pub fn parse(text: &str) -> Result<Interval, Error> {
        parse_with(text, None, false)
    }

    /// Reads the text of `interval '3' month`: a number takes the unit that stands behind the quotes, and text with
    /// units of its own keeps them. Nothing below the unit is left, but digits of seconds.
    ///
    /// # Errors
    /// [`Error::InvalidText`], [`Error::DatetimeOverflow`].
    pub fn parse_unit(text: &str, unit: IntervalUnit) -> Result<Interval, Error> {
        parse_with(text, Some(unit), false)
    }

    /// As [`Interval::parse_unit`] for `interval '2:03' minute to second`, whose two numbers are no hours.
    ///
    /// # Errors
    /// As [`Interval::parse_unit`].
    pub fn parse_minutes_and_seconds(text: &str) -> Result<Interval, Error> {
        parse_with(text, Some(IntervalUnit::Second), true)
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

/// What has been read of an interval, each part with its own sign.
#[derive(Clone, Copy, Default)]
struct Sum {
    months: i64,
    days: i64,
    micros: i64,
}

/// A number with a fraction: `±whole.fraction`, the fraction in units of 10^-15.
#[derive(Clone, Copy)]
struct Amount {
    is_negative: bool,
    whole: i64,
    fraction: i64,
}

const FRACTION_UNIT: i128 = 1_000_000_000_000_000;

impl Amount {
    /// A sign, digits, and a point with more digits; and how many bytes that was. No bytes where there is no number.
    fn read(text: &[u8]) -> Option<(Amount, usize)> {
        let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
        let is_negative = text.first() == Some(&b'-');
        let digits = |from: usize| {
            let rest = text.get(from..).unwrap_or(&[]);
            rest.get(..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()).unwrap_or(&[])
        };
        let whole = digits(sign);
        let mut end = sign + whole.len();
        let mut fraction = &[][..];
        if text.get(end) == Some(&b'.') {
            fraction = digits(end + 1);
            end += 1 + fraction.len();
        }
        if whole.is_empty() && fraction.is_empty() {
            return Some((Amount { is_negative, whole: 0, fraction: 0 }, 0));
        }
        let whole = whole
            .iter()
            .try_fold(0i64, |value, byte| value.checked_mul(10)?.checked_add(i64::from(byte - b'0')))?;
        let mut parts = 0i64;
        for place in 0..15 {
            let digit = fraction.get(place).map_or(0, |byte| i64::from(byte - b'0'));
            parts = parts * 10 + digit;
        }
        Some((Amount { is_negative, whole, fraction: parts }, end))
    }

    fn signed(self, value: i64) -> i64 {
        if self.is_negative { -value } else { value }
    }

    /// The fraction of so many units, rounded to whole ones, half to even.
    fn part_of(self, units: i64) -> i64 {
        let product = i128::from(self.fraction) * i128::from(units);
        self.signed(half_even(product, FRACTION_UNIT))
    }
}

impl Sum {
    /// Adds an amount of a unit; what is left of months becomes days of 30 a month, what is left of days a time.
    fn add(&mut self, amount: Amount, unit: IntervalUnit) -> Option<()> {
        let whole = amount.signed(amount.whole);
        match unit.size() {
            Size::Months(months) => {
                self.months = self.months.checked_add(whole.checked_mul(months)?)?;
                if months == 1 {
                    self.add_days_of(amount, 30)?;
                } else {
                    self.months = self.months.checked_add(amount.part_of(months))?;
                }
            }
            Size::Days(days) => {
                self.days = self.days.checked_add(whole.checked_mul(days)?)?;
                self.add_days_of(amount, days)?;
            }
            Size::Micros(micros) => {
                let total = whole.checked_mul(micros)?.checked_add(amount.part_of(micros))?;
                self.micros = self.micros.checked_add(total)?;
            }
        }
        Some(())
    }

    /// Adds the fraction of so many days.
    fn add_days_of(&mut self, amount: Amount, days: i64) -> Option<()> {
        let all = i128::from(amount.fraction) * i128::from(days);
        let rest = Amount { whole: 0, fraction: (all % FRACTION_UNIT) as i64, ..amount };
        self.days = self.days.checked_add(amount.signed((all / FRACTION_UNIT) as i64))?;
        self.micros = self.micros.checked_add(rest.part_of(DAY_MICROS))?;
        Some(())
    }

    /// Adds `hh:mm`, `hh:mm:ss` or `mm:ss.fff` with a sign before it.
    fn add_clock(&mut self, text: &[u8], is_from_minutes: bool) -> Result<(), &'static str> {
        const WRONG: &str = "expected hours, minutes and seconds";
        const GREAT: &str = "minutes and seconds run to 59";
        let is_negative = text.first() == Some(&b'-');
        let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        let mut pieces = unsigned.splitn(2, |byte| *byte == b'.');
        let whole = pieces.next().unwrap_or(&[]);
        let fraction = pieces.next();
        let mut parts = [0i64; 3];
        let mut count = 0;
        for piece in whole.split(|byte| *byte == b':') {
            let slot = parts.get_mut(count).ok_or(WRONG)?;
            if piece.is_empty() || !piece.iter().all(u8::is_ascii_digit) {
                return Err(WRONG);
            }
            *slot = piece
                .iter()
                .try_fold(0i64, |value, byte| value.checked_mul(10)?.checked_add(i64::from(byte - b'0')))
                .ok_or(TOO_LONG)?;
            count += 1;
        }
        if count == 2 && (fraction.is_some() || is_from_minutes) {
            parts = [0, parts[0], parts[1]];
        }
        let [hours, minutes, seconds] = parts;
        if minutes > 59 || seconds > 59 {
            return Err(GREAT);
        }
        let micros = fraction_of(fraction.unwrap_or(&[]), SECOND_MICROS);
        let rest = minutes * MINUTE_MICROS + seconds * SECOND_MICROS + micros;
        let total =
            hours.checked_mul(HOUR_MICROS).and_then(|hours| hours.checked_add(rest)).ok_or(TOO_LONG)?;
        let total = if is_negative { -total } else { total };
        self.micros = self.micros.checked_add(total).ok_or(TOO_LONG)?;
        Ok(())
    }

    fn negate(&mut self) {
        *self = Sum { months: -self.months, days: -self.days, micros: self.micros.wrapping_neg() };
    }

    /// What a unit behind the quotes leaves: nothing below it.
    fn truncate(&mut self, unit: IntervalUnit) {
        match unit.size() {
            Size::Months(months) => {
                *self = Sum { months: self.months - self.months % months, days: 0, micros: 0 };
            }
            Size::Days(days) => *self = Sum { days: self.days - self.days % days, micros: 0, ..*self },
            Size::Micros(micros) if unit != IntervalUnit::Second => self.micros -= self.micros % micros,
            Size::Micros(_) => {}
        }
    }
}

const TOO_LONG: &str = "an interval holds 2^31 months and 2^31 days";

fn parse_with(text: &str, default: Option<IntervalUnit>, is_from_minutes: bool) -> Result<Interval, Error> {
    let bytes = text.as_bytes();
    let mut sum = Sum::default();
    let start = bytes.len() - bytes.trim_ascii_start().len();
    let outcome = match bytes.get(start) {
        Some(b'P' | b'p') => iso(bytes, start, &mut sum),
        _ => fields(bytes, default, is_from_minutes, &mut sum),
    };
    outcome.map_err(|(at, reason)| match at {
        Some(at) => Error::invalid(Type::Interval, bytes, at, reason),
        None => Error::datetime(Type::Interval, bytes, reason),
    })?;
    if let Some(unit) = default {
        sum.truncate(unit);
    }
    of_parts(sum.months, sum.days, sum.micros, bytes)
}

/// Where a text is wrong (`None`: it is too long an interval), and why.
type Wrong = (Option<usize>, &'static str);

/// The longest text in which blanks may stand between a sign and its number.
const SIGNED_BYTES_MAX: usize = 128;

/// The same text without the blanks between signs and numbers: `1 month - 1 day`.
fn with_signs_joined<'t>(text: &'t [u8], buffer: &'t mut [u8; SIGNED_BYTES_MAX]) -> &'t [u8] {
    let is_sign = |byte: &u8| matches!(byte, b'-' | b'+');
    let stands_apart = |pair: &[u8]| matches!(pair, [sign, space] if is_sign(sign) && is_space(*space));
    if text.len() > SIGNED_BYTES_MAX || !text.windows(2).any(stands_apart) {
        return text;
    }
    let (mut len, mut at) = (0, 0);
    while let Some(byte) = text.get(at) {
        if let Some(slot) = buffer.get_mut(len) {
            *slot = *byte;
        }
        (len, at) = (len + 1, at + 1);
        let begins = at < 2 || text.get(at - 2).is_some_and(|before| is_space(*before));
        if is_sign(byte) && begins {
            let rest = text.get(at..).unwrap_or(&[]);
            let gap = rest.iter().take_while(|byte| is_space(**byte)).count();
            if rest.get(gap).is_some_and(|first| first.is_ascii_digit() || *first == b'.') {
                at += gap;
            }
        }
    }
    buffer.get(..len).unwrap_or(text)
}

/// `1 year 2 mons -3 days 04:05:06`, `1-2`, `3 4:05`, with `ago` behind it.
fn fields(
    text: &[u8],
    default: Option<IntervalUnit>,
    is_from_minutes: bool,
    sum: &mut Sum,
) -> Result<(), Wrong> {
    let mut buffer = [0; SIGNED_BYTES_MAX];
    let text = with_signs_joined(text, &mut buffer);
    let mut at = 0;
    let mut fields_count = 0;
    // A bit for each unit that was given.
    let mut given = 0u32;
    let mut take = |units: &[IntervalUnit], at: usize| {
        let bits = units.iter().fold(0, |bits, unit| bits | 1u32 << *unit as u32);
        let is_new = given & bits == 0;
        given |= bits;
        if is_new { Ok(()) } else { Err((Some(at), "a unit is given twice")) }
    };
    while let Some(&byte) = text.get(at) {
        if is_space(byte) || matches!(byte, b',' | b'@') {
            at += 1;
            continue;
        }
        let rest = text.get(at..).unwrap_or(&[]);
        if byte.is_ascii_alphabetic() {
            let word = word_at(rest);
            let tail = rest.get(word.len()..).unwrap_or(&[]);
            if word.eq_ignore_ascii_case(b"ago") && fields_count > 0 && tail.trim_ascii().is_empty() {
                sum.negate();
                return Ok(());
            }
            return Err((Some(at), "expected a number"));
        }
        let (amount, used) = Amount::read(rest).ok_or((None, TOO_LONG))?;
        let next = rest.get(used).copied();
        if used == 0 {
            return Err((Some(at), "expected a number"));
        }
        fields_count += 1;
        if next == Some(b':') {
            let len = rest.iter().take_while(|byte| !is_space(**byte) && !byte.is_ascii_alphabetic()).count();
            let clock = rest.get(..len).unwrap_or(&[]);
            take(&[IntervalUnit::Hour, IntervalUnit::Minute, IntervalUnit::Second], at)?;
            sum.add_clock(clock, is_from_minutes).map_err(|reason| match reason {
                "expected hours, minutes and seconds" => (Some(at), reason),
                _ => (None, reason),
            })?;
            at += len;
            continue;
        }
        if next == Some(b'-') && amount.fraction == 0 {
            take(&[IntervalUnit::Year, IntervalUnit::Month], at)?;
            at += used
                + years_and_months(rest, amount, used, sum).ok_or((Some(at), "expected years and months"))?;
            continue;
        }
        let behind = rest.get(used..).unwrap_or(&[]);
        let gap = behind.iter().take_while(|byte| is_space(**byte)).count();
        let tail = behind.get(gap..).unwrap_or(&[]);
        let word = word_at(tail);
        let at_word = at + used + gap;
        let unit = if word.is_empty() {
            match (default, tail.first()) {
                // `1 04:05`: days before a time.
                (_, Some(_)) if is_clock(tail) => IntervalUnit::Day,
                (Some(unit), _) => unit,
                (None, _) if tail.is_empty() => IntervalUnit::Second,
                _ => return Err((Some(at_word), "expected a unit")),
            }
        } else {
            let name = core::str::from_utf8(word).unwrap_or_default();
            if name.eq_ignore_ascii_case("ago") {
                default.unwrap_or(IntervalUnit::Second)
            } else {
                IntervalUnit::from_name(name).ok_or((Some(at_word), "no such unit"))?
            }
        };
        take(&[unit], at)?;
        sum.add(amount, unit).ok_or((None, TOO_LONG))?;
        let is_ago = word.eq_ignore_ascii_case(b"ago");
        at += used + if word.is_empty() || is_ago { 0 } else { gap + word.len() };
    }
    if fields_count == 0 { Err((Some(at), "expected a number")) } else { Ok(()) }
}

/// The letters that a text begins with.
fn word_at(text: &[u8]) -> &[u8] {
    text.get(..text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count()).unwrap_or(&[])
}

/// Whether a text begins with a sign or not, digits and a colon.
fn is_clock(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    let digits = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && unsigned.get(digits) == Some(&b':')
}

/// `1-2`: how many bytes come behind the years.
fn years_and_months(rest: &[u8], years: Amount, used: usize, sum: &mut Sum) -> Option<usize> {
    let tail = rest.get(used + 1..)?;
    let count = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (months, _) = Amount::read(tail.get(..count)?)?;
    if count == 0 || months.whole > 11 {
        return None;
    }
    let months = Amount { is_negative: years.is_negative, ..months };
    sum.add(years, IntervalUnit::Year)?;
    sum.add(months, IntervalUnit::Month)?;
    Some(1 + count)
}

/// `P1Y2M3DT4H5M6S`, or `P0001-02-03T04:05:06`.
fn iso(text: &[u8], start: usize, sum: &mut Sum) -> Result<(), Wrong> {
    let text = text.trim_ascii_end();
    let (mut at, mut is_time, mut count) = (start + 1, false, 0);
    while let Some(&byte) = text.get(at) {
        if byte.eq_ignore_ascii_case(&b't') {
            is_time = true;
            at += 1;
            continue;
        }
        let rest = text.get(at..).unwrap_or(&[]);
        if is_time && is_clock(rest) {
            sum.add_clock(rest, false).map_err(|reason| (Some(at), reason))?;
            return Ok(());
        }
        let (amount, used) = Amount::read(rest).ok_or((None, TOO_LONG))?;
        if used == 0 {
            return Err((Some(at), "expected a number"));
        }
        let unit = match (rest.get(used).map(u8::to_ascii_uppercase), is_time, count) {
            (Some(b'Y'), false, _) => IntervalUnit::Year,
            (Some(b'M'), false, _) => IntervalUnit::Month,
            (Some(b'W'), false, _) => IntervalUnit::Week,
            (Some(b'D'), false, _) => IntervalUnit::Day,
            (Some(b'H'), true, _) => IntervalUnit::Hour,
            (Some(b'M'), true, _) => IntervalUnit::Minute,
            (Some(b'S'), true, _) => IntervalUnit::Second,
            // The other form has no letters.
            (Some(b'-') | None, false, 0) => IntervalUnit::Year,
            (Some(b'-' | b'T') | None, false, 1) => IntervalUnit::Month,
            (Some(b'T') | None, false, 2) => IntervalUnit::Day,
            _ => return Err((Some(at + used), "expected a unit")),
        };
        sum.add(amount, unit).ok_or((None, TOO_LONG))?;
        count += 1;
        let has_letter = rest.get(used).is_some_and(|byte| !byte.eq_ignore_ascii_case(&b't'));
        at += used + usize::from(has_letter);
    }
    if count == 0 { Err((Some(at), "expected a number")) } else { Ok(()) }
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
            ("1 month - 1 day", (1, -1)),
            ("-  2 years + 3 days", (-24, 3)),
            ("90 day", (0, 90)),
        ];
        for (text, expected) in cases {
            assert_eq!(Interval::parse(text).map(parts), Ok(expected), "{text}");
        }
        assert_eq!(Interval::parse_unit("3", IntervalUnit::Month).map(parts), Ok((3, 0)));
        assert_eq!(Interval::parse_unit(" -90 ", IntervalUnit::Day).map(parts), Ok((0, -90)));
        assert_eq!(Interval::parse_unit("1 year", IntervalUnit::Day).map(parts), Ok((12, 0)));
        let micros = |text| Interval::parse_minutes_and_seconds(text).map(|interval| interval.micros);
        assert_eq!(micros("2:03"), Ok(123_000_000));
        assert_eq!(micros("1:02:03"), Ok(3_723_000_000));
        assert_eq!(micros("3"), Ok(3_000_000));
    }

    #[test]
    fn bad_intervals_say_what_is_wrong() {
        let cases = [
            ("", "22007", "expected a number at byte 0"),
            ("ago", "22007", "expected a number at byte 0"),
            ("1 day --2 days", "22007", "expected a number at byte 6"),
            ("- - 1 day", "22007", "expected a number at byte 0"),
            ("1 day -", "22007", "expected a number at byte 6"),
            ("3 fortnights", "22007", "no such unit at byte 2"),
            ("3 \u{e9}", "22007", "expected a unit at byte 2"),
            ("1 day ago 2 days", "22007", "expected a number at byte 6"),
            ("04:60", "22015", "minutes and seconds run to 59"),
            ("9999999999999999999 days", "22015", "an interval holds 2^31 months and 2^31 days"),
            ("2147483648 days", "22015", "an interval holds 2^31 months and 2^31 days"),
            ("9223372036854775807 years", "22015", "an interval holds 2^31 months and 2^31 days"),
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
                prop_assert!(matches!(error.sqlstate(), "22007" | "22015"));
            }
        }
    }
}

//! Dates, times and timestamps from text, in the forms that PostgreSQL reads with `DateStyle` ISO, MDY.
//!
//! A text is cut into *fields*: dates (`1999-01-08`, `1/8/1999`, `8-Jan-1999`), times (`04:05:06.789`), numbers, words
//! and zones (`+02`, `-08:30`). Each field says a part of the moment; no part may be said twice. What needs the world
//! outside (the present moment, the rules of time zones) comes from a [`Session`].
//!
//! # Source
//! The rules are those of PostgreSQL's manual, appendix B, "Date/Time Input Interpretation".

use crate::array::is_space;
use crate::time::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use crate::{Date, Error, Excerpt, Time, Timestamp, Type};

/// The rules of time zones: how far east of UTC clocks are.
///
/// A zone is named as the tz database names it, in any case; `None` stands for the zone of the session.
pub trait TimeZones {
    /// Seconds east of UTC at an instant, which counts in UTC; `None` where there is no such zone.
    fn offset_at(&self, zone: Option<&str>, instant: Timestamp) -> Option<i32>;

    /// Seconds east of UTC where clocks show a local time; of a time that clocks skip or show twice, the offset of standard time.
    fn offset_of_local(&self, zone: Option<&str>, local: Timestamp) -> Option<i32>;
}

/// The one zone that needs no rules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utc;

impl TimeZones for Utc {
    fn offset_at(&self, zone: Option<&str>, _: Timestamp) -> Option<i32> {
        match zone {
            None => Some(0),
            Some(name) => fixed_zone(name.as_bytes()),
        }
    }

    fn offset_of_local(&self, zone: Option<&str>, local: Timestamp) -> Option<i32> {
        self.offset_at(zone, local)
    }
}

/// What conversions need to know of the world outside.
#[derive(Clone, Copy)]
pub struct Session<'s> {
    /// The instant that `now` is: the start of the transaction.
    pub now: Timestamp,
    /// The rules of time zones, and the zone of the session.
    pub zones: &'s dyn TimeZones,
}

impl core::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session").field("now", &self.now).finish_non_exhaustive()
    }
}

impl Session<'_> {
    /// A session in UTC whose present moment is the start of 1970: for conversions that do not depend on either.
    pub const UTC: Session<'static> = Session { now: Timestamp::UNIX_EPOCH, zones: &Utc };

    /// The local time of an instant in a zone.
    ///
    /// # Errors
    /// [`Error::UnknownZone`]; [`Error::DatetimeOverflow`] outside of the range.
    pub fn to_local(&self, instant: Timestamp, zone: Option<&str>) -> Result<Timestamp, Error> {
        let offset = self.zones.offset_at(zone, instant).ok_or_else(|| Error::unknown_zone(zone))?;
        instant.add_micros(i64::from(offset) * SECOND_MICROS)
    }

    /// The instant at which clocks of a zone show a local time.
    ///
    /// # Errors
    /// [`Error::UnknownZone`]; [`Error::DatetimeOverflow`] outside of the range.
    pub fn to_instant(&self, local: Timestamp, zone: Option<&str>) -> Result<Timestamp, Error> {
        let offset = self.zones.offset_of_local(zone, local).ok_or_else(|| Error::unknown_zone(zone))?;
        local.add_micros(-i64::from(offset) * SECOND_MICROS)
    }
}

/// Zones whose offset never changes, by their names.
pub(crate) fn fixed_zone(name: &[u8]) -> Option<i32> {
    const HOUR: i32 = 3600;
    const NAMES: [(&[u8], i32); 27] = [
        (b"utc", 0),
        (b"gmt", 0),
        (b"z", 0),
        (b"zulu", 0),
        (b"ut", 0),
        (b"uct", 0),
        (b"etc/utc", 0),
        (b"est", -5 * HOUR),
        (b"edt", -4 * HOUR),
        (b"cst", -6 * HOUR),
        (b"cdt", -5 * HOUR),
        (b"mst", -7 * HOUR),
        (b"mdt", -6 * HOUR),
        (b"pst", -8 * HOUR),
        (b"pdt", -7 * HOUR),
        (b"wet", 0),
        (b"west", HOUR),
        (b"bst", HOUR),
        (b"cet", HOUR),
        (b"cest", 2 * HOUR),
        (b"eet", 2 * HOUR),
        (b"eest", 3 * HOUR),
        (b"msk", 3 * HOUR),
        (b"jst", 9 * HOUR),
        (b"kst", 9 * HOUR),
        (b"nzst", 12 * HOUR),
        (b"nzdt", 13 * HOUR),
    ];
    if let [b'+' | b'-', ..] = name {
        return offset(name);
    }
    NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, offset)| *offset)
}

/// `+hh`, `+hhmm`, `+hh:mm`, `+hh:mm:ss` in seconds.
fn offset(text: &[u8]) -> Option<i32> {
    let (sign, rest) = text.split_first()?;
    let mut parts = [0; 3];
    let has_colons = rest.contains(&b':');
    let mut count = 0;
    if has_colons {
        for piece in rest.split(|byte| *byte == b':') {
            *parts.get_mut(count)? = number(piece)?;
            count += 1;
        }
    } else {
        let value = number(rest)?;
        parts = match rest.len() {
            0..=2 => [value, 0, 0],
            3..=4 => [value / 100, value % 100, 0],
            6 => [value / 10_000, value / 100 % 100, value % 100],
            _ => return None,
        };
    }
    let [hours, minutes, seconds] = parts;
    if hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    let magnitude = (hours * 3600 + minutes * 60 + seconds) as i32;
    Some(if *sign == b'-' { -magnitude } else { magnitude })
}

/// A number of at most nine digits.
fn number(digits: &[u8]) -> Option<i64> {
    let is_number = (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |value, byte| value * 10 + i64::from(byte - b'0')))
}

/// Why a text is no moment.
#[derive(Clone, Copy)]
enum Fault {
    /// It has no form of one.
    Form(usize, &'static str),
    /// It has, and says something that there is not.
    Range(&'static str),
    /// The offset of a zone is too large.
    Displacement,
    /// No zone has this name.
    NoZone(Excerpt),
}

/// Where a moment's zone comes from.
#[derive(Clone, Copy, PartialEq)]
enum Zone<'t> {
    Offset(i32),
    Name(&'t [u8]),
}

#[derive(Clone, Copy, PartialEq)]
enum Special {
    Now,
    /// Days from today.
    Day(i32),
    Epoch,
    Infinity,
    NegInfinity,
}

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Am,
    Pm,
}

/// What the fields have said so far.
#[derive(Default)]
struct Parts<'t> {
    year: Option<i64>,
    /// The year was written with one or two digits.
    is_short_year: bool,
    month: Option<i64>,
    has_month_name: bool,
    day: Option<i64>,
    day_of_year: Option<i64>,
    julian_day: Option<i64>,
    micros: Option<i64>,
    half: Option<Half>,
    is_bc: bool,
    zone: Option<Zone<'t>>,
    special: Option<Special>,
    /// Behind a `T`: a number is a time now.
    wants_time: bool,
    wants_julian: bool,
    /// A time is read: four or six digits are one, where no date stands before them.
    is_time: bool,
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];
const DAYS: [&[u8]; 7] =
    [b"sunday", b"monday", b"tuesday", b"wednesday", b"thursday", b"friday", b"saturday"];

/// Whether a word is a name or its first three letters.
fn names(word: &[u8], name: &[u8]) -> bool {
    word.eq_ignore_ascii_case(name) || name.get(..3).is_some_and(|short| word.eq_ignore_ascii_case(short))
}

/// The number of the month that a word names.
pub(crate) fn month_named(word: &[u8]) -> Option<i64> {
    let position = MONTHS.iter().position(|name| names(word, name));
    position.map(|at| at as i64 + 1).or_else(|| word.eq_ignore_ascii_case(b"sept").then_some(9))
}

fn is_day_name(word: &[u8]) -> bool {
    let shorts: [&[u8]; 5] = [b"tues", b"thur", b"thurs", b"weds", b"wednes"];
    DAYS.iter().any(|name| names(word, name)) || shorts.iter().any(|short| word.eq_ignore_ascii_case(short))
}

/// How many bytes at the start are wanted.
fn run(text: &[u8], is_wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_wanted(**byte)).count()
}

const TWICE: &str = "a part is given twice";

fn set<T: PartialEq>(slot: &mut Option<T>, value: T, at: usize) -> Result<(), Fault> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Fault::Form(at, TWICE)),
    }
}

impl<'t> Parts<'t> {
    fn read(text: &'t [u8], ty: Type) -> Result<Parts<'t>, Fault> {
        let mut parts = Parts { is_time: ty == Type::Time, ..Parts::default() };
        let mut at = 0;
        let mut fields_count = 0;
        while let Some(&byte) = text.get(at) {
            let rest = text.get(at..).unwrap_or(&[]);
            let used = match byte {
                _ if is_space(byte) || byte == b',' => 1,
                b'0'..=b'9' => parts.digits(rest, at)?,
                b'+' | b'-' => parts.signed(rest, at)?,
                b'a'..=b'z' | b'A'..=b'Z' => parts.word(rest, at)?,
                _ => return Err(Fault::Form(at, "expected a date or a time")),
            };
            fields_count += usize::from(used > 1 || byte.is_ascii_alphanumeric());
            at += used;
        }
        if fields_count == 0 {
            return Err(Fault::Form(at, "expected a date or a time"));
        }
        if parts.wants_julian || (parts.wants_time && parts.micros.is_none()) {
            return Err(Fault::Form(at, "expected a number"));
        }
        Ok(parts)
    }

    fn has_date(&self) -> bool {
        let whole = self.year.is_some() && self.month.is_some() && self.day.is_some();
        whole || self.julian_day.is_some() || self.day_of_year.is_some()
    }

    /// A field that begins with a digit.
    fn digits(&mut self, rest: &'t [u8], at: usize) -> Result<usize, Fault> {
        let count = run(rest, |byte| byte.is_ascii_digit());
        let digits = rest.get(..count).unwrap_or(&[]);
        let next = rest.get(count).copied();
        let behind = rest.get(count + 1).copied();
        match next {
            Some(b':') => {
                let used = run(rest, |byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
                self.clock(rest.get(..used).unwrap_or(&[]), at)?;
                Ok(used)
            }
            Some(delimiter @ (b'-' | b'/' | b'.'))
                if behind.is_some_and(|byte| byte.is_ascii_alphanumeric()) =>
            {
                self.delimited(rest, delimiter, at)
            }
            Some(b'-') if self.has_date() => {
                self.plain(digits, &[], at)?;
                Ok(count)
            }
            _ => {
                self.plain(digits, &[], at)?;
                Ok(count)
            }
        }
    }

    /// Digits, a delimiter, and more: a date, or a number with a fraction.
    fn delimited(&mut self, rest: &'t [u8], delimiter: u8, at: usize) -> Result<usize, Fault> {
        let part = |from: usize| run(rest.get(from..).unwrap_or(&[]), |byte| byte.is_ascii_digit());
        let first = part(0);
        let behind = rest.get(first + 1).copied().unwrap_or(0);
        if behind.is_ascii_digit() {
            let second = part(first + 1);
            let end = first + 1 + second;
            let has_third = rest.get(end) == Some(&delimiter);
            // A number with a fraction, or a time with a zone behind a whole date.
            if !has_third && (delimiter == b'.' || self.has_date() || self.wants_time || self.is_time) {
                let digits = rest.get(..first).unwrap_or(&[]);
                let fraction = rest.get(first + 1..end).unwrap_or(&[]);
                if delimiter == b'.' {
                    self.plain(digits, fraction, at)?;
                    return Ok(end);
                }
                self.plain(digits, &[], at)?;
                return Ok(first);
            }
        }
        let used = run(rest, |byte| byte.is_ascii_alphanumeric() || byte == delimiter);
        // `1999-01-08T04:05`: the time begins behind the letter.
        let mut end = used;
        let all = rest.get(..used).unwrap_or(&[]);
        let mut pieces = [&[][..]; 3];
        let mut count = 0;
        let mut from = 0;
        while from < all.len() && count < 3 {
            let here = all.get(from..).unwrap_or(&[]);
            let is_letter = here.first().is_some_and(u8::is_ascii_alphabetic);
            let len =
                run(here, |byte| if is_letter { byte.is_ascii_alphabetic() } else { byte.is_ascii_digit() });
            if len == 0 {
                return Err(Fault::Form(at + from, "expected a part of a date"));
            }
            if let Some(slot) = pieces.get_mut(count) {
                *slot = here.get(..len).unwrap_or(&[]);
            }
            count += 1;
            end = from + len;
            from = end + usize::from(all.get(end) == Some(&delimiter));
        }
        let pieces = pieces.get(..count).unwrap_or(&[]);
        // A month by its name goes first, so that the numbers know what they are.
        for piece in pieces.iter().filter(|piece| piece.first().is_some_and(u8::is_ascii_alphabetic)) {
            let month = month_named(piece).ok_or(Fault::Form(at, "expected a month"))?;
            set(&mut self.month, month, at)?;
            self.has_month_name = true;
        }
        for piece in pieces.iter().filter(|piece| piece.first().is_some_and(u8::is_ascii_digit)) {
            self.date_number(piece, at)?;
        }
        Ok(end)
    }

    /// Digits, perhaps with a fraction.
    fn plain(&mut self, digits: &[u8], fraction: &[u8], at: usize) -> Result<(), Fault> {
        let value = || number(digits).ok_or(Fault::Range("the number has too many digits"));
        if self.wants_julian {
            self.wants_julian = false;
            set(&mut self.julian_day, value()?, at)?;
            if !fraction.is_empty() {
                set(&mut self.micros, fraction_of(fraction, DAY_MICROS), at)?;
            }
            return Ok(());
        }
        let may_be_time = self.is_time && self.year.is_none() && self.month.is_none();
        if self.has_date() || self.wants_time || (may_be_time && matches!(digits.len(), 4 | 6)) {
            return self.packed_clock(digits, fraction, at);
        }
        if !fraction.is_empty() {
            // `1999.008`: a day of the year.
            if digits.len() == 4 && fraction.len() == 3 {
                set(&mut self.year, value()?, at)?;
                let day = number(fraction).ok_or(Fault::Form(at, "expected a day"))?;
                return set(&mut self.day_of_year, day, at);
            }
            return Err(Fault::Form(at, "expected a date"));
        }
        match digits.len() {
            6.. if self.year.is_none() && self.month.is_none() => {
                let cut = digits.len() - 4;
                let (year, rest) = digits.split_at(cut);
                let (month, day) = rest.split_at(2);
                let fault = Fault::Range("the number has too many digits");
                set(&mut self.year, number(year).ok_or(fault)?, at)?;
                self.is_short_year = year.len() <= 2;
                set(&mut self.month, number(month).ok_or(fault)?, at)?;
                set(&mut self.day, number(day).ok_or(fault)?, at)
            }
            _ => self.date_number(digits, at),
        }
    }

    /// `040506.789` or `0405`.
    fn packed_clock(&mut self, digits: &[u8], fraction: &[u8], at: usize) -> Result<(), Fault> {
        let value = number(digits).ok_or(Fault::Form(at, "expected a time"))?;
        let (hours, minutes, seconds) = match digits.len() {
            6 => (value / 10_000, value / 100 % 100, value % 100),
            4 => (value / 100, value % 100, 0),
            2 if self.wants_time => (value, 0, 0),
            _ => return Err(Fault::Form(at, "expected a time")),
        };
        self.put_clock(hours, minutes, seconds, fraction_of(fraction, SECOND_MICROS), at)
    }

    fn put_clock(
        &mut self,
        hours: i64,
        minutes: i64,
        seconds: i64,
        micros: i64,
        at: usize,
    ) -> Result<(), Fault> {
        let all = hours * HOUR_MICROS + minutes * MINUTE_MICROS + seconds * SECOND_MICROS + micros;
        if minutes > 59 || seconds > 60 || all > DAY_MICROS || (seconds == 60 && micros > 0) {
            return Err(Fault::Range("times run from 00:00:00 to 24:00:00"));
        }
        set(&mut self.micros, all, at)
    }

    /// `hh:mm`, `hh:mm:ss`, with a fraction.
    fn clock(&mut self, text: &[u8], at: usize) -> Result<(), Fault> {
        let fault = Fault::Form(at, "expected hours, minutes and seconds");
        let mut pieces = text.splitn(2, |byte| *byte == b'.');
        let whole = pieces.next().unwrap_or(&[]);
        let fraction = pieces.next();
        let mut parts = [0; 3];
        let mut count = 0;
        for piece in whole.split(|byte| *byte == b':') {
            *parts.get_mut(count).ok_or(fault)? = number(piece).ok_or(fault)?;
            count += 1;
        }
        let fraction = fraction.unwrap_or(&[]);
        if !fraction.iter().all(u8::is_ascii_digit) {
            return Err(fault);
        }
        let [hours, minutes, seconds] = parts;
        match (count, fraction) {
            // `05:06.789` is minutes and seconds.
            (2, [_, ..]) => self.put_clock(0, hours, minutes, fraction_of(fraction, SECOND_MICROS), at),
            _ => self.put_clock(hours, minutes, seconds, fraction_of(fraction, SECOND_MICROS), at),
        }
    }

    /// A number of a date whose place tells what it is.
    fn date_number(&mut self, digits: &[u8], at: usize) -> Result<(), Fault> {
        let value = number(digits).ok_or(Fault::Range("the number has too many digits"))?;
        let is_long = digits.len() >= 3;
        match (self.year.is_some(), self.month.is_some(), self.day.is_some()) {
            (true, false, false) if digits.len() == 3 => self.day_of_year = Some(value),
            (false, false, false) | (false, true, false)
                if is_long && (self.has_month_name || self.month.is_none()) =>
            {
                self.year = Some(value);
                self.is_short_year = digits.len() <= 2;
            }
            (false, false, false) | (true, false, _) | (false, false, true) => self.month = Some(value),
            (_, true, false) => self.day = Some(value),
            (false, true, true) => {
                self.year = Some(value);
                self.is_short_year = digits.len() <= 2;
            }
            (true, true, true) => return Err(Fault::Form(at, TWICE)),
        }
        Ok(())
    }

    /// A zone, or a word behind a sign.
    fn signed(&mut self, rest: &'t [u8], at: usize) -> Result<usize, Fault> {
        let behind = rest.get(1..).unwrap_or(&[]);
        if rest.first() == Some(&b'-') && behind.first().is_some_and(|byte| is_space(*byte)) {
            return Ok(1);
        }
        let letters = run(behind, |byte| byte.is_ascii_alphabetic());
        if letters > 0 {
            let word = behind.get(..letters).unwrap_or(&[]);
            let is_infinite = word.eq_ignore_ascii_case(b"infinity");
            let special = match rest.first() {
                Some(b'-') if is_infinite => Special::NegInfinity,
                _ if is_infinite => Special::Infinity,
                _ => return Err(Fault::Form(at, "expected a time zone")),
            };
            set(&mut self.special, special, at)?;
            return Ok(1 + letters);
        }
        let digits = run(behind, |byte| byte.is_ascii_digit() || byte == b':');
        let text = rest.get(..1 + digits).unwrap_or(&[]);
        if digits == 0 || self.micros.is_none() && !self.has_date() && self.special.is_none() {
            return Err(Fault::Form(at, "expected a date or a time"));
        }
        let offset = offset(text).ok_or(Fault::Displacement)?;
        // `UTC+3` names a zone of POSIX, which counts to the west; behind a time the sign is that of ISO.
        set(&mut self.zone, Zone::Offset(offset), at)?;
        Ok(1 + digits)
    }

    /// A word: a month, a zone, or one that means something by itself.
    fn word(&mut self, rest: &'t [u8], at: usize) -> Result<usize, Fault> {
        let letters = run(rest, |byte| byte.is_ascii_alphabetic());
        let word = rest.get(..letters).unwrap_or(&[]);
        let next = rest.get(letters).copied();
        if let Some(month) = month_named(word) {
            set_month(self, month, at)?;
            // `Jan-08-1999`
            if let Some(delimiter @ (b'-' | b'/' | b'.')) = next {
                let used = run(rest, |byte| byte.is_ascii_alphanumeric() || byte == delimiter);
                let tail = rest.get(letters + 1..used).unwrap_or(&[]);
                for piece in tail.split(|byte| *byte == delimiter).filter(|piece| !piece.is_empty()) {
                    self.date_number(piece, at)?;
                }
                return Ok(used);
            }
            return Ok(letters);
        }
        let is = |text: &[u8]| word.eq_ignore_ascii_case(text);
        let special = match () {
            () if is(b"now") => Some(Special::Now),
            () if is(b"today") => Some(Special::Day(0)),
            () if is(b"tomorrow") => Some(Special::Day(1)),
            () if is(b"yesterday") => Some(Special::Day(-1)),
            () if is(b"epoch") => Some(Special::Epoch),
            () if is(b"infinity") => Some(Special::Infinity),
            () => None,
        };
        if let Some(special) = special {
            set(&mut self.special, special, at)?;
        } else if is(b"am") || is(b"pm") {
            set(&mut self.half, if is(b"am") { Half::Am } else { Half::Pm }, at)?;
        } else if is(b"bc") || is(b"ad") {
            self.is_bc = is(b"bc");
        } else if is(b"t") {
            self.wants_time = true;
        } else if is(b"j") || is(b"julian") {
            self.wants_julian = true;
        } else if is(b"allballs") {
            set(&mut self.micros, 0, at)?;
            set(&mut self.zone, Zone::Offset(0), at)?;
        } else if is(b"at") || is(b"on") || is_day_name(word) {
            // These say nothing.
        } else {
            return self.zone_name(rest, at);
        }
        Ok(letters)
    }

    fn zone_name(&mut self, rest: &'t [u8], at: usize) -> Result<usize, Fault> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-');
        let used = run(rest, is_part);
        let name = rest.get(..used).unwrap_or(&[]);
        let zone = fixed_zone(name).map_or(Zone::Name(name), Zone::Offset);
        set(&mut self.zone, zone, at)?;
        Ok(used)
    }

    /// The day, where there is one.
    fn date(&self) -> Result<Option<Date>, Fault> {
        if let Some(julian) = self.julian_day {
            let date = Date::from_days(julian - 2_440_588);
            return date.map(Some).map_err(|_| Fault::Range("no such day"));
        }
        if self.year.is_none() && self.month.is_none() && self.day.is_none() {
            return Ok(None);
        }
        if self.day.is_some_and(|day| day > 31) {
            return Err(Fault::Range("months have at most 31 days"));
        }
        let mut year = self.year.ok_or(Fault::Form(0, "the year is missing"))?;
        match year {
            0 if !self.is_short_year || self.is_bc => return Err(Fault::Range("there is no year 0")),
            _ if self.is_bc => year = 1 - year,
            0..70 if self.is_short_year => year += 2000,
            70..100 if self.is_short_year => year += 1900,
            _ => {}
        }
        let year = i32::try_from(year).map_err(|_| Fault::Range("no such year"))?;
        if let Some(day) = self.day_of_year {
            let first = Date::from_ymd(year, 1, 1).map_err(range)?;
            let days_count =
                if first.add_days(365).is_ok_and(|last| last.ymd().0 == year) { 366 } else { 365 };
            return match day {
                1.. if day <= days_count => first.add_days(day as i32 - 1).map(Some).map_err(range),
                _ => Err(Fault::Range("no such day of the year")),
            };
        }
        let (Some(month), Some(day)) = (self.month, self.day) else {
            return Err(Fault::Form(0, "the date is not whole"));
        };
        let part = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Date::from_ymd(year, part(month), part(day)).map(Some).map_err(range)
    }

    /// The time of day in microseconds, where there is one.
    fn time(&self) -> Result<Option<i64>, Fault> {
        let Some(micros) = self.micros else {
            return if self.half.is_some() { Err(Fault::Form(0, "the time is missing")) } else { Ok(None) };
        };
        let hours = micros / HOUR_MICROS;
        Ok(Some(match self.half {
            Some(_) if hours > 12 => return Err(Fault::Range("hours before and after noon run to 12")),
            Some(Half::Pm) if hours != 12 => micros + 12 * HOUR_MICROS,
            Some(Half::Am) if hours == 12 => micros - 12 * HOUR_MICROS,
            _ => micros,
        }))
    }
}

fn range(error: Error) -> Fault {
    match error {
        Error::DatetimeOverflow { reason, .. } => Fault::Range(reason),
        _ => Fault::Range("no such day"),
    }
}

fn set_month(parts: &mut Parts<'_>, month: i64, at: usize) -> Result<(), Fault> {
    // `8 Jan 1999`: what looked like a month was the day.
    if let (Some(before), None, false) = (parts.month, parts.day, parts.has_month_name) {
        parts.day = Some(before);
        parts.month = None;
    }
    parts.has_month_name = true;
    set(&mut parts.month, month, at)
}

/// A quotient of numbers that are not negative, rounded half to even.
pub(crate) fn half_even(dividend: i128, divisor: i128) -> i64 {
    let (quotient, rest) = (dividend / divisor, dividend % divisor * 2);
    let up = rest > divisor || (rest == divisor && quotient % 2 == 1);
    (quotient + i128::from(up)) as i64
}

/// The fraction of a unit, rounded to microseconds, half to even.
pub(crate) fn fraction_of(digits: &[u8], unit: i64) -> i64 {
    // 15 digits behind the point of a day are more than microseconds.
    let head = digits.get(..15).unwrap_or(digits);
    let (mut value, mut scale) = (0i128, 1i128);
    for byte in head {
        value = value * 10 + i128::from(byte.wrapping_sub(b'0') % 10);
        scale *= 10;
    }
    half_even(value * i128::from(unit), scale)
}

impl Fault {
    fn of(self, ty: Type, text: &[u8]) -> Error {
        match self {
            Fault::Form(at, reason) => Error::invalid(ty, text, at, reason),
            Fault::Range(reason) => Error::datetime(ty, text, reason),
            Fault::Displacement => Error::ZoneDisplacement { text: Excerpt::new(text) },
            Fault::NoZone(name) => Error::UnknownZone { name },
        }
    }
}

/// A moment that was read.
enum Read {
    Infinite(Timestamp),
    /// A local time, and its offset from UTC where the text says one.
    Local(Timestamp, Option<i32>),
}

/// The offset of a zone by its name, where clocks show a local time.
fn zone_offset(name: &[u8], local: Timestamp, session: &Session<'_>) -> Result<i32, Fault> {
    let offset =
        core::str::from_utf8(name).ok().and_then(|name| session.zones.offset_of_local(Some(name), local));
    let is_word = name.iter().all(u8::is_ascii_alphabetic);
    offset.ok_or(if is_word { Fault::Form(0, "no such word") } else { Fault::NoZone(Excerpt::new(name)) })
}

fn read(text: &[u8], ty: Type, session: &Session<'_>) -> Result<Read, Error> {
    let parts = Parts::read(text, ty).map_err(|fault| fault.of(ty, text))?;
    let fault = |reason| Fault::Form(0, reason).of(ty, text);
    let time = parts.time().map_err(|fault| fault.of(ty, text))?;
    let date = parts.date().map_err(|fault| fault.of(ty, text))?;
    let today = || session.to_local(session.now, None);
    let has_parts = date.is_some() || time.is_some();
    let date = match (parts.special, date) {
        (None, Some(date)) => date,
        (None, None) => return Err(fault("the date is missing")),
        (Some(Special::Day(days)), None) => today()?.date().add_days(days)?,
        (Some(_), _) if has_parts => return Err(fault(TWICE)),
        (Some(Special::Infinity), _) => return Ok(Read::Infinite(Timestamp::INFINITY)),
        (Some(Special::NegInfinity), _) => return Ok(Read::Infinite(Timestamp::NEG_INFINITY)),
        (Some(Special::Epoch), _) => return Ok(Read::Local(Timestamp::UNIX_EPOCH, Some(0))),
        (Some(Special::Now), _) => {
            let offset = session.zones.offset_at(None, session.now).unwrap_or(0);
            return Ok(Read::Local(today()?, Some(offset)));
        }
        (Some(Special::Day(_)), Some(_)) => return Err(fault(TWICE)),
    };
    let micros = time.unwrap_or(0);
    let local = Timestamp::from_parts(date, Time::MIDNIGHT).and_then(|midnight| midnight.add_micros(micros));
    let local =
        local.map_err(|_| Error::datetime(ty, text, "timestamps run from 4714-11-24 BC to 294276-12-31"))?;
    let offset = match parts.zone {
        None => None,
        Some(Zone::Offset(offset)) => Some(offset),
        Some(Zone::Name(name)) => {
            Some(zone_offset(name, local, session).map_err(|fault| fault.of(ty, text))?)
        }
    };
    Ok(Read::Local(local, offset))
}

/// Reads a date; a time and a zone behind it are skipped.
///
/// # Errors
/// [`Error::InvalidText`] (22007), [`Error::DatetimeOverflow`] (22008), [`Error::UnknownZone`].
pub fn parse_date(text: &[u8], session: &Session<'_>) -> Result<Date, Error> {
    if let Some(date) = Date::parse_usual(text) {
        return date;
    }
    let ty = Type::Date;
    let parts = Parts::read(text, ty).map_err(|fault| fault.of(ty, text))?;
    // The range of dates is wider than that of timestamps.
    match (parts.special, parts.date().map_err(|fault| fault.of(ty, text))?) {
        (None, Some(date)) => {
            if let Some(Zone::Name(name)) = parts.zone {
                zone_offset(name, Timestamp::UNIX_EPOCH, session).map_err(|fault| fault.of(ty, text))?;
            }
            parts.time().map(|_| date).map_err(|fault| fault.of(ty, text))
        }
        // The day of a special moment is the local one.
        _ => match read(text, ty, session)? {
            Read::Infinite(moment) | Read::Local(moment, _) => Ok(moment.date()),
        },
    }
}

/// Reads a time; a date before it is skipped, and so is a zone.
///
/// # Errors
/// As [`parse_date`].
pub fn parse_time(text: &[u8], session: &Session<'_>) -> Result<Time, Error> {
    let ty = Type::Time;
    let fault = |reason| Fault::Form(0, reason).of(ty, text);
    let parts = Parts::read(text, ty).map_err(|fault| fault.of(ty, text))?;
    match (parts.special, parts.time().map_err(|fault| fault.of(ty, text))?) {
        (Some(Special::Now), None) => Ok(session.to_local(session.now, None)?.time()),
        (None | Some(Special::Day(_)), Some(micros)) => {
            if parts.year.is_some() || parts.month.is_some() {
                parts.date().map_err(|fault| fault.of(ty, text))?;
            }
            Time::from_micros(micros)
        }
        _ => Err(fault("the time is missing")),
    }
}

/// Reads a timestamp without time zone; a zone in the text is skipped.
///
/// # Errors
/// As [`parse_date`].
pub fn parse_timestamp(text: &[u8], session: &Session<'_>) -> Result<Timestamp, Error> {
    match read(text, Type::Timestamp, session)? {
        Read::Infinite(moment) | Read::Local(moment, _) => Ok(moment),
    }
}

/// Reads a timestamp with time zone; without a zone in the text it is a local time of the session's zone.
///
/// # Errors
/// As [`parse_date`].
pub fn parse_timestamptz(text: &[u8], session: &Session<'_>) -> Result<Timestamp, Error> {
    match read(text, Type::TimestampTz, session)? {
        Read::Infinite(moment) => Ok(moment),
        Read::Local(local, Some(offset)) => local.add_micros(-i64::from(offset) * SECOND_MICROS),
        Read::Local(local, None) => session.to_instant(local, None),
    }
}

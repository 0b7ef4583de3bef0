//! Templates of dates and times, and values written by them.

use cofferdam_types::{Date, Interval, Timestamp};

use crate::context::{Problem, Sink, Writer};
use crate::datetime::{DAY_US, SECOND_US};

/// A word of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    Era { dots: bool },
    Half { dots: bool },
    Century,
    DayName,
    DayShort,
    DayOfYear,
    DayOfMonth,
    DayOfWeek,
    Fraction(u8),
    Exact,
    Hour24,
    Hour12,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    IsoYear(u8),
    Julian,
    Minute,
    Month,
    MonthName,
    MonthShort,
    Millisecond,
    Offset,
    Quarter,
    Roman,
    SecondOfDay,
    Second,
    ZoneHour,
    ZoneMinute,
    Zone,
    Microsecond,
    WeekOfYear,
    WeekOfMonth,
    YearComma,
    Year(u8),
}

/// All words: longer ones stand before those that they begin with.
const WORDS: [(&str, Word); 56] = [
    ("A.D.", Word::Era { dots: true }),
    ("A.M.", Word::Half { dots: true }),
    ("AD", Word::Era { dots: false }),
    ("AM", Word::Half { dots: false }),
    ("B.C.", Word::Era { dots: true }),
    ("BC", Word::Era { dots: false }),
    ("CC", Word::Century),
    ("DAY", Word::DayName),
    ("DDD", Word::DayOfYear),
    ("DD", Word::DayOfMonth),
    ("DY", Word::DayShort),
    ("D", Word::DayOfWeek),
    ("FF1", Word::Fraction(1)),
    ("FF2", Word::Fraction(2)),
    ("FF3", Word::Fraction(3)),
    ("FF4", Word::Fraction(4)),
    ("FF5", Word::Fraction(5)),
    ("FF6", Word::Fraction(6)),
    ("FX", Word::Exact),
    ("HH24", Word::Hour24),
    ("HH12", Word::Hour12),
    ("HH", Word::Hour12),
    ("IDDD", Word::IsoDayOfYear),
    ("ID", Word::IsoDayOfWeek),
    ("IW", Word::IsoWeek),
    ("IYYY", Word::IsoYear(4)),
    ("IYY", Word::IsoYear(3)),
    ("IY", Word::IsoYear(2)),
    ("I", Word::IsoYear(1)),
    ("J", Word::Julian),
    ("MI", Word::Minute),
    ("MM", Word::Month),
    ("MONTH", Word::MonthName),
    ("MON", Word::MonthShort),
    ("MS", Word::Millisecond),
    ("OF", Word::Offset),
    ("P.M.", Word::Half { dots: true }),
    ("PM", Word::Half { dots: false }),
    ("Q", Word::Quarter),
    ("RM", Word::Roman),
    ("SSSSS", Word::SecondOfDay),
    ("SSSS", Word::SecondOfDay),
    ("SS", Word::Second),
    ("TZH", Word::ZoneHour),
    ("TZM", Word::ZoneMinute),
    ("TZ", Word::Zone),
    ("US", Word::Microsecond),
    ("WW", Word::WeekOfYear),
    ("W", Word::WeekOfMonth),
    ("Y,YYY", Word::YearComma),
    ("YYYY", Word::Year(4)),
    ("YYY", Word::Year(3)),
    ("YY", Word::Year(2)),
    ("Y", Word::Year(1)),
    ("SP", Word::Exact),
    ("TM", Word::Exact),
];

/// A word as templates have it, for messages.
pub(super) fn name_of(word: Word, case: Case) -> &'static str {
    match (word, case) {
        (Word::MonthName, Case::Capital) => "Month",
        (Word::MonthName, Case::Lower) => "month",
        (Word::MonthShort, Case::Capital) => "Mon",
        (Word::MonthShort, Case::Lower) => "mon",
        (Word::DayName, Case::Capital) => "Day",
        (Word::DayName, Case::Lower) => "day",
        (Word::DayShort, Case::Capital) => "Dy",
        (Word::DayShort, Case::Lower) => "dy",
        (word, _) => WORDS.iter().find(|(_, known)| *known == word).map_or("", |(name, _)| name),
    }
}

/// How letters of a name are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Upper,
    Capital,
    Lower,
}

/// A piece of a template.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'t> {
    Word {
        word: Word,
        case: Case,
        /// `FM`: without blanks and zeros that fill.
        is_narrow: bool,
        /// `TH` or `th` behind it.
        ordinal: Option<Case>,
    },
    /// Characters that stand for themselves, in quotes or not.
    Text { text: &'t str, is_quoted: bool },
}

/// The pieces of a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pieces<'t> {
    rest: &'t str,
    in_quotes: bool,
}

impl<'t> Pieces<'t> {
    pub(super) fn new(template: &'t str) -> Pieces<'t> {
        Pieces { rest: template, in_quotes: false }
    }

    fn take(&mut self, len: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn starts(&self, wanted: &str) -> bool {
        let head = self.rest.as_bytes().get(..wanted.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(wanted.as_bytes()))
    }

    fn quoted(&mut self) -> Option<Piece<'t>> {
        let c = self.rest.chars().next()?;
        if c == '"' {
            self.take(1);
            self.in_quotes = false;
            return self.next();
        }
        if c == '\\' {
            self.take(1);
        }
        let len = self.rest.chars().next().map_or(0, char::len_utf8);
        Some(Piece::Text { text: self.take(len), is_quoted: true })
    }
}

/// The case of a word as it is written: that of its first two letters.
fn case_of(written: &str) -> Case {
    let mut letters = written.chars().filter(char::is_ascii_alphabetic);
    match (letters.next().map(|c| c.is_ascii_uppercase()), letters.next().map(|c| c.is_ascii_uppercase())) {
        (Some(true), Some(false)) => Case::Capital,
        (Some(false), _) => Case::Lower,
        _ => Case::Upper,
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        if self.in_quotes {
            return self.quoted();
        }
        let (mut is_narrow, mut is_translated) = (false, false);
        let before = *self;
        loop {
            if self.starts("FM") {
                is_narrow = true;
            } else if self.starts("TM") {
                is_translated = true;
            } else {
                break;
            }
            self.take(2);
        }
        let found = WORDS.iter().find(|(known, _)| self.starts(known));
        if let Some((known, word)) = found {
            let case = case_of(self.take(known.len()));
            let ordinal = match self.rest.get(..2) {
                Some("TH") => Some(Case::Upper),
                Some("th") => Some(Case::Lower),
                _ => None,
            };
            if ordinal.is_some() {
                self.take(2);
            }
            // Translated names are not filled; here all are English.
            is_narrow |= is_translated && matches!(word, Word::MonthName | Word::DayName);
            return Some(Piece::Word { word: *word, case, is_narrow, ordinal });
        }
        if self.rest.len() < before.rest.len() && self.rest.is_empty() {
            return None;
        }
        let c = self.rest.chars().next()?;
        if c == '"' {
            self.take(1);
            self.in_quotes = true;
            return self.quoted();
        }
        if c == '\\' && self.rest.as_bytes().get(1) == Some(&b'"') {
            self.take(1);
            return Some(Piece::Text { text: self.take(1), is_quoted: true });
        }
        Some(Piece::Text { text: self.take(c.len_utf8()), is_quoted: false })
    }
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// A moment or an interval taken apart.
pub(super) struct Parts {
    /// Astronomical: the year before 1 is 0.
    year: i64,
    month: i64,
    day: i64,
    /// Microseconds of the day, or of the interval.
    micros: i64,
    date: Option<Date>,
    day_of_year: i64,
    offset: Option<i32>,
}

impl Parts {
    pub(super) fn of_moment(local: Timestamp, offset: Option<i32>) -> Parts {
        let date = local.date();
        let (year, month, day) = date.ymd();
        Parts {
            year: year.into(),
            month: month.into(),
            day: day.into(),
            micros: local.time().micros(),
            date: Some(date),
            day_of_year: date.day_of_year().into(),
            offset,
        }
    }

    pub(super) fn of_span(span: Interval) -> Parts {
        let (year, month) = (i64::from(span.months) / 12, i64::from(span.months) % 12);
        let day = i64::from(span.days);
        Parts {
            year,
            month,
            day,
            micros: span.micros,
            date: None,
            day_of_year: (year * 12 + month) * 30 + day,
            offset: None,
        }
    }

    /// The day, where it is one of a calendar.
    fn calendar(&self) -> Result<Date, Problem> {
        self.date.ok_or_else(|| {
            Problem::new("22007", "invalid format specification for an interval value")
                .hinted("Intervals are not tied to specific calendar dates.")
        })
    }

    /// The year as it is shown, with an era beside it.
    fn shown_year(&self) -> i64 {
        if self.date.is_some() && self.year <= 0 { 1 - self.year } else { self.year }
    }

    fn iso_year(&self) -> i64 {
        match self.date {
            Some(date) => {
                let year = iso_week(date).0;
                if year <= 0 { 1 - year } else { year }
            }
            None => self.year,
        }
    }

    fn seconds(&self) -> i64 {
        self.micros / SECOND_US
    }
}

/// Year and number of a day's ISO week.
pub(super) fn iso_week(date: Date) -> (i64, i64) {
    let monday_first = (i64::from(date.day_of_week()) + 6) % 7;
    // A week belongs to the year of its Thursday.
    let thursday = Date::from_days(i64::from(date.days()) - monday_first + 3);
    thursday.map_or((date.ymd().0.into(), 1), |thursday| {
        (thursday.ymd().0.into(), (i64::from(thursday.day_of_year()) - 1) / 7 + 1)
    })
}

/// Where numbers go, with what the piece says of their form.
struct Out<'s> {
    sink: &'s mut dyn Sink,
    is_narrow: bool,
    ordinal: Option<Case>,
}

impl Out<'_> {
    fn text(&mut self, text: &str) -> Result<(), Problem> {
        Ok(self.sink.append(text.as_bytes())?)
    }

    /// A number with zeros up to a width, which does not count a sign.
    fn number(&mut self, number: i64, width: usize) -> Result<(), Problem> {
        let width = match (self.is_narrow, number < 0) {
            (true, _) => 0,
            (false, true) => width + 1,
            (false, false) => width,
        };
        Writer::new(self.sink).format(format_args!("{number:0width$}"))?;
        self.end(number)
    }

    /// A number with zeros up to a width, sign and all.
    fn number_in(&mut self, number: i64, width: usize) -> Result<(), Problem> {
        let width = if self.is_narrow { 0 } else { width };
        Writer::new(self.sink).format(format_args!("{number:0width$}"))?;
        self.end(number)
    }

    fn end(&mut self, number: i64) -> Result<(), Problem> {
        let Some(case) = self.ordinal else { return Ok(()) };
        let ending = match (number.abs() % 10, number.abs() % 100) {
            (_, 11..=13) => "TH",
            (1, _) => "ST",
            (2, _) => "ND",
            (3, _) => "RD",
            _ => "TH",
        };
        self.cased(ending, if case == Case::Upper { Case::Upper } else { Case::Lower }, 0)
    }

    /// A name in its case, filled with blanks up to a width.
    fn cased(&mut self, name: &str, case: Case, width: usize) -> Result<(), Problem> {
        for (index, c) in name.chars().enumerate() {
            let c = match case {
                Case::Upper => c.to_ascii_uppercase(),
                Case::Capital if index == 0 => c.to_ascii_uppercase(),
                _ => c.to_ascii_lowercase(),
            };
            self.text(c.encode_utf8(&mut [0; 4]))?;
        }
        let width = if self.is_narrow { 0 } else { width };
        for _ in name.len()..width {
            self.text(" ")?;
        }
        Ok(())
    }
}

fn name(names: &'static [&'static str], number: i64) -> &'static str {
    usize::try_from(number).ok().and_then(|number| names.get(number)).copied().unwrap_or("")
}

/// Appends a value by a template.
pub(super) fn write(parts: &Parts, template: &str, sink: &mut dyn Sink) -> Result<(), Problem> {
    for piece in Pieces::new(template) {
        match piece {
            Piece::Text { text, .. } => sink.append(text.as_bytes())?,
            Piece::Word { word, case, is_narrow, ordinal } => {
                let mut out = Out { sink: &mut *sink, is_narrow, ordinal };
                write_word(parts, word, case, &mut out)?;
            }
        }
    }
    Ok(())
}

fn write_word(parts: &Parts, word: Word, case: Case, out: &mut Out<'_>) -> Result<(), Problem> {
    let hour = parts.seconds() / 3600;
    let micros = parts.micros % SECOND_US;
    match word {
        Word::Era { dots } => {
            parts.calendar()?;
            let era = match (parts.year <= 0, dots) {
                (true, true) => "B.C.",
                (true, false) => "BC",
                (false, true) => "A.D.",
                (false, false) => "AD",
            };
            out.cased(era, upper_or_lower(case), 0)
        }
        Word::Half { dots } => {
            let half = match (hour % 24 >= 12, dots) {
                (true, true) => "P.M.",
                (true, false) => "PM",
                (false, true) => "A.M.",
                (false, false) => "AM",
            };
            out.cased(half, upper_or_lower(case), 0)
        }
        Word::Hour12 => out.number(if hour % 12 == 0 { 12 } else { hour % 12 }, 2),
        Word::Hour24 => out.number(hour, 2),
        Word::Minute => out.number(parts.seconds() / 60 % 60, 2),
        Word::Second => out.number(parts.seconds() % 60, 2),
        Word::SecondOfDay => out.number_unfilled(parts.seconds()),
        Word::Millisecond => out.fraction(micros / 1000, 3),
        Word::Microsecond => out.fraction(micros, 6),
        Word::Fraction(digits) => out.fraction(micros / 10i64.pow(6 - u32::from(digits)), digits.into()),
        Word::Zone => match parts.offset {
            None => parts.calendar().map(drop),
            Some(0) => out.cased("UTC", upper_or_lower(case), 0),
            Some(offset) => write_offset(offset, out),
        },
        Word::Offset => {
            parts.calendar()?;
            write_offset(parts.offset.unwrap_or(0), out)
        }
        Word::ZoneHour => {
            parts.calendar()?;
            let offset = parts.offset.unwrap_or(0);
            let sign = if offset < 0 { "-" } else { "+" };
            out.text(sign)?;
            out.is_narrow = false;
            out.number(i64::from(offset / 3600).abs(), 2)
        }
        Word::ZoneMinute => {
            parts.calendar()?;
            out.is_narrow = false;
            out.number(i64::from(parts.offset.unwrap_or(0) / 60 % 60).abs(), 2)
        }
        Word::Exact => Ok(()),
        word => write_of_date(parts, word, case, out),
    }
}

fn upper_or_lower(case: Case) -> Case {
    if case == Case::Lower { Case::Lower } else { Case::Upper }
}

fn write_offset(offset: i32, out: &mut Out<'_>) -> Result<(), Problem> {
    let (hours, minutes) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    let sign = if offset < 0 { '-' } else { '+' };
    let mut writer = Writer::new(out.sink);
    match out.is_narrow {
        true => writer.format(format_args!("{sign}{hours}"))?,
        false => writer.format(format_args!("{sign}{hours:02}"))?,
    }
    if minutes != 0 {
        writer.format(format_args!(":{minutes:02}"))?;
    }
    Ok(())
}

fn write_of_date(parts: &Parts, word: Word, case: Case, out: &mut Out<'_>) -> Result<(), Problem> {
    match word {
        Word::MonthName => {
            parts.calendar()?;
            out.cased(name(&MONTHS, parts.month - 1), case, 9)
        }
        Word::MonthShort => {
            parts.calendar()?;
            out.cased(name(&MONTHS, parts.month - 1).get(..3).unwrap_or(""), case, 0)
        }
        Word::Month => out.number(parts.month, 2),
        Word::DayName => out.cased(name(&DAYS, parts.calendar()?.day_of_week().into()), case, 9),
        Word::DayShort => {
            let day = name(&DAYS, parts.calendar()?.day_of_week().into());
            out.cased(day.get(..3).unwrap_or(""), case, 0)
        }
        Word::DayOfYear => out.number_in(parts.day_of_year, 3),
        Word::DayOfMonth => out.number_in(parts.day, 2),
        Word::DayOfWeek => {
            let day = i64::from(parts.calendar()?.day_of_week()) + 1;
            out.number(day, 1)
        }
        Word::IsoDayOfWeek => {
            let day = (i64::from(parts.calendar()?.day_of_week()) + 6) % 7 + 1;
            out.number(day, 1)
        }
        Word::IsoDayOfYear => {
            let date = parts.calendar()?;
            let (_, week) = iso_week(date);
            let weekday = (i64::from(date.day_of_week()) + 6) % 7;
            out.number((week - 1) * 7 + weekday + 1, 3)
        }
        Word::WeekOfYear => out.number_in((parts.day_of_year - 1) / 7 + 1, 2),
        Word::IsoWeek => {
            let week = iso_week(parts.calendar()?).1;
            out.number(week, 2)
        }
        Word::WeekOfMonth => out.number((parts.day - 1) / 7 + 1, 1),
        Word::Quarter if parts.month == 0 => Ok(()),
        Word::Quarter => out.number((parts.month - 1) / 3 + 1, 1),
        Word::Century => {
            let year = parts.year;
            let century = match (parts.date.is_some(), year > 0) {
                (false, _) => year / 100,
                (true, true) => (year - 1) / 100 + 1,
                (true, false) => (year - 1) / 100 - 1,
            };
            out.number(century, 2)
        }
        Word::YearComma => {
            let year = parts.shown_year();
            Writer::new(out.sink).format(format_args!("{},{:03}", year / 1000, year % 1000))?;
            out.end(year)
        }
        Word::Year(digits) => write_year(parts.shown_year(), digits, out),
        Word::IsoYear(digits) => write_year(parts.iso_year(), digits, out),
        // An interval of whole years ends with the twelfth month, one that goes back with the first; none has no month.
        Word::Roman if parts.month == 0 && parts.year == 0 => Ok(()),
        Word::Roman => {
            let month = match parts.month {
                0 if parts.year < 0 => 1,
                0 => 12,
                month if month < 0 => month + 13,
                month => month,
            };
            let roman = name(&ROMAN, month - 1);
            out.cased(roman, upper_or_lower(case), 4)
        }
        Word::Julian => {
            let day = match parts.date {
                Some(date) => i64::from(date.days()) + 2_440_588,
                None => julian(parts.year, parts.month, parts.day),
            };
            out.number_unfilled(day)
        }
        _ => Ok(()),
    }
}

/// The Julian day that PostgreSQL counts for the parts of an interval.
fn julian(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year + 4800, month + 1) } else { (year + 4799, month + 13) };
    let century = year / 100;
    year * 365 - 32_167 + year / 4 - century + century / 4 + 7834 * month / 256 + day
}

fn write_year(year: i64, digits: u8, out: &mut Out<'_>) -> Result<(), Problem> {
    let shown = if digits < 4 { year % 10i64.pow(digits.into()) } else { year };
    out.number(shown, digits.into())
}

impl Out<'_> {
    fn number_unfilled(&mut self, number: i64) -> Result<(), Problem> {
        Writer::new(self.sink).format(format_args!("{number}"))?;
        self.end(number)
    }

    /// Digits of a second, which `FM` leaves alone.
    fn fraction(&mut self, number: i64, width: usize) -> Result<(), Problem> {
        Writer::new(self.sink).format(format_args!("{number:0width$}"))?;
        self.end(number)
    }
}

const _: () = assert!(DAY_US == 86_400 * SECOND_US);

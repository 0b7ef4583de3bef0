//! Dates and times read by templates: `to_date`, `to_timestamp`.
//!
//! Each word of the template takes what fits it; what stands between words is passed over, more or less of it than the
//! template has, unless `FX` asks for exactly that. Then the parts make a day: of a year and a month, of a day
//! of the year, of an ISO week, or of a Julian day.

use cofferdam_types::{Date, Time, Timestamp};

use super::moment::{Case, DAYS, MONTHS, Piece, Pieces, ROMAN, Word, name_of};
use crate::context::Problem;
use crate::datetime::{HOUR_US, MINUTE_US, SECOND_US};

/// What was read; parts that were not are `None`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    year: Option<i64>,
    /// How many digits of the year the template has.
    year_digits: u8,
    is_bc: bool,
    century: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    week_of_year: Option<i64>,
    week_of_month: Option<i64>,
    weekday: Option<i64>,
    iso_week: Option<i64>,
    iso_weekday: Option<i64>,
    iso_day_of_year: Option<i64>,
    is_iso: bool,
    is_plain: bool,
    julian: Option<i64>,
    hour: Option<i64>,
    is_hour_12: bool,
    is_pm: Option<bool>,
    minute: Option<i64>,
    second: Option<i64>,
    second_of_day: Option<i64>,
    micros: Option<i64>,
    zone_hour: Option<i64>,
    zone_minute: Option<i64>,
    zone_is_west: bool,
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    is_exact: bool,
    /// Characters that were passed over beyond those that the template has.
    skipped: i32,
    /// The word of the template that is being read.
    name: &'static str,
    read: Read,
}

/// Reads a text by a template.
pub(super) fn read(text: &str, template: &str) -> Result<Read, Problem> {
    let mut reader = Reader { text, at: 0, is_exact: false, skipped: 0, name: "", read: Read::default() };
    let mut pieces = Pieces::new(template);
    reader.skip_blanks();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Word { word: Word::Exact, .. } => reader.is_exact = true,
            Piece::Word { word, case, is_narrow, ordinal } => {
                reader.skip_blanks();
                if reader.rest().is_empty() {
                    break;
                }
                reader.word(word, case, is_narrow || !next_is_digit(pieces))?;
                if ordinal.is_some() {
                    reader.at = (reader.at + 2).min(reader.text.len());
                }
                if !reader.is_exact {
                    reader.skipped = 0;
                    reader.skip_blanks();
                }
            }
            Piece::Text { text, is_quoted } => reader.pass(text, is_quoted),
        }
    }
    Ok(reader.read)
}

/// Whether the next piece takes digits right away.
fn next_is_digit(mut pieces: Pieces<'_>) -> bool {
    match pieces.next() {
        Some(Piece::Word { word, .. }) => !matches!(
            word,
            Word::Era { .. }
                | Word::Half { .. }
                | Word::DayName
                | Word::DayShort
                | Word::MonthName
                | Word::MonthShort
                | Word::Roman
                | Word::Zone
                | Word::ZoneHour
                | Word::Offset
        ),
        Some(Piece::Text { text, .. }) => text.starts_with(|c: char| c.is_ascii_digit()),
        None => false,
    }
}

fn is_separator(c: char) -> bool {
    c.is_ascii_punctuation()
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Passes over blanks, unless the template must be followed exactly.
    fn skip_blanks(&mut self) {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        if !self.is_exact {
            self.at += blanks;
            self.skipped += blanks as i32;
        }
    }

    /// Passes over what a character of the template stands for: a blank or sign for at most one of these, another
    /// character for any one, unless more was passed over before than the template has.
    fn pass(&mut self, piece: &str, is_quoted: bool) {
        let is_blank = |c: char| c.is_whitespace() || is_separator(c);
        let len = self.peek().map_or(0, char::len_utf8);
        if self.is_exact {
            self.at += len;
        } else if !is_quoted && piece.starts_with(is_blank) {
            match self.peek().is_some_and(is_blank) {
                true => self.at += len,
                false => self.skipped -= 1,
            }
        } else if self.skipped > 0 {
            self.skipped -= 1;
        } else {
            self.at += len;
        }
    }

    /// A number of at most `width` digits; of any number where nothing follows that has digits.
    fn number(&mut self, width: usize, is_free: bool) -> Result<i64, Problem> {
        let start = self.at;
        let mut end = start;
        let bytes = self.text.as_bytes();
        if is_free && matches!(bytes.get(end), Some(b'-' | b'+')) {
            end += 1;
        }
        let first_digit = end;
        while bytes.get(end).is_some_and(u8::is_ascii_digit) && (is_free || end - first_digit < width) {
            end += 1;
        }
        let digits = self.text.get(start..end).unwrap_or("");
        if end == first_digit {
            let shown = self.rest().get(..width.min(self.rest().len())).unwrap_or("");
            return Err(Problem::named("22007", "invalid value \"%\" for \"@\"", shown, self.name));
        }
        if !is_free && end - first_digit < width && self.is_exact {
            let shown = self.text.get(start..end).unwrap_or("");
            return Err(Problem::about("22007", "source string too short: \"%\"", shown));
        }
        self.at = end;
        digits
            .trim_start_matches('+')
            .parse::<i32>()
            .map(i64::from)
            .map_err(|_| Problem::about("22008", "value \"%\" is out of range", digits))
    }

    /// A name out of a list, in any case; its number.
    fn name(&mut self, names: &[&str], len: Option<usize>) -> Result<i64, Problem> {
        // Longer names first: they may begin with shorter ones.
        let mut best: Option<(usize, usize)> = None;
        for (number, name) in names.iter().enumerate() {
            let name = len.and_then(|len| name.get(..len)).unwrap_or(name);
            let head = self.rest().as_bytes().get(..name.len());
            let fits = head.is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()));
            if fits && best.is_none_or(|(longest, _)| name.len() > longest) {
                best = Some((name.len(), number));
            }
        }
        let Some((taken, number)) = best else {
            let word = self.rest().split_whitespace().next().unwrap_or("");
            return Err(Problem::named("22007", "invalid value \"%\" for \"@\"", word, self.name));
        };
        self.at += taken;
        Ok(number as i64)
    }

    fn word(&mut self, word: Word, case: Case, is_free: bool) -> Result<(), Problem> {
        self.name = name_of(word, case);
        match word {
            Word::Hour12 => {
                self.read.hour = Some(self.number(2, is_free)?);
                self.read.is_hour_12 = true;
            }
            Word::Hour24 => self.read.hour = Some(self.number(2, is_free)?),
            Word::Minute => self.read.minute = Some(self.number(2, is_free)?),
            Word::Second => self.read.second = Some(self.number(2, is_free)?),
            Word::SecondOfDay => self.read.second_of_day = Some(self.number(5, is_free)?),
            Word::Millisecond => self.fraction(3, is_free)?,
            Word::Microsecond => self.fraction(6, is_free)?,
            Word::Fraction(digits) => self.fraction(digits.into(), is_free)?,
            Word::Half { dots } => {
                let names: &[&str] = if dots { &["a.m.", "p.m."] } else { &["am", "pm"] };
                self.read.is_pm = Some(self.name(names, None)? == 1);
                self.read.is_hour_12 = true;
            }
            Word::Era { dots } => {
                let names: &[&str] = if dots { &["a.d.", "b.c."] } else { &["ad", "bc"] };
                self.read.is_bc = self.name(names, None)? == 1;
            }
            Word::ZoneHour | Word::Offset => self.zone(word, is_free)?,
            Word::ZoneMinute => self.read.zone_minute = Some(self.number(2, is_free)?),
            Word::Zone => {
                return Err(Problem::new("0A000", "formatting field \"TZ\" is only supported in to_char"));
            }
            word => self.date_word(word, is_free)?,
        }
        Ok(())
    }

    fn zone(&mut self, word: Word, is_free: bool) -> Result<(), Problem> {
        if let Some(sign @ ('+' | '-' | ' ')) = self.peek() {
            self.read.zone_is_west = sign == '-';
            self.at += 1;
        } else {
            // The sign may have been passed over as one that parts.
            let before = self.text.get(..self.at).unwrap_or("");
            self.read.zone_is_west = self.skipped > 0 && before.ends_with('-');
        }
        self.read.zone_hour = Some(self.number(2, is_free && word == Word::ZoneHour)?);
        if word == Word::Offset && self.peek() == Some(':') {
            self.at += 1;
            self.read.zone_minute = Some(self.number(2, false)?);
        }
        Ok(())
    }

    /// Digits of a second: as many as there are count, from the point on.
    fn fraction(&mut self, width: usize, is_free: bool) -> Result<(), Problem> {
        let start = self.at;
        let number = self.number(width, is_free)?;
        let digits = (self.at - start).min(9);
        let scaled = number as f64 * 1e6 / 10f64.powi(digits as i32);
        self.read.micros = Some(scaled.round_ties_even() as i64);
        Ok(())
    }

    fn date_word(&mut self, word: Word, is_free: bool) -> Result<(), Problem> {
        match word {
            Word::MonthName => self.read.month = Some(self.name(&MONTHS, None)? + 1),
            Word::MonthShort => self.read.month = Some(self.name(&MONTHS, Some(3))? + 1),
            Word::Month => self.read.month = Some(self.number(2, is_free)?),
            Word::Roman => self.read.month = Some(self.name(&ROMAN, None)? + 1),
            Word::DayName => self.read.weekday = Some(self.name(&DAYS, None)?),
            Word::DayShort => self.read.weekday = Some(self.name(&DAYS, Some(3))?),
            Word::DayOfMonth => self.read.day = Some(self.number(2, is_free)?),
            Word::DayOfYear => self.read.day_of_year = Some(self.number(3, is_free)?),
            Word::DayOfWeek => self.read.weekday = Some(self.number(1, is_free)? - 1),
            Word::WeekOfYear => self.read.week_of_year = Some(self.number(2, is_free)?),
            Word::WeekOfMonth => self.read.week_of_month = Some(self.number(1, is_free)?),
            Word::Quarter => {
                // A quarter says too little to count.
                self.number(1, is_free)?;
            }
            Word::Century => self.read.century = Some(self.number(2, is_free)?),
            Word::Julian => self.read.julian = Some(self.number(7, true)?),
            Word::YearComma => {
                let thousands = self.number(3, true)?;
                self.at += usize::from(self.peek() == Some(','));
                self.read.year = Some(thousands * 1000 + self.number(3, false)?);
                self.read.year_digits = 4;
            }
            Word::Year(digits) => {
                self.read.year = Some(self.year(digits, is_free)?);
                self.read.year_digits = digits;
                self.read.is_plain = true;
            }
            Word::IsoYear(digits) => {
                self.read.year = Some(self.year(digits, is_free)?);
                self.read.year_digits = digits;
                self.read.is_iso = true;
            }
            Word::IsoWeek => (self.read.iso_week, self.read.is_iso) = (Some(self.number(2, is_free)?), true),
            Word::IsoDayOfWeek => {
                (self.read.iso_weekday, self.read.is_iso) = (Some(self.number(1, is_free)?), true);
            }
            Word::IsoDayOfYear => {
                (self.read.iso_day_of_year, self.read.is_iso) = (Some(self.number(3, is_free)?), true);
            }
            _ => {}
        }
        if matches!(
            word,
            Word::Month
                | Word::MonthName
                | Word::MonthShort
                | Word::DayOfMonth
                | Word::DayOfYear
                | Word::WeekOfYear
        ) {
            self.read.is_plain = true;
        }
        match self.read.is_iso && self.read.is_plain {
            true => Err(Problem::new("22007", "invalid combination of date conventions")
                .hinted("Do not mix Gregorian and ISO week date conventions in a formatting template.")),
            false => Ok(()),
        }
    }

    /// A year; of fewer than four digits, the nearest one to 2020.
    fn year(&mut self, digits: u8, is_free: bool) -> Result<i64, Problem> {
        let start = self.at;
        let year = self.number(digits.into(), is_free)?;
        let taken = self.at - start;
        if digits == 4 || taken >= 4 || year < 0 {
            return Ok(year);
        }
        Ok(match year {
            0..70 => year + 2000,
            70..100 => year + 1900,
            100..520 => year + 2000,
            520..1000 => year + 1000,
            year => year,
        })
    }
}

fn out_of_range() -> Problem {
    Problem::new("22008", "date/time field value out of range")
}

fn in_range(value: i64, least: i64, most: i64) -> Result<i64, Problem> {
    if (least..=most).contains(&value) { Ok(value) } else { Err(out_of_range()) }
}

/// The Monday of the first ISO week of a year, as days since 1970.
fn first_iso_monday(year: i64) -> Result<i64, Problem> {
    let fourth = Date::from_ymd(i32::try_from(year).map_err(|_| out_of_range())?, 1, 4)?;
    Ok(i64::from(fourth.days()) - (i64::from(fourth.day_of_week()) + 6) % 7)
}

impl Read {
    /// The astronomical year.
    fn astronomical_year(&self) -> i64 {
        let year = match (self.year, self.century) {
            (Some(year), Some(century)) if self.year_digits <= 2 => {
                let short = year % 100;
                return match (self.is_bc, century < 0, short) {
                    (false, false, 0) => century * 100,
                    (false, false, short) => (century - 1) * 100 + short,
                    (_, _, short) => -((century.abs() - 1) * 100 + short) + 1,
                };
            }
            (Some(year), _) => year,
            (None, Some(century)) => {
                return match self.is_bc || century < 0 {
                    false => (century - 1) * 100 + 1,
                    true => -century.abs() * 100 + 1,
                };
            }
            // Nothing was said: the year before 1.
            (None, None) => return 0,
        };
        // Both a sign and an era turn it around.
        match (self.is_bc, year) {
            (true, year @ 1..) => 1 - year,
            (true, year) => -year,
            (false, year @ ..0) => year + 1,
            (false, year) => year,
        }
    }

    /// The day.
    pub(super) fn date(&self) -> Result<Date, Problem> {
        if let Some(julian) = self.julian {
            return Ok(Date::from_days(julian - 2_440_588)?);
        }
        let year = self.astronomical_year();
        if self.is_iso {
            return self.iso_date(year);
        }
        let year = i32::try_from(year).map_err(|_| out_of_range())?;
        let first = Date::from_ymd(year, 1, 1)?;
        let said = |part: Option<i64>| part.filter(|part| *part != 0);
        if let Some(week) = said(self.week_of_year).filter(|_| self.day_of_year.is_none()) {
            return Ok(first.add_days((in_range(week, 1, 53)? - 1) as i32 * 7)?);
        }
        if let Some(day) = said(self.day_of_year).filter(|_| self.month.is_none() || self.day.is_none()) {
            let length = if Date::from_ymd(year, 2, 29).is_ok() { 366 } else { 365 };
            return Ok(first.add_days(in_range(day, 1, length)? as i32 - 1)?);
        }
        let day = match (said(self.day), said(self.week_of_month)) {
            (Some(day), _) => day,
            (None, Some(week)) => (week - 1) * 7 + 1,
            (None, None) => 1,
        };
        let month = in_range(said(self.month).unwrap_or(1), 1, 12)?;
        Ok(Date::from_ymd(year, month as u32, in_range(day, 1, 31)? as u32)?)
    }

    fn iso_date(&self, year: i64) -> Result<Date, Problem> {
        let monday = first_iso_monday(year)?;
        let days = match (self.iso_week, self.iso_day_of_year) {
            (Some(week), _) => {
                let weekday = self.iso_weekday.or(self.weekday.map(|day| (day + 6) % 7 + 1)).unwrap_or(1);
                (in_range(week, 1, 53)? - 1) * 7 + in_range(weekday, 1, 7)? - 1
            }
            (None, Some(day)) => in_range(day, 1, 371)? - 1,
            (None, None) => {
                let year = i32::try_from(year).map_err(|_| out_of_range())?;
                return Ok(Date::from_ymd(year, 1, 1)?);
            }
        };
        Ok(Date::from_days(monday + days)?)
    }

    /// Microseconds of the day.
    fn micros(&self) -> Result<i64, Problem> {
        if let Some(seconds) = self.second_of_day {
            return Ok(in_range(seconds, 0, 86_399)? * SECOND_US + self.micros.unwrap_or(0));
        }
        let mut hour = self.hour.unwrap_or(0);
        if self.is_hour_12 && self.hour.is_some() {
            if !(1..=12).contains(&hour) {
                return Err(Problem::count("22007", "hour \"#\" is invalid for the 12-hour clock", hour)
                    .hinted("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = match self.is_pm {
                Some(true) if hour < 12 => hour + 12,
                Some(false) if hour == 12 => 0,
                _ => hour,
            };
        }
        let (hour, minute) = (in_range(hour, 0, 23)?, in_range(self.minute.unwrap_or(0), 0, 59)?);
        let second = in_range(self.second.unwrap_or(0), 0, 59)?;
        Ok(hour * HOUR_US + minute * MINUTE_US + second * SECOND_US + self.micros.unwrap_or(0))
    }

    /// Day and time.
    pub(super) fn moment(&self) -> Result<Timestamp, Problem> {
        let start = Timestamp::from_parts(self.date()?, Time::MIDNIGHT)?;
        Ok(start.add_micros(self.micros()?)?)
    }

    /// How far east of UTC the text says that it is.
    pub(super) fn offset_seconds(&self) -> Option<i64> {
        let hour = self.zone_hour?;
        let seconds = hour * 3600 + self.zone_minute.unwrap_or(0) * 60;
        Some(if self.zone_is_west { -seconds } else { seconds })
    }
}

//! Arithmetic of dates, times, timestamps and intervals: what operators and functions do with values of these types.
//!
//! Months are added first and move to the last day of a shorter month, then days, then the time. The infinities stay
//! infinite. Functions that PostgreSQL has for timestamps with time zone take the local timestamp here: the caller asks
//! a [`Session`](crate::Session) for it and for the way back.
//!
//! | PostgreSQL | here |
//! |---|---|
//! | `timestamp + interval`, `-` | [`add_interval`], [`sub_interval`] |
//! | `timestamp - timestamp` | [`difference`] |
//! | `time + interval`, `-` | [`add_to_time`] |
//! | `interval * double`, `/` | [`multiply`], [`divide`] |
//! | `age` | [`age`] |
//! | `justify_days`, `_hours`, `_interval` | [`justify_days`], [`justify_hours`], [`justify_interval`] |
//! | `extract`, `date_part` | [`Field::parse`], then [`extract`] or [`date_part`] |
//! | `date_trunc` | [`truncate`], [`truncate_interval`] |
//! | `date_bin` | [`bin`] |
//! | `make_date`, `make_time`, `make_timestamp`, `make_interval` | [`make_date`], [`make_time`], [`make_timestamp`], [`make_interval`] |

use crate::time::{DAY_MICROS, HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS};
use crate::{Date, Decimal, Error, Interval, Time, Timestamp, Type, Value};

const OUT_OF_RANGE: &str = "an interval holds 2^31 months and 2^31 days";

#[cold]
fn interval_overflow() -> Error {
    Error::datetime(Type::Interval, &[], OUT_OF_RANGE)
}

/// The moment an interval later.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn add_interval(moment: Timestamp, interval: Interval) -> Result<Timestamp, Error> {
    move_by(moment, interval.months.into(), interval.days.into(), interval.micros.into())
}

/// The moment an interval earlier.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn sub_interval(moment: Timestamp, interval: Interval) -> Result<Timestamp, Error> {
    move_by(moment, -i64::from(interval.months), -i64::from(interval.days), -i128::from(interval.micros))
}

fn move_by(moment: Timestamp, months: i64, days: i64, micros: i128) -> Result<Timestamp, Error> {
    if moment.is_infinite() {
        return Ok(moment);
    }
    let date = moment.date().move_months_and_days(months, days)?;
    let day = Timestamp::from_parts(date, Time::MIDNIGHT)?;
    let rest = i128::from(moment.time().micros()) + micros;
    day.add_micros(i64::try_from(rest).map_err(|_| interval_overflow())?)
}

/// The time from `b` to `a`, in days of 24 hours and a rest, as `timestamp - timestamp` gives it.
///
/// # Errors
/// [`Error::DatetimeOverflow`] where one of them is infinite, or beyond 64 bits.
pub fn difference(a: Timestamp, b: Timestamp) -> Result<Interval, Error> {
    if a.is_infinite() || b.is_infinite() {
        return Err(Error::datetime(Type::Timestamp, &[], "cannot subtract infinite timestamps"));
    }
    let micros = a.micros().checked_sub(b.micros()).ok_or_else(interval_overflow)?;
    justify_hours(Interval { months: 0, days: 0, micros })
}

/// The time of day an interval later, of which only the time counts; the clock begins anew at midnight.
pub fn add_to_time(time: Time, interval: Interval) -> Time {
    let sum = i128::from(time.micros()) + i128::from(interval.micros);
    Time::from_micros(sum.rem_euclid(DAY_MICROS.into()) as i64).unwrap_or(Time::MIDNIGHT)
}

/// The time of day an interval earlier, likewise.
pub fn sub_from_time(time: Time, interval: Interval) -> Time {
    let sum = i128::from(time.micros()) - i128::from(interval.micros);
    Time::from_micros(sum.rem_euclid(DAY_MICROS.into()) as i64).unwrap_or(Time::MIDNIGHT)
}

/// A double without its fraction, as long as it is small; beyond 2^52 there is none.
fn whole_of(value: f64) -> f64 {
    if value.abs() < 4_503_599_627_370_496.0 { (value as i64) as f64 } else { value }
}

/// The double nearest to a number of microseconds of a second, as seconds.
fn to_micro(seconds: f64) -> f64 {
    crate::cast::double_to_i64(seconds * 1e6).map_or(seconds, |micros| micros as f64 / 1e6)
}

fn to_i32(value: f64) -> Result<i32, Error> {
    let fits = (-2_147_483_648.0..2_147_483_648.0).contains(&value);
    if fits { Ok(value as i32) } else { Err(interval_overflow()) }
}

/// The interval `factor` times; what is left of months becomes days, what is left of days a time.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn multiply(interval: Interval, factor: f64) -> Result<Interval, Error> {
    scale(interval, |part| part * factor)
}

/// The interval divided.
///
/// # Errors
/// [`Error::DivisionByZero`], [`Error::DatetimeOverflow`].
pub fn divide(interval: Interval, divisor: f64) -> Result<Interval, Error> {
    if divisor == 0.0 {
        return Err(Error::DivisionByZero);
    }
    scale(interval, |part| part / divisor)
}

fn scale(interval: Interval, part: impl Fn(f64) -> f64) -> Result<Interval, Error> {
    const DAY_SECONDS: f64 = 86_400.0;
    let (months, days) = (part(interval.months.into()), part(interval.days.into()));
    let (whole_months, whole_days) = (to_i32(whole_of(months))?, to_i32(whole_of(days))?);
    let month_days = to_micro((months - f64::from(whole_months)) * 30.0);
    let from_months = whole_of(month_days);
    let mut seconds = to_micro((days - f64::from(whole_days) + month_days - from_months) * DAY_SECONDS);
    let mut days = to_i32(f64::from(whole_days) + from_months)?;
    // Rounding may have made a whole day of it.
    if seconds.abs() >= DAY_SECONDS {
        days = days.checked_add((seconds / DAY_SECONDS) as i32).ok_or_else(interval_overflow)?;
        seconds -= whole_of(seconds / DAY_SECONDS) * DAY_SECONDS;
    }
    let micros = part(interval.micros as f64) + seconds * 1e6;
    let micros = crate::cast::double_to_i64(micros).ok_or_else(interval_overflow)?;
    Ok(Interval { months: whole_months, days, micros })
}

/// Years, months, days and a time from `b` to `a`, as they are counted on a calendar.
///
/// # Errors
/// [`Error::DatetimeOverflow`] where one of them is infinite.
pub fn age(a: Timestamp, b: Timestamp) -> Result<Interval, Error> {
    if a.is_infinite() || b.is_infinite() {
        return Err(Error::datetime(Type::Timestamp, &[], "cannot subtract infinite timestamps"));
    }
    let is_negative = a < b;
    let (late, early) = if is_negative { (b, a) } else { (a, b) };
    let ((y1, m1, d1), (y2, m2, d2)) = (late.date().ymd(), early.date().ymd());
    let mut months = (i64::from(y1) - i64::from(y2)) * 12 + i64::from(m1) - i64::from(m2);
    let mut days = i64::from(d1) - i64::from(d2);
    let mut micros = late.time().micros() - early.time().micros();
    if micros < 0 {
        micros += DAY_MICROS;
        days -= 1;
    }
    while days < 0 {
        // The days of the month that the earlier one lies in.
        days += i64::from(crate::date::days_in_month(y2, m2));
        months -= 1;
    }
    let sign = |value: i64| if is_negative { -value } else { value };
    let part = |value: i64| i32::try_from(sign(value)).map_err(|_| interval_overflow());
    Ok(Interval { months: part(months)?, days: part(days)?, micros: sign(micros) })
}

/// Moves whole units of one part into the next greater one, both then with the same sign.
fn carry(low: i128, high: i64, unit: i128) -> (i128, i64) {
    let (mut low, mut high) = (low % unit, high + (low / unit) as i64);
    if high > 0 && low < 0 {
        low += unit;
        high -= 1;
    } else if high < 0 && low > 0 {
        low -= unit;
        high += 1;
    }
    (low, high)
}

/// 30 days become a month.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn justify_days(interval: Interval) -> Result<Interval, Error> {
    let (days, months) = carry(interval.days.into(), interval.months.into(), 30);
    parts(months, days as i64, interval.micros)
}

/// 24 hours become a day.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn justify_hours(interval: Interval) -> Result<Interval, Error> {
    let (micros, days) = carry(interval.micros.into(), interval.days.into(), DAY_MICROS.into());
    parts(interval.months.into(), days, micros as i64)
}

/// Both, with one sign for all parts.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn justify_interval(interval: Interval) -> Result<Interval, Error> {
    const MONTH_MICROS: i128 = 30 * DAY_MICROS as i128;
    let rest = i128::from(interval.days) * i128::from(DAY_MICROS) + i128::from(interval.micros);
    let (rest, months) = carry(rest, interval.months.into(), MONTH_MICROS);
    let days = rest / i128::from(DAY_MICROS);
    parts(months, days as i64, (rest % i128::from(DAY_MICROS)) as i64)
}

fn parts(months: i64, days: i64, micros: i64) -> Result<Interval, Error> {
    match (i32::try_from(months), i32::try_from(days)) {
        (Ok(months), Ok(days)) => Ok(Interval { months, days, micros }),
        _ => Err(interval_overflow()),
    }
}

/// A part of a moment or an interval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names are those of SQL")]
pub enum Field {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Julian,
    Epoch,
    /// Seconds east of UTC.
    Timezone,
    TimezoneHour,
    TimezoneMinute,
}

impl Field {
    /// The field that `extract(name from …)` and `date_trunc('name', …)` mean.
    pub fn parse(name: &str) -> Option<Field> {
        const NAMES: [(Field, &[&str]); 22] = [
            (
                Field::Microsecond,
                &["microsecond", "microseconds", "us", "usec", "usecs", "microsecon", "usecond", "useconds"],
            ),
            (
                Field::Millisecond,
                &["millisecond", "milliseconds", "ms", "msec", "msecs", "millisecon", "msecond", "mseconds"],
            ),
            (Field::Second, &["second", "seconds", "sec", "secs", "s"]),
            (Field::Minute, &["minute", "minutes", "min", "mins", "m"]),
            (Field::Hour, &["hour", "hours", "hr", "hrs", "h"]),
            (Field::Day, &["day", "days", "d"]),
            (Field::Week, &["week", "weeks", "w"]),
            (Field::Month, &["month", "months", "mon", "mons"]),
            (Field::Quarter, &["quarter", "qtr"]),
            (Field::Year, &["year", "years", "yr", "yrs", "y"]),
            (Field::Decade, &["decade", "decades", "dec", "decs"]),
            (Field::Century, &["century", "centuries", "cent", "c"]),
            (Field::Millennium, &["millennium", "millennia", "mil", "mils"]),
            (Field::DayOfWeek, &["dow"]),
            (Field::IsoDayOfWeek, &["isodow"]),
            (Field::DayOfYear, &["doy"]),
            (Field::IsoYear, &["isoyear"]),
            (Field::Julian, &["julian", "j", "jd"]),
            (Field::Epoch, &["epoch"]),
            (Field::Timezone, &["timezone"]),
            (Field::TimezoneHour, &["timezone_hour", "timezone_h"]),
            (Field::TimezoneMinute, &["timezone_minute", "timezone_m"]),
        ];
        let found =
            NAMES.iter().find(|(_, names)| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
        found.map(|(field, _)| *field)
    }
}

/// A field as an exact number: its digits, and how many of them stand behind the point.
type Exact = (i128, u8);

/// A field of a date, time, timestamp or interval, as `extract` gives it: exact. A timestamp with time zone is counted in UTC
/// and has its fields in the local time `offset_seconds` east of it. `None` where PostgreSQL has no such field of the type
/// (0A000), NULL for fields of infinite moments that are neither growing nor falling.
///
/// # Errors
/// [`Error::NumericOverflow`], which no field of a valid moment has.
pub fn extract(value: Value<'_>, field: Field, offset_seconds: i32) -> Result<Option<Value<'_>>, Error> {
    let exact = match value {
        Value::Null => return Ok(Some(Value::Null)),
        Value::Date(date) if date.is_infinite() => return Ok(None),
        Value::Date(date) => of_date(date, field).map(|value| (value.into(), 0)),
        Value::Time(time) => of_clock(time.micros(), field),
        Value::Timestamp(moment) | Value::TimestampTz(moment) if moment.is_infinite() => return Ok(None),
        Value::Timestamp(moment) => of_moment(moment, field, None)?,
        Value::TimestampTz(moment) => of_moment(moment, field, Some(offset_seconds))?,
        Value::Interval(interval) => of_interval(interval, field),
        _ => None,
    };
    exact.map(|(digits, scale)| Decimal::new(digits, scale).map(Value::Decimal)).transpose()
}

/// A field as `date_part` gives it: the double nearest to it.
///
/// # Errors
/// Those of [`extract`].
pub fn date_part(value: Value<'_>, field: Field, offset_seconds: i32) -> Result<Option<Value<'_>>, Error> {
    Ok(extract(value, field, offset_seconds)?.map(|value| value.to_f64().map_or(Value::Null, Value::Double)))
}

fn of_moment(moment: Timestamp, field: Field, offset: Option<i32>) -> Result<Option<Exact>, Error> {
    let whole = |value: i64| Some((i128::from(value), 0));
    Ok(match (field, offset) {
        (Field::Epoch, _) => {
            Some((i128::from(moment.micros()) - i128::from(Timestamp::UNIX_EPOCH.micros()), 6))
        }
        (Field::Timezone, Some(offset)) => whole(offset.into()),
        (Field::TimezoneHour, Some(offset)) => whole((offset / 3600).into()),
        (Field::TimezoneMinute, Some(offset)) => whole((offset / 60 % 60).into()),
        _ => {
            let local = moment.add_micros(i64::from(offset.unwrap_or(0)) * SECOND_MICROS)?;
            if field == Field::Julian {
                // Days and a fraction, with as many digits as numeric division gives.
                let days = Decimal::from(of_date(local.date(), Field::Julian).unwrap_or(0));
                let part = Decimal::from(local.time().micros()).checked_div(Decimal::from(DAY_MICROS))?;
                let sum = days.checked_add(part)?;
                return Ok(Some((sum.unscaled(), sum.scale())));
            }
            let clock = of_clock(local.time().micros(), field);
            clock.or_else(|| of_date(local.date(), field).map(|value| (value.into(), 0)))
        }
    })
}

/// Fields of a time of day; `Epoch` counts from midnight.
fn of_clock(micros: i64, field: Field) -> Option<Exact> {
    let minute_rest = micros % MINUTE_MICROS;
    let (value, scale) = match field {
        Field::Microsecond => (minute_rest, 0),
        Field::Millisecond => (minute_rest, 3),
        Field::Second => (minute_rest, 6),
        Field::Minute => (micros / MINUTE_MICROS % 60, 0),
        Field::Hour => (micros / HOUR_MICROS, 0),
        Field::Epoch => (micros, 6),
        _ => return None,
    };
    Some((value.into(), scale))
}

fn of_interval(interval: Interval, field: Field) -> Option<Exact> {
    let (years, months) = (interval.months / 12, interval.months % 12);
    let whole = |value: i32| Some((i128::from(value), 0));
    match field {
        Field::Day => whole(interval.days),
        Field::Month => whole(months),
        Field::Quarter => whole(months / 3 + 1),
        Field::Year => whole(years),
        Field::Decade => whole(years / 10),
        Field::Century => whole(years / 100),
        Field::Millennium => whole(years / 1000),
        Field::Epoch => {
            // A year has 365.25 days here, and a month 30.
            const YEAR_MICROS: i128 = 36_525 * DAY_MICROS as i128 / 100;
            let days = i128::from(months) * 30 + i128::from(interval.days);
            let micros = i128::from(years) * YEAR_MICROS + days * i128::from(DAY_MICROS);
            Some((micros + i128::from(interval.micros), 6))
        }
        field => of_clock(interval.micros, field),
    }
}

/// Fields of a day.
fn of_date(date: Date, field: Field) -> Option<i64> {
    let (year, month, day) = date.ymd();
    let counted = i64::from(year);
    let shown = i64::from(date.year());
    // The first century is 1 to 100, and the one before it has the number -1.
    let nth =
        |years: i64| if counted > 0 { (counted + years - 1) / years } else { -((years - counted) / years) };
    Some(match field {
        Field::Day => day.into(),
        Field::Month => month.into(),
        Field::Quarter => i64::from((month - 1) / 3 + 1),
        Field::Year => shown,
        Field::Decade => counted.div_euclid(10),
        Field::Century => nth(100),
        Field::Millennium => nth(1000),
        Field::DayOfWeek => date.day_of_week().into(),
        Field::IsoDayOfWeek => iso_day(date),
        Field::DayOfYear => date.day_of_year().into(),
        Field::Week => {
            iso_thursday(date).map_or(1, |thursday| i64::from((thursday.day_of_year() - 1) / 7 + 1))
        }
        Field::IsoYear => iso_thursday(date).map_or(shown, |thursday| thursday.year().into()),
        Field::Julian => i64::from(date.days()) + 2_440_588,
        Field::Epoch => i64::from(date.days()) * 86_400,
        _ => return None,
    })
}

fn iso_day(date: Date) -> i64 {
    match date.day_of_week() {
        0 => 7,
        day => i64::from(day),
    }
}

/// The Thursday of the date's week, which decides the week's year.
fn iso_thursday(date: Date) -> Option<Date> {
    Date::from_days(i64::from(date.days()) + 4 - iso_day(date)).ok()
}

/// The start of the unit that a moment lies in; `None` for fields that are no unit.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn truncate(moment: Timestamp, unit: Field) -> Result<Option<Timestamp>, Error> {
    if moment.is_infinite() {
        return Ok(Some(moment));
    }
    let date = moment.date();
    let (year, month, _) = date.ymd();
    // The first year of a decade ends in 0, of a century and a millennium in 1.
    let first_of = |years: i32| (year - 1).div_euclid(years) * years + 1;
    let day = match unit {
        Field::Microsecond => return Ok(Some(moment)),
        Field::Millisecond | Field::Second | Field::Minute | Field::Hour => {
            let size = match unit {
                Field::Millisecond => 1000,
                Field::Second => SECOND_MICROS,
                Field::Minute => MINUTE_MICROS,
                _ => HOUR_MICROS,
            };
            return moment.add_micros(-moment.micros().rem_euclid(size)).map(Some);
        }
        Field::Day => date,
        Field::Week => Date::from_days(i64::from(date.days()) - iso_day(date) + 1)?,
        Field::Month => Date::from_ymd(year, month, 1)?,
        Field::Quarter => Date::from_ymd(year, (month - 1) / 3 * 3 + 1, 1)?,
        Field::Year => Date::from_ymd(year, 1, 1)?,
        Field::Decade => Date::from_ymd(year.div_euclid(10) * 10, 1, 1)?,
        Field::Century => Date::from_ymd(first_of(100), 1, 1)?,
        Field::Millennium => Date::from_ymd(first_of(1000), 1, 1)?,
        _ => return Ok(None),
    };
    Timestamp::from_parts(day, Time::MIDNIGHT).map(Some)
}

/// An interval without what is less than a unit; `None` for fields that are no unit of intervals.
pub fn truncate_interval(interval: Interval, unit: Field) -> Option<Interval> {
    let months =
        |size: i32| Interval { months: interval.months - interval.months % size, days: 0, micros: 0 };
    let micros = |size: i64| Interval { micros: interval.micros - interval.micros % size, ..interval };
    Some(match unit {
        Field::Microsecond => interval,
        Field::Millisecond => micros(1000),
        Field::Second => micros(SECOND_MICROS),
        Field::Minute => micros(MINUTE_MICROS),
        Field::Hour => micros(HOUR_MICROS),
        Field::Day => Interval { micros: 0, ..interval },
        Field::Month => months(1),
        Field::Quarter => months(3),
        Field::Year => months(12),
        Field::Decade => months(120),
        Field::Century => months(1200),
        Field::Millennium => months(12_000),
        _ => return None,
    })
}

/// The start of the stretch that a moment lies in, where all are `stride` long and one begins at `origin`.
///
/// # Errors
/// [`Error::NotSupported`] for a stride of months; [`Error::DatetimeOverflow`] for one that is not positive, and outside of the
/// range.
pub fn bin(stride: Interval, moment: Timestamp, origin: Timestamp) -> Result<Timestamp, Error> {
    let fault = |reason| Error::datetime(Type::Timestamp, &[], reason);
    if moment.is_infinite() {
        return Ok(moment);
    }
    if origin.is_infinite() {
        return Err(fault("origin out of range"));
    }
    if stride.months != 0 {
        let what = "timestamps cannot be binned into intervals containing months or years";
        return Err(Error::NotSupported { what });
    }
    let stride = i128::from(stride.days) * i128::from(DAY_MICROS) + i128::from(stride.micros);
    if stride <= 0 {
        return Err(fault("stride must be greater than zero"));
    }
    let rest = (i128::from(moment.micros()) - i128::from(origin.micros())).rem_euclid(stride);
    moment.add_micros(-i64::try_from(rest).map_err(|_| interval_overflow())?)
}

/// A day; years before 1 count from -1.
///
/// # Errors
/// [`Error::DatetimeOverflow`] when there is no such day.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<Date, Error> {
    let part = |value: i32| u32::try_from(value).unwrap_or(u32::MAX);
    match year {
        0 => Err(Error::datetime(Type::Date, &[], "there is no year 0")),
        1.. => Date::from_ymd(year, part(month), part(day)),
        _ => Date::from_ymd(year.saturating_add(1), part(month), part(day)),
    }
}

/// A time of day.
///
/// # Errors
/// [`Error::DatetimeOverflow`] when there is no such time.
pub fn make_time(hour: i32, minute: i32, seconds: f64) -> Result<Time, Error> {
    let fault = Error::datetime(Type::Time, &[], "times run from 00:00:00 to 24:00:00");
    if !(0..=24).contains(&hour) || !(0..60).contains(&minute) || !(0.0..=60.0).contains(&seconds) {
        return Err(fault);
    }
    let micros = crate::cast::double_to_i64(seconds * 1e6).ok_or(fault)?;
    Time::from_micros(i64::from(hour) * HOUR_MICROS + i64::from(minute) * MINUTE_MICROS + micros)
}

/// A day and a time of it.
///
/// # Errors
/// Those of [`make_date`] and [`make_time`].
pub fn make_timestamp(
    (year, month, day): (i32, i32, i32),
    (hour, minute, seconds): (i32, i32, f64),
) -> Result<Timestamp, Error> {
    Timestamp::from_parts(make_date(year, month, day)?, make_time(hour, minute, seconds)?)
}

/// An interval of years, months, weeks, days, hours, minutes and seconds.
///
/// # Errors
/// [`Error::DatetimeOverflow`].
pub fn make_interval(
    [years, months, weeks, days, hours, minutes]: [i32; 6],
    seconds: f64,
) -> Result<Interval, Error> {
    let micros = crate::cast::double_to_i64(seconds * 1e6).ok_or_else(interval_overflow)?;
    let clock = i64::from(hours) * HOUR_MICROS + i64::from(minutes) * MINUTE_MICROS;
    parts(
        i64::from(years) * 12 + i64::from(months),
        i64::from(weeks) * 7 + i64::from(days),
        clock.checked_add(micros).ok_or_else(interval_overflow)?,
    )
}

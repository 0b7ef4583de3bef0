//! Casts over columns, and fields of dates.

use cofferdam_plan::expr::DateField;
use cofferdam_types::{Date, Decimal, Type, unscaled};

use super::arithmetic::out_of_range;
use super::kernel::{map1, try1};
use super::run::Outcome;
use crate::batch::{Data, Element, Kind, Rows, Source, Vector};

/// Whether the cast has a loop of its own; the others go value by value.
pub(super) const fn has_loop(from: Type, to: Type) -> bool {
    matches!(
        (from, to),
        (Type::Integer, Type::BigInt)
            | (Type::SmallInt, Type::Integer | Type::BigInt)
            | (
                Type::SmallInt | Type::Integer | Type::BigInt | Type::Real | Type::Decimal { .. },
                Type::Double
            )
            | (Type::SmallInt | Type::Integer | Type::BigInt | Type::Decimal { .. }, Type::Decimal { .. })
    )
}

/// `dst` = `a` as a value of type `to`, by one of the casts that have a loop; the validity of `dst` is set.
pub(super) fn cast(from: Type, to: Type, a: &Vector<'_>, rows: Rows<'_>, dst: &mut Vector<'_>) -> Outcome {
    match (from, to) {
        (Type::SmallInt, Type::Integer) => {
            map1(rows, a.values::<i32>(), i32::write(&mut dst.data), |v| v);
            Ok(())
        }
        (Type::Real, Type::Double) => {
            map1(rows, a.values::<f64>(), f64::write(&mut dst.data), |v| v);
            Ok(())
        }
        (Type::SmallInt | Type::Integer, Type::BigInt) => {
            map1(rows, a.values::<i32>(), i64::write(&mut dst.data), i64::from);
            Ok(())
        }
        (Type::SmallInt | Type::Integer, Type::Double) => {
            map1(rows, a.values::<i32>(), f64::write(&mut dst.data), f64::from);
            Ok(())
        }
        (Type::BigInt, Type::Double) => {
            map1(rows, a.values::<i64>(), f64::write(&mut dst.data), |v| v as f64);
            Ok(())
        }
        (Type::Decimal { scale, .. }, Type::Double) => {
            let out = f64::write(&mut dst.data);
            match &a.data {
                Data::I64(_) => map1(rows, a.values::<i64>(), out, |v| to_double(v.into(), scale)),
                _ => map1(rows, a.values::<i128>(), out, |v| to_double(v, scale)),
            }
            Ok(())
        }
        (Type::SmallInt | Type::Integer | Type::BigInt | Type::Decimal { .. }, Type::Decimal { .. }) => {
            to_decimal(from, to, a, rows, dst)
        }
        _ => unreachable!("a call casts from {from} to {to}"),
    }
}

/// The nearest double; any for what is no decimal, which rows that are NULL may hold.
#[inline(always)]
fn to_double(value: i128, scale: u8) -> f64 {
    match i64::try_from(value) {
        // Both operands are exact, so the division rounds once.
        Ok(short) if short.unsigned_abs() < 1 << 53 && scale <= 18 => {
            short as f64 / unscaled::POW10[usize::from(scale)] as i64 as f64
        }
        _ => Decimal::new(value, scale).map_or(0.0, Decimal::to_f64),
    }
}

fn to_decimal(from: Type, to: Type, a: &Vector<'_>, rows: Rows<'_>, dst: &mut Vector<'_>) -> Outcome {
    let Type::Decimal { precision, scale } = to else { unreachable!("called for decimals") };
    let old_scale = match from {
        Type::Decimal { scale, .. } => scale,
        _ => 0,
    };
    let wide =
        |v: i128| unscaled::rescale_i128(v, old_scale, scale).filter(|&v| unscaled::fits(v, precision));
    let short = |v: i128| wide(v).map(|v| v as i64);
    let done = match (&a.data, dst.kind()) {
        (Data::I32(_), Kind::I64) => try1(rows, a.values(), dst, |v: i32| short(i128::from(v))),
        (Data::I32(_), _) => try1(rows, a.values(), dst, |v: i32| wide(i128::from(v))),
        (Data::I64(_), Kind::I64) => try1(rows, a.values(), dst, |v: i64| short(i128::from(v))),
        (Data::I64(_), _) => try1(rows, a.values(), dst, |v: i64| wide(i128::from(v))),
        (_, Kind::I64) => try1(rows, a.values(), dst, short),
        _ => try1(rows, a.values(), dst, wide),
    };
    done.map_err(|_| out_of_range(to))
}

/// `dst` = a field of the date `a`, as a decimal of type `to` or a double; the validity of `dst` is set. Of an infinite date, fields
/// that grow are infinite, which no number is here, and the others are NULL.
pub(super) fn extract(
    field: DateField,
    to: Type,
    a: &Vector<'_>,
    rows: Rows<'_>,
    dst: &mut Vector<'_>,
) -> Outcome {
    let days: Source<'_, i32> = a.values();
    let is_endless = |row| Date::from_days(i64::from(days.get(row))).is_ok_and(Date::is_infinite);
    let mut is_any_endless = false;
    rows.for_each(|row| is_any_endless |= a.is_valid(row) && is_endless(row));
    if is_any_endless {
        let grows = matches!(
            field,
            DateField::Century | DateField::Decade | DateField::Epoch | DateField::IsoYear | DateField::Year
        );
        if grows {
            return Err(out_of_range(Type::Numeric));
        }
        dst.spell_out_validity(dst.valid.len());
        rows.for_each(|row| dst.valid[row] &= !is_endless(row));
    }
    // A row that is NULL may hold any number of days.
    let value = |days: i32| Date::from_days(i64::from(days)).map_or(0, |date| date_field(date, field));
    let power = match to {
        Type::Decimal { scale, .. } => unscaled::POW10[usize::from(scale)],
        _ => 1,
    };
    match &mut dst.data {
        Data::I32(out) => map1(rows, days, out, |d| value(d) as i32),
        Data::I64(out) => map1(rows, days, out, |d| value(d) * power as i64),
        Data::I128(out) => map1(rows, days, out, |d| i128::from(value(d)) * power),
        Data::F64(out) => map1(rows, days, out, |d| value(d) as f64),
        Data::Bool(_) | Data::Text(_) => unreachable!("a field of a date is a number"),
    }
    Ok(())
}

fn date_field(date: Date, field: DateField) -> i64 {
    let year = i64::from(date.year());
    // The year before 1 is -1 as a field and 0 for counting.
    let counted = if year < 0 { year + 1 } else { year };
    match field {
        // The first century is 1 to 100, and the one before it 0 to -99.
        DateField::Century if counted > 0 => (counted + 99) / 100,
        DateField::Century => -((99 - (counted - 1)) / 100),
        DateField::Day => i64::from(date.day()),
        DateField::Decade => counted.div_euclid(10),
        DateField::DayOfWeek => i64::from(date.day_of_week()),
        DateField::DayOfYear => i64::from(date.day_of_year()),
        DateField::Epoch => i64::from(date.days()) * 86_400,
        DateField::IsoDayOfWeek => iso_day(date),
        DateField::IsoYear => i64::from(iso_thursday(date).map_or(date.year(), Date::year)),
        DateField::Month => i64::from(date.month()),
        DateField::Quarter => i64::from((date.month() - 1) / 3 + 1),
        DateField::Week => {
            iso_thursday(date).map_or(1, |thursday| i64::from((thursday.day_of_year() - 1) / 7 + 1))
        }
        DateField::Year => year,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: the fields that PostgreSQL gives for dates around the turn of years.
    #[test]
    fn fields_at_the_turn_of_a_year() {
        let cases = [
            ("2021-01-03", DateField::Week, 53),
            ("2021-01-03", DateField::IsoYear, 2020),
            ("2021-01-04", DateField::Week, 1),
            ("2024-12-30", DateField::Week, 1),
            ("2024-12-30", DateField::IsoYear, 2025),
            ("2000-12-31", DateField::Century, 20),
            ("2001-01-01", DateField::Century, 21),
            ("1999-06-30", DateField::Quarter, 2),
            ("1970-01-02", DateField::Epoch, 86_400),
            ("2021-01-03", DateField::DayOfWeek, 0),
            ("2021-01-03", DateField::IsoDayOfWeek, 7),
            ("2020-12-31", DateField::DayOfYear, 366),
            ("1994-03-15", DateField::Decade, 199),
            ("0009-01-01", DateField::Decade, 0),
            ("0001-01-01 BC", DateField::Decade, 0),
            ("0002-01-01 BC", DateField::Decade, -1),
            ("0011-01-01 BC", DateField::Decade, -1),
            ("0012-01-01 BC", DateField::Decade, -2),
            ("0001-01-01", DateField::Century, 1),
            ("0001-12-31 BC", DateField::Century, -1),
            ("0100-01-01 BC", DateField::Century, -1),
            ("0101-01-01 BC", DateField::Century, -2),
            ("0001-01-01 BC", DateField::Year, -1),
        ];
        for (text, field, expected) in cases {
            let date = Date::parse(text.as_bytes()).unwrap();
            assert_eq!(date_field(date, field), expected, "{field:?} of {text}");
        }
    }
}

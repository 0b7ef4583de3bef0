//! SQL types, their names, and the rules that give an expression its type.
//!
//! **Numeric results.** Precision is capped at 38 digits, and the scale decides what is kept:
//!
//! | operation | scale | digits before the point |
//! |---|---|---|
//! | `+` `-` | max(s1, s2) | max + 1 |
//! | `*` | s1 + s2 | sum |
//! | `*` beyond 38 digits | min(s1 + s2, max(38 - digits before the point, s1, s2, 16)) | the rest of 38 |
//! | `/` | max(s1, s2, 16) | the rest of 38 |
//! | `%` | max(s1, s2) | min |
//! | `sum` | s | the rest of 38 |
//! | `avg` | max(s, 16) | the rest of 38 |
//!
//! Addition, and multiplication up to scale 16, are therefore exact; a result that needs more than 38 digits is an
//! error at run time, never a wrapped number. PostgreSQL picks the scale of a quotient per value, by its size; a column
//! here has one scale, so quotients are kept with at least 16 digits behind the point.

use core::fmt;

use crate::{Error, Excerpt};

/// The type of a value, a column or an expression.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// True or false.
    Boolean,
    /// 16 bits.
    SmallInt,
    /// 32 bits.
    Integer,
    /// 64 bits.
    BigInt,
    /// Exact numbers of at most 38 digits that all have one scale: `numeric(precision, scale)`, kept as integers.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// Exact numbers of at most 38 digits, each with a scale of its own: `numeric` without modifiers.
    Numeric,
    /// An IEEE 754 number of 32 bits.
    Real,
    /// An IEEE 754 number of 64 bits.
    Double,
    /// UTF-8, ordered by bytes: `text` and `character varying`.
    Text,
    /// UTF-8 padded with blanks, which do not count in comparisons: `character`.
    Char,
    /// Bytes.
    Bytea,
    /// A day of the proleptic Gregorian calendar.
    Date,
    /// A time of day.
    Time,
    /// A day and a time.
    Timestamp,
    /// An instant; shown in some time zone.
    TimestampTz,
    /// Months, days and microseconds.
    Interval,
    /// 128 bits that name something.
    Uuid,
    /// JSON as it was written.
    Json,
    /// JSON in its normal form.
    Jsonb,
    /// A list of values of one type.
    Array(Element),
    /// A NULL or a quoted literal whose type is still open.
    Unknown,
}

const _: () = assert!(size_of::<Type>() <= 4);

/// The type of an array's elements: any type but an array and [`Type::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Element {
    code: u8,
    precision: u8,
    scale: u8,
}

/// The types of elements by their codes, with the names of their arrays. Of decimals the digits stand beside the code.
const ELEMENTS: [(Type, &str); 19] = [
    (Type::Boolean, "boolean[]"),
    (Type::SmallInt, "smallint[]"),
    (Type::Integer, "integer[]"),
    (Type::BigInt, "bigint[]"),
    (Type::Decimal { precision: 1, scale: 0 }, "numeric[]"),
    (Type::Numeric, "numeric[]"),
    (Type::Real, "real[]"),
    (Type::Double, "double precision[]"),
    (Type::Text, "text[]"),
    (Type::Char, "character[]"),
    (Type::Bytea, "bytea[]"),
    (Type::Date, "date[]"),
    (Type::Time, "time without time zone[]"),
    (Type::Timestamp, "timestamp without time zone[]"),
    (Type::TimestampTz, "timestamp with time zone[]"),
    (Type::Interval, "interval[]"),
    (Type::Uuid, "uuid[]"),
    (Type::Json, "json[]"),
    (Type::Jsonb, "jsonb[]"),
];

impl Element {
    /// The element type of arrays of `ty`; `None` for arrays and [`Type::Unknown`].
    pub const fn of(ty: Type) -> Option<Element> {
        let code = match ty {
            Type::Boolean => 0,
            Type::SmallInt => 1,
            Type::Integer => 2,
            Type::BigInt => 3,
            Type::Decimal { precision, scale } => return Some(Element { code: 4, precision, scale }),
            Type::Numeric => 5,
            Type::Real => 6,
            Type::Double => 7,
            Type::Text => 8,
            Type::Char => 9,
            Type::Bytea => 10,
            Type::Date => 11,
            Type::Time => 12,
            Type::Timestamp => 13,
            Type::TimestampTz => 14,
            Type::Interval => 15,
            Type::Uuid => 16,
            Type::Json => 17,
            Type::Jsonb => 18,
            Type::Array(_) | Type::Unknown => return None,
        };
        Some(Element { code, precision: 0, scale: 0 })
    }

    /// The type that it stands for.
    pub fn ty(self) -> Type {
        match self.entry().0 {
            Type::Decimal { .. } => Type::Decimal { precision: self.precision, scale: self.scale },
            ty => ty,
        }
    }

    /// The name of the array type.
    fn array_name(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (Type, &'static str) {
        ELEMENTS.get(usize::from(self.code)).copied().expect("codes are made from types only")
    }
}

/// The operators of arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// What an arithmetic operator takes and gives: operands are cast to `left` and `right` first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arithmetic {
    /// The type that the left operand must have.
    pub left: Type,
    /// The type that the right operand must have.
    pub right: Type,
    /// The type of the result.
    pub result: Type,
}

/// The aggregate functions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aggregate {
    /// The number of rows, or of values that are not NULL.
    Count,
    /// The sum of the values.
    Sum,
    /// The mean of the values.
    Avg,
    /// The least value.
    Min,
    /// The greatest value.
    Max,
}

impl ArithmeticOp {
    /// The operator as it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            ArithmeticOp::Add => "+",
            ArithmeticOp::Sub => "-",
            ArithmeticOp::Mul => "*",
            ArithmeticOp::Div => "/",
            ArithmeticOp::Rem => "%",
        }
    }
}

impl Aggregate {
    /// The function's name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Avg => "avg",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
        }
    }
}

impl Type {
    /// The most digits that a decimal holds.
    pub const DECIMAL_DIGITS_MAX: u8 = 38;
    /// The least scale of quotients and averages.
    pub const DIVISION_SCALE_MIN: u8 = 16;
    /// The most digits behind the point of seconds.
    pub const SECONDS_DIGITS_MAX: u8 = 6;

    const SMALLINT_DIGITS: u8 = 5;
    const INTEGER_DIGITS: u8 = 10;
    const BIGINT_DIGITS: u8 = 19;

    /// The type that `text` names, with its modifiers: `integer`, `numeric(15,2)`, `double precision`.
    ///
    /// # Errors
    /// [`Error::UnknownType`] for a name that is none, [`Error::InvalidModifier`] for numbers that are not allowed.
    pub fn parse(text: &str) -> Result<Type, Error> {
        let unknown = || Error::UnknownType { name: Excerpt::new(text.as_bytes()) };
        let Some((name, rest)) = text.split_once('(') else { return Type::from_name(text, &[]) };
        let list = rest.trim_ascii_end().strip_suffix(')').ok_or_else(unknown)?;
        let mut modifiers = [0; 3];
        let mut count = 0;
        for item in list.split(',') {
            let slot = modifiers.get_mut(count).ok_or_else(unknown)?;
            *slot = item.trim_ascii().parse().map_err(|_| unknown())?;
            count += 1;
        }
        Type::from_name(name, modifiers.get(..count).unwrap_or(&[]))
    }

    /// The type called `name`, words separated by white space in any case, with the numbers in brackets behind it.
    ///
    /// The lengths of `character(n)` and `varchar(n)` and the digits of seconds are checked and are no part of the type.
    ///
    /// # Errors
    /// [`Error::UnknownType`] for a name that is none, [`Error::InvalidModifier`] for numbers that are not allowed.
    pub fn from_name(name: &str, modifiers: &[u32]) -> Result<Type, Error> {
        const NAMES: [(&str, Type); 41] = [
            ("boolean", Type::Boolean),
            ("bool", Type::Boolean),
            ("integer", Type::Integer),
            ("int", Type::Integer),
            ("int4", Type::Integer),
            ("smallint", Type::SmallInt),
            ("int2", Type::SmallInt),
            ("bigint", Type::BigInt),
            ("int8", Type::BigInt),
            ("numeric", Type::Numeric),
            ("decimal", Type::Numeric),
            ("dec", Type::Numeric),
            ("double precision", Type::Double),
            ("double", Type::Double),
            ("float8", Type::Double),
            ("float", Type::Double),
            ("real", Type::Real),
            ("float4", Type::Real),
            ("text", Type::Text),
            ("varchar", Type::Text),
            ("character varying", Type::Text),
            ("char varying", Type::Text),
            ("name", Type::Text),
            ("char", Type::Char),
            ("character", Type::Char),
            ("bpchar", Type::Char),
            ("bytea", Type::Bytea),
            ("date", Type::Date),
            ("time", Type::Time),
            ("time without time zone", Type::Time),
            ("timestamp", Type::Timestamp),
            ("timestamp without time zone", Type::Timestamp),
            ("timestamptz", Type::TimestampTz),
            ("timestamp with time zone", Type::TimestampTz),
            ("interval", Type::Interval),
            ("uuid", Type::Uuid),
            ("json", Type::Json),
            ("jsonb", Type::Jsonb),
            ("nchar", Type::Char),
            ("national character", Type::Char),
            ("national character varying", Type::Text),
        ];
        let found = NAMES.iter().find(|(known, _)| same_words(name, known));
        let &(known, ty) = found.ok_or(Error::UnknownType { name: Excerpt::new(name.as_bytes()) })?;
        match ty {
            Type::Numeric => decimal_of(known, modifiers),
            Type::Text if matches!(known, "text" | "name") => match modifiers {
                [] => Ok(ty),
                [given, ..] => Err(modifier(known, *given, "no such modifier")),
            },
            Type::Text | Type::Char => text_of(known, ty, modifiers),
            _ => match modifiers {
                [] => Ok(ty),
                // float(n) counts bits.
                [1..=24] if known == "float" => Ok(Type::Real),
                [25..=53] if known == "float" => Ok(Type::Double),
                [0..=6] if has_seconds(ty) => Ok(ty),
                [given] if has_seconds(ty) => {
                    Err(modifier(known, *given, "digits of seconds must be between 0 and 6"))
                }
                [given, ..] => Err(modifier(known, *given, "no such modifier")),
            },
        }
    }

    /// The name without modifiers, as PostgreSQL prints it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Boolean => "boolean",
            Type::SmallInt => "smallint",
            Type::Integer => "integer",
            Type::BigInt => "bigint",
            Type::Decimal { .. } | Type::Numeric => "numeric",
            Type::Real => "real",
            Type::Double => "double precision",
            Type::Text => "text",
            Type::Char => "character",
            Type::Bytea => "bytea",
            Type::Date => "date",
            Type::Time => "time without time zone",
            Type::Timestamp => "timestamp without time zone",
            Type::TimestampTz => "timestamp with time zone",
            Type::Interval => "interval",
            Type::Uuid => "uuid",
            Type::Json => "json",
            Type::Jsonb => "jsonb",
            Type::Array(element) => element.array_name(),
            Type::Unknown => "unknown",
        }
    }

    /// The type of an array of such values; `None` where there is none.
    pub fn array(self) -> Option<Type> {
        Element::of(self).map(Type::Array)
    }

    /// Whether values are numbers.
    pub const fn is_numeric(self) -> bool {
        self.is_integer() || self.is_exact_fraction() || matches!(self, Type::Real | Type::Double)
    }

    /// Whether the type is smallint, integer or bigint.
    pub const fn is_integer(self) -> bool {
        matches!(self, Type::SmallInt | Type::Integer | Type::BigInt)
    }

    /// Whether the type is numeric, with or without modifiers.
    pub const fn is_exact_fraction(self) -> bool {
        matches!(self, Type::Decimal { .. } | Type::Numeric)
    }

    /// Whether values are texts: text or character.
    pub const fn is_text(self) -> bool {
        matches!(self, Type::Text | Type::Char)
    }

    /// The type that both sides of a comparison, a CASE or a UNION are cast to.
    ///
    /// Integers widen to bigint, numeric and double precision in this order; an unknown literal takes the other
    /// side's type, and two of them are text.
    ///
    /// # Errors
    /// [`Error::TypesDiffer`] when there is none.
    pub fn common_type(self, other: Type) -> Result<Type, Error> {
        match (self, other) {
            (Type::Unknown, Type::Unknown) => Ok(Type::Text),
            (Type::Unknown, ty) | (ty, Type::Unknown) => Ok(ty),
            (left, right) if left == right => Ok(left),
            (left, right) if left.is_numeric() && right.is_numeric() => Ok(common_number(left, right)),
            (left, right) if left.is_text() && right.is_text() => Ok(Type::Text),
            (left, right) => Err(Error::TypesDiffer { left, right }),
        }
    }

    /// Whether a value of this type becomes one of `to` without a cast being written.
    pub fn is_implicit_to(self, to: Type) -> bool {
        self == to || self.common_type(to).is_ok_and(|common| common.name() == to.name())
    }

    /// The operand types and the result type of `left op right`.
    ///
    /// # Errors
    /// [`Error::NoOperator`] when PostgreSQL has no such operator.
    pub fn arithmetic(op: ArithmeticOp, left: Type, right: Type) -> Result<Arithmetic, Error> {
        let none = Error::NoOperator { symbol: op.symbol(), left, right };
        let found = match (left, right) {
            (Type::Unknown, Type::Unknown) => None,
            (Type::Date | Type::Interval, _) | (_, Type::Date | Type::Interval) => {
                datetime_arithmetic(op, left, right)
            }
            (Type::Unknown, ty) => number_arithmetic(op, ty, ty),
            (ty, Type::Unknown) => number_arithmetic(op, ty, ty),
            (left, right) => number_arithmetic(op, left, right),
        };
        found.ok_or(none)
    }

    /// The type of `function(argument)`; the argument of `count(*)` does not matter.
    ///
    /// # Errors
    /// [`Error::NoFunction`] when PostgreSQL has no such aggregate.
    pub fn aggregate(function: Aggregate, argument: Type) -> Result<Type, Error> {
        let none = Error::NoFunction { name: function.name(), argument };
        let result = match (function, argument) {
            (Aggregate::Count, _) => Type::BigInt,
            (Aggregate::Sum, Type::SmallInt | Type::Integer) => Type::BigInt,
            (Aggregate::Sum | Aggregate::Avg, Type::Numeric) => Type::Numeric,
            (Aggregate::Sum | Aggregate::Avg, Type::Interval) => Type::Interval,
            (Aggregate::Sum, Type::Real) => Type::Real,
            (Aggregate::Avg, Type::Real) => Type::Double,
            (Aggregate::Sum, Type::BigInt) => Type::Decimal { precision: Type::DECIMAL_DIGITS_MAX, scale: 0 },
            (Aggregate::Sum, Type::Decimal { scale, .. }) => {
                Type::Decimal { precision: Type::DECIMAL_DIGITS_MAX, scale }
            }
            (Aggregate::Avg, Type::SmallInt | Type::Integer | Type::BigInt) => {
                Type::Decimal { precision: Type::DECIMAL_DIGITS_MAX, scale: Type::DIVISION_SCALE_MIN }
            }
            (Aggregate::Avg, Type::Decimal { scale, .. }) => Type::Decimal {
                precision: Type::DECIMAL_DIGITS_MAX,
                scale: scale.max(Type::DIVISION_SCALE_MIN),
            },
            (Aggregate::Sum | Aggregate::Avg, Type::Double) => Type::Double,
            (Aggregate::Min | Aggregate::Max, Type::Unknown) => Type::Text,
            (
                Aggregate::Min | Aggregate::Max,
                Type::Boolean | Type::Bytea | Type::Uuid | Type::Json | Type::Jsonb,
            ) => return Err(none),
            (Aggregate::Min | Aggregate::Max, ty) => ty,
            _ => return Err(none),
        };
        Ok(result)
    }

    /// Precision and scale of the exact numbers, as decimals.
    const fn digits(self) -> Option<(u8, u8)> {
        match self {
            Type::SmallInt => Some((Type::SMALLINT_DIGITS, 0)),
            Type::Integer => Some((Type::INTEGER_DIGITS, 0)),
            Type::BigInt => Some((Type::BIGINT_DIGITS, 0)),
            Type::Decimal { precision, scale } => Some((precision, scale)),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Decimal { precision, scale } => write!(f, "numeric({precision},{scale})"),
            ty => f.write_str(ty.name()),
        }
    }
}

/// Whether `text` has the words of `known`, which are in lower case and separated by one space.
fn same_words(text: &str, known: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    known.split(' ').all(|word| words.next().is_some_and(|given| given.eq_ignore_ascii_case(word)))
        && words.next().is_none()
}

#[cold]
fn modifier(name: &str, given: u32, reason: &'static str) -> Error {
    Error::InvalidModifier { name: Excerpt::new(name.as_bytes()), given, reason }
}

fn decimal_of(name: &str, modifiers: &[u32]) -> Result<Type, Error> {
    let (precision, scale) = match *modifiers {
        [] => return Ok(Type::Numeric),
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        [_, _, third, ..] => return Err(modifier(name, third, "at most two modifiers")),
    };
    if !(1..=u32::from(Type::DECIMAL_DIGITS_MAX)).contains(&precision) {
        return Err(modifier(name, precision, "precision must be between 1 and 38"));
    }
    if scale > precision {
        return Err(modifier(name, scale, "scale must be between 0 and the precision"));
    }
    Ok(Type::Decimal { precision: precision as u8, scale: scale as u8 })
}

/// Whether a number in brackets says how many digits of seconds there are.
const fn has_seconds(ty: Type) -> bool {
    matches!(ty, Type::Time | Type::Timestamp | Type::TimestampTz | Type::Interval)
}

fn text_of(name: &str, ty: Type, modifiers: &[u32]) -> Result<Type, Error> {
    match *modifiers {
        [] => Ok(ty),
        [0] => Err(modifier(name, 0, "length must be at least 1")),
        [_] => Ok(ty),
        [_, second, ..] => Err(modifier(name, second, "at most one modifier")),
    }
}

/// The wider of two number types.
fn common_number(left: Type, right: Type) -> Type {
    match (left, right) {
        (Type::Double, _) | (_, Type::Double) => return Type::Double,
        (Type::Real, _) | (_, Type::Real) => return Type::Real,
        (Type::Numeric, _) | (_, Type::Numeric) => return Type::Numeric,
        _ => {}
    }
    let (Some((p1, s1)), Some((p2, s2))) = (left.digits(), right.digits()) else { return Type::Numeric };
    match (left, right) {
        (Type::Decimal { .. }, _) | (_, Type::Decimal { .. }) => {
            let scale = s1.max(s2);
            capped((p1 - s1).max(p2 - s2) + scale, scale)
        }
        (Type::BigInt, _) | (_, Type::BigInt) => Type::BigInt,
        (Type::Integer, _) | (_, Type::Integer) => Type::Integer,
        _ => Type::SmallInt,
    }
}

fn capped(precision: u8, scale: u8) -> Type {
    let scale = scale.min(Type::DECIMAL_DIGITS_MAX);
    Type::Decimal { precision: precision.clamp(1, Type::DECIMAL_DIGITS_MAX).max(scale), scale }
}

fn number_arithmetic(op: ArithmeticOp, left: Type, right: Type) -> Option<Arithmetic> {
    if !left.is_numeric() || !right.is_numeric() {
        return None;
    }
    match common_number(left, right) {
        Type::Real | Type::Double if op == ArithmeticOp::Rem => None,
        // There is no operator of a real and another number: both become double precision.
        Type::Real if left != right => {
            Some(Arithmetic { left: Type::Double, right: Type::Double, result: Type::Double })
        }
        Type::Decimal { .. } => {
            let ((p1, s1), (p2, s2)) = (left.digits()?, right.digits()?);
            let exact = |(precision, scale)| Type::Decimal { precision, scale };
            Some(Arithmetic {
                left: exact((p1, s1)),
                right: exact((p2, s2)),
                result: decimal_result(op, (p1, s1), (p2, s2)),
            })
        }
        ty => Some(Arithmetic { left: ty, right: ty, result: ty }),
    }
}

/// The table at the head of this file.
fn decimal_result(op: ArithmeticOp, (p1, s1): (u8, u8), (p2, s2): (u8, u8)) -> Type {
    let (whole1, whole2) = (p1 - s1, p2 - s2);
    let scale = s1.max(s2);
    match op {
        ArithmeticOp::Add | ArithmeticOp::Sub => capped(whole1.max(whole2) + scale + 1, scale),
        ArithmeticOp::Mul => {
            let room = Type::DECIMAL_DIGITS_MAX.saturating_sub(whole1 + whole2);
            let kept = (s1 + s2).min(room.max(scale).max(Type::DIVISION_SCALE_MIN));
            capped(p1 + p2, kept)
        }
        ArithmeticOp::Div => capped(Type::DECIMAL_DIGITS_MAX, scale.max(Type::DIVISION_SCALE_MIN)),
        ArithmeticOp::Rem => capped(whole1.min(whole2) + scale, scale),
    }
}

/// Dates, times and intervals. `date + interval` gives a date here while an interval of a column has no hours.
fn datetime_arithmetic(op: ArithmeticOp, left: Type, right: Type) -> Option<Arithmetic> {
    use ArithmeticOp::{Add, Mul, Sub};
    use Type::{Date, Integer, Interval, SmallInt, Unknown};
    let (left, right, result) = match (op, left, right) {
        (Add | Sub, Date, Integer | SmallInt) => (Date, Integer, Date),
        (Add, Date, Unknown) => (Date, Integer, Date),
        (Add, Integer | SmallInt | Unknown, Date) => (Integer, Date, Date),
        (Sub, Date, Date | Unknown) | (Sub, Unknown, Date) => (Date, Date, Integer),
        (Add | Sub, Date, Interval) => (Date, Interval, Date),
        (Add, Interval, Date) => (Interval, Date, Date),
        (Add | Sub, Interval, Interval | Unknown) | (Add | Sub, Unknown, Interval) => {
            (Interval, Interval, Interval)
        }
        (Mul, Interval, Integer) => (Interval, Integer, Interval),
        (Mul, Integer, Interval) => (Integer, Interval, Interval),
        _ => return None,
    };
    Some(Arithmetic { left, right, result })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn dec(precision: u8, scale: u8) -> Type {
        Type::Decimal { precision, scale }
    }

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        let cases = [
            ("INT", Type::Integer),
            (" int4 ", Type::Integer),
            ("bigint", Type::BigInt),
            ("numeric(15,2)", dec(15, 2)),
            ("decimal ( 15 , 2 ) ", dec(15, 2)),
            ("numeric(7)", dec(7, 0)),
            ("numeric", Type::Numeric),
            ("Double   Precision", Type::Double),
            ("float(24)", Type::Real),
            ("float(25)", Type::Double),
            ("time(3)", Type::Time),
            ("timestamp with time zone", Type::TimestampTz),
            ("varchar(25)", Type::Text),
            ("character varying(10)", Type::Text),
            ("char(1)", Type::Char),
            ("date", Type::Date),
            ("bool", Type::Boolean),
        ];
        for (text, ty) in cases {
            assert_eq!(Type::parse(text), Ok(ty), "{text}");
        }
    }

    #[test]
    fn display_reads_back() {
        for ty in
            [Type::Boolean, Type::Integer, Type::BigInt, dec(15, 2), Type::Double, Type::Text, Type::Date]
        {
            assert_eq!(Type::parse(&ty.to_string()), Ok(ty));
        }
    }

    #[test]
    fn wrong_names_and_modifiers_are_refused() {
        let cases = [
            ("", "42704", "type \"\" does not exist"),
            ("integers", "42704", "type \"integers\" does not exist"),
            ("double trouble", "42704", "type \"double trouble\" does not exist"),
            ("numeric(15", "42704", "type \"numeric(15\" does not exist"),
            ("numeric()", "42704", "type \"numeric()\" does not exist"),
            ("numeric(1,2,3,4)", "42704", "type \"numeric(1,2,3,4)\" does not exist"),
            ("numeric(39)", "22023", "precision must be between 1 and 38 in type \"numeric\", not 39"),
            ("numeric(0)", "22023", "precision must be between 1 and 38 in type \"numeric\", not 0"),
            ("numeric(5,6)", "22023", "scale must be between 0 and the precision in type \"numeric\", not 6"),
            ("numeric(5,2,1)", "22023", "at most two modifiers in type \"numeric\", not 1"),
            ("char(0)", "22023", "length must be at least 1 in type \"char\", not 0"),
            ("char(1,2)", "22023", "at most one modifier in type \"char\", not 2"),
            ("date(3)", "22023", "no such modifier in type \"date\", not 3"),
            ("text(3)", "22023", "no such modifier in type \"text\", not 3"),
        ];
        for (text, sqlstate, message) in cases {
            let error = Type::parse(text).unwrap_err();
            assert_eq!((error.sqlstate(), error.to_string().as_str()), (sqlstate, message));
        }
    }

    #[test]
    fn numbers_widen_and_strangers_do_not_meet() {
        let common = |a: Type, b: Type| {
            assert_eq!(a.common_type(b).ok(), b.common_type(a).ok());
            a.common_type(b)
        };
        assert_eq!(common(Type::Integer, Type::BigInt), Ok(Type::BigInt));
        assert_eq!(common(Type::Integer, dec(15, 2)), Ok(dec(15, 2)));
        assert_eq!(common(Type::BigInt, dec(15, 2)), Ok(dec(21, 2)));
        assert_eq!(common(dec(38, 0), dec(38, 10)), Ok(dec(38, 10)));
        assert_eq!(common(dec(15, 2), Type::Double), Ok(Type::Double));
        assert_eq!(common(Type::Unknown, Type::Date), Ok(Type::Date));
        assert_eq!(common(Type::Unknown, Type::Unknown), Ok(Type::Text));
        assert_eq!(
            Type::Text.common_type(Type::Date),
            Err(Error::TypesDiffer { left: Type::Text, right: Type::Date })
        );
        assert!(Type::Integer.is_implicit_to(dec(5, 1)));
        assert!(!Type::Double.is_implicit_to(dec(5, 1)));
        assert!(!Type::BigInt.is_implicit_to(Type::Integer));
    }

    #[test]
    fn arithmetic_follows_the_table() {
        use ArithmeticOp::*;
        let result = |op, a, b| Type::arithmetic(op, a, b).unwrap().result;
        assert_eq!(result(Add, Type::Integer, Type::Integer), Type::Integer);
        assert_eq!(result(Div, Type::Integer, Type::BigInt), Type::BigInt);
        assert_eq!(result(Sub, Type::Integer, dec(15, 2)), dec(16, 2));
        assert_eq!(result(Mul, dec(15, 2), dec(16, 2)), dec(31, 4));
        assert_eq!(result(Mul, dec(31, 4), dec(16, 2)), dec(38, 6));
        assert_eq!(result(Mul, dec(38, 16), dec(38, 16)), dec(38, 16));
        assert_eq!(result(Mul, dec(20, 20), dec(20, 20)), dec(38, 38));
        assert_eq!(result(Div, dec(15, 2), dec(15, 2)), dec(38, 16));
        assert_eq!(result(Div, dec(38, 20), Type::Integer), dec(38, 20));
        assert_eq!(result(Rem, dec(15, 2), dec(5, 4)), dec(5, 4));
        assert_eq!(result(Mul, Type::Double, dec(5, 4)), Type::Double);
        assert_eq!(result(Sub, Type::Date, Type::Date), Type::Integer);
        assert_eq!(result(Sub, Type::Date, Type::Interval), Type::Date);
        assert_eq!(result(Add, Type::Integer, Type::Date), Type::Date);
        let operands = Type::arithmetic(Mul, Type::Integer, dec(15, 2)).unwrap();
        assert_eq!((operands.left, operands.right), (dec(10, 0), dec(15, 2)));
        for (op, left, right) in [
            (Add, Type::Date, Type::Date),
            (Mul, Type::Date, Type::Integer),
            (Rem, Type::Double, Type::Double),
            (Add, Type::Text, Type::Integer),
            (Add, Type::Unknown, Type::Unknown),
            (Add, Type::Boolean, Type::Boolean),
        ] {
            assert_eq!(
                Type::arithmetic(op, left, right),
                Err(Error::NoOperator { symbol: op.symbol(), left, right })
            );
        }
    }

    #[test]
    fn every_decimal_result_is_a_valid_type() {
        use ArithmeticOp::*;
        for p1 in 1..=38 {
            for s1 in 0..=p1 {
                for (p2, s2) in [(1, 0), (1, 1), (19, 0), (15, 2), (38, 0), (38, 16), (38, 38)] {
                    for op in [Add, Sub, Mul, Div, Rem] {
                        let result = Type::arithmetic(op, dec(p1, s1), dec(p2, s2)).unwrap().result;
                        let Type::Decimal { precision, scale } = result else { panic!("{result}") };
                        assert!((1..=38).contains(&precision) && scale <= precision, "{result}");
                    }
                }
            }
        }
    }

    #[test]
    fn aggregates_have_the_types_of_the_contract() {
        use Aggregate::*;
        assert_eq!(Type::aggregate(Sum, Type::Integer), Ok(Type::BigInt));
        assert_eq!(Type::aggregate(Sum, Type::BigInt), Ok(dec(38, 0)));
        assert_eq!(Type::aggregate(Sum, dec(15, 2)), Ok(dec(38, 2)));
        assert_eq!(Type::aggregate(Avg, Type::Integer), Ok(dec(38, 16)));
        assert_eq!(Type::aggregate(Avg, dec(38, 20)), Ok(dec(38, 20)));
        assert_eq!(Type::aggregate(Avg, Type::Double), Ok(Type::Double));
        assert_eq!(Type::aggregate(Count, Type::Boolean), Ok(Type::BigInt));
        assert_eq!(Type::aggregate(Max, Type::Text), Ok(Type::Text));
        assert_eq!(
            Type::aggregate(Min, Type::Boolean),
            Err(Error::NoFunction { name: "min", argument: Type::Boolean })
        );
        assert_eq!(
            Type::aggregate(Sum, Type::Text),
            Err(Error::NoFunction { name: "sum", argument: Type::Text })
        );
    }
}

//! Texts and casts held against what PostgreSQL 15 answers for them (`postgresql15.tsv`).
//!
//! Where a case differs on purpose it stands in [`DIFFERENT`], with the reason.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::cast::cast;
use crate::datetime::Field;
use crate::text::VecBuffer;
use crate::{Decimal, Error, Interval, Session, Type, Value, datetime, moment};

const CASES: &str = include_str!("postgresql15.tsv");

/// Cases that have another answer here: kind, type, target type and text, and why.
const DIFFERENT: &[([&str; 4], &str)] = &[
    (["cast", "double precision", "numeric", "NaN"], "numeric has no NaN here"),
    (["read", "interval", "", "2 days ago -1 hour"], "ago stands last or is an error"),
];

fn ty(name: &str) -> Type {
    match name.strip_suffix("[]") {
        Some(element) => Type::parse(element).unwrap().array().unwrap(),
        None => Type::parse(name).unwrap(),
    }
}

/// The text of a value after casts to all of `types`, or the SQLSTATE of the first that fails.
fn answer(text: &str, types: &[Type]) -> String {
    let mut made = text.to_string();
    let mut from = Type::Text;
    for to in types {
        let mut first = VecBuffer::default();
        let mut second = VecBuffer::default();
        let value = if from == Type::Text {
            Ok(Value::Text(&made))
        } else {
            cast(Value::Text(&made), from, &mut first)
        };
        let outcome = value.and_then(|value| {
            if from != Type::Text && !crate::cast::can_cast(from, *to) {
                return Err(Error::CannotCast { from, to: *to });
            }
            cast(value, *to, &mut second)
        });
        match outcome {
            Ok(Value::Null) => return "NULL".into(),
            Ok(value) => {
                let mut third = VecBuffer::default();
                made = cast(value, Type::Text, &mut third).unwrap().to_string();
            }
            Err(error) => return format!("!{}", error.sqlstate()),
        }
        from = *to;
    }
    made
}

#[test]
fn answers_are_those_of_postgresql() {
    let mut wrong = Vec::new();
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, first, second, text, expected] = fields[..] else { panic!("{line}") };
        let found = match kind {
            "read" => answer(text, &[ty(first)]),
            _ => answer(text, &[ty(first), ty(second)]),
        };
        let excused = DIFFERENT.iter().any(|(case, _)| *case == [kind, first, second, text]);
        if (found == expected) == excused {
            wrong.push(format!("{kind} {first} {second} {text:?}: {found:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

const FUNCTIONS: &str = include_str!("postgresql15_functions.tsv");

/// The result of a function of two texts.
fn call(name: &str, a: &str, b: &str) -> Result<String, Error> {
    let session = Session::UTC;
    let moment = |text: &str| moment::parse_timestamp(text.as_bytes(), &session);
    let number = |text: &str| Decimal::parse(text.as_bytes());
    let field = || Field::parse(b).unwrap();
    let unsupported = Error::CannotCast { from: Type::Unknown, to: Type::Unknown };
    let shown = |found: Option<Value<'_>>| found.map(|value| value.to_string()).ok_or(unsupported);
    Ok(match name {
        "add" => datetime::add_interval(moment(a)?, Interval::parse(b)?)?.to_string(),
        "sub" => datetime::sub_interval(moment(a)?, Interval::parse(b)?)?.to_string(),
        "age" => datetime::age(moment(a)?, moment(b)?)?.to_string(),
        "difference" => datetime::difference(moment(a)?, moment(b)?)?.to_string(),
        "multiply" => datetime::multiply(Interval::parse(a)?, b.parse().unwrap())?.to_string(),
        "divide" => datetime::divide(Interval::parse(a)?, b.parse().unwrap())?.to_string(),
        "justify_days" => datetime::justify_days(Interval::parse(a)?)?.to_string(),
        "justify_hours" => datetime::justify_hours(Interval::parse(a)?)?.to_string(),
        "justify_interval" => datetime::justify_interval(Interval::parse(a)?)?.to_string(),
        "extract interval" => shown(datetime::extract(Value::Interval(Interval::parse(a)?), field(), 0)?)?,
        "extract timestamp" => shown(datetime::extract(Value::Timestamp(moment(a)?), field(), 0)?)?,
        "extract date" => shown(datetime::extract(Value::Date(moment(a)?.date()), field(), 0)?)?,
        "extract time" => {
            shown(datetime::extract(Value::Time(moment::parse_time(a.as_bytes(), &session)?), field(), 0)?)?
        }
        "part timestamp" => shown(datetime::date_part(Value::Timestamp(moment(a)?), field(), 0)?)?,
        "trunc" => datetime::truncate(moment(a)?, field())?.ok_or(unsupported)?.to_string(),
        "trunc interval" => {
            datetime::truncate_interval(Interval::parse(a)?, field()).ok_or(unsupported)?.to_string()
        }
        "bin" => datetime::bin(Interval::parse(b)?, moment(a)?, moment("2001-01-01")?)?.to_string(),
        "add time" => datetime::add_to_time(moment::parse_time(a.as_bytes(), &session)?, Interval::parse(b)?)
            .to_string(),
        "n+" => number(a)?.checked_add(number(b)?)?.to_string(),
        "n-" => number(a)?.checked_sub(number(b)?)?.to_string(),
        "n*" => number(a)?.checked_mul(number(b)?)?.to_string(),
        "n/" => number(a)?.checked_div(number(b)?)?.to_string(),
        "n%" => number(a)?.checked_rem(number(b)?)?.to_string(),
        _ => panic!("{name}"),
    })
}

#[test]
fn functions_give_what_postgresql_gives() {
    let mut wrong = Vec::new();
    for line in FUNCTIONS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, a, b, expected] = fields[..] else { panic!("{line}") };
        let found = call(name, a, b).unwrap_or_else(|error| format!("!{}", error.sqlstate()));
        // Of fields that there are not, only that they are refused is told.
        let is_same = found == expected || (found == "!42846" && matches!(expected, "!0A000" | "!22023"));
        // PostgreSQL takes infinity for the end of its range there.
        let is_of_infinity = name == "age" && (a == "infinity" || b == "infinity");
        // 38 digits hold no longer results.
        let is_too_long = expected.bytes().filter(u8::is_ascii_digit).count() > 37;
        if !is_same && !is_too_long && !is_of_infinity {
            wrong.push(format!("{name} {a:?} {b:?}: {found:?} and not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

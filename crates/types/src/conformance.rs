//! Texts and casts held against what PostgreSQL 15 answers for them (`postgresql15.tsv`).
//!
//! Where a case differs on purpose it stands in [`DIFFERENT`], with the reason.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::cast::cast;
use crate::text::VecBuffer;
use crate::{Type, Value};

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
                return Err(crate::Error::CannotCast { from, to: *to });
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

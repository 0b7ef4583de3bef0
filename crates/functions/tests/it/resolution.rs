//! Overloads: what calls of every name with types drawn at random mean to PostgreSQL 15.
//!
//! A line of `tests/resolution.txt` is a name, the types of its arguments, and the type of the result or SQLSTATE;
//! `oracle/functions.py resolution` writes it. Types that PostgreSQL has and we do not make some calls ambiguous there, and such
//! lines are left out.

use crate::support::type_of;
use cofferdam_functions::{resolve, resolve_operator};
use cofferdam_types::Type;
use std::fs;
use std::path::Path;

fn ty(name: &str) -> Type {
    if name == "unknown" { Type::Unknown } else { type_of(name) }
}

#[test]
fn overloads_are_chosen_as_postgresql_chooses() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolution.txt");
    let text = fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with("--")) {
        let mut parts = line.split('\t');
        let (name, types, expected) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let types: Vec<Type> = types.split(',').filter(|name| !name.is_empty()).map(ty).collect();
        let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        let found = match (is_operator, &types[..]) {
            (false, types) => resolve(name, types),
            (true, [right]) => resolve_operator(name, None, *right),
            (true, [left, right]) => resolve_operator(name, Some(*left), *right),
            _ => panic!("line {number}"),
        };
        let found = match found {
            Ok(resolved) => resolved.result.name().to_string(),
            Err(error) => error.sqlstate().to_string(),
        };
        count += 1;
        if found != expected {
            wrong.push(format!("{}: {line}: {found}", number + 1));
        }
    }
    assert!(count > 1500);
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}

//! Functions that give rows: what PostgreSQL 15 gives for the same calls.

use crate::support::{World, conversions, read, read_back, type_of};
use cofferdam_arena::{Arena, Budget, Growing};
use cofferdam_functions::{NotResolved, Output, Problem, open, resolve_table_function};
use cofferdam_types::{Type, Value};

/// Texts of arguments and their types.
type Args = &'static [(&'static str, &'static str)];

/// All rows of a call, columns separated by `|` and rows by `;`, at most `limit`.
fn rows(name: &str, args: &[(&str, &str)], limit: usize) -> Result<String, (String, String)> {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let mut world = World::new(&budget, &budget);
    let types: Vec<Type> = args.iter().map(|(_, ty)| type_of(ty)).collect();
    let call = resolve_table_function(name, &types).unwrap();
    let values: Vec<Value<'_>> = args
        .iter()
        .enumerate()
        .map(|(index, (text, given))| match *text {
            "NULL" => Value::Null,
            text => read(text, call.argument(index, type_of(given)), &arena).unwrap(),
        })
        .collect();
    let shown = |problem: Problem| (problem.sqlstate().to_string(), problem.to_string());
    let mut nothing = Growing::<u8>::new(&budget);
    let mut state = world.with(&mut nothing, |cx| open(call.id, &values, cx)).map_err(shown)?;
    let mut all = Vec::new();
    while all.len() < limit && world.with(&mut nothing, |cx| state.advance(cx)).map_err(shown)? {
        let columns: Vec<String> = (0..call.columns_count)
            .map(|index| {
                let mut sink = Growing::<u8>::new(&budget);
                let output = world.with(&mut sink, |cx| state.column(index, cx)).unwrap();
                match output {
                    Output::Value(Value::Null) => String::new(),
                    Output::Value(value) => value.to_string(),
                    Output::Written => read_back(&sink, call.columns()[index]).to_string(),
                }
            })
            .collect();
        all.push(columns.join("|"));
    }
    Ok(all.join(";"))
}

const INT: &str = "integer";

#[test]
fn rows_are_those_of_postgresql() {
    let cases: &[(&str, Args, &str)] = &[
        ("generate_series", &[("1", INT), ("4", INT)], "1;2;3;4"),
        ("generate_series", &[("4", INT), ("1", INT), ("-2", INT)], "4;2"),
        ("generate_series", &[("4", INT), ("1", INT)], ""),
        ("generate_series", &[("NULL", INT), ("1", INT)], ""),
        ("generate_series", &[("2147483646", INT), ("2147483647", INT)], "2147483646;2147483647"),
        (
            "generate_series",
            &[("1", INT), ("3000000000", "bigint"), ("2000000000", "bigint")],
            "1;2000000001",
        ),
        ("generate_series", &[("1.5", "numeric"), ("3.2", "numeric")], "1.5;2.5"),
        ("generate_series", &[("1", "numeric"), ("2", "numeric"), ("0.50", "numeric")], "1;1.50;2.00"),
        (
            "generate_series",
            &[("2024-01-31", "timestamp"), ("2024-05-01", "timestamp"), ("1 month", "interval")],
            "2024-01-31 00:00:00;2024-02-29 00:00:00;2024-03-29 00:00:00;2024-04-29 00:00:00",
        ),
        (
            "generate_series",
            &[("2024-01-03", "timestamp"), ("2024-01-01", "timestamp"), ("-1 day", "interval")],
            "2024-01-03 00:00:00;2024-01-02 00:00:00;2024-01-01 00:00:00",
        ),
        (
            "generate_series",
            &[("2024-01-01", "date"), ("2024-01-02", "date"), ("12 hours", "interval")],
            "2024-01-01 00:00:00+00;2024-01-01 12:00:00+00;2024-01-02 00:00:00+00",
        ),
        ("generate_subscripts", &[("{5,6,7}", "integer[]"), ("1", INT)], "1;2;3"),
        ("generate_subscripts", &[("{5,6,7}", "integer[]"), ("1", INT), ("t", "boolean")], "3;2;1"),
        ("generate_subscripts", &[("{5,6,7}", "integer[]"), ("2", INT)], ""),
        ("unnest", &[("{a,NULL,\"b c\"}", "text[]")], "a;;b c"),
        ("unnest", &[("{}", "text[]")], ""),
        ("string_to_table", &[("a,b,,c", "text"), (",", "text")], "a;b;;c"),
        ("string_to_table", &[("a,b", "text"), (",", "text"), ("b", "text")], "a;"),
        ("string_to_table", &[("abc", "text"), ("NULL", "text")], "a;b;c"),
        ("regexp_matches", &[("abcabc", "text"), ("(b)(c)", "text"), ("g", "text")], "{b,c};{b,c}"),
        ("regexp_matches", &[("abcabc", "text"), ("b", "text")], "{b}"),
        ("regexp_matches", &[("abc", "text"), ("x", "text")], ""),
        ("regexp_split_to_table", &[("a,b,,c", "text"), (",", "text")], "a;b;;c"),
        ("json_array_elements", &[("[1, {\"a\": [2]}, null]", "json")], "1;{\"a\": [2]};null"),
        ("jsonb_array_elements", &[("[1,{\"a\":[2]}]", "jsonb")], "1;{\"a\": [2]}"),
        ("json_array_elements_text", &[("[\"x\\ny\", null, true]", "json")], "x\ny;;true"),
        ("jsonb_array_elements_text", &[("[\"x\", 1]", "jsonb")], "x;1"),
        ("json_each", &[("{\"a\":1,\"b\\u0041\":\"x\"}", "json")], "a|1;bA|\"x\""),
        ("jsonb_each", &[("{\"bb\":1,\"a\":[]}", "jsonb")], "a|[];bb|1"),
        ("json_each_text", &[("{\"a\":null,\"b\\\"\":\"x\\n\"}", "json")], "a|;b\"|x\n"),
        ("jsonb_each_text", &[("{\"a\":{\"b\":1}}", "jsonb")], "a|{\"b\": 1}"),
        ("json_object_keys", &[("{\"a\":1,\"a\":2}", "json")], "a;a"),
        ("jsonb_object_keys", &[("{\"a\":1,\"a\":2}", "jsonb")], "a"),
    ];
    for (name, args, expected) in cases {
        assert_eq!(rows(name, args, 100).as_deref(), Ok(*expected), "{name} {args:?}");
    }
}

#[test]
fn wrong_arguments_are_refused_as_postgresql_refuses_them() {
    let cases: &[(&str, Args, &str, &str)] = &[
        ("generate_series", &[("1", INT), ("3", INT), ("0", INT)], "22023", "step size cannot equal zero"),
        (
            "generate_series",
            &[("1", "numeric"), ("3", "numeric"), ("0", "numeric")],
            "22023",
            "step size cannot equal zero",
        ),
        (
            "generate_series",
            &[("2024-01-01", "timestamp"), ("2024-01-03", "timestamp"), ("0 days", "interval")],
            "22023",
            "step size cannot equal zero",
        ),
        (
            "regexp_split_to_table",
            &[("a", "text"), ("b", "text"), ("g", "text")],
            "22023",
            "regexp_split_to_table() does not support the \"global\" option",
        ),
        (
            "regexp_matches",
            &[("a", "text"), ("(", "text")],
            "2201B",
            "invalid regular expression: parentheses () not balanced",
        ),
        ("json_array_elements", &[("{}", "json")], "22023", "cannot call json_array_elements on a non-array"),
        (
            "json_array_elements_text",
            &[("1", "json")],
            "22023",
            "cannot call json_array_elements_text on a scalar",
        ),
        ("jsonb_array_elements", &[("{}", "jsonb")], "22023", "cannot extract elements from an object"),
        ("jsonb_array_elements", &[("1", "jsonb")], "22023", "cannot extract elements from a scalar"),
        ("json_each", &[("[]", "json")], "22023", "cannot deconstruct an array as an object"),
        ("json_each_text", &[("1", "json")], "22023", "cannot deconstruct a scalar"),
        ("jsonb_each", &[("1", "jsonb")], "22023", "cannot call jsonb_each on a non-object"),
        ("json_object_keys", &[("[]", "json")], "22023", "cannot call json_object_keys on an array"),
        ("jsonb_object_keys", &[("1", "jsonb")], "22023", "cannot call jsonb_object_keys on a scalar"),
    ];
    for (name, args, code, message) in cases {
        let expected = Err((code.to_string(), message.to_string()));
        assert_eq!(rows(name, args, 100), expected, "{name} {args:?}");
    }
    assert_eq!(resolve_table_function("nothing", &[]).unwrap_err(), NotResolved::NoSuchName);
    assert_eq!(resolve_table_function("unnest", &[Type::Integer]).unwrap_err(), NotResolved::NoMatch);
    assert_eq!(resolve_table_function("unnest", &[Type::Unknown]).unwrap_err(), NotResolved::Undetermined);
}

/// A series of any length takes the memory of its first rows.
#[test]
fn long_series_take_no_memory() {
    let budget = Budget::unlimited("test").unwrap();
    let mut world = World::new(&budget, &budget);
    let call = resolve_table_function("generate_series", &[Type::BigInt; 2]).unwrap();
    let args = [Value::BigInt(1), Value::BigInt(i64::MAX)];
    let mut sink = Growing::<u8>::new(&budget);
    let mut state = world.with(&mut sink, |cx| open(call.id, &args, cx)).unwrap();
    let used = budget.used();
    for _ in 0..100_000 {
        assert!(world.with(&mut sink, |cx| state.advance(cx)).unwrap());
    }
    assert_eq!(budget.used(), used);
    assert_eq!(conversions().now.date().ymd(), (2024, 2, 29));
}

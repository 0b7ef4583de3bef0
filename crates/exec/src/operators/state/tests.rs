//! States against the answers of PostgreSQL 15, and merged ones against whole ones.

#![allow(clippy::cloned_ref_to_slice_refs)]

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget, Growing};
use cofferdam_plan::physical::AggregateFunction as F;
use cofferdam_types::{Date, Decimal, Element, Interval, Type, Value, array};

use super::cells::{Places, Taken};
use super::*;
use crate::batch::{Rows, Store, VectorId, put_value};
use crate::operators::aggregate::pages::Place;
use crate::operators::aggregate::table::hash_of;

/// A column of values.
fn column<'a>(values: &[Value<'_>], ty: Type, store: &mut Store<'a>, arena: &'a Arena) -> VectorId {
    let id = store.add_vector(Kind::of(ty), arena).unwrap();
    let mut vector = store.take(id);
    vector.all_valid = false;
    let is_text = Kind::of(ty) == Kind::Text;
    let mut heap = if is_text { store.take_heap(vector.heap) } else { store.no_heap() };
    for (row, value) in values.iter().enumerate() {
        if is_text {
            put_result(*value, row, &mut vector, &mut heap).unwrap();
        } else {
            put_value(&mut vector, row, *value);
        }
    }
    if is_text {
        store.put_heap_back(vector.heap, heap);
    }
    store.put_back(id, vector);
    id
}

fn group(table: &mut GroupTable) -> Place {
    table.find_or_add(hash_of(b"k"), b"k", b"").unwrap().0
}

fn finished(state: &State, table: &mut GroupTable, result: Type) -> Result<String, StateError> {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let mut store = Store::new(4, &arena);
    let id = store.add_vector(Kind::of(result), &arena).unwrap();
    let mut vector = store.take(id);
    vector.all_valid = false;
    let place = group(table);
    let mut heap = cofferdam_arena::collections::Vec::new_in(&arena);
    state.finish(table.row(place).states, table.blobs(), 1, &mut vector, &mut heap)?;
    if !vector.valid[1] {
        return Ok("NULL".into());
    }
    Ok(vector.data.value(1, result, &heap).to_string())
}

/// The result over rows: at once, and as two states that are merged after the first `split` rows.
fn both(
    function: F,
    args: &[(Type, Vec<Value<'_>>)],
    result: Type,
    rows: usize,
    split: usize,
) -> [Result<String, StateError>; 2] {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let mut store = Store::new(64, &arena);
    let ids: Vec<_> = args.iter().map(|(ty, values)| column(values, *ty, &mut store, &arena)).collect();
    let types: Vec<_> = args.iter().map(|(ty, _)| *ty).collect();
    // Something stands before it, so that its offset counts.
    let state = State::new(function, &types, result, 8);
    let mut scratch = Growing::new(&budget);
    let mut update = |table: &mut GroupTable, range: core::ops::Range<usize>, each: bool| {
        let place = group(table);
        let places = [place.bits(); 64];
        let places = if each { Places::Each(&places) } else { Places::One(place) };
        let taken = Taken::of(Rows::All(rows), range);
        state.update(table, places, taken, &ids, &store, &mut scratch).map_err(|stopped| stopped.error)
    };
    let new_table = || GroupTable::new(&budget, 8 + state.bytes());
    let mut whole = new_table();
    let at_once = update(&mut whole, 0..rows, false).and_then(|()| finished(&state, &mut whole, result));
    let (mut a, mut b) = (new_table(), new_table());
    let mut merged = || {
        update(&mut a, 0..split, true)?;
        update(&mut b, split..rows, true)?;
        let (from, to) = (group(&mut b), group(&mut a));
        let row = b.row(from);
        state.merge(&mut a, to, row.states)?;
        for piece in state.blobs(row.states, b.blobs()) {
            state.merge_blob(&mut a, to, piece)?;
        }
        finished(&state, &mut a, result)
    };
    [at_once, merged()]
}

/// The result, whatever the rows are split into.
fn aggregate(function: F, args: &[(Type, Vec<Value<'_>>)], result: Type) -> String {
    let rows = args.first().map_or(3, |(_, values)| values.len());
    let mut answer = None;
    for split in 0..=rows {
        let [at_once, merged] = both(function, args, result, rows, split);
        let at_once = at_once.unwrap();
        assert_eq!(at_once, merged.unwrap(), "{function:?} split at {split}");
        answer = Some(at_once);
    }
    answer.unwrap()
}

fn error(function: F, args: &[(Type, Vec<Value<'_>>)], result: Type) -> StateError {
    both(function, args, result, args[0].1.len(), 0)[0].clone().unwrap_err()
}

fn ints(values: &[i32]) -> (Type, Vec<Value<'static>>) {
    (Type::Integer, values.iter().map(|&v| Value::Integer(v)).collect())
}

fn longs(values: &[i64]) -> (Type, Vec<Value<'static>>) {
    (Type::BigInt, values.iter().map(|&v| Value::BigInt(v)).collect())
}

fn doubles(values: &[f64]) -> (Type, Vec<Value<'static>>) {
    let value = |&v: &f64| if v == -1.0 { Value::Null } else { Value::Double(v) };
    (Type::Double, values.iter().map(value).collect())
}

fn numerics(values: &[&str]) -> (Type, Vec<Value<'static>>) {
    let value = |text: &&str| match text.is_empty() {
        true => Value::Null,
        false => Value::Decimal(Decimal::parse(text.as_bytes()).unwrap()),
    };
    (Type::Numeric, values.iter().map(value).collect())
}

fn texts<'t>(values: &[&'t str]) -> (Type, Vec<Value<'t>>) {
    let value = |&text: &&'t str| if text == "NULL" { Value::Null } else { Value::Text(text) };
    (Type::Text, values.iter().map(value).collect())
}

const DECIMAL: Type = Type::Decimal { precision: 38, scale: 2 };

#[test]
fn counts_and_sums_are_those_of_postgresql() {
    assert_eq!(aggregate(F::CountRows, &[], Type::BigInt), "3");
    assert_eq!(aggregate(F::Count, &[numerics(&["1", "", "2"])], Type::BigInt), "2");
    assert_eq!(aggregate(F::Sum, &[ints(&[i32::MAX, i32::MAX])], Type::BigInt), "4294967294");
    let great = longs(&[i64::MAX, 1]);
    assert_eq!(aggregate(F::Sum, &[great.clone()], Type::Numeric), "9223372036854775808");
    assert_eq!(aggregate(F::Avg, &[great], Type::Numeric), "4611686018427387904");
    assert_eq!(aggregate(F::Avg, &[longs(&[1, 2, 2])], Type::Numeric), "1.6666666666666667");
    assert_eq!(aggregate(F::Avg, &[ints(&[100_000_000, 2, 2])], Type::Numeric), "33333334.666666666667");
    let numbers = numerics(&["1.50", "2", "", "0.125"]);
    assert_eq!(aggregate(F::Sum, &[numbers.clone()], Type::Numeric), "3.625");
    assert_eq!(aggregate(F::Avg, &[numbers.clone()], Type::Numeric), "1.20833333333333333333");
    let small = numerics(&["0.00001", "0.00002", "0.00002"]);
    assert_eq!(aggregate(F::Avg, &[small], Type::Numeric), "0.000016666666666666666667");
    let fixed = (Type::Decimal { precision: 5, scale: 2 }, numbers.1[..2].to_vec());
    let fixed = (fixed.0, fixed.1.iter().map(|v| at_scale(*v, 2)).collect());
    assert_eq!(aggregate(F::Sum, &[fixed], DECIMAL), "3.50");
    assert_eq!(aggregate(F::Sum, &[numerics(&["", ""])], Type::Numeric), "NULL");
    assert_eq!(aggregate(F::Sum, &[doubles(&[1.5, 2.25, 4.0])], Type::Double), "7.75");
    assert_eq!(aggregate(F::Sum, &[doubles(&[f64::INFINITY, 1e308])], Type::Double), "Infinity");
    assert_eq!(aggregate(F::Avg, &[doubles(&[1.5, 2.25, 4.0])], Type::Double), "2.5833333333333335");
    let reals = (Type::Real, [0.1, 0.2, 0.3].map(Value::Real).to_vec());
    assert_eq!(aggregate(F::Sum, &[reals], Type::Real), "0.6");
}

fn at_scale(value: Value<'static>, scale: u8) -> Value<'static> {
    match value {
        Value::Decimal(number) => Value::Decimal(number.rescale(scale).unwrap()),
        value => value,
    }
}

#[test]
fn what_is_out_of_range_is_an_error() {
    let code = |error| match error {
        StateError::Value(error) => error.sqlstate(),
        error => panic!("{error:?}"),
    };
    assert_eq!(code(error(F::Sum, &[doubles(&[1e308, 1e308])], Type::Double)), "22003");
    assert_eq!(code(error(F::VarPop, &[doubles(&[1e300, -1e300])], Type::Double)), "22003");
    assert_eq!(
        code(error(F::RegrSxy, &[doubles(&[1e300, -1e300]), doubles(&[1e300, -1e300])], Type::Double)),
        "22003"
    );
    let nines = "9".repeat(38);
    assert_eq!(code(error(F::Sum, &[numerics(&[&nines, &nines])], Type::Numeric)), "22003");
    let tiny = format!("0.{}1", "0".repeat(36));
    assert_eq!(code(error(F::Sum, &[numerics(&[&nines, &tiny])], Type::Numeric)), "22003");
    assert_eq!(code(error(F::StddevPop, &[numerics(&[&nines, &tiny])], Type::Numeric)), "22003");
    let month = Value::Interval(Interval { months: i32::MAX, days: 0, micros: 0 });
    assert_eq!(code(error(F::Sum, &[(Type::Interval, std::vec![month, month])], Type::Interval)), "22003");
}

#[test]
fn intervals_are_added_and_divided() {
    let span = |months, days, micros| Value::Interval(Interval { months, days, micros });
    let some = (Type::Interval, std::vec![span(1, 3, 0), span(0, 5, 3_723_000_000), span(0, -3, 2_000_000)]);
    assert_eq!(aggregate(F::Sum, &[some.clone()], Type::Interval), "1 mon 5 days 01:02:05");
    assert_eq!(aggregate(F::Avg, &[some.clone()], Type::Interval), "11 days 16:20:41.666667");
    assert_eq!(aggregate(F::Min, &[some.clone()], Type::Interval), "-3 days +00:00:02");
    assert_eq!(aggregate(F::Max, &[some], Type::Interval), "1 mon 3 days");
    let others = (Type::Interval, std::vec![span(1, 0, 0), span(0, -1, 0), span(12, 0, 5_000_000)]);
    assert_eq!(aggregate(F::Avg, &[others], Type::Interval), "4 mons 10 days -07:59:58.333333");
}

#[test]
fn the_least_and_greatest_are_found_in_every_order() {
    let best = |args: (Type, Vec<Value<'_>>)| {
        let (least, greatest) =
            (aggregate(F::Min, &[args.clone()], args.0), aggregate(F::Max, &[args.clone()], args.0));
        format!("{least} {greatest}")
    };
    assert_eq!(best(ints(&[3, -7, 5])), "-7 5");
    assert_eq!(best(longs(&[i64::MAX, i64::MIN])), "-9223372036854775808 9223372036854775807");
    assert_eq!(best(doubles(&[f64::NAN, 1e308])), "1e+308 NaN");
    assert_eq!(best(numerics(&["10.0", "9.99", ""])), "9.99 10.0");
    assert_eq!(best(texts(&["b", "NULL", "abc", "", "é"])), " é");
    let chars = (Type::Char, std::vec![Value::Char("b "), Value::Char("b\t"), Value::Char("b")]);
    assert_eq!(aggregate(F::Max, &[chars], Type::Char), "b\t");
    let days = [20, 3, 11].map(|day| Value::Date(Date::from_ymd(2020, 1, day).unwrap()));
    assert_eq!(best((Type::Date, days.to_vec())), "2020-01-03 2020-01-20");
    let element = Element::of(Type::Integer).unwrap();
    let lists: Vec<Vec<u8>> = [&[1, 2][..], &[1], &[0, 9]].iter().map(|list| list_bytes(list)).collect();
    let arrays = lists
        .iter()
        .map(|list| Value::Array(cofferdam_types::ArrayRef::new(list, element).unwrap()))
        .collect();
    assert_eq!(best((Type::Array(element), arrays)), "{0,9} {1,2}");
}

fn list_bytes(list: &[i32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    array::encode(list.iter().map(|&n| Value::Integer(n)), &mut |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<(), core::convert::Infallible>(())
    })
    .unwrap();
    bytes
}

#[test]
fn truths_and_bits_are_joined() {
    let truths = (Type::Boolean, std::vec![Value::Boolean(true), Value::Null, Value::Boolean(false)]);
    assert_eq!(aggregate(F::BoolAnd, &[truths.clone()], Type::Boolean), "f");
    assert_eq!(aggregate(F::BoolOr, &[truths.clone()], Type::Boolean), "t");
    let one = (Type::Boolean, truths.1[..2].to_vec());
    assert_eq!(aggregate(F::BoolAnd, &[one], Type::Boolean), "t");
    let unknown = (Type::Boolean, std::vec![Value::Null]);
    assert_eq!(aggregate(F::BoolOr, &[unknown], Type::Boolean), "NULL");
    assert_eq!(aggregate(F::BitAnd, &[ints(&[6, 3, 12])], Type::Integer), "0");
    assert_eq!(aggregate(F::BitOr, &[longs(&[6, 3, 12])], Type::BigInt), "15");
    assert_eq!(aggregate(F::BitXor, &[ints(&[6, 3, 12])], Type::Integer), "9");
    assert_eq!(aggregate(F::BitXor, &[ints(&[])], Type::Integer), "NULL");
}

#[test]
fn lists_keep_the_order_of_their_rows() {
    let names = texts(&["a", "NULL", "b", ""]);
    let delimiters = texts(&["-", "/", "+", "&"]);
    assert_eq!(aggregate(F::StringAgg, &[names.clone(), delimiters], Type::Text), "a+b&");
    let element = Element::of(Type::Text).unwrap();
    assert_eq!(aggregate(F::ArrayAgg, &[names.clone()], Type::Array(element)), r#"{a,NULL,b,""}"#);
    assert_eq!(aggregate(F::ArrayAgg, &[texts(&[])], Type::Array(element)), "NULL");
    assert_eq!(aggregate(F::JsonAgg, &[names.clone()], Type::Json), r#"["a", null, "b", ""]"#);
    assert_eq!(aggregate(F::AnyValue, &[texts(&["NULL", "x", "y"])], Type::Text), "x");
    let keys = texts(&["a", "b\""]);
    let fields = (Type::Integer, std::vec![Value::Integer(1), Value::Null]);
    assert_eq!(
        aggregate(F::JsonObjectAgg, &[keys, fields.clone()], Type::Json),
        r#"{ "a" : 1, "b\"" : null }"#
    );
    let keys = texts(&["b", "a"]);
    assert_eq!(aggregate(F::JsonObjectAgg, &[keys, fields.clone()], Type::Jsonb), r#"{"a": null, "b": 1}"#);
    let refused = error(F::JsonObjectAgg, &[texts(&["NULL", "x"]), fields], Type::Json);
    assert!(matches!(refused, StateError::Argument(ArgumentProblem::NullFieldName)), "{refused:?}");
}

#[test]
fn variances_are_those_of_postgresql() {
    let some = doubles(&[1.5, 2.25, 4.0]);
    assert_eq!(aggregate(F::VarPop, &[doubles(&[5.0])], Type::Double), "0");
    assert_eq!(aggregate(F::VarSamp, &[doubles(&[5.0])], Type::Double), "NULL");
    let [at_once, _] = both(F::VarSamp, &[some.clone()], Type::Double, 3, 3);
    assert_eq!(at_once.unwrap(), "1.6458333333333333");
    let [at_once, _] = both(F::StddevPop, &[some], Type::Double, 3, 3);
    assert_eq!(at_once.unwrap(), "1.0474837574980445");
    assert_eq!(aggregate(F::VarSamp, &[doubles(&[f64::INFINITY, 1.0])], Type::Double), "NaN");
    assert_eq!(aggregate(F::VarSamp, &[ints(&[1, 2, 4])], Type::Numeric), "2.3333333333333333");
    let scaled = numerics(&["1.50", "2.25", "4"]);
    assert_eq!(aggregate(F::VarPop, &[scaled.clone()], Type::Numeric), "1.09722222222222222222");
    assert_eq!(aggregate(F::StddevSamp, &[scaled], Type::Numeric), "1.2829003598617210");
    assert_eq!(aggregate(F::StddevSamp, &[numerics(&["7"])], Type::Numeric), "NULL");
}

#[test]
fn regressions_are_those_of_postgresql() {
    let (y, x) = (doubles(&[1.5, 2.25, 4.0, -1.0]), doubles(&[2.0, 3.0, 7.5, 1.0]));
    let expected = [
        (F::Corr, "0.992180934115283"),
        (F::CovarPop, "2.486111111111111"),
        (F::CovarSamp, "3.7291666666666665"),
        (F::RegrAvgX, "4.166666666666667"),
        (F::RegrAvgY, "2.5833333333333335"),
        (F::RegrIntercept, "0.7730582524271844"),
        (F::RegrR2, "0.9844230060218755"),
        (F::RegrSlope, "0.43446601941747576"),
        (F::RegrSxx, "17.166666666666664"),
        (F::RegrSxy, "7.458333333333333"),
        (F::RegrSyy, "3.2916666666666665"),
    ];
    for (function, answer) in expected {
        let [at_once, merged] = both(function, &[y.clone(), x.clone()], Type::Double, 4, 2);
        assert_eq!(at_once.unwrap(), answer, "{function:?}");
        let (merged, answer) = (merged.unwrap().parse::<f64>().unwrap(), answer.parse::<f64>().unwrap());
        assert!((merged - answer).abs() < 1e-12, "{function:?} {merged}");
        assert_eq!(aggregate(function, &[doubles(&[]), doubles(&[])], Type::Double), "NULL");
    }
    assert_eq!(aggregate(F::RegrCount, &[y, x], Type::BigInt), "3");
    assert_eq!(aggregate(F::RegrCount, &[doubles(&[]), doubles(&[])], Type::BigInt), "0");
    let flat = doubles(&[2.0, 2.0]);
    assert_eq!(aggregate(F::RegrSlope, &[doubles(&[1.0, 2.0]), flat.clone()], Type::Double), "NULL");
    assert_eq!(aggregate(F::RegrR2, &[flat, doubles(&[1.0, 2.0])], Type::Double), "1");
}

/// Aim: a refused row changes nothing, and the update can go on with it. Method: a limit that a rope reaches; room is made,
/// and the rest of the rows are taken.
#[test]
fn a_refused_row_can_be_taken_later() {
    let root = Budget::unlimited("root").unwrap();
    let budget = root.child("test", 16 << 10).unwrap();
    let arena = Arena::new(&root);
    let mut store = Store::new(64, &arena);
    let long = "x".repeat(700);
    let id = column(&[Value::Text(&long); 40], Type::Text, &mut store, &arena);
    let element = Element::of(Type::Text).unwrap();
    let state = State::new(F::ArrayAgg, &[Type::Text], Type::Array(element), 0);
    let mut table = GroupTable::new(&budget, state.bytes());
    let mut scratch = Growing::new(&root);
    let mut elements = 0;
    let mut from = 0;
    while from < 40 {
        let place = group(&mut table);
        let taken = Taken::of(Rows::All(40), from..40);
        let row = match state.update(&mut table, Places::One(place), taken, &[id], &store, &mut scratch) {
            Ok(()) => 40,
            Err(stopped) => stopped.row,
        };
        assert!(row > from, "a table without rows has room for one");
        from = row;
        let text = finished(&state, &mut table, Type::Array(element)).unwrap();
        elements += text.split(',').count();
        table.release();
    }
    assert_eq!(elements, 40);
}

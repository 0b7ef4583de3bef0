//! Operators and expressions against naive ones.

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_plan::expr::{BinaryOp, DateField, ExprKind, Function, UnaryOp};
use cofferdam_plan::physical::AggregateFunction::{Avg, Count, CountRows, Max, Min, Sum};
use cofferdam_types::{Type, Value};
use proptest::prelude::*;

use super::support::{E, Plans, Query, TempFile, decimal};

/// The value of an expression of no column.
fn evaluate(make: impl FnOnce(Plans) -> E) -> String {
    match try_evaluate(make) {
        Ok(text) => text,
        Err((sqlstate, message)) => panic!("{sqlstate}: {message}"),
    }
}

fn try_evaluate(make: impl FnOnce(Plans) -> E) -> Result<String, (String, String)> {
    let mut query = Query::new();
    let one = query.one_row();
    let expr = make(query.plans);
    query.project(one, &[expr]);
    query.run(u64::MAX).map(|mut rows| rows.remove(0))
}

fn sqlstate(make: impl FnOnce(Plans) -> E) -> String {
    try_evaluate(make).unwrap_err().0
}

/// A table of two nullable integers and a nullable text, as rows and as a file.
type Row = (Option<i32>, Option<i32>, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let number = || proptest::option::weighted(0.8, -5i32..6);
    proptest::collection::vec((number(), number(), proptest::option::weighted(0.8, "[a-cé]{0,2}")), 0..200)
}

const COLUMNS: [(&str, Type); 3] = [("a", Type::Integer), ("b", Type::Integer), ("t", Type::Text)];

fn file(rows: &[Row]) -> TempFile {
    let show = |n: &Option<i32>| n.map_or(String::new(), |n| n.to_string());
    let line = |(a, b, t): &Row| {
        let text = t.as_ref().map_or(String::new(), |t| format!("\"{t}\""));
        format!("{},{},{text}\n", show(a), show(b))
    };
    TempFile::new("csv", rows.iter().map(line).collect::<String>())
}

fn scan_of(file: &TempFile) -> (Query, cofferdam_plan::physical::OperatorId) {
    let mut query = Query::new();
    let columns = query.plans.columns(&COLUMNS);
    let format = cofferdam_plan::physical::CsvFormat::CSV;
    let source = cofferdam_plan::physical::FileSource {
        path: query.plans.arena.alloc_str(file.path()).unwrap(),
        format: cofferdam_plan::physical::FileFormat::Csv(format),
        columns,
        size_bytes: 0,
        rows_estimate: None,
        fields: cofferdam_plan::physical::FieldRules::AS_IT_STANDS,
    };
    let source = query.plans.arena.alloc(source).unwrap();
    let scan = query.scan_all(source);
    (query, scan)
}

fn text_of<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or("NULL".to_owned(), T::to_string)
}

fn row_text((a, b, t): &Row) -> String {
    format!("{}|{}|{}", text_of(a), text_of(b), text_of(t))
}

/// NULLs last, as PostgreSQL sorts ascending.
fn nulls_last<T: Clone>(value: &Option<T>) -> (bool, Option<T>) {
    (value.is_none(), value.clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn three_valued_logic_is_that_of_a_truth_table(rows in rows()) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        let p = query.plans;
        let (a, b) = (query.col(scan, 0), query.col(scan, 1));
        let positive = p.test(BinaryOp::Greater, a, p.int(0));
        let smaller = p.test(BinaryOp::Less, a, b);
        let both = p.test(BinaryOp::And, positive, smaller);
        let either = p.test(BinaryOp::Or, positive, smaller);
        let neither = p.unary(UnaryOp::Not, either);
        let known = p.unary(UnaryOp::IsNotNull, either);
        let differs = p.test(BinaryOp::IsDistinctFrom, a, b);
        query.project(scan, &[both, either, neither, known, differs]);
        let expected: Vec<String> = rows.iter().map(|(a, b, _)| {
            let positive = a.map(|a| a > 0);
            let smaller = a.zip(*b).map(|(a, b)| a < b);
            let both = if positive == Some(false) || smaller == Some(false) { Some(false) }
                else { positive.zip(smaller).map(|_| true) };
            let either = if positive == Some(true) || smaller == Some(true) { Some(true) }
                else { positive.zip(smaller).map(|_| false) };
            let letter = |value: Option<bool>| text_of(&value.map(|v| if v { "t" } else { "f" }));
            [both, either, either.map(|v| !v), Some(either.is_some()), Some(a != b)].map(letter).join("|")
        }).collect();
        prop_assert_eq!(query.rows(), expected);
    }

    #[test]
    fn a_filter_keeps_what_is_true(rows in rows(), bound in -5i32..6) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        let p = query.plans;
        let (a, b, t) = (query.col(scan, 0), query.col(scan, 1), query.col(scan, 2));
        let range = ExprKind::Between { arg: b, low: p.int(-3), high: p.int(bound), negated: false };
        let list = ExprKind::InList { arg: t, list: p.list(&[p.text("a"), p.text("bc"), p.null(Type::Text)]), negated: true };
        let odd = ExprKind::InList { arg: a, list: p.list(&[p.int(1), p.int(3), p.int(-1)]), negated: false };
        query.filter(scan, &[p.expr(range, Type::Boolean), p.expr(odd, Type::Boolean)]);
        let expected: Vec<String> = rows.iter().filter(|(a, b, _)| {
            b.is_some_and(|b| (-3..=bound).contains(&b)) && a.is_some_and(|a| [1, 3, -1].contains(&a))
        }).map(row_text).collect();
        prop_assert_eq!(query.rows(), expected);
        // A list with a NULL makes NOT IN never true.
        let (mut query, scan) = scan_of(&file);
        query.filter(scan, &[p.expr(list, Type::Boolean)]);
        prop_assert!(query.rows().is_empty());
    }

    #[test]
    fn case_evaluates_only_the_branch_that_is_taken(rows in rows()) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        let p = query.plans;
        let (a, b, t) = (query.col(scan, 0), query.col(scan, 1), query.col(scan, 2));
        // Divides by b only where b is not zero.
        let nonzero = p.test(BinaryOp::NotEqual, b, p.int(0));
        let quotient = p.binary(BinaryOp::Divide, a, b, Type::Integer);
        let guarded = p.case(None, &[(nonzero, quotient)], Some(p.unary(UnaryOp::Negate, a)));
        let and = p.test(BinaryOp::And, nonzero, p.test(BinaryOp::Greater, quotient, p.int(0)));
        let named = p.case(Some(a), &[(p.int(1), p.text("one")), (b, t)], None);
        let first = p.call(Function::Coalesce, &[a, p.binary(BinaryOp::Add, b, p.int(100), Type::Integer)], Type::Integer);
        let not_zero = p.call(Function::NullIf, &[a, p.int(0)], Type::Integer);
        query.project(scan, &[guarded, and, named, first, not_zero]);
        let expected: Vec<String> = rows.iter().map(|(a, b, t)| {
            let quotient = a.zip(*b).filter(|(_, b)| *b != 0).map(|(a, b)| a / b);
            let guarded = if b.is_some_and(|b| b != 0) { quotient } else { a.map(|a| -a) };
            let and = match b { None => quotient.map(|q| q > 0).filter(|v| !v), Some(0) => Some(false), _ => quotient.map(|q| q > 0) };
            let named = if *a == Some(1) { Some("one".to_owned()) } else if a.is_some() && a == b { t.clone() } else { None };
            [
                text_of(&guarded),
                text_of(&and.map(|v| if v { "t" } else { "f" })),
                text_of(&named),
                text_of(&a.or(b.map(|b| b + 100))),
                text_of(&a.filter(|a| *a != 0)),
            ].join("|")
        }).collect();
        prop_assert_eq!(query.rows(), expected);
    }

    #[test]
    fn groups_are_those_of_a_map(rows in rows()) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        let (a, b, t) = (query.col(scan, 0), query.col(scan, 1), query.col(scan, 2));
        let aggregates = [
            (CountRows, None, false, Type::BigInt),
            (Count, Some(b), false, Type::BigInt),
            (Sum, Some(b), false, Type::BigInt),
            (Avg, Some(b), false, decimal(38, 16)),
            (Min, Some(t), false, Type::Text),
            (Max, Some(b), false, Type::Integer),
            (Count, Some(t), true, Type::BigInt),
            (Sum, Some(b), true, Type::BigInt),
        ];
        query.aggregate(scan, &[a, t], &aggregates);
        let mut groups: BTreeMap<(Option<i32>, Option<String>), Vec<&Row>> = BTreeMap::new();
        for row in &rows {
            groups.entry((row.0, row.2.clone())).or_default().push(row);
        }
        let mut expected: Vec<String> = groups.iter().map(|((a, t), rows)| {
            let values: Vec<i32> = rows.iter().filter_map(|row| row.1).collect();
            let sum = (!values.is_empty()).then(|| values.iter().map(|&v| i64::from(v)).sum::<i64>());
            let mean = sum.map(|sum| mean_text(sum, values.len()));
            let distinct: BTreeSet<i32> = values.iter().copied().collect();
            let distinct_sum = (!values.is_empty()).then(|| distinct.iter().sum::<i32>());
            let texts: BTreeSet<&String> = rows.iter().filter_map(|row| row.2.as_ref()).collect();
            [
                text_of(a), text_of(t), rows.len().to_string(), values.len().to_string(), text_of(&sum), text_of(&mean),
                text_of(&texts.first()), text_of(&values.iter().max()), texts.len().to_string(), text_of(&distinct_sum),
            ].join("|")
        }).collect();
        let mut got = query.rows();
        got.sort();
        expected.sort();
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn sorting_is_stable_and_puts_nulls_where_they_belong(
        rows in rows(), descending in any::<bool>(), nulls_first in any::<bool>(), limit in proptest::option::of(0u64..40),
    ) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        query.sort(scan, &[(2, descending, nulls_first), (0, false, false)], limit);
        let mut sorted: Vec<&Row> = rows.iter().collect();
        sorted.sort_by(|x, y| {
            let null = |row: &Row| row.2.is_none() != nulls_first;
            let text = if descending { y.2.cmp(&x.2) } else { x.2.cmp(&y.2) };
            null(x).cmp(&null(y)).then(text).then(nulls_last(&x.0).cmp(&nulls_last(&y.0)))
        });
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let expected: Vec<String> = sorted.into_iter().take(limit).map(row_text).collect();
        prop_assert_eq!(query.rows(), expected);
    }

    #[test]
    fn joins_are_those_of_two_loops(left in rows(), right in rows()) {
        let (left_file, right_file) = (file(&left), file(&right));
        let (mut query, probe) = scan_of(&left_file);
        let p = query.plans;
        let (other, _) = scan_of(&right_file);
        let build = query.push(other.operators[0].kind, other.operators[0].columns);
        let keys = [(query.col(probe, 0), query.col(build, 1)), (query.col(probe, 2), query.col(build, 2))];
        let residual = p.test(BinaryOp::LessEqual, p.column(1, Type::Integer), p.column(3, Type::Integer));
        query.join(probe, build, &keys, &[residual], &[0, 1, 3, 5]);
        let mut expected = Vec::new();
        let mut pairs = Vec::new();
        for (a, b, t) in &left {
            for (c, d, u) in &right {
                let less = b.zip(*c).is_some_and(|(b, c)| b <= c);
                let line = [text_of(a), text_of(b), text_of(c), text_of(u)].join("|");
                if a.is_some() && a == d && t.is_some() && t == u && less {
                    expected.push(line.clone());
                }
                if less {
                    pairs.push(line);
                }
            }
        }
        let mut got = query.rows();
        got.sort();
        expected.sort();
        prop_assert_eq!(got, expected);

        let mut query = Query { operators: query.operators[..2].to_vec(), plans: p };
        query.nested_loop(probe, build, &[residual], &[0, 1, 3, 5]);
        let mut got = query.rows();
        got.sort();
        pairs.sort();
        prop_assert_eq!(got, pairs);
    }

    #[test]
    fn distinct_and_limit_pass_the_first_rows(rows in rows(), offset in 0u64..20, count in proptest::option::of(0u64..20)) {
        let file = file(&rows);
        let (mut query, scan) = scan_of(&file);
        let distinct = query.distinct(scan);
        query.limit(distinct, count, offset);
        let mut seen = BTreeSet::new();
        let first: Vec<String> = rows.iter().filter(|row| seen.insert((*row).clone())).map(row_text).collect();
        let count = count.map_or(usize::MAX, |count| count as usize);
        let expected: Vec<String> = first.into_iter().skip(offset as usize).take(count).collect();
        prop_assert_eq!(query.rows(), expected);
    }

    #[test]
    fn exact_numbers_agree_with_wide_integers(a in -10i128.pow(16)..10i128.pow(16), b in -10i128.pow(16)..10i128.pow(16)) {
        let with_point = |value: i128, scale: usize| {
            let sign = if value < 0 { "-" } else { "" };
            let digits = format!("{:0width$}", value.abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{fraction}")
        };
        let number = |p: Plans, value| p.dec(value, 17, 3);
        let binary = |op, ty| evaluate(|p| p.binary(op, number(p, a), number(p, b), ty));
        prop_assert_eq!(binary(BinaryOp::Add, decimal(18, 3)), with_point(a + b, 3));
        prop_assert_eq!(binary(BinaryOp::Subtract, decimal(18, 3)), with_point(a - b, 3));
        prop_assert_eq!(binary(BinaryOp::Multiply, decimal(34, 6)), with_point(a * b, 6));
        // Scales that differ, as constants and as columns of constants.
        let (few, sum) = (b % 10i128.pow(10), decimal(20, 3));
        let expected = [with_point(a + few * 100, 3), with_point(few * 100 - a, 3)];
        let mixed = |p: Plans, x, y| {
            let add = p.binary(BinaryOp::Add, x, y, sum);
            [add, p.binary(BinaryOp::Subtract, y, x, sum)]
        };
        let mut query = Query::new();
        let p = query.plans;
        let one = query.one_row();
        query.project(one, &mixed(p, number(p, a), p.dec(few, 10, 1)));
        prop_assert_eq!(query.rows(), [expected.join("|")]);
        let mut query = Query::new();
        let p = query.plans;
        let columns = [("x", decimal(17, 3)), ("y", decimal(10, 1))];
        let values = query.values(&columns, &[vec![number(p, a), p.dec(few, 10, 1)]]);
        query.project(values, &mixed(p, query.col(values, 0), query.col(values, 1)));
        prop_assert_eq!(query.rows(), [expected.join("|")]);
        if b != 0 {
            prop_assert_eq!(binary(BinaryOp::Modulo, decimal(17, 3)), with_point(a % b, 3));
        }
    }
}

fn mean_text(sum: i64, count: usize) -> String {
    let (scaled, count) = (i128::from(sum) * 10i128.pow(16), count as i128);
    let rounded = (scaled.abs() * 2 + count) / (count * 2);
    let sign = if sum < 0 && rounded != 0 { "-" } else { "" };
    format!("{sign}{}.{:016}", rounded / 10i128.pow(16), rounded % 10i128.pow(16))
}

#[test]
fn an_aggregate_without_groups_has_one_row() {
    let file = file(&[]);
    let (mut query, scan) = scan_of(&file);
    let a = query.col(scan, 0);
    query.aggregate(
        scan,
        &[],
        &[(CountRows, None, false, Type::BigInt), (Sum, Some(a), false, Type::BigInt)],
    );
    assert_eq!(query.rows(), ["0|NULL"]);
    let (mut query, scan) = scan_of(&file);
    query.aggregate(scan, &[query.col(scan, 0)], &[(CountRows, None, false, Type::BigInt)]);
    assert!(query.rows().is_empty());
}

#[test]
fn errors_of_values_carry_their_sqlstate() {
    let big = |p: Plans| p.int(i32::MAX);
    assert_eq!(sqlstate(|p| p.binary(BinaryOp::Add, big(p), p.int(1), Type::Integer)), "22003");
    assert_eq!(sqlstate(|p| p.binary(BinaryOp::Divide, p.int(1), p.int(0), Type::Integer)), "22012");
    assert_eq!(sqlstate(|p| p.binary(BinaryOp::Modulo, p.bigint(1), p.bigint(0), Type::BigInt)), "22012");
    let one = |p: Plans| p.dec(100, 5, 2);
    assert_eq!(sqlstate(|p| p.binary(BinaryOp::Divide, one(p), p.dec(0, 5, 2), decimal(38, 16))), "22012");
    let huge = |p: Plans| p.dec(10i128.pow(37), 38, 0);
    assert_eq!(sqlstate(|p| p.binary(BinaryOp::Multiply, huge(p), huge(p), decimal(38, 0))), "22003");
    assert_eq!(sqlstate(|p| p.cast(p.text("abc"), Type::Integer)), "22P02");
    assert_eq!(sqlstate(|p| p.cast(p.text("2024-13-01"), Type::Date)), "22008");
    assert_eq!(sqlstate(|p| p.cast(p.dec(12345, 5, 0), decimal(4, 1))), "22003");
    let args = |p: Plans| [p.text("abc"), p.int(1), p.int(-1)];
    assert_eq!(sqlstate(|p| p.call(Function::Substring, &args(p), Type::Text)), "22011");
    let like = |p: Plans| ExprKind::Like {
        text: p.text("ab"),
        pattern: p.text("a\\"),
        escape: Some('\\'),
        negated: false,
    };
    assert_eq!(sqlstate(|p| p.expr(like(p), Type::Boolean)), "22025");
    let double = |p: Plans, v| p.literal(Value::Double(v), Type::Double);
    assert_eq!(
        sqlstate(|p| p.binary(BinaryOp::Multiply, double(p, 1e300), double(p, 1e300), Type::Double)),
        "22003"
    );
    assert_eq!(
        sqlstate(|p| p.binary(BinaryOp::Add, p.date("2024-01-01"), p.int(i32::MAX), Type::Date)),
        "22008"
    );
}

#[test]
fn values_of_expressions() {
    assert_eq!(evaluate(|p| p.binary(BinaryOp::Divide, p.int(-7), p.int(2), Type::Integer)), "-3");
    assert_eq!(
        evaluate(|p| p.binary(BinaryOp::Divide, p.dec(100, 5, 2), p.dec(300, 5, 2), decimal(38, 16))),
        "0.3333333333333333"
    );
    assert_eq!(
        evaluate(|p| p.binary(BinaryOp::Subtract, p.date("2024-03-01"), p.date("2024-02-01"), Type::Integer)),
        "29"
    );
    assert_eq!(
        evaluate(|p| p.binary(BinaryOp::Add, p.date("2024-02-28"), p.int(2), Type::Date)),
        "2024-03-01"
    );
    let month = cofferdam_types::Interval { months: 1, days: 0, micros: 0 };
    let month = |p: Plans| p.literal(Value::Interval(month), Type::Interval);
    assert_eq!(
        evaluate(|p| p.binary(BinaryOp::Add, p.date("2024-01-31"), month(p), Type::Date)),
        "2024-02-29"
    );
    assert_eq!(evaluate(|p| p.binary(BinaryOp::Concat, p.text("ab"), p.text("cd"), Type::Text)), "abcd");
    assert_eq!(evaluate(|p| p.call(Function::Upper, &[p.text("aé")], Type::Text)), "AÉ");
    assert_eq!(evaluate(|p| p.call(Function::Length, &[p.text("aé")], Type::Integer)), "2");
    assert_eq!(evaluate(|p| p.call(Function::TrimBoth, &[p.text("xax"), p.text("x")], Type::Text)), "a");
    let args = |p: Plans| [p.text("hello"), p.int(2), p.int(3)];
    assert_eq!(evaluate(|p| p.call(Function::Substring, &args(p), Type::Text)), "ell");
    assert_eq!(evaluate(|p| p.call(Function::Round, &[p.dec(-25, 2, 1)], decimal(2, 0))), "-3");
    assert_eq!(evaluate(|p| p.call(Function::Floor, &[p.dec(-25, 2, 1)], decimal(2, 0))), "-3");
    assert_eq!(evaluate(|p| p.call(Function::Ceil, &[p.dec(-25, 2, 1)], decimal(2, 0))), "-2");
    assert_eq!(evaluate(|p| p.call(Function::Abs, &[p.int(-4)], Type::Integer)), "4");
    let year = Function::Extract(DateField::Year);
    assert_eq!(evaluate(|p| p.call(year, &[p.date("1994-05-06")], decimal(10, 0))), "1994");
    assert_eq!(evaluate(|p| p.cast(p.dec(1250, 5, 2), Type::Text)), "12.50");
    assert_eq!(evaluate(|p| p.cast(p.text("12.5"), decimal(5, 2))), "12.50");
    assert_eq!(evaluate(|p| p.cast(p.int(7), decimal(20, 2))), "7.00");
    assert_eq!(evaluate(|p| p.cast(p.dec(250, 5, 2), Type::Integer)), "3");
    assert_eq!(evaluate(|p| p.unary(UnaryOp::IsTrue, p.null(Type::Boolean))), "f");
}

/// Aim: a plan without any text has no heap, and needs none. Method: a row of every other kind.
#[test]
fn values_without_a_text_column_need_no_heap() {
    let mut query = Query::new();
    let one = query.one_row();
    let p = query.plans;
    query.project(one, &[p.int(7), p.test(BinaryOp::Equal, p.int(1), p.int(2))]);
    assert_eq!(query.rows(), ["7|f"]);
}

#[test]
fn deep_expressions_take_no_native_stack() {
    let mut query = Query::new();
    let one = query.one_row();
    let p = query.plans;
    let (mut left, mut right) = (p.int(0), p.test(BinaryOp::Equal, p.int(1), p.int(1)));
    for _ in 0..100_000 {
        left = p.binary(BinaryOp::Add, left, p.int(1), Type::Integer);
    }
    for _ in 0..2_000 {
        right = p.test(BinaryOp::And, p.test(BinaryOp::Equal, p.int(1), p.int(1)), right);
    }
    query.project(one, &[left, right]);
    assert_eq!(query.rows(), ["100000|t"]);
}

#[test]
fn deep_plans_take_no_native_stack() {
    let mut query = Query::new();
    let mut top = query.values(&[("a", Type::Integer)], &[vec![query.plans.int(1)]]);
    for _ in 0..20_000 {
        top = query.limit(top, None, 0);
    }
    assert_eq!(query.rows(), ["1"]);
}

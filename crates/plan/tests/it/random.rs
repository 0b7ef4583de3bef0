//! Random statements: sound ones have plans that keep their promises, wild ones typed errors; constants are what a simple
//! model says.

use cofferdam_plan::explain::{ExplainOptions, explain};
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::physical::OperatorKind;
use cofferdam_types::Value;
use proptest::prelude::*;

use crate::plans::{budget, with_plan};

/// An expression of whatever type over the columns of `t` and `u`.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "t.a",
        "u.a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g",
        "x",
        "y",
        "1",
        "2.5",
        "'2024-01-01'",
        "'x'",
        "NULL",
        "true",
        "date '2024-02-03'",
        "interval '1' day",
        "0",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        let operators = vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "=",
            "<>",
            "<",
            ">=",
            "AND",
            "OR",
            "||",
            "IS DISTINCT FROM",
            "LIKE",
        ];
        prop_oneof![
            (pair.clone(), prop::sample::select(operators))
                .prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            (pair.clone(), inner.clone()).prop_map(|((a, b), c)| format!("({a} BETWEEN {b} AND {c})")),
            (pair.clone(), inner.clone())
                .prop_map(|((a, b), c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (pair.clone(), inner.clone()).prop_map(|((a, b), c)| format!("({a} IN ({b}, {c}))")),
            (
                inner.clone(),
                prop::sample::select(vec![
                    "integer",
                    "bigint",
                    "text",
                    "date",
                    "numeric(8,3)",
                    "double precision"
                ])
            )
                .prop_map(|(a, ty)| format!("CAST({a} AS {ty})")),
            (
                inner.clone(),
                prop::sample::select(vec![
                    "sum", "count", "avg", "min", "max", "lower", "abs", "round", "length"
                ])
            )
                .prop_map(|(a, function)| format!("{function}({a})")),
            pair.prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            inner.clone().prop_map(|a| format!("(NOT {a})")),
            inner.prop_map(|a| format!("({a} IS NULL)")),
        ]
    })
}

/// Statements whose types are left to chance: most of them have an error.
fn wild_statement() -> impl Strategy<Value = String> {
    let clause = |word: &'static str| {
        prop::option::of(expression())
            .prop_map(move |expr| expr.map_or(String::new(), |expr| format!(" {word} {expr}")))
    };
    let from = prop::sample::select(vec![
        "t",
        "t, u",
        "t JOIN u USING (a)",
        "(SELECT a, b, c, d, e, f, g FROM t) AS t",
    ]);
    let clauses = (clause("WHERE"), clause("GROUP BY"), clause("HAVING"), clause("ORDER BY"));
    (prop::collection::vec(expression(), 1..4), from, clauses).prop_map(
        |(items, from, (filter, group, having, order))| {
            format!("SELECT {} FROM {from}{filter}{group}{having}{order}", items.join(", "))
        },
    )
}

/// The types that typed expressions have.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Number,
    Text,
    Truth,
    Day,
}

/// An expression of a kind over the columns of `t` and `u`, at most `depth` levels deep.
fn typed(kind: Kind, depth: u32) -> BoxedStrategy<String> {
    let leaves: &[&str] = match kind {
        Kind::Number => &["t.a", "c", "e", "g", "y", "1", "2.50", "-7", "NULL::integer", "100000000000"],
        Kind::Text => &["b", "x", "'x'", "'%y_'", "NULL::text"],
        Kind::Truth => &["f", "true", "false", "NULL::boolean"],
        Kind::Day => &["d", "date '2024-02-29'", "(DATE '1998-12-01' - INTERVAL '3' MONTH)::date"],
    };
    let leaf = prop::sample::select(leaves.to_vec()).prop_map(str::to_owned);
    if depth == 0 {
        return leaf.boxed();
    }
    let of = move |kind| typed(kind, depth - 1);
    let two = move |kind| (of(kind), of(kind));
    let case = (of(Kind::Truth), of(kind), of(kind))
        .prop_map(|(c, a, b)| format!("CASE WHEN {c} THEN {a} ELSE {b} END"));
    let coalesce = two(kind).prop_map(|(a, b)| format!("coalesce({a}, {b})"));
    let own = match kind {
        Kind::Number => prop_oneof![
            (two(kind), prop::sample::select(vec!["+", "-", "*", "/"]))
                .prop_map(|((a, b), op)| format!("(2 * {a} {op} {b} * 1)")),
            of(kind).prop_map(|a| format!("abs(coalesce({a}, 0))")),
            of(kind).prop_map(|a| format!("CAST({a} AS numeric(20,3))")),
            of(Kind::Text).prop_map(|a| format!("length({a})")),
            two(Kind::Day).prop_map(|(a, b)| format!("({a} - ({b}))")),
            of(Kind::Day).prop_map(|a| format!("extract(month FROM {a})")),
        ]
        .boxed(),
        Kind::Text => prop_oneof![
            two(kind).prop_map(|(a, b)| format!("({a} || {b})")),
            of(kind).prop_map(|a| format!("upper({a})")),
            of(Kind::Number).prop_map(|a| format!("CAST({a} AS text)")),
            of(kind).prop_map(|a| format!("substring({a} FROM 2 FOR 1)")),
        ]
        .boxed(),
        Kind::Truth => prop_oneof![
            (two(kind), prop::sample::select(vec!["AND", "OR"]))
                .prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            of(kind).prop_map(|a| format!("(NOT {a})")),
            (two(Kind::Number), prop::sample::select(vec!["=", "<", ">=", "<>", "IS DISTINCT FROM"]))
                .prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            two(Kind::Text).prop_map(|(a, b)| format!("({a} LIKE {b})")),
            (of(Kind::Day), of(Kind::Day), of(Kind::Day))
                .prop_map(|(a, b, c)| format!("({a} BETWEEN {b} AND {c})")),
            (of(Kind::Number), two(Kind::Number)).prop_map(|(a, (b, c))| format!("({a} NOT IN ({b}, {c}))")),
            of(Kind::Text).prop_map(|a| format!("({a} IS NOT NULL)")),
        ]
        .boxed(),
        Kind::Day => prop_oneof![
            of(kind).prop_map(|a| format!("({a} + 1)")),
            of(kind).prop_map(|a| format!("({a} - interval '1' year)::date")),
        ]
        .boxed(),
    };
    prop_oneof![1 => leaf, 3 => own, 1 => case, 1 => coalesce].boxed()
}

fn any_typed() -> impl Strategy<Value = String> {
    prop_oneof![typed(Kind::Number, 3), typed(Kind::Text, 3), typed(Kind::Truth, 3), typed(Kind::Day, 3)]
}

/// Statements without an error: plain or grouped, over joins and queries in FROM.
fn sound_statement() -> impl Strategy<Value = String> {
    let from = prop::sample::select(vec![
        "t, u",
        "t JOIN u ON t.a = u.a",
        "t CROSS JOIN u",
        "u JOIN (SELECT * FROM t WHERE a > 1) AS t USING (a)",
        "(SELECT a, count(*) AS y, max(x) AS x FROM u GROUP BY a) AS u JOIN t ON t.a = u.a",
        "(SELECT DISTINCT * FROM t ORDER BY a LIMIT 5) AS t NATURAL JOIN u",
    ]);
    let filter = prop::option::of(typed(Kind::Truth, 3))
        .prop_map(|filter| filter.map_or(String::new(), |filter| format!(" WHERE {filter}")));
    let limit = prop::sample::select(vec!["", " LIMIT 3", " OFFSET 2", " LIMIT 1 OFFSET 1"]);
    (prop_oneof![plain(), grouped()], from, filter, limit).prop_map(|((items, rest), from, filter, limit)| {
        format!("SELECT {items} FROM {from}{filter}{rest}{limit}")
    })
}

/// A select list, and what follows WHERE.
fn plain() -> impl Strategy<Value = (String, String)> {
    (prop::collection::vec(any_typed(), 1..4), any_typed(), any::<bool>()).prop_map(
        |(items, key, distinct)| match distinct {
            true => (format!("DISTINCT {}", items.join(", ")), " ORDER BY 1 DESC".to_owned()),
            false => (items.join(", "), format!(" ORDER BY ({key}) IS NULL, coalesce({key})")),
        },
    )
}

/// The same with groups: the list has each group, something computed from the first, and aggregates.
fn grouped() -> impl Strategy<Value = (String, String)> {
    let groups = prop::collection::vec(any_typed(), 1..3);
    let aggregate = (
        prop::sample::select(vec!["sum", "avg", "min", "max", "count", "count(DISTINCT"]),
        typed(Kind::Number, 3),
    )
        .prop_map(|(function, arg)| match function.ends_with("DISTINCT") {
            true => format!("{function} {arg} + 1)"),
            false => format!("{function}({arg} + 1)"),
        });
    (groups, prop::collection::vec(aggregate, 1..3)).prop_map(|(groups, aggregates)| {
        // In parentheses a constant is no position.
        let groups: Vec<String> = groups.iter().map(|group| format!("coalesce({group})")).collect();
        let (first, all) = (&groups[0], groups.join(", "));
        let items = format!("{all}, {first} IS NULL, {}", aggregates.join(", "));
        (items, format!(" GROUP BY {all} HAVING {} IS NOT NULL ORDER BY {}, 1", aggregates[0], aggregates[0]))
    })
}

/// A whole-number expression with its value; `None` where a step overflows or divides by zero.
fn whole_number() -> impl Strategy<Value = (String, Option<i32>)> {
    let leaf =
        (-100i32..100_000).prop_map(|n| (if n < 0 { format!("({n})") } else { n.to_string() }, Some(n)));
    leaf.prop_recursive(6, 48, 2, |inner| {
        (inner.clone(), inner, 0..5).prop_map(|((a, x), (b, y), op)| {
            let symbol = ["+", "-", "*", "/", "%"][op as usize];
            let value = x.zip(y).and_then(|(x, y)| match op {
                0 => x.checked_add(y),
                1 => x.checked_sub(y),
                2 => x.checked_mul(y),
                3 => x.checked_div(y),
                _ => x.checked_rem(y),
            });
            (format!("({a} {symbol} {b})"), value)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wild_statements_have_a_typed_error_with_a_place(sql in wild_statement()) {
        let outcome = with_plan(&sql, &budget(), |outcome, _| outcome.map(|_| ()).map_err(|error| {
            (error.sqlstate(), error.span().is_some_and(|span| !span.of(&sql).is_empty()))
        }));
        if let Err((sqlstate, has_place)) = outcome {
            prop_assert_eq!(sqlstate.len(), 5);
            prop_assert!(has_place, "{}", sql);
        }
    }

    /// The plan keeps its promises, which `with_plan` checks, and explaining it takes no more than memory.
    #[test]
    fn sound_statements_have_sound_plans(sql in sound_statement()) {
        with_plan(&sql, &budget(), |outcome, arena| {
            let plan = outcome.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert!(!explain(&plan, ExplainOptions { verbose: true, ..ExplainOptions::default() }, arena).unwrap().is_empty());
        });
    }

    #[test]
    fn constants_are_what_the_model_says((sql, expected) in whole_number()) {
        let found = with_plan(&format!("SELECT {sql}"), &budget(), |outcome, _| {
            let OperatorKind::Project { exprs, .. } = outcome.unwrap().root().kind else { panic!("a projection") };
            match exprs[0].kind {
                ExprKind::Literal(Value::Integer(value)) => Some(value),
                ExprKind::Literal(other) => panic!("{other:?}"),
                _ => None,
            }
        });
        prop_assert_eq!(found, expected);
    }
}

//! Planning under every limit and with every charge refused: the plan or the typed error, and nothing left behind.

use std::path::Path;

use cofferdam_arena::{Arena, Budget, UNIT};
use cofferdam_plan::explain::{ExplainOptions, explain};
use cofferdam_plan::{EmptyCatalog, Error, plan_query};
use cofferdam_sql::parse;
use cofferdam_sql::views::Statement;
use cofferdam_testkit::Failure;
use cofferdam_testkit::counting::Counting;
use cofferdam_testkit::golden::{self, Script};
use cofferdam_testkit::inject::Injection;
use cofferdam_testkit::sweep::Sweep;

use crate::catalog::TestCatalog;
use crate::plans::{self, budget, definition};

/// Statements that reach every pass and every list that grows.
const STATEMENTS: [&str; 6] = [
    "SELECT 1",
    "SELECT l_returnflag, sum(l_extendedprice * (1 - l_discount)) AS s, avg(l_quantity), count(*) FROM lineitem \
     WHERE l_shipdate <= date '1998-12-01' - interval '90' day GROUP BY 1 HAVING count(*) > 5 ORDER BY 1 DESC, sum(l_tax) + 1",
    "SELECT l_orderkey, o_orderdate FROM customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND \
     c_custkey = o_custkey AND l_orderkey = o_orderkey AND o_orderdate < l_shipdate ORDER BY 2, 1 LIMIT 10 OFFSET 5",
    "SELECT DISTINCT x, lower(b) || 'x' FROM (SELECT * FROM t JOIN u USING (a) WHERE e BETWEEN 1 AND 2) AS q \
     WHERE CASE WHEN f THEN b LIKE 'a%' ELSE a IN (1, 2, 3) END",
    "SELECT column1 + 1 FROM (VALUES (1, 'a'), (2, NULL)) AS v WHERE column2 IS NOT NULL",
    "SELECT nonsense FROM t",
];

/// The plan's text; errors of the statement are an outcome like any other.
fn plan(sql: &str, budget: &Budget) -> Result<String, Failure> {
    let parse_arena = Arena::new(budget);
    let arena = Arena::new(budget);
    let refused = || Failure::of(budget, &"out of memory", true);
    let tree = match parse(sql, &parse_arena) {
        Ok(tree) => tree,
        Err(cofferdam_sql::Error::OutOfMemory(_)) => return Err(refused()),
        Err(error) => return Err(Failure::of(budget, &error, false)),
    };
    match definition(tree.statement(), &arena) {
        Some(Ok(text)) => return Ok(text),
        Some(Err(Error::OutOfMemory(_))) => return Err(refused()),
        Some(Err(error)) => return Ok(format!("{} {error}", error.sqlstate())),
        None => {}
    }
    match plans::plan(tree.statement(), &arena) {
        Ok(plan) => match explain(&plan, ExplainOptions::default(), &arena) {
            Ok(lines) => Ok(lines.join("\n")),
            Err(_) => Err(refused()),
        },
        Err(Error::OutOfMemory(_)) => Err(refused()),
        Err(error) => Ok(format!("{} {error}", error.sqlstate())),
    }
}

/// From nothing to enough: each attempt fails with a record that names the budget, and gives everything back.
#[test]
fn every_limit_gives_the_plan_or_the_typed_error() {
    for sql in STATEMENTS {
        let budget = budget();
        let expected = plan(sql, &budget).unwrap();
        assert_eq!(expected.starts_with("42703 "), sql == STATEMENTS[5], "{sql}: {expected}");
        let swept = Sweep::new().run_under(&budget, |budget| plan(sql, budget)).unwrap();
        assert_eq!(swept.value, expected, "{sql}");
        assert!(swept.refusals_count > 0, "{sql}");
    }
}

/// The same for every statement of the golden scripts.
#[test]
fn every_golden_statement_is_swept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for path in golden::scripts(&folder).unwrap() {
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for block in &script.blocks {
            let budget = budget();
            let expected = plan(&block.input, &budget).unwrap();
            let swept = Sweep::new().run_under(&budget, |budget| plan(&block.input, budget)).unwrap();
            assert_eq!(swept.value, expected, "{}:{}", path.display(), block.line);
        }
    }
}

/// Every single charge refused once.
#[test]
fn every_refused_charge_is_the_typed_error() {
    for sql in STATEMENTS {
        let budget = budget();
        Injection::new()
            .run(&budget, |budget| plan(sql, budget))
            .unwrap_or_else(|finding| panic!("{sql}: {finding}"));
    }
}

/// What is taken from the heap while a statement is planned are chunks of its budget, which come in whole units.
#[test]
fn no_byte_is_taken_outside_the_budget() {
    let sql = "SELECT n + 1, count(DISTINCT t), sum(n * 1.5) FROM (VALUES (1, 'a'), (2, NULL)) AS v(n, t) \
               WHERE (n = 1 AND t LIKE 'a%') OR (n = 1 AND t || 'x' < 'b') GROUP BY 1 HAVING count(*) > 0 \
               ORDER BY 2 DESC, sum(n) LIMIT 3";
    let budget = budget();
    let parse_arena = Arena::new(&budget);
    let Statement::Query(query) = parse(sql, &parse_arena).unwrap().statement() else { panic!("a query") };
    let counting = Counting::start();
    let arena = Arena::new(&budget);
    let planned = plan_query(query, &EmptyCatalog, &arena);
    let counts = counting.finish();
    assert!(planned.is_ok() && counts.allocations_count > 0);
    // The global allocator keeps 16 bytes of each chunk for itself.
    assert!(counts.sizes.iter().all(|size| (*size as u64 + 16).is_multiple_of(UNIT)), "{:?}", counts.sizes);
}

/// The bytes that plans take, at their peak: a simple one and those of TPC-H's first queries.
#[test]
fn plans_are_small() {
    for (sql, bytes_max) in [(STATEMENTS[0], 8 << 10), (STATEMENTS[1], 32 << 10), (STATEMENTS[2], 40 << 10)] {
        let parsed = budget();
        let planned = budget();
        let parse_arena = Arena::new(&parsed);
        let arena = Arena::new(&planned);
        let Statement::Query(query) = parse(sql, &parse_arena).unwrap().statement() else {
            panic!("a query")
        };
        plan_query(query, &TestCatalog, &arena).unwrap();
        assert!(planned.peak() <= bytes_max, "{sql}: {} bytes", planned.peak());
    }
}

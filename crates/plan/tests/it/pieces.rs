//! Long lists of `VALUES`, planned piece by piece.

use cofferdam_arena::{Arena, Budget};
use cofferdam_plan::expr::{Expr, ExprKind};
use cofferdam_plan::physical::{OperatorKind, PhysicalPlan};
use cofferdam_plan::{Error, InsertPieces};
use cofferdam_sql::views::Statement;
use cofferdam_sql::views::forms::Insert;
use cofferdam_sql::{InsertRows, parse};

use crate::catalog::TestCatalog;
use crate::plans::{budget, plan};

/// The rows of a plan, as text.
fn rows(plan: &PhysicalPlan<'_>) -> Vec<String> {
    let [values, insert] = plan.operators else { panic!("{plan:?}") };
    assert!(matches!(insert.kind, OperatorKind::Insert(_)));
    let OperatorKind::Values { rows } = values.kind else { panic!("{values:?}") };
    let value = |expr: &&Expr<'_>| match expr.kind {
        ExprKind::Literal(value) => format!("{value} {}", expr.ty),
        _ => format!("{:?} {}", std::mem::discriminant(&expr.kind), expr.ty),
    };
    rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(", ")).collect()
}

/// The head of a streamed statement.
fn head<'a>(stream: &InsertRows<'a>) -> Insert<'a> {
    let Statement::Form(form) = stream.head().statement() else { panic!("a form") };
    Insert::of(form.node()).unwrap()
}

/// The rows of a statement, planned so many at a time.
fn in_pieces(sql: &str, at_once: usize, budget: &Budget) -> Result<Vec<String>, String> {
    let arena = Arena::new(budget);
    let shown = |error: Error<'_>| format!("{} {error} {:?}", error.sqlstate(), error.span());
    let mut stream = InsertRows::open(sql, &arena).unwrap().unwrap();
    let pieces = InsertPieces::bind(head(&stream), &TestCatalog, &arena).map_err(shown)?;
    let (mut found, mut is_done) = (Vec::new(), false);
    while !is_done {
        let (parsed, planned) = (Arena::new(budget), Arena::new(budget));
        let mut piece = pieces.piece(&planned);
        while piece.rows_count() < at_once {
            let Some(row) = stream.next_row(&parsed).unwrap() else {
                is_done = true;
                break;
            };
            piece.push(row).map_err(shown)?;
        }
        if piece.rows_count() > 0 {
            found.extend(rows(&piece.finish().unwrap()));
        }
    }
    Ok(found)
}

/// Aim: pieces of any size are the rows of the whole statement.
#[test]
fn pieces_are_the_whole() {
    let sql = "INSERT INTO item (id, price, name) VALUES (1, 2.345, 'a'), (2.5, DEFAULT, 'toolong'), (1 / 0, 7, NULL), \
               (DEFAULT, '9', lower('A')), ('5', NULL, 7)";
    let budget = budget();
    let (parsed, planned) = (Arena::new(&budget), Arena::new(&budget));
    let whole = rows(&plan(parse(sql, &parsed).unwrap().statement(), &planned).unwrap());
    assert_eq!(whole.len(), 5);
    assert_eq!(
        whole[0],
        "1 integer, a text, 2.35 numeric(10,2), 2020-01-02 date, NULL boolean, NULL double precision"
    );
    for at_once in [1, 2, 5, 100] {
        assert_eq!(in_pieces(sql, at_once, &budget), Ok(whole.clone()), "{at_once} at once");
    }
}

#[test]
fn what_is_wrong_with_a_row_has_its_place() {
    let budget = budget();
    let error = |sql: &str| in_pieces(sql, 2, &budget).unwrap_err();
    assert_eq!(
        error("INSERT INTO item (id) VALUES (1), (2), (true)"),
        "42804 column \"id\" is of type integer but expression is of type boolean Some(40..44)"
    );
    assert!(error("INSERT INTO item (id) VALUES (1), (2), (3, 4)").starts_with("42601 VALUES lists must"));
    assert!(error("INSERT INTO item (id, name) VALUES (1), (2)").starts_with("42601 INSERT has more target"));
}

/// Aim: a statement of a megabyte is planned in 64 KiB. Method: the peak of a budget of its own.
#[test]
fn the_memory_is_that_of_a_piece() {
    let row = "(123456, 'some', 3.25, '2026-01-01', true, 1e3)";
    let count = 1_000_000 / row.len();
    let sql = format!("INSERT INTO item VALUES {}", vec![row; count].join(", "));
    let root = Budget::root("test", 1 << 30).unwrap();
    let statement = root.child("statement", u64::MAX).unwrap();
    let found = in_pieces(&sql, 32, &statement).unwrap();
    assert_eq!(found.len(), count);
    assert!(statement.peak() <= 64 << 10, "{} bytes", statement.peak());
}

use super::*;
use crate::error::Mistake;
use crate::views::{Expr, QueryBody, SelectItem, Statement};
use cofferdam_arena::Budget;

fn with<R>(text: &str, look: impl FnOnce(Result<Tree<'_>, Error>) -> R) -> R {
    let budget = Budget::root("test", 64 << 20).unwrap();
    let arena = Arena::new(&budget);
    look(parse(text, &arena))
}

/// The canonical text of a select's only item.
fn expr(text: &str) -> String {
    with(&format!("SELECT {text}"), |tree| match tree {
        Ok(tree) => tree.to_string().trim_start_matches("SELECT ").to_owned(),
        Err(error) => format!("error: {error}"),
    })
}

/// The same with parentheses around every operator.
fn grouped(text: &str) -> String {
    fn group(expr: Expr<'_>) -> String {
        match expr {
            Expr::Binary(binary) => {
                let op = if binary.op().symbol().is_empty() {
                    binary.operator_text()
                } else {
                    binary.op().symbol()
                };
                format!("({} {op} {})", group(binary.left()), group(binary.right()))
            }
            Expr::Unary(unary) => format!("({} {})", unary.operator_text(), group(unary.operand())),
            Expr::Not(not) => format!("(not {})", group(not.operand())),
            Expr::And(all) => format!("and[{}]", all.operands().map(group).collect::<Vec<_>>().join(" ")),
            Expr::Or(all) => format!("or[{}]", all.operands().map(group).collect::<Vec<_>>().join(" ")),
            Expr::Is(is) => format!("({} is {:?})", group(is.operand()), is.test()),
            Expr::Cast(cast) => format!("({}::{})", group(cast.operand()), cast.type_name().name()),
            other => other.node().to_string(),
        }
    }
    with(&format!("SELECT {text}"), |tree| {
        let Statement::Query(query) = tree.unwrap().statement() else { panic!("{text} is a query") };
        let QueryBody::Select(select) = query.body() else { panic!("{text} is a select") };
        match select.items().next() {
            Some(SelectItem::Expr { expr, .. }) => group(expr),
            _ => panic!("{text} is an expression"),
        }
    })
}

fn hint(text: &str) -> Option<Hint> {
    with(text, |tree| tree.expect_err(text).hint())
}

#[test]
fn precedences_are_postgresqls() {
    assert_eq!(grouped("1 + 2 * 3 ^ 4"), "(1 + (2 * (3 ^ 4)))");
    assert_eq!(grouped("2 ^ 3 ^ 4"), "((2 ^ 3) ^ 4)");
    assert_eq!(grouped("a or b and not c = d"), "or[a and[b (not (c = d))]]");
    assert_eq!(grouped("- a ^ b"), "((- a) ^ b)");
    assert_eq!(grouped("- a::int + b"), "((- (a::integer)) + b)");
    assert_eq!(grouped("a || b + c || d"), "((a || (b + c)) || d)");
    assert_eq!(grouped("a = b is null"), "((a = b) is Null)");
    assert_eq!(grouped("not a is null"), "(not (a is Null))");
    assert_eq!(grouped("a + not b = c"), "(a + (not (b = c)))");
    assert_eq!(grouped("a and b and (c and d)"), "and[a b and[c d]]");
    assert_eq!(grouped("(a and b) and c"), "and[a b c]");
    assert_eq!(grouped("@ a + b"), "(@ (a + b))");
}

#[test]
fn comparisons_do_not_chain() {
    assert_eq!(hint("SELECT 1 < 2 < 3"), Some(Hint::ComparisonChain));
    for text in ["a BETWEEN 1 AND 2 BETWEEN 3 AND 4", "a LIKE b LIKE c", "a IS DISTINCT FROM b IS NULL"] {
        assert!(expr(text).starts_with("error"), "{text}");
    }
    assert_eq!(expr("a IS NULL IS NULL"), "(a IS NULL) IS NULL");
}

#[test]
fn forms_print_as_they_mean() {
    for (text, printed) in [
        ("a between symmetric 1 and 2 and b", "a BETWEEN SYMMETRIC 1 AND 2 AND b"),
        ("a not in (1, 2)", "a NOT IN (1, 2)"),
        ("a in ((select 1))", "a IN (SELECT 1)"),
        ("a in ((select 1), 2)", "a IN ((SELECT 1), 2)"),
        ("a not like b escape c", "a NOT LIKE b ESCAPE c"),
        ("case a when 1 then 2 else 3 end", "CASE a WHEN 1 THEN 2 ELSE 3 END"),
        ("substring(a from 1 for 2)", "SUBSTRING(a FROM 1 FOR 2)"),
        ("extract(YEAR from d)", "EXTRACT(year FROM d)"),
        ("interval '3' month", "interval '3' month"),
        ("timestamp(3) with time zone 'now'", "timestamp(3) with time zone 'now'"),
        ("count(distinct a), count(*)", "count(DISTINCT a), count(*)"),
        ("trim(leading 'x' from a)", "TRIM(LEADING 'x' FROM a)"),
        ("((select 1) union select 2)", "(SELECT 1 UNION SELECT 2)"),
        ("current_date - 1", "CURRENT_DATE - 1"),
        ("a escape", "a AS escape"),
        ("a and", "a AS \"and\""),
        ("a + b between", "a + b AS \"between\""),
        ("not a and", "NOT a AS \"and\""),
        ("E'\\u00e9\\x41' U&'\\00e9'", "error"),
    ] {
        let found = expr(text);
        assert!(found == printed || (printed == "error" && found.starts_with("error")), "{text}: {found}");
    }
}

#[test]
fn words_after_set_may_be_names() {
    for text in ["SET local = 1", "SET session = 1", "SET LOCAL local = 1"] {
        with(text, |tree| assert_eq!(tree.unwrap().to_string(), text));
    }
}

#[test]
fn names_are_folded_and_quoted() {
    assert_eq!(expr("Abc.\"Def\" AS \"x\"\"y\""), "abc.\"Def\" AS \"x\"\"y\"");
    assert_eq!(expr("s . t /* c */ . \"A\""), "s.t.\"A\"");
    assert_eq!(expr("U&\"d\\0061t!+000061\" UESCAPE '!'"), "\"d\\0061ta\"");
    assert_eq!(expr("E'a\\nb\\101\\u00e9'"), "'a\nbAé'");
    assert_eq!(expr("U&'\\D83D\\DE00'"), "'😀'");
    assert_eq!(expr("'a'\n'b'"), "'ab'");
}

#[test]
fn hints_name_common_mistakes() {
    assert_eq!(hint("SELECT a b c FROM t"), Some(Hint::MissingComma));
    assert_eq!(hint("SELECT a, FROM t"), Some(Hint::ExtraComma));
    assert_eq!(hint("SELECT a FROM t WHERE a => 1"), Some(Hint::ArrowForGreaterOrEqual));
    assert_eq!(hint("SELECT 'abc"), Some(Hint::OpenedAt(7)));
    assert_eq!(hint("SELECT (1 + (2"), Some(Hint::ParenthesisOpenedAt(12)));
    assert_eq!(hint("SELECT 1)"), Some(Hint::NeverOpened));
    assert_eq!(hint("SELCT 1"), Some(Hint::Misspelled(Keyword::Select)));
    assert_eq!(hint("SELECT a FROM t WHRE a = 1"), Some(Hint::Misspelled(Keyword::Where)));
    assert_eq!(hint("SELECT a FROM t LIMIT 1, 2"), Some(Hint::LimitComma));
    assert_eq!(hint("SELECT a FROM check"), Some(Hint::ReservedWord(Keyword::Check)));
    assert_eq!(hint("SELECT 1; SELECT 2"), Some(Hint::OneStatement));
    assert_eq!(hint("SELECT 1 year"), Some(Hint::LabelNeedsAs(Keyword::Year)));
    assert_eq!(hint("SELECT * FROM a JOIN b"), Some(Hint::JoinNeedsCondition));
    assert_eq!(hint("SELECT * FROM t AS x(a integer)"), Some(Hint::TypesBelongToFiles));
}

#[test]
fn errors_have_their_code_and_place() {
    let look = |text: &str| with(text, |tree| tree.map(|_| ()).unwrap_err());
    let error = look("SELECT 1 +");
    assert_eq!((error.sqlstate(), error.span()), ("42601", Some(Span { start: 10, len: 0 })));
    assert_eq!(error.to_string(), "syntax error at the end of the text; expected an expression");
    let error = look("SELECT 1 ORDER BY 1 LIMIT 1 LIMIT 2");
    assert!(matches!(error, Error::Syntax(syntax) if syntax.mistake == Mistake::RepeatedClause));
    let error = look("SELECT E'\\u12'");
    assert!(matches!(error, Error::Syntax(syntax) if syntax.mistake == Mistake::InvalidEscape));
    assert_eq!(look("SELECT '\0'").sqlstate(), "22021");
    let long = format!("SELECT {}.a", "x".repeat(70_000));
    assert_eq!(look(&long).sqlstate(), "42622");
}

#[test]
fn what_others_get_wrong_is_rejected() {
    for text in [
        "SELECT 1 +",
        "LIMIT LIMIT",
        "SELECT a b c d FROM t",
        "SELECT * FROM t garbage more",
        "SELECT * FROM (t)",
        "SELECT * FROM t WHERE",
        "SELECT a FROM t GROUP",
        "SELECT 1 1",
        "SELECT (1",
        "SELECT CASE END",
        "SELECT a > b COLLATE",
        "SELECT NOT a BETWEEN FROM t",
        "SELECT a FROM t ORDER BY",
        "SELECT f(,)",
        "SELECT 1; SELECT 2",
        "",
        ";",
    ] {
        with(text, |tree| assert!(matches!(tree, Err(Error::Syntax(_))), "{text}"));
    }
}

#[test]
fn a_cancelled_parse_ends_soon() {
    let budget = Budget::root("cancel", 256 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let text = format!("SELECT {}1", "1 + ".repeat(1 << 17));
    let cancel = AtomicBool::new(true);
    let error = parse_cancellable(&text, &arena, &cancel).expect_err("it is cancelled");
    assert_eq!((error.sqlstate(), error.to_string().as_str()), ("57014", "the statement was cancelled"));
    assert!(budget.used() < 4 << 20, "it took {} bytes", budget.used());
    cancel.store(false, Ordering::Relaxed);
    assert!(parse_cancellable(&text, &arena, &cancel).is_ok());
}

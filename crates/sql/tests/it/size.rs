//! What a statement is charged, and that its names are its own text.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::views::{QueryBody, SelectItem, Statement, TableExpr};
use cofferdam_sql::{Node, NodeKind, Visit, parse};

/// Bytes charged to the statement while and after it is parsed, and bytes of its nodes.
fn charged(text: &str) -> (u64, usize) {
    let root = Budget::root("root", 1 << 20).expect("a budget");
    let budget = root.child("statement", u64::MAX).expect("a child");
    let arena = Arena::new(&budget);
    let tree = parse(text, &arena).unwrap_or_else(|error| panic!("{text}: {error}"));
    let nodes = tree.walk().filter(|visit| matches!(visit, Visit::Enter(_))).count();
    (budget.peak(), nodes * size_of::<Node<'_>>())
}

#[test]
fn seed_35_nodes_are_one_cache_line() {
    assert_eq!((size_of::<Node<'_>>(), align_of::<Node<'_>>()), (64, 64));
    let budget = Budget::root("statement", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = parse("SELECT A, 'it''s', b FROM \"T\" WHERE C = 1", &arena).expect("a query");
    for visit in tree.walk() {
        if let Visit::Enter(node) = visit {
            assert_eq!(std::ptr::from_ref(node).addr() % 64, 0, "{node:?} is on its own cache line");
        }
    }
}

/// The seed promises less than 2 KB for a simple query, less than 50 KB for a complex one, and less than 500 KB for an
/// extreme one; here all is counted that the budget was charged at any time.
#[test]
fn seed_42_sizes_of_simple_complex_and_extreme_queries() {
    let (simple, nodes) = charged("SELECT a, b, c, d, e, f, g, h, i, j FROM t");
    assert!(simple < 2_000, "{simple} bytes for 10 columns, {nodes} of them nodes");
    let (qualified, _) = charged("select t.a, t.b, t.c, t.d, t.e, t.f, t.g, t.h, t.i, t.j from t");
    assert_eq!(qualified, simple, "a qualified name costs no more");

    let columns: Vec<String> = (0..50).map(|column| format!("t{}.column_{column}", column % 5)).collect();
    let joins: String =
        (1..5).map(|table| format!(" JOIN table_{table} AS t{table} ON t{table}.id = t0.id")).collect();
    let complex = format!(
        "SELECT {} FROM table_0 AS t0{joins} WHERE t0.a IN (SELECT x FROM u WHERE y > 3) AND t1.b = 'x' ORDER BY 1 LIMIT 10",
        columns.join(", ")
    );
    let (complex, _) = charged(&complex);
    assert!(complex < 50_000, "{complex} bytes for a complex query");

    let columns: Vec<String> = (0..150)
        .map(|column| format!("sum(case when c{column} > {column} then 1 else 0 end) as s{column}"))
        .collect();
    let ctes: Vec<String> =
        (0..10).map(|cte| format!("c{cte} AS (SELECT a, b, c FROM t{cte} WHERE a > 1 AND b < 2)")).collect();
    let (extreme, _) =
        charged(&format!("WITH {} SELECT {} FROM c0 GROUP BY a, b", ctes.join(", "), columns.join(", ")));
    assert!(extreme < 500_000, "{extreme} bytes for an extreme query");
    println!("simple {simple}, complex {complex}, extreme {extreme} bytes charged");
}

#[test]
fn seed_37_names_point_into_the_text() {
    let text = String::from("SELECT name, u . \"Key\", 'text', $$body$$ FROM users AS u WHERE u.age > 21");
    let budget = Budget::root("statement", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = parse(&text, &arena).expect("a query");
    let range = text.as_bytes().as_ptr_range();
    let mut names = Vec::new();
    for visit in tree.walk() {
        let Visit::Enter(node) = visit else { continue };
        for name in node.qualifier().into_iter().chain([node.name()]).filter(|name| !name.is_empty()) {
            assert!(range.contains(&name.as_ptr()), "{name} of {node:?} is a slice of the text");
            names.push(name);
        }
    }
    assert_eq!(names, ["name", "u", "Key", "text", "body", "users", "u", "u", "age", "21"]);
}

#[test]
fn only_what_changes_is_copied() {
    let text = String::from("SELECT Name, \"a\"\"b\" FROM t");
    let budget = Budget::root("statement", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let tree = parse(&text, &arena).expect("a query");
    let range = text.as_bytes().as_ptr_range();
    let copied: Vec<&str> = tree
        .walk()
        .filter_map(|visit| if let Visit::Enter(node) = visit { Some(node.name()) } else { None })
        .filter(|name| !name.is_empty() && !range.contains(&name.as_ptr()))
        .collect();
    assert_eq!(copied, ["name", "a\"b"]);
}

#[test]
fn views_show_a_query() {
    let budget = Budget::root("statement", 1 << 20).expect("a budget");
    let arena = Arena::new(&budget);
    let text =
        "SELECT t.*, a + 1 AS b FROM 'f.csv' AS t(a integer, b decimal(10, 2)) ORDER BY b DESC LIMIT 3";
    let tree = parse(text, &arena).expect("a query");
    let Statement::Query(query) = tree.statement() else { panic!("a query") };
    let QueryBody::Select(select) = query.body() else { panic!("a select") };
    let items: Vec<_> = select.items().collect();
    assert!(matches!(items[0], SelectItem::Star { qualifier: Some("t"), .. }));
    assert!(matches!(items[1], SelectItem::Expr { alias: Some("b"), .. }));
    let Some(TableExpr::File(file)) = select.from().next() else { panic!("a file") };
    assert_eq!(file.path(), "f.csv");
    let columns: Vec<_> = file.alias().expect("an alias").columns().collect();
    let types: Vec<_> = columns.iter().map(|column| column.type_name().expect("a type").name()).collect();
    assert_eq!(types, ["integer", "decimal"]);
    assert_eq!(columns[1].type_name().expect("a type").modifiers().count(), 2);
    assert!(query.order_by().next().is_some_and(|key| key.is_descending() && key.nulls_first()));
    assert_eq!(query.limit().expect("a limit").node().kind(), NodeKind::Integer);
    select.items().for_each(drop);
    tree.root().annotate(7);
    assert_eq!(tree.root().annotation(), 7);
}

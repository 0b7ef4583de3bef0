//! Trees that are changed, and what they print afterwards.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{Node, NodeKind, RewriteError, Tree, Visit, parse, parse_expression, same_tree};

fn arena() -> Arena {
    Arena::new(&Budget::root("rewrite", 64 << 20).expect("a budget"))
}

fn find<'a>(tree: Tree<'a>, kind: NodeKind) -> &'a Node<'a> {
    let mut nodes = tree.walk().filter_map(|visit| match visit {
        Visit::Enter(node) if node.kind() == kind => Some(node),
        _ => None,
    });
    nodes.next().expect("the tree has such a node")
}

#[test]
fn parts_are_replaced_wherever_they_stand() {
    let arena = arena();
    for (text, changed) in [
        ("SELECT a", "SELECT x OR y"),
        ("SELECT a, b", "SELECT x OR y, b"),
        ("SELECT 1, a AS c, 2", "SELECT 1, x OR y AS c, 2"),
        ("SELECT 1 FROM t WHERE a AND b", "SELECT 1 FROM t WHERE (x OR y) AND b"),
        ("SELECT f(1, 2, a)", "SELECT f(1, 2, x OR y)"),
        ("SELECT * FROM t JOIN u ON a", "SELECT * FROM t JOIN u ON x OR y"),
    ] {
        let tree = parse(text, &arena).expect("SQL");
        let new = parse_expression("x or y", &arena).expect("an expression");
        find(tree, NodeKind::Column).replace(new).expect("it fits");
        assert_eq!(tree.to_string(), changed);
        let again = parse(arena.alloc_str(changed).expect("room"), &arena).expect("SQL");
        assert!(again.same(tree), "{changed}");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let arena = arena();
    let tree = parse("SELECT a FROM t WHERE b", &arena).expect("SQL");
    let column = find(tree, NodeKind::Column);
    let other = parse("SELECT a FROM u", &arena).expect("SQL");
    let query = other.root();
    let kinds = RewriteError::Kind { old: NodeKind::Column, new: NodeKind::Select };
    assert_eq!(column.replace(query), Err(kinds));
    assert_eq!(column.replace(find(other, NodeKind::Column)), Err(RewriteError::Used));
    assert_eq!(column.replace(tree.root()), Err(RewriteError::Cycle));
    assert_eq!(tree.root().replace(query), Err(RewriteError::Root));
    assert_eq!(find(tree, NodeKind::Where).rename(None, "x", &arena), Err(RewriteError::Nameless));
    let long = "x".repeat(70_000);
    assert_eq!(column.rename(Some(&long), "x", &arena), Err(RewriteError::NameTooLong));
    let full = arena.budget().child("full", 0).expect("a budget");
    let full = Arena::new(&full);
    let room = Arena::new(arena.budget());
    let small = parse("SELECT a", &room).expect("SQL");
    assert!(matches!(
        find(small, NodeKind::Column).rename(None, "x", &full),
        Err(RewriteError::OutOfMemory(_))
    ));
    assert_eq!(tree.to_string(), "SELECT a FROM t WHERE b");
    for error in [kinds, RewriteError::Root, RewriteError::Used, RewriteError::Cycle] {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn names_are_changed() {
    let arena = arena();
    let tree = parse("SELECT a, t.b FROM s.t", &arena).expect("SQL");
    for visit in tree.walk() {
        if let Visit::Leave(node) = visit
            && matches!(node.kind(), NodeKind::Column | NodeKind::Table)
        {
            node.rename(Some("New"), node.name(), &arena).expect("it has a name");
        }
    }
    assert_eq!(tree.to_string(), r#"SELECT "New".a, "New".b FROM "New".t"#);
}

#[test]
fn copies_are_equal_and_apart() {
    let arena = arena();
    for text in [
        "SELECT 1",
        "SELECT a, f(b, (SELECT max(c) FROM u)) FROM t, (VALUES (1, 2), (3, 4)) v WHERE a IN (1, 2) ORDER BY 1",
        "DROP TABLE IF EXISTS a, b.c CASCADE",
    ] {
        let tree = parse(text, &arena).expect("SQL");
        let copy = tree.root().copy(&arena).expect("room");
        assert!(same_tree(tree.root(), copy), "{text}");
        assert_eq!(copy.to_string(), tree.to_string());
        assert_eq!(copy.span(), tree.root().span());
    }
    let tree = parse("SELECT a + b FROM t", &arena).expect("SQL");
    let sum = find(tree, NodeKind::Binary);
    let doubled = parse_expression("2 * x", &arena).expect("an expression");
    let factor = doubled.children().nth(1).expect("two operands");
    factor.replace(sum.copy(&arena).expect("room")).expect("it fits");
    sum.replace(doubled).expect("it fits");
    assert_eq!(tree.to_string(), "SELECT 2 * (a + b) FROM t");
}

#[test]
fn a_deep_tree_is_copied() {
    let arena = arena();
    let text = format!("SELECT {}1", "1 + ".repeat(100_000));
    let tree = parse(arena.alloc_str(&text).expect("room"), &arena).expect("SQL");
    let copy = tree.root().copy(&arena).expect("room");
    assert!(same_tree(tree.root(), copy));
}

#[test]
fn columns_stand_for_a_star() {
    let arena = arena();
    let columns = [(Some("t"), "a"), (None, "B b"), (Some("select"), "c")];
    let long = r#"t.a, "B b", "select".c"#;
    for (text, changed) in [
        ("SELECT * FROM t", "SELECT {} FROM t"),
        ("SELECT 1, t.*, 2 FROM t", "SELECT 1, {}, 2 FROM t"),
        ("TABLE t", "SELECT {} FROM t"),
        ("SELECT 1 WHERE EXISTS (SELECT *)", "SELECT 1 WHERE EXISTS (SELECT {})"),
        (
            "WITH c AS (SELECT DISTINCT ON (x) * FROM t) SELECT 2",
            "WITH c AS (SELECT DISTINCT ON (x) {} FROM t) SELECT 2",
        ),
    ] {
        let tree = parse(text, &arena).expect("SQL");
        find(tree, NodeKind::Star).expand_star(&columns, &arena).expect("it fits");
        let changed = changed.replace("{}", long);
        assert_eq!(tree.to_string(), changed);
        assert!(
            parse(arena.alloc_str(&changed).expect("room"), &arena).expect("SQL").same(tree),
            "{changed}"
        );
    }
    let tree = parse("SELECT a, row(t.*) FROM t", &arena).expect("SQL");
    for node in [find(tree, NodeKind::Column), find(tree, NodeKind::Star)] {
        let wrong = RewriteError::Kind { old: node.kind(), new: NodeKind::Column };
        assert_eq!(node.expand_star(&columns, &arena), Err(wrong));
    }
    let tree = parse("SELECT *", &arena).expect("SQL");
    let star = find(tree, NodeKind::Star);
    assert!(star.expand_star(&[], &arena).is_err());
    let long = "q".repeat(1 << 16);
    assert_eq!(star.expand_star(&[(Some(&long), "a")], &arena), Err(RewriteError::NameTooLong));
    assert_eq!(tree.to_string(), "SELECT *");
}

#[test]
fn a_tree_is_placed_in_another_text() {
    let arena = arena();
    let tree = parse("SELECT a + 1 FROM t WHERE b IN (SELECT 2)", &arena).expect("SQL");
    let span = cofferdam_sql::Span::new(7, 9);
    tree.root().place_at(span);
    assert!(tree.walk().all(|visit| match visit {
        Visit::Enter(node) | Visit::Leave(node) => node.span() == span,
    }));
    assert_eq!(tree.to_string(), "SELECT a + 1 FROM t WHERE b IN (SELECT 2)");
}

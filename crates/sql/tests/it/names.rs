//! Names as symbols.

use cofferdam_arena::{Arena, Budget, Names, Overlay, Symbol};
use cofferdam_sql::{Keyword, interner, parse};

fn symbols(text: &str, overlay: &mut Overlay<'_>, arena: &Arena) -> Vec<(String, Symbol)> {
    let tree = parse(text, arena).expect("SQL");
    let mut symbols = Vec::new();
    tree.intern(overlay, |node, symbol| symbols.push((node.name().to_owned(), symbol))).expect("room");
    symbols
}

#[test]
fn seed_38_keywords_are_there_and_names_come_at_their_third_statement() {
    let process = Budget::root("process", 4 << 20).expect("a budget");
    let shared = interner(&process.child("interner", 256 << 10).expect("a child")).expect("an interner");
    for (number, keyword) in Keyword::all().enumerate() {
        let symbol = shared.pin().lookup(keyword.word()).expect("keywords are preloaded");
        assert_eq!((symbol.as_u32() as usize, shared.is_keyword(symbol)), (number, true));
    }
    let text = "SELECT l_orderkey, 'l_literal' FROM lineitem WHERE l_number = 42 AND l_other = 'l_literal'";
    for round in 1..=4 {
        let arena = Arena::new(&process);
        let pin = shared.pin();
        let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
        let symbols = symbols(text, &mut overlay, &arena);
        assert_eq!(symbols.len(), 4);
        for (name, symbol) in symbols {
            assert_eq!(symbol.is_local(), round < 3, "{name} in round {round}");
            assert_eq!(overlay.resolve(symbol), Some(name.as_str()));
        }
        assert_eq!(pin.lookup("l_literal"), None, "literals are never interned");
    }
}

#[test]
fn the_same_name_is_the_same_symbol() {
    let process = Budget::root("process", 4 << 20).expect("a budget");
    let shared = interner(&process.child("interner", 256 << 10).expect("a child")).expect("an interner");
    let (arena, pin) = (Arena::new(&process), shared.pin());
    let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
    let text = r#"SELECT T.A, "t"."a", count(*), CAST(a AS integer) FROM S.T AS "T" GROUP BY t.a"#;
    let symbols = symbols(text, &mut overlay, &arena);
    let of = |name| overlay.lookup(name).expect("it was interned");
    assert!(overlay.lookup("integer").is_some_and(|symbol| shared.is_keyword(symbol)));
    assert_eq!(symbols.iter().filter(|(_, symbol)| *symbol == of("a")).count(), 4);
    assert_ne!(of("t"), of("T"));
    assert_eq!(overlay.lookup("text"), shared.pin().lookup("text"));
}

#[test]
fn too_little_memory_for_names_is_an_error() {
    let process = Budget::root("process", 4 << 20).expect("a budget");
    let shared = interner(&process.child("interner", 256 << 10).expect("a child")).expect("an interner");
    let (arena, pin) = (Arena::new(&process), shared.pin());
    let tree = parse("SELECT a, b, c FROM t", &arena).expect("SQL");
    let none = Arena::new(&process.child("none", 0).expect("a child"));
    let mut overlay = Overlay::new(&none, Names::Pinned(&pin));
    assert!(tree.intern(&mut overlay, |_, _| ()).is_err());
    assert!(interner(&process.child("tiny", 8 << 10).expect("a child")).is_err());
}

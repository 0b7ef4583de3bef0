//! Names, symbols, pins, holders, compaction and what all of it is charged.
#![allow(clippy::disallowed_types, reason = "tests may use the global allocator")]

extern crate std;
use super::*;
use crate::arena::Arena;
use crate::budget::UNIT;
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;
use std::{format, thread};

const KIB: u64 = 1024;
const KEYWORDS: [&str; 6] =
    ["select", "from", "where", "as", "x", "a_keyword_of_more_than_twenty_four_bytes"];

/// A root with room for its own tree, and below it a budget of exactly `limit` bytes.
fn budget(limit: u64) -> Budget {
    Budget::root("process", limit + 64 * KIB).unwrap().child("interner", limit).unwrap()
}

fn interner(limit: u64) -> Interner {
    Interner::new(&budget(limit), &KEYWORDS).unwrap()
}

fn name(n: usize) -> String {
    format!("column_{n}{}", "_of_a_long_name".repeat(n % 3))
}

fn intern(pin: &Pin<'_>, text: &str) -> Symbol {
    pin.intern(Identifier::new(text)).unwrap()
}

#[test]
fn seed_38_keywords_are_preloaded_as_the_first_symbols() {
    let interner = interner(64 * KIB);
    let pin = interner.pin();
    for (index, keyword) in KEYWORDS.iter().enumerate() {
        let symbol = pin.lookup(keyword).unwrap();
        assert_eq!(symbol.as_u32() as usize, index);
        assert!(interner.is_keyword(symbol) && pin.is_keyword(symbol));
        assert_eq!(pin.resolve(symbol), Some(*keyword));
        assert_eq!(pin.sight(Identifier::new(keyword)), Ok(Some(symbol)));
    }
    let other = intern(&pin, "l_orderkey");
    assert!(!interner.is_keyword(other));
    drop(pin);
    interner.compact();
    let pin = interner.pin();
    assert!(KEYWORDS.iter().all(|keyword| pin.lookup(keyword).is_some()));
    assert_eq!(pin.lookup("l_orderkey"), None);
}

#[test]
#[should_panic(expected = "listed twice")]
fn a_keyword_listed_twice_is_a_mistake() {
    let _ = Interner::new(&budget(64 * KIB), &["select", "from", "select"]);
}

#[test]
fn seed_38_identifiers_are_admitted_at_their_third_sighting() {
    let interner = interner(64 * KIB);
    let pin = interner.pin();
    for text in ["l_tax", "l_discount", "n", "größe", "a_name_that_has_more_than_24_bytes"] {
        let name = Identifier::new(text);
        assert_eq!(pin.sight(name), Ok(None));
        assert_eq!(pin.lookup(text), None, "lookup never admits");
        assert_eq!(pin.sight(name), Ok(None));
        let symbol = pin.sight(name).unwrap().expect("the third");
        assert_eq!((pin.lookup(text), pin.resolve(symbol)), (Some(symbol), Some(text)));
        assert_eq!(pin.sight(name), Ok(Some(symbol)));
    }
}

#[test]
fn seed_38_lookups_and_overlong_names_never_admit() {
    let interner = interner(64 * KIB);
    let pin = interner.pin();
    let before = interner.stats();
    let long = "x".repeat(Identifier::SIGHTED_BYTES_MAX + 1);
    for _ in 0..10 {
        assert_eq!(pin.lookup("'a literal'"), None);
        assert_eq!(pin.sight(Identifier::new(&long)), Ok(None));
    }
    assert_eq!(interner.stats(), before);
    let symbol = intern(&pin, &long);
    assert_eq!(pin.resolve(symbol), Some(&*long));
}

#[test]
fn seed_38_fewer_identifiers_are_admitted_under_pressure() {
    let budget = budget(64 * KIB);
    let interner = Interner::new(&budget, &KEYWORDS).unwrap();
    let others = budget.child("others", u64::MAX).unwrap();
    let fill = |percent: u64| {
        others.release(others.used());
        others.charge(64 * KIB * percent / 100 - (budget.used() - others.used())).unwrap();
    };
    let sightings_until_admitted = |text: &str| {
        let pin = interner.pin();
        (1..=20).find(|_| pin.sight(Identifier::new(text)).unwrap().is_some())
    };
    assert_eq!(sightings_until_admitted("calm"), Some(3));
    fill(60);
    assert_eq!(budget.pressure(), Pressure::Moderate);
    assert_eq!(sightings_until_admitted("moderate"), Some(6));
    assert!(interner.pin().lookup("calm").is_some());
    fill(80);
    assert_eq!(budget.pressure(), Pressure::High);
    assert_eq!(sightings_until_admitted("high"), None);
    interner.compact(); // the pin of that sighting may have kept what its compaction condemned
    assert_eq!(interner.pin().lookup("calm"), None, "the table was compacted");
    others.release(others.used());
    assert_eq!(sightings_until_admitted("calm again"), Some(3));
}

#[test]
fn names_of_all_lengths_are_told_apart() {
    let interner = interner(4096 * KIB);
    let pin = interner.pin();
    // Around the words that a text is loaded in, and the longest that is.
    let interesting = [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 25, 40];
    let lens: Vec<usize> = if cfg!(miri) { interesting.into() } else { (0..300).collect() };
    let mut symbols = HashMap::new();
    for len in lens {
        for mark in 0..=len.min(5) {
            let mut text = "a".repeat(len);
            if let Some(at) = [0, len / 3, len / 2, len - len.min(1), len.saturating_sub(5)].get(mark)
                && *at < len
            {
                text.replace_range(at..&(at + 1), "b");
            }
            let symbol = intern(&pin, &text);
            assert_eq!(*symbols.entry(text).or_insert(symbol), symbol);
        }
    }
    for (text, symbol) in &symbols {
        assert_eq!((pin.lookup(text), pin.resolve(*symbol)), (Some(*symbol), Some(&**text)));
    }
    let distinct: std::collections::HashSet<_> = symbols.values().collect();
    assert_eq!(distinct.len(), symbols.len());
}

#[test]
fn growing_keeps_all_symbols_and_gives_old_tables_back() {
    let interner = interner(4096 * KIB);
    let count = if cfg!(miri) { 62 } else { 10_000 };
    let names: Vec<String> = (0..count).map(name).collect();
    let symbols: Vec<Symbol> = names.iter().map(|name| intern(&interner.pin(), name)).collect();
    let pin = interner.pin();
    for (n, (name, symbol)) in names.iter().zip(&symbols).enumerate() {
        assert_eq!(symbol.as_u32() as usize, n + KEYWORDS.len());
        assert_eq!(pin.resolve(*symbol), Some(&**name));
        assert_eq!(pin.lookup(name), Some(*symbol));
    }
    assert_eq!(interner.stats().names_count, count + KEYWORDS.len());
    assert_eq!(interner.stats().retired_bytes, 0);
    assert_eq!(pin.resolve(Symbol::from_u32(u32::MAX)), None);
    assert_eq!(pin.resolve(Symbol::from_u32((count + KEYWORDS.len()) as u32)), None);
}

#[test]
fn a_pin_keeps_the_symbols_that_it_has_seen() {
    let interner = interner(256 * KIB);
    let old = interner.pin();
    let symbol = intern(&old, "l_orderkey");
    interner.compact();
    let young = interner.pin();
    for _ in 0..3 {
        assert_eq!(old.lookup("l_orderkey"), Some(symbol));
        assert_eq!(old.resolve(symbol), Some("l_orderkey"));
        assert_eq!(young.lookup("l_orderkey"), None, "condemned before it was pinned");
        let other = intern(&young, "another");
        assert_ne!(other, symbol, "its number is not used again while a pin may have seen it");
        interner.compact();
    }
    assert_eq!(intern(&young, "l_orderkey"), symbol, "brought back with its symbol");
    drop(old);
    interner.compact();
    assert_eq!((young.lookup("l_orderkey"), young.resolve(symbol)), (Some(symbol), Some("l_orderkey")));
    drop(young);
    interner.compact();
    assert_eq!(interner.stats().names_count, KEYWORDS.len());
    assert_eq!(interner.pin().resolve(symbol), None);
    assert_eq!(intern(&interner.pin(), "reused").as_u32() as usize, KEYWORDS.len());
}

#[test]
fn a_held_name_outlives_compaction_and_pins() {
    let interner = interner(256 * KIB);
    let held = interner.hold(Identifier::new("lineitem")).unwrap();
    let retained = {
        let pin = interner.pin();
        let symbol = intern(&pin, "orders");
        intern(&pin, "nobody's");
        pin.retain(symbol).unwrap()
    };
    interner.compact();
    let pin = interner.pin();
    for reference in [&held, &retained.clone()] {
        assert_eq!(pin.lookup(reference.as_str()), Some(reference.symbol()));
        assert_eq!(pin.resolve(reference.symbol()), Some(reference.as_str()));
    }
    assert_eq!((held.as_str(), retained.as_str()), ("lineitem", "orders"));
    assert_eq!(pin.lookup("nobody's"), None);
    assert!(pin.retain(Symbol::from_u32(1000)).is_none());
    drop(pin);
    drop(retained);
    interner.compact();
    let pin = interner.pin();
    assert_eq!(pin.lookup("orders"), None);
    assert!(pin.lookup("lineitem").is_some());
    drop(pin);
    drop(interner);
    assert_eq!(held.as_str(), "lineitem", "a holder keeps the memory");
    let budget = held.core.budget.clone();
    drop(held);
    assert_eq!(budget.used(), 0);
}

/// Handles that are forgotten are never counted down, so any number of them can be made. The test writes the count that
/// so many of them would leave.
#[test]
fn a_name_with_too_many_holders_to_count_stays_for_good() {
    let interner = interner(64 * KIB);
    let held = interner.hold(Identifier::new("held_by_many")).unwrap();
    // SAFETY: a held record is live.
    let refs = unsafe { &(*held.record.as_ptr()).refs };
    let mut others = Vec::new();
    for before in [REFS_STUCK - 1, u32::MAX] {
        refs.store(before, Ordering::Relaxed);
        others.push(held.clone());
        drop(held.clone());
        drop(held.clone());
        interner.compact();
        interner.compact();
        assert_eq!((interner.stats().condemned_count, held.as_str()), (0, "held_by_many"));
        assert!(interner.pin().lookup("held_by_many").is_some());
    }
}

#[test]
fn everything_is_charged_and_comes_back() {
    let budget = budget(1024 * KIB);
    let count = if cfg!(miri) { 40 } else { 3000 };
    {
        let interner = Interner::new(&budget, &KEYWORDS).unwrap();
        let base = budget.used();
        let pin = interner.pin();
        for n in 0..count {
            intern(&pin, &name(n));
        }
        let stats = interner.stats();
        let held = stats.table_bytes + stats.text_bytes + stats.retired_bytes;
        assert_eq!(budget.used(), held as u64 + CORE_BYTES.next_multiple_of(UNIT));
        assert!(stats.retired_bytes > 0, "the pin keeps the old tables");
        interner.compact();
        assert!(interner.stats().retired_bytes > 0);
        assert!(format!("{stats}").contains("6 keywords"), "{stats}");
        drop(pin);
        let used = budget.used();
        let freed = interner.compact();
        assert_eq!(used - budget.used(), freed);
        assert_eq!(budget.used(), base, "{}", interner.stats());
        assert_eq!(interner.stats().names_count, KEYWORDS.len());
    }
    assert_eq!(budget.used(), 0);
}

#[test]
fn every_limit_gives_a_typed_error_and_leaves_the_interner_intact() {
    let names: Vec<String> = (0..=if cfg!(miri) { 28 } else { 400 }).map(name).collect();
    let (absent, names) = names.split_last().unwrap();
    let mut refusals = 0;
    for limit in (0..).map(|units| units * UNIT) {
        let budget = Budget::root("process", limit + 64 * KIB).unwrap().child("interner", limit).unwrap();
        let outcome = Interner::new(&budget, &KEYWORDS).and_then(|interner| {
            // A pin keeps old tables, and holders keep names, so that nothing can be reclaimed.
            let mut symbols = Vec::new();
            let pin = interner.pin();
            let result = names.iter().try_for_each(|name| {
                symbols.push(interner.hold(Identifier::new(name))?);
                Ok(())
            });
            for (name, held) in names.iter().zip(&symbols) {
                assert_eq!(pin.lookup(name), Some(held.symbol()));
                assert_eq!(pin.resolve(held.symbol()), Some(&**name));
            }
            assert_eq!(interner.stats().names_count, symbols.len() + KEYWORDS.len());
            assert_eq!(pin.lookup(names.get(symbols.len()).unwrap_or(absent)), None);
            result
        });
        assert_eq!(budget.used(), 0);
        match outcome {
            Ok(()) => break,
            Err(AllocError) => {
                let refusal = budget.last_refusal().unwrap();
                assert_eq!((refusal.reason(), refusal.limit_bytes()), (Reason::Limit, limit));
                refusals += 1;
            }
        }
    }
    assert!(refusals > if cfg!(miri) { 6 } else { 10 }, "{refusals}");
}

#[test]
fn every_refused_charge_leaves_the_interner_intact() {
    let names: Vec<String> = (0..if cfg!(miri) { 34 } else { 1000 }).map(name).collect();
    for nth in 1.. {
        let budget = budget(1024 * KIB);
        let interner = interner_on(&budget);
        budget.inject_refusal(nth);
        let refused = names.iter().position(|name| interner.pin().intern(Identifier::new(name)).is_err());
        budget.inject_refusal(0);
        let Some(refused) = refused else { break };
        let pin = interner.pin();
        let is_there = |name: &String| pin.lookup(name).and_then(|symbol| pin.resolve(symbol)) == Some(name);
        assert!(names[..refused].iter().all(is_there));
        assert_eq!(pin.lookup(&names[refused]), None);
        assert_eq!(intern(&pin, &names[refused]).as_u32() as usize, refused + KEYWORDS.len());
    }
}

fn interner_on(budget: &Budget) -> Interner {
    Interner::new(budget, &KEYWORDS).unwrap()
}

#[test]
fn symbols_end_with_an_error_instead_of_wrapping() {
    let budget = budget(64 * KIB);
    assert!(Interner::with_symbols_max(&budget, &KEYWORDS, 5).is_err());
    assert_eq!((budget.used(), budget.last_refusal().unwrap().reason()), (0, Reason::TooLarge));
    budget.clear_refusal();
    let interner = Interner::with_symbols_max(&budget, &KEYWORDS, 8).unwrap();
    let pin = interner.pin();
    let last = [intern(&pin, "seven"), intern(&pin, "eight")];
    assert_eq!(pin.intern(Identifier::new("nine")), Err(AllocError));
    assert_eq!(budget.last_refusal().unwrap().reason(), Reason::TooLarge);
    assert_eq!(last.map(|symbol| pin.lookup(pin.resolve(symbol).unwrap())), last.map(Some));
    drop(pin);
    interner.compact();
    let nine = intern(&interner.pin(), "nine");
    assert!(last.contains(&nine), "symbols of compacted names are there again");
}

#[test]
fn a_name_longer_than_any_is_refused() {
    let interner = interner(1024 * KIB);
    let pin = interner.pin();
    let longest = "y".repeat(usize::from(u16::MAX));
    assert_eq!(pin.resolve(intern(&pin, &longest)), Some(&*longest));
    assert_eq!(pin.intern(Identifier::new(&(longest + "y"))), Err(AllocError));
    assert_eq!(interner.budget().last_refusal().unwrap().reason(), Reason::TooLarge);
}

#[test]
fn a_refused_charge_elsewhere_gets_the_interners_memory() {
    let process = Budget::root("process", 128 * KIB).unwrap();
    let interner = Interner::new(&process.child("interner", u64::MAX).unwrap(), &KEYWORDS).unwrap();
    let base = interner.budget().used();
    let other = process.child("other", u64::MAX).unwrap();
    let (count, grown) = if cfg!(miri) { (80, 2 * KIB) } else { (500, 16 * KIB) };
    for n in 0..count {
        intern(&interner.pin(), &name(n));
    }
    assert!(interner.budget().used() > base + grown);
    let mut charged = 0;
    while other.charge(KIB).is_ok() {
        charged += KIB;
    }
    // Nobody holds a name; the smaller table is charged to what their text gave back.
    assert_eq!(interner.budget().used(), base, "{}", interner.stats());
    other.release(charged);
}

#[test]
fn compaction_stops_before_the_epoch_would_wrap() {
    let interner = interner(64 * KIB);
    interner.core.pins.set_epoch(u32::MAX - 1);
    let pin = interner.pin();
    let symbol = intern(&pin, "l_tax");
    interner.compact();
    assert_eq!((pin.lookup("l_tax"), pin.resolve(symbol)), (Some(symbol), Some("l_tax")));
    drop(pin);
    interner.compact();
    assert_eq!(interner.pin().resolve(symbol), Some("l_tax"), "nothing is given back any more");
    assert_eq!(intern(&interner.pin(), "l_tax"), symbol);
}

#[test]
fn a_frozen_table_has_the_same_symbols_and_holds_its_names() {
    let interner = interner(256 * KIB);
    let symbols: Vec<Symbol> = (0..40).map(|n| intern(&interner.pin(), &name(n))).collect();
    let used = interner.budget().used();
    let frozen = interner.freeze(interner.budget()).unwrap();
    assert!(interner.budget().used() > used);
    interner.compact();
    let later = intern(&interner.pin(), "later");
    for (n, symbol) in symbols.iter().enumerate() {
        assert_eq!((frozen.lookup(&name(n)), frozen.resolve(*symbol)), (Some(*symbol), Some(&*name(n))));
        assert_eq!(interner.pin().lookup(&name(n)), Some(*symbol));
    }
    assert!(frozen.lookup("select").is_some_and(|symbol| frozen.is_keyword(symbol)));
    assert_eq!((frozen.lookup("later"), frozen.resolve(later)), (None, None));
    assert_eq!((frozen.len(), frozen.is_empty()), (46, false));
    drop(frozen);
    interner.compact();
    assert_eq!(interner.pin().lookup(&name(3)), None);
    let small = budget(KIB);
    assert!(interner.freeze(&small.child("none", 0).unwrap()).is_err());
}

#[test]
fn an_overlay_keeps_a_statements_own_names_apart() {
    let interner = interner(256 * KIB);
    let statement = budget(64 * KIB);
    let arena = Arena::new(&statement);
    let pin = interner.pin();
    let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
    assert!(overlay.is_empty());
    let select = overlay.intern(Identifier::new("select")).unwrap();
    let total = overlay.intern(Identifier::new("total")).unwrap();
    assert!(!select.is_local() && total.is_local() && pin.resolve(total).is_none());
    let shared = intern(&pin, "total");
    assert!(!shared.is_local());
    assert_eq!(overlay.intern(Identifier::new("total")), Ok(total), "a name keeps its symbol");
    assert_eq!((overlay.lookup("total"), overlay.lookup("select")), (Some(total), Some(select)));
    assert_eq!((overlay.resolve(total), overlay.resolve(shared)), (Some("total"), Some("total")));
    assert_eq!(overlay.resolve(Symbol::from_u32(u32::MAX)), None);
    assert_eq!(overlay.len(), 1);

    let frozen = interner.freeze(interner.budget()).unwrap();
    let mut overlay = Overlay::new(&arena, Names::Frozen(&frozen));
    assert_eq!(overlay.intern(Identifier::new("total")), Ok(shared));
    assert!(overlay.intern(Identifier::new("subtotal")).unwrap().is_local());
    assert_eq!(overlay.lookup("nothing"), None);
}

#[test]
fn an_overlay_counts_sightings_and_survives_a_refusal() {
    let interner = interner(256 * KIB);
    let admitted = |_| {
        let pin = interner.pin();
        let statement = budget(64 * KIB);
        let arena = Arena::new(&statement);
        let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
        !overlay.intern(Identifier::new("l_shipdate")).unwrap().is_local()
    };
    assert_eq!([1, 2, 3].map(admitted), [false, false, true]);

    let statement = budget(4 * KIB);
    let arena = Arena::new(&statement);
    let pin = interner.pin();
    let mut overlay = Overlay::new(&arena, Names::Pinned(&pin));
    let given: Vec<Symbol> =
        (0..1000).map_while(|n| overlay.intern(Identifier::new(&format!("own_{n}"))).ok()).collect();
    assert!(!given.is_empty() && given.len() < 1000);
    assert_eq!(overlay.len(), given.len());
    for (n, symbol) in given.iter().enumerate() {
        assert_eq!(overlay.resolve(*symbol), Some(&*format!("own_{n}")));
    }
}

/// Random calls beside a plain map: what a pin has seen stays, what is held stays, equal names have equal symbols.
#[test]
fn random_calls_agree_with_a_plain_map() {
    let (rounds, names) = if cfg!(miri) { (200, 40) } else { (20_000, 300) };
    for seed in 1..=if cfg!(miri) { 1u64 } else { 4 } {
        let budget = budget(1024 * KIB);
        let interner = Interner::new(&budget, &KEYWORDS).unwrap();
        let mut random = Random(seed);
        let mut pins: Vec<(Pin<'_>, HashMap<String, Symbol>)> = Vec::new();
        let mut held: Vec<(String, SymbolRef)> = Vec::new();
        for _ in 0..rounds {
            let text = name(random.below(names));
            match random.below(20) {
                0 if pins.len() < 4 => pins.push((interner.pin(), HashMap::new())),
                1 if !pins.is_empty() => drop(pins.swap_remove(random.below(pins.len()))),
                2 => drop(interner.compact()),
                3 if held.len() < 20 => {
                    held.push((text.clone(), interner.hold(Identifier::new(&text)).unwrap()));
                }
                4 | 5 if !held.is_empty() => drop(held.swap_remove(random.below(held.len()))),
                6..=12 if !pins.is_empty() => {
                    let at = random.below(pins.len());
                    let symbol = intern(&pins[at].0, &text);
                    assert_eq!(*pins[at].1.entry(text).or_insert(symbol), symbol, "seed {seed}");
                }
                _ if !pins.is_empty() => {
                    let at = random.below(pins.len());
                    let (pin, seen) = &mut pins[at];
                    match (pin.lookup(&text), seen.get(&text)) {
                        (found, Some(symbol)) => assert_eq!(found, Some(*symbol), "seed {seed}"),
                        (Some(found), None) => drop(seen.insert(text, found)),
                        (None, None) => {}
                    }
                }
                _ => {}
            }
            if random.below(50) == 0 {
                check(&pins, &held);
            }
        }
        drop((pins, held));
        interner.compact();
        assert_eq!(interner.stats().names_count, KEYWORDS.len());
        drop(interner);
        assert_eq!(budget.used(), 0);
    }
}

fn check(pins: &[(Pin<'_>, HashMap<String, Symbol>)], held: &[(String, SymbolRef)]) {
    for (pin, seen) in pins {
        for (text, symbol) in seen {
            assert_eq!(pin.resolve(*symbol), Some(&**text));
            assert_eq!(pin.lookup(text), Some(*symbol));
        }
        for (text, reference) in held {
            assert_eq!((reference.as_str(), pin.lookup(text)), (&**text, Some(reference.symbol())));
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn threads_agree_on_symbols_while_one_compacts() {
    let (threads, rounds, names) = if cfg!(miri) { (2, 30, 12) } else { (4, 20_000, 500) };
    let budget = budget(4096 * KIB);
    let interner = Interner::new(&budget, &KEYWORDS).unwrap();
    // Held for the whole test: every thread must see these symbols.
    let held: Vec<SymbolRef> = (0..10).map(|n| interner.hold(Identifier::new(&name(n))).unwrap()).collect();
    thread::scope(|scope| {
        let spawn = |seed: u64| {
            let (interner, held) = (&interner, &held);
            scope.spawn(move || {
                let mut random = Random(seed);
                for _ in 0..rounds / 10 {
                    let pin = interner.pin();
                    let mut seen = Vec::new();
                    for _ in 0..10 {
                        let text = name(random.below(names));
                        let symbol = intern(&pin, &text);
                        seen.push((text, symbol));
                        let at = random.below(held.len());
                        assert_eq!(pin.lookup(held[at].as_str()), Some(held[at].symbol()));
                    }
                    for (text, symbol) in &seen {
                        assert_eq!((pin.lookup(text), pin.resolve(*symbol)), (Some(*symbol), Some(&**text)));
                    }
                    if random.below(4) == 0 {
                        let reference = pin.retain(seen[0].1).unwrap();
                        assert_eq!(reference.clone().as_str(), seen[0].0);
                    }
                }
            })
        };
        let workers: Vec<_> = (0..threads).map(spawn).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            interner.compact();
            thread::yield_now();
        }
    });
    drop(held);
    interner.compact();
    assert_eq!(interner.stats().names_count, KEYWORDS.len());
    drop(interner);
    assert_eq!(budget.used(), 0);
}

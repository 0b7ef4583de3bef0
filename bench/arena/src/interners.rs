//! Text to symbol: hits and misses on one thread, and two threads of which one also inserts.

use crate::peers::{OURS, checked, statement};
use bench_harness::measure::{EQUAL, Role};
use bench_harness::threads::together;
use bench_harness::{Bar, Random, Row, Session, black_box};
use cofferdam_arena::{Frozen, Identifier, Interner};
use foldhash::fast::FixedState;
use lasso::{Spur, ThreadedRodeo};
use string_interner::StringInterner;
use string_interner::backend::{BucketBackend, StringBackend};
use string_interner::symbol::SymbolU32;

/// Strings in the small table of one thread.
const NAMES_COUNT: usize = 256;
/// Strings in the table of two threads.
const SHARED_COUNT: usize = 1024;
/// Calls per thread and repetition of the shared rows.
const CALLS_COUNT: usize = 5_000;
/// One in so many calls of the second thread inserts.
const INSERT_EVERY: usize = 100;

type Strings = StringInterner<StringBackend<SymbolU32>, FixedState>;
type Buckets = StringInterner<BucketBackend<SymbolU32>, FixedState>;
type Shared = ThreadedRodeo<Spur, FixedState>;

pub fn rows(session: &mut Session) {
    session.row("arena/interner_hit", hit);
    session.row("arena/interner_miss", miss);
    session.row("arena/interner_two_threads", two_threads);
}

/// Identifiers as a schema has them: `prefix` makes two sets disjoint.
fn names(prefix: &str, count: usize) -> Vec<String> {
    let stems =
        ["customer", "l_orderkey", "o_totalprice", "id", "ps_supplycost", "region_name", "qty", "created_at"];
    (0..count).map(|number| format!("{prefix}{}_{number}", stems[number % stems.len()])).collect()
}

/// Many lookups into `names` in a fixed random order.
fn queries(names: &[String], count: usize, seed: u64) -> &'static [&'static str] {
    let mut random = Random::new(seed);
    let queries: Vec<&'static str> =
        (0..count).map(|_| &*names[random.below(names.len())].clone().leak()).collect();
    queries.leak()
}

fn filled<B: string_interner::backend::Backend>(names: &[String]) -> StringInterner<B, FixedState> {
    let mut interner = StringInterner::with_hasher(FixedState::default());
    for name in names {
        interner.get_or_intern(name);
    }
    interner
}

/// An interner of ours with these names in it, as the catalog's are.
fn interner(names: &[String]) -> Interner {
    let interner = Interner::new(&statement(), &[]).expect("the limit is far away");
    let pin = interner.pin();
    for name in names {
        pin.intern(Identifier::new(name)).expect("the limit is far away");
    }
    drop(pin);
    interner
}

macro_rules! each {
    ($queries:expr, |$query:ident| $call:expr) => {
        for &$query in $queries {
            black_box($call);
        }
    };
}

fn hit(name: &'static str) -> Row<'static> {
    let names = names("", NAMES_COUNT);
    let queries = queries(&names, 1000, 1);
    let (mut strings, mut buckets): (Strings, Buckets) = (filled(&names), filled(&names));
    let ours = interner(&names);
    let frozen = ours.freeze(&statement()).expect("the limit is far away");
    let mut rodeo: lasso::Rodeo<Spur, FixedState> = lasso::Rodeo::with_hasher(FixedState::default());
    names.iter().for_each(|name| _ = rodeo.get_or_intern(name));
    Row::new(name, "a known string among 256 turned into its symbol; per call", 1000, EQUAL)
        .ours(
            OURS,
            checked(move || {
                let pin = ours.pin();
                each!(queries, |query| pin.intern(Identifier::new(query))?);
                Ok(())
            }),
        )
        .peer("string-interner", move || each!(queries, |query| strings.get_or_intern(query)))
        .info("ours, frozen", move || each!(queries, |query| frozen.lookup(query)))
        .peer("string-interner-bucket", move || each!(queries, |query| buckets.get_or_intern(query)))
        .info("lasso", move || each!(queries, |query| rodeo.get_or_intern(query)))
}

fn miss(name: &'static str) -> Row<'static> {
    let names_known = names("", NAMES_COUNT);
    let queries = queries(&names("no_", NAMES_COUNT), 1000, 2);
    let (strings, buckets): (Strings, Buckets) = (filled(&names_known), filled(&names_known));
    let ours = interner(&names_known);
    let mut rodeo: lasso::Rodeo<Spur, FixedState> = lasso::Rodeo::with_hasher(FixedState::default());
    names_known.iter().for_each(|name| _ = rodeo.get_or_intern(name));
    Row::new(name, "an unknown string looked up among 256; per call", 1000, EQUAL)
        .ours(OURS, move || {
            let pin = ours.pin();
            each!(queries, |query| pin.lookup(query));
        })
        .peer("string-interner", move || each!(queries, |query| strings.get(query)))
        .peer("string-interner-bucket", move || each!(queries, |query| buckets.get(query)))
        .info("lasso", move || each!(queries, |query| rodeo.get(query)))
}

/// The calls of both threads: hits in random order; in the second thread every hundredth is a string never seen.
fn plans() -> (&'static [String], [&'static [&'static str]; 2]) {
    let names: &'static [String] = names("", SHARED_COUNT).leak();
    let mut second = queries(names, CALLS_COUNT, 4).to_vec();
    for (new, place) in
        self::names("new_", CALLS_COUNT / INSERT_EVERY).into_iter().zip((0..).step_by(INSERT_EVERY))
    {
        second[place] = new.leak();
    }
    (names, [queries(names, CALLS_COUNT, 3), second.leak()])
}

fn two_threads(name: &'static str) -> Row<'static> {
    let (names, plans) = plans();
    let frozen: hashbrown::HashMap<&'static str, u32, FixedState> =
        names.iter().map(String::as_str).zip(0..).collect();
    let frozen_ours: Frozen = interner(names).freeze(&statement()).expect("the limit is far away");
    let about = "1,024 known strings turned into symbols by two threads, one of which inserts in 1 % of its calls; per call";
    Row::new(name, about, CALLS_COUNT as u64, Bar::Ratio(0.5))
        .repetitions(1)
        .add_timed(Role::Ours, OURS, move |_| {
            let ours = interner(names);
            let work = |thread: usize| {
                let pin = ours.pin();
                each!(plans[thread], |call| pin
                    .intern(Identifier::new(call))
                    .expect("the limit is far away"));
            };
            together(2, work).sample()
        })
        .add_timed(Role::Info, "ours, frozen", move |_| {
            together(2, |thread| each!(plans[thread], |call| frozen_ours.lookup(call))).sample()
        })
        .add_timed(Role::Peer, "lasso-threaded", move |_| {
            let rodeo: Shared = ThreadedRodeo::with_hasher(FixedState::default());
            names.iter().for_each(|name| _ = rodeo.get_or_intern(name));
            together(2, |thread| each!(plans[thread], |call| rodeo.get_or_intern(call))).sample()
        })
        .add_timed(Role::Info, "frozen-map", move |_| {
            together(2, |thread| each!(plans[thread], |call| frozen.get(call))).sample()
        })
}

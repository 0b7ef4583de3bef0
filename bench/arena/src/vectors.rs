//! Vectors that grow by push: one alone, and two whose pushes alternate.

use crate::peers::{OURS, ScopeDown8, ScopeUp8, checked, statement};
use bench_harness::measure::EQUAL;
use bench_harness::{Row, Session, black_box};
use blink_alloc::BlinkAlloc;
use bump_scope::{BumpVec, MutBumpVec};
use cofferdam_arena::{Arena, collections};

/// Numbers pushed in one repetition, per vector.
const PUSHES_COUNT: u64 = 10_000;

pub fn rows(session: &mut Session) {
    session.row("arena/vector_push", one);
    session.row("arena/vector_push_two", two);
}

/// Pushes through `$push` and lets the vector escape.
macro_rules! grow_one {
    ($vector:expr) => {{
        let mut vector = $vector;
        for number in 0..PUSHES_COUNT {
            vector.push(number);
        }
        black_box(&vector[..]);
    }};
}

macro_rules! grow_two {
    ($first:expr, $second:expr) => {{
        let (mut first, mut second) = ($first, $second);
        for number in 0..PUSHES_COUNT {
            first.push(number);
            second.push(number);
        }
        black_box((&first[..], &second[..]));
    }};
}

fn one(name: &'static str) -> Row<'static> {
    let mut arena = Arena::new(&statement());
    let mut bumpalo = bumpalo::Bump::<8>::with_min_align();
    let mut plain = bumpalo::Bump::new();
    let mut up: ScopeUp8 = ScopeUp8::new();
    let mut down: ScopeDown8 = ScopeDown8::new();
    let mut exclusive: ScopeUp8 = ScopeUp8::new();
    let mut blink = BlinkAlloc::new();
    Row::new(name, "a vector of 10,000 numbers grown by push, then reset; per push", PUSHES_COUNT, EQUAL)
        .ours(
            OURS,
            checked(move || {
                let mut vector = collections::Vec::new_in(&arena);
                for number in 0..PUSHES_COUNT {
                    vector.push(number)?;
                }
                black_box(&vector[..]);
                drop(vector);
                arena.reset();
                Ok(())
            }),
        )
        .peer("bumpalo-vec", move || {
            grow_one!(bumpalo::collections::Vec::new_in(&plain));
            plain.reset();
        })
        .peer("bumpalo-api2", move || {
            grow_one!(allocator_api2::vec::Vec::new_in(&bumpalo));
            bumpalo.reset();
        })
        .peer("bump-scope-up", move || {
            grow_one!(BumpVec::new_in(&up));
            up.reset_to_start();
        })
        .peer("bump-scope-down", move || {
            grow_one!(BumpVec::new_in(&down));
            down.reset_to_start();
        })
        .peer("bump-scope-mut", move || {
            grow_one!(MutBumpVec::new_in(&mut exclusive));
            exclusive.reset_to_start();
        })
        .peer("blink-alloc", move || {
            grow_one!(allocator_api2_04::vec::Vec::new_in(&blink));
            blink.reset();
        })
        .info("std", || grow_one!(Vec::new()))
}

fn two(name: &'static str) -> Row<'static> {
    let mut arena = Arena::new(&statement());
    let mut bumpalo = bumpalo::Bump::<8>::with_min_align();
    let mut plain = bumpalo::Bump::new();
    let mut up: ScopeUp8 = ScopeUp8::new();
    let mut down: ScopeDown8 = ScopeDown8::new();
    let mut blink = BlinkAlloc::new();
    let about =
        "two vectors of 10,000 numbers in one arena, grown by alternating pushes, then reset; per push";
    Row::new(name, about, 2 * PUSHES_COUNT, EQUAL)
        .ours(
            OURS,
            checked(move || {
                let (mut first, mut second) =
                    (collections::Vec::new_in(&arena), collections::Vec::new_in(&arena));
                for number in 0..PUSHES_COUNT {
                    first.push(number)?;
                    second.push(number)?;
                }
                black_box((&first[..], &second[..]));
                drop((first, second));
                arena.reset();
                Ok(())
            }),
        )
        .peer("bumpalo-vec", move || {
            grow_two!(bumpalo::collections::Vec::new_in(&plain), bumpalo::collections::Vec::new_in(&plain));
            plain.reset();
        })
        .peer("bumpalo-api2", move || {
            grow_two!(allocator_api2::vec::Vec::new_in(&bumpalo), allocator_api2::vec::Vec::new_in(&bumpalo));
            bumpalo.reset();
        })
        .peer("bump-scope-up", move || {
            grow_two!(BumpVec::new_in(&up), BumpVec::new_in(&up));
            up.reset_to_start();
        })
        .peer("bump-scope-down", move || {
            grow_two!(BumpVec::new_in(&down), BumpVec::new_in(&down));
            down.reset_to_start();
        })
        .peer("blink-alloc", move || {
            grow_two!(
                allocator_api2_04::vec::Vec::new_in(&blink),
                allocator_api2_04::vec::Vec::new_in(&blink)
            );
            blink.reset();
        })
        .info("std", || grow_two!(Vec::new(), Vec::new()))
}

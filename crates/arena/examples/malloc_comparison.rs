//! Arena against malloc (the benchmark of seeds 001 and 002): 1,000 objects of 64 bytes, written and given back.
//!
//! Run with `cargo run --release -p cofferdam-arena --example malloc_comparison`. It prints three lines: the arena's
//! time, malloc's time, and the ratio, each for one round and the median of many, taken in turns.
#![allow(clippy::disallowed_types)]

use cofferdam_arena::{AllocError, Arena, Budget};
use std::hint::black_box;
use std::time::Instant;

const OBJECTS: usize = 1000;

fn arena_round(arena: &mut Arena) -> Result<(), AllocError> {
    for n in 0..OBJECTS {
        black_box(arena.alloc([n as u64; 8])?);
    }
    arena.reset();
    Ok(())
}

#[expect(
    clippy::vec_box,
    clippy::disallowed_types,
    reason = "one malloc and one free per object is what is compared"
)]
fn malloc_round(objects: &mut Vec<Box<[u64; 8]>>) {
    for n in 0..OBJECTS {
        objects.push(black_box(Box::new([n as u64; 8])));
    }
    objects.clear();
}

fn median(mut nanoseconds: Vec<u128>) -> u128 {
    nanoseconds.sort_unstable();
    nanoseconds[nanoseconds.len() / 2].max(1)
}

fn main() -> Result<(), AllocError> {
    let budget = Budget::root("process", 1 << 20).expect("memory for the budgets");
    let mut arena = Arena::new(&budget);
    let mut objects = Vec::with_capacity(OBJECTS);
    let (mut arena_times, mut malloc_times) = (Vec::new(), Vec::new());
    for _ in 0..301 {
        let start = Instant::now();
        arena_round(&mut arena)?;
        arena_times.push(start.elapsed().as_nanos());
        let start = Instant::now();
        malloc_round(&mut objects);
        malloc_times.push(start.elapsed().as_nanos());
    }
    let (arena_time, malloc_time) = (median(arena_times), median(malloc_times));
    println!("arena:  {arena_time} ns for {OBJECTS} objects");
    println!("malloc: {malloc_time} ns for {OBJECTS} objects");
    println!("ratio:  {:.1} times faster", malloc_time as f64 / arena_time as f64);
    assert_eq!(arena.stats().used_bytes, 0);
    arena.release();
    assert_eq!(budget.used(), 4096);
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}

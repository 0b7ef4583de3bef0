//! A reference into an arena is used after the arena was reset.

use cofferdam_arena::{Arena, Budget};

fn main() {
    let budget = Budget::unlimited("test").unwrap();
    let mut arena = Arena::new(&budget);
    let number = arena.alloc(7).unwrap();
    arena.reset();
    println!("{number}");
}

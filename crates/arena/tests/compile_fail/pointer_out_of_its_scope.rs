//! A pointer into a nested scope is kept in the outer one.

use cofferdam_arena::{Arena, Budget};

fn main() {
    let budget = Budget::unlimited("test").unwrap();
    let mut arena = Arena::new(&budget);
    let mut outer = arena.scope();
    let kept = outer.alloc("").unwrap();
    let inner = outer.scope();
    *kept = inner.alloc_fmt(format_args!("{}", 1)).unwrap();
    drop(inner);
    println!("{kept}");
}

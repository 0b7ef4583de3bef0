//! A vector owns the arena that it allocates from, so it could be reset under it.

use cofferdam_arena::{Arena, Budget};

fn main() {
    let budget = Budget::unlimited("test").unwrap();
    let mut numbers = allocator_api2::vec::Vec::new_in(Arena::new(&budget));
    numbers.push(1);
}

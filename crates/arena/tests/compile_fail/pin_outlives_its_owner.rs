//! A pin of a coordinated arena is used after the arena's owner is gone.

use cofferdam_arena::{ArenaOwner, Budget};

fn main() {
    let budget = Budget::unlimited("test").unwrap();
    let owner = ArenaOwner::new(&budget).unwrap();
    let number = owner.write().unwrap().alloc(7u64).unwrap();
    let pin = owner.read().unwrap();
    drop(owner);
    println!("{:?}", pin.get(number));
}

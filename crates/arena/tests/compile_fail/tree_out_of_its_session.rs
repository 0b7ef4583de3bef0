//! A tree outlives the compilation session that it was allocated in.

use cofferdam_arena::{Budget, CompilerArenas};

fn main() {
    let budget = Budget::unlimited("test").unwrap();
    let mut arenas = CompilerArenas::new(&budget, 1 << 20).unwrap();
    let session = arenas.session();
    let tree = session.parse().alloc(1).unwrap();
    drop(session);
    println!("{tree}");
}

//! The peers' types in the settings that make them fastest, and what several rows share.

use bump_scope::settings::BumpSettings;
use cofferdam_arena::{AllocError, Budget, Reservoir, ReservoirOptions};

/// Objects in one repetition of most rows.
pub const NODES_COUNT: u64 = 1000;

/// bump-scope without claims, deallocation and shrinking, bumping upwards from 8-byte boundaries.
pub type ScopeUp8 =
    bump_scope::Bump<bump_scope::alloc::Global, BumpSettings<8, true, true, false, false, false>>;
/// The same downwards.
pub type ScopeDown8 =
    bump_scope::Bump<bump_scope::alloc::Global, BumpSettings<8, false, true, false, false, false>>;
/// bump-scope without claims, deallocation and shrinking, bumping upwards from any byte.
pub type ScopeUp =
    bump_scope::Bump<bump_scope::alloc::Global, BumpSettings<1, true, true, false, false, false>>;
/// The same downwards.
pub type ScopeDown =
    bump_scope::Bump<bump_scope::alloc::Global, BumpSettings<1, false, true, false, false, false>>;

/// The name of ours.
pub const OURS: &str = "cofferdam-arena";

/// Ours when its chunks come from the allocator that the peers use, too.
pub const OURS_ON_HEAP: &str = "ours, on the heap";

/// The limit of the whole tree.
const LIMIT_BYTES: u64 = 4 << 30;

/// A budget below a root with a limit, as a statement has it: on a reservoir.
pub fn statement() -> Budget {
    let reservoir = Reservoir::new(ReservoirOptions::new(LIMIT_BYTES)).expect("addresses");
    let root = Budget::root_on_reservoir("root", LIMIT_BYTES, reservoir).expect("room for a tree");
    root.child("statement", LIMIT_BYTES / 2).expect("room for a node")
}

/// The same on the system's allocator.
pub fn heap_statement() -> Budget {
    let root = Budget::root("root", LIMIT_BYTES).expect("room for a tree");
    root.child("statement", LIMIT_BYTES / 2).expect("room for a node")
}

/// A repetition out of fallible work: every failure has been checked on the way, and ends the bench.
pub fn checked(mut work: impl FnMut() -> Result<(), AllocError>) -> impl FnMut() {
    move || work().expect("the limit is far away")
}

/// A node of a list: 64 bytes, all of them written.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Node {
    previous: *const Node,
    payload: [u64; 7],
}

impl Node {
    /// The node after `previous`.
    #[inline(always)]
    pub fn new(previous: *const Node, number: u64) -> Node {
        Node { previous, payload: [number; 7] }
    }
}

/// Writes [`NODES_COUNT`] nodes as a list through `$alloc`, which gets a node and returns a pointer, and lets the
/// last one escape, and with it all the others.
macro_rules! write_nodes {
    (|$node:ident| $alloc:expr) => {{
        let mut last: *const $crate::peers::Node = std::ptr::null();
        for number in 0..$crate::peers::NODES_COUNT {
            let $node = $crate::peers::Node::new(last, number);
            last = std::ptr::from_ref($alloc);
        }
        bench_harness::black_box(last);
    }};
}
pub(crate) use write_nodes;

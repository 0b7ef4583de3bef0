//! Arenas, hard memory budgets, and what is built on them.
//!
//! The promise: the bytes that a [`Budget`] has handed out never exceed its limit, at any instant; the check comes
//! before the byte is taken; a refusal is a typed error that took no memory to make; and giving everything back costs
//! the same for ten objects as for ten million.
//!
//! ```
//! use cofferdam_arena::{Arena, Budget};
//!
//! let process = Budget::root("process", 64 << 20).unwrap();
//! let statement = process.child("statement", 8 << 20)?;
//! let mut arena = Arena::new(&statement);
//! let names = arena.alloc_slice_copy(&["l_orderkey", "l_tax"])?;
//! assert_eq!(names[1], "l_tax");
//! assert_eq!(statement.used(), 1024); // the first chunk
//!
//! assert!(arena.alloc_uninit_slice::<u8>(9 << 20).is_err());
//! let refusal = statement.last_refusal().unwrap();
//! assert_eq!((refusal.refused_by(), refusal.limit_bytes()), ("statement", 8 << 20));
//!
//! arena.release();
//! assert_eq!(statement.used(), 0);
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`Budget`] | the tree of limits: charge, release, transfer, minimum, emergency reserve, reclaimers, pressure |
//! | [`Arena`], [`Scope`], [`ArenaBox`] | bump allocation, nested lifetimes, values that drop |
//! | [`ArenaOwner`], [`Coordinator`], [`Loc`] | an arena with handles that survive moves, and pointers that are checked |
//! | [`Rooted`] | a value together with the arenas that it borrows |
//! | [`DoubleBuffer`] | two arenas that take turns: one is written while the other is flushed |
//! | [`Pool`], [`SharedPool`] | objects of one size that come and go one by one |
//! | [`ThreadArenas`], [`StatementPart`] | a worker's scratch by size class, and results that a statement takes over |
//! | [`CompilerArenas`], [`Session`] | a compilation in three arenas under one limit, checked stage by stage |
//! | [`collections`] | vector, string, map, set |
//! | [`Buffer`], [`Growing`] | slices that are owned: given back one by one, moved between threads |
//! | [`prefetch()`] | memory that will be read soon |
//! | [`BudgetAlloc`] | the global allocator behind a budget, for lists and maps that live long and change piece by piece |
//! | [`Interner`], [`Overlay`] | names as symbols: shared by all threads, and a statement's own over them |
//! | `Reservoir` | the operating system's memory: addresses reserved once, commits exactly what is charged |
//! | [`OutOfMemory`], [`AllocError`] | the record of a refusal, and the token that travels |
//!
//! Who owns memory: a budget's tree owns its nodes, an arena its chunks; everything else borrows an arena. Works on
//! `core` + `alloc` with `default-features = false`; the operating system's memory needs `std` and a Unix.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

extern crate alloc;

mod allocator;
mod arena;
mod budget;
mod budget_alloc;
mod buffer;
mod bump;
mod chunk;
pub mod collections;
mod coordinator;
mod double_buffer;
mod error;
mod intern;
mod pool;
mod prefetch;
mod pressure;
mod reclaim;
#[cfg(all(feature = "std", unix, not(loom)))]
mod reservoir;
mod rooted;
mod scope;
mod session;
mod stamp;
mod sync;
mod text;
mod thread_arena;

pub use arena::{Arena, ArenaBox, ArenaStats, Growth, SpliceError, Zeroable};
pub use budget::{Budget, BudgetOptions, MemoryTree, NodeStats, UNIT, Walk};
pub use budget_alloc::{BudgetAlloc, append};
pub use buffer::{Buffer, Growing};
pub use coordinator::{
    ArenaOwner, Coordinator, CopyError, CopyTo, Loc, LocError, PinError, ReadPin, WritePin,
};
pub use double_buffer::{BothPins, DoubleBuffer, DoubleBufferError};
pub use error::{AllocError, HOLDERS_MAX, Holder, OutOfMemory, Reason, Stage};
pub use intern::{Frozen, Identifier, Interner, InternerStats, Names, Overlay, Pin, Symbol, SymbolRef};
pub use pool::{POOL_CHUNK_OBJECTS, Pool, PoolBox, PoolStats, Shared, SharedPool};
pub use prefetch::prefetch;
pub use pressure::{Observer, Pressure, PressureEvent, THRESHOLDS_PERCENT};
pub use reclaim::Reclaim;
#[cfg(all(feature = "std", unix, not(loom)))]
pub use reservoir::{Reservoir, ReservoirError, ReservoirOptions, ReservoirStats};
pub use rooted::{Borrowing, Rooted};
pub use scope::Scope;
pub use session::{
    COMPILE_STAGES, CompilerArenas, MemoryStats, Session, SessionError, StageReport, TestContext,
    with_test_context,
};
pub use text::{HumanBytes, InlineText, human_bytes};
pub use thread_arena::{
    LARGE_BYTES_CAP, NODE_BYTES_MAX, SMALL_BYTES_CAP, SMALL_OBJECT_BYTES_MAX, ScratchBox, SizeClass,
    SpliceRefused, Spliced, StatementPart, ThreadArenas, ThreadStats,
};

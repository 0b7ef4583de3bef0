//! Development only: what the crates' tests share.
//!
//! | module | what a test gets from it |
//! |---|---|
//! | [`sweep`] | the work rerun under every limit that matters, from nothing to enough |
//! | [`inject`] | the n-th charge refused, for every n |
//! | [`simfs`] | a disk that crashes, tears writes, loses what was not synced and fails in every way, from a seed |
//! | [`counting`] | the allocations of a thread, to find bytes that no budget paid for |
//! | [`golden`] | scripts of commands with their expected output |
//! | [`footprint`] | the private memory of a child process |
//!
//! All checks return their finding as a value, so that each can be tested to fail when it should. They may use the
//! heap freely: they run beside the code that may not.
#![deny(unsafe_code)]
#![allow(clippy::disallowed_types)]

pub mod counting;
pub mod footprint;
pub mod golden;
#[cfg(feature = "arena")]
pub mod inject;
#[cfg(feature = "arena")]
mod refusal;
#[cfg(feature = "simfs")]
pub mod simfs;
#[cfg(feature = "arena")]
pub mod sweep;

#[cfg(feature = "arena")]
pub use refusal::{Failure, Refused};

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: counting::CountingAllocator = counting::CountingAllocator;

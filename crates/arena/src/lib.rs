//! Arenas, hard memory budgets, and what is built on them.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

#[cfg(all(feature = "std", unix))]
mod reservoir;
#[cfg(all(feature = "std", unix))]
pub use reservoir::{Reservoir, ReservoirError, ReservoirOptions, ReservoirStats};

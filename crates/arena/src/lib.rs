//! Arenas, hard memory budgets, and what is built on them.
#![cfg_attr(not(feature = "std"), no_std)]
extern crate alloc;

//! The crate's tests from outside.
#![allow(clippy::disallowed_types)]

mod answers;
mod docs;
mod random;
mod resolution;
mod rows;
mod support;

//! The crate's tests from outside.
#![allow(clippy::disallowed_types)]

mod answers;
mod support;

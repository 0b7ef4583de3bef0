//! Integration tests of the execution: plans are built by hand, answers compared with naive ones.
#![allow(clippy::disallowed_types)]

mod admission;
mod cancel;
mod files;
mod groups;
mod joins;
mod kept;
mod limits;
mod operators;
mod pipelines;
mod sql;
mod support;
mod tables;
mod tpch;
mod world;

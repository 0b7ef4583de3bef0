//! Integration tests of the store, on simulated disks.
#![allow(clippy::disallowed_types)]

mod directory;
mod formats;
mod machine;
mod manifest;
mod memory;
mod wal;

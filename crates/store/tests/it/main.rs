//! Integration tests of the store, on simulated disks.
#![allow(clippy::disallowed_types)]

use cofferdam_testkit::counting::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

mod directory;
mod formats;
mod machine;
mod manifest;
mod memory;
mod wal;

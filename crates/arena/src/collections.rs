//! Vector, string, map and set whose memory is an arena's.
//!
//! Every call that may grow returns a `Result`; there are no panicking twins. A collection borrows its arena, so the
//! arena cannot be reset while one lives. What a collection leaves behind when it moves to a larger block stays in
//! the arena until that is reset; a collection that is the arena's latest allocation grows in place and leaves nothing.

mod map;
mod string;
mod vec;

pub use map::{Map, Set};
pub use string::String;
pub use vec::Vec;

#[cfg(all(test, not(loom)))]
mod tests;

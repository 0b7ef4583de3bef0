//! What planners are told of tables whose sketches and statistics lie, with checksums that fit.
//!
//! The bytes are lies of four bytes each: which piece, where in it, and what stands there. What is checked, and how, stands at the head
//! of `statistics/fuzz.rs` of the store.
//!
//! # Panics
//! When something of that does not hold.

/// Checks the lies in `data`.
pub fn check(data: &[u8]) {
    cofferdam_store::fuzzing::statistics(data);
}

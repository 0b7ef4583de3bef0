//! Pages of columns, and symbols of texts.
//!
//! It checks
//!
//! - **round trip**: values of any kind that the bytes choose come back bit by bit: decoded whole, in part, gathered and
//!   one by one, and their bounds hold;
//! - **foreign bytes**: any bytes as a page or as symbols, with a checksum that is right, are refused, or all ways of
//!   reading agree and stay within their bounds.
//!
//! # Panics
//! When one of these does not hold.

/// Checks what `data` chooses.
pub fn check(data: &[u8]) {
    cofferdam_store::fuzzing::page(data);
}

//! Functions of numbers.
//!
//! Doubles are computed by the platform's mathematics; a finite argument that makes an infinite result overflows, one
//! that makes zero of something else underflows, as in PostgreSQL.

mod fixed;
mod float;
mod numeric;
mod whole;

pub(crate) use float::{FUNCTIONS as FLOAT, OPERATORS as FLOAT_OPERATORS};
pub(crate) use numeric::{FUNCTIONS as NUMERIC, OPERATORS as NUMERIC_OPERATORS};
pub(crate) use whole::{FUNCTIONS as WHOLE, OPERATORS as WHOLE_OPERATORS};

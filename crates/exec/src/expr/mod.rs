//! Expressions over batches: compiled once into a flat program, run once per batch.
//!
//! | file | holds |
//! |---|---|
//! | `program` | instructions, levels, and what a program is |
//! | `compile` | bound expressions to programs |
//! | `run` | the loop over instructions, logic and comparisons |
//! | `kernel` | the loops over rows that operations share |
//! | `call` | what goes value by value: the table of functions, most casts, arrays |
//! | `arithmetic`, `convert`, `text`, `like` | numbers, casts and dates, functions of text, patterns |

mod arithmetic;
mod call;
mod compile;
mod convert;
pub(crate) mod kernel;
mod like;
mod program;
mod run;
mod text;

pub(crate) use compile::{Registers, compile, typed};
pub(crate) use program::{Program, Test};
pub(crate) use run::{narrow_in_place, passing};

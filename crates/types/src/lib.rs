//! SQL types and values, in PostgreSQL's words and with PostgreSQL's answers.
//!
//! | file | holds |
//! |---|---|
//! | `ty` | [`Type`], its names, and the rules that give an expression its type |
//! | `value` | [`Value`], its text form and its order |
//! | `cast` | conversions of values between types |
//! | `decimal` | [`Decimal`], exact numbers of up to 38 digits |
//! | `unscaled` | the same arithmetic on raw integers, for loops over columns |
//! | `digits` | decimals as text: scanning and printing |
//! | `wide` | the 256-bit intermediate results of both |
//! | `date`, `interval` | [`Date`] and [`Interval`], proleptic Gregorian |
//! | `number` | integers, booleans and doubles from and to text |
//! | `key` | bytes whose order is the order of the values |
//! | `row` | compact bytes for rows that are kept or spilled |
//! | `sniff` | [`Sniffer`], which guesses the type of a CSV column |
//! | `text` | [`TextBuffer`], the fixed buffer that values are printed into |
//! | `error` | [`Error`], small and without a heap |
//!
//! **Memory.** Nothing here allocates. Text is borrowed from the caller ([`Value::Text`]), output goes to a
//! [`core::fmt::Write`], a [`TextBuffer`] on the stack or a [`key::Sink`] of the caller, and errors carry their excerpt
//! of the offending text inline. The crate is `no_std`.
//!
//! **Invariants.** A [`Decimal`] has at most 38 digits and a scale of 0 to 38; a [`Date`] lies in PostgreSQL's range.
//! Both are kept by their constructors, so the arithmetic relies on them.
//!
//! **Neighbours.** Below: nothing. Above: `plan` takes types and folds constants, `exec` runs the loops of `unscaled`
//! over columns and builds keys, `store` keeps rows and keys in files.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

#[cfg(test)]
extern crate std;

pub mod cast;
mod date;
mod decimal;
mod digits;
mod error;
mod interval;
pub mod key;
pub mod number;
pub mod row;
mod sniff;
mod text;
mod ty;
pub mod unscaled;
mod value;
mod wide;

pub use date::Date;
pub use decimal::Decimal;
pub use error::{Error, Excerpt};
pub use interval::{Interval, IntervalUnit};
pub use sniff::Sniffer;
pub use text::{TEXT_BYTES_MAX, TextBuffer};
pub use ty::{Aggregate, Arithmetic, ArithmeticOp, Type};
pub use value::Value;

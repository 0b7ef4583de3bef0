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
//! | `date`, `time`, `interval` | [`Date`], [`Time`] and [`Timestamp`], [`Interval`], proleptic Gregorian |
//! | `datetime` | arithmetic and functions of moments and intervals |
//! | `moment` | dates, times and timestamps from text, in a [`Session`] |
//! | `uuid` | [`Uuid`] |
//! | `json` | whether a text is JSON, and the normal form of jsonb |
//! | `array` | [`ArrayRef`], lists of values |
//! | `number` | integers, booleans and doubles from and to text |
//! | `key` | bytes whose order is the order of the values |
//! | `column` | how columns of values are held in memory: [`column::Data`] of a [`column::Kind`] |
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
//! ```
//! use cofferdam_types::{Decimal, Type, TextBuffer, Value, cast, key, unscaled};
//!
//! # fn main() -> Result<(), cofferdam_types::Error> {
//! // One value: 1173.50 * (1 - 0.05), exact.
//! let price = Decimal::parse(b"1173.50")?;
//! let revenue = price.checked_mul(Decimal::from(1i32).checked_sub(Decimal::parse(b"0.05")?)?)?;
//! assert_eq!(revenue.to_string(), "1114.8250");
//!
//! // A column of numeric(15,2) by one of scale 2: integers, and scale 4 is known beforehand.
//! assert_eq!(unscaled::mul_i64(117_350, 95), revenue.unscaled());
//!
//! // Text becomes a value of a declared type, or an error that says where and why.
//! let mut buffer = TextBuffer::new();
//! let error = cast::cast(Value::Text("1998-02-30"), Type::Date, &mut buffer).unwrap_err();
//! assert_eq!(error.sqlstate(), "22008");
//! assert!(error.to_string().ends_with("(february has 28 days in this year)"));
//!
//! // Keys compare as bytes the way values do.
//! let (mut first, mut second) = ([0; 32], [0; 32]);
//! let (mut a, mut b) = (key::SliceSink::new(&mut first), key::SliceSink::new(&mut second));
//! key::encode_key(Value::Decimal(revenue), key::KeyOrder::ASC, &mut a)?;
//! key::encode_key(Value::Decimal(price), key::KeyOrder::ASC, &mut b)?;
//! assert!(a.written() < b.written());
//! # Ok(())
//! # }
//! ```
//!
//! **Neighbours.** Below: nothing. Above: `plan` takes types and folds constants, `exec` runs the loops of `unscaled`
//! over columns and builds keys, `store` keeps rows and keys in files.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

#[cfg(test)]
extern crate std;

pub mod array;
pub mod cast;
pub mod column;
#[cfg(test)]
mod conformance;
mod date;
pub mod datetime;
mod decimal;
mod digits;
mod error;
mod interval;
pub mod json;
pub mod key;
pub mod moment;
pub mod number;
pub mod row;
mod sniff;
mod text;
pub mod time;
mod ty;
pub mod unscaled;
mod uuid;
mod value;
mod wide;

pub use array::ArrayRef;
pub use date::Date;
pub use decimal::Decimal;
pub use error::{Error, Excerpt};
pub use interval::{Interval, IntervalUnit};
pub use moment::Session;
pub use sniff::Sniffer;
pub use text::{Buffer, TEXT_BYTES_MAX, TextBuffer};
pub use time::{Time, Timestamp};
pub use ty::{Aggregate, Arithmetic, ArithmeticOp, Element, Type};
pub use uuid::Uuid;
pub use value::{Value, trim_blanks};

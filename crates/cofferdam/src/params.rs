//! Values for parameters: Rust's types as SQL's.
//!
//! | Rust | SQL |
//! |---|---|
//! | `bool` | boolean |
//! | `i8`, `u8`, `i16` | smallint |
//! | `u16`, `i32` | integer |
//! | `u32`, `i64` | bigint |
//! | `u64`, `usize`, `i128` | numeric |
//! | `f32`, `f64` | real, double precision |
//! | `&str`, `String` | text, or whatever type the parameter has, as a quoted literal |
//! | `&[u8]`, `Vec<u8>` | bytea |
//! | [`Decimal`], [`Date`], [`Time`], [`Timestamp`], [`Interval`], [`Uuid`] | numeric, date, time, timestamp, interval, uuid |
//! | [`Value`] | what it is |
//! | `Option<T>` | NULL, or as `T` |
//!
//! A value becomes one of the parameter's type when a statement begins to run, as in an assignment to a column.
//!
//! Parameters have numbers, `$1`, or names, `$name`, for which [`named_params!`](crate::named_params) gives values in any order. There
//! are no others: in PostgreSQL's grammar `?` is an operator, and `:name` begins the upper bound of a slice as in `a[1:name]`.
//!
//! **Memory.** Values are borrowed from the caller, and copied to the statement's memory where they are texts or bytes.
#![allow(clippy::disallowed_types, reason = "callers have such values; nothing here makes one")]

use cofferdam_types::{Date, Decimal, Interval, Time, Timestamp, Uuid, Value};

/// What can be given for a parameter.
///
/// ```
/// use cofferdam::{ToValue, Value};
///
/// assert_eq!(7i64.to_value(), Value::BigInt(7));
/// assert_eq!("seven".to_value(), Value::Text("seven"));
/// assert_eq!(None::<i64>.to_value(), Value::Null);
///
/// /// Types of one's own are what they are made of.
/// struct Meters(f64);
///
/// impl ToValue for Meters {
///     fn to_value(&self) -> Value<'_> {
///         self.0.to_value()
///     }
/// }
/// assert_eq!(Meters(1.5).to_value(), Value::Double(1.5));
/// ```
pub trait ToValue {
    /// The value, which may borrow from `self`.
    fn to_value(&self) -> Value<'_>;
}

macro_rules! to_value {
    ($($ty:ty => |$value:ident| $made:expr),* $(,)?) => {
        $(impl ToValue for $ty {
            fn to_value(&self) -> Value<'_> {
                let $value = self;
                $made
            }
        })*
    };
}

to_value! {
    bool => |value| Value::Boolean(*value),
    i8 => |value| Value::SmallInt(i16::from(*value)),
    u8 => |value| Value::SmallInt(i16::from(*value)),
    i16 => |value| Value::SmallInt(*value),
    u16 => |value| Value::Integer(i32::from(*value)),
    i32 => |value| Value::Integer(*value),
    u32 => |value| Value::BigInt(i64::from(*value)),
    i64 => |value| Value::BigInt(*value),
    u64 => |value| whole(i128::from(*value)),
    usize => |value| whole(*value as i128),
    f32 => |value| Value::Real(*value),
    f64 => |value| Value::Double(*value),
    str => |value| Value::Text(value),
    String => |value| Value::Text(value),
    [u8] => |value| Value::Bytea(value),
    Vec<u8> => |value| Value::Bytea(value),
    Decimal => |value| Value::Decimal(*value),
    Date => |value| Value::Date(*value),
    Time => |value| Value::Time(*value),
    Timestamp => |value| Value::Timestamp(*value),
    Interval => |value| Value::Interval(*value),
    Uuid => |value| Value::Uuid(*value),
    Value<'_> => |value| *value,
}

/// A whole number of up to 64 bits without a sign: a decimal holds them all.
fn whole(value: i128) -> Value<'static> {
    match i64::try_from(value) {
        Ok(value) => Value::BigInt(value),
        Err(_) => Decimal::new(value, 0).map_or(Value::Null, Value::Decimal),
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Bytea(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// Values for the parameters of a statement: in the order of `$1`, `$2` … or of the first places of `$name`s, or by name.
///
/// ```
/// use cofferdam::{Params, Value, params};
///
/// assert_eq!(().count(), 0);
/// assert_eq!([1, 2, 3].count(), 3);
/// assert_eq!((1, "one", None::<bool>).value(1), Value::Text("one"));
/// assert_eq!(params![1, "one"].value(0), Value::Integer(1));
/// assert_eq!([("id", 7), ("$age", 30)].name(1), Some("$age"));
/// ```
pub trait Params {
    /// How many there are.
    fn count(&self) -> usize;

    /// The one at a position from 0.
    ///
    /// # Panics
    /// Maybe, if there are not so many.
    fn value(&self, index: usize) -> Value<'_>;

    /// The name of the one at a position, with or without `$`, where values are given by name; `None` where they are given in order, as
    /// unless a type says otherwise.
    fn name(&self, index: usize) -> Option<&str> {
        let _ = index;
        None
    }
}

impl<T: ToValue> Params for [(&str, T)] {
    fn count(&self) -> usize {
        self.len()
    }

    fn value(&self, index: usize) -> Value<'_> {
        self[index].1.to_value()
    }

    fn name(&self, index: usize) -> Option<&str> {
        Some(self[index].0)
    }
}

impl<T: ToValue, const N: usize> Params for [(&str, T); N] {
    fn count(&self) -> usize {
        N
    }

    fn value(&self, index: usize) -> Value<'_> {
        self[index].1.to_value()
    }

    fn name(&self, index: usize) -> Option<&str> {
        Some(self[index].0)
    }
}

impl<T: ToValue> Params for [T] {
    fn count(&self) -> usize {
        self.len()
    }

    fn value(&self, index: usize) -> Value<'_> {
        self[index].to_value()
    }
}

impl<T: ToValue, const N: usize> Params for [T; N] {
    fn count(&self) -> usize {
        N
    }

    fn value(&self, index: usize) -> Value<'_> {
        self[index].to_value()
    }
}

impl<P: Params + ?Sized> Params for &P {
    fn count(&self) -> usize {
        (**self).count()
    }

    fn value(&self, index: usize) -> Value<'_> {
        (**self).value(index)
    }

    fn name(&self, index: usize) -> Option<&str> {
        (**self).name(index)
    }
}

impl Params for () {
    fn count(&self) -> usize {
        0
    }

    fn value(&self, _: usize) -> Value<'_> {
        Value::Null
    }
}

macro_rules! params_of_tuples {
    ($(($count:literal: $($name:ident $index:tt),*))*) => {
        $(impl<$($name: ToValue),*> Params for ($($name,)*) {
            fn count(&self) -> usize {
                $count
            }

            fn value(&self, index: usize) -> Value<'_> {
                match index {
                    $($index => self.$index.to_value(),)*
                    _ => Value::Null,
                }
            }
        })*
    };
}

params_of_tuples! {
    (1: A 0)
    (2: A 0, B 1)
    (3: A 0, B 1, C 2)
    (4: A 0, B 1, C 2, D 3)
    (5: A 0, B 1, C 2, D 3, E 4)
    (6: A 0, B 1, C 2, D 3, E 4, F 5)
    (7: A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (8: A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// Values of different types for parameters, however many: a slice of references that [`Params`] takes.
///
/// ```
/// use cofferdam::{Database, Options, params};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let sql = "SELECT $1 + 1, upper($2)";
/// let text = connection.query_row_with(sql, params![41, "done"], |row| {
///     Ok(format!("{} {}", row.value(0), row.value(1)))
/// })?;
/// assert_eq!(text, "42 DONE");
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        &[$(&$value as &dyn $crate::ToValue),*] as &[&dyn $crate::ToValue]
    };
}

/// Values of different types for parameters with names, in any order: a slice that [`Params`] takes.
///
/// ```
/// use cofferdam::{Database, Options, named_params};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// let sql = "SELECT upper($word) || repeat('!', $count) || lower($word)";
/// let values = named_params! { "count": 3, "word": "Done" };
/// let text: String = connection.query_row_with(sql, values, |row| row.get(0))?;
/// assert_eq!(text, "DONE!!!done");
///
/// let error = connection.execute_with(sql, named_params! { "count": 3, "wrd": "Done" }).unwrap_err();
/// assert_eq!(error.to_string(), "the statement has no parameter $wrd");
/// assert_eq!(error.hint().unwrap().to_string(), "did you mean $word?");
/// # Ok::<(), cofferdam::Error>(())
/// ```
#[macro_export]
macro_rules! named_params {
    ($($name:literal: $value:expr),* $(,)?) => {
        &[$(($name, &$value as &dyn $crate::ToValue)),*] as &[(&str, &dyn $crate::ToValue)]
    };
}

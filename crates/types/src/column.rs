//! How columns of values are held in memory: what scans fill and operators compute on.
//!
//! A column is a slice of one physical kind ([`Data`]), a flag a row for NULL beside it, and for text a heap that its
//! views point into. The slices are borrowed, so whoever holds the arena pays.
//!
//! | [`Kind`] | types | bytes a value |
//! |---|---|---|
//! | `Bool` | boolean | 1 |
//! | `I32` | integer, date (days since 1970-01-01) | 4 |
//! | `I64` | bigint, decimals of at most 18 digits (unscaled), interval ([`pack_interval`]) | 8 |
//! | `I128` | longer decimals (unscaled) | 16 |
//! | `F64` | double | 8 |
//! | `Text` | text: a view of 8 bytes, and its bytes in the heap | 8 + n |

use crate::{Date, Decimal, Interval, Type, Value};

/// Where a text stands in its heap, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TextView {
    /// The first byte.
    pub start: u32,
    /// How many.
    pub len: u32,
}

impl TextView {
    /// The bytes of the text; empty if the view does not lie in `heap`, as that of a row without a meaning.
    #[inline(always)]
    pub fn of(self, heap: &[u8]) -> &[u8] {
        let start = self.start as usize;
        heap.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// How the values of a type are held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Booleans.
    Bool,
    /// Integers and dates.
    I32,
    /// Big integers, decimals of at most 18 digits, and intervals (months, then days).
    I64,
    /// Decimals of more than 18 digits.
    I128,
    /// Doubles.
    F64,
    /// Text.
    Text,
}

impl Kind {
    /// The most digits of a decimal that is held in 64 bits.
    pub const I64_DIGITS: u8 = 18;

    /// The kind that holds a type.
    pub const fn of(ty: Type) -> Kind {
        match ty {
            Type::Boolean => Kind::Bool,
            Type::Integer | Type::Date => Kind::I32,
            Type::BigInt | Type::Interval => Kind::I64,
            Type::Decimal { precision, .. } if precision <= Kind::I64_DIGITS => Kind::I64,
            Type::Decimal { .. } => Kind::I128,
            Type::Double => Kind::F64,
            Type::Text | Type::Unknown => Kind::Text,
        }
    }

    /// Bytes of one value in a column; of a text, of its view.
    pub const fn bytes(self) -> usize {
        match self {
            Kind::Bool => 1,
            Kind::I32 => 4,
            Kind::I64 | Kind::F64 | Kind::Text => 8,
            Kind::I128 => 16,
        }
    }
}

/// The values of a column.
#[derive(Debug)]
pub enum Data<'a> {
    /// Of [`Kind::Bool`].
    Bool(&'a mut [bool]),
    /// Of [`Kind::I32`].
    I32(&'a mut [i32]),
    /// Of [`Kind::I64`].
    I64(&'a mut [i64]),
    /// Of [`Kind::I128`].
    I128(&'a mut [i128]),
    /// Of [`Kind::F64`].
    F64(&'a mut [f64]),
    /// Of [`Kind::Text`].
    Text(&'a mut [TextView]),
}

/// A type that columns hold, and its way in and out of [`Data`].
pub trait Element: Copy + Default {
    /// The values.
    ///
    /// # Panics
    /// If the column is of another kind.
    fn read<'v>(data: &'v Data<'_>) -> &'v [Self];
    /// The values, to be written.
    ///
    /// # Panics
    /// If the column is of another kind.
    fn write<'v>(data: &'v mut Data<'_>) -> &'v mut [Self];
}

macro_rules! element {
    ($($ty:ty, $variant:ident;)*) => {$(
        impl Element for $ty {
            #[inline(always)]
            fn read<'v>(data: &'v Data<'_>) -> &'v [$ty] {
                match data {
                    Data::$variant(values) => values,
                    _ => unreachable!("the column does not hold {}", stringify!($variant)),
                }
            }
            #[inline(always)]
            fn write<'v>(data: &'v mut Data<'_>) -> &'v mut [$ty] {
                match data {
                    Data::$variant(values) => values,
                    _ => unreachable!("the column does not hold {}", stringify!($variant)),
                }
            }
        }
    )*};
}
element! { bool, Bool; i32, I32; i64, I64; i128, I128; f64, F64; TextView, Text; }

impl Data<'_> {
    /// How the values are held.
    pub fn kind(&self) -> Kind {
        match self {
            Data::Bool(_) => Kind::Bool,
            Data::I32(_) => Kind::I32,
            Data::I64(_) => Kind::I64,
            Data::I128(_) => Kind::I128,
            Data::F64(_) => Kind::F64,
            Data::Text(_) => Kind::Text,
        }
    }

    /// How many values there is room for.
    pub fn capacity(&self) -> usize {
        match self {
            Data::Bool(values) => values.len(),
            Data::I32(values) => values.len(),
            Data::I64(values) => values.len(),
            Data::I128(values) => values.len(),
            Data::F64(values) => values.len(),
            Data::Text(values) => values.len(),
        }
    }

    /// The value at `at`, which is not NULL, as the type of the column; text is borrowed from `heap`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn value<'v>(&self, at: usize, ty: Type, heap: &'v [u8]) -> Value<'v> {
        match self {
            Data::Bool(values) => Value::Boolean(values[at]),
            Data::I32(values) if ty == Type::Date => {
                Date::from_days(i64::from(values[at])).map_or(Value::Null, Value::Date)
            }
            Data::I32(values) => Value::Integer(values[at]),
            Data::I64(values) => value_of_i64(values[at], ty),
            Data::I128(values) => value_of_decimal(values[at], ty),
            Data::F64(values) => Value::Double(values[at]),
            // Text is checked where it enters: the fallback is unreachable and safe.
            Data::Text(views) => Value::Text(core::str::from_utf8(views[at].of(heap)).unwrap_or_default()),
        }
    }

    /// Stores a value of the column's kind; of a text only its length, as if it stood at the start of the heap.
    ///
    /// # Panics
    /// If there is no such row, or the value is NULL or of another kind.
    pub fn put(&mut self, at: usize, value: Value<'_>) {
        match (self, value) {
            (Data::Bool(values), Value::Boolean(v)) => values[at] = v,
            (Data::I32(values), Value::Integer(v)) => values[at] = v,
            (Data::I32(values), Value::Date(v)) => values[at] = v.days(),
            (Data::I64(values), Value::BigInt(v)) => values[at] = v,
            (Data::I64(values), Value::Decimal(v)) => values[at] = v.unscaled() as i64,
            (Data::I64(values), Value::Interval(v)) => values[at] = pack_interval(v),
            (Data::I128(values), Value::Decimal(v)) => values[at] = v.unscaled(),
            (Data::F64(values), Value::Double(v)) => values[at] = v,
            (Data::Text(views), Value::Text(v)) => views[at] = TextView { start: 0, len: v.len() as u32 },
            (data, value) => unreachable!("{value:?} for a column of {:?}", data.kind()),
        }
    }
}

fn value_of_i64<'v>(value: i64, ty: Type) -> Value<'v> {
    match ty {
        Type::Decimal { .. } => value_of_decimal(i128::from(value), ty),
        Type::Interval => Value::Interval(unpack_interval(value)),
        _ => Value::BigInt(value),
    }
}

fn value_of_decimal<'v>(value: i128, ty: Type) -> Value<'v> {
    let scale = match ty {
        Type::Decimal { scale, .. } => scale,
        _ => 0,
    };
    Decimal::new(value, scale).map_or(Value::Null, Value::Decimal)
}

/// An interval in 64 bits: months in the high half, days in the low one.
pub fn pack_interval(interval: Interval) -> i64 {
    i64::from(interval.months) << 32 | i64::from(interval.days as u32)
}

/// The interval that [`pack_interval`] packed.
pub fn unpack_interval(packed: i64) -> Interval {
    Interval { months: (packed >> 32) as i32, days: packed as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: what is put is what is read, for every kind. Method: one value of each type through a column of two rows.
    #[test]
    fn values_go_in_and_out() {
        let decimal = |text: &str| Decimal::parse(text.as_bytes()).unwrap();
        let (mut bools, mut ints, mut longs) = ([false; 2], [0i32; 2], [0i64; 2]);
        let (mut wides, mut doubles, mut views) = ([0i128; 2], [0f64; 2], [TextView::default(); 2]);
        let mut check = |value: Value<'static>, ty: Type| {
            let mut data = match Kind::of(ty) {
                Kind::Bool => Data::Bool(&mut bools),
                Kind::I32 => Data::I32(&mut ints),
                Kind::I64 => Data::I64(&mut longs),
                Kind::I128 => Data::I128(&mut wides),
                Kind::F64 => Data::F64(&mut doubles),
                Kind::Text => Data::Text(&mut views),
            };
            assert_eq!((data.kind(), data.capacity()), (Kind::of(ty), 2));
            data.put(1, value);
            let heap = if let Value::Text(text) = value { text.as_bytes() } else { b"" };
            assert_eq!(data.value(1, ty, heap).total_cmp(&value), core::cmp::Ordering::Equal, "{value:?}");
        };
        check(Value::Boolean(true), Type::Boolean);
        check(Value::Integer(-7), Type::Integer);
        check(Value::Date(Date::from_ymd(1998, 12, 1).unwrap()), Type::Date);
        check(Value::BigInt(i64::MIN), Type::BigInt);
        check(Value::Interval(Interval { months: -1, days: 5 }), Type::Interval);
        check(Value::Decimal(decimal("-12.50")), Type::Decimal { precision: 15, scale: 2 });
        check(Value::Decimal(decimal("123456789012345678901.5")), Type::Decimal { precision: 38, scale: 1 });
        check(Value::Double(0.1), Type::Double);
        check(Value::Text("AIR"), Type::Text);
    }
}

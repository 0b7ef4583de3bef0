//! How columns of values are held in memory: what scans fill and operators compute on.
//!
//! A column is a slice of one physical kind ([`Data`]), a flag a row for NULL beside it, and for text a heap that its
//! views point into. The slices are borrowed, so whoever holds the arena pays.
//!
//! | [`Kind`] | types | bytes a value |
//! |---|---|---|
//! | `Bool` | boolean | 1 |
//! | `I32` | smallint, integer, date (days since 1970-01-01) | 4 |
//! | `I64` | bigint, decimals of at most 18 digits (unscaled), time and timestamps (microseconds) | 8 |
//! | `I128` | longer decimals (unscaled), interval ([`pack_interval`]), uuid ([`Uuid::to_ordered`]) | 16 |
//! | `F64` | double, real (a double that 32 bits hold) | 8 |
//! | `Text` | text, character, bytea, json, jsonb, arrays, numeric ([`Decimal::to_compact`]): a view of 8 bytes, and its bytes in the heap | 8 + n |
//!
//! Only the bytes of text, character, json and jsonb are UTF-8. Those of numeric, jsonb, character and arrays have not
//! the order of their values.

use crate::{Date, Decimal, Interval, Time, Timestamp, Type, Uuid, Value};

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
    /// Small integers, integers and dates.
    I32,
    /// Big integers, decimals of at most 18 digits, times and timestamps.
    I64,
    /// Decimals of more than 18 digits, intervals and identifiers.
    I128,
    /// Doubles and numbers of 32 bits.
    F64,
    /// Text, and everything else whose values are bytes of any length.
    Text,
}

impl Kind {
    /// The most digits of a decimal that is held in 64 bits.
    pub const I64_DIGITS: u8 = 18;

    /// The kind that holds a type.
    pub const fn of(ty: Type) -> Kind {
        match ty {
            Type::Boolean => Kind::Bool,
            Type::SmallInt | Type::Integer | Type::Date => Kind::I32,
            Type::BigInt | Type::Time | Type::Timestamp | Type::TimestampTz => Kind::I64,
            Type::Decimal { precision, .. } if precision <= Kind::I64_DIGITS => Kind::I64,
            Type::Decimal { .. } | Type::Interval | Type::Uuid => Kind::I128,
            Type::Real | Type::Double => Kind::F64,
            Type::Text
            | Type::Char
            | Type::Bytea
            | Type::Json
            | Type::Jsonb
            | Type::Array(_)
            | Type::Numeric
            | Type::Unknown => Kind::Text,
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

    /// The value at `at`, which is not NULL, as the type of the column; what is bytes is borrowed from `heap`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn value<'v>(&self, at: usize, ty: Type, heap: &'v [u8]) -> Value<'v> {
        match self {
            Data::Bool(values) => Value::Boolean(values[at]),
            Data::I32(values) => value_of_integer(values[at].into(), ty).unwrap_or_default(),
            Data::I64(values) => value_of_integer(values[at].into(), ty).unwrap_or_default(),
            Data::I128(values) => value_of_integer(values[at], ty).unwrap_or_default(),
            Data::F64(values) => value_of_double(values[at], ty),
            // Text is checked where it enters: the fallback is unreachable and safe.
            Data::Text(views) => crate::row::decode_bytes(views[at].of(heap), ty).unwrap_or(Value::Text("")),
        }
    }

    /// Stores a value of the column's kind; of one that is bytes only their number, as if they stood at the start of the heap.
    ///
    /// # Panics
    /// If there is no such row, or the value is NULL or of another kind.
    pub fn put(&mut self, at: usize, value: Value<'_>) {
        match (self, value) {
            (Data::Bool(values), Value::Boolean(v)) => values[at] = v,
            (Data::I32(values), Value::SmallInt(v)) => values[at] = v.into(),
            (Data::I32(values), Value::Integer(v)) => values[at] = v,
            (Data::I32(values), Value::Date(v)) => values[at] = v.days(),
            (Data::I64(values), Value::BigInt(v)) => values[at] = v,
            (Data::I64(values), Value::Time(v)) => values[at] = v.micros(),
            (Data::I64(values), Value::Timestamp(v) | Value::TimestampTz(v)) => values[at] = v.micros(),
            (Data::I64(values), Value::Decimal(v)) => values[at] = v.unscaled() as i64,
            (Data::I128(values), Value::Interval(v)) => values[at] = pack_interval(v),
            (Data::I128(values), Value::Uuid(v)) => values[at] = v.to_ordered(),
            (Data::I128(values), Value::Decimal(v)) => values[at] = v.unscaled(),
            (Data::F64(values), Value::Real(v)) => values[at] = v.into(),
            (Data::F64(values), Value::Double(v)) => values[at] = v,
            (Data::Text(views), Value::Decimal(v)) => {
                views[at] = TextView { start: 0, len: v.to_compact().1 as u32 };
            }
            (data, value) => match (data, value.heap_bytes()) {
                (Data::Text(views), Some(bytes)) => {
                    views[at] = TextView { start: 0, len: bytes.len() as u32 };
                }
                (data, _) => unreachable!("{value:?} for a column of {:?}", data.kind()),
            },
        }
    }
}

/// The bytes that a column of [`Kind::Text`] holds for a value, which `compact` may hold; empty for values of other kinds.
pub fn bytes_of<'v>(value: Value<'v>, compact: &'v mut [u8; Decimal::COMPACT_BYTES_MAX]) -> &'v [u8] {
    match value {
        Value::Decimal(number) => {
            let len;
            (*compact, len) = number.to_compact();
            compact.get(..len).unwrap_or(&[])
        }
        value => value.heap_bytes().unwrap_or(&[]),
    }
}

/// The value of a type that columns hold as an integer; nothing for integers that are no value of the type.
pub fn value_of_integer<'v>(number: i128, ty: Type) -> Option<Value<'v>> {
    let long = || i64::try_from(number).ok();
    Some(match ty {
        Type::Boolean => Value::Boolean(number != 0),
        Type::SmallInt => Value::SmallInt(i16::try_from(number).ok()?),
        Type::Integer => Value::Integer(i32::try_from(number).ok()?),
        Type::BigInt => Value::BigInt(long()?),
        Type::Decimal { scale, .. } => Value::Decimal(Decimal::new(number, scale).ok()?),
        Type::Date => Value::Date(Date::from_days(long()?).ok()?),
        Type::Time => Value::Time(Time::from_micros(long()?).ok()?),
        Type::Timestamp => Value::Timestamp(Timestamp::from_micros(long()?).ok()?),
        Type::TimestampTz => Value::TimestampTz(Timestamp::from_micros(long()?).ok()?),
        Type::Interval => Value::Interval(unpack_interval(number)),
        Type::Uuid => Value::Uuid(Uuid::from_ordered(number)),
        _ => return None,
    })
}

/// The value of a type that columns hold as a double.
pub fn value_of_double<'v>(number: f64, ty: Type) -> Value<'v> {
    if ty == Type::Real { Value::Real(number as f32) } else { Value::Double(number) }
}

/// An interval in 128 bits: months, then days, then microseconds in the lower half.
#[inline]
pub const fn pack_interval(interval: Interval) -> i128 {
    (interval.months as i128) << 96 | (interval.days as u32 as i128) << 64 | interval.micros as u64 as i128
}

/// The interval that [`pack_interval`] packed.
#[inline]
pub const fn unpack_interval(packed: i128) -> Interval {
    Interval { months: (packed >> 96) as i32, days: (packed >> 64) as i32, micros: packed as i64 }
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
            let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
            let heap = bytes_of(value, &mut compact);
            assert_eq!(data.value(1, ty, heap).total_cmp(&value), core::cmp::Ordering::Equal, "{value:?}");
        };
        check(Value::Boolean(true), Type::Boolean);
        check(Value::Integer(-7), Type::Integer);
        check(Value::Date(Date::from_ymd(1998, 12, 1).unwrap()), Type::Date);
        check(Value::BigInt(i64::MIN), Type::BigInt);
        for (months, days, micros) in [(-1, 5, -7), (1, -5, i64::MIN), (i32::MIN, i32::MAX, i64::MAX)] {
            let interval = Interval { months, days, micros };
            check(Value::Interval(interval), Type::Interval);
            assert_eq!(
                std::format!("{}", unpack_interval(pack_interval(interval))),
                std::format!("{interval}")
            );
        }
        check(Value::SmallInt(-7), Type::SmallInt);
        check(Value::Real(0.1), Type::Real);
        check(Value::Time(Time::MAX), Type::Time);
        check(Value::Timestamp(Timestamp::INFINITY), Type::Timestamp);
        check(Value::TimestampTz(Timestamp::MIN), Type::TimestampTz);
        check(Value::Uuid(Uuid::from_u128(u128::MAX - 1)), Type::Uuid);
        check(Value::Char("AIR  "), Type::Char);
        check(Value::Bytea(&[0, 255]), Type::Bytea);
        check(Value::Json("[1]"), Type::Json);
        check(Value::Jsonb("[1]"), Type::Jsonb);
        check(Value::Decimal(decimal("-12.50")), Type::Numeric);
        let array = crate::ArrayRef::empty(crate::Element::of(Type::Date).unwrap());
        check(Value::Array(array), Type::Array(array.element()));
        check(Value::Decimal(decimal("-12.50")), Type::Decimal { precision: 15, scale: 2 });
        check(Value::Decimal(decimal("123456789012345678901.5")), Type::Decimal { precision: 38, scale: 1 });
        check(Value::Double(0.1), Type::Double);
        check(Value::Text("AIR"), Type::Text);
    }
}

//! Compact bytes for values that are kept or spilled and read back exactly as they were.
//!
//! A row is the encodings of its columns behind one another, read back with the types of the columns. Unlike a key, it
//! is short, keeps the sign of zero and the months of an interval, and has no order; text is read without a copy.
//! Hash [`crate::key`]s, not rows, where 0 and -0 or 1.0 and 1.00 must be the same group.
//!
//! | type | bytes, least significant first |
//! |---|---|
//! | NULL of any type | `00` |
//! | boolean | `01` for false, `02` for true |
//! | smallint | `01`, 2 bytes of two's complement |
//! | integer, date | `01`, 4 bytes of two's complement |
//! | bigint, time, timestamps | `01`, 8 bytes of two's complement |
//! | real, double | `01`, 4 or 8 bytes of IEEE bits |
//! | decimal, numeric | `01` + n, the scale, the n (0 to 16) bytes of two's complement that are needed |
//! | text, character, bytea, json, jsonb | length + 1 in LEB128 (7 bits a byte, the eighth says that more follow), the bytes |
//! | arrays | the same, with the bytes of [`crate::array`] |
//! | interval | `01`, 4 bytes of months, 4 bytes of days, 8 bytes of microseconds |
//! | uuid | `01`, its 16 bytes |

use crate::decimal::significant_bytes;
use crate::error::saturate;
use crate::key::Sink;
use crate::{ArrayRef, Date, Decimal, Error, Interval, Time, Timestamp, Type, Uuid, Value};

const NULL: u8 = 0;
const VALUE: u8 = 1;
/// LEB128 of 32 bits.
const LENGTH_BYTES_MAX: usize = 5;

/// How many bytes [`encode_row`] puts for a value.
pub fn row_bytes(value: &Value<'_>) -> usize {
    if let Some(bytes) = value.heap_bytes() {
        return leb128(saturate(bytes.len()).saturating_add(1)).1 + bytes.len();
    }
    match value {
        Value::SmallInt(_) => 3,
        Value::Integer(_) | Value::Date(_) | Value::Real(_) => 5,
        Value::BigInt(_)
        | Value::Double(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::TimestampTz(_) => 9,
        Value::Interval(_) | Value::Uuid(_) => 17,
        Value::Decimal(value) => 2 + significant_bytes(value.unscaled()),
        _ => 1,
    }
}

/// Appends one column of a row: [`row_bytes`] bytes, in one piece but for text and other bytes.
///
/// Text may have up to 4 GiB less two bytes.
///
/// # Errors
/// Those of the sink; what was put before stays there.
pub fn encode_row<S: Sink>(value: Value<'_>, sink: &mut S) -> Result<(), S::Error> {
    if let Some(bytes) = value.heap_bytes() {
        debug_assert!(bytes.len() < u32::MAX as usize - 1);
        encode_length(bytes.len(), sink)?;
        return sink.put(bytes);
    }
    let mut fixed = [VALUE; 18];
    let len = row_bytes(&value);
    let mut fill = |at: usize, payload: &[u8]| {
        if let Some(room) = fixed.get_mut(at..at + payload.len()) {
            room.copy_from_slice(payload);
        }
    };
    match value {
        Value::Boolean(value) => fill(0, &[VALUE + u8::from(value)]),
        Value::SmallInt(value) => fill(1, &value.to_le_bytes()),
        Value::Integer(value) => fill(1, &value.to_le_bytes()),
        Value::BigInt(value) => fill(1, &value.to_le_bytes()),
        Value::Real(value) => fill(1, &value.to_bits().to_le_bytes()),
        Value::Double(value) => fill(1, &value.to_bits().to_le_bytes()),
        Value::Date(value) => fill(1, &value.days().to_le_bytes()),
        Value::Time(value) => fill(1, &value.micros().to_le_bytes()),
        Value::Timestamp(value) | Value::TimestampTz(value) => fill(1, &value.micros().to_le_bytes()),
        Value::Interval(value) => {
            fill(1, &value.months.to_le_bytes());
            fill(5, &value.days.to_le_bytes());
            fill(9, &value.micros.to_le_bytes());
        }
        Value::Uuid(value) => fill(1, &value.to_bytes()),
        Value::Decimal(value) => {
            fill(0, &[VALUE + (len - 2) as u8, value.scale()]);
            fill(2, &value.unscaled().to_le_bytes());
        }
        // Those with bytes of their own were put above.
        Value::Null
        | Value::Text(_)
        | Value::Char(_)
        | Value::Bytea(_)
        | Value::Json(_)
        | Value::Jsonb(_)
        | Value::Array(_) => fill(0, &[NULL]),
    }
    sink.put(fixed.get(..len).unwrap_or(&fixed))
}

/// Puts the length of a text of so many bytes, which come next.
pub(crate) fn encode_length<S: Sink>(bytes: usize, sink: &mut S) -> Result<(), S::Error> {
    let (length, count) = leb128(saturate(bytes).saturating_add(1));
    sink.put(length.get(..count).unwrap_or(&length))
}

fn leb128(mut value: u32) -> ([u8; LENGTH_BYTES_MAX], usize) {
    let mut bytes = [0; LENGTH_BYTES_MAX];
    let mut count = 0;
    for slot in &mut bytes {
        let more = value > 0x7f;
        *slot = (value & 0x7f) as u8 | if more { 0x80 } else { 0 };
        value >>= 7;
        count += 1;
        if !more {
            break;
        }
    }
    (bytes, count)
}

/// Reads one column of a row and gives how many bytes of `input` it took. Text is borrowed from `input`.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that [`encode_row`] never puts for a value of the type.
pub fn decode_row(input: &[u8], ty: Type) -> Result<(Value<'_>, usize), Error> {
    let header = *input.first().ok_or_else(|| Error::corrupt(ty, 0, "the row ends here"))?;
    if header == NULL {
        return Ok((Value::Null, 1));
    }
    let reader = Reader { input, ty };
    let value = match ty {
        Type::Text | Type::Char | Type::Bytea | Type::Json | Type::Jsonb | Type::Array(_) | Type::Unknown => {
            let (bytes, start) = reader.text_bytes()?;
            return Ok((of_heap_bytes(bytes, ty, start)?, start + bytes.len()));
        }
        Type::Decimal { .. } | Type::Numeric => return reader.decimal(header - VALUE),
        Type::Boolean => match header - VALUE {
            value @ (0 | 1) => return Ok((Value::Boolean(value == 1), 1)),
            _ => return Err(Error::corrupt(ty, 0, "no such header")),
        },
        _ if header != VALUE => return Err(Error::corrupt(ty, 0, "no such header")),
        Type::SmallInt => Value::SmallInt(i16::from_le_bytes(reader.fixed(1)?)),
        Type::Integer => Value::Integer(i32::from_le_bytes(reader.fixed(1)?)),
        Type::Date => {
            let days = i32::from_le_bytes(reader.fixed(1)?);
            Value::Date(Date::from_days(days.into()).map_err(|_| Error::corrupt(ty, 1, "no such day"))?)
        }
        Type::BigInt => Value::BigInt(reader.i64(1)?),
        Type::Real => Value::Real(f32::from_bits(u32::from_le_bytes(reader.fixed(1)?))),
        Type::Double => Value::Double(f64::from_bits(u64::from_le_bytes(reader.fixed(1)?))),
        Type::Time => {
            let time = Time::from_micros(reader.i64(1)?);
            Value::Time(time.map_err(|_| Error::corrupt(ty, 1, "no such time"))?)
        }
        Type::Timestamp => Value::Timestamp(reader.timestamp()?),
        Type::TimestampTz => Value::TimestampTz(reader.timestamp()?),
        Type::Interval => Value::Interval(Interval {
            months: i32::from_le_bytes(reader.fixed(1)?),
            days: i32::from_le_bytes(reader.fixed(5)?),
            micros: reader.i64(9)?,
        }),
        Type::Uuid => Value::Uuid(Uuid::from_bytes(reader.fixed(1)?)),
    };
    Ok((value, row_bytes(&value)))
}

/// The value of a type that is bytes of somebody else: text, character, bytea, json, jsonb and arrays. Errors count from
/// `start`.
fn of_heap_bytes(bytes: &[u8], ty: Type, start: usize) -> Result<Value<'_>, Error> {
    let text = || {
        core::str::from_utf8(bytes)
            .map_err(|error| Error::corrupt(ty, start + error.valid_up_to(), "expected UTF-8"))
    };
    Ok(match ty {
        Type::Bytea => Value::Bytea(bytes),
        Type::Array(element) => Value::Array(ArrayRef::new(bytes, element)?),
        Type::Char => Value::Char(text()?),
        Type::Json => Value::Json(text()?),
        Type::Jsonb => Value::Jsonb(text()?),
        _ => Value::Text(text()?),
    })
}

/// The value that a column of [`crate::column::Kind::Text`] holds as some bytes: those of [`Value::heap_bytes`], or a number of type
/// numeric in its compact form.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that are no value of the type.
pub fn decode_bytes(bytes: &[u8], ty: Type) -> Result<Value<'_>, Error> {
    match ty {
        Type::Numeric => match Decimal::from_compact(bytes) {
            Some(value) => Ok(Value::Decimal(value)),
            None => Err(Error::corrupt(ty, 0, "no such number")),
        },
        _ => of_heap_bytes(bytes, ty, 0),
    }
}

/// Decodes the first column of a row, a text or another type of bytes, as [`decode_row`] does, but does not look whether its bytes
/// are a value of the type: for rows that were in memory all the time.
///
/// # Errors
/// As `decode_row`, but for that.
#[inline]
pub fn decode_row_text(input: &[u8]) -> Result<(Option<&[u8]>, usize), Error> {
    let reader = Reader { input, ty: Type::Text };
    match input.first() {
        None => Err(reader.ends()),
        Some(&NULL) => Ok((None, 1)),
        Some(_) => reader.text_bytes().map(|(text, start)| (Some(text), start + text.len())),
    }
}

/// The column that is being decoded.
struct Reader<'r> {
    input: &'r [u8],
    ty: Type,
}

impl<'r> Reader<'r> {
    fn ends(&self) -> Error {
        Error::corrupt(self.ty, self.input.len(), "the row ends here")
    }

    fn bytes(&self, start: usize, count: usize) -> Result<&'r [u8], Error> {
        let end = start.checked_add(count).ok_or_else(|| self.ends())?;
        self.input.get(start..end).ok_or_else(|| self.ends())
    }

    fn fixed<const N: usize>(&self, start: usize) -> Result<[u8; N], Error> {
        let tail = self.input.get(start..).and_then(|tail| tail.first_chunk::<N>());
        tail.copied().ok_or_else(|| self.ends())
    }

    fn i64(&self, start: usize) -> Result<i64, Error> {
        Ok(i64::from_le_bytes(self.fixed(start)?))
    }

    fn timestamp(&self) -> Result<Timestamp, Error> {
        Timestamp::from_micros(self.i64(1)?).map_err(|_| Error::corrupt(self.ty, 1, "no such timestamp"))
    }

    fn decimal(&self, count: u8) -> Result<(Value<'r>, usize), Error> {
        let corrupt = |at, reason| Error::corrupt(self.ty, at, reason);
        let count = usize::from(count);
        if count > 16 {
            return Err(corrupt(0, "no such header"));
        }
        let [scale] = self.fixed(1)?;
        let payload = self.bytes(2, count)?;
        let is_negative = payload.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut bytes = [if is_negative { 0xff } else { 0 }; 16];
        for (to, from) in bytes.iter_mut().zip(payload) {
            *to = *from;
        }
        let unscaled = i128::from_le_bytes(bytes);
        if significant_bytes(unscaled) != count {
            return Err(corrupt(2, "more bytes than needed"));
        }
        let value = Decimal::new(unscaled, scale).map_err(|_| corrupt(1, "more than 38 digits"))?;
        Ok((Value::Decimal(value), 2 + count))
    }

    /// The bytes of a text, and where they begin.
    #[inline]
    fn text_bytes(&self) -> Result<(&'r [u8], usize), Error> {
        let (mut len, mut start) = (0u64, 0);
        for byte in self.input.iter().take(LENGTH_BYTES_MAX) {
            len |= u64::from(byte & 0x7f) << (7 * start);
            start += 1;
            if byte & 0x80 == 0 {
                let len = u32::try_from(len).map_err(|_| Error::corrupt(self.ty, 0, "no such length"))?;
                if leb128(len).1 != start {
                    return Err(Error::corrupt(self.ty, 0, "no such length"));
                }
                return Ok((self.bytes(start, (len as usize).saturating_sub(1))?, start));
            }
        }
        match start {
            LENGTH_BYTES_MAX => Err(Error::corrupt(self.ty, 0, "no such length")),
            _ => Err(self.ends()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Element;
    use crate::unscaled::POW10;
    use core::convert::Infallible;
    use proptest::prelude::*;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    fn row(value: Value<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_row(value, &mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        })
        .unwrap();
        bytes
    }

    fn row_of_array(values: &[Value<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        crate::array::encode(values.iter().copied(), &mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        })
        .unwrap();
        bytes
    }

    /// Same payload bit by bit: `-0` is not `0` here, nor 1.0 the same as 1.00.
    fn is_identical(a: Value<'_>, b: Value<'_>) -> bool {
        match (a, b) {
            (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
            (Value::Decimal(a), Value::Decimal(b)) => (a.unscaled(), a.scale()) == (b.unscaled(), b.scale()),
            (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
            (Value::Interval(a), Value::Interval(b)) => {
                (a.months, a.days, a.micros) == (b.months, b.days, b.micros)
            }
            (a, b) => a == b,
        }
    }

    fn fixed() -> impl Strategy<Value = Value<'static>> {
        let limit = POW10[38] - 1;
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Boolean),
            any::<i32>().prop_map(Value::Integer),
            any::<i64>().prop_map(Value::BigInt),
            any::<u64>().prop_map(|bits| Value::Double(f64::from_bits(bits))),
            (-limit..=limit, 0..=38usize, 0..=38u8)
                .prop_map(|(n, cut, scale)| Value::Decimal(Decimal::new(n / POW10[cut], scale).unwrap())),
            (0..16u32, -2..2i128).prop_map(|(bytes, off)| {
                Value::Decimal(Decimal::new((1 << (bytes * 8)) - 128 + off, 0).unwrap_or(Decimal::ZERO))
            }),
            (Date::MIN.days()..=Date::MAX.days())
                .prop_map(|days| Value::Date(Date::from_days(days.into()).unwrap())),
            any::<(i32, i32, i64)>().prop_map(|(months, days, micros)| Value::Interval(Interval {
                months,
                days,
                micros
            })),
            small(),
        ]
    }

    fn small() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            any::<i16>().prop_map(Value::SmallInt),
            any::<u32>().prop_map(|bits| Value::Real(f32::from_bits(bits))),
            any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))),
            (0..=Time::MAX.micros()).prop_map(|micros| Value::Time(Time::from_micros(micros).unwrap())),
            timestamps().prop_map(Value::Timestamp),
            timestamps().prop_map(Value::TimestampTz),
        ]
    }

    fn timestamps() -> impl Strategy<Value = Timestamp> {
        prop_oneof![
            (Timestamp::MIN.micros()..=Timestamp::MAX.micros())
                .prop_map(|micros| Timestamp::from_micros(micros).unwrap()),
            Just(Timestamp::INFINITY),
            Just(Timestamp::NEG_INFINITY),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn rows_read_back_exactly(value in fixed(), text in "\\PC{0,300}") {
            let elements = row_of_array(&[Value::Text(&text), Value::Null]);
            let array = ArrayRef::new(&elements, Element::of(Type::Text).unwrap()).unwrap();
            for value in [
                value,
                Value::Text(&text),
                Value::Char(&text),
                Value::Json(&text),
                Value::Jsonb(&text),
                Value::Bytea(text.as_bytes()),
                Value::Array(array),
            ] {
                let mut bytes = row(value);
                let len = bytes.len();
                prop_assert_eq!(len, row_bytes(&value));
                for end in 0..len {
                    prop_assert!(decode_row(&bytes[..end], value.ty()).is_err());
                }
                bytes.extend_from_slice(b"next");
                let (read, used) = decode_row(&bytes, value.ty()).unwrap();
                prop_assert_eq!(used, len);
                prop_assert!(is_identical(read, value), "{} and {}", read, value);
            }
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..20), index in 0..20usize, small in any::<bool>()) {
            let ty = [
                Type::Boolean, Type::Integer, Type::BigInt, Type::Double, Type::Text, Type::Date, Type::Interval,
                Type::Decimal { precision: 38, scale: 5 }, Type::Numeric, Type::SmallInt, Type::Real, Type::Char,
                Type::Bytea, Type::Time, Type::Timestamp, Type::TimestampTz, Type::Uuid, Type::Jsonb,
                Type::Array(Element::of(Type::Integer).unwrap()), Type::Array(Element::of(Type::Text).unwrap()),
            ][index];
            if let (Some(header), true) = (bytes.first_mut(), small) {
                *header %= 18;
            }
            match decode_row(&bytes, ty) {
                Ok((value, used)) => {
                    prop_assert!(value.is_null() || value.ty().name() == ty.name());
                    prop_assert_eq!(&row(value)[..], &bytes[..used]);
                }
                Err(error) => prop_assert_eq!(error.sqlstate(), "XX001"),
            }
        }
    }

    #[test]
    fn layout_is_fixed() {
        let dec = |text: &str| Value::Decimal(Decimal::parse(text.as_bytes()).unwrap());
        assert_eq!(row(Value::Null), [0]);
        assert_eq!(row(Value::Boolean(true)), [2]);
        assert_eq!(row(Value::Integer(-2)), [1, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(row(dec("0.00")), [1, 2]);
        assert_eq!(row(dec("-1.28")), [2, 2, 0x80]);
        assert_eq!(row(dec("1.28")), [3, 2, 0x80, 0]);
        assert_eq!(row(Value::Text("")), [1]);
        assert_eq!(row(Value::Text("ab")), [3, b'a', b'b']);
        let long = "x".repeat(127);
        assert_eq!(row(Value::Text(&long))[..3], [0x80, 1, b'x']);
    }

    #[test]
    fn damage_is_named() {
        let message = |bytes: &[u8], ty| -> String { decode_row(bytes, ty).unwrap_err().to_string() };
        assert_eq!(message(&[], Type::Integer), "encoded integer is corrupt at byte 0: the row ends here");
        assert_eq!(message(&[3], Type::Boolean), "encoded boolean is corrupt at byte 0: no such header");
        assert_eq!(message(&[2, 0xff], Type::Text), "encoded text is corrupt at byte 1: expected UTF-8");
        assert_eq!(message(&[0xff; 6], Type::Text), "encoded text is corrupt at byte 0: no such length");
        assert_eq!(message(&[0x81, 0], Type::Text), "encoded text is corrupt at byte 0: no such length");
        assert_eq!(
            message(&[1, 1, 0, 0, 0x80], Type::Date),
            "encoded date is corrupt at byte 1: no such day"
        );
        assert_eq!(
            message(&[2, 99, 1], Type::Numeric),
            "encoded numeric is corrupt at byte 1: more than 38 digits"
        );
    }
}

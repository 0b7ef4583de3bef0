//! Bytes whose order is the order of the values: keys of sorts, groups, joins and indexes.
//!
//! Two encoded keys compare as bytes the way their values compare with [`Value::total_cmp`], and equal values have
//! equal bytes, whatever their scale or sign of zero. So a sort compares memory, and a hash table hashes it. A key of
//! several columns is their encodings behind one another; no encoding is the start of another one.
//!
//! One column is a header and a payload:
//!
//! | header | meaning |
//! |---|---|
//! | `00` | NULL, where NULLs come first |
//! | `01` | a value; the payload follows |
//! | `02` | NULL, where NULLs come last |
//!
//! | type | payload, most significant byte first | bytes |
//! |---|---|---|
//! | boolean | `00` or `01` | 1 |
//! | smallint | two's complement with the sign bit turned | 2 |
//! | integer, date | the same | 4 |
//! | bigint, time, timestamps | the same | 8 |
//! | real | as double, of its 32 bits | 4 |
//! | double | IEEE bits; positive: the sign bit turned, negative: every bit turned. One zero, one NaN | 8 |
//! | decimal, numeric | exponent, then 38 digits as an integer; negative: every bit turned | 17 |
//! | text, bytea, json, jsonb | its bytes with `00` written as `00 ff`, then `00 01` | n + 2 or more |
//! | character | the same, without the blanks at its end | n + 2 or more |
//! | interval | its microseconds (30 days a month, 24 hours a day), two's complement with the sign bit turned | 16 |
//! | uuid | its bytes | 16 |
//! | arrays | each element as a column with NULLs last, then `00` | 1 or more |
//!
//! The number `0.d1d2…d38 * 10^e`, where `d1` is not zero, has the exponent byte `80 + e + 38`; zero has `80` and no
//! digits. For example 12.5 is `0.125 * 10^2`: `a8`, then 12500…0 (38 digits) in 16 bytes. Finding it takes one
//! multiplication.
//!
//! Descending order turns every bit of the payload, headers of elements included; the header stays, since NULLS FIRST and LAST do not follow the
//! direction.

use crate::error::saturate;
use crate::time::DAY_MICROS;
use crate::unscaled::{POW10, digits_count};
use crate::value::trim_blanks;
use crate::{ArrayRef, Date, Decimal, Element, Error, Interval, Time, Timestamp, Type, Uuid, Value};

/// Where encoded bytes go: a [`SliceSink`], or a closure that appends to a vector of the caller.
pub trait Sink {
    /// What happens when there is no room.
    type Error;

    /// Appends `bytes`, all or none.
    ///
    /// # Errors
    /// Those of the memory behind it.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

impl<F, E> Sink for F
where
    F: FnMut(&[u8]) -> Result<(), E>,
{
    type Error = E;

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), E> {
        self(bytes)
    }
}

/// A sink over a fixed piece of memory.
#[derive(Debug)]
pub struct SliceSink<'b> {
    bytes: &'b mut [u8],
    len: usize,
}

impl<'b> SliceSink<'b> {
    /// A sink that fills `bytes` from the start.
    pub fn new(bytes: &'b mut [u8]) -> SliceSink<'b> {
        SliceSink { bytes, len: 0 }
    }

    /// The bytes that were put.
    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Sink for SliceSink<'_> {
    type Error = Error;

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.len + bytes.len();
        let given_bytes = saturate(self.bytes.len());
        let Some(room) = self.bytes.get_mut(self.len..end) else {
            return Err(Error::BufferTooSmall { needed_bytes: saturate(end), given_bytes });
        };
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// The direction of one column of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyOrder {
    /// Whether great values come first.
    pub descending: bool,
    /// Whether NULLs come before all values.
    pub nulls_first: bool,
}

impl KeyOrder {
    /// `ASC`, with NULLs last. Hash keys use it too.
    pub const ASC: KeyOrder = KeyOrder { descending: false, nulls_first: false };
    /// `DESC`, with NULLs first.
    pub const DESC: KeyOrder = KeyOrder { descending: true, nulls_first: true };

    const fn null(self) -> u8 {
        if self.nulls_first { NULL_FIRST } else { NULL_LAST }
    }

    const fn mask(self) -> u8 {
        if self.descending { 0xff } else { 0 }
    }
}

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;
const TEXT_ESCAPE: [u8; 2] = [0, 0xff];
const TEXT_END: [u8; 2] = [0, 1];
const DECIMAL_ZERO: u8 = 0x80;
/// Behind the last element of an array: below the headers of elements, so that the shorter array comes first.
const ARRAY_END: u8 = 0;
/// A header and the longest payload of a fixed length.
const FIXED_BYTES_MAX: usize = 18;

/// The payload of an integer or a date.
#[inline]
pub const fn integer_key(value: i32) -> [u8; 4] {
    (value ^ i32::MIN).to_be_bytes()
}

/// The payload of a bigint.
#[inline]
pub const fn bigint_key(value: i64) -> [u8; 8] {
    (value ^ i64::MIN).to_be_bytes()
}

/// The payload of a double.
#[inline]
pub const fn double_key(value: f64) -> [u8; 8] {
    let bits = if value.is_nan() {
        f64::NAN.to_bits() & (u64::MAX >> 1)
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    };
    let turned = if bits >> 63 == 0 { 1 << 63 } else { u64::MAX };
    (bits ^ turned).to_be_bytes()
}

/// The payload of the decimal `unscaled / 10^scale`, of at most 38 digits.
#[inline]
pub fn decimal_key(unscaled: i128, scale: u8) -> [u8; 17] {
    let mut key = [0; 17];
    let digits = digits_count(unscaled);
    let exponent = DECIMAL_ZERO + 38 + digits - scale.min(37 + digits);
    let power = POW10.get(38 - usize::from(digits).min(38)).map_or(1, |power| power.unsigned_abs());
    let first = if unscaled == 0 { DECIMAL_ZERO } else { exponent };
    let turned = if unscaled < 0 { u128::MAX } else { 0 };
    let [head, rest @ ..] = &mut key;
    *head = first ^ turned as u8;
    *rest = ((unscaled.unsigned_abs() * power) ^ turned).to_be_bytes();
    key
}

/// The payload of a number of 32 bits.
#[inline]
pub const fn real_key(value: f32) -> [u8; 4] {
    let bits = if value.is_nan() {
        f32::NAN.to_bits() & (u32::MAX >> 1)
    } else if value == 0.0 {
        0
    } else {
        value.to_bits()
    };
    let turned = if bits >> 31 == 0 { 1 << 31 } else { u32::MAX };
    (bits ^ turned).to_be_bytes()
}

/// The payload of an interval.
#[inline]
pub fn interval_key(value: Interval) -> [u8; 16] {
    (value.comparable_micros() ^ i128::MIN).to_be_bytes()
}

/// How many bytes [`encode_key`] puts for a value.
pub fn key_bytes(value: &Value<'_>) -> usize {
    let escaped =
        |bytes: &[u8]| bytes.len() + bytes.iter().filter(|byte| **byte == 0).count() + TEXT_END.len();
    1 + match value {
        Value::Null => 0,
        Value::Boolean(_) => 1,
        Value::SmallInt(_) => 2,
        Value::Integer(_) | Value::Date(_) | Value::Real(_) => 4,
        Value::BigInt(_)
        | Value::Double(_)
        | Value::Time(_)
        | Value::Timestamp(_)
        | Value::TimestampTz(_) => 8,
        Value::Interval(_) | Value::Uuid(_) => 16,
        Value::Decimal(_) => 17,
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => escaped(text.as_bytes()),
        Value::Char(text) => escaped(trim_blanks(text).as_bytes()),
        Value::Bytea(bytes) => escaped(bytes),
        Value::Array(array) => 1 + array.iter().map(|element| element_bytes(&element)).sum::<usize>(),
    }
}

/// As [`key_bytes`], for an element of an array, which is no array: so nothing recurses.
fn element_bytes(value: &Value<'_>) -> usize {
    if matches!(value, Value::Array(_)) { 1 } else { key_bytes(value) }
}

/// Appends one column of a key.
///
/// All values of a column must be of one type; decimals may differ in scale. At most [`key_bytes`] are put, in one
/// piece unless it is text, bytes or an array.
///
/// # Errors
/// Those of the sink; what was put before stays there.
pub fn encode_key<S: Sink>(value: Value<'_>, order: KeyOrder, sink: &mut S) -> Result<(), S::Error> {
    let Value::Array(array) = value else { return encode_scalar(value, order, sink) };
    sink.put(&[VALUE])?;
    let mut elements = Masked { sink, order };
    for element in array.iter() {
        encode_scalar(element, KeyOrder::ASC, &mut elements)?;
    }
    elements.put(&[ARRAY_END])
}

/// Puts the payload of an array, whose bits are turned where the order is descending.
struct Masked<'s, S> {
    sink: &'s mut S,
    order: KeyOrder,
}

impl<S: Sink> Sink for Masked<'_, S> {
    type Error = S::Error;

    fn put(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        put_masked(bytes, self.order, self.sink)
    }
}

/// As [`encode_key`], for values that are no arrays; one inside of an array, which no type has, is put as NULL.
fn encode_scalar<S: Sink>(value: Value<'_>, order: KeyOrder, sink: &mut S) -> Result<(), S::Error> {
    let bytes = match value {
        Value::Null | Value::Array(_) => return sink.put(&[order.null()]),
        Value::Boolean(value) => return put_fixed([value.into()], order, sink),
        Value::SmallInt(value) => return put_fixed((value ^ i16::MIN).to_be_bytes(), order, sink),
        Value::Integer(value) => return put_fixed(integer_key(value), order, sink),
        Value::BigInt(value) => return put_fixed(bigint_key(value), order, sink),
        Value::Decimal(value) => return put_fixed(decimal_key(value.unscaled(), value.scale()), order, sink),
        Value::Real(value) => return put_fixed(real_key(value), order, sink),
        Value::Double(value) => return put_fixed(double_key(value), order, sink),
        Value::Date(value) => return put_fixed(integer_key(value.days()), order, sink),
        Value::Time(value) => return put_fixed(bigint_key(value.micros()), order, sink),
        Value::Timestamp(value) | Value::TimestampTz(value) => {
            return put_fixed(bigint_key(value.micros()), order, sink);
        }
        Value::Interval(value) => return put_fixed(interval_key(value), order, sink),
        Value::Uuid(value) => return put_fixed(value.to_bytes(), order, sink),
        Value::Text(text) | Value::Json(text) | Value::Jsonb(text) => text.as_bytes(),
        Value::Char(text) => trim_blanks(text).as_bytes(),
        Value::Bytea(bytes) => bytes,
    };
    sink.put(&[VALUE])?;
    put_text(bytes, order, sink)
}

#[inline]
fn put_fixed<const N: usize, S: Sink>(
    payload: [u8; N],
    order: KeyOrder,
    sink: &mut S,
) -> Result<(), S::Error> {
    const { assert!(N < FIXED_BYTES_MAX) };
    // The most usual keys in one word.
    if let Ok(word) = <[u8; 8]>::try_from(&payload[..]) {
        let word = u64::from_ne_bytes(word);
        let mut key = [VALUE; 9];
        let [_, room @ ..] = &mut key;
        *room = (if order.descending { !word } else { word }).to_ne_bytes();
        return sink.put(&key);
    }
    let mut key = [VALUE; FIXED_BYTES_MAX];
    if let Some(room) = key.get_mut(1..=N) {
        room.copy_from_slice(&payload);
        if order.descending {
            room.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    sink.put(key.get(..=N).unwrap_or(&key))
}

fn put_text<S: Sink>(text: &[u8], order: KeyOrder, sink: &mut S) -> Result<(), S::Error> {
    // Zeros in text are rare: the pieces between them go whole.
    for (i, piece) in text.split(|byte| *byte == 0).enumerate() {
        if i > 0 {
            put_masked(&TEXT_ESCAPE, order, sink)?;
        }
        put_masked(piece, order, sink)?;
    }
    put_masked(&TEXT_END, order, sink)
}

fn put_masked<S: Sink>(bytes: &[u8], order: KeyOrder, sink: &mut S) -> Result<(), S::Error> {
    if !order.descending {
        return sink.put(bytes);
    }
    let mut turned = [0; 64];
    for piece in bytes.chunks(turned.len()) {
        for (to, from) in turned.iter_mut().zip(piece) {
            *to = !from;
        }
        sink.put(turned.get(..piece.len()).unwrap_or(&[]))?;
    }
    Ok(())
}

/// Reads one column of a key and gives how many bytes of `input` it took.
///
/// `ty` is the type of the column; decimals come back with its scale, numbers of type numeric with as few digits as they
/// need. What is bytes is written to `buffer`, which must hold it whole: [`decoded_bytes_max`] is enough. What compares
/// as equal is one key: an interval comes back with months and days counted from its microseconds, a text of type
/// character without blanks at its end.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that no value of the type has; [`Error::BufferTooSmall`] when `buffer` is too small.
pub fn decode_key<'t>(
    input: &[u8],
    ty: Type,
    order: KeyOrder,
    buffer: &'t mut [u8],
) -> Result<(Value<'t>, usize), Error> {
    let reader = Reader { input, ty, mask: order.mask(), header_mask: 0 };
    match ty {
        Type::Array(element) => reader.array(element, order, buffer),
        _ => reader.scalar(order, buffer),
    }
}

/// A buffer of so many bytes is enough for what [`decode_key`] writes for a key of `key_bytes`.
pub const fn decoded_bytes_max(key_bytes: usize) -> usize {
    key_bytes.saturating_add(32)
}

/// The column that is being decoded.
struct Reader<'k> {
    input: &'k [u8],
    ty: Type,
    mask: u8,
    /// What is turned in the header: elements have theirs inside of a payload.
    header_mask: u8,
}

impl Reader<'_> {
    /// The header of the column, where it is none of NULL.
    fn is_null(&self, order: KeyOrder) -> Result<bool, Error> {
        match self.input.first().map(|byte| byte ^ self.header_mask) {
            Some(header) if header == order.null() => Ok(true),
            Some(VALUE) => Ok(false),
            Some(_) => Err(Error::corrupt(self.ty, 0, "no such header")),
            None => Err(Error::corrupt(self.ty, 0, "the key ends here")),
        }
    }

    /// The column, where it is no array.
    fn scalar<'t>(&self, order: KeyOrder, buffer: &'t mut [u8]) -> Result<(Value<'t>, usize), Error> {
        if self.is_null(order)? {
            return Ok((Value::Null, 1));
        }
        let ty = self.ty;
        let fault = |reason| Error::corrupt(ty, 1, reason);
        Ok(match ty {
            Type::Boolean => match self.fixed()? {
                [byte @ (0 | 1)] => (Value::Boolean(byte == 1), 2),
                _ => return Err(fault("expected 0 or 1")),
            },
            Type::SmallInt => (Value::SmallInt(i16::from_be_bytes(self.fixed()?) ^ i16::MIN), 3),
            Type::Integer => (Value::Integer(i32::from_be_bytes(self.fixed()?) ^ i32::MIN), 5),
            Type::BigInt => (Value::BigInt(self.bigint()?), 9),
            Type::Date => {
                let days = i32::from_be_bytes(self.fixed()?) ^ i32::MIN;
                (Value::Date(Date::from_days(days.into()).map_err(|_| fault("no such day"))?), 5)
            }
            Type::Time => {
                (Value::Time(Time::from_micros(self.bigint()?).map_err(|_| fault("no such time"))?), 9)
            }
            Type::Timestamp => (Value::Timestamp(self.timestamp()?), 9),
            Type::TimestampTz => (Value::TimestampTz(self.timestamp()?), 9),
            Type::Real => (Value::Real(self.real()?), 5),
            Type::Double => (Value::Double(self.double()?), 9),
            Type::Decimal { scale, .. } => (Value::Decimal(self.decimal(Some(scale))?), 18),
            Type::Numeric => (Value::Decimal(self.decimal(None)?), 18),
            Type::Interval => (Value::Interval(self.interval()?), 17),
            Type::Uuid => (Value::Uuid(Uuid::from_bytes(self.fixed()?)), 17),
            Type::Text
            | Type::Char
            | Type::Bytea
            | Type::Json
            | Type::Jsonb
            | Type::Array(_)
            | Type::Unknown => {
                let (bytes, end) = self.bytes(buffer)?;
                let value = crate::row::decode_bytes(bytes, ty)?;
                if let Value::Char(text) = value
                    && text.ends_with(' ')
                {
                    return Err(fault("blanks at the end"));
                }
                (value, end)
            }
        })
    }

    /// The column, where it is an array: its elements are written to `buffer` as rows.
    fn array<'t>(
        &self,
        element: Element,
        order: KeyOrder,
        buffer: &'t mut [u8],
    ) -> Result<(Value<'t>, usize), Error> {
        if self.is_null(order)? {
            return Ok((Value::Null, 1));
        }
        const COUNT_BYTES: usize = 4;
        const LENGTH_BYTES_MAX: usize = 5;
        let given_bytes = saturate(buffer.len());
        let too_small = |needed: usize| Error::BufferTooSmall { needed_bytes: saturate(needed), given_bytes };
        let (mut at, mut len, mut count) = (1, COUNT_BYTES, 0u32);
        loop {
            let input = self.input.get(at..).unwrap_or(&[]);
            let corrupt = |error: Error| match error {
                Error::Corrupt { at: inside, reason, .. } => {
                    Error::corrupt(self.ty, at + inside as usize, reason)
                }
                other => other,
            };
            match input.first().map(|byte| byte ^ self.mask) {
                Some(ARRAY_END) => break,
                None => return Err(Error::corrupt(self.ty, at, "the key ends here")),
                Some(_) => {}
            }
            let reader = Reader { input, ty: element.ty(), mask: self.mask, header_mask: self.mask };
            // What is bytes is written behind the room for its length, and then moved to it.
            let room = buffer.get_mut(len + LENGTH_BYTES_MAX..).unwrap_or(&mut []);
            let (value, used) = reader.scalar(KeyOrder::ASC, room).map_err(corrupt)?;
            let mut head = [0; 18];
            let mut sink = SliceSink::new(&mut head);
            let payload = match value.heap_bytes().map(<[u8]>::len) {
                Some(bytes) => {
                    crate::row::encode_length(bytes, &mut sink)?;
                    bytes
                }
                None => {
                    crate::row::encode_row(value, &mut sink)?;
                    0
                }
            };
            let head = sink.written();
            let end = len + head.len() + payload;
            if end > buffer.len() {
                return Err(too_small(end));
            }
            let from = len + LENGTH_BYTES_MAX;
            buffer.copy_within(from..from + payload, len + head.len());
            buffer.get_mut(len..len + head.len()).ok_or(too_small(end))?.copy_from_slice(head);
            (at, len, count) = (at + used, end, count.saturating_add(1));
        }
        let head = buffer.get_mut(..COUNT_BYTES).ok_or(too_small(COUNT_BYTES))?;
        head.copy_from_slice(&count.to_le_bytes());
        let bytes = buffer.get(..len).ok_or(too_small(len))?;
        Ok((Value::Array(ArrayRef::new(bytes, element)?), at + 1))
    }

    fn timestamp(&self) -> Result<Timestamp, Error> {
        Timestamp::from_micros(self.bigint()?).map_err(|_| Error::corrupt(self.ty, 1, "no such timestamp"))
    }

    fn real(&self) -> Result<f32, Error> {
        let bits = u32::from_be_bytes(self.fixed()?);
        let turned = if bits >> 31 == 1 { 1 << 31 } else { u32::MAX };
        let value = f32::from_bits(bits ^ turned);
        let is_ours = real_key(value) == bits.to_be_bytes();
        if is_ours { Ok(value) } else { Err(Error::corrupt(self.ty, 1, "another zero or NaN")) }
    }

    fn fixed<const N: usize>(&self) -> Result<[u8; N], Error> {
        let bytes = self.input.get(1..).and_then(|payload| payload.first_chunk::<N>());
        let bytes = bytes.ok_or_else(|| Error::corrupt(self.ty, self.input.len(), "the key ends here"))?;
        Ok(bytes.map(|byte| byte ^ self.mask))
    }

    fn bigint(&self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.fixed()?) ^ i64::MIN)
    }

    fn double(&self) -> Result<f64, Error> {
        let bits = u64::from_be_bytes(self.fixed()?);
        let turned = if bits >> 63 == 1 { 1 << 63 } else { u64::MAX };
        let value = f64::from_bits(bits ^ turned);
        let is_ours = double_key(value) == bits.to_be_bytes();
        if is_ours { Ok(value) } else { Err(Error::corrupt(self.ty, 1, "another zero or NaN")) }
    }

    /// The number with a scale, or with the least one that holds it.
    fn decimal(&self, scale: Option<u8>) -> Result<Decimal, Error> {
        let corrupt = |reason| Error::corrupt(self.ty, 1, reason);
        let key: [u8; 17] = self.fixed()?;
        let [first, digits @ ..] =
            if key.first() < Some(&DECIMAL_ZERO) { key.map(|byte| !byte) } else { key };
        let digits =
            i128::try_from(u128::from_be_bytes(digits)).map_err(|_| corrupt("more than 38 digits"))?;
        let is_zero = first == DECIMAL_ZERO && digits == 0;
        if !is_zero && digits_count(digits) != 38 {
            return Err(corrupt("the first digit is missing"));
        }
        // The number is `digits` at this scale.
        let full_scale = i32::from(DECIMAL_ZERO) + 76 - i32::from(first);
        let scale = match scale {
            Some(scale) => i32::from(scale),
            None if is_zero => 0,
            None => (full_scale - trailing_zeros(digits)).max(0),
        };
        let power = usize::try_from(full_scale - scale).ok().and_then(|count| POW10.get(count));
        let unscaled = match power {
            _ if is_zero => 0,
            Some(power) if digits % power == 0 => digits / power,
            _ => return Err(corrupt("the scale of the column does not hold the number")),
        };
        let is_negative = key.first() < Some(&DECIMAL_ZERO);
        let scale = u8::try_from(scale).map_err(|_| corrupt("no such number"))?;
        Decimal::new(if is_negative { -unscaled } else { unscaled }, scale)
            .map_err(|_| corrupt("no such number"))
    }

    fn interval(&self) -> Result<Interval, Error> {
        const MONTH_MICROS: i128 = 30 * DAY_MICROS as i128;
        let total = i128::from_be_bytes(self.fixed()?) ^ i128::MIN;
        let months = (total / MONTH_MICROS).clamp(i32::MIN.into(), i32::MAX.into());
        let rest = total - months * MONTH_MICROS;
        let days = (rest / i128::from(DAY_MICROS)).clamp(i32::MIN.into(), i32::MAX.into());
        match (
            i32::try_from(months),
            i32::try_from(days),
            i64::try_from(rest - days * i128::from(DAY_MICROS)),
        ) {
            (Ok(months), Ok(days), Ok(micros)) => Ok(Interval { months, days, micros }),
            _ => Err(Error::corrupt(self.ty, 1, "longer than any interval")),
        }
    }

    /// The bytes, copied without their escapes, and where the column ends.
    fn bytes<'t>(&self, text: &'t mut [u8]) -> Result<(&'t [u8], usize), Error> {
        let given_bytes = saturate(text.len());
        let end = self.text_end()?;
        let (mut at, mut len) = (1, 0);
        while at + TEXT_END.len() < end {
            let byte = self.input.get(at).map_or(0, |byte| byte ^ self.mask);
            if let Some(slot) = text.get_mut(len) {
                *slot = byte;
            }
            len += 1;
            at += if byte == 0 { TEXT_ESCAPE.len() } else { 1 };
        }
        let too_small = Error::BufferTooSmall { needed_bytes: saturate(len), given_bytes };
        Ok((text.get(..len).ok_or(too_small)?, end))
    }

    /// Where the text ends, its end mark included.
    fn text_end(&self) -> Result<usize, Error> {
        let byte = |at: usize| self.input.get(at).map(|byte| byte ^ self.mask);
        let mut at = 1;
        loop {
            match (byte(at), byte(at + 1)) {
                (None, _) | (Some(0), None) => {
                    return Err(Error::corrupt(self.ty, self.input.len(), "the key ends here"));
                }
                (Some(0), Some(0xff)) => at += TEXT_ESCAPE.len(),
                (Some(0), Some(1)) => return Ok(at + TEXT_END.len()),
                (Some(0), Some(_)) => return Err(Error::corrupt(self.ty, at + 1, "no such escape")),
                _ => at += 1,
            }
        }
    }
}

/// Zeros at the end of a number that is not zero.
fn trailing_zeros(digits: i128) -> i32 {
    POW10.iter().skip(1).take_while(|power| digits % **power == 0).count() as i32
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;

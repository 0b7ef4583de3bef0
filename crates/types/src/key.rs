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
//! | integer, date | two's complement with the sign bit turned | 4 |
//! | bigint | the same | 8 |
//! | double | IEEE bits; positive: the sign bit turned, negative: every bit turned. One zero, one NaN | 8 |
//! | decimal | exponent, then 38 digits as an integer; negative: every bit turned | 17 |
//! | text | its bytes with `00` written as `00 ff`, then `00 01` | n + 2 or more |
//! | interval | its days (a month being 30) as a bigint | 8 |
//!
//! The number `0.d1d2…d38 * 10^e`, where `d1` is not zero, has the exponent byte `80 + e + 38`; zero has `80` and no
//! digits. For example 12.5 is `0.125 * 10^2`: `a8`, then 12500…0 (38 digits) in 16 bytes. Finding it takes one
//! multiplication.
//!
//! Descending order turns every bit of the payload; the header stays, since NULLS FIRST and LAST do not follow the
//! direction.

use crate::error::saturate;
use crate::unscaled::{POW10, digits_count};
use crate::{Date, Decimal, Error, Interval, Type, Value};

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

/// How many bytes [`encode_key`] puts for a value.
pub fn key_bytes(value: &Value<'_>) -> usize {
    1 + match value {
        Value::Null => 0,
        Value::Boolean(_) => 1,
        Value::Integer(_) | Value::Date(_) => 4,
        Value::BigInt(_) | Value::Double(_) | Value::Interval(_) => 8,
        Value::Decimal(_) => 17,
        Value::Text(text) => text.len() + text.bytes().filter(|byte| *byte == 0).count() + TEXT_END.len(),
    }
}

/// Appends one column of a key.
///
/// All values of a column must be of one type; decimals may differ in scale. At most [`key_bytes`] are put, in one
/// piece unless it is text.
///
/// # Errors
/// Those of the sink; what was put before stays there.
pub fn encode_key<S: Sink>(value: Value<'_>, order: KeyOrder, sink: &mut S) -> Result<(), S::Error> {
    match value {
        Value::Null => sink.put(&[order.null()]),
        Value::Boolean(value) => put_fixed([value.into()], order, sink),
        Value::Integer(value) => put_fixed(integer_key(value), order, sink),
        Value::BigInt(value) => put_fixed(bigint_key(value), order, sink),
        Value::Decimal(value) => put_fixed(decimal_key(value.unscaled(), value.scale()), order, sink),
        Value::Double(value) => put_fixed(double_key(value), order, sink),
        Value::Date(value) => put_fixed(integer_key(value.days()), order, sink),
        Value::Interval(value) => put_fixed(bigint_key(value.comparable_days()), order, sink),
        Value::Text(text) => {
            sink.put(&[VALUE])?;
            put_text(text.as_bytes(), order, sink)
        }
    }
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
/// `ty` is the type of the column; decimals come back with its scale. Text is written to `text`, which must hold it
/// whole. An interval comes back with its months counted from the days.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that no value of the type has; [`Error::BufferTooSmall`] when `text` is too small.
pub fn decode_key<'t>(
    input: &[u8],
    ty: Type,
    order: KeyOrder,
    text: &'t mut [u8],
) -> Result<(Value<'t>, usize), Error> {
    match input.first() {
        Some(&header) if header == order.null() => return Ok((Value::Null, 1)),
        Some(&VALUE) => {}
        Some(_) => return Err(Error::corrupt(ty, 0, "no such header")),
        None => return Err(Error::corrupt(ty, 0, "the key ends here")),
    }
    let reader = Reader { input, ty, mask: order.mask() };
    Ok(match ty {
        Type::Boolean => match reader.fixed()? {
            [byte @ (0 | 1)] => (Value::Boolean(byte == 1), 2),
            _ => return Err(Error::corrupt(ty, 1, "expected 0 or 1")),
        },
        Type::Integer => (Value::Integer(i32::from_be_bytes(reader.fixed()?) ^ i32::MIN), 5),
        Type::BigInt => (Value::BigInt(reader.bigint()?), 9),
        Type::Date => {
            let days = i32::from_be_bytes(reader.fixed()?) ^ i32::MIN;
            let date = Date::from_days(days.into()).map_err(|_| Error::corrupt(ty, 1, "no such day"))?;
            (Value::Date(date), 5)
        }
        Type::Double => (Value::Double(reader.double()?), 9),
        Type::Decimal { scale, .. } => (Value::Decimal(reader.decimal(scale)?), 18),
        Type::Interval => (Value::Interval(reader.interval()?), 9),
        Type::Text | Type::Unknown => {
            let (text, end) = reader.text(text)?;
            (Value::Text(text), end)
        }
    })
}

/// The column that is being decoded.
struct Reader<'k> {
    input: &'k [u8],
    ty: Type,
    mask: u8,
}

impl Reader<'_> {
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

    fn decimal(&self, scale: u8) -> Result<Decimal, Error> {
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
        // 10^-count is what the digits lack to be the unscaled integer.
        let count = i32::from(DECIMAL_ZERO) + 76 - i32::from(first) - i32::from(scale);
        let power = usize::try_from(count).ok().and_then(|count| POW10.get(count));
        let unscaled = match power {
            _ if is_zero => 0,
            Some(power) if digits % power == 0 => digits / power,
            _ => return Err(corrupt("the scale of the column does not hold the number")),
        };
        let is_negative = key.first() < Some(&DECIMAL_ZERO);
        Decimal::new(if is_negative { -unscaled } else { unscaled }, scale)
    }

    fn interval(&self) -> Result<Interval, Error> {
        let total = self.bigint()?;
        let months = (total / 30).clamp(i32::MIN.into(), i32::MAX.into());
        match (i32::try_from(months), i32::try_from(total - months * 30)) {
            (Ok(months), Ok(days)) => Ok(Interval { months, days }),
            _ => Err(Error::corrupt(self.ty, 1, "more days than an interval has")),
        }
    }

    /// The text, copied without its escapes, and where the column ends.
    fn text<'t>(&self, text: &'t mut [u8]) -> Result<(&'t str, usize), Error> {
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
        let text = core::str::from_utf8(text.get(..len).ok_or(too_small)?)
            .map_err(|error| Error::corrupt(self.ty, 1 + error.valid_up_to(), "expected UTF-8"))?;
        Ok((text, end))
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

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;

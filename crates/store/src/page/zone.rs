//! What the values of a page lie between.

/// Bytes of a text that a bound keeps.
const BOUND_BYTES: usize = 16;

/// A bound of the values of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ZoneBound {
    /// Exactly this boolean (0 or 1), integer, date, unscaled decimal or packed interval.
    Int(i128),
    /// Exactly this double; NaN is the greatest, and -0.0 and 0.0 are equal.
    Double(f64),
    /// Texts are not less (as a lower bound) or not greater (as an upper one) than this one.
    Text(TextBound),
    /// Nothing is known.
    Unbounded,
}

/// Up to 16 bytes; not always UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextBound {
    /// How many bytes.
    pub(crate) len: u8,
    /// Zeros behind them.
    pub(crate) bytes: [u8; BOUND_BYTES],
}

impl TextBound {
    /// The first bytes of a text.
    pub(crate) fn of(text: &[u8]) -> TextBound {
        let len = text.len().min(BOUND_BYTES);
        let mut bytes = [0; BOUND_BYTES];
        bytes.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
        TextBound { len: len as u8, bytes }
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&self.bytes)
    }
}

/// What the values of a page lie between, NULLs not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Zone {
    /// No value is less.
    pub(crate) min: ZoneBound,
    /// No value is greater.
    pub(crate) max: ZoneBound,
}

/// The zone of some integers; `None` without any.
pub(super) fn zone_of_integers<N: Copy + Ord + Into<i128>>(values: &[N]) -> Option<Zone> {
    let bound = |value: &N| ZoneBound::Int((*value).into());
    Some(Zone { min: bound(values.iter().min()?), max: bound(values.iter().max()?) })
}

/// The zone of some doubles; `None` without any.
pub(super) fn zone_of_doubles(values: impl Iterator<Item = f64> + Clone) -> Option<Zone> {
    // NaN is the greatest, whatever its sign.
    let order = |a: &f64, b: &f64| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
    let (min, max) = values.clone().min_by(order).zip(values.max_by(order))?;
    Some(Zone { min: ZoneBound::Double(min), max: ZoneBound::Double(max) })
}

/// The zone of some texts; `None` without any. Where `has_longs`, texts of 16 bytes and more may be beginnings.
pub(super) fn zone_of_texts<'t>(texts: impl Iterator<Item = &'t [u8]>, has_longs: bool) -> Option<Zone> {
    // Nearly all comparisons are decided by the first bytes.
    let bounds = texts.map(|text| (first_word(text), text)).fold(None, |bounds, text| match bounds {
        None => Some((text, text)),
        Some((min, max)) => Some((text.min(min), text.max(max))),
    });
    let ((_, min), (_, max)) = bounds?;
    let is_whole = max.len() < BOUND_BYTES || (max.len() == BOUND_BYTES && !has_longs);
    let max = TextBound::of(max);
    let max = if is_whole { Some(max) } else { successor(max) };
    let max = max.map_or(ZoneBound::Unbounded, ZoneBound::Text);
    Some(Zone { min: ZoneBound::Text(TextBound::of(min)), max })
}

/// The least text that is greater than all that begin with `bound`; `None` if there is none.
fn successor(bound: TextBound) -> Option<TextBound> {
    let kept = bound.as_bytes().iter().rposition(|byte| *byte != 0xff)? + 1;
    let mut next = TextBound::of(bound.as_bytes().get(..kept)?);
    *next.bytes.get_mut(kept - 1)? += 1;
    Some(next)
}

/// The first eight bytes, in the order of bytes; zeros behind the end.
fn first_word(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => text.iter().zip(1..).fold(0, |word, (byte, i)| word | u64::from(*byte) << (64 - 8 * i)),
    }
}

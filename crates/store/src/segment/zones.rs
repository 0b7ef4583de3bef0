//! Zone maps as they stand in files: what the values of each page of a column lie between.

use core::cmp::Ordering;
use core::ops::Bound;

use cofferdam_types::column::Kind;
use cofferdam_types::{Type, Value};

use super::layout::{Put, u8_at, u16_at, u32_at, u64_at};
use crate::page::{TextBound, Zone, ZoneBound};

const HAS_ZONE: u8 = 1;
const MAX_IS_OPEN: u8 = 2;
const FIXED_BYTES: usize = 3;

/// What is known of a page's values without reading it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PageZone {
    /// How many rows the page has.
    pub(crate) rows: u32,
    /// How many of them are NULL.
    pub(crate) nulls: u32,
    /// What the others lie between; `None` where there are none.
    pub(crate) zone: Option<Zone>,
}

fn bound_bytes(kind: Kind) -> usize {
    match kind {
        Kind::Bool => 1,
        Kind::I32 => 4,
        Kind::I64 | Kind::F64 => 8,
        Kind::I128 => 16,
        Kind::Text => 17,
    }
}

/// Bytes of an entry of a column.
pub(super) fn entry_bytes(kind: Kind) -> usize {
    FIXED_BYTES + 2 * bound_bytes(kind)
}

/// Writes an entry.
pub(super) fn write(put: &mut Put<'_>, kind: Kind, nulls: u16, zone: Option<&Zone>) {
    let is_open = zone.is_some_and(|zone| zone.max == ZoneBound::Unbounded);
    let flags = if zone.is_some() { HAS_ZONE } else { 0 } | if is_open { MAX_IS_OPEN } else { 0 };
    put.u8(flags).u16(nulls);
    write_bound(put, kind, zone.map_or(ZoneBound::Unbounded, |zone| zone.min));
    write_bound(put, kind, zone.map_or(ZoneBound::Unbounded, |zone| zone.max));
}

fn write_bound(put: &mut Put<'_>, kind: Kind, bound: ZoneBound) {
    let mut bytes = [0; 17];
    match bound {
        ZoneBound::Int(value) => bytes[..16].copy_from_slice(&value.to_le_bytes()),
        ZoneBound::Double(value) => bytes[..8].copy_from_slice(&value.to_bits().to_le_bytes()),
        ZoneBound::Text(text) => {
            bytes[0] = text.len;
            bytes[1..].copy_from_slice(&text.bytes);
        }
        ZoneBound::Unbounded => {}
    }
    put.bytes(&bytes[..bound_bytes(kind)]);
}

/// Reads the `index`th entry of a column: how many values are NULL, and the zone of the others.
pub(super) fn read(bytes: &[u8], index: usize, kind: Kind) -> (u32, Option<Zone>) {
    let at = index * entry_bytes(kind);
    let flags = u8_at(bytes, at);
    let nulls = u16_at(bytes, at + 1).into();
    if flags & HAS_ZONE == 0 {
        return (nulls, None);
    }
    let min = read_bound(bytes, at + FIXED_BYTES, kind);
    let max = if flags & MAX_IS_OPEN != 0 {
        ZoneBound::Unbounded
    } else {
        read_bound(bytes, at + FIXED_BYTES + bound_bytes(kind), kind)
    };
    (nulls, Some(Zone { min, max }))
}

fn read_bound(bytes: &[u8], at: usize, kind: Kind) -> ZoneBound {
    match kind {
        Kind::Bool => ZoneBound::Int(u8_at(bytes, at).into()),
        Kind::I32 => ZoneBound::Int((u32_at(bytes, at) as i32).into()),
        Kind::I64 => ZoneBound::Int((u64_at(bytes, at) as i64).into()),
        Kind::I128 => {
            let (low, high) = (u64_at(bytes, at), u64_at(bytes, at + 8));
            ZoneBound::Int((u128::from(high) << 64 | u128::from(low)) as i128)
        }
        Kind::F64 => ZoneBound::Double(f64::from_bits(u64_at(bytes, at))),
        Kind::Text => {
            let text = bytes.get(at + 1..).and_then(|tail| tail.first_chunk()).copied();
            let len = u8_at(bytes, at).min(16);
            text.map_or(ZoneBound::Unbounded, |bytes| ZoneBound::Text(TextBound { len, bytes }))
        }
    }
}

/// The order of two bounds of a kind; an open one is the greatest.
pub(super) fn compare(a: &ZoneBound, b: &ZoneBound) -> Ordering {
    match (a, b) {
        (ZoneBound::Int(a), ZoneBound::Int(b)) => a.cmp(b),
        (ZoneBound::Double(a), ZoneBound::Double(b)) => {
            a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        }
        (ZoneBound::Text(a), ZoneBound::Text(b)) => {
            let bytes = |bound: &'_ TextBound| (bound.bytes, bound.len);
            let ((a, a_len), (b, b_len)) = (bytes(a), bytes(b));
            a[..usize::from(a_len)].cmp(&b[..usize::from(b_len)])
        }
        (ZoneBound::Unbounded, ZoneBound::Unbounded) => Ordering::Equal,
        (ZoneBound::Unbounded, _) => Ordering::Greater,
        (_, ZoneBound::Unbounded) => Ordering::Less,
        _ => Ordering::Equal,
    }
}

/// The zone of two pages together.
pub(crate) fn union(a: Option<Zone>, b: Option<Zone>) -> Option<Zone> {
    let (Some(first), Some(second)) = (a, b) else { return a.or(b) };
    let least = if compare(&second.min, &first.min) == Ordering::Less { second.min } else { first.min };
    let greatest = if compare(&second.max, &first.max) == Ordering::Greater { second.max } else { first.max };
    Some(Zone { min: least, max: greatest })
}

/// What is wanted of a column: bounds that values which count do not lie outside of. NULL never counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ZoneLimits<'l> {
    /// The column.
    pub(crate) column: u16,
    from: Bound<ZoneBound>,
    to: Bound<ZoneBound>,
    /// Ranges that ascend, both ends included, of which a value must lie in one.
    among: Option<&'l [(i64, i64)]>,
}

impl<'l> ZoneLimits<'l> {
    /// Limits of a column of a type. Bounds of other types than the column's say nothing.
    pub(crate) fn new(column: u16, ty: Type, from: Bound<Value<'_>>, to: Bound<Value<'_>>) -> ZoneLimits<'l> {
        ZoneLimits { column, from: limit(ty, from), to: limit(ty, to), among: None }
    }

    /// Limits of a column that is held as numbers: ranges that ascend and do not overlap, both ends included.
    pub(crate) fn among(column: u16, ranges: &'l [(i64, i64)]) -> ZoneLimits<'l> {
        ZoneLimits { column, from: Bound::Unbounded, to: Bound::Unbounded, among: Some(ranges) }
    }

    /// True where no value of the page can count.
    pub(crate) fn exclude(&self, page: &PageZone) -> bool {
        let Some(zone) = &page.zone else { return true };
        if let (Some(ranges), ZoneBound::Int(min), ZoneBound::Int(max)) = (self.among, zone.min, zone.max) {
            let first = ranges.partition_point(|range| i128::from(range.1) < min);
            return ranges.get(first).is_none_or(|range| i128::from(range.0) > max);
        }
        let is_below = match &self.from {
            Bound::Included(from) => compare(&zone.max, from).is_lt(),
            Bound::Excluded(from) => compare(&zone.max, from).is_le(),
            Bound::Unbounded => false,
        };
        let is_above = match &self.to {
            Bound::Included(to) => compare(&zone.min, to).is_gt(),
            Bound::Excluded(to) => compare(&zone.min, to).is_ge(),
            Bound::Unbounded => false,
        };
        is_below || is_above
    }
}

fn limit(ty: Type, bound: Bound<Value<'_>>) -> Bound<ZoneBound> {
    match bound {
        Bound::Included(value) => bound_of(ty, value).map_or(Bound::Unbounded, Bound::Included),
        Bound::Excluded(value) => match bound_of(ty, value) {
            // Zones have the beginnings of texts, which say nothing about equal ones.
            Some(text @ ZoneBound::Text(_)) => Bound::Included(text),
            Some(exact) => Bound::Excluded(exact),
            None => Bound::Unbounded,
        },
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Whether the bounds of a zone are in the order of the values of a type.
pub(crate) fn is_ordered(ty: Type) -> bool {
    !matches!(
        ty,
        Type::Interval
            | Type::Char
            | Type::Json
            | Type::Jsonb
            | Type::Numeric
            | Type::Array(_)
            | Type::Unknown
    )
}

/// The bound that a value is in the zones of a column.
fn bound_of(ty: Type, value: Value<'_>) -> Option<ZoneBound> {
    Some(match (ty, value) {
        (Type::Boolean, Value::Boolean(value)) => ZoneBound::Int(value.into()),
        (Type::SmallInt, Value::SmallInt(value)) => ZoneBound::Int(value.into()),
        (Type::Integer, Value::Integer(value)) => ZoneBound::Int(value.into()),
        (Type::BigInt, Value::BigInt(value)) => ZoneBound::Int(value.into()),
        (Type::Date, Value::Date(value)) => ZoneBound::Int(value.days().into()),
        (Type::Time, Value::Time(value)) => ZoneBound::Int(value.micros().into()),
        (Type::Timestamp, Value::Timestamp(value)) | (Type::TimestampTz, Value::TimestampTz(value)) => {
            ZoneBound::Int(value.micros().into())
        }
        (Type::Uuid, Value::Uuid(value)) => ZoneBound::Int(value.to_ordered()),
        (Type::Real, Value::Real(value)) => ZoneBound::Double(value.into()),
        (Type::Double, Value::Double(value)) => ZoneBound::Double(value),
        (Type::Text, Value::Text(value)) => ZoneBound::Text(TextBound::of(value.as_bytes())),
        (Type::Bytea, Value::Bytea(value)) => ZoneBound::Text(TextBound::of(value)),
        (Type::Decimal { scale, .. }, Value::Decimal(value)) if value.scale() == scale => {
            ZoneBound::Int(value.unscaled())
        }
        // The bytes of all others have not the order of their values.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use cofferdam_types::Decimal;
    use core::ops::Bound::{Excluded, Included, Unbounded};

    use super::*;

    fn page(min: ZoneBound, max: ZoneBound) -> PageZone {
        PageZone { rows: 10, nulls: 1, zone: Some(Zone { min, max }) }
    }

    #[test]
    fn a_page_is_left_out_only_where_no_value_can_be_within_the_limits() {
        let integers = page(ZoneBound::Int(10), ZoneBound::Int(20));
        let exclude = |from, to| ZoneLimits::new(0, Type::Integer, from, to).exclude(&integers);
        let value = |value| Value::Integer(value);
        assert!(exclude(Included(value(21)), Unbounded) && !exclude(Included(value(20)), Unbounded));
        assert!(exclude(Excluded(value(20)), Unbounded) && !exclude(Excluded(value(19)), Unbounded));
        assert!(exclude(Unbounded, Included(value(9))) && !exclude(Unbounded, Included(value(10))));
        assert!(exclude(Unbounded, Excluded(value(10))) && !exclude(Unbounded, Excluded(value(11))));
        // Bounds of another type say nothing.
        assert!(!exclude(Included(Value::Double(99.0)), Unbounded));
        let ty = Type::Decimal { precision: 9, scale: 2 };
        let of_scale = |scale| Included(Value::Decimal(Decimal::new(2100, scale).unwrap()));
        assert!(ZoneLimits::new(0, ty, of_scale(2), Unbounded).exclude(&integers));
        assert!(!ZoneLimits::new(0, ty, of_scale(3), Unbounded).exclude(&integers));
        // NULL is never wanted.
        let nulls = PageZone { rows: 10, nulls: 10, zone: None };
        assert!(ZoneLimits::new(0, Type::Integer, Unbounded, Unbounded).exclude(&nulls));
    }

    #[test]
    fn a_page_between_ranges_of_numbers_is_left_out() {
        let ranges = [(1, 4), (9, 9), (21, i64::MAX)];
        let exclude =
            |min, max| ZoneLimits::among(0, &ranges).exclude(&page(ZoneBound::Int(min), ZoneBound::Int(max)));
        for (min, max) in [(-5, 0), (5, 8), (10, 20), (i128::from(i64::MIN), 0)] {
            assert!(exclude(min, max), "{min} to {max}");
        }
        for (min, max) in [(0, 1), (4, 5), (2, 3), (9, 9), (5, 30), (21, 21), (22, 40)] {
            assert!(!exclude(min, max), "{min} to {max}");
        }
        let nothing = ZoneLimits::among(0, &[]);
        assert!(nothing.exclude(&page(ZoneBound::Int(0), ZoneBound::Int(9))));
        // Of other columns it says nothing.
        assert!(!nothing.exclude(&page(ZoneBound::Double(0.0), ZoneBound::Double(9.0))));
    }

    #[test]
    fn the_beginnings_of_texts_leave_out_no_page_that_has_equal_ones() {
        let text = |text: &str| ZoneBound::Text(TextBound::of(text.as_bytes()));
        let texts = page(text("a text of sixteen bytes"), text("b"));
        let exclude = |from, to| ZoneLimits::new(0, Type::Text, from, to).exclude(&texts);
        let wanted = Value::Text("a text of sixteen bytes");
        for bound in [Included(wanted), Excluded(wanted)] {
            assert!(!exclude(bound, Unbounded) && !exclude(Unbounded, bound));
        }
        assert!(exclude(Unbounded, Included(Value::Text("a text"))));
        assert!(exclude(Included(Value::Text("bc")), Unbounded));
        assert!(!exclude(Excluded(Value::Text("b")), Unbounded));
        let open = page(text("a"), ZoneBound::Unbounded);
        assert!(!ZoneLimits::new(0, Type::Text, Included(Value::Text("z")), Unbounded).exclude(&open));
    }

    #[test]
    fn nan_is_the_greatest_double() {
        let doubles = page(ZoneBound::Double(-0.0), ZoneBound::Double(f64::NAN));
        let exclude = |from, to| ZoneLimits::new(0, Type::Double, from, to).exclude(&doubles);
        assert!(!exclude(Included(Value::Double(1e300)), Unbounded));
        assert!(!exclude(Included(Value::Double(f64::NAN)), Unbounded));
        assert!(!exclude(Unbounded, Included(Value::Double(0.0))));
        assert!(exclude(Unbounded, Excluded(Value::Double(0.0))));
    }
}

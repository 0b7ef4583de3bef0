//! Zone maps as they stand in files: what the values of each page of a column lie between.

use core::cmp::Ordering;

use cofferdam_types::column::Kind;

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
pub(super) fn union(a: Option<Zone>, b: Option<Zone>) -> Option<Zone> {
    let (Some(first), Some(second)) = (a, b) else { return a.or(b) };
    let least = if compare(&second.min, &first.min) == Ordering::Less { second.min } else { first.min };
    let greatest = if compare(&second.max, &first.max) == Ordering::Greater { second.max } else { first.max };
    Some(Zone { min: least, max: greatest })
}

//! What states hold that has no fixed size: single values, and ropes of pieces that only grow.
//!
//! ```text
//! rope    | next 8 | used 4 | room 4 | bytes … | -> | next | used | room | bytes … |
//! ```
//!
//! A rope copies nothing while it grows and leaves nothing behind; its pieces grow with it, up to 16 KiB. A value that is
//! replaced by a longer one leaves its room behind, which the doubling of rooms keeps below what is in use.

use cofferdam_arena::AllocError;

use super::cells::{Held, Rope};
use crate::operators::aggregate::pages::{Pages, Place};

const PIECE_HEAD_BYTES: usize = 16;
const PIECE_BYTES_MIN: usize = 32;
const PIECE_BYTES_MAX: usize = 16 << 10;

/// Replaces a value.
///
/// # Errors
/// There is no room; the old value stays.
pub(super) fn hold(held: &mut Held, value: &[u8], blobs: &mut Pages) -> Result<(), AllocError> {
    let place = match Place::from_bits(held.place) {
        Some(place) if held.room as usize >= value.len() => place,
        before => {
            // The first value is seldom the longest one, but often the only one.
            let room = if before.is_none() { value.len() } else { value.len() * 2 };
            let place = blobs.add(room.max(8))?;
            (held.place, held.room) = (place.bits(), room.max(8) as u64);
            place
        }
    };
    blobs.at_mut(place)[..value.len()].copy_from_slice(value);
    held.len = value.len() as u64;
    Ok(())
}

/// The value that is held.
pub(super) fn held<'b>(held: &Held, blobs: &'b Pages) -> Option<&'b [u8]> {
    Some(&blobs.at(Place::from_bits(held.place)?)[..held.len as usize])
}

fn used(piece: &[u8]) -> usize {
    read(piece, 8)
}

fn room(piece: &[u8]) -> usize {
    read(piece, 12)
}

fn read(piece: &[u8], at: usize) -> usize {
    let mut number = [0; 4];
    number.copy_from_slice(&piece[at..at + 4]);
    u32::from_le_bytes(number) as usize
}

fn next(piece: &[u8]) -> Option<Place> {
    let mut bits = [0; 8];
    bits.copy_from_slice(&piece[..8]);
    Place::from_bits(u64::from_le_bytes(bits))
}

/// Appends the bytes of `parts`, one behind the other.
///
/// # Errors
/// There is no room; the rope is as it was.
pub(super) fn append(rope: &mut Rope, parts: &[&[u8]], blobs: &mut Pages) -> Result<(), AllocError> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut last = Place::from_bits(rope.last);
    let free = last.map_or(0, |last| {
        let piece = blobs.at(last);
        room(piece) - used(piece)
    });
    let mut added = None;
    if free < len || last.is_none() {
        let grown = (rope.bytes as usize / 2).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX - PIECE_HEAD_BYTES);
        let bytes = grown.max(len - free);
        let count = u32::try_from(bytes).map_err(|_| AllocError)?;
        let place = blobs.add(PIECE_HEAD_BYTES + bytes)?;
        blobs.at_mut(place)[12..16].copy_from_slice(&count.to_le_bytes());
        match last {
            Some(last) => blobs.at_mut(last)[..8].copy_from_slice(&place.bits().to_le_bytes()),
            None => (rope.first, last) = (place.bits(), Some(place)),
        }
        (rope.last, added) = (place.bits(), Some(place));
    }
    let mut current = last.expect("a rope that takes bytes has a piece");
    for part in parts {
        let mut part = *part;
        loop {
            let piece = blobs.at_mut(current);
            let at = used(piece);
            let count = part.len().min(room(piece) - at);
            piece[PIECE_HEAD_BYTES + at..PIECE_HEAD_BYTES + at + count].copy_from_slice(&part[..count]);
            piece[8..12].copy_from_slice(&((at + count) as u32).to_le_bytes());
            part = &part[count..];
            match added {
                Some(place) if !part.is_empty() => current = place,
                _ => break,
            }
        }
        debug_assert!(part.is_empty());
    }
    rope.bytes += len as u64;
    Ok(())
}

/// The pieces of a rope, in order.
pub(super) fn pieces<'b>(rope: &Rope, blobs: &'b Pages) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    let mut at = Place::from_bits(rope.first);
    core::iter::from_fn(move || {
        let piece = blobs.at(at?);
        at = next(piece);
        Some(&piece[PIECE_HEAD_BYTES..PIECE_HEAD_BYTES + used(piece)])
    })
}

/// The pieces of a rope without the bytes that do not count.
pub(super) fn counted<'b>(rope: &Rope, blobs: &'b Pages) -> impl Iterator<Item = &'b [u8]> + use<'b> {
    let mut left = rope.skipped as usize;
    pieces(rope, blobs).map(move |piece| {
        let skipped = left.min(piece.len());
        left -= skipped;
        &piece[skipped..]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operators::state::cells::Cell;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    proptest! {
        /// Aim: a rope is what was appended, and a refusal changes nothing. Method: lists beside it, at a limit.
        #[test]
        fn ropes_are_what_was_appended(
            parts in proptest::collection::vec((0..9u8, prop_oneof![0..40usize, 0..9000usize], 0..3usize), 0..200),
        ) {
            let budget = Budget::unlimited("root").unwrap().child("test", 256 << 10).unwrap();
            let mut blobs = Pages::new(&budget);
            let mut ropes = [Rope::load(&[0; Rope::BYTES]); 3];
            let mut oracle = [const { Vec::new() }; 3];
            for (byte, len, which) in parts {
                let part = std::vec![byte; len];
                if append(&mut ropes[which], &[&part, b"|"], &mut blobs).is_ok() {
                    oracle[which].extend_from_slice(&part);
                    oracle[which].push(b'|');
                }
            }
            for (rope, oracle) in ropes.iter_mut().zip(&oracle) {
                let all = pieces(rope, &blobs).collect::<Vec<_>>().concat();
                prop_assert_eq!(&all, oracle);
                prop_assert_eq!(rope.bytes as usize, oracle.len());
                rope.skipped = oracle.len() as u64 / 3;
                let rest = counted(rope, &blobs).collect::<Vec<_>>().concat();
                prop_assert_eq!(&rest[..], &oracle[oracle.len() / 3..]);
            }
        }

        /// Aim: the value that is held is the last one that there was room for.
        #[test]
        fn the_last_value_is_held(lens in proptest::collection::vec(0..3000usize, 0..60)) {
            let budget = Budget::unlimited("root").unwrap().child("test", 16 << 10).unwrap();
            let mut blobs = Pages::new(&budget);
            let mut cell = Held::load(&[0; Held::BYTES]);
            let mut oracle = None;
            for (index, len) in lens.into_iter().enumerate() {
                let value = std::vec![index as u8; len];
                if hold(&mut cell, &value, &mut blobs).is_ok() {
                    oracle = Some(value);
                }
                prop_assert_eq!(held(&cell, &blobs), oracle.as_deref());
            }
        }
    }
}

//! One frame: a header with a checksum of its own, the payload, and zeros up to a multiple of eight bytes.

use super::bytes::Decoder;

/// The bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 24;
/// The most bytes of a frame, header and padding included.
///
/// A reader must hold a frame before it can trust it, and the smallest database has 256 KiB for everything. At this
/// size headers are 0.15 % of a log.
pub const FRAME_BYTES_MAX: usize = 16 << 10;
/// The most bytes of a frame's payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - FRAME_HEADER_BYTES;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 8;
/// Offsets in a log are below this.
pub(crate) const OFFSET_MAX: u64 = 1 << 48;
/// Sequences are below this.
pub(crate) const SEQUENCE_MAX: u64 = 1 << 56;

/// What a frame is of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its first frame; more follow.
    First,
    /// One in between.
    Middle,
    /// Its last frame.
    Last,
    /// The record that began does not count.
    Abort,
    /// Of none: the frame says only what is durable.
    Mark,
}

const PARTS: [Part; 6] = [Part::Whole, Part::First, Part::Middle, Part::Last, Part::Abort, Part::Mark];

impl Part {
    const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// True where the payload ends in a trailer.
    pub(crate) const fn ends_record(self) -> bool {
        matches!(self, Part::Whole | Part::Last)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) part: Part,
    /// The type of its record, below 32.
    pub(crate) record: u8,
    /// The sequence of its record.
    pub(crate) sequence: u64,
    /// The log was durable up to here when the frame was written.
    pub(crate) durable: u64,
    pub(crate) payload_bytes: usize,
    /// Of payload and padding.
    pub(crate) payload_crc: u32,
}

impl FrameHeader {
    /// The bytes of the whole frame.
    pub(crate) const fn frame_bytes(&self) -> usize {
        (FRAME_HEADER_BYTES + self.payload_bytes).next_multiple_of(ALIGNMENT)
    }

    pub(crate) fn encode(&self, salt: u64, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        assert!(self.durable <= offset && offset < OFFSET_MAX, "what is durable lies before the frame");
        assert!(self.sequence < SEQUENCE_MAX && self.payload_bytes <= PAYLOAD_BYTES_MAX);
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        let sizes = self.durable << 16 | self.payload_bytes as u64;
        bytes[8..16].copy_from_slice(&sizes.to_le_bytes());
        let kind = u64::from(self.record << 3 | self.part.number());
        bytes[16..24].copy_from_slice(&(self.sequence << 8 | kind).to_le_bytes());
        let checksum = checksum(&bytes, salt, offset);
        bytes[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, `None` where this log has never written one there. What is cheap is looked at first:
    /// the search for frames behind a broken one comes here for every eighth byte.
    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES], salt: u64, offset: u64) -> Option<FrameHeader> {
        let mut fields = Decoder::new(bytes);
        let expected = u32::from_le_bytes(fields.array()?);
        let payload_crc = u32::from_le_bytes(fields.array()?);
        let sizes = u64::from_le_bytes(fields.array()?);
        let kind = u64::from_le_bytes(fields.array()?);
        let part = *PARTS.get(usize::from(kind as u8 & 7).checked_sub(1)?)?;
        let (durable, payload_bytes) = (sizes >> 16, usize::from(sizes as u16));
        let is_bare = matches!(part, Part::Abort | Part::Mark);
        if durable > offset || payload_bytes > PAYLOAD_BYTES_MAX || (payload_bytes == 0) != is_bare {
            return None;
        }
        let record = kind as u8 >> 3;
        let header = FrameHeader { part, record, sequence: kind >> 8, durable, payload_bytes, payload_crc };
        (expected == checksum(bytes, salt, offset)).then_some(header)
    }
}

/// The checksum of a header: of salt, offset and the bytes behind the checksum.
fn checksum(bytes: &[u8; FRAME_HEADER_BYTES], salt: u64, offset: u64) -> u32 {
    let mut covered = [0; 16 + FRAME_HEADER_BYTES - 4];
    covered[..8].copy_from_slice(&salt.to_le_bytes());
    covered[8..16].copy_from_slice(&offset.to_le_bytes());
    covered[16..].copy_from_slice(&bytes[4..]);
    crate::sum::crc32c(&covered)
}

/// The bytes of a trailer.
pub(crate) const TRAILER_BYTES: usize = 16;

/// What a record ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// How many items the record has, whatever its items are; below 2^48.
    pub(crate) items_count: u64,
    /// The last sequence of the record, less its first; below 2^48.
    pub(crate) span: u64,
    /// The checksum of the checksums of the payloads of the frames before this one, so that the record is one.
    pub(crate) chain: u32,
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; TRAILER_BYTES] {
        assert!(self.items_count < OFFSET_MAX && self.span < OFFSET_MAX);
        let mut bytes = [0; TRAILER_BYTES];
        bytes[..6].copy_from_slice(&self.items_count.to_le_bytes()[..6]);
        bytes[6..12].copy_from_slice(&self.span.to_le_bytes()[..6]);
        bytes[12..].copy_from_slice(&self.chain.to_le_bytes());
        bytes
    }

    /// The items and the trailer of a payload that ends a record.
    pub(crate) fn split(payload: &[u8]) -> Option<(&[u8], Trailer)> {
        let (items, trailer) = payload.split_last_chunk::<TRAILER_BYTES>()?;
        let mut fields = Decoder::new(trailer);
        let mut short = || {
            let [a, b, c, d, e, f] = fields.array()?;
            Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
        };
        let (items_count, span) = (short()?, short()?);
        Some((items, Trailer { items_count, span, chain: u32::from_le_bytes(fields.array()?) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Aim: a header is read as it was written, and only there. Method: turn every bit of it; move it.
        #[test]
        fn headers_are_read_where_they_were_written(
            part in 0..PARTS.len(), record in 0..32u8, sequence in 0..SEQUENCE_MAX, salt: u64,
            offset in (8u64..OFFSET_MAX / 8).prop_map(|offset| offset * 8), durable in 0..OFFSET_MAX,
            payload_bytes in 1..=PAYLOAD_BYTES_MAX, payload_crc: u32, bit in 0..FRAME_HEADER_BYTES * 8,
        ) {
            let part = PARTS[part];
            let payload_bytes = if matches!(part, Part::Abort | Part::Mark) { 0 } else { payload_bytes };
            let durable = durable % (offset + 1);
            let header = FrameHeader { part, record, sequence, durable, payload_bytes, payload_crc };
            let mut bytes = header.encode(salt, offset);
            prop_assert_eq!(FrameHeader::decode(&bytes, salt, offset), Some(header));
            prop_assert_eq!(FrameHeader::decode(&bytes, salt, offset + 8), None);
            prop_assert_eq!(FrameHeader::decode(&bytes, salt ^ 1, offset), None);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(FrameHeader::decode(&bytes, salt, offset), None);
        }
    }

    #[test]
    fn a_trailer_is_read_as_it_was_written() {
        let trailer = Trailer { items_count: OFFSET_MAX - 1, span: 7, chain: 0xdead_beef };
        let mut payload = b"items".to_vec();
        payload.extend(trailer.encode());
        assert_eq!(Trailer::split(&payload), Some((&b"items"[..], trailer)));
        assert_eq!(Trailer::split(&payload[6..]), None);
    }
}

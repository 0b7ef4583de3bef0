//! What the pieces of a segment file look like, byte by byte: `docs/formats/segment.md` has the tables.
//!
//! Each kind of piece has a view that was checked once, when the piece was read ([`GroupDirectory::parse`] and so on),
//! and a writer. Everything is little-endian. What stands here knows no file and takes no memory; damage is a text,
//! to which the caller adds file and offset.

use cofferdam_types::Type;

use super::filter::LINE_BYTES;
use super::separators::{SeparatorSizes, Separators, VersionedKey};
use super::sketch::{HeadPlace, is_head_place};
use crate::manifest::item::type_bytes;
use crate::schema::{ColumnType, KEY_BYTES_MAX, Schema};

/// What is wrong with some bytes.
pub(super) type Damage = &'static str;

/// The version of the format.
pub(super) const VERSION: u32 = 1;
/// What a file begins with.
pub(super) const FILE_MAGIC: [u8; 8] = *b"cofd-seg";
/// Bytes of the header of a file.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of a footer, its checksum included.
pub(crate) const FOOTER_BYTES: usize = 256;
/// What a footer begins with.
const FOOTER_MAGIC: [u8; 4] = *b"segF";
/// Bytes of a checksum behind a piece.
pub(super) const CRC_BYTES: usize = 4;
/// The most bytes of a piece that is no page.
pub(super) const PIECE_BYTES_MAX: usize = 96 << 10;
/// The most bytes of a page: its texts, and 16 bytes for each of its rows, and what it says of itself.
pub(super) const PAGE_BYTES_MAX: usize = crate::page::TEXT_BYTES_MAX + 16 * crate::page::ROWS_MAX + 8192;
/// The most bytes of a bundle: the pages of as many columns as a table with bundles has.
pub(super) const BUNDLE_BYTES_MAX: usize = (BUNDLED_COLUMNS_MAX + SYSTEM_COLUMNS) * PAGE_BYTES_MAX;
/// What systems read files by.
pub(super) const BLOCK_BYTES: usize = 4 << 10;
/// Pages of a range stand together in tables of up to so many columns: whoever reads a row of them reads most columns.
pub(super) const BUNDLED_COLUMNS_MAX: usize = 3;
/// Whether the pages of a range stand together in tables of so many columns.
pub(super) const fn is_bundled(columns_count: usize) -> bool {
    columns_count <= BUNDLED_COLUMNS_MAX
}

/// The most bytes of a table of symbols.
pub(super) const SYMBOLS_BYTES_MAX: usize = 4 << 10;
/// The most page ranges of a row group.
pub(super) const RANGES_MAX: usize = 256;
/// The most rows of a row group.
pub(super) const GROUP_ROWS_MAX: usize = 1 << 16;
/// The first bytes of a key that a footer holds.
const BOUND_BYTES: usize = 62;
/// Columns of a segment that no schema has: sequence and kind.
pub(super) const SYSTEM_COLUMNS: usize = 2;
/// The column of sequences.
pub(super) const SEQUENCE: usize = 0;
/// The column of kinds: true for tombstones.
pub(super) const KIND: usize = 1;

/// The types of the system columns.
pub(super) const SYSTEM_TYPES: [Type; SYSTEM_COLUMNS] = [Type::BigInt, Type::Boolean];

// ------------------------------------------------------------------------------------------------------- numbers

pub(super) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// The number at `at`; 0 behind the end, which the checks of a view rule out.
macro_rules! number_at {
    ($($name:ident, $ty:ty;)*) => {$(
        #[inline]
        pub(super) fn $name(bytes: &[u8], at: usize) -> $ty {
            let tail = bytes.get(at..).and_then(|tail| tail.first_chunk());
            tail.map_or(0, |chunk| <$ty>::from_le_bytes(*chunk))
        }
    )*};
}
number_at! { u16_at, u16; u32_at, u32; u64_at, u64; }

/// Writes numbers one after the other into a piece of fixed length.
pub(super) struct Put<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl<'b> Put<'b> {
    pub(super) fn new(bytes: &'b mut [u8]) -> Put<'b> {
        Put { bytes, at: 0 }
    }

    /// Bytes as they are.
    ///
    /// # Panics
    /// If there is no room: sizes are computed beforehand.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Put<'b> {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Put<'b> {
        self.bytes(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Put<'b> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Put<'b> {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Put<'b> {
        self.bytes(&value.to_le_bytes())
    }
}

// ----------------------------------------------------------------------------------------------------- checksums

/// The checksum of a piece that stands at `offset` of the file with this salt: a piece that was written elsewhere, or
/// to another file, does not have it.
pub(super) fn checksum(salt: u64, offset: u64, payload: &[u8]) -> u32 {
    checksum_of(salt, offset, [payload])
}

/// [`checksum`] of a payload in parts.
pub(super) fn checksum_of<'p>(salt: u64, offset: u64, parts: impl IntoIterator<Item = &'p [u8]>) -> u32 {
    let mut place = [0; 16];
    Put::new(&mut place).u64(salt).u64(offset);
    parts.into_iter().fold(crate::sum::crc32c(&place), crate::sum::crc32c_append)
}

/// The payload of a piece, if its checksum is right.
pub(super) fn checked(salt: u64, offset: u64, piece: &[u8]) -> Result<&[u8], Damage> {
    let (payload, crc) = piece.split_last_chunk::<CRC_BYTES>().ok_or("a piece is too short")?;
    let is_right = checksum(salt, offset, payload) == u32::from_le_bytes(*crc);
    is_right.then_some(payload).ok_or("the checksum is wrong")
}

/// The payload of a piece that was checked before.
pub(super) fn payload(piece: &[u8]) -> &[u8] {
    piece.get(..piece.len().saturating_sub(CRC_BYTES)).unwrap_or(&[])
}

// --------------------------------------------------------------------------------------------------- file header

/// What the first bytes of a file say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) reader_features: u64,
    pub(super) writer_features: u64,
    pub(super) file_number: u64,
    pub(super) salt: u64,
}

impl Header {
    pub(super) fn write(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        Put::new(&mut bytes)
            .bytes(&FILE_MAGIC)
            .u32(self.version)
            .u32(HEADER_BYTES as u32)
            .u64(self.reader_features)
            .u64(self.writer_features)
            .u64(self.file_number)
            .u64(self.salt);
        let crc = crate::sum::crc32c(&bytes[..HEADER_BYTES - CRC_BYTES]);
        bytes[HEADER_BYTES - CRC_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Damage> {
        if !bytes.starts_with(&FILE_MAGIC) {
            return Err("this is no segment file");
        }
        let (payload, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or("the header is too short")?;
        if crate::sum::crc32c(payload) != u32::from_le_bytes(*crc) {
            return Err("the checksum of the header is wrong");
        }
        Ok(Header {
            version: u32_at(payload, 8),
            reader_features: u64_at(payload, 16),
            writer_features: u64_at(payload, 24),
            file_number: u64_at(payload, 32),
            salt: u64_at(payload, 40),
        })
    }
}

// -------------------------------------------------------------------------------------------------------- footer

/// The first bytes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyBound {
    len: u8,
    is_cut: bool,
    bytes: [u8; BOUND_BYTES],
}

impl KeyBound {
    pub(crate) fn new(key: &[u8]) -> KeyBound {
        let len = key.len().min(BOUND_BYTES);
        let mut bytes = [0; BOUND_BYTES];
        bytes[..len].copy_from_slice(&key[..len]);
        KeyBound { len: len as u8, is_cut: len < key.len(), bytes }
    }

    fn write(&self, put: &mut Put<'_>) {
        put.u8(self.len).u8(self.is_cut.into()).bytes(&self.bytes);
    }

    fn parse(bytes: &[u8], at: usize) -> Result<KeyBound, Damage> {
        let tail =
            bytes.get(at + 2..).and_then(|tail| tail.first_chunk()).ok_or("the footer is too short")?;
        let (len, cut) = (u8_at(bytes, at), u8_at(bytes, at + 1));
        if usize::from(len) > BOUND_BYTES || cut > 1 {
            return Err("a bound of the keys is none");
        }
        Ok(KeyBound { len, is_cut: cut == 1, bytes: *tail })
    }
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) columns_count: u32,
    pub(super) key_columns_count: u16,
    /// Levels of index nodes above the group directories.
    pub(super) height: u16,
    pub(super) groups_count: u32,
    pub(super) ranges_count: u32,
    pub(super) root_len: u32,
    pub(super) rows_count: u64,
    pub(super) tombstones_count: u64,
    pub(super) sequence_min: u64,
    pub(super) sequence_max: u64,
    /// The segment's first byte in the file.
    pub(super) start: u64,
    pub(super) root_offset: u64,
    pub(super) statistics_offset: u64,
    pub(super) schema_hash: u64,
    pub(super) long_bytes: u64,
    pub(super) smallest: KeyBound,
    pub(super) largest: KeyBound,
    pub(super) sketches: HeadPlace,
}

impl Footer {
    /// The footer at `offset` of a file.
    pub(super) fn write(&self, salt: u64, offset: u64) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        let mut put = Put::new(&mut bytes);
        put.bytes(&FOOTER_MAGIC)
            .u32(self.columns_count)
            .u16(self.key_columns_count)
            .u16(self.height)
            .u32(self.groups_count)
            .u32(self.ranges_count)
            .u32(self.root_len)
            .u64(self.rows_count)
            .u64(self.tombstones_count)
            .u64(self.sequence_min)
            .u64(self.sequence_max)
            .u64(self.start)
            .u64(self.root_offset)
            .u64(self.statistics_offset)
            .u64(self.schema_hash)
            .u64(self.long_bytes);
        self.smallest.write(&mut put);
        self.largest.write(&mut put);
        put.u64(self.sketches.offset).u32(self.sketches.len);
        let crc = checksum(salt, offset, &bytes[..FOOTER_BYTES - CRC_BYTES]);
        bytes[FOOTER_BYTES - CRC_BYTES..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn parse(salt: u64, offset: u64, piece: &[u8; FOOTER_BYTES]) -> Result<Footer, Damage> {
        let bytes = checked(salt, offset, piece)?;
        if !bytes.starts_with(&FOOTER_MAGIC) {
            return Err("there is no footer of a segment");
        }
        let footer = Footer {
            columns_count: u32_at(bytes, 4),
            key_columns_count: u16_at(bytes, 8),
            height: u16_at(bytes, 10),
            groups_count: u32_at(bytes, 12),
            ranges_count: u32_at(bytes, 16),
            root_len: u32_at(bytes, 20),
            rows_count: u64_at(bytes, 24),
            tombstones_count: u64_at(bytes, 32),
            sequence_min: u64_at(bytes, 40),
            sequence_max: u64_at(bytes, 48),
            start: u64_at(bytes, 56),
            root_offset: u64_at(bytes, 64),
            statistics_offset: u64_at(bytes, 72),
            schema_hash: u64_at(bytes, 80),
            long_bytes: u64_at(bytes, 88),
            smallest: KeyBound::parse(bytes, 96)?,
            largest: KeyBound::parse(bytes, 160)?,
            sketches: HeadPlace { offset: u64_at(bytes, 224), len: u32_at(bytes, 232) },
        };
        footer.check(offset).map(|()| footer)
    }

    fn check(&self, offset: u64) -> Result<(), Damage> {
        let is_piece = |at: u64, len: u64| at >= self.start && at < offset && len <= offset - at;
        if self.start < HEADER_BYTES as u64 || self.start > offset {
            return Err("the segment begins nowhere");
        }
        if self.columns_count as usize > crate::schema::COLUMNS_MAX
            || self.key_columns_count == 0
            || u32::from(self.key_columns_count) > self.columns_count
        {
            return Err("no segment has so many columns");
        }
        if self.rows_count == 0 || self.groups_count == 0 {
            return Err("a segment has rows");
        }
        if self.root_len as usize > PIECE_BYTES_MAX
            || !is_piece(self.root_offset, self.root_len.into())
            || !is_piece(self.statistics_offset, 0)
            || !is_head_place(self.sketches, self.start..offset, self.columns_count as usize)
        {
            return Err("a part of the segment is outside of it");
        }
        Ok(())
    }
}

/// What a schema must have in common with that of a segment's writer: types of the first columns, and the key.
pub(super) fn schema_hash(schema: &Schema<'_>, columns_count: usize) -> u64 {
    let mut state = 0xCBF2_9CE4_8422_2325u64;
    // FNV-1a: short, and only compared with itself.
    let mut mix = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    for column in schema.columns.iter().take(columns_count) {
        type_code(*column).into_iter().for_each(&mut mix);
    }
    for part in schema.key {
        let [low, high] = part.column.to_le_bytes();
        [low, high, u8::from(part.order.descending) | u8::from(part.order.nulls_first) << 1]
            .into_iter()
            .for_each(&mut mix);
    }
    state
}

/// Three bytes for a type. NULLs are not in it: a column may come to take them.
fn type_code(column: ColumnType) -> [u8; 3] {
    type_bytes(column.ty)
}

// ----------------------------------------------------------------------------------------------- group directory

const GROUP_TAG: u8 = b'G';
const GROUP_FIXED_BYTES: usize = 64;
const RANGE_BYTES: usize = 10;
/// What a range's sequences take, where ranges have other ones than their group.
const SEQUENCES_BYTES: usize = 16;
/// The separators of a group may have so many bytes before its last range begins.
pub(super) const SEPARATORS_BYTES_MAX: usize = 16 << 10;

/// A key of the range stands in it more than once, or in the range before as well.
pub(super) const HAS_VERSIONS: u8 = 1;
/// The first key of the range is the last one of the range before.
pub(super) const CONTINUES: u8 = 2;

/// The pages of each range of the group are a bundle.
pub(super) const IS_BUNDLED: u16 = 1;
/// A column of the group has symbols.
pub(super) const HAS_SYMBOLS: u16 = 2;
/// Ranges of the group have other sequences than the group.
pub(super) const HAS_SEQUENCES: u16 = 4;

/// What a group directory says of a page range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct RangeRecord {
    /// Behind its last row, counted in the group.
    pub(super) row_end: u32,
    /// Which of the group's filters has its keys.
    pub(super) filter: u8,
    /// [`HAS_VERSIONS`], [`CONTINUES`].
    pub(super) flags: u8,
    pub(super) tombstones: u16,
    pub(super) sequence_min: u64,
    pub(super) sequence_max: u64,
    /// Where its bundle ends, counted from the group's first one.
    pub(super) bundle_end: u32,
}

/// Whether the page of a system column is left out: what a group directory says of the range says it of each row.
pub(super) fn is_left_out(physical: usize, rows: u32, sequences: (u64, u64), tombstones: u16) -> bool {
    match physical {
        SEQUENCE => sequences.0 == sequences.1,
        KIND => tombstones == 0 || u32::from(tombstones) == rows,
        _ => false,
    }
}

/// The fixed part of a group directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHead {
    pub(super) ranges_count: u16,
    pub(super) filters_count: u8,
    pub(super) rows_count: u32,
    pub(super) first_row: u64,
    pub(super) locations_offset: u64,
    pub(super) columns_per_piece: u16,
    /// [`IS_BUNDLED`], [`HAS_SYMBOLS`].
    pub(super) flags: u16,
    pub(super) separators: SeparatorSizes,
    pub(super) filters_offset: u64,
    /// Where the first bundle is; 0 where there are none.
    pub(super) bundles_offset: u64,
    /// The group's least sequence, and without [`HAS_SEQUENCES`] that of each range.
    pub(super) sequence_min: u64,
    /// The greatest, likewise.
    pub(super) sequence_max: u64,
}

impl GroupHead {
    pub(super) fn write(&self, put: &mut Put<'_>) {
        put.u8(GROUP_TAG)
            .u8(self.filters_count)
            .u16(self.ranges_count)
            .u32(self.rows_count)
            .u64(self.first_row)
            .u64(self.locations_offset)
            .u16(self.columns_per_piece)
            .u16(self.flags)
            .u16(self.separators.prefix)
            .u16(self.separators.rests)
            .u64(self.filters_offset)
            .u64(self.bundles_offset)
            .u64(self.sequence_min)
            .u64(self.sequence_max);
    }

    fn ranges_bytes(&self) -> usize {
        usize::from(self.ranges_count) * RANGE_BYTES
    }

    fn sequences_bytes(&self) -> usize {
        if self.flags & HAS_SEQUENCES == 0 { 0 } else { usize::from(self.ranges_count) * SEQUENCES_BYTES }
    }

    /// Where the ends of the filters stand.
    fn filters_at(&self) -> usize {
        GROUP_FIXED_BYTES + self.ranges_bytes() + self.sequences_bytes()
    }

    /// Where the separators stand.
    fn separators_at(&self) -> usize {
        self.filters_at() + usize::from(self.filters_count) * 2
    }

    /// Bytes of the directory, its checksum not counted.
    pub(super) fn payload_bytes(&self) -> usize {
        self.separators_at() + self.separators.bytes(self.ranges_count.into())
    }
}

impl RangeRecord {
    pub(super) fn write(&self, put: &mut Put<'_>) {
        put.u16((self.row_end - 1) as u16)
            .u8(self.filter)
            .u8(self.flags)
            .u16(self.tombstones)
            .u32(self.bundle_end);
    }

    pub(super) fn write_sequences(&self, put: &mut Put<'_>) {
        put.u64(self.sequence_min).u64(self.sequence_max);
    }
}

/// A view of a group directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupDirectory<'b> {
    bytes: &'b [u8],
    pub(super) head: GroupHead,
    pub(super) separators: Separators<'b>,
}

impl<'b> GroupDirectory<'b> {
    /// The view of a payload that [`GroupDirectory::check`] has accepted.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<GroupDirectory<'b>, Damage> {
        let head = GroupHead {
            filters_count: u8_at(bytes, 1),
            ranges_count: u16_at(bytes, 2),
            rows_count: u32_at(bytes, 4),
            first_row: u64_at(bytes, 8),
            locations_offset: u64_at(bytes, 16),
            columns_per_piece: u16_at(bytes, 24),
            flags: u16_at(bytes, 26),
            separators: SeparatorSizes { prefix: u16_at(bytes, 28), rests: u16_at(bytes, 30) },
            filters_offset: u64_at(bytes, 32),
            bundles_offset: u64_at(bytes, 40),
            sequence_min: u64_at(bytes, 48),
            sequence_max: u64_at(bytes, 56),
        };
        if u8_at(bytes, 0) != GROUP_TAG || head.payload_bytes() != bytes.len() {
            return Err("there is no group directory");
        }
        let separators = bytes.get(head.separators_at()..).unwrap_or(&[]);
        let separators = Separators::parse(separators, head.ranges_count.into(), head.separators)?;
        Ok(GroupDirectory { bytes, head, separators })
    }

    /// Everything that a reader relies on.
    pub(super) fn check(bytes: &'b [u8]) -> Result<(), Damage> {
        let directory = GroupDirectory::parse(bytes)?;
        let head = directory.head;
        if head.ranges_count == 0
            || usize::from(head.ranges_count) > RANGES_MAX
            || head.columns_per_piece == 0
        {
            return Err("a row group has no ranges, or too many");
        }
        directory.separators.check()?;
        let (mut rows, mut bundles) = (0, 0);
        for index in 0..directory.ranges_count() {
            let record = directory.record(index);
            let count = record.row_end.checked_sub(rows).ok_or("the rows of a group are out of order")?;
            if count == 0 || count as usize > crate::page::ROWS_MAX {
                return Err("a range has no rows, or too many");
            }
            if record.filter >= head.filters_count || record.sequence_min > record.sequence_max {
                return Err("a range has no filter, or no sequences");
            }
            if record.sequence_min < head.sequence_min || record.sequence_max > head.sequence_max {
                return Err("a range has other sequences than its group");
            }
            let bundle_len = record.bundle_end.checked_sub(bundles).ok_or("the bundles are out of order")?;
            if bundle_len as usize > BUNDLE_BYTES_MAX || (bundle_len > 0) != (head.flags & IS_BUNDLED != 0) {
                return Err("a range has no bundle, or one that is too long");
            }
            (rows, bundles) = (record.row_end, record.bundle_end);
        }
        if rows != head.rows_count || rows as usize > GROUP_ROWS_MAX {
            return Err("a group has another number of rows than its ranges");
        }
        let mut lines = 0;
        for filter in 0..head.filters_count {
            let end = directory.lines_end(filter);
            if end <= lines || usize::from(end - lines) * LINE_BYTES + CRC_BYTES > PIECE_BYTES_MAX {
                return Err("a filter has no lines, or too many");
            }
            lines = end;
        }
        Ok(())
    }

    pub(super) fn ranges_count(&self) -> usize {
        self.head.ranges_count.into()
    }

    pub(super) fn record(&self, index: usize) -> RangeRecord {
        let at = GROUP_FIXED_BYTES + index * RANGE_BYTES;
        let bytes = self.bytes;
        let (sequence_min, sequence_max) = self.sequences(index);
        RangeRecord {
            row_end: self.row_end(index),
            filter: u8_at(bytes, at + 2),
            flags: u8_at(bytes, at + 3),
            tombstones: u16_at(bytes, at + 4),
            sequence_min,
            sequence_max,
            bundle_end: self.bundle_end(index),
        }
    }

    /// The least and the greatest sequence of a range.
    fn sequences(&self, index: usize) -> (u64, u64) {
        if self.head.flags & HAS_SEQUENCES == 0 {
            return (self.head.sequence_min, self.head.sequence_max);
        }
        let at = GROUP_FIXED_BYTES + self.head.ranges_bytes() + index * SEQUENCES_BYTES;
        (u64_at(self.bytes, at), u64_at(self.bytes, at + 8))
    }

    fn row_end(&self, index: usize) -> u32 {
        u32::from(u16_at(self.bytes, GROUP_FIXED_BYTES + index * RANGE_BYTES)) + 1
    }

    fn bundle_end(&self, index: usize) -> u32 {
        u32_at(self.bytes, GROUP_FIXED_BYTES + index * RANGE_BYTES + 6)
    }

    /// Where the bundle of a range stands in the file, and how many bytes it has; none where pages stand by column.
    pub(super) fn bundle(&self, index: usize) -> (u64, u32) {
        let start = index.checked_sub(1).map_or(0, |before| self.bundle_end(before));
        let offset = self.head.bundles_offset.saturating_add(start.into());
        (offset, self.bundle_end(index).saturating_sub(start))
    }

    pub(super) fn row_start(&self, index: usize) -> u32 {
        index.checked_sub(1).map_or(0, |before| self.row_end(before))
    }

    fn lines_end(&self, filter: u8) -> u16 {
        u16_at(self.bytes, self.head.filters_at() + usize::from(filter) * 2)
    }

    /// Where a filter's piece stands in the file, and how many bytes it has.
    pub(super) fn filter(&self, filter: u8) -> (u64, u32) {
        let start = filter.checked_sub(1).map_or(0, |before| self.lines_end(before));
        let before = u64::from(start) * LINE_BYTES as u64 + u64::from(filter) * CRC_BYTES as u64;
        let lines = self.lines_end(filter).saturating_sub(start);
        (
            self.head.filters_offset.saturating_add(before),
            u32::from(lines) * LINE_BYTES as u32 + CRC_BYTES as u32,
        )
    }

    /// The range in which a row of the group is.
    pub(super) fn find_row(&self, row: u32) -> usize {
        let (mut low, mut high) = (0, self.ranges_count().saturating_sub(1));
        while low < high {
            let middle = low.midpoint(high);
            if self.row_end(middle) <= row { low = middle + 1 } else { high = middle }
        }
        low
    }
}

// ---------------------------------------------------------------------------------------------------- index nodes

const NODE_TAG: u8 = b'I';
const NODE_FIXED_BYTES: usize = 8;
/// Bytes of an entry of a node, its separator not counted.
const ENTRY_BYTES: usize = 20;

/// An entry of an index node: a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// The child's first row in the segment.
    pub(super) first_row: u64,
}

impl Entry {
    pub(super) fn write(&self, put: &mut Put<'_>) {
        put.u64(self.offset).u32(self.len).u64(self.first_row);
    }
}

/// The fixed part of a node.
pub(super) fn write_node_head(put: &mut Put<'_>, level: u8, count: u16, separators: SeparatorSizes) {
    put.u8(NODE_TAG).u8(level).u16(count).u16(separators.prefix).u16(separators.rests);
}

/// Bytes of a node, its checksum not counted.
pub(super) fn node_payload_bytes(count: usize, separators: SeparatorSizes) -> usize {
    NODE_FIXED_BYTES + count * ENTRY_BYTES + separators.bytes(count)
}

/// A view of an index node.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexNode<'b> {
    bytes: &'b [u8],
    count: usize,
    pub(super) separators: Separators<'b>,
}

impl<'b> IndexNode<'b> {
    /// The view of a payload that [`IndexNode::check`] has accepted.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<IndexNode<'b>, Damage> {
        let count = usize::from(u16_at(bytes, 2));
        let sizes = SeparatorSizes { prefix: u16_at(bytes, 4), rests: u16_at(bytes, 6) };
        if u8_at(bytes, 0) != NODE_TAG || node_payload_bytes(count, sizes) != bytes.len() {
            return Err("there is no index node");
        }
        let separators = bytes.get(NODE_FIXED_BYTES + count * ENTRY_BYTES..).unwrap_or(&[]);
        let separators = Separators::parse(separators, count, sizes)?;
        Ok(IndexNode { bytes, count, separators })
    }

    /// Everything that a reader relies on.
    pub(super) fn check(bytes: &'b [u8], level: u16) -> Result<(), Damage> {
        let node = IndexNode::parse(bytes)?;
        if u16::from(u8_at(bytes, 1)) != level || node.count == 0 {
            return Err("there is another index node");
        }
        node.separators.check()?;
        let mut rows = None;
        for index in 0..node.count {
            let entry = node.entry(index);
            if rows.is_some_and(|rows| entry.first_row <= rows) {
                return Err("the entries of an index node are out of order");
            }
            if entry.len as usize > PIECE_BYTES_MAX {
                return Err("an entry of an index node is too long");
            }
            rows = Some(entry.first_row);
        }
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn entry(&self, index: usize) -> Entry {
        let at = NODE_FIXED_BYTES + index * ENTRY_BYTES;
        Entry {
            offset: u64_at(self.bytes, at),
            len: u32_at(self.bytes, at + 8),
            first_row: u64_at(self.bytes, at + 12),
        }
    }

    /// The child in which a versioned key is, or would be.
    pub(super) fn find(&self, target: VersionedKey<'_>) -> Entry {
        self.entry(self.separators.find(target))
    }

    /// The child in which a row is.
    pub(super) fn find_row(&self, row: u64) -> Entry {
        let (mut low, mut high) = (0, self.count);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if self.entry(middle).first_row <= row { low = middle } else { high = middle }
        }
        self.entry(low)
    }
}

// ------------------------------------------------------------------------------------------------------ locations

const LOCATION_FIXED_BYTES: usize = 24;
const LOCATION_PAGE_BYTES: usize = 8;

/// Bytes for one column of a group in a piece of locations.
pub(super) fn location_bytes(ranges_count: usize) -> usize {
    LOCATION_FIXED_BYTES + LOCATION_PAGE_BYTES * ranges_count
}

/// Where the pages of a column of a group are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnLocation<'b> {
    bytes: &'b [u8],
}

/// Where a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageLocation {
    pub(super) offset: u64,
    pub(super) len: u32,
    /// The page's last four bytes.
    pub(super) tail: u32,
}

impl<'b> ColumnLocation<'b> {
    pub(super) fn write_head(put: &mut Put<'_>, data: u64, zones: u64, symbols_len: u32, nulls: u32) {
        put.u64(data).u64(zones).u32(symbols_len).u32(nulls);
    }

    pub(super) fn write_page(put: &mut Put<'_>, end: u32, tail: u32) {
        put.u32(end).u32(tail);
    }

    /// The `index`th column of a piece whose group has so many ranges.
    pub(super) fn of(payload: &'b [u8], index: usize, ranges_count: usize) -> ColumnLocation<'b> {
        let bytes = location_bytes(ranges_count);
        ColumnLocation { bytes: payload.get(index * bytes..(index + 1) * bytes).unwrap_or(&[]) }
    }

    /// A column that was copied out of its piece.
    pub(super) fn whole(bytes: &'b [u8]) -> ColumnLocation<'b> {
        ColumnLocation { bytes }
    }

    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// Behind the column's last page.
    pub(super) fn end_offset(&self) -> u64 {
        let last = self.page(self.pages_count().saturating_sub(1));
        last.offset + u64::from(last.len)
    }

    /// Everything that a reader of a segment of the bytes `start..end` relies on.
    pub(super) fn check(&self, start: u64, end: u64) -> Result<(), Damage> {
        let (data, symbols_len) = (self.data_offset(), u32_at(self.bytes, 16) as usize);
        if data < start || data > end || symbols_len > SYMBOLS_BYTES_MAX {
            return Err("a column is outside of its segment");
        }
        let mut before = 0;
        for index in 0..self.pages_count() {
            let page_end = self.page_end(index);
            let len = page_end.checked_sub(before).ok_or("the pages of a column are out of order")?;
            if len as usize > PAGE_BYTES_MAX {
                return Err("a page is too long");
            }
            before = page_end;
        }
        if u64::from(before) + symbols_len as u64 > end - data {
            return Err("a column is outside of its segment");
        }
        Ok(())
    }

    pub(super) fn pages_count(&self) -> usize {
        self.bytes.len().saturating_sub(LOCATION_FIXED_BYTES) / LOCATION_PAGE_BYTES
    }

    fn data_offset(&self) -> u64 {
        u64_at(self.bytes, 0)
    }

    /// Where the zones of the column's pages are; 0 for a column without.
    pub(super) fn zones_offset(&self) -> u64 {
        u64_at(self.bytes, 8)
    }

    /// Where the column's symbols are, if it has any, and how many bytes.
    pub(super) fn symbols(&self) -> Option<(u64, usize)> {
        let len = u32_at(self.bytes, 16) as usize;
        (len > 0).then(|| (self.data_offset(), len))
    }

    /// How many of the column's rows in this group are NULL.
    pub(super) fn nulls_count(&self) -> u32 {
        u32_at(self.bytes, 20)
    }

    fn page_end(&self, index: usize) -> u32 {
        u32_at(self.bytes, LOCATION_FIXED_BYTES + index * LOCATION_PAGE_BYTES)
    }

    pub(super) fn page(&self, index: usize) -> PageLocation {
        let start = index.checked_sub(1).map_or(0, |before| self.page_end(before));
        let pages = self.data_offset() + u64::from(u32_at(self.bytes, 16));
        PageLocation {
            offset: pages + u64::from(start),
            len: self.page_end(index).saturating_sub(start),
            tail: u32_at(self.bytes, LOCATION_FIXED_BYTES + index * LOCATION_PAGE_BYTES + 4),
        }
    }
}

// ------------------------------------------------------------------------------------------------------- bundles

/// Bytes that say where a page of a bundle ends.
const BUNDLE_END_BYTES: usize = 4;

/// The pages of a range of a bundled group, behind where each of them ends: a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bundle<'b> {
    bytes: &'b [u8],
    columns_count: usize,
}

impl<'b> Bundle<'b> {
    /// Bytes of what stands before the pages.
    pub(super) const fn table_bytes(columns_count: usize) -> usize {
        columns_count * BUNDLE_END_BYTES
    }

    /// Bytes of a bundle whose pages have so many.
    pub(super) const fn bytes(columns_count: usize, pages_bytes: usize) -> usize {
        Bundle::table_bytes(columns_count) + CRC_BYTES + pages_bytes
    }

    /// The bundle in the bytes of so many columns.
    pub(super) fn of(bytes: &'b [u8], columns_count: usize) -> Bundle<'b> {
        Bundle { bytes, columns_count }
    }

    /// Writes where the next page ends, counted from the bundle's first one.
    pub(super) fn write_end(put: &mut Put<'_>, end: u32) {
        put.u32(end);
    }

    /// Where a page stands in the bundle.
    #[inline]
    pub(super) fn place(&self, column: usize) -> core::ops::Range<usize> {
        let end = |column: usize| u32_at(self.bytes, column * BUNDLE_END_BYTES) as usize;
        let pages = Bundle::table_bytes(self.columns_count);
        pages + column.checked_sub(1).map_or(0, end)..pages + end(column)
    }

    /// A page; no bytes where the table does not say so of the bundle's.
    #[inline]
    pub(super) fn page(&self, column: usize) -> &'b [u8] {
        self.bytes.get(self.place(column)).unwrap_or(&[])
    }

    /// Whether the bundle at `offset` has pages one behind the other, the checksum of all of them, and nothing but zeros behind it. What
    /// the pages say is not looked at.
    pub(super) fn check(&self, salt: u64, offset: u64) -> Result<(), Damage> {
        let mut end = Bundle::table_bytes(self.columns_count);
        for column in 0..self.columns_count {
            let place = self.place(column);
            if place.start != end || place.end < end {
                return Err("the pages of a bundle are out of order");
            }
            end = place.end;
        }
        let split = self.bytes.split_at_checked(end.saturating_add(CRC_BYTES));
        let (piece, behind) = split.ok_or("a bundle has fewer bytes than its pages")?;
        checked(salt, offset, piece)?;
        match behind.len() < BLOCK_BYTES && behind.iter().fold(0, |all, byte| all | byte) == 0 {
            true => Ok(()),
            false => Err("a bundle has other bytes than its pages"),
        }
    }
}

/// The last four bytes of a page, which its location repeats: a page that belongs elsewhere has others.
pub(super) fn tail_of(page: &[u8]) -> u32 {
    page.last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail))
}

const _: () = assert!(KEY_BYTES_MAX * 2 + 4096 < u16::MAX as usize);
const _: () = assert!(SEPARATORS_BYTES_MAX + KEY_BYTES_MAX + 8 <= u16::MAX as usize);
const _: () = assert!(GROUP_ROWS_MAX <= 1 << 16);

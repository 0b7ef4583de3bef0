//! What an edit is made of, and its bytes.
//!
//! An item never exceeds 4 KiB, so that it lies in one frame and is read where it is: a table comes as its head, its
//! columns and its key one after the other, properties in pieces. [`Grammar`] holds both writer and reader to that order.

use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

use crate::directory::{FILE_NUMBER_MAX, FIRST_FILE};
use crate::log::bytes::{Decoder, Encoder};
use crate::log::frame::{FRAME_HEADER_BYTES, OFFSET_MAX, SEQUENCE_MAX, TRAILER_BYTES};
use crate::log::writer::BUFFER_BYTES_MIN;
use crate::schema::{COLUMNS_MAX, ColumnType, KeyColumn, TableId};

/// The most bytes of the name of a table or column.
pub const NAME_BYTES_MAX: usize = 1 << 10;
/// The most bytes of the properties of a table.
pub const PROPERTIES_BYTES_MAX: usize = 1 << 20;
/// The most bytes of properties in one item.
pub(crate) const PROPERTIES_PIECE_BYTES: usize = 2 << 10;
/// The most bytes of an item.
pub(crate) const ITEM_BYTES_MAX: usize = 4 << 10;
/// The most bytes of a bound of keys.
pub const KEY_BOUND_BYTES_MAX: usize = 64;
/// The most levels.
pub const LEVELS_MAX: u8 = 64;

/// The properties of no table: those of the database.
pub const DATABASE: TableId = TableId(0);

/// Where a database stands. Each edit begins with this; none of it ever goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// No file has this number or a greater one. Files that are made without an edit may have lost their note:
    /// see `Directory::greatest_number`.
    pub next_file: u64,
    /// No table has this number or a greater one.
    pub next_table: u32,
    /// The last sequence that is in segments.
    pub last_sequence: u64,
    /// The oldest log whose entries are not all in segments. It exists when an edit names it; 0 where there is none.
    pub oldest_wal: u64,
}

impl Counters {
    /// Those of a database that has just been made.
    pub(crate) const FIRST: Counters =
        Counters { next_file: FIRST_FILE, next_table: 1, last_sequence: 0, oldest_wal: 0 };

    /// Whether there are numbers left.
    fn is_sound(&self) -> bool {
        self.next_file < FILE_NUMBER_MAX
            && self.next_table < u32::MAX
            && self.last_sequence < SEQUENCE_MAX
            && self.oldest_wal < FILE_NUMBER_MAX
    }

    /// Whether nothing has gone back since `before`.
    pub(crate) fn follows(&self, before: &Counters) -> bool {
        self.next_file >= before.next_file
            && self.next_table >= before.next_table
            && self.last_sequence >= before.last_sequence
            && self.oldest_wal >= before.oldest_wal
    }
}

/// The head of a new table. Its columns and then its key follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'i> {
    /// The table.
    pub id: TableId,
    /// The table that this is an index of.
    pub parent: Option<TableId>,
    /// Whether its key is unique beyond what makes rows of an index differ: a unique index, a primary key.
    pub is_unique: bool,
    /// How many columns follow.
    pub columns_count: u16,
    /// Of how many columns its key is.
    pub key_count: u16,
    /// Its name.
    pub name: &'i str,
}

/// A column of the table before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'i> {
    /// Its type.
    pub ty: ColumnType,
    /// Its name.
    pub name: &'i str,
}

/// Opaque bytes that belong to a table, or a piece of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'i> {
    /// The table, or [`DATABASE`].
    pub table: TableId,
    /// Whether these bytes take the place of those before; otherwise they follow them.
    pub is_first: bool,
    /// The bytes.
    pub bytes: &'i [u8],
}

/// Where a segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId {
    /// The number of its file.
    pub file: u64,
    /// Where in the file its footer begins.
    pub footer_offset: u64,
}

/// A segment, as its table's levels know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The table.
    pub table: TableId,
    /// Where it is.
    pub id: SegmentId,
    /// The bytes of its footer.
    pub footer_bytes: u32,
    /// Its level.
    pub level: u8,
    /// The run that it belongs to, counted from 1, where it came from a transaction larger than memory.
    pub run: Option<u64>,
    /// Rows, tombstones included.
    pub rows_count: u64,
    /// Rows that are tombstones.
    pub tombstones_count: u64,
    /// Its bytes in the file.
    pub bytes: u64,
    /// What is added to the sequences that it stores.
    pub sequence_base: u64,
    /// The smallest sequence of a row.
    pub sequence_min: u64,
    /// The greatest sequence of a row.
    pub sequence_max: u64,
    /// At most its smallest key.
    pub smallest: KeyBound,
    /// At least its greatest key.
    pub largest: KeyBound,
}

/// A bound of encoded keys: a key, or at most 64 bytes below or above it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyBound {
    bytes: [u8; KEY_BOUND_BYTES_MAX],
    len: u8,
    is_exact: bool,
}

impl KeyBound {
    /// The greatest bound that is not above `key`: its first bytes.
    pub fn lower(key: &[u8]) -> KeyBound {
        let len = key.len().min(KEY_BOUND_BYTES_MAX);
        let mut bytes = [0; KEY_BOUND_BYTES_MAX];
        bytes[..len].copy_from_slice(&key[..len]);
        KeyBound { bytes, len: len as u8, is_exact: len == key.len() }
    }

    /// A bound that is not below `key`: the key, or what comes next after its first bytes.
    pub fn upper(key: &[u8]) -> KeyBound {
        let mut bound = KeyBound::lower(key);
        while !bound.is_exact && bound.len > 0 {
            let last = &mut bound.bytes[usize::from(bound.len) - 1];
            if *last < 0xff {
                *last += 1;
                break;
            }
            *last = 0;
            bound.len -= 1;
        }
        bound
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Whether the bound is the key itself.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Whether the bound says nothing: no key is above it as an upper bound.
    pub fn is_unbounded(&self) -> bool {
        self.len == 0 && !self.is_exact
    }

    fn encode(&self, encoder: &mut Encoder<FIXED_BYTES_MAX>) {
        encoder.byte(self.len | u8::from(self.is_exact) << 7);
        encoder.put(self.as_bytes());
    }

    fn decode(decoder: &mut Decoder<'_>) -> Option<KeyBound> {
        let head = decoder.byte()?;
        let len = usize::from(head & 0x7f);
        let taken = decoder.take(len).filter(|_| len <= KEY_BOUND_BYTES_MAX)?;
        Some(KeyBound { is_exact: head & 0x80 != 0, ..KeyBound::lower(taken) })
    }
}

impl core::fmt::Debug for KeyBound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mark = if self.is_exact { "" } else { "~" };
        write!(f, "{mark}{:02x?}", self.as_bytes())
    }
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'i> {
    /// Where the database stands: the first item of each edit, and nowhere else.
    Counters(Counters),
    /// A new table. Its columns follow, then its key.
    Table(Table<'i>),
    /// A column of the table before it.
    Column(Column<'i>),
    /// A column of the key of the table before it, most significant first.
    KeyColumn(KeyColumn),
    /// Properties of a table.
    Properties(Properties<'i>),
    /// The table is gone, with its segments.
    DropTable(TableId),
    /// A segment is there.
    AddSegment(Segment),
    /// A segment is gone.
    RemoveSegment {
        /// The table.
        table: TableId,
        /// The segment.
        id: SegmentId,
    },
}

/// The most bytes of an item's body but for its name or properties.
const FIXED_BYTES_MAX: usize = 320;

const COUNTERS: u8 = 1;
const TABLE: u8 = 2;
const COLUMN: u8 = 3;
const KEY_COLUMN: u8 = 4;
const PROPERTIES: u8 = 5;
const DROP_TABLE: u8 = 6;
const ADD_SEGMENT: u8 = 7;
const REMOVE_SEGMENT: u8 = 8;

/// The bytes of an item before its body: kind and length.
pub(crate) const ITEM_HEADER_BYTES: usize = 3;

const _: () = {
    let longest =
        if NAME_BYTES_MAX > PROPERTIES_PIECE_BYTES { NAME_BYTES_MAX } else { PROPERTIES_PIECE_BYTES };
    assert!(ITEM_HEADER_BYTES + FIXED_BYTES_MAX + longest <= ITEM_BYTES_MAX);
    // Every writer's frames hold an item, and every reader's.
    assert!(ITEM_BYTES_MAX <= BUFFER_BYTES_MIN - FRAME_HEADER_BYTES - TRAILER_BYTES);
};

/// An item's bytes: kind, length and fixed part, and the name or properties behind them.
pub(crate) struct Encoded<'i> {
    fixed: Encoder<{ ITEM_HEADER_BYTES + FIXED_BYTES_MAX }>,
    pub(crate) tail: &'i [u8],
}

impl Encoded<'_> {
    pub(crate) fn head(&self) -> &[u8] {
        self.fixed.as_slice()
    }

    pub(crate) fn bytes_count(&self) -> usize {
        self.head().len() + self.tail.len()
    }
}

impl<'i> Item<'i> {
    /// The item's bytes. What does not fit its bounds is refused by [`Grammar`] before.
    pub(crate) fn encode(&self) -> Encoded<'i> {
        let mut body = Encoder::<FIXED_BYTES_MAX>::new();
        let (kind, tail) = self.encode_body(&mut body);
        let length = body.as_slice().len() + tail.len();
        let mut fixed = Encoder::new();
        fixed.byte(kind);
        fixed.put(&(length as u16).to_le_bytes());
        fixed.put(body.as_slice());
        Encoded { fixed, tail }
    }

    fn encode_body(&self, body: &mut Encoder<FIXED_BYTES_MAX>) -> (u8, &'i [u8]) {
        match *self {
            Item::Counters(counters) => {
                for number in [
                    counters.next_file,
                    counters.next_table.into(),
                    counters.last_sequence,
                    counters.oldest_wal,
                ] {
                    body.varint(number);
                }
                (COUNTERS, &[])
            }
            Item::Table(table) => {
                body.varint(table.id.0.into());
                body.varint(table.parent.map_or(0, |parent| parent.0.into()));
                body.byte(table.is_unique.into());
                body.varint(table.columns_count.into());
                body.varint(table.key_count.into());
                (TABLE, table.name.as_bytes())
            }
            Item::Column(column) => {
                body.put(&type_bytes(column.ty.ty));
                body.byte(column.ty.is_nullable.into());
                (COLUMN, column.name.as_bytes())
            }
            Item::KeyColumn(key) => {
                body.varint(key.column.into());
                body.byte(u8::from(key.order.descending) | u8::from(key.order.nulls_first) << 1);
                (KEY_COLUMN, &[])
            }
            Item::Properties(properties) => {
                body.varint(properties.table.0.into());
                body.byte(properties.is_first.into());
                (PROPERTIES, properties.bytes)
            }
            Item::DropTable(table) => {
                body.varint(table.0.into());
                (DROP_TABLE, &[])
            }
            Item::AddSegment(segment) => {
                segment.encode(body);
                (ADD_SEGMENT, &[])
            }
            Item::RemoveSegment { table, id } => {
                for number in [table.0.into(), id.file, id.footer_offset] {
                    body.varint(number);
                }
                (REMOVE_SEGMENT, &[])
            }
        }
    }

    /// The item at the start of `bytes`, and how many bytes it took.
    pub(crate) fn decode(bytes: &'i [u8]) -> Result<(Item<'i>, usize), &'static str> {
        let mut decoder = Decoder::new(bytes);
        let (kind, length) = decoder.byte().zip(decoder.array()).ok_or("an item is cut off")?;
        let length = usize::from(u16::from_le_bytes(length));
        let body = decoder.take(length).ok_or("an item is cut off")?;
        let mut fields = Decoder::new(body);
        let item = Item::decode_body(kind, &mut fields)?;
        if !fields.is_empty() {
            return Err("an item is longer than its fields");
        }
        Ok((item, ITEM_HEADER_BYTES + length))
    }

    fn decode_body(kind: u8, fields: &mut Decoder<'i>) -> Result<Item<'i>, &'static str> {
        match kind {
            COUNTERS => decode_counters(fields).ok_or("no counters"),
            TABLE => decode_table(fields).ok_or("no table"),
            COLUMN => decode_column(fields),
            KEY_COLUMN => decode_key_column(fields).ok_or("no column of a key"),
            PROPERTIES => decode_properties(fields).ok_or("no properties"),
            DROP_TABLE => fields.number().map(|id| Item::DropTable(TableId(id))).ok_or("no table"),
            ADD_SEGMENT => Segment::decode(fields).map(Item::AddSegment).ok_or("no segment"),
            REMOVE_SEGMENT => decode_remove_segment(fields).ok_or("no segment"),
            _ => Err("an item of an unknown kind"),
        }
    }
}

fn decode_counters<'i>(fields: &mut Decoder<'_>) -> Option<Item<'i>> {
    Some(Item::Counters(Counters {
        next_file: fields.varint()?,
        next_table: fields.number()?,
        last_sequence: fields.varint()?,
        oldest_wal: fields.varint()?,
    }))
}

/// The rest of a body, which is a name.
fn decode_name<'i>(fields: &mut Decoder<'i>) -> Option<&'i str> {
    let name = fields.take(fields.rest().len())?;
    core::str::from_utf8(name).ok()
}

fn decode_table<'i>(fields: &mut Decoder<'i>) -> Option<Item<'i>> {
    Some(Item::Table(Table {
        id: TableId(fields.number()?),
        parent: Some(TableId(fields.number()?)).filter(|parent| parent.0 != 0),
        is_unique: fields.flag()?,
        columns_count: fields.number()?,
        key_count: fields.number()?,
        name: decode_name(fields)?,
    }))
}

fn decode_column<'i>(fields: &mut Decoder<'i>) -> Result<Item<'i>, &'static str> {
    let ty = type_of(fields.array().ok_or("no column")?)?;
    let is_nullable = fields.flag().ok_or("no column")?;
    let name = decode_name(fields).ok_or("no column")?;
    Ok(Item::Column(Column { ty: ColumnType { ty, is_nullable }, name }))
}

fn decode_key_column<'i>(fields: &mut Decoder<'_>) -> Option<Item<'i>> {
    let (column, flags) = (fields.number()?, fields.byte()?);
    let order = KeyOrder { descending: flags & 1 != 0, nulls_first: flags & 2 != 0 };
    (flags < 4).then_some(Item::KeyColumn(KeyColumn { column, order }))
}

fn decode_properties<'i>(fields: &mut Decoder<'i>) -> Option<Item<'i>> {
    let (table, is_first) = (TableId(fields.number()?), fields.flag()?);
    Some(Item::Properties(Properties { table, is_first, bytes: fields.take(fields.rest().len())? }))
}

fn decode_remove_segment<'i>(fields: &mut Decoder<'_>) -> Option<Item<'i>> {
    let table = TableId(fields.number()?);
    Some(Item::RemoveSegment {
        table,
        id: SegmentId { file: fields.varint()?, footer_offset: fields.varint()? },
    })
}

impl Segment {
    fn encode(&self, body: &mut Encoder<FIXED_BYTES_MAX>) {
        body.byte(self.level);
        for number in [
            self.table.0.into(),
            self.id.file,
            self.id.footer_offset,
            self.footer_bytes.into(),
            self.run.unwrap_or(0),
            self.rows_count,
            self.tombstones_count,
            self.bytes,
            self.sequence_base,
            self.sequence_min,
            self.sequence_max,
        ] {
            body.varint(number);
        }
        self.smallest.encode(body);
        self.largest.encode(body);
    }

    fn decode(fields: &mut Decoder<'_>) -> Option<Segment> {
        let level = fields.byte()?;
        Some(Segment {
            level,
            table: TableId(fields.number()?),
            id: SegmentId { file: fields.varint()?, footer_offset: fields.varint()? },
            footer_bytes: fields.number()?,
            run: Some(fields.varint()?).filter(|run| *run != 0),
            rows_count: fields.varint()?,
            tombstones_count: fields.varint()?,
            bytes: fields.varint()?,
            sequence_base: fields.varint()?,
            sequence_min: fields.varint()?,
            sequence_max: fields.varint()?,
            smallest: KeyBound::decode(fields)?,
            largest: KeyBound::decode(fields)?,
        })
    }

    fn is_sound(&self) -> bool {
        let has_order = self.smallest.as_bytes() <= self.largest.as_bytes() || self.largest.is_unbounded();
        self.table != DATABASE
            && self.level < LEVELS_MAX
            && self.run != Some(0)
            && (1..OFFSET_MAX).contains(&self.rows_count)
            && self.tombstones_count <= self.rows_count
            && self.bytes < OFFSET_MAX
            && self.id.file < FILE_NUMBER_MAX
            && self.id.footer_offset < OFFSET_MAX
            && self.sequence_base <= self.sequence_min
            && self.sequence_min <= self.sequence_max
            && self.sequence_max < SEQUENCE_MAX
            && has_order
    }
}

/// The bit of arrays in the number of a type.
const ARRAY: u8 = 0x80;

/// The number of a type in files, with its parameters. Numbers are never used for anything else.
///
/// 8 was the interval without microseconds, 14 is kept for time with time zone; a number with its upper bit set is an array
/// of the type without it.
pub(crate) fn type_bytes(ty: Type) -> [u8; 3] {
    match ty {
        Type::Unknown => [0, 0, 0],
        Type::Boolean => [1, 0, 0],
        Type::Integer => [2, 0, 0],
        Type::BigInt => [3, 0, 0],
        Type::Decimal { precision, scale } => [4, precision, scale],
        Type::Double => [5, 0, 0],
        Type::Text => [6, 0, 0],
        Type::Date => [7, 0, 0],
        Type::SmallInt => [9, 0, 0],
        Type::Real => [10, 0, 0],
        Type::Timestamp => [11, 0, 0],
        Type::TimestampTz => [12, 0, 0],
        Type::Time => [13, 0, 0],
        Type::Uuid => [15, 0, 0],
        Type::Bytea => [16, 0, 0],
        Type::Json => [17, 0, 0],
        Type::Jsonb => [18, 0, 0],
        Type::Char => [19, 0, 0],
        Type::Numeric => [20, 0, 0],
        Type::Interval => [21, 0, 0],
        Type::Array(element) => {
            // Elements are no arrays.
            let [code, precision, scale] = scalar_bytes(element.ty());
            [ARRAY + code, precision, scale]
        }
    }
}

/// As [`type_bytes`], of what is no array.
fn scalar_bytes(ty: Type) -> [u8; 3] {
    if matches!(ty, Type::Array(_)) { [0; 3] } else { type_bytes(ty) }
}

fn type_of(bytes: [u8; 3]) -> Result<Type, &'static str> {
    const UNKNOWN: &str = "a type that this version does not know";
    let [code, precision, scale] = bytes;
    if code > ARRAY {
        let element = scalar_of([code - ARRAY, precision, scale]);
        return element.and_then(Type::array).ok_or(UNKNOWN);
    }
    scalar_of(bytes).ok_or(UNKNOWN)
}

/// Which type bytes say, of those that are no array.
fn scalar_of(bytes: [u8; 3]) -> Option<Type> {
    Some(match bytes {
        [1, 0, 0] => Type::Boolean,
        [2, 0, 0] => Type::Integer,
        [3, 0, 0] => Type::BigInt,
        [4, precision @ 1..=38, scale] if scale <= precision => Type::Decimal { precision, scale },
        [5, 0, 0] => Type::Double,
        [6, 0, 0] => Type::Text,
        [7, 0, 0] => Type::Date,
        [9, 0, 0] => Type::SmallInt,
        [10, 0, 0] => Type::Real,
        [11, 0, 0] => Type::Timestamp,
        [12, 0, 0] => Type::TimestampTz,
        [13, 0, 0] => Type::Time,
        [15, 0, 0] => Type::Uuid,
        [16, 0, 0] => Type::Bytea,
        [17, 0, 0] => Type::Json,
        [18, 0, 0] => Type::Jsonb,
        [19, 0, 0] => Type::Char,
        [20, 0, 0] => Type::Numeric,
        [21, 0, 0] => Type::Interval,
        _ => return None,
    })
}

/// What may come next in an edit.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Counters,
    Any,
    /// Columns of a new table, then its key.
    Columns {
        left: u16,
        columns_count: u16,
        key_count: u16,
    },
    Key {
        left: u16,
        columns_count: u16,
    },
}

/// The order of items in an edit, and their bounds.
#[derive(Clone, Debug)]
pub(crate) struct Grammar {
    expected: Expected,
    /// The columns of the key so far, a bit each.
    key_columns: [u64; COLUMNS_MAX.div_ceil(64)],
    /// The table whose properties came last, and how many bytes of them.
    properties: Option<(TableId, usize)>,
}

impl Grammar {
    pub(crate) fn new() -> Grammar {
        Grammar { expected: Expected::Counters, key_columns: [0; COLUMNS_MAX.div_ceil(64)], properties: None }
    }

    /// Whether the edit may end.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.expected, Expected::Any)
    }

    /// Takes the next item.
    pub(crate) fn accept(&mut self, item: &Item<'_>) -> Result<(), &'static str> {
        let properties = self.properties.take();
        self.expected = match (self.expected, item) {
            (Expected::Counters, Item::Counters(counters)) => {
                if !counters.is_sound() {
                    return Err("counters beyond the last number there is");
                }
                Expected::Any
            }
            (Expected::Any, Item::Table(table)) => {
                accept_table(table)?;
                let Table { columns_count, key_count, .. } = *table;
                Expected::Columns { left: columns_count, columns_count, key_count }
            }
            (Expected::Columns { left, columns_count, key_count }, Item::Column(column)) => {
                if column.name.len() > NAME_BYTES_MAX || column.ty.ty == Type::Unknown {
                    return Err("a column without a type, or with a name that is too long");
                }
                self.key_columns.fill(0);
                match left {
                    2.. => Expected::Columns { left: left - 1, columns_count, key_count },
                    _ => Expected::Key { left: key_count, columns_count },
                }
            }
            (Expected::Key { left, columns_count }, Item::KeyColumn(key)) => {
                self.accept_key(key, columns_count)?;
                if left > 1 { Expected::Key { left: left - 1, columns_count } } else { Expected::Any }
            }
            (Expected::Any, Item::Properties(item)) => {
                self.properties = Some((item.table, accept_properties(item, properties)?));
                Expected::Any
            }
            (Expected::Any, Item::DropTable(table) | Item::RemoveSegment { table, .. }) => match *table {
                DATABASE => return Err("a change of no table"),
                _ => Expected::Any,
            },
            (Expected::Any, Item::AddSegment(segment)) if segment.is_sound() => Expected::Any,
            (Expected::Any, Item::AddSegment(_)) => return Err("a segment that cannot be"),
            _ => return Err("an item where another one is expected"),
        };
        Ok(())
    }

    fn accept_key(&mut self, key: &KeyColumn, columns_count: u16) -> Result<(), &'static str> {
        let bit = 1 << (key.column % 64);
        match self.key_columns.get_mut(usize::from(key.column / 64)) {
            Some(word) if key.column < columns_count && *word & bit == 0 => *word |= bit,
            _ => return Err("a key of a column that is not there, or twice of one"),
        }
        Ok(())
    }
}

fn accept_table(table: &Table<'_>) -> Result<(), &'static str> {
    let counts = (1..=COLUMNS_MAX as u16).contains(&table.columns_count)
        && (1..=table.columns_count).contains(&table.key_count);
    let parent = table.parent != Some(DATABASE) && table.parent != Some(table.id);
    let is_sound = counts && parent && table.id != DATABASE && table.name.len() <= NAME_BYTES_MAX;
    if is_sound { Ok(()) } else { Err("a table that cannot be") }
}

/// The bytes of the properties so far.
fn accept_properties(item: &Properties<'_>, before: Option<(TableId, usize)>) -> Result<usize, &'static str> {
    let before_bytes = match before {
        _ if item.is_first => 0,
        Some((table, bytes)) if table == item.table => bytes,
        _ => return Err("properties without their beginning"),
    };
    let bytes = before_bytes + item.bytes.len();
    let is_sound = item.bytes.len() <= PROPERTIES_PIECE_BYTES && bytes <= PROPERTIES_BYTES_MAX;
    if is_sound { Ok(bytes) } else { Err("properties that are too long") }
}

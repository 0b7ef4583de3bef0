//! What a table looks like to the store: typed columns, and the key that its rows are sorted by.
//!
//! An index is a table of its own whose key is all of its columns, so everything below knows only sorted tables.

use cofferdam_types::Type;
use cofferdam_types::column::Kind;
use cofferdam_types::key::{KeyOrder, decoded_bytes_max};

/// A table or an index; numbers are never used twice in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// The most columns of a table.
pub const COLUMNS_MAX: usize = 1600;
/// The most bytes of an encoded key.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// The most bytes of a value that is decoded from a key.
pub(crate) const DECODED_KEY_BYTES_MAX: usize = decoded_bytes_max(KEY_BYTES_MAX);
/// The most bytes of one value.
pub const VALUE_BYTES_MAX: usize = 1 << 30;

/// A column, as far as files know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// The type of its values.
    pub ty: Type,
    /// True where NULL is a value.
    pub is_nullable: bool,
}

impl ColumnType {
    /// How its values are held in memory.
    pub fn kind(self) -> Kind {
        Kind::of(self.ty)
    }
}

/// A column of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// The column, from 0.
    pub column: u16,
    /// Its direction, and where its NULLs are.
    pub order: KeyOrder,
}

impl KeyColumn {
    /// A column in ascending order, with NULLs last.
    pub const fn ascending(column: u16) -> KeyColumn {
        KeyColumn { column, order: KeyOrder::ASC }
    }
}

/// The shape of a table: what a segment is written and read by.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'s> {
    /// The columns.
    pub columns: &'s [ColumnType],
    /// The key, most significant column first; never empty.
    pub key: &'s [KeyColumn],
}

impl Schema<'_> {
    /// How keys of the table are compared by their first bytes.
    pub(crate) fn key_shape(&self) -> KeyShape {
        let first = self.key.first().and_then(|part| self.columns.get(usize::from(part.column)));
        let Some(first) = first else { return KeyShape { skip: 0, is_exact: false } };
        // The header of a column without NULLs is the same for every key.
        let payload_bytes = match first.kind() {
            Kind::Bool => 1,
            Kind::I32 if first.ty == Type::SmallInt => 2,
            Kind::I32 => 4,
            Kind::F64 if first.ty == Type::Real => 4,
            Kind::I64 | Kind::F64 if !matches!(first.ty, Type::Decimal { .. }) => 8,
            _ => usize::MAX,
        };
        let is_exact = self.key.len() == 1 && !first.is_nullable && payload_bytes <= 8;
        KeyShape { skip: u8::from(!first.is_nullable), is_exact }
    }
}

/// How much of two keys of a table its first eight bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyShape {
    /// Bytes at the start that all keys share.
    pub(crate) skip: u8,
    /// True where keys with the same prefix are the same.
    pub(crate) is_exact: bool,
}

impl KeyShape {
    /// Eight bytes of a key as a number: smaller for smaller keys, and where it is equal nothing is known, unless the
    /// shape is exact.
    #[inline]
    pub(crate) fn prefix(self, key: &[u8]) -> u64 {
        let rest = key.get(usize::from(self.skip)..).unwrap_or(&[]);
        match rest.first_chunk::<8>() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => {
                let mut bytes = [0; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(bytes)
            }
        }
    }
}

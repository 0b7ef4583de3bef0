//! What a table looks like to the store: typed columns, and the key that its rows are sorted by.
//!
//! An index is a table of its own whose key is all of its columns, so everything below knows only sorted tables.

use cofferdam_types::Type;
use cofferdam_types::column::Kind;
use cofferdam_types::key::KeyOrder;

/// A table or an index; numbers are never used twice in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u32);

/// The most columns of a table.
pub const COLUMNS_MAX: usize = 1600;
/// The most bytes of an encoded key.
pub const KEY_BYTES_MAX: usize = 8 << 10;
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

/// The shape of a table: what a segment is written and read by.
#[derive(Clone, Copy, Debug)]
pub struct Schema<'s> {
    /// The columns.
    pub columns: &'s [ColumnType],
    /// The key, most significant column first; never empty.
    pub key: &'s [KeyColumn],
}

//! Values to the bytes that tables are sorted by and rows are kept as.

use core::ops::Bound;

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, append};
use cofferdam_types::key::{self, KeyOrder};
use cofferdam_types::{Value, row};

use crate::error::{Error, InputKind, InputProblem};
use crate::schema::{KEY_BYTES_MAX, KeyColumn, Schema, TableId};

/// Bytes that are used again and again.
pub(crate) type Bytes = Vec<u8, BudgetAlloc>;

/// What the bytes of a key are appended to.
pub(crate) trait Target {
    /// Forgets them.
    fn clear(&mut self);
    /// How many there are.
    fn bytes_count(&self) -> usize;
    /// Appends, or says that there is no room.
    fn put(&mut self, more: &[u8]) -> Result<(), AllocError>;
}

impl Target for Bytes {
    fn clear(&mut self) {
        self.truncate(0);
    }

    fn bytes_count(&self) -> usize {
        self.len()
    }

    fn put(&mut self, more: &[u8]) -> Result<(), AllocError> {
        append(self, more)
    }
}

impl Target for cofferdam_arena::collections::Vec<'_, u8> {
    fn clear(&mut self) {
        self.truncate(0);
    }

    fn bytes_count(&self) -> usize {
        self.len()
    }

    fn put(&mut self, more: &[u8]) -> Result<(), AllocError> {
        self.extend_from_slice(more)
    }
}

/// Appends, or says that there is no room.
pub(crate) fn put(bytes: &mut Bytes, more: &[u8]) -> Result<(), AllocError> {
    append(bytes, more)
}

/// Appends the key of a row.
///
/// # Errors
/// [`InputKind::KeyTooLong`], or the budget refuses.
pub(crate) fn put_key(
    table: TableId,
    schema: &Schema<'_>,
    values: &[Value<'_>],
    into: &mut Bytes,
) -> Result<(), Error> {
    let start = into.len();
    for part in schema.key {
        let value = values.get(usize::from(part.column)).copied().unwrap_or(Value::Null);
        // Blanks at an end are not in the key, but in the value, which must fit into a page.
        check_length(table, value.heap_bytes().map_or(0, <[u8]>::len))?;
        put_part(value, part.order, into)?;
    }
    check_length(table, into.len() - start)
}

/// Appends the encodings of values for the first columns of a key.
pub(crate) fn put_prefix(
    table: TableId,
    parts: &[KeyColumn],
    values: &[Value<'_>],
    into: &mut impl Target,
) -> Result<(), Error> {
    let start = into.bytes_count();
    for (part, value) in parts.iter().zip(values) {
        put_part(*value, part.order, into)?;
    }
    check_length(table, into.bytes_count() - start)
}

fn put_part(value: Value<'_>, order: KeyOrder, into: &mut impl Target) -> Result<(), AllocError> {
    key::encode_key(value, order, &mut |bytes: &[u8]| into.put(bytes))
}

fn check_length(table: TableId, bytes: usize) -> Result<(), Error> {
    match bytes <= KEY_BYTES_MAX {
        true => Ok(()),
        false => Err(Error::Input(InputProblem { table, column: None, kind: InputKind::KeyTooLong })),
    }
}

/// Appends a row: every column's encoding.
pub(crate) fn put_row(values: &[Value<'_>], into: &mut Bytes) -> Result<(), AllocError> {
    for value in values {
        row::encode_row(*value, &mut |bytes: &[u8]| put(into, bytes))?;
    }
    Ok(())
}

/// Which keys a scan reads: values for the first columns of the key on both sides, in the order of the key.
///
/// `from: Included(&[5])` begins with the first key whose first column is 5, `Excluded(&[5])` behind the last such key.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'v> {
    /// Where it begins.
    pub from: Bound<&'v [Value<'v>]>,
    /// Where it ends.
    pub to: Bound<&'v [Value<'v>]>,
}

impl<'v> KeyRange<'v> {
    /// Every key.
    pub const ALL: KeyRange<'static> = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };

    /// The keys that begin with these values.
    pub fn prefix(values: &'v [Value<'v>]) -> KeyRange<'v> {
        KeyRange { from: Bound::Included(values), to: Bound::Included(values) }
    }
}

/// A range of encoded keys: `from` is its first key or before it, `to` is behind its last; `None` for no end.
#[derive(Debug)]
pub(crate) struct EncodedRange {
    pub(crate) from: Bytes,
    pub(crate) to: Option<Bytes>,
}

impl EncodedRange {
    pub(crate) fn new(
        table: TableId,
        schema: &Schema<'_>,
        range: &KeyRange<'_>,
        alloc: &BudgetAlloc,
    ) -> Result<EncodedRange, Error> {
        let mut encoded = EncodedRange { from: Vec::new_in(alloc.clone()), to: None };
        encoded.set(table, schema, range)?;
        Ok(encoded)
    }

    /// Becomes another range; its buffers are used again.
    pub(crate) fn set(
        &mut self,
        table: TableId,
        schema: &Schema<'_>,
        range: &KeyRange<'_>,
    ) -> Result<(), Error> {
        let encode = |values: &[Value<'_>], mut bytes: Bytes| -> Result<Bytes, Error> {
            bytes.clear();
            put_prefix(table, schema.key, values, &mut bytes)?;
            Ok(bytes)
        };
        let alloc = self.from.allocator().clone();
        let from = core::mem::replace(&mut self.from, Vec::new_in(alloc.clone()));
        self.from = match range.from {
            Bound::Unbounded => Vec::new_in(alloc.clone()),
            Bound::Included(values) => encode(values, from)?,
            // No key has only bytes of FF, so there is a successor.
            // Behind all keys there is nothing: of no values, every key begins with them.
            Bound::Excluded(values) => match successor(encode(values, from)?) {
                Some(bytes) => bytes,
                None => {
                    let mut bytes = Vec::new_in(alloc.clone());
                    put(&mut bytes, &[u8::MAX])?;
                    bytes
                }
            },
        };
        let to = self.to.take().unwrap_or_else(|| Vec::new_in(alloc));
        self.to = match range.to {
            Bound::Unbounded => None,
            Bound::Included(values) => successor(encode(values, to)?),
            Bound::Excluded(values) => Some(encode(values, to)?),
        };
        Ok(())
    }

    /// Keys between two encoded ones; what was taken for the ends before is used again.
    pub(crate) fn set_encoded(&mut self, from: &[u8], to: Option<&[u8]>) -> Result<(), AllocError> {
        self.from.clear();
        put(&mut self.from, from)?;
        let alloc = self.from.allocator().clone();
        self.to = match (to, self.to.take()) {
            (None, _) => None,
            (Some(to), kept) => {
                let mut bytes = kept.unwrap_or_else(|| Vec::new_in(alloc));
                bytes.clear();
                put(&mut bytes, to)?;
                Some(bytes)
            }
        };
        Ok(())
    }

    /// The keys that begin with some bytes.
    pub(crate) fn of_prefix(prefix: &[u8], alloc: &BudgetAlloc) -> Result<EncodedRange, AllocError> {
        let copy = || {
            let mut bytes = Vec::new_in(alloc.clone());
            put(&mut bytes, prefix).map(|()| bytes)
        };
        Ok(EncodedRange { from: copy()?, to: successor(copy()?) })
    }

    /// The keys behind a key.
    pub(crate) fn behind(key: &[u8], alloc: &BudgetAlloc) -> Result<EncodedRange, AllocError> {
        let mut from = Vec::new_in(alloc.clone());
        put(&mut from, key)?;
        put(&mut from, &[0])?;
        Ok(EncodedRange { from, to: None })
    }

    /// True for a key that lies behind the range.
    pub(crate) fn is_behind(&self, key: &[u8]) -> bool {
        self.to.as_ref().is_some_and(|to| key >= &to[..])
    }
}

/// The least bytes that are greater than everything that begins with these; `None` where there are none.
pub(crate) fn successor(mut bytes: Bytes) -> Option<Bytes> {
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;
    use cofferdam_arena::Budget;
    use cofferdam_types::Type;

    #[test]
    fn ranges_hold_the_keys_that_begin_with_their_values() {
        let budget = Budget::unlimited("keys").unwrap();
        let alloc = BudgetAlloc::new(&budget);
        let columns = [ColumnType { ty: Type::Integer, is_nullable: false }; 2];
        let key = [0, 1].map(|column| KeyColumn { column, order: KeyOrder::ASC });
        let schema = Schema { columns: &columns, key: &key };
        let holds = |range: &KeyRange<'_>| {
            let range = EncodedRange::new(TableId(1), &schema, range, &alloc).unwrap();
            let mut held = std::vec![];
            for (a, b) in (0..4).flat_map(|a| (0..3).map(move |b| (a, b))) {
                let mut bytes = Vec::new_in(alloc.clone());
                put_key(TableId(1), &schema, &[Value::Integer(a), Value::Integer(b)], &mut bytes).unwrap();
                if bytes[..] >= range.from[..] && !range.is_behind(&bytes) {
                    held.push((a, b));
                }
            }
            held
        };
        let (one, two) = ([Value::Integer(1)], [Value::Integer(2)]);
        let both = [Value::Integer(2), Value::Integer(1)];
        assert_eq!(holds(&KeyRange::ALL).len(), 12);
        assert_eq!(holds(&KeyRange::prefix(&one)), [(1, 0), (1, 1), (1, 2)]);
        assert_eq!(holds(&KeyRange::prefix(&both)), [(2, 1)]);
        let range = KeyRange { from: Bound::Excluded(&one), to: Bound::Excluded(&both) };
        assert_eq!(holds(&range), [(2, 0)]);
        let range = KeyRange { from: Bound::Included(&both), to: Bound::Included(&two) };
        assert_eq!(holds(&range), [(2, 1), (2, 2)]);
        assert_eq!(holds(&KeyRange { from: Bound::Excluded(&[]), to: Bound::Unbounded }), []);
        assert_eq!(holds(&KeyRange { from: Bound::Included(&[]), to: Bound::Included(&[]) }).len(), 12);
        let range = KeyRange { from: Bound::Excluded(&two), to: Bound::Unbounded };
        assert_eq!(holds(&range), [(3, 0), (3, 1), (3, 2)]);
    }

    #[test]
    fn a_key_that_is_too_long_is_refused() {
        let budget = Budget::unlimited("keys").unwrap();
        let columns = [ColumnType { ty: Type::Text, is_nullable: false }];
        let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
        let schema = Schema { columns: &columns, key: &key };
        let mut bytes = Vec::new_in(BudgetAlloc::new(&budget));
        let longest = "x".repeat(KEY_BYTES_MAX - 3);
        put_key(TableId(1), &schema, &[Value::Text(&longest)], &mut bytes).unwrap();
        assert_eq!(bytes.len(), KEY_BYTES_MAX);
        let longer = "x".repeat(KEY_BYTES_MAX - 2);
        let error = put_key(TableId(1), &schema, &[Value::Text(&longer)], &mut bytes).unwrap_err();
        assert_eq!(error.sqlstate(), "54000");
    }

    #[test]
    fn bytes_of_ff_have_no_successor() {
        let budget = Budget::unlimited("keys").unwrap();
        let bytes = |list: &[u8]| {
            let mut bytes = Vec::new_in(BudgetAlloc::new(&budget));
            put(&mut bytes, list).unwrap();
            bytes
        };
        assert_eq!(successor(bytes(&[1, 2])).as_deref(), Some(&[1, 3][..]));
        assert_eq!(successor(bytes(&[1, 255, 255])).as_deref(), Some(&[2][..]));
        assert_eq!(successor(bytes(&[255])), None);
        assert_eq!(successor(bytes(&[])), None);
    }
}

//! One change of one row, and its bytes.

use crate::error::{Error, InputKind, InputProblem};
use crate::log::bytes::{Decoder, Encoder};
use crate::schema::{KEY_BYTES_MAX, TableId};

/// The most bytes of a row in the log. Longer ones are written to a file of their own before.
pub const ROW_BYTES_MAX: usize = 64 << 10;

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has this content now.
    Put,
    /// It is gone.
    Delete,
}

/// One change of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'e> {
    /// When, in the order of commits.
    pub sequence: u64,
    /// The table.
    pub table: TableId,
    /// What happened.
    pub change: Change,
    /// The encoded key, 1 byte to 8 KiB.
    pub key: &'e [u8],
    /// The encoded row, up to 64 KiB; empty for [`Change::Delete`].
    pub row: &'e [u8],
}

/// The most bytes of an entry before its key: kind, step, table, two lengths.
pub(crate) const HEAD_BYTES_MAX: usize = 1 + 8 + 5 + 3 + 3;
/// A step of the sequence that stands in a byte of its own number, not beside the kind.
const LONG_STEP: u64 = 127;

/// What an entry begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) change: Change,
    /// How much its sequence is above the one before.
    pub(crate) step: u64,
    pub(crate) table: TableId,
    pub(crate) key_bytes: usize,
    pub(crate) row_bytes: usize,
}

impl Entry<'_> {
    /// Whether the log takes the entry.
    ///
    /// # Errors
    /// [`Error::Input`].
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_row = self.change == Change::Put || self.row.is_empty();
        let kind = match (self.key.len(), self.row.len()) {
            (1..=KEY_BYTES_MAX, 0..=ROW_BYTES_MAX) if is_row => return Ok(()),
            (1..=KEY_BYTES_MAX, _) => InputKind::ValueTooLong,
            _ => InputKind::KeyTooLong,
        };
        Err(Error::Input(InputProblem { table: self.table, column: None, kind }))
    }
}

impl Head {
    #[inline]
    pub(crate) fn encode(&self) -> Encoder<HEAD_BYTES_MAX> {
        let mut head = Encoder::new();
        let is_delete = u8::from(self.change == Change::Delete);
        let short = self.step.min(LONG_STEP);
        head.byte((short as u8) << 1 | is_delete);
        if short == LONG_STEP {
            head.varint(self.step - LONG_STEP);
        }
        head.varint(self.table.0.into());
        head.varint(self.key_bytes as u64);
        if self.change == Change::Put {
            head.varint(self.row_bytes as u64);
        }
        head
    }

    /// The head at the front; `None` for what [`Head::encode`] never writes of an entry that [`Entry::check`] lets
    /// through.
    #[inline]
    pub(crate) fn decode(bytes: &mut Decoder<'_>) -> Option<Head> {
        let kind = bytes.byte()?;
        let change = if kind & 1 == 0 { Change::Put } else { Change::Delete };
        let short = u64::from(kind >> 1);
        let step = if short == LONG_STEP { bytes.varint()?.checked_add(LONG_STEP)? } else { short };
        let table = TableId(bytes.number()?);
        let key_bytes: usize = bytes.number()?;
        let row_bytes: usize = if change == Change::Put { bytes.number()? } else { 0 };
        ((1..=KEY_BYTES_MAX).contains(&key_bytes) && row_bytes <= ROW_BYTES_MAX).then_some(Head {
            change,
            step,
            table,
            key_bytes,
            row_bytes,
        })
    }

    /// The bytes of key and row.
    #[inline]
    pub(crate) fn body_bytes(&self) -> usize {
        self.key_bytes + self.row_bytes
    }

    /// The entry, of the bytes behind its head.
    #[inline]
    pub(crate) fn entry<'e>(&self, sequence: u64, body: &'e [u8]) -> Option<Entry<'e>> {
        let (key, row) = body.split_at_checked(self.key_bytes)?;
        Some(Entry { sequence, table: self.table, change: self.change, key, row })
    }
}

//! Columns in memory that rows are read into.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind, TextView, bytes_of};
use cofferdam_types::{Decimal, Type, Value};

use crate::page::ColumnMut;

impl<'a> ColumnMut<'_, 'a> {
    /// The same target, for a call in between.
    pub fn reborrow(&mut self) -> ColumnMut<'_, 'a> {
        ColumnMut { data: self.data, valid: self.valid, all_valid: self.all_valid, heap: self.heap }
    }

    /// Writes a value of the column's kind, or NULL, to row `at`; rows before it are written already.
    ///
    /// # Errors
    /// The heap's budget refuses.
    ///
    /// # Panics
    /// If there is no such row, or the value is of another kind.
    pub fn put(&mut self, at: usize, value: Value<'_>) -> Result<(), AllocError> {
        if value.is_null() {
            if *self.all_valid {
                self.valid[..at].fill(true);
                *self.all_valid = false;
            }
            self.valid[at] = false;
            return Ok(());
        }
        if !*self.all_valid {
            self.valid[at] = true;
        }
        match (&mut *self.data, value) {
            (Data::Text(views), value) => {
                let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                let bytes = bytes_of(value, &mut compact);
                let start = self.heap.len() as u32;
                self.heap.extend_from_slice(bytes)?;
                views[at] = TextView { start, len: bytes.len() as u32 };
            }
            (data, value) => data.put(at, value),
        }
        Ok(())
    }
}

/// A column of its own.
///
/// **Memory.** Of the arena: the kind's bytes and one more for each row, and the texts, whose room is kept.
#[derive(Debug)]
pub struct Column<'a> {
    data: Data<'a>,
    valid: &'a mut [bool],
    all_valid: bool,
    heap: Vec<'a, u8>,
    ty: Type,
}

impl<'a> Column<'a> {
    /// Room for so many rows of a type.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub fn new(ty: Type, rows: usize, arena: &'a Arena) -> Result<Column<'a>, AllocError> {
        let data = match Kind::of(ty) {
            Kind::Bool => Data::Bool(arena.alloc_slice_fill(rows, false)?),
            Kind::I32 => Data::I32(arena.alloc_slice_fill(rows, 0)?),
            Kind::I64 => Data::I64(arena.alloc_slice_fill(rows, 0)?),
            Kind::I128 => Data::I128(arena.alloc_slice_fill(rows, 0)?),
            Kind::F64 => Data::F64(arena.alloc_slice_fill(rows, 0.0)?),
            Kind::Text => Data::Text(arena.alloc_slice_fill(rows, TextView::default())?),
        };
        let valid = arena.alloc_slice_fill(rows, true)?;
        Ok(Column { data, valid, all_valid: true, heap: Vec::new_in(arena), ty })
    }

    /// Where rows are written to.
    pub fn target(&mut self) -> ColumnMut<'_, 'a> {
        ColumnMut {
            data: &mut self.data,
            valid: self.valid,
            all_valid: &mut self.all_valid,
            heap: &mut self.heap,
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.all_valid = true;
        self.heap.clear();
    }

    /// The values; those of NULLs mean nothing.
    pub fn data(&self) -> &Data<'a> {
        &self.data
    }

    /// Which rows are not NULL; `None`: all.
    pub fn valid(&self) -> Option<&[bool]> {
        (!self.all_valid).then_some(&*self.valid)
    }

    /// What views of texts point into.
    pub fn heap(&self) -> &[u8] {
        &self.heap
    }

    /// The value of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn value(&self, row: usize) -> Value<'_> {
        match self.all_valid || self.valid[row] {
            true => self.data.value(row, self.ty, &self.heap),
            false => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;

    #[test]
    fn what_is_put_is_read_and_forgotten() {
        let budget = Budget::unlimited("columns").unwrap();
        let arena = Arena::new(&budget);
        let mut column = Column::new(Type::Text, 4, &arena).unwrap();
        let mut target = column.target();
        for (at, value) in [Value::Text("a"), Value::Null, Value::Text("bc")].into_iter().enumerate() {
            target.reborrow().put(at, value).unwrap();
        }
        let values = [0, 1, 2].map(|row| column.value(row).to_string());
        assert_eq!(values, ["a", "NULL", "bc"]);
        assert_eq!((column.valid().map(|valid| valid[1]), column.heap()), (Some(false), &b"abc"[..]));
        column.clear();
        column.target().put(0, Value::Text("d")).unwrap();
        assert_eq!((column.valid(), column.heap(), column.data().kind()), (None, &b"d"[..], Kind::Text));
    }
}

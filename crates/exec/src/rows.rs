//! Rows as bytes: for what operators keep (groups, join sides, rows to sort), and for hashing and comparing keys.
//!
//! ```text
//! | validity, a bit per column | fixed part of each column | bytes of the texts, one behind the other |
//!
//! fixed part: boolean 1, integer and date 4, bigint, short decimal and double 8, long decimal 16,
//!             text 4: where its bytes end, counted from the row's start
//! ```
//!
//! A column is found without looking at the others, and equal rows are equal bytes: what is NULL is zero, and in keys
//! the doubles that compare equal are made equal. Integers are little-endian: this form never leaves the process.
//!
//! Where operators keep such rows is told in [`spill`](crate::spill).

use cofferdam_arena::collections::Vec as ArenaVec;
use cofferdam_arena::{AllocError, Arena};

use cofferdam_types::column::{value_of_double, value_of_integer};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Type, Value};

use crate::batch::{Data, Element, Kind, Rows, Source, Store, TextView, Vector, VectorId};

/// Where the columns stand in a row.
#[derive(Debug)]
pub(crate) struct RowLayout<'a> {
    columns: &'a [Column],
    fixed_bytes: usize,
    /// Whether NaN and the two zeros are made equal.
    is_key: bool,
}

#[derive(Clone, Copy, Debug)]
struct Column {
    kind: Kind,
    offset: usize,
    /// The fixed part of the text before this one, whose end is this one's start.
    previous_text: Option<usize>,
}

impl<'a> RowLayout<'a> {
    /// A layout for rows that are kept as they are.
    pub(crate) fn new(
        kinds: impl ExactSizeIterator<Item = Kind>,
        arena: &'a Arena,
    ) -> Result<RowLayout<'a>, AllocError> {
        let mut offset = kinds.len().div_ceil(8);
        let mut columns = ArenaVec::with_capacity_in(kinds.len(), arena)?;
        let mut previous_text = None;
        for kind in kinds {
            columns.push(Column { kind, offset, previous_text })?;
            if kind == Kind::Text {
                previous_text = Some(offset);
            }
            offset += if kind == Kind::Text { 4 } else { kind.bytes() };
        }
        Ok(RowLayout { columns: columns.into_slice(), fixed_bytes: offset, is_key: false })
    }

    /// A layout for rows that are hashed and compared.
    pub(crate) fn keys(
        kinds: impl ExactSizeIterator<Item = Kind>,
        arena: &'a Arena,
    ) -> Result<RowLayout<'a>, AllocError> {
        Ok(RowLayout { is_key: true, ..RowLayout::new(kinds, arena)? })
    }

    /// The bytes of a row whose columns are all NULL.
    pub(crate) fn row_of_nulls<'r>(&self, arena: &'r Arena) -> Result<&'r [u8], AllocError> {
        let row = arena.alloc_slice_fill(self.fixed_bytes, 0)?;
        for column in self.columns.iter().filter(|column| column.kind == Kind::Text) {
            row[column.offset..column.offset + 4].copy_from_slice(&(self.fixed_bytes as u32).to_le_bytes());
        }
        Ok(row)
    }

    fn is_valid(row: &[u8], column: usize) -> bool {
        row[column / 8] & 1 << (column % 8) != 0
    }

    /// Reads a column of many rows into a vector, whose heap is emptied first if it is text.
    pub(crate) fn decode<'r, 's>(
        &self,
        column: usize,
        rows: impl ExactSizeIterator<Item = &'r [u8]> + Clone,
        target: VectorId,
        store: &mut Store<'s>,
    ) -> Result<(), AllocError> {
        let mut vector = store.take(target);
        // Refused memory, a column stays what it is: whoever makes room reads again.
        let outcome = self.decode_into(column, rows, &mut vector, store);
        store.put_back(target, vector);
        outcome
    }

    fn decode_into<'r>(
        &self,
        column: usize,
        rows: impl ExactSizeIterator<Item = &'r [u8]> + Clone,
        vector: &mut Vector<'_>,
        store: &mut Store<'_>,
    ) -> Result<(), AllocError> {
        let at = self.columns[column].offset;
        let to_write = rows.clone();
        let all_valid = match &mut vector.data {
            Data::Bool(out) => fixed(to_write, column, out, |row| row[at] != 0),
            Data::I32(out) => fixed(to_write, column, out, |row| i32::from_le_bytes(bytes_at(row, at))),
            Data::I64(out) => fixed(to_write, column, out, |row| i64::from_le_bytes(bytes_at(row, at))),
            Data::I128(out) => fixed(to_write, column, out, |row| i128::from_le_bytes(bytes_at(row, at))),
            Data::F64(out) => fixed(to_write, column, out, |row| f64::from_le_bytes(bytes_at(row, at))),
            Data::Text(out) => {
                let mut all_valid = true;
                let heap = store.heap_mut(vector.heap);
                heap.clear();
                // At once, since an arena keeps what a growing heap leaves behind.
                heap.reserve(rows.clone().map(|row| self.text(row, column).len()).sum())?;
                for (row, view) in to_write.zip(out.iter_mut()) {
                    let text = self.text(row, column);
                    all_valid &= RowLayout::is_valid(row, column);
                    *view = TextView { start: heap.len() as u32, len: text.len() as u32 };
                    heap.extend_from_slice(text)?;
                }
                all_valid
            }
        };
        vector.all_valid = all_valid;
        if !all_valid {
            for (row, valid) in rows.zip(vector.valid.iter_mut()) {
                *valid = RowLayout::is_valid(row, column);
            }
        }
        Ok(())
    }

    /// Reads a column of one row into row `at` of a vector, whose validity is spelled out; a text goes to the end of its heap.
    pub(crate) fn put(
        &self,
        column: usize,
        row: &[u8],
        at: usize,
        target: VectorId,
        store: &mut Store<'_>,
    ) -> Result<(), AllocError> {
        let is_valid = RowLayout::is_valid(row, column);
        let vector = store.vector_mut(target);
        vector.valid[at] = is_valid;
        if !is_valid {
            return Ok(());
        }
        let from = self.columns[column].offset;
        match &mut vector.data {
            Data::Bool(out) => out[at] = row[from] != 0,
            Data::I32(out) => out[at] = i32::from_le_bytes(bytes_at(row, from)),
            Data::I64(out) => out[at] = i64::from_le_bytes(bytes_at(row, from)),
            Data::I128(out) => out[at] = i128::from_le_bytes(bytes_at(row, from)),
            Data::F64(out) => out[at] = f64::from_le_bytes(bytes_at(row, from)),
            Data::Text(_) => {
                let heap = vector.heap;
                let view = store.append_text(heap, self.text(row, column))?;
                TextView::write(&mut store.vector_mut(target).data)[at] = view;
            }
        }
        Ok(())
    }

    /// The number in a column of 32 bits.
    pub(crate) fn integer(&self, column: usize, row: &[u8]) -> i32 {
        i32::from_le_bytes(bytes_at(row, self.columns[column].offset))
    }

    /// The value of a column of a row, as the type that the column has.
    pub(crate) fn value<'r>(&self, row: &'r [u8], column: usize, ty: Type) -> Value<'r> {
        if !RowLayout::is_valid(row, column) {
            return Value::Null;
        }
        let at = self.columns[column].offset;
        let number = match self.columns[column].kind {
            Kind::Bool => return Value::Boolean(row[at] != 0),
            Kind::F64 => return value_of_double(f64::from_le_bytes(bytes_at(row, at)), ty),
            // Bytes are those of a value where they enter: the fallback is unreachable and safe.
            Kind::Text => return decode_bytes(self.text(row, column), ty).unwrap_or(Value::Null),
            Kind::I32 => i32::from_le_bytes(bytes_at(row, at)).into(),
            Kind::I64 => i64::from_le_bytes(bytes_at(row, at)).into(),
            Kind::I128 => i128::from_le_bytes(bytes_at(row, at)),
        };
        value_of_integer(number, ty).unwrap_or(Value::Null)
    }

    /// The bytes of a text.
    fn text<'r>(&self, row: &'r [u8], column: usize) -> &'r [u8] {
        let Column { offset, previous_text, .. } = self.columns[column];
        let start = match previous_text {
            Some(previous) => u32::from_le_bytes(bytes_at(row, previous)) as usize,
            None => self.fixed_bytes,
        };
        &row[start..u32::from_le_bytes(bytes_at(row, offset)) as usize]
    }
}

/// Reads a column of rows, and gives whether all of them have a value there.
#[inline(always)]
fn fixed<'r, T>(
    rows: impl Iterator<Item = &'r [u8]>,
    column: usize,
    out: &mut [T],
    read: impl Fn(&[u8]) -> T,
) -> bool {
    let mut all_valid = true;
    for (row, out) in rows.zip(out.iter_mut()) {
        all_valid &= RowLayout::is_valid(row, column);
        *out = read(row);
    }
    all_valid
}

/// So many bytes of a row. In this form the compiler knows how many, and calls nobody to copy them.
///
/// # Panics
/// There are fewer.
#[inline(always)]
pub(crate) fn bytes_at<const N: usize>(row: &[u8], at: usize) -> [u8; N] {
    *row[at..].first_chunk().expect("what is read of a row was written to it")
}

/// The rows of one batch as bytes. Made once per operator; the memory is reused for every batch.
#[derive(Debug)]
pub(crate) struct RowEncoder<'a> {
    bytes: ArenaVec<'a, u8>,
    /// Where each row starts, and where the last one ends.
    starts: ArenaVec<'a, usize>,
    /// Where the next text of each row goes, from the row's start.
    ends: ArenaVec<'a, u32>,
}

impl<'a> RowEncoder<'a> {
    pub(crate) fn new(arena: &'a Arena) -> RowEncoder<'a> {
        RowEncoder {
            bytes: ArenaVec::new_in(arena),
            starts: ArenaVec::new_in(arena),
            ends: ArenaVec::new_in(arena),
        }
    }

    /// The bytes of the `i`-th row that was encoded.
    #[inline(always)]
    pub(crate) fn row(&self, i: usize) -> &[u8] {
        &self.bytes[self.starts[i]..self.starts[i + 1]]
    }

    /// Forgets all rows.
    pub(crate) fn clear(&mut self) -> Result<(), AllocError> {
        self.bytes.clear();
        self.starts.clear();
        self.starts.push(0)
    }

    /// Makes room for a row of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<(), AllocError> {
        self.bytes.reserve(bytes)?;
        self.starts.reserve(1)
    }

    /// Adds a row that is bytes already.
    pub(crate) fn push(&mut self, row: &[u8]) -> Result<(), AllocError> {
        self.reserve(row.len())?;
        self.bytes.extend_from_slice(row)?;
        self.starts.push(self.bytes.len())
    }

    /// Encodes the given rows of the columns.
    pub(crate) fn encode(
        &mut self,
        layout: &RowLayout<'_>,
        columns: &[VectorId],
        rows: Rows<'_>,
        store: &Store<'_>,
    ) -> Result<(), AllocError> {
        debug_assert_eq!(columns.len(), layout.columns.len());
        self.measure(layout, columns, rows, store)?;
        for (index, (&id, &column)) in columns.iter().zip(layout.columns).enumerate() {
            let vector = store.vector(id);
            self.mark_valid(index, vector, rows);
            match column.kind {
                Kind::Bool => self.put(column, vector.values::<bool>(), vector, rows, |v| [u8::from(v)]),
                Kind::I32 => self.put(column, vector.values(), vector, rows, i32::to_le_bytes),
                Kind::I64 => self.put(column, vector.values(), vector, rows, i64::to_le_bytes),
                Kind::I128 => self.put(column, vector.values(), vector, rows, i128::to_le_bytes),
                Kind::F64 if layout.is_key => {
                    self.put(column, vector.values(), vector, rows, |v| canonical(v).to_le_bytes());
                }
                Kind::F64 => self.put(column, vector.values(), vector, rows, f64::to_le_bytes),
                Kind::Text => self.put_texts(column, vector, rows, store),
            }
        }
        Ok(())
    }

    /// Finds the size of each row and makes room.
    fn measure(
        &mut self,
        layout: &RowLayout<'_>,
        columns: &[VectorId],
        rows: Rows<'_>,
        store: &Store<'_>,
    ) -> Result<(), AllocError> {
        let count = rows.len();
        self.starts.clear();
        self.starts.resize(count + 1, layout.fixed_bytes)?;
        self.ends.clear();
        self.ends.resize(count, layout.fixed_bytes as u32)?;
        for (&id, column) in columns.iter().zip(layout.columns) {
            if column.kind == Kind::Text {
                let vector = store.vector(id);
                let views: Source<'_, TextView> = vector.values();
                for i in 0..count {
                    let row = rows.nth(i);
                    if vector.is_valid(row) {
                        self.starts[i] += views.get(row).len as usize;
                    }
                }
            }
        }
        let mut total = 0;
        for start in self.starts.iter_mut() {
            let size = core::mem::replace(start, total);
            // Positions in a row have 32 bits.
            if size > u32::MAX as usize {
                return Err(AllocError);
            }
            total += size;
        }
        let total = self.starts[count];
        self.bytes.clear();
        self.bytes.resize_zeroed(total)
    }

    fn mark_valid(&mut self, index: usize, vector: &Vector<'_>, rows: Rows<'_>) {
        let (byte, bit) = (index / 8, 1 << (index % 8));
        for (i, &start) in self.starts[..rows.len()].iter().enumerate() {
            if vector.is_valid(rows.nth(i)) {
                self.bytes[start + byte] |= bit;
            }
        }
    }

    #[inline(always)]
    fn put<T: Element, const N: usize>(
        &mut self,
        column: Column,
        values: Source<'_, T>,
        vector: &Vector<'_>,
        rows: Rows<'_>,
        bytes: impl Fn(T) -> [u8; N],
    ) {
        for (i, &start) in self.starts[..rows.len()].iter().enumerate() {
            let row = rows.nth(i);
            if vector.is_valid(row) {
                let at = start + column.offset;
                self.bytes[at..at + N].copy_from_slice(&bytes(values.get(row)));
            }
        }
    }

    fn put_texts(&mut self, column: Column, vector: &Vector<'_>, rows: Rows<'_>, store: &Store<'_>) {
        for i in 0..rows.len() {
            let (row, start) = (rows.nth(i), self.starts[i]);
            let from = self.ends[i] as usize;
            let mut end = from;
            if vector.is_valid(row) {
                let text = store.text(vector, row);
                end += text.len();
                self.bytes[start + from..start + end].copy_from_slice(text);
                self.ends[i] = end as u32;
            }
            let at = start + column.offset;
            self.bytes[at..at + 4].copy_from_slice(&(end as u32).to_le_bytes());
        }
    }
}

/// One representation for doubles that compare equal.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

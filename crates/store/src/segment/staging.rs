//! Rows that wait to become pages: one array a column, filled from batches of columns or from encoded rows.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind, TextView, bytes_of};
use cofferdam_types::row::decode_row;
use cofferdam_types::{Decimal, Value};

use super::layout::{BLOCK_BYTES, is_bundled};
use super::output::Output;
use super::{ColumnRef, LongText};
use crate::error::Error;
use crate::page::{INLINE_BYTES_MAX, LongRef, PageValues};
use crate::schema::Schema;

/// The most bytes of texts that a page is given, whatever the table.
const PAGE_TEXT_BYTES_MAX: usize = 64 << 10;
/// Those that a page of a table with bundles is given at first, and at most.
const BUNDLE_TEXT_BYTES: usize = 3 << 10;
const BUNDLE_TEXT_BYTES_MAX: usize = 8 << 10;
/// And at least.
const BUNDLE_TEXT_BYTES_MIN: usize = 1 << 10;
/// What bundles are to take: hardly less than a block.
const BUNDLE_BYTES: usize = BLOCK_BYTES - 64;
/// A bundle of fewer rows does not tell how many bytes the next one takes.
const AIM_ROWS_MIN: usize = 8;
/// How much of a long text is kept for the bounds of its page.
pub(super) const PREFIX_BYTES: usize = 32;

/// The most bytes of texts that a page of a table with so many columns is given, beside a text that is longer.
///
/// Who reads one row reads a page of each column, or a bundle; and each range costs some 50 bytes a column. So where there are
/// few columns, ranges of few rows are cheap and worth while.
pub(super) fn page_text_bytes_max(columns_count: usize) -> usize {
    if is_bundled(columns_count) {
        BUNDLE_TEXT_BYTES_MAX
    } else {
        (columns_count * (4 << 10)).min(PAGE_TEXT_BYTES_MAX)
    }
}

/// A column of waiting rows.
#[derive(Debug)]
struct StagedColumn<'a> {
    data: Data<'a>,
    valid: &'a mut [bool],
    all_valid: bool,
    text_bytes: usize,
}

/// A long text of a waiting row, which is in the file already.
#[derive(Clone, Copy, Debug)]
struct StagedLong {
    column: u16,
    row: u16,
    at: LongRef,
}

/// Waiting rows.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    columns: Vec<'a, StagedColumn<'a>>,
    sequences: Data<'a>,
    deletes: Data<'a>,
    heap: Vec<'a, u8>,
    heap_bytes_max: usize,
    /// The most bytes of texts of a page, and what each of its rows takes of them for what else it has in its bundle.
    page_text_bytes: usize,
    row_text_bytes: usize,
    longs: Vec<'a, StagedLong>,
    /// The long texts of one column, as pages take them.
    page_longs: Vec<'a, (u16, LongRef)>,
    text_columns: Vec<'a, u16>,
    rows: usize,
    capacity: usize,
}

/// A slice of a kind, all zero.
pub(super) fn data_in(kind: Kind, rows: usize, arena: &Arena) -> Result<Data<'_>, AllocError> {
    Ok(match kind {
        Kind::Bool => Data::Bool(arena.alloc_slice_fill(rows, false)?),
        Kind::I32 => Data::I32(arena.alloc_slice_fill(rows, 0)?),
        Kind::I64 => Data::I64(arena.alloc_slice_fill(rows, 0)?),
        Kind::I128 => Data::I128(arena.alloc_slice_fill(rows, 0)?),
        Kind::F64 => Data::F64(arena.alloc_slice_fill(rows, 0.0)?),
        Kind::Text => Data::Text(arena.alloc_slice_fill(rows, TextView::default())?),
    })
}

impl<'a> Staging<'a> {
    /// Room for `rows` rows, and so many bytes of texts before a row that needs more comes alone.
    pub(super) fn new_in(
        schema: &Schema<'_>,
        rows: usize,
        heap_bytes_max: usize,
        arena: &'a Arena,
    ) -> Result<Staging<'a>, AllocError> {
        let mut columns = Vec::with_capacity_in(schema.columns.len(), arena)?;
        let mut text_columns = Vec::new_in(arena);
        for (index, ty) in schema.columns.iter().enumerate() {
            if ty.kind() == Kind::Text {
                text_columns.push(index as u16)?;
            }
            columns.push(StagedColumn {
                data: data_in(ty.kind(), rows, arena)?,
                valid: arena.alloc_slice_fill(rows, true)?,
                all_valid: true,
                text_bytes: 0,
            })?;
        }
        let heap_bytes_max = if text_columns.is_empty() { 0 } else { heap_bytes_max };
        Ok(Staging {
            columns,
            sequences: data_in(Kind::I64, rows, arena)?,
            deletes: data_in(Kind::Bool, rows, arena)?,
            heap: Vec::with_capacity_in(heap_bytes_max, arena)?,
            heap_bytes_max,
            page_text_bytes: match schema.columns.len() {
                columns_count if is_bundled(columns_count) => BUNDLE_TEXT_BYTES,
                columns_count => page_text_bytes_max(columns_count),
            },
            row_text_bytes: 0,
            longs: Vec::new_in(arena),
            page_longs: Vec::new_in(arena),
            text_columns,
            rows: 0,
            capacity: rows,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows == self.capacity
    }

    /// Has the next rows make a bundle that fills a block, as far as one tells that those that wait have made: how many bytes it has,
    /// and its largest page, which are the texts.
    pub(super) fn aim(&mut self, (bundle_bytes, largest_bytes): (usize, usize)) {
        let texts = self.text_columns.iter().map(|index| self.columns[usize::from(*index)].text_bytes);
        let most = texts.max().unwrap_or(0);
        if self.rows >= AIM_ROWS_MIN && most > 0 && largest_bytes > 0 {
            // Everything in bytes of texts before they are compressed.
            self.row_text_bytes = (bundle_bytes - largest_bytes) * most / (largest_bytes * self.rows);
            let bytes = BUNDLE_BYTES * most / largest_bytes;
            self.page_text_bytes = bytes.clamp(BUNDLE_TEXT_BYTES_MIN, BUNDLE_TEXT_BYTES_MAX);
        }
    }

    /// The most bytes of texts that a column of so many rows is given.
    fn text_bytes_max(&self, rows: usize) -> usize {
        self.page_text_bytes.saturating_sub(rows * self.row_text_bytes)
    }

    /// Forgets all rows.
    pub(super) fn clear(&mut self) {
        for column in self.columns.iter_mut() {
            (column.all_valid, column.text_bytes) = (true, 0);
        }
        self.heap.clear();
        self.longs.clear();
        self.rows = 0;
    }

    /// How many rows of a batch still fit; at least one where nothing waits.
    pub(super) fn fit(&mut self, columns: &[ColumnRef<'_>], rows: Range<usize>) -> usize {
        let count = rows.len().min(self.capacity - self.rows);
        if self.text_columns.is_empty() {
            return count;
        }
        let mut heap_bytes = self.heap.len();
        for done in 0..count {
            let row = rows.start + done;
            let mut is_full = false;
            for index in self.text_columns.iter().map(|index| usize::from(*index)) {
                let len = columns.get(index).map_or(0, |column| column.text_len(row));
                let len = if len > INLINE_BYTES_MAX { PREFIX_BYTES } else { len };
                heap_bytes += len;
                self.columns[index].text_bytes += len;
                is_full |= self.columns[index].text_bytes > self.text_bytes_max(self.rows + done + 1);
            }
            if is_full || heap_bytes > self.heap_bytes_max {
                self.count_texts_again();
                return if self.rows == 0 { done.max(1) } else { done };
            }
        }
        self.count_texts_again();
        count
    }

    /// Counts the bytes of texts by what waits, after they were counted ahead.
    fn count_texts_again(&mut self) {
        for index in self.text_columns.iter().map(|index| usize::from(*index)) {
            let column = &mut self.columns[index];
            if let Data::Text(views) = &column.data {
                column.text_bytes = views[..self.rows].iter().map(|view| view.len as usize).sum();
            }
        }
    }

    /// How many rows of a batch would make a full page of their own, of columns that pages can be encoded from as they
    /// are; 0 if they would not.
    pub(super) fn fit_directly(
        &mut self,
        columns: &[ColumnRef<'_>],
        deletes: &[bool],
        rows: Range<usize>,
    ) -> usize {
        if self.rows > 0 || rows.len() < self.capacity {
            return 0;
        }
        let rows = rows.start..rows.start + self.capacity;
        if deletes.get(rows.clone()).is_none_or(|deletes| deletes.contains(&true)) {
            return 0;
        }
        for index in self.text_columns.iter() {
            let Some(column) = columns.get(usize::from(*index)) else { return 0 };
            // Of a long text that is to be copied only the beginning is here.
            if rows.clone().any(|row| column.long_at(row).is_some()) {
                return 0;
            }
            let mut total = 0;
            for row in rows.clone() {
                let len = column.text_len(row);
                total += len;
                if len > INLINE_BYTES_MAX || total > self.text_bytes_max(self.capacity) {
                    return 0;
                }
            }
        }
        self.capacity
    }

    /// The sequences and kinds of the next rows, which the columns follow.
    pub(super) fn put_versions(&mut self, sequences: &[u64], deletes: &[bool]) {
        let rows = self.rows..self.rows + sequences.len();
        if let (Data::I64(to), Data::Bool(kinds)) = (&mut self.sequences, &mut self.deletes) {
            for (to, from) in to[rows.clone()].iter_mut().zip(sequences) {
                *to = *from as i64;
            }
            kinds[rows].copy_from_slice(deletes);
        }
    }

    /// As [`Staging::put_versions`], for one row.
    #[inline]
    pub(super) fn put_version(&mut self, sequence: u64, is_delete: bool) {
        if let (Data::I64(sequences), Data::Bool(kinds)) = (&mut self.sequences, &mut self.deletes) {
            (sequences[self.rows], kinds[self.rows]) = (sequence as i64, is_delete);
        }
    }

    /// Copies rows of a batch, long texts into the file.
    pub(super) fn append(
        &mut self,
        schema: &Schema<'_>,
        columns: &[ColumnRef<'_>],
        deletes: &[bool],
        rows: Range<usize>,
        out: &mut Output<'_, '_>,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let at = self.rows;
        let has_deletes = deletes.get(rows.clone()).is_some_and(|deletes| deletes.contains(&true));
        for (index, from) in columns.iter().enumerate() {
            let Some(column) = self.columns.get_mut(index) else { break };
            let is_key = schema.key.iter().any(|part| usize::from(part.column) == index);
            column.copy_validity(from, at, rows.clone());
            if has_deletes && !is_key {
                for (row, _) in deletes[rows.clone()].iter().enumerate().filter(|(_, is_delete)| **is_delete)
                {
                    column.valid[at + row] = false;
                    column.all_valid = false;
                }
            }
            match (&mut column.data, from.data) {
                (Data::Bool(to), Data::Bool(from)) => copy(to, at, from, rows.clone()),
                (Data::I32(to), Data::I32(from)) => copy(to, at, from, rows.clone()),
                (Data::I64(to), Data::I64(from)) => copy(to, at, from, rows.clone()),
                (Data::I128(to), Data::I128(from)) => copy(to, at, from, rows.clone()),
                (Data::F64(to), Data::F64(from)) => copy(to, at, from, rows.clone()),
                (Data::Text(_), Data::Text(_)) => {
                    self.append_texts(index, from, rows.clone(), out, buffer)?;
                }
                _ => unreachable!("the batch has the schema's columns"),
            }
        }
        self.rows += rows.len();
        Ok(())
    }

    fn append_texts(
        &mut self,
        index: usize,
        from: &ColumnRef<'_>,
        rows: Range<usize>,
        out: &mut Output<'_, '_>,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        for (done, row) in rows.enumerate() {
            let staged = self.rows + done;
            if self.columns[index].is_null(staged) {
                self.columns[index].put_view(staged, TextView::default());
                continue;
            }
            let text = from.text(row);
            let long = match from.long_at(row) {
                Some(LongText { file, at, .. }) => Some(out.copy_long(file, *at, buffer)?),
                None if text.len() > INLINE_BYTES_MAX => Some(out.put_long(text)?),
                None => None,
            };
            self.put_text(index, staged, text, long)?;
        }
        Ok(())
    }

    /// The text of a waiting row; of a long one, its beginning.
    fn put_text(
        &mut self,
        index: usize,
        row: usize,
        text: &[u8],
        long: Option<LongRef>,
    ) -> Result<(), Error> {
        let kept = match long {
            Some(at) => {
                self.longs.push(StagedLong { column: index as u16, row: row as u16, at })?;
                text.get(..PREFIX_BYTES).unwrap_or(text)
            }
            None => text,
        };
        let start = self.heap.len() as u32;
        self.heap.extend_from_slice(kept)?;
        self.columns[index].text_bytes += kept.len();
        self.columns[index].put_view(row, TextView { start, len: kept.len() as u32 });
        Ok(())
    }

    /// Makes room for the texts of an encoded row that is longer than what there is room for: at once, since growing leaves behind what
    /// was outgrown.
    pub(super) fn reserve_texts(&mut self, schema: &Schema<'_>, mut row: &[u8]) -> Result<(), AllocError> {
        if row.len() <= self.heap.capacity() - self.heap.len() {
            return Ok(());
        }
        let mut bytes = 0;
        for column in schema.columns {
            // What is damaged is found when it is staged.
            let Ok((value, used)) = decode_row(row, column.ty) else { break };
            if Kind::of(column.ty) == Kind::Text {
                let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                let text = bytes_of(value, &mut compact);
                bytes += if text.len() > INLINE_BYTES_MAX { PREFIX_BYTES } else { text.len() };
            }
            row = row.get(used..).unwrap_or(&[]);
        }
        self.heap.reserve_exact(bytes)
    }

    /// Whether an encoded row of so many bytes is sure to fit.
    pub(super) fn fits_bytes(&self, bytes: usize) -> bool {
        let most = self.text_bytes_max(self.rows + 1);
        let has_room = self
            .text_columns
            .iter()
            .all(|index| self.columns[usize::from(*index)].text_bytes + bytes <= most);
        self.text_columns.is_empty() || (has_room && self.heap.len() + bytes <= self.heap_bytes_max)
    }

    /// Stores a value of the row that waits last but is not counted yet.
    pub(super) fn put_value(
        &mut self,
        index: usize,
        value: Value<'_>,
        out: &mut Output<'_, '_>,
    ) -> Result<(), Error> {
        let row = self.rows;
        let column = &mut self.columns[index];
        column.valid[row] = !value.is_null();
        match value {
            Value::Null => column.all_valid = false,
            value if column.data.kind() == Kind::Text => {
                let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                self.put_whole_text(index, row, bytes_of(value, &mut compact), out)?;
            }
            value => column.data.put(row, value),
        }
        Ok(())
    }

    /// As [`Staging::put_value`], for the bytes of a text or another type of bytes, or NULL.
    pub(super) fn put_text_value(
        &mut self,
        index: usize,
        text: Option<&[u8]>,
        out: &mut Output<'_, '_>,
    ) -> Result<(), Error> {
        let row = self.rows;
        let column = &mut self.columns[index];
        column.valid[row] = text.is_some();
        column.all_valid &= text.is_some();
        text.map_or(Ok(()), |text| self.put_whole_text(index, row, text, out))
    }

    fn put_whole_text(
        &mut self,
        index: usize,
        row: usize,
        text: &[u8],
        out: &mut Output<'_, '_>,
    ) -> Result<(), Error> {
        let long = if text.len() > INLINE_BYTES_MAX { Some(out.put_long(text)?) } else { None };
        self.put_text(index, row, text, long)
    }

    /// Counts the row whose values were put.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
    }

    // --------------------------------------------------------------------------------------------- towards pages

    /// The sequences of the waiting rows, or of `rows` that were put without columns.
    pub(super) fn sequences(&self, rows: usize) -> PageValues<'_> {
        PageValues { data: &self.sequences, valid: None, heap: &[], first: 0, rows, longs: &[] }
    }

    /// As [`Staging::sequences`], for kinds.
    pub(super) fn deletes(&self, rows: usize) -> PageValues<'_> {
        PageValues { data: &self.deletes, valid: None, heap: &[], first: 0, rows, longs: &[] }
    }

    /// A column of the waiting rows.
    pub(super) fn column(&mut self, index: usize) -> Result<PageValues<'_>, AllocError> {
        self.page_longs.clear();
        for long in self.longs.iter().filter(|long| usize::from(long.column) == index) {
            self.page_longs.push((long.row, long.at))?;
        }
        let column = &self.columns[index];
        Ok(PageValues {
            data: &column.data,
            valid: (!column.all_valid).then_some(&*column.valid),
            heap: &self.heap,
            first: 0,
            rows: self.rows,
            longs: &self.page_longs,
        })
    }

    /// The bytes of texts that wait in a column.
    pub(super) fn texts(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let views: &[TextView] = match &self.columns[index].data {
            Data::Text(views) => &views[..self.rows],
            _ => &[],
        };
        views.iter().map(|view| view.of(&self.heap))
    }
}

impl StagedColumn<'_> {
    fn is_null(&self, row: usize) -> bool {
        !self.all_valid && !self.valid[row]
    }

    fn put_view(&mut self, row: usize, view: TextView) {
        if let Data::Text(views) = &mut self.data {
            views[row] = view;
        }
    }

    /// Keeps `valid` right for every row, so that a later NULL needs no look back.
    fn copy_validity(&mut self, from: &ColumnRef<'_>, at: usize, rows: Range<usize>) {
        let to = &mut self.valid[at..at + rows.len()];
        match from.valid {
            Some(valid) => {
                to.copy_from_slice(&valid[rows]);
                self.all_valid &= !to.contains(&false);
            }
            None => to.fill(true),
        }
    }
}

fn copy<T: Copy>(to: &mut [T], at: usize, from: &[T], rows: Range<usize>) {
    to[at..at + rows.len()].copy_from_slice(&from[rows]);
}

//! Column vectors and batches: what flows between operators.
//!
//! All vectors of an execution stand in one table, the [`Store`], and are named by index. A batch is therefore two
//! words (how many rows, and which of them are selected), a projection that only renames columns copies nothing, and
//! no operator ever borrows from another:
//!
//! ```text
//!             vectors   0: l_quantity   1: l_discount   2: temporary   3: literal 0.06 …
//! scan            columns [0, 1]     rows 1024, all
//! filter          columns [0, 1]     rows 1024, selection [3, 17, 40, …]
//! project         columns [2]        rows 1024, selection [3, 17, 40, …]
//! ```
//!
//! **Memory.** A vector has a fixed capacity and lives in the arena of the operator that writes it, so the operator's
//! budget pays. Text is a view (offset and length) into a heap: for scanned columns the heap is the read buffer itself,
//! so that scanning copies no text; a computed text has a heap of its own that is emptied for each batch and keeps its
//! capacity. A pipeline needs the same memory for its first batch and its millionth, unless a text is longer than all
//! before it.
//!
//! **Invariants.**
//! - **B1** Only selected rows of a vector have a meaning; the others hold any value of the type.
//! - **B2** Where `all_valid` is set, `valid` is not looked at.
//! - **B3** A constant vector has one element that stands for every row.
//! - **B4** Text is valid UTF-8: scans check it, functions keep it. The bytes of other types of its kind are values of these.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
pub(crate) use cofferdam_types::column::{
    Data, Element, Kind, TextView, bytes_of, pack_interval, unpack_interval,
};
use cofferdam_types::{Decimal, Type, Value};

use crate::error::Place;
use crate::statement::Statement;

/// The most rows in a batch; selections hold row numbers of 16 bits.
pub(crate) const BATCH_ROWS_MAX: usize = 2048;
/// The fewest rows that batches are cut to under small limits.
pub(crate) const BATCH_ROWS_MIN: usize = 32;

/// An index into the vectors of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VectorId(pub(crate) u32);

/// An index into the text heaps of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeapId(pub(crate) u32);

/// An index into the selections of a [`Store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SelectionId(pub(crate) u32);

/// One column of a batch.
#[derive(Debug)]
pub(crate) struct Vector<'a> {
    pub(crate) data: Data<'a>,
    pub(crate) valid: &'a mut [bool],
    pub(crate) all_valid: bool,
    pub(crate) is_constant: bool,
    /// Where views of text point; meaningless for other kinds.
    pub(crate) heap: HeapId,
}

impl Default for Vector<'_> {
    fn default() -> Self {
        Vector {
            data: Data::Bool(&mut []),
            valid: &mut [],
            all_valid: true,
            is_constant: false,
            heap: HeapId(0),
        }
    }
}

impl<'a> Vector<'a> {
    pub(crate) fn new(kind: Kind, capacity: usize, arena: &'a Arena) -> Result<Vector<'a>, AllocError> {
        let data = match kind {
            Kind::Bool => Data::Bool(arena.alloc_slice_fill(capacity, false)?),
            Kind::I32 => Data::I32(arena.alloc_slice_fill(capacity, 0)?),
            Kind::I64 => Data::I64(arena.alloc_slice_fill(capacity, 0)?),
            Kind::I128 => Data::I128(arena.alloc_slice_fill(capacity, 0)?),
            Kind::F64 => Data::F64(arena.alloc_slice_fill(capacity, 0.0)?),
            Kind::Text => Data::Text(arena.alloc_slice_fill(capacity, TextView::default())?),
        };
        let valid = arena.alloc_slice_fill(capacity, true)?;
        Ok(Vector { data, valid, all_valid: true, is_constant: false, heap: HeapId(0) })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.data.kind()
    }

    /// The index that holds the value of `row`.
    #[inline(always)]
    pub(crate) fn at(&self, row: usize) -> usize {
        if self.is_constant { 0 } else { row }
    }

    #[inline(always)]
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.all_valid || self.valid[self.at(row)]
    }

    #[inline(always)]
    pub(crate) fn values<T: Element>(&self) -> Source<'_, T> {
        let values = T::read(&self.data);
        if self.is_constant { Source::Constant(values[0]) } else { Source::Rows(values) }
    }

    /// Gives the row behind one the same value.
    pub(crate) fn repeat(&mut self, row: usize) {
        self.valid[row + 1] = self.valid[row];
        match &mut self.data {
            Data::Bool(values) => values[row + 1] = values[row],
            Data::I32(values) => values[row + 1] = values[row],
            Data::I64(values) => values[row + 1] = values[row],
            Data::I128(values) => values[row + 1] = values[row],
            Data::F64(values) => values[row + 1] = values[row],
            Data::Text(values) => values[row + 1] = values[row],
        }
    }

    /// Writes out what `all_valid` stands for, so that single rows can be made NULL.
    pub(crate) fn spell_out_validity(&mut self, rows: usize) {
        if self.all_valid {
            self.valid[..rows].fill(true);
            self.all_valid = false;
        }
    }
}

/// The values of an operand: one per row, or one for all.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'v, T> {
    Constant(T),
    Rows(&'v [T]),
}

impl<T: Copy> Source<'_, T> {
    #[inline(always)]
    pub(crate) fn get(&self, row: usize) -> T {
        match self {
            Source::Constant(value) => *value,
            Source::Rows(values) => values[row],
        }
    }
}

/// Row numbers that passed a filter, ascending.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    pub(crate) rows: &'a mut [u16],
    pub(crate) count: usize,
}

/// The rows that an operation works on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'s> {
    /// 0 up to so many.
    All(usize),
    /// These.
    Some(&'s [u16]),
}

impl Rows<'_> {
    #[inline(always)]
    pub(crate) fn for_each(self, mut f: impl FnMut(usize)) {
        match self {
            Rows::All(count) => (0..count).for_each(f),
            Rows::Some(rows) => rows.iter().for_each(|&row| f(usize::from(row))),
        }
    }

    #[inline(always)]
    pub(crate) fn try_for_each<E>(self, mut f: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        match self {
            Rows::All(count) => (0..count).try_for_each(f),
            Rows::Some(rows) => rows.iter().try_for_each(|&row| f(usize::from(row))),
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Rows::All(count) => count,
            Rows::Some(rows) => rows.len(),
        }
    }

    /// The `i`-th of the rows.
    #[inline(always)]
    pub(crate) fn nth(self, i: usize) -> usize {
        match self {
            Rows::All(_) => i,
            Rows::Some(rows) => usize::from(rows[i]),
        }
    }
}

/// How many rows an operator has put into its columns, and which of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchRows {
    pub(crate) count: usize,
    pub(crate) selection: Option<SelectionId>,
}

impl BatchRows {
    pub(crate) const fn all(count: usize) -> BatchRows {
        BatchRows { count, selection: None }
    }
}

/// All vectors, text heaps and selections of an execution.
#[derive(Debug)]
pub(crate) struct Store<'a> {
    pub(crate) vectors: Vec<'a, Vector<'a>>,
    pub(crate) heaps: Vec<'a, Vec<'a, u8>>,
    pub(crate) selections: Vec<'a, Selection<'a>>,
    /// Rows in a batch at most.
    pub(crate) capacity: usize,
    /// Where in a file the rows of the batch come from, where a statement puts rows of one file into a table.
    pub(crate) origin: Option<Origin<'a>>,
    /// What expressions see of the statement.
    pub(crate) statement: Statement<'a>,
    /// Lends its place to a heap that is taken out while it is written.
    spare: &'a Arena,
}

/// Lines of a file.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) path: &'a str,
    /// By row of the batch.
    pub(crate) lines: &'a mut [u64],
}

impl<'a> Store<'a> {
    /// No vectors. Expressions see a statement at the start of 1970 until they are given another one.
    pub(crate) fn new(capacity: usize, arena: &'a Arena) -> Store<'a> {
        debug_assert!((1..=BATCH_ROWS_MAX).contains(&capacity));
        Store {
            vectors: Vec::new_in(arena),
            heaps: Vec::new_in(arena),
            selections: Vec::new_in(arena),
            capacity,
            origin: None,
            statement: Statement::at_epoch(),
            spare: arena,
        }
    }

    /// A vector for a batch, paid by `arena`; a text gets a heap of its own.
    pub(crate) fn add_vector(&mut self, kind: Kind, arena: &'a Arena) -> Result<VectorId, AllocError> {
        let mut vector = Vector::new(kind, self.capacity, arena)?;
        if kind == Kind::Text {
            vector.heap = self.add_heap(arena)?;
        }
        self.push_vector(vector)
    }

    /// A vector of text whose views point into `heap`.
    pub(crate) fn add_text_over(&mut self, heap: HeapId, arena: &'a Arena) -> Result<VectorId, AllocError> {
        let mut vector = Vector::new(Kind::Text, self.capacity, arena)?;
        vector.heap = heap;
        self.push_vector(vector)
    }

    /// A constant.
    pub(crate) fn add_constant(
        &mut self,
        kind: Kind,
        value: Value<'_>,
        arena: &'a Arena,
    ) -> Result<VectorId, AllocError> {
        let mut vector = Vector::new(kind, 1, arena)?;
        vector.is_constant = true;
        if kind == Kind::Text {
            vector.heap = self.add_heap(arena)?;
        }
        let heap = vector.heap;
        let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
        put_value(&mut vector, 0, value);
        let text = if kind == Kind::Text { bytes_of(value, &mut compact) } else { &[] };
        if !text.is_empty() {
            self.heaps[heap.0 as usize].extend_from_slice(text)?;
        }
        self.push_vector(vector)
    }

    fn push_vector(&mut self, vector: Vector<'a>) -> Result<VectorId, AllocError> {
        self.vectors.push(vector)?;
        Ok(VectorId(self.vectors.len() as u32 - 1))
    }

    pub(crate) fn add_heap(&mut self, arena: &'a Arena) -> Result<HeapId, AllocError> {
        self.heaps.push(Vec::new_in(arena))?;
        Ok(HeapId(self.heaps.len() as u32 - 1))
    }

    pub(crate) fn add_selection(&mut self, arena: &'a Arena) -> Result<SelectionId, AllocError> {
        let rows = arena.alloc_slice_fill(self.capacity, 0)?;
        self.selections.push(Selection { rows, count: 0 })?;
        Ok(SelectionId(self.selections.len() as u32 - 1))
    }

    #[inline(always)]
    pub(crate) fn vector(&self, id: VectorId) -> &Vector<'a> {
        &self.vectors[id.0 as usize]
    }

    #[inline(always)]
    pub(crate) fn vector_mut(&mut self, id: VectorId) -> &mut Vector<'a> {
        &mut self.vectors[id.0 as usize]
    }

    pub(crate) fn heap(&self, id: HeapId) -> &[u8] {
        &self.heaps[id.0 as usize]
    }

    pub(crate) fn heap_mut(&mut self, id: HeapId) -> &mut Vec<'a, u8> {
        &mut self.heaps[id.0 as usize]
    }

    /// Puts a text behind those of a heap.
    pub(crate) fn append_text(&mut self, id: HeapId, text: &[u8]) -> Result<TextView, AllocError> {
        let heap = self.heap_mut(id);
        let (start, len) = (u32::try_from(heap.len()), u32::try_from(text.len()));
        let (Ok(start), Ok(len)) = (start, len) else { return Err(AllocError) };
        heap.extend_from_slice(text)?;
        Ok(TextView { start, len })
    }

    /// Takes a vector out of the table so that it can be written while others are read; [`Store::put_back`] ends it.
    pub(crate) fn take(&mut self, id: VectorId) -> Vector<'a> {
        core::mem::take(self.vector_mut(id))
    }

    pub(crate) fn put_back(&mut self, id: VectorId, vector: Vector<'a>) {
        *self.vector_mut(id) = vector;
    }

    /// Takes a heap out of the table; [`Store::put_heap_back`] ends it.
    pub(crate) fn take_heap(&mut self, id: HeapId) -> Vec<'a, u8> {
        let empty = Vec::new_in(self.spare);
        core::mem::replace(self.heap_mut(id), empty)
    }

    /// A heap that belongs to no vector.
    pub(crate) fn no_heap(&self) -> Vec<'a, u8> {
        Vec::new_in(self.spare)
    }

    pub(crate) fn put_heap_back(&mut self, id: HeapId, heap: Vec<'a, u8>) {
        *self.heap_mut(id) = heap;
    }

    pub(crate) fn take_selection(&mut self, id: SelectionId) -> Selection<'a> {
        core::mem::take(&mut self.selections[id.0 as usize])
    }

    pub(crate) fn put_selection_back(&mut self, id: SelectionId, selection: Selection<'a>) {
        self.selections[id.0 as usize] = selection;
    }

    /// Where in a file a row of the batch comes from.
    pub(crate) fn place_of(&self, row: usize) -> Option<Place<'a>> {
        let origin = self.origin.as_ref()?;
        Some(Place { path: origin.path, line: *origin.lines.get(row)? })
    }

    #[inline(always)]
    pub(crate) fn rows(&self, batch: BatchRows) -> Rows<'_> {
        match batch.selection {
            None => Rows::All(batch.count),
            Some(id) => {
                let selection = &self.selections[id.0 as usize];
                Rows::Some(&selection.rows[..selection.count])
            }
        }
    }

    /// The bytes of a text that is not NULL.
    #[inline(always)]
    pub(crate) fn text(&self, vector: &Vector<'_>, row: usize) -> &[u8] {
        TextView::read(&vector.data)[vector.at(row)].of(self.heap(vector.heap))
    }

    /// How long the longest of the texts is that stand in the vectors: of a batch that is there, or of one before it.
    #[cold]
    pub(crate) fn longest_text(&self) -> u64 {
        let lens = |vector: &Vector<'_>| match &vector.data {
            Data::Text(views) => views.iter().map(|view| view.len).max().unwrap_or(0),
            _ => 0,
        };
        self.vectors.iter().map(lens).max().unwrap_or(0).into()
    }

    /// The value of a row, as the type that the column has.
    pub(crate) fn value(&self, id: VectorId, row: usize, ty: Type) -> Value<'_> {
        value_at(self, self.vector(id), row, ty)
    }
}

/// The value of a row, as the type that the column has.
pub(crate) fn value_at<'v>(store: &'v Store<'_>, vector: &Vector<'_>, row: usize, ty: Type) -> Value<'v> {
    if !vector.is_valid(row) {
        return Value::Null;
    }
    // Only text has a heap: without a text column there is none at all.
    let heap = if vector.kind() == Kind::Text { store.heap(vector.heap) } else { &[] };
    vector.data.value(vector.at(row), ty, heap)
}

/// Stores a value whose kind is the vector's; of a text only the view, as if it stood at the start of the heap.
pub(crate) fn put_value(vector: &mut Vector<'_>, at: usize, value: Value<'_>) {
    if matches!(value, Value::Null) {
        vector.all_valid = false;
        vector.valid[at] = false;
        return;
    }
    vector.valid[at] = true;
    vector.data.put(at, value);
}

/// Rows per batch under a limit, for rows of at most `columns` columns, of which `texts` are texts: a batch stays below an eighth of it.
pub(crate) fn batch_rows(limit_bytes: u64, columns: usize, texts: usize) -> usize {
    const ROW_BYTES_COMMON: u64 = 256;
    // A value, its validity, and its place in the file.
    const COLUMN_BYTES: u64 = 24;
    // Steps of a pipeline copy them, and what keeps rows has them encoded beside.
    const TEXT_BYTES: u64 = 64;
    let texts_bytes = (texts as u64).saturating_mul(TEXT_BYTES);
    let row_bytes = (columns as u64).saturating_mul(COLUMN_BYTES).saturating_add(texts_bytes);
    let row_bytes = row_bytes.max(ROW_BYTES_COMMON);
    let affordable = limit_bytes / 8 / row_bytes;
    let rows = usize::try_from(affordable).unwrap_or(usize::MAX).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX);
    // A power of two, so that few sizes exist to be tested.
    1 << rows.ilog2()
}

//! Canonical values: of values that are equal, one.
//!
//! Rows are grouped and joined by the bytes of their keys ([`crate::rows::RowLayout::keys`]). Of most types equal values have
//! equal bytes. Of the others a column of canonical values stands beside the column, and its bytes are the key:
//!
//! | type | canonical |
//! |---|---|
//! | numeric | without zeros at the end of its fraction |
//! | character | without blanks at its end |
//! | interval | microseconds, a month being 30 days |
//! | arrays | their key |

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::key::{KeyOrder, encode_key};
use cofferdam_types::row::decode_bytes;
use cofferdam_types::{Decimal, Type};

use crate::batch::{BatchRows, Data, Kind, Store, TextView, Vector, VectorId, unpack_interval};

/// A column that holds the canonical values of another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canonical {
    source: VectorId,
    target: VectorId,
    ty: Type,
}

/// Whether equal values of a type can have different bytes.
pub(crate) const fn is_ambiguous(ty: Type) -> bool {
    matches!(ty, Type::Numeric | Type::Char | Type::Interval | Type::Array(_))
}

impl Canonical {
    /// A column beside `source`, whose values are of type `ty`; `None` where `source` itself will do.
    pub(crate) fn open<'a>(
        source: VectorId,
        ty: Type,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Option<Canonical>, AllocError> {
        if !is_ambiguous(ty) {
            return Ok(None);
        }
        let target = match ty {
            Type::Char => {
                let heap = store.vector(source).heap;
                store.add_text_over(heap, arena)?
            }
            ty => store.add_vector(Kind::of(ty), arena)?,
        };
        Ok(Some(Canonical { source, target, ty }))
    }

    /// Where the canonical values stand.
    pub(crate) const fn column(&self) -> VectorId {
        self.target
    }

    /// Computes them for the rows of a batch.
    pub(crate) fn run(&self, batch: BatchRows, store: &mut Store<'_>) -> Result<(), AllocError> {
        let mut target = store.take(self.target);
        let outcome = self.fill(batch, &mut target, store);
        store.put_back(self.target, target);
        outcome
    }

    fn fill(
        &self,
        batch: BatchRows,
        target: &mut Vector<'_>,
        store: &mut Store<'_>,
    ) -> Result<(), AllocError> {
        if self.ty == Type::Char {
            target.heap = store.vector(self.source).heap;
        }
        let is_written = !matches!(self.ty, Type::Char | Type::Interval);
        let mut heap = if is_written { store.take_heap(target.heap) } else { store.no_heap() };
        heap.clear();
        let outcome = self.fill_rows(batch, target, &mut heap, store);
        if is_written {
            store.put_heap_back(target.heap, heap);
        }
        outcome
    }

    fn fill_rows(
        &self,
        batch: BatchRows,
        target: &mut Vector<'_>,
        heap: &mut Vec<'_, u8>,
        store: &Store<'_>,
    ) -> Result<(), AllocError> {
        let (source, rows) = (store.vector(self.source), store.rows(batch));
        target.all_valid = source.all_valid;
        if !source.all_valid {
            rows.for_each(|row| target.valid[row] = source.is_valid(row));
        }
        if let Data::I128(out) = &mut target.data {
            let values = source.values::<i128>();
            rows.for_each(|row| out[row] = unpack_interval(values.get(row)).comparable_micros());
            return Ok(());
        }
        let Data::Text(out) = &mut target.data else { return Ok(()) };
        let views = source.values::<TextView>();
        rows.try_for_each(|row| {
            if !source.is_valid(row) {
                return Ok(());
            }
            let view = views.get(row);
            let bytes = store.text(source, row);
            if self.ty == Type::Char {
                out[row] = TextView { start: view.start, len: trimmed_bytes(bytes) as u32 };
                return Ok(());
            }
            let start = heap.len();
            self.append(bytes, heap)?;
            let len = heap.len() - start;
            let (Ok(start), Ok(len)) = (u32::try_from(start), u32::try_from(len)) else {
                return Err(AllocError);
            };
            out[row] = TextView { start, len };
            Ok(())
        })
    }

    fn append(&self, bytes: &[u8], heap: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        if self.ty == Type::Numeric {
            // Columns hold values: zero is unreachable and safe.
            let number = Decimal::from_compact(bytes).unwrap_or(Decimal::ZERO);
            let (compact, len) = number.normalized().to_compact();
            return heap.extend_from_slice(&compact[..len]);
        }
        match decode_bytes(bytes, self.ty) {
            Ok(value) => encode_key(value, KeyOrder::ASC, &mut |piece: &[u8]| heap.extend_from_slice(piece)),
            // Columns hold values: the fallback is unreachable and safe.
            Err(_) => heap.extend_from_slice(bytes),
        }
    }
}

/// The length of a text without the blanks at its end, of which columns of fixed width have many.
#[inline]
fn trimmed_bytes(text: &[u8]) -> usize {
    const WORD: [u8; 16] = [b' '; 16];
    let mut rest = text;
    while let Some((start, end)) = rest.split_last_chunk::<16>()
        && *end == WORD
    {
        rest = start;
    }
    rest.iter().rposition(|&byte| byte != b' ').map_or(0, |last| last + 1)
}

/// Columns as they are compared: beside those that need it stand canonical ones.
#[derive(Debug)]
pub(crate) struct ComparedColumns<'a> {
    canonicals: Vec<'a, Canonical>,
    /// Where the values stand whose bytes are compared.
    pub(crate) columns: &'a [VectorId],
}

impl<'a> ComparedColumns<'a> {
    /// Of columns with their types.
    pub(crate) fn open(
        columns: impl ExactSizeIterator<Item = (VectorId, Type)>,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<ComparedColumns<'a>, AllocError> {
        let mut canonicals = Vec::new_in(arena);
        let ids = arena.alloc_slice_fill(columns.len(), VectorId(0))?;
        for (id, (source, ty)) in ids.iter_mut().zip(columns) {
            *id = source;
            if let Some(canonical) = Canonical::open(source, ty, store, arena)? {
                *id = canonical.column();
                canonicals.push(canonical)?;
            }
        }
        Ok(ComparedColumns { canonicals, columns: ids })
    }

    /// Computes the canonical values of a batch.
    pub(crate) fn run(&self, batch: BatchRows, store: &mut Store<'_>) -> Result<(), AllocError> {
        self.canonicals.iter().try_for_each(|canonical| canonical.run(batch, store))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_end_do_not_count() {
        for (blanks, start) in (0..50)
            .flat_map(|blanks| ["", "a", "a b", " ", "0123456789abcdef", "é  ü"].map(|start| (blanks, start)))
        {
            let text = format!("{start}{:blanks$}", "");
            assert_eq!(trimmed_bytes(text.as_bytes()), text.trim_end_matches(' ').len(), "{text:?}");
        }
    }
}

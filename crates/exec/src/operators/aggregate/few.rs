//! Batches whose rows belong to few groups that are known: each aggregate takes the rows of one group after the other, so its state
//! stays in registers.
//!
//! ```text
//! key of a row, packed in 16 bytes ──> number of its group ──> the batch's rows by group ──> state.update(one group, its rows)
//! ```
//!
//! A key is packed where no column of it is NULL and its texts are short: each column has a slot of fixed size, a text one for its length
//! and its bytes. Packed keys are found in a small table of their own. A batch that has another key goes the usual way, and its groups
//! are learned, until they are too many: then this is given up for the rest of the input.
//!
//! **Peak bytes**: 3 for each row of a batch, and 1 KiB.

use cofferdam_arena::{AllocError, Arena};

use super::keys::Keys;
use super::pages::Place;
use super::table::GroupTable;
use crate::batch::{BatchRows, Element, Kind, Rows, Store, TextView, VectorId};
use crate::operators::state::cells::Taken;

/// More groups than that are not few.
const GROUPS_MAX: usize = 32;
/// Slots of the table of packed keys, a power of two.
const SLOTS: usize = 128;
const PACKED_BYTES: usize = size_of::<u128>();
/// Keys that are packed at once.
const PIECE_ROWS: usize = 64;

/// Where a column stands in a packed key.
#[derive(Clone, Copy, Debug)]
struct Slot {
    column: VectorId,
    shift: u32,
    /// Of a text: the most bytes that fit.
    text_bytes: usize,
}

/// The groups that are known, and the rows of a batch by group.
#[derive(Debug)]
pub(super) struct FewGroups<'a> {
    columns: &'a [Slot],
    /// By the hash of a packed key: the number of its group and one, or nothing.
    slots: &'a mut [u8],
    /// By number.
    keys: &'a mut [u128],
    places: &'a mut [u64],
    count: usize,
    /// The table's releases, when the places were learned.
    releases: u64,
    is_given_up: bool,
    /// By position in the batch, the number of the row's group.
    numbers: &'a mut [u8],
    /// The rows of the batch, by group, and where those of each group end.
    rows: &'a mut [u16],
    ends: [usize; GROUPS_MAX],
}

impl<'a> FewGroups<'a> {
    /// Where keys can be packed.
    pub(super) fn open(
        keys: &Keys<'_>,
        store: &Store<'_>,
        arena: &'a Arena,
    ) -> Result<Option<FewGroups<'a>>, AllocError> {
        let Some(columns) = keys.only_columns().filter(|columns| !columns.is_empty()) else {
            return Ok(None);
        };
        let fixed = |id: VectorId| match store.vector(id).kind() {
            Kind::Text => Some(0),
            Kind::Bool | Kind::I32 | Kind::I64 => Some(store.vector(id).kind().bytes()),
            Kind::I128 | Kind::F64 => None,
        };
        let texts = columns.iter().filter(|&&id| fixed(id) == Some(0)).count();
        let fixed_bytes = columns.iter().try_fold(0, |sum, &id| Some(sum + fixed(id)?));
        let Some(left) = fixed_bytes.and_then(|fixed| PACKED_BYTES.checked_sub(fixed)) else {
            return Ok(None);
        };
        let text_slot = left.checked_div(texts).unwrap_or(2);
        if text_slot < 2 {
            return Ok(None);
        }
        let mut at = 0;
        let columns = arena.alloc_slice_from_iter(columns.iter().map(|&column| {
            let shift = at as u32 * u8::BITS;
            at += fixed(column).filter(|&bytes| bytes > 0).unwrap_or(text_slot);
            Slot { column, shift, text_bytes: text_slot - 1 }
        }))?;
        Ok(Some(FewGroups {
            columns,
            slots: arena.alloc_slice_fill(SLOTS, 0)?,
            keys: arena.alloc_slice_fill(GROUPS_MAX, 0)?,
            places: arena.alloc_slice_fill(GROUPS_MAX, 0)?,
            count: 0,
            releases: 0,
            is_given_up: false,
            numbers: arena.alloc_slice_fill(store.capacity, 0)?,
            rows: arena.alloc_slice_fill(store.capacity, 0)?,
            ends: [0; GROUPS_MAX],
        }))
    }

    /// Finds the group of each row of a batch; false where one is not known.
    pub(super) fn find(&mut self, batch: BatchRows, table: &GroupTable, store: &Store<'_>) -> bool {
        if self.is_given_up {
            return false;
        }
        if self.releases != table.releases() {
            self.forget(table.releases());
        }
        if self.count == 0 {
            return false;
        }
        let rows = store.rows(batch);
        let mut counts = [0; GROUPS_MAX];
        let mut packed = [0; PIECE_ROWS];
        for start in (0..rows.len()).step_by(PIECE_ROWS) {
            let packed = &mut packed[..PIECE_ROWS.min(rows.len() - start)];
            if !self.pack(start, rows, packed, store) {
                return false;
            }
            for (key, number) in packed.iter().zip(&mut self.numbers[start..]) {
                let Ok(found) = lookup(self.slots, self.keys, *key) else { return false };
                *number = found;
                counts[usize::from(found)] += 1;
            }
        }
        let mut ends = [0; GROUPS_MAX];
        let mut total = 0;
        for (end, count) in ends.iter_mut().zip(counts) {
            *end = total;
            total += count;
        }
        for (position, &number) in self.numbers[..rows.len()].iter().enumerate() {
            let end = &mut ends[usize::from(number)];
            self.rows[*end] = rows.nth(position) as u16;
            *end += 1;
        }
        self.ends = ends;
        true
    }

    /// The groups that the batch has rows of, and these.
    pub(super) fn rows_by_group(&self, batch: BatchRows) -> impl Iterator<Item = (Place, Taken<'_>)> {
        (0..self.count).filter_map(move |number| {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            let place = Place::from_bits(self.places[number]).filter(|_| start < self.ends[number])?;
            let rows = &self.rows[start..self.ends[number]];
            let is_whole = batch.selection.is_none() && rows.len() == batch.count;
            Some((place, if is_whole { Taken::Range(0, batch.count) } else { Taken::List(rows) }))
        })
    }

    /// Learns the groups of a batch, whose places stand by row.
    pub(super) fn learn(&mut self, batch: BatchRows, places: &[u64], releases: u64, store: &Store<'_>) {
        if self.is_given_up {
            return;
        }
        if self.releases != releases {
            self.forget(releases);
        }
        let rows = store.rows(batch);
        let mut packed = [0; PIECE_ROWS];
        for start in (0..rows.len()).step_by(PIECE_ROWS) {
            let packed = &mut packed[..PIECE_ROWS.min(rows.len() - start)];
            if !self.pack(start, rows, packed, store) {
                return;
            }
            for (i, &key) in packed.iter().enumerate() {
                let Err(slot) = lookup(self.slots, self.keys, key) else { continue };
                if self.count == GROUPS_MAX {
                    self.is_given_up = true;
                    return;
                }
                self.keys[self.count] = key;
                self.places[self.count] = places[rows.nth(start + i)];
                self.count += 1;
                self.slots[slot] = self.count as u8;
            }
        }
    }

    fn forget(&mut self, releases: u64) {
        self.slots.fill(0);
        (self.count, self.releases) = (0, releases);
    }

    /// Packs the keys of some rows; false where one does not fit.
    fn pack(&self, start: usize, rows: Rows<'_>, packed: &mut [u128], store: &Store<'_>) -> bool {
        packed.fill(0);
        self.columns.iter().all(|slot| {
            let vector = store.vector(slot.column);
            if !vector.all_valid {
                return false;
            }
            let at = |i: usize| vector.at(rows.nth(start + i));
            let packed = packed.iter_mut().enumerate();
            match vector.kind() {
                Kind::Text => {
                    let (views, heap) = (TextView::read(&vector.data), store.heap(vector.heap));
                    packed.fold(true, |fits, (i, packed)| {
                        let text = views[at(i)].of(heap);
                        let start = &text[..slot.text_bytes.min(text.len())];
                        let word = if slot.text_bytes < size_of::<u64>() {
                            let add = |word, &byte: &u8| word << 8 | u64::from(byte);
                            u128::from(start.iter().fold(start.len() as u64, add))
                        } else {
                            let add = |word, &byte: &u8| word << 8 | u128::from(byte);
                            start.iter().fold(start.len() as u128, add)
                        };
                        *packed |= word << slot.shift;
                        fits && start.len() == text.len()
                    })
                }
                Kind::Bool => {
                    let values = bool::read(&vector.data);
                    packed.for_each(|(i, packed)| *packed |= u128::from(values[at(i)]) << slot.shift);
                    true
                }
                Kind::I32 => {
                    let values = i32::read(&vector.data);
                    packed.for_each(|(i, packed)| *packed |= u128::from(values[at(i)] as u32) << slot.shift);
                    true
                }
                Kind::I64 => {
                    let values = i64::read(&vector.data);
                    packed.for_each(|(i, packed)| *packed |= u128::from(values[at(i)] as u64) << slot.shift);
                    true
                }
                Kind::I128 | Kind::F64 => false,
            }
        })
    }
}

/// The number of the group with a packed key, or the slot that it would have.
#[inline(always)]
fn lookup(slots: &[u8], keys: &[u128], key: u128) -> Result<u8, usize> {
    let folded = (key as u64 ^ ((key >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut slot = (folded >> 57) as usize;
    loop {
        match slots[slot].checked_sub(1) {
            None => return Err(slot),
            Some(number) if keys[usize::from(number)] == key => return Ok(number),
            Some(_) => slot = (slot + 1) % SLOTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::string::{String, ToString};
    use std::vec::Vec;

    use cofferdam_arena::Budget;
    use cofferdam_plan::physical::AggregateFunction as F;
    use cofferdam_types::{Type, Value};
    use proptest::prelude::*;

    use super::super::table::hash_of;
    use super::super::tests::{Bench, fill, run_plain};
    use super::*;
    use crate::expr::Registers;

    const TYPES: [Type; 4] = [Type::Text, Type::Integer, Type::Boolean, Type::BigInt];
    /// A text, a number or NULL, whether, and what is summed up.
    type Row = (String, Option<i32>, bool, Option<i64>);

    /// Rows, the sum, the sum of the numbers, and the most.
    type Totals = (i64, Option<i128>, Option<i64>, Option<i64>);

    fn values((text, number, is_so, summed): &Row) -> Vec<Value<'_>> {
        let number = number.map_or(Value::Null, Value::Integer);
        vec![Value::Text(text), number, Value::Boolean(*is_so), summed.map_or(Value::Null, Value::BigInt)]
    }

    fn row() -> impl Strategy<Value = Row> {
        let text = prop_oneof![20 => "[ab]{0,2}", 1 => "[a-z]{9,14}"];
        let number = proptest::option::weighted(0.99, prop_oneof![30 => 0..3i32, 1 => any::<i32>()]);
        (text, number, any::<bool>(), proptest::option::weighted(0.9, any::<i64>()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Aim: groups have what a map has, whether they are few or many and keys fit or not, also where groups go to files in
        /// between. Method: short and long texts, NULLs, ample memory and little.
        #[test]
        fn groups_are_those_of_a_map(
            rows in proptest::collection::vec(row(), 0..700),
            limit in prop_oneof![Just(u64::MAX), Just(160u64 << 10)],
        ) {
            let bench = Bench::new();
            let sum_ty = Type::Decimal { precision: 38, scale: 0 };
            let summed = bench.column(3, Type::BigInt);
            let number = bench.column(1, Type::Integer);
            let aggregates = [
                bench.aggregate(F::CountRows, &[], Type::BigInt),
                bench.aggregate(F::Sum, &[summed], sum_ty),
                bench.aggregate(F::Sum, &[number], Type::BigInt),
                bench.aggregate(F::Max, &[summed], Type::BigInt),
            ];
            let keys = [bench.column(0, Type::Text), number, bench.column(2, Type::Boolean)];
            let plan = bench.plan(&keys, &[&[0, 1, 2]], &aggregates);
            let input: Vec<_> = rows.iter().map(values).collect();
            let output = [Type::Text, Type::Integer, Type::Boolean, Type::BigInt, sum_ty, Type::BigInt, Type::BigInt];
            let seen = run_plain(&plan, &TYPES, &input, &output, limit).unwrap();
            let mut model: BTreeMap<_, Totals> = BTreeMap::new();
            for (text, number, is_so, summed) in &rows {
                let (count, sum, numbers, most) = model.entry((text, number, is_so)).or_default();
                *count += 1;
                *sum = summed.map_or(*sum, |summed| Some(sum.unwrap_or(0) + i128::from(summed)));
                *numbers = number.map_or(*numbers, |number| Some(numbers.unwrap_or(0) + i64::from(number)));
                *most = (*most).max(*summed);
            }
            let shown = |number: Option<String>| number.unwrap_or_else(|| Value::Null.to_string());
            let mut expected: Vec<Vec<String>> = model
                .into_iter()
                .map(|((text, number, is_so), (count, sum, numbers, most))| vec![
                    text.clone(),
                    shown(number.map(|number| number.to_string())),
                    Value::Boolean(*is_so).to_string(),
                    count.to_string(),
                    shown(sum.map(|sum| sum.to_string())),
                    shown(numbers.map(|sum| sum.to_string())),
                    shown(most.map(|most| most.to_string())),
                ])
                .collect();
            expected.sort();
            prop_assert_eq!(seen, expected);
        }
    }

    /// Aim: batches of groups that were learned are found, others are not, and nothing is found of groups that the table forgot.
    #[test]
    fn groups_are_found_as_long_as_the_table_has_them() {
        let (bench, budget) = (Bench::new(), Budget::unlimited("test").unwrap());
        let arena = Arena::new(&budget);
        let mut store = Store::new(64, &arena);
        let ids: Vec<_> = TYPES.iter().map(|&ty| store.add_vector(Kind::of(ty), &arena).unwrap()).collect();
        let plan = bench.plan(&[bench.column(0, Type::Text)], &[&[0]], &[]);
        let keys = Keys::open(&plan, &ids, &mut store, &mut Registers::new(&arena), &arena).unwrap();
        let mut few = FewGroups::open(&keys, &store, &arena).unwrap().unwrap();
        let mut table = GroupTable::new(&budget, 0);
        let put = |texts: &[&str], store: &mut Store<'_>| {
            let row = |text| vec![Value::Text(text), Value::Null, Value::Boolean(true), Value::Null];
            let rows: Vec<_> = texts.iter().copied().map(row).collect();
            fill(&rows, &TYPES, &ids, store);
            BatchRows::all(rows.len())
        };
        let batch = put(&["x", "yy", "x"], &mut store);
        assert!(!few.find(batch, &table, &store));
        let places: Vec<u64> = ["x", "yy", "x"]
            .iter()
            .map(|key| table.find_or_add(hash_of(key.as_bytes()), key.as_bytes(), &[]).unwrap().0.bits())
            .collect();
        few.learn(batch, &places, table.releases(), &store);
        assert!(few.find(batch, &table, &store));
        let of_groups: Vec<_> = few
            .rows_by_group(batch)
            .map(|(place, taken)| {
                let mut rows = Vec::new();
                let Ok(()) = taken.try_each(|row| {
                    rows.push(row);
                    Ok::<(), core::convert::Infallible>(())
                });
                (place.bits(), rows)
            })
            .collect();
        assert_eq!(of_groups, [(places[0], vec![0, 2]), (places[1], vec![1])]);
        let batch = put(&["yy", "y"], &mut store);
        assert!(!few.find(batch, &table, &store));
        let batch = put(&["yy"], &mut store);
        assert!(few.find(batch, &table, &store));
        let batch = put(&["sixteen letters!"], &mut store);
        few.learn(batch, &places, table.releases(), &store);
        assert!(!few.find(batch, &table, &store));
        table.release();
        let batch = put(&["yy"], &mut store);
        assert!(!few.find(batch, &table, &store));
    }
}

//! Aggregates that take rows in an order: what they take is sorted by group and order first.
//!
//! ```text
//! key     hash of the group | its key | the order | of distinct ones the arguments
//! row     the group's key | its rest | the arguments
//! ```
//!
//! Of the one group of all rows nothing is kept: then a key is the order alone.
//!
//! Behind the last row of the input the sorted rows are taken like any others, group by group. Hashes are in the order of the
//! files of groups ([`super::partitions`]), so what is chosen from the rows of a group ([`super::choose`]) is read
//! beside them.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_plan::physical::{Aggregate as PlanAggregate, SortKey};
use cofferdam_types::Type;
use cofferdam_types::key::{KeyOrder, encode_key};

use super::Disk;
use super::keys::{KeyShape, RowKeys};
use crate::batch::{BatchRows, Data, Kind, SelectionId, Store, TextView, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::rows::{RowEncoder, RowLayout};
use crate::sorter::{KeyEncoder, SortKeys, Sorter};
use crate::spill::SpillFailure;

/// Columns of a sorted row's group, before the arguments.
#[derive(Clone, Copy, Debug)]
struct GroupColumns {
    key: VectorId,
    rest: VectorId,
}

/// What an aggregate gives to a sort.
#[derive(Debug)]
pub(super) struct OrderedInput<'a> {
    /// Which of the sorts.
    pub(super) index: usize,
    order: Vec<'a, Program<'a>>,
    keys: SortKeys<'a>,
    key_encoder: KeyEncoder<'a>,
    row_encoder: RowEncoder<'a>,
    layout: RowLayout<'a>,
    /// The hash of each row's group, and the group, if there is more than one.
    groups: Option<(VectorId, GroupColumns)>,
    key_columns: &'a [VectorId],
    row_columns: &'a [VectorId],
    /// The rows whose value is not NULL, of what is chosen.
    selection: Option<SelectionId>,
}

/// The columns of sorted rows behind the group: the arguments; of what is chosen the fraction, if there is one, and the value.
fn row_types<'p>(plan: &'p PlanAggregate<'_>, is_chosen: bool) -> impl Iterator<Item = Type> + Clone + 'p {
    let values = plan.order_by.iter().filter(move |_| is_chosen).map(|key| key.expr.ty);
    plan.args.iter().map(|arg| arg.ty).chain(values)
}

/// The columns of sorted rows.
fn all_kinds<'a>(
    plan: &PlanAggregate<'_>,
    is_chosen: bool,
    has_groups: bool,
    arena: &'a Arena,
) -> Result<&'a [Kind], AllocError> {
    let mut kinds = Vec::new_in(arena);
    kinds.extend([Kind::Text; 2].into_iter().filter(|_| has_groups))?;
    kinds.extend(row_types(plan, is_chosen).map(Kind::of))?;
    Ok(kinds.into_slice())
}

impl<'a> OrderedInput<'a> {
    pub(super) fn open(
        plan: &PlanAggregate<'a>,
        (index, is_chosen, has_groups): (usize, bool, bool),
        args: &[VectorId],
        columns: &[VectorId],
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<OrderedInput<'a>, Error<'a>> {
        let mut order = Vec::with_capacity_in(plan.order_by.len(), arena)?;
        for key in plan.order_by {
            order.push(compile(key.expr, columns, store, registers)?)?;
        }
        let mut groups = None;
        if has_groups {
            let hashes = store.add_vector(Kind::I64, arena)?;
            let key = store.add_vector(Kind::Text, arena)?;
            groups = Some((hashes, GroupColumns { key, rest: store.add_vector(Kind::Text, arena)? }));
        }
        let mut key_columns = Vec::new_in(arena);
        let mut sort_keys = Vec::new_in(arena);
        let mut types = Vec::new_in(arena);
        let plain = |column: usize| SortKey { column: column as u32, descending: false, nulls_first: false };
        let of_group = groups.map(|(hashes, group)| [(hashes, Type::BigInt), (group.key, Type::Bytea)]);
        for (id, ty) in of_group.into_iter().flatten() {
            sort_keys.push(plain(key_columns.len()))?;
            key_columns.push(id)?;
            types.push(ty)?;
        }
        for (key, program) in plan.order_by.iter().zip(order.iter()) {
            let (descending, nulls_first) = (key.descending, key.nulls_first);
            sort_keys.push(SortKey { descending, nulls_first, ..plain(key_columns.len()) })?;
            key_columns.push(program.result)?;
            types.push(key.expr.ty)?;
        }
        for (&id, arg) in args.iter().zip(plan.args).filter(|_| plan.distinct) {
            sort_keys.push(plain(key_columns.len()))?;
            key_columns.push(id)?;
            types.push(arg.ty)?;
        }
        let mut row_columns = Vec::new_in(arena);
        row_columns.extend(groups.iter().flat_map(|(_, group)| [group.key, group.rest]))?;
        row_columns.extend(args.iter().copied())?;
        row_columns.extend(order.iter().filter(|_| is_chosen).map(|program: &Program<'_>| program.result))?;
        let kinds = all_kinds(plan, is_chosen, has_groups, arena)?;
        let selection = if is_chosen { Some(store.add_selection(arena)?) } else { None };
        Ok(OrderedInput {
            index,
            keys: SortKeys::new(&sort_keys, |column| types[column], arena)?,
            key_encoder: KeyEncoder::new(arena),
            row_encoder: RowEncoder::new(arena),
            layout: RowLayout::new(kinds.iter().copied(), arena)?,
            order,
            groups,
            key_columns: key_columns.into_slice(),
            row_columns: row_columns.into_slice(),
            selection,
        })
    }

    /// The column that is chosen from.
    pub(super) fn value(&self) -> Option<VectorId> {
        self.order.first().map(|program| program.result)
    }

    /// A sort of such rows.
    pub(super) fn sorter(&self, budget: &Budget, disk: &Disk<'_>) -> Sorter {
        Sorter::new(budget, self.keys.shape(), None, disk.space, disk.name)
    }

    /// Computes the order for the rows of a batch.
    pub(super) fn run(&mut self, rows: BatchRows, store: &mut Store<'a>) -> Result<(), Error<'a>> {
        self.order.iter_mut().try_for_each(|program| program.run(store, rows))
    }

    /// Encodes the rows of a batch that count, of `rows`, for the sort; the keys of the batch's groups are there. Gives how many there are.
    pub(super) fn encode(
        &mut self,
        batch: BatchRows,
        rows: BatchRows,
        keys: &RowKeys<'a>,
        store: &mut Store<'a>,
    ) -> Result<usize, AllocError> {
        let rows = match (self.selection, self.value()) {
            (Some(selection), Some(value)) => valid_rows(rows, value, selection, store),
            _ => rows,
        };
        self.fill_groups(batch, rows, keys, store)?;
        let rows = store.rows(rows);
        self.key_encoder.encode(&self.keys, self.key_columns, rows, store)?;
        self.row_encoder.encode(&self.layout, self.row_columns, rows, store)?;
        Ok(rows.len())
    }

    /// Puts rows that were encoded into the sort. Where there is no room, `rest` tells those that are still to be put.
    pub(super) fn put(
        &self,
        rest: &mut Range<usize>,
        sorter: &mut Sorter,
        disk: &Disk<'_>,
    ) -> Result<(), SpillFailure> {
        sorter.put(&self.key_encoder, &self.row_encoder, rest, disk.is_cancelled)
    }

    /// Writes hash, key and rest of the rows' groups into columns.
    fn fill_groups(
        &self,
        batch: BatchRows,
        rows: BatchRows,
        keys: &RowKeys<'a>,
        store: &mut Store<'a>,
    ) -> Result<(), AllocError> {
        let Some((hashes_id, group)) = self.groups else { return Ok(()) };
        let mut hashes = store.take(hashes_id);
        let (mut groups, mut rests) = (store.take(group.key), store.take(group.rest));
        let mut group_heap = store.take_heap(groups.heap);
        let mut rest_heap = store.take_heap(rests.heap);
        group_heap.clear();
        rest_heap.clear();
        (hashes.all_valid, groups.all_valid, rests.all_valid) = (true, true, true);
        let of_batch = store.rows(batch);
        let mut position = 0;
        let outcome = store.rows(rows).try_for_each(|row| {
            while of_batch.nth(position) != row {
                position += 1;
            }
            let (hash, key, rest) = keys.row(position);
            if let Data::I64(out) = &mut hashes.data {
                // In the order of numbers without a sign.
                out[row] = (hash ^ 1 << 63) as i64;
            }
            for (vector, heap, bytes) in
                [(&mut groups, &mut group_heap, key), (&mut rests, &mut rest_heap, rest)]
            {
                if let Data::Text(out) = &mut vector.data {
                    let start = u32::try_from(heap.len()).map_err(|_| AllocError)?;
                    out[row] = TextView { start, len: bytes.len() as u32 };
                    heap.extend_from_slice(bytes)?;
                }
            }
            Ok(())
        });
        store.put_heap_back(groups.heap, group_heap);
        store.put_heap_back(rests.heap, rest_heap);
        store.put_back(hashes_id, hashes);
        store.put_back(group.key, groups);
        store.put_back(group.rest, rests);
        outcome
    }
}

/// The rows whose value is not NULL.
fn valid_rows(rows: BatchRows, value: VectorId, id: SelectionId, store: &mut Store<'_>) -> BatchRows {
    let mut selection = store.take_selection(id);
    let vector = store.vector(value);
    selection.count = 0;
    store.rows(rows).for_each(|row| {
        selection.rows[selection.count] = row as u16;
        selection.count += usize::from(vector.is_valid(row));
    });
    store.put_selection_back(id, selection);
    BatchRows { count: rows.count, selection: Some(id) }
}

/// Sorted rows on their way back.
#[derive(Debug)]
pub(super) struct SortedRows<'a> {
    layout: RowLayout<'a>,
    groups: Option<GroupColumns>,
    /// The arguments; of what is chosen the fraction, if there is one, and the value.
    pub(super) columns: &'a [VectorId],
    types: &'a [Type],
    /// Of distinct rows: the last one's group and arguments.
    last: Option<Vec<'a, u8>>,
    next: Vec<'a, u8>,
    pub(super) keys: RowKeys<'a>,
    rows_count: usize,
}

impl<'a> SortedRows<'a> {
    pub(super) fn open(
        plan: &PlanAggregate<'a>,
        (is_chosen, has_groups): (bool, bool),
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<SortedRows<'a>, AllocError> {
        let mut groups = None;
        if has_groups {
            let key = store.add_vector(Kind::Text, arena)?;
            groups = Some(GroupColumns { key, rest: store.add_vector(Kind::Text, arena)? });
        }
        let mut columns = Vec::new_in(arena);
        let mut types = Vec::new_in(arena);
        for ty in row_types(plan, is_chosen) {
            columns.push(store.add_vector(Kind::of(ty), arena)?)?;
            types.push(ty)?;
        }
        let kinds = all_kinds(plan, is_chosen, has_groups, arena)?;
        Ok(SortedRows {
            layout: RowLayout::new(kinds.iter().copied(), arena)?,
            groups,
            columns: columns.into_slice(),
            types: types.into_slice(),
            last: if plan.distinct && !is_chosen { Some(Vec::new_in(arena)) } else { None },
            next: Vec::new_in(arena),
            keys: RowKeys::new(arena),
            rows_count: 0,
        })
    }

    /// Puts the rows that a sort has gone to into columns. May be done again.
    pub(super) fn decode(&mut self, sorter: &Sorter, store: &mut Store<'a>) -> Result<(), AllocError> {
        let rows = sorter.rows();
        self.rows_count = rows.len();
        let groups = self.groups.iter().flat_map(|group| [group.key, group.rest]);
        for (index, id) in groups.chain(self.columns.iter().copied()).enumerate() {
            self.layout.decode(index, rows.clone(), id, store)?;
        }
        Ok(())
    }

    pub(super) fn rows_count(&self) -> usize {
        self.rows_count
    }

    /// The key of a row's group.
    pub(super) fn group<'s>(&self, row: usize, store: &'s Store<'_>) -> &'s [u8] {
        self.groups.map_or(&[], |group| store.text(store.vector(group.key), row))
    }

    /// Gathers the keys of the rows that count from one on, into a selection; gives the first row that there was no room for, or the
    /// end.
    pub(super) fn gather(
        &mut self,
        first: usize,
        selection: SelectionId,
        shape: &KeyShape<'_>,
        store: &mut Store<'a>,
    ) -> Result<(usize, Option<AllocError>), AllocError> {
        self.keys.clear()?;
        let mut selected = store.take_selection(selection);
        selected.count = 0;
        let (mut row, mut refused) = (first, None);
        while row < self.rows_count {
            match self.gather_row(row, shape, store) {
                Ok(is_taken) => {
                    selected.rows[selected.count] = row as u16;
                    selected.count += usize::from(is_taken);
                    row += 1;
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        store.put_selection_back(selection, selected);
        Ok((row, refused))
    }

    /// Gives whether the row counts; where there is no room nothing has changed.
    fn gather_row(
        &mut self,
        row: usize,
        shape: &KeyShape<'_>,
        store: &Store<'a>,
    ) -> Result<bool, AllocError> {
        let group = self.group(row, store);
        let rest = self.groups.map_or(&[][..], |group| store.text(store.vector(group.rest), row));
        if let Some(last) = &mut self.last {
            self.next.clear();
            self.next.extend_from_slice(&(group.len() as u32).to_le_bytes())?;
            self.next.extend_from_slice(group)?;
            for (&id, &ty) in self.columns.iter().zip(self.types) {
                let value = store.value(id, row, ty);
                encode_key(value, KeyOrder::ASC, &mut |piece: &[u8]| self.next.extend_from_slice(piece))?;
            }
            if last[..] == self.next[..] {
                return Ok(false);
            }
            self.keys.push(shape.hash(group), group, rest)?;
            core::mem::swap(last, &mut self.next);
            return Ok(true);
        }
        self.keys.push(shape.hash(group), group, rest)?;
        Ok(true)
    }
}

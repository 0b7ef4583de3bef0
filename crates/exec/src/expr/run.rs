//! Runs programs over a batch: one instruction at a time, each over all rows of its level.

use cofferdam_plan::Span;
use cofferdam_types::Type;

use super::arithmetic;
use super::call;
use super::convert;
use super::kernel::{self, Comparison, SqlOrd, map1, validity1, validity2};
use super::program::{Inst, Level, Op, Order, Program, Set, Test};
use super::text;
use crate::batch::{
    BatchRows, Data, Element, Kind, Rows, Source, Store, TextView, Vector, VectorId, unpack_interval,
    value_at,
};
use crate::error::Error;

/// A failure, before the expression's place is known.
pub(super) type Outcome = Result<(), cofferdam_types::Error>;

impl<'a> Program<'a> {
    /// Evaluates the expression for the rows of a batch; the result stands in `self.result`.
    ///
    /// # Errors
    /// [`Error::Value`] and [`Error::Argument`] for values that have no result, [`Error::OutOfMemory`] for computed text.
    pub(crate) fn run(&mut self, store: &mut Store<'a>, batch: BatchRows) -> Result<(), Error<'a>> {
        let mut level = batch;
        let mut next = 0;
        while let Some(inst) = self.insts.get(next) {
            next += 1;
            match inst.op {
                Op::Use(target) => level = self.rows_of(target, batch),
                Op::JumpIfEmpty { level, target } => {
                    if store.rows(self.rows_of(level, batch)).len() == 0 {
                        next = target as usize;
                    }
                }
                Op::Narrow { test, from, to } => self.narrow(store, batch, test, inst.a, from, to),
                Op::Split { test, from, to } => self.split(store, batch, test, inst.a, from, to),
                Op::Call(index) => {
                    let call = &mut self.calls[index as usize];
                    call::call(store, level, inst, call, &mut self.scratch)?;
                }
                Op::LimitCharacters { count } => text::limit(store, level, inst, count)?,
                Op::Like { pattern, constant, escape, negated } => {
                    let pattern = &mut self.patterns[pattern as usize];
                    let escape = (!constant).then_some(escape);
                    text::like(store, level, inst, pattern, escape, negated)?;
                }
                _ => execute(store, level, batch.count, inst)?,
            }
        }
        Ok(())
    }

    fn rows_of(&self, level: Level, batch: BatchRows) -> BatchRows {
        match level.0.checked_sub(1) {
            None => batch,
            Some(index) => BatchRows { count: batch.count, selection: Some(self.levels[index as usize]) },
        }
    }

    fn narrow(
        &self,
        store: &mut Store<'a>,
        batch: BatchRows,
        test: Test,
        condition: VectorId,
        from: Level,
        to: Level,
    ) {
        let target = self.levels[to.0 as usize - 1];
        let mut selection = store.take_selection(target);
        let rows = store.rows(self.rows_of(from, batch));
        selection.count = passing(store.vector(condition), test, rows, selection.rows);
        store.put_selection_back(target, selection);
    }

    fn split(
        &self,
        store: &mut Store<'a>,
        batch: BatchRows,
        test: Test,
        condition: VectorId,
        from: Level,
        to: Level,
    ) {
        self.narrow(store, batch, test, condition, from, to);
        let source = self.levels[from.0 as usize - 1];
        let mut selection = store.take_selection(source);
        let vector = store.vector(condition);
        let mut kept = 0;
        for i in 0..selection.count {
            let row = selection.rows[i];
            selection.rows[kept] = row;
            kept += usize::from(!passes(vector, test, usize::from(row)));
        }
        selection.count = kept;
        store.put_selection_back(source, selection);
    }
}

/// Writes the rows that pass into `out`, and gives how many. `rows` may be shorter than `out` but not longer.
pub(crate) fn passing(condition: &Vector<'_>, test: Test, rows: Rows<'_>, out: &mut [u16]) -> usize {
    let mut count = 0;
    if test == Test::True && condition.all_valid && !condition.is_constant {
        let values = bool::read(&condition.data);
        // Written always and kept if the row passes: no branch that data decides.
        rows.for_each(|row| {
            out[count] = row as u16;
            count += usize::from(values[row]);
        });
        return count;
    }
    rows.for_each(|row| {
        out[count] = row as u16;
        count += usize::from(passes(condition, test, row));
    });
    count
}

/// Narrows a selection in place to the rows that pass.
pub(crate) fn narrow_in_place(condition: &Vector<'_>, selection: &mut [u16], count: usize) -> usize {
    let mut kept = 0;
    for i in 0..count {
        let row = selection[i];
        selection[kept] = row;
        kept += usize::from(passes(condition, Test::True, usize::from(row)));
    }
    kept
}

#[inline(always)]
fn passes(condition: &Vector<'_>, test: Test, row: usize) -> bool {
    let value = || match &condition.data {
        Data::Bool(values) => values[condition.at(row)],
        _ => false,
    };
    match test {
        Test::Any => true,
        Test::True => condition.is_valid(row) && value(),
        Test::NotFalse => !condition.is_valid(row) || value(),
        Test::NotTrue => !condition.is_valid(row) || !value(),
        Test::NotNull => condition.is_valid(row),
    }
}

/// Runs an instruction that writes a vector.
fn execute<'a>(
    store: &mut Store<'a>,
    level: BatchRows,
    count: usize,
    inst: &Inst<'a>,
) -> Result<(), Error<'a>> {
    match inst.op {
        Op::Clear => clear(store, count, inst.dst),
        Op::Copy => copy(store, level, inst)?,
        Op::Concat | Op::Lower | Op::Upper | Op::Substring { .. } | Op::Trim(_) => {
            text::transform(store, level, inst)?;
        }
        _ => {
            let mut dst = store.take(inst.dst);
            let outcome = compute(store, level, inst, &mut dst);
            store.put_back(inst.dst, dst);
            outcome.map_err(|error| Error::Value { error, span: inst.span })?;
        }
    }
    Ok(())
}

/// Computes values that are not text.
fn compute(store: &Store<'_>, level: BatchRows, inst: &Inst<'_>, dst: &mut Vector<'_>) -> Outcome {
    let rows = store.rows(level);
    let (a, b) = (store.vector(inst.a), store.vector(inst.b));
    match inst.op {
        Op::Compare(op, order) => {
            validity2(rows, a, b, dst);
            compare(store, op, order, rows, [a, b], dst);
        }
        Op::Distinct { negated, order } => distinct(store, order, rows, a, b, negated, dst),
        Op::And => {
            combine(
                rows,
                a,
                dst,
                |x, y| if x == Some(false) || y == Some(false) { Some(false) } else { both(x, y) },
            )
        }
        Op::Or => combine(rows, a, dst, |x, y| {
            if x == Some(true) || y == Some(true) { Some(true) } else { both(x, y).map(|_| false) }
        }),
        Op::Not => {
            validity1(rows, a, dst);
            map1(rows, a.values::<bool>(), bool::write(&mut dst.data), |v| !v);
        }
        Op::IsNull { negated } => {
            dst.all_valid = true;
            let out = bool::write(&mut dst.data);
            rows.for_each(|row| out[row] = a.is_valid(row) == negated);
        }
        Op::Replaces { greatest, order } => replaces(store, greatest, order, rows, [a, b], dst),
        Op::IsTruth { wanted, negated } => {
            dst.all_valid = true;
            let (values, out) = (a.values::<bool>(), bool::write(&mut dst.data));
            rows.for_each(|row| out[row] = (a.is_valid(row) && values.get(row) == wanted) != negated);
        }
        Op::Arithmetic { op, left, right, result } => {
            validity2(rows, a, b, dst);
            arithmetic::binary(op, (left, a), (right, b), result, rows, dst)?;
        }
        Op::Negate(ty) => {
            validity1(rows, a, dst);
            arithmetic::negate(ty, a, rows, dst)?;
        }
        Op::Abs(ty) => {
            validity1(rows, a, dst);
            arithmetic::abs(ty, a, rows, dst)?;
        }
        Op::Round { how, from, to } => {
            validity1(rows, a, dst);
            arithmetic::round(how, from, to, a, rows, dst)?;
        }
        Op::Cast { from, to } => {
            validity1(rows, a, dst);
            convert::cast(from, to, a, rows, dst)?;
        }
        Op::Extract { field, to } => {
            validity1(rows, a, dst);
            convert::extract(field, to, a, rows, dst)?;
        }
        Op::Length => {
            validity1(rows, a, dst);
            let out = i32::write(&mut dst.data);
            rows.for_each(|row| out[row] = text::characters(store.text(a, row)));
        }
        Op::InSet { set, has_null, negated } => in_set(store, set, has_null, negated, rows, a, dst),
        Op::Clear
        | Op::Copy
        | Op::Call(_)
        | Op::Concat
        | Op::Lower
        | Op::Upper
        | Op::Substring { .. }
        | Op::LimitCharacters { .. }
        | Op::Trim(_)
        | Op::Like { .. }
        | Op::Use(_)
        | Op::Narrow { .. }
        | Op::Split { .. }
        | Op::JumpIfEmpty { .. } => unreachable!("executed elsewhere"),
    }
    Ok(())
}

/// Whether each value of `b` takes the place of that of `a`.
fn replaces(
    store: &Store<'_>,
    greatest: bool,
    order: Order,
    rows: Rows<'_>,
    [a, b]: [&Vector<'_>; 2],
    dst: &mut Vector<'_>,
) {
    let op = if greatest { Comparison::Less } else { Comparison::Greater };
    compare(store, op, order, rows, [a, b], dst);
    dst.all_valid = true;
    let out = bool::write(&mut dst.data);
    rows.for_each(|row| out[row] = b.is_valid(row) && (!a.is_valid(row) || out[row]));
}

fn compare_intervals(op: Comparison, rows: Rows<'_>, a: &Vector<'_>, b: &Vector<'_>, dst: &mut Vector<'_>) {
    let span = |v: i128| unpack_interval(v).comparable_micros();
    let (a, b) = (a.values::<i128>(), b.values::<i128>());
    kernel::map2(rows, a, b, bool::write(&mut dst.data), |a, b| op.holds(span(a).cmp(&span(b))));
}

fn both(x: Option<bool>, y: Option<bool>) -> Option<bool> {
    match (x, y) {
        (Some(x), Some(y)) => Some(x && y),
        _ => None,
    }
}

/// `dst = f(dst, a)` in three-valued logic.
fn combine(
    rows: Rows<'_>,
    a: &Vector<'_>,
    dst: &mut Vector<'_>,
    f: impl Fn(Option<bool>, Option<bool>) -> Option<bool>,
) {
    let source = a.values::<bool>();
    if dst.all_valid && a.all_valid {
        let out = bool::write(&mut dst.data);
        rows.for_each(|row| out[row] = f(Some(out[row]), Some(source.get(row))).unwrap_or_default());
        return;
    }
    let capacity = dst.valid.len();
    dst.spell_out_validity(capacity);
    let out = bool::write(&mut dst.data);
    rows.for_each(|row| {
        let left = dst.valid[row].then_some(out[row]);
        let result = f(left, a.is_valid(row).then_some(source.get(row)));
        dst.valid[row] = result.is_some();
        out[row] = result.unwrap_or_default();
    });
}

/// Values one by one; false where one is NULL.
fn compare_values(
    store: &Store<'_>,
    op: Comparison,
    ty: Type,
    rows: Rows<'_>,
    [a, b]: [&Vector<'_>; 2],
    dst: &mut Vector<'_>,
) {
    let out = bool::write(&mut dst.data);
    rows.for_each(|row| {
        let order = value_at(store, a, row, ty).compare(&value_at(store, b, row, ty));
        out[row] = order.is_some_and(|order| op.holds(order));
    });
}

fn compare(
    store: &Store<'_>,
    op: Comparison,
    order: Order,
    rows: Rows<'_>,
    [a, b]: [&Vector<'_>; 2],
    dst: &mut Vector<'_>,
) {
    match order {
        Order::Kind => compare_kinds(store, op, rows, a, b, dst),
        Order::Interval => compare_intervals(op, rows, a, b, dst),
        Order::Padded => {
            let out = bool::write(&mut dst.data);
            compare_texts(store, op, rows, [a, b], (equal_padded, without_padding), out);
        }
        Order::Values(ty) => compare_values(store, op, ty, rows, [a, b], dst),
    }
}

fn compare_kinds(
    store: &Store<'_>,
    op: Comparison,
    rows: Rows<'_>,
    a: &Vector<'_>,
    b: &Vector<'_>,
    dst: &mut Vector<'_>,
) {
    let out = bool::write(&mut dst.data);
    match (&a.data, &b.data) {
        (Data::Bool(_), _) => kernel::compare(op, rows, a.values::<bool>(), b.values(), out),
        (Data::I32(_), _) => kernel::compare(op, rows, a.values::<i32>(), b.values(), out),
        (Data::I64(_), Data::I64(_)) => kernel::compare(op, rows, a.values::<i64>(), b.values(), out),
        (Data::I128(_), Data::I128(_)) => kernel::compare(op, rows, a.values::<i128>(), b.values(), out),
        (Data::I64(_), _) => {
            let (a, b) = (a.values::<i64>(), b.values::<i128>());
            kernel::map2(rows, a, b, out, |a, b| op.holds(SqlOrd::order(i128::from(a), b)));
        }
        (Data::I128(_), _) => {
            let (a, b) = (a.values::<i128>(), b.values::<i64>());
            kernel::map2(rows, a, b, out, |a, b| op.holds(SqlOrd::order(a, i128::from(b))));
        }
        (Data::F64(_), _) => kernel::compare(op, rows, a.values::<f64>(), b.values(), out),
        (Data::Text(_), _) => compare_texts(store, op, rows, [a, b], (|a, b| a == b, |bytes| bytes), out),
    }
}

/// Compares texts by what `part` gives of their bytes, and whether they are equal by `is_equal`.
fn compare_texts(
    store: &Store<'_>,
    op: Comparison,
    rows: Rows<'_>,
    [a, b]: [&Vector<'_>; 2],
    (is_equal, part): (impl Fn(&[u8], &[u8]) -> bool, impl Fn(&[u8]) -> &[u8]),
    out: &mut [bool],
) {
    let (heap_a, heap_b) = (store.heap(a.heap), store.heap(b.heap));
    let (a, b) = (a.values::<TextView>(), b.values::<TextView>());
    let (left, right) = (|view: TextView| view.of(heap_a), |view: TextView| view.of(heap_b));
    match op {
        // Lengths settle most inequalities without a look at the bytes: slices are compared so.
        Comparison::Equal => kernel::map2(rows, a, b, out, |a, b| is_equal(left(a), right(b))),
        Comparison::NotEqual => kernel::map2(rows, a, b, out, |a, b| !is_equal(left(a), right(b))),
        _ => kernel::map2(rows, a, b, out, |a, b| op.holds(part(left(a)).cmp(part(right(b))))),
    }
}

/// Whether texts are equal but for blanks at their ends. Those that differ mostly do so in the first byte.
fn equal_padded(a: &[u8], b: &[u8]) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let (start, end) = long.split_at(short.len());
    short.first() == start.first() && short == start && end.iter().all(|&byte| byte == b' ')
}

/// The bytes up to the blanks at their end.
fn without_padding(bytes: &[u8]) -> &[u8] {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b' ').count();
    &bytes[..bytes.len() - padding]
}

fn distinct(
    store: &Store<'_>,
    order: Order,
    rows: Rows<'_>,
    a: &Vector<'_>,
    b: &Vector<'_>,
    negated: bool,
    dst: &mut Vector<'_>,
) {
    compare(store, Comparison::NotEqual, order, rows, [a, b], dst);
    dst.all_valid = true;
    let out = bool::write(&mut dst.data);
    rows.for_each(|row| {
        let differs = match (a.is_valid(row), b.is_valid(row)) {
            (true, true) => out[row],
            (a, b) => a != b,
        };
        out[row] = differs != negated;
    });
}

fn in_set(
    store: &Store<'_>,
    set: Set<'_>,
    has_null: bool,
    negated: bool,
    rows: Rows<'_>,
    a: &Vector<'_>,
    dst: &mut Vector<'_>,
) {
    let capacity = dst.valid.len();
    validity1(rows, a, dst);
    if has_null {
        dst.spell_out_validity(capacity);
    }
    let (valid, out) = (&mut *dst.valid, bool::write(&mut dst.data));
    let mut put = |row: usize, found: bool| {
        out[row] = found != negated;
        if has_null && !found {
            valid[row] = false;
        }
    };
    match set {
        Set::Texts(texts) => {
            rows.for_each(|row| put(row, texts.binary_search(&store.text(a, row)).is_ok()));
        }
        Set::Numbers(numbers) => {
            let found = |n: i128| numbers.binary_search(&n).is_ok();
            match a.kind() {
                Kind::I32 => {
                    let values: Source<'_, i32> = a.values();
                    rows.for_each(|row| put(row, found(i128::from(values.get(row)))));
                }
                Kind::I64 => {
                    let values: Source<'_, i64> = a.values();
                    rows.for_each(|row| put(row, found(i128::from(values.get(row)))));
                }
                _ => {
                    let values: Source<'_, i128> = a.values();
                    rows.for_each(|row| put(row, found(values.get(row))));
                }
            }
        }
    }
}

/// Makes all rows NULL and forgets their text.
fn clear(store: &mut Store<'_>, count: usize, dst: VectorId) {
    let vector = store.vector_mut(dst);
    vector.all_valid = false;
    vector.valid[..count].fill(false);
    let (is_text, heap) = (vector.kind() == Kind::Text, vector.heap);
    if is_text {
        store.heap_mut(heap).clear();
    }
}

/// Copies the values of a level into a cleared vector.
fn copy<'a>(store: &mut Store<'a>, level: BatchRows, inst: &Inst<'a>) -> Result<(), Error<'a>> {
    let mut dst = store.take(inst.dst);
    let outcome = if dst.kind() == Kind::Text {
        let mut heap = store.take_heap(dst.heap);
        let outcome = copy_texts(store, level, inst, &mut dst, &mut heap);
        store.put_heap_back(dst.heap, heap);
        outcome
    } else {
        let (rows, a) = (store.rows(level), store.vector(inst.a));
        rows.for_each(|row| dst.valid[row] = a.is_valid(row));
        copy_values(rows, a, &mut dst);
        Ok(())
    };
    store.put_back(inst.dst, dst);
    outcome
}

fn copy_values(rows: Rows<'_>, a: &Vector<'_>, dst: &mut Vector<'_>) {
    match &mut dst.data {
        Data::Bool(out) => map1(rows, a.values::<bool>(), out, |v| v),
        Data::I32(out) => map1(rows, a.values::<i32>(), out, |v| v),
        Data::I64(out) => map1(rows, a.values::<i64>(), out, |v| v),
        Data::I128(out) if a.kind() == Kind::I64 => map1(rows, a.values::<i64>(), out, i128::from),
        Data::I128(out) => map1(rows, a.values::<i128>(), out, |v| v),
        Data::F64(out) => map1(rows, a.values::<f64>(), out, |v| v),
        Data::Text(_) => unreachable!("text is copied with its heap"),
    }
}

fn copy_texts<'a>(
    store: &Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
    dst: &mut Vector<'a>,
    heap: &mut cofferdam_arena::collections::Vec<'a, u8>,
) -> Result<(), Error<'a>> {
    let a = store.vector(inst.a);
    let (valid, out) = (&mut *dst.valid, TextView::write(&mut dst.data));
    store.rows(level).try_for_each(|row| {
        valid[row] = a.is_valid(row);
        if valid[row] {
            let start = heap.len();
            heap.extend_from_slice(store.text(a, row))?;
            out[row] = view(start, heap.len(), inst.span)?;
        }
        Ok(())
    })
}

/// A view of `start..end`.
///
/// # Errors
/// When the texts of one batch reach 4 GiB.
pub(super) fn view<'a>(start: usize, end: usize, span: Span) -> Result<TextView, Error<'a>> {
    match u32::try_from(end) {
        Ok(_) => Ok(TextView { start: start as u32, len: (end - start) as u32 }),
        Err(_) => Err(Error::too_much_text(span)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_texts_are_equal_without_their_blanks() {
        let texts = [
            "", " ", "    ", "a", "a ", "a   ", "a b", "a  b", "b", "ab", "ab ", " a", "é", "é ", "\0",
            "a\0", "a\t",
        ];
        for (a, b) in texts.iter().flat_map(|a| texts.map(|b| (*a, b))) {
            let expected = a.trim_end_matches(' ') == b.trim_end_matches(' ');
            assert_eq!(equal_padded(a.as_bytes(), b.as_bytes()), expected, "{a:?} {b:?}");
        }
    }
}

//! The states of aggregates: arrays by group number, one or two per aggregate.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc, append};
use cofferdam_plan::physical::AggregateFunction;
use cofferdam_types::{Excerpt, Type, unscaled};

use crate::batch::{Data, Element, Kind, Rows, Store, TextView, Vector, VectorId, unpack_interval};
use crate::expr::kernel::SqlOrd;
use crate::hash_table::Segments;

/// A text that is replaced by others; its room is used again where they fit.
type Kept = Vec<u8, BudgetAlloc>;

/// The states of one aggregate for all groups.
#[derive(Debug)]
pub(super) struct States {
    function: AggregateFunction,
    argument: Type,
    result: Type,
    /// Rows, or arguments that are not NULL.
    counts: Segments<i64>,
    values: Values,
}

#[derive(Debug)]
enum Values {
    None,
    Exact(Segments<i128>),
    Double(Segments<f64>),
    Text(Vec<Kept, BudgetAlloc>),
}

/// Why a state could not take a value, or give its result.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateError {
    OutOfMemory(AllocError),
    Value(cofferdam_types::Error),
}

impl From<AllocError> for StateError {
    fn from(error: AllocError) -> Self {
        StateError::OutOfMemory(error)
    }
}

impl States {
    pub(super) fn new(
        function: AggregateFunction,
        argument: Type,
        result: Type,
        pieces: &BudgetAlloc,
    ) -> States {
        let values = match (function, Kind::of(argument)) {
            (AggregateFunction::CountRows | AggregateFunction::Count, _) => Values::None,
            (_, Kind::F64) => Values::Double(Segments::new(pieces)),
            (_, Kind::Text) => Values::Text(Vec::new_in(pieces.clone())),
            _ => Values::Exact(Segments::new(pieces)),
        };
        States { function, argument, result, counts: Segments::new(pieces), values }
    }

    /// Makes room for so many groups.
    pub(super) fn grow(&mut self, groups: usize) -> Result<(), AllocError> {
        self.counts.grow(groups)?;
        match &mut self.values {
            Values::None => {}
            Values::Exact(values) => values.grow(groups)?,
            Values::Double(values) => values.grow(groups)?,
            Values::Text(texts) => {
                let missing = groups.saturating_sub(texts.len());
                texts.try_reserve(missing).map_err(|_| AllocError)?;
                let pieces = texts.allocator().clone();
                texts.extend((0..missing).map(|_| Kept::new_in(pieces.clone())));
            }
        }
        Ok(())
    }

    /// Counts rows, whatever is in them.
    pub(super) fn count_rows(&mut self, rows: Rows<'_>, groups: &[u32]) {
        rows.for_each(|row| *self.counts.at(groups[row] as usize) += 1);
    }

    /// Takes the arguments of rows; `groups` holds the group of each row of the batch.
    pub(super) fn update(
        &mut self,
        argument: &Vector<'_>,
        rows: Rows<'_>,
        groups: &[u32],
        store: &Store<'_>,
    ) -> Result<(), StateError> {
        if self.function == AggregateFunction::Count {
            rows.for_each(|row| {
                *self.counts.at(groups[row] as usize) += i64::from(argument.is_valid(row));
            });
            return Ok(());
        }
        match &argument.data {
            Data::I32(_) => self.exact::<i32>(argument, rows, groups),
            Data::I64(_) => self.exact::<i64>(argument, rows, groups),
            Data::I128(_) => self.exact::<i128>(argument, rows, groups),
            Data::F64(_) => {
                self.doubles(argument, rows, groups);
                Ok(())
            }
            Data::Text(_) => self.texts(argument, rows, groups, store),
            Data::Bool(_) => unreachable!("no aggregate but count takes booleans"),
        }
    }

    fn exact<T: Element + Into<i128>>(
        &mut self,
        argument: &Vector<'_>,
        rows: Rows<'_>,
        groups: &[u32],
    ) -> Result<(), StateError> {
        let Values::Exact(values) = &mut self.values else { unreachable!("made for exact arguments") };
        let (counts, source) = (&mut self.counts, argument.values::<T>());
        match self.function {
            AggregateFunction::Sum | AggregateFunction::Avg => {
                let result = self.result;
                rows.try_for_each(|row| {
                    if argument.is_valid(row) {
                        let group = groups[row] as usize;
                        let sum = values.at(group);
                        *sum = sum.checked_add(source.get(row).into()).ok_or_else(|| overflow(result))?;
                        *counts.at(group) += 1;
                    }
                    Ok(())
                })
            }
            _ => {
                let takes_least = self.function == AggregateFunction::Min;
                // Intervals are ordered by their days, a month being 30.
                let is_interval = self.argument == Type::Interval;
                let rank = |v: i128| match is_interval {
                    true => unpack_interval(v).comparable_micros(),
                    false => v,
                };
                rows.for_each(|row| {
                    if argument.is_valid(row) {
                        let group = groups[row] as usize;
                        let (best, value, count) =
                            (values.at(group), source.get(row).into(), counts.at(group));
                        if *count == 0 || is_better(rank(value), rank(*best), takes_least) {
                            *best = value;
                        }
                        *count += 1;
                    }
                });
                Ok(())
            }
        }
    }

    fn doubles(&mut self, argument: &Vector<'_>, rows: Rows<'_>, groups: &[u32]) {
        let Values::Double(values) = &mut self.values else { unreachable!("made for doubles") };
        let (counts, source) = (&mut self.counts, argument.values::<f64>());
        let adds = matches!(self.function, AggregateFunction::Sum | AggregateFunction::Avg);
        let takes_least = self.function == AggregateFunction::Min;
        rows.for_each(|row| {
            if argument.is_valid(row) {
                let group = groups[row] as usize;
                let (state, value, count) = (values.at(group), source.get(row), counts.at(group));
                if adds {
                    *state += value;
                } else if *count == 0 || is_better(value, *state, takes_least) {
                    *state = value;
                }
                *count += 1;
            }
        });
    }

    fn texts(
        &mut self,
        argument: &Vector<'_>,
        rows: Rows<'_>,
        groups: &[u32],
        store: &Store<'_>,
    ) -> Result<(), StateError> {
        let Values::Text(texts) = &mut self.values else { unreachable!("made for texts") };
        let counts = &mut self.counts;
        let wanted = if self.function == AggregateFunction::Min {
            core::cmp::Ordering::Less
        } else {
            core::cmp::Ordering::Greater
        };
        rows.try_for_each(|row| {
            if argument.is_valid(row) {
                let group = groups[row] as usize;
                let (kept, text, count) = (&mut texts[group], store.text(argument, row), counts.at(group));
                if *count == 0 || text.cmp(kept) == wanted {
                    kept.clear();
                    append(kept, text)?;
                }
                *count += 1;
            }
            Ok(())
        })
    }

    /// Writes the results of `count` groups from `first` on into the first rows of a vector.
    pub(super) fn finish(
        &self,
        first: usize,
        count: usize,
        target: VectorId,
        store: &mut Store<'_>,
    ) -> Result<(), StateError> {
        let mut vector = store.take(target);
        let outcome = self.finish_into(first, count, &mut vector, store);
        store.put_back(target, vector);
        outcome
    }

    fn finish_into(
        &self,
        first: usize,
        count: usize,
        vector: &mut Vector<'_>,
        store: &mut Store<'_>,
    ) -> Result<(), StateError> {
        let counts_only = matches!(self.function, AggregateFunction::CountRows | AggregateFunction::Count);
        vector.all_valid = true;
        if let Data::I64(out) = &mut vector.data
            && counts_only
        {
            for (row, out) in out[..count].iter_mut().enumerate() {
                *out = self.counts.get(first + row);
            }
            return Ok(());
        }
        vector.spell_out_validity(count);
        for row in 0..count {
            let group = first + row;
            let arguments = self.counts.get(group);
            vector.valid[row] = arguments > 0;
            if arguments == 0 {
                continue;
            }
            match (&self.values, &mut vector.data) {
                (Values::Text(texts), Data::Text(out)) => {
                    let heap = store.heap_mut(vector.heap);
                    if row == 0 {
                        heap.clear();
                    }
                    let kept = &texts[group];
                    out[row] = TextView { start: heap.len() as u32, len: kept.len() as u32 };
                    heap.extend_from_slice(kept)?;
                }
                (Values::Double(values), Data::F64(out)) => {
                    let value = values.get(group);
                    let is_mean = self.function == AggregateFunction::Avg;
                    out[row] = if is_mean { value / arguments as f64 } else { value };
                }
                (Values::Exact(values), data) => {
                    put_exact(self.exact_result(values.get(group), arguments)?, row, self.result, data)?;
                }
                _ => unreachable!("the result has the kind of its state"),
            }
        }
        Ok(())
    }

    /// The result of a group of exact numbers, unscaled.
    fn exact_result(&self, value: i128, arguments: i64) -> Result<i128, StateError> {
        if self.function != AggregateFunction::Avg {
            return Ok(value);
        }
        let scale = |ty| match ty {
            Type::Decimal { scale, .. } => i32::from(scale),
            _ => 0,
        };
        let shift = scale(self.result) - scale(self.argument);
        let mean = unscaled::div_shifted(value, i128::from(arguments), shift).map_err(StateError::Value)?;
        mean.ok_or_else(|| overflow(self.result))
    }
}

/// Stores an exact result, if the type can hold it.
fn put_exact(value: i128, row: usize, ty: Type, data: &mut Data<'_>) -> Result<(), StateError> {
    match data {
        Data::I32(out) => out[row] = i32::try_from(value).map_err(|_| overflow(ty))?,
        Data::I64(out) => out[row] = i64::try_from(value).map_err(|_| overflow(ty))?,
        Data::I128(out) if unscaled::fits(value, Type::DECIMAL_DIGITS_MAX) => out[row] = value,
        _ => return Err(overflow(ty)),
    }
    Ok(())
}

#[inline(always)]
fn is_better<T: SqlOrd>(value: T, best: T, takes_least: bool) -> bool {
    if takes_least { value.lt(best) } else { best.lt(value) }
}

#[cold]
fn overflow(ty: Type) -> StateError {
    let text = Excerpt::new(b"");
    StateError::Value(match ty {
        Type::Decimal { precision, scale } => {
            cofferdam_types::Error::NumericOverflow { precision, scale, text }
        }
        ty => cofferdam_types::Error::OutOfRange { ty, text },
    })
}

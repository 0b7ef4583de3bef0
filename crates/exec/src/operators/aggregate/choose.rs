//! What is chosen from the ordered rows of a group: percentiles and the mode.
//!
//! A percentile needs to know how many rows its group has before it reads them. That is counted in the group's state while the
//! rows go to the sort, so it is known when the group is in the table; hashes have the same order in the sort as in the files of
//! groups. Sorted rows are read once, group by group, and of each group one value is kept, or one for each fraction.
//!
//! **Peak bytes**: a batch of sorted rows, and the values chosen of one group.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_plan::physical::{Aggregate as PlanAggregate, AggregateFunction};
use cofferdam_types::key::{KeyOrder, encode_key};
use cofferdam_types::row::{decode_row, encode_row};
use cofferdam_types::{Type, Value, array, datetime};

use super::Disk;
use super::keys::KeyShape;
use super::ladder::{Ladder, LadderError};
use super::ordered::SortedRows;
use super::select::{Selected, Selector};
use crate::batch::Store;
use crate::error::ArgumentProblem;
use crate::operators::state::{State, StateError};
use crate::sorter::Sorter;

/// Chooses for one aggregate.
#[derive(Debug)]
pub(super) struct Chooser<'a> {
    /// Which of the aggregates, and which of the sorts.
    pub(super) aggregate: usize,
    sort: usize,
    /// What is selected from all rows instead, and by which of the selectors.
    selected: Option<(usize, Selected<'a>)>,
    function: AggregateFunction,
    /// Of the values.
    ty: Type,
    fraction_ty: Type,
    rows: SortedRows<'a>,
    /// The next of the rows.
    at: usize,
    is_over: bool,
    /// The key of the group that is read, and its hash.
    group: Option<u64>,
    key: Vec<'a, u8>,
    /// How many rows of it were read, of how many.
    read: u64,
    count: u64,
    fractions: Vec<'a, Fraction>,
    is_list: bool,
    /// The values that were chosen, each as a row encodes it.
    values: Vec<'a, u8>,
    mode: Mode<'a>,
    /// The result of the group that was read, until it is stored.
    result: Vec<'a, u8>,
}

/// One fraction, and the values that it chooses.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    /// `None` for NULL.
    part: Option<f64>,
    low: u64,
    high: u64,
    low_value: Value<'static>,
    high_value: Value<'static>,
    /// Where its value stands.
    start: usize,
    end: usize,
}

/// The value that is there most often so far.
#[derive(Debug)]
struct Mode<'a> {
    /// The value of now, as a key, and how often it was there.
    now: Vec<'a, u8>,
    times: u64,
    best: u64,
    /// Whether the value of now is the one that was kept.
    is_best: bool,
    next: Vec<'a, u8>,
}

/// How far choosing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// A batch of rows was read.
    More,
    /// All groups of the table have their results.
    All,
    /// A result did not fit, and the groups went to files.
    Flushed,
}

impl<'a> Chooser<'a> {
    pub(super) fn open(
        plan: &PlanAggregate<'a>,
        aggregate: usize,
        (sort, selected): (usize, Option<(usize, Selected<'a>)>),
        has_groups: bool,
        store: &mut Store<'a>,
        arena: &'a Arena,
    ) -> Result<Chooser<'a>, AllocError> {
        let vec = || Vec::new_in(arena);
        Ok(Chooser {
            aggregate,
            sort,
            selected,
            function: plan.function,
            ty: plan.order_by.first().map_or(Type::Unknown, |key| key.expr.ty),
            fraction_ty: plan.args.first().map_or(Type::Unknown, |arg| arg.ty),
            rows: SortedRows::open(plan, (true, has_groups), store, arena)?,
            at: 0,
            is_over: false,
            group: None,
            key: vec(),
            read: 0,
            count: 0,
            fractions: Vec::new_in(arena),
            is_list: false,
            values: vec(),
            mode: Mode { now: vec(), times: 0, best: 0, is_best: false, next: vec() },
            result: vec(),
        })
    }

    /// Reads sorted rows up to those of groups behind the table's, and stores what is chosen.
    ///
    /// # Errors
    /// Those of files, and of fractions; there is no room for one group's result.
    pub(super) fn run(
        &mut self,
        (sorters, selectors): (&mut [Sorter], &mut [Selector]),
        ladder: &mut Ladder,
        state: (&State, &[State]),
        shape: &KeyShape<'_>,
        store: &mut Store<'a>,
        disk: &Disk<'_>,
    ) -> Result<Chosen, LadderError> {
        if let Some((index, selected)) = self.selected {
            return self.select(selected, &mut selectors[index], ladder, state, shape, disk);
        }
        let end = ladder.hash_end();
        let aggregate = self.aggregate;
        let sorter = &mut sorters[self.sort];
        if self.at == self.rows.rows_count() && !self.is_over {
            self.is_over = sorter.advance(store.capacity, disk.is_cancelled)? == 0;
            self.rows.decode(sorter, store)?;
            self.at = 0;
        }
        while self.at < self.rows.rows_count() {
            let key = self.rows.group(self.at, store);
            if self.group.is_none() || (!key.is_empty() && self.key[..] != *key) {
                if !self.store_result(ladder, state, disk)? {
                    return Ok(Chosen::Flushed);
                }
                let hash = shape.hash(self.rows.group(self.at, store));
                if hash > end {
                    return Ok(Chosen::All);
                }
                self.begin(hash, ladder, state.0, store)
                    .map_err(|error| LadderError::State(aggregate, error))?;
            }
            if self.wants_next() {
                let value_column = self.rows.columns[self.rows.columns.len() - 1];
                let value = store.value(value_column, self.at, self.ty);
                self.take(value)?;
            }
            self.read += 1;
            self.at += 1;
        }
        if !self.is_over {
            return Ok(Chosen::More);
        }
        match self.store_result(ladder, state, disk)? {
            true => Ok(Chosen::All),
            false => Ok(Chosen::Flushed),
        }
    }

    /// Finds the values at the ranks that the fraction chooses from all rows, and stores the result.
    fn select(
        &mut self,
        selected: Selected<'a>,
        selector: &mut Selector,
        ladder: &mut Ladder,
        state: (&State, &[State]),
        shape: &KeyShape<'_>,
        disk: &Disk<'_>,
    ) -> Result<Chosen, LadderError> {
        if !self.is_over && selector.count() > 0 {
            self.count = selector.count();
            let begun = self.add_fraction(selected.fraction);
            begun.map_err(|error| LadderError::State(self.aggregate, error))?;
            let (low, high) =
                self.fractions.first().map_or((u64::MAX, u64::MAX), |part| (part.low, part.high));
            let is_new = |&rank: &u64| rank < u64::MAX;
            for rank in [low].into_iter().chain((high != low).then_some(high)).filter(is_new) {
                self.read = rank;
                self.take(selected.value(selector.nth(rank, disk.is_cancelled)?))?;
            }
            self.group = Some(shape.hash(&[]));
        }
        self.is_over = true;
        Ok(if self.store_result(ladder, state, disk)? { Chosen::All } else { Chosen::Flushed })
    }

    /// Begins a group.
    fn begin(
        &mut self,
        hash: u64,
        ladder: &Ladder,
        state: &State,
        store: &Store<'a>,
    ) -> Result<(), StateError> {
        let key = self.rows.group(self.at, store);
        self.key.clear();
        self.key.extend_from_slice(key)?;
        let place = ladder.table.get(hash, key);
        self.count = place.map_or(0, |place| state.chosen_rows(ladder.table.row(place).states));
        self.group = Some(hash);
        self.read = 0;
        self.values.clear();
        self.fractions.clear();
        (self.mode.times, self.mode.best, self.mode.is_best) = (0, 0, false);
        self.mode.now.clear();
        if self.function == AggregateFunction::Mode {
            return Ok(());
        }
        let fraction = store.value(self.rows.columns[0], self.at, self.fraction_ty);
        self.is_list = matches!(self.fraction_ty, Type::Array(_));
        match fraction {
            Value::Array(list) => {
                for part in list.iter() {
                    self.add_fraction(part)?;
                }
            }
            part => self.add_fraction(part)?,
        }
        Ok(())
    }

    fn add_fraction(&mut self, part: Value<'_>) -> Result<(), StateError> {
        let part = match part {
            Value::Double(part) => Some(part),
            _ => None,
        };
        let (mut low, mut high) = (u64::MAX, u64::MAX);
        if let Some(part) = part {
            if !(0.0..=1.0).contains(&part) {
                let problem = ArgumentProblem::FractionOutOfRange { fraction: part.to_bits() };
                return Err(StateError::Argument(problem));
            }
            (low, high) = match self.function {
                AggregateFunction::PercentileCont => {
                    let position = part * (self.count.saturating_sub(1)) as f64;
                    (position.floor() as u64, position.ceil() as u64)
                }
                _ => {
                    let row = (part * self.count as f64).ceil() as u64;
                    (row.max(1) - 1, u64::MAX)
                }
            };
        }
        let (low_value, high_value) = (Value::Null, Value::Null);
        self.fractions.push(Fraction { part, low, high, low_value, high_value, start: 0, end: 0 })?;
        Ok(())
    }

    /// Whether the group's next value counts.
    fn wants_next(&self) -> bool {
        let is_at = |fraction: &Fraction| fraction.low == self.read || fraction.high == self.read;
        self.function == AggregateFunction::Mode || self.fractions.iter().any(is_at)
    }

    /// Takes the next value of the group; where there is no room it can be taken again.
    fn take(&mut self, value: Value<'_>) -> Result<(), AllocError> {
        let read = self.read;
        match self.function {
            AggregateFunction::Mode => self.take_for_mode(value)?,
            AggregateFunction::PercentileCont => {
                for fraction in self.fractions.iter_mut() {
                    if fraction.low == read {
                        fraction.low_value = number(value);
                    }
                    if fraction.high == read {
                        fraction.high_value = number(value);
                    }
                }
            }
            _ => {
                for fraction in self.fractions.iter_mut().filter(|fraction| fraction.low == read) {
                    let start = self.values.len();
                    encode_row(value, &mut |piece: &[u8]| self.values.extend_from_slice(piece))?;
                    (fraction.start, fraction.end) = (start, self.values.len());
                }
            }
        }
        Ok(())
    }

    fn take_for_mode(&mut self, value: Value<'_>) -> Result<(), AllocError> {
        let Mode { now, times, best, is_best, next } = &mut self.mode;
        next.clear();
        encode_key(value, KeyOrder::ASC, &mut |piece: &[u8]| next.extend_from_slice(piece))?;
        let is_same = *times > 0 && next[..] == now[..];
        let run = if is_same { *times + 1 } else { 1 };
        *is_best &= is_same;
        if run > *best {
            // A run that is the longest has its value there already when it becomes longer.
            if !*is_best {
                self.values.clear();
                encode_row(value, &mut |piece: &[u8]| self.values.extend_from_slice(piece))?;
                *is_best = true;
            }
            *best = run;
        }
        *times = run;
        if !is_same {
            core::mem::swap(now, next);
        }
        Ok(())
    }

    /// Stores what was chosen of the group that was read; false if the groups went to files to make room, and it is stored later.
    fn store_result(
        &mut self,
        ladder: &mut Ladder,
        (state, states): (&State, &[State]),
        disk: &Disk<'_>,
    ) -> Result<bool, LadderError> {
        let Some(hash) = self.group.filter(|&hash| hash <= ladder.hash_end()) else { return Ok(true) };
        let aggregate = self.aggregate;
        let failed = |error| LadderError::State(aggregate, error);
        if !self.finish().map_err(failed)? {
            self.group = None;
            return Ok(true);
        }
        let Some(place) = ladder.table.get(hash, &self.key) else {
            self.group = None;
            return Ok(true);
        };
        match state.merge_blob(&mut ladder.table, place, &self.result) {
            Ok(()) => {
                self.group = None;
                Ok(true)
            }
            Err(StateError::OutOfMemory(refused)) if ladder.table.len() == 1 => {
                Err(LadderError::TooLarge(refused))
            }
            Err(StateError::OutOfMemory(refused)) => {
                ladder.flush_behind(None, states, refused, disk)?;
                Ok(false)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Puts the result together; false if it is NULL.
    fn finish(&mut self) -> Result<bool, StateError> {
        self.result.clear();
        let Chooser { result, values, fractions, function, ty, .. } = self;
        let mut put = |piece: &[u8]| result.extend_from_slice(piece);
        if *function == AggregateFunction::Mode {
            put(values)?;
            return Ok(true);
        }
        let value_of = |fraction: &Fraction| -> Result<Value<'_>, StateError> {
            match (fraction.part, *function) {
                (None, _) => Ok(Value::Null),
                (Some(part), AggregateFunction::PercentileCont) => {
                    between(part * (self.count.saturating_sub(1)) as f64, fraction)
                }
                _ => {
                    let encoded = &values[fraction.start..fraction.end];
                    let decoded = decode_row(encoded, *ty).map_err(StateError::Value)?;
                    Ok(decoded.0)
                }
            }
        };
        if !self.is_list {
            let Some(fraction) = fractions.first() else { return Ok(false) };
            let value = value_of(fraction)?;
            encode_row(value, &mut put)?;
            return Ok(!value.is_null());
        }
        // An array as a row encodes it: its length first, so its bytes are put together behind the values.
        let start = values.len();
        let mut list = Vec::new_in(values.arena());
        for fraction in fractions.iter() {
            list.push(value_of(fraction)?)?;
        }
        let mut bytes = Vec::new_in(values.arena());
        array::encode(list.iter().copied(), &mut |piece: &[u8]| bytes.extend_from_slice(piece))?;
        debug_assert_eq!(start, values.len());
        let element = cofferdam_types::Element::of(match *function {
            AggregateFunction::PercentileCont if *ty != Type::Interval => Type::Double,
            _ => *ty,
        });
        let Some(element) = element else { return Ok(false) };
        let list = cofferdam_types::ArrayRef::new(&bytes, element).map_err(StateError::Value)?;
        encode_row(Value::Array(list), &mut put)?;
        Ok(true)
    }
}

/// A number or an interval, which borrow nothing.
fn number(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Double(number) => Value::Double(number),
        Value::Interval(interval) => Value::Interval(interval),
        _ => Value::Null,
    }
}

/// The value at a position between two rows.
fn between(position: f64, fraction: &Fraction) -> Result<Value<'static>, StateError> {
    if fraction.low == fraction.high {
        return Ok(fraction.low_value);
    }
    let part = position - fraction.low as f64;
    match (fraction.low_value, fraction.high_value) {
        (Value::Double(low), Value::Double(high)) => Ok(Value::Double(low + part * (high - low))),
        (Value::Interval(low), Value::Interval(high)) => {
            let distance = high.checked_sub(low).and_then(|distance| datetime::multiply(distance, part));
            let value = distance.and_then(|distance| distance.checked_add(low));
            Ok(Value::Interval(value.map_err(StateError::Value)?))
        }
        _ => Ok(Value::Null),
    }
}

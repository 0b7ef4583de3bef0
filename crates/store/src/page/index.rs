//! Numbers by row: a series, or runs of equal ones.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;

use super::avx2;
use super::bytes::Input;
use super::series::{Lane, Plan, Series};

/// Runs that are unpacked at a time.
const BLOCK: usize = 128;
/// Rows that a short run is written with.
const SHORT: usize = 8;

/// A number for each row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Index<'p> {
    /// One after the other.
    Series(Series<'p>),
    /// One for each run.
    Runs(Runs<'p>),
}

/// Runs of rows with the same number. Run `i` has the rows from the end of the one before up to `ends[i]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'p> {
    /// How many, 1 at the least.
    count: usize,
    /// Of 32 bits.
    ends: Series<'p>,
    values: Series<'p>,
}

impl<'p> Index<'p> {
    /// The number of a row; any number if there is no such row.
    #[inline(always)]
    pub(super) fn get(&self, row: usize) -> i64 {
        match self {
            Index::Series(series) => series.get(row),
            Index::Runs(runs) => runs.values.get(runs.run_of(row)),
        }
    }

    /// Writes the numbers of the rows from `start` on to `out`.
    pub(super) fn unpack<T: Lane>(&self, start: usize, out: &mut [T]) {
        match self {
            Index::Series(series) => series.unpack(start, out),
            Index::Runs(runs) => runs.unpack(start, out),
        }
    }

    /// Writes the numbers of the rows, which should ascend, to `out`.
    pub(super) fn gather<T: Lane>(&self, rows: &[u16], out: &mut [T]) {
        let slots = out.iter_mut().zip(rows.iter().map(|row| usize::from(*row)));
        match self {
            Index::Series(series) => slots.for_each(|(slot, row)| *slot = T::of(series.get(row))),
            Index::Runs(runs) => {
                let (mut covered, mut value) = (0..0, T::of(0));
                for (slot, row) in slots {
                    if !covered.contains(&row) {
                        let run = runs.run_of(row);
                        covered = row..runs.end_of(run);
                        value = T::of(runs.values.get(run));
                    }
                    *slot = value;
                }
            }
        }
    }
}

impl<'p> Runs<'p> {
    /// Reads runs, whose ends are not looked at.
    pub(super) fn parse(input: &mut Input<'p>) -> Result<Runs<'p>, &'static str> {
        let count = input.short()?;
        if count == 0 {
            return Err("there are no runs");
        }
        let ends = Series::parse(input, count)?;
        if !ends.is_small(count) {
            return Err("a run ends behind every page");
        }
        let values = Series::parse(input, count)?;
        Ok(Runs { count, ends, values })
    }

    /// Whether every run has a row, and they end with the last one.
    pub(super) fn check(&self, rows: usize) -> Result<(), &'static str> {
        let (mut ends, mut before, mut ascend) = ([0i32; BLOCK], 0, true);
        for first in (0..self.count).step_by(BLOCK) {
            let ends = ends.get_mut(..(self.count - first).min(BLOCK)).unwrap_or_default();
            self.ends.unpack(first, ends);
            ascend &= ends.first().is_some_and(|end| before < *end);
            // To the end in any case: without a branch it is many at a time.
            let pairs = ends.iter().zip(ends.get(1..).unwrap_or_default());
            ascend = pairs.fold(ascend, |ascend, (end, next)| ascend & (end < next));
            before = ends.last().copied().unwrap_or(before);
        }
        if !ascend {
            return Err("a run ends before it begins");
        }
        if before != rows as i32 {
            return Err("the last run does not end with the last row");
        }
        Ok(())
    }

    /// The run of a row; the last one if there is no such row.
    fn run_of(&self, row: usize) -> usize {
        self.first_run(|run| self.ends.get(run) > row as i64)
    }

    /// The first run for which `is_behind` is true, where it is true for all behind it; the last one if there is none.
    #[inline(always)]
    fn first_run(&self, is_behind: impl Fn(usize) -> bool) -> usize {
        let (mut first, mut left) = (0, self.count);
        while left > 1 {
            let half = left / 2;
            // A product, since a branch would be predicted wrong half of the time.
            first += half * usize::from(!is_behind(first + half - 1));
            left -= half;
        }
        first
    }

    /// Where a run ends: beyond every row if it is the last one, whatever the page says.
    fn end_of(&self, run: usize) -> usize {
        if run + 1 < self.count { usize::try_from(self.ends.get(run)).unwrap_or(0) } else { usize::MAX }
    }

    fn unpack<T: Lane>(&self, start: usize, out: &mut [T]) {
        let (mut ends, mut values) = ([0i32; BLOCK], [T::of(0); BLOCK]);
        let (mut run, mut at) = (self.run_of(start), 0);
        while at < out.len() {
            let count = (self.count - run).min(BLOCK);
            let (Some(ends), Some(values)) = (ends.get_mut(..count), values.get_mut(..count)) else { return };
            self.ends.unpack(run, ends);
            self.values.unpack(run, values);
            run += count;
            let (first, last) = (start as i32, out.len() as i32);
            avx2::with_avx2(|| ends.iter_mut().for_each(|end| *end = end.wrapping_sub(first).clamp(0, last)));
            if run == self.count {
                // Beyond every row, whatever the page says.
                ends.last_mut().into_iter().for_each(|end| *end = last);
            }
            at = avx2::with_avx2(|| fill_runs(ends, values, at, out));
        }
    }

    /// As `Page::partition_point`, by runs.
    pub(super) fn partition_point(
        &self,
        range: core::ops::Range<usize>,
        mut before: impl FnMut(i64) -> bool,
    ) -> usize {
        let (mut first, mut left) = (self.run_of(range.start), self.run_of(range.end.saturating_sub(1)) + 1);
        left = left.saturating_sub(first);
        while left > 0 {
            let half = left / 2;
            if before(self.values.get(first + half)) {
                first += half + 1;
                left -= half + 1;
            } else {
                left = half;
            }
        }
        let row = if first == 0 { 0 } else { self.end_of(first - 1) };
        row.clamp(range.start, range.end)
    }
}

/// Writes each value to the rows from the end of the run before, of the first from `at`, and gives the last end. Whatever the
/// ends are, nothing else happens than that rows have other values.
#[inline(always)]
fn fill_runs<T: Copy>(ends: &[i32], values: &[T], mut at: usize, out: &mut [T]) -> usize {
    for (end, value) in ends.iter().zip(values) {
        let end = *end as usize;
        match out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<SHORT>()) {
            // Most runs are short: what this writes too much, the next run overwrites.
            Some(short) if end <= at + SHORT => *short = [*value; SHORT],
            _ => out.get_mut(at..end).unwrap_or_default().fill(*value),
        }
        at = end;
    }
    at
}

/// How an index will be written.
#[derive(Clone, Copy, Debug)]
pub(super) enum IndexPlan {
    Series(Plan),
    Runs { ends: Plan, values: Plan },
}

impl IndexPlan {
    /// The smaller of both forms. Runs have to save an eighth, since a row's run has to be searched; `ends` are where
    /// they end, none if there are too many.
    pub(super) fn of<N: Copy + Into<i64>>(values: &[N], ends: &[u16]) -> IndexPlan {
        let series = Plan::of(values.iter().map(|value| (*value).into()));
        if ends.is_empty() || series.width() == 0 {
            return IndexPlan::Series(series);
        }
        let runs =
            IndexPlan::Runs { ends: Plan::of(ends_of(ends)), values: Plan::of(values_of(values, ends)) };
        if runs.bytes() < series.bytes() / 8 * 7 { runs } else { IndexPlan::Series(series) }
    }

    /// Bytes of the index.
    pub(super) fn bytes(&self) -> usize {
        match self {
            IndexPlan::Series(plan) => plan.bytes(),
            IndexPlan::Runs { ends, values } => 2 + ends.bytes() + values.bytes(),
        }
    }

    /// Bits of a value.
    pub(super) fn width(&self) -> u32 {
        match self {
            IndexPlan::Series(plan) | IndexPlan::Runs { values: plan, .. } => plan.width(),
        }
    }

    /// Appends the index of the values and ends that it was planned for.
    pub(super) fn write<N: Copy + Into<i64>>(
        &self,
        values: &[N],
        ends: &[u16],
        out: &mut Vec<'_, u8>,
    ) -> Result<(), AllocError> {
        match self {
            IndexPlan::Series(plan) => plan.write(values.iter().map(|value| (*value).into()), out),
            IndexPlan::Runs { ends: ends_plan, values: values_plan } => {
                out.extend_from_slice(&(ends.len() as u16).to_le_bytes())?;
                ends_plan.write(ends_of(ends), out)?;
                values_plan.write(values_of(values, ends), out)
            }
        }
    }
}

fn ends_of(ends: &[u16]) -> impl Iterator<Item = i64> + Clone {
    ends.iter().map(|end| i64::from(*end))
}

fn values_of<N: Copy + Into<i64>>(values: &[N], ends: &[u16]) -> impl Iterator<Item = i64> + Clone {
    ends.iter().map(|end| values.get(usize::from(*end) - 1).map_or(0, |value| (*value).into()))
}

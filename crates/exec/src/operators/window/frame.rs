//! Which rows a window function looks at.
//!
//! Frames of consecutive rows begin and end at rows that never go back, so each bound is a place that moves forward: over all
//! rows of a partition it costs a look at each row. An exclusion cuts at most two pieces out of a frame, which leaves
//! up to three ranges.
//!
//! Bounds of `RANGE` with a distance are columns of the input: the key less or plus the distance. Keys are compared with them as
//! sort keys, so directions and places of NULL are those of the order: a row whose key is NULL has its peers as its frame.

use cofferdam_arena::{Budget, Growing};
use cofferdam_plan::Span;
use cofferdam_plan::physical::{Frame, FrameBound, FrameExclusion, FrameMode, SortKey};
use cofferdam_types::key::{KeyOrder, encode_key};
use cofferdam_types::{Date, Time, Timestamp, Type, Value};

use super::{Partition, integer, is_unbounded};
use crate::batch::Store;
use crate::error::{ArgumentProblem, Error};
use crate::pipeline::Context;
use crate::spill::{IsCancelled, SpillFailure};

/// Whether each frame has the rows of the one before.
pub(super) fn only_grows(frame: &Frame) -> bool {
    is_unbounded(frame.start) && frame.exclusion == FrameExclusion::NoOthers
}

/// The row of now, and its peers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    pub(super) row: u64,
    /// The number of its peers, from 1.
    pub(super) peers: u64,
    /// The first of its peers.
    pub(super) peers_start: u64,
    /// Behind the last of them, as far as that is known.
    peers_end: u64,
}

impl Position {
    /// Comes to a row that is there.
    pub(super) fn enter(
        &mut self,
        partition: &mut Partition<'_>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        if !partition.has_order() {
            self.peers = 1;
        } else if self.row >= self.peers_end {
            let peers = partition.peers_of(self.row, is_cancelled)?;
            if peers != self.peers {
                (self.peers, self.peers_start) = (peers, self.row);
            }
            self.peers_end = self.row + 1;
        }
        Ok(())
    }

    /// Behind the last peer.
    pub(super) fn peers_end<'a>(
        &mut self,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<u64, Error<'a>> {
        if !partition.has_order() {
            return partition.rows_count(store, cx);
        }
        while partition.ensure(self.peers_end, store, cx)?
            && partition.peers_of(self.peers_end, cx.is_cancelled)? == self.peers
        {
            self.peers_end += 1;
        }
        Ok(self.peers_end)
    }
}

/// Up to three ranges of rows, ascending, none of them empty but those behind the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    ranges: [(u64, u64); 3],
}

impl Ranges {
    /// The rows of a frame that an exclusion leaves: those outside of `hole`, and `row` if it stays.
    fn new(frame: (u64, u64), hole: (u64, u64), kept: Option<u64>) -> Ranges {
        let (start, end) = frame;
        let mut ranges = Ranges::default();
        ranges.add(start, end.min(hole.0));
        if let Some(row) = kept {
            ranges.add(row.max(start), (row + 1).min(end));
        }
        ranges.add(start.max(hole.1), end);
        ranges
    }

    fn add(&mut self, start: u64, end: u64) {
        if start >= end {
            return;
        }
        for range in &mut self.ranges {
            if range.1 == start && range.0 < range.1 {
                range.1 = end;
                return;
            }
            if range.0 == range.1 {
                *range = (start, end);
                return;
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.ranges.iter().copied().filter(|(start, end)| start < end)
    }

    /// The only range; `None` where there are more. An empty one for no rows.
    pub(super) fn single(&self) -> Option<(u64, u64)> {
        (self.ranges[1].0 == self.ranges[1].1).then_some(self.ranges[0])
    }

    /// The row with a number, from 0.
    pub(super) fn nth(&self, mut number: u64) -> Option<u64> {
        for (start, end) in self.iter() {
            if number < end - start {
                return Some(start + number);
            }
            number -= end - start;
        }
        None
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.iter().last().map(|(_, end)| end - 1)
    }
}

/// The frames of a function.
#[derive(Debug)]
pub(super) struct Frames {
    frame: Frame,
    key: Option<SortKey>,
    span: Span,
    /// The frame of the last row that was asked for; both only go forward.
    start: u64,
    end: u64,
    /// The offsets, which are those of all rows.
    start_offset: Option<u64>,
    end_offset: Option<u64>,
    /// A bound, and a key, as bytes.
    bound: Growing<u8>,
    other: Growing<u8>,
}

impl Frames {
    pub(super) fn new(frame: Frame, order: &[SortKey], span: Span, budget: &Budget) -> Frames {
        Frames {
            frame,
            key: order.first().copied(),
            span,
            start: 0,
            end: 0,
            start_offset: None,
            end_offset: None,
            bound: Growing::new(budget),
            other: Growing::new(budget),
        }
    }

    /// Another partition begins.
    pub(super) fn begin(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Whether each frame has the rows of the one before.
    pub(super) fn only_grows(&self) -> bool {
        only_grows(&self.frame)
    }

    /// The first row that bounds of later rows look at, when the next row to come is `row`.
    pub(super) fn needs(&self, row: u64) -> u64 {
        if self.frame.mode == FrameMode::Rows {
            return row;
        }
        let start = if is_unbounded(self.frame.start) { row } else { self.start };
        let end = if is_unbounded(self.frame.end) { row } else { self.end };
        row.min(start).min(end)
    }

    /// The first row that frames of later rows may have.
    pub(super) fn first_row(&self) -> u64 {
        self.start
    }

    /// The frame of the row of now.
    ///
    /// # Errors
    /// Offsets that are none; those of reading on.
    pub(super) fn of_row<'a>(
        &mut self,
        position: &mut Position,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Ranges, Error<'a>> {
        self.read_offsets(position.row, partition, cx.is_cancelled)?;
        self.start = self.start_of(position, partition, store, cx)?;
        self.end = self.end_of(position, partition, store, cx)?.max(self.end);
        let frame = (self.start, self.end);
        let row = position.row;
        Ok(match self.frame.exclusion {
            FrameExclusion::NoOthers => Ranges::new(frame, frame, None).or_whole(frame),
            FrameExclusion::CurrentRow => Ranges::new(frame, (row, row + 1), None),
            FrameExclusion::Group => {
                let hole = (position.peers_start, position.peers_end(partition, store, cx)?);
                Ranges::new(frame, hole, None)
            }
            FrameExclusion::Ties => {
                let hole = (position.peers_start, position.peers_end(partition, store, cx)?);
                Ranges::new(frame, hole, Some(row))
            }
        })
    }

    /// Reads the offsets of the first row, which are those of all.
    fn read_offsets<'a>(
        &mut self,
        row: u64,
        partition: &mut Partition<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        if self.frame.mode == FrameMode::Range {
            return Ok(());
        }
        let column = |bound| match bound {
            FrameBound::Preceding(column) | FrameBound::Following(column) => Some(column as usize),
            FrameBound::Unbounded | FrameBound::CurrentRow => None,
        };
        let bounds = [(self.frame.start, true), (self.frame.end, false)];
        for (bound, is_start) in bounds {
            let known = if is_start { &mut self.start_offset } else { &mut self.end_offset };
            let Some(column) = column(bound).filter(|_| known.is_none()) else { continue };
            let (_, bytes) = partition.log.get(row, is_cancelled)?;
            let problem = match integer(partition.columns.value(bytes, column)) {
                Some(offset @ 0..) => {
                    *known = Some(offset as u64);
                    continue;
                }
                Some(_) => ArgumentProblem::FrameOffsetNegative { is_start },
                None => ArgumentProblem::FrameOffsetNull { is_start },
            };
            return Err(Error::Argument { problem, span: self.span });
        }
        Ok(())
    }

    /// Where the frame begins, be that behind its end.
    fn start_of<'a>(
        &mut self,
        position: &mut Position,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<u64, Error<'a>> {
        let offset = self.start_offset.unwrap_or(0);
        match (self.frame.mode, self.frame.start) {
            (_, FrameBound::Unbounded) => Ok(0),
            (FrameMode::Rows, FrameBound::CurrentRow) => Ok(position.row),
            (_, FrameBound::CurrentRow) => Ok(position.peers_start),
            (FrameMode::Rows, FrameBound::Preceding(_)) => Ok(position.row.saturating_sub(offset)),
            (FrameMode::Rows, FrameBound::Following(_)) => Ok(position.row.saturating_add(offset)),
            (FrameMode::Groups, bound) => {
                let least = match bound {
                    FrameBound::Preceding(_) => position.peers.saturating_sub(offset),
                    _ => position.peers.saturating_add(offset),
                };
                self.forward(self.start, partition, store, cx, |peers| peers < least)
            }
            (FrameMode::Range, FrameBound::Preceding(column) | FrameBound::Following(column)) => {
                self.seek(self.start, column as usize, false, position.row, partition, store, cx)
            }
        }
    }

    /// Behind the frame's last row.
    fn end_of<'a>(
        &mut self,
        position: &mut Position,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<u64, Error<'a>> {
        let offset = self.end_offset.unwrap_or(0);
        match (self.frame.mode, self.frame.end) {
            (_, FrameBound::Unbounded) => partition.rows_count(store, cx),
            (FrameMode::Rows, FrameBound::CurrentRow) => Ok(position.row + 1),
            (_, FrameBound::CurrentRow) => position.peers_end(partition, store, cx),
            (FrameMode::Rows, FrameBound::Preceding(_)) => Ok((position.row + 1).saturating_sub(offset)),
            (FrameMode::Rows, FrameBound::Following(_)) => {
                let last = position.row.saturating_add(offset);
                Ok(if partition.ensure(last, store, cx)? { last + 1 } else { partition.log.rows_count() })
            }
            (FrameMode::Groups, bound) => {
                let most = match bound {
                    FrameBound::Preceding(_) if offset >= position.peers => 0,
                    FrameBound::Preceding(_) => position.peers - offset,
                    _ => position.peers.saturating_add(offset),
                };
                self.forward(self.end, partition, store, cx, |peers| peers <= most)
            }
            (FrameMode::Range, FrameBound::Preceding(column) | FrameBound::Following(column)) => {
                self.seek(self.end, column as usize, true, position.row, partition, store, cx)
            }
        }
    }

    /// The first row from `at` on whose peers do not pass.
    fn forward<'a>(
        &self,
        mut at: u64,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
        passes: impl Fn(u64) -> bool,
    ) -> Result<u64, Error<'a>> {
        while partition.ensure(at, store, cx)? && passes(partition.peers_of(at, cx.is_cancelled)?) {
            at += 1;
        }
        Ok(at)
    }

    /// The first row from `at` on whose key does not come before the bound of `row`; with `is_behind`, whose key comes behind it.
    #[expect(clippy::too_many_arguments, reason = "the place, the bound, and what rows are read with")]
    fn seek<'a>(
        &mut self,
        mut at: u64,
        column: usize,
        is_behind: bool,
        row: u64,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<u64, Error<'a>> {
        let Some(key) = self.key else { return Ok(at) };
        let ty = partition.columns.types[column];
        self.bound.clear();
        let (_, bytes) = partition.log.get(row, cx.is_cancelled)?;
        // A NULL key has no bound, and its own place.
        encode(partition.columns.value(bytes, column), ty, key, &mut self.bound)?;
        while partition.ensure(at, store, cx)? {
            let (_, bytes) = partition.log.get(at, cx.is_cancelled)?;
            self.other.clear();
            encode(partition.columns.value(bytes, key.column as usize), ty, key, &mut self.other)?;
            let passes =
                if is_behind { self.other[..] <= self.bound[..] } else { self.other[..] < self.bound[..] };
            if !passes {
                break;
            }
            at += 1;
        }
        Ok(at)
    }
}

impl Ranges {
    /// A frame that nothing is excluded from.
    fn or_whole(mut self, (start, end): (u64, u64)) -> Ranges {
        self.ranges = [(start, end.max(start)), (0, 0), (0, 0)];
        self
    }
}

/// A key as bytes; one that is a day as an instant, where it is compared with one.
fn encode(
    value: Value<'_>,
    ty: Type,
    key: SortKey,
    into: &mut Growing<u8>,
) -> Result<(), cofferdam_arena::AllocError> {
    let midnight = |date: Date| Timestamp::from_parts(date, Time::from_micros(0).ok()?).ok();
    let value = match (value, ty) {
        (Value::Date(date), Type::Timestamp) => midnight(date).map_or(value, Value::Timestamp),
        (Value::Date(date), Type::TimestampTz) => midnight(date).map_or(value, Value::TimestampTz),
        _ => value,
    };
    let order = KeyOrder { descending: key.descending, nulls_first: key.nulls_first };
    encode_key(value, order, &mut |part: &[u8]| into.extend_from_slice(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: what an exclusion leaves is what it says. Method: small frames, peers and rows, beside a list of rows.
    #[test]
    fn exclusions_leave_the_right_rows() {
        for start in 0..6u64 {
            for end in 0..6u64 {
                for first in 0..4u64 {
                    for last in first + 1..6 {
                        for row in first..last {
                            let rows = |passes: &dyn Fn(u64) -> bool| {
                                (start..end).filter(|row| passes(*row)).collect::<Vec<_>>()
                            };
                            let is_peer = |other: u64| (first..last).contains(&other);
                            let cases = [
                                (
                                    Ranges::new((start, end), (row, row + 1), None),
                                    rows(&|other| other != row),
                                ),
                                (
                                    Ranges::new((start, end), (first, last), None),
                                    rows(&|other| !is_peer(other)),
                                ),
                                (
                                    Ranges::new((start, end), (first, last), Some(row)),
                                    rows(&|other| !is_peer(other) || other == row),
                                ),
                            ];
                            for (ranges, want) in cases {
                                let got: Vec<_> = ranges.iter().flat_map(|(a, b)| a..b).collect();
                                assert_eq!(got, want, "{start} {end} {first} {last} {row}");
                                assert_eq!(ranges.last(), want.last().copied());
                                for number in 0..7 {
                                    assert_eq!(ranges.nth(number), want.get(number as usize).copied());
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

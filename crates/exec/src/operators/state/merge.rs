//! States that become one: what was spilled, or made by another thread, is added to what there is.

use cofferdam_plan::physical::AggregateFunction;
use cofferdam_types::{Type, unscaled};

use super::blob;
use super::cells::{
    BestDouble, BestExact, BestShort, Cell, Chosen, Count, Double, Exact, Field, Held, Moments, Pairs, Rope,
    Scaled, Short, Span, Squares, Truths,
};
use super::wide::Wide;
use super::{Form, State, StateError, compare_bytes, is_better, overflow};
use crate::operators::aggregate::pages::{Pages, Place};
use crate::operators::aggregate::table::GroupTable;
use cofferdam_types::column::unpack_interval;

/// Bits of two numbers.
pub(super) fn bits(function: AggregateFunction, a: i64, b: i64) -> i64 {
    match function {
        AggregateFunction::BitAnd => a & b,
        AggregateFunction::BitOr => a | b,
        _ => a ^ b,
    }
}

pub(super) fn add_span(cell: &mut Span, other: &Span) -> Result<(), StateError> {
    let short = |a: i64, b: i64| i32::try_from(a + b).map(i64::from).ok();
    let parts = (short(cell.months, other.months), short(cell.days, other.days));
    match (parts, cell.micros.checked_add(other.micros)) {
        ((Some(months), Some(days)), Some(micros)) => {
            *cell = Span { months, days, micros, count: cell.count + other.count };
            Ok(())
        }
        _ => Err(overflow(Type::Interval)),
    }
}

/// Adds a number to a sum of numbers of any scale.
pub(super) fn add_scaled(
    cell: &mut Scaled,
    number: i128,
    scale: u64,
    result: Type,
) -> Result<(), StateError> {
    let common = cell.scale.max(scale);
    let at = |number: i128, scale: u64| shifted(number, common - scale);
    let sum = match (at(cell.sum, cell.scale), at(number, scale)) {
        (Some(a), Some(b)) => a.checked_add(b),
        _ => None,
    };
    cell.sum = sum.ok_or_else(|| overflow(result))?;
    cell.scale = common;
    Ok(())
}

fn shifted(number: i128, digits: u64) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    number.checked_mul(*unscaled::POW10.get(usize::try_from(digits).ok()?)?)
}

pub(super) fn add_squares(cell: &mut Squares, other: &Squares, result: Type) -> Result<(), StateError> {
    let common = cell.scale.max(other.scale);
    let parts = |of: &Squares| {
        let digits = common - of.scale;
        Some((shifted(of.sum, digits)?, of.squares.shifted(2 * digits as usize)?))
    };
    let sums = match (parts(cell), parts(other)) {
        (Some((sum, squares)), Some((other_sum, other_squares))) => {
            sum.checked_add(other_sum).zip(squares.checked_add(other_squares))
        }
        _ => None,
    };
    let (sum, squares) = sums.ok_or_else(|| overflow(result))?;
    *cell = Squares { count: cell.count + other.count, sum, scale: common, squares };
    Ok(())
}

impl State {
    /// Adds the fixed part of another state, which begins at the same place of `other`. What that has in blobs comes by
    /// [`State::merge_blob`].
    ///
    /// # Errors
    /// Sums overflow.
    pub(crate) fn merge(&self, table: &mut GroupTable, place: Place, other: &[u8]) -> Result<(), StateError> {
        let state = table.state_mut(place, self.offset);
        let other = &other[self.offset..];
        match self.form {
            Form::None => Ok(()),
            Form::CountRows | Form::Count => with(state, other, |a: &mut Count, b| {
                a.count += b.count;
                Ok(())
            }),
            Form::Short => with(state, other, |a: &mut Short, b| {
                a.sum = a.sum.checked_add(b.sum).ok_or_else(|| overflow(self.result))?;
                a.count += b.count;
                Ok(())
            }),
            Form::Exact => with(state, other, |a: &mut Exact, b| {
                a.sum = a.sum.checked_add(b.sum).ok_or_else(|| overflow(self.result))?;
                a.count += b.count;
                Ok(())
            }),
            Form::Scaled => with(state, other, |a: &mut Scaled, b| {
                add_scaled(a, b.sum, b.scale, self.result)?;
                a.count += b.count;
                Ok(())
            }),
            Form::Double => with(state, other, |a: &mut Double, b| {
                let sum = match (a.count, b.count) {
                    (0, _) => b.sum,
                    (_, 0) => a.sum,
                    _ => a.sum + b.sum,
                };
                let sum = if self.result == Type::Real { f64::from(sum as f32) } else { sum };
                if sum.is_infinite() && !a.sum.is_infinite() && !b.sum.is_infinite() {
                    return Err(overflow(self.result));
                }
                *a = Double { sum, count: a.count + b.count };
                Ok(())
            }),
            Form::Span => with(state, other, |a: &mut Span, b| add_span(a, b)),
            Form::BestShort => {
                best(state, other, |a: &BestShort| a.count, |a, b| self.is_better(a.best, b.best))
            }
            Form::BestExact => {
                best(state, other, |a: &BestExact| a.count, |a, b| self.is_better(a.best, b.best))
            }
            Form::BestDouble => {
                best(state, other, |a: &BestDouble| a.count, |a, b| self.is_better(a.best, b.best))
            }
            Form::BestSpan => {
                let rank = |packed: i128| unpack_interval(packed).comparable_micros();
                best(state, other, |a: &BestExact| a.count, |a, b| self.is_better(rank(a.best), rank(b.best)))
            }
            Form::Bits => with(state, other, |a: &mut BestShort, b| {
                match (a.count, b.count) {
                    (_, 0) => {}
                    (0, _) => *a = *b,
                    _ => a.best = bits(self.function, a.best, b.best),
                }
                Ok(())
            }),
            Form::Truths => with(state, other, |a: &mut Truths, b| {
                *a = Truths { truths: a.truths + b.truths, count: a.count + b.count };
                Ok(())
            }),
            Form::Squares => with(state, other, |a: &mut Squares, b| add_squares(a, b, self.result)),
            Form::Moments => with(state, other, |a: &mut Moments, b| Ok(a.merge(b)?)),
            Form::Pairs => with(state, other, |a: &mut Pairs, b| Ok(a.merge(b)?)),
            Form::Chosen => with(state, other, |a: &mut Chosen, b| {
                a.count += b.count;
                Ok(())
            }),
            Form::Text | Form::Array | Form::JsonArray | Form::JsonObject => {
                with(state, other, |a: &mut Rope, b| {
                    if a.count == 0 {
                        a.skipped = b.skipped;
                    }
                    a.count += b.count;
                    Ok(())
                })
            }
            Form::BestBytes | Form::First => Ok(()),
        }
    }

    fn is_better<T: crate::expr::kernel::SqlOrd>(&self, value: T, best: T) -> bool {
        is_better(value, best, self.function == AggregateFunction::Min)
    }

    /// Adds bytes that [`State::blobs`] gave of another state.
    ///
    /// # Errors
    /// There is no room; the state is as it was.
    pub(crate) fn merge_blob(
        &self,
        table: &mut GroupTable,
        place: Place,
        bytes: &[u8],
    ) -> Result<(), StateError> {
        match self.form {
            Form::Text | Form::Array | Form::JsonArray | Form::JsonObject => {
                let mut rope = Rope::load(table.state(place, self.offset));
                blob::append(&mut rope, &[bytes], table.blobs_mut())?;
                rope.store(table.state_mut(place, self.offset));
            }
            _ => {
                // A held value stands at the beginning of its cell, whatever is behind it.
                let mut cell = Held::load(table.state(place, self.offset));
                let is_taken = match blob::held(&cell, table.blobs()) {
                    None => true,
                    Some(_) if self.form == Form::First => false,
                    Some(best) if self.form == Form::BestBytes => {
                        let order = compare_bytes(bytes, best, self.args[0]);
                        match self.function {
                            AggregateFunction::Min => order.is_lt(),
                            _ => order.is_gt(),
                        }
                    }
                    Some(_) => true,
                };
                if is_taken {
                    blob::hold(&mut cell, bytes, table.blobs_mut())?;
                    cell.store(table.state_mut(place, self.offset));
                }
            }
        }
        Ok(())
    }

    /// What the state holds beside its fixed part, in pieces that [`State::merge_blob`] takes in this order.
    pub(crate) fn blobs<'b>(
        &self,
        states: &[u8],
        blobs: &'b Pages,
    ) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let state = &states[self.offset..];
        let (rope, held) = match self.form {
            Form::Text | Form::Array | Form::JsonArray | Form::JsonObject => (Some(Rope::load(state)), None),
            Form::BestBytes | Form::First | Form::Chosen => (None, Some(Held::load(state))),
            _ => (None, None),
        };
        let held = held.and_then(|held| blob::held(&held, blobs));
        held.into_iter().chain(rope.into_iter().flat_map(move |rope| blob::pieces(&rope, blobs)))
    }
}

/// Lets a state take another one.
fn with<C: Cell>(
    state: &mut [u8],
    other: &[u8],
    merge: impl FnOnce(&mut C, &C) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let mut cell = C::load(state);
    merge(&mut cell, &C::load(other))?;
    cell.store(state);
    Ok(())
}

/// Keeps the better of two states.
fn best<C: Cell>(
    state: &mut [u8],
    other: &[u8],
    count: impl Fn(&C) -> i64,
    is_better: impl Fn(&C, &C) -> bool,
) -> Result<(), StateError> {
    let (cell, other) = (C::load(state), C::load(other));
    if count(&other) > 0 && (count(&cell) == 0 || is_better(&other, &cell)) {
        other.store(state);
    }
    Ok(())
}

const _: () = {
    // `merge_blob` reads the value of a `Chosen` as a `Held`.
    assert!(Held::BYTES + <i64 as Field>::BYTES == Chosen::BYTES);
    assert!(Wide::BYTES == 64);
};

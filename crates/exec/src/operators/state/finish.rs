//! The results of states.

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::AggregateFunction;
use cofferdam_types::column::{TextView, bytes_of, value_of_double, value_of_integer};
use cofferdam_types::datetime::divide;
use cofferdam_types::row::{decode_bytes, decode_row};
use cofferdam_types::{Buffer, Decimal, Error, Interval, Type, Value, json};

use super::blob;
use super::cells::{
    BestDouble, BestExact, BestShort, Cell, Count, Double, Exact, Held, Moments, Pairs, Rope, Scaled, Short,
    Span, Squares, Truths,
};
use super::wide::{Spread, Wide, spread};
use super::{Form, State, StateError, overflow};
use crate::batch::{Data, Vector};
use crate::operators::aggregate::pages::Pages;

/// Writes a value into a row of a vector, its bytes to the end of the vector's heap.
pub(crate) fn put_result(
    value: Value<'_>,
    row: usize,
    vector: &mut Vector<'_>,
    heap: &mut Vec<'_, u8>,
) -> Result<(), AllocError> {
    vector.valid[row] = !value.is_null();
    if value.is_null() {
        return Ok(());
    }
    if let Data::Text(views) = &mut vector.data {
        let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
        let bytes = bytes_of(value, &mut compact);
        views[row] = view(heap.len(), bytes.len())?;
        heap.extend_from_slice(bytes)?;
    } else {
        vector.data.put(row, value);
    }
    Ok(())
}

fn view(start: usize, len: usize) -> Result<TextView, AllocError> {
    // Positions in a heap have 32 bits.
    match (u32::try_from(start), u32::try_from(len)) {
        (Ok(start), Ok(len)) => Ok(TextView { start, len }),
        _ => Err(AllocError),
    }
}

impl State {
    /// Writes the result of a group's state into a row of a vector.
    ///
    /// # Errors
    /// The result is no value of its type; there is no room for it.
    pub(crate) fn finish(
        &self,
        states: &[u8],
        blobs: &Pages,
        row: usize,
        vector: &mut Vector<'_>,
        heap: &mut Vec<'_, u8>,
    ) -> Result<(), StateError> {
        if matches!(self.form, Form::Text | Form::Array | Form::JsonArray | Form::JsonObject) {
            return self.finish_rope(states, blobs, row, vector, heap);
        }
        let value = self.result_of(states, blobs)?;
        put_result(value, row, vector, heap)?;
        Ok(())
    }

    fn result_of<'b>(&self, states: &[u8], blobs: &'b Pages) -> Result<Value<'b>, StateError> {
        let state = &states[self.offset..];
        let some = |count: i64, value: Result<Value<'b>, StateError>| match count {
            0 => Ok(Value::Null),
            _ => value,
        };
        match self.form {
            Form::None => Ok(Value::Null),
            Form::CountRows | Form::Count => Ok(Value::BigInt(Count::load(state).count)),
            Form::Short => {
                let Short { sum, count } = Short::load(state);
                self.sum_or_mean(sum.into(), 0, count)
            }
            Form::Exact => {
                let Exact { sum, count } = Exact::load(state);
                self.sum_or_mean(sum, scale_of(self.args[0]), count)
            }
            Form::Scaled => {
                let Scaled { sum, scale, count } = Scaled::load(state);
                self.sum_or_mean(sum, scale as u8, count)
            }
            Form::Double => {
                let Double { sum, count } = Double::load(state);
                some(count, Ok(value_of_double(sum, self.result)))
            }
            Form::Span => {
                let span = Span::load(state);
                some(span.count, self.span(span))
            }
            Form::BestShort | Form::Bits => {
                let BestShort { best, count } = BestShort::load(state);
                some(count, self.integer(best.into()))
            }
            Form::BestExact | Form::BestSpan => {
                let BestExact { best, count } = BestExact::load(state);
                some(count, self.integer(best))
            }
            Form::BestDouble => {
                let BestDouble { best, count } = BestDouble::load(state);
                some(count, Ok(value_of_double(best, self.result)))
            }
            Form::BestBytes => self.held(state, blobs, |bytes| decode_bytes(bytes, self.result)),
            Form::First | Form::Chosen => {
                self.held(state, blobs, |bytes| decode_row(bytes, self.result).map(|(value, _)| value))
            }
            Form::Truths => {
                let Truths { truths, count } = Truths::load(state);
                let is_and = self.function == AggregateFunction::BoolAnd;
                some(count, Ok(Value::Boolean(if is_and { truths == count } else { truths > 0 })))
            }
            Form::Squares => {
                let Squares { count, sum, scale, squares } = Squares::load(state);
                let is_sample =
                    matches!(self.function, AggregateFunction::VarSamp | AggregateFunction::StddevSamp);
                if count <= i64::from(is_sample) {
                    return Ok(Value::Null);
                }
                let is_root =
                    matches!(self.function, AggregateFunction::StddevPop | AggregateFunction::StddevSamp);
                let sum = Wide::new(sum.unsigned_abs());
                let wanted = Spread { is_sample, is_root };
                let number = spread(count.unsigned_abs(), sum, squares, scale as usize, wanted);
                self.number(number.ok_or_else(|| overflow(self.result))?)
            }
            Form::Moments => Ok(match Moments::load(state).result(self.function) {
                Some(number) => value_of_double(number, self.result),
                None => Value::Null,
            }),
            Form::Pairs if self.function == AggregateFunction::RegrCount => {
                Ok(Value::BigInt(Pairs::load(state).n as i64))
            }
            Form::Pairs => Ok(match Pairs::load(state).result(self.function) {
                Some(number) => value_of_double(number, self.result),
                None => Value::Null,
            }),
            Form::Text | Form::Array | Form::JsonArray | Form::JsonObject => {
                unreachable!("ropes are finished piece by piece")
            }
        }
    }

    fn held<'b>(
        &self,
        state: &[u8],
        blobs: &'b Pages,
        read: impl FnOnce(&'b [u8]) -> Result<Value<'b>, Error>,
    ) -> Result<Value<'b>, StateError> {
        match blob::held(&Held::load(state), blobs) {
            Some(bytes) => read(bytes).map_err(StateError::Value),
            None => Ok(Value::Null),
        }
    }

    fn integer(&self, number: i128) -> Result<Value<'static>, StateError> {
        value_of_integer(number, self.result).ok_or_else(|| overflow(self.result))
    }

    /// The sum, or the mean, of exact numbers.
    fn sum_or_mean(&self, sum: i128, scale: u8, count: i64) -> Result<Value<'static>, StateError> {
        if count == 0 {
            return Ok(Value::Null);
        }
        let sum = Decimal::new(sum, scale).map_err(|_| overflow(self.result))?;
        if self.function == AggregateFunction::Sum {
            return self.number(sum);
        }
        let count = Decimal::from(count);
        let mean = match self.result {
            Type::Decimal { scale, .. } => sum.div_at(count, scale),
            _ => sum.checked_div(count),
        };
        self.number(mean.map_err(|_| overflow(self.result))?)
    }

    /// An exact number as the result's type.
    fn number(&self, number: Decimal) -> Result<Value<'static>, StateError> {
        match self.result {
            Type::Numeric => Ok(Value::Decimal(number)),
            Type::Decimal { precision, scale } => match number.fit(precision, scale) {
                Ok(number) => Ok(Value::Decimal(number)),
                Err(_) => Err(overflow(self.result)),
            },
            _ => self.integer(number.rescale(0).map_err(|_| overflow(self.result))?.unscaled()),
        }
    }

    fn span(&self, span: Span) -> Result<Value<'static>, StateError> {
        let part = |part: i64| i32::try_from(part).map_err(|_| overflow(Type::Interval));
        let sum = Interval { months: part(span.months)?, days: part(span.days)?, micros: span.micros };
        Ok(Value::Interval(match self.function {
            AggregateFunction::Avg => divide(sum, span.count as f64).map_err(StateError::Value)?,
            _ => sum,
        }))
    }

    /// Writes a rope into a row of a vector, with what stands around it.
    fn finish_rope(
        &self,
        states: &[u8],
        blobs: &Pages,
        row: usize,
        vector: &mut Vector<'_>,
        heap: &mut Vec<'_, u8>,
    ) -> Result<(), StateError> {
        let rope = Rope::load(&states[self.offset..]);
        vector.valid[row] = rope.count > 0;
        if rope.count == 0 {
            return Ok(());
        }
        let count = u32::try_from(rope.count).map_err(|_| AllocError)?.to_le_bytes();
        let (before, behind): (&[u8], &[u8]) = match self.form {
            Form::Array => (&count, b""),
            Form::JsonArray => (b"[", b"]"),
            Form::JsonObject => (b"{ ", b" }"),
            _ => (b"", b""),
        };
        let bytes = (rope.bytes - rope.skipped) as usize + before.len() + behind.len();
        let Data::Text(views) = &mut vector.data else {
            unreachable!("the result has the kind of its state")
        };
        let start = heap.len();
        heap.reserve(bytes)?;
        heap.extend_from_slice(before)?;
        for piece in blob::counted(&rope, blobs) {
            heap.extend_from_slice(piece)?;
        }
        heap.extend_from_slice(behind)?;
        if self.result == Type::Jsonb {
            normalize_from(start, heap)?;
        }
        views[row] = view(start, heap.len() - start)?;
        Ok(())
    }
}

/// Brings the JSON from `start` to the end of a heap into its normal form.
fn normalize_from(start: usize, heap: &mut Vec<'_, u8>) -> Result<(), StateError> {
    let mut normal = Normal(Vec::new_in(heap.arena()));
    let text = core::str::from_utf8(&heap[start..]).unwrap_or("");
    json::normalize(text, &mut normal).map_err(|error| match error {
        Error::BufferTooSmall { .. } => AllocError.into(),
        error => StateError::Value(error),
    })?;
    heap.truncate(start);
    heap.extend_from_slice(&normal.0)?;
    Ok(())
}

/// The bytes of a normal form, as long as there is memory.
struct Normal<'a>(Vec<'a, u8>);

impl Buffer for Normal<'_> {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let refused = |_| Error::BufferTooSmall { needed_bytes: 0, given_bytes: 0 };
        self.0.extend_from_slice(bytes).map_err(refused)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

fn scale_of(ty: Type) -> u8 {
    match ty {
        Type::Decimal { scale, .. } => scale,
        _ => 0,
    }
}

//! The states of aggregates: what a group keeps of the rows that it has seen.
//!
//! ```text
//! a group's states    | count | sum, count | held value | rope | …          fixed, in the group's row
//!                                               └────────────┴──> blobs     of any length
//! ```
//!
//! A state can be *updated* by rows of a batch, *merged* with another one of the same aggregate (that was spilled, or was
//! made by another thread), and *finished* into a value. Zero bytes are the state of no rows, and merging it changes
//! nothing. A state that a budget refuses room for is left as it was before the row that needed it, so that whoever
//! makes room can go on with that row.
//!
//! | file | holds |
//! |---|---|
//! | `cells` | the fixed parts, and the loop over rows |
//! | `blob` | values and ropes |
//! | `moments`, `wide` | variances and regressions of doubles; of exact numbers |
//! | `json` | values as JSON |

mod blob;
pub(crate) mod cells;
mod finish;
mod json;
mod merge;
mod moments;
#[cfg(test)]
mod tests;
mod wide;

use cofferdam_arena::{AllocError, Growing};
use cofferdam_plan::physical::{Aggregate, AggregateFunction};
use cofferdam_types::column::{bytes_of, unpack_interval};
use cofferdam_types::row::{decode_bytes, encode_row};
use cofferdam_types::{Decimal, Excerpt, Type, Value};

use self::cells::{
    BestDouble, BestExact, BestShort, Cell, Chosen, Count, Double, Exact, Held, Moments, Pairs, Places, Rope,
    Scaled, Short, Span, Squares, Taken, Target, Truths,
};
#[cfg(test)]
pub(crate) use self::finish::put_result;
use self::wide::Wide;
use crate::batch::{Data, Element, Kind, Source, Store, Vector, VectorId};
use crate::error::ArgumentProblem;
use crate::expr::kernel::SqlOrd;
use crate::operators::aggregate::table::GroupTable;

/// Why a state could not take a value, or give its result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StateError {
    OutOfMemory(AllocError),
    Value(cofferdam_types::Error),
    Argument(ArgumentProblem),
}

impl From<AllocError> for StateError {
    fn from(error: AllocError) -> Self {
        StateError::OutOfMemory(error)
    }
}

impl From<moments::Overflow> for StateError {
    fn from(_: moments::Overflow) -> Self {
        overflow(Type::Double)
    }
}

/// Where an update stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped {
    /// The first row that was not taken.
    pub(crate) row: usize,
    pub(crate) error: StateError,
}

/// What is kept for an aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    CountRows,
    Count,
    Short,
    Exact,
    Scaled,
    Double,
    Span,
    BestShort,
    BestExact,
    BestSpan,
    BestDouble,
    BestBytes,
    /// The first value, as a row encodes it.
    First,
    Truths,
    Bits,
    Squares,
    Moments,
    Pairs,
    Text,
    Array,
    JsonArray,
    JsonObject,
    Chosen,
    /// Nothing: the result is not one of rows.
    None,
}

/// The states of one aggregate in all groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) function: AggregateFunction,
    form: Form,
    /// The types of the arguments.
    args: [Type; 2],
    result: Type,
    /// Where the state stands among those of a group.
    offset: usize,
}

impl State {
    /// The state of an aggregate that stands `offset` bytes behind the first one's.
    /// Whose state it is.
    pub(crate) const fn function(&self) -> AggregateFunction {
        self.function
    }

    pub(crate) fn new(function: AggregateFunction, args: &[Type], result: Type, offset: usize) -> State {
        let first = args.first().copied().unwrap_or(Type::Unknown);
        let second = args.get(1).copied().unwrap_or(Type::Unknown);
        State { function, form: form_of(function, first, result), args: [first, second], result, offset }
    }

    /// How many bytes of a group's row it takes; a multiple of eight.
    pub(crate) const fn bytes(&self) -> usize {
        match self.form {
            Form::None => 0,
            Form::CountRows | Form::Count => Count::BYTES,
            Form::Short => Short::BYTES,
            Form::Exact => Exact::BYTES,
            Form::Scaled => Scaled::BYTES,
            Form::Double => Double::BYTES,
            Form::Span => Span::BYTES,
            Form::BestShort | Form::Bits => BestShort::BYTES,
            Form::BestExact | Form::BestSpan => BestExact::BYTES,
            Form::BestDouble => BestDouble::BYTES,
            Form::BestBytes | Form::First => Held::BYTES,
            Form::Truths => Truths::BYTES,
            Form::Squares => Squares::BYTES,
            Form::Moments => Moments::BYTES,
            Form::Pairs => Pairs::BYTES,
            Form::Chosen => Chosen::BYTES,
            Form::Text | Form::Array | Form::JsonArray | Form::JsonObject => Rope::BYTES,
        }
    }

    /// Whether it depends on the order in which rows come.
    const fn is_ordered(&self) -> bool {
        matches!(self.form, Form::Text | Form::Array | Form::JsonArray | Form::JsonObject | Form::First)
    }

    /// Whether it is given its result when all rows of its group are there, in order.
    pub(crate) const fn is_chosen(&self) -> bool {
        matches!(self.form, Form::Chosen)
    }

    /// Whether all of it is in the group's row, so that no memory can be refused when it takes rows.
    pub(crate) const fn is_plain(&self) -> bool {
        !self.is_ordered() && !matches!(self.form, Form::BestBytes | Form::Chosen)
    }

    /// Whether the rows that it takes are sorted first.
    pub(crate) const fn is_sorted(&self, plan: &Aggregate<'_>) -> bool {
        self.is_chosen() || (self.is_ordered() && (plan.distinct || !plan.order_by.is_empty()))
    }

    /// Of what is chosen: how many rows there are to choose from.
    pub(crate) fn chosen_rows(&self, states: &[u8]) -> u64 {
        Chosen::load(&states[self.offset..]).count.unsigned_abs()
    }

    /// Lets groups take rows, whose groups `places` names and whose arguments stand in `args`. A row with a NULL that the
    /// aggregate passes over changes nothing.
    ///
    /// # Errors
    /// With the row that was not taken; those before it were.
    pub(crate) fn update(
        &self,
        table: &mut GroupTable,
        places: Places<'_>,
        taken: Taken<'_>,
        args: &[VectorId],
        store: &Store<'_>,
        scratch: &mut Growing<u8>,
    ) -> Result<(), Stopped> {
        let mut target = Target { table, places, offset: self.offset };
        let vector = |index: usize| store.vector(args[index]);
        let stopped = |error| Stopped { row: 0, error };
        match self.form {
            Form::None => Ok(()),
            Form::CountRows if matches!(places, Places::One(_)) => target
                .one(|cell: &mut Count| {
                    cell.count += taken.len() as i64;
                    Ok::<(), core::convert::Infallible>(())
                })
                .map_err(|never| match never {}),
            Form::CountRows => target.each(taken, |cell: &mut Count, _| {
                cell.count += 1;
                Ok(())
            }),
            Form::Count => {
                let argument = vector(0);
                target.each(taken, |cell: &mut Count, row| {
                    cell.count += i64::from(argument.is_valid(row));
                    Ok(())
                })
            }
            Form::Short if matches!(places, Places::One(_)) => {
                let (sum, count) = sum_of::<i32, i64>(vector(0), taken);
                let step = |cell: &mut Short| {
                    cell.sum = cell.sum.checked_add(sum).ok_or_else(|| overflow(self.result))?;
                    cell.count += count;
                    Ok(())
                };
                target.one(step).map_err(stopped)
            }
            Form::Short => target
                .fold(vector(0), taken, |cell: &mut Short, value: i32| {
                    let sum = cell.sum.checked_add(value.into());
                    cell.sum = sum.ok_or_else(|| overflow(self.result))?;
                    cell.count += 1;
                    Ok(())
                })
                .map_err(stopped),
            Form::Exact => self.update_exact(target, vector(0), taken).map_err(stopped),
            Form::Double => self.update_double(target, vector(0), taken).map_err(stopped),
            Form::Span => {
                let step = |cell: &mut Span, value: i128| {
                    let span = unpack_interval(value);
                    let other = Span {
                        months: span.months.into(),
                        days: span.days.into(),
                        micros: span.micros,
                        count: 1,
                    };
                    merge::add_span(cell, &other)
                };
                target.fold(vector(0), taken, step).map_err(stopped)
            }
            Form::BestShort | Form::BestExact | Form::BestDouble | Form::BestSpan => {
                self.update_best(target, vector(0), taken);
                Ok(())
            }
            Form::Bits => self.update_bits(target, vector(0), taken).map_err(stopped),
            Form::Truths => target.fold(vector(0), taken, |cell: &mut Truths, value: bool| {
                cell.truths += i64::from(value);
                cell.count += 1;
                Ok(())
            }),
            Form::Moments => {
                let step = |cell: &mut Moments, value: f64| Ok(cell.take(value)?);
                target.fold(vector(0), taken, step).map_err(stopped)
            }
            Form::Pairs => {
                let (y, x) = (vector(0), vector(1));
                let (ys, xs) = (y.values::<f64>(), x.values::<f64>());
                let step = |cell: &mut Pairs, row: usize| match y.is_valid(row) && x.is_valid(row) {
                    true => Ok(cell.take(ys.get(row), xs.get(row))?),
                    false => Ok(()),
                };
                target.each(taken, step).map_err(stopped)
            }
            Form::Scaled
            | Form::Squares
            | Form::BestBytes
            | Form::First
            | Form::Text
            | Form::Array
            | Form::JsonArray
            | Form::JsonObject => taken.try_each(|row| {
                let at = &mut target;
                let taken = self.take_row(at, row, args, store, scratch);
                taken.map_err(|error| Stopped { row, error })
            }),
            Form::Chosen => {
                let argument = args.first().map(|&id| store.vector(id));
                target.each(taken, |cell: &mut Chosen, row| {
                    cell.count += i64::from(argument.is_none_or(|argument| argument.is_valid(row)));
                    Ok(())
                })
            }
        }
    }

    fn update_exact(
        &self,
        mut target: Target<'_>,
        argument: &Vector<'_>,
        taken: Taken<'_>,
    ) -> Result<(), StateError> {
        let step = |cell: &mut Exact, value: i128| {
            cell.sum = cell.sum.checked_add(value).ok_or_else(|| overflow(self.result))?;
            cell.count += 1;
            Ok(())
        };
        match (argument.kind(), target.places) {
            (Kind::I64, Places::One(_)) => {
                let (sum, count) = sum_of::<i64, i128>(argument, taken);
                target.one(|cell: &mut Exact| {
                    cell.sum = cell.sum.checked_add(sum).ok_or_else(|| overflow(self.result))?;
                    cell.count += count;
                    Ok(())
                })
            }
            (Kind::I64, _) => {
                target.fold(argument, taken, |cell: &mut Exact, value: i64| step(cell, value.into()))
            }
            _ => target.fold(argument, taken, step),
        }
    }

    fn update_double(
        &self,
        mut target: Target<'_>,
        argument: &Vector<'_>,
        taken: Taken<'_>,
    ) -> Result<(), StateError> {
        let is_short = self.result == Type::Real;
        target.fold(argument, taken, |cell: &mut Double, value: f64| {
            // The first number is taken as it is: the sum of negative zeros is negative.
            let sum = if cell.count == 0 { value } else { cell.sum + value };
            let sum = if is_short { f64::from(sum as f32) } else { sum };
            if sum.is_infinite() && !cell.sum.is_infinite() && !value.is_infinite() {
                return Err(overflow(self.result));
            }
            *cell = Double { sum, count: cell.count + 1 };
            Ok(())
        })
    }

    fn update_best(&self, mut target: Target<'_>, argument: &Vector<'_>, taken: Taken<'_>) {
        let takes_least = self.function == AggregateFunction::Min;
        let short = |cell: &mut BestShort, value: i64| {
            if cell.count == 0 || is_better(value, cell.best, takes_least) {
                cell.best = value;
            }
            cell.count = 1;
            Ok::<(), core::convert::Infallible>(())
        };
        let done = match (&argument.data, self.form) {
            (Data::I32(_), _) => {
                target.fold(argument, taken, |cell: &mut BestShort, value: i32| short(cell, value.into()))
            }
            (Data::I64(_), _) => target.fold(argument, taken, short),
            (Data::F64(_), _) => target.fold(argument, taken, |cell: &mut BestDouble, value: f64| {
                if cell.count == 0 || is_better(value, cell.best, takes_least) {
                    cell.best = value;
                }
                cell.count = 1;
                Ok(())
            }),
            (_, Form::BestSpan) => target.fold(argument, taken, |cell: &mut BestExact, value: i128| {
                let rank = |packed: i128| unpack_interval(packed).comparable_micros();
                if cell.count == 0 || is_better(rank(value), rank(cell.best), takes_least) {
                    cell.best = value;
                }
                cell.count = 1;
                Ok(())
            }),
            _ => target.fold(argument, taken, |cell: &mut BestExact, value: i128| {
                if cell.count == 0 || is_better(value, cell.best, takes_least) {
                    cell.best = value;
                }
                cell.count = 1;
                Ok(())
            }),
        };
        let Ok(()) = done;
    }

    fn update_bits(
        &self,
        mut target: Target<'_>,
        argument: &Vector<'_>,
        taken: Taken<'_>,
    ) -> Result<(), StateError> {
        let function = self.function;
        let step = |cell: &mut BestShort, value: i64| {
            cell.best = if cell.count == 0 { value } else { merge::bits(function, cell.best, value) };
            cell.count = 1;
            Ok(())
        };
        match argument.kind() {
            Kind::I32 => {
                target.fold(argument, taken, |cell: &mut BestShort, value: i32| step(cell, value.into()))
            }
            _ => target.fold(argument, taken, step),
        }
    }

    /// Lets a state that is not a loop's take a row.
    fn take_row(
        &self,
        target: &mut Target<'_>,
        row: usize,
        args: &[VectorId],
        store: &Store<'_>,
        scratch: &mut Growing<u8>,
    ) -> Result<(), StateError> {
        let place = target.places.of(row);
        let value = store.value(args[0], row, self.args[0]);
        let passes_null = matches!(self.form, Form::Array | Form::JsonArray | Form::JsonObject);
        if value.is_null() && !passes_null {
            return Ok(());
        }
        match self.form {
            Form::Scaled => {
                let number = decimal(value).ok_or_else(|| overflow(self.result))?;
                let mut cell = Scaled::load(target.table.state(place, self.offset));
                merge::add_scaled(&mut cell, number.unscaled(), number.scale().into(), self.result)?;
                cell.count += 1;
                cell.store(target.table.state_mut(place, self.offset));
                Ok(())
            }
            Form::Squares => {
                let number = decimal(value).ok_or_else(|| overflow(self.result))?;
                let mut cell = Squares::load(target.table.state(place, self.offset));
                let magnitude = Wide::new(number.unscaled().unsigned_abs());
                let other = Squares {
                    count: 1,
                    sum: number.unscaled(),
                    scale: number.scale().into(),
                    squares: magnitude.checked_mul(magnitude).ok_or_else(|| overflow(self.result))?,
                };
                merge::add_squares(&mut cell, &other, self.result)?;
                cell.store(target.table.state_mut(place, self.offset));
                Ok(())
            }
            Form::BestBytes => {
                let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                self.merge_blob(target.table, place, bytes_of(value, &mut compact))
            }
            Form::First => {
                if Held::load(target.table.state(place, self.offset)).place != 0 {
                    return Ok(());
                }
                scratch.clear();
                encode_row(value, &mut |piece: &[u8]| scratch.extend_from_slice(piece))?;
                self.merge_blob(target.table, place, scratch)
            }
            _ => self.append_row(target.table, place, value, row, args, store, scratch),
        }
    }

    /// Appends a row to a rope.
    #[expect(clippy::too_many_arguments, reason = "the row, where it stands, and what it goes to")]
    fn append_row(
        &self,
        table: &mut GroupTable,
        place: crate::operators::aggregate::pages::Place,
        value: Value<'_>,
        row: usize,
        args: &[VectorId],
        store: &Store<'_>,
        scratch: &mut Growing<u8>,
    ) -> Result<(), StateError> {
        let mut rope = Rope::load(table.state(place, self.offset));
        scratch.clear();
        let (delimiter, element) = match self.form {
            Form::Text => {
                let delimiter = store.value(args[1], row, self.args[1]);
                (delimiter.heap_bytes().unwrap_or(&[]), value.heap_bytes().unwrap_or(&[]))
            }
            Form::Array => {
                encode_row(value, &mut |piece: &[u8]| scratch.extend_from_slice(piece))?;
                (&[][..], &scratch[..])
            }
            Form::JsonArray => {
                json::write_value(&value, &mut Text(scratch)).map_err(|_| AllocError)?;
                // Arrays and rows have lines of their own.
                let has_line = match value {
                    Value::Null => false,
                    Value::Array(_) => true,
                    _ => self.function == AggregateFunction::JsonAggRows,
                };
                (if has_line { &b", \n "[..] } else { &b", "[..] }, &scratch[..])
            }
            _ => {
                let problem = match value {
                    Value::Null => Some(ArgumentProblem::NullFieldName),
                    Value::Array(_) | Value::Json(_) | Value::Jsonb(_) => {
                        Some(ArgumentProblem::FieldNameNotScalar)
                    }
                    _ => None,
                };
                if let Some(problem) = problem {
                    return Err(StateError::Argument(problem));
                }
                let field = store.value(args[1], row, self.args[1]);
                let mut write = || {
                    json::write_string(&value, &mut Text(scratch))?;
                    core::fmt::Write::write_str(&mut Text(scratch), " : ")?;
                    json::write_value(&field, &mut Text(scratch))
                };
                write().map_err(|_| AllocError)?;
                (&b", "[..], &scratch[..])
            }
        };
        blob::append(&mut rope, &[delimiter, element], table.blobs_mut())?;
        if rope.count == 0 {
            rope.skipped = delimiter.len() as u64;
        }
        rope.count += 1;
        rope.store(table.state_mut(place, self.offset));
        Ok(())
    }
}

/// The sum and the number of the values that are not NULL among some rows of a batch; no sum of so few can be too large.
fn sum_of<T: Element, S: From<T> + core::iter::Sum<S>>(argument: &Vector<'_>, taken: Taken<'_>) -> (S, i64) {
    let source: Source<'_, T> = argument.values();
    let value = |row: usize| S::from(source.get(row));
    match (taken, source) {
        (Taken::Range(start, end), Source::Rows(values)) if argument.all_valid => {
            (values[start..end].iter().map(|&value| S::from(value)).sum(), (end - start) as i64)
        }
        (Taken::List(rows), Source::Rows(values)) if argument.all_valid => {
            let sum = rows.iter().map(|&row| S::from(values[usize::from(row)])).sum();
            (sum, rows.len() as i64)
        }
        _ => {
            let mut count = 0;
            let mut valid = |row: &usize| {
                let is_valid = argument.is_valid(*row);
                count += i64::from(is_valid);
                is_valid
            };
            let sum = match taken {
                Taken::Range(start, end) => (start..end).filter(&mut valid).map(value).sum(),
                Taken::List(rows) => {
                    rows.iter().map(|&row| usize::from(row)).filter(&mut valid).map(value).sum()
                }
            };
            (sum, count)
        }
    }
}

/// A text that is written into bytes.
struct Text<'t>(&'t mut Growing<u8>);

impl core::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes()).map_err(|_| core::fmt::Error)
    }
}

fn form_of(function: AggregateFunction, argument: Type, result: Type) -> Form {
    use AggregateFunction as F;
    let kind = Kind::of(argument);
    match function {
        F::CountRows => Form::CountRows,
        F::Count => Form::Count,
        F::Sum | F::Avg => match (argument, kind) {
            (Type::Interval, _) => Form::Span,
            (Type::Real | Type::Double, _) if function == F::Avg => Form::Moments,
            (_, Kind::F64) => Form::Double,
            (_, Kind::I32) => Form::Short,
            (_, Kind::Text) => Form::Scaled,
            _ => Form::Exact,
        },
        F::Min | F::Max => match (argument, kind) {
            (Type::Interval, _) => Form::BestSpan,
            (_, Kind::I32 | Kind::I64) => Form::BestShort,
            (_, Kind::I128) => Form::BestExact,
            (_, Kind::F64) => Form::BestDouble,
            (_, Kind::Text | Kind::Bool) => Form::BestBytes,
        },
        F::BoolAnd | F::BoolOr => Form::Truths,
        F::BitAnd | F::BitOr | F::BitXor => Form::Bits,
        F::AnyValue => Form::First,
        F::StringAgg => Form::Text,
        F::ArrayAgg => Form::Array,
        F::JsonAgg | F::JsonAggRows => Form::JsonArray,
        F::JsonObjectAgg => Form::JsonObject,
        F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp => match kind {
            Kind::F64 => Form::Moments,
            _ => Form::Squares,
        },
        F::Corr
        | F::CovarPop
        | F::CovarSamp
        | F::RegrAvgX
        | F::RegrAvgY
        | F::RegrCount
        | F::RegrIntercept
        | F::RegrR2
        | F::RegrSlope
        | F::RegrSxx
        | F::RegrSxy
        | F::RegrSyy => {
            debug_assert!(kind == Kind::F64 && result != Type::Unknown);
            Form::Pairs
        }
        F::PercentileCont | F::PercentileDisc | F::Mode => Form::Chosen,
        F::Grouping => Form::None,
    }
}

/// The exact number of a value.
fn decimal(value: Value<'_>) -> Option<Decimal> {
    match value {
        Value::Decimal(number) => Some(number),
        Value::SmallInt(number) => Some(i32::from(number).into()),
        Value::Integer(number) => Some(number.into()),
        Value::BigInt(number) => Some(number.into()),
        _ => None,
    }
}

/// The order of two values that a column holds as bytes.
fn compare_bytes(a: &[u8], b: &[u8], ty: Type) -> core::cmp::Ordering {
    if ty == Type::Text {
        return a.cmp(b);
    }
    match (decode_bytes(a, ty), decode_bytes(b, ty)) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
    }
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

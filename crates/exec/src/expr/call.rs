//! What goes value by value: calls of the table of functions, casts without a loop of their own, arrays.
//!
//! Operands are read as [`Value`]s, and results are put back as their vector holds them; bytes of results go to the end of
//! the register's heap, which is emptied first.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_functions::{ARGUMENTS_MAX, Clock, Context, FunctionId, Output, Problem, Site};
use cofferdam_plan::Span;
use cofferdam_types::cast::{self, CastContext};
use cofferdam_types::column::bytes_of;
use cofferdam_types::{Decimal, Type, Value, array};

use super::kernel::Comparison;
use super::program::Inst;
use super::run::view;
use crate::batch::{BatchRows, Data, Store, Vector, VectorId};
use crate::error::Error;
use crate::statement::now_us;

/// An operand of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    pub(crate) id: VectorId,
    pub(crate) ty: Type,
}

/// What is computed of the operands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Function(FunctionId),
    /// The operand as a value of the result's type.
    Cast,
    /// An array of the operands.
    Array,
    /// The element of the first operand at the position that is the second, from 1.
    Subscript,
    /// The elements of the first operand from the position that is the second to the one that is the third.
    Slice,
    /// The operand as a field in the text of a row: nothing for NULL, quoted where its text needs that.
    Field,
    /// Whether the comparison holds between the first operand and an element, or with `all` each element, of the second.
    Elements {
        op: Comparison,
        all: bool,
    },
    /// The operand in exactly so many characters.
    Pad {
        count: u32,
        context: CastContext,
    },
    /// The operand with so many digits of seconds.
    RoundSeconds {
        digits: u8,
    },
}

impl Work {
    /// What it is called in errors.
    fn name(self) -> &'static str {
        match self {
            Work::Function(id) => id.function().name(),
            Work::Array | Work::Slice => "an array",
            Work::Field => "a row",
            _ => "a cast",
        }
    }
}

/// One place of a program that calls something.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) work: Work,
    pub(crate) inputs: &'a [Input],
    /// Of the result.
    pub(crate) ty: Type,
    pub(crate) site: Site,
}

/// Computes the call for each row.
pub(super) fn call<'a>(
    store: &mut Store<'a>,
    level: BatchRows,
    inst: &Inst<'a>,
    call: &mut Call<'a>,
    scratch: &mut Arena,
) -> Result<(), Error<'a>> {
    let mut dst = store.take(inst.dst);
    let is_bytes = matches!(dst.data, Data::Text(_));
    let mut heap = if is_bytes { store.take_heap(dst.heap) } else { store.no_heap() };
    heap.clear();
    let mut statement = store.statement;
    let budget = heap.arena().budget();
    let outcome = match call.work {
        Work::Array => arrays(store, level, inst.span, call, &mut dst, &mut heap),
        work => {
            let clock = Clock {
                transaction_us: statement.transaction_us,
                statement_us: statement.began_us,
                now_us: &now_us,
            };
            let session = statement.session();
            let Call { inputs, ty, site, .. } = call;
            let mut cx = Context {
                clock: &clock,
                session: &session,
                sink: &mut heap,
                scratch,
                random: &mut statement.random,
                site,
                is_cancelled: statement.is_cancelled,
            };
            each(store, level, inst.span, (work, inputs, *ty), &mut dst, &mut cx, budget)
        }
    };
    store.statement.random = statement.random;
    if is_bytes {
        store.put_heap_back(dst.heap, heap);
    }
    store.put_back(inst.dst, dst);
    outcome
}

/// The rows of everything but array constructors.
fn each<'a>(
    store: &Store<'a>,
    level: BatchRows,
    span: Span,
    (work, inputs, ty): (Work, &[Input], Type),
    dst: &mut Vector<'a>,
    cx: &mut Context<'_>,
    budget: &Budget,
) -> Result<(), Error<'a>> {
    let mut args = [Value::Null; ARGUMENTS_MAX];
    let args = args.get_mut(..inputs.len()).unwrap_or_default();
    dst.all_valid = false;
    store.rows(level).try_for_each(|row| {
        for (arg, input) in args.iter_mut().zip(inputs) {
            *arg = store.value(input.id, row, input.ty);
        }
        let start = cx.sink.len();
        let output = compute(work, args, ty, cx).and_then(|output| shaped(output, ty));
        let refused = |error: Error<'a>, written: usize| {
            // What is asked for as a whole is more than what is there twice.
            let asked = budget.last_refusal().map_or(0, |refusal| refusal.asked_bytes() as usize);
            let bytes = if asked > 2 * (start + written) { asked } else { written };
            error.for_value(work.name(), bytes, span, budget)
        };
        let output = output.map_err(|problem| Error::of_call(problem, span));
        match output.map_err(|error| refused(error, cx.sink.len() - start))? {
            Output::Value(value) => put(value, row, dst, cx)
                .map_err(|error| refused(Error::OutOfMemory(error), cx.sink.len() - start))?,
            Output::Written => dst.valid[row] = true,
        }
        if let (Data::Text(views), true) = (&mut dst.data, dst.valid[row]) {
            views[row] = view(start, cx.sink.len(), span)?;
        }
        Ok(())
    })
}

fn compute<'v>(
    work: Work,
    args: &[Value<'v>],
    ty: Type,
    cx: &mut Context<'_>,
) -> Result<Output<'v>, Problem> {
    let first = args.first().copied().unwrap_or_default();
    match work {
        Work::Function(id) => cofferdam_functions::eval(id, args, cx),
        // Over no elements, ANY is false and ALL is true whatever the value.
        Work::Elements { op, all } => {
            Ok(Output::Value(over_elements(first, args.get(1).copied().unwrap_or_default(), op, all)))
        }
        Work::Field => field(first, cx),
        _ if first.is_null() => Ok(Output::NULL),
        Work::Cast => cofferdam_functions::convert(first, ty, &cx.session.conversions, cx.sink),
        Work::RoundSeconds { digits } => Ok(Output::Value(cast::round_seconds(first, digits)?)),
        Work::Pad { count, context } => pad(first, count, context, cx),
        Work::Subscript => Ok(Output::Value(element(first, args.get(1).copied().unwrap_or_default()))),
        Work::Slice => {
            let bound = |index: usize| args.get(index).copied().unwrap_or_default();
            slice(first, bound(1), bound(2), cx)
        }
        Work::Array => Ok(Output::NULL),
    }
}

fn element<'v>(array: Value<'v>, position: Value<'_>) -> Value<'v> {
    let (Value::Array(array), Value::Integer(position)) = (array, position) else { return Value::Null };
    let index = usize::try_from(position).ok().and_then(|position| position.checked_sub(1));
    index.and_then(|index| array.iter().nth(index)).unwrap_or_default()
}

/// The elements between two positions, both included; an array without elements where there are none.
fn slice<'v>(
    array: Value<'v>,
    low: Value<'_>,
    high: Value<'_>,
    cx: &mut Context<'_>,
) -> Result<Output<'v>, Problem> {
    let (Value::Array(array), Value::Integer(low), Value::Integer(high)) = (array, low, high) else {
        return Ok(Output::NULL);
    };
    let skipped = usize::try_from(low).unwrap_or(0).saturating_sub(1);
    let end = usize::try_from(high).unwrap_or(0);
    let count = array.len().min(end).saturating_sub(skipped);
    let mut elements = array.iter().skip(skipped);
    let elements = (0..count).map(|_| elements.next().unwrap_or_default());
    let sink = &mut *cx.sink;
    array::encode(elements, &mut |bytes: &[u8]| sink.append(bytes))?;
    Ok(Output::Written)
}

/// A field in the text of a row, as PostgreSQL writes it.
fn field<'v>(value: Value<'v>, cx: &mut Context<'_>) -> Result<Output<'v>, Problem> {
    let text = match value {
        Value::Boolean(true) => "t",
        Value::Boolean(false) => "f",
        Value::Text(text) | Value::Char(text) => text,
        _ => return Ok(Output::Written),
    };
    let is_special = |byte: u8| {
        matches!(byte, b'"' | b'\\' | b'(' | b')' | b',' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
    };
    if !text.is_empty() && !text.bytes().any(is_special) {
        cx.sink.append(text.as_bytes())?;
        return Ok(Output::Written);
    }
    cx.sink.append(b"\"")?;
    for piece in text.split_inclusive(['"', '\\']) {
        cx.sink.append(piece.as_bytes())?;
        if let Some(last @ (b'"' | b'\\')) = piece.as_bytes().last() {
            cx.sink.append(&[*last])?;
        }
    }
    cx.sink.append(b"\"")?;
    Ok(Output::Written)
}

/// `value op ANY (array)`: true if one element is; NULL if none is and one is unknown. With `all` the other way round.
fn over_elements(value: Value<'_>, array: Value<'_>, op: Comparison, all: bool) -> Value<'static> {
    let Value::Array(array) = array else { return Value::Null };
    let mut is_unknown = false;
    for element in array.iter() {
        match value.compare(&element) {
            Some(order) if op.holds(order) != all => return Value::Boolean(!all),
            Some(_) => {}
            None => is_unknown = true,
        }
    }
    if is_unknown { Value::Null } else { Value::Boolean(all) }
}

/// The text with blanks behind it up to so many characters, or cut to them.
fn pad<'v>(
    value: Value<'v>,
    count: u32,
    context: CastContext,
    cx: &mut Context<'_>,
) -> Result<Output<'v>, Problem> {
    let (Value::Char(text) | Value::Text(text)) = value else { return Ok(Output::NULL) };
    let kept = cast::limit_characters(text, count, Type::Char, context)?;
    cx.sink.append(kept.as_bytes())?;
    let blanks = (count as usize).saturating_sub(kept.chars().count());
    cx.sink.reserve(blanks)?;
    const BLANKS: [u8; 64] = [b' '; 64];
    let mut left = blanks;
    while left > 0 {
        let piece = left.min(BLANKS.len());
        cx.sink.append(BLANKS.get(..piece).unwrap_or(&BLANKS))?;
        left -= piece;
    }
    Ok(Output::Written)
}

/// Numbers of a type with a scale get that scale.
fn shaped<'v>(output: Output<'v>, ty: Type) -> Result<Output<'v>, Problem> {
    match (output, ty) {
        (Output::Value(Value::Decimal(number)), Type::Decimal { precision, scale })
            if number.scale() != scale =>
        {
            Ok(Output::Value(Value::Decimal(number.fit(precision, scale)?)))
        }
        (output, _) => Ok(output),
    }
}

/// Stores a value; the bytes of one that is bytes go to the end of the sink.
fn put(value: Value<'_>, row: usize, dst: &mut Vector<'_>, cx: &mut Context<'_>) -> Result<(), AllocError> {
    dst.valid[row] = !value.is_null();
    match dst.data {
        _ if value.is_null() => Ok(()),
        Data::Text(_) => {
            let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
            cx.sink.append(bytes_of(value, &mut compact))
        }
        _ => {
            dst.data.put(row, value);
            Ok(())
        }
    }
}

/// An array of its operands, which may be many, for each row.
fn arrays<'a>(
    store: &Store<'a>,
    level: BatchRows,
    span: Span,
    call: &Call<'a>,
    dst: &mut Vector<'a>,
    heap: &mut Vec<'a, u8>,
) -> Result<(), Error<'a>> {
    dst.all_valid = true;
    store.rows(level).try_for_each(|row| {
        let start = heap.len();
        let values = call.inputs.iter().map(|input| store.value(input.id, row, input.ty));
        array::encode(values, &mut |bytes: &[u8]| heap.extend_from_slice(bytes))?;
        if let Data::Text(views) = &mut dst.data {
            views[row] = view(start, heap.len(), span)?;
        }
        Ok(())
    })
}

//! Set-returning functions: for each row of the input the rows that its calls give, side by side.
//!
//! ```text
//! input row   | a | generate_series(1, 3) | unnest(…) | ordinality |
//!   'x'       | x | 1                     | p         | 1          |
//!             | x | 2                     | q         | 2          |
//!             | x | 3                     | NULL      | 3          |
//! ```
//!
//! A batch ends where it is full, within the rows of an input row too. A call whose arguments are numbers and moments is kept
//! between batches; one that reads on in a text, an array or JSON is opened anew for the next batch and skips what it has
//! given, so that nothing of the input is copied.
//!
//! **Peak bytes**: the columns of a batch and the texts in it, whatever the number of rows.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;
use cofferdam_functions::{
    Clock, Context as CallContext, Output as CallOutput, Problem, Rows as CallRows, Session, Site,
    TableFunctionId, open,
};
use cofferdam_plan::Span;
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{TableCall, TableFunction as Plan, TableFunctionKind};
use cofferdam_types::column::bytes_of;
use cofferdam_types::{Decimal, Type, Value};

use super::join::copy_rows;
use crate::batch::{BatchRows, Data, Kind, SelectionId, Store, TextView, Vector, VectorId};
use crate::error::Error;
use crate::expr::{Program, Registers, compile};
use crate::pipeline::{Opening, Passed};
use crate::statement::{Statement, now_us};

/// The most arguments of a function that gives rows.
const ARGUMENTS_MAX: usize = 4;

/// Calls functions for each row.
#[derive(Debug)]
pub(crate) struct TableFunction<'a> {
    input: &'a [VectorId],
    columns: &'a [VectorId],
    calls: Vec<'a, Call<'a>>,
    with_ordinality: bool,
    keeps_empty: bool,
    /// The input row of each row of the output.
    repeats: SelectionId,
    /// The columns of the calls while they are written, and their heaps.
    outs: Vec<'a, Out<'a>>,
    scratch: Arena,
    batch: BatchRows,
    /// Which of the batch's rows is next, and how many rows it has given.
    position: usize,
    given: u64,
}

/// One call.
#[derive(Debug)]
struct Call<'a> {
    kind: TableFunctionKind,
    args: Vec<'a, Program<'a>>,
    /// Of the arguments, then of the columns.
    types: &'a [Type],
    span: Span,
    /// Where its columns begin behind those of the input.
    first_column: usize,
    columns_count: usize,
    site: Site,
    /// The call for the present row, where its arguments are no bytes.
    kept: Option<CallRows<'static>>,
}

/// A column that is written.
#[derive(Debug)]
struct Out<'a> {
    vector: Vector<'a>,
    heap: Vec<'a, u8>,
    ty: Type,
}

/// A call that is giving rows.
enum Running<'r, 'v> {
    Kept(&'r mut CallRows<'static>),
    Opened(CallRows<'v>),
    /// A value that is given once, if it was not.
    Once(Option<Value<'v>>),
}

impl<'a> TableFunction<'a> {
    /// Gives the columns that rows stand in as well.
    pub(crate) fn open(
        plan: &Plan<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<(TableFunction<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        let columns = opening.add_columns(store)?;
        let input = plan.input.map_or(&[][..], |input| opening.columns_of(input));
        let mut registers = Registers::new(arena);
        let mut calls = Vec::with_capacity_in(plan.calls.len(), arena)?;
        let mut first_column = 0;
        for call in plan.calls {
            let given = &opening.operator().columns[input.len() + first_column..];
            let opened = Call::open(call, first_column, input, given, store, &mut registers, arena)?;
            first_column += opened.columns_count;
            calls.push(opened)?;
        }
        let function = TableFunction {
            input,
            columns,
            calls,
            with_ordinality: plan.with_ordinality,
            keeps_empty: plan.keeps_empty,
            repeats: store.add_selection(arena)?,
            outs: Vec::with_capacity_in(first_column + 1, arena)?,
            scratch: Arena::new(arena.budget()),
            batch: BatchRows::all(0),
            position: 0,
            given: 0,
        };
        let types = opening.operator().columns;
        debug_assert_eq!(types.len(), input.len() + first_column + usize::from(plan.with_ordinality));
        Ok((function, columns))
    }

    pub(crate) fn push(&mut self, batch: BatchRows, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        for call in self.calls.iter_mut() {
            for arg in call.args.iter_mut() {
                arg.run(store, batch)?;
            }
            call.kept = None;
        }
        (self.batch, self.position, self.given) = (batch, 0, 0);
        self.more(store)
    }

    /// The next rows of the batch.
    pub(crate) fn more(&mut self, store: &mut Store<'a>) -> Result<Passed, Error<'a>> {
        let mut repeats = store.take_selection(self.repeats);
        repeats.count = 0;
        self.take_outs(store);
        let outcome = self.fill(repeats.rows, &mut repeats.count, store);
        self.put_outs_back(store);
        let count = repeats.count;
        store.put_selection_back(self.repeats, repeats);
        outcome?;
        let is_done = self.position == store.rows(self.batch).len();
        if count == 0 {
            return Ok(if is_done { Passed::Nothing } else { Passed::Again });
        }
        let of_rows = BatchRows { count: self.batch.count, selection: Some(self.repeats) };
        for (&source, &target) in self.input.iter().zip(self.columns) {
            copy_rows(source, target, of_rows, store);
        }
        let rows = BatchRows::all(count);
        Ok(if is_done { Passed::Batch(rows) } else { Passed::More(rows) })
    }

    fn take_outs(&mut self, store: &mut Store<'a>) {
        for &column in &self.columns[self.input.len()..] {
            let mut vector = store.take(column);
            vector.all_valid = false;
            let mut heap = match vector.kind() {
                Kind::Text => store.take_heap(vector.heap),
                _ => store.no_heap(),
            };
            heap.clear();
            // There is room for all of them since it was opened.
            let _ = self.outs.push(Out { vector, heap, ty: Type::Unknown });
        }
        for call in &self.calls {
            for index in 0..call.columns_count {
                self.outs[call.first_column + index].ty = call.types[call.args.len() + index];
            }
        }
    }

    fn put_outs_back(&mut self, store: &mut Store<'a>) {
        for &column in self.columns[self.input.len()..].iter().rev() {
            let Some(Out { vector, heap, .. }) = self.outs.pop() else { continue };
            if vector.kind() == Kind::Text {
                store.put_heap_back(vector.heap, heap);
            }
            store.put_back(column, vector);
        }
    }

    /// Writes rows until there are as many as a batch has, or no more.
    fn fill(
        &mut self,
        repeats: &mut [u16],
        count: &mut usize,
        store: &mut Store<'a>,
    ) -> Result<(), Error<'a>> {
        let mut statement = store.statement;
        let outcome = self.fill_with(repeats, count, store, &mut statement);
        store.statement.random = statement.random;
        outcome
    }

    fn fill_with(
        &mut self,
        repeats: &mut [u16],
        count: &mut usize,
        store: &Store<'a>,
        statement: &mut Statement<'a>,
    ) -> Result<(), Error<'a>> {
        let rows = store.rows(self.batch);
        let session = statement.session();
        let Statement { began_us: statement_us, transaction_us, .. } = *statement;
        let clock = Clock { transaction_us, statement_us, now_us: &now_us };
        let ordinality = self.with_ordinality.then_some(self.outs.len() - 1);
        while *count < store.capacity && self.position < rows.len() {
            let row = rows.nth(self.position);
            let local = Arena::new(self.scratch.budget());
            let mut running: Vec<'_, Running<'_, '_>> = Vec::with_capacity_in(self.calls.len(), &local)?;
            let mut spans = Vec::with_capacity_in(self.calls.len(), &local)?;
            let mut sites = Vec::with_capacity_in(self.calls.len(), &local)?;
            let (outs, scratch) = (&mut self.outs, &mut self.scratch);
            let mut nothing = Vec::new_in(&local);
            for call in self.calls.iter_mut() {
                let Call { kind, args, types, span, first_column, columns_count, site, kept } = call;
                let mut around = Around {
                    statement: &mut *statement,
                    session: &session,
                    clock: &clock,
                    scratch: &mut *scratch,
                };
                let run = {
                    let mut cx = around.context(&mut nothing, site);
                    let opened = begin(*kind, args, types, self.given, kept, row, store, &mut cx);
                    opened.map_err(|problem| Error::of_call(problem, *span))?
                };
                running.push(run)?;
                spans.push((*span, *first_column, *columns_count))?;
                sites.push(site)?;
            }
            loop {
                if *count == store.capacity {
                    return Ok(());
                }
                let mut is_any = false;
                for ((run, &(span, first, columns)), site) in
                    running.iter_mut().zip(&spans).zip(sites.iter_mut())
                {
                    let mut around = Around {
                        statement: &mut *statement,
                        session: &session,
                        clock: &clock,
                        scratch: &mut *scratch,
                    };
                    let outs = &mut outs[first..first + columns];
                    let is_given = give(run, outs, *count, span, &mut around, site, &mut nothing)?;
                    is_any |= is_given;
                }
                if !(is_any || (self.given == 0 && self.keeps_empty)) {
                    break;
                }
                self.given += 1;
                if let Some(column) = ordinality {
                    let vector = &mut outs[column].vector;
                    vector.valid[*count] = is_any;
                    if let Data::I64(numbers) = &mut vector.data {
                        numbers[*count] = self.given as i64;
                    }
                }
                repeats[*count] = row as u16;
                *count += 1;
                if !is_any {
                    break;
                }
            }
            drop((running, sites));
            for call in self.calls.iter_mut() {
                call.kept = None;
            }
            self.position += 1;
            self.given = 0;
        }
        Ok(())
    }
}

/// What calls have around them.
struct Around<'r, 'a, 's> {
    statement: &'r mut Statement<'a>,
    session: &'r Session<'s>,
    clock: &'r Clock<'s>,
    scratch: &'r mut Arena,
}

impl Around<'_, '_, '_> {
    /// The context of a call whose bytes go to `sink`.
    fn context<'c, 'h: 'c>(&'c mut self, sink: &'c mut Vec<'h, u8>, site: &'c mut Site) -> CallContext<'c> {
        CallContext {
            clock: self.clock,
            session: self.session,
            sink,
            scratch: self.scratch,
            random: &mut self.statement.random,
            site,
            is_cancelled: self.statement.is_cancelled,
        }
    }
}

/// Opens a call for a row, behind the rows that it has given.
#[expect(clippy::too_many_arguments, reason = "a call, the row, and what it is opened with")]
fn begin<'r, 'v>(
    kind: TableFunctionKind,
    args: &[Program<'_>],
    types: &[Type],
    given: u64,
    kept: &'r mut Option<CallRows<'static>>,
    row: usize,
    store: &'v Store<'_>,
    cx: &mut CallContext<'_>,
) -> Result<Running<'r, 'v>, Problem> {
    if kept.is_some() {
        return Ok(Running::Kept(kept.as_mut().expect("seen above")));
    }
    let mut values = [Value::Null; ARGUMENTS_MAX];
    for ((value, arg), &ty) in values.iter_mut().zip(args).zip(types) {
        *value = store.value(arg.result, row, ty);
    }
    let values = &values[..args.len().min(ARGUMENTS_MAX)];
    let id: TableFunctionId = match kind {
        TableFunctionKind::Rows(id) => id,
        TableFunctionKind::Once => {
            let value = values.first().copied().unwrap_or_default();
            return Ok(Running::Once((given == 0).then_some(value)));
        }
    };
    let mut plain = [Value::Null; ARGUMENTS_MAX];
    let is_plain = values.iter().zip(plain.iter_mut()).all(|(&value, plain)| match value.without_bytes() {
        Some(value) => {
            *plain = value;
            true
        }
        None => false,
    });
    if is_plain {
        let mut rows = open(id, &plain[..values.len()], cx)?;
        skip(&mut rows, given, cx)?;
        return Ok(Running::Kept(kept.insert(rows)));
    }
    let mut rows = open(id, values, cx)?;
    skip(&mut rows, given, cx)?;
    Ok(Running::Opened(rows))
}

fn skip(rows: &mut CallRows<'_>, given: u64, cx: &mut CallContext<'_>) -> Result<(), Problem> {
    for _ in 0..given {
        if !rows.advance(cx)? {
            break;
        }
    }
    Ok(())
}

/// Writes the next row of a call, or NULLs; gives whether there was one.
fn give<'a>(
    run: &mut Running<'_, '_>,
    outs: &mut [Out<'a>],
    at: usize,
    span: Span,
    around: &mut Around<'_, '_, '_>,
    site: &mut Site,
    nothing: &mut Vec<'_, u8>,
) -> Result<bool, Error<'a>> {
    let failed = |problem| Error::of_call(problem, span);
    let has_row = match run {
        Running::Kept(rows) => rows.advance(&mut around.context(nothing, site)).map_err(failed)?,
        Running::Opened(rows) => rows.advance(&mut around.context(nothing, site)).map_err(failed)?,
        Running::Once(value) => {
            let taken = value.take();
            if let (Some(value), Some(out)) = (taken, outs.first_mut()) {
                out.put(CallOutput::Value(value), out.heap.len(), at, span)?;
                return Ok(true);
            }
            false
        }
    };
    for (index, out) in outs.iter_mut().enumerate() {
        if !has_row {
            out.vector.valid[at] = false;
            continue;
        }
        let start = out.heap.len();
        let mut cx = around.context(&mut out.heap, site);
        let output = match run {
            Running::Kept(rows) => rows.column(index, &mut cx),
            Running::Opened(rows) => rows.column(index, &mut cx),
            Running::Once(_) => Ok(CallOutput::NULL),
        };
        let output = output.map_err(failed)?;
        out.put(output, start, at, span)?;
    }
    Ok(has_row)
}

impl<'a> Out<'a> {
    /// Stores a result; what was written stands from `start` on in the heap.
    fn put(&mut self, output: CallOutput<'_>, start: usize, at: usize, span: Span) -> Result<(), Error<'a>> {
        let is_null = matches!(output, CallOutput::Value(Value::Null));
        self.vector.valid[at] = !is_null;
        if is_null {
            return Ok(());
        }
        match (&mut self.vector.data, output) {
            (Data::Text(views), output) => {
                if let CallOutput::Value(value) = output {
                    let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
                    self.heap.extend_from_slice(bytes_of(value, &mut compact))?;
                }
                let (start, end) = (u32::try_from(start), u32::try_from(self.heap.len()));
                let (Ok(start), Ok(end)) = (start, end) else { return Err(Error::too_much_text(span)) };
                views[at] = TextView { start, len: end - start };
            }
            (data, CallOutput::Value(value)) => data.put(at, shaped(value, self.ty)),
            // Only what is bytes is written.
            (_, CallOutput::Written) => self.vector.valid[at] = false,
        }
        Ok(())
    }
}

/// A number with the scale of its column.
fn shaped(value: Value<'_>, ty: Type) -> Value<'_> {
    match (value, ty) {
        (Value::Decimal(number), Type::Decimal { precision, scale }) if number.scale() != scale => {
            number.fit(precision, scale).map_or(Value::Decimal(number), Value::Decimal)
        }
        (value, _) => value,
    }
}

impl<'a> Call<'a> {
    fn open(
        plan: &TableCall<'a>,
        first_column: usize,
        input: &[VectorId],
        given: &[Column<'_>],
        store: &mut Store<'a>,
        registers: &mut Registers<'a>,
        arena: &'a Arena,
    ) -> Result<Call<'a>, Error<'a>> {
        let mut args = Vec::with_capacity_in(plan.args.len(), arena)?;
        for arg in plan.args {
            // Its register stays taken: arguments are read until the batch is done.
            args.push(compile(arg, input, store, registers)?)?;
        }
        let columns_count = plan.columns_count as usize;
        let mut types = Vec::with_capacity_in(plan.args.len() + columns_count, arena)?;
        types.extend(plan.args.iter().map(|arg| arg.ty))?;
        types.extend(given[..columns_count].iter().map(|column| column.ty))?;
        Ok(Call {
            kind: plan.function,
            args,
            types: types.into_slice(),
            span: plan.span,
            first_column,
            columns_count,
            site: Site::new(arena.budget()),
            kept: None,
        })
    }
}

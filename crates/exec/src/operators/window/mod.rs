//! Window functions.
//!
//! ```text
//! sink      batch ──> sorter, by partition and order
//! source    sorter ──> arguments computed ──> log of the partition's rows ──┬─> row by row: each function's result
//!                      new partition? new peers?     (memory, then a file)  └─> the rows again, with the results behind them
//! ```
//!
//! Rows are read ahead only as far as the functions of the row of now ask for: not at all for numbers of rows and frames that end with
//! the row, to the last peer for the usual frame, to the end of the partition for those that look there. And rows that no function of
//! a later row asks for are forgotten. So most windows hold a few rows, whatever their partitions have; the others hold partitions,
//! in a file where memory does not suffice.
//!
//! | file | holds |
//! |---|---|
//! | `log` | the rows of a partition |
//! | `frame` | which rows a function looks at |
//! | `aggregate`, `accumulator` | aggregates over frames, and their states |
//!
//! **Ladder**: in memory → the sorter's runs, and the partition in a file → the typed error.

mod accumulator;
mod aggregate;
mod frame;
mod log;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, Budget};
use cofferdam_plan::Span;
use cofferdam_plan::expr::{Expr, ExprKind};
use cofferdam_plan::physical::{FrameBound, OperatorId, SortKey, Window, WindowFunction, WindowKind};
use cofferdam_types::{Type, Value};

use self::aggregate::FrameAggregate;
use self::frame::{Frames, Position};
use self::log::RowLog;
use super::State;
use super::sort::SortInput;
use crate::batch::{BatchRows, Element, Kind, Rows, Store, TextView, VectorId, bytes_of};
use crate::error::{ArgumentProblem, Error};
use crate::expr::{Program, Registers, compile};
use crate::pipeline::{Context, Opening, Output, batch_bytes_max};
use crate::rows::{RowEncoder, RowLayout};
use crate::sorter::{KeyEncoder, SortKeys, Sorter};
use crate::spill::{IsCancelled, SpillFailure};

/// Readers of a partition's file at most: a window with more functions than that reads it more often.
const READERS_MAX: usize = 8;
/// A batch ends when its results have more bytes of text.
const HEAP_BYTES_MAX: usize = 64 << 10;
const NEW_PARTITION: u8 = 1;
const NEW_PEERS: u8 = 2;

/// How many read the file of a partition at once, for so many functions.
fn readers_count(functions: usize) -> usize {
    (1 + 2 * functions).min(READERS_MAX)
}

/// What a window takes for its partition's file under a limit.
pub(super) fn minimum_bytes(functions: usize, limit_bytes: u64) -> u64 {
    log::reserve_bytes(limit_bytes, readers_count(functions))
}

fn sorter_of(state: &mut State) -> &mut Sorter {
    let State::Sorted(sorter) = state else { unreachable!("the sink made it") };
    sorter
}

/// The keys that rows are sorted by: those of the partition, then those of the order.
fn all_keys<'s>(plan: &Window<'_>, scratch: &'s Arena) -> Result<&'s [SortKey], AllocError> {
    let partition =
        plan.partition.iter().map(|&column| SortKey { column, descending: false, nulls_first: false });
    let mut keys = Vec::with_capacity_in(plan.partition.len() + plan.order.len(), scratch)?;
    for key in partition.chain(plan.order.iter().copied()) {
        keys.push(key)?;
    }
    Ok(keys.into_slice())
}

/// Sorts rows by partition and order.
#[derive(Debug)]
pub(crate) struct WindowSink<'a> {
    id: OperatorId,
    budget: &'a Budget,
    input: SortInput<'a>,
}

impl<'a> WindowSink<'a> {
    pub(crate) fn open(
        plan: &Window<'_>,
        opening: &Opening<'_, 'a>,
        cx: &mut Context<'_>,
    ) -> Result<WindowSink<'a>, Error<'a>> {
        let keys = all_keys(plan, opening.arena)?;
        let input = SortInput::open(plan.input, keys, opening)?;
        *cx.state(opening.id) = State::Sorted(input.sorter(None, opening, cx));
        Ok(WindowSink { id: opening.id, budget: opening.budget(), input })
    }

    pub(crate) fn take(
        &mut self,
        batch: BatchRows,
        store: &Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        self.input.put(batch, self.id, store, cx)
    }

    pub(crate) fn finish(&mut self, store: &Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let sorter = sorter_of(cx.state(self.id));
        sorter.finish(store.capacity, is_cancelled)?;
        // The rows are kept once more as they are read, and operators above have use for memory too.
        if self.budget.available() < sorter.yieldable_bytes() {
            sorter.spill(is_cancelled)?;
        }
        Ok(true)
    }
}

/// The columns of the rows that are kept: those of the input, then what is computed of them.
#[derive(Debug)]
struct Columns<'a> {
    layout: RowLayout<'a>,
    types: &'a [Type],
}

impl Columns<'_> {
    /// The value of a column of a kept row.
    fn value<'r>(&self, row: &'r [u8], column: usize) -> Value<'r> {
        self.layout.value(row, column, self.types[column])
    }
}

/// The rows of the partition of now, as far as they are read, and how to read on.
struct Partition<'a> {
    columns: Columns<'a>,
    log: RowLog,
    loader: Loader<'a>,
    /// Whether the log has all rows.
    is_complete: bool,
    /// The number of the last row's peers.
    peers: u64,
    /// What its rows have that were read.
    rows_bytes: u64,
}

/// Takes rows from the sorter.
struct Loader<'a> {
    id: OperatorId,
    /// The input's columns, as the sorter gives them.
    loaded: &'a [VectorId],
    programs: Vec<'a, Program<'a>>,
    /// What is kept of a row.
    kept: &'a [VectorId],
    input_layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    partition_keys: SortKeys<'a>,
    order_keys: SortKeys<'a>,
    key_encoder: KeyEncoder<'a>,
    /// The keys of the last row of the batch before.
    last_partition: Vec<'a, u8>,
    last_order: Vec<'a, u8>,
    has_last: bool,
    /// Of each row of the batch what begins with it.
    flags: Vec<'a, u8>,
    count: usize,
    at: usize,
    is_done: bool,
}

impl<'a> Loader<'a> {
    /// Reads the next batch of the sorter; false behind the last.
    fn refill(
        &mut self,
        columns: &Columns<'_>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<bool, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let sorter = sorter_of(cx.state(self.id));
        (self.count, self.at) = (sorter.advance(store.capacity, is_cancelled)?, 0);
        if self.count == 0 {
            self.is_done = true;
            return Ok(false);
        }
        for (column, &target) in self.loaded.iter().enumerate() {
            self.input_layout.decode(column, sorter.rows(), target, store)?;
        }
        let batch = BatchRows::all(self.count);
        for program in self.programs.iter_mut() {
            program.run(store, batch)?;
        }
        self.encoder.encode(&columns.layout, self.kept, Rows::All(self.count), store)?;
        self.flags.clear();
        self.flags.resize(self.count, 0)?;
        let (loaded, encoder) = (self.loaded, &mut self.key_encoder);
        for (keys, last, flag) in [
            (&self.partition_keys, &mut self.last_partition, NEW_PARTITION | NEW_PEERS),
            (&self.order_keys, &mut self.last_order, NEW_PEERS),
        ] {
            if keys.is_empty() {
                self.flags[0] |= if self.has_last { 0 } else { flag };
                continue;
            }
            encoder.encode(keys, loaded, batch_rows(batch), store)?;
            let differs = |i: usize| match i {
                0 => !self.has_last || *encoder.whole_key(0) != last[..],
                _ => encoder.whole_key(i) != encoder.whole_key(i - 1),
            };
            for (i, of_row) in self.flags.iter_mut().enumerate() {
                *of_row |= if differs(i) { flag } else { 0 };
            }
            last.clear();
            last.extend_from_slice(encoder.whole_key(self.count - 1))?;
        }
        self.has_last = true;
        Ok(true)
    }
}

fn batch_rows(batch: BatchRows) -> Rows<'static> {
    Rows::All(batch.count)
}

impl<'a> Partition<'a> {
    /// Begins with the next partition; false without any.
    fn begin(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        self.log.clear();
        (self.is_complete, self.peers, self.rows_bytes) = (false, 0, 0);
        self.ensure(0, store, cx)
    }

    /// Whether not all rows are peers.
    fn has_order(&self) -> bool {
        !self.loader.order_keys.is_empty()
    }

    /// Reads on until a row is there; false if the partition has no such row.
    #[inline]
    fn ensure(&mut self, row: u64, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        while self.log.rows_count() <= row {
            if !self.load(store, cx)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How many rows the partition has.
    fn rows_count(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<u64, Error<'a>> {
        self.ensure(u64::MAX, store, cx)?;
        Ok(self.log.rows_count())
    }

    fn load(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<bool, Error<'a>> {
        let loader = &mut self.loader;
        if !self.is_complete && loader.at == loader.count && !loader.is_done {
            loader.refill(&self.columns, store, cx)?;
        }
        if self.is_complete || loader.is_done {
            self.is_complete = true;
            return Ok(false);
        }
        let flags = loader.flags[loader.at];
        if flags & NEW_PARTITION != 0 && self.log.rows_count() > 0 {
            self.is_complete = true;
            return Ok(false);
        }
        self.peers += u64::from(flags & NEW_PEERS != 0);
        let (row, is_cancelled) = (loader.encoder.row(loader.at), cx.is_cancelled);
        while let Err(failure) = self.log.push(self.peers, row, is_cancelled) {
            // Rows that are still to come make room for those that are there, and so do others.
            let is_short = matches!(failure, SpillFailure::OutOfMemory(_));
            let is_made = is_short
                && (sorter_of(cx.state(loader.id)).spill(is_cancelled)? || cx.relieve(Some(loader.id), 1)?);
            if !is_made {
                return Err(failure.into());
            }
        }
        self.rows_bytes += row.len() as u64;
        loader.at += 1;
        Ok(true)
    }

    /// What so many rows have, as rows of the partition go.
    fn bytes_of(&self, rows: u64) -> u64 {
        self.rows_bytes / self.log.rows_count().max(1) * rows
    }

    /// The number of a row's peers.
    fn peers_of(&mut self, row: u64, is_cancelled: IsCancelled<'_>) -> Result<u64, SpillFailure> {
        Ok(self.log.get(row, is_cancelled)?.0)
    }
}

/// A window function that runs.
struct Function<'a> {
    kind: FunctionKind<'a>,
    frames: Frames,
    result: VectorId,
    span: Span,
}

#[expect(clippy::large_enum_variant, reason = "a window has few functions, and most are aggregates")]
enum FunctionKind<'a> {
    Aggregate(FrameAggregate<'a>),
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile {
        buckets: usize,
        /// How many there are, and the row that said so.
        known: Option<(u64, u64)>,
    },
    /// The value of a row before or behind.
    Shift(Shift),
    First(usize),
    Last(usize),
    Nth {
        value: usize,
        number: usize,
    },
}

/// `lag` and `lead`, by columns of kept rows.
#[derive(Clone, Copy, Debug)]
struct Shift {
    value: usize,
    offset: Option<usize>,
    default: Option<usize>,
    is_lead: bool,
    /// The offset, if it is the same for all rows.
    constant: Option<i64>,
}

/// Hands out rows with the results of functions behind them.
pub(crate) struct WindowSource<'a> {
    partition: Partition<'a>,
    functions: Vec<'a, Function<'a>>,
    /// The input's columns, and the results.
    output: &'a [VectorId],
    /// The results that are text.
    texts: Vec<'a, VectorId>,
    /// What the input's columns of a batch have about, if some are text.
    batch_bytes_max: u64,
    inputs_count: usize,
    /// Whether there is a partition that is not at its end.
    is_open: bool,
    /// Where in it the next row is.
    position: Position,
    id: OperatorId,
}

impl core::fmt::Debug for WindowSource<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WindowSource").field("position", &self.position).finish_non_exhaustive()
    }
}

/// Gathers what is kept of rows beside the input's columns.
struct Kept<'k, 'a> {
    loaded: &'a [VectorId],
    input_types: &'k dyn Fn(usize) -> Type,
    registers: Registers<'a>,
    programs: Vec<'a, Program<'a>>,
    ids: Vec<'a, VectorId>,
    types: Vec<'a, Type>,
}

impl<'a> Kept<'_, 'a> {
    /// The column of kept rows that holds an expression.
    fn column(&mut self, expr: &'a Expr<'a>, store: &mut Store<'a>) -> Result<usize, Error<'a>> {
        if let ExprKind::Column(column) = expr.kind {
            return Ok(column as usize);
        }
        let program = compile(expr, self.loaded, store, &mut self.registers)?;
        self.ids.push(program.result)?;
        self.types.push(expr.ty)?;
        self.programs.push(program)?;
        Ok(self.ids.len() - 1)
    }

    fn maybe(
        &mut self,
        expr: Option<&'a Expr<'a>>,
        store: &mut Store<'a>,
    ) -> Result<Option<usize>, Error<'a>> {
        expr.map(|expr| self.column(expr, store)).transpose()
    }

    fn ty(&self, column: usize) -> Type {
        if column < self.loaded.len() { (self.input_types)(column) } else { self.types[column] }
    }
}

/// The number that an expression is for all rows.
fn constant_of(expr: &Expr<'_>) -> Option<i64> {
    match expr.kind {
        ExprKind::Literal(Value::Integer(number)) => Some(number.into()),
        ExprKind::Literal(Value::BigInt(number)) => Some(number),
        _ => None,
    }
}

impl<'a> WindowSource<'a> {
    pub(crate) fn open(
        plan: &'a Window<'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &Context<'_>,
    ) -> Result<(WindowSource<'a>, &'a [VectorId]), Error<'a>> {
        let arena = opening.arena;
        let output = opening.add_columns(store)?;
        let input_columns = opening.operators[plan.input.index()].columns;
        let input_types = |column: usize| input_columns[column].ty;
        let loaded = arena.alloc_slice_fill(input_columns.len(), VectorId(0))?;
        for (id, column) in loaded.iter_mut().zip(input_columns) {
            *id = store.add_vector(Kind::of(column.ty), arena)?;
        }
        let loaded = &*loaded;
        let mut kept = Kept {
            loaded,
            input_types: &input_types,
            registers: Registers::new(arena),
            programs: Vec::new_in(arena),
            ids: Vec::new_in(arena),
            types: Vec::new_in(arena),
        };
        for (&id, column) in loaded.iter().zip(input_columns) {
            kept.ids.push(id)?;
            kept.types.push(column.ty)?;
        }
        let mut functions = Vec::with_capacity_in(plan.functions.len(), arena)?;
        for (function, &result) in plan.functions.iter().zip(&output[input_columns.len()..]) {
            let kind = Function::open(function, &mut kept, opening, store)?;
            let frames = Frames::new(function.frame, plan.order, function.span, opening.budget());
            functions.push(Function { kind, frames, result, span: function.span })?;
        }
        let keys = all_keys(plan, arena)?;
        let (partition, order) = keys.split_at(plan.partition.len());
        let Kept { programs, ids, types, .. } = kept;
        let (ids, types) = (&*ids.into_slice(), &*types.into_slice());
        let layout = RowLayout::new(types.iter().map(|ty| Kind::of(*ty)), arena)?;
        let loader = Loader {
            id: opening.id,
            loaded,
            programs,
            kept: ids,
            input_layout: RowLayout::new(opening.kinds_of(plan.input), arena)?,
            encoder: RowEncoder::new(arena),
            partition_keys: SortKeys::new(partition, input_types, arena)?,
            order_keys: SortKeys::new(order, input_types, arena)?,
            key_encoder: KeyEncoder::new(arena),
            last_partition: Vec::new_in(arena),
            last_order: Vec::new_in(arena),
            has_last: false,
            flags: Vec::new_in(arena),
            count: 0,
            at: 0,
            is_done: false,
        };
        let readers = readers_count(functions.len());
        let budget = opening.budget();
        let partition = Partition {
            columns: Columns { layout, types },
            log: RowLog::new(budget, cx.spill, budget.name(), readers),
            loader,
            is_complete: true,
            peers: 0,
            rows_bytes: 0,
        };
        let mut texts = Vec::new_in(arena);
        for &id in &output[input_columns.len()..] {
            if store.vector(id).kind() == Kind::Text {
                texts.push(id)?;
            }
        }
        let (inputs_count, position) = (input_columns.len(), Position::default());
        let has_texts = input_columns.iter().any(|column| Kind::of(column.ty) == Kind::Text);
        let batch_bytes_max = if has_texts { batch_bytes_max(budget.limit_on_path()) } else { u64::MAX };
        let source = WindowSource {
            partition,
            functions,
            output,
            texts,
            batch_bytes_max,
            inputs_count,
            is_open: false,
            position,
            id: opening.id,
        };
        Ok((source, output))
    }

    pub(crate) fn next(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        if !self.is_open {
            if !self.partition.begin(store, cx)? {
                let counts = self.partition.log.spilled();
                let of_sorter = sorter_of(cx.state(self.id)).spilled();
                let counters = cx.counters(self.id);
                counters.spilled_bytes = counts.bytes_total + of_sorter.bytes_total;
                counters.spilled_files = counts.files_total + of_sorter.files_total;
                return Ok(Output::End);
            }
            self.is_open = true;
            self.position = Position::default();
            for function in self.functions.iter_mut() {
                function.begin()?;
            }
        }
        for &id in self.output {
            begin_column(store, id);
        }
        let first = self.position.row;
        let mut count = 0;
        while count < store.capacity {
            if count > 0 && count.is_multiple_of(64) {
                cx.check()?;
            }
            if !self.partition.ensure(self.position.row, store, cx)? {
                self.is_open = false;
                break;
            }
            self.position.enter(&mut self.partition, is_cancelled)?;
            for function in self.functions.iter_mut() {
                function.compute(count, &mut self.position, &mut self.partition, store, cx)?;
            }
            self.position.row += 1;
            count += 1;
            // Long texts: fewer rows at once.
            let inputs_bytes = self.partition.bytes_of(count as u64);
            if self.heap_bytes(store) > HEAP_BYTES_MAX || inputs_bytes >= self.batch_bytes_max {
                break;
            }
        }
        for &id in &self.output[self.inputs_count..] {
            let vector = store.vector_mut(id);
            vector.all_valid = vector.valid[..count].iter().all(|is_valid| *is_valid);
        }
        self.copy_inputs(first, count, store, is_cancelled)?;
        let row = self.position.row;
        let needed = self.functions.iter().map(|function| function.needs(row)).min().unwrap_or(row);
        self.partition.log.forget_before(needed.min(row));
        Ok(if count == 0 { Output::Again } else { Output::Batch(BatchRows::all(count)) })
    }

    /// How many bytes of text the results of this batch have.
    fn heap_bytes(&self, store: &Store<'a>) -> usize {
        self.texts.iter().map(|&id| store.heap(store.vector(id).heap).len()).sum()
    }

    /// Puts the input's columns of some rows into the output.
    fn copy_inputs(
        &mut self,
        first: u64,
        count: usize,
        store: &mut Store<'a>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        let Partition { log, columns, .. } = &mut self.partition;
        if let Some(rows) = log.rows_in_memory(first, count) {
            for (column, &id) in self.output[..self.inputs_count].iter().enumerate() {
                columns.layout.decode(column, rows.clone(), id, store)?;
            }
            return Ok(());
        }
        for at in 0..count {
            let (_, row) = log.get(first + at as u64, is_cancelled)?;
            for (column, &id) in self.output[..self.inputs_count].iter().enumerate() {
                columns.layout.put(column, row, at, id, store)?;
            }
        }
        Ok(())
    }
}

/// Empties a column that values are put into one by one.
fn begin_column(store: &mut Store<'_>, id: VectorId) {
    let vector = store.vector_mut(id);
    vector.all_valid = false;
    let heap = vector.heap;
    if vector.kind() == Kind::Text {
        store.heap_mut(heap).clear();
    }
}

/// Puts a value into a column.
fn put(store: &mut Store<'_>, id: VectorId, at: usize, value: Value<'_>) -> Result<(), AllocError> {
    let vector = store.vector_mut(id);
    vector.valid[at] = !value.is_null();
    if value.is_null() {
        return Ok(());
    }
    if vector.kind() != Kind::Text {
        vector.data.put(at, value);
        return Ok(());
    }
    let (id_of_heap, mut compact) = (vector.heap, [0; cofferdam_types::Decimal::COMPACT_BYTES_MAX]);
    let view = store.append_text(id_of_heap, bytes_of(value, &mut compact))?;
    TextView::write(&mut store.vector_mut(id).data)[at] = view;
    Ok(())
}

/// Makes a row of a column NULL.
fn put_null(store: &mut Store<'_>, id: VectorId, at: usize) {
    store.vector_mut(id).valid[at] = false;
}

impl<'a> Function<'a> {
    fn open(
        function: &'a WindowFunction<'a>,
        kept: &mut Kept<'_, 'a>,
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
    ) -> Result<FunctionKind<'a>, Error<'a>> {
        let mut shift = |value, offset: Option<&'a Expr<'a>>, default, is_lead| -> Result<_, Error<'a>> {
            Ok(FunctionKind::Shift(Shift {
                value: kept.column(value, store)?,
                offset: kept.maybe(offset, store)?,
                default: kept.maybe(default, store)?,
                is_lead,
                constant: offset.map_or(Some(1), constant_of),
            }))
        };
        Ok(match function.kind {
            WindowKind::Lag { value, offset, default } => shift(value, offset, default, false)?,
            WindowKind::Lead { value, offset, default } => shift(value, offset, default, true)?,
            WindowKind::RowNumber => FunctionKind::RowNumber,
            WindowKind::Rank => FunctionKind::Rank,
            WindowKind::DenseRank => FunctionKind::DenseRank,
            WindowKind::PercentRank => FunctionKind::PercentRank,
            WindowKind::CumeDist => FunctionKind::CumeDist,
            WindowKind::Ntile(buckets) => {
                FunctionKind::Ntile { buckets: kept.column(buckets, store)?, known: None }
            }
            WindowKind::FirstValue(value) => FunctionKind::First(kept.column(value, store)?),
            WindowKind::LastValue(value) => FunctionKind::Last(kept.column(value, store)?),
            WindowKind::NthValue(value, number) => {
                FunctionKind::Nth { value: kept.column(value, store)?, number: kept.column(number, store)? }
            }
            WindowKind::Aggregate(aggregate) => {
                let arena = opening.arena;
                let mut columns = Vec::with_capacity_in(aggregate.args.len(), arena)?;
                for arg in aggregate.args {
                    let column = kept.column(arg, store)?;
                    columns.push((column, kept.ty(column)))?;
                }
                let filter = kept.maybe(aggregate.filter, store)?;
                let columns = &*columns.into_slice();
                let only_grows = frame::only_grows(&function.frame);
                let aggregate = FrameAggregate::open(&aggregate, columns, filter, only_grows, arena, store)?;
                FunctionKind::Aggregate(aggregate)
            }
        })
    }

    /// Another partition begins.
    fn begin(&mut self) -> Result<(), AllocError> {
        self.frames.begin();
        match &mut self.kind {
            FunctionKind::Aggregate(aggregate) => aggregate.begin()?,
            FunctionKind::Ntile { known, .. } => *known = None,
            _ => {}
        }
        Ok(())
    }

    /// The first row that is needed when the next row to come is `row`.
    fn needs(&self, row: u64) -> u64 {
        match &self.kind {
            FunctionKind::RowNumber
            | FunctionKind::Rank
            | FunctionKind::DenseRank
            | FunctionKind::PercentRank
            | FunctionKind::CumeDist
            | FunctionKind::Ntile { .. } => row,
            FunctionKind::Shift(shift) => match (shift.constant, shift.is_lead) {
                (Some(offset @ 0..), false) => row.saturating_sub(offset as u64),
                (Some(0..), true) => row,
                _ => 0,
            },
            FunctionKind::Aggregate(aggregate) if self.frames.only_grows() => {
                aggregate.taken_rows().min(self.frames.needs(row))
            }
            _ => self.frames.needs(row).min(self.frames.first_row()),
        }
    }

    /// Computes the result for the row of now into row `at` of its column.
    fn compute(
        &mut self,
        at: usize,
        position: &mut Position,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let (row, result, span) = (position.row, self.result, self.span);
        let wrong = |problem| Error::Argument { problem, span };
        let number = |number: u64| Value::BigInt(i64::try_from(number).unwrap_or(i64::MAX));
        let value = match &mut self.kind {
            FunctionKind::RowNumber => number(row + 1),
            FunctionKind::Rank => number(position.peers_start + 1),
            FunctionKind::DenseRank => number(position.peers),
            FunctionKind::PercentRank => {
                let rows = partition.rows_count(store, cx)?;
                let part = position.peers_start as f64 / (rows.max(2) - 1) as f64;
                Value::Double(if rows == 1 { 0.0 } else { part })
            }
            FunctionKind::CumeDist => {
                let end = position.peers_end(partition, store, cx)?;
                Value::Double(end as f64 / partition.rows_count(store, cx)? as f64)
            }
            FunctionKind::Ntile { buckets, known } => {
                if known.is_none() {
                    let rows = partition.rows_count(store, cx)?;
                    let (_, bytes) = partition.log.get(row, is_cancelled)?;
                    match integer(partition.columns.value(bytes, *buckets)) {
                        None => {}
                        Some(count @ 1..) => *known = Some((count as u64, row)),
                        Some(_) => return Err(wrong(ArgumentProblem::NtileNotPositive)),
                    }
                    debug_assert!(rows > row);
                }
                match *known {
                    None => Value::Null,
                    Some((buckets, first)) => {
                        let rows = partition.rows_count(store, cx)?;
                        Value::Integer(i32::try_from(bucket(row - first, rows, buckets)).unwrap_or(i32::MAX))
                    }
                }
            }
            FunctionKind::Shift(shift) => {
                return shift.compute(at, row, result, partition, store, cx);
            }
            FunctionKind::Aggregate(aggregate) => {
                let ranges = self.frames.of_row(position, partition, store, cx)?;
                return aggregate.compute(ranges, at, result, partition, store, is_cancelled);
            }
            FunctionKind::First(_) | FunctionKind::Last(_) | FunctionKind::Nth { .. } => {
                let ranges = self.frames.of_row(position, partition, store, cx)?;
                let (column, target) = match self.kind {
                    FunctionKind::First(column) => (column, ranges.nth(0)),
                    FunctionKind::Last(column) => (column, ranges.last()),
                    FunctionKind::Nth { value, number } => {
                        let (_, bytes) = partition.log.get(row, is_cancelled)?;
                        let target = match integer(partition.columns.value(bytes, number)) {
                            None => None,
                            Some(number @ 1..) => ranges.nth(number as u64 - 1),
                            Some(_) => return Err(wrong(ArgumentProblem::NthValueNotPositive)),
                        };
                        (value, target)
                    }
                    _ => unreachable!("one of these three"),
                };
                return put_of_row(at, target, column, result, partition, store, is_cancelled);
            }
        };
        Ok(put(store, result, at, value)?)
    }
}

impl Shift {
    fn compute<'a>(
        self,
        at: usize,
        row: u64,
        result: VectorId,
        partition: &mut Partition<'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let offset = match (self.constant, self.offset) {
            (Some(offset), _) => Some(offset),
            (None, Some(column)) => {
                let (_, bytes) = partition.log.get(row, is_cancelled)?;
                integer(partition.columns.value(bytes, column))
            }
            (None, None) => Some(1),
        };
        let Some(offset) = offset else { return Ok(put(store, result, at, Value::Null)?) };
        let offset = if self.is_lead { offset } else { -offset };
        let target = row.checked_add_signed(offset);
        let is_there = match target {
            Some(target) => partition.ensure(target, store, cx)?,
            None => false,
        };
        match (target.filter(|_| is_there), self.default) {
            (None, Some(default)) => {
                put_of_row(at, Some(row), default, result, partition, store, is_cancelled)
            }
            (target, _) => put_of_row(at, target, self.value, result, partition, store, is_cancelled),
        }
    }
}

/// Puts a column of a row into the result of another one; NULL for no row.
fn put_of_row<'a>(
    at: usize,
    row: Option<u64>,
    column: usize,
    result: VectorId,
    partition: &mut Partition<'a>,
    store: &mut Store<'a>,
    is_cancelled: IsCancelled<'_>,
) -> Result<(), Error<'a>> {
    let Some(row) = row else { return Ok(put(store, result, at, Value::Null)?) };
    let (_, bytes) = partition.log.get(row, is_cancelled)?;
    Ok(partition.columns.layout.put(column, bytes, at, result, store)?)
}

/// The number that a value is; `None` for NULL.
fn integer(value: Value<'_>) -> Option<i64> {
    match value {
        Value::SmallInt(number) => Some(number.into()),
        Value::Integer(number) => Some(number.into()),
        Value::BigInt(number) => Some(number),
        _ => None,
    }
}

/// The bucket, from 1, of a row, from 0, when `rows` are parted into `buckets` whose sizes differ by one at most, the larger ones first.
fn bucket(row: u64, rows: u64, buckets: u64) -> u64 {
    let (small, larger) = (rows / buckets, rows % buckets);
    match row.checked_sub(larger * (small + 1)) {
        None => row / (small + 1) + 1,
        // Without small buckets no row is behind the larger ones.
        Some(row) => larger + row / small.max(1) + 1,
    }
}

/// Whether a bound depends on rows before the row of now.
fn is_unbounded(bound: FrameBound) -> bool {
    matches!(bound, FrameBound::Unbounded)
}

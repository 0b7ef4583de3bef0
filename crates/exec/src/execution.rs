//! A running query: pipelines one after the other, and the last one batch by batch.
//!
//! ```text
//! Workspace      a budget per operator, arenas of the last pipeline    the caller holds it while the query runs
//! └ Execution    what pipelines leave behind, the last pipeline        borrows the workspace and the plan
//!   └ Batch      the rows of the root's columns                        good until the next batch is asked for
//! ```
//!
//! A plan that looks for one row by its key has no pipelines: see [`lookup`](crate::lookup). What is large of an execution stands in the
//! workspace, so that it is moved quickly.
//!
//! How a plan is cut and what operators are asked is told in [`pipeline`](crate::pipeline).
//!
//! The budgets form a subtree of the statement's: `exec` with a child for each operator, named after it and its number
//! in the plan; one row that is looked for is paid by `exec` itself. When the workspace is dropped all of them are back at zero, whatever happened before.

use core::cell::Cell;
use core::fmt::Write as _;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicI64, Ordering};

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, ArenaBox, Budget, BudgetOptions, InlineText, Stage};
use cofferdam_plan::explain::Measured;
use cofferdam_plan::expr::Column;
use cofferdam_plan::physical::{Change, FileSource, Operator, OperatorId, OperatorKind, PhysicalPlan, Scan};
use cofferdam_plan::table::TableSource;
use cofferdam_store::{LoadError, RowSource, TableId};
use cofferdam_types::Value;

use crate::admission::{LONG_BYTES, Needs, beside_bytes, made_bytes};
use crate::answer::{AnswerRows, Batch};
use crate::batch::{BATCH_ROWS_MAX, BATCH_ROWS_MIN, BatchRows, Kind, Store, VectorId, batch_rows};
use crate::error::{Error, FileProblem, FileProblemKind, Place, StoreProblem, Violation, ViolationKind};
use crate::exchange::{Asker, Feed, Workers};
use crate::lookup::{Lookup, Seek};
use crate::measure::Timing;
use crate::operators::{Sink, name};
use crate::pipeline::{
    Arenas, Context, Counters, Flow, Given, Pipeline, Schedule, SinkRole, Slot, has_room, headroom_bytes,
};
use crate::progress::Progress;
use crate::spill::SpillSpace;
use crate::statement::Statement;
use crate::tables::{Changes, EngineRows, Tables};

static OPEN: Stage = Stage::new("open");
pub(crate) static EXECUTE: Stage = Stage::new("execute");

/// What a batch takes of a table of the engine, which is small.
const ENGINE_ROWS: usize = 64;

/// How deep recursive queries are run inside of rounds of others: each takes native stack.
const RECURSIONS_MAX: u32 = 16;

/// What an operator keeps of its memory from one run to the next, at most, beside the small chunks that its budget keeps
/// ([`BudgetOptions::keeps_chunks`]): 16 KiB with these.
const KEPT_BYTES: usize = 12 << 10;

/// The arenas that a query runs in.
#[derive(Debug)]
pub struct Workspace<'s> {
    budget: Budget,
    /// One per operator, in the order of the plan, and one for what they share; where no pipeline is needed, this one alone.
    arenas: Vec<'s, Arena>,
    schedule: Schedule<'s>,
    /// Where no pipeline is needed.
    lookup: Option<Lookup<'s>>,
    spill: Option<SpillSpace>,
    engine: Option<&'s dyn EngineRows>,
    progress: Option<&'s Progress>,
    threads_count: usize,
    /// Where a limit is told that is enough.
    enough_bytes: Option<&'s Cell<u64>>,
    /// When the transaction began that runs are part of; 0 where each is one of its own.
    transaction_us: Option<&'s AtomicI64>,
}

impl<'s> Workspace<'s> {
    /// The budgets and arenas for a plan's operators, below `statement`. Nothing but their own 64 bytes each and the list of the plan's
    /// pipelines, in `arena`, is taken until the query runs.
    ///
    /// # Errors
    /// `AllocError` when `arena` has no room for the list, or the tree none for the budgets.
    pub fn new(
        plan: &PhysicalPlan<'_>,
        statement: &Budget,
        arena: &'s Arena,
    ) -> Result<Workspace<'s>, AllocError> {
        match Lookup::of(plan, arena)? {
            Some(lookup) => {
                // A row is over before a budget of its own would tell anything, and costs about as much as it.
                let mut arenas = Vec::with_capacity_in(1, arena)?;
                arenas.push(Arena::new(statement))?;
                let workspace = Workspace::with(statement.clone(), arenas, Schedule::EMPTY);
                Ok(Workspace { lookup: Some(lookup), ..workspace })
            }
            None => Workspace::of_pipelines(plan, statement, arena),
        }
    }

    /// The same where every plan is run by pipelines, which can be measured.
    ///
    /// # Errors
    /// As [`Workspace::new`].
    pub fn of_pipelines(
        plan: &PhysicalPlan<'_>,
        statement: &Budget,
        arena: &'s Arena,
    ) -> Result<Workspace<'s>, AllocError> {
        // Operators have small arenas for what they compute on the way.
        let options = BudgetOptions::unlimited().keeps_chunks();
        let budget = statement.child_with("exec", options)?;
        let mut arenas = Vec::with_capacity_in(plan.operators.len() + 1, arena)?;
        for (index, operator) in plan.operators.iter().enumerate() {
            let mut label: InlineText<32> = InlineText::EMPTY;
            // A name that does not fit is cut, which is no error.
            let _ = write!(label, "{}_{index}", name(&operator.kind));
            arenas.push(Arena::new(&budget.child_with(label.as_str(), options)?))?;
        }
        arenas.push(Arena::new(&budget))?;
        let schedule = Schedule::cut(plan.operators, arena)?;
        Ok(Workspace::with(budget, arenas, schedule))
    }

    fn with(budget: Budget, arenas: Vec<'s, Arena>, schedule: Schedule<'s>) -> Workspace<'s> {
        Workspace {
            budget,
            arenas,
            schedule,
            lookup: None,
            spill: None,
            engine: None,
            progress: None,
            threads_count: 1,
            enough_bytes: None,
            transaction_us: None,
        }
    }

    /// Has operators that run out of memory write rows to temporary files. Without it they fail with [`Error::OutOfMemory`].
    pub fn spill_to(mut self, space: Option<&SpillSpace>) -> Workspace<'s> {
        self.spill = space.cloned();
        self
    }

    /// Has scans of the engine's own tables read what somebody gives. Without it they have no rows.
    pub fn tell_of(mut self, engine: &'s dyn EngineRows) -> Workspace<'s> {
        self.engine = Some(engine);
        self
    }

    /// Says how far the plan is while it runs.
    pub fn report_to(mut self, progress: &'s Progress) -> Workspace<'s> {
        self.progress = Some(progress);
        self
    }

    /// Has pipelines run by so many threads at most, the caller's among them.
    pub fn run_by(mut self, threads: NonZeroUsize) -> Workspace<'s> {
        self.threads_count = threads.get();
        self
    }

    /// Has a query that runs out of memory write to `bytes` a limit that is enough for it: for any number of rows, but for long texts
    /// and what aggregates collect. 0 where none is known.
    pub fn tell_enough(mut self, bytes: &'s Cell<u64>) -> Workspace<'s> {
        self.enough_bytes = Some(bytes);
        self
    }

    /// Has runs be part of the transaction that began at so many microseconds since 1970, which may change between runs; with 0 each run is
    /// one of its own.
    pub fn in_transaction_since(mut self, transaction_us: &'s AtomicI64) -> Workspace<'s> {
        self.transaction_us = Some(transaction_us);
        self
    }

    /// The budget of the whole execution; its children are the operators'.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Forgets what a run left behind, and keeps a little memory of each operator for the next one.
    pub fn reset(&mut self) {
        self.arenas.iter_mut().for_each(|arena| arena.reset_keeping(KEPT_BYTES));
    }

    /// Where something may lie that an execution of the plan refers to.
    pub fn arena(&self) -> &Arena {
        self.arenas.last().expect("made with one that is shared")
    }

    /// Begins the plan that this workspace was made for. Nothing is opened before the first batch is asked for. Scans of
    /// stored tables read `tables`; `is_cancelled` is asked before each batch.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// # Panics
    /// If the plan has parameters.
    pub fn execute<'a>(
        &'a self,
        plan: &PhysicalPlan<'a>,
        tables: Tables<'a>,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Execution<'a>, Error<'a>> {
        self.execute_with(plan, &[], tables, is_cancelled)
    }

    /// As [`Workspace::execute`], with a value for each parameter of the plan, of the type that this says.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    ///
    /// # Panics
    /// If there are fewer values than the plan has parameters.
    pub fn execute_with<'a>(
        &'a self,
        plan: &PhysicalPlan<'a>,
        parameters: &'a [Value<'a>],
        tables: Tables<'a>,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Execution<'a>, Error<'a>> {
        self.budget.set_stage(&OPEN);
        let shared = self.arena();
        assert!(parameters.len() >= plan.parameters.len(), "every parameter has a value");
        if let Some(progress) = self.progress {
            progress.expect(plan);
        }
        if let Some(enough) = self.enough_bytes {
            enough.set(0);
        }
        let way = match &self.lookup {
            Some(lookup) => {
                let noted = (self.progress, is_cancelled);
                let seek = lookup.seek(plan, parameters, tables, noted, shared);
                let row =
                    seek.and_then(|seek| shared.alloc_box(ByKey { seek, plan: *plan, workspace: self }));
                Way::Row(row.inspect_err(|_| self.tell_enough_of_lookup(plan))?)
            }
            None => {
                let pipelines = self.pipelines(plan, parameters, tables, is_cancelled)?;
                Way::Pipelines(shared.alloc_box(pipelines)?)
            }
        };
        Ok(Execution { way, columns: plan.columns() })
    }

    fn transaction_began(&self) -> Option<i64> {
        self.transaction_us.map(|began_us| began_us.load(Ordering::Relaxed)).filter(|began_us| *began_us != 0)
    }

    /// One row that is looked for was refused memory.
    #[cold]
    fn tell_enough_of_lookup(&self, plan: &PhysicalPlan<'_>) {
        Admission::of_lookup(&self.terms(plan), self.arena()).tell_enough(0);
    }

    /// What is known of the plan's memory before it runs.
    fn terms<'a>(&'a self, plan: &PhysicalPlan<'a>) -> Terms<'a> {
        Terms {
            plan: *plan,
            schedule: self.schedule,
            has_files: self.spill.as_ref().is_some_and(SpillSpace::is_enabled),
            budget: &self.budget,
            threads_count: self.threads_count,
            enough_bytes: self.enough_bytes,
        }
    }

    fn pipelines<'a>(
        &'a self,
        plan: &PhysicalPlan<'a>,
        parameters: &'a [Value<'a>],
        tables: Tables<'a>,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Pipelines<'a>, Error<'a>> {
        let (shared, arenas) = self.arenas.split_last().expect("made with one arena more than operators");
        assert_eq!(arenas.len(), plan.operators.len(), "a workspace is for one plan");
        let schedule = self.schedule;
        let admission = Admission::new(&self.terms(plan));
        admission.admit()?;
        let target = match plan.change() {
            Some(change) => Some(Target::new(change, shared)?),
            None => None,
        };
        let runner = Runner {
            operators: plan.operators,
            schedule,
            arenas: Arenas { of_operators: arenas, home: shared },
            slots: schedule.slots(plan.operators, shared)?,
            counters: shared.alloc_slice_fill(plan.operators.len(), Counters::default())?,
            timing: None,
            tables,
            // Where no files may be made, running out of memory is what goes wrong.
            spill: self.spill.as_ref().filter(|space| space.with_directory(|path| path.is_some())),
            engine: self.engine,
            progress: self.progress,
            threads_count: self.threads_count,
            is_cancelled,
            statement: Statement::begin(parameters, is_cancelled, self.transaction_began()),
            limit_bytes: self.budget.limit_on_path(),
            notes_lines: is_file_to_table(plan),
            is_opening: false,
            longest_bytes: 0,
            problems: Problems::new(plan, &schedule, shared)?,
        };
        let columns = plan.columns();
        Ok(Pipelines { runner, answer: None, columns, target, current: None, is_done: false, admission })
    }
}

/// What the arenas of a statement may take more under a larger limit: they double, and one of them may be new.
const OTHERS_GROWTH_BYTES: u64 = 8 << 10;
const OTHERS_GROWTH_BYTES_MAX: u64 = 64 << 10;

/// What is asked for at once is a value where it is more than a part of so many of the limit.
const ASKED_SHARE: u64 = 4;

/// What the memory that a query needs follows from.
#[derive(Clone, Copy)]
struct Terms<'a> {
    plan: PhysicalPlan<'a>,
    schedule: Schedule<'a>,
    /// Whether rows that are kept can go to files.
    has_files: bool,
    budget: &'a Budget,
    threads_count: usize,
    enough_bytes: Option<&'a Cell<u64>>,
}

/// What is known of the memory that a query needs.
struct Admission<'a> {
    budget: &'a Budget,
    /// None for changes of tables, which take what others give back as well, and where rows that are kept cannot go to files.
    needs: Option<Needs<'a>>,
    least_bytes: u64,
    /// What was in use beside the query when it began.
    others_bytes: u64,
    enough_bytes: Option<&'a Cell<u64>>,
}

impl<'a> Admission<'a> {
    fn new(terms: &Terms<'a>) -> Admission<'a> {
        let &Terms { plan, schedule, has_files, budget, threads_count, enough_bytes } = terms;
        let capacity = rows_in_pipeline;
        let needs = Needs { operators: plan.operators, schedule, capacity, threads_count, value_bytes: 0 };
        let limit = budget.limit_on_path();
        let is_bounded = plan.change().is_none() && (has_files || !needs.keeps_rows());
        Admission {
            budget,
            needs: (is_bounded && limit < u64::MAX).then_some(needs),
            least_bytes: needs.least_bytes(limit),
            // What is kept of an earlier run is its own.
            others_bytes: (limit - budget.available().min(limit)).saturating_sub(budget.used()),
            enough_bytes,
        }
    }

    /// For one row that is looked for, and was refused memory: it lies in `arena`, and has no budget of its own.
    fn of_lookup(terms: &Terms<'a>, arena: &Arena) -> Admission<'a> {
        let budget = terms.budget;
        let limit = budget.limit_on_path();
        let own = arena.stats().allocated_bytes as u64;
        let others_bytes = (limit - budget.available().min(limit)).saturating_sub(own);
        Admission { others_bytes, ..Admission::new(terms) }
    }

    /// Refuses a query before it starts that cannot begin.
    fn admit(&self) -> Result<(), AllocError> {
        let missing = self.least_bytes.saturating_sub(self.budget.used());
        if missing == 0 || has_room(self.budget, missing) {
            return Ok(());
        }
        self.tell_enough(0);
        Err(AllocError)
    }

    /// Tells which limit would have been enough; `longest_bytes` has the longest value that was seen.
    #[cold]
    fn tell_enough(&self, longest_bytes: u64) {
        if let (Some(mut needs), Some(enough)) = (self.needs, self.enough_bytes) {
            let limit = self.budget.limit_on_path();
            let record = self.budget.last_refusal();
            let asked = record.map_or(0, |record| record.asked_bytes());
            // So much is asked for the first long value that comes, or line of a file, and for little else.
            let is_line = files(needs.operators).next().is_some()
                && record.is_some_and(|record| record.path().contains("/scan_"));
            let is_value = asked > limit / ASKED_SHARE || is_line || needs.schedule.pipelines.is_empty();
            needs.value_bytes = longest_bytes.max(if is_value { asked } else { 0 });
            // Under a larger limit what was taken before the plan began, as its text and the plan itself, has larger chunks.
            let others_bytes =
                self.others_bytes + self.others_bytes.min(OTHERS_GROWTH_BYTES_MAX) + OTHERS_GROWTH_BYTES;
            let named = |needs: &Needs<'_>| needs.enough_bytes(others_bytes).unwrap_or(0);
            let mut named_bytes = named(&needs);
            // What was named for values of this length is not enough: some are longer.
            while (LONG_BYTES..limit).contains(&needs.value_bytes)
                && (1..limit + limit / 4).contains(&named_bytes)
            {
                needs.value_bytes *= 2;
                named_bytes = named(&needs);
            }
            enough.set(named_bytes);
        }
    }
}

/// Whether a plan puts the rows of one file into a table, and a row of a batch stays where it is on the way.
fn is_file_to_table(plan: &PhysicalPlan<'_>) -> bool {
    let is_on_the_way = |kind: &OperatorKind<'_>| match kind {
        OperatorKind::Scan(scan) => matches!(scan.source, TableSource::File(_)),
        OperatorKind::Filter { .. } | OperatorKind::Project { .. } | OperatorKind::Insert(_) => true,
        _ => false,
    };
    matches!(plan.change(), Some(Change::Insert(_)))
        && plan.operators.iter().all(|operator| is_on_the_way(&operator.kind))
}

/// How many rows a batch of a pipeline has. Each of its operators that makes columns has a copy of the batch, and together these stay
/// below an eighth of the limit.
fn rows_in_pipeline(pipeline: &Pipeline<'_>, operators: &[Operator<'_>], limit_bytes: u64) -> usize {
    let rows = rows_per_batch(operators, limit_bytes / pipeline.sources_count());
    let mut row_bytes = pipeline.roles().map(|id| made_bytes(&operators[id.index()])).sum::<u64>();
    if limit_bytes < SMALL_LIMIT_BYTES {
        row_bytes += pipeline.roles().map(|id| beside_bytes(&operators[id.index()], operators)).sum::<u64>();
    }
    let affordable = usize::try_from(limit_bytes / 8 / row_bytes.max(1)).unwrap_or(usize::MAX);
    rows.min(1 << affordable.max(BATCH_ROWS_MIN).ilog2())
}

/// Below it the limit affords fewer rows where joins have much beside the columns that they make.
const SMALL_LIMIT_BYTES: u64 = 4 << 20;

/// How many rows a batch has: what the limit affords, and no more than a plan of constants and of single rows can give.
fn rows_per_batch(operators: &[Operator<'_>], limit_bytes: u64) -> usize {
    let (mut constant_rows, mut columns, mut texts) = (1usize, 0, 0);
    for operator in operators {
        columns = columns.max(operator.columns.len());
        let texts_here = operator.columns.iter().filter(|column| Kind::of(column.ty) == Kind::Text);
        texts = texts.max(texts_here.count());
        match &operator.kind {
            OperatorKind::Scan(Scan { source: TableSource::Engine(_), .. }) => {
                constant_rows = constant_rows.saturating_mul(ENGINE_ROWS);
            }
            OperatorKind::Scan(scan) => {
                constant_rows = constant_rows.saturating_mul(scan.rows_max.unwrap_or(BATCH_ROWS_MAX))
            }
            OperatorKind::Values { rows } => constant_rows = constant_rows.saturating_mul(rows.len().max(1)),
            OperatorKind::TableFunction(_) | OperatorKind::Recursive { .. } => constant_rows = BATCH_ROWS_MAX,
            _ => {}
        }
    }
    constant_rows.min(batch_rows(limit_bytes, columns, texts))
}

/// A query that runs.
///
/// **Memory.** All of it is the workspace's; see the operators for what each holds at its peak.
pub struct Execution<'a> {
    way: Way<'a>,
    columns: &'a [Column<'a>],
}

/// How it runs.
enum Way<'a> {
    Pipelines(ArenaBox<'a, Pipelines<'a>>),
    Row(ArenaBox<'a, ByKey<'a>>),
}

/// One row is looked for by its key.
struct ByKey<'a> {
    seek: Seek<'a>,
    /// For the limit that a refusal names.
    plan: PhysicalPlan<'a>,
    workspace: &'a Workspace<'a>,
}

/// A plan's pipelines, run one after the other.
struct Pipelines<'a> {
    runner: Runner<'a>,
    /// The last pipeline, once those before it have run.
    answer: Option<Answer<'a>>,
    columns: &'a [Column<'a>],
    target: Option<Target<'a>>,
    /// The batch that stands in the root's columns.
    current: Option<BatchRows>,
    /// After the last batch, or an error.
    is_done: bool,
    admission: Admission<'a>,
}

/// The pipeline whose rows are the answer.
struct Answer<'a> {
    flow: Flow<'a>,
    store: Store<'a>,
    ids: &'a [VectorId],
}

/// Runs pipelines.
struct Runner<'a> {
    operators: &'a [Operator<'a>],
    schedule: Schedule<'a>,
    /// Those of the last pipeline; the budgets are those of all.
    arenas: Arenas<'a>,
    slots: Vec<'a, Slot>,
    counters: &'a mut [Counters],
    /// What is measured beside that, if it is.
    timing: Option<Timing<'a>>,
    tables: Tables<'a>,
    spill: Option<&'a SpillSpace>,
    engine: Option<&'a dyn EngineRows>,
    progress: Option<&'a Progress>,
    threads_count: usize,
    is_cancelled: &'a dyn Fn() -> bool,
    /// As pipelines that have run left it.
    statement: Statement<'a>,
    /// The limit that sizes follow.
    limit_bytes: u64,
    notes_lines: bool,
    /// The pipeline that runs is being opened.
    is_opening: bool,
    /// The longest text that stood in a pipeline when it ended.
    longest_bytes: u64,
    problems: Problems<'a>,
}

impl<'a> Runner<'a> {
    /// Rows in a batch of a pipeline at most.
    fn capacity(&self, pipeline: &Pipeline<'_>) -> usize {
        rows_in_pipeline(pipeline, self.operators, self.limit_bytes)
    }

    /// What operators have at hand.
    fn context(&mut self) -> Context<'_> {
        Context {
            slots: &mut self.slots,
            tables: &self.tables,
            spill: self.spill,
            engine: self.engine,
            progress: self.progress,
            is_cancelled: self.is_cancelled,
            counters: self.counters,
            laps: self.timing.as_mut().map(Timing::laps),
        }
    }

    /// Runs the pipelines of a list, one after the other; `depth` recursions are under way.
    fn run_list(&mut self, list: &[u32], depth: u32) -> Result<(), Error<'a>> {
        if depth > RECURSIONS_MAX {
            return Err(Error::TooDeep);
        }
        list.iter().try_for_each(|&index| self.run_pipeline(&self.schedule.pipelines[index as usize], depth))
    }

    /// Runs a pipeline from its begin to its end, in arenas of its own.
    fn run_pipeline(&mut self, pipeline: &'a Pipeline<'a>, depth: u32) -> Result<(), Error<'a>> {
        loop {
            let home = Arena::new(self.arenas.home.budget());
            let of_operators = self.arenas_for(&home)?;
            let arenas = Arenas { of_operators: &of_operators, home: &home };
            match self.run_in(pipeline, depth, arenas) {
                Ok(outcome) => break outcome?,
                // Opened again when somebody has made room.
                Err(Error::OutOfMemory(_)) if self.is_opening && self.context().relieve(None, 0)? => {}
                Err(error) => return Err(self.problems.keep(error, self.operators)),
            }
        }
        Ok(())
    }

    /// Arenas of operators for one pipeline.
    fn arenas_for<'h>(&self, home: &'h Arena) -> Result<Vec<'h, Arena>, AllocError> {
        let mut arenas = Vec::with_capacity_in(self.operators.len(), home)?;
        for arena in self.arenas.of_operators {
            arenas.push(Arena::new(arena.budget()))?;
        }
        Ok(arenas)
    }

    /// Has operators give memory back that those of the pipeline that runs may need for a batch; not this one.
    fn leave_headroom(&mut self, asker: Option<OperatorId>) -> Result<(), Error<'a>> {
        let budget = self.arenas.home.budget();
        let headroom = headroom_bytes(budget.limit_on_path());
        let could_yield = |slots: &[Slot]| slots.iter().any(|slot| slot.state.yieldable_bytes() > 0);
        while could_yield(&self.slots)
            && !has_room(budget, headroom)
            && self.context().relieve_for_batches(asker)?
        {}
        Ok(())
    }

    /// Has operators make room for the last pipeline, whose arenas stay: so it is opened in others first, where somebody could
    /// make room at all.
    fn make_room_for_answer(&mut self) -> Result<(), Error<'a>> {
        while self.slots.iter().any(|slot| slot.state.yieldable_bytes() > 0) {
            let home = Arena::new(self.arenas.home.budget());
            let of_operators = self.arenas_for(&home)?;
            let arenas = Arenas { of_operators: &of_operators, home: &home };
            let mut store = Store::new(self.capacity(self.schedule.answer()), &home);
            store.statement = self.statement;
            let (schedule, operators) = (self.schedule, self.operators);
            let mut cx = self.context();
            let flow = Flow::open(schedule.answer(), schedule, operators, arenas, false, &mut store, &mut cx);
            let is_short = matches!(flow, Err(Error::OutOfMemory(_)));
            drop(flow);
            if !is_short || !cx.relieve(None, 0)? {
                break;
            }
        }
        Ok(())
    }

    /// An error of the pipeline itself lives in its arenas; that of a round, the inner result, has been kept already.
    fn run_in<'p>(
        &mut self,
        pipeline: &'p Pipeline<'p>,
        depth: u32,
        arenas: Arenas<'p>,
    ) -> Result<Result<(), Error<'a>>, Error<'p>>
    where
        'a: 'p,
    {
        let budget = arenas.home.budget();
        budget.set_stage(&OPEN);
        self.is_opening = true;
        let mut store = Store::new(self.capacity(pipeline), arenas.home);
        store.statement = self.statement;
        let outcome = self.run_with(pipeline, depth, arenas, &mut store);
        self.longest_bytes = self.longest_bytes.max(store.longest_text());
        outcome
    }

    fn run_with<'p>(
        &mut self,
        pipeline: &'p Pipeline<'p>,
        depth: u32,
        arenas: Arenas<'p>,
        store: &mut Store<'p>,
    ) -> Result<Result<(), Error<'a>>, Error<'p>>
    where
        'a: 'p,
    {
        let budget = arenas.home.budget();
        let role = pipeline.sink.expect("the pipeline of the answer is not run by this");
        let (schedule, operators) = (self.schedule, self.operators);
        let mut cx = self.context();
        let mut flow = Flow::open(pipeline, schedule, operators, arenas, false, store, &mut cx)?;
        let mut sink = flow.open_sink(role, store, &mut cx)?;
        let workers = Workers::new(
            &Asker {
                pipeline,
                schedule,
                operators,
                progress: self.progress,
                home: arenas.home,
                threads_count: self.threads_count,
            },
            &self.tables,
            &mut flow,
            store,
        )?;
        self.is_opening = false;
        budget.set_stage(&EXECUTE);
        let mut carry =
            |feed: Option<&mut Feed<'_, 'p>>| self.carry((&mut flow, &mut sink, role), depth, store, feed);
        let outcome = match workers {
            Some(workers) => workers.help(|feed| carry(Some(feed))),
            None => carry(None),
        };
        if let Ok(Ok(())) = outcome {
        } else {
            return outcome;
        }
        // What the steps read is of no more use, and the sink may need room to complete its rows.
        for &operator in pipeline.releases {
            self.context().take_state(operator);
        }
        loop {
            self.leave_headroom(Some(role.operator))?;
            let mut cx = self.context();
            if sink.finish(store, &mut cx)? {
                cx.lap(role.operator);
                break;
            }
            cx.check()?;
        }
        self.statement.random = store.statement.random;
        Ok(Ok(()))
    }

    /// Carries batches from a pipeline's source to its sink until there are no more.
    fn carry<'p>(
        &mut self,
        (flow, sink, role): (&mut Flow<'p>, &mut Sink<'p>, SinkRole),
        depth: u32,
        store: &mut Store<'p>,
        mut feed: Option<&mut Feed<'_, 'p>>,
    ) -> Result<Result<(), Error<'a>>, Error<'p>>
    where
        'a: 'p,
    {
        loop {
            self.leave_headroom(None)?;
            let mut cx = self.context();
            match flow.next(store, &mut cx, feed.as_deref_mut())? {
                Given::Batch(batch) => {
                    sink.take(batch, store, &mut cx)?;
                    cx.lap(role.operator);
                }
                Given::Round(list) => {
                    let outcome = self.run_list(self.schedule.list(list), depth + 1);
                    if outcome.is_err() {
                        return Ok(outcome);
                    }
                }
                Given::End => return Ok(Ok(())),
            }
        }
    }

    /// Opens the last pipeline.
    fn open_answer(&mut self) -> Result<Answer<'a>, Error<'a>> {
        self.arenas.home.budget().set_stage(&OPEN);
        self.make_room_for_answer()?;
        let mut store = Store::new(self.capacity(self.schedule.answer()), self.arenas.home);
        store.statement = self.statement;
        let (schedule, operators, arenas, notes) =
            (self.schedule, self.operators, self.arenas, self.notes_lines);
        let mut cx = self.context();
        let flow = Flow::open(schedule.answer(), schedule, operators, arenas, notes, &mut store, &mut cx)?;
        let ids = flow.columns_of(OperatorId::new(self.operators.len() as u32 - 1));
        self.arenas.home.budget().set_stage(&EXECUTE);
        Ok(Answer { flow, store, ids })
    }
}

/// Where errors of a pipeline that is given back are written: made before there are any.
struct Problems<'a> {
    file: Option<&'a mut FileProblem<'a>>,
    store: Option<&'a mut StoreProblem<'a>>,
}

impl<'a> Problems<'a> {
    fn new(
        plan: &PhysicalPlan<'_>,
        schedule: &Schedule<'_>,
        arena: &'a Arena,
    ) -> Result<Problems<'a>, AllocError> {
        let mut problems = Problems { file: None, store: None };
        for operator in plan.operators {
            // The last pipeline's errors need no other place.
            let OperatorKind::Scan(scan) = operator.kind else { continue };
            match scan.source {
                _ if schedule.pipelines.len() == 1 => {}
                TableSource::File(_) if problems.file.is_none() => {
                    let kind = FileProblemKind::UnclosedQuote;
                    problems.file = Some(arena.alloc(FileProblem { path: "", line: 0, kind })?);
                }
                TableSource::Stored(_) | TableSource::Engine(_) if problems.store.is_none() => {
                    let error = cofferdam_store::Error::Cancelled;
                    problems.store = Some(arena.alloc(StoreProblem { error, place: None })?);
                }
                _ => {}
            }
        }
        Ok(problems)
    }

    /// The error of a pipeline, out of its arenas. Names in it are those of the plan, where they are found again.
    #[cold]
    fn keep(&mut self, error: Error<'_>, operators: &'a [Operator<'a>]) -> Error<'a> {
        match error {
            Error::File(problem) => {
                let kept = self.file.take().expect("the first error ends the statement");
                let path = path_in(operators, problem.path);
                let name = |name: &str| column_in(operators, name);
                let kind = match problem.kind {
                    FileProblemKind::BadField { column, name: of, error, is_assigned } => {
                        FileProblemKind::BadField { column, name: name(of), error, is_assigned }
                    }
                    FileProblemKind::InvalidUtf8 { offset, name: of } => {
                        FileProblemKind::InvalidUtf8 { offset, name: name(of) }
                    }
                    FileProblemKind::Refused { name: of, error } => {
                        FileProblemKind::Refused { name: name(of), error }
                    }
                    FileProblemKind::Io { kind } => FileProblemKind::Io { kind },
                    FileProblemKind::Ragged { fields, expected } => {
                        FileProblemKind::Ragged { fields, expected }
                    }
                    FileProblemKind::NulByte { offset } => FileProblemKind::NulByte { offset },
                    FileProblemKind::NotAFile => FileProblemKind::NotAFile,
                    FileProblemKind::Shrunk => FileProblemKind::Shrunk,
                    FileProblemKind::UnclosedQuote => FileProblemKind::UnclosedQuote,
                    FileProblemKind::CarriageReturns => FileProblemKind::CarriageReturns,
                    FileProblemKind::LineTooLong => FileProblemKind::LineTooLong,
                };
                *kept = FileProblem { path, line: problem.line, kind };
                Error::File(kept)
            }
            Error::Store(problem) => {
                let kept = self.store.take().expect("the first error ends the statement");
                *kept = StoreProblem { error: problem.error, place: None };
                Error::Store(kept)
            }
            Error::Violation(_) => unreachable!("rows are put into a table by the last pipeline"),
            error => error.detached(),
        }
    }
}

/// The files that a plan reads.
fn files<'a>(operators: &'a [Operator<'a>]) -> impl Iterator<Item = &'a FileSource<'a>> {
    operators.iter().filter_map(|operator| match operator.kind {
        OperatorKind::Scan(scan) => match scan.source {
            TableSource::File(file) => Some(file),
            TableSource::Stored(_) | TableSource::Engine(_) => None,
        },
        _ => None,
    })
}

fn path_in<'a>(operators: &'a [Operator<'a>], path: &str) -> &'a str {
    let found = files(operators).find(|file| file.path == path);
    found.map_or("", |file| file.path)
}

fn column_in<'a>(operators: &'a [Operator<'a>], name: &str) -> &'a str {
    let mut columns = files(operators).flat_map(|file| file.columns);
    let found = columns.find(|column| column.name == name);
    found.map_or("", |column| column.name)
}

/// The table that rows change.
struct Target<'a> {
    change: Change<'a>,
    /// Where a refusal of the store is described.
    problem: &'a mut StoreProblem<'a>,
    /// Where a second row of a key is described.
    violation: &'a mut Violation<'a>,
}

impl<'a> Execution<'a> {
    /// The columns of the answer.
    pub fn columns(&self) -> &'a [Column<'a>] {
        self.columns
    }

    /// The next rows of the answer, `None` after the last. A batch is never empty.
    ///
    /// # Errors
    /// Whatever the query raises; after that there are no more rows.
    pub fn next_batch(&mut self) -> Result<Option<Batch<'_, 'a>>, Error<'a>> {
        match &mut self.way {
            Way::Pipelines(pipelines) => pipelines.next_batch()?,
            Way::Row(row) => row.next_batch()?,
        }
        Ok(self.batch())
    }

    /// The batch that [`Execution::next_batch`] gave last, as long as it is good.
    pub fn batch(&self) -> Option<Batch<'_, 'a>> {
        match &self.way {
            Way::Pipelines(pipelines) => pipelines.batch(),
            Way::Row(row) => {
                let (places, values) = row.seek.row()?;
                Some(Batch { columns: self.columns, rows: AnswerRows::Row { places, values } })
            }
        }
    }

    /// What each operator of the plan did so far; nothing where one row is looked for.
    pub fn counters(&self) -> &[Counters] {
        match &self.way {
            Way::Pipelines(pipelines) => pipelines.runner.counters,
            Way::Row(_) => &[],
        }
    }

    /// Measures from now on what operators take; to be called before rows are asked for. Needs a workspace
    /// [of pipelines](Workspace::of_pipelines): otherwise there may be nothing to measure.
    ///
    /// # Errors
    /// There is no room for the figures.
    pub fn measure(&mut self) -> Result<(), AllocError> {
        if let Way::Pipelines(pipelines) = &mut self.way {
            let runner = &mut pipelines.runner;
            runner.timing = Some(Timing::start(runner.operators.len(), runner.arenas.home)?);
        }
        Ok(())
    }

    /// What each operator of the plan did so far, in `arena`; nothing unless it is measured.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn measured<'m>(&self, arena: &'m Arena) -> Result<&'m [Measured], AllocError> {
        let Way::Pipelines(pipelines) = &self.way else { return Ok(&[]) };
        let Runner { operators, arenas, counters, timing, .. } = &pipelines.runner;
        let Some(timing) = timing else { return Ok(&[]) };
        let bytes = |index: usize| {
            let budget = arenas.of_operators[index].budget();
            (budget.used(), budget.peak())
        };
        timing.measured(operators, counters, bytes, arena)
    }

    /// Runs a plan whose root changes a table to its end, does to the table what its rows say, and gives the number of rows
    /// that were changed.
    ///
    /// # Errors
    /// Whatever the statement raises, and what the store refuses; then some rows are changed already.
    ///
    /// # Panics
    /// If the root changes no table.
    pub fn run_into(&mut self, changes: &Changes<'_>) -> Result<u64, Error<'a>> {
        match &mut self.way {
            Way::Pipelines(pipelines) => pipelines.run_into(changes),
            Way::Row(_) => unreachable!("the root changes a table"),
        }
    }
}

impl<'a> ByKey<'a> {
    fn next_batch(&mut self) -> Result<(), Error<'a>> {
        let outcome = self.seek.next();
        if outcome.as_ref().is_err_and(|error| error.refusal().is_some()) {
            self.workspace.tell_enough_of_lookup(&self.plan);
        }
        outcome.map(drop)
    }
}

impl<'a> Pipelines<'a> {
    fn next_batch(&mut self) -> Result<(), Error<'a>> {
        self.current = None;
        if self.is_done {
            return Ok(());
        }
        let outcome = self.run();
        self.is_done = !matches!(outcome, Ok(Some(_)));
        if outcome.as_ref().is_err_and(|error| error.refusal().is_some()) {
            let answer = self.answer.as_ref().map_or(0, |answer| answer.store.longest_text());
            self.admission.tell_enough(self.runner.longest_bytes.max(answer));
        }
        self.current = outcome?;
        Ok(())
    }

    fn current_rows(&self) -> Option<(&Answer<'a>, BatchRows)> {
        Some((self.answer.as_ref()?, self.current?))
    }

    fn batch(&self) -> Option<Batch<'_, 'a>> {
        let (Answer { store, ids, .. }, rows) = self.current_rows()?;
        Some(Batch { columns: self.columns, rows: AnswerRows::Vectors { store, ids, rows } })
    }

    fn run_into(&mut self, changes: &Changes<'_>) -> Result<u64, Error<'a>> {
        let change = self.target.as_ref().expect("the root changes a table").change;
        let mut scratch = Arena::new(self.runner.arenas.home.budget());
        let mut rows = Loaded { execution: self, next: 0, row: 0 };
        let outcome = match change {
            Change::Insert(insert) => changes.load(TableId(insert.table.id), &mut rows),
            Change::Update(update) => changes.update(update, &mut rows, &mut scratch),
            Change::Delete(delete) => changes.delete(delete, &mut rows, &mut scratch),
        };
        let row = rows.row;
        self.tell_root();
        match outcome {
            Ok(rows_count) => Ok(rows_count),
            Err(LoadError::Source(error)) => Err(error),
            Err(LoadError::Store(error)) => {
                let answer = self.answer.as_ref().filter(|_| self.current.is_some());
                let place = answer.and_then(|answer| answer.store.place_of(row));
                self.is_done = true;
                let target = self.target.take().expect("the first error ends the statement");
                Err(target.refused(error, place, changes))
            }
        }
    }

    /// What passed since the last batch was given belongs to the root that changes a table, otherwise to nobody.
    fn tell_root(&mut self) {
        let root = OperatorId::new(self.runner.operators.len() as u32 - 1);
        let is_change = self.target.is_some() && self.answer.is_some();
        let mut cx = self.runner.context();
        match &mut cx.laps {
            Some(_) if is_change => cx.lap(root),
            Some(laps) => laps.skip(),
            None => {}
        }
    }

    /// Runs pipelines until the last one has a batch.
    fn run(&mut self) -> Result<Option<BatchRows>, Error<'a>> {
        self.tell_root();
        if self.answer.is_none() {
            self.runner.run_list(self.runner.schedule.before_answer(), 0)?;
            self.answer = Some(self.runner.open_answer()?);
        }
        let Some(Answer { flow, store, .. }) = &mut self.answer else { return Ok(None) };
        loop {
            let runner = &mut self.runner;
            runner.leave_headroom(None)?;
            let mut cx = runner.context();
            match flow.next(store, &mut cx, None)? {
                Given::Batch(batch) => return Ok(Some(batch)),
                Given::Round(list) => runner.run_list(runner.schedule.list(list), 1)?,
                Given::End => return Ok(None),
            }
        }
    }
}

impl<'a> Target<'a> {
    /// The records of errors are made before there are any: then memory may be short.
    fn new(change: Change<'a>, arena: &'a Arena) -> Result<Target<'a>, AllocError> {
        let error = cofferdam_store::Error::Cancelled;
        let kind = ViolationKind::Unique { name: InlineText::EMPTY };
        let (table, row) = (change.table(), InlineText::EMPTY);
        Ok(Target {
            change,
            problem: arena.alloc(StoreProblem { error, place: None })?,
            violation: arena.alloc(Violation { table: table.name, kind, row, place: None })?,
        })
    }

    #[cold]
    fn refused(
        self,
        error: cofferdam_store::Error,
        place: Option<Place<'a>>,
        changes: &Changes<'_>,
    ) -> Error<'a> {
        match error {
            cofferdam_store::Error::OutOfMemory(error) => Error::OutOfMemory(error),
            cofferdam_store::Error::UniqueViolation(duplicate) => {
                let index = changes.table(duplicate.index);
                let index = index.as_ref().ok().filter(|index| index.parent().is_some());
                let (mut name, mut row) = (InlineText::EMPTY, InlineText::EMPTY);
                // What does not fit is cut, which is no error.
                let table = self.change.table();
                let _ = name.write_str(index.map_or(table.key_name, |index| index.name()));
                let _ = write!(row, "({})", duplicate.key.as_str());
                let kind = ViolationKind::Unique { name };
                *self.violation = Violation { table: table.name, kind, row, place };
                Error::Violation(self.violation)
            }
            error => {
                // Of what no row is to blame for, the row says nothing.
                let place = place.filter(|_| error.remedy() == cofferdam_store::Remedy::FixInput);
                *self.problem = StoreProblem { error, place };
                Error::Store(self.problem)
            }
        }
    }
}

/// The rows of an execution, for a change of a table.
struct Loaded<'e, 'a> {
    execution: &'e mut Pipelines<'a>,
    /// The place in the batch of the row that comes next.
    next: usize,
    /// Where the row of now is in the vectors.
    row: usize,
}

impl<'a> RowSource for Loaded<'_, 'a> {
    type Error = Error<'a>;

    fn advance(&mut self) -> Result<bool, Error<'a>> {
        if self.execution.batch().is_none_or(|batch| self.next >= batch.rows_count()) {
            self.next = 0;
            self.execution.next_batch()?;
        }
        let Some((Answer { store, .. }, rows)) = self.execution.current_rows() else { return Ok(false) };
        self.row = store.rows(rows).nth(self.next);
        self.next += 1;
        Ok(true)
    }

    fn value(&self, column: usize) -> Value<'_> {
        match self.execution.current_rows() {
            Some((Answer { store, ids, .. }, _)) => {
                store.value(ids[column], self.row, self.execution.columns[column].ty)
            }
            None => Value::Null,
        }
    }
}

impl core::fmt::Debug for Execution<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.way {
            Way::Pipelines(pipelines) => f
                .debug_struct("Execution")
                .field("operators", &pipelines.runner.operators.len())
                .field("is_done", &pipelines.is_done)
                .finish(),
            Way::Row(_) => f.write_str("Execution(one row)"),
        }
    }
}

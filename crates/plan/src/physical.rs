//! The physical plan: a flat list of operators that `exec` turns into pipelines.
//!
//! Operators stand in the list after their inputs, so that whoever builds, prints or sums over a plan does it with one
//! loop, whatever the plan's depth:
//!
//! ```text
//! SELECT k, sum(v) FROM a, b WHERE a.id = b.id GROUP BY k ORDER BY 2 LIMIT 3
//!
//!   0 Scan a ─┐
//!             ├─ 2 HashJoin ── 3 HashAggregate ── 4 Project ── 5 Sort (limit 3)     root: the last
//!   1 Scan b ─┘
//! ```
//!
//! Everything lives in the statement's plan arena and is `Copy`.
//!
//! # Invariants
//!
//! - **P1** An operator's inputs have smaller ids than the operator; every operator is the input of exactly one, but for the root
//!   and for what [`OperatorKind::Materialize`] keeps, which scans read by its id.
//! - **P2** `columns` of an operator describes its output batch; `Column(i)` in an expression of an operator is position
//!   `i` of its input (of the probe columns followed by the build columns for what a join computes after matching).
//!   An expression of `Values`, of LIMIT and of a table function without an input refers to no column.
//! - **P3** A filter is a list of boolean conjuncts: a row passes if all are true (not false, not NULL).

use std::ops::Bound;

use cofferdam_arena::{AllocError, Arena};
use cofferdam_functions::TableFunctionId;
use cofferdam_types::{Type, Value};

use crate::Span;
use crate::expr::{Column, Expr};
use crate::optimizer::source_rows;
use crate::table::{EngineTable, StoredIndex, StoredTable, TableSource};

/// A position in the plan's list of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorId(u32);

impl OperatorId {
    /// The id of the operator at this position.
    pub const fn new(index: u32) -> OperatorId {
        OperatorId(index)
    }

    /// The position in [`PhysicalPlan::operators`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A query, ready to run.
#[derive(Clone, Copy, Debug)]
pub struct PhysicalPlan<'a> {
    /// The operators, inputs first; never empty, the root is the last.
    pub operators: &'a [Operator<'a>],
    /// The types of its parameters, by number from 1; it is given a value for each when it runs.
    pub parameters: &'a [Type],
    /// Their names, by number from 1; none where they have numbers alone.
    pub parameter_names: &'a [&'a str],
}

impl<'a> PhysicalPlan<'a> {
    /// The operator whose output is the query's answer.
    pub fn root(&self) -> &'a Operator<'a> {
        self.operators.last().expect("a plan has at least one operator")
    }

    /// The planner's guess of the bytes that all operators hold together, each at its peak.
    pub fn bytes_estimate(&self) -> u64 {
        self.operators.iter().fold(0, |sum, operator| sum.saturating_add(operator.bytes_estimate))
    }

    /// The columns of the query's answer.
    pub fn columns(&self) -> &'a [Column<'a>] {
        self.root().columns
    }

    /// Whether it scans a table of the store, or tells of them.
    pub fn reads_stored_tables(&self) -> bool {
        let is_stored = |kind: &OperatorKind<'_>| match kind {
            OperatorKind::Scan(scan) => match scan.source {
                TableSource::Stored(_) => true,
                TableSource::Engine(source) => source.table == EngineTable::Tables,
                TableSource::File(_) => false,
            },
            _ => false,
        };
        self.operators.iter().any(|operator| is_stored(&operator.kind))
    }

    /// What the plan's rows do to a table; `None` for a query.
    pub fn change(&self) -> Option<Change<'a>> {
        match &self.root().kind {
            OperatorKind::Insert(insert) => Some(Change::Insert(insert)),
            OperatorKind::Update(update) => Some(Change::Update(update)),
            OperatorKind::Delete(delete) => Some(Change::Delete(delete)),
            _ => None,
        }
    }
}

/// One operator of a physical plan.
#[derive(Clone, Copy, Debug)]
pub struct Operator<'a> {
    /// What it does, and to which inputs.
    pub kind: OperatorKind<'a>,
    /// The columns of its output.
    pub columns: &'a [Column<'a>],
    /// The planner's guess of the number of rows it gives.
    pub rows_estimate: u64,
    /// The planner's guess of the bytes it holds at its peak; 0 for operators that only pass rows on.
    pub bytes_estimate: u64,
}

/// What an operator does.
#[derive(Clone, Copy, Debug)]
pub enum OperatorKind<'a> {
    /// Reads rows of a table.
    Scan(Scan<'a>),
    /// Gives constant rows. One row of no columns is the input of a SELECT without FROM.
    Values {
        /// Rows of expressions that refer to no column; every row has the operator's columns.
        rows: &'a [&'a [&'a Expr<'a>]],
    },
    /// Reads the rows that a [`OperatorKind::Materialize`] keeps.
    CteScan {
        /// The operator that keeps them.
        cte: OperatorId,
    },
    /// Reads the rows that the last round of a [`OperatorKind::Recursive`] has added.
    WorkingScan {
        /// The number that the recursive operator has.
        working: u32,
    },
    /// Passes the rows for which all conjuncts are true.
    Filter {
        /// Where rows come from.
        input: OperatorId,
        /// The conjuncts, in the order in which they are best tested: cheap ones first, those that may fail last.
        conjuncts: &'a [&'a Expr<'a>],
    },
    /// Computes one output column per expression.
    Project {
        /// Where rows come from.
        input: OperatorId,
        /// The expressions, over the input's columns.
        exprs: &'a [&'a Expr<'a>],
    },
    /// A join by equal keys, through a hash table over the build side.
    HashJoin(HashJoin<'a>),
    /// A join by any condition; the build side is held.
    NestedLoopJoin(NestedLoopJoin<'a>),
    /// Groups rows by equal keys (NULL equals NULL) and aggregates each group. Its output is the groups, then the aggregates, in any order.
    HashAggregate(HashAggregate<'a>),
    /// Computes window functions. Its output is the input's columns, then the functions' results, in any order of rows.
    Window(Window<'a>),
    /// Orders rows.
    Sort {
        /// Where rows come from.
        input: OperatorId,
        /// The keys, most significant first; at least one.
        keys: &'a [SortKey],
        /// When set, only the first so many rows are wanted, and only so many need to be held.
        limit: Option<u64>,
    },
    /// Skips `offset` rows and passes at most `count` of the rest.
    Limit(Limit<'a>),
    /// Passes each distinct row once (NULL equals NULL).
    Distinct {
        /// Where rows come from.
        input: OperatorId,
    },
    /// Passes the first of each run of rows that are equal in some columns (NULL equals NULL).
    DistinctOn {
        /// Where rows come from, in an order in which rows that are equal in these columns stand together.
        input: OperatorId,
        /// The columns.
        columns: &'a [u32],
    },
    /// The rows of all inputs, one input after the other. All have the operator's columns.
    Concat {
        /// At least one.
        inputs: &'a [OperatorId],
    },
    /// Rows of the left input by whether the right one has them too. Both have the operator's columns; NULL equals NULL.
    SetOperation {
        /// Whose rows are counted.
        left: OperatorId,
        /// Whose rows decide.
        right: OperatorId,
        /// Which rows are given.
        kind: SetOperationKind,
        /// Whether rows are counted (`ALL`) or given once.
        all: bool,
    },
    /// Keeps the rows of its input for any number of [`OperatorKind::CteScan`]. It is no operator's input.
    Materialize {
        /// Where rows come from.
        input: OperatorId,
    },
    /// The rows of `base`; then again and again those that `step` gives when its [`OperatorKind::WorkingScan`] reads the rows that
    /// were added last, until none are.
    Recursive {
        /// The rows to begin with.
        base: OperatorId,
        /// A round.
        step: OperatorId,
        /// What scans of the rows added last call it; unique in the plan.
        working: u32,
        /// Whether rows that were given before are left out (`UNION`).
        distinct: bool,
    },
    /// Calls set-returning functions for each row.
    TableFunction(TableFunction<'a>),
    /// Passes the rows that a table takes, for whoever puts them into it. Only at the root.
    Insert(Insert<'a>),
    /// Passes rows with new values for a table, for whoever puts them there. Only at the root.
    Update(Update<'a>),
    /// Passes what tells rows of a table, for whoever removes them. Only at the root.
    Delete(Delete<'a>),
}

/// The inputs of an operator, of a join the probe side first.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Up to two.
    Few([Option<OperatorId>; 2]),
    /// Any number.
    Many(&'a [OperatorId]),
}

impl Inputs<'_> {
    /// Each input.
    pub fn iter(&self) -> impl Iterator<Item = OperatorId> + Clone + '_ {
        let (few, many) = match self {
            Inputs::Few(few) => (*few, &[][..]),
            Inputs::Many(many) => ([None, None], *many),
        };
        few.into_iter().flatten().chain(many.iter().copied())
    }
}

impl<'a> OperatorKind<'a> {
    /// The operators whose rows it reads.
    pub fn inputs(&self) -> Inputs<'a> {
        Inputs::Few(match *self {
            OperatorKind::Scan(_)
            | OperatorKind::Values { .. }
            | OperatorKind::CteScan { .. }
            | OperatorKind::WorkingScan { .. } => [None, None],
            OperatorKind::Filter { input, .. }
            | OperatorKind::Project { input, .. }
            | OperatorKind::HashAggregate(HashAggregate { input, .. })
            | OperatorKind::Window(Window { input, .. })
            | OperatorKind::Sort { input, .. }
            | OperatorKind::Limit(Limit { input, .. })
            | OperatorKind::Distinct { input }
            | OperatorKind::DistinctOn { input, .. }
            | OperatorKind::Materialize { input }
            | OperatorKind::Insert(Insert { input, .. })
            | OperatorKind::Update(Update { input, .. })
            | OperatorKind::Delete(Delete { input, .. }) => [Some(input), None],
            OperatorKind::TableFunction(TableFunction { input, .. }) => [input, None],
            OperatorKind::HashJoin(HashJoin { probe, build, .. })
            | OperatorKind::NestedLoopJoin(NestedLoopJoin { probe, build, .. }) => [Some(probe), Some(build)],
            OperatorKind::SetOperation { left, right, .. } => [Some(left), Some(right)],
            OperatorKind::Recursive { base, step, .. } => [Some(base), Some(step)],
            OperatorKind::Concat { inputs } => return Inputs::Many(inputs),
        })
    }
}

/// Skips rows and passes some of the rest.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// How many rows to pass, a bigint without columns; all if absent or NULL. Negative is an error (SQLSTATE 2201W).
    pub count: Option<&'a Expr<'a>>,
    /// How many rows to skip first, likewise; none if absent or NULL (SQLSTATE 2201X).
    pub offset: Option<&'a Expr<'a>>,
    /// `WITH TIES`: rows go on to be passed as long as they are equal to the last in these columns of the sorted input.
    pub ties: Option<&'a [u32]>,
}

/// Which rows a set operation gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperationKind {
    /// Those that both inputs have; with `ALL` as often as the one that has them less often.
    Intersect,
    /// Those that only the left input has; with `ALL` as often as it has them more often.
    Except,
}

/// Calls set-returning functions. For each row of the input it gives as many rows as the function with the most gives, NULLs standing
/// for what the others lack. Its output is the input's columns, then those of each function, then a bigint that numbers the rows
/// of each input row from 1 if that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct TableFunction<'a> {
    /// Where rows come from; one row of no columns if absent.
    pub input: Option<OperatorId>,
    /// At least one.
    pub calls: &'a [TableCall<'a>],
    /// `WITH ORDINALITY`.
    pub with_ordinality: bool,
    /// Whether an input row for which there are no rows is given once with NULLs.
    pub keeps_empty: bool,
}

/// A call of a set-returning function.
#[derive(Clone, Copy, Debug)]
pub struct TableCall<'a> {
    /// The function.
    pub function: TableFunctionKind,
    /// Its arguments, over the input's columns.
    pub args: &'a [&'a Expr<'a>],
    /// How many columns it gives.
    pub columns_count: u32,
    /// Where it stands.
    pub span: Span,
}

/// What a set-returning function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFunctionKind {
    /// What the function of this number gives.
    Rows(TableFunctionId),
    /// A value that is given once, as a function that returns no set in FROM.
    Once,
}

/// Reads the needed columns of a table.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// The table.
    pub source: TableSource<'a>,
    /// The name that the query gives the table; for EXPLAIN and errors.
    pub alias: &'a str,
    /// Which of the table's columns are read, by position in it, ascending. Empty when only rows are counted.
    pub projection: &'a [u32],
    /// Conjuncts over the *read* columns, cheap ones first: `Column(i)` is `projection[i]`.
    pub conjuncts: &'a [&'a Expr<'a>],
    /// Which of the read columns are handed on, by position in `projection`: a column that only the filter needs is not.
    pub output: &'a [u32],
    /// The index that is read instead of the table, or that leads to its rows; only of stored tables.
    pub index: Option<&'a ScanIndex<'a>>,
    /// The parts of the order of the table's key, or of the index's, outside of which no row passes the conjuncts: ascending, without
    /// a key in common; empty for all of it. Only of stored tables. The conjuncts that say so are tested nevertheless. Values of
    /// parameters are not among them: see [`ranges_of_run`](crate::ranges_of_run).
    pub ranges: &'a [KeyRange<'a>],
    /// The most rows that it reads, where each range is of a unique key; `None` where that is not known.
    pub rows_max: Option<usize>,
    /// What the conjuncts say of columns of the table, for leaving out pages without reading them; only of stored tables.
    pub column_ranges: &'a [ColumnRange<'a>],
    /// What joins above know of keys when they have their build sides: rows with other keys may be left out. Only of stored tables.
    pub key_filters: &'a [KeyFilter],
}

/// What the build side of a join says of the rows of a scan below its probe side: only those count whose value is one of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFilter {
    /// The hash join.
    pub join: OperatorId,
    /// Which of its keys, by position; not NULL, and of a type whose values are numbers of 32 or 64 bits.
    pub key: u32,
    /// The column of the scan that is compared, by position in its projection; of the key's type.
    pub column: u32,
}

/// How an index is used by a scan.
#[derive(Clone, Copy, Debug)]
pub struct ScanIndex<'a> {
    /// The index.
    pub index: &'a StoredIndex<'a>,
    /// Whether it has every column that is read, exactly as the table has it.
    pub is_only: bool,
}

impl Scan<'_> {
    /// About how many rows it reads from its table; `None` where nobody knows: of a part of a table, and of what the system or the engine
    /// gives.
    pub fn rows_to_read(&self) -> Option<u64> {
        let is_whole = self.ranges.is_empty() && self.index.is_none() && self.rows_max.is_none();
        match self.source {
            TableSource::Stored(table) if is_whole => Some(table.rows_estimate),
            TableSource::File(file) if file.size_bytes > 0 || file.rows_estimate.is_some() => {
                Some(source_rows(self.source) as u64)
            }
            _ => None,
        }
    }
}

/// Bounds outside of which no value of a column passes a scan's conjuncts; NULL does not pass either. They have the
/// column's type, if the column is compared with constants of its type.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRange<'a> {
    /// The column, by position in the table.
    pub column: u32,
    /// Where values begin.
    pub lower: Bound<Value<'a>>,
    /// Where they end.
    pub upper: Bound<Value<'a>>,
}

/// A part of the order of a key: the rows whose first key columns equal `prefix`, where NULL equals NULL, and whose next one lies within
/// the bounds. Values have the types of their columns; bounds are not NULL and those of values, whatever the
/// direction of the column, and with one of them NULL is outside.
#[derive(Clone, Copy, Debug)]
pub struct KeyRange<'a> {
    /// Values of the first key columns.
    pub prefix: &'a [Value<'a>],
    /// Where values of the next key column begin.
    pub lower: Bound<Value<'a>>,
    /// Where they end.
    pub upper: Bound<Value<'a>>,
}

/// Takes rows whose columns are those of a table, in order and of the same types, and gives those that the table takes.
/// The first row that it does not take is an error.
#[derive(Clone, Copy, Debug)]
pub struct Insert<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// The table; its rules say which columns take NULL.
    pub table: &'a StoredTable<'a>,
    /// The table's checks, by name.
    pub checks: &'a [Check<'a>],
}

/// Takes rows of a table as they are to be, and gives those that the table takes. The first row that it does not take is an
/// error. The input's columns are those of the table, then what [`UpdateWay`] says.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// The table; its rules say which columns take NULL.
    pub table: &'a StoredTable<'a>,
    /// The table's checks, by name.
    pub checks: &'a [Check<'a>],
    /// How the new rows take the place of the old ones.
    pub way: UpdateWay,
}

/// How new rows take the place of old ones. What tells an old row is the values of the table's key, or the number of the row in a
/// table without one, a bigint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateWay {
    /// The key stays: the new row is put where the old one is.
    InPlace,
    /// One row after the other: the old row, which the further columns tell, goes, and the new one comes.
    OneByOne,
    /// All old rows go before the first new one comes, so that keys may change places. Behind what tells the old row stands a
    /// boolean; every row comes twice: first all with false, when old rows go, then all with true.
    InTwoPasses,
}

/// Takes what tells rows of a table: the values of its key, or the number of the row in a table without one. A row may be
/// told more than once.
#[derive(Clone, Copy, Debug)]
pub struct Delete<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// The table.
    pub table: &'a StoredTable<'a>,
}

/// What the rows of a plan do to a table.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// They are put into it.
    Insert(&'a Insert<'a>),
    /// They replace others.
    Update(&'a Update<'a>),
    /// They tell which rows go.
    Delete(&'a Delete<'a>),
}

impl<'a> Change<'a> {
    /// The table.
    pub fn table(&self) -> &'a StoredTable<'a> {
        match self {
            Change::Insert(insert) => insert.table,
            Change::Update(update) => update.table,
            Change::Delete(delete) => delete.table,
        }
    }
}

/// A condition that is not false for any row of a table.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// The name of the constraint.
    pub name: &'a str,
    /// A boolean over the table's columns.
    pub condition: &'a Expr<'a>,
}

/// A file that holds a table.
#[derive(Clone, Copy, Debug)]
pub struct FileSource<'a> {
    /// The path, as the caller will open it.
    pub path: &'a str,
    /// How rows are written.
    pub format: FileFormat,
    /// All columns of the file in their order in it.
    pub columns: &'a [Column<'a>],
    /// The size of the file; 0 if it cannot be known (a file of the system's own).
    pub size_bytes: u64,
    /// The number of rows if it is known or was estimated from a sample.
    pub rows_estimate: Option<u64>,
    /// How fields become values.
    pub fields: FieldRules<'a>,
}

/// How fields of a file become values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldRules<'a> {
    /// The text of a field without quotes that is NULL.
    pub null: &'a str,
    /// Whether a field is a value that is assigned to a column (`COPY`): a number is rounded to the digits of its type.
    /// Otherwise it is a value that stands in the file: more digits than the type's are an error, and blanks alone are NULL
    /// where they are no text.
    pub is_assigned: bool,
}

impl FieldRules<'_> {
    /// Of a file that is read as it stands.
    pub const AS_IT_STANDS: FieldRules<'static> = FieldRules { null: "", is_assigned: false };
}

/// Where the rows of a `COPY … TO` go, and how they are written.
#[derive(Clone, Copy, Debug)]
pub struct CopyTarget<'a> {
    /// The file; `None` for standard output.
    pub path: Option<&'a str>,
    /// How rows are written.
    pub csv: CsvFormat,
    /// What stands for NULL.
    pub null: &'a str,
    /// Where the statement stands.
    pub span: Span,
}

/// How rows are written in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Delimited text, RFC 4180 with choices.
    Csv(CsvFormat),
}

/// The choices of delimited text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvFormat {
    /// The byte between fields.
    pub delimiter: u8,
    /// The byte around fields that contain delimiters, doubled inside them; `None` if quotes mean nothing (`.tbl`).
    pub quote: Option<u8>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether every row ends in a delimiter that opens no field (`.tbl`).
    pub trailing_delimiter: bool,
    /// Whether a backslash gives the byte behind it another meaning, as in PostgreSQL's format text: `\t` is a tab, `\\` a
    /// backslash. Only without quotes.
    pub escapes: bool,
}

impl CsvFormat {
    /// A `.tbl`: bars between fields and at the end of each row, no quotes, no header.
    pub const TBL: CsvFormat =
        CsvFormat { delimiter: b'|', quote: None, header: false, trailing_delimiter: true, escapes: false };
    /// RFC 4180 without a header.
    pub const CSV: CsvFormat = CsvFormat {
        delimiter: b',',
        quote: Some(b'"'),
        header: false,
        trailing_delimiter: false,
        escapes: false,
    };
    /// PostgreSQL's format text.
    pub const TEXT: CsvFormat =
        CsvFormat { delimiter: b'\t', quote: None, header: false, trailing_delimiter: false, escapes: true };
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Each pair of rows that match.
    Inner,
    /// And each probe row without a match, with NULLs for the build side.
    Left,
    /// And each build row without a match, with NULLs for the probe side.
    Right,
    /// And both.
    Full,
    /// Each probe row that has a match, once.
    Semi,
    /// Each probe row that has none.
    Anti,
    /// Each build row that has a match, once.
    RightSemi,
    /// Each build row that has none.
    RightAnti,
    /// Each probe row with its match, or with NULLs; two matches are an error (SQLSTATE 21000).
    Single,
    /// Each probe row with a boolean behind all other columns: true if it has a match, NULL if it has none but a comparison is
    /// unknown, else false. See [`KeyNulls::Unknown`]; conditions of a nested loop are unknown where they are NULL.
    Mark,
}

impl JoinKind {
    /// Whether columns of the build side are among what it gives.
    pub const fn gives_build(self) -> bool {
        !matches!(self, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark)
    }

    /// Whether columns of the probe side are among what it gives.
    pub const fn gives_probe(self) -> bool {
        !matches!(self, JoinKind::RightSemi | JoinKind::RightAnti)
    }

    /// Whether a probe row without a match is given.
    pub const fn keeps_probe(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full | JoinKind::Anti | JoinKind::Single | JoinKind::Mark)
    }
}

/// A join by equal keys.
#[derive(Clone, Copy, Debug)]
pub struct HashJoin<'a> {
    /// Which rows it gives.
    pub kind: JoinKind,
    /// The side whose rows are streamed past the hash table.
    pub probe: OperatorId,
    /// The side whose rows are held in the hash table; the one that is expected to be smaller.
    pub build: OperatorId,
    /// Pairs of key expressions of one type; at least one.
    pub keys: &'a [JoinKey<'a>],
    /// Conjuncts over probe columns followed by build columns, tested on every pair with equal keys: only if all are true is it a
    /// match. Of a mark join, which has some only where no key is [`KeyNulls::Unknown`], a pair for which none is false but one is NULL is
    /// unknown.
    pub residual: &'a [&'a Expr<'a>],
    /// Which columns are handed on, by position in probe columns followed by build columns; of a mark join the mark follows them.
    pub output: &'a [u32],
}

/// One pair of expressions that a hash join holds equal.
#[derive(Clone, Copy, Debug)]
pub struct JoinKey<'a> {
    /// Over the probe side's columns.
    pub probe: &'a Expr<'a>,
    /// Over the build side's columns.
    pub build: &'a Expr<'a>,
    /// What NULL is equal to.
    pub nulls: KeyNulls,
}

/// What NULL in a key is equal to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyNulls {
    /// Nothing (`=`).
    Unmatched,
    /// NULL (`IS NOT DISTINCT FROM`).
    Equal,
    /// Nobody knows (the comparison of `IN`; only of a mark join): a probe row without a match is marked NULL if among the build rows with
    /// the same other keys one has NULL here, or there is any and the probe row has NULL here.
    Unknown,
}

/// A join by any condition.
#[derive(Clone, Copy, Debug)]
pub struct NestedLoopJoin<'a> {
    /// Which rows it gives.
    pub kind: JoinKind,
    /// The side that is streamed.
    pub probe: OperatorId,
    /// The side whose rows are held.
    pub build: OperatorId,
    /// Conjuncts over probe columns followed by build columns. Of a mark join, a pair for which one is false counts for nothing, and one
    /// for which none is false but one is NULL is unknown.
    pub conjuncts: &'a [&'a Expr<'a>],
    /// Which columns are handed on, by position in probe columns followed by build columns; of a mark join the mark follows them.
    pub output: &'a [u32],
}

/// Groups and aggregates.
#[derive(Clone, Copy, Debug)]
pub struct HashAggregate<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// The keys over the input's columns.
    pub groups: &'a [&'a Expr<'a>],
    /// The grouping sets, each a list of positions in `groups`; the keys that are not in it are NULL. Rows are grouped for each set on
    /// its own. A set without keys gives exactly one row, also for no input. At least one set.
    pub sets: &'a [&'a [u32]],
    /// What is computed for each group.
    pub aggregates: &'a [Aggregate<'a>],
    /// Columns of the input, all of them groups of the only set: rows that are equal in these come one behind the other, so that groups
    /// are whole as soon as one of these changes. Empty where that is not known.
    pub together: &'a [u32],
}

impl HashAggregate<'_> {
    /// Whether groups are given while rows still come.
    pub const fn gives_as_rows_come(&self) -> bool {
        !self.together.is_empty()
    }
}

/// One aggregate of a grouping, or of a window.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate<'a> {
    /// What is computed.
    pub function: AggregateFunction,
    /// Over the input's columns, as many as the function's docstring names.
    pub args: &'a [&'a Expr<'a>],
    /// Whether equal arguments count once.
    pub distinct: bool,
    /// A row counts only if this is true.
    pub filter: Option<&'a Expr<'a>>,
    /// The order in which rows are taken; empty where it does not matter.
    pub order_by: &'a [AggregateKey<'a>],
    /// The type of the result.
    pub ty: Type,
    /// Where in the statement's text it stands; overflow points here.
    pub span: Span,
}

/// One key of the order in which an aggregate takes rows.
#[derive(Clone, Copy, Debug)]
pub struct AggregateKey<'a> {
    /// Over the input's columns.
    pub expr: &'a Expr<'a>,
    /// Greatest first.
    pub descending: bool,
    /// NULLs before all values, whatever the direction.
    pub nulls_first: bool,
}

/// What an aggregate computes. Unless stated otherwise rows with a NULL argument are passed over, and without any row left the result
/// is NULL (a count: 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`: the number of rows; bigint. No argument.
    CountRows,
    /// The number of arguments that are not NULL; bigint.
    Count,
    /// The sum; bigint of integers, numeric of bigints and numerics, double of doubles, interval of intervals. Overflow is an error.
    Sum,
    /// The mean; numeric of integers, bigints and numerics, double of doubles, interval of intervals.
    Avg,
    /// The least argument, of the argument's type.
    Min,
    /// The greatest argument, of the argument's type.
    Max,
    /// Whether all arguments are true.
    BoolAnd,
    /// Whether one argument is true.
    BoolOr,
    /// Bits that all integers have.
    BitAnd,
    /// Bits that one of the integers has.
    BitOr,
    /// Bits that an odd number of the integers have.
    BitXor,
    /// The first argument that is not NULL.
    AnyValue,
    /// `(text, delimiter text)`, or of bytea: the texts behind one another; the delimiter of a row stands before its text.
    StringAgg,
    /// `(any)`: an array of the arguments, NULLs among them; NULL without rows.
    ArrayAgg,
    /// `(any)`: a JSON array of the arguments, NULLs among them; NULL without rows.
    JsonAgg,
    /// The same of rows, each on a line of its own.
    JsonAggRows,
    /// `(key, value)`: a JSON object.
    JsonObjectAgg,
    /// Of doubles or numerics, with the divisor n.
    VarPop,
    /// Of doubles or numerics, with the divisor n - 1; NULL for one row.
    VarSamp,
    /// The square root of the variance with the divisor n.
    StddevPop,
    /// The square root of the variance with the divisor n - 1; NULL for one row.
    StddevSamp,
    /// `(y double, x double)`; rows with a NULL in either are passed over, as in the following.
    Corr,
    /// `(y, x)`: the covariance with the divisor n.
    CovarPop,
    /// `(y, x)`: the covariance with the divisor n - 1.
    CovarSamp,
    /// `(y, x)`: the mean of x.
    RegrAvgX,
    /// `(y, x)`: the mean of y.
    RegrAvgY,
    /// `(y, x)`: the number of rows; bigint.
    RegrCount,
    /// `(y, x)`: where the line of least squares meets the y axis.
    RegrIntercept,
    /// `(y, x)`: the square of the correlation.
    RegrR2,
    /// `(y, x)`: the slope of the line of least squares.
    RegrSlope,
    /// `(y, x)`: the sum of squares of x around its mean.
    RegrSxx,
    /// `(y, x)`: the sum of products around the means.
    RegrSxy,
    /// `(y, x)`: the sum of squares of y around its mean.
    RegrSyy,
    /// `(fraction double)` with one key in `order_by`, a double or an interval: between the two nearest values. The fraction may be an
    /// array; it is the same for all rows of a group.
    PercentileCont,
    /// `(fraction double)` with one key in `order_by`: the first value whose position reaches the fraction.
    PercentileDisc,
    /// With one key in `order_by` and no argument: the value that is there most often, the first of them in the order.
    Mode,
    /// `GROUPING(…)`: each argument is an integer literal, the position of a group; the result, an integer, has a bit for each, the last
    /// one lowest, which is set if the grouping set of the row lacks the group.
    Grouping,
}

impl AggregateFunction {
    /// Whether it puts all values together, one behind the other.
    pub const fn collects(self) -> bool {
        matches!(
            self,
            AggregateFunction::StringAgg
                | AggregateFunction::ArrayAgg
                | AggregateFunction::JsonAgg
                | AggregateFunction::JsonAggRows
                | AggregateFunction::JsonObjectAgg
        )
    }

    /// Whether it chooses from the values of a group in their order, of which it has to know how many there are.
    pub const fn is_chosen(self) -> bool {
        matches!(
            self,
            AggregateFunction::PercentileCont | AggregateFunction::PercentileDisc | AggregateFunction::Mode
        )
    }
}

impl<'a> Aggregate<'a> {
    /// Calls `visit` for each expression in it.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn for_each_expr<E>(&self, mut visit: impl FnMut(&'a Expr<'a>) -> Result<(), E>) -> Result<(), E> {
        self.args.iter().try_for_each(|arg| visit(arg))?;
        self.filter.into_iter().try_for_each(&mut visit)?;
        self.order_by.iter().try_for_each(|key| visit(key.expr))
    }

    /// The same aggregate over what `change` makes of each expression.
    ///
    /// # Errors
    /// Those of `change`, and `AllocError` when the arena has no room.
    pub fn map<E: From<AllocError>>(
        &self,
        arena: &'a Arena,
        mut change: impl FnMut(&'a Expr<'a>) -> Result<&'a Expr<'a>, E>,
    ) -> Result<Aggregate<'a>, E> {
        let args = arena.alloc_slice_copy(self.args)?;
        for arg in args.iter_mut() {
            *arg = change(arg)?;
        }
        let filter = self.filter.map(&mut change).transpose()?;
        let order_by = arena.alloc_slice_copy(self.order_by)?;
        for key in order_by.iter_mut() {
            key.expr = change(key.expr)?;
        }
        Ok(Aggregate { args, filter, order_by, ..*self })
    }
}

impl<'a> WindowKind<'a> {
    /// Calls `visit` for each expression in it.
    ///
    /// # Errors
    /// Those of `visit`.
    pub fn for_each_expr<E>(&self, mut visit: impl FnMut(&'a Expr<'a>) -> Result<(), E>) -> Result<(), E> {
        match *self {
            WindowKind::Aggregate(aggregate) => aggregate.for_each_expr(visit),
            WindowKind::RowNumber
            | WindowKind::Rank
            | WindowKind::DenseRank
            | WindowKind::PercentRank
            | WindowKind::CumeDist => Ok(()),
            WindowKind::Ntile(expr) | WindowKind::FirstValue(expr) | WindowKind::LastValue(expr) => {
                visit(expr)
            }
            WindowKind::Lag { value, offset, default } | WindowKind::Lead { value, offset, default } => {
                visit(value)?;
                offset.into_iter().chain(default).try_for_each(visit)
            }
            WindowKind::NthValue(value, number) => {
                visit(value)?;
                visit(number)
            }
        }
    }

    /// The same function over what `change` makes of each expression.
    ///
    /// # Errors
    /// Those of `change`, and `AllocError` when the arena has no room.
    pub fn map<E: From<AllocError>>(
        &self,
        arena: &'a Arena,
        mut change: impl FnMut(&'a Expr<'a>) -> Result<&'a Expr<'a>, E>,
    ) -> Result<WindowKind<'a>, E> {
        Ok(match *self {
            WindowKind::Aggregate(aggregate) => WindowKind::Aggregate(aggregate.map(arena, change)?),
            WindowKind::Ntile(expr) => WindowKind::Ntile(change(expr)?),
            WindowKind::FirstValue(expr) => WindowKind::FirstValue(change(expr)?),
            WindowKind::LastValue(expr) => WindowKind::LastValue(change(expr)?),
            WindowKind::NthValue(value, number) => WindowKind::NthValue(change(value)?, change(number)?),
            WindowKind::Lag { value, offset, default } => WindowKind::Lag {
                value: change(value)?,
                offset: offset.map(&mut change).transpose()?,
                default: default.map(&mut change).transpose()?,
            },
            WindowKind::Lead { value, offset, default } => WindowKind::Lead {
                value: change(value)?,
                offset: offset.map(&mut change).transpose()?,
                default: default.map(&mut change).transpose()?,
            },
            kind => kind,
        })
    }
}

/// Computes window functions over partitions.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Where rows come from.
    pub input: OperatorId,
    /// The columns whose values rows of a partition share (NULL equals NULL).
    pub partition: &'a [u32],
    /// The order within a partition; without keys all rows of it are peers.
    pub order: &'a [SortKey],
    /// The functions; all have the same partition and order.
    pub functions: &'a [WindowFunction<'a>],
}

/// A window function.
#[derive(Clone, Copy, Debug)]
pub struct WindowFunction<'a> {
    /// What is computed.
    pub kind: WindowKind<'a>,
    /// The rows that it looks at.
    pub frame: Frame,
    /// The type of the result.
    pub ty: Type,
    /// Where it stands.
    pub span: Span,
}

/// What a window function computes. Expressions stand over the input's columns.
#[derive(Clone, Copy, Debug)]
pub enum WindowKind<'a> {
    /// An aggregate over the frame.
    Aggregate(Aggregate<'a>),
    /// The number of the row in its partition, from 1; bigint.
    RowNumber,
    /// The number of the first peer; bigint.
    Rank,
    /// The number of the group of peers; bigint.
    DenseRank,
    /// (rank - 1) / (rows - 1), 0 for one row; double.
    PercentRank,
    /// The part of the partition up to the last peer; double.
    CumeDist,
    /// `(integer)`: the number of the bucket of so many.
    Ntile(&'a Expr<'a>),
    /// `value` of the row so many before this one, else `default`.
    Lag {
        /// What is given.
        value: &'a Expr<'a>,
        /// How many rows, an integer; 1 if absent. NULL gives NULL.
        offset: Option<&'a Expr<'a>>,
        /// What is given where there is no such row, of the row itself; NULL if absent.
        default: Option<&'a Expr<'a>>,
    },
    /// `value` of the row so many behind this one, else `default`.
    Lead {
        /// What is given.
        value: &'a Expr<'a>,
        /// How many rows, an integer; 1 if absent. NULL gives NULL.
        offset: Option<&'a Expr<'a>>,
        /// What is given where there is no such row, of the row itself; NULL if absent.
        default: Option<&'a Expr<'a>>,
    },
    /// The value of the frame's first row.
    FirstValue(&'a Expr<'a>),
    /// The value of the frame's last row.
    LastValue(&'a Expr<'a>),
    /// The value of the frame's row of a number from 1, an integer; less is an error (SQLSTATE 22016).
    NthValue(&'a Expr<'a>, &'a Expr<'a>),
}

/// The rows around a row that a window function looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the bounds count.
    pub mode: FrameMode,
    /// Where it begins.
    pub start: FrameBound,
    /// Where it ends, inclusive.
    pub end: FrameBound,
    /// Which of its rows are left out.
    pub exclusion: FrameExclusion,
}

impl Frame {
    /// `RANGE UNBOUNDED PRECEDING`: from the partition's first row to the last peer.
    pub const DEFAULT: Frame = Frame {
        mode: FrameMode::Range,
        start: FrameBound::Unbounded,
        end: FrameBound::CurrentRow,
        exclusion: FrameExclusion::NoOthers,
    };
}

/// What the bounds of a frame count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameMode {
    /// Rows.
    Rows,
    /// Distances of the only key of the order.
    Range,
    /// Groups of peers.
    Groups,
}

/// A bound of a frame. A `RANGE` with a distance has its bound as a column of the input: the key of the row less or plus the
/// distance, computed below the window; a NULL key is a peer of NULLs only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameBound {
    /// The first row of the partition, or the last.
    Unbounded,
    /// The row itself; in other modes than `ROWS` its peers.
    CurrentRow,
    /// So many rows or groups before it: a column of bigints that is the same for all rows of the statement, not negative (22013) and not
    /// NULL (22004). In `RANGE`: the column that holds the bound.
    Preceding(u32),
    /// So many rows or groups behind it, likewise.
    Following(u32),
}

/// Which rows of a frame are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameExclusion {
    /// None.
    NoOthers,
    /// The row itself.
    CurrentRow,
    /// The row and its peers.
    Group,
    /// The peers, but not the row itself.
    Ties,
}

/// One key of an ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The position of the key in the input's columns; keys that are computed are columns of a projection below.
    pub column: u32,
    /// Greatest first.
    pub descending: bool,
    /// NULLs before all values, whatever the direction.
    pub nulls_first: bool,
}

impl AggregateFunction {
    /// The function's name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            AggregateFunction::CountRows | AggregateFunction::Count => "count",
            AggregateFunction::Sum => "sum",
            AggregateFunction::Avg => "avg",
            AggregateFunction::Min => "min",
            AggregateFunction::Max => "max",
            AggregateFunction::BoolAnd => "bool_and",
            AggregateFunction::BoolOr => "bool_or",
            AggregateFunction::BitAnd => "bit_and",
            AggregateFunction::BitOr => "bit_or",
            AggregateFunction::BitXor => "bit_xor",
            AggregateFunction::AnyValue => "any_value",
            AggregateFunction::StringAgg => "string_agg",
            AggregateFunction::ArrayAgg => "array_agg",
            AggregateFunction::JsonAgg | AggregateFunction::JsonAggRows => "json_agg",
            AggregateFunction::JsonObjectAgg => "json_object_agg",
            AggregateFunction::VarPop => "var_pop",
            AggregateFunction::VarSamp => "var_samp",
            AggregateFunction::StddevPop => "stddev_pop",
            AggregateFunction::StddevSamp => "stddev_samp",
            AggregateFunction::Corr => "corr",
            AggregateFunction::CovarPop => "covar_pop",
            AggregateFunction::CovarSamp => "covar_samp",
            AggregateFunction::RegrAvgX => "regr_avgx",
            AggregateFunction::RegrAvgY => "regr_avgy",
            AggregateFunction::RegrCount => "regr_count",
            AggregateFunction::RegrIntercept => "regr_intercept",
            AggregateFunction::RegrR2 => "regr_r2",
            AggregateFunction::RegrSlope => "regr_slope",
            AggregateFunction::RegrSxx => "regr_sxx",
            AggregateFunction::RegrSxy => "regr_sxy",
            AggregateFunction::RegrSyy => "regr_syy",
            AggregateFunction::PercentileCont => "percentile_cont",
            AggregateFunction::PercentileDisc => "percentile_disc",
            AggregateFunction::Mode => "mode",
            AggregateFunction::Grouping => "grouping",
        }
    }
}

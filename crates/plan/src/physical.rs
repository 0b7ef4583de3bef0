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
//! - **P1** An operator's inputs have smaller ids than the operator; every operator but the root is the input of exactly one.
//! - **P2** `columns` of an operator describes its output batch; `Column(i)` in an expression of an operator is position
//!   `i` of its input (of the probe columns followed by the build columns for what a join computes after matching).
//! - **P3** A filter is a list of boolean conjuncts: a row passes if all are true (not false, not NULL).

use std::ops::Bound;

use cofferdam_types::{Type, Value};

use crate::Span;
use crate::expr::{Column, Expr};
use crate::table::{StoredTable, TableSource};

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

    /// Whether it scans a table of the store.
    pub fn reads_stored_tables(&self) -> bool {
        let is_stored = |kind: &OperatorKind<'_>| match kind {
            OperatorKind::Scan(scan) => matches!(scan.source, TableSource::Stored(_)),
            _ => false,
        };
        self.operators.iter().any(|operator| is_stored(&operator.kind))
    }

    /// The table that the plan's rows are for, with what they are checked for; `None` for a query.
    pub fn insert(&self) -> Option<&'a Insert<'a>> {
        match &self.root().kind {
            OperatorKind::Insert(insert) => Some(insert),
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
    /// Inner equi-join through a hash table over the build side.
    HashJoin(HashJoin<'a>),
    /// Inner join of every pair of rows; the build side is held.
    NestedLoopJoin(NestedLoopJoin<'a>),
    /// Groups rows by equal keys (NULL equals NULL) and aggregates each group. Its output is the groups, then the aggregates.
    HashAggregate {
        /// Where rows come from.
        input: OperatorId,
        /// The keys over the input's columns. Without keys there is exactly one output row, also for no input.
        groups: &'a [&'a Expr<'a>],
        /// What is computed for each group.
        aggregates: &'a [Aggregate<'a>],
    },
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
    Limit {
        /// Where rows come from.
        input: OperatorId,
        /// How many rows to pass; `None` for all.
        count: Option<u64>,
        /// How many rows to skip first.
        offset: u64,
    },
    /// Passes each distinct row once (NULL equals NULL).
    Distinct {
        /// Where rows come from.
        input: OperatorId,
    },
    /// Passes the rows that a table takes, for whoever puts them into it. Only at the root.
    Insert(Insert<'a>),
}

impl OperatorKind<'_> {
    /// The operators whose rows it reads; of a join the probe side first.
    pub fn inputs(&self) -> [Option<OperatorId>; 2] {
        match *self {
            OperatorKind::Scan(_) | OperatorKind::Values { .. } => [None, None],
            OperatorKind::Filter { input, .. }
            | OperatorKind::Project { input, .. }
            | OperatorKind::HashAggregate { input, .. }
            | OperatorKind::Sort { input, .. }
            | OperatorKind::Limit { input, .. }
            | OperatorKind::Distinct { input }
            | OperatorKind::Insert(Insert { input, .. }) => [Some(input), None],
            OperatorKind::HashJoin(HashJoin { probe, build, .. })
            | OperatorKind::NestedLoopJoin(NestedLoopJoin { probe, build, .. }) => [Some(probe), Some(build)],
        }
    }
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
    /// The part of the key's order outside of which no row passes the conjuncts; only of stored tables. The conjuncts that
    /// say so are tested nevertheless.
    pub range: Option<&'a KeyRange<'a>>,
    /// What the conjuncts say of columns of the table, for leaving out pages without reading them; only of stored tables.
    pub column_ranges: &'a [ColumnRange<'a>],
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

/// A part of the order of a table's key: the rows whose first key columns equal `prefix` and whose next one lies within
/// the bounds. Values have the types of their columns and are not NULL; bounds are those of values, whatever the
/// direction of the column.
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

/// An inner equi-join. Rows whose key has a NULL match nothing.
#[derive(Clone, Copy, Debug)]
pub struct HashJoin<'a> {
    /// The side whose rows are streamed past the hash table.
    pub probe: OperatorId,
    /// The side whose rows are held in the hash table; the one that is expected to be smaller.
    pub build: OperatorId,
    /// Pairs of key expressions of one type; at least one.
    pub keys: &'a [JoinKey<'a>],
    /// Conjuncts over probe columns followed by build columns, tested on every match.
    pub residual: &'a [&'a Expr<'a>],
    /// Which columns are handed on, by position in probe columns followed by build columns.
    pub output: &'a [u32],
}

/// One pair of expressions that a hash join holds equal.
#[derive(Clone, Copy, Debug)]
pub struct JoinKey<'a> {
    /// Over the probe side's columns.
    pub probe: &'a Expr<'a>,
    /// Over the build side's columns.
    pub build: &'a Expr<'a>,
}

/// An inner join without equal keys.
#[derive(Clone, Copy, Debug)]
pub struct NestedLoopJoin<'a> {
    /// The side that is streamed.
    pub probe: OperatorId,
    /// The side whose rows are held.
    pub build: OperatorId,
    /// Conjuncts over probe columns followed by build columns.
    pub conjuncts: &'a [&'a Expr<'a>],
    /// Which columns are handed on, by position in probe columns followed by build columns.
    pub output: &'a [u32],
}

/// One aggregate of a grouping.
#[derive(Clone, Copy, Debug)]
pub struct Aggregate<'a> {
    /// What is computed.
    pub function: AggregateFunction,
    /// Over the input's columns; `None` for `count(*)` only.
    pub argument: Option<&'a Expr<'a>>,
    /// Whether equal arguments count once.
    pub distinct: bool,
    /// The type of the result.
    pub ty: Type,
    /// Where in the statement's text it stands; overflow points here.
    pub span: Span,
}

/// What an aggregate computes. NULL arguments are passed over; without any argument left the result is NULL (a count: 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`: the number of rows; bigint.
    CountRows,
    /// The number of arguments that are not NULL; bigint.
    Count,
    /// The sum; bigint of integers, decimal of bigints and decimals, double of doubles. Overflow is an error.
    Sum,
    /// The mean; decimal of integers, bigints and decimals, double of doubles.
    Avg,
    /// The least argument, of the argument's type.
    Min,
    /// The greatest argument, of the argument's type.
    Max,
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
        }
    }
}

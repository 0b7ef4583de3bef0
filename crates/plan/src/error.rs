//! What can be wrong with a statement that parses.
//!
//! An error is a `Copy` record that borrows names from the statement's text, its catalog and its plan arena: making,
//! returning and printing one takes no memory. It must be read before the arena is reset.

use std::fmt;

use cofferdam_arena::AllocError;
use cofferdam_types::Type;

use crate::Span;
use crate::catalog::CatalogError;
use crate::expr::print::Quoted;

/// Why a statement has no plan.
#[derive(Clone, Copy, Debug)]
pub enum Error<'a> {
    /// The statement's budget has no room (53200); the budget's last refusal says which and why.
    OutOfMemory(AllocError),
    /// A name means nothing where it stands.
    Name {
        /// What is wrong with it.
        problem: NameProblem,
        /// The name.
        name: &'a str,
        /// The table before the dot.
        qualifier: Option<&'a str>,
        /// A name that might have been meant.
        suggestion: Option<&'a str>,
        /// Where it stands.
        span: Span,
    },
    /// No function of this name takes these arguments (42883).
    UndefinedFunction {
        /// The name.
        name: &'a str,
        /// The types of the arguments.
        arguments: &'a [Type],
        /// A function that might have been meant.
        suggestion: Option<&'static str>,
        /// Where the call stands.
        span: Span,
    },
    /// No operator of this name takes these operands (42883).
    UndefinedOperator {
        /// The operator.
        operator: &'a str,
        /// The type of the left operand; `None` for a prefix operator.
        left: Option<Type>,
        /// The type of the right operand.
        right: Type,
        /// Where the operation stands.
        span: Span,
    },
    /// An expression has the wrong type for its place (42804).
    WrongType {
        /// The place, such as `WHERE`.
        place: &'static str,
        /// The type that it takes.
        expected: Type,
        /// The type that was found.
        found: Type,
        /// Where the expression stands.
        span: Span,
    },
    /// Expressions that must have one type have none in common (42804).
    TypesDiffer {
        /// The construct, such as `CASE`.
        construct: &'static str,
        /// The type of those before.
        left: Type,
        /// The type of the one that does not fit.
        right: Type,
        /// Where that one stands.
        span: Span,
    },
    /// A literal or a constant computation has no value; the code is the cause's.
    Value {
        /// The cause.
        cause: cofferdam_types::Error,
        /// Where it stands.
        span: Span,
    },
    /// `ESCAPE` names more than one character (22019).
    BadEscape {
        /// Where it stands.
        span: Span,
    },
    /// A column is neither grouped by nor aggregated (42803).
    Ungrouped {
        /// The column.
        name: &'a str,
        /// Its table.
        table: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// An aggregate stands where there are no groups (42803).
    MisplacedAggregate {
        /// The place.
        place: AggregatePlace,
        /// Where it stands.
        span: Span,
    },
    /// A position or constant in ORDER BY or GROUP BY, LIMIT or OFFSET does not do.
    Clause {
        /// What is wrong.
        problem: ClauseProblem,
        /// The clause.
        clause: &'static str,
        /// The number that was given, where it matters.
        given: i64,
        /// Where it stands.
        span: Span,
    },
    /// Lists that must be equally long are not.
    Count {
        /// What is counted.
        problem: CountProblem,
        /// The table, where there is one.
        name: &'a str,
        /// How many there may be.
        expected: u64,
        /// How many there are.
        found: u64,
        /// Where they stand.
        span: Span,
    },
    /// `DEFAULT` stands where no column takes a value (42601).
    MisplacedDefault {
        /// Where it stands.
        span: Span,
    },
    /// `SELECT *` without FROM (42601).
    StarWithoutTables {
        /// Where the star stands.
        span: Span,
    },
    /// A file or table cannot be read; the code is the catalog's.
    Source {
        /// The catalog's SQLSTATE.
        sqlstate: &'static str,
        /// The catalog's message.
        message: &'a str,
        /// Where the source stands in the statement.
        span: Span,
    },
    /// A definition contradicts itself or what exists.
    Definition {
        /// What is wrong.
        problem: DefinitionProblem,
        /// The name that it is about: of a column, a constraint or a table.
        name: &'a str,
        /// The table that is defined.
        table: &'a str,
        /// Where the part of the definition stands.
        span: Span,
    },
    /// A value of this type becomes one of the column's only by a written cast (42804).
    Assignment {
        /// The column.
        column: &'a str,
        /// Its type.
        expected: Type,
        /// The type of the value.
        found: Type,
        /// Whether the value is the column's default.
        is_default: bool,
        /// Where the value stands.
        span: Span,
    },
    /// An option of `COPY` does not do.
    CopyOption {
        /// What is wrong.
        problem: CopyProblem,
        /// The option, or the value that it was given.
        name: &'a str,
        /// Where the option stands.
        span: Span,
    },
    /// PostgreSQL has the type, columns of stored tables cannot have it (0A000).
    ColumnType {
        /// The type.
        name: &'static str,
        /// One that would do in most cases.
        instead: Option<&'static str>,
        /// Where the type stands.
        span: Span,
    },
    /// Queries in expressions or views nest too deeply (54001).
    TooDeep {
        /// How deep they may.
        limit: u32,
        /// Where the first one stands that is too deep.
        span: Span,
    },
    /// A query stands where there can be none (0A000).
    NoQuery {
        /// The clause.
        clause: &'static str,
        /// Where the query stands.
        span: Span,
    },
    /// A parameter has no type, or two.
    Parameter {
        /// What is wrong.
        problem: ParameterProblem,
        /// Its number.
        number: u32,
        /// Its name; empty where it has none.
        name: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// A call is not one that its place takes.
    Call {
        /// What is wrong.
        problem: CallProblem,
        /// The function, or the window.
        name: &'a str,
        /// Where it stands.
        span: Span,
    },
    /// PostgreSQL has it, Cofferdam does not (0A000).
    NotSupported {
        /// What it is.
        what: &'static str,
        /// Where it stands.
        span: Span,
    },
}

const _: () = assert!(size_of::<Error<'_>>() <= 80);

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// No table has it (42P01).
    UndefinedTable,
    /// No column has it (42703).
    UndefinedColumn,
    /// The table before the dot is not in FROM (42P01).
    MissingFromEntry,
    /// More than one column has it (42702).
    AmbiguousColumn,
    /// Two tables in one FROM have it (42712).
    DuplicateAlias,
    /// A column list has it twice (42701).
    DuplicateColumn,
    /// No type has it (42704).
    UndefinedType,
    /// `EXTRACT` knows no such field (22023).
    UndefinedField,
    /// `EXPLAIN` knows no such option (42601).
    UndefinedOption,
    /// No table has the name that is to be dropped (42P01).
    NoSuchTable,
    /// No view has the name that is to be dropped (42P01).
    NoSuchView,
    /// No index has the name that is to be dropped (42704).
    NoSuchIndex,
    /// The table, which is the qualifier, has no such column for a value (42703).
    NoSuchTarget,
}

/// Where an aggregate may not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatePlace {
    /// In a clause that is computed before grouping, such as `WHERE`.
    Clause(&'static str),
    /// In the argument of another aggregate.
    Aggregate,
}

/// What is wrong with a constant of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseProblem {
    /// A position that the select list does not have (42P10).
    NoSuchPosition,
    /// A constant that is not an integer position (42601).
    NotAPosition,
    /// A name that more than one select item has (42702).
    Ambiguous,
    /// With DISTINCT, a key that is not in the select list (42P10).
    NotInSelectList,
    /// With DISTINCT ON, a key that is none of its expressions before all of these have come (42P10).
    NotFirst,
    /// A count that is negative (2201W, 2201X).
    Negative,
    /// An expression that is not constant (42P10).
    NotConstant,
}

/// Which lists have different lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountProblem {
    /// More column aliases than the table has columns (42P10).
    ColumnAliases,
    /// Rows of VALUES (42601).
    ValuesRows,
    /// More values than columns that they are for (42601).
    InsertValues,
    /// More columns than values for them (42601).
    InsertColumns,
    /// Columns of an `UPDATE` and the values for them (42601).
    Assigned,
    /// More columns than a query may have (54011).
    Columns,
    /// Columns of the sides of a set operation, which is the name (42601).
    SetOperation,
    /// Columns of a query that stands for one value (42601).
    Subquery,
    /// Columns of a query, or values of a row, that a row is compared with (42601).
    Row,
}

/// What is wrong with a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterProblem {
    /// There is none of this number or name (42P02).
    Undefined,
    /// One has a number and another one a name (42601).
    Mixed,
    /// There are more than [`PARAMETER_NUMBER_MAX`](crate::PARAMETER_NUMBER_MAX) (54000).
    TooMany,
    /// Nothing tells its type (42P18).
    Undecided,
    /// A value of `EXECUTE` becomes one of the parameter's type only by a written cast, or not at all (42804).
    NotCoercible {
        /// Its type.
        found: Type,
        /// The parameter's.
        wanted: Type,
    },
    /// Two places ask for different types (42P08).
    Inconsistent {
        /// What the first one asks for.
        known: Type,
        /// What this one asks for.
        found: Type,
    },
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallProblem {
    /// A window function without OVER (42809).
    NeedsOver,
    /// A window function in a clause without windows, or in another window function's call (42P20).
    MisplacedWindow,
    /// A window function in the argument of an aggregate (42803).
    WindowInAggregate,
    /// OVER after a function that is neither an aggregate nor a window function (42809).
    NoWindowFunction,
    /// No window has the name (42704).
    UndefinedWindow,
    /// Two windows have the name (42P20).
    DuplicateWindow,
    /// A window that is based on another one cannot have a partition of its own, an order where that has one, or a frame to begin
    /// with (42P20).
    WindowOverride,
    /// A frame whose bounds do not go together (42P20).
    Frame,
    /// A frame of RANGE with a distance needs an order of exactly one key (42P20).
    RangeOrder,
    /// A frame of GROUPS needs an order (42P20).
    GroupsOrder,
    /// DISTINCT, FILTER, ORDER BY or WITHIN GROUP after a function that is no aggregate (42809).
    NoAggregate,
    /// An ordered-set aggregate without WITHIN GROUP (42809).
    NeedsWithinGroup,
    /// WITHIN GROUP after an aggregate that is none over an ordered set (42809).
    NoOrderedSet,
    /// DISTINCT with an ORDER BY that is not the arguments (42P10).
    DistinctOrder,
    /// DISTINCT for a window function (0A000).
    DistinctWindow,
    /// A set-returning function in a clause that gives no rows (0A000).
    MisplacedSet,
    /// Arguments of GROUPING that are no groups (42803).
    NotGrouped,
    /// GROUPING in a clause without groups (42803).
    MisplacedGrouping,
}

/// What is wrong with a definition, or with a table that a statement would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionProblem {
    /// A table has the name already (42P07).
    TableExists,
    /// Another key or table has the constraint's name (42P07).
    KeyExists,
    /// Another check has the constraint's name (42710).
    CheckExists,
    /// A column list has the column twice (42701).
    ColumnTwice,
    /// An `UPDATE` gives the column two values (42601).
    AssignedTwice,
    /// A key names a column that the table does not have (42703).
    KeyColumnUndefined,
    /// A key has the column twice (42701).
    KeyColumnTwice,
    /// There are two primary keys (42P16).
    SeveralPrimaryKeys,
    /// A column is declared both to take NULL and not to (42601).
    ConflictingNulls,
    /// A column has two defaults (42601).
    SeveralDefaults,
    /// A default uses a column (0A000).
    ColumnInDefault,
    /// More columns than a table may have (54011).
    TooManyColumns,
    /// What is to be dropped as an index is none (42809).
    NoIndex,
    /// A constraint of the table needs the index that is to be dropped (2BP01).
    IndexOfConstraint,
    /// The table is a file that goes by a name, and cannot be changed (42809).
    NotStored,
    /// What is to be dropped as a table is a view (42809).
    NoTable,
    /// What is to be dropped or replaced as a view is none (42809).
    NoView,
    /// A view, which is the table, reads the one that is to be dropped (2BP01).
    TableIsRead,
    /// The same of a view (2BP01).
    ViewIsRead,
    /// An index on a view (42809).
    NoIndexOfView,
    /// More names of columns than the query of a view has columns (42601).
    ViewColumnNames,
    /// A view is replaced by one with fewer columns (42P16).
    ViewColumnDropped,
    /// A view is replaced by one with a column of another name, which is the table (42P16).
    ViewColumnRenamed,
    /// A view is replaced by one with a column of another type; the table says from which to which (42P16).
    ViewColumnType,
    /// A view would read itself (42P17).
    ViewOfItself,
    /// `COPY … TO` of a view (42809).
    CopyOfView,
}

/// What is wrong with an option of `COPY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyProblem {
    /// There is no such option (42601).
    Unknown,
    /// There is no such format (22023).
    Format,
    /// An option is given twice (42601).
    Redundant,
    /// An option needs a value, or a value of another kind (42601).
    Value,
    /// A delimiter or quote is not one byte (0A000).
    OneByte,
    /// A delimiter, quote or NULL has a line's end in it (22023).
    LineEnd,
    /// An option is for the format csv only (0A000).
    CsvOnly,
    /// The delimiter is the quote (22023).
    SameByte,
    /// The text for NULL has a delimiter or quote in it (0A000).
    InNull,
    /// Letters, digits, a point and a backslash delimit nothing in the format text (22023).
    Delimiter,
}

/// What the user can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Change the statement.
    FixStatement,
    /// Give more memory.
    GiveMemory,
    /// See to the file or table.
    FixSource,
}

impl Error<'_> {
    /// The five characters that SQL clients tell errors apart by.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Error::OutOfMemory(_) => "53200",
            Error::Name { problem, .. } => problem.sqlstate(),
            Error::UndefinedFunction { .. } | Error::UndefinedOperator { .. } => "42883",
            Error::WrongType { .. } | Error::TypesDiffer { .. } => "42804",
            Error::Value { cause, .. } => cause.sqlstate(),
            Error::BadEscape { .. } => "22019",
            Error::Ungrouped { .. } | Error::MisplacedAggregate { .. } => "42803",
            Error::Clause { problem, clause, .. } => problem.sqlstate(clause),
            Error::Count { problem, .. } => problem.sqlstate(),
            Error::StarWithoutTables { .. } | Error::MisplacedDefault { .. } => "42601",
            Error::Source { sqlstate, .. } => sqlstate,
            Error::Definition { problem, .. } => problem.sqlstate(),
            Error::Assignment { .. } => "42804",
            Error::CopyOption { problem, .. } => problem.sqlstate(),
            Error::TooDeep { .. } => "54001",
            Error::Call { problem, .. } => problem.sqlstate(),
            Error::Parameter { problem, .. } => problem.sqlstate(),
            Error::NoQuery { .. } => "0A000",
            Error::ColumnType { .. } | Error::NotSupported { .. } => "0A000",
        }
    }

    /// Where in the statement's text; `None` if nowhere in particular.
    pub fn span(&self) -> Option<Span> {
        match *self {
            Error::OutOfMemory(_) | Error::Parameter { problem: ParameterProblem::Undecided, .. } => None,
            Error::Name { span, .. }
            | Error::UndefinedFunction { span, .. }
            | Error::UndefinedOperator { span, .. }
            | Error::WrongType { span, .. }
            | Error::TypesDiffer { span, .. }
            | Error::Value { span, .. }
            | Error::BadEscape { span }
            | Error::Ungrouped { span, .. }
            | Error::MisplacedAggregate { span, .. }
            | Error::Clause { span, .. }
            | Error::Count { span, .. }
            | Error::StarWithoutTables { span }
            | Error::MisplacedDefault { span }
            | Error::Source { span, .. }
            | Error::Definition { span, .. }
            | Error::Assignment { span, .. }
            | Error::CopyOption { span, .. }
            | Error::ColumnType { span, .. }
            | Error::TooDeep { span, .. }
            | Error::Parameter { span, .. }
            | Error::Call { span, .. }
            | Error::NoQuery { span, .. }
            | Error::NotSupported { span, .. } => Some(span),
        }
    }

    /// What the user can do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::OutOfMemory(_) => Remedy::GiveMemory,
            Error::Source { .. } => Remedy::FixSource,
            _ => Remedy::FixStatement,
        }
    }

    /// Advice, where there is some.
    pub fn hint(&self) -> Option<Hint<'_>> {
        match *self {
            Error::Name { suggestion: Some(name), .. } => Some(Hint::DidYouMean(name)),
            Error::UndefinedFunction { suggestion: Some(name), .. } => Some(Hint::DidYouMean(name)),
            Error::UndefinedFunction { .. } | Error::UndefinedOperator { .. } | Error::TypesDiffer { .. } => {
                Some(Hint::Text("you might need to add explicit type casts"))
            }
            Error::Assignment { .. } => Some(Hint::Text("you will need to rewrite or cast the expression")),
            Error::ColumnType { instead: Some(name), .. } => Some(Hint::UseType(name)),
            Error::Definition { problem, table, .. } => problem.hint(table),
            Error::Value { ref cause, .. } => cause.hint().map(Hint::Text),
            Error::Parameter { problem: ParameterProblem::Undefined | ParameterProblem::TooMany, .. } => None,
            Error::Parameter { problem: ParameterProblem::NotCoercible { .. }, .. } => {
                Some(Hint::Text("you will need to rewrite or cast the expression"))
            }
            Error::Parameter { problem: ParameterProblem::Mixed, .. } => {
                Some(Hint::Text("write either $1 or $name for all of them"))
            }
            Error::Parameter { .. } => Some(Hint::Text("write its type: $1::integer")),
            Error::OutOfMemory(_) => Some(Hint::Text("raise memory_limit or simplify the statement")),
            _ => None,
        }
    }
}

/// Advice that goes with an error; prints as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint<'a> {
    /// A name that might have been meant.
    DidYouMean(&'a str),
    /// A type that would do.
    UseType(&'a str),
    /// A view that depends on what is to be dropped.
    IsReadBy(&'a str),
    /// Anything else.
    Text(&'static str),
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hint::DidYouMean(name) => write!(f, "did you mean {}?", Quoted(name)),
            Hint::UseType(name) => write!(f, "use {name}"),
            Hint::IsReadBy(name) => {
                write!(f, "view {name} depends on it; use DROP … CASCADE to drop the dependent objects too")
            }
            Hint::Text(text) => f.write_str(text),
        }
    }
}

impl NameProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            NameProblem::UndefinedTable
            | NameProblem::MissingFromEntry
            | NameProblem::NoSuchTable
            | NameProblem::NoSuchView => "42P01",
            NameProblem::UndefinedColumn | NameProblem::NoSuchTarget => "42703",
            NameProblem::AmbiguousColumn => "42702",
            NameProblem::DuplicateAlias => "42712",
            NameProblem::DuplicateColumn => "42701",
            NameProblem::UndefinedType | NameProblem::NoSuchIndex => "42704",
            NameProblem::UndefinedField => "22023",
            NameProblem::UndefinedOption => "42601",
        }
    }
}

impl ClauseProblem {
    fn sqlstate(self, clause: &str) -> &'static str {
        match self {
            ClauseProblem::NoSuchPosition
            | ClauseProblem::NotInSelectList
            | ClauseProblem::NotFirst
            | ClauseProblem::NotConstant => "42P10",
            ClauseProblem::NotAPosition => "42601",
            ClauseProblem::Ambiguous => "42702",
            ClauseProblem::Negative if clause == "OFFSET" => "2201X",
            ClauseProblem::Negative => "2201W",
        }
    }
}

impl CountProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            CountProblem::ColumnAliases => "42P10",
            CountProblem::ValuesRows | CountProblem::InsertValues | CountProblem::InsertColumns => "42601",
            CountProblem::Columns => "54011",
            CountProblem::SetOperation
            | CountProblem::Subquery
            | CountProblem::Row
            | CountProblem::Assigned => "42601",
        }
    }
}

impl ParameterProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            ParameterProblem::Undefined => "42P02",
            ParameterProblem::Mixed => "42601",
            ParameterProblem::NotCoercible { .. } => "42804",
            ParameterProblem::TooMany => "54000",
            ParameterProblem::Undecided => "42P18",
            ParameterProblem::Inconsistent { .. } => "42P08",
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, number: u32, name: &str) -> fmt::Result {
        match self {
            ParameterProblem::Undefined => f.write_str("there is no parameter ")?,
            ParameterProblem::NotCoercible { found, wanted } => {
                let (found, wanted) = (found.name(), wanted.name());
                return write!(
                    f,
                    "parameter ${number} of type {found} cannot be coerced to the expected type {wanted}"
                );
            }
            ParameterProblem::Undecided => f.write_str("could not determine data type of parameter ")?,
            ParameterProblem::Inconsistent { .. } => {
                f.write_str("inconsistent types deduced for parameter ")?;
            }
            ParameterProblem::Mixed => {
                return f.write_str("parameters with numbers and with names cannot be mixed");
            }
            ParameterProblem::TooMany => {
                let most = crate::PARAMETER_NUMBER_MAX;
                return write!(f, "a statement has at most {most} parameters");
            }
        }
        match name {
            "" => write!(f, "${number}")?,
            name => write!(f, "${name}")?,
        }
        match self {
            ParameterProblem::Inconsistent { known, found } => {
                write!(f, ": {} versus {}", known.name(), found.name())
            }
            _ => Ok(()),
        }
    }
}

impl CallProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            CallProblem::NeedsOver
            | CallProblem::NoWindowFunction
            | CallProblem::NoAggregate
            | CallProblem::NeedsWithinGroup
            | CallProblem::NoOrderedSet => "42809",
            CallProblem::MisplacedWindow
            | CallProblem::DuplicateWindow
            | CallProblem::WindowOverride
            | CallProblem::Frame
            | CallProblem::RangeOrder
            | CallProblem::GroupsOrder => "42P20",
            CallProblem::WindowInAggregate | CallProblem::NotGrouped | CallProblem::MisplacedGrouping => {
                "42803"
            }
            CallProblem::UndefinedWindow => "42704",
            CallProblem::DistinctOrder => "42P10",
            CallProblem::DistinctWindow | CallProblem::MisplacedSet => "0A000",
        }
    }

    fn write(self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        match self {
            CallProblem::NeedsOver => write!(f, "window function {name} requires an OVER clause"),
            CallProblem::MisplacedWindow => write!(f, "window functions are not allowed in {name}"),
            CallProblem::WindowInAggregate => {
                f.write_str("aggregate function calls cannot contain window function calls")
            }
            CallProblem::NoWindowFunction => {
                write!(f, "OVER specified, but {name} is not a window function nor an aggregate function")
            }
            CallProblem::UndefinedWindow => write!(f, "window {} does not exist", Quoted(name)),
            CallProblem::DuplicateWindow => write!(f, "window {} is already defined", Quoted(name)),
            CallProblem::WindowOverride => {
                write!(f, "cannot override PARTITION BY, ORDER BY or the frame of window {}", Quoted(name))
            }
            CallProblem::Frame => f.write_str("the frame's bounds are in the wrong order"),
            CallProblem::RangeOrder => {
                f.write_str("RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column")
            }
            CallProblem::GroupsOrder => f.write_str("GROUPS mode requires an ORDER BY clause"),
            CallProblem::NoAggregate => {
                write!(
                    f,
                    "DISTINCT, ORDER BY, FILTER or WITHIN GROUP specified, but {name} is not an aggregate function"
                )
            }
            CallProblem::NeedsWithinGroup => {
                write!(f, "WITHIN GROUP is required for ordered-set aggregate {name}")
            }
            CallProblem::NoOrderedSet => {
                write!(f, "{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP")
            }
            CallProblem::DistinctOrder => f.write_str(
                "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
            ),
            CallProblem::DistinctWindow => f.write_str("DISTINCT is not implemented for window functions"),
            CallProblem::MisplacedSet => write!(f, "set-returning functions are not allowed in {name}"),
            CallProblem::NotGrouped => f.write_str(
                "arguments to GROUPING must be grouping expressions of the associated query level",
            ),
            CallProblem::MisplacedGrouping => write!(f, "grouping operations are not allowed in {name}"),
        }
    }
}

impl DefinitionProblem {
    fn hint(self, table: &str) -> Option<Hint<'_>> {
        match self {
            DefinitionProblem::NotStored => {
                Some(Hint::Text("only tables that CREATE TABLE has made can be changed or dropped"))
            }
            DefinitionProblem::CopyOfView => Some(Hint::Text("try the COPY (SELECT ...) TO variant")),
            DefinitionProblem::NoTable => Some(Hint::Text("use DROP VIEW to remove a view")),
            DefinitionProblem::TableIsRead | DefinitionProblem::ViewIsRead => Some(Hint::IsReadBy(table)),
            DefinitionProblem::NoIndexOfView => Some(Hint::Text("this operation is not supported for views")),
            _ => None,
        }
    }

    fn sqlstate(self) -> &'static str {
        match self {
            DefinitionProblem::TableExists | DefinitionProblem::KeyExists => "42P07",
            DefinitionProblem::CheckExists => "42710",
            DefinitionProblem::ColumnTwice | DefinitionProblem::KeyColumnTwice => "42701",
            DefinitionProblem::KeyColumnUndefined => "42703",
            DefinitionProblem::SeveralPrimaryKeys => "42P16",
            DefinitionProblem::ConflictingNulls
            | DefinitionProblem::SeveralDefaults
            | DefinitionProblem::AssignedTwice => "42601",
            DefinitionProblem::ColumnInDefault => "0A000",
            DefinitionProblem::TooManyColumns => "54011",
            DefinitionProblem::NotStored
            | DefinitionProblem::NoIndex
            | DefinitionProblem::NoTable
            | DefinitionProblem::NoView
            | DefinitionProblem::CopyOfView
            | DefinitionProblem::NoIndexOfView => "42809",
            DefinitionProblem::IndexOfConstraint
            | DefinitionProblem::TableIsRead
            | DefinitionProblem::ViewIsRead => "2BP01",
            DefinitionProblem::ViewColumnNames => "42601",
            DefinitionProblem::ViewColumnDropped
            | DefinitionProblem::ViewColumnRenamed
            | DefinitionProblem::ViewColumnType => "42P16",
            DefinitionProblem::ViewOfItself => "42P17",
        }
    }
}

impl CopyProblem {
    fn sqlstate(self) -> &'static str {
        match self {
            CopyProblem::Unknown | CopyProblem::Redundant | CopyProblem::Value => "42601",
            CopyProblem::Format | CopyProblem::LineEnd | CopyProblem::SameByte | CopyProblem::Delimiter => {
                "22023"
            }
            CopyProblem::OneByte | CopyProblem::CsvOnly | CopyProblem::InNull => "0A000",
        }
    }
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Error::OutOfMemory(_) => f.write_str("out of memory while planning"),
            Error::Name { problem, name, qualifier, .. } => write_name(f, problem, name, qualifier),
            Error::UndefinedFunction { name, arguments, .. } => {
                write!(f, "function {name}(")?;
                for (index, ty) in arguments.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, ty.name())?;
                }
                f.write_str(") does not exist")
            }
            Error::UndefinedOperator { operator, left, right, .. } => {
                f.write_str("operator does not exist: ")?;
                if let Some(left) = left {
                    write!(f, "{} ", left.name())?;
                }
                write!(f, "{operator} {}", right.name())
            }
            Error::WrongType { place, expected, found, .. } => {
                write!(f, "argument of {place} must be type {}, not type {}", expected.name(), found.name())
            }
            Error::TypesDiffer { construct, left, right, .. } => {
                write!(f, "{construct} types {} and {} cannot be matched", left.name(), right.name())
            }
            Error::Value { ref cause, .. } => fmt::Display::fmt(cause, f),
            Error::BadEscape { .. } => f.write_str("escape must be empty or one character"),
            Error::Ungrouped { name, table, .. } => {
                let dot = if table.is_empty() { "" } else { "." };
                write!(
                    f,
                    "column \"{table}{dot}{name}\" must appear in the GROUP BY clause or be used in an aggregate function"
                )
            }
            Error::MisplacedAggregate { place: AggregatePlace::Clause(clause), .. } => {
                write!(f, "aggregate functions are not allowed in {clause}")
            }
            Error::MisplacedAggregate { place: AggregatePlace::Aggregate, .. } => {
                f.write_str("aggregate function calls cannot be nested")
            }
            Error::Clause { problem, clause, given, .. } => write_clause(f, problem, clause, given),
            Error::Count { problem, name, expected, found, .. } => match problem {
                CountProblem::ColumnAliases => {
                    write!(
                        f,
                        "table \"{name}\" has {expected} columns available but {found} columns specified"
                    )
                }
                CountProblem::ValuesRows => {
                    write!(f, "VALUES lists must all be the same length: {found} values after {expected}")
                }
                CountProblem::InsertValues => f.write_str("INSERT has more expressions than target columns"),
                CountProblem::InsertColumns => f.write_str("INSERT has more target columns than expressions"),
                CountProblem::Assigned => f.write_str("number of columns does not match number of values"),
                CountProblem::Columns => write!(f, "a query has at most {expected} columns, not {found}"),
                CountProblem::SetOperation => {
                    write!(
                        f,
                        "each {name} query must have the same number of columns: {expected}, not {found}"
                    )
                }
                CountProblem::Subquery => write!(f, "subquery must return only one column, not {found}"),
                CountProblem::Row => {
                    write!(f, "{expected} values are compared with {found} columns or values")
                }
            },
            Error::StarWithoutTables { .. } => f.write_str("SELECT * with no tables specified is not valid"),
            Error::MisplacedDefault { .. } => f.write_str("DEFAULT is not allowed in this context"),
            Error::Source { message, .. } => f.write_str(message),
            Error::Definition { problem, name, table, .. } => write_definition(f, problem, name, table),
            Error::Assignment { column, expected, found, is_default, .. } => {
                let what = if is_default { "default expression" } else { "expression" };
                let (expected, found) = (expected.name(), found.name());
                write!(f, "column \"{column}\" is of type {expected} but {what} is of type {found}")
            }
            Error::CopyOption { problem, name, .. } => write_copy(f, problem, name),
            Error::ColumnType { name, .. } => write!(f, "a column of type {name} is not supported"),
            Error::TooDeep { limit, .. } => {
                write!(f, "queries in expressions and views nest at most {limit} deep")
            }
            Error::Call { problem, name, .. } => problem.write(f, name),
            Error::Parameter { problem, number, name, .. } => problem.write(f, number, name),
            Error::NoQuery { clause, .. } => write!(f, "cannot use subquery in {clause}"),
            Error::NotSupported { what, .. } => write!(f, "{what} is not supported"),
        }
    }
}

fn write_name(
    f: &mut fmt::Formatter<'_>,
    problem: NameProblem,
    name: &str,
    qualifier: Option<&str>,
) -> fmt::Result {
    match problem {
        NameProblem::UndefinedTable => write!(f, "relation \"{name}\" does not exist"),
        NameProblem::UndefinedColumn => match qualifier {
            Some(table) => write!(f, "column {table}.{name} does not exist"),
            None => write!(f, "column \"{name}\" does not exist"),
        },
        NameProblem::MissingFromEntry => write!(f, "missing FROM-clause entry for table \"{name}\""),
        NameProblem::AmbiguousColumn => write!(f, "column reference \"{name}\" is ambiguous"),
        NameProblem::DuplicateAlias => write!(f, "table name \"{name}\" specified more than once"),
        NameProblem::DuplicateColumn => write!(f, "column name \"{name}\" appears more than once"),
        NameProblem::UndefinedType => write!(f, "type \"{name}\" does not exist"),
        NameProblem::UndefinedField => write!(f, "unit \"{name}\" not recognized for type date"),
        NameProblem::NoSuchTable => write!(f, "table \"{name}\" does not exist"),
        NameProblem::NoSuchView => write!(f, "view \"{name}\" does not exist"),
        NameProblem::NoSuchIndex => write!(f, "index \"{name}\" does not exist"),
        NameProblem::NoSuchTarget => {
            write!(f, "column \"{name}\" of relation \"{}\" does not exist", qualifier.unwrap_or_default())
        }
        NameProblem::UndefinedOption => write!(f, "unrecognized EXPLAIN option \"{name}\""),
    }
}

fn write_clause(f: &mut fmt::Formatter<'_>, problem: ClauseProblem, clause: &str, given: i64) -> fmt::Result {
    match problem {
        ClauseProblem::NoSuchPosition => write!(f, "{clause} position {given} is not in select list"),
        ClauseProblem::NotAPosition => write!(f, "non-integer constant in {clause}"),
        ClauseProblem::Ambiguous => {
            write!(f, "a name in {clause} is ambiguous: several select items have it")
        }
        ClauseProblem::NotInSelectList => {
            write!(f, "for SELECT DISTINCT, {clause} expressions must appear in select list")
        }
        ClauseProblem::NotFirst => {
            write!(f, "SELECT {clause} expressions must match initial ORDER BY expressions")
        }
        ClauseProblem::Negative => write!(f, "{clause} must not be negative, and {given} is"),
        ClauseProblem::NotConstant => write!(f, "argument of {clause} must not contain variables"),
    }
}

fn write_definition(
    f: &mut fmt::Formatter<'_>,
    problem: DefinitionProblem,
    name: &str,
    table: &str,
) -> fmt::Result {
    match problem {
        DefinitionProblem::TableExists | DefinitionProblem::KeyExists => {
            write!(f, "relation \"{name}\" already exists")
        }
        DefinitionProblem::CheckExists => write!(f, "check constraint \"{name}\" already exists"),
        DefinitionProblem::ColumnTwice => write!(f, "column \"{name}\" specified more than once"),
        DefinitionProblem::AssignedTwice => write!(f, "multiple assignments to same column \"{name}\""),
        DefinitionProblem::KeyColumnUndefined => {
            write!(f, "column \"{name}\" named in key does not exist")
        }
        DefinitionProblem::KeyColumnTwice => write!(f, "column \"{name}\" appears twice in a key"),
        DefinitionProblem::SeveralPrimaryKeys => {
            write!(f, "multiple primary keys for table \"{table}\" are not allowed")
        }
        DefinitionProblem::ConflictingNulls => {
            write!(f, "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \"{table}\"")
        }
        DefinitionProblem::SeveralDefaults => {
            write!(f, "multiple default values specified for column \"{name}\" of table \"{table}\"")
        }
        DefinitionProblem::ColumnInDefault => {
            f.write_str("cannot use column reference in DEFAULT expression")
        }
        DefinitionProblem::TooManyColumns => {
            write!(f, "tables can have at most {} columns", crate::table::COLUMNS_MAX)
        }
        DefinitionProblem::NoIndex => write!(f, "\"{name}\" is not an index"),
        DefinitionProblem::IndexOfConstraint => {
            write!(f, "cannot drop index {name} because constraint {name} on table {table} requires it")
        }
        DefinitionProblem::NotStored => write!(f, "\"{name}\" is a file and not a stored table"),
        DefinitionProblem::NoTable => write!(f, "\"{name}\" is not a table"),
        DefinitionProblem::NoView => write!(f, "\"{name}\" is not a view"),
        DefinitionProblem::TableIsRead => {
            write!(f, "cannot drop table {name} because other objects depend on it")
        }
        DefinitionProblem::ViewIsRead => {
            write!(f, "cannot drop view {name} because other objects depend on it")
        }
        DefinitionProblem::NoIndexOfView => write!(f, "cannot create index on relation \"{name}\""),
        DefinitionProblem::ViewColumnNames => {
            f.write_str("CREATE VIEW specifies more column names than columns")
        }
        DefinitionProblem::ViewColumnDropped => f.write_str("cannot drop columns from view"),
        DefinitionProblem::ViewColumnRenamed => {
            write!(f, "cannot change name of view column \"{name}\" to \"{table}\"")
        }
        DefinitionProblem::ViewColumnType => {
            write!(f, "cannot change data type of view column \"{name}\" {table}")
        }
        DefinitionProblem::CopyOfView => write!(f, "cannot copy from view \"{name}\""),
        DefinitionProblem::ViewOfItself => {
            write!(f, "infinite recursion detected in rules for relation \"{name}\"")
        }
    }
}

fn write_copy(f: &mut fmt::Formatter<'_>, problem: CopyProblem, name: &str) -> fmt::Result {
    match problem {
        CopyProblem::Unknown => write!(f, "option \"{name}\" not recognized"),
        CopyProblem::Format => write!(f, "COPY format \"{name}\" not recognized"),
        CopyProblem::Redundant => f.write_str("conflicting or redundant options"),
        CopyProblem::Value => write!(f, "the value of the option \"{name}\" is none that it takes"),
        CopyProblem::OneByte => write!(f, "COPY {name} must be a single one-byte character"),
        CopyProblem::LineEnd => write!(f, "COPY {name} cannot use newline or carriage return"),
        CopyProblem::CsvOnly => write!(f, "COPY {name} available only in CSV mode"),
        CopyProblem::SameByte => f.write_str("COPY delimiter and quote must be different"),
        CopyProblem::InNull => write!(f, "COPY {name} must not appear in the NULL specification"),
        CopyProblem::Delimiter => write!(f, "COPY delimiter cannot be \"{name}\""),
    }
}

impl std::error::Error for Error<'_> {}

impl From<AllocError> for Error<'_> {
    fn from(error: AllocError) -> Self {
        Error::OutOfMemory(error)
    }
}

impl<'a> Error<'a> {
    /// What the catalog said about the source at `span`.
    pub(crate) fn from_catalog(error: CatalogError<'a>, span: Span) -> Error<'a> {
        match error {
            CatalogError::OutOfMemory(error) => Error::OutOfMemory(error),
            CatalogError::Source { sqlstate, message } => Error::Source { sqlstate, message, span },
        }
    }
}

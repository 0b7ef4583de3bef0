//! Signatures of aggregate and window functions: which ones there are, what they take, what they give. The executor
//! computes them.

use cofferdam_types::{Aggregate, Type};

use crate::resolve::{self, NotResolved};
use crate::signature::params::*;
use crate::signature::{Param, Returns, Signature, array_of, results, signature};

/// An aggregate function.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AggregateKind {
    /// Any value of the group that is not NULL.
    AnyValue,
    /// All values as an array.
    ArrayAgg,
    /// The mean.
    Avg,
    /// The bits that all values have.
    BitAnd,
    /// The bits that any value has.
    BitOr,
    /// The bits that an odd number of values have.
    BitXor,
    /// Whether all are true.
    BoolAnd,
    /// Whether any is true.
    BoolOr,
    /// The correlation coefficient.
    Corr,
    /// The number of rows, or of values that are not NULL.
    Count,
    /// The covariance of a population.
    CovarPop,
    /// The covariance of a sample.
    CovarSamp,
    /// `cume_dist(…) WITHIN GROUP`.
    CumeDist,
    /// `dense_rank(…) WITHIN GROUP`.
    DenseRank,
    /// All values as an array of `json`.
    JsonAgg,
    /// Keys and values as an object of `json`.
    JsonObjectAgg,
    /// All values as an array of `jsonb`.
    JsonbAgg,
    /// Keys and values as an object of `jsonb`.
    JsonbObjectAgg,
    /// The greatest value.
    Max,
    /// The least value.
    Min,
    /// The most frequent value: `mode() WITHIN GROUP`.
    Mode,
    /// `percent_rank(…) WITHIN GROUP`.
    PercentRank,
    /// A percentile, between two values where none is there.
    PercentileCont,
    /// A percentile among the values.
    PercentileDisc,
    /// `rank(…) WITHIN GROUP`.
    Rank,
    /// The mean of X.
    RegrAvgx,
    /// The mean of Y.
    RegrAvgy,
    /// The number of pairs.
    RegrCount,
    /// Where the fitted line cuts Y.
    RegrIntercept,
    /// The square of the correlation coefficient.
    RegrR2,
    /// The slope of the fitted line.
    RegrSlope,
    /// The sum of squares of X.
    RegrSxx,
    /// The sum of products.
    RegrSxy,
    /// The sum of squares of Y.
    RegrSyy,
    /// The standard deviation of a population.
    StddevPop,
    /// The standard deviation of a sample.
    StddevSamp,
    /// All texts behind one another.
    StringAgg,
    /// The sum.
    Sum,
    /// The variance of a population.
    VarPop,
    /// The variance of a sample.
    VarSamp,
}

/// A window function that is no aggregate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WindowKind {
    /// The share of rows up to this one's peers.
    CumeDist,
    /// The rank, peers counted once.
    DenseRank,
    /// The value of the frame's first row.
    FirstValue,
    /// The value of a row before.
    Lag,
    /// The value of the frame's last row.
    LastValue,
    /// The value of a row behind.
    Lead,
    /// The value of the frame's n-th row.
    NthValue,
    /// The number of the part, of so many, that the row is in.
    Ntile,
    /// The rank as a share.
    PercentRank,
    /// The rank, with gaps.
    Rank,
    /// The number of the row.
    RowNumber,
}

/// What an aggregate's arguments are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AggregateForm {
    /// The values of the rows.
    Plain,
    /// `f(direct) WITHIN GROUP (ORDER BY ordered)`: the signature has the direct arguments first.
    Ordered {
        /// How many of the arguments are direct.
        direct: u8,
    },
    /// `f(direct…) WITHIN GROUP (ORDER BY …)`: as many direct arguments as there are columns to order by.
    Hypothetical,
}

/// An entry of the table of aggregates.
#[derive(Clone, Copy, Debug)]
pub struct AggregateFunction {
    pub(crate) signature: Signature,
    pub(crate) kind: AggregateKind,
    pub(crate) form: AggregateForm,
}

/// An entry of the table of window functions.
#[derive(Clone, Copy, Debug)]
pub struct WindowFunction {
    pub(crate) signature: Signature,
    pub(crate) kind: WindowKind,
}

impl AggregateFunction {
    /// Name, parameters and result.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Which aggregate it is.
    pub const fn kind(&self) -> AggregateKind {
        self.kind
    }

    /// What its arguments are.
    pub const fn form(&self) -> AggregateForm {
        self.form
    }
}

impl WindowFunction {
    /// Name, parameters and result.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Which window function it is.
    pub const fn kind(&self) -> WindowKind {
        self.kind
    }
}

/// What a call of an aggregate or a window function means.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedOver<K> {
    /// Which function it is.
    pub kind: K,
    /// The type of the result.
    pub result: Type,
    signature: &'static Signature,
    bound: resolve::Bound,
}

impl<K> ResolvedOver<K> {
    /// The type that the argument of this index and type is to be cast to; the same where it needs no cast.
    pub fn argument(&self, index: usize, given: Type) -> Type {
        self.bound.argument(self.signature, index, given)
    }
}

/// Finds the aggregate that a call means. `count(*)` is a call without arguments; of an ordered-set aggregate, the
/// direct arguments come first and those of its ORDER BY behind them.
///
/// # Errors
/// As [`crate::resolve()`].
pub fn resolve_aggregate(name: &str, args: &[Type]) -> Result<ResolvedOver<AggregateKind>, NotResolved> {
    let numbered = AGGREGATES.iter().enumerate().filter(|(_, entry)| entry.signature.name == name);
    let numbered = numbered.map(|(number, entry)| (number as u16, &entry.signature));
    let get = |number: u16| &AGGREGATES[usize::from(number)].signature;
    let (number, bound) = resolve::select(numbered, get, args, false)?;
    let entry = &AGGREGATES[usize::from(number)];
    let result = aggregate_result(entry, bound.result(&entry.signature, args), args);
    Ok(ResolvedOver { kind: entry.kind, result, signature: &entry.signature, bound })
}

/// Finds the window function that a call means; aggregates are window functions too, but not found here.
///
/// # Errors
/// As [`crate::resolve()`].
pub fn resolve_window(name: &str, args: &[Type]) -> Result<ResolvedOver<WindowKind>, NotResolved> {
    let numbered = WINDOWS.iter().enumerate().filter(|(_, entry)| entry.signature.name == name);
    let numbered = numbered.map(|(number, entry)| (number as u16, &entry.signature));
    let get = |number: u16| &WINDOWS[usize::from(number)].signature;
    let (number, bound) = resolve::select(numbered, get, args, false)?;
    let entry = &WINDOWS[usize::from(number)];
    let result = bound.result(&entry.signature, args);
    Ok(ResolvedOver { kind: entry.kind, result, signature: &entry.signature, bound })
}

/// Sums and means have the scales of decimals that [`Type::aggregate`] says.
fn aggregate_result(entry: &AggregateFunction, result: Type, args: &[Type]) -> Type {
    let function = match entry.kind {
        AggregateKind::Sum => Aggregate::Sum,
        AggregateKind::Avg => Aggregate::Avg,
        _ => return result,
    };
    args.first().and_then(|given| Type::aggregate(function, *given).ok()).unwrap_or(result)
}

/// All aggregates.
pub fn aggregates() -> impl Iterator<Item = &'static AggregateFunction> {
    AGGREGATES.iter()
}

/// All window functions that are no aggregates.
pub fn windows() -> impl Iterator<Item = &'static WindowFunction> {
    WINDOWS.iter()
}

const fn plain(
    name: &'static str,
    params: &'static [Param],
    result: Returns,
    kind: AggregateKind,
    about: &'static str,
) -> AggregateFunction {
    let signature = signature(name, params, result, about);
    AggregateFunction { signature, kind, form: AggregateForm::Plain }
}

const fn ordered(
    name: &'static str,
    params: &'static [Param],
    result: Returns,
    kind: AggregateKind,
    about: &'static str,
) -> AggregateFunction {
    let direct = params.len() as u8 - 1;
    let signature = signature(name, params, result, about);
    AggregateFunction { signature, kind, form: AggregateForm::Ordered { direct } }
}

const fn hypothetical(
    name: &'static str,
    result: Returns,
    kind: AggregateKind,
    about: &'static str,
) -> AggregateFunction {
    let signature = signature(name, &[ANY], result, about).variadic();
    AggregateFunction { signature, kind, form: AggregateForm::Hypothetical }
}

const fn window(
    name: &'static str,
    params: &'static [Param],
    result: Returns,
    kind: WindowKind,
    about: &'static str,
) -> WindowFunction {
    WindowFunction { signature: signature(name, params, result, about), kind }
}

const INTERVALS: Returns = Returns::Is(array_of(Type::Interval));

static AGGREGATES: [AggregateFunction; 123] = [
    plain(
        "any_value",
        &[ANYELEMENT],
        results::ANYELEMENT,
        AggregateKind::AnyValue,
        "a value of the group that is not NULL",
    ),
    plain(
        "array_agg",
        &[ANYNONARRAY],
        results::ANYARRAY,
        AggregateKind::ArrayAgg,
        "all values, NULL too, as an array",
    ),
    plain("avg", &[INT2], results::NUMERIC, AggregateKind::Avg, "the mean"),
    plain("avg", &[INT4], results::NUMERIC, AggregateKind::Avg, "the mean"),
    plain("avg", &[INT8], results::NUMERIC, AggregateKind::Avg, "the mean"),
    plain("avg", &[NUMERIC], results::NUMERIC, AggregateKind::Avg, "the mean"),
    plain("avg", &[FLOAT4], results::FLOAT8, AggregateKind::Avg, "the mean"),
    plain("avg", &[FLOAT8], results::FLOAT8, AggregateKind::Avg, "the mean"),
    plain("avg", &[INTERVAL], results::INTERVAL, AggregateKind::Avg, "the mean"),
    plain("bit_and", &[INT2], results::INT2, AggregateKind::BitAnd, "the bits that all values have"),
    plain("bit_and", &[INT4], results::INT4, AggregateKind::BitAnd, "the bits that all values have"),
    plain("bit_and", &[INT8], results::INT8, AggregateKind::BitAnd, "the bits that all values have"),
    plain("bit_or", &[INT2], results::INT2, AggregateKind::BitOr, "the bits that any value has"),
    plain("bit_or", &[INT4], results::INT4, AggregateKind::BitOr, "the bits that any value has"),
    plain("bit_or", &[INT8], results::INT8, AggregateKind::BitOr, "the bits that any value has"),
    plain(
        "bit_xor",
        &[INT2],
        results::INT2,
        AggregateKind::BitXor,
        "the bits that an odd number of values have",
    ),
    plain(
        "bit_xor",
        &[INT4],
        results::INT4,
        AggregateKind::BitXor,
        "the bits that an odd number of values have",
    ),
    plain(
        "bit_xor",
        &[INT8],
        results::INT8,
        AggregateKind::BitXor,
        "the bits that an odd number of values have",
    ),
    plain("bool_and", &[BOOL], results::BOOL, AggregateKind::BoolAnd, "whether all are true"),
    plain("bool_or", &[BOOL], results::BOOL, AggregateKind::BoolOr, "whether any is true"),
    plain("every", &[BOOL], results::BOOL, AggregateKind::BoolAnd, "whether all are true"),
    plain("corr", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::Corr, "correlation coefficient"),
    plain(
        "covar_pop",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::CovarPop,
        "covariance of a population",
    ),
    plain(
        "covar_samp",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::CovarSamp,
        "covariance of a sample",
    ),
    plain("count", &[], results::INT8, AggregateKind::Count, "the number of rows"),
    plain("count", &[ANY], results::INT8, AggregateKind::Count, "the number of values that are not NULL"),
    hypothetical(
        "cume_dist",
        results::FLOAT8,
        AggregateKind::CumeDist,
        "what the window function would give for a row of these values",
    ),
    hypothetical(
        "percent_rank",
        results::FLOAT8,
        AggregateKind::PercentRank,
        "what the window function would give for a row of these values",
    ),
    hypothetical(
        "dense_rank",
        results::INT8,
        AggregateKind::DenseRank,
        "what the window function would give for a row of these values",
    ),
    hypothetical(
        "rank",
        results::INT8,
        AggregateKind::Rank,
        "what the window function would give for a row of these values",
    ),
    plain(
        "json_agg",
        &[ANYELEMENT],
        results::JSON,
        AggregateKind::JsonAgg,
        "all values, NULL too, as a JSON array",
    ),
    plain(
        "json_object_agg",
        &[ANY, ANY],
        results::JSON,
        AggregateKind::JsonObjectAgg,
        "keys and values as a JSON object",
    ),
    plain(
        "jsonb_agg",
        &[ANYELEMENT],
        results::JSONB,
        AggregateKind::JsonbAgg,
        "all values, NULL too, as a JSON array",
    ),
    plain(
        "jsonb_object_agg",
        &[ANY, ANY],
        results::JSONB,
        AggregateKind::JsonbObjectAgg,
        "keys and values as a JSON object",
    ),
    plain("max", &[INT2], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[INT4], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[INT8], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[FLOAT4], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[FLOAT8], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[TEXT], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[CHAR], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[DATE], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[TIME], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[TIMESTAMP], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[TIMESTAMPTZ], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[INTERVAL], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[ANYARRAY], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("max", &[NUMERIC], results::FIRST, AggregateKind::Max, "the greatest value"),
    plain("min", &[INT2], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[INT4], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[INT8], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[FLOAT4], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[FLOAT8], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[TEXT], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[CHAR], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[DATE], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[TIME], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[TIMESTAMP], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[TIMESTAMPTZ], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[INTERVAL], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[ANYARRAY], results::FIRST, AggregateKind::Min, "the least value"),
    plain("min", &[NUMERIC], results::FIRST, AggregateKind::Min, "the least value"),
    ordered("mode", &[ANYELEMENT], results::ANYELEMENT, AggregateKind::Mode, "the most frequent value"),
    ordered(
        "percentile_cont",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::PercentileCont,
        "percentile, between two values where none is there",
    ),
    ordered(
        "percentile_cont",
        &[FLOAT8, INTERVAL],
        results::INTERVAL,
        AggregateKind::PercentileCont,
        "percentile, between two values where none is there",
    ),
    ordered(
        "percentile_cont",
        &[FLOAT8S, FLOAT8],
        results::FLOAT8S,
        AggregateKind::PercentileCont,
        "percentile, between two values where none is there",
    ),
    ordered(
        "percentile_cont",
        &[FLOAT8S, INTERVAL],
        INTERVALS,
        AggregateKind::PercentileCont,
        "percentile, between two values where none is there",
    ),
    ordered(
        "percentile_disc",
        &[FLOAT8, ANYELEMENT],
        results::ANYELEMENT,
        AggregateKind::PercentileDisc,
        "percentile among the values",
    ),
    ordered(
        "percentile_disc",
        &[FLOAT8S, ANYELEMENT],
        results::ANYARRAY,
        AggregateKind::PercentileDisc,
        "percentile among the values",
    ),
    plain("regr_avgx", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::RegrAvgx, "mean of X"),
    plain("regr_avgy", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::RegrAvgy, "mean of Y"),
    plain(
        "regr_intercept",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::RegrIntercept,
        "where the fitted line cuts Y",
    ),
    plain(
        "regr_r2",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::RegrR2,
        "square of the correlation coefficient",
    ),
    plain(
        "regr_slope",
        &[FLOAT8, FLOAT8],
        results::FLOAT8,
        AggregateKind::RegrSlope,
        "slope of the fitted line",
    ),
    plain("regr_sxx", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::RegrSxx, "sum of squares of X"),
    plain("regr_sxy", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::RegrSxy, "sum of products"),
    plain("regr_syy", &[FLOAT8, FLOAT8], results::FLOAT8, AggregateKind::RegrSyy, "sum of squares of Y"),
    plain(
        "regr_count",
        &[FLOAT8, FLOAT8],
        results::INT8,
        AggregateKind::RegrCount,
        "number of pairs without NULL",
    ),
    plain("stddev", &[INT2], results::NUMERIC, AggregateKind::StddevSamp, "standard deviation of a sample"),
    plain("stddev", &[INT4], results::NUMERIC, AggregateKind::StddevSamp, "standard deviation of a sample"),
    plain("stddev", &[INT8], results::NUMERIC, AggregateKind::StddevSamp, "standard deviation of a sample"),
    plain(
        "stddev",
        &[NUMERIC],
        results::NUMERIC,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain("stddev", &[FLOAT4], results::FLOAT8, AggregateKind::StddevSamp, "standard deviation of a sample"),
    plain("stddev", &[FLOAT8], results::FLOAT8, AggregateKind::StddevSamp, "standard deviation of a sample"),
    plain(
        "stddev_pop",
        &[INT2],
        results::NUMERIC,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_pop",
        &[INT4],
        results::NUMERIC,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_pop",
        &[INT8],
        results::NUMERIC,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_pop",
        &[NUMERIC],
        results::NUMERIC,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_pop",
        &[FLOAT4],
        results::FLOAT8,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_pop",
        &[FLOAT8],
        results::FLOAT8,
        AggregateKind::StddevPop,
        "standard deviation of a population",
    ),
    plain(
        "stddev_samp",
        &[INT2],
        results::NUMERIC,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain(
        "stddev_samp",
        &[INT4],
        results::NUMERIC,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain(
        "stddev_samp",
        &[INT8],
        results::NUMERIC,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain(
        "stddev_samp",
        &[NUMERIC],
        results::NUMERIC,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain(
        "stddev_samp",
        &[FLOAT4],
        results::FLOAT8,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain(
        "stddev_samp",
        &[FLOAT8],
        results::FLOAT8,
        AggregateKind::StddevSamp,
        "standard deviation of a sample",
    ),
    plain("var_pop", &[INT2], results::NUMERIC, AggregateKind::VarPop, "variance of a population"),
    plain("var_pop", &[INT4], results::NUMERIC, AggregateKind::VarPop, "variance of a population"),
    plain("var_pop", &[INT8], results::NUMERIC, AggregateKind::VarPop, "variance of a population"),
    plain("var_pop", &[NUMERIC], results::NUMERIC, AggregateKind::VarPop, "variance of a population"),
    plain("var_pop", &[FLOAT4], results::FLOAT8, AggregateKind::VarPop, "variance of a population"),
    plain("var_pop", &[FLOAT8], results::FLOAT8, AggregateKind::VarPop, "variance of a population"),
    plain("var_samp", &[INT2], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("var_samp", &[INT4], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("var_samp", &[INT8], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("var_samp", &[NUMERIC], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("var_samp", &[FLOAT4], results::FLOAT8, AggregateKind::VarSamp, "variance of a sample"),
    plain("var_samp", &[FLOAT8], results::FLOAT8, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[INT2], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[INT4], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[INT8], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[NUMERIC], results::NUMERIC, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[FLOAT4], results::FLOAT8, AggregateKind::VarSamp, "variance of a sample"),
    plain("variance", &[FLOAT8], results::FLOAT8, AggregateKind::VarSamp, "variance of a sample"),
    plain(
        "string_agg",
        &[TEXT, TEXT],
        results::TEXT,
        AggregateKind::StringAgg,
        "all texts but NULL, with a separator before each but the first",
    ),
    plain(
        "string_agg",
        &[BYTEA, BYTEA],
        results::BYTEA,
        AggregateKind::StringAgg,
        "all byte strings but NULL, with a separator before each but the first",
    ),
    plain("sum", &[INT2], results::INT8, AggregateKind::Sum, "the sum"),
    plain("sum", &[INT4], results::INT8, AggregateKind::Sum, "the sum"),
    plain("sum", &[INT8], results::NUMERIC, AggregateKind::Sum, "the sum"),
    plain("sum", &[NUMERIC], results::NUMERIC, AggregateKind::Sum, "the sum"),
    plain("sum", &[FLOAT4], results::FLOAT4, AggregateKind::Sum, "the sum"),
    plain("sum", &[FLOAT8], results::FLOAT8, AggregateKind::Sum, "the sum"),
    plain("sum", &[INTERVAL], results::INTERVAL, AggregateKind::Sum, "the sum"),
];

static WINDOWS: [WindowFunction; 15] = [
    window("cume_dist", &[], results::FLOAT8, WindowKind::CumeDist, "share of rows up to the last peer"),
    window("dense_rank", &[], results::INT8, WindowKind::DenseRank, "rank, peers counted once"),
    window(
        "first_value",
        &[ANYELEMENT],
        results::ANYELEMENT,
        WindowKind::FirstValue,
        "value of the first row of the frame",
    ),
    window("lag", &[ANYELEMENT], results::ANYELEMENT, WindowKind::Lag, "value of the row before"),
    window("lag", &[ANYELEMENT, INT4], results::ANYELEMENT, WindowKind::Lag, "value of a row so many before"),
    window(
        "lag",
        &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE],
        results::ANYCOMPATIBLE,
        WindowKind::Lag,
        "value of a row so many before, or another value where there is none",
    ),
    window(
        "last_value",
        &[ANYELEMENT],
        results::ANYELEMENT,
        WindowKind::LastValue,
        "value of the last row of the frame",
    ),
    window("lead", &[ANYELEMENT], results::ANYELEMENT, WindowKind::Lead, "value of the row behind"),
    window(
        "lead",
        &[ANYELEMENT, INT4],
        results::ANYELEMENT,
        WindowKind::Lead,
        "value of a row so many behind",
    ),
    window(
        "lead",
        &[ANYCOMPATIBLE, INT4, ANYCOMPATIBLE],
        results::ANYCOMPATIBLE,
        WindowKind::Lead,
        "value of a row so many behind, or another value where there is none",
    ),
    window(
        "nth_value",
        &[ANYELEMENT, INT4],
        results::ANYELEMENT,
        WindowKind::NthValue,
        "value of the n-th row of the frame",
    ),
    window(
        "ntile",
        &[INT4],
        results::INT4,
        WindowKind::Ntile,
        "number of the part, of so many of equal size, that the row is in",
    ),
    window(
        "percent_rank",
        &[],
        results::FLOAT8,
        WindowKind::PercentRank,
        "rank as a share of the other rows",
    ),
    window("rank", &[], results::INT8, WindowKind::Rank, "number of the first peer"),
    window("row_number", &[], results::INT8, WindowKind::RowNumber, "number of the row"),
];

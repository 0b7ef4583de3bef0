//! Operators, functions and aggregates, one line each; and the forms of statements, each with a probe.
//!
//! A template has `{}` for each argument, and `{=}` for the last one once more. Where [`Takes::Any`] stands in place of a type, one type is chosen for all of them, and
//! [`Gives::Same`] is that type.

use crate::types::Ty::{self, *};

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// This type.
    Type(Ty),
    /// The type that was chosen for [`Takes::Any`].
    Same,
}

/// What a function takes at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// This type.
    Type(Ty),
    /// A type that is the same at all such places.
    Any,
}

/// An operator or function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The text, with `{}` for arguments.
    pub template: &'static str,
    /// The arguments.
    pub takes: &'static [Takes],
    /// The result.
    pub gives: Gives,
    /// Whether SQLite gives the same.
    pub is_in_sqlite: bool,
}

const ANY: Takes = Takes::Any;

macro_rules! t {
    (ANY) => {
        ANY
    };
    ($ty:ident) => {
        Takes::Type($ty)
    };
}
macro_rules! g {
    (Same) => {
        Gives::Same
    };
    ($ty:ident) => {
        Gives::Type($ty)
    };
}
macro_rules! table {
    ($($template:literal ($($take:ident),*) -> $give:ident $mark:literal;)*) => {
        &[$(Function { template: $template, takes: &[$(t!($take)),*], gives: g!($give), is_in_sqlite: !$mark.is_empty() }),*]
    };
}

/// Operators and functions of a row. An `s` marks those that SQLite has with the same meaning.
pub static FUNCTIONS: &[Function] = table! {
    "({} = {})" (ANY, ANY) -> Bool "s";
    "({} <> {})" (ANY, ANY) -> Bool "s";
    "({} < {})" (ANY, ANY) -> Bool "s";
    "({} <= {})" (ANY, ANY) -> Bool "s";
    "({} > {})" (ANY, ANY) -> Bool "s";
    "({} >= {})" (ANY, ANY) -> Bool "s";
    "({} IS DISTINCT FROM {})" (ANY, ANY) -> Bool "s";
    "({} IS NOT DISTINCT FROM {})" (ANY, ANY) -> Bool "s";
    "({} IS NULL)" (ANY) -> Bool "s";
    "({} IS NOT NULL)" (ANY) -> Bool "s";
    "({} BETWEEN {} AND {})" (ANY, ANY, ANY) -> Bool "s";
    "({} NOT BETWEEN {} AND {})" (ANY, ANY, ANY) -> Bool "s";
    "({} BETWEEN SYMMETRIC {} AND {})" (ANY, ANY, ANY) -> Bool "";
    "({} IN ({}, {}))" (ANY, ANY, ANY) -> Bool "s";
    "({} NOT IN ({}, {}))" (ANY, ANY, ANY) -> Bool "s";
    "(({}, {}) = ({}, {}))" (ANY, Int, ANY, Int) -> Bool "s";
    "(({}, {}) < ({}, {}))" (ANY, Int, ANY, Int) -> Bool "s";
    "({} = ANY (ARRAY[{}, {}]))" (ANY, ANY, ANY) -> Bool "";
    "(NOT {})" (Bool) -> Bool "s";
    "({} AND {})" (Bool, Bool) -> Bool "s";
    "({} OR {})" (Bool, Bool) -> Bool "s";
    "({} IS TRUE)" (Bool) -> Bool "s";
    "({} IS NOT FALSE)" (Bool) -> Bool "s";
    "({} IS UNKNOWN)" (Bool) -> Bool "";
    "CASE WHEN {} THEN {} ELSE {} END" (Bool, ANY, ANY) -> Same "s";
    "CASE WHEN {} THEN {} WHEN {} THEN {} END" (Bool, ANY, Bool, ANY) -> Same "s";
    "CASE {} WHEN {} THEN {} ELSE {} END" (Int, Int, ANY, ANY) -> Same "s";
    "coalesce({}, {})" (ANY, ANY) -> Same "s";
    "nullif({}, {})" (ANY, ANY) -> Same "s";
    "greatest({}, {})" (ANY, ANY) -> Same "";
    "least({}, {})" (ANY, ANY) -> Same "";
    "({} + {})" (Int, Int) -> Int "s";
    "({} - {})" (Int, Int) -> Int "s";
    "({} * {})" (Int, Int) -> Int "s";
    "({} / nullif({}, 0))" (Int, Int) -> Int "s";
    "({} % nullif({}, 0))" (Int, Int) -> Int "s";
    "(- {})" (Int) -> Int "s";
    "abs({})" (Int) -> Int "s";
    "sign({})" (Num) -> Num "";
    "({} & {})" (Int, Int) -> Int "s";
    "({} | {})" (Int, Int) -> Int "s";
    "({} # {})" (Int, Int) -> Int "";
    "(~ {})" (Int) -> Int "s";
    "mod({}, nullif({}, 0))" (Int, Int) -> Int "";
    "length({})" (Text) -> Int "s";
    "char_length({})" (Text) -> Int "";
    "octet_length({})" (Text) -> Int "";
    "position({} IN {})" (Text, Text) -> Int "";
    "strpos({}, {})" (Text, Text) -> Int "";
    "ascii({})" (Text) -> Int "";
    "gcd({}, {})" (Int, Int) -> Int "";
    "({} + {})" (Small, Small) -> Small "";
    "({} * {})" (Small, Int) -> Int "";
    "({} + {})" (Big, Int) -> Big "";
    "({} - {})" (Big, Big) -> Big "";
    "({} * {})" (Int, Big) -> Big "";
    "({} / nullif({}, 0))" (Big, Int) -> Big "";
    "({} % nullif({}, 0))" (Big, Big) -> Big "";
    "abs({})" (Big) -> Big "";
    "({} + {})" (Num, Num) -> Num "";
    "({} - {})" (Num, Int) -> Num "";
    "({} * {})" (Num, Num) -> Num "";
    "({} / nullif({}, 0))" (Num, Num) -> Num "";
    "({} % nullif({}, 0))" (Num, Num) -> Num "";
    "(- {})" (Num) -> Num "";
    "abs({})" (Num) -> Num "";
    "round({})" (Num) -> Num "";
    "round({}, 1)" (Num) -> Num "";
    "trunc({})" (Num) -> Num "";
    "trunc({}, 1)" (Num) -> Num "";
    "ceil({})" (Num) -> Num "";
    "floor({})" (Num) -> Num "";
    "power({}, 2)" (Num) -> Num "";
    "sqrt(abs({}))" (Num) -> Num "";
    "({} + {})" (Double, Double) -> Double "s";
    "({} - {})" (Double, Int) -> Double "s";
    "({} * {})" (Double, Double) -> Double "s";
    "({} / nullif({}, 0))" (Double, Double) -> Double "s";
    "(- {})" (Double) -> Double "s";
    "abs({})" (Double) -> Double "s";
    "round({})" (Double) -> Double "";
    "floor({})" (Double) -> Double "";
    "ceil({})" (Double) -> Double "";
    "trunc({})" (Double) -> Double "";
    "sqrt(abs({}))" (Double) -> Double "";
    "exp(least({}, 10))" (Double) -> Double "";
    "ln(abs({}) + 1)" (Double) -> Double "";
    "sin({})" (Double) -> Double "";
    "atan2({}, {})" (Double, Double) -> Double "";
    "({} + {})" (Real, Real) -> Real "";
    "({} * {})" (Real, Double) -> Double "";
    "({} || {})" (Text, Text) -> Text "s";
    "({} || {})" (Text, Int) -> Text "";
    "upper({})" (Text) -> Text "";
    "lower({})" (Text) -> Text "";
    "initcap({})" (Text) -> Text "";
    "trim({})" (Text) -> Text "s";
    "ltrim({}, 'a')" (Text) -> Text "s";
    "rtrim({}, 'c')" (Text) -> Text "s";
    "trim(BOTH 'a' FROM {})" (Text) -> Text "";
    "btrim({}, ' a')" (Text) -> Text "";
    "replace({}, 'a', {})" (Text, Text) -> Text "";
    "substring({} FROM 2)" (Text) -> Text "";
    "substring({} FROM 1 FOR 2)" (Text) -> Text "";
    "substr({}, {})" (Text, Int) -> Text "";
    "left({}, {})" (Text, Int) -> Text "";
    "right({}, {})" (Text, Int) -> Text "";
    "reverse({})" (Text) -> Text "";
    "repeat({}, 2)" (Text) -> Text "";
    "lpad({}, 5, '*')" (Text) -> Text "";
    "rpad({}, 5, 'xy')" (Text) -> Text "";
    "concat({}, {}, {})" (Text, Int, Bool) -> Text "";
    "concat_ws(',', {}, {})" (Text, Text) -> Text "";
    "split_part({}, 'a', 1)" (Text) -> Text "";
    "translate({}, 'abc', 'xy')" (Text) -> Text "";
    "chr(65 + abs({} % 26))" (Int) -> Text "";
    "md5({})" (Text) -> Text "";
    "quote_literal({})" (Text) -> Text "";
    "regexp_replace({}, '[ab]+', '-')" (Text) -> Text "";
    "overlay({} PLACING 'x' FROM 2 FOR 1)" (Text) -> Text "";
    "starts_with({}, {})" (Text, Text) -> Bool "";
    "({} LIKE {})" (Text, Text) -> Bool "s";
    "({} NOT LIKE 'a%')" (Text) -> Bool "s";
    "({} LIKE '%b_')" (Text) -> Bool "s";
    "({} ILIKE {})" (Text, Text) -> Bool "";
    "({} LIKE 'a!%%' ESCAPE '!')" (Text) -> Bool "s";
    "({} ~ '^a.*c$')" (Text) -> Bool "";
    "({} ~* 'B')" (Text) -> Bool "";
    "({} SIMILAR TO '(a|b)%')" (Text) -> Bool "";
    "({} + {})" (Date, Int) -> Date "";
    "({} - {})" (Date, Int) -> Date "";
    "({} - {})" (Date, Date) -> Int "";
    "({} + {})" (Date, Interval) -> Stamp "";
    "({} - {})" (Date, Interval) -> Stamp "";
    "({} + {})" (Date, Time) -> Stamp "";
    "({} + {})" (Stamp, Interval) -> Stamp "";
    "({} - {})" (Stamp, Interval) -> Stamp "";
    "({} - {})" (Stamp, Stamp) -> Interval "";
    "({} + {})" (Time, Interval) -> Time "";
    "({} + {})" (Interval, Interval) -> Interval "";
    "({} - {})" (Interval, Interval) -> Interval "";
    "({} * 2)" (Interval) -> Interval "";
    "(- {})" (Interval) -> Interval "";
    "age({}, {})" (Stamp, Stamp) -> Interval "";
    "justify_days({})" (Interval) -> Interval "";
    "extract(year FROM {})" (Date) -> Num "";
    "extract(month FROM {})" (Date) -> Num "";
    "extract(dow FROM {})" (Date) -> Num "";
    "extract(doy FROM {})" (Date) -> Num "";
    "extract(week FROM {})" (Date) -> Num "";
    "extract(quarter FROM {})" (Date) -> Num "";
    "extract(hour FROM {})" (Stamp) -> Num "";
    "extract(second FROM {})" (Stamp) -> Num "";
    "extract(epoch FROM {})" (Stamp) -> Num "";
    "extract(day FROM {})" (Interval) -> Num "";
    "date_part('day', {})" (Date) -> Double "";
    "date_trunc('month', {})" (Stamp) -> Stamp "";
    "date_trunc('week', {})" (Stamp) -> Stamp "";
    "make_date(2000 + abs({} % 30), 2, 28)" (Int) -> Date "";
    "to_char({}, 'YYYY-MM-DD')" (Date) -> Text "";
    "CAST({} AS text)" (ANY) -> Text "";
    "CAST({} AS integer)" (Bool) -> Int "";
    "CAST({} AS boolean)" (Int) -> Bool "";
    "CAST({} AS bigint)" (Int) -> Big "";
    "CAST({} AS integer)" (Small) -> Int "";
    "CAST({} % 1000 AS integer)" (Big) -> Int "";
    "CAST({} AS integer)" (Num) -> Int "";
    "CAST({} AS numeric(12,3))" (Int) -> Num "";
    "CAST({} AS double precision)" (Int) -> Double "s";
    "CAST({} AS double precision)" (Num) -> Double "";
    "CAST({} AS numeric(12,3))" (Double) -> Num "";
    "CAST({} AS date)" (Stamp) -> Date "";
    "CAST({} AS timestamp)" (Date) -> Stamp "";
    "CAST({} AS time)" (Stamp) -> Time "";
    "CAST({} AS varchar(2))" (Text) -> Text "";
    "encode({}, 'hex')" (Bytes) -> Text "";
    "length({})" (Bytes) -> Int "";
    "({} || {})" (Bytes, Bytes) -> Bytes "";
    "CAST(CAST({} AS text) AS integer)" (Int) -> Int "";
    "CAST(CAST({} AS text) AS numeric(12,3))" (Num) -> Num "";
    "CAST(CAST({} AS text) AS double precision)" (Double) -> Double "";
    "CAST(CAST({} AS text) AS real)" (Real) -> Real "";
    "CAST(CAST({} AS text) AS date)" (Date) -> Date "";
    "CAST(CAST({} AS text) AS timestamp)" (Stamp) -> Stamp "";
    "CAST(CAST({} AS text) AS timestamptz)" (StampTz) -> StampTz "";
    "CAST(CAST({} AS text) AS time)" (Time) -> Time "";
    "CAST(CAST({} AS text) AS interval)" (Interval) -> Interval "";
    "CAST(CAST({} AS text) AS uuid)" (Uuid) -> Uuid "";
    "CAST(CAST({} AS text) AS boolean)" (Bool) -> Bool "";
    "CAST(CAST({} AS text) AS integer[])" (Ints) -> Ints "";
    "CAST(CAST({} AS text) AS text[])" (Texts) -> Texts "";
    "CAST({} % 100 AS smallint)" (Int) -> Small "";
    "CAST({} AS bigint)" (Num) -> Big "";
    "CAST({} AS real)" (Int) -> Real "";
    "CAST({} AS real)" (Num) -> Real "";
    "CAST({} AS double precision)" (Real) -> Double "";
    "CAST(least(greatest({}, -1e6), 1e6) AS integer)" (Double) -> Int "";
    "CAST(least(greatest({}, -1e6), 1e6) AS bigint)" (Double) -> Big "";
    "CAST({} AS time)" (Interval) -> Time "";
    "CAST({} AS interval)" (Time) -> Interval "";
    "CAST({} AS timestamptz)" (Stamp) -> StampTz "";
    "CAST({} AS timestamp)" (StampTz) -> Stamp "";
    "CAST({} AS date)" (StampTz) -> Date "";
    "CAST({} AS character(4))" (Text) -> Char "";
    "CAST({} AS text)" (Char) -> Text "";
    "CAST({} AS varchar(3))" (Char) -> Text "";
    "({} || {})" (Char, Text) -> Text "";
    "length({})" (Char) -> Int "";
    "upper({})" (Char) -> Text "";
    "({} LIKE 'a%')" (Char) -> Bool "";
    "CAST({} AS text[])" (Ints) -> Texts "";
    "({} * {})" (Interval, Double) -> Interval "";
    "({} / 2)" (Interval) -> Interval "";
    "({} * {})" (Int, Interval) -> Interval "";
    "justify_hours({})" (Interval) -> Interval "";
    "justify_interval({})" (Interval) -> Interval "";
    "date_trunc('month', {})" (Interval) -> Interval "";
    "make_interval(days => {})" (Int) -> Interval "";
    "extract(epoch FROM {})" (Interval) -> Num "";
    "extract(month FROM {})" (Interval) -> Num "";
    "extract(year FROM {})" (Stamp) -> Num "";
    "extract(isodow FROM {})" (Stamp) -> Num "";
    "extract(isoyear FROM {})" (Date) -> Num "";
    "extract(epoch FROM {})" (StampTz) -> Num "";
    "extract(minute FROM {})" (Time) -> Num "";
    "({} + {})" (StampTz, Interval) -> StampTz "";
    "({} - {})" (StampTz, StampTz) -> Interval "";
    "({} - {})" (Time, Time) -> Interval "";
    "age({}, {})" (Date, Date) -> Interval "";
    "date_trunc('year', {})" (StampTz) -> StampTz "";
    "date_trunc('quarter', {})" (Stamp) -> Stamp "";
    "date_bin('15 minutes', {}, TIMESTAMP '2001-01-01')" (Stamp) -> Stamp "";
    "({} AT TIME ZONE 'UTC')" (Stamp) -> StampTz "";
    "to_char({}, 'FMDD Mon YYYY HH24:MI:SS.MS Q IW')" (Stamp) -> Text "";
    "to_char({}, 'FM999,990.00')" (Num) -> Text "";
    "to_char({}, 'S00099')" (Int) -> Text "";
    "to_date(to_char({}, 'YYYYMMDD'), 'YYYYMMDD')" (Date) -> Date "";
    "(({}, {}) OVERLAPS ({}, {}))" (Date, Date, Date, Date) -> Bool "";
    "array_length({}, 1)" (Ints) -> Int "";
    "cardinality({})" (Texts) -> Int "";
    "array_append({}, {})" (Ints, Int) -> Ints "";
    "array_prepend({}, {})" (Text, Texts) -> Texts "";
    "({} || {})" (Ints, Ints) -> Ints "";
    "({} || {})" (Texts, Text) -> Texts "";
    "array_remove({}, {})" (Ints, Int) -> Ints "";
    "array_replace({}, {}, {})" (Texts, Text, Text) -> Texts "";
    "array_position({}, {})" (Ints, Int) -> Int "";
    "array_positions({}, {})" (Texts, Text) -> Ints "";
    "array_to_string({}, ',', '*')" (Texts) -> Text "";
    "array_to_string({}, '-')" (Ints) -> Text "";
    "string_to_array({}, ' ')" (Text) -> Texts "";
    "string_to_array({}, 'a', '')" (Text) -> Texts "";
    "({})[1]" (Ints) -> Int "";
    "({})[{}]" (Texts, Int) -> Text "";
    "({})[1:2]" (Ints) -> Ints "";
    "({})[2:]" (Texts) -> Texts "";
    "({} @> {})" (Ints, Ints) -> Bool "";
    "({} <@ {})" (Texts, Texts) -> Bool "";
    "({} && {})" (Ints, Ints) -> Bool "";
    "({} = ANY (CAST({} AS integer[])))" (Int, Ints) -> Bool "";
    "({} <> ALL (CAST({} AS text[])))" (Text, Texts) -> Bool "";
    "({} < ANY (CAST({} AS date[])))" (Date, Dates) -> Bool "";
    "ARRAY[{}, {}]" (Int, Int) -> Ints "";
    "ARRAY[{}, {}, {}]" (Text, Text, Text) -> Texts "";
    "ARRAY[{}, {}]" (Date, Date) -> Dates "";
    "trim_array({}, least(cardinality({}), 1))" (Ints, Ints) -> Ints "";
    "array_fill({}, ARRAY[2])" (Int) -> Ints "";
    "array_upper({}, 1)" (Dates) -> Int "";
    "array_ndims({})" (Ints) -> Int "";
    "format('%s-%I-%L', {}, {}, {})" (Text, Text, Text) -> Text "";
    "format('%5s|%-4s', {}, {})" (Int, Text) -> Text "";
    "regexp_replace({}, '(a)(.)', '\\2\\1', 'gi')" (Text) -> Text "";
    "regexp_match({}, '([a-z])([a-z])')" (Text) -> Texts "";
    "regexp_split_to_array({}, '[ b]')" (Text) -> Texts "";
    "regexp_count({}, '[a-c]')" (Text) -> Int "";
    "substring({} FROM '[a-z]+')" (Text) -> Text "";
    "({} !~ '[0-9]')" (Text) -> Bool "";
    "({} NOT ILIKE {})" (Text, Text) -> Bool "";
    "({} NOT SIMILAR TO '%(b|c)')" (Text) -> Bool "";
    "left(encode({}, 'base64'), 8)" (Bytes) -> Text "";
    "substring({} FROM 2)" (Bytes) -> Bytes "";
    "get_byte({} || CAST('\\x01' AS bytea), 0)" (Bytes) -> Int "";
    "div({}, nullif({}, 0))" (Num, Num) -> Num "";
    "width_bucket({}, 0, 10, 5)" (Num) -> Int "";
    "round({}, {} % 3)" (Num, Int) -> Num "";
    "power({}, 3)" (Double) -> Double "";
    "cbrt({})" (Double) -> Double "";
    "log(abs({}) + 1)" (Num) -> Num "";
    "lcm({} % 50, {} % 50)" (Int, Int) -> Int "";
    "factorial(abs({} % 12))" (Int) -> Num "";
    "({} << 2)" (Int) -> Int "";
    "({} >> 1)" (Big) -> Big "";
    "num_nulls({}, {})" (ANY, ANY) -> Int "";
    "num_nonnulls({}, {})" (ANY, ANY) -> Int "";
    "({} IS NOT DISTINCT FROM NULL)" (ANY) -> Bool "";
    "(({}, {}) IS NULL)" (ANY, Int) -> Bool "";
    "(({}, {}) IS DISTINCT FROM ({}, {}))" (ANY, Int, ANY, Int) -> Bool "";
    "({} IN ({}, {}, {}, 7, 8, NULL))" (Int, Int, Int, Int) -> Bool "";
    "({} IN ('a', 'b', {}))" (Text, Text) -> Bool "";
};

/// Aggregates; their argument is of a row, or there is none.
pub static AGGREGATES: &[Function] = table! {
    "count(*)" () -> Big "s";
    "count({})" (ANY) -> Big "s";
    "count(DISTINCT {})" (ANY) -> Big "s";
    "min({})" (Int) -> Int "s";
    "max({})" (Int) -> Int "s";
    "min({})" (Text) -> Text "s";
    "max({})" (Text) -> Text "s";
    "min({})" (Double) -> Double "s";
    "max({})" (Big) -> Big "";
    "min({})" (Num) -> Num "";
    "max({})" (Date) -> Date "";
    "min({})" (Stamp) -> Stamp "";
    "max({})" (Interval) -> Interval "";
    "sum({})" (Int) -> Big "s";
    "sum(DISTINCT {})" (Int) -> Big "s";
    "sum({})" (Big) -> Num "";
    "sum({})" (Num) -> Num "";
    "sum({})" (Double) -> Double "s";
    "avg({})" (Int) -> Num "";
    "avg({})" (Num) -> Num "";
    "avg({})" (Double) -> Double "s";
    "avg(DISTINCT {})" (Int) -> Num "";
    "bool_and({})" (Bool) -> Bool "";
    "bool_or({})" (Bool) -> Bool "";
    "every({})" (Bool) -> Bool "";
    "bit_and({})" (Int) -> Int "";
    "bit_or({})" (Int) -> Int "";
    "var_pop({})" (Int) -> Num "";
    "var_samp({})" (Double) -> Double "";
    "stddev_pop({})" (Double) -> Double "";
    "stddev_samp({})" (Int) -> Num "";
    "string_agg({}, ',' ORDER BY {=})" (Text) -> Text "";
    "count(*) FILTER (WHERE {})" (Bool) -> Big "s";
    "sum({}) FILTER (WHERE {})" (Int, Bool) -> Big "s";
    "array_agg({} ORDER BY {=} DESC NULLS LAST)" (Int) -> Ints "";
    "array_agg(DISTINCT {})" (Text) -> Texts "";
    "array_agg({} ORDER BY {=} NULLS FIRST) FILTER (WHERE {})" (Date, Bool) -> Dates "";
    "string_agg(DISTINCT {}, '|')" (Text) -> Text "";
    "min({})" (Time) -> Time "";
    "max({})" (StampTz) -> StampTz "";
    "min({})" (Char) -> Char "";
    "max({})" (Ints) -> Ints "";
    "sum({})" (Interval) -> Interval "";
    "avg({})" (Interval) -> Interval "";
    "sum({})" (Small) -> Big "";
    "max({})" (Real) -> Real "";
    "min({})" (Small) -> Small "";
    "sum(DISTINCT {})" (Num) -> Num "";
    "count(DISTINCT {}) FILTER (WHERE {})" (ANY, Bool) -> Big "";
    "bit_xor({})" (Int) -> Int "";
    "regr_count({}, {})" (Double, Double) -> Big "";
    "covar_pop({}, {})" (Double, Double) -> Double "";
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY {})" (Int) -> Int "";
    "percentile_cont(0.25) WITHIN GROUP (ORDER BY {})" (Double) -> Double "";
    "percentile_disc(0.75) WITHIN GROUP (ORDER BY {} DESC)" (Text) -> Text "";
    "rank(3) WITHIN GROUP (ORDER BY {})" (Int) -> Big "";
};

/// Functions of a window; those of the first column depend on rows with equal keys only through all of them.
pub static WINDOWS: &[Function] = table! {
    "row_number()" () -> Big "s";
    "rank()" () -> Big "s";
    "dense_rank()" () -> Big "s";
    "ntile(3)" () -> Int "s";
    "percent_rank()" () -> Double "s";
    "cume_dist()" () -> Double "s";
    "lag({})" (ANY) -> Same "s";
    "lead({}, 2)" (ANY) -> Same "s";
    "lag({}, 1, {})" (ANY, ANY) -> Same "s";
    "first_value({})" (ANY) -> Same "s";
    "last_value({})" (ANY) -> Same "s";
    "nth_value({}, 2)" (ANY) -> Same "s";
    "sum({})" (Int) -> Big "s";
    "count({})" (ANY) -> Big "s";
    "min({})" (Int) -> Int "s";
    "max({})" (Text) -> Text "s";
    "avg({})" (Num) -> Num "";
    "sum({})" (Num) -> Num "";
    "max({})" (Date) -> Date "";
    "min({})" (Interval) -> Interval "";
    "bool_or({})" (Bool) -> Bool "";
    "array_agg({})" (Int) -> Ints "";
    "string_agg({}, ',')" (Text) -> Text "";
    "lead({}, {} % 3, {})" (ANY, Int, ANY) -> Same "";
    "count({}) FILTER (WHERE {})" (ANY, Bool) -> Big "s";
};

/// Functions of a window that give rows with equal keys the same.
pub static PEER_WINDOWS: &[Function] = table! {
    "rank()" () -> Big "s";
    "dense_rank()" () -> Big "s";
    "percent_rank()" () -> Double "s";
    "cume_dist()" () -> Double "s";
    "sum({})" (Int) -> Big "s";
    "count({})" (ANY) -> Big "s";
    "count(*)" () -> Big "s";
    "min({})" (Int) -> Int "s";
    "max({})" (Text) -> Text "s";
    "min({})" (Date) -> Date "";
    "avg({})" (Num) -> Num "";
    "sum({})" (Num) -> Num "";
    "bool_and({})" (Bool) -> Bool "";
    "max({})" (Interval) -> Interval "";
    "count(*) FILTER (WHERE {})" (Bool) -> Big "s";
};

/// A form of statements.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What the generator asks for it by.
    pub name: &'static str,
    /// A statement that has it, over `probe(a integer, b text)`.
    pub probe: &'static str,
}

macro_rules! forms {
    ($($name:literal: $probe:literal;)*) => { &[$(Form { name: $name, probe: $probe }),*] };
}

/// The forms that the generator makes.
pub static FORMS: &[Form] = forms! {
    "inner join": "SELECT 1 FROM probe x JOIN probe y ON x.a = y.a";
    "left join": "SELECT 1 FROM probe x LEFT JOIN probe y ON x.a = y.a";
    "right join": "SELECT 1 FROM probe x RIGHT JOIN probe y ON x.a = y.a";
    "full join": "SELECT 1 FROM probe x FULL JOIN probe y ON x.a = y.a";
    "cross join": "SELECT 1 FROM probe x CROSS JOIN probe y";
    "any join": "SELECT 1 FROM probe x JOIN probe y ON x.a < y.a OR x.b = y.b";
    "any left join": "SELECT 1 FROM probe x LEFT JOIN probe y ON x.a < y.a OR x.b = y.b";
    "derived table": "SELECT c FROM (SELECT a AS c FROM probe) AS d";
    "values": "SELECT c FROM (VALUES (1, 'a'), (2, NULL)) AS d(c, e)";
    "lateral": "SELECT 1 FROM probe x, LATERAL (SELECT y.b FROM probe y WHERE y.a = x.a) AS d";
    "scalar subquery": "SELECT (SELECT max(a) FROM probe) FROM probe";
    "correlated subquery": "SELECT (SELECT max(y.a) FROM probe y WHERE y.b = x.b) FROM probe x";
    "exists": "SELECT 1 FROM probe x WHERE EXISTS (SELECT 1 FROM probe y WHERE y.a = x.a)";
    "in subquery": "SELECT a IN (SELECT y.a FROM probe y) FROM probe";
    "any": "SELECT a > ALL (SELECT y.a FROM probe y) FROM probe";
    "with": "WITH w AS (SELECT a FROM probe) SELECT a FROM w";
    "recursive": "WITH RECURSIVE w(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM w WHERE n < 3) SELECT n FROM w";
    "union": "SELECT a FROM probe UNION SELECT a FROM probe";
    "union all": "SELECT a FROM probe UNION ALL SELECT a FROM probe";
    "intersect": "SELECT a FROM probe INTERSECT SELECT a FROM probe";
    "intersect all": "SELECT a FROM probe INTERSECT ALL SELECT a FROM probe";
    "except": "SELECT a FROM probe EXCEPT SELECT a FROM probe";
    "except all": "SELECT a FROM probe EXCEPT ALL SELECT a FROM probe";
    "distinct": "SELECT DISTINCT a FROM probe";
    "group": "SELECT a, count(*) FROM probe GROUP BY a";
    "having": "SELECT a FROM probe GROUP BY a HAVING count(*) > 1";
    "grouping sets": "SELECT a, b, grouping(a), count(*) FROM probe GROUP BY GROUPING SETS ((a, b), (a), ())";
    "rollup": "SELECT a, b, count(*) FROM probe GROUP BY ROLLUP (a, b)";
    "cube": "SELECT a, b, count(*) FROM probe GROUP BY CUBE (a, b)";
    "window": "SELECT rank() OVER (PARTITION BY b ORDER BY a) FROM probe";
    "frame": "SELECT sum(a) OVER (ORDER BY a, b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM probe";
    "groups frame": "SELECT sum(a) OVER (ORDER BY a GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES) FROM probe";
    "order": "SELECT a FROM probe ORDER BY a DESC NULLS LAST";
    "limit": "SELECT a FROM probe ORDER BY a LIMIT 2 OFFSET 1";
    "insert select": "INSERT INTO probe (a, b) SELECT a, b FROM probe";
    "update": "UPDATE probe SET a = a + 1 WHERE b = 'x'";
    "delete": "DELETE FROM probe WHERE a = 77";
    "returning": "DELETE FROM probe WHERE a = 78 RETURNING a, b";
    "range frame": "SELECT sum(a) OVER (ORDER BY a RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING) FROM probe";
    "grouped window": "SELECT a, sum(count(*)) OVER (ORDER BY a) FROM probe GROUP BY a";
    "grouping": "SELECT a, b, grouping(a, b), count(*) FROM probe GROUP BY GROUPING SETS ((a), (b), (a, b)), ROLLUP (a)";
    "row in subquery": "SELECT (a, b) IN (SELECT y.a, y.b FROM probe y) FROM probe";
    "array subquery": "SELECT ARRAY(SELECT y.a FROM probe y ORDER BY 1) FROM probe";
    "using": "SELECT x.a FROM probe x JOIN probe y USING (a)";
    "any right join": "SELECT 1 FROM probe x RIGHT JOIN probe y ON x.a < y.a OR x.b = y.b";
    "distinct on": "SELECT DISTINCT ON (2) a, b FROM probe ORDER BY 2, 1";
    "materialized": "WITH k AS MATERIALIZED (SELECT a FROM probe), i AS NOT MATERIALIZED (SELECT a FROM probe) SELECT 1 FROM k, i";
    "with ties": "SELECT a FROM probe ORDER BY 1 FETCH FIRST 2 ROWS WITH TIES";
    "ordered arm": "(SELECT a FROM probe ORDER BY 1 LIMIT 2) UNION ALL (SELECT a FROM probe ORDER BY 1 LIMIT 1)";
    "unnest": "SELECT 1 FROM probe x, unnest(ARRAY[1, x.a]) AS u(c0)";
    "series": "SELECT 1 FROM probe x, generate_series(1, 3) AS u(c0)";
    "update from": "UPDATE probe SET b = y.b FROM probe y WHERE y.id = probe.id";
    "delete using": "DELETE FROM probe USING probe y WHERE y.id = probe.id AND y.a = 77";
    "on conflict": "INSERT INTO probe (id, a) SELECT 1, 2 ON CONFLICT DO NOTHING";
    "on conflict update": "INSERT INTO probe (id, a) SELECT 1, 2 ON CONFLICT (id) DO UPDATE SET a = excluded.a";
    "no key": "CREATE TABLE probe_without_key (a integer)";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_a_place_for_each_argument() {
        for function in FUNCTIONS.iter().chain(AGGREGATES).chain(WINDOWS).chain(PEER_WINDOWS) {
            let places = function.template.matches("{}").count();
            assert_eq!(places, function.takes.len(), "{}", function.template);
            let has_any = function.takes.contains(&Takes::Any);
            assert!(has_any || function.gives != Gives::Same, "{}", function.template);
        }
    }

    #[test]
    fn forms_have_names_of_their_own() {
        for form in FORMS {
            assert_eq!(FORMS.iter().filter(|other| other.name == form.name).count(), 1, "{}", form.name);
        }
    }
}

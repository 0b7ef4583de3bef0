//! Operators, functions and aggregates, one line each; and the forms of statements, each with a probe.
//!
//! A template has `{}` for each argument. Where [`Takes::Any`] stands in place of a type, one type is chosen for all of them, and
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
    "string_agg({}, ',' ORDER BY {})" (Text, Text) -> Text "";
    "count(*) FILTER (WHERE {})" (Bool) -> Big "s";
    "sum({}) FILTER (WHERE {})" (Int, Bool) -> Big "s";
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
    "no key": "CREATE TABLE probe_without_key (a integer)";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_a_place_for_each_argument() {
        for function in FUNCTIONS.iter().chain(AGGREGATES).chain(WINDOWS) {
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

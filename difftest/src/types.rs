//! The types that columns have, each with values that are worth asking about.

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Ty {
    Bool,
    Small,
    Int,
    Big,
    Num,
    Real,
    Double,
    Text,
    Date,
    Time,
    Stamp,
    StampTz,
    Interval,
    Uuid,
    Bytes,
    Char,
    Ints,
    Texts,
    Dates,
}

/// What is known of a type.
#[derive(Debug)]
pub struct TypeInfo {
    /// The type.
    pub ty: Ty,
    /// Its name in a definition and a cast.
    pub name: &'static str,
    /// Whether SQLite has it with the same meaning.
    pub is_in_sqlite: bool,
    /// Values as literals.
    pub values: &'static [&'static str],
    /// Values at the ends of the range, which are chosen rarely.
    pub extremes: &'static [&'static str],
}

macro_rules! info {
    ($ty:ident, $name:literal, $sqlite:literal, [$($value:literal),*], [$($extreme:literal),*]) => {
        TypeInfo { ty: Ty::$ty, name: $name, is_in_sqlite: $sqlite, values: &[$($value),*], extremes: &[$($extreme),*] }
    };
}

/// All types.
pub static TYPES: [TypeInfo; 19] = [
    info!(Bool, "boolean", true, ["TRUE", "FALSE"], []),
    info!(
        Small,
        "smallint",
        false,
        ["CAST(0 AS smallint)", "CAST(1 AS smallint)", "CAST(-7 AS smallint)", "CAST(300 AS smallint)"],
        ["CAST(32767 AS smallint)", "CAST(-32768 AS smallint)"]
    ),
    info!(
        Int,
        "integer",
        true,
        ["0", "1", "2", "3", "(-1)", "7", "10", "42", "(-13)", "100"],
        ["2147483647", "(-2147483648)"]
    ),
    info!(
        Big,
        "bigint",
        false,
        [
            "CAST(0 AS bigint)",
            "CAST(1 AS bigint)",
            "CAST(-2 AS bigint)",
            "CAST(3 AS bigint)",
            "CAST(1000 AS bigint)",
            "5000000000"
        ],
        ["9223372036854775807", "(-9223372036854775808)"]
    ),
    info!(
        Num,
        "numeric(12,3)",
        false,
        [
            "CAST(0 AS numeric(12,3))",
            "CAST(1.5 AS numeric(12,3))",
            "CAST(-2.25 AS numeric(12,3))",
            "CAST(3 AS numeric(12,3))",
            "CAST(10.125 AS numeric(12,3))",
            "CAST(0.001 AS numeric(12,3))"
        ],
        ["CAST(999999999.999 AS numeric(12,3))", "CAST(-999999999.999 AS numeric(12,3))"]
    ),
    info!(
        Real,
        "real",
        false,
        ["CAST(0 AS real)", "CAST(1.5 AS real)", "CAST(-0.25 AS real)", "CAST(3 AS real)"],
        ["CAST('3e38' AS real)", "CAST('NaN' AS real)"]
    ),
    info!(
        Double,
        "double precision",
        true,
        [
            "CAST(0 AS double precision)",
            "CAST(0.5 AS double precision)",
            "CAST(-1.25 AS double precision)",
            "CAST(3 AS double precision)",
            "CAST(1e6 AS double precision)"
        ],
        ["CAST('1e300' AS double precision)", "CAST('1e-300' AS double precision)"]
    ),
    info!(
        Text,
        "text",
        true,
        ["''", "'a'", "'b'", "'abc'", "'Abc'", "'a%c'", "' x '", "'10'", "'zz top'", "'O''Reilly'"],
        ["'\u{e9}t\u{e9}'", "'\u{1f600} end'"]
    ),
    info!(
        Date,
        "date",
        false,
        [
            "DATE '2000-01-01'",
            "DATE '2024-02-29'",
            "DATE '1999-12-31'",
            "DATE '1970-01-01'",
            "DATE '2024-03-01'"
        ],
        ["DATE '0001-01-01'", "DATE '9999-12-31'"]
    ),
    info!(
        Time,
        "time",
        false,
        ["TIME '00:00:00'", "TIME '12:34:56'", "TIME '23:59:59.5'"],
        ["TIME '24:00:00'", "TIME '00:00:00.000001'"]
    ),
    info!(
        Stamp,
        "timestamp",
        false,
        [
            "TIMESTAMP '2000-01-01 00:00:00'",
            "TIMESTAMP '2024-02-29 12:30:00'",
            "TIMESTAMP '1969-12-31 23:59:59.25'"
        ],
        ["TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"]
    ),
    info!(
        StampTz,
        "timestamptz",
        false,
        ["TIMESTAMPTZ '2000-01-01 00:00:00+00'", "TIMESTAMPTZ '2024-02-29 12:30:00+02'"],
        ["TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"]
    ),
    info!(
        Interval,
        "interval",
        false,
        [
            "INTERVAL '1 day'",
            "INTERVAL '1 month'",
            "INTERVAL '-3 days'",
            "INTERVAL '1 year 2 months'",
            "INTERVAL '0 days'"
        ],
        ["INTERVAL '100 years'"]
    ),
    info!(
        Uuid,
        "uuid",
        false,
        [
            "CAST('00000000-0000-0000-0000-000000000000' AS uuid)",
            "CAST('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' AS uuid)"
        ],
        ["CAST('ffffffff-ffff-ffff-ffff-ffffffffffff' AS uuid)"]
    ),
    info!(
        Bytes,
        "bytea",
        false,
        ["CAST('' AS bytea)", "CAST('\\x00ff' AS bytea)", "CAST('\\x616263' AS bytea)"],
        ["CAST('\\xffffffffffffffff' AS bytea)"]
    ),
    info!(
        Char,
        "character(4)",
        false,
        [
            "CAST('a' AS character(4))",
            "CAST('ab  ' AS character(4))",
            "CAST('' AS character(4))",
            "CAST('abcd' AS character(4))"
        ],
        []
    ),
    info!(
        Ints,
        "integer[]",
        false,
        [
            "CAST(ARRAY[1, 2, 3] AS integer[])",
            "CAST(ARRAY[] AS integer[])",
            "CAST(ARRAY[NULL, 7] AS integer[])",
            "ARRAY[1, 2]",
            "ARRAY[42]",
            "CAST('{3,1,2,1}' AS integer[])"
        ],
        []
    ),
    info!(
        Texts,
        "text[]",
        false,
        ["ARRAY['a', 'b']", "CAST(ARRAY[] AS text[])", "ARRAY['a b', NULL, '']", "ARRAY['abc', 'x,y', '\"']"],
        []
    ),
    info!(
        Dates,
        "date[]",
        false,
        [
            "ARRAY[DATE '2000-01-01', DATE '1999-12-31']",
            "CAST(ARRAY[] AS date[])",
            "ARRAY[NULL, DATE '2024-02-29']"
        ],
        []
    ),
];

/// What is known of `ty`.
pub fn info(ty: Ty) -> &'static TypeInfo {
    TYPES.iter().find(|info| info.ty == ty).expect("the table has all types")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_one_line_and_values() {
        for info in &TYPES {
            assert_eq!(TYPES.iter().filter(|other| other.ty == info.ty).count(), 1);
            assert!(info.values.len() >= 2, "{info:?}");
        }
    }
}

//! Every variant of the error is raised by some statement, with its SQLSTATE and its place.

use cofferdam_arena::Arena;
use cofferdam_plan::{
    AggregatePlace, ClauseProblem, CopyProblem, CountProblem, DefinitionProblem, EmptyCatalog, Error,
    NameProblem, Remedy, plan_query,
};
use cofferdam_sql::parse;
use cofferdam_sql::views::Statement;

use crate::plans::{budget, definition, with_plan};

/// The error of a statement, described.
fn error_of<R>(sql: &str, see: impl FnOnce(&Error<'_>) -> R) -> R {
    with_plan(sql, &budget(), |outcome, _| see(&outcome.err().unwrap_or_else(|| panic!("{sql} is planned"))))
}

fn sqlstate(sql: &str) -> (&'static str, String) {
    error_of(sql, |error| (error.sqlstate(), error.span().map_or("", |span| span.of(sql)).to_owned()))
}

#[test]
fn names_that_mean_nothing() {
    let cases = [
        ("SELECT 1 FROM nowhere", NameProblem::UndefinedTable, "42P01", "nowhere"),
        ("SELECT z FROM t", NameProblem::UndefinedColumn, "42703", "z"),
        ("SELECT v.a FROM t", NameProblem::MissingFromEntry, "42P01", "v.a"),
        ("SELECT a FROM t, u", NameProblem::AmbiguousColumn, "42702", "a"),
        ("SELECT 1 FROM t, t", NameProblem::DuplicateAlias, "42712", "t"),
        ("SELECT 1 FROM 'f.csv' AS f(a integer, a text)", NameProblem::DuplicateColumn, "42701", "a text"),
        ("SELECT a::strange FROM t", NameProblem::UndefinedType, "42704", "strange"),
        (
            "SELECT extract(fortnight FROM d) FROM t",
            NameProblem::UndefinedField,
            "22023",
            "extract(fortnight FROM d)",
        ),
        ("EXPLAIN (nonsense) SELECT 1", NameProblem::UndefinedOption, "42601", "nonsense"),
    ];
    for (sql, expected, code, place) in cases {
        error_of(sql, |error| {
            let Error::Name { problem, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!(*problem, expected, "{sql}");
        });
        assert_eq!(sqlstate(sql), (code, place.to_owned()), "{sql}");
    }
}

#[test]
fn functions_operators_and_types() {
    let cases = [
        ("SELECT sqrtt(a) FROM t", "42883"),
        ("SELECT lower(a) FROM t", "42883"),
        ("SELECT count(a, b) FROM t", "42883"),
        ("SELECT a + b FROM t", "42883"),
        ("SELECT - b FROM t", "42883"),
        ("SELECT a FROM t WHERE a = b", "42883"),
        ("SELECT a FROM t WHERE a", "42804"),
        ("SELECT a FROM t GROUP BY a HAVING 1", "42804"),
        ("SELECT NOT a FROM t", "42804"),
        ("SELECT a IS TRUE FROM t", "42804"),
        ("SELECT CASE WHEN f THEN a ELSE b END FROM t", "42804"),
        ("SELECT coalesce(a, b) FROM t", "42804"),
        ("SELECT a IN (1, b) FROM t", "42883"),
        ("SELECT d::integer FROM t", "42846"),
        ("SELECT a = 'x' FROM t", "22P02"),
        ("SELECT date '2020-02-30'", "22008"),
        ("SELECT date 'soon'", "22007"),
        ("SELECT b LIKE 'a' ESCAPE 'xy' FROM t", "22019"),
    ];
    for (sql, code) in cases {
        assert_eq!(sqlstate(sql).0, code, "{sql}");
    }
}

#[test]
fn each_type_error_is_its_own_variant() {
    error_of("SELECT nothing(a) FROM t", |error| {
        assert!(matches!(error, Error::UndefinedFunction { name: "nothing", arguments: [_], .. }));
    });
    error_of("SELECT a + b FROM t", |error| {
        assert!(matches!(error, Error::UndefinedOperator { operator: "+", left: Some(_), .. }));
    });
    error_of("SELECT a FROM t WHERE a", |error| {
        assert!(matches!(error, Error::WrongType { place: "WHERE", .. }));
    });
    error_of("SELECT coalesce(a, b) FROM t", |error| {
        assert!(matches!(error, Error::TypesDiffer { construct: "COALESCE", .. }));
    });
    error_of("SELECT a = 'x' FROM t", |error| assert!(matches!(error, Error::Value { .. })));
    error_of("SELECT b LIKE 'a' ESCAPE 'xy' FROM t", |error| {
        assert!(matches!(error, Error::BadEscape { .. }))
    });
}

#[test]
fn groups_and_aggregates() {
    assert_eq!(sqlstate("SELECT a, count(*) FROM t"), ("42803", "a".to_owned()));
    assert_eq!(sqlstate("SELECT b FROM t GROUP BY a"), ("42803", "b".to_owned()));
    error_of("SELECT a, count(*) FROM t", |error| {
        assert!(matches!(error, Error::Ungrouped { name: "a", table: "t", .. }));
    });
    let places = [
        ("SELECT a FROM t WHERE count(*) > 1", AggregatePlace::Clause("WHERE")),
        ("SELECT a FROM t JOIN u ON sum(y) > 1", AggregatePlace::Clause("JOIN/ON")),
        ("SELECT a FROM t GROUP BY sum(a)", AggregatePlace::Clause("GROUP BY")),
        ("SELECT sum(a) FROM t GROUP BY 1", AggregatePlace::Clause("GROUP BY")),
        ("SELECT sum(max(a)) FROM t", AggregatePlace::Aggregate),
    ];
    for (sql, expected) in places {
        error_of(sql, |error| {
            let Error::MisplacedAggregate { place, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!((*place, error.sqlstate()), (expected, "42803"), "{sql}");
        });
    }
}

#[test]
fn constants_of_clauses() {
    let cases = [
        ("SELECT a FROM t ORDER BY 2", ClauseProblem::NoSuchPosition, "42P10"),
        ("SELECT a FROM t GROUP BY 0", ClauseProblem::NoSuchPosition, "42P10"),
        ("SELECT a FROM t ORDER BY 'a'", ClauseProblem::NotAPosition, "42601"),
        ("SELECT a AS x, c AS x FROM t ORDER BY x", ClauseProblem::Ambiguous, "42702"),
        ("SELECT DISTINCT a FROM t ORDER BY c", ClauseProblem::NotInSelectList, "42P10"),
        ("SELECT a FROM t LIMIT -1", ClauseProblem::Negative, "2201W"),
        ("SELECT a FROM t OFFSET -1", ClauseProblem::Negative, "2201X"),
        ("SELECT a FROM t LIMIT a", ClauseProblem::NotConstant, "42P10"),
    ];
    for (sql, expected, code) in cases {
        error_of(sql, |error| {
            let Error::Clause { problem, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!((*problem, error.sqlstate()), (expected, code), "{sql}");
        });
    }
    assert_eq!(sqlstate("SELECT a FROM t LIMIT d").0, "42P10");
    assert_eq!(sqlstate("SELECT a FROM t LIMIT true").0, "42804");
}

#[test]
fn counts() {
    let wide = format!("SELECT {} 1", "1, ".repeat(1 << 16));
    let cases = [
        ("SELECT 1 FROM u AS v(a, b, c, d)", CountProblem::ColumnAliases, "42P10"),
        ("VALUES (1, 2), (3)", CountProblem::ValuesRows, "42601"),
        (wide.as_str(), CountProblem::Columns, "54011"),
    ];
    for (sql, expected, code) in cases {
        error_of(sql, |error| {
            let Error::Count { problem, .. } = error else { panic!("{error:?}") };
            assert_eq!((*problem, error.sqlstate()), (expected, code));
        });
    }
    error_of("SELECT *", |error| assert!(matches!(error, Error::StarWithoutTables { .. })));
    assert_eq!(sqlstate("SELECT *").0, "42601");
}

#[test]
fn sources_and_what_is_missing() {
    assert_eq!(sqlstate("SELECT * FROM 'missing.csv'"), ("58P01", "'missing.csv'".to_owned()));
    error_of("SELECT * FROM 'missing.csv'", |error| assert_eq!(error.remedy(), Remedy::FixSource));
    for sql in [
        "SELECT normalize(b) FROM t",
        "SELECT (t).* FROM t",
        "SELECT a INTO made FROM t",
        "SELECT a FROM t ORDER BY a USING <",
        "SELECT a FROM t FOR UPDATE",
        "SELECT 1 FROM XMLTABLE('/a' PASSING b COLUMNS c integer) AS x",
        "SELECT 1 FROM JSON_TABLE('{}', '$' COLUMNS (c integer)) AS x",
        "SELECT 1 FROM t TABLESAMPLE system (50)",
        "SELECT '12:00'::timetz",
        "EXPLAIN ANALYZE SELECT 1",
    ] {
        error_of(sql, |error| {
            assert!(matches!(error, Error::NotSupported { .. }), "{sql}: {error:?}");
            assert_eq!((error.sqlstate(), error.remedy()), ("0A000", Remedy::FixStatement));
            assert!(error.to_string().ends_with(" is not supported"), "{error}");
        });
    }
}

/// The SQLSTATE and place of the error that a definition ends in, and what kind of error it is.
fn definition_error<R>(sql: &str, see: impl FnOnce(&Error<'_>) -> R) -> R {
    let budget = budget();
    let (parsed, arena) = (Arena::new(&budget), Arena::new(&budget));
    let outcome = definition(parse(sql, &parsed).unwrap().statement(), &arena).expect("a definition");
    see(&outcome.expect_err(sql))
}

#[test]
fn definitions_that_contradict_themselves() {
    let wide = (0..=1600).map(|n| format!("c{n} int")).collect::<Vec<_>>().join(", ");
    let wide = format!("CREATE TABLE x ({wide})");
    let cases = [
        ("CREATE TABLE item (a int)", DefinitionProblem::TableExists, "42P07", "item"),
        (
            "CREATE TABLE x (a int CONSTRAINT x UNIQUE)",
            DefinitionProblem::KeyExists,
            "42P07",
            "CONSTRAINT x UNIQUE",
        ),
        (
            "CREATE TABLE x (a int, CONSTRAINT c CHECK (true), CONSTRAINT c CHECK (false))",
            DefinitionProblem::CheckExists,
            "42710",
            "CONSTRAINT c CHECK (false)",
        ),
        ("CREATE TABLE x (a int, a text)", DefinitionProblem::ColumnTwice, "42701", "a text"),
        ("CREATE TABLE x (a int, UNIQUE (b))", DefinitionProblem::KeyColumnUndefined, "42703", "UNIQUE (b)"),
        (
            "CREATE TABLE x (a int, UNIQUE (a, a))",
            DefinitionProblem::KeyColumnTwice,
            "42701",
            "UNIQUE (a, a)",
        ),
        (
            "CREATE TABLE x (a int PRIMARY KEY, b int PRIMARY KEY)",
            DefinitionProblem::SeveralPrimaryKeys,
            "42P16",
            "PRIMARY KEY",
        ),
        ("CREATE TABLE x (a int NOT NULL NULL)", DefinitionProblem::ConflictingNulls, "42601", "NULL"),
        (
            "CREATE TABLE x (a int DEFAULT 1 DEFAULT 1)",
            DefinitionProblem::SeveralDefaults,
            "42601",
            "DEFAULT 1",
        ),
        ("CREATE TABLE x (a int DEFAULT a)", DefinitionProblem::ColumnInDefault, "0A000", "a"),
        (wide.as_str(), DefinitionProblem::TooManyColumns, "54011", "c1600 int"),
        ("DROP TABLE lineitem", DefinitionProblem::NotStored, "42809", "lineitem"),
    ];
    for (sql, expected, code, place) in cases {
        definition_error(sql, |error| {
            let Error::Definition { problem, span, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!((*problem, error.sqlstate(), span.of(sql)), (expected, code, place), "{sql}");
            assert_eq!(error.remedy(), Remedy::FixStatement);
        });
    }
    definition_error("DROP TABLE nowhere", |error| {
        assert!(matches!(error, Error::Name { problem: NameProblem::NoSuchTable, .. }));
    });
    definition_error("CREATE TABLE x (a serial)", |error| {
        assert!(matches!(error, Error::ColumnType { name: "serial", instead: Some("integer"), .. }));
        assert_eq!(error.hint().unwrap().to_string(), "use integer");
    });
}

#[test]
fn values_for_columns() {
    error_of("INSERT INTO item (idd) VALUES (1)", |error| {
        assert!(matches!(error, Error::Name { problem: NameProblem::NoSuchTarget, .. }));
    });
    error_of("INSERT INTO item (id) VALUES (true)", |error| {
        assert!(matches!(error, Error::Assignment { column: "id", is_default: false, .. }));
    });
    definition_error("CREATE TABLE x (a int DEFAULT true)", |error| {
        assert!(matches!(error, Error::Assignment { column: "a", is_default: true, .. }));
    });
    let counts = [
        ("INSERT INTO item (id) VALUES (1, 2)", CountProblem::InsertValues),
        ("INSERT INTO item (id, name) SELECT 1", CountProblem::InsertColumns),
        ("INSERT INTO item VALUES (1), (1, 'a')", CountProblem::ValuesRows),
    ];
    for (sql, expected) in counts {
        error_of(sql, |error| {
            let Error::Count { problem, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!((*problem, error.sqlstate()), (expected, "42601"));
        });
    }
    error_of("SELECT DEFAULT", |error| assert!(matches!(error, Error::MisplacedDefault { .. })));
    assert_eq!(sqlstate("SELECT DEFAULT"), ("42601", "DEFAULT".to_owned()));
    // What the catalog keeps as text and cannot be read is nobody's mistake in the statement.
    assert_eq!(sqlstate("INSERT INTO damaged VALUES (1)"), ("XX001", "damaged".to_owned()));
}

#[test]
fn options_of_copy() {
    let cases = [
        ("nope", CopyProblem::Unknown, "42601"),
        ("FORMAT foo", CopyProblem::Format, "22023"),
        ("HEADER, HEADER", CopyProblem::Redundant, "42601"),
        ("HEADER 'maybe'", CopyProblem::Value, "42601"),
        ("DELIMITER ''", CopyProblem::OneByte, "0A000"),
        ("DELIMITER E'\\r'", CopyProblem::LineEnd, "22023"),
        ("FORMAT text, ESCAPE 'a'", CopyProblem::CsvOnly, "0A000"),
        ("FORMAT csv, QUOTE ','", CopyProblem::SameByte, "22023"),
        ("FORMAT csv, NULL ','", CopyProblem::InNull, "0A000"),
        ("FORMAT text, DELIMITER '.'", CopyProblem::Delimiter, "22023"),
    ];
    for (options, expected, code) in cases {
        let sql = format!("COPY heap FROM 'rows.csv' ({options})");
        error_of(&sql, |error| {
            let Error::CopyOption { problem, .. } = error else { panic!("{sql}: {error:?}") };
            assert_eq!((*problem, error.sqlstate()), (expected, code), "{sql}");
        });
    }
}

#[test]
fn out_of_memory_asks_for_memory() {
    let budget = budget();
    let sql = format!("SELECT {}", "a + ".repeat(1000) + "a FROM t");
    budget.set_limit(budget.used() + (200 << 10));
    with_plan(&sql, &budget, |outcome, _| {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::OutOfMemory(_)));
        assert_eq!((error.sqlstate(), error.remedy(), error.span()), ("53200", Remedy::GiveMemory, None));
        assert!(error.hint().is_some());
    });
}

#[test]
fn the_empty_catalog_has_nothing() {
    let budget = budget();
    for (sql, code) in [("SELECT 1 FROM t", "42P01"), ("SELECT 1 FROM 'f.csv'", "42501")] {
        let (parsed, planned) = (Arena::new(&budget), Arena::new(&budget));
        let Statement::Query(query) = parse(sql, &parsed).unwrap().statement() else { panic!("a query") };
        assert_eq!(plan_query(query, &EmptyCatalog, &planned).unwrap_err().sqlstate(), code);
    }
}

//! The records of a file, one after the other.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sqllogictest::{
    Condition, Connection, Control, DefaultColumnType, QueryExpect, Record, ResultMode, SortMode,
    StatementExpect, parse_with_name,
};

use super::engine::{Answer, Engine, EngineError};
use super::format::{Sort, hash, values};
use super::prepare::prepare;
use super::report::{Failure, Report};

/// The engine that conditions ask for.
const ENGINE: &str = "postgresql";

/// The longest text of expected and actual values in a report.
const SHOWN_BYTES_MAX: usize = 300;

type SltRecord = Record<DefaultColumnType>;

/// Runs the records of a file and goes on after those that fail; `tick` is called after each.
///
/// # Errors
/// The file cannot be read or is none.
pub fn run_file(path: &Path, engine: &mut dyn Engine, tick: &mut dyn FnMut()) -> io::Result<Report> {
    let text = fs::read_to_string(path)?;
    run_text(&text, &path.display().to_string(), engine, tick)
}

/// Runs the records of a text, as [`run_file`]; `name` is what failures say of their place.
///
/// # Errors
/// The text is no script.
pub fn run_text(
    text: &str,
    name: &str,
    engine: &mut dyn Engine,
    tick: &mut dyn FnMut(),
) -> io::Result<Report> {
    let records = parse_with_name::<DefaultColumnType>(&prepare(text, ENGINE), name)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    let mut run = Run::new(engine);
    for record in records {
        if let Record::Halt { .. } = record {
            break;
        }
        run.record(record, name)?;
        tick();
    }
    Ok(run.report)
}

/// The files that end in `.test` or `.slt` below a folder, in order; a file is itself.
///
/// # Errors
/// What the system says about a folder.
pub fn files_below(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        fs::metadata(path)?;
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "test" || extension == "slt") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What holds from a record on.
struct Run<'e> {
    engine: &'e mut dyn Engine,
    report: Report,
    sort: Sort,
    mode: Option<ResultMode>,
    /// The hash of the first answer with a label.
    labels: HashMap<String, String>,
}

/// Why a record failed, before it has a place.
struct Wrong {
    group: String,
    expected: String,
    actual: String,
}

impl Wrong {
    fn new(group: impl Into<String>, expected: impl Into<String>, actual: impl Into<String>) -> Wrong {
        Wrong { group: group.into(), expected: expected.into(), actual: actual.into() }
    }

    fn error(expected: &str, error: &EngineError) -> Wrong {
        let group = format!("{} {}", error.sqlstate, error.message);
        Wrong::new(group.clone(), expected, format!("error {group}"))
    }
}

impl<'e> Run<'e> {
    fn new(engine: &'e mut dyn Engine) -> Run<'e> {
        Run { engine, report: Report::default(), sort: Sort::None, mode: None, labels: HashMap::new() }
    }

    fn record(&mut self, record: SltRecord, name: &str) -> io::Result<()> {
        let (loc, conditions, sql) = match &record {
            Record::Statement { loc, conditions, sql, .. } | Record::Query { loc, conditions, sql, .. } => {
                (loc.clone(), conditions, sql.clone())
            }
            Record::Control(Control::SortMode(mode)) => {
                self.sort = sort_of(*mode);
                return Ok(());
            }
            Record::Control(Control::ResultMode(mode)) => {
                self.mode = Some(*mode);
                return Ok(());
            }
            // A record tells by its results whether they are hashed: the threshold at the start differs between programs.
            Record::HashThreshold { .. }
            | Record::Condition(_)
            | Record::Connection(_)
            | Record::Comment(_)
            | Record::Newline
            | Record::Subtest { .. } => return Ok(()),
            // Shell commands, variables, includes: no suite that is run has them.
            other => {
                let message = format!("{name}: a record that this program does not run: {other}");
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        };
        if !conditions.iter().all(is_met) {
            self.report.skipped_count += 1;
            return Ok(());
        }
        let outcome = match record {
            Record::Statement { connection, sql, expected, .. } => {
                self.statement(&connection, &sql, &expected)
            }
            Record::Query { connection, sql, expected, .. } => self.query(&connection, &sql, &expected),
            _ => unreachable!("all others have returned"),
        };
        match outcome {
            Ok(()) => self.report.passed_count += 1,
            Err(Wrong { group, expected, actual }) => self.report.failures.push(Failure {
                place: format!("{}:{}", loc.file(), loc.line()),
                sql,
                group,
                expected: short(&expected),
                actual: short(&actual),
            }),
        }
        Ok(())
    }

    fn statement(
        &mut self,
        connection: &Connection,
        sql: &str,
        expected: &StatementExpect,
    ) -> Result<(), Wrong> {
        let answer = self.engine.run(name_of(connection), sql);
        match (expected, answer) {
            (StatementExpect::Ok, Ok(_)) => Ok(()),
            (StatementExpect::Ok, Err(error)) => Err(Wrong::error("success", &error)),
            (StatementExpect::Count(count), Ok(Answer::Done(changed))) if changed == *count => Ok(()),
            (StatementExpect::Count(count), Ok(Answer::Rows { rows, .. })) if rows.len() as u64 == *count => {
                Ok(())
            }
            (StatementExpect::Count(count), Ok(answer)) => {
                let actual = match answer {
                    Answer::Done(count) => count,
                    Answer::Rows { rows, .. } => rows.len() as u64,
                };
                Err(Wrong::new("wrong count of rows", format!("{count} rows"), format!("{actual} rows")))
            }
            (StatementExpect::Count(count), Err(error)) => {
                Err(Wrong::error(&format!("{count} rows"), &error))
            }
            (StatementExpect::Error(expected), answer) => refused(expected, answer.map(|_| ())),
        }
    }

    fn query(
        &mut self,
        connection: &Connection,
        sql: &str,
        expected: &QueryExpect<DefaultColumnType>,
    ) -> Result<(), Wrong> {
        let answer = self.engine.run(name_of(connection), sql);
        let (types, sort_mode, result_mode, label, results) = match expected {
            QueryExpect::Error(expected) => return refused(expected, answer.map(|_| ())),
            QueryExpect::Results { types, sort_mode, result_mode, label, results } => {
                (types, sort_mode, result_mode, label, results)
            }
        };
        let (columns_count, rows) = match answer {
            Ok(Answer::Rows { columns_count, rows }) => (columns_count, rows),
            Ok(Answer::Done(_)) => return Err(Wrong::new("no answer", results.join(" "), "no rows")),
            Err(error) => return Err(Wrong::error(&results.join(" "), &error)),
        };
        if columns_count != types.len() {
            let expected = format!("{} columns", types.len());
            return Err(Wrong::new("wrong number of columns", expected, format!("{columns_count} columns")));
        }
        let letters: Vec<char> = types.iter().map(sqllogictest::ColumnType::to_char).collect();
        let sort = sort_mode.map_or(self.sort, sort_of);
        let actual = values(&rows, &letters, sort);
        if let Some(label) = label {
            self.same_as_before(label, &actual)?;
        }
        let mode = result_mode.or(self.mode);
        if let [line] = &results[..]
            && line.contains(" values hashing to ")
        {
            return same_hash(line, &actual);
        }
        let is_in_rows = columns_count > 1
            && sort != Sort::Values
            && match mode {
                Some(mode) => mode == ResultMode::RowWise,
                // Neither form says which it is: the original has a line for each value, the crate's one for each row.
                None => results.len() == rows.len(),
            };
        match is_in_rows {
            true => {
                let lines: Vec<String> = actual.chunks(columns_count).map(|row| row.join(" ")).collect();
                let results: Vec<String> = results
                    .iter()
                    .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
                    .collect();
                same(&results, &lines)
            }
            false => same(results, &actual),
        }
    }

    /// Answers with the same label are equal.
    fn same_as_before(&mut self, label: &str, actual: &[String]) -> Result<(), Wrong> {
        let hash = hash(actual);
        match self.labels.get(label) {
            Some(first) if *first != hash => {
                Err(Wrong::new("an answer with this label was another one", first.clone(), hash))
            }
            Some(_) => Ok(()),
            None => {
                self.labels.insert(label.to_owned(), hash);
                Ok(())
            }
        }
    }
}

fn same(expected: &[String], actual: &[String]) -> Result<(), Wrong> {
    if expected == actual {
        return Ok(());
    }
    let mut sorted = [expected.to_vec(), actual.to_vec()];
    sorted.iter_mut().for_each(|values| values.sort_unstable());
    let group = if sorted[0] == sorted[1] { "right values in a wrong order" } else { "wrong answer" };
    Err(Wrong::new(group, expected.join(" "), actual.join(" ")))
}

fn same_hash(expected: &str, actual: &[String]) -> Result<(), Wrong> {
    let hash = hash(actual);
    match expected == hash {
        true => Ok(()),
        false => Err(Wrong::new("wrong answer", expected, format!("{hash}: {}", actual.join(" ")))),
    }
}

fn refused(expected: &sqllogictest::ExpectedError, answer: Result<(), EngineError>) -> Result<(), Wrong> {
    match answer {
        Ok(()) => Err(Wrong::new("an error was expected", expected.to_string(), "success")),
        Err(error) if error.sqlstate.starts_with("XX") => Err(Wrong::error(&expected.to_string(), &error)),
        Err(error) if expected.is_match(&error.message, Some(&error.sqlstate)) => Ok(()),
        Err(error) => {
            let actual = format!("error {} {}", error.sqlstate, error.message);
            Err(Wrong::new("another error was expected", expected.to_string(), actual))
        }
    }
}

fn is_met(condition: &Condition) -> bool {
    match condition {
        Condition::OnlyIf { label } => label == ENGINE,
        Condition::SkipIf { label } => label != ENGINE,
    }
}

fn name_of(connection: &Connection) -> &str {
    match connection {
        Connection::Default => "default",
        Connection::Named(name) => name,
    }
}

fn sort_of(mode: SortMode) -> Sort {
    match mode {
        SortMode::NoSort => Sort::None,
        SortMode::RowSort => Sort::Rows,
        SortMode::ValueSort => Sort::Values,
    }
}

fn short(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES_MAX);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::engine::Cell;
    use super::*;

    /// Answers by the text of the statement.
    struct Fixed(Vec<(&'static str, Result<Answer, EngineError>)>);

    impl Engine for Fixed {
        fn run(&mut self, connection: &str, sql: &str) -> Result<Answer, EngineError> {
            assert!(connection == "default" || connection == "other");
            self.0.iter().find(|(known, _)| *known == sql).expect("the statement is known").1.clone()
        }
    }

    fn rows(rows: &[&[&str]]) -> Result<Answer, EngineError> {
        let cells = rows.iter().map(|row| row.iter().map(|text| Cell::Number((*text).to_owned())).collect());
        Ok(Answer::Rows { columns_count: rows.first().map_or(1, |row| row.len()), rows: cells.collect() })
    }

    fn report(script: &str) -> Report {
        let error = EngineError { sqlstate: "22012".to_owned(), message: "division by zero".to_owned() };
        let mut engine = Fixed(vec![
            ("one", rows(&[&["1"]])),
            ("two", rows(&[&["2"]])),
            ("pairs", rows(&[&["3", "4"], &["1", "2"]])),
            ("none", rows(&[])),
            ("done", Ok(Answer::Done(3))),
            ("fails", Err(error)),
        ]);
        run_text(script, "script", &mut engine, &mut || ()).unwrap()
    }

    fn groups(script: &str) -> Vec<(String, String)> {
        report(script).failures.into_iter().map(|failure| (failure.place, failure.group)).collect()
    }

    #[test]
    fn both_forms_of_results_are_read() {
        assert_eq!(groups("query II nosort\npairs\n----\n3\n4\n1\n2\n"), []);
        assert_eq!(groups("query II nosort\npairs\n----\n3 4\n1   2\n"), []);
        assert_eq!(groups("query II rowsort\npairs\n----\n1\n2\n3\n4\n"), []);
        assert_eq!(groups("query II valuesort\npairs\n----\n1\n2\n3\n4\n"), []);
        assert_eq!(groups("query I\nnone\n----\n\n"), []);
        assert_eq!(
            groups("control resultmode valuewise\n\nquery II\npairs\n----\n3 4\n1 2\n")[0].1,
            "wrong answer"
        );
        assert_eq!(
            groups("query II nosort\npairs\n----\n1\n2\n3\n4\n")[0].1,
            "right values in a wrong order"
        );
    }

    #[test]
    fn many_values_are_hashed() {
        let script = |hash: &str| format!("hash-threshold 8\n\nquery II rowsort\npairs\n----\n{hash}\n");
        // printf '1\n2\n3\n4\n' | md5sum
        assert_eq!(groups(&script("4 values hashing to 302c28003d487124d97c242de94da856")), []);
        assert_eq!(
            groups(&script("4 values hashing to 00000000000000000000000000000000"))[0].1,
            "wrong answer"
        );
    }

    #[test]
    fn answers_with_one_label_are_equal() {
        let script = "query I nosort label-1\none\n----\n1\n\nquery I nosort label-1\ntwo\n----\n2\n\nquery I nosort label-2\ntwo\n----\n2\n\nquery I nosort label-1\none\n----\n1\n";
        let failures = groups(script);
        assert_eq!(
            failures,
            [("script:6".to_owned(), "an answer with this label was another one".to_owned())]
        );
    }

    #[test]
    fn errors_are_told_from_answers() {
        let report = report(
            "statement error\nfails\n\nstatement error division\nfails\n\nstatement error (22012)\nfails\n\n\
             statement error (22003)\nfails\n\nstatement error\ndone\n\nstatement ok\nfails\n\nstatement count 3\ndone\n\n\
             statement count 4\ndone\n\nquery I\nfails\n----\n1\n\nquery I\ndone\n----\n1\n\nquery II\none\n----\n1\n",
        );
        assert_eq!(report.passed_count, 4);
        let groups: Vec<&str> = report.failures.iter().map(|failure| failure.group.as_str()).collect();
        assert_eq!(
            groups,
            [
                "another error was expected",
                "an error was expected",
                "22012 division by zero",
                "wrong count of rows",
                "22012 division by zero",
                "no answer",
                "wrong number of columns"
            ]
        );
        assert_eq!(report.failures[2].place, "script:16");
    }

    #[test]
    fn what_other_engines_are_asked_is_skipped() {
        let script = "skipif postgresql # no\nquery I\none\n----\n2\n\nonlyif mysql\nquery I\none\n----\n2\n\n\
                      onlyif postgresql\nquery I\none\n----\n1\n\nonlyif sqlite\nhalt\n\nconnection other\nstatement ok\none\n\n\
                      skipif sqlite\nhalt\n\nquery I\none\n----\n2\n";
        let report = report(script);
        assert_eq!((report.passed_count, report.skipped_count, report.failures.len()), (2, 2, 0));
    }

    #[test]
    fn a_text_that_is_no_script_is_refused() {
        let mut engine = Fixed(Vec::new());
        for text in ["nonsense\n", "system ok\necho 1\n", "query I nosort\n"] {
            assert!(run_text(text, "script", &mut engine, &mut || ()).is_err(), "{text}");
        }
    }
}

//! Files and queries over them, under limits.
//!
//! It checks
//!
//! - **reading**: cells that this file's own writer has quoted come back as they were, in order, each row of them;
//! - **foreign bytes**: any bytes at all as a file, with or without a schema, give rows or an error, never a panic;
//! - **limits**: a query under a limit gives the same rows as without one, or the typed refusal, and the next
//!   statement on the same connection does not notice;
//! - **baseline**: when a statement has ended, the database's budget holds what it held before.
//!
//! # Panics
//! When one of these does not hold.

use crate::{Decisions, sql_parse};
use cofferdam::{Connection, Database, Error, Options, Type};
use std::path::PathBuf;

const COLUMNS_MAX: usize = 6;
const ROWS_MAX: usize = 40;
/// Far more than any query here needs.
const PLENTY_BYTES: u64 = 64 << 20;
/// Rows of an answer that are compared; a cross join of cross joins may have many more.
const COMPARED_MAX: usize = 2000;

/// Checks a file and queries that `data` chooses.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    let file = TemporaryFile::new();
    match decisions.byte() % 4 {
        0 => {
            file.write(&data[data.len().min(1)..]);
            check_foreign(&file, &mut decisions);
        }
        1 => check_cells(&file, &mut decisions),
        _ => check_queries(&file, &mut decisions),
    }
}

/// A file of this process, removed at the end.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new() -> TemporaryFile {
        TemporaryFile(std::env::temp_dir().join(format!("cofferdam-fuzz-{}.csv", std::process::id())))
    }

    fn write(&self, bytes: &[u8]) {
        std::fs::write(&self.0, bytes).expect("the temporary directory takes a small file");
    }

    fn name(&self) -> &str {
        self.0.to_str().expect("the temporary directory's path is text")
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

fn connect(limit_bytes: u64) -> Result<Connection, Error> {
    Database::open_in_memory(Options::new().memory_limit(limit_bytes))?.connect()
}

/// What the database's connections and statements hold, in bytes.
fn held(connection: &Connection) -> u64 {
    let mut nodes = connection.database().budget().walk();
    nodes.find(|node| node.name.as_str() == "db").expect("a database has such a node").used_bytes
}

/// The answer as text, at most [`COMPARED_MAX`] rows of it, or the error. The budget is as before in the end.
fn answer(connection: &Connection, sql: &str) -> Result<Vec<String>, (String, String)> {
    let used_bytes = held(connection);
    let outcome = connection.query(sql, |rows| {
        let mut lines = Vec::new();
        while let Some(row) = rows.next_row()? {
            let cells: Vec<String> = row.values().map(|value| value.to_string()).collect();
            lines.push(cells.join("\u{1f}"));
            if lines.len() == COMPARED_MAX {
                break;
            }
        }
        Ok(lines)
    });
    assert_eq!(held(connection), used_bytes, "memory is left behind by {sql}");
    outcome.map_err(|error| {
        assert_eq!(error.sqlstate().len(), 5, "{error}");
        assert!(!error.to_string().is_empty());
        assert_eq!(error.out_of_memory().is_some(), error.sqlstate() == "53200", "{error}");
        (error.sqlstate().to_string(), error.to_string())
    })
}

fn check_foreign(file: &TemporaryFile, decisions: &mut Decisions<'_>) {
    let connection = connect(PLENTY_BYTES).expect("room for a database");
    let name = file.name();
    let with_schema =
        ["", " AS t(a integer, b text)", " AS t(a date, b boolean, c decimal(10, 2), d double precision)"]
            [decisions.below(3)];
    _ = answer(&connection, &format!("SELECT * FROM '{name}'{with_schema}"));
    _ = answer(&connection, &format!("SELECT count(*), min(a) FROM '{name}'{with_schema} ORDER BY 1"));
    assert_eq!(answer(&connection, "SELECT 1").as_deref(), Ok(&["1".to_string()][..]));
}

/// A cell: letters, what a delimited file must quote, and what needs several bytes.
fn cell(decisions: &mut Decisions<'_>) -> String {
    const PARTS: [&str; 16] = [
        "a",
        "B",
        "7",
        " ",
        ",",
        "\"",
        "\n",
        "\r\n",
        "|",
        "'",
        "\u{e9}",
        "\u{1f389}",
        "NULL",
        "\t",
        ";",
        "\\",
    ];
    let mut text = String::new();
    for _ in 0..decisions.below(6) {
        text.push_str(PARTS[decisions.below(PARTS.len())]);
    }
    // The odd one is longer than any buffer's first guess.
    if decisions.one_in(64) { text.repeat(1 + decisions.size() / 4) } else { text }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn check_cells(file: &TemporaryFile, decisions: &mut Decisions<'_>) {
    let columns_count = 1 + decisions.below(COLUMNS_MAX);
    let line_end = if decisions.one_in(4) { "\r\n" } else { "\n" };
    let (mut text, mut expected) = (String::new(), Vec::new());
    for column in 0..columns_count {
        text.push_str(if column > 0 { "," } else { "" });
        text.push_str(&format!("c{column}"));
    }
    text.push_str(line_end);
    let rows_count = decisions.below(ROWS_MAX);
    for row in 0..rows_count {
        let cells: Vec<String> = (0..columns_count).map(|_| cell(decisions)).collect();
        let fields: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        text.push_str(&fields.join(","));
        if row + 1 < rows_count || !decisions.one_in(4) {
            text.push_str(line_end);
        }
        expected.push(cells.join("\u{1f}"));
    }
    file.write(text.as_bytes());
    let schema: Vec<String> = (0..columns_count).map(|column| format!("c{column} text")).collect();
    let connection = connect(PLENTY_BYTES).expect("room for a database");
    let sql = format!("SELECT * FROM '{}' AS t({})", file.name(), schema.join(", "));
    let read = answer(&connection, &sql).unwrap_or_else(|(_, error)| panic!("{error}\nfor the file\n{text}"));
    assert_eq!(read, expected, "the file\n{text}");
}

/// Tables `t`, `u` and `v` with columns `a` and `b` in one file, and a query that knows these names.
fn check_queries(file: &TemporaryFile, decisions: &mut Decisions<'_>) {
    let mut text = String::from("a,b\n");
    for _ in 0..decisions.below(ROWS_MAX) {
        let number = i32::from(decisions.short()) - 0x4000;
        match decisions.byte() % 8 {
            0 => text.push_str(&format!(",{number}\n")),
            1 => text.push_str(&format!("{number},\n")),
            _ => text.push_str(&format!("{},x{number}\n", number % 7)),
        }
    }
    file.write(text.as_bytes());
    let mut sql = String::new();
    sql_parse::write_query(decisions, &mut sql, 0);
    let register = |connection: &mut Connection| {
        ["t", "u", "v"].into_iter().try_for_each(|name| {
            connection.register_file(name, &file.0, Some(&[("a", Type::Integer), ("b", Type::Text)]))
        })
    };
    let mut ample = connect(PLENTY_BYTES).expect("room for a database");
    register(&mut ample).expect("room for three names");
    let wanted = answer(&ample, &sql);
    let limit_bytes = (2 << 20) + 1024 * u64::from(decisions.short() % 4096);
    let Ok(mut tight) = connect(limit_bytes) else { return };
    if register(&mut tight).is_err() {
        return;
    }
    match answer(&tight, &sql) {
        Err((sqlstate, _)) if sqlstate == "53200" => {}
        outcome => assert_eq!(outcome, wanted, "under {limit_bytes} bytes: {sql}\nover\n{text}"),
    }
    assert_eq!(answer(&tight, "SELECT 1").as_deref(), Ok(&["1".to_string()][..]));
}

//! `cofferdam check`: everything that is wrong with a database, as a table.

use std::io::{self, Write};
use std::path::Path;

use cofferdam::{Column, Type, Value, human_bytes};
use cofferdam_store::{Checked, Finding, Problem, Remains, Table, check};

use super::{Out, Stopped, Tool, counted, ended, output, run as run_tool, through, watched};
use crate::FAILED;
use crate::args::{Check, Limits};
use crate::format::sheet::{Sheet, Sheets};
use crate::sql::progress::Progress;

const COLUMNS: [Column<'static>; 6] = [
    Column { name: "kind", ty: Type::Text },
    Column { name: "file", ty: Type::Text },
    Column { name: "byte", ty: Type::BigInt },
    Column { name: "table", ty: Type::Text },
    Column { name: "key", ty: Type::Text },
    Column { name: "what", ty: Type::Text },
];

/// Checks a database. Gives the exit code.
///
/// # Errors
/// The output takes no more.
pub(crate) fn run(check: &Check, limits: Limits, show_memory: bool) -> io::Result<u8> {
    run_tool(limits, show_memory, &check.path, |tool| {
        let mut sheets = Sheets::new(false, output());
        let checked = look(tool, &check.path, &mut sheets)?;
        let out = sheets.out();
        if checked.problems_count + checked.remains_count > 0 {
            writeln!(out)?;
        }
        summary(&checked, out)?;
        sheets.end()?;
        Ok(if checked.problems_count > 0 { FAILED } else { 0 })
    })
}

/// Checks a database and writes what is found, if anything is.
///
/// # Errors
/// Those of the check; the output takes no more.
pub(super) fn look(tool: &Tool, path: &Path, sheets: &mut Sheets<Out>) -> Result<Checked, Stopped> {
    let progress = Progress::of_work();
    let (mut checked, mut failure) = (Checked::default(), None);
    let title = format!("findings in {}", path.display());
    // A table appears with its first row: most databases have nothing to tell.
    sheets
        .sheet_if_any(&title, &COLUMNS, &tool.budget, |sheet| {
            let outcome = watched(&progress, |watch| {
                check(&tool.vfs, path, &tool.budget, watch, &mut |finding| {
                    through(&mut failure, progress.suspend(|| row(sheet, finding)))
                })
            });
            checked = ended(outcome, failure.take())?;
            Ok(())
        })
        .map(|()| checked)
}

fn row(sheet: &mut Sheet<'_, '_, Out>, finding: &Finding<'_>) -> io::Result<()> {
    match finding {
        Finding::Problem(problem) => problem_row(sheet, problem),
        Finding::Remains(remains) => remains_row(sheet, remains),
    }
}

fn problem_row(sheet: &mut Sheet<'_, '_, Out>, problem: &Problem<'_>) -> io::Result<()> {
    let file = problem.file.map(|file| file.to_string());
    let what = problem.fault.to_string();
    let key = problem.key.as_str();
    sheet.row(&[
        Value::Text("problem"),
        file.as_deref().map_or(Value::Null, Value::Text),
        problem.offset.map_or(Value::Null, number),
        problem.table.map_or(Value::Null, |table: &Table| Value::Text(table.name())),
        if key.is_empty() { Value::Null } else { Value::Text(key) },
        Value::Text(&what),
    ])
}

fn remains_row(sheet: &mut Sheet<'_, '_, Out>, remains: &Remains) -> io::Result<()> {
    let (file, what) = (remains.file.to_string(), remains.kind.to_string());
    let (file, what, offset) = (Value::Text(&file), Value::Text(&what), number(remains.offset));
    sheet.row(&[Value::Text("left by a crash"), file, offset, Value::Null, Value::Null, what])
}

fn number(number: u64) -> Value<'static> {
    Value::BigInt(i64::try_from(number).unwrap_or(i64::MAX))
}

/// One line of what was looked at.
pub(super) fn summary(checked: &Checked, out: &mut impl Write) -> io::Result<()> {
    let Checked { tables_count, indexes_count, segments_count, rows_count, transactions_count, .. } =
        *checked;
    match checked.problems_count {
        0 => write!(out, "no problems")?,
        count => write!(out, "{}", counted(count, "problem", "problems"))?,
    }
    write!(
        out,
        ": {}, {}, {}, {}, {}",
        counted(tables_count, "table", "tables"),
        counted(indexes_count, "index", "indexes"),
        counted(segments_count, "segment", "segments"),
        counted(rows_count, "row", "rows"),
        counted(transactions_count, "transaction in logs", "transactions in logs"),
    )?;
    match checked.unused_bytes {
        0 => writeln!(out),
        bytes => writeln!(out, "; {} unused", human_bytes(bytes)),
    }
}

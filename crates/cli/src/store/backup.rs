//! `cofferdam backup`: a copy of a database, checked.

use std::io::{self, Write};

use cofferdam::human_bytes;
use cofferdam_store::{Backup as Copied, Error, Options, Store, backup};

use super::check::{look, summary};
use super::{Tool, counted, exit_code, output, run as run_tool, watched};
use crate::FAILED;
use crate::args::{Backup, Limits};
use crate::format::sheet::Sheets;
use crate::sql::progress::Progress;

const OPEN_ELSEWHERE: &str = "the process that has it open can copy it while others write, with the library's call `cofferdam_store::backup`";

/// Copies a database. Gives the exit code.
///
/// # Errors
/// The output takes no more.
pub(crate) fn run(arguments: &Backup, limits: Limits, show_memory: bool) -> io::Result<u8> {
    run_tool(limits, show_memory, &arguments.path, |tool| {
        let store = Store::open(&tool.vfs, &arguments.path, &tool.budget, &Options::new().create(false));
        let store = match store {
            Err(error @ Error::Locked) => {
                tool.report(arguments.path.display(), &error, Some(OPEN_ELSEWHERE));
                return Ok(FAILED);
            }
            store => store?,
        };
        let copied = copy(tool, &store, arguments);
        store.close()?;
        let copied = match copied {
            Err(error) if !matches!(error, Error::Cancelled) => return Ok(failed(tool, arguments, &error)),
            copied => copied?,
        };
        let mut sheets = Sheets::new(false, output());
        let files = counted(copied.files_count, "file", "files");
        let (bytes, sequence) = (human_bytes(copied.bytes), copied.sequence);
        writeln!(
            sheets.out(),
            "{}: {files} of segments, {bytes}, as of sequence {sequence}",
            arguments.to.display()
        )?;
        let mut code = 0;
        if !arguments.no_check {
            let checked = look(tool, &arguments.to, &mut sheets)?;
            summary(&checked, sheets.out())?;
            code = if checked.problems_count > 0 { FAILED } else { 0 };
        }
        sheets.end()?;
        Ok(code)
    })
}

fn copy(tool: &Tool, store: &Store, arguments: &Backup) -> Result<Copied, Error> {
    let progress = Progress::of_work();
    watched(&progress, |watch| backup(store, &tool.vfs, &arguments.to, watch))
}

/// Tells why there is no copy, and gives the exit code.
fn failed(tool: &Tool, arguments: &Backup, error: &Error) -> u8 {
    let (from, to) = (arguments.path.display(), arguments.to.display());
    match error {
        Error::NotEmpty | Error::Locked => tool.report(to, error, None),
        _ => tool.report(format_args!("copying {from} to {to}"), error, None),
    }
    exit_code(error)
}

//! The demo's database: made in the directory of the files, and filled from them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use cofferdam::{human_bytes, statements};
use cofferdam_tpch::{SCHEMA, Table};

use super::failed;
use crate::interrupt;
use crate::session::Session;

/// What an earlier run has left.
const DROP: &str =
    "DROP TABLE IF EXISTS region, nation, supplier, part, partsupp, customer, orders, lineitem";

/// The database in the directory of the files.
pub(super) fn database(directory: &Path) -> PathBuf {
    directory.join("database")
}

/// The size of the files in bytes.
///
/// # Errors
/// A file is missing.
pub(super) fn files_bytes(directory: &Path) -> io::Result<u64> {
    Table::ALL.iter().map(|table| Ok(directory.join(format!("{}.tbl", table.name())).metadata()?.len())).sum()
}

/// Makes the tables, copies the files into them, and shows how long that takes; gives whether all went well.
///
/// # Errors
/// The output takes no more.
pub(super) fn load(session: &mut Session, directory: &Path) -> io::Result<bool> {
    let run = |session: &mut Session, name: &str, sql: &str| match session.connection().execute(sql) {
        Ok(rows_count) => Ok(Some(rows_count)),
        Err(error) => failed(session, name, sql, &error).map(|_| None),
    };
    if run(session, "schema", DROP)?.is_none() {
        return Ok(false);
    }
    for span in statements(SCHEMA) {
        let (start, end) = (span.start as usize, (span.start + span.len) as usize);
        if run(session, "schema", &SCHEMA[start..end])?.is_none() {
            return Ok(false);
        }
    }
    for table in Table::ALL {
        if interrupt::exit_code().is_some() {
            return Ok(false);
        }
        let started = Instant::now();
        let name = table.name();
        let path = directory.join(format!("{name}.tbl"));
        let path = path.to_str().ok_or_else(|| io::Error::other("the directory's name is not UTF-8"))?;
        let copy = format!("COPY {name} FROM '{}'", path.replace('\'', "''"));
        let Some(rows_count) = run(session, name, &copy)? else { return Ok(false) };
        let seconds = started.elapsed().as_secs_f64();
        writeln!(session.out(), "{name}: {rows_count} rows loaded in {seconds:.2} s")?;
    }
    writeln!(session.out(), "{} on disk\n", human_bytes(size(&database(directory))?))?;
    session.out().flush()?;
    Ok(true)
}

/// The bytes of a directory's files.
fn size(directory: &Path) -> io::Result<u64> {
    directory.read_dir()?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

//! How rows are written: aligned for people, RFC 4180, JSON. Each in constant memory.

mod csv;
pub(crate) mod escaped;
mod json;
pub(crate) mod sheet;
mod table;

use std::io::{self, Write};

use cofferdam::{Budget, Error, Rows};

use crate::args::Mode;

/// Why rows were not written to the end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The statement failed.
    Statement(Box<Error>),
    /// The output takes no more.
    Output(io::Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Stopped {
        Stopped::Statement(Box::new(error))
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Output(error)
    }
}

/// Writes all rows to `out`. The rows that column widths are fitted to are held under a child of `budget`.
///
/// # Errors
/// [`Stopped`]; what was written before stays written.
pub(crate) fn write_rows(
    rows: &mut Rows<'_>,
    mode: Mode,
    budget: &Budget,
    out: &mut impl Write,
) -> Result<(), Stopped> {
    match mode {
        Mode::Table => table::write(rows, budget, out),
        Mode::Csv => csv::write(rows, out),
        Mode::Json => json::write(rows, out),
    }
}

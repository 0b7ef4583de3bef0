//! How rows are written: aligned for people, RFC 4180, JSON. Each in constant memory.

mod csv;
pub(crate) mod escaped;
mod json;
pub(crate) mod sheet;
mod table;

use std::io::{self, Write};

use cofferdam::{Budget, Error, Rows, StatementKind};

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
    // What a statement writes itself is as it says.
    if rows.kind() == StatementKind::CopyTo && !rows.columns().is_empty() {
        return copied(rows, out);
    }
    match mode {
        Mode::Table => table::write(rows, budget, out),
        Mode::Csv => csv::write(rows, out),
        Mode::Json => json::write(rows, out),
    }
}

fn copied(rows: &mut Rows<'_>, out: &mut impl Write) -> Result<(), Stopped> {
    let mut out = Remembering { out, error: None };
    match rows.write_to(&mut out) {
        Ok(_) => Ok(()),
        Err(error) => Err(out.error.map_or_else(|| error.into(), Stopped::Output)),
    }
}

/// An output that remembers why it takes no more.
struct Remembering<'o, W> {
    out: &'o mut W,
    error: Option<io::Error>,
}

impl<W: Write> Write for Remembering<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| {
            let kind = error.kind();
            // Such a write is done again.
            self.error = (kind != io::ErrorKind::Interrupted).then_some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

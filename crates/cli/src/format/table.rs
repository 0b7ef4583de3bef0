//! Aligned columns in psql's style. Widths are fitted to the first rows, which are held until they are known; all later
//! rows go straight out, so a million rows print in the memory of the first [`WINDOW_ROWS`].
//!
//! Numbers stand at the right. A text with line breaks or other control characters shows them as escapes; a cell that is
//! wider than its column is printed in full and pushes the rest of its row to the right.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

use cofferdam::{Batch, Budget, Column, Rows, StatementKind, Type, Value};
use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use unicode_width::UnicodeWidthChar;

use super::Stopped;
use super::escaped::Escaped;

/// The rows that widths are fitted to.
const WINDOW_ROWS: usize = 200;
/// All that the window may hold; when it is full, fewer rows are fitted.
pub(super) const WINDOW_BYTES: u64 = 128 << 10;
/// The widest that a column is made.
const WIDTH_MAX: usize = 100;

pub(super) fn write(rows: &mut Rows<'_>, budget: &Budget, out: &mut impl Write) -> Result<(), Stopped> {
    if !rows.kind().has_answer() {
        while rows.next_batch()?.is_some() {}
        // A setting is silent, as it always was; SHOW tells it.
        return match rows.kind() {
            StatementKind::Set => Ok(()),
            _ => Ok(writeln!(out, "{}", rows.command_tag())?),
        };
    }
    // Without room for a window, widths are those of the names.
    let budget = budget.child("output", WINDOW_BYTES).unwrap_or_else(|_| budget.clone());
    let arena = Arena::new(&budget);
    let mut window = Window::new(rows.columns(), &arena);
    let mut rows_count = 0;
    let mut is_open = true;
    while let Some(batch) = rows.next_batch()? {
        let mut held = 0;
        if is_open {
            held = window.hold(&batch);
            is_open = held == batch.rows_count();
            if !is_open {
                window.print(out)?;
            }
        }
        for row in batch.rows().skip(held) {
            window.row(row.values(), out)?;
        }
        rows_count += batch.rows_count() as u64;
    }
    if is_open {
        window.print(out)?;
    }
    Ok(count_rows(rows_count, out)?)
}

/// The line below a table.
pub(super) fn count_rows(rows_count: u64, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "({rows_count} row{})", if rows_count == 1 { "" } else { "s" })
}

/// The first rows of an answer, and the widths that fit them.
pub(super) struct Window<'w> {
    arena: &'w Arena,
    columns: &'w [Column<'w>],
    cells: Vec<'w, &'w str>,
    /// One per column, or none where there was no room for them.
    widths: &'w mut [usize],
}

impl<'w> Window<'w> {
    pub(super) fn new(columns: &'w [Column<'w>], arena: &'w Arena) -> Window<'w> {
        let name_width = |index: usize| width_of(columns[index].name).min(WIDTH_MAX);
        let widths = arena.alloc_slice_fill_with(columns.len(), name_width).unwrap_or_default();
        Window { arena, columns, cells: Vec::new_in(arena), widths }
    }

    /// Keeps rows of a batch while there is room, and gives how many.
    fn hold(&mut self, batch: &Batch<'_>) -> usize {
        if self.columns.is_empty() {
            return 0;
        }
        for (index, row) in batch.rows().enumerate() {
            if !self.hold_one(row.values()) {
                return index;
            }
        }
        batch.rows_count()
    }

    /// Keeps a row, if there is room.
    pub(super) fn hold_one<'v>(&mut self, values: impl Iterator<Item = Value<'v>>) -> bool {
        let whole = self.cells.len();
        let is_full = whole / self.columns.len().max(1) == WINDOW_ROWS;
        let is_held = !is_full && self.hold_row(values).is_ok();
        if !is_held {
            self.cells.truncate(whole);
        }
        is_held
    }

    fn hold_row<'v>(&mut self, values: impl Iterator<Item = Value<'v>>) -> Result<(), AllocError> {
        for (index, value) in values.enumerate() {
            let cell = self.arena.alloc_fmt(format_args!("{}", Escaped(value)))?;
            self.cells.push(cell)?;
            if let Some(width) = self.widths.get_mut(index) {
                *width = (*width).max(width_of(cell).min(WIDTH_MAX));
            }
        }
        Ok(())
    }

    fn width(&self, index: usize) -> usize {
        self.widths.get(index).copied().unwrap_or_else(|| width_of(self.columns[index].name))
    }

    /// The header and the rows that were kept.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        self.line(self.columns.iter().map(|column| column.name), |_| Align::Center, out)?;
        for index in 0..self.columns.len() {
            write!(out, "{}{:-<2$}", if index > 0 { "+" } else { "" }, "", self.width(index) + 2)?;
        }
        writeln!(out)?;
        for row in self.cells.chunks(self.columns.len().max(1)) {
            self.line(row.iter().copied(), |index| align(self.columns[index].ty), out)?;
        }
        Ok(())
    }

    pub(super) fn row<'v>(
        &self,
        values: impl Iterator<Item = Value<'v>>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        self.line(values, |index| align(self.columns[index].ty), out)
    }

    fn line<T: Display>(
        &self,
        cells: impl Iterator<Item = T>,
        align: impl Fn(usize) -> Align,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let last = self.columns.len().saturating_sub(1);
        for (index, cell) in cells.enumerate() {
            let cell = Escaped(cell);
            let padding = self.width(index).saturating_sub(width_of(&cell));
            let (before, after) = match align(index) {
                Align::Left => (0, padding),
                Align::Right => (padding, 0),
                Align::Center => (padding / 2, padding - padding / 2),
            };
            write!(out, "{} {:before$}{cell}", if index > 0 { " |" } else { "" }, "")?;
            if index < last {
                write!(out, "{:after$}", "")?;
            }
        }
        writeln!(out)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
    Center,
}

fn align(ty: Type) -> Align {
    if ty.is_numeric() { Align::Right } else { Align::Left }
}

/// Columns of a terminal that a value takes.
fn width_of(value: impl Display) -> usize {
    struct Counter(usize);
    impl fmt::Write for Counter {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += match text.is_ascii() {
                true => text.len(),
                false => text.chars().map(|c| c.width().unwrap_or(0)).sum(),
            };
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // Counting does not fail.
    let _ = write!(counter, "{value}");
    counter.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_a_terminal() {
        assert_eq!((width_of("abc"), width_of("é"), width_of("日本"), width_of(7)), (3, 1, 4, 1));
    }
}

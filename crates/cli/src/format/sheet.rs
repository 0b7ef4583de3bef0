//! Rows that are no statement's answer, shown like one: as tables with titles, or as one JSON object with an array for each.

use std::io::{self, Write};

use cofferdam::{Budget, Column, Value};
use cofferdam_arena::Arena;

use super::json;
use super::table::{WINDOW_BYTES, Window, count_rows};

/// Tables that follow one another.
pub(crate) struct Sheets<W: Write> {
    out: W,
    is_json: bool,
    sheets_count: usize,
}

/// A table that is being written.
pub(crate) struct Sheet<'s, 'w, W: Write> {
    sheets: &'s mut Sheets<W>,
    /// To be written before the first row.
    title: Option<&'s str>,
    columns: &'w [Column<'w>],
    /// The first rows, until they are shown.
    window: Option<Window<'w>>,
    /// With the widths, from then on.
    shown: Option<Window<'w>>,
    rows_count: u64,
}

impl<W: Write> Sheets<W> {
    /// None yet.
    pub(crate) fn new(is_json: bool, out: W) -> Sheets<W> {
        Sheets { out, is_json, sheets_count: 0 }
    }

    /// Writes a table: `fill` gives its rows. The first rows are held below `budget` until widths are known.
    ///
    /// # Errors
    /// Those of the output and of `fill`.
    pub(crate) fn sheet<E: From<io::Error>>(
        &mut self,
        title: &str,
        columns: &[Column<'_>],
        budget: &Budget,
        fill: impl FnOnce(&mut Sheet<'_, '_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.begin(title)?;
        self.fill(None, columns, budget, fill)
    }

    /// [`Sheets::sheet`] of which nothing is seen where it has no rows.
    ///
    /// # Errors
    /// As [`Sheets::sheet`].
    pub(crate) fn sheet_if_any<E: From<io::Error>>(
        &mut self,
        title: &str,
        columns: &[Column<'_>],
        budget: &Budget,
        fill: impl FnOnce(&mut Sheet<'_, '_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.fill(Some(title), columns, budget, fill)
    }

    fn begin(&mut self, title: &str) -> io::Result<()> {
        let is_first = self.sheets_count == 0;
        self.sheets_count += 1;
        if self.is_json {
            self.out.write_all(if is_first { b"{" } else { b",\n" })?;
            json::string(title, &mut self.out)?;
            return self.out.write_all(b":[");
        }
        writeln!(self.out, "{}{title}", if is_first { "" } else { "\n" })
    }

    fn fill<E: From<io::Error>>(
        &mut self,
        title: Option<&str>,
        columns: &[Column<'_>],
        budget: &Budget,
        fill: impl FnOnce(&mut Sheet<'_, '_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        // Without room for a window, widths are those of the names.
        let budget = budget.child("output", WINDOW_BYTES).unwrap_or_else(|_| budget.clone());
        let arena = Arena::new(&budget);
        let window = (!self.is_json).then(|| Window::new(columns, &arena));
        let mut sheet = Sheet { sheets: self, title, columns, window, shown: None, rows_count: 0 };
        let outcome = fill(&mut sheet);
        sheet.end()?;
        outcome
    }

    /// Ends the last table.
    ///
    /// # Errors
    /// Those of the output.
    pub(crate) fn end(mut self) -> io::Result<()> {
        if self.is_json {
            self.out.write_all(if self.sheets_count == 0 { b"{}\n" } else { b"}\n" })?;
        }
        self.out.flush()
    }

    /// Where it is written to, between tables.
    pub(crate) fn out(&mut self) -> &mut W {
        &mut self.out
    }
}

impl<W: Write> Sheet<'_, '_, W> {
    /// Writes a row, or holds it until the widths of columns are known.
    ///
    /// # Errors
    /// Those of the output.
    pub(crate) fn row(&mut self, values: &[Value<'_>]) -> io::Result<()> {
        debug_assert_eq!(values.len(), self.columns.len());
        self.rows_count += 1;
        if let Some(title) = self.title.take() {
            self.sheets.begin(title)?;
        }
        if self.sheets.is_json {
            self.sheets.out.write_all(if self.rows_count == 1 { b"\n" } else { b",\n" })?;
            return json::object(self.columns, values.iter().copied(), &mut self.sheets.out);
        }
        if let Some(window) = &mut self.window {
            if window.hold_one(values.iter().copied()) {
                return Ok(());
            }
            self.show()?;
        }
        match &self.shown {
            Some(window) => window.row(values.iter().copied(), &mut self.sheets.out),
            None => Ok(()),
        }
    }

    /// Shows the rows that were held.
    fn show(&mut self) -> io::Result<()> {
        if let Some(window) = self.window.take() {
            window.print(&mut self.sheets.out)?;
            self.shown = Some(window);
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<()> {
        if self.title.is_some() {
            return Ok(());
        }
        if self.sheets.is_json {
            return self.sheets.out.write_all(if self.rows_count == 0 { b"]" } else { b"\n]" });
        }
        self.show()?;
        count_rows(self.rows_count, &mut self.sheets.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam::Type;

    fn written(is_json: bool, rows: i64) -> String {
        let budget = Budget::unlimited("process").unwrap();
        let column = |name, ty| Column { name, ty };
        let columns = [column("name", Type::Text), column("rows", Type::BigInt)];
        let mut bytes = Vec::new();
        let mut sheets = Sheets::new(is_json, &mut bytes);
        for title in ["tables", "others"] {
            let fill = |sheet: &mut Sheet<'_, '_, &mut Vec<u8>>| -> io::Result<()> {
                (0..rows).try_for_each(|row| sheet.row(&[Value::Text("a"), Value::BigInt(row * 100)]))
            };
            sheets.sheet(title, &columns, &budget, fill).unwrap();
        }
        sheets.end().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn sheets_are_tables_with_titles() {
        let table = " name | rows\n------+------\n";
        assert_eq!(
            written(false, 2),
            format!(
                "tables\n{table} a    |    0\n a    |  100\n(2 rows)\n\nothers\n{table} a    |    0\n a    |  100\n(2 rows)\n"
            )
        );
        assert_eq!(written(false, 0), format!("tables\n{table}(0 rows)\n\nothers\n{table}(0 rows)\n"));
        let many = written(false, 1000);
        assert_eq!(many.lines().count(), 2 * 1004 + 1);
        assert!(many.contains("\n a    | 99900\n"));
    }

    #[test]
    fn sheets_are_one_json_object() {
        let rows = "[\n{\"name\":\"a\",\"rows\":0},\n{\"name\":\"a\",\"rows\":100}\n]";
        assert_eq!(written(true, 2), format!("{{\"tables\":{rows},\n\"others\":{rows}}}\n"));
        assert_eq!(written(true, 0), "{\"tables\":[],\n\"others\":[]}\n");
    }
}

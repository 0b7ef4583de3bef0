//! Many rows into one table.
//!
//! ```text
//!   append(row) ──> block: some rows as bytes ──full──> INSERT INTO t VALUES ($1, $2), ($3, $4), …   planned once
//!                                             ──rest──> INSERT INTO t VALUES ($1, $2)                planned once
//! ```
//!
//! Rows go the way of every `INSERT`, with its conversions, defaults and checks, but nothing is parsed or planned for them, and a
//! block of rows is one run. Where there is no memory for the plan of a block, rows go one by one.
//!
//! **Memory.** Two plans, below `prepared`, and the block, below `appender`: at most 256 values and, unless one row is longer, 64 KiB of
//! bytes, whatever the number of rows.

use std::fmt;

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Arena, Budget, BudgetAlloc};
use cofferdam_types::row::{decode_row, encode_row, row_bytes};
use cofferdam_types::{Type, Value};

use crate::connection::Connection;
use crate::error::Error;
use crate::guard::Transaction;
use crate::params::Params;
use crate::prepared::Prepared;

/// The most values of a block, and
const BLOCK_VALUES_MAX: usize = 256;
/// the bytes of values at which it goes to the table.
const BLOCK_BYTES_MAX: usize = 64 << 10;

/// Puts many rows into a table, from [`Connection::appender`].
///
/// Outside of a transaction it begins one, which [`Appender::finish`] commits; without that nothing has been put anywhere. In a
/// transaction it is a part of that.
///
/// ```
/// use cofferdam::{Database, Options};
///
/// let connection = Database::open_in_memory(Options::new())?.connect()?;
/// connection.execute("CREATE TABLE t (id integer PRIMARY KEY, name text, day date DEFAULT '2024-01-01')")?;
/// let mut appender = connection.appender_of("t", &["id", "name"])?;
/// for id in 0..1000 {
///     appender.append((id, format!("row {id}")))?;
/// }
/// assert_eq!(appender.finish()?, 1000);
/// let name: String = connection.query_row("SELECT name FROM t WHERE id = 999", |row| row.get(0))?;
/// assert_eq!(name, "row 999");
/// # Ok::<(), cofferdam::Error>(())
/// ```
pub struct Appender<'c> {
    /// Before the transaction: what they hold goes first.
    single: Prepared<'c>,
    /// With the number of its rows.
    block: Option<(Prepared<'c>, usize)>,
    pending: Pending,
    /// Rows that have gone to the table.
    rows_count: u64,
    has_failed: bool,
    transaction: Option<Transaction<'c>>,
}

/// Rows that have not gone to the table yet.
struct Pending {
    budget: Budget,
    /// Values a row wide, in the encoding of rows.
    bytes: Vec<u8, BudgetAlloc>,
    /// Where each begins, and its type.
    values: Vec<(usize, Type), BudgetAlloc>,
    width: usize,
}

/// Some of them as values for parameters.
struct Part<'p> {
    pending: &'p Pending,
    from: usize,
    count: usize,
}

impl Params for Part<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn value(&self, index: usize) -> Value<'_> {
        let (start, ty) = self.pending.values[self.from + index];
        // What was encoded is decoded.
        decode_row(&self.pending.bytes[start..], ty).map_or(Value::Null, |(value, _)| value)
    }
}

impl<'c> Appender<'c> {
    /// For a table, and those of its columns if only some are given; the others have their defaults.
    pub(crate) fn new(
        connection: &'c Connection,
        table: &str,
        columns: Option<&[&str]>,
    ) -> Result<Appender<'c>, Error> {
        let width = match columns {
            Some(columns) => columns.len(),
            None => connection.prepare_text(|arena| text(arena, All(table)))?.columns().len(),
        };
        let insert = |rows_count| {
            let sql = Insert { table, columns, width, rows_count };
            connection.prepare_text(|arena| text(arena, &sql))
        };
        let single = insert(1)?;
        let block = match BLOCK_VALUES_MAX / width.max(1) {
            0 | 1 => None,
            rows_count => match insert(rows_count) {
                Ok(block) => Some((block, rows_count)),
                Err(error) if error.out_of_memory().is_some() => None,
                Err(error) => return Err(error),
            },
        };
        let db = connection.database().db();
        let budget = db.child("appender", u64::MAX).map_err(|_| Error::refused(db))?;
        let alloc = BudgetAlloc::new(&budget);
        let (bytes, values) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc));
        let pending = Pending { budget, bytes, values, width };
        let transaction = if connection.state().is_idle() { Some(connection.transaction()?) } else { None };
        Ok(Appender { single, block, pending, rows_count: 0, has_failed: false, transaction })
    }

    /// Puts a row behind those that there are. It need not be in the table before [`Appender::flush`], so that what is wrong with a row
    /// may come to light with a later one.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut appender = connection.appender("t")?;
    /// appender.append((1, "one"))?;
    /// assert_eq!(appender.append([2]).unwrap_err().sqlstate(), "08P01");
    /// assert_eq!(appender.finish()?, 1);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// 08P01 for more or fewer values than columns; what is wrong with the rows of a block, of which none is in the table then;
    /// [`Error::OutOfMemory`]. After an error of a block all that is left is to drop the appender.
    pub fn append(&mut self, row: impl Params) -> Result<(), Error> {
        self.check()?;
        self.pending.push(&row)?;
        let rows_max = self.block.as_ref().map_or(1, |block| block.1);
        if self.pending.rows_count() >= rows_max || self.pending.bytes.len() >= BLOCK_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// Has all rows so far go to the table; others see them when the transaction is committed.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let transaction = connection.transaction()?;
    /// let mut appender = connection.appender("t")?;
    /// appender.append((1, "one"))?;
    /// appender.flush()?;
    /// assert_eq!(connection.query_row("SELECT count(*) FROM t", |row| row.get::<i64>(0))?, 1);
    /// drop(appender);
    /// transaction.commit()?;
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Appender::append`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.check()?;
        self.put().inspect_err(|_| self.has_failed = true)?;
        self.pending.clear();
        Ok(())
    }

    fn put(&mut self) -> Result<(), Error> {
        let (pending, mut from, end) = (&self.pending, 0, self.pending.values.len());
        let width = pending.width;
        while from < end {
            let rest = end - from;
            let (insert, count) = match &mut self.block {
                Some((block, rows_count)) if *rows_count * width <= rest => (block, *rows_count * width),
                _ => (&mut self.single, width),
            };
            self.rows_count += insert.execute(Part { pending, from, count })?;
            from += count;
        }
        Ok(())
    }

    /// Has the last rows go to the table, commits the transaction if it is the appender's own, and gives the number of rows.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut appender = connection.appender("t")?;
    /// for n in 0..1000 {
    ///     appender.append((n, "many"))?;
    /// }
    /// assert_eq!(appender.finish()?, 1000);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Appender::append`] and [`Transaction::commit`]; in a transaction of its own no row is in the table then.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        if let Some(transaction) = self.transaction.take() {
            transaction.commit()?;
        }
        Ok(self.rows_count)
    }

    /// The budget that pays for rows that have not gone to the table.
    ///
    /// ```
    /// use cofferdam::{Database, Options};
    ///
    /// let connection = Database::open_in_memory(Options::new())?.connect()?;
    /// connection.execute("CREATE TABLE t (n integer, s text)")?;
    /// let mut appender = connection.appender("t")?;
    /// let before = appender.budget().used();
    /// appender.append((1, "a long text".repeat(100)))?;
    /// assert!(appender.budget().used() > before);
    /// # Ok::<(), cofferdam::Error>(())
    /// ```
    pub fn budget(&self) -> &Budget {
        &self.pending.budget
    }

    fn check(&self) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::input(
                "25P02",
                None,
                "rows before have failed, and nothing more can be put behind them",
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Appender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appender")
            .field("insert", &self.single)
            .field("rows_count", &self.rows_count)
            .field("block_rows", &self.block.as_ref().map_or(1, |block| block.1))
            .finish_non_exhaustive()
    }
}

impl Pending {
    fn rows_count(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    fn push(&mut self, row: &dyn Params) -> Result<(), Error> {
        if row.count() != self.width {
            let (given, width) = (row.count(), self.width);
            let message = format_args!("the row has {given} values, for {width} columns");
            return Err(Error::input("08P01", None, message));
        }
        let (values, bytes) = (self.values.len(), self.bytes.len());
        let outcome = (0..self.width).try_for_each(|index| self.push_value(row.value(index)));
        // A row is there as a whole, or not at all.
        outcome.inspect_err(|_| {
            self.values.truncate(values);
            self.bytes.truncate(bytes);
        })
    }

    fn push_value(&mut self, value: Value<'_>) -> Result<(), Error> {
        let (len, refused) = (row_bytes(&value), |budget: &Budget| Error::refused(budget));
        if value.heap_bytes().is_some_and(|bytes| bytes.len() >= u32::MAX as usize - 1) {
            return Err(Error::input("54000", None, "the value is longer than 4 GiB"));
        }
        self.values.try_reserve(1).map_err(|_| refused(&self.budget))?;
        self.bytes.try_reserve(len).map_err(|_| refused(&self.budget))?;
        self.values.push((self.bytes.len(), value.ty()));
        let bytes = &mut self.bytes;
        encode_row(value, &mut |piece: &[u8]| {
            bytes.extend_from_slice(piece);
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
        Ok(())
    }

    /// Forgets the rows; what a long one took goes back.
    fn clear(&mut self) {
        self.values.clear();
        self.bytes.clear();
        if self.bytes.capacity() > 2 * BLOCK_BYTES_MAX {
            self.bytes = Vec::new_in(self.bytes.allocator().clone());
        }
    }
}

/// A text that is made in an arena.
fn text(arena: &Arena, text: impl fmt::Display) -> Result<&str, AllocError> {
    arena.alloc_fmt(format_args!("{text}"))
}

/// A name as one that is quoted.
struct Quoted<'n>(&'n str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for (index, part) in self.0.split('"').enumerate() {
            write!(f, "{}{part}", if index > 0 { "\"\"" } else { "" })?;
        }
        f.write_str("\"")
    }
}

/// The query that has the columns of a table.
struct All<'n>(&'n str);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SELECT * FROM {}", Quoted(self.0))
    }
}

/// The statement that inserts so many rows of parameters.
struct Insert<'n> {
    table: &'n str,
    columns: Option<&'n [&'n str]>,
    width: usize,
    rows_count: usize,
}

impl fmt::Display for Insert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comma = |index: usize| if index > 0 { ", " } else { "" };
        write!(f, "INSERT INTO {}", Quoted(self.table))?;
        if let Some(columns) = self.columns {
            for (index, column) in columns.iter().enumerate() {
                write!(f, "{}{}", if index > 0 { ", " } else { " (" }, Quoted(column))?;
            }
            f.write_str(")")?;
        }
        f.write_str(" VALUES ")?;
        for row in 0..self.rows_count {
            write!(f, "{}(", comma(row))?;
            for column in 0..self.width {
                write!(f, "{}${}", comma(column), row * self.width + column + 1)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let insert = Insert { table: "a \"b\"", columns: Some(&["x", "\""]), width: 2, rows_count: 2 };
        assert_eq!(insert.to_string(), r#"INSERT INTO "a ""b""" ("x", """") VALUES ($1, $2), ($3, $4)"#);
        assert_eq!(All("t").to_string(), r#"SELECT * FROM "t""#);
    }
}

//! Where the rows of stored tables come from and go to: what the caller of an execution gives it.
//!
//! The store is behind two traits because a statement reads what its transaction sees: a snapshot, or a snapshot with the
//! changes that the transaction has not committed.

use std::fmt;

use cofferdam_arena::Budget;
use cofferdam_plan::physical::KeyRange;
use cofferdam_store::{ColumnMut, Error};

use crate::execution::Batch;

/// Stored tables that a statement reads.
pub trait Tables: fmt::Debug {
    /// Begins to read a table.
    ///
    /// # Errors
    /// Those of the store.
    fn open(&self, request: &ScanRequest<'_>) -> Result<ScanId, Error>;

    /// Writes the next rows into the first rows of the columns, those that were asked for in their order, and gives how
    /// many; 0 behind the last, and from then on. Texts are appended to the columns' heaps.
    ///
    /// # Errors
    /// Those of the store.
    fn next(&self, scan: ScanId, rows_max: usize, columns: &mut [ColumnMut<'_, '_>]) -> Result<usize, Error>;
}

/// What a scan reads of a table.
#[derive(Clone, Copy, Debug)]
pub struct ScanRequest<'r> {
    /// The table's number.
    pub table: u32,
    /// Positions of the columns, ascending; none when rows are only counted.
    pub columns: &'r [u32],
    /// The part of the key's order to read; `None` for all.
    pub range: Option<&'r KeyRange<'r>>,
    /// Pays for what the scan holds while it is open.
    pub budget: &'r Budget,
}

/// A scan that [`Tables::open`] has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanId(pub u32);

/// A statement that reads no stored table.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTables;

impl Tables for NoTables {
    fn open(&self, request: &ScanRequest<'_>) -> Result<ScanId, Error> {
        let table = cofferdam_store::TableId(request.table);
        let kind = cofferdam_store::InputKind::NoSuchTable;
        Err(Error::Input(cofferdam_store::InputProblem { table, column: None, kind }))
    }

    fn next(&self, _: ScanId, _: usize, _: &mut [ColumnMut<'_, '_>]) -> Result<usize, Error> {
        Ok(0)
    }
}

/// Takes the rows of a plan whose root is an `Insert`.
pub trait RowSink {
    /// Takes the rows of a batch, whose columns are those of the table.
    ///
    /// # Errors
    /// The row that the store refuses, and why.
    fn put(&mut self, batch: &Batch<'_, '_>) -> Result<(), Refused>;
}

/// A row that was not taken.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// The row of the batch, from 0.
    pub row: usize,
    /// Why.
    pub error: Error,
}

//! Rows in the order they came, read from the beginning any number of times: in memory, or all of them in a file.
//!
//! ```text
//! push ──> pages ──evict──> file <── push
//!            └────── read ────┘           each reader has a Position of its own
//! ```
//!
//! A position is good wherever the rows are: it counts rows, and notes the page and the block that the last one stood in. So rows
//! may go to a file while somebody reads them. There is one open file; when another reader comes, it goes to his block.

use cofferdam_arena::{AllocError, Budget};

use crate::spill::{
    BlockPlace, IsCancelled, Reserve, RowPages, RowRef, SpillFailure, SpillFile, SpillReader, Spilled,
};

/// Rows of any length.
#[derive(Debug)]
pub(super) struct RowQueue {
    budget: Budget,
    block_bytes: usize,
    pages: RowPages,
    file: Spilled,
    reader: Option<Reader>,
    rows_count: u64,
    /// Those before this one are gone.
    rows_released: u64,
}

/// Where somebody reads; the beginning by default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// The row that comes next.
    row: u64,
    /// Where it stands in memory, or the one before it ends.
    place: RowRef,
    /// The first row of that page that was read.
    page_row: u64,
    /// The block that the row before it began in, and that block's first row.
    block: Option<(BlockPlace, u64)>,
}

#[derive(Debug)]
struct Reader {
    reader: SpillReader,
    /// The row that comes next.
    row: u64,
    block: (BlockPlace, u64),
}

impl Reader {
    fn advance(&mut self, reserve: &mut Reserve, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        let block = self.reader.next_block();
        if !self.reader.advance(&mut reserve.io, is_cancelled)? {
            return Err(self.reader.lacks_rows());
        }
        if self.reader.next_block() != block {
            self.block = (block, self.row);
        }
        self.row += 1;
        Ok(())
    }
}

impl RowQueue {
    /// No rows, which take nothing.
    pub(super) fn new(budget: &Budget, block_bytes: usize) -> RowQueue {
        RowQueue {
            budget: budget.clone(),
            block_bytes,
            pages: RowPages::new(budget, block_bytes),
            file: Spilled::No,
            reader: None,
            rows_count: 0,
            rows_released: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows_count == 0
    }

    /// What [`RowQueue::evict`] would give back.
    pub(super) fn held_bytes(&self) -> u64 {
        self.pages.held_bytes()
    }

    /// Adds a row. `reserve` is there if rows went to a file.
    ///
    /// # Errors
    /// Memory is refused: then nothing has changed. Those of files.
    pub(super) fn push(
        &mut self,
        row: &[u8],
        reserve: Option<&mut Reserve>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        match (&mut self.file, reserve) {
            (Spilled::Writing(writer), Some(reserve)) => {
                writer.push(0, &[row], &mut reserve.io, is_cancelled)?;
            }
            _ => {
                self.pages.push(0, &[row])?;
            }
        }
        self.rows_count += 1;
        Ok(())
    }

    /// Writes the rows that are in memory to a file, which stays open for more until [`RowQueue::finish`]. False if there are none.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn evict(
        &mut self,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<bool, SpillFailure> {
        if self.pages.held_bytes() == 0 {
            return Ok(false);
        }
        if self.pages.rows_count() > 0 {
            debug_assert!(self.file.is_no(), "rows that come behind those of a file go there");
            let writer = self.file.open(reserve, &self.budget, self.block_bytes)?;
            for page in 0..self.pages.pages_count() {
                for (_, tag, row) in self.pages.iter_page(page) {
                    writer.push(tag, &[row], &mut reserve.io, is_cancelled)?;
                }
                self.pages.release_page(page);
            }
        }
        self.pages.release();
        Ok(true)
    }

    /// There are no more rows to come.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn finish(
        &mut self,
        reserve: &mut Reserve,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        self.file.finish(reserve, is_cancelled)
    }

    /// Forgets all rows, and keeps some memory for others.
    pub(super) fn clear(&mut self, reserve: Option<&mut Reserve>) {
        if let Some(reserve) = reserve {
            if let Some(reader) = self.reader.take() {
                reserve.give_slot(reader.reader.into_slot());
            }
            self.file.remove(reserve);
        }
        match self.rows_released {
            0 => self.pages.clear(),
            // Pages that were given back are not filled again.
            _ => self.pages.release(),
        }
        (self.rows_count, self.rows_released) = (0, 0);
    }

    /// The next row at a position, which goes on to the one behind it.
    ///
    /// # Errors
    /// Memory for a row longer than a block is refused: then nothing has changed. Those of files.
    pub(super) fn next(
        &mut self,
        position: &mut Position,
        reserve: Option<&mut Reserve>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Option<&[u8]>, SpillFailure> {
        if position.row == self.rows_count {
            return Ok(None);
        }
        debug_assert!(position.row >= self.rows_released, "rows are given back behind the last reader");
        let (Some(reserve), false) = (reserve, self.file.is_no()) else {
            let Some((row, next)) = self.pages.next(position.place) else { return Ok(None) };
            if row.page() != position.place.page() {
                position.page_row = position.row;
            }
            position.place = next;
            position.row += 1;
            return Ok(Some(self.pages.get(row)));
        };
        // Whoever yields memory in the middle of reading leaves the file open.
        self.file.finish(reserve, is_cancelled)?;
        if self.reader.is_none()
            && let Spilled::Written(file) = &self.file
        {
            self.reader = Some(open(file, self.rows_released, &self.budget, self.block_bytes, reserve)?);
        }
        let reader = self.reader.as_mut().expect("there is a file, so it was opened");
        if reader.row != position.row {
            let block = position.block.unwrap_or((BlockPlace::default(), self.rows_released));
            reader.reader.seek(block.0);
            (reader.row, reader.block) = (block.1, block);
            while reader.row < position.row {
                reader.advance(reserve, is_cancelled)?;
            }
        }
        reader.advance(reserve, is_cancelled)?;
        position.row = reader.row;
        position.block = Some(reader.block);
        Ok(Some(reader.reader.row().1))
    }

    /// Gives memory back of rows before a position, which nobody reads any more.
    pub(super) fn release_before(&mut self, position: &Position) {
        if !self.file.is_no() || position.row == 0 {
            return;
        }
        for page in (0..position.place.page()).rev() {
            if !self.pages.release_page(page) {
                break;
            }
        }
        if position.place.page() > 0 {
            self.rows_released = self.rows_released.max(position.page_row);
        }
    }
}

fn open(
    file: &SpillFile,
    row: u64,
    budget: &Budget,
    block_bytes: usize,
    reserve: &mut Reserve,
) -> Result<Reader, SpillFailure> {
    let long = file.long_row(budget, &reserve.io)?;
    let slot = reserve.take_slot(budget, block_bytes)?;
    let reader = file.read_with(slot, long)?;
    Ok(Reader { reader, row, block: (BlockPlace::default(), row) })
}

/// Whether a failure is a refusal that somebody could help with.
pub(super) fn refusal(failure: SpillFailure) -> Result<AllocError, SpillFailure> {
    match failure {
        SpillFailure::OutOfMemory(refused) => Ok(refused),
        failure => Err(failure),
    }
}

//! Rows in a temporary file: written once, read any number of times.
//!
//! A file is blocks behind one another. Integers are little-endian: a temporary file never leaves its process.
//!
//! | offset | bytes | of a block |
//! |---|---|---|
//! | 0 | 4 | crc32c of everything behind it |
//! | 4 | 4 | how many bytes of rows it has |
//! | 8 | 4 | how many bytes they take in the file |
//! | 12 | 4 | 1 if they are compressed (LZ4), else 0 |
//! | 16 | 8 | a random number that all blocks of the file have |
//! | 24 | 8 | the number of the block in the file, from 0 |
//! | 32 | | the rows, as in a page: tag 8, length 4, bytes |
//!
//! A row stands in one block, unless it is longer than one: then a block begins with it, and as many as it needs go on with its bytes.
//! The random number and the block's own tell a block that was written elsewhere, or before, from the one that belongs there.
//!
//! **Memory.** A writer or reader has one block, its [`IoSlot`], which is charged together with a file's handle when it is made, and
//! can be used for one file after the other. What they share is in a [`SpillIo`]: a second block, and the table of the compression. Only a
//! row longer than a block takes more: its length, when a file that has such rows is opened to be read.

#![allow(clippy::disallowed_types)]

use std::io;

use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Buffer, Growing};
use cofferdam_store::crc32c;
use cofferdam_store::directory::{Charge, FILE_HANDLE_BYTES};
use cofferdam_vfs::{File, OpenMode};
use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into};

use super::IsCancelled;
use super::error::{SpillFailure, SpillOp, SpillProblem};
use super::pages::{ROW_HEAD_BYTES, len_at, put_row, row_at, tag_at};
use super::space::{Registered, SpillOwner};

const HEAD_BYTES: usize = 32;
/// What the table of the compression takes: 4,096 entries of 16 bits.
const TABLE_BYTES: u64 = 8 << 10;
/// Beyond a tenth more than what goes in, the compression asks for so much.
const COMPRESSION_SLACK_BYTES: usize = 20;
/// So many parts of a block's rows are one part of what is saved at least, or they are written as they are.
const SAVED_SHARE: usize = 16;

/// Memory for one file that is written or read.
#[derive(Debug)]
pub(crate) struct IoSlot {
    block: Buffer<u8>,
    _handle: Charge,
}

impl IoSlot {
    /// Memory for a file in blocks of `block_bytes`, at most 64 KiB.
    ///
    /// # Errors
    /// The budget refuses.
    pub(crate) fn new(budget: &Budget, block_bytes: usize) -> Result<IoSlot, AllocError> {
        debug_assert!((1 << 10..=64 << 10).contains(&block_bytes));
        Ok(IoSlot {
            block: Buffer::filling(budget, block_bytes)?,
            _handle: Charge::new(budget, FILE_HANDLE_BYTES)?,
        })
    }

    /// What a slot is charged for.
    pub(crate) const fn charged_bytes(block_bytes: usize) -> u64 {
        block_bytes as u64 + FILE_HANDLE_BYTES
    }
}

/// What the writers and readers of an operator share; a worker that runs beside others has its own.
pub(crate) struct SpillIo {
    owner: SpillOwner,
    scratch: Buffer<u8>,
    table: CompressTable,
    _table_charge: Charge,
}

impl SpillIo {
    /// Memory for files in blocks of `block_bytes`, at most 64 KiB, those of all slots.
    ///
    /// # Errors
    /// The budget refuses.
    pub(crate) fn new(
        owner: &SpillOwner,
        budget: &Budget,
        block_bytes: usize,
    ) -> Result<SpillIo, AllocError> {
        let scratch = Buffer::filling(budget, block_bytes)?;
        let _table_charge = Charge::new(budget, TABLE_BYTES)?;
        BudgetAlloc::count_taken();
        Ok(SpillIo { owner: owner.clone(), scratch, table: CompressTable::small(), _table_charge })
    }

    /// What it is charged for.
    pub(crate) const fn charged_bytes(block_bytes: usize) -> u64 {
        block_bytes as u64 + TABLE_BYTES
    }

    /// Whose files they are.
    pub(crate) fn owner(&self) -> &SpillOwner {
        &self.owner
    }

    /// How many bytes of rows a block has at most, so that it can be compressed.
    fn rows_bytes_max(&self) -> usize {
        (self.scratch.len() - HEAD_BYTES - COMPRESSION_SLACK_BYTES) * 10 / 11
    }
}

impl core::fmt::Debug for SpillIo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SpillIo").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockPlace {
    offset: u64,
    number: u64,
}

/// A file that rows are written to.
pub(crate) struct SpillWriter {
    file: SpillFile,
    handle: Box<dyn File>,
    slot: IoSlot,
    rows_bytes_max: usize,
    used: usize,
    /// Where the block that is filled will begin.
    next: BlockPlace,
}

/// A file of rows. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct SpillFile {
    registered: Registered,
    id: u64,
    rows_count: u64,
    /// The length of the longest row.
    row_bytes_max: usize,
    /// Behind its last block.
    end: BlockPlace,
}

impl SpillWriter {
    /// Makes a file.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn create(slot: IoSlot, io: &SpillIo) -> Result<SpillWriter, SpillFailure> {
        let (registered, handle) = io.owner.create()?;
        let end = BlockPlace::default();
        let file = SpillFile { registered, id: io.owner.random(), rows_count: 0, row_bytes_max: 0, end };
        Ok(SpillWriter::at_end(file, handle, slot, io))
    }

    fn at_end(file: SpillFile, handle: Box<dyn File>, slot: IoSlot, io: &SpillIo) -> SpillWriter {
        let rows_bytes_max = io.rows_bytes_max();
        debug_assert!(slot.block.len() >= rows_bytes_max + HEAD_BYTES, "slots have blocks of one size");
        let next = file.end;
        SpillWriter { file, handle, slot, rows_bytes_max, used: HEAD_BYTES, next }
    }

    /// How many rows were written.
    pub(crate) fn rows_count(&self) -> u64 {
        self.file.rows_count
    }

    /// The bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.registered.bytes()
    }

    /// Where the block begins that the next row will stand in, if that row is the first one in it.
    pub(crate) fn next_block(&self) -> Option<BlockPlace> {
        (self.used == HEAD_BYTES).then_some(self.next)
    }

    /// Writes a row whose bytes are those of `parts`, one behind the other.
    ///
    /// # Errors
    /// The file cannot be written; it is of no use any more.
    #[inline]
    pub(crate) fn push(
        &mut self,
        tag: u64,
        parts: &[&[u8]],
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let needed = len + ROW_HEAD_BYTES;
        let end = self.rows_bytes_max + HEAD_BYTES;
        if needed > end - self.used {
            self.flush(io, is_cancelled)?;
            if needed > self.rows_bytes_max {
                return self.push_long(tag, len, parts, io, is_cancelled);
            }
        }
        put_row(&mut self.slot.block[self.used..self.used + needed], tag, len, parts);
        self.used += needed;
        self.count_row(len);
        Ok(())
    }

    fn count_row(&mut self, len: usize) {
        self.file.rows_count += 1;
        self.file.row_bytes_max = self.file.row_bytes_max.max(len);
    }

    /// Writes a row that is longer than a block; the current block is empty.
    #[cold]
    fn push_long(
        &mut self,
        tag: u64,
        len: usize,
        parts: &[&[u8]],
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        // A length in a row has 32 bits.
        let len32 = u32::try_from(len).map_err(|_| AllocError)?;
        let head = &mut self.slot.block[HEAD_BYTES..HEAD_BYTES + ROW_HEAD_BYTES];
        head[..8].copy_from_slice(&tag.to_le_bytes());
        head[8..].copy_from_slice(&len32.to_le_bytes());
        self.used += ROW_HEAD_BYTES;
        let end = self.rows_bytes_max + HEAD_BYTES;
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                if self.used == end {
                    self.flush(io, is_cancelled)?;
                }
                let (now, later) = rest.split_at(rest.len().min(end - self.used));
                self.slot.block[self.used..self.used + now.len()].copy_from_slice(now);
                self.used += now.len();
                rest = later;
            }
        }
        // So that the next row begins a block.
        self.flush(io, is_cancelled)?;
        self.count_row(len);
        Ok(())
    }

    /// Ends the block, so that the next row begins another one.
    ///
    /// # Errors
    /// As [`SpillWriter::push`].
    pub(crate) fn flush(
        &mut self,
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        if self.used == HEAD_BYTES {
            return Ok(());
        }
        if is_cancelled() {
            return Err(SpillFailure::Cancelled);
        }
        let rows = &self.slot.block[HEAD_BYTES..self.used];
        let packed = compress_into_with_table(rows, &mut io.scratch[HEAD_BYTES..], &mut io.table)
            .ok()
            .filter(|packed| *packed <= rows.len() - rows.len() / SAVED_SHARE);
        let (block, stored) = match packed {
            Some(packed) => (&mut io.scratch, packed),
            None => (&mut self.slot.block, self.used - HEAD_BYTES),
        };
        let head = Head {
            rows_bytes: self.used - HEAD_BYTES,
            stored_bytes: stored,
            is_packed: packed.is_some(),
            id: self.file.id,
            number: self.next.number,
        };
        let block = &mut block[..HEAD_BYTES + stored];
        head.write(block);
        self.file.registered.reserve(block.len() as u64)?;
        let written = self.handle.write_all_at(block, self.next.offset);
        written.map_err(|error| SpillProblem::io(SpillOp::Write, &error))?;
        self.next =
            BlockPlace { offset: self.next.offset + block.len() as u64, number: self.next.number + 1 };
        self.used = HEAD_BYTES;
        Ok(())
    }

    /// Ends the file, and gives back the memory that it was written with.
    ///
    /// # Errors
    /// As [`SpillWriter::push`].
    pub(crate) fn finish(
        mut self,
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(SpillFile, IoSlot), SpillFailure> {
        self.flush(io, is_cancelled)?;
        self.file.end = self.next;
        Ok((self.file, self.slot))
    }
}

impl SpillWriter {
    /// The memory that it was written with; the file is removed.
    pub(crate) fn into_slot(self) -> IoSlot {
        self.slot
    }
}

impl core::fmt::Debug for SpillWriter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SpillWriter").field("file", &self.file).finish_non_exhaustive()
    }
}

impl SpillFile {
    /// How many rows it has.
    pub(crate) fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// Its length.
    pub(crate) fn bytes(&self) -> u64 {
        self.registered.bytes()
    }

    /// The length of its longest row.
    pub(crate) fn row_bytes_max(&self) -> usize {
        self.row_bytes_max
    }

    /// Goes on to write it, behind its last row.
    ///
    /// # Errors
    /// Those of the system; the file is lost.
    pub(crate) fn append(self, slot: IoSlot, io: &SpillIo) -> Result<SpillWriter, SpillFailure> {
        let handle = self.registered.home().open_file(self.registered.number(), OpenMode::Write)?;
        Ok(SpillWriter::at_end(self, handle, slot, io))
    }

    /// Opens it to be read from its first row on.
    ///
    /// # Errors
    /// Those of the system; `slot` is then lost with what it was charged for. The budget refuses the length of a row longer than a block.
    pub(crate) fn read(&self, slot: IoSlot, io: &SpillIo) -> Result<SpillReader, SpillFailure> {
        let long = self.long_row(slot.block.budget(), io)?;
        self.read_with(slot, long)
    }

    /// Room for its longest row, where that does not stand in one block.
    ///
    /// # Errors
    /// The budget refuses it.
    pub(crate) fn long_row(&self, budget: &Budget, io: &SpillIo) -> Result<Growing<u8>, AllocError> {
        let mut long = Growing::new(budget);
        if self.row_bytes_max + ROW_HEAD_BYTES > io.rows_bytes_max() {
            long.reserve(self.row_bytes_max)?;
        }
        Ok(long)
    }

    /// As [`SpillFile::read`], with the room that [`SpillFile::long_row`] gave.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn read_with(&self, slot: IoSlot, long: Growing<u8>) -> Result<SpillReader, SpillFailure> {
        let handle = self.registered.home().open_file(self.registered.number(), OpenMode::Read)?;
        Ok(SpillReader {
            handle,
            slot,
            number: self.registered.number(),
            id: self.id,
            file_bytes: self.registered.bytes(),
            row_bytes_max: self.row_bytes_max,
            filled: 0,
            at: 0,
            row: Current::default(),
            next: BlockPlace::default(),
            guess: 0,
            long,
        })
    }
}

/// A file that rows are read from. It must not outlive its [`SpillFile`], or reading fails.
pub(crate) struct SpillReader {
    handle: Box<dyn File>,
    slot: IoSlot,
    number: u64,
    id: u64,
    file_bytes: u64,
    row_bytes_max: usize,
    /// Bytes of rows in the block of now.
    filled: usize,
    /// Where its next row begins.
    at: usize,
    /// The row of now.
    row: Current,
    /// The block behind it.
    next: BlockPlace,
    /// How much of the file is asked for at once: a little more than the last block had.
    guess: usize,
    /// A row that is longer than a block.
    long: Growing<u8>,
}

/// Where the bytes of a reader's row are.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    tag: u64,
    start: usize,
    len: usize,
    /// Not in the block.
    is_long: bool,
}

impl SpillReader {
    /// The next row: its tag and its bytes; `None` behind the last.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written.
    #[inline]
    pub(crate) fn next(
        &mut self,
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Option<(u64, &[u8])>, SpillFailure> {
        Ok(if self.advance(io, is_cancelled)? { Some(self.row()) } else { None })
    }

    /// The row that [`SpillReader::advance`] went to.
    #[inline]
    pub(crate) fn row(&self) -> (u64, &[u8]) {
        let Current { tag, start, len, is_long } = self.row;
        (tag, if is_long { &self.long } else { &self.slot.block[start..start + len] })
    }

    /// Goes to the next row; false behind the last.
    ///
    /// # Errors
    /// As [`SpillReader::next`].
    #[inline]
    pub(crate) fn advance(
        &mut self,
        io: &mut SpillIo,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<bool, SpillFailure> {
        if self.at == self.filled && !self.load(io, is_cancelled)? {
            return Ok(false);
        }
        let rest = self.filled - self.at;
        if rest < ROW_HEAD_BYTES || len_at(&self.slot.block, self.at) > rest - ROW_HEAD_BYTES {
            self.gather(io, is_cancelled)?;
            return Ok(true);
        }
        let (tag, row) = row_at(&self.slot.block, self.at);
        self.row = Current { tag, start: self.at + ROW_HEAD_BYTES, len: row.len(), is_long: false };
        self.at += ROW_HEAD_BYTES + row.len();
        Ok(true)
    }

    /// Goes to a row that goes on in the next blocks.
    #[cold]
    fn gather(&mut self, io: &mut SpillIo, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        if self.at != 0 || self.filled < ROW_HEAD_BYTES {
            return Err(self.damaged("a row ends too early").into());
        }
        let (tag, len) = (tag_at(&self.slot.block, 0), len_at(&self.slot.block, 0));
        if len > self.row_bytes_max {
            return Err(self.damaged("a row is too long").into());
        }
        self.long.clear();
        self.at = ROW_HEAD_BYTES;
        loop {
            let missing = len - self.long.len();
            let part = &self.slot.block[self.at..self.filled];
            if part.len() > missing {
                return Err(self.damaged("a row ends too early").into());
            }
            self.long.extend_from_slice(part)?;
            self.at = self.filled;
            if self.long.len() == len {
                self.row = Current { tag, start: 0, len, is_long: true };
                return Ok(());
            }
            if !self.load(io, is_cancelled)? {
                return Err(self.damaged("the file ends within a row").into());
            }
        }
    }

    /// Where the block begins behind the one that the row of now ends in: [`SpillReader::seek`] goes there.
    pub(crate) const fn next_block(&self) -> BlockPlace {
        self.next
    }

    /// Goes on with the rows of a block. `place` is one that the writer of this file gave.
    pub(crate) fn seek(&mut self, place: BlockPlace) {
        self.next = place;
        (self.at, self.filled) = (0, 0);
    }

    /// Lets it read what was written behind the rows that the file had when it was opened.
    ///
    /// # Errors
    /// The budget refuses the length of a row longer than a block.
    pub(crate) fn extend(&mut self, file: &SpillFile, io: &SpillIo) -> Result<(), AllocError> {
        (self.file_bytes, self.row_bytes_max) = (file.bytes(), file.row_bytes_max);
        if self.row_bytes_max + ROW_HEAD_BYTES > io.rows_bytes_max() {
            self.long.reserve(self.row_bytes_max.saturating_sub(self.long.len()))?;
        }
        Ok(())
    }

    /// The memory that it was read with.
    pub(crate) fn into_slot(self) -> IoSlot {
        self.slot
    }

    /// Reads the next block; false at the end of the file.
    fn load(&mut self, io: &mut SpillIo, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        let left = self.file_bytes.saturating_sub(self.next.offset);
        if left == 0 {
            return Ok(false);
        }
        if is_cancelled() {
            return Err(SpillFailure::Cancelled);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(io.scratch.len());
        let have = self.read_up_to(&mut io.scratch[..most.min(self.guess.max(4096))], self.next.offset)?;
        let head = Head::read(&io.scratch[..have]).ok_or_else(|| self.damaged("the file ends too early"))?;
        let whole = HEAD_BYTES + head.stored_bytes;
        if whole > most || head.rows_bytes > self.slot.block.len() || head.rows_bytes == 0 {
            return Err(self.damaged("the block's length is impossible").into());
        }
        if have < whole {
            let more = self.read_up_to(&mut io.scratch[have..whole], self.next.offset + have as u64)?;
            if have + more < whole {
                return Err(self.damaged("the file ends too early").into());
            }
        }
        let block = &io.scratch[..whole];
        self.check(&head, block)?;
        let into = &mut self.slot.block[..head.rows_bytes];
        let is_filled = match head.is_packed {
            true => decompress_into(&block[HEAD_BYTES..], into).is_ok_and(|len| len == head.rows_bytes),
            false => head.stored_bytes == head.rows_bytes,
        };
        if !is_filled {
            return Err(self.damaged("the block has another length than it says").into());
        }
        if !head.is_packed {
            into.copy_from_slice(&block[HEAD_BYTES..]);
        }
        self.next = BlockPlace { offset: self.next.offset + whole as u64, number: self.next.number + 1 };
        self.guess = whole + whole / 8;
        (self.at, self.filled) = (0, head.rows_bytes);
        Ok(true)
    }

    fn check(&self, head: &Head, block: &[u8]) -> Result<(), SpillProblem> {
        if crc32c(&block[4..]).to_le_bytes() != block[..4] {
            return Err(self.damaged("the checksum does not match"));
        }
        if (head.id, head.number) != (self.id, self.next.number) {
            return Err(self.damaged("the block belongs elsewhere"));
        }
        Ok(())
    }

    fn read_up_to(&self, into: &mut [u8], offset: u64) -> Result<usize, SpillProblem> {
        let mut count = 0;
        while count < into.len() {
            match self.handle.read_at(&mut into[count..], offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SpillProblem::io(SpillOp::Read, &error)),
            }
        }
        Ok(count)
    }

    /// The error of a file that has fewer rows than were written.
    #[cold]
    pub(crate) fn lacks_rows(&self) -> SpillFailure {
        self.damaged("the file ends too early").into()
    }

    #[cold]
    fn damaged(&self, what: &'static str) -> SpillProblem {
        SpillProblem::Damaged { file: self.number, offset: self.next.offset, what }
    }
}

impl core::fmt::Debug for SpillReader {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SpillReader")
            .field("number", &self.number)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// What stands before a block's rows, without the checksum.
struct Head {
    rows_bytes: usize,
    stored_bytes: usize,
    is_packed: bool,
    id: u64,
    number: u64,
}

impl Head {
    /// Fills the head of a block whose rows are there.
    fn write(&self, block: &mut [u8]) {
        block[4..8].copy_from_slice(&(self.rows_bytes as u32).to_le_bytes());
        block[8..12].copy_from_slice(&(self.stored_bytes as u32).to_le_bytes());
        block[12..16].copy_from_slice(&u32::from(self.is_packed).to_le_bytes());
        block[16..24].copy_from_slice(&self.id.to_le_bytes());
        block[24..32].copy_from_slice(&self.number.to_le_bytes());
        let sum = crc32c(&block[4..]);
        block[..4].copy_from_slice(&sum.to_le_bytes());
    }

    /// The head of a block that is not checked yet.
    fn read(bytes: &[u8]) -> Option<Head> {
        let word = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)) };
        let long = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)) };
        Some(Head {
            rows_bytes: word(4)? as usize,
            stored_bytes: word(8)? as usize,
            is_packed: word(12)? != 0,
            id: long(16)?,
            number: long(24)?,
        })
    }
}

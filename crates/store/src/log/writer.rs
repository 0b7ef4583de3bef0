//! Records into a buffer, the buffer to the file, the file to the disk.
//!
//! ```text
//! 0          durable            start                     written into the buffer
//! |--------------|----------------|------------------------------|
//!    synced        handed to the    complete frames | open frame
//!                  system
//! ```
//!
//! A sync of a file that has grown has to write its length and its blocks beside the data, one of a file that is long enough
//! already has not. So where small syncs follow one another, the writer keeps zeros ahead of the records: to a reader they are a
//! torn tail, which promises nothing.
//!
//! A record is written as it comes: where the buffer is full, its complete frames go to the file. So a record
//! may be longer than the buffer; one that is given up after some of it has left is ended by a frame that says so.
//! Any write or sync that fails leaves it unknown what the file holds: the writer refuses everything from then on.

use std::sync::Arc;

use cofferdam_arena::{AllocError, Budget, BudgetAlloc};
use cofferdam_vfs::OpenMode;

use super::Summary;
use super::buffer::Buffer;
use super::frame::{
    ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader, Part, SEQUENCE_MAX, TRAILER_BYTES, Trailer,
};
use super::header::{Format, HEADER_BYTES, Header};
use crate::directory::{Directory, OpenFile};
use crate::error::Error;
use crate::files::{FileId, FileKind};

/// The least bytes of a buffer.
pub(crate) const BUFFER_BYTES_MIN: usize = 8 << 10;
/// The most bytes of a buffer.
pub(crate) const BUFFER_BYTES_MAX: usize = 256 << 10;
/// So many small syncs in succession, each of less than a sixteenth of what would be written ahead, have zeros written.
const SMALL_SYNCS: u32 = 4;
/// The least zeros that are written ahead. They grow with the log.
const AHEAD_BYTES_MIN: u64 = 64 << 10;
/// What a buffer of the least size writes ahead at most; larger ones so many times more as they are larger.
const AHEAD_BYTES_MAX: u64 = 64 << 10;
const ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// A frame is not begun in less room than this, unless nothing else is to come.
const FRAME_ROOM_MIN: usize = 512;

/// A log that was closed: all of it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// Its number.
    pub number: u64,
    /// Its length.
    pub bytes: u64,
    /// The last sequence in it, or in those before; 0 where there is none.
    pub last_sequence: u64,
}

/// What a writer has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Records that were ended.
    pub records_count: u64,
    /// Bytes handed to the system, headers and all.
    pub written_bytes: u64,
    /// Writes.
    pub writes_count: u64,
    /// Syncs.
    pub syncs_count: u64,
}

/// The record that is being written.
#[derive(Clone, Copy, Debug)]
struct Open {
    record: u8,
    sequence: u64,
    /// Where its first frame begins in the file.
    offset: u64,
    is_first: bool,
    chain: u32,
    /// Where in the buffer the open frame begins, and how far it may reach.
    frame: usize,
    frame_end: usize,
}

/// Appends records to a log.
///
/// Memory: the buffer, taken at the first record; an open file.
#[derive(Debug)]
pub struct LogWriter {
    file: Arc<OpenFile>,
    salt: u64,
    /// The complete frames that the file does not have yet, then the open one.
    buffer: Buffer,
    buffer_bytes: usize,
    /// Where in the file the buffer begins.
    start: u64,
    durable: u64,
    /// What the last frame said to be durable.
    witnessed: u64,
    /// Where the last record ends.
    records_end: u64,
    open: Option<Open>,
    last_sequence: u64,
    is_poisoned: bool,
    counters: LogCounters,
    ahead: Ahead,
}

/// Zeros behind the records.
#[derive(Debug)]
struct Ahead {
    /// Up to here the file has them, if that is behind the records.
    end: u64,
    /// At most so many are written at a time; none where that is 0.
    bytes_max: u64,
    /// Where the log ended at the last sync, and how many small syncs there were in succession.
    synced: u64,
    small_syncs: u32,
}

impl Ahead {
    /// Where zeros have to be written before a log that ends at `end` is synced, if anywhere.
    fn wanted(&mut self, end: u64) -> core::ops::Range<u64> {
        let bytes = end.clamp(AHEAD_BYTES_MIN, self.bytes_max.max(AHEAD_BYTES_MIN));
        let is_small = end.saturating_sub(self.synced) < bytes / 16;
        self.synced = end;
        self.small_syncs = if is_small { (self.small_syncs + 1).min(SMALL_SYNCS) } else { 0 };
        if end <= self.end || self.bytes_max == 0 || self.small_syncs < SMALL_SYNCS {
            return end..end;
        }
        end..(end + bytes).next_multiple_of(4 << 10)
    }
}

/// A sync that can run while records are appended.
#[derive(Debug)]
pub struct PendingSync {
    file: Arc<OpenFile>,
    end: u64,
}

impl PendingSync {
    /// Makes durable what was written before this was made. What it returns belongs to [`LogWriter::end_sync`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn run(&self) -> Result<(), Error> {
        self.file.sync()
    }
}

impl LogWriter {
    /// Makes a log that exists durably when this returns (L1). Its sequences are above `last_sequence`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`]. The file may be left behind.
    pub(crate) fn create(
        directory: &Directory,
        format: &Format,
        header: Header,
        last_sequence: u64,
        buffer_bytes: usize,
        budget: &Budget,
    ) -> Result<LogWriter, Error> {
        let id = FileId::new(format.kind, header.number);
        let file = directory.open_file(id, OpenMode::CreateNew, budget)?.shared();
        file.write_all_at(&header.encode(format), 0)?;
        file.sync()?;
        directory.sync()?;
        let mut writer = LogWriter::at(file, header.salt, HEADER_BYTES, buffer_bytes, budget);
        writer.writes_ahead(format);
        writer.last_sequence = last_sequence;
        let (written_bytes, writes_count, syncs_count) = (HEADER_BYTES, 1, 1);
        writer.counters = LogCounters { records_count: 0, written_bytes, writes_count, syncs_count };
        Ok(writer)
    }

    /// Goes on with a log behind its last complete record. What comes after that is cut, what is not known to be
    /// durable is written once more, and all of it is synced (L6).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`]; [`Error::Unsupported`] where this version may only read the file.
    pub(crate) fn resume(
        directory: &Directory,
        format: &Format,
        summary: &Summary,
        buffer_bytes: usize,
        budget: &Budget,
    ) -> Result<LogWriter, Error> {
        let id = FileId::new(format.kind, summary.header.number);
        summary.header.may_be_written(id, format)?;
        let file = directory.open_file(id, OpenMode::Write, budget)?.shared();
        let mut writer = LogWriter::at(file, summary.header.salt, summary.end, buffer_bytes, budget);
        writer.writes_ahead(format);
        (writer.last_sequence, writer.records_end) = (summary.last_sequence, summary.records_end);
        if summary.file_bytes > summary.end {
            writer.file.set_bytes(summary.end)?;
        }
        if summary.is_witnessed() && summary.file_bytes == summary.end {
            // Marks behind the last record may be in the system's cache only.
            (writer.durable, writer.witnessed) = (summary.durable, summary.durable);
            return Ok(writer);
        }
        // The name is durable: nobody appends to a log, or names it, before `create` has seen to that.
        writer.write_again(summary)?;
        writer.mark()?;
        Ok(writer)
    }

    fn at(file: Arc<OpenFile>, salt: u64, end: u64, buffer_bytes: usize, budget: &Budget) -> LogWriter {
        let buffer_bytes = buffer_bytes.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX) / ALIGNMENT * ALIGNMENT;
        LogWriter {
            file,
            salt,
            buffer: Buffer::new(&BudgetAlloc::new(budget)),
            buffer_bytes,
            start: end,
            durable: end,
            witnessed: end,
            records_end: end,
            open: None,
            last_sequence: 0,
            is_poisoned: false,
            counters: LogCounters::default(),
            ahead: Ahead { end: 0, bytes_max: 0, synced: end, small_syncs: 0 },
        }
    }

    /// Has zeros written ahead of the records, if the log is one that is synced all the time.
    fn writes_ahead(&mut self, format: &Format) {
        if format.kind == FileKind::Wal {
            self.ahead.bytes_max = AHEAD_BYTES_MAX * (self.buffer_bytes / BUFFER_BYTES_MIN) as u64;
        }
    }

    fn write_again(&mut self, summary: &Summary) -> Result<(), Error> {
        self.reserve_buffer()?;
        // The header of an empty log may not have been synced yet.
        let mut offset = if summary.durable == HEADER_BYTES { 0 } else { summary.durable };
        self.witnessed = summary.durable;
        while offset < summary.end {
            let count = usize::try_from(summary.end - offset).unwrap_or(usize::MAX).min(self.buffer_bytes);
            let piece = self.buffer.room().get_mut(..count).unwrap_or_default();
            self.file.read_exact_at(piece, offset)?;
            self.file.write_all_at(piece, offset)?;
            (self.counters.written_bytes, self.counters.writes_count) =
                (self.counters.written_bytes + count as u64, self.counters.writes_count + 1);
            offset += count as u64;
        }
        self.counters.syncs_count += 1;
        self.file.sync()
    }

    /// The file.
    pub fn id(&self) -> FileId {
        self.file.id()
    }

    /// The length of the log, with what is still in the buffer.
    pub fn bytes(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// Up to here everything is durable.
    pub fn durable_bytes(&self) -> u64 {
        self.durable
    }

    /// The last sequence of the last record; 0 where there is none.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// What has been done so far.
    pub fn counters(&self) -> LogCounters {
        self.counters
    }

    /// The most bytes that [`LogWriter::keep_together`] can.
    pub(crate) fn together_bytes_max(&self) -> usize {
        self.buffer_bytes.min(FRAME_BYTES_MAX) - FRAME_HEADER_BYTES
    }

    /// Takes the buffer now, so that the next record cannot fail for want of it.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn reserve_buffer(&mut self) -> Result<(), AllocError> {
        if self.buffer.is_empty() { self.buffer.reserve(self.buffer_bytes) } else { Ok(()) }
    }

    /// Gives the buffer back, where it holds nothing.
    pub fn release_buffer(&mut self) {
        if self.buffer.is_empty() {
            self.buffer.release();
        }
    }

    fn is_usable(&self) -> Result<(), Error> {
        if self.is_poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Notes a failure after which nobody knows what the file holds.
    fn poisoning<T>(&mut self, outcome: Result<T, Error>) -> Result<T, Error> {
        self.is_poisoned |= outcome.is_err();
        outcome
    }

    // ----------------------------------------------------------------------------------------------- records

    /// Begins a record; its sequence is above all before (L5).
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the sequences are used up, which only a damaged file can bring about;
    /// [`Error::OutOfMemory`], [`Error::Io`], [`Error::Poisoned`].
    pub(crate) fn begin(&mut self, record: u8, sequence: u64) -> Result<(), Error> {
        self.is_usable()?;
        assert!(self.open.is_none(), "one record after the other");
        assert!(record < 32 && sequence > self.last_sequence, "log L5");
        self.is_sequence(sequence)?;
        self.reserve_buffer()?;
        let (frame, frame_end) = self.open_frame(FRAME_ROOM_MIN)?;
        let offset = self.start + frame as u64;
        self.open = Some(Open { record, sequence, offset, is_first: true, chain: 0, frame, frame_end });
        Ok(())
    }

    fn is_sequence(&self, sequence: u64) -> Result<(), Error> {
        if sequence < SEQUENCE_MAX {
            return Ok(());
        }
        Err(Error::corrupt(self.id(), self.bytes(), "the sequences are used up"))
    }

    /// Begins a frame with room for `payload_bytes` in the buffer, whose complete frames go first where that is needed.
    fn open_frame(&mut self, payload_bytes: usize) -> Result<(usize, usize), Error> {
        if self.buffer_bytes - self.buffer.len() < FRAME_HEADER_BYTES + payload_bytes {
            self.write_buffer()?;
        }
        let frame = self.buffer.len();
        self.buffer.pad(frame + FRAME_HEADER_BYTES);
        Ok((frame, self.buffer_bytes.min(frame + FRAME_BYTES_MAX)))
    }

    /// Makes room for `bytes` in one frame: what is appended next is not divided.
    pub(crate) fn keep_together(&mut self, bytes: usize) -> Result<(), Error> {
        match &self.open {
            Some(open) if open.frame_end - self.buffer.len() >= bytes => Ok(()),
            _ => self.next_frame(bytes),
        }
    }

    /// Appends bytes to the record, in as many frames as it takes.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &self.open {
            Some(open) if open.frame_end - self.buffer.len() >= bytes.len() => {
                self.buffer.put(bytes);
                Ok(())
            }
            _ => self.put_in_pieces(bytes),
        }
    }

    fn put_in_pieces(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = self.open.map_or(0, |open| open.frame_end - self.buffer.len());
            let (piece, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.put(piece);
            bytes = rest;
            if !bytes.is_empty() {
                self.next_frame(bytes.len().min(FRAME_ROOM_MIN))?;
            }
        }
        Ok(())
    }

    /// Ends the open frame, or moves it where it is empty, and begins one with room for `payload_bytes`.
    fn next_frame(&mut self, payload_bytes: usize) -> Result<(), Error> {
        assert!(payload_bytes <= self.together_bytes_max(), "a frame holds what is kept together");
        self.is_usable()?;
        let mut open = self.open.take().ok_or(Error::Poisoned)?;
        if self.buffer.len() == open.frame + FRAME_HEADER_BYTES {
            self.buffer.truncate(open.frame);
        } else {
            let crc = self.close_frame(&open, if open.is_first { Part::First } else { Part::Middle });
            open.chain = crate::sum::crc32c_append(open.chain, &crc.to_le_bytes());
            open.is_first = false;
        }
        (open.frame, open.frame_end) = self.open_frame(payload_bytes)?;
        self.open = Some(open);
        Ok(())
    }

    /// Writes the header of the open frame, and gives the checksum of its payload.
    fn close_frame(&mut self, open: &Open, part: Part) -> u32 {
        let payload = open.frame + FRAME_HEADER_BYTES;
        let payload_bytes = self.buffer.len() - payload;
        self.buffer.pad(self.buffer.len().next_multiple_of(ALIGNMENT));
        let payload_crc = crate::sum::crc32c(self.buffer.as_slice().get(payload..).unwrap_or(&[]));
        let (record, sequence, durable) = (open.record, open.sequence, self.durable);
        let header = FrameHeader { part, record, sequence, durable, payload_bytes, payload_crc };
        self.place_header(open.frame, &header);
        payload_crc
    }

    fn place_header(&mut self, frame: usize, header: &FrameHeader) {
        let bytes = header.encode(self.salt, self.start + frame as u64);
        if let Some(place) = self.buffer.room().get_mut(frame..frame + FRAME_HEADER_BYTES) {
            place.copy_from_slice(&bytes);
        }
        self.witnessed = header.durable;
    }

    /// Ends the record: from now on it counts, as far as the file has it.
    pub(crate) fn end(&mut self, items_count: u64, last_sequence: u64) -> Result<(), Error> {
        self.is_sequence(last_sequence)?;
        self.keep_together(TRAILER_BYTES)?;
        let open = self.open.take().ok_or(Error::Poisoned)?;
        assert!(last_sequence >= open.sequence, "a record's sequences go up");
        let trailer = Trailer { items_count, span: last_sequence - open.sequence, chain: open.chain };
        self.buffer.put(&trailer.encode());
        self.close_frame(&open, if open.is_first { Part::Whole } else { Part::Last });
        (self.last_sequence, self.records_end) = (last_sequence, self.bytes());
        self.counters.records_count += 1;
        Ok(())
    }

    /// Gives up the record that was begun, if there is one.
    pub(crate) fn abort(&mut self) {
        let Some(open) = self.open.take().filter(|_| !self.is_poisoned) else { return };
        match open.offset.checked_sub(self.start) {
            Some(frame) => {
                self.buffer.truncate(frame as usize);
                // What it said went with it.
                self.witnessed = 0;
            }
            // Some of it is in the file. The open frame's header becomes that of the end.
            None => {
                self.buffer.truncate(open.frame + FRAME_HEADER_BYTES);
                self.close_frame(&open, Part::Abort);
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- the file

    fn write_buffer(&mut self) -> Result<(), Error> {
        self.is_usable()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let outcome = self.file.write_all_at(self.buffer.as_slice(), self.start);
        self.poisoning(outcome)?;
        self.counters.writes_count += 1;
        self.counters.written_bytes += self.buffer.len() as u64;
        self.start += self.buffer.len() as u64;
        self.buffer.truncate(0);
        Ok(())
    }

    /// Hands all records to the system. They survive the end of this process, not that of the system.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Poisoned`] from then on.
    pub fn write(&mut self) -> Result<(), Error> {
        assert!(self.open.is_none(), "a record ends before it is written");
        self.write_buffer()
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Poisoned`] from then on: after a failed sync nobody knows what is on the disk.
    pub fn sync(&mut self) -> Result<(), Error> {
        let Some(pending) = self.begin_sync()? else { return Ok(()) };
        let outcome = pending.run();
        self.end_sync(&pending, outcome)
    }

    /// Hands all records to the system and gives the sync that makes them durable, which may run while other records are
    /// appended and written; `None` where everything is durable. Its outcome must come to [`LogWriter::end_sync`].
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    pub fn begin_sync(&mut self) -> Result<Option<PendingSync>, Error> {
        let is_needed = self.durable < self.records_end;
        if is_needed {
            self.write_ahead();
        }
        self.write()?;
        let pending = PendingSync { file: Arc::clone(&self.file), end: self.start };
        Ok(is_needed.then_some(pending))
    }

    /// Writes zeros behind the records, where that makes the next syncs cheaper.
    fn write_ahead(&mut self) {
        let mut wanted = self.ahead.wanted(self.bytes());
        if self.is_poisoned || wanted.is_empty() {
            return;
        }
        self.ahead.end = wanted.end;
        while !wanted.is_empty() {
            let count = (wanted.end - wanted.start).min(ZEROS.len() as u64);
            if self.file.write_all_at(ZEROS.get(..count as usize).unwrap_or(&[]), wanted.start).is_err() {
                // There may be no room for more than the records. What zeros there are do no harm.
                self.ahead.bytes_max = 0;
                return;
            }
            (self.counters.writes_count, self.counters.written_bytes) =
                (self.counters.writes_count + 1, self.counters.written_bytes + count);
            wanted.start += count;
        }
    }

    /// Takes note of a sync's outcome, and passes it on.
    ///
    /// # Errors
    /// That of the sync.
    pub fn end_sync(&mut self, pending: &PendingSync, outcome: Result<(), Error>) -> Result<(), Error> {
        self.counters.syncs_count += 1;
        self.poisoning(outcome)?;
        self.durable = self.durable.max(pending.end);
        Ok(())
    }

    /// Appends a frame that says what is durable, where no frame has said so, and hands it to the system. The last
    /// sync before a pause or the end should be followed by one: until something says that it has happened,
    /// damage in what it made durable looks like a torn tail.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Poisoned`] from then on.
    pub fn mark(&mut self) -> Result<(), Error> {
        assert!(self.open.is_none(), "a mark stands between records");
        self.is_usable()?;
        if self.witnessed >= self.durable {
            return self.write_buffer();
        }
        self.reserve_buffer()?;
        let (frame, _) = self.open_frame(0)?;
        let payload_crc = crate::sum::crc32c(&[]);
        let (part, durable) = (Part::Mark, self.durable);
        let header = FrameHeader { part, record: 0, sequence: 0, durable, payload_bytes: 0, payload_crc };
        self.place_header(frame, &header);
        self.write_buffer()
    }

    /// Makes everything durable and ends the log with a mark.
    ///
    /// # Errors
    /// As [`LogWriter::sync`].
    pub fn close(mut self) -> Result<LogEnd, Error> {
        self.sync()?;
        let end = LogEnd { number: self.id().number, bytes: self.durable, last_sequence: self.last_sequence };
        self.mark()?;
        Ok(end)
    }
}

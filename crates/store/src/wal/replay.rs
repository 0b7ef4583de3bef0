//! The entries of one log, transaction by transaction.

use cofferdam_arena::{Budget, BudgetAlloc};

use super::entry::{Entry, Head};
use super::{FORMAT, TRANSACTION};
use crate::directory::OpenFile;
use crate::error::Error;
use crate::files::FileId;
use crate::log::buffer::Buffer;
use crate::log::bytes::Decoder;
use crate::log::reader::LogReader;
use crate::log::records::{Piece, Records};
use crate::log::{FRAME_BYTES_MAX, Summary};

/// The most bytes of a replay's buffer.
const BUFFER_BYTES_MAX: usize = 128 << 10;

/// What a replay meets.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A change of a transaction that has committed.
    Entry(Entry<'e>),
    /// All changes up to this sequence have been given: nothing is half there now.
    Commit {
        /// The last sequence of the transaction.
        last_sequence: u64,
    },
}

/// Who takes the entries.
pub(crate) type Visit<'v> = dyn FnMut(&Event<'_>) -> Result<(), Error> + 'v;

/// An entry that is longer than a frame, between two frames: its bytes so far are in the long buffer.
#[derive(Clone, Copy, Debug)]
struct Long {
    head: Head,
    sequence: u64,
}

/// The memory of a replay.
pub(crate) struct Replay {
    buffer: Buffer,
    pub(crate) state: State,
}

/// Where a replay is.
pub(crate) struct State {
    /// An entry that did not fit a frame.
    long_buffer: Buffer,
    long: Option<Long>,
    /// That of the last entry.
    sequence: u64,
    /// Entries of the transaction so far.
    items_count: u64,
    pub(crate) last_sequence: u64,
    pub(crate) transactions_count: u64,
    pub(crate) entries_count: u64,
}

impl Replay {
    pub(crate) fn new(buffer_bytes: usize, budget: &Budget) -> Result<Replay, Error> {
        let alloc = BudgetAlloc::new(budget);
        let mut buffer = Buffer::new(&alloc);
        buffer.reserve(buffer_bytes.clamp(FRAME_BYTES_MAX, BUFFER_BYTES_MAX))?;
        let state = State {
            long_buffer: Buffer::new(&alloc),
            long: None,
            sequence: 0,
            items_count: 0,
            last_sequence: 0,
            transactions_count: 0,
            entries_count: 0,
        };
        Ok(Replay { buffer, state })
    }

    /// The first pass: how far the log goes; `durable` is known to be durable. `None` where it was never made.
    pub(crate) fn summarize(
        &mut self,
        file: &OpenFile,
        database: u64,
        durable: u64,
    ) -> Result<Option<Summary>, Error> {
        let Some(reader) = LogReader::open(file, &FORMAT, database, self.buffer.room())? else {
            return Ok(None);
        };
        Records::summarize(reader, durable).map(Some)
    }

    /// The second pass: gives what is in the complete transactions.
    pub(crate) fn run(
        &mut self,
        file: &OpenFile,
        summary: &Summary,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let reader = LogReader::open(file, &FORMAT, summary.header.database, self.buffer.room())?;
        let reader = reader.ok_or_else(|| Error::corrupt(file.id(), 0, "the header is gone"))?;
        let mut records = Records::complete(reader, summary);
        while let Some(piece) = records.next()? {
            self.state.take(file.id(), &piece, records.items(&piece), visit)?;
        }
        Ok(())
    }
}

impl State {
    fn take(&mut self, id: FileId, piece: &Piece, items: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        if piece.is_first {
            if piece.record != TRANSACTION {
                return Err(Error::corrupt(id, piece.offset, "a record of an unknown type"));
            }
            if piece.sequence <= self.last_sequence {
                return Err(Error::corrupt(
                    id,
                    piece.offset,
                    "a sequence that is not above those of the log before",
                ));
            }
            (self.sequence, self.items_count) = (piece.sequence, 0);
        }
        let mut entries = Decoder::new(items);
        if let Some(long) = self.long.take() {
            self.take_long(id, piece, long, &mut entries, visit)?;
        }
        while !entries.is_empty() {
            let offset = piece.offset + (items.len() - entries.rest().len()) as u64;
            let corrupt = |what| Error::corrupt(id, offset, what);
            let head = Head::decode(&mut entries).ok_or_else(|| corrupt("no entry"))?;
            self.sequence = self.sequence.saturating_add(head.step);
            self.items_count += 1;
            match entries.take(head.body_bytes()) {
                Some(body) => give(&head, self.sequence, body, visit)?,
                None => {
                    self.long_buffer.truncate(0);
                    self.long_buffer.reserve(head.body_bytes())?;
                    let long = Long { head, sequence: self.sequence };
                    self.take_long(id, piece, long, &mut entries, visit)?;
                }
            }
        }
        self.end(id, piece, visit)
    }

    /// Takes what a piece has of an entry that is longer than a frame.
    fn take_long(
        &mut self,
        id: FileId,
        piece: &Piece,
        long: Long,
        entries: &mut Decoder<'_>,
        visit: &mut Visit<'_>,
    ) -> Result<(), Error> {
        let missing = long.head.body_bytes() - self.long_buffer.len();
        let part = entries.take(missing.min(entries.rest().len())).unwrap_or(&[]);
        self.long_buffer.put(part);
        if part.len() == missing {
            return give(&long.head, long.sequence, self.long_buffer.as_slice(), visit);
        }
        if piece.trailer.is_some() {
            return Err(Error::corrupt(id, piece.offset, "an entry is longer than its transaction"));
        }
        self.long = Some(long);
        Ok(())
    }

    /// Ends a piece, and the transaction with the last one.
    fn end(&mut self, id: FileId, piece: &Piece, visit: &mut Visit<'_>) -> Result<(), Error> {
        let Some(trailer) = piece.trailer else { return Ok(()) };
        if trailer.items_count != self.items_count
            || self.sequence != piece.sequence.saturating_add(trailer.span)
        {
            // The offset is that of its last frame.
            return Err(Error::corrupt(id, piece.offset, "a transaction with other entries than it says"));
        }
        self.transactions_count += 1;
        self.entries_count += self.items_count;
        self.last_sequence = self.sequence;
        visit(&Event::Commit { last_sequence: self.sequence })
    }
}

#[inline]
fn give(head: &Head, sequence: u64, body: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
    head.entry(sequence, body).map_or(Ok(()), |entry| visit(&Event::Entry(entry)))
}

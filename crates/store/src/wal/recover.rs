//! All logs of a database, in order: what to do with them when it opens.

use cofferdam_arena::Budget;
use cofferdam_vfs::OpenMode;

use super::FORMAT;
use super::replay::{Replay, Visit};
use super::writer::WalWriter;
use crate::directory::{Access, Directory};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::log::reader::read_header;
use crate::log::{HEADER_BYTES, Header, LogEnd, Summary};
use crate::manifest::Root;

/// What the logs of a database held.
#[derive(Clone, Copy, Debug)]
pub struct Recovered {
    /// The last log; `None` where there is none.
    pub tail: Option<Tail>,
    /// How many logs there were.
    pub logs_count: u64,
    /// Complete transactions.
    pub transactions_count: u64,
    /// Their entries.
    pub entries_count: u64,
    /// The last sequence; 0 where there is none.
    pub last_sequence: u64,
    /// Bytes behind the last complete transaction, which were never promised to anybody.
    pub torn_bytes: u64,
}

/// The last log, which may be written on.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    summary: Summary,
    last_sequence: u64,
}

impl Tail {
    /// The log's number.
    pub fn number(&self) -> u64 {
        self.summary.header.number
    }

    /// Where its last transaction ends.
    pub fn bytes(&self) -> u64 {
        self.summary.end
    }

    /// Goes on with the log: what is behind its last complete transaction is cut, and all before is durable when this
    /// returns.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`], [`Error::Unsupported`].
    pub fn resume(
        &self,
        directory: &Directory,
        buffer_bytes: usize,
        budget: &Budget,
    ) -> Result<WalWriter, Error> {
        // Logs behind it that had nothing were removed, now or by a process that did not come further: they must not be there again when
        // this one has grown, since they say how long it was.
        directory.sync()?;
        let summary = Summary { last_sequence: self.last_sequence, ..self.summary };
        WalWriter::resume(directory, &summary, buffer_bytes, budget)
    }

    /// Ends the log as it is, so that another one may follow.
    ///
    /// # Errors
    /// As [`Tail::resume`].
    pub fn seal(&self, directory: &Directory, budget: &Budget) -> Result<LogEnd, Error> {
        self.resume(directory, 0, budget)?.close()
    }
}

/// Gives the entries of all complete transactions to `visit`, in the order of their sequences: from the log `oldest`
/// on, which the manifest names, or from the first one where that is 0. Nothing is written, but that logs whose making was
/// interrupted are removed where the directory may be written to.
///
/// Memory: `buffer_bytes`, kept within 16 and 128 KiB; 72 KiB at most while there are entries longer than a frame; 2 KiB for
/// files. However long the logs are.
///
/// # Errors
/// [`Error::Corrupt`] for damage in what was durable, and for a log that is missing; [`Error::Unsupported`],
/// [`Error::OutOfMemory`], [`Error::Io`]; those of `visit`, which end it.
pub fn recover(
    directory: &Directory,
    root: &Root,
    oldest: u64,
    buffer_bytes: usize,
    budget: &Budget,
    visit: &mut Visit<'_>,
) -> Result<Recovered, Error> {
    recover_each(directory, root, oldest, buffer_bytes, budget, &|_| (), visit)
}

/// [`recover()`] that tells `begin` the number of each log before its entries.
///
/// # Errors
/// As [`recover()`].
pub(crate) fn recover_each(
    directory: &Directory,
    root: &Root,
    oldest: u64,
    buffer_bytes: usize,
    budget: &Budget,
    begin: &dyn Fn(u64),
    visit: &mut Visit<'_>,
) -> Result<Recovered, Error> {
    let mut replay = Replay::new(buffer_bytes, budget)?;
    let (mut tail, mut logs_count) = (None, 0);
    let logs = Logs { directory, root, oldest, budget };
    let mut current = logs.next(oldest.saturating_sub(1))?;
    if oldest > 0 && current.is_none_or(|log| log.number != oldest) {
        return Err(Error::corrupt(id_of(oldest), 0, "the log that the manifest names is missing"));
    }
    if let Some(log) = current.filter(|log| oldest == 0 && log.previous != 0) {
        return Err(missing_before(&log));
    }
    while let Some(log) = current {
        let next = logs.next(log.number)?;
        if let Some(next) = next.filter(|next| next.previous != log.number) {
            return Err(missing_before(&next));
        }
        let durable = next.map_or(0, |next| next.previous_bytes);
        begin(log.number);
        let summary = logs.replay(&log, durable, &mut replay, visit)?;
        if next.is_some() && (summary.records_end > durable || summary.end < durable) {
            return Err(Error::corrupt(
                id_of(log.number),
                summary.end,
                "the log that follows says another length",
            ));
        }
        tail = Some(Tail { summary, last_sequence: replay.state.last_sequence });
        logs_count += 1;
        current = next;
    }
    Ok(Recovered {
        tail,
        logs_count,
        transactions_count: replay.state.transactions_count,
        entries_count: replay.state.entries_count,
        last_sequence: replay.state.last_sequence,
        torn_bytes: tail.map_or(0, |tail| tail.summary.file_bytes - tail.summary.end),
    })
}

/// Gives the entries of one log, whatever the others say; `None` where it was never made.
///
/// # Errors
/// As [`recover()`].
pub(crate) fn replay_alone(
    directory: &Directory,
    root: &Root,
    number: u64,
    budget: &Budget,
    visit: &mut Visit<'_>,
) -> Result<Option<Summary>, Error> {
    let mut replay = Replay::new(0, budget)?;
    let file = directory.open_file(id_of(number), OpenMode::Read, budget)?;
    let Some(summary) = replay.summarize(&file, root.database, 0)? else { return Ok(None) };
    replay.run(&file, &summary, visit)?;
    Ok(Some(summary))
}

fn id_of(number: u64) -> FileId {
    FileId::new(FileKind::Wal, number)
}

fn missing_before(log: &Header) -> Error {
    Error::corrupt(id_of(log.previous), 0, "a log is missing that another one follows")
}

/// The logs of a database.
struct Logs<'l> {
    directory: &'l Directory,
    root: &'l Root,
    oldest: u64,
    budget: &'l Budget,
}

impl Logs<'_> {
    /// The header of the next log behind `number` that counts (W4). The others are removed where that is allowed.
    fn next(&self, mut number: u64) -> Result<Option<Header>, Error> {
        while let Some(next) = self.directory.next_number(FileKind::Wal, number)? {
            let found = self.header(next)?;
            if let Some((header, false)) = found {
                return Ok(Some(header));
            }
            let is_needed = next == self.oldest || self.is_followed(next)?;
            match found {
                Some((header, _)) if is_needed => return Ok(Some(header)),
                None if is_needed => return Err(Error::corrupt(id_of(next), 0, "no header")),
                _ if self.directory.access() != Access::Read => self.directory.remove(id_of(next))?,
                _ => {}
            }
            number = next;
        }
        Ok(None)
    }

    /// The header of a log, and whether there is nothing else; `None` where not even that is complete.
    fn header(&self, number: u64) -> Result<Option<(Header, bool)>, Error> {
        let file = self.directory.open_file(id_of(number), OpenMode::Read, self.budget)?;
        let file_bytes = file.bytes()?;
        let header = read_header(&file, &FORMAT, self.root.database, file_bytes)?;
        Ok(header.map(|header| (header, file_bytes == HEADER_BYTES)))
    }

    /// Whether a log says that it follows this one.
    fn is_followed(&self, number: u64) -> Result<bool, Error> {
        let mut later = number;
        while let Some(next) = self.directory.next_number(FileKind::Wal, later)? {
            if self.header(next)?.is_some_and(|(header, _)| header.previous == number) {
                return Ok(true);
            }
            later = next;
        }
        Ok(false)
    }

    fn replay(
        &self,
        log: &Header,
        durable: u64,
        replay: &mut Replay,
        visit: &mut Visit<'_>,
    ) -> Result<Summary, Error> {
        let file = self.directory.open_file(id_of(log.number), OpenMode::Read, self.budget)?;
        let Some(summary) = replay.summarize(&file, self.root.database, durable)? else {
            return Err(Error::corrupt(file.id(), 0, "the header is gone"));
        };
        replay.run(&file, &summary, visit)?;
        Ok(summary)
    }
}

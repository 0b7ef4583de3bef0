//! Transactions into a log.

use cofferdam_arena::{AllocError, Budget};

use super::entry::{Entry, Head};
use super::{FORMAT, TRANSACTION};
use crate::directory::Directory;
use crate::error::Error;
use crate::log::{Header, LogCounters, LogEnd, LogWriter, PendingSync, Summary};
use crate::manifest::Root;

/// Appends transactions to the log of a database.
///
/// Any number of transactions may be appended, then written with one write and made durable by one sync: that is all a
/// group commit needs. A sync may also run while the next group is appended ([`WalWriter::begin_sync`]).
///
/// Memory: the buffer, from the first transaction on, and 1 KiB for the file.
#[derive(Debug)]
pub struct WalWriter {
    log: LogWriter,
}

impl WalWriter {
    /// Makes the log `number`, which follows the one that ended with `previous` (W1). It exists durably when this returns.
    ///
    /// `buffer_bytes` is kept within 8 and 256 KiB.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`]. The file may be left behind; it is taken for one that is not there.
    pub fn create(
        directory: &Directory,
        root: &Root,
        number: u64,
        previous: Option<LogEnd>,
        buffer_bytes: usize,
        budget: &Budget,
    ) -> Result<WalWriter, Error> {
        let header = Header {
            number,
            database: root.database,
            salt: directory.vfs().random_u64(),
            previous: previous.map_or(0, |previous| previous.number),
            previous_bytes: previous.map_or(0, |previous| previous.bytes),
            writer_features: 0,
        };
        assert!(header.previous < number, "numbers go up");
        let last_sequence = previous.map_or(0, |previous| previous.last_sequence);
        let log = LogWriter::create(directory, &FORMAT, header, last_sequence, buffer_bytes, budget)?;
        Ok(WalWriter { log })
    }

    pub(crate) fn resume(
        directory: &Directory,
        summary: &Summary,
        buffer_bytes: usize,
        budget: &Budget,
    ) -> Result<WalWriter, Error> {
        LogWriter::resume(directory, &FORMAT, summary, buffer_bytes, budget).map(|log| WalWriter { log })
    }

    /// Begins a transaction whose first entry has this sequence, which is above all before (W2).
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] for the buffer; [`Error::Io`], [`Error::Poisoned`].
    pub fn begin(&mut self, sequence: u64) -> Result<Transaction<'_>, Error> {
        self.log.begin(TRANSACTION, sequence)?;
        Ok(Transaction { log: &mut self.log, sequence, entries_count: 0 })
    }

    /// The number of the log.
    pub fn number(&self) -> u64 {
        self.log.id().number
    }

    /// The length of the log, with what is still in the buffer.
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// The last sequence of the last transaction, here or in the logs before; 0 where there is none.
    pub fn last_sequence(&self) -> u64 {
        self.log.last_sequence()
    }

    /// What has been done so far.
    pub fn counters(&self) -> LogCounters {
        self.log.counters()
    }

    /// Takes the buffer now, so that the next transaction cannot fail for want of it.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn reserve_buffer(&mut self) -> Result<(), AllocError> {
        self.log.reserve_buffer()
    }

    /// Gives the buffer back, where all was written.
    pub fn release_buffer(&mut self) {
        self.log.release_buffer();
    }

    /// Hands all transactions to the system: they survive the end of the process.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Poisoned`] from then on.
    pub fn write(&mut self) -> Result<(), Error> {
        self.log.write()
    }

    /// Makes all transactions durable: they survive a loss of power.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Poisoned`] from then on.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.log.sync()
    }

    /// Hands all transactions to the system, and gives what makes them durable while others are appended; `None` where all are.
    ///
    /// # Errors
    /// As [`WalWriter::write`].
    pub fn begin_sync(&mut self) -> Result<Option<PendingSync>, Error> {
        self.log.begin_sync()
    }

    /// Takes note of a sync's outcome, and passes it on.
    ///
    /// # Errors
    /// That of the sync.
    pub fn end_sync(&mut self, pending: &PendingSync, outcome: Result<(), Error>) -> Result<(), Error> {
        self.log.end_sync(pending, outcome)
    }

    /// Appends a witness of the last sync; to be called when nothing else is to come for a while (see [`crate::log`]).
    ///
    /// # Errors
    /// As [`WalWriter::write`].
    pub fn mark(&mut self) -> Result<(), Error> {
        self.log.mark()
    }

    /// Makes everything durable and ends the log.
    ///
    /// # Errors
    /// As [`WalWriter::sync`].
    pub fn close(self) -> Result<LogEnd, Error> {
        self.log.close()
    }
}

/// A transaction that is being appended. Dropped before its commit, it does not count.
#[derive(Debug)]
pub struct Transaction<'w> {
    log: &'w mut LogWriter,
    /// That of the last entry.
    sequence: u64,
    entries_count: u64,
}

impl Transaction<'_> {
    /// Appends an entry. Its sequence is not below the one before.
    ///
    /// # Errors
    /// [`Error::Input`] for a key or row that is too long, or a row that is gone and has content; [`Error::Io`],
    /// [`Error::Poisoned`].
    #[inline]
    pub fn put(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        entry.check()?;
        assert!(entry.sequence >= self.sequence, "wal W2");
        let (change, table, step) = (entry.change, entry.table, entry.sequence - self.sequence);
        let head = Head { change, step, table, key_bytes: entry.key.len(), row_bytes: entry.row.len() };
        let encoded = head.encode();
        let bytes = encoded.as_slice().len() + head.body_bytes();
        // What does not fit any frame is divided behind its head.
        let is_long = bytes > self.log.together_bytes_max();
        self.log.keep_together(if is_long { encoded.as_slice().len() } else { bytes })?;
        self.log.put(encoded.as_slice())?;
        self.log.put(entry.key)?;
        self.log.put(entry.row)?;
        self.sequence = entry.sequence;
        self.entries_count += 1;
        Ok(())
    }

    /// Ends the transaction, whose last sequence is that of its last entry. It counts when it is written, and is durable when it
    /// is synced.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Poisoned`].
    pub fn commit(self) -> Result<(), Error> {
        self.log.end(self.entries_count, self.sequence)
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Nothing to give up behind a commit.
        self.log.abort();
    }
}

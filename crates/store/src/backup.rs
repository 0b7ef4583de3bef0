//! A copy of an open database while others go on writing to it.
//!
//! ```text
//!   seal, flush ──> version of sequence s ──> segments-N … copied, synced ──> manifest ──> root
//!        writers go on: what they commit is later than s
//! ```
//!
//! Segments never change and are not removed while a version names them, so what is copied is the version's; it is exactly the
//! state of one sequence (B1), and nothing but the time of a flush is asked of writers.
//!
//! - **B1** The version is taken while nobody may flush or commit by an edit, behind a flush of all that was committed before. So
//!   it has every commit up to a sequence and none behind it.
//! - **B2** The root is the last file that the copy gets, when all others are durable with their names. Until then nothing opens
//!   the copy: who is stopped before leaves files that are no database.
//! - **B3** The copy is a database of its own: it has another identity, so that no log of the one is taken for one of the other.
//!   Its segments keep their numbers, which their headers have.
//!
//! **Memory**, of a child `backup` of the store's budget: a buffer of 256 KiB, or of less where there is no room for that, 8 KiB for
//! the manifest, 8 bytes a segment.

use std::path::Path;
use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc};
use cofferdam_vfs::{OpenMode, Vfs};

use crate::directory::Directory;
use crate::error::Error;
use crate::log::buffer::Buffer;
use crate::manifest::{self, Counters, Root};
use crate::progress::{Meter, Watch};
use crate::segment::SegmentFile;
use crate::store::{Inner, Store, lock, put_version};
use crate::version::Version;

/// What is copied at once: the first that there is room for.
const BUFFER_BYTES: [usize; 4] = [256 << 10, 64 << 10, 16 << 10, 4 << 10];
/// So much is written before it is made durable, so that no sync takes long.
const SYNC_BYTES: u64 = 32 << 20;

/// What a backup has copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The copy has every commit up to this sequence.
    pub sequence: u64,
    /// Files of segments.
    pub files_count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies an open database to the directory `to`, which is made, or is empty. The copy opens as a database that has every commit
/// up to a sequence that lies between call and return.
///
/// # Errors
/// [`Error::NotEmpty`] where the directory has files; [`Error::Cancelled`]; those of [`Store::flush`]; [`Error::Io`] of either side. What was
/// copied is removed again then, as far as the system lets it be.
pub fn backup(store: &Store, vfs: &Arc<dyn Vfs>, to: &Path, watch: Watch<'_>) -> Result<Backup, Error> {
    let inner = store.inner();
    let budget = inner.budget.child("backup", u64::MAX)?;
    let mut meter = Meter::new(watch);
    meter.check()?;
    let directory = Directory::begin(vfs, to, &budget)?;
    let outcome = inner.settled_version().and_then(|(version, sequence)| {
        let copy = Copy { inner, version: &version, directory: &directory, budget: &budget };
        copy.run(sequence, &mut meter)
    });
    if outcome.is_err() {
        directory.abandon();
    }
    outcome
}

impl Inner {
    /// The version that has exactly what was committed up to a sequence, and that sequence (B1).
    fn settled_version(&self) -> Result<(Arc<Version>, u64), Error> {
        // The right to flush, which commits by an edit need too.
        let _turn = lock(&self.flushing);
        loop {
            self.check_writable()?;
            self.flush_sealed_in_turn()?;
            let mut log = lock(&self.log);
            if log.sealed_until != 0 {
                // A writer was faster.
                continue;
            }
            let sequence = log.last_sequence;
            if !self.has_entries() {
                return Ok((self.versions.current(), sequence));
            }
            self.swap(&mut log)?;
            drop(log);
            self.flush_sealed_in_turn()?;
            return Ok((self.versions.current(), sequence));
        }
    }
}

/// A copy that is being made.
struct Copy<'c> {
    inner: &'c Inner,
    version: &'c Version,
    directory: &'c Directory,
    budget: &'c Budget,
}

impl Copy<'_> {
    fn run(&self, sequence: u64, meter: &mut Meter<'_>) -> Result<Backup, Error> {
        let numbers = self.numbers()?;
        for number in &numbers {
            meter.expect(self.file(*number).map_or(Ok(0), bytes_of)?);
        }
        let mut copied = Backup { sequence, files_count: 0, bytes: 0 };
        let mut buffer = self.buffer()?;
        for file in numbers.iter().filter_map(|number| self.file(*number)) {
            copied.bytes += self.copy_file(file, buffer.room(), meter)?;
            copied.files_count += 1;
        }
        drop(buffer);
        self.finish(sequence, meter)?;
        Ok(copied)
    }

    /// The numbers of all files that the version names, each once.
    fn numbers(&self) -> Result<Vec<u64, BudgetAlloc>, Error> {
        let segments = || self.version.tables().iter().flat_map(|entry| entry.segments());
        let mut numbers = Vec::new_in(BudgetAlloc::new(self.budget));
        numbers.try_reserve_exact(segments().count())?;
        numbers.extend(segments().map(|segment| segment.info.id.file));
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn file(&self, number: u64) -> Option<&SegmentFile> {
        let mut segments = self.version.tables().iter().flat_map(|entry| entry.segments());
        segments.find(|segment| segment.info.id.file == number).map(|segment| &**segment.file())
    }

    fn buffer(&self) -> Result<Buffer, Error> {
        let mut buffer = Buffer::new(&BudgetAlloc::new(self.budget));
        let mut outcome = Ok(());
        for bytes in BUFFER_BYTES {
            outcome = buffer.reserve(bytes);
            if outcome.is_ok() {
                break;
            }
        }
        outcome?;
        Ok(buffer)
    }

    /// Copies a file as it is, durable but for its name, and gives its bytes.
    fn copy_file(&self, from: &SegmentFile, buffer: &mut [u8], meter: &mut Meter<'_>) -> Result<u64, Error> {
        let bytes = bytes_of(from)?;
        let to = self.directory.open_file(from.id(), OpenMode::CreateNew, self.budget)?;
        let (mut offset, mut unsynced) = (0, 0);
        while offset < bytes {
            let count = usize::try_from(bytes - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece = buffer.get_mut(..count).unwrap_or_default();
            from.read(piece, offset)?;
            to.write_all_at(piece, offset)?;
            (offset, unsynced) = (offset + count as u64, unsynced + count as u64);
            if unsynced >= SYNC_BYTES {
                to.sync()?;
                unsynced = 0;
            }
            meter.advance(count as u64)?;
        }
        to.sync()?;
        Ok(bytes)
    }

    /// The manifest and the root, in the order of B2.
    fn finish(&self, sequence: u64, meter: &Meter<'_>) -> Result<(), Error> {
        let (number, database) = (self.inner.next_file_number(), self.inner.directory.vfs().random_u64());
        let counters = Counters {
            next_file: number + 1,
            next_table: self.inner.next_table_number(),
            last_sequence: sequence,
            oldest_wal: 0,
        };
        manifest::write_snapshot(self.directory, number, database, 1, &counters, self.budget, &mut |edit| {
            put_version(edit, self.version)
        })?;
        self.directory.sync()?;
        meter.check()?;
        self.directory.complete(&Root::first(number, database), self.budget)
    }
}

fn bytes_of(file: &SegmentFile) -> Result<u64, Error> {
    file.file().len().map_err(|error| Error::io("measure", file.id(), &error))
}

//! An open file that knows its name and who pays for its handle.

#![allow(clippy::disallowed_types)]

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_arena::{AllocError, Budget, BudgetAlloc};
use cofferdam_vfs::File;

use crate::error::Error;
use crate::files::FileId;

/// What an open file is charged for: its handle here and what the file system keeps for it.
pub const FILE_HANDLE_BYTES: u64 = 1 << 10;

/// Bytes that are charged as long as this lives.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: u64,
}

impl Charge {
    /// Charges `bytes`.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn new(budget: &Budget, bytes: u64) -> Result<Charge, AllocError> {
        budget.charge(bytes)?;
        Ok(Charge { budget: budget.clone(), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

/// An open file of a database. Its errors name it.
#[derive(Debug)]
pub struct OpenFile {
    id: FileId,
    file: Box<dyn File>,
    /// Whether a sync has failed. Held during a sync.
    has_failed: Mutex<bool>,
    _charge: Charge,
}

impl OpenFile {
    pub(crate) fn new(id: FileId, file: Box<dyn File>, charge: Charge) -> OpenFile {
        OpenFile { id, file, has_failed: Mutex::new(false), _charge: charge }
    }

    /// Itself, shared; the count of its sharers is in the handle's charge.
    pub(crate) fn shared(self) -> Arc<OpenFile> {
        BudgetAlloc::count_taken();
        Arc::new(self)
    }

    /// The handle, and what is charged for it.
    pub(crate) fn into_parts(self) -> (Box<dyn File>, Charge) {
        (self.file, self._charge)
    }

    /// Which file it is.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// Fills `into` from `offset` on, as far as the file goes, and gives how many bytes that was.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_up_to(&self, into: &mut [u8], offset: u64) -> Result<usize, Error> {
        let mut count = 0;
        while let Some(rest) = into.get_mut(count..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", self.id, &error)),
            }
        }
        Ok(count)
    }

    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the file ends before; [`Error::Io`].
    pub fn read_exact_at(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        let count = self.read_up_to(into, offset)?;
        if count == into.len() {
            return Ok(());
        }
        Err(Error::corrupt(self.id, offset + count as u64, "the file ends too early"))
    }

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// [`Error::Io`]; how much was written is not known then.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, offset).map_err(|error| Error::io("write", self.id, &error))
    }

    /// Makes all that was written durable.
    ///
    /// Syncs run one after the other, and after one that has failed none succeeds: the system tells of a failure once, and the
    /// next sync of the same handle, whoever asks for it, would say that all is well.
    ///
    /// # Errors
    /// [`Error::Io`]; nothing is known then about what was written since the last good sync. [`Error::Poisoned`] from then on.
    pub fn sync(&self) -> Result<(), Error> {
        let mut has_failed = self.has_failed.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_failed {
            return Err(Error::Poisoned);
        }
        self.file.sync().map_err(|error| {
            *has_failed = true;
            Error::io("sync", self.id, &error)
        })
    }

    /// The length in bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn bytes(&self) -> Result<u64, Error> {
        self.file.len().map_err(|error| Error::io("measure", self.id, &error))
    }

    /// Cuts the file, or fills it up with zeros.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_bytes(&self, bytes: u64) -> Result<(), Error> {
        self.file.set_len(bytes).map_err(|error| Error::io("cut", self.id, &error))
    }
}

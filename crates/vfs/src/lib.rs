//! The world outside of the process, behind a trait: directories and files, a clock, randomness.
//!
//! Everything that the store keeps goes through [`Vfs`], so that a test can give it a disk that tears writes, loses
//! what was not synced, runs full or turns bits, and a clock and random numbers that repeat.
//!
//! **What a disk promises.** Bytes that were written may or may not survive a crash, in any subset of sectors, until
//! [`File::sync`] of that file has returned. A name that was created, renamed or removed may or may not survive until
//! [`Directory::sync`] has returned. After a failed sync nothing is known about what was written since the last good
//! one, and a later good sync does not change that: the handle must not be trusted any more.
//!
//! **Neighbours.** Below: nothing. Above: `store`, which keeps tables, and `testkit`, which simulates disks.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Directories, a clock and randomness.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Opens a directory; with `create`, makes it where it is missing and syncs its parent.
    ///
    /// # Errors
    /// Those of the system: no such directory, not a directory, no permission.
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>>;

    /// Nanoseconds on a clock that never goes back; only differences mean something.
    fn now_ns(&self) -> u64;

    /// Waits; a simulated clock moves on instead.
    fn sleep_ns(&self, ns: u64);

    /// A number that nobody can guess, or that a simulation repeats.
    fn random_u64(&self) -> u64;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, to be read.
    Read,
    /// An existing file, to be read and written.
    Write,
    /// A file that must not exist yet, to be read and written.
    CreateNew,
}

/// One directory: names are single components, without a slash.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of the system; `NotFound` and `AlreadyExists` mean what they say.
    #[allow(clippy::disallowed_types)]
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, in place of what had it.
    ///
    /// # Errors
    /// Those of the system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name; who has it open goes on.
    ///
    /// # Errors
    /// Those of the system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Gives the name of every file to `visit`, in any order.
    ///
    /// # Errors
    /// Those of the system, and those of `visit`, which end the listing.
    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()>;

    /// Makes names durable: those that were created, renamed and removed before.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&self) -> io::Result<()>;

    /// Locks the file `name`, which is made where it is missing, against every other process and handle until the
    /// lock is dropped or the process ends.
    ///
    /// # Errors
    /// `WouldBlock` while somebody else has it; those of the system.
    #[allow(clippy::disallowed_types)]
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>>;
}

/// A lock that is held until it is dropped.
pub trait Lock: Send + Sync + fmt::Debug {}

/// An open file. All methods may be called by several threads at once.
pub trait File: Send + Sync + fmt::Debug {
    /// Reads at an offset; fewer bytes than asked are no error, none mean the end of the file.
    ///
    /// # Errors
    /// Those of the system.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset, also behind the end; fewer bytes than asked are no error.
    ///
    /// # Errors
    /// Those of the system.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes all that was written durable, with the file's length.
    ///
    /// # Errors
    /// Those of the system; see the module on what they mean.
    fn sync(&self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Those of the system.
    fn len(&self) -> io::Result<u64>;

    /// True for a length of 0.
    ///
    /// # Errors
    /// As [`File::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or fills it up with zeros.
    ///
    /// # Errors
    /// Those of the system.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Fills `into`, however many reads it takes.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file ends before; those of the system.
    fn read_exact_at(&self, mut into: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !into.is_empty() {
            match self.read_at(into, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    into = &mut into[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes`, however many writes it takes.
    ///
    /// # Errors
    /// `WriteZero` where the system takes no more; those of the system.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

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
//! **How long a call takes.** No call can be cancelled. Who must stay responsive asks for at most 1 MiB at a time and
//! looks at its flags between calls; a sync takes as long as the device needs for what was written since the last one.
//!
//! | module | what it has |
//! |---|---|
//! | `os` | [`OsVfs`]: the files of the operating system |
//! | `memory` | [`MemoryVfs`]: files in memory, under a budget |
//! | `counting` | [`CountingVfs`]: counts what goes to another one: syncs, writes, bytes |
//!
//! **Memory.** An open directory holds its path and a descriptor, an open file or lock a descriptor. These come
//! from the program's allocator: whoever keeps handles charges them. Reads and writes take nothing; opening, renaming and
//! removing neither, where paths are no longer than usual; what a listing takes for its length is in `os`.
//!
//! **Neighbours.** Below: `arena`, which pays for files in memory. Above: `store`, which keeps tables, and `testkit`, which
//! simulates disks.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_types))]

mod clock;
mod counting;
mod memory;
#[cfg(unix)]
mod os;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use counting::{CountingVfs, Counts};
pub use memory::MemoryVfs;
#[cfg(unix)]
pub use os::OsVfs;

/// Directories, a clock and randomness.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Opens a directory. With `create`, makes it where it is missing (its parent must be there) and makes its name
    /// durable, also where it is there already: who made it may have been stopped before that.
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

/// One directory: names are single components, without a slash ([`check_name`]).
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

    /// Gives the name of every file to `visit`, in any order; not those of directories, nor names that are not UTF-8.
    ///
    /// # Errors
    /// Those of the system, and those of `visit`, which end the listing.
    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()>;

    /// Makes names durable: those that were created, renamed and removed before.
    ///
    /// # Errors
    /// Those of the system.
    fn sync(&self) -> io::Result<()>;

    /// Whether its files are memory of the machine and not of a disk (tmpfs), as far as the system tells.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Locks the file `name`, which is made where it is missing, against every other process and handle until the
    /// lock is dropped or the process ends. The file stays: to remove it would let two hold a lock of one name.
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

    /// Cuts the file, or fills it up with zeros. Durable after the next [`File::sync`].
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

/// Whether a file may have this name: a single component that is UTF-8.
///
/// # Errors
/// `InvalidInput` for an empty name, `.`, `..` and names with a slash or a zero byte.
pub fn check_name(name: &str) -> io::Result<()> {
    let is_component = !matches!(name, "" | "." | "..") && !name.bytes().any(|byte| matches!(byte, 0 | b'/'));
    if is_component { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// What the number of an error means, for those that [`io::ErrorKind`] has no name for and a user can do something
/// about. Takes no memory.
pub fn explain(code: i32) -> Option<&'static str> {
    // These three have the same number on every Unix, and another meaning elsewhere.
    match code {
        _ if !cfg!(unix) => None,
        5 => Some("the device failed (EIO)"),
        23 => Some("the system is out of file descriptors (ENFILE)"),
        24 => Some("the process is out of file descriptors: raise its limit (ulimit -n)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_single_components() {
        for name in ["lock", "wal-000001", "...", "a b", "ä"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
        for name in ["", ".", "..", "/", "a/b", "/a", "a/", "a\0b"] {
            let error = check_name(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }

    /// A file that moves one byte at a time, and is interrupted before each.
    #[derive(Debug, Default)]
    struct Slow(std::sync::Mutex<(Vec<u8>, bool)>);

    impl Slow {
        fn step<T>(&self, then: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
            let (bytes, was_interrupted) = &mut *self.0.lock().unwrap();
            *was_interrupted = !*was_interrupted;
            if *was_interrupted { Err(io::ErrorKind::Interrupted.into()) } else { Ok(then(bytes)) }
        }
    }

    impl File for Slow {
        fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
            self.step(|bytes| match bytes.get(offset as usize) {
                Some(&byte) => {
                    into[0] = byte;
                    1
                }
                None => 0,
            })
        }
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.step(|file| {
                if offset >= 4 {
                    return 0;
                }
                assert_eq!(file.len() as u64, offset);
                file.push(bytes[0]);
                1
            })
        }
        fn sync(&self) -> io::Result<()> {
            Ok(())
        }
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().0.len() as u64)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whole_reads_and_writes_go_on_after_short_and_interrupted_ones() {
        let file = Slow::default();
        assert!(file.is_empty().unwrap());
        file.write_all_at(b"abcd", 0).unwrap();
        assert_eq!(file.write_all_at(b"e", 4).unwrap_err().kind(), io::ErrorKind::WriteZero);
        let mut into = [0; 3];
        file.read_exact_at(&mut into, 1).unwrap();
        assert_eq!(&into, b"bcd");
        assert_eq!(file.read_exact_at(&mut into, 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(!file.is_empty().unwrap());
    }
}

//! The directory of a database: who has it, what is in it, and how it comes to be.
//!
//! | step of creation | what a crash behind it leaves | the next open |
//! |---|---|---|
//! | 1. the directory, the lock | an empty directory, or one with `lock` | begins again |
//! | 2. `manifest-000001`: a header and an empty snapshot, and its name, synced | the same, perhaps with a manifest or a part of it | removes it, begins again |
//! | 3. `temp-000002`: the root with both slots, synced | the same, perhaps with a temporary file | removes both, begins again |
//! | 4. `temp-000002` renamed to `root`; the directory synced | a database, or the state of step 3 | opens it, or begins again |
//!
//! So a database exists from the moment its root has its name, and whatever has that name was complete before: a
//! root that cannot be read is damaged, never half made. Nothing else is written before step 4, hence a directory
//! without a root that holds more than these three names is somebody else's, or a database that has lost its root: it
//! is refused, and nothing in it is touched, not even by a lock.
//!
//! Names that the store never gives are left alone, always.

#![allow(clippy::disallowed_types)]

mod file;

use std::io;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Budget, BudgetAlloc};
use cofferdam_vfs as vfs;
use cofferdam_vfs::{Lock, OpenMode, Vfs};

pub use file::{Charge, FILE_HANDLE_BYTES, OpenFile};

use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::manifest::{self, Root};

/// What a directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read and write; a database is made where there is none.
    Create,
    /// To read and write a database that exists.
    Write,
    /// To read a database that exists. Nothing is written.
    Read,
}

/// The number of the manifest of a new database.
const FIRST_MANIFEST: u64 = 1;
/// The number of the temporary file that becomes the root.
const FIRST_ROOT: u64 = 2;
/// The first number that a new database gives to a file.
pub(crate) const FIRST_FILE: u64 = 3;
/// What the handles of a directory, its lock and its file system are charged for.
const DIRECTORY_BYTES: u64 = 1 << 10;
/// Numbers of files are below this; a file with a greater one is not the store's.
pub(crate) const FILE_NUMBER_MAX: u64 = 1 << 48;
/// Names that are gathered before files are removed, so that no listing runs meanwhile.
const BATCH_COUNT: usize = 32;

/// The open directory of a database, locked.
#[derive(Debug)]
pub struct Directory {
    vfs: Arc<dyn Vfs>,
    inner: Arc<dyn vfs::Directory>,
    access: Access,
    _lock: Option<Box<dyn Lock>>,
    _charge: Charge,
}

/// What the names in a directory say.
#[derive(Clone, Copy, Debug, Default)]
struct Survey {
    has_root: bool,
    has_lock: bool,
    /// Something that no interrupted creation leaves.
    has_others: bool,
}

/// The file of a name that the store may have given.
fn parse(name: &str) -> Option<FileId> {
    FileId::parse(name).filter(|id| id.number < FILE_NUMBER_MAX)
}

impl Directory {
    /// Opens the database in `path`, and gives its root.
    ///
    /// Memory: 2 KiB of `budget` for the handles, and 11 KiB while a database is made.
    ///
    /// # Errors
    /// [`Error::NotADatabase`] where there is none and none may be made: no such directory, or one that holds
    /// something else. [`Error::Locked`], [`Error::Unsupported`], [`Error::Corrupt`], [`Error::OutOfMemory`], [`Error::Io`].
    pub fn open(
        vfs: &Arc<dyn Vfs>,
        path: &Path,
        access: Access,
        budget: &Budget,
    ) -> Result<(Directory, Root), Error> {
        let _charge = Charge::new(budget, DIRECTORY_BYTES)?;
        let inner = vfs.directory(path, access == Access::Create).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::NotADatabase,
            _ => Error::io("open", None, &error),
        })?;
        let mut directory = Directory { vfs: Arc::clone(vfs), inner, access, _lock: None, _charge };
        // Before the lock, which makes a file, and again under it: somebody else may have been faster.
        let survey = directory.survey()?;
        if access != Access::Read || survey.has_lock {
            directory._lock = Some(directory.lock()?);
        }
        let survey = directory.survey()?;
        if !survey.has_root {
            directory.create(budget)?;
        }
        let root = Root::read(&directory, budget)?;
        if access != Access::Read && survey.has_root && !survey.has_others {
            directory.name_root(&root, budget)?;
        }
        Ok((directory, root))
    }

    /// Makes an empty directory, or takes one, in which a database is to be put together: nothing opens it before
    /// [`Directory::complete`].
    ///
    /// # Errors
    /// [`Error::NotEmpty`] for one that has files beside a lock; [`Error::Locked`], [`Error::OutOfMemory`], [`Error::Io`].
    pub(crate) fn begin(vfs: &Arc<dyn Vfs>, path: &Path, budget: &Budget) -> Result<Directory, Error> {
        let _charge = Charge::new(budget, DIRECTORY_BYTES)?;
        let inner = vfs.directory(path, true).map_err(|error| Error::io("make", None, &error))?;
        let (vfs, access) = (Arc::clone(vfs), Access::Create);
        let mut directory = Directory { vfs, inner, access, _lock: None, _charge };
        // As in `open`.
        directory.check_empty()?;
        directory._lock = Some(directory.lock()?);
        directory.check_empty()?;
        Ok(directory)
    }

    fn check_empty(&self) -> Result<(), Error> {
        self.names(&mut |name| match FileId::parse(name) {
            Some(FileId::LOCK) => Ok(()),
            _ => Err(Error::NotEmpty),
        })
    }

    /// Makes the directory a database: gives it a root. Everything that the root leads to is durable, with its name.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::Io`]; it is not known then whether it is one.
    pub(crate) fn complete(&self, root: &Root, budget: &Budget) -> Result<(), Error> {
        self.name_root(root, budget)
    }

    /// Removes what was put into a directory that is to be none, the root first, as far as the system lets it be.
    pub(crate) fn abandon(&self) {
        let is_root_gone = self.remove_if_there(FileId::ROOT).and_then(|()| self.sync());
        if is_root_gone.is_ok() {
            // What stays is no database.
            let _ = self.remove_all(&|id| id.kind != FileKind::Lock);
        }
    }

    fn lock(&self) -> Result<Box<dyn Lock>, Error> {
        self.inner.lock(FileId::LOCK.name().as_str()).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Locked,
            _ => Error::io("lock", FileId::LOCK, &error),
        })
    }

    /// What is there, if it may be opened.
    fn survey(&self) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        self.names(&mut |name| {
            match parse(name).map(|id| (id.kind, id.number)) {
                Some((FileKind::Root, _)) => survey.has_root = true,
                Some((FileKind::Lock, _)) => survey.has_lock = true,
                Some((FileKind::Manifest, FIRST_MANIFEST) | (FileKind::Temporary, FIRST_ROOT)) => {}
                _ => survey.has_others = true,
            }
            Ok(())
        })?;
        let may_be_made = self.access == Access::Create && !survey.has_others;
        if survey.has_root || may_be_made { Ok(survey) } else { Err(Error::NotADatabase) }
    }

    /// Makes a database; see the module for its steps.
    fn create(&self, budget: &Budget) -> Result<(), Error> {
        self.remove_if_there(FileId::new(FileKind::Manifest, FIRST_MANIFEST))?;
        let database = self.vfs.random_u64();
        manifest::create(self, FIRST_MANIFEST, database, budget)?;
        self.name_root(&Root::first(FIRST_MANIFEST, database), budget)
    }

    /// The last two steps of a creation: the root, complete before it has its name. They are done again where nothing
    /// but these steps was ever done, because nobody knows then whether the last one succeeded: a sync that failed
    /// may leave a name that only processes see.
    fn name_root(&self, root: &Root, budget: &Budget) -> Result<(), Error> {
        let temporary = FileId::new(FileKind::Temporary, FIRST_ROOT);
        self.remove_if_there(temporary)?;
        root.create(self, temporary, budget)?;
        self.rename(temporary, FileId::ROOT)?;
        // A store makes its first log next, whose sync would do for this one; a backup ends here.
        self.sync()
    }

    /// What the directory was opened for.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The file system, for its clock and randomness.
    pub fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.vfs
    }

    /// Opens a file; `budget` pays for the handle.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where the file is missing; [`Error::OutOfMemory`], [`Error::Io`].
    pub fn open_file(&self, id: FileId, mode: OpenMode, budget: &Budget) -> Result<OpenFile, Error> {
        let charge = Charge::new(budget, FILE_HANDLE_BYTES)?;
        BudgetAlloc::count_taken();
        match self.inner.open(id.name().as_str(), mode) {
            Ok(file) => Ok(OpenFile::new(id, file, charge)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::corrupt(id, 0, "the file is missing"))
            }
            Err(error) => {
                Err(Error::io(if mode == OpenMode::CreateNew { "create" } else { "open" }, id, &error))
            }
        }
    }

    /// Removes a file's name; durable after [`Directory::sync`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self, id: FileId) -> Result<(), Error> {
        self.inner.remove(id.name().as_str()).map_err(|error| Error::io("remove", id, &error))
    }

    fn remove_if_there(&self, id: FileId) -> Result<(), Error> {
        match self.remove(id) {
            Err(Error::Io(problem)) if problem.kind == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome,
        }
    }

    /// Gives a file another name; durable after [`Directory::sync`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn rename(&self, from: FileId, to: FileId) -> Result<(), Error> {
        let (old, new) = (from.name(), to.name());
        self.inner.rename(old.as_str(), new.as_str()).map_err(|error| Error::io("rename", from, &error))
    }

    /// Makes names durable.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sync(&self) -> Result<(), Error> {
        self.inner.sync().map_err(|error| Error::io("sync", None, &error))
    }

    /// Gives every file of the store to `visit`, in any order; foreign names are left out. `visit` must not change
    /// the directory.
    ///
    /// # Errors
    /// [`Error::Io`], and those of `visit`, which end the listing.
    pub fn list(&self, visit: &mut dyn FnMut(FileId) -> Result<(), Error>) -> Result<(), Error> {
        self.names(&mut |name| parse(name).map_or(Ok(()), &mut *visit))
    }

    fn names(&self, visit: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
        let mut failure = None;
        let outcome = self.inner.list(&mut |name| {
            visit(name).map_err(|error| {
                failure = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        match (failure, outcome) {
            (Some(error), _) => Err(error),
            (None, outcome) => outcome.map_err(|error| Error::io("list", None, &error)),
        }
    }

    /// The greatest number of a file that is there. A number above it and above what the manifest says is new, also
    /// where a crash has lost the note that one was given.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn greatest_number(&self) -> Result<u64, Error> {
        let mut greatest = 0;
        self.list(&mut |id| {
            greatest = greatest.max(id.number);
            Ok(())
        })?;
        Ok(greatest)
    }

    /// The smallest number above `number` that a file of this kind has.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next_number(&self, kind: FileKind, number: u64) -> Result<Option<u64>, Error> {
        let mut next: Option<u64> = None;
        self.list(&mut |id| {
            if id.kind == kind && id.number > number && next.is_none_or(|next| id.number < next) {
                next = Some(id.number);
            }
            Ok(())
        })?;
        Ok(next)
    }

    /// Removes temporary files, and manifests, logs and segments that nobody knows: those for which `is_live` is
    /// false. Gives how many there were; durable when it returns.
    ///
    /// Memory: a batch of names on the stack, however many there are.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_orphans(&self, is_live: &dyn Fn(FileId) -> bool) -> Result<u64, Error> {
        self.remove_all(&|id| match id.kind {
            FileKind::Lock | FileKind::Root => false,
            FileKind::Temporary => true,
            FileKind::Manifest | FileKind::Wal | FileKind::Segments => !is_live(id),
        })
    }

    /// Removes the files that `is_chosen` names, durably, and gives how many there were.
    pub(crate) fn remove_all(&self, is_chosen: &dyn Fn(FileId) -> bool) -> Result<u64, Error> {
        assert!(self.access != Access::Read, "nothing is removed by a reader");
        let mut removed_count = 0;
        loop {
            let mut batch = [None; BATCH_COUNT];
            let mut free = batch.iter_mut();
            self.list(&mut |id| {
                if is_chosen(id)
                    && let Some(slot) = free.next()
                {
                    *slot = Some(id);
                }
                Ok(())
            })?;
            for id in batch.iter().flatten() {
                self.remove(*id)?;
                removed_count += 1;
            }
            if batch.iter().any(Option::is_none) {
                break;
            }
        }
        if removed_count > 0 {
            self.sync()?;
        }
        Ok(removed_count)
    }
}

//! The files of the operating system, by positional reads and writes; nothing is ever memory-mapped, so a page of a
//! file is memory of the system's cache and never of this process.
//!
//! - **Sync.** [`File::sync`] is `fdatasync` (on macOS `F_FULLFSYNC`): the data, and of the metadata what reading it
//!   back needs, which is the length and where the blocks are, after cuts too; it leaves out the times, which would cost
//!   another write of the file system's journal. The system reports a failed write-back once to each handle that was
//!   open at that time, and a handle that is opened later never hears of it.
//! - **Names.** [`Directory::sync`] is `fsync` of a descriptor that is opened with the directory, so that neither a lack
//!   of descriptors nor another directory at the same path comes between. Some file systems cannot sync directories and
//!   say `EINVAL` or `EBADF`; that is no failure of this sync, as in PostgreSQL's `fsync_fname_ext` (`fd.c`).
//! - **Locks** are `flock` (through std): they belong to the open file, not to the process, so a second handle of the
//!   same process is refused too, and the system drops them when the process ends, however it ends. They are advisory:
//!   who does not ask is not stopped. Linux passes them on to the server of an NFS mount; file systems that know no locks
//!   give the error `Unsupported`. A lock is undone before its descriptor is closed, because a process that was forked
//!   meanwhile, and has not come to its `exec` yet, has a copy of the descriptor, which would hold the lock.
//! - **Descriptors** are closed on `exec` (std sets `O_CLOEXEC`): a directory takes one, each open file and lock one.
//!   Without any left, opening fails with `EMFILE`, which [`explain`](crate::explain) puts into words.
//! - **Paths** are made absolute when the directory is opened: who changes the working directory changes nothing here.
//! - **Memory.** A path is put together on the stack where it is shorter than 384 bytes, as the standard library does with the copy that
//!   the system gets. Longer ones, and listings, take memory of the program's allocator for the length of the call, for which nobody is
//!   charged: [`OsVfs::transient_count`] counts them.
//! - **Randomness** is `/dev/urandom`. Where that cannot be read (no `/dev`, no descriptor left), it is the key that std
//!   draws from the system for its hash tables, hashed with a counter: as hard to guess as that hash, SipHash-1-3.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{clock_ns, hashed_random};
use crate::{Directory, File, Lock, OpenMode, Vfs, check_name};

const EBADF: i32 = 9;
const EINVAL: i32 = 22;
const RANDOM_DEVICE: &str = "/dev/urandom";
/// The standard library copies shorter paths on the stack, with a zero behind them.
const STACK_PATH_BYTES: usize = 384;

/// How often a call has taken memory for its own length.
static TRANSIENT_COUNT: AtomicU64 = AtomicU64::new(0);

/// The operating system's files, clock and randomness. All values are the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsVfs;

#[derive(Debug)]
struct OsDirectory {
    path: PathBuf,
    handle: fs::File,
}

#[derive(Debug)]
struct OsFile(fs::File);

#[derive(Debug)]
struct OsLock(fs::File);

impl OsVfs {
    /// How often calls on open directories have taken memory of the program's allocator for their own length, in the whole process: a
    /// number for those who count what nobody is charged for.
    ///
    /// A listing takes two pieces, and two for the name that it is at: 600 bytes and the directory's path at most. (The system's library
    /// takes 32 KiB beside, and not from the program's allocator.) A path of 384 bytes or more takes twice its length.
    pub fn transient_count() -> u64 {
        TRANSIENT_COUNT.load(Ordering::Relaxed)
    }
}

/// Notes pieces that a call takes.
fn count_transient(pieces: u64) {
    TRANSIENT_COUNT.fetch_add(pieces, Ordering::Relaxed);
}

impl Vfs for OsVfs {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        let path = if path.is_absolute() { path.to_path_buf() } else { std::path::absolute(path)? };
        if create {
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        let handle = open_directory(&path)?;
        if create {
            sync_parent(&path)?;
        }
        Ok(Arc::new(OsDirectory { path, handle }))
    }

    fn now_ns(&self) -> u64 {
        clock_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        std::thread::sleep(Duration::from_nanos(ns));
    }

    fn random_u64(&self) -> u64 {
        read_random(RANDOM_DEVICE).unwrap_or_else(|_| hashed_random())
    }
}

fn open_directory(path: &Path) -> io::Result<fs::File> {
    let handle = fs::File::open(path)?;
    if handle.metadata()?.is_dir() { Ok(handle) } else { Err(io::ErrorKind::NotADirectory.into()) }
}

/// Makes the name of a directory durable, unless its parent is closed to us: then whoever owns the parent made it.
fn sync_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    match open_directory(parent) {
        Ok(handle) => sync_names(&handle),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_names(directory: &fs::File) -> io::Result<()> {
    match directory.sync_all() {
        Err(error) if !matches!(error.raw_os_error(), Some(EBADF | EINVAL)) => Err(error),
        _ => Ok(()),
    }
}

fn read_random(device: &str) -> io::Result<u64> {
    let mut bytes = [0; 8];
    fs::File::open(device)?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

impl OsDirectory {
    /// Calls `with` with the path of a file.
    fn with_path<T>(&self, name: &str, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        check_name(name)?;
        let folder = self.path.as_os_str().as_bytes();
        let mut buffer = [0; STACK_PATH_BYTES - 1];
        let len = folder.len() + 1 + name.len();
        let Some(path) = buffer.get_mut(..len) else {
            // The path, and the copy that the system gets.
            count_transient(2);
            return with(&self.path.join(name));
        };
        path[..folder.len()].copy_from_slice(folder);
        path[folder.len()] = b'/';
        path[folder.len() + 1..].copy_from_slice(name.as_bytes());
        with(Path::new(OsStr::from_bytes(path)))
    }
}

/// Opens a file whose reads leave no time of access behind, which costs each of them some time itself, where the system lets us: not
/// where the file is somebody else's.
#[cfg(target_os = "linux")]
fn open_without_times(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    match options.custom_flags(libc::O_NOATIME).open(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => options.custom_flags(0).open(path),
        result => result,
    }
}

/// Opens a file.
#[cfg(not(target_os = "linux"))]
fn open_without_times(options: &mut fs::OpenOptions, path: &Path) -> io::Result<fs::File> {
    options.open(path)
}

impl Directory for OsDirectory {
    #[allow(clippy::disallowed_types)]
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read).create_new(mode == OpenMode::CreateNew);
        let file = self.with_path(name, |path| open_without_times(&mut options, path))?;
        Ok(Box::new(OsFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with_path(from, |from| self.with_path(to, |to| fs::rename(from, to)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with_path(name, |path| fs::remove_file(path))
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        count_transient(2);
        for entry in fs::read_dir(&self.path)? {
            count_transient(2);
            let entry = entry?;
            let is_directory = match entry.file_type() {
                Ok(file_type) => file_type.is_dir(),
                // Removed since the system listed it: it is no file any more.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let (false, Some(name)) = (is_directory, entry.file_name().to_str()) {
                visit(name)?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        sync_names(&self.handle)
    }

    #[cfg(target_os = "linux")]
    fn is_in_memory(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        self.handle.metadata().is_ok_and(|metadata| memory::is_memory(metadata.dev()))
    }

    #[allow(clippy::disallowed_types)]
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = self.with_path(name, |path| options.open(path))?;
        file.try_lock()?;
        Ok(Box::new(OsLock(file)))
    }
}

impl File for OsFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }
}

impl Lock for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing the file would do as well but for copies of the descriptor; see the module.
        let _ = self.0.unlock();
    }
}

/// Which file systems are memory: what the system says of its mounts.
#[cfg(target_os = "linux")]
mod memory {
    use std::fs;
    use std::io::Read as _;

    /// Each mount is a line: its number, that of its parent, its device as `major:minor`, …, ` - `, the kind of its file system, ….
    const MOUNTS: &str = "/proc/self/mountinfo";

    /// Whether the file system on a device is memory. Longer lines than the buffer are passed over.
    pub(super) fn is_memory(device: u64) -> bool {
        let Ok(mut file) = fs::File::open(MOUNTS) else { return false };
        let mut buffer = [0; 4096];
        let mut filled = 0;
        loop {
            match file.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => return false,
                Ok(more) => filled += more,
            }
            let whole = buffer[..filled].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            if buffer[..whole].split(|&byte| byte == b'\n').any(|line| says_memory(line, device)) {
                return true;
            }
            buffer.copy_within(whole..filled, 0);
            filled -= whole;
            if filled == buffer.len() {
                filled = 0;
            }
        }
    }

    /// Whether a line says that the file system on a device is memory.
    pub(super) fn says_memory(line: &[u8], device: u64) -> bool {
        let says = |line: &str| -> Option<bool> {
            let (major, minor) = line.split(' ').nth(2)?.split_once(':')?;
            let (_, kind) = line.split_once(" - ")?;
            let is_memory = matches!(kind.split(' ').next()?, "tmpfs" | "ramfs" | "hugetlbfs");
            let (major, minor) = (major.parse::<u64>().ok()?, minor.parse::<u64>().ok()?);
            Some(is_memory && device == device_of(major, minor))
        };
        core::str::from_utf8(line).ok().and_then(says).unwrap_or(false)
    }

    /// How the system writes a device as one number.
    pub(super) fn device_of(major: u64, minor: u64) -> u64 {
        (major & 0xfff) << 8 | (major & !0xfff) << 32 | (minor & 0xff) | (minor & !0xff) << 12
    }
}

#[cfg(test)]
mod tests;

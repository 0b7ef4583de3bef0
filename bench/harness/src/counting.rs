//! Counts what the process asks of its files, for everybody who is linked into it.
//!
//! The functions below have the names of the system library's own, so the linker gives them to whoever calls those:
//! the standard library, crates, and C or C++ that is linked in. Each counts and makes the system call itself. Nothing
//! is traced, so a call costs what it cost before and one addition. What would escape is asked for at the end:
//! [`synchronous_files`] finds files that are open in a mode that syncs without being told, and writes through mapped
//! memory are caught at `msync`.
//!
//! Only for 64-bit Linux, where each argument of these calls is one register wide.

use libc::{c_int, c_uint, c_void, iovec, off_t, size_t, ssize_t};
use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked for since the process began, or between two moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that return when data is on the disk: `fsync`, `fdatasync`, `syncfs`, `sync`, `msync`, synchronous writes.
    pub syncs: u64,
    /// Calls of `sync_file_range`, which start writing and promise nothing.
    pub range_syncs: u64,
    /// Calls that write.
    pub writes: u64,
    /// Bytes that they wrote.
    pub written_bytes: u64,
    /// Calls that change the length of a file or reserve room for it.
    pub resizes: u64,
    /// Calls that read.
    pub reads: u64,
    /// Bytes that they read.
    pub read_bytes: u64,
}

impl Counts {
    /// The counts now.
    pub fn now() -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            syncs: of(&SYNCS),
            range_syncs: of(&RANGE_SYNCS),
            writes: of(&WRITES),
            written_bytes: of(&WRITTEN_BYTES),
            resizes: of(&RESIZES),
            reads: of(&READS),
            read_bytes: of(&READ_BYTES),
        }
    }

    /// What came after `earlier`.
    pub fn since(self, earlier: Counts) -> Counts {
        Counts {
            syncs: self.syncs - earlier.syncs,
            range_syncs: self.range_syncs - earlier.range_syncs,
            writes: self.writes - earlier.writes,
            written_bytes: self.written_bytes - earlier.written_bytes,
            resizes: self.resizes - earlier.resizes,
            reads: self.reads - earlier.reads,
            read_bytes: self.read_bytes - earlier.read_bytes,
        }
    }
}

/// How many files the process has open whose every write is a sync (`O_SYNC`, `O_DSYNC`).
pub fn synchronous_files() -> usize {
    let Ok(entries) = std::fs::read_dir("/proc/self/fdinfo") else { return 0 };
    let flags = |text: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        c_int::from_str_radix(line.trim(), 8).ok()
    };
    entries
        .flatten()
        .filter_map(|entry| flags(&std::fs::read_to_string(entry.path()).ok()?))
        .filter(|flags| flags & (libc::O_DSYNC | libc::O_SYNC) != 0)
        .count()
}

static SYNCS: AtomicU64 = AtomicU64::new(0);
static RANGE_SYNCS: AtomicU64 = AtomicU64::new(0);
static WRITES: AtomicU64 = AtomicU64::new(0);
static WRITTEN_BYTES: AtomicU64 = AtomicU64::new(0);
static RESIZES: AtomicU64 = AtomicU64::new(0);
static READS: AtomicU64 = AtomicU64::new(0);
static READ_BYTES: AtomicU64 = AtomicU64::new(0);

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Notes a write, unless it went to one of the three standard streams, and passes the result on.
fn wrote(fd: c_int, result: ssize_t) -> ssize_t {
    if let (3.., Ok(bytes)) = (fd, u64::try_from(result)) {
        count(&WRITES);
        WRITTEN_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
    result
}

/// Notes a read, and passes the result on.
fn read_it(fd: c_int, result: ssize_t) -> ssize_t {
    if let (3.., Ok(bytes)) = (fd, u64::try_from(result)) {
        count(&READS);
        READ_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
    result
}

/// A system call with whatever integers and pointers it takes.
macro_rules! call {
    ($number:ident $(, $argument:expr)*) => {
        // SAFETY: the caller of the function around this promises what the system call of the same name asks for, and
        // the arguments are passed on as they came.
        unsafe { libc::syscall(libc::$number $(, $argument)*) }
    };
}

/// Functions that the linker puts in the place of the system library's.
macro_rules! instead {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $ty:ty),*) -> $result:ty $body:block)*) => {$(
        $(#[$attribute])*
        ///
        /// # Safety
        /// As the system call of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $ty),*) -> $result $body
    )*};
}

instead! {
    /// Counts a sync.
    fn fsync(fd: c_int) -> c_int {
        count(&SYNCS);
        call!(SYS_fsync, fd) as c_int
    }

    /// Counts a sync.
    fn fdatasync(fd: c_int) -> c_int {
        count(&SYNCS);
        call!(SYS_fdatasync, fd) as c_int
    }

    /// Counts a sync.
    fn syncfs(fd: c_int) -> c_int {
        count(&SYNCS);
        call!(SYS_syncfs, fd) as c_int
    }

    /// Counts a sync.
    fn msync(address: *mut c_void, length: size_t, flags: c_int) -> c_int {
        if flags & libc::MS_SYNC != 0 {
            count(&SYNCS);
        }
        call!(SYS_msync, address, length, flags) as c_int
    }

    /// Counts the start of a write to the disk.
    fn sync_file_range(fd: c_int, offset: off_t, length: off_t, flags: c_uint) -> c_int {
        count(&RANGE_SYNCS);
        call!(SYS_sync_file_range, fd, offset, length, flags) as c_int
    }

    /// Counts a write.
    fn write(fd: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
        wrote(fd, call!(SYS_write, fd, bytes, length) as ssize_t)
    }

    /// Counts a write.
    fn pwrite(fd: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        wrote(fd, call!(SYS_pwrite64, fd, bytes, length, offset) as ssize_t)
    }

    /// Counts a write.
    fn pwrite64(fd: c_int, bytes: *const c_void, length: size_t, offset: off_t) -> ssize_t {
        wrote(fd, call!(SYS_pwrite64, fd, bytes, length, offset) as ssize_t)
    }

    /// Counts a write.
    fn writev(fd: c_int, parts: *const iovec, parts_count: c_int) -> ssize_t {
        wrote(fd, call!(SYS_writev, fd, parts, parts_count) as ssize_t)
    }

    /// Counts a write.
    fn pwritev(fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t) -> ssize_t {
        wrote(fd, call!(SYS_pwritev, fd, parts, parts_count, offset, 0) as ssize_t)
    }

    /// Counts a write.
    fn pwritev64(fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t) -> ssize_t {
        wrote(fd, call!(SYS_pwritev, fd, parts, parts_count, offset, 0) as ssize_t)
    }

    /// Counts a write, and a sync where it is one.
    fn pwritev2(fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t, flags: c_int) -> ssize_t {
        if flags & (libc::RWF_DSYNC | libc::RWF_SYNC) != 0 {
            count(&SYNCS);
        }
        wrote(fd, call!(SYS_pwritev2, fd, parts, parts_count, offset, 0, flags) as ssize_t)
    }

    /// Counts a write.
    fn copy_file_range(
        from: c_int, from_offset: *mut off_t, to: c_int, to_offset: *mut off_t, length: size_t, flags: c_uint
    ) -> ssize_t {
        wrote(to, call!(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags) as ssize_t)
    }

    /// Counts a change of length.
    fn ftruncate(fd: c_int, length: off_t) -> c_int {
        count(&RESIZES);
        call!(SYS_ftruncate, fd, length) as c_int
    }

    /// Counts a change of length.
    fn ftruncate64(fd: c_int, length: off_t) -> c_int {
        count(&RESIZES);
        call!(SYS_ftruncate, fd, length) as c_int
    }

    /// Counts a reservation.
    fn fallocate(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        count(&RESIZES);
        call!(SYS_fallocate, fd, mode, offset, length) as c_int
    }

    /// Counts a reservation.
    fn fallocate64(fd: c_int, mode: c_int, offset: off_t, length: off_t) -> c_int {
        count(&RESIZES);
        call!(SYS_fallocate, fd, mode, offset, length) as c_int
    }

    /// Counts a read.
    fn read(fd: c_int, bytes: *mut c_void, length: size_t) -> ssize_t {
        read_it(fd, call!(SYS_read, fd, bytes, length) as ssize_t)
    }

    /// Counts a read.
    fn pread(fd: c_int, bytes: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
        read_it(fd, call!(SYS_pread64, fd, bytes, length, offset) as ssize_t)
    }

    /// Counts a read.
    fn pread64(fd: c_int, bytes: *mut c_void, length: size_t, offset: off_t) -> ssize_t {
        read_it(fd, call!(SYS_pread64, fd, bytes, length, offset) as ssize_t)
    }

    /// Counts a read.
    fn preadv(fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t) -> ssize_t {
        read_it(fd, call!(SYS_preadv, fd, parts, parts_count, offset, 0) as ssize_t)
    }

    /// Counts a read.
    fn preadv64(fd: c_int, parts: *const iovec, parts_count: c_int, offset: off_t) -> ssize_t {
        read_it(fd, call!(SYS_preadv, fd, parts, parts_count, offset, 0) as ssize_t)
    }

    /// Counts a read.
    fn readv(fd: c_int, parts: *const iovec, parts_count: c_int) -> ssize_t {
        read_it(fd, call!(SYS_readv, fd, parts, parts_count) as ssize_t)
    }
}

/// Counts a sync of everything.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sync() {
    count(&SYNCS);
    call!(SYS_sync);
}

/// Whether the standard library's own calls are counted: writes, syncs and changes of length of a file in `dir`.
///
/// # Errors
/// What the system says, or which count is not what it must be. Only reliable while no other thread uses files.
pub fn check(dir: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    use std::io::{IoSlice, Read, Seek, Write};
    use std::os::unix::fs::FileExt;

    let path = dir.join(format!("counting-{}", std::process::id()));
    let mut file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    let before = Counts::now();
    file.write_all(&[1; 10])?;
    file.write_all_at(&[2; 20], 10)?;
    let parts_bytes = file.write_vectored(&[IoSlice::new(&[3; 15]), IoSlice::new(&[4; 15])])?;
    file.sync_data()?;
    file.sync_all()?;
    file.set_len(50)?;
    file.rewind()?;
    file.read_exact(&mut [0; 5])?;
    file.read_exact_at(&mut [0; 7], 5)?;
    let counts = Counts::now().since(before);
    drop(file);
    std::fs::remove_file(&path)?;
    let expected = Counts {
        syncs: 2,
        range_syncs: 0,
        writes: 3,
        written_bytes: 30 + parts_bytes as u64,
        resizes: 1,
        reads: 2,
        read_bytes: 12,
    };
    if counts == expected {
        Ok(())
    } else {
        Err(format!("{expected:?} was done and {counts:?} counted").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: the standard library's calls are counted, each once, and files that sync by themselves are found. Method:
    /// known calls; again where other tests used files meanwhile, since the counts are those of the process.
    #[test]
    fn calls_are_counted_whoever_makes_them() {
        let dir = std::env::temp_dir();
        assert!((0..1000).any(|_| check(&dir).is_ok()), "{:?}", check(&dir));

        let path = dir.join(format!("counting-flags-{}", std::process::id()));
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_DSYNC)
            .open(&path)
            .expect("a file can be made");
        assert_eq!(synchronous_files(), 1);
        drop(file);
        std::fs::remove_file(&path).expect("it is there");
        assert_eq!(synchronous_files(), 0);
    }
}

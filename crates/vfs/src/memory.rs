//! Files in memory, every byte of which a budget pays for.
//!
//! What is written is there until its last name and handle are gone, or the last [`MemoryVfs`]; syncs have nothing to do.
//! Where the budget refuses, a call fails with [`io::ErrorKind::OutOfMemory`] and has changed nothing: the kind alone,
//! without the number that a system's error has.
//!
//! ```text
//!   names, by (directory, name)        a file: blocks, the first 16 of 4 KiB, the others of 64 KiB
//!   0 "db"      ─> directory 1         ┌────┬────┬──┬────┬────────────────┬────────────────┐
//!   1 "root"    ─> file ─────────────> │4 KiB    …    4 │     64 KiB     │     64 KiB     │
//!   1 "wal-3"   ─> file                └────┴────┴──┴────┴────────────────┴────────────────┘
//! ```
//!
//! Bytes of a block behind the file's length are zeros, so a file that grows has nothing to clear.
//!
//! **Logs without readers.** A store writes logs so that it can be opened again, which memory never is. Who knows that nobody
//! will read some files says so by [`MemoryVfs::forget`]: from then on they have a length and no bytes, and writing to
//! them needs no memory, so it cannot fail.
//!
//! **Memory.** Blocks as above, 200 bytes a file, 60 bytes and its length a name. Handles are the caller's to charge, as those of
//! the system's files.

use std::fmt;
use std::io;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc, append};

use crate::clock::{clock_ns, hashed_random};
use crate::{Directory, File, Lock, OpenMode, Vfs, check_name};

const SMALL_BYTES: usize = 4 << 10;
const SMALL_COUNT: usize = 16;
const LARGE_BYTES: usize = 64 << 10;
/// Where the large blocks begin.
const LARGE_START: u64 = (SMALL_BYTES * SMALL_COUNT) as u64;
/// The directory that is there from the beginning.
const ROOT: u32 = 0;

/// Files in memory that a budget pays for. Clones have the same files.
#[derive(Clone, Debug)]
pub struct MemoryVfs {
    inner: Arc<Inner>,
}

struct Inner {
    alloc: BudgetAlloc,
    names: Mutex<Names>,
    is_forgotten: OnceLock<fn(&str) -> bool>,
}

struct Names {
    /// By directory and name.
    list: Vec<Named, BudgetAlloc>,
    directories_count: u32,
}

struct Named {
    directory: u32,
    name: Vec<u8, BudgetAlloc>,
    node: Node,
}

#[derive(Clone)]
enum Node {
    Directory(u32),
    File(Arc<Content>),
}

/// What is in a file.
struct Content {
    alloc: BudgetAlloc,
    bytes: RwLock<Bytes>,
    is_locked: AtomicBool,
}

struct Bytes {
    len: u64,
    blocks: Vec<Vec<u8, BudgetAlloc>, BudgetAlloc>,
    /// There is a length and nothing else.
    is_forgotten: bool,
}

struct MemoryDirectory {
    inner: Arc<Inner>,
    number: u32,
}

struct MemoryFile {
    content: Arc<Content>,
    may_write: bool,
}

struct MemoryLock(Arc<Content>);

fn error<T>(kind: io::ErrorKind) -> io::Result<T> {
    Err(kind.into())
}

fn refused<E>(_: E) -> io::Error {
    io::ErrorKind::OutOfMemory.into()
}

/// A lock whose holder panicked has whole data behind it: every change is one step, or undone.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryVfs {
    /// A place without files.
    pub fn new(budget: &Budget) -> MemoryVfs {
        let alloc = BudgetAlloc::new(budget);
        let names = Names { list: Vec::new_in(alloc.clone()), directories_count: 1 };
        let inner = Inner { alloc, names: Mutex::new(names), is_forgotten: OnceLock::new() };
        MemoryVfs { inner: Arc::new(inner) }
    }

    /// Says that nobody reads the files of some names any more, now and later: their bytes are given back, writes change their length
    /// alone, and reads are an error. A file stays forgotten, whatever it is called afterwards. The first call decides.
    pub fn forget(&self, which: fn(&str) -> bool) {
        let names = lock(&self.inner.names);
        let which = self.inner.is_forgotten.get_or_init(|| which);
        for Named { name, node, .. } in &names.list {
            if let (Node::File(content), Ok(name)) = (node, std::str::from_utf8(name))
                && which(name)
            {
                content.forget();
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names_count = lock(&self.names).list.len();
        f.debug_struct("Inner").field("names_count", &names_count).finish_non_exhaustive()
    }
}

impl Names {
    /// The place of a name, or where it would be.
    fn find(&self, directory: u32, name: &str) -> Result<usize, usize> {
        self.list
            .binary_search_by(|named| (named.directory, &named.name[..]).cmp(&(directory, name.as_bytes())))
    }

    fn node(&self, directory: u32, name: &str) -> Option<&Node> {
        let place = self.find(directory, name).ok()?;
        self.list.get(place).map(|named| &named.node)
    }

    /// Puts a name where there is none.
    fn insert(&mut self, place: usize, directory: u32, name: &str, node: Node) -> io::Result<()> {
        self.list.try_reserve(1).map_err(refused)?;
        let mut owned = Vec::new_in(self.list.allocator().clone());
        append(&mut owned, name.as_bytes()).map_err(refused)?;
        self.list.insert(place, Named { directory, name: owned, node });
        Ok(())
    }
}

impl Inner {
    fn names(&self) -> MutexGuard<'_, Names> {
        lock(&self.names)
    }

    fn new_content(&self, name: &str) -> io::Result<Arc<Content>> {
        let is_forgotten = self.is_forgotten.get().is_some_and(|which| which(name));
        self.alloc.charge(size_of::<Content>()).map_err(refused)?;
        let bytes = RwLock::new(Bytes { len: 0, blocks: Vec::new_in(self.alloc.clone()), is_forgotten });
        Ok(Arc::new(Content { alloc: self.alloc.clone(), bytes, is_locked: AtomicBool::new(false) }))
    }
}

impl Vfs for MemoryVfs {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        let mut names = self.inner.names();
        let mut number = ROOT;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let name = match component {
                Component::Normal(name) => name.to_str().ok_or(io::ErrorKind::InvalidInput)?,
                Component::CurDir | Component::RootDir => continue,
                Component::ParentDir | Component::Prefix(_) => return error(io::ErrorKind::InvalidInput),
            };
            number = match names.node(number, name) {
                Some(Node::Directory(found)) => *found,
                Some(Node::File(_)) => return error(io::ErrorKind::NotADirectory),
                None if create && components.peek().is_none() => {
                    let place = names.find(number, name).unwrap_or_else(|place| place);
                    let new = names.directories_count;
                    let next = new.checked_add(1).ok_or(io::ErrorKind::StorageFull)?;
                    names.insert(place, number, name, Node::Directory(new))?;
                    names.directories_count = next;
                    new
                }
                None => return error(io::ErrorKind::NotFound),
            };
        }
        Ok(Arc::new(MemoryDirectory { inner: Arc::clone(&self.inner), number }))
    }

    fn now_ns(&self) -> u64 {
        clock_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        std::thread::sleep(Duration::from_nanos(ns));
    }

    fn random_u64(&self) -> u64 {
        hashed_random()
    }
}

impl fmt::Debug for MemoryDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDirectory").field("number", &self.number).finish_non_exhaustive()
    }
}

impl MemoryDirectory {
    /// The file of a name, which is made where `create` says so and there is none.
    fn file(&self, name: &str, create: bool) -> io::Result<(Arc<Content>, bool)> {
        check_name(name)?;
        let mut names = self.inner.names();
        match names.find(self.number, name) {
            Ok(place) => match names.list.get(place).map(|named| &named.node) {
                Some(Node::File(content)) => Ok((Arc::clone(content), false)),
                _ => error(io::ErrorKind::IsADirectory),
            },
            Err(place) if create => {
                let content = self.inner.new_content(name)?;
                names.insert(place, self.number, name, Node::File(Arc::clone(&content)))?;
                Ok((content, true))
            }
            Err(_) => error(io::ErrorKind::NotFound),
        }
    }
}

impl Directory for MemoryDirectory {
    #[allow(clippy::disallowed_types)]
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let (content, is_new) = self.file(name, mode == OpenMode::CreateNew)?;
        if mode == OpenMode::CreateNew && !is_new {
            return error(io::ErrorKind::AlreadyExists);
        }
        Ok(Box::new(MemoryFile { content, may_write: mode != OpenMode::Read }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut names = self.inner.names();
        let node = match names.node(self.number, from) {
            Some(node @ Node::File(_)) => node.clone(),
            Some(Node::Directory(_)) => return error(io::ErrorKind::IsADirectory),
            None => return error(io::ErrorKind::NotFound),
        };
        match names.find(self.number, to) {
            Ok(place) => match names.list.get_mut(place) {
                Some(Named { node: old @ Node::File(_), .. }) => *old = node,
                _ => return error(io::ErrorKind::IsADirectory),
            },
            Err(place) => names.insert(place, self.number, to, node)?,
        }
        if from != to
            && let Ok(place) = names.find(self.number, from)
        {
            names.list.remove(place);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        check_name(name)?;
        let mut names = self.inner.names();
        let removed = match names.find(self.number, name) {
            Ok(place) if matches!(names.list.get(place), Some(Named { node: Node::File(_), .. })) => {
                names.list.remove(place)
            }
            Ok(_) => return error(io::ErrorKind::IsADirectory),
            Err(_) => return error(io::ErrorKind::NotFound),
        };
        // Its blocks go without anybody waiting for them.
        drop(names);
        drop(removed);
        Ok(())
    }

    fn list(&self, visit: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        let mut last: Vec<u8, BudgetAlloc> = Vec::new_in(self.inner.alloc.clone());
        let mut is_first = true;
        loop {
            {
                // Who visits may use the directory, so each name is looked for anew.
                let names = self.inner.names();
                let after = (self.number, &last[..]);
                let start = names.list.partition_point(|named| {
                    let found = (named.directory, &named.name[..]);
                    if is_first { found.0 < self.number } else { found <= after }
                });
                let rest = names.list.get(start..).unwrap_or_default();
                let next = rest.iter().take_while(|named| named.directory == self.number);
                let Some(next) = { next }.find(|named| matches!(named.node, Node::File(_))) else {
                    return Ok(());
                };
                last.clear();
                append(&mut last, &next.name).map_err(refused)?;
                is_first = false;
            }
            visit(std::str::from_utf8(&last).map_err(|_| io::ErrorKind::InvalidData)?)?;
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    #[allow(clippy::disallowed_types)]
    fn lock(&self, name: &str) -> io::Result<Box<dyn Lock>> {
        let (content, _) = self.file(name, true)?;
        match content.is_locked.swap(true, Ordering::Acquire) {
            true => error(io::ErrorKind::WouldBlock),
            false => Ok(Box::new(MemoryLock(content))),
        }
    }
}

impl Lock for MemoryLock {}

impl fmt::Debug for MemoryLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryLock")
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.is_locked.store(false, Ordering::Release);
    }
}

/// The number of the block that a byte is in, its place there, and the length of the block.
fn place_of(offset: u64) -> (usize, usize, usize) {
    match offset.checked_sub(LARGE_START) {
        None => ((offset / SMALL_BYTES as u64) as usize, (offset % SMALL_BYTES as u64) as usize, SMALL_BYTES),
        Some(behind) => {
            let number = SMALL_COUNT + (behind / LARGE_BYTES as u64) as usize;
            (number, (behind % LARGE_BYTES as u64) as usize, LARGE_BYTES)
        }
    }
}

/// How many blocks so many bytes take.
fn blocks_for(bytes: u64) -> usize {
    bytes.checked_sub(1).map_or(0, |last| place_of(last).0 + 1)
}

impl Bytes {
    /// Gives the parts of the bytes from `offset` on that are blocks to `visit`: the block, the place in it, the bytes before the part,
    /// and its length. All of them are in blocks.
    fn parts(offset: u64, len: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let mut done = 0;
        while done < len {
            let (number, start, block_bytes) = place_of(offset + done as u64);
            let count = (block_bytes - start).min(len - done);
            visit(number, start, done, count);
            done += count;
        }
    }

    /// Takes the blocks for a length, all or none.
    fn take_blocks(&mut self, len: u64) -> io::Result<()> {
        let (before, wanted) = (self.blocks.len(), blocks_for(len));
        if wanted <= before {
            return Ok(());
        }
        let taken = self.try_take_blocks(wanted);
        if taken.is_err() {
            self.blocks.truncate(before);
        }
        taken
    }

    fn try_take_blocks(&mut self, wanted: usize) -> io::Result<()> {
        self.blocks.try_reserve(wanted - self.blocks.len()).map_err(refused)?;
        while self.blocks.len() < wanted {
            let bytes = if self.blocks.len() < SMALL_COUNT { SMALL_BYTES } else { LARGE_BYTES };
            let mut block = Vec::new_in(self.blocks.allocator().clone());
            block.try_reserve_exact(bytes).map_err(refused)?;
            block.resize(bytes, 0);
            self.blocks.push(block);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        if !self.is_forgotten {
            self.take_blocks(end)?;
            Bytes::parts(offset, bytes.len(), |number, start, done, count| {
                self.blocks[number][start..start + count].copy_from_slice(&bytes[done..done + count]);
            });
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if !self.is_forgotten {
            self.take_blocks(len)?;
            self.blocks.truncate(blocks_for(len));
            let (number, start, _) = place_of(len);
            if let Some(block) = self.blocks.get_mut(number) {
                block[start..].fill(0);
            }
        }
        self.len = len;
        Ok(())
    }
}

impl Content {
    fn forget(&self) {
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        bytes.is_forgotten = true;
        bytes.blocks = Vec::new_in(self.alloc.clone());
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.alloc.release(size_of::<Content>());
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("may_write", &self.may_write).finish_non_exhaustive()
    }
}

impl MemoryFile {
    fn change(&self, end: Option<u64>, work: impl FnOnce(&mut Bytes) -> io::Result<()>) -> io::Result<()> {
        if !self.may_write {
            return error(io::ErrorKind::PermissionDenied);
        }
        if end.is_none_or(|end| end > i64::MAX as u64) {
            return error(io::ErrorKind::FileTooLarge);
        }
        work(&mut self.content.bytes.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File for MemoryFile {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset > i64::MAX as u64 {
            return error(io::ErrorKind::InvalidInput);
        }
        let bytes = self.content.bytes.read().unwrap_or_else(PoisonError::into_inner);
        if bytes.is_forgotten {
            return error(io::ErrorKind::Unsupported);
        }
        let left = usize::try_from(bytes.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = left.min(into.len());
        Bytes::parts(offset, count, |number, start, done, count| {
            into[done..done + count].copy_from_slice(&bytes.blocks[number][start..start + count]);
        });
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.change(offset.checked_add(bytes.len() as u64), |content| match bytes {
            [] => Ok(()),
            bytes => content.write(bytes, offset),
        })?;
        Ok(bytes.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.content.bytes.read().unwrap_or_else(PoisonError::into_inner).len)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.change(Some(bytes), |content| content.set_len(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vfs(limit_bytes: u64) -> (Budget, MemoryVfs) {
        let budget = Budget::unlimited("process").unwrap().child("files", limit_bytes).unwrap();
        let vfs = MemoryVfs::new(&budget);
        (budget, vfs)
    }

    #[test]
    fn offsets_are_in_blocks() {
        assert_eq!(place_of(0), (0, 0, SMALL_BYTES));
        assert_eq!(place_of(LARGE_START - 1), (SMALL_COUNT - 1, SMALL_BYTES - 1, SMALL_BYTES));
        assert_eq!(place_of(LARGE_START), (SMALL_COUNT, 0, LARGE_BYTES));
        assert_eq!(place_of(LARGE_START + 70_000), (SMALL_COUNT + 1, 70_000 - LARGE_BYTES, LARGE_BYTES));
        assert_eq!([0, 1, 4096, 4097, LARGE_START, LARGE_START + 1].map(blocks_for), [0, 1, 1, 2, 16, 17]);
    }

    /// Aim: a budget pays for what there is, and a refusal changes nothing. Method: write behind the end until the limit, cut, remove.
    #[test]
    fn a_refusal_changes_nothing() {
        let (budget, vfs) = vfs(200 << 10);
        let directory = vfs.directory(Path::new("place"), true).unwrap();
        let file = directory.open("file", OpenMode::CreateNew).unwrap();
        file.write_all_at(b"first", 70_000).unwrap();
        let used = budget.used();
        assert!((128 << 10..150 << 10).contains(&used), "{used}");
        for refused in [file.write_all_at(b"x", 250_000), file.set_len(1 << 40)] {
            let refused = refused.unwrap_err();
            assert_eq!((refused.kind(), refused.raw_os_error()), (io::ErrorKind::OutOfMemory, None));
        }
        let mut into = [1; 7];
        assert_eq!((file.read_at(&mut into, 69_998).unwrap(), &into), (7, b"\0\0first"));
        assert_eq!((budget.used(), file.len().unwrap()), (used, 70_005));
        file.set_len(3).unwrap();
        assert!(budget.used() < 8 << 10, "{}", budget.used());
        let other = directory.open("other", OpenMode::CreateNew).unwrap();
        directory.remove("file").unwrap();
        directory.rename("other", "file").unwrap();
        drop((file, other));
        assert!(budget.used() <= 2 << 10, "{}", budget.used());
        drop((directory, vfs));
        assert_eq!(budget.used(), 0);
    }

    /// Aim: files that nobody reads cost nothing and take everything. Method: forget one before and one after it is made.
    #[test]
    fn forgotten_files_have_a_length() {
        let (budget, vfs) = vfs(64 << 10);
        let directory = vfs.directory(Path::new("/place"), true).unwrap();
        let [log, kept] = ["log-1", "kept"].map(|name| directory.open(name, OpenMode::CreateNew).unwrap());
        log.write_all_at(&[7; 10_000], 0).unwrap();
        kept.write_all_at(b"here", 0).unwrap();
        let used = budget.used();
        vfs.forget(|name| name.starts_with("log-"));
        assert!(budget.used() + 12_000 <= used);
        let later = directory.open("log-2", OpenMode::CreateNew).unwrap();
        for log in [log, later] {
            log.write_all_at(&[7; 100_000], 1 << 20).unwrap();
            assert_eq!(log.len().unwrap(), (1 << 20) + 100_000);
            assert_eq!(log.read_at(&mut [0], 0).unwrap_err().kind(), io::ErrorKind::Unsupported);
            log.set_len(10).unwrap();
            assert_eq!(log.len().unwrap(), 10);
        }
        let mut into = [0; 4];
        kept.read_exact_at(&mut into, 0).unwrap();
        assert_eq!(&into, b"here");
    }

    /// Aim: every refusal of names and files is an error and leaves things as they were. Method: limits from nothing up.
    #[test]
    fn little_memory_is_an_error_at_each_step() {
        let mut steps_seen = 0;
        for limit_bytes in (0..80).map(|step| step * 512) {
            let (budget, vfs) = vfs(limit_bytes);
            let work = || -> io::Result<()> {
                let directory = vfs.directory(Path::new("place"), true)?;
                for name in ["a", "b", "c", "d", "e"] {
                    directory.open(name, OpenMode::CreateNew)?.write_all_at(b"x", 0)?;
                }
                directory.rename("a", "f")?;
                directory.list(&mut |_| Ok(()))
            };
            match work() {
                Ok(()) => steps_seen |= 1,
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{limit_bytes}");
                    steps_seen |= 2;
                }
            }
            drop(vfs);
            assert_eq!(budget.used(), 0, "{limit_bytes}");
        }
        assert_eq!(steps_seen, 3, "too much or too little room at every limit");
    }
}

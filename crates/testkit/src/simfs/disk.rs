//! The simulated machine: files, directories, clock, what is to go wrong, and every operation as a method.
//!
//! An operation begins with [`Disk::begin`], which looks whether the machine runs, counts, writes the log and asks the
//! rules; then it takes effect; [`Begun::end`] says that it was the last one of the machine if it was. So the operation
//! that a crash was set for takes effect without anybody being told (but for a sync, which does nothing then), and the
//! crash decides how much of it is left.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use cofferdam_vfs::{OpenMode, check_name};

use super::content::Content;
use super::crash::{Crash, CrashPolicy};
use super::fault::{ENOSPC, Fault, Op, Rule, Unwritten};
use super::log::{Entry, Log};
use super::names::{Names, Node};
use super::rng::Rng;
use super::{GONE, SimOptions};

const EBADF: i32 = 9;
const EINVAL: i32 = 22;
/// What an operation, a byte of it, a sync and a look at the clock take.
const OPERATION_NS: u64 = 1_000;
const BYTES_PER_NS: u64 = 2;
const SYNC_NS: u64 = 100_000;
const CLOCK_NS: u64 = 50;
/// The directory that is there from the beginning.
const ROOT: u32 = 0;

#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) options: SimOptions,
    files: Vec<Option<File>>,
    directories: Vec<Option<Names>>,
    /// Some file or directory may have lost its last name or handle.
    has_garbage: bool,
    /// Handles of earlier ones are dead.
    generation: u64,
    is_gone: bool,
    /// Mutations until the machine goes; `None` for never.
    mutations_left: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) rules: Vec<Rule>,
    pub(super) ignored_syncs: Vec<u64>,
    pub(super) log: Log,
    pub(super) counts: SimCounts,
    clock_ns: u64,
    effects: Rng,
    chances: Rng,
    numbers: Rng,
}

#[derive(Clone, Debug)]
struct File {
    content: Content,
    handles: u32,
    is_linked: bool,
    is_locked: bool,
}

/// What was done on a disk so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounts {
    /// All operations.
    pub operations: u64,
    /// Those that change the disk.
    pub mutations: u64,
    /// Those that sync a file or a directory.
    pub syncs: u64,
    /// Those that a rule let go wrong, or that were ignored.
    pub faults: u64,
}

/// A file or directory as an operation knows it.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) name: Arc<str>,
    pub(super) node: u32,
    pub(super) generation: u64,
}

/// What an operation does, for the log and the rules.
struct Deed<'a> {
    op: Op,
    name: &'a Arc<str>,
    to: Option<&'a Arc<str>>,
    offset: u64,
    len: u64,
}

impl<'a> Deed<'a> {
    fn of(op: Op, name: &'a Arc<str>) -> Deed<'a> {
        Deed { op, name, to: None, offset: 0, len: 0 }
    }
}

/// An operation that takes effect.
#[must_use]
struct Begun {
    fault: Option<Fault>,
    is_last: bool,
}

impl Begun {
    fn end<T>(self, outcome: T) -> io::Result<T> {
        if self.is_last { Err(code(GONE)) } else { Ok(outcome) }
    }
}

fn code(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

impl Disk {
    pub(super) fn new(seed: u64, options: SimOptions) -> Disk {
        let mut seeds = Rng::new(seed);
        Disk {
            options,
            files: Vec::new(),
            directories: vec![Some(Names::default())],
            has_garbage: false,
            generation: 0,
            is_gone: false,
            mutations_left: None,
            capacity: None,
            rules: Vec::new(),
            ignored_syncs: Vec::new(),
            log: Log::new(options.log_len_max),
            counts: SimCounts::default(),
            clock_ns: 1 + seeds.below(1 << 40) as u64,
            effects: Rng::new(seeds.next()),
            chances: Rng::new(seeds.next()),
            numbers: Rng::new(seeds.next()),
        }
    }

    // The machine.

    pub(super) fn now_ns(&mut self) -> u64 {
        self.sleep_ns(CLOCK_NS);
        self.clock_ns
    }

    pub(super) fn sleep_ns(&mut self, ns: u64) {
        self.clock_ns = self.clock_ns.saturating_add(ns);
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.numbers.next()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    pub(super) fn crash_at(&mut self, mutation: u64) {
        self.is_gone |= mutation == 0;
        self.mutations_left = Some(mutation);
    }

    /// Cuts the power and starts the machine again.
    pub(super) fn crash(&mut self, policy: &CrashPolicy, seed: u64) -> Crash {
        let (mut crash, mut rng) = (Crash::default(), Rng::new(seed));
        let stale = if policy.stale_percent > 0 { self.stale_bytes(&mut rng) } else { Vec::new() };
        for names in self.directories.iter_mut().flatten() {
            names.crash(policy, &mut rng, &mut crash);
        }
        for file in self.files.iter_mut().flatten() {
            file.content.crash(policy, &stale, &mut rng, &mut crash);
        }
        self.end_process();
        crash
    }

    /// Ends every handle and lock, and keeps what they have written.
    pub(super) fn end_process(&mut self) {
        self.generation += 1;
        (self.is_gone, self.mutations_left) = (false, None);
        for file in self.files.iter_mut().flatten() {
            (file.handles, file.is_locked) = (0, false);
        }
        self.has_garbage = true;
        self.sweep();
    }

    /// A part of some file, as what a disk might have had in places that are new to another file.
    fn stale_bytes(&self, rng: &mut Rng) -> Vec<u8> {
        const STALE_BYTES_MAX: usize = 64 << 10;
        let files: Vec<&[u8]> = self.files.iter().flatten().map(|file| file.content.bytes()).collect();
        let Some(bytes) = files.get(rng.below(files.len())) else { return Vec::new() };
        let sectors_count = bytes.len().saturating_sub(STALE_BYTES_MAX) / self.options.sector_bytes;
        let start = rng.below(sectors_count + 1) * self.options.sector_bytes;
        bytes[start..bytes.len().min(start + STALE_BYTES_MAX)].to_vec()
    }

    /// Begins an operation of a handle.
    fn begin(&mut self, generation: u64, deed: &Deed<'_>) -> io::Result<Begun> {
        if self.is_gone || generation != self.generation {
            return Err(code(GONE));
        }
        let Deed { op, name, to, offset, len } = *deed;
        self.counts.operations += 1;
        self.sleep_ns(OPERATION_NS + len / BYTES_PER_NS + if op.is_sync() { SYNC_NS } else { 0 });
        let is_last = op.is_mutation() && self.count_mutation();
        self.counts.syncs += u64::from(op.is_sync());
        let fault = self.strike(deed);
        self.counts.faults += u64::from(fault.is_some());
        self.log.push(Entry {
            number: self.counts.operations,
            mutation: if op.is_mutation() { self.counts.mutations } else { 0 },
            sync: if op.is_sync() { self.counts.syncs } else { 0 },
            op,
            file: Arc::clone(name),
            to: to.map(Arc::clone),
            offset,
            len,
            fault,
        });
        match fault {
            _ if is_last && op.is_sync() => Err(code(GONE)),
            Some(Fault::Error(_)) if is_last => Err(code(GONE)),
            Some(Fault::Error(error)) => Err(code(error)),
            fault => Ok(Begun { fault, is_last }),
        }
    }

    /// Counts an operation that changes the disk; true if it is the machine's last.
    fn count_mutation(&mut self) -> bool {
        self.counts.mutations += 1;
        if let Some(left) = &mut self.mutations_left {
            *left -= 1;
            self.is_gone = *left == 0;
        }
        self.is_gone
    }

    fn strike(&mut self, deed: &Deed<'_>) -> Option<Fault> {
        if deed.op.is_sync() && self.ignored_syncs.contains(&self.counts.syncs) {
            return Some(Fault::Ignore);
        }
        let (name, to) = (&**deed.name, deed.to.map(|to| &**to));
        let mut fault = None;
        // Every rule counts every operation, also where an earlier one has struck.
        for rule in &mut self.rules {
            fault = fault.or(rule.strike(deed.op, name, to, &mut self.chances));
        }
        fault
    }

    // Directories.

    /// Opens the directory at a path, and makes it where it is missing.
    pub(super) fn open_directory(&mut self, path: &Path, create: bool) -> io::Result<Handle> {
        if self.is_gone {
            return Err(code(GONE));
        }
        let generation = self.generation;
        let handle = |name, node| Handle { name, node, generation };
        let (mut parent, mut at) = (None, handle(Arc::from("/"), ROOT));
        let mut names = components(path)?;
        let last = names.pop();
        for name in names {
            at = handle(Arc::from(name), self.directory_in(&at, name)?);
        }
        if let Some(last) = last {
            let name: Arc<str> = Arc::from(last);
            let node = match self.directory_in(&at, last) {
                Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                    self.make_directory(&at, &name)?
                }
                other => other?,
            };
            parent = Some(at);
            at = handle(name, node);
        }
        self.begin(generation, &Deed::of(Op::Open, &at.name))?.end(())?;
        if let (true, Some(parent)) = (create, parent) {
            self.sync_directory(&parent)?;
        }
        Ok(at)
    }

    fn directory_in(&self, directory: &Handle, name: &str) -> io::Result<u32> {
        match self.names(directory)?.get(name) {
            Some((_, Node::Directory(node))) => Ok(node),
            Some((_, Node::File(_))) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn make_directory(&mut self, parent: &Handle, name: &Arc<str>) -> io::Result<u32> {
        let begun = self.begin(parent.generation, &Deed::of(Op::MakeDirectory, name))?;
        let node = put(&mut self.directories, Names::default());
        self.names_mut(parent)?.bind(Arc::clone(name), Node::Directory(node));
        begun.end(node)
    }

    fn names(&self, directory: &Handle) -> io::Result<&Names> {
        let names = self.directories.get(directory.node as usize).and_then(Option::as_ref);
        names.filter(|_| directory.generation == self.generation).ok_or_else(|| code(GONE))
    }

    fn names_mut(&mut self, directory: &Handle) -> io::Result<&mut Names> {
        let names = self.directories.get_mut(directory.node as usize).and_then(Option::as_mut);
        names.filter(|_| directory.generation == self.generation).ok_or_else(|| code(GONE))
    }

    /// The file of a name, with the name.
    fn file_in(&self, directory: &Handle, name: &str) -> io::Result<Option<(Arc<str>, u32)>> {
        check_name(name)?;
        match self.names(directory)?.get(name) {
            Some((name, Node::File(node))) => Ok(Some((name, node))),
            Some((_, Node::Directory(_))) => Err(io::ErrorKind::IsADirectory.into()),
            None => Ok(None),
        }
    }

    pub(super) fn list(&mut self, directory: &Handle) -> io::Result<Vec<Arc<str>>> {
        self.begin(directory.generation, &Deed::of(Op::List, &directory.name))?.end(())?;
        let files = self.names(directory)?.seen().filter(|(_, node)| matches!(node, Node::File(_)));
        let mut names: Vec<Arc<str>> = files.map(|(name, _)| Arc::clone(name)).collect();
        // No system promises an order: Fisher and Yates' shuffle.
        for end in (1..names.len()).rev() {
            names.swap(end, self.effects.below(end + 1));
        }
        Ok(names)
    }

    pub(super) fn rename(&mut self, directory: &Handle, from: &str, to: &str) -> io::Result<()> {
        let replaced = self.file_in(directory, to);
        let Some((from, node)) = self.file_in(directory, from)? else {
            return Err(self.missing(directory, Op::Rename, from));
        };
        let to = replaced?.map_or_else(|| (Arc::from(to), None), |(to, node)| (to, Some(node)));
        let begun =
            self.begin(directory.generation, &Deed { to: Some(&to.0), ..Deed::of(Op::Rename, &from) })?;
        if from != to.0 {
            self.names_mut(directory)?.rename(from, to.0, Node::File(node));
            to.1.into_iter().for_each(|node| self.unlink(node));
        }
        begun.end(())
    }

    pub(super) fn remove(&mut self, directory: &Handle, name: &str) -> io::Result<()> {
        let Some((name, node)) = self.file_in(directory, name)? else {
            return Err(self.missing(directory, Op::Remove, name));
        };
        let begun = self.begin(directory.generation, &Deed::of(Op::Remove, &name))?;
        self.names_mut(directory)?.unbind(name);
        self.unlink(node);
        begun.end(())
    }

    /// The error for a name that is not there; the operation counts, since a driver may crash at it too.
    fn missing(&mut self, directory: &Handle, op: Op, name: &str) -> io::Error {
        match self.begin(directory.generation, &Deed::of(op, &Arc::from(name))) {
            Ok(begun) => begun.end(()).err().unwrap_or_else(|| io::ErrorKind::NotFound.into()),
            Err(error) => error,
        }
    }

    pub(super) fn sync_directory(&mut self, directory: &Handle) -> io::Result<()> {
        let begun = self.begin(directory.generation, &Deed::of(Op::SyncDirectory, &directory.name))?;
        self.names(directory)?;
        let names = self.directories[directory.node as usize].as_mut().expect("it was just found");
        match begun.fault {
            Some(Fault::Ignore) => {}
            Some(Fault::FailSync(unwritten)) => {
                names.fail_sync(unwritten != Unwritten::Dirty, &mut self.effects);
                return Err(code(super::EIO));
            }
            _ => names.sync(),
        }
        self.sweep();
        begun.end(())
    }

    // Files.

    pub(super) fn open(&mut self, directory: &Handle, name: &str, mode: OpenMode) -> io::Result<Handle> {
        let found = self.file_in(directory, name)?;
        let generation = directory.generation;
        let (name, node) = match (found, mode) {
            (None, OpenMode::CreateNew) => self.create(directory, name)?,
            (Some((name, node)), OpenMode::Read | OpenMode::Write) => {
                self.begin(generation, &Deed::of(Op::Open, &name))?.end((name, node))?
            }
            (found, _) => {
                self.begin(generation, &Deed::of(Op::Open, &Arc::from(name)))?.end(())?;
                let is_there = found.is_some();
                return Err(
                    if is_there { io::ErrorKind::AlreadyExists } else { io::ErrorKind::NotFound }.into()
                );
            }
        };
        self.file_mut(node)?.handles += 1;
        Ok(Handle { name, node, generation })
    }

    fn create(&mut self, directory: &Handle, name: &str) -> io::Result<(Arc<str>, u32)> {
        let name: Arc<str> = Arc::from(name);
        let begun = self.begin(directory.generation, &Deed::of(Op::Create, &name))?;
        let content = Content::new(self.options.sector_bytes);
        let node = put(&mut self.files, File { content, handles: 0, is_linked: true, is_locked: false });
        self.names_mut(directory)?.bind(Arc::clone(&name), Node::File(node));
        begun.end((name, node))
    }

    pub(super) fn lock(&mut self, directory: &Handle, name: &str) -> io::Result<Handle> {
        let (name, node) = match self.file_in(directory, name)? {
            Some(found) => found,
            None => self.create(directory, name)?,
        };
        self.begin(directory.generation, &Deed::of(Op::Lock, &name))?.end(())?;
        let file = self.file_mut(node)?;
        if file.is_locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.is_locked = true;
        file.handles += 1;
        Ok(Handle { name, node, generation: directory.generation })
    }

    fn file_mut(&mut self, node: u32) -> io::Result<&mut File> {
        self.files.get_mut(node as usize).and_then(Option::as_mut).ok_or_else(|| code(GONE))
    }

    pub(super) fn len(&mut self, handle: &Handle) -> io::Result<u64> {
        if self.is_gone || handle.generation != self.generation {
            return Err(code(GONE));
        }
        Ok(self.file_mut(handle.node)?.content.bytes().len() as u64)
    }

    pub(super) fn read(&mut self, handle: &Handle, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let deed = Deed { offset, len: into.len() as u64, ..Deed::of(Op::Read, &handle.name) };
        let begun = self.begin(handle.generation, &deed)?;
        if offset > i64::MAX as u64 {
            return Err(code(EINVAL));
        }
        let file_len = self.file_mut(handle.node)?.content.bytes().len();
        let mut start = usize::try_from(offset).unwrap_or(usize::MAX).min(file_len);
        let mut count = into.len().min(file_len - start);
        let rng = &mut self.effects;
        let content = &mut self.files[handle.node as usize].as_mut().expect("it was just found").content;
        match begun.fault {
            Some(Fault::Short) if count > 1 => count = 1 + rng.below(count - 1),
            Some(Fault::Misdirect) => start = rng.below(file_len - count + 1),
            Some(Fault::FlipStored) if count > 0 => content.flip(start + rng.below(count), 1 << rng.below(8)),
            _ => {}
        }
        into[..count].copy_from_slice(&content.bytes()[start..start + count]);
        if begun.fault == Some(Fault::FlipOnce) && count > 0 {
            into[rng.below(count)] ^= 1 << rng.below(8);
        }
        begun.end(count)
    }

    pub(super) fn write(
        &mut self,
        handle: &Handle,
        bytes: &[u8],
        offset: u64,
        mode: OpenMode,
    ) -> io::Result<usize> {
        let deed = Deed { offset, len: bytes.len() as u64, ..Deed::of(Op::Write, &handle.name) };
        let begun = self.begin(handle.generation, &deed)?;
        if mode == OpenMode::Read {
            return Err(code(EBADF));
        }
        let mut count = self.room_for(handle.node, offset, bytes.len())?;
        let (mut node, mut offset) = (handle.node, offset as usize);
        match begun.fault {
            Some(Fault::Short) if count > 1 => count = 1 + self.effects.below(count - 1),
            Some(Fault::Ignore) => return begun.end(count),
            Some(Fault::Misdirect) => (node, offset) = self.elsewhere(node, offset),
            _ => {}
        }
        let content = &mut self.files[node as usize].as_mut().expect("it has a handle or a name").content;
        content.write(&bytes[..count], offset, &mut self.effects);
        if begun.fault == Some(Fault::FlipStored) && count > 0 {
            content.flip(offset + self.effects.below(count), 1 << self.effects.below(8));
        }
        begun.end(count)
    }

    /// How many of the bytes that are to be written the disk has room for.
    fn room_for(&mut self, node: u32, offset: u64, count: usize) -> io::Result<usize> {
        let len = self.file_mut(node)?.content.bytes().len() as u64;
        if offset > i64::MAX as u64 {
            return Err(code(EINVAL));
        }
        let end = offset.saturating_add(count as u64);
        if end > self.options.file_bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let Some(capacity) = self.capacity else { return Ok(count) };
        let end_max = len + capacity.saturating_sub(self.used_bytes());
        match end_max.saturating_sub(offset).min(count as u64) as usize {
            0 if count > 0 => Err(code(ENOSPC)),
            room => Ok(room),
        }
    }

    /// What counts against the capacity: the lengths of all files that have a name or a handle.
    pub(super) fn used_bytes(&self) -> u64 {
        let files = self.files.iter().flatten().filter(|file| file.is_linked || file.handles > 0);
        files.map(|file| file.content.bytes().len() as u64).sum()
    }

    /// Where a misdirected write goes: to another place, of another file as often as there is one.
    fn elsewhere(&mut self, node: u32, offset: usize) -> (u32, usize) {
        let len_of = |file: &Option<File>| file.as_ref().map_or(0, |file| file.content.bytes().len());
        let others: Vec<u32> = (0..self.files.len() as u32)
            .filter(|&other| other != node && len_of(&self.files[other as usize]) > 0)
            .collect();
        let sector_bytes = self.options.sector_bytes;
        let node = match others.get(self.effects.below(others.len())) {
            Some(&other) if self.effects.is_one_of(1, 2) => other,
            _ => node,
        };
        // At the same place in another sector: what goes wrong is the address.
        let sectors_count = len_of(&self.files[node as usize]).div_ceil(sector_bytes);
        (node, self.effects.below(sectors_count) * sector_bytes + offset % sector_bytes)
    }

    pub(super) fn set_len(&mut self, handle: &Handle, len: u64, mode: OpenMode) -> io::Result<()> {
        let begun =
            self.begin(handle.generation, &Deed { offset: len, ..Deed::of(Op::SetLen, &handle.name) })?;
        if mode == OpenMode::Read {
            return Err(code(EINVAL));
        }
        let before = self.file_mut(handle.node)?.content.bytes().len() as u64;
        if len > before {
            let growth = usize::try_from(len - before).map_err(|_| io::ErrorKind::FileTooLarge)?;
            if self.room_for(handle.node, before, growth)? < growth {
                return Err(code(ENOSPC));
            }
        }
        let content = &mut self.files[handle.node as usize].as_mut().expect("it was just found").content;
        content.set_len(len as usize, &mut self.effects);
        begun.end(())
    }

    pub(super) fn sync(&mut self, handle: &Handle) -> io::Result<()> {
        let begun = self.begin(handle.generation, &Deed::of(Op::Sync, &handle.name))?;
        self.file_mut(handle.node)?;
        let content = &mut self.files[handle.node as usize].as_mut().expect("it was just found").content;
        match begun.fault {
            Some(Fault::Ignore) => {}
            Some(Fault::FailSync(unwritten)) => {
                content.fail_sync(unwritten, &mut self.effects);
                return Err(code(super::EIO));
            }
            _ => content.sync(),
        }
        begun.end(())
    }

    pub(super) fn close(&mut self, handle: &Handle, is_lock: bool) {
        if handle.generation != self.generation {
            return;
        }
        if let Ok(file) = self.file_mut(handle.node) {
            file.handles -= 1;
            file.is_locked &= !is_lock;
            self.has_garbage |= file.handles == 0 && !file.is_linked;
        }
    }

    fn unlink(&mut self, node: u32) {
        if let Ok(file) = self.file_mut(node) {
            file.is_linked = false;
            self.has_garbage = true;
        }
    }

    /// Forgets files and directories that nothing leads to any more, now or after a crash.
    fn sweep(&mut self) {
        if !std::mem::take(&mut self.has_garbage) {
            return;
        }
        self.files.iter_mut().flatten().for_each(|file| file.is_linked = false);
        let mut reached_files = vec![false; self.files.len()];
        let mut reached_directories = vec![false; self.directories.len()];
        let mut ways = vec![ROOT];
        while let Some(directory) = ways.pop() {
            if std::mem::replace(&mut reached_directories[directory as usize], true) {
                continue;
            }
            let names = self.directories[directory as usize].as_ref().expect("what has a name is there");
            for node in names.nodes() {
                match node {
                    Node::File(file) => reached_files[file as usize] = true,
                    Node::Directory(below) => ways.push(below),
                }
            }
            for (_, node) in names.seen() {
                if let Node::File(file) = node {
                    self.files[file as usize].as_mut().expect("what has a name is there").is_linked = true;
                }
            }
        }
        for (file, is_reached) in self.files.iter_mut().zip(reached_files) {
            file.take_if(|file| !is_reached && file.handles == 0);
        }
        for (directory, is_reached) in self.directories.iter_mut().zip(reached_directories) {
            directory.take_if(|_| !is_reached);
        }
    }

    // What tests look at, past all rules.

    /// Gives every file that processes see to `visit`, with its path, in the order of paths.
    pub(super) fn visit_files(&self, visit: &mut dyn FnMut(&str, &Content)) {
        let mut ways = vec![(String::new(), ROOT)];
        while let Some((path, directory)) = ways.pop() {
            let names = self.directories[directory as usize].as_ref().expect("what has a name is there");
            for (name, node) in names.seen() {
                let path = format!("{path}/{name}");
                match node {
                    Node::Directory(below) => ways.push((path, below)),
                    Node::File(file) => {
                        visit(
                            &path,
                            &self.files[file as usize].as_ref().expect("what has a name is there").content,
                        );
                    }
                }
            }
        }
    }

    /// Flips bits of the file at a path for good.
    pub(super) fn flip(&mut self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let mut at = Handle { name: Arc::from("/"), node: ROOT, generation: self.generation };
        let mut names = components(path)?;
        let last = names.pop().ok_or(io::ErrorKind::IsADirectory)?;
        for name in names {
            at.node = self.directory_in(&at, name)?;
        }
        let (_, node) = self.file_in(&at, last)?.ok_or(io::ErrorKind::NotFound)?;
        let content = &mut self.file_mut(node)?.content;
        let offset = usize::try_from(offset).ok().filter(|&offset| offset < content.bytes().len());
        content.flip(offset.ok_or(io::ErrorKind::UnexpectedEof)?, mask);
        Ok(())
    }

    /// How many files and directories are kept, those that only a crash could bring back among them.
    #[cfg(test)]
    pub(super) fn places_count(&self) -> usize {
        self.files.len() + self.directories.len()
    }

    pub(super) fn unsynced_sectors_count(&self) -> usize {
        self.files.iter().flatten().map(|file| file.content.unsynced_count()).sum()
    }
}

/// The names on a path. Where a relative path begins is the root: a simulation has no working directory.
fn components(path: &Path) -> io::Result<Vec<&str>> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or(io::ErrorKind::InvalidInput)?),
            Component::ParentDir | Component::Prefix(_) => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(names)
}

/// Puts a value into the first free place.
fn put<T>(places: &mut Vec<Option<T>>, value: T) -> u32 {
    let free = places.iter().position(Option::is_none).unwrap_or(places.len());
    if free == places.len() {
        places.push(None);
    }
    places[free] = Some(value);
    free as u32
}

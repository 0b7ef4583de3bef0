//! Where a database's temporary files are, how many bytes they may have, and who made them.
//!
//! ```text
//! temp_directory/
//!   cofferdam-temp.lock                        held while somebody looks for leftovers or begins; stays
//!   cofferdam-4711-0f3a…9c.lock                held as long as the process uses the directory
//!   cofferdam-4711-0f3a…9c-17                  a temporary file, by number
//! ```
//!
//! The directory is made when the first file is, not before, and is held as long as somebody may have files. A name holds the process and a random number, so several
//! databases and processes share a directory. Files are removed when their owner drops them; what a killed process leaves is
//! removed by the next one that opens the directory: it takes the locks that it finds, and where it gets one, nobody is
//! left who uses the files of that name. `cofferdam-temp.lock` keeps two from doing so at once, and from taking for dead who has made its
//! lock's file and not locked it yet.
//!
//! **The limit.** `max_temp_directory_size` is checked before bytes are written: a block is reserved, written, and counts until its
//! file is removed. So the files of a database never have more.
//!
//! **Memory.** The list of files has 80 bytes for each, which an owner reserves for as many as it says it will have at once. It, the
//! handles of the directory and an owner's counters are charged when the owner is made.

#![allow(clippy::disallowed_types)]

use core::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, InlineText};
use cofferdam_store::directory::Charge;
use cofferdam_vfs::{Directory, File, Lock, OpenMode, Vfs};

use super::error::{SpillFailure, SpillOp, SpillProblem};

/// What the handles of a directory, its lock and its path are charged for.
const HOME_BYTES: u64 = 2 << 10;
/// What an owner's counters are charged for.
const OWNER_BYTES: u64 = 1 << 10;
const COMMON_LOCK: &str = "cofferdam-temp.lock";
const PREFIX: &str = "cofferdam-";
const LOCK_SUFFIX: &str = ".lock";
/// How long somebody else may look for leftovers before we begin beside it.
const SWEEP_WAIT_NS: u64 = 2_000_000_000;
const SWEEP_STEP_NS: u64 = 1_000_000;
/// Names that are gathered before files are removed, so that no listing runs meanwhile.
const NAMES_COUNT: usize = 16;

/// The name of a file or the part that a process's files share.
type Name = InlineText<72>;
/// The name of an operator.
type OwnerName = InlineText<32>;

/// The temporary files of a database. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct SpillSpace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vfs: Arc<dyn Vfs>,
    budget: Budget,
    limit_bytes: AtomicU64,
    counters: Counters,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where files are made; nowhere if `None`.
    path: Option<PathBuf>,
    home: Option<Arc<Home>>,
    _charge: Option<Charge>,
    slots: Vec<Slot, BudgetAlloc>,
    /// The first slot without a file.
    free: Option<u32>,
    /// How many owners there are.
    owners: usize,
    /// How many files they may have at once.
    reserved: usize,
    next_number: u64,
}

/// A place in the list of files.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The random number in its name.
    random: u64,
    number: u64,
    bytes: u64,
    owner: OwnerName,
    is_taken: bool,
    /// The next slot without a file.
    next_free: Option<u32>,
}

/// The directory, as long as somebody has a file in it.
#[derive(Debug)]
pub(super) struct Home {
    directory: Arc<dyn Directory>,
    /// What the names of its files have beside the process.
    random: u64,
    lock: Option<Box<dyn Lock>>,
}

/// What temporary files have and had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpillCounts {
    /// Bytes of the files that are there.
    pub bytes_now: u64,
    /// The most that it was.
    pub bytes_peak: u64,
    /// Bytes of all files that were ever made.
    pub bytes_total: u64,
    /// Files that are there.
    pub files_now: u64,
    /// The most that it was.
    pub files_peak: u64,
    /// All files that were ever made.
    pub files_total: u64,
}

#[derive(Debug, Default)]
struct Counters {
    bytes: Counter,
    files: Counter,
}

#[derive(Debug, Default)]
struct Counter {
    now: AtomicU64,
    peak: AtomicU64,
    total: AtomicU64,
}

/// A temporary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemporaryFile<'s> {
    /// Its name in the directory.
    pub name: &'s str,
    /// Its length.
    pub bytes: u64,
    /// The operator that made it.
    pub owner: &'s str,
}

impl Counter {
    fn add(&self, count: u64) {
        let now = self.now.fetch_add(count, Ordering::Relaxed) + count;
        self.note(now, count);
    }

    fn note(&self, now: u64, count: u64) {
        self.peak.fetch_max(now, Ordering::Relaxed);
        self.total.fetch_add(count, Ordering::Relaxed);
    }

    /// Adds, unless that is beyond a limit: then gives what there is.
    fn add_within(&self, count: u64, limit: u64) -> Result<(), u64> {
        let add = |now: u64| now.checked_add(count).filter(|sum| *sum <= limit);
        let before = self.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)?;
        self.note(before + count, count);
        Ok(())
    }

    fn remove(&self, count: u64) {
        self.now.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Counters {
    fn counts(&self) -> SpillCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SpillCounts {
            bytes_now: get(&self.bytes.now),
            bytes_peak: get(&self.bytes.peak),
            bytes_total: get(&self.bytes.total),
            files_now: get(&self.files.now),
            files_peak: get(&self.files.peak),
            files_total: get(&self.files.total),
        }
    }
}

impl SpillSpace {
    /// The temporary files of a database, in the directory `path` (whose parent must be there when the first file is made), of
    /// `limit_bytes` together at most. Without a path there can be none. `budget` pays for the list of files.
    pub fn new(vfs: &Arc<dyn Vfs>, path: Option<&Path>, limit_bytes: u64, budget: &Budget) -> SpillSpace {
        let slots = Vec::new_in(BudgetAlloc::new(budget));
        let path = path.map(Path::to_path_buf);
        let state = State {
            path,
            home: None,
            _charge: None,
            slots,
            free: None,
            owners: 0,
            reserved: 0,
            next_number: 1,
        };
        SpillSpace(Arc::new(Inner {
            vfs: Arc::clone(vfs),
            budget: budget.clone(),
            limit_bytes: AtomicU64::new(limit_bytes),
            counters: Counters::default(),
            state: Mutex::new(state),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes all files together may have; [`u64::MAX`] for any number.
    pub fn limit_bytes(&self) -> u64 {
        self.0.limit_bytes.load(Ordering::Relaxed)
    }

    /// Changes the limit. Files that are there stay, even if they have more.
    pub fn set_limit_bytes(&self, bytes: u64) {
        self.0.limit_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Gives the directory to `read`; `None` where files may not be made.
    pub fn with_directory<T>(&self, read: impl FnOnce(Option<&Path>) -> T) -> T {
        read(self.state().path.as_deref())
    }

    /// Has files made in another directory from now on, or none. Those that are there stay where they are.
    pub fn set_directory(&self, path: Option<&Path>) {
        let mut state = self.state();
        if state.path.as_deref() != path {
            state.path = path.map(Path::to_path_buf);
            state.home = None;
        }
    }

    /// Whether files may be made.
    pub fn is_enabled(&self) -> bool {
        self.limit_bytes() > 0 && self.state().path.is_some()
    }

    /// What the files have and had.
    pub fn counts(&self) -> SpillCounts {
        self.0.counters.counts()
    }

    /// Gives every file that is there to `visit`; the space is locked meanwhile.
    pub fn for_each_file(&self, mut visit: impl FnMut(TemporaryFile<'_>)) {
        let state = self.state();
        for slot in state.slots.iter().filter(|slot| slot.is_taken) {
            let name = file_name(slot.random, slot.number);
            visit(TemporaryFile { name: name.as_str(), bytes: slot.bytes, owner: slot.owner.as_str() });
        }
    }

    /// Removes what processes that are gone have left in the directory, if it is there, and gives how many files that was. For the
    /// opening of a database; who makes the first file does it too.
    pub fn sweep(&self) -> u64 {
        let path = self.state().path.clone();
        let Some(path) = path else { return 0 };
        let Ok(directory) = self.0.vfs.directory(&path, false) else { return 0 };
        let _turn = take_turn(&*self.0.vfs, &*directory);
        sweep(&*directory)
    }

    /// The directory, which is made where it is missing.
    fn home(&self) -> Result<Arc<Home>, SpillProblem> {
        let mut state = self.state();
        if let Some(home) = &state.home {
            return Ok(Arc::clone(home));
        }
        let failed = |error: io::Error| SpillProblem::io(SpillOp::OpenDirectory, &error);
        let Some(path) = &state.path else { return Err(failed(io::ErrorKind::NotFound.into())) };
        BudgetAlloc::count_taken();
        let home = Arc::new(Home::open(&*self.0.vfs, path)?);
        state.home = Some(Arc::clone(&home));
        Ok(home)
    }
}

impl Home {
    fn open(vfs: &dyn Vfs, path: &Path) -> Result<Home, SpillProblem> {
        let failed = |error: io::Error| SpillProblem::io(SpillOp::OpenDirectory, &error);
        // The handle of the directory and its path, which the home's charge is for, too.
        BudgetAlloc::count_taken();
        BudgetAlloc::count_taken();
        let directory = vfs.directory(path, true).map_err(failed)?;
        if directory.is_in_memory() {
            return Err(SpillProblem::InMemory);
        }
        let _turn = take_turn(vfs, &*directory);
        sweep(&*directory);
        loop {
            let random = vfs.random_u64();
            BudgetAlloc::count_taken();
            match directory.lock(lock_name(&prefix(random)).as_str()) {
                Ok(lock) => return Ok(Home { directory, random, lock: Some(lock) }),
                // The same number twice: another one.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Opens a file that was made before.
    pub(super) fn open_file(&self, number: u64, mode: OpenMode) -> Result<Box<dyn File>, SpillProblem> {
        BudgetAlloc::count_taken();
        let opened = self.directory.open(file_name(self.random, number).as_str(), mode);
        opened.map_err(|error| SpillProblem::io(SpillOp::Open, &error))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // While the lock is held, so that nobody else has one of that name.
        let _ = self.directory.remove(lock_name(&prefix(self.random)).as_str());
        self.lock = None;
    }
}

/// What the names of this process's files begin with. It fits: what did not would be cut, which is no error.
fn prefix(random: u64) -> Name {
    let mut prefix = Name::EMPTY;
    let _ = write!(prefix, "{PREFIX}{}-{random:016x}", std::process::id());
    prefix
}

fn file_name(random: u64, number: u64) -> Name {
    let mut name = prefix(random);
    let _ = write!(name, "-{number}");
    name
}

fn lock_name(prefix: &Name) -> Name {
    let mut name = *prefix;
    name.push_str(LOCK_SUFFIX);
    name
}

/// Waits for the turn to look at other processes' files, for a while: who holds it for longer does not look at ours. Where there can be no
/// such lock, as in a directory that somebody else began with, nobody has it.
fn take_turn(vfs: &dyn Vfs, directory: &dyn Directory) -> Option<Box<dyn Lock>> {
    let begin = vfs.now_ns();
    BudgetAlloc::count_taken();
    loop {
        match directory.lock(COMMON_LOCK) {
            Ok(lock) => return Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        if vfs.now_ns().saturating_sub(begin) >= SWEEP_WAIT_NS {
            return None;
        }
        vfs.sleep_ns(SWEEP_STEP_NS);
    }
}

/// The part of a name that the files of a process share; `None` for names that are none of ours.
fn prefix_of(name: &str) -> Option<&str> {
    let (process, rest) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let random = rest.get(..16)?;
    let is_ours = !process.is_empty()
        && process.bytes().all(|byte| byte.is_ascii_digit())
        && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = &rest[16..];
    let is_file = rest.strip_prefix('-').is_some_and(|number| number.parse::<u64>().is_ok());
    (is_ours && (is_file || rest == LOCK_SUFFIX)).then(|| &name[..PREFIX.len() + process.len() + 1 + 16])
}

/// Removes the files of processes that are gone, as far as the system lets us. Whoever cannot be looked at is left alone.
fn sweep(directory: &dyn Directory) -> u64 {
    let mut removed = 0;
    let mut after = Name::EMPTY;
    loop {
        // The smallest prefixes behind those that were looked at.
        let mut found = [Name::EMPTY; NAMES_COUNT];
        let mut count = 0;
        let listed = directory.list(&mut |name| {
            if let Some(prefix) = prefix_of(name).filter(|prefix| *prefix > after.as_str()) {
                insert_sorted(&mut found, &mut count, prefix);
            }
            Ok(())
        });
        for prefix in &found[..count] {
            removed += remove_dead(directory, prefix);
            after = *prefix;
        }
        if listed.is_err() || count == 0 {
            return removed;
        }
    }
}

/// Puts a name into a list of the smallest ones, once.
fn insert_sorted(names: &mut [Name; NAMES_COUNT], count: &mut usize, name: &str) {
    let at = names[..*count].partition_point(|known| known.as_str() < name);
    if at == NAMES_COUNT || (at < *count && names[at].as_str() == name) {
        return;
    }
    *count = (*count + 1).min(NAMES_COUNT);
    names[at..*count].rotate_right(1);
    names[at] = Name::new(name);
}

/// Removes the files of a prefix, if nobody holds its lock.
fn remove_dead(directory: &dyn Directory, prefix: &Name) -> u64 {
    let lock_name = lock_name(prefix);
    BudgetAlloc::count_taken();
    let Ok(_lock) = directory.lock(lock_name.as_str()) else { return 0 };
    let mut removed = 0;
    loop {
        let mut found = [Name::EMPTY; NAMES_COUNT];
        let mut count = 0;
        let listed = directory.list(&mut |name| {
            let is_file = prefix_of(name) == Some(prefix.as_str()) && name != lock_name.as_str();
            if is_file && count < NAMES_COUNT {
                found[count] = Name::new(name);
                count += 1;
            }
            Ok(())
        });
        let gone = found[..count].iter().filter(|name| directory.remove(name.as_str()).is_ok()).count();
        removed += gone as u64;
        if listed.is_err() || gone == 0 {
            break;
        }
    }
    // Not counted: whether it was there before we locked it is not known.
    let _ = directory.remove(lock_name.as_str());
    removed
}

/// An operator's account of temporary files. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct SpillOwner(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    space: SpillSpace,
    name: OwnerName,
    counters: Counters,
    files_max: usize,
    _charge: Charge,
}

impl SpillOwner {
    /// The account of the operator `name` that will have `files_max` files at once. `budget`, the operator's, pays for the counters, the
    /// space's for the list.
    ///
    /// # Errors
    /// One of both refuses.
    pub(crate) fn new(
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
        files_max: usize,
    ) -> Result<SpillOwner, AllocError> {
        let charge = Charge::new(budget, OWNER_BYTES)?;
        let mut state = space.state();
        let state = &mut *state;
        let home_charge = match state._charge {
            None => Some(Charge::new(&space.0.budget, HOME_BYTES)?),
            Some(_) => None,
        };
        let reserved = state.reserved + files_max;
        let missing = reserved.saturating_sub(state.slots.len());
        state.slots.try_reserve(missing).map_err(|_| AllocError)?;
        // From here on nothing fails.
        state._charge = home_charge.or_else(|| state._charge.take());
        (state.owners, state.reserved) = (state.owners + 1, reserved);
        let (space, name) = (space.clone(), OwnerName::new(name));
        let counters = Counters::default();
        BudgetAlloc::count_taken();
        Ok(SpillOwner(Arc::new(Owner { space, name, counters, files_max, _charge: charge })))
    }

    /// What the operator's files have and had.
    pub(crate) fn counts(&self) -> SpillCounts {
        self.0.counters.counts()
    }

    /// Makes a file.
    ///
    /// # Errors
    /// Those of the system; the list refuses a place beyond those that were reserved.
    pub(super) fn create(&self) -> Result<(Registered, Box<dyn File>), SpillFailure> {
        let space = &self.0.space;
        let home = space.home()?;
        let mut state = space.state();
        let slot = state.take_slot(self.0.name, home.random)?;
        let number = state.slots[slot as usize].number;
        drop(state);
        self.0.counters.files.add(1);
        space.0.counters.files.add(1);
        // From here on dropping it undoes everything.
        let registered = Registered { owner: self.clone(), home, slot, number, bytes: 0 };
        let name = file_name(registered.home.random, number);
        BudgetAlloc::count_taken();
        let file = registered.home.directory.open(name.as_str(), OpenMode::CreateNew);
        let file = file.map_err(|error| SpillProblem::io(SpillOp::Create, &error))?;
        Ok((registered, file))
    }

    /// A number for what is to be told apart.
    pub(super) fn random(&self) -> u64 {
        self.0.space.0.vfs.random_u64()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.space.state();
        state.reserved -= self.files_max;
        state.owners -= 1;
        if state.owners > 0 {
            return;
        }
        // Nobody has a file, since files know their owner: nothing is held until somebody spills again.
        state.slots = Vec::new_in(state.slots.allocator().clone());
        state.free = None;
        let home = (state.home.take(), state._charge.take());
        drop(state);
        drop(home);
    }
}

impl State {
    fn take_slot(&mut self, owner: OwnerName, random: u64) -> Result<u32, AllocError> {
        let number = self.next_number;
        self.next_number += 1;
        let mut slot = Slot { random, number, bytes: 0, owner, is_taken: true, next_free: None };
        if let Some(free) = self.free {
            core::mem::swap(&mut self.slots[free as usize], &mut slot);
            self.free = slot.next_free;
            return Ok(free);
        }
        self.slots.try_reserve(1).map_err(|_| AllocError)?;
        self.slots.push(slot);
        Ok(self.slots.len() as u32 - 1)
    }
}

/// A file in the list. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct Registered {
    owner: SpillOwner,
    home: Arc<Home>,
    slot: u32,
    number: u64,
    bytes: u64,
}

impl Registered {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// Counts bytes that are to be written.
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<(), SpillProblem> {
        let space = &self.owner.0.space;
        let limit_bytes = space.limit_bytes();
        space.0.counters.bytes.add_within(bytes, limit_bytes).map_err(|used_bytes| {
            SpillProblem::DirectoryFull { limit_bytes, used_bytes, asked_bytes: bytes }
        })?;
        self.owner.0.counters.bytes.add(bytes);
        self.bytes += bytes;
        space.state().slots[self.slot as usize].bytes = self.bytes;
        Ok(())
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // What the system does not remove the next sweep does.
        let _ = self.home.directory.remove(file_name(self.home.random, self.number).as_str());
        let space = &self.owner.0.space;
        for counters in [&self.owner.0.counters, &space.0.counters] {
            counters.files.remove(1);
            counters.bytes.remove(self.bytes);
        }
        let mut state = space.state();
        let free = state.free.replace(self.slot);
        let slot = &mut state.slots[self.slot as usize];
        (slot.is_taken, slot.next_free) = (false, free);
    }
}

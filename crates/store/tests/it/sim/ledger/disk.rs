//! The files of the simple engine.

use std::io;
use std::path::Path;
use std::sync::Arc;

use cofferdam_vfs::{Directory, File, OpenMode, Vfs};

use super::encoding::{Reader, put_change, put_state};
use super::flaw::Flaw;
use super::state::{Change, State};
use crate::sim::engine::{Failure, FailureKind};

const PATH: &str = "/db";
const ENOSPC: i32 = 28;

pub(super) struct Disk {
    directory: Arc<dyn Directory>,
    number: u64,
    log: Box<dyn File>,
    /// Where the next record is written.
    end: u64,
    flaw: Flaw,
    /// What was not written yet, where full commits overtake.
    waiting: Vec<u8>,
    /// It is not known what is on the disk.
    pub(super) is_poisoned: bool,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let kind = match error.raw_os_error() {
            Some(code) if code == cofferdam_testkit::simfs::GONE => FailureKind::Gone,
            Some(ENOSPC) => FailureKind::NoSpace,
            _ => FailureKind::Io,
        };
        Failure::new(kind, error)
    }
}

fn corrupt(what: &str) -> Failure {
    Failure::new(FailureKind::Corrupt, what)
}

/// What was found in a directory.
struct Found {
    /// The greatest number of a state.
    number: Option<u64>,
    names: Vec<String>,
}

fn find(directory: &dyn Directory) -> Result<Found, Failure> {
    let mut names = Vec::new();
    directory.list(&mut |name| {
        names.push(name.to_owned());
        Ok(())
    })?;
    let number = names.iter().filter_map(|name| name.strip_prefix("state-")?.parse().ok()).max();
    Ok(Found { number, names })
}

/// A state and the records behind it, as far as they are whole.
struct Loaded {
    state: State,
    sequence: u64,
    /// Where the whole records end.
    end: u64,
    has_records: bool,
}

impl Disk {
    pub(super) fn open(vfs: &Arc<dyn Vfs>, flaw: Flaw) -> Result<(Disk, State, u64), Failure> {
        let directory = vfs.directory(Path::new(PATH), true)?;
        let found = find(&*directory)?;
        let Some(number) = found.number else {
            let mut disk = Disk {
                number: 0,
                log: fresh(&*directory)?,
                directory,
                end: 0,
                flaw,
                waiting: vec![],
                is_poisoned: false,
            };
            let state = State::default();
            disk.write_state(&state, 0)?;
            disk.remove_others()?;
            return Ok((disk, state, 0));
        };
        let loaded = load(&*directory, number, flaw)?;
        let log = directory.open(&format!("log-{number}"), OpenMode::Write)?;
        let end = if flaw == Flaw::TornTailKept { log.len()? } else { loaded.end };
        let mut disk = Disk { directory, number, log, end, flaw, waiting: vec![], is_poisoned: false };
        disk.remove_others()?;
        match flaw {
            Flaw::OpeningTrustsCache => disk.log.set_len(end)?,
            Flaw::TornTailKept => {}
            _ if loaded.has_records => disk.write_state(&loaded.state, loaded.sequence)?,
            _ => {
                disk.log.set_len(end)?;
                disk.log.sync()?;
            }
        }
        Ok((disk, loaded.state, loaded.sequence))
    }

    fn remove_others(&self) -> Result<(), Failure> {
        for name in find(&*self.directory)?.names {
            let is_temporary = name.starts_with("temp-") && self.flaw != Flaw::TemporaryFilesKept;
            let number: Option<u64> = name.split_once('-').and_then(|(_, number)| number.parse().ok());
            let is_old =
                number.is_some_and(|number| number != self.number) && self.flaw != Flaw::OldFilesKept;
            if is_temporary || (is_old && !name.starts_with("temp-")) {
                self.directory.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Appends a record; nothing of it stays if that fails.
    pub(super) fn append(&mut self, sequence: u64, changes: &[Change]) -> Result<(), Failure> {
        let mut body = sequence.to_le_bytes().to_vec();
        changes.iter().for_each(|change| put_change(&mut body, change));
        let mut record = (body.len() as u32).to_le_bytes().to_vec();
        record.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        record.extend_from_slice(&body);
        if self.flaw == Flaw::NormalCommitsOvertaken && sequence % 2 == 1 && self.waiting.is_empty() {
            self.waiting = record;
            return Ok(());
        }
        if self.flaw == Flaw::ShortWritesTrusted {
            self.log.write_at(&record, self.end)?;
        } else if let Err(error) = self.log.write_all_at(&record, self.end) {
            if self.flaw == Flaw::FailedWritesKept {
                self.end += record.len() as u64 / 2;
            }
            return Err(error.into());
        }
        self.end += record.len() as u64;
        Ok(())
    }

    pub(super) fn sync_log(&mut self) -> Result<(), Failure> {
        if !self.waiting.is_empty() {
            let record = std::mem::take(&mut self.waiting);
            self.log.write_all_at(&record, self.end)?;
            self.end += record.len() as u64;
        }
        Ok(self.log.sync()?)
    }

    /// Writes the whole database, with an empty log behind it.
    pub(super) fn write_state(&mut self, state: &State, sequence: u64) -> Result<(), Failure> {
        let (number, directory) = (self.number + 1, Arc::clone(&self.directory));
        let (temp, log) = (format!("temp-{number}"), format!("log-{number}"));
        for name in [&temp, &log] {
            match directory.remove(name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let mut body = sequence.to_le_bytes().to_vec();
        put_state(&mut body, state);
        let mut bytes = crc32c::crc32c(&body).to_le_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let file = directory.open(&temp, OpenMode::CreateNew)?;
        file.write_all_at(&bytes, 0)?;
        if self.flaw != Flaw::NoSyncOfStates {
            file.sync()?;
        }
        let new_log = directory.open(&log, OpenMode::CreateNew)?;
        new_log.write_all_at(b"log!", 0)?;
        if self.flaw != Flaw::NoSyncOfNewLogs {
            new_log.sync()?;
        }
        if self.flaw != Flaw::NoDirectorySyncBeforeRename {
            directory.sync()?;
        }
        if self.flaw == Flaw::RemovedTooEarly {
            self.remove_current()?;
        }
        // From here on either state may be the one that the next opening finds.
        self.is_poisoned = true;
        directory.rename(&temp, &format!("state-{number}"))?;
        if self.flaw != Flaw::NoDirectorySyncAfterRename {
            directory.sync()?;
        }
        if !matches!(self.flaw, Flaw::RemovedTooEarly | Flaw::OldFilesKept) {
            // What stays is removed by the next opening.
            let _ = self.remove_current();
        }
        (self.number, self.log, self.end) = (number, new_log, 4);
        self.waiting.clear();
        self.is_poisoned = false;
        Ok(())
    }

    fn remove_current(&self) -> Result<(), Failure> {
        if self.number > 0 {
            self.directory.remove(&format!("state-{}", self.number))?;
            self.directory.remove(&format!("log-{}", self.number))?;
        }
        Ok(())
    }

    pub(super) fn check(vfs: &Arc<dyn Vfs>, problem: &mut dyn FnMut(String)) -> Result<(), Failure> {
        let nothing = |_| Failure::new(FailureKind::NotADatabase, "nothing is there");
        let directory = vfs.directory(Path::new(PATH), false).map_err(nothing)?;
        let Some(number) = find(&*directory)?.number else {
            return Err(Failure::new(FailureKind::NotADatabase, "no state"));
        };
        match load(&*directory, number, Flaw::None) {
            Err(failure) if failure.kind == FailureKind::Corrupt => problem(failure.text),
            Err(failure) => return Err(failure),
            Ok(_) => {}
        }
        Ok(())
    }
}

/// A file that is never used: the first state brings its own log.
fn fresh(directory: &dyn Directory) -> Result<Box<dyn File>, Failure> {
    match directory.remove("temp-0") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(directory.open("temp-0", OpenMode::CreateNew)?),
    }
}

fn read_all(directory: &dyn Directory, name: &str) -> Result<Vec<u8>, Failure> {
    let file = directory.open(name, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn load(directory: &dyn Directory, number: u64, flaw: Flaw) -> Result<Loaded, Failure> {
    let bytes = read_all(directory, &format!("state-{number}"))?;
    let (sum, body) = bytes.split_first_chunk().ok_or_else(|| corrupt("a short state"))?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(body) && flaw != Flaw::NoChecksums {
        return Err(corrupt("the state's checksum"));
    }
    let mut body = Reader::new(body);
    let decoded = body.u64().and_then(|sequence| Some((sequence, body.state()?)));
    let (mut sequence, mut state) = decoded.ok_or_else(|| corrupt("the state"))?;
    let log = match read_all(directory, &format!("log-{number}")) {
        Err(failure) if failure.kind == FailureKind::Io && failure.text.contains("not found") => {
            return Err(corrupt("the log is missing"));
        }
        other => other?,
    };
    if !log.starts_with(b"log!") {
        return Err(corrupt("the log's head"));
    }
    let mut end = 4;
    while let Some((body, len)) = record(&log[end..], flaw) {
        let mut body = Reader::new(body);
        let Some(found) = body.u64() else { break };
        sequence = found;
        while !body.is_empty() {
            let Some(change) = body.change() else { break };
            if state.apply(&change, Flaw::None).is_err() && flaw == Flaw::None {
                return Err(corrupt("a change that cannot be"));
            }
        }
        end += len;
    }
    Ok(Loaded { state, sequence, end: end as u64, has_records: end > 4 })
}

/// The body of the first record, and how long the record is.
fn record(bytes: &[u8], flaw: Flaw) -> Option<(&[u8], usize)> {
    let len = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    let sum = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(8..8 + len).or_else(|| bytes.get(8..).filter(|_| flaw == Flaw::NoChecksums))?;
    if sum == crc32c::crc32c(body) && len >= 8 {
        return Some((body, 8 + len));
    }
    match flaw {
        Flaw::NoChecksums if len > 0 => Some((body, 8 + body.len())),
        // The next one that is whole.
        Flaw::BadRecordsSkipped => {
            let (body, len, at) = (1..bytes.len()).find_map(|at| {
                let (body, len) = record(&bytes[at..], Flaw::None)?;
                Some((body, len, at))
            })?;
            Some((body, at + len))
        }
        _ => None,
    }
}

//! Write-ahead logs of any bytes.
//!
//! It checks
//!
//! - **foreign bytes**: any bytes at all as a log, and any payloads in frames whose checksums are right, give
//!   transactions or the typed error, never a panic;
//! - **damage**: of a log that was written and then changed, what is read is a first part of what was written;
//! - **memory**: all of it within 64 KiB, whatever lengths the bytes claim, and nothing is left behind;
//! - **order**: sequences go up, and every entry stands within a transaction that ends.
//!
//! Frames and headers are built here from the tables in `docs/formats/wal.md`, without the store's own code.
//!
//! # Panics
//! When one of these does not hold.

use crate::Decisions;
use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::manifest::Root;
use cofferdam_store::wal::{Change, Entry, Event, WalWriter, recover};
use cofferdam_store::{Error, TableId};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::{OpenMode, Vfs};
use std::path::Path;
use std::sync::Arc;

const LIMIT_BYTES: u64 = 64 << 10;
/// More than any log of here needs.
const PLENTY_BYTES: u64 = 1 << 20;
const SALT: u64 = 0x5a17;

/// Checks the log that `data` describes.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    match decisions.byte() % 4 {
        0 => {
            let mut log = if decisions.one_in(4) { Vec::new() } else { header(*b"cofd-wal", 5, database()) };
            log.extend(&data[data.len().min(2)..]);
            _ = read(&machine("wal-000005", &log), LIMIT_BYTES);
        }
        1 => {
            let mut log = header(*b"cofd-wal", 5, database());
            frames(&mut log, &mut decisions, &mut |decisions, payload| entry(decisions, payload));
            _ = read(&machine("wal-000005", &log), LIMIT_BYTES);
        }
        _ => check_damage(&mut decisions),
    }
}

/// A machine with a new database.
fn new_machine() -> SimDisk {
    let disk = SimDisk::new(1);
    drop(open(&disk, Access::Create, &budget(PLENTY_BYTES)).expect("a new database"));
    disk
}

/// A machine with a new database in which one file has these bytes.
pub(crate) fn machine(name: &str, bytes: &[u8]) -> SimDisk {
    let disk = new_machine();
    let directory = disk.directory(Path::new("db"), false).expect("it was made");
    _ = directory.remove(name);
    let file = directory.open(name, OpenMode::CreateNew).expect("a new file");
    file.write_all_at(bytes, 0).expect("a small file");
    disk
}

/// The number that the logs of such a machine carry.
pub(crate) fn database() -> u64 {
    let (_, root) = open(&new_machine(), Access::Read, &budget(PLENTY_BYTES)).expect("it was made");
    root.database
}

pub(crate) fn budget(limit_bytes: u64) -> Budget {
    let root = Budget::unlimited("process").expect("room for a node");
    root.child("store", limit_bytes).expect("room for a node")
}

pub(crate) fn open(disk: &SimDisk, access: Access, budget: &Budget) -> Result<(Directory, Root), Error> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Directory::open(&vfs, Path::new("db"), access, budget)
}

/// Whether an error is one that bytes may give.
pub(crate) fn is_expected(error: &Error) -> bool {
    assert!(!error.to_string().is_empty() && error.sqlstate().len() == 5);
    matches!(error, Error::Corrupt(_) | Error::Unsupported(_) | Error::OutOfMemory(_))
}

type Transactions = Vec<Vec<(u64, u32, Change, Vec<u8>, Vec<u8>)>>;

/// Replays the logs of a machine.
fn read(disk: &SimDisk, limit_bytes: u64) -> Result<Transactions, Error> {
    let budget = budget(limit_bytes);
    let outcome = read_under(disk, &budget);
    assert!(budget.peak() <= limit_bytes && budget.used() == 0, "memory is left behind");
    outcome.inspect_err(|error| assert!(is_expected(error), "{error}"))
}

fn read_under(disk: &SimDisk, budget: &Budget) -> Result<Transactions, Error> {
    let (directory, root) = open(disk, Access::Write, budget)?;
    let (mut found, mut open, mut last) = (Transactions::new(), Vec::new(), 0);
    let recovered = recover(&directory, &root, 0, 0, budget, &mut |event| {
        match *event {
            Event::Entry(entry) => {
                assert!(entry.sequence >= last && !entry.key.is_empty());
                assert!(entry.change == Change::Put || entry.row.is_empty());
                last = entry.sequence;
                let (key, row) = (entry.key.to_vec(), entry.row.to_vec());
                open.push((entry.sequence, entry.table.0, entry.change, key, row));
            }
            Event::Commit { last_sequence } => {
                assert!(last_sequence >= last);
                last = last_sequence + 1;
                found.push(std::mem::take(&mut open));
            }
        }
        Ok(())
    })?;
    assert!(open.is_empty(), "entries without a commit");
    // What was found can be gone on with.
    if let Some(tail) = recovered.tail {
        let mut wal = tail.resume(&directory, 0, budget)?;
        assert_eq!(wal.last_sequence(), recovered.last_sequence);
        wal.begin(wal.last_sequence() + 1)?.commit()?;
        wal.close()?;
    }
    Ok(found)
}

// ------------------------------------------------------------------------------------------------- made by hand

fn crc(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}

/// The header of a log.
pub(crate) fn header(magic: [u8; 8], number: u64, database: u64) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(96u32.to_le_bytes());
    for number in [0, 0, number, SALT, database, 0, 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(92, 0);
    bytes.extend(crc(&[&bytes]).to_le_bytes());
    bytes
}

/// Appends a frame; gives the checksum of its payload.
fn frame(log: &mut Vec<u8>, kind: u8, sequence: u64, durable: u64, payload: &[u8]) -> u32 {
    let offset = log.len() as u64;
    let mut padded = payload.to_vec();
    padded.resize((24 + payload.len()).next_multiple_of(8) - 24, 0);
    let checksum = crc(&[&padded]);
    let mut rest = checksum.to_le_bytes().to_vec();
    rest.extend((payload.len() as u16).to_le_bytes());
    rest.extend(&durable.to_le_bytes()[..6]);
    rest.push(kind);
    rest.extend(&sequence.to_le_bytes()[..7]);
    log.extend(crc(&[&SALT.to_le_bytes(), &offset.to_le_bytes(), &rest]).to_le_bytes());
    log.extend(rest);
    log.extend(padded);
    checksum
}

/// Appends frames that mostly are records with `item`s.
pub(crate) fn frames(
    log: &mut Vec<u8>,
    decisions: &mut Decisions<'_>,
    item: &mut dyn FnMut(&mut Decisions<'_>, &mut Vec<u8>),
) {
    const PARTS: [u8; 16] = [1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 0, 7];
    let (mut sequence, mut chain, mut items_count) = (0, 0, 0u64);
    while !decisions.is_done() && log.len() < 1 << 17 {
        let part = PARTS[decisions.below(PARTS.len())];
        if matches!(part, 1 | 2) {
            (chain, items_count) = (0, 0);
            sequence += u64::from(decisions.byte() % 3) + 1;
        }
        let mut payload = Vec::new();
        for _ in 0..decisions.below(5) {
            items_count += 1;
            item(decisions, &mut payload);
        }
        if matches!(part, 1 | 4) {
            let off_by = u64::from(decisions.one_in(16));
            payload.extend(&(items_count + off_by).to_le_bytes()[..6]);
            payload.extend(&u64::from(decisions.byte() % 4).to_le_bytes()[..6]);
            payload.extend((chain ^ u32::from(decisions.one_in(16))).to_le_bytes());
        }
        payload.truncate(if matches!(part, 5 | 6) { 0 } else { (16 << 10) - 24 });
        let durable = if decisions.one_in(3) { log.len() as u64 } else { u64::from(decisions.byte()) };
        let start = log.len();
        let record = if decisions.one_in(16) { decisions.byte() } else { 1 << 3 };
        let checksum = frame(log, record & 0xf8 | part, sequence, durable, &payload);
        chain = crc32c::crc32c_append(chain, &checksum.to_le_bytes());
        if decisions.one_in(24) {
            let place = start + decisions.size() % (log.len() - start);
            log[place] ^= 1 << decisions.below(8);
        }
    }
}

/// Appends an entry that is mostly right.
fn entry(decisions: &mut Decisions<'_>, payload: &mut Vec<u8>) {
    payload.push(if decisions.one_in(8) { decisions.byte() } else { decisions.byte() % 4 });
    payload.push(decisions.byte() % 0x90);
    let (key_bytes, row_bytes) = (1 + decisions.size() % 9000, decisions.size() % 70_000);
    varint(payload, key_bytes as u64);
    if payload.first().is_some_and(|kind| kind & 1 == 0) {
        varint(payload, row_bytes as u64);
    }
    // Long ones go on in the next frame, or should.
    let body_bytes = (key_bytes + row_bytes).min(20_000);
    payload.resize(payload.len() + body_bytes - usize::from(decisions.one_in(16)), decisions.byte());
}

pub(crate) fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

// -------------------------------------------------------------------------------------------------------- damage

/// Changes bytes of a file: single ones, sectors, its end.
pub(crate) fn damage(decisions: &mut Decisions<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..decisions.below(4) {
        if bytes.is_empty() {
            return;
        }
        let place = (decisions.size() * 7 + decisions.size()) % bytes.len();
        match decisions.byte() % 4 {
            0 => bytes[place] ^= 1 << decisions.below(8),
            1 => bytes.truncate(place),
            2 => {
                let sector = place / 512 * 512;
                let end = bytes.len().min(sector + 512);
                bytes[sector..end].fill(0);
            }
            _ => bytes[place..].fill(decisions.byte()),
        }
    }
}

fn check_damage(decisions: &mut Decisions<'_>) {
    let disk = new_machine();
    let written = write(&disk, decisions).expect("room for small transactions");
    let mut bytes = disk.image().remove("/db/wal-000005").expect("it was made");
    assert_eq!(read(&disk, PLENTY_BYTES).expect("nothing is wrong yet"), written);
    damage(decisions, &mut bytes);
    if let Ok(found) = read(&machine("wal-000005", &bytes), LIMIT_BYTES) {
        assert!(written.starts_with(&found), "{} of {} transactions", found.len(), written.len());
    }
}

fn write(disk: &SimDisk, decisions: &mut Decisions<'_>) -> Result<Transactions, Error> {
    let budget = budget(PLENTY_BYTES);
    let (directory, root) = open(disk, Access::Write, &budget)?;
    let mut wal = WalWriter::create(&directory, &root, 5, None, decisions.size(), &budget)?;
    let mut written = Transactions::new();
    for _ in 0..decisions.below(12) {
        let mut sequence = wal.last_sequence() + 1;
        let (mut transaction, mut entries) = (wal.begin(sequence)?, Vec::new());
        for _ in 0..decisions.below(5) {
            let change = if decisions.one_in(4) { Change::Delete } else { Change::Put };
            let key = vec![decisions.byte(); 1 + decisions.size() % 8192];
            let row = if change == Change::Put {
                vec![decisions.byte(); decisions.size() % 65_537]
            } else {
                vec![]
            };
            let table = u32::from(decisions.short());
            transaction.put(&Entry { sequence, table: TableId(table), change, key: &key, row: &row })?;
            entries.push((sequence, table, change, key, row));
            sequence += u64::from(decisions.byte());
        }
        if decisions.one_in(6) {
            continue; // given up
        }
        transaction.commit()?;
        written.push(entries);
        if decisions.one_in(2) {
            wal.sync()?;
        }
    }
    wal.close()?;
    Ok(written)
}

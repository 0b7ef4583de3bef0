//! Segment files with damage, and pieces of arbitrary bytes.
//!
//! It checks
//!
//! - **pieces**: whatever bytes a piece has, reading it ends in an error or in values, never in a panic;
//! - **files**: a segment with flipped, moved or missing bytes is an error, or reads as if it were whole;
//! - **memory**: neither takes more than a small budget.
//!
//! # Panics
//! When one of these does not hold.

use crate::Decisions;
use cofferdam_arena::Budget;
use cofferdam_store::Error;
use cofferdam_store::segment::any;
use cofferdam_vfs::File;
use std::io;
use std::sync::{Arc, Mutex};

/// What reading a small segment may take.
const LIMIT_BYTES: u64 = 4 << 20;
const ROWS_MAX: usize = 400;

/// A file in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl File for Memory {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().expect("no thread panics with a file");
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.0.lock().expect("no thread panics with a file");
        let end = offset as usize + from.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(from);
        Ok(from.len())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("no thread panics with a file").len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.0.lock().expect("no thread panics with a file").resize(bytes as usize, 0);
        Ok(())
    }
}

/// Checks pieces and a file that `data` chooses.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    match decisions.byte() % 4 {
        0 => any::look_at(data.get(1..).unwrap_or(&[])),
        1 => check_piece(&mut decisions),
        _ => check_file(&mut decisions),
    }
}

/// A piece that begins like one.
fn check_piece(decisions: &mut Decisions<'_>) {
    let mut piece = Vec::new();
    let ranges = 1 + decisions.below(4);
    let keys = decisions.below(30);
    if decisions.one_in(2) {
        piece.extend_from_slice(&[b'G', 1, ranges as u8, 0]);
        piece.resize(40 + ranges * 28 + 2 + keys, 0);
        piece[24] = 1;
        piece[28] = keys as u8;
    } else {
        piece.extend_from_slice(&[b'I', 1, ranges as u8, 0, keys as u8]);
        piece.resize(8 + ranges * 24 + keys, 0);
    }
    while !decisions.is_done() {
        let at = usize::from(decisions.short()) % piece.len();
        piece[at] = decisions.byte();
    }
    any::look_at(&piece);
}

fn check_file(decisions: &mut Decisions<'_>) {
    let budget = Budget::root("fuzz", LIMIT_BYTES).expect("a small limit");
    let store = budget.child("store", LIMIT_BYTES).expect("room for a node");
    let memory = Memory::default();
    let rows = 1 + usize::from(decisions.short()) % ROWS_MAX;
    let seed = u64::from(decisions.byte());
    let footer = any::write(Box::new(memory.clone()), rows, seed, &store).expect("a segment is written");
    let whole = any::read(Box::new(memory.clone()), footer, &store).expect("a whole segment is read");
    {
        let mut bytes = memory.0.lock().expect("no thread panics with a file");
        for _ in 0..1 + decisions.below(3) {
            let len = bytes.len();
            let at = (usize::from(decisions.short()) << 3 | decisions.below(8)) % len;
            match decisions.byte() % 4 {
                0 => bytes[at] ^= 1 << decisions.below(8),
                1 => bytes[at] = decisions.byte(),
                2 => bytes.truncate(at.max(1)),
                _ => {
                    let from = (usize::from(decisions.short()) << 3) % len;
                    let count = decisions.size().min(len - at.max(from));
                    bytes.copy_within(from..from + count, at);
                }
            }
        }
    }
    match any::read(Box::new(memory), footer, &store) {
        Ok(read) => assert_eq!(read, whole, "damage was read as data"),
        Err(Error::Corrupt(_) | Error::Unsupported(_)) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!(store.used(), 0, "memory is left behind");
}

//! Logs on simulated disks: what was written is read, what was torn is cut, what was damaged is told.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::vec::Vec;

use cofferdam_arena::Budget;
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::{OpenMode, Vfs};
use proptest::prelude::*;

use super::frame::{FRAME_HEADER_BYTES, Part, TRAILER_BYTES};
use super::header::Format;
use super::reader::LogReader;
use super::records::Records;
use super::writer::BUFFER_BYTES_MIN;
use super::*;
use crate::directory::{Access, Directory};
use crate::error::{Corruption, Error};
use crate::files::{FileId, FileKind};

const FORMAT: Format =
    Format { kind: FileKind::Wal, magic: *b"cofdtest", version: 1, reader_features: 0, writer_features: 0 };
const DATABASE: u64 = 0xdb;
const ID: FileId = FileId::new(FileKind::Wal, 7);
const PATH: &str = "/db/wal-000007";

/// A machine with an open directory.
struct Machine {
    disk: SimDisk,
    directory: Directory,
    budget: Budget,
}

fn open(disk: SimDisk) -> Machine {
    let budget = Budget::unlimited("log").unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let (directory, _) = Directory::open(&vfs, Path::new("db"), Access::Create, &budget).unwrap();
    Machine { disk, directory, budget }
}

type Found = Vec<(u64, Vec<u8>)>;

impl Machine {
    fn create(&self, buffer_bytes: usize) -> LogWriter {
        let (number, database, salt) = (ID.number, DATABASE, self.disk.random_u64());
        let header = Header { number, database, salt, previous: 0, previous_bytes: 0, writer_features: 0 };
        LogWriter::create(&self.directory, &FORMAT, header, 0, buffer_bytes, &self.budget).unwrap()
    }

    /// Both passes: the summary, and the complete records with their sequences.
    fn read_with(&self, buffer_bytes: usize, durable: u64) -> Result<Option<(Summary, Found)>, Error> {
        let file = self.directory.open_file(ID, OpenMode::Read, &self.budget)?;
        let mut buffer = vec![0; buffer_bytes];
        let Some(reader) = LogReader::open(&file, &FORMAT, DATABASE, &mut buffer)? else { return Ok(None) };
        let summary = Records::summarize(reader, durable)?;
        let reader = LogReader::open(&file, &FORMAT, DATABASE, &mut buffer)?.unwrap();
        let mut records = Records::complete(reader, &summary);
        let mut found = Found::new();
        while let Some(piece) = records.next()? {
            if piece.is_first {
                found.push((piece.sequence, Vec::new()));
            }
            let (sequence, bytes) = found.last_mut().unwrap();
            assert_eq!(*sequence, piece.sequence);
            bytes.extend_from_slice(records.items(&piece));
            if let Some(trailer) = piece.trailer {
                assert_eq!(trailer.items_count, bytes.len() as u64);
            }
        }
        Ok(Some((summary, found)))
    }

    fn read(&self) -> Result<(Summary, Found), Error> {
        Ok(self.read_with(FRAME_BYTES_MAX, 0)?.expect("a log"))
    }

    fn corruption(&self) -> Corruption {
        match self.read() {
            Err(Error::Corrupt(corruption)) => corruption,
            outcome => panic!("no damage: {outcome:?}"),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.disk.image()[PATH].clone()
    }

    /// Puts other bytes in the place of the log's.
    fn set_bytes(&self, bytes: &[u8]) {
        let file = self.directory.open_file(ID, OpenMode::Write, &self.budget).unwrap();
        file.set_bytes(bytes.len() as u64).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
}

fn append(log: &mut LogWriter, sequence: u64, bytes: &[u8]) -> Result<(), Error> {
    log.begin(3, sequence)?;
    log.put(bytes)?;
    log.end(bytes.len() as u64, sequence)
}

fn pattern(sequence: u64, count: usize) -> Vec<u8> {
    (0..count as u64)
        .map(|index| (index.wrapping_mul(31) ^ sequence.wrapping_mul(97) ^ index >> 8) as u8)
        .collect()
}

#[test]
fn records_of_every_length_come_back() {
    let lengths =
        [0, 1, 7, 8, 9, 100, 8 << 10, (16 << 10) - 40, (16 << 10) - 39, 16 << 10, 70_000, 300_000, 3];
    for buffer_bytes in [0, 10_000, 64 << 10, 1 << 20] {
        let machine = open(SimDisk::new(1));
        let mut log = machine.create(buffer_bytes);
        let mut expected = Found::new();
        for (index, length) in lengths.into_iter().enumerate() {
            let sequence = 10 * index as u64 + 1;
            expected.push((sequence, pattern(sequence, length)));
            append(&mut log, sequence, &expected[index].1).unwrap();
        }
        log.write().unwrap();
        for reader_bytes in [FRAME_BYTES_MAX, FRAME_BYTES_MAX + 8, 100_000] {
            let (summary, found) = machine.read_with(reader_bytes, 0).unwrap().unwrap();
            assert!(found == expected, "buffers of {buffer_bytes} and {reader_bytes}");
            let ends = (summary.end, summary.records_end, summary.file_bytes);
            assert_eq!(ends, (log.bytes(), log.bytes(), log.bytes()));
            assert_eq!((summary.records_count, summary.last_sequence), (13, 121));
            // Nothing was synced, and no frame says otherwise.
            assert_eq!((summary.durable, summary.has_aborted), (HEADER_BYTES, false));
        }
    }
}

#[test]
fn what_is_kept_together_is_not_divided() {
    let machine = open(SimDisk::new(2));
    let mut log = machine.create(0);
    log.begin(1, 1).unwrap();
    let longest = log.together_bytes_max();
    assert_eq!(longest, BUFFER_BYTES_MIN - FRAME_HEADER_BYTES);
    for length in [5000, 5000, longest, 1, longest] {
        log.keep_together(length).unwrap();
        log.put(&pattern(9, length)).unwrap();
    }
    log.end(10_001 + 2 * longest as u64, 1).unwrap();
    log.write().unwrap();
    let file = machine.directory.open_file(ID, OpenMode::Read, &machine.budget).unwrap();
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    let mut reader = LogReader::open(&file, &FORMAT, DATABASE, &mut buffer).unwrap().unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        frames.push((frame.header.part, frame.header.payload_bytes));
    }
    let middle = Part::Middle;
    let frames_expected = [
        (Part::First, 5000),
        (middle, 5000),
        (middle, longest),
        (middle, 1),
        (middle, longest),
        (Part::Last, TRAILER_BYTES),
    ];
    assert_eq!(frames, frames_expected);
}

/// Aim: a record that is given up leaves nothing. Method: at every length, with some of it in the file or none.
#[test]
fn aborted_records_do_not_count() {
    for length in [0, 100, 9000, 40_000] {
        let machine = open(SimDisk::new(3));
        let mut log = machine.create(0);
        append(&mut log, 1, b"one").unwrap();
        log.begin(3, 2).unwrap();
        log.put(&pattern(2, length)).unwrap();
        log.abort();
        append(&mut log, 2, &pattern(3, 20_000)).unwrap();
        log.begin(3, 5).unwrap();
        log.put(&pattern(5, length)).unwrap();
        log.abort();
        log.sync().unwrap();
        log.mark().unwrap();
        let (summary, found) = machine.read().unwrap();
        assert_eq!(found, [(1, b"one".to_vec()), (2, pattern(3, 20_000))], "{length}");
        assert_eq!(summary.has_aborted, length > 8192);
        assert_eq!(summary.file_bytes, summary.end);
        let log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
        assert_eq!((log.last_sequence(), log.bytes()), (2, summary.end));
    }
}

/// Three synced groups and a mark: all records are witnessed.
fn witnessed_log(machine: &Machine) -> Found {
    let mut log = machine.create(0);
    let expected: Found =
        [(1, 30), (2, 0), (4, 9000), (9, 100)].map(|(s, length)| (s, pattern(s, length))).into();
    for (sequence, bytes) in &expected {
        append(&mut log, *sequence, bytes).unwrap();
        if *sequence != 2 {
            log.sync().unwrap();
        }
    }
    log.mark().unwrap();
    assert_eq!(log.counters().syncs_count, 4, "three, and that of the header");
    expected
}

/// Aim: damage is told wherever it is, and where. Method: turn one bit of every byte.
#[test]
fn no_flipped_bit_goes_unnoticed_in_what_is_durable() {
    let machine = open(SimDisk::new(4));
    let expected = witnessed_log(&machine);
    let (summary, found) = machine.read().unwrap();
    assert!(found == expected && summary.durable == summary.records_end);
    let mut frames = BTreeSet::new();
    for offset in 0..summary.file_bytes {
        // The inside of a long payload is all alike.
        if (300..8200).contains(&offset) && offset % 97 != 0 {
            continue;
        }
        let mask = 1 << (offset % 8);
        machine.disk.flip(PATH, offset, mask).unwrap();
        if offset < summary.records_end {
            match machine.read() {
                Err(Error::Corrupt(corruption)) => {
                    assert!(corruption.file == ID && corruption.offset <= offset, "{offset}: {corruption:?}");
                    frames.insert(corruption.offset);
                }
                // A version that is not known.
                Err(Error::Unsupported(_)) => panic!("byte {offset}: the checksum is right"),
                outcome => panic!("byte {offset}: {outcome:?}"),
            }
        } else {
            // The mark itself: without it nothing says that the last group was durable.
            let (summary, found) = machine.read().unwrap();
            assert!(found == expected && summary.end == summary.records_end, "{offset}");
        }
        machine.disk.flip(PATH, offset, mask).unwrap();
    }
    // The header, and the frames: 1, 2, the first and second of 4, 9.
    assert_eq!(frames.len(), 1 + 5, "{frames:?}");
}

#[test]
fn a_log_that_was_cut_where_it_was_durable_is_damaged_if_somebody_knows() {
    let machine = open(SimDisk::new(5));
    witnessed_log(&machine);
    let bytes = machine.bytes();
    let (summary, _) = machine.read().unwrap();
    for len in (HEADER_BYTES + 1..summary.records_end).step_by(7) {
        machine.set_bytes(&bytes[..len as usize]);
        let cut = machine.read().unwrap().0;
        assert!(cut.end <= len && cut.records_count < 4, "{len}: {cut:?}");
        match machine.read_with(FRAME_BYTES_MAX, summary.records_end) {
            Err(Error::Corrupt(corruption)) => assert!((cut.end..=len).contains(&corruption.offset), "{len}"),
            outcome => panic!("{len}: {outcome:?}"),
        }
    }
    // A header alone, or a part of it, was never made durable (L1).
    for len in 0..HEADER_BYTES {
        machine.set_bytes(&bytes[..len as usize]);
        assert!(machine.read_with(FRAME_BYTES_MAX, 0).unwrap().is_none());
        machine.set_bytes(&vec![0; len as usize]);
        assert!(machine.read_with(FRAME_BYTES_MAX, 0).unwrap().is_none());
    }
    // Longer than that, there was one.
    machine.set_bytes(&[0; HEADER_BYTES as usize + 1]);
    assert_eq!(machine.corruption().offset, 0);
}

/// Aim: whatever stands behind the last synced byte is no damage, and is never taken for a record. Method: foreign
/// and stale bytes of many kinds.
#[test]
fn a_tail_of_anything_is_torn() {
    let machine = open(SimDisk::new(6));
    let mut log = machine.create(0);
    append(&mut log, 1, &pattern(1, 500)).unwrap();
    log.sync().unwrap();
    let durable = machine.bytes();
    append(&mut log, 2, &pattern(2, 700)).unwrap();
    append(&mut log, 3, &pattern(3, 10)).unwrap();
    log.write().unwrap();
    let whole = machine.bytes();
    let (second, third) = {
        let third = whole.len() - (FRAME_HEADER_BYTES + 10 + TRAILER_BYTES).next_multiple_of(8);
        (&whole[durable.len()..third], &whole[third..])
    };
    // The same log on a machine with other random numbers, where more was durable.
    let other = open(SimDisk::new(66));
    witnessed_log(&other);
    let foreign = other.bytes();
    let garbage: Vec<u8> = pattern(7, 3000);
    let tails: Vec<(&str, Vec<u8>)> = vec![
        ("zeros", vec![0; 5000]),
        ("garbage", garbage.clone()),
        ("another log", foreign.clone()),
        ("frames of another log", foreign[HEADER_BYTES as usize..].to_vec()),
        ("this log once more", whole.clone()),
        ("an old frame in a new place", durable[HEADER_BYTES as usize..].to_vec()),
        ("a frame that was never reached", third.to_vec()),
        ("a hole before a good frame", [&vec![0; second.len()][..], third].concat()),
        ("a torn frame before a good one", [&second[..300], &garbage[..second.len() - 300], third].concat()),
        ("half a header", second[..11].to_vec()),
        ("a header alone", second[..FRAME_HEADER_BYTES].to_vec()),
        ("all but a byte", second[..second.len() - 1].to_vec()),
    ];
    for (what, tail) in tails {
        for shift in [0, 1, 8] {
            machine.set_bytes(&[&durable[..], &vec![0; shift], &tail].concat());
            let (summary, found) = machine.read().unwrap_or_else(|error| panic!("{what} + {shift}: {error}"));
            assert_eq!((summary.end, found.len()), (durable.len() as u64, 1), "{what} + {shift}");
        }
    }
    // What is whole counts.
    machine.set_bytes(&whole);
    assert_eq!(machine.read().unwrap().1.len(), 3);
    machine.set_bytes(&whole[..durable.len() + second.len() + 1]);
    assert_eq!(machine.read().unwrap().1.len(), 2);
}

/// Aim: bytes of a user that are a log of their own are bytes. Method: a log with its own image as a record, torn there.
#[test]
fn a_log_within_a_record_is_no_witness() {
    let machine = open(SimDisk::new(7));
    witnessed_log(&machine);
    let image = machine.bytes();
    let (summary, _) = machine.read().unwrap();
    let mut log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
    let start = log.bytes() as usize;
    append(&mut log, 100, &image).unwrap();
    log.write().unwrap();
    let mut bytes = machine.bytes();
    bytes[start + FRAME_HEADER_BYTES + 3] ^= 1;
    machine.set_bytes(&bytes);
    let (torn, found) = machine.read().unwrap();
    assert_eq!((torn.end, found.len()), (start as u64, 4));
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused() {
    let machine = open(SimDisk::new(8));
    drop(machine.create(0));
    let bytes = machine.bytes();
    let header =
        Header::decode(bytes[..HEADER_BYTES as usize].try_into().unwrap(), ID, &FORMAT).unwrap().unwrap();
    let try_header = |header: Header, format: &Format| {
        machine.set_bytes(&header.encode(format));
        machine.read().map(|(summary, _)| summary)
    };
    let summary = try_header(header, &FORMAT).unwrap();
    assert_eq!(summary.header, header);
    let newer = Format { version: 2, ..FORMAT };
    assert!(matches!(try_header(header, &newer), Err(Error::Unsupported(what)) if what.found == 2));
    let featured = Format { reader_features: 4, ..FORMAT };
    assert!(matches!(try_header(header, &featured), Err(Error::Unsupported(what)) if what.found == 4));
    for (wrong, place) in [(Header { number: 8, ..header }, 32), (Header { database: 1, ..header }, 48)] {
        let mut bytes = wrong.encode(&FORMAT).to_vec();
        bytes.push(0);
        machine.set_bytes(&bytes);
        assert_eq!(machine.corruption().offset, place);
        // Without anything behind it, it was never made durable.
        bytes.pop();
        machine.set_bytes(&bytes);
        assert!(machine.read_with(FRAME_BYTES_MAX, 0).unwrap().is_none());
    }
    // A feature that only writers must know.
    let summary = try_header(Header { writer_features: 2, ..header }, &FORMAT).unwrap();
    let resumed = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget);
    assert!(matches!(resumed, Err(Error::Unsupported(what)) if what.found == 2 && what.file == ID));
}

#[test]
fn a_sequence_that_does_not_go_up_is_told() {
    let machine = open(SimDisk::new(9));
    let mut log = machine.create(0);
    append(&mut log, 5, b"five").unwrap();
    log.write().unwrap();
    let (summary, _) = machine.read().unwrap();
    let behind = Summary { last_sequence: 0, ..summary };
    let mut log = LogWriter::resume(&machine.directory, &FORMAT, &behind, 0, &machine.budget).unwrap();
    append(&mut log, 5, b"again").unwrap();
    log.sync().unwrap();
    assert_eq!(machine.corruption().offset, log.bytes() - 24 - 24);
}

#[test]
fn marks_are_written_where_they_say_something() {
    let machine = open(SimDisk::new(10));
    let mut log = machine.create(0);
    log.mark().unwrap();
    assert_eq!(log.bytes(), HEADER_BYTES);
    append(&mut log, 1, b"one").unwrap();
    log.sync().unwrap();
    let durable = log.bytes();
    log.mark().unwrap();
    log.mark().unwrap();
    assert_eq!(log.bytes(), durable + FRAME_HEADER_BYTES as u64);
    // Nothing is left to do.
    let before = log.counters();
    log.sync().unwrap();
    assert_eq!(log.counters(), before);
    // A log that was closed well is opened without a write.
    let (summary, _) = machine.read().unwrap();
    let mutations = machine.disk.counts().mutations;
    let log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
    assert_eq!(machine.disk.counts().mutations, mutations);
    assert_eq!((log.bytes(), log.durable_bytes()), (durable + 24, durable));
    let end = log.close().unwrap();
    assert_eq!((end.number, end.bytes, end.last_sequence), (7, durable, 1));
}

/// Aim: a writer knows as much to be durable as the log says. Method: open a log again whose last record was given up.
#[test]
fn what_a_log_says_to_be_durable_is_not_forgotten() {
    let machine = open(SimDisk::new(15));
    let mut log = machine.create(0);
    append(&mut log, 1, b"one").unwrap();
    log.begin(3, 2).unwrap();
    log.put(&pattern(2, 15_000)).unwrap();
    log.abort();
    log.write().unwrap();
    for _ in 0..3 {
        let (summary, _) = machine.read().unwrap();
        log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
        let (summary, _) = machine.read().unwrap();
        assert_eq!(log.durable_bytes(), summary.durable);
    }
}

#[test]
fn syncs_may_run_while_records_are_appended() {
    let machine = open(SimDisk::new(11));
    let mut log = machine.create(0);
    append(&mut log, 1, b"one").unwrap();
    let pending = log.begin_sync().unwrap().unwrap();
    append(&mut log, 2, b"two").unwrap();
    log.write().unwrap();
    let outcome = pending.run();
    let first = log.durable_bytes();
    log.end_sync(&pending, outcome).unwrap();
    assert!(first < log.durable_bytes() && log.durable_bytes() < log.bytes());
    let pending = log.begin_sync().unwrap().unwrap();
    let outcome = pending.run();
    log.end_sync(&pending, outcome).unwrap();
    assert_eq!(log.durable_bytes(), log.bytes());
    assert!(log.begin_sync().unwrap().is_none());
    // A sync whose failure comes late poisons all the same.
    append(&mut log, 3, b"three").unwrap();
    let pending = log.begin_sync().unwrap().unwrap();
    let problem = Error::Io(crate::error::IoProblem {
        operation: "sync",
        file: Some(ID),
        kind: std::io::ErrorKind::Other,
        code: Some(5),
    });
    assert!(matches!(log.end_sync(&pending, Err(problem)), Err(Error::Io(_))));
    assert!(matches!(log.begin(1, 4), Err(Error::Poisoned)));
    assert!(matches!(log.write(), Err(Error::Poisoned)));
    assert!(matches!(log.sync(), Err(Error::Poisoned)));
    assert!(matches!(log.mark(), Err(Error::Poisoned)));
    assert!(matches!(log.close(), Err(Error::Poisoned)));
}

/// Aim: syncs of small records leave the file as long as it is; large records are not written twice; zeros promise nothing.
/// Method: lengths of the file, and the log read, written on and read again after each kind of sync.
#[test]
fn zeros_are_kept_ahead_of_small_syncs() {
    let machine = open(SimDisk::new(14));
    let mut log = machine.create(0);
    let mut lengths = BTreeSet::new();
    for sequence in 1..=400 {
        append(&mut log, sequence, &pattern(sequence, 200)).unwrap();
        log.sync().unwrap();
        if sequence > 4 {
            assert!(machine.bytes().len() as u64 > log.bytes());
            lengths.insert(machine.bytes().len());
        }
    }
    assert!((2..4).contains(&lengths.len()), "{lengths:?}");
    let zeros = machine.bytes().len() as u64 - log.bytes();
    append(&mut log, 401, &pattern(401, 300_000)).unwrap();
    log.sync().unwrap();
    assert_eq!(machine.bytes().len() as u64, log.bytes(), "{zeros} zeros were used up");
    let (summary, found) = machine.read().unwrap();
    assert_eq!((found.len(), summary.file_bytes), (401, summary.end));
    for sequence in 402..410 {
        append(&mut log, sequence, b"small").unwrap();
        log.sync().unwrap();
    }
    let written = log.counters().written_bytes;
    assert!(written < log.bytes() + 4 * (64 << 10), "{written} bytes for {}", log.bytes());
    let (summary, found) = machine.read().unwrap();
    assert!(summary.end == log.bytes() && summary.file_bytes > summary.end && found.len() == 409);
    let mut log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
    append(&mut log, 410, b"more").unwrap();
    log.close().unwrap();
    assert_eq!(machine.read().unwrap().1.len(), 410);
    // A bit that turns in the zeros is as good as none; one before them is damage.
    let mut log =
        LogWriter::resume(&machine.directory, &FORMAT, &machine.read().unwrap().0, 0, &machine.budget)
            .unwrap();
    for sequence in 411..417 {
        append(&mut log, sequence, b"small").unwrap();
        log.sync().unwrap();
    }
    machine.disk.flip(PATH, log.bytes() + 100, 1).unwrap();
    assert_eq!(machine.read().unwrap().1.len(), 416);
    machine.disk.flip(PATH, log.bytes() - 100, 1).unwrap();
    machine.corruption();
}

/// Aim: where there is room for records only, they are written. Method: a full disk.
#[test]
fn zeros_are_given_up_for_want_of_room() {
    let machine = open(SimDisk::new(15));
    let mut log = machine.create(0);
    for sequence in 1..=3 {
        append(&mut log, sequence, b"small").unwrap();
        log.sync().unwrap();
    }
    machine.disk.set_capacity(Some(machine.disk.used_bytes() + (8 << 10)));
    for sequence in 4..=40 {
        append(&mut log, sequence, &pattern(sequence, 100)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(machine.read().unwrap().1.len(), 40);
}

#[test]
fn the_buffer_is_taken_late_and_given_back() {
    let machine = open(SimDisk::new(12));
    let before = machine.budget.used();
    let mut log = machine.create(50_000);
    assert_eq!(machine.budget.used(), before + 1024, "the handle of the file");
    append(&mut log, 1, b"one").unwrap();
    let with_buffer = machine.budget.used();
    assert_eq!(with_buffer, before + 1024 + 50_000u64.next_multiple_of(1024));
    log.release_buffer();
    assert_eq!(machine.budget.used(), with_buffer, "it holds a record");
    log.write().unwrap();
    log.release_buffer();
    assert_eq!(machine.budget.used(), before + 1024);
    append(&mut log, 2, b"two").unwrap();
    drop(log);
    assert_eq!(machine.budget.used(), before);
}

/// What the model knows of a log.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Abort(usize),
    Sync,
    Mark,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = prop_oneof![4 => 0..200usize, 2 => 7000..9000usize, 1 => 15_000..50_000usize];
    let step = prop_oneof![
        6 => length.clone().prop_map(Step::Append),
        1 => length.prop_map(Step::Abort),
        3 => Just(Step::Sync),
        1 => Just(Step::Mark),
        1 => Just(Step::Resume),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Aim: after a loss of power each synced record is there, and of the others a first part; a bit that turns in what
    /// a later frame calls durable is told; nothing is half there. Method: random steps, a random crash, a random bit.
    #[test]
    fn what_was_synced_survives(steps in steps(), seed: u64, flip: prop::sample::Index, bit in 0..8u32) {
        let machine = open(SimDisk::new(seed));
        let mut log = machine.create(0);
        let (mut records, mut synced_count, mut durable) = (Found::new(), 0, HEADER_BYTES);
        for step in &steps {
            let sequence = log.last_sequence() + 1;
            match step {
                Step::Append(length) => {
                    append(&mut log, sequence, &pattern(sequence, *length)).unwrap();
                    records.push((sequence, pattern(sequence, *length)));
                }
                Step::Abort(length) => {
                    log.begin(3, sequence).unwrap();
                    log.put(&pattern(0, *length)).unwrap();
                    log.abort();
                }
                Step::Sync => {
                    log.sync().unwrap();
                    (synced_count, durable) = (records.len(), log.durable_bytes());
                }
                Step::Mark => log.mark().unwrap(),
                Step::Resume => {
                    log.write().unwrap();
                    let (summary, found) = machine.read().unwrap();
                    prop_assert!(found == records);
                    log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
                    (synced_count, durable) = (records.len(), log.durable_bytes());
                }
            }
        }
        drop(log);
        drop(machine.directory);
        let disk = machine.disk;
        disk.crash(seed ^ 1);
        let machine = open(disk);
        let (summary, found) = machine.read().unwrap();
        prop_assert!(found.len() >= synced_count, "{} of {synced_count}", found.len());
        prop_assert!(found[..] == records[..found.len()]);
        prop_assert!(summary.durable <= durable);
        if summary.durable > HEADER_BYTES {
            let offset = HEADER_BYTES + flip.index((summary.durable - HEADER_BYTES) as usize) as u64;
            machine.disk.flip(PATH, offset, 1 << bit).unwrap();
            prop_assert!(machine.corruption().offset <= offset);
            machine.disk.flip(PATH, offset, 1 << bit).unwrap();
        }
        // And it goes on.
        let mut log = LogWriter::resume(&machine.directory, &FORMAT, &summary, 0, &machine.budget).unwrap();
        let sequence = log.last_sequence() + 1;
        append(&mut log, sequence, b"more").unwrap();
        log.close().unwrap();
        let (again, mut more) = machine.read().unwrap();
        prop_assert_eq!(more.pop(), Some((sequence, b"more".to_vec())));
        prop_assert!(more == found && again.is_witnessed());
    }

    /// Aim: no bytes make a reader panic or take memory. Method: random damage of many bytes to a good log.
    #[test]
    fn any_bytes_are_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let machine = open(SimDisk::new(13));
        let expected = witnessed_log(&machine);
        let mut bytes = machine.bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        machine.set_bytes(&bytes);
        if let Ok(Some((_, found))) = machine.read_with(FRAME_BYTES_MAX, 0) {
            prop_assert!(found[..] == expected[..found.len()]);
        }
    }
}

/// Aim: the search for a witness costs one pass. Method: count the bytes read behind a torn frame in a long file.
#[test]
fn the_search_for_a_witness_reads_the_rest_once() {
    let machine = open(SimDisk::new(14));
    let mut log = machine.create(0);
    for sequence in 1..200 {
        append(&mut log, sequence, &pattern(sequence, 4000)).unwrap();
    }
    log.write().unwrap();
    machine.disk.flip(PATH, HEADER_BYTES, 1).unwrap();
    let reads = machine.disk.counts().operations;
    let (summary, found) = machine.read().unwrap();
    assert_eq!((summary.end, found.len()), (HEADER_BYTES, 0));
    let file_bytes = summary.file_bytes as usize;
    let reads = machine.disk.counts().operations - reads;
    assert!((reads as usize) < 2 * file_bytes / FRAME_BYTES_MAX + 20, "{reads} for {file_bytes} bytes");
}

//! The rows of a partition: appended in order, read by number, in memory as far as that goes.
//!
//! ```text
//!  row     0 ………………………… file_rows ………………………… rows_count
//!          │ file                │ pages               │
//!          └ some are noted with the places of their blocks
//! ```
//!
//! When they are more than a part of the room that there was, or a charge is refused, all rows in memory are written behind those in
//! the file. Rows in the file are read by a few readers, each of
//! which goes forward from row to row: whoever asks for ascending numbers reads the file once. Others are found from the
//! greatest noted row before them; so many rows are noted that the list has a fixed size, whatever the file's.
//!
//! Rows that nobody asks for any more are forgotten from the beginning on.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc, Growing, InlineText};

use crate::spill::{
    BlockPlace, IoSlot, IsCancelled, RowPages, RowRef, SpillCounts, SpillFailure, SpillFile, SpillIo,
    SpillOwner, SpillReader, SpillSpace, SpillWriter, block_bytes, room_bytes,
};

/// Rows that are noted at most.
const NOTES_MAX: usize = 256;
/// What rows in memory may be of the room that there was: a part of so many, and once there is a file.
const SHARE: u64 = 4;
const SHARE_SPILLED: u64 = 8;
/// Rows are noted after so many bytes at first.
const NOTE_BYTES_MIN: u64 = 256 << 10;
/// A reader goes so many rows forward before a noted row is looked for.
const SKIP_ROWS: u64 = 64;

/// The rows of a partition.
#[derive(Debug)]
pub(super) struct RowLog {
    budget: Budget,
    /// What was left for it at the beginning, which sizes follow.
    room_bytes: u64,
    pages: RowPages,
    /// The places of rows in memory, from `file_rows` or `forgotten` on, whichever is more.
    places: Growing<u64>,
    /// How many of `places` belong to rows that are forgotten.
    stale_places: usize,
    /// Pages before this one were given back.
    released_pages: usize,
    /// Rows before this one are not asked for.
    forgotten: u64,
    /// Rows before this one are in the file, if they are not forgotten.
    file_rows: u64,
    rows_count: u64,
    spilling: Spilling,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a log has one of them, in place")]
enum Spilling {
    Impossible,
    /// The reserve is taken when so many bytes are held.
    Possible {
        space: SpillSpace,
        name: InlineText<32>,
        readers_max: usize,
        at_bytes: u64,
    },
    Ready(Disk),
}

/// What a file is written and read with.
#[derive(Debug)]
struct Disk {
    io: SpillIo,
    slots: Vec<IoSlot, BudgetAlloc>,
    file: Option<SpillFile>,
    readers: Vec<Reader, BudgetAlloc>,
    /// Rows and the blocks that they begin.
    notes: Vec<(u64, BlockPlace), BudgetAlloc>,
    /// After so many bytes a row is noted.
    note_bytes: u64,
    unnoted_bytes: u64,
    clock: u64,
}

/// A reader, and where it is.
#[derive(Debug)]
struct Reader {
    reader: SpillReader,
    /// The row that it stands at; `None` before the first.
    row: Option<u64>,
    /// The row that comes next.
    next: u64,
    used_at: u64,
}

/// What a log with so many readers takes for its file under a limit.
pub(super) fn reserve_bytes(limit_bytes: u64, readers: usize) -> u64 {
    let block = block_bytes(limit_bytes);
    let list = NOTES_MAX * size_of::<(u64, BlockPlace)>();
    (readers as u64 + 1) * IoSlot::charged_bytes(block) + SpillIo::charged_bytes(block) + list as u64
}

impl Disk {
    fn new(
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
        block: usize,
        readers: usize,
    ) -> Result<Disk, AllocError> {
        let owner = SpillOwner::new(space, name, budget, 1)?;
        let io = SpillIo::new(&owner, budget, block)?;
        let pieces = BudgetAlloc::new(budget);
        let mut disk = Disk {
            io,
            slots: Vec::new_in(pieces.clone()),
            file: None,
            readers: Vec::new_in(pieces.clone()),
            notes: Vec::new_in(pieces),
            note_bytes: NOTE_BYTES_MIN,
            unnoted_bytes: 0,
            clock: 0,
        };
        disk.slots.try_reserve_exact(readers + 1).map_err(|_| AllocError)?;
        disk.readers.try_reserve_exact(readers).map_err(|_| AllocError)?;
        disk.notes.try_reserve_exact(NOTES_MAX).map_err(|_| AllocError)?;
        for _ in 0..=readers {
            disk.slots.push(IoSlot::new(budget, block)?);
        }
        Ok(disk)
    }

    /// Writes rows behind those that are there; the first has the number `row`.
    fn append<'r>(
        &mut self,
        mut row: u64,
        rows: impl Iterator<Item = (u64, &'r [u8])>,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        if self.slots.is_empty() {
            // All are with readers: the one that was used least gives its own.
            self.give_up_reader();
        }
        let slot = self.slots.pop().expect("there are more slots than readers in use");
        let mut writer = match self.file.take() {
            Some(file) => file.append(slot, &self.io)?,
            None => SpillWriter::create(slot, &self.io)?,
        };
        for (tag, bytes) in rows {
            if self.unnoted_bytes >= self.note_bytes || self.notes.is_empty() {
                writer.flush(&mut self.io, is_cancelled)?;
                if self.notes.len() == NOTES_MAX {
                    let mut is_kept = false;
                    self.notes.retain(|_| {
                        is_kept = !is_kept;
                        is_kept
                    });
                    self.note_bytes *= 2;
                }
                let place = writer.next_block().expect("the block before was ended");
                self.notes.push((row, place));
                self.unnoted_bytes = 0;
            }
            writer.push(tag, &[bytes], &mut self.io, is_cancelled)?;
            self.unnoted_bytes += bytes.len() as u64;
            row += 1;
        }
        let (file, slot) = writer.finish(&mut self.io, is_cancelled)?;
        self.slots.push(slot);
        // Without room for a longer row a reader ends, and another one begins when it is needed.
        for at in (0..self.readers.len()).rev() {
            if self.readers[at].reader.extend(&file, &self.io).is_err() {
                let reader = self.readers.swap_remove(at);
                self.slots.push(reader.reader.into_slot());
            }
        }
        self.file = Some(file);
        Ok(())
    }

    fn give_up_reader(&mut self) {
        let least = (0..self.readers.len()).min_by_key(|&at| self.readers[at].used_at);
        if let Some(at) = least {
            let reader = self.readers.swap_remove(at);
            self.slots.push(reader.reader.into_slot());
        }
    }

    /// A reader that stands at a row of the file.
    fn reader_at(
        &mut self,
        row: u64,
        budget: &Budget,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<usize, SpillFailure> {
        self.clock += 1;
        let near = |reader: &Reader| {
            reader.row == Some(row) || (reader.next..reader.next + SKIP_ROWS).contains(&row)
        };
        // The one that has the shortest way.
        let candidates = (0..self.readers.len()).filter(|&at| near(&self.readers[at]));
        let found = candidates.min_by_key(|&at| row - self.readers[at].row.unwrap_or(0).min(row));
        let at = match found {
            Some(at) => at,
            None => self.seek(row, budget)?,
        };
        let reader = &mut self.readers[at];
        reader.used_at = self.clock;
        while reader.row != Some(row) {
            if !reader.reader.advance(&mut self.io, is_cancelled)? {
                return Err(reader.reader.lacks_rows());
            }
            reader.row = Some(reader.next);
            reader.next += 1;
        }
        Ok(at)
    }

    /// A reader that will come to a row soon: a new one as long as there are slots, else the one that was used least.
    fn seek(&mut self, row: u64, budget: &Budget) -> Result<usize, SpillFailure> {
        let file = self.file.as_ref().expect("rows are asked for that are in it");
        // One slot is for the writer.
        if self.slots.len() > 1 {
            let long = file.long_row(budget, &self.io)?;
            let slot = self.slots.pop().expect("there are two");
            let reader = file.read_with(slot, long)?;
            self.readers.push(Reader { reader, row: None, next: 0, used_at: 0 });
        }
        let least = (0..self.readers.len()).min_by_key(|&at| self.readers[at].used_at);
        let at = least.expect("there is a slot for a reader at least");
        let noted = self.notes.partition_point(|(noted, _)| *noted <= row);
        let (first, place) = self.notes[noted - 1];
        let reader = &mut self.readers[at];
        reader.reader.seek(place);
        (reader.row, reader.next) = (None, first);
        Ok(at)
    }

    /// Removes the file.
    fn clear(&mut self) {
        while !self.readers.is_empty() {
            self.give_up_reader();
        }
        self.file = None;
        self.notes.clear();
        (self.note_bytes, self.unnoted_bytes) = (NOTE_BYTES_MIN, 0);
    }
}

impl RowLog {
    /// No rows. Rows in a file are read by so many readers at once, one at least. Without a `space` rows stay in memory; `name` is the
    /// operator's, for the list of files.
    pub(super) fn new(budget: &Budget, space: Option<&SpillSpace>, name: &str, readers: usize) -> RowLog {
        let limit_bytes = room_bytes(budget);
        let readers_max = readers.max(1);
        let spilling = match space.filter(|space| space.is_enabled()) {
            Some(space) => Spilling::Possible {
                space: space.clone(),
                name: InlineText::new(name),
                readers_max,
                at_bytes: reserve_bytes(limit_bytes, readers_max),
            },
            None => Spilling::Impossible,
        };
        RowLog {
            budget: budget.clone(),
            room_bytes: limit_bytes,
            pages: RowPages::new(budget, block_bytes(limit_bytes)),
            places: Growing::new(budget),
            stale_places: 0,
            released_pages: 0,
            forgotten: 0,
            file_rows: 0,
            rows_count: 0,
            spilling,
        }
    }

    /// How many rows the partition has so far, those that are forgotten among them.
    pub(super) fn rows_count(&self) -> u64 {
        self.rows_count
    }

    /// What its files have and had.
    pub(super) fn spilled(&self) -> SpillCounts {
        match &self.spilling {
            Spilling::Ready(disk) => disk.io.owner().counts(),
            _ => SpillCounts::default(),
        }
    }

    fn held_bytes(&self) -> u64 {
        self.pages.held_bytes() + self.places.charged_bytes() as u64
    }

    /// Appends a row.
    ///
    /// # Errors
    /// There is room neither in memory nor for a file; those of files.
    pub(super) fn push(
        &mut self,
        tag: u64,
        bytes: &[u8],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        while let Err(error) = self.keep(tag, bytes) {
            self.prepare();
            if !self.spill(is_cancelled)? {
                return Err(error.into());
            }
        }
        self.rows_count += 1;
        // Operators that take the results have use for memory too.
        if let Spilling::Ready(disk) = &self.spilling {
            let share = if disk.file.is_some() { SHARE_SPILLED } else { SHARE };
            if self.held_bytes() > self.room_bytes / share {
                self.spill(is_cancelled)?;
            }
        }
        if let Spilling::Possible { at_bytes, .. } = &self.spilling
            && self.held_bytes() >= *at_bytes
        {
            self.prepare();
        }
        Ok(())
    }

    fn keep(&mut self, tag: u64, bytes: &[u8]) -> Result<(), AllocError> {
        if self.stale_places > 1024 && self.stale_places > self.places.len() / 2 {
            let live = self.places.len() - self.stale_places;
            self.places.copy_within(self.stale_places.., 0);
            self.places.truncate(live);
            self.stale_places = 0;
        }
        self.places.reserve(1)?;
        let place = self.pages.push(tag, &[bytes])?;
        self.places.push(place.to_bits())
    }

    /// Takes what files need when more is held than that. Where it is refused, rows stay in memory as long as that suffices.
    fn prepare(&mut self) {
        let held = self.held_bytes();
        let Spilling::Possible { space, name, readers_max, at_bytes } = &mut self.spilling else { return };
        let block = block_bytes(self.room_bytes);
        let disk = Disk::new(space, name.as_str(), &self.budget, block, *readers_max)
            .or_else(|_| Disk::new(space, name.as_str(), &self.budget, block_bytes(0), 1));
        match disk {
            Ok(disk) => self.spilling = Spilling::Ready(disk),
            Err(_) => *at_bytes = held * 2,
        }
    }

    /// Writes all rows in memory to the file; false where there are none, or there can be no file.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn spill(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        let first = self.first_in_memory();
        let Spilling::Ready(disk) = &mut self.spilling else { return Ok(false) };
        if first == self.rows_count {
            return Ok(false);
        }
        if first > self.file_rows {
            // All rows of the file are forgotten.
            disk.clear();
        }
        let from = RowRef::from_bits(self.places[self.stale_places]);
        disk.append(first, self.pages.iter_from(from), is_cancelled)?;
        self.file_rows = self.rows_count;
        self.drop_memory();
        Ok(true)
    }

    /// The first row that is in memory, or would be.
    fn first_in_memory(&self) -> u64 {
        self.rows_count - (self.places.len() - self.stale_places) as u64
    }

    fn drop_memory(&mut self) {
        self.pages.release();
        self.places.release();
        (self.stale_places, self.released_pages) = (0, 0);
    }

    /// A row that is not forgotten: its tag and its bytes.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn get(
        &mut self,
        row: u64,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(u64, &[u8]), SpillFailure> {
        debug_assert!((self.forgotten..self.rows_count).contains(&row));
        let mut first = self.first_in_memory();
        let mut reader = None;
        if let Spilling::Ready(disk) = &mut self.spilling
            && row < first
        {
            reader = match disk.reader_at(row, &self.budget, is_cancelled) {
                Ok(reader) => Some(reader),
                // A long row: those in memory make room for it.
                Err(SpillFailure::OutOfMemory(error)) => {
                    if !self.spill(is_cancelled)? {
                        return Err(error.into());
                    }
                    first = self.first_in_memory();
                    None
                }
                Err(error) => return Err(error),
            };
        }
        match &mut self.spilling {
            Spilling::Ready(disk) if row < first => {
                let at = match reader {
                    Some(at) => at,
                    None => disk.reader_at(row, &self.budget, is_cancelled)?,
                };
                Ok(disk.readers[at].reader.row())
            }
            _ => {
                let place = RowRef::from_bits(self.places[self.stale_places + (row - first) as usize]);
                Ok((self.pages.tag(place), self.pages.get(place)))
            }
        }
    }

    /// So many rows from one on, if all of them are in memory.
    pub(super) fn rows_in_memory(
        &self,
        row: u64,
        count: usize,
    ) -> Option<impl ExactSizeIterator<Item = &[u8]> + Clone + '_> {
        let at = row.checked_sub(self.first_in_memory())? as usize + self.stale_places;
        let places = self.places.get(at..at + count)?;
        Some(places.iter().map(|place| self.pages.get(RowRef::from_bits(*place))))
    }

    /// Rows before this one are not asked for any more.
    pub(super) fn forget_before(&mut self, row: u64) {
        self.forgotten = self.forgotten.max(row);
        let first = self.first_in_memory();
        if row <= first || row > self.rows_count {
            return;
        }
        self.stale_places += (row - first) as usize;
        let live = match self.places.get(self.stale_places) {
            Some(&place) => RowRef::from_bits(place).page(),
            None => self.pages.pages_count().saturating_sub(1),
        };
        for page in self.released_pages..live {
            self.pages.release_page(page);
        }
        self.released_pages = self.released_pages.max(live);
    }

    /// Forgets all rows, for another partition.
    pub(super) fn clear(&mut self) {
        // Pages that were given back are not used again.
        if self.released_pages > 0 || self.pages.pages_count() > 16 {
            self.drop_memory();
        }
        self.pages.clear();
        self.places.clear();
        if let Spilling::Ready(disk) = &mut self.spilling {
            disk.clear();
        }
        (self.stale_places, self.forgotten, self.file_rows, self.rows_count) = (0, 0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use cofferdam_testkit::simfs::SimDisk;
    use cofferdam_vfs::Vfs;
    use proptest::prelude::*;

    use super::*;

    fn bytes_of(row: u64) -> std::vec::Vec<u8> {
        let len = if row.is_multiple_of(97) { 9000 } else { 20 + row as usize % 200 };
        (0..len).map(|i| (row as u8).wrapping_mul(31).wrapping_add(i as u8 ^ (row >> 3) as u8)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Aim: rows are read as they were appended, by any number, whatever was forgotten and spilled; nothing is left. Method: several
        /// cursors that go forward, and jumps, beside a formula; budgets from the least for three readers to ample.
        #[test]
        fn rows_are_what_was_appended(
            memory in prop_oneof![Just(u64::MAX), 120u64 << 10..300 << 10],
            readers in 1usize..4,
            steps in prop::collection::vec((0u64..400, 0u64..1000, any::<bool>()), 1..30),
            partitions in 1usize..3,
        ) {
            let disk = SimDisk::new(2);
            let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
            let budget = Budget::unlimited("process").unwrap().child("window_1", memory).unwrap();
            let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &budget);
            let mut log = RowLog::new(&budget, Some(&space), "window_1", readers);
            let never = || false;
            for _ in 0..partitions {
                let (mut low, mut cursor) = (0, 0);
                for &(more, jump, forgets) in &steps {
                    for _ in 0..more {
                        let row = log.rows_count();
                        log.push(row * 3, &bytes_of(row), &never).unwrap();
                    }
                    let count = log.rows_count();
                    if count == 0 {
                        continue;
                    }
                    let (first, second) = (low + jump % (count - low).max(1), cursor);
                    for step in 0..40 {
                        for row in [first + step, second + step] {
                            if (low..count).contains(&row) {
                                let (tag, bytes) = log.get(row, &never).unwrap();
                                prop_assert_eq!(tag, row * 3);
                                prop_assert!(bytes == bytes_of(row), "row {}", row);
                            }
                        }
                    }
                    cursor = (cursor + 40).min(count);
                    if forgets {
                        low = low.max(cursor.saturating_sub(jump)).min(count - 1);
                        log.forget_before(low);
                        cursor = cursor.max(low);
                    }
                }
                log.clear();
                prop_assert_eq!(log.rows_count(), 0);
            }
            drop((log, space));
            prop_assert_eq!((budget.used(), disk.used_bytes()), (0, 0));
        }
    }

    /// Aim: a log larger than memory is written once and read with a few seeks, and its list of noted rows does not grow. Method: many rows
    /// under a small limit, read from the beginning, from the end, and here and there.
    #[test]
    fn a_log_may_be_larger_than_memory() {
        let disk = SimDisk::new(2);
        let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
        let budget = Budget::unlimited("process").unwrap().child("window_1", 256 << 10).unwrap();
        let space = SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, &budget);
        let mut log = RowLog::new(&budget, Some(&space), "window_1", 2);
        let never = || false;
        for row in 0..30_000 {
            log.push(row, &bytes_of(row), &never).unwrap();
        }
        assert!(log.spilled().bytes_total > 1 << 20 && log.spilled().files_total == 1);
        for row in (0..30_000).chain((0..30_000).rev().step_by(701)).chain((0..29_000).step_by(997)) {
            assert!(log.get(row, &never).unwrap() == (row, &bytes_of(row)[..]));
        }
        // Nothing is written twice: four bytes a row of which most compress.
        let total: u64 = (0..30_000).map(|row| bytes_of(row).len() as u64).sum();
        assert!(log.spilled().bytes_total <= total + total / 8);
    }
}

//! Rows in temporary files by the bits of their hashes, parted again where a file is too large.
//!
//! ```text
//! level 0   hash bits 63..60     16 files          a file that does not fit when it is read
//! level 1   hash bits 59..56     16 files of one   is parted by the next bits
//! ```
//!
//! Files are read depth first, in the order of their hashes, and each is removed when the next one is asked for. One
//! writes to the files of one level at a time, and reads at most one file meanwhile.
//!
//! **Memory.** A block for each file of a level, one for the file that is read, and what [`SpillIo`] takes; all of it is
//! taken when it is made, [`Partitions::charged_bytes_below`] a limit.

use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Budget, BudgetAlloc};

use super::Disk;
use crate::spill::{
    IoSlot, IsCancelled, SpillFailure, SpillFile, SpillIo, SpillOwner, SpillProblem, SpillReader, SpillSpace,
    SpillWriter, block_bytes,
};

/// How deep files are parted. Keys with the same bits so far are one key, as far as anybody can tell.
const LEVELS_BITS_MAX: u32 = 56;
const FAN_OUT_BITS_MAX: u32 = 4;

/// A row that is not what was written.
pub(crate) const CUT: SpillProblem = SpillProblem::Damaged { file: 0, offset: 0, what: "a row is too short" };

/// A file that waits to be read, how many bits of the hashes are the same in it, and these bits.
#[derive(Debug)]
struct Waiting {
    file: SpillFile,
    bits: u32,
    prefix: u64,
}

/// The partitions of one operator.
#[derive(Debug)]
pub(crate) struct Partitions {
    writing: Writing,
    /// The one to be read next is the last.
    waiting: Vec<Waiting, BudgetAlloc>,
    reading: Option<(SpillReader, Waiting)>,
    /// Whether the row that was read last is given once more.
    is_held_back: bool,
    parted: u64,
}

/// Partitions out of the way: they are large, and most operators never have them.
pub(crate) type OwnedPartitions = Box<Partitions, BudgetAlloc>;

/// The files that are written.
#[derive(Debug)]
pub(crate) struct Writing {
    io: SpillIo,
    /// Memory for files that nobody uses now.
    slots: Vec<IoSlot, BudgetAlloc>,
    /// By the bits; none where nothing was written.
    writers: Vec<Option<SpillWriter>, BudgetAlloc>,
    fan_out_bits: u32,
    /// How many bits of the hashes are the same in all that is written now, and these bits.
    bits: u32,
    prefix: u64,
    files: u64,
    bytes: u64,
}

/// What partitions did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionCounts {
    /// Files that were written.
    pub(crate) files: u64,
    /// Files that were parted again.
    pub(crate) parted: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

/// A row that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'r> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'r [u8],
}

/// Into how many bits of files a level is parted at a limit, so that their blocks are an eighth of it.
fn fan_out_bits(limit_bytes: u64) -> u32 {
    match limit_bytes {
        0..0x8_0000 => 2,
        0x8_0000..0x10_0000 => 3,
        _ => FAN_OUT_BITS_MAX,
    }
}

impl Partitions {
    /// What partitions take below a budget, with as many files a level as it affords.
    pub(crate) fn charged_bytes_below(limit: u64) -> u64 {
        let block = block_bytes(limit);
        SpillIo::charged_bytes(block) + IoSlot::charged_bytes(block) * ((1 << fan_out_bits(limit)) + 1)
    }

    /// How many bytes an operator holds when it takes what writing takes: while there is memory, and not before it may come to
    /// that. It has `share` of them.
    pub(crate) fn held_bytes_before(budget: &Budget, share: u64) -> u64 {
        let limit = budget.limit_on_path();
        (share * Partitions::charged_bytes_below(limit / share)).min(limit / 8)
    }

    /// Takes what writing takes when memory is already short, for who holds `held_bytes`.
    ///
    /// # Errors
    /// The budget refuses, or writing would take as much as is held, or there is no place for files.
    pub(crate) fn late(
        disk: &Disk<'_>,
        budget: &Budget,
        held_bytes: usize,
        refused: AllocError,
    ) -> Result<OwnedPartitions, AllocError> {
        let needed_bytes = Partitions::held_bytes_before(budget, disk.share) / disk.share;
        match disk.space {
            Some(space) if held_bytes as u64 >= needed_bytes => {
                Partitions::new(space, disk.name, budget, disk.share)
            }
            _ => Err(refused),
        }
    }

    /// Takes all that writing and reading takes, for an operator that may have `share` of them. With less memory blocks are smaller, then
    /// there are fewer files a level, two at least.
    ///
    /// # Errors
    /// The budget refuses even that.
    pub(crate) fn new(
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
        share: u64,
    ) -> Result<OwnedPartitions, AllocError> {
        let limit = budget.limit_on_path() / share;
        let (mut bits, mut block) = (fan_out_bits(limit), block_bytes(limit));
        loop {
            match Partitions::with_fan_out(bits, block, space, name, budget) {
                Err(_) if block > block_bytes(0) => block = block_bytes(0),
                Err(_) if bits > 1 => bits -= 1,
                made => {
                    return Box::try_new_in(made?, BudgetAlloc::new(budget)).map_err(|_| AllocError);
                }
            }
        }
    }

    fn with_fan_out(
        fan_out_bits: u32,
        block: usize,
        space: &SpillSpace,
        name: &str,
        budget: &Budget,
    ) -> Result<Partitions, AllocError> {
        let files = 1usize << fan_out_bits;
        let levels = (LEVELS_BITS_MAX / fan_out_bits) as usize;
        // Each level leaves at most its files but one behind while the next one is written.
        let files_max = files * 4;
        let pieces = BudgetAlloc::new(budget);
        let owner = SpillOwner::new(space, name, budget, files_max)?;
        let io = SpillIo::new(&owner, budget, block)?;
        let mut slots = Vec::new_in(pieces.clone());
        slots.try_reserve_exact(files + 1).map_err(|_| AllocError)?;
        for _ in 0..=files {
            slots.push(IoSlot::new(budget, block)?);
        }
        let mut writers = Vec::new_in(pieces.clone());
        writers.try_reserve_exact(files).map_err(|_| AllocError)?;
        for _ in 0..files {
            writers.push(None);
        }
        let mut waiting = Vec::new_in(pieces);
        waiting.try_reserve_exact(files * levels.min(4)).map_err(|_| AllocError)?;
        let writing = Writing { io, slots, writers, fan_out_bits, bits: 0, prefix: 0, files: 0, bytes: 0 };
        Ok(Partitions { writing, waiting, reading: None, is_held_back: false, parted: 0 })
    }

    /// What it did.
    pub(crate) const fn counts(&self) -> PartitionCounts {
        PartitionCounts { files: self.writing.files, parted: self.parted, bytes: self.writing.bytes }
    }

    /// Whether the file that is read cannot be parted by further bits.
    pub(crate) const fn is_exhausted(&self) -> bool {
        self.writing.bits + self.writing.fan_out_bits > LEVELS_BITS_MAX
    }

    /// The files that are written.
    pub(crate) const fn writing(&mut self) -> &mut Writing {
        &mut self.writing
    }

    /// Ends what is written and what is read, and opens the next file. Gives whether there is one.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn next_file(&mut self, is_cancelled: IsCancelled<'_>) -> Result<bool, SpillFailure> {
        let Partitions { writing, waiting, .. } = self;
        if let Some((reader, _)) = self.reading.take() {
            writing.slots.push(reader.into_slot());
            self.parted += u64::from(writing.has_written());
        }
        waiting.try_reserve(writing.writers.len()).map_err(|_| AllocError)?;
        let bits = writing.bits + writing.fan_out_bits;
        for (index, writer) in writing.writers.iter_mut().enumerate().rev() {
            if let Some(writer) = writer.take() {
                let (file, slot) = writer.finish(&mut writing.io, is_cancelled)?;
                writing.slots.push(slot);
                writing.bytes += file.bytes();
                let prefix = writing.prefix | (index as u64) << (64 - bits);
                waiting.push(Waiting { file, bits, prefix });
            }
        }
        let Some(next) = waiting.pop() else { return Ok(false) };
        let slot = writing.slots.pop().expect("no file is written or read now");
        (writing.bits, writing.prefix) = (next.bits, next.prefix);
        let reader = next.file.read(slot, &writing.io)?;
        self.reading = Some((reader, next));
        Ok(true)
    }

    /// The next row of the file that is read, and the files of the next level, that it may be written to.
    ///
    /// # Errors
    /// Those of files.
    #[inline]
    pub(crate) fn next<'r>(
        &'r mut self,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<Option<(Record<'r>, &'r mut Writing)>, SpillFailure> {
        match &mut self.reading {
            None => Ok(None),
            Some((reader, _)) => {
                let is_held_back = core::mem::take(&mut self.is_held_back);
                if !is_held_back && !reader.advance(&mut self.writing.io, is_cancelled)? {
                    return Ok(None);
                }
                let (hash, bytes) = reader.row();
                Ok(Some((Record { hash, bytes }, &mut self.writing)))
            }
        }
    }

    /// Has the row that was given last given once more.
    pub(crate) const fn hold_back(&mut self) {
        self.is_held_back = true;
    }

    /// The greatest hash that a row of the file that is read can have.
    pub(crate) const fn hash_end(&self) -> u64 {
        match self.writing.bits {
            0 => u64::MAX,
            bits => self.writing.prefix | u64::MAX >> bits,
        }
    }

    /// Moves the rows of the file that is read, from the next one on, to the files of the next level.
    ///
    /// # Errors
    /// Those of files.
    pub(crate) fn part_rest(&mut self, is_cancelled: IsCancelled<'_>) -> Result<(), SpillFailure> {
        while let Some((record, writing)) = self.next(is_cancelled)? {
            writing.push(record.hash, &[record.bytes], is_cancelled)?;
        }
        Ok(())
    }
}

impl Writing {
    /// Writes a row to the file of its hash.
    ///
    /// # Errors
    /// Those of files.
    #[inline]
    pub(crate) fn push(
        &mut self,
        hash: u64,
        parts: &[&[u8]],
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let index = (hash << self.bits >> (64 - self.fan_out_bits)) as usize;
        if self.writers[index].is_none() {
            let slot = self.slots.pop().expect("there is one for each file and one to read with");
            self.writers[index] = Some(SpillWriter::create(slot, &self.io)?);
            self.files += 1;
        }
        let writer = self.writers[index].as_mut().expect("made above");
        writer.push(hash, parts, &mut self.io, is_cancelled)
    }

    /// Whether anything was written since the last file was asked for.
    pub(crate) fn has_written(&self) -> bool {
        self.writers.iter().any(Option::is_some)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::vec::Vec;

    use super::*;
    use crate::operators::aggregate::table::hash_of;
    use cofferdam_testkit::simfs::SimDisk;
    use cofferdam_vfs::Vfs;

    pub(crate) fn space(process: &Budget) -> SpillSpace {
        let vfs: Arc<dyn Vfs> = Arc::new(SimDisk::new(7));
        SpillSpace::new(&vfs, Some(Path::new("/tmp")), u64::MAX, process)
    }

    pub(crate) fn never() -> bool {
        false
    }

    /// Aim: all rows come back, in the order of their hashes by file, and in the order they came within one; files are parted
    /// where a reader says so. Method: every file of more than 40 rows is parted.
    #[test]
    fn rows_come_back_in_order_of_their_files() {
        let process = Budget::root("process", 4 << 20).unwrap();
        let budget = process.child("test", u64::MAX).unwrap();
        let space = space(&process);
        let mut partitions = Partitions::new(&space, "test_0", &budget, 1).unwrap();
        assert!(budget.used() >= Partitions::charged_bytes_below(budget.limit_on_path()));
        let rows = 3000u32;
        for number in 0..rows {
            let key = (number / 3).to_le_bytes();
            partitions.writing().push(hash_of(&key), &[&number.to_le_bytes(), &key], &never).unwrap();
        }
        let (mut seen, mut last_file_end) = (Vec::new(), 0);
        while partitions.next_file(&never).unwrap() {
            let mut file = Vec::new();
            while let Some((record, _)) = partitions.next(&never).unwrap() {
                let number = u32::from_le_bytes(record.bytes[..4].try_into().unwrap());
                file.push((record.hash, number));
                if file.len() > 40 && !partitions.is_exhausted() {
                    break;
                }
            }
            if file.len() > 40 {
                for (hash, number) in &file {
                    let key = (number / 3).to_le_bytes();
                    partitions.writing().push(*hash, &[&number.to_le_bytes(), &key], &never).unwrap();
                }
                partitions.part_rest(&never).unwrap();
                continue;
            }
            assert!(file.iter().all(|(hash, _)| *hash >= last_file_end));
            last_file_end = partitions.hash_end();
            assert!(file.iter().all(|(hash, _)| *hash <= last_file_end));
            seen.extend(file);
        }
        assert!(
            partitions.counts().parted > 10 && partitions.counts().files > 100,
            "{:?}",
            partitions.counts()
        );
        for key in 0..rows / 3 {
            let of_key = seen.iter().map(|(_, number)| *number).filter(|number| number / 3 == key);
            assert!(of_key.eq(key * 3..key * 3 + 3), "the rows of a key keep their order");
        }
        assert_eq!(seen.len(), rows as usize);
        drop(partitions);
        assert_eq!((space.counts().files_now, budget.used()), (0, 0));
    }
}

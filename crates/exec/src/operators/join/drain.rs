//! Behind the last probe row: build rows without a match, and partitions that are in files, one after the other.
//!
//! ```text
//! partition in files ──> build rows fit ──────────────> table, probe rows stream past it
//!                    ├─> they do not ──> parted by other bits: smaller partitions, each again
//!                    └─> nor can they be parted ──> block of build rows ──> probe rows stream past it ──> next block …
//! ```
//!
//! While there are more blocks to come, probe rows are written anew behind each of them, with what is known of them: so the
//! last block decides. Kinds that give only pairs read the same file for each block.

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, Arena, BudgetAlloc, Growing};

use super::build::{Build, FLAGS_AT, LOADED, MATCHED};
use super::gather::Match;
use super::probe::{Join, Made, Origin};
use super::{gives_build_rows, is_given};
use crate::batch::Store;
use crate::error::Error;
use crate::pipeline::{Context, Output, batch_bytes_max};
use crate::spill::{
    IsCancelled, RowPages, RowRef, SpillFailure, SpillFile, SpillReader, SpillWriter, Spilled,
};

/// What is left to do behind the last probe row.
#[derive(Debug)]
pub(super) struct Drain<'a> {
    state: State,
    items: Vec<Item, BudgetAlloc>,
    active: Option<Active>,
    /// The probe rows of a batch from a file.
    rows: Option<FileRows<'a>>,
    partitions_parted: u64,
    blocks: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Build rows of tables, from a place in a table on.
    Tables(usize, RowRef),
    Begin,
    Next,
    Load,
    Probe,
    /// Build rows of the loaded table, from a place on.
    Loaded(RowRef),
    Done,
}

/// A partition in files.
#[derive(Debug)]
struct Item {
    build: BuildRows,
    build_rows: u64,
    probe: Option<SpillFile>,
    /// How many bits of hashes its rows have in common.
    bits_common: u32,
    /// Build rows of the partition that it is a part of.
    rows_before: u64,
    /// Whether the flags of build rows are those of a pass before this one.
    has_old_flags: bool,
}

/// Where the build rows of a partition are.
#[derive(Debug)]
enum BuildRows {
    No,
    Own(SpillFile),
    /// In the file of a partition of the build side, which keeps it: they are needed again.
    Kept(usize),
}

impl BuildRows {
    /// Lends the file.
    fn with<T>(
        &self,
        build: &mut Build,
        borrow: impl FnOnce(&SpillFile, &mut Build) -> Result<T, SpillFailure>,
    ) -> Result<Option<T>, SpillFailure> {
        match *self {
            BuildRows::No => Ok(None),
            BuildRows::Own(ref file) => borrow(file, build).map(Some),
            BuildRows::Kept(at) => {
                let Some(file) = build.partitions[at].build.take_file() else { return Ok(None) };
                let outcome = borrow(&file, build);
                build.partitions[at].build = Spilled::Written(file);
                outcome.map(Some)
            }
        }
    }
}

/// The partition that is joined.
#[derive(Debug)]
struct Active {
    item: Item,
    build: Option<Reading>,
    probe: Option<Reading>,
    /// Probe rows for the next block.
    next_probe: Option<SpillWriter>,
    /// Whether no build rows come behind the loaded ones.
    is_last: bool,
    blocks: u64,
    /// Whether the batch of now is to be written for the next block.
    is_unsaved: bool,
}

/// A file that is read, and a row of it that did not fit.
#[derive(Debug)]
struct Reading {
    reader: SpillReader,
    kept: Growing<u8>,
    kept_hash: Option<u64>,
}

/// Rows of a batch.
#[derive(Debug)]
struct FileRows<'a> {
    pages: RowPages,
    places: &'a mut [RowRef],
    count: usize,
}

impl Reading {
    fn open(file: &SpillFile, build: &mut Build) -> Result<Reading, SpillFailure> {
        let (budget, block_bytes) = (build.budget.clone(), build.block_bytes);
        let mut kept = Growing::new(&budget);
        kept.reserve(file.row_bytes_max())?;
        let (reserve, ..) = build.reserve();
        let slot = reserve.take_slot(&budget, block_bytes)?;
        Ok(Reading { reader: file.read(slot, &reserve.io)?, kept, kept_hash: None })
    }

    /// Hands rows to `take` until that has no room, which is false, or the file ends, which is true.
    fn read(
        &mut self,
        build: &mut Build,
        is_cancelled: IsCancelled<'_>,
        mut take: impl FnMut(&mut Build, u64, &[u8]) -> Result<bool, SpillFailure>,
    ) -> Result<bool, SpillFailure> {
        if let Some(hash) = self.kept_hash {
            if !take(build, hash, &self.kept)? {
                return Ok(false);
            }
            self.kept_hash = None;
        }
        loop {
            let (reserve, ..) = build.reserve();
            let Some((hash, row)) = self.reader.next(&mut reserve.io, is_cancelled)? else { return Ok(true) };
            if !take(build, hash, row)? {
                self.kept.clear();
                self.kept.extend_from_slice(row)?;
                self.kept_hash = Some(hash);
                return Ok(false);
            }
        }
    }

    fn close(self, build: &mut Build) {
        build.reserve().0.give_slot(self.reader.into_slot());
    }
}

impl<'a> Drain<'a> {
    pub(super) fn new(
        build: &Build,
        has_files: bool,
        capacity: usize,
        arena: &'a Arena,
    ) -> Result<Drain<'a>, AllocError> {
        let rows = match has_files {
            true => Some(FileRows {
                pages: RowPages::new(&build.budget, build.block_bytes),
                places: arena.alloc_slice_fill(capacity, RowRef::default())?,
                count: 0,
            }),
            false => None,
        };
        Ok(Drain {
            state: State::Tables(0, RowRef::default()),
            items: Vec::new_in(BudgetAlloc::new(&build.budget)),
            active: None,
            rows,
            partitions_parted: 0,
            blocks: 0,
        })
    }

    fn push(&mut self, item: Item) -> Result<(), AllocError> {
        self.items.try_reserve(1).map_err(|_| AllocError)?;
        self.items.push(item);
        Ok(())
    }
}

impl<'a> Join<'a> {
    /// Goes on with what is left.
    pub(super) fn drain(
        &mut self,
        build: &mut Build,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        // Nobody but the drain moves rows from here on.
        build.is_in_use = true;
        let output = match self.drain.state {
            State::Tables(table, place) => self.give_tables(build, table, place, store)?,
            State::Begin => self.begin_files(build, is_cancelled)?,
            State::Next => self.next_item(build),
            State::Load => self.load(build, cx)?,
            State::Probe => self.probe_file(build, store, cx)?,
            State::Loaded(place) => self.give_loaded(build, place, store)?,
            State::Done => {
                build.is_in_use = false;
                if self.consumes {
                    // Steps behind this one may go on for long.
                    build.release_all();
                }
                Output::End
            }
        };
        let counters = cx.counters(self.id);
        counters.partitions_parted = self.drain.partitions_parted;
        counters.blocks = self.drain.blocks;
        Ok(output)
    }

    /// Build rows in memory that are given for having a match, or none.
    fn give_tables(
        &mut self,
        build: &Build,
        mut table: usize,
        mut place: RowRef,
        store: &mut Store<'a>,
    ) -> Result<Output, Error<'a>> {
        while gives_build_rows(self.kind) && table < build.partitions.len() {
            place = match self.find_given(build, table as u8, place, store.capacity)? {
                Some(place) => {
                    self.drain.state = State::Tables(table, place);
                    return Ok(Output::Batch(self.give_build_rows(build, store)?));
                }
                None => RowRef::default(),
            };
            table += 1;
        }
        self.drain.state = State::Begin;
        match self.joined.matches.is_empty() {
            true => Ok(Output::Again),
            false => Ok(Output::Batch(self.give_build_rows(build, store)?)),
        }
    }

    /// Collects rows of a table that are given until a batch is full: then gives where to go on.
    fn find_given(
        &mut self,
        build: &Build,
        table: u8,
        mut place: RowRef,
        capacity: usize,
    ) -> Result<Option<RowRef>, AllocError> {
        let rows = &build.table(table).rows;
        while let Some((row, next)) = rows.next(place) {
            if self.joined.is_full(capacity) {
                return Ok(Some(place));
            }
            if is_given(self.kind, rows.get(row)[FLAGS_AT]) {
                self.joined.push(Match::build_alone(table, row), rows.get(row).len())?;
            }
            place = next;
        }
        Ok(None)
    }

    /// Ends the files of probe rows, and lists the partitions.
    fn begin_files(&mut self, build: &mut Build, is_cancelled: IsCancelled<'_>) -> Result<Output, Error<'a>> {
        self.drain.state = State::Next;
        if !build.has_files() {
            return Ok(Output::Again);
        }
        if self.consumes {
            build.release_tables();
        }
        let (bits_common, pass) = (build.bits(), build.pass);
        for at in 0..build.partitions.len() {
            let (reserve, partitions, _) = build.reserve();
            let part = &mut partitions[at];
            part.build.finish(reserve, is_cancelled)?;
            part.probe.finish(reserve, is_cancelled)?;
            let Spilled::Written(file) = &part.build else { continue };
            let build_rows = file.rows_count();
            let has_old_flags = part.flags_pass != pass;
            let probe = part.probe.take_file();
            let build = match self.consumes {
                true => part.build.take_file().map_or(BuildRows::No, BuildRows::Own),
                false => BuildRows::Kept(at),
            };
            let rows_before = u64::MAX;
            self.drain.push(Item { build, build_rows, probe, bits_common, rows_before, has_old_flags })?;
        }
        Ok(Output::Again)
    }

    fn next_item(&mut self, build: &mut Build) -> Output {
        let Some(item) = self.drain.items.pop() else {
            build.release_loaded();
            self.drain.state = State::Done;
            return Output::Again;
        };
        if item.probe.is_none() && !gives_build_rows(self.kind) {
            return Output::Again;
        }
        self.drain.active = Some(Active {
            item,
            build: None,
            probe: None,
            next_probe: None,
            is_last: true,
            blocks: 0,
            is_unsaved: false,
        });
        self.drain.state = State::Load;
        Output::Again
    }

    /// Reads as many build rows as fit; whoever holds more than they take makes room for more of them.
    fn load(&mut self, build: &mut Build, cx: &mut Context<'_>) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let mut active = self.drain.active.take().expect("a partition is joined");
        build.clear_loaded();
        if active.build.is_none() {
            active.build = active.item.build.with(build, Reading::open)?;
        }
        let forgotten = if active.item.has_old_flags { MATCHED } else { 0 };
        active.is_last = loop {
            let Some(reading) = &mut active.build else { break true };
            let is_last = reading.read(build, is_cancelled, |build, hash, row| {
                let (&flags, row) = row.split_first().unwrap_or((&0, &[]));
                Ok(build.load(hash, flags & !forgotten, row))
            })?;
            if is_last {
                break true;
            }
            if !cx.relieve(Some(self.id), build.loaded_bytes())? {
                if build.has_loaded() {
                    break false;
                }
                return Err(AllocError.into());
            }
            build.load_on();
        };
        let is_worth_it = active.item.build_rows <= active.item.rows_before / 8 * 7;
        if !active.is_last
            && active.blocks == 0
            && is_worth_it
            && let Some(bits) = build.parting(active.item.bits_common)
        {
            if let Some(reading) = active.build.take() {
                reading.close(build);
            }
            build.release_loaded();
            self.part(active.item, bits, build, is_cancelled)?;
            self.drain.state = State::Next;
            return Ok(Output::Again);
        }
        build.link_loaded();
        active.blocks += 1;
        self.drain.blocks += u64::from(!active.is_last || active.blocks > 1);
        if let Some(file) = &active.item.probe {
            active.probe = Some(Reading::open(file, build)?);
            if !active.is_last && !self.forgets_probe() {
                active.next_probe = Some(create(build)?);
            }
        }
        self.drain.active = Some(active);
        self.drain.state = State::Probe;
        Ok(Output::Again)
    }

    /// Parts a partition by the next bits of hashes.
    fn part(
        &mut self,
        item: Item,
        bits: u32,
        build: &mut Build,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), Error<'a>> {
        self.drain.partitions_parted += 1;
        let Item { build: ref build_file, build_rows: rows_before, has_old_flags, .. } = item;
        let bits_common = item.bits_common + bits;
        let first = self.drain.items.len();
        for _ in 0..1u32 << bits {
            let build = BuildRows::No;
            self.drain.push(Item {
                build,
                build_rows: 0,
                probe: None,
                bits_common,
                rows_before,
                has_old_flags,
            })?;
        }
        let part = |file: &SpillFile, build: &mut Build| {
            part_file(file, bits, item.bits_common, build, is_cancelled)
        };
        if let Some(mut parts) = build_file.with(build, part)? {
            for (item, part) in self.drain.items[first..].iter_mut().zip(parts.iter_mut()) {
                part.finish(build.reserve().0, is_cancelled)?;
                if let Some(file) = part.take_file() {
                    item.build_rows = file.rows_count();
                    item.build = BuildRows::Own(file);
                }
            }
        }
        if let Some(file) = &item.probe {
            let mut parts = part(file, build)?;
            for (item, part) in self.drain.items[first..].iter_mut().zip(parts.iter_mut()) {
                part.finish(build.reserve().0, is_cancelled)?;
                item.probe = part.take_file();
            }
        }
        Ok(())
    }

    /// Has the rows of the probe file pass the loaded table.
    fn probe_file(
        &mut self,
        build: &mut Build,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        let mut active = self.drain.active.take().expect("a partition is joined");
        let mut rows = self.drain.rows.take().expect("there are files");
        if self.is_through() {
            self.save(&mut active, &rows, build, is_cancelled)?;
            self.read_batch(&mut active, &mut rows, build, store, cx)?;
        }
        let output = if rows.count == 0 {
            self.end_pass(active, build, is_cancelled)?;
            Output::Again
        } else {
            let from = Origin::File(&rows.pages, &rows.places[..rows.count]);
            let made = self.go_on(build, from, active.is_last, store, cx)?;
            self.drain.active = Some(active);
            match made {
                Made::Batch(batch) => Output::Batch(batch),
                Made::Again | Made::Done => Output::Again,
            }
        };
        self.drain.rows = Some(rows);
        Ok(output)
    }

    /// Writes the rows of a batch for the next block, with what is known of them.
    fn save(
        &mut self,
        active: &mut Active,
        rows: &FileRows<'_>,
        build: &mut Build,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        let Some(writer) = active.next_probe.as_mut().filter(|_| active.is_unsaved) else { return Ok(()) };
        active.is_unsaved = false;
        let (reserve, ..) = build.reserve();
        for (i, &place) in rows.places[..rows.count].iter().enumerate() {
            let parts = [&self.flags[i..=i], &rows.pages.get(place)[1..]];
            writer.push(rows.pages.tag(place), &parts, &mut reserve.io, is_cancelled)?;
        }
        Ok(())
    }

    /// Reads the next batch of probe rows; an empty one at the end of the file.
    fn read_batch(
        &mut self,
        active: &mut Active,
        rows: &mut FileRows<'_>,
        build: &mut Build,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error<'a>> {
        let is_cancelled = cx.is_cancelled;
        rows.pages.clear();
        rows.count = 0;
        let Some(reading) = &mut active.probe else { return Ok(()) };
        let bytes_max = batch_bytes_max(build.budget.limit_on_path());
        let mut bytes = 0;
        reading.read(build, is_cancelled, |_, hash, row| {
            if rows.count == rows.places.len() || bytes >= bytes_max {
                return Ok(false);
            }
            bytes += row.len() as u64;
            match rows.pages.push(hash, &[row]) {
                Ok(place) => rows.places[rows.count] = place,
                // The batch is smaller, but not empty.
                Err(_) if rows.count > 0 => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            rows.count += 1;
            Ok(true)
        })?;
        let places = &rows.places[..rows.count];
        if places.is_empty() {
            return Ok(());
        }
        let mode = self.mode;
        let payloads = places.iter().map(|&place| {
            let row = &rows.pages.get(place)[1..];
            &row[mode.key_bytes(row)..]
        });
        for (index, &target) in self.spilled_sources.iter().enumerate() {
            while let Err(refused) = self.layout.decode(index, payloads.clone(), target, store) {
                if !cx.relieve(Some(self.id), 1)? {
                    return Err(refused.into());
                }
            }
        }
        self.begin_file_batch(&rows.pages, places, build);
        active.is_unsaved = true;
        Ok(())
    }

    /// All probe rows have passed the loaded table.
    fn end_pass(
        &mut self,
        mut active: Active,
        build: &mut Build,
        is_cancelled: IsCancelled<'_>,
    ) -> Result<(), SpillFailure> {
        if let Some(reading) = active.probe.take() {
            reading.close(build);
        }
        if let Some(writer) = active.next_probe.take() {
            let mut next = Spilled::Writing(writer);
            next.finish(build.reserve().0, is_cancelled)?;
            active.item.probe = next.take_file();
        }
        self.drain.active = Some(active);
        self.drain.state = State::Loaded(RowRef::default());
        Ok(())
    }

    /// Build rows of the loaded table that are given; then the next block or partition.
    fn give_loaded(
        &mut self,
        build: &mut Build,
        place: RowRef,
        store: &mut Store<'a>,
    ) -> Result<Output, Error<'a>> {
        if gives_build_rows(self.kind) {
            let next = self.find_given(build, LOADED, place, store.capacity)?;
            if let Some(place) = next {
                self.drain.state = State::Loaded(place);
                return Ok(Output::Batch(self.give_build_rows(build, store)?));
            }
        }
        self.drain.state = State::Load;
        if self.drain.active.as_ref().is_some_and(|active| active.is_last)
            && let Some(mut active) = self.drain.active.take()
        {
            if let Some(reading) = active.build.take() {
                reading.close(build);
            }
            self.drain.state = State::Next;
        }
        match self.joined.matches.is_empty() {
            true => Ok(Output::Again),
            false => Ok(Output::Batch(self.give_build_rows(build, store)?)),
        }
    }
}

fn create(build: &mut Build) -> Result<SpillWriter, SpillFailure> {
    let (budget, block_bytes) = (build.budget.clone(), build.block_bytes);
    let (reserve, ..) = build.reserve();
    let slot = reserve.take_slot(&budget, block_bytes)?;
    SpillWriter::create(slot, &reserve.io)
}

/// The rows of a file in several, by the bits behind those that they have in common.
fn part_file(
    file: &SpillFile,
    bits: u32,
    bits_common: u32,
    build: &mut Build,
    is_cancelled: IsCancelled<'_>,
) -> Result<Vec<Spilled, BudgetAlloc>, SpillFailure> {
    let mut parts = Vec::new_in(BudgetAlloc::new(&build.budget));
    parts.try_reserve_exact(1 << bits).map_err(|_| AllocError)?;
    parts.extend((0..1u32 << bits).map(|_| Spilled::No));
    let mut reading = Reading::open(file, build)?;
    reading.read(build, is_cancelled, |build, hash, row| {
        let at = hash >> (u64::BITS - bits_common - bits) & ((1 << bits) - 1);
        let part = &mut parts[at as usize];
        if part.is_no() {
            *part = Spilled::Writing(create(build)?);
        }
        if let Spilled::Writing(writer) = part {
            writer.push(hash, &[row], &mut build.reserve().0.io, is_cancelled)?;
        }
        Ok(true)
    })?;
    reading.close(build);
    Ok(parts)
}

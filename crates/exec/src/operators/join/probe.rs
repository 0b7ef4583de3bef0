//! The streaming side: matches of a batch of probe rows, and what each kind of join makes of them.
//!
//! A batch goes through two phases, each of which gives output batches:
//!
//! 1. **Pairs.** Candidates (all rows of the key's chain, or all rows) are compared, and tested by the conjuncts. Kinds that
//!    give pairs give those that pass; all note which rows have a match.
//! 2. **Rest.** Probe rows that are given once or for lack of a match.
//!
//! Where all of many build rows are candidates, pairs are not collected: a block of build rows is read into its columns once, and the columns
//! of one probe row after the other stand beside it as constants.
//!
//! Rows whose partition is in a file go to a file themselves, and take both phases when that is drained. So nothing depends
//! on when a partition went there.

use cofferdam_arena::collections::Vec;
use cofferdam_plan::physical::{JoinKind, OperatorId};

use super::build::{Build, FLAGS_AT, KEY_AT, LOADED, MATCHED, Table, UNKNOWN, unpacked};
use super::drain::Drain;
use super::gather::{Joined, Match};
use super::keys::{Class, Compared, KeyMode, Keys};
use super::{Plan, build_of, gives_build_rows};
use crate::batch::{BatchRows, Data, Kind, SelectionId, Store, VectorId};
use crate::error::Error;
use crate::operators::State;
use crate::pipeline::{Context, Opening, Output, Passed};
use crate::rows::{RowEncoder, RowLayout};
use crate::spill::{RowPages, RowRef, SpillWriter, Spilled};

/// A probe row that went to a file: it is decided there.
const GONE: u8 = 128;
/// So many probe rows have their chains brought near at once, and so much of each.
const NEAR_ROWS: usize = 64;
const NEAR_STEPS: usize = 16;
/// Fewer build rows than that are not worth a batch for each probe row.
const BLOCK_ROWS_MIN: u64 = 512;

/// Joins probe rows with what was kept.
#[derive(Debug)]
pub(crate) struct Join<'a> {
    pub(super) id: OperatorId,
    pub(super) kind: JoinKind,
    pub(super) mode: KeyMode,
    pub(super) keys: Keys<'a>,
    pub(super) joined: Joined<'a>,
    /// The probe columns that are read, and those that rows from files are read into.
    sources: &'a [VectorId],
    pub(super) spilled_sources: &'a [VectorId],
    /// How probe rows are written.
    pub(super) layout: RowLayout<'a>,
    encoder: RowEncoder<'a>,
    selection: SelectionId,
    mark: Option<VectorId>,
    /// Where the batch stands.
    pub(super) batch: BatchRows,
    phase: Phase,
    /// By row of the batch.
    pub(super) flags: &'a mut [u8],
    tables: &'a mut [u8],
    /// The candidate that is compared next, packed.
    candidates: &'a mut [u64],
    /// Whether chains are brought near before they are compared: the build side is large, and so many rows were compared in so many chains.
    is_far: bool,
    chains_count: u64,
    compared_count: u64,
    /// The row whose candidates are compared.
    at: usize,
    /// Of a nested loop: the build row that comes next.
    place: RowRef,
    pub(super) drain: Drain<'a>,
    /// Whether the build side is needed no more behind this.
    pub(super) consumes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Pairs,
    Rest,
    Done,
}

/// What a call has made of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Made {
    /// Rows; there may be more.
    Batch(BatchRows),
    /// None yet.
    Again,
    /// No more.
    Done,
}

/// Where the rows of a batch come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'p> {
    Input,
    /// Of a file: rows in pages, by number.
    File(&'p RowPages, &'p [RowRef]),
}

impl Origin<'_> {
    /// Without keys, the table of all build rows.
    const fn only_table(self) -> u8 {
        match self {
            Origin::Input => 0,
            Origin::File(..) => LOADED,
        }
    }
}

impl<'a> Join<'a> {
    pub(crate) fn open(
        opening: &Opening<'_, 'a>,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<(Join<'a>, &'a [VectorId]), Error<'a>> {
        let (plan, arena) = (Plan::of(opening), opening.arena);
        let columns = opening.columns_of(plan.probe);
        let keys = Keys::open(plan.keys, |key| key.probe, columns, store, arena)?;
        let (joined, mut output) =
            Joined::open(plan.probe, plan.build, plan.conjuncts, plan.output, opening, store)?;
        let mut mark = None;
        if plan.kind == JoinKind::Mark {
            let id = store.add_vector(Kind::Bool, arena)?;
            let mut with_mark = Vec::with_capacity_in(output.len() + 1, arena)?;
            with_mark.extend_from_slice(output)?;
            with_mark.push(id)?;
            (mark, output) = (Some(id), with_mark.into_slice());
        }
        let mut sources = Vec::new_in(arena);
        for at in joined.probe_read() {
            sources.push(columns[at])?;
        }
        let sources = &*sources.into_slice();
        // Columns for rows of files only where there can be files.
        let has_files = cx.spill.is_some();
        let spilled_sources = match has_files {
            true => arena.alloc_slice_fill(sources.len(), VectorId(0))?,
            false => &mut [],
        };
        for (target, &source) in spilled_sources.iter_mut().zip(sources) {
            *target = store.add_vector(store.vector(source).kind(), arena)?;
        }
        let layout = RowLayout::new(sources.iter().map(|&id| store.vector(id).kind()), arena)?;
        let build = build_of(cx.state(opening.id));
        build.begin_pass(gives_build_rows(plan.kind));
        let join = Join {
            id: opening.id,
            kind: plan.kind,
            mode: KeyMode::of(plan.keys),
            keys,
            joined,
            sources,
            spilled_sources,
            layout,
            encoder: RowEncoder::new(arena),
            selection: store.add_selection(arena)?,
            mark,
            batch: BatchRows::all(0),
            phase: Phase::Done,
            flags: arena.alloc_slice_fill(store.capacity, 0)?,
            tables: arena.alloc_slice_fill(store.capacity, 0)?,
            candidates: arena.alloc_slice_fill(store.capacity, 0)?,
            is_far: false,
            chains_count: 0,
            compared_count: 0,
            at: 0,
            place: RowRef::default(),
            drain: Drain::new(build, has_files, store.capacity, arena)?,
            consumes: opening.consumes,
        };
        Ok((join, output))
    }

    /// Of kinds that give nothing without a build row, where there is none the other side need not be read.
    pub(crate) fn is_finished(&self, cx: &mut Context<'_>) -> bool {
        !self.kind.keeps_probe() && build_of(cx.state(self.id)).is_empty()
    }

    pub(crate) fn push(
        &mut self,
        batch: BatchRows,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Error<'a>> {
        loop {
            match self.keys.compute(batch, store) {
                Err(error) if error.refusal().is_some() && cx.relieve(None, 1)? => {}
                outcome => break outcome?,
            }
        }
        let build = build_of(cx.state(self.id));
        (self.batch, self.phase, self.at, self.place) = (batch, Phase::Pairs, 0, RowRef::default());
        let count = store.rows(batch).len();
        let mut gone = store.take_selection(self.selection);
        gone.count = 0;
        let is_far = build.is_far();
        self.is_far = is_far;
        if is_far {
            self.keys.hashes[..count].iter().for_each(|hash| build.prefetch_chain(*hash));
        }
        for i in 0..count {
            let hash = self.keys.hashes[i];
            (self.flags[i], self.candidates[i]) = (0, 0);
            if self.keys.classes[i] != Class::Usual {
                let may_match = self.keys.classes[i] == Class::Unknown && build.rows_count > 0;
                self.flags[i] = if may_match { UNKNOWN } else { 0 };
                continue;
            }
            let at = build.partition_of(hash);
            let part = &build.partitions[at];
            self.tables[i] = at as u8;
            if part.build.is_no() {
                let candidate = part.table.chain(hash);
                if is_far && candidate != 0 {
                    part.table.rows.prefetch(unpacked(candidate));
                }
                self.candidates[i] = candidate;
            } else {
                self.flags[i] = GONE;
                gone.rows[gone.count] = i as u16;
                gone.count += 1;
            }
        }
        let outcome = match gone.count {
            0 => Ok(()),
            _ => self.send_away(&gone.rows[..gone.count], store, cx),
        };
        store.put_selection_back(self.selection, gone);
        outcome?;
        self.more(store, cx)
    }

    /// Writes probe rows to the files of their partitions.
    fn send_away(&mut self, gone: &[u16], store: &Store<'a>, cx: &mut Context<'_>) -> Result<(), Error<'a>> {
        while let Err(refused) =
            self.encoder.encode(&self.layout, self.sources, store.rows(self.batch), store)
        {
            if !cx.relieve(Some(self.id), 1)? {
                return Err(refused.into());
            }
        }
        let is_cancelled = cx.is_cancelled;
        let build = build_of(cx.state(self.id));
        let (budget, block_bytes) = (build.budget.clone(), build.block_bytes);
        let (reserve, partitions, _) = build.reserve();
        for &i in gone {
            let i = usize::from(i);
            let probe = &mut partitions[usize::from(self.tables[i])].probe;
            if probe.is_no() {
                let slot = reserve.take_slot(&budget, block_bytes)?;
                *probe = Spilled::Writing(SpillWriter::create(slot, &reserve.io)?);
            }
            if let Spilled::Writing(writer) = probe {
                let parts = [&[0][..], self.keys.key(i), self.encoder.row(i)];
                writer.push(self.keys.hashes[i], &parts, &mut reserve.io, is_cancelled)?;
            }
        }
        Ok(())
    }

    pub(crate) fn more(&mut self, store: &mut Store<'a>, cx: &mut Context<'_>) -> Result<Passed, Error<'a>> {
        let State::Join(mut build) = cx.take_state(self.id) else {
            unreachable!("the sink of the join made it")
        };
        let made = self.go_on(&mut build, Origin::Input, true, store, cx);
        // Places in tables are good as long as nothing is moved; behind the pairs nobody has any.
        build.is_in_use = self.phase == Phase::Pairs;
        *cx.state(self.id) = State::Join(build);
        Ok(match made? {
            Made::Batch(rows) if self.phase == Phase::Done => Passed::Batch(rows),
            Made::Batch(rows) => Passed::More(rows),
            Made::Again => Passed::Again,
            Made::Done => Passed::Nothing,
        })
    }

    pub(crate) fn finish(
        &mut self,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Output, Error<'a>> {
        let State::Join(mut build) = cx.take_state(self.id) else {
            unreachable!("the sink of the join made it")
        };
        let outcome = self.drain(&mut build, store, cx);
        build.count(cx.counters(self.id));
        *cx.state(self.id) = State::Join(build);
        outcome
    }

    /// Whether the batch of now is through.
    pub(super) fn is_through(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Begins with a batch that was read from a file.
    pub(super) fn begin_file_batch(&mut self, pages: &RowPages, rows: &[RowRef], build: &Build) {
        let count = rows.len();
        (self.batch, self.phase, self.at, self.place) =
            (BatchRows::all(count), Phase::Pairs, 0, RowRef::default());
        self.is_far = false;
        self.tables[..count].fill(LOADED);
        for (i, &row) in rows.iter().enumerate() {
            self.flags[i] = pages.get(row)[0];
            self.candidates[i] = build.loaded.chain(pages.tag(row));
        }
    }

    /// Goes on with the batch of now. Not `is_last`: there are more build rows that its rows may match, and the rest waits. `build` is out
    /// of its slot; others make room for the columns of the matches.
    pub(super) fn go_on(
        &mut self,
        build: &mut Build,
        from: Origin<'_>,
        is_last: bool,
        store: &mut Store<'a>,
        cx: &mut Context<'_>,
    ) -> Result<Made, Error<'a>> {
        loop {
            match self.try_go_on(build, from, is_last, store) {
                Err(error) if error.refusal().is_some() && cx.relieve(Some(self.id), 1)? => {}
                outcome => return outcome,
            }
        }
    }

    /// Refused memory, it can be asked again and goes on where it was.
    fn try_go_on(
        &mut self,
        build: &mut Build,
        from: Origin<'_>,
        is_last: bool,
        store: &mut Store<'a>,
    ) -> Result<Made, Error<'a>> {
        match self.phase {
            Phase::Done => Ok(Made::Done),
            Phase::Pairs => {
                let (pairs, is_through) = if self.takes_blocks(build, from) {
                    self.block(build, from, store)?
                } else {
                    let is_through = match self.mode {
                        KeyMode::None => self.find_all(build, from, store)?,
                        _ => self.find_equal(build, from, store)?,
                    };
                    (self.pairs(build, from, store)?, is_through)
                };
                if is_through {
                    self.phase = if is_last && self.gives_rest() { Phase::Rest } else { Phase::Done };
                }
                match pairs {
                    Some(rows) => Ok(Made::Batch(rows)),
                    // Most batches of kinds that give no pairs are through in one go.
                    None if self.phase == Phase::Rest => self.rest(build, from, store),
                    None if self.phase == Phase::Done => Ok(Made::Done),
                    None => Ok(Made::Again),
                }
            }
            Phase::Rest => self.rest(build, from, store),
        }
    }

    /// Whether probe rows are given beside pairs: once, or for lack of a match.
    fn gives_rest(&self) -> bool {
        self.kind.keeps_probe() || self.kind == JoinKind::Semi
    }

    /// Whether the first match of a row decides all.
    fn stops_at_match(&self) -> bool {
        matches!(self.kind, JoinKind::Semi | JoinKind::Anti | JoinKind::Mark)
    }

    /// Whether nothing is given for a probe row but its pairs.
    pub(super) fn forgets_probe(&self) -> bool {
        !self.gives_rest()
    }

    /// Whether the first match of a build row decides all.
    fn skips_matched(&self) -> bool {
        matches!(self.kind, JoinKind::RightSemi | JoinKind::RightAnti)
    }

    /// Collects pairs with equal keys until a batch is full, or gives that the batch is through.
    fn find_equal(&mut self, build: &Build, from: Origin<'_>, store: &Store<'a>) -> Result<bool, Error<'a>> {
        let count = store.rows(self.batch).len();
        // Without conjuncts a match is one at once.
        let is_decided = !self.joined.has_conjuncts();
        let has_long_chains = self.is_far && self.compared_count > 2 * self.chains_count;
        while self.at < count {
            let i = self.at;
            let mut candidate = self.candidates[i];
            if has_long_chains && i.is_multiple_of(NEAR_ROWS) {
                self.bring_near(i..count.min(i + NEAR_ROWS), build);
            }
            if candidate != 0 {
                self.chains_count += 1;
                let table = build.table(self.tables[i]);
                let key = match from {
                    Origin::Input => self.keys.key(i),
                    Origin::File(pages, rows) => &pages.get(rows[i])[1..],
                };
                let key = &key[..self.mode.key_bytes(key)];
                while candidate != 0 && !(self.stops_at_match() && self.flags[i] & MATCHED != 0) {
                    if self.joined.is_full(store.capacity) {
                        self.candidates[i] = candidate;
                        return Ok(false);
                    }
                    self.compared_count += 1;
                    let place = unpacked(candidate);
                    let row = table.rows.get(place);
                    candidate = Table::next_in_chain(row);
                    if self.skips_matched() && row[FLAGS_AT] & MATCHED != 0 {
                        continue;
                    }
                    match self.mode.compare(key, &row[KEY_AT..]) {
                        Compared::Different => {}
                        Compared::Unknown => self.flags[i] |= UNKNOWN,
                        Compared::Equal if is_decided && self.stops_at_match() => self.flags[i] |= MATCHED,
                        Compared::Equal => {
                            self.joined.push(Match::pair(i, self.tables[i], place), row.len())?;
                        }
                    }
                }
                self.candidates[i] = 0;
            }
            self.at += 1;
        }
        Ok(true)
    }

    /// Goes along the chains of some rows side by side. One after the other each step would wait for memory, since it is known by the last one.
    fn bring_near(&self, rows: core::ops::Range<usize>, build: &Build) {
        let mut places = [0; NEAR_ROWS];
        let (first, count) = (rows.start, rows.len());
        places[..count].copy_from_slice(&self.candidates[rows]);
        for _ in 0..NEAR_STEPS {
            let mut is_done = true;
            for (place, &table) in places[..count].iter_mut().zip(&self.tables[first..]) {
                if *place != 0 {
                    let rows = &build.table(table).rows;
                    *place = Table::next_in_chain(rows.get(unpacked(*place)));
                    if *place != 0 {
                        rows.prefetch(unpacked(*place));
                        is_done = false;
                    }
                }
            }
            if is_done {
                return;
            }
        }
    }

    /// Whether all build rows are candidates and many, and no build row notes its match.
    fn takes_blocks(&self, build: &Build, from: Origin<'_>) -> bool {
        matches!(self.mode, KeyMode::None)
            && matches!(self.kind, JoinKind::Inner | JoinKind::Left | JoinKind::Semi | JoinKind::Anti)
            && build.table(from.only_table()).rows.rows_count() >= BLOCK_ROWS_MIN
    }

    /// Tests the next probe row with a block of build rows, which the matches are for as long. Gives the pairs that pass if the kind gives
    /// pairs, and whether the batch is through.
    fn block(
        &mut self,
        build: &Build,
        from: Origin<'_>,
        store: &mut Store<'a>,
    ) -> Result<(Option<BatchRows>, bool), Error<'a>> {
        let count = store.rows(self.batch).len();
        if self.joined.matches.is_empty() {
            let table = from.only_table();
            let rows = &build.table(table).rows;
            let mut place = self.place;
            while !self.joined.is_full(store.capacity)
                && let Some((row, next)) = rows.next(place)
            {
                self.joined.push(Match::pair(0, table, row), rows.get(row).len())?;
                place = next;
            }
            if self.joined.matches.is_empty() {
                return Ok((None, true));
            }
            if let Err(refused) = self.joined.write_block(self.payload(build), store) {
                self.joined.clear();
                return Err(refused.into());
            }
            (self.place, self.at) = (place, 0);
        }
        let decided = if self.stops_at_match() { MATCHED | GONE } else { GONE };
        while self.at < count && self.flags[self.at] & decided != 0 {
            self.at += 1;
        }
        if self.at == count {
            self.joined.clear();
            return Ok((None, false));
        }
        let block = BatchRows::all(self.joined.matches.len());
        self.joined.hold(self.sources_of(from), self.batch, self.at, store);
        let passed = self.joined.test(block, false, store)?;
        let has_match = store.rows(passed).len() > 0;
        self.flags[self.at] |= if has_match { MATCHED } else { 0 };
        self.at += 1;
        Ok(((has_match && !self.stops_at_match()).then_some(passed), false))
    }

    /// Collects pairs of all rows until a batch is full, or gives that the batch is through.
    fn find_all(&mut self, build: &Build, from: Origin<'_>, store: &Store<'a>) -> Result<bool, Error<'a>> {
        let table = from.only_table();
        let rows = &build.table(table).rows;
        let count = store.rows(self.batch).len();
        let is_decided = !self.joined.has_conjuncts();
        while self.at < count {
            let decided = if self.stops_at_match() { MATCHED | GONE } else { GONE };
            while self.flags[self.at] & decided == 0
                && let Some((row, next)) = rows.next(self.place)
            {
                if self.joined.is_full(store.capacity) {
                    return Ok(false);
                }
                if is_decided && self.stops_at_match() {
                    self.flags[self.at] |= MATCHED;
                } else if !self.skips_matched() || rows.get(row)[FLAGS_AT] & MATCHED == 0 {
                    self.joined.push(Match::pair(self.at, table, row), rows.get(row).len())?;
                }
                self.place = next;
            }
            self.at += 1;
            self.place = RowRef::default();
        }
        Ok(true)
    }

    /// Tests the pairs that were found and forgets them; gives those that pass if the kind gives pairs.
    fn pairs(
        &mut self,
        build: &mut Build,
        from: Origin<'_>,
        store: &mut Store<'a>,
    ) -> Result<Option<BatchRows>, Error<'a>> {
        if self.joined.matches.is_empty() {
            return Ok(None);
        }
        let gives_pairs = !self.stops_at_match() && !self.skips_matched();
        let three_valued = self.kind == JoinKind::Mark;
        let written = self.write(build, from, store)?;
        let passed = self.joined.test(written, three_valued, store)?;
        let rows = store.rows(passed);
        if !self.forgets_probe() || gives_build_rows(self.kind) {
            for i in 0..rows.len() {
                let pair = rows.nth(i);
                let found = self.joined.matches[pair];
                let flags = &mut self.flags[usize::from(found.probe)];
                if self.kind == JoinKind::Single && *flags & MATCHED != 0 {
                    return Err(Error::ManyRows);
                }
                *flags |= if three_valued && self.joined.unknown[pair] { UNKNOWN } else { MATCHED };
                if gives_build_rows(self.kind) {
                    build.table_mut(found.table).rows.get_mut(found.build)[FLAGS_AT] |= MATCHED;
                }
            }
        }
        let is_empty = rows.len() == 0;
        self.joined.clear();
        Ok(if gives_pairs && !is_empty { Some(passed) } else { None })
    }

    /// Writes the columns of the matches.
    pub(super) fn write(
        &mut self,
        build: &Build,
        from: Origin<'_>,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        self.joined.write(self.sources_of(from), self.batch, self.payload(build), store)
    }

    /// The kept columns of a match's build row.
    fn payload<'b>(&self, build: &'b Build) -> impl Fn(&Match) -> &'b [u8] + Copy + use<'b, 'a> {
        let mode = self.mode;
        move |found: &Match| {
            let row = &build.table(found.table).rows.get(found.build)[KEY_AT..];
            &row[mode.key_bytes(row)..]
        }
    }

    /// Where the probe columns stand.
    fn sources_of(&self, from: Origin<'_>) -> &'a [VectorId] {
        match from {
            Origin::Input => self.sources,
            Origin::File(..) => self.spilled_sources,
        }
    }

    /// Gives the rows that are given once or for lack of a match.
    fn rest(&mut self, build: &Build, from: Origin<'_>, store: &mut Store<'a>) -> Result<Made, Error<'a>> {
        let (wanted, mask) = match self.kind {
            JoinKind::Inner | JoinKind::Right | JoinKind::RightSemi | JoinKind::RightAnti => {
                unreachable!("they give pairs only")
            }
            JoinKind::Left | JoinKind::Full | JoinKind::Single | JoinKind::Anti => (0, MATCHED | GONE),
            JoinKind::Semi => (MATCHED, MATCHED | GONE),
            JoinKind::Mark => (0, GONE),
        };
        self.joined.clear();
        for i in 0..store.rows(self.batch).len() {
            if self.flags[i] & mask == wanted {
                self.joined.push(Match::probe_alone(i), 0)?;
            }
        }
        if self.joined.matches.is_empty() {
            self.phase = Phase::Done;
            return Ok(Made::Done);
        }
        let written = self.write(build, from, store)?;
        self.phase = Phase::Done;
        if let Some(mark) = self.mark {
            self.write_mark(mark, build, from, store);
        }
        self.joined.clear();
        Ok(Made::Batch(written))
    }

    /// Writes the marks of the rows that are given.
    fn write_mark(&self, mark: VectorId, build: &Build, from: Origin<'_>, store: &mut Store<'a>) {
        let mut vector = store.take(mark);
        vector.all_valid = true;
        let Data::Bool(out) = &mut vector.data else { unreachable!("a mark is a boolean") };
        for (at, found) in self.joined.matches.iter().enumerate() {
            let i = usize::from(found.probe);
            let is_usual = matches!(from, Origin::File(..)) || self.keys.classes[i] == Class::Usual;
            let is_unknown = self.flags[i] & UNKNOWN != 0 || (build.has_unknown && is_usual);
            out[at] = self.flags[i] & MATCHED != 0;
            vector.valid[at] = out[at] || !is_unknown;
            vector.all_valid &= vector.valid[at];
        }
        store.put_back(mark, vector);
    }

    /// Gives the build rows that were collected.
    pub(super) fn give_build_rows(
        &mut self,
        build: &Build,
        store: &mut Store<'a>,
    ) -> Result<BatchRows, Error<'a>> {
        self.batch = BatchRows::all(0);
        let written = self.write(build, Origin::Input, store)?;
        self.joined.clear();
        Ok(written)
    }
}

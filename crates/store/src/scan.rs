//! Scans: the rows of a range of keys, in order, as columns.
//!
//! A scan remembers where it is by the key of the last row, so it holds nothing that others wait for between two calls.
//! When a flush or a compaction has changed what there is to read, it attaches itself to that and seeks again.

mod pieces;

use core::ops::Bound;
use std::sync::Arc;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena, BudgetAlloc};
use cofferdam_types::Value;
use cofferdam_types::column::Kind;

use crate::encode::{EncodedRange, KeyRange};
use crate::error::{Error, InputKind, InputProblem};
use crate::input::{MemoryInput, SegmentInput};
use crate::level::{LEVELS, of_level, overlapping};
use crate::memtable;
use crate::merge::{Filter, Merge, OWN_SEQUENCE, Pick, Sources, Step, Window};
use crate::page::{ColumnMut, ROWS_MAX};
use crate::read::{View, no_such_table};
use crate::schema::{Schema, TableId};
use crate::segment::ZoneLimits;
use crate::table::Table;
use crate::version::{Segment, Version};

pub use self::pieces::Pieces;

/// Memtables that a scan may read: the transaction's own changes, the active one, the sealed one.
const MEMORY_INPUTS_MAX: usize = 3;
/// Rows of a window of a segment where others are read beside it.
const WINDOW_ROWS: usize = 512;

/// A scan of a table or index.
///
/// Segments whose keys do not overlap are read one behind the other, whatever their levels: a table that was loaded in order is
/// one *chain* of segments, and as long as that is all there is, its rows need not be compared with others.
///
/// **Memory.** Of the arena that it was begun with: 16 bytes for each segment that overlaps the range, and for each chain a
/// buffer for each column that is read and for each column of the key, as large as the read-ahead or a page, and 17 bytes for each of
/// 512 rows. Of pages that are in the cache it holds a piece of it instead of a buffer, as large at most. Beside it 10 KiB of stack while it runs.
pub struct Scan<'a> {
    table: Arc<Table>,
    schema: Schema<'a>,
    columns: &'a [u16],
    range: EncodedRange,
    limits: &'a [ZoneLimits<'a>],
    merge: Merge<'a>,
    picks: Vec<'a, Pick>,
    segments: Vec<'a, SegmentInput<'a>>,
    /// Segments that are to be attached, by their first keys.
    waiting: Vec<'a, Option<Arc<Segment>>>,
    /// How many of the inputs are attached.
    attached: usize,
    /// The version and how many runs they are attached to.
    attached_to: Option<(u64, u64)>,
    /// The last operation of its own transaction that it sees: what is changed while it goes on is not seen.
    operation: Option<u64>,
    /// The one input is read without the merge, which does not know its position.
    is_alone: bool,
    read_ahead_bytes: usize,
    /// The columns that are read and are texts, and how many bytes of them are given at once.
    texts: &'a [u16],
    texts_bytes_max: u64,
    is_done: bool,
    arena: &'a Arena,
}

impl core::fmt::Debug for Scan<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scan")
            .field("table", &self.table.id())
            .field("is_done", &self.is_done)
            .finish_non_exhaustive()
    }
}

/// What is wanted of a column: values between two bounds. NULL is never between them.
#[derive(Clone, Copy, Debug)]
pub struct ColumnRange<'v> {
    /// The column, by its place in the table.
    pub column: u16,
    /// Where values begin; of the column's type.
    pub from: Bound<Value<'v>>,
    /// Where they end.
    pub to: Bound<Value<'v>>,
}

/// Rows that a scan has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many; 0 at the end.
    pub rows: usize,
    /// Whether all columns were written.
    pub is_whole: bool,
}

impl Part {
    const NONE: Part = Part { rows: 0, is_whole: true };
}

/// The sources of a scan while memtables are pinned.
struct Inputs<'i, 'p, 'a> {
    memory: &'i Memory<'p>,
    segments: &'i [SegmentInput<'a>],
}

type Memory<'p> = [Option<MemoryInput<'p>>; MEMORY_INPUTS_MAX];

impl Sources for Inputs<'_, '_, '_> {
    fn count(&self) -> usize {
        MEMORY_INPUTS_MAX + self.segments.len()
    }

    fn window(&self, source: usize) -> Window<'_> {
        match self.memory.get(source) {
            Some(input) => input.as_ref().map_or(Window::default(), MemoryInput::window),
            None => self.segments[source - MEMORY_INPUTS_MAX].window(),
        }
    }

    fn put_key(&self, source: usize, row: usize, key: &mut Vec<'_, u8>) -> Result<(), Error> {
        match self.memory.get(source) {
            Some(input) => Ok(key.extend_from_slice(input.as_ref().expect("it has rows").key(row))?),
            None => self.segments[source - MEMORY_INPUTS_MAX].put_key(row, key),
        }
    }
}

impl<'a> Scan<'a> {
    /// A scan of some columns of a table, over a range of its keys.
    ///
    /// # Errors
    /// [`Error::Input`] for a column or a key that the table does not have; the arena's budget refuses.
    pub fn new(
        table: &Arc<Table>,
        columns: &[u16],
        range: &KeyRange<'_>,
        arena: &'a Arena,
    ) -> Result<Scan<'a>, Error> {
        let (id, schema) = (table.id(), table.schema());
        let range = EncodedRange::new(id, &schema, range, &BudgetAlloc::new(arena.budget()))?;
        Scan::of_range(table, columns, range, arena)
    }

    /// A scan of the keys that begin with some bytes, without columns.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub(crate) fn of_prefix(table: &Arc<Table>, prefix: &[u8], arena: &'a Arena) -> Result<Scan<'a>, Error> {
        let range = EncodedRange::of_prefix(prefix, &BudgetAlloc::new(arena.budget()))?;
        Scan::of_range(table, &[], range, arena)
    }

    /// A scan of the keys behind one, without columns.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub(crate) fn behind(table: &Arc<Table>, key: &[u8], arena: &'a Arena) -> Result<Scan<'a>, Error> {
        let range = EncodedRange::behind(key, &BudgetAlloc::new(arena.budget()))?;
        Scan::of_range(table, &[], range, arena)
    }

    fn of_range(
        table: &Arc<Table>,
        columns: &[u16],
        range: EncodedRange,
        arena: &'a Arena,
    ) -> Result<Scan<'a>, Error> {
        let (id, schema) = (table.id(), table.schema());
        if let Some(column) = columns.iter().find(|column| usize::from(**column) >= schema.columns.len()) {
            let kind = InputKind::Count;
            return Err(Error::Input(InputProblem { table: id, column: Some(*column), kind }));
        }
        let shape = schema.key_shape();
        let schema = Schema {
            columns: arena.alloc_slice_copy(schema.columns)?,
            key: arena.alloc_slice_copy(schema.key)?,
        };
        let limit = usize::try_from(arena.budget().limit_on_path()).unwrap_or(usize::MAX);
        Ok(Scan {
            table: Arc::clone(table),
            schema,
            columns: arena.alloc_slice_copy(columns)?,
            range,
            limits: &[],
            merge: Merge::new(shape, 0, arena)?,
            picks: Vec::new_in(arena),
            segments: Vec::new_in(arena),
            waiting: Vec::new_in(arena),
            attached: 0,
            attached_to: None,
            operation: None,
            is_alone: false,
            read_ahead_bytes: (limit / 64).clamp(4 << 10, 128 << 10),
            texts: &[],
            texts_bytes_max: u64::MAX,
            is_done: false,
            arena,
        })
    }

    /// Lets the scan leave out rows that do not lie within all of these ranges, where the bounds that the store keeps of each page
    /// (its zone maps) say so; whoever reads tests the rows that come nevertheless. Costs 80 bytes of the arena for each range.
    ///
    /// # Errors
    /// The arena's budget refuses.
    ///
    /// # Panics
    /// If the table has no such column.
    pub fn leave_out_all_but(&mut self, ranges: &[ColumnRange<'_>]) -> Result<(), AllocError> {
        let limits_of = |range: &ColumnRange<'_>| {
            let ty = self.schema.columns[usize::from(range.column)].ty;
            ZoneLimits::new(range.column, ty, range.from, range.to)
        };
        self.limits = self.arena.alloc_slice_from_iter(ranges.iter().map(limits_of))?;
        Ok(())
    }

    /// Lets the scan leave out, beside what it leaves out already, rows whose value in a column, which is held as a number of 32 or 64
    /// bits, lies in none of some ranges: they ascend and do not overlap, and have both ends. Costs 96 bytes of the arena for each
    /// limit that there is.
    ///
    /// # Errors
    /// The arena's budget refuses.
    ///
    /// # Panics
    /// If the table has no such column.
    pub fn leave_out_all_but_numbers(
        &mut self,
        column: u16,
        ranges: &'a [(i64, i64)],
    ) -> Result<(), AllocError> {
        assert!(usize::from(column) < self.schema.columns.len(), "the table has the column");
        let mut limits = Vec::with_capacity_in(self.limits.len() + 1, self.arena)?;
        limits.extend_from_slice(self.limits)?;
        limits.push(ZoneLimits::among(column, ranges))?;
        self.limits = limits.into_slice();
        Ok(())
    }

    /// Has no more rows given at once than have so many bytes of long texts, or what one row has, for each input that is read.
    ///
    /// # Errors
    /// The arena's budget refuses.
    pub fn give_texts_of(&mut self, bytes_max: u64) -> Result<(), AllocError> {
        let is_text = |column: &&u16| self.schema.columns[usize::from(**column)].kind() == Kind::Text;
        let texts = self.columns.iter().filter(is_text);
        let mut found = Vec::with_capacity_in(texts.clone().count(), self.arena)?;
        found.extend(texts.copied())?;
        (self.texts, self.texts_bytes_max) = (found.into_slice(), bytes_max);
        Ok(())
    }

    /// What is given of one column that is a text.
    fn text_bytes_max(&self) -> u64 {
        self.texts_bytes_max / self.texts.len().max(1) as u64
    }

    /// Begins again, with another range. What was taken for the range before is kept and used again, and of its own transaction the scan
    /// sees what it saw there.
    ///
    /// # Errors
    /// As [`Scan::new`].
    pub fn restart(&mut self, range: &KeyRange<'_>) -> Result<(), Error> {
        self.range.set(self.table.id(), &self.schema, range)?;
        self.begin_again();
        Ok(())
    }

    fn begin_again(&mut self) {
        self.merge.restart();
        self.detach();
        (self.is_alone, self.is_done) = (false, false);
    }

    /// The encoded key of the last row that was given, or of a row behind it; for scans that have no columns.
    pub(crate) fn last_key(&self) -> Option<&[u8]> {
        debug_assert!(!self.is_alone);
        self.merge.position().map(|(key, _)| key)
    }

    /// The table that it reads.
    pub fn table(&self) -> TableId {
        self.table.id()
    }

    /// The next rows: writes their columns to the first rows of `into`, one for each column that was asked for, and gives how many
    /// there are, `rows_max` at most; 0 at the end.
    ///
    /// The view must be the same one at each call, or one of the same transaction or snapshot. Texts are appended to the heaps,
    /// whose owner empties them between calls.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`], [`Error::OutOfMemory`]; [`Error::Input`] if the table is gone. After one the scan is at its end.
    ///
    /// # Panics
    /// If `into` has other columns, or less room.
    pub fn next(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, Error> {
        Ok(self.next_of(view, into, rows_max, None)?.rows)
    }

    /// [`Scan::next`], but only the columns at some places of `into` are surely written, if there are `first` ones: for a reader who
    /// looks at these before he knows which rows he wants. The others are [`Scan::rest`].
    ///
    /// # Errors
    /// As [`Scan::next`].
    ///
    /// # Panics
    /// As [`Scan::next`].
    pub fn next_of(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
        first: Option<&[u16]>,
    ) -> Result<Part, Error> {
        assert_eq!(into.len(), self.columns.len(), "a target for each column");
        if self.is_done {
            return Ok(Part::NONE);
        }
        for column in into.iter_mut() {
            *column.all_valid = true;
        }
        self.is_done = true;
        let part = self.fill(view, into, rows_max.min(ROWS_MAX), first)?;
        self.is_done = part.rows == 0;
        if self.is_done {
            self.detach();
        }
        Ok(part)
    }

    /// The columns that [`Scan::next_of`] left out, of the rows that it gave last, if it left some out: of all of them at their places,
    /// or of some, which ascend, one behind the other.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`], [`Error::OutOfMemory`]. After one the scan is at its end.
    ///
    /// # Panics
    /// If there are no such rows, or nothing was left out.
    pub fn rest(
        &mut self,
        into: &mut [ColumnMut<'_, '_>],
        first: &[u16],
        rows: Option<&[u16]>,
    ) -> Result<(), Error> {
        assert!(self.is_alone && !self.is_done, "columns were left out");
        self.is_done = true;
        let input = &mut self.segments[0];
        for (place, column) in self.columns.iter().enumerate() {
            if !first.contains(&(place as u16)) {
                match rows {
                    Some(rows) => input.gather(*column, rows, into[place].reborrow(), 0)?,
                    None => input.copy(*column, 0..input.rows_count(), into[place].reborrow(), 0)?,
                }
            }
        }
        self.is_done = false;
        Ok(())
    }

    fn detach(&mut self) {
        for input in self.segments.iter_mut() {
            input.detach();
        }
        (self.attached, self.attached_to) = (0, None);
    }

    fn fill(
        &mut self,
        view: View<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
        first: Option<&[u16]>,
    ) -> Result<Part, Error> {
        let mut view = view;
        if let Some(own) = &mut view.own {
            own.operation = *self.operation.get_or_insert(own.operation);
        }
        // R1: pins first.
        let pins = view.inner.memtables.pin().expect("fewer than 2^32 readers");
        let version = view.inner.versions.current();
        let attached_to = (version.number(), view.own.map_or(0, |own| own.runs.changes_count()));
        if self.attached_to != Some(attached_to) {
            self.stop_alone()?;
            self.attach(view, &version)?;
            self.attached_to = Some(attached_to);
        }
        let tables = [
            view.own.map(|own| (own.writes, OWN_SEQUENCE)),
            Some((pins.active(), 0)),
            pins.sealed().map(|sealed| (sealed, 0)),
        ];
        if !self.columns.is_empty() && (self.is_alone || self.merge.position().is_none()) {
            let is_empty = tables.iter().flatten().all(|(table, _)| self.is_empty_in(*table));
            if is_empty && self.attached == 1 {
                let rows = self.fill_alone(into, rows_max, first)?;
                if rows > 0 || self.is_alone {
                    return Ok(Part { rows, is_whole: first.is_none() });
                }
            }
        }
        self.stop_alone()?;
        let rows = self.fill_merged(view, tables, into, rows_max)?;
        Ok(Part { rows, is_whole: true })
    }

    /// [`Scan::fill`] from several inputs. Not inlined: its stack is touched page by page at the begin of each call.
    #[inline(never)]
    fn fill_merged(
        &mut self,
        view: View<'_>,
        tables: [Option<(memtable::Memtable<'_>, u64)>; MEMORY_INPUTS_MAX],
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, Error> {
        let (id, shape) = (self.table.id(), self.schema.key_shape());
        let start = self.merge.position().unwrap_or((&self.range.from, u64::MAX));
        // Windows are kilobytes: each is made once, and not moved with the array.
        let mut memory: [Option<MemoryInput<'_>>; MEMORY_INPUTS_MAX] = [const { None }; MEMORY_INPUTS_MAX];
        for (input, table) in memory.iter_mut().zip(tables) {
            if let Some((table, base)) = table {
                let base = (base, if self.texts.is_empty() { u64::MAX } else { self.texts_bytes_max });
                *input = Some(MemoryInput::new(table.cursor(), id, shape, base, start, &self.range));
            }
        }
        for source in 0..MEMORY_INPUTS_MAX {
            self.merge.moved_on(source);
        }
        for (place, input) in self.segments[..self.attached].iter_mut().enumerate() {
            if !input.is_shown() {
                input.move_on(&self.range)?;
                self.merge.moved_on(MEMORY_INPUTS_MAX + place);
            }
        }
        let own = view.own.map_or(0, |own| OWN_SEQUENCE + own.operation);
        self.merge_into(&mut memory, &Filter::Visible { snapshot: view.snapshot, own }, into, rows_max)
    }

    /// Whether a memtable has nothing in what is left of the range.
    fn is_empty_in(&self, table: memtable::Memtable<'_>) -> bool {
        let mut cursor = table.cursor();
        // Where the scan is alone its position is further on: what comes before was empty then and is not seen now.
        cursor.seek(self.table.id(), &self.range.from, u64::MAX);
        cursor.entry().is_none_or(|entry| entry.table != self.table.id() || self.range.is_behind(entry.key))
    }

    /// Reads the one input as long as all its rows count: 0 where they do not, or at the end, where it stays alone.
    fn fill_alone(
        &mut self,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
        first: Option<&[u16]>,
    ) -> Result<usize, Error> {
        let input = &mut self.segments[0];
        if !input.advance(rows_max, &self.range)? {
            self.is_alone = true;
            return Ok(0);
        }
        if !input.is_plain() {
            // Of the rows that were read without it the merge must know the last key only if that has more versions.
            if input.continues() {
                self.merge.set_position(|key| input.put_key_of(0, key))?;
            }
            input.step_back();
            self.is_alone = false;
            return Ok(0);
        }
        self.is_alone = true;
        let rows = input.rows_count();
        for (place, column) in self.columns.iter().enumerate() {
            if first.is_none_or(|first| first.contains(&(place as u16))) {
                input.copy(*column, 0..rows, into[place].reborrow(), 0)?;
            }
        }
        Ok(rows)
    }

    /// Lets the merge go on where the one input was read without it.
    fn stop_alone(&mut self) -> Result<(), Error> {
        if !core::mem::take(&mut self.is_alone) {
            return Ok(());
        }
        let input = &mut self.segments[0];
        let last = input.rows_count() - 1;
        self.merge.set_position(|key| input.put_key_of(last, key))
    }

    fn merge_into(
        &mut self,
        memory: &mut Memory<'_>,
        filter: &Filter<'_>,
        into: &mut [ColumnMut<'_, '_>],
        rows_max: usize,
    ) -> Result<usize, Error> {
        let (mut done, mut room) = (0, rows_max);
        loop {
            let inputs = Inputs { memory, segments: &self.segments[..self.attached] };
            let step = self.merge.step(&inputs, filter, &mut self.picks, &mut room)?;
            done = self.copy_picks(memory, into, done)?;
            match step {
                Step::Full | Step::End => break,
                Step::Window(source) => {
                    match memory.get_mut(source) {
                        Some(input) => input.as_mut().expect("it had rows").move_on(&self.range),
                        None => self.segments[source - MEMORY_INPUTS_MAX].move_on(&self.range)?,
                    }
                    self.merge.moved_on(source);
                    let bytes = || into.iter().map(|column| column.heap.len() as u64).sum::<u64>();
                    if done > 0 && !self.texts.is_empty() && bytes() >= self.texts_bytes_max {
                        break;
                    }
                }
            }
        }
        self.merge.detach(&Inputs { memory, segments: &self.segments[..self.attached] })?;
        Ok(done)
    }

    /// Copies the rows that were picked to row `done` and those behind it.
    fn copy_picks(
        &mut self,
        memory: &Memory<'_>,
        into: &mut [ColumnMut<'_, '_>],
        mut done: usize,
    ) -> Result<usize, Error> {
        for pick in self.picks.iter() {
            let rows = pick.start as usize..(pick.start + pick.count) as usize;
            let count = rows.len();
            match memory.get(usize::from(pick.source)) {
                Some(input) => {
                    let input = input.as_ref().expect("it has rows");
                    for (place, row) in rows.enumerate() {
                        input.copy(row, &self.schema, self.columns, into, done + place)?;
                    }
                }
                None => {
                    let input = &mut self.segments[usize::from(pick.source) - MEMORY_INPUTS_MAX];
                    for (place, column) in self.columns.iter().enumerate() {
                        input.copy(*column, rows.clone(), into[place].reborrow(), done)?;
                    }
                }
            }
            done += count;
        }
        self.picks.clear();
        Ok(done)
    }

    /// Attaches the inputs to the segments that there are now.
    fn attach(&mut self, view: View<'_>, version: &Version) -> Result<(), Error> {
        self.detach();
        let id = self.table.id();
        let own = view.own;
        let is_own = own.is_some_and(|own| own.created.iter().any(|table| table.id() == id));
        let segments = match version.table(id) {
            Some(entry) => entry.segments(),
            None if is_own => &[],
            None => return Err(no_such_table(id)),
        };
        if let Some(own) = own {
            own.runs
                .segments()
                .iter()
                .filter(|run| run.info.table == id)
                .try_for_each(|run| self.add(run))?;
            self.attach_chains(view, OWN_SEQUENCE + own.operation)?;
        }
        let (own_count, mut deepest) = (self.attached, 0);
        for level in 0..LEVELS {
            let to = self.range.to.as_deref().unwrap_or(&[u8::MAX]);
            let places = match level {
                0 => of_level(segments, 0),
                _ => overlapping(segments, level, (&self.range.from, to)),
            };
            let before = self.waiting.len();
            segments[places].iter().try_for_each(|segment| self.add(segment))?;
            deepest = if self.waiting.len() > before { level as u8 } else { deepest };
        }
        self.attach_chains(view, view.snapshot)?;
        // What hides nothing may be left out: all if no segments overlap, else those of the deepest level.
        let (from, least_level) = if self.attached == 1 { (0, 0) } else { (own_count, deepest.max(1)) };
        for input in &mut self.segments[from..self.attached] {
            input.leave_out(self.limits, least_level);
        }
        self.merge.attach(MEMORY_INPUTS_MAX + self.attached)
    }

    /// Has a segment attached that has something of what is left of the range.
    fn add(&mut self, segment: &Arc<Segment>) -> Result<(), AllocError> {
        let from = self.merge.position().map_or(&self.range.from[..], |(key, _)| key);
        let (smallest, largest) = segment.keys();
        if largest < from || self.range.is_behind(smallest) {
            return Ok(());
        }
        self.waiting.push(Some(Arc::clone(segment)))
    }

    /// Attaches inputs to the segments that wait: as few as can be where an input's segments do not overlap. That they are taken by
    /// their first keys makes it so.
    fn attach_chains(&mut self, view: View<'_>, plain_until: u64) -> Result<(), Error> {
        let bytes_max = self.text_bytes_max();
        let waiting = &mut self.waiting;
        waiting.sort_unstable_by(|a, b| smallest(a).cmp(&smallest(b)));
        while !waiting.is_empty() {
            if self.attached == self.segments.len() {
                let input = SegmentInput::new(self.schema, self.read_ahead_bytes, WINDOW_ROWS, self.arena)?;
                let input = input.bounded(self.texts, bytes_max);
                self.segments.push(input.keeping_pages())?;
            }
            let mut last: Option<Arc<Segment>> = None;
            let chain = waiting.iter_mut().filter_map(|slot| {
                let is_behind = last.as_ref().is_none_or(|last| Some(last.keys().1) < smallest(slot));
                last = if is_behind { slot.clone() } else { last.take() };
                if is_behind { slot.take() } else { None }
            });
            let from = self.merge.position().map_or(&self.range.from[..], |(key, _)| key);
            let input = &mut self.segments[self.attached];
            input.attach(chain, plain_until, from, &self.range, &view.inner.cache)?;
            self.attached += 1;
            waiting.retain(Option::is_some);
        }
        Ok(())
    }
}

/// The least key of a segment that waits, or a bound of it.
fn smallest(waiting: &Option<Arc<Segment>>) -> Option<&[u8]> {
    waiting.as_ref().map(|segment| segment.keys().0)
}

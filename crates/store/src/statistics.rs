//! What is known of the values of a table without reading it, for planners.
//!
//! Segments have sketches of their columns (`segment/sketch`), made when they were written; memtables are small enough to be
//! looked through. All of it is put together here:
//!
//! ```text
//!   write set ─┐                      rows with hashes below the least limit       newest version
//!   runs      ─┤                                                                   of each key
//!   memtables ─┼──> (hash, age, row) ──────────────────────────────────────────> live rows ──> values of a column, sorted
//!   segments  ─┘      registers ──> distinct values;  zones ──> bounds                          │
//!                                                                 common values, histogram <────┘
//! ```
//!
//! Since samples choose rows by the hashes of their keys, the versions of a key meet here, the newest one counts, and a tombstone
//! takes its key away: what is left is a sample of the rows that a reader sees, and the share that is left of the versions tells
//! how many rows there are.
//!
//! - **Bounded**: at most [`SEGMENTS_MAX`] segments are asked (of more, some between), [`ENTRIES_MAX`] entries of a
//!   memtable, and [`ROWS_MAX`] rows are kept; three small pieces a segment and column, through the cache.
//! - **Estimates**: what a flush or a commit moves at the same moment may count twice or not at all.
//!
//! # Source
//! P. J. Haas, L. Stokes: Estimating the number of classes in a finite population, JASA 93 (1998), the estimator Duj1, for columns
//! of which only a sample is known.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};
use cofferdam_types::column::{Data, Kind, TextView, bytes_of};
use cofferdam_types::row::{decode_bytes, decode_row, encode_row, row_bytes};
use cofferdam_types::{Decimal, Type, Value};

use crate::error::Error;
use crate::memtable::{Entry, EntryKind, Memtable};
use crate::page::{PageError, PageValue, Zone, ZoneBound};
use crate::read::View;
use crate::schema::TableId;
use crate::segment::distinct::{self, REGISTERS_MAX};
use crate::segment::sample::{WHOLE_TEXT_BYTES, kept_bytes, whole_characters};
use crate::segment::sketch::Sketch;
use crate::segment::{self, PageSource, Scratch, Segment, hash_key, union_of_zones, zones_are_ordered};
use crate::table::Table;

/// Segments that are asked for their sketches.
const SEGMENTS_MAX: usize = 64;
/// Entries of a memtable that are looked at.
const ENTRIES_MAX: u64 = 16 << 10;
/// Rows that are kept while a table is looked at, and bytes of those of memtables.
const ROWS_MAX: usize = 512;
const BYTES_MAX: usize = 32 << 10;
/// Bounds of a histogram.
const BOUNDS_MAX: usize = 33;
/// Common values of a column.
const COMMON_MAX: usize = 32;

/// What is known of a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableStatistics<'a> {
    /// How many rows there are, about.
    pub rows: u64,
    /// One for each column that was asked for, in that order.
    pub columns: &'a [ColumnStatistics<'a>],
}

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnStatistics<'a> {
    /// The share of the rows that are NULL.
    pub null_fraction: f64,
    /// How many distinct values there are beside NULL; 0 where there are none or nothing is known of them.
    pub distinct: f64,
    /// Bytes of a value that is not NULL: of a text its own, of any other what it takes in a column.
    pub average_bytes: f64,
    /// A value that no value is less than: of a text, the beginning of one.
    pub min: Option<Value<'a>>,
    /// The greatest value, or one that is not less; of texts the greatest that is known of.
    pub max: Option<Value<'a>>,
    /// Values that are common, the most common one first, each with its share of the rows.
    pub common: &'a [(Value<'a>, f64)],
    /// Bounds in ascending order between which there are about as many rows each, of those that are neither NULL nor
    /// common; two at least, or none. Texts are beginnings, of 29 bytes at least where they are cut.
    pub histogram: &'a [Value<'a>],
}

impl View<'_> {
    /// What is known of a table and of some of its columns, in `arena`.
    ///
    /// **Memory.** In `arena` less than 6 KiB a column; while it works, up to about 200 KiB of the same budget for large tables,
    /// and little for small ones.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`]; [`Error::OutOfMemory`]. All of it is for planners, who can do without.
    pub fn statistics<'a>(
        &self,
        table: &Table,
        columns: &[u16],
        arena: &'a Arena,
    ) -> Result<TableStatistics<'a>, Error> {
        let work = Arena::new(arena.budget());
        let mut scratch = Scratch::new_in(&work);
        let source = PageSource::cached(&self.inner.cache);
        let version = self.inner.versions.current();
        let entry = version.table(table.id());
        let stored = entry.map_or(&[][..], |entry| entry.segments());
        let step = stored.len().div_ceil(SEGMENTS_MAX).max(1);
        let mut segments = Vec::new_in(&work);
        // Newest first, the transaction's own ones before the others.
        let own_runs = self.own.map_or(&[][..], |own| own.runs.segments());
        let own_runs = own_runs.iter().rev().filter(|run| run.info.table == table.id());
        segments.extend(own_runs.map(|run| &run.reader))?;
        let runs_count = segments.len();
        segments.extend(stored.iter().step_by(step).map(|segment| &segment.reader))?;

        let mut gathered = Gathered::new_in(&work);
        for (index, segment) in segments.iter().enumerate() {
            gathered.add_segment(age_of(index, runs_count), segment, source, &mut scratch)?;
        }
        gathered.scale(entry.map_or(0, |entry| entry.rows()), &segments[runs_count..]);
        if let Some(own) = &self.own {
            gathered.add_memtable(&own.writes, table.id(), own.operation, Age::OwnWrites)?;
        }
        let pins = self.inner.memtables.pin().expect("fewer than 2^32 readers");
        gathered.add_memtable(&pins.active(), table.id(), self.snapshot, Age::Active)?;
        if let Some(sealed) = pins.sealed() {
            gathered.add_memtable(&sealed, table.id(), self.snapshot, Age::Sealed)?;
        }
        drop(pins);
        gathered.keep_live();
        let rows = gathered.rows();
        let looked = Looked { table, rows, segments: &segments, runs_count, gathered: &gathered, source };
        let mut found = Vec::with_capacity_in(columns.len(), arena)?;
        for column in columns {
            let room = Arena::new(arena.budget());
            found.push(looked.column(usize::from(*column), &mut scratch, &room, arena)?)?;
        }
        Ok(TableStatistics { rows: rows.round() as u64, columns: found.into_slice() })
    }

    /// About how many rows a table has in memory, looking at few of them.
    pub(crate) fn rows_in_memory(&self, table: TableId) -> u64 {
        const LOOKED_AT: u64 = 64;
        let own = self.own.map_or(0, |own| entries_in(&own.writes, table, LOOKED_AT, |_| {}));
        let pins = self.inner.memtables.pin().expect("fewer than 2^32 readers");
        let sealed = pins.sealed().map_or(0, |sealed| entries_in(&sealed, table, LOOKED_AT, |_| {}));
        own + entries_in(&pins.active(), table, LOOKED_AT, |_| {}) + sealed
    }
}

/// About how many entries a table has in a memtable: exactly, if there are no more than `looked_at`, each of which `visit` is
/// given; else its part of all entries, if all tables have as many.
fn entries_in(
    memtable: &Memtable<'_>,
    table: TableId,
    looked_at: u64,
    mut visit: impl FnMut(&Entry<'_>),
) -> u64 {
    let mut cursor = memtable.cursor();
    cursor.seek(table, &[], u64::MAX);
    let mut count = 0;
    while let Some(entry) = cursor.entry().filter(|entry| entry.table == table) {
        if count == looked_at {
            let figures = memtable.figures();
            return (figures.entries_count / figures.tables_count.max(1)).max(count + 1);
        }
        count += 1;
        visit(&entry);
        cursor.next();
    }
    count
}

/// Where a version of a row is, the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    OwnWrites,
    OwnRun(u16),
    Active,
    Sealed,
    Segment(u16),
}

/// A row whose key has a hash below the limit.
#[derive(Clone, Copy, Debug)]
struct Picked {
    hash: u64,
    age: Age,
    /// Where it is: the row of a sample, or where its bytes begin.
    at: u32,
    is_delete: bool,
}

/// What is gathered of a table.
#[derive(Debug)]
struct Gathered<'w> {
    limit: u64,
    picked: Vec<'w, Picked>,
    /// Encoded rows of memtables.
    bytes: Vec<'w, u8>,
    /// Keys of all that rows were picked from, each source counting its own, and how many rows were picked.
    entries: f64,
    picked_count: usize,
    /// Rows of all else, if their tombstones take away as many.
    rest_rows: f64,
    /// Whether a segment has older versions of its rows.
    has_versions: bool,
    /// Whether a memtable has more entries than were looked at.
    is_partial: bool,
}

impl<'w> Gathered<'w> {
    fn new_in(work: &'w Arena) -> Gathered<'w> {
        Gathered {
            limit: u64::MAX,
            picked: Vec::new_in(work),
            bytes: Vec::new_in(work),
            entries: 0.0,
            picked_count: 0,
            rest_rows: 0.0,
            has_versions: false,
            is_partial: false,
        }
    }

    /// Every row of the table was picked.
    fn is_complete(&self) -> bool {
        self.limit == u64::MAX && self.rest_rows == 0.0 && !self.is_partial
    }

    fn add_segment(
        &mut self,
        age: Age,
        segment: &Segment,
        source: PageSource<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), Error> {
        let keys_count = segment.with_sketches(source, scratch, |head| {
            if head.rows() == 0 {
                return Ok(None);
            }
            self.limit = self.limit.min(head.limit());
            for row in 0..head.rows() {
                let (hash, is_delete) = head.row(row);
                self.pick(Picked { hash, age, at: row as u32, is_delete }, &[])?;
            }
            Ok(Some(head.keys_count()))
        })?;
        match keys_count.flatten() {
            Some(count) => {
                self.entries += count as f64;
                self.has_versions |= count < segment.rows_count();
            }
            None => self.rest_rows += net_rows(segment) as f64,
        }
        Ok(())
    }

    /// Has the segments that were asked stand for those that were not.
    fn scale(&mut self, stored_rows: u64, asked: &[&Segment]) {
        let asked_rows: u64 = asked.iter().map(|segment| segment.rows_count()).sum();
        if asked_rows > 0 && asked_rows < stored_rows {
            let share = stored_rows as f64 / asked_rows as f64;
            self.entries *= share;
            self.rest_rows *= share;
            // The least hashes of the others are not there.
            self.limit = self.limit.min(u64::MAX - 1);
        }
    }

    fn add_memtable(
        &mut self,
        memtable: &Memtable<'_>,
        table: TableId,
        sequence: u64,
        age: Age,
    ) -> Result<(), Error> {
        let mut last_key: Option<u64> = None;
        let (mut result, mut versions) = (Ok(()), 0);
        let entries = entries_in(memtable, table, ENTRIES_MAX, |entry| {
            let hash = hash_key(entry.key);
            // The newest version that is seen comes first, and equal keys have equal hashes.
            if entry.sequence > sequence || last_key == Some(hash) {
                versions += 1;
                return;
            }
            last_key = Some(hash);
            if result.is_ok() {
                let picked = Picked { hash, age, at: 0, is_delete: entry.kind == EntryKind::Delete };
                result = self.pick(picked, entry.row);
            }
        });
        self.is_partial |= entries > ENTRIES_MAX;
        self.entries += (entries - versions) as f64;
        Ok(result?)
    }

    /// Takes a row, if its hash is below the limit, which goes down where there is no room any more.
    #[inline]
    fn pick(&mut self, picked: Picked, bytes: &[u8]) -> Result<(), AllocError> {
        if picked.hash >= self.limit {
            return Ok(());
        }
        self.picked.push(Picked {
            at: if bytes.is_empty() { picked.at } else { self.bytes.len() as u32 },
            ..picked
        })?;
        self.bytes.extend_from_slice(bytes)?;
        while self.picked.len() > ROWS_MAX || self.bytes.len() > BYTES_MAX {
            self.limit /= 2;
            self.drop_above_limit();
        }
        Ok(())
    }

    /// Forgets rows that are not below the limit, and their bytes.
    fn drop_above_limit(&mut self) {
        let Gathered { limit, picked, bytes, .. } = self;
        let (mut kept, mut end) = (0, 0);
        for index in 0..picked.len() {
            let row = picked[index];
            if row.hash >= *limit {
                continue;
            }
            picked[kept] = row;
            if row.age.is_memory() && !row.is_delete {
                // Bytes of rows stand in the order in which they were picked.
                let next = picked[index + 1..].iter().find(|row| row.age.is_memory() && !row.is_delete);
                let (start, stop) = (row.at as usize, next.map_or(bytes.len(), |next| next.at as usize));
                bytes.copy_within(start..stop, end);
                picked[kept].at = end as u32;
                end += stop - start;
            }
            kept += 1;
        }
        picked.truncate(kept);
        bytes.truncate(end);
    }

    /// Keeps the newest version of each key, if it is a row.
    fn keep_live(&mut self) {
        self.drop_above_limit();
        self.picked_count = self.picked.len();
        self.picked.sort_unstable_by_key(|picked| (picked.hash, picked.age));
        let mut last = None;
        self.picked.retain(|picked| {
            let is_newest = last != Some(picked.hash);
            last = Some(picked.hash);
            is_newest && !picked.is_delete
        });
        self.picked.sort_unstable_by_key(|picked| (picked.age, picked.at));
    }

    /// The rows that are left of a source, after [`Gathered::keep_live`].
    fn rows_of(&self, age: Age) -> &[Picked] {
        let start = self.picked.partition_point(|picked| picked.age < age);
        let end = self.picked.partition_point(|picked| picked.age <= age);
        self.picked.get(start..end).unwrap_or(&[])
    }

    /// How many rows there are, after [`Gathered::keep_live`].
    fn rows(&self) -> f64 {
        let live = match self.picked_count {
            0 => 1.0,
            count => self.picked.len() as f64 / count as f64,
        };
        self.entries * live + self.rest_rows
    }
}

impl Age {
    fn is_memory(self) -> bool {
        matches!(self, Age::OwnWrites | Age::Active | Age::Sealed)
    }
}

/// Rows of a segment without its tombstones and what they take away.
pub(crate) fn net_rows(segment: &Segment) -> u64 {
    segment.rows_count().saturating_sub(2 * segment.tombstones_count())
}

/// A table that was looked at.
struct Looked<'l, 'w> {
    table: &'l Table,
    rows: f64,
    segments: &'l [&'l Segment],
    /// How many of them are runs of the transaction.
    runs_count: usize,
    gathered: &'l Gathered<'w>,
    source: PageSource<'l>,
}

impl Looked<'_, '_> {
    fn column<'a>(
        &self,
        column: usize,
        scratch: &mut Scratch<'_>,
        room: &Arena,
        arena: &'a Arena,
    ) -> Result<ColumnStatistics<'a>, Error> {
        let schema = self.table.schema();
        let Some(ty) = schema.columns.get(column) else { return Ok(ColumnStatistics::UNKNOWN) };
        let (ty, kind) = (ty.ty, ty.kind());
        let mut known = Known::new();
        let mut sample = EncodedValues { bytes: Vec::new_in(room), count: 0 };
        for picked in self.gathered.picked.iter().filter(|picked| picked.age.is_memory()) {
            let row = self.gathered.bytes.get(picked.at as usize..).unwrap_or(&[]);
            let value = nth_value(row, self.table, column);
            known.add_value(kind, value);
            sample.push(value, ty)?;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            let rows = self.gathered.rows_of(self.age(index));
            known.add_segment(segment, segment.statistics(&schema, column, self.source, scratch)?);
            segment.with_sketch(kind, column, self.source, scratch, |sketch| {
                known.add_sketch(segment, sketch);
                let Some(page) = &sketch.sample else { return Ok(()) };
                let mut text = Vec::new_in(room);
                for row in rows {
                    match page.value_at(row.at as usize, ty, None, &mut text) {
                        Ok(PageValue::Inline(value)) => sample.push(value, ty)?,
                        Ok(PageValue::Long(_)) => {}
                        Err(PageError::Memory(error)) => return Err(Error::OutOfMemory(error)),
                        Err(PageError::Corrupt(what)) => return Err(segment.sketches_corrupt(what)),
                    }
                }
                Ok(())
            })?;
        }
        let mut values = sample.decode(ty, room)?;
        values.sort_unstable_by(Value::total_cmp);
        self.describe(column, &known, values, arena)
    }

    fn age(&self, segment: usize) -> Age {
        age_of(segment, self.runs_count)
    }

    /// What values that are sorted tell, with what else is known of their column.
    fn describe<'a>(
        &self,
        column: usize,
        known: &Known,
        mut values: Vec<'_, Value<'_>>,
        arena: &'a Arena,
    ) -> Result<ColumnStatistics<'a>, Error> {
        let schema = self.table.schema();
        let (ty, kind) = schema.columns.get(column).map_or((Type::Unknown, Kind::Text), |c| (c.ty, c.kind()));
        let live = self.gathered.picked.len();
        let null_fraction = self.null_fraction(known, live, values.len(), matches!(ty, Type::Array(_)));
        let null_fraction = null_fraction.clamp(0.0, 1.0);
        let is_cut = |value: &Value<'_>| kind == Kind::Text && row_bytes(value) > WHOLE_TEXT_BYTES;
        let is_complete = self.gathered.is_complete();
        let is_key = matches!(schema.key, [part] if usize::from(part.column) == column);
        let groups = Groups::of(&values);
        let distinct = match () {
            () if is_key => self.rows,
            () if is_complete && !values.iter().any(is_cut) => groups.count as f64,
            () if known.counted as f64 * 2.0 >= self.rows => distinct::estimate(known.registers.seen()),
            () => groups.estimate(self.rows * (1.0 - null_fraction)),
        };
        let values_count = self.rows * (1.0 - null_fraction);
        let distinct = distinct.min(values_count).max(groups.count as f64);
        let (zone_min, zone_max) = match known.zone {
            Some(zone) if zones_are_ordered(ty) => {
                (bound_value(zone.min, ty, kind, arena)?, bound_value(zone.max, ty, kind, arena)?)
            }
            _ => (None, None),
        };
        let min = pick_bound(zone_min, values.first(), ty, Ordering::Less, arena)?;
        // The greatest text of a zone is none, but something that is not less.
        let zone_max = if kind == Kind::Text { None } else { zone_max };
        let max = pick_bound(zone_max, values.last(), ty, Ordering::Greater, arena)?;
        // Of the leading column of the key, the first entries of a memtable have the least values.
        let is_leading = schema.key.first().is_some_and(|part| usize::from(part.column) == column);
        if (self.gathered.is_partial && is_leading) || matches!(ty, Type::Array(_)) {
            return Ok(ColumnStatistics {
                null_fraction,
                distinct,
                average_bytes: known.average_bytes(kind),
                ..ColumnStatistics::UNKNOWN
            });
        }
        let common = common_values(&values, 1.0 - null_fraction, distinct, (is_complete, is_cut), ty, arena)?;
        remove_common(&mut values, common);
        let mut histogram = Vec::new_in(arena);
        let bounds = if values.len() < 2 { 0 } else { values.len().min(BOUNDS_MAX) };
        histogram.reserve_exact(bounds)?;
        for place in 0..bounds {
            histogram.push(kept(values[place * (values.len() - 1) / (bounds - 1)], ty, arena)?)?;
        }
        // What the sample has not seen is in the outer buckets.
        if let (false, Some(first), Some(min)) = (is_complete, histogram.first_mut(), min)
            && !common.iter().any(|(value, _)| value.total_cmp(&min).is_eq())
        {
            *first = min;
        }
        if let (false, Some(last), Some(max)) = (is_complete, histogram.last_mut(), max)
            && !common.iter().any(|(value, _)| value.total_cmp(&max).is_eq())
        {
            *last = max;
        }
        Ok(ColumnStatistics {
            null_fraction,
            distinct,
            average_bytes: known.average_bytes(kind),
            min,
            max,
            common,
            histogram: histogram.into_slice(),
        })
    }

    fn null_fraction(&self, known: &Known, live: usize, values: usize, is_array: bool) -> f64 {
        let is_exact = known.tombstones == 0
            && !self.gathered.has_versions
            && live == self.gathered.picked_count
            && known.entries as f64 >= 0.9 * self.rows;
        match known.entries {
            0 if live == 0 => 0.0,
            entries if entries > 0 && (is_exact || live == 0) => {
                let nulls = known.nulls.saturating_sub(known.tombstones);
                nulls as f64 / entries.saturating_sub(known.tombstones).max(1) as f64
            }
            // Of arrays, samples have some only.
            entries if entries > 0 && is_array => known.nulls as f64 / entries as f64,
            _ => (live - values.min(live)) as f64 / live as f64,
        }
    }
}

fn age_of(segment: usize, runs_count: usize) -> Age {
    if segment < runs_count { Age::OwnRun(segment as u16) } else { Age::Segment(segment as u16) }
}

// ------------------------------------------------------------------------------------------------------- columns

/// What is known of a column, put together.
#[derive(Debug)]
struct Known {
    /// Entries of segments, how many of them are NULL, and how many are tombstones.
    entries: u64,
    nulls: u64,
    tombstones: u64,
    zone: Option<Zone>,
    /// Bytes of texts, and of how many texts.
    text_bytes: u64,
    texts: u64,
    registers: Registers,
    /// Entries of segments that have registers.
    counted: u64,
}

impl Known {
    fn new() -> Known {
        Known {
            entries: 0,
            nulls: 0,
            tombstones: 0,
            zone: None,
            text_bytes: 0,
            texts: 0,
            registers: Registers::new(),
            counted: 0,
        }
    }

    fn add_value(&mut self, kind: Kind, value: Value<'_>) {
        if value.is_null() {
            return;
        }
        let mut compact = [0; Decimal::COMPACT_BYTES_MAX];
        let bytes = if kind == Kind::Text { bytes_of(value, &mut compact) } else { &[] };
        self.text_bytes = self.text_bytes.saturating_add(bytes.len() as u64);
        self.texts += 1;
        let number = if kind == Kind::Text { 0 } else { number_of(kind, value) };
        self.registers.note(kind, number, bytes);
    }

    /// What a segment says of the column; `None` where its table got the column later.
    fn add_segment(&mut self, segment: &Segment, statistics: Option<segment::ColumnStatistics>) {
        self.entries += segment.rows_count();
        self.tombstones += segment.tombstones_count();
        match statistics {
            Some(statistics) => {
                // A count in a file may be any number.
                self.nulls = self.nulls.saturating_add(statistics.nulls_count);
                self.zone = union_of_zones(self.zone, statistics.zone);
                self.texts += segment.rows_count().saturating_sub(statistics.nulls_count);
            }
            None => self.nulls = self.nulls.saturating_add(segment.rows_count()),
        }
    }

    fn add_sketch(&mut self, segment: &Segment, sketch: &Sketch<'_>) {
        self.text_bytes = self.text_bytes.saturating_add(sketch.text_bytes);
        let count = sketch.registers_count();
        if count > 0 {
            self.registers.merge(count, |into| sketch.put_registers(into));
            self.counted += segment.rows_count();
        }
    }

    fn average_bytes(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Text => self.text_bytes as f64 / self.texts.max(1) as f64,
            kind => kind.bytes() as f64,
        }
    }
}

/// Registers that count distinct values, as few as the fewest that were merged.
#[derive(Debug)]
struct Registers {
    bytes: [u8; REGISTERS_MAX],
    count: usize,
}

impl Registers {
    fn new() -> Registers {
        Registers { bytes: [0; REGISTERS_MAX], count: REGISTERS_MAX }
    }

    fn seen(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    fn note(&mut self, kind: Kind, number: i128, text: &[u8]) {
        distinct::note_value(&mut self.bytes[..self.count], kind, number, text);
    }

    fn merge(&mut self, count: usize, put: impl FnOnce(&mut [u8])) {
        let mut others = [0; REGISTERS_MAX];
        let others = &mut others[..count.min(REGISTERS_MAX)];
        put(others);
        if others.len() < self.count {
            let before = core::mem::replace(&mut self.bytes, [0; REGISTERS_MAX]);
            let before_count = core::mem::replace(&mut self.count, others.len());
            distinct::merge(&mut self.bytes[..self.count], &before[..before_count]);
        }
        distinct::merge(&mut self.bytes[..self.count], others);
    }
}

/// Values of a column one behind the other.
struct EncodedValues<'w> {
    bytes: Vec<'w, u8>,
    count: usize,
}

impl<'w> EncodedValues<'w> {
    /// Adds a value unless it is NULL, a text as samples have it.
    fn push(&mut self, value: Value<'_>, ty: Type) -> Result<(), AllocError> {
        let value = match value.heap_bytes() {
            Some(bytes) => match kept_bytes(ty, bytes, false).map(|bytes| decode_bytes(bytes, ty)) {
                Some(Ok(value)) => value,
                _ => return Ok(()),
            },
            None if value.is_null() => return Ok(()),
            None => value,
        };
        self.count += 1;
        encode_row(value, &mut |bytes: &[u8]| self.bytes.extend_from_slice(bytes))
    }

    fn decode(self, ty: Type, room: &'w Arena) -> Result<Vec<'w, Value<'w>>, AllocError> {
        let mut values = Vec::with_capacity_in(self.count, room)?;
        let mut rest: &'w [u8] = self.bytes.into_slice();
        while let Ok((value, used)) = decode_row(rest, ty) {
            values.push(value)?;
            rest = rest.get(used..).unwrap_or(&[]);
        }
        debug_assert_eq!(values.len(), self.count, "they were encoded here");
        Ok(values)
    }
}

/// The value of a column of an encoded row.
fn nth_value<'r>(mut row: &'r [u8], table: &Table, column: usize) -> Value<'r> {
    for (place, ty) in table.schema().columns.iter().enumerate() {
        let Ok((value, used)) = decode_row(row, ty.ty) else { break };
        if place == column {
            return value;
        }
        row = row.get(used..).unwrap_or(&[]);
    }
    Value::Null
}

/// A value that is no text, as its column holds it.
fn number_of(kind: Kind, value: Value<'_>) -> i128 {
    macro_rules! put {
        ($data:path, $zero:expr) => {{
            let mut slot = [$zero];
            $data(&mut slot).put(0, value);
            let [number] = slot;
            number
        }};
    }
    match kind {
        Kind::Bool => put!(Data::Bool, false).into(),
        Kind::I32 => put!(Data::I32, 0).into(),
        Kind::I64 => put!(Data::I64, 0).into(),
        Kind::I128 => put!(Data::I128, 0),
        Kind::F64 => put!(Data::F64, 0.0).to_bits().into(),
        Kind::Text => 0,
    }
}

/// The value that a bound of a zone is; none for the beginning of a text that is no text itself.
fn bound_value<'a>(
    bound: ZoneBound,
    ty: Type,
    kind: Kind,
    arena: &'a Arena,
) -> Result<Option<Value<'a>>, AllocError> {
    let value = match (bound, kind) {
        (ZoneBound::Int(value), Kind::Bool) => Data::Bool(&mut [value != 0]).value(0, ty, &[]),
        (ZoneBound::Int(value), Kind::I32) => Data::I32(&mut [value as i32]).value(0, ty, &[]),
        (ZoneBound::Int(value), Kind::I64) => Data::I64(&mut [value as i64]).value(0, ty, &[]),
        (ZoneBound::Int(value), Kind::I128) => Data::I128(&mut [value]).value(0, ty, &[]),
        (ZoneBound::Double(value), Kind::F64) => Data::F64(&mut [value]).value(0, ty, &[]),
        (ZoneBound::Text(text), Kind::Text) => {
            let text = if ty == Type::Text { whole_characters(text.as_bytes()) } else { text.as_bytes() };
            let view = TextView { start: 0, len: text.len() as u32 };
            return kept(Data::Text(&mut [view]).value(0, ty, text), ty, arena).map(Some);
        }
        _ => return Ok(None),
    };
    kept(value, ty, arena).map(Some)
}

/// The bound of a zone or a value of the sample, whichever is further out.
fn pick_bound<'a>(
    zone: Option<Value<'a>>,
    sampled: Option<&Value<'_>>,
    ty: Type,
    side: Ordering,
    arena: &'a Arena,
) -> Result<Option<Value<'a>>, AllocError> {
    match (zone, sampled) {
        (Some(zone), Some(sampled)) if sampled.total_cmp(&zone) != side => Ok(Some(zone)),
        (_, Some(sampled)) => kept(*sampled, ty, arena).map(Some),
        (zone, None) => Ok(zone),
    }
}

/// A value in the arena.
fn kept<'a>(value: Value<'_>, ty: Type, arena: &'a Arena) -> Result<Value<'a>, AllocError> {
    let mut bytes = Vec::with_capacity_in(row_bytes(&value), arena)?;
    encode_row(value, &mut |piece: &[u8]| bytes.extend_from_slice(piece))?;
    let bytes: &'a [u8] = bytes.into_slice();
    Ok(decode_row(bytes, ty).map_or(Value::Null, |(value, _)| value))
}

// ---------------------------------------------------------------------------------------------------- distributions

/// Equal values of a sample.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    values: usize,
    count: usize,
    /// Groups of one.
    single: usize,
}

impl Groups {
    fn of(sorted: &[Value<'_>]) -> Groups {
        let mut groups = Groups { values: sorted.len(), ..Groups::default() };
        for group in groups_of(sorted) {
            groups.count += 1;
            groups.single += usize::from(group.len() == 1);
        }
        groups
    }

    /// How many distinct values there are among so many, of which these are a sample.
    fn estimate(&self, values_count: f64) -> f64 {
        if self.values == 0 {
            return 0.0;
        }
        let (n, d, single) = (self.values as f64, self.count as f64, self.single as f64);
        n * d / (n - single + single * n / values_count.max(n))
    }
}

fn groups_of<'v, 's>(sorted: &'v [Value<'s>]) -> impl Iterator<Item = &'v [Value<'s>]> {
    sorted.chunk_by(|a, b| a.total_cmp(b).is_eq())
}

/// The values of a sample that stand out: that are all there are, or that come more often than those that have their place by
/// chance. All values together are `share` of the rows.
fn common_values<'a>(
    sorted: &[Value<'_>],
    share: f64,
    distinct: f64,
    (is_complete, is_cut): (bool, impl Fn(&Value<'_>) -> bool),
    ty: Type,
    arena: &'a Arena,
) -> Result<&'a [(Value<'a>, f64)], AllocError> {
    let groups = Groups::of(sorted);
    let has_all = groups.count <= COMMON_MAX && distinct < groups.count as f64 * 1.05 + 0.5;
    let usual = sorted.len() as f64 / distinct.max(1.0);
    // An unusual value is seen so often about once in fifty times, if all are alike.
    let least = (1.25 * usual + 2.0 * usual.sqrt()).max(if is_complete { 1.5 } else { 2.5 });
    let mut found: [(usize, usize); COMMON_MAX] = [(0, 0); COMMON_MAX];
    let (mut count, mut start) = (0, 0);
    for group in groups_of(sorted) {
        let is_common = (has_all || group.len() as f64 > least) && !group.first().is_some_and(&is_cut);
        // The places are in order, the most common one first.
        let place = found[..count].partition_point(|(len, _)| *len >= group.len());
        if is_common && place < COMMON_MAX {
            count = (count + 1).min(COMMON_MAX);
            found[place..count].rotate_right(1);
            found[place] = (group.len(), start);
        }
        start += group.len();
    }
    let mut common = Vec::with_capacity_in(count, arena)?;
    for (len, start) in &found[..count] {
        common.push((kept(sorted[*start], ty, arena)?, share * *len as f64 / sorted.len() as f64))?;
    }
    Ok(common.into_slice())
}

/// Leaves the values that are not common.
fn remove_common(sorted: &mut Vec<'_, Value<'_>>, common: &[(Value<'_>, f64)]) {
    if !common.is_empty() {
        sorted.retain(|value| !common.iter().any(|(common, _)| common.total_cmp(value).is_eq()));
    }
}

impl ColumnStatistics<'_> {
    /// Nothing is known.
    pub const UNKNOWN: ColumnStatistics<'static> = ColumnStatistics {
        null_fraction: 0.0,
        distinct: 0.0,
        average_bytes: 0.0,
        min: None,
        max: None,
        common: &[],
        histogram: &[],
    };
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;

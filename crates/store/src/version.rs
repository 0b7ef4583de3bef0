//! Versions of the list of tables and segments: what readers look at while flushes and compactions change it.
//!
//! A version never changes. An edit makes a new one beside it, in which the lists of the tables that it does not touch are
//! shared; readers that hold the old one go on, and a file is removed when the last version that names it is gone.
//!
//! ```text
//!   version 7 ──> table 3 ──> [segment a, segment b]        edit: a, b are merged into c
//!             └─> table 4 ──> [segment d] <─┐
//!   version 8 ──> table 3 ──> [segment c]   │
//!             └─> table 4 ──────────────────┘
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};

use crate::error::Error;
use crate::level::Extent;
use crate::manifest::{self, KEY_BOUND_BYTES_MAX, SegmentId};
use crate::schema::TableId;
use crate::segment::{self, Location, SegmentFile};
use crate::statistics::net_rows;
use crate::table::Table;

/// A segment of an open database.
///
/// **Memory.** Its size, charged to `catalog`.
#[derive(Debug)]
pub(crate) struct Segment {
    /// As the manifest describes it.
    pub(crate) info: manifest::Segment,
    pub(crate) reader: segment::Segment,
    /// Later ones are newer: the order of level 0.
    added: u64,
    alloc: BudgetAlloc,
}

impl Segment {
    /// Opens a segment of a file. `added` counts up from one segment to the next.
    ///
    /// # Errors
    /// Its footer cannot be read; the budget refuses.
    pub(crate) fn open(
        info: manifest::Segment,
        added: u64,
        file: &Arc<SegmentFile>,
        table: &Table,
        alloc: &BudgetAlloc,
    ) -> Result<Arc<Segment>, Error> {
        let location = Location { footer_offset: info.id.footer_offset };
        let reader = segment::Segment::open(Arc::clone(file), location, info.sequence_base, &table.schema())?;
        Ok(Segment::of(info, added, reader, alloc)?)
    }

    /// A segment that was opened.
    ///
    /// # Errors
    /// The budget refuses.
    pub(crate) fn of(
        info: manifest::Segment,
        added: u64,
        reader: segment::Segment,
        alloc: &BudgetAlloc,
    ) -> Result<Arc<Segment>, AllocError> {
        alloc.charge(size_of::<Segment>())?;
        Ok(Arc::new(Segment { info, reader, added, alloc: alloc.clone() }))
    }

    /// The same segment as another description says.
    ///
    /// # Errors
    /// The budget refuses.
    pub(crate) fn described(&self, info: manifest::Segment, added: u64) -> Result<Arc<Segment>, AllocError> {
        debug_assert_eq!((info.id, info.sequence_base), (self.info.id, self.info.sequence_base));
        self.alloc.charge(size_of::<Segment>())?;
        Ok(Arc::new(Segment { info, reader: self.reader.clone(), added, alloc: self.alloc.clone() }))
    }

    /// Its file.
    pub(crate) fn file(&self) -> &Arc<SegmentFile> {
        self.reader.file()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.alloc.release(size_of::<Segment>());
    }
}

impl Segment {
    /// Its least and its greatest key, or bounds of them.
    pub(crate) fn keys(&self) -> (&[u8], &[u8]) {
        const LAST: [u8; KEY_BOUND_BYTES_MAX] = [u8::MAX; KEY_BOUND_BYTES_MAX];
        let largest = &self.info.largest;
        (self.info.smallest.as_bytes(), if largest.is_unbounded() { &LAST } else { largest.as_bytes() })
    }
}

impl Extent for Arc<Segment> {
    fn level(&self) -> usize {
        self.info.level.into()
    }

    fn keys(&self) -> (&[u8], &[u8]) {
        Segment::keys(self)
    }

    fn bytes(&self) -> u64 {
        self.info.bytes
    }

    fn added(&self) -> u64 {
        self.added
    }
}

/// A table and its segments: level 0 newest first, the others by key.
///
/// **Memory.** Charged to `catalog`: its size with that of the table, and 8 bytes a segment.
#[derive(Debug)]
pub(crate) struct TableSegments {
    pub(crate) table: Arc<Table>,
    segments: Vec<Arc<Segment>, BudgetAlloc>,
    net_rows: u64,
}

/// What an entry takes beside its list, and the table's own handle.
const TABLE_BYTES: usize = size_of::<TableSegments>() + size_of::<Table>();

impl Drop for TableSegments {
    fn drop(&mut self) {
        self.segments.allocator().release(TABLE_BYTES);
    }
}

impl TableSegments {
    /// By level; level 0 newest first, the others by key.
    pub(crate) fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// About how many rows they have: each without its tombstones and what these take away.
    pub(crate) fn net_rows(&self) -> u64 {
        self.net_rows
    }

    /// Rows of all segments, versions and tombstones counted.
    pub(crate) fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.info.rows_count).sum()
    }
}

/// What tables and segments there are at a time.
#[derive(Debug)]
pub(crate) struct Version {
    /// By number.
    tables: Vec<Arc<TableSegments>, BudgetAlloc>,
    /// How many edits there were before.
    number: u64,
}

/// What an edit changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Change<'c> {
    pub(crate) created: &'c [Arc<Table>],
    pub(crate) dropped: &'c [TableId],
    /// Segments that are gone.
    pub(crate) removed: &'c [(TableId, SegmentId)],
    pub(crate) added: &'c [Arc<Segment>],
}

impl Version {
    /// Of a database without tables.
    pub(crate) fn empty(alloc: BudgetAlloc) -> Version {
        Version { tables: Vec::new_in(alloc), number: 0 }
    }

    /// How many edits there were before.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// All tables and indexes, by number.
    pub(crate) fn tables(&self) -> &[Arc<TableSegments>] {
        &self.tables
    }

    /// A table or index.
    pub(crate) fn table(&self, id: TableId) -> Option<&Arc<TableSegments>> {
        let place = self.tables.binary_search_by_key(&id, |entry| entry.table.id()).ok()?;
        Some(&self.tables[place])
    }

    /// The table (not an index) of a name.
    pub(crate) fn table_named(&self, name: &str) -> Option<&Arc<TableSegments>> {
        self.tables.iter().find(|entry| entry.table.name() == name && entry.table.parent().is_none())
    }

    /// The indexes of a table.
    pub(crate) fn indexes(&self, id: TableId) -> impl Iterator<Item = &Arc<TableSegments>> {
        self.tables.iter().filter(move |entry| entry.table.parent() == Some(id))
    }

    /// The version after a change.
    ///
    /// # Errors
    /// The budget has no room for the lists of the tables that change.
    pub(crate) fn edited(&self, change: &Change<'_>) -> Result<Version, AllocError> {
        let alloc = self.tables.allocator();
        let mut tables = Vec::new_in(alloc.clone());
        tables.try_reserve_exact(self.tables.len() + change.created.len())?;
        for entry in self.tables.iter().filter(|entry| !change.dropped.contains(&entry.table.id())) {
            tables.push(match change.touches(entry.table.id()) {
                true => table_segments(&entry.table, &entry.segments, change, alloc)?,
                false => Arc::clone(entry),
            });
        }
        for table in change.created {
            // Numbers are given when tables are made, and need not be committed in their order.
            let sorted = tables.partition_point(|before: &Arc<TableSegments>| before.table.id() < table.id());
            tables.insert(sorted, table_segments(table, &[], change, alloc)?);
        }
        Ok(Version { tables, number: self.number + 1 })
    }

    /// The first table of which a change that was made for another version breaks something: a table that is gone, segments of
    /// a level that overlap (`level` L1).
    pub(crate) fn broken_by(&self, change: &Change<'_>) -> Option<TableId> {
        let touched = change.added.iter().map(|segment| segment.info.table);
        let touched = touched.chain(change.removed.iter().map(|removed| removed.0));
        let is_broken = |id: &TableId| {
            let Some(entry) = self.table(*id) else { return !change.dropped.contains(id) };
            entry.segments.windows(2).any(|pair| {
                let is_same_level = pair[0].info.level == pair[1].info.level && pair[0].info.level > 0;
                is_same_level && pair[0].keys().1 >= pair[1].keys().0
            })
        };
        touched.into_iter().find(is_broken)
    }

    /// Whether a file has a segment in this version.
    pub(crate) fn names_file(&self, number: u64) -> bool {
        self.tables.iter().any(|entry| entry.segments.iter().any(|segment| segment.info.id.file == number))
    }
}

impl Change<'_> {
    fn touches(&self, table: TableId) -> bool {
        self.removed.iter().any(|removed| removed.0 == table)
            || self.added.iter().any(|added| added.info.table == table)
    }
}

/// A table with its segments after a change.
fn table_segments(
    table: &Arc<Table>,
    before: &[Arc<Segment>],
    change: &Change<'_>,
    alloc: &BudgetAlloc,
) -> Result<Arc<TableSegments>, AllocError> {
    let id = table.id();
    let added = change.added.iter().filter(|segment| segment.info.table == id);
    let mut segments = Vec::new_in(alloc.clone());
    segments.try_reserve_exact(before.len() + added.clone().count())?;
    for segment in before {
        if !change.removed.contains(&(id, segment.info.id)) {
            segments.push(Arc::clone(segment));
        }
    }
    segments.extend(added.cloned());
    sort_segments(&mut segments);
    alloc.charge(TABLE_BYTES)?;
    let net_rows = segments.iter().map(|segment| net_rows(&segment.reader)).sum();
    Ok(Arc::new(TableSegments { table: Arc::clone(table), segments, net_rows }))
}

/// Puts segments of a table into the order of their levels: level 0 newest first, the others by key.
pub(crate) fn sort_segments(segments: &mut [Arc<Segment>]) {
    segments.sort_unstable_by(|a: &Arc<Segment>, b| {
        let by_level = a.info.level.cmp(&b.info.level);
        by_level.then_with(|| match a.info.level {
            0 => b.added.cmp(&a.added),
            _ => a.keys().cmp(&b.keys()),
        })
    });
}

/// The version of now.
#[derive(Debug)]
pub(crate) struct Versions {
    current: Mutex<Arc<Version>>,
}

impl Versions {
    pub(crate) fn new(first: Version) -> Versions {
        Versions { current: Mutex::new(Arc::new(first)) }
    }

    /// The version of now.
    pub(crate) fn current(&self) -> Arc<Version> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a version in the place of the one that it was edited from.
    pub(crate) fn install(&self, next: Version) {
        let number = next.number;
        let next = Arc::new(next);
        let before = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            assert_eq!(current.number + 1, number, "edits come one after the other");
            core::mem::replace(&mut *current, next)
        };
        // Outside of the lock: it may be the last to name a file, which is removed then.
        drop(before);
    }
}

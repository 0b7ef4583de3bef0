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

use core::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use allocator_api2::vec::Vec;
use cofferdam_arena::{AllocError, BudgetAlloc};
use cofferdam_vfs::{Directory, File};

use crate::files::FileId;
use crate::level::Extent;
use crate::schema::TableId;
use crate::table::Table;

/// A segment as the manifest describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo<'k> {
    /// The table whose rows it has.
    pub(crate) table: TableId,
    pub(crate) level: u8,
    /// The number of its file.
    pub(crate) file: u64,
    /// Where its footer is.
    pub(crate) footer_offset: u64,
    pub(crate) footer_bytes: u32,
    /// Versions, tombstones included.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) tombstones: u64,
    /// What is added to the sequences in the file.
    pub(crate) sequence_base: u64,
    /// The least and the greatest sequence, with the base.
    pub(crate) sequences: (u64, u64),
    /// The first and the last key.
    pub(crate) keys: (&'k [u8], &'k [u8]),
}

/// An open segment file. It is removed from the directory when the last segment of it is forgotten.
///
/// **Memory.** Its size and that of the handle behind the trait, charged to `catalog`.
pub(crate) struct SegmentFile {
    pub(crate) id: FileId,
    #[allow(clippy::disallowed_types)]
    pub(crate) file: Box<dyn File>,
    directory: Arc<dyn Directory>,
    /// Set when an edit has taken its last segment out of the manifest.
    is_obsolete: AtomicBool,
    alloc: BudgetAlloc,
}

/// What a handle of a file takes behind the trait, at most.
const FILE_BYTES: usize = size_of::<SegmentFile>() + 64;

impl SegmentFile {
    /// A file that is open already.
    ///
    /// # Errors
    /// The budget refuses the handle.
    #[allow(clippy::disallowed_types)]
    pub(crate) fn new(
        id: FileId,
        file: Box<dyn File>,
        directory: &Arc<dyn Directory>,
        alloc: &BudgetAlloc,
    ) -> Result<Arc<SegmentFile>, AllocError> {
        alloc.charge(FILE_BYTES)?;
        let directory = Arc::clone(directory);
        let is_obsolete = AtomicBool::new(false);
        Ok(Arc::new(SegmentFile { id, file, directory, is_obsolete, alloc: alloc.clone() }))
    }

    /// Says that no version to come names the file.
    pub(crate) fn is_obsolete(&self) {
        self.is_obsolete.store(true, Ordering::Relaxed);
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        if self.is_obsolete.load(Ordering::Relaxed) {
            // What cannot be removed now is removed when the database is opened the next time.
            let _ = self.directory.remove(self.id.name().as_str());
        }
        self.alloc.release(FILE_BYTES);
    }
}

impl fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// A segment of an open database.
///
/// **Memory.** Charged to `catalog`: its size, and its two keys.
#[derive(Debug)]
pub(crate) struct Segment {
    info: SegmentInfo<'static>,
    /// Both keys, and where the first one ends.
    keys: Vec<u8, BudgetAlloc>,
    first_key_bytes: usize,
    pub(crate) file: Arc<SegmentFile>,
    /// Later ones are newer: the order of level 0.
    added: u64,
}

impl Segment {
    pub(crate) fn new(
        info: &SegmentInfo<'_>,
        added: u64,
        file: Arc<SegmentFile>,
        alloc: &BudgetAlloc,
    ) -> Result<Segment, AllocError> {
        let mut keys = Vec::new_in(alloc.clone());
        keys.try_reserve_exact(info.keys.0.len() + info.keys.1.len())?;
        keys.extend_from_slice(info.keys.0);
        keys.extend_from_slice(info.keys.1);
        alloc.charge(size_of::<Segment>())?;
        let first_key_bytes = info.keys.0.len();
        Ok(Segment { info: SegmentInfo { keys: (&[], &[]), ..*info }, keys, first_key_bytes, file, added })
    }

    /// As the manifest describes it.
    pub(crate) fn info(&self) -> SegmentInfo<'_> {
        SegmentInfo { keys: self.keys(), ..self.info }
    }

    /// The same segment at another level.
    fn at_level(&self, level: u8) -> Result<Segment, AllocError> {
        let info = SegmentInfo { level, ..self.info() };
        Segment::new(&info, self.added, Arc::clone(&self.file), self.keys.allocator())
    }

    /// What names it: no two segments begin their footers at the same place.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.info.file, self.info.footer_offset)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.keys.allocator().release(size_of::<Segment>());
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
}

impl Segment {
    fn keys(&self) -> (&[u8], &[u8]) {
        self.keys.split_at(self.first_key_bytes)
    }
}

/// A table and its segments: level 0 newest first, the others by key.
///
/// **Memory.** Charged to `catalog`: its size with that of the table, and 8 bytes a segment.
#[derive(Debug)]
pub(crate) struct TableSegments {
    pub(crate) table: Arc<Table>,
    segments: Vec<Arc<Segment>, BudgetAlloc>,
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

    /// Rows of all segments, versions and tombstones counted.
    pub(crate) fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.info.rows).sum()
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
    /// Places of segments that are gone, with their tables.
    pub(crate) removed: &'c [(TableId, (u64, u64))],
    /// Segments that get another level.
    pub(crate) moved: &'c [(TableId, (u64, u64), u8)],
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
            debug_assert!(tables.last().is_none_or(|last| last.table.id() < table.id()));
            tables.push(table_segments(table, &[], change, alloc)?);
        }
        Ok(Version { tables, number: self.number + 1 })
    }

    /// Whether a file has a segment in this version.
    pub(crate) fn names_file(&self, number: u64) -> bool {
        self.tables.iter().any(|entry| entry.segments.iter().any(|segment| segment.info.file == number))
    }
}

impl Change<'_> {
    fn touches(&self, table: TableId) -> bool {
        self.removed.iter().any(|removed| removed.0 == table)
            || self.moved.iter().any(|moved| moved.0 == table)
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
        if change.removed.iter().any(|removed| *removed == (id, segment.place())) {
            continue;
        }
        let moved = change.moved.iter().find(|moved| (moved.0, moved.1) == (id, segment.place()));
        segments.push(match moved {
            Some(moved) => Arc::new(segment.at_level(moved.2)?),
            None => Arc::clone(segment),
        });
    }
    segments.extend(added.cloned());
    segments.sort_by(|a: &Arc<Segment>, b| {
        let by_level = a.info.level.cmp(&b.info.level);
        by_level.then_with(|| match a.info.level {
            0 => b.added.cmp(&a.added),
            _ => a.keys().cmp(&b.keys()),
        })
    });
    alloc.charge(TABLE_BYTES)?;
    Ok(Arc::new(TableSegments { table: Arc::clone(table), segments }))
}

/// The version of now.
#[derive(Debug)]
pub(crate) struct Versions {
    current: Mutex<Arc<Version>>,
    number: AtomicU64,
}

impl Versions {
    pub(crate) fn new(first: Version) -> Versions {
        Versions { number: AtomicU64::new(first.number), current: Mutex::new(Arc::new(first)) }
    }

    /// The number of the version of now: a reader that remembers it sees that there is another one.
    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
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
        self.number.store(number, Ordering::Release);
        // Outside of the lock: it may be the last to name a file, which is removed then.
        drop(before);
    }
}

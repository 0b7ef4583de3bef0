//! From the items of a manifest to the version that they describe.

use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc};

use crate::directory::Directory;
use crate::error::Error;
use crate::manifest::{self, Item, Place};
use crate::schema::TableId;
use crate::segment::SegmentFile;
use crate::store::note_row_id;
use crate::table::Table;
use crate::version::{Change, Segment, Version};

/// The state of a database while its manifest is replayed.
///
/// **Memory.** What the version takes, and as much again for the list of segments, until [`Loader::finish`].
pub(crate) struct Loader {
    alloc: BudgetAlloc,
    /// By number.
    tables: Vec<Table, BudgetAlloc>,
    /// In the order in which they were added.
    segments: Vec<manifest::Segment, BudgetAlloc>,
    /// The place of the table that was added last: columns are its.
    newest: usize,
}

/// The tables and segments of a manifest.
pub(crate) type Parts = (Vec<Table, BudgetAlloc>, Vec<manifest::Segment, BudgetAlloc>);

impl Loader {
    pub(crate) fn new(alloc: &BudgetAlloc) -> Loader {
        let (tables, segments) = (Vec::new_in(alloc.clone()), Vec::new_in(alloc.clone()));
        Loader { alloc: alloc.clone(), tables, segments, newest: 0 }
    }

    /// Takes the next item. The manifest's grammar has been checked; what is checked here is that names of tables and
    /// segments lead somewhere.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or the budget refuses.
    pub(crate) fn take(&mut self, item: &Item<'_>, place: Place) -> Result<(), Error> {
        match *item {
            Item::Counters(_) => {}
            Item::Table(table) => {
                // Numbers are given when tables are made, and need not be committed in their order.
                let Err(sorted) = self.tables.binary_search_by_key(&table.id, Table::id) else {
                    return Err(place.corrupt("a table that is there already"));
                };
                if table.parent.is_some_and(|parent| self.find(parent).is_none()) {
                    return Err(place.corrupt("an index of a table that is not there"));
                }
                self.tables.try_reserve(1)?;
                let made = Table::new(table.id, table.parent, table.is_unique, table.name, &self.alloc)?;
                self.tables.insert(sorted, made);
                self.newest = sorted;
            }
            Item::Column(column) => self.newest(place)?.put_column(column.name, column.ty)?,
            Item::KeyColumn(part) => self.newest(place)?.put_key_column(part)?,
            Item::Properties(properties) => {
                let table = self.find(properties.table);
                let table = table.ok_or_else(|| place.corrupt("properties of a table that is not there"))?;
                self.tables[table].put_properties(properties.is_first, properties.bytes)?;
            }
            Item::DropTable(id) => {
                let table = self.find(id);
                self.tables
                    .remove(table.ok_or_else(|| place.corrupt("a table that is not there is dropped"))?);
                self.segments.retain(|segment| segment.table != id);
            }
            Item::AddSegment(segment) => {
                let table = self.find(segment.table);
                table.ok_or_else(|| place.corrupt("a segment of a table that is not there"))?;
                self.segments.try_reserve(1)?;
                self.segments.push(segment);
            }
            Item::RemoveSegment { table, id } => {
                // The ones that are removed are more often than not among the last.
                let found =
                    self.segments.iter().rposition(|segment| (segment.table, segment.id) == (table, id));
                self.segments.remove(found.ok_or_else(|| place.corrupt("no such segment"))?);
            }
        }
        Ok(())
    }

    fn find(&self, id: TableId) -> Option<usize> {
        self.tables.binary_search_by_key(&id, Table::id).ok()
    }

    fn newest(&mut self, place: Place) -> Result<&mut Table, Error> {
        self.tables.get_mut(self.newest).ok_or_else(|| place.corrupt("a column of no table"))
    }

    /// The tables by number, each index with the columns that it has of its table, and the segments in the order in which they
    /// were added.
    ///
    /// # Errors
    /// The budget refuses.
    pub(crate) fn into_parts(mut self) -> Result<Parts, Error> {
        self.find_sources()?;
        Ok((self.tables, self.segments))
    }

    fn find_sources(&mut self) -> Result<(), Error> {
        for place in 0..self.tables.len() {
            let Some(parent) = self.tables[place].parent().and_then(|parent| self.find(parent)) else {
                continue;
            };
            // An index has a greater number than its table.
            let (before, after) = self.tables.split_at_mut(place);
            after[0].find_sources(&before[parent])?;
        }
        Ok(())
    }

    /// Opens the segments' files, and gives the version and the number of its last segment.
    ///
    /// # Errors
    /// A file is missing; the budget refuses.
    pub(crate) fn finish(
        mut self,
        directory: &Arc<Directory>,
        budget: &Budget,
    ) -> Result<(Version, u64), Error> {
        self.find_sources()?;
        let mut created: Vec<Arc<Table>, BudgetAlloc> = Vec::new_in(self.alloc.clone());
        created.try_reserve_exact(self.tables.len())?;
        created.extend(self.tables.drain(..).map(Arc::new));
        let mut added: Vec<Arc<Segment>, BudgetAlloc> = Vec::new_in(self.alloc.clone());
        added.try_reserve_exact(self.segments.len())?;
        for (number, info) in self.segments.iter().enumerate() {
            let known = added.iter().find(|segment| segment.info.id.file == info.id.file);
            let file = match known {
                Some(segment) => Arc::clone(segment.file()),
                None => Arc::new(SegmentFile::open_in(directory, info.id.file, budget)?),
            };
            let table = created.binary_search_by_key(&info.table, |table| table.id());
            let table = &created[table.expect("it was looked for when the segment was taken")];
            note_row_id(table, info.largest.as_bytes());
            added.push(Segment::open(*info, number as u64, &file, table, &self.alloc)?);
        }
        let change = Change { created: &created, added: &added, ..Change::default() };
        let version = Version::empty(self.alloc.clone()).edited(&change)?;
        Ok((version, added.len() as u64))
    }
}

//! What the manifest of a database says, read without changing anything: for those who look at files and are no store.

use std::path::Path;
use std::sync::Arc;

use allocator_api2::vec::Vec;
use cofferdam_arena::{Budget, BudgetAlloc};
use cofferdam_vfs::Vfs;

use crate::directory::{Access, Directory};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::load::Loader;
use crate::manifest::{self, Counters, Replayed, Root, replay};
use crate::schema::TableId;
use crate::table::Table;

/// A segment as the manifest describes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) info: manifest::Segment,
    /// Counts up in the order in which segments were added.
    pub(crate) added: u64,
}

/// The directory of a database that nobody writes to meanwhile, and what its manifest says.
///
/// **Memory.** Definitions of tables, 250 bytes a segment, 2 KiB for handles; 18 KiB more while the manifest is read.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) directory: Arc<Directory>,
    pub(crate) root: Root,
    pub(crate) replayed: Replayed,
    /// By number.
    pub(crate) tables: Vec<Table, BudgetAlloc>,
    /// By table, level, and place in it: level 0 newest first, the others by key.
    segments: Vec<Listed, BudgetAlloc>,
    pub(crate) budget: Budget,
}

impl Catalog {
    /// Opens a database to look at it.
    ///
    /// # Errors
    /// As [`Directory::open`] and [`replay`].
    pub(crate) fn open(vfs: &Arc<dyn Vfs>, path: &Path, budget: &Budget) -> Result<Catalog, Error> {
        let (directory, root) = Directory::open(vfs, path, Access::Read, budget)?;
        Catalog::read(&Arc::new(directory), root, budget)
    }

    /// Reads the manifest of an open directory.
    ///
    /// # Errors
    /// As [`replay`].
    pub(crate) fn read(directory: &Arc<Directory>, root: Root, budget: &Budget) -> Result<Catalog, Error> {
        let alloc = BudgetAlloc::new(budget);
        let mut loader = Loader::new(&alloc);
        let replayed = replay(directory, &root, budget, &mut |item, place| loader.take(item, place))?;
        let (tables, infos) = loader.into_parts()?;
        let mut segments = Vec::new_in(alloc);
        segments.try_reserve_exact(infos.len())?;
        segments.extend((0..).zip(&infos).map(|(added, info)| Listed { info: *info, added }));
        segments.sort_unstable_by(|a: &Listed, b| {
            let by_level = (a.info.table, a.info.level).cmp(&(b.info.table, b.info.level));
            by_level.then_with(|| match a.info.level {
                0 => b.added.cmp(&a.added),
                _ => a.info.smallest.as_bytes().cmp(b.info.smallest.as_bytes()),
            })
        });
        let (directory, budget) = (Arc::clone(directory), budget.clone());
        Ok(Catalog { directory, root, replayed, tables, segments, budget })
    }

    /// Where the database stands, but for its logs.
    pub(crate) fn counters(&self) -> &Counters {
        &self.replayed.counters
    }

    /// All segments, by table and level.
    pub(crate) fn segments(&self) -> &[Listed] {
        &self.segments
    }

    /// The segments of a table, by level.
    pub(crate) fn segments_of(&self, table: TableId) -> &[Listed] {
        let start = self.segments.partition_point(|segment| segment.info.table < table);
        let end = self.segments.partition_point(|segment| segment.info.table <= table);
        self.segments.get(start..end).unwrap_or(&[])
    }

    /// The place of a table or index among all.
    pub(crate) fn place_of(&self, table: TableId) -> Option<usize> {
        self.tables.binary_search_by_key(&table, Table::id).ok()
    }

    /// A table or index.
    pub(crate) fn table(&self, table: TableId) -> Option<&Table> {
        self.tables.get(self.place_of(table)?)
    }

    /// The indexes of a table.
    pub(crate) fn indexes(&self, table: TableId) -> impl Iterator<Item = &Table> {
        self.tables.iter().filter(move |index| index.parent() == Some(table))
    }

    /// Gives every file of the store to `visit`, by kind and number.
    ///
    /// # Errors
    /// [`Error::Io`]; those of `visit`.
    pub(crate) fn for_each_file(
        &self,
        visit: &mut dyn FnMut(FileId) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut last = None;
        loop {
            // A listing for each, so that they come in order however many there are.
            let mut next: Option<FileId> = None;
            self.directory.list(&mut |id| {
                if last.is_none_or(|last| id > last) && next.is_none_or(|next| id < next) {
                    next = Some(id);
                }
                Ok(())
            })?;
            let Some(id) = next else { return Ok(()) };
            visit(id)?;
            last = next;
        }
    }

    /// Gives the files of the logs that are needed to `visit`, in order.
    ///
    /// # Errors
    /// [`Error::Io`]; those of `visit`.
    pub(crate) fn for_each_log(
        &self,
        visit: &mut dyn FnMut(FileId) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut number = self.counters().oldest_wal.saturating_sub(1);
        while let Some(next) = self.directory.next_number(FileKind::Wal, number)? {
            visit(FileId::new(FileKind::Wal, next))?;
            number = next;
        }
        Ok(())
    }

    /// Whether the database needs a file; one that it does not is removed when it opens to be written.
    pub(crate) fn needs(&self, id: FileId) -> bool {
        match id.kind {
            FileKind::Lock | FileKind::Root => true,
            FileKind::Manifest => id.number == self.root.manifest,
            FileKind::Wal => id.number >= self.counters().oldest_wal,
            FileKind::Segments => self.segments.iter().any(|segment| segment.info.id.file == id.number),
            FileKind::Temporary => false,
        }
    }
}

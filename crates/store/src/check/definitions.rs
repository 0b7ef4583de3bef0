//! What the manifest says, by itself: definitions of tables and indexes, the list of segments; and the files that there are.

use allocator_api2::vec::Vec;
use cofferdam_arena::BudgetAlloc;
use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

use super::{Check, Problem, RemainsKind};
use crate::catalog::{Catalog, Listed};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::level::LEVELS;
use crate::schema::{ColumnType, KeyColumn, Schema};
use crate::segment::FOOTER_BYTES;
use crate::store::segments_file;
use crate::table::{ROW_ID_NAME, Table};

/// File, first byte and end of a segment, and its place in the list.
type Extent = (u64, u64, u64, usize);

impl Check<'_> {
    /// Definitions, and what is said of segments.
    pub(super) fn definitions(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let manifest = FileId::new(FileKind::Manifest, catalog.root.manifest);
        for table in &catalog.tables {
            match table.parent() {
                Some(_) => self.checked.indexes_count += 1,
                None => self.checked.tables_count += 1,
            }
            if let Some(what) = fault_of_table(table, catalog) {
                self.problem(&Problem::new(Some(manifest), Some(table), what))?;
            }
        }
        for segment in catalog.segments() {
            if let Some(what) = fault_of_segment(segment, catalog) {
                self.problem(&Problem {
                    offset: Some(segment.info.id.footer_offset),
                    ..Problem::new(
                        Some(segments_file(segment.info.id.file)),
                        catalog.table(segment.info.table),
                        what,
                    )
                })?;
            }
        }
        self.extents(catalog)
    }

    /// Whether segments have bytes of a file in common.
    fn extents(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let mut extents: Vec<Extent, BudgetAlloc> = Vec::new_in(BudgetAlloc::new(&self.budget));
        extents.try_reserve_exact(catalog.segments().len())?;
        for (place, Listed { info, .. }) in catalog.segments().iter().enumerate() {
            let end = info.id.footer_offset.saturating_add(info.footer_bytes.into());
            extents.push((info.id.file, end.saturating_sub(info.bytes), end, place));
        }
        extents.sort_unstable();
        for pair in extents.windows(2) {
            if let [(file, _, end, _), (next_file, start, _, place)] = *pair
                && file == next_file
                && start < end
            {
                let table = catalog.segments().get(place).and_then(|other| catalog.table(other.info.table));
                let what = "two segments have bytes of the file in common";
                self.problem(&Problem {
                    offset: Some(start),
                    ..Problem::new(Some(segments_file(file)), table, what)
                })?;
            }
        }
        Ok(())
    }

    /// Files that nobody needs, and a manifest's torn tail.
    pub(super) fn files(&mut self, catalog: &Catalog) -> Result<(), Error> {
        let summary = &catalog.replayed.summary;
        if let Some(bytes) = summary.file_bytes.checked_sub(summary.end).filter(|bytes| *bytes > 0) {
            let manifest = FileId::new(FileKind::Manifest, catalog.root.manifest);
            self.remains(manifest, summary.end, RemainsKind::TornTail(bytes))?;
        }
        catalog.for_each_file(&mut |id| match catalog.needs(id) {
            true => Ok(()),
            false => self.remains(id, 0, RemainsKind::Orphan),
        })
    }
}

/// What is wrong with the definition of a table or index.
fn fault_of_table(table: &Table, catalog: &Catalog) -> Option<&'static str> {
    if table.id().0 >= catalog.counters().next_table {
        return Some("a table has a number that was not given yet");
    }
    if table.name().is_empty() {
        return Some("a table without a name");
    }
    let columns_count = table.schema().columns.len();
    let is_repeated = |column: usize| {
        let name = table.column_name(column);
        (0..column).any(|before| table.column_name(before) == name)
    };
    if (0..columns_count).any(is_repeated) {
        return Some("two columns of a table have one name");
    }
    match table.parent() {
        Some(parent) => match catalog.table(parent) {
            Some(parent) => fault_of_index(table, parent),
            None => Some("an index of a table that is not there"),
        },
        None => {
            let is_other = |other: &&Table| {
                other.parent().is_none() && other.id() < table.id() && other.name() == table.name()
            };
            match catalog.tables.iter().find(is_other) {
                Some(_) => Some("two tables have one name"),
                None => fault_of_row_id(table),
            }
        }
    }
}

/// A column without a name is a row id: the last one, and the key.
fn fault_of_row_id(table: &Table) -> Option<&'static str> {
    let Schema { columns, key } = table.schema();
    let nameless = (0..columns.len()).find(|column| table.column_name(*column) == ROW_ID_NAME)?;
    let is_row_id = nameless + 1 == columns.len()
        && columns.last() == Some(&ColumnType { ty: Type::BigInt, is_nullable: false })
        && key == [KeyColumn { column: nameless as u16, order: KeyOrder::ASC }];
    (!is_row_id).then_some("a column without a name that is no row id")
}

fn fault_of_index(index: &Table, parent: &Table) -> Option<&'static str> {
    let (own, of) = (index.schema(), parent.schema());
    if parent.parent().is_some() {
        return Some("an index of an index");
    }
    let is_key = own.key.len() == own.columns.len()
        && own.key.iter().enumerate().all(|(place, part)| usize::from(part.column) == place);
    if !is_key {
        return Some("an index whose key is not all of its columns");
    }
    for (column, source) in index.sources().iter().enumerate() {
        let source = usize::from(*source);
        let is_same = of.columns.get(source) == own.columns.get(column)
            && source < of.columns.len()
            && parent.column_name(source) == index.column_name(column);
        if !is_same {
            return Some("a column of an index is none of its table");
        }
    }
    if !of.key.iter().all(|part| index.sources().contains(&part.column)) {
        return Some("an index without its table's key");
    }
    let unique_columns = index.unique_columns();
    let is_sound = unique_columns <= own.columns.len() && index.is_unique() == (unique_columns > 0);
    (!is_sound).then_some("an index that is unique in no columns, or in too many")
}

/// What is wrong with what the manifest says of a segment.
fn fault_of_segment(segment: &Listed, catalog: &Catalog) -> Option<&'static str> {
    let (info, counters) = (&segment.info, catalog.counters());
    if usize::from(info.level) >= LEVELS {
        return Some("a segment of a level that there is not");
    }
    if info.id.file >= counters.next_file {
        return Some("a segment in a file whose number was not given yet");
    }
    if info.sequence_max > counters.last_sequence {
        return Some("a segment with sequences that were not given yet");
    }
    let has_room = u64::from(info.footer_bytes) <= info.bytes
        && info.bytes <= info.id.footer_offset.saturating_add(info.footer_bytes.into());
    (info.footer_bytes as usize != FOOTER_BYTES || !has_room)
        .then_some("a segment with another length than segments have")
}

//! The items of a manifest, in order.

use cofferdam_arena::{Budget, BudgetAlloc};
use cofferdam_vfs::OpenMode;

use super::item::{Counters, Grammar, Item};
use super::root::Root;
use super::{EDIT, FORMAT, SNAPSHOT};
use crate::directory::{Directory, OpenFile};
use crate::error::Error;
use crate::files::{FileId, FileKind};
use crate::log::buffer::Buffer;
use crate::log::reader::LogReader;
use crate::log::records::{Piece, Records};
use crate::log::{FRAME_BYTES_MAX, HEADER_BYTES, Summary};

/// Where an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The offset of the item.
    pub offset: u64,
}

impl Place {
    /// An item that does not fit what the items before it said: a table that is not there, a segment twice.
    pub fn corrupt(&self, what: &'static str) -> Error {
        Error::corrupt(self.file, self.offset, what)
    }
}

/// What a manifest said.
#[derive(Clone, Copy, Debug)]
pub struct Replayed {
    /// Where the database stands.
    pub counters: Counters,
    /// The number of the last edit.
    pub edit: u64,
    /// How many edits there are behind the snapshot.
    pub edits_count: u64,
    /// How long the snapshot is, and what is before it.
    pub snapshot_bytes: u64,
    /// How far the file goes.
    pub summary: Summary,
}

/// Gives all items of the manifest that holds to `visit`, in order: those of the snapshot, then those of each edit.
/// A torn tail is left out, and left alone.
///
/// Memory: 18 KiB of `budget`, while it runs.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Io`]; those of `visit`, which end it.
pub fn replay(
    directory: &Directory,
    root: &Root,
    budget: &Budget,
    visit: &mut dyn FnMut(&Item<'_>, Place) -> Result<(), Error>,
) -> Result<Replayed, Error> {
    let id = FileId::new(FileKind::Manifest, root.manifest);
    let file =
        directory.open_file(id, OpenMode::Read, budget).map_err(|error| match (error, root.torn_slot) {
            // M4: the slot that cannot be read was the newer one.
            (Error::Corrupt(_), Some(offset)) => Error::corrupt(
                FileId::ROOT,
                offset,
                "a slot cannot be read, and the manifest of the other is gone",
            ),
            _ => error,
        })?;
    let mut buffer = Buffer::new(&BudgetAlloc::new(budget));
    buffer.reserve(FRAME_BYTES_MAX)?;
    let summary = Records::summarize(open_reader(&file, root, buffer.room())?, 0)?;
    let mut records = Records::complete(open_reader(&file, root, buffer.room())?, &summary);
    let mut state = State {
        id,
        counters: Counters::FIRST,
        edit: 0,
        edits_count: 0,
        grammar: Grammar::new(),
        items_count: 0,
    };
    let mut snapshot_bytes = 0;
    while let Some(piece) = records.next()? {
        state.take(&piece, records.items(&piece), visit)?;
        if piece.trailer.is_some() && snapshot_bytes == 0 {
            snapshot_bytes = records.at();
        }
    }
    if state.edit == 0 {
        return Err(Error::corrupt(id, HEADER_BYTES, "a manifest without a snapshot"));
    }
    let State { counters, edit, edits_count, .. } = state;
    Ok(Replayed { counters, edit, edits_count, snapshot_bytes, summary })
}

fn open_reader<'r>(file: &'r OpenFile, root: &Root, buffer: &'r mut [u8]) -> Result<LogReader<'r>, Error> {
    LogReader::open(file, &FORMAT, root.database, buffer)?
        .ok_or_else(|| Error::corrupt(file.id(), 0, "no header, though the root names the file"))
}

/// Between two pieces of records.
struct State {
    id: FileId,
    counters: Counters,
    /// The last edit that began.
    edit: u64,
    edits_count: u64,
    grammar: Grammar,
    items_count: u64,
}

impl State {
    fn take(
        &mut self,
        piece: &Piece,
        mut items: &[u8],
        visit: &mut dyn FnMut(&Item<'_>, Place) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut place = Place { file: self.id, offset: piece.offset };
        if piece.is_first {
            self.begin(piece).map_err(|what| place.corrupt(what))?;
        }
        while !items.is_empty() {
            let (item, bytes_count) = Item::decode(items).map_err(|what| place.corrupt(what))?;
            self.accept(&item).map_err(|what| place.corrupt(what))?;
            visit(&item, place)?;
            items = items.get(bytes_count..).unwrap_or(&[]);
            place.offset += bytes_count as u64;
        }
        match piece.trailer {
            Some(trailer) if !self.grammar.is_complete() || trailer.items_count != self.items_count => {
                Err(place.corrupt("an edit with other items than it says"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, piece: &Piece) -> Result<(), &'static str> {
        let is_snapshot = self.edit == 0;
        if piece.record != if is_snapshot { SNAPSHOT } else { EDIT } {
            return Err("a snapshot where an edit is expected, or an edit before the snapshot");
        }
        if !is_snapshot && piece.sequence != self.edit + 1 {
            return Err("an edit is missing");
        }
        (self.edit, self.items_count, self.grammar) = (piece.sequence, 0, Grammar::new());
        self.edits_count += u64::from(!is_snapshot);
        Ok(())
    }

    fn accept(&mut self, item: &Item<'_>) -> Result<(), &'static str> {
        self.grammar.accept(item)?;
        self.items_count += 1;
        if let Item::Counters(counters) = item {
            if !counters.follows(&self.counters) {
                return Err("counters that go back");
            }
            self.counters = *counters;
        }
        Ok(())
    }
}

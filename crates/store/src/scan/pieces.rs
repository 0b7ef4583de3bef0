//! A scan cut into pieces, which several scans of the same table read beside one another.
//!
//! ```text
//!   range of the scan   |──────────────────────────────────────────────>
//!   segments                |───a───|────b────|──────────c──────────|
//!   pieces              |── 0 ──|── 1 ──|── 2 ──|── 3 ──|── 4 ──|── 5 ──>     about as many rows each
//! ```
//!
//! Pieces begin at keys, so all versions of a key are in one piece, whatever the levels of their segments; read in their order
//! they give the rows of the scan in its order. Where they begin is decided by stored segments alone: what is in memory falls into
//! the pieces as it comes.

use cofferdam_arena::Arena;
use cofferdam_arena::collections::Vec;

use super::Scan;
use crate::error::Error;
use crate::read::View;
use crate::segment::{PageSource, SegmentCursor};

/// The most pieces that a scan is cut into.
const PIECES_MAX: u64 = 512;

/// Where a scan is cut.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'c> {
    from: &'c [u8],
    to: Option<&'c [u8]>,
    /// Where pieces begin, but the first one.
    cuts: &'c [&'c [u8]],
}

impl Pieces<'_> {
    /// How many there are, one at least.
    pub fn count(&self) -> usize {
        self.cuts.len() + 1
    }
}

impl Scan<'_> {
    /// Cuts what the scan reads into pieces of about so many rows, at most 512. The keys where they begin are in `arena`, and so is
    /// what it takes to find them: a page of each column of the key, and 24 bytes a piece.
    ///
    /// # Errors
    /// Those of reading; the arena's budget refuses.
    pub fn pieces<'c>(&self, view: View<'_>, rows: u64, arena: &'c Arena) -> Result<Pieces<'c>, Error> {
        let from = &*arena.alloc_slice_copy(&self.range.from)?;
        let to = match &self.range.to {
            Some(to) => Some(&*arena.alloc_slice_copy(to)?),
            None => None,
        };
        let version = view.inner.versions.current();
        let segments = version.table(self.table.id()).map_or(&[][..], |entry| entry.segments());
        let all = segments.iter().map(|segment| segment.info.rows_count).sum::<u64>();
        let rows = rows.max(all.div_ceil(PIECES_MAX)).max(1);
        let mut cuts: Vec<'_, &[u8]> = Vec::new_in(arena);
        let (mut cursor, mut key) = (None, Vec::new_in(arena));
        // Rows since the last cut; segments that overlap are as if they came one behind the other.
        let mut passed = 0;
        for segment in segments {
            let reader = &segment.reader;
            let mut next = rows.saturating_sub(passed);
            while next < reader.rows_count() {
                let source = PageSource::cached(&view.inner.cache);
                let cursor =
                    cursor.get_or_insert_with(|| SegmentCursor::new(reader, self.schema, source, 0, arena));
                cursor.attach(reader);
                if let Some(row) = cursor.seek_row(next)? {
                    cursor.load_keys()?;
                    key.clear();
                    cursor.put_key(row, &mut key)?;
                    if key[..] > self.range.from[..] && !self.range.is_behind(&key) {
                        cuts.push(arena.alloc_slice_copy(&key)?)?;
                    }
                }
                next += rows;
            }
            passed = rows.saturating_sub(next - reader.rows_count());
        }
        let cuts = cuts.into_slice();
        cuts.sort_unstable();
        let mut distinct = 0;
        for at in 0..cuts.len() {
            if distinct == 0 || cuts[at] != cuts[distinct - 1] {
                cuts[distinct] = cuts[at];
                distinct += 1;
            }
        }
        Ok(Pieces { from, to, cuts: &cuts[..distinct] })
    }

    /// Begins again, with one of the pieces that a scan of the same table with the same columns was cut into. What was taken before is
    /// kept and used again.
    ///
    /// # Errors
    /// The arena's budget refuses.
    ///
    /// # Panics
    /// If there is no such piece.
    pub fn restart_at(&mut self, pieces: &Pieces<'_>, index: usize) -> Result<(), Error> {
        let from = if index == 0 { pieces.from } else { pieces.cuts[index - 1] };
        let to = if index == pieces.cuts.len() { pieces.to } else { Some(pieces.cuts[index]) };
        self.range.set_encoded(from, to)?;
        self.begin_again();
        Ok(())
    }
}

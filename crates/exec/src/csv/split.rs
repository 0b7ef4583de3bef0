//! Splits delimited text into fields: the fast way, for lines without quotes.
//!
//! A window of bytes is looked at in blocks of 64. For each block two bit masks are made, one of delimiters and one of
//! newlines; fields are then found by counting bits, so that fields nobody asked for cost a population count and no
//! branch per byte:
//!
//! ```text
//! bytes       1|17|Smith\n2|3|…
//! delimiters  .x..x.......x.x      newlines  ..........x....
//! ```
//!
//! The masks are made by comparing into 64 bytes of 0 or 1 (which the compiler turns into vector compares) and packing
//! each eight of them into a byte by a multiplication, which needs neither unsafe code nor a particular instruction set.
//!
//! # Source
//!
//! Masks and popcounts after Langdale and Lemire, "Parsing Gigabytes of JSON per Second" (VLDB Journal 28, 2019), §3.1.

use crate::batch::TextView;

const BLOCK_BYTES: usize = 64;

/// A view that stands for an unquoted field with the text of NULL.
pub(crate) const NULL_VIEW: TextView = TextView { start: u32::MAX, len: 0 };

/// Which fields of a line are wanted and how many there must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout<'a> {
    /// The wanted fields by position in the line, ascending.
    pub(crate) projection: &'a [u32],
    /// Fields in every line, not counting the empty one after a trailing delimiter.
    pub(crate) fields: u32,
    pub(crate) delimiter: u8,
    pub(crate) trailing_delimiter: bool,
    /// The text of an unquoted field that is NULL.
    pub(crate) null: &'a [u8],
}

impl Layout<'_> {
    /// Whether an unquoted field is NULL.
    #[inline(always)]
    pub(crate) fn is_null(&self, field: &[u8]) -> bool {
        field.len() == self.null.len() && (self.null.is_empty() || field == self.null)
    }

    /// Whether a line of so many fields, the last of which is or isn't empty, is well formed.
    pub(crate) fn accepts(&self, fields: u32, last_is_empty: bool) -> bool {
        fields == self.fields
            || (self.trailing_delimiter && last_is_empty && fields.checked_sub(1) == Some(self.fields))
    }
}

/// What became of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The views of the wanted fields are written. `next` is the position after the newline.
    Complete { next: usize },
    /// The line ends before `next` and has this many fields instead of the wanted number.
    Ragged { next: usize, fields: u32 },
    /// The window ends before the line does.
    Incomplete,
}

/// Where the views of one line's wanted fields go: `views[slot * stride + row]`.
#[derive(Debug)]
pub(crate) struct Sink<'v> {
    pub(crate) views: &'v mut [TextView],
    pub(crate) stride: usize,
    pub(crate) row: usize,
}

impl Sink<'_> {
    #[inline(always)]
    pub(crate) fn put(&mut self, slot: usize, start: usize, end: usize, is_null: bool) {
        let view =
            if is_null { NULL_VIEW } else { TextView { start: start as u32, len: (end - start) as u32 } };
        self.views[slot * self.stride + self.row] = view;
    }
}

/// Walks delimiters and newlines of a window.
#[derive(Debug)]
pub(crate) struct Splitter<'w> {
    window: &'w [u8],
    delimiter: u8,
    block_start: usize,
    delimiters: u64,
    newlines: u64,
}

enum Stop {
    Delimiter(usize),
    Newline(usize),
    End,
}

enum Skip {
    /// The field after the skipped ones starts here.
    At(usize),
    /// The line ended here after so many delimiters.
    Newline(usize, u32),
    End,
}

impl<'w> Splitter<'w> {
    /// A walk over `window` from `start`.
    pub(crate) fn new(window: &'w [u8], delimiter: u8, start: usize) -> Splitter<'w> {
        let mut splitter = Splitter { window, delimiter, block_start: 0, delimiters: 0, newlines: 0 };
        splitter.seek(start);
        splitter
    }

    /// Goes on at `position`.
    pub(crate) fn seek(&mut self, position: usize) {
        self.block_start = position;
        self.load();
    }

    /// Splits the line that starts at `start`, where the walk must stand.
    #[inline]
    pub(crate) fn line(&mut self, start: usize, layout: &Layout<'_>, sink: &mut Sink<'_>) -> Line {
        let mut delimiters = 0;
        let mut field_start = start;
        for (slot, &column) in layout.projection.iter().enumerate() {
            if column > delimiters {
                match self.skip(column - delimiters) {
                    Skip::At(position) => field_start = position,
                    Skip::Newline(at, seen) => {
                        return Line::Ragged { next: at + 1, fields: delimiters + seen + 1 };
                    }
                    Skip::End => return Line::Incomplete,
                }
                delimiters = column;
            }
            match self.stop() {
                Stop::Delimiter(at) => {
                    sink.put(slot, field_start, at, layout.is_null(&self.window[field_start..at]));
                    field_start = at + 1;
                    delimiters += 1;
                }
                Stop::Newline(at) => {
                    let end = self.without_return(field_start, at);
                    sink.put(slot, field_start, end, layout.is_null(&self.window[field_start..end]));
                    let last = slot + 1 == layout.projection.len();
                    return self.judge(layout, start, at, delimiters, last);
                }
                Stop::End => return Line::Incomplete,
            }
        }
        match self.finish() {
            Some((at, seen)) => self.judge(layout, start, at, delimiters + seen, true),
            None => Line::Incomplete,
        }
    }

    fn judge(&self, layout: &Layout<'_>, start: usize, at: usize, delimiters: u32, all_found: bool) -> Line {
        let end = self.without_return(start, at);
        let last_is_empty = end == start || self.window[end - 1] == self.delimiter;
        if all_found && layout.accepts(delimiters + 1, last_is_empty) {
            Line::Complete { next: at + 1 }
        } else {
            Line::Ragged { next: at + 1, fields: delimiters + 1 }
        }
    }

    /// The end of a last field that begins at `start`, without the carriage return of a CRLF.
    #[inline]
    fn without_return(&self, start: usize, newline: usize) -> usize {
        if newline > start && self.window[newline - 1] == b'\r' { newline - 1 } else { newline }
    }

    #[inline(always)]
    fn stop(&mut self) -> Stop {
        loop {
            let both = self.delimiters | self.newlines;
            if both != 0 {
                let lowest = both & both.wrapping_neg();
                let at = self.block_start + both.trailing_zeros() as usize;
                if self.newlines & lowest == 0 {
                    self.delimiters ^= lowest;
                    return Stop::Delimiter(at);
                }
                self.newlines ^= lowest;
                return Stop::Newline(at);
            }
            if !self.advance() {
                return Stop::End;
            }
        }
    }

    /// Passes `count` delimiters, at least one, of the current line.
    #[inline(always)]
    fn skip(&mut self, mut count: u32) -> Skip {
        let mut seen = 0;
        loop {
            let line = before_lowest(self.newlines);
            let available = (self.delimiters & line).count_ones();
            if count <= available {
                for _ in 1..count {
                    self.delimiters &= self.delimiters - 1;
                }
                let at = self.block_start + self.delimiters.trailing_zeros() as usize;
                self.delimiters &= self.delimiters - 1;
                return Skip::At(at + 1);
            }
            seen += available;
            if self.newlines != 0 {
                let at = self.block_start + self.newlines.trailing_zeros() as usize;
                self.delimiters &= !line;
                self.newlines &= self.newlines - 1;
                return Skip::Newline(at, seen);
            }
            count -= available;
            if !self.advance() {
                return Skip::End;
            }
        }
    }

    /// Passes the rest of the current line; the newline's position and the delimiters before it.
    #[inline(always)]
    fn finish(&mut self) -> Option<(usize, u32)> {
        match self.skip(u32::MAX) {
            Skip::Newline(at, seen) => Some((at, seen)),
            Skip::At(_) | Skip::End => None,
        }
    }

    #[inline(always)]
    fn advance(&mut self) -> bool {
        self.block_start += BLOCK_BYTES;
        if self.block_start >= self.window.len() {
            self.block_start = self.window.len();
            self.delimiters = 0;
            self.newlines = 0;
            return false;
        }
        self.load();
        true
    }

    #[inline(always)]
    fn load(&mut self) {
        let rest = &self.window[self.block_start.min(self.window.len())..];
        match rest.first_chunk::<BLOCK_BYTES>() {
            Some(block) => {
                self.delimiters = mask(block, self.delimiter);
                self.newlines = mask(block, b'\n');
            }
            None => {
                let mut block = [0; BLOCK_BYTES];
                block[..rest.len()].copy_from_slice(rest);
                // Bytes past the end are zero and a delimiter never is, so padding is never taken for structure.
                self.delimiters = mask(&block, self.delimiter);
                self.newlines = mask(&block, b'\n');
            }
        }
    }
}

/// All bits below the lowest set bit; all bits if none is set.
#[inline(always)]
fn before_lowest(bits: u64) -> u64 {
    bits.wrapping_sub(1) & !bits
}

/// Bit `i` says whether `block[i]` is `byte`.
#[inline(always)]
fn mask(block: &[u8; BLOCK_BYTES], byte: u8) -> u64 {
    let mut equal = [0u8; BLOCK_BYTES];
    for (flag, &b) in equal.iter_mut().zip(block) {
        *flag = u8::from(b == byte);
    }
    let mut bits = 0;
    let (words, _) = equal.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        // Gathers the lowest bit of each byte into the highest byte; no two products meet in a bit.
        let packed = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= packed << (8 * i);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mask_marks_equal_bytes() {
        let mut block = [b'a'; 64];
        for i in [0, 1, 7, 8, 31, 32, 62, 63] {
            block[i] = b'|';
        }
        let expected = [0, 1, 7, 8, 31, 32, 62, 63].iter().fold(0u64, |m, i| m | 1 << i);
        assert_eq!(mask(&block, b'|'), expected);
    }

    #[test]
    fn before_lowest_of_nothing_is_everything() {
        assert_eq!(before_lowest(0), u64::MAX);
        assert_eq!(before_lowest(0b1000), 0b111);
        assert_eq!(before_lowest(1), 0);
    }

    fn split_naively(line: &[u8]) -> Vec<Vec<u8>> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.split(|&b| b == b'|').map(<[u8]>::to_vec).collect()
    }

    proptest! {
        /// Aim: the bit walk finds the fields that a plain split finds, for any projection.
        #[test]
        fn fields_match_a_plain_split(
            text in proptest::collection::vec(prop_oneof![Just(b'|'), Just(b'\n'), Just(b'\r'), Just(b'x')], 0..400),
            fields in 1u32..6,
            wanted in 0u8..64,
        ) {
            let projection: Vec<u32> = (0..fields).filter(|i| wanted & 1 << i != 0).collect();
            let layout = Layout {
                projection: &projection,
                fields,
                delimiter: b'|',
                trailing_delimiter: false,
                null: b"",
            };
            let mut views = vec![NULL_VIEW; projection.len().max(1)];
            let mut splitter = Splitter::new(&text, b'|', 0);
            let mut start = 0;
            for line in text.split_inclusive(|&b| b == b'\n') {
                let mut sink = Sink { views: &mut views, stride: 1, row: 0 };
                let found = splitter.line(start, &layout, &mut sink);
                let Some(body) = line.strip_suffix(b"\n") else {
                    prop_assert_eq!(found, Line::Incomplete);
                    break;
                };
                let expected = split_naively(body);
                let next = start + line.len();
                if expected.len() as u32 == fields {
                    prop_assert_eq!(found, Line::Complete { next });
                    for (slot, &column) in projection.iter().enumerate() {
                        let view = views[slot];
                        let got = if view == NULL_VIEW { &[][..] } else { view.of(&text) };
                        prop_assert_eq!(got, &expected[column as usize][..]);
                    }
                } else {
                    prop_assert_eq!(found, Line::Ragged { next, fields: expected.len() as u32 });
                    // A line that ended early may leave the walk anywhere behind it.
                    splitter.seek(next);
                }
                start = next;
            }
        }
    }
}

//! Texts behind one another, plain or compressed, with where each begins.

use core::ops::Range;

use cofferdam_arena::AllocError;
use cofferdam_arena::collections::Vec;
use cofferdam_types::column::TextView;

use super::bytes::Input;
use super::series::{Plan, Series};
use super::symbols::{SYMBOL_SLACK_BYTES, SymbolTable};
use super::{INLINE_BYTES_MAX, PageError, TEXT_BYTES_MAX};

/// Offsets that are unpacked at a time.
const BLOCK: usize = 128;

/// Texts of a page: one for each row, or those of a dictionary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'p> {
    count: usize,
    /// Where each text begins in `bytes`, and where the last one ends.
    offsets: Series<'p>,
    bytes: &'p [u8],
    /// Bytes of all texts.
    raw_bytes: usize,
    /// Which symbols they are compressed with.
    symbols_crc: Option<u32>,
}

impl<'p> Texts<'p> {
    /// Reads texts, whose offsets are not looked at.
    pub(super) fn parse(
        input: &mut Input<'p>,
        count: usize,
        is_compressed: bool,
    ) -> Result<Texts<'p>, &'static str> {
        let stored_bytes = input.word()? as usize;
        let (raw_bytes, symbols_crc) =
            if is_compressed { (input.word()? as usize, Some(input.word()?)) } else { (stored_bytes, None) };
        if raw_bytes > TEXT_BYTES_MAX {
            return Err("the texts have more bytes than a page takes");
        }
        let bytes = input.take(stored_bytes)?;
        let offsets = Series::parse(input, count + 1)?;
        Ok(Texts { count, offsets, bytes, raw_bytes, symbols_crc })
    }

    /// Whether the texts lie behind one another, none too long, and are all of the bytes.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let mut before = self.offsets.get(0);
        if before != 0 {
            return Err("the first text does not begin with the bytes");
        }
        let most = if self.symbols_crc.is_some() { 2 * INLINE_BYTES_MAX } else { INLINE_BYTES_MAX };
        for i in 1..=self.count {
            let offset = self.offsets.get(i);
            let bytes = offset.checked_sub(before).ok_or("a text is too long")?;
            if bytes < 0 {
                return Err("a text ends before it begins");
            }
            if bytes > most as i64 {
                return Err("a text is too long");
            }
            before = offset;
        }
        if before != self.bytes.len() as i64 {
            return Err("the last text does not end with the bytes");
        }
        Ok(())
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.symbols_crc.is_some()
    }

    /// How many texts there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The stored form of a text; no bytes if there is none.
    #[inline]
    pub(super) fn stored(&self, i: usize) -> &'p [u8] {
        let bounds =
            usize::try_from(self.offsets.get(i)).ok().zip(usize::try_from(self.offsets.get(i + 1)).ok());
        bounds.and_then(|(start, end)| self.bytes.get(start..end)).unwrap_or(&[])
    }

    /// The table that the texts are compressed with, if they are.
    pub(super) fn table<'s>(
        &self,
        symbols: Option<&'s SymbolTable>,
    ) -> Result<Option<&'s SymbolTable>, PageError> {
        match (self.symbols_crc, symbols) {
            (None, _) => Ok(None),
            (Some(crc), Some(table)) if table.crc() == crc => Ok(Some(table)),
            (Some(_), Some(_)) => Err(PageError::Corrupt("the texts are compressed with other symbols")),
            (Some(_), None) => Err(PageError::Corrupt("the symbols of the texts are missing")),
        }
    }

    /// A text, in the page or in `buffer`.
    pub(super) fn text<'t>(
        &self,
        i: usize,
        symbols: Option<&SymbolTable>,
        buffer: &'t mut Vec<'_, u8>,
    ) -> Result<&'t [u8], PageError>
    where
        'p: 't,
    {
        let stored = self.stored(i);
        let Some(table) = self.table(symbols)? else { return Ok(stored) };
        buffer.clear();
        self.append_decoded(table, stored, INLINE_BYTES_MAX, buffer)?;
        Ok(buffer)
    }

    /// Appends one text to the heap, at most `room` bytes, and gives its view.
    pub(super) fn append_one(
        &self,
        i: usize,
        table: Option<&SymbolTable>,
        room: usize,
        heap: &mut Vec<'_, u8>,
    ) -> Result<TextView, PageError> {
        let (start, stored) = (heap.len(), self.stored(i));
        match table {
            Some(table) => self.append_decoded(table, stored, room, heap)?,
            None if stored.len() > room => return Err(TOO_LONG),
            None => heap.extend_from_slice(stored)?,
        }
        Ok(TextView { start: start as u32, len: (heap.len() - start) as u32 })
    }

    fn append_decoded(
        &self,
        table: &SymbolTable,
        stored: &[u8],
        room: usize,
        heap: &mut Vec<'_, u8>,
    ) -> Result<(), PageError> {
        let start = heap.len();
        let most = room.min(self.raw_bytes).min(8 * stored.len());
        heap.resize(start + most + SYMBOL_SLACK_BYTES, 0)?;
        let len = heap.get_mut(start..).and_then(|out| table.decode(stored, out)).filter(|len| *len <= most);
        heap.truncate(start + len.unwrap_or(0));
        len.map(|_| ()).ok_or(TOO_LONG)
    }

    /// Appends the texts of `range` to the heap and calls `each` with the view of each, in order. After an error the
    /// heap is as it was.
    pub(super) fn append_all(
        &self,
        range: Range<usize>,
        table: Option<&SymbolTable>,
        heap: &mut Vec<'_, u8>,
        each: impl FnMut(TextView),
    ) -> Result<(), PageError> {
        let offset = |i: usize| usize::try_from(self.offsets.get(i)).ok();
        let (start, end) = offset(range.start).zip(offset(range.end)).ok_or(WRONG)?;
        let stored = self.bytes.get(start..end).ok_or(WRONG)?;
        let base = heap.len();
        let appended = match table {
            None => {
                heap.extend_from_slice(stored)?;
                self.views(range, base, each).map(|()| stored.len())
            }
            Some(table) => {
                let most = self.raw_bytes.min(8 * stored.len());
                heap.resize(base + most + SYMBOL_SLACK_BYTES, 0)?;
                let appended = self.decode_all(range, table, heap, base, each);
                appended.and_then(|bytes| if bytes > most { Err(TOO_LONG) } else { Ok(bytes) })
            }
        };
        heap.truncate(base + appended.as_ref().map_or(0, |bytes| *bytes));
        appended.map(|_| ())
    }

    /// Calls `each` with where each text begins and ends in the bytes, until it fails.
    fn each_bounds(
        &self,
        range: Range<usize>,
        mut each: impl FnMut(i32, i32) -> Result<(), PageError>,
    ) -> Result<(), PageError> {
        let mut offsets = [0i32; BLOCK + 1];
        let mut first = range.start;
        while first < range.end {
            let count = (range.end - first).min(BLOCK);
            let offsets = offsets.get_mut(..=count).unwrap_or_default();
            self.offsets.unpack(first, offsets);
            for bounds in offsets.windows(2) {
                if let [start, end] = bounds {
                    each(*start, *end)?;
                }
            }
            first += count;
        }
        Ok(())
    }

    /// The views of texts that stand in a heap from `base` on as they do in the bytes.
    fn views(
        &self,
        range: Range<usize>,
        base: usize,
        mut each: impl FnMut(TextView),
    ) -> Result<(), PageError> {
        let shift = (base as u32).wrapping_sub(self.offsets.get(range.start) as u32);
        self.each_bounds(range, |start, end| {
            // A view that does not lie in the heap is an empty text.
            each(TextView { start: shift.wrapping_add(start as u32), len: end.wrapping_sub(start) as u32 });
            Ok(())
        })
    }

    /// Decodes texts to the heap from `base` on and gives how many bytes they have.
    fn decode_all(
        &self,
        range: Range<usize>,
        table: &SymbolTable,
        heap: &mut [u8],
        base: usize,
        mut each: impl FnMut(TextView),
    ) -> Result<usize, PageError> {
        let mut at = base;
        self.each_bounds(range, |start, end| {
            let form = self.bytes.get(start as usize..end as usize).ok_or(WRONG)?;
            let out = heap.get_mut(at..).ok_or(TOO_LONG)?;
            let len = table.decode(form, out).ok_or(TOO_LONG)?;
            each(TextView { start: at as u32, len: len as u32 });
            at += len;
            Ok(())
        })?;
        Ok(at - base)
    }
}

const WRONG: PageError = PageError::Corrupt("the offsets of the texts are wrong");
const TOO_LONG: PageError = PageError::Corrupt("the texts are longer than the page says");

/// Appends texts, compressed if that saves a sixteenth, and gives whether they are. `offsets` is room to work in.
pub(super) fn write<'t>(
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    symbols: Option<&SymbolTable>,
    offsets: &mut Vec<'_, i64>,
    out: &mut Vec<'_, u8>,
) -> Result<bool, AllocError> {
    let raw_bytes: usize = texts.clone().map(<[u8]>::len).sum();
    if let Some(table) = symbols
        && raw_bytes > 0
    {
        let mark = out.len();
        out.extend_from_slice(&[0; 12])?;
        let start = out.len();
        offsets.clear();
        offsets.push(0)?;
        for text in texts.clone() {
            table.encode(text, out)?;
            offsets.push((out.len() - start) as i64)?;
        }
        let stored_bytes = out.len() - start;
        if stored_bytes <= raw_bytes - raw_bytes / 16 {
            for (place, word) in [stored_bytes as u32, raw_bytes as u32, table.crc()].into_iter().enumerate()
            {
                let place = out.get_mut(mark + 4 * place..).and_then(|rest| rest.first_chunk_mut());
                place.into_iter().for_each(|bytes| *bytes = word.to_le_bytes());
            }
            write_offsets(offsets, out)?;
            return Ok(true);
        }
        out.truncate(mark);
    }
    out.reserve(4 + raw_bytes)?;
    out.extend_from_slice(&(raw_bytes as u32).to_le_bytes())?;
    offsets.clear();
    offsets.push(0)?;
    let start = out.len();
    for text in texts {
        out.extend_from_slice(text)?;
        offsets.push((out.len() - start) as i64)?;
    }
    write_offsets(offsets, out)?;
    Ok(false)
}

fn write_offsets(offsets: &[i64], out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
    Plan::of(offsets.iter().copied()).write(offsets.iter().copied(), out)
}

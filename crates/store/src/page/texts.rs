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
/// Compression of a page's texts saves so much at least: a dictionary of some words is read faster without it.
const SAVING_BYTES_MIN: usize = 64;
const TOO_LONG: PageError = PageError::Corrupt("the texts are longer than the page says");

/// Texts of a page: one for each row, or those of a dictionary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Texts<'p> {
    count: usize,
    /// Where each text begins in `bytes`, and where the last one ends.
    offsets: Series<'p>,
    /// `stored_bytes`, and the slack behind them.
    bytes: &'p [u8],
    stored_bytes: usize,
    /// Bytes of all texts.
    raw_bytes: usize,
    /// Which symbols they are compressed with.
    symbols_crc: Option<u32>,
}

impl<'p> Texts<'p> {
    /// Reads texts, whose offsets are not looked at.
    #[inline]
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
        let bytes = input.take_with_slack(stored_bytes)?;
        let offsets = Series::parse(input, count + 1)?;
        Ok(Texts { count, offsets, bytes, stored_bytes, raw_bytes, symbols_crc })
    }

    /// Whether the texts lie behind one another, none too long, and are all of the bytes.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.offsets.get(0) != 0 {
            return Err("the first text does not begin with the bytes");
        }
        let most = if self.symbols_crc.is_some() { 2 * INLINE_BYTES_MAX } else { INLINE_BYTES_MAX };
        let (mut offsets, mut before) = ([0i64; BLOCK], 0);
        let (mut ascend, mut are_short) = (true, true);
        for first in (1..=self.count).step_by(BLOCK) {
            let offsets = offsets.get_mut(..(self.count + 1 - first).min(BLOCK)).unwrap_or_default();
            self.offsets.unpack(first, offsets);
            for offset in offsets {
                ascend &= *offset >= before;
                are_short &= offset.wrapping_sub(before) as u64 <= most as u64;
                before = *offset;
            }
        }
        if !ascend {
            return Err("a text ends before it begins");
        }
        if !are_short {
            return Err("a text is too long");
        }
        if before != self.stored_bytes as i64 {
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

    /// Where the stored form of some texts is in the bytes, whatever the offsets are.
    #[inline]
    fn place(&self, texts: Range<usize>) -> Range<usize> {
        let offset = |i: usize| usize::try_from(self.offsets.get(i)).unwrap_or(0).min(self.stored_bytes);
        let start = offset(texts.start);
        start..offset(texts.end).max(start)
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
        let place = self.place(i..i + 1);
        let Some(table) = self.table(symbols)? else { return Ok(self.bytes.get(place).unwrap_or(&[])) };
        buffer.clear();
        self.append_decoded(table, place, INLINE_BYTES_MAX, buffer)?;
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
        let (start, place) = (heap.len(), self.place(i..i + 1));
        match table {
            Some(table) => self.append_decoded(table, place, room, heap)?,
            None if place.len() > room => return Err(TOO_LONG),
            None => heap.extend_from_slice(self.bytes.get(place).unwrap_or(&[]))?,
        }
        Ok(TextView { start: start as u32, len: (heap.len() - start) as u32 })
    }

    fn append_decoded(
        &self,
        table: &SymbolTable,
        place: Range<usize>,
        room: usize,
        heap: &mut Vec<'_, u8>,
    ) -> Result<(), PageError> {
        let start = heap.len();
        let most = room.min(self.raw_bytes).min(8 * place.len());
        heap.resize(start + most + SYMBOL_SLACK_BYTES, 0)?;
        let out = heap.get_mut(start..).unwrap_or_default();
        let len = table.decode(self.bytes, place, out).filter(|len| *len <= most);
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
        let place = self.place(range.clone());
        let base = heap.len();
        let Some(table) = table else {
            heap.extend_from_slice(self.bytes.get(place).unwrap_or(&[]))?;
            return self.views(range, base, each);
        };
        let most = self.raw_bytes.min(8 * place.len());
        heap.resize(base + most + SYMBOL_SLACK_BYTES, 0)?;
        let decoded = self.decode_all(range, table, heap, base, each).filter(|bytes| *bytes <= most);
        heap.truncate(base + decoded.unwrap_or(0));
        decoded.map(|_| ()).ok_or(TOO_LONG)
    }

    /// Calls `each` with where each text begins and ends in the bytes, until it gives `None`.
    #[inline(always)]
    fn each_bounds(&self, range: Range<usize>, mut each: impl FnMut(u32, u32) -> Option<()>) -> Option<()> {
        let mut offsets = [0i32; BLOCK + 1];
        let mut first = range.start;
        while first < range.end {
            let count = (range.end - first).min(BLOCK);
            let offsets = offsets.get_mut(..=count)?;
            self.offsets.unpack(first, offsets);
            for bounds in offsets.windows(2) {
                if let [start, end] = bounds {
                    each(*start as u32, *end as u32)?;
                }
            }
            first += count;
        }
        Some(())
    }

    /// The views of texts that stand in a heap from `base` on as they do in the bytes.
    fn views(
        &self,
        range: Range<usize>,
        base: usize,
        mut each: impl FnMut(TextView),
    ) -> Result<(), PageError> {
        let shift = (base as u32).wrapping_sub(self.offsets.get(range.start) as u32);
        let all = self.each_bounds(range, |start, end| {
            // A view that does not lie in the heap is an empty text.
            each(TextView { start: start.wrapping_add(shift), len: end.wrapping_sub(start) });
            Some(())
        });
        all.ok_or(TOO_LONG)
    }

    /// Decodes texts to the heap from `base` on and gives how many bytes they have.
    fn decode_all(
        &self,
        range: Range<usize>,
        table: &SymbolTable,
        heap: &mut [u8],
        base: usize,
        mut each: impl FnMut(TextView),
    ) -> Option<usize> {
        let mut at = base;
        self.each_bounds(range, |start, end| {
            let len = table.decode(self.bytes, start as usize..end as usize, heap.get_mut(at..)?)?;
            each(TextView { start: at as u32, len: len as u32 });
            at += len;
            Some(())
        })?;
        Some(at - base)
    }
}

/// Appends texts, compressed if that saves enough, and gives whether they are. `offsets` is room to work in.
pub(super) fn write<'t>(
    texts: impl Iterator<Item = &'t [u8]> + Clone,
    symbols: Option<&SymbolTable>,
    offsets: &mut Vec<'_, i64>,
    out: &mut Vec<'_, u8>,
) -> Result<bool, AllocError> {
    let raw_bytes: usize = texts.clone().map(<[u8]>::len).sum();
    if let Some(table) = symbols
        && write_compressed(texts.clone(), raw_bytes, table, offsets, out)?
    {
        return Ok(true);
    }
    out.reserve(4 + raw_bytes)?;
    out.extend_from_slice(&(raw_bytes as u32).to_le_bytes())?;
    let start = out.len();
    offsets.clear();
    offsets.push(0)?;
    for text in texts {
        out.extend_from_slice(text)?;
        offsets.push((out.len() - start) as i64)?;
    }
    write_offsets(offsets, out)?;
    Ok(false)
}

/// Appends compressed texts; nothing, and gives false, if they do not save a sixteenth and
/// [`SAVING_BYTES_MIN`].
fn write_compressed<'t>(
    texts: impl Iterator<Item = &'t [u8]>,
    raw_bytes: usize,
    table: &SymbolTable,
    offsets: &mut Vec<'_, i64>,
    out: &mut Vec<'_, u8>,
) -> Result<bool, AllocError> {
    if raw_bytes <= SAVING_BYTES_MIN {
        return Ok(false);
    }
    let mark = out.len();
    // The plain form has 8 bytes less.
    let most = raw_bytes.saturating_sub((raw_bytes / 16).max(SAVING_BYTES_MIN) + 8);
    out.extend_from_slice(&[0; 4])?;
    out.extend_from_slice(&(raw_bytes as u32).to_le_bytes())?;
    out.extend_from_slice(&table.crc().to_le_bytes())?;
    let start = out.len();
    offsets.clear();
    offsets.push(0)?;
    for text in texts {
        table.encode(text, out)?;
        offsets.push((out.len() - start) as i64)?;
        if out.len() - start > most {
            out.truncate(mark);
            return Ok(false);
        }
    }
    let stored_bytes = (out.len() - start) as u32;
    let place = out.get_mut(mark..).and_then(|rest| rest.first_chunk_mut());
    place.into_iter().for_each(|place| *place = stored_bytes.to_le_bytes());
    write_offsets(offsets, out)?;
    Ok(true)
}

fn write_offsets(offsets: &[i64], out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
    Plan::of(offsets.iter().copied()).write(offsets.iter().copied(), out)
}

//! Short texts compressed one by one: byte strings that stand often become one byte.
//!
//! This is FSST (Boncz, Neumann, Leis: *FSST: Fast Random Access String Compression*, PVLDB 13(11), 2020). A *symbol* is
//! a string of 1 to 8 bytes; a table has up to 255 of them, and a compressed text is a row of their numbers. The number
//! 255 is the escape: the byte behind it stands for itself. Nothing depends on the text before, so any text can be
//! decoded alone, and what decodes needs is 2.3 KiB.
//!
//! Training (algorithm 3 of the paper) begins with no symbols and goes five times over a sample: it compresses the
//! sample with the table it has, counts each symbol and each pair of neighbours joined into one symbol, and keeps the
//! 255 that save the most. Two things differ from the paper, both to need less memory: pairs are counted in one hash
//! table of symbols instead of an array of 512 by 512, dropping new ones when it is full, and the encoder finds the
//! longest symbol in a list for its first two bytes instead of arrays of 2^16 entries.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

/// The longest symbol, in bytes.
const SYMBOL_BYTES_MAX: usize = 8;
/// Numbers below this one are symbols.
const ESCAPE: u8 = 255;
/// The most bytes of texts that a table is trained with.
const SAMPLE_BYTES_MAX: usize = 16 << 10;
/// The most texts.
const SAMPLE_TEXTS_MAX: usize = 2 << 10;
/// Rounds of training.
const ROUNDS: usize = 5;
/// A symbol that stands less often in the sample is not taken.
const COUNT_MIN: u32 = 5;
/// Single bytes count so many times: one that has no symbol takes two bytes.
const SINGLE_BYTE_WEIGHT: u64 = 8;
/// Bytes of the file form beside the symbols: how many there are of each length, and the checksum.
const FRAME_BYTES: usize = SYMBOL_BYTES_MAX + 4;

/// The low bytes of a word that a symbol of so many bytes has.
const MASKS: [u64; 9] = [
    0,
    0xff,
    0xffff,
    0xff_ffff,
    0xffff_ffff,
    0xff_ffff_ffff,
    0xffff_ffff_ffff,
    0xff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// A byte string of 1 to 8 bytes, the first one lowest, zeros above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Symbol {
    len: u8,
    bytes: u64,
}

impl Symbol {
    fn byte(byte: u8) -> Symbol {
        Symbol { len: 1, bytes: byte.into() }
    }

    /// Both as one, if that is not too long.
    fn join(self, next: Symbol) -> Option<Symbol> {
        let len = self.len + next.len;
        let fits = usize::from(len) <= SYMBOL_BYTES_MAX;
        fits.then(|| Symbol { len, bytes: self.bytes | next.bytes << (8 * u32::from(self.len)) })
    }

    fn first(self) -> Symbol {
        Symbol::byte(self.bytes as u8)
    }

    fn hash(self) -> usize {
        (self.bytes.wrapping_add(u64::from(self.len)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
    }
}

/// Up to 255 byte strings of 1 to 8 bytes that stand often in a column's texts, each written as one byte.
///
/// A plain value of about 3 KiB: who keeps it charges `size_of::<SymbolTable>()`. Serves encoding and decoding.
///
/// **Y1** Symbols are numbered by ascending length, then by their bytes, and no two are equal: a table has one form.
#[derive(Clone)]
pub(crate) struct SymbolTable {
    /// The symbols' bytes by number, and their lengths; zeros behind the last one.
    bytes: [u64; 256],
    lens: [u8; 256],
    count: u8,
    /// The checksum of the file form, by which pages name their table.
    crc: u32,
    /// The symbol of one byte, or the escape.
    singles: [u8; 256],
    /// Symbols of two bytes and more, by the hash of their first two, the longest first: `listed[starts[h]..starts[h+1]]`.
    listed: [u8; 255],
    starts: [u8; 257],
}

impl core::fmt::Debug for SymbolTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SymbolTable({} symbols, {:08x})", self.count, self.crc)
    }
}

impl SymbolTable {
    /// A table for texts like `samples`, of which the first 16 KiB are looked at: give texts from all over the column.
    /// `None` if it would save less than a sixteenth.
    ///
    /// # Errors
    /// The scratch's budget refuses: at most 88 KiB (4 KiB and five times the samples' bytes), which the caller gives back by
    /// resetting the arena.
    pub(crate) fn train<'s>(
        samples: impl Iterator<Item = &'s [u8]>,
        scratch: &Arena,
    ) -> Result<Option<SymbolTable>, AllocError> {
        let sample = Sample::gather(samples, scratch)?;
        let mut candidates = Candidates::for_sample(sample.text.len(), scratch)?;
        let mut best = (sample.text.len() / 16 * 15, None);
        let mut table = SymbolTable::of(&mut []);
        for _ in 0..ROUNDS {
            candidates.clear();
            sample.count(&table, &mut candidates);
            table = SymbolTable::of(candidates.best());
            let bytes = sample.encoded_bytes(&table);
            if bytes < best.0 {
                best = (bytes, Some(table.clone()));
            }
        }
        Ok(best.1)
    }

    /// The table of up to 255 distinct symbols, which are put in order.
    fn of(symbols: &mut [Symbol]) -> SymbolTable {
        symbols.sort_unstable();
        let mut table = SymbolTable {
            bytes: [0; 256],
            lens: [0; 256],
            count: symbols.len().min(255) as u8,
            crc: 0,
            singles: [ESCAPE; 256],
            listed: [0; 255],
            starts: [0; 257],
        };
        for ((bytes, len), symbol) in
            table.bytes.iter_mut().zip(&mut table.lens).zip(symbols.iter()).take(255)
        {
            (*bytes, *len) = (symbol.bytes, symbol.len);
        }
        table.make_lists();
        let mut checksum = 0;
        table.each_piece(|piece| checksum = crc32c::crc32c_append(checksum, piece));
        table.crc = checksum;
        table
    }

    fn make_lists(&mut self) {
        let mut listed = [0u8; 256];
        for number in 0..self.count {
            let symbol = self.symbol(number);
            if symbol.len == 1 {
                self.singles.get_mut(symbol.bytes as usize).into_iter().for_each(|single| *single = number);
            } else {
                listed.get_mut(list_of(symbol.bytes)).into_iter().for_each(|count| *count += 1);
            }
        }
        // Counts become places: `starts[h + 1]` is the end of list h.
        let mut end = 0;
        for (start, count) in self.starts.iter_mut().skip(1).zip(&mut listed) {
            (*count, end) = (end, end + *count);
            *start = end;
        }
        // By descending number is by descending length (Y1).
        for number in (0..self.count).rev() {
            let symbol = self.symbol(number);
            let place = if symbol.len > 1 { listed.get_mut(list_of(symbol.bytes)) } else { None };
            if let Some(place) = place {
                self.listed.get_mut(usize::from(*place)).into_iter().for_each(|slot| *slot = number);
                *place += 1;
            }
        }
    }

    /// A symbol by its number; one of no bytes if there is none.
    #[inline(always)]
    fn symbol(&self, number: u8) -> Symbol {
        let number = usize::from(number);
        match (self.bytes.get(number), self.lens.get(number)) {
            (Some(bytes), Some(len)) => Symbol { bytes: *bytes, len: *len },
            _ => Symbol::default(),
        }
    }

    /// What pages name the table by.
    pub(super) fn crc(&self) -> u32 {
        self.crc
    }

    /// The longest symbol that `word`, of which `left` bytes count, begins with, and its number; the escape and the
    /// first byte if there is none.
    #[inline(always)]
    fn longest(&self, word: u64, left: usize) -> (u8, Symbol) {
        let list = list_of(word);
        let (start, end) = match self.starts.get(list..list + 2) {
            Some(&[start, end]) => (usize::from(start), usize::from(end)),
            _ => (0, 0),
        };
        for &number in self.listed.get(start..end).unwrap_or(&[]) {
            let symbol = self.symbol(number);
            let len = usize::from(symbol.len);
            if word & MASKS.get(len).copied().unwrap_or(0) == symbol.bytes && len <= left {
                return (number, symbol);
            }
        }
        let first = word as u8;
        (self.singles.get(usize::from(first)).copied().unwrap_or(ESCAPE), Symbol::byte(first))
    }

    /// Appends the compressed form of a text, at most twice its bytes.
    ///
    /// # Errors
    /// The budget refuses; part of it may be appended.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        out.reserve(2 * text.len())?;
        let mut rest = text;
        while let Some(first) = rest.first() {
            let (number, symbol) = self.longest(word_of(rest), rest.len());
            out.push(number)?;
            if number == ESCAPE {
                out.push(*first)?;
            }
            rest = rest.get(usize::from(symbol.len)..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Bytes of the compressed form.
    pub(super) fn encoded_bytes(&self, text: &[u8]) -> usize {
        let (mut rest, mut bytes) = (text, 0);
        while !rest.is_empty() {
            let (number, symbol) = self.longest(word_of(rest), rest.len());
            bytes += if number == ESCAPE { 2 } else { 1 };
            rest = rest.get(usize::from(symbol.len)..).unwrap_or(&[]);
        }
        bytes
    }

    /// Writes the text of a compressed form to the start of `out` and gives its length; `None` if `out` does not have
    /// [`SYMBOL_SLACK_BYTES`] more than it, or the form ends in an escape.
    #[inline]
    pub(super) fn decode(&self, form: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut at = 0;
        let mut numbers = form.iter();
        while let Some(&number) = numbers.next() {
            if number == ESCAPE {
                *out.get_mut(at)? = *numbers.next()?;
                at += 1;
            } else {
                let symbol = self.symbol(number);
                // Eight bytes whatever the length: the next symbol overwrites what is too much.
                out.get_mut(at..)?.first_chunk_mut().map(|room| *room = symbol.bytes.to_le_bytes())?;
                at += usize::from(symbol.len);
            }
        }
        Some(at)
    }

    /// Appends the form in files, its checksum included; at most 2.3 KiB.
    ///
    /// # Errors
    /// The budget refuses; `out` has its length of before.
    pub(crate) fn write(&self, out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        let symbols_bytes: usize = self.lens.iter().map(|len| usize::from(*len)).sum();
        out.reserve(FRAME_BYTES + symbols_bytes)?;
        let mut result = Ok(());
        self.each_piece(|piece| result = result.and_then(|()| out.extend_from_slice(piece)));
        result?;
        out.extend_from_slice(&self.crc.to_le_bytes())
    }

    /// The file form piece by piece, without the checksum.
    fn each_piece(&self, mut put: impl FnMut(&[u8])) {
        let mut counts = [0u8; SYMBOL_BYTES_MAX];
        for len in self.lens.iter().filter(|len| **len > 0) {
            counts.get_mut(usize::from(*len) - 1).into_iter().for_each(|count| *count += 1);
        }
        put(&counts);
        for (bytes, len) in self.bytes.iter().zip(self.lens) {
            put(bytes.to_le_bytes().get(..len.into()).unwrap_or(&[]));
        }
    }

    /// Reads what [`SymbolTable::write`] wrote, and nothing else.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<SymbolTable, &'static str> {
        const ENDS: &str = "the symbols end too early";
        let (body, crc) = bytes.split_last_chunk().ok_or(ENDS)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err("the checksum of the symbols is wrong");
        }
        let (counts, mut rest) = body.split_first_chunk::<SYMBOL_BYTES_MAX>().ok_or(ENDS)?;
        let mut symbols = [Symbol::default(); 255];
        let mut slots = symbols.iter_mut();
        let mut before = Symbol::default();
        for (len, count) in (1u8..).zip(counts) {
            for _ in 0..*count {
                let (bytes, behind) = rest.split_at_checked(len.into()).ok_or(ENDS)?;
                let symbol = Symbol { len, bytes: word_of(bytes) };
                if symbol <= before {
                    return Err("symbols are not in order");
                }
                *slots.next().ok_or("more than 255 symbols")? = symbol;
                (before, rest) = (symbol, behind);
            }
        }
        if !rest.is_empty() {
            return Err("there is more than the symbols");
        }
        let count = 255 - slots.len();
        Ok(SymbolTable::of(symbols.get_mut(..count).unwrap_or_default()))
    }
}

/// Bytes that [`SymbolTable::decode`] may write past the text.
pub(super) const SYMBOL_SLACK_BYTES: usize = SYMBOL_BYTES_MAX;

/// The first bytes of a text, the first one lowest; zeros behind its end.
#[inline(always)]
fn word_of(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The list for the first two bytes of a word.
#[inline(always)]
fn list_of(word: u64) -> usize {
    usize::from((word as u16).wrapping_mul(0x9E3B) >> 8)
}

/// Texts that a table is trained with, in one piece.
struct Sample<'a> {
    text: Vec<'a, u8>,
    /// Where each text ends.
    ends: Vec<'a, u16>,
}

impl<'a> Sample<'a> {
    fn gather<'s>(texts: impl Iterator<Item = &'s [u8]>, arena: &'a Arena) -> Result<Sample<'a>, AllocError> {
        let ends = Vec::with_capacity_in(SAMPLE_TEXTS_MAX, arena)?;
        let mut sample = Sample { text: Vec::new_in(arena), ends };
        for text in texts.filter(|text| !text.is_empty()) {
            let room = SAMPLE_BYTES_MAX - sample.text.len();
            if room == 0 || sample.ends.len() == SAMPLE_TEXTS_MAX {
                break;
            }
            sample.text.extend_from_slice(text.get(..room).unwrap_or(text))?;
            sample.ends.push(sample.text.len() as u16)?;
        }
        Ok(sample)
    }

    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = usize::from(*end);
            let text = self.text.get(start..end).unwrap_or(&[]);
            start = end;
            text
        })
    }

    /// Counts what the sample is made of under `table`: symbols, neighbours, and symbols with the next byte.
    fn count(&self, table: &SymbolTable, candidates: &mut Candidates<'_>) {
        for text in self.texts() {
            let (mut rest, mut before) = (text, None);
            while !rest.is_empty() {
                let (_, symbol) = table.longest(word_of(rest), rest.len());
                candidates.add(symbol);
                if symbol.len > 1 {
                    candidates.add(symbol.first());
                }
                if let Some(before) = before {
                    candidates.add_joined(before, symbol);
                    if symbol.len > 1 {
                        candidates.add_joined(before, symbol.first());
                    }
                }
                rest = rest.get(usize::from(symbol.len)..).unwrap_or(&[]);
                before = Some(symbol);
            }
        }
    }

    fn encoded_bytes(&self, table: &SymbolTable) -> usize {
        self.texts().map(|text| table.encoded_bytes(text)).sum()
    }
}

/// Flat, so that it has 16 bytes.
#[derive(Clone, Copy, Default)]
struct Candidate {
    bytes: u64,
    count: u32,
    len: u8,
}

impl Candidate {
    fn symbol(&self) -> Symbol {
        Symbol { len: self.len, bytes: self.bytes }
    }

    /// Bytes that it stands for in the sample.
    fn gain(&self) -> u64 {
        let weight = if self.len == 1 { SINGLE_BYTE_WEIGHT } else { 1 };
        if self.count < COUNT_MIN { 0 } else { u64::from(self.count) * u64::from(self.len) * weight }
    }
}

/// What could become a symbol, and how often it stands in the sample: a hash table with open addressing.
struct Candidates<'a> {
    slots: Vec<'a, Candidate>,
    used: usize,
    best: [Symbol; 255],
}

impl<'a> Candidates<'a> {
    fn for_sample(sample_bytes: usize, arena: &'a Arena) -> Result<Candidates<'a>, AllocError> {
        let mut slots = Vec::new_in(arena);
        let count = (sample_bytes / 4).clamp(512, SAMPLE_BYTES_MAX / 4).next_power_of_two();
        slots.reserve_exact(count)?;
        slots.resize(count, Candidate::default())?;
        Ok(Candidates { slots, used: 0, best: [Symbol::default(); 255] })
    }

    fn clear(&mut self) {
        self.slots.fill(Candidate::default());
        self.used = 0;
    }

    fn add_joined(&mut self, before: Symbol, symbol: Symbol) {
        if let Some(joined) = before.join(symbol) {
            self.add(joined);
        }
    }

    fn add(&mut self, symbol: Symbol) {
        let mask = self.slots.len() - 1;
        let mut at = symbol.hash() & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.count == 0 {
                // What stands often was seen before the table is nearly full.
                if self.used < mask - mask / 8 {
                    *slot = Candidate { bytes: symbol.bytes, len: symbol.len, count: 1 };
                    self.used += 1;
                }
                return;
            }
            if slot.symbol() == symbol {
                slot.count += 1;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// The symbols that gain the most; the table is of no use after that.
    fn best(&mut self) -> &mut [Symbol] {
        // Equal gains are ordered by symbol, so that a table does not depend on the sort.
        self.slots.sort_unstable_by_key(|slot| (core::cmp::Reverse(slot.gain()), slot.symbol()));
        let mut count = 0;
        for (best, slot) in
            self.best.iter_mut().zip(self.slots.iter()).take_while(|(_, slot)| slot.gain() > 0)
        {
            *best = slot.symbol();
            count += 1;
        }
        self.best.get_mut(..count).unwrap_or_default()
    }
}

//! Short texts compressed one by one: byte strings that stand often become one byte.
//!
//! This is FSST (Boncz, Neumann, Leis: *FSST: Fast Random Access String Compression*, PVLDB 13(11), 2020). A *symbol* is
//! a string of 1 to 8 bytes; a table has up to 255 of them, and a compressed text is a row of their numbers. The number
//! 255 is the escape: the byte behind it stands for itself. Nothing depends on the text before, so any text can be
//! decoded alone, and what decodes needs 2.3 KiB.
//!
//! Training (section 4 of the paper) begins with no symbols and goes several times over a sample: it compresses the sample
//! with the table it has, counts each symbol and each pair of neighbours joined into one symbol, and keeps the 255 that
//! save the most. Two things differ from the paper, both to need less memory: pairs are counted in one hash table of
//! symbols instead of an array of 512 by 512, dropping new ones when it is full; and the encoder finds symbols of two
//! bytes in a small hash table as the paper finds longer ones, instead of an array of 2^16 entries. There are three such
//! tables, by length, each with one symbol a slot: a symbol whose slot is taken by a better one is not taken.

use core::ops::Range;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

/// The longest symbol, in bytes.
const SYMBOL_BYTES_MAX: usize = 8;
/// Numbers below this one are symbols.
const ESCAPE: u8 = 255;
/// The most bytes of texts that a table is trained with.
const SAMPLE_BYTES_MAX: usize = 14 << 10;
/// The most texts.
const SAMPLE_TEXTS_MAX: usize = 1 << 10;
/// The most different candidates that are counted.
const CANDIDATES_MAX: usize = 2_600;
/// Their hash table: an eighth is free. With the sample it fits a chunk of 64 KiB.
const CANDIDATE_SLOTS: usize = 3_000;
/// So many of them are put in order at a time: some more than a table takes.
const SORTED_COUNT: usize = 400;
/// What training takes of an arena.
const TRAINING_BYTES: usize =
    SAMPLE_BYTES_MAX + 2 * SAMPLE_TEXTS_MAX + CANDIDATE_SLOTS * size_of::<Candidate>();
const _: () = assert!(TRAINING_BYTES <= (64 << 10) - 512);
/// Rounds of training, by how many eighths of the sample each looks at: symbols first have to grow.
const ROUNDS: [usize; 8] = [2, 2, 2, 4, 4, 8, 8, 8];
/// A symbol that stands less often in the whole sample is not taken.
const COUNT_MIN: u32 = 5;
/// Single bytes count so many times: one that has no symbol takes two bytes.
const SINGLE_BYTE_WEIGHT: u64 = 8;
/// Bytes of the file form beside the symbols: how many there are of each length, and the checksum.
const FRAME_BYTES: usize = SYMBOL_BYTES_MAX + 4;
/// Slots for the symbols of 2 bytes, for those of 3 and 4, and for those of 5 to 8: so many each.
const CLASS_SLOTS: usize = 512;
const SLOTS: usize = 3 * CLASS_SLOTS;
/// Bytes that [`SymbolTable::decode`] may write past the text.
pub(super) const SYMBOL_SLACK_BYTES: usize = SYMBOL_BYTES_MAX;

/// A byte string of 1 to 8 bytes, the first one lowest, zeros above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Symbol {
    len: u8,
    bytes: u64,
}

impl Symbol {
    /// The first bytes of a word, 1 to 8.
    fn of(word: u64, len: u8) -> Symbol {
        Symbol { len, bytes: word & u64::MAX >> (64 - 8 * u32::from(len)) }
    }

    /// Both as one, if that is not too long.
    fn join(self, next: Symbol) -> Option<Symbol> {
        let len = self.len + next.len;
        let fits = usize::from(len) <= SYMBOL_BYTES_MAX;
        fits.then(|| Symbol { len, bytes: self.bytes | next.bytes << (8 * u32::from(self.len)) })
    }

    /// The slot where an encoder looks for it; `None` for single bytes, which have a place each.
    fn slot(self) -> Option<usize> {
        match self.len {
            0 | 1 => None,
            2 => Some(slot_of::<0, 2>(self.bytes)),
            3 | 4 => Some(slot_of::<1, 3>(self.bytes)),
            _ => Some(slot_of::<2, 5>(self.bytes)),
        }
    }

    /// Below `bound`, which is less than 2^24.
    fn hash(self, bound: usize) -> usize {
        let hash = self.bytes.wrapping_add(u64::from(self.len)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        (hash as usize * bound) >> 24
    }
}

/// The slot of a class for a word's first bytes, by which symbols of the class are hashed.
#[inline(always)]
fn slot_of<const CLASS: usize, const HASHED_BYTES: usize>(word: u64) -> usize {
    let first = word << (64 - 8 * HASHED_BYTES);
    CLASS * CLASS_SLOTS + (first.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize
}

/// The first bytes of a text, the first one lowest; zeros behind its end.
#[inline(always)]
fn word_of(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Up to 255 byte strings of 1 to 8 bytes that stand often in a column's texts, each written as one byte.
///
/// A plain value of about 4 KiB: who keeps it charges `size_of::<SymbolTable>()`. Serves encoding and decoding.
///
/// **Y1** Symbols are numbered by ascending length, then by their bytes, and no two are equal: a table has one form.
#[derive(Clone)]
pub(crate) struct SymbolTable {
    /// The symbols' bytes by number; zeros behind the last one.
    bytes: [u64; 256],
    /// Their lengths; 0 behind the last one and at the escape.
    lens: [u8; 256],
    count: u8,
    /// The checksum of the file form, by which pages name their table.
    crc: u32,
    /// The symbol of each single byte, or the escape.
    singles: [u8; 256],
    /// Longer symbols by [`Symbol::slot`], or the escape.
    slots: [u8; SLOTS],
    /// By the slot of their first two bytes: whether there are longer symbols that begin so.
    begins: [bool; CLASS_SLOTS],
}

impl core::fmt::Debug for SymbolTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SymbolTable({} symbols, {:08x})", self.count, self.crc)
    }
}

impl SymbolTable {
    /// A table for texts like `samples`, of which the first 14 KiB are looked at: give texts from all over the column.
    /// `None` if it would save less than half: to write such texts takes five times as long, and to read them twice.
    ///
    /// # Errors
    /// The scratch's budget refuses: 64 KiB, which the caller gives back by resetting the arena.
    pub(crate) fn train<'s>(
        samples: impl Iterator<Item = &'s [u8]>,
        scratch: &Arena,
    ) -> Result<Option<SymbolTable>, AllocError> {
        scratch.reserve(TRAINING_BYTES)?;
        let sample = Sample::gather(samples, scratch)?;
        let mut candidates = Candidates::new_in(scratch)?;
        let mut best = (sample.text.len() / 16 * 8, None);
        let mut table = SymbolTable::of(&mut []);
        for eighths in ROUNDS {
            candidates.clear();
            sample.count(&table, eighths, &mut candidates);
            table = SymbolTable::of(candidates.best(COUNT_MIN * eighths as u32 / 8));
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
            count: symbols.len().min(ESCAPE.into()) as u8,
            crc: 0,
            singles: [ESCAPE; 256],
            slots: [ESCAPE; SLOTS],
            begins: [false; CLASS_SLOTS],
        };
        let places = table.bytes.iter_mut().zip(&mut table.lens);
        for ((number, symbol), (bytes, len)) in (0..ESCAPE).zip(symbols.iter()).zip(places) {
            (*bytes, *len) = (symbol.bytes, symbol.len);
            let place = match symbol.slot() {
                None => table.singles.get_mut(symbol.bytes as usize),
                Some(slot) => table.slots.get_mut(slot),
            };
            place.into_iter().for_each(|place| *place = number);
            if symbol.len > 1 {
                table
                    .begins
                    .get_mut(slot_of::<0, 2>(symbol.bytes))
                    .into_iter()
                    .for_each(|begins| *begins = true);
            }
        }
        let mut checksum = 0;
        table.each_piece(|piece| checksum = crate::sum::crc32c_append(checksum, piece));
        table.crc = checksum;
        table
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

    /// The number and length of the longest symbol that a slot knows and `word` begins with, of which `left` bytes
    /// count; the escape and 1 if there is none. Looks in all classes whatever it finds, so there is nothing to predict but
    /// whether there is any longer symbol: in texts that are no words there seldom is, and then the next byte need not wait.
    #[inline(always)]
    fn longest(&self, word: u64, left: u8) -> (u8, u8) {
        let first = usize::from(word as u8);
        let mut found = (self.singles.get(first).copied().unwrap_or(ESCAPE), 1);
        if !self.begins.get(slot_of::<0, 2>(word)).copied().unwrap_or(true) {
            return found;
        }
        for slot in [slot_of::<0, 2>(word), slot_of::<1, 3>(word), slot_of::<2, 5>(word)] {
            let number = self.slots.get(slot).copied().unwrap_or(ESCAPE);
            let symbol = self.symbol(number);
            let differs = (word ^ symbol.bytes).wrapping_shl(0u32.wrapping_sub(8 * u32::from(symbol.len)));
            let is_found = (differs == 0) & (symbol.len <= left) & (number != ESCAPE);
            found = if is_found { (number, symbol.len) } else { found };
        }
        found
    }

    /// Calls `put` with each symbol of a text's compressed form: its number or the escape, its length, and the word that
    /// it begins.
    #[inline(always)]
    fn each_symbol(&self, text: &[u8], mut put: impl FnMut(u8, u8, u64)) {
        let mut rest = text;
        while let Some(eight) = rest.first_chunk() {
            let word = u64::from_le_bytes(*eight);
            let (number, len) = self.longest(word, SYMBOL_BYTES_MAX as u8);
            put(number, len, word);
            rest = rest.get(usize::from(len)..).unwrap_or(&[]);
        }
        // The end of a text is short of a word; most texts have one that reaches it.
        let mut left = rest.len() as u8;
        let mut word = match text.last_chunk() {
            Some(last) => u64::from_le_bytes(*last).checked_shr(64 - 8 * u32::from(left)).unwrap_or(0),
            None => word_of(text),
        };
        while left > 0 {
            let (number, len) = self.longest(word, left);
            put(number, len, word);
            word = word.wrapping_shr(8 * u32::from(len));
            left -= len;
        }
    }

    /// Appends the compressed form of a text, at most twice its bytes.
    ///
    /// # Errors
    /// The budget refuses; part of it may be appended.
    pub(super) fn encode(&self, text: &[u8], out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        let start = out.len();
        // One byte more, since every symbol is written as if it was an escape.
        out.resize(start + 2 * text.len() + 1, 0)?;
        let room = out.get_mut(start..).unwrap_or_default();
        let mut at = 0;
        self.each_symbol(text, |number, _, word| {
            let two = room.get_mut(at..).and_then(|room| room.first_chunk_mut());
            two.into_iter().for_each(|two| *two = [number, word as u8]);
            at += if number == ESCAPE { 2 } else { 1 };
        });
        out.truncate(start + at);
        Ok(())
    }

    /// Bytes of the compressed form.
    pub(super) fn encoded_bytes(&self, text: &[u8]) -> usize {
        let mut bytes = 0;
        self.each_symbol(text, |number, _, _| bytes += if number == ESCAPE { 2 } else { 1 });
        bytes
    }

    /// Writes the text of the compressed form `bytes[range]` to the start of `out` and gives its length; `None` if `out`
    /// does not have [`SYMBOL_SLACK_BYTES`] more than it, or the form ends in an escape or behind the bytes.
    #[inline]
    pub(super) fn decode(&self, bytes: &[u8], range: Range<usize>, out: &mut [u8]) -> Option<usize> {
        let (mut next, mut at) = (range.start, 0);
        while next < range.end {
            // Eight symbols at a time where there is room for them and none is an escape: what lies behind the form is
            // made escapes, which have no bytes, so that how long a form is hardly has to be predicted.
            let left = (range.end - next).min(8) as u32;
            if let Some(eight) = bytes.get(next..).and_then(|rest| rest.first_chunk())
                && let behind = u64::MAX.checked_shl(8 * left).unwrap_or(0)
                && let word = u64::from_le_bytes(*eight)
                && !has_escape(word & !behind)
                && let Some(room) = out.get_mut(at..at + 8 * SYMBOL_BYTES_MAX)
            {
                let mut end = 0;
                for number in (word | behind).to_le_bytes() {
                    let symbol = self.symbol(number);
                    // Eight bytes whatever the length: the next symbol overwrites what is too much.
                    *room.get_mut(end..)?.first_chunk_mut()? = symbol.bytes.to_le_bytes();
                    end += usize::from(symbol.len);
                }
                (next, at) = (next + 8, at + end);
                continue;
            }
            let number = *bytes.get(next)?;
            if number == ESCAPE {
                let literal = bytes.get(next + 1).filter(|_| next + 1 < range.end)?;
                *out.get_mut(at)? = *literal;
                (next, at) = (next + 2, at + 1);
            } else {
                let symbol = self.symbol(number);
                *out.get_mut(at..)?.first_chunk_mut()? = symbol.bytes.to_le_bytes();
                (next, at) = (next + 1, at + usize::from(symbol.len));
            }
        }
        Some(at)
    }

    /// Appends the form in files, its checksum included; at most 2.3 KiB.
    ///
    /// # Errors
    /// The budget refuses; `out` has its length of before.
    pub(crate) fn write(&self, out: &mut Vec<'_, u8>) -> Result<(), AllocError> {
        let symbols_bytes: usize = self.symbol_lens().map(usize::from).sum();
        out.reserve(FRAME_BYTES + symbols_bytes)?;
        let mut result = Ok(());
        self.each_piece(|piece| result = result.and_then(|()| out.extend_from_slice(piece)));
        result?;
        out.extend_from_slice(&self.crc.to_le_bytes())
    }

    fn symbol_lens(&self) -> impl Iterator<Item = u8> {
        self.lens.iter().copied().take(self.count.into())
    }

    /// The file form piece by piece, without the checksum.
    fn each_piece(&self, mut put: impl FnMut(&[u8])) {
        let mut counts = [0u8; SYMBOL_BYTES_MAX];
        for len in self.symbol_lens() {
            counts.get_mut(usize::from(len).wrapping_sub(1)).into_iter().for_each(|count| *count += 1);
        }
        put(&counts);
        for (bytes, len) in self.bytes.iter().zip(self.symbol_lens()) {
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
        if crate::sum::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err("the checksum of the symbols is wrong");
        }
        let (counts, mut rest) = body.split_first_chunk::<SYMBOL_BYTES_MAX>().ok_or(ENDS)?;
        let mut symbols = [Symbol::default(); ESCAPE as usize];
        let mut places = symbols.iter_mut();
        let mut before = Symbol::default();
        for (len, count) in (1u8..).zip(counts) {
            for _ in 0..*count {
                let (bytes, behind) = rest.split_at_checked(len.into()).ok_or(ENDS)?;
                let symbol = Symbol { len, bytes: word_of(bytes) };
                if symbol <= before {
                    return Err("symbols are not in order");
                }
                *places.next().ok_or("more than 255 symbols")? = symbol;
                (before, rest) = (symbol, behind);
            }
        }
        if !rest.is_empty() {
            return Err("there is more than the symbols");
        }
        let count = usize::from(ESCAPE) - places.len();
        Ok(SymbolTable::of(symbols.get_mut(..count).unwrap_or_default()))
    }
}

/// Whether one of the bytes is the escape, by looking for a zero byte among the complements.
#[inline(always)]
fn has_escape(eight: u64) -> bool {
    (!eight).wrapping_sub(0x0101_0101_0101_0101) & eight & 0x8080_8080_8080_8080 != 0
}

/// Texts that a table is trained with, in one piece.
struct Sample<'a> {
    text: Vec<'a, u8>,
    /// Where each text ends.
    ends: Vec<'a, u16>,
}

impl<'a> Sample<'a> {
    fn gather<'s>(texts: impl Iterator<Item = &'s [u8]>, arena: &'a Arena) -> Result<Sample<'a>, AllocError> {
        let mut sample = Sample {
            text: Vec::with_capacity_in(SAMPLE_BYTES_MAX, arena)?,
            ends: Vec::with_capacity_in(SAMPLE_TEXTS_MAX, arena)?,
        };
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

    /// Counts what some eighths of the sample are made of under `table`: symbols, neighbours, and symbols with the next
    /// byte.
    fn count(&self, table: &SymbolTable, eighths: usize, candidates: &mut Candidates<'_>) {
        for text in self.texts().take((self.ends.len() * eighths).div_ceil(8)) {
            let mut before: Option<Symbol> = None;
            table.each_symbol(text, |_, len, word| {
                let symbol = Symbol::of(word, len);
                candidates.add_both(before, symbol);
                if len > 1 {
                    candidates.add_both(before, Symbol::of(word, 1));
                }
                before = Some(symbol);
            });
        }
    }

    fn encoded_bytes(&self, table: &SymbolTable) -> usize {
        self.texts().map(|text| table.encoded_bytes(text)).sum()
    }
}

/// What could become a symbol, and how often it stands in the sample. Flat, so that it has 16 bytes.
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

    /// Bytes that it stands for in the sample; 0 if it does so less than `count_min` times.
    fn gain(&self, count_min: u32) -> u64 {
        let weight = if self.len == 1 { SINGLE_BYTE_WEIGHT } else { 1 };
        if self.count < count_min { 0 } else { u64::from(self.count) * u64::from(self.len) * weight }
    }
}

/// Candidates in a hash table with open addressing.
struct Candidates<'a> {
    slots: Vec<'a, Candidate>,
    used: usize,
    best: [Symbol; ESCAPE as usize],
}

impl<'a> Candidates<'a> {
    fn new_in(arena: &'a Arena) -> Result<Candidates<'a>, AllocError> {
        let mut slots = Vec::with_capacity_in(CANDIDATE_SLOTS, arena)?;
        slots.resize(CANDIDATE_SLOTS, Candidate::default())?;
        Ok(Candidates { slots, used: 0, best: [Symbol::default(); ESCAPE as usize] })
    }

    fn clear(&mut self) {
        self.slots.fill(Candidate::default());
        self.used = 0;
    }

    /// Counts a symbol, and it joined to the one before.
    fn add_both(&mut self, before: Option<Symbol>, symbol: Symbol) {
        self.add(symbol);
        if let Some(joined) = before.and_then(|before| before.join(symbol)) {
            self.add(joined);
        }
    }

    fn add(&mut self, symbol: Symbol) {
        let mut at = symbol.hash(CANDIDATE_SLOTS);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.count == 0 {
                // What stands often was seen before the table is full.
                if self.used < CANDIDATES_MAX {
                    *slot = Candidate { bytes: symbol.bytes, len: symbol.len, count: 1 };
                    self.used += 1;
                }
                return;
            }
            if slot.symbol() == symbol {
                slot.count += 1;
                return;
            }
            at = if at + 1 == CANDIDATE_SLOTS { 0 } else { at + 1 };
        }
    }

    /// The symbols that gain the most and have each their slot; the table is of no use after that.
    fn best(&mut self, count_min: u32) -> &mut [Symbol] {
        // Equal gains are ordered by symbol, so that a table does not depend on the sort.
        let order = |slot: &Candidate| (core::cmp::Reverse(slot.gain(count_min)), slot.symbol());
        let mut gaining = 0;
        for at in 0..self.slots.len() {
            if self.slots.get(at).is_some_and(|slot| slot.gain(count_min) > 0) {
                self.slots.swap(at, gaining);
                gaining += 1;
            }
        }
        let mut is_taken = [false; SLOTS];
        let mut places = self.best.iter_mut();
        // Few of them are wanted: only as many as these are put in order.
        let mut rest = self.slots.get_mut(..gaining).unwrap_or_default();
        while !rest.is_empty() && places.len() > 0 {
            let count = rest.len().min(SORTED_COUNT);
            if count < rest.len() {
                rest.select_nth_unstable_by_key(count, order);
            }
            let (sorted, behind) = rest.split_at_mut(count);
            sorted.sort_unstable_by_key(order);
            for symbol in sorted.iter().map(Candidate::symbol) {
                let slot = symbol.slot().and_then(|slot| is_taken.get_mut(slot));
                if slot.is_none_or(|is_taken| !core::mem::replace(is_taken, true)) {
                    let Some(place) = places.next() else { break };
                    *place = symbol;
                }
            }
            rest = behind;
        }
        let count = usize::from(ESCAPE) - places.len();
        self.best.get_mut(..count).unwrap_or_default()
    }
}

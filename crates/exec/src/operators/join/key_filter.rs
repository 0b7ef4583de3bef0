//! Key filters: what the build side of a join knows of the values of a key, for scans that leave out rows with others.
//!
//! ```text
//! build rows ──> least and greatest value                 always
//!            ├─> a bit for each number between them       rows are left out by it, where these are no more than it has room for
//!            ├─> each value, as long as they are few      pages are left out by it
//!            └─> four bits of one word of a bit map       else rows are left out by it (a blocked Bloom filter)
//! ```
//!
//! Made while rows are kept, since rows that go to files are not seen again. Keys that are counted up have their bits in a map that grows
//! with the range of the values. It leaves out every row without a match, needs no hash, and rows in the order of the key read it from
//! its begin to its end. Where the values lie too far apart for that, their bits are moved to the other map. That one is made for the
//! planner's guess of how many rows there are, or for some more, and made anew where values turn out to be few; one that is too full in
//! the end says too little and is given back. So is each part that memory is refused for: without any of them the scan reads what it
//! would have read.
//!
//! **Memory**, of the join: at most 17 KiB for the values and a thirty-second of the limit for a map, and half of that more while it
//! grows, until the join's rows are given back or memory is short and nothing else is to be had.
//!
//! **Source**: F. Putze, P. Sanders, J. Singler, *Cache-, Hash- and Space-Efficient Bloom Filters*, 2007, section 3.

use cofferdam_arena::{Budget, Buffer};

use super::keys::hash_integer;
use crate::batch::{Data, Rows, Vector};
use crate::pipeline::{has_room, headroom_bytes};

/// Places for few values; a quarter stays empty.
const PLACES: usize = 2048;
/// A place without a value.
const NO_VALUE: i64 = i64::MIN;
/// Below this limit there is no room for them.
const PLACES_LIMIT_BYTES: u64 = 2 << 20;
/// Bits for each row that is expected.
const BITS_PER_ROW: u64 = 12;
/// How much larger than the bit map of hashes the one of numbers may be: nothing is left to chance in it, and it is read with less work.
const EXACT_FACTOR: u64 = 4;
/// Of few values a larger map than this is not worth its place in the caches.
const EXACT_FEW_BYTES: usize = 32 << 10;

/// Numbers as the bits of words.
#[derive(Debug)]
struct BitMap {
    words: Buffer<u64>,
    /// How many words before the first one are left out.
    first: u64,
}

impl BitMap {
    fn new(budget: &Budget) -> BitMap {
        BitMap { words: Buffer::empty(budget), first: 0 }
    }

    /// A number's word, counted from the least number's.
    #[inline(always)]
    fn word_of(value: i64) -> u64 {
        (value as u64 ^ 1 << 63) >> 6
    }

    /// Adds a number; false if it has no word.
    #[inline(always)]
    fn add(&mut self, value: i64) -> bool {
        let at = BitMap::word_of(value).wrapping_sub(self.first);
        let is_in = at < self.words.len() as u64;
        if is_in {
            self.words[at as usize] |= 1 << (value & 63);
        }
        is_in
    }

    /// Whether a number was added.
    #[inline(always)]
    fn has(words: &[u64], first: u64, value: i64) -> bool {
        let at = BitMap::word_of(value).wrapping_sub(first);
        let is_in = at < words.len() as u64;
        is_in & (words[if is_in { at as usize } else { 0 }] >> (value & 63) & 1 != 0)
    }

    /// The numbers that were added, ascending.
    fn values(&self) -> impl Iterator<Item = i64> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let start = (((self.first + at as u64) << 6) ^ 1 << 63) as i64;
            (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| start + bit)
        })
    }

    /// Makes words for all numbers from `least` to `greatest`, of which one has none; false if that takes too much. Then nothing has changed.
    fn grow(&mut self, least: i64, greatest: i64, bytes_max: u64) -> bool {
        let (low, high) = (BitMap::word_of(least), BitMap::word_of(greatest));
        let needed = high - low + 1;
        if needed > bytes_max / 8 {
            return false;
        }
        let mut bytes = (needed * 8).next_power_of_two().max(1 << 10);
        if (Buffer::<u64>::len_filling(bytes as usize) as u64) < needed {
            bytes *= 2;
        }
        let bytes = bytes.min(bytes_max);
        let budget = self.words.budget();
        let len = Buffer::<u64>::len_filling(bytes as usize) as u64;
        if len < needed || !has_room(budget, bytes + headroom_bytes(budget.limit_on_path())) {
            return false;
        }
        let Ok(mut words) = Buffer::<u64>::filling(budget, bytes as usize) else { return false };
        // What is more than needed is for values that go on as these did.
        let first =
            if !self.words.is_empty() && low < self.first { (high + 1).saturating_sub(len) } else { low };
        for (at, &word) in self.words.iter().enumerate().filter(|(_, word)| **word != 0) {
            words[(self.first + at as u64 - first) as usize] = word;
        }
        *self = BitMap { words, first };
        true
    }

    fn release(&mut self) {
        *self = BitMap::new(&self.words.budget().clone());
    }
}

/// What is known of the values of one key.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    /// Which of the join's keys.
    pub(crate) key: u32,
    least: i64,
    greatest: i64,
    /// A bit for each value, as long as there is room for it.
    exact: BitMap,
    is_exact: bool,
    /// A hash table of values without order, then those values ascending; empty if there are too many, and as long as there is a bit for each.
    values: Buffer<i64>,
    values_count: usize,
    /// The bit map of hashes; empty if there is none.
    words: Buffer<u64>,
    words_bytes: u64,
    exact_bytes_max: u64,
    /// No more rows come.
    is_complete: bool,
}

impl KeyFilter {
    /// Knows no value yet, and takes nothing. Will take what the budget gives.
    pub(super) fn new(key: u32, rows_estimate: u64, budget: &Budget) -> KeyFilter {
        let limit_bytes = budget.limit_on_path();
        let wanted = rows_estimate.saturating_mul(BITS_PER_ROW) / 8;
        let (least, most) =
            ((limit_bytes / 64).clamp(1 << 10, 256 << 10), (limit_bytes / 32).clamp(2 << 10, 64 << 20));
        let bytes = wanted.clamp(least, most.max(least));
        KeyFilter {
            key,
            least: i64::MAX,
            greatest: i64::MIN,
            exact: BitMap::new(budget),
            is_exact: true,
            values: Buffer::empty(budget),
            values_count: 0,
            words: Buffer::empty(budget),
            words_bytes: bytes,
            exact_bytes_max: bytes.saturating_mul(EXACT_FACTOR).min(most.max(least)),
            is_complete: false,
        }
    }

    /// Goes on with hashes: what has a bit is noted again.
    #[cold]
    fn begin_hashes(&mut self) {
        self.is_exact = false;
        let budget = self.words.budget().clone();
        let limit_bytes = budget.limit_on_path();
        if has_room(&budget, self.words_bytes + headroom_bytes(limit_bytes)) {
            self.words = Buffer::filling(&budget, self.words_bytes as usize)
                .unwrap_or_else(|_| Buffer::empty(&budget));
        }
        if limit_bytes >= PLACES_LIMIT_BYTES {
            self.values = Buffer::zeroed(&budget, PLACES).unwrap_or_else(|_| Buffer::empty(&budget));
            self.values.fill(NO_VALUE);
        }
        let exact = core::mem::replace(&mut self.exact, BitMap::new(&budget));
        exact.values().for_each(|value| self.note_hash(value));
    }

    /// Notes the values of rows; NULL is none.
    pub(super) fn note(&mut self, vector: &Vector<'_>, rows: Rows<'_>) {
        match &vector.data {
            Data::I32(numbers) => self.note_numbers(vector, rows, |at| i64::from(numbers[at])),
            Data::I64(numbers) => self.note_numbers(vector, rows, |at| numbers[at]),
            _ => unreachable!("the plan has filters for numbers only"),
        }
    }

    #[inline(always)]
    fn note_numbers(&mut self, vector: &Vector<'_>, rows: Rows<'_>, number: impl Fn(usize) -> i64) {
        rows.for_each(|row| {
            if !vector.is_valid(row) {
                return;
            }
            let value = number(vector.at(row));
            self.least = self.least.min(value);
            self.greatest = self.greatest.max(value);
            if !self.is_exact {
                self.note_hash(value);
            } else if !self.exact.add(value) {
                self.note_beyond(value);
            }
        });
    }

    /// Notes a value that has no bit yet.
    #[cold]
    fn note_beyond(&mut self, value: i64) {
        if self.exact.grow(self.least, self.greatest, self.exact_bytes_max) {
            let is_in = self.exact.add(value);
            debug_assert!(is_in, "there are bits for all values from the least to the greatest one");
        } else {
            self.begin_hashes();
            self.note_hash(value);
        }
    }

    #[inline(always)]
    fn note_hash(&mut self, value: i64) {
        let hash = hash_integer(value as u64);
        if !self.words.is_empty() {
            let at = word_of(hash, self.words.len());
            self.words[at] |= bits_of(hash);
        }
        if !self.values.is_empty() {
            self.note_value(value, hash);
        }
    }

    /// Adds a value to the few, or gives these up.
    fn note_value(&mut self, value: i64, hash: u64) {
        let mut at = (hash >> 20) as usize % PLACES;
        while self.values[at] != value && self.values[at] != NO_VALUE {
            at = (at + 1) % PLACES;
        }
        if self.values[at] == value && value != NO_VALUE {
            return;
        }
        if value == NO_VALUE || self.values_count == PLACES / 4 * 3 {
            self.give_up_values();
            return;
        }
        self.values[at] = value;
        self.values_count += 1;
    }

    fn give_up_values(&mut self) {
        self.values_count = 0;
        self.values = Buffer::empty(&self.values.budget().clone());
    }

    /// After the last row.
    pub(super) fn finish(&mut self) {
        self.is_complete = true;
        if self.is_exact {
            self.list_values();
            return;
        }
        let mut kept = 0;
        for at in 0..self.values.len() {
            let value = self.values[at];
            if value != NO_VALUE {
                self.values[kept] = value;
                kept += 1;
            }
        }
        debug_assert_eq!(kept, self.values_count);
        self.values[..kept].sort_unstable();
        self.fit_words(kept);
        // With half of the bits a sixteenth of other values would pass; with two thirds, a fifth.
        let ones: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        if ones > self.words.len() as u64 * 64 / 3 * 2 {
            self.give_up_words();
        }
    }

    /// Lists the values that have a bit, if they are few; then a large map is made a smaller one.
    fn list_values(&mut self) {
        let count = self.exact.words.iter().map(|word| word.count_ones() as usize).sum::<usize>();
        let budget = self.values.budget().clone();
        if count == 0 || count > PLACES / 4 * 3 || budget.limit_on_path() < PLACES_LIMIT_BYTES {
            return;
        }
        let Ok(values) = Buffer::zeroed(&budget, count) else { return };
        (self.values, self.values_count) = (values, count);
        self.values.iter_mut().zip(self.exact.values()).for_each(|(place, value)| *place = value);
        if self.exact.words.charged_bytes() > EXACT_FEW_BYTES {
            self.fit_words(count);
            if !self.words.is_empty() {
                self.exact.release();
            }
        }
    }

    /// Makes a smaller bit map of few values: guesses of how many rows come are often wrong.
    fn fit_words(&mut self, values_count: usize) {
        let bytes = (values_count * 4).next_power_of_two().max(1 << 10);
        let budget = self.words.budget().clone();
        if values_count == 0 || (!self.words.is_empty() && self.words.charged_bytes() <= bytes) {
            return;
        }
        let Ok(mut words) = Buffer::<u64>::filling(&budget, bytes) else { return };
        for &value in &self.values[..values_count] {
            let hash = hash_integer(value as u64);
            let at = word_of(hash, words.len());
            words[at] |= bits_of(hash);
        }
        self.words = words;
    }

    /// Whether all rows were noted.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The bytes that could be given back.
    pub(super) fn held_bytes(&self) -> u64 {
        (self.exact.words.charged_bytes() + self.words.charged_bytes() + self.values.charged_bytes()) as u64
    }

    /// Gives the bit map back.
    pub(super) fn give_up_words(&mut self) {
        self.words = Buffer::empty(&self.words.budget().clone());
    }

    /// Gives everything back that takes memory.
    pub(super) fn give_up(&mut self) {
        self.exact.release();
        self.is_exact = false;
        self.give_up_words();
        self.give_up_values();
    }

    /// The values that there are, ascending, where they are few.
    pub(crate) fn values(&self) -> Option<&[i64]> {
        let is_known = self.is_complete && (!self.values.is_empty() || self.least > self.greatest);
        is_known.then(|| &self.values[..self.values_count])
    }

    /// What all values lie between, both included; the first is the greater one if there is none.
    pub(crate) fn bounds(&self) -> (i64, i64) {
        (self.least, self.greatest)
    }

    /// Writes the rows whose value may be one of the key's to `passed`, and gives how many there are.
    pub(crate) fn passing(&self, vector: &Vector<'_>, rows: Rows<'_>, passed: &mut [u16]) -> usize {
        match &vector.data {
            Data::I32(numbers) => self.passing_numbers(numbers, vector, rows, passed),
            Data::I64(numbers) => self.passing_numbers(numbers, vector, rows, passed),
            _ => unreachable!("the plan has filters for numbers only"),
        }
    }

    #[inline(always)]
    fn passing_numbers<T: Copy + Into<i64>>(
        &self,
        numbers: &[T],
        vector: &Vector<'_>,
        rows: Rows<'_>,
        passed: &mut [u16],
    ) -> usize {
        let (least, greatest, words) = (self.least, self.greatest, &self.words[..]);
        let is_between = |value: i64| (least <= value) & (value <= greatest);
        let (exact, first) = (&self.exact.words[..], self.exact.first);
        if !exact.is_empty() {
            keep(numbers, vector, rows, passed, |value| BitMap::has(exact, first, value))
        } else if !words.is_empty() {
            keep(numbers, vector, rows, passed, |value| {
                let hash = hash_integer(value as u64);
                let bits = bits_of(hash);
                is_between(value) & (words[word_of(hash, words.len())] & bits == bits)
            })
        } else {
            keep(numbers, vector, rows, passed, is_between)
        }
    }
}

/// Writes the rows whose number passes to `passed`, and gives how many there are; NULL does not pass.
#[inline(always)]
fn keep<T: Copy + Into<i64>>(
    numbers: &[T],
    vector: &Vector<'_>,
    rows: Rows<'_>,
    passed: &mut [u16],
    is_passed: impl Fn(i64) -> bool,
) -> usize {
    let mut count = 0;
    // Without a branch for what passes: nobody can guess it.
    let mut put = |row: usize, is_passed: bool| {
        passed[count] = row as u16;
        count += usize::from(is_passed);
    };
    match rows {
        Rows::All(all) if vector.all_valid && !vector.is_constant => {
            numbers[..all].iter().enumerate().for_each(|(row, &number)| put(row, is_passed(number.into())));
        }
        _ => rows.for_each(|row| put(row, is_passed(numbers[vector.at(row)].into()) & vector.is_valid(row))),
    }
    count
}

/// The word that a hash has its bits in.
#[inline(always)]
fn word_of(hash: u64, words: usize) -> usize {
    (((hash >> 32) * words as u64) >> 32) as usize
}

/// The bits of a hash in its word.
#[inline(always)]
fn bits_of(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63) | 1 << (hash >> 12 & 63) | 1 << (hash >> 18 & 63)
}

#[cfg(test)]
mod tests {
    use cofferdam_arena::Arena;

    use super::*;
    use crate::batch::Kind;

    const LIMIT: u64 = 16 << 20;

    /// A vector of numbers of which every seventh is NULL.
    fn vector<'a>(numbers: impl Iterator<Item = i64>, arena: &'a Arena) -> Vector<'a> {
        let mut vector = Vector::new(Kind::I64, 2048, arena).unwrap();
        let Data::I64(values) = &mut vector.data else { unreachable!() };
        values.iter_mut().zip(numbers).for_each(|(value, number)| *value = number);
        vector.all_valid = false;
        vector.valid.iter_mut().enumerate().for_each(|(row, valid)| *valid = row % 7 != 3);
        vector
    }

    fn noted(filter: &mut KeyFilter, numbers: &[i64]) {
        for chunk in numbers.chunks(2048) {
            let arena = Arena::new(&Budget::unlimited("vectors").unwrap());
            let mut vector = vector(chunk.iter().copied(), &arena);
            vector.all_valid = true;
            filter.note(&vector, Rows::All(chunk.len()));
        }
        filter.finish();
    }

    /// What passes of the numbers from `first` on: every noted one, no NULL. Gives how many others there were, and how many of these passed.
    fn others_of(
        filter: &KeyFilter,
        range: core::ops::Range<i64>,
        is_noted: impl Fn(i64) -> bool,
        arena: &Arena,
    ) -> (u32, u32) {
        let mut passed = [0; 2048];
        let (mut others, mut others_passed) = (0, 0);
        for first in range.step_by(2048) {
            let vector = vector(first.., arena);
            let count = filter.passing(&vector, Rows::All(2048), &mut passed);
            let mut rest = &passed[..count];
            for row in 0..2048u16 {
                let number = first + i64::from(row);
                let is_passed = rest.first() == Some(&row);
                rest = &rest[usize::from(is_passed)..];
                match (row % 7 != 3, is_noted(number)) {
                    (false, _) => assert!(!is_passed, "NULL passed"),
                    (true, true) => assert!(is_passed, "{number} was noted"),
                    (true, false) => {
                        (others, others_passed) = (others + 1, others_passed + u32::from(is_passed))
                    }
                }
            }
        }
        (others, others_passed)
    }

    /// No value that was noted is left out, no other one passes, and NULL never does, in whatever order the values come.
    #[test]
    fn numbers_that_lie_together_pass_and_no_other() {
        let budget = Budget::root("test", LIMIT).unwrap();
        let arena = Arena::new(&budget);
        for turn in [1, -1, 7_919] {
            let mut filter = KeyFilter::new(0, 20_000, &budget);
            let numbers: Vec<i64> =
                (0..20_000i64).map(|number| (number * turn).rem_euclid(20_000) * 3 - 30_000).collect();
            noted(&mut filter, &numbers);
            assert!(filter.is_complete() && filter.values().is_none() && filter.words.is_empty());
            assert_eq!(filter.bounds(), (-30_000, 29_997));
            let is_noted = |number: i64| (-30_000..30_000).contains(&number) && number % 3 == 0;
            assert_eq!(others_of(&filter, -40_000..40_000, is_noted, &arena).1, 0);
        }
        // At both ends of all numbers.
        for end in [i64::MIN, i64::MAX - 5_000] {
            let mut filter = KeyFilter::new(0, 20_000, &budget);
            let numbers: Vec<i64> = (0..5_000).rev().map(|number| end + number).collect();
            noted(&mut filter, &numbers);
            assert!(filter.words.is_empty() && filter.held_bytes() > 0);
            let vector =
                vector([i64::MIN, 0, i64::MAX, 7, end, end + 4_999, end + 5_000].into_iter(), &arena);
            let mut passed = [0; 2048];
            let count = filter.passing(&vector, Rows::Some(&[1, 2, 4, 5, 6]), &mut passed);
            assert_eq!(passed[..count], [4, 5]);
        }
    }

    /// Values that turn out to lie far apart: none that was noted is left out, few others pass.
    #[test]
    fn what_was_noted_passes_and_little_else() {
        let budget = Budget::root("test", LIMIT).unwrap();
        let arena = Arena::new(&budget);
        let mut numbers: Vec<i64> = (0..20_000).map(|number| number * 3 - 30_000).collect();
        numbers.insert(15_000, 1 << 40);
        let mut filter = KeyFilter::new(0, 20_000, &budget);
        noted(&mut filter, &numbers);
        assert!(filter.is_complete() && filter.values().is_none() && !filter.words.is_empty());
        assert_eq!(filter.bounds(), (-30_000, 1 << 40));
        let is_noted = |number: i64| (-30_000..30_000).contains(&number) && number % 3 == 0;
        let (others, others_passed) = others_of(&filter, -40_000..40_000, is_noted, &arena);
        assert!(others_passed * 20 < others, "{others_passed} of {others} passed");
    }

    #[test]
    fn few_values_are_known_in_order() {
        let budget = Budget::root("test", LIMIT).unwrap();
        let arena = Arena::new(&budget);
        let mut filter = KeyFilter::new(0, 10, &budget);
        noted(&mut filter, &[7, -3, 7, i64::MAX, 0, -3]);
        assert_eq!(filter.values(), Some(&[-3, 0, 7, i64::MAX][..]));
        // The value that stands for none gives them up.
        let mut filter = KeyFilter::new(0, 10, &budget);
        noted(&mut filter, &[7, i64::MIN, 7]);
        assert_eq!((filter.values(), filter.bounds()), (None, (i64::MIN, 7)));
        let mut filter = KeyFilter::new(0, 10, &budget);
        noted(&mut filter, &(0..PLACES as i64).collect::<Vec<_>>());
        assert_eq!(filter.values(), None);
        // Few that lie apart, but not too far, need no large map.
        let mut filter = KeyFilter::new(0, 10, &budget);
        let numbers: Vec<i64> = (0..500).map(|number| number * 4_000).collect();
        noted(&mut filter, &numbers);
        assert_eq!(filter.values(), Some(&numbers[..]));
        assert!(filter.held_bytes() < 16 << 10, "{}", filter.held_bytes());
        let (others, others_passed) = others_of(&filter, 0..8_000, |number| number % 4_000 == 0, &arena);
        assert!(others_passed * 100 < others, "{others_passed} of {others} passed");
        // None at all are few.
        let mut filter = KeyFilter::new(0, 10, &budget);
        noted(&mut filter, &[]);
        assert_eq!(filter.values(), Some(&[][..]));
        let vector = vector(0.., &arena);
        assert_eq!(filter.passing(&vector, Rows::All(2048), &mut [0; 2048]), 0);
    }

    #[test]
    fn a_bit_map_that_is_too_full_or_refused_is_none() {
        let budget = Budget::root("test", 1 << 20).unwrap();
        let arena = Arena::new(&Budget::unlimited("vectors").unwrap());
        // Too far apart for a bit each.
        const STEP: i64 = 1 << 20;
        let mut filter = KeyFilter::new(0, 1, &budget);
        noted(&mut filter, &(0..100_000).map(|number| number * STEP).collect::<Vec<_>>());
        assert_eq!(filter.held_bytes(), 0);
        let vector = vector((99_000..).map(|number| number * STEP), &arena);
        let passed = filter.passing(&vector, Rows::All(2048), &mut [0; 2048]);
        assert_eq!(passed, (0..1000).filter(|row| row % 7 != 3).count());
        // Refused from the begin, or when the map is to grow.
        let rest = budget.available();
        for left in [0, 64 << 10] {
            budget.charge(rest - left).unwrap();
            let mut filter = KeyFilter::new(0, 1, &budget);
            noted(&mut filter, &(0..100_000).map(|number| number * 7).collect::<Vec<_>>());
            assert_eq!((filter.held_bytes(), filter.bounds()), (0, (0, 699_993)));
            assert!(filter.passing(&vector, Rows::All(2048), &mut [0; 2048]) == 0);
            budget.release(rest - left);
        }
    }

    /// What is given up while rows come is not begun anew.
    #[test]
    fn what_was_given_up_stays_so() {
        let budget = Budget::root("test", LIMIT).unwrap();
        let mut filter = KeyFilter::new(0, 100, &budget);
        let arena = Arena::new(&Budget::unlimited("vectors").unwrap());
        filter.note(&vector(0.., &arena), Rows::All(2048));
        assert!(filter.held_bytes() > 0);
        filter.give_up();
        filter.note(&vector(2048.., &arena), Rows::All(2048));
        filter.finish();
        assert_eq!((filter.held_bytes(), filter.bounds(), filter.values()), (0, (0, 4094), None));
    }
}

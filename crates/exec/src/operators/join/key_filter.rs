//! Key filters: what the build side of a join knows of the values of a key, for scans that leave out rows with others.
//!
//! ```text
//! build rows ──> least and greatest value                 always
//!            ├─> each value, as long as they are few      pages are left out by it
//!            └─> four bits of one word of a bit map       rows are left out by it (a blocked Bloom filter)
//! ```
//!
//! Made while rows are kept, since rows that go to files are not seen again. The bit map is made for the planner's guess of how many rows
//! there are, or for some more, and made anew where values turn out to be few; one that is too full in the end says too little and is given back. So is each part that memory is refused for:
//! without any of them the scan reads what it would have read.
//!
//! **Memory**, of the join: at most 17 KiB for the values and a thirty-second of the limit for the bit map, until the join's rows are
//! given back or memory is short and nothing else is to be had.
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

/// What is known of the values of one key.
#[derive(Debug)]
pub(crate) struct KeyFilter {
    /// Which of the join's keys.
    pub(crate) key: u32,
    least: i64,
    greatest: i64,
    /// A hash table of values without order, then those values ascending; empty if there are too many.
    values: Buffer<i64>,
    values_count: usize,
    /// The bit map; empty if there is none.
    words: Buffer<u64>,
    /// No more rows come.
    is_complete: bool,
}

impl KeyFilter {
    /// Knows no value yet. Takes what the budget gives.
    pub(super) fn new(key: u32, rows_estimate: u64, budget: &Budget) -> KeyFilter {
        let limit_bytes = budget.limit_on_path();
        let wanted = rows_estimate.saturating_mul(BITS_PER_ROW) / 8;
        let (least, most) =
            ((limit_bytes / 64).clamp(1 << 10, 256 << 10), (limit_bytes / 32).clamp(2 << 10, 64 << 20));
        let bytes = wanted.clamp(least, most.max(least));
        let has_place = has_room(budget, bytes + headroom_bytes(limit_bytes));
        let words = if has_place { Buffer::filling(budget, bytes as usize).ok() } else { None };
        let values = match limit_bytes < PLACES_LIMIT_BYTES {
            true => None,
            false => Buffer::zeroed(budget, PLACES).ok(),
        };
        let mut filter = KeyFilter {
            key,
            least: i64::MAX,
            greatest: i64::MIN,
            values: values.unwrap_or_else(|| Buffer::empty(budget)),
            values_count: 0,
            words: words.unwrap_or_else(|| Buffer::empty(budget)),
            is_complete: false,
        };
        filter.values.fill(NO_VALUE);
        filter
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
            let hash = hash_integer(value as u64);
            if !self.words.is_empty() {
                let at = word_of(hash, self.words.len());
                self.words[at] |= bits_of(hash);
            }
            if !self.values.is_empty() {
                self.note_value(value, hash);
            }
        });
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
        self.is_complete = true;
    }

    /// Makes a smaller bit map of few values: guesses of how many rows come are often wrong.
    fn fit_words(&mut self, values_count: usize) {
        let bytes = (values_count * 4).next_power_of_two().max(1 << 10);
        let budget = self.words.budget().clone();
        if values_count == 0 || self.words.charged_bytes() <= bytes {
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
        (self.words.charged_bytes() + self.values.charged_bytes()) as u64
    }

    /// Gives the bit map back.
    pub(super) fn give_up_words(&mut self) {
        self.words = Buffer::empty(&self.words.budget().clone());
    }

    /// Gives everything back that takes memory.
    pub(super) fn give_up(&mut self) {
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
            Data::I32(numbers) => self.passing_numbers(vector, rows, passed, |at| i64::from(numbers[at])),
            Data::I64(numbers) => self.passing_numbers(vector, rows, passed, |at| numbers[at]),
            _ => unreachable!("the plan has filters for numbers only"),
        }
    }

    #[inline(always)]
    fn passing_numbers(
        &self,
        vector: &Vector<'_>,
        rows: Rows<'_>,
        passed: &mut [u16],
        number: impl Fn(usize) -> i64,
    ) -> usize {
        let mut count = 0;
        let (least, greatest, words) = (self.least, self.greatest, &self.words[..]);
        rows.for_each(|row| {
            let value = number(vector.at(row));
            let mut is_passed = (least <= value) & (value <= greatest);
            if !words.is_empty() {
                let hash = hash_integer(value as u64);
                let bits = bits_of(hash);
                is_passed &= words[word_of(hash, words.len())] & bits == bits;
            }
            passed[count] = row as u16;
            count += usize::from(is_passed && vector.is_valid(row));
        });
        count
    }
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

    /// No value that was noted is left out, few others pass, and NULL never does.
    #[test]
    fn what_was_noted_passes_and_little_else() {
        let budget = Budget::root("test", LIMIT).unwrap();
        let arena = Arena::new(&budget);
        let numbers: Vec<i64> = (0..20_000).map(|number| number * 3 - 30_000).collect();
        let mut filter = KeyFilter::new(0, 20_000, &budget);
        noted(&mut filter, &numbers);
        assert!(filter.is_complete() && filter.values().is_none());
        assert_eq!(filter.bounds(), (-30_000, 29_997));
        let mut passed = [0; 2048];
        let (mut others, mut others_passed) = (0, 0);
        for first in (-40_000..40_000).step_by(2048) {
            let vector = vector(first.., &arena);
            let count = filter.passing(&vector, Rows::All(2048), &mut passed);
            let mut rest = &passed[..count];
            for row in 0..2048u16 {
                let number = first + i64::from(row);
                let is_passed = rest.first() == Some(&row);
                rest = &rest[usize::from(is_passed)..];
                let is_noted = (-30_000..30_000).contains(&number) && number % 3 == 0;
                match (row % 7 != 3, is_noted) {
                    (false, _) => assert!(!is_passed, "NULL passed"),
                    (true, true) => assert!(is_passed, "{number} was noted"),
                    (true, false) => {
                        (others, others_passed) = (others + 1, others_passed + i32::from(is_passed))
                    }
                }
            }
        }
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
        let mut filter = KeyFilter::new(0, 1, &budget);
        assert!(filter.held_bytes() > 0);
        noted(&mut filter, &(0..100_000).collect::<Vec<_>>());
        assert_eq!(filter.held_bytes(), 0);
        let vector = vector(99_000.., &arena);
        let passed = filter.passing(&vector, Rows::All(2048), &mut [0; 2048]);
        assert_eq!(passed, (0..1000).filter(|row| row % 7 != 3).count());
        let rest = budget.available();
        budget.charge(rest).unwrap();
        assert_eq!(KeyFilter::new(0, 1, &budget).held_bytes(), 0);
        budget.release(rest);
    }
}

//! Percentiles of all rows, by the values at some ranks, which are found without sorting.
//!
//! ```text
//! value ──> word of 64 bits with the value's order ──> words in memory ──> behind those of a file, when memory is short
//!
//! the word at a rank: all words are counted by their upper eleven bits, which says which those are ──> those that have them by the
//!                     next eleven ──> … until few are left, which are gathered
//! ```
//!
//! So each word is looked at a few times, in no order, and six times at most. What goes the way of [`super::choose`] instead: groups,
//! types whose values are no words, and fractions that are no constants or more than one.
//!
//! **Ladder**: in memory → a file → the typed error. What is gathered is left out where there is no room.
//!
//! **Peak bytes**: what is granted; 8 for each value in memory, and two blocks for the file.

use cofferdam_arena::{AllocError, Budget, Growing};
use cofferdam_plan::expr::ExprKind;
use cofferdam_plan::physical::{Aggregate as PlanAggregate, AggregateFunction};
use cofferdam_types::column::{value_of_double, value_of_integer};
use cofferdam_types::{Type, Value};

use super::Disk;
use crate::batch::{Element, Kind, Vector};
use crate::spill::{
    IoSlot, IsCancelled, SpillCounts, SpillFailure, SpillFile, SpillIo, SpillOwner, SpillWriter, block_bytes,
    room_bytes,
};

/// Bits of a word that words are counted by.
const DIGIT_BITS: u32 = 11;
/// No more words than that are gathered.
const GATHERED_MAX: u64 = 1 << 16;
/// Words that stand in a row of the file.
const ROW_WORDS: usize = 256;
/// What the words in memory are of the room that there was.
const SHARE: u64 = 4;
const WORDS_MIN: u64 = 1 << 10;
/// Words in memory that are looked at before it is asked whether the statement goes on.
const STEP_WORDS: usize = 1 << 20;

/// What is chosen from all rows: the order of the values, and the fraction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selected<'a> {
    ty: Type,
    descending: bool,
    pub(super) fraction: Value<'a>,
}

impl<'a> Selected<'a> {
    /// What an aggregate over all rows chooses, if it can be found so.
    pub(super) fn of(plan: &PlanAggregate<'a>, has_groups: bool) -> Option<Selected<'a>> {
        let is_percentile =
            matches!(plan.function, AggregateFunction::PercentileCont | AggregateFunction::PercentileDisc);
        let ([key], [fraction]) = (plan.order_by, plan.args) else { return None };
        let ExprKind::Literal(value @ (Value::Double(_) | Value::Null)) = fraction.kind else { return None };
        let (ty, is_word) = (key.expr.ty, matches!(Kind::of(key.expr.ty), Kind::I32 | Kind::I64 | Kind::F64));
        let is_it = is_percentile && is_word && !has_groups && fraction.ty == Type::Double;
        is_it.then_some(Selected { ty, descending: key.descending, fraction: value })
    }

    fn turn(self) -> u64 {
        if self.descending { u64::MAX } else { 0 }
    }

    /// The word of a row's value.
    #[inline(always)]
    pub(super) fn word(self, vector: &Vector<'_>, row: usize) -> u64 {
        let at = vector.at(row);
        let word = match vector.kind() {
            Kind::I32 => u64::from(i32::read(&vector.data)[at] as u32 ^ 1 << 31) << 32,
            Kind::F64 => word_of_double(f64::read(&vector.data)[at]),
            _ => i64::read(&vector.data)[at] as u64 ^ 1 << 63,
        };
        word ^ self.turn()
    }

    /// The value of a word.
    pub(super) fn value(self, word: u64) -> Value<'static> {
        let word = word ^ self.turn();
        let number = match Kind::of(self.ty) {
            Kind::F64 => return value_of_double(double_of_word(word), self.ty),
            Kind::I32 => i128::from(((word >> 32) as u32 ^ 1 << 31) as i32),
            _ => i128::from((word ^ 1 << 63) as i64),
        };
        value_of_integer(number, self.ty).unwrap_or_default()
    }
}

fn word_of_double(value: f64) -> u64 {
    let bits = value.to_bits();
    match (value.is_nan(), bits >> 63) {
        // The greatest.
        (true, _) => u64::MAX,
        (_, 0) => bits ^ 1 << 63,
        _ => !bits,
    }
}

fn double_of_word(word: u64) -> f64 {
    f64::from_bits(if word >> 63 == 1 { word ^ 1 << 63 } else { !word })
}

/// The words of all values.
#[derive(Debug)]
pub(crate) struct Selector {
    words: Growing<u64>,
    /// How many are in memory at most, if there can be a file.
    words_max: usize,
    count: u64,
    files: Option<Files>,
    /// How many bytes of words there are when what a file needs is taken.
    prepared_at: usize,
}

/// The file, and what it is written and read with.
#[derive(Debug)]
struct Files {
    io: SpillIo,
    /// Taken while the file is written or read.
    slot: Option<IoSlot>,
    file: Option<SpillFile>,
}

impl Selector {
    pub(super) fn new(budget: &Budget) -> Selector {
        let room = room_bytes(budget);
        let words_max = (room / SHARE / size_of::<u64>() as u64).max(WORDS_MIN);
        Selector {
            words: Growing::new(budget),
            words_max: usize::try_from(words_max).unwrap_or(usize::MAX),
            count: 0,
            files: None,
            prepared_at: 2 * block_bytes(room),
        }
    }

    /// How many values there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// What [`Selector::spill`] gives back.
    pub(super) fn held_bytes(&self) -> u64 {
        self.words.charged_bytes() as u64
    }

    /// What its file has and had.
    pub(super) fn spilled(&self) -> SpillCounts {
        self.files.as_ref().map_or(SpillCounts::default(), |files| files.io.owner().counts())
    }

    /// Adds a value.
    ///
    /// # Errors
    /// There is room neither in memory nor for a file; those of files. Nothing was added.
    #[inline]
    pub(super) fn put(&mut self, word: u64, disk: &Disk<'_>) -> Result<(), SpillFailure> {
        if self.words.len() >= self.words_max {
            self.write(disk)?;
        }
        if let Err(refused) = self.words.push(word) {
            if !self.spill(disk)? {
                return Err(refused.into());
            }
            self.words.push(word)?;
        }
        self.count += 1;
        if self.files.is_none() && self.words.charged_bytes() >= self.prepared_at {
            self.prepare(disk);
        }
        Ok(())
    }

    /// Takes what a file needs. Where it is refused, words stay in memory as long as that suffices.
    #[cold]
    fn prepare(&mut self, disk: &Disk<'_>) {
        let Some(space) = disk.space.filter(|space| space.is_enabled()) else {
            (self.words_max, self.prepared_at) = (usize::MAX, usize::MAX);
            return;
        };
        let budget = self.words.budget();
        let take = |block: usize| -> Result<Files, AllocError> {
            let owner = SpillOwner::new(space, disk.name, budget, 1)?;
            let io = SpillIo::new(&owner, budget, block)?;
            Ok(Files { io, slot: Some(IoSlot::new(budget, block)?), file: None })
        };
        let files = take(block_bytes(room_bytes(budget))).or_else(|_| take(block_bytes(0)));
        self.prepared_at = self.prepared_at.saturating_mul(2);
        self.files = files.ok();
    }

    /// Writes the words in memory to the file and gives their memory back; false where there are none, or there can be no file.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn spill(&mut self, disk: &Disk<'_>) -> Result<bool, SpillFailure> {
        let has_written = self.write(disk)?;
        if has_written {
            self.words.release();
        }
        Ok(has_written)
    }

    fn write(&mut self, disk: &Disk<'_>) -> Result<bool, SpillFailure> {
        if self.files.is_none() {
            self.prepare(disk);
        }
        let Some(Files { io, slot: kept_slot, file }) = &mut self.files else { return Ok(false) };
        let Some(slot) = kept_slot.take_if(|_| !self.words.is_empty()) else { return Ok(false) };
        let mut writer = match file.take() {
            Some(file) => file.append(slot, io)?,
            None => SpillWriter::create(slot, io)?,
        };
        let mut row = [0; ROW_WORDS * size_of::<u64>()];
        for words in self.words.chunks(ROW_WORDS) {
            for (bytes, word) in row.as_chunks_mut().0.iter_mut().zip(words) {
                *bytes = word.to_le_bytes();
            }
            writer.push(0, &[&row[..size_of_val(words)]], io, disk.is_cancelled)?;
        }
        let (written, slot) = writer.finish(io, disk.is_cancelled)?;
        (*file, *kept_slot) = (Some(written), Some(slot));
        self.words.clear();
        Ok(true)
    }

    /// The word with so many before it, of all words in order.
    ///
    /// # Errors
    /// Those of files.
    pub(super) fn nth(&mut self, mut rank: u64, is_cancelled: IsCancelled<'_>) -> Result<u64, SpillFailure> {
        assert!(rank < self.count, "there is a word at the rank");
        // The upper bits of the word, as far as they are known, and how many they are.
        let (mut known, mut bits) = (0, 0);
        loop {
            let below = u64::BITS - bits;
            let step = DIGIT_BITS.min(below);
            let has_known = |word: u64| word.checked_shr(below).unwrap_or(0) == known;
            let mut counts = [0u64; 1 << DIGIT_BITS];
            let count = |word: u64| {
                let digit = word >> (below - step) & ((1 << step) - 1);
                counts[digit as usize] += u64::from(has_known(word));
            };
            self.each(is_cancelled, count)?;
            let mut digit = 0;
            while counts[digit] <= rank {
                rank -= counts[digit];
                digit += 1;
            }
            (known, bits) = (known << step | digit as u64, bits + step);
            if bits == u64::BITS {
                return Ok(known);
            }
            if counts[digit] <= GATHERED_MAX {
                let mut gathered = Growing::new(self.words.budget());
                if gathered.reserve(counts[digit] as usize).is_ok() {
                    let below = u64::BITS - bits;
                    let mut outcome = Ok(());
                    self.each(is_cancelled, |word| {
                        if word >> below == known && outcome.is_ok() {
                            outcome = gathered.push(word);
                        }
                    })?;
                    outcome?;
                    return Ok(*gathered.select_nth_unstable(rank as usize).1);
                }
            }
        }
    }

    fn each(&mut self, is_cancelled: IsCancelled<'_>, mut look: impl FnMut(u64)) -> Result<(), SpillFailure> {
        for words in self.words.chunks(STEP_WORDS) {
            if is_cancelled() {
                return Err(SpillFailure::Cancelled);
            }
            words.iter().for_each(|&word| look(word));
        }
        let Some(Files { io, slot: kept_slot, file: Some(file) }) = &mut self.files else { return Ok(()) };
        let Some(slot) = kept_slot.take() else { return Ok(()) };
        let mut reader = file.read(slot, io)?;
        while reader.advance(io, is_cancelled)? {
            reader.row().1.as_chunks().0.iter().for_each(|word| look(u64::from_le_bytes(*word)));
        }
        *kept_slot = Some(reader.into_slot());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::partitions::tests::space;
    use super::*;

    fn never() -> bool {
        false
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Aim: the word at a rank is that of the sorted list, in memory and in a file, for words that differ in upper bits, in lower ones,
        /// or not at all; everything is given back. Method: budgets from the least for a file to ample.
        #[test]
        fn words_are_those_of_the_sorted_list(
            words in prop_oneof![
                proptest::collection::vec(any::<u64>(), 1..6000),
                proptest::collection::vec(0..3u64, 1..6000),
                proptest::collection::vec((0..900u64).prop_map(|word| word << 40 | 7), 1..6000),
            ],
            limit in prop_oneof![Just(u64::MAX), Just(40u64 << 10)],
            at in 0.0..1.0f64,
        ) {
            let process = Budget::unlimited("process").unwrap();
            let space = space(&process);
            let budget = process.child("aggregate_1", limit).unwrap();
            let disk = Disk { space: Some(&space), name: "aggregate_1", share: 1, is_cancelled: &never, others: None };
            let mut selector = Selector::new(&budget);
            for &word in &words {
                selector.put(word, &disk).unwrap();
            }
            let mut sorted = words.clone();
            sorted.sort();
            for rank in [0, (words.len() as f64 * at) as usize, words.len() - 1] {
                prop_assert_eq!(selector.nth(rank as u64, &never).unwrap(), sorted[rank]);
            }
            let is_large = limit < u64::MAX && words.len() > 3000;
            prop_assert!(!is_large || selector.spilled().files_total > 0);
            drop(selector);
            prop_assert_eq!((budget.used(), space.counts().files_now), (0, 0));
        }
    }

    /// Aim: words have the order of doubles, NaN behind all, and are them again.
    #[test]
    fn words_have_the_order_of_doubles() {
        let doubles =
            [f64::NEG_INFINITY, -1e300, -1.5, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY];
        let words: Vec<u64> = doubles.iter().map(|&double| word_of_double(double)).collect();
        assert!(words.is_sorted() && words.iter().all(|&word| word < word_of_double(-f64::NAN)));
        assert!(
            doubles
                .iter()
                .zip(words)
                .all(|(double, word)| double_of_word(word).to_bits() == double.to_bits())
        );
        assert!(double_of_word(u64::MAX).is_nan());
    }

    /// Aim: without a place for files, what does not fit is refused; a statement that ends is told.
    #[test]
    fn failures_are_told() {
        let budget = Budget::unlimited("process").unwrap().child("aggregate_1", 32 << 10).unwrap();
        let disk = Disk { space: None, name: "aggregate_1", share: 1, is_cancelled: &never, others: None };
        let mut selector = Selector::new(&budget);
        let refused = (0..100_000).find_map(|word| selector.put(word, &disk).err());
        assert!(matches!(refused, Some(SpillFailure::OutOfMemory(_))));
        assert!(matches!(selector.nth(7, &never), Ok(7)));
        assert!(matches!(selector.nth(7, &|| true), Err(SpillFailure::Cancelled)));
    }
}

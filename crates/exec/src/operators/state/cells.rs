//! The fixed parts of states, as they stand in a group's row: numbers, least significant byte first. Zero bytes are the
//! state of a group that has seen no row.

use core::ops::Range;

use super::wide::Wide;
use crate::batch::{Element, Rows, Source, Vector};
use crate::operators::aggregate::pages::Place;
use crate::operators::aggregate::table::GroupTable;
use crate::rows::bytes_at;

/// A number in a state.
pub(super) trait Field: Copy {
    const BYTES: usize;
    fn load(bytes: &[u8]) -> Self;
    fn store(self, bytes: &mut [u8]);
}

macro_rules! fields {
    ($($ty:ty)*) => {$(
        impl Field for $ty {
            const BYTES: usize = size_of::<$ty>();
            #[inline(always)]
            fn load(bytes: &[u8]) -> $ty {
                <$ty>::from_le_bytes(bytes_at(bytes, 0))
            }
            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                *bytes.first_chunk_mut().expect("a state has room for its numbers") = self.to_le_bytes();
            }
        }
    )*};
}
fields! { u64 i64 i128 f64 }

impl Field for Wide {
    const BYTES: usize = Wide::BYTES;
    fn load(bytes: &[u8]) -> Wide {
        Wide::load(&bytes[..Wide::BYTES])
    }
    fn store(self, bytes: &mut [u8]) {
        Wide::store(self, &mut bytes[..Wide::BYTES]);
    }
}

/// The fixed part of a state.
pub(super) trait Cell: Copy {
    const BYTES: usize;
    fn load(bytes: &[u8]) -> Self;
    fn store(self, bytes: &mut [u8]);
}

macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name {
            $(pub(super) $field: $ty),*
        }
        impl Cell for $name {
            const BYTES: usize = 0 $(+ <$ty as Field>::BYTES)*;
            #[inline(always)]
            fn load(bytes: &[u8]) -> $name {
                let bytes = &bytes[..Self::BYTES];
                let mut at = 0;
                $(
                    let $field = <$ty as Field>::load(&bytes[at..]);
                    at += <$ty as Field>::BYTES;
                )*
                debug_assert_eq!(at, Self::BYTES);
                $name { $($field),* }
            }
            #[inline(always)]
            fn store(self, bytes: &mut [u8]) {
                let bytes = &mut bytes[..Self::BYTES];
                let mut at = 0;
                $(
                    Field::store(self.$field, &mut bytes[at..]);
                    at += <$ty as Field>::BYTES;
                )*
                debug_assert_eq!(at, Self::BYTES);
            }
        }
    )*};
}

cells! {
    /// Rows, or values.
    Count { count: i64 }
    /// A sum of integers of 32 bits.
    Short { sum: i64, count: i64 }
    /// A sum of exact numbers of one scale.
    Exact { sum: i128, count: i64 }
    /// A sum of numbers with scales of their own, at the greatest of them.
    Scaled { sum: i128, scale: u64, count: i64 }
    /// A sum of doubles.
    Double { sum: f64, count: i64 }
    /// Months and days, each with 32 bits, and microseconds.
    Span { months: i64, days: i64, micros: i64, count: i64 }
    /// The best integer, or bits.
    BestShort { best: i64, count: i64 }
    /// The best number of 128 bits.
    BestExact { best: i128, count: i64 }
    /// The best double.
    BestDouble { best: f64, count: i64 }
    /// How many are true, and how many are there.
    Truths { truths: i64, count: i64 }
    /// Moments of exact numbers: their sum at a scale, and that of their squares at twice the scale.
    Squares { count: i64, sum: i128, scale: u64, squares: Wide }
    /// Moments of doubles: their number, sum, and the squares of their distances from the mean.
    Moments { n: f64, sx: f64, sxx: f64 }
    /// Moments of pairs of doubles.
    Pairs { n: f64, sx: f64, sxx: f64, sy: f64, syy: f64, sxy: f64 }
    /// A value of any length in the blobs.
    Held { place: u64, len: u64, room: u64 }
    /// A value that is chosen from the ordered rows of a group at the end, and how many rows there are.
    Chosen { place: u64, len: u64, room: u64, count: i64 }
    /// A text or list that grows, in pieces; how many elements there are, and how many bytes at its beginning do not count.
    Rope { first: u64, last: u64, bytes: u64, count: i64, skipped: u64 }
}

/// Rows of a batch, ascending, all of them within a range.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Taken<'s> {
    /// All from one on, up to another.
    Range(usize, usize),
    /// These.
    List(&'s [u16]),
}

impl<'s> Taken<'s> {
    /// Those of `rows` that lie in `range`.
    pub(crate) fn of(rows: Rows<'s>, range: Range<usize>) -> Taken<'s> {
        match rows {
            Rows::All(count) => Taken::Range(range.start.min(count), range.end.min(count)),
            Rows::Some(list) => {
                let at = |row: usize| list.partition_point(|&listed| usize::from(listed) < row);
                Taken::List(&list[at(range.start)..at(range.end)])
            }
        }
    }

    /// How many there are.
    pub(super) fn len(self) -> usize {
        match self {
            Taken::Range(start, end) => end - start,
            Taken::List(rows) => rows.len(),
        }
    }

    #[inline(always)]
    pub(crate) fn try_each<E>(self, mut f: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        match self {
            Taken::Range(start, end) => (start..end).try_for_each(f),
            Taken::List(rows) => rows.iter().try_for_each(|&row| f(usize::from(row))),
        }
    }
}

/// The groups of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Places<'p> {
    /// All rows belong to this one.
    One(Place),
    /// By row of the batch.
    Each(&'p [u64]),
}

impl Places<'_> {
    #[inline(always)]
    pub(super) fn of(self, row: usize) -> Place {
        match self {
            Places::One(place) => place,
            Places::Each(places) => Place::from_bits(places[row]).expect("the group of each row is known"),
        }
    }
}

/// The groups whose states take rows.
#[derive(Debug)]
pub(super) struct Target<'t> {
    pub(super) table: &'t mut GroupTable,
    pub(super) places: Places<'t>,
    /// Where the state stands among those of its group.
    pub(super) offset: usize,
}

impl Target<'_> {
    /// Lets the state of each row's group take its argument, where that is not NULL.
    #[inline(always)]
    pub(super) fn fold<T: Element, C: Cell, E>(
        &mut self,
        argument: &Vector<'_>,
        taken: Taken<'_>,
        mut step: impl FnMut(&mut C, T) -> Result<(), E>,
    ) -> Result<(), E> {
        let source: Source<'_, T> = argument.values();
        if argument.all_valid {
            self.each(taken, |cell, row| step(cell, source.get(row)))
        } else {
            self.each(taken, |cell, row| match argument.is_valid(row) {
                true => step(cell, source.get(row)),
                false => Ok(()),
            })
        }
    }

    /// Changes the state of the one group that all rows belong to.
    #[inline(always)]
    pub(super) fn one<C: Cell, E>(&mut self, step: impl FnOnce(&mut C) -> Result<(), E>) -> Result<(), E> {
        let Places::One(place) = self.places else { unreachable!("the caller looked") };
        let state = self.table.state_mut(place, self.offset);
        let mut cell = C::load(state);
        step(&mut cell)?;
        cell.store(state);
        Ok(())
    }

    /// Lets the state of each row's group take the row.
    #[inline(always)]
    pub(super) fn each<C: Cell, E>(
        &mut self,
        taken: Taken<'_>,
        mut step: impl FnMut(&mut C, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.places {
            Places::One(place) => {
                let state = self.table.state_mut(place, self.offset);
                let mut cell = C::load(state);
                taken.try_each(|row| step(&mut cell, row))?;
                cell.store(state);
                Ok(())
            }
            Places::Each(_) => taken.try_each(|row| {
                let state = self.table.state_mut(self.places.of(row), self.offset);
                let mut cell = C::load(state);
                step(&mut cell, row)?;
                cell.store(state);
                Ok(())
            }),
        }
    }
}

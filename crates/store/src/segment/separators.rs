//! Separators: what leads from an index node or a group directory to the one child or range in which a versioned key is.
//!
//! ```text
//!   | heads, 4 bytes each | ends, 2 bytes each | what all begin with | rests, one behind the other |
//! ```
//!
//! The first child needs none: whatever comes before the second one's separator is in it. Of each other one, what is behind the common
//! beginning is a *head* of four bytes, with zeros behind its end, and a *rest*, which most do not have. So a search looks at numbers
//! beside one another, and at few of them.
//!
//! - **D1** The last byte of a separator is not zero, so that the zeros behind the end of a head are known from its own.
//! - **D2** Separators ascend, so what the first and the last one begin with is what all do.

use core::cmp::Ordering;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::layout::{Damage, Put};
use crate::error::Error;

const HEAD_BYTES: usize = 4;
const END_BYTES: usize = 2;

// -------------------------------------------------------------------------------------------------- versioned keys

/// A key and what stands for its sequence behind it, so that newer versions come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VersionedKey<'k> {
    pub(super) key: &'k [u8],
    pub(super) suffix: [u8; 8],
}

impl<'k> VersionedKey<'k> {
    /// The version of `key` with the sequence `stored`, or the newest one below.
    pub(super) fn new(key: &'k [u8], stored: u64) -> VersionedKey<'k> {
        VersionedKey { key, suffix: (!stored).to_be_bytes() }
    }

    /// Before all versions of `key`, and of keys that begin like it.
    pub(super) fn before(key: &'k [u8]) -> VersionedKey<'k> {
        VersionedKey { key, suffix: [0; 8] }
    }

    /// How it compares with a separator.
    pub(super) fn compare(&self, separator: &[u8]) -> Ordering {
        self.behind(0).compare(separator)
    }

    /// How its beginning, as long as `start`, compares with it.
    #[inline(always)]
    fn compare_start(&self, start: &[u8]) -> Ordering {
        let (of_key, of_suffix) = start.split_at(self.key.len().min(start.len()));
        let key = self.key.get(..of_key.len()).unwrap_or(self.key);
        let suffix = self.suffix.get(..of_suffix.len()).unwrap_or(&self.suffix);
        key.cmp(of_key).then_with(|| suffix.cmp(of_suffix))
    }

    /// What is behind so many of its bytes.
    #[inline(always)]
    fn behind(&self, bytes: usize) -> Tail<'_> {
        let key = self.key.get(bytes..).unwrap_or(&[]);
        let suffix = self.suffix.get(bytes.saturating_sub(self.key.len())..).unwrap_or(&[]);
        Tail { key, suffix }
    }
}

/// The end of a versioned key: that of the key, and that of what is behind it.
#[derive(Clone, Copy)]
struct Tail<'t> {
    key: &'t [u8],
    suffix: &'t [u8],
}

impl Tail<'_> {
    /// Its first four bytes as a number, zeros behind the end.
    #[inline(always)]
    fn head(&self) -> u32 {
        match self.key.first_chunk() {
            Some(four) => u32::from_be_bytes(*four),
            None => {
                let bytes = self.key.iter().chain(self.suffix).take(HEAD_BYTES).enumerate();
                bytes.fold(0, |head, (at, byte)| head | u32::from(*byte) << (24 - 8 * at))
            }
        }
    }

    fn behind_head(&self) -> Self {
        let key = self.key.get(HEAD_BYTES..).unwrap_or(&[]);
        let suffix = self.suffix.get(HEAD_BYTES.saturating_sub(self.key.len())..).unwrap_or(&[]);
        Tail { key, suffix }
    }

    fn compare(&self, bytes: &[u8]) -> Ordering {
        match bytes.split_at_checked(self.key.len()) {
            None => self.key.cmp(bytes),
            Some((start, rest)) => self.key.cmp(start).then_with(|| self.suffix.cmp(rest)),
        }
    }
}

// ------------------------------------------------------------------------------------------------------ separators

/// How many bytes the parts of some separators take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SeparatorSizes {
    /// Of what all begin with.
    pub(super) prefix: u16,
    /// Of all rests.
    pub(super) rests: u16,
}

impl SeparatorSizes {
    /// Bytes of the separators of so many children.
    pub(super) fn bytes(self, children: usize) -> usize {
        children.saturating_sub(1) * (HEAD_BYTES + END_BYTES)
            + usize::from(self.prefix)
            + usize::from(self.rests)
    }
}

/// A view of separators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Separators<'b> {
    heads: &'b [[u8; HEAD_BYTES]],
    ends: &'b [[u8; END_BYTES]],
    prefix: &'b [u8],
    rests: &'b [u8],
}

impl<'b> Separators<'b> {
    /// Those of so many children, which are all of the bytes.
    #[inline]
    pub(super) fn parse(
        bytes: &'b [u8],
        children: usize,
        sizes: SeparatorSizes,
    ) -> Result<Separators<'b>, Damage> {
        const OTHER: Damage = "the separators have another length";
        let count = children.saturating_sub(1);
        let (heads, rest) = bytes.split_at_checked(count * HEAD_BYTES).ok_or(OTHER)?;
        let (ends, rest) = rest.split_at_checked(count * END_BYTES).ok_or(OTHER)?;
        let (prefix, rests) = rest.split_at_checked(sizes.prefix.into()).ok_or(OTHER)?;
        if rests.len() != usize::from(sizes.rests) {
            return Err(OTHER);
        }
        Ok(Separators { heads: heads.as_chunks().0, ends: ends.as_chunks().0, prefix, rests })
    }

    /// Everything that a reader relies on.
    pub(super) fn check(&self) -> Result<(), Damage> {
        let last = self.ends.last().map_or(0, |end| usize::from(u16::from_le_bytes(*end)));
        let ascend = self.ends.is_sorted_by_key(|end| u16::from_le_bytes(*end));
        if ascend && last == self.rests.len() { Ok(()) } else { Err("the separators are out of order") }
    }

    #[inline(always)]
    fn head(&self, place: usize) -> u32 {
        self.heads.get(place).map_or(0, |head| u32::from_be_bytes(*head))
    }

    fn rest(&self, place: usize) -> &'b [u8] {
        let end = |place: usize| self.ends.get(place).map_or(0, |end| u16::from_le_bytes(*end).into());
        self.rests.get(place.checked_sub(1).map_or(0, end)..end(place)).unwrap_or(&[])
    }

    /// Appends the separator before a child; nothing before the first one.
    pub(super) fn put(&self, child: usize, into: &mut Vec<'_, u8>) -> Result<(), Error> {
        let Some(place) = child.checked_sub(1) else { return Ok(()) };
        let (head, rest) = (self.head(place), self.rest(place));
        // D1
        let len = if rest.is_empty() { HEAD_BYTES - head.trailing_zeros() as usize / 8 } else { HEAD_BYTES };
        into.extend_from_slice(self.prefix)?;
        into.extend_from_slice(head.to_be_bytes().get(..len).unwrap_or(&[]))?;
        Ok(into.extend_from_slice(rest)?)
    }

    /// The last child whose separator is not greater than the target: where that is, or would be.
    #[inline]
    pub(super) fn find(&self, target: VersionedKey<'_>) -> usize {
        match target.compare_start(self.prefix) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.heads.len(),
            Ordering::Equal => {}
        }
        let tail = target.behind(self.prefix.len());
        let head = tail.head();
        let (mut low, mut left) = (0, self.heads.len() + 1);
        while left > 1 {
            let half = left / 2;
            let place = low + half - 1;
            let is_greater = match head.cmp(&self.head(place)) {
                // Without a rest the separator is what the target begins with (D1).
                Ordering::Equal => tail.behind_head().compare(self.rest(place)).is_lt(),
                order => order.is_lt(),
            };
            if !is_greater {
                low += half;
            }
            left -= half;
        }
        low
    }
}

// --------------------------------------------------------------------------------------------------------- writing

/// Separators that are gathered to be written: bytes one behind the other, and where each ends.
#[derive(Debug)]
pub(super) struct GatheredSeparators<'a> {
    bytes: Vec<'a, u8>,
    ends: Vec<'a, u32>,
}

impl<'a> GatheredSeparators<'a> {
    pub(super) fn new_in(arena: &'a Arena) -> GatheredSeparators<'a> {
        GatheredSeparators { bytes: Vec::new_in(arena), ends: Vec::new_in(arena) }
    }

    /// Room for those of so many children, but for their bytes.
    pub(super) fn with_capacity_in(
        children: usize,
        arena: &'a Arena,
    ) -> Result<GatheredSeparators<'a>, AllocError> {
        Ok(GatheredSeparators { bytes: Vec::new_in(arena), ends: Vec::with_capacity_in(children, arena)? })
    }

    /// Adds the separator before the next child, given in two parts; that of the first child is only remembered.
    pub(super) fn push(&mut self, start: &[u8], suffix: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(start)?;
        self.bytes.extend_from_slice(suffix)?;
        debug_assert!(self.ends.is_empty() || self.bytes.last() != Some(&0), "D1");
        Ok(self.ends.push(self.bytes.len() as u32)?)
    }

    /// Bytes of all of them.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn get(&self, child: usize) -> &[u8] {
        let end = |child: usize| self.ends.get(child).map_or(0, |end| *end as usize);
        self.bytes.get(child.checked_sub(1).map_or(0, end)..end(child)).unwrap_or(&[])
    }

    /// The separators that are written.
    fn written(&self) -> impl Iterator<Item = &[u8]> {
        (1..self.ends.len()).map(|child| self.get(child))
    }

    /// What they will take.
    pub(super) fn sizes(&self) -> SeparatorSizes {
        let (first, last) = (self.get(1), self.get(self.ends.len().saturating_sub(1).max(1)));
        // D2
        let prefix = first.iter().zip(last).take_while(|(a, b)| a == b).count();
        let rests: usize =
            self.written().map(|separator| separator.len().saturating_sub(prefix + HEAD_BYTES)).sum();
        SeparatorSizes { prefix: prefix as u16, rests: rests as u16 }
    }

    pub(super) fn write(&self, sizes: SeparatorSizes, put: &mut Put<'_>) {
        let prefix = usize::from(sizes.prefix);
        for separator in self.written() {
            let mut head = [0; HEAD_BYTES];
            head.iter_mut().zip(separator.iter().skip(prefix)).for_each(|(to, byte)| *to = *byte);
            put.bytes(&head);
        }
        let rest = |separator: &'_ [u8]| separator.len().saturating_sub(prefix + HEAD_BYTES);
        let mut end = 0;
        for separator in self.written() {
            end += rest(separator);
            put.u16(end as u16);
        }
        put.bytes(self.get(1).get(..prefix).unwrap_or(&[]));
        for separator in self.written() {
            put.bytes(separator.get(separator.len() - rest(separator)..).unwrap_or(&[]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use std::vec::Vec as Std;

    /// Some keys, sorted, that no other one begins with: each byte is followed by one that says whether another one comes.
    fn keys(state: &mut u64, count: usize, bytes_max: u64, values: u64) -> Std<Std<u8>> {
        let mut next = |below: u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % below
        };
        let mut keys: Std<Std<u8>> = (0..count)
            .map(|_| {
                let len = next(bytes_max);
                let mut key: Std<u8> = (0..len).flat_map(|_| [next(values) as u8, 1]).collect();
                key.extend([next(values) as u8, 0]);
                key
            })
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    fn versioned(key: &VersionedKey<'_>) -> Std<u8> {
        [key.key, &key.suffix].concat()
    }

    /// Aim: what is found is the last child whose separator is not greater, and separators are what was gathered. Method: separators of
    /// random keys, few and many, alike and not, with versions between some; each key and its neighbours are looked for, and compared
    /// with a search through all.
    #[test]
    fn what_is_found_is_the_last_child_that_is_not_greater() {
        let budget = Budget::unlimited("test").unwrap();
        let mut state = 7;
        for (count, bytes_max, values) in
            [(1, 3, 9), (2, 1, 256), (3, 40, 2), (60, 3, 3), (200, 2, 256), (250, 30, 4), (250, 1, 256)]
        {
            let arena = Arena::new(&budget);
            let keys = keys(&mut state, count, bytes_max, values);
            let rows: Std<VersionedKey<'_>> = keys
                .iter()
                .enumerate()
                .flat_map(|(i, key)| (0..1 + i as u64 % 3).map(|age| VersionedKey::new(key, 900 - 300 * age)))
                .collect();
            let mut gathered = GatheredSeparators::with_capacity_in(rows.len(), &arena).unwrap();
            gathered.push(&[], &[]).unwrap();
            for pair in rows.windows(2) {
                let (before, this) = (versioned(&pair[0]), versioned(&pair[1]));
                let common = before.iter().zip(&this).take_while(|(a, b)| a == b).count();
                gathered.push(&this[..=common], &[]).unwrap();
            }
            let sizes = gathered.sizes();
            let mut bytes = std::vec![0; sizes.bytes(rows.len())];
            gathered.write(sizes, &mut Put::new(&mut bytes));
            let separators = Separators::parse(&bytes, rows.len(), sizes).unwrap();
            separators.check().unwrap();
            for child in 0..rows.len() {
                let mut put = Vec::new_in(&arena);
                separators.put(child, &mut put).unwrap();
                assert_eq!(put[..], *gathered.get(child));
            }
            let expected = |target: VersionedKey<'_>| {
                (1..rows.len()).rev().find(|child| target.compare(gathered.get(*child)).is_ge()).unwrap_or(0)
            };
            for (child, row) in rows.iter().enumerate() {
                assert_eq!(separators.find(*row), child);
                for target in [
                    VersionedKey::before(row.key),
                    VersionedKey::before(&row.key[..row.key.len() / 2]),
                    VersionedKey::new(row.key, 0),
                    VersionedKey::new(row.key, 450),
                    VersionedKey::before(&[row.key, &[0, 0, 0]].concat()),
                    VersionedKey::new(&[row.key, &[7]].concat(), 3),
                ] {
                    assert_eq!(separators.find(target), expected(target), "{target:?}");
                }
            }
            let less = bytes.get(1..).map(|bytes| Separators::parse(bytes, rows.len(), sizes));
            assert!(less.is_none_or(|parsed| parsed.is_err()));
        }
    }

    #[test]
    fn separators_that_contradict_themselves_are_refused() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, b'a', b'b', b'c'];
        let sizes = SeparatorSizes { prefix: 1, rests: 2 };
        let separators = Separators::parse(&bytes, 3, sizes).unwrap();
        assert_eq!(separators.check().unwrap_err(), "the separators are out of order");
        assert_eq!(separators.rest(1), b"");
        assert!(Separators::parse(&bytes, 4, sizes).is_err());
        assert!(Separators::parse(&bytes, 3, SeparatorSizes { prefix: 1, rests: 1 }).is_err());
    }
}

//! The table of groups: a row of bytes for each, found by the bytes of its key.
//!
//! ```text
//! slots    [ tag | place ] …                     open addressing, at most three quarters full
//! rows     | hash 8 | key length 4 | rest length 4 | states | key | rest |      in pages, never moved
//! blobs    what states hold that has no fixed size, named by place
//! ```
//!
//! The states of a group stand beside its key, so that a row of input touches one line of memory more than the slot, and
//! a group that is spilled is the bytes of its row. The key is canonical: equal groups have equal bytes. The rest is
//! what the key does not tell of the values of the group's first row (1.0 and 1.00 have one key).
//!
//! The hash has 64 bits: tables use the lower ones, partitions the upper ones.

use core::hash::{BuildHasher, Hasher};

use cofferdam_arena::{AllocError, Budget, Buffer, prefetch};
use foldhash::fast::FixedState;

use super::pages::{ALIGN, Pages, Place};
use crate::rows::bytes_at;

const HASH_BYTES: usize = 8;
/// Before the states: hash, length of the key, length of the rest.
pub(crate) const HEAD_BYTES: usize = 16;
const SLOTS_BYTES_MIN: usize = 1 << 10;
/// What a processor core keeps near, about.
const FAR_BYTES: usize = 256 << 10;
/// So many groups get their slots at once.
const MOVED_GROUPS: usize = 32;
const PLACE_BITS: u32 = 48;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

/// The hash of a key.
#[inline]
pub(crate) fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = FixedState::with_seed(0x9E37_79B9_7F4A_7C15).build_hasher();
    hasher.write(key);
    // The last step of foldhash folds 128 bits; another multiplication spreads them over upper and lower halves alike.
    mix(hasher.finish(), 0xA076_1D64_78BD_642F)
}

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a key of a fixed and small number of bytes: the same as [`hash_of`] would be for none of them, so a table
/// takes one of the two for all its keys.
#[inline(always)]
pub(crate) fn hash_of_fixed<const N: usize>(key: &[u8; N]) -> u64 {
    let mut hash = 0x243F_6A88_85A3_08D3 ^ N as u64;
    let (words, tail) = key.as_chunks::<8>();
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word), 0x9E37_79B9_7F4A_7C15);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    mix(hash ^ u64::from_le_bytes(last), 0xE703_7ED1_A0B4_28DB)
}

/// What a table keeps when its groups are forgotten, at most, of the limit too.
const CLEARED_BYTES_MAX: u64 = 512 << 10;
const CLEARED_SHARE: u64 = 16;

/// The groups of an aggregation, or the keys of a set.
#[derive(Debug)]
pub(crate) struct GroupTable {
    rows: Pages,
    blobs: Pages,
    slots: Buffer<u64>,
    len: usize,
    state_bytes: usize,
    /// How often all groups were forgotten.
    releases: u64,
    budget: Budget,
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(bytes, at))
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes_at(bytes, at)) as usize
}

/// A group's row, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupRow<'t> {
    pub(crate) hash: u64,
    pub(crate) states: &'t [u8],
    pub(crate) key: &'t [u8],
    pub(crate) rest: &'t [u8],
}

impl<'t> GroupRow<'t> {
    /// The parts of a row that begins at `bytes`.
    pub(crate) fn new(bytes: &'t [u8], state_bytes: usize) -> GroupRow<'t> {
        let (key_bytes, rest_bytes) = (half(bytes, 8), half(bytes, 12));
        let (key, rest) = (HEAD_BYTES + state_bytes, HEAD_BYTES + state_bytes + key_bytes);
        GroupRow {
            hash: word(bytes, 0),
            states: &bytes[HEAD_BYTES..key],
            key: &bytes[key..rest],
            rest: &bytes[rest..rest + rest_bytes],
        }
    }
}

impl GroupTable {
    /// A table without groups, which takes nothing; each group's states have so many bytes.
    pub(crate) fn new(budget: &Budget, state_bytes: usize) -> GroupTable {
        debug_assert!(state_bytes.is_multiple_of(8));
        GroupTable {
            rows: Pages::new(budget),
            blobs: Pages::new(budget),
            slots: Buffer::empty(budget),
            len: 0,
            state_bytes,
            releases: 0,
            budget: budget.clone(),
        }
    }

    /// The number of groups.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What it was charged for, but for lists of pages.
    pub(crate) fn charged_bytes(&self) -> usize {
        self.rows.charged_bytes() + self.blobs.charged_bytes() + self.slots.charged_bytes()
    }

    /// Forgets all groups and gives everything back.
    pub(crate) fn release(&mut self) {
        let releases = self.releases + 1;
        *self = GroupTable { releases, ..GroupTable::new(&self.budget, self.state_bytes) };
    }

    /// Forgets all groups, and keeps room for about as many if that is little.
    pub(crate) fn clear(&mut self) {
        let kept_bytes = CLEARED_BYTES_MAX.min(self.budget.limit_on_path() / CLEARED_SHARE);
        if self.blobs.charged_bytes() > 0 || self.charged_bytes() as u64 > kept_bytes {
            return self.release();
        }
        self.rows.clear();
        self.slots.fill(0);
        self.len = 0;
        self.releases += 1;
    }

    /// What its groups take, without what tells where they are.
    pub(crate) fn held_bytes(&self) -> usize {
        self.rows.held_bytes() + self.blobs.held_bytes()
    }

    /// How often all groups were forgotten: as long as that stays the same, so do their places.
    pub(crate) const fn releases(&self) -> u64 {
        self.releases
    }

    #[inline(always)]
    fn slot_of(&self, hash: u64) -> usize {
        ((u64::from(hash as u32) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn tagged(hash: u64, place: Place) -> u64 {
        (hash >> 32) << PLACE_BITS | place.bits()
    }

    /// The group with a key, and where its slot is or would be.
    #[inline(always)]
    fn find(&self, hash: u64, is_key: impl Fn(&[u8]) -> bool) -> Result<Place, usize> {
        let mut at = self.slot_of(hash);
        loop {
            let slot = self.slots[at];
            let Some(place) = Place::from_bits(slot & PLACE_MASK) else { return Err(at) };
            if slot >> PLACE_BITS == (hash >> 32) & 0xFFFF {
                let row = self.rows.at(place);
                if word(row, 0) == hash && is_key(row) {
                    return Ok(place);
                }
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    /// Has what will be looked at for some hashes brought near, if there is so much of it that this waits for memory.
    pub(crate) fn prefetch(&self, hashes: &[u64]) {
        if self.charged_bytes() < FAR_BYTES || self.slots.is_empty() {
            return;
        }
        hashes.iter().for_each(|&hash| prefetch(&self.slots[self.slot_of(hash)]));
        for &hash in hashes {
            let slot = self.slots[self.slot_of(hash)];
            // Most groups stand in their first slot.
            if slot >> PLACE_BITS == (hash >> 32) & 0xFFFF
                && let Some(place) = Place::from_bits(slot & PLACE_MASK)
            {
                self.rows.prefetch(place);
            }
        }
    }

    /// The group with this key, if there is one.
    pub(crate) fn get(&self, hash: u64, key: &[u8]) -> Option<Place> {
        if self.slots.is_empty() {
            return None;
        }
        let at = HEAD_BYTES + self.state_bytes;
        self.find(hash, |row| half(row, 8) == key.len() && row[at..at + key.len()] == *key).ok()
    }

    /// The group with this key; one with states of zero bytes and this rest if there was none. Gives whether it is new.
    ///
    /// # Errors
    /// The budget refuses; the table is as it was.
    #[inline]
    pub(crate) fn find_or_add(
        &mut self,
        hash: u64,
        key: &[u8],
        rest: &[u8],
    ) -> Result<(Place, bool), AllocError> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow()?;
        }
        let at = HEAD_BYTES + self.state_bytes;
        match self.find(hash, |row| half(row, 8) == key.len() && row[at..at + key.len()] == *key) {
            Ok(place) => Ok((place, false)),
            Err(slot) => Ok((self.add(slot, hash, key, rest)?, true)),
        }
    }

    /// As [`GroupTable::find_or_add`], for keys that all have `N` bytes and no rest.
    #[inline(always)]
    pub(crate) fn find_or_add_fixed<const N: usize>(
        &mut self,
        hash: u64,
        key: &[u8; N],
    ) -> Result<(Place, bool), AllocError> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow()?;
        }
        let at = HEAD_BYTES + self.state_bytes;
        match self.find(hash, |row| row[at..].first_chunk::<N>() == Some(key)) {
            Ok(place) => Ok((place, false)),
            Err(slot) => Ok((self.add(slot, hash, key, &[])?, true)),
        }
    }

    /// Makes room for one more group with a key of so many bytes and no rest.
    ///
    /// # Errors
    /// The budget refuses; the table is as it was.
    pub(crate) fn reserve_one(&mut self, key_bytes: usize) -> Result<(), AllocError> {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.grow()?;
        }
        self.rows.reserve((HEAD_BYTES + self.state_bytes + key_bytes).next_multiple_of(ALIGN))
    }

    fn add(&mut self, slot: usize, hash: u64, key: &[u8], rest: &[u8]) -> Result<Place, AllocError> {
        let lengths = [key.len(), rest.len()].map(u32::try_from);
        let [Ok(key_bytes), Ok(rest_bytes)] = lengths else { return Err(AllocError) };
        let states_end = HEAD_BYTES + self.state_bytes;
        let place = self.rows.add(states_end + key.len() + rest.len())?;
        let row = self.rows.at_mut(place);
        row[..HASH_BYTES].copy_from_slice(&hash.to_le_bytes());
        row[8..12].copy_from_slice(&key_bytes.to_le_bytes());
        row[12..16].copy_from_slice(&rest_bytes.to_le_bytes());
        row[states_end..states_end + key.len()].copy_from_slice(key);
        row[states_end + key.len()..states_end + key.len() + rest.len()].copy_from_slice(rest);
        self.slots[slot] = GroupTable::tagged(hash, place);
        self.len += 1;
        Ok(place)
    }

    /// Twice as many slots, if the budget grants them; near the limit the table is filled up to fifteen sixteenths.
    #[cold]
    fn grow(&mut self) -> Result<(), AllocError> {
        let bytes = (self.slots.charged_bytes() * 2).max(SLOTS_BYTES_MIN);
        match Buffer::filling(&self.budget, bytes) {
            Ok(slots) => self.slots = slots,
            Err(_) if (self.len + 1) * 16 <= self.slots.len() * 15 => return Ok(()),
            Err(refused) => return Err(refused),
        }
        let mut next = self.next(None);
        let mut moved = [(0, 0); MOVED_GROUPS];
        while next.is_some() {
            let mut count = 0;
            while let Some(place) = next
                && count < MOVED_GROUPS
            {
                let hash = word(self.rows.at(place), 0);
                let at = self.slot_of(hash);
                prefetch(&self.slots[at]);
                moved[count] = (at, GroupTable::tagged(hash, place));
                count += 1;
                next = self.next(Some(place));
            }
            for &(mut at, slot) in &moved[..count] {
                while self.slots[at] != 0 {
                    at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
                }
                self.slots[at] = slot;
            }
        }
        Ok(())
    }

    /// The group behind another one, or the first, in the order they came.
    pub(crate) fn next(&self, after: Option<Place>) -> Option<Place> {
        let states = self.state_bytes;
        self.rows.walk(after, |row| HEAD_BYTES + states + half(row, 8) + half(row, 12))
    }

    /// The parts of a group's row.
    pub(crate) fn row(&self, place: Place) -> GroupRow<'_> {
        GroupRow::new(self.rows.at(place), self.state_bytes)
    }

    /// A group's states and what comes behind them, from the byte `offset` of the states on.
    #[inline(always)]
    pub(crate) fn state(&self, place: Place, offset: usize) -> &[u8] {
        &self.rows.at(place)[HEAD_BYTES + offset..]
    }

    /// As [`GroupTable::state`], to be written.
    #[inline(always)]
    pub(crate) fn state_mut(&mut self, place: Place, offset: usize) -> &mut [u8] {
        &mut self.rows.at_mut(place)[HEAD_BYTES + offset..]
    }

    /// What states hold that has no fixed size.
    pub(crate) const fn blobs(&self) -> &Pages {
        &self.blobs
    }

    /// As [`GroupTable::blobs`], to be written.
    pub(crate) const fn blobs_mut(&mut self) -> &mut Pages {
        &mut self.blobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Aim: groups are those of a map, in the order they came, with the first rest. Method: few and many keys.
        #[test]
        fn groups_are_those_of_a_map(keys in proptest::collection::vec(("[a-c]{0,3}", 0..400u32), 0..900)) {
            let budget = Budget::unlimited("test").unwrap();
            let mut table = GroupTable::new(&budget, 8);
            let mut oracle = std::collections::HashMap::new();
            let mut order = Vec::new();
            for (text, number) in &keys {
                let (key, rest) = (format!("{text}{}", number / 7), number.to_string());
                let (place, is_new) = table.find_or_add(hash_of(key.as_bytes()), key.as_bytes(), rest.as_bytes()).unwrap();
                prop_assert_eq!(is_new, !oracle.contains_key(&key));
                if is_new {
                    order.push(key.clone());
                }
                let (first, count) = oracle.entry(key).or_insert((rest, 0u64));
                *count += 1;
                table.state_mut(place, 0)[..8].copy_from_slice(&count.to_le_bytes());
                prop_assert_eq!(table.row(place).rest, first.as_bytes());
            }
            prop_assert_eq!(table.len(), oracle.len());
            let mut next = table.next(None);
            for key in &order {
                let place = next.unwrap();
                let row = table.row(place);
                prop_assert_eq!((row.key, row.hash), (key.as_bytes(), hash_of(key.as_bytes())));
                prop_assert_eq!(row.states, oracle[key].1.to_le_bytes());
                prop_assert_eq!(table.get(row.hash, row.key), Some(place));
                next = table.next(next);
            }
            prop_assert_eq!(next, None);
            prop_assert_eq!(table.get(hash_of(b"none"), b"none"), None);
        }

        /// Aim: keys of a fixed size are told apart, by numbers that differ in few bits.
        #[test]
        fn fixed_keys_are_told_apart(numbers in proptest::collection::vec((0..2000u64, 0..60u32), 0..900)) {
            let budget = Budget::unlimited("test").unwrap();
            let mut table = GroupTable::new(&budget, 0);
            let mut oracle = std::collections::HashSet::new();
            for (number, shift) in numbers {
                let mut key = [1; 9];
                key[1..].copy_from_slice(&(number << shift).to_le_bytes());
                let (_, is_new) = table.find_or_add_fixed(hash_of_fixed(&key), &key).unwrap();
                prop_assert_eq!(is_new, oracle.insert(key));
            }
        }
    }

    /// Aim: partitions by upper bits and slots by lower bits are even, for keys that are counted up.
    #[test]
    fn hashes_of_consecutive_numbers_are_spread() {
        for take in [0, 1] {
            let (mut upper, mut lower) = ([0; 16], [0; 16]);
            for number in 0..16_000u64 {
                let mut key = [1; 9];
                key[1..].copy_from_slice(&number.to_le_bytes());
                let hash = if take == 0 { hash_of(&key) } else { hash_of_fixed(&key) };
                upper[(hash >> 60) as usize] += 1;
                lower[((u64::from(hash as u32) * 16) >> 32) as usize] += 1;
            }
            assert!(
                upper.iter().chain(&lower).all(|&count| (850..1150).contains(&count)),
                "{upper:?} {lower:?}"
            );
        }
    }

    /// Aim: a refusal leaves the table as it was, and near the limit it is used up.
    #[test]
    fn tables_fill_their_limit() {
        let budget = Budget::unlimited("root").unwrap().child("test", 32 << 10).unwrap();
        let mut table = GroupTable::new(&budget, 8);
        let mut count = 0u64;
        while table.find_or_add(hash_of(&count.to_le_bytes()), &count.to_le_bytes(), &[]).is_ok() {
            count += 1;
        }
        // 32 bytes a row and 8 to 16 a slot.
        assert!(count > 400 && table.len() as u64 == count, "{count}");
        assert!((0..count).all(|key| table.get(hash_of(&key.to_le_bytes()), &key.to_le_bytes()).is_some()));
        table.release();
        assert_eq!(budget.used(), 0);
    }

    /// Aim: a table that was cleared has nothing of what it had, and keeps its memory if that is little.
    #[test]
    fn cleared_tables_are_as_new() {
        let budget = Budget::unlimited("root").unwrap().child("test", 1 << 20).unwrap();
        let mut table = GroupTable::new(&budget, 8);
        let mut kept_bytes = Vec::new();
        for number in 0..20u64 {
            let count = if number == 10 { 9000 } else { 40 };
            for key in number..number + count {
                let key = key.to_le_bytes();
                let (place, is_new) = table.find_or_add(hash_of(&key), &key, &[]).unwrap();
                assert!(is_new && *table.state(place, 0).first_chunk::<8>().unwrap() == [0; 8], "{number}");
                table.state_mut(place, 0)[..8].fill(7);
            }
            table.clear();
            assert!(table.is_empty() && table.next(None).is_none() && table.held_bytes() == 0);
            assert!(table.get(hash_of(&number.to_le_bytes()), &number.to_le_bytes()).is_none());
            assert_eq!(table.releases(), number + 1);
            kept_bytes.push(table.charged_bytes());
        }
        assert!(
            kept_bytes[0] > 0 && kept_bytes[10] == 0 && kept_bytes[19] == kept_bytes[0],
            "{kept_bytes:?}"
        );
        drop(table);
        assert_eq!(budget.used(), 0);
    }
}

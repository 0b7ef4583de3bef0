//! Hash map and hash set in an arena, over `hashbrown` with `foldhash`, seeded anew for each map.
//!
//! When a table grows, the old one stays behind in the arena until that is reset: together they take at most twice
//! the bytes of the last one.

use crate::arena::Arena;
use crate::error::AllocError;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use foldhash::fast::RandomState;
use hashbrown::hash_map;

/// A hash map in an arena.
pub struct Map<'a, K, V> {
    inner: hash_map::HashMap<K, V, RandomState, &'a Arena>,
}

impl<'a, K: Eq + Hash, V> Map<'a, K, V> {
    /// An empty map; takes nothing.
    pub fn new_in(arena: &'a Arena) -> Map<'a, K, V> {
        Map { inner: hash_map::HashMap::with_hasher_in(RandomState::default(), arena) }
    }

    /// The arena.
    pub fn arena(&self) -> &'a Arena {
        self.inner.allocator()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// True where there is no entry.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Makes room for `additional` entries.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        self.inner.try_reserve(additional).map_err(|error| match error {
            hashbrown::TryReserveError::AllocError { .. } => AllocError,
            hashbrown::TryReserveError::CapacityOverflow => {
                let bytes = (additional as u64).saturating_mul(size_of::<(K, V)>() as u64);
                self.arena().budget().refuse(bytes, crate::Reason::TooLarge)
            }
        })
    }

    /// Sets the value of a key and returns the one before.
    ///
    /// # Errors
    /// The budget refuses; key and value are dropped and nothing has changed.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, AllocError> {
        if self.inner.len() == self.inner.capacity() {
            // The table's own `insert` would grow before it looks whether the key is there.
            if let Some(slot) = self.inner.get_mut(&key) {
                return Ok(Some(core::mem::replace(slot, value)));
            }
            self.reserve(1)?;
        }
        Ok(self.inner.insert(key, value))
    }

    /// The value of a key, made by `make` where there is none.
    ///
    /// # Errors
    /// The budget refuses; `make` was not called and nothing has changed.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> Result<&mut V, AllocError> {
        if self.inner.len() == self.inner.capacity() && !self.inner.contains_key(&key) {
            self.reserve(1)?;
        }
        Ok(self.inner.entry(key).or_insert_with(make))
    }

    /// The value of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.inner.get(key)
    }

    /// The value of a key, to change.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.inner.get_mut(key)
    }

    /// True where the key has a value.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.inner.contains_key(key)
    }

    /// Takes out a key's value.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.inner.remove(key)
    }

    /// Entries in no particular order.
    pub fn iter(&self) -> hash_map::Iter<'_, K, V> {
        self.inner.iter()
    }

    /// Entries in no particular order, values to change.
    pub fn iter_mut(&mut self) -> hash_map::IterMut<'_, K, V> {
        self.inner.iter_mut()
    }

    /// Drops every entry; keeps the table.
    pub fn clear(&mut self) {
        self.inner.clear();
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A hash set in an arena.
pub struct Set<'a, K> {
    map: Map<'a, K, ()>,
}

impl<'a, K: Eq + Hash> Set<'a, K> {
    /// An empty set; takes nothing.
    pub fn new_in(arena: &'a Arena) -> Set<'a, K> {
        Set { map: Map::new_in(arena) }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// True where there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Makes room for `additional` keys.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        self.map.reserve(additional)
    }

    /// Adds a key; true where it is new.
    ///
    /// # Errors
    /// The budget refuses; the key is dropped and nothing has changed.
    pub fn insert(&mut self, key: K) -> Result<bool, AllocError> {
        Ok(self.map.insert(key, ())?.is_none())
    }

    /// True where the key is in the set.
    pub fn contains<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.map.contains_key(key)
    }

    /// Takes a key out; true where it was in.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.map.remove(key).is_some()
    }

    /// Keys in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &K> {
        self.map.iter().map(|(key, ())| key)
    }

    /// Drops every key; keeps the table.
    pub fn clear(&mut self) {
        self.map.clear();
    }
}

impl<K: fmt::Debug> fmt::Debug for Set<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map.inner.keys()).finish()
    }
}

//! Hashes of parts, and how they become the hash of a whole.

use crate::node::NodeKind;

/// What a part of a statement counts as: nothing, or a number of 64 bits.
pub(super) type Hash = u64;

/// Counts for nothing.
pub(super) const NOTHING: Hash = 0;
/// A literal or a parameter: nothing, and a cast of it is nothing as well.
pub(super) const CONSTANT: Hash = 1;
/// A number: a constant that a sign before it belongs to.
pub(super) const NUMBER: Hash = 2;
/// The first that counts.
const FIRST: Hash = 8;

pub(super) fn counts(hash: Hash) -> bool {
    hash >= FIRST
}

pub(super) fn is_constant(hash: Hash) -> bool {
    matches!(hash, CONSTANT | NUMBER)
}

/// A hash in the making: a folded multiplication for each word.
#[derive(Clone, Copy)]
pub(super) struct Hasher(u64);

impl Hasher {
    /// Begins the hash of what counts as a `kind`.
    pub(super) fn of(kind: NodeKind) -> Hasher {
        Hasher(0).number(kind as u64 + 1)
    }

    pub(super) fn number(self, number: u64) -> Hasher {
        let product = u128::from(self.0 ^ 0x9E37_79B9_7F4A_7C15) * u128::from(number ^ 0xE703_7ED1_A0B4_28DB);
        Hasher((product as u64) ^ ((product >> 64) as u64))
    }

    pub(super) fn text(self, text: &str) -> Hasher {
        let mut hasher = self.number(text.len() as u64);
        let mut chunks = text.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            hasher = hasher.number(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        last.iter_mut().zip(chunks.remainder()).for_each(|(to, from)| *to = *from);
        hasher.number(u64::from_le_bytes(last))
    }

    /// A part, named by a number that no other part of the whole has. One that is nothing is left out.
    pub(super) fn part(self, name: u64, hash: Hash) -> Hasher {
        if counts(hash) { self.number(name).number(hash) } else { self }
    }

    pub(super) fn finish(self) -> Hash {
        if counts(self.0) { self.0 } else { self.0 + FIRST }
    }
}

/// A name or another text.
pub(super) fn text(text: &str) -> Hash {
    Hasher::of(NodeKind::Name).text(text).finish()
}

/// A list in the making: nothing when no element counts, and the one when there is one.
#[derive(Clone, Copy)]
pub(super) enum List {
    Short(Hash),
    Long(Hasher),
}

impl List {
    pub(super) const EMPTY: List = List::Short(NOTHING);

    pub(super) fn with(self, element: Hash) -> List {
        match self {
            _ if !counts(element) => self,
            List::Short(NOTHING) => List::Short(element),
            List::Short(first) => List::Long(Hasher::of(NodeKind::List).number(first).number(element)),
            List::Long(hasher) => List::Long(hasher.number(element)),
        }
    }

    pub(super) fn finish(self) -> Hash {
        match self {
            List::Short(hash) => hash,
            List::Long(hasher) => hasher.finish(),
        }
    }
}

/// The list of hashes in their order.
pub(super) fn list(hashes: impl IntoIterator<Item = Hash>) -> Hash {
    hashes.into_iter().fold(List::EMPTY, List::with).finish()
}

/// Hashes in any order, each once.
pub(super) fn set(hashes: &mut [Hash]) -> Hash {
    hashes.sort_unstable();
    let mut previous = NOTHING;
    list(hashes.iter().copied().filter(|hash| *hash != std::mem::replace(&mut previous, *hash)))
}

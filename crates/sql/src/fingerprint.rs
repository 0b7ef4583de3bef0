//! Which statements are the same but for their literals.
//!
//! The fingerprint of a statement is a hash over its tree from the leaves up. Literals and parameters count for nothing,
//! so lists of them fold into one; aliases, the order of select items, of conditions joined by `AND` or `OR`, of tables
//! and of arguments do not matter either, nor do digits at the end of a table's name that only number it. Two statements
//! have the same fingerprint here when they have the same one in `pg_query` and `pg_stat_statements`-like tools built on
//! it; the numbers themselves differ from theirs.
//!
//! Costs 8 bytes in the caller's arena for each node on the way from the root to where the hash is, siblings included.

use std::fmt;

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use crate::Tree;
use crate::node::{Node, NodeKind, Visit, flag};
use crate::views::UnaryOp;

/// A hash of a statement without its literals. The same in every process and on every machine; shown as 16 hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Tree<'_> {
    /// The fingerprint of the statement; `scratch` holds what is needed to find it.
    ///
    /// # Errors
    /// [`AllocError`] when the budget of `scratch` is used up.
    pub fn fingerprint(self, scratch: &Arena) -> Result<Fingerprint, AllocError> {
        let mut hashes = Vec::new_in(scratch);
        // Where the hashes of the children of each open node begin.
        let mut starts = Vec::new_in(scratch);
        for visit in self.walk() {
            match visit {
                Visit::Enter(_) => starts.push(hashes.len())?,
                // The hashes of its operands go on as those of its parent's.
                Visit::Leave(node) if goes_on_in_parent(node) => drop(starts.pop()),
                Visit::Leave(node) => {
                    let start = starts.pop().unwrap_or(0);
                    let hash = hash_of(node, hashes.get_mut(start..).unwrap_or_default());
                    hashes.truncate(start);
                    hashes.push(hash)?;
                }
            }
        }
        Ok(Fingerprint(hashes.last().copied().unwrap_or(NOTHING)))
    }
}

/// What counts for nothing.
const NOTHING: u64 = 0;

/// A hash in the making: a folded multiplication for each word.
#[derive(Clone, Copy)]
struct Hasher(u64);

impl Hasher {
    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ 0x9E37_79B9_7F4A_7C15) * u128::from(word ^ 0xE703_7ED1_A0B4_28DB);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        let mut chunks = text.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            self.word(u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
        }
        let mut last = [0; 8];
        last.iter_mut().zip(chunks.remainder()).for_each(|(to, from)| *to = *from);
        self.word(u64::from_le_bytes(last));
    }

    fn ordered(&mut self, hashes: &[u64]) {
        for (index, hash) in hashes.iter().enumerate().filter(|(_, hash)| **hash != NOTHING) {
            self.word(index as u64);
            self.word(*hash);
        }
    }

    /// Hashes in any order, each once.
    fn set(&mut self, hashes: &mut [u64]) {
        hashes.sort_unstable();
        let mut previous = NOTHING;
        for hash in hashes.iter().copied() {
            if hash != previous {
                self.word(hash);
            }
            previous = hash;
        }
        self.word(1);
    }

    fn finish(self) -> u64 {
        self.0.max(1)
    }
}

/// The hash of `node` from those of its children.
fn hash_of<'a>(node: &'a Node<'a>, children: &mut [u64]) -> u64 {
    use NodeKind as N;
    let mut hasher = Hasher(0);
    match node.kind() {
        N::Null | N::Boolean | N::Integer | N::Number | N::String | N::BitString
            if !node.has(flag::KEYWORD) =>
        {
            return NOTHING;
        }
        N::Parameter | N::Alias => return NOTHING,
        N::Aliased => return children.first().copied().unwrap_or(NOTHING),
        N::Unary if is_negative_number(node) => return NOTHING,
        N::And | N::Or | N::From | N::Values => {
            hasher.word(node.kind() as u64);
            hasher.set(children);
        }
        _ => {
            hasher.word(node.kind() as u64);
            hasher.word(u64::from(node.detail()));
            hasher.word(u64::from(node.flags()));
            hasher.text(node.qualifier().unwrap_or(""));
            hasher.text(node.name());
            hasher.ordered(children);
        }
    }
    hasher.finish()
}

fn is_negative_number(node: &Node<'_>) -> bool {
    node.detail() == UnaryOp::Minus.code()
        && node
            .first_child()
            .is_some_and(|child| matches!(child.kind(), NodeKind::Integer | NodeKind::Number))
}

/// `(a AND b) AND c` is one list in PostgreSQL.
fn goes_on_in_parent<'a>(node: &'a Node<'a>) -> bool {
    matches!(node.kind(), NodeKind::And | NodeKind::Or)
        && node.parent().is_some_and(|parent| {
            parent.kind() == node.kind()
                && parent.first_child().is_some_and(|first| std::ptr::eq(first, node))
        })
}

//! The keywords of PostgreSQL 18 with their categories, and how they are found.
//!
//! A word of up to 16 bytes is a number, and hashed and compared as one; the table is built at compile time, a quarter
//! full, so that a word that is no keyword nearly always ends at an empty slot.

use crate::window::{WINDOW_BYTES, Word};

/// Where a keyword may stand as a name without quotes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Category {
    /// Anywhere.
    Unreserved,
    /// As a name of a column or table, not of a function or type.
    ColumnName,
    /// As a name of a function or type, not of a column or table.
    TypeOrFunction,
    /// Only after `AS`.
    Reserved,
}

/// Whether a keyword may be a column's label without `AS`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Bare,
    NeedsAs,
}

macro_rules! keywords {
    ($($name:ident $word:literal $category:ident $label:ident,)*) => {
        /// A keyword of PostgreSQL's grammar.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each is the word itself")]
        pub enum Keyword {
            $($name,)*
        }

        const ALL: &[Keyword] = &[$(Keyword::$name,)*];
        const WORDS: &[&str] = &[$($word,)*];
        const CATEGORIES: &[Category] = &[$(Category::$category,)*];
        const LABELS: &[Label] = &[$(Label::$label,)*];
    };
}

include!(concat!(env!("OUT_DIR"), "/keywords.rs"));

impl Keyword {
    /// How many there are.
    pub const COUNT: usize = ALL.len();

    /// The keyword that `word` is, in any case of its letters.
    pub fn find(word: &str) -> Option<Keyword> {
        Keyword::find_bytes(word.as_bytes())
    }

    pub(crate) fn find_bytes(bytes: &[u8]) -> Option<Keyword> {
        if bytes.len() > SHORT_BYTES_MAX {
            return LONG
                .iter()
                .copied()
                .find(|keyword| keyword.word().as_bytes().eq_ignore_ascii_case(bytes));
        }
        let mut short = [0; SHORT_BYTES_MAX];
        for (to, from) in short.iter_mut().zip(bytes) {
            *to = *from;
        }
        let keyword = Keyword::find_short(Word(u128::from_le_bytes(short)))?;
        keyword.word().as_bytes().eq_ignore_ascii_case(bytes).then_some(keyword)
    }

    /// The keyword that a word of name bytes is.
    #[inline(always)]
    pub(crate) fn find_short(word: Word) -> Option<Keyword> {
        let folded = word.folded();
        let mut slot = hash(folded);
        loop {
            let index = usize::from(SLOTS[slot % SLOTS_COUNT].checked_sub(1)?);
            if SHORT[index] == folded {
                return Some(ALL[index]);
            }
            slot += 1;
        }
    }

    /// All keywords in alphabetical order.
    pub fn all() -> impl ExactSizeIterator<Item = Keyword> {
        ALL.iter().copied()
    }

    /// All words in the order of [`Keyword::all`].
    pub fn words() -> &'static [&'static str] {
        WORDS
    }

    /// The word in lower case.
    pub fn word(self) -> &'static str {
        WORDS[self as usize]
    }

    /// Where it may stand as a name.
    pub fn category(self) -> Category {
        CATEGORIES[self as usize]
    }

    /// Whether it may be a column's label without `AS`.
    pub fn is_bare_label(self) -> bool {
        LABELS[self as usize] == Label::Bare
    }
}

/// The longest word in bytes that is found by its hash.
const SHORT_BYTES_MAX: usize = WINDOW_BYTES;
const SLOTS_COUNT: usize = 2048;

/// The keywords as numbers, folded; those that are too long as that of no word.
static SHORT: [u128; Keyword::COUNT] = {
    let mut short = [0; Keyword::COUNT];
    let mut index = 0;
    while index < WORDS.len() {
        let word = WORDS[index].as_bytes();
        let mut at = word.len();
        while at > 0 && word.len() <= SHORT_BYTES_MAX {
            at -= 1;
            short[index] = short[index] << 8 | word[at] as u128;
        }
        short[index] = Word(short[index]).folded();
        index += 1;
    }
    short
};

/// The keywords that are too long for [`SHORT`].
const LONG: &[Keyword] = &[Keyword::CurrentTimestamp];

/// Slot -> index of a keyword + 1, or 0 when the slot is empty; collisions go to the next slot.
static SLOTS: [u16; SLOTS_COUNT] = {
    let mut slots = [0; SLOTS_COUNT];
    let mut index = 0;
    while index < WORDS.len() {
        let mut slot = hash(SHORT[index]);
        while slots[slot % SLOTS_COUNT] != 0 {
            slot += 1;
        }
        slots[slot % SLOTS_COUNT] = index as u16 + 1;
        index += 1;
    }
    slots
};

/// Hashes a folded word.
#[inline(always)]
const fn hash(folded: u128) -> usize {
    let (head, tail) = (folded as u64, (folded >> 64) as u64);
    let mixed = head.wrapping_add(tail.rotate_left(29));
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_found_in_any_case() {
        assert_eq!(Keyword::all().len(), 494);
        for keyword in Keyword::all() {
            assert_eq!(Keyword::find(keyword.word()), Some(keyword));
            assert_eq!(Keyword::find(&keyword.word().to_ascii_uppercase()), Some(keyword));
        }
    }

    #[test]
    fn words_that_only_look_like_keywords_are_none() {
        for word in ["", "a", "selec", "selects", "current\u{7f}date", "ſelect", "x".repeat(40).as_str()] {
            assert_eq!(Keyword::find(word), None, "{word}");
        }
    }

    #[test]
    fn probes_are_short() {
        let mut longest = 0;
        let mut run = 0;
        for slot in SLOTS {
            run = if slot == 0 { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        assert!(longest <= 12, "the longest run of full slots is {longest}");
    }
}

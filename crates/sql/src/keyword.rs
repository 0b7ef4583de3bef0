//! The keywords of PostgreSQL 18 with their categories, and how they are found.
//!
//! A word is hashed over its first and last eight bytes, folded to lower case, and its length; the table is built at
//! compile time, a quarter full, so that a word that is no keyword nearly always ends at an empty slot.

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
        if bytes.len() < LEN_MIN || bytes.len() > LEN_MAX {
            return None;
        }
        let mut slot = hash(bytes) as usize % SLOTS_COUNT;
        loop {
            let index = usize::from(SLOTS[slot].checked_sub(1)?);
            if WORDS[index].as_bytes().eq_ignore_ascii_case(bytes) {
                return Some(ALL[index]);
            }
            slot = (slot + 1) % SLOTS_COUNT;
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

const LEN_MIN: usize = 2;
const LEN_MAX: usize = 19;
const SLOTS_COUNT: usize = 2048;

/// Slot -> index of a keyword + 1, or 0 when the slot is empty; collisions go to the next slot.
static SLOTS: [u16; SLOTS_COUNT] = {
    let mut slots = [0; SLOTS_COUNT];
    let mut index = 0;
    while index < WORDS.len() {
        let word = WORDS[index].as_bytes();
        assert!(word.len() >= LEN_MIN && word.len() <= LEN_MAX, "a keyword has 2 to 19 letters");
        let mut slot = hash(word) as usize % SLOTS_COUNT;
        while slots[slot] != 0 {
            slot = (slot + 1) % SLOTS_COUNT;
        }
        index += 1;
        slots[slot] = index as u16;
    }
    slots
};

/// Hashes a word of at least two bytes without regard to the case of its letters.
const fn hash(word: &[u8]) -> u32 {
    let (head, tail) = match (word.first_chunk::<8>(), word.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (short(word), 0),
    };
    // Setting bit 5 folds letters; it also merges `_` with DEL and so on, which the comparison after it sorts out.
    let mixed = (head | FOLD).wrapping_add((tail | FOLD).rotate_left(29)).wrapping_add(word.len() as u64);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u32
}

const FOLD: u64 = 0x2020_2020_2020_2020;

/// Two to seven bytes as one number.
const fn short(word: &[u8]) -> u64 {
    let (head, tail) = match (word.first_chunk::<4>(), word.last_chunk::<4>()) {
        (Some(head), Some(tail)) => (u32::from_le_bytes(*head), u32::from_le_bytes(*tail)),
        _ => match (word.first_chunk::<2>(), word.last_chunk::<2>()) {
            (Some(head), Some(tail)) => (u16::from_le_bytes(*head) as u32, u16::from_le_bytes(*tail) as u32),
            _ => (0, 0),
        },
    };
    (head as u64) | ((tail as u64) << 32)
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

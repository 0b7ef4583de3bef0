//! LIKE patterns: compiled once, matched in one pass.
//!
//! A pattern is cut at its `%` into pieces. The first piece must stand at the start, the last at the end, and each one
//! between is looked for behind the one before it, leftmost first. Leftmost is enough, since whatever a later match of
//! a piece leaves, an earlier one leaves too; so nothing is ever tried again and the time is at most the text's length
//! times the longest piece's. Inside a piece `_` is the byte 0xFF, which UTF-8 does not use.
//!
//! In a short text a piece is looked for by the one of its bytes that is rarest in writing: to prepare anything better for each text takes
//! longer than that.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

const ANY_CHARACTER: u8 = 0xFF;
/// From this length on a text is worth a search that is prepared for it.
const LONG_TEXT_BYTES: usize = 256;
/// Letters, from the most frequent one in English on; in other languages that are written so the first and last ones are much the same.
const LETTERS: &[u8; 26] = b"etaoinsrhdlucmfygwpbvkxqjz";

/// Where a piece of a pattern ends, and which of its bytes is looked for first; none where it has a `_`.
#[derive(Clone, Copy, Debug)]
struct PieceEnd {
    end: u32,
    rare: Option<u32>,
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern<'a> {
    bytes: Vec<'a, u8>,
    /// Where each piece ends in `bytes`.
    ends: Vec<'a, PieceEnd>,
    /// Whether an escape character with nothing behind it follows the last piece: no text matches, and one that goes on there is an
    /// error.
    ends_in_escape: bool,
}

/// Why a pattern cannot be compiled, or not be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatternError {
    EndsInEscape,
    OutOfMemory(AllocError),
}

impl From<AllocError> for PatternError {
    fn from(error: AllocError) -> Self {
        PatternError::OutOfMemory(error)
    }
}

impl<'a> Pattern<'a> {
    /// A pattern that [`Pattern::set`] has yet to fill.
    pub(crate) fn new(arena: &'a Arena) -> Pattern<'a> {
        Pattern { bytes: Vec::new_in(arena), ends: Vec::new_in(arena), ends_in_escape: false }
    }

    /// Compiles `pattern` in place of what was there before, reusing its memory.
    pub(crate) fn set(&mut self, pattern: &str, escape: Option<char>) -> Result<(), AllocError> {
        self.bytes.clear();
        self.ends.clear();
        self.ends_in_escape = false;
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            match character {
                c if Some(c) == escape => match characters.next() {
                    Some(literal) => self.push_literal(literal)?,
                    None => self.ends_in_escape = true,
                },
                '%' => self.end_piece()?,
                '_' => self.bytes.push(ANY_CHARACTER)?,
                c => self.push_literal(c)?,
            }
        }
        self.end_piece()
    }

    fn end_piece(&mut self) -> Result<(), AllocError> {
        let start = self.ends.last().map_or(0, |before| before.end as usize);
        let piece = &self.bytes[start..];
        let rare = match piece.contains(&ANY_CHARACTER) {
            true => None,
            false => {
                let rarest = piece.iter().enumerate().min_by_key(|(_, byte)| frequency(**byte));
                Some(rarest.map_or(0, |(at, _)| at as u32))
            }
        };
        self.ends.push(PieceEnd { end: self.bytes.len() as u32, rare })
    }

    fn push_literal(&mut self, character: char) -> Result<(), AllocError> {
        self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1].end as usize };
        &self.bytes[start..self.ends[index].end as usize]
    }

    /// Whether the pattern matches the whole of `text`, which is UTF-8.
    ///
    /// # Errors
    /// [`PatternError::EndsInEscape`] where the text goes on where the pattern has an escape character and nothing else.
    pub(crate) fn matches(&self, text: &[u8]) -> Result<bool, PatternError> {
        let last = self.ends.len() - 1;
        if self.ends_in_escape {
            return if self.reaches_end(text) { Err(PatternError::EndsInEscape) } else { Ok(false) };
        }
        if last == 0 {
            return Ok(match_at(self.piece(0), text) == Some(text.len()));
        }
        Ok(self.behind_middle(text).is_some_and(|at| match_at_end(self.piece(last), &text[at..])))
    }

    /// Where the leftmost occurrence of a piece ends.
    fn find(&self, index: usize, text: &[u8]) -> Option<usize> {
        let piece = self.piece(index);
        if let Some(rare) = self.ends[index].rare {
            return find_bytes(piece, rare as usize, text);
        }
        let mut start = 0;
        loop {
            if let Some(length) = match_at(piece, &text[start..]) {
                return Some(start + length);
            }
            start += character_bytes(*text.get(start)?);
        }
    }

    /// Where all pieces but the last of several are behind.
    fn behind_middle(&self, text: &[u8]) -> Option<usize> {
        let mut at = match_at(self.piece(0), text)?;
        for index in 1..self.ends.len() - 1 {
            at += self.find(index, &text[at..])?;
        }
        Some(at)
    }

    /// Whether a part of the text that is not all of it has all pieces.
    fn reaches_end(&self, text: &[u8]) -> bool {
        let last = self.ends.len() - 1;
        let end = match last {
            0 => match_at(self.piece(0), text),
            _ => self.behind_middle(text).and_then(|at| Some(at + self.find(last, &text[at..])?)),
        };
        end.is_some_and(|end| end < text.len())
    }
}

/// Where `piece` ends in `text`, if it stands at its start.
fn match_at(piece: &[u8], text: &[u8]) -> Option<usize> {
    let mut at = 0;
    for &byte in piece {
        match byte {
            ANY_CHARACTER => at += character_bytes(*text.get(at)?),
            byte if *text.get(at)? == byte => at += 1,
            _ => return None,
        }
    }
    Some(at)
}

/// Where the leftmost occurrence of `piece`, which has no `_`, ends; `rare` is the place of its rarest byte.
fn find_bytes(piece: &[u8], rare: usize, text: &[u8]) -> Option<usize> {
    let Some(&byte) = piece.get(rare) else { return Some(0) };
    if text.len() >= LONG_TEXT_BYTES {
        return memchr::memmem::find(text, piece).map(|start| start + piece.len());
    }
    let mut at = rare;
    loop {
        at += memchr::memchr(byte, text.get(at..)?)?;
        let start = at - rare;
        if text[start..].starts_with(piece) {
            return Some(start + piece.len());
        }
        at += 1;
    }
}

/// How often a byte is to be expected in a text, as a number to compare with others.
fn frequency(byte: u8) -> usize {
    match byte {
        b' ' => 2 * LETTERS.len(),
        b'a'..=b'z' => LETTERS.iter().rev().position(|&letter| letter == byte).unwrap_or(0) + LETTERS.len(),
        b'0'..=b'9' => LETTERS.len() * 3 / 2,
        // What begins the characters of other scripts stands in each of them; what follows differs.
        0xC0.. => 3 * LETTERS.len(),
        0x80..0xC0 => LETTERS.len(),
        _ => LETTERS.len() / 2,
    }
}

/// Whether `piece` stands at the end of `text`.
fn match_at_end(piece: &[u8], text: &[u8]) -> bool {
    if !piece.contains(&ANY_CHARACTER) {
        return text.ends_with(piece);
    }
    // As many characters from the end as the piece has.
    let characters = piece.iter().filter(|&&byte| starts_character(byte)).count();
    let mut start = text.len();
    for _ in 0..characters {
        match text[..start].iter().rposition(|&byte| starts_character(byte)) {
            Some(position) => start = position,
            None => return false,
        }
    }
    match_at(piece, &text[start..]) == Some(text.len() - start)
}

fn starts_character(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}

/// The length of the character that begins with `byte`.
fn character_bytes(byte: u8) -> usize {
    match byte {
        0..=0xDF if byte < 0x80 => 1,
        0..=0xDF => 2,
        0xE0..=0xEF => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    fn like(text: &str, pattern: &str, escape: Option<char>) -> Result<bool, PatternError> {
        let budget = Budget::unlimited("test").unwrap();
        let arena = Arena::new(&budget);
        let mut compiled = Pattern::new(&arena);
        compiled.set(pattern, escape)?;
        compiled.matches(text.as_bytes())
    }

    /// The textbook definition, exponential and right.
    fn naive(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| naive(&text[skip..], rest)),
            ['_', rest @ ..] => !text.is_empty() && naive(&text[1..], rest),
            [c, rest @ ..] => text.first() == Some(c) && naive(&text[1..], rest),
        }
    }

    #[test]
    fn patterns_of_every_shape() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "a_c", true),
            ("äbc", "_bc", true),
            ("abc", "____", false),
            ("", "%", true),
            ("", "", true),
            ("", "_", false),
            ("aXbXc", "a%X%c", true),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("promo burnished", "promo%", true),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(like(text, pattern, Some('\\')), Ok(expected), "{text} LIKE {pattern}");
        }
        assert_eq!(like("ab", "a\\", Some('\\')), Err(PatternError::EndsInEscape));
        assert_eq!(like("xab", "%a\\", Some('\\')), Err(PatternError::EndsInEscape));
        assert_eq!(like("x", "%\\", Some('\\')), Err(PatternError::EndsInEscape));
        for (text, pattern) in
            [("a", "a\\"), ("b", "a\\"), ("xa", "%a\\"), ("", "%\\"), ("xb", "%a\\"), ("b", "a%b\\")]
        {
            assert_eq!(like(text, pattern, Some('\\')), Ok(false), "{text} LIKE {pattern}");
        }
        assert_eq!(like("a\\", "a\\", None), Ok(true));
    }

    #[test]
    fn many_runs_take_no_exponential_time() {
        let text = "a".repeat(2000);
        let pattern = "%a".repeat(200) + "%b";
        assert_eq!(like(&text, &pattern, None), Ok(false));
    }

    proptest! {
        /// Aim: pieces are found where they are first, in texts that are short and long. Method: the search of the standard library, whichever
        /// byte of the piece is looked for.
        #[test]
        fn pieces_are_found_where_they_stand(text in "[ab é]{0,40}|[abcé]{120,300}", piece in "[ab cé]{0,5}", rare in 0..8usize) {
            let expected = text.find(&piece).map(|start| start + piece.len());
            let rare = rare % piece.len().max(1);
            prop_assert_eq!(find_bytes(piece.as_bytes(), rare, text.as_bytes()), expected);
        }

        #[test]
        fn agrees_with_the_definition(text in "[abä]{0,10}", pattern in "[abä%_]{0,7}") {
            let (t, p): (std::vec::Vec<_>, std::vec::Vec<_>) = (text.chars().collect(), pattern.chars().collect());
            prop_assert_eq!(like(&text, &pattern, None).unwrap(), naive(&t, &p));
        }

    }
}

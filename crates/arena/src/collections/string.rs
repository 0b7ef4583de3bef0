//! Text in an arena.

use super::Vec;
use crate::arena::Arena;
use crate::error::AllocError;
use core::fmt;
use core::ops::Deref;

/// Growing text in an arena: what `std::string::String` is on the heap.
pub struct String<'a> {
    bytes: Vec<'a, u8>,
}

impl<'a> String<'a> {
    /// No text; takes nothing.
    pub fn new_in(arena: &'a Arena) -> String<'a> {
        String { bytes: Vec::new_in(arena) }
    }

    /// No text, with room for exactly `capacity` bytes.
    ///
    /// # Errors
    /// The budget refuses.
    pub fn with_capacity_in(capacity: usize, arena: &'a Arena) -> Result<String<'a>, AllocError> {
        Ok(String { bytes: Vec::with_capacity_in(capacity, arena)? })
    }

    /// Appends text.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn push_str(&mut self, text: &str) -> Result<(), AllocError> {
        self.bytes.extend_from_slice(text.as_bytes())
    }

    /// Appends a character.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn push(&mut self, character: char) -> Result<(), AllocError> {
        self.push_str(character.encode_utf8(&mut [0; 4]))
    }

    /// Makes room for `additional` bytes beyond the length.
    ///
    /// # Errors
    /// The budget refuses; nothing has changed.
    pub fn reserve(&mut self, additional: usize) -> Result<(), AllocError> {
        self.bytes.reserve(additional)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: only whole texts are appended, and `truncate` cuts at a character.
        unsafe { core::str::from_utf8_unchecked(&self.bytes) }
    }

    /// Cuts the text to `len` bytes; nothing where it is shorter.
    ///
    /// # Panics
    /// `len` is within a character.
    pub fn truncate(&mut self, len: usize) {
        assert!(len >= self.len() || self.as_str().is_char_boundary(len), "a cut within a character");
        self.bytes.truncate(len);
    }

    /// Forgets the text; keeps the capacity.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// The text for the arena's lifetime.
    pub fn into_str(self) -> &'a str {
        // SAFETY: as in `as_str`.
        unsafe { core::str::from_utf8_unchecked(self.bytes.into_slice()) }
    }
}

impl Deref for String<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Write for String<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text).map_err(|_| fmt::Error)
    }
}

impl fmt::Display for String<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for String<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

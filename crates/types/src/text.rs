//! The fixed buffer that values are printed into.
//!
//! Every value of a fixed size has a short text form, so one buffer on the stack serves all of them and no caller needs a
//! heap to print a number.

use core::fmt;

use crate::Error;
use crate::error::saturate;

/// The longest text form of any value of a fixed size, rounded up, in bytes.
pub const TEXT_BYTES_MAX: usize = 96;

/// Text of at most [`TEXT_BYTES_MAX`] bytes, held inline.
#[derive(Clone, Copy)]
pub struct TextBuffer {
    bytes: [u8; TEXT_BYTES_MAX],
    len: usize,
}

impl TextBuffer {
    /// An empty buffer.
    pub const fn new() -> TextBuffer {
        TextBuffer { bytes: [0; TEXT_BYTES_MAX], len: 0 }
    }

    /// The text written so far.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).expect("only whole strings are written")
    }

    /// The bytes of the text written so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Forgets the text.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends `ascii`; a text that does not fit is left out whole and reported.
    pub(crate) fn push_ascii(&mut self, ascii: &[u8]) -> fmt::Result {
        debug_assert!(ascii.is_ascii());
        self.push(ascii)
    }

    fn push(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// Bytes that a conversion has to make: a [`TextBuffer`] for values of a fixed size, a growing buffer of the caller's for
/// texts, bytes, JSON and arrays.
///
/// Where a buffer cannot grow it says [`Error::BufferTooSmall`]; a caller whose memory was refused knows more.
pub trait Buffer {
    /// Appends bytes, all or none.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error>;
    /// All bytes.
    fn as_bytes(&self) -> &[u8];
    /// All bytes, to be changed.
    fn as_bytes_mut(&mut self) -> &mut [u8];
    /// Forgets what is behind the first `len` bytes.
    fn truncate(&mut self, len: usize);
}

impl Buffer for TextBuffer {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let needed_bytes = saturate(self.len + bytes.len());
        let given_bytes = TEXT_BYTES_MAX as u32;
        self.push(bytes).map_err(|_| Error::BufferTooSmall { needed_bytes, given_bytes })
    }

    fn as_bytes(&self) -> &[u8] {
        TextBuffer::as_bytes(self)
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or(&mut [])
    }

    fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

/// A buffer as a place that values are printed to; keeps why it could not take something.
pub(crate) struct Printing<'b, B> {
    pub(crate) buffer: &'b mut B,
    pub(crate) refused: Option<Error>,
}

impl<B: Buffer> fmt::Write for Printing<'_, B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.buffer.push_bytes(text.as_bytes()).map_err(|error| {
            self.refused = Some(error);
            fmt::Error
        })
    }
}

/// A buffer of tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct VecBuffer(pub(crate) std::vec::Vec<u8>);

#[cfg(test)]
impl Buffer for VecBuffer {
    fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl Default for TextBuffer {
    fn default() -> TextBuffer {
        TextBuffer::new()
    }
}

impl fmt::Write for TextBuffer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes())
    }
}

impl fmt::Debug for TextBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write as _;

    #[test]
    fn text_that_does_not_fit_is_left_out_whole() {
        let mut buffer = TextBuffer::new();
        for _ in 0..TEXT_BYTES_MAX - 1 {
            buffer.write_str("x").unwrap();
        }
        assert_eq!(buffer.write_str("é"), Err(fmt::Error));
        assert_eq!(buffer.as_str().len(), TEXT_BYTES_MAX - 1);
        buffer.write_str("y").unwrap();
        assert!(buffer.as_str().ends_with('y'));
        buffer.clear();
        assert_eq!(buffer.as_str(), "");
    }
}

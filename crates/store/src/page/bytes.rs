//! Reading a page's bytes from front to back.

use super::series::SLACK_BYTES;

/// What is left to read. All bytes that it gives have [`SLACK_BYTES`] of the page behind them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'p> {
    /// The rest, and [`SLACK_BYTES`] that are not part of it.
    rest: &'p [u8],
}

const ENDS: &str = "the page ends too early";

impl<'p> Input<'p> {
    /// Reads `bytes`, of which the last [`SLACK_BYTES`] are only to be reached by loads.
    #[inline]
    pub(super) fn new(bytes: &'p [u8]) -> Result<Input<'p>, &'static str> {
        if bytes.len() < SLACK_BYTES { Err(ENDS) } else { Ok(Input { rest: bytes }) }
    }

    /// How many bytes are left.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.rest.len() - SLACK_BYTES
    }

    /// The next bytes.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Result<&'p [u8], &'static str> {
        let taken = self.take_with_slack(count)?;
        taken.get(..count).ok_or(ENDS)
    }

    /// The next bytes, with the slack behind them.
    #[inline]
    pub(super) fn take_with_slack(&mut self, count: usize) -> Result<&'p [u8], &'static str> {
        if count > self.left() {
            return Err(ENDS);
        }
        let taken = self.rest.get(..count + SLACK_BYTES).ok_or(ENDS)?;
        self.rest = self.rest.get(count..).ok_or(ENDS)?;
        Ok(taken)
    }

    /// The next `N` bytes.
    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        self.take(N)?.first_chunk().copied().ok_or(ENDS)
    }

    /// The next two bytes as a number.
    #[inline]
    pub(super) fn short(&mut self) -> Result<usize, &'static str> {
        self.fixed().map(|bytes| usize::from(u16::from_le_bytes(bytes)))
    }

    /// The next four bytes as a number.
    #[inline]
    pub(super) fn word(&mut self) -> Result<u32, &'static str> {
        self.fixed().map(u32::from_le_bytes)
    }
}

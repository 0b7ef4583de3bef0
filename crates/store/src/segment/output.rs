//! Writing a segment's bytes: one buffer, pieces with their checksums, long texts.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::layout::{BLOCK_BYTES, CRC_BYTES, checksum_of};
use super::piece::SegmentFile;
use crate::error::Error;
use crate::page::LongRef;

/// The end of a file that is being written.
#[derive(Debug)]
pub(super) struct Output<'f, 'a> {
    file: &'f SegmentFile,
    /// Where the buffer's first byte goes.
    offset: u64,
    buffer: Vec<'a, u8>,
    buffer_bytes: usize,
    long_bytes: u64,
}

impl<'f, 'a> Output<'f, 'a> {
    pub(super) fn new(
        file: &'f SegmentFile,
        offset: u64,
        buffer_bytes: usize,
        arena: &'a Arena,
    ) -> Result<Output<'f, 'a>, AllocError> {
        Ok(Output {
            file,
            offset,
            buffer: Vec::with_capacity_in(buffer_bytes, arena)?,
            buffer_bytes,
            long_bytes: 0,
        })
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.buffer.len() as u64
    }

    /// Bytes of long texts so far.
    pub(super) fn long_bytes(&self) -> u64 {
        self.long_bytes
    }

    pub(super) fn file(&self) -> &'f SegmentFile {
        self.file
    }

    /// Appends bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            // What would fill the buffer goes past it.
            if self.buffer.is_empty() && bytes.len() >= self.buffer_bytes {
                self.write(bytes)?;
                self.offset += bytes.len() as u64;
                return Ok(());
            }
            let room = self.buffer_bytes - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now)?;
            bytes = later;
            if self.buffer.len() == self.buffer_bytes {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends zeros, fewer than a block has bytes.
    pub(super) fn put_zeros(&mut self, count: usize) -> Result<(), Error> {
        const ZEROS: &[u8; BLOCK_BYTES] = &[0; BLOCK_BYTES];
        self.put(&ZEROS[..count])
    }

    /// Appends a piece and its checksum, and gives its place.
    pub(super) fn put_piece(&mut self, payload: &[u8]) -> Result<(u64, u32), Error> {
        self.put_piece_of([payload, &[]])
    }

    /// Appends a piece that is given in two parts.
    pub(super) fn put_piece_of(&mut self, parts: [&[u8]; 2]) -> Result<(u64, u32), Error> {
        let offset = self.position();
        let crc = checksum_of(self.file.salt(), offset, parts);
        let [first, second] = parts;
        self.put(first)?;
        self.put(second)?;
        self.put(&crc.to_le_bytes())?;
        Ok((offset, (first.len() + second.len() + CRC_BYTES) as u32))
    }

    /// Appends a long text.
    pub(super) fn put_long(&mut self, text: &[u8]) -> Result<LongRef, Error> {
        let at = LongRef { offset: self.position(), len: text.len() as u32, crc: crate::sum::crc32c(text) };
        self.put(text)?;
        self.long_bytes += u64::from(at.len);
        Ok(at)
    }

    /// Appends a long text of another file, piece by piece.
    pub(super) fn copy_long(
        &mut self,
        from: &SegmentFile,
        at: LongRef,
        buffer: &mut [u8],
    ) -> Result<LongRef, Error> {
        let offset = self.position();
        from.read_long(at, buffer, |piece| self.put(piece))?;
        self.long_bytes += u64::from(at.len);
        Ok(LongRef { offset, ..at })
    }

    /// Writes what is in the buffer.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.write(&self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let file = self.file;
        file.file().write_all_at(bytes, self.offset).map_err(|error| Error::io("write", file.id(), &error))
    }
}

//! Frames from a file, one at a time; see [`super`] on what ends a log.

use super::frame::{ALIGNMENT, FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader};
use super::header::{Format, HEADER_BYTES, Header};
use crate::directory::OpenFile;
use crate::error::Error;

/// A frame that lies in the reader's buffer until the next one is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) header: FrameHeader,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Where its payload begins in the buffer.
    payload_start: usize,
}

/// Reads the frames of a log.
#[derive(Debug)]
pub(crate) struct LogReader<'r> {
    file: &'r OpenFile,
    header: Header,
    /// At least a frame long.
    buffer: &'r mut [u8],
    /// What of the buffer holds the file's bytes from `at` on.
    held: core::ops::Range<usize>,
    /// Where the next frame begins.
    at: u64,
    /// Where the file ends, or where somebody else found that it ends.
    file_bytes: u64,
    /// Up to here the log was durable, as far as the frames so far say, or somebody else.
    durable: u64,
    is_torn: bool,
}

impl<'r> LogReader<'r> {
    /// Begins to read; `None` where the file ends before or in its header, which then was never made durable: nothing
    /// was ever in this log (L1).
    ///
    /// # Errors
    /// [`Error::Corrupt`] for anything else that does not begin with a header of this database; [`Error::Unsupported`] for a header of
    /// another version; [`Error::Io`].
    ///
    /// # Panics
    /// The buffer does not hold a frame.
    pub(crate) fn open(
        file: &'r OpenFile,
        format: &Format,
        database: u64,
        buffer: &'r mut [u8],
    ) -> Result<Option<LogReader<'r>>, Error> {
        assert!(buffer.len() >= FRAME_BYTES_MAX, "a reader holds a frame");
        let file_bytes = file.bytes()?;
        let Some(header) = read_header(file, format, database, file_bytes)? else { return Ok(None) };
        let (held, at, durable) = (0..0, HEADER_BYTES, HEADER_BYTES);
        Ok(Some(LogReader { file, header, buffer, held, at, file_bytes, durable, is_torn: false }))
    }

    pub(crate) fn file(&self) -> &'r OpenFile {
        self.file
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next frame begins, or the log ends.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Somebody else knows that the log was durable up to here.
    pub(crate) fn require(&mut self, durable: u64) {
        self.durable = self.durable.max(durable);
    }

    /// Somebody else found that the log ends here.
    pub(crate) fn limit(&mut self, end: u64) {
        self.file_bytes = self.file_bytes.min(end);
    }

    pub(crate) fn payload(&self, frame: &Frame) -> &[u8] {
        self.buffer
            .get(frame.payload_start..)
            .and_then(|rest| rest.get(..frame.header.payload_bytes))
            .unwrap_or(&[])
    }

    /// The next frame; `None` at the end of the log, torn or not.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a broken frame where the log was durable; [`Error::Io`].
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Error> {
        if self.is_torn {
            return Ok(None);
        }
        match self.look()? {
            Ok(frame) => {
                let bytes = frame.header.frame_bytes();
                self.held.start += bytes;
                self.at += bytes as u64;
                self.durable = self.durable.max(frame.header.durable);
                Ok(Some(frame))
            }
            Err(what) => self.end(what).map(|()| None),
        }
    }

    /// The frame at `at`, or what is wrong with it.
    fn look(&mut self) -> Result<Result<Frame, &'static str>, Error> {
        let (salt, at) = (self.header.salt, self.at);
        let held = self.fill(FRAME_HEADER_BYTES)?;
        let Some(header) = held.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Ok(Err(if held.is_empty() { "the log ends too early" } else { "a frame is cut off" }));
        };
        let Some(header) = FrameHeader::decode(header, salt, at) else {
            return Ok(Err("no header of a frame"));
        };
        let held = self.fill(header.frame_bytes())?;
        let Some(payload) = held.get(FRAME_HEADER_BYTES..header.frame_bytes()) else {
            return Ok(Err("a frame is cut off"));
        };
        if crate::sum::crc32c(payload) != header.payload_crc {
            return Ok(Err("a frame's payload has another checksum"));
        }
        let payload_start = self.held.start + FRAME_HEADER_BYTES;
        Ok(Ok(Frame { header, offset: self.at, payload_start }))
    }

    /// Makes the buffer hold `count` bytes from `at` on, fewer where the file ends before. Gives all that it holds.
    fn fill(&mut self, count: usize) -> Result<&[u8], Error> {
        if self.held.len() < count {
            let held = self.held.len();
            self.buffer.copy_within(self.held.clone(), 0);
            self.held = 0..held;
            let offset = self.at + held as u64;
            let left = usize::try_from(self.file_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
            let end = self.buffer.len().min(held.saturating_add(left));
            let room = self.buffer.get_mut(held..end).unwrap_or_default();
            self.held.end += self.file.read_up_to(room, offset)?;
        }
        Ok(self.buffer.get(self.held.clone()).unwrap_or(&[]))
    }

    /// The frame at `at` is none: that is the end of the log, or damage.
    fn end(&mut self, what: &'static str) -> Result<(), Error> {
        if self.at < self.durable || self.has_witness()? {
            return Err(Error::corrupt(self.file.id(), self.at, what));
        }
        self.is_torn = self.at < self.file_bytes;
        Ok(())
    }

    /// Whether a frame behind `at` says that the log was durable beyond `at`.
    fn has_witness(&mut self) -> Result<bool, Error> {
        self.held = 0..0;
        let mut offset = self.at + ALIGNMENT as u64;
        while offset < self.file_bytes {
            let count = self.file.read_up_to(self.buffer, offset)?;
            let held = self.buffer.get(..count).unwrap_or(&[]);
            for (index, bytes) in held.windows(FRAME_HEADER_BYTES).enumerate().step_by(ALIGNMENT) {
                let Some(bytes) = bytes.first_chunk() else { continue };
                let header = FrameHeader::decode(bytes, self.header.salt, offset + index as u64);
                if header.is_some_and(|header| header.durable > self.at) {
                    return Ok(true);
                }
            }
            // The next piece begins with the first header that this one did not hold whole.
            let Some(last) = count.checked_sub(FRAME_HEADER_BYTES) else { break };
            offset += (last / ALIGNMENT * ALIGNMENT + ALIGNMENT) as u64;
        }
        Ok(false)
    }
}

/// The header of a log; `None` where it was never durable.
///
/// # Errors
/// As [`LogReader::open`].
pub(crate) fn read_header(
    file: &OpenFile,
    format: &Format,
    database: u64,
    file_bytes: u64,
) -> Result<Option<Header>, Error> {
    let mut bytes = [0; HEADER_BYTES as usize];
    let count = file.read_up_to(&mut bytes, 0)? as u64;
    let header = if count == HEADER_BYTES { Header::decode(&bytes, file.id(), format)? } else { None };
    let is_ours =
        header.is_some_and(|header| header.number == file.id().number && header.database == database);
    match header {
        Some(header) if is_ours => Ok(Some(header)),
        // A header that was never synced may be anything, that of another log too.
        _ if file_bytes <= HEADER_BYTES => Ok(None),
        None => Err(Error::corrupt(file.id(), 0, "no header")),
        Some(header) if header.database != database => {
            Err(Error::corrupt(file.id(), 48, "the file belongs to another database"))
        }
        Some(_) => Err(Error::corrupt(file.id(), 32, "the file has another number than its name")),
    }
}

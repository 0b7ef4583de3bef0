//! Records from frames, and the first pass over a log, which finds out how far it goes.

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, Part, SEQUENCE_MAX, Trailer};
use super::header::Header;
use super::reader::{Frame, LogReader};
use crate::error::Error;

/// What the first pass over a log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How the file begins.
    pub header: Header,
    /// Where the log ends: behind the last complete record and the marks after it. What follows does not count.
    pub end: u64,
    /// Where the last complete record ends.
    pub records_end: u64,
    /// How long the file is.
    pub file_bytes: u64,
    /// Up to here the log was durable for sure; at most `end`.
    pub durable: u64,
    /// Complete records.
    pub records_count: u64,
    /// The last sequence of the last record; 0 where there is none.
    pub last_sequence: u64,
    /// Whether records were begun and given up.
    pub has_aborted: bool,
}

impl Summary {
    /// Whether all records are known to be durable.
    pub(crate) fn is_witnessed(&self) -> bool {
        self.records_count > 0 && self.durable >= self.records_end
    }
}

/// A record that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    record: u8,
    sequence: u64,
    chain: u32,
}

/// A frame's share of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// The type of the record.
    pub(crate) record: u8,
    /// Its first sequence.
    pub(crate) sequence: u64,
    /// Where the frame's payload begins in the file.
    pub(crate) offset: u64,
    pub(crate) is_first: bool,
    /// In the last piece: what the record ends with.
    pub(crate) trailer: Option<Trailer>,
    frame: Frame,
}

/// Reads the records of a log piece by piece.
#[derive(Debug)]
pub(crate) struct Records<'r> {
    reader: LogReader<'r>,
    open: Option<Open>,
    last_sequence: u64,
    has_aborted: bool,
    /// Behind the last complete record; behind a mark after it.
    records_end: u64,
    end: u64,
    records_count: u64,
    /// Leave out records that were given up; otherwise their pieces are given as if they counted.
    skips_aborted: bool,
    is_skipping: bool,
}

impl<'r> Records<'r> {
    fn new(reader: LogReader<'r>) -> Records<'r> {
        let end = reader.at();
        Records {
            reader,
            open: None,
            last_sequence: 0,
            has_aborted: false,
            records_end: end,
            end,
            records_count: 0,
            skips_aborted: false,
            is_skipping: false,
        }
    }

    /// Reads all of a log and says how far it goes. `durable` is what somebody else knows to be durable, or 0.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(crate) fn summarize(mut reader: LogReader<'r>, durable: u64) -> Result<Summary, Error> {
        reader.require(durable);
        let mut records = Records::new(reader);
        while records.next()?.is_some() {}
        let reader = &records.reader;
        Ok(Summary {
            header: *reader.header(),
            end: records.end,
            records_end: records.records_end,
            file_bytes: reader.file_bytes(),
            durable: reader.durable().min(records.end),
            records_count: records.records_count,
            last_sequence: records.last_sequence,
            has_aborted: records.has_aborted,
        })
    }

    /// Reads the complete records of a log once more.
    pub(crate) fn complete(mut reader: LogReader<'r>, summary: &Summary) -> Records<'r> {
        reader.require(summary.end);
        reader.limit(summary.end);
        Records { skips_aborted: summary.has_aborted, ..Records::new(reader) }
    }

    /// Where the next frame begins.
    pub(crate) fn at(&self) -> u64 {
        self.reader.at()
    }

    /// The piece's bytes, without the trailer, until the next piece is asked for.
    pub(crate) fn items(&self, piece: &Piece) -> &[u8] {
        let payload = self.reader.payload(&piece.frame);
        if piece.trailer.is_none() {
            payload
        } else {
            Trailer::split(payload).map_or(&[], |(items, _)| items)
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Io`].
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Error> {
        while let Some(frame) = self.reader.next()? {
            let piece = self.accept(frame).map_err(|what| self.corrupt(&frame, what))?;
            if frame.header.part == Part::First && self.skips_aborted {
                self.is_skipping = self.is_aborted(&frame)?;
            }
            match piece {
                Some(piece) if !self.is_skipping => return Ok(Some(piece)),
                Some(_) => {}
                None => self.is_skipping = false,
            }
        }
        Ok(None)
    }

    fn corrupt(&self, frame: &Frame, what: &'static str) -> Error {
        Error::corrupt(self.reader.file().id(), frame.offset, what)
    }

    /// Takes a frame into the record that is open; no piece where it belongs to none.
    fn accept(&mut self, frame: Frame) -> Result<Option<Piece>, &'static str> {
        let header = frame.header;
        match (header.part, &self.open) {
            (Part::Mark, None) => {
                self.end = self.reader.at();
                return Ok(None);
            }
            (Part::Whole | Part::First, None) => {
                if header.sequence <= self.last_sequence {
                    return Err("a record's sequence is not above the one before");
                }
                self.open = Some(Open { record: header.record, sequence: header.sequence, chain: 0 });
            }
            (Part::Middle | Part::Last | Part::Abort, Some(open)) => {
                if (header.record, header.sequence) != (open.record, open.sequence) {
                    return Err("a frame of another record");
                }
            }
            _ => return Err("a frame without its record, or a record within another"),
        }
        if header.part == Part::Abort {
            self.end = self.reader.at();
            (self.open, self.has_aborted) = (None, true);
            return Ok(None);
        }
        self.accept_payload(frame).map(Some)
    }

    fn accept_payload(&mut self, frame: Frame) -> Result<Piece, &'static str> {
        let FrameHeader { part, record, sequence, payload_crc, .. } = frame.header;
        let open = self.open.as_mut().ok_or("a frame without its record")?;
        let mut trailer = None;
        if part.ends_record() {
            let (_, ending) =
                Trailer::split(self.reader.payload(&frame)).ok_or("a record without a trailer")?;
            if ending.chain != open.chain {
                return Err("a record's frames are not those that were written together");
            }
            self.last_sequence = sequence + ending.span;
            if self.last_sequence >= SEQUENCE_MAX {
                return Err("a sequence beyond the last there is");
            }
            self.end = self.reader.at();
            (self.open, self.records_end) = (None, self.end);
            self.records_count += 1;
            trailer = Some(ending);
        } else {
            open.chain = crate::sum::crc32c_append(open.chain, &payload_crc.to_le_bytes());
        }
        let offset = frame.offset + FRAME_HEADER_BYTES as u64;
        Ok(Piece {
            record,
            sequence,
            offset,
            is_first: matches!(part, Part::Whole | Part::First),
            trailer,
            frame,
        })
    }

    /// Whether the record whose first frame this is was given up: hops from header to header.
    fn is_aborted(&self, first: &Frame) -> Result<bool, Error> {
        let (mut offset, mut header) = (first.offset, first.header);
        loop {
            match header.part {
                Part::Last => return Ok(false),
                Part::Abort => return Ok(true),
                _ => offset += header.frame_bytes() as u64,
            }
            let mut bytes = [0; FRAME_HEADER_BYTES];
            self.reader.file().read_exact_at(&mut bytes, offset)?;
            header = FrameHeader::decode(&bytes, self.reader.header().salt, offset)
                .ok_or_else(|| Error::corrupt(self.reader.file().id(), offset, "no header of a frame"))?;
        }
    }
}

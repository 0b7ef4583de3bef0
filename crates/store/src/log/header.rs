//! How a log file begins: what it is, who may read it, and the salt of its checksums.
//!
//! The first sixteen bytes, the features and the place of the checksum are the same in all versions to come, so that
//! a newer file is told from a damaged one.

use crate::error::{Error, Unsupported};
use crate::files::{FileId, FileKind};

/// The bytes of a header.
pub const HEADER_BYTES: u64 = 64;

/// A kind of log, and what this version knows of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) kind: FileKind,
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    /// Features without which a file cannot be read.
    pub(crate) reader_features: u32,
    /// Features without which a file can be read, but not be written to.
    pub(crate) writer_features: u32,
}

/// How a log file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The file's number.
    pub number: u64,
    /// The database that the file belongs to.
    pub database: u64,
    /// A random number that goes into the checksum of each frame, so that nothing else looks like one.
    pub salt: u64,
    /// The number of the log that this one follows; 0 for none.
    pub previous: u64,
    /// How long that log was, and durable to its end, when this one began.
    pub previous_bytes: u64,
    /// Features that a writer must know.
    pub writer_features: u32,
}

/// A header as an array.
pub(crate) type HeaderArray = [u8; HEADER_BYTES as usize];

/// Where the checksum of a header is; it counts as zero in itself.
const CHECKSUM: core::ops::Range<usize> = 12..16;

/// The checksum of a header or a root slot: of its bytes but the checksum, behind its offset.
pub(crate) fn checksum(bytes: &[u8; 64], offset: u64) -> u32 {
    let mut zeroed = *bytes;
    zeroed[CHECKSUM].fill(0);
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), &zeroed)
}

/// A number at a place of a header.
pub(crate) fn u32_at(bytes: &[u8; 64], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// A number at a place of a header.
pub(crate) fn u64_at(bytes: &[u8; 64], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

impl Header {
    pub(crate) fn encode(&self, format: &Format) -> HeaderArray {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..8].copy_from_slice(&format.magic);
        bytes[8..12].copy_from_slice(&format.version.to_le_bytes());
        bytes[16..20].copy_from_slice(&format.reader_features.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.writer_features.to_le_bytes());
        let numbers = [self.number, self.database, self.salt, self.previous, self.previous_bytes];
        for (place, number) in bytes[24..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(&bytes, 0);
        bytes[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`; `None` where they are none at all, which only the file's length explains.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another version.
    pub(crate) fn decode(bytes: &HeaderArray, id: FileId, format: &Format) -> Result<Option<Header>, Error> {
        if bytes[..8] != format.magic || u32_at(bytes, CHECKSUM.start) != checksum(bytes, 0) {
            return Ok(None);
        }
        let unsupported =
            |what, found: u32| Error::Unsupported(Unsupported { file: id, what, found: found.into() });
        let (version, features) = (u32_at(bytes, 8), u32_at(bytes, 16));
        if version != format.version {
            return Err(unsupported("format version", version));
        }
        if features & !format.reader_features != 0 {
            return Err(unsupported("the set of features", features));
        }
        Ok(Some(Header {
            number: u64_at(bytes, 24),
            database: u64_at(bytes, 32),
            salt: u64_at(bytes, 40),
            previous: u64_at(bytes, 48),
            previous_bytes: u64_at(bytes, 56),
            writer_features: u32_at(bytes, 20),
        }))
    }

    /// Whether this version may write to the file.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn may_be_written(&self, id: FileId, format: &Format) -> Result<(), Error> {
        if self.writer_features & !format.writer_features != 0 {
            let (what, found) = ("the set of features of its writer", self.writer_features.into());
            return Err(Error::Unsupported(Unsupported { file: id, what, found }));
        }
        Ok(())
    }
}

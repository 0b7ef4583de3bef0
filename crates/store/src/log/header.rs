//! How a log file begins: what it is, who may read it, and the salt of its checksums.
//!
//! All files of a database begin alike: magic, version, the bytes of the header, features, number, salt; and their header
//! ends in its checksum. So a newer file is told from a damaged one in all versions to come.

use super::bytes::{Decoder, Encoder};
use crate::error::{Error, Unsupported};
use crate::files::{FileId, FileKind};

/// The bytes of a header.
pub const HEADER_BYTES: u64 = 96;

/// A kind of log, and what this version knows of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) kind: FileKind,
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    /// Features without which a file cannot be read.
    pub(crate) reader_features: u64,
    /// Features without which a file can be read, but not be written to.
    pub(crate) writer_features: u64,
}

/// How a log file begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The file's number.
    pub number: u64,
    /// A random number that goes into the checksum of each frame, so that nothing else looks like one.
    pub salt: u64,
    /// The database that the file belongs to.
    pub database: u64,
    /// The number of the log that this one follows; 0 for none.
    pub previous: u64,
    /// How long that log was, and durable to its end, when this one began.
    pub previous_bytes: u64,
    /// Features that a writer must know.
    pub writer_features: u64,
}

/// A header as an array.
pub(crate) type HeaderArray = [u8; HEADER_BYTES as usize];

/// The bytes of a checksum, at the end of what it covers.
pub(crate) const CHECKSUM_BYTES: usize = 4;

/// Whether bytes end in the checksum of those before; `seed` is what the checksum begins with.
pub(crate) fn has_checksum(bytes: &[u8], seed: u32) -> bool {
    let Some((covered, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else { return false };
    crate::sum::crc32c_append(seed, covered) == u32::from_le_bytes(*checksum)
}

/// Writes the checksum at the end of bytes.
pub(crate) fn put_checksum(bytes: &mut [u8], seed: u32) {
    if let Some((covered, checksum)) = bytes.split_last_chunk_mut::<CHECKSUM_BYTES>() {
        *checksum = crate::sum::crc32c_append(seed, covered).to_le_bytes();
    }
}

/// What every header and root slot begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) version: u32,
    pub(crate) reader_features: u64,
    pub(crate) writer_features: u64,
}

impl Prefix {
    pub(crate) fn encode<const N: usize>(&self, magic: [u8; 8], encoder: &mut Encoder<N>) {
        encoder.put(&magic);
        encoder.put(&self.version.to_le_bytes());
        encoder.put(&(N as u32).to_le_bytes());
        encoder.put(&self.reader_features.to_le_bytes());
        encoder.put(&self.writer_features.to_le_bytes());
    }

    pub(crate) fn decode(bytes: &mut Decoder<'_>, magic: [u8; 8]) -> Option<Prefix> {
        if bytes.array::<8>()? != magic {
            return None;
        }
        let version = u32::from_le_bytes(bytes.array()?);
        // The length, which a later version may have changed.
        bytes.array::<4>()?;
        let reader_features = u64::from_le_bytes(bytes.array()?);
        Some(Prefix { version, reader_features, writer_features: u64::from_le_bytes(bytes.array()?) })
    }

    /// Whether a version with these features may read the file.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn may_be_read(&self, file: FileId, version: u32, features: u64) -> Result<(), Error> {
        let unsupported = |what, found| Err(Error::Unsupported(Unsupported { file, what, found }));
        if self.version != version {
            return unsupported("format version", self.version.into());
        }
        if self.reader_features & !features != 0 {
            return unsupported("the set of features", self.reader_features);
        }
        Ok(())
    }
}

impl Header {
    pub(crate) fn encode(&self, format: &Format) -> HeaderArray {
        let (version, reader_features) = (format.version, format.reader_features);
        let prefix = Prefix { version, reader_features, writer_features: self.writer_features };
        let mut encoder = Encoder::<{ HEADER_BYTES as usize }>::new();
        prefix.encode(format.magic, &mut encoder);
        for number in [self.number, self.salt, self.database, self.previous, self.previous_bytes] {
            encoder.put(&number.to_le_bytes());
        }
        let mut bytes = encoder.into_array();
        put_checksum(&mut bytes, 0);
        bytes
    }

    /// The header in `bytes`; `None` where they are none at all, which only the file's length explains.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another version.
    pub(crate) fn decode(bytes: &HeaderArray, id: FileId, format: &Format) -> Result<Option<Header>, Error> {
        let mut fields = Decoder::new(bytes);
        let Some(prefix) = Prefix::decode(&mut fields, format.magic).filter(|_| has_checksum(bytes, 0))
        else {
            return Ok(None);
        };
        prefix.may_be_read(id, format.version, format.reader_features)?;
        let mut field = || fields.array().map_or(0, u64::from_le_bytes);
        Ok(Some(Header {
            number: field(),
            salt: field(),
            database: field(),
            previous: field(),
            previous_bytes: field(),
            writer_features: prefix.writer_features,
        }))
    }

    /// Whether this version may write to the file.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub(crate) fn may_be_written(&self, id: FileId, format: &Format) -> Result<(), Error> {
        if self.writer_features & !format.writer_features != 0 {
            let (what, found) = ("the set of features of its writer", self.writer_features);
            return Err(Error::Unsupported(Unsupported { file: id, what, found }));
        }
        Ok(())
    }
}

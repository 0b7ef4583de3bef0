//! The root: two slots, of which the one with the greater generation says which manifest holds.
//!
//! A slot is 64 bytes at offset 0 or 4,096, so that no write to one touches the other; generation g is in slot
//! g mod 2. Writing the other slot and syncing is the switch: a crash leaves it old, new, or broken, and in each case the
//! greatest generation that can be read names a manifest that is complete (see [`super`], M2 and M3).

use cofferdam_arena::Budget;
use cofferdam_vfs::OpenMode;

use crate::directory::{Access, Directory, FILE_NUMBER_MAX};
use crate::error::{Error, Unsupported};
use crate::files::FileId;
use crate::log::bytes::{Decoder, Encoder};
use crate::log::header::{Prefix, has_checksum, put_checksum};

const MAGIC: [u8; 8] = *b"cofd-dir";
/// The version of the format of databases that this version writes.
pub const DATABASE_VERSION: u32 = 1;
/// The features of databases without which they cannot be read that this version knows.
const READER_FEATURES: u64 = 0;
/// The same for writing.
const WRITER_FEATURES: u64 = 0;
/// The bytes of a slot.
const SLOT_BYTES: usize = 64;
/// Where the slots are.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];

/// Which manifest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Root {
    /// Counts the switches of manifests.
    pub generation: u64,
    /// The number of the manifest.
    pub manifest: u64,
    /// A random number that all logs of this database carry.
    pub database: u64,
    /// The offset of the slot that could not be read: a switch was interrupted, or it is damaged.
    pub torn_slot: Option<u64>,
    /// Features that a writer must know.
    pub writer_features: u64,
}

/// A slot that could be read.
#[derive(Clone, Copy, Debug)]
struct Slot {
    prefix: Prefix,
    root: Root,
}

const fn slot_offset(generation: u64) -> u64 {
    SLOT_OFFSETS[(generation % 2) as usize]
}

impl Root {
    /// Reads the root of a directory.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Unsupported`], [`Error::OutOfMemory`], [`Error::Io`].
    pub(crate) fn read(directory: &Directory, budget: &Budget) -> Result<Root, Error> {
        let file = directory.open_file(FileId::ROOT, OpenMode::Read, budget)?;
        let mut slots = [None; 2];
        for (slot, offset) in slots.iter_mut().zip(SLOT_OFFSETS) {
            let mut bytes = [0; SLOT_BYTES];
            if file.read_up_to(&mut bytes, offset)? == SLOT_BYTES {
                *slot = Slot::decode(&bytes, offset);
            }
        }
        let slot = Slot::choose(slots)?;
        slot.prefix.may_be_read(FileId::ROOT, DATABASE_VERSION, READER_FEATURES)?;
        let found = slot.root.writer_features;
        if directory.access() != Access::Read && found & !WRITER_FEATURES != 0 {
            let what = "the set of features of its writer";
            return Err(Error::Unsupported(Unsupported { file: FileId::ROOT, what, found }));
        }
        Ok(slot.root)
    }

    /// The root of a new database.
    pub(crate) fn first(manifest: u64, database: u64) -> Root {
        Root { generation: 1, manifest, database, torn_slot: None, writer_features: 0 }
    }

    /// Writes a root to a file that becomes the root, with both slots, and syncs it.
    pub(crate) fn create(&self, directory: &Directory, id: FileId, budget: &Budget) -> Result<(), Error> {
        let file = directory.open_file(id, OpenMode::CreateNew, budget)?;
        // Of a new database whose second slot is lost, the first one is read.
        let generation = self.generation.max(1);
        for generation in [generation - 1, generation] {
            let root = Root { generation, ..*self };
            file.write_all_at(&root.encode(), slot_offset(generation))?;
        }
        file.sync()
    }

    /// Switches to another manifest, durably.
    ///
    /// # Errors
    /// As [`Root::write`].
    pub(crate) fn switch(
        &self,
        directory: &Directory,
        manifest: u64,
        budget: &Budget,
    ) -> Result<Root, Error> {
        let root = Root { generation: self.generation + 1, manifest, torn_slot: None, ..*self };
        root.write(directory, budget)?;
        Ok(root)
    }

    /// Writes the slot of this generation, durably.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] before anything was written; [`Error::Io`], and it is not known then what the slot holds.
    pub(crate) fn write(&self, directory: &Directory, budget: &Budget) -> Result<(), Error> {
        let file = directory.open_file(FileId::ROOT, OpenMode::Write, budget)?;
        file.write_all_at(&self.encode(), slot_offset(self.generation))?;
        file.sync()
    }

    fn encode(&self) -> [u8; SLOT_BYTES] {
        let (version, reader_features) = (DATABASE_VERSION, READER_FEATURES);
        let prefix = Prefix { version, reader_features, writer_features: self.writer_features };
        let mut encoder = Encoder::<SLOT_BYTES>::new();
        prefix.encode(MAGIC, &mut encoder);
        for number in [self.generation, self.manifest, self.database] {
            encoder.put(&number.to_le_bytes());
        }
        let mut bytes = encoder.into_array();
        put_checksum(&mut bytes, seed(slot_offset(self.generation)));
        bytes
    }
}

/// The checksum of a slot covers its offset first.
fn seed(offset: u64) -> u32 {
    crate::sum::crc32c(&offset.to_le_bytes())
}

impl Slot {
    fn decode(bytes: &[u8; SLOT_BYTES], offset: u64) -> Option<Slot> {
        let mut fields = Decoder::new(bytes);
        let prefix = Prefix::decode(&mut fields, MAGIC).filter(|_| has_checksum(bytes, seed(offset)))?;
        let mut field = || fields.array().map_or(0, u64::from_le_bytes);
        let (generation, manifest, database) = (field(), field(), field());
        let (torn_slot, writer_features) = (None, prefix.writer_features);
        let root = Root { generation, manifest, database, torn_slot, writer_features };
        let is_sound = slot_offset(generation) == offset && generation.max(manifest) < FILE_NUMBER_MAX;
        is_sound.then_some(Slot { prefix, root })
    }

    /// The newer of the slots.
    fn choose(slots: [Option<Slot>; 2]) -> Result<Slot, Error> {
        let corrupt = |what| Err(Error::corrupt(FileId::ROOT, 0, what));
        let torn = |slot: Slot, torn: usize| Slot {
            root: Root { torn_slot: Some(SLOT_OFFSETS[torn]), ..slot.root },
            ..slot
        };
        match slots {
            [None, None] => corrupt("neither slot can be read"),
            [Some(slot), None] => Ok(torn(slot, 1)),
            [None, Some(slot)] => Ok(torn(slot, 0)),
            [Some(a), Some(b)] if a.root.database != b.root.database => corrupt("slots of two databases"),
            [Some(a), Some(b)] if a.root.generation.abs_diff(b.root.generation) != 1 => {
                corrupt("the slots do not follow each other")
            }
            [Some(a), Some(b)] => Ok(if a.root.generation > b.root.generation { a } else { b }),
        }
    }
}

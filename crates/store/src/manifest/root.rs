//! The root: two slots, of which the one with the greater generation says which manifest holds.
//!
//! A slot is 64 bytes at offset 0 or 4,096, so that no write to one touches the other; generation g is in slot
//! g mod 2. Writing the other slot and syncing is the switch: a crash leaves it old, new, or broken, and in each case the
//! greatest generation that can be read names a manifest that is complete (see [`super`], M2 and M3).

use cofferdam_arena::Budget;
use cofferdam_vfs::OpenMode;

use crate::directory::{Access, Directory};
use crate::error::{Error, Unsupported};
use crate::files::FileId;
use crate::log::header::{checksum, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"COFFROOT";
/// The version of the format of databases that this version writes.
pub const DATABASE_VERSION: u32 = 1;
/// The features of databases without which they cannot be read that this version knows.
const READER_FEATURES: u32 = 0;
/// The same for writing.
const WRITER_FEATURES: u32 = 0;
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
    pub writer_features: u32,
}

/// A slot that could be read.
#[derive(Clone, Copy, Debug)]
struct Slot {
    version: u32,
    reader_features: u32,
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
        let unsupported = |what, found: u32| {
            Err(Error::Unsupported(Unsupported { file: FileId::ROOT, what, found: found.into() }))
        };
        if slot.version != DATABASE_VERSION {
            return unsupported("format version", slot.version);
        }
        if slot.reader_features & !READER_FEATURES != 0 {
            return unsupported("the set of features", slot.reader_features);
        }
        if directory.access() != Access::Read && slot.root.writer_features & !WRITER_FEATURES != 0 {
            return unsupported("the set of features of its writer", slot.root.writer_features);
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
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&DATABASE_VERSION.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.writer_features.to_le_bytes());
        for (place, number) in
            bytes[24..].chunks_exact_mut(8).zip([self.generation, self.manifest, self.database])
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = checksum(&bytes, slot_offset(self.generation));
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

impl Slot {
    fn decode(bytes: &[u8; SLOT_BYTES], offset: u64) -> Option<Slot> {
        let generation = u64_at(bytes, 24);
        let is_ours = bytes[..8] == MAGIC && u32_at(bytes, 12) == checksum(bytes, offset);
        (is_ours && slot_offset(generation) == offset).then(|| Slot {
            version: u32_at(bytes, 8),
            reader_features: u32_at(bytes, 16),
            root: Root {
                generation,
                manifest: u64_at(bytes, 32),
                database: u64_at(bytes, 40),
                torn_slot: None,
                writer_features: u32_at(bytes, 20),
            },
        })
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

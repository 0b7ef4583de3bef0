//! Segment files, and how pieces of them are read: through the cache, or into the caller's scratch.

use core::fmt;
use core::ops::Deref;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{Arena, Budget};
use cofferdam_vfs::{File, OpenMode};

use super::layout::{self, Damage, HEADER_BYTES, Header};
use crate::cache::{Cache, Looked, Piece, PieceKey};
use crate::directory::{Charge, Directory};
use crate::error::{Error, Unsupported};
use crate::files::{FileId, FileKind};
use crate::page::{LongRef, PageError, SymbolTable};
use crate::schema::VALUE_BYTES_MAX;

/// An open file of segments: the handle, and what its header says.
///
/// **Memory.** The handle's; whoever opened the file has charged it.
pub(crate) struct SegmentFile {
    #[allow(clippy::disallowed_types)]
    file: Box<dyn File>,
    id: FileId,
    salt: u64,
    /// Set for files of a database.
    owner: Option<Owner>,
}

/// The database that a file belongs to.
struct Owner {
    directory: Arc<Directory>,
    /// No edit names the file, or none will any more: it is removed with its last handle.
    is_obsolete: AtomicBool,
    _charge: Charge,
}

impl SegmentFile {
    /// Bytes of the header: where the first segment of a file begins.
    pub(crate) const HEADER_BYTES: u64 = HEADER_BYTES as u64;

    /// Writes the header of a new file. `salt` is any number that other files do not have; checksums begin with it, so
    /// that a piece of one file is not taken for that of another.
    ///
    /// # Errors
    /// Those of the system.
    #[allow(clippy::disallowed_types)]
    pub(crate) fn create(file: Box<dyn File>, id: FileId, salt: u64) -> Result<SegmentFile, Error> {
        let header = Header {
            version: layout::VERSION,
            reader_features: 0,
            writer_features: 0,
            file_number: id.number,
            salt,
        };
        file.write_all_at(&header.write(), 0).map_err(|error| Error::io("write", id, &error))?;
        Ok(SegmentFile { file, id, salt, owner: None })
    }

    /// Reads the header of a file.
    ///
    /// # Errors
    /// Those of the system; the header is damaged, of a newer version, or of another file.
    #[allow(clippy::disallowed_types)]
    pub(crate) fn open(file: Box<dyn File>, id: FileId) -> Result<SegmentFile, Error> {
        let mut bytes = [0; HEADER_BYTES];
        read_exact(&*file, id, &mut bytes, 0)?;
        let header = Header::parse(&bytes).map_err(|what| Error::corrupt(id, 0, what))?;
        let unsupported = |what, found| Err(Error::Unsupported(Unsupported { file: id, what, found }));
        if header.version != layout::VERSION {
            return unsupported("format version", header.version.into());
        }
        if header.reader_features != 0 {
            return unsupported("features", header.reader_features);
        }
        if header.file_number != id.number {
            return Err(Error::corrupt(id, 32, "the header is that of another file"));
        }
        Ok(SegmentFile { file, id, salt: header.salt, owner: None })
    }

    /// Makes a file of segments in a database's directory, which is removed with its last handle until
    /// [`SegmentFile::set_obsolete`] says otherwise.
    ///
    /// # Errors
    /// Those of the system; the budget refuses the handle.
    pub(crate) fn create_in(
        directory: &Arc<Directory>,
        number: u64,
        budget: &Budget,
    ) -> Result<SegmentFile, Error> {
        let id = FileId::new(FileKind::Segments, number);
        let (file, charge) = directory.open_file(id, OpenMode::CreateNew, budget)?.into_parts();
        let file = SegmentFile::create(file, id, directory.vfs().random_u64()).inspect_err(|_| {
            // What cannot be removed now is removed when the database is opened the next time.
            let _ = directory.remove(id);
        })?;
        Ok(file.owned(directory, charge, true))
    }

    /// Opens a file of segments in a database's directory.
    ///
    /// # Errors
    /// As [`SegmentFile::open`]; the budget refuses the handle.
    pub(crate) fn open_in(
        directory: &Arc<Directory>,
        number: u64,
        budget: &Budget,
    ) -> Result<SegmentFile, Error> {
        let id = FileId::new(FileKind::Segments, number);
        let (file, charge) = directory.open_file(id, OpenMode::Read, budget)?.into_parts();
        Ok(SegmentFile::open(file, id)?.owned(directory, charge, false))
    }

    fn owned(mut self, directory: &Arc<Directory>, charge: Charge, is_obsolete: bool) -> SegmentFile {
        let directory = Arc::clone(directory);
        self.owner = Some(Owner { directory, is_obsolete: AtomicBool::new(is_obsolete), _charge: charge });
        self
    }

    /// Says whether the file is removed with its last handle.
    pub(crate) fn set_obsolete(&self, is_obsolete: bool) {
        if let Some(owner) = &self.owner {
            owner.is_obsolete.store(is_obsolete, Ordering::Relaxed);
        }
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(|error| Error::io("sync", self.id, &error))
    }

    /// Which file it is.
    pub(crate) fn id(&self) -> FileId {
        self.id
    }

    /// The handle.
    pub(crate) fn file(&self) -> &dyn File {
        &*self.file
    }

    pub(super) fn salt(&self) -> u64 {
        self.salt
    }

    /// Fills `into`.
    pub(crate) fn read(&self, into: &mut [u8], offset: u64) -> Result<(), Error> {
        read_exact(&*self.file, self.id, into, offset)
    }

    /// Damage of this file.
    pub(super) fn corrupt(&self, offset: u64, what: Damage) -> Error {
        Error::corrupt(self.id, offset, what)
    }

    /// What is wrong with the page at `offset`.
    pub(super) fn page_error(&self, offset: u64, error: PageError) -> Error {
        match error {
            PageError::Memory(error) => Error::OutOfMemory(error),
            PageError::Corrupt(what) => self.corrupt(offset, what),
        }
    }

    /// Reads a long text piece by piece through `buffer`, which must not be empty, and gives each to `put`. Damage is
    /// known only at the end: an error means that what was put is not to be used.
    ///
    /// # Errors
    /// Those of the system and of `put`; the text is damaged.
    pub(crate) fn read_long(
        &self,
        at: LongRef,
        buffer: &mut [u8],
        mut put: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if at.len as usize > VALUE_BYTES_MAX {
            return Err(self.corrupt(at.offset, "no text is so long"));
        }
        let (mut crc, mut done) = (0, 0);
        while done < at.len {
            let count = buffer.len().min((at.len - done) as usize);
            let piece = buffer.get_mut(..count).unwrap_or(&mut []);
            let offset = at.offset.saturating_add(done.into());
            self.read(piece, offset)?;
            crc = crate::sum::crc32c_append(crc, piece);
            put(piece)?;
            done += count as u32;
        }
        if crc == at.crc {
            Ok(())
        } else {
            Err(self.corrupt(at.offset, "the checksum of a long text is wrong"))
        }
    }

    /// Appends a long text to `heap`.
    ///
    /// # Errors
    /// As [`SegmentFile::read_long`]; the heap's budget refuses. The heap has its length of before then.
    pub(crate) fn append_long(&self, at: LongRef, heap: &mut Vec<'_, u8>) -> Result<(), Error> {
        let (before, len) = (heap.len(), at.len as usize);
        if len > VALUE_BYTES_MAX || before + len > u32::MAX as usize {
            return Err(self.corrupt(at.offset, "no text is so long"));
        }
        heap.reserve(len)?;
        heap.resize(before + len, 0)?;
        let result = self.read_text_into(at, heap.get_mut(before..).unwrap_or(&mut []));
        if result.is_err() {
            heap.truncate(before);
        }
        result
    }

    fn read_text_into(&self, at: LongRef, into: &mut [u8]) -> Result<(), Error> {
        self.read(into, at.offset)?;
        if crate::sum::crc32c(into) != at.crc {
            return Err(self.corrupt(at.offset, "the checksum of a long text is wrong"));
        }
        Ok(())
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take().filter(|owner| owner.is_obsolete.load(Ordering::Relaxed)) {
            // What cannot be removed now is removed when the database is opened the next time.
            let _ = owner.directory.remove(self.id);
        }
    }
}

impl fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentFile({})", self.id)
    }
}

fn read_exact(file: &dyn File, id: FileId, into: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(into, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Error::corrupt(id, offset, "the file ends here"),
        _ => Error::io("read", id, &error),
    })
}

// -------------------------------------------------------------------------------------------------------- pieces

/// Where pieces are read from: the cache and behind it the file, or the file alone.
#[derive(Clone, Copy)]
pub(crate) struct PageSource<'c> {
    cache: Option<&'c Cache>,
}

impl<'c> PageSource<'c> {
    /// Through the cache.
    pub(crate) fn cached(cache: &'c Cache) -> PageSource<'c> {
        PageSource { cache: Some(cache) }
    }

    /// Through a cache where there is one.
    pub(crate) fn of(cache: Option<&'c Cache>) -> PageSource<'c> {
        PageSource { cache }
    }

    /// The cache.
    pub(crate) fn cache(&self) -> Option<&'c Cache> {
        self.cache
    }

    /// From the file alone.
    pub(crate) const UNCACHED: PageSource<'static> = PageSource { cache: None };

    /// A piece that `check` accepts: the cache's, or one in `scratch` where the cache has no room. `check` sees a piece
    /// once, when it is read.
    ///
    /// # Errors
    /// Those of the system; what `check` says; the scratch's budget refuses.
    #[inline]
    pub(super) fn piece<'s>(
        &self,
        file: &SegmentFile,
        offset: u64,
        len: usize,
        scratch: &'s mut Vec<'_, u8>,
        check: impl Fn(&[u8]) -> Result<(), Damage>,
    ) -> Result<PieceRef<'s>, Error> {
        let read = |into: &mut [u8]| {
            file.read(into, offset)?;
            check(into).map_err(|what| file.corrupt(offset, what))
        };
        if let Some(cache) = self.cache {
            let key = PieceKey { file_number: file.id.number, offset };
            if let Some(piece) = cache.get_or_read(key, len, read)? {
                return Ok(PieceRef::Cached(piece));
            }
        }
        let into = sized(scratch, len)?;
        read(into)?;
        Ok(PieceRef::Scratch(into))
    }
}

impl PageSource<'_> {
    /// As [`PageSource::piece`]; what the cache has is kept in `held` and found there the next time.
    #[inline]
    pub(super) fn held_piece<'s>(
        &self,
        file: &SegmentFile,
        offset: u64,
        len: usize,
        (scratch, held): (&'s mut Vec<'_, u8>, &'s mut HeldPiece),
        check: impl Fn(&[u8]) -> Result<(), Damage>,
    ) -> Result<&'s [u8], Error> {
        let key = PieceKey { file_number: file.id.number, offset };
        if held.as_ref().is_none_or(|(held, _)| *held != key) {
            // Let go first, so that it may make room for this one.
            *held = None;
            match self.piece(file, offset, len, scratch, check)? {
                PieceRef::Cached(piece) => *held = Some((key, piece)),
                PieceRef::Scratch(bytes) => return Ok(bytes),
            }
        }
        Ok(held.as_ref().map_or(&[], |(_, piece)| piece))
    }

    /// A page or bundle that `check` accepts, found in `last` the next time. A cache that is full takes in what was missed not long
    /// ago; anything else is read past it.
    ///
    /// # Errors
    /// As [`PageSource::piece`].
    #[inline]
    pub(super) fn page<'s>(
        &self,
        file: &SegmentFile,
        offset: u64,
        len: usize,
        last: &'s mut LastPage<'_>,
        check: impl Fn(&[u8]) -> Result<(), Damage>,
    ) -> Result<&'s [u8], Error> {
        let key = PieceKey { file_number: file.id.number, offset };
        if last.place != Some(key) {
            // Let go first, so that it may make room for this one.
            (last.place, last.cached) = (None, None);
            last.read((self.cache, key), len, |into| {
                file.read(into, offset)?;
                check(into).map_err(|what| file.corrupt(offset, what))
            })?;
            last.place = Some(key);
        }
        Ok(last.cached.as_deref().unwrap_or_else(|| last.bytes.get(..len).unwrap_or(&[])))
    }
}

impl fmt::Debug for PageSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSource({})", if self.cache.is_some() { "cached" } else { "uncached" })
    }
}

/// A piece that was checked.
#[derive(Debug)]
pub(super) enum PieceRef<'s> {
    Cached(Piece),
    Scratch(&'s [u8]),
}

impl Deref for PieceRef<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            PieceRef::Cached(piece) => piece,
            PieceRef::Scratch(bytes) => bytes,
        }
    }
}

/// The first `len` bytes of a vector that grows to hold them.
pub(super) fn sized<'s>(scratch: &'s mut Vec<'_, u8>, len: usize) -> Result<&'s mut [u8], Error> {
    if scratch.len() < len {
        if scratch.capacity() < len {
            // A quarter more, since the next one may be a little longer and what was outgrown stays in the arena.
            scratch.reserve_exact(len + len / 4 - scratch.len())?;
        }
        scratch.resize(len, 0)?;
    }
    Ok(scratch.get_mut(..len).unwrap_or(&mut []))
}

/// What point reads work in: made once, used for any number of them.
///
/// **Memory.** Nothing while the cache has room and no text is compressed. Otherwise of the arena: two pieces, one of which is a page or a
/// bundle (about 110 KiB at most for each column of it; a few KiB for those that were written under a small limit, or have few
/// rows), a decompressed text (8 KiB at most) or a long one (as long as it is), and a table of symbols (about 3 KiB).
#[derive(Debug)]
pub(crate) struct Scratch<'a> {
    pub(super) pages: PageScratch<'a>,
    pub(super) text: Vec<'a, u8>,
    pub(super) symbols: SymbolsSlot<'a>,
}

/// What single pages are read with.
#[derive(Debug)]
pub(super) struct PageScratch<'a> {
    /// What leads to pages where the cache has no room for it.
    pub(super) bytes: Vec<'a, u8>,
    /// Keep the root of an index and the directory that were looked at last: who reads one range mostly reads others near it.
    pub(super) root: HeldPiece,
    pub(super) directory: HeldPiece,
    pub(super) last: LastPage<'a>,
    /// Keeps the locations that were read last: columns of a row often share them.
    pub(super) located: HeldPiece,
}

impl PageScratch<'_> {
    /// Lets go of the cache's pieces.
    pub(super) fn let_go(&mut self) {
        (self.root, self.directory, self.located) = (None, None, None);
        (self.last.place, self.last.cached) = (None, None);
    }
}

/// A piece that is kept for the next look.
pub(super) type HeldPiece = Option<(PieceKey, Piece)>;

/// The page or bundle that was read last: columns of a row are often in the same one.
#[derive(Debug)]
pub(super) struct LastPage<'a> {
    /// Its place: file and offset.
    place: Option<PieceKey>,
    /// It is in the cache, or else here.
    cached: Option<Piece>,
    bytes: Vec<'a, u8>,
}

impl LastPage<'_> {
    fn read(
        &mut self,
        (cache, key): (Option<&Cache>, PieceKey),
        len: usize,
        read: impl Fn(&mut [u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if let Some(cache) = cache {
            self.cached = match cache.get_or_admit(key, len) {
                Looked::There(piece) => Some(piece),
                Looked::Admitted => cache.get_or_read(key, len, &read)?,
                Looked::Missing => None,
            };
        }
        if self.cached.is_some() {
            return Ok(());
        }
        match (sized(&mut self.bytes, len), cache) {
            (Ok(into), _) => read(into),
            // No room here: then something in the cache gives way.
            (Err(refusal), Some(cache)) => {
                self.cached = cache.get_or_read(key, len, &read)?;
                if self.cached.is_some() { Ok(()) } else { Err(refusal) }
            }
            (Err(refusal), None) => Err(refusal),
        }
    }
}

impl<'a> Scratch<'a> {
    /// Takes nothing until it is used.
    pub(crate) fn new_in(arena: &'a Arena) -> Scratch<'a> {
        Scratch {
            pages: PageScratch {
                bytes: Vec::new_in(arena),
                root: None,
                directory: None,
                last: LastPage { place: None, cached: None, bytes: Vec::new_in(arena) },
                located: None,
            },
            text: Vec::new_in(arena),
            symbols: SymbolsSlot::new_in(arena),
        }
    }
}

/// The table of symbols that was used last.
#[derive(Debug)]
pub(super) struct SymbolsSlot<'a> {
    arena: &'a Arena,
    /// Its place: file and offset.
    place: Option<PieceKey>,
    /// The table in the cache, or else here.
    cached: Option<Piece>,
    own: Option<&'a mut SymbolTable>,
}

impl<'a> SymbolsSlot<'a> {
    pub(super) fn new_in(arena: &'a Arena) -> SymbolsSlot<'a> {
        SymbolsSlot { arena, place: None, cached: None, own: None }
    }

    /// The table at a place of a file, read where it is another one than last time.
    pub(super) fn load(
        &mut self,
        file: &SegmentFile,
        symbols: Option<(u64, usize)>,
        source: PageSource<'_>,
        scratch: &mut Vec<'_, u8>,
    ) -> Result<Option<&SymbolTable>, Error> {
        let Some((offset, len)) = symbols else { return Ok(None) };
        let place = PieceKey { file_number: file.id.number, offset };
        if self.place != Some(place) {
            self.place = None;
            self.cached =
                source.cache.and_then(|cache| cache.get(place)).filter(|piece| piece.symbols().is_some());
            if self.cached.is_none() {
                self.read(file, place, len, source, scratch)?;
            }
            self.place = Some(place);
        }
        Ok(self.loaded())
    }

    fn read(
        &mut self,
        file: &SegmentFile,
        place: PieceKey,
        len: usize,
        source: PageSource<'_>,
        scratch: &mut Vec<'_, u8>,
    ) -> Result<(), Error> {
        let bytes = sized(scratch, len)?;
        file.read(bytes, place.offset)?;
        let table = SymbolTable::parse(bytes).map_err(|what| file.corrupt(place.offset, what))?;
        self.cached = source.cache.and_then(|cache| cache.keep_symbols(place, &table));
        match &mut self.own {
            _ if self.cached.is_some() => {}
            Some(own) => **own = table,
            None => self.own = Some(self.arena.alloc(table)?),
        }
        Ok(())
    }

    /// From here on there is no table.
    pub(super) fn forget(&mut self) {
        self.place = None;
    }

    /// The table that was loaded last.
    pub(super) fn loaded(&self) -> Option<&SymbolTable> {
        self.place?;
        match &self.cached {
            Some(piece) => piece.symbols(),
            None => self.own.as_deref(),
        }
    }
}

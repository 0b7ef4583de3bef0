//! The files of a database's directory, and their names.
//!
//! ```text
//! lock               held while the database is open
//! root               two slots that say which manifest holds
//! manifest-000003    what segments and tables there are, edit by edit
//! wal-000017         what was committed since the last flush
//! segments-000042    sorted tables, written once
//! temp-000043        work of a statement or of a transaction that has not committed; removed when the database opens
//! ```
//!
//! Numbers count up through the life of a database and are never used twice.

use core::fmt;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// Held while the database is open.
    Lock,
    /// Which manifest holds.
    Root,
    /// Edits of the list of segments and tables.
    Manifest,
    /// Committed changes that are not in segments yet.
    Wal,
    /// Sorted tables.
    Segments,
    /// Gone at the next open.
    Temporary,
}

/// A file of a database: its kind and number. `Display` is its name in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// What it holds.
    pub kind: FileKind,
    /// 0 for the lock and the root, of which there is one.
    pub number: u64,
}

const NAMES: [(FileKind, &str); 6] = [
    (FileKind::Lock, "lock"),
    (FileKind::Root, "root"),
    (FileKind::Manifest, "manifest"),
    (FileKind::Wal, "wal"),
    (FileKind::Segments, "segments"),
    (FileKind::Temporary, "temp"),
];

impl FileId {
    /// The lock.
    pub const LOCK: FileId = FileId { kind: FileKind::Lock, number: 0 };
    /// The root.
    pub const ROOT: FileId = FileId { kind: FileKind::Root, number: 0 };

    /// The file of a kind and number.
    pub const fn new(kind: FileKind, number: u64) -> FileId {
        FileId { kind, number }
    }

    /// The file of this name, `None` for a name that the store never gives.
    pub fn parse(name: &str) -> Option<FileId> {
        let (word, digits) = match name.split_once('-') {
            Some((word, digits)) => (word, Some(digits)),
            None => (name, None),
        };
        let kind = NAMES.iter().find(|(_, known)| *known == word)?.0;
        let number = match (kind, digits) {
            (FileKind::Lock | FileKind::Root, None) => 0,
            (FileKind::Lock | FileKind::Root, Some(_)) | (_, None) => return None,
            (_, Some(digits)) if digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok()?
            }
            _ => return None,
        };
        // 0000007 would be a second name of 000007.
        (digits.is_none_or(|digits| digits.len() == 6 || !digits.starts_with('0')))
            .then_some(FileId { kind, number })
    }

    /// The name in the directory.
    pub(crate) fn name(self) -> FileName {
        use fmt::Write as _;
        let mut name = FileName::EMPTY;
        write!(name, "{self}").expect("32 bytes hold every kind and number");
        name
    }
}

/// A name of a file, inline.
pub(crate) type FileName = cofferdam_arena::InlineText<32>;

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = NAMES.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, word)| word);
        match self.kind {
            FileKind::Lock | FileKind::Root => f.write_str(word),
            _ => write!(f, "{word}-{:06}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_no_others() {
        for (kind, number) in [
            (FileKind::Lock, 0),
            (FileKind::Root, 0),
            (FileKind::Manifest, 1),
            (FileKind::Wal, 999_999),
            (FileKind::Segments, 1_000_000),
            (FileKind::Temporary, u64::MAX),
        ] {
            let id = FileId::new(kind, number);
            assert_eq!(FileId::parse(id.name().as_str()), Some(id), "{id}");
        }
        for name in
            ["", "wal", "wal-", "wal-1", "wal-00001x", "wal-0000001", "lock-000001", "root ", "WAL-000001"]
        {
            assert_eq!(FileId::parse(name), None, "{name}");
        }
    }
}

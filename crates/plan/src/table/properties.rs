//! What the catalog keeps of a table beyond names and types: bytes that the store carries with the table's definition and
//! does not look into. The byte table is `docs/formats/table-properties.md`.
//!
//! **Reading** trusts nothing: every length is checked against what is left before memory is asked for, positions of
//! columns against the number of columns, texts for UTF-8; bytes behind the end are an error. What is read is borrowed
//! from the bytes.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::{CheckRule, ColumnRule, CreateTable, UniqueKey};

/// The version that is written.
const VERSION: u8 = 1;
/// Of a column: a count of characters follows.
const HAS_CHARACTERS_MAX: u8 = 1;
/// Of a column: a default follows.
const HAS_DEFAULT: u8 = 2;
/// Of a column: it takes NULL.
const IS_NULLABLE: u8 = 4;
/// Of a table: the first key is the primary key.
const HAS_PRIMARY_KEY: u8 = 1;

/// What is kept of a table beyond the names and types of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties<'a> {
    /// What holds for each column.
    pub rules: &'a [ColumnRule<'a>],
    /// The checks.
    pub checks: &'a [CheckRule<'a>],
    /// The primary key.
    pub primary_key: Option<UniqueKey<'a>>,
    /// The other keys of which no two rows have the same.
    pub unique_keys: &'a [UniqueKey<'a>],
}

/// Why bytes are no properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertiesError {
    /// The arena's budget has no room.
    OutOfMemory(AllocError),
    /// A later version wrote them.
    Version(u8),
    /// They are damaged, from this byte on.
    Corrupt {
        /// The byte.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
}

impl From<AllocError> for PropertiesError {
    fn from(error: AllocError) -> PropertiesError {
        PropertiesError::OutOfMemory(error)
    }
}

impl<'a> Properties<'a> {
    /// Those of a table that is made.
    pub fn of(table: &CreateTable<'a>) -> Properties<'a> {
        let CreateTable { rules, checks, primary_key, unique_keys, .. } = *table;
        Properties { rules, checks, primary_key, unique_keys }
    }

    /// The bytes, in `arena`.
    ///
    /// # Errors
    /// `AllocError` when the arena's budget has no room.
    ///
    /// # Panics
    /// If there are 65,536 columns, checks or keys, or a text has 4 GiB: statements are shorter.
    pub fn encode<'b>(&self, arena: &'b Arena) -> Result<&'b [u8], AllocError> {
        let mut out = Writer { bytes: Vec::new_in(arena) };
        out.bytes.push(VERSION)?;
        out.bytes.push(if self.primary_key.is_some() { HAS_PRIMARY_KEY } else { 0 })?;
        out.count(self.rules.len())?;
        for rule in self.rules {
            let has = |bit: u8, has: bool| if has { bit } else { 0 };
            let flags = has(HAS_CHARACTERS_MAX, rule.characters_max.is_some())
                | has(HAS_DEFAULT, rule.default.is_some())
                | has(IS_NULLABLE, rule.is_nullable);
            out.bytes.push(flags)?;
            if let Some(count) = rule.characters_max {
                out.bytes.extend_from_slice(&count.to_le_bytes())?;
            }
            if let Some(default) = rule.default {
                out.text(default)?;
            }
        }
        out.count(self.checks.len())?;
        for check in self.checks {
            out.text(check.name)?;
            out.text(check.condition)?;
        }
        out.count(self.unique_keys.len() + usize::from(self.primary_key.is_some()))?;
        for key in self.primary_key.iter().chain(self.unique_keys) {
            out.text(key.name)?;
            out.count(key.columns.len())?;
            for column in key.columns {
                out.count(*column as usize)?;
            }
        }
        Ok(out.bytes.into_slice())
    }

    /// Whether bytes say that the table's primary key has the name; what is damaged has none. Takes no memory.
    pub fn has_primary_key(bytes: &[u8], name: &str) -> bool {
        let mut reader = Reader { bytes, at: 0 };
        reader.primary_key_name().is_ok_and(|found| found == Some(name))
    }

    /// The properties that bytes say of a table of so many columns; lists are in `arena`.
    ///
    /// # Errors
    /// [`PropertiesError`].
    pub fn decode(
        bytes: &'a [u8],
        columns_count: usize,
        arena: &'a Arena,
    ) -> Result<Properties<'a>, PropertiesError> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.byte("a version")? {
            VERSION => {}
            version => return Err(PropertiesError::Version(version)),
        }
        let flags = reader.byte("flags")?;
        if flags & !HAS_PRIMARY_KEY != 0 {
            return Err(reader.corrupt("flags of a table"));
        }
        if reader.count("the number of columns")? != columns_count {
            return Err(reader.corrupt("as many columns as the table has"));
        }
        let mut rules = Vec::with_capacity_in(columns_count, arena)?;
        for _ in 0..columns_count {
            rules.push(reader.rule()?)?;
        }
        let checks_count = reader.count("the number of checks")?;
        reader.expect_room(checks_count, 8, "as many checks")?;
        let mut checks = Vec::with_capacity_in(checks_count, arena)?;
        for _ in 0..checks_count {
            let (name, condition) = (reader.text("a check's name")?, reader.text("a condition")?);
            checks.push(CheckRule { name, condition })?;
        }
        let keys_count = reader.count("the number of keys")?;
        reader.expect_room(keys_count, 8, "as many keys")?;
        let mut keys = Vec::with_capacity_in(keys_count, arena)?;
        for _ in 0..keys_count {
            keys.push(reader.key(columns_count, arena)?)?;
        }
        if reader.at != bytes.len() {
            return Err(reader.corrupt("the end"));
        }
        let keys: &'a [UniqueKey<'a>] = keys.into_slice();
        let (primary_key, unique_keys) = match (flags & HAS_PRIMARY_KEY != 0, keys.split_first()) {
            (false, _) => (None, keys),
            (true, Some((first, rest))) => (Some(*first), rest),
            (true, None) => return Err(reader.corrupt("a primary key")),
        };
        Ok(Properties { rules: rules.into_slice(), checks: checks.into_slice(), primary_key, unique_keys })
    }
}

/// Writes the parts of properties.
pub(super) struct Writer<'b> {
    pub(super) bytes: Vec<'b, u8>,
}

impl Writer<'_> {
    pub(super) fn count(&mut self, count: usize) -> Result<(), AllocError> {
        let count = u16::try_from(count).expect("statements have fewer parts");
        self.bytes.extend_from_slice(&count.to_le_bytes())
    }

    pub(super) fn text(&mut self, text: &str) -> Result<(), AllocError> {
        let len = u32::try_from(text.len()).expect("statements are shorter");
        self.bytes.extend_from_slice(&len.to_le_bytes())?;
        self.bytes.extend_from_slice(text.as_bytes())
    }
}

/// Reads the parts of properties.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, expected: &'static str) -> Result<&'a [u8], PropertiesError> {
        let end = self.at.checked_add(count).ok_or(self.corrupt(expected))?;
        let taken = self.bytes.get(self.at..end).ok_or(self.corrupt(expected))?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn byte(&mut self, expected: &'static str) -> Result<u8, PropertiesError> {
        Ok(self.take(1, expected)?.first().copied().unwrap_or_default())
    }

    pub(super) fn count(&mut self, expected: &'static str) -> Result<usize, PropertiesError> {
        let bytes = self.take(2, expected)?;
        Ok(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    fn number(&mut self, expected: &'static str) -> Result<u32, PropertiesError> {
        let bytes = self.take(4, expected)?;
        Ok(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    pub(super) fn text(&mut self, expected: &'static str) -> Result<&'a str, PropertiesError> {
        let len = self.number(expected)?;
        let bytes = self.take(len as usize, expected)?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("UTF-8"))
    }

    /// From the beginning: the name of the primary key, which stands behind columns and checks.
    fn primary_key_name(&mut self) -> Result<Option<&'a str>, PropertiesError> {
        let (version, flags) = (self.byte("a version")?, self.byte("flags")?);
        if version != VERSION || flags & HAS_PRIMARY_KEY == 0 {
            return Ok(None);
        }
        for _ in 0..self.count("the number of columns")? {
            self.rule()?;
        }
        for _ in 0..self.count("the number of checks")? {
            self.text("a check's name")?;
            self.text("a condition")?;
        }
        match self.count("the number of keys")? {
            0 => Ok(None),
            _ => self.text("a key's name").map(Some),
        }
    }

    fn rule(&mut self) -> Result<ColumnRule<'a>, PropertiesError> {
        let flags = self.byte("flags of a column")?;
        if flags & !(HAS_CHARACTERS_MAX | HAS_DEFAULT | IS_NULLABLE) != 0 {
            return Err(self.corrupt("flags of a column"));
        }
        let characters_max = match flags & HAS_CHARACTERS_MAX {
            0 => None,
            _ => Some(self.number("a number of characters")?),
        };
        let default = match flags & HAS_DEFAULT {
            0 => None,
            _ => Some(self.text("a default")?),
        };
        Ok(ColumnRule { is_nullable: flags & IS_NULLABLE != 0, characters_max, default })
    }

    fn key(&mut self, columns_count: usize, arena: &'a Arena) -> Result<UniqueKey<'a>, PropertiesError> {
        let name = self.text("a key's name")?;
        let count = self.count("the number of a key's columns")?;
        self.expect_room(count, 2, "as many columns of a key")?;
        let mut columns = Vec::with_capacity_in(count, arena)?;
        for _ in 0..count {
            let column = self.count("a column of a key")?;
            if column >= columns_count {
                return Err(self.corrupt("a column that there is"));
            }
            columns.push(column as u32)?;
        }
        Ok(UniqueKey { name, columns: columns.into_slice() })
    }

    /// Whether what is left can hold so many pieces of at least so many bytes.
    pub(super) fn expect_room(
        &self,
        count: usize,
        bytes: usize,
        expected: &'static str,
    ) -> Result<(), PropertiesError> {
        match count.saturating_mul(bytes) <= self.bytes.len() - self.at {
            true => Ok(()),
            false => Err(self.corrupt(expected)),
        }
    }

    #[cold]
    pub(super) fn corrupt(&self, expected: &'static str) -> PropertiesError {
        PropertiesError::Corrupt { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    const RULES: [ColumnRule<'_>; 3] = [
        ColumnRule { is_nullable: false, characters_max: None, default: None },
        ColumnRule { is_nullable: true, characters_max: Some(10), default: Some("'é'") },
        ColumnRule { is_nullable: true, characters_max: None, default: Some("1 + 2") },
    ];
    const SAMPLE: Properties<'_> = Properties {
        rules: &RULES,
        checks: &[CheckRule { name: "t_a_check", condition: "a > 0" }],
        primary_key: Some(UniqueKey { name: "t_pkey", columns: &[0] }),
        unique_keys: &[UniqueKey { name: "t_c_b_key", columns: &[2, 1] }],
    };

    fn arena() -> Arena {
        Arena::new(&Budget::root("properties", 1 << 20).unwrap())
    }

    /// Aim: files of version 1 are read by every later version. Method: the bytes, spelled out.
    #[test]
    fn version_1_has_these_bytes() {
        let arena = arena();
        let expected = b"\x01\x01\x03\x00\x00\x07\x0a\x00\x00\x00\x04\x00\x00\x00'\xc3\xa9'\
            \x06\x05\x00\x00\x001 + 2\
            \x01\x00\x09\x00\x00\x00t_a_check\x05\x00\x00\x00a > 0\
            \x02\x00\x06\x00\x00\x00t_pkey\x01\x00\x00\x00\x09\x00\x00\x00t_c_b_key\x02\x00\x02\x00\x01\x00";
        assert_eq!(SAMPLE.encode(&arena).unwrap(), expected);
        assert_eq!(Properties::decode(expected, 3, &arena), Ok(SAMPLE));
        assert!(Properties::has_primary_key(expected, "t_pkey"));
        assert!(!Properties::has_primary_key(expected, "t_c_b_key"));
        let keyless = Properties { primary_key: None, ..SAMPLE };
        assert!(!Properties::has_primary_key(keyless.encode(&arena).unwrap(), "t_c_b_key"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let arena = arena();
        let bytes = SAMPLE.encode(&arena).unwrap();
        let decode = |bytes: &[u8], columns| {
            Properties::decode(bytes, columns, &self::arena()).map(|_| ()).unwrap_err()
        };
        assert_eq!(decode(&[2], 0), PropertiesError::Version(2));
        for end in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..end], 3), PropertiesError::Corrupt { .. }), "{end}");
        }
        assert!(matches!(decode(bytes, 4), PropertiesError::Corrupt { .. }));
        let longer = [bytes, b"x"].concat();
        assert_eq!(decode(&longer, 3), PropertiesError::Corrupt { at: bytes.len(), expected: "the end" });
        let none = Arena::new(&Budget::root("properties", 1 << 20).unwrap().child("none", 0).unwrap());
        assert!(matches!(Properties::decode(bytes, 3, &none), Err(PropertiesError::OutOfMemory(_))));
        assert!(SAMPLE.encode(&none).is_err());
    }

    proptest! {
        /// Aim: changed bytes are other properties or an error, and never a panic or much memory.
        #[test]
        fn damage_is_an_error(at in 0usize..100, byte in any::<u8>(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let arena = arena();
            let mut bytes = SAMPLE.encode(&arena).unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.extend(more);
            let budget = Budget::root("properties", 1 << 20).unwrap();
            let arena = Arena::new(&budget);
            let _ = Properties::decode(&bytes, 3, &arena);
            let _ = Properties::has_primary_key(&bytes, "t_pkey");
            prop_assert!(budget.used() <= 16 << 10);
        }
    }
}

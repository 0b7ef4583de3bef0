//! What the catalog keeps of a view. The byte table is `docs/formats/table-properties.md`.
//!
//! A view stands in the catalog as a table without rows does, so that names are shared and a transaction makes and drops both alike; its
//! properties are what tells them apart.

use cofferdam_arena::collections::Vec;
use cofferdam_arena::{AllocError, Arena};

use super::properties::{PropertiesError, Reader, Writer};

/// The version that is written.
const VERSION: u8 = IS_VIEW | 1;
/// The bit of the version that says that it is a view.
const IS_VIEW: u8 = 0x80;

/// What is kept of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewProperties<'a> {
    /// The query as canonical SQL, with columns in the place of every `*`.
    pub query: &'a str,
    /// The columns, in order.
    pub columns: &'a [ViewColumn<'a>],
    /// The names of the tables and views that the query reads, each once; what views read is theirs.
    pub reads: &'a [&'a str],
}

/// A column of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewColumn<'a> {
    /// Its name, which no other column of the view has.
    pub name: &'a str,
    /// The name of its type, with precision and scale.
    pub type_name: &'a str,
}

impl<'a> ViewProperties<'a> {
    /// Whether bytes are those of a view, in whatever version.
    pub fn are_of_view(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|version| version & IS_VIEW != 0)
    }

    /// How many columns the view has whose bytes these are; `None` of anything else. Takes no memory.
    pub fn columns_count(bytes: &[u8]) -> Option<usize> {
        let mut reader = Reader { bytes, at: 0 };
        reader.byte("a version").ok().filter(|version| *version == VERSION)?;
        reader.text("a query").ok()?;
        reader.count("the number of columns").ok()
    }

    /// The bytes, in `arena`.
    ///
    /// # Errors
    /// `AllocError` when the arena's budget has no room.
    ///
    /// # Panics
    /// If there are 65,536 columns or tables, or a text has 4 GiB: statements are shorter.
    pub fn encode<'b>(&self, arena: &'b Arena) -> Result<&'b [u8], AllocError> {
        let mut out = Writer { bytes: Vec::new_in(arena) };
        out.bytes.push(VERSION)?;
        out.text(self.query)?;
        out.count(self.columns.len())?;
        for column in self.columns {
            out.text(column.name)?;
            out.text(column.type_name)?;
        }
        out.count(self.reads.len())?;
        self.reads.iter().try_for_each(|name| out.text(name))?;
        Ok(out.bytes.into_slice())
    }

    /// What bytes say of a view; lists are in `arena`.
    ///
    /// # Errors
    /// [`PropertiesError`].
    pub fn decode(bytes: &'a [u8], arena: &'a Arena) -> Result<ViewProperties<'a>, PropertiesError> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.byte("a version")? {
            VERSION => {}
            version => return Err(PropertiesError::Version(version)),
        }
        let query = reader.text("a query")?;
        let columns_count = reader.count("the number of columns")?;
        reader.expect_room(columns_count, 8, "as many columns")?;
        let mut columns = Vec::with_capacity_in(columns_count, arena)?;
        for _ in 0..columns_count {
            let (name, type_name) = (reader.text("a column's name")?, reader.text("a type")?);
            columns.push(ViewColumn { name, type_name })?;
        }
        let reads_count = reader.count("the number of tables")?;
        reader.expect_room(reads_count, 4, "as many tables")?;
        let mut reads = Vec::with_capacity_in(reads_count, arena)?;
        for _ in 0..reads_count {
            reads.push(reader.text("a table's name")?)?;
        }
        if reader.at != bytes.len() {
            return Err(reader.corrupt("the end"));
        }
        Ok(ViewProperties { query, columns: columns.into_slice(), reads: reads.into_slice() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Properties;
    use super::*;
    use cofferdam_arena::Budget;
    use proptest::prelude::*;

    const SAMPLE: ViewProperties<'_> = ViewProperties {
        query: "SELECT t.a FROM t",
        columns: &[ViewColumn { name: "é", type_name: "integer" }],
        reads: &["t"],
    };

    fn arena() -> Arena {
        Arena::new(&Budget::root("properties", 1 << 20).unwrap())
    }

    /// Aim: files of version 1 are read by every later version. Method: the bytes, spelled out.
    #[test]
    fn version_1_has_these_bytes() {
        let arena = arena();
        let expected = b"\x81\x11\x00\x00\x00SELECT t.a FROM t\
            \x01\x00\x02\x00\x00\x00\xc3\xa9\x07\x00\x00\x00integer\x01\x00\x01\x00\x00\x00t";
        assert_eq!(SAMPLE.encode(&arena).unwrap(), expected);
        assert_eq!(ViewProperties::decode(expected, &arena), Ok(SAMPLE));
        assert_eq!(ViewProperties::columns_count(expected), Some(1));
        assert_eq!(ViewProperties::columns_count(&expected[..20]), None);
        assert!(ViewProperties::are_of_view(expected) && !ViewProperties::are_of_view(b""));
        // Those who know tables alone say that it is of a later version.
        assert_eq!(Properties::decode(expected, 1, &arena), Err(PropertiesError::Version(0x81)));
        assert_eq!(ViewProperties::decode(&[0x82], &arena), Err(PropertiesError::Version(0x82)));
        for end in 0..expected.len() {
            let cut = ViewProperties::decode(&expected[..end], &arena);
            assert!(matches!(cut, Err(PropertiesError::Corrupt { .. })), "{end}");
        }
    }

    proptest! {
        /// Aim: changed bytes are another view or an error, and never a panic or much memory.
        #[test]
        fn damage_is_an_error(at in 0usize..100, byte in any::<u8>(), more in proptest::collection::vec(any::<u8>(), 0..40)) {
            let arena = arena();
            let mut bytes = SAMPLE.encode(&arena).unwrap().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.extend(more);
            let budget = Budget::root("properties", 1 << 20).unwrap();
            let arena = Arena::new(&budget);
            let _ = ViewProperties::decode(&bytes, &arena);
            prop_assert!(budget.used() <= 16 << 10);
        }
    }
}

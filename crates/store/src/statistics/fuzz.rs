//! What planners are told of segments whose sketches and statistics lie: `fuzz/checks` calls it, and a test with random bytes.
//!
//! A table with columns of many types is written once. Then bytes of the pieces that hold what is known of its columns are changed, with
//! checksums that fit, and the table is asked for its statistics. It checks
//!
//! - **types**: the answer is damage, or statistics;
//! - **sense**: shares are between 0 and 1, counts are numbers and not negative, bounds of histograms ascend;
//! - **memory**: it stays within what is promised, and nothing is left behind.
#![allow(clippy::disallowed_types)]

use std::boxed::Box;
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use cofferdam_arena::{Arena, Budget};
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Date, Decimal, Interval, Time, Timestamp, Type, Uuid, Value};
use cofferdam_vfs::{File, MemoryVfs, OpenMode, Vfs};

use super::TableStatistics;
use crate::error::Error;
use crate::options::{Durability, Options};
use crate::schema::{KeyColumn, TableId};
use crate::segment::lies;
use crate::store::Store;
use crate::table::{ColumnDef, TableDef};

const PATH: &str = "/db";
const ROWS: i64 = 300;
const TYPES: [Type; 14] = [
    Type::BigInt,
    Type::Integer,
    Type::Decimal { precision: 12, scale: 2 },
    Type::Numeric,
    Type::Text,
    Type::Double,
    Type::Date,
    Type::Timestamp,
    Type::Time,
    Type::Interval,
    Type::Uuid,
    Type::Boolean,
    Type::Bytea,
    Type::SmallInt,
];
const NAMES: [&str; 14] = ["id", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
/// What looking at one table may take, of its own and in the arena of the answer.
const LIMIT_BYTES: u64 = 512 << 10;

/// A database with one table, and the bytes of its one file of segments.
struct World {
    budget: Budget,
    vfs: Arc<dyn Vfs>,
    table: TableId,
    name: String,
    bytes: Vec<u8>,
}

std::thread_local! {
    static WORLD: World = World::new().expect("room for a small table");
}

/// Lies of `data`, four bytes each: a piece, a place in it, and what stands there.
///
/// # Panics
/// When something of the head of this file does not hold.
pub(crate) fn check_bytes(data: &[u8]) {
    WORLD.with(|world| world.check(data));
}

impl World {
    fn new() -> Result<World, Error> {
        let budget = Budget::unlimited("fuzz").expect("a budget");
        let vfs: Arc<dyn Vfs> = Arc::new(MemoryVfs::new(&budget));
        let store = Store::open(&vfs, Path::new(PATH), &budget, &Options::default())?;
        let columns: Vec<ColumnDef<'_>> = NAMES
            .iter()
            .zip(TYPES)
            .map(|(name, ty)| ColumnDef { name, ty, is_nullable: *name != "id" })
            .collect();
        let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
        let def = TableDef { name: "facts", columns: &columns, key: &key, properties: b"" };
        let mut transaction = store.begin(&budget)?;
        let table = transaction.create_table(&def)?;
        for id in 0..ROWS {
            put(&mut transaction, table, id)?;
        }
        transaction.commit(Durability::Full)?;
        store.flush()?;
        drop(store);
        let directory = vfs.directory(Path::new(PATH), false).expect("the database is there");
        let mut name = String::new();
        directory
            .list(&mut |file| {
                if file.starts_with("segments-") {
                    name = String::from(file);
                }
                Ok(())
            })
            .expect("a directory in memory");
        let file = directory.open(&name, OpenMode::Read).expect("the file is there");
        let mut bytes = std::vec![0; file.len().expect("a file in memory") as usize];
        file.read_at(&mut bytes, 0).expect("a file in memory");
        assert!(lies::known_of_columns(&bytes).is_some_and(|(_, pieces)| pieces.len() > TYPES.len()));
        Ok(World { budget, vfs, table, name, bytes })
    }

    fn check(&self, data: &[u8]) {
        let mut bytes = self.bytes.clone();
        let (salt, pieces) = lies::known_of_columns(&bytes).expect("it was made here");
        let mut touched = Vec::new();
        for lie in data.chunks_exact(4) {
            let piece = pieces[usize::from(lie[0]) % pieces.len()].clone();
            let len = piece.len().saturating_sub(4).max(1);
            let place = u16::from_le_bytes([lie[1], lie[2]]);
            // Most of what matters is at the beginning.
            let place =
                if place & 1 == 0 { usize::from(place >> 1) % len.min(96) } else { usize::from(place) % len };
            bytes[piece.start + place] = lie[3];
            touched.push(piece);
        }
        touched.into_iter().for_each(|piece| lies::sum_again(salt, &mut bytes, piece));
        self.write(&bytes);
        let before_bytes = self.budget.used();
        self.look();
        assert_eq!(self.budget.used(), before_bytes, "memory is left behind");
        self.write(&self.bytes);
    }

    fn write(&self, bytes: &[u8]) {
        let directory = self.vfs.directory(Path::new(PATH), false).expect("the database is there");
        let file: Box<dyn File> = directory.open(&self.name, OpenMode::Write).expect("the file is there");
        file.write_all_at(bytes, 0).expect("a file in memory");
    }

    /// Asks for everything that is known, as a planner does.
    fn look(&self) {
        let store = match Store::open(&self.vfs, Path::new(PATH), &self.budget, &Options::default()) {
            Ok(store) => store,
            Err(error) => return assert!(is_damage(&error), "{error}"),
        };
        let snapshot = store.snapshot().expect("a fresh store");
        let table = snapshot.view().table(self.table).expect("the manifest says nothing else");
        let planner = self.budget.child("planner", LIMIT_BYTES).expect("room for a node");
        {
            let arena = Arena::new(&planner);
            let columns: [u16; TYPES.len()] = core::array::from_fn(|column| column as u16);
            match snapshot.view().statistics(&table, &columns, &arena) {
                Ok(found) => check_sense(&found),
                Err(error) => assert!(is_damage(&error), "{error}"),
            }
        }
        assert_eq!(planner.used(), 0, "memory is left behind");
    }
}

fn put(transaction: &mut crate::transaction::Transaction, table: TableId, id: i64) -> Result<(), Error> {
    let n = id * 7919 % 97;
    let text = std::format!("{n} {}", "and so on ".repeat(n as usize % 5));
    let small = n as i32;
    let mut values = [
        Value::BigInt(id),
        Value::Integer(small % 7),
        Value::Decimal(Decimal::new(i128::from(n * n), 2).expect("a small number")),
        Value::Decimal(Decimal::new(i128::from(n) * 1_000_003, 4).expect("a small number")),
        Value::Text(&text),
        Value::Double(n as f64 / 4.0),
        Value::Date(Date::from_days(9000 + n).expect("a day")),
        Value::Timestamp(Timestamp::from_micros(n * 86_400_000_000).expect("a moment")),
        Value::Time(Time::from_micros(n * 1_000_000).expect("a time")),
        Value::Interval(Interval { months: small, days: small, micros: n }),
        Value::Uuid(Uuid::from_bytes([n as u8; 16])),
        Value::Boolean(n % 2 == 0),
        Value::Bytea(text.as_bytes()),
        Value::SmallInt(small as i16),
    ];
    if id % 5 == 0 {
        values[1 + (id as usize / 5) % 13] = Value::Null;
    }
    transaction.put(table, &values)
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Corrupt(_) | Error::Unsupported(_))
}

fn check_sense(found: &TableStatistics<'_>) {
    for (column, known) in found.columns.iter().enumerate() {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        assert!(is_share(known.null_fraction), "column {column}: {known:?}");
        assert!(known.distinct.is_finite() && known.distinct >= 0.0, "column {column}: {known:?}");
        assert!(known.average_bytes.is_finite() && known.average_bytes >= 0.0, "column {column}: {known:?}");
        assert!(known.common.iter().all(|(_, share)| is_share(*share)), "column {column}: {known:?}");
        assert!(known.histogram.is_sorted_by(|a, b| a.total_cmp(b).is_le()), "column {column}: {known:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: sketches and statistics that lie are damage or make poor plans, and nothing else. Method: random lies, few at a time and
    /// many; without any the statistics are those of the rows.
    #[test]
    fn lies_of_any_kind_are_damage_or_statistics() {
        check_bytes(&[]);
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        };
        for round in 0..150 {
            let lies: Vec<u8> = (0..4 * (1 + round % 12)).map(|_| next()).collect();
            check_bytes(&lies);
        }
    }
}

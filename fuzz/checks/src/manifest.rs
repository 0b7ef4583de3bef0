//! Manifests and roots of any bytes.
//!
//! It checks
//!
//! - **foreign bytes**: any bytes at all as a manifest or as a root, and any items in records whose checksums are
//!   right, give items or the typed error, never a panic;
//! - **damage**: of a manifest that was written and then changed, what is read is a first part of its edits;
//! - **order**: an edit begins with counters that never go back, a table is followed by all its columns and its key;
//! - **memory**: all of it within 64 KiB, and nothing is left behind.
//!
//! # Panics
//! When one of these does not hold.

use crate::Decisions;
use crate::wal::{budget, damage, database, frames, header, is_expected, machine, open, varint};
use cofferdam_store::directory::Access;
use cofferdam_store::manifest::{Counters, Item, ManifestWriter, Properties, Table};
use cofferdam_store::{Error, TableId};
use cofferdam_testkit::simfs::SimDisk;

const LIMIT_BYTES: u64 = 64 << 10;
const NAME: &str = "manifest-000001";

/// Checks the manifest that `data` describes.
pub fn check(data: &[u8]) {
    let mut decisions = Decisions::new(data);
    match decisions.byte() % 4 {
        0 => {
            let (name, magic) = [(NAME, b"cofd-man"), ("root", b"cofd-dir")][decisions.below(2)];
            let mut bytes = if decisions.one_in(4) { Vec::new() } else { header(*magic, 1, database()) };
            bytes.extend(&data[data.len().min(3)..]);
            _ = read(&machine(name, &bytes));
        }
        1 => {
            let mut log = header(*b"cofd-man", 1, database());
            frames(&mut log, &mut decisions, &mut |decisions, payload| item(decisions, payload));
            _ = read(&machine(NAME, &log));
        }
        _ => check_damage(&mut decisions),
    }
}

/// The items of each edit, as text.
fn read(disk: &SimDisk) -> Result<Vec<Vec<String>>, Error> {
    let budget = budget(LIMIT_BYTES);
    let outcome = (|| {
        let (directory, root) = open(disk, Access::Write, &budget)?;
        let (mut edits, mut order): (Vec<Vec<String>>, _) = (Vec::new(), Order::default());
        let writer = ManifestWriter::open(&directory, root, &budget, &mut |item, _| {
            order.accept(item);
            if matches!(item, Item::Counters(_)) {
                edits.push(Vec::new());
            }
            edits.last_mut().expect("counters come first").push(format!("{item:?}"));
            Ok(())
        })?;
        assert!(order.left == 0, "a table without its key");
        assert_eq!(Some(*writer.counters()), order.counters);
        Ok(edits)
    })();
    assert!(budget.peak() <= LIMIT_BYTES && budget.used() == 0, "memory is left behind");
    outcome.inspect_err(|error| assert!(is_expected(error), "{error}"))
}

/// The order of items, once more and more simply.
#[derive(Default)]
struct Order {
    counters: Option<Counters>,
    /// Columns and parts of the key that must still come.
    left: u32,
}

impl Order {
    fn accept(&mut self, item: &Item<'_>) {
        match item {
            Item::Column(_) | Item::KeyColumn(_) => {
                self.left = self.left.checked_sub(1).expect("a table before")
            }
            _ => assert!(self.left == 0, "{item:?} within a table"),
        }
        match item {
            Item::Counters(counters) => {
                let goes_back =
                    self.counters.is_some_and(|before| before.last_sequence > counters.last_sequence);
                assert!(!goes_back);
                self.counters = Some(*counters);
            }
            Item::Table(Table { columns_count, key_count, .. }) => {
                self.left = u32::from(*columns_count) + u32::from(*key_count);
            }
            _ => {}
        }
    }
}

/// Appends an item that is mostly right.
fn item(decisions: &mut Decisions<'_>, payload: &mut Vec<u8>) {
    let mut body = Vec::new();
    let kind = if payload.is_empty() && !decisions.one_in(8) { 1 } else { decisions.byte() % 10 };
    match kind {
        1 => body.extend([decisions.byte() % 64, 5, 0, 0]),
        2 => body.extend([1 + decisions.byte() % 8, 0, 0, 1, 1, b't']),
        3 => body.extend([1 + decisions.byte() % 9, 0, 0, decisions.byte() % 2, b'c']),
        4 => body.extend([decisions.byte() % 2, decisions.byte() % 4]),
        5 => {
            body.extend([decisions.byte() % 4, 1]);
            body.resize(2 + decisions.size() % 2100, 7);
        }
        6 => body.push(decisions.byte() % 9),
        7 => {
            body.push(decisions.byte() % 9);
            for _ in 0..11 {
                varint(&mut body, u64::from(decisions.byte()));
            }
            body.extend([0x81, decisions.byte(), 0x81, 0xff]);
        }
        8 => body.extend([1, decisions.byte() % 128, 9]),
        _ => body.resize(decisions.size() % 100, decisions.byte()),
    }
    if decisions.one_in(32) && !body.is_empty() {
        let place = decisions.below(body.len());
        body[place] = decisions.byte();
    }
    payload.push(kind);
    payload.extend(((body.len() + usize::from(decisions.one_in(64))) as u16).to_le_bytes());
    payload.extend(body);
}

fn check_damage(decisions: &mut Decisions<'_>) {
    let disk = machine("notes", b"");
    write(&disk, decisions).expect("room for small edits");
    let mut bytes = disk.image().remove(&format!("/db/{NAME}")).expect("it was made");
    let written = read(&disk).expect("nothing is wrong yet");
    damage(decisions, &mut bytes);
    if let Ok(found) = read(&machine(NAME, &bytes)) {
        assert!(
            !found.is_empty() && written.starts_with(&found),
            "{} of {} edits",
            found.len(),
            written.len()
        );
    }
}

fn write(disk: &SimDisk, decisions: &mut Decisions<'_>) -> Result<(), Error> {
    let budget = budget(LIMIT_BYTES);
    let (directory, root) = open(disk, Access::Write, &budget)?;
    let mut writer = ManifestWriter::open(&directory, root, &budget, &mut |_, _| Ok(()))?;
    for _ in 0..decisions.below(12) {
        let counters = Counters { next_file: writer.counters().next_file + 1, ..*writer.counters() };
        let bytes = vec![decisions.byte(); decisions.size() % 2048];
        let table = TableId(decisions.byte().into());
        let properties = Item::Properties(Properties { table, is_first: true, bytes: &bytes });
        writer.commit(&counters, &[properties, Item::DropTable(TableId(9))][..decisions.below(3)])?;
    }
    Ok(())
}

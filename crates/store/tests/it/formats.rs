//! The bytes of databases: golden files of each version, and files made by hand after `docs/formats/`.
//!
//! A golden file never changes: `UPDATE_GOLDEN=1` writes only those that are missing.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::manifest::{
    Column, ColumnDefinition, Counters, DATABASE, Item, KeyBound, ManifestWriter, Properties, Root, Segment,
    SegmentId, TableDefinition,
};
use cofferdam_store::wal::{Change, Entry, Event, WalWriter, recover};
use cofferdam_store::{ColumnType, Error, FileId, FileKind, KeyColumn, TableId};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;
use cofferdam_vfs::{OpenMode, Vfs};

use crate::machine::{budget, open};

/// A machine whose random numbers are 1, 2, 3 …
#[derive(Debug)]
struct Counting(SimDisk, AtomicU64);

impl Vfs for Counting {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn cofferdam_vfs::Directory>> {
        self.0.directory(path, create)
    }

    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }

    fn sleep_ns(&self, ns: u64) {
        self.0.sleep_ns(ns);
    }

    fn random_u64(&self) -> u64 {
        self.1.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/v1/database")
}

fn column(name: &str, ty: Type, is_nullable: bool) -> ColumnDefinition<'_> {
    ColumnDefinition { name, ty: ColumnType { ty, is_nullable } }
}

fn part(column: u16, descending: bool, nulls_first: bool) -> KeyColumn {
    KeyColumn { column, order: KeyOrder { descending, nulls_first } }
}

fn segment() -> Segment {
    Segment {
        table: TableId(1),
        id: SegmentId { file: 4, footer_offset: 123_456 },
        footer_bytes: 789,
        level: 2,
        run: Some(3),
        rows_count: 1_000_000,
        tombstones_count: 12,
        bytes: 124_245,
        sequence_base: 1 << 40,
        sequence_min: (1 << 40) + 1,
        sequence_max: (1 << 40) + 500,
        smallest: KeyBound::lower(b"\x01apple"),
        largest: KeyBound::upper(&[b"\x01pear".as_slice(), &[0xff; 80]].concat()),
    }
}

fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 7 + (index >> 8)) as u8).collect()
}

/// The database of the golden files: every item, every type, every kind of frame.
fn make(vfs: &Arc<dyn Vfs>, budget: &Budget) -> Result<(), Error> {
    let (directory, root) = Directory::open(vfs, Path::new("db"), Access::Create, budget)?;
    let mut manifest = ManifestWriter::open(&directory, root, budget, &mut |_, _| Ok(()))?;
    let columns = [
        column("boolean", Type::Boolean, false),
        column("integer", Type::Integer, true),
        column("bigint", Type::BigInt, false),
        column("decimal", Type::Decimal { precision: 15, scale: 2 }, true),
        column("double", Type::Double, false),
        column("text", Type::Text, true),
        column("date", Type::Date, false),
        column("interval", Type::Interval, true),
        column("smallint", Type::SmallInt, false),
        column("real", Type::Real, true),
        column("numeric", Type::Numeric, false),
        column("character", Type::Char, true),
        column("bytea", Type::Bytea, false),
        column("time", Type::Time, true),
        column("timestamp", Type::Timestamp, false),
        column("timestamptz", Type::TimestampTz, true),
        column("uuid", Type::Uuid, false),
        column("json", Type::Json, true),
        column("jsonb", Type::Jsonb, false),
        column("integers", Type::Integer.array().unwrap(), true),
        column("decimals", Type::Decimal { precision: 15, scale: 2 }.array().unwrap(), false),
    ];
    let table = TableDefinition {
        id: TableId(1),
        parent: None,
        is_unique: true,
        name: "übersicht",
        columns: &columns,
        key: &[part(5, false, false), part(2, true, true)],
        properties: b"{}",
    };
    let index = TableDefinition {
        id: TableId(2),
        parent: Some(TableId(1)),
        is_unique: false,
        name: "",
        columns: &columns[..1],
        key: &[part(0, false, true)],
        properties: b"",
    };
    let counters = Counters { next_file: 5, next_table: 3, last_sequence: 1 << 41, oldest_wal: 0 };
    manifest.rotate(&directory, 3, &counters, &mut |snapshot| {
        snapshot.create_table(&table)?;
        snapshot.create_table(&index)?;
        snapshot.set_properties(DATABASE, &pattern(3000))
    })?;
    let counters = Counters { next_file: 9, ..counters };
    manifest.commit(&counters, &[Item::AddSegment(segment())])?;
    let moved = Segment { level: 3, run: None, largest: KeyBound::upper(b"\x01pear"), ..segment() };
    let remove = Item::RemoveSegment { table: TableId(1), id: moved.id };
    manifest.commit(&counters, &[remove, Item::AddSegment(moved), Item::DropTable(TableId(2))])?;
    drop(manifest);

    let mut wal = WalWriter::create(&directory, &root, 7, None, 0, budget)?;
    transact(&mut wal, &[Change::Put, Change::Delete, Change::Put], 20)?;
    let mut given_up = wal.begin(wal_next(&wal))?;
    let (sequence, table) = (1 << 42, TableId(1));
    given_up.put(&Entry { sequence, table, change: Change::Put, key: b"gone", row: &pattern(9000) })?;
    drop(given_up);
    let end = wal.close()?;
    let mut wal = WalWriter::create(&directory, &root, 8, Some(end), 0, budget)?;
    transact(&mut wal, &[Change::Put], 9000)?;
    wal.sync()?;
    transact(&mut wal, &[], 0)?;
    wal.close().map(drop)
}

fn wal_next(wal: &WalWriter) -> u64 {
    wal.last_sequence().max(1 << 41) + 1
}

fn transact(wal: &mut WalWriter, changes: &[Change], row_bytes: usize) -> Result<(), Error> {
    let mut sequence = wal_next(wal);
    let mut transaction = wal.begin(sequence)?;
    for (index, change) in changes.iter().enumerate() {
        sequence += [0, 1, 300][index];
        let row = if *change == Change::Put { pattern(row_bytes) } else { Vec::new() };
        let table = TableId([1, 2, 70_000][index]);
        transaction.put(&Entry { sequence, table, change: *change, key: b"key", row: &row })?;
    }
    transaction.commit()
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a database but for its lock.
fn files_of(disk: &SimDisk) -> Files {
    let files =
        disk.image().into_iter().map(|(path, bytes)| (path.trim_start_matches("/db/").to_owned(), bytes));
    files.filter(|(name, _)| name != "lock").collect()
}

fn golden_files() -> Files {
    let files = std::fs::read_dir(golden()).expect("golden files").map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// A machine with these files in its directory.
fn machine(files: &Files) -> SimDisk {
    let disk = SimDisk::new(1);
    let directory = disk.directory(Path::new("db"), true).unwrap();
    for (name, bytes) in files {
        directory.open(name, OpenMode::CreateNew).unwrap().write_all_at(bytes, 0).unwrap();
    }
    disk
}

/// Aim: a database of version 1 is read by every version to come. Method: its files are in the repository; each item and
/// each entry is compared.
#[test]
fn golden_files_are_read() {
    let (disk, budget) = (machine(&golden_files()), budget(1 << 20));
    let (directory, root) = open(&disk, Access::Read, &budget).unwrap();
    assert_eq!((root.generation, root.manifest, root.database, root.torn_slot), (2, 3, 1, None));
    let mut items = Vec::new();
    let replayed = cofferdam_store::manifest::replay(&directory, &root, &budget, &mut |item, _| {
        items.push(format!("{item:?}"));
        Ok(())
    })
    .unwrap();
    let counters = Counters { next_file: 9, next_table: 3, last_sequence: 1 << 41, oldest_wal: 0 };
    assert_eq!((replayed.counters, replayed.edit, replayed.edits_count), (counters, 4, 2));
    assert_eq!(items, expected_items());
    let mut entries = Vec::new();
    let recovered = recover(&directory, &root, 0, 0, &budget, &mut |event| {
        entries.push(match event {
            Event::Entry(entry) => {
                assert_eq!((entry.key, entry.row), (&b"key"[..], &pattern(entry.row.len())[..]));
                (entry.sequence - (1 << 41), entry.table.0, entry.row.len())
            }
            Event::Commit { last_sequence } => (last_sequence - (1 << 41), 0, 0),
        });
        Ok(())
    })
    .unwrap();
    let expected =
        [(1, 1, 20), (2, 2, 0), (302, 70_000, 20), (302, 0, 0), (303, 1, 9000), (303, 0, 0), (304, 0, 0)];
    assert_eq!(entries, expected);
    assert_eq!((recovered.logs_count, recovered.torn_bytes), (2, 0));
}

fn expected_items() -> Vec<String> {
    let bytes = pattern(3000);
    let mut items = Vec::new();
    let mut put = |item: Item<'_>| items.push(format!("{item:?}"));
    let counters = Counters { next_file: 5, next_table: 3, last_sequence: 1 << 41, oldest_wal: 0 };
    put(Item::Counters(counters));
    let types = [
        ("boolean", Type::Boolean),
        ("integer", Type::Integer),
        ("bigint", Type::BigInt),
        ("decimal", Type::Decimal { precision: 15, scale: 2 }),
        ("double", Type::Double),
        ("text", Type::Text),
        ("date", Type::Date),
        ("interval", Type::Interval),
        ("smallint", Type::SmallInt),
        ("real", Type::Real),
        ("numeric", Type::Numeric),
        ("character", Type::Char),
        ("bytea", Type::Bytea),
        ("time", Type::Time),
        ("timestamp", Type::Timestamp),
        ("timestamptz", Type::TimestampTz),
        ("uuid", Type::Uuid),
        ("json", Type::Json),
        ("jsonb", Type::Jsonb),
        ("integers", Type::Integer.array().unwrap()),
        ("decimals", Type::Decimal { precision: 15, scale: 2 }.array().unwrap()),
    ];
    let table = |id, parent, is_unique, columns_count, key_count, name| {
        let id = TableId(id);
        cofferdam_store::manifest::Table { id, parent, is_unique, columns_count, key_count, name }
    };
    put(Item::Table(table(1, None, true, 21, 2, "übersicht")));
    for (index, (name, ty)) in types.into_iter().enumerate() {
        put(Item::Column(Column { ty: ColumnType { ty, is_nullable: index % 2 == 1 }, name }));
    }
    put(Item::KeyColumn(part(5, false, false)));
    put(Item::KeyColumn(part(2, true, true)));
    put(Item::Properties(Properties { table: TableId(1), is_first: true, bytes: b"{}" }));
    put(Item::Table(table(2, Some(TableId(1)), false, 1, 1, "")));
    put(Item::Column(Column { ty: ColumnType { ty: Type::Boolean, is_nullable: false }, name: "boolean" }));
    put(Item::KeyColumn(part(0, false, true)));
    put(Item::Properties(Properties { table: DATABASE, is_first: true, bytes: &bytes[..2048] }));
    put(Item::Properties(Properties { table: DATABASE, is_first: false, bytes: &bytes[2048..] }));
    put(Item::Counters(Counters { next_file: 9, ..counters }));
    put(Item::AddSegment(segment()));
    put(Item::Counters(Counters { next_file: 9, ..counters }));
    put(Item::RemoveSegment { table: TableId(1), id: segment().id });
    put(Item::AddSegment(Segment {
        level: 3,
        run: None,
        largest: KeyBound::upper(b"\x01pear"),
        ..segment()
    }));
    put(Item::DropTable(TableId(2)));
    items
}

/// Aim: what is written is version 1, byte for byte. Method: make the golden database again.
#[test]
fn golden_files_are_written_as_they_were() {
    let (disk, budget) = (SimDisk::new(1), budget(1 << 20));
    let vfs: Arc<dyn Vfs> = Arc::new(Counting(disk.clone(), AtomicU64::new(0)));
    make(&vfs, &budget).unwrap();
    let files = files_of(&disk);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(golden()).unwrap();
        for (name, bytes) in &files {
            let path = golden().join(name);
            if !path.exists() {
                std::fs::write(path, bytes).unwrap();
            }
        }
    }
    let golden = golden_files();
    assert_eq!(files.keys().collect::<Vec<_>>(), golden.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        let differs = bytes.iter().zip(&golden[name]).position(|(a, b)| a != b);
        assert_eq!((differs, bytes.len()), (None, golden[name].len()), "{name}");
    }
}

// ---------------------------------------------------------------------------------------------- made by hand

fn crc(pieces: &[&[u8]]) -> u32 {
    pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}

/// What every header begins with.
fn prefix(magic: &[u8; 8], version: u32, len: u32, features: (u64, u64)) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(len.to_le_bytes());
    bytes.extend(features.0.to_le_bytes());
    bytes.extend(features.1.to_le_bytes());
    bytes
}

/// A slot of the root, after the table in `docs/formats/manifest.md`.
fn slot(offset: u64, version: u32, features: (u64, u64), numbers: [u64; 3]) -> Vec<u8> {
    let mut bytes = prefix(b"cofd-dir", version, 64, features);
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.resize(60, 0);
    let checksum = crc(&[&offset.to_le_bytes(), &bytes]);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn open_root(slots: [Vec<u8>; 2], access: Access) -> Result<Root, Error> {
    let [first, second] = slots;
    let mut files = golden_files();
    let mut root = vec![0; 4096 + 64];
    root[..first.len()].copy_from_slice(&first);
    root[4096..4096 + second.len()].copy_from_slice(&second);
    files.insert("root".to_owned(), root);
    open(&machine(&files), access, &budget(1 << 20)).map(|(_, root)| root)
}

#[test]
fn a_root_made_by_hand_is_read() {
    let at = |version, features, generation: u64| {
        slot([0, 4096][generation as usize % 2], version, features, [generation, 3, 1])
    };
    let root = open_root([at(1, (0, 0), 8), at(1, (0, 0), 7)], Access::Create).unwrap();
    assert_eq!((root.generation, root.manifest, root.database), (8, 3, 1));
    let root = open_root([at(1, (0, 0), 8), Vec::new()], Access::Write).unwrap();
    assert_eq!((root.generation, root.torn_slot), (8, Some(4096)));
    // Of a newer version, or with features that are not known.
    let found = |outcome: Result<Root, Error>| match outcome {
        Err(Error::Unsupported(what)) => (what.file, what.found),
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(found(open_root([at(1, (0, 0), 8), at(2, (0, 0), 9)], Access::Read)), (FileId::ROOT, 2));
    assert_eq!(found(open_root([at(1, (0, 0), 8), at(1, (4, 0), 9)], Access::Read)), (FileId::ROOT, 4));
    assert_eq!(found(open_root([at(1, (0, 0), 8), at(1, (0, 8), 9)], Access::Write)), (FileId::ROOT, 8));
    assert_eq!(open_root([at(1, (0, 0), 8), at(1, (0, 8), 9)], Access::Read).unwrap().writer_features, 8);
    // A newer one before this was written does not matter.
    assert_eq!(open_root([at(1, (0, 0), 8), at(2, (0, 0), 7)], Access::Write).unwrap().generation, 8);
    let is_corrupt = |slots| matches!(open_root(slots, Access::Read), Err(Error::Corrupt(what)) if what.file == FileId::ROOT);
    assert!(is_corrupt([Vec::new(), Vec::new()]));
    assert!(is_corrupt([at(1, (0, 0), 8), at(1, (0, 0), 3)]), "not one after the other");
    assert!(is_corrupt([at(1, (0, 0), 9), at(1, (0, 0), 8)]), "in each other's places");
    assert!(is_corrupt([at(1, (0, 0), 8), slot(4096, 1, (0, 0), [9, 3, 2])]), "of two databases");
}

/// The header of a log, after the table in `docs/formats/wal.md`: number, salt, database, the log before, its length.
fn log_header(magic: &[u8; 8], numbers: [u64; 5]) -> Vec<u8> {
    let mut bytes = prefix(magic, 1, 96, (0, 0));
    numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes.resize(92, 0);
    bytes.extend(crc(&[&bytes]).to_le_bytes());
    bytes
}

/// Appends a frame.
fn frame(log: &mut Vec<u8>, kind: u8, sequence: u64, durable: u64, payload: &[u8]) {
    let offset = log.len() as u64;
    let salt: [u8; 8] = log[40..48].try_into().unwrap();
    let mut padded = payload.to_vec();
    padded.resize((24 + payload.len()).next_multiple_of(8) - 24, 0);
    let mut rest = crc(&[&padded]).to_le_bytes().to_vec();
    rest.extend((payload.len() as u16).to_le_bytes());
    rest.extend(&durable.to_le_bytes()[..6]);
    rest.push(kind);
    rest.extend(&sequence.to_le_bytes()[..7]);
    log.extend(crc(&[&salt, &offset.to_le_bytes(), &rest]).to_le_bytes());
    log.extend(rest);
    log.extend(padded);
}

/// A record in one frame.
fn record(log: &mut Vec<u8>, record: u8, sequence: u64, span: u64, count: u64, items: &[u8]) {
    let mut payload = items.to_vec();
    payload.extend(&count.to_le_bytes()[..6]);
    payload.extend(&span.to_le_bytes()[..6]);
    payload.extend([0; 4]);
    frame(log, record << 3 | 1, sequence, 96, &payload);
}

/// A write-ahead log of one transaction with these bytes as its entries.
fn replay_by_hand(kind: u8, span: u64, count: u64, entries: &[u8]) -> Result<Vec<String>, Error> {
    let mut log = log_header(b"cofd-wal", [5, 77, 1, 0, 0]);
    record(&mut log, kind, 1 << 50, span, count, entries);
    let mut files = golden_files();
    files.retain(|name, _| !name.starts_with("wal"));
    files.insert("wal-000005".to_owned(), log);
    let (disk, budget) = (machine(&files), budget(1 << 20));
    let (directory, root) = open(&disk, Access::Read, &budget)?;
    let mut found = Vec::new();
    recover(&directory, &root, 0, 0, &budget, &mut |event| {
        if let Event::Entry(entry) = event {
            let Entry { sequence, table, change, key, row } = entry;
            found.push(format!("{} {} {change:?} {key:?} {row:?}", sequence - (1 << 50), table.0));
        }
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn a_log_made_by_hand_is_read() {
    let entries =
        [&[0, 3, 1, 2, b'k', b'r', b'w'][..], &[3, 0x80, 1, 1, b'x'], &[0xfe, 5, 1, 1, 0, b'y']].concat();
    let found = replay_by_hand(1, 133, 3, &entries).unwrap();
    assert_eq!(found, ["0 3 Put [107] [114, 119]", "1 128 Delete [120] []", "133 1 Put [121] []"]);
    assert_eq!(replay_by_hand(1, 0, 0, &[]).unwrap(), [""; 0]);
    // Checksums are right, and what they cover is not.
    let offset = |kind, span, count, entries: &[u8]| match replay_by_hand(kind, span, count, entries) {
        Err(Error::Corrupt(what)) => (what.file == FileId::new(FileKind::Wal, 5)).then_some(what.offset),
        outcome => panic!("{outcome:?}"),
    };
    let (start, good) = (Some(96 + 24), &[0, 3, 1, 0, b'k'][..]);
    assert_eq!(offset(2, 0, 1, good), start, "a record that is no transaction");
    assert_eq!(offset(1, 0, 2, good), start, "fewer entries");
    assert_eq!(offset(1, 7, 1, good), start, "another last sequence");
    assert_eq!(offset(1, 0, 1, &good[..4]), start, "an entry that is longer than its transaction");
    let second = |bytes: &[u8]| offset(1, 0, 2, &[good, bytes].concat());
    for wrong in [
        &[0][..],
        &[0, 3, 0, 0],
        &[0, 0x83, 0, 1, 0, b'k'],
        &[0, 0xff, 0xff, 0xff, 0xff, 0x10, 1, 0, b'k'],
        &[0, 3, 0x81, 0x40, 0],
        &[0, 3, 1, 0x81, 0x80, 4],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ] {
        assert_eq!(second(wrong), Some(96 + 24 + 5), "{wrong:?}");
    }
}

/// A manifest of one snapshot with these items.
fn manifest_by_hand(items: &[&[u8]]) -> Result<Vec<String>, Error> {
    let mut log = log_header(b"cofd-man", [3, 77, 1, 0, 0]);
    let counters: &[u8] = &[1, 4, 0, 9, 3, 0, 0];
    record(&mut log, 1, 1, 0, 1 + items.len() as u64, &[counters, &items.concat()].concat());
    let mut files = golden_files();
    files.insert("manifest-000003".to_owned(), log);
    let (disk, budget) = (machine(&files), budget(1 << 20));
    let (directory, root) = open(&disk, Access::Read, &budget)?;
    let mut found = Vec::new();
    cofferdam_store::manifest::replay(&directory, &root, &budget, &mut |item, _| {
        found.push(format!("{item:?}"));
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn a_manifest_made_by_hand_is_read() {
    let table = &[2, 6, 0, 1, 0, 0, 1, 1, b't'][..];
    let column = &[3, 5, 0, 4, 38, 38, 1, b'c'];
    let key = &[4, 2, 0, 0, 3];
    let found = manifest_by_hand(&[table, column, key, &[6, 1, 0, 1]]).unwrap();
    assert_eq!(found.len(), 5);
    assert!(found[2].contains("Decimal { precision: 38, scale: 38 }"), "{found:?}");
    assert_eq!(found[4], "DropTable(TableId(1))");
    let start = 96 + 24 + 7;
    for wrong in [
        &[table, column][..],
        &[column],
        &[table, key],
        &[table, &[3, 5, 0, 4, 39, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 4, 8, 9, 1, b'c'], key],
        &[table, &[3, 5, 0, 8, 0, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 14, 0, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 22, 0, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 128, 0, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 136, 0, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 2, 1, 0, 1, b'c'], key],
        &[table, &[3, 5, 0, 2, 0, 0, 2, b'c'], key],
        &[table, &[3, 5, 0, 2, 0, 0, 1, 0xff], key],
        &[table, column, &[4, 2, 0, 0, 4]],
        &[table, column, &[4, 2, 0, 1, 0]],
        &[table, column, &[4, 3, 0, 0, 0, 0]],
        &[&[9, 0, 0]],
        &[&[6, 9, 0, 1]],
        &[&[6]],
        &[&[1, 4, 0, 9, 3, 0, 0]],
        &[&[5, 2, 0, 0, 0]],
        &[&[7, 3, 0, 1, 2, 3]],
        &[&[8, 3, 0, 1, 2, 0x83]],
    ] {
        match manifest_by_hand(wrong) {
            Err(Error::Corrupt(what)) => {
                assert!(
                    what.file == FileId::new(FileKind::Manifest, 3) && what.offset >= start,
                    "{wrong:?}: {what:?}"
                );
            }
            outcome => panic!("{wrong:?}: {outcome:?}"),
        }
    }
}

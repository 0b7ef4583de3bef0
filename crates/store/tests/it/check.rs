//! Checking databases: what is right is clean, what is wrong is told with its place, and nothing is written.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::manifest::{
    self, ColumnDefinition, Edit, Item, ManifestWriter, SegmentId, TableDefinition, replay,
};
use cofferdam_store::wal::{Change, Entry, recover};
use cofferdam_store::{
    Checked, ColumnType, Durability, Error, Finding, KeyColumn, Progress, Store, TableDef, TableId, Watch,
    check,
};
use cofferdam_testkit::Failure;
use cofferdam_testkit::inject::Injection;
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_testkit::sweep::Sweep;
use cofferdam_types::key::{KeyOrder, bigint_key};
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OpenMode, OsVfs, Vfs};

use crate::engine::{KEY, Machine, column, create_names};
use crate::memory::Temporary;

/// What a check has found, as text.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) checked: Checked,
    pub(crate) problems: Vec<String>,
    pub(crate) remains: Vec<String>,
    /// The files of both.
    pub(crate) files: Vec<String>,
}

/// Checks the database in `path`.
pub(crate) fn check_at(vfs: &Arc<dyn Vfs>, path: &Path, budget: &Budget) -> Result<Found, Error> {
    let (mut problems, mut remains, mut files) = (vec![], vec![], vec![]);
    let checked = check(vfs, path, budget, Watch::NOBODY, &mut |finding| {
        match finding {
            Finding::Problem(problem) => {
                files.extend(problem.file.map(|file| file.to_string()));
                problems.push(problem.to_string());
            }
            Finding::Remains(left) => {
                files.push(left.file.to_string());
                remains.push(left.to_string());
            }
        }
        Ok(())
    })?;
    assert_eq!(checked.problems_count, problems.len() as u64);
    assert_eq!(checked.remains_count, remains.len() as u64);
    Ok(Found { checked, problems, remains, files })
}

/// Checks the database on a disk that nobody has open.
pub(crate) fn check_disk(disk: &SimDisk) -> Found {
    let budget = Budget::unlimited("process").unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    check_at(&vfs, Path::new("/db"), &budget).unwrap()
}

/// Tables with indexes, in segments of several levels and in the log: names (with a unique index and another one), texts (long
/// ones), events (without a key), and one that was dropped.
pub(crate) fn fill(machine: &Machine, rows: i64) {
    filled(machine, rows).close().unwrap();
}

/// What [`fill`] makes, open.
pub(crate) fn filled(machine: &Machine, rows: i64) -> Store {
    let store = machine.open();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let columns = [
        column("id", Type::BigInt, false),
        column("name", Type::Text, true),
        column("price", Type::Decimal { precision: 9, scale: 2 }, true),
    ];
    let def = |name, columns| TableDef { name, columns, key: &KEY, properties: b"of the caller" };
    let names = transaction.create_table(&def("names", &columns)).unwrap();
    transaction.create_index(names, "by_name", &[1].map(KeyColumn::ascending), true).unwrap();
    transaction.create_index(names, "by_price", &[2].map(KeyColumn::ascending), false).unwrap();
    let columns = [column("id", Type::BigInt, false), column("text", Type::Text, false)];
    let texts = transaction.create_table(&def("texts", &columns)).unwrap();
    let gone = transaction.create_table(&def("gone", &columns)).unwrap();
    let columns = [column("what", Type::Text, false), column("at", Type::Date, true)];
    let events = TableDef { name: "events", columns: &columns, key: &[], properties: b"" };
    let events = transaction.create_table(&events).unwrap();
    transaction.commit(Durability::Full).unwrap();
    let put = |from: i64, to: i64, step: i64| {
        let mut transaction = store.begin(&machine.budget).unwrap();
        for id in (from..to).step_by(step as usize) {
            let name = format!("name {}", id * 7919 % rows);
            let price = cofferdam_types::Decimal::parse(format!("{}.50", id % 10).as_bytes()).unwrap();
            let price = if id % 5 == 0 { Value::Null } else { Value::Decimal(price) };
            let name = if id % 9 == 0 { Value::Null } else { Value::Text(&name) };
            transaction.put(names, &[Value::BigInt(id), name, price]).unwrap();
            transaction.insert(events, &[Value::Text("put"), Value::Null]).unwrap();
        }
        transaction.commit(Durability::Full).unwrap();
    };
    let delete = |ids: &[i64]| {
        let mut transaction = store.begin(&machine.budget).unwrap();
        for id in ids {
            transaction.delete(names, &[Value::BigInt(*id)]).unwrap();
        }
        transaction.commit(Durability::Full).unwrap();
    };
    put(0, rows, 1);
    store.flush().unwrap();
    delete(&[3, 4, 5]);
    put(1, rows, 11);
    store.flush().unwrap();
    put(2, rows, 13);
    store.flush().unwrap();
    put(0, rows, 10);
    store.flush().unwrap();
    store.compact().unwrap();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let long = "long ".repeat(4000);
    transaction.insert(texts, &[Value::BigInt(1), Value::Text(&long)]).unwrap();
    transaction.insert(texts, &[Value::BigInt(2), Value::Text("short")]).unwrap();
    let before = transaction.savepoint();
    transaction.insert(texts, &[Value::BigInt(3), Value::Text("never")]).unwrap();
    transaction.rollback_to(before).unwrap();
    transaction.insert(gone, &[Value::BigInt(3), Value::Text("gone")]).unwrap();
    transaction.commit(Durability::Full).unwrap();
    put(0, rows, 17);
    store.flush().unwrap();
    // From here on in the log only.
    delete(&[6, 7]);
    put(5, rows, 29);
    let mut transaction = store.begin(&machine.budget).unwrap();
    transaction.drop_table(gone).unwrap();
    transaction.commit(Durability::Full).unwrap();
    store
}

#[test]
fn what_is_right_is_clean_and_stays_as_it_is() {
    let machine = Machine::new(1 << 20);
    fill(&machine, 300);
    let (before, mutations) = (machine.disk.image(), machine.disk.counts().mutations);
    let found = check_disk(&machine.disk);
    assert_eq!((found.problems, found.remains), (vec![], vec![]));
    let Checked { tables_count, indexes_count, compared_count, transactions_count, .. } = found.checked;
    assert_eq!((tables_count, indexes_count, compared_count), (3, 2, 2));
    assert!(transactions_count >= 2 && found.checked.rows_count > 900, "{:?}", found.checked);
    assert_eq!((machine.disk.image(), machine.disk.counts().mutations), (before, mutations));
}

#[test]
fn directories_of_the_system_are_checked_too() {
    let place = Temporary::new("check");
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let budget = Budget::unlimited("process").unwrap();
    let check = || check_at(&vfs, &place.0, &budget);
    assert!(matches!(check(), Err(Error::NotADatabase)));
    let store = Store::open(&vfs, &place.0, &budget, &Default::default()).unwrap();
    create_names(&store, &budget);
    assert!(matches!(check(), Err(Error::Locked)));
    store.flush().unwrap();
    store.close().unwrap();
    let found = check().unwrap();
    assert_eq!((found.problems, found.remains, found.checked.tables_count), (vec![], vec![], 1));
}

/// Where a byte of a file may be another one without anybody noticing, because nothing is there.
///
/// | file | bytes |
/// |---|---|
/// | `root` | between the slots, which stand apart so that no write to one touches the other |
/// | `segments-N` | of segments that are gone while others of their file are not |
fn is_unused(file: &str, offset: u64, live: &[manifest::Segment]) -> bool {
    let is_of = |segment: &&manifest::Segment| {
        let end = segment.id.footer_offset + u64::from(segment.footer_bytes);
        file == format!("segments-{:06}", segment.id.file) && (end - segment.bytes..end).contains(&offset)
    };
    match file {
        "root" => (64..4096).contains(&offset),
        _ => file.starts_with("segments-") && offset >= 64 && !live.iter().any(|segment| is_of(&segment)),
    }
}

/// Aim: no byte of a database changes unnoticed, and the file that has it is told. Method: turn one bit of every so many bytes; of
/// all, with `CHECK_STEP=1`.
#[test]
fn a_byte_that_has_changed_is_told_with_its_file() {
    let step = std::env::var("CHECK_STEP").ok().and_then(|text| text.parse().ok()).unwrap_or(307);
    let machine = Machine::new(256 << 10);
    fill(&machine, 40);
    let image = machine.disk.image();
    let live = all_segments(&machine);
    let (mut unnoticed, mut bytes_count) = (vec![], 0);
    for (path, bytes) in &image {
        let file = path.trim_start_matches("/db/");
        let ends = [0, bytes.len().saturating_sub(1)];
        for offset in
            (file.len() % step..bytes.len()).step_by(step).chain(ends).filter(|at| *at < bytes.len())
        {
            let mask = 1 << (offset % 8);
            machine.disk.flip(path, offset as u64, mask).unwrap();
            let found = check_disk(&machine.disk);
            machine.disk.flip(path, offset as u64, mask).unwrap();
            bytes_count += 1;
            let is_told = found.files.iter().any(|named| named == file);
            if is_told == is_unused(file, offset as u64, &live) {
                unnoticed.push(format!("{file} {offset}: {found:?}"));
            }
        }
    }
    assert_eq!(unnoticed, Vec::<String>::new());
    assert!(bytes_count > 60, "{bytes_count}");
    assert_eq!(check_disk(&machine.disk).files, Vec::<String>::new());
}

/// Aim: files that are gone or cut are told. Method: each file of a database.
#[test]
fn files_that_are_gone_or_cut_are_told() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 40);
    let live = all_segments(&machine);
    let names: Vec<String> =
        machine.disk.image().into_keys().map(|path| path.trim_start_matches("/db/").to_owned()).collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names.iter().filter(|name| *name != "lock") {
        let disk = machine.disk.duplicate();
        let directory = disk.directory(Path::new("/db"), false).unwrap();
        let file = directory.open(name, OpenMode::Write).unwrap();
        let bytes = file.len().unwrap();
        for kept in [bytes - 1, bytes / 2, 1, 0] {
            if (kept..bytes).all(|offset| is_unused(name, offset, &live)) {
                continue;
            }
            file.set_len(kept).unwrap();
            let found = check_disk(&disk);
            assert!(found.files.contains(name), "{name} cut to {kept}: {found:?}");
        }
        directory.remove(name).unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(disk);
        match check_at(&vfs, Path::new("/db"), &Budget::unlimited("process").unwrap()) {
            Err(Error::NotADatabase) => assert_eq!(name, "root"),
            found => {
                let problems = found.unwrap().problems;
                assert!(problems.iter().any(|what| what.starts_with(name.as_str())), "{name}: {problems:?}");
                assert!(problems[0].contains("missing"), "{problems:?}");
            }
        }
    }
}

#[test]
fn what_a_crash_leaves_is_told_and_is_no_problem() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 40);
    let directory = machine.disk.directory(Path::new("/db"), false).unwrap();
    for name in ["temp-000900", "manifest-000901", "segments-000902", "wal-000903", "notes.txt"] {
        directory.open(name, OpenMode::CreateNew).unwrap();
    }
    let wal = machine.disk.image().into_keys().find(|path| path.contains("wal-") && !path.contains("903"));
    let wal = wal.unwrap().trim_start_matches("/db/").to_owned();
    let file = directory.open(&wal, OpenMode::Write).unwrap();
    let end = file.len().unwrap();
    file.write_all_at(&[7; 40], end).unwrap();
    machine.disk.flip("/db/root", 30, 1).unwrap();
    let found = check_disk(&machine.disk);
    assert_eq!(found.problems, Vec::<String>::new());
    let expected = [
        "root at byte 0: the slot cannot be read, the other one holds".to_owned(),
        "manifest-000901: nobody needs the file".to_owned(),
        "segments-000902: nobody needs the file".to_owned(),
        "temp-000900: nobody needs the file".to_owned(),
        format!("{wal} at byte {end}: 40 bytes behind the last record"),
        "wal-000903: nobody needs the file".to_owned(),
    ];
    assert_eq!(found.remains, expected);
}

/// Appends an edit to the manifest of a database that nobody has open.
fn edit(machine: &Machine, fill: &mut dyn FnMut(&mut Edit<'_>) -> Result<(), Error>) {
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let (directory, root) = Directory::open(&vfs, Path::new("/db"), Access::Write, &machine.budget).unwrap();
    let mut writer = ManifestWriter::open(&directory, root, &machine.budget, &mut |_, _| Ok(())).unwrap();
    let counters = *writer.counters();
    writer.commit_with(&counters, fill).unwrap();
}

/// The segments of a table.
fn segments_of(machine: &Machine, table: TableId) -> Vec<manifest::Segment> {
    let mut segments = all_segments(machine);
    segments.retain(|segment| segment.table == table);
    segments
}

/// The segments of all tables.
fn all_segments(machine: &Machine) -> Vec<manifest::Segment> {
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let (directory, root) = Directory::open(&vfs, Path::new("/db"), Access::Read, &machine.budget).unwrap();
    let mut segments: Vec<manifest::Segment> = vec![];
    replay(&directory, &root, &machine.budget, &mut |item, _| {
        match item {
            Item::AddSegment(segment) => segments.push(*segment),
            Item::RemoveSegment { id, .. } => segments.retain(|segment| segment.id != *id),
            Item::DropTable(table) => segments.retain(|segment| segment.table != *table),
            _ => {}
        }
        Ok(())
    })
    .unwrap();
    segments
}

/// Says of a segment something else.
fn relabel(machine: &Machine, before: manifest::Segment, after: manifest::Segment) {
    let (table, id): (TableId, SegmentId) = (before.table, before.id);
    edit(machine, &mut |edit| {
        edit.put(&Item::RemoveSegment { table, id })?;
        edit.put(&Item::AddSegment(after))
    });
}

/// A table `names` with the unique index `by_name`, of rows 1 to 5 in as many segments as there are calls of `flush`.
fn names_with_index(machine: &Machine, flushes: &[&[(i64, &str)]]) -> (TableId, TableId) {
    let store = machine.open();
    let table = create_names(&store, &machine.budget);
    let mut transaction = store.begin(&machine.budget).unwrap();
    let index = transaction.create_index(table, "by_name", &[1].map(KeyColumn::ascending), true).unwrap();
    transaction.commit(Durability::Full).unwrap();
    for rows in flushes {
        let mut transaction = store.begin(&machine.budget).unwrap();
        for (id, name) in *rows {
            transaction.put(table, &[Value::BigInt(*id), Value::Text(name)]).unwrap();
        }
        transaction.commit(Durability::Full).unwrap();
        store.flush().unwrap();
    }
    store.close().unwrap();
    (table, index)
}

/// Aim: rows without entries and entries without rows are told one by one. Method: take away segments of one side.
#[test]
fn an_index_that_is_not_like_its_table_is_told_row_by_row() {
    let flushes: [&[(i64, &str)]; 2] = [&[(1, "one"), (2, "two")], &[(2, "zwei"), (3, "three")]];
    let machine = Machine::new(1 << 20);
    let (table, index) = names_with_index(&machine, &flushes);
    assert_eq!(check_disk(&machine.disk).problems, Vec::<String>::new());
    let newest = segments_of(&machine, index)[1];
    edit(&machine, &mut |edit| edit.put(&Item::RemoveSegment { table: index, id: newest.id }));
    let found = check_disk(&machine.disk);
    let (file, of) = (format!("segments-{:06}", newest.id.file), |what: &str| what.starts_with("segments-"));
    assert!(found.problems.iter().all(|problem| of(problem)), "{:?}", found.problems);
    let what = |problem: &String| problem.split_once("index by_name: ").unwrap().1.to_owned();
    let problems: Vec<String> = found.problems.iter().map(what).collect();
    let expected = [
        "a row has no entry in the index (2)",
        "a row has no entry in the index (3)",
        "an entry of the index has no row (two, 2)",
    ];
    assert_eq!(problems, expected);
    assert!(found.files.contains(&file));
    // Now the table loses the same rows: the two agree again, on older names.
    let newest = segments_of(&machine, table)[1];
    edit(&machine, &mut |edit| edit.put(&Item::RemoveSegment { table, id: newest.id }));
    assert_eq!(check_disk(&machine.disk).problems, Vec::<String>::new());
    let oldest = segments_of(&machine, table)[0];
    edit(&machine, &mut |edit| edit.put(&Item::RemoveSegment { table, id: oldest.id }));
    let problems: Vec<String> = check_disk(&machine.disk).problems.iter().map(what).collect();
    let expected = ["an entry of the index has no row (one, 1)", "an entry of the index has no row (two, 2)"];
    assert_eq!(problems, expected);
}

/// Aim: where much differs it is told that there is more. Method: an index of many rows without its segments.
#[test]
fn of_many_differences_some_are_told() {
    let machine = Machine::new(1 << 20);
    let names: Vec<String> = (0..3000).map(|id| format!("name {id}")).collect();
    let rows: Vec<(i64, &str)> = (0..).zip(names.iter().map(String::as_str)).collect();
    let (_, index) = names_with_index(&machine, &[&rows]);
    for segment in segments_of(&machine, index) {
        edit(&machine, &mut |edit| edit.put(&Item::RemoveSegment { table: index, id: segment.id }));
    }
    let problems = check_disk(&machine.disk).problems;
    assert_eq!(
        problems.last().unwrap(),
        "index by_name: the index and its table differ in more rows than were told"
    );
    assert!(problems.len() < 100, "{}", problems.len());
}

/// Aim: levels that overlap, versions in the wrong order and what the manifest says wrongly are told. Method: edits that say so.
#[test]
fn what_the_manifest_says_wrongly_is_told() {
    let flushes: [&[(i64, &str)]; 2] = [&[(1, "one"), (4, "four")], &[(1, "uno"), (5, "five")]];
    let problems = |change: &dyn Fn(&mut manifest::Segment, usize)| {
        let machine = Machine::new(1 << 20);
        let (table, _) = names_with_index(&machine, &flushes);
        for (place, segment) in segments_of(&machine, table).into_iter().enumerate() {
            let mut other = segment;
            change(&mut other, place);
            if other != segment {
                relabel(&machine, segment, other);
            }
        }
        let found = check_disk(&machine.disk);
        let what = |problem: &String| problem.split(": ").last().unwrap().to_owned();
        found.problems.iter().map(what).collect::<Vec<String>>()
    };
    assert_eq!(problems(&|_, _| ()), Vec::<String>::new());
    assert_eq!(problems(&|segment, _| segment.level = 2), ["segments of a level have keys in common"]);
    // The older segment on top: its version of row 1 is met first.
    let upside_down = |segment: &mut manifest::Segment, place| segment.level = if place == 0 { 1 } else { 2 };
    let expected = [
        "an older version of a row stands above a newer one (1)",
        "an older version of a row stands above a newer one (one, 1)",
    ];
    assert_eq!(problems(&upside_down)[..1], expected[..1]);
    assert_eq!(problems(&|segment, _| segment.level = 9)[..2], ["a segment of a level that there is not"; 2]);
    assert_eq!(
        problems(&|segment, _| segment.rows_count += 1),
        ["the manifest says another number of rows"; 2]
    );
    let expected = ["the manifest says other sequences"; 2];
    assert_eq!(problems(&|segment, _| segment.sequence_min -= 1), expected);
    let late = |segment: &mut manifest::Segment, _| segment.sequence_max += 1 << 40;
    let told = problems(&late);
    assert!(told.contains(&"a segment with sequences that were not given yet".to_owned()), "{told:?}");
    let bounds = |segment: &mut manifest::Segment, _| {
        let mut key = vec![1];
        key.extend(bigint_key(2));
        segment.smallest = manifest::KeyBound::lower(&key);
    };
    assert_eq!(problems(&bounds), ["a key outside of the bounds that the manifest has"; 2]);
    let told = problems(&|segment, _| segment.bytes += 1 << 20);
    assert!(told.contains(&"the manifest says another number of bytes".to_owned()), "{told:?}");
    assert!(told.contains(&"a segment with another length than segments have".to_owned()), "{told:?}");
    let told = problems(&|segment, _| segment.id.file += 1000);
    assert!(told.contains(&"a segment in a file whose number was not given yet".to_owned()), "{told:?}");
    assert!(told.contains(&"the file is missing".to_owned()), "{told:?}");
}

#[test]
fn segments_that_share_bytes_are_told() {
    let machine = Machine::new(1 << 20);
    let (_, index) = names_with_index(&machine, &[&[(1, "one")]]);
    // It stands behind the table's in their file.
    let segment = segments_of(&machine, index)[0];
    relabel(&machine, segment, manifest::Segment { bytes: segment.bytes + 100, ..segment });
    let problems = check_disk(&machine.disk).problems;
    assert!(problems[0].ends_with("two segments have bytes of the file in common"), "{problems:?}");
}

/// Aim: definitions that no store makes are told. Method: edits that make tables.
#[test]
fn definitions_that_cannot_be_are_told() {
    let name = |name| ColumnDefinition { name, ty: ColumnType { ty: Type::BigInt, is_nullable: false } };
    let text = ColumnDefinition { name: "name", ty: ColumnType { ty: Type::Text, is_nullable: true } };
    let problem = |id: Option<TableId>,
                   is_index: bool,
                   table_name: &str,
                   columns: &[ColumnDefinition<'_>],
                   properties: &[u8]| {
        let machine = Machine::new(1 << 20);
        let (table, index) = names_with_index(&machine, &[]);
        // A number that was given, and is free again.
        edit(&machine, &mut |edit| edit.put(&Item::DropTable(index)));
        let key: &[KeyColumn] = &[KeyColumn { column: 0, order: KeyOrder::ASC }];
        edit(&machine, &mut |edit| {
            edit.create_table(&TableDefinition {
                id: id.unwrap_or(index),
                parent: is_index.then_some(table),
                is_unique: !is_index,
                name: table_name,
                columns,
                key,
                properties,
            })
        });
        let found = check_disk(&machine.disk);
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        found.problems[0].split(": ").last().unwrap().to_owned()
    };
    let table =
        |table_name: &str, columns: &[ColumnDefinition<'_>]| problem(None, false, table_name, columns, b"");
    let told = problem(Some(TableId(900)), false, "t", &[name("a")], b"");
    assert_eq!(told, "a table has a number that was not given yet");
    assert_eq!(table("", &[name("a")]), "a table without a name");
    assert_eq!(table("names", &[name("a")]), "two tables have one name");
    assert_eq!(table("t", &[name("a"), name("a")]), "two columns of a table have one name");
    assert_eq!(table("t", &[name(""), name("a")]), "a column without a name that is no row id");
    let index = |columns: &[ColumnDefinition<'_>]| problem(None, true, "i", columns, &[1, 0]);
    assert_eq!(index(&[name("no")]), "a column of an index is none of its table");
    assert_eq!(index(&[name("id"), text]), "an index whose key is not all of its columns");
    assert_eq!(index(&[text]), "an index without its table's key");
    assert_eq!(index(&[name("id")]), "an index that is unique in no columns, or in too many");
}

/// Appends a transaction to the log of a database that nobody has open.
fn append(machine: &Machine, entries: &[(TableId, Change, Vec<u8>, Vec<u8>)]) {
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let budget = &machine.budget;
    let (directory, root) = Directory::open(&vfs, Path::new("/db"), Access::Write, budget).unwrap();
    let counters = replay(&directory, &root, budget, &mut |_, _| Ok(())).unwrap().counters;
    let recovered = recover(&directory, &root, counters.oldest_wal, 0, budget, &mut |_| Ok(())).unwrap();
    let mut wal = recovered.tail.unwrap().resume(&directory, 0, budget).unwrap();
    let sequence = wal.last_sequence().max(counters.last_sequence) + 1;
    let mut transaction = wal.begin(sequence).unwrap();
    for (table, change, key, row) in entries {
        transaction.put(&Entry { sequence, table: *table, change: *change, key, row }).unwrap();
    }
    transaction.commit().unwrap();
    wal.close().unwrap();
}

/// Aim: entries of logs that no store writes are told, and those that it does count as rows. Method: transactions made by hand.
#[test]
fn what_logs_say_wrongly_is_told() {
    let encoded = |values: &[Value<'_>]| {
        let (mut key, mut row) = (vec![], vec![]);
        for value in values {
            let mut put = |bytes: &[u8]| -> Result<(), ()> {
                key.extend_from_slice(bytes);
                Ok(())
            };
            cofferdam_types::key::encode_key(*value, KeyOrder::ASC, &mut put).unwrap();
            let mut put = |bytes: &[u8]| -> Result<(), ()> {
                row.extend_from_slice(bytes);
                Ok(())
            };
            cofferdam_types::row::encode_row(*value, &mut put).unwrap();
        }
        (key, row)
    };
    type Entries = Vec<(TableId, Change, Vec<u8>, Vec<u8>)>;
    let problems = |entries: &dyn Fn(TableId, TableId) -> Entries| {
        let machine = Machine::new(1 << 20);
        let (table, index) = names_with_index(&machine, &[&[(1, "one"), (2, "two")]]);
        append(&machine, &entries(table, index));
        let what = |problem: &String| problem.splitn(3, ": ").last().unwrap().to_owned();
        check_disk(&machine.disk).problems.iter().map(what).collect::<Vec<String>>()
    };
    let (id, one) = (Value::BigInt(7), Value::Text("one"));
    let ((key, _), (_, row), (entry, entry_row)) =
        (encoded(&[id]), encoded(&[id, Value::Text("seven")]), encoded(&[Value::Text("seven"), id]));
    let put = Change::Put;
    let both = |table, index| {
        vec![(table, put, key.clone(), row.clone()), (index, put, entry.clone(), entry_row.clone())]
    };
    assert_eq!(problems(&both), Vec::<String>::new());
    let told = problems(&|table, index| both(table, index)[..1].to_vec());
    assert_eq!(told, ["a row has no entry in the index (7)"]);
    let told = problems(&|table, index| both(table, index)[1..].to_vec());
    assert_eq!(told, ["an entry of the index has no row (seven, 7)"]);
    let told = problems(&|table, _| vec![(table, put, key.clone(), entry_row.clone())]);
    assert_eq!(told, ["the row of an entry is none of its table (7)"]);
    let told = problems(&|table, _| vec![(table, put, encoded(&[Value::BigInt(8)]).0, row.clone())]);
    assert_eq!(told, ["the key of an entry is not that of its row (8)"]);
    let told = problems(&|table, _| vec![(table, Change::Delete, b"\x09".to_vec(), vec![])]);
    assert_eq!(told, ["the key of an entry is none of its table"]);
    let told = problems(&|_, _| vec![(TableId(900), put, key.clone(), row.clone())]);
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with("an entry of a table whose number was not given yet"), "{told:?}");
    // A second row with a name: the table's key differs, the unique index is violated.
    let second = |table, index| {
        let (row, (entry, entry_row)) = (encoded(&[id, one]).1, encoded(&[one, id]));
        vec![(table, put, key.clone(), row), (index, put, entry, entry_row)]
    };
    assert_eq!(problems(&second), ["two rows have the same values in a unique index (one, 7)"]);
}

/// Aim: all that is in logs is looked at in whatever memory there is. Method: a log that is much longer than the limit, with many
/// versions of few rows and of many.
#[test]
fn long_logs_are_looked_at_in_slices() {
    let machine = Machine::new(64 << 20);
    let (table, _) = names_with_index(&machine, &[&[(1, "one"), (2, "two")]]);
    let store = machine.open();
    let name = "x".repeat(100);
    for round in 0..20 {
        let mut transaction = store.begin(&machine.budget).unwrap();
        for id in 0..50 {
            let id = if round % 2 == 0 { id } else { id * 20 + round };
            let name = format!("{name} {id} {round}");
            transaction.put(table, &[Value::BigInt(id), Value::Text(&name)]).unwrap();
        }
        transaction.commit(Durability::Full).unwrap();
    }
    store.close().unwrap();
    let log_bytes: usize = machine
        .disk
        .image()
        .iter()
        .filter(|(path, _)| path.contains("wal"))
        .map(|(_, bytes)| bytes.len())
        .sum();
    assert!(log_bytes > 256 << 10, "{log_bytes}");
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let process = Budget::unlimited("process").unwrap();
    let small = process.child("check", 160 << 10).unwrap();
    let found = check_at(&vfs, Path::new("/db"), &small).unwrap();
    assert_eq!((found.problems, found.checked.compared_count), (vec![], 1));
    // And what is wrong there is found in any slice.
    append(
        &machine,
        &[(
            table,
            Change::Delete,
            {
                let mut key = vec![1];
                key.extend(bigint_key(49 * 20 + 19));
                key
            },
            vec![],
        )],
    );
    let found = check_at(&vfs, Path::new("/db"), &small).unwrap();
    assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
    assert!(found.problems[0].contains("an entry of the index has no row"), "{:?}", found.problems);
}

#[test]
fn a_check_can_be_ended_and_says_how_far_it_is() {
    let machine = Machine::new(1 << 20);
    fill(&machine, 100);
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let budget = Budget::unlimited("process").unwrap();
    let seen = std::cell::RefCell::new(Vec::<Progress>::new());
    let run = |pieces_max: usize| {
        seen.borrow_mut().clear();
        let watch = Watch {
            cancelled: &|| seen.borrow().len() >= pieces_max,
            progress: &|at| seen.borrow_mut().push(at),
        };
        check(&vfs, Path::new("/db"), &budget, watch, &mut |_| Ok(()))
    };
    run(usize::MAX).unwrap();
    let all = seen.borrow().clone();
    assert!(all.is_sorted_by_key(|at| at.done_bytes) && all.len() > 20);
    assert!(all.iter().all(|at| at.total_bytes == all[0].total_bytes));
    let last = all.last().unwrap();
    assert_eq!(last.done_bytes, last.total_bytes);
    for pieces in (0..all.len()).step_by(all.len() / 8) {
        assert!(matches!(run(pieces), Err(Error::Cancelled)), "{pieces}");
        assert!(seen.borrow().len() <= pieces + 1);
    }
    // An error of whoever is told ends it too.
    machine.disk.flip("/db/root", 0, 1).unwrap();
    let outcome = check(&vfs, Path::new("/db"), &budget, Watch::NOBODY, &mut |_| Err(Error::Closed));
    assert!(matches!(outcome, Err(Error::Closed)));
}

/// Aim: under every limit a check finds everything or gives the typed error, and leaves nothing behind. Method: the limit sweep, and
/// each charge refused.
#[test]
fn every_limit_gives_a_whole_check_or_a_typed_error() {
    let machine = Machine::new(256 << 10);
    fill(&machine, 40);
    let vfs: Arc<dyn Vfs> = Arc::new(machine.disk.clone());
    let budget = Budget::unlimited("process").unwrap().child("tools", 1 << 30).unwrap();
    let whole = check_at(&vfs, Path::new("/db"), &budget).unwrap().checked;
    let work = |budget: &Budget| {
        let outcome = check_at(&vfs, Path::new("/db"), budget).map(|found| found.checked);
        outcome.map_err(|error| Failure::of(budget, &error, matches!(error, Error::OutOfMemory(_))))
    };
    let swept = Sweep::new().run_under(&budget, |budget| work(budget)).unwrap();
    assert_eq!(swept.value, whole);
    assert!(swept.limit_bytes < 192 << 10, "{}", swept.limit_bytes);
    let injected = Injection::new().run(&budget, |budget| work(budget)).unwrap();
    assert!(injected.charges_count > 30, "{injected:?}");
}

//! The manifest over many lives of a machine.

use std::collections::BTreeMap;

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::log::HEADER_BYTES;
use cofferdam_store::manifest::{
    Column, ColumnDefinition, Counters, DATABASE, Edit, Item, KeyBound, ManifestWriter, NAME_BYTES_MAX,
    PROPERTIES_BYTES_MAX, Place, Properties, Segment, SegmentId, Table, TableDefinition, replay,
};
use cofferdam_store::{ColumnType, Error, FileId, FileKind, InputKind, KeyColumn, TableId};
use cofferdam_testkit::simfs::{EIO, Fault, Op, Rule, SimDisk};
use cofferdam_types::Type;
use cofferdam_types::key::KeyOrder;

use crate::machine::{self, Choices, Fate, Stop, budget, must, open, seeds};

/// A table with its own memory.
#[derive(Clone, Debug, PartialEq)]
struct OwnedTable {
    parent: Option<TableId>,
    is_unique: bool,
    name: String,
    columns: Vec<(String, ColumnType)>,
    key: Vec<KeyColumn>,
    properties: Vec<u8>,
}

/// What the items of a manifest add up to.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    counters: Option<Counters>,
    tables: BTreeMap<TableId, OwnedTable>,
    segments: BTreeMap<SegmentId, Segment>,
    properties: Vec<u8>,
    newest: Option<TableId>,
}

impl State {
    fn take(&mut self, item: &Item<'_>, place: Place) -> Result<(), Error> {
        assert_eq!(place.file.kind, FileKind::Manifest);
        let mut newest = self.newest.take();
        match *item {
            Item::Counters(counters) => self.counters = Some(counters),
            Item::Table(table) => {
                let Table { id, parent, is_unique, name, .. } = table;
                let (columns, key, properties) = Default::default();
                let table = OwnedTable { parent, is_unique, name: name.to_owned(), columns, key, properties };
                assert!(self.tables.insert(id, table).is_none());
                newest = Some(id);
            }
            Item::Column(Column { ty, name }) => {
                self.tables.get_mut(&newest.unwrap()).unwrap().columns.push((name.to_owned(), ty));
            }
            Item::KeyColumn(key) => self.tables.get_mut(&newest.unwrap()).unwrap().key.push(key),
            Item::Properties(Properties { table, is_first, bytes }) => {
                let properties = match table {
                    DATABASE => &mut self.properties,
                    _ => &mut self.tables.get_mut(&table).unwrap().properties,
                };
                if is_first {
                    properties.clear();
                }
                properties.extend_from_slice(bytes);
            }
            Item::DropTable(table) => {
                assert!(self.tables.remove(&table).is_some());
                self.segments.retain(|_, segment| segment.table != table);
            }
            Item::AddSegment(segment) => assert!(self.segments.insert(segment.id, segment).is_none()),
            Item::RemoveSegment { id, table } => assert_eq!(self.segments.remove(&id).unwrap().table, table),
        }
        self.newest = newest;
        Ok(())
    }

    fn settled(mut self) -> State {
        self.newest = None;
        self
    }

    /// Writes everything, as a snapshot does.
    fn write(&self, edit: &mut Edit<'_>) -> Result<(), Error> {
        for (id, table) in &self.tables {
            table.write(*id, edit)?;
        }
        self.segments.values().try_for_each(|segment| edit.put(&Item::AddSegment(*segment)))?;
        if self.properties.is_empty() { Ok(()) } else { edit.set_properties(DATABASE, &self.properties) }
    }
}

impl OwnedTable {
    fn write(&self, id: TableId, edit: &mut Edit<'_>) -> Result<(), Error> {
        let columns: Vec<_> =
            self.columns.iter().map(|(name, ty)| ColumnDefinition { name, ty: *ty }).collect();
        edit.create_table(&TableDefinition {
            id,
            parent: self.parent,
            is_unique: self.is_unique,
            name: &self.name,
            columns: &columns,
            key: &self.key,
            properties: &self.properties,
        })
    }

    fn random(choices: &mut Choices, tables: &[TableId]) -> OwnedTable {
        let columns_count = if choices.one_in(10) { 1600 } else { 1 + choices.below(6) };
        let columns: Vec<_> = (0..columns_count).map(|_| (name(choices), column_type(choices))).collect();
        let mut key: Vec<_> =
            (0..columns_count.min(1 + choices.below(3))).map(|column| key_column(choices, column)).collect();
        if choices.one_in(2) {
            key.reverse();
        }
        let parent = tables.get(choices.below(2 * tables.len() as u64 + 1) as usize).copied();
        let properties = properties(choices);
        OwnedTable { parent, is_unique: choices.one_in(2), name: name(choices), columns, key, properties }
    }
}

fn name(choices: &mut Choices) -> String {
    let count = if choices.one_in(30) { NAME_BYTES_MAX as u64 } else { choices.below(20) };
    (0..count).map(|_| char::from(b'a' + choices.below(26) as u8)).collect()
}

fn properties(choices: &mut Choices) -> Vec<u8> {
    let count = [0, 0, 10, 2048, 2049, 20_000][choices.below(6) as usize];
    choices.bytes(count)
}

fn column_type(choices: &mut Choices) -> ColumnType {
    let precision = 1 + choices.below(38) as u8;
    let decimal = Type::Decimal { precision, scale: choices.below(u64::from(precision) + 1) as u8 };
    let types = [
        Type::Boolean,
        Type::Integer,
        Type::BigInt,
        decimal,
        Type::Double,
        Type::Text,
        Type::Date,
        Type::Interval,
        Type::SmallInt,
        Type::Real,
        Type::Numeric,
        Type::Char,
        Type::Bytea,
        Type::Time,
        Type::Timestamp,
        Type::TimestampTz,
        Type::Uuid,
        Type::Json,
        Type::Jsonb,
        decimal.array().expect("decimals have arrays"),
    ];
    ColumnType { ty: types[choices.below(types.len() as u64) as usize], is_nullable: choices.one_in(2) }
}

fn key_column(choices: &mut Choices, column: u64) -> KeyColumn {
    let order = KeyOrder { descending: choices.one_in(2), nulls_first: choices.one_in(2) };
    KeyColumn { column: column as u16, order }
}

fn segment(choices: &mut Choices, table: TableId, file: u64) -> Segment {
    let (a, b) = (1 + choices.below(100), 1 + choices.below(100));
    let (a, b) = (choices.bytes(a), choices.bytes(b));
    let rows_count = 1 + choices.below(1 << 40);
    let sequence_base = choices.below(1 << 50);
    let sequence_min = sequence_base + choices.below(1 << 50);
    Segment {
        table,
        id: SegmentId { file, footer_offset: choices.below(1 << 47) },
        footer_bytes: choices.next() as u32,
        level: choices.below(8) as u8,
        run: Some(choices.below(3)).filter(|run| *run > 0),
        rows_count,
        tombstones_count: choices.below(rows_count + 1),
        bytes: choices.below(1 << 47),
        sequence_base,
        sequence_min,
        sequence_max: sequence_min + choices.below(1 << 50),
        smallest: KeyBound::lower(a.as_slice().min(&b)),
        largest: KeyBound::upper(a.as_slice().max(&b)),
    }
}

fn load(
    directory: &Directory,
    root: cofferdam_store::manifest::Root,
    budget: &Budget,
) -> Result<(ManifestWriter, State), Error> {
    let mut state = State::default();
    let writer = ManifestWriter::open(directory, root, budget, &mut |item, place| state.take(item, place))?;
    Ok((writer, state.settled()))
}

/// What is on the disk for sure, and what may be.
#[derive(Debug, Default)]
struct Model {
    durable: Option<State>,
    /// An edit whose commit has not returned.
    in_flight: Option<State>,
    next_file: u64,
}

struct Life<'l> {
    disk: &'l SimDisk,
    model: &'l mut Model,
    choices: &'l mut Choices,
    budget: &'l Budget,
}

impl Life<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let (directory, root) = open(self.disk, Access::Create, self.budget)?;
        let (mut writer, found) = load(&directory, root, self.budget)?;
        let is_known = [&self.model.durable, &self.model.in_flight]
            .into_iter()
            .any(|known| known.as_ref().is_some_and(|known| *known == found));
        let is_new = self.model.durable.is_none() && found.tables.is_empty();
        must(is_known || is_new, || format!("found {found:?}\nmust be {:?}", self.model))?;
        // What was found is durable now.
        (self.model.durable, self.model.in_flight) = (Some(found.clone()), None);
        self.model.next_file =
            self.model.next_file.max(directory.greatest_number()?).max(writer.counters().next_file);
        let mut state = found;
        for _ in 0..self.choices.below(20) {
            if self.choices.one_in(6) {
                self.rotate(&directory, &mut writer, &mut state)?;
            } else {
                self.edit(&mut writer, &mut state)?;
            }
        }
        Ok(())
    }

    fn counters(&mut self, before: &Counters) -> Counters {
        let choices = &mut *self.choices;
        self.model.next_file += 1;
        Counters {
            next_file: self.model.next_file,
            next_table: before.next_table,
            last_sequence: before.last_sequence + choices.below(100),
            oldest_wal: before.oldest_wal + choices.below(2),
        }
    }

    /// A random edit, first of a copy of the state and then of the manifest.
    fn edit(&mut self, writer: &mut ManifestWriter, state: &mut State) -> Result<(), Stop> {
        let mut counters = self.counters(writer.counters());
        let choices = &mut *self.choices;
        let mut next = state.clone();
        let mut created = Vec::new();
        let mut items = Vec::new();
        let bytes = properties(choices);
        let tables: Vec<TableId> = state.tables.keys().copied().collect();
        for _ in 0..choices.below(4) {
            match choices.below(6) {
                0 => {
                    let id = TableId(counters.next_table);
                    counters.next_table += 1;
                    let table = OwnedTable::random(choices, &tables);
                    next.tables.insert(id, table.clone());
                    created.push((id, table));
                }
                1 if !tables.is_empty() && choices.one_in(3) => {
                    let id = tables[choices.below(tables.len() as u64) as usize];
                    if next.tables.remove(&id).is_some() {
                        next.segments.retain(|_, segment| segment.table != id);
                        items.push(Item::DropTable(id));
                    }
                }
                2 => {
                    if let Some((id, old)) = next.segments.pop_first() {
                        items.push(Item::RemoveSegment { table: old.table, id });
                    }
                }
                3 => {
                    next.properties = bytes[..bytes.len().min(2048)].to_vec();
                    let bytes = &bytes[..next.properties.len()];
                    items.push(Item::Properties(Properties { table: DATABASE, is_first: true, bytes }));
                }
                _ => {
                    if let Some(table) = next.tables.keys().find(|_| choices.one_in(2)).copied()
                        && state.tables.contains_key(&table)
                    {
                        let file = counters.next_file + choices.below(1000);
                        let segment = segment(choices, table, file);
                        next.segments.insert(segment.id, segment);
                        items.push(Item::AddSegment(segment));
                    }
                }
            }
        }
        next.counters = Some(counters);
        self.model.in_flight = Some(next.clone());
        writer.commit_with(&counters, &mut |edit| {
            created.iter().try_for_each(|(id, table)| table.write(*id, edit))?;
            items.iter().try_for_each(|item| edit.put(item))
        })?;
        *state = next;
        (self.model.durable, self.model.in_flight) = (Some(state.clone()), None);
        Ok(())
    }

    fn rotate(
        &mut self,
        directory: &Directory,
        writer: &mut ManifestWriter,
        state: &mut State,
    ) -> Result<(), Stop> {
        let number = self.model.next_file;
        let counters = self.counters(writer.counters());
        let next = State { counters: Some(counters), ..state.clone() };
        self.model.in_flight = Some(next.clone());
        writer.rotate(directory, number, &counters, &mut |edit| next.write(edit))?;
        *state = next;
        (self.model.durable, self.model.in_flight) = (Some(state.clone()), None);
        let mut manifests = 0;
        directory.list(&mut |id| {
            manifests += u32::from(id.kind == FileKind::Manifest);
            Ok(())
        })?;
        must(manifests == 1, || "the manifest before is still there".to_owned())
    }
}

fn live(seed: u64, fate: Fate, ignored: Option<&str>) -> Result<(), String> {
    let mut model = Model::default();
    // 16 KiB for a replay, twice 8 KiB for writers, a few handles.
    machine::live(seed, fate, ignored, 24 << 10, |disk, choices, budget| {
        Life { disk, model: &mut model, choices, budget }.run()
    })
}

/// Aim: after a loss of power each acknowledged edit is there, and one that was not is there as a whole or not at all; in
/// fixed memory. Method: random edits and rotations over several lives, each ended by a crash.
#[test]
fn edits_are_there_as_a_whole_or_not_at_all() {
    for seed in seeds(12) {
        live(seed, Fate::Crashes, None).unwrap();
    }
}

/// Aim: the same, where operations of the system fail.
#[test]
fn edits_are_right_after_operations_have_failed() {
    for seed in seeds(12) {
        live(seed, Fate::Faults, None).unwrap();
    }
}

/// Aim: these tests have teeth. Method: a disk that does not sync must be found out.
#[test]
fn a_manifest_that_is_not_synced_is_found_out() {
    for pattern in ["manifest-*", "root", "db", "temp-*"] {
        assert!((0..300).any(|seed| live(seed, Fate::Crashes, Some(pattern)).is_err()), "{pattern}");
    }
}

const COUNTERS: Counters = Counters { next_file: 50, next_table: 9, last_sequence: 5, oldest_wal: 0 };

/// An open database in which nothing goes wrong.
struct Calm {
    disk: SimDisk,
    directory: Directory,
    writer: ManifestWriter,
    budget: Budget,
}

fn calm(seed: u64) -> Calm {
    let (disk, budget) = (SimDisk::new(seed), budget(1 << 20));
    let (directory, root) = open(&disk, Access::Create, &budget).unwrap();
    let (writer, _) = load(&directory, root, &budget).unwrap();
    Calm { disk, directory, writer, budget }
}

impl Calm {
    fn edit(&mut self, items: &[Item<'_>]) -> Result<(), Error> {
        let counters = Counters { next_file: self.writer.counters().next_file.max(50) + 1, ..COUNTERS };
        self.writer.commit(&counters, items)
    }

    fn rotate(&mut self, number: u64) -> Result<(), Error> {
        let counters = Counters { next_file: number + 1, ..*self.writer.counters() };
        self.writer.rotate(&self.directory, number, &counters, &mut |_| Ok(()))
    }
}

/// Opens the database once more, and gives what it holds.
fn reload(disk: &SimDisk) -> Result<State, Error> {
    let budget = budget(1 << 20);
    let (directory, root) = open(disk, Access::Write, &budget)?;
    load(&directory, root, &budget).map(|(_, state)| state)
}

fn corruption(disk: &SimDisk) -> (FileId, u64) {
    match reload(disk) {
        Err(Error::Corrupt(corruption)) => (corruption.file, corruption.offset),
        outcome => panic!("no damage: {outcome:?}"),
    }
}

const MANIFEST: FileId = FileId::new(FileKind::Manifest, 1);

/// Aim: each acknowledged edit that is damaged is told. Method: turn a bit of every byte but those of the last mark.
#[test]
fn no_flipped_bit_goes_unnoticed_in_an_edit() {
    let mut calm = calm(1);
    for bytes in [&b"one"[..], b"two", b"three"] {
        calm.edit(&[Item::Properties(Properties { table: DATABASE, is_first: true, bytes })]).unwrap();
    }
    let Calm { disk, directory, writer, .. } = calm;
    drop((directory, writer));
    let known = reload(&disk).unwrap();
    let len = disk.image()["/db/manifest-000001"].len() as u64;
    for offset in 0..len - 24 {
        disk.flip("/db/manifest-000001", offset, 16).unwrap();
        let (file, place) = corruption(&disk);
        assert!(file == MANIFEST && place <= offset, "{offset}: {place}");
        disk.flip("/db/manifest-000001", offset, 16).unwrap();
    }
    assert_eq!(reload(&disk).unwrap(), known);
    assert_eq!(known.properties, b"three");
}

/// Aim: an old state never passes for the new one (M4). Method: damage the newer slot of the root after a switch, and the older
/// one, and both.
#[test]
fn a_damaged_root_does_not_bring_back_the_past() {
    let mut calm = calm(2);
    calm.edit(&[]).unwrap();
    calm.rotate(60).unwrap();
    calm.edit(&[Item::Properties(Properties { table: DATABASE, is_first: true, bytes: b"new" })]).unwrap();
    let (root, Calm { disk, directory, writer, .. }) = (*calm.writer.root(), calm);
    drop((directory, writer));
    assert_eq!((root.generation, root.manifest), (2, 60));
    // Generation 2 is in the first slot.
    disk.flip("/db/root", 40, 1).unwrap();
    assert_eq!(corruption(&disk), (FileId::ROOT, 0));
    disk.flip("/db/root", 4096 + 8, 1).unwrap();
    assert_eq!(corruption(&disk), (FileId::ROOT, 0));
    disk.flip("/db/root", 40, 1).unwrap();
    assert_eq!(reload(&disk).unwrap().properties, b"new");
    // A newer version of the format, not damage: the checksum is right.
    disk.flip("/db/root", 4096 + 8, 1).unwrap();
    assert_eq!(reload(&disk).unwrap().properties, b"new");
}

#[test]
fn a_manifest_without_its_file_or_its_snapshot_is_damaged() {
    let calm = calm(3);
    let (disk, directory) = (calm.disk, calm.directory);
    drop(calm.writer);
    let file = directory.open_file(MANIFEST, cofferdam_vfs::OpenMode::Write, &calm.budget).unwrap();
    let bytes = file.bytes().unwrap();
    file.set_bytes(HEADER_BYTES).unwrap();
    directory.remove(FileId::LOCK).unwrap();
    drop((file, directory));
    assert_eq!(corruption(&disk), (MANIFEST, HEADER_BYTES));
    let (directory, _) = open(&disk, Access::Write, &calm.budget).unwrap();
    directory
        .open_file(MANIFEST, cofferdam_vfs::OpenMode::Write, &calm.budget)
        .unwrap()
        .set_bytes(0)
        .unwrap();
    drop(directory);
    assert_eq!(corruption(&disk), (MANIFEST, 0));
    assert!(bytes > HEADER_BYTES);
    let (directory, _) = open(&disk, Access::Write, &calm.budget).unwrap();
    directory.remove(MANIFEST).unwrap();
    drop(directory);
    assert_eq!(corruption(&disk), (MANIFEST, 0));
}

/// Aim: what cannot be is refused before it is written, and nothing of its edit is there. Method: an edit that is right but
/// for its last item.
#[test]
fn items_that_cannot_be_are_refused() {
    let mut calm = calm(4);
    let bigint = ColumnType { ty: Type::BigInt, is_nullable: false };
    let column = ColumnDefinition { name: "a", ty: bigint };
    let key = [KeyColumn { column: 0, order: KeyOrder::ASC }];
    let good = TableDefinition {
        id: TableId(3),
        parent: None,
        is_unique: false,
        name: "t",
        columns: &[column],
        key: &key,
        properties: b"",
    };
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let many = vec![column; 1601];
    let unknown = ColumnDefinition { name: "a", ty: ColumnType { ty: Type::Unknown, is_nullable: true } };
    let twice = [key[0], key[0]];
    let absent = [KeyColumn { column: 1, ..key[0] }];
    let wrong = [
        TableDefinition { id: TableId(0), ..good },
        TableDefinition { parent: Some(TableId(3)), ..good },
        TableDefinition { parent: Some(TableId(0)), ..good },
        TableDefinition { name: &long, ..good },
        TableDefinition { columns: &[], ..good },
        TableDefinition { columns: &many, ..good },
        TableDefinition { columns: &[unknown], ..good },
        TableDefinition { columns: &[ColumnDefinition { name: &long, ty: bigint }], ..good },
        TableDefinition { key: &[], ..good },
        TableDefinition { columns: &[column, column], key: &twice, ..good },
        TableDefinition { key: &absent, ..good },
        TableDefinition { properties: &vec![0; PROPERTIES_BYTES_MAX + 1], ..good },
    ];
    let refused = |outcome: Result<(), Error>, what: &str| match outcome {
        Err(Error::Input(problem)) => assert_eq!(problem.kind, InputKind::Definition, "{what}"),
        outcome => panic!("{what}: {outcome:?}"),
    };
    let counters = *calm.writer.counters();
    for definition in &wrong {
        let outcome = calm.writer.commit_with(&counters, &mut |edit| {
            edit.set_properties(DATABASE, &[7; 30_000])?;
            edit.create_table(definition)
        });
        refused(outcome, &format!("{definition:?}"));
    }
    let choices = &mut Choices::new(4);
    let segment = segment(choices, TableId(3), 1);
    let wrong = [
        Segment { table: DATABASE, ..segment },
        Segment { rows_count: 0, ..segment },
        Segment { tombstones_count: segment.rows_count + 1, ..segment },
        Segment { level: 64, ..segment },
        Segment { run: Some(0), ..segment },
        Segment { sequence_min: segment.sequence_base - 1, ..segment },
        Segment { sequence_max: segment.sequence_min - 1, ..segment },
        Segment { sequence_max: 1 << 56, ..segment },
        Segment { bytes: 1 << 48, ..segment },
        Segment { id: SegmentId { file: 1 << 48, ..segment.id }, ..segment },
        Segment { id: SegmentId { footer_offset: 1 << 48, ..segment.id }, ..segment },
        Segment { smallest: KeyBound::lower(b"b"), largest: KeyBound::upper(b"a"), ..segment },
    ];
    for segment in wrong {
        refused(calm.edit(&[Item::AddSegment(segment)]), &format!("{segment:?}"));
    }
    let piece = |is_first, bytes| Item::Properties(Properties { table: DATABASE, is_first, bytes });
    let head = Item::Table(Table {
        id: TableId(3),
        parent: None,
        is_unique: false,
        columns_count: 1,
        key_count: 1,
        name: "t",
    });
    for items in [
        &[Item::Counters(counters)][..],
        &[Item::DropTable(DATABASE)],
        &[Item::RemoveSegment { table: DATABASE, id: segment.id }],
        &[piece(false, b"")],
        &[piece(true, &[0; 2049])],
        &[piece(true, b""), Item::DropTable(TableId(3)), piece(false, b"")],
        &[head],
        &[head, piece(true, b"")],
        &[Item::Column(Column { ty: bigint, name: "a" })],
        &[Item::KeyColumn(key[0])],
    ] {
        refused(calm.edit(items), &format!("{items:?}"));
    }
    for counters in [
        Counters { next_file: 1 << 48, ..counters },
        Counters { next_table: u32::MAX, ..counters },
        Counters { last_sequence: 1 << 56, ..counters },
        Counters { oldest_wal: 1 << 48, ..counters },
    ] {
        refused(calm.writer.commit(&counters, &[]), &format!("{counters:?}"));
    }
    // Nothing of all that is there, and the writer goes on.
    calm.writer.commit_with(&counters, &mut |edit| edit.create_table(&good)).unwrap();
    let Calm { disk, directory, writer, .. } = calm;
    drop((directory, writer));
    let state = reload(&disk).unwrap();
    assert_eq!((state.tables.len(), state.properties.len(), state.segments.len()), (1, 0, 0));
}

#[test]
fn a_rotation_that_fails_early_leaves_the_manifest_as_it_was() {
    let mut calm = calm(5);
    calm.edit(&[Item::Properties(Properties { table: DATABASE, is_first: true, bytes: b"kept" })]).unwrap();
    let counters = Counters { next_file: 90, ..*calm.writer.counters() };
    let outcome = calm.writer.rotate(&calm.directory, 70, &counters, &mut |_| Err(Error::Cancelled));
    assert!(matches!(outcome, Err(Error::Cancelled)));
    calm.disk.inject(Rule::new([Op::Sync], Fault::Error(EIO)).file("manifest-000071"));
    let outcome = calm.writer.rotate(&calm.directory, 71, &counters, &mut |_| Ok(()));
    assert!(matches!(outcome, Err(Error::Io(_))));
    calm.disk.clear_rules();
    calm.edit(&[]).unwrap();
    assert_eq!(calm.disk.image().keys().filter(|name| name.contains("manifest")).count(), 1);
    // From the switch on nothing can be said any more.
    calm.disk.inject(Rule::new([Op::Sync], Fault::Error(EIO)).file("root"));
    let outcome = calm.writer.rotate(&calm.directory, 72, &counters, &mut |_| Ok(()));
    assert!(matches!(outcome, Err(Error::Io(_))));
    calm.disk.clear_rules();
    assert!(matches!(calm.writer.commit(&counters, &[]), Err(Error::Poisoned)));
    assert!(matches!(calm.rotate(99), Err(Error::Poisoned)));
}

#[test]
fn a_failed_sync_poisons_the_manifest() {
    let mut calm = calm(6);
    calm.disk.inject(Rule::new([Op::Sync], Fault::Error(EIO)).file("manifest-*"));
    assert!(matches!(calm.edit(&[]), Err(Error::Io(_))));
    calm.disk.clear_rules();
    assert!(matches!(calm.edit(&[]), Err(Error::Poisoned)));
}

#[test]
fn a_new_manifest_is_wanted_when_edits_have_outgrown_the_snapshot() {
    let mut calm = calm(7);
    let mut edits = 0;
    while !calm.writer.wants_rotation() {
        calm.edit(&[Item::Properties(Properties { table: DATABASE, is_first: true, bytes: &[1; 2000] })])
            .unwrap();
        edits += 1;
    }
    assert!((14..18).contains(&edits), "{edits}");
    calm.rotate(500).unwrap();
    assert!(!calm.writer.wants_rotation());
}

#[test]
fn bounds_of_keys_hold_in_64_bytes() {
    let long = |byte: u8, tail: u8| [vec![byte; 64], vec![tail]].concat();
    for key in [
        vec![1],
        vec![9; 64],
        long(3, 0),
        long(3, 255),
        long(255, 255),
        long(255, 0),
        [vec![1; 10], vec![255; 90]].concat(),
    ] {
        let (lower, upper) = (KeyBound::lower(&key), KeyBound::upper(&key));
        assert!(lower.as_bytes() <= &key[..], "{key:?}");
        assert!(upper.is_unbounded() || upper.as_bytes() >= &key[..], "{key:?}");
        assert_eq!((lower.is_exact(), upper.is_exact()), (key.len() <= 64, key.len() <= 64));
    }
    assert_eq!(
        KeyBound::upper(&[vec![1; 10], vec![255; 90]].concat()).as_bytes(),
        [vec![1; 9], vec![2]].concat()
    );
    assert!(KeyBound::upper(&[255; 65]).is_unbounded());
}

/// Aim: reading alone writes nothing, whatever is there. Method: count the operations that change the disk.
#[test]
fn a_reader_writes_nothing() {
    let mut calm = calm(8);
    calm.edit(&[Item::Properties(Properties { table: DATABASE, is_first: true, bytes: b"kept" })]).unwrap();
    let Calm { disk, directory, writer, budget } = calm;
    // A torn tail.
    let file = directory.open_file(MANIFEST, cofferdam_vfs::OpenMode::Write, &budget).unwrap();
    file.write_all_at(b"half a frame", file.bytes().unwrap()).unwrap();
    drop((directory, writer, file));
    let mutations = disk.counts().mutations;
    let (directory, root) = open(&disk, Access::Read, &budget).unwrap();
    let mut state = State::default();
    let replayed = replay(&directory, &root, &budget, &mut |item, place| state.take(item, place)).unwrap();
    assert_eq!((replayed.edit, replayed.edits_count, state.properties), (2, 1, b"kept".to_vec()));
    assert_eq!(replayed.summary.file_bytes - replayed.summary.end, 12);
    assert_eq!(disk.counts().mutations, mutations);
}

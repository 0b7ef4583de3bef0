//! Checking databases: what is right is clean, what is wrong is told with its place, and nothing is written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::Budget;
use cofferdam_store::{
    Checked, Durability, Error, FileKind, Finding, Options, Savepoint, Store, TableDef, Watch, check,
};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::Vfs;

use crate::engine::{KEY, Machine, column};

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
    let store = machine.open();
    let mut transaction = store.begin(&machine.budget).unwrap();
    let columns = [
        column("id", Type::BigInt, false),
        column("name", Type::Text, true),
        column("price", Type::Decimal { precision: 9, scale: 2 }, true),
    ];
    let def = |name, columns| TableDef { name, columns, key: &KEY, properties: b"of the caller" };
    let names = transaction.create_table(&def("names", &columns)).unwrap();
    transaction.create_index(names, "by_name", &[1], true).unwrap();
    transaction.create_index(names, "by_price", &[2], false).unwrap();
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
    let before: Savepoint = transaction.savepoint();
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
    store.close().unwrap();
}

/// The files of a disk, without the directory.
fn image(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    disk.image().into_iter().map(|(path, bytes)| (path.trim_start_matches("/db/").to_owned(), bytes)).collect()
}

#[test]
fn what_is_right_is_clean_and_stays_as_it_is() {
    let machine = Machine::new(1 << 20);
    fill(&machine, 700);
    let (before, mutations) = (machine.disk.image(), machine.disk.counts().mutations);
    let found = check_disk(&machine.disk);
    assert_eq!((found.problems, found.remains), (vec![], vec![]));
    let Checked { tables_count, indexes_count, compared_count, transactions_count, .. } = found.checked;
    assert_eq!((tables_count, indexes_count, compared_count), (3, 2, 2));
    assert!(transactions_count >= 2 && found.checked.rows_count > 1400, "{:?}", found.checked);
    assert_eq!((machine.disk.image(), machine.disk.counts().mutations), (before, mutations));
}

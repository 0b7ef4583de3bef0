//! `check`, `inspect` and `backup`: directories of databases.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cofferdam_arena::Budget;
use cofferdam_store::{ColumnDef, Durability, KeyColumn, Options, Store, TableDef};
use cofferdam_types::key::KeyOrder;
use cofferdam_types::{Date, Decimal, Type, Value};
use cofferdam_vfs::{Directory, OsVfs, Vfs};

use crate::support::{Folder, assert_fails, run};

/// The files of the system, with random numbers that repeat.
#[derive(Debug)]
struct Repeating(OsVfs, AtomicU64);

impl Vfs for Repeating {
    fn directory(&self, path: &Path, create: bool) -> io::Result<Arc<dyn Directory>> {
        self.0.directory(path, create)
    }
    fn now_ns(&self) -> u64 {
        self.0.now_ns()
    }
    fn sleep_ns(&self, ns: u64) {
        self.0.sleep_ns(ns);
    }
    fn random_u64(&self) -> u64 {
        self.1.fetch_add(1, Ordering::Relaxed)
    }
}

/// A database of some tables with rows in segments and in the log; gives its store and directory.
fn database(folder: &Folder) -> (Store, PathBuf) {
    let path = folder.path().join("db");
    let vfs: Arc<dyn Vfs> = Arc::new(Repeating(OsVfs, AtomicU64::new(1)));
    let budget = Budget::unlimited("process").unwrap();
    let store = Store::open(&vfs, &path, &budget, &Options::new()).unwrap();
    let column = |name, ty, is_nullable| ColumnDef { name, ty, is_nullable };
    let part = |column, order| KeyColumn { column, order };
    let mut transaction = store.begin(&budget).unwrap();
    let columns = [
        column("id", Type::BigInt, false),
        column("name", Type::Text, true),
        column("price", Type::Decimal { precision: 9, scale: 2 }, true),
        column("since", Type::Date, false),
        column("rate", Type::Double, true),
        column("is open", Type::Boolean, false),
    ];
    let key = [part(0, KeyOrder::ASC)];
    let parts = TableDef { name: "parts", columns: &columns, key: &key, properties: b"" };
    let parts = transaction.create_table(&parts).unwrap();
    transaction.create_index(parts, "parts_name", &[1].map(KeyColumn::ascending), true).unwrap();
    transaction.create_index(parts, "parts_since", &[3, 2].map(KeyColumn::ascending), false).unwrap();
    let columns = [column("day", Type::Date, false), column("note", Type::Text, false)];
    let key = [part(0, KeyOrder::DESC), part(1, KeyOrder::ASC)];
    let days = TableDef { name: "days", columns: &columns, key: &key, properties: b"" };
    let days = transaction.create_table(&days).unwrap();
    let columns = [column("what", Type::Text, false)];
    let events = TableDef { name: "events", columns: &columns, key: &[], properties: b"" };
    let events = transaction.create_table(&events).unwrap();
    transaction.commit(Durability::Full).unwrap();
    let date = |days| Value::Date(Date::from_days(days).unwrap());
    let put = |from: i64, to: i64| {
        let mut transaction = store.begin(&budget).unwrap();
        for id in from..to {
            let name = format!("part {id}");
            let price = Decimal::new(i128::from(id % 7) * 50, 2).unwrap();
            transaction
                .put(
                    parts,
                    &[
                        Value::BigInt(id),
                        if id % 10 == 0 { Value::Null } else { Value::Text(&name) },
                        if id % 4 == 0 { Value::Null } else { Value::Decimal(price) },
                        date(20_000 + id / 100),
                        Value::Double(id as f64 / 4.0),
                        Value::Boolean(id % 50 < 40),
                    ],
                )
                .unwrap();
            transaction.put(days, &[date(id % 365), Value::Text(&name)]).unwrap();
        }
        transaction.insert(events, &[Value::Text("put")]).unwrap();
        transaction.commit(Durability::Full).unwrap();
    };
    for quarter in 0..4 {
        put(quarter * 625, (quarter + 1) * 625);
        store.flush().unwrap();
    }
    // Four segments become one of level 1.
    store.compact().unwrap();
    let mut transaction = store.begin(&budget).unwrap();
    for id in 0..25 {
        transaction.delete(parts, &[Value::BigInt(id * 100)]).unwrap();
    }
    transaction.commit(Durability::Full).unwrap();
    put(2400, 2600);
    store.flush().unwrap();
    put(2600, 2610);
    (store, path)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Compares with a file of this folder, or writes that with `UPDATE_GOLDEN=1`.
fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inspect").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, found).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{name} has changed; UPDATE_GOLDEN=1 writes it anew");
}

#[test]
fn inspect_shows_what_there_is() {
    let folder = Folder::new();
    let (store, path) = database(&folder);
    store.close().unwrap();
    let path = text(&path);
    let before = files(Path::new(path));
    for (name, options) in [
        ("overview.txt", &[][..]),
        ("segments.txt", &["--segments"]),
        ("table.txt", &["--table", "parts", "--columns"]),
        ("index.txt", &["--table", "parts_since", "--segments", "--columns"]),
        ("everything.json", &["--json", "--segments", "--columns"]),
    ] {
        let outcome = run(&[&["inspect", path], options].concat());
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{name}");
        assert_golden(name, &outcome.stdout);
    }
    assert_eq!(files(Path::new(path)), before);
    assert_fails(&run(&["inspect", path, "--table", "no"]), 2, &["error[42P01]: there is no table `no`"]);
    assert_fails(
        &run(&["inspect", text(folder.path())]),
        2,
        &["error[58P01]: ", "there is no database here"],
    );
    assert_fails(&run(&["inspect"]), 2, &["PATH"]);
}

/// Aim: tools that look at files know views. Method: a database with one, its copy, and the copy read.
#[test]
fn views_are_looked_at_and_kept() {
    let folder = Folder::new();
    let (path, copy) = (folder.path().join("db"), folder.path().join("copy"));
    let sql = "create table t (a integer primary key, b text); insert into t values (1, 'one'); \
               create view v as select b as c, * from t where a > 0;";
    assert_eq!(run(&[text(&path), "-c", sql]).code, 0);
    let outcome = run(&["check", text(&path)]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    assert_eq!(run(&["backup", text(&path), text(&copy)]).code, 0);
    let outcome = run(&["inspect", text(&copy), "--table", "v"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_golden("view.txt", &outcome.stdout);
    let outcome = run(&["--mode", "csv", text(&copy), "-c", "select * from v"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "c,a,b\r\none,1,one\r\n"), "{}", outcome.stderr);
    // One of a later version is told, and so is one that is read.
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let budget = Budget::unlimited("process").unwrap();
    let store = Store::open(&vfs, &copy, &budget, &Options::new()).unwrap();
    let mut transaction = store.begin(&budget).unwrap();
    let columns = [ColumnDef { name: "view", ty: Type::Boolean, is_nullable: true }];
    let later = TableDef { name: "later", columns: &columns, key: &[], properties: b"\x82" };
    transaction.create_table(&later).unwrap();
    transaction.commit(Durability::Full).unwrap();
    store.close().unwrap();
    let outcome = run(&["inspect", text(&copy), "--table", "later"]);
    assert_fails(&outcome, 1, &["error[XX001]: the definition of view `later` cannot be read"]);
    assert_fails(&run(&[text(&copy), "-c", "select * from later"]), 1, &["error[0A000]: ", "newer version"]);
}

/// The names and contents of a directory's files.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Turns a bit of the middle of the largest file of segments; gives its name.
fn damage(path: &Path) -> String {
    let of_segments = files(path).into_iter().filter(|(name, _)| name.starts_with("segments-"));
    let (name, mut bytes) = of_segments.max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path.join(&name), bytes).unwrap();
    name
}

#[test]
fn check_tells_what_is_wrong() {
    let folder = Folder::new();
    let (store, path) = database(&folder);
    let locked = run(&["check", text(&path)]);
    assert_fails(&locked, 1, &["error[55006]: ", "the database is open in another process", "help: "]);
    store.close().unwrap();
    let outcome = run(&["check", text(&path)]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.starts_with("no problems: 3 tables, 2 indexes, "), "{}", outcome.stdout);
    fs::write(path.join("temp-000999"), "left").unwrap();
    let outcome = run(&["check", text(&path)]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stdout.contains(" left by a crash | temp-000999 |"), "{}", outcome.stdout);
    let name = damage(&path);
    let outcome = run(&["check", text(&path)]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    assert!(outcome.stdout.contains(&format!(" problem         | {name} | ")), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\n1 problem: 3 tables, "), "{}", outcome.stdout);
    let outcome = run(&["inspect", text(&path), "--columns"]);
    assert_fails(&outcome, 1, &["error[XX001]: ", &name]);
    fs::remove_file(path.join("root")).unwrap();
    assert_fails(&run(&["check", text(&path)]), 2, &["error[58P01]: ", "there is no database here"]);
    assert_fails(&run(&["check", text(&path), "more"]), 2, &[]);
}

#[test]
fn backup_makes_a_database_that_is_checked() {
    let folder = Folder::new();
    let (store, path) = database(&folder);
    let (path, to) = (text(&path), folder.path().join("copy"));
    let locked = run(&["backup", path, text(&to)]);
    assert_fails(
        &locked,
        1,
        &["error[55006]: ", "the database is open in another process", "library's call"],
    );
    assert!(!to.exists());
    store.close().unwrap();
    let outcome = run(&["backup", path, text(&to)]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.contains(" of segments, "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("no problems: 3 tables, 2 indexes, "), "{}", outcome.stdout);
    let tables = |path: &str| {
        let shown = run(&["inspect", path, "--segments"]).stdout;
        shown[shown.find("\ntables\n").unwrap()..].to_owned()
    };
    assert_eq!(tables(text(&to)), tables(path));
    let full = run(&["backup", path, text(&to), "--no-check"]);
    assert_fails(&full, 2, &["error[58P02]: ", "copy: the directory is not empty", "help: "]);
    let nowhere = folder.path().join("no/such");
    assert_fails(&run(&["backup", path, text(&nowhere)]), 1, &["error[58030]: copying ", "cannot make"]);
    assert_fails(&run(&["backup", text(&nowhere), text(&to)]), 2, &["error[58P01]: "]);
    assert_fails(&run(&["backup", path]), 2, &["TO"]);
}

/// Aim: all three run in the least memory that the program takes, and say so below. Method: limits around it.
#[test]
fn directories_are_looked_at_in_little_memory() {
    const LIMITS: [&str; 3] = ["2560KiB", "2700KiB", "3MiB"];
    let folder = Folder::new();
    let (store, path) = database(&folder);
    store.close().unwrap();
    let path = text(&path);
    let ample = run(&["inspect", path, "--segments", "--columns"]);
    for limit in LIMITS {
        let outcome = run(&["inspect", path, "--segments", "--columns", "--memory", limit]);
        assert_eq!(outcome, ample, "{limit}");
        let outcome = run(&["check", path, "--memory", limit]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{limit}");
    }
    for (number, limit) in LIMITS.into_iter().enumerate() {
        let to = folder.path().join(format!("copy-{number}"));
        let outcome = run(&["backup", path, text(&to), "--memory", limit]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{limit}");
    }
    for command in [&["check", path][..], &["inspect", path], &["backup", path, "no"]] {
        let outcome = run(&[command, &["--memory", "2400KiB"]].concat());
        assert_fails(&outcome, 2, &["--memory 2.3 MiB is too small", "write --memory 2560KiB or more"]);
    }
    let outcome = run(&["check", path, "--show-memory"]);
    assert!(outcome.stderr.contains("directory"), "{}", outcome.stderr);
}

//! Statements that need more memory than there is write temporary files, and what can go wrong with these.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam::{Database, Error, Options, Remedy};
use cofferdam_testkit::simfs::{Fault, Op, Rule, SimDisk};
use cofferdam_vfs::Vfs;

const ROWS: usize = 20_000;

/// A file of rows in no order, removed with the test.
struct Rows(PathBuf);

impl Rows {
    fn new(test: &str) -> Rows {
        let path = std::env::temp_dir().join(format!("cofferdam-{test}-{}.csv", std::process::id()));
        let mut text = String::from("number,name\n");
        for row in 0..ROWS {
            let number = row * 7919 % ROWS;
            writeln!(text, "{number},the name of row {number:06} {}", number * 31 % 97).unwrap();
        }
        std::fs::write(&path, text).unwrap();
        Rows(path)
    }

    fn query(&self) -> String {
        format!("SELECT number, name FROM '{}' ORDER BY name DESC", self.0.display())
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A database whose temporary files are on a simulated disk.
fn database(limit_bytes: u64) -> (SimDisk, Database) {
    let disk = SimDisk::new(5);
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let options = Options::new().memory_limit(limit_bytes).vfs(&vfs).temp_directory(Some(Path::new("/temp")));
    (disk, Database::open_in_memory(options).unwrap())
}

/// Runs a query whose first column counts down from the number of rows.
fn count_down(database: &Database, sql: &str) -> Result<usize, Error> {
    let connection = database.connect()?;
    connection.query(sql, |rows| {
        let mut count = 0;
        while let Some(row) = rows.next_row()? {
            count += 1;
            let number = row.values().next().unwrap().to_string();
            assert_eq!(number, (ROWS - count).to_string());
        }
        Ok(count)
    })
}

/// Aim: an order of more rows than memory holds is right, stays below the limit, and leaves no file; with room there is none at all.
#[test]
fn an_order_larger_than_memory_is_spilled() {
    let rows = Rows::new("spilled");
    for (limit_bytes, spills) in [(64 << 20, false), (1 << 20, true), (600 << 10, true)] {
        let (disk, database) = database(limit_bytes);
        assert_eq!(count_down(&database, &rows.query()).unwrap(), ROWS);
        let counts = database.temporary_counts();
        assert_eq!((counts.files_total > 0, counts.bytes_total > 0), (spills, spills), "{counts:?}");
        assert_eq!((counts.files_now, counts.bytes_now, disk.used_bytes()), (0, 0, 0));
        assert!(database.budget().peak() <= limit_bytes);
    }
}

/// Aim: while a statement runs, its files are listed with their owner; afterwards they are not.
#[test]
fn temporary_files_are_listed() {
    let rows = Rows::new("listed");
    let (disk, database) = database(1 << 20);
    let connection = database.connect().unwrap();
    let list = || {
        let mut files = Vec::new();
        database.for_each_temporary_file(|file| {
            files.push((file.name.to_owned(), file.bytes, file.owner.to_owned()));
        });
        files
    };
    let listed = connection.query(&rows.query(), |rows| {
        rows.next_row()?;
        Ok(list())
    });
    let listed = listed.unwrap();
    assert!(!listed.is_empty());
    for (name, bytes, owner) in &listed {
        assert!(*bytes > 0 && owner.starts_with("sort_") && name.starts_with("cofferdam-"), "{name} {owner}");
    }
    assert_eq!((list().len(), disk.used_bytes()), (0, 0));
}

/// Aim: what goes wrong with temporary files is the statement's error, typed and with advice, and the next statement is fine.
#[test]
fn failures_are_the_statements_own() {
    let rows = Rows::new("failures");
    let query = rows.query();
    let (disk, database) = database(1 << 20);
    let connection = database.connect().unwrap();
    let fails = |state: &str, remedy: Remedy, says: &str| {
        let error = count_down(&database, &query).unwrap_err();
        assert_eq!((error.sqlstate(), error.remedy()), (state, remedy), "{error}");
        let shown = format!("{error}; {}", error.hint().map(|hint| hint.to_string()).unwrap_or_default());
        assert!(shown.contains(says), "{shown}");
        assert_eq!((database.temporary_counts().files_now, disk.used_bytes()), (0, 0));
    };
    disk.set_capacity(Some(100_000));
    fails("53100", Remedy::FixSystem, "no space left on device; make room on the disk");
    disk.set_capacity(None);

    connection.execute("SET max_temp_directory_size = '100KB'").unwrap();
    fails("53400", Remedy::FixInput, "exceed max_temp_directory_size (97.7 KiB)");
    connection.execute("RESET max_temp_directory_size").unwrap();

    connection.execute("SET temp_directory = ''").unwrap();
    fails("53200", Remedy::GiveMemory, "raise memory_limit");
    connection.execute("SET temp_directory = '/no/such/directory'").unwrap();
    fails("58030", Remedy::FixSystem, "could not open the directory of temporary files");
    connection.execute("RESET temp_directory").unwrap();

    disk.inject(Rule::new([Op::Write], Fault::FlipStored).file("cofferdam-*-*-*").nth(3));
    fails("XX001", Remedy::FixSystem, "is damaged at offset");
    disk.clear_rules();
    assert_eq!(count_down(&database, &query).unwrap(), ROWS);
}

/// Aim: without temporary files every operator that would write some says that memory ran out.
#[test]
fn nowhere_to_write_is_out_of_memory() {
    let rows = Rows::new("nowhere");
    let (_disk, database) = database(600 << 10);
    let connection = database.connect().unwrap();
    connection.execute("SET temp_directory = ''").unwrap();
    let file = rows.0.display();
    let query = format!("SELECT number, name FROM '{file}'");
    let statements = [
        rows.query(),
        format!("SELECT DISTINCT number, name FROM '{file}'"),
        format!("WITH m AS MATERIALIZED ({query}) SELECT m.name, n.name FROM m JOIN m AS n USING (number)"),
        format!("SELECT a.name, b.name FROM ({query}) AS a JOIN ({query}) AS b USING (number)"),
        format!("SELECT q.*, count(*) OVER () FROM ({query}) AS q"),
    ];
    for sql in statements {
        let error = connection.execute(&sql).unwrap_err();
        assert_eq!((error.sqlstate(), error.remedy()), ("53200", Remedy::GiveMemory), "{sql}: {error}");
    }
}

/// Aim: a statement is cancelled in the middle of writing, and leaves nothing. Method: cancel when so many bytes are on the disk.
#[test]
fn a_spilling_statement_can_be_cancelled() {
    let rows = Rows::new("cancelled");
    let (disk, database) = database(1 << 20);
    let connection = database.connect().unwrap();
    let flag = connection.canceller();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while database.temporary_counts().bytes_total < 50_000 {
                std::thread::yield_now();
            }
            flag.cancel();
        });
        let outcome = connection.execute(&rows.query());
        watcher.join().unwrap();
        // It may have been done just then.
        if let Err(error) = outcome {
            assert_eq!(error.sqlstate(), "57014");
        }
    });
    assert_eq!((database.temporary_counts().files_now, disk.used_bytes()), (0, 0));
}

/// Aim: what a killed process has left in a database's directory is gone when it is opened again.
#[test]
fn leftovers_are_gone_when_a_directory_is_opened() {
    let disk = SimDisk::new(5);
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    let open =
        || Database::open("/db", Options::new().memory_limit(4 << 20).vfs(&vfs).without_worker()).unwrap();
    drop(open());
    let temp = vfs.directory(Path::new("/db/tmp"), true).unwrap();
    let names = ["cofferdam-17-00112233445566ff-1", "cofferdam-17-00112233445566ff.lock", "notes"];
    for name in names {
        temp.open(name, cofferdam_vfs::OpenMode::CreateNew).unwrap();
    }
    let database = open();
    let image = disk.image();
    let left: Vec<_> = names.iter().filter(|name| image.contains_key(&format!("/db/tmp/{name}"))).collect();
    assert_eq!(left, [&"notes"]);
    drop(database);
}

/// Windows whose functions look at a few rows, at peers, at all of a partition, and at rows here and there.
const WINDOWS: [&str; 6] = [
    "row_number() OVER (ORDER BY name), lag(name, 700) OVER (ORDER BY name)",
    "sum(number) OVER (PARTITION BY number % 3 ORDER BY number % 500)",
    "percent_rank() OVER (PARTITION BY number % 2 ORDER BY name), count(*) OVER ()",
    "sum(number) OVER (ORDER BY name ROWS BETWEEN 900 PRECEDING AND 100 FOLLOWING)",
    "min(name) OVER (ORDER BY number RANGE BETWEEN 3 PRECEDING AND 2 FOLLOWING EXCLUDE CURRENT ROW)",
    "last_value(name) OVER (PARTITION BY number % 2 ORDER BY name ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
];

/// A sum of all rows' texts, which does not depend on their order.
fn digest(database: &Database, sql: &str) -> Result<u64, Error> {
    database.connect()?.query(sql, |rows| {
        let mut sum = 0u64;
        while let Some(row) = rows.next_row()? {
            let mut hash = 0xcbf2_9ce4_8422_2325u64;
            for value in row.values() {
                for byte in value.to_string().bytes().chain([0]) {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
            sum = sum.wrapping_add(hash);
        }
        Ok(sum)
    })
}

/// Aim: windows over partitions and frames larger than memory give the same rows, stay below the limit, and leave no file. Method: each
/// with ample memory and with little.
#[test]
fn windows_larger_than_memory_are_spilled() {
    let rows = Rows::new("windows");
    let (_, ample) = database(64 << 20);
    for functions in WINDOWS {
        let sql = format!("SELECT number, {functions} FROM '{}'", rows.0.display());
        let (disk, tight) = database(1 << 20);
        assert_eq!(digest(&tight, &sql).unwrap(), digest(&ample, &sql).unwrap(), "{functions}");
        let counts = tight.temporary_counts();
        assert!(counts.files_total > 0 && counts.files_now == 0 && disk.used_bytes() == 0, "{counts:?}");
        assert!(tight.budget().peak() <= 1 << 20);
    }
    assert_eq!(ample.temporary_counts().files_total, 0);
}

/// Aim: what goes wrong with the files of a window is the statement's error, at whatever operation, and leaves nothing.
#[test]
fn failures_of_the_disk_end_a_window() {
    let rows = Rows::new("window-failures");
    let sql = format!("SELECT number, {} FROM '{}'", WINDOWS[2], rows.0.display());
    let (disk, tight) = database(1 << 20);
    let expected = digest(&tight, &sql).unwrap();
    for (op, fault, state) in [
        (Op::Write, Fault::Error(28), "53100"),
        (Op::Read, Fault::Error(5), "58030"),
        (Op::Write, Fault::FlipStored, "XX001"),
    ] {
        let mut failures = 0;
        for nth in [1, 4, 15, 40, 90] {
            disk.inject(Rule::new([op], fault).file("cofferdam-*-*-*").nth(nth));
            match digest(&tight, &sql) {
                Ok(answer) => assert_eq!(answer, expected),
                Err(error) => {
                    assert_eq!(error.sqlstate(), state, "{error}");
                    failures += 1;
                }
            }
            disk.clear_rules();
            assert_eq!((tight.temporary_counts().files_now, disk.used_bytes()), (0, 0));
        }
        assert!(failures > 1, "{op:?} {fault:?}: {failures}");
    }
}

/// The answer to a query over so many rows, under each of these limits for a statement.
fn answers_below(rows: u64, sql: &str, expected: &str, limits_kib: &[u64]) {
    let database = Database::open_in_memory(Options::new().memory_limit(64 << 20)).unwrap();
    let connection = database.connect().unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE t (k integer PRIMARY KEY, s text);
             INSERT INTO t SELECT i, 'text number ' || i FROM generate_series(1, {rows}) AS i",
        ))
        .unwrap();
    for kib in limits_kib {
        connection.execute(&format!("SET statement_memory_limit = '{kib}KiB'")).unwrap();
        let row = connection.query(sql, crate::support::table).unwrap();
        assert_eq!(row.lines().last(), Some(expected), "{kib} KiB");
    }
}

/// Aim: what one DISTINCT holds is given to the other, and to the join behind both. Method: limits at which all three go to disk.
#[test]
fn rows_that_passed_once_make_room_for_others() {
    let sql = "SELECT count(*), sum(k), max(s)
               FROM (SELECT k, s FROM t UNION SELECT k + 1, s FROM t UNION SELECT k, s || 'x' FROM t) AS u
               JOIN (SELECT k AS k2, s AS s2 FROM t) AS v ON u.k = v.k2";
    answers_below(8000, sql, "23999|96011999|text number 9x", &[4 << 10, 5 << 10]);
}

/// Aim: what an aggregate holds of distinct or ordered arguments is given to a join in the same pipeline, whose rows are long. Method:
/// limits between little and enough.
#[test]
fn distinct_and_ordered_arguments_make_room_for_others() {
    let sql = "SELECT count(DISTINCT a.s || b.s), max(length(b.s)), length(string_agg(a.s, '' ORDER BY a.s))
               FROM t AS a JOIN t AS b ON a.k = b.k + 1";
    answers_below(6000, sql, "5999|16|94880", &[4096, 4864, 5632, 6400, 7168, 7936]);
}

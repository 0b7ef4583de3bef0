//! Who flushes and compacts behind statements: a worker of the database's own, one that databases share, or nobody.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Budget, Database, Options, Worker};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::Vfs;

const LIMIT_BYTES: u64 = 16 << 20;
const STACK_BYTES: u64 = Worker::STACK_BYTES as u64;
const STATEMENTS: usize = 60;
const ROWS: usize = 100;

fn options(disk: &Arc<SimDisk>, limit_bytes: u64) -> Options {
    let vfs: Arc<dyn Vfs> = Arc::clone(disk) as Arc<dyn Vfs>;
    Options::new().memory_limit(limit_bytes).vfs(&vfs)
}

fn segment_files(disk: &SimDisk) -> usize {
    disk.image().keys().filter(|path| path.contains("segments")).count()
}

/// Six megabytes in small statements, each over all of the range of keys.
fn fill(database: &Database) {
    let connection = database.connect().unwrap();
    connection.execute("CREATE TABLE t (a integer PRIMARY KEY, b text)").unwrap();
    let text = "x".repeat(1000);
    for statement in 0..STATEMENTS {
        let mut sql = "INSERT INTO t VALUES ".to_owned();
        for row in 0..ROWS {
            let separator = if row == 0 { "" } else { ", " };
            write!(sql, "{separator}({}, '{text}')", row * STATEMENTS + statement).unwrap();
        }
        connection.execute(&sql).unwrap();
    }
}

#[track_caller]
fn assert_full(database: &Database) {
    assert_eq!(database.connect().unwrap().execute("SELECT a FROM t").unwrap(), (STATEMENTS * ROWS) as u64);
}

#[track_caller]
fn wait_for_compaction(disk: &SimDisk, before: usize) {
    let started = Instant::now();
    while segment_files(disk) >= before {
        assert!(started.elapsed() < Duration::from_secs(60), "{before} files stay");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Aim: what was left by who had no worker is compacted as soon as there is one, of its own or shared, without any write.
/// Method: a database that nobody compacts, opened again; files become fewer.
#[test]
fn a_worker_compacts_what_it_finds() {
    for is_shared in [false, true] {
        let disk = Arc::new(SimDisk::new(1));
        let database = Database::open("/db", options(&disk, LIMIT_BYTES).without_worker()).unwrap();
        fill(&database);
        drop(database);
        let before = segment_files(&disk);
        assert!((4..8).contains(&before), "{before}");
        let process = Budget::root("process", 1 << 20).unwrap();
        let worker = Arc::new(Worker::start(&process).unwrap());
        let options = options(&disk, LIMIT_BYTES);
        let database =
            Database::open("/db", if is_shared { options.worker(&worker) } else { options }).unwrap();
        wait_for_compaction(&disk, before);
        assert_full(&database);
        drop(database);
        assert_eq!(Arc::strong_count(&worker), 1);
    }
}

/// Aim: a stack is charged where there is room for it, and nowhere else.
#[test]
fn a_worker_is_started_where_its_stack_is_a_small_part() {
    let used = |limit_bytes: u64, has_worker: bool| {
        let disk = Arc::new(SimDisk::new(1));
        let options = options(&disk, limit_bytes);
        let database = Database::open("/db", if has_worker { options } else { options.without_worker() });
        database.unwrap().budget().used()
    };
    assert_eq!(used(1 << 20, true), used(1 << 20, false));
    assert!(used(LIMIT_BYTES, true) >= used(LIMIT_BYTES, false) + STACK_BYTES);
}

/// Aim: closing waits for nothing but the end of what its worker is doing, and then the directory is free and the memory back.
/// Method: databases that are closed while they are flushed and compacted, and opened again at once.
#[test]
fn a_database_that_was_closed_can_be_opened_at_once() {
    let disk = Arc::new(SimDisk::new(1));
    let process = Budget::root("process", 64 << 20).unwrap();
    fill(&Database::open("/db", options(&disk, LIMIT_BYTES).parent(&process)).unwrap());
    let before = process.used();
    assert!(before < STACK_BYTES, "{before}");
    for _ in 0..5 {
        let started = Instant::now();
        assert_full(&Database::open("/db", options(&disk, LIMIT_BYTES).parent(&process)).unwrap());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        assert_eq!(process.used(), before);
    }
}

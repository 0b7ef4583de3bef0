//! A table far larger than its memory: two gigabytes under eight megabytes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, Durability, Error, KeyRange, Options, RowReader, Scan, Stall, Store, TableDef, TableId, Watch,
    Worker, check,
};
use cofferdam_testkit::footprint::sample;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::{OsVfs, Vfs};

use crate::engine::{KEY, column};
use crate::memory::Temporary;

const LIMIT_BYTES: u64 = 8 << 20;
/// What the process may take beside the limit: stacks, the allocator's own, what a thread has.
const BESIDE_BYTES: u64 = 2 << 20;
const TEXT_BYTES: usize = 100;
/// Bytes of a row's values.
const ROW_BYTES: u64 = 8 + 8 + TEXT_BYTES as u64;

/// Private bytes of this process at their highest.
struct Sampling {
    peak: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn private_bytes() -> u64 {
    sample(std::process::id()).unwrap().map_or(0, |sample| sample.private_bytes)
}

impl Sampling {
    fn start() -> Sampling {
        let (peak, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&peak), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !shared.1.load(Ordering::Relaxed) {
                shared.0.fetch_max(private_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Sampling { peak, is_over, thread: Some(thread) }
    }

    fn stop(mut self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.peak.load(Ordering::Relaxed)
    }
}

/// Numbers without a pattern (splitmix64).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A text of a row that no encoding makes much smaller.
fn text_of(id: u64, text: &mut [u8; TEXT_BYTES]) -> &str {
    for (word, bytes) in text.chunks_mut(8).enumerate() {
        let number = mixed(id * 16 + word as u64).to_le_bytes();
        bytes.iter_mut().zip(number).for_each(|(byte, number)| *byte = b'!' + number % 94);
    }
    std::str::from_utf8(text).unwrap()
}

fn put(
    store: &Store,
    budget: &Budget,
    table: TableId,
    rows: impl Iterator<Item = (u64, u64)>,
) -> Result<(), Error> {
    let mut transaction = store.begin(budget)?;
    let mut text = [0; TEXT_BYTES];
    for (id, salt) in rows {
        let text = text_of(id ^ salt << 40, &mut text);
        let amount = (id + salt) as i64;
        transaction.put(table, &[Value::BigInt(id as i64), Value::BigInt(amount), Value::Text(text)])?;
    }
    transaction.commit(Durability::Normal).map(|_| ())
}

/// How many rows there are, and the sum of their amounts.
fn totals(store: &Store, budget: &Budget) -> (u64, i64) {
    let arena = Arena::new(budget);
    let snapshot = store.snapshot().unwrap();
    let table = snapshot.table("large").unwrap();
    let mut scan = Scan::new(&table, &[1, 2], &KeyRange::ALL, &arena).unwrap();
    let mut amounts = Column::new(Type::BigInt, 1024, &arena).unwrap();
    let mut texts = Column::new(Type::Text, 1024, &arena).unwrap();
    let (mut count, mut sum) = (0, 0);
    loop {
        amounts.clear();
        texts.clear();
        let rows = scan.next(snapshot.view(), &mut [amounts.target(), texts.target()], 1024).unwrap();
        if rows == 0 {
            return (count, sum);
        }
        count += rows as u64;
        for row in 0..rows {
            let (Value::BigInt(amount), Value::Text(text)) = (amounts.value(row), texts.value(row)) else {
                panic!("NULL")
            };
            assert_eq!(text.len(), TEXT_BYTES);
            sum += amount;
        }
    }
}

fn directory_bytes(path: &Path) -> u64 {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().map_or(0, |data| data.len())).sum()
}

/// Aim: a table of any size is loaded, changed, compacted, scanned and checked within the limit, whatever the order of its keys.
/// Method: a tenth of the rows in one transaction in order of keys, the others in transactions of ten thousand at random keys; then
/// every hundredth row is changed. The process's private memory is sampled all the time.
#[test]
#[ignore = "writes several gigabytes; STORE_LARGE_BYTES says how many"]
fn a_table_of_two_gigabytes_is_kept_under_eight_megabytes() {
    let bytes = std::env::var("STORE_LARGE_BYTES").map_or(2 << 30, |bytes| bytes.parse().unwrap());
    // A power of two, so that an odd factor visits each row once.
    let rows = (bytes / ROW_BYTES).next_power_of_two();
    let place = Temporary::new("large");
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let budget = Budget::root("process", LIMIT_BYTES).unwrap();
    // The sampling's own thread is there before the first figure.
    let sampling = Sampling::start();
    std::thread::sleep(Duration::from_millis(20));
    let before = private_bytes();
    let began = Instant::now();
    let said = |what: &str| println!("{:>7.1} s  {what}", began.elapsed().as_secs_f64());
    {
        let shared = budget.child("db", LIMIT_BYTES - (1 << 20)).unwrap();
        let caller = budget.child("caller", 1 << 20).unwrap();
        let worker = Worker::start(&budget).unwrap();
        let options = Options::new().stall(Stall::Wait(Duration::from_secs(600)));
        let store = Store::open(&vfs, &place.0, &shared, &options).unwrap();
        store.attach(&worker).unwrap();
        let mut transaction = store.begin(&caller).unwrap();
        let columns = [
            column("id", Type::BigInt, false),
            column("amount", Type::BigInt, false),
            column("text", Type::Text, false),
        ];
        let def = TableDef { name: "large", columns: &columns, key: &KEY, properties: b"" };
        let table = transaction.create_table(&def).unwrap();
        transaction.commit(Durability::Full).unwrap();

        let ordered = rows / 10;
        put(&store, &caller, table, (0..ordered).map(|id| (id, 0))).unwrap();
        said(&format!("{ordered} rows in one transaction"));
        let others =
            (0..rows).map(|i| (i.wrapping_mul(0x9e37_79b1) % rows, 0)).filter(|(id, _)| *id >= ordered);
        let mut others = others.peekable();
        while others.peek().is_some() {
            put(&store, &caller, table, others.by_ref().take(10_000)).unwrap();
        }
        said(&format!("{} rows at random keys", rows - ordered));
        put(&store, &caller, table, (0..rows).step_by(100).map(|id| (id, 1))).unwrap();
        said("every hundredth row changed in one transaction");
        store.flush().unwrap();
        store.compact().unwrap();
        said("compacted");
        let expected = (rows * (rows - 1) / 2 + rows.div_ceil(100)) as i64;
        assert_eq!(totals(&store, &caller), (rows, expected));
        said("scanned");
        let arena = Arena::new(&caller);
        let snapshot = store.snapshot().unwrap();
        let mut reader = RowReader::new(&snapshot.table("large").unwrap(), &arena);
        for i in 0..20_000 {
            let id = mixed(i) % rows;
            let amount =
                reader.get(snapshot.view(), &[Value::BigInt(id as i64)], |row| match row.value(1)? {
                    Value::BigInt(amount) => Ok(amount),
                    other => panic!("{other}"),
                });
            assert_eq!(amount.unwrap(), Some((id + u64::from(id.is_multiple_of(100))) as i64));
        }
        said("20,000 rows read at random");
        drop((snapshot, worker));
        store.close().unwrap();
        check(&vfs, &place.0, &shared, Watch::NOBODY, &mut |finding| panic!("{finding:?}")).unwrap();
        said("checked");
    }
    let peak = sampling.stop() - before.min(private_bytes());
    println!(
        "{rows} rows of {ROW_BYTES} bytes ({} MiB), {} MiB of files; private memory at most {} KiB above what it was, budget at \
         most {} KiB of {} KiB",
        (rows * ROW_BYTES) >> 20,
        directory_bytes(&place.0) >> 20,
        peak >> 10,
        budget.peak() >> 10,
        LIMIT_BYTES >> 10
    );
    assert!(peak <= LIMIT_BYTES + BESIDE_BYTES, "{peak}");
}

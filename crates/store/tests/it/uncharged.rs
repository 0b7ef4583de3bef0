//! What a store takes from the allocator that no budget pays for.
//!
//! Every allocation of the thread is counted, those of budgeted pieces too: the global allocator serves chunks of arenas and pieces of
//! lists here. What is charged is rounded up to whole kibibytes and has a kibibyte for each open file, which is more than what handles
//! take that are not charged one by one (`docs/BUDGETS.md` lists them). So at any moment what is live on the heap is at most what is charged.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{Durability, KeyRange, Options, RowReader, Scan, Store};
use cofferdam_testkit::counting::Counting;
use cofferdam_types::Value;
use cofferdam_vfs::{OsVfs, Vfs};

use crate::engine::create_names;
use crate::memory::Temporary;

/// What is live beyond what the budgets of `process` are charged.
fn uncharged_bytes(counting: &Counting, budgets: &[&Budget]) -> i64 {
    let charged: u64 =
        budgets.iter().map(|budget| budget.walk().next().map_or(0, |stats| stats.used_bytes)).sum();
    counting.bytes_left() - charged as i64
}

/// Aim: an open store never takes more than its budgets say, whatever it holds and does. Method: what is live on the heap
/// against what is charged, at every step of a life on files of the system, with many tables, snapshots, transactions and segments.
#[test]
fn a_store_never_takes_more_than_its_budgets_say() {
    let place = Temporary::new("uncharged");
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let process = Budget::unlimited("process").unwrap();
    let (budget, caller) = (process.child("db", 4 << 20).unwrap(), process.child("caller", 4 << 20).unwrap());
    let counting = Counting::start();
    let at = |step: &str, most: i64| {
        let bytes = uncharged_bytes(&counting, &[&budget, &caller]);
        // Nothing is printed on the way: what a test prints is kept on the heap.
        assert!(bytes <= most, "{step}: {bytes}\n{}", budget.memory_tree());
    };
    at("nothing", 0);
    let store =
        Store::open(&vfs, Path::new(&place.0), &budget, &Options::new().memtable_bytes(64 << 10)).unwrap();
    at("open", 0);
    let table = create_names(&store, &caller);
    at("a table", 0);
    for round in 0..12 {
        let mut transaction = store.begin(&caller).unwrap();
        for id in 0..100 {
            let name = [b'x'; 100];
            let name = std::str::from_utf8(&name[..50 + (id as usize + round) % 50]).unwrap();
            transaction.put(table, &[Value::BigInt(id), Value::Text(name)]).unwrap();
        }
        at("a transaction", 0);
        transaction.commit(Durability::Normal).unwrap();
        store.flush().unwrap();
        at("a flush", 0);
    }
    store.compact().unwrap();
    at("a compaction", 0);
    let mut many = vec![];
    many.reserve_exact(500);
    let list_bytes = 500 * size_of::<cofferdam_store::Snapshot>() as i64;
    for _ in 0..500 {
        many.push(store.snapshot().unwrap());
    }
    at("500 snapshots, their handles the caller's", list_bytes);
    drop(many);
    for number in 0..50 {
        let mut transaction = store.begin(&caller).unwrap();
        let name = [b'a' + number / 26, b'a' + number % 26];
        let columns = [crate::engine::column("id", cofferdam_types::Type::BigInt, false)];
        let def = cofferdam_store::TableDef {
            name: std::str::from_utf8(&name).unwrap(),
            columns: &columns,
            key: &crate::engine::KEY,
            properties: b"",
        };
        transaction.create_table(&def).unwrap();
        transaction.commit(Durability::Normal).unwrap();
    }
    at("50 tables more", 0);
    let snapshot = store.snapshot().unwrap();
    let names = snapshot.table("names").unwrap();
    {
        let arena = Arena::new(&caller);
        let mut reader = RowReader::new(&names, &arena);
        for id in 0..100 {
            reader
                .get(snapshot.view(), &[Value::BigInt(id)], |row| row.value(1).map(|_| ()))
                .unwrap()
                .unwrap();
        }
        at("point reads", 0);
        let mut scan = Scan::new(&names, &[], &KeyRange::ALL, &arena).unwrap();
        while scan.next(snapshot.view(), &mut [], 64).unwrap() > 0 {}
        at("a scan", 0);
    }
    drop((names, snapshot));
    at("after reads", 0);
    store.close().unwrap();
    at("closed", 0);
    assert_eq!((budget.used(), caller.used()), (0, 0));
}

//! What a store takes from the allocator that no budget pays for.
//!
//! Every allocation of the thread is counted, those of budgeted pieces too: the global allocator serves chunks of arenas and pieces of
//! lists here. So at any moment what is live on the heap is what the budgets have been charged, and what `docs/BUDGETS.md` lists.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{Durability, KeyRange, Options, RowReader, Scan, Store};
use cofferdam_testkit::counting::Counting;
use cofferdam_types::Value;
use cofferdam_vfs::{OsVfs, Vfs};

use crate::engine::create_names;
use crate::memory::Temporary;

/// What an open store holds that is not charged: its own handle, the directory's, accounts of allocators, the nodes of its budgets.
const STORE_BYTES: i64 = 4 << 10;

/// What is live beyond what the budgets of `process` are charged.
fn uncharged_bytes(counting: &Counting, budgets: &[&Budget]) -> i64 {
    let charged: u64 =
        budgets.iter().map(|budget| budget.walk().next().map_or(0, |stats| stats.used_bytes)).sum();
    counting.counts().bytes_left - charged as i64
}

/// Aim: an open store takes no byte outside of its budgets but a fixed few, whatever it holds and does. Method: what is live on the heap
/// against what is charged, at every step of a life on files of the system, with many tables, snapshots, transactions and segments.
#[test]
fn a_store_takes_nothing_outside_of_its_budgets_but_a_listed_few() {
    let place = Temporary::new("uncharged");
    let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
    let process = Budget::unlimited("process").unwrap();
    let (budget, caller) = (process.child("db", 4 << 20).unwrap(), process.child("caller", 4 << 20).unwrap());
    let counting = Counting::start();
    let at = |step: &str, most: i64| {
        let bytes = uncharged_bytes(&counting, &[&budget, &caller]);
        println!("{step}: {bytes} bytes beyond what is charged");
        assert!(bytes <= most, "{step}: {bytes}\n{}", budget.memory_tree());
    };
    at("nothing", 0);
    let store =
        Store::open(&vfs, Path::new(&place.0), &budget, &Options::new().memtable_bytes(64 << 10)).unwrap();
    at("open", STORE_BYTES);
    let table = create_names(&store, &caller);
    at("a table", STORE_BYTES);
    for round in 0..12 {
        let mut transaction = store.begin(&caller).unwrap();
        for id in 0..100 {
            let name = [b'x'; 100];
            let name = std::str::from_utf8(&name[..50 + (id as usize + round) % 50]).unwrap();
            transaction.put(table, &[Value::BigInt(id), Value::Text(name)]).unwrap();
        }
        at("a transaction", STORE_BYTES + 1024);
        transaction.commit(Durability::Normal).unwrap();
        store.flush().unwrap();
        at("a flush", STORE_BYTES);
    }
    store.compact().unwrap();
    at("a compaction", STORE_BYTES);
    let mut many = vec![];
    many.reserve_exact(500);
    let list_bytes = 500 * size_of::<cofferdam_store::Snapshot>() as i64;
    for _ in 0..500 {
        many.push(store.snapshot().unwrap());
    }
    at("500 snapshots, their handles the caller's", STORE_BYTES + list_bytes);
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
    at("50 tables more", STORE_BYTES);
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
        at("point reads", STORE_BYTES + 256);
        let mut scan = Scan::new(&names, &[], &KeyRange::ALL, &arena).unwrap();
        while scan.next(snapshot.view(), &mut [], 64).unwrap() > 0 {}
        at("a scan", STORE_BYTES + 512);
    }
    drop((names, snapshot));
    at("after reads", STORE_BYTES);
    store.close().unwrap();
    at("closed", 0);
    assert_eq!((budget.used(), caller.used()), (0, 0));
}

//! Many databases in one process, below one budget, with one worker.

use std::path::Path;
use std::sync::Arc;

use cofferdam_arena::{Arena, Budget};
use cofferdam_store::{
    Column, Durability, Error, KeyRange, MINIMUM_BYTES, Options, Scan, Store, TableId, Worker,
};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_types::{Type, Value};
use cofferdam_vfs::Vfs;

use crate::engine::{create_names, rows};

const PARENT_BYTES: u64 = 64 << 20;
const TENANTS: usize = 200;
/// Of each: together they are just what the parent has.
const LIMIT_BYTES: u64 = PARENT_BYTES / TENANTS as u64;

/// A database with the budget of all that it and its callers take.
struct Tenant {
    disk: SimDisk,
    budget: Budget,
    store: Store,
    table: TableId,
    /// How many rows it was given.
    rows: i64,
}

fn open(disk: &SimDisk, budget: &Budget) -> Result<Store, Error> {
    let vfs: Arc<dyn Vfs> = Arc::new(disk.clone());
    Store::open(&vfs, Path::new("/db"), budget, &Options::new())
}

impl Tenant {
    fn open(parent: &Budget, number: usize, limit_bytes: u64) -> Tenant {
        let (disk, budget) = (SimDisk::new(number as u64), parent.child("tenant", limit_bytes).unwrap());
        let store = open(&disk, &budget).unwrap_or_else(|error| panic!("{number}: {error}"));
        let table = create_names(&store, &budget);
        Tenant { disk, budget, store, table, rows: 0 }
    }

    fn put(&mut self, count: i64) -> Result<(), Error> {
        let mut transaction = self.store.begin(&self.budget)?;
        for id in self.rows..self.rows + count {
            let name = format!("{id} {}", "x".repeat(80));
            transaction.insert(self.table, &[Value::BigInt(id), Value::Text(&name)])?;
        }
        transaction.commit(Durability::Normal)?;
        self.rows += count;
        Ok(())
    }

    fn assert_whole(&self, number: usize) {
        let found = rows(&self.store, self.store.snapshot().unwrap().view(), "names");
        assert_eq!(found.len() as i64, self.rows, "{number}");
        assert!(found.iter().zip(0..).all(|(row, id)| row.starts_with(&format!("{id} {id} "))), "{number}");
    }

    /// Does what takes all of the tenant's memory: a scan of batches that do not fit, with a transaction that is kept open.
    fn run_out(&self) -> Error {
        let snapshot = self.store.snapshot().unwrap();
        let table = snapshot.table("names").unwrap();
        let arena = Arena::new(&self.budget);
        let mut held = vec![];
        loop {
            let scan = || -> Result<_, Error> {
                let mut scan = Scan::new(&table, &[0, 1], &KeyRange::ALL, &arena)?;
                let mut columns =
                    [Column::new(Type::BigInt, 2000, &arena)?, Column::new(Type::Text, 2000, &arena)?];
                let [a, b] = &mut columns;
                scan.next(snapshot.view(), &mut [a.target(), b.target()], 2000)?;
                Ok(columns)
            };
            match scan() {
                Ok(columns) => held.push(columns),
                Err(error) => return error,
            }
        }
    }
}

/// Aim: two hundred databases share 64 MiB and one worker, all of them work, and one that runs out disturbs none of the others. Method:
/// each writes more than its memtables hold; one fills its own limit with scans that it keeps, another one all that the parent has left.
#[test]
fn two_hundred_databases_share_a_parent_and_a_worker() {
    let process = Budget::unlimited("process").unwrap();
    let parent = process.child("parent", PARENT_BYTES).unwrap();
    let worker = Worker::start(&parent).unwrap();
    let mut tenants: Vec<Tenant> =
        (0..TENANTS).map(|number| Tenant::open(&parent, number, LIMIT_BYTES)).collect();
    let at_rest = parent.used();
    for tenant in &tenants {
        tenant.store.attach(&worker).unwrap();
    }
    let rounds = if cfg!(debug_assertions) { 6 } else { 40 };
    for round in 0..rounds {
        for (number, tenant) in tenants.iter_mut().enumerate() {
            // Some write much more than others.
            let count = if number % 20 == 0 { 100 } else { 40 };
            tenant.put(count).unwrap_or_else(|error| {
                panic!(
                    "{number}, {round}: {error}: {:?}",
                    tenant.budget.last_refusal().map(|r| r.to_string())
                )
            });
        }
    }
    let flushes: u64 = tenants.iter().map(|tenant| tenant.store.counters().flushes_count).sum();
    println!(
        "at rest {} KiB, at most {} KiB of {} KiB, {flushes} flushes",
        at_rest >> 10,
        parent.peak() >> 10,
        PARENT_BYTES >> 10
    );
    assert!(flushes >= 10, "{flushes}");
    let error = tenants[7].run_out();
    assert!(matches!(error, Error::OutOfMemory(_)), "{error}");
    let record = tenants[7].budget.last_refusal().unwrap();
    assert!(record.path().starts_with("process/parent/tenant"), "{record}");
    // While it holds all that it may have, the others go on.
    let snapshot = tenants[7].store.snapshot().unwrap();
    let arena = Arena::new(&tenants[7].budget);
    while arena.alloc_slice_fill(1000, 0u8).is_ok() {}
    for (number, tenant) in tenants.iter_mut().enumerate().filter(|(number, _)| *number != 7) {
        tenant.put(30).unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    drop((arena, snapshot));
    tenants[7].put(30).unwrap();
    for (number, tenant) in tenants.iter().enumerate() {
        tenant.assert_whole(number);
    }
    // All of it is there again.
    for (number, tenant) in tenants.into_iter().enumerate() {
        let Tenant { disk, budget, store, table, rows } = tenant;
        store.close().unwrap();
        worker_is_done(&budget);
        if number % 10 == 0 {
            let store = open(&disk, &budget).unwrap();
            Tenant { disk, budget, store, table, rows }.assert_whole(number);
        }
    }
    drop(worker);
    assert_eq!(parent.used(), 0);
}

/// The worker may hold a store for the moment that it looks at it.
fn worker_is_done(budget: &Budget) {
    let started = std::time::Instant::now();
    while budget.used() > 0 {
        assert!(started.elapsed().as_secs() < 20, "{}", budget.memory_tree());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Aim: even where somebody else has taken everything that they share, a database gives typed errors and loses nothing, and goes on when
/// there is room again. Method: the parent's last bytes are taken while databases with no limits of their own are open.
#[test]
fn a_parent_that_is_used_up_costs_its_databases_nothing_but_time() {
    let process = Budget::unlimited("process").unwrap();
    let parent = process.child("parent", 20 * MINIMUM_BYTES).unwrap();
    let mut tenants: Vec<Tenant> = (0..10).map(|number| Tenant::open(&parent, number, u64::MAX)).collect();
    for tenant in &mut tenants {
        tenant.put(50).unwrap();
    }
    let mut taken = 0;
    while parent.charge(1 << 10).is_ok() {
        taken += 1 << 10;
    }
    let mut refused = 0;
    for (number, tenant) in tenants.iter_mut().enumerate() {
        for _ in 0..20 {
            match tenant.put(50) {
                Ok(()) => {}
                Err(Error::OutOfMemory(_)) => refused += 1,
                Err(error) => panic!("{number}: {error}"),
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} {refused}");
    parent.release(taken);
    for (number, tenant) in tenants.iter_mut().enumerate() {
        tenant.put(50).unwrap_or_else(|error| panic!("{number}: {error}"));
        tenant.store.flush().unwrap();
        tenant.assert_whole(number);
    }
}

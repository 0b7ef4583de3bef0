//! How fast the write-ahead log is appended to and replayed: `cargo run --release -p cofferdam-store --example wal_speed`.
//!
//! Entries of 100 bytes (a key of 9, a row of 91), in one transaction and in one each, over files in a temporary directory.
//! CPU time is the process's, user and system; syncs are left out but for the one at the end.

#![allow(clippy::disallowed_types)]

use std::sync::Arc;
use std::time::Instant;

use cofferdam_arena::Budget;
use cofferdam_store::directory::{Access, Directory};
use cofferdam_store::wal::{Change, Entry, Event, WalWriter, recover};
use cofferdam_store::{Error, TableId};
use cofferdam_vfs::{OsVfs, Vfs};

const ENTRIES_COUNT: u64 = 1_000_000;

/// User and system time of this process, in nanoseconds.
fn cpu_ns() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields =
        text.rsplit(')').next().unwrap_or("").split_whitespace().map(|field| field.parse().unwrap_or(0));
    let fields: Vec<u64> = fields.collect();
    // Fields 14 and 15 of the file, in hundredths of a second.
    fields
        .get(11)
        .zip(fields.get(12))
        .map_or((0, 0), |(user, system)| (user * 10_000_000, system * 10_000_000))
}

fn measure<T>(what: &str, mut work: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let (start, before) = (Instant::now(), cpu_ns());
    let value = work()?;
    let wall = start.elapsed().as_nanos() as u64;
    let after = cpu_ns();
    let each = |ns: u64| ns as f64 / ENTRIES_COUNT as f64;
    let (user, system) = (each(after.0 - before.0), each(after.1 - before.1));
    println!("{what:<36} {:>7.1} ns wall, {user:>7.1} ns user, {system:>7.1} ns system", each(wall));
    Ok(value)
}

fn append(wal: &mut WalWriter, entries: u64, per_transaction: u64) -> Result<(), Error> {
    let row = [7; 91];
    let mut number = 0u64;
    while number < entries {
        let first = wal.last_sequence() + 1;
        let mut transaction = wal.begin(first)?;
        for sequence in first..first + per_transaction {
            let mut key = [1; 9];
            key[1..].copy_from_slice(&(number ^ 0x5555).to_be_bytes());
            transaction.put(&Entry {
                sequence,
                table: TableId(1),
                change: Change::Put,
                key: &key,
                row: &row,
            })?;
            number += 1;
        }
        transaction.commit()?;
    }
    wal.sync()
}

fn main() -> Result<(), Error> {
    for (buffer_bytes, per_transaction) in
        [(8 << 10, ENTRIES_COUNT), (256 << 10, ENTRIES_COUNT), (256 << 10, 1)]
    {
        let path = std::env::temp_dir().join(format!("cofferdam-wal-speed-{}", std::process::id()));
        let budget = Budget::root("process", 1 << 20).map_err(|_| Error::Cancelled)?;
        let vfs: Arc<dyn Vfs> = Arc::new(OsVfs);
        let (directory, root) = Directory::open(&vfs, &path, Access::Create, &budget)?;
        println!("buffer of {} KiB, {per_transaction} entries a transaction, per entry:", buffer_bytes >> 10);
        let mut wal = WalWriter::create(&directory, &root, 5, None, buffer_bytes, &budget)?;
        measure("  append, write, one sync", || append(&mut wal, ENTRIES_COUNT, per_transaction))?;
        println!("  {:.1} bytes", wal.bytes() as f64 / ENTRIES_COUNT as f64);
        wal.close()?;
        for replay_bytes in [16 << 10, 128 << 10] {
            let what = format!("  replay, both passes, {} KiB", replay_bytes >> 10);
            let mut sum = 0u64;
            measure(&what, || {
                recover(&directory, &root, 0, replay_bytes, &budget, &mut |event| {
                    if let Event::Entry(entry) = event {
                        sum += entry.key.len() as u64 + u64::from(entry.row[0]);
                    }
                    Ok(())
                })
            })?;
            assert_eq!(sum, ENTRIES_COUNT * 16);
        }
        drop(directory);
        std::fs::remove_dir_all(&path).ok();
    }
    Ok(())
}

//! The engines, each behind [`KvEngine`]. One more is one more file and one more line in each of the two functions.

#[cfg(feature = "peers")]
mod fjall;
pub mod ours;
mod plain;
#[cfg(feature = "peers")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "peers")]
mod sqlite;

#[cfg(doc)]
use crate::kv::KvEngine;

use crate::cell::{Figures, Outcome, Settings};
use crate::kv::Workload;

/// The names of those that are part of this program.
pub fn names() -> Vec<&'static str> {
    let mut names = ours::ENGINES.to_vec();
    if cfg!(feature = "peers") {
        names.extend(["sqlite", "redb", "fjall"]);
    }
    if cfg!(feature = "rocksdb") {
        names.push("rocksdb");
    }
    names.push("plain-log");
    names
}

/// Runs `workload` on the engine `name`.
///
/// # Errors
/// No engine is called so, or its own.
pub fn run(name: &str, workload: Workload, settings: &Settings) -> Outcome<Figures> {
    match name {
        #[cfg(feature = "peers")]
        "sqlite" => workload.run::<sqlite::Sqlite>(settings),
        #[cfg(feature = "peers")]
        "redb" => workload.run::<redb::Redb>(settings),
        #[cfg(feature = "peers")]
        "fjall" => workload.run::<fjall::Fjall>(settings),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => workload.run::<rocksdb::Rocks>(settings),
        "plain-log" => workload.run::<plain::Log>(settings),
        _ => ours::engine(name, workload, settings),
    }
}

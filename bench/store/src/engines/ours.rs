//! The place of `cofferdam_store`: it is measured as soon as it is named here. See the crate's README for what to write.

use crate::cell::{Figures, Outcome, Settings};
use crate::{kv, lineitem};

/// Ours, as engines of small rows ([`kv::KvEngine`]): none yet.
pub const ENGINES: &[&str] = &[];
/// Ours, as memtables ([`crate::memtable::SharedMap`]): none yet.
pub const MEMTABLES: &[&str] = &[];
/// Ours, as stores of `lineitem` ([`lineitem::LineitemStore`]): none yet.
pub const LINEITEM_STORES: &[&str] = &[];

/// Runs a workload of small rows.
///
/// # Errors
/// None of ours is called `name`.
pub fn engine(name: &str, _workload: kv::Workload, _settings: &Settings) -> Outcome<Figures> {
    unknown(name)
}

/// Measures a memtable.
///
/// # Errors
/// None of ours is called `name`.
pub fn memtable(name: &str, _settings: &Settings) -> Outcome<Figures> {
    unknown(name)
}

/// Runs a workload on `lineitem`.
///
/// # Errors
/// None of ours is called `name`.
pub fn lineitem(name: &str, _workload: lineitem::Workload, _settings: &Settings) -> Outcome<Figures> {
    unknown(name)
}

fn unknown(name: &str) -> Outcome<Figures> {
    Err(format!("nobody is called `{name}`").into())
}

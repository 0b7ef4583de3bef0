//! The engine beside its peers, one statement a process: what `bench-tpch` and `bench-stress` share.
//!
//! Ours is the program `cofferdam` as people start it, with `-f` and the mode `csv`; its figures are of the whole process from
//! start to end. DuckDB and SQLite are Python packages, which `python/queries.py` drives; it says itself what the statement took,
//! so that the interpreter's start is not charged to them. Memory is sampled from outside, each millisecond, for all of them.
//! Answers go to files, and are compared where they are small.
//!
//! Map: [`contest`] the contestants, their databases and what a statement took; [`options`] the arguments both programs have;
//! [`report`] geometric means and the lines for people.

#[cfg(not(target_os = "linux"))]
compile_error!("memory and processor time of processes are read as Linux has them");

pub mod contest;
pub mod options;
pub mod report;

/// The result of anything here; whatever goes wrong is shown to the user.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

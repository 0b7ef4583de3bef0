//! What both programs are told.

use crate::Outcome;
use clap::Args;
use std::path::{Path, PathBuf};

/// The arguments that both programs have.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The scale factor of TPC-H; 1 is about a GB of files.
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,

    /// Only what is called so, such as q07 or `median`; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,

    /// How often each contestant runs each statement; the median counts.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub rounds: usize,

    /// A statement that takes longer is ended and has failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,

    /// Our program; by default `cofferdam` in the directory of this one, or else in ../release beside its target directory.
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,

    /// A Python with the package duckdb; without one, DuckDB does not take part.
    #[arg(long, value_name = "PATH")]
    pub python: Option<PathBuf>,

    /// Where databases are made and kept, on a file system that has a disk; by default `bench-engine` in the target directory.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,

    /// SQLite takes part too.
    #[arg(long)]
    pub sqlite: bool,

    /// DuckDB under the same limit as ours takes part too.
    #[arg(long)]
    pub limited: bool,

    /// Whether it works, not how fast it is: scale 0.01, one round.
    #[arg(long)]
    pub quick: bool,

    /// The exit code is 1 where a bar is missed.
    #[arg(long)]
    pub strict: bool,
}

impl Options {
    /// The arguments with what `--quick` means.
    pub fn completed(mut self) -> Options {
        if self.quick {
            (self.scale, self.rounds) = (0.01, 1);
        }
        self.rounds = self.rounds.max(1);
        self
    }

    /// Whether what is called `name` is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Our program.
    ///
    /// # Errors
    /// There is none where it ought to be.
    pub fn program(&self) -> Outcome<PathBuf> {
        let own = std::env::current_exe()?;
        let beside = own.with_file_name("cofferdam");
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/cofferdam");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map(|dir| PathBuf::from(dir).join("release/cofferdam"));
        let places = [self.program.clone(), Some(beside), target, Some(workspace)];
        let found = places.into_iter().flatten().find(|path| path.is_file());
        Ok(found
            .ok_or("no program: build it with `cargo build --release`, and name it with --program")?
            .canonicalize()?)
    }

    /// Where databases are.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn dir(&self) -> Outcome<PathBuf> {
        let own = std::env::current_exe()?;
        let target = own.parent().and_then(Path::parent).ok_or("the program is in no directory")?;
        let dir = self.dir.clone().unwrap_or_else(|| target.join("bench-engine"));
        std::fs::create_dir_all(&dir)?;
        Ok(dir.canonicalize()?)
    }
}

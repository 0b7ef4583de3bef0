//! A compilation as a bounded session: three arenas under one limit, checked stage by stage.
//!
//! ```text
//!   compile 64 KiB            one limit for all three; every chunk is checked against it before it is taken
//!   |- parse                  tokens and tree
//!   |- ir                     instructions, analyses
//!   `- code                   machine code, fixups
//! ```
//!
//! The limit is enforced on every chunk, so a runaway compilation stops at the allocation that would pass it. The
//! stage boundaries (seed 000: after analysis, after register allocation, after code generation, before final assembly)
//! add what a chunk cannot know: a stage that swallowed a refusal does not pass, and the next stage does not begin
//! where its known need no longer fits. Nothing outlives the [`Session`], because everything borrows it; between the
//! files of a batch the chunks are kept, so the peak is that of the largest file (seed 003).
//!
//! ```
//! use cofferdam_arena::{Budget, COMPILE_STAGES, CompilerArenas};
//!
//! let process = Budget::root("process", 1 << 20).unwrap();
//! let mut arenas = CompilerArenas::new(&process, 64 << 10)?;
//! for source in ["a + b", "a * (b + c)"] {
//!     let session = arenas.session();
//!     session.begin(&COMPILE_STAGES[0]);
//!     let text = session.parse().alloc_str(source)?;
//!     let values = session.ir().alloc_slice_from_iter(text.bytes().filter(u8::is_ascii_lowercase))?;
//!     assert!(values.len() >= 2);
//!     let report = session.finish_stage(1024).unwrap();
//!     assert_eq!((report.stage, report.limit_bytes), ("analysis", 64 << 10));
//! }
//! assert_eq!(arenas.stats().peak_bytes, 2048); // one chunk for parse, one for ir
//! # Ok::<(), cofferdam_arena::AllocError>(())
//! ```

use crate::arena::{Arena, ArenaStats};
use crate::budget::{Budget, BudgetOptions};
use crate::error::{AllocError, Stage};
use crate::text::human_bytes;
use core::cell::Cell;
use core::fmt;

/// The stages of a compilation; the limit is checked at the end of each.
pub static COMPILE_STAGES: [Stage; 4] = [
    Stage::new("analysis"),
    Stage::new("register allocation"),
    Stage::new("code generation"),
    Stage::new("final assembly"),
];

/// The arenas of a compiler: parse, IR and code, under one limit.
#[derive(Debug)]
pub struct CompilerArenas {
    parse: Arena,
    ir: Arena,
    code: Arena,
    budget: Budget,
}

impl CompilerArenas {
    /// Arenas that together take at most `limit_bytes` of `parent`'s. They take nothing until the first allocation.
    ///
    /// # Errors
    /// The tree cannot pay for its nodes.
    pub fn new(parent: &Budget, limit_bytes: u64) -> Result<CompilerArenas, AllocError> {
        let budget = parent.child_with("compile", BudgetOptions::limit(limit_bytes).keeps_refusals())?;
        Ok(CompilerArenas {
            parse: Arena::new(&budget.child("parse", u64::MAX)?),
            ir: Arena::new(&budget.child("ir", u64::MAX)?),
            code: Arena::new(&budget.child("code", u64::MAX)?),
            budget,
        })
    }

    /// Begins a compilation in empty arenas. When the session is dropped, everything in it is forgotten and the
    /// chunks are kept for the next; they are given back where something was refused.
    ///
    /// ```compile_fail,E0505
    /// # let process = cofferdam_arena::Budget::unlimited("doc").unwrap();
    /// let mut arenas = cofferdam_arena::CompilerArenas::new(&process, 1 << 20).unwrap();
    /// let session = arenas.session();
    /// let tree = session.parse().alloc(1).unwrap();
    /// drop(session);
    /// println!("{tree}"); // escaped the session
    /// ```
    pub fn session(&mut self) -> Session<'_> {
        self.budget.clear_refusal();
        Session { arenas: self, stage: Cell::new("") }
    }

    /// Forgets everything and keeps the chunks: between the files of a batch. A session does so at its end.
    pub fn reset(&mut self) {
        self.parse.reset();
        self.ir.reset();
        self.code.reset();
    }

    /// Forgets everything and gives the chunks back.
    pub fn release(&mut self) {
        self.parse.release();
        self.ir.release();
        self.code.release();
    }

    /// What the arenas hold; constant time.
    pub fn stats(&self) -> MemoryStats {
        MemoryStats {
            parse: self.parse.stats(),
            ir: self.ir.stats(),
            code: self.code.stats(),
            peak_bytes: self.budget.peak(),
            limit_bytes: self.budget.limit(),
        }
    }

    /// The budget of all three.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// What a compiler's arenas hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStats {
    /// The tree's arena.
    pub parse: ArenaStats,
    /// The instructions' arena.
    pub ir: ArenaStats,
    /// The machine code's arena.
    pub code: ArenaStats,
    /// The most that all three were charged at any time.
    pub peak_bytes: u64,
    /// The limit of all three.
    pub limit_bytes: u64,
}

impl MemoryStats {
    /// Charged, by all three.
    pub fn allocated_bytes(&self) -> usize {
        self.parse.allocated_bytes + self.ir.allocated_bytes + self.code.allocated_bytes
    }

    /// Handed out since the last reset, by all three.
    pub fn used_bytes(&self) -> usize {
        self.parse.used_bytes + self.ir.used_bytes + self.code.used_bytes
    }
}

impl fmt::Display for MemoryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "parse: {}", self.parse)?;
        writeln!(f, "ir:    {}", self.ir)?;
        writeln!(f, "code:  {}", self.code)?;
        write!(
            f,
            "total: {} used of {}, peak {} of {}",
            human_bytes(self.used_bytes() as u64),
            human_bytes(self.allocated_bytes() as u64),
            human_bytes(self.peak_bytes),
            human_bytes(self.limit_bytes)
        )
    }
}

/// One compilation. Everything that it allocates borrows it.
#[derive(Debug)]
pub struct Session<'s> {
    arenas: &'s mut CompilerArenas,
    stage: Cell<&'static str>,
}

impl Session<'_> {
    /// The arena for tokens and tree.
    pub fn parse(&self) -> &Arena {
        &self.arenas.parse
    }

    /// The arena for instructions and analyses.
    pub fn ir(&self) -> &Arena {
        &self.arenas.ir
    }

    /// The arena for machine code.
    pub fn code(&self) -> &Arena {
        &self.arenas.code
    }

    /// Names the stage that the compilation is in; refusals are recorded with it.
    pub fn begin(&self, stage: &'static Stage) {
        self.stage.set(stage.name());
        self.arenas.budget.set_stage(stage);
    }

    /// Ends the stage: it passes where nothing was refused in it and `next_needs_bytes`, the smallest known need of the
    /// next stage, is still free.
    ///
    /// # Errors
    /// An allocation was refused since the session began, or the next stage would be refused.
    pub fn finish_stage(&self, next_needs_bytes: u64) -> Result<StageReport, SessionError> {
        let budget = &self.arenas.budget;
        if budget.last_refusal().is_some() {
            return Err(self.explain(AllocError));
        }
        let available_bytes = budget.available();
        if available_bytes < next_needs_bytes {
            return Err(SessionError::NoRoom {
                stage: self.stage.get(),
                needed_bytes: next_needs_bytes,
                available_bytes,
                limit_bytes: budget.limit(),
            });
        }
        Ok(StageReport {
            stage: self.stage.get(),
            used_bytes: budget.used(),
            peak_bytes: budget.peak(),
            limit_bytes: budget.limit(),
        })
    }

    /// The session's error for a refused allocation, from the budget's record of it.
    pub fn explain(&self, _refused: AllocError) -> SessionError {
        let budget = &self.arenas.budget;
        match budget.last_refusal() {
            Some(record) => SessionError::OutOfMemory {
                stage: record.stage(),
                asked_bytes: record.asked_bytes(),
                used_bytes: record.used_bytes(),
                limit_bytes: record.limit_bytes(),
            },
            None => SessionError::OutOfMemory {
                stage: self.stage.get(),
                asked_bytes: 0,
                used_bytes: budget.used(),
                limit_bytes: budget.limit(),
            },
        }
    }

    /// What the arenas hold; constant time.
    pub fn stats(&self) -> MemoryStats {
        self.arenas.stats()
    }

    /// The budget of the session.
    pub fn budget(&self) -> &Budget {
        &self.arenas.budget
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.arenas.budget.last_refusal().is_some() {
            // What one arena took when the limit was reached, the next compilation may need in another.
            self.arenas.release();
        } else {
            self.arenas.reset();
        }
    }
}

/// What a stage's end found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageReport {
    /// The stage's name.
    pub stage: &'static str,
    /// Charged by all three arenas at that moment.
    pub used_bytes: u64,
    /// The most so far.
    pub peak_bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
}

impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} used of {}, peak {}",
            self.stage,
            human_bytes(self.used_bytes),
            human_bytes(self.limit_bytes),
            human_bytes(self.peak_bytes)
        )
    }
}

/// Why a compilation stopped. The caller can raise the session's limit, or run the query without compiling it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// An allocation was refused.
    OutOfMemory {
        /// The stage in which it was.
        stage: &'static str,
        /// What was asked for.
        asked_bytes: u64,
        /// What the refusing budget had handed out.
        used_bytes: u64,
        /// The refusing budget's limit.
        limit_bytes: u64,
    },
    /// A stage ended with less free than the next one needs at least.
    NoRoom {
        /// The stage that ended.
        stage: &'static str,
        /// What the next one needs.
        needed_bytes: u64,
        /// What is free.
        available_bytes: u64,
        /// The session's limit.
        limit_bytes: u64,
    },
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SessionError::OutOfMemory { stage, asked_bytes, used_bytes, limit_bytes } => write!(
                f,
                "out of memory at stage {stage}: asked {}, {} used of the limit {}; raise the session's limit",
                human_bytes(asked_bytes),
                human_bytes(used_bytes),
                human_bytes(limit_bytes)
            ),
            SessionError::NoRoom { stage, needed_bytes, available_bytes, limit_bytes } => write!(
                f,
                "no room after stage {stage}: the next needs {}, {} free of the limit {}; raise the session's limit",
                human_bytes(needed_bytes),
                human_bytes(available_bytes),
                human_bytes(limit_bytes)
            ),
        }
    }
}

impl core::error::Error for SessionError {}

/// What [`with_test_context`] gives to a test.
#[derive(Debug)]
pub struct TestContext {
    arenas: CompilerArenas,
}

impl TestContext {
    /// A compilation session.
    pub fn session(&mut self) -> Session<'_> {
        self.arenas.session()
    }

    /// The compiler's arenas.
    pub fn arenas(&mut self) -> &mut CompilerArenas {
        &mut self.arenas
    }
}

/// Runs a test in a compiler's arenas of at most `limit_bytes`, and checks afterwards that all memory came back.
/// Nothing can escape the closure:
///
/// ```compile_fail
/// let escaped = cofferdam_arena::with_test_context(1 << 20, |context| context.session().parse().alloc(1).unwrap());
/// ```
///
/// # Panics
/// Something under the limit is still charged after the arenas were dropped, or there is no memory for the budgets.
pub fn with_test_context<R>(limit_bytes: u64, test: impl FnOnce(&mut TestContext) -> R) -> R {
    let root = Budget::unlimited("test").expect("memory for a tree of budgets");
    let arenas = CompilerArenas::new(&root, limit_bytes).expect("an unlimited tree has room for its nodes");
    let budget = arenas.budget().clone();
    let mut context = TestContext { arenas };
    let result = test(&mut context);
    drop(context);
    assert_eq!(budget.used(), 0, "all memory of the session came back");
    result
}

#[cfg(all(test, not(loom)))]
mod tests;

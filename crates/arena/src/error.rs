//! What a refusal of memory looks like: a token that travels, and a record that stays.
//!
//! Every fallible call returns [`AllocError`], which has no size, so that `Result<&mut T, AllocError>` is a plain
//! pointer and the hot path pays nothing for being fallible. Who asked, who refused and who holds the memory is
//! written, at the moment of the refusal, into an [`OutOfMemory`] of fixed size that the asker's tree of budgets owns
//! from its start ([`Budget::last_refusal`](crate::Budget::last_refusal)). Making, keeping and printing it takes no
//! memory at all.

use crate::text::{InlineText, human_bytes};
use core::fmt;

/// A charge was refused: the reason is kept by the budget, see [`Budget::last_refusal`](crate::Budget::last_refusal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

impl fmt::Display for AllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory: the budget's last refusal says why")
    }
}

impl core::error::Error for AllocError {}

/// What a container over a [`BudgetAlloc`](crate::BudgetAlloc) says when it cannot grow.
impl From<allocator_api2::collections::TryReserveError> for AllocError {
    fn from(_: allocator_api2::collections::TryReserveError) -> AllocError {
        AllocError
    }
}

impl From<AllocError> for allocator_api2::alloc::AllocError {
    fn from(_: AllocError) -> Self {
        allocator_api2::alloc::AllocError
    }
}

/// A named stage of work, recorded with a refusal. Declare one `static` per stage.
#[derive(Debug)]
pub struct Stage(&'static str);

impl Stage {
    /// A stage of that name.
    pub const fn new(name: &'static str) -> Stage {
        Stage(name)
    }

    /// The stage's name.
    pub const fn name(&self) -> &'static str {
        self.0
    }
}

/// Why memory was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A budget's limit does not allow it.
    Limit,
    /// The limit allows it, but the operating system or the global allocator has no more.
    System,
    /// The size itself cannot be: it is past half the address range, or an index would overflow.
    TooLarge,
    /// A test asked for this refusal ([`Budget::inject_refusal`](crate::Budget::inject_refusal)).
    Injected,
    /// Pressure is critical and the statement announced more than may start now
    /// ([`Budget::admit`](crate::Budget::admit)).
    Pressure,
}

/// How many of the largest holders a record names.
pub const HOLDERS_MAX: usize = 4;

/// One holder of memory, as a refusal names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The budget's name.
    pub name: InlineText<31>,
    /// What it holds itself, without its children, in bytes.
    pub bytes: u64,
}

/// The record of one refusal: who asked, at what stage, for how much, whose limit refused it, and who holds the most
/// below that limit.
///
/// A value of fixed size (it is `Copy`); it lives in the budget tree from the tree's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory {
    pub(crate) path: InlineText<127>,
    pub(crate) refused_by: InlineText<31>,
    pub(crate) stage: &'static str,
    pub(crate) reason: Reason,
    pub(crate) asked_bytes: u64,
    pub(crate) used_bytes: u64,
    pub(crate) limit_bytes: u64,
    pub(crate) needed_bytes: u64,
    pub(crate) sufficient_bytes: u64,
    pub(crate) value_of: &'static str,
    pub(crate) value_bytes: u64,
    pub(crate) holders: [Holder; HOLDERS_MAX],
}

impl OutOfMemory {
    pub(crate) const NONE: OutOfMemory = OutOfMemory {
        path: InlineText::EMPTY,
        refused_by: InlineText::EMPTY,
        stage: "",
        reason: Reason::Limit,
        asked_bytes: 0,
        used_bytes: 0,
        limit_bytes: 0,
        needed_bytes: 0,
        sufficient_bytes: 0,
        value_of: "",
        value_bytes: 0,
        holders: [Holder { name: InlineText::EMPTY, bytes: 0 }; HOLDERS_MAX],
    };

    /// Path of the budget that asked, root first, as in `process/db/statement/sort`.
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// Name of the budget whose limit refused: the asker itself or one above it.
    pub fn refused_by(&self) -> &str {
        self.refused_by.as_str()
    }

    /// The stage that the asker's statement was in, or "" where none was set.
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Why it was refused.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Bytes asked for.
    pub fn asked_bytes(&self) -> u64 {
        self.asked_bytes
    }

    /// Bytes that the refusing budget had handed out at that moment.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// The refusing budget's limit in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// The smallest limit of the refusing budget under which *this charge* would have passed: used + asked, and its
    /// reserve. The work may need more afterwards.
    pub fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }

    /// The smallest limit known to be enough for the whole work, where the asker could compute it.
    pub fn sufficient_bytes(&self) -> Option<u64> {
        (self.sufficient_bytes != 0).then_some(self.sufficient_bytes)
    }

    /// The same record with the smallest limit that is known to be enough for the whole work.
    pub fn with_sufficient_bytes(mut self, bytes: u64) -> OutOfMemory {
        self.sufficient_bytes = bytes;
        self
    }

    /// The one value that took a large part of the memory: what it is a result of, and how many bytes it had come to when more was
    /// refused. Only where the asker knows it.
    pub fn value(&self) -> Option<(&'static str, u64)> {
        (self.value_bytes != 0).then_some((self.value_of, self.value_bytes))
    }

    /// The same record with the one value that does not fit. A limit that would suffice is not known then.
    pub fn with_value(mut self, what: &'static str, bytes: u64) -> OutOfMemory {
        (self.value_of, self.value_bytes, self.sufficient_bytes) = (what, bytes, 0);
        self
    }

    /// The largest holders below the refusing limit, largest first.
    pub fn holders(&self) -> impl Iterator<Item = (&str, u64)> {
        self.holders
            .iter()
            .filter(|holder| holder.bytes > 0)
            .map(|holder| (holder.name.as_str(), holder.bytes))
    }
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of memory in {}", self.path)?;
        if !self.stage.is_empty() {
            write!(f, " at stage {}", self.stage)?;
        }
        write!(f, ": asked {}, ", human_bytes(self.asked_bytes))?;
        match self.reason {
            Reason::Limit | Reason::Pressure => write!(
                f,
                "{} uses {} of its limit {}",
                self.refused_by,
                human_bytes(self.used_bytes),
                human_bytes(self.limit_bytes)
            )?,
            Reason::System => f.write_str("the limit allows it but the system has no more memory")?,
            Reason::TooLarge => f.write_str("which is more than any address range can hold")?,
            Reason::Injected => f.write_str("refused on a test's request")?,
        }
        if self.reason == Reason::Pressure {
            f.write_str("; the pressure is critical and large statements are not started")?;
        }
        if let Some((what, bytes)) = self.value() {
            write!(f, "; one value of {what} had come to {}", human_bytes(bytes))?;
        }
        for (index, (name, bytes)) in self.holders().enumerate() {
            f.write_str(if index == 0 { "; largest holders: " } else { ", " })?;
            write!(f, "{name} {}", human_bytes(bytes))?;
        }
        if let Some(bytes) = self.sufficient_bytes() {
            write!(f, "; a limit of {} is known to suffice", human_bytes(bytes))?;
        }
        Ok(())
    }
}

impl core::error::Error for OutOfMemory {}

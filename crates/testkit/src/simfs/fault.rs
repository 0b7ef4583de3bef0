//! Which operations a disk lets go wrong, and how.

use std::fmt;

use super::rng::Rng;

/// The number of "the device failed" (EIO).
pub const EIO: i32 = 5;
/// The number of "no space left" (ENOSPC).
pub const ENOSPC: i32 = 28;

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Op {
    /// A directory is made.
    MakeDirectory,
    /// A file is made.
    Create,
    /// A file or directory that is there is opened.
    Open,
    /// Bytes are read.
    Read,
    /// Bytes are written.
    Write,
    /// A file is cut or filled up.
    SetLen,
    /// A file is synced.
    Sync,
    /// A name is changed.
    Rename,
    /// A name is removed.
    Remove,
    /// Names are listed.
    List,
    /// A directory is synced; its file name is the directory's own.
    SyncDirectory,
    /// A file is locked.
    Lock,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Any operation fails with this number of the system and does nothing. A failed sync leaves everything unsynced.
    Error(i32),
    /// A read or write moves fewer bytes than asked, one at least.
    Short,
    /// A bit of what a read gives is wrong, once.
    FlipOnce,
    /// A bit is wrong from now on: in what a write left, or what a read found.
    FlipStored,
    /// A write goes to another place of this or another file, a read gives what is at another place; both say all is well.
    Misdirect,
    /// A write or sync says all is well and does nothing: a lying disk.
    Ignore,
    /// A sync fails, some of the unsynced data reaches the disk, and the rest is treated like this.
    FailSync(Unwritten),
}

/// What becomes of data whose sync has failed, until it is written once more by the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// It stays unsynced, and the next sync tries again (FreeBSD).
    Dirty,
    /// It is there for readers, and no later sync writes it, although it says that all is well (Linux on most file systems).
    Clean,
    /// It is gone for readers too: they see what the disk has. Of names and of files that were cut it is as `Clean`.
    Evicted,
}

/// Lets operations go wrong: of some kinds, of some files, at some times.
#[derive(Clone, Debug)]
pub struct Rule {
    ops: u16,
    fault: Fault,
    file: String,
    when: When,
    /// How many operations it applied to so far.
    seen: u64,
}

#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    Nth(u64),
    From(u64),
    Chance { per_million: u32 },
}

impl Op {
    /// Whether it changes the disk: what [`crash_at`](super::SimDisk::crash_at) counts.
    pub fn is_mutation(self) -> bool {
        !matches!(self, Op::Open | Op::Read | Op::List | Op::Lock)
    }

    /// Whether it is a sync: what [`ignore_sync`](super::SimDisk::ignore_sync) counts.
    pub fn is_sync(self) -> bool {
        matches!(self, Op::Sync | Op::SyncDirectory)
    }
}

impl Fault {
    fn fits(self, op: Op) -> bool {
        match self {
            Fault::Error(_) => true,
            Fault::Short | Fault::FlipStored | Fault::Misdirect => matches!(op, Op::Read | Op::Write),
            Fault::FlipOnce => op == Op::Read,
            Fault::Ignore => op == Op::Write || op.is_sync(),
            Fault::FailSync(_) => op.is_sync(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Error(code) => write!(f, "error {code}"),
            Fault::Short => f.write_str("short"),
            Fault::FlipOnce => f.write_str("a bit flipped once"),
            Fault::FlipStored => f.write_str("a bit flipped for good"),
            Fault::Misdirect => f.write_str("misdirected"),
            Fault::Ignore => f.write_str("ignored"),
            Fault::FailSync(unwritten) => write!(f, "failed, {unwritten:?}"),
        }
    }
}

impl Rule {
    /// `fault` for every operation of the kinds `ops`, of every file.
    ///
    /// # Panics
    /// Where the fault is none of such an operation, so that a test cannot wait for it in vain.
    pub fn new<const N: usize>(ops: [Op; N], fault: Fault) -> Rule {
        for op in ops {
            assert!(fault.fits(op), "{op:?} cannot go wrong by {fault:?}");
        }
        let ops = ops.iter().fold(0, |ops, &op| ops | 1 << op as u16);
        Rule { ops, fault, file: "*".to_owned(), when: When::Always, seen: 0 }
    }

    /// Only for files of such a name; `*` stands for any characters, as in `wal-*`. A rename has two names, either counts.
    pub fn file(mut self, pattern: &str) -> Rule {
        self.file = pattern.to_owned();
        self
    }

    /// Only the n-th operation that it applies to, from 1.
    pub fn nth(mut self, nth: u64) -> Rule {
        self.when = When::Nth(nth);
        self
    }

    /// The n-th operation that it applies to, from 1, and all after it.
    pub fn from(mut self, nth: u64) -> Rule {
        self.when = When::From(nth);
        self
    }

    /// So many of a million operations, drawn.
    pub fn chance(mut self, per_million: u32) -> Rule {
        self.when = When::Chance { per_million };
        self
    }

    /// The fault, if this rule strikes this operation.
    pub(super) fn strike(&mut self, op: Op, name: &str, other: Option<&str>, rng: &mut Rng) -> Option<Fault> {
        let is_meant = self.ops >> op as u16 & 1 == 1
            && (matches(&self.file, name) || other.is_some_and(|other| matches(&self.file, other)));
        if !is_meant {
            return None;
        }
        self.seen += 1;
        let strikes = match self.when {
            When::Always => true,
            When::Nth(nth) => self.seen == nth,
            When::From(nth) => self.seen >= nth,
            When::Chance { per_million } => rng.is_one_of(per_million, 1_000_000),
        };
        strikes.then_some(self.fault)
    }
}

/// Whether a name is of a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut rest = rest;
    // The first place of each part is as good as any later one; only the last part must be at the end.
    while let Some((part, after)) = rest.split_once('*') {
        let Some(at) = name.find(part) else { return false };
        (name, rest) = (&name[at + part.len()..], after);
    }
    name.ends_with(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_would() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "wal-1"),
            ("wal-*", "wal-"),
            ("wal-*", "wal-1"),
            ("*-1", "wal-1"),
            ("w*-*1", "wal-21"),
            ("a*a", "aa"),
            ("a**b", "ab"),
            ("root", "root"),
            ("*ab*ab", "abab"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("root", "roots"),
            ("a*a", "a"),
            ("wal-*", "manifest-1"),
            ("*ab*ab", "ab"),
            ("a*b", "abc"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn rules_strike_when_they_should() {
        let rng = &mut Rng::new(1);
        let mut strikes = |mut rule: Rule| -> Vec<u64> {
            (1..=6).filter(|_| rule.strike(Op::Write, "wal-1", None, rng).is_some()).collect()
        };
        let rule = || Rule::new([Op::Write, Op::SetLen], Fault::Error(EIO));
        assert_eq!(strikes(rule()), [1, 2, 3, 4, 5, 6]);
        assert_eq!(strikes(rule().nth(2)), [2]);
        assert_eq!(strikes(rule().file("wal-*").from(5)), [5, 6]);
        assert_eq!(strikes(rule().file("root")), []);
        assert_eq!(strikes(Rule::new([Op::Read], Fault::Short)), []);
        assert_eq!(strikes(rule().chance(0)), []);
        assert_eq!(strikes(rule().chance(1_000_000)).len(), 6);
        let mut rename = Rule::new([Op::Rename], Fault::Error(EIO)).file("to");
        assert!(rename.strike(Op::Rename, "from", Some("to"), rng).is_some());
    }

    #[test]
    #[should_panic(expected = "Rename cannot go wrong by Short")]
    fn a_fault_that_cannot_be_is_refused() {
        let _ = Rule::new([Op::Read, Op::Rename], Fault::Short);
    }
}

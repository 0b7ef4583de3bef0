//! Regular expressions as PostgreSQL has them: the syntax of its advanced expressions, and POSIX's choice of matches.
//!
//! **Which match counts.** The one that starts first; of those the longest, or the shortest where the expression prefers
//! that (`*?` and the like). Parts in brackets take what they prefer within the match, earlier parts first. So
//! `substring('foobar' from 'foo|foobar')` is `foobar`, unlike in engines that take the first alternative that fits.
//!
//! **How it works.** A pattern is parsed to a tree (`parse`), and the tree is compiled to an automaton (`compile`), whose states are all
//! followed at once over the text (`run`): a step per character and state at most, and no backtracking. What brackets
//! matched is found afterwards by cutting the match along the tree, where each cut is tested by the automaton's part for what is
//! left and right of it.
//!
//! **Memory.** Tree, automaton and the two sets of states are owned buffers, charged to the budget of the calling place;
//! the number of states is bounded ([`STATES_MAX`]), and matching takes nothing but a stack for cutting.
//!
//! **Not here.** Back references and looking ahead or behind need other machines; they are refused by name (0A000).

mod compile;
mod parse;
mod run;
mod similar;

use cofferdam_arena::{Budget, Growing};

use crate::context::Problem;

pub(crate) use run::Subject;
pub(crate) use similar::to_regex;

/// The most states of an automaton.
pub(crate) const STATES_MAX: usize = 1 << 15;
/// No node, no state.
const NONE: u32 = u32::MAX;

/// How a pattern is read, and what it may match.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Flags {
    /// `i`: letters match in both cases.
    pub(crate) ignore_case: bool,
    /// `n`, `p`: `.` and `[^…]` do not match line breaks.
    pub(crate) breaks_stop: bool,
    /// `n`, `w`: `^` and `$` match at line breaks too.
    pub(crate) breaks_anchor: bool,
    /// `x`: white space and comments in the pattern do not count.
    pub(crate) is_expanded: bool,
    /// `q`: the pattern is a plain text.
    pub(crate) is_literal: bool,
    /// `g`: not only the first match. The functions look at it, the pattern does not.
    pub(crate) is_global: bool,
}

impl Flags {
    /// Reads the letters of a flags argument.
    pub(crate) fn parse(text: &str) -> Result<Flags, Problem> {
        let mut flags = Flags::default();
        for letter in text.chars() {
            if letter == 'g' {
                flags.is_global = true;
            } else if !flags.apply(letter) {
                let mut bytes = [0; 4];
                let shown = letter.encode_utf8(&mut bytes);
                return Err(Problem::about("22023", "invalid regular expression option: \"%\"", shown));
            }
        }
        Ok(flags)
    }

    /// Applies one letter; false for an unknown one.
    fn apply(&mut self, letter: char) -> bool {
        match letter {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => (self.breaks_stop, self.breaks_anchor) = (true, true),
            's' => (self.breaks_stop, self.breaks_anchor) = (false, false),
            'p' => (self.breaks_stop, self.breaks_anchor) = (true, false),
            'w' => (self.breaks_stop, self.breaks_anchor) = (false, true),
            'x' => self.is_expanded = true,
            't' => self.is_expanded = false,
            'q' => self.is_literal = true,
            'e' => self.is_literal = false,
            _ => return false,
        }
        true
    }

    fn bits(self) -> u8 {
        let flags =
            [self.ignore_case, self.breaks_stop, self.breaks_anchor, self.is_expanded, self.is_literal];
        flags.iter().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
    }
}

/// A node of the tree.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// The first child, and the next of the same parent.
    child: u32,
    sibling: u32,
}

/// What a node matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Empty,
    Char(char),
    /// Any character; with `true` any but a line break.
    Any(bool),
    Class(u32),
    Assert(Assert),
    Concat,
    Alternate,
    /// `passes` where it has its child's preference: `{m}`.
    Repeat {
        min: u16,
        max: u16,
        is_greedy: bool,
        passes: bool,
    },
    Capture(u32),
}

/// How often at most: without a bound.
const MANY: u16 = 0xfff;
/// How often a count may say at most.
const COUNT_MAX: u16 = 255;

/// What must hold at a place of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Assert {
    TextStart,
    TextEnd,
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    WordEdge,
    NoWordEdge,
}

/// A compiled pattern, empty before the first.
pub(crate) struct Regex {
    /// Flags and pattern that it was compiled from.
    key: Growing<u8>,
    is_ready: bool,
    /// The tree: packed nodes; see `parse`.
    nodes: Growing<[u32; 4]>,
    /// First and last state of a node's part of the automaton.
    spans: Growing<[u32; 5]>,
    /// Packed classes, and the ranges of characters in them.
    classes: Growing<[u32; 4]>,
    ranges: Growing<[u32; 2]>,
    /// Which of the first 128 characters a class has, one bit each.
    ascii: Growing<[u64; 2]>,
    /// The automaton: packed states; see `compile`.
    states: Growing<[u32; 3]>,
    /// Where repetitions go on after so many rounds.
    entries: Growing<u32>,
    root: u32,
    start: u32,
    end: u32,
    captures_count: u32,
    prefers_short: bool,
    /// The bytes that a match can begin with, one bit each; of no use where a match can be empty.
    first_bytes: [u64; 4],
    can_be_empty: bool,
    /// Whether a match begins where the text does, or not at all.
    is_anchored: bool,
    work: run::Work,
    tasks: Growing<[u32; 4]>,
}

impl core::fmt::Debug for Regex {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Regex")
            .field("states", &self.states.len())
            .field("charged_bytes", &self.charged_bytes())
            .finish_non_exhaustive()
    }
}

/// What a match or a part of it covers, in bytes.
pub(crate) type Span = (usize, usize);

impl Regex {
    /// Nothing yet; takes nothing.
    pub(crate) fn new(budget: &Budget) -> Regex {
        Regex {
            key: Growing::new(budget),
            is_ready: false,
            nodes: Growing::new(budget),
            spans: Growing::new(budget),
            classes: Growing::new(budget),
            ranges: Growing::new(budget),
            ascii: Growing::new(budget),
            states: Growing::new(budget),
            entries: Growing::new(budget),
            root: NONE,
            start: 0,
            end: 0,
            captures_count: 0,
            prefers_short: false,
            first_bytes: [0; 4],
            can_be_empty: true,
            is_anchored: false,
            work: run::Work::new(budget),
            tasks: Growing::new(budget),
        }
    }

    /// What it was charged for.
    pub(crate) fn charged_bytes(&self) -> usize {
        self.key.charged_bytes()
            + self.nodes.charged_bytes()
            + self.spans.charged_bytes()
            + self.classes.charged_bytes()
            + self.ranges.charged_bytes()
            + self.ascii.charged_bytes()
            + self.states.charged_bytes()
            + self.entries.charged_bytes()
            + self.tasks.charged_bytes()
            + self.work.charged_bytes()
    }

    /// How many brackets capture.
    pub(crate) fn captures_count(&self) -> usize {
        self.captures_count as usize
    }

    /// Makes it the automaton of `pattern`, unless it is that already.
    ///
    /// # Errors
    /// The pattern is wrong (2201B), or the budget refuses; then it is nothing again.
    pub(crate) fn prepare(&mut self, pattern: &str, flags: Flags) -> Result<(), Problem> {
        let is_same = self.is_ready
            && self
                .key
                .split_last()
                .is_some_and(|(bits, key)| key == pattern.as_bytes() && *bits == flags.bits());
        if is_same {
            return Ok(());
        }
        self.is_ready = false;
        self.key.clear();
        self.key.extend_from_slice(pattern.as_bytes())?;
        self.key.push(flags.bits())?;
        parse::parse(self, pattern, flags)?;
        compile::compile(self)?;
        self.is_ready = true;
        Ok(())
    }

    fn node(&self, index: u32) -> Node {
        parse::unpack(self.nodes.get(index as usize).copied().unwrap_or_default())
    }
}

/// The refusal of a pattern.
#[cold]
fn invalid(message: &'static str) -> Problem {
    Problem::new("2201B", message)
}

/// The refusal of something that other engines can do.
#[cold]
fn unsupported(message: &'static str) -> Problem {
    Problem::new("0A000", message)
}

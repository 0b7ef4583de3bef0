//! Trees to automata.
//!
//! A part of the tree is compiled towards the state that follows it, so the automaton is built from its end. Work that is
//! left to do is on a stack. Where brackets capture, the parts that a match is cut into begin and end in states of their own, so that they
//! can be run alone.
//!
//! | state | words |
//! |---|---|
//! | one character | `CHAR`, its code, next |
//! | any character | `ANY`, whether line breaks stop it, next |
//! | a character of a class | `CLASS`, the class, next |
//! | either way | `SPLIT`, next, next |
//! | nothing | `PASS`, 0, next |
//! | something must hold here | `ASSERT`, what, next |
//! | the end | `END`, 0, 0 |

use super::parse::class_has;
use super::{Assert, Kind, MANY, NONE, Regex, STATES_MAX, invalid};
use crate::context::Problem;

pub(super) const CHAR: u32 = 0;
pub(super) const ANY: u32 = 1;
pub(super) const CLASS: u32 = 2;
pub(super) const SPLIT: u32 = 3;
pub(super) const PASS: u32 = 4;
pub(super) const ASSERT: u32 = 5;
pub(super) const END: u32 = 6;

// What is left to do.
const VISIT: u32 = 0;
const LEAVE: u32 = 1;
const BRANCH: u32 = 2;
const JOIN: u32 = 3;
const CLOSE_LOOP: u32 = 4;
const ROUND: u32 = 5;
const ROUND_DONE: u32 = 6;

// How a node's part is told apart from the rest, for cutting: by states of its own at both ends, as a part of a list, or not
// at all.
const CUT: u32 = 0;
const CUT_PART: u32 = 1;
const UNCUT: u32 = 2;
/// No alternatives yet; above all states.
const NO_CHAIN: u32 = u32::MAX >> 2;

/// What is known of a node besides the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// First and last state of its part.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of a repetition: where [`Regex::entries`] say how it goes on after each round, the last round first.
    pub(super) entries: u32,
    pub(super) entries_count: u32,
    /// Whether brackets in it capture.
    pub(super) captures: bool,
    /// Whether it prefers to match little.
    pub(super) is_short: bool,
    /// Whether it is a repetition without a bound.
    pub(super) is_endless: bool,
}

const CAPTURES: u32 = 1;
const GREEDY: u32 = 2;
const SHORT: u32 = 4;
const ENDLESS: u32 = 8;

impl Regex {
    pub(super) fn span(&self, node: u32) -> Span {
        let [start, end, entries, entries_count, flags] =
            self.spans.get(node as usize).copied().unwrap_or_default();
        let has = |flag| flags & flag != 0;
        let (captures, is_short, is_endless) = (has(CAPTURES), has(SHORT), has(ENDLESS));
        Span { start, end, entries, entries_count, captures, is_short, is_endless }
    }

    /// The state that a repetition is in after so many rounds.
    pub(super) fn after_rounds(&self, span: Span, rounds: u32) -> u32 {
        let from_last = span.entries_count.saturating_sub(1).saturating_sub(rounds);
        self.entries.get((span.entries + from_last) as usize).copied().unwrap_or(NONE)
    }

    fn set_span(&mut self, node: u32, word: usize, value: u32) {
        if let Some(slot) = self.spans.get_mut(node as usize).and_then(|span| span.get_mut(word)) {
            *slot = value;
        }
    }

    fn emit(&mut self, state: [u32; 3]) -> Result<u32, Problem> {
        if self.states.len() >= STATES_MAX {
            return Err(invalid("invalid regular expression: regular expression is too complex"));
        }
        self.states.push(state)?;
        Ok(self.states.len() as u32 - 1)
    }
}

/// Compiles the tree of `regex`.
pub(super) fn compile(regex: &mut Regex) -> Result<(), Problem> {
    regex.states.clear();
    regex.entries.clear();
    regex.tasks.clear();
    judge(regex)?;
    regex.end = regex.emit([END, 0, 0])?;
    let mut now = regex.end;
    let cut = if regex.captures_count > 0 { CUT } else { UNCUT };
    regex.tasks.push([VISIT, regex.root, cut, 0])?;
    while let Some(task) = regex.tasks.pop() {
        now = step(regex, task, now)?;
    }
    regex.start = now;
    regex.prefers_short = regex.span(regex.root).is_short;
    let root = regex.node(regex.root);
    let first = if root.kind == Kind::Concat { regex.node(root.child) } else { root };
    regex.is_anchored = first.kind == Kind::Assert(Assert::TextStart);
    regex.work.fit(regex.states.len(), regex.captures_count())?;
    find_first_bytes(regex)
}

/// Says of each node whether it captures and what it prefers. Children stand before their parents.
fn judge(regex: &mut Regex) -> Result<(), Problem> {
    regex.spans.clear();
    for index in 0..regex.nodes.len() as u32 {
        let node = regex.node(index);
        let (mut captures, mut preference) = (0, 0);
        let mut child = node.child;
        while child != NONE {
            let flags = regex.spans.get(child as usize).map_or(0, |span| span[4]);
            captures |= flags & CAPTURES;
            // The first part that prefers anything decides.
            preference = if preference == 0 { flags & (GREEDY | SHORT) } else { preference };
            let is_list = matches!(node.kind, Kind::Concat | Kind::Alternate);
            child = if is_list { regex.node(child).sibling } else { NONE };
        }
        let flags = match node.kind {
            Kind::Capture(_) => CAPTURES | preference,
            Kind::Alternate => captures | GREEDY,
            Kind::Repeat { passes: true, .. } => captures | preference,
            Kind::Repeat { is_greedy, .. } => captures | if is_greedy { GREEDY } else { SHORT },
            _ => captures | preference,
        };
        let endless = match node.kind {
            Kind::Repeat { max: MANY, .. } => ENDLESS,
            _ => 0,
        };
        regex.spans.push([NONE, NONE, 0, 0, flags | endless])?;
    }
    Ok(())
}

/// Does one thing that is left to do; `now` is the state that follows, and becomes the one that begins.
fn step(regex: &mut Regex, [task, node, x, y]: [u32; 4], now: u32) -> Result<u32, Problem> {
    match task {
        VISIT => visit(regex, node, x, now),
        LEAVE => {
            regex.set_span(node, 0, now);
            Ok(now)
        }
        BRANCH => {
            // `y` has, below the chain of alternatives, how the branches are cut.
            let (chain, cut) = (y >> 2, y & 3);
            regex.tasks.push([JOIN, node, x, chain << 2 | cut])?;
            regex.tasks.push([VISIT, node, cut, 0])?;
            Ok(x)
        }
        JOIN => {
            let (chain, cut) = (y >> 2, y & 3);
            let chain = if chain == NO_CHAIN { now } else { regex.emit([SPLIT, chain, now])? };
            let sibling = regex.node(node).sibling;
            if sibling != NONE {
                regex.tasks.push([BRANCH, sibling, x, chain << 2 | cut])?;
            }
            Ok(chain)
        }
        CLOSE_LOOP => {
            if let Some([_, way, _]) = regex.states.get_mut(x as usize) {
                *way = now;
            }
            Ok(x)
        }
        ROUND => {
            if x < regex.span(node).entries_count {
                regex.tasks.push([ROUND_DONE, node, x, y])?;
                let cut = if regex.span(node).captures { CUT } else { UNCUT };
                regex.tasks.push([VISIT, regex.node(node).child, cut, 0])?;
            }
            Ok(now)
        }
        _ => {
            let Kind::Repeat { min, max, .. } = regex.node(node).kind else { return Ok(now) };
            let is_optional = max != MANY && u32::from(max) - x >= u32::from(min);
            // A state of its own for each number of rounds, so that one can tell where a repetition is.
            let entry = match is_optional {
                true => regex.emit([SPLIT, now, y])?,
                false if regex.span(node).captures => regex.emit([PASS, 0, now])?,
                false => now,
            };
            set_entry(regex, node, x, entry);
            regex.tasks.push([ROUND, node, x + 1, y])?;
            Ok(entry)
        }
    }
}

fn set_entry(regex: &mut Regex, node: u32, index: u32, entry: u32) {
    let first = regex.span(node).entries;
    if let Some(slot) = regex.entries.get_mut((first + index) as usize) {
        *slot = entry;
    }
}

fn visit(regex: &mut Regex, index: u32, cut: u32, mut now: u32) -> Result<u32, Problem> {
    let node = regex.node(index);
    let is_leaf =
        matches!(node.kind, Kind::Empty | Kind::Char(_) | Kind::Any(_) | Kind::Class(_) | Kind::Assert(_));
    if cut != UNCUT {
        // The end of a part of a list need not be told apart where its length is settled.
        if cut == CUT || !is_leaf {
            now = regex.emit([PASS, 0, now])?;
            regex.set_span(index, 1, now);
        }
        regex.tasks.push([LEAVE, index, 0, 0])?;
    }
    // What captures nothing is cut no further.
    let captures = regex.span(index).captures;
    let of_child = if captures { CUT } else { UNCUT };
    match node.kind {
        Kind::Empty => Ok(now),
        Kind::Char(c) => regex.emit([CHAR, c.into(), now]),
        Kind::Any(stops) => regex.emit([ANY, stops.into(), now]),
        Kind::Class(class) => regex.emit([CLASS, class, now]),
        Kind::Assert(assert) => regex.emit([ASSERT, assert as u32, now]),
        Kind::Capture(_) => {
            regex.tasks.push([VISIT, node.child, of_child, 0])?;
            Ok(now)
        }
        Kind::Concat => {
            // The last is compiled first.
            let mut child = node.child;
            while child != NONE {
                regex.tasks.push([VISIT, child, if captures { CUT_PART } else { UNCUT }, 0])?;
                child = regex.node(child).sibling;
            }
            Ok(now)
        }
        Kind::Alternate => {
            regex.tasks.push([BRANCH, node.child, now, NO_CHAIN << 2 | of_child])?;
            Ok(now)
        }
        Kind::Repeat { min, max, .. } => repeat(regex, index, min, max, now),
    }
}

/// Begins a repetition: as many copies as rounds are counted, and a loop where there is no bound.
fn repeat(regex: &mut Regex, index: u32, min: u16, max: u16, exit: u32) -> Result<u32, Problem> {
    let is_endless = max == MANY;
    let count = u32::from(if is_endless { min } else { max }) + 1;
    let first = regex.entries.len();
    if first + count as usize > STATES_MAX {
        return Err(invalid("invalid regular expression: regular expression is too complex"));
    }
    regex.entries.resize(first + count as usize, NONE)?;
    regex.set_span(index, 2, first as u32);
    regex.set_span(index, 3, count);
    regex.tasks.push([ROUND, index, 1, exit])?;
    if !is_endless {
        set_entry(regex, index, 0, exit);
        return Ok(exit);
    }
    let round = regex.emit([SPLIT, NONE, exit])?;
    set_entry(regex, index, 0, round);
    regex.tasks.push([CLOSE_LOOP, index, round, 0])?;
    let cut = if regex.span(index).captures { CUT } else { UNCUT };
    regex.tasks.push([VISIT, regex.node(index).child, cut, 0])?;
    Ok(round)
}

/// Finds which bytes a match can begin with, so that a search can pass over others.
fn find_first_bytes(regex: &mut Regex) -> Result<(), Problem> {
    let mut first = [0u64; 4];
    let mut can_be_empty = false;
    regex.work.reach(&regex.states, regex.start)?;
    for state in regex.work.reached() {
        let [op, word, _] = regex.states.get(*state as usize).copied().unwrap_or_default();
        let mut add = |byte: u8| first[usize::from(byte >> 6)] |= 1 << (byte & 63);
        match op {
            CHAR => {
                let mut bytes = [0; 4];
                let c = char::from_u32(word).unwrap_or('\0');
                c.encode_utf8(&mut bytes);
                add(bytes[0]);
            }
            ANY | CLASS => {
                for byte in 0..=u8::MAX {
                    let is_in = op == ANY || byte >= 0x80 || class_has(regex, word, char::from(byte));
                    if is_in {
                        add(byte);
                    }
                }
            }
            END => can_be_empty = true,
            _ => {}
        }
    }
    (regex.first_bytes, regex.can_be_empty) = (first, can_be_empty);
    Ok(())
}

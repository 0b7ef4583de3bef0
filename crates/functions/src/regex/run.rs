//! Matching: all states that a text can lead to are followed at once.

use cofferdam_arena::{AllocError, Budget, Growing};

use super::compile::{ANY, ASSERT, CHAR, CLASS, END, PASS, SPLIT, Span as Part};
use super::parse::{assert_of, class_has, is_word};
use super::{Assert, Kind, NONE, Regex, Span};
use crate::context::Problem;

/// So many steps of states are made between two looks at whether the statement was cancelled.
const STEPS_BETWEEN_LOOKS: usize = 1 << 18;

/// A set of states, in the order in which they were put in, each with where its match began.
struct Set {
    list: Growing<u32>,
    /// The place of each state in the list, where it is in it.
    places: Growing<u32>,
    starts: Growing<usize>,
    count: usize,
}

impl Set {
    fn new(budget: &Budget) -> Set {
        Set {
            list: Growing::new(budget),
            places: Growing::new(budget),
            starts: Growing::new(budget),
            count: 0,
        }
    }

    fn fit(&mut self, states: usize) -> Result<(), AllocError> {
        self.count = 0;
        self.list.resize(states, 0)?;
        self.places.resize(states, 0)?;
        self.starts.resize(states, 0)
    }

    fn has(&self, state: u32) -> bool {
        let place = self.places.get(state as usize).copied().unwrap_or(NONE) as usize;
        place < self.count && self.list.get(place) == Some(&state)
    }

    /// Puts a state in; false where it is already.
    fn put(&mut self, state: u32, start: usize) -> bool {
        if self.has(state) {
            return false;
        }
        let count = self.count;
        if let (Some(item), Some(place), Some(from)) =
            (self.list.get_mut(count), self.places.get_mut(state as usize), self.starts.get_mut(count))
        {
            (*item, *place, *from) = (state, count as u32, start);
            self.count += 1;
        }
        true
    }

    fn charged_bytes(&self) -> usize {
        self.list.charged_bytes() + self.places.charged_bytes() + self.starts.charged_bytes()
    }
}

/// What matching needs, made with the automaton.
pub(super) struct Work {
    now: Set,
    next: Set,
    stack: Growing<u32>,
    captures: Growing<[usize; 2]>,
    cuts: Growing<[usize; 3]>,
    steps: usize,
}

/// A part that matched nothing.
const UNSET: [usize; 2] = [usize::MAX; 2];

impl Work {
    pub(super) fn new(budget: &Budget) -> Work {
        Work {
            now: Set::new(budget),
            next: Set::new(budget),
            stack: Growing::new(budget),
            captures: Growing::new(budget),
            cuts: Growing::new(budget),
            steps: 0,
        }
    }

    pub(super) fn fit(&mut self, states: usize, captures: usize) -> Result<(), AllocError> {
        self.now.fit(states)?;
        self.next.fit(states)?;
        // Each state is pushed once at most for each state that leads to it: two ways out of each.
        self.stack.reserve(2 * states + 1)?;
        self.captures.resize(captures, UNSET)
    }

    pub(super) fn charged_bytes(&self) -> usize {
        let sets = self.now.charged_bytes() + self.next.charged_bytes();
        sets + self.stack.charged_bytes() + self.captures.charged_bytes() + self.cuts.charged_bytes()
    }

    /// Puts into the set all states that are reached from one without a character, wherever that may be.
    pub(super) fn reach(&mut self, states: &[[u32; 3]], from: u32) -> Result<(), AllocError> {
        self.now.count = 0;
        self.stack.clear();
        self.stack.push(from)?;
        while let Some(state) = self.stack.pop() {
            if !self.now.put(state, 0) {
                continue;
            }
            let [op, first, second] = states.get(state as usize).copied().unwrap_or_default();
            if op == SPLIT {
                self.stack.push(first)?;
            }
            if matches!(op, SPLIT | PASS | ASSERT) {
                self.stack.push(second)?;
            }
        }
        Ok(())
    }

    /// What [`Work::reach`] found.
    pub(super) fn reached(&self) -> &[u32] {
        self.now.list.get(..self.now.count).unwrap_or(&[])
    }
}

/// Which end of a part is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// The last one up to here.
    Longest(usize),
    /// The first one from here on, up to there.
    Shortest(usize, usize),
    /// Exactly this one.
    Exact(usize),
}

/// A text that is matched, and how to learn that nobody waits any more.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'t> {
    pub(crate) text: &'t str,
    pub(crate) is_cancelled: &'t dyn Fn() -> bool,
}

impl Subject<'_> {
    fn char_at(&self, at: usize) -> Option<char> {
        let bytes = self.text.as_bytes();
        match bytes.get(at) {
            Some(byte) if byte.is_ascii() => Some(char::from(*byte)),
            _ => self.text.get(at..)?.chars().next(),
        }
    }

    fn char_before(&self, at: usize) -> Option<char> {
        self.text.get(..at)?.chars().next_back()
    }

    fn holds(&self, assert: Assert, at: usize) -> bool {
        let is_word_before = || self.char_before(at).is_some_and(is_word);
        let is_word_behind = || self.char_at(at).is_some_and(is_word);
        match assert {
            Assert::TextStart => at == 0,
            Assert::TextEnd => at == self.text.len(),
            Assert::LineStart => at == 0 || self.char_before(at) == Some('\n'),
            Assert::LineEnd => at == self.text.len() || self.char_at(at) == Some('\n'),
            Assert::WordStart => !is_word_before() && is_word_behind(),
            Assert::WordEnd => is_word_before() && !is_word_behind(),
            Assert::WordEdge => is_word_before() != is_word_behind(),
            Assert::NoWordEdge => is_word_before() == is_word_behind(),
        }
    }
}

impl Regex {
    /// Puts a state into the next or the current set, with all that follow from it without a character. Nothing follows
    /// from `end`.
    fn add(&mut self, subject: Subject<'_>, state: u32, start: usize, at: usize, end: u32) {
        let set = &mut self.work.now;
        let stack = &mut self.work.stack;
        stack.clear();
        let mut here = Some(state);
        while let Some(state) = here.take().or_else(|| stack.pop()) {
            if !set.put(state, start) || state == end {
                continue;
            }
            let [op, first, second] = self.states.get(state as usize).copied().unwrap_or_default();
            match op {
                SPLIT => {
                    here = Some(first);
                    // There was room made for two ways out of each state.
                    let _ = stack.push(second);
                }
                PASS => here = Some(second),
                ASSERT if subject.holds(assert_of(first), at) => here = Some(second),
                _ => {}
            }
        }
    }

    /// Follows all states over a character, which ends at `at`.
    fn step(&mut self, subject: Subject<'_>, c: char, at: usize, end: u32) -> Result<(), Problem> {
        core::mem::swap(&mut self.work.now, &mut self.work.next);
        self.work.now.count = 0;
        self.work.steps += self.work.next.count + 1;
        if self.work.steps > STEPS_BETWEEN_LOOKS {
            self.work.steps = 0;
            if (subject.is_cancelled)() {
                return Err(Problem::Cancelled);
            }
        }
        for index in 0..self.work.next.count {
            let (Some(state), Some(start)) =
                (self.work.next.list.get(index).copied(), self.work.next.starts.get(index).copied())
            else {
                break;
            };
            let [op, word, next] = self.states.get(state as usize).copied().unwrap_or_default();
            let goes_on = match op {
                CHAR => u32::from(c) == word,
                ANY => word == 0 || c != '\n',
                CLASS => class_has(self, word, c),
                _ => false,
            };
            if goes_on {
                self.add(subject, next, start, at, end);
            }
        }
        Ok(())
    }

    /// The next place from `at` on where a match can begin.
    fn skip(&self, text: &str, at: usize) -> Option<usize> {
        if self.is_anchored && at > 0 {
            return None;
        }
        if self.can_be_empty {
            return Some(at);
        }
        let rest = text.as_bytes().get(at..)?;
        let can_begin = |byte: &u8| self.first_bytes[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1;
        rest.iter().position(can_begin).map(|further| at + further)
    }

    /// The match that starts first from byte `from` on, and its length as the pattern prefers it.
    ///
    /// # Errors
    /// The statement was cancelled.
    pub(crate) fn find(&mut self, subject: Subject<'_>, from: usize) -> Result<Option<Span>, Problem> {
        let (start, end) = (self.start, self.end);
        let mut best: Option<Span> = None;
        let mut at = from;
        self.work.now.count = 0;
        loop {
            if best.is_none() {
                if self.work.now.count == 0 {
                    match self.skip(subject.text, at) {
                        Some(next) => at = next,
                        None => return Ok(None),
                    }
                }
                if at == 0 || !self.is_anchored {
                    self.add(subject, start, at, at, NONE);
                }
            }
            if self.work.now.has(end) {
                let place = self.work.now.places.get(end as usize).copied().unwrap_or(0) as usize;
                let began = self.work.now.starts.get(place).copied().unwrap_or(at);
                if best.is_none_or(|(first, _)| began <= first) {
                    best = Some((began, at));
                }
                // What began later can not win any more.
                let starts = self.work.now.starts.get(..self.work.now.count).unwrap_or(&[]);
                self.work.now.count = starts.partition_point(|start| *start <= began);
            }
            if self.work.now.count == 0 && best.is_some() {
                break;
            }
            let Some(c) = subject.char_at(at) else { break };
            at += c.len_utf8();
            self.step(subject, c, at, NONE)?;
        }
        let Some((began, ended)) = best else { return Ok(None) };
        if !self.prefers_short {
            return Ok(Some((began, ended)));
        }
        let shortest = self.end_of(subject, (start, end), began, Want::Shortest(began, ended))?;
        Ok(Some((began, shortest.unwrap_or(ended))))
    }

    /// Whether there is a match at all.
    ///
    /// # Errors
    /// The statement was cancelled.
    pub(crate) fn is_match(&mut self, subject: Subject<'_>) -> Result<bool, Problem> {
        let (start, end) = (self.start, self.end);
        let mut at = 0;
        self.work.now.count = 0;
        loop {
            if self.work.now.count == 0 {
                match self.skip(subject.text, at) {
                    Some(next) => at = next,
                    None => return Ok(false),
                }
            }
            if at == 0 || !self.is_anchored {
                self.add(subject, start, 0, at, NONE);
            }
            if self.work.now.has(end) {
                return Ok(true);
            }
            let Some(c) = subject.char_at(at) else { return Ok(false) };
            at += c.len_utf8();
            self.step(subject, c, at, NONE)?;
        }
    }

    /// Where the part of the automaton between two states ends when it starts at `from`.
    fn end_of(
        &mut self,
        subject: Subject<'_>,
        (start, end): (u32, u32),
        from: usize,
        want: Want,
    ) -> Result<Option<usize>, Problem> {
        let limit = match want {
            Want::Longest(limit) | Want::Shortest(_, limit) | Want::Exact(limit) => limit,
        };
        let mut found = None;
        let mut at = from;
        self.work.now.count = 0;
        self.add(subject, start, from, at, end);
        loop {
            if self.work.now.has(end) {
                match want {
                    Want::Longest(_) => found = Some(at),
                    Want::Shortest(least, _) if at >= least => return Ok(Some(at)),
                    Want::Exact(wanted) if at == wanted => return Ok(Some(at)),
                    _ => {}
                }
            }
            if at >= limit || self.work.now.count == 0 {
                return Ok(found);
            }
            let Some(c) = subject.char_at(at) else { return Ok(found) };
            at += c.len_utf8();
            self.step(subject, c, at, end)?;
        }
    }

    fn is_exact(
        &mut self,
        subject: Subject<'_>,
        part: (u32, u32),
        (from, to): Span,
    ) -> Result<bool, Problem> {
        Ok(self.end_of(subject, part, from, Want::Exact(to))?.is_some())
    }

    /// Finds what each pair of brackets matched in a match.
    ///
    /// # Errors
    /// The budget refuses, or the statement was cancelled.
    pub(crate) fn cut(&mut self, subject: Subject<'_>, whole: Span) -> Result<(), Problem> {
        self.work.captures.fill(UNSET);
        if self.captures_count == 0 {
            return Ok(());
        }
        self.work.cuts.clear();
        self.work.cuts.push([self.root as usize, whole.0, whole.1])?;
        while let Some([index, from, to]) = self.work.cuts.pop() {
            let index = index as u32;
            let part = self.span(index);
            if !part.captures {
                continue;
            }
            let node = self.node(index);
            match node.kind {
                Kind::Capture(number) => {
                    if let Some(slot) = self.work.captures.get_mut(number as usize) {
                        *slot = [from, to];
                    }
                    self.work.cuts.push([node.child as usize, from, to])?;
                }
                Kind::Alternate => self.cut_branches(subject, node.child, (from, to))?,
                Kind::Concat => self.cut_list(subject, node.child, part.end, (from, to))?,
                Kind::Repeat { min, is_greedy, .. } => {
                    self.cut_rounds(subject, (node.child, part), (min.into(), is_greedy), (from, to))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The first branch that matches all of it.
    fn cut_branches(&mut self, subject: Subject<'_>, first: u32, span: Span) -> Result<(), Problem> {
        let mut child = first;
        while child != NONE {
            let part = self.span(child);
            if self.is_exact(subject, (part.start, part.end), span)? {
                self.work.cuts.push([child as usize, span.0, span.1])?;
                break;
            }
            child = self.node(child).sibling;
        }
        Ok(())
    }

    /// Each part of a list takes what it prefers, as long as the rest of the list can take what is left.
    fn cut_list(&mut self, subject: Subject<'_>, first: u32, end: u32, span: Span) -> Result<(), Problem> {
        let (mut child, mut from) = (first, span.0);
        while child != NONE && self.has_captures_from(child) {
            let node = self.node(child);
            let to = match node.sibling {
                NONE => span.1,
                sibling => {
                    let rest = (self.span(sibling).start, end);
                    match self.width(subject, node.kind, from) {
                        Some(width) => from + width,
                        None => {
                            let part = self.span(child);
                            let prefers_short = part.is_short;
                            match self.split(subject, part, rest, (from, span.1), prefers_short, from)? {
                                Some(to) => to,
                                None => return Ok(()),
                            }
                        }
                    }
                }
            };
            if self.span(child).captures {
                self.work.cuts.push([child as usize, from, to])?;
            }
            (child, from) = (node.sibling, to);
        }
        Ok(())
    }

    /// Whether a part of a list or one behind it captures; others need not be cut.
    fn has_captures_from(&self, first: u32) -> bool {
        let mut child = first;
        while child != NONE {
            if self.span(child).captures {
                return true;
            }
            child = self.node(child).sibling;
        }
        false
    }

    /// The bytes that a node takes at a place, where that is settled.
    fn width(&self, subject: Subject<'_>, kind: Kind, at: usize) -> Option<usize> {
        match kind {
            Kind::Char(_) | Kind::Any(_) | Kind::Class(_) => Some(subject.char_at(at)?.len_utf8()),
            Kind::Assert(_) | Kind::Empty => Some(0),
            _ => None,
        }
    }

    /// Where a part ends, in the order of its preference, such that the rest can end at the end of the span.
    fn split(
        &mut self,
        subject: Subject<'_>,
        part: Part,
        rest: (u32, u32),
        (from, to): Span,
        prefers_short: bool,
        least: usize,
    ) -> Result<Option<usize>, Problem> {
        let mut want = match prefers_short {
            true => Want::Shortest(least, to),
            false => Want::Longest(to),
        };
        loop {
            let Some(at) = self.end_of(subject, (part.start, part.end), from, want)? else { return Ok(None) };
            if at < least {
                return Ok(None);
            }
            if self.is_exact(subject, rest, (at, to))? {
                return Ok(Some(at));
            }
            want = match want {
                Want::Shortest(..) => match subject.char_at(at).filter(|_| at < to) {
                    Some(c) => Want::Shortest(at + c.len_utf8(), to),
                    None => return Ok(None),
                },
                _ => match subject.char_before(at).filter(|_| at > from) {
                    Some(c) => Want::Longest(at - c.len_utf8()),
                    None => return Ok(None),
                },
            };
        }
    }

    /// The last round of a repetition, which is the one that counts.
    ///
    /// As in PostgreSQL, `x{m,n}` with a round at least is `x{m-1,n-1}x`: the rounds before the last take what they
    /// prefer together. Otherwise each round does.
    fn cut_rounds(
        &mut self,
        subject: Subject<'_>,
        (child, repeat): (u32, Part),
        (min, is_greedy): (u32, bool),
        span: Span,
    ) -> Result<(), Problem> {
        let last = match min {
            0 => self.last_of_any_rounds(subject, (child, repeat), is_greedy, span)?,
            _ => self.last_round(subject, (child, repeat), (min, is_greedy), span)?,
        };
        if let Some((from, to)) = last {
            self.work.cuts.push([child as usize, from, to])?;
        }
        Ok(())
    }

    fn last_round(
        &mut self,
        subject: Subject<'_>,
        (child, repeat): (u32, Part),
        (min, is_greedy): (u32, bool),
        (from, to): Span,
    ) -> Result<Option<Span>, Problem> {
        let round = self.span(child);
        let mut at = if is_greedy { to } else { from };
        loop {
            let is_last = self.is_exact(subject, (round.start, round.end), (at, to))?
                && self.is_between_rounds(subject, repeat, min - 1, (from, at))?;
            if is_last {
                return Ok(Some((at, to)));
            }
            let next = match is_greedy {
                true => subject.char_before(at).filter(|_| at > from).map(|c| at - c.len_utf8()),
                false => subject.char_at(at).filter(|_| at < to).map(|c| at + c.len_utf8()),
            };
            match next {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
    }

    /// Whether a repetition can be where its last round begins, after at least `least` others.
    fn is_between_rounds(
        &mut self,
        subject: Subject<'_>,
        repeat: Part,
        least: u32,
        (from, to): Span,
    ) -> Result<bool, Problem> {
        let mut at = from;
        self.work.now.count = 0;
        self.add(subject, repeat.start, from, at, repeat.end);
        while at < to && self.work.now.count > 0 {
            let Some(c) = subject.char_at(at) else { break };
            at += c.len_utf8();
            self.step(subject, c, at, repeat.end)?;
        }
        // After the greatest number of rounds there is none left; an endless one has a state for all that many.
        let most = if repeat.is_endless { repeat.entries_count } else { repeat.entries_count - 1 };
        let mut states = (least..most).map(|rounds| self.after_rounds(repeat, rounds));
        Ok(at == to && states.any(|state| self.work.now.has(state)))
    }

    fn last_of_any_rounds(
        &mut self,
        subject: Subject<'_>,
        (child, repeat): (u32, Part),
        is_greedy: bool,
        (from, to): Span,
    ) -> Result<Option<Span>, Problem> {
        let round = self.span(child);
        if from == to {
            let is_empty = self.is_exact(subject, (round.start, round.end), (to, to))?;
            return Ok(Some((to, to)).filter(|_| is_empty));
        }
        let (mut at, mut rounds, mut last) = (from, 0, None);
        while at < to {
            let rest = (self.after_rounds(repeat, rounds + 1), repeat.end);
            // A round that takes nothing does not count.
            let least = at + subject.char_at(at).map_or(1, char::len_utf8);
            let Some(next) = self.split(subject, round, rest, (at, to), !is_greedy, least)? else { break };
            last = Some((at, next));
            (at, rounds) = (next, rounds + 1);
        }
        Ok(last)
    }

    /// What the brackets of this number, from 0, matched in the match that was cut last.
    pub(crate) fn capture(&self, number: usize) -> Option<Span> {
        let [from, to] = self.work.captures.get(number).copied().filter(|span| *span != UNSET)?;
        Some((from, to))
    }
}

const _: () = assert!(END > ASSERT);

//! Rules to code for the machine in `src/parser/forms.rs`: one token of look-ahead, two where a guard says so.

use std::collections::{HashMap, HashSet};

use crate::syntax::{Choice, Grammar, Item, Rule, Sequence};
use crate::tokens::{HOOKS, Set, Tokens};

/// What the machine does; the variants of `Op` in the parser.
#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "the fields are written out by `Debug`")]
pub(crate) enum Op {
    Take(usize),
    Noise(usize),
    Word(usize),
    Skip(usize),
    Form(usize),
    List(usize),
    Hook(usize),
    If(usize, usize),
    IfToken(usize, usize),
    TryTake(usize, usize),
    IfGuard(usize, usize),
    Jump(usize),
    Switch(usize),
    Check(usize),
    Fail,
    Parens,
    Slot(usize),
    Become(usize),
    End,
}

/// Where a choice of many goes on, by the class of the current token: `places[arms[class]]`.
#[derive(PartialEq, Eq)]
pub(crate) struct Switch {
    pub(crate) arms: Vec<u8>,
    pub(crate) places: Vec<usize>,
}

/// Fewer optional parts in a row are tested one after the other.
const SHORTCUT_MIN: usize = 3;

/// Choices of fewer alternatives are tested one after the other.
const SWITCH_MIN: usize = 4;

/// One alternative of a switch: what it can begin with, and where it is tested.
struct Arm {
    begins: Set,
    place: usize,
}

#[derive(PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) is_negated: bool,
    /// Sets for the current token, the next and the one after that, as far as they are looked at.
    pub(crate) sets: Vec<usize>,
}

#[derive(Default)]
pub(crate) struct Program {
    pub(crate) code: Vec<Op>,
    pub(crate) sets: Vec<Set>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) switches: Vec<Switch>,
    /// Words that are no keywords.
    pub(crate) words: Vec<String>,
    /// Place in the code, what is expected there.
    pub(crate) expected: Vec<(usize, Vec<String>)>,
    /// Name and first place of each form; 0 for those that only other forms become.
    pub(crate) forms: Vec<(String, usize)>,
    /// Name and first place of each rule that is no node and that code enters.
    pub(crate) entries: Vec<(String, usize)>,
    /// For each form, its labels in the order of their slots.
    pub(crate) set_of: HashMap<Set, usize>,
}

/// Rules that are no nodes and that the parser enters by themselves.
const ENTRIES: &[&str] = &["statement"];

pub(crate) fn compile(grammar: &Grammar, tokens: &Tokens) -> Result<Program, String> {
    let names = form_names(grammar);
    let mut compiler = Compiler {
        grammar,
        tokens,
        follow: HashMap::new(),
        program: Program::default(),
        form_of: names.iter().enumerate().map(|(index, name)| (name.clone(), index)).collect(),
        rule: "",
        slots: slots(grammar),
        tails: Vec::new(),
        problems: Vec::new(),
        depth: 0,
        is_noise: false,
    };
    compiler.check_names()?;
    compiler.follow_sets();
    let mut starts = vec![0; names.len()];
    // Place 0 is nobody's start.
    compiler.emit(Op::Fail);
    for rule in grammar.rules.iter().filter(|rule| rule.is_node()) {
        starts[compiler.form_of[&rule.name]] = compiler.program.code.len();
        compiler.rule(rule);
    }
    for name in ENTRIES {
        if let Some(rule) = grammar.get(name) {
            let start = compiler.program.code.len();
            compiler.program.entries.push(((*name).to_owned(), start));
            compiler.rule(rule);
        }
    }
    if !compiler.problems.is_empty() {
        return Err(compiler.problems.join("\n"));
    }
    for (at, form) in std::mem::take(&mut compiler.tails) {
        compiler.program.code[at] = Op::Jump(starts[form]);
    }
    compiler.program.forms = names.into_iter().zip(starts).collect();
    Ok(compiler.program)
}

/// The names of all forms: rules that are nodes, and what they become.
pub(crate) fn form_names(grammar: &Grammar) -> Vec<String> {
    let mut names: Vec<String> =
        grammar.rules.iter().filter(|rule| rule.is_node()).map(|rule| rule.name.clone()).collect();
    for rule in &grammar.rules {
        for_each(&rule.body, &mut |item| {
            if let Item::Become(name) = item
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        });
    }
    names.sort();
    names
}

/// Calls `see` for each item at any depth.
pub(crate) fn for_each<'g>(choice: &'g Choice, see: &mut impl FnMut(&'g Item)) {
    for item in choice.iter().flatten() {
        for_each_in(item, see);
    }
}

fn for_each_in<'g>(item: &'g Item, see: &mut impl FnMut(&'g Item)) {
    see(item);
    match item {
        Item::Optional { body, .. } | Item::Group(body) | Item::Repeat(body) => for_each(body, see),
        Item::List(item) | Item::Label(_, item) | Item::Parens { item, .. } => for_each_in(item, see),
        _ => {}
    }
}

struct Compiler<'g> {
    grammar: &'g Grammar,
    tokens: &'g Tokens,
    follow: HashMap<&'g str, Set>,
    program: Program,
    form_of: HashMap<String, usize>,
    /// The rule that is compiled.
    rule: &'g str,
    /// The number of each label.
    slots: HashMap<String, usize>,
    /// Jumps to the start of a form that a node becomes.
    tails: Vec<(usize, usize)>,
    problems: Vec<String>,
    depth: usize,
    /// Whether the words that are compiled say nothing: they are optional, have no label, and nothing else is with them.
    is_noise: bool,
}

impl<'g> Compiler<'g> {
    fn check_names(&self) -> Result<(), String> {
        let mut problems = Vec::new();
        for rule in &self.grammar.rules {
            for_each(&rule.body, &mut |item| {
                let is_known = match item {
                    Item::Token(word) => self.tokens.class(word).is_some(),
                    Item::Rule(name) => self.grammar.get(name).is_some(),
                    Item::Hook(name) => self.tokens.hook(name).is_some(),
                    Item::Guard { tokens, .. } => {
                        tokens.iter().flatten().all(|word| self.guard_set(word).is_some())
                    }
                    _ => true,
                };
                if !is_known {
                    let what = match item {
                        Item::Token(name) | Item::Rule(name) | Item::Hook(name) => name,
                        _ => "a word of a guard",
                    };
                    problems.push(format!("{}: `{what}` is not known (rule {})", rule.place, rule.name));
                }
            });
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    // ---- what things begin with

    fn guard_set(&self, word: &str) -> Option<Set> {
        match word.strip_prefix('<') {
            Some(hook) => self.tokens.hook(hook.trim_end_matches('>')),
            None => self.tokens.class(word).map(Set::one),
        }
    }

    fn guard_sets(&self, words: &[String]) -> Set {
        words.iter().filter_map(|word| self.guard_set(word)).fold(Set::default(), Set::or)
    }

    fn body(&self, name: &str) -> &'g Choice {
        static NONE: Choice = Vec::new();
        self.grammar.get(name).map_or(&NONE, |rule| &rule.body)
    }

    fn first_of(&self, item: &'g Item) -> Set {
        match item {
            Item::Token(word) => self.tokens.class(word).map_or(Set::default(), Set::one),
            Item::Rule(name) => self.first_of_choice(self.body(name)),
            Item::Hook(name) => self.tokens.hook(name).unwrap_or_default(),
            Item::Optional { body, .. } | Item::Group(body) | Item::Repeat(body) => {
                self.first_of_choice(body)
            }
            Item::List(item) | Item::Label(_, item) => self.first_of(item),
            Item::Parens { .. } => self.tokens.class("'('").map_or(Set::default(), Set::one),
            Item::Become(name) => self.first_of_choice(self.body(name)),
            Item::Guard { .. } => Set::default(),
        }
    }

    fn first_of_choice(&self, choice: &'g Choice) -> Set {
        choice.iter().map(|sequence| self.first_of_sequence(sequence)).fold(Set::default(), Set::or)
    }

    fn first_of_sequence(&self, items: &'g [Item]) -> Set {
        let mut set = Set::default();
        for (index, item) in items.iter().enumerate() {
            match item {
                Item::Guard { is_negated: false, tokens } => return set.or(self.guard_sets(&tokens[0])),
                Item::Guard { is_negated: true, tokens } if tokens.len() == 1 => {
                    return set.or(self
                        .first_of_sequence(&items[index + 1..])
                        .without(self.guard_sets(&tokens[0])));
                }
                _ => {}
            }
            set = set.or(self.first_of(item));
            if !self.is_nullable(item) {
                break;
            }
        }
        set
    }

    fn is_nullable(&self, item: &'g Item) -> bool {
        match item {
            Item::Optional { .. } | Item::Repeat(_) | Item::Guard { .. } => true,
            Item::Become(name) => self.grammar.get(name).is_none(),
            Item::Group(body) => self.is_choice_nullable(body),
            Item::Rule(name) => self.is_choice_nullable(self.body(name)),
            Item::Label(_, item) => self.is_nullable(item),
            Item::Token(_) | Item::Hook(_) | Item::List(_) | Item::Parens { .. } => false,
        }
    }

    fn is_choice_nullable(&self, choice: &'g Choice) -> bool {
        choice.iter().any(|sequence| sequence.iter().all(|item| self.is_nullable(item)))
    }

    /// What errors call the things that a sequence can begin with.
    fn whats(&self, items: &'g [Item], to: &mut Vec<String>) {
        for item in items {
            match item {
                Item::Token(word) => match word_of_name(word) {
                    Some(name) => add(to, name),
                    None => add(to, self.tokens.class(word).map_or("", |class| self.tokens.word(class))),
                },
                Item::Hook(name) => {
                    add(to, HOOKS.iter().find(|hook| hook.name == name).map_or("", |hook| hook.what))
                }
                Item::Rule(name) | Item::Become(name) => {
                    match self.grammar.get(name).and_then(|rule| rule.what.as_deref()) {
                        Some(what) => add(to, what),
                        None => self.body(name).iter().for_each(|sequence| self.whats(sequence, to)),
                    }
                }
                Item::Optional { body, .. } | Item::Group(body) | Item::Repeat(body) => {
                    body.iter().for_each(|sequence| self.whats(sequence, to));
                }
                Item::List(item) | Item::Label(_, item) => self.whats(std::slice::from_ref(&**item), to),
                Item::Parens { .. } => add(to, "`(`"),
                Item::Guard { .. } => {}
            }
            if !self.is_nullable(item) {
                break;
            }
        }
    }

    // ---- what may follow

    fn follow_sets(&mut self) {
        let ends = Set::one(self.tokens.class("End").unwrap_or(0))
            .or(Set::one(self.tokens.class("';'").unwrap_or(0)));
        for name in ENTRIES {
            if let Some(rule) = self.grammar.get(name) {
                self.follow.insert(&rule.name, ends);
            }
        }
        for (name, words) in &self.grammar.follows {
            let set = self.guard_sets(words);
            if let Some(rule) = self.grammar.get(name) {
                self.follow.insert(&rule.name, set);
            }
        }
        loop {
            let before: usize = self.follow.values().map(|set| set.classes().count()).sum();
            for rule in self
                .grammar
                .rules
                .iter()
                .filter(|rule| rule.is_node() || ENTRIES.contains(&rule.name.as_str()))
            {
                let follow = self.follow.get(rule.name.as_str()).copied().unwrap_or_default();
                self.depth = 0;
                self.follow_in_choice(&rule.body, follow);
            }
            let after: usize = self.follow.values().map(|set| set.classes().count()).sum();
            if before == after {
                return;
            }
        }
    }

    fn follow_in_choice(&mut self, choice: &'g Choice, follow: Set) {
        for sequence in choice {
            for (index, item) in sequence.iter().enumerate() {
                let rest = self.rest(&sequence[index + 1..], follow);
                self.follow_in(item, rest);
            }
        }
    }

    fn follow_in(&mut self, item: &'g Item, rest: Set) {
        let comma = Set::one(self.tokens.class("','").unwrap_or(0));
        match item {
            Item::Rule(name) | Item::Become(name) => {
                let Some(rule) = self.grammar.get(name) else { return };
                if rule.is_node() {
                    let set = self.follow.entry(&rule.name).or_default();
                    *set = set.or(rest);
                } else if self.depth < 60 {
                    self.depth += 1;
                    self.follow_in_choice(&rule.body, rest);
                    self.depth -= 1;
                }
            }
            Item::Optional { body, .. } | Item::Group(body) => self.follow_in_choice(body, rest),
            Item::Repeat(body) => {
                let again = self.first_of_choice(body);
                self.follow_in_choice(body, rest.or(again));
            }
            Item::List(item) => self.follow_in(item, rest.or(comma)),
            Item::Label(_, item) => self.follow_in(item, rest),
            Item::Parens { item, .. } => {
                let close = Set::one(self.tokens.class("')'").unwrap_or(0));
                self.follow_in(item, close);
            }
            _ => {}
        }
    }

    /// What the rest of a sequence can begin with, what follows it included.
    fn rest(&self, items: &'g [Item], follow: Set) -> Set {
        let first = self.first_of_sequence(items);
        if items.iter().all(|item| self.is_nullable(item)) { first.or(follow) } else { first }
    }

    // ---- code

    fn emit(&mut self, op: Op) -> usize {
        self.program.code.push(op);
        self.program.code.len() - 1
    }

    fn here(&self) -> usize {
        self.program.code.len()
    }

    fn patch(&mut self, at: usize) {
        let here = self.here();
        match &mut self.program.code[at] {
            Op::If(_, target)
            | Op::IfToken(_, target)
            | Op::TryTake(_, target)
            | Op::IfGuard(_, target)
            | Op::Jump(target)
            | Op::List(target) => {
                *target = here;
            }
            _ => {}
        }
    }

    fn set(&mut self, set: Set) -> usize {
        let sets = &mut self.program.sets;
        *self.program.set_of.entry(set).or_insert_with(|| {
            sets.push(set);
            sets.len() - 1
        })
    }

    fn word(&mut self, name: &str) -> usize {
        let words = &mut self.program.words;
        words.iter().position(|word| word == name).unwrap_or_else(|| {
            words.push(name.to_owned());
            words.len() - 1
        })
    }

    fn guard(&mut self, is_negated: bool, sets: &[Set]) -> usize {
        let guard = Guard { is_negated, sets: sets.iter().map(|set| self.set(*set)).collect() };
        if let Some(index) = self.program.guards.iter().position(|other| *other == guard) {
            return index;
        }
        self.program.guards.push(guard);
        self.program.guards.len() - 1
    }

    fn problem(&mut self, what: String) {
        let place = self.grammar.get(self.rule).map_or("", |rule| rule.place.as_str());
        let problem = format!("{place}: rule {}: {what}", self.rule);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn rule(&mut self, rule: &'g Rule) {
        self.rule = &rule.name;
        self.depth = 0;
        if rule.is_node() && self.is_choice_nullable(&rule.body) {
            self.problem("a node must not be empty".to_owned());
        }
        self.check_tails(&rule.body, true);
        let follow = self.follow.get(rule.name.as_str()).copied().unwrap_or_default();
        self.choice(&rule.body, follow, Otherwise::Fails, &mut Vec::new());
        self.emit(Op::End);
    }

    /// Sees that nothing stands after what hands the node over to another rule.
    fn check_tails(&mut self, choice: &'g Choice, is_last: bool) {
        for items in choice {
            for (index, item) in items.iter().enumerate() {
                let is_last = is_last && index + 1 == items.len();
                match item {
                    Item::Become(name) if self.grammar.get(name).is_some() && !is_last => {
                        self.problem(format!("nothing can follow `-> {name}`, which is a rule"));
                    }
                    Item::Optional { body, .. } | Item::Group(body) => self.check_tails(body, is_last),
                    Item::Repeat(body) => self.check_tails(body, false),
                    Item::List(item) | Item::Parens { item, .. } => {
                        self.check_tails_in(item);
                    }
                    Item::Rule(name)
                        if self.grammar.get(name).is_some_and(|rule| !rule.is_node()) && self.depth < 60 =>
                    {
                        self.depth += 1;
                        self.check_tails(self.body(name), is_last);
                        self.depth -= 1;
                    }
                    _ => {}
                }
            }
        }
    }

    fn check_tails_in(&mut self, item: &'g Item) {
        if let Item::Rule(name) = item
            && self.grammar.get(name).is_some_and(|rule| !rule.is_node())
        {
            self.check_tails(self.body(name), false);
        }
    }

    /// The alternatives, with those of a piece in its place where it is an alternative by itself.
    fn alternatives(&self, choice: &'g Choice) -> Vec<&'g Sequence> {
        let mut all = Vec::new();
        for items in choice {
            match items.as_slice() {
                [Item::Rule(name)] if self.is_open_piece(name) => {
                    all.extend(self.alternatives(self.body(name)));
                }
                _ => all.push(items),
            }
        }
        all
    }

    /// Whether errors name the alternatives of the piece and not the piece.
    fn is_open_piece(&self, name: &str) -> bool {
        self.grammar.get(name).is_some_and(|rule| !rule.is_node() && rule.what.is_none())
    }

    fn choice(&mut self, choice: &'g Choice, follow: Set, otherwise: Otherwise, pending: &mut Vec<String>) {
        let choice = self.alternatives(choice);
        if otherwise == Otherwise::Fails && choice.len() == 1 {
            return self.sequence(choice[0], follow, pending);
        }
        let mut ends = Vec::new();
        let switch = self.begin_switch(choice.len());
        let mut arms = Vec::new();
        for (index, items) in choice.iter().copied().enumerate() {
            let is_last = index + 1 == choice.len();
            let is_empty = items.iter().all(|item| self.is_nullable(item))
                && !matches!(items.first(), Some(Item::Guard { .. }));
            if is_empty && otherwise == Otherwise::Fails {
                if !is_last {
                    self.problem("an alternative that may be empty must be the last".to_owned());
                }
                self.end_switch(switch, arms);
                let mut inner = pending.clone();
                self.sequence(items, follow, &mut inner);
                *pending = inner;
                ends.into_iter().for_each(|at| self.patch(at));
                return;
            }
            if is_empty {
                self.problem("what may be empty is optional or repeated".to_owned());
            }
            let mut others = choice[index + 1..]
                .iter()
                .map(|other| self.first_of_sequence(other))
                .fold(Set::default(), Set::or);
            if otherwise == Otherwise::GoesOn {
                others = others.or(follow);
            }
            arms.push(self.arm(items));
            let skips = self.condition(items, others, otherwise == Otherwise::GoesOnGreedily);
            self.is_noise = otherwise != Otherwise::Fails && is_noise(items);
            self.sequence(items, follow, &mut Vec::new());
            self.is_noise = false;
            if !is_last || otherwise == Otherwise::Fails {
                ends.push(self.emit(Op::Jump(0)));
            }
            skips.into_iter().for_each(|at| self.patch(at));
        }
        self.end_switch(switch, arms);
        choice.iter().for_each(|items| self.whats(items, pending));
        if otherwise == Otherwise::Fails {
            let at = self.emit(Op::Fail);
            self.program.expected.push((at, std::mem::take(pending)));
        }
        ends.into_iter().for_each(|at| self.patch(at));
    }

    /// Where a switch over so many alternatives will stand, if it is worth one.
    fn begin_switch(&mut self, alternatives: usize) -> Option<usize> {
        (alternatives >= SWITCH_MIN).then(|| self.emit(Op::Switch(0)))
    }

    /// The alternative that is about to be compiled.
    fn arm(&self, items: &'g [Item]) -> Arm {
        let begins = match items.first() {
            Some(Item::Guard { is_negated: false, tokens }) => self.guard_sets(&tokens[0]),
            Some(Item::Guard { .. }) => self.first_of_sequence(&items[1..]),
            _ => self.first_of_sequence(items),
        };
        Arm { begins, place: self.here() }
    }

    /// Fills the switch in: a token goes to the first alternative that it can begin, or to where the code goes on here.
    fn end_switch(&mut self, switch: Option<usize>, arms: Vec<Arm>) {
        let Some(at) = switch else { return };
        let class_arm = |class| arms.iter().position(|arm| arm.begins.has(class)).unwrap_or(arms.len());
        let switch = Switch {
            arms: (0..self.tokens.classes_count()).map(|class| class_arm(class) as u8).collect(),
            places: arms.iter().map(|arm| arm.place).chain([self.here()]).collect(),
        };
        let switches = &mut self.program.switches;
        let index = switches.iter().position(|other| *other == switch).unwrap_or_else(|| {
            switches.push(switch);
            switches.len() - 1
        });
        self.program.code[at] = Op::Switch(index);
    }

    /// The tests before an alternative: where they stand, to be sent on when they fail.
    fn condition(&mut self, items: &'g [Item], others: Set, is_greedy: bool) -> Vec<usize> {
        let first = self.first_of_sequence(items);
        if let Some(Item::Guard { is_negated, tokens }) = items.first() {
            let sets: Vec<Set> = tokens.iter().map(|words| self.guard_sets(words)).collect();
            let mut skips = Vec::new();
            if sets.len() == 1 && !is_negated {
                skips.push(self.test(sets[0]));
            } else {
                let guard = self.guard(*is_negated, &sets);
                skips.push(self.emit(Op::IfGuard(guard, 0)));
            }
            if *is_negated {
                let rest = self.first_of_sequence(&items[1..]);
                skips.push(self.test(rest));
            }
            return skips;
        }
        let conflict = first.and(others);
        if conflict.is_empty() || is_greedy {
            return vec![self.test(first)];
        }
        if let Some((one, two)) = self.two_tokens(items) {
            let guard = self.guard(false, &[Set::one(one), Set::one(two)]);
            return vec![self.emit(Op::IfGuard(guard, 0))];
        }
        let words: Vec<&str> = conflict.classes().take(6).map(|class| self.tokens.word(class)).collect();
        let mut what = Vec::new();
        self.whats(items, &mut what);
        self.problem(format!(
            "{} … cannot be told from what else may stand there: {}",
            what.join(", "),
            words.join(", ")
        ));
        Vec::new()
    }

    fn test(&mut self, set: Set) -> usize {
        let mut classes = set.classes();
        match (classes.next(), classes.next()) {
            (Some(class), None) => self.emit(Op::IfToken(class, 0)),
            _ => {
                let set = self.set(set);
                self.emit(Op::If(set, 0))
            }
        }
    }

    /// The two tokens that a sequence begins with, if it always does.
    fn two_tokens(&self, items: &'g [Item]) -> Option<(usize, usize)> {
        let mut tokens = Vec::new();
        self.leading_tokens(items, &mut tokens, &mut HashSet::new());
        Some((*tokens.first()?, *tokens.get(1)?))
    }

    /// Collects tokens; false when anything else follows.
    fn leading_tokens(&self, items: &'g [Item], to: &mut Vec<usize>, seen: &mut HashSet<String>) -> bool {
        for item in items {
            let goes_on = match item {
                Item::Token(word) => {
                    to.extend(self.tokens.class(word));
                    to.len() < 2
                }
                Item::Label(_, item) => self.leading_tokens(std::slice::from_ref(&**item), to, seen),
                Item::Become(name) if self.grammar.get(name).is_none() => true,
                Item::Rule(name) | Item::Become(name)
                    if seen.insert(name.clone()) && self.body(name).len() == 1 =>
                {
                    self.leading_tokens(&self.body(name)[0], to, seen)
                }
                _ => false,
            };
            if !goes_on {
                return false;
            }
        }
        true
    }

    fn sequence(&mut self, items: &'g [Item], follow: Set, pending: &mut Vec<String>) {
        let mut shortcut: Option<(usize, usize)> = None;
        for (index, item) in items.iter().enumerate() {
            if let Some((at, _)) = shortcut.take_if(|(_, end)| *end == index) {
                self.patch(at);
            }
            let run = items[index..].iter().take_while(|item| is_optional(item)).count();
            if shortcut.is_none() && run >= SHORTCUT_MIN {
                shortcut = Some((self.skip_unless_any(&items[index..index + run]), index + run));
            }
            let rest = self.rest(&items[index + 1..], follow);
            self.item(item, rest, pending);
        }
        if let Some((at, _)) = shortcut {
            self.patch(at);
        }
    }

    /// One test that skips a run of optional parts when none of them begins here; gives its place.
    fn skip_unless_any(&mut self, items: &'g [Item]) -> usize {
        let mut begins = Set::default();
        for item in items {
            if let Item::Optional { body, .. } | Item::Repeat(body) = item {
                begins = body.iter().map(|items| self.arm(items).begins).fold(begins, Set::or);
            }
        }
        let set = self.set(begins);
        self.emit(Op::If(set, 0))
    }

    fn item(&mut self, item: &'g Item, rest: Set, pending: &mut Vec<String>) {
        match item {
            Item::Token(word) => match word_of_name(word) {
                Some(name) => {
                    let word = self.word(name);
                    let at = self.emit(Op::Word(word));
                    add(pending, name);
                    self.program.expected.push((at, std::mem::take(pending)));
                }
                None => {
                    let class = self.tokens.class(word).unwrap_or(0);
                    match self.program.code.last_mut() {
                        // What was tested just now needs no second look; only the test leads here.
                        Some(last @ Op::IfToken(..)) if !self.is_noise => {
                            debug_assert!(matches!(last, Op::IfToken(tested, _) if *tested == class));
                            *last = Op::TryTake(class, 0);
                            pending.clear();
                        }
                        _ => {
                            let op = if self.is_noise { Op::Noise(class) } else { Op::Take(class) };
                            self.take(op, class, pending);
                        }
                    }
                }
            },
            Item::Rule(name) => self.other_rule(name, item, rest, pending),
            Item::Hook(name) => {
                self.check(item, pending);
                let hook = HOOKS.iter().position(|hook| hook.name == name).unwrap_or(0);
                self.emit(Op::Hook(hook));
            }
            Item::Optional { is_greedy, body } => {
                let otherwise = if *is_greedy { Otherwise::GoesOnGreedily } else { Otherwise::GoesOn };
                self.choice(body, rest, otherwise, pending);
            }
            Item::Group(body) => {
                self.choice(body, rest, Otherwise::Fails, pending);
                if !self.is_choice_nullable(body) {
                    pending.clear();
                }
            }
            Item::Repeat(body) => {
                let start = self.here();
                let again = self.first_of_choice(body);
                // Each turn is followed by the next or by what comes after the loop.
                let before = self.program.code.len();
                self.repeat(body, rest, again, start, pending);
                debug_assert!(self.program.code.len() > before);
            }
            Item::List(element) => self.list(element, rest, false, pending),
            Item::Parens { item, is_optional } => self.parens(item, *is_optional, rest, pending),
            Item::Label(name, item) => {
                if !is_words(item) {
                    // Checks and parentheses come before the child that the slot is for.
                    let slot = self.slots.get(name).copied().unwrap_or(0);
                    self.emit(Op::Slot(slot));
                }
                self.item(item, rest, pending);
            }
            Item::Guard { .. } => {}
            Item::Become(name) => {
                let form = self.form_of[name];
                self.emit(Op::Become(form));
                if self.grammar.get(name).is_some() {
                    self.tails.push((self.here(), form));
                    self.emit(Op::Jump(0));
                    pending.clear();
                }
            }
        }
    }

    fn repeat(&mut self, body: &'g Choice, rest: Set, again: Set, start: usize, pending: &mut Vec<String>) {
        let switch = self.begin_switch(body.len());
        let mut arms = Vec::new();
        for (index, items) in body.iter().enumerate() {
            arms.push(self.arm(items));
            let others =
                body[index + 1..].iter().map(|other| self.first_of_sequence(other)).fold(rest, Set::or);
            let skips = self.condition(items, others, false);
            self.is_noise = is_noise(items);
            self.sequence(items, rest.or(again), &mut Vec::new());
            self.is_noise = false;
            self.emit(Op::Jump(start));
            skips.into_iter().for_each(|at| self.patch(at));
        }
        self.end_switch(switch, arms);
        body.iter().for_each(|items| self.whats(items, pending));
    }

    fn take(&mut self, op: Op, class: usize, pending: &mut Vec<String>) {
        let at = self.emit(op);
        add(pending, self.tokens.word(class));
        self.program.expected.push((at, std::mem::take(pending)));
    }

    /// Before a nonterminal that follows optional parts: says what else could have stood there.
    fn check(&mut self, item: &'g Item, pending: &mut Vec<String>) {
        if pending.is_empty() {
            return;
        }
        let first = self.first_of(item);
        let set = self.set(first);
        self.whats(std::slice::from_ref(item), pending);
        let at = self.emit(Op::Check(set));
        self.program.expected.push((at, std::mem::take(pending)));
    }

    fn other_rule(&mut self, name: &str, item: &'g Item, rest: Set, pending: &mut Vec<String>) {
        let Some(rule) = self.grammar.get(name) else { return };
        if rule.is_node() {
            self.check(item, pending);
            let form = self.form_of[name];
            self.emit(Op::Form(form));
            return;
        }
        if self.depth > 60 {
            self.problem(format!("{name} uses itself, so it must be a node"));
            return;
        }
        self.depth += 1;
        self.choice(&rule.body, rest, Otherwise::Fails, pending);
        self.depth -= 1;
        if !self.is_choice_nullable(&rule.body) {
            pending.clear();
        }
    }

    fn list(&mut self, element: &'g Item, rest: Set, is_optional: bool, pending: &mut Vec<String>) {
        let comma = self.tokens.class("','").unwrap_or(0);
        if !is_optional {
            self.check(element, pending);
        }
        let list = self.emit(Op::List(0));
        let skips = if is_optional {
            let first = self.first_of(element);
            vec![self.test(first)]
        } else {
            Vec::new()
        };
        let start = self.here();
        self.item(element, rest.or(Set::one(comma)), &mut Vec::new());
        let end = self.emit(Op::IfToken(comma, 0));
        self.emit(Op::Skip(comma));
        self.emit(Op::Jump(start));
        self.patch(end);
        skips.into_iter().for_each(|at| self.patch(at));
        self.emit(Op::End);
        self.patch(list);
    }

    fn parens(&mut self, item: &'g Item, is_optional: bool, _rest: Set, pending: &mut Vec<String>) {
        let (open, close) = (self.tokens.class("'('").unwrap_or(0), self.tokens.class("')'").unwrap_or(0));
        self.take(Op::Skip(open), open, pending);
        self.emit(Op::Parens);
        let mut expected = Vec::new();
        match item {
            Item::List(element) => {
                self.list(element, Set::one(close), is_optional, &mut Vec::new());
                if is_optional {
                    self.whats(std::slice::from_ref(&**element), &mut expected);
                }
                add(&mut expected, "`,`");
            }
            _ => self.item(item, Set::one(close), &mut Vec::new()),
        }
        self.take(Op::Skip(close), close, &mut expected);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Fails,
    GoesOn,
    GoesOnGreedily,
}

/// Whether a label stands at words, which are looked for and not found by a slot.
pub(crate) fn is_words(item: &Item) -> bool {
    match item {
        Item::Token(_) => true,
        Item::Group(body) => body.iter().all(|items| matches!(items.as_slice(), [Item::Token(_)])),
        _ => false,
    }
}

fn is_optional(item: &Item) -> bool {
    matches!(item, Item::Optional { .. } | Item::Repeat(_))
}

/// Whether an optional sequence says nothing, as `[WORK]` or `[RESTRICT]` do: it is words alone, without a label.
fn is_noise(items: &[Item]) -> bool {
    items.iter().all(|item| matches!(item, Item::Token(_) | Item::Guard { .. }))
}

/// A number for each label, from 1: the same in all rules, so that forms which several rules make are read in one way,
/// and different for labels that stand in one rule.
pub(crate) fn slots(grammar: &Grammar) -> HashMap<String, usize> {
    let rules: Vec<Vec<&str>> = grammar
        .rules
        .iter()
        .filter(|rule| rule.is_node())
        .map(|rule| {
            let mut labels = Vec::new();
            labels_of(grammar, &rule.body, &mut labels, 0);
            labels
        })
        .collect();
    let mut slots: HashMap<String, usize> = HashMap::new();
    for label in rules.iter().flatten() {
        if slots.contains_key(*label) {
            continue;
        }
        let beside = rules.iter().filter(|labels| labels.contains(label)).flatten();
        let taken: HashSet<usize> = beside.filter_map(|other| slots.get(*other).copied()).collect();
        let slot = (1..).find(|slot| !taken.contains(slot)).unwrap_or(0);
        slots.insert((*label).to_owned(), slot);
    }
    slots
}

/// The labels of what is no words, in the pieces of the rule too.
fn labels_of<'g>(grammar: &'g Grammar, choice: &'g Choice, to: &mut Vec<&'g str>, depth: usize) {
    for_each(choice, &mut |item| match item {
        Item::Label(label, inner) if !is_words(inner) => to.push(label),
        Item::Rule(name) if depth < 60 => {
            if let Some(rule) = grammar.get(name).filter(|rule| !rule.is_node()) {
                labels_of(grammar, &rule.body, to, depth + 1);
            }
        }
        _ => {}
    });
}

/// What a word that is no keyword says: `'MEMORY'` in the notation.
fn word_of_name(word: &str) -> Option<&str> {
    let name = word.strip_prefix('\'')?.strip_suffix('\'')?;
    name.starts_with(|letter: char| letter.is_ascii_alphabetic()).then_some(name)
}

fn add(to: &mut Vec<String>, what: &str) {
    if !what.is_empty() && !to.iter().any(|other| other == what) {
        to.push(what.to_owned());
    }
}

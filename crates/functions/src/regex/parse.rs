//! Patterns to trees.
//!
//! One pass, with a stack of open brackets. A branch is a list of quantified atoms, and an alternation a list of branches; both are
//! linked as siblings, in order.

use cofferdam_arena::Growing;

use super::{Assert, COUNT_MAX, Flags, Kind, MANY, NONE, Node, Regex, invalid, unsupported};
use crate::context::Problem;
use crate::text::{lower_char, upper_char};

// Named classes, one bit each; the upper half of the word has the complements.
const ALPHA: u32 = 1;
const DIGIT: u32 = 1 << 1;
const SPACE: u32 = 1 << 2;
const UPPER: u32 = 1 << 3;
const LOWER: u32 = 1 << 4;
const PUNCT: u32 = 1 << 5;
const BLANK: u32 = 1 << 6;
const CNTRL: u32 = 1 << 7;
const GRAPH: u32 = 1 << 8;
const PRINT: u32 = 1 << 9;
const XDIGIT: u32 = 1 << 10;
const UNDERSCORE: u32 = 1 << 11;
const ASCII: u32 = 1 << 12;
const WORD: u32 = ALPHA | DIGIT | UNDERSCORE;
/// The complement of all of `WORD` together cannot be said bit by bit.
const NOT_WORD: u32 = 1 << 16;
const NOT_DIGIT: u32 = 1 << 17;
const NOT_SPACE: u32 = 1 << 18;

const NAMED: [(&str, u32); 14] = [
    ("alpha", ALPHA),
    ("digit", DIGIT),
    ("alnum", ALPHA | DIGIT),
    ("space", SPACE),
    ("upper", UPPER),
    ("lower", LOWER),
    ("punct", PUNCT),
    ("blank", BLANK),
    ("cntrl", CNTRL),
    ("graph", GRAPH),
    ("print", PRINT),
    ("xdigit", XDIGIT),
    ("word", WORD),
    ("ascii", ASCII),
];

/// Whether a character is a letter, digit or underscore: what words are made of.
pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_in_named(c: char, bits: u32) -> bool {
    let is_graph = || !c.is_control() && !c.is_whitespace();
    let has = |bit: u32, holds: &dyn Fn() -> bool| bits & bit != 0 && holds();
    has(ALPHA, &|| c.is_alphabetic() || (!c.is_ascii() && c.is_numeric()))
        || has(DIGIT, &|| c.is_ascii_digit())
        || has(SPACE, &|| c.is_whitespace())
        || has(UPPER, &|| c.is_uppercase())
        || has(LOWER, &|| c.is_lowercase())
        || has(PUNCT, &|| is_graph() && !c.is_alphanumeric())
        || has(BLANK, &|| c == ' ' || c == '\t')
        || has(CNTRL, &|| c.is_control())
        || has(GRAPH, &is_graph)
        || has(PRINT, &|| is_graph() || c == ' ')
        || has(XDIGIT, &|| c.is_ascii_hexdigit())
        || has(UNDERSCORE, &|| c == '_')
        || has(ASCII, &|| c.is_ascii())
        || has(NOT_WORD, &|| !is_word(c))
        || has(NOT_DIGIT, &|| !c.is_ascii_digit())
        || has(NOT_SPACE, &|| !c.is_whitespace())
}

const NEGATED: u32 = 1;
const IGNORE_CASE: u32 = 2;
const NO_BREAK: u32 = 4;

/// Whether a class has a character.
pub(super) fn class_has(regex: &Regex, class: u32, c: char) -> bool {
    let code = u32::from(c);
    if code < 128 {
        let bits = regex.ascii.get(class as usize).map_or(0, |bits| bits[usize::from(code >= 64)]);
        return bits >> (code & 63) & 1 == 1;
    }
    is_in_class(regex, class, c)
}

/// Notes which of the first characters are in the class that was made last.
fn note_ascii(regex: &mut Regex) -> Result<(), Problem> {
    let class = regex.ascii.len() as u32;
    let mut bits = [0; 2];
    for code in 0..128u8 {
        if is_in_class(regex, class, char::from(code)) {
            bits[usize::from(code >= 64)] |= 1 << (code & 63);
        }
    }
    Ok(regex.ascii.push(bits)?)
}

fn is_in_class(regex: &Regex, class: u32, c: char) -> bool {
    let Some(&[first, count, named, flags]) = regex.classes.get(class as usize) else { return false };
    if flags & NO_BREAK != 0 && c == '\n' {
        return false;
    }
    let ranges = regex.ranges.get(first as usize..(first + count) as usize).unwrap_or(&[]);
    let has = |c: char| {
        let code = u32::from(c);
        ranges.iter().any(|[low, high]| (*low..=*high).contains(&code))
            || (named != 0 && is_in_named(c, named))
    };
    let is_in = match flags & IGNORE_CASE {
        0 => has(c),
        _ => has(c) || has(lower_char(c)) || has(upper_char(c)),
    };
    is_in != (flags & NEGATED != 0)
}

/// Words of a packed node: kind, what it carries, child, sibling.
pub(super) fn pack(node: Node) -> [u32; 4] {
    let (tag, carried) = match node.kind {
        Kind::Empty => (0, 0),
        Kind::Char(c) => (1, u32::from(c)),
        Kind::Any(stops) => (2, u32::from(stops)),
        Kind::Class(class) => (3, class),
        Kind::Assert(assert) => (4, assert as u32),
        Kind::Concat => (5, 0),
        Kind::Alternate => (6, 0),
        Kind::Repeat { min, max, is_greedy, passes } => {
            (7, u32::from(is_greedy) << 31 | u32::from(passes) << 30 | u32::from(min) << 12 | u32::from(max))
        }
        Kind::Capture(number) => (8, number),
    };
    [tag, carried, node.child, node.sibling]
}

pub(super) fn unpack([tag, carried, child, sibling]: [u32; 4]) -> Node {
    let kind = match tag {
        1 => Kind::Char(char::from_u32(carried).unwrap_or('\0')),
        2 => Kind::Any(carried != 0),
        3 => Kind::Class(carried),
        4 => Kind::Assert(assert_of(carried)),
        5 => Kind::Concat,
        6 => Kind::Alternate,
        7 => Kind::Repeat {
            min: (carried >> 12 & 0xfff) as u16,
            max: (carried & 0xfff) as u16,
            is_greedy: carried >> 31 != 0,
            passes: carried >> 30 & 1 != 0,
        },
        8 => Kind::Capture(carried),
        _ => Kind::Empty,
    };
    Node { kind, child, sibling }
}

pub(super) fn assert_of(code: u32) -> Assert {
    const ALL: [Assert; 8] = [
        Assert::TextStart,
        Assert::TextEnd,
        Assert::LineStart,
        Assert::LineEnd,
        Assert::WordStart,
        Assert::WordEnd,
        Assert::WordEdge,
        Assert::NoWordEdge,
    ];
    ALL.get(code as usize).copied().unwrap_or(Assert::TextStart)
}

/// An open bracket, or the pattern itself: a list of branches, the last of which is being read.
#[derive(Clone, Copy)]
struct Frame {
    /// Number of the capture, or [`NONE`].
    capture: u32,
    first_branch: u32,
    last_branch: u32,
    first_atom: u32,
    last_atom: u32,
}

const EMPTY_FRAME: Frame =
    Frame { capture: NONE, first_branch: NONE, last_branch: NONE, first_atom: NONE, last_atom: NONE };

struct Parser<'p, 'r> {
    regex: &'r mut Regex,
    pattern: &'p str,
    at: usize,
    flags: Flags,
    frame: Frame,
}

/// Parses a pattern into the tree of `regex`.
pub(super) fn parse(regex: &mut Regex, pattern: &str, flags: Flags) -> Result<(), Problem> {
    regex.nodes.clear();
    regex.classes.clear();
    regex.ranges.clear();
    regex.ascii.clear();
    regex.tasks.clear();
    regex.captures_count = 0;
    let mut parser = Parser { regex, pattern, at: 0, flags, frame: EMPTY_FRAME };
    parser.prefixes()?;
    let root = if parser.flags.is_literal { parser.literal() } else { parser.expression() }?;
    parser.regex.root = root;
    parser.regex.tasks.clear();
    Ok(())
}

impl Parser<'_, '_> {
    fn rest(&self) -> &str {
        self.pattern.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_if(&mut self, wanted: &str) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    /// `***:`, `***=` and `(?letters)` at the start.
    fn prefixes(&mut self) -> Result<(), Problem> {
        if self.flags.is_literal {
            return Ok(());
        }
        if self.take_if("***=") {
            self.flags.is_literal = true;
            return Ok(());
        }
        if self.rest().starts_with("***") && !self.take_if("***:") {
            return Err(invalid("invalid regular expression: quantifier operand invalid"));
        }
        let opens = self.rest().strip_prefix("(?").and_then(|rest| rest.chars().next());
        if opens.is_some_and(|letter| letter.is_ascii_alphabetic()) {
            self.at += 2;
            loop {
                match self.take() {
                    Some(')') => break,
                    Some(letter) if self.flags.apply(letter) => {}
                    _ => return Err(invalid("invalid regular expression: invalid embedded option")),
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<u32, Problem> {
        while let Some(c) = self.take() {
            let atom = self.character(c)?;
            self.push_atom(atom);
        }
        self.end_branch()?;
        self.close()
    }

    fn add(&mut self, kind: Kind, child: u32) -> Result<u32, Problem> {
        let index = self.regex.nodes.len() as u32;
        self.regex.nodes.push(pack(Node { kind, child, sibling: NONE }))?;
        Ok(index)
    }

    fn link(&mut self, from: u32, to: u32) {
        if let Some([_, _, _, sibling]) = self.regex.nodes.get_mut(from as usize) {
            *sibling = to;
        }
    }

    fn push_atom(&mut self, atom: u32) {
        match self.frame.last_atom {
            NONE => self.frame.first_atom = atom,
            last => self.link(last, atom),
        }
        self.frame.last_atom = atom;
    }

    /// Makes the atoms that were read a branch.
    fn end_branch(&mut self) -> Result<(), Problem> {
        let branch = match (self.frame.first_atom, self.frame.last_atom) {
            (NONE, _) => self.add(Kind::Empty, NONE)?,
            (first, last) if first == last => first,
            (first, _) => self.add(Kind::Concat, first)?,
        };
        (self.frame.first_atom, self.frame.last_atom) = (NONE, NONE);
        match self.frame.last_branch {
            NONE => self.frame.first_branch = branch,
            last => self.link(last, branch),
        }
        self.frame.last_branch = branch;
        Ok(())
    }

    /// The node of all branches.
    fn close(&mut self) -> Result<u32, Problem> {
        match self.frame.first_branch == self.frame.last_branch {
            true => Ok(self.frame.first_branch),
            false => self.add(Kind::Alternate, self.frame.first_branch),
        }
    }

    /// Skips white space and comments of the expanded syntax, and `(?#…)` of any.
    fn skip(&mut self) -> Result<(), Problem> {
        loop {
            if self.take_if("(?#") {
                let len = self.rest().find(')').map(|at| at + 1);
                let message = "invalid regular expression: parentheses () not balanced";
                self.at += len.ok_or_else(|| invalid(message))?;
            } else if self.flags.is_expanded && self.peek().is_some_and(char::is_whitespace) {
                self.take();
            } else if self.flags.is_expanded && self.peek() == Some('#') {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else {
                return Ok(());
            }
        }
    }

    fn expression(&mut self) -> Result<u32, Problem> {
        let mut frames: Growing<[u32; 5]> = Growing::new(self.regex.tasks.budget());
        loop {
            self.skip()?;
            let Some(c) = self.peek() else { break };
            match c {
                '|' => {
                    self.take();
                    self.end_branch()?;
                }
                '(' => {
                    let capture = self.open()?;
                    let outer = self.frame;
                    frames.push([
                        outer.capture,
                        outer.first_branch,
                        outer.last_branch,
                        outer.first_atom,
                        outer.last_atom,
                    ])?;
                    self.frame = Frame { capture, ..EMPTY_FRAME };
                }
                ')' => {
                    let message = "invalid regular expression: parentheses () not balanced";
                    let outer = frames.pop().ok_or_else(|| invalid(message))?;
                    self.take();
                    self.end_branch()?;
                    let mut atom = self.close()?;
                    if self.frame.capture != NONE {
                        atom = self.add(Kind::Capture(self.frame.capture), atom)?;
                    }
                    let [capture, first_branch, last_branch, first_atom, last_atom] = outer;
                    self.frame = Frame { capture, first_branch, last_branch, first_atom, last_atom };
                    self.quantified(atom)?;
                }
                _ => self.atom()?,
            }
        }
        if !frames.is_empty() {
            return Err(invalid("invalid regular expression: parentheses () not balanced"));
        }
        self.end_branch()?;
        self.close()
    }

    /// Reads an opening bracket; the number of its capture, or [`NONE`].
    fn open(&mut self) -> Result<u32, Problem> {
        self.take();
        if !self.take_if("?") {
            let number = self.regex.captures_count;
            self.regex.captures_count += 1;
            return Ok(number);
        }
        if self.take_if(":") {
            return Ok(NONE);
        }
        for sign in ["=", "!", "<=", "<!"] {
            if self.rest().starts_with(sign) {
                return Err(unsupported("lookahead and lookbehind in regular expressions are not supported"));
            }
        }
        Err(invalid("invalid regular expression: quantifier operand invalid"))
    }

    fn atom(&mut self) -> Result<(), Problem> {
        let c = self.take().unwrap_or('\0');
        let breaks_anchor = self.flags.breaks_anchor;
        let node = match c {
            '^' => return self.assertion(if breaks_anchor { Assert::LineStart } else { Assert::TextStart }),
            '$' => return self.assertion(if breaks_anchor { Assert::LineEnd } else { Assert::TextEnd }),
            '*' | '+' | '?' => {
                return Err(invalid("invalid regular expression: quantifier operand invalid"));
            }
            '{' if self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                return Err(invalid("invalid regular expression: quantifier operand invalid"));
            }
            '.' => self.add(Kind::Any(self.flags.breaks_stop), NONE)?,
            '[' => match self.bracket()? {
                Some(node) => node,
                None => return Ok(()),
            },
            '\\' => match self.escape()? {
                Escaped::Char(c) => self.character(c)?,
                Escaped::Class(named) => {
                    let first = self.regex.ranges.len() as u32;
                    self.class(first, named, 0)?
                }
                Escaped::Assert(assert) => return self.assertion(assert),
            },
            c => self.character(c)?,
        };
        self.quantified(node)
    }

    /// An assertion, which takes no quantifier.
    fn assertion(&mut self, assert: Assert) -> Result<(), Problem> {
        let node = self.add(Kind::Assert(assert), NONE)?;
        self.push_atom(node);
        self.skip()?;
        match self.peek() {
            Some('*' | '+' | '?') => Err(invalid("invalid regular expression: quantifier operand invalid")),
            _ => Ok(()),
        }
    }

    fn character(&mut self, c: char) -> Result<u32, Problem> {
        let (lower, upper) = (lower_char(c), upper_char(c));
        if !self.flags.ignore_case || lower == upper {
            return self.add(Kind::Char(c), NONE);
        }
        let first = self.regex.ranges.len() as u32;
        for c in [c, lower, upper] {
            self.regex.ranges.push([c.into(); 2])?;
        }
        self.class(first, 0, 0)
    }

    /// A class of the ranges since `first` and of named classes.
    fn class(&mut self, first: u32, named: u32, flags: u32) -> Result<u32, Problem> {
        let index = self.regex.classes.len() as u32;
        let count = self.regex.ranges.len() as u32 - first;
        let case = if self.flags.ignore_case { IGNORE_CASE } else { 0 };
        self.regex.classes.push([first, count, named, flags | case])?;
        note_ascii(self.regex)?;
        self.add(Kind::Class(index), NONE)
    }

    /// Reads a quantifier behind an atom, where there is one, and takes both into the branch.
    fn quantified(&mut self, atom: u32) -> Result<(), Problem> {
        self.skip()?;
        let bounds = match self.peek() {
            Some('*') => Some((0, MANY, false)),
            Some('+') => Some((1, MANY, false)),
            Some('?') => Some((0, 1, false)),
            _ => None,
        };
        let bounds = match bounds {
            Some(bounds) => {
                self.take();
                Some(bounds)
            }
            None => self.counts()?,
        };
        let Some((min, max, passes)) = bounds else {
            self.push_atom(atom);
            return Ok(());
        };
        let is_greedy = !self.take_if("?");
        let node = self.add(Kind::Repeat { min, max, is_greedy, passes }, atom)?;
        self.push_atom(node);
        self.skip()?;
        let is_again = match self.peek() {
            Some('*' | '+' | '?') => true,
            Some('{') => self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit),
            _ => false,
        };
        match is_again {
            true => Err(invalid("invalid regular expression: quantifier operand invalid")),
            false => Ok(()),
        }
    }

    /// `{m}`, `{m,}` or `{m,n}`.
    fn counts(&mut self) -> Result<Option<(u16, u16, bool)>, Problem> {
        let opens = self.peek() == Some('{');
        if !opens || !self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
            return Ok(None);
        }
        self.take();
        let min = self.count()?;
        let has_range = self.take_if(",");
        let max = match has_range {
            false => Some(min),
            true if self.peek() == Some('}') => None,
            true => Some(self.count()?),
        };
        if !self.take_if("}") {
            return Err(match self.peek() {
                None => invalid("invalid regular expression: braces {} not balanced"),
                Some(_) => invalid("invalid regular expression: invalid repetition count(s)"),
            });
        }
        if max.is_some_and(|max| max < min) {
            return Err(invalid("invalid regular expression: invalid repetition count(s)"));
        }
        Ok(Some((min, max.unwrap_or(MANY), !has_range)))
    }

    fn count(&mut self) -> Result<u16, Problem> {
        let end = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
        let count = self.rest().get(..end).and_then(|digits| digits.parse::<u16>().ok());
        self.at += end;
        let count = count.filter(|count| *count <= COUNT_MAX);
        count.ok_or_else(|| invalid("invalid regular expression: invalid repetition count(s)"))
    }

    /// Reads what is behind a backslash.
    fn escape(&mut self) -> Result<Escaped, Problem> {
        let bad = || invalid("invalid regular expression: invalid escape \\ sequence");
        let c = self.take().ok_or_else(bad)?;
        let plain = match c {
            'a' => '\x07',
            'b' => '\x08',
            'B' => '\\',
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'c' => {
                let control = self.take().ok_or_else(bad)?;
                char::from_u32(u32::from(control) & 0x1f).unwrap_or('\0')
            }
            'u' => self.code(4, 4, 16)?,
            'U' => self.code(8, 8, 16)?,
            'x' => self.code(1, 255, 16)?,
            '0' => {
                self.at -= 1;
                self.code(1, 3, 8)?
            }
            'd' => return Ok(Escaped::Class(DIGIT)),
            's' => return Ok(Escaped::Class(SPACE)),
            'w' => return Ok(Escaped::Class(WORD)),
            'D' => return Ok(Escaped::Class(NOT_DIGIT)),
            'S' => return Ok(Escaped::Class(NOT_SPACE)),
            'W' => return Ok(Escaped::Class(NOT_WORD)),
            'A' => return Ok(Escaped::Assert(Assert::TextStart)),
            'Z' => return Ok(Escaped::Assert(Assert::TextEnd)),
            'm' => return Ok(Escaped::Assert(Assert::WordStart)),
            'M' => return Ok(Escaped::Assert(Assert::WordEnd)),
            'y' => return Ok(Escaped::Assert(Assert::WordEdge)),
            'Y' => return Ok(Escaped::Assert(Assert::NoWordEdge)),
            '1'..='9' => return Err(unsupported("back references in regular expressions are not supported")),
            c if c.is_alphanumeric() => return Err(bad()),
            c => c,
        };
        Ok(Escaped::Char(plain))
    }

    /// A character by its code in so many digits.
    fn code(&mut self, least: usize, most: usize, base: u32) -> Result<char, Problem> {
        let bad = || invalid("invalid regular expression: invalid escape \\ sequence");
        let (mut code, mut digits) = (0u32, 0);
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(base)).filter(|_| digits < most) {
            code = code.checked_mul(base).and_then(|code| code.checked_add(digit)).ok_or_else(bad)?;
            self.take();
            digits += 1;
        }
        if digits < least {
            return Err(bad());
        }
        char::from_u32(code).ok_or_else(bad)
    }

    /// Reads `[…]`; nothing where it is a constraint.
    fn bracket(&mut self) -> Result<Option<u32>, Problem> {
        for (text, assert) in [("[:<:]]", Assert::WordStart), ("[:>:]]", Assert::WordEnd)] {
            if self.take_if(text) {
                return self.assertion(assert).map(|()| None);
            }
        }
        let unbalanced = || invalid("invalid regular expression: brackets [] not balanced");
        let is_negated = self.take_if("^");
        let first = self.regex.ranges.len() as u32;
        let mut named = 0;
        let mut is_start = true;
        loop {
            let c = self.take().ok_or_else(unbalanced)?;
            if c == ']' && !is_start {
                break;
            }
            is_start = false;
            let low = match self.bracket_item(c)? {
                Item::Char(c) => c,
                Item::Named(bits) => {
                    named |= bits;
                    if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
                        return Err(invalid("invalid regular expression: invalid character range"));
                    }
                    continue;
                }
            };
            let mut high = low;
            if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
                self.take();
                let c = self.take().ok_or_else(unbalanced)?;
                high = match self.bracket_item(c)? {
                    Item::Char(c) => c,
                    Item::Named(_) => {
                        return Err(invalid("invalid regular expression: invalid character range"));
                    }
                };
            }
            if high < low {
                return Err(invalid("invalid regular expression: invalid character range"));
            }
            self.regex.ranges.push([low.into(), high.into()])?;
        }
        let stops = if is_negated && self.flags.breaks_stop { NO_BREAK } else { 0 };
        self.class(first, named, stops | if is_negated { NEGATED } else { 0 }).map(Some)
    }

    /// One member of a bracket expression, whose first character was taken.
    fn bracket_item(&mut self, c: char) -> Result<Item, Problem> {
        match c {
            '[' if self.take_if(":") => {
                let name = self.until(":]")?;
                let bits = NAMED.iter().find(|(known, _)| *known == name).map(|(_, bits)| *bits);
                let bits = bits.ok_or_else(|| invalid("invalid regular expression: invalid character class"));
                // Without case both cases of letters are either.
                bits.map(|bits| match bits {
                    UPPER | LOWER if self.flags.ignore_case => Item::Named(UPPER | LOWER),
                    bits => Item::Named(bits),
                })
            }
            '[' if self.rest().starts_with(['.', '=']) => {
                let close = if self.take() == Some('.') { ".]" } else { "=]" };
                let name = self.until(close)?;
                let mut characters = name.chars();
                match (characters.next(), characters.next()) {
                    (Some(only), None) => Ok(Item::Char(only)),
                    _ => Err(invalid("invalid regular expression: invalid collating element")),
                }
            }
            '\\' => match self.escape()? {
                Escaped::Char(c) => Ok(Item::Char(c)),
                Escaped::Class(bits) => Ok(Item::Named(bits)),
                Escaped::Assert(_) => Err(invalid("invalid regular expression: invalid escape \\ sequence")),
            },
            c => Ok(Item::Char(c)),
        }
    }

    /// The text up to a mark, which is taken too.
    fn until(&mut self, mark: &str) -> Result<&str, Problem> {
        let rest = self.pattern.get(self.at..).unwrap_or("");
        let end =
            rest.find(mark).ok_or_else(|| invalid("invalid regular expression: brackets [] not balanced"))?;
        self.at += end + mark.len();
        Ok(rest.get(..end).unwrap_or(""))
    }
}

enum Item {
    Char(char),
    Named(u32),
}

enum Escaped {
    Char(char),
    Class(u32),
    Assert(Assert),
}

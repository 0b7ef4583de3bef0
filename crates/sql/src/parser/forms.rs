//! The machine that reads forms: statements and clauses that `grammar/*.syntax` declares.
//!
//! `build.rs` compiles the rules to [`CODE`]; this runs it on the parser's stack, a frame for each node that is open, so
//! that forms may nest in expressions and queries and those in forms, as deep as the budget goes. Every node of a rule
//! is a [`NodeKind::Form`]. Its keywords are kept as text: the words before its first child in the form itself, those
//! between children as [`NodeKind::Words`].

use super::stack::{Frame, Mode, Then};
use super::{Parsed, Parser, Step};
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::{Keyword, Span, print, words};

/// A place in [`CODE`].
pub(super) type Pc = u16;

/// What the machine does in one step.
#[derive(Clone, Copy)]
enum Op {
    /// Reads a token and keeps it among the words.
    Take(u16),
    /// The same for one that says nothing.
    Noise(u16),
    /// The same for a word that is no keyword.
    Word(u16),
    /// Reads a token that the tree implies.
    Skip(u16),
    /// Reads a node of a rule.
    Form(Form),
    /// Reads a list: the code after it, up to its `End`, is that of its elements; goes on at the place.
    List(Pc),
    /// Reads a nonterminal that is written by hand.
    Hook(Hook),
    /// Goes on at the place unless the token is in the set.
    If(u16, Pc),
    /// The same for a single token.
    IfToken(u16, Pc),
    /// The same, and reads the token like `Take` when it is the one.
    TryTake(u16, Pc),
    /// The same for the current token and the next.
    IfGuard(u16, Pc),
    Jump(Pc),
    /// Goes on at the place that a table has for the token.
    Switch(u16),
    /// Sees that the token is in the set.
    Check(u16),
    Fail,
    /// The next child stands in parentheses.
    Parens,
    /// The next child has this label.
    Slot(u8),
    /// The node turns out to be of this form.
    Become(Form),
    /// The node is complete.
    End,
}

/// What the current token and those after it must be.
struct Guard {
    is_negated: bool,
    sets: &'static [u16],
}

/// Nonterminals that are written by hand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Expr,
    Constant,
    SortKey,
    SimpleExpr,
    Primary,
    JsonKey,
    JsonEncoding,
    FunctionCall,
    Query,
    Table,
    Type,
    SimpleType,
    FunctionType,
    ColumnName,
    TypeOrFunctionName,
    NonReservedWord,
    Label,
    AnyName,
    QualifiedName,
    OptionName,
    ReservedWord,
    FunctionName,
    RoutineName,
    RoleName,
    NewRoleName,
    RoleFlag,
    Target,
    AnyStatement,
    Item,
    Statement,
    RuleAction,
    Application,
    SettingName,
    SettingValue,
    SettingWord,
    WordOrString,
    Identifier,
    QualifiedOperator,
    AnyOperator,
    String,
    Integer,
    Number,
    SignedInteger,
    SignedNumber,
    Parameter,
}

macro_rules! forms {
    ($($name:ident $start:literal $words:literal,)*) => {
        /// A rule of the grammar that is a node; its view in [`crate::views::forms`] has the same name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "documented at the view of the same name")]
        pub enum Form {
            $($name,)*
        }

        const FORMS: &[Form] = &[$(Form::$name,)*];
        const STARTS: &[Pc] = &[$($start,)*];
        const NAMES: &[&str] = &[$($words,)*];
    };
}

include!(concat!(env!("OUT_DIR"), "/forms.rs"));

/// Where a choice of many alternatives goes on.
struct Switch {
    /// Class of the token -> index in `places`.
    arms: &'static [u8; CLASSES_COUNT],
    places: &'static [Pc],
}

impl Form {
    /// Its name in words: `CREATE INDEX`.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    pub(crate) fn code(self) -> u16 {
        self as u16
    }

    pub(crate) fn from_code(code: u16) -> Option<Form> {
        FORMS.get(usize::from(code)).copied()
    }
}

/// Classes of tokens: the keywords, and those after them.
const CLASSES_COUNT: usize = Keyword::COUNT + 35;

/// Marks a child in parentheses in a frame's slot.
const IN_PARENS: u8 = 0x80;

/// A token as the tables number it; the order is that of `build/tokens.rs`.
fn class(kind: TokenKind) -> u16 {
    match kind {
        TokenKind::Keyword(keyword) => keyword as u16,
        kind => class_after_keywords(kind),
    }
}

/// The class of a token that is no keyword. As a function by itself it is compiled to a table, not to a branch to one of
/// thirty places, which is hard to guess.
#[inline(never)]
fn class_after_keywords(kind: TokenKind) -> u16 {
    use TokenKind as T;
    const AFTER: u16 = Keyword::COUNT as u16;
    match kind {
        T::Keyword(_) => 0,
        T::End => AFTER,
        T::Name { .. } | T::QuotedName { .. } | T::UnicodeName => AFTER + 1,
        T::Integer => AFTER + 2,
        T::Number => AFTER + 3,
        T::Parameter => AFTER + 4,
        T::String { .. } | T::EscapeString | T::UnicodeString | T::DollarString => AFTER + 5,
        T::BitString => AFTER + 6,
        T::HexString => AFTER + 7,
        T::LeftParen => AFTER + 8,
        T::RightParen => AFTER + 9,
        T::LeftBracket => AFTER + 10,
        T::RightBracket => AFTER + 11,
        T::Comma => AFTER + 12,
        T::Semicolon => AFTER + 13,
        T::Dot => AFTER + 14,
        T::DotDot => AFTER + 15,
        T::Colon => AFTER + 16,
        T::ColonColon => AFTER + 17,
        T::ColonEqual => AFTER + 18,
        T::Arrow => AFTER + 19,
        T::Plus => AFTER + 20,
        T::Minus => AFTER + 21,
        T::Star => AFTER + 22,
        T::Slash => AFTER + 23,
        T::Percent => AFTER + 24,
        T::Caret => AFTER + 25,
        T::Less => AFTER + 26,
        T::Greater => AFTER + 27,
        T::Equal => AFTER + 28,
        T::LessOrEqual => AFTER + 29,
        T::GreaterOrEqual => AFTER + 30,
        T::NotEqual => AFTER + 31,
        T::Operator => AFTER + 32,
        T::Stray | T::Bad(_) => AFTER + 33,
    }
}

/// The class after those of [`class`].
const WITH_LA: u16 = Keyword::COUNT as u16 + 34;

fn is_in(set: u16, class: u16) -> bool {
    let words = &SETS[usize::from(set)];
    words[usize::from(class / 64)] & (1 << (class % 64)) != 0
}

impl<'a> Parser<'a, '_> {
    /// Begins to read `form`; who asks has pushed the frame that goes on after it.
    pub(super) fn enter(&mut self, form: Form) -> Parsed<Step<'a>> {
        let node = self.form_node(form)?;
        self.run_form(node, STARTS[form as usize])
    }

    /// Goes on with `form` after its first part, an expression that was read before it was known what it is.
    pub(super) fn enter_after(&mut self, form: Form, first: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = self.form_node(form)?;
        node.set_span(first.span());
        let start = usize::from(STARTS[form as usize]);
        let ops = CODE.iter().skip(start);
        let before = ops.take_while(|op| !matches!(op, Op::Hook(_))).count();
        node.push(first);
        self.run_form(node, (start + before + 1) as Pc)
    }

    /// Reads a value that the grammar declares; it is an operand.
    pub(super) fn form_operand(&mut self, form: Form) -> Parsed<Step<'a>> {
        self.push_frame(Frame::new(Then::FormOperand))?;
        self.enter(form)
    }

    /// Reads a statement that the grammar declares; the current token begins it.
    pub(super) fn declared_statement(&mut self) -> Parsed<Step<'a>> {
        let mut pc = STATEMENT;
        let here = self.class_here();
        loop {
            match CODE[usize::from(pc)] {
                Op::Form(form) => return self.enter(form),
                Op::Hook(_) => return Ok(Step::Query),
                Op::Fail => return Err(self.unexpected(&["a statement"])),
                op => pc = self.test(op, pc, here),
            }
        }
    }

    fn form_node(&mut self, form: Form) -> Parsed<NodeRef<'a>> {
        let node = self.node(NodeKind::Form, Span { start: self.token.start, len: 0 })?;
        node.set_form(form);
        Ok(node)
    }

    /// The current token as the tables number it. `WITH` before `TIME` and `ORDINALITY` belongs to them, as PostgreSQL's
    /// lexer sees it, so that only rules that say so (`WITH_LA`) can begin with it.
    fn class_here(&mut self) -> u16 {
        let kind = self.token.kind;
        let belongs_to_next = kind == TokenKind::Keyword(Keyword::With)
            && matches!(self.peek(), TokenKind::Keyword(Keyword::Time | Keyword::Ordinality));
        if belongs_to_next { WITH_LA } else { class(kind) }
    }

    /// Where the machine goes on after a test or a jump at a token of the class `here`.
    #[inline(always)]
    fn test(&mut self, op: Op, pc: Pc, here: u16) -> Pc {
        let (holds, otherwise) = match op {
            Op::If(set, otherwise) => (is_in(set, here), otherwise),
            Op::IfToken(token, otherwise) => (here == token, otherwise),
            Op::IfGuard(guard, otherwise) => (self.guard_holds(guard), otherwise),
            Op::Jump(target) => return target,
            Op::Switch(switch) => {
                let Switch { arms, places } = &SWITCHES[usize::from(switch)];
                return places[usize::from(arms[usize::from(here)])];
            }
            _ => return pc + 1,
        };
        if holds { pc + 1 } else { otherwise }
    }

    fn guard_holds(&mut self, guard: u16) -> bool {
        let Guard { is_negated, sets } = GUARDS[usize::from(guard)];
        let holds = sets.iter().enumerate().all(|(index, set)| {
            let kind = match index {
                0 => self.token.kind,
                1 => self.peek(),
                _ => self.peek_second(),
            };
            is_in(*set, class(kind))
        });
        holds != is_negated
    }

    /// Goes on with the form in `node` at `pc`.
    fn run_form(&mut self, mut node: NodeRef<'a>, mut pc: Pc) -> Parsed<Step<'a>> {
        let mut slot = 0;
        let mut here = self.class_here();
        loop {
            let op = CODE[usize::from(pc)];
            match op {
                Op::Take(token) | Op::Noise(token) => {
                    if here != token {
                        return Err(self.unexpected_at(pc));
                    }
                    let words = self.take_word_into(node)?;
                    if matches!(op, Op::Noise(_)) {
                        words::mark_last(words);
                    }
                    here = self.class_here();
                    pc += 1;
                }
                Op::TryTake(token, otherwise) => {
                    if here != token {
                        pc = otherwise;
                        continue;
                    }
                    self.take_word_into(node)?;
                    here = self.class_here();
                    pc += 1;
                }
                Op::Word(word) => {
                    let is_name = matches!(self.token.kind, TokenKind::Name { .. });
                    let word = WORDS.get(usize::from(word)).copied().unwrap_or("");
                    if !is_name || !self.slice(self.token).eq_ignore_ascii_case(word) {
                        return Err(self.unexpected_at(pc));
                    }
                    self.take_word_into(node)?;
                    here = self.class_here();
                    pc += 1;
                }
                Op::Skip(token) => {
                    if here != token {
                        return Err(self.unexpected_at(pc));
                    }
                    self.take();
                    node.set_end(self.end);
                    here = self.class_here();
                    pc += 1;
                }
                Op::Check(set) => {
                    if !is_in(set, here) {
                        return Err(self.unexpected_at(pc));
                    }
                    pc += 1;
                }
                Op::Fail => return Err(self.unexpected_at(pc)),
                Op::Parens => {
                    slot |= IN_PARENS;
                    pc += 1;
                }
                Op::Slot(label) => {
                    slot = label;
                    pc += 1;
                }
                Op::Become(form) => {
                    node.set_form(form);
                    self.check_place(form)?;
                    pc += 1;
                }
                Op::Form(form) => {
                    self.push_frame(form_frame(node, pc + 1, slot))?;
                    node = self.form_node(form)?;
                    pc = STARTS[form as usize];
                    slot = 0;
                }
                Op::List(after) => {
                    self.push_frame(form_frame(node, after, slot))?;
                    node = self.node(NodeKind::List, Span { start: self.token.start, len: 0 })?;
                    pc += 1;
                    slot = 0;
                }
                Op::Hook(hook) => {
                    let frame = form_frame(node, pc + 1, slot);
                    match self.hook(hook, frame)? {
                        Hooked::Value(child) => hang(frame, child),
                        Hooked::Step(step) => return Ok(step),
                    }
                    slot = 0;
                    here = self.class_here();
                    pc += 1;
                }
                Op::End => {
                    self.check_form(node)?;
                    if self.stack.top().then != Then::Form {
                        return Ok(Step::Done(node));
                    }
                    let frame = self.stack.pop();
                    hang(frame, node);
                    node = frame.node();
                    pc = place(frame);
                }
                Op::If(..) | Op::IfToken(..) | Op::IfGuard(..) | Op::Jump(_) | Op::Switch(_) => {
                    pc = self.test(op, pc, here)
                }
            }
        }
    }

    /// The nonterminal that the form of `frame` waits for.
    pub(super) fn awaited_hook(frame: &Frame<'a>) -> Option<Hook> {
        match CODE.get(usize::from(place(*frame)).wrapping_sub(1)) {
            Some(Op::Hook(hook)) if frame.then == Then::Form => Some(*hook),
            _ => None,
        }
    }

    /// Goes on with a form whose part is complete.
    pub(super) fn after_form_part(&mut self, frame: Frame<'a>, child: NodeRef<'a>) -> Parsed<Step<'a>> {
        hang(frame, child);
        self.run_form(frame.node(), place(frame))
    }

    /// Reads a token into the words of a form.
    fn take_word_into(&mut self, node: NodeRef<'a>) -> Parsed<NodeRef<'a>> {
        let token = self.take();
        node.set_end(token.end);
        match node.last_child() {
            None => {
                let from = if node.name().is_empty() { token.start } else { node.span().start };
                node.set_words(self.lexer.slice(Span::new(from, token.end)));
                Ok(node)
            }
            Some(words) if words.kind() == NodeKind::Words => {
                words.set_end(token.end);
                words.set_words(self.lexer.slice(words.span()));
                Ok(words)
            }
            Some(_) => {
                let words = self.node(NodeKind::Words, token.span())?;
                words.set_words(self.lexer.slice(token.span()));
                node.push(words);
                Ok(words)
            }
        }
    }

    fn hook(&mut self, hook: Hook, frame: Frame<'a>) -> Parsed<Hooked<'a>> {
        let step = match hook {
            Hook::Expr => Step::Operand,
            Hook::SimpleExpr => {
                self.push_frame(Frame { mode: Mode::Simple, ..frame })?;
                return Ok(Hooked::Step(Step::Operand));
            }
            Hook::Constant => {
                self.push_frame(frame)?;
                return self.constant_value().map(Hooked::Step);
            }
            Hook::SortKey => {
                self.push_frame(frame)?;
                return self.want_expr(Frame::new(Then::SortKey)).map(Hooked::Step);
            }
            Hook::JsonKey => {
                self.push_frame(frame)?;
                return self.want_expr(Frame::new(Then::JsonKey)).map(Hooked::Step);
            }
            Hook::FunctionCall => {
                return self.function_call(Frame { mode: Mode::Call, ..frame }).map(Hooked::Step);
            }
            Hook::Query => Step::Query,
            Hook::AnyStatement => Step::Statement,
            Hook::Table => Step::Table,
            Hook::Type => return self.want_type(frame).map(Hooked::Step),
            Hook::SimpleType => return self.want_simple_type(frame).map(Hooked::Step),
            Hook::FunctionType => return self.want_function_type(frame).map(Hooked::Step),
            Hook::Primary => {
                self.push_frame(Frame { mode: Mode::Primary, ..frame })?;
                return Ok(Hooked::Step(Step::Operand));
            }
            Hook::Item => return self.item(frame),
            Hook::Target => return self.target(frame),
            Hook::Application => return self.application(frame),
            Hook::Statement | Hook::RuleAction => {
                self.push_frame(frame)?;
                return self.statement_in_form(hook).map(Hooked::Step);
            }
            _ => return self.marked_hook(hook).map(Hooked::Value),
        };
        self.push_frame(frame)?;
        Ok(Hooked::Step(step))
    }

    /// A nonterminal that needs nothing of the stack, marked as what the grammar itself reads.
    fn marked_hook(&mut self, hook: Hook) -> Parsed<NodeRef<'a>> {
        let node = self.simple_hook(hook)?;
        match node.kind() {
            NodeKind::String | NodeKind::Integer | NodeKind::Number => node.set(flag::PLAIN),
            NodeKind::ObjectName if hook == Hook::QualifiedName => node.set(flag::RELATION),
            _ => {}
        }
        Ok(node)
    }

    /// A nonterminal that needs nothing of the stack.
    fn simple_hook(&mut self, hook: Hook) -> Parsed<NodeRef<'a>> {
        let kind = self.token.kind;
        let (fits, what): (bool, &[&str]) = match hook {
            Hook::ColumnName => (Self::is_column_name(kind), &["a name"]),
            Hook::TypeOrFunctionName => (Self::is_type_or_function_name(kind), &["a name"]),
            Hook::NonReservedWord => {
                (Self::is_column_name(kind) || Self::is_type_or_function_name(kind), &["a word"])
            }
            Hook::Label => (Self::is_label(kind), &["a word"]),
            Hook::Identifier => (super::name::is_plain_name(kind), &["a name"]),
            Hook::String => (super::name::is_string(kind), &["a string"]),
            Hook::Integer => (kind == TokenKind::Integer, &["a number"]),
            Hook::Number => (kind == TokenKind::Number, &["a number"]),
            _ => return self.composed_hook(hook),
        };
        if !fits {
            return Err(self.unexpected(what));
        }
        let token = self.take();
        let node = self.node(
            match hook {
                Hook::String => NodeKind::String,
                Hook::Integer => NodeKind::Integer,
                Hook::Number => NodeKind::Number,
                _ => NodeKind::Name,
            },
            token.span(),
        )?;
        node.set_text(match (hook, token.kind) {
            // `EXPLAIN (FORMAT JSON)`: as an option it is a word before this word too.
            (Hook::NonReservedWord | Hook::Label, TokenKind::Keyword(Keyword::Format)) => {
                Keyword::Format.word()
            }
            _ => self.name_text(token)?,
        });
        if matches!(hook, Hook::NonReservedWord | Hook::Label) {
            node.set(super::setting::word_flags(token.kind));
        }
        Ok(node)
    }

    fn composed_hook(&mut self, hook: Hook) -> Parsed<NodeRef<'a>> {
        match hook {
            Hook::Parameter => self.parameter_name(),
            Hook::JsonEncoding => self.json_encoding(),
            Hook::AnyName => self.object_name(),
            Hook::QualifiedName => self.qualified_name(),
            Hook::OptionName => self.option_name(),
            Hook::ReservedWord => self.reserved_word(),
            Hook::SettingName => self.setting_name(),
            Hook::SettingValue => self.setting_value(),
            Hook::SettingWord => self.setting_word(),
            Hook::WordOrString => self.word_or_string(),
            Hook::FunctionName => self.function_name(),
            Hook::RoutineName => self.routine_name(),
            Hook::QualifiedOperator => self.operator_name(),
            Hook::AnyOperator => self.operator_sign(),
            Hook::RoleName => self.role_name(false),
            Hook::NewRoleName => self.role_name(true),
            Hook::RoleFlag => self.role_flag(),
            Hook::SignedInteger => self.signed_number(true),
            Hook::SignedNumber => self.signed_number(false),
            _ => Err(self.unsupported_here("this part of a statement")),
        }
    }

    fn unexpected_at(&mut self, pc: Pc) -> super::Failed {
        let expected = EXPECTED.binary_search_by_key(&pc, |(at, _)| *at).ok();
        let expected = expected.and_then(|index| EXPECTED.get(index)).map_or(&[][..], |(_, words)| *words);
        self.unexpected(expected)
    }
}

/// What a nonterminal written by hand gives at once.
pub(super) enum Hooked<'a> {
    Value(NodeRef<'a>),
    /// It needs steps; the frame of the form is on the stack.
    Step(Step<'a>),
}

fn form_frame(node: NodeRef<'_>, pc: Pc, slot: u8) -> Frame<'_> {
    Frame { precedence: slot, start: u32::from(pc), ..Frame::of(Then::Form, node) }
}

fn place(frame: Frame<'_>) -> Pc {
    // Only `form_frame` makes these frames, from a `Pc`.
    frame.start as Pc
}

/// Hangs a part under its form, with its label and its parentheses.
fn hang<'a>(frame: Frame<'a>, child: NodeRef<'a>) {
    let slot = frame.precedence & !IN_PARENS;
    if slot != 0 && child.kind().has_slot() {
        child.set_detail(slot);
    }
    let fits = match frame.mode {
        Mode::Primary => print::is_primary(child),
        Mode::Simple => print::is_simple(child),
        _ => true,
    };
    if frame.precedence & IN_PARENS != 0 || !fits {
        child.set(flag::PARENS);
    }
    frame.node().push(child);
}

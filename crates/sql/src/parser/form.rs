//! Operands that begin with a keyword, calls, and the forms that SQL writes in words: `CASE`, `CAST`, `EXTRACT`, ….

use super::name::is_string;
use super::stack::{Frame, Then};
use super::{Parsed, Parser, Step, paren};
use crate::keyword::Category;
use crate::node::{NodeKind, NodeRef, flag};
use crate::token::TokenKind;
use crate::views::CallForm;
use crate::{Keyword, Span};
use Keyword as K;

impl<'a> Parser<'a, '_> {
    pub(super) fn keyword_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        match keyword {
            K::Null => self.constant(NodeKind::Null, 0),
            K::True => self.constant(NodeKind::Boolean, flag::TRUE),
            K::False => self.constant(NodeKind::Boolean, 0),
            K::Not => self.not_operand(),
            K::Case => self.case(),
            K::Cast => self.cast(),
            K::CurrentDate
            | K::CurrentTime
            | K::CurrentTimestamp
            | K::Localtime
            | K::Localtimestamp
            | K::CurrentRole
            | K::CurrentUser
            | K::SessionUser
            | K::SystemUser
            | K::User
            | K::CurrentCatalog => self.bare_call(keyword),
            K::CurrentSchema if self.peek() != TokenKind::LeftParen => self.bare_call(keyword),
            K::Array => Err(self.unsupported_here("ARRAY")),
            K::Any | K::Some | K::All => Err(self.unsupported_here("ANY, SOME or ALL after an operator")),
            K::Collation if self.peeks(K::For) => Err(self.unsupported_here("COLLATION FOR")),
            _ => match keyword.category() {
                Category::ColumnName => self.column_keyword_operand(keyword),
                Category::Unreserved => self.unreserved_operand(keyword),
                Category::TypeOrFunction => self.function_keyword_operand(),
                Category::Reserved => Err(self.unexpected(&["an expression"])),
            },
        }
    }

    fn constant(&mut self, kind: NodeKind, flags: u16) -> Parsed<Step<'a>> {
        let node = self.node_here(kind)?;
        node.set(flags);
        Ok(Step::Value(node))
    }

    /// An unreserved keyword is a name like any other, but a few begin types of several words.
    fn unreserved_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        if keyword == K::Double && self.peeks(K::Precision) {
            return self.type_before_string();
        }
        if keyword == K::Nulls && self.begins_nulls_order() {
            return Err(self.unexpected(&["an expression"]));
        }
        self.named_operand()
    }

    /// A keyword that names functions and types but no columns: `left(…)`.
    fn function_keyword_operand(&mut self) -> Parsed<Step<'a>> {
        match self.peek() {
            TokenKind::LeftParen => {}
            kind if is_string(kind) => {}
            _ => return Err(self.unexpected(&["an expression"])),
        }
        self.named_operand()
    }

    /// A keyword that names columns but no functions: it has a form of its own where that follows.
    fn column_keyword_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let next = self.peek();
        let is_call = next == TokenKind::LeftParen;
        match keyword {
            K::Interval if is_string(next) || is_call => self.interval_literal(),
            K::Bigint
            | K::Bit
            | K::Boolean
            | K::Char
            | K::Character
            | K::Dec
            | K::Decimal
            | K::Float
            | K::Int
            | K::Integer
            | K::National
            | K::Nchar
            | K::Numeric
            | K::Real
            | K::Smallint
            | K::Time
            | K::Timestamp
            | K::Varchar
            | K::Json
                if is_string(next)
                    || is_call
                    || matches!(
                        next,
                        TokenKind::Keyword(K::Varying | K::With | K::Without | K::Char | K::Character)
                    ) =>
            {
                self.type_before_string()
            }
            K::Exists if is_call => self.exists(),
            K::Extract if is_call => self.extract(),
            K::Row if is_call => self.row(),
            K::Coalesce | K::Greatest | K::Least | K::Nullif if is_call => self.keyword_call(keyword),
            K::Substring | K::Position | K::Trim | K::Overlay if is_call => self.form_call(keyword),
            _ if is_call => Err(self.unsupported_here("this form of call")),
            _ => self.named_operand(),
        }
    }

    // ---- types before strings

    /// `double precision '1.5'`, `timestamp(3) '…'`.
    fn type_before_string(&mut self) -> Parsed<Step<'a>> {
        let type_name = self.type_name()?;
        if !is_string(self.token.kind) || type_name.detail() != 0 {
            return Err(self.unexpected(&["a string after the type"]));
        }
        self.typed_literal(type_name)
    }

    /// `INTERVAL '3' MONTH`, `INTERVAL(3) '…'`.
    fn interval_literal(&mut self) -> Parsed<Step<'a>> {
        let type_name = self.node_here(NodeKind::Type)?;
        type_name.set_text("interval");
        type_name.set(flag::KEYWORD);
        let has_precision = self.token.kind == TokenKind::LeftParen;
        if has_precision {
            self.precision(type_name)?;
        }
        type_name.set_end(self.end);
        if !is_string(self.token.kind) {
            return Err(self.unexpected(&["a string after INTERVAL"]));
        }
        let token = self.take();
        let node = self.node(NodeKind::TypedLiteral, type_name.span())?;
        node.set_text(self.string_text(token)?);
        if !has_precision {
            self.interval_qualifier(type_name)?;
        }
        node.push(type_name);
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    // ---- calls

    /// A call of the function that `node` names; the current token is `(`.
    pub(super) fn call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        node.set_kind(NodeKind::Call);
        let start = self.take().start;
        match self.token.kind {
            TokenKind::RightParen => return self.end_call(node),
            TokenKind::Star => {
                self.take();
                node.set(flag::STAR);
                if self.token.kind != TokenKind::RightParen {
                    return Err(self.unexpected(&["`)`"]));
                }
                return self.end_call(node);
            }
            TokenKind::Keyword(K::Distinct) => {
                self.take();
                node.set(flag::DISTINCT);
            }
            TokenKind::Keyword(K::All) => {
                self.take();
            }
            TokenKind::Keyword(K::Variadic) => return Err(self.unsupported_here("VARIADIC")),
            _ => {}
        }
        self.want_expr(paren(Then::CallArg, Some(node), start))
    }

    pub(super) fn after_call_arg(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        let is_name = value.kind() == NodeKind::Column && value.qualifier().is_none();
        if is_name && matches!(self.token.kind, TokenKind::Arrow | TokenKind::ColonEqual) {
            return Err(self.unsupported_here("an argument with a name"));
        }
        node.push(value);
        match self.token.kind {
            TokenKind::Comma => {
                self.take();
                if self.is(K::Variadic) {
                    return Err(self.unsupported_here("VARIADIC"));
                }
                self.want_expr(frame)
            }
            TokenKind::RightParen => self.end_call(node),
            TokenKind::Keyword(K::Order) if !node.has(flag::KEYWORD) => {
                Err(self.unsupported_here("ORDER BY in a call"))
            }
            _ => {
                self.push_frame(frame)?;
                Err(self.unexpected(&["`)`", "`,`", "an operator"]))
            }
        }
    }

    /// Reads the `)` of a call and sees that nothing unsupported follows.
    fn end_call(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        self.take();
        node.set_end(self.end);
        if node.has(flag::KEYWORD) {
            return Ok(Step::Value(node));
        }
        let kind = self.token.kind;
        match kind {
            // In FROM these words are the function's alias.
            TokenKind::Keyword(K::Over | K::Filter | K::Within)
                if self.stack.top().mode == super::stack::Mode::Call =>
            {
                Ok(Step::Value(node))
            }
            TokenKind::Keyword(K::Over) => Err(self.unsupported_here("a window function (OVER)")),
            TokenKind::Keyword(K::Filter) if self.peek() == TokenKind::LeftParen => {
                Err(self.unsupported_here("FILTER"))
            }
            TokenKind::Keyword(K::Within) if self.peeks(K::Group) => {
                Err(self.unsupported_here("WITHIN GROUP"))
            }
            _ if is_string(kind) => Err(self.unsupported_here("a type with modifiers before its string")),
            _ => Ok(Step::Value(node)),
        }
    }

    /// `CURRENT_DATE` and other calls without parentheses; some take a precision.
    fn bare_call(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(keyword.word());
        node.set(flag::KEYWORD | flag::BARE);
        let has_precision =
            matches!(keyword, K::CurrentTime | K::CurrentTimestamp | K::Localtime | K::Localtimestamp);
        if has_precision && self.token.kind == TokenKind::LeftParen {
            self.precision(node)?;
        }
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    /// `COALESCE(…)` and the like: calls that the grammar knows.
    fn keyword_call(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(keyword.word());
        node.set(flag::KEYWORD);
        let start = self.take().start;
        self.want_expr(paren(Then::FormArg, Some(node), start))
    }

    /// `SUBSTRING`, `POSITION`, `TRIM`, `OVERLAY`: arguments with words between them.
    fn form_call(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(keyword.word());
        node.set(flag::KEYWORD);
        let start = self.take().start;
        let mut frame = paren(Then::FormArg, Some(node), start);
        match keyword {
            K::Trim => self.trim_side(node),
            K::Position => frame.mode = super::stack::Mode::Simple,
            _ if self.token.kind == TokenKind::RightParen => return self.end_call(node),
            _ => {}
        }
        self.want_expr(frame)
    }

    /// `TRIM([BOTH | LEADING | TRAILING] [FROM] …`.
    fn trim_side(&mut self, node: NodeRef<'a>) {
        let side = match self.token.keyword() {
            Some(K::Both) => Some(CallForm::TrimBoth),
            Some(K::Leading) => Some(CallForm::TrimLeading),
            Some(K::Trailing) => Some(CallForm::TrimTrailing),
            _ => None,
        };
        if side.is_some() {
            self.take();
        }
        node.set_detail(side.unwrap_or(CallForm::TrimBoth).code());
        if self.take_word(K::From) {
            node.set(flag::EXPLICIT);
        }
    }

    /// After an argument of a form: which word may follow depends on the form and on how many arguments there are.
    pub(super) fn after_form_arg(&mut self, mut frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(value);
        let count = node.children_count();
        let word = if self.token.kind == TokenKind::RightParen {
            return self.end_form(node, frame);
        } else {
            self.token.keyword()
        };
        let form = match (node.name(), word, CallForm::from_code(node.detail()), count) {
            ("substring", Some(K::From), CallForm::Plain, 1) => CallForm::SubstringFrom,
            ("substring", Some(K::For), CallForm::Plain, 1) => CallForm::SubstringFor,
            ("substring", Some(K::For), CallForm::SubstringFrom, 2) => CallForm::SubstringFrom,
            ("substring", Some(K::From), CallForm::SubstringFor, 2) => {
                return Err(self.unsupported_here("FROM after FOR in SUBSTRING"));
            }
            ("substring", Some(K::Similar), CallForm::Plain, 1) => {
                return Err(self.unsupported_here("SIMILAR in SUBSTRING"));
            }
            ("overlay", Some(K::Placing), CallForm::Plain, 1) => CallForm::Overlay,
            ("overlay", Some(K::From), CallForm::Overlay, 2) => CallForm::Overlay,
            ("overlay", Some(K::For), CallForm::Overlay, 3) => CallForm::Overlay,
            ("position", Some(K::In), _, 1) => CallForm::Position,
            ("trim", Some(K::From), form, 1) if !node.has(flag::OPERAND | flag::EXPLICIT) => {
                node.set(flag::OPERAND);
                form
            }
            ("position", ..) => return self.form_failed(frame, &["IN"]),
            (_, _, form, _) if self.token.kind == TokenKind::Comma && takes_comma(node, form) => form,
            _ => return self.form_failed(frame, &["`)`", "`,`", "an operator"]),
        };
        node.set_detail(form.code());
        self.take();
        if form == CallForm::Position {
            frame.mode = super::stack::Mode::Simple;
        }
        self.want_expr(frame)
    }

    fn form_failed(&mut self, frame: Frame<'a>, expected: &'static [&'static str]) -> Parsed<Step<'a>> {
        self.push_frame(frame)?;
        Err(self.unexpected(expected))
    }

    fn end_form(&mut self, node: NodeRef<'a>, frame: Frame<'a>) -> Parsed<Step<'a>> {
        let count = node.children_count();
        let missing: &[&str] = match (node.name(), CallForm::from_code(node.detail())) {
            ("nullif", _) if count < 2 => &["`,`"],
            ("position", _) if count < 2 => &["IN"],
            (_, CallForm::Overlay) if count < 3 => &["FROM"],
            _ => return self.end_call(node),
        };
        self.form_failed(frame, missing)
    }

    // ---- forms

    fn exists(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Exists)?;
        let start = self.take().start;
        self.want_query(paren(Then::ExistsParen, Some(node), start))
    }

    fn row(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Row)?;
        node.set(flag::EXPLICIT);
        let start = self.take().start;
        if self.take_if(TokenKind::RightParen) {
            node.set_end(self.end);
            return Ok(Step::Value(node));
        }
        self.want_expr(paren(Then::RowItem, Some(node), start))
    }

    fn extract(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Extract)?;
        let start = self.take().start;
        let field = self.token;
        let is_field = match field.kind {
            TokenKind::Keyword(K::Year | K::Month | K::Day | K::Hour | K::Minute | K::Second) => true,
            kind => super::name::is_plain_name(kind) || is_string(kind),
        };
        if !is_field {
            return Err(self.unexpected(&["a field, such as YEAR"]));
        }
        self.take();
        node.set_text(self.name_text(field)?);
        self.expect_word(K::From, &["FROM"])?;
        self.want_expr(paren(Then::ExtractSource, Some(node), start))
    }

    pub(super) fn after_extract_source(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(value);
        self.close(frame)?;
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    fn cast(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Cast)?;
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        self.want_expr(paren(Then::CastOperand, Some(node), start))
    }

    pub(super) fn after_cast_operand(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(value);
        if !self.take_word(K::As) {
            return self.form_failed(frame, &["AS"]);
        }
        node.push(self.type_name()?);
        self.close(frame)?;
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    fn case(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Case)?;
        if self.is(K::When) {
            return self.when(node);
        }
        self.want_expr(Frame::of(Then::CaseOperand, node))
    }

    pub(super) fn after_case_operand(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.set(flag::OPERAND);
        node.push(value);
        if !self.is(K::When) {
            return Err(self.unexpected(&["WHEN", "an operator"]));
        }
        self.when(node)
    }

    /// `WHEN …` of the `CASE` in `node`.
    fn when(&mut self, node: NodeRef<'a>) -> Parsed<Step<'a>> {
        let when = self.node_here(NodeKind::When)?;
        self.want_expr(Frame { outer: Some(node), ..Frame::of(Then::CaseWhen, when) })
    }

    pub(super) fn after_case_when(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        self.expect_word(K::Then, &["THEN", "an operator"])?;
        self.want_expr(Frame { then: Then::CaseResult, ..frame })
    }

    pub(super) fn after_case_result(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        let node = frame.outer();
        node.push(frame.node());
        match self.token.keyword() {
            Some(K::When) => self.when(node),
            Some(K::Else) => {
                let otherwise = self.node_here(NodeKind::Else)?;
                self.want_expr(Frame { outer: Some(node), ..Frame::of(Then::CaseElse, otherwise) })
            }
            _ => self.end_case(node, &["WHEN", "ELSE", "END", "an operator"]),
        }
    }

    pub(super) fn after_case_else(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        frame.outer().push(frame.node());
        self.end_case(frame.outer(), &["END", "an operator"])
    }

    fn end_case(&mut self, node: NodeRef<'a>, expected: &'static [&'static str]) -> Parsed<Step<'a>> {
        self.expect_word(K::End, expected)?;
        node.set_span(Span::new(node.span().start, self.end));
        Ok(Step::Value(node))
    }
}

/// Whether another plain argument may follow.
fn takes_comma(node: NodeRef<'_>, form: CallForm) -> bool {
    match form {
        CallForm::Plain => node.name() != "nullif" || node.children_count() < 2,
        CallForm::TrimBoth | CallForm::TrimLeading | CallForm::TrimTrailing => true,
        _ => false,
    }
}

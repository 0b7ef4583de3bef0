//! Operands that begin with a keyword, and the forms that SQL writes in words: `CASE`, `CAST`, `EXTRACT`, ….

use super::name::is_string;
use super::stack::{Frame, Mode, Then};
use super::{Form, Parsed, Parser, Step, paren};
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
            K::CurrentSchema => self.current_schema(),
            K::Array => self.array(),
            K::Any | K::Some | K::All => self.quantified(),
            K::Default => self.default(),
            K::Unique => self.unique(),
            _ => match keyword.category() {
                Category::ColumnName => self.column_keyword_operand(keyword),
                Category::Unreserved => self.unreserved_operand(keyword),
                Category::TypeOrFunction => self.function_keyword_operand(keyword),
                Category::Reserved => Err(self.unexpected(&["an expression"])),
            },
        }
    }

    fn constant(&mut self, kind: NodeKind, flags: u16) -> Parsed<Step<'a>> {
        let node = self.node_here(kind)?;
        node.set(flags);
        Ok(Step::Value(node))
    }

    /// An unreserved keyword is a name like any other, but one begins a type of two words and one an operator.
    fn unreserved_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        match keyword {
            K::Double if self.peeks(K::Precision) => self.type_before_string(),
            K::Operator if self.peek() == TokenKind::LeftParen => self.prefix_by_name(),
            _ => self.named_operand(),
        }
    }

    /// A keyword that names functions and types but no columns: `left(…)`.
    fn function_keyword_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let is_name = match self.peek() {
            TokenKind::LeftParen => true,
            // The name of an argument.
            TokenKind::Arrow | TokenKind::ColonEqual => {
                let top = self.stack.top();
                top.then == Then::CallArg && top.outer.is_none()
            }
            TokenKind::Keyword(K::For) if keyword == K::Collation => return self.collation_for(),
            kind => is_string(kind),
        };
        if !is_name {
            self.take();
            return Err(self.unexpected(&["`(`"]));
        }
        self.named_operand()
    }

    /// A keyword that names columns but no functions: it has a form of its own where that follows.
    fn column_keyword_operand(&mut self, keyword: Keyword) -> Parsed<Step<'a>> {
        let next = self.peek();
        let is_call = next == TokenKind::LeftParen;
        match keyword {
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
            | K::Interval
            | K::Json
            | K::National
            | K::Nchar
            | K::Numeric
            | K::Real
            | K::Smallint
            | K::Time
            | K::Timestamp
            | K::Varchar => self.type_keyword_operand(keyword, next),
            K::Exists if is_call => self.exists(),
            K::Extract if is_call => self.extract(),
            K::Row if is_call => self.row(),
            K::Coalesce | K::Greatest | K::Least | K::Nullif | K::Grouping if is_call => {
                self.keyword_call(keyword)
            }
            K::Substring | K::Position | K::Trim | K::Overlay if is_call => self.form_call(keyword),
            K::Normalize if is_call => self.normalize(),
            K::Treat if is_call => self.treat(),
            K::MergeAction if is_call => self.merge_action(),
            K::JsonObject if is_call => self.json_object(),
            K::JsonArray if is_call => self.json_array(),
            _ => match declared_form(keyword) {
                Some(form) if is_call => self.form_operand(form),
                _ => self.column_keyword(next),
            },
        }
    }

    /// A keyword that begins a type that the grammar knows; it may also name a column.
    fn type_keyword_operand(&mut self, keyword: Keyword, next: TokenKind) -> Parsed<Step<'a>> {
        let begins_type = match next {
            TokenKind::LeftParen if keyword == K::Json => return self.form_operand(Form::JsonParse),
            TokenKind::LeftParen => true,
            TokenKind::Keyword(K::Varying) => true,
            TokenKind::Keyword(K::Char | K::Character) => keyword == K::National,
            TokenKind::Keyword(K::With | K::Without) => {
                matches!(keyword, K::Time | K::Timestamp) && self.has_time_zone()
            }
            kind => is_string(kind),
        };
        match keyword {
            _ if !begins_type => self.column_keyword(next),
            K::Interval => self.interval_literal(),
            _ => self.type_before_string(),
        }
    }

    /// Whether the word after the current token, `WITH` or `WITHOUT`, belongs to a type: a third token is looked at.
    fn has_time_zone(&mut self) -> bool {
        let is_with = self.peeks(K::With);
        let mut lexer = self.lexer.clone();
        match lexer.next_token().keyword() {
            Some(K::Time) => true,
            Some(K::Ordinality) => is_with,
            _ => false,
        }
    }

    /// A keyword that names a column, or with dots after it anything.
    fn column_keyword(&mut self, next: TokenKind) -> Parsed<Step<'a>> {
        if next == TokenKind::Dot {
            return self.named_operand();
        }
        let token = self.take();
        let node = self.node(NodeKind::Column, token.span())?;
        node.set_text(self.name_text(token)?);
        self.indirection(node)
    }

    /// `CURRENT_SCHEMA`, which is a value, or also a function or a type when it is written like one.
    fn current_schema(&mut self) -> Parsed<Step<'a>> {
        match self.peek() {
            TokenKind::LeftParen => self.named_operand(),
            kind if is_string(kind) => self.named_operand(),
            TokenKind::Arrow | TokenKind::ColonEqual => self.function_keyword_operand(K::CurrentSchema),
            _ => self.bare_call(K::CurrentSchema),
        }
    }

    // ---- types before strings

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

    /// `COLLATION FOR (value)`.
    fn collation_for(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text("collation for");
        node.set(flag::KEYWORD);
        self.take();
        let start = self.expect(TokenKind::LeftParen, &["`(`"])?.start;
        self.want_expr(paren(Then::FormArg, Some(node), start))
    }

    /// `MERGE_ACTION()`.
    fn merge_action(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(K::MergeAction.word());
        node.set(flag::KEYWORD);
        self.take();
        self.expect(TokenKind::RightParen, &["`)`"])?;
        node.set_end(self.end);
        Ok(Step::Value(node))
    }

    /// `NORMALIZE(value [, NFC])`.
    fn normalize(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Call)?;
        node.set_text(K::Normalize.word());
        node.set(flag::KEYWORD);
        let start = self.take().start;
        self.want_expr(paren(Then::NormalizeArg, Some(node), start))
    }

    pub(super) fn after_normalize_arg(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(value);
        if self.take_if(TokenKind::Comma) {
            let form = match self.token.keyword() {
                Some(K::Nfc) => CallForm::NormalizeNfc,
                Some(K::Nfd) => CallForm::NormalizeNfd,
                Some(K::Nfkc) => CallForm::NormalizeNfkc,
                Some(K::Nfkd) => CallForm::NormalizeNfkd,
                _ => return self.form_failed(frame, &["NFC", "NFD", "NFKC", "NFKD"]),
            };
            self.take();
            node.set_detail(form.code());
            if self.token.kind != TokenKind::RightParen {
                return self.form_failed(frame, &["`)`"]);
            }
        }
        self.close(frame)?;
        node.set_end(self.end);
        Ok(Step::Value(node))
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
            K::Position => frame.mode = Mode::Simple,
            _ if self.token.kind == TokenKind::RightParen => {
                self.take();
                node.set_end(self.end);
                return Ok(Step::Value(node));
            }
            // The name of an argument is seen before it is read: a call with names is written like any other.
            _ if self.begins_named_argument() => frame.then = Then::CallArg,
            _ => {}
        }
        self.want_expr(frame)
    }

    fn begins_named_argument(&mut self) -> bool {
        Self::is_type_or_function_name(self.token.kind)
            && matches!(self.peek(), TokenKind::Arrow | TokenKind::ColonEqual)
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
        if self.token.kind == TokenKind::RightParen {
            return self.end_form(node, frame);
        }
        let word = self.token.keyword();
        let form = match (node.name(), word, CallForm::from_code(node.detail()), count) {
            ("substring", Some(K::From), CallForm::Plain, 1) => CallForm::SubstringFrom,
            ("substring", Some(K::For), CallForm::Plain, 1) => CallForm::SubstringFor,
            ("substring", Some(K::For), CallForm::SubstringFrom, 2) => CallForm::SubstringFrom,
            ("substring", Some(K::From), CallForm::SubstringFor, 2) => CallForm::SubstringForFrom,
            ("substring", Some(K::Similar), CallForm::Plain, 1) => CallForm::SubstringSimilar,
            ("substring", Some(K::Escape), CallForm::SubstringSimilar, 2) => CallForm::SubstringSimilar,
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
            frame.mode = Mode::Simple;
        }
        if form == CallForm::Plain && matches!(node.name(), "substring" | "overlay") {
            // After a comma it is a call like any other, whose arguments may have names.
            frame.then = Then::CallArg;
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
            (_, CallForm::SubstringSimilar) if count < 3 => &["ESCAPE"],
            _ => {
                self.take();
                node.set_end(self.end);
                return Ok(Step::Value(node));
            }
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
            return self.row_value(node);
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

    /// `TREAT(value AS type)`.
    fn treat(&mut self) -> Parsed<Step<'a>> {
        let node = self.node_here(NodeKind::Treat)?;
        let start = self.take().start;
        self.want_expr(paren(Then::CastOperand, Some(node), start))
    }

    pub(super) fn after_cast_operand(&mut self, frame: Frame<'a>, value: NodeRef<'a>) -> Parsed<Step<'a>> {
        frame.node().push(value);
        if !self.take_word(K::As) {
            return self.form_failed(frame, &["AS"]);
        }
        self.want_type(Frame { then: Then::CastType, ..frame })
    }

    pub(super) fn after_cast_type(&mut self, frame: Frame<'a>, type_name: NodeRef<'a>) -> Parsed<Step<'a>> {
        let node = frame.node();
        node.push(type_name);
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

/// The form of the grammar that this keyword and a parenthesis begin.
fn declared_form(keyword: Keyword) -> Option<Form> {
    Some(match keyword {
        K::JsonArrayagg => Form::JsonArrayAgg,
        K::JsonExists => Form::JsonExists,
        K::JsonObjectagg => Form::JsonObjectAgg,
        K::JsonQuery => Form::JsonQuery,
        K::JsonScalar => Form::JsonScalar,
        K::JsonSerialize => Form::JsonSerialize,
        K::JsonValue => Form::JsonValueOf,
        K::Xmlconcat => Form::XmlConcat,
        K::Xmlelement => Form::XmlElement,
        K::Xmlexists => Form::XmlExists,
        K::Xmlforest => Form::XmlForest,
        K::Xmlparse => Form::XmlParse,
        K::Xmlpi => Form::XmlPi,
        K::Xmlroot => Form::XmlRoot,
        K::Xmlserialize => Form::XmlSerialize,
        _ => return None,
    })
}

/// Whether another plain argument may follow.
fn takes_comma(node: NodeRef<'_>, form: CallForm) -> bool {
    match form {
        CallForm::Plain => match node.name() {
            "nullif" => node.children_count() < 2,
            "collation for" => false,
            _ => true,
        },
        CallForm::TrimBoth | CallForm::TrimLeading | CallForm::TrimTrailing => true,
        _ => false,
    }
}

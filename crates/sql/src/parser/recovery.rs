//! Turning a token that cannot stand where it stands into an error that helps.

use super::stack::Then;
use super::{Failed, Parser};
use crate::error::{Error, Excerpt, Hint, Mistake, SyntaxError};
use crate::keyword::Category;
use crate::token::TokenKind;
use crate::{Keyword, Span};

impl Parser<'_, '_> {
    /// The error behind a [`Failed`].
    pub(super) fn explain(self, _: Failed) -> Error {
        self.failure.expect("a parser that failed has noted why")
    }

    /// The current token cannot stand here.
    pub(super) fn unexpected(&mut self, expected: &'static [&'static str]) -> Failed {
        self.unexpected_with(expected, None)
    }

    pub(super) fn unexpected_with(
        &mut self,
        expected: &'static [&'static str],
        hint: Option<Hint>,
    ) -> Failed {
        if let Some(failed) = self.failed_before_it() {
            return failed;
        }
        let token = self.token;
        if let TokenKind::Bad(mistake) = token.kind {
            let opens = matches!(
                mistake,
                Mistake::UnterminatedString
                    | Mistake::UnterminatedName
                    | Mistake::UnterminatedComment
                    | Mistake::UnterminatedDollarString
            );
            return self.mistake(mistake, token.span(), opens.then_some(Hint::OpenedAt(token.start)));
        }
        if let Some(span) = self.one_with_word_before() {
            return self.mistake(Mistake::Unexpected, span, None);
        }
        let hint = hint.or_else(|| self.likely_reason(expected));
        let found = Excerpt::of(self.slice(token));
        let (mistake, span) = (Mistake::Unexpected, token.span());
        self.fail(Error::Syntax(SyntaxError { mistake, span, found, expected, hint }))
    }

    /// What PostgreSQL sees before it asks whether the current token can stand here: an escape in it that means nothing,
    /// and what is wrong with the token after it where two are read as one.
    fn failed_before_it(&mut self) -> Option<Failed> {
        let token = self.token;
        match token.kind {
            TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::UnicodeName => {
                self.string_text(token).err()
            }
            TokenKind::Bad(Mistake::InvalidEscapeCharacter) => {
                self.take();
                match self.token.kind {
                    TokenKind::Bad(mistake) if mistake != Mistake::InvalidEscapeCharacter => {
                        Some(self.unexpected(&[]))
                    }
                    _ => Some(self.mistake(Mistake::InvalidEscapeCharacter, self.token.span(), None)),
                }
            }
            TokenKind::Keyword(
                Keyword::Not | Keyword::Nulls | Keyword::With | Keyword::Without | Keyword::Format,
            ) if matches!(self.peek(), TokenKind::Bad(_)) => {
                self.take();
                Some(self.unexpected(&[]))
            }
            _ => None,
        }
    }

    /// The word before the current token where PostgreSQL takes the two for one, so that it is that word which cannot
    /// stand where it stands: `NULLS FIRST`, `NOT LIKE`.
    fn one_with_word_before(&self) -> Option<Span> {
        use Keyword as K;
        if self.stack.top().then == Then::Not {
            // Before an operand it is an operator of its own.
            return None;
        }
        let word = match self.token.keyword()? {
            K::Between | K::In | K::Like | K::Ilike | K::Similar => K::Not,
            K::First | K::Last => K::Nulls,
            K::Time => K::Without,
            K::Json => K::Format,
            _ => return None,
        };
        let before = self.lexer.slice(Span::new(0, self.end));
        let start = before.len().checked_sub(word.word().len())?;
        let is_whole = !before
            .get(..start)?
            .ends_with(|letter: char| letter.is_alphanumeric() || "_$\"".contains(letter));
        let is_there = is_whole && before.get(start..)?.eq_ignore_ascii_case(word.word());
        is_there.then(|| Span::new(start as u32, self.end))
    }

    pub(super) fn mistake(&mut self, mistake: Mistake, span: Span, hint: Option<Hint>) -> Failed {
        let found = Excerpt::of(self.lexer.slice(span));
        self.fail(Error::Syntax(SyntaxError { mistake, span, found, expected: &[], hint }))
    }

    pub(super) fn mistake_with(
        &mut self,
        mistake: Mistake,
        span: Span,
        expected: &'static [&'static str],
    ) -> Failed {
        let found = Excerpt::of(self.lexer.slice(span));
        self.fail(Error::Syntax(SyntaxError { mistake, span, found, expected, hint: None }))
    }

    /// An escape in the text of `token` means no character; it stands `at` bytes into the token.
    pub(super) fn invalid_escape(&mut self, token: Span, at: usize) -> Failed {
        let found = Excerpt::of(self.lexer.slice(token));
        // A text is shorter than 4 GiB.
        let start = token.start.saturating_add(at as u32).min(token.end());
        let (mistake, span) = (Mistake::InvalidEscape, Span::new(start, token.end()));
        self.fail(Error::Syntax(SyntaxError { mistake, span, found, expected: &[], hint: None }))
    }

    /// Common mistakes that end in this token.
    fn likely_reason(&mut self, expected: &'static [&'static str]) -> Option<Hint> {
        let text = self.slice(self.token);
        match self.token.kind {
            TokenKind::Arrow => Some(Hint::ArrowForGreaterOrEqual),
            TokenKind::End | TokenKind::Semicolon => {
                self.stack.open_parenthesis().map(Hint::ParenthesisOpenedAt)
            }
            TokenKind::RightParen if self.follows_comma() => Some(Hint::ExtraComma),
            TokenKind::RightParen if expected.contains(&"the end of the statement") => {
                self.stack.open_parenthesis().is_none().then_some(Hint::NeverOpened)
            }
            TokenKind::Name { .. } if expected == ["a statement"] => self.misspelled_statement(text),
            TokenKind::Keyword(keyword) => self.reason_at_keyword(keyword, expected),
            TokenKind::Name { .. } => {
                let misspelled = self.misspelled(text, expected);
                misspelled.map(Hint::Misspelled).or_else(|| self.comma_or_end(expected))
            }
            TokenKind::Operator if text == "==" => Some(Hint::EqualSign),
            _ => self.comma_or_end(expected),
        }
    }

    /// The keyword that the name `text`, or the word before it, was meant to be.
    fn misspelled(&self, text: &str, expected: &[&str]) -> Option<Keyword> {
        let is_object = expected.iter().any(|what| matches!(*what, "TABLE" | "FUNCTION"));
        let of_expected = || {
            let keywords = expected.iter().filter_map(|word| Keyword::find(word));
            keywords.into_iter().find(|keyword| nearest(text, &[*keyword]).is_some())
        };
        of_expected()
            .or_else(|| is_object.then(|| nearest(text, OBJECTS)).flatten())
            .or_else(|| nearest(text, CLAUSES))
            .or_else(|| nearest(text, WORDS))
            .or_else(|| nearest(self.last_word(), CLAUSES))
            .or_else(|| nearest(self.last_word(), &[Keyword::Column]))
    }

    /// The word before the current token, which may have been taken for an alias: `FROM t WHER a = 1`.
    fn last_word(&self) -> &str {
        let before = self.lexer.slice(Span::new(0, self.end));
        let start = before.rfind(|letter: char| !letter.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
        before.get(start..).unwrap_or("")
    }

    fn reason_at_keyword(&mut self, keyword: Keyword, expected: &[&str]) -> Option<Hint> {
        if self.follows_comma() {
            return Some(Hint::ExtraComma);
        }
        let wants_name = expected.iter().any(|what| {
            matches!(*what, "a name" | "a table" | "an expression" | "a column" | "a column or a constraint")
        });
        let is_named = ["table", "into", "update", "view"]
            .iter()
            .any(|word| self.last_word().eq_ignore_ascii_case(word));
        let begins_source = matches!(keyword, Keyword::From | Keyword::Where);
        let is_name = (is_named && !begins_source) || !CLAUSES.contains(&keyword);
        if wants_name && is_name && keyword.category() != Category::Unreserved {
            return Some(Hint::ReservedWord(keyword));
        }
        let is_clause = CLAUSES.contains(&keyword) || MORE_CLAUSES.contains(&keyword);
        if expected == ["the end of the statement"]
            && keyword != Keyword::As
            && !keyword.is_bare_label()
            && !is_clause
        {
            return Some(Hint::LabelNeedsAs(keyword));
        }
        None
    }

    /// A value right after a value lacks a comma, or begins another statement.
    fn comma_or_end(&self, expected: &[&str]) -> Option<Hint> {
        let is_value = matches!(
            self.token.kind,
            TokenKind::Name { .. }
                | TokenKind::QuotedName { .. }
                | TokenKind::Integer
                | TokenKind::Number
                | TokenKind::String { .. }
        );
        let is_name = matches!(self.token.kind, TokenKind::Name { .. } | TokenKind::QuotedName { .. });
        if is_name && expected.iter().any(|what| matches!(*what, "a string" | "a file in quotes")) {
            return Some(Hint::StringQuotes);
        }
        if is_value && (expected.contains(&"`,`") || expected == ["the end of the statement"]) {
            return Some(Hint::MissingComma);
        }
        None
    }

    /// Whether the last byte before the current token, blanks aside, is a comma.
    fn follows_comma(&self) -> bool {
        self.lexer.slice(Span::new(0, self.end)).ends_with(',')
    }
}

/// Words that begin the clauses of a query.
const CLAUSES: &[Keyword] = &[
    Keyword::From,
    Keyword::Where,
    Keyword::Group,
    Keyword::Having,
    Keyword::Order,
    Keyword::Limit,
    Keyword::Offset,
    Keyword::Union,
    Keyword::Join,
    Keyword::On,
];

/// Kinds of objects.
const OBJECTS: &[Keyword] = &[
    Keyword::Table,
    Keyword::View,
    Keyword::Index,
    Keyword::Sequence,
    Keyword::Function,
    Keyword::Procedure,
    Keyword::Trigger,
    Keyword::Schema,
    Keyword::Database,
    Keyword::Extension,
    Keyword::Role,
    Keyword::User,
    Keyword::Type,
    Keyword::Domain,
    Keyword::Policy,
    Keyword::Materialized,
    Keyword::Unique,
    Keyword::Temporary,
];

/// Words in the middle of statements that are easily taken for names when they are misspelled.
const WORDS: &[Keyword] = &[
    Keyword::Exists,
    Keyword::Transaction,
    Keyword::Column,
    Keyword::Constraint,
    Keyword::Cascade,
    Keyword::Restrict,
    Keyword::Returning,
];

/// Words that begin clauses but are too rare to be what was meant.
const MORE_CLAUSES: &[Keyword] = &[
    Keyword::Into,
    Keyword::Window,
    Keyword::Intersect,
    Keyword::Except,
    Keyword::Fetch,
    Keyword::For,
    Keyword::With,
    Keyword::Returning,
];

/// The longest word in bytes that is compared with keywords.
const WORD_BYTES_LIMIT: usize = 12;

/// The keyword that differs from `word` by one letter left out, doubled, changed or swapped with its neighbour.
pub(super) fn nearest(word: &str, keywords: &[Keyword]) -> Option<Keyword> {
    if word.len() > WORD_BYTES_LIMIT || word.len() < 3 {
        return None;
    }
    keywords.iter().copied().find(|keyword| is_near(word.as_bytes(), keyword.word().as_bytes()))
}

fn is_near(word: &[u8], keyword: &[u8]) -> bool {
    let fold = |slice: &[u8], at: usize| slice.get(at).map(u8::to_ascii_lowercase);
    let rest_equal = |from_word: usize, from_keyword: usize| {
        let (a, b) = (word.get(from_word..), keyword.get(from_keyword..));
        matches!((a, b), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
    };
    let mut same = 0;
    while same < word.len() && fold(word, same) == fold(keyword, same) {
        same += 1;
    }
    let swapped = fold(word, same).is_some()
        && fold(word, same) == fold(keyword, same + 1)
        && fold(word, same + 1) == fold(keyword, same);
    rest_equal(same + 1, same)
        || rest_equal(same, same + 1)
        || rest_equal(same + 1, same + 1)
        || (swapped && rest_equal(same + 2, same + 2))
}

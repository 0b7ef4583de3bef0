use super::*;
use TokenKind as T;

fn tokens(text: &str) -> Vec<(TokenKind, &str)> {
    let mut lexer = Lexer::new(text).unwrap();
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        if token.kind == T::End {
            return tokens;
        }
        tokens.push((token.kind, token.span().of(text)));
    }
}

fn kinds(text: &str) -> Vec<TokenKind> {
    tokens(text).into_iter().map(|(kind, _)| kind).collect()
}

fn words(text: &str) -> Vec<&str> {
    tokens(text).into_iter().map(|(_, word)| word).collect()
}

#[test]
fn operators_end_where_postgresql_ends_them() {
    assert_eq!(words("a+-b"), ["a", "+", "-", "b"]);
    assert_eq!(words("a@-b"), ["a", "@-", "b"]);
    assert_eq!(words("a<-1"), ["a", "<", "-", "1"]);
    assert_eq!(words("a->>'b'#>c"), ["a", "->>", "'b'", "#>", "c"]);
    assert_eq!(words("a*/*c*/b"), ["a", "*", "b"]);
    assert_eq!(words("a+--c\nb"), ["a", "+", "b"]);
    assert_eq!(words("a<=b>=c<>d!=e=>f"), ["a", "<=", "b", ">=", "c", "<>", "d", "!=", "e", "=>", "f"]);
    assert_eq!(
        kinds("<> != <= >= => = < >"),
        [
            T::NotEqual,
            T::NotEqual,
            T::LessOrEqual,
            T::GreaterOrEqual,
            T::Arrow,
            T::Equal,
            T::Less,
            T::Greater
        ]
    );
    assert_eq!(
        kinds(":: := : .. . ;"),
        [T::ColonColon, T::ColonEqual, T::Colon, T::DotDot, T::Dot, T::Semicolon]
    );
    assert_eq!(kinds(&"~".repeat(63)), [T::Operator]);
    assert_eq!(kinds(&"~".repeat(64)), [T::Bad(Mistake::OperatorTooLong)]);
}

/// Aim: signs that are tokens of their own cost the same each, and a long run that is one token is one. Method: as many
/// as would take hours if each looked at all behind it.
#[test]
fn runs_of_plus_and_minus_are_read_once() {
    let signs = "+-".repeat(500_000);
    for before in ["1", "<", ""] {
        let text = format!("{before}{signs}1");
        assert_eq!(tokens(&text).len(), signs.len() + 1 + usize::from(!before.is_empty()));
        assert_eq!(kinds(&format!("{text}{signs}*")).last(), Some(&T::Bad(Mistake::OperatorTooLong)));
    }
    assert_eq!(words("+-+--c\n+-*+-@ +-"), ["+", "-", "+", "+-*+-@", "+", "-"]);
    assert_eq!(words("<+-/*c*/+-"), ["<", "+", "-", "+", "-"]);
}

#[test]
fn numbers_of_all_forms() {
    for text in ["0", "42", "1_000_000", "0x1F_ff", "0b_101", "0o17", "0XfF"] {
        assert_eq!(kinds(text), [T::Integer], "{text}");
    }
    for text in ["1.5", ".5", "5.", "1e6", "1.e6", ".5E-3", "1_0.5_0e1_0"] {
        assert_eq!(kinds(text), [T::Number], "{text}");
    }
    assert_eq!(words("1..10"), ["1", "..", "10"]);
    for text in ["1a", "1_", "1__0", "1.5x", "1e", "0b12", "0x1g", "0o8", "0b_2", "$1a", "1é"] {
        assert_eq!(kinds(text), [T::Bad(Mistake::TrailingJunk)], "{text}");
    }
    for text in ["0x", "0b", "0x-1"] {
        assert_eq!(kinds(text)[0], T::Bad(Mistake::MissingDigits), "{text}");
    }
    assert_eq!(kinds("$1 $2147483647"), [T::Parameter, T::Parameter]);
    assert_eq!(kinds("$2147483648"), [T::Bad(Mistake::ParameterTooBig)]);
    assert_eq!(words("$a+$größe1,$_x::date"), ["$a", "+", "$größe1", ",", "$_x", "::", "date"]);
    assert_eq!(kinds("$a $B2 a$b"), [T::Parameter, T::Parameter, T::Name { has_capitals: false }]);
    assert_eq!(kinds("$ $-"), [T::Stray, T::Stray, T::Minus]);
}

#[test]
fn strings_of_all_forms() {
    assert_eq!(kinds("'a' 'b'"), [T::String { has_escapes: false }, T::String { has_escapes: false }]);
    assert_eq!(kinds("'a''b'"), [T::String { has_escapes: true }]);
    assert_eq!(kinds("'a' -- more\n 'b'"), [T::String { has_escapes: true }]);
    assert_eq!(words(r"E'a\'b' e'\\'"), [r"E'a\'b'", r"e'\\'"]);
    assert_eq!(
        kinds("B'01' x'fF' U&'a' u&\"a\""),
        [T::BitString, T::HexString, T::UnicodeString, T::UnicodeName]
    );
    assert_eq!(words("U&'a' UESCAPE '!' U&'b' uescape_"), ["U&'a' UESCAPE '!'", "U&'b'", "uescape_"]);
    assert_eq!(words("n'a' B'a''b'"), ["n", "'a'", "B'a'", "'b'"]);
    assert_eq!(kinds("N'a'")[0], T::Keyword(Keyword::Nchar));
    // What stands where the escape character should be is a token of its own, at which the error is shown.
    for (text, after) in
        [("U&'a' UESCAPE", ""), ("U&'a' UESCAPE 'f'", "'f'"), ("U&'a' UESCAPE U&'!'", "U&'!'")]
    {
        let found = tokens(text);
        assert_eq!(found[0], (T::Bad(Mistake::InvalidEscapeCharacter), "U&'a' UESCAPE"));
        assert_eq!(found.get(1).map_or("", |(_, word)| word), after);
    }
    for text in ["U&'a' UESCAPE E'!'", "U&\"a\" uescape $$!$$", "U&'a'\n'b' UESCAPE /* c */ '!'"] {
        assert_eq!(words(text), [text]);
    }
    assert_eq!(words("$$a$$ $x$ $y$ $$ $x$"), ["$$a$$", "$x$ $y$ $$ $x$"]);
    assert_eq!(words("$é$'$é$"), ["$é$'$é$"]);
    assert_eq!(
        kinds("\"a\"\"b\" \"c\""),
        [T::QuotedName { has_escapes: true }, T::QuotedName { has_escapes: false }]
    );
    for (text, mistake) in [
        ("'a", Mistake::UnterminatedString),
        ("E'a\\'", Mistake::UnterminatedString),
        ("\"a", Mistake::UnterminatedName),
        ("$a$ $b$", Mistake::UnterminatedDollarString),
        ("/* /* */", Mistake::UnterminatedComment),
        ("\"\"", Mistake::EmptyName),
    ] {
        assert_eq!(kinds(text), [T::Bad(mistake)], "{text}");
    }
}

#[test]
fn names_and_keywords() {
    assert_eq!(
        kinds("a A é select SELECT sel$ect"),
        [
            T::Name { has_capitals: false },
            T::Name { has_capitals: true },
            T::Name { has_capitals: false },
            T::Keyword(Keyword::Select),
            T::Keyword(Keyword::Select),
            T::Name { has_capitals: false }
        ]
    );
    assert_eq!(words("e b x n u U& a$1"), ["e", "b", "x", "n", "u", "U", "&", "a$1"]);
    assert_eq!(kinds("{ \\ \u{1} $"), [T::Stray; 4]);
}

#[test]
fn texts_that_no_lexer_takes() {
    assert!(matches!(Lexer::new("a\0b"), Err(Error::NulByte { offset: 1 })));
}

#[test]
fn a_million_uescapes_need_no_stack() {
    let text = "U&'a' ".repeat(100_000);
    assert_eq!(kinds(&text).len(), 100_000);
}

#[test]
fn dollar_tags_that_nearly_match_stay_linear() {
    let tag = "a".repeat(1000);
    let body = format!("${}", "a".repeat(999)).repeat(2000);
    let text = format!("${tag}${body}${tag}$");
    assert_eq!(kinds(&text), [T::DollarString]);
}

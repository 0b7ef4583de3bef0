//! What the formatter must never do: change a token, lose a comment, or change its mind.

use cofferdam_arena::{Arena, Budget};
use cofferdam_sql::{KeywordCase, Layout, Lexer, TokenKind, format, parse};

/// The tokens of a text, words without regard to case, and the comments between them.
fn tokens_and_comments(text: &str) -> (Vec<String>, Vec<String>) {
    let mut lexer = Lexer::new(text).expect("a text");
    let (mut tokens, mut comments, mut end) = (Vec::new(), Vec::new(), 0);
    loop {
        let token = lexer.next_token();
        let gap = &text[end..token.start as usize];
        comments.extend(comment_words(gap));
        if token.kind == TokenKind::End {
            return (tokens, comments);
        }
        let word = &text[token.start as usize..token.end as usize];
        tokens.push(match token.kind {
            TokenKind::Keyword(_) => word.to_lowercase(),
            _ => word.to_owned(),
        });
        end = token.end as usize;
    }
}

/// The words of all comments in a gap between tokens.
fn comment_words(gap: &str) -> impl Iterator<Item = String> {
    gap.split_whitespace().map(str::to_owned)
}

fn laid_out(text: &str, layout: Layout) -> Option<String> {
    let arena = Arena::new(&Budget::root("layout", 64 << 20).expect("a budget"));
    let tree = parse(text, &arena).ok()?;
    let mut out = String::new();
    format(tree, layout, &mut out, &arena).expect("there is room");
    Some(out)
}

/// Aim: the layout of a statement has its tokens and comments, parses, and is its own layout. Method: every statement of
/// PostgreSQL's tests, of the golden scripts and of TPC-H, in a wide and in a narrow layout.
#[test]
fn layouts_keep_every_token_and_comment() {
    let texts = crate::corpus::regress().into_iter().map(|(text, _)| text).chain(crate::golden::texts());
    let mut unstable = Vec::new();
    let mut count = 0;
    for text in texts.chain(crate::corpus::tpch()) {
        for width in [88, 30] {
            let layout = Layout { width, keywords: KeywordCase::Lower, ..Layout::default() };
            let Some(out) = laid_out(&text, layout) else { continue };
            assert_eq!(tokens_and_comments(&out), tokens_and_comments(&text), "{text}\nbecame\n{out}");
            let again = laid_out(&out, layout).unwrap_or_else(|| panic!("it no longer parses:\n{out}"));
            if again != out {
                unstable.push((out.clone(), again));
            }
            assert!(
                out.lines().all(|line| line == line.trim_end() || text.contains(line)),
                "blanks at ends:\n{out}"
            );
            count += 1;
        }
    }
    for (out, again) in unstable.iter().take(5) {
        println!("--- not stable\n{out}\n--- becomes\n{again}");
    }
    println!("{count} layouts, {} not stable", unstable.len());
    assert!(unstable.is_empty(), "{} of {count} layouts are not stable", unstable.len());
}

//! Goes over whole corpora in one of several ways: work for a profiler, and for comparing two builds.
//!
//! ```text
//! cargo run --release -p cofferdam-sql --example corpus -- HOW PASSES FILE...
//! ```
//!
//! `HOW` is `lex` (tokens alone), `parse` (trees), `intern` (trees, and symbols for their names), `split` (the ends of
//! statements in a script alone), `split-parse` (and then a tree of each) or `script` (a tree of each, straight through the
//! script). A file ending in `.nul`
//! holds statements with NUL bytes between them, another one a script. Only statements that the parser accepts are taken.
//! Prints the statements, the bytes, and the nanoseconds per byte of the quickest and the middle pass.
//! `bench/sql-instructions.sh` counts the instructions of `pass`.

#![allow(clippy::disallowed_types, reason = "a tool outside of every budget")]

use cofferdam_arena::{Arena, Budget, Interner, Names, Overlay};
use cofferdam_sql::{Lexer, Script, TokenKind, interner, parse, statements};
use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

/// What the arena keeps for the next statement.
const KEPT_BYTES: usize = 16 << 20;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let how = match arguments.next().as_deref() {
        Some("lex") => How::Lex,
        Some("parse") => How::Parse,
        Some("intern") => How::Intern,
        Some("split") => How::Split,
        Some("split-parse") => How::SplitParse,
        Some("script") => How::Script,
        _ => return usage(),
    };
    let Some(Ok(passes_count)) = arguments.next().map(|count| count.parse::<usize>()) else { return usage() };
    let budget = Budget::root("example", 1 << 30).expect("1 GiB is enough for a tree of budgets");
    let mut arena = Arena::new(&budget);
    let names = interner(&budget).expect("36 KiB for the keywords");
    let mut texts = Vec::new();
    for path in arguments {
        match std::fs::read_to_string(&path) {
            Ok(text) => take_accepted(&text, path.ends_with(".nul"), &mut arena, &mut texts),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    if matches!(how, How::Split | How::SplitParse | How::Script) {
        texts = vec![texts.iter().map(|text| format!("{text};\n")).collect()];
    }
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut ns_per_byte: Vec<f64> = (0..passes_count.max(1))
        .map(|_| {
            let start = Instant::now();
            pass(how, &texts, &mut arena, &names);
            start.elapsed().as_nanos() as f64 / bytes as f64
        })
        .collect();
    ns_per_byte.sort_by(f64::total_cmp);
    let (quickest, middle) = (ns_per_byte[0], ns_per_byte[ns_per_byte.len() / 2]);
    println!("{} {bytes} {quickest:.4} {middle:.4}", texts.len());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: corpus lex|parse|intern|split|split-parse|script PASSES FILE...");
    ExitCode::from(2)
}

#[derive(Clone, Copy)]
enum How {
    Lex,
    Parse,
    Intern,
    Split,
    SplitParse,
    Script,
}

fn take_accepted(text: &str, has_nuls: bool, arena: &mut Arena, texts: &mut Vec<String>) {
    let mut take = |text: &str| {
        if parse(text, arena).is_ok() {
            texts.push(text.to_owned());
        }
        arena.reset_keeping(KEPT_BYTES);
    };
    if has_nuls {
        text.split('\0').for_each(take);
    } else {
        statements(text).for_each(|span| take(span.of(text)));
    }
}

/// One pass; not inlined, so that a profiler finds it.
#[inline(never)]
fn pass(how: How, texts: &[String], arena: &mut Arena, names: &Interner) {
    for text in texts {
        match how {
            How::Lex => {
                let mut lexer = Lexer::new(text).expect("an accepted text");
                while black_box(lexer.next_token()).kind != TokenKind::End {}
            }
            How::Parse => {
                assert!(black_box(parse(text, arena)).is_ok(), "an accepted text");
                arena.reset_keeping(KEPT_BYTES);
            }
            How::Intern => {
                let tree = parse(text, arena).expect("an accepted text");
                let pin = names.pin();
                let mut overlay = Overlay::new(arena, Names::Pinned(&pin));
                tree.intern(&mut overlay, |node, symbol| node.annotate(symbol.as_u32()))
                    .expect("room for names");
                black_box(tree);
                drop(overlay);
                arena.reset_keeping(KEPT_BYTES);
            }
            How::SplitParse => {
                for span in statements(text) {
                    assert!(black_box(parse(span.of(text), arena)).is_ok(), "an accepted text");
                    arena.reset_keeping(KEPT_BYTES);
                }
            }
            How::Script => {
                let mut script = Script::new(text).expect("accepted texts");
                while let Some(outcome) = script.next_statement(arena) {
                    assert!(black_box(outcome).is_ok(), "an accepted text");
                    arena.reset_keeping(KEPT_BYTES);
                }
            }
            How::Split => assert!(black_box(statements(text).count()) > 0, "a script"),
        }
    }
}

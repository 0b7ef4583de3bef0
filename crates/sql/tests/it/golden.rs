//! Golden scripts: `tests/golden/*/*.txt`, each a list of cases.
//!
//! A case is a command (`tree`, `print`, `normal`, `classes`, `error`, `tokens` or `split`), its input in lines that begin with `> `, a line
//! `---`, and the output up to an empty line. `UPDATE_GOLDEN=1` writes the outputs anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cofferdam_sql::{Error, Lexer, TokenKind, statements};

use crate::fingerprint::{fingerprint, normal_form};
use crate::parsed;

#[test]
fn golden_scripts_give_their_outputs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut scripts = Vec::new();
    collect(&root, &mut scripts);
    assert!(scripts.len() >= 5, "the golden scripts are in {}", root.display());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = String::new();
    for script in scripts {
        let text = std::fs::read_to_string(&script).expect("a golden script");
        let output = replay(&text);
        if update {
            std::fs::write(&script, output).expect("write a golden script");
        } else if output != text {
            let _ = writeln!(failures, "{}:\n{}", script.display(), first_difference(&text, &output));
        }
    }
    assert!(failures.is_empty(), "{failures}UPDATE_GOLDEN=1 accepts the new outputs");
}

/// The inputs of all cases but those of other commands than `print`, `tree` and `error`.
pub(crate) fn texts() -> Vec<String> {
    let mut scripts = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"), &mut scripts);
    let mut texts = Vec::new();
    for script in scripts {
        let script = std::fs::read_to_string(&script).expect("a golden script");
        for case in script.split("\n\n") {
            let lines = case.lines().skip_while(|line| line.starts_with('#'));
            let mut lines = lines.take_while(|line| *line != "---");
            if matches!(lines.next(), Some("print" | "tree" | "error")) {
                let input: Vec<&str> = lines.map(|line| line.trim_start_matches('>').trim_start()).collect();
                texts.push(input.join("\n"));
            }
        }
    }
    assert!(texts.len() > 1_000, "{} inputs", texts.len());
    texts
}

fn collect(folder: &Path, scripts: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of golden scripts") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, scripts);
        } else {
            assert_eq!(path.extension(), Some("txt".as_ref()), "{} is a golden script", path.display());
            scripts.push(path);
        }
    }
    scripts.sort();
}

fn first_difference(expected: &str, found: &str) -> String {
    let lines = expected.lines().zip(found.lines()).enumerate();
    for (index, (expected, found)) in lines {
        if expected != found {
            return format!("line {}:\n  expected {expected}\n  found    {found}", index + 1);
        }
    }
    "one is longer than the other".to_owned()
}

/// The script with its outputs made anew.
fn replay(script: &str) -> String {
    let mut replayed = String::new();
    let mut command = "";
    let mut input = String::new();
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        replayed.push_str(line);
        replayed.push('\n');
        if let Some(text) = line.strip_prefix("> ").or((line == ">").then_some("")) {
            if !input.is_empty() {
                input.push('\n');
            }
            input.push_str(text);
        } else if line == "---" {
            replayed.push_str(&run(command, &input));
            replayed.push('\n');
            for _ in lines.by_ref().take_while(|line| !line.is_empty()) {}
            input.clear();
        } else if !line.is_empty() && !line.starts_with('#') {
            command = line;
        }
    }
    replayed
}

fn run(command: &str, input: &str) -> String {
    match command {
        "tree" => parsed(input, 1 << 20, |tree| match tree {
            Ok(tree) => tree.outline().to_string(),
            Err(error) => show(input, error),
        }),
        "print" => parsed(input, 1 << 20, |tree| match tree {
            Ok(tree) => {
                crate::assert_round_trip(input, tree);
                format!("{tree}\n")
            }
            Err(error) => show(input, error),
        }),
        "normal" => format!("{}\n", normal_form(input)),
        "classes" => classes(input),
        "error" => parsed(input, 1 << 20, |tree| show(input, tree.expect_err(input))),
        "tokens" => tokens(input),
        "split" => statements(input).map(|span| format!("{span:?} {:?}\n", span.of(input))).collect(),
        other => panic!("`{other}` is no command of golden scripts"),
    }
}

/// A number for each line of the input, the same for statements with the same fingerprint.
fn classes(input: &str) -> String {
    let mut seen = Vec::new();
    let numbers = input.lines().map(|text| {
        let fingerprint = fingerprint(text);
        let known = seen.iter().position(|other| *other == fingerprint);
        let index = known.unwrap_or_else(|| {
            seen.push(fingerprint);
            seen.len() - 1
        });
        (index + 1).to_string()
    });
    numbers.collect::<Vec<_>>().join(" ") + "\n"
}

fn show(input: &str, error: Error) -> String {
    let mut shown = format!("{}: {error}\n", error.sqlstate());
    if let Some(span) = error.span() {
        let start = span.start as usize;
        let line_start = input[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = input[line_start..].lines().next().unwrap_or("");
        let column = input[line_start..start].chars().count();
        let width =
            span.of(line.get(..).map_or("", |_| input)).lines().next().unwrap_or("").chars().count().max(1);
        let _ = writeln!(shown, "  {line}\n  {:column$}{}", "", "^".repeat(width));
    }
    if let Some(hint) = error.hint() {
        let _ = writeln!(shown, "hint: {hint}");
    }
    shown
}

fn tokens(input: &str) -> String {
    let mut shown = String::new();
    let mut lexer = Lexer::new(input).expect("a text");
    loop {
        let token = lexer.next_token();
        let _ = writeln!(shown, "{:?} {:?} {:?}", token.span(), token.kind, token.span().of(input));
        if token.kind == TokenKind::End {
            return shown;
        }
    }
}

//! Statements that others wrote: PostgreSQL's regression suite with its verdicts, and TPC-H.

use std::path::{Path, PathBuf};

use cofferdam_sql::{Error, Splitter, statements};

use crate::{assert_round_trip, parsed};

/// The shared corpora: beside the project, or where `COFFERDAM_CORPORA` says. Without them a test says so and passes.
fn corpora() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let corpora = std::env::var_os("COFFERDAM_CORPORA").map_or(beside, PathBuf::from);
    if corpora.is_dir() {
        return Some(corpora);
    }
    eprintln!("SKIPPED: the corpora are missing; they are expected in {}", corpora.display());
    None
}

pub(crate) fn regress() -> Vec<(String, bool)> {
    let Some(corpora) = corpora() else { return Vec::new() };
    let folder = corpora.join("postgresql");
    let texts = std::fs::read_to_string(folder.join("regress.nul")).expect("regress.nul");
    let verdicts = std::fs::read_to_string(folder.join("regress.verdict")).expect("regress.verdict");
    let statements: Vec<_> =
        texts.split('\0').map(str::to_owned).zip(verdicts.lines().map(|line| line == "1")).collect();
    assert!(statements.len() > 10_000, "the corpus is whole");
    statements
}

/// Of the statements of the corpus that PostgreSQL accepts, at least so many are accepted. It only ever rises.
const ACCEPTED_LEAST: u32 = 11_416;

/// Aim: what PostgreSQL rejects is rejected, and what it accepts is accepted.
/// Method: every statement of the corpus; what is accepted must survive printing, and the rest is counted against a floor.
#[test]
fn seed_44_strictness_on_postgresqls_own_tests() {
    let (mut valid, mut accepted, mut unsupported) = (0, 0, 0);
    for (text, is_valid) in regress() {
        valid += u32::from(is_valid);
        parsed(&text, 64 << 20, |tree| match tree {
            Ok(tree) => {
                assert!(is_valid, "PostgreSQL rejects this:\n{text}");
                accepted += 1;
                assert_round_trip(&text, tree);
            }
            Err(Error::Unsupported(_)) => unsupported += u32::from(is_valid),
            Err(error) => assert!(error.span().is_some_and(|span| span.end() as usize <= text.len())),
        });
    }
    let rejected = valid - accepted - unsupported;
    println!("{accepted} of {valid} accepted, {unsupported} unsupported, {rejected} rejected");
    assert!(accepted >= ACCEPTED_LEAST || corpora().is_none(), "{accepted} accepted");
}

/// The statements of the TPC-H queries.
pub(crate) fn tpch() -> Vec<String> {
    let Some(corpora) = corpora() else { return Vec::new() };
    let entries = std::fs::read_dir(corpora.join("tpch/queries")).expect("the queries of TPC-H");
    let texts =
        entries.map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a query"));
    texts
        .flat_map(|text| statements(&text).map(|span| span.of(&text).to_owned()).collect::<Vec<_>>())
        .collect()
}

#[test]
fn all_tpch_queries_parse_and_print() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("tpch/queries");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the queries of TPC-H") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a query");
        for span in statements(&text) {
            let text = span.of(&text);
            let place = path.display();
            parsed(text, 1 << 20, |tree| match tree {
                Ok(tree) => assert_round_trip(text, tree),
                Err(error @ Error::Unsupported(_)) => assert!(!is_slice(&path), "{place}: {error}"),
                Err(error) => panic!("{place}: {error}"),
            });
            count += 1;
        }
    }
    assert!(count >= 22, "{count} queries");
}

/// Whether the query is one of those that the first slice runs.
fn is_slice(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    ["1", "3", "6"]
        .contains(&name.trim_start_matches(|letter: char| !letter.is_ascii_digit() || letter == '0'))
}

/// Aim: the splitter and the lexer agree on where statements end. Method: all statements that end cleanly, as a script.
#[test]
fn a_script_falls_into_its_statements() {
    // What lacks the end of a function's body would go on in the next text.
    let ends_here = |text: &str| {
        let text = format!("{text}\n;");
        Splitter::new().find_end(text.as_bytes()) == Some(text.len())
    };
    let texts: Vec<_> = regress().into_iter().filter(|(text, _)| ends_here(text)).collect();
    let script: String = texts.iter().map(|(text, _)| format!("{text}\n;")).collect();
    let found: Vec<&str> = statements(&script).map(|span| span.of(&script)).collect();
    assert_eq!(found.len(), texts.len());
    for (found, (text, _)) in found.iter().zip(&texts) {
        assert_eq!(found.trim_end_matches(';').trim(), text.trim());
    }
    let mut splitter = Splitter::new();
    let (mut start, mut count) = (0, 0);
    for arrived in (0..script.len()).step_by(1000).chain([script.len()]) {
        while let Some(end) = splitter.find_end(&script.as_bytes()[start..arrived]) {
            start += end;
            count += 1;
        }
    }
    assert_eq!(count, texts.len());
}

/// Aim: the oracle can derive every statement of the grammar.
/// Method: each nonterminal that the grammar names has samples in the generator.
#[test]
fn each_nonterminal_has_samples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generator = std::fs::read_to_string(root.join("../../oracle/generate.py")).expect("the generator");
    for file in std::fs::read_dir(root.join("grammar")).expect("the grammar") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a file of the grammar");
        let rules = text
            .lines()
            .filter(|line| path.extension().is_some_and(|end| end == "syntax") && !line.starts_with('#'));
        for part in rules.flat_map(|line| line.split('<').skip(1)) {
            let Some((name, _)) = part.split_once('>') else { continue };
            let is_name = name.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
            assert!(
                name.is_empty() || !is_name || generator.contains(&format!("\"{name}\":")),
                "oracle/generate.py has no samples for <{name}> of {}",
                path.display()
            );
        }
    }
}

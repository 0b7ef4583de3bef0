//! Reads texts separated by NUL bytes and says of each whether its statements parse, how it prints, its fingerprint or its normal form.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]
use std::io::Read;
fn main() {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input).expect("standard input can be read");
    let shows = std::env::args().any(|word| word == "--print");
    let normalizes = std::env::args().any(|word| word == "--normalize");
    let fingerprints = std::env::args().any(|word| word == "--fingerprint");
    let outlines = std::env::args().any(|word| word == "--tree");
    for piece in input.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(piece);
        let budget = cofferdam_arena::Budget::root("check", 64 << 20).expect("a budget");
        let arena = cofferdam_arena::Arena::new(&budget);
        let trees: Result<Vec<_>, _> = cofferdam_sql::Script::new(&text)
            .and_then(|mut script| std::iter::from_fn(|| script.next_statement(&arena)).collect());
        let trees = match trees {
            Ok(trees) => trees,
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                println!("ERR {start} {}", error.to_string().replace('\n', "\\n"));
                continue;
            }
        };
        let shown: Vec<String> = trees
            .iter()
            .map(|tree| {
                if normalizes {
                    let mut normalized = String::new();
                    cofferdam_sql::normalize(*tree, &mut normalized).expect("a string takes all");
                    normalized
                } else if fingerprints {
                    tree.fingerprint(&arena).expect("room for a fingerprint").to_string()
                } else if outlines {
                    tree.outline().to_string()
                } else {
                    tree.to_string()
                }
            })
            .collect();
        let is_verdict = !(shows || normalizes || fingerprints || outlines);
        println!("{}", if is_verdict { "OK".to_owned() } else { shown.join("; ").replace('\n', "\\n") });
    }
}

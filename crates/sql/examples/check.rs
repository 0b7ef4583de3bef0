//! Reads statements separated by NUL bytes and says of each whether it parses, how it prints, its fingerprint or its normal form.
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
        match cofferdam_sql::parse(&text, &arena) {
            Ok(tree) if normalizes => {
                let mut normalized = String::new();
                cofferdam_sql::normalize(tree, &mut normalized).expect("a string takes all");
                println!("{}", normalized.replace('\n', "\\n"));
            }
            Ok(tree) if fingerprints => {
                println!("{}", tree.fingerprint(&arena).expect("room for a fingerprint"));
            }
            Ok(tree) if outlines => println!("{}", tree.outline()),
            Ok(tree) if shows => println!("{}", tree.to_string().replace('\n', "\\n")),
            Ok(_) => println!("OK"),
            Err(error) => println!(
                "ERR {:?} {}",
                error.span().map_or(0, |span| span.start),
                error.to_string().replace('\n', "\\n")
            ),
        };
    }
}

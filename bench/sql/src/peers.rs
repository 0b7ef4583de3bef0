//! The parsers, each at its best: the settings that its documents recommend, and memory kept between statements where
//! it can keep any.

use crate::corpora::Sql;
use bench_harness::black_box;
use cofferdam_arena::{Arena, Budget, Reservoir, ReservoirOptions};
use cofferdam_sql::Script;

/// A parser beside ours.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Its name, and the version where that is not the one in `Cargo.lock`.
    pub name: &'static str,
    /// Whether it takes the text whole, without an error.
    pub accepts: fn(&Sql) -> bool,
    /// Parses one text after the other, each of which it accepts, and forgets the trees.
    pub pass: fn(&[Sql]),
    /// Whether a text may also be a script.
    pub takes_scripts: bool,
    /// The most bytes that one text made it hold where the counting allocator does not see them.
    pub hidden_bytes: Option<fn(&Sql) -> u64>,
}

/// Those that were built in, the two that have bars first.
pub fn all() -> Vec<Peer> {
    let peers: &[Peer] = &[
        #[cfg(feature = "peers")]
        rust::SQLPARSER,
        #[cfg(feature = "postgres")]
        postgres::PEER,
        #[cfg(feature = "peers")]
        rust::TURSO,
        #[cfg(feature = "peers")]
        rust::SQLITE,
        #[cfg(feature = "peers")]
        rust::QUSQL,
    ];
    for (is_there, name, feature) in [
        (cfg!(feature = "peers"), "sqlparser-rs, turso_parser, sqlite3-parser, qusql-parse", "peers"),
        (cfg!(feature = "postgres"), "PostgreSQL's raw parser", "postgres"),
    ] {
        if !is_there {
            println!("SKIPPED: {name}: built without the feature `{feature}`");
        }
    }
    peers.to_vec()
}

/// The limit of the whole tree of budgets.
const LIMIT_BYTES: u64 = 4 << 30;
/// What the arena keeps for the next statement.
pub const KEPT_BYTES: usize = 16 << 20;

/// The budget of a statement below a root with a limit, on a reservoir, as the database has it.
pub fn statement() -> Budget {
    let reservoir = Reservoir::new(ReservoirOptions::new(LIMIT_BYTES)).expect("addresses");
    let root = Budget::root_on_reservoir("root", LIMIT_BYTES, reservoir).expect("room for a tree");
    root.child("statement", LIMIT_BYTES / 2).expect("room for a node")
}

/// Whether ours takes the text.
pub fn ours_accepts(text: &Sql, arena: &mut Arena) -> bool {
    let accepted = cofferdam_sql::parse(text.as_str(), arena).is_ok();
    arena.reset_keeping(KEPT_BYTES);
    accepted
}

/// Parses one text after the other and forgets the trees.
pub fn ours(texts: &[Sql], arena: &mut Arena) {
    for text in texts {
        assert!(
            black_box(cofferdam_sql::parse(text.as_str(), arena)).is_ok(),
            "only accepted texts are measured"
        );
        arena.reset_keeping(KEPT_BYTES);
    }
}

/// Parses the statements of a script one after the other, straight through it, and forgets the trees.
pub fn ours_script(script: &Sql, arena: &mut Arena) {
    let mut script = Script::new(script.as_str()).expect("a script without NUL bytes");
    while let Some(outcome) = script.next_statement(arena) {
        assert!(black_box(outcome).is_ok(), "only accepted texts are measured");
        arena.reset_keeping(KEPT_BYTES);
    }
}

/// The same in two steps: where the statements end, as in a text that streams in, and then each.
pub fn ours_split(script: &Sql, arena: &mut Arena) {
    for span in cofferdam_sql::statements(script.as_str()) {
        let text = span.of(script.as_str());
        assert!(black_box(cofferdam_sql::parse(text, arena)).is_ok(), "only accepted texts are measured");
        arena.reset_keeping(KEPT_BYTES);
    }
}

#[cfg(feature = "peers")]
mod rust {
    use super::{Peer, Sql, black_box};
    use bumpalo::Bump;
    use fallible_iterator::FallibleIterator;
    use qusql_parse::{Issues, Level, ParseOptions, SQLArguments, SQLDialect};
    use sqlparser::dialect::PostgreSqlDialect;

    pub const SQLPARSER: Peer = Peer {
        name: "sqlparser-rs",
        accepts: |text| sqlparser(text).is_ok_and(|statements| !statements.is_empty()),
        pass: |texts| texts.iter().for_each(|text| drop(black_box(sqlparser(text)))),
        takes_scripts: true,
        hidden_bytes: None,
    };

    fn sqlparser(text: &Sql) -> Result<Vec<sqlparser::ast::Statement>, sqlparser::parser::ParserError> {
        sqlparser::parser::Parser::parse_sql(&PostgreSqlDialect {}, text.as_str())
    }

    pub const TURSO: Peer = Peer {
        name: "turso_parser",
        accepts: |text| turso(text) == Some(1),
        pass: |texts| texts.iter().for_each(|text| _ = black_box(turso(text))),
        takes_scripts: false,
        hidden_bytes: None,
    };

    /// The number of statements; `None` after an error.
    fn turso(text: &Sql) -> Option<usize> {
        let mut count = 0;
        for command in turso_parser::parser::Parser::new(text.as_str().as_bytes()) {
            black_box(&command.ok()?);
            count += 1;
        }
        Some(count)
    }

    pub const SQLITE: Peer = Peer {
        name: "sqlite3-parser",
        accepts: |text| sqlite(text, &Bump::new()) == Some(1),
        pass: |texts| {
            let mut bump = Bump::new();
            for text in texts {
                black_box(sqlite(text, &bump));
                bump.reset();
            }
        },
        takes_scripts: false,
        hidden_bytes: None,
    };

    fn sqlite(text: &Sql, bump: &Bump) -> Option<usize> {
        let mut parser = sqlite3_parser::lexer::sql::Parser::new(bump, text.as_str().as_bytes());
        let mut count = 0;
        while let Some(command) = parser.next().ok()? {
            black_box(&command);
            count += 1;
        }
        Some(count)
    }

    pub const QUSQL: Peer = Peer {
        name: "qusql-parse",
        accepts: |text| {
            // Some texts make it panic, which is no news.
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(|_| {}));
            let accepted = std::panic::catch_unwind(|| qusql(text));
            std::panic::set_hook(hook);
            accepted.unwrap_or(false)
        },
        pass: |texts| texts.iter().for_each(|text| _ = black_box(qusql(text))),
        takes_scripts: false,
        hidden_bytes: None,
    };

    fn qusql(text: &Sql) -> bool {
        let options = ParseOptions::new().dialect(SQLDialect::PostgreSQL).arguments(SQLArguments::Dollar);
        let mut issues = Issues::new(text.as_str());
        let tree = black_box(qusql_parse::parse_statement(text.as_str(), &mut issues, &options));
        tree.is_some() && issues.get().iter().all(|issue| issue.level != Level::Error)
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{Peer, Sql, black_box};
    // The crate links PostgreSQL's C code in; only the raw parser inside of it is called.
    use pg_query as _;
    use std::ffi::{c_char, c_int};

    unsafe extern "C" {
        fn bench_raw_parse(text: *const c_char) -> c_int;
        fn bench_raw_parse_bytes() -> usize;
        fn bench_raw_parse_reset();
    }

    pub const PEER: Peer = Peer {
        name: "postgresql",
        accepts: raw_parse,
        pass: |texts| texts.iter().for_each(|text| _ = black_box(raw_parse(text))),
        takes_scripts: true,
        hidden_bytes: Some(|text| {
            // SAFETY: the text ends with a NUL byte, and nobody else uses this thread's context meanwhile.
            unsafe {
                bench_raw_parse(text.as_c_str());
                let bytes = bench_raw_parse_bytes() as u64;
                bench_raw_parse_reset();
                bytes
            }
        }),
    };

    fn raw_parse(text: &Sql) -> bool {
        // SAFETY: the text ends with a NUL byte; the tree is not looked at, so the reset leaves nothing dangling.
        unsafe {
            let accepted = bench_raw_parse(text.as_c_str()) != 0;
            bench_raw_parse_reset();
            accepted
        }
    }
}

//! TPC-H, for the demo, the conformance suite and the benches: tables, queries, known answers.
//!
//! | file | holds |
//! |---|---|
//! | `data` | the tables' definitions, and their rows written as `.tbl` files by the crate `tpchgen` |
//! | `answer` | whether an answer is the known one: [`Checker`] |
//! | `queries/` | the 22 queries with the parameters of the specification's validation runs |
//! | `answers/` | their answers at scale factors 0.01, 0.1 and 1 |
//!
//! **Answers** are DuckDB's. Its generator writes other addresses and comments than `tpchgen`, which writes those of the
//! benchmark's own; of the five queries that show them or search in them (2, 10, 13, 15, 20) the answers are PostgreSQL 15's on the
//! tables of `tpchgen`. A file is a header and rows with `|` between fields; an empty field is NULL. Of the longest answers,
//! which have texts and integers alone, it is a header, the number of rows and their checksum.
//!
//! Source: TPC Benchmark H, standard specification, revision 3.0.1, sections 1.4 (tables) and 2.4 (queries).
//!
//! **Memory.** The generator holds several hundred MiB of text to choose comments from, which no budget pays for; a program that
//! keeps a promise about memory starts another one for it. The rest is part of the program.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_types)]

mod answer;
mod data;

pub use answer::{Checker, check};
pub use data::{SCHEMA, Table};

/// One of the 22 queries.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// From 1.
    pub number: u8,
    /// `q01` and so on.
    pub name: &'static str,
    /// A comment that says what is asked, and the statement, without a semicolon.
    pub sql: &'static str,
    /// Scale factors and answers.
    answers: [(f64, &'static str); 3],
}

impl Query {
    /// The known answer at a scale factor.
    pub fn answer(&self, scale: f64) -> Option<&'static str> {
        self.answers.iter().find(|(known, _)| *known == scale).map(|(_, answer)| *answer)
    }
}

macro_rules! queries {
    ($($number:literal $name:literal)*) => {
        /// All of them, in their order.
        pub static QUERIES: [Query; 22] = [$(Query {
            number: $number,
            name: $name,
            sql: include_str!(concat!("queries/", $name, ".sql")).trim_ascii_end(),
            answers: [
                (0.01, include_str!(concat!("answers/sf0.01/", $name, ".csv"))),
                (0.1, include_str!(concat!("answers/sf0.1/", $name, ".csv"))),
                (1.0, include_str!(concat!("answers/sf1/", $name, ".csv"))),
            ],
        }),*];
    };
}

queries!(1 "q01" 2 "q02" 3 "q03" 4 "q04" 5 "q05" 6 "q06" 7 "q07" 8 "q08" 9 "q09" 10 "q10" 11 "q11" 12 "q12" 13 "q13" 14 "q14"
    15 "q15" 16 "q16" 17 "q17" 18 "q18" 19 "q19" 20 "q20" 21 "q21" 22 "q22");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_numbered_and_have_answers() {
        for (index, query) in QUERIES.iter().enumerate() {
            assert_eq!(usize::from(query.number), index + 1);
            assert_eq!(query.name, format!("q{:02}", query.number));
            assert!(query.sql.starts_with("--") && !query.sql.ends_with([';', '\n']), "{}", query.name);
            for scale in [0.01, 0.1, 1.0] {
                assert!(query.answer(scale).unwrap().lines().count() > 1, "{} {scale}", query.name);
            }
            assert_eq!(query.answer(2.0), None);
        }
    }
}

//! Operators that hold much, under a small limit: medians, lists, long texts, distinct values, windows, wide sorts, cross
//! joins, wide results, a load. Each statement in a process of its own, on the tables of TPC-H.
//!
//! A row is a statement that every contestant understands, most of them with one row for an answer, which must be the same for
//! all. Exit code 1 with `--strict` where a bar is missed.

use bench_engine::Outcome;
use bench_engine::contest::{self, Contest, Contestant, Ended, Limits};
use bench_engine::options::Options;
use bench_engine::report::{self, BEYOND_MIB, Line, at_most};
use clap::Parser;
use std::fs;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "bench-stress")]
struct Arguments {
    #[command(flatten)]
    options: Options,

    /// The limit of memory.
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    memory_mib: u64,

    /// How many threads.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: u32,
}

/// What ours has to say.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// The rows that the others give: they are few.
    Answer,
    /// As many rows as the others.
    Count,
    /// That one value is larger than memory.
    Refusal,
}

use Expected::{Answer, Count, Refusal};

/// Name, statement, what is expected. `{text}` is the folder of the tables as text,
/// `{list}` the number of elements of the array `a`.
const STATEMENTS: [(&str, &str, Expected); 22] = [
    ("median", "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY l_extendedprice) FROM lineitem", Answer),
    (
        "median_by_group",
        "SELECT count(*), max(m) FROM (SELECT l_suppkey, percentile_disc(0.5) WITHIN GROUP (ORDER BY l_extendedprice) AS m
         FROM lineitem GROUP BY l_suppkey) AS t",
        Answer,
    ),
    (
        "distinct_by_group",
        "SELECT count(*), max(m) FROM (SELECT l_orderkey, max(l_partkey) AS m, count(DISTINCT l_suppkey) AS d
         FROM lineitem GROUP BY l_orderkey) AS t",
        Answer,
    ),
    (
        "list_by_group",
        "SELECT count(*), sum({list}) FROM (SELECT l_suppkey, array_agg(l_orderkey) AS a FROM lineitem GROUP BY l_suppkey) AS t",
        Answer,
    ),
    (
        "list_ordered",
        "SELECT count(*), sum({list}), sum(a[1]) FROM (SELECT l_partkey, array_agg(l_orderkey ORDER BY l_orderkey DESC) AS a
         FROM lineitem GROUP BY l_partkey) AS t",
        Answer,
    ),
    (
        "string_agg_by_group",
        "SELECT count(*), sum(length(s)) FROM (SELECT l_suppkey, string_agg(l_comment, ',') AS s
         FROM lineitem GROUP BY l_suppkey) AS t",
        Answer,
    ),
    (
        "string_agg_ordered",
        "SELECT count(*), min(s) FROM (SELECT l_orderkey, string_agg(l_comment, ',' ORDER BY l_linenumber) AS s
         FROM lineitem GROUP BY l_orderkey) AS t",
        Answer,
    ),
    ("string_agg_one_value", "SELECT length(string_agg(l_comment, ',')) FROM lineitem", Refusal),
    ("count_distinct_keys", "SELECT count(DISTINCT l_orderkey) FROM lineitem", Answer),
    ("count_distinct_texts", "SELECT count(DISTINCT l_comment) FROM lineitem", Answer),
    ("distinct_pairs", "SELECT count(*) FROM (SELECT DISTINCT l_partkey, l_suppkey FROM lineitem) AS t", Answer),
    (
        "many_groups",
        "SELECT count(*), max(c), max(s) FROM (SELECT l_orderkey, l_linenumber, count(*) AS c, sum(l_quantity) AS s
         FROM lineitem GROUP BY l_orderkey, l_linenumber) AS t",
        Answer,
    ),
    (
        "window_by_group",
        "SELECT sum(r), max(s) FROM (SELECT row_number() OVER w AS r, sum(l_quantity) OVER w AS s FROM lineitem
         WINDOW w AS (PARTITION BY l_suppkey ORDER BY l_orderkey, l_linenumber)) AS t",
        Answer,
    ),
    (
        "window_one_partition",
        "SELECT max(d), max(s) FROM (SELECT l_orderkey - lag(l_orderkey) OVER w AS d, sum(l_quantity) OVER w AS s FROM lineitem
         WINDOW w AS (ORDER BY l_orderkey, l_linenumber)) AS t",
        Answer,
    ),
    (
        "window_whole_frame",
        "SELECT count(*), max(l_extendedprice / s) FROM (SELECT l_extendedprice, sum(l_extendedprice) OVER () AS s
         FROM lineitem) AS t WHERE l_extendedprice > s / 60000000",
        Count,
    ),
    ("wide_sort", "SELECT * FROM orders ORDER BY o_comment, o_orderkey", Count),
    ("wide_result", "SELECT * FROM orders", Count),
    (
        "cross_join",
        "SELECT count(*) FROM supplier AS a CROSS JOIN supplier AS b WHERE a.s_acctbal < b.s_acctbal",
        Answer,
    ),
    (
        "large_join",
        "SELECT count(*), sum(a.l_quantity - b.l_quantity) FROM lineitem AS a JOIN lineitem AS b
         ON a.l_orderkey = b.l_orderkey AND a.l_linenumber = b.l_linenumber",
        Answer,
    ),
    (
        "full_join",
        "SELECT count(*), count(c_custkey), count(o_orderkey) FROM customer FULL JOIN orders ON c_custkey = o_orderkey",
        Answer,
    ),
    (
        "except_rows",
        "SELECT count(*) FROM (SELECT l_orderkey, l_partkey FROM lineitem EXCEPT
         SELECT l_orderkey, l_partkey FROM lineitem WHERE l_linenumber < 3) AS t",
        Answer,
    ),
    (
        "load",
        "DROP TABLE IF EXISTS loaded;
         CREATE TABLE loaded (l_orderkey bigint, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL, l_linenumber integer,
         l_quantity decimal(15, 2) NOT NULL, l_extendedprice decimal(15, 2) NOT NULL, l_discount decimal(15, 2) NOT NULL,
         l_tax decimal(15, 2) NOT NULL, l_returnflag text NOT NULL, l_linestatus text NOT NULL, l_shipdate date NOT NULL,
         l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipinstruct text NOT NULL, l_shipmode text NOT NULL,
         l_comment text NOT NULL);
         COPY loaded FROM '{text}/lineitem.tbl' (DELIMITER '|');
         SELECT count(*), sum(l_quantity) FROM loaded",
        Answer,
    ),
];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(is_well) => ExitCode::from(u8::from(!is_well)),
        Err(error) => {
            eprintln!("bench-stress: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Outcome<bool> {
    let options = arguments.options.clone().completed();
    let limits = Limits { memory_mib: arguments.memory_mib, threads_count: arguments.threads };
    let contest = Contest::new(&options)?;
    let contestants = contest.contestants(&options);
    for contestant in &contestants {
        if let Some(taken) = contest.load(*contestant, limits)? {
            println!("loaded by {}: {:.1} s, {:.1} MiB", contestant.name(), taken.cpu_s, taken.private_mib);
        }
    }
    println!("\n{} MiB, {} threads at most", limits.memory_mib, limits.threads_count);
    report::print_head(&contestants);
    let text = contest.text()?;
    let text = text.to_str().ok_or("the folder's name is not UTF-8")?.replace('\'', "''");
    let mut lines = Vec::new();
    let mut well_count = 0;
    for (name, statement, expected) in STATEMENTS.iter().filter(|(name, ..)| options.wants(name)) {
        let mut ended = Vec::new();
        for contestant in &contestants {
            let list = if *contestant == Contestant::Ours { "cardinality(a)" } else { "len(a)" };
            let statement = statement.replace("{text}", &text).replace("{list}", list);
            let rounds: Result<Vec<Ended>, _> = (0..options.rounds)
                .map(|_| contest.statement(*contestant, name, &statement, limits))
                .collect();
            ended.push((*contestant, report::middle(rounds?)));
        }
        let line: Line = ((*name).to_owned(), ended);
        let verdict = judge(&contest, &line, *expected);
        well_count += usize::from(verdict.is_ok());
        report::print_line(&line, verdict.as_ref().err().map_or("", String::as_str));
        lines.push(line);
    }
    println!("{well_count} of {} ended as they ought to\n", lines.len());
    let most = report::private_mib_most(&lines, Contestant::Ours);
    let bound = limits.memory_mib as f64 + BEYOND_MIB;
    let goal = (limits.memory_mib as f64 + BEYOND_MIB / 2.0) / bound;
    let private = at_most("stress/private".to_owned(), "MiB", most, ("limit+8", bound), 1.0, goal);
    let undone = (lines.len() - well_count) as f64;
    let done = at_most(
        "stress/failures".to_owned(),
        "statements",
        undone,
        ("statements", lines.len() as f64),
        0.0,
        0.0,
    );
    println!("{private}\n{done}");
    Ok(!options.strict || private.passes() && done.passes())
}

/// Whether ours ended as it ought to.
fn judge(contest: &Contest, line: &Line, expected: Expected) -> Result<(), String> {
    let of = |contestant| line.1.iter().find(|(known, _)| *known == contestant).map(|(_, ended)| ended);
    let ours = of(Contestant::Ours).ok_or("ours did not take part")?;
    match (expected, ours) {
        // The text is some 160 MiB at scale 1, and fits at small ones.
        (Refusal, Err(said)) if said.contains("53200") || said.contains("54000") => return Ok(()),
        (_, Err(_)) => return Err("no answer".to_owned()),
        (_, Ok(_)) => {}
    }
    if !matches!(of(Contestant::DuckDb), Some(Ok(_))) {
        return Ok(());
    }
    let known =
        fs::read_to_string(contest.answer(Contestant::DuckDb, &line.0)).map_err(|error| error.to_string())?;
    let rows =
        contest::rows(&contest.answer(Contestant::Ours, &line.0)).map_err(|error| error.to_string())?;
    let known: Vec<Vec<&str>> = known.lines().skip(1).map(|line| line.split('|').collect()).collect();
    if rows.len() != known.len() {
        return Err(format!("WRONG: {} rows instead of {}", rows.len(), known.len()));
    }
    let differs = |(row, known): (&Vec<String>, &Vec<&str>)| {
        row.len() != known.len() || row.iter().zip(known).any(|(value, known)| !is_same(value, known))
    };
    match rows.iter().zip(&known).position(differs) {
        Some(at) if expected == Answer => {
            Err(format!("WRONG: {} instead of {}", rows[at].join("|"), known[at].join("|")))
        }
        _ => Ok(()),
    }
}

/// Equal as texts, or as numbers but for the last digits of binary floating point.
fn is_same(value: &str, known: &str) -> bool {
    let near = |value: f64, known: f64| (value - known).abs() <= 1e-9 * known.abs();
    value == known || matches!((value.parse(), known.parse()), (Ok(value), Ok(known)) if near(value, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_in_any_form() {
        assert!(is_same("1.50", "1.5") && is_same("a", "a") && is_same("0.1", "0.1000000000001"));
        assert!(!is_same("1.5", "1.6") && !is_same("a", "b") && !is_same("", "0"));
    }

    #[test]
    fn names_are_different() {
        let names: std::collections::BTreeSet<&str> = STATEMENTS.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names.len(), STATEMENTS.len());
    }
}

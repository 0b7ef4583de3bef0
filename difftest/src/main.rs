//! Asks Cofferdam and another engine, or logic alone, about random SQL: see `difftest --help`.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use cofferdam::parse_bytes;
use difftest::compare::{Question, Verdict, alone, compare};
use difftest::engines::{Cofferdam, Engine, Outcome, Postgres, Server, Sqlite};
use difftest::generate::{Generator, Table, Vocabulary};
use difftest::identities::identities;
use difftest::minimize::Case;

/// Asks Cofferdam and another engine about random SQL and compares.
///
/// A round makes tables with rows from a seed, then asks queries about them and changes them. Answers are compared as
/// multisets of texts (as lists behind ORDER BY), floats with a tolerance; of errors the class is compared. Rounds have seeds
/// one after the other, so `--seed N --rounds 1` repeats one that failed.
///
/// At the start each type, function and form of statements is tried on Cofferdam; what it refuses is left out (shown with --refused).
/// With --all everything is asked, and what is refused with 0A000 counts as unsupported.
///
/// A failing query is made smaller as long as it fails in the same way, and printed with a script that shows it from nothing.
/// The exit code is 1 where something failed.
///
///   postgres    a server of our own, from initdb and postgres of this system, on a socket in a temporary folder
///   sqlite      the part of SQL that SQLite has with the same meaning
///   identities  no other engine: a predicate parts the rows in three, and filters as it counts
#[derive(Parser)]
#[command(name = "difftest", verbatim_doc_comment)]
struct Arguments {
    /// Who judges.
    #[arg(long, value_enum, default_value = "postgres")]
    oracle: Oracle,

    /// The seed of the first round.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// How many statements are asked in all.
    #[arg(long, default_value_t = 2000)]
    cases: u64,

    /// How many rounds there are at most.
    #[arg(long)]
    rounds: Option<u64>,

    /// How many statements a round has.
    #[arg(long, default_value_t = 25)]
    round: u64,

    /// The memory limit of Cofferdam.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_bytes)]
    memory: u64,

    /// How many threads a statement of Cofferdam may use at most.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,

    /// How many failures of one group are made smaller and shown.
    #[arg(long, default_value_t = 1)]
    show: usize,

    /// Asks about everything in the tables.
    #[arg(long)]
    all: bool,

    /// Lists what Cofferdam refused at the start.
    #[arg(long)]
    refused: bool,

    /// Prints each statement before it is asked, to find one that ends the program.
    #[arg(long)]
    trace: bool,

    /// The folder of initdb and postgres.
    #[arg(long, value_name = "FOLDER")]
    postgres_bin: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Oracle {
    Postgres,
    Sqlite,
    Identities,
}

/// Who judges, opened.
#[allow(clippy::large_enum_variant)]
enum Peer {
    // The connection is dropped before its server.
    Postgres(Postgres, #[allow(dead_code)] Server),
    Sqlite(Sqlite),
    Nobody,
}

impl Peer {
    fn engine(&mut self) -> Option<&mut dyn Engine> {
        match self {
            Peer::Postgres(engine, _) => Some(engine),
            Peer::Sqlite(engine) => Some(engine),
            Peer::Nobody => None,
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    asked_count: u64,
    same_count: u64,
    counts: HashMap<(&'static str, String), (u64, String)>,
    shown: HashMap<String, usize>,
}

impl Findings {
    /// Counts a verdict; gives the group of a failure that is to be shown.
    fn count(&mut self, verdict: Verdict, sql: &str, show: usize) -> Option<String> {
        self.asked_count += 1;
        let (class, group, is_failure) = match verdict {
            Verdict::Same => {
                self.same_count += 1;
                return None;
            }
            Verdict::Nearly(group) => ("nearly the same", group, false),
            Verdict::Unsupported(group) => ("unsupported", group, false),
            Verdict::Unknown(group) => ("unknown", group.to_owned(), false),
            Verdict::Different(group, _) => ("FAILED", group, true),
        };
        let entry = self.counts.entry((class, general(&group))).or_insert((0, sql.to_owned()));
        entry.0 += 1;
        if sql.len() < entry.1.len() {
            entry.1 = sql.to_owned();
        }
        let shown = self.shown.entry(general(&group)).or_default();
        *shown += 1;
        (is_failure && *shown <= show).then_some(group)
    }

    fn failed_count(&self) -> u64 {
        self.counts.iter().filter(|((class, _), _)| *class == "FAILED").map(|(_, (count, _))| count).sum()
    }
}

/// A message without what differs between failures of one cause: quoted names, and words that are numbers.
fn general(message: &str) -> String {
    let mut text = String::new();
    for (index, part) in message.split('"').enumerate() {
        if index % 2 == 1 {
            text.push_str("\"…\"");
            continue;
        }
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let words: Vec<&str> = part.split(' ').map(|word| if is_number(word) { "#" } else { word }).collect();
        text.push_str(&words.join(" "));
    }
    text
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("difftest: {error}");
            ExitCode::from(2)
        }
    }
}

/// Gives whether nothing failed.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let mut peer = match arguments.oracle {
        Oracle::Postgres => {
            let server = Server::start(arguments.postgres_bin.as_deref())?;
            Peer::Postgres(server.connect()?, server)
        }
        Oracle::Sqlite => Peer::Sqlite(Sqlite::new()?),
        Oracle::Identities => Peer::Nobody,
    };
    let mut ours = Cofferdam::new(arguments.memory, arguments.threads, Duration::from_secs(20));
    let vocabulary = vocabulary(arguments, &mut ours, &mut peer)?;
    println!(
        "{} types, {} functions, {} aggregates, {} functions of windows, {} forms; {} refused",
        vocabulary.types.len(),
        vocabulary.functions.len(),
        vocabulary.aggregates.len(),
        vocabulary.windows.len(),
        vocabulary.forms.len(),
        vocabulary.refused.len()
    );
    if arguments.refused {
        for (what, why) in &vocabulary.refused {
            println!("  refused: {what}  ({why})");
        }
    }
    let started = Instant::now();
    let mut findings = Findings::default();
    let mut seed = arguments.seed;
    while findings.asked_count < arguments.cases
        && arguments.rounds.is_none_or(|rounds| seed - arguments.seed < rounds)
    {
        round(arguments, seed, &vocabulary, &mut ours, &mut peer, &mut findings)?;
        seed += 1;
    }
    summarize(&findings, started.elapsed());
    Ok(findings.failed_count() == 0)
}

/// What Cofferdam accepts; of functions and forms only what the peer accepts too.
fn vocabulary(arguments: &Arguments, ours: &mut Cofferdam, peer: &mut Peer) -> Result<Vocabulary, String> {
    ours.reset()?;
    if let Some(engine) = peer.engine() {
        engine.reset()?;
    }
    let mut accepts = |sql: &str| {
        let outcome = ours.run(sql);
        // Where the peer fails too, the line of the table is for another version of it.
        if let Some(Outcome::Error { sqlstate, message }) = peer.engine().map(|engine| engine.run(sql)) {
            return Err(format!("by the peer: {sqlstate}: {message}"));
        }
        match outcome {
            _ if arguments.all => Ok(()),
            Outcome::Error { sqlstate, message } => Err(format!("{sqlstate}: {message}")),
            _ => Ok(()),
        }
    };
    Ok(Vocabulary::probed(arguments.oracle == Oracle::Sqlite, &mut accepts))
}

/// The tables of a seed, and what is asked about them.
fn round(
    arguments: &Arguments,
    seed: u64,
    vocabulary: &Vocabulary,
    ours: &mut Cofferdam,
    peer: &mut Peer,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut generator = Generator::new(seed, vocabulary);
    let tables = generator.tables();
    ours.reset()?;
    for statement in tables.iter().flat_map(Table::statements) {
        trace(arguments, &statement);
        let outcome = ours.run(&statement);
        let Some(engine) = peer.engine() else {
            if let Some(sqlstate) = outcome.sqlstate() {
                findings.count(alone(&outcome).unwrap_or(failed(sqlstate, &outcome)), &statement, 0);
                return Ok(());
            }
            continue;
        };
        if statement.starts_with("CREATE TABLE t0") {
            engine.reset()?;
        }
        let question = Question {
            is_ordered: false,
            is_simple: true,
            has_sqlstates: arguments.oracle != Oracle::Sqlite,
        };
        let verdict = compare(&outcome, &engine.run(&statement), question);
        if verdict != Verdict::Same {
            println!("\n--- seed {seed}: {verdict:?}\n{statement};");
            findings.count(verdict, &statement, 0);
            return Ok(());
        }
    }
    let mut changes = Vec::new();
    for _ in 0..arguments.round {
        if arguments.oracle == Oracle::Identities {
            identity(arguments, seed, &mut generator, &tables, ours, findings);
            continue;
        }
        if changes.len() < 6
            && seed.is_multiple_of(3)
            && let Some((sql, table)) = generator.change()
            && !change(arguments, seed, &sql, &table, &tables, &mut changes, ours, peer, findings)
        {
            return Ok(());
        }
        let query = generator.query();
        let case = Case { tables: tables.clone(), changes: changes.clone(), query };
        ask(arguments, seed, case, ours, peer, findings);
    }
    Ok(())
}

fn failed(sqlstate: &str, outcome: &Outcome) -> Verdict {
    Verdict::Different(format!("error {sqlstate}"), format!("{outcome:?}"))
}

fn trace(arguments: &Arguments, sql: &str) {
    if arguments.trace {
        eprintln!("{sql};");
    }
}

/// Asks both about a query, and makes it smaller where they differ.
fn ask(
    arguments: &Arguments,
    seed: u64,
    case: Case,
    ours: &mut Cofferdam,
    peer: &mut Peer,
    findings: &mut Findings,
) {
    let Some(engine) = peer.engine() else { return };
    let has_sqlstates = arguments.oracle == Oracle::Postgres;
    let sql = case.query.to_string();
    trace(arguments, &sql);
    let question = Question {
        is_ordered: !case.query.order.is_empty(),
        is_simple: case.query.is_simple(),
        has_sqlstates,
    };
    let outcome = ours.run(&sql);
    let verdict = match alone(&outcome) {
        Some(verdict) => verdict,
        None => compare(&outcome, &engine.run(&sql), question),
    };
    if verdict != Verdict::Same {
        trace(arguments, &format!("-- seed {seed}: {verdict:?}"));
    }
    let Some(group) = findings.count(verdict, &sql, arguments.show) else { return };
    let wanted = general(&group);
    let is_same =
        |verdict: &Verdict| matches!(verdict, Verdict::Different(group, _) if general(group) == wanted);
    let small = case.clone().minimized(&mut |case| is_same(&case.verdict(ours, &mut *engine, has_sqlstates)));
    println!("\n--- seed {seed}: {group}");
    match small.verdict(ours, &mut *engine, has_sqlstates) {
        Verdict::Different(_, what) => println!("{}{what}", small.script()),
        // It needs what came before it.
        verdict => println!("{}not again: {verdict:?}", case.script()),
    }
    // Back to where the round was.
    let _ = case.verdict(ours, &mut *engine, has_sqlstates);
}

/// Changes a table in both and compares it; gives whether the round can go on.
#[allow(clippy::too_many_arguments)]
fn change(
    arguments: &Arguments,
    seed: u64,
    sql: &str,
    table: &str,
    tables: &[Table],
    changes: &mut Vec<String>,
    ours: &mut Cofferdam,
    peer: &mut Peer,
    findings: &mut Findings,
) -> bool {
    let Some(engine) = peer.engine() else { return true };
    trace(arguments, sql);
    let question =
        Question { is_ordered: false, is_simple: false, has_sqlstates: arguments.oracle == Oracle::Postgres };
    let outcome = ours.run(sql);
    let mut verdict = match alone(&outcome) {
        Some(Verdict::Unsupported(group)) => {
            findings.count(Verdict::Unsupported(group), sql, 0);
            return true;
        }
        Some(verdict) => verdict,
        None => compare(&outcome, &engine.run(sql), question),
    };
    if matches!(verdict, Verdict::Same | Verdict::Nearly(_)) {
        if outcome.is_error() {
            findings.count(verdict, sql, 0);
            return true;
        }
        let after = format!("SELECT * FROM {table}");
        if let Verdict::Different(group, what) = compare(&ours.run(&after), &engine.run(&after), question) {
            let verb = sql.split(' ').next().unwrap_or_default();
            verdict = Verdict::Different(format!("after {verb}: {group}"), what);
        }
    }
    let is_well = matches!(verdict, Verdict::Same | Verdict::Nearly(_));
    let what = format!("{verdict:?}");
    if let Some(group) = findings.count(verdict, sql, arguments.show) {
        println!("\n--- seed {seed}: {group}");
        let before = tables.iter().flat_map(Table::statements).chain(changes.iter().cloned());
        let script: String = before.map(|statement| format!("{statement};\n")).collect();
        println!("{script}{sql};\n{}", what.replace("\\n", "\n"));
    }
    changes.push(sql.to_owned());
    is_well
}

/// Checks both identities of a query.
fn identity(
    arguments: &Arguments,
    seed: u64,
    generator: &mut Generator<'_>,
    tables: &[Table],
    ours: &mut Cofferdam,
    findings: &mut Findings,
) {
    let (select, predicate) = generator.filtered();
    for identity in identities(&select, &predicate) {
        identity.statements().iter().for_each(|sql| trace(arguments, sql));
        let verdict = identity.check(ours);
        let what = match &verdict {
            Verdict::Different(_, what) => what.clone(),
            _ => String::new(),
        };
        if let Some(group) = findings.count(verdict, &identity.whole, arguments.show) {
            println!("\n--- seed {seed}: {group}");
            let statements = tables.iter().flat_map(Table::statements).chain(identity.statements());
            let script: String = statements.map(|statement| format!("{statement};\n")).collect();
            println!("{script}{what}");
        }
    }
}

fn summarize(findings: &Findings, elapsed: Duration) {
    println!();
    let mut counts: Vec<_> = findings.counts.iter().collect();
    counts.sort_by(|((a, x), (n, _)), ((b, y), (m, _))| a.cmp(b).then(m.cmp(n)).then(x.cmp(y)));
    for ((class, group), (count, sql)) in counts {
        println!("{class:>15}  {count:>6}  {group}");
        if *class != "unsupported" {
            let end = sql.floor_char_boundary(if *class == "FAILED" { 400 } else { 240 });
            println!("{:>15}  {:>6}  e.g. {}{}", "", "", &sql[..end], if end < sql.len() { "…" } else { "" });
        }
    }
    println!(
        "{} asked, {} the same, {} failed, {:.0} s",
        findings.asked_count,
        findings.same_count,
        findings.failed_count(),
        elapsed.as_secs_f64()
    );
}

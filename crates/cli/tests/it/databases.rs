//! Databases in directories: what one program leaves, the next one finds.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Folder, assert_fails, program, run, run_with};

/// Small, so that memtables are flushed now and then.
const MEMORY: &str = "3MiB";

/// Runs statements on a database and gives what they answer, as CSV.
#[track_caller]
fn answer(database: &str, sql: &str) -> String {
    let outcome = run(&["--memory", MEMORY, database, "--mode", "csv", "-c", sql]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{sql}");
    outcome.stdout
}

/// The path of a database that is not there yet.
fn path(folder: &Folder) -> String {
    folder.path().join("db").to_str().expect("UTF-8").to_owned()
}

#[test]
fn the_next_program_finds_what_one_has_left() {
    let folder = Folder::new();
    let database = path(&folder);
    let file = folder.file("rows.csv", "n,word\n3,three\n4,\n");
    let script = format!(
        "CREATE TABLE t (n integer PRIMARY KEY, word text);\n\
         INSERT INTO t VALUES (1, 'one'), (2, 'two');\n\
         COPY t FROM {file} WITH (FORMAT csv, HEADER);\n\
         BEGIN; INSERT INTO t VALUES (5, 'five'); ROLLBACK;\n"
    );
    let outcome = run_with(&[&database], script.as_bytes());
    let tags = "CREATE TABLE\nINSERT 0 2\nCOPY 2\nBEGIN\nINSERT 0 1\nROLLBACK\n";
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, tags), "{}", outcome.stderr);
    assert_eq!(answer(&database, "SELECT * FROM t"), "n,word\r\n1,one\r\n2,two\r\n3,three\r\n4,\r\n");
    let outcome = run(&[&database, "-c", "INSERT INTO t VALUES (1, 'again'); SELECT count(*) FROM t"]);
    assert_fails(&outcome, 1, &["error[23505]: duplicate key value", "the key is (1)"]);
    assert!(outcome.stdout.contains('4'), "the next statement runs: {}", outcome.stdout);
    assert_eq!(answer(&database, "DROP TABLE t"), "");
    assert_fails(&run(&[&database, "-c", "SELECT * FROM t"]), 1, &["error[42P01]"]);
}

#[test]
fn what_does_not_open_is_an_error_that_says_what_helps() {
    let folder = Folder::new();
    folder.file("file", "nothing");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    for path in [at("file"), at("none/db"), at("")] {
        let outcome = run(&[&path, "-c", "SELECT 1"]);
        let parts = [
            "error[58P01]: could not open database",
            "there is no database here",
            "help: a database is a directory",
        ];
        assert_fails(&outcome, 1, &parts);
        assert_eq!(outcome.stdout, "");
    }
    let outcome = run(&["--memory", "2600KiB", &at("db"), "-c", "SELECT 1"]);
    assert_fails(&outcome, 2, &["--memory 2.5 MiB is too small", "write --memory 3072KiB or more"]);
    assert_eq!(answer(&at("db"), "SELECT 1 AS one"), "one\r\n1\r\n");
    fs::write(folder.path().join("db/root"), "damaged").expect("it is there");
    let outcome = run(&[&at("db"), "-c", "SELECT 1"]);
    assert_fails(&outcome, 1, &["error[XX001]: could not open database", "help: `cofferdam check` tells"]);
}

/// Aim: a directory that may not be read is an error of the system. The superuser may read everything, so nothing is tested there.
#[test]
fn a_directory_that_may_not_be_read_is_an_error() {
    let folder = Folder::new();
    let database = path(&folder);
    answer(&database, "CREATE TABLE t (n integer)");
    fs::set_permissions(&database, Permissions::from_mode(0o000)).expect("it is ours");
    if fs::read_dir(&database).is_err() {
        let outcome = run(&[&database, "-c", "SELECT 1"]);
        assert_fails(&outcome, 1, &["error[58030]: could not open database", "ermission denied"]);
    }
    fs::set_permissions(&database, Permissions::from_mode(0o700)).expect("it is ours");
}

/// Aim: what the system refuses to write is an error, and what was committed before is there. Method: the shell's limit for the
/// size of files, which a load passes.
#[test]
fn a_write_that_is_refused_loses_nothing() {
    let folder = Folder::new();
    let database = path(&folder);
    answer(
        &database,
        "CREATE TABLE t (n bigint PRIMARY KEY, note text); INSERT INTO t VALUES (-1, 'before')",
    );
    let rows: String = (0..6000).map(|n| format!("{n},{:x}\n", n * 0x9E37_79B9_7F4A_7C15_u128)).collect();
    let file = folder.file("rows.csv", rows);
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {} --memory {MEMORY} '{database}' -c \"COPY t FROM {file}\"",
        env!("CARGO_BIN_EXE_cofferdam")
    );
    let output = Command::new("bash").args(["-c", &script]).output().expect("a shell");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("error[58030]: cannot write segments-") && stderr.contains("help: "), "{stderr}");
    assert_eq!(answer(&database, "SELECT * FROM t"), "n,note\r\n-1,before\r\n");
    assert_eq!(
        answer(&database, &format!("COPY t FROM {file}; SELECT count(*) FROM t")),
        "count\r\n6001\r\n"
    );
}

#[test]
fn files_and_texts_of_the_command_line_run_in_its_order() {
    let folder = Folder::new();
    let database = path(&folder);
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    folder.file(
        "make.sql",
        "CREATE TABLE t (n integer PRIMARY KEY);\n-- some rows\nINSERT INTO t VALUES (1), (2);\n",
    );
    folder.file("wrong.sql", "INSERT INTO t\nVALUES (3), (2);\n");
    let outcome = run(&[
        &database,
        "--mode",
        "csv",
        "-f",
        &at("make.sql"),
        "-c",
        "SELECT count(*) FROM t",
        "-f",
        &at("wrong.sql"),
        "-f",
        &at("none.sql"),
        "-c",
        "SELECT max(n) FROM t",
    ]);
    assert_fails(&outcome, 1, &["error[23505]: ", "error[58030]: could not read ", "none.sql: "]);
    assert_eq!(outcome.stdout, "count\r\n2\r\nmax\r\n2\r\n");
    assert_fails(&run(&["demo", "-f", "x"]), 2, &[]);
}

/// A program whose statements come one by one.
struct Running {
    child: Child,
    statements: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Running {
    fn start(database: &str) -> Running {
        let mut command = program(&["--memory", MEMORY, database]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let statements = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { child, statements, answers }
    }

    fn say(&mut self, sql: &str) {
        self.statements.write_all(sql.as_bytes()).expect("the program reads");
    }

    /// The next line of its output; empty behind the last.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("UTF-8");
        line
    }

    /// Ends the program as nothing can be caught, and gives the lines that it had written.
    fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.answers.lines().map(|line| line.expect("UTF-8")).collect()
    }
}

#[test]
fn one_program_at_a_time_has_a_database_open() {
    let folder = Folder::new();
    let database = path(&folder);
    let mut first = Running::start(&database);
    first.say("CREATE TABLE t (n integer);\n");
    assert_eq!(first.line(), "CREATE TABLE\n");
    let outcome = run(&[&database, "-c", "SELECT * FROM t"]);
    assert_fails(
        &outcome,
        1,
        &["error[55006]: could not open database", "is open in another process", "help: "],
    );
    if Path::new("/proc/locks").exists() {
        let holder = format!("process {} (cofferdam) has it open", first.child.id());
        assert!(outcome.stderr.contains(&holder), "{}", outcome.stderr);
    }
    first.kill();
    assert_eq!(answer(&database, "SELECT * FROM t"), "n\r\n");
}

/// How many programs are killed: `KILLS`, or 10.
fn kills_count() -> u64 {
    std::env::var("KILLS").map_or(10, |count| count.parse().expect("KILLS is a number"))
}

/// Numbers that repeat: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What one of the killed programs does: transactions of a different number each, a number in all rows of one.
struct Round {
    script: String,
    /// The number of each transaction, and of its rows.
    transactions: Vec<(u64, u64)>,
}

impl Round {
    /// Rows of a file, more than are kept in memory.
    const FILE_ROWS: u64 = 3000;
    /// Transactions of a round.
    const COUNT: u64 = 24;

    fn new(number: u64, folder: &Folder) -> Round {
        let mut round = Round { script: String::new(), transactions: Vec::new() };
        for number in number * Round::COUNT..(number + 1) * Round::COUNT {
            let (sql, rows) = match number % Round::COUNT {
                5 | 17 => (Round::copy(number, 300, folder), 300),
                11 => (Round::copy(number, Round::FILE_ROWS, folder), Round::FILE_ROWS),
                20 => {
                    let insert = |part| format!("INSERT INTO t VALUES ({number}, {part}, 'of two');");
                    (format!("BEGIN; {} {} COMMIT;", insert(0), insert(1)), 2)
                }
                _ => (format!("INSERT INTO t VALUES ({number}, 0, 'a'), ({number}, 1, 'b');"), 2),
            };
            round.script += &sql;
            round.script.push('\n');
            round.transactions.push((number, rows));
        }
        round
    }

    fn copy(number: u64, rows: u64, folder: &Folder) -> String {
        let rows: String = (0..rows).map(|part| format!("{number},{part},from a file\n")).collect();
        let file = folder.file(&format!("{}.csv", number % Round::COUNT), rows);
        format!("COPY t FROM {file} WITH (FORMAT csv);")
    }
}

/// Aim: whatever moment a program is killed at, the database opens, is whole, and what was acknowledged is there; of what was
/// not, all of a transaction or nothing, and nothing behind one that is missing. Method: programs that fill a table with
/// transactions of all kinds one after the other, each killed at a random moment (also while it opens what the one before has
/// left); after each `check` looks at every byte, and the next program counts the rows. The first program is not killed, and tells
/// how long all of it takes.
#[test]
fn killed_programs_lose_nothing() {
    let seed =
        std::env::var("SEED").map_or(0x9E37_79B9_7F4A_7C15, |seed| seed.parse().expect("SEED is a number"));
    println!("SEED={seed}");
    let mut random = Random(seed);
    let folder = Folder::in_memory();
    let database = path(&folder);
    answer(&database, "CREATE TABLE t (number bigint, part bigint, note text, PRIMARY KEY (number, part))");
    let (mut rows_count, mut whole, mut acknowledged_count, mut found_count) = (0, 0, 0, 0);
    let mut duration = None;
    for number in 0..=kills_count() {
        let round = Round::new(number, &folder);
        let started = Instant::now();
        let mut running = Running::start(&database);
        running.say(&round.script);
        let mut tags = Vec::new();
        match duration {
            Some(all) => {
                std::thread::sleep(Duration::from_micros(random.below(all)));
            }
            None => {
                // A transaction of two statements has three tags more.
                tags.extend((0..Round::COUNT + 3).map(|_| running.line()));
                duration = Some(started.elapsed().as_micros() as u64);
            }
        }
        tags.extend(running.kill());
        // A transaction of several statements is acknowledged by its COMMIT.
        let is_acknowledgement = |tag: &&String| {
            assert!(!tag.is_empty(), "round {number}: the program has ended by itself");
            !["BEGIN", "INSERT 0 1"].contains(&tag.trim_end())
        };
        let acknowledged = tags.iter().filter(is_acknowledgement).count();
        let check = run(&["check", &database]);
        assert_eq!((check.code, check.stderr.as_str()), (0, ""), "round {number}: {}", check.stdout);
        let first = number * Round::COUNT;
        let counts = answer(
            &database,
            &format!(
                "SELECT number, count(*) FROM t WHERE number >= {first} GROUP BY number ORDER BY number"
            ),
        );
        let found: Vec<(u64, u64)> = counts
            .lines()
            .skip(1)
            .map(|line| {
                let (number, rows) = line.trim_end().split_once(',').expect("two columns");
                (number.parse().expect("a number"), rows.parse().expect("a number"))
            })
            .collect();
        assert!(round.transactions.starts_with(&found), "round {number}: {found:?}");
        assert!(found.len() >= acknowledged, "round {number}: {acknowledged} acknowledged, {found:?}");
        rows_count += found.iter().map(|(_, rows)| rows).sum::<u64>();
        let all = answer(&database, "SELECT count(*) FROM t");
        assert_eq!(all, format!("count\r\n{rows_count}\r\n"), "round {number}: of earlier rounds");
        whole += u64::from(found.len() as u64 == Round::COUNT);
        acknowledged_count += acknowledged;
        found_count += found.len();
    }
    println!(
        "{} programs killed, {whole} of them behind their last transaction; {acknowledged_count} transactions acknowledged, \
         {found_count} found, {rows_count} rows",
        kills_count()
    );
}

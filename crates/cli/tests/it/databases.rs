//! Databases in directories: what one program leaves, the next one finds.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::support::{Folder, assert_fails, program, run, run_with};

/// Small, so that memtables are flushed now and then.
const MEMORY: &str = "4MiB";

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
fn what_does_not_open_is_an_error() {
    let folder = Folder::new();
    folder.file("file", "nothing");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    for (path, part) in [
        (at("file"), "error[58P01]: could not open database"),
        (at("none/db"), "error[58P01]: could not open database"),
        (at(""), "error[58P01]: could not open database"),
    ] {
        assert_fails(&run(&[&path, "-c", "SELECT 1"]), 1, &[part]);
    }
    let outcome = run(&["--memory", "2600KiB", &at("db"), "-c", "SELECT 1"]);
    assert_fails(&outcome, 2, &["--memory 2.5 MiB is too small", "write --memory 3072KiB or more"]);
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
    assert_fails(&outcome, 1, &["error[55006]: could not open database", "is open in another process"]);
    first.kill();
    assert_eq!(answer(&database, "SELECT * FROM t"), "n\r\n");
}

/// Aim: whatever moment a program is killed at, what it has acknowledged is there, and of what it has not all or nothing.
/// Method: a hundred programs that fill a table one after the other, each killed after some of its statements; transactions
/// have two rows with the same number, now and then hundreds from a file, and later programs count them.
#[test]
fn a_hundred_killed_programs_lose_nothing() {
    const ROUNDS: u64 = 100;
    const STATEMENTS: u64 = 24;
    const FILE_ROWS: u64 = 500;
    let folder = Folder::in_memory();
    let database = path(&folder);
    answer(&database, "CREATE TABLE t (number bigint, part bigint, note text, PRIMARY KEY (number, part))");
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: u64| {
        // Marsaglia's xorshift.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    // What there is of each number: rows when it was acknowledged, None when it may be there or not.
    let mut expected: Vec<(u64, u64, bool)> = Vec::new();
    for round in 0..ROUNDS {
        let mut running = Running::start(&database);
        let (mut script, mut numbers) = (String::new(), Vec::new());
        for statement in 0..STATEMENTS {
            let number = round * STATEMENTS + statement;
            if statement % 12 == 11 {
                let rows: String =
                    (0..FILE_ROWS).map(|part| format!("{number},{part},from a file\n")).collect();
                let file = folder.file(&format!("{}.csv", number % 64), rows);
                script += &format!("COPY t FROM {file} WITH (FORMAT csv);\n");
                numbers.push((number, FILE_ROWS));
            } else {
                script += &format!("INSERT INTO t VALUES ({number}, 0, 'a'), ({number}, 1, 'b');\n");
                numbers.push((number, 2));
            }
        }
        running.say(&script);
        let mut acknowledged = 0;
        for _ in 0..random(STATEMENTS) {
            let tag = running.line();
            assert!(tag.starts_with("INSERT 0 2") || tag.starts_with("COPY 500"), "round {round}: {tag}");
            acknowledged += 1;
        }
        std::thread::sleep(std::time::Duration::from_micros(random(3000)));
        acknowledged += running.kill().len();
        expected.extend(
            numbers.iter().enumerate().map(|(index, (number, rows))| (*number, *rows, index < acknowledged)),
        );
        // Every tenth time what is there is looked at by a program that is not killed.
        if round % 10 == 9 {
            let counts = answer(&database, "SELECT number, count(*) FROM t GROUP BY number ORDER BY number");
            let mut found = counts.lines().skip(1).map(|line| {
                let (number, rows) = line.trim_end().split_once(',').expect("two columns");
                (number.parse::<u64>().expect("a number"), rows.parse::<u64>().expect("a number"))
            });
            let mut next = found.next();
            for (number, rows, is_acknowledged) in &expected {
                match next {
                    Some(there) if there.0 == *number => {
                        assert_eq!(there.1, *rows, "round {round}: half of transaction {number}");
                        next = found.next();
                    }
                    _ => assert!(!is_acknowledged, "round {round}: transaction {number} is lost"),
                }
            }
            assert_eq!(next, None, "round {round}: nobody has written this");
        }
    }
}

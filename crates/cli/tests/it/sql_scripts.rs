//! `sql` over scripts: each tool, wrong statements, and what a long input takes.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use cofferdam_testkit::footprint;

use crate::memory::untracked_kib;
use crate::support::{Folder, Outcome, assert_fails, output_with, program, run, run_with};

const TOOLS: [&[&str]; 10] = [
    &["check"],
    &["parse"],
    &["parse", "--dot"],
    &["print"],
    &["format"],
    &["format", "--keywords", "lower", "--width", "20", "--indent", "2"],
    &["fingerprint"],
    &["normalize"],
    &["tokens"],
    &["stats"],
];

fn sql(tool: &[&str], input: &[u8]) -> Outcome {
    run_with(&[&["sql"], tool].concat(), input)
}

fn right(tool: &[&str], input: &str) -> String {
    let outcome = sql(tool, input.as_bytes());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{tool:?}");
    outcome.stdout
}

#[test]
fn check_reports_each_wrong_statement_with_its_line() {
    let script = "select 1;\nselect (1 +\n\n 2;select a b c;\n select 2;\n\tselect 'ab\n";
    let outcome = sql(&["check"], script.as_bytes());
    assert_eq!(outcome.stdout, "3 of 5 statements wrong\n");
    assert_fails(
        &outcome,
        1,
        &[
            "error[42601]: syntax error at \";\"",
            "--> stdin:4:3",
            "4 |  2;select a b c;\n  |   ^\n",
            "::: stdin:2:8",
            "2 | select (1 +\n  |        - opened here",
            "--> stdin:4:15",
            "= help: a comma may be missing before it",
            "error[42601]: unterminated string",
            "--> stdin:6:9",
        ],
    );
    assert_eq!(right(&["check"], "select 1; ; select 2 -- end"), "0 of 2 statements wrong\n");
    assert_eq!(right(&["check"], ""), "0 of 0 statements wrong\n");
}

/// Aim: places are those in the whole input. Method: mistakes behind other statements of their line, behind a `;` inside
/// of a statement, and far to the right; one of them with the sign that stands for places in a drawing.
#[test]
fn places_are_those_in_the_input() {
    let rule = "create rule r as on insert to t do also (select 1; select 2);";
    let far = format!("select '{}' é x;", "é".repeat(100_000));
    for (script, place) in [
        ("select 'é'; select (1".to_owned(), "--> stdin:1:22"),
        (format!("select 1;\n{rule} select a b c"), "--> stdin:2:74"),
        (far, "--> stdin:1:100013"),
        ("select a b \u{E000}:1:12".to_owned(), "--> stdin:1:12"),
    ] {
        let outcome = sql(&["check"], script.as_bytes());
        assert_fails(&outcome, 1, &[place]);
        assert!(outcome.stdout.starts_with("1 of "), "{outcome:?}");
    }
    let outcome = run(&["-c", "select 1 as a; select 2 b c"]);
    assert_fails(&outcome, 1, &["--> -c:1:27"]);
    assert_fails(&run_with(&[], b"select 1 as a; select 2 b c;"), 1, &["--> stdin:1:27"]);
}

/// Aim: the place of a mistake is right wherever it stands on a line, and costs the same. Method: wrong statements on one
/// line, with wide letters, behind each other and behind long right ones.
#[test]
fn each_place_on_a_long_line_is_right() {
    let mut script = String::from("\n");
    let mut expected = Vec::new();
    for number in 0..300 {
        for filler in ["", "  ", "select 'é';"] {
            script += &filler.repeat(number % 50);
            script += "select 'é' b c;";
            expected.push(script.lines().nth(1).expect("the line").chars().count() - 1);
        }
    }
    let outcome = sql(&["check"], script.as_bytes());
    let places = outcome.stderr.lines().filter_map(|line| line.trim().strip_prefix("--> stdin:2:"));
    let places: Vec<usize> = places.map(|column| column.parse().expect("a number")).collect();
    assert_eq!(places, expected);
}

#[test]
fn what_opened_on_the_same_line_is_marked_there() {
    let outcome = sql(&["check"], b"select (1;");
    assert_fails(&outcome, 1, &["1 | select (1;\n  |        - ^\n", "opened here"]);
}

#[test]
fn print_writes_one_statement_a_line() {
    let script = "select  A,\n'x' -- one\n; ;;select \"B c\" from T";
    assert_eq!(right(&["print"], script), "SELECT a, 'x';\nSELECT \"B c\" FROM t;\n");
}

#[test]
fn a_semicolon_inside_of_a_statement_does_not_end_it() {
    let script = "create rule r as on insert to t do also (select 1; select 2);select 3;\
                  create function f() returns int begin atomic select 1; select 2; end; select 4";
    let printed = right(&["print"], script);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 4, "{printed}");
    assert!(lines[0].ends_with("(SELECT 1; SELECT 2);") && lines[2].ends_with("SELECT 2; END;"), "{printed}");
    assert_eq!((lines[1], lines[3]), ("SELECT 3;", "SELECT 4;"));
}

/// Aim: a statement with statements inside is one, however it arrives. Method: input that is written a part at a time, to
/// a tool that reads what is there; the same with a byte before it that makes its text none.
#[test]
fn a_body_that_arrives_in_parts_is_one_statement() {
    let parts = [
        "select 0; create rule r as on insert to t do also (select 1;",
        " select 2); create function f() returns int begin atomic select 3;",
        " select 4;",
        " end; select 5;",
    ];
    for (tool, expected) in [("print", 4), ("check", 1), ("fingerprint", 4)] {
        let mut child =
            program(&["sql", tool]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        for part in parts {
            stdin.write_all(part.as_bytes()).expect("it reads");
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{lines}");
        assert_eq!(lines.lines().count(), expected, "{lines}");
    }
    let mut input = b"select '\xFF';".to_vec();
    input.extend_from_slice(parts.concat().as_bytes());
    let outcome = sql(&["check"], &input);
    assert_eq!(outcome.stdout, "1 of 5 statements wrong\n", "{outcome:?}");
    // Across reads of 64 KiB.
    let body =
        format!("create function f() begin atomic {} end;", "select 1, 'xxxxxxxxxxxxxxxx';\n".repeat(20_000));
    for text in [body.repeat(3), format!("select '\0';{body}select 1;{body}")] {
        let outcome = sql(&["check"], text.as_bytes());
        let wrong = usize::from(text.contains('\0'));
        assert_eq!(
            outcome.stdout,
            format!("{wrong} of {} statements wrong\n", 3 + wrong),
            "{}",
            outcome.stderr
        );
    }
}

/// Aim: an action that is not closed does not swallow what is behind it.
#[test]
fn what_is_open_ends_where_it_is_wrong() {
    let open = "create rule r as on insert to t do also (select 1; create table t (a int); ";
    let more = "select 1, 'xxxxxxxxxxxxxxxx';\n".repeat(200_000);
    let outcome = run_with(&["--memory", "4MiB", "sql", "check"], format!("{open}{more}").as_bytes());
    assert_eq!(outcome.stdout, "1 of 200001 statements wrong\n", "{}", outcome.stderr);
}

#[test]
fn parse_shows_trees_with_offsets_in_the_statement() {
    assert_eq!(
        right(&["parse"], "-- one\nselect a;\n\n select 1"),
        "statement 1, line 2, byte 7\nSelect @0..8\n  Column \"a\" @7..8\n\n\
         statement 2, line 4, byte 19\nSelect @0..8\n  Integer \"1\" @7..8\n"
    );
}

#[test]
fn parse_draws_boxes() {
    let drawing = right(&["parse", "--dot"], "select \"a\"\"b\"; select 'é\\';");
    assert_eq!(
        drawing,
        "digraph sql {\n  node [shape=box, fontname=\"monospace\"];\n\
         \x20 n1 [label=\"Select @0..13\"];\n\
         \x20 n2 [label=\"Column \\\"a\\\\\\\"b\\\" @7..13\"];\n  n1 -> n2;\n\
         \x20 n3 [label=\"Select @0..12\"];\n\
         \x20 n4 [label=\"String \\\"é\\\\\\\\\\\" @7..12\"];\n  n3 -> n4;\n}\n"
    );
    let long = right(&["parse", "--dot"], &format!("select '{}'", "x".repeat(100_000)));
    assert!(long.len() < 400 && long.contains("xxx…\"];"), "{long}");
}

#[test]
fn normal_forms_have_parameters_for_literals() {
    let lines = right(&["normalize"], "select a from t where b = 'x' limit 3; select $1, 2;");
    assert_eq!(lines, "SELECT a FROM t WHERE b = $1 LIMIT $2;\nSELECT $1, $2;\n");
}

#[test]
fn fingerprints_do_not_see_literals() {
    let lines = right(&["fingerprint"], "select 1; select 2; select a;");
    let fingerprints: Vec<&str> = lines.lines().map(|line| line.split("  ").next().expect("one")).collect();
    assert_eq!(fingerprints.len(), 3);
    assert!(fingerprints.iter().all(|fingerprint| fingerprint.len() == 16));
    assert_eq!(fingerprints[0], fingerprints[1]);
    assert_ne!(fingerprints[0], fingerprints[2]);
    assert!(lines.ends_with("  SELECT a;\n"));
    let line = right(&["fingerprint"], "select 'a\n\u{1b}[2J'");
    assert!(line.ends_with("  SELECT 'a\\n\\u{1b}[2J';\n"), "{line}");
    let outcome = sql(&["fingerprint", "-0"], b"select 7\0select 1; select a\0\0selec\0");
    let expected = format!("{0}\n{0} {1}\n\nERR 0 ", fingerprints[0], fingerprints[2]);
    assert!(outcome.code == 0 && outcome.stdout.starts_with(&expected), "{outcome:?}");
}

#[test]
fn tokens_stand_at_offsets_of_the_script() {
    let tokens = right(&["tokens"], "select 'é\n' ;\n -- no\n U&\"x\" >= $1");
    let expected = [
        "     start        end  kind                      text",
        "         0          6  keyword, reserved         select",
        "         7         12  string                    'é\\n'",
        "        13         14  sign                      ;",
        "        23         28  quoted name, U&           U&\"x\"",
        "        29         31  operator                  >=",
        "        32         34  parameter                 $1",
    ];
    assert_eq!(tokens.lines().collect::<Vec<_>>(), expected);
    let outcome = sql(&["tokens"], b"1a ; \x01 ; '");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, ""));
    for kind in ["wrong: trailing junk", "stray character", "wrong: unterminated string"] {
        assert!(outcome.stdout.contains(kind), "{}", outcome.stdout);
    }
    let long = right(&["tokens"], &format!("select '{}'", "é".repeat(100_000)));
    assert!(long.len() < 400 && long.ends_with("éé…\n"), "{long}");
}

#[test]
fn stats_count_by_stage() {
    let stats = right(&["stats"], "select a, 'it''s' from t; select 1;");
    let row = |name: &str| {
        let line =
            stats.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}\n{stats}"));
        let figures = line[name.len()..].split_whitespace();
        figures.map(|figure| figure.parse().expect("a number")).collect::<Vec<u64>>()
    };
    assert!(stats.starts_with("2 statements; "), "{stats}");
    assert_eq!(row("tokens"), [10, 5, 7]);
    assert_eq!(row("nodes"), [7, 3, 5]);
    assert_eq!(row("tree: nodes, bytes"), [7 * 64, 224, 5 * 64]);
    assert_eq!(row("tree: texts beside them, bytes"), [64, 32, 64]);
    assert_eq!(row("peak charged, bytes"), [2048, 1024, 1024]);
    assert!(right(&["stats"], "").starts_with("0 statements; "));
}

#[test]
fn format_keeps_comments_and_what_is_wrong() {
    let script = "-- head\n\n\n\nselect a,'x' from t -- in\n where b; -- behind\n/* two\n */ ;select 1;select 2;;\n\n\
                  selec  'as it  is' ;\n-- end\n";
    let outcome = sql(&["format"], script.as_bytes());
    assert_fails(&outcome, 1, &["error[42601]", "--> stdin:10:1", "was `select` meant?"]);
    assert_eq!(
        outcome.stdout,
        "-- head\n\nSELECT a, 'x'\nFROM t -- in\nWHERE b; -- behind\n/* two\n */\nSELECT 1;\nSELECT 2;\n\n\
         selec  'as it  is' ;\n-- end\n"
    );
    for options in [&["format"][..], &["format", "--keywords", "keep", "--width", "10"]] {
        let once = right(options, "select a,b /* c */ from t join u using (x); -- d\n\n\n;select 1");
        assert_eq!(right(options, &once), once);
    }
    assert_eq!(right(&["format"], " ;; \n"), "");
    assert_eq!(right(&["format"], "-- only\n"), "-- only\n");
    assert_eq!(right(&["format", "--keywords", "lower"], "SELECT A;"), "select A;\n");
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert_eq!(right(&["format"], "\u{FEFF}select 1"), "SELECT 1\n");
    assert!(right(&["parse"], "\u{FEFF}select 1").starts_with("statement 1, line 1, byte 3\n"));
    assert_fails(&sql(&["print"], "select 1;\u{FEFF}select 1".as_bytes()), 1, &["\\u{feff}select"]);
}

/// Aim: whatever stands in a script, the tools go on behind it. Method: every tool over statements that are wrong in
/// their bytes, their signs and their depth, with a right one behind each.
#[test]
fn nothing_in_a_statement_stops_those_after_it() {
    let deep = format!("select {}1", "(".repeat(50_000));
    let deep_and_right = format!("select {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    let bad: [&[u8]; 7] = [
        b"select \xFF",
        b"select \0",
        b"select \x1b[31m \x07",
        b"select 1a, 0x, U&'\\zzzz'",
        deep.as_bytes(),
        deep_and_right.as_bytes(),
        &[b'x'; 300_000],
    ];
    let mut script = Vec::new();
    for statement in bad {
        script.extend_from_slice(statement);
        script.extend_from_slice(b";\nselect 42;\n");
    }
    for tool in TOOLS {
        let output = output_with(&[&["sql"], tool].concat(), &script);
        assert_eq!(output.status.code(), Some(1), "{tool:?}");
        let stderr = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(stderr.contains("error[22021]: stdin line 1 is not valid UTF-8"), "{tool:?}");
        assert!(!stderr.contains("panicked") && !stderr.contains("warning"), "{tool:?}");
        assert!(!stderr.contains(['\0', '\x1b', '\x07']), "{tool:?}");
        // `format` writes what is no text as it is.
        let stdout = String::from_utf8_lossy(&output.stdout);
        let rights = match tool[0] {
            "parse" => "Integer \\\"42\\\" ".to_owned(),
            "format" => "42;".to_owned(),
            "print" | "fingerprint" => "SELECT 42;".to_owned(),
            "normalize" => "SELECT $1;".to_owned(),
            "tokens" => "integer                   42".to_owned(),
            "stats" => "8 statements".to_owned(),
            _ => "6 of 14 statements wrong".to_owned(),
        };
        let rights = if tool == ["parse"] { "Integer \"42\" " } else { &rights };
        let expected = match tool[0] {
            "stats" | "check" => 1,
            // The deep one that is right has the same normal form.
            "normalize" => bad.len() + 1,
            _ => bad.len(),
        };
        assert_eq!(stdout.matches(rights).count(), expected, "{tool:?}");
    }
}

#[test]
fn lines_of_a_megabyte_are_shown_in_part() {
    let script = format!("select '{}' from; select 1", "é\u{1b}".repeat(400_000));
    let outcome = sql(&["check"], script.as_bytes());
    assert_fails(&outcome, 1, &["error[42601]: syntax error at \";\""]);
    assert!(outcome.stderr.len() < 2000 && !outcome.stderr.contains('\u{1b}'), "{}", outcome.stderr);
}

#[test]
fn statements_that_do_not_fit_are_errors() {
    let large = format!("select {};select 1;", vec!["1"; 50_000].join(","));
    for tool in TOOLS {
        let outcome = run_with(&[&["--memory", "4MiB", "sql"], tool].concat(), large.as_bytes());
        if tool[0] == "tokens" {
            assert_eq!(outcome.code, 0);
            continue;
        }
        assert_fails(
            &outcome,
            1,
            &["error[53200]: out of memory in process/statement", "= note: asked for "],
        );
        assert!(tool[0] != "print" || outcome.stdout == "SELECT 1;\n", "the next one does");
    }
    let long = format!("select 1;\nselect '{}';", "x".repeat(5_000_000));
    for tool in TOOLS {
        let outcome = run_with(&[&["--memory", "4MiB", "sql"], tool].concat(), long.as_bytes());
        let parts = ["error[53200]: the statement at line 2 of stdin does not fit; what follows is not read"];
        assert_fails(&outcome, 1, &parts);
        assert!(tool != ["check"] || outcome.stdout == "1 of 2 statements wrong\n", "{outcome:?}");
    }
}

/// Aim: a gigabyte that is no statement is refused as soon as it does not fit. Method: a file with nothing in it.
#[test]
fn a_gigabyte_of_nothing_is_refused() {
    let folder = Folder::new();
    let path = folder.path().join("sparse.sql");
    std::fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("a file");
    for tool in TOOLS {
        let arguments = [&["--memory", "4MiB", "sql"], tool, &[path.to_str().expect("UTF-8")]].concat();
        assert_fails(&run(&arguments), 1, &["error[53200]: the statement at line 1 of", "does not fit"]);
    }
}

/// Aim: at every limit a tool refuses to start, or says which statement does not fit and goes on, or gives what it gives
/// with ample memory. Method: every tool under limits from the smallest on, over a script with a statement that needs
/// more than the smallest have.
#[test]
fn every_limit_gives_the_answer_or_a_typed_error() {
    let large = format!("select {}", vec!["f(A, 'x')"; 2500].join(", "));
    let (script, texts) =
        (format!("select 1;\n{large};\nselect 2;\n"), format!("select 1\0{large}\0select 2\0"));
    let by_nul: [&[&str]; 3] = [&["check", "-0"], &["print", "-0"], &["fingerprint", "-0"]];
    let tools = TOOLS
        .map(|tool| (tool, script.as_bytes()))
        .into_iter()
        .chain(by_nul.map(|tool| (tool, texts.as_bytes())));
    for (tool, input) in tools {
        let ample = sql(tool, input);
        let (mut refused, mut failed) = (0, 0);
        for limit_kib in (2048..).step_by(48) {
            let outcome = run_with(&[&["--memory", &format!("{limit_kib}KiB"), "sql"], tool].concat(), input);
            assert!(
                !outcome.stderr.contains("panicked") && !outcome.stderr.contains("warning"),
                "{outcome:?}"
            );
            // The last chunk is as large as what there is, which the figures tell.
            if outcome == ample || (tool == ["stats"] && outcome.code == ample.code) {
                break;
            }
            let is_shown =
                outcome.stdout.contains("out of memory") || outcome.stderr.contains("error[53200]");
            match outcome.code {
                2 => refused += usize::from(outcome.stderr.contains("is too small")),
                0 | 1 if is_shown || tool == ["print", "-0"] => failed += 1,
                _ => panic!("{tool:?} under {limit_kib} KiB: {outcome:?}"),
            }
            assert!(limit_kib < 8192, "{tool:?} fits into 8 MiB");
        }
        assert!(refused > 0 && (failed > 0 || tool == ["tokens"]), "{tool:?}: {refused} and {failed}");
    }
}

#[test]
fn a_tool_ends_quietly_when_nobody_reads_on() {
    let folder = Folder::new();
    folder.file("long.sql", "select a, 'x' from t where b = 1;\n".repeat(20_000));
    let path = folder.path().join("long.sql");
    for tool in TOOLS {
        let arguments = [&["sql"], tool, &[path.to_str().expect("UTF-8")]].concat();
        let mut child =
            program(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(141), &b""[..]), "{tool:?}");
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let Ok(full) = full else { continue };
        let output = program(&arguments).stdout(full).output().expect("it ends");
        assert_eq!(output.status.code(), Some(1), "{tool:?}");
        assert!(output.stderr.starts_with(b"error: No space left"), "{tool:?}");
    }
}

#[test]
fn standard_input_is_read_where_no_file_is_named() {
    let folder = Folder::new();
    folder.file("a.sql", "select 1;");
    let path = folder.path().join("a.sql");
    let path = path.to_str().expect("UTF-8");
    for tool in TOOLS {
        let named = run(&[&["sql"], tool, &[path]].concat());
        assert_eq!(named.code, 0, "{named:?}");
        assert_eq!(named, sql(tool, b"select 1;"));
        assert_eq!(named, run_with(&[&["sql"], tool, &["-"]].concat(), b"select 1;"));
        assert_fails(
            &run(&[&["sql"], tool, &["no/such/file"]].concat()),
            2,
            &["could not open no/such/file"],
        );
    }
    assert_fails(&run(&["sql"]), 2, &["Usage: cofferdam sql"]);
    assert_fails(&run(&["sql", "nonsense"]), 2, &["unrecognized subcommand"]);
    assert_fails(&run(&["-c", "select 1", "sql", "check"]), 2, &["a subcommand takes neither"]);
}

/// A script of `count` statements, some of them long, some wrong.
fn script(count: usize) -> String {
    let mut script = String::new();
    for number in 0..count {
        let _ = writeln!(script, "select a{number}, 'it''s' from t where b = {number} -- note; {number}\n;");
        if number % 1000 == 7 {
            let _ = writeln!(script, "select {};", vec!["x + 1"; 2000].join(", "));
        }
        if number % 5000 == 11 {
            let _ = writeln!(script, "select ({number};");
        }
    }
    script
}

/// Aim: a longer script needs no more memory, and next to none outside of the budgets. Method: each tool over scripts of
/// 0.2 and 2 MB.
#[test]
fn a_longer_script_needs_no_more_memory() {
    let folder = Folder::new();
    folder.file("short.sql", script(2000));
    folder.file("long.sql", script(20_000));
    for tool in TOOLS {
        let measure = |file: &str| {
            let path = folder.path().join(file);
            let path = path.to_str().expect("UTF-8");
            let arguments = [&["--memory", "8MiB", "--show-memory", "sql"], tool, &[path]].concat();
            let run = footprint::run_captured(&mut program(&arguments)).expect("it runs");
            let stderr = String::from_utf8_lossy(&run.stderr);
            assert!(!stderr.contains("warning"), "{tool:?}: {stderr}");
            let untracked = untracked_kib(&stderr);
            assert!(untracked < 256.0, "{tool:?}: {untracked} KiB outside of the budgets");
            run.footprint.private_bytes_peak
        };
        let (short, long) = (measure("short.sql"), measure("long.sql"));
        assert!(long <= short + (512 << 10), "{tool:?}: {short} and {long} bytes");
    }
}

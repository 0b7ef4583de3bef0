//! The command line.

use crate::support::{assert_fails, run, run_with};

#[test]
fn statements_run_in_order() {
    let outcome = run(&["--mode", "csv", "-c", "select 1 as a; select 2 as b", "-c", "select 3 as c"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "a\r\n1\r\nb\r\n2\r\nc\r\n3\r\n"));
}

#[test]
fn a_failed_statement_sets_the_code_and_the_next_one_runs() {
    let outcome =
        run(&["--mode", "csv", "-c", "select nothing; select 2 as b", "-c", "selec", "-c", "select 3 as c"]);
    assert_eq!(outcome.stdout, "b\r\n2\r\nc\r\n3\r\n");
    assert_fails(&outcome, 1, &["error[42703]: column \"nothing\" does not exist", "error[42601]"]);
}

#[test]
fn nothing_to_do_is_no_error() {
    for arguments in [&[][..], &["-c", ""], &["-c", " ; -- nothing\n"]] {
        let outcome = run(arguments);
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
            (0, "", ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_statement_may_begin_with_a_comment() {
    let outcome = run(&["--mode", "csv", "-c", "-- one\nselect 1 as a", "-c", "--"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "a\r\n1\r\n"), "{}", outcome.stderr);
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    for (arguments, part) in [
        (&["--nonsense"][..], "unexpected argument '--nonsense'"),
        (&["-c"], "a value is required"),
        (&["--memory", "much"], "write a number and a unit, such as 16MiB"),
        (&["--memory"], "a value is required"),
        (&["--threads", "0"], "write a whole number from 1"),
        (&["--mode", "xml"], "invalid value 'xml'"),
        (&["demo", "--scale", "0"], "write a number from 0.001 to 1000"),
        (&["demo", "--scale", "NaN"], "write a number from 0.001 to 1000"),
        (&["tpch-data"], "--out"),
        (&["-c", "select 1", "demo"], "a subcommand takes neither a database nor -c"),
    ] {
        assert_fails(&run(arguments), 2, &[part]);
    }
}

#[test]
fn help_and_version_are_answers() {
    for (argument, part) in [("--help", "Usage: cofferdam"), ("--version", env!("CARGO_PKG_VERSION"))] {
        let outcome = run(&[argument]);
        assert_eq!(outcome.code, 0);
        assert!(outcome.stdout.contains(part), "{}", outcome.stdout);
    }
}

#[test]
fn the_limits_are_settings() {
    let outcome = run(&[
        "--memory",
        "16MiB",
        "--threads",
        "3",
        "--mode",
        "csv",
        "-c",
        "show memory_limit; show threads",
    ]);
    assert_eq!(outcome.stdout, "memory_limit\r\n16.0 MiB\r\nthreads\r\n3\r\n");
}

#[test]
fn statements_of_the_command_line_leave_the_input_alone() {
    let outcome = run_with(&["-c", "select 1 as a", "--mode", "csv"], b"select 2;");
    assert_eq!(outcome.stdout, "a\r\n1\r\n");
}

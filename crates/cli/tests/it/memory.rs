//! The memory tree, and what the whole process takes.

use cofferdam_testkit::footprint;

use crate::support::{Folder, program, run, run_with};

#[test]
fn the_tree_is_shown_after_each_statement() {
    let outcome = run(&["--memory", "16MiB", "--show-memory", "-c", "select 1 as one; select 2 as two"]);
    assert_eq!(outcome.code, 0);
    assert_eq!(outcome.stdout.matches("budget ").count(), 2, "{}", outcome.stdout);
    for node in [
        "process ",
        "`- untracked ",
        "`- db ",
        "`- statement ",
        "`- parse ",
        "`- plan ",
        "`- exec ",
        "`- project_1 ",
    ] {
        assert_eq!(outcome.stdout.matches(node).count(), 2, "{node}\n{}", outcome.stdout);
    }
    assert!(outcome.stdout.contains("16.0 MiB"));
}

#[test]
fn the_tree_stands_beside_output_for_programs() {
    let outcome = run(&["--mode", "csv", "--show-memory", "-c", "select 1 as one"]);
    assert_eq!(outcome.stdout, "one\r\n1\r\n");
    assert!(outcome.stderr.starts_with("budget "));
}

#[test]
fn a_dot_command_switches_the_tree() {
    let outcome = run_with(&[], b".memory\nselect 1;\n.memory off\nselect 2;\n");
    assert_eq!(outcome.stdout.matches("budget ").count(), 2, "{}", outcome.stdout);
}

/// Peak of `untracked` in KiB, from the last tree of an output.
pub(crate) fn untracked_kib(stdout: &str) -> f64 {
    let line = stdout.lines().rev().find(|line| line.contains("`- untracked")).expect("the node is there");
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (amount, unit) = (fields[fields.len() - 3], fields[fields.len() - 2]);
    let scale = match unit {
        "B" => 1.0 / 1024.0,
        "KiB" => 1.0,
        "MiB" => 1024.0,
        unit => panic!("{unit}"),
    };
    amount.parse::<f64>().expect("a number") * scale
}

/// Aim: what is taken outside of the budgets stays far below its bound of 2 MiB. Method: a session with every kind of
/// output, large statements and errors.
#[test]
fn untracked_memory_stays_within_its_bound() {
    let folder = Folder::new();
    let rows: String = (0..50_000).map(|n| format!("{n},{}\n", n % 1000)).collect();
    let file = folder.file("rows.csv", format!("a,b\n{rows}"));
    let mut script = String::new();
    for mode in ["csv", "json", "table"] {
        script += &format!(
            ".mode {mode}\nselect * from {file};\nselect b, count(*) from {file} group by b order by 1;\n"
        );
        script += "select nonsense;\nselect (;\n";
        script += &format!("select count(*) from (values {}) as t(n);\n", vec!["(1)"; 5000].join(","));
    }
    script += ".memory\n";
    let outcome = run_with(&["--memory", "64MiB"], script.as_bytes());
    assert_eq!(outcome.code, 1, "the wrong statements failed");
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
    let peak = untracked_kib(&outcome.stdout);
    assert!(peak < 256.0, "{peak} KiB outside of the budgets");
}

/// Aim: a larger file needs no more memory, and the process stays below the limit and 8 MiB. Method: the same query over
/// files of 1 and of 40 MB.
#[test]
fn a_larger_file_needs_no_more_memory() {
    let folder = Folder::new();
    let line = "1|155190|7706|1|17|21168.23|0.06|0.02|N|O|1994-03-13|1996-02-12|1996-03-22|IN PERSON|TRUCK|egular courts|\n";
    let sql = |file: &str| {
        format!(
            "select sum(column5 * column6) as revenue from {file} where column10 >= date '1994-01-01' \
             and column10 < date '1995-01-01' and column6 between 0.05 and 0.07 and column4 < 24"
        )
    };
    let measure = |file: &str| {
        let run =
            footprint::run_captured(&mut program(&["--memory", "8MiB", "--mode", "csv", "-c", &sql(file)]))
                .expect("it runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        run.footprint.private_bytes_peak
    };
    let small = measure(&folder.file("small.tbl", line.repeat(10_000)));
    let large = measure(&folder.file("large.tbl", line.repeat(400_000)));
    assert!(large <= 16 << 20, "{large} bytes");
    assert!(large <= small + (1 << 20), "{small} and {large} bytes");
}

/// Aim: a table that is larger than the limit is loaded into a database and read, in memory that does not grow with it, and the
/// process stays below the limit and 8 MiB. Method: files of 1 and of 20 MB.
#[test]
fn a_table_larger_than_the_limit_is_loaded() {
    const LIMIT_BYTES: u64 = 8 << 20;
    let folder = Folder::new();
    let database = folder.path().join("database");
    let database = database.to_str().expect("UTF-8");
    let measure = |name: &str, rows: u64| {
        // Numbers that no encoding makes small.
        let text: String =
            (0..rows).map(|n| format!("{n},{:032x}{:032x}\n", mixed(n), mixed(n + rows))).collect();
        let file = folder.file(&format!("{name}.csv"), text);
        let sql = format!(
            "CREATE TABLE {name} (n bigint PRIMARY KEY, word text); COPY {name} FROM {file}; \
             SELECT count(*), sum(n), min(word) <> max(word) AS various FROM {name}"
        );
        let mut command = program(&["--memory", "8MiB", database, "--mode", "csv", "-c", &sql]);
        let run = footprint::run_captured(&mut command).expect("it runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let answer = format!("count,sum,various\r\n{rows},{},t\r\n", rows * (rows - 1) / 2);
        assert_eq!(String::from_utf8_lossy(&run.stdout), answer);
        run.footprint.private_bytes_peak
    };
    let (small, large) = (measure("small", 15_000), measure("large", 300_000));
    let stored: u64 =
        std::fs::read_dir(database).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(stored > LIMIT_BYTES, "{stored} bytes on disk");
    assert!(large <= LIMIT_BYTES + (8 << 20), "{large} bytes");
    assert!(large <= small + (3 << 20), "{small} and {large} bytes");
}

/// Bits that depend on all of a number's.
fn mixed(n: u64) -> u128 {
    let wide = u128::from(n ^ 0x9E37_79B9_7F4A_7C15).wrapping_mul(0xDA94_2042_E4DD_58B5_A5D7_6B1F_C2E5_9A4D);
    (wide ^ wide >> 64).wrapping_mul(0xDA94_2042_E4DD_58B5_A5D7_6B1F_C2E5_9A4D)
}

/// Aim: a long answer prints in constant memory, in every mode.
#[test]
fn a_long_answer_needs_no_more_memory() {
    let folder = Folder::new();
    let rows = |count: usize| "n,word\n".to_owned() + &"12345,some words here\n".repeat(count);
    let (short, long) = (folder.file("short.csv", rows(1000)), folder.file("long.csv", rows(500_000)));
    for mode in ["table", "csv", "json"] {
        let measure = |file: &str| {
            let sql = format!("select * from {file}");
            let mut command = program(&["--memory", "8MiB", "--mode", mode, "-c", &sql]);
            let run = footprint::run_captured(&mut command).expect("it runs");
            assert!(run.status.success());
            run.footprint.private_bytes_peak
        };
        let (short, long) = (measure(&short), measure(&long));
        assert!(long <= 16 << 20 && long <= short + (1 << 20), "{mode}: {short} and {long} bytes");
    }
}

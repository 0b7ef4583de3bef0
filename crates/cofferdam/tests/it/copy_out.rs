//! `COPY … TO`: what it writes, that `COPY … FROM` reads the same rows from it, and what is there when it fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cofferdam::{Connection, Database, Error, Options};
use cofferdam_testkit::simfs::SimDisk;
use cofferdam_vfs::{OpenMode, Vfs};

use crate::support::{database, table};

/// A folder of the system that is removed with everything in it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("cofferdam-copy-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a `COPY … TO STDOUT` writes.
fn written(connection: &Connection, sql: &str) -> Result<String, Error> {
    let mut out = Vec::new();
    connection.query(sql, |rows| rows.write_to(&mut out))?;
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn rows(connection: &Connection, sql: &str) -> String {
    connection.query(sql, table).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Aim: the bytes are PostgreSQL's. Method: values that mean something to a format, and what PostgreSQL 15 wrote of them.
#[test]
fn rows_are_written_as_postgresql_writes_them() {
    let connection = database(16 << 20).connect().unwrap();
    let columns = "id integer PRIMARY KEY, t text, n numeric(6, 2), f float8, d date, b boolean, a integer[], y bytea, j jsonb";
    connection.execute(&format!("CREATE TABLE w ({columns})")).unwrap();
    connection
        .execute(
            r#"INSERT INTO w VALUES
                (1, E'tab\there', 1.5, 0.1, '2024-02-29', true, '{1,NULL}', '\x00ff', '{"a": [1, "x,y"]}'),
                (2, '', NULL, 'NaN', 'infinity', false, '{}', '', '"q"'),
                (3, NULL, -3, '-Infinity', '0044-03-15 BC', NULL, NULL, NULL, NULL),
                (4, E'a\\b,"c"\r\nd\x0b\x08\x0c|', 0, '1e300', '1999-12-31', true, '{3,4}', E'\\\\', '[]'),
                (5, '\N', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
                (6, '\.', NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#,
        )
        .unwrap();
    for (sql, expected) in [
        (
            "COPY w TO STDOUT",
            concat!(
                "1\ttab\\there\t1.50\t0.1\t2024-02-29\tt\t{1,NULL}\t\\\\x00ff\t{\"a\": [1, \"x,y\"]}\n",
                "2\t\t\\N\tNaN\tinfinity\tf\t{}\t\\\\x\t\"q\"\n",
                "3\t\\N\t-3.00\t-Infinity\t0044-03-15 BC\t\\N\t\\N\t\\N\t\\N\n",
                "4\ta\\\\b,\"c\"\\r\\n",
                "d\\v\\b\\f|\t0.00\t1e+300\t1999-12-31\tt\t{3,4}\t\\\\x5c\t[]\n",
                "5\t\\\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n",
                "6\t\\\\.\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n",
            ),
        ),
        (
            "COPY w TO STDOUT WITH (FORMAT csv, HEADER)",
            concat!(
                "id,t,n,f,d,b,a,y,j\n",
                "1,tab\there,1.50,0.1,2024-02-29,t,\"{1,NULL}\",\\x00ff,\"{\"\"a\"\": [1, \"\"x,y\"\"]}\"\n",
                "2,\"\",,NaN,infinity,f,{},\\x,\"\"\"q\"\"\"\n",
                "3,,-3.00,-Infinity,0044-03-15 BC,,,,\n",
                "4,\"a\\b,\"\"c\"\"\r\n",
                "d\x0b\x08\x0c|\",0.00,1e+300,1999-12-31,t,\"{3,4}\",\\x5c,[]\n",
                "5,\\N,,,,,,,\n",
                "6,\\.,,,,,,,\n",
            ),
        ),
        (
            "COPY w (t, id) TO STDOUT WITH (FORMAT csv, DELIMITER ';', NULL '-', QUOTE '''')",
            concat!(
                "tab\there;1\n",
                ";2\n",
                "-;3\n",
                "'a\\b,\"c\"\r\n",
                "d\x0b\x08\x0c|';4\n",
                "\\N;5\n",
                "\\.;6\n",
            ),
        ),
        (
            "COPY (SELECT t FROM w ORDER BY id) TO STDOUT (DELIMITER '|', NULL '~')",
            concat!(
                "tab\\there\n",
                "\n",
                "~\n",
                "a\\\\b,\"c\"\\r\\n",
                "d\\v\\b\\f\\|\n",
                "\\\\N\n",
                "\\\\.\n",
            ),
        ),
        (
            "COPY (SELECT t FROM w ORDER BY id) TO STDOUT (FORMAT csv)",
            concat!(
                "tab\there\n",
                "\"\"\n",
                "\n",
                "\"a\\b,\"\"c\"\"\r\n",
                "d\x0b\x08\x0c|\"\n",
                "\\N\n",
                "\"\\.\"\n",
            ),
        ),
        (
            "COPY (SELECT id AS \"a,b\", t AS \"say \"\"x\"\"\" FROM w WHERE id < 1) TO STDOUT CSV HEADER",
            "\"a,b\",\"say \"\"x\"\"\"\n",
        ),
    ] {
        assert_eq!(written(&connection, sql).unwrap(), expected, "{sql}");
    }
    // Of another statement the format is text.
    assert_eq!(written(&connection, "SELECT id, t FROM w WHERE id = 3").unwrap(), "3\t\\N\n");
    assert_eq!(written(&connection, "SET threads = 1").unwrap(), "");
}

/// Aim: what is read back is what was written. Method: random texts of bytes that mean something, and every kind of options; twice.
#[test]
fn what_is_written_is_read_back() {
    let folder = Folder::new("back");
    let mut state = 7_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    const PIECES: [&str; 16] =
        ["a", "\\", "\n", "\r", "\t", ",", "\"", "'", "|", "N", ".", "", " ", "é", "\u{b}", "\\N"];
    for options in [
        "",
        "(FORMAT csv)",
        "(FORMAT csv, HEADER)",
        "(FORMAT csv, DELIMITER '|', QUOTE '''', NULL 'N')",
        "(FORMAT text, DELIMITER ',', NULL 'none')",
        "(FORMAT text, HEADER, NULL '-')",
    ] {
        let connection = database(16 << 20).connect().unwrap();
        for name in ["t", "u"] {
            let sql = format!("CREATE TABLE {name} (id integer PRIMARY KEY, x text, y numeric, z text)");
            connection.execute(&sql).unwrap();
        }
        for id in 0..200 {
            let mut text = || match random(5) {
                0 => "NULL".to_owned(),
                _ => {
                    let pieces: String = (0..random(6)).map(|_| PIECES[random(16) as usize]).collect();
                    format!("'{}'", pieces.replace('\'', "''"))
                }
            };
            let (x, z) = (text(), text());
            let y = if id % 3 == 0 { "NULL".to_owned() } else { format!("{id}.{}", id * 7 % 100) };
            connection.execute(&format!("INSERT INTO t VALUES ({id}, {x}, {y}, {z})")).unwrap();
        }
        let path = folder.path("rows.copy");
        for _ in 0..2 {
            let count = connection.execute(&format!("COPY t TO '{path}' {options}")).unwrap();
            assert_eq!(count, 200, "{options}");
            connection.execute("DELETE FROM u").unwrap();
            let count = connection.execute(&format!("COPY u FROM '{path}' {options}")).unwrap();
            assert_eq!(count, 200, "{options}");
            let [read, written] =
                ["u", "t"].map(|name| rows(&connection, &format!("SELECT * FROM {name} ORDER BY id")));
            assert_eq!(read, written, "{options}");
        }
        assert_eq!(folder.names(), ["rows.copy"]);
    }
}

/// Aim: a file is whole or as it was before. Method: rows that end with an error behind thousands of others.
#[test]
fn an_error_leaves_the_file_as_it_was() {
    let folder = Folder::new("error");
    let connection = database(16 << 20).connect().unwrap();
    let path = folder.path("rows.csv");
    let failing = format!("COPY (SELECT 1 / (5000 - n) FROM generate_series(1, 9000) AS s(n)) TO '{path}'");
    assert_eq!(connection.execute(&failing).unwrap_err().sqlstate(), "22012");
    assert!(folder.names().is_empty());
    assert_eq!(connection.execute(&format!("COPY (VALUES (1)) TO '{path}'")).unwrap(), 1);
    assert_eq!(connection.execute(&failing).unwrap_err().sqlstate(), "22012");
    assert_eq!(folder.names(), ["rows.csv"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
    for (path, sqlstate) in [
        (folder.path("nowhere/rows.csv"), "58P01"),
        (folder.path(""), "42809"),
        (folder.path("rows.csv/rows.csv"), "58P01"),
        ("/dev/null".to_owned(), "0A000"),
        ("/".to_owned(), "42809"),
        (folder.path("rows.tbl"), "0A000"),
    ] {
        let error = connection.execute(&format!("COPY (VALUES (1)) TO '{path}'")).unwrap_err();
        assert_eq!(error.sqlstate(), sqlstate, "{path}: {error}");
    }
    // A link stays one.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(&path, folder.path("link")).unwrap();
        connection.execute(&format!("COPY (VALUES (2)) TO '{}' (FORMAT csv)", folder.path("link"))).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
        assert!(std::fs::symlink_metadata(folder.path("link")).unwrap().is_symlink());
    }
    // In a transaction an error ends it.
    connection.execute("BEGIN").unwrap();
    assert_eq!(connection.execute(&failing).unwrap_err().sqlstate(), "22012");
    assert_eq!(connection.execute("SELECT 1").unwrap_err().sqlstate(), "25P02");
    connection.execute("ROLLBACK").unwrap();
}

#[test]
fn a_copy_can_be_cancelled() {
    let folder = Folder::new("cancel");
    let connection = database(16 << 20).connect().unwrap();
    connection.execute("SET statement_timeout = 50").unwrap();
    let rows = folder.path("rows");
    let endless = format!("COPY (SELECT * FROM generate_series(1, 1000000000000) AS s(n)) TO '{rows}'");
    assert_eq!(connection.execute(&endless).unwrap_err().sqlstate(), "57014");
    assert!(folder.names().is_empty());
}

/// Aim: a full disk is an error of its own, and what was said to be written is there after a crash. Method: a simulated disk.
#[test]
fn a_disk_that_is_full_is_an_error() {
    let disk = Arc::new(SimDisk::new(1));
    let vfs: Arc<dyn Vfs> = Arc::clone(&disk) as Arc<dyn Vfs>;
    let directory = vfs.directory(Path::new("/out"), true).unwrap();
    let names = || {
        let mut names = Vec::new();
        let mut note = |name: &str| {
            names.push(name.to_owned());
            Ok(())
        };
        directory.list(&mut note).unwrap();
        names
    };
    let database = Database::open_in_memory(Options::new().memory_limit(16 << 20).vfs(&vfs)).unwrap();
    let connection = database.connect().unwrap();
    let sql = "COPY (SELECT n, 'some text' FROM generate_series(1, 20000) AS s(n)) TO '/out/rows.csv'";
    disk.set_capacity(Some(disk.used_bytes() + (64 << 10)));
    let error = connection.execute(sql).unwrap_err();
    assert_eq!((error.sqlstate(), error.to_string().contains("/out/rows.csv")), ("53100", true), "{error}");
    assert!(names().is_empty(), "{:?}", names());
    disk.set_capacity(None);
    assert_eq!(connection.execute(sql).unwrap(), 20_000);
    assert_eq!(names(), ["rows.csv"]);
    disk.kill();
    disk.restart(1);
    let directory = vfs.directory(Path::new("/out"), false).unwrap();
    let file = directory.open("rows.csv", OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 20_000);
}

/// Aim: at every limit it is written or it is not. Method: limits from the least one up.
#[test]
fn every_limit_is_an_error_or_enough() {
    let folder = Folder::new("limits");
    let path = folder.path("rows.csv");
    let (mut refused, mut whole) = (0, 0);
    for limit_bytes in (0..60).map(|step| step * 1024) {
        let database = database(16 << 20);
        let connection = database.connect().unwrap();
        let used = database.budget().used();
        database.budget().set_limit(used + limit_bytes);
        let long = "x".repeat(2000);
        let values = format!("n, '{long}', '{{1,2}}'::integer[] FROM (VALUES (1), (2), (3)) AS v(n)");
        match connection.execute(&format!("COPY (SELECT {values}) TO '{path}'")) {
            Ok(count) => {
                assert_eq!(count, 3);
                assert_eq!(std::fs::read_to_string(&path).unwrap().len(), 3 * (2000 + 11));
                std::fs::remove_file(&path).unwrap();
                whole += 1;
            }
            Err(Error::OutOfMemory(_)) => refused += 1,
            Err(error) => panic!("{limit_bytes} B: {error}"),
        }
        assert!(folder.names().is_empty(), "{limit_bytes} B");
    }
    assert!(refused > 5 && whole > 5, "{refused} refused, {whole} whole");
}

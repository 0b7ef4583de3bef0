//! Files as they come: quotes, line endings, empty fields, and everything that makes a file malformed.

use cofferdam_arena::{Arena, Budget};
use cofferdam_exec::{Remedy, SniffOptions, sniff_file};
use cofferdam_plan::expr::BinaryOp;
use cofferdam_plan::physical::{AggregateFunction, CsvFormat, FileFormat};
use cofferdam_types::Type;
use proptest::prelude::*;

use super::support::{Query, TempFile, decimal};

type Columns<'c> = &'c [(&'static str, Type)];

const A_TEXT_B_TEXT: [(&str, Type); 2] = [("a", Type::Text), ("b", Type::Text)];

/// All rows of a file whose columns are sniffed or given.
fn read(extension: &str, content: impl AsRef<[u8]>, columns: Option<&[(&'static str, Type)]>) -> Vec<String> {
    let file = TempFile::new(extension, content);
    let mut query = Query::new();
    let source = query.plans.source(file.path(), columns);
    query.scan_all(source);
    query.rows()
}

/// The error of reading all rows.
fn read_error(
    extension: &str,
    content: impl AsRef<[u8]>,
    columns: &[(&'static str, Type)],
) -> (String, String) {
    let file = TempFile::new(extension, content);
    let mut query = Query::new();
    let arena = query.plans.arena;
    let given = query.plans.columns(columns);
    // Sniffed by hand: some of these files are refused already when they are sniffed.
    let options = SniffOptions { columns: Some(given), delimiter: None, header: Some(false), format: None };
    match sniff_file(file.path(), options, arena) {
        Ok(source) => {
            query.scan_all(source);
            query.error()
        }
        Err(error) => (error.sqlstate().to_owned(), error.to_string()),
    }
}

#[test]
fn quotes_protect_delimiters_newlines_and_quotes() {
    let text = "a,b\n\"x,y\",\"line 1\nline 2\"\n\"say \"\"hi\"\"\",plain\n\"\",\n";
    assert_eq!(read("csv", text, None), ["x,y|line 1\nline 2", "say \"hi\"|plain", "|NULL"]);
}

#[test]
fn line_endings_and_byte_order_mark_are_no_data() {
    for text in [
        "a,b\r\n1,x\r\n2,y\r\n",
        "a,b\n1,x\n2,y",
        "\u{feff}a,b\n1,x\n\n\n2,y\n",
        "\r\na,b\r\n1,\"x\"\r\n2,\"y\"",
    ] {
        assert_eq!(read("csv", text, None), ["1|x", "2|y"], "{text:?}");
    }
}

#[test]
fn trailing_delimiters_of_tbl_files_open_no_column() {
    let rows = ["1|a \"quoted\" word|2.50", "2|NULL|-0.75"];
    assert_eq!(read("tbl", "1|a \"quoted\" word|2.50|\n2||-0.75|\n", None), rows);
    assert_eq!(read("tbl", "1|a \"quoted\" word|2.50\n2||-0.75\n", None), rows);
}

#[test]
fn types_and_headers_are_sniffed() {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let sniff = |extension: &str, text: &str| {
        let file = TempFile::new(extension, text);
        let source = sniff_file(file.path(), SniffOptions::default(), &arena).unwrap();
        let FileFormat::Csv(CsvFormat { delimiter, header, .. }) = source.format;
        let columns: Vec<_> = source.columns.iter().map(|c| (c.name.to_owned(), c.ty)).collect();
        (delimiter as char, header, columns)
    };
    let named =
        |columns: &[(&str, Type)]| columns.iter().map(|&(n, t)| (n.to_owned(), t)).collect::<Vec<_>>();
    assert_eq!(
        sniff("csv", "id,amount,day,ok,x\n1,2.50,2024-01-31,true,1e3\n2,,2024-02-29,false,2\n"),
        (
            ',',
            true,
            named(&[
                ("id", Type::BigInt),
                ("amount", decimal(15, 2)),
                ("day", Type::Date),
                ("ok", Type::Boolean),
                ("x", Type::Double)
            ])
        )
    );
    let two = |a, b| named(&[("column0", a), ("column1", b)]);
    assert_eq!(sniff("csv", "1,x\n2,y\n"), (',', false, two(Type::BigInt, Type::Text)));
    assert_eq!(sniff("tbl", "a|b|\nc|d|\n"), ('|', false, two(Type::Text, Type::Text)));
    assert_eq!(sniff("csv", "n,c\nx,y\n"), (',', true, named(&[("n", Type::Text), ("c", Type::Text)])));
    assert_eq!(sniff("tsv", "1\tx\n"), ('\t', false, two(Type::BigInt, Type::Text)));
    assert_eq!(sniff("dat", "1;x\n2;y\n"), (';', false, two(Type::BigInt, Type::Text)));
    assert_eq!(sniff("csv", "a,a\n1,2\n").2, named(&[("a", Type::BigInt), ("column1", Type::BigInt)]));
}

#[test]
fn rows_estimate_of_a_small_file_is_exact() {
    let file = TempFile::new("csv", "a\n1\n2\n3\n");
    let query = Query::new();
    assert_eq!(query.plans.source(file.path(), None).size_bytes, 8);
    assert_eq!(query.plans.source(file.path(), None).rows_estimate, Some(3));
}

#[test]
fn given_columns_decide_over_types_and_header() {
    let columns = [("n", Type::Integer), ("t", Type::Text)];
    assert_eq!(read("csv", "007,1\n8,2\n", Some(&columns)), ["7|1", "8|2"]);
    assert_eq!(read("csv", "number,text\n8,2\n", Some(&columns)), ["8|2"]);
}

#[test]
fn only_what_is_read_is_converted() {
    let file = TempFile::new("csv", "1,2,x\n3,oops,y\n");
    let mut query = Query::new();
    let columns = [("a", Type::Integer), ("b", Type::Integer), ("c", Type::Text)];
    let source = query.plans.source(file.path(), Some(&columns));
    let p = query.plans;
    query.scan(source, &[0, 2], &[], &[0, 1]);
    assert_eq!(query.rows(), ["1|x", "3|y"]);
    let mut filtered = Query::new();
    let first = p.test(BinaryOp::Less, p.column(0, Type::Integer), p.int(2));
    filtered.scan(source, &[0, 1], &[first], &[1]);
    assert_eq!(filtered.rows(), ["2"]);
    let mut all = Query::new();
    all.scan_all(source);
    assert_eq!(all.error().0, "22P02");
}

#[test]
fn rows_are_counted_without_a_column() {
    let file = TempFile::new("tbl", "1|2|\n".repeat(5000));
    let mut query = Query::new();
    let source = query.plans.source(file.path(), None);
    let scan = query.scan(source, &[], &[], &[]);
    query.aggregate(scan, &[], &[(AggregateFunction::CountRows, None, false, Type::BigInt)]);
    assert_eq!(query.rows(), ["5000"]);
}

#[test]
fn malformed_files_are_errors_with_a_place() {
    let text = &A_TEXT_B_TEXT;
    let numbers = &[("a", Type::Integer), ("b", decimal(5, 2))];
    let dates = &[("a", Type::Integer), ("d", Type::Date)];
    let cases: [(&[u8], Columns<'_>, &str, &str); 13] = [
        (b"1,2\n3\n", text, "22P04", "line 2: 1 fields instead of 2"),
        (b"1,2\n3,4,5\n", text, "22P04", "line 2: 3 fields instead of 2"),
        (b"1,2\n\n\"3\",4,\"5\"\n", text, "22P04", "line 3: 3 fields instead of 2"),
        (b"1,2\n3,a\0b\n", text, "22021", "line 2: NUL byte at offset 7"),
        (b"1,2\n3,\xFF\n", text, "22021", "line 2, column \"b\": invalid UTF-8 at offset 6"),
        (b"1,2\n\"3,4\n5,6\n", text, "22P04", "line 2: a quoted field is not closed"),
        (b"1,2\n\"a\nb\",2\nx,2\n", &[("a", Type::Text), ("b", Type::Integer)], "", ""),
        (
            b"1,2\nx,2\n",
            numbers,
            "22P02",
            "line 2, column 1 (\"a\"): invalid input syntax for type integer: \"x\"",
        ),
        (b"1,2\n\n\"\nx\",2\n", numbers, "22P02", "line 3, column 1"),
        (b"99999999999,2\n", numbers, "22003", "line 1, column 1"),
        (b"1,1234.5\n", numbers, "22003", "line 1, column 2 (\"b\")"),
        (b"1,1.234\n", numbers, "22003", "more than 2 digits behind the point"),
        (b"1,2024-02-30\n", dates, "22008", "line 1, column 2 (\"d\")"),
    ];
    for (content, columns, sqlstate, message) in cases {
        if sqlstate.is_empty() {
            assert_eq!(read("csv", content, Some(columns)).len(), 3);
            continue;
        }
        let (state, text) = read_error("csv", content, columns);
        assert_eq!(state, sqlstate, "{:?}: {text}", String::from_utf8_lossy(content));
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn errors_say_what_would_help() {
    let budget = Budget::unlimited("test").unwrap();
    let arena = Arena::new(&budget);
    let missing = sniff_file("/no/such/file.csv", SniffOptions::default(), &arena).unwrap_err();
    assert_eq!((missing.sqlstate(), missing.remedy()), ("58P01", Remedy::FixInput));
    assert!(missing.to_string().contains("/no/such/file.csv"), "{missing}");
    let folder = std::env::temp_dir();
    let folder = sniff_file(folder.to_str().unwrap(), SniffOptions::default(), &arena).unwrap_err();
    assert_eq!(folder.sqlstate(), "42809");
    let file = TempFile::new("csv", "a,b\n1\n");
    let ragged = sniff_file(file.path(), SniffOptions::default(), &arena).unwrap_err();
    assert_eq!(ragged.hint().unwrap().to_string(), "every row needs as many fields as the first one");
}

#[test]
fn a_file_that_vanished_is_an_error() {
    let mut query = Query::new();
    let file = TempFile::new("csv", "1,2\n");
    let source = query.plans.source(file.path(), None);
    drop(file);
    query.scan_all(source);
    assert_eq!(query.error().0, "58P01");
}

#[test]
fn an_empty_file_has_no_rows() {
    let columns = [("a", Type::Integer)];
    assert_eq!(read("csv", "", Some(&columns)), [""; 0]);
    assert_eq!(read("csv", "\n\n\r\n", Some(&columns)), [""; 0]);
}

#[test]
fn a_line_longer_than_the_window_is_read_if_the_limit_allows() {
    let long = "x".repeat(300_000);
    let file = TempFile::new("csv", format!("1,a\n2,{long}\n3,\"{long}\n\"\n4,d\n"));
    let mut query = Query::new();
    let columns = [("a", Type::Integer), ("b", Type::Text)];
    let source = query.plans.source(file.path(), Some(&columns));
    query.scan_all(source);
    let rows = query.run(8 << 20).unwrap();
    assert_eq!(rows, ["1|a".to_owned(), format!("2|{long}"), format!("3|{long}\n"), "4|d".to_owned()]);
    let (sqlstate, _) = query.run(512 << 10).unwrap_err();
    assert_eq!(sqlstate, "53200");
}

/// One field as a CSV writer may write it.
fn written(field: &Option<String>, quoted: bool) -> String {
    match field {
        None => String::new(),
        Some(text) if quoted || text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Aim: what was written is read back, through the fast path, the quoted one, and any mixture, with windows and
    /// batches small enough that rows cross their ends.
    #[test]
    fn rows_survive_writing_and_reading(
        rows in proptest::collection::vec(
            (proptest::option::of("[a-c,\"\n\r é]{0,12}"), proptest::option::of("[a-z]{0,40}"), any::<bool>()),
            1..400,
        ),
        crlf in any::<bool>(),
        trailing in any::<bool>(),
    ) {
        let newline = if crlf { "\r\n" } else { "\n" };
        let mut text = String::from("k,first,second");
        let mut expected = Vec::new();
        for (number, (first, second, quoted)) in rows.iter().enumerate() {
            text += newline;
            text += &format!("{number},{},{}", written(first, *quoted), written(second, *quoted));
            let show = |field: &Option<String>| field.clone().unwrap_or("NULL".to_owned());
            expected.push(format!("{number}|{}|{}", show(first), show(second)));
        }
        if trailing {
            text += newline;
        }
        let file = TempFile::new("csv", text);
        let mut query = Query::new();
        let columns = [("k", Type::BigInt), ("first", Type::Text), ("second", Type::Text)];
        let source = query.plans.source(file.path(), Some(&columns));
        query.scan_all(source);
        prop_assert_eq!(&query.rows(), &expected);
        prop_assert_eq!(&query.run(64 << 10).unwrap(), &expected);
    }
}

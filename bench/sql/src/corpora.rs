//! The statements that are parsed: files that others wrote, where they are at hand, and generated ones.
//!
//! A pass goes over a whole corpus. Nothing is parsed in a loop: a processor learns the branches of one statement, which
//! flatters a parser by two or three times.

use bench_harness::Random;
use std::ffi::c_char;
use std::path::{Path, PathBuf};

/// The text of one statement, which C can read too.
#[derive(Clone)]
pub struct Sql {
    /// With a NUL byte at its end and nowhere else.
    terminated: String,
}

impl Sql {
    /// `None` for a text with a NUL byte, which no parser here takes.
    pub fn new(text: &str) -> Option<Sql> {
        (!text.contains('\0')).then(|| Sql { terminated: format!("{text}\0") })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.terminated[..self.terminated.len() - 1]
    }

    /// The text as C wants it.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub fn as_c_str(&self) -> *const c_char {
        self.terminated.as_ptr().cast()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.terminated.len() - 1
    }
}

/// Statements under a name.
pub struct Corpus {
    /// As it stands in the names of rows.
    pub name: &'static str,
    /// What the statements are.
    pub about: String,
    /// The statements.
    pub texts: Vec<Sql>,
}

impl Corpus {
    fn new(name: &'static str, about: impl Into<String>, texts: impl IntoIterator<Item = String>) -> Corpus {
        let texts = texts.into_iter().filter_map(|text| Sql::new(&text)).collect();
        Corpus { name, about: about.into(), texts }
    }

    /// All bytes of its statements.
    pub fn bytes(&self) -> usize {
        self.texts.iter().map(Sql::len).sum()
    }
}

/// Bytes of the sqllogictest statements that are taken; those of all files take the slowest peer a second a pass.
const SQLLOGICTEST_BYTES: usize = 1 << 20;

/// The corpora that are not generated, in `../shared/corpora` from the project's root or where `COFFERDAM_CORPORA` says.
/// Says plainly which of them are missing.
pub fn from_files() -> Vec<Corpus> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora");
    let folder = std::env::var_os("COFFERDAM_CORPORA").map_or(beside, PathBuf::from);
    let corpora = [
        ("tpch", "tpch/queries", tpch as fn(&Path) -> Option<Corpus>),
        ("regress", "postgresql/regress.nul", regress),
        ("sqllogictest", "sqllogictest", sqllogictest),
    ];
    let mut found = Vec::new();
    for (name, place, read) in corpora {
        let path = folder.join(place);
        match read(&path) {
            Some(corpus) if !corpus.texts.is_empty() => found.push(corpus),
            _ => println!("SKIPPED: all rows of {name}: {} is missing", path.display()),
        }
    }
    found
}

/// The generated corpora.
pub fn generated() -> Vec<Corpus> {
    vec![simple(), join(), insert()]
}

fn tpch(folder: &Path) -> Option<Corpus> {
    let mut texts = Vec::new();
    for path in files(folder, "sql") {
        texts.push(std::fs::read_to_string(path).ok()?);
    }
    Some(Corpus::new("tpch", "the queries of TPC-H", texts))
}

fn regress(path: &Path) -> Option<Corpus> {
    let text = std::fs::read_to_string(path).ok()?;
    let texts = text.split('\0').filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Corpus::new("regress", "statements of PostgreSQL's regression tests", texts))
}

fn sqllogictest(folder: &Path) -> Option<Corpus> {
    let mut texts = Vec::new();
    for path in files(folder, "test") {
        records(&std::fs::read_to_string(path).ok()?, &mut texts);
    }
    let (all_count, all_bytes) = (texts.len(), texts.iter().map(String::len).sum::<usize>());
    let step = all_bytes.div_ceil(SQLLOGICTEST_BYTES).max(1);
    let about = format!("every {step}th of the {all_count} statements of SQLite's sqllogictest");
    Some(Corpus::new("sqllogictest", about, texts.into_iter().step_by(step)))
}

/// The SQL of a sqllogictest file: what stands between a `statement` or `query` line and a blank one or `----`.
fn records(file: &str, texts: &mut Vec<String>) {
    let mut lines = file.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with("statement ") && !line.starts_with("query ") {
            continue;
        }
        let sql: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty() && *line != "----").collect();
        texts.push(sql.join("\n"));
    }
}

/// The files with `extension` under `folder`, sorted, so that every run takes the same.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

const SIMPLE_COUNT: usize = 2000;
const JOINS_COUNT: usize = 150;
const INSERT_BYTES: usize = 1_000_000;

/// Parts of names; two or three of them make one.
const WORDS: &[&str] = &[
    "order", "line", "customer", "price", "ship", "date", "account", "balance", "region", "nation", "part",
    "supply", "total", "item", "event", "user", "session", "status", "code", "amount", "note", "city",
    "street", "phone", "mail", "tax", "rate", "index", "level", "group", "owner", "parent", "first", "last",
    "created",
];

/// Makes texts out of random numbers.
struct Writer {
    random: Random,
}

impl Writer {
    fn new(seed: u64) -> Writer {
        Writer { random: Random::new(seed) }
    }

    fn one<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random.below(choices.len())]
    }

    /// A name of two parts, which is never a keyword.
    fn name(&mut self) -> String {
        format!("{}_{}", self.one(WORDS), self.one(WORDS))
    }

    fn number(&mut self) -> String {
        match self.random.below(3) {
            0 => self.random.below(100).to_string(),
            1 => self.random.below(1_000_000).to_string(),
            _ => format!("{}.{:02}", self.random.below(10_000), self.random.below(100)),
        }
    }

    fn string(&mut self) -> String {
        let words: Vec<&str> = (0..1 + self.random.below(4)).map(|_| self.one(WORDS)).collect();
        format!("'{}'", words.join(" "))
    }

    fn condition(&mut self, column: &str) -> String {
        match self.random.below(6) {
            0 => format!("{column} = {}", self.string()),
            1 => format!("{column} BETWEEN {} AND {}", self.number(), self.number()),
            2 => format!("{column} IN ({}, {}, {})", self.number(), self.number(), self.number()),
            3 => format!("{column} LIKE {}", self.string()),
            4 => format!("{column} IS NOT NULL"),
            _ => format!("{column} {} {}", self.one(&["=", "<", ">=", "<>"]), self.number()),
        }
    }
}

fn simple() -> Corpus {
    let mut writer = Writer::new(100);
    let texts = (0..SIMPLE_COUNT).map(|_| {
        let columns: Vec<String> = (0..2 + writer.random.below(3)).map(|_| writer.name()).collect();
        let (table, column) = (writer.name(), writer.name());
        let condition = writer.condition(&column);
        let tail = match writer.random.below(3) {
            0 => format!(" ORDER BY {}", writer.name()),
            1 => format!(" LIMIT {}", writer.random.below(100)),
            _ => String::new(),
        };
        format!("SELECT {} FROM {table} WHERE {condition}{tail}", columns.join(", "))
    });
    Corpus::new("simple", "generated queries of about 100 bytes", texts)
}

fn join() -> Corpus {
    let mut writer = Writer::new(1900);
    let texts = (0..JOINS_COUNT).map(|_| {
        let aliases = ["a", "b", "c", "d", "e"];
        let column = |writer: &mut Writer| format!("{}.{}", writer.one(&aliases), writer.name());
        let items: Vec<String> = (0..50)
            .map(|number| match number % 10 {
                0 => format!("sum({} * {}) AS sum_{number}", column(&mut writer), column(&mut writer)),
                _ => column(&mut writer),
            })
            .collect();
        let joins: Vec<String> = aliases[1..]
            .iter()
            .map(|alias| {
                let kind = writer.one(&["JOIN", "LEFT JOIN", "INNER JOIN"]);
                let (table, key, other) = (writer.name(), writer.name(), writer.name());
                format!("{kind} {table} AS {alias} ON {alias}.{key} = a.{other}")
            })
            .collect();
        let conditions: Vec<String> = (0..5)
            .map(|_| {
                let column = column(&mut writer);
                writer.condition(&column)
            })
            .collect();
        let (table, first, second) = (writer.name(), column(&mut writer), column(&mut writer));
        format!(
            "SELECT {}\nFROM {table} AS a\n{}\nWHERE {}\nGROUP BY {first}, {second}\nORDER BY {second} DESC LIMIT 100",
            items.join(", "),
            joins.join("\n"),
            conditions.join(" AND "),
        )
    });
    Corpus::new("join", "generated joins of 5 tables and 50 columns", texts)
}

fn insert() -> Corpus {
    let mut writer = Writer::new(1_000_000);
    let names: Vec<String> = (0..6).map(|_| writer.name()).collect();
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while bytes < INSERT_BYTES {
        let (id, word, note) = (writer.random.below(10_000_000), writer.string(), writer.string());
        let (amount, other) = (writer.number(), writer.number());
        let last = writer.one(&["NULL", "true", "false", "'2024-05-17'"]);
        let row = format!("({id}, {word}, {amount}, {note}, {other}, {last})");
        bytes += row.len() + 2;
        rows.push(row);
    }
    let text = format!("INSERT INTO {} ({}) VALUES\n{}", writer.name(), names.join(", "), rows.join(",\n"));
    Corpus::new("insert", "one generated INSERT of 1 MB", [text])
}

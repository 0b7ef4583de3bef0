//! What statements read through indexes is what they read without: random tables, changes and conditions on two tables with the same
//! rows, of which one has indexes.

use std::fmt::Write;

use cofferdam::{Connection, Prepared, Row, Value};

use crate::support::{Directory, outcome};

const LIMIT_BYTES: u64 = 32 << 20;
const ROWS: u64 = 800;

/// Numbers without a pattern (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'p, T>(&mut self, list: &'p [T]) -> &'p T {
        &list[self.below(list.len())]
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }
}

/// Columns with some of their values, among them equal ones that are written differently.
const COLUMNS: [(&str, &str, &[&str]); 9] = [
    ("a", "integer", &[]),
    ("b", "text", &["''", "'a'", "'a '", "'ab'", "'b'", "'ba'", "'zoo'", "'é'"]),
    ("c", "numeric", &["1", "1.0", "1.00", "-1", "0", "0.00", "2.5", "1e10", "0.25"]),
    ("d", "double precision", &["0", "'-0'", "1", "1.5", "-1.5", "'1e300'", "'NaN'", "'Infinity'"]),
    ("e", "numeric(8,2)", &["0", "1", "1.5", "-1.5", "99.99"]),
    ("f", "char(3)", &["'a'", "'a  '", "'ab'", "'b'", "''"]),
    ("g", "date", &["'2024-01-01'", "'2024-02-29'", "'1999-12-31'", "'2030-01-01'"]),
    ("h", "interval", &["'1 month'", "'30 days'", "'720 hours'", "'1 day'", "'-1 day'"]),
    ("i", "boolean", &["true", "false"]),
];

fn value(column: usize, random: &mut Random) -> String {
    let (_, _, values) = COLUMNS[column];
    match values {
        _ if random.one_in(8) => "NULL".to_owned(),
        [] => random.below(500).to_string(),
        values => (*random.pick(values)).to_owned(),
    }
}

fn constant(column: usize, random: &mut Random) -> String {
    match value(column, random) {
        value if value == "NULL" => constant(column, random),
        value => value,
    }
}

fn row(id: u64, random: &mut Random) -> String {
    let values = (0..COLUMNS.len()).map(|column| value(column, random));
    format!("({id}, {})", values.collect::<Vec<_>>().join(", "))
}

fn condition(random: &mut Random) -> String {
    if random.one_in(12) {
        return format!("id = {}", random.below(2 * ROWS as usize));
    }
    if random.one_in(12) {
        let list: Vec<_> = (0..4).map(|_| random.below(2 * ROWS as usize).to_string()).collect();
        return format!("id IN ({})", list.join(", "));
    }
    let column = column(random);
    let name = COLUMNS[column].0;
    let one = constant(column, random);
    match random.below(13) {
        0 => format!("{name} IS NULL"),
        12 => format!("({name} = {one} OR {} = {name})", constant(column, random)),
        1 => format!("{name} < {one}"),
        2 => format!("{name} >= {one}"),
        3 => format!("{one} > {name}"),
        4 => format!("{name} BETWEEN {one} AND {}", constant(column, random)),
        5 | 6 => {
            let mut list: Vec<_> = (0..=random.below(4)).map(|_| constant(column, random)).collect();
            list.push(if random.one_in(3) { "NULL".to_owned() } else { one });
            format!("{name} IN ({})", list.join(", "))
        }
        7 => format!("{name} > {one} AND {name} <= {}", constant(column, random)),
        _ => format!("{name} = {one}"),
    }
}

/// A column; the numbers of `a`, which tell rows apart best, more often.
fn column(random: &mut Random) -> usize {
    if random.one_in(3) { 0 } else { random.below(COLUMNS.len()) }
}

fn conditions(random: &mut Random) -> String {
    let list: Vec<_> = (0..=random.below(3)).map(|_| condition(random)).collect();
    list.join(" AND ")
}

/// `CREATE INDEX` with columns in random orders; a unique one has the number of the row behind them.
fn create_index(random: &mut Random) -> String {
    let mut columns: Vec<usize> = Vec::new();
    for _ in 0..=random.below(3) {
        let column = column(random);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let mut parts: Vec<_> = (columns.iter())
        .map(|column| {
            let direction = random.pick(&["", " ASC", " DESC"]);
            let nulls = random.pick(&["", " NULLS FIRST", " NULLS LAST"]);
            format!("{}{direction}{nulls}", COLUMNS[*column].0)
        })
        .collect();
    let is_unique = random.one_in(4);
    if is_unique || random.one_in(4) {
        parts.push("id".to_owned());
    }
    format!("CREATE {} INDEX ON t ({})", if is_unique { "UNIQUE" } else { "" }, parts.join(", "))
}

/// A connection to two tables of the same rows.
struct Twins<'c> {
    connection: &'c Connection,
    place: String,
    indexed_count: u64,
    ordered_count: u64,
}

impl Twins<'_> {
    fn run(&self, sql: &str) -> String {
        let text =
            outcome(self.connection, sql).unwrap_or_else(|error| panic!("{}: {sql}: {error}", self.place));
        assert!(!text.starts_with("error"), "{}: {sql}: {text}", self.place);
        text
    }

    /// Runs a statement with `{}` for the table on both.
    fn both(&mut self, sql: &str) {
        let lines = |table: &str| {
            let text = self.run(&sql.replace("{}", table));
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (with, without) = (lines("t"), lines("u"));
        let plan = || self.run(&format!("EXPLAIN {}", sql.replace("{}", "t")));
        assert!(with == without, "{}: {sql}\n{}\n{with:#?}\n{without:#?}", self.place, plan());
        self.indexed_count += u64::from(sql.starts_with("SELECT") && plan().contains(" using "));
    }

    fn query(&mut self, random: &mut Random) {
        let list = match random.below(4) {
            0 => "*".to_owned(),
            1 => "count(*)".to_owned(),
            _ => (0..=random.below(2)).map(|_| random.pick(&COLUMNS).0).collect::<Vec<_>>().join(", "),
        };
        self.both(&format!("SELECT {list} FROM {{}} WHERE {}", conditions(random)));
    }

    /// A query whose rows have one order alone.
    fn query_in_order(&mut self, random: &mut Random) {
        let name = COLUMNS[column(random)].0;
        let direction = random.pick(&["", " DESC", " DESC NULLS LAST", " NULLS FIRST"]);
        let condition = if random.one_in(2) { "true".to_owned() } else { conditions(random) };
        let limit = 1 + random.below(20);
        let sql = match random.below(4) {
            0 if "abeg".contains(name) => format!("SELECT min({name}) FROM {{}} WHERE {condition}"),
            1 => format!("SELECT id FROM {{}} WHERE {condition} ORDER BY id LIMIT {limit}"),
            _ => {
                let list = random.pick(&["id", "id, b", "c, id"]);
                format!(
                    "SELECT {list} FROM {{}} WHERE {condition} ORDER BY {name}{direction}, id LIMIT {limit}"
                )
            }
        };
        let (with, without) = (self.run(&sql.replace("{}", "t")), self.run(&sql.replace("{}", "u")));
        let plan = self.run(&format!("EXPLAIN {}", sql.replace("{}", "t")));
        assert!(with == without, "{}: {sql}\n{plan}\n{with}\n{without}", self.place);
        self.ordered_count += u64::from(sql.contains("ORDER BY") && !plan.contains("Sort"));
    }

    fn change(&mut self, next_id: &mut u64, random: &mut Random) {
        match random.below(4) {
            0 => {
                let rows: Vec<_> = (0..=random.below(20)).map(|n| row(*next_id + n as u64, random)).collect();
                *next_id += rows.len() as u64;
                self.both(&format!("INSERT INTO {{}} VALUES {}", rows.join(", ")));
            }
            1 => {
                self.both(&format!("DELETE FROM {{}} WHERE {} AND {}", condition(random), condition(random)))
            }
            _ => {
                let column = random.below(COLUMNS.len());
                let name = COLUMNS[column].0;
                let new = if column == 0 { "a + 1".to_owned() } else { value(column, random) };
                self.both(&format!("UPDATE {{}} SET {name} = {new} WHERE {}", conditions(random)));
            }
        }
    }
}

/// Aim: rows are the same with indexes and without, whatever the orders of the indexes, in segments and in memory, in a transaction with
/// its own changes, behind one that was rolled back, and when the database is opened again.
#[test]
fn indexes_lead_to_the_same_rows() {
    let (mut indexed_count, mut ordered_count) = (0, 0);
    for seed in 0..4 {
        let mut random = Random(seed);
        let directory = Directory::new(LIMIT_BYTES);
        let connection = directory.database.connect().unwrap();
        let mut twins = Twins {
            connection: &connection,
            place: format!("seed {seed}"),
            indexed_count: 0,
            ordered_count: 0,
        };
        let columns: Vec<_> = COLUMNS.iter().map(|(name, ty, _)| format!("{name} {ty}")).collect();
        let key = random.pick(&["", ", PRIMARY KEY (id)", ", PRIMARY KEY (id)"]);
        // What is made and filled at once goes into segments.
        twins.run("BEGIN");
        for table in ["t", "u"] {
            twins.run(&format!("CREATE TABLE {table} (id integer NOT NULL, {}{key})", columns.join(", ")));
        }
        let create = |twins: &Twins<'_>, random: &mut Random| {
            for _ in 0..=random.below(3) {
                twins.run(&create_index(random));
            }
        };
        create(&twins, &mut random);
        let mut next_id = 0;
        for _ in 0..ROWS / 200 {
            let mut list = String::new();
            for _ in 0..200 {
                let comma = if list.is_empty() { "" } else { ", " };
                write!(list, "{comma}{}", row(next_id, &mut random)).unwrap();
                next_id += 1;
            }
            twins.both(&format!("INSERT INTO {{}} VALUES {list}"));
        }
        twins.run("COMMIT");
        create(&twins, &mut random);
        for _ in 0..10 {
            twins.query(&mut random);
            twins.query_in_order(&mut random);
        }
        for _ in 0..3 {
            twins.run("BEGIN");
            twins.change(&mut next_id, &mut random);
            twins.query(&mut random);
            twins.run("SAVEPOINT s");
            for _ in 0..3 {
                twins.change(&mut next_id, &mut random);
                twins.query(&mut random);
                twins.query_in_order(&mut random);
            }
            if random.one_in(2) {
                twins.run("ROLLBACK TO s");
                twins.query(&mut random);
            }
            twins.run(if random.one_in(3) { "ROLLBACK" } else { "COMMIT" });
            twins.query(&mut random);
            twins.query_in_order(&mut random);
        }
        indexed_count += twins.indexed_count;
        ordered_count += twins.ordered_count;
        drop(connection);
        let directory = directory.crashed();
        let connection = directory.database.connect().unwrap();
        let mut twins = Twins {
            connection: &connection,
            place: format!("seed {seed}, opened again"),
            indexed_count: 0,
            ordered_count: 0,
        };
        for _ in 0..10 {
            twins.query(&mut random);
            twins.query_in_order(&mut random);
        }
        indexed_count += twins.indexed_count;
        ordered_count += twins.ordered_count;
    }
    // That indexes are used at all is what makes the rest a test.
    assert!(indexed_count > 20 && ordered_count > 20, "{indexed_count} {ordered_count}");
}

/// Aim: values of parameters narrow an index as constants do, and NULL among them leads to no rows.
#[test]
fn parameters_lead_to_rows_through_indexes() {
    let directory = Directory::new(LIMIT_BYTES);
    let connection = directory.database.connect().unwrap();
    let run = |sql: &str| assert!(!outcome(&connection, sql).unwrap().starts_with("error"), "{sql}");
    run("CREATE TABLE item (id integer PRIMARY KEY, code text UNIQUE, kind integer, note text)");
    let mut rows = String::new();
    for id in 0..2000 {
        let comma = if id == 0 { "" } else { ", " };
        write!(rows, "{comma}({id}, 'c{id}', {}, 'note {id}')", id % 200).unwrap();
    }
    run(&format!("INSERT INTO item VALUES {rows}"));
    run("CREATE INDEX ON item (kind, id DESC)");
    let by = |condition: &str| {
        let sql = format!("SELECT count(*), min(note) FROM item WHERE {condition}");
        connection.prepare(&sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    };
    let answer = |statement: &mut Prepared<'_>, params: &[Option<i64>]| {
        let params: Vec<Value<'_>> = (params.iter())
            .map(|number| number.map_or(Value::Null, |number| Value::Integer(number as i32)))
            .collect();
        let row = |row: Row<'_>| Ok(format!("{} {}", row.value(0), row.value(1)));
        statement.query_row(&params[..], row).unwrap()
    };
    let mut by_list = by("id IN ($1, $2, 7)");
    assert_eq!(answer(&mut by_list, &[Some(9), Some(8)]), "3 note 7");
    assert_eq!(answer(&mut by_list, &[Some(7), None]), "1 note 7");
    let mut by_index = by("kind = $1 AND id < $2");
    assert_eq!(answer(&mut by_index, &[Some(150), Some(500)]), "2 note 150");
    assert_eq!(answer(&mut by_index, &[None, Some(500)]), "0 NULL");
    assert_eq!(answer(&mut by_index, &[Some(150), None]), "0 NULL");
    let mut by_either = by("kind IN ($1, $2)");
    assert_eq!(answer(&mut by_either, &[Some(3), Some(3)]), "10 note 1003");
    assert_eq!(answer(&mut by_either, &[None, None]), "0 NULL");
    let mut not_distinct = by("kind IS NOT DISTINCT FROM $1");
    assert_eq!(answer(&mut not_distinct, &[Some(3)]), "10 note 1003");
    assert_eq!(answer(&mut not_distinct, &[None]), "0 NULL");
    run("UPDATE item SET kind = NULL WHERE id = 1500");
    assert_eq!(answer(&mut not_distinct, &[None]), "1 note 1500");
    let mut by_code = connection.prepare("SELECT id FROM item WHERE code = $1").unwrap();
    let id = by_code.query_row(("c77",), |row| Ok(row.value(0).to_string())).unwrap();
    assert_eq!(id, "77");
}

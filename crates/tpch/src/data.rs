//! The tables: their definitions, and their rows as `.tbl` files.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tpchgen::generators as tpch;

/// The definitions of the tables, with `;` after each.
pub const SCHEMA: &str = include_str!("schema.sql");

/// The bytes of a file that are written at once.
const BUFFER_BYTES: usize = 1 << 20;
/// Rows between two calls of what is told of progress.
const ROWS_PER_STEP: u64 = 10_000;

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// 5 rows at every scale.
    Region,
    /// 25 rows at every scale.
    Nation,
    /// 10,000 rows at scale 1.
    Supplier,
    /// 200,000 rows at scale 1.
    Part,
    /// 800,000 rows at scale 1: suppliers of parts.
    Partsupp,
    /// 150,000 rows at scale 1.
    Customer,
    /// 1,500,000 rows at scale 1.
    Orders,
    /// 6,001,215 rows at scale 1: items of orders.
    Lineitem,
}

impl Table {
    /// All tables, in the order in which they are loaded.
    pub const ALL: [Table; 8] = [
        Table::Region,
        Table::Nation,
        Table::Supplier,
        Table::Part,
        Table::Partsupp,
        Table::Customer,
        Table::Orders,
        Table::Lineitem,
    ];

    /// Its name, and that of its file before `.tbl`.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Region => "region",
            Table::Nation => "nation",
            Table::Supplier => "supplier",
            Table::Part => "part",
            Table::Partsupp => "partsupp",
            Table::Customer => "customer",
            Table::Orders => "orders",
            Table::Lineitem => "lineitem",
        }
    }

    /// The table with that name.
    pub fn named(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// How many rows it has; of `lineitem` about.
    pub fn rows_count(self, scale: f64) -> u64 {
        let of_scale = |rows: f64| (rows * scale) as u64;
        match self {
            Table::Region => 5,
            Table::Nation => 25,
            Table::Supplier => of_scale(10_000.0),
            Table::Part => of_scale(200_000.0),
            Table::Partsupp => of_scale(800_000.0),
            Table::Customer => of_scale(150_000.0),
            Table::Orders => of_scale(1_500_000.0),
            Table::Lineitem => of_scale(6_001_215.0),
        }
    }

    /// Writes its rows to a new file: fields with `|` after each, as the benchmark's own generator does. `step` is told of so many
    /// more rows now and then.
    ///
    /// # Errors
    /// The system's.
    pub fn write(self, scale: f64, path: &Path, step: &mut dyn FnMut(u64)) -> io::Result<()> {
        match self {
            Table::Region => rows(path, step, tpch::RegionGenerator::new(scale, 1, 1).iter()),
            Table::Nation => rows(path, step, tpch::NationGenerator::new(scale, 1, 1).iter()),
            Table::Supplier => rows(path, step, tpch::SupplierGenerator::new(scale, 1, 1).iter()),
            Table::Part => rows(path, step, tpch::PartGenerator::new(scale, 1, 1).iter()),
            Table::Partsupp => rows(path, step, tpch::PartSuppGenerator::new(scale, 1, 1).iter()),
            Table::Customer => rows(path, step, tpch::CustomerGenerator::new(scale, 1, 1).iter()),
            Table::Orders => rows(path, step, tpch::OrderGenerator::new(scale, 1, 1).iter()),
            Table::Lineitem => rows(path, step, tpch::LineItemGenerator::new(scale, 1, 1).iter()),
        }
    }
}

fn rows<T: Display>(path: &Path, step: &mut dyn FnMut(u64), rows: impl Iterator<Item = T>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
    let mut rows_count = 0;
    for row in rows {
        writeln!(file, "{row}")?;
        rows_count += 1;
        if rows_count % ROWS_PER_STEP == 0 {
            step(ROWS_PER_STEP);
        }
    }
    step(rows_count % ROWS_PER_STEP);
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Aim: files have the rows that were announced. Method: the two small tables, and one whose size follows the scale.
    #[test]
    fn tables_have_their_rows() {
        let folder = std::env::temp_dir().join(format!("cofferdam-tpch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for table in [Table::Region, Table::Nation, Table::Supplier] {
            let path = folder.join(table.name());
            let mut told_count = 0;
            table.write(0.01, &path, &mut |rows_count| told_count += rows_count).unwrap();
            let lines_count = std::fs::read_to_string(&path).unwrap().lines().count() as u64;
            assert_eq!((lines_count, told_count), (table.rows_count(0.01), lines_count), "{table:?}");
            assert_eq!(Table::named(table.name()), Some(table));
        }
        assert_eq!(Table::named("nations"), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

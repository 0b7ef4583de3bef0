//! The tables of TPC-H: written as `.tbl` files, then copied into tables.
//!
//! The generator holds several hundred MiB of text to choose comments from, which no budget pays for.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use cofferdam::{Connection, statements};
use tpchgen::generators as tpch;

/// The definitions of the tables, with `;` between them.
pub const SCHEMA: &str = include_str!("schema.sql");

/// The tables in the order in which they are loaded.
pub const TABLES: [&str; 8] =
    ["region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem"];

/// Makes the tables and loads them at `scale`; files go into `folder` one at a time and are removed. `shown` is told the
/// name of each table and its number of rows.
///
/// # Errors
/// What the system says about a file, and what the database says about a statement.
pub fn load(
    connection: &Connection,
    scale: f64,
    folder: &Path,
    shown: &mut dyn FnMut(&str, u64),
) -> io::Result<()> {
    let run = |sql: &str| {
        let head = sql.lines().next().unwrap_or(sql);
        let message = |error: cofferdam::Error| format!("{head}: {}: {error}", error.sqlstate());
        connection.execute(sql).map_err(|error| io::Error::other(message(error)))
    };
    for span in statements(SCHEMA) {
        run(&SCHEMA[span.start as usize..(span.start + span.len) as usize])?;
    }
    fs::create_dir_all(folder)?;
    for table in TABLES {
        let path = folder.join(format!("{table}.tbl"));
        write(table, scale, &path)?;
        let text = path.to_str().ok_or_else(|| io::Error::other("the folder's name is not UTF-8"))?;
        let rows_count = run(&format!("COPY {table} FROM '{}'", text.replace('\'', "''")))?;
        fs::remove_file(&path)?;
        shown(table, rows_count);
    }
    Ok(())
}

fn write(table: &str, scale: f64, path: &Path) -> io::Result<()> {
    match table {
        "region" => rows(path, tpch::RegionGenerator::new(scale, 1, 1).iter()),
        "nation" => rows(path, tpch::NationGenerator::new(scale, 1, 1).iter()),
        "supplier" => rows(path, tpch::SupplierGenerator::new(scale, 1, 1).iter()),
        "part" => rows(path, tpch::PartGenerator::new(scale, 1, 1).iter()),
        "partsupp" => rows(path, tpch::PartSuppGenerator::new(scale, 1, 1).iter()),
        "customer" => rows(path, tpch::CustomerGenerator::new(scale, 1, 1).iter()),
        "orders" => rows(path, tpch::OrderGenerator::new(scale, 1, 1).iter()),
        _ => rows(path, tpch::LineItemGenerator::new(scale, 1, 1).iter()),
    }
}

fn rows<T: Display>(path: &Path, rows: impl Iterator<Item = T>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for row in rows {
        writeln!(file, "{row}")?;
    }
    file.flush()
}

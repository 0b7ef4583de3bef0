//! `cofferdam tpch-data`: TPC-H tables as `.tbl` files.
//!
//! The generator holds several hundred MiB of text to choose comments from, which no budget pays for; that is why it is a
//! program of its own, which the demo starts as a child.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tpchgen::generators as tpch;

use crate::args::{Table, TpchData};

/// Rows between two steps of the progress bar.
const ROWS_PER_STEP: u64 = 10_000;

/// Writes the tables.
///
/// # Errors
/// What the system says about the directory or a file.
pub(crate) fn write(arguments: &TpchData) -> io::Result<u8> {
    fs::create_dir_all(&arguments.out)?;
    let scale = arguments.scale;
    let rows_count = arguments.tables.iter().map(|&table| rows_count(table, scale)).sum();
    let bar = bar(rows_count);
    for &table in &arguments.tables {
        bar.set_message(table.name());
        let path = arguments.out.join(format!("{}.tbl", table.name()));
        match table {
            Table::Region => rows(&path, &bar, tpch::RegionGenerator::new(scale, 1, 1).iter()),
            Table::Nation => rows(&path, &bar, tpch::NationGenerator::new(scale, 1, 1).iter()),
            Table::Supplier => rows(&path, &bar, tpch::SupplierGenerator::new(scale, 1, 1).iter()),
            Table::Part => rows(&path, &bar, tpch::PartGenerator::new(scale, 1, 1).iter()),
            Table::Partsupp => rows(&path, &bar, tpch::PartSuppGenerator::new(scale, 1, 1).iter()),
            Table::Customer => rows(&path, &bar, tpch::CustomerGenerator::new(scale, 1, 1).iter()),
            Table::Orders => rows(&path, &bar, tpch::OrderGenerator::new(scale, 1, 1).iter()),
            Table::Lineitem => rows(&path, &bar, tpch::LineItemGenerator::new(scale, 1, 1).iter()),
        }
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    bar.finish_and_clear();
    Ok(0)
}

fn rows<T: Display>(path: &Path, bar: &ProgressBar, rows: impl Iterator<Item = T>) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut rows_count = 0;
    for row in rows {
        writeln!(file, "{row}")?;
        rows_count += 1;
        if rows_count % ROWS_PER_STEP == 0 {
            bar.inc(ROWS_PER_STEP);
        }
    }
    bar.inc(rows_count % ROWS_PER_STEP);
    file.flush()
}

/// Rows of a table; of `lineitem` about.
fn rows_count(table: Table, scale: f64) -> u64 {
    let of_scale = |rows: f64| (rows * scale) as u64;
    match table {
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

/// A bar on a terminal, nothing elsewhere.
fn bar(rows_count: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(rows_count), ProgressDrawTarget::hidden());
    }
    let style =
        ProgressStyle::with_template("{msg:>9} {bar:40} {percent:>3}% of {human_len} rows, {eta} left")
            .expect("the template is fixed");
    ProgressBar::new(rows_count).with_style(style)
}

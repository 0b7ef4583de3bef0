//! `cofferdam tpch-data`: TPC-H tables as `.tbl` files.
//!
//! The generator holds several hundred MiB of text to choose comments from, which no budget pays for; that is why it is a
//! program of its own, which the demo starts as a child.

use std::fs;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::TpchData;

/// Writes the tables.
///
/// # Errors
/// What the system says about the directory or a file.
pub(crate) fn write(arguments: &TpchData) -> io::Result<u8> {
    fs::create_dir_all(&arguments.out)?;
    let scale = arguments.scale;
    let rows_count = arguments.tables.iter().map(|table| table.rows_count(scale)).sum();
    let bar = bar(rows_count);
    for table in &arguments.tables {
        bar.set_message(table.name());
        let path = arguments.out.join(format!("{}.tbl", table.name()));
        table
            .write(scale, &path, &mut |rows_count| bar.inc(rows_count))
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    bar.finish_and_clear();
    Ok(0)
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

//! The tables of TPC-H in a database: made as `.tbl` files, then copied.

use std::fs;
use std::io;
use std::path::Path;

use cofferdam::{Connection, statements};
use cofferdam_tpch::{SCHEMA, Table};

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
    for table in Table::ALL {
        let name = table.name();
        let path = folder.join(format!("{name}.tbl"));
        table.write(scale, &path, &mut |_| ())?;
        let text = path.to_str().ok_or_else(|| io::Error::other("the folder's name is not UTF-8"))?;
        let rows_count = run(&format!("COPY {name} FROM '{}'", text.replace('\'', "''")))?;
        fs::remove_file(&path)?;
        shown(name, rows_count);
    }
    Ok(())
}

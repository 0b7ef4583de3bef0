//! Analytics over a CSV file that is larger than the memory for it: the sort goes to disk, and the answer is the same.
//!
//! `cargo run --example analytics`
#![allow(clippy::disallowed_types, clippy::result_large_err)]

use std::fmt::Write as _;
use std::path::PathBuf;

use cofferdam::{Database, Decimal, Error, Options};

const ROWS: i64 = 8_000;
const LIMIT_BYTES: u64 = 768 << 10;
const CITIES: [&str; 4] = ["Aachen", "Bergen", "Cádiz", "Delft"];

/// A file that goes with the example.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // Nothing is left to be done where it cannot be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The amount of an order, in cents.
fn cents(id: i64) -> i64 {
    id * 7919 % 100_000
}

fn orders() -> String {
    let mut text = String::from("id,city,amount,note\n");
    for id in 0..ROWS {
        let city = CITIES[id as usize % CITIES.len()];
        let (whole, rest) = (cents(id) / 100, cents(id) % 100);
        writeln!(text, "{id},{city},{whole}.{rest:02},\"order {id}, {}\"", "as it was placed ".repeat(5))
            .expect("a string takes all");
    }
    text
}

/// Runs the example.
///
/// # Errors
/// Whatever goes wrong that should not.
pub(crate) fn main() -> Result<(), Error> {
    let file = File(std::env::temp_dir().join(format!("cofferdam-analytics-{}.csv", std::process::id())));
    let text = orders();
    std::fs::write(&file.0, &text).expect("the system takes a small file");
    assert!(text.len() as u64 > LIMIT_BYTES);

    let database = Database::open_in_memory(Options::new().memory_limit(LIMIT_BYTES))?;
    let mut connection = database.connect()?;
    connection.register_file("orders", &file.0, None)?;

    // Streams through the file: what it holds depends on the number of cities alone.
    let sums =
        "SELECT city, count(*) AS orders, sum(amount) AS total FROM orders GROUP BY city ORDER BY city";
    connection.query(sums, |rows| {
        let mut index = 0;
        while let Some(row) = rows.next_row()? {
            let of_city = (0..ROWS).filter(|id| *id as usize % CITIES.len() == index);
            let expected =
                Decimal::new(of_city.map(|id| i128::from(cents(id))).sum(), 2).expect("a small sum");
            assert_eq!(row.get::<&str>("city")?, CITIES[index]);
            assert_eq!(row.get::<i64>("orders")?, ROWS / CITIES.len() as i64);
            assert_eq!(row.get::<Decimal>("total")?, expected);
            println!("{:8} {}", row.get::<&str>("city")?, row.get::<String>("total")?);
            index += 1;
        }
        assert_eq!(index, CITIES.len());
        Ok(())
    })?;

    // All rows in another order: more than fits, so that sorted runs go to temporary files.
    connection.query("SELECT id, amount, note FROM orders ORDER BY amount DESC, id", |rows| {
        let mut last = (i64::MAX, -1);
        while let Some(row) = rows.next_row()? {
            let id: i64 = row.get("id")?;
            assert!(cents(id) < last.0 || cents(id) == last.0 && id > last.1);
            assert!(row.get::<&str>("note")?.starts_with(&format!("order {id},")));
            last = (cents(id), id);
        }
        assert_eq!(rows.rows_count(), ROWS as u64);
        Ok(())
    })?;
    let files = database.temporary_counts();
    println!("{} bytes went to {} temporary files", files.bytes_total, files.files_total);
    assert!(files.bytes_total > 0 && files.files_now == 0);
    assert!(database.budget().peak() <= LIMIT_BYTES);
    Ok(())
}

//! Whether an answer is the known one.
//!
//! A known answer is a header and rows, with `|` between fields; an empty field is NULL. Texts are equal letter for letter.
//! A number with a point may differ by half of its last digit, and by [`TOLERANCE`] of its value, since means were computed
//! in binary floating point; one without is equal.
//!
//! **Order** is compared as far as the query's ORDER BY determines it: the values of its keys come in the same order, and the rows
//! with equal keys are the same in any order. Where a LIMIT may have cut through the rows of the last keys, their number is
//! compared and not which they are.

use std::iter::Peekable;
use std::str::Lines;

/// The relative difference that is allowed in a number with a point.
const TOLERANCE: f64 = 1e-10;

/// What ORDER BY says of a query: the columns of its keys, and whether there is a LIMIT.
const ORDERS: [(&[usize], bool); 22] = [
    (&[0, 1], false),
    (&[0, 2, 1, 3], true),
    (&[1, 2], true),
    (&[0], false),
    (&[1], false),
    (&[], false),
    (&[0, 1, 2], false),
    (&[0], false),
    (&[0, 1], false),
    (&[2], true),
    (&[1], false),
    (&[0], false),
    (&[1, 0], false),
    (&[], false),
    (&[0], false),
    (&[3, 0, 1, 2], false),
    (&[], false),
    (&[4, 3], true),
    (&[], false),
    (&[0], false),
    (&[1, 0], true),
    (&[0], false),
];

/// The beginning of the second line of an answer of which only the number of rows and a checksum are known.
const DIGEST: &str = "= ";
/// FNV-1a, 64 bits: the offset basis and the prime. Source: Fowler, Noll, Vo, Eastlake: RFC 9923.
const FNV: (u64, u64) = (0xcbf2_9ce4_8422_2325, 0x0000_0100_0000_01b3);

/// Compares the rows of a query's answer with the known ones as they come, and keeps only those whose keys are equal.
#[derive(Debug)]
pub struct Checker<'k> {
    keys: &'static [usize],
    is_cut: bool,
    columns: Vec<&'k str>,
    lines: Peekable<Lines<'k>>,
    /// Known rows with equal keys, and those that came instead so far.
    group: Vec<Vec<&'k str>>,
    rows: Vec<Vec<String>>,
    known_count: usize,
    rows_count: usize,
    /// Instead of known rows: the checksum of all.
    digest: Option<u64>,
    hash: u64,
}

impl<'k> Checker<'k> {
    /// A comparison with the answer `known` to query `number`, from 1.
    ///
    /// # Errors
    /// There is no such query, or the answer is damaged.
    pub fn new(number: u8, known: &'k str) -> Result<Checker<'k>, String> {
        let (keys, is_cut) =
            *ORDERS.get(usize::from(number).wrapping_sub(1)).ok_or("there is no such query")?;
        let mut lines = known.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split('|').collect();
        let mut lines = lines.peekable();
        let (known_count, digest) = match lines.peek().and_then(|line| line.strip_prefix(DIGEST)) {
            None => (lines.clone().count(), None),
            Some(digest) => {
                let damaged = || format!("`{digest}` is not a number of rows and their checksum");
                let (count, digest) = digest.split_once(" rows, ").ok_or_else(damaged)?;
                let digest = u64::from_str_radix(digest, 16).map_err(|_| damaged())?;
                (count.parse().map_err(|_| damaged())?, Some(digest))
            }
        };
        let (group, rows) = (Vec::new(), Vec::new());
        Ok(Checker {
            keys,
            is_cut,
            columns,
            lines,
            group,
            rows,
            known_count,
            rows_count: 0,
            digest,
            hash: FNV.0,
        })
    }

    /// The next row, NULL as an empty text.
    ///
    /// # Errors
    /// Where it differs.
    pub fn row(&mut self, row: Vec<String>) -> Result<(), String> {
        self.rows_count += 1;
        if row.len() != self.columns.len() {
            return Err(format!("{} columns instead of {}", row.len(), self.columns.len()));
        }
        if self.digest.is_some() {
            self.add_to_hash(&row);
            return Ok(());
        }
        if self.group.is_empty() && !self.next_group() {
            // There are too many, which the end tells.
            return Ok(());
        }
        for &key in self.keys {
            let known = self.group[0][key];
            if !is_same(&row[key], known) {
                let name = self.columns[key];
                return Err(format!("row {}, {name}: {} instead of {known}", self.rows_count, row[key]));
            }
        }
        self.rows.push(row);
        if self.rows.len() < self.group.len() {
            return Ok(());
        }
        let is_last = self.lines.peek().is_none();
        if !(self.is_cut && is_last && self.group.len() > 1) {
            same_rows(&self.rows, &self.group, self.rows_count - self.rows.len())?;
        }
        self.rows.clear();
        self.group.clear();
        Ok(())
    }

    /// After the last row.
    ///
    /// # Errors
    /// There were more or fewer than there ought to be, or they have another checksum.
    pub fn end(self) -> Result<(), String> {
        if self.rows_count != self.known_count {
            return Err(format!("{} rows instead of {}", self.rows_count, self.known_count));
        }
        match self.digest {
            Some(digest) if digest != self.hash => Err("other rows: their checksum differs".to_owned()),
            _ => Ok(()),
        }
    }

    /// Reads the known rows with the next keys; gives whether there are any.
    fn next_group(&mut self) -> bool {
        let Some(line) = self.lines.next() else { return false };
        self.group.push(line.split('|').collect());
        while let Some(line) = self.lines.peek() {
            let row: Vec<&str> = line.split('|').collect();
            if !self.keys.iter().all(|&key| row[key] == self.group[0][key]) {
                break;
            }
            self.group.push(row);
            self.lines.next();
        }
        true
    }

    fn add_to_hash(&mut self, row: &[String]) {
        let mut add = |byte: u8| self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(FNV.1);
        for (index, field) in row.iter().enumerate() {
            if index > 0 {
                add(b'|');
            }
            field.bytes().for_each(&mut add);
        }
        add(b'\n');
    }
}

/// Compares all rows of an answer to query `number`, from 1, with the known ones.
///
/// # Errors
/// Where they differ.
pub fn check(number: u8, rows: &[Vec<String>], known: &str) -> Result<(), String> {
    let mut checker = Checker::new(number, known)?;
    rows.iter().try_for_each(|row| checker.row(row.clone()))?;
    checker.end()
}

/// Whether the rows are the same in any order.
fn same_rows(rows: &[Vec<String>], known: &[Vec<&str>], start: usize) -> Result<(), String> {
    let mut is_taken = vec![false; known.len()];
    for (index, row) in rows.iter().enumerate() {
        let fits = |known: &Vec<&str>| row.iter().zip(known).all(|(value, known)| is_same(value, known));
        let found = (0..known.len()).find(|&at| !is_taken[at] && fits(&known[at]));
        match found {
            Some(at) => is_taken[at] = true,
            None => {
                let expected = if known.len() == 1 { known[0].join("|") } else { "another row".to_owned() };
                return Err(format!("row {}: {} instead of {expected}", start + index + 1, row.join("|")));
            }
        }
    }
    Ok(())
}

fn is_same(value: &str, known: &str) -> bool {
    if value == known {
        return true;
    }
    let (Ok(number), Ok(known_number)) = (value.parse::<f64>(), known.parse::<f64>()) else { return false };
    let difference = (number - known_number).abs();
    match known.split_once('.') {
        Some((_, digits)) => {
            let half = 0.5 * 10f64.powi(-(digits.len() as i32));
            difference <= half.max(TOLERANCE * known_number.abs())
        }
        None => difference == 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<Vec<String>> {
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn numbers_are_compared_to_the_digits_of_the_known_answer() {
        let known = "o_year|mkt_share\n1995|0.0344\n1996|0.041485521293530254\n";
        assert_eq!(check(8, &rows("1995|0.03436\n1996|0.0414855212935303"), known), Ok(()));
        for wrong in [
            "1995|0.0345\n1996|0.0414855212935303",
            "1995|0.0344\n1996|0.0414856",
            "1995|0.0344\n1997|0.0414855212935303",
            "1995|0.0344",
            "1995|0.0344\n1996|",
            "1995.5|0.0344\n1996|0.041485521293530254",
        ] {
            assert!(check(8, &rows(wrong), known).is_err(), "{wrong}");
        }
        assert_eq!(check(17, &rows("\n")[..], "avg_yearly\n\n"), Ok(()));
        assert!(check(6, &[], "revenue\n1.0\n").is_err());
        assert!(check(6, &rows("1.0\n1.0"), "revenue\n1.0\n").is_err());
    }

    /// Aim: answers of which only a checksum is known are compared too. Method: the rows themselves,
    /// another row, another order, one row less.
    #[test]
    fn checksums_stand_for_rows() {
        let hash = b"B|T|3|2\nA|T|3|1\n"
            .iter()
            .fold(FNV.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV.1));
        let known = format!("p_brand|p_type|p_size|supplier_cnt\n= 2 rows, {hash:016x}\n");
        assert_eq!(check(16, &rows("B|T|3|2\nA|T|3|1"), &known), Ok(()));
        for wrong in ["B|T|3|2\nA|T|3|2", "A|T|3|1\nB|T|3|2", "B|T|3|2"] {
            assert!(check(16, &rows(wrong), &known).is_err(), "{wrong}");
        }
        assert!(check(16, &rows("B|T|3|2"), "a|b|c|d\n= many\n").is_err());
    }

    #[test]
    fn only_what_order_by_determines_is_compared_in_order() {
        // Query 5 is ordered by its second column.
        let known = "n_name|revenue\nA|3\nB|2\nC|2\nD|1\n";
        assert_eq!(check(5, &rows("A|3\nC|2\nB|2\nD|1"), known), Ok(()));
        assert!(check(5, &rows("B|2\nC|2\nA|3\nD|1"), known).is_err());
        assert!(check(5, &rows("A|3\nC|2\nC|2\nD|1"), known).is_err());
        // Query 3 has a limit: of its last key any rows may have been cut.
        let known = "l_orderkey|revenue|o_orderdate|o_shippriority\n1|9|d|0\n2|8|d|0\n3|8|d|0\n";
        assert_eq!(check(3, &rows("1|9|d|0\n3|8|d|0\n4|8|d|0"), known), Ok(()));
        assert!(check(3, &rows("7|9|d|0\n2|8|d|0\n3|8|d|0"), known).is_err());
        assert!(check(3, &rows("1|9|d|0\n2|8|d|0\n3|7|d|0"), known).is_err());
    }
}

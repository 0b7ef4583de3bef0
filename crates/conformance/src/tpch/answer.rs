//! Whether an answer is the known one.
//!
//! A known answer is a header and rows, with `|` between fields; an empty field is NULL. Texts are equal letter for letter.
//! A number with a point may differ by half of its last digit, and by [`TOLERANCE`] of its value, since means were computed
//! in binary floating point; one without is equal.
//!
//! **Order** is compared as far as the query's ORDER BY determines it: the values of its keys come in the same order, and the rows
//! with equal keys are the same in any order. Where a LIMIT may have cut through the rows of the last keys, their number is
//! compared and not which they are.

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

/// Compares the rows that query `number`, from 1, has given with a known answer.
///
/// # Errors
/// Where they differ.
pub fn check(number: u8, rows: &[Vec<String>], known: &str) -> Result<(), String> {
    let (keys, is_cut) = *ORDERS.get(usize::from(number).wrapping_sub(1)).ok_or("there is no such query")?;
    let mut lines = known.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('|').collect();
    let known: Vec<Vec<&str>> = lines.map(|line| line.split('|').collect()).collect();
    if rows.len() != known.len() {
        return Err(format!("{} rows instead of {}", rows.len(), known.len()));
    }
    if let Some(row) = rows.iter().find(|row| row.len() != columns.len()) {
        return Err(format!("{} columns instead of {}", row.len(), columns.len()));
    }
    for (index, (row, known)) in rows.iter().zip(&known).enumerate() {
        for &key in keys {
            if !is_same(&row[key], known[key]) {
                let name = columns[key];
                return Err(format!("row {}, {name}: {} instead of {}", index + 1, row[key], known[key]));
            }
        }
    }
    let mut start = 0;
    while start < known.len() {
        let is_peer = |row: &&Vec<&str>| keys.iter().all(|&key| row[key] == known[start][key]);
        let end = start + known[start..].iter().take_while(is_peer).count();
        if !(is_cut && end == known.len() && end - start > 1) {
            same_rows(&rows[start..end], &known[start..end], start)?;
        }
        start = end;
    }
    Ok(())
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

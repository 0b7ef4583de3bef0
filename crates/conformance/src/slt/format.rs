//! Values as text by the letter of their column, the order that a record asks for, and the hash of many values.
//!
//! | letter | text |
//! |---|---|
//! | any | `NULL` for no value |
//! | `I` | the whole part of a number; 1 and 0 for true and false; of a text the number that it begins with, else 0 |
//! | `R` | three digits behind the point; a text and a boolean as for `I` |
//! | `T` and others | the text form, `(empty)` where it has no character, `@` for each byte outside of ASCII's printable ones |
//!
//! The original program prints through C's `%d` and `%.3f`; a number too large for 64 bits keeps all of its digits here.

use std::cmp::Ordering;

use md5::{Digest, Md5};

use super::engine::Cell;

/// The order that a record asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// As the engine gave them.
    None,
    /// By rows, column by column as bytes.
    Rows,
    /// Each value for itself.
    Values,
}

/// A value as text.
pub(super) fn text(cell: &Cell, letter: char) -> String {
    match (cell, letter) {
        (Cell::Null, _) => "NULL".to_owned(),
        (Cell::Boolean(value), 'I') => i32::from(*value).to_string(),
        (Cell::Boolean(value), 'R') => format!("{:.3}", f64::from(u8::from(*value))),
        (Cell::Number(number), 'I') => whole_part(number),
        (Cell::Text(text), 'I') => whole_part(leading_number(text)),
        (Cell::Number(number), 'R') => three_digits(number),
        (Cell::Text(text), 'R') => three_digits(leading_number(text)),
        (Cell::Boolean(value), _) => if *value { "t" } else { "f" }.to_owned(),
        (Cell::Number(text) | Cell::Text(text), _) => printable(text),
    }
}

/// The values of rows in the order that is asked for, row by row.
pub(super) fn values(rows: &[Vec<Cell>], letters: &[char], sort: Sort) -> Vec<String> {
    let texts = |row: &Vec<Cell>| -> Vec<String> {
        row.iter().zip(letters).map(|(cell, &letter)| text(cell, letter)).collect()
    };
    let mut rows: Vec<Vec<String>> = rows.iter().map(texts).collect();
    if sort == Sort::Rows {
        rows.sort_by(|a, b| by_bytes(a, b));
    }
    let mut values: Vec<String> = rows.into_iter().flatten().collect();
    if sort == Sort::Values {
        values.sort_unstable();
    }
    values
}

/// `N values hashing to …`: what stands for many values.
pub(super) fn hash(values: &[String]) -> String {
    let mut md5 = Md5::new();
    for value in values {
        md5.update(value.as_bytes());
        md5.update(b"\n");
    }
    let digest: String = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{} values hashing to {digest}", values.len())
}

fn by_bytes(a: &[String], b: &[String]) -> Ordering {
    a.iter().map(String::as_bytes).cmp(b.iter().map(String::as_bytes))
}

fn printable(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    text.bytes().map(|byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '@' }).collect()
}

/// What C's `strtod` would read of a text; `0` where that is nothing.
fn leading_number(text: &str) -> &str {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut end = sign + digits(sign);
    let mut digits_count = end - sign;
    if bytes.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        digits_count += fraction;
        end += 1 + fraction;
    }
    if digits_count == 0 {
        return "0";
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    &text[..end]
}

fn whole_part(number: &str) -> String {
    if number.contains(['e', 'E']) {
        return number
            .parse::<f64>()
            .map_or_else(|_| number.to_owned(), |value| format!("{:.0}", value.trunc()));
    }
    match number.split_once('.').map_or(number, |(whole, _)| whole) {
        "" | "-" | "+" | "-0" => "0".to_owned(),
        whole => whole.strip_prefix('+').unwrap_or(whole).to_owned(),
    }
}

fn three_digits(number: &str) -> String {
    number.parse::<f64>().map_or_else(|_| number.to_owned(), |value| format!("{value:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Cell {
        Cell::Number(text.to_owned())
    }

    fn word(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    #[test]
    fn values_are_formatted_by_the_letter_of_their_column() {
        for (cell, i, r, t) in [
            (Cell::Null, "NULL", "NULL", "NULL"),
            (number("42"), "42", "42.000", "42"),
            (
                number("-9223372036854775808"),
                "-9223372036854775808",
                "-9223372036854775808.000",
                "-9223372036854775808",
            ),
            (number("2.99"), "2", "2.990", "2.99"),
            (number("-0.5"), "0", "-0.500", "-0.5"),
            (number(".75"), "0", "0.750", ".75"),
            (number("1e+20"), "100000000000000000000", "100000000000000000000.000", "1e+20"),
            (number("1.0004999"), "1", "1.000", "1.0004999"),
            (number("NaN"), "NaN", "NaN", "NaN"),
            (Cell::Boolean(true), "1", "1.000", "t"),
            (Cell::Boolean(false), "0", "0.000", "f"),
            (word(""), "0", "0.000", "(empty)"),
            (word("12abc"), "12", "12.000", "12abc"),
            (word(" -1.5e1x"), "-15", "-15.000", " -1.5e1x"),
            (word("e5"), "0", "0.000", "e5"),
            (word("a\tb\u{e9}"), "0", "0.000", "a@b@@"),
        ] {
            assert_eq!([text(&cell, 'I'), text(&cell, 'R'), text(&cell, 'T')], [i, r, t], "{cell:?}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_original_program() {
        // printf '1\n2\nNULL\n' | md5sum
        let values: Vec<String> = ["1", "2", "NULL"].map(str::to_owned).to_vec();
        assert_eq!(hash(&values), "3 values hashing to 947ac7611a144a747fd1ba4cb9205642");
        assert_eq!(hash(&[]), "0 values hashing to d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn rows_and_values_are_sorted_as_bytes() {
        let rows = [
            vec![number("10"), word("b")],
            vec![number("9"), word("a")],
            vec![number("10"), word("a")],
            vec![Cell::Null, word("Z")],
        ];
        let sorted = |sort| values(&rows, &['I', 'T'], sort).join(" ");
        assert_eq!(sorted(Sort::None), "10 b 9 a 10 a NULL Z");
        assert_eq!(sorted(Sort::Rows), "10 a 10 b 9 a NULL Z");
        assert_eq!(sorted(Sort::Values), "10 10 9 NULL Z a a b");
    }
}

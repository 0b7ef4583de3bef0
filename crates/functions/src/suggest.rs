//! Names that might have been meant.

use crate::table::FUNCTIONS;
use crate::{aggregates, windows};

/// Names longer than this have no neighbours here.
const NAME_BYTES_MAX: usize = 48;

/// All names of aggregates, window functions and functions; names with overloads come several times.
pub fn names() -> impl Iterator<Item = &'static str> {
    let aggregates = aggregates().map(|aggregate| aggregate.signature().name());
    let windows = windows().map(|window| window.signature().name());
    aggregates.chain(windows).chain(FUNCTIONS.iter().map(|function| function.name()))
}

/// The name that takes the fewest changes of single letters to become from `name`: at most a third of its letters.
pub fn nearest_name(name: &str) -> Option<&'static str> {
    let most = name.len().div_ceil(3).min(3);
    let near = names().filter_map(|known| Some((distance(name, known, most)?, known)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// How many letters must be changed, put in or left out, or swapped with their neighbour; `None` beyond `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most || a.len() > NAME_BYTES_MAX || b.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut before = [0; NAME_BYTES_MAX + 1];
    let mut last: [usize; NAME_BYTES_MAX + 1] = core::array::from_fn(|column| column);
    for (row, letter) in a.iter().enumerate() {
        let mut line = [row + 1; NAME_BYTES_MAX + 1];
        for (column, other) in b.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            line[column + 1] = changed.min(last[column + 1] + 1).min(line[column] + 1);
            let is_swapped = row > 0 && column > 0 && a[row - 1] == *other && b[column - 1] == *letter;
            if is_swapped {
                line[column + 1] = line[column + 1].min(before[column - 1] + 1);
            }
        }
        (before, last) = (last, line);
    }
    Some(last[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_find_the_name() {
        assert_eq!(nearest_name("lenght"), Some("length"));
        assert_eq!(nearest_name("uper"), Some("upper"));
        assert_eq!(nearest_name("cout"), Some("count"));
        assert_eq!(nearest_name("row_numbr"), Some("row_number"));
        assert_eq!(nearest_name("strpoz"), Some("strpos"));
        assert_eq!(nearest_name("no_such_thing_at_all"), None);
        assert_eq!(nearest_name(""), None);
        assert_eq!(nearest_name(&"x".repeat(1000)), None);
    }
}

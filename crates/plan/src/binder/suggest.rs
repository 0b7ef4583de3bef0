//! "Did you mean": the known name that is nearest to a wrong one.

/// Names longer than this are not compared.
const NAME_BYTES_MAX: usize = 64;

/// Collects candidates and keeps the nearest.
pub(super) struct Suggestion<'w, 'a> {
    wanted: &'w str,
    best: Option<(&'a str, usize)>,
}

impl<'w, 'a> Suggestion<'w, 'a> {
    pub(super) fn new(wanted: &'w str) -> Suggestion<'w, 'a> {
        Suggestion { wanted, best: None }
    }

    /// Considers one more name. Of two equally near ones the first stays.
    pub(super) fn offer(&mut self, candidate: &'a str) {
        let limit = self.best.map_or_else(|| tolerance(self.wanted) + 1, |(_, distance)| distance);
        if let Some(distance) = edit_distance(self.wanted, candidate).filter(|distance| *distance < limit) {
            self.best = Some((candidate, distance));
        }
    }

    /// The nearest, if any was near enough.
    pub(super) fn best(self) -> Option<&'a str> {
        self.best.map(|(name, _)| name)
    }

    /// The distance of the nearest.
    pub(super) fn distance(&self) -> Option<usize> {
        self.best.map(|(_, distance)| distance)
    }
}

/// The name of a list that is nearest to a wrong one, if any is near enough.
pub fn nearest_name<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut suggestion = Suggestion::new(wanted);
    names.for_each(|name| suggestion.offer(name));
    suggestion.best()
}

/// How many edits still count as a slip: one in three bytes.
fn tolerance(name: &str) -> usize {
    name.len() / 3
}

/// The number of single-byte insertions, removals, changes and swaps of neighbours between two names without regard to
/// case; `None` if one of them is too long.
///
/// # Source
/// Optimal string alignment distance (Damerau 1964), three rows of the table at a time.
fn edit_distance(left: &str, right: &str) -> Option<usize> {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() > NAME_BYTES_MAX || right.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut before_previous = [0usize; NAME_BYTES_MAX + 1];
    let mut previous = [0usize; NAME_BYTES_MAX + 1];
    let mut current = [0usize; NAME_BYTES_MAX + 1];
    for (index, cell) in previous.iter_mut().enumerate() {
        *cell = index;
    }
    for (i, a) in left.iter().enumerate() {
        current[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let change = usize::from(!a.eq_ignore_ascii_case(b));
            let mut cost = (previous[j] + change).min(previous[j + 1] + 1).min(current[j] + 1);
            let swapped = i > 0
                && j > 0
                && a.eq_ignore_ascii_case(&right[j - 1])
                && left[i - 1].eq_ignore_ascii_case(b);
            if swapped {
                cost = cost.min(before_previous[j - 1] + 1);
            }
            current[j + 1] = cost;
        }
        before_previous = previous;
        previous = current;
    }
    Some(previous[right.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest<'a>(wanted: &str, names: &[&'a str]) -> Option<&'a str> {
        nearest_name(wanted, names.iter().copied())
    }

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["l_orderkey", "l_partkey", "l_shipdate", "Name"];
        assert_eq!(nearest("l_ordrekey", &names), Some("l_orderkey"));
        assert_eq!(nearest("l_shipdat", &names), Some("l_shipdate"));
        assert_eq!(nearest("name", &names), Some("Name"));
        assert_eq!(nearest("customer", &names), None);
        assert_eq!(nearest("x", &["abcdef"]), None);
        assert_eq!(nearest(&"l".repeat(100), &names), None);
    }

    #[test]
    fn distance_is_a_metric_on_samples() {
        let words = ["", "a", "ab", "ba", "abc", "acb", "kitten", "sitting"];
        for a in words {
            assert_eq!(edit_distance(a, a), Some(0));
            for b in words {
                assert_eq!(edit_distance(a, b), edit_distance(b, a));
            }
        }
        assert_eq!(edit_distance("kitten", "sitting"), Some(3));
        assert_eq!(edit_distance("ab", "ba"), Some(1));
    }
}

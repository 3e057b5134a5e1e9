//! The nearest known name to one that is not known.

/// Shortest text that counts as a word of a name.
const WORD_BYTES_MIN: usize = 3;

/// The candidate with the smallest edit distance to `given`, unless even that one is far from it. The first of
/// several equals.
pub(super) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = if is_cut_short(given, candidate) { 1 } else { distance(given, candidate) };
        if best.is_none_or(|(smallest, _)| distance < smallest) {
            best = Some((distance, candidate));
        }
    }
    let (distance, candidate) = best?;
    (distance <= candidate.chars().count().max(given.chars().count()).div_ceil(2)).then_some(candidate)
}

/// `; did you mean …?`, or nothing.
pub(super) fn suggestion<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, candidates).map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// Whether whole words are missing at an end (`lease` for `lease_ms`): nearer than any misspelling of another name.
fn is_cut_short(given: &str, candidate: &str) -> bool {
    let more = |rest: &str| rest.starts_with('_') || rest.ends_with('_');
    given.len() >= WORD_BYTES_MIN
        && (candidate.strip_prefix(given).is_some_and(more) || candidate.strip_suffix(given).is_some_and(more))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one text into the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(to.len() + 1);
        row.push(i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut smallest = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                smallest = smallest.min(before_last[j - 1] + 1);
            }
            row.push(smallest);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn a_swap_an_insertion_and_a_replacement_cost_one_each() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("lease", "lease", 0),
            ("laese", "lease", 1),
            ("leases", "lease", 1),
            ("lxase", "lease", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn a_name_that_is_far_from_everything_gets_no_suggestion() {
        assert_eq!(nearest("lease_sm", ["replicas", "lease_ms"]), Some("lease_ms"));
        assert_eq!(nearest("zzzzzzzz", ["replicas", "lease_ms"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn a_name_that_was_cut_short_is_nearest_to_its_whole() {
        assert_eq!(nearest("lease", ["name", "lease_ms"]), Some("lease_ms"));
        assert_eq!(nearest("timeout_ms", ["lease_ms", "connect_timeout_ms"]), Some("connect_timeout_ms"));
    }
}

//! Topic names and filters of any text: the grammar against a second one written from the standard's sentences, and the
//! subscription table against the naive matcher.

use rollcall_routing::{SubscriptionTable, check_topic_filter, check_topic_name, filter_matches};
use rollcall_test_fuzzing::{Effort, Plan, Target, run, search, shape};

const EXAMPLES: [&str; 12] = [
    "a/b/c\na/b/c",
    "a/+/c\na/b/c",
    "a/#\na",
    "#\n$SYS/x",
    "+/+\n/b",
    "$share/g/a/+\na/b",
    "$share/g\nx",
    "/\n//",
    "$SYS/#\n$SYS/x/y",
    "a/b#\na/b",
    "+a\na",
    "\n",
];

/// The grammar by its sentences: 4.7.1-1, 4.7.1-2, 4.7.3-1, 4.7.3-2, 4.8.2-1, 4.8.2-2.
fn is_filter(text: &str) -> bool {
    let plain = |filter: &str| {
        let levels: Vec<&str> = filter.split('/').collect();
        levels.iter().enumerate().all(|(place, level)| match *level {
            "#" => place + 1 == levels.len(),
            "+" => true,
            level => !level.contains(['#', '+']),
        })
    };
    let fits = !text.is_empty() && !text.contains('\0');
    match text.strip_prefix("$share/") {
        None => fits && plain(text),
        Some(shared) => {
            let Some((name, filter)) = shared.split_once('/') else { return false };
            fits && !name.is_empty() && !name.contains(['+', '#']) && !filter.is_empty() && plain(filter)
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\0', '+', '#'])
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_topics", examples, bytes_max: 200, cases: 60_000 }
}

fn examples() -> Vec<Vec<u8>> {
    EXAMPLES.map(|text| text.as_bytes().to_vec()).into()
}

/// A filter, a line end, a topic name.
fn check(input: &[u8], is_filter: impl Fn(&str) -> bool) -> Result<u64, String> {
    let text = String::from_utf8_lossy(input);
    let (filter, topic) = text.split_once('\n').unwrap_or((&text, "a"));
    let (as_filter, as_name) = (check_topic_filter(filter), check_topic_name(topic));
    if as_filter.is_ok() != is_filter(filter) {
        return Err(format!("{filter:?} as a filter: {as_filter:?}"));
    }
    if as_name.is_ok() != is_name(topic) {
        return Err(format!("{topic:?} as a name: {as_name:?}"));
    }
    let mut hit = false;
    if as_filter.is_ok() && as_name.is_ok() && !filter.starts_with("$share/") {
        let mut table = SubscriptionTable::new();
        table.add(1, filter, 2);
        table.for_each_match(topic, |_, _| hit = true);
        if hit != filter_matches(filter, topic) {
            return Err(format!("{filter:?} and {topic:?}: the table says {hit}"));
        }
        if !table.remove(&1, filter) || !table.is_empty() {
            return Err(format!("{filter:?} cannot be taken back"));
        }
    }
    Ok(shape((as_filter.map_err(|error| error.to_string()), as_name.map_err(|error| error.to_string()), hit)))
}

#[test]
fn fuzzed_topics_are_names_and_filters_exactly_where_the_standard_says_so() {
    run(target(&examples()), |input| check(input, is_filter));
}

#[test]
fn a_grammar_that_lets_plus_share_its_level_is_noticed() {
    let wrong = |text: &str| is_filter(&text.replace("++", "+"));
    let plan = Plan { seed: 1, effort: Effort::Cases(200_000) };
    let failure = search(target(&examples()), plan, |input| check(input, wrong)).unwrap_err();
    assert!(failure.wrong.contains("as a filter"), "{failure:?}");
}

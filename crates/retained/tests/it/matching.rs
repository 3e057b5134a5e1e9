//! Which messages match a filter, page by page, against a naive matcher.

use crate::world::{WIDE, keeping, topics};
use proptest::prelude::*;
use rollcall_retained::PageLimits;
use rollcall_types::{ClusterTime, check_topic_filter, check_topic_name};
use std::collections::BTreeSet;

/// Straight from the standard's words (MQTT 5.0, 4.7).
fn naive(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    for level in filter.split('/') {
        if level == "#" {
            return true;
        }
        match topic_levels.next() {
            Some(topic_level) if level == "+" || level == topic_level => {}
            _ => return false,
        }
    }
    topic_levels.next().is_none()
}

#[test]
fn the_examples_of_the_standard_hold() {
    let state = keeping(&["sport", "sport/", "sport/tennis/player1", "sports", "/finance", "$SYS/x", "sport!", "a"]);
    for (filter, expected) in [
        ("sport/tennis/player1/#", &["sport/tennis/player1"][..]),
        ("sport/#", &["sport", "sport/", "sport/tennis/player1"]),
        ("sport/+", &["sport/"]),
        ("+/+", &["/finance", "sport/"]),
        ("/+", &["/finance"]),
        ("+", &["a", "sport", "sport!", "sports"]),
        ("#", &["/finance", "a", "sport", "sport/", "sport/tennis/player1", "sport!", "sports"]),
        ("$SYS/#", &["$SYS/x"]),
        ("$SYS/+", &["$SYS/x"]),
        ("sport/tennis", &[]),
        ("Sport", &[]),
    ] {
        assert_eq!(topics(&state, filter, 0), expected, "{filter}");
    }
}

#[test]
fn a_wildcard_looks_at_what_it_can_match_and_not_at_all_topics() {
    let names: Vec<String> = (0..100)
        .flat_map(|site| (0..100).map(move |n| format!("plant/{site}/sensor/{n}")))
        .chain((0..100).map(|site| format!("plant/{site}/state")))
        .collect();
    let state = keeping(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let looks = |filter: &str, most: usize| {
        let limits = PageLimits { looks: most, ..WIDE };
        let page = state.matching(filter, None, ClusterTime(0), limits);
        (page.messages.len(), page.next.is_none())
    };
    assert_eq!(looks("plant/+/state", 400), (100, true), "of 10100 topics");
    assert_eq!(looks("plant/7/sensor/+", 110), (100, true));
    assert_eq!(looks("plant/7/sensor/7", 4), (1, true));
    assert_eq!(looks("other/#", 2), (0, true));
    assert_eq!(looks("#", 50), (50, false), "ends with the page");
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just(""), Just("a!"), Just("a\u{1}"), Just("é"), Just("$x")]
        .prop_map(str::to_owned)
}

fn topic() -> impl Strategy<Value = String> {
    prop::collection::vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a topic name", |name| check_topic_name(name).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let wild = prop_oneof![3 => level(), 2 => Just("+".to_owned())];
    (prop::collection::vec(wild, 0..4), any::<bool>())
        .prop_map(|(mut levels, hash)| {
            if hash || levels.is_empty() {
                levels.push("#".to_owned());
            }
            levels.join("/")
        })
        .prop_filter("a topic filter", |filter| check_topic_filter(filter).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_filter_finds_what_a_naive_matcher_finds_in_pages_of_any_size(
        names in prop::collection::btree_set(topic(), 0..40),
        filter in filter(),
        messages in 1usize..5,
        looks in 1usize..9,
    ) {
        let state = keeping(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let expected: BTreeSet<String> = names.into_iter().filter(|name| naive(&filter, name)).collect();
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let limits = PageLimits { messages, bytes: usize::MAX, looks };
            let page = state.matching(&filter, cursor.as_ref(), ClusterTime(0), limits);
            prop_assert!(page.messages.len() <= messages);
            found.extend(page.messages.into_iter().map(|message| message.topic));
            match page.next {
                None => break,
                next => {
                    prop_assert!(next != cursor, "it goes on");
                    cursor = next;
                }
            }
        }
        prop_assert_eq!(found.len(), expected.len());
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

//! The subscription table against a naive matcher, for any sequence of changes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod routes;
mod shared;

use proptest::{collection::vec, prelude::*};
use rollcall_routing::{Added, SubscriptionTable, check_topic_filter, check_topic_name, filter_matches};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Change {
    Add(u8, String, u32),
    Remove(u8, String),
    RemoveAll(u8),
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), Just("a".into()), Just("b".into()), Just("ab".into()), Just("$x".into())]
}

fn topic() -> impl Strategy<Value = String> {
    vec(level(), 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a valid name", |topic| check_topic_name(topic).is_ok())
}

fn filter() -> impl Strategy<Value = String> {
    let level = prop_oneof![3 => level(), 2 => Just("+".to_string())];
    (vec(level, 0..4), any::<bool>())
        .prop_map(|(mut levels, open)| {
            if open || levels.is_empty() {
                levels.push("#".into());
            }
            levels.join("/")
        })
        .prop_filter("a valid filter", |filter| check_topic_filter(filter).is_ok())
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (0..4u8, filter(), any::<u32>()).prop_map(|(session, filter, options)| Change::Add(session, filter, options)),
        2 => (0..4u8, filter()).prop_map(|(session, filter)| Change::Remove(session, filter)),
        1 => (0..4u8).prop_map(Change::RemoveAll),
    ]
}

fn matches(table: &SubscriptionTable<u8, u32>, topic: &str) -> Vec<(u8, u32)> {
    let mut found = vec![];
    table.for_each_match(topic, |session, options| found.push((*session, *options)));
    found.sort_unstable();
    found
}

proptest! {
    #[test]
    fn the_table_finds_what_the_naive_matcher_finds(changes in vec(change(), 0..40), topics in vec(topic(), 1..20)) {
        let mut table = SubscriptionTable::new();
        let mut model = BTreeMap::<(u8, String), u32>::new();
        for change in changes {
            match change {
                Change::Add(session, filter, options) => {
                    let added = table.add(session, &filter, options);
                    let known = model.insert((session, filter), options).is_some();
                    prop_assert_eq!(added, if known { Added::Replaced } else { Added::New });
                }
                Change::Remove(session, filter) => {
                    let removed = table.remove(&session, &filter);
                    prop_assert_eq!(removed, model.remove(&(session, filter)).is_some());
                }
                Change::RemoveAll(session) => {
                    let before = model.len();
                    model.retain(|(owner, _), _| *owner != session);
                    prop_assert_eq!(table.remove_all(&session), before - model.len());
                }
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.is_empty(), model.is_empty());
            for session in 0..4 {
                let filters: Vec<_> = model.keys().filter(|(owner, _)| *owner == session).map(|(_, f)| f.as_str()).collect();
                prop_assert_eq!(table.count_of(&session), filters.len());
                prop_assert_eq!(table.filters_of(&session).collect::<Vec<_>>(), filters);
            }
        }
        for topic in topics {
            let mut wanted: Vec<_> = model
                .iter()
                .filter(|((_, filter), _)| filter_matches(filter, &topic))
                .map(|((session, _), options)| (*session, *options))
                .collect();
            wanted.sort_unstable();
            prop_assert_eq!(matches(&table, &topic), wanted, "{}", topic);
        }
        for session in 0..4 {
            table.remove_all(&session);
        }
        let empty = SubscriptionTable::<u8, u32>::new();
        prop_assert_eq!(format!("{table:?}"), format!("{empty:?}"), "nothing is left behind");
    }
}

#[test]
fn topics_with_a_dollar_are_hidden_from_leading_wildcards() {
    // MQTT-4.7.2-1
    let mut table = SubscriptionTable::new();
    for (session, filter) in [(0, "#"), (1, "+/x"), (2, "$SYS/#"), (3, "$SYS/+"), (4, "+/#")] {
        table.add(session, filter, 0);
    }
    assert_eq!(matches(&table, "$SYS/x"), vec![(2, 0), (3, 0)]);
    assert_eq!(matches(&table, "SYS/x"), vec![(0, 0), (1, 0), (4, 0)]);
}

#[test]
fn a_session_is_visited_once_for_each_filter_that_matches() {
    let mut table = SubscriptionTable::new();
    for (filter, options) in [("a/b", 1), ("a/+", 2), ("#", 3), ("a/b/#", 4), ("b", 5)] {
        assert_eq!(table.add(9, filter, options), Added::New);
    }
    assert_eq!(matches(&table, "a/b"), vec![(9, 1), (9, 2), (9, 3), (9, 4)]);
    assert_eq!(table.options_of(&9, "a/+"), Some(&2));
    assert_eq!((table.options_of(&9, "a/c"), table.options_of(&8, "a/+")), (None, None));
    assert!(table.has(&9, "a/+") && !table.has(&9, "a/c") && !table.has(&8, "a/+"));
}

/// A topic of many levels, with a wildcard on each: the most that is on hold at once.
#[test]
fn deep_topics_find_all_their_filters() {
    for depth in [1, 2, 15, 16, 17, 18, 200] {
        let topic = vec!["a"; depth].join("/");
        let mut filters = vec![topic.clone(), "#".to_owned(), vec!["+"; depth].join("/"), format!("{topic}/#")];
        for place in 0..depth {
            let mut levels = vec!["a"; depth];
            levels[place] = "+";
            filters.push(levels.join("/"));
            filters.push([&levels[..=place], &["#"]].concat().join("/"));
        }
        filters.sort_unstable();
        filters.dedup();
        let mut table = SubscriptionTable::<usize, ()>::new();
        for (session, filter) in filters.iter().enumerate() {
            table.add(session, filter, ());
        }
        let mut found: Vec<usize> = Vec::new();
        table.for_each_match(&topic, |session, ()| found.push(*session));
        found.sort_unstable();
        let expected: Vec<usize> =
            (0..filters.len()).filter(|place| filter_matches(&filters[*place], &topic)).collect();
        assert_eq!(expected.len(), filters.len(), "all of them match");
        assert_eq!(found, expected, "{depth} levels");
    }
}

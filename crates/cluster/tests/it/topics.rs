//! Resources of policies against every topic of a small world.

use proptest::prelude::*;
use rollcall_cluster::{Action, CompiledPolicies, Effect, Policy, Request, RetainCondition, Role};
use rollcall_types::QoS;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

pub(crate) fn rule(name: &str, effect: Effect, actions: &[Action], resources: &[&str]) -> Policy {
    Policy {
        name: name.to_owned(),
        effect,
        actions: actions.to_vec(),
        resources: resources.iter().map(|resource| (*resource).to_owned()).collect(),
        client_id: None,
        username: None,
        ip: None,
        qos: vec![0, 1, 2],
        retain: RetainCondition::Both,
    }
}

pub(crate) fn request<'a>(action: Action, resource: &'a str) -> Request<'a> {
    Request {
        action,
        resource,
        client_id: Some("c1"),
        username: "u1",
        role: Role::Client,
        ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        qos: QoS::AtMostOnce,
        retain: false,
        superuser: false,
        own_rules: None,
        certificate: None,
    }
}

/// Whether one rule with this resource allows (or, as the only rule, denies) the subscription.
fn matched(effect: Effect, resource: &str, filter: &str) -> bool {
    let other = if effect == Effect::Allow { Effect::Deny } else { Effect::Allow };
    let compiled = CompiledPolicies::new(&[rule("r", effect, &[Action::Sub], &[resource])], other);
    assert!(compiled.problems().is_empty(), "{:?}", compiled.problems());
    compiled.decide(&request(Action::Sub, filter)).rule == Some("r")
}

/// All topics of up to five levels out of these.
static TOPICS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let levels = ["", "a", "b", "ab", "$a", "z"];
    let mut all: Vec<String> = Vec::new();
    let mut longest: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    for _ in 0..5 {
        all.extend(longest.iter().cloned());
        longest = longest.iter().flat_map(|topic| levels.map(|level| format!("{topic}/{level}"))).collect();
    }
    all.retain(|topic| !topic.is_empty());
    all
});

/// By the words of the documentation, character by character.
fn pattern_matches(pattern: &str, topic: &str) -> bool {
    if pattern == "#" {
        return true;
    }
    if pattern == "/#" || pattern == "/*" {
        return topic.is_empty() || topic.starts_with('/');
    }
    let Some(first) = pattern.chars().next() else { return topic.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let after = |length: usize| pattern_matches(rest, &topic[length..]);
    match first {
        '*' => (0..=topic.len()).any(after),
        '+' => (0..=topic.len()).take_while(|length| !topic[..*length].contains('/')).any(after),
        _ => topic.starts_with(first) && after(first.len_utf8()),
    }
}

/// MQTT 5.0, 4.7.
fn filter_matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (_, Some(level)) if level == wanted => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn path(level: &'static [&'static str], levels_max: usize) -> impl Strategy<Value = String> {
    let levels = proptest::collection::vec(proptest::sample::select(level), 1..=levels_max);
    (levels, any::<bool>()).prop_map(|(levels, below)| {
        let path = levels.join("/");
        match (below, path.is_empty()) {
            (true, true) => "#".to_owned(),
            (true, false) => format!("{path}/#"),
            (false, true) => "a".to_owned(),
            (false, false) => path,
        }
    })
}

fn resource() -> impl Strategy<Value = String> {
    path(&["a", "b", "ab", "$a", "*", "a*", "*b", "+", ""], 3)
}

fn filter() -> impl Strategy<Value = String> {
    path(&["a", "b", "ab", "$a", "+", "+", ""], 2)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_allowing_resource_covers_the_filters_it_wholly_matches(resource in resource(), filter in filter()) {
        let spelt_out = !resource.starts_with(['*', '+', '#']);
        let whole = TOPICS.iter().filter(|topic| filter_matches(&filter, topic)).all(|topic| {
            pattern_matches(&resource, topic) && (spelt_out || !topic.starts_with('$'))
        });
        let covered = matched(Effect::Allow, &resource, &filter);
        prop_assert!(whole || !covered, "{} covers {}", resource, filter);
        // Where a `+` follows a `*`, less may be covered than is matched.
        let exact = resource.find('*').is_none_or(|star| !resource[star..].contains('+'));
        prop_assert!(covered || !whole || !exact, "{} does not cover {}", resource, filter);
    }

    #[test]
    fn a_denying_resource_matches_exactly_the_filters_it_shares_a_topic_with(resource in resource(), filter in filter()) {
        let shared = TOPICS.iter().any(|topic| filter_matches(&filter, topic) && pattern_matches(&resource, topic));
        prop_assert_eq!(matched(Effect::Deny, &resource, &filter), shared, "{} {}", resource, filter);
    }
}

#[test]
fn the_group_of_a_shared_subscription_does_not_matter() {
    assert!(matched(Effect::Allow, "home/#", "$share/g/home/+"));
    assert!(!matched(Effect::Allow, "home/#", "$share/home/x"));
    assert!(matched(Effect::Deny, "home/#", "$share/g/#"));
}

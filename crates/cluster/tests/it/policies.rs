//! Lists of policies: first match wins, and what holds where none is given.

use crate::topics::{request, rule};
use proptest::prelude::*;
use rollcall_cluster::{
    Action, CompiledPolicies, DEFAULT_POLICY, DecidedBy, Decision, Effect, Policy, PolicyError, RESERVED_TOPICS,
    Request, RetainCondition, Role,
};
use rollcall_types::QoS;
use std::net::IpAddr;

const ALL: [Action; 3] = [Action::Connect, Action::Pub, Action::Sub];

fn allowed(policies: &[Policy], request: &Request<'_>) -> bool {
    CompiledPolicies::new(policies, Effect::Deny).decide(request).allowed
}

fn connects_as_anyone(compiled: &CompiledPolicies, ip: IpAddr) -> bool {
    compiled.decide(&Request { client_id: None, ip, ..request(Action::Connect, "") }).allowed
}

#[test]
fn the_first_match_decides_and_none_means_the_default() {
    let policies = [
        rule("no-secrets", Effect::Deny, &[Action::Pub, Action::Sub], &["secret/*"]),
        rule("home", Effect::Allow, &[Action::Pub, Action::Sub], &["home/*", "secret/*"]),
    ];
    let compiled = CompiledPolicies::new(&policies, Effect::Deny);
    let decide = |action, topic| compiled.decide(&request(action, topic));
    assert_eq!(
        decide(Action::Pub, "secret/1"),
        Decision { allowed: false, by: DecidedBy::Policy, rule: Some("no-secrets") }
    );
    assert_eq!(decide(Action::Sub, "#"), Decision { allowed: false, by: DecidedBy::Policy, rule: Some("no-secrets") });
    assert_eq!(decide(Action::Sub, "home/#"), Decision { allowed: true, by: DecidedBy::Policy, rule: Some("home") });
    assert_eq!(decide(Action::Connect, ""), Decision { allowed: false, by: DecidedBy::Default, rule: None });
    let open = CompiledPolicies::new(&policies, Effect::Allow);
    assert_eq!(
        open.decide(&request(Action::Connect, "")),
        Decision { allowed: true, by: DecidedBy::Default, rule: None }
    );
}

#[test]
fn conditions_narrow_a_rule() {
    let everything = rule("r", Effect::Allow, &ALL, &[]);
    let publish = |policy: Policy, change: fn(&mut Request<'_>)| {
        let mut request = request(Action::Pub, "t");
        change(&mut request);
        allowed(&[policy], &request)
    };
    let sensors = Policy { client_id: Some("sensor*".to_owned()), ..everything.clone() };
    assert!(!publish(sensors.clone(), |_| {}));
    assert!(publish(sensors, |request| request.client_id = Some("sensor7")));
    let own = Policy { client_id: Some("${Username}-*".to_owned()), ..everything.clone() };
    assert!(publish(own.clone(), |request| request.client_id = Some("u1-7")));
    assert!(!publish(own, |request| request.client_id = Some("u2-7")));
    let nearby = Policy { ip: Some("10.0.0.0/8".to_owned()), ..everything.clone() };
    assert!(!publish(nearby.clone(), |_| {}));
    assert!(publish(nearby, |request| request.ip = IpAddr::from([10, 1, 1, 1])));
    let careful = Policy { qos: vec![1], retain: RetainCondition::NotRetained, ..everything };
    assert!(!publish(careful.clone(), |_| {}));
    assert!(publish(careful.clone(), |request| request.qos = QoS::AtLeastOnce));
    assert!(!publish(careful, |request| (request.qos, request.retain) = (QoS::AtLeastOnce, true)));
}

#[test]
fn without_policies_accounts_may_do_everything_but_read_events() {
    let compiled = CompiledPolicies::new(&[], Effect::Deny);
    let decide = |role, action, topic| compiled.decide(&Request { role, ..request(action, topic) });
    for (action, topic) in
        [(Action::Connect, ""), (Action::Pub, "any/topic"), (Action::Sub, "#"), (Action::Sub, "$x/1")]
    {
        assert_eq!(
            decide(Role::Client, action, topic),
            Decision { allowed: true, by: DecidedBy::BuiltIn, rule: Some(DEFAULT_POLICY) },
            "{topic}"
        );
    }
    for filter in ["$events/#", "$events/client_connected", "$SYS/#", "$SYS/+/x", "$share/g/$events/#"] {
        assert!(!decide(Role::Client, Action::Sub, filter).allowed, "{filter}");
        assert!(decide(Role::Viewer, Action::Sub, filter).allowed, "{filter}");
    }
    assert!(connects_as_anyone(&compiled, IpAddr::from([10, 0, 0, 1])));
}

#[test]
fn only_the_broker_publishes_events() {
    let open = [rule("open", Effect::Allow, &ALL, &["#", "$events/#", "$SYS/#"])];
    for topic in ["$events/client_connected", "$SYS/x", "$SYS"] {
        let compiled = CompiledPolicies::new(&open, Effect::Allow);
        let decision = compiled.decide(&Request { role: Role::Admin, ..request(Action::Pub, topic) });
        assert_eq!(decision, Decision { allowed: false, by: DecidedBy::ReservedTopics, rule: Some(RESERVED_TOPICS) });
        assert!(allowed(&open, &request(Action::Sub, topic)), "a policy that names it grants reading");
    }
    assert!(!allowed(&[rule("all", Effect::Allow, &ALL, &[])], &request(Action::Sub, "$events/#")));
}

#[test]
fn a_connect_without_client_id_takes_a_rule_that_could_allow_it() {
    let connect = |name: &str, effect| rule(name, effect, &[Action::Connect], &[]);
    let with_id = |policy: Policy| Policy { client_id: Some("VIN*".to_owned()), ..policy };
    let allow = || connect("allow", Effect::Allow);
    let deny = || connect("deny", Effect::Deny);
    let may = |policies: &[Policy], default| {
        let compiled = CompiledPolicies::new(policies, default);
        connects_as_anyone(&compiled, IpAddr::from([127, 0, 0, 1]))
    };
    assert!(may(&[allow()], Effect::Deny));
    assert!(may(&[with_id(allow()), deny()], Effect::Deny), "some id could connect");
    assert!(!may(&[deny(), with_id(allow())], Effect::Allow), "no id could");
    assert!(may(&[with_id(deny()), allow()], Effect::Deny), "a denial of some ids is no denial of all");
    assert!(!may(&[with_id(deny())], Effect::Deny));
    assert!(may(&[with_id(deny())], Effect::Allow));
    let any_id = Policy { client_id: Some("*".to_owned()), ..deny() };
    assert!(!may(&[any_id, allow()], Effect::Allow), "a star needs no client id");
    let other_account = Policy { username: Some("u2".to_owned()), ..allow() };
    assert!(!may(&[other_account], Effect::Deny));
    let elsewhere = Policy { ip: Some("10.0.0.0/8".to_owned()), ..allow() };
    assert!(!may(&[elsewhere], Effect::Deny));
    let own_id = Policy { username: Some("${ClientId}".to_owned()), ..allow() };
    assert!(!may(&[own_id], Effect::Deny), "nobody can say whether the account is the client id");
}

#[test]
fn a_policy_of_another_version_fails_closed() {
    let broken = |effect| Policy { client_id: Some("${Future}".to_owned()), ..rule("broken", effect, &ALL, &[]) };
    let open = rule("open", Effect::Allow, &ALL, &[]);
    let denying = CompiledPolicies::new(&[broken(Effect::Deny), open.clone()], Effect::Allow);
    assert!(!denying.decide(&request(Action::Pub, "t")).allowed);
    assert!(!connects_as_anyone(&denying, IpAddr::from([127, 0, 0, 1])));
    assert_eq!(denying.problems(), [("broken".to_owned(), PolicyError::UnknownVariable("${Future}".to_owned()))]);
    assert!(!allowed(&[broken(Effect::Allow)], &request(Action::Pub, "t")));
    assert!(allowed(&[broken(Effect::Allow), open], &request(Action::Pub, "t")));
}

#[test]
fn a_policy_is_checked_before_it_is_proposed() {
    let good = rule("p", Effect::Allow, &ALL, &["a/+/#"]);
    assert_eq!(good.validate(), Ok(()));
    assert_eq!(Policy { name: String::new(), ..good.clone() }.validate(), Err(PolicyError::Name));
    assert_eq!(Policy { actions: Vec::new(), ..good.clone() }.validate(), Err(PolicyError::NoAction));
    assert_eq!(Policy { qos: vec![3], ..good.clone() }.validate(), Err(PolicyError::Qos(3)));
    assert_eq!(Policy { qos: Vec::new(), ..good.clone() }.validate(), Err(PolicyError::NoQos));
    let resources = vec!["a+".to_owned()];
    assert_eq!(Policy { resources, ..good.clone() }.validate(), Err(PolicyError::Wildcard("a+".to_owned())));
    let ip = Some("lab".to_owned());
    assert_eq!(Policy { ip, ..good }.validate(), Err(PolicyError::Address("lab".to_owned())));
}

#[test]
fn a_long_pattern_and_a_long_client_id_are_decided_quickly() {
    // Both chosen to make a careless matcher try every split.
    let pattern = format!("{}b", "*a".repeat(500));
    let id = "a".repeat(65_535);
    let hard = Policy { client_id: Some(pattern), ..rule("hard", Effect::Allow, &ALL, &[]) };
    assert!(!allowed(&[hard], &Request { client_id: Some(&id), ..request(Action::Connect, "") }));
}

/// As documented, without any cleverness.
fn naive(policies: &[Policy], default: Effect, request: &Request<'_>) -> bool {
    let id = request.client_id.unwrap();
    let glob = |pattern: &Option<String>, text: &str| {
        pattern.as_ref().is_none_or(|pattern| naive_glob(&pattern.replace("${ClientId}", id), text))
    };
    let first = policies.iter().find(|policy| {
        policy.actions.contains(&request.action)
            && glob(&policy.client_id, id)
            && glob(&policy.username, request.username)
            && (request.action == Action::Connect
                || (policy.qos.contains(&(request.qos as u8))
                    && (request.action == Action::Sub
                        || match policy.retain {
                            RetainCondition::Retained => request.retain,
                            RetainCondition::NotRetained => !request.retain,
                            RetainCondition::Both => true,
                        })
                    && (policy.resources.is_empty()
                        || policy.resources.iter().any(|pattern| naive_glob(pattern, request.resource)))))
    });
    first.map_or(default, |policy| policy.effect) == Effect::Allow
}

fn naive_glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(rest) => (0..=text.len()).any(|length| naive_glob(rest, &text[length..])),
        None if pattern.is_empty() => text.is_empty(),
        None => text.starts_with(&pattern[..1]) && naive_glob(&pattern[1..], &text[1..]),
    }
}

fn glob_text() -> impl Strategy<Value = String> {
    "(a|b|\\*|x){1,4}".prop_map(|text| text.replace('x', "${ClientId}"))
}

prop_compose! {
    fn policy()(
        allow in any::<bool>(),
        actions in proptest::sample::subsequence(&ALL[..], 1..=3),
        resources in proptest::collection::vec("(a|b|\\*){1,4}", 0..3),
        client_id in proptest::option::of(glob_text()),
        username in proptest::option::of(glob_text()),
        qos in proptest::sample::subsequence(vec![0, 1, 2], 1..=3),
        retain in 1_u8..=3,
    ) -> Policy {
        let effect = if allow { Effect::Allow } else { Effect::Deny };
        let retain = RetainCondition::try_from(retain).unwrap();
        Policy { name: "p".to_owned(), effect, actions, resources, client_id, username, ip: None, qos, retain }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decisions_agree_with_the_naive_evaluator(
        policies in proptest::collection::vec(policy(), 1..6),
        default_allow in any::<bool>(),
        action in proptest::sample::select(&ALL[..]),
        resource in "[ab]{1,4}",
        client_id in "[ab]{1,3}",
        username in "[ab]{1,3}",
        qos in proptest::sample::select(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][..]),
        retain in any::<bool>(),
    ) {
        let default = if default_allow { Effect::Allow } else { Effect::Deny };
        let asked = Request {
            client_id: Some(&client_id),
            username: &username,
            qos,
            retain,
            ..request(action, &resource)
        };
        let decided = CompiledPolicies::new(&policies, default).decide(&asked).allowed;
        prop_assert_eq!(decided, naive(&policies, default, &asked));
    }
}

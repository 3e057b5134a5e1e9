//! Policies of any text: compiled all together they decide what the first of them decides that decides alone, so that the
//! index of the compiled form leaves none out and prefers none.

use crate::examples;
use rollcall_cluster::{Action, CompiledPolicies, Decision, Effect, Policy, Request, Role};
use rollcall_routing::{check_topic_filter, check_topic_name};
use rollcall_test_fuzzing::{Choices, Effort, Plan, Target, run, search, shape};
use rollcall_types::QoS;
use std::net::{IpAddr, Ipv4Addr};

/// What patterns and names are made of: few words, so that they meet, and all that has a meaning of its own.
const WORDS: [&str; 20] = [
    "a",
    "b",
    "ab",
    "",
    "/",
    "//",
    "*",
    "+",
    "#",
    "?",
    "${ClientId}",
    "${Username}",
    "${ClientId:0:1}",
    "${Certificate.Subject.CommonName}",
    "${",
    "}",
    "$",
    "$SYS",
    "$share/g/",
    "ü",
];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.0/8", "10.0.0.1/33", "::1", "0.0.0.0/0", "x"];
/// Of one input, so that each is quick.
const POLICIES_MAX: usize = 12;
const WORDS_MAX: u8 = 5;

type Decide = for<'p> fn(&'p CompiledPolicies, &Request<'p>) -> Decision<'p>;

fn text(choices: &mut Choices<'_>) -> Option<String> {
    let words = choices.below(WORDS_MAX)?;
    (0..words).map(|_| choices.byte().map(|byte| WORDS[usize::from(byte) % WORDS.len()])).collect()
}

/// Half of all texts are left out.
fn maybe(choices: &mut Choices<'_>) -> Option<Option<String>> {
    Some(if choices.below(2)? == 0 { None } else { Some(text(choices)?) })
}

fn action(byte: u8) -> Action {
    [Action::Connect, Action::Pub, Action::Sub][usize::from(byte) % 3]
}

fn policy(choices: &mut Choices<'_>, number: usize) -> Option<Policy> {
    let effect = if choices.below(2)? == 0 { Effect::Allow } else { Effect::Deny };
    let actions = (0..choices.below(3)?).map(|_| choices.byte().map(action)).collect::<Option<_>>()?;
    let resources = (0..choices.below(4)?).map(|_| text(choices)).collect::<Option<_>>()?;
    let (client_id, username) = (maybe(choices)?, maybe(choices)?);
    let address = usize::from(choices.below(12)?);
    let ip = ADDRESSES.get(address).map(|text| (*text).to_owned());
    let qos = (0..=choices.below(3)?).map(|_| choices.below(4)).collect::<Option<_>>()?;
    let retain = rollcall_cluster::RetainCondition::default();
    Some(Policy { name: format!("p{number}"), effect, actions, resources, client_id, username, ip, qos, retain })
}

/// Policies, then one request.
fn check(input: &[u8], decide: Decide) -> Result<u64, String> {
    let mut choices = Choices::new(input);
    let wanted = usize::from(choices.byte().unwrap_or(0)) % POLICIES_MAX + 1;
    let policies: Vec<Policy> = (0..wanted).map_while(|number| policy(&mut choices, number)).collect();
    let action = action(choices.byte().unwrap_or(0));
    let client_id = maybe(&mut choices).flatten();
    let (username, resource) = (text(&mut choices).unwrap_or_default(), text(&mut choices).unwrap_or_default());
    // As it is asked: by then a topic is valid.
    let valid = match action {
        Action::Connect => true,
        Action::Pub => check_topic_name(&resource).is_ok(),
        Action::Sub => check_topic_filter(&resource).is_ok(),
    };
    if !valid {
        return Ok(0);
    }
    let last = choices.byte().unwrap_or(1);
    let request = Request {
        action,
        resource: if action == Action::Connect { "" } else { &resource },
        client_id: client_id.as_deref(),
        username: &username,
        role: Role::Client,
        ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        qos: QoS::AtLeastOnce,
        retain: last.is_multiple_of(2),
        superuser: false,
        own_rules: None,
        certificate: None,
    };
    let all = CompiledPolicies::new(&policies, Effect::Deny);
    let together = decide(&all, &request);
    let alone: Vec<_> =
        policies.iter().map(|policy| CompiledPolicies::new(std::slice::from_ref(policy), Effect::Deny)).collect();
    let first = alone.iter().map(|one| one.decide(&request)).find(|decision| decision.rule.is_some());
    let (allowed, rule) = first.map_or_else(|| (together.allowed, None), |one| (one.allowed, one.rule));
    // Where none decides, the default effect counts, or the built-in policy where there is none at all.
    if !policies.is_empty() && (together.allowed, together.rule) != (first.is_some() && allowed, rule) {
        return Err(format!("{policies:?} decide {request:?} as {together:?}; one after the other: {first:?}"));
    }
    Ok(shape((action as u8, together.allowed, rule.is_some(), all.problems().len().min(3), policies.len().min(3))))
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_policies", examples, bytes_max: 300, cases: 30_000 }
}

#[test]
fn fuzzed_policies_decide_together_as_the_first_that_decides_alone() {
    run(target(&examples::rows()), |input| check(input, |policies, request| policies.decide(request)));
}

#[test]
fn a_decision_without_its_rule_is_noticed() {
    let nameless: Decide = |policies, request| {
        let decision = policies.decide(request);
        if decision.allowed { decision } else { Decision { rule: None, ..decision } }
    };
    let plan = Plan { seed: 1, effort: Effort::Cases(50_000) };
    let failure = search(target(&examples::rows()), plan, |input| check(input, nameless)).unwrap_err();
    assert!(failure.wrong.contains("one after the other"), "{failure:?}");
}

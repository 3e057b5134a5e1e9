//! What a decision costs: no memory, and not much more with a thousand policies than with one.

use crate::topics::{request, rule};
use rollcall_cluster::{Action, CompiledPolicies, Decision, Effect, Policy, Request};
use std::{hint::black_box, time::Instant};

const POLICIES: usize = 1_000;
const EVERYTHING: [Action; 3] = [Action::Connect, Action::Pub, Action::Sub];

/// A thousand policies that name something each, and one behind them that decides.
fn policies(each: fn(usize, Policy) -> Policy) -> CompiledPolicies {
    let many =
        (0..POLICIES - 1).map(|number| each(number, rule(&format!("p{number}"), Effect::Allow, &EVERYTHING, &[])));
    let last = rule("last", Effect::Allow, &EVERYTHING, &[]);
    CompiledPolicies::new(&many.chain([last]).collect::<Vec<_>>(), Effect::Deny)
}

fn shapes() -> Vec<(&'static str, CompiledPolicies)> {
    vec![
        ("one policy", CompiledPolicies::new(&[rule("last", Effect::Allow, &EVERYTHING, &[])], Effect::Deny)),
        ("of users", policies(|n, policy| Policy { username: Some(format!("user{n}")), ..policy })),
        ("of clients", policies(|n, policy| Policy { client_id: Some(format!("client{n}")), ..policy })),
        (
            "of topics",
            policies(|n, policy| Policy {
                resources: vec![format!("area{n}/${{ClientId}}/#")],
                actions: vec![Action::Pub, Action::Sub],
                ..policy
            }),
        ),
        ("of client patterns", policies(|n, policy| Policy { client_id: Some(format!("sensor-{n}-*")), ..policy })),
        (
            "of networks",
            policies(|n, policy| Policy { ip: Some(format!("10.{}.{}.0/24", n / 256, n % 256)), ..policy }),
        ),
    ]
}

#[test]
fn a_decision_allocates_nothing() {
    for (shape, compiled) in shapes() {
        for asked in [
            request(Action::Connect, ""),
            Request { client_id: None, ..request(Action::Connect, "") },
            request(Action::Pub, "home/c1/temperature"),
            request(Action::Sub, "home/c1/#"),
        ] {
            let mut decided = None;
            let measured = allocation_counter::measure(|| decided = Some(compiled.decide(&asked)));
            // As whichever client, the first policy of some client is enough.
            let as_anyone = asked.client_id.is_none() && shape.starts_with("of client");
            let expected = if as_anyone { "p0" } else { "last" };
            let by_it = matches!(decided, Some(Decision { allowed: true, rule: Some(rule), .. }) if rule == expected);
            assert!(by_it, "{shape} {asked:?} {decided:?}");
            assert_eq!(measured.count_total, 0, "{shape} {asked:?}");
        }
    }
}

/// Prints what it measures; holds no time, since that is a machine's. Of rules that name their user, client or topic a
/// thousand take no longer to find than one.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what is asked")]
fn what_a_thousand_policies_cost() {
    // What is not optimized is measured for the sake of the test alone.
    const ROUNDS: u32 = if cfg!(debug_assertions) { 20 } else { 20_000 };
    for (shape, compiled) in shapes() {
        for (what, asked) in [
            ("connect", request(Action::Connect, "")),
            ("status query", Request { client_id: None, ..request(Action::Connect, "") }),
            ("publish", request(Action::Pub, "home/c1/temperature")),
        ] {
            let begun = Instant::now();
            for _ in 0..ROUNDS {
                black_box(compiled.decide(black_box(&asked)));
            }
            println!("1 decision, {shape}, {what}: {} ns", (begun.elapsed() / ROUNDS).as_nanos());
        }
    }
}

//! Rows of events for a connection and its session, beside a model that says for each what must come of it: packet
//! identifiers, Receive Maximum both ways, order, DUP, and one acknowledgement for each message.

#[path = "session/world.rs"]
mod world;

use rollcall_test_fuzzing::{Choices, Effort, Plan, Target, run, search, shape};
use std::collections::BTreeSet;
use world::{Broken, World};

/// Steps of one row.
const STEPS_MAX: usize = 300;

fn examples() -> Vec<Vec<u8>> {
    // Offers, deliveries and right answers; publishes, verdicts and releases; reconnects between them.
    let offers = [0, 0, 1, 2, 0, 2, 2, 0, 2, 0, 3, 0, 3, 0, 2, 0, 3, 1];
    let publishes = [5, 2, 1, 0, 6, 0, 0, 5, 2, 1, 1, 7, 1, 5, 1, 2, 0, 6, 0, 0, 8, 2];
    let late = [5, 2, 3, 0, 8, 1, 5, 2, 3, 1, 9, 0, 0, 2, 0, 7, 3, 10, 0, 2];
    let others = [11, 0, 3, b'a', b'/', b'#', 11, 2, 11, 7, 200, 11, 5, 11, 6, 2];
    [0u8, 1]
        .iter()
        .flat_map(|version| {
            let head = [*version, 2, 2, *version];
            [&offers[..], &publishes, &late, &others, &[&offers[..], &publishes, &late].concat()]
                .map(|row| [&head, row].concat())
        })
        .collect()
}

fn check(input: &[u8], broken: Broken, seen: &mut BTreeSet<&'static str>) -> Result<u64, String> {
    let mut choices = Choices::new(input);
    let Some(mut world) = World::begin(&mut choices, broken) else { return Ok(0) };
    for _ in 0..STEPS_MAX {
        match world.step(&mut choices) {
            Ok(true) => {}
            Ok(false) => break,
            Err(wrong) => return Err(format!("{wrong}; {world:?}")),
        }
    }
    seen.extend(world.seen());
    Ok(shape(world.seen()))
}

fn target(examples: &[Vec<u8>]) -> Target<'_> {
    Target { name: "fuzzed_sessions", examples, bytes_max: 400, cases: 20_000 }
}

#[test]
fn fuzzed_sessions_keep_to_the_handshakes_whatever_comes() {
    run(target(&examples()), |input| check(input, Broken::Nothing, &mut BTreeSet::new()));
}

#[test]
fn a_session_that_sends_more_than_receive_maximum_or_forgets_is_noticed() {
    let plan = Plan { seed: 1, effort: Effort::Cases(20_000) };
    for (broken, word) in [(Broken::OneMoreUnderWay, "Receive Maximum"), (Broken::Forgets, "expected")] {
        let failure =
            search(target(&examples()), plan, |input| check(input, broken, &mut BTreeSet::new())).unwrap_err();
        assert!(failure.wrong.contains(word), "{failure:?}");
    }
}

#[test]
fn the_rows_come_to_the_rare_steps_too() {
    let (plan, mut seen) = (Plan { seed: 1, effort: Effort::Cases(20_000) }, BTreeSet::new());
    search(target(&examples()), plan, |input| check(input, Broken::Nothing, &mut seen)).unwrap();
    for rare in [
        "DUP",
        "PUBREL again",
        "PUBREC of nothing",
        "PUBLISH under way",
        "PUBLISH received",
        "PUBREC owed",
        "a failure without a code",
        "a late verdict",
        "an answer of another kind",
        "more than Receive Maximum",
        "another node",
        "SUBACK",
    ] {
        assert!(seen.contains(rare), "{rare}: {seen:?}");
    }
}

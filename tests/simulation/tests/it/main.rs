//! Seeds that pass, seeds that repeat, and broken rules that are noticed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rollcall_test_simulation::{Broken, run, run_broken};

/// Seeds of the ordinary test; `cargo xtask simulate` runs thousands.
const SEEDS: u64 = 60;
/// A broken rule is noticed within so many seeds.
const NOTICED_WITHIN: u64 = 60;

/// Seeds that failed once, each with what it found.
const KEPT: [(u64, &str); 0] = [];

#[test]
fn seeds_pass_and_something_happens_in_them() {
    let (mut answers, mut acknowledged) = (0, 0);
    for seed in 1..=SEEDS {
        let outcome = run(seed);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}\n{}", outcome.violation, outcome.trace.join("\n"));
        answers += outcome.answers;
        acknowledged += outcome.acknowledged;
    }
    assert!(answers > SEEDS * 100 && acknowledged > SEEDS * 20, "{answers} answers, {acknowledged} connections");
}

#[test]
fn seeds_that_failed_once_pass() {
    for (seed, what) in KEPT {
        let outcome = run(seed);
        assert!(outcome.violation.is_none(), "seed {seed} ({what}): {:?}", outcome.violation);
    }
}

#[test]
fn a_seed_run_twice_does_the_same() {
    for seed in [1, 17, 4_711] {
        assert_eq!(run(seed).trace_hash, run(seed).trace_hash, "seed {seed}");
    }
    assert_ne!(run(1).trace_hash, run(2).trace_hash);
}

fn noticed(rule: Broken, by: &[&str]) {
    for seed in 1..=NOTICED_WITHIN {
        if let Some(violation) = run_broken(seed, rule).violation {
            assert!(by.contains(&violation.invariant), "{rule:?} was noticed by another promise: {violation:?}");
            return;
        }
    }
    panic!("{rule:?} was not noticed in {NOTICED_WITHIN} seeds");
}

#[test]
fn a_node_that_ignores_its_lease_is_noticed() {
    noticed(Broken::LeaseIgnored, &["no_false_offline"]);
}

#[test]
fn a_fence_before_the_lease_is_over_is_noticed() {
    noticed(Broken::RetiredTooEarly, &["no_false_offline"]);
}

#[test]
fn a_claim_repeated_under_another_number_is_noticed() {
    noticed(Broken::NewNumbersOnRetry, &["claims_apply_once"]);
}

#[test]
fn an_answer_without_a_read_point_is_noticed() {
    noticed(Broken::LocalReads, &["reads_are_linearizable", "no_false_offline"]);
}

#[test]
fn a_read_point_used_for_a_later_question_is_noticed() {
    noticed(Broken::ReadPointReused, &["reads_are_linearizable", "no_false_offline"]);
}

#[test]
fn a_feed_read_twice_is_noticed() {
    noticed(Broken::FeedReadTwice, &["events_follow_the_log"]);
}

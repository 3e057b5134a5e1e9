//! The judge can say no: each rule that is broken on purpose is found within so many seeds, by an invariant that it concerns.

use rollcall_test_simulation::{
    broken::Broken,
    campaign::told,
    plan::{Fault, Plan},
    run::{Tracing, run_plan},
};

/// A broken rule must be found within so many seeds.
const SEEDS_MAX: u64 = 150;

/// Runs seeds until the rule is found to be broken.
fn is_found_by(broken: Broken, invariants: &[&str]) {
    is_found_in(broken, invariants, |_| {});
}

/// The same, in worlds that are made so that the rule matters.
fn is_found_in(broken: Broken, invariants: &[&str], made: impl Fn(&mut Plan)) {
    let mut runs = (0..SEEDS_MAX).map(|seed| {
        let mut plan = Plan::new(seed);
        made(&mut plan);
        run_plan(plan, Some(broken), Tracing::LastPart)
    });
    let found = runs.find(|outcome| outcome.failure.is_some());
    let Some(outcome) = found else { panic!("{broken:?} was not found in {SEEDS_MAX} seeds") };
    let Some(failure) = &outcome.failure else { unreachable!("found by its failure") };
    println!("{broken:?}: seed {} breaks {}: {}", outcome.plan.seed, failure.invariant, failure.sentence);
    assert!(invariants.contains(&failure.invariant), "{broken:?} was found as another thing\n{}", told(&outcome));
}

#[test]
fn a_node_that_ignores_its_lease_is_found() {
    is_found_by(Broken::LeaseIgnored, &["no_false_offline"]);
}

#[test]
fn a_lease_counted_from_the_acknowledgement_is_found() {
    // The margin hides it from a node that is never still: acknowledgements do not take that long.
    is_found_in(Broken::LeaseFromAcknowledgement, &["no_false_offline"], |plan| {
        plan.faults = vec![Fault::Pause, Fault::CutNode, Fault::CutParts, Fault::BadNetwork];
        plan.lease_ms = 1000;
        plan.faults_ms = 40_000;
        plan.fault_every_ms_max = 500;
    });
}

#[test]
fn a_fence_before_the_node_fenced_itself_is_found() {
    is_found_by(Broken::FenceBeforeSelfFence, &["no_false_offline"]);
}

#[test]
fn a_new_leader_that_does_not_wait_is_found() {
    is_found_by(Broken::NewLeaderDoesNotWait, &["no_false_offline"]);
}

#[test]
fn heartbeats_acknowledged_by_a_deposed_leader_are_found() {
    is_found_by(Broken::HeartbeatsWithoutQuorum, &["no_false_offline"]);
}

#[test]
fn a_retry_under_a_new_number_is_found() {
    is_found_by(Broken::RetryUnderNewNumber, &["claims_apply_once"]);
}

#[test]
fn status_read_without_a_read_point_is_found() {
    is_found_by(Broken::LocalReads, &["reads_are_linearizable"]);
}

#[test]
fn read_points_of_a_deposed_leader_are_found() {
    is_found_by(Broken::PointsWithoutQuorum, &["reads_are_linearizable"]);
}

#[test]
fn a_read_point_used_twice_is_found() {
    is_found_by(Broken::PointReused, &["reads_are_linearizable"]);
}

#[test]
fn a_release_before_the_close_is_found() {
    is_found_by(Broken::ReleaseBeforeClose, &["no_false_offline"]);
}

#[test]
fn a_displaced_connection_that_does_not_hang_up_is_found() {
    is_found_by(Broken::DisplacedStays, &["one_owner_per_client"]);
}

#[test]
fn fences_that_are_never_proposed_are_found() {
    is_found_by(Broken::FencesForgotten, &["no_lasting_false_online"]);
}

#[test]
fn a_will_delivered_by_the_leader_too_is_found() {
    is_found_by(Broken::WillFiredByLeaderToo, &["will_fires_once"]);
}

#[test]
fn wills_that_are_never_fired_are_found() {
    is_found_by(Broken::WillsForgotten, &["will_fires_once"]);
}

#[test]
fn a_feed_that_skips_without_a_word_is_found() {
    is_found_by(Broken::FeedSkipsOnRetry, &["events_follow_the_log"]);
}

#[test]
fn a_feed_read_twice_is_found() {
    is_found_by(Broken::FeedReadTwice, &["events_follow_the_log", "will_fires_once"]);
}

#[test]
fn an_entry_left_out_at_a_restore_is_found() {
    is_found_by(
        Broken::EntrySkippedAtRestore,
        &["replicas_agree", "acknowledged_claim_is_not_lost", "reads_are_linearizable", "events_follow_the_log"],
    );
}

#[test]
fn a_claim_acknowledged_before_its_commit_is_found() {
    is_found_by(Broken::AcknowledgedBeforeCommit, &["acknowledged_claim_is_not_lost"]);
}

#[test]
fn a_node_that_never_registers_again_is_found() {
    is_found_by(Broken::NeverRegistersAgain, &["majority_serves"]);
}

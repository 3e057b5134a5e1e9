//! Cut networks.

use rollcall_contracts::StatusError;
use rollcall_test_raft_simulation::{Cut, Setting, World};

#[test]
fn a_leader_that_is_cut_off_answers_nothing_and_the_others_go_on() {
    let mut world = World::new(&Setting::three(1));
    world.claimed(1, "kept");
    let old = world.elected(0, &[]);
    world.isolate(old, Cut::Drops);
    let asked = world.status(old, "kept");
    assert_eq!(world.wait("a refusal", &asked), Err(StatusError::NoQuorum));
    let new = world.elected(0, &[old]);
    world.claimed(new, "new");
    assert!(world.answered(new, "kept").online);
    let asked = world.status(old, "new");
    assert_eq!(world.wait("a refusal", &asked), Err(StatusError::NoQuorum));
    world.conclude();
}

//! Cut networks of every shape.

use rollcall_contracts::StatusError;
use rollcall_test_raft_simulation::{
    Cut, Setting, World,
    history::{Operation, Outcome},
};

/// Longest time until a node that cannot answer says so: the deadline, and a tick to notice it.
const REFUSED_WITHIN: u64 = 1_002;

/// A question that must be refused, in time.
fn refused(world: &mut World, node: u64, key: &str) {
    let asked = world.status(node, key);
    let begun = world.elapsed();
    assert_eq!(world.wait("a refusal", &asked), Err(StatusError::NoQuorum));
    assert!(world.elapsed() - begun <= REFUSED_WITHIN, "refused after {} ms", world.elapsed() - begun);
}

fn answers(operations: &[Operation]) -> usize {
    operations.iter().filter(|operation| matches!(operation.outcome, Outcome::Answered(_))).count()
}

#[test]
fn a_leader_that_is_cut_off_answers_nothing_and_the_others_go_on() {
    for cut in [Cut::Drops, Cut::Holds] {
        let mut world = World::new(&Setting::three(1));
        let granted = world.claimed(1, "kept");
        let old = world.elected(0, &[]);
        world.isolate(old, cut);
        refused(&mut world, old, "kept");
        let new = world.elected(0, &[old]);
        world.claimed(new, "new");
        let answer = world.answered(new, "kept");
        assert!(answer.online && answer.epoch == Some(granted.epoch));
        refused(&mut world, old, "new");
        world.conclude();
    }
}

#[test]
fn a_follower_that_is_cut_off_refuses_in_time_and_never_answers_from_what_it_has() {
    let mut world = World::new(&Setting::three(2));
    let leader = world.elected(0, &[]);
    let (cut_off, other) = (world.others(leader)[0], world.others(leader)[1]);
    let granted = world.claimed(other, "held");
    assert!(world.answered(cut_off, "held").online);
    world.isolate(cut_off, Cut::Drops);
    world.released(other, "held", granted.epoch);
    for _ in 0..5 {
        refused(&mut world, cut_off, "held");
    }
    assert!(!world.answered(other, "held").online);
    world.heal();
    assert!(!world.answered(cut_off, "held").online);
    world.conclude();
}

#[test]
fn a_leader_that_hears_and_is_not_heard_is_replaced() {
    let mut world = World::new(&Setting::three(3));
    world.load(true);
    world.run(500);
    let old = world.elected(0, &[]);
    for other in world.others(old) {
        world.cut_one_way(old, other, Cut::Drops);
    }
    let new = world.elected(0, &[old]);
    world.claimed(new, "new");
    refused(&mut world, old, "new");
    world.conclude();
}

#[test]
fn a_leader_that_is_heard_and_hears_nothing_answers_nothing() {
    let mut world = World::new(&Setting::three(4));
    world.load(true);
    world.run(500);
    let old = world.elected(0, &[]);
    for other in world.others(old) {
        world.cut_one_way(other, old, Cut::Drops);
    }
    world.run(1000);
    refused(&mut world, old, "device-0");
    world.run(5000);
    world.heal();
    for node in 1..=3 {
        world.answered(node, "device-0");
    }
    world.conclude();
}

#[test]
fn over_a_bridge_whoever_reaches_the_leader_goes_on_and_nobody_is_told_wrong() {
    for seed in 5..8 {
        let mut world = World::new(&Setting::three(seed));
        let leader = world.elected(0, &[]);
        let (bridge, far) = (world.others(leader)[0], world.others(leader)[1]);
        world.load(true);
        world.cut(leader, far, Cut::Drops);
        world.run(3000);
        world.claimed(bridge, "over the bridge");
        assert!(world.answered(bridge, "over the bridge").online);
        let before = answers(&world.operations());
        world.run(2000);
        assert!(answers(&world.operations()) > before, "reads go on");
        world.conclude();
    }
}

#[test]
fn the_larger_side_of_five_goes_on_and_the_smaller_one_refuses() {
    let mut world = World::new(&Setting { nodes: 5, holders: 5, replicas: 5, ..Setting::three(9) });
    world.load(true);
    world.run(300);
    let leader = world.elected(0, &[]);
    let others = world.others(leader);
    for small in [leader, others[0]] {
        for large in &others[1..] {
            world.cut(small, *large, Cut::Drops);
        }
    }
    let new = world.elected(0, &[leader, others[0]]);
    world.claimed(new, "large side");
    assert!(world.answered(others[1], "large side").online);
    refused(&mut world, leader, "large side");
    refused(&mut world, others[0], "large side");
    world.heal();
    assert!(world.answered(leader, "large side").online);
    world.conclude();
}

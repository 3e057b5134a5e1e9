//! Disks that are slow, fail, or lie.

use rollcall_contracts::StatusError;
use rollcall_test_raft_simulation::{Faults, Setting, World};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_node_whose_disk_fails_stops_serving_and_the_others_go_on() {
    for (seed, leads) in [(61, true), (62, false)] {
        let mut world = World::new(&Setting::three(seed));
        let leader = world.elected(0, &[]);
        let broken = if leads { leader } else { world.others(leader)[0] };
        world.load(true);
        world.run(500);
        world.disk(broken, Faults { syncs_fail: true, ..Faults::default() });
        world.run(3000);
        let new = world.elected(0, &[broken]);
        world.claimed(new, "after");
        assert!(world.answered(new, "after").online);
        let failure = world.replication(broken).unwrap().groups().handles().iter().find_map(|handle| handle.failure());
        assert!(failure.is_some(), "the node says what is wrong");
        let asked = world.status(broken, "after");
        let answer = world.wait("a refusal", &asked);
        assert!(matches!(answer, Err(StatusError::NoQuorum)), "{answer:?}");
        world.conclude();
    }
}

#[test]
fn slow_syncs_delay_and_do_not_harm() {
    let mut world = World::new(&Setting::three(63));
    world.load(true);
    for round in 0..4 {
        let slow = 1 + round % 3;
        world.disk(slow, Faults { sync_min_us: 100_000, sync_max_us: 600_000, ..Faults::default() });
        world.run(2000);
        world.disk(slow, Faults::default());
        world.run(500);
    }
    world.conclude();
}

/// Whether a run with these faults on every disk, and power lost everywhere again and again, was found out.
fn found_out(seed: u64, faults: Faults) -> bool {
    let run = || {
        let mut world = World::new(&Setting::three(seed));
        let mut chance = world.chance();
        (1..=3).for_each(|node| world.disk(node, faults));
        world.load(true);
        for _ in 0..6 {
            world.run(chance.between(50, 700));
            (1..=3).for_each(|node| world.crash(node));
            (1..=3).for_each(|node| world.start(node));
        }
        !world.verdict().is_empty()
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(true)
}

#[test]
fn the_checks_find_out_a_disk_that_acknowledges_before_it_syncs() {
    let faults = Faults { acknowledges_early: true, sync_min_us: 50_000, sync_max_us: 90_000, ..Faults::default() };
    assert!((70..75).any(|seed| found_out(seed, faults)));
    let honest = Faults { acknowledges_early: false, ..faults };
    assert!(!found_out(70, honest), "the same without the mutation is sound");
}

#[test]
fn the_checks_find_out_a_disk_that_forgets_votes() {
    assert!((75..95).any(|seed| found_out(seed, Faults { forgets_votes: true, ..Faults::default() })));
    assert!(!found_out(75, Faults::default()), "the same without the mutation is sound");
}

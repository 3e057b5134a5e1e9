//! Power loss, restart, and a network that delays, reorders and loses.

use rollcall_test_raft_simulation::{
    Faults, Setting, Weather, World,
    history::{Operation, Outcome},
};

/// So much must have been done for a scenario to say something.
fn busy(operations: &[Operation], claims: usize, answers: usize) {
    let count = |wanted: fn(&Outcome) -> bool| operations.iter().filter(|o| wanted(&o.outcome)).count();
    let (claimed, answered) =
        (count(|o| matches!(o, Outcome::Claimed(_))), count(|o| matches!(o, Outcome::Answered(_))));
    assert!(claimed >= claims && answered >= answers, "{claimed} claims and {answered} answers are too few");
}

#[test]
fn a_follower_comes_back_and_catches_up() {
    let mut world = World::new(&Setting { snapshot_every: 50, ..Setting::three(11) });
    world.load(true);
    for _ in 0..3 {
        let leader = world.elected(0, &[]);
        let follower = world.others(leader)[0];
        world.run(500);
        world.crash(follower);
        world.run(1500);
        world.start(follower);
        world.run(1000);
    }
    busy(&world.conclude(), 20, 60);
}

#[test]
fn a_leader_comes_back_as_a_follower_and_no_claim_is_lost() {
    let mut world = World::new(&Setting::three(12));
    world.load(true);
    for _ in 0..3 {
        let leader = world.elected(0, &[]);
        world.run(500);
        world.crash(leader);
        let took = world.elapsed();
        let new = world.elected(0, &[leader]);
        world.answered(new, "device-0");
        let took = world.elapsed() - took;
        assert!(took < 3000, "the others answered after {took} ms");
        world.start(leader);
        world.run(1000);
    }
    busy(&world.conclude(), 20, 60);
}

#[test]
fn power_is_lost_everywhere_and_no_acknowledged_claim_is() {
    for seed in 13..16 {
        let mut world = World::new(&Setting { snapshot_every: 40, ..Setting::three(seed) });
        world.load(true);
        for _ in 0..2 {
            world.run(700);
            (1..=3).for_each(|node| world.crash(node));
            world.run(100);
            (1..=3).for_each(|node| world.start(node));
            world.run(2000);
        }
        busy(&world.conclude(), 10, 30);
    }
}

/// Reads begin as soon as the process has opened its groups, while its log is still applied anew.
#[test]
fn a_node_that_is_asked_while_it_starts_never_goes_back() {
    let mut world = World::new(&Setting { snapshot_every: 60, ..Setting::three(17) });
    world.load(true);
    world.run(3000);
    let mut answered = 0;
    for node in [1, 2, 3, 1] {
        world.crash(node);
        world.run(300);
        world.start(node);
        let mut asked = Vec::new();
        for number in 0..400 {
            world.step();
            asked.push(world.status(node, &format!("device-{}", number % 6)));
        }
        world.run(1500);
        answered += asked.iter().filter(|pending| matches!(pending.ready(), Some(Ok(_)))).count();
    }
    assert!(answered > 100, "{answered} answers");
    world.conclude();
}

#[test]
fn packets_that_are_late_overtaken_or_lost_change_no_answer() {
    for seed in 18..21 {
        let mut world = World::new(&Setting { snapshot_every: 60, ..Setting::three(seed) });
        world.weather(Weather::FOUL);
        world.load(true);
        world.run(8000);
        busy(&world.conclude(), 3, 20);
    }
}

/// A leader sends entries before it has synced them itself. Back from a power loss without them, it must not lead in the
/// same term: other entries would get their log positions, and the followers could not tell.
#[test]
fn a_leader_that_lost_entries_it_had_sent_does_not_lead_on_in_their_term() {
    for seed in 25..31 {
        let mut world = World::new(&Setting::three(seed));
        let leader = world.elected(0, &[]);
        let other = world.others(leader)[0];
        world.disk(leader, Faults { sync_min_us: 400_000, sync_max_us: 500_000, ..Faults::default() });
        // Two followers are a quorum.
        for number in 0..5 {
            world.claimed(other, &format!("early-{number}"));
        }
        world.crash(leader);
        world.disk(leader, Faults::default());
        world.start(leader);
        world.claimed(other, "late");
        world.conclude();
    }
}

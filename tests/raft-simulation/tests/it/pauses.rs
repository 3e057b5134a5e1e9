//! Processes that stand still at the worst moment, as under SIGSTOP: nothing of them runs, packets gather, and then all
//! that was due is due at once.

use rollcall_test_raft_simulation::{Cut, Setting, World};

/// At which millisecond of a question its node is stopped.
const MOMENTS: u64 = 6;

#[test]
fn a_leader_that_stood_still_with_a_question_under_way_does_not_answer_from_the_past() {
    for moment in 0..MOMENTS {
        let mut world = World::new(&Setting::three(30 + moment));
        let old = world.elected(0, &[]);
        let writer = world.others(old)[0];
        let granted = world.claimed(writer, "held");
        assert!(world.answered(old, "held").online);
        let under_way = world.status(old, "held");
        let from_afar = world.status(world.others(old)[1], "held");
        world.run(moment);
        world.stop(old);
        world.elected(0, &[old]);
        world.released(writer, "held", granted.epoch);
        // Asked after the release was acknowledged: the old state would be a lie, however long the node stood still.
        let after = world.status(old, "held");
        world.run(200);
        world.resume(old);
        world.run(1500);
        if let Some(Ok(answer)) = after.ready() {
            assert!(!answer.online, "moment {moment}: {answer:?}");
        }
        drop((under_way, from_afar));
        world.conclude();
    }
}

#[test]
fn a_follower_that_stood_still_with_its_read_point_under_way_does_not_give_it_to_a_later_question() {
    for moment in 0..MOMENTS {
        let mut world = World::new(&Setting::three(40 + moment));
        let leader = world.elected(0, &[]);
        let (reader, writer) = (world.others(leader)[0], world.others(leader)[1]);
        let granted = world.claimed(writer, "held");
        assert!(world.answered(reader, "held").online);
        let first = world.status(reader, "held");
        world.run(moment);
        world.stop(reader);
        // The answer to the first request waits in the node's socket; the entry with the release does not get there.
        world.run(10);
        world.cut_one_way(leader, reader, Cut::Drops);
        world.released(writer, "held", granted.epoch);
        // The client did not hear in time and asks again.
        let again = world.status(reader, "held");
        world.run(100);
        world.resume(reader);
        world.run(100);
        world.heal();
        let answer = world.wait("the retry's answer", &again);
        assert!(answer.is_err() || answer.is_ok_and(|answer| !answer.online), "moment {moment}");
        drop(first);
        world.conclude();
    }
}

#[test]
fn processes_that_stand_still_in_turn_are_never_believed_when_they_go_on() {
    for seed in 50..52 {
        let mut world = World::new(&Setting::three(seed));
        let mut chance = world.chance();
        world.load(true);
        for _ in 0..8 {
            world.run(chance.between(100, 600));
            let node = chance.between(1, 3);
            world.stop(node);
            // Half an election timeout, to several.
            world.run(chance.between(150, 3000));
            world.resume(node);
        }
        world.conclude();
    }
}

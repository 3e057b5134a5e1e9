//! Logs that are cut short behind a snapshot while somebody still needs them.

use rollcall_test_raft_simulation::{Cut, Faults, Setting, Weather, World};

fn setting(seed: u64) -> Setting {
    Setting { snapshot_every: 20, ..Setting::three(seed) }
}

/// Cuts a follower off until the leader's log no longer reaches back to it.
fn left_behind(world: &mut World) -> (u64, u64) {
    let leader = world.elected(0, &[]);
    let follower = world.others(leader)[0];
    world.isolate(follower, Cut::Drops);
    let stands = world.applied(follower, 0);
    world.until("the log before is removed", 60_000, |world| world.purged_and_snapshot(leader, 0).0 > stands);
    (leader, follower)
}

#[test]
fn a_follower_that_the_log_no_longer_reaches_gets_a_snapshot_and_answers_from_it() {
    let mut world = World::new(&setting(21));
    world.load(true);
    world.run(500);
    let (leader, follower) = left_behind(&mut world);
    let removed = world.purged_and_snapshot(leader, 0).0;
    world.heal();
    // Its own log does not reach so far back, so it is a snapshot that lets it apply more.
    world.until("the follower has caught up", 10_000, |world| {
        world.applied(follower, 0) > removed && world.purged_and_snapshot(follower, 0).1 >= removed
    });
    world.answered(follower, "device-0");
    world.conclude();
}

#[test]
fn a_snapshot_that_is_cut_off_on_its_way_comes_again() {
    let mut world = World::new(&setting(22));
    world.load(true);
    world.run(500);
    let (leader, follower) = left_behind(&mut world);
    world.weather(Weather { delay_min_us: 20_000, delay_max_us: 40_000, lost_per_mille: 0 });
    for _ in 0..3 {
        world.heal();
        world.run(70);
        world.isolate(follower, Cut::Drops);
        world.run(700);
    }
    let removed = world.purged_and_snapshot(leader, 0).0;
    world.heal();
    world.until("the follower has caught up", 20_000, |world| world.applied(follower, 0) > removed);
    world.conclude();
}

#[test]
fn two_snapshots_in_a_short_time_leave_the_newer_one() {
    for seed in 23..25 {
        let mut world = World::new(&setting(seed));
        world.load(true);
        world.run(500);
        let (_, follower) = left_behind(&mut world);
        // The first is still being synced when the next one is due.
        world.disk(follower, Faults { sync_min_us: 150_000, sync_max_us: 400_000, ..Faults::default() });
        world.heal();
        world.run(300);
        world.isolate(follower, Cut::Holds);
        world.run(2500);
        world.heal();
        world.run(1500);
        world.crash(follower);
        world.disk(follower, Faults::default());
        world.start(follower);
        world.run(1500);
        world.answered(follower, "device-0");
        world.conclude();
    }
}

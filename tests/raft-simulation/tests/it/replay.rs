//! A seed decides everything: run twice, it does the same.

use rollcall_test_raft_simulation::{Cut, Setting, Weather, World, history::Operation};

fn run(seed: u64) -> (Vec<String>, (u64, u64)) {
    let mut world = World::new(&Setting { partitions: 2, snapshot_every: 100, ..Setting::three(seed) });
    world.load(true);
    world.run(2000);
    world.weather(Weather::FOUL);
    world.run(2000);
    let leader = world.elected(0, &[]);
    world.isolate(leader, Cut::Holds);
    world.run(2000);
    world.crash(leader % 3 + 1);
    world.run(500);
    world.start(leader % 3 + 1);
    let found = world.verdict();
    assert!(found.is_empty(), "{found:#?}");
    let trace = world.trace();
    let told = |o: Operation| {
        let ended = o.ended.map(|ended| ended.ms);
        format!("at {} to {ended:?} on node {}: {} {:?}", o.begun.ms, o.node, o.key, o.outcome)
    };
    let mut told: Vec<String> = world.operations().into_iter().map(told).collect();
    // Tasks of one node that wake in the same millisecond run in an order that no seed decides.
    told.sort();
    (told, trace)
}

#[test]
fn a_seed_that_is_run_twice_does_the_same_to_the_last_packet() {
    let mut traces = Vec::new();
    for seed in [7, 8] {
        let (first, second) = (run(seed), run(seed));
        let differs = first.0.iter().zip(&second.0).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.1, second.1, "seed {seed}");
        assert!(first.1.1 > 1000, "{} packets", first.1.1);
        traces.push(first.1);
    }
    assert_ne!(traces[0], traces[1], "another seed does other things");
}

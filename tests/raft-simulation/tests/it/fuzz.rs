//! Faults by chance, many seeds of them, each with full healing in the end and the whole history judged.
//!
//! `ROLLCALL_SIMULATION_SEEDS` says how many seeds, `ROLLCALL_SIMULATION_SEED` runs a single one again.

use rollcall_test_raft_simulation::{Cut, Faults, Setting, Weather, World, chance::Chance, history::Outcome};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Seeds of a run that names no number.
const SEEDS: u64 = 50;
/// Faults of one seed.
const FAULTS: u64 = 8;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// One fault, or the end of some.
fn fault(world: &mut World, chance: &mut Chance, nodes: u64) {
    let cut = chance.one_of(&[Cut::Drops, Cut::Holds]);
    // The leader is hit more often than its share: there the most can go wrong.
    let leader = world.leader(0).filter(|_| chance.percent(40));
    let node = leader.unwrap_or_else(|| chance.between(1, nodes));
    let other = chance.one_of(&world.others(node));
    match chance.below(15) {
        0 => world.isolate(node, cut),
        1 => world.cut(node, other, cut),
        2 => world.cut_one_way(node, other, cut),
        3 => world.others(node).into_iter().for_each(|other| world.cut_one_way(node, other, cut)),
        4 | 5 => world.heal(),
        6 => {
            if world.runs(node) {
                world.crash(node);
                world.run(chance.one_of(&[1, 30, 400, 1500]));
                world.start(node);
            }
        }
        7 => {
            world.crash_all();
            world.run(chance.between(1, 500));
            world.start_all();
        }
        8 | 12..15 => {
            world.stop(node);
            world.run(chance.between(50, 2500));
            // Clients ask it meanwhile; it hears of them when it goes on.
            (0..6).for_each(|number| drop(world.status(node, &format!("device-{number}"))));
            world.run(chance.between(0, 20));
            world.resume(node);
        }
        9 => world.weather(chance.one_of(&[Weather::FAIR, Weather::FOUL])),
        10 => {
            let slow = Faults { sync_min_us: 5_000, sync_max_us: 300_000, ..Faults::default() };
            world.disk(node, chance.one_of(&[slow, Faults::default()]));
        }
        _ => {
            if world.runs(node) {
                world.disk(node, Faults { syncs_fail: true, ..Faults::default() });
                world.run(chance.between(10, 800));
                world.crash(node);
                world.disk(node, Faults::default());
                world.start(node);
            }
        }
    }
}

/// Returns how many claims were granted, how many questions answered, and how many leaders elected.
fn run(seed: u64) -> (u64, u64, u64) {
    let nodes = if seed.is_multiple_of(10) { 5 } else { 3 };
    let partitions = if seed.is_multiple_of(4) { 2 } else { 1 };
    let replicas = u8::try_from(nodes).unwrap();
    let setting = Setting { seed, nodes, holders: nodes, replicas, partitions, snapshot_every: 20 + seed % 60 };
    let mut world = World::new(&setting);
    let mut chance = world.chance();
    world.load(true);
    for _ in 0..FAULTS {
        world.run(chance.between(20, 1200));
        fault(&mut world, &mut chance, nodes);
    }
    let found = world.verdict();
    assert!(found.is_empty(), "seed {seed}: {} contradictions, the first: {}", found.len(), found[0]);
    let operations = world.operations();
    let count = |wanted: fn(&Outcome) -> bool| operations.iter().filter(|o| wanted(&o.outcome)).count() as u64;
    let claims = count(|outcome| matches!(outcome, Outcome::Claimed(_)));
    (claims, count(|outcome| matches!(outcome, Outcome::Answered(_))), world.elections() as u64)
}

#[test]
fn whatever_faults_there_were_the_history_is_sound_and_all_is_well_in_the_end() {
    let single = number("ROLLCALL_SIMULATION_SEED");
    let (first, end) =
        single.map_or((0, number("ROLLCALL_SIMULATION_SEEDS").unwrap_or(SEEDS)), |seed| (seed, seed + 1));
    let next = AtomicU64::new(first);
    let sums = Mutex::new((0, 0, 0));
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= end {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                Ok((claims, answers, elections)) => {
                    let mut sums = sums.lock().unwrap();
                    *sums = (sums.0 + claims, sums.1 + answers, sums.2 + elections);
                }
                // The panic itself was printed already, with the seed.
                Err(_) => failed.lock().unwrap().push(seed),
            }
        }
    };
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    let (claims, answers, elections) = sums.into_inner().unwrap();
    println!("{} seeds: {claims} claims, {answers} answers, {elections} elections", end - first);
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "run these again with ROLLCALL_SIMULATION_SEED: {failed:?}");
    let seeds = end - first;
    assert!(claims >= seeds * 5 && answers >= seeds * 20, "too little was done for the run to say anything");
}

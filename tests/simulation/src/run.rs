//! One run: the world begins, faults come and go, all heals, the clients fall silent, and the promises are looked at.

use crate::{
    invariants::{
        Violation, acknowledged_claim_is_not_lost, majority_serves, no_lasting_false_online, will_fires_once,
    },
    plan::{Broken, FAULTS_FROM_MS, FAULTS_UNTIL_MS, Plan},
    world::World,
};

/// Clients act on for so long after everything is healed.
const BUSY_AFTER_HEALING_MS: u64 = 1_000;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// Of all that happened, in order: the same for the same seed.
    pub trace_hash: u64,
    /// The last lines of what happened, or all.
    pub trace: Vec<String>,
    /// Questions answered.
    pub answers: u64,
    /// CONNECTs acknowledged.
    pub acknowledged: u64,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    run_plan(Plan::from_seed(seed), false)
}

/// Runs a seed and keeps the whole trace.
#[must_use]
pub fn run_traced(seed: u64) -> Outcome {
    run_plan(Plan::from_seed(seed), true)
}

/// Runs a seed with a rule broken on purpose.
#[must_use]
pub fn run_broken(seed: u64, rule: Broken) -> Outcome {
    run_plan(Plan { broken: Some(rule), ..Plan::from_seed(seed) }, false)
}

fn run_plan(plan: Plan, whole_trace: bool) -> Outcome {
    let seed = plan.seed;
    let healed_after = plan.healed_after_ms();
    let mut world = World::new(plan, whole_trace);
    world.watch_leaders();
    for node in 0..world.nodes.len() {
        world.start_node(node);
    }
    for client in 0..world.clients.len() {
        let delay = world.random.u64(1..1_000);
        world.after(delay, Box::new(move |world| world.client_loop(client)));
    }
    world.after(1, Box::new(World::question_loop));
    world.after(FAULTS_FROM_MS, Box::new(World::fault_loop));
    world.run_until(FAULTS_UNTIL_MS);
    world.heal();
    world.run_until(FAULTS_UNTIL_MS + BUSY_AFTER_HEALING_MS);
    world.quiet = true;
    let answered = world.oracle.answers;
    world.run_until(FAULTS_UNTIL_MS + BUSY_AFTER_HEALING_MS + healed_after);
    let checks = [
        majority_serves::at_the_end(&world, world.oracle.answers - answered),
        no_lasting_false_online::at_the_end(&world),
        acknowledged_claim_is_not_lost::at_the_end(&world),
        will_fires_once::at_the_end(&world),
    ];
    for verdict in checks {
        world.judge(verdict);
    }
    let acknowledged = world.oracle.connections.values().filter(|fact| fact.acknowledged.is_some()).count() as u64;
    Outcome {
        seed,
        violation: world.violation.clone(),
        trace_hash: world.trace.hash(),
        answers: world.oracle.answers,
        acknowledged,
        trace: world.trace.lines(),
    }
}

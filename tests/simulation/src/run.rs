//! One run: a seed, and what became of it.

use crate::{
    broken::Broken,
    device::{asker, device},
    healing::phases,
    oracle::{Failure, Figures},
    plan::Plan,
    world::World,
};
use rollcall_cluster::{ClusterChange, ClusterCommand};
use rollcall_types::ClusterTime;
use std::rc::Rc;

/// No run takes longer, in simulated time: one that did would be stuck.
const RUN_US_MAX: u64 = 200_000_000;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the seed decided.
    pub plan: Plan,
    /// The promise that did not hold, if one did not.
    pub failure: Option<Failure>,
    /// The hash of everything that happened.
    pub hash: u64,
    /// The trace, or its last part.
    pub trace: Vec<String>,
    /// Simulated microseconds.
    pub simulated_us: u64,
    /// How much was judged.
    pub figures: Figures,
}

/// How much of a run's trace is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tracing {
    /// The last part, to be shown with a failure.
    LastPart,
    /// All of it, printed as it comes.
    Aloud,
}

/// Runs a seed, with a broken rule if one is given.
#[must_use]
pub fn run(seed: u64, broken: Option<Broken>, tracing: Tracing) -> Outcome {
    run_plan(Plan::new(seed), broken, tracing)
}

/// Runs a plan that is not quite what its seed decided.
#[must_use]
pub fn run_plan(plan: Plan, broken: Option<Broken>, tracing: Tracing) -> Outcome {
    let world = World::new(plan, broken);
    if tracing == Tracing::Aloud {
        world.scheduler.trace.aloud();
    }
    world.note(|| format!("{:?}", world.plan));
    for node in world.nodes() {
        world.start(node);
    }
    world.start_groups();
    world.scheduler.spawn(None, found(Rc::clone(&world)));
    for client_id in world.clients.clone() {
        for _ in 0..world.plan.devices_per_client {
            world.scheduler.spawn(None, device(Rc::clone(&world), client_id.clone()));
        }
    }
    for _ in 0..world.plan.askers {
        world.scheduler.spawn(None, asker(Rc::clone(&world)));
    }
    world.scheduler.spawn(None, phases(Rc::clone(&world)));
    world.scheduler.run(RUN_US_MAX);
    if world.scheduler.now_us() >= RUN_US_MAX || !world.scheduler.is_stopped() {
        world.oracle.fail(&world, "majority_serves", "the run never came to its end".to_owned());
    }
    let outcome = Outcome {
        plan: world.plan.clone(),
        failure: world.oracle.failure(),
        hash: world.scheduler.trace.hash(),
        trace: world.scheduler.trace.lines(),
        simulated_us: world.scheduler.now_us(),
        figures: world.oracle.figures(),
    };
    world.clear();
    outcome
}

/// Founds the cluster, at its first leader.
async fn found(world: Rc<World>) {
    while world.cluster.truth(|state| state.facts().is_none()) {
        let leader = world.cluster.leader();
        if let Some(process) = world.machine(leader).running() {
            let change = ClusterChange::Form(Box::new(world.founding()));
            let at: ClusterTime = process.cluster.now(&world);
            let answer = world.cluster.propose(&world, &process, None, ClusterCommand { at, change });
            drop(answer);
        }
        world.pause_ms(100).await;
    }
}

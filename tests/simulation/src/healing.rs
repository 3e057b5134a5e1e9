//! The phases of a run, and what must be true in each: the cluster comes up; faults happen; everything is mended and serves
//! again within its time; clients hold still, and sockets and claims agree; one node dies, and its clients with it; the rest
//! serves.

use crate::{
    device::{WILL_S_MAX, probe},
    group::ELECTION_WITHIN_MS,
    invariants::{Verdict, will_fires_once::FIRED_WITHIN_MS},
    node::GRACE_MS,
    plan::Ms,
    world::{Phase, World},
};
use rollcall_types::NodeId;
use std::rc::Rc;

/// From a whole network to a node that serves: elections, a registration whose first try was lost, a heartbeat.
const SERVES_WITHIN_MS: Ms = 8000;
/// What was sent before everything was mended may be lost: tries that wait for it end in this time.
const TRIES_END_MS: Ms = 2500;
/// How long clients go on while everything is whole.
const WHOLE_MS: Ms = 3000;
/// A connect of a healthy cluster takes no longer, and neither does a release.
const CONNECT_WITHIN_MS: Ms = 1000;
/// Sockets and claims agree in this time beside what reconciliation takes.
const AGREE_WITHIN_MS: Ms = 4000;
/// A dead node's clients are offline in this time beside the lease.
const DEAD_WITHIN_MS: Ms = 1000;
/// How often a condition is looked at.
const LOOK_MS: Ms = 25;

/// Goes through the phases of a run and ends it.
pub async fn phases(world: Rc<World>) {
    if let Err((invariant, sentence)) = through(&world).await {
        world.oracle.fail(&world, invariant, sentence);
    }
    world.oracle.at_the_end(&world);
    world.scheduler.stop();
}

async fn through(world: &Rc<World>) -> Verdict {
    all_serve(world).await?;
    world.note(|| "faults begin".to_owned());
    world.network.set_quality(world.plan.quality_in_faults);
    world.scheduler.spawn(None, crate::faults::faults(Rc::clone(world)));
    world.pause_ms(world.plan.faults_ms).await;
    mend(world);
    world.pause_ms(TRIES_END_MS).await;
    all_serve(world).await?;
    world.phase.set(Phase::Whole);
    world.note(|| "everything serves".to_owned());
    for node in world.nodes() {
        served(probe(world, node, CONNECT_WITHIN_MS).await)?;
    }
    world.pause_ms(WHOLE_MS).await;
    world.phase.set(Phase::Quiet);
    agree(world).await?;
    world.note(|| "sockets and claims agree".to_owned());
    asked_everywhere(world).await?;
    death(world).await
}

/// Ends every fault.
fn mend(world: &Rc<World>) {
    world.note(|| "everything is mended".to_owned());
    world.phase.set(Phase::Mended);
    world.network.mend_all();
    world.network.set_quality(world.plan.quality);
    world.slow.borrow_mut().clear();
    for node in world.nodes() {
        world.resume(node);
        if world.machine(node).running().is_some_and(|process| process.stops()) {
            world.crash(node);
        }
        world.start(node);
    }
}

fn served(result: Result<(), String>) -> Verdict {
    result.map_err(|sentence| ("majority_serves", sentence))
}

/// Waits until every node that runs serves, within the time.
async fn all_serve(world: &Rc<World>) -> Verdict {
    let within_ms = SERVES_WITHIN_MS + 2 * world.terms.lease_ms();
    let idle = |world: &World| -> Option<NodeId> {
        world.nodes().into_iter().find(|node| world.machine(*node).running().is_some_and(|process| !process.serves()))
    };
    for _ in 0..within_ms / LOOK_MS {
        if idle(world).is_none() && !world.without_leader() {
            return Ok(());
        }
        world.pause_ms(LOOK_MS).await;
    }
    let sentence = format!("node {:?} does not serve after {within_ms} ms", idle(world));
    served(Err(sentence))
}

/// Waits until sockets and claims agree, within the time that reconciliation takes.
async fn agree(world: &Rc<World>) -> Verdict {
    let within_ms = GRACE_MS + 2 * world.terms.lease_ms() + AGREE_WITHIN_MS;
    for _ in 0..within_ms / LOOK_MS {
        if world.oracle.converged(world).is_ok() {
            return Ok(());
        }
        world.pause_ms(LOOK_MS).await;
    }
    world.oracle.converged(world)
}

/// Every node knows of every client what the log says.
async fn asked_everywhere(world: &Rc<World>) -> Verdict {
    for node in world.nodes() {
        for client_id in &world.clients {
            if world.ask(node, client_id).await.is_none() {
                return served(Err(format!("node {node} does not answer about {client_id}")));
            }
        }
    }
    Ok(())
}

/// One node dies for good. Its clients are offline within the promised time, and the others serve.
async fn death(world: &Rc<World>) -> Verdict {
    let nodes = world.nodes();
    let Some(node) = world.chance().one_of(&nodes).copied() else { return Ok(()) };
    let mut within_ms = world.terms.lease_ms() + DEAD_WITHIN_MS;
    if world.cluster.leader() == node {
        within_ms += ELECTION_WITHIN_MS;
    }
    world.note(|| format!("{node} dies for good"));
    world.crash(node);
    world.pause_ms(within_ms).await;
    world.oracle.node_is_dead(world, node);
    all_serve(world).await?;
    let living: Vec<NodeId> = world.nodes().into_iter().filter(|other| *other != node).collect();
    if let Some(other) = world.chance().one_of(&living) {
        served(probe(world, *other, CONNECT_WITHIN_MS).await)?;
    }
    // The last wills have their time.
    world.pause_ms(WILL_S_MAX * 1000 + FIRED_WITHIN_MS).await;
    Ok(())
}

//! The fault phase: one fault after the other, each for a while, often several at once.

use crate::{
    plan::{Fault, Ms, Quality},
    world::{Phase, World},
};
use rollcall_types::{GroupId, NodeId};
use std::rc::Rc;

/// Longest time a network stays cut, or bad.
const CUT_MS_MAX: Ms = 12_000;
/// Longest time a process is down.
const DOWN_MS_MAX: Ms = 10_000;
/// Most leases that a process stands still.
const PAUSE_LEASES_MAX: u64 = 4;

/// Makes faults until the phase is over. What is still broken then is mended by whoever begins the next phase.
pub async fn faults(world: Rc<World>) {
    loop {
        world.pause_ms(world.chance().between(50, world.plan.fault_every_ms_max)).await;
        if world.phase.get() != Phase::Faults {
            return;
        }
        if let Some(fault) = world.chance().one_of(&world.plan.faults).copied() {
            make(&world, fault);
        }
    }
}

fn make(world: &Rc<World>, fault: Fault) {
    let Some(node) = victim(world) else { return };
    match fault {
        Fault::Crash => crash(world, &[node]),
        Fault::CrashAll => crash(world, &world.nodes()),
        Fault::Pause => pause(world, node),
        Fault::CutNode => {
            let others = world.nodes().into_iter().filter(|other| *other != node);
            let directions = world.chance().between(0, 3);
            let inward = directions != 1;
            let outward = directions != 2;
            let links = others.flat_map(|other| {
                [(inward, (other, node)), (outward, (node, other))].into_iter().filter(|(cut, _)| *cut).map(|(_, l)| l)
            });
            cut(world, links.collect());
        }
        Fault::CutParts => {
            let mut nodes = world.nodes();
            world.chance().shuffle(&mut nodes);
            let place = world.chance().below(nodes.len()).max(1);
            let (a, b) = nodes.split_at(place);
            cut(world, a.iter().flat_map(|a| b.iter().flat_map(move |b| [(*a, *b), (*b, *a)])).collect());
        }
        Fault::CutPair => {
            if let Some(other) = victim(world).filter(|other| *other != node) {
                cut(world, vec![(node, other), (other, node)]);
            }
        }
        Fault::BadNetwork => bad_network(world),
        Fault::Election => elections(world),
        Fault::Drain => drain(world, node),
        Fault::SlowApply => slow(world, node),
    }
}

/// Some node; often one that leads.
fn victim(world: &World) -> Option<NodeId> {
    let nodes = world.nodes();
    match world.chance().between(0, 9) {
        0..=3 => Some(world.cluster.leader()),
        4 | 5 => world.chance().one_of(&world.partitions).map(|group| group.leader()),
        _ => world.chance().one_of(&nodes).copied(),
    }
}

/// Does something after a time, unless the phase is over by then.
fn later(world: &Rc<World>, ms: Ms, what: impl FnOnce(&Rc<World>) + 'static) {
    let later = Rc::clone(world);
    world.scheduler.spawn(None, async move {
        later.pause_ms(ms).await;
        if later.phase.get() == Phase::Faults {
            what(&later);
        }
    });
}

fn crash(world: &Rc<World>, nodes: &[NodeId]) {
    for node in nodes.iter().copied() {
        world.crash(node);
        let longest = if world.chance().per_mille(500) { 300 } else { DOWN_MS_MAX };
        later(world, world.chance().between(1, longest), move |world| world.start(node));
    }
}

fn pause(world: &Rc<World>, node: NodeId) {
    let ms = world.chance().between(20, world.terms.lease_ms() * PAUSE_LEASES_MAX / world.chance().between(1, 8));
    world.note(|| format!("{node} stands still for {ms} ms"));
    world.scheduler.pause(node);
    later(world, ms, move |world| world.resume(node));
}

fn cut(world: &Rc<World>, links: Vec<(NodeId, NodeId)>) {
    let ms = world.chance().between(50, CUT_MS_MAX / world.chance().between(1, 6));
    world.note(|| format!("cut for {ms} ms: {links:?}"));
    for (from, to) in &links {
        world.network.cut(*from, *to);
    }
    later(world, ms, move |world| {
        for (from, to) in &links {
            world.network.mend(*from, *to);
        }
    });
}

fn bad_network(world: &Rc<World>) {
    let chance = world.chance();
    let bad = Quality {
        delay_us: chance.between(100, 30_000),
        jitter_us: chance.between(100, 200_000),
        lost_per_mille: chance.between(0, 400),
        doubled_per_mille: chance.between(0, 200),
        late_per_mille: chance.between(0, 300),
    };
    world.note(|| format!("the network turns bad: {bad:?}"));
    world.network.set_quality(bad);
    later(world, chance.between(100, CUT_MS_MAX / 2), |world| {
        world.network.set_quality(world.plan.quality_in_faults);
    });
}

fn elections(world: &Rc<World>) {
    let group = world.chance().below(world.partitions.len() + 1);
    for _ in 0..world.chance().between(1, 4) {
        later(world, world.chance().between(0, 1500), move |world| {
            let group = GroupId(u32::try_from(group).unwrap_or(0));
            match group.as_partition() {
                None => world.cluster.depose(world),
                Some(partition) => world.partition(partition).depose(world),
            }
        });
    }
}

fn drain(world: &Rc<World>, node: NodeId) {
    let Some(process) = world.machine(node).running() else { return };
    world.note(|| format!("{node} is told to stop"));
    process.stop();
    // Longer than a drain takes; whoever kills it first does no harm.
    later(world, world.chance().between(5000, DOWN_MS_MAX), move |world| {
        world.crash(node);
        world.start(node);
    });
}

fn slow(world: &Rc<World>, node: NodeId) {
    world.slow.borrow_mut().insert(node);
    world.note(|| format!("{node} is slow to apply"));
    later(world, world.chance().between(100, CUT_MS_MAX), move |world| {
        world.slow.borrow_mut().remove(&node);
    });
}

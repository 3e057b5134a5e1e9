//! A partition's replicas move while clients work, with the steps that the controller takes.

use rollcall_cluster::{ClusterChange, ClusterOutcome};
use rollcall_raft::GroupHandle;
use rollcall_test_raft_simulation::{Setting, WITHIN, World, ms};
use rollcall_types::{GroupId, NodeId, PartitionId};
use std::{collections::BTreeSet, sync::Arc};

const PARTITION: PartitionId = PartitionId(0);

/// Four nodes, three of which hold the partition.
fn world(seed: u64) -> World {
    let mut world = World::new(&Setting { nodes: 4, snapshot_every: 40, ..Setting::three(seed) });
    world.load(true);
    world.run(1000);
    world
}

fn handle(world: &World, node: u64) -> Arc<GroupHandle> {
    world.replication(node).unwrap().groups().handle(GroupId::partition(PARTITION)).unwrap()
}

fn change(world: &mut World, node: u64, change: ClusterChange) {
    let pending = world.on(node, |replication| async move { replication.cluster().change(&change, ms(WITHIN)).await });
    let outcome = world.wait("a change of the cluster", &pending);
    assert!(!matches!(outcome, Err(_) | Ok(ClusterOutcome::Refused(_))), "{outcome:?}");
}

/// Node 4 gets a replica in place of `leaves`, and learns until it lacks nothing.
fn taught(world: &mut World, leader: u64, leaves: u64) -> BTreeSet<NodeId> {
    let voters: BTreeSet<NodeId> = (1..=4).filter(|node| *node != leaves).map(NodeId).collect();
    change(world, 4, ClusterChange::SetPlacement { partition: PARTITION, replicas: voters.iter().copied().collect() });
    world.until("the new replica is open", WITHIN, |world| {
        world.replication(4).unwrap().groups().replica_of(PARTITION).is_some()
    });
    let group = handle(world, leader);
    let added = world.on(leader, |_| async move { group.add_learner(NodeId(4)).await });
    assert_eq!(world.wait("a learner", &added), Ok(()));
    let group = handle(world, leader);
    world.until("the learner has caught up", WITHIN, |_| group.lag_of(NodeId(4)).is_some_and(|lag| lag < 3));
    voters
}

fn vote(
    world: &World,
    leader: u64,
    voters: &BTreeSet<NodeId>,
) -> rollcall_test_raft_simulation::Pending<Result<(), String>> {
    let (group, voters) = (handle(world, leader), voters.clone());
    world.on(leader, |_| async move { group.set_voters(&voters, false).await })
}

fn confirmed(world: &mut World, voters: &BTreeSet<NodeId>, left: u64) {
    let replicas = voters.iter().copied().collect();
    change(world, 4, ClusterChange::ConfirmPlacement { partition: PARTITION, replicas });
    world.until("the former replica is closed", WITHIN, |world| {
        world.replication(left).unwrap().groups().replica_of(PARTITION).is_none()
    });
}

#[test]
fn a_leader_that_makes_room_for_a_new_replica_leaves_no_gap() {
    for seed in 81..83 {
        let mut world = world(seed);
        let leader = world.elected(0, &[]);
        let granted = world.claimed(leader, "held");
        let voters = taught(&mut world, leader, leader);
        let voted = vote(&world, leader, &voters);
        assert_eq!(world.wait("the new voters", &voted), Ok(()));
        let new = world.elected(0, &[leader]);
        assert!(voters.contains(&NodeId(new)));
        confirmed(&mut world, &voters, leader);
        world.run(1000);
        // Without a replica the former leader still asks and claims, through others.
        for node in [leader, 4] {
            let answer = world.answered(node, "held");
            assert!(answer.online && answer.epoch == Some(granted.epoch));
        }
        world.claimed(leader, "from afar");
        assert!(world.answered(4, "from afar").online);
        world.conclude();
    }
}

#[test]
fn a_change_of_voters_that_a_crash_interrupts_is_finished_by_the_next_leader() {
    for (seed, after) in [(84, 1), (85, 4), (86, 8), (87, 15)] {
        let mut world = world(seed);
        let leader = world.elected(0, &[]);
        let leaves = world.others(leader)[0];
        let voters = taught(&mut world, leader, leaves);
        let interrupted = vote(&world, leader, &voters);
        world.run(after);
        world.crash(leader);
        drop(interrupted);
        world.run(1500);
        world.start(leader);
        let voted = loop {
            let new = world.elected(0, &[]);
            let group = handle(&world, new);
            if !group.members().contains(&NodeId(4)) {
                let group = handle(&world, new);
                let added = world.on(new, |_| async move { group.add_learner(NodeId(4)).await });
                let _ = world.wait("a learner", &added);
            }
            let pending = vote(&world, new, &voters);
            match world.wait("the new voters", &pending) {
                Ok(()) => break new,
                Err(_) => world.run(300),
            }
        };
        assert_eq!(handle(&world, voted).voter_sets(), vec![voters.clone()], "seed {seed}");
        confirmed(&mut world, &voters, leaves);
        world.run(1000);
        world.conclude();
    }
}

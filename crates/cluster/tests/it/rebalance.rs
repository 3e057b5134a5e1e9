//! Moves between placements: they end, balanced, and move little.

use proptest::prelude::*;
use rollcall_cluster::{
    planner::initial_placement,
    rebalance::{Layout, Standing},
};
use rollcall_types::{NodeId, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

type Placement = BTreeMap<PartitionId, Vec<NodeId>>;

fn staying() -> Standing {
    Standing { zone: None, may_receive: true, must_leave: false }
}

fn ids(count: u64) -> Vec<NodeId> {
    (1..=count).map(NodeId).collect()
}

/// Carries out all moves; returns the placement and how many replicas were given a new place.
fn settle(nodes: &BTreeMap<NodeId, Standing>, mut placement: Placement, wanted: u8) -> (Placement, usize) {
    let mut given = 0;
    for _ in 0..10_000 {
        let layout = Layout { nodes: nodes.clone(), placement: &placement, wanted, busy: BTreeSet::new() };
        let Some((partition, next)) = layout.next_move() else { return (placement, given) };
        let before = &placement[&partition];
        let distinct: BTreeSet<&NodeId> = next.iter().collect();
        assert!(distinct.len() == next.len() && !next.is_empty(), "{next:?}");
        assert_ne!(before, &next, "a move changes something");
        let fresh = next.iter().filter(|node| !before.contains(node)).count();
        assert!(fresh <= 1, "one replica at a time: {before:?} to {next:?}");
        given += fresh;
        placement.insert(partition, next);
    }
    panic!("the moves do not end");
}

fn counts(nodes: &BTreeMap<NodeId, Standing>, held: impl Iterator<Item = NodeId>) -> Vec<usize> {
    let mut counts: BTreeMap<NodeId, usize> =
        nodes.iter().filter(|(_, s)| s.may_receive && !s.must_leave).map(|(node, _)| (*node, 0)).collect();
    held.for_each(|node| *counts.entry(node).or_default() += 1);
    counts.into_values().collect()
}

fn difference(counts: &[usize]) -> usize {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn members_come_and_go_and_every_partition_keeps_its_replicas(
        before in 1_u64..8, joined in 0_u64..5, leave in proptest::collection::btree_set(1_u64..12, 0..4),
        partitions in 1_u16..20, wanted in 1_u8..6,
    ) {
        let mut nodes: BTreeMap<NodeId, Standing> =
            ids(before + joined).into_iter().map(|node| (node, staying())).collect();
        for node in leave {
            if let Some(standing) = nodes.get_mut(&NodeId(node)) {
                standing.must_leave = true;
            }
        }
        let remaining = nodes.values().filter(|standing| !standing.must_leave).count();
        prop_assume!(remaining > 0);
        let (placement, _) = settle(&nodes, initial_placement(&ids(before), partitions, wanted), wanted);
        for set in placement.values() {
            prop_assert_eq!(set.len(), remaining.min(usize::from(wanted)));
            prop_assert!(set.iter().all(|node| !nodes[node].must_leave));
        }
        let held = counts(&nodes, placement.values().flatten().copied());
        prop_assert!(difference(&held) <= 1, "replicas {:?}", held);
        let led = counts(&nodes, placement.values().filter_map(|set| set.first().copied()));
        prop_assert!(difference(&led) <= 1, "leaders {:?}", led);
    }

    #[test]
    fn a_balanced_cluster_is_left_alone(count in 1_u64..9, partitions in 1_u16..30, wanted in 1_u8..6) {
        let nodes = ids(count).into_iter().map(|node| (node, staying())).collect();
        let placement = initial_placement(&ids(count), partitions, wanted);
        let layout = Layout { nodes, placement: &placement, wanted, busy: BTreeSet::new() };
        prop_assert_eq!(layout.next_move(), None);
    }

    #[test]
    fn no_two_replicas_share_a_zone_where_there_are_enough(
        zones in proptest::collection::vec(0_u8..4, 3..10), partitions in 1_u16..16,
    ) {
        let nodes: BTreeMap<NodeId, Standing> = (1..).map(NodeId).zip(&zones).map(|(node, zone)| {
            (node, Standing { zone: Some(format!("z{zone}")), ..staying() })
        }).collect();
        let distinct = zones.iter().collect::<BTreeSet<_>>().len();
        let placement = initial_placement(&ids(zones.len() as u64), partitions, 3);
        let (placement, _) = settle(&nodes, placement, 3);
        for set in placement.values() {
            let used: BTreeSet<&Option<String>> = set.iter().map(|node| &nodes[node].zone).collect();
            prop_assert_eq!(used.len(), distinct.min(3), "{:?}", set);
        }
    }
}

#[test]
fn a_fourth_node_takes_no_more_than_its_share() {
    let nodes: BTreeMap<NodeId, Standing> = ids(4).into_iter().map(|node| (node, staying())).collect();
    let (placement, given) = settle(&nodes, initial_placement(&ids(3), 8, 3), 3);
    assert_eq!(given, 6, "8 * 3 replicas over 4 nodes are 6 for each: {placement:?}");
}

#[test]
fn a_replaced_node_hands_all_it_held_to_its_successor() {
    let mut nodes: BTreeMap<NodeId, Standing> = ids(4).into_iter().map(|node| (node, staying())).collect();
    nodes.insert(NodeId(2), Standing { must_leave: true, ..Standing::default() });
    let before = initial_placement(&ids(3), 6, 3);
    let (placement, given) = settle(&nodes, before.clone(), 3);
    assert_eq!(given, 6);
    for (partition, set) in placement {
        let kept = before[&partition].iter().filter(|node| set.contains(node)).count();
        assert_eq!(kept, 2, "those that stay, stay");
    }
}

#[test]
fn a_dead_node_keeps_its_replicas_and_is_given_none() {
    let mut nodes: BTreeMap<NodeId, Standing> = ids(4).into_iter().map(|node| (node, staying())).collect();
    nodes.insert(NodeId(3), Standing::default());
    let before = initial_placement(&ids(3), 6, 3);
    let (placement, _) = settle(&nodes, before, 3);
    assert!(placement.values().all(|set| set.contains(&NodeId(3))));
}

#[test]
fn a_partition_on_its_way_is_changed_only_for_what_leaves() {
    let mut nodes: BTreeMap<NodeId, Standing> = ids(4).into_iter().map(|node| (node, staying())).collect();
    let placement = initial_placement(&ids(3), 2, 3);
    let busy: BTreeSet<PartitionId> = placement.keys().copied().collect();
    let plan = |nodes: &BTreeMap<NodeId, Standing>| {
        Layout { nodes: nodes.clone(), placement: &placement, wanted: 3, busy: busy.clone() }.next_move()
    };
    assert_eq!(plan(&nodes), None);
    nodes.insert(NodeId(1), Standing { must_leave: true, ..Standing::default() });
    assert!(plan(&nodes).is_some_and(|(_, set)| !set.contains(&NodeId(1)) && set.contains(&NodeId(4))));
}

//! What a placement must be, for any number of nodes, partitions and replicas.

use proptest::prelude::*;
use rollcall_cluster::planner::{cluster_group_voters, initial_placement};
use rollcall_types::NodeId;
use std::collections::{BTreeMap, BTreeSet};

fn nodes(count: u64) -> Vec<NodeId> {
    (1..=count).map(|id| NodeId(id * 3)).collect()
}

fn difference(counts: &BTreeMap<NodeId, u32>) -> u32 {
    counts.values().max().unwrap() - counts.values().min().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_placement_is_distinct_and_balanced(count in 1_u64..14, partitions in 1_u16..80, replicas in 1_u8..8) {
        let nodes = nodes(count);
        let placement = initial_placement(&nodes, partitions, replicas);
        prop_assert_eq!(placement.len(), usize::from(partitions));
        let mut held: BTreeMap<NodeId, u32> = nodes.iter().map(|node| (*node, 0)).collect();
        let mut led = held.clone();
        for set in placement.values() {
            let distinct: BTreeSet<&NodeId> = set.iter().collect();
            prop_assert_eq!(distinct.len(), set.len());
            prop_assert_eq!(set.len(), usize::from(replicas).min(nodes.len()));
            set.iter().for_each(|node| *held.get_mut(node).unwrap() += 1);
            *led.get_mut(&set[0]).unwrap() += 1;
        }
        prop_assert!(difference(&held) <= 1, "replicas {:?}", held);
        prop_assert!(difference(&led) <= 1, "leaders {:?}", led);
    }

    #[test]
    fn voters_are_members_and_present_ones_stay(
        members in proptest::collection::btree_set(1_u64..12, 1..10),
        present in proptest::collection::btree_set(1_u64..12, 0..6),
    ) {
        let members: Vec<NodeId> = members.into_iter().map(NodeId).collect();
        let present: Vec<NodeId> = present.into_iter().map(NodeId).collect();
        let voters = cluster_group_voters(&members, &present);
        let expected = match members.len() { small @ 1..=2 => small, 3 | 4 => 3, _ => 5 };
        prop_assert_eq!(voters.len(), expected);
        prop_assert!(voters.iter().all(|voter| members.contains(voter)));
        let staying = present.iter().filter(|node| members.contains(node)).count().min(expected);
        prop_assert_eq!(voters.iter().filter(|voter| present.contains(voter)).count(), staying);
    }
}

#[test]
fn the_order_of_the_nodes_does_not_matter() {
    let mut backwards = nodes(5);
    backwards.reverse();
    assert_eq!(initial_placement(&nodes(5), 6, 3), initial_placement(&backwards, 6, 3));
}

#[test]
fn without_nodes_nothing_is_placed_anywhere() {
    assert!(initial_placement(&[], 3, 3).values().all(Vec::is_empty));
}

#[test]
fn four_nodes_with_six_partitions_have_leaders_on_all() {
    let leaders: BTreeSet<NodeId> = initial_placement(&nodes(4), 6, 3).values().map(|set| set[0]).collect();
    assert_eq!(leaders.len(), 4);
}

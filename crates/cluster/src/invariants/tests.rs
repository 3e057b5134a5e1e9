//! Each invariant notices its violation: a state is spoilt by hand, and the promise broken is named, by the function
//! itself and by the watch of the running server.

#![allow(clippy::unwrap_used)]

use super::{ALL, Watch, of_state, of_step};
use crate::{
    ClusterChange, ClusterCommand, ClusterState, DirectoryId, Effect, Founding, FoundingMember, NodeAddresses, Policy,
    RetainCondition, Role, User,
};
use rollcall_types::{ClusterTime, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use std::collections::{BTreeMap, BTreeSet};

fn apply(state: &mut ClusterState, change: ClusterChange) {
    let index = LogIndex(state.applied.0 + 1);
    state.apply(index, ClusterCommand { at: ClusterTime(1000 * index.0), change });
}

/// Three members, of which one has served twice; a user and a policy; a partition on its way; a node that has left.
fn sound() -> ClusterState {
    let member = |id: u64, of: u8| FoundingMember {
        id: NodeId(id),
        name: NodeName(format!("n{id}")),
        directory: DirectoryId([of; 16]),
        addresses: NodeAddresses::default(),
    };
    let founding = Founding {
        cluster_id: "0".repeat(32),
        name: "main".to_owned(),
        partitions: 1,
        replicas: 1,
        lease_ms: 4000,
        members: vec![member(1, 1), member(2, 2), member(3, 3), member(4, 4)],
        placement: BTreeMap::from([(PartitionId(0), vec![NodeId(1)])]),
        users: vec![User { username: "root".to_owned(), password_hash: "$".to_owned(), role: Role::Admin }],
        policies: vec![Policy {
            name: "first".to_owned(),
            effect: Effect::Deny,
            actions: Vec::new(),
            resources: Vec::new(),
            client_id: None,
            username: None,
            ip: None,
            qos: Vec::new(),
            retain: RetainCondition::Both,
        }],
        offline_record_keep_s: 60,
    };
    let register = |after| ClusterChange::RegisterIncarnation {
        node: NodeId(1),
        directory: DirectoryId([1; 16]),
        addresses: NodeAddresses::default(),
        after: Incarnation(after),
    };
    let mut state = ClusterState::default();
    apply(&mut state, ClusterChange::Form(Box::new(founding)));
    apply(&mut state, register(0));
    apply(&mut state, register(1));
    apply(&mut state, ClusterChange::SetPlacement { partition: PartitionId(0), replicas: vec![NodeId(2)] });
    apply(&mut state, ClusterChange::RemoveMember { node: NodeId(4) });
    assert_eq!((state.moving.len(), state.departed.len()), (1, 1));
    state
}

type Spoil = fn(&mut ClusterState);

fn names(violations: &[super::Violation]) -> BTreeSet<&'static str> {
    violations.iter().map(|violation| violation.invariant).collect()
}

/// The promises broken, by the functions over one state and by the watch.
fn broken_state(spoil: Spoil) -> BTreeSet<&'static str> {
    let mut state = sound();
    assert_eq!(of_state(&state), []);
    spoil(&mut state);
    let found = names(&of_state(&state));
    assert_eq!(names(&Watch::default().look(&state)), found);
    found
}

/// The promises broken by a step from a sound state to a spoilt one.
fn broken_step(spoil: Spoil) -> BTreeSet<&'static str> {
    let before = sound();
    let mut watch = Watch::default();
    assert_eq!(watch.look(&before), []);
    let mut after = before.clone();
    apply(&mut after, ClusterChange::DeleteUser { username: "root".to_owned() });
    assert_eq!(of_step(&before, &after), []);
    assert_eq!(watch.clone().look(&after), []);
    spoil(&mut after);
    let found = names(&of_step(&before, &after));
    assert!(names(&watch.look(&after)).is_superset(&found));
    assert_eq!(names(&watch.look(&after)), BTreeSet::new(), "nothing was applied since");
    found
}

fn member(state: &mut ClusterState, node: u64) -> &mut crate::Member {
    state.members.get_mut(&NodeId(node)).unwrap()
}

#[test]
fn every_broken_promise_about_one_state_is_named() {
    let spoils: [(&str, Spoil); 11] = [
        ("members_are_distinct", |state| member(state, 2).name = NodeName("n1".to_owned())),
        ("members_are_distinct", |state| member(state, 2).directory = DirectoryId([1; 16])),
        ("retired_was_handed_out", |state| member(state, 2).retired = Incarnation(7)),
        ("placement_names_members", |state| _ = state.placement.remove(&PartitionId(0))),
        ("placement_names_members", |state| _ = state.placement.insert(PartitionId(9), vec![NodeId(1)])),
        ("placement_names_members", |state| _ = state.placement.insert(PartitionId(0), vec![NodeId(2); 2])),
        ("placement_names_members", |state| _ = state.placement.insert(PartitionId(0), vec![NodeId(4)])),
        ("placement_names_members", |state| _ = state.placement.insert(PartitionId(0), Vec::new())),
        ("placement_names_members", |state| {
            state.moving.insert(PartitionId(0), BTreeSet::from([NodeId(2)]));
        }),
        ("access_names_are_unique", |state| state.policies.push(state.policies[0].clone())),
        ("access_names_are_unique", |state| {
            let root = state.users["root"].clone();
            state.users.insert("other".to_owned(), root);
        }),
    ];
    for (name, spoil) in spoils {
        assert_eq!(broken_state(spoil), BTreeSet::from([name]));
    }
}

#[test]
fn every_broken_promise_about_a_step_is_named() {
    let spoils: [(&str, Spoil); 9] = [
        ("incarnations_only_grow", |state| member(state, 1).incarnation = Incarnation(1)),
        ("retired_never_revives", |state| member(state, 1).retired = Incarnation(0)),
        ("positions_only_grow", |state| state.applied = LogIndex(1)),
        ("positions_only_grow", |state| state.time = ClusterTime(1)),
        ("founding_never_changes", |state| state.facts = None),
        ("founding_never_changes", |state| {
            if let Some(facts) = &mut state.facts {
                facts.lease_ms = 1;
            }
        }),
        ("node_ids_are_never_reused", |state| state.departed.clear()),
        ("node_ids_are_never_reused", |state| _ = state.members.remove(&NodeId(3))),
        ("node_ids_are_never_reused", |state| {
            let member = state.members[&NodeId(3)].clone();
            state.departed.clear();
            state.members.insert(NodeId(4), member);
        }),
    ];
    for (name, spoil) in spoils {
        assert_eq!(broken_step(spoil), BTreeSet::from([name]));
    }
}

#[test]
fn every_promise_is_in_the_list_of_names() {
    let spoilt: [Spoil; 9] = [
        |state| member(state, 2).name = NodeName("n1".to_owned()),
        |state| member(state, 2).retired = Incarnation(7),
        |state| state.placement.clear(),
        |state| state.policies.push(state.policies[0].clone()),
        |state| member(state, 1).incarnation = Incarnation(1),
        |state| member(state, 1).retired = Incarnation(0),
        |state| state.time = ClusterTime(1),
        |state| state.facts = None,
        |state| state.departed.clear(),
    ];
    let before = sound();
    let all = spoilt.iter().flat_map(|spoil| {
        let mut after = before.clone();
        spoil(&mut after);
        let mut found = of_state(&after);
        found.extend(of_step(&before, &after));
        names(&found)
    });
    assert_eq!(all.collect::<BTreeSet<_>>(), BTreeSet::from(ALL));
}

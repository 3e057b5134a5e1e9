//! What format version 1 wrote is read and applied alike for ever: every change of the cluster's state and every
//! outcome, what nodes tell each other before they share a log, and a log with the snapshot that it makes. The version
//! byte before all this is the business of whoever stores and sends it.

use crate::{
    bytes::{decode, encode, hold, hold_variants, stored},
    notation::directory,
};
use rollcall_cluster::{
    Action, ClusterChange, ClusterCommand, ClusterOutcome, ClusterRefusal, ClusterState, Effect, FormedCluster,
    Founding, FoundingError, FoundingMember, Hello, KnownMember, NodeAddresses, Policy, RetainCondition, Role, User,
    invariants,
};
use rollcall_types::{ClusterTime, Incarnation, LogIndex, NodeId, NodeName, PartitionId};
use std::collections::BTreeMap;

fn name(text: &str) -> NodeName {
    NodeName(text.to_owned())
}

fn addresses(node: u64) -> NodeAddresses {
    NodeAddresses {
        mesh: format!("node-{node}.example:7883"),
        mqtt: Some(format!("node-{node}.example:1883")),
        http: Some("[2001:db8::1]:8080".to_owned()),
        admin: None,
        zone: Some("a".to_owned()),
    }
}

fn user(username: &str, role: Role) -> User {
    User { username: username.to_owned(), password_hash: "$argon2id$v=19$stored".to_owned(), role }
}

fn full_policy() -> Policy {
    Policy {
        name: "devices".to_owned(),
        effect: Effect::Allow,
        actions: vec![Action::Connect, Action::Pub, Action::Sub],
        resources: vec!["up/${ClientId}/#".to_owned()],
        client_id: Some("sensor*".to_owned()),
        username: Some("${Username}".to_owned()),
        ip: Some("192.0.2.0/24".to_owned()),
        qos: vec![0, 1],
        retain: RetainCondition::Retained,
    }
}

fn bare_policy(name: &str, retain: RetainCondition) -> Policy {
    Policy {
        name: name.to_owned(),
        effect: Effect::Deny,
        actions: vec![Action::Connect],
        resources: Vec::new(),
        client_id: None,
        username: None,
        ip: None,
        qos: vec![0, 1, 2],
        retain,
    }
}

fn founding() -> Founding {
    let members = (1..=3).map(|id| FoundingMember {
        id: NodeId(id),
        name: name(&format!("n{id}")),
        directory: directory(u8::try_from(id).unwrap()),
        addresses: addresses(id),
    });
    let placement = BTreeMap::from([
        (PartitionId(0), vec![NodeId(1), NodeId(2)]),
        (PartitionId(1), vec![NodeId(2), NodeId(3)]),
        (PartitionId(2), vec![NodeId(3), NodeId(1)]),
    ]);
    Founding {
        cluster_id: "0123456789abcdef0123456789abcdef".to_owned(),
        name: "main".to_owned(),
        partitions: 3,
        replicas: 2,
        lease_ms: 4000,
        members: members.collect(),
        placement,
        users: vec![user("root", Role::Admin)],
        policies: vec![bare_policy("last", RetainCondition::Both)],
        offline_record_keep_s: 604_800,
    }
}

fn register(node: u64, of: u8, after: u64) -> ClusterChange {
    ClusterChange::RegisterIncarnation {
        node: NodeId(node),
        directory: directory(of),
        addresses: addresses(node),
        after: Incarnation(after),
    }
}

fn retire(node: u64, up_to: u64) -> ClusterChange {
    ClusterChange::Retire { node: NodeId(node), up_to: Incarnation(up_to) }
}

fn add(text: &str, of: u8) -> ClusterChange {
    ClusterChange::AddMember { name: name(text), directory: directory(of), addresses: addresses(u64::from(of)) }
}

fn place(partition: u16, replicas: &[u64]) -> ClusterChange {
    ClusterChange::SetPlacement {
        partition: PartitionId(partition),
        replicas: replicas.iter().copied().map(NodeId).collect(),
    }
}

fn confirm(partition: u16, replicas: &[u64]) -> ClusterChange {
    ClusterChange::ConfirmPlacement {
        partition: PartitionId(partition),
        replicas: replicas.iter().copied().map(NodeId).collect(),
    }
}

#[test]
fn every_change_of_format_1_is_read_and_written_as_ever() {
    let mut changes = vec![
        ClusterChange::Form(Box::new(founding())),
        register(2, 2, 300),
        retire(2, 300),
        ClusterChange::DeleteUser { username: "dev".to_owned() },
        ClusterChange::PutPolicy(Box::new(full_policy())),
        ClusterChange::PutPolicy(Box::new(bare_policy("bare", RetainCondition::NotRetained))),
        ClusterChange::PutPolicy(Box::new(bare_policy("bare", RetainCondition::Both))),
        ClusterChange::DeletePolicy { name: "bare".to_owned() },
        ClusterChange::MovePolicy { name: "bare".to_owned(), to: 300 },
        place(511, &[1, 300]),
        add("n4", 4),
        ClusterChange::RemoveMember { node: NodeId(4) },
        ClusterChange::Leave { node: NodeId(4) },
        confirm(511, &[1, 300]),
    ];
    let roles = [Role::Client, Role::Viewer, Role::Operator, Role::Admin];
    changes.extend(roles.map(|role| ClusterChange::PutUser(user("dev", role))));
    hold_variants("change", changes, |change| match change {
        ClusterChange::Form(_) => "change: the cluster is founded",
        ClusterChange::RegisterIncarnation { .. } => "change: an incarnation is registered",
        ClusterChange::Retire { .. } => "change: incarnations are retired",
        ClusterChange::PutUser(_) => "change: a user is put",
        ClusterChange::DeleteUser { .. } => "change: a user is deleted",
        ClusterChange::PutPolicy(_) => "change: a policy is put",
        ClusterChange::DeletePolicy { .. } => "change: a policy is deleted",
        ClusterChange::MovePolicy { .. } => "change: a policy is moved",
        ClusterChange::SetPlacement { .. } => "change: a partition is placed",
        ClusterChange::AddMember { .. } => "change: a member is added",
        ClusterChange::RemoveMember { .. } => "change: a member is removed",
        ClusterChange::Leave { .. } => "change: a member is to leave",
        ClusterChange::ConfirmPlacement { .. } => "change: a placement is confirmed",
        ClusterChange::Manage(_) | ClusterChange::RegisterCertificate { .. } => "change: of format 2",
    });
}

#[test]
fn every_outcome_of_format_1_is_read_and_written_as_ever() {
    let node = NodeId(300);
    let incarnation = Incarnation(7);
    let outcomes = vec![
        ClusterOutcome::Formed,
        ClusterOutcome::AlreadyFormed { cluster_id: founding().cluster_id },
        ClusterOutcome::Registered { incarnation },
        ClusterOutcome::Retired { up_to: incarnation },
        ClusterOutcome::MemberAdded { node },
        ClusterOutcome::Done,
        ClusterOutcome::Unchanged,
        ClusterOutcome::Refused(ClusterRefusal::NotFormed),
    ];
    hold_variants("outcome", outcomes, |outcome| match outcome {
        ClusterOutcome::Formed => "outcome: founded",
        ClusterOutcome::AlreadyFormed { .. } => "outcome: founded before",
        ClusterOutcome::Registered { .. } => "outcome: an incarnation is registered",
        ClusterOutcome::Retired { .. } => "outcome: incarnations are retired",
        ClusterOutcome::MemberAdded { .. } => "outcome: a member is added",
        ClusterOutcome::Done => "outcome: done",
        ClusterOutcome::Unchanged => "outcome: nothing was left to do",
        ClusterOutcome::Refused(_) => "outcome: refused",
    });
    let foundings = vec![
        FoundingError::MemberCount,
        FoundingError::Empty,
        FoundingError::MembersNotDistinct,
        FoundingError::Placement(PartitionId(300)),
        FoundingError::Access,
    ];
    hold_variants("founding-error", foundings, |error| match error {
        FoundingError::MemberCount => "founding error: number of members",
        FoundingError::Empty => "founding error: no partitions or replicas",
        FoundingError::MembersNotDistinct => "founding error: members are not distinct",
        FoundingError::Placement(_) => "founding error: a placement",
        FoundingError::Access => "founding error: users or policies",
    });
    let refusals = vec![
        ClusterRefusal::NotFormed,
        ClusterRefusal::InvalidFounding(FoundingError::Access),
        ClusterRefusal::UnknownMember { node },
        ClusterRefusal::NotTheLast { last: incarnation },
        ClusterRefusal::StillAlive { incarnation },
        ClusterRefusal::Leaving { node },
        ClusterRefusal::NameTaken { node },
        ClusterRefusal::DirectoryTaken { node },
        ClusterRefusal::InvalidPlacement,
        ClusterRefusal::HoldsReplicas { partitions: 3 },
        ClusterRefusal::LastMember,
        ClusterRefusal::UnknownUser,
        ClusterRefusal::UnknownPolicy,
        ClusterRefusal::TooMany { limit: 100_000 },
    ];
    hold_variants("refusal", refusals, |refusal| match refusal {
        ClusterRefusal::NotFormed => "refusal: no cluster yet",
        ClusterRefusal::InvalidFounding(_) => "refusal: the founding contradicts itself",
        ClusterRefusal::UnknownMember { .. } => "refusal: no such member",
        ClusterRefusal::NotTheLast { .. } => "refusal: another incarnation was handed out",
        ClusterRefusal::StillAlive { .. } => "refusal: an incarnation is alive",
        ClusterRefusal::Leaving { .. } => "refusal: the member is leaving",
        ClusterRefusal::NameTaken { .. } => "refusal: the name is taken",
        ClusterRefusal::DirectoryTaken { .. } => "refusal: the directory is taken",
        ClusterRefusal::InvalidPlacement => "refusal: the placement is none",
        ClusterRefusal::HoldsReplicas { .. } => "refusal: the member holds replicas",
        ClusterRefusal::LastMember => "refusal: the last member stays",
        ClusterRefusal::UnknownUser => "refusal: no such user",
        ClusterRefusal::UnknownPolicy => "refusal: no such policy",
        ClusterRefusal::TooMany { .. } => "refusal: a bound is reached",
        ClusterRefusal::ConditionFailed
        | ClusterRefusal::UnknownBlockRule
        | ClusterRefusal::UnknownToken
        | ClusterRefusal::LastAdmin
        | ClusterRefusal::UnknownAuthority
        | ClusterRefusal::UnknownCertificate
        | ClusterRefusal::AuthorityInUse
        | ClusterRefusal::CertificateRevoked => "refusal: of format 2",
    });
}

#[test]
fn what_nodes_of_format_1_tell_each_other_is_read_and_written_as_ever() {
    let known = |id| KnownMember { id: NodeId(id), name: name("n1"), directory: directory(1) };
    let formed = FormedCluster {
        cluster_id: founding().cluster_id,
        cluster_name: "main".to_owned(),
        members: vec![known(1), known(300)],
    };
    let hello = |formed| Hello {
        name: name("n1"),
        directory: directory(1),
        addresses: addresses(1),
        seeds_hash: 0x0123_4567_89ab_cdef,
        expect_nodes: 3,
        cluster_name: "main".to_owned(),
        partitions: 64,
        replicas: 3,
        lease_ms: 4000,
        formed,
    };
    hold("hello", &[("the hello of an empty node", hello(None)), ("the hello of a member", hello(Some(formed)))]);
    hold("founding", &[("a founding, as the header of a data directory keeps it", founding())]);
}

/// A log whose state holds something in every part, with what each entry does.
fn log() -> Vec<(&'static str, ClusterCommand)> {
    let put = |name, retain| ClusterChange::PutPolicy(Box::new(bare_policy(name, retain)));
    let changes = vec![
        ("refused: there is no cluster", register(1, 1, 0)),
        ("the cluster is founded", ClusterChange::Form(Box::new(founding()))),
        ("another founder says so, too", ClusterChange::Form(Box::new(founding()))),
        ("node 1 serves", register(1, 1, 0)),
        ("node 2 serves", register(2, 2, 0)),
        ("node 3 serves", register(3, 3, 0)),
        ("node 1 starts again", register(1, 1, 1)),
        ("node 2 is dead", retire(2, 1)),
        ("a node joins", add("n4", 4)),
        ("node 4 serves", register(4, 4, 0)),
        ("refused: node 3 is alive", add("n3", 5)),
        ("node 3 is dead", retire(3, 99)),
        ("a node takes the place of node 3", add("n3", 5)),
        ("node 2 is to leave", ClusterChange::Leave { node: NodeId(2) }),
        ("partition 0 goes from node 2 to node 4", place(0, &[1, 4])),
        ("partition 1 goes from node 2 to node 4", place(1, &[4, 3])),
        ("partition 0 has gone", confirm(0, &[4, 1])),
        ("a late report of partition 1", confirm(1, &[2, 3])),
        ("refused: node 2 holds a replica", ClusterChange::RemoveMember { node: NodeId(2) }),
        ("partition 1 has gone", confirm(1, &[4, 3])),
        ("node 2 has left", ClusterChange::RemoveMember { node: NodeId(2) }),
        ("partition 2 is on its way from node 3", place(2, &[1, 4])),
        ("a user", ClusterChange::PutUser(user("dev", Role::Viewer))),
        ("another user", ClusterChange::PutUser(user("gone", Role::Client))),
        ("who is deleted", ClusterChange::DeleteUser { username: "gone".to_owned() }),
        ("a policy", ClusterChange::PutPolicy(Box::new(full_policy()))),
        ("another policy", put("first", RetainCondition::NotRetained)),
        ("which comes first", ClusterChange::MovePolicy { name: "first".to_owned(), to: 0 }),
        ("a third policy", put("gone", RetainCondition::Both)),
        ("which is deleted", ClusterChange::DeletePolicy { name: "gone".to_owned() }),
    ];
    let command = |(at, (what, change))| (what, ClusterCommand { at: ClusterTime(at), change });
    // The last proposer's clock lies behind: time stands still.
    let times = (1..).map(|n| if n == changes.len() { 0 } else { 1_000_000 + 500 * n as u64 });
    times.zip(changes.clone()).map(command).collect()
}

#[test]
fn a_log_of_format_1_is_applied_as_ever_and_makes_the_snapshot_of_format_1() {
    let log = log();
    hold("log", &log);
    let written: Vec<_> = log.iter().map(|(what, command)| ((*what).to_owned(), encode(command))).collect();
    let mut state = ClusterState::default();
    let mut outcomes = Vec::new();
    for ((index, (what, _)), bytes) in (10..).zip(&log).zip(stored("log", &written)) {
        let outcome = state.apply(LogIndex(index), decode(&bytes));
        assert_eq!(matches!(outcome, ClusterOutcome::Refused(_)), what.starts_with("refused"), "{what}: {outcome:?}");
        assert_eq!(invariants::of_state(&state), []);
        outcomes.push((*what, outcome));
    }
    hold("log-outcomes", &outcomes);
    every_part_holds_something(&state);
    hold("snapshot", &[("the state after the log, from index 10 on", state)]);
}

/// Or the snapshot would not show what it is to show.
fn every_part_holds_something(state: &ClusterState) {
    assert!(state.facts().is_some() && state.has_departed(NodeId(2)));
    assert!(state.members().values().any(|member| member.leaving));
    assert!(state.members().values().any(|member| member.alive().is_some()));
    assert_eq!(state.moving().len(), 1);
    assert_eq!(state.users().len(), 2);
    let policies: Vec<_> = state.policies().iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(policies, ["first", "last", "devices"]);
}

//! What is stored keeps its form: variants by number, states through a snapshot.

use crate::notation::directory;
use rollcall_cluster::{
    Action, ClusterChange, ClusterState, Effect, NodeAddresses, Policy, RetainCondition, Role, User,
};
use rollcall_types::{Incarnation, NodeId, NodeName, PartitionId};

fn policy() -> Policy {
    serde_json::from_str(r#"{"name":"p","effect":"allow","actions":["connect","pub","sub"],"retain":1}"#).unwrap()
}

#[test]
fn every_change_keeps_its_number_and_survives_the_encoding() {
    let name = || "x".to_owned();
    let node = NodeId(1);
    let addresses = NodeAddresses::default;
    let user = User { username: name(), password_hash: "$h".to_owned(), role: Role::Operator };
    let after = Incarnation(4);
    let changes = [
        (1, ClusterChange::RegisterIncarnation { node, directory: directory(1), addresses: addresses(), after }),
        (2, ClusterChange::Retire { node, up_to: Incarnation(3) }),
        (3, ClusterChange::PutUser(user)),
        (4, ClusterChange::DeleteUser { username: name() }),
        (5, ClusterChange::PutPolicy(Box::new(policy()))),
        (6, ClusterChange::DeletePolicy { name: name() }),
        (7, ClusterChange::MovePolicy { name: name(), to: 2 }),
        (8, ClusterChange::SetPlacement { partition: PartitionId(1), replicas: vec![node] }),
        (9, ClusterChange::AddMember { name: NodeName(name()), directory: directory(2), addresses: addresses() }),
        (10, ClusterChange::RemoveMember { node }),
        (11, ClusterChange::Leave { node }),
        (12, ClusterChange::ConfirmPlacement { partition: PartitionId(1), replicas: vec![node] }),
    ];
    for (number, change) in changes {
        let bytes = postcard::to_stdvec(&change).unwrap();
        assert_eq!(bytes[0], number, "{change}");
        assert_eq!(postcard::from_bytes::<ClusterChange>(&bytes).unwrap(), change);
    }
}

#[test]
fn an_empty_state_survives_a_snapshot() {
    let state = ClusterState::default();
    let bytes = postcard::to_stdvec(&state).unwrap();
    assert_eq!(postcard::from_bytes::<ClusterState>(&bytes).unwrap(), state);
}

#[test]
fn a_policy_reads_as_it_is_written_in_the_configuration() {
    let policy = policy();
    assert_eq!((policy.effect, policy.retain), (Effect::Allow, RetainCondition::Retained));
    assert_eq!(policy.actions, [Action::Connect, Action::Pub, Action::Sub]);
    assert_eq!(policy.qos, [0, 1, 2], "left out, it means every QoS");
    assert_eq!((policy.resources.len(), policy.client_id.as_deref(), policy.ip.as_deref()), (0, None, None));
    let refused = serde_json::from_str::<Policy>(r#"{"name":"p","effect":"allow","actions":["pub"],"retain":4}"#);
    assert!(refused.unwrap_err().to_string().contains("retain is 1"));
}

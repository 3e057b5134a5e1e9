//! Becoming a member of a cluster that runs: the side of a member that is asked, and what it answers.

use crate::peer_calls::PeerCalls;
use bytes::Bytes;
use rollcall_cluster::{ClusterChange, ClusterOutcome, ClusterRefusal, ClusterState, Founding, FoundingMember, Hello};
use rollcall_mesh::JoinHandler;
use rollcall_raft::{Replication, payload};
use rollcall_types::NodeId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Longest wait for the new member to be committed.
const ADD_WITHIN: Duration = Duration::from_secs(2);

/// What a new member begins with.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Beginning {
    /// Its id.
    pub(crate) node: NodeId,
    /// The cluster as it is, the new member left out: by that it knows for ever that it founded nothing.
    pub(crate) founding: Founding,
}

#[async_trait::async_trait]
impl JoinHandler for PeerCalls {
    async fn join(&self, request: Bytes) -> Result<Bytes, String> {
        let hello: Hello = payload::decode(&request).map_err(|e| e.to_string())?;
        let beginning = admit(self.replication()?, hello).await?;
        payload::encode(&beginning).map(Bytes::from).map_err(|e| e.to_string())
    }
}

async fn admit(replication: &Replication, hello: Hello) -> Result<Beginning, String> {
    let lease_ms = {
        let applied = replication.groups().cluster().replica().read();
        applied.state.facts().ok_or("the cluster is not formed yet")?.lease_ms
    };
    // All must reckon with the same lease, or a node could be fenced while it still serves.
    if hello.lease_ms != lease_ms {
        return Err(format!(
            "this cluster's lease_ms is {lease_ms}, {} is configured with {}: set it alike",
            hello.name, hello.lease_ms
        ));
    }
    let name = hello.name.clone();
    let change = ClusterChange::AddMember { name: hello.name, directory: hello.directory, addresses: hello.addresses };
    match replication.cluster().change(&change, ADD_WITHIN).await {
        Ok(ClusterOutcome::MemberAdded { node }) => {
            tracing::info!(%node, %name, "a member");
            let applied = replication.groups().cluster().replica().read();
            let founding = beginning_of(&applied.state, node).ok_or("the cluster is not formed yet")?;
            Ok(Beginning { node, founding })
        }
        Ok(ClusterOutcome::Refused(ClusterRefusal::StillAlive { .. })) => Err(format!(
            "a node of the name {name} with another data directory is alive: stop it, or wait until its lease is over"
        )),
        Ok(ClusterOutcome::Refused(refusal)) => Err(refusal.to_string()),
        Ok(other) => Err(format!("the cluster answered {other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// The cluster as it is now, without accounts: those come with the cluster group's log.
fn beginning_of(state: &ClusterState, newcomer: NodeId) -> Option<Founding> {
    let facts = state.facts()?;
    let members = state.members().iter().filter(|(id, _)| **id != newcomer).map(|(id, member)| FoundingMember {
        id: *id,
        name: member.name.clone(),
        directory: member.directory,
        addresses: member.addresses.clone(),
    });
    Some(Founding {
        cluster_id: facts.cluster_id.clone(),
        name: facts.name.clone(),
        partitions: facts.partitions,
        replicas: facts.replicas,
        lease_ms: facts.lease_ms,
        members: members.collect(),
        placement: state.placement().clone(),
        users: Vec::new(),
        policies: Vec::new(),
        offline_record_keep_s: facts.offline_record_keep_s,
    })
}

//! What this node does when the members change: links and streams to those there are, its share of the instance's
//! limits, what it tells newcomers, and its own departure.

use crate::{
    config::Config,
    formation::Greeting,
    peer_publisher::Publisher,
    quota_seat::NodeQuota,
    settings::{even_messages, share_limits},
    told_routes::Standing,
};
use rollcall_admission::Admission;
use rollcall_broker::Broker;
use rollcall_cluster::{ClusterState, Hello};
use rollcall_mesh::Mesh;
use rollcall_raft::Replication;
use rollcall_types::{NodeId, Owner};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Who is told.
pub(crate) struct Members {
    pub(crate) replication: Arc<Replication>,
    pub(crate) mesh: Arc<Mesh>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) greeting: Arc<Greeting>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) quota: Arc<NodeQuota>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) config: Config,
    /// What this node says of itself; what it says of the cluster follows the members.
    pub(crate) hello: Hello,
}

impl Members {
    /// Runs until stopped.
    pub(crate) async fn follow(self, stop: CancellationToken) {
        let groups = self.replication.groups();
        let mut watch = groups.cluster().replica().watch();
        watch.mark_changed();
        let mut known: BTreeMap<NodeId, String> = BTreeMap::new();
        let mut standings = None;
        let mut told = None;
        let mut shared_by = 0;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = watch.changed() => if changed.is_err() { return },
            }
            let (mut peers, formed, members, now) = {
                let applied = groups.cluster().replica().read();
                let members = u32::try_from(applied.state.members().len()).unwrap_or(u32::MAX);
                let peers = applied.state.members().iter().map(|(id, member)| (*id, member.addresses.mesh.clone()));
                let now = (applied.state.member(groups.me()).and_then(|me| me.alive()), standings_of(&applied.state));
                (peers.collect::<BTreeMap<NodeId, String>>(), applied.state.formed(), members, now)
            };
            if formed.is_none() {
                continue;
            }
            if formed != told {
                let hello = Hello { formed: formed.clone(), ..self.hello.clone() };
                match self.greeting.set(&hello) {
                    Ok(()) => told = formed,
                    Err(error) => tracing::error!(%error, "newcomers are told of the members as they were"),
                }
            }
            if members != shared_by {
                share_limits(&self.config, members, &self.admission, &self.broker);
                self.quota.set_even(even_messages(&self.config, members));
                shared_by = members;
            }
            // Who has left is reached until the group feeds it no more, so that it learns of it.
            let fed = groups.cluster().handle().members();
            for (node, address) in known.iter().filter(|(node, _)| fed.contains(node)) {
                peers.entry(*node).or_insert_with(|| address.clone());
            }
            peers.remove(&groups.me());
            if peers != known {
                self.mesh.set_peers(peers.clone());
                known = peers;
            }
            if standings.as_ref() != Some(&now) {
                let (me, mut others) = now.clone();
                others.remove(&groups.me());
                self.publisher.set_members(me, &others);
                standings = Some(now);
            }
        }
    }
}

/// All members as they stand.
fn standings_of(state: &ClusterState) -> BTreeMap<NodeId, Standing> {
    let standing = |id: &NodeId| {
        let last = state.last_incarnation(*id);
        Standing { last, alive: state.is_alive(Owner { node: *id, incarnation: last }) }
    };
    state.members().keys().map(|id| (*id, standing(id))).collect()
}

/// Waits until this node is to leave, or is a member no more.
pub(crate) async fn told_to_leave(replication: &Replication) {
    let me = replication.groups().me();
    wait_for(replication, |state| leaves(state, me)).await;
}

/// Whether this node is to leave, or is a member no more, as far as is known here.
pub(crate) fn is_leaving(replication: &Replication) -> bool {
    leaves(&replication.groups().cluster().replica().read().state, replication.groups().me())
}

fn leaves(state: &ClusterState, me: NodeId) -> bool {
    state.has_departed(me) || state.member(me).is_some_and(|member| member.leaving)
}

/// Whether this node is to serve nobody for now, as far as is known here.
pub(crate) fn is_draining(replication: &Replication) -> bool {
    replication.groups().cluster().replica().read().state.is_draining(replication.groups().me())
}

/// Waits until this node is to serve nobody, or may again.
pub(crate) async fn told_to_drain(replication: &Replication, drain: bool) {
    let me = replication.groups().me();
    wait_for(replication, |state| state.is_draining(me) == drain).await;
}

/// Whether this node is known here to be a member no more.
pub(crate) fn has_departed(replication: &Replication) -> bool {
    replication.groups().cluster().replica().read().state.has_departed(replication.groups().me())
}

/// Waits until this node is a member no more.
pub(crate) async fn departed(replication: &Replication) {
    let me = replication.groups().me();
    wait_for(replication, |state| state.has_departed(me)).await;
}

async fn wait_for(replication: &Replication, holds: impl Fn(&ClusterState) -> bool) {
    let replica = replication.groups().cluster().replica();
    let mut watch = replica.watch();
    loop {
        watch.borrow_and_update();
        if holds(&replica.read().state) {
            return;
        }
        if watch.changed().await.is_err() {
            // The group has ended, and the node with it.
            return std::future::pending().await;
        }
    }
}

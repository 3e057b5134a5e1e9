//! The whole of this crate as one running thing: groups, read points, proposers, followers, and the answers to peers.

use crate::{
    cluster_client::ClusterClient,
    config::{FORWARD_HOPS_MAX, GroupsConfig, READ_TRY},
    feed_follower::{self, FeedSink},
    feeds::Feeds,
    group::GroupError,
    groups::{Groups, Topology},
    hosting::Hosting,
    housekeeping,
    metrics::Metrics,
    operations,
    payload::{self, COMMAND_FORMAT_VERSION},
    presence_client::PresenceClient,
    presence_reads::PresenceReads,
    questions::Questions,
    read_point::ReadPoints,
    reader::Reader,
    retained_client::RetainedClient,
    retained_queue::retained_reply,
    stores::Stores,
    term_check::{self, TermCheck},
    waiters::TellAll,
    wire,
};
use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message;
use rollcall_contracts::{PeerCall, PeerLinks};
use rollcall_proto::{
    ConfirmTermRequest, Kind, KnownStatus, ProposeRequest, ReadFeedRequest, ReadPointRequest, StatusOf, StatusReply,
    StatusRequest,
};
use rollcall_types::{ClientId, GroupId, NodeId, PartitionId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Most ids in one status request of a peer.
const STATUS_IDS_MAX: usize = 4096;

/// Everything replicated on this node.
pub struct Replication {
    groups: Arc<Groups>,
    points: Arc<ReadPoints>,
    reader: Arc<Reader>,
    presence: Arc<PresenceClient>,
    retained: Arc<RetainedClient>,
    questions: Arc<Questions>,
    feeds: Arc<Feeds>,
    cluster: Arc<ClusterClient>,
    hosting: Arc<Hosting>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Replication {
    /// Opens every group placed here and starts what runs beside them.
    ///
    /// # Errors
    /// See [`GroupError`].
    pub async fn start(
        me: NodeId,
        topology: Topology,
        store: &Arc<impl Stores>,
        mesh: Arc<dyn PeerLinks>,
        config: GroupsConfig,
    ) -> Result<Arc<Self>, GroupError> {
        let groups = Groups::start(me, topology, &**store, mesh, config).await?;
        let metrics = Metrics::new();
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let (check, run) = TermCheck::new(Arc::clone(&groups));
        tasks.spawn(until(stop.clone(), run));
        let points = Arc::new(ReadPoints::new(Arc::clone(&groups), check));
        let reader = Arc::new(Reader::new(
            Arc::clone(&groups),
            Arc::clone(&points),
            tasks.clone(),
            stop.clone(),
            metrics.clone(),
        ));
        tasks.spawn(housekeeping::watch_cluster_group(Arc::clone(&groups), stop.clone()));
        let hosting = Arc::new(Hosting { groups: Arc::clone(&groups), store: store.clone(), metrics });
        for partition in present_here(&groups, store.known()) {
            hosting.open(partition).await?;
        }
        tasks.spawn(Arc::clone(&hosting).follow(stop.clone()));
        let presence = Arc::new(PresenceClient::new(Arc::clone(&groups), Arc::clone(&reader)));
        let retained = Arc::new(RetainedClient::new(Arc::clone(&groups), Arc::clone(&reader)));
        let cluster = Arc::new(ClusterClient::new(Arc::clone(&groups)));
        let questions = Arc::new(Questions::new(Arc::clone(&groups), Arc::clone(&reader), stop.clone()));
        let reads = PresenceReads { groups: Arc::clone(&groups), reader: Arc::clone(&reader) };
        let (feeds, confirming) = Feeds::new(Arc::clone(&groups), reads, stop.clone());
        tasks.spawn(until(stop.clone(), confirming));
        let feeds = Arc::new(feeds);
        Ok(Arc::new(Replication {
            groups,
            points,
            reader,
            presence,
            retained,
            questions,
            feeds,
            cluster,
            hosting,
            tasks,
            stop,
        }))
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    /// The presence store of this node.
    #[must_use]
    pub fn presence(&self) -> &Arc<PresenceClient> {
        &self.presence
    }

    /// The retained messages, from this node.
    #[must_use]
    pub fn retained(&self) -> &Arc<RetainedClient> {
        &self.retained
    }

    /// Larger questions about clients, from this node.
    #[must_use]
    pub fn questions(&self) -> &Arc<Questions> {
        &self.questions
    }

    /// Every partition's feed, for readers on this node; they learn of nothing before [`Self::follow_feeds`].
    #[must_use]
    pub fn feeds(&self) -> &Arc<Feeds> {
        &self.feeds
    }

    /// Changes of the cluster state.
    #[must_use]
    pub fn cluster(&self) -> &Arc<ClusterClient> {
        &self.cluster
    }

    /// Read points of the groups that this node leads.
    #[must_use]
    pub fn points(&self) -> &Arc<ReadPoints> {
        &self.points
    }

    /// Waits until the replica of a partition here stands at a read point taken after this call. `false` when no
    /// quorum confirmed one in time, or there is no replica here.
    pub async fn caught_up(&self, partition: PartitionId) -> bool {
        self.reader.caught_up(partition).await
    }

    /// Follows every partition's feed into `sink`, and wakes who waits for a client, until shutdown.
    pub fn follow_feeds(&self, sink: &Arc<dyn FeedSink>) {
        let waiters: Arc<dyn FeedSink> = self.questions.waiters().clone();
        let sink: Arc<dyn FeedSink> = Arc::new(TellAll(vec![waiters, self.feeds.clone(), Arc::clone(sink)]));
        for p in 0..self.groups.topology().partitions {
            let follow =
                feed_follower::follow(Arc::clone(&self.groups), PartitionId(p), Arc::clone(&sink), self.stop.clone());
            self.tasks.spawn(follow);
        }
    }

    /// Whether a peer's call is for this crate.
    #[must_use]
    pub fn answers(kind: Kind) -> bool {
        matches!(
            kind,
            Kind::RaftAppend
                | Kind::RaftVote
                | Kind::RaftPreVote
                | Kind::RaftTransferLeader
                | Kind::ReadPoint
                | Kind::ConfirmTerm
                | Kind::Propose
                | Kind::ClusterPropose
                | Kind::ReadFeed
                | Kind::Status
                | Kind::RetainedPropose
                | Kind::RetainedRead
                | Kind::PresenceRead
        )
    }

    /// Answers a peer.
    ///
    /// # Errors
    /// A sentence for the peer when the call cannot be read or the group is not here.
    pub async fn answer_peer(&self, kind: Kind, call: PeerCall) -> Result<Bytes, String> {
        match kind {
            Kind::RaftAppend | Kind::RaftVote | Kind::RaftPreVote | Kind::RaftTransferLeader => {
                self.handle(call.group)?.receive(kind, &call.payload).await
            }
            Kind::ReadPoint => {
                let asks = wire::asks(&read::<ReadPointRequest>(call.payload)?);
                let within = Duration::from_millis(u64::from(call.deadline_ms)).min(READ_TRY);
                let answers = self.points.answer(call.from, &asks, within).await;
                written(&wire::read_point_reply(&asks, &answers))
            }
            Kind::ConfirmTerm => {
                written(&term_check::saved_terms(&self.groups, &read::<ConfirmTermRequest>(call.payload)?))
            }
            Kind::Propose => {
                let request = forwarded(call.payload)?;
                let partition = GroupId(call.group).as_partition();
                let hosted = partition
                    .and_then(|p| self.groups.replica_of(p))
                    .ok_or_else(|| format!("group {} has no replica here", call.group))?;
                let batch = payload::decode_up_to(COMMAND_FORMAT_VERSION, &request.command);
                let batch = batch.map_err(|e| e.to_string())?;
                written(&operations::propose_reply(hosted.proposer.propose(batch).await))
            }
            Kind::RetainedPropose => {
                let request = forwarded(call.payload)?;
                let hosted = GroupId(call.group)
                    .as_partition()
                    .and_then(|p| self.groups.replica_of(p))
                    .ok_or_else(|| format!("group {} has no replica here", call.group))?;
                let batch = payload::decode(&request.command).map_err(|e| e.to_string())?;
                written(&retained_reply(hosted.proposer.retain(batch).await))
            }
            Kind::RetainedRead => {
                let partition = GroupId(call.group).as_partition().ok_or("the cluster group retains nothing")?;
                self.retained.answer_peer(partition, &call.payload).await
            }
            Kind::PresenceRead => {
                let partition = GroupId(call.group).as_partition().ok_or("the cluster group has no clients")?;
                self.questions.answer_peer(partition, &call.payload).await
            }
            Kind::ClusterPropose => written(&self.cluster.answer_peer(&forwarded(call.payload)?).await?),
            Kind::ReadFeed => {
                let partition = GroupId(call.group).as_partition().ok_or("the cluster group has no feed")?;
                let request = read::<ReadFeedRequest>(call.payload)?;
                written(&feed_follower::answer_peer(&self.groups, partition, &request).await?)
            }
            Kind::Status => written(&self.statuses(read::<StatusRequest>(call.payload)?).await?),
            other => Err(format!("{other:?} is not answered here")),
        }
    }

    /// Installs a snapshot that a leader sent.
    ///
    /// # Errors
    /// A sentence for the leader.
    pub async fn answer_snapshot(&self, group: u32, head: &[u8], data: Bytes) -> Result<Bytes, String> {
        self.handle(group)?.receive_snapshot(head, data).await
    }

    /// Status questions that a peer without a replica passes on: asked here as this node's own.
    async fn statuses(&self, request: StatusRequest) -> Result<StatusReply, String> {
        if request.client_ids.len() > STATUS_IDS_MAX {
            return Err(format!("more than {STATUS_IDS_MAX} ids in one request"));
        }
        let answers = join_all(request.client_ids.iter().map(|id| async move {
            let client_id = ClientId::new(id).ok()?;
            // Answered from here or not at all, so that no question circles.
            self.groups.answering_replica_of(self.groups.partition_of(&client_id))?;
            let answer = self.reader.status(client_id).await.ok()?;
            Some(answer)
        }))
        .await;
        let topology = self.groups.topology();
        let answers = answers
            .into_iter()
            .map(|known| StatusOf {
                known: known.map(|answer| KnownStatus {
                    online: answer.online,
                    partition: u32::from(answer.partition.0),
                    index: answer.index.0,
                    epoch: answer.epoch.map(|e| e.0),
                    node: answer
                        .node
                        .and_then(|name| topology.names.iter().find(|(_, n)| **n == name).map(|(id, _)| id.0)),
                }),
            })
            .collect();
        Ok(StatusReply { answers })
    }

    fn handle(&self, group: u32) -> Result<Arc<crate::group::GroupHandle>, String> {
        self.groups.handle(GroupId(group)).ok_or_else(|| format!("group {group} has no replica here"))
    }

    /// Hands over what this node leads, as far as another replica has caught up. Best effort, bounded.
    pub async fn hand_leadership_over(&self) {
        for handle in self.groups.handles().into_iter().filter(|h| h.is_leader()) {
            for member in handle.voter_sets().into_iter().flatten() {
                if member != self.groups.me()
                    && self.groups.mesh().is_reached(member)
                    && handle.transfer_if_caught_up(member).await
                {
                    break;
                }
            }
        }
    }

    /// Ends everything: followers, proposers, groups.
    pub async fn shutdown(&self) {
        self.presence.end().await;
        self.retained.end().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.hosting.close_all().await;
        self.groups.shutdown().await;
    }
}

/// The partitions to open at the start: those placed here as far as is known, and those that have a log here, which may
/// be needed until the cluster state says otherwise.
fn present_here(groups: &Groups, known: Vec<GroupId>) -> BTreeSet<PartitionId> {
    let topology = groups.topology();
    let placed = topology.placement.iter().filter(|(_, replicas)| replicas.contains(&groups.me())).map(|(p, _)| *p);
    placed.chain(known.into_iter().filter_map(GroupId::as_partition)).collect()
}

async fn until(stop: CancellationToken, run: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = run => {}
    }
}

fn read<M: Message + Default>(payload: Bytes) -> Result<M, String> {
    M::decode(payload).map_err(|e| e.to_string())
}

/// A proposal of a peer. It is answered here or refused with the leader's name, never passed on, so that none circles.
fn forwarded(payload: Bytes) -> Result<ProposeRequest, String> {
    let request = read::<ProposeRequest>(payload)?;
    if request.hops > FORWARD_HOPS_MAX {
        return Err(format!("forwarded {} times, at most {FORWARD_HOPS_MAX} is allowed", request.hops));
    }
    Ok(request)
}

fn written<M: Message>(message: &M) -> Result<Bytes, String> {
    Ok(Bytes::from(message.encode_to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_that_was_forwarded_too_often_is_refused() {
        let request = |hops| Bytes::from(ProposeRequest { hops, command: Bytes::new() }.encode_to_vec());
        assert!(forwarded(request(FORWARD_HOPS_MAX)).is_ok());
        assert!(forwarded(request(FORWARD_HOPS_MAX + 1)).is_err_and(|e| e.contains("forwarded 2 times")));
    }
}

//! openraft's messages over the mesh: the sending side.
//!
//! Every call is bounded: by the time openraft gives it, and entries by one of our own. The highest commit position ever sent is noted before it
//! leaves: read points rest on it (`read_point`).

use crate::{config::APPEND_WITHIN, group::CommitSent, payload};
use bytes::Bytes;
use openraft::{
    AnyError, OptionalSend, RPCTypes,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable},
    network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
};
use rollcall_contracts::{CallError, PeerLinks};
use rollcall_proto::Kind;
use rollcall_storage::{LogId, Snapshot, StoredMembership, TypeConfig, Vote};
use rollcall_types::{GroupId, NodeId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};

/// Longest time a snapshot may take on its way.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(120);

/// Makes the clients of one group.
pub(crate) struct Network {
    pub(crate) mesh: Arc<dyn PeerLinks>,
    pub(crate) me: NodeId,
    pub(crate) group: GroupId,
    pub(crate) commit_sent: Arc<CommitSent>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerClient;

    async fn new_client(&mut self, target: u64, _node: &openraft::EmptyNode) -> PeerClient {
        PeerClient {
            mesh: Arc::clone(&self.mesh),
            me: self.me,
            target: NodeId(target),
            group: self.group,
            // Appends of one group to one peer keep their order on the way; heartbeats may overtake.
            lane: self.group.0 + 1,
            commit_sent: Arc::clone(&self.commit_sent),
        }
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &openraft::EmptyNode) -> PeerClient {
        PeerClient { lane: 0, ..self.new_client(target, node).await }
    }
}

/// One group's messages to one peer.
#[derive(Clone)]
pub(crate) struct PeerClient {
    mesh: Arc<dyn PeerLinks>,
    me: NodeId,
    target: NodeId,
    group: GroupId,
    lane: u32,
    commit_sent: Arc<CommitSent>,
}

/// The head of a snapshot call: everything but the data.
#[derive(Serialize, Deserialize)]
pub(crate) struct SnapshotHead {
    pub(crate) vote: Vote,
    pub(crate) last_log_id: Option<LogId>,
    pub(crate) last_membership: StoredMembership,
}

impl PeerClient {
    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        kind: Kind,
        lane: u32,
        request: &Q,
        what: RPCTypes,
        ttl: Duration,
    ) -> Result<A, RPCError<TypeConfig>> {
        let bytes = payload::encode(request).map_err(|e| RPCError::Network(NetworkError::new(&e)))?;
        let answer = self
            .mesh
            .call(self.target, kind as u32, self.group.0, lane, Bytes::from(bytes), ttl)
            .await
            .map_err(|e| self.failure(e, what, ttl))?;
        payload::decode(&answer).map_err(|e| RPCError::Network(NetworkError::new(&e)))
    }

    fn failure(&self, error: CallError, what: RPCTypes, ttl: Duration) -> RPCError<TypeConfig> {
        match error {
            CallError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(&error)),
            CallError::Unknown(_) => {
                RPCError::Timeout(Timeout { action: what, id: self.me.0, target: self.target.0, timeout: ttl })
            }
            CallError::Refused(_) | CallError::Full => RPCError::Network(NetworkError::new(&error)),
        }
    }
}

impl RaftNetworkV2<TypeConfig> for PeerClient {
    type SnapshotData = Vec<u8>;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.commit_sent.raise(rpc.leader_commit.as_ref().map_or(0, |c| c.index));
        let within = if rpc.entries.is_empty() { option.hard_ttl() } else { option.hard_ttl().max(APPEND_WITHIN) };
        self.call(Kind::RaftAppend, self.lane, &rpc, RPCTypes::AppendEntries, within).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(Kind::RaftVote, 0, &rpc, RPCTypes::Vote, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(Kind::RaftPreVote, 0, &rpc, RPCTypes::Vote, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let head = SnapshotHead {
            vote,
            last_log_id: snapshot.meta.last_log_id,
            last_membership: snapshot.meta.last_membership.clone(),
        };
        let head = payload::encode(&head).map_err(|e| StreamingError::Network(NetworkError::new(&e)))?;
        let sending = self.mesh.send_snapshot(
            self.target,
            self.group.0,
            Bytes::from(head),
            Bytes::from(snapshot.snapshot),
            SNAPSHOT_DEADLINE,
        );
        let answer = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            answer = sending => answer,
        };
        match answer {
            Ok(bytes) => payload::decode(&bytes).map_err(|e| StreamingError::Network(NetworkError::new(&e))),
            Err(CallError::Unreachable(why)) => {
                Err(StreamingError::Unreachable(Unreachable::new(&AnyError::error(why))))
            }
            Err(error) => Err(StreamingError::Network(NetworkError::new(&error))),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(Kind::RaftTransferLeader, 0, &request, RPCTypes::TransferLeader, option.hard_ttl()).await
    }
}

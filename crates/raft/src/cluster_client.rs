//! Changes of the cluster state, from any node: proposed at the cluster group's leader.

use crate::{
    config::{FORWARD_HOPS_MAX, PROPOSE_TRY, RETRY_PAUSE},
    groups::Groups,
    payload::{self, CLUSTER_FORMAT_VERSION, PayloadError},
    proposer::{ProposeAnswer, write, write_in_term},
    replica::Replicated,
};
use bytes::Bytes;
use prost::Message as _;
use rollcall_cluster::{ClusterChange, ClusterCommand, ClusterOutcome, ClusterState};
use rollcall_proto::{Kind, ProposeReply, ProposeRequest, propose_reply};
use rollcall_types::{GroupId, NodeId};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Proposes changes of the cluster state.
pub struct ClusterClient {
    groups: Arc<Groups>,
}

/// Why a change has no outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// No quorum answered in time. Whether it was applied is unknown.
    #[error("the cluster group did not answer in time")]
    Unavailable,
}

/// One try at one node.
enum Tried {
    Outcome(ClusterOutcome),
    Elsewhere(NodeId),
    Unavailable,
}

impl ClusterClient {
    pub(crate) fn new(groups: Arc<Groups>) -> Self {
        ClusterClient { groups }
    }

    /// Proposes a change and waits for its outcome. Every change is idempotent or harmless when repeated, so a try
    /// whose outcome is unknown is repeated until the deadline.
    ///
    /// # Errors
    /// When the deadline passes.
    pub async fn change(&self, change: &ClusterChange, deadline: Duration) -> Result<ClusterOutcome, ChangeError> {
        let until = Instant::now() + deadline;
        let mut target = None;
        while Instant::now() < until {
            let to = target.take().or_else(|| self.groups.whom_to_ask(GroupId::CLUSTER));
            let tried = match to {
                None => Tried::Unavailable,
                Some(to) if to == self.groups.me() => self.propose_here(change.clone()).await,
                Some(to) => self.propose_there(to, change, until).await,
            };
            match tried {
                Tried::Outcome(outcome) => return Ok(outcome),
                Tried::Elsewhere(leader) if Some(leader) != to => target = Some(leader),
                Tried::Elsewhere(_) | Tried::Unavailable => tokio::time::sleep(RETRY_PAUSE).await,
            }
        }
        Err(ChangeError::Unavailable)
    }

    /// Proposes a change at this node as the leader of this very term, and nowhere else.
    ///
    /// # Errors
    /// When this node does not lead in that term, or no quorum answered in time.
    pub async fn change_in_term(
        &self,
        change: ClusterChange,
        term: u64,
        deadline: Duration,
    ) -> Result<ClusterOutcome, ChangeError> {
        let group = self.groups.cluster();
        let at = group.replica.now();
        let bytes = encode_command(ClusterCommand { at, change }).map_err(|_| ChangeError::Unavailable)?;
        let written = tokio::time::timeout(deadline, write_in_term(&group.handle, bytes, term)).await;
        let reply = written.ok().and_then(Result::ok).ok_or(ChangeError::Unavailable)?;
        decode_outcome(&reply).map_err(|_| ChangeError::Unavailable)
    }

    async fn propose_here(&self, change: ClusterChange) -> Tried {
        let group = self.groups.cluster();
        if group.handle.leading_term().is_none() {
            return match group.handle.leader() {
                Some(leader) if leader != self.groups.me() => Tried::Elsewhere(leader),
                _ => Tried::Unavailable,
            };
        }
        let at = group.replica.now();
        let Ok(bytes) = encode_command(ClusterCommand { at, change }) else { return Tried::Unavailable };
        match tokio::time::timeout(PROPOSE_TRY, write(&group.handle, bytes)).await {
            Ok(Ok(reply)) => decode_outcome(&reply).map_or(Tried::Unavailable, Tried::Outcome),
            Ok(Err(ProposeAnswer::Elsewhere(leader))) => Tried::Elsewhere(leader),
            Ok(Err(_)) | Err(_) => Tried::Unavailable,
        }
    }

    async fn propose_there(&self, to: NodeId, change: &ClusterChange, until: Instant) -> Tried {
        let Ok(bytes) = payload::encode_as(change.format_version(), change) else { return Tried::Unavailable };
        let request =
            Bytes::from(ProposeRequest { hops: FORWARD_HOPS_MAX, command: Bytes::from(bytes) }.encode_to_vec());
        let within = until.saturating_duration_since(Instant::now()).min(PROPOSE_TRY);
        let reply = self.groups.mesh().call(to, Kind::ClusterPropose as u32, 0, 0, request, within).await;
        match reply.ok().and_then(|bytes| ProposeReply::decode(bytes).ok()).and_then(|r| r.answer) {
            Some(propose_reply::Answer::Outcomes(bytes)) => {
                decode_outcome(&bytes).map_or(Tried::Unavailable, Tried::Outcome)
            }
            Some(propose_reply::Answer::LeaderHint(leader)) => Tried::Elsewhere(NodeId(leader)),
            Some(propose_reply::Answer::Unavailable(_)) | None => Tried::Unavailable,
        }
    }

    /// Answers a peer's proposal. It is never passed on: a node that does not lead names the leader, so a proposal
    /// cannot circle.
    pub(crate) async fn answer_peer(&self, request: &ProposeRequest) -> Result<ProposeReply, String> {
        let change = payload::decode_up_to(CLUSTER_FORMAT_VERSION, &request.command).map_err(|e| e.to_string())?;
        let answer = match self.propose_here(change).await {
            Tried::Outcome(outcome) => propose_reply::Answer::Outcomes(Bytes::from(
                ClusterState::encode_outcome(&outcome).map_err(|e| e.to_string())?,
            )),
            Tried::Elsewhere(leader) => propose_reply::Answer::LeaderHint(leader.0),
            Tried::Unavailable => propose_reply::Answer::Unavailable(String::new()),
        };
        Ok(ProposeReply { answer: Some(answer) })
    }
}

fn encode_command(command: ClusterCommand) -> Result<Vec<u8>, PayloadError> {
    payload::encode_as(command.change.format_version(), &command)
}

fn decode_outcome(bytes: &[u8]) -> Result<ClusterOutcome, PayloadError> {
    payload::decode_up_to(CLUSTER_FORMAT_VERSION, bytes)
}

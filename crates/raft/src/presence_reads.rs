//! Larger questions to one partition, at one read point each: answered from the replica here, or in one hop from a node
//! that has one.
//!
//! What does not belong here: putting the answers of several partitions together (`questions`).

use crate::{
    config::{BATCH_IDS_MAX, CLIENT_LOOKS_PER_PAGE, CLIENTS_PAGE_BYTES, CLIENTS_PER_PAGE_MAX, READ_TRY, RETRY_PAUSE},
    groups::Groups,
    payload,
    reader::Reader,
};
use bytes::Bytes;
use rollcall_contracts::StatusError;
use rollcall_presence::{ClientFacts, ClientFilter, ClientPage, ClientPageLimits, OwedWill, PagePlace, PartitionState};
use rollcall_proto::Kind;
use rollcall_types::{ClientId, Epoch, GroupId, LogIndex, NodeId, PartitionId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::time::Instant;

/// What is asked, and sent to a peer. Variants and fields are only ever added at the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Look {
    /// Which of these are online?
    Statuses(Vec<ClientId>),
    /// All that is known of a client.
    Facts(ClientId),
    /// The next clients that the filter accepts, at most so many.
    Page { filter: ClientFilter, from: Option<PagePlace>, limit: u32 },
    /// Which will does a client owe?
    Will(ClientId),
}

/// What the partition says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Where the replica stood.
    pub(crate) index: LogIndex,
    pub(crate) what: SeenWhat,
}

/// The answer of each [`Look`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum SeenWhat {
    Statuses(Vec<SeenStatus>),
    Facts(Option<ClientFacts>),
    Page(ClientPage),
    Will(Option<OwedWill>),
}

/// One client of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SeenStatus {
    pub(crate) online: bool,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) node: Option<NodeId>,
}

/// Asks one partition.
#[derive(Clone)]
pub(crate) struct PresenceReads {
    pub(crate) groups: Arc<Groups>,
    pub(crate) reader: Arc<Reader>,
}

impl PresenceReads {
    /// One answer, within the status deadline.
    pub(crate) async fn ask(&self, partition: PartitionId, look: Look) -> Result<Seen, StatusError> {
        let until = Instant::now() + self.groups.config().status_deadline;
        if self.groups.answering_replica_of(partition).is_some() {
            return self.look_here(partition, &look).await;
        }
        let group = GroupId::partition(partition);
        let request = Bytes::from(payload::encode(&look).map_err(|_| StatusError::NotReady)?);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StatusError::NoQuorum);
            }
            if let Some(to) = self.groups.whom_to_ask(group) {
                // One that is dead must leave time for another.
                let within = READ_TRY.max(left / 2).min(left);
                let call = self.groups.mesh().call(to, Kind::PresenceRead as u32, group.0, 0, request.clone(), within);
                if let Ok(reply) = call.await
                    && let Ok(seen) = payload::decode(&reply)
                {
                    self.groups.note_leader(group, Some(to));
                    return Ok(seen);
                }
                self.groups.note_leader(group, None);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// From the replica here, once it stands at a read point taken after this call.
    async fn look_here(&self, partition: PartitionId, look: &Look) -> Result<Seen, StatusError> {
        let point = self.reader.read_point(partition).await?;
        let hosted = self.groups.answering_replica_of(partition).ok_or(StatusError::NoQuorum)?;
        let applied = hosted.replica().read();
        let index = applied.index();
        if index < point {
            // Closed and opened again in between: it stands where its snapshot does.
            return Err(StatusError::NoQuorum);
        }
        Ok(Seen { index, what: look_at(&applied.state.presence, look) })
    }

    /// Answers a peer from here or not at all, so that no question circles.
    pub(crate) async fn answer_peer(&self, partition: PartitionId, request: &[u8]) -> Result<Bytes, String> {
        let look: Look = payload::decode(request).map_err(|e| e.to_string())?;
        if matches!(&look, Look::Statuses(ids) if ids.len() > BATCH_IDS_MAX) {
            return Err(format!("more than {BATCH_IDS_MAX} ids in one question"));
        }
        self.groups.answering_replica_of(partition).ok_or_else(|| format!("partition {partition} is not here"))?;
        let seen = self.look_here(partition, &look).await.map_err(|e| e.to_string())?;
        payload::encode(&seen).map(Bytes::from).map_err(|e| e.to_string())
    }
}

fn look_at(state: &PartitionState, look: &Look) -> SeenWhat {
    match look {
        Look::Statuses(ids) => {
            let seen = |id: &ClientId| {
                let status = state.status(id.as_str());
                SeenStatus { online: status.online, epoch: status.epoch, node: status.node }
            };
            SeenWhat::Statuses(ids.iter().map(seen).collect())
        }
        Look::Facts(id) => SeenWhat::Facts(state.facts(id)),
        Look::Will(id) => SeenWhat::Will(state.will_of(id.as_str())),
        Look::Page { filter, from, limit } => {
            let clients = usize::try_from(*limit).unwrap_or(usize::MAX).clamp(1, CLIENTS_PER_PAGE_MAX);
            let limits = ClientPageLimits { clients, bytes: CLIENTS_PAGE_BYTES, looks: CLIENT_LOOKS_PER_PAGE };
            SeenWhat::Page(state.clients_page(filter, from.as_ref(), limits))
        }
    }
}

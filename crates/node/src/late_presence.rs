//! The presence store as the edges hold it from the first moment on: refusing until the groups run, and telling a
//! displaced owner at once.

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use rollcall_contracts::{
    ClaimError, ClaimGranted, ClientsPage, ClientsQuestion, EndingKind, FeedBatch, FeedError, FeedsKnown,
    KeepAliveRecorded, PresenceAnswer, PresenceFeeds, PresenceQuestions, PresenceStore, StatusAnswer, StatusError,
    StatusInbox,
};
use rollcall_presence::{ClaimDetails, OwedWill};
use rollcall_proto::{ClaimEnded, Kind};
use rollcall_raft::Replication;
use rollcall_types::{ClientId, DisconnectReason, Epoch, FeedPosition, NodeId, NodeName};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio_util::task::TaskTracker;

/// Longest time to tell a displaced owner; it learns from the feed anyway.
const TELL_WITHIN: Duration = Duration::from_millis(500);
/// Most displaced owners being told at once; beyond it the feed alone tells them.
const TELLING_MAX: usize = 4096;

/// [`PresenceStore`], [`PresenceQuestions`] and [`PresenceFeeds`] of this node; empty until [`Self::set`].
#[derive(Default)]
pub(crate) struct LatePresence {
    replication: OnceLock<Arc<Replication>>,
    telling: TaskTracker,
}

impl LatePresence {
    /// The groups run from now on.
    pub(crate) fn set(&self, replication: Arc<Replication>) {
        let _ = self.replication.set(replication);
    }

    /// Waits for those that are being told.
    pub(crate) async fn shutdown(&self) {
        self.telling.close();
        self.telling.wait().await;
    }

    fn tell(&self, replication: &Arc<Replication>, to: NodeId, client_id: &ClientId, epoch: Epoch) {
        if self.telling.len() >= TELLING_MAX {
            return;
        }
        let ended = ClaimEnded {
            client_id: client_id.as_str().to_owned(),
            epoch: epoch.0,
            kind: ending_number(EndingKind::Takeover),
        };
        let mesh = Arc::clone(replication.groups().mesh());
        self.telling.spawn(async move {
            let payload = Bytes::from(ended.encode_to_vec());
            if let Err(error) = mesh.call(to, Kind::ClaimEnded as u32, 0, 0, payload, TELL_WITHIN).await {
                tracing::debug!(node = %to, %error, "a displaced owner learns it from the feed only");
            }
        });
    }
}

/// How a claim was ended, as a number of the wire.
pub(crate) fn ending_number(kind: EndingKind) -> u32 {
    match kind {
        EndingKind::Takeover => 1,
        EndingKind::Kicked => 2,
        EndingKind::NodeLost => 3,
    }
}

/// The reverse of [`ending_number`].
pub(crate) fn ending_of(number: u32) -> Option<EndingKind> {
    match number {
        1 => Some(EndingKind::Takeover),
        2 => Some(EndingKind::Kicked),
        3 => Some(EndingKind::NodeLost),
        _ => None,
    }
}

#[async_trait]
impl PresenceStore for LatePresence {
    async fn claim(&self, details: ClaimDetails) -> Result<ClaimGranted, ClaimError> {
        let replication = self.replication.get().ok_or(ClaimError::NotServing)?;
        let client_id = details.client_id.clone();
        let granted = replication.presence().claim(details).await?;
        if let Some(displaced) = granted.displaced
            && displaced.owner.node != replication.groups().me()
        {
            self.tell(replication, displaced.owner.node, &client_id, displaced.epoch);
        }
        Ok(granted)
    }

    fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason) {
        if let Some(replication) = self.replication.get() {
            replication.presence().release(client_id, epoch, reason);
        }
    }

    async fn kick(&self, client_id: ClientId) -> Result<bool, ClaimError> {
        self.replication.get().ok_or(ClaimError::NotServing)?.presence().kick(client_id).await
    }

    fn record_keep_alive(
        &self,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<KeepAliveRecorded, ClaimError> {
        let replication = self.replication.get().ok_or(ClaimError::NotServing)?;
        replication.presence().record_keep_alive(client_id, epoch, keep_alive_s)
    }

    async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.presence().status(client_id).await
    }

    fn ask(&self, client_id: &ClientId, ticket: u64, inbox: &Arc<dyn StatusInbox>) -> Option<Instant> {
        self.replication.get()?.presence().ask(client_id, ticket, inbox)
    }

    async fn released(&self, deadline: Duration) -> bool {
        match self.replication.get() {
            Some(replication) => replication.presence().released(deadline).await,
            None => true,
        }
    }
}

#[async_trait]
impl PresenceQuestions for LatePresence {
    async fn statuses(&self, client_ids: Vec<ClientId>) -> Result<Vec<StatusAnswer>, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.questions().statuses(client_ids).await
    }

    async fn presence(&self, client_id: ClientId) -> Result<PresenceAnswer, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.questions().presence(client_id).await
    }

    async fn will(&self, client_id: ClientId) -> Result<Option<OwedWill>, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.questions().will(client_id).await
    }

    async fn clients(&self, question: ClientsQuestion) -> Result<ClientsPage, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.questions().clients(question).await
    }

    async fn status_when(
        &self,
        client_id: ClientId,
        online: bool,
        within: Duration,
    ) -> Result<StatusAnswer, StatusError> {
        self.replication.get().ok_or(StatusError::NotReady)?.questions().status_when(client_id, online, within).await
    }
}

#[async_trait]
impl PresenceFeeds for LatePresence {
    fn feeds(&self) -> Option<FeedsKnown> {
        self.replication.get()?.feeds().feeds()
    }

    async fn next(&self, after: &[FeedPosition], limit: usize, within: Duration) -> Result<FeedBatch, FeedError> {
        self.replication.get().ok_or(FeedError::NotReady)?.feeds().next(after, limit, within).await
    }

    async fn confirm(&self) -> Vec<Result<FeedPosition, StatusError>> {
        match self.replication.get() {
            Some(replication) => replication.feeds().confirm().await,
            None => vec![Err(StatusError::NotReady)],
        }
    }

    fn name_of(&self, node: NodeId) -> Option<NodeName> {
        self.replication.get()?.feeds().name_of(node)
    }
}

//! The presence store as this node offers it: claims and releases of its serving incarnation, and linearizable
//! questions at any time.

use crate::{
    config::OPERATION_BYTES_MAX,
    groups::Groups,
    operations::{OperationQueue, Outstanding, Queued},
    reader::Reader,
    weight::claim_bytes,
};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use rollcall_contracts::{
    ClaimError, ClaimGranted, KeepAliveRecorded, PresenceStore, StatusAnswer, StatusError, StatusInbox,
};
use rollcall_presence::ClaimDetails;
use rollcall_types::{ClientId, DisconnectReason, Epoch, Owner, PartitionId};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Implements [`PresenceStore`] over the groups.
pub struct PresenceClient {
    groups: Arc<Groups>,
    reader: Arc<Reader>,
    serving: ArcSwapOption<Serving>,
}

/// The queues of the incarnation that serves now.
struct Serving {
    queues: Vec<mpsc::Sender<Queued>>,
    outstanding: Arc<Outstanding>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl PresenceClient {
    pub(crate) fn new(groups: Arc<Groups>, reader: Arc<Reader>) -> Self {
        PresenceClient { groups, reader, serving: ArcSwapOption::empty() }
    }

    /// Begins to serve as this incarnation: numbers start at 1 on every partition.
    pub fn begin(&self, owner: Owner) {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let outstanding = Arc::new(Outstanding::default());
        let queues = (0..self.groups.topology().partitions)
            .map(|p| {
                let partition = PartitionId(p);
                let queue = OperationQueue {
                    partition,
                    owner,
                    groups: Arc::clone(&self.groups),
                    outstanding: Arc::clone(&outstanding),
                    stop: stop.clone(),
                };
                let (sender, run) = queue.open();
                tasks.spawn(run);
                sender
            })
            .collect();
        tasks.close();
        self.serving.store(Some(Arc::new(Serving { queues, outstanding, stop, tasks })));
    }

    /// Ends the incarnation: everything that waits is refused. Its claims end by the fence.
    pub async fn end(&self) {
        if let Some(serving) = self.serving.swap(None) {
            serving.stop.cancel();
            serving.tasks.wait().await;
        }
    }

    fn enter(&self, client_id: &ClientId, queued: Queued) -> Result<(), ClaimError> {
        let serving = self.serving.load();
        let serving = serving.as_ref().ok_or(ClaimError::NotServing)?;
        let partition = self.groups.partition_of(client_id);
        let queue = serving.queues.get(usize::from(partition.0)).ok_or(ClaimError::NotServing)?;
        serving.outstanding.add();
        queue.try_send(queued).map_err(|refused| {
            serving.outstanding.give_up();
            match refused {
                mpsc::error::TrySendError::Full(_) => ClaimError::Busy,
                mpsc::error::TrySendError::Closed(_) => ClaimError::NotServing,
            }
        })
    }
}

#[async_trait]
impl PresenceStore for PresenceClient {
    async fn claim(&self, details: ClaimDetails) -> Result<ClaimGranted, ClaimError> {
        let (reply, answer) = oneshot::channel();
        if claim_bytes(&details) > OPERATION_BYTES_MAX {
            return Err(ClaimError::TooLarge);
        }
        let client_id = details.client_id.clone();
        self.enter(&client_id, Queued::Claim(Box::new(details), reply))?;
        match tokio::time::timeout(self.groups.config().claim_deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ClaimError::NotServing),
            // The answer finds nobody waiting: the queue then releases the claim by itself.
            Err(_) => Err(ClaimError::Unavailable),
        }
    }

    fn release(&self, client_id: ClientId, epoch: Epoch, reason: DisconnectReason) {
        let queued = Queued::Release { client_id: client_id.clone(), epoch, reason };
        match self.enter(&client_id, queued) {
            // The claim ends with its incarnation, by the fence.
            Ok(()) | Err(ClaimError::NotServing) => {}
            // Left claimed for now: reconciliation releases a claim that has no socket.
            Err(error) => tracing::warn!(%error, "a release could not be queued"),
        }
    }

    async fn kick(&self, client_id: ClientId) -> Result<bool, ClaimError> {
        let (reply, answer) = oneshot::channel();
        self.enter(&client_id, Queued::Kick(client_id.clone(), reply))?;
        match tokio::time::timeout(self.groups.config().claim_deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ClaimError::NotServing),
            Err(_) => Err(ClaimError::Unavailable),
        }
    }

    fn record_keep_alive(
        &self,
        client_id: &ClientId,
        epoch: Epoch,
        keep_alive_s: u16,
    ) -> Result<KeepAliveRecorded, ClaimError> {
        let (reply, answer) = oneshot::channel();
        self.enter(client_id, Queued::KeepAlive { client_id: client_id.clone(), epoch, keep_alive_s, reply })?;
        let deadline = self.groups.config().claim_deadline;
        Ok(Box::pin(async move {
            match tokio::time::timeout(deadline, answer).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(ClaimError::NotServing),
                Err(_) => Err(ClaimError::Unavailable),
            }
        }))
    }

    async fn status(&self, client_id: ClientId) -> Result<StatusAnswer, StatusError> {
        self.reader.status(client_id).await
    }

    fn ask(&self, client_id: &ClientId, ticket: u64, inbox: &Arc<dyn StatusInbox>) -> Option<Instant> {
        Some(self.reader.ask_into(client_id, ticket, inbox).into_std())
    }

    async fn released(&self, deadline: Duration) -> bool {
        let Some(serving) = self.serving.load_full() else { return true };
        tokio::time::timeout(deadline, serving.outstanding.none()).await.is_ok()
    }
}

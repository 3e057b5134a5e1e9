//! The store of retained messages over the groups: changes go to the leader of the topic's partition, questions to every
//! partition that can hold a matching topic.

use crate::{
    config::OPERATION_BYTES_MAX,
    groups::Groups,
    reader::Reader,
    retained_queue::{QueuedRetained, RetainedQueue},
    retained_reads::RetainedReads,
    weight::retained_bytes,
};
use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use rollcall_contracts::{RetainError, RetainedPage, RetainedPlace, RetainedReadError, RetainedStore};
use rollcall_retained::RetainedOperation;
use rollcall_types::{Message, Owner, PartitionId, partition_of};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Implements [`RetainedStore`] over the groups.
pub struct RetainedClient {
    groups: Arc<Groups>,
    reads: RetainedReads,
    serving: ArcSwapOption<Serving>,
}

/// The queues of the incarnation that serves now.
struct Serving {
    queues: Vec<mpsc::Sender<QueuedRetained>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl RetainedClient {
    pub(crate) fn new(groups: Arc<Groups>, reader: Arc<Reader>) -> Self {
        let reads = RetainedReads { groups: Arc::clone(&groups), reader };
        RetainedClient { groups, reads, serving: ArcSwapOption::empty() }
    }

    /// Begins to serve as this incarnation.
    pub fn begin(&self, source: Owner) {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let queues = (0..self.groups.topology().partitions)
            .map(|p| {
                let groups = Arc::clone(&self.groups);
                let queue = RetainedQueue { partition: PartitionId(p), source, groups, stop: stop.clone() };
                let (sender, run) = queue.open();
                tasks.spawn(run);
                sender
            })
            .collect();
        tasks.close();
        self.serving.store(Some(Arc::new(Serving { queues, stop, tasks })));
    }

    /// Ends the incarnation: everything that waits is refused, and what is under way has an unknown outcome.
    pub async fn end(&self) {
        if let Some(serving) = self.serving.swap(None) {
            serving.stop.cancel();
            serving.tasks.wait().await;
        }
    }

    fn enter(
        &self,
        message: &Message,
        reply: Option<oneshot::Sender<Result<(), RetainError>>>,
    ) -> Result<(), RetainError> {
        let operation = RetainedOperation::of(message);
        if retained_bytes(&operation) > OPERATION_BYTES_MAX {
            return Err(RetainError::TooLarge);
        }
        let serving = self.serving.load();
        let serving = serving.as_ref().ok_or(RetainError::NotServing)?;
        let partition = self.partition_of(&message.topic);
        let queue = serving.queues.get(usize::from(partition.0)).ok_or(RetainError::NotServing)?;
        queue.try_send(QueuedRetained { operation, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => RetainError::Busy,
            mpsc::error::TrySendError::Closed(_) => RetainError::NotServing,
        })
    }

    fn partition_of(&self, topic: &str) -> PartitionId {
        partition_of(topic, self.groups.topology().partitions)
    }

    /// Answers a peer without a replica.
    pub(crate) async fn answer_peer(&self, partition: PartitionId, request: &[u8]) -> Result<Bytes, String> {
        self.reads.answer_peer(partition, request).await
    }
}

#[async_trait]
impl RetainedStore for RetainedClient {
    async fn keep(&self, message: Arc<Message>) -> Result<(), RetainError> {
        let (reply, answer) = oneshot::channel();
        self.enter(&message, Some(reply))?;
        match tokio::time::timeout(self.groups.config().claim_deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RetainError::NotServing),
            Err(_) => Err(RetainError::Unavailable),
        }
    }

    fn keep_soon(&self, message: Arc<Message>) -> Result<(), RetainError> {
        self.enter(&message, None)
    }

    async fn matching(&self, filter: &str, from: RetainedPlace) -> Result<RetainedPage, RetainedReadError> {
        let partitions = self.groups.topology().partitions;
        let one = !filter.contains(['+', '#']);
        let partition = if one { self.partition_of(filter) } else { from.partition };
        if partition.0 >= partitions {
            return Ok(RetainedPage::default());
        }
        let page = self.reads.page(partition, filter, from.within).await.ok_or(RetainedReadError::NoQuorum)?;
        let following = PartitionId(partition.0 + 1);
        let next = match page.next {
            Some(within) => Some(RetainedPlace { partition, within: Some(within) }),
            None if one || following.0 >= partitions => None,
            None => Some(RetainedPlace { partition: following, within: None }),
        };
        Ok(RetainedPage { messages: page.messages, next })
    }
}

//! The replicated store of retained messages as the broker sees it.

use async_trait::async_trait;
use rollcall_retained::RetainedCursor;
use rollcall_types::{Message, PartitionId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Retained messages of the whole cluster, from any node.
#[async_trait]
pub trait RetainedStore: Send + Sync + 'static {
    /// Keeps the message under its topic, or clears the topic where the payload is empty, and returns once that is
    /// committed on a quorum. Messages of this node to one topic are applied in the order of the calls.
    async fn keep(&self, message: Arc<Message>) -> Result<(), RetainError>;

    /// As [`Self::keep`], without waiting for what becomes of it. Never blocks.
    ///
    /// # Errors
    /// When it could not be queued.
    fn keep_soon(&self, message: Arc<Message>) -> Result<(), RetainError>;

    /// The next messages whose topics a valid filter matches, one partition after the other. Each partition's part is
    /// linearizable, or there is no answer.
    async fn matching(&self, filter: &str, from: RetainedPlace) -> Result<RetainedPage, RetainedReadError>;
}

/// Where a page begins: the default is the beginning.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RetainedPlace {
    /// In which partition.
    pub partition: PartitionId,
    /// Where in it; `None` at its beginning.
    pub within: Option<RetainedCursor>,
}

impl RetainedPlace {
    /// Behind this topic of a partition, for who takes but the beginning of a page.
    #[must_use]
    pub fn behind(partition: PartitionId, topic: &str) -> Self {
        RetainedPlace { partition, within: Some(RetainedCursor::behind(topic)) }
    }
}

/// Some of the messages.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RetainedPage {
    /// With RETAIN set and what is left of their expiry. Bounded in number and bytes; may be empty.
    pub messages: Vec<Message>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<RetainedPlace>,
}

/// Why a message was not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RetainError {
    /// A limit of retained messages is reached. Not applied; do not retry.
    #[error("the limit of retained messages is reached")]
    LimitReached,
    /// Larger than a retained message may be. Not applied; do not retry.
    #[error("the message is too large to be retained")]
    TooLarge,
    /// Too many wait already. Not applied; retry later.
    #[error("too many retained messages wait")]
    Busy,
    /// No quorum in time: whether it was applied is unknown. Retry later.
    #[error("no quorum for the topic's partition")]
    Unavailable,
    /// This node's incarnation is over or not yet begun: retry on another node. Whether it was applied is unknown.
    #[error("this node serves no clients now")]
    NotServing,
}

/// Why there is no answer. Retry later; nothing happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RetainedReadError {
    /// No quorum confirmed a read point in time, or no node with a replica answered.
    #[error("no quorum confirmed the answer in time")]
    NoQuorum,
}

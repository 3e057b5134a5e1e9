//! What the HTTP data plane asks of the broker: to take a message, and to change a live connection.

use crate::{Account, QueryRefusal, SourceAddress, StatusError};
use async_trait::async_trait;
use rollcall_types::{ClientId, Message};
use std::sync::Arc;

/// The broker as an edge without MQTT connections sees it.
#[async_trait]
pub trait DataPlane: Send + Sync + 'static {
    /// Hands a valid message on, by the door that the publishes of MQTT clients take: permission, quota, then whoever
    /// wants it. Returns once that is decided, which for QoS 1 and 2 is when a client would be sent its PUBACK or PUBREC;
    /// a message with RETAIN is committed before. Whoever publishes in order awaits one before the next.
    ///
    /// # Errors
    /// When the message is not taken, or nobody knows whether everybody has it: see [`PublishError`].
    async fn publish(self: Arc<Self>, from: HttpPublisher, message: Message) -> Result<PublishTaken, PublishError>;

    /// Changes the keep-alive of the client's connection, on whichever node that is, and what is on record of it. The
    /// connection stays.
    ///
    /// # Errors
    /// See [`KeepAliveError`].
    async fn change_keep_alive(&self, client_id: &ClientId, keep_alive_s: u16) -> Result<(), KeepAliveError>;
}

/// Who publishes. That the account may connect as this client was found out by the edge.
#[derive(Clone, Debug)]
pub struct HttpPublisher {
    /// The account.
    pub account: Arc<Account>,
    /// The client id that policies see. No connection of that client is concerned.
    pub client_id: ClientId,
    /// Where the request came from.
    pub source: SourceAddress,
}

/// The message is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishTaken {
    /// Somebody wanted it, or may have: of other nodes that is not known.
    pub matched: bool,
}

/// Why a message was not taken, or may not have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PublishError {
    /// The account may not publish to this topic, or nobody may. Not applied; do not retry.
    #[error("not allowed to publish to this topic")]
    NotAuthorized,
    /// Over the instance's quota, or the node has no grant. Not applied; retry later.
    #[error("not admitted by the instance's quota: {0:?}")]
    Quota(QueryRefusal),
    /// A limit of retained messages is reached. Not applied; do not retry.
    #[error("a limit of retained messages is reached")]
    RetainedLimit,
    /// The node serves nobody now: it is starting, stopping or without a lease. Not applied; retry, or on another node.
    #[error("this node serves no clients now")]
    NotServing,
    /// What must be committed or found out first could not be, or not every session that matches was reached in time.
    #[error("the message was not taken by all (may have happened: {may_have_happened})")]
    Unavailable {
        /// It may have been committed, or some may have it: a retry may bring it twice.
        may_have_happened: bool,
    },
}

/// Why a keep-alive was not changed, or may not have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeepAliveError {
    /// The client is not connected. Not applied.
    #[error("the client is not connected")]
    NotConnected,
    /// The connection has no keep-alive. Not applied; do not retry.
    #[error("the connection has no keep-alive")]
    Off,
    /// Where the client is cannot be known now. Not applied; retry later.
    #[error("{0}")]
    NoAnswer(#[from] StatusError),
    /// The client's node was not reached, or its change was not committed in time. Retry later.
    #[error("the client's node did not change it in time (may have happened: {may_have_happened})")]
    Unavailable {
        /// It may have been changed all the same, or may be yet.
        may_have_happened: bool,
    },
}

//! What operators do to one client, from any node: end its connection and its session, see and change what it is subscribed
//! to.

use crate::{ClaimError, StatusError};
use async_trait::async_trait;
use rollcall_types::{ClientId, QoS};
use std::{num::NonZeroU32, sync::Arc};

/// The broker as the management API sees it.
#[async_trait]
pub trait ClientControl: Send + Sync + 'static {
    /// Ends the client's connection, wherever it is, and with `and_session` its session as well.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn kick(&self, client_id: &ClientId, and_session: bool) -> Result<(), ControlError>;

    /// What the client's session is subscribed to, with a connection or without.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn subscriptions_of(&self, client_id: &ClientId) -> Result<Vec<HeldSubscription>, ControlError>;

    /// Subscribes the session of a connected client, as if the client had asked for it: by its own permission, within its
    /// limits, with what is retained. Returns once whatever is published afterwards on any node reaches it. True when it is
    /// new, false when its options were replaced.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn subscribe_client(
        self: Arc<Self>,
        client_id: &ClientId,
        wanted: HeldSubscription,
    ) -> Result<bool, ControlError>;

    /// Takes a subscription from the client's session.
    ///
    /// # Errors
    /// See [`ControlError`].
    async fn unsubscribe_client(&self, client_id: &ClientId, filter: &str) -> Result<(), ControlError>;
}

/// One subscription of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldSubscription {
    /// The whole filter, `$share/…` included.
    pub filter: String,
    /// QoS granted.
    pub qos: QoS,
    /// Messages that the client publishes itself are left out.
    pub no_local: bool,
    /// The RETAIN flag comes through as published.
    pub retain_as_published: bool,
    /// The identifier that the client gave.
    pub subscription_id: Option<NonZeroU32>,
}

/// Why something was not done to a client, or may not have been.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ControlError {
    /// The client has no connection, and no session where that would do. Nothing has happened.
    #[error("the client is not connected")]
    NotConnected,
    /// The client has no session. Nothing has happened.
    #[error("the client has no session")]
    NoSession,
    /// The session has no such subscription. Nothing has happened.
    #[error("the client is not subscribed to this filter")]
    NotSubscribed,
    /// The client's own account may not subscribe to this. Nothing has happened.
    #[error("the client may not subscribe to this filter")]
    NotAuthorized,
    /// A limit of the client or the instance is reached. Nothing has happened.
    #[error("a limit of subscriptions is reached")]
    LimitReached,
    /// Where the client is cannot be known now. Nothing has happened; retry.
    #[error("{0}")]
    NoAnswer(#[from] StatusError),
    /// No quorum, or the node that has the session, answered in time. Retry.
    #[error("it was not confirmed in time (may have happened: {may_have_happened})")]
    Unavailable {
        /// It may have happened all the same, or may yet.
        may_have_happened: bool,
    },
}

impl From<ClaimError> for ControlError {
    fn from(error: ClaimError) -> Self {
        ControlError::Unavailable { may_have_happened: error == ClaimError::Unavailable }
    }
}

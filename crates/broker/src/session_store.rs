//! Where sessions without a connection are kept: looked up at a CONNECT and when another node asks, taken out when a
//! connection holds them again, when they move or their time is over.
//!
//! The broker knows of such a session through this trait alone. It stands here and not among the contracts since what is
//! kept is a session of the broker as it lives: it goes on taking messages while it is away, and a store that writes them
//! down does so behind the same five calls. A session that a connection holds is none of its business (`registry.rs`).

use crate::client_session::ClientSession;
use async_trait::async_trait;
use rollcall_types::{BootTime, ClientId};
use std::{fmt, sync::Arc};

/// A session without a connection.
#[derive(Clone)]
pub struct DetachedSession(pub(crate) Arc<ClientSession>);

impl DetachedSession {
    /// Whose it is.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.0.client_id
    }

    /// No other session of this broker ever has this number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }
}

impl PartialEq for DetachedSession {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Eq for DetachedSession {}

impl fmt::Debug for DetachedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The session cannot be kept: it ends with its connection, and what subscribed to it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotKept;

/// Whether there is such a session cannot be known now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionsUnavailable;

/// The sessions of one node that no connection holds; at most one of each client.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Keeps a session until then, or keeps one longer that is there. Gives back the client's other one, which ends.
    /// Never waits: a connection has ended, and nobody is there to be told.
    ///
    /// # Errors
    /// When it cannot be kept. Nothing has changed.
    fn keep(&self, session: &DetachedSession, until: BootTime) -> Result<Option<DetachedSession>, NotKept>;

    /// The session of a client. A CONNECT waits for this, to go on with it or to learn whose it is, and so does another node
    /// that the client went to.
    ///
    /// # Errors
    /// When that cannot be known now. The client is told so (0x88), and never gets an empty session instead.
    async fn find(&self, client_id: &ClientId) -> Result<Option<DetachedSession>, SessionsUnavailable>;

    /// A connection holds this very session again, or it moved, or it ended. Never waits.
    fn remove(&self, session: &DetachedSession);

    /// The client begins anew: gives back what was kept of it, which ends. Never waits.
    fn discard(&self, client_id: &ClientId) -> Option<DetachedSession>;

    /// Takes out sessions whose time is over, at most so many, those due first.
    fn take_due(&self, now: BootTime, most: usize) -> Vec<DetachedSession>;

    /// How many there are.
    fn count(&self) -> usize;
}

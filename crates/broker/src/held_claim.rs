//! A claim held by a connection. Whatever happens to the task that holds it, the claim is given back exactly once.

use crate::{Broker, Connection};
use rollcall_types::DisconnectReason;
use std::sync::Arc;

/// The one owner of a connection's claim. Dropping it without a word counts as a lost connection.
#[derive(Debug)]
pub struct HeldClaim {
    broker: Arc<Broker>,
    connection: Arc<Connection>,
    session_present: bool,
    released: bool,
}

impl HeldClaim {
    pub(crate) fn new(broker: Arc<Broker>, connection: Arc<Connection>, session_present: bool) -> Self {
        HeldClaim { broker, connection, session_present, released: false }
    }

    /// The connection behind it.
    #[must_use]
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// A session of the client was there and goes on (Session Present).
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// The end. The socket must be closed before: close, then release; never the reverse.
    pub fn release(mut self, reason: DisconnectReason) {
        self.released = true;
        self.broker.ended(&self.connection, reason);
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        if !self.released {
            self.broker.ended(&self.connection, DisconnectReason::ConnectionLost);
        }
    }
}

//! Whose turn it is to connect as a client id. Turns are passed on even when the one who waits has gone.

use crate::{Connection, registry::Registry};
use rollcall_types::{ClientId, Epoch};
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::oneshot;

/// The right to claim one client id on this node. Dropping it passes it on.
#[derive(Debug)]
pub(crate) struct Turn {
    registry: Arc<Registry>,
    client_id: ClientId,
}

/// A client id for which a CONNECT is under way.
#[derive(Debug, Default)]
pub(crate) struct Connecting {
    /// Who comes next. A receiver that has gone drops the turn sent to it, which passes it on.
    pub(crate) waiting: VecDeque<oneshot::Sender<Turn>>,
    /// The highest epoch that was ended while the claim was under way.
    pub(crate) ended: Option<Epoch>,
}

/// Why a connection could not be entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotEntered {
    /// Its claim was over before.
    AlreadyEnded,
    /// As many as allowed are there.
    TooMany,
}

impl Turn {
    pub(crate) fn new(registry: Arc<Registry>, client_id: ClientId) -> Self {
        Turn { registry, client_id }
    }

    /// Enters the connection into the slot, where there are at most so many; gives back the one it displaces.
    pub(crate) fn enter(
        &self,
        connection: &Arc<Connection>,
        most: usize,
    ) -> Result<Option<Arc<Connection>>, NotEntered> {
        self.registry.enter(connection, most)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.registry.pass_on(&self.client_id);
    }
}

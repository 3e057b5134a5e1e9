//! Sockets against claims, again and again: a claim of one's own without a socket is released, a socket whose epoch is
//! not current is closed, never re-proposed.

use crate::{Broker, Connection};
use parking_lot::Mutex;
use rollcall_session::Order;
use rollcall_types::{BootTime, ClientId, DisconnectReason, Epoch};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What looked wrong at the last looks, and since when. A look may be a little behind or ahead of the sockets, so only
/// what stays wrong for the grace is acted upon.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    claims: BTreeMap<(ClientId, Epoch), BootTime>,
    sockets: BTreeMap<(ClientId, Epoch), BootTime>,
}

/// What a reconciliation found and did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reconciled {
    /// Claims without a socket plus sockets without a claim, those within the grace included.
    pub mismatched: usize,
    /// Claims released.
    pub released: usize,
    /// Sockets told to close.
    pub closed: usize,
}

impl Broker {
    /// The client ids held by connections of this node, with their epochs.
    #[must_use]
    pub fn held(&self) -> Vec<(ClientId, Epoch)> {
        self.registry.connections().into_iter().map(|c| (c.client_id.clone(), c.epoch)).collect()
    }

    /// Compares the claims of the serving incarnation, as this node's replicas or their leaders know them, with the
    /// sockets. To be called every second or so. Sessions whose time is over are swept too.
    pub fn reconcile(&self, claims: impl IntoIterator<Item = (ClientId, Epoch)>) -> Reconciled {
        self.sweep_sessions();
        let now = self.lease.now();
        let mut claimed = BTreeSet::new();
        let mut lone_claims = Vec::new();
        for (client_id, epoch) in claims {
            let (present, connecting) = self.registry.look_up(&client_id);
            if present != Some(epoch) && !connecting {
                lone_claims.push((client_id.clone(), epoch));
            }
            claimed.insert((client_id, epoch));
        }
        let lone_sockets: Vec<Arc<Connection>> = self
            .registry
            .connections()
            .into_iter()
            .filter(|connection| !claimed.contains(&(connection.client_id.clone(), connection.epoch)))
            .collect();
        let mismatched = lone_claims.len() + lone_sockets.len();
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        self.metrics.mismatch.set(mismatched as f64);
        let (overdue_claims, overdue_sockets) = self.overdue(&lone_claims, &lone_sockets, now);
        let (released, closed) = (overdue_claims.len(), overdue_sockets.len());
        if released + closed > 0 {
            tracing::warn!(released, closed, "sockets and claims disagreed");
        }
        for (client_id, epoch) in overdue_claims {
            self.store.release(client_id, epoch, DisconnectReason::ConnectionLost);
        }
        for connection in overdue_sockets {
            connection.order(Order::Takeover);
        }
        Reconciled { mismatched, released, closed }
    }

    fn overdue(
        &self,
        lone_claims: &[(ClientId, Epoch)],
        lone_sockets: &[Arc<Connection>],
        now: BootTime,
    ) -> (Vec<(ClientId, Epoch)>, Vec<Arc<Connection>>) {
        let grace_ms = self.config.reconcile_grace_ms;
        let mut seen = self.suspects.seen.lock();
        let Seen { claims, sockets } = &mut *seen;
        let claims_now: BTreeMap<_, _> =
            lone_claims.iter().map(|lone| (lone.clone(), claims.get(lone).copied().unwrap_or(now))).collect();
        let key = |connection: &Connection| (connection.client_id.clone(), connection.epoch);
        let sockets_now: BTreeMap<_, _> =
            lone_sockets.iter().map(|lone| (key(lone), sockets.get(&key(lone)).copied().unwrap_or(now))).collect();
        let is_over = |since: &BootTime| now.since(*since) >= grace_ms;
        let overdue_claims = claims_now.iter().filter(|(_, since)| is_over(since)).map(|(lone, _)| lone.clone());
        let overdue_claims = overdue_claims.collect();
        let overdue_sockets =
            lone_sockets.iter().filter(|lone| sockets_now.get(&key(lone)).is_some_and(is_over)).cloned().collect();
        *seen = Seen { claims: claims_now, sockets: sockets_now };
        (overdue_claims, overdue_sockets)
    }
}

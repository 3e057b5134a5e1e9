//! One connection that holds a claim, the gate, and what client and node send each other (`crates/broker/src/connection.rs`,
//! `crates/broker/src/held_claim.rs`).

use super::Process;
use rollcall_session::Order;
use rollcall_types::{ClientId, DisconnectReason, Epoch, Incarnation};
use std::{cell::Cell, rc::Rc};
use tokio::sync::watch;

/// What a client does on its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FromClient {
    /// DISCONNECT with this reason code.
    Disconnect(u8),
    /// The network connection ends without a word.
    Gone,
}

/// What a client sees of its connection. That it is closed shows by the end of the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToClient {
    /// CONNACK.
    Connected,
    /// Any other packet.
    Packet,
}

/// A connection of this node that holds a claim.
pub(super) struct Connection {
    pub(super) client_id: ClientId,
    pub(super) epoch: Epoch,
    pub(super) incarnation: Incarnation,
    ordered: watch::Sender<Option<Order>>,
    claim_over: Cell<bool>,
    /// Broken: it stays whoever takes over.
    deaf: bool,
}

impl Connection {
    pub(super) fn new(client_id: ClientId, epoch: Epoch, incarnation: Incarnation, deaf: bool) -> Rc<Self> {
        let ordered = watch::Sender::new(None);
        Rc::new(Connection { client_id, epoch, incarnation, ordered, claim_over: Cell::new(false), deaf })
    }

    /// Gives the order to end. The first one counts, except that a lost lease silences any other.
    pub(super) fn order(&self, order: Order) {
        if self.deaf && order == Order::Takeover {
            return;
        }
        self.ordered.send_modify(|present| {
            if present.is_none() || order == Order::NodeLost {
                *present = Some(order);
            }
        });
    }

    /// The order to end, when there is one.
    pub(super) async fn ordered(&self) -> Order {
        let mut ordered = self.ordered.subscribe();
        match ordered.wait_for(Option::is_some).await.map(|order| *order) {
            Ok(Some(order)) => order,
            Ok(None) | Err(_) => Order::NodeLost,
        }
    }

    /// The claim is over in the replicated state, so no release is owed any more.
    pub(super) fn claim_is_over(&self) {
        self.claim_over.set(true);
    }
}

/// The one owner of a connection's claim. Dropping it without a word counts as a lost connection.
pub(super) struct HeldClaim {
    process: Rc<Process>,
    pub(super) connection: Rc<Connection>,
    released: bool,
}

impl HeldClaim {
    pub(super) fn new(process: Rc<Process>, connection: Rc<Connection>) -> Self {
        HeldClaim { process, connection, released: false }
    }

    /// The end. The socket must be closed before.
    pub(super) fn release(mut self, reason: DisconnectReason) {
        self.released = true;
        self.process.ended(&self.connection, reason);
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        if !self.released {
            self.process.ended(&self.connection, DisconnectReason::ConnectionLost);
        }
    }
}

impl Process {
    /// The gate for packets: no order to end was seen, and the lease of the connection's incarnation is valid.
    pub(super) fn may_send(&self, connection: &Connection) -> bool {
        connection.ordered.borrow().is_none() && self.may_serve(connection.incarnation)
    }

    /// The end of a connection whose socket is closed: its slot; then the release, unless the claim is known to be over.
    pub(super) fn ended(&self, connection: &Connection, reason: DisconnectReason) {
        if self.dead.get() {
            return;
        }
        self.leave_slot(connection);
        if !connection.claim_over.get() {
            self.release(connection.client_id.clone(), connection.epoch, reason);
        }
    }
}

//! One connection that holds a claim, as everybody but its own task sees it; and the gate.

use crate::{
    Broker,
    client_session::{ClientSession, Noticed},
    message_rate::MessageRate,
    metrics::Metrics,
    standing_order::{Ordered, StandingOrder},
};
use parking_lot::Mutex;
use rollcall_contracts::{Account, LeaseGate};
use rollcall_session::{Order, Outgoing, Session};
use rollcall_types::{BootTime, ClientId, Epoch, Incarnation};
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// A connection of this node that holds a claim. Shared by the registry and its own task.
pub struct Connection {
    pub(crate) number: u64,
    pub(crate) client_id: ClientId,
    pub(crate) epoch: Epoch,
    pub(crate) incarnation: Incarnation,
    pub(crate) account: Arc<Account>,
    pub(crate) source: IpAddr,
    pub(crate) session: Arc<ClientSession>,
    pub(crate) standing_order: StandingOrder,
    pub(crate) rate: Mutex<MessageRate>,
    /// In force, in seconds; 0 = off.
    pub(crate) keep_alive_s: Mutex<u16>,
    /// The store knows that the claim is over: no release is owed.
    claim_over: AtomicBool,
    /// Its credentials expire, or did so before they were renewed.
    may_expire: AtomicBool,
    lease: Arc<dyn LeaseGate>,
    metrics: Arc<Metrics>,
}

/// What the broker has for a connection's task.
#[derive(Debug, PartialEq, Eq)]
pub enum ToConnection {
    /// Send this packet.
    Send(Outgoing),
    /// Another keep-alive is in force, in seconds.
    KeepAlive(u16),
    /// End: farewell as the table of endings says, close, release. Comes before all waiting messages, again and again.
    End(Order),
}

/// Who a new connection belongs to.
pub(crate) struct Identity {
    pub(crate) number: u64,
    pub(crate) client_id: ClientId,
    pub(crate) epoch: Epoch,
    pub(crate) incarnation: Incarnation,
    pub(crate) account: Arc<Account>,
    pub(crate) source: IpAddr,
    pub(crate) session: Arc<ClientSession>,
    pub(crate) keep_alive_s: u16,
}

impl Connection {
    pub(crate) fn new(identity: Identity, broker: &Broker) -> Self {
        Connection {
            number: identity.number,
            client_id: identity.client_id,
            epoch: identity.epoch,
            incarnation: identity.incarnation,
            account: identity.account,
            source: identity.source,
            session: identity.session,
            standing_order: StandingOrder::default(),
            rate: Mutex::default(),
            keep_alive_s: Mutex::new(identity.keep_alive_s),
            claim_over: AtomicBool::new(false),
            may_expire: AtomicBool::new(false),
            lease: broker.lease.clone(),
            metrics: broker.metrics.clone(),
        }
    }

    /// The client.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// The epoch of its claim.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The gate for packets: the lease of the connection's incarnation is valid, and neither a later epoch nor another
    /// end of the claim was seen. Asked for every packet at the moment it is written, CONNACK included; whoever writes
    /// knows that its socket is open. When it says no, only the close is left.
    #[must_use]
    pub fn may_send(&self) -> bool {
        !self.standing_order.is_ended() && self.has_lease()
    }

    /// The gate for the farewell of an ordered end, and for bytes that passed [`Connection::may_send`] as packets and
    /// reach the socket only now: the lease is valid.
    #[must_use]
    pub fn has_lease(&self) -> bool {
        self.lease.may_serve(self.incarnation)
    }

    /// The next thing to do: an order at any time, a packet of the session only when the caller has room for it. Only the
    /// connection's own task may call it.
    pub fn poll_next(&self, cx: &mut Context<'_>, has_room: bool) -> Poll<ToConnection> {
        if let Poll::Ready(ordered) = self.standing_order.poll(cx) {
            return Poll::Ready(match ordered {
                Ordered::End(order) => ToConnection::End(order),
                Ordered::KeepAlive(keep_alive_s) => ToConnection::KeepAlive(keep_alive_s),
            });
        }
        let mut noticed = Noticed::default();
        let next = self.session.poll_outgoing(self.number, cx, has_room, self.lease.now(), &mut noticed);
        Broker::count_expired(&self.metrics, noticed.expired);
        if noticed.stalls > 0 {
            self.metrics.inflight_limited(noticed.stalls);
        }
        next.map(ToConnection::Send)
    }

    /// Lends the session for one step of the connection's machine: `None` once a later connection has it, or it is over.
    pub fn with_session<R>(&self, step: impl FnOnce(Option<&mut Session>) -> R) -> R {
        self.session.lend(self.number, step)
    }

    /// Messages wait for the client, among them perhaps what it published itself.
    #[must_use]
    pub fn owes_messages(&self) -> bool {
        self.session.owes_messages(self.number)
    }

    /// Messages for the client wait behind what is retained.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.session.holds_back(self.number)
    }

    /// The order to end, if one was given.
    #[must_use]
    pub fn ordered(&self) -> Option<Order> {
        self.standing_order.get()
    }

    pub(crate) fn order(&self, order: Order) -> bool {
        self.standing_order.give(order)
    }

    pub(crate) fn now(&self) -> BootTime {
        self.lease.now()
    }

    pub(crate) fn expires(&self) {
        self.may_expire.store(true, Ordering::SeqCst);
    }

    pub(crate) fn may_expire(&self) -> bool {
        self.may_expire.load(Ordering::SeqCst)
    }

    /// The claim is over in the replicated state, so no release is owed any more.
    pub(crate) fn claim_is_over(&self) {
        self.claim_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn owes_release(&self) -> bool {
        !self.claim_over.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("number", &self.number)
            .field("client_id", &self.client_id)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

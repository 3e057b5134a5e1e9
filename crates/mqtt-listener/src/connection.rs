//! The engine of one connection: feeds the pure machine with what happens and carries out what it says. What it waits for
//! is `waiting.rs`.

use crate::{
    acknowledgements::Acknowledgements,
    authentication::Authentication,
    first::{First, HoldingBack},
    outbound::{NotSent, Outbound},
    publishing::Slowed,
    socket::SocketClosed,
    timer::Timer,
    verdicts::Verdicts,
    waiting::poll_gone,
};
use rollcall_broker::{Broker, ClosingSignal, HeldClaim, OpenSocket, Peer};
use rollcall_session::{ConnectRequest, Connection, Effect, Ending, Event, Order, Outgoing, Packet};
use rollcall_types::BootTime;
use std::{collections::VecDeque, future::poll_fn, sync::Arc};

/// One connection with all that belongs to it. Dropped in this order: the socket before the claim, the count last.
pub(crate) struct Engine {
    pub(crate) outbound: Outbound,
    pub(crate) closed: SocketClosed,
    pub(crate) session: Connection,
    pub(crate) timer: Timer,
    pub(crate) slowed: Option<Box<Slowed>>,
    pub(crate) first: Option<Box<First>>,
    /// While a SUBSCRIBE is not answered.
    holding_back: Option<HoldingBack>,
    pub(crate) verdicts: Verdicts,
    pub(crate) acknowledgements: Acknowledgements,
    /// Packets of the session sent since anything else was looked at.
    pub(crate) sent_in_a_row: u8,
    pub(crate) held: Option<HeldClaim>,
    socket: OpenSocket,
    pub(crate) closing: ClosingSignal,
    pub(crate) peer: Peer,
    pub(crate) broker: Arc<Broker>,
    /// Of a client that named a method.
    pub(crate) authentication: Option<Box<Authentication>>,
}

/// What follows from an event, once all that needs no waiting is done.
enum Step {
    /// Wait for the next event.
    Wait,
    /// Ask to be let in; the answer is the next event.
    Admit(Box<ConnectRequest>),
    /// End.
    End(Ending),
}

/// What a connection is made of.
pub(crate) struct Parts {
    pub(crate) outbound: Outbound,
    pub(crate) closed: SocketClosed,
    pub(crate) session: Connection,
    pub(crate) socket: OpenSocket,
    pub(crate) closing: ClosingSignal,
    pub(crate) peer: Peer,
    pub(crate) broker: Arc<Broker>,
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        Engine {
            outbound: parts.outbound,
            closed: parts.closed,
            session: parts.session,
            timer: Timer::default(),
            slowed: None,
            first: None,
            holding_back: None,
            verdicts: Verdicts::default(),
            acknowledgements: Acknowledgements::default(),
            sent_in_a_row: 0,
            held: None,
            socket: parts.socket,
            closing: parts.closing,
            peer: parts.peer,
            broker: parts.broker,
            authentication: None,
        }
    }

    /// Serves the connection to its end. What is awaited once in a connection's life is boxed, so that an idle one is
    /// small: the task keeps room for the largest thing it ever waits for in place.
    pub(crate) async fn run(mut self) {
        self.rearm();
        let mut event = Box::pin(self.before_connack()).await;
        loop {
            event = match self.step(event) {
                // No claim yet: an exchange of AUTH packets comes first.
                Step::Wait if self.held.is_none() => Box::pin(self.before_connack()).await,
                Step::Wait => self.next_event().await,
                Step::Admit(request) => Box::pin(self.admit(request)).await,
                Step::End(ending) => return Box::pin(self.finish(ending)).await,
            };
        }
    }

    pub(crate) fn now(&self) -> BootTime {
        self.broker.lease().now()
    }

    pub(crate) fn rearm(&mut self) {
        if let Some(deadline) = self.session.next_deadline()
            && self.timer.is_later_than(deadline)
        {
            self.timer.arm(deadline, self.now());
        }
    }

    pub(crate) fn closing_order(&self) -> Order {
        if self.broker.is_draining() { Order::Shutdown } else { Order::NodeLost }
    }

    /// One event and all that follows from it. While a subscription is made, live messages wait for what is retained.
    fn step(&mut self, event: Event) -> Step {
        if matches!(event, Event::Packet(Packet::Subscribe(_))) {
            self.holding_back = self.outbound.connection().map(|connection| HoldingBack::new(&self.broker, connection));
        }
        let step = self.carry_out(event);
        // One that the other nodes are told of goes on: what is retained is asked for with the SUBACK.
        if !matches!(self.first.as_deref(), Some(First::Subscribe { .. })) {
            self.holding_back = None;
        }
        step
    }

    fn carry_out(&mut self, event: Event) -> Step {
        let now = self.now();
        let mut effects = VecDeque::from(self.handle(event, now));
        while let Some(effect) = effects.pop_front() {
            let next = match effect {
                Effect::End(ending) => return Step::End(ending),
                // The machine asks for nothing after it.
                Effect::Admit(request) => return Step::Admit(request),
                Effect::LimitReached(limit) => {
                    self.broker.limit_reached(limit);
                    None
                }
                Effect::BeginAuthentication(asked) => self.begin_authentication(*asked),
                Effect::ContinueAuthentication(data) => {
                    self.continue_authentication(data);
                    None
                }
                Effect::Send(outgoing) => self.send(&outgoing),
                Effect::Publish { message, receipt } => self.publish(&message, receipt),
                Effect::Subscribe { packet_id, subscription_id, filters } => {
                    self.subscribe(packet_id, subscription_id, filters)
                }
                Effect::SendRetained { subscription_id, filters } => {
                    if let Some(connection) = self.outbound.connection() {
                        self.broker.send_retained(connection, subscription_id, filters);
                    }
                    None
                }
                Effect::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, filters),
            };
            if let Some(event) = next {
                for effect in self.handle(event, now).into_iter().rev() {
                    effects.push_front(effect);
                }
            }
        }
        Step::Wait
    }

    fn handle(&mut self, event: Event, now: BootTime) -> Vec<Effect> {
        match self.outbound.gate.connection() {
            Some(connection) if event.concerns_session() => {
                connection.with_session(|session| self.session.handle(event, session, now))
            }
            _ => self.session.handle(event, None, now),
        }
    }

    /// Waits for the claim, while the socket is open and the node does not close. Giving up drops the claim's future,
    /// and the store releases what may come of it.
    async fn admit(&mut self, request: Box<ConnectRequest>) -> Event {
        let proved = self.take_proved();
        let io = &self.outbound.io;
        let result = tokio::select! {
            biased;
            result = self.broker.connect_as(*request, self.peer.clone(), proved) => result,
            () = self.closing.closing() => return Event::Order(self.closing_order()),
            () = poll_fn(|cx| poll_gone(io, cx)) => return Event::PeerGone,
        };
        match result {
            Err(refusal) => Event::Refused(refusal),
            Ok(held) => {
                self.outbound.gate.guard(held.connection().clone());
                let may_send = held.connection().may_send();
                let session_present = held.session_present();
                self.held = Some(held);
                if self.outbound.io.is_closed() {
                    Event::PeerGone
                } else if may_send {
                    Event::Admitted { session_present }
                } else {
                    self.shut()
                }
            }
        }
    }

    /// Why the gate is shut: an order to end, or else the lease.
    fn shut(&self) -> Event {
        let ordered = self.outbound.connection().and_then(|connection| connection.ordered());
        Event::Order(ordered.unwrap_or(Order::NodeLost))
    }

    /// Sends a packet, or keeps it until the client has its own messages.
    pub(crate) fn send(&mut self, outgoing: &Outgoing) -> Option<Event> {
        let connection = self.outbound.connection();
        let owes_messages = || connection.is_some_and(|connection| connection.owes_messages());
        if self.acknowledgements.postpone(outgoing, owes_messages) { None } else { self.send_now(outgoing) }
    }

    pub(crate) fn send_now(&mut self, outgoing: &Outgoing) -> Option<Event> {
        let is_connack = matches!(outgoing, Outgoing::ConnAck(_));
        match self.outbound.send(outgoing) {
            Ok(()) => {
                if is_connack {
                    self.socket.admitted();
                }
                None
            }
            Err(NotSent::Closed) => Some(Event::PeerGone),
            Err(NotSent::Shut) => Some(self.shut()),
            // A client that cannot take its CONNACK, or AUTH, cannot be served.
            Err(NotSent::TooLarge) if is_connack || matches!(outgoing, Outgoing::Auth(_)) => Some(Event::PeerGone),
            Err(NotSent::TooLarge) => {
                self.broker.dropped_too_large();
                if let (Outgoing::Publish(publish), Some(connection)) = (outgoing, self.outbound.connection()) {
                    connection.with_session(|session| session.map(|session| session.not_sent(publish)));
                }
                None
            }
        }
    }
}

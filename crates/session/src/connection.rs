//! The machine of one connection.

use crate::{
    Cause, ClientLimit, ConnAck, Connect, ConnectRefusal, DecodeFault, Effect, Event, Fault, KeepAlive, Limits, Order,
    Outgoing, Packet, Phase, ReasonCode, RequestedSubscription, RetainHandling, Session, Subscribe, SubscribeAnswer,
    alias::IncomingAliases, authentication::Authentication, connect, connect::ConnectRequest, ending::ending,
    window::Acknowledged,
};
use rollcall_types::{BootTime, Protocol, TopicFilterError, check_topic_filter};
use std::{
    num::{NonZeroU16, NonZeroU32},
    sync::Arc,
};

/// One connection, from the opening of its socket to its end.
///
/// The shell feeds it events and carries out its effects in order. After [`Effect::End`] every further event is
/// ignored.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) limits: Arc<Limits>,
    state: State,
    seed: u128,
    pub(crate) protocol: Option<Protocol>,
    keep_alive: KeepAlive,
    session_expiry_s: u32,
    pub(crate) aliases: IncomingAliases,
    /// Where CONNECT named a method.
    pub(crate) authentication: Option<Box<Authentication>>,
}

#[derive(Clone, Debug)]
enum State {
    AwaitingConnect {
        deadline: Option<BootTime>,
    },
    /// The client proves who it is, beyond what CONNECT says.
    Authenticating,
    Claiming(Box<ConnAck>),
    Open,
    Ended,
}

impl Connection {
    /// A socket was opened now. `seed` is 128 random bits, used when the client leaves its id to the broker.
    #[must_use]
    pub fn new(limits: Arc<Limits>, seed: u128, now: BootTime) -> Self {
        let deadline = (limits.connect_timeout_ms > 0).then(|| now.plus_ms(limits.connect_timeout_ms));
        Connection {
            limits,
            state: State::AwaitingConnect { deadline },
            seed,
            protocol: None,
            keep_alive: KeepAlive::new(0, now),
            session_expiry_s: 0,
            aliases: IncomingAliases::default(),
            authentication: None,
        }
    }

    /// When [`Event::Tick`] is wanted next; `None`: never. Only CONNACK, an AUTH and a shorter keep-alive bring it forward,
    /// otherwise it moves away.
    #[must_use]
    pub fn next_deadline(&self) -> Option<BootTime> {
        match &self.state {
            State::AwaitingConnect { deadline } => *deadline,
            State::Authenticating => self.authentication_deadline(),
            State::Open => [self.keep_alive.deadline(), self.authentication_deadline()].into_iter().flatten().min(),
            State::Claiming(_) | State::Ended => None,
        }
    }

    fn authentication_deadline(&self) -> Option<BootTime> {
        self.authentication.as_ref().and_then(|known| known.deadline())
    }

    /// The version, once CONNECT named it.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// CONNACK was sent and the connection has not ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// MQTT 3 has no code for "over quota": such a client is slowed down by not reading from it.
    #[must_use]
    pub fn is_slowed_by_not_reading(&self) -> bool {
        self.protocol != Some(Protocol::V5)
    }

    /// The one door. `session` is the client's, from the admission on, as long as this connection is the one that serves
    /// it; without it nothing is done to the session, as when a later connection has it. Events that say so
    /// ([`Event::concerns_session`]) need it.
    pub fn handle(&mut self, event: Event, session: Option<&mut Session>, now: BootTime) -> Vec<Effect> {
        if matches!(self.state, State::Ended) {
            return Vec::new();
        }
        match event {
            Event::Packet(packet) => self.packet(packet, session, now),
            Event::Undecodable(fault) => self.undecodable(fault),
            Event::PeerGone => self.end(Cause::PeerGone),
            Event::Tick => self.tick(now),
            Event::Admitted { session_present } => self.admitted(session_present, now),
            Event::Refused(refusal) => self.end(Cause::Refused(refusal)),
            Event::Published { receipt, verdict } => self.published(receipt, verdict, session),
            Event::Subscribed { packet_id, subscription_id, filters, answers } => {
                subscribed(packet_id, subscription_id, filters, answers)
            }
            Event::Unsubscribed { packet_id, answers } => send(Outgoing::UnsubAck(packet_id, answers)),
            Event::Authenticated(answer) => self.authenticated(answer),
            Event::KeepAlive(keep_alive_s) => {
                self.keep_alive.change(keep_alive_s, now);
                Vec::new()
            }
            Event::Order(order) => self.end(Cause::Ordered(order)),
        }
    }

    /// The ending the shell reports when it cannot go on by itself (its task is dropped, say).
    #[must_use]
    pub fn abandoned(&self) -> crate::Ending {
        ending(Cause::PeerGone, self.phase(), self.protocol)
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::AwaitingConnect { .. } => Phase::AwaitingConnect,
            State::Claiming(_) | State::Authenticating => Phase::Claiming,
            State::Open | State::Ended => Phase::Open,
        }
    }

    pub(crate) fn end(&mut self, cause: Cause) -> Vec<Effect> {
        let ending = ending(cause, self.phase(), self.protocol);
        self.state = State::Ended;
        vec![Effect::End(ending)]
    }

    pub(crate) fn fault(&mut self, fault: Fault) -> Vec<Effect> {
        self.end(Cause::Fault(fault))
    }

    /// A fault, which may be that a limit was passed.
    pub(crate) fn fault_at(&mut self, passed: Option<ClientLimit>, fault: Fault) -> Vec<Effect> {
        passed.map(Effect::LimitReached).into_iter().chain(self.fault(fault)).collect()
    }

    fn undecodable(&mut self, fault: DecodeFault) -> Vec<Effect> {
        let passed = matches!(fault, DecodeFault::TooLarge(_)).then_some(ClientLimit::PacketBytes);
        passed.map(Effect::LimitReached).into_iter().chain(self.end(Cause::Undecodable(fault))).collect()
    }

    fn tick(&mut self, now: BootTime) -> Vec<Effect> {
        match &self.state {
            State::AwaitingConnect { deadline: Some(deadline) } if now >= *deadline => self.end(Cause::ConnectTimedOut),
            State::Authenticating if self.authentication_is_late(now) => self.end(Cause::ConnectTimedOut),
            State::Open if self.authentication_is_late(now) => self.end(Cause::Ordered(Order::NotAuthorized)),
            State::Open if self.keep_alive.is_over(now) => self.end(Cause::KeepAliveExpired),
            _ => Vec::new(),
        }
    }

    fn packet(&mut self, packet: Packet, session: Option<&mut Session>, now: BootTime) -> Vec<Effect> {
        self.keep_alive.packet_arrived(now);
        match (&self.state, packet) {
            (State::AwaitingConnect { .. }, Packet::Connect(connect)) => self.connect(*connect),
            (State::AwaitingConnect { .. }, _) => self.fault(Fault::ConnectMissing),
            (_, Packet::Connect(_)) => self.fault(Fault::SecondConnect),
            // The shell reads no packet while the claim is under way; one that comes all the same is out of order.
            (State::Claiming(_), _) => self.fault(Fault::ProtocolError),
            (State::Authenticating, Packet::Disconnect { reason, .. }) => self.end(Cause::ClientLeft(reason)),
            (state, Packet::Auth(auth)) => {
                let is_open = matches!(state, State::Open);
                self.auth(*auth, is_open, now)
            }
            (State::Authenticating, _) => self.fault(Fault::ProtocolError), // MQTT-3.1.2-30
            (_, packet) => self.open_packet(packet, session),
        }
    }

    fn connect(&mut self, mut connect: Connect) -> Vec<Effect> {
        self.protocol = Some(connect.protocol);
        let method = connect.authentication_method.take();
        let data = std::mem::take(&mut connect.authentication_data);
        let asked_keep_alive_s = connect.keep_alive_s;
        let asked_expiry_s = connect.session_expiry_s;
        let passed = connect::passed(&connect, &self.limits);
        let request = match connect::check(connect, &self.limits, self.seed) {
            Ok(request) => request,
            Err(fault) => return self.fault_at(passed, fault),
        };
        let mut effects = Vec::with_capacity(1);
        if self.protocol == Some(Protocol::V5) {
            let expiry = (request.session_expiry_s != asked_expiry_s).then_some(ClientLimit::SessionExpiry);
            let keep_alive = (request.keep_alive_s != asked_keep_alive_s).then_some(ClientLimit::KeepAlive);
            effects.extend(expiry.into_iter().chain(keep_alive).map(Effect::LimitReached));
        }
        self.session_expiry_s = request.session_expiry_s;
        self.keep_alive = KeepAlive::new(request.keep_alive_s, BootTime::default());
        let connack = Box::new(self.connack(&request, asked_keep_alive_s, asked_expiry_s));
        let request = Box::new(request);
        effects.extend(match method {
            None => self.claim(request, connack),
            Some(method) => {
                let authentication = Authentication::new(method, data, &request);
                let deadline = self.next_deadline();
                self.state = State::Authenticating;
                self.authenticate(authentication, request, connack, deadline)
            }
        });
        effects
    }

    pub(crate) fn claim(&mut self, request: Box<ConnectRequest>, connack: Box<ConnAck>) -> Vec<Effect> {
        self.state = State::Claiming(connack);
        vec![Effect::Admit(request)]
    }

    fn connack(&self, request: &ConnectRequest, asked_keep_alive_s: u16, asked_expiry_s: u32) -> ConnAck {
        ConnAck {
            code: ReasonCode::Success,
            session_present: false,
            assigned_client_id: request.assigned.then(|| request.client_id.as_str().to_owned()),
            server_keep_alive_s: (request.keep_alive_s != asked_keep_alive_s).then_some(request.keep_alive_s),
            session_expiry_s: (request.session_expiry_s != asked_expiry_s).then_some(request.session_expiry_s),
            receive_maximum: self.limits.receive_maximum,
            packet_bytes_max: self.limits.packet_bytes_max,
            topic_alias_maximum: self.limits.topic_alias_maximum,
            authentication: None,
            why: "",
        }
    }

    fn admitted(&mut self, session_present: bool, now: BootTime) -> Vec<Effect> {
        match std::mem::replace(&mut self.state, State::Open) {
            State::Claiming(mut connack) => {
                connack.session_present = session_present;
                self.keep_alive.packet_arrived(now);
                send(Outgoing::ConnAck(connack))
            }
            other => {
                self.state = other;
                Vec::new()
            }
        }
    }

    fn open_packet(&mut self, packet: Packet, session: Option<&mut Session>) -> Vec<Effect> {
        match packet {
            Packet::Publish(publish) => self.publish(publish, session),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe),
            Packet::Unsubscribe { packet_id, filters } => self.unsubscribe(packet_id, filters),
            Packet::PingReq => send(Outgoing::PingResp),
            Packet::Disconnect { reason, session_expiry_s } => self.disconnect(reason, session_expiry_s, session),
            Packet::PubAck(_) | Packet::PubRec { .. } | Packet::PubRel(_) | Packet::PubComp(_) => match session {
                Some(session) => self.acknowledgement(packet, session),
                None => Vec::new(),
            },
            Packet::Auth(_) | Packet::ServerOnly | Packet::Connect(_) => self.fault(Fault::ProtocolError),
        }
    }

    fn acknowledgement(&mut self, packet: Packet, session: &mut Session) -> Vec<Effect> {
        let (acknowledged, unknown) = match packet {
            Packet::PubAck(packet_id) => (session.puback(packet_id), None),
            Packet::PubComp(packet_id) => (session.pubcomp(packet_id), None),
            Packet::PubRec { packet_id, refused } => {
                // An answer lets the client forget the message; a refusal ends its way by itself.
                let forget = Outgoing::PubRel(packet_id, ReasonCode::PacketIdentifierNotFound);
                (session.pubrec(packet_id, refused), (!refused).then_some(forget))
            }
            Packet::PubRel(packet_id) => {
                let known = session.inbound.release(packet_id);
                let code = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                return send(Outgoing::PubComp(packet_id, code));
            }
            _ => return Vec::new(),
        };
        match acknowledged {
            Acknowledged::Done(answer) => answer.map(send).unwrap_or_default(),
            Acknowledged::Unknown => unknown.map(send).unwrap_or_default(),
            Acknowledged::Misplaced => self.fault(Fault::ProtocolError),
        }
    }

    /// A session that was to end with its connection may not be prolonged at the end (MQTT 5.0, 3.14.2.2.2).
    fn disconnect(&mut self, reason: u8, expiry_s: Option<u32>, session: Option<&mut Session>) -> Vec<Effect> {
        if self.session_expiry_s == 0 && expiry_s.is_some_and(|seconds| seconds > 0) {
            return self.fault(Fault::ProtocolError);
        }
        if let (Some(expiry_s), Some(session)) = (expiry_s, session) {
            session.set_expiry(expiry_s.min(self.limits.session_expiry_max_s));
        }
        self.end(Cause::ClientLeft(reason))
    }

    fn subscribe(&mut self, subscribe: Subscribe) -> Vec<Effect> {
        if subscribe.filters.is_empty() {
            return self.fault(Fault::ProtocolError); // MQTT-3.8.3-2
        }
        let mut filters = Vec::with_capacity(subscribe.filters.len());
        let mut effects = Vec::with_capacity(1);
        for requested in subscribe.filters {
            if let Err(fault) = check_filter(&requested.filter) {
                return self.fault(fault);
            }
            if requested.no_local && rollcall_types::split_shared(&requested.filter).is_some() {
                return self.fault(Fault::ProtocolError); // MQTT-3.8.3-4
            }
            let passed = self.limits.passed_by_topic(&requested.filter);
            effects.extend(passed.map(Effect::LimitReached));
            let refused = passed.map(|_| ReasonCode::TopicFilterInvalid);
            filters.push((requested, refused));
        }
        let Subscribe { packet_id, subscription_id, .. } = subscribe;
        effects.push(Effect::Subscribe { packet_id, subscription_id, filters });
        effects
    }

    fn unsubscribe(&mut self, packet_id: NonZeroU16, filters: Vec<String>) -> Vec<Effect> {
        if filters.is_empty() {
            return self.fault(Fault::ProtocolError); // MQTT-3.10.3-2
        }
        for filter in &filters {
            if let Err(fault) = check_filter(filter) {
                return self.fault(fault);
            }
        }
        vec![Effect::Unsubscribe { packet_id, filters }]
    }
}

fn check_filter(filter: &str) -> Result<(), Fault> {
    match check_topic_filter(filter) {
        Ok(()) => Ok(()),
        Err(TopicFilterError::ShareNameEmpty | TopicFilterError::ShareNameWildcard) => Err(Fault::ProtocolError),
        Err(_) => Err(Fault::Malformed),
    }
}

/// SUBACK, then what is retained (MQTT 5.0, 3.3.1.3): never for a shared subscription, otherwise as asked.
fn subscribed(
    packet_id: NonZeroU16,
    subscription_id: Option<NonZeroU32>,
    filters: Vec<RequestedSubscription>,
    answers: Vec<SubscribeAnswer>,
) -> Vec<Effect> {
    let due = |requested: &RequestedSubscription, answer: &SubscribeAnswer| match (requested.retain_handling, answer) {
        (_, SubscribeAnswer::Refused(_)) | (RetainHandling::Never, _) => false,
        _ if rollcall_types::split_shared(&requested.filter).is_some() => false,
        (RetainHandling::AtSubscribe, _) => true,
        (RetainHandling::AtNewSubscribe, SubscribeAnswer::Granted { is_new, .. }) => *is_new,
    };
    let filters: Vec<_> = filters
        .into_iter()
        .zip(&answers)
        .filter(|(asked, answer)| due(asked, answer))
        .map(|(asked, _)| asked)
        .collect();
    let mut effects = send(Outgoing::SubAck(packet_id, answers));
    if !filters.is_empty() {
        effects.push(Effect::SendRetained { subscription_id, filters });
    }
    effects
}

pub(crate) fn send(outgoing: Outgoing) -> Vec<Effect> {
    vec![Effect::Send(outgoing)]
}

/// What the machine takes a refusal or an order from, so that shells need not name the table's types.
impl From<ConnectRefusal> for Event {
    fn from(refusal: ConnectRefusal) -> Self {
        Event::Refused(refusal)
    }
}

impl From<Order> for Event {
    fn from(order: Order) -> Self {
        Event::Order(order)
    }
}

//! A connection, its session, and what a client and a broker that keep count know of both.

use rollcall_session::{
    Auth, AuthPurpose, Connect, Connection, Delivery, Effect, Event, Limits, LinkTerms, Outgoing, OutgoingPublish,
    Packet, Publish, PublishVerdict, QueueLimits, ReasonCode, Receipt, RequestedSubscription, RetainHandling, Session,
    SessionState, Subscribe, SubscribeAnswer,
};
use rollcall_test_fuzzing::Choices;
use rollcall_types::{BootTime, Message, MessageProperties, Protocol, QoS};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;

const ROOM: QueueLimits = QueueLimits { messages: 6, bytes: 2_000 };
/// Identifiers that the client uses.
const CLIENT_IDS: u8 = 6;
/// Where packet identifiers begin: at their first turn, shortly before the second, and where only damage can put them.
const SEQUENCES: [u64; 3] = [0, 65_530, u64::MAX];
/// MQTT 3 has no Receive Maximum towards the broker.
const INBOUND_MAX_V3: usize = 65_535;

/// What is wrong on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    Nothing,
    /// One message more is under way than the client takes.
    OneMoreUnderWay,
    /// A session loses all it has with its connection.
    Forgets,
}

/// A message under way to the client.
#[derive(Clone, Debug)]
struct UnderWay {
    topic: String,
    qos: QoS,
    released: bool,
    /// It, or its PUBREL, was sent over the present link.
    sent: bool,
    /// The message itself was.
    published: bool,
}

/// A message of the client that is being handed on.
#[derive(Clone, Copy, Debug)]
struct Handing {
    exactly_once: bool,
    asked_again: bool,
    /// It came over an earlier link.
    late: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    broken: Broken,
    protocol: Protocol,
    limits: Arc<Limits>,
    connection: Connection,
    session: Session,
    now: BootTime,
    client_max: u16,
    offered: u64,
    /// Number of the last message that was sent for the first time.
    last_new: Option<u64>,
    under_way: BTreeMap<NonZeroU16, UnderWay>,
    handing: BTreeMap<NonZeroU16, Handing>,
    received: BTreeSet<NonZeroU16>,
    /// Of these, what came again over this link without DUP.
    repeated: BTreeSet<NonZeroU16>,
    earlier: usize,
    /// PUBRECs owed for what an earlier link brought.
    owed: BTreeMap<NonZeroU16, ReasonCode>,
    seen: BTreeSet<&'static str>,
}

type Step = Result<bool, String>;

impl World {
    /// A world with an open connection; `None` when the input is too short to say which.
    pub(crate) fn begin(choices: &mut Choices<'_>, broken: Broken) -> Option<World> {
        let protocol = [Protocol::V5, Protocol::V311][usize::from(choices.below(2)?)];
        let receive_maximum = 1 + u16::from(choices.below(4)?);
        let limits = Arc::new(Limits { receive_maximum, ..Limits::default() });
        let client_max = 1 + u16::from(choices.below(4)?);
        let next_sequence = SEQUENCES[usize::from(choices.below(3)?)];
        let state = SessionState { expiry_s: 100, queue: vec![], under_way: vec![], next_sequence, received: vec![] };
        let mut world = World {
            broken,
            protocol,
            connection: Connection::new(Arc::clone(&limits), 7, BootTime(0)),
            limits,
            session: Session::import(state, ROOM, BootTime(0)).0,
            now: BootTime(0),
            client_max,
            offered: 0,
            last_new: None,
            under_way: BTreeMap::new(),
            handing: BTreeMap::new(),
            received: BTreeSet::new(),
            repeated: BTreeSet::new(),
            earlier: 0,
            owed: BTreeMap::new(),
            seen: BTreeSet::new(),
        };
        world.open();
        Some(world)
    }

    /// Names of what happened, for the shape.
    pub(crate) fn seen(&self) -> &BTreeSet<&'static str> {
        &self.seen
    }

    fn open(&mut self) {
        self.connection = Connection::new(Arc::clone(&self.limits), 7, self.now);
        let connect = Connect {
            protocol: self.protocol,
            client_id: "c".into(),
            clean_start: false,
            keep_alive_s: 0,
            username: None,
            password: None,
            will: None,
            session_expiry_s: 100,
            receive_maximum: self.client_max,
            topic_alias_maximum: 2,
            authentication_method: None,
            authentication_data: Vec::new(),
        };
        let asked = self.connection.handle(Event::Packet(Packet::Connect(Box::new(connect))), None, self.now);
        assert!(matches!(asked[..], [Effect::Admit(_)]), "{asked:?}");
        let admitted = self.connection.handle(Event::Admitted { session_present: true }, None, self.now);
        assert!(matches!(admitted[..], [Effect::Send(Outgoing::ConnAck(_))]), "{admitted:?}");
        let more = u16::from(self.broken == Broken::OneMoreUnderWay);
        let terms =
            LinkTerms { session_expiry_s: 100, receive_maximum: self.client_max + more, topic_alias_maximum: 2 };
        self.session.attach(terms);
    }

    /// The connection is over; another one comes.
    fn reconnect(&mut self, client_max: u16) {
        self.session.detach();
        if self.broken == Broken::Forgets {
            self.session = Session::default();
        }
        self.client_max = client_max;
        self.begin_link();
        self.open();
    }

    fn begin_link(&mut self) {
        for one in self.under_way.values_mut() {
            (one.sent, one.published) = (false, false);
        }
        self.handing.retain(|_, one| one.exactly_once);
        self.handing.values_mut().for_each(|one| one.late = true);
        self.earlier = self.handing.len() + self.received.len();
        self.owed.clear();
        self.repeated.clear();
    }

    fn handle(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = self.connection.handle(event, Some(&mut self.session), self.now);
        // Which limits were reached is only counted.
        effects.retain(|effect| !matches!(effect, Effect::LimitReached(_)));
        effects
    }

    /// What must come, and nothing else. An end is followed by silence, and by another connection.
    fn expect(&mut self, what: &'static str, effects: &[Effect], expected: &[Effect]) -> Step {
        self.seen.insert(what);
        if effects == expected { Ok(true) } else { Err(format!("{what}: expected {expected:?}, came {effects:?}")) }
    }

    fn expect_end(&mut self, what: &'static str, effects: &[Effect]) -> Step {
        self.seen.insert(what);
        if !matches!(effects, [Effect::End(_)]) {
            return Err(format!("{what}: expected the end, came {effects:?}"));
        }
        let after = self.handle(Event::Packet(Packet::PingReq));
        if !after.is_empty() {
            return Err(format!("after the end came {after:?}"));
        }
        self.reconnect(self.client_max);
        Ok(true)
    }

    /// One step; false when the input is over.
    pub(crate) fn step(&mut self, choices: &mut Choices<'_>) -> Step {
        let Some(kind) = choices.below(12) else { return Ok(false) };
        let mut next = |end: u8| choices.below(end).unwrap_or(0);
        match kind {
            0 | 1 => {
                let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(next(3))];
                let delivery = Delivery::new(Arc::new(message(&self.offered.to_string(), qos)), qos, self.now);
                self.offered += 1;
                self.session.offer(delivery, ROOM, self.now);
                Ok(true)
            }
            2 => {
                let is_too_large = next(8) == 7;
                self.deliver(is_too_large)
            }
            3 => {
                let sent: Vec<_> = self.under_way.iter().filter(|(_, one)| one.sent).collect();
                let Some((id, one)) = sent.get(usize::from(next(16)) % sent.len().max(1)) else { return Ok(true) };
                let kind = match (one.qos, one.released) {
                    (QoS::AtLeastOnce, _) => 0,
                    (_, false) => 1,
                    (_, true) => 3,
                };
                let id = **id;
                self.acknowledge(kind, id)
            }
            4 => {
                let base = self.under_way.keys().next().map_or(1, |id| id.get());
                let id = NonZeroU16::MIN.saturating_add(base.wrapping_sub(1).wrapping_add(u16::from(next(5))));
                self.acknowledge(next(4), id)
            }
            5 => {
                let (qos, id, dup) = (next(3), client_id(next(CLIENT_IDS)), next(2) == 1);
                self.publish(qos, id, dup)
            }
            6 => {
                let pending: Vec<_> = self.handing.iter().filter(|(_, one)| !one.late).collect();
                let place = usize::from(next(8)) % pending.len().max(1);
                let Some((id, one)) = pending.get(place).map(|(id, one)| (**id, **one)) else { return Ok(true) };
                self.verdict(id, one.exactly_once, next(6))
            }
            7 => {
                let id = client_id(next(CLIENT_IDS));
                let known = self.received.remove(&id);
                self.repeated.remove(&id);
                let code = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                let effects = self.handle(Event::Packet(Packet::PubRel(id)));
                self.expect("PUBREL", &effects, &[Effect::Send(Outgoing::PubComp(id, code))])
            }
            8 => {
                self.seen.insert("another connection");
                self.reconnect(1 + u16::from(next(4)));
                Ok(true)
            }
            9 => {
                let late: Vec<_> = self.handing.iter().filter(|(_, one)| one.late).map(|(id, _)| *id).collect();
                let Some(id) = late.get(usize::from(next(8)) % late.len().max(1)) else { return Ok(true) };
                self.late_verdict(*id, next(2) == 0)
            }
            10 => self.travel(),
            _ => {
                let kind = next(8);
                self.other(kind, choices)
            }
        }
    }

    fn deliver(&mut self, is_too_large: bool) -> Step {
        match self.session.next_outgoing(self.now) {
            None => Ok(true),
            Some(Outgoing::Publish(publish)) => {
                self.sent(&publish)?;
                if is_too_large {
                    self.session.not_sent(&publish);
                    self.under_way.retain(|id, _| Some(*id) != publish.packet_id);
                }
                Ok(true)
            }
            Some(Outgoing::PubRel(id, ReasonCode::Success)) => {
                self.seen.insert("PUBREL again");
                match self.under_way.get_mut(&id) {
                    Some(one) if one.released && !one.sent => one.sent = true,
                    one => return Err(format!("PUBREL {id} for {one:?}")),
                }
                Ok(true)
            }
            Some(Outgoing::PubRec(id, code)) if self.owed.remove(&id) == Some(code) => {
                self.seen.insert("PUBREC owed");
                Ok(true)
            }
            Some(other) => Err(format!("nobody waits for {other:?}")),
        }
    }

    fn sent(&mut self, publish: &OutgoingPublish) -> Result<(), String> {
        let (topic, qos) = (publish.delivery.message.topic.clone(), publish.delivery.qos);
        if (qos == QoS::AtMostOnce) != publish.packet_id.is_none() {
            return Err(format!("{publish:?} at {qos:?}"));
        }
        if publish.dup {
            self.seen.insert("DUP");
            let one = publish.packet_id.and_then(|id| self.under_way.get_mut(&id));
            match one {
                Some(one) if !one.released && !one.sent && one.topic == topic => {
                    (one.sent, one.published) = (true, true)
                }
                one => return Err(format!("{publish:?} with DUP for {one:?}")),
            }
        } else {
            let number = topic.parse().ok();
            if self.last_new >= number {
                return Err(format!("{topic} came after {:?}", self.last_new));
            }
            self.last_new = number;
            if let Some(id) = publish.packet_id {
                let one = UnderWay { topic, qos, released: false, sent: true, published: true };
                if let Some(earlier) = self.under_way.insert(id, one) {
                    return Err(format!("identifier {id} is under way twice: {earlier:?}"));
                }
            }
        }
        let count = self.under_way.values().filter(|one| one.published).count();
        let most = usize::from(self.client_max);
        if count > most { Err(format!("{count} under way, Receive Maximum is {most}")) } else { Ok(()) }
    }

    /// PUBACK, PUBREC, PUBREC that refuses, PUBCOMP.
    fn acknowledge(&mut self, kind: u8, id: NonZeroU16) -> Step {
        let refused = kind == 2;
        let packet = match kind {
            0 => Packet::PubAck(id),
            1 | 2 => Packet::PubRec { packet_id: id, refused },
            _ => Packet::PubComp(id),
        };
        let effects = self.handle(Event::Packet(packet));
        let pubrel = |code| Effect::Send(Outgoing::PubRel(id, code));
        let state = self.under_way.get(&id).filter(|one| one.sent).map(|one| (one.qos, one.released));
        match (kind, state) {
            (1, None) => self.expect("PUBREC of nothing", &effects, &[pubrel(ReasonCode::PacketIdentifierNotFound)]),
            (_, None) => self.expect("an answer to nothing", &effects, &[]),
            (0, Some((QoS::AtLeastOnce, _))) | (2, Some((QoS::ExactlyOnce, _))) | (3, Some((_, true))) => {
                self.under_way.remove(&id);
                self.expect("the last answer", &effects, &[])
            }
            (1, Some((QoS::ExactlyOnce, _))) => {
                self.under_way.entry(id).and_modify(|one| one.released = true);
                self.expect("PUBREC", &effects, &[pubrel(ReasonCode::Success)])
            }
            _ => self.expect_end("an answer of another kind", &effects),
        }
    }

    fn publish(&mut self, qos: u8, id: NonZeroU16, dup: bool) -> Step {
        let (exactly_once, qos) = (qos == 2, [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce][usize::from(qos)]);
        let message = Arc::new(message("t", qos));
        let at_most_once = qos == QoS::AtMostOnce;
        let publish = Publish {
            message: message.clone(),
            packet_id: (!at_most_once).then_some(id),
            dup: dup && !at_most_once,
            topic_alias: None,
            has_subscription_id: false,
        };
        let effects = self.handle(Event::Packet(Packet::Publish(publish)));
        if at_most_once {
            return self.expect("PUBLISH at 0", &effects, &[Effect::Publish { message, receipt: None }]);
        }
        let most = match self.protocol {
            Protocol::V5 => usize::from(self.limits.receive_maximum),
            _ => INBOUND_MAX_V3,
        };
        if let Some(one) = self.handing.get_mut(&id) {
            one.asked_again = true;
            return self.expect("PUBLISH under way", &effects, &[]);
        }
        if self.received.contains(&id) {
            if !dup && !self.repeated.insert(id) {
                return self.expect_end("repeated without DUP and end", &effects);
            }
            let answer = match exactly_once {
                true => Outgoing::PubRec(id, ReasonCode::Success),
                false => Outgoing::PubAck(id, ReasonCode::PacketIdentifierInUse),
            };
            return self.expect("PUBLISH received", &effects, &[Effect::Send(answer)]);
        }
        if self.handing.len() + self.received.len() >= most + self.earlier {
            return self.expect_end("more than Receive Maximum", &effects);
        }
        self.handing.insert(id, Handing { exactly_once, asked_again: false, late: false });
        let receipt = Some(Receipt { packet_id: id, exactly_once });
        self.expect("PUBLISH", &effects, &[Effect::Publish { message, receipt }])
    }

    fn verdict(&mut self, id: NonZeroU16, exactly_once: bool, which: u8) -> Step {
        let v5 = self.protocol == Protocol::V5;
        let (verdict, code) = match which {
            1 if v5 && !exactly_once => {
                (PublishVerdict::Accepted { matched: false }, ReasonCode::NoMatchingSubscribers)
            }
            0 | 1 => (PublishVerdict::Accepted { matched: which == 0 }, ReasonCode::Success),
            2 if v5 => (PublishVerdict::NotAuthorized, ReasonCode::NotAuthorized),
            2 => (PublishVerdict::NotAuthorized, ReasonCode::Success),
            3 if v5 => (PublishVerdict::NoReceiver, ReasonCode::NoMatchingSubscribers),
            3 => (PublishVerdict::NoReceiver, ReasonCode::Success),
            4 if v5 => (PublishVerdict::Failed, ReasonCode::UnspecifiedError),
            4 => {
                let receipt = Receipt { packet_id: id, exactly_once };
                let effects = self.handle(Event::Published { receipt, verdict: PublishVerdict::Failed });
                return self.expect_end("a failure without a code", &effects);
            }
            _ => (PublishVerdict::OverQuota { retry_after_s: 1 }, ReasonCode::QuotaExceeded),
        };
        let effects = self.handle(Event::Published { receipt: Receipt { packet_id: id, exactly_once }, verdict });
        self.handing.remove(&id);
        if exactly_once && matches!(code, ReasonCode::Success | ReasonCode::NoMatchingSubscribers) {
            self.received.insert(id);
        }
        let answer = if exactly_once { Outgoing::PubRec(id, code) } else { Outgoing::PubAck(id, code) };
        self.expect("a verdict", &effects, &[Effect::Send(answer)])
    }

    fn late_verdict(&mut self, id: NonZeroU16, accepted: bool) -> Step {
        self.seen.insert("a late verdict");
        let answers = self.session.settle_late(id, accepted);
        let asked_again = self.handing.remove(&id).is_some_and(|one| one.asked_again);
        if accepted {
            self.received.insert(id);
        }
        if asked_again {
            self.owed.insert(id, if accepted { ReasonCode::Success } else { ReasonCode::UnspecifiedError });
        }
        if answers == asked_again { Ok(true) } else { Err(format!("a late verdict for {id}: answered {answers}")) }
    }

    /// The session goes to another node, as bytes.
    fn travel(&mut self) -> Step {
        self.seen.insert("another node");
        let bytes = postcard::to_stdvec(&self.session.export(self.now)).map_err(|error| error.to_string())?;
        let state: SessionState = postcard::from_bytes(&bytes).map_err(|error| error.to_string())?;
        self.session = Session::import(state, ROOM, self.now).0;
        let arrived = self.handing.iter().filter(|(_, one)| one.exactly_once).map(|(id, _)| *id);
        self.received.extend(arrived);
        self.handing.clear();
        self.begin_link();
        self.open();
        Ok(true)
    }

    /// What has nothing to do with messages.
    fn other(&mut self, kind: u8, choices: &mut Choices<'_>) -> Step {
        let filter = String::from_utf8_lossy(choices.piece(12).unwrap_or_default()).into_owned();
        let is_valid = rollcall_types::check_topic_filter(&filter).is_ok();
        let id = NonZeroU16::MIN;
        match kind {
            0 | 1 => {
                let asked = RequestedSubscription {
                    filter,
                    qos: QoS::AtLeastOnce,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: RetainHandling::Never,
                };
                let subscribe = Subscribe { packet_id: id, subscription_id: None, filters: vec![asked.clone()] };
                let effects = self.handle(Event::Packet(Packet::Subscribe(subscribe)));
                if !is_valid {
                    return self.expect_end("no filter", &effects);
                }
                let wanted = [(asked.clone(), None)].into();
                let subscribe = Effect::Subscribe { packet_id: id, subscription_id: None, filters: wanted };
                self.expect("SUBSCRIBE", &effects, &[subscribe])?;
                let answers = vec![SubscribeAnswer::Granted { qos: QoS::AtLeastOnce, is_new: true }];
                let filters = vec![asked];
                let answered =
                    Event::Subscribed { packet_id: id, subscription_id: None, filters, answers: answers.clone() };
                let effects = self.handle(answered);
                self.expect("SUBACK", &effects, &[Effect::Send(Outgoing::SubAck(id, answers))])
            }
            2 => {
                let filters = vec![filter];
                let effects =
                    self.handle(Event::Packet(Packet::Unsubscribe { packet_id: id, filters: filters.clone() }));
                match is_valid {
                    true => self.expect("UNSUBSCRIBE", &effects, &[Effect::Unsubscribe { packet_id: id, filters }]),
                    false => self.expect_end("no filter to unsubscribe", &effects),
                }
            }
            3 => {
                let effects = self.handle(Event::Packet(Packet::PingReq));
                self.expect("PINGREQ", &effects, &[Effect::Send(Outgoing::PingResp)])
            }
            4 => {
                // CONNECT named no method.
                let auth = Auth { purpose: AuthPurpose::Again, method: "m".into(), data: Vec::new() };
                let unwanted = [Packet::Auth(Box::new(auth)), Packet::ServerOnly][filter.len() % 2].clone();
                let effects = self.handle(Event::Packet(unwanted));
                self.expect_end("AUTH, or a packet of a server", &effects)
            }
            5 => {
                let effects = self.handle(Event::Packet(Packet::Disconnect { reason: 0, session_expiry_s: Some(5) }));
                self.expect_end("DISCONNECT", &effects)
            }
            6 => {
                self.now = self.now.plus_ms(1_000);
                let effects = self.handle(Event::Tick);
                self.expect("time", &effects, &[])
            }
            _ => {
                let effects = self.handle(Event::PeerGone);
                self.expect_end("gone", &effects)
            }
        }
    }
}

fn client_id(number: u8) -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(u16::from(number))
}

fn message(topic: &str, qos: QoS) -> Message {
    let properties = MessageProperties::default();
    Message { topic: topic.into(), payload: vec![b'p'], qos, retain: false, properties }
}

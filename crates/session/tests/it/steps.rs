//! Short words for the steps of a test.

use rollcall_session::{
    Auth, AuthPurpose, Connect, Connection, Delivery, Effect, Ending, Event, Limits, LinkTerms, Outgoing, Packet,
    Publish, QueueLimits, RequestedSubscription, RetainHandling, Session, Subscribe,
};
use rollcall_types::{BootTime, Message, MessageProperties, Protocol, QoS, Will};
use std::{num::NonZeroU16, sync::Arc};

pub(crate) const EVERY_PROTOCOL: [Protocol; 3] = [Protocol::V31, Protocol::V311, Protocol::V5];

pub(crate) fn id(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

pub(crate) fn at(ms: u64) -> BootTime {
    BootTime(ms)
}

/// A connection with the session it serves.
pub(crate) struct Machine {
    pub(crate) connection: Connection,
    pub(crate) session: Session,
}

impl Machine {
    pub(crate) fn new(limits: Limits, seed: u128) -> Self {
        Machine { connection: Connection::new(Arc::new(limits), seed, at(0)), session: Session::default() }
    }

    pub(crate) fn handle(&mut self, event: Event, now: BootTime) -> Vec<Effect> {
        self.connection.handle(event, Some(&mut self.session), now)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    pub(crate) fn next_deadline(&self) -> Option<BootTime> {
        self.connection.next_deadline()
    }
}

pub(crate) fn fresh(limits: Limits) -> Machine {
    Machine::new(limits, 7)
}

pub(crate) fn connect(protocol: Protocol) -> Connect {
    Connect {
        protocol,
        client_id: "c1".into(),
        clean_start: true,
        keep_alive_s: 0,
        username: None,
        password: None,
        will: None,
        session_expiry_s: 0,
        receive_maximum: u16::MAX,
        topic_alias_maximum: 0,
        authentication_method: None,
        authentication_data: Vec::new(),
    }
}

pub(crate) fn auth(purpose: AuthPurpose, method: &str) -> Packet {
    Packet::Auth(Box::new(Auth { purpose, method: method.into(), data: b"answer".to_vec() }))
}

pub(crate) fn will(topic: &str) -> Will {
    Will { message: message(topic, QoS::AtMostOnce), delay_s: 0 }
}

pub(crate) fn message(topic: &str, qos: QoS) -> Message {
    Message {
        topic: topic.into(),
        payload: b"p".to_vec(),
        qos,
        retain: false,
        properties: MessageProperties::default(),
    }
}

pub(crate) fn publish(topic: &str, qos: QoS, packet_id: Option<u16>) -> Publish {
    Publish {
        message: Arc::new(message(topic, qos)),
        packet_id: packet_id.map(id),
        dup: false,
        topic_alias: None,
        has_subscription_id: false,
    }
}

pub(crate) fn subscribe(filters: &[&str]) -> Subscribe {
    Subscribe {
        packet_id: id(1),
        subscription_id: None,
        filters: filters
            .iter()
            .map(|filter| RequestedSubscription {
                filter: (*filter).into(),
                qos: QoS::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::AtSubscribe,
            })
            .collect(),
    }
}

/// A connection whose CONNACK was sent at time 0.
pub(crate) fn open_with(limits: Limits, asked: Connect) -> Machine {
    let mut connection = fresh(limits);
    let effects = connection.handle(Event::Packet(Packet::Connect(Box::new(asked))), at(0));
    assert!(matches!(effects[..], [Effect::Admit(_)]), "{effects:?}");
    let effects = connection.handle(Event::Admitted { session_present: false }, at(0));
    assert!(matches!(effects[..], [Effect::Send(Outgoing::ConnAck(_))]), "{effects:?}");
    connection
}

pub(crate) fn open(protocol: Protocol) -> Machine {
    open_with(Limits::default(), connect(protocol))
}

pub(crate) fn packet(connection: &mut Machine, packet: Packet) -> Vec<Effect> {
    connection.handle(Event::Packet(packet), at(1))
}

/// The one ending among the effects.
pub(crate) fn ended(effects: &[Effect]) -> Ending {
    match effects {
        [Effect::End(ending)] | [Effect::LimitReached(_), Effect::End(ending)] => *ending,
        other => panic!("expected the end, got {other:?}"),
    }
}

/// Room enough in a session's queue.
pub(crate) const ROOM: QueueLimits = QueueLimits { messages: 1000, bytes: 1_000_000 };

pub(crate) fn terms(receive_maximum: u16) -> LinkTerms {
    LinkTerms { session_expiry_s: 3600, receive_maximum, topic_alias_maximum: 0 }
}

pub(crate) fn delivery(topic: &str, qos: QoS) -> Delivery {
    Delivery::new(Arc::new(message(topic, qos)), qos, at(0))
}

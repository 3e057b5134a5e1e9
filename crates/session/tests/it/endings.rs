//! B-056: every way a connection ends leaves by one door, with its reason, its farewell and its will.

use crate::steps::{at, connect, ended, fresh, open, open_with, packet, publish};
use rollcall_session::{
    AuthPurpose, Connect, DecodeFault, Effect, Event, Farewell, Limits, Order, Packet, Publish, ReasonCode, ending,
};
use rollcall_types::{DisconnectReason as Reason, Protocol, QoS};
use std::sync::Arc;

type Drive = fn(Protocol) -> Vec<Effect>;

/// Name, how it comes about on an open connection, reason, DISCONNECT code for MQTT 5 (MQTT 3 never gets one), will.
const OPEN_ENDINGS: &[(&str, Drive, Reason, Option<ReasonCode>, bool)] = &[
    ("DISCONNECT 0x00", |p| left(p, 0), Reason::Normal, None, false),
    ("DISCONNECT 0x04", |p| left(p, 4), Reason::NormalWithWill, None, true),
    ("DISCONNECT 0x80", |p| left(p, 0x80), Reason::NormalWithWill, None, true),
    ("peer gone", |p| event(p, Event::PeerGone), Reason::ConnectionLost, None, true),
    ("keep-alive", keep_alive, Reason::KeepaliveTimeout, Some(ReasonCode::KeepAliveTimeout), true),
    (
        "malformed",
        |p| event(p, Event::Undecodable(DecodeFault::Malformed(Some(p)))),
        Reason::ProtocolError,
        Some(ReasonCode::MalformedPacket),
        true,
    ),
    (
        "too large",
        |p| event(p, Event::Undecodable(DecodeFault::TooLarge(Some(p)))),
        Reason::ProtocolError,
        Some(ReasonCode::PacketTooLarge),
        true,
    ),
    (
        "field rule",
        |p| event(p, Event::Undecodable(DecodeFault::ProtocolError(Some(p)))),
        Reason::ProtocolError,
        Some(ReasonCode::ProtocolError),
        true,
    ),
    ("second CONNECT", second_connect, Reason::ProtocolError, Some(ReasonCode::ProtocolError), true),
    (
        "AUTH",
        |p| packet(&mut open(p), crate::steps::auth(AuthPurpose::Again, "x")),
        Reason::ProtocolError,
        Some(ReasonCode::ProtocolError),
        true,
    ),
    (
        "server's packet",
        |p| packet(&mut open(p), Packet::ServerOnly),
        Reason::ProtocolError,
        Some(ReasonCode::ProtocolError),
        true,
    ),
    ("wildcard topic", |p| published(p, "a/#"), Reason::ProtocolError, Some(ReasonCode::TopicNameInvalid), true),
    ("topic alias", topic_alias, Reason::ProtocolError, Some(ReasonCode::TopicAliasInvalid), true),
    ("payload", large_payload, Reason::ProtocolError, Some(ReasonCode::PacketTooLarge), true),
    ("takeover", |p| event(p, Order::Takeover.into()), Reason::Takeovered, Some(ReasonCode::SessionTakenOver), true),
    ("kick", |p| event(p, Order::Kick.into()), Reason::Kicked, Some(ReasonCode::AdministrativeAction), true),
    ("node lost", |p| event(p, Order::NodeLost.into()), Reason::NodeLost, None, true),
    ("leave", |p| event(p, Order::Moved.into()), Reason::ServerShutdown, Some(ReasonCode::ServerMoved), true),
    ("drain", |p| event(p, Order::Shutdown.into()), Reason::ServerShutdown, Some(ReasonCode::ServerShuttingDown), true),
    (
        "permission gone",
        |p| event(p, Order::NotAuthorized.into()),
        Reason::NotAuthorized,
        Some(ReasonCode::NotAuthorized),
        true,
    ),
    (
        "credentials expired",
        |p| event(p, Order::AuthenticationExpired.into()),
        Reason::AuthenticationExpired,
        Some(ReasonCode::NotAuthorized),
        true,
    ),
    ("limit", |p| event(p, Order::QuotaExceeded.into()), Reason::QuotaExceeded, Some(ReasonCode::QuotaExceeded), true),
];

fn event(protocol: Protocol, event: Event) -> Vec<Effect> {
    open(protocol).handle(event, at(1))
}

fn left(protocol: Protocol, reason: u8) -> Vec<Effect> {
    packet(&mut open(protocol), Packet::Disconnect { reason, session_expiry_s: None })
}

fn keep_alive(protocol: Protocol) -> Vec<Effect> {
    let asked = Connect { keep_alive_s: 1, ..connect(protocol) };
    open_with(Limits::default(), asked).handle(Event::Tick, at(1500))
}

fn second_connect(protocol: Protocol) -> Vec<Effect> {
    packet(&mut open(protocol), Packet::Connect(Box::new(connect(protocol))))
}

fn published(protocol: Protocol, topic: &str) -> Vec<Effect> {
    packet(&mut open(protocol), Packet::Publish(publish(topic, QoS::AtMostOnce, None)))
}

fn topic_alias(protocol: Protocol) -> Vec<Effect> {
    let aliased = Publish { topic_alias: Some(0), ..publish("a", QoS::AtMostOnce, None) };
    packet(&mut open(protocol), Packet::Publish(aliased))
}

fn large_payload(protocol: Protocol) -> Vec<Effect> {
    let mut large = publish("a", QoS::AtMostOnce, None);
    Arc::make_mut(&mut large.message).payload = vec![0; 9];
    let limits = Limits { payload_bytes_max: 8, ..Limits::default() };
    packet(&mut open_with(limits, connect(protocol)), Packet::Publish(large))
}

#[test]
fn b_056_every_ending_of_an_open_connection_has_its_reason_farewell_and_will() {
    for (name, drive, reason, code, owes_will) in OPEN_ENDINGS {
        for protocol in crate::steps::EVERY_PROTOCOL {
            let got = ended(&drive(protocol));
            let farewell = match code {
                Some(code) if protocol == Protocol::V5 => Farewell::Disconnect(*code),
                _ => Farewell::Silent,
            };
            assert_eq!(got.reason, *reason, "{name} {protocol:?}");
            assert_eq!(got.farewell, farewell, "{name} {protocol:?}");
            assert_eq!(got.owes_will, *owes_will, "{name} {protocol:?}");
            assert_eq!(got.owes_will, got.reason.owes_will(), "the release tells the same: {name}");
            assert!(!got.why.is_empty() || code.is_none(), "a code without words: {name}");
        }
    }
}

#[test]
fn b_056_an_ended_connection_does_nothing_more() {
    for protocol in crate::steps::EVERY_PROTOCOL {
        let mut connection = open(protocol);
        ended(&connection.handle(Order::Takeover.into(), at(1)));
        for late in [
            Event::PeerGone,
            Event::Tick,
            Event::Admitted { session_present: false },
            Event::Packet(Packet::PingReq),
            Event::Order(Order::Kick),
            Event::Undecodable(DecodeFault::NotMqtt),
        ] {
            assert_eq!(connection.handle(late, at(2)), vec![]);
        }
        assert_eq!(connection.next_deadline(), None);
    }
}

#[test]
fn b_123_a_connection_without_connect_ends_at_its_deadline_without_a_word() {
    let mut connection = fresh(Limits { connect_timeout_ms: 500, ..Limits::default() });
    assert_eq!(connection.next_deadline(), Some(at(500)));
    assert_eq!(connection.handle(Event::Tick, at(499)), vec![]);
    assert_eq!(ended(&connection.handle(Event::Tick, at(500))).farewell, Farewell::Silent);
}

#[test]
fn before_connack_faults_are_told_by_connack_and_orders_other_than_a_drain_by_the_close() {
    let farewell = |event: Event| {
        let mut connection = fresh(Limits::default());
        connection.handle(Event::Packet(Packet::Connect(Box::new(connect(Protocol::V5)))), at(0));
        ended(&connection.handle(event, at(1))).farewell
    };
    assert_eq!(farewell(Order::Takeover.into()), Farewell::Silent);
    assert_eq!(farewell(Order::NodeLost.into()), Farewell::Silent);
    assert_eq!(farewell(Event::PeerGone), Farewell::Silent);
    let drain = Farewell::ConnAck(Protocol::V5, ReasonCode::ServerUnavailable);
    assert_eq!(farewell(Order::Shutdown.into()), drain);
    // A malformed CONNECT of MQTT 5 is answered, one of MQTT 3 is not.
    let malformed = |protocol| {
        let fault = DecodeFault::Malformed(Some(protocol));
        ended(&fresh(Limits::default()).handle(Event::Undecodable(fault), at(0))).farewell
    };
    assert_eq!(malformed(Protocol::V5), Farewell::ConnAck(Protocol::V5, ReasonCode::MalformedPacket));
    assert_eq!(malformed(Protocol::V311), Farewell::Silent);
}

#[test]
fn a_session_that_ends_with_its_connection_cannot_be_prolonged_by_disconnect() {
    // MQTT 5.0, 3.14.2.2.2
    let end = |connect_expiry_s, disconnect_expiry_s| {
        let asked = Connect { session_expiry_s: connect_expiry_s, ..connect(Protocol::V5) };
        let mut connection = open_with(Limits::default(), asked);
        ended(&packet(&mut connection, Packet::Disconnect { reason: 0, session_expiry_s: Some(disconnect_expiry_s) }))
    };
    assert_eq!(end(0, 10).farewell, Farewell::Disconnect(ReasonCode::ProtocolError));
    assert!(end(0, 10).owes_will);
    assert_eq!(end(0, 0).reason, Reason::Normal);
    assert_eq!(end(10, 0).reason, Reason::Normal);
    assert_eq!(end(10, 99).reason, Reason::Normal);
}

#[test]
fn a_connection_whose_task_is_dropped_counts_as_lost() {
    assert_eq!(open(Protocol::V5).connection.abandoned().reason, Reason::ConnectionLost);
    assert_eq!(
        ending(rollcall_session::Cause::PeerGone, rollcall_session::Phase::Open, Some(Protocol::V5)).farewell,
        Farewell::Silent
    );
}

//! CONNECT beyond its format.

use crate::steps::{EVERY_PROTOCOL, at, connect, ended, fresh, open_with, will};
use rollcall_session::{
    AuthPurpose, ClientLimit, Connect, ConnectRefusal, ConnectRequest, DecodeFault, Effect, Event, Farewell, Limits,
    Outgoing, Packet, Password, ReasonCode,
};
use rollcall_types::Protocol;
use std::num::NonZeroU16;

fn ask(connect: Connect) -> Result<ConnectRequest, Farewell> {
    ask_with(Limits::default(), connect)
}

fn ask_with(limits: Limits, connect: Connect) -> Result<ConnectRequest, Farewell> {
    let effects = fresh(limits).handle(Event::Packet(Packet::Connect(Box::new(connect))), at(0));
    match &effects[..] {
        [.., Effect::Admit(request)] => Ok((**request).clone()),
        other => Err(ended(other).farewell),
    }
}

#[test]
fn an_empty_client_id_is_assigned_or_refused_by_version_and_clean_session() {
    let refused = |protocol| Err(Farewell::ConnAck(protocol, ReasonCode::ClientIdentifierNotValid));
    for (protocol, clean_start, assigned) in [
        (Protocol::V31, true, false),
        (Protocol::V31, false, false),
        (Protocol::V311, true, true),
        (Protocol::V311, false, false),
        (Protocol::V5, true, true),
        (Protocol::V5, false, true),
    ] {
        let got = ask(Connect { client_id: String::new(), clean_start, ..connect(protocol) });
        if assigned {
            let request = got.unwrap();
            assert!(request.assigned && request.client_id.as_str().starts_with("auto-"), "{protocol:?}");
        } else {
            assert_eq!(got.map(|request| request.client_id), refused(protocol), "{protocol:?} {clean_start}");
        }
    }
}

#[test]
fn an_assigned_client_id_comes_from_the_seed_alone() {
    let asked = Connect { client_id: String::new(), ..connect(Protocol::V5) };
    let with_seed = |seed| {
        let mut connection = crate::steps::Machine::new(Limits::default(), seed);
        match &connection.handle(Event::Packet(Packet::Connect(Box::new(asked.clone()))), at(0))[..] {
            [Effect::Admit(request)] => request.client_id.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1), with_seed(2));
    assert_ne!(with_seed(1), with_seed(1 | 1 << 119));
}

#[test]
fn mqtt_5_learns_its_assigned_id_and_the_values_in_force() {
    let limits = Limits { keep_alive_max_s: 60, session_expiry_max_s: 100, ..Limits::default() };
    let asked = Connect { client_id: String::new(), keep_alive_s: 120, session_expiry_s: 101, ..connect(Protocol::V5) };
    let mut connection = fresh(limits);
    let request = match &connection.handle(Event::Packet(Packet::Connect(Box::new(asked))), at(0))[..] {
        [
            Effect::LimitReached(ClientLimit::SessionExpiry),
            Effect::LimitReached(ClientLimit::KeepAlive),
            Effect::Admit(request),
        ] => (**request).clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((request.keep_alive_s, request.session_expiry_s), (60, 100));
    let effects = connection.handle(Event::Admitted { session_present: false }, at(5));
    let [Effect::Send(Outgoing::ConnAck(connack))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(connack.code, ReasonCode::Success);
    assert_eq!(connack.assigned_client_id.as_deref(), Some(request.client_id.as_str()));
    assert_eq!((connack.server_keep_alive_s, connack.session_expiry_s), (Some(60), Some(100)));
    assert!(!connack.session_present);
}

#[test]
fn the_keep_alive_of_mqtt_3_is_left_alone_since_it_cannot_learn_of_another() {
    let limits = || Limits { keep_alive_max_s: 60, ..Limits::default() };
    for (protocol, asked_s, in_force_s) in [
        (Protocol::V311, 120, 120),
        (Protocol::V311, 0, 0),
        (Protocol::V5, 120, 60),
        (Protocol::V5, 0, 60),
        (Protocol::V5, 30, 30),
    ] {
        let request = ask_with(limits(), Connect { keep_alive_s: asked_s, ..connect(protocol) }).unwrap();
        assert_eq!(request.keep_alive_s, in_force_s, "{protocol:?} {asked_s}");
    }
}

#[test]
fn messages_under_way_to_a_client_are_bounded_by_what_it_takes_and_by_what_is_set() {
    let in_force = |client_inflight, protocol, receive_maximum| {
        let limits = Limits { client_inflight: NonZeroU16::new(client_inflight), ..Limits::default() };
        ask_with(limits, Connect { receive_maximum, ..connect(protocol) }).unwrap().link_terms().receive_maximum
    };
    for protocol in [Protocol::V31, Protocol::V311] {
        assert_eq!(in_force(0, protocol, u16::MAX), 16);
        assert_eq!(in_force(3, protocol, u16::MAX), 3);
        assert_eq!(in_force(300, protocol, u16::MAX), 300);
    }
    assert_eq!(in_force(0, Protocol::V5, 700), 700);
    assert_eq!(in_force(3, Protocol::V5, 700), 3);
    assert_eq!(in_force(300, Protocol::V5, 7), 7);
}

#[test]
fn a_connect_refused_for_a_limit_names_it() {
    let limits = || Limits {
        client_id_bytes_max: 30,
        topic_bytes_max: 4,
        topic_levels_max: 2,
        payload_bytes_max: 3,
        ..Limits::default()
    };
    let mut heavy = will("t");
    heavy.message.payload = vec![0; 4];
    let with_will = |will| Connect { will: Some(will), ..connect(Protocol::V5) };
    for (asked, limit) in [
        (Connect { client_id: "x".repeat(31), ..connect(Protocol::V5) }, ClientLimit::ClientIdBytes),
        (with_will(will("t".repeat(5).as_str())), ClientLimit::TopicBytes),
        (with_will(will("t/t/")), ClientLimit::TopicLevels),
        (with_will(heavy), ClientLimit::PayloadBytes),
    ] {
        let effects = fresh(limits()).handle(Event::Packet(Packet::Connect(Box::new(asked))), at(0));
        assert!(matches!(effects[..], [Effect::LimitReached(got), Effect::End(_)] if got == limit), "{effects:?}");
    }
}

#[test]
fn long_client_ids_are_taken_by_every_version() {
    for protocol in EVERY_PROTOCOL {
        let long = "x".repeat(60_000);
        let request = ask(Connect { client_id: long.clone(), ..connect(protocol) }).unwrap();
        assert_eq!(request.client_id.as_str(), long);
        assert!(!request.assigned);
    }
}

#[test]
fn what_is_not_acceptable_in_connect_is_refused_with_its_code() {
    let refused = |code| Farewell::ConnAck(Protocol::V5, code);
    let base = || connect(Protocol::V5);
    let named = |topic: &str| Some(will(topic));
    let mut odd_response = will("w");
    odd_response.message.properties.response_topic = Some("a/#".into());
    let mut null_property = will("w");
    null_property.message.properties.user.push(("k".into(), "\0".into()));
    for (asked, v5) in [
        (Connect { client_id: "a\0".into(), ..base() }, refused(ReasonCode::MalformedPacket)),
        (Connect { username: Some("a\0".into()), ..base() }, refused(ReasonCode::MalformedPacket)),
        (Connect { will: named("a/+"), ..base() }, refused(ReasonCode::TopicNameInvalid)),
        (Connect { will: named(""), ..base() }, refused(ReasonCode::TopicNameInvalid)),
        (Connect { will: named("a\0"), ..base() }, refused(ReasonCode::MalformedPacket)),
        (Connect { will: Some(odd_response), ..base() }, refused(ReasonCode::ProtocolError)),
        (Connect { will: Some(null_property), ..base() }, refused(ReasonCode::MalformedPacket)),
    ] {
        assert_eq!(ask(asked.clone()).unwrap_err(), v5, "{asked:?}");
        // MQTT 3 has no such code: the connection is closed without an answer.
        assert_eq!(ask(Connect { protocol: Protocol::V311, ..asked }).unwrap_err(), Farewell::Silent);
    }
}

#[test]
fn a_password_without_a_user_name_is_for_mqtt_5_only() {
    let with = |protocol| Connect { password: Some(Password(b"p".to_vec())), ..connect(protocol) };
    assert!(ask(with(Protocol::V5)).is_ok());
    assert_eq!(ask(with(Protocol::V311)).unwrap_err(), Farewell::Silent);
    assert_eq!(ask(with(Protocol::V31)).unwrap_err(), Farewell::Silent);
}

#[test]
fn a_password_never_shows_in_debug_output() {
    let asked = Connect { password: Some(Password(b"hush".to_vec())), ..connect(Protocol::V5) };
    let text = format!("{asked:?} {:?}", ask(asked.clone()).unwrap());
    assert!(!text.contains("hush") && !text.contains("104, 117"), "{text}");
}

#[test]
fn an_unknown_protocol_level_is_answered_in_a_form_its_client_can_read() {
    for (level, protocol) in [
        (0, Protocol::V311),
        (2, Protocol::V5),
        (3, Protocol::V311),
        (6, Protocol::V5),
        (0x83, Protocol::V311),
        (0x84, Protocol::V311),
    ] {
        let effects = fresh(Limits::default()).handle(Event::Undecodable(DecodeFault::UnsupportedLevel(level)), at(0));
        let wanted = Farewell::ConnAck(protocol, ReasonCode::UnsupportedProtocolVersion);
        assert_eq!(ended(&effects).farewell, wanted, "level {level}");
    }
    assert_eq!(ReasonCode::UnsupportedProtocolVersion.v3_return_code(), Some(1));
}

#[test]
fn the_first_packet_must_be_connect() {
    // MQTT-3.1.0-1
    for first in [
        Packet::PingReq,
        crate::steps::auth(AuthPurpose::Again, "x"),
        Packet::Disconnect { reason: 0, session_expiry_s: None },
    ] {
        let effects = fresh(Limits::default()).handle(Event::Packet(first), at(0));
        assert_eq!(ended(&effects).farewell, Farewell::Silent);
    }
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    // MQTT-3.1.0-2
    for (protocol, farewell) in [
        (Protocol::V5, Farewell::Disconnect(ReasonCode::ProtocolError)),
        (Protocol::V311, Farewell::Silent),
        (Protocol::V31, Farewell::Silent),
    ] {
        let mut connection = open_with(Limits::default(), connect(protocol));
        let effects = connection.handle(Event::Packet(Packet::Connect(Box::new(connect(protocol)))), at(1));
        assert_eq!(ended(&effects).farewell, farewell);
        assert!(ended(&effects).owes_will);
    }
}

#[test]
fn a_refused_connect_is_told_in_the_code_of_its_version() {
    let told = |protocol, refusal| {
        let mut connection = fresh(Limits::default());
        connection.handle(Event::Packet(Packet::Connect(Box::new(connect(protocol)))), at(0));
        ended(&connection.handle(Event::Refused(refusal), at(1))).farewell
    };
    for (refusal, v5, v3) in [
        (ConnectRefusal::RateExceeded, Some(0x9F), Some(3)),
        (ConnectRefusal::TooManyConnections, Some(0x97), Some(3)),
        (ConnectRefusal::TooManyFailures, Some(0x97), Some(3)),
        (ConnectRefusal::Flapping, Some(0x89), Some(3)),
        (ConnectRefusal::Busy, Some(0x89), Some(3)),
        (ConnectRefusal::BadCredentials, Some(0x86), Some(4)),
        (ConnectRefusal::NotAuthorized, Some(0x87), Some(5)),
        (ConnectRefusal::OtherAccount, Some(0x87), Some(5)),
        (ConnectRefusal::AccountsUnavailable, Some(0x88), Some(3)),
        (ConnectRefusal::Unavailable, Some(0x88), Some(3)),
        (ConnectRefusal::SessionsUnavailable, Some(0x88), Some(3)),
        (ConnectRefusal::NotServing, Some(0x88), Some(3)),
        (ConnectRefusal::ShuttingDown, Some(0x88), Some(3)),
        (ConnectRefusal::Displaced, None, None),
        (ConnectRefusal::LeaseLost, None, None),
    ] {
        let code = |farewell| match farewell {
            Farewell::ConnAck(Protocol::V5, code) => Some(code.byte()),
            Farewell::ConnAck(_, code) => code.v3_return_code(),
            Farewell::Silent => None,
            Farewell::Disconnect(_) => panic!("no DISCONNECT before CONNACK"),
        };
        assert_eq!(code(told(Protocol::V5, refusal)), v5, "{refusal:?}");
        assert_eq!(code(told(Protocol::V311, refusal)), v3, "{refusal:?}");
        assert_eq!(code(told(Protocol::V31, refusal)), v3, "{refusal:?}");
    }
}

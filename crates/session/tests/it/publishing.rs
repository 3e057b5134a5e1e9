//! PUBLISH on receipt: hand on once, acknowledge by version.

use crate::steps::{EVERY_PROTOCOL, Machine, at, connect, ended, id, open, open_with, packet, publish};
use rollcall_session::{
    ClientLimit, DecodeFault, Effect, Event, Farewell, Limits, Outgoing, Packet, Publish, PublishVerdict, ReasonCode,
    Receipt,
};
use rollcall_types::{DisconnectReason, Protocol, QoS};
use std::sync::Arc;

const ACCEPTED: PublishVerdict = PublishVerdict::Accepted { matched: true };

fn hand_on(connection: &mut Machine, qos: QoS, number: u16) -> Vec<Effect> {
    packet(connection, Packet::Publish(publish("a", qos, Some(number))))
}

fn receipt(number: u16, exactly_once: bool) -> Receipt {
    Receipt { packet_id: id(number), exactly_once }
}

fn verdict(connection: &mut Machine, receipt: Receipt, verdict: PublishVerdict) -> Vec<Effect> {
    connection.handle(Event::Published { receipt, verdict }, at(2))
}

#[test]
fn qos_0_is_handed_on_and_not_acknowledged() {
    let effects = packet(&mut open(Protocol::V5), Packet::Publish(publish("a/b", QoS::AtMostOnce, None)));
    assert!(matches!(&effects[..], [Effect::Publish { message, receipt: None }] if message.topic == "a/b"));
}

#[test]
fn qos_1_is_acknowledged_after_its_verdict() {
    for protocol in EVERY_PROTOCOL {
        let mut connection = open(protocol);
        let effects = hand_on(&mut connection, QoS::AtLeastOnce, 9);
        assert!(matches!(&effects[..], [Effect::Publish { receipt: Some(got), .. }] if *got == receipt(9, false)));
        let effects = verdict(&mut connection, receipt(9, false), ACCEPTED);
        assert_eq!(effects, vec![Effect::Send(Outgoing::PubAck(id(9), ReasonCode::Success))]);
        // The identifier is free again.
        assert!(matches!(hand_on(&mut connection, QoS::AtLeastOnce, 9)[..], [Effect::Publish { .. }]));
    }
}

#[test]
fn qos_2_is_handed_on_once_however_often_it_is_repeated() {
    // MQTT-4.3.3-10
    for protocol in EVERY_PROTOCOL {
        let mut connection = open(protocol);
        assert!(matches!(hand_on(&mut connection, QoS::ExactlyOnce, 3)[..], [Effect::Publish { .. }]));
        assert_eq!(hand_on(&mut connection, QoS::ExactlyOnce, 3), vec![], "its verdict is still out");
        let pubrec = vec![Effect::Send(Outgoing::PubRec(id(3), ReasonCode::Success))];
        assert_eq!(verdict(&mut connection, receipt(3, true), ACCEPTED), pubrec);
        assert_eq!(hand_on(&mut connection, QoS::ExactlyOnce, 3), pubrec);
        let pubcomp = vec![Effect::Send(Outgoing::PubComp(id(3), ReasonCode::Success))];
        assert_eq!(packet(&mut connection, Packet::PubRel(id(3))), pubcomp);
        assert!(matches!(hand_on(&mut connection, QoS::ExactlyOnce, 3)[..], [Effect::Publish { .. }]), "a new message");
    }
}

#[test]
fn a_second_repeat_that_is_not_marked_as_one_ends_the_connection() {
    // MQTT-3.3.1-1
    for protocol in EVERY_PROTOCOL {
        let again = |connection: &mut Machine, dup| {
            packet(connection, Packet::Publish(Publish { dup, ..publish("a", QoS::ExactlyOnce, Some(3)) }))
        };
        let mut connection = open(protocol);
        again(&mut connection, false);
        let pubrec = verdict(&mut connection, receipt(3, true), ACCEPTED);
        for dup in [true, true, false, true] {
            assert_eq!(again(&mut connection, dup), pubrec);
        }
        let other = Packet::Publish(Publish { dup: false, ..publish("a", QoS::ExactlyOnce, Some(3)) });
        let mut other_message = other.clone();
        if let Packet::Publish(publish) = &mut other_message {
            Arc::make_mut(&mut publish.message).payload = vec![];
        }
        assert_eq!(packet(&mut connection, other_message), pubrec, "another message is not this one again");
        assert_eq!(packet(&mut connection, other), pubrec);
        let ending = ended(&again(&mut connection, false));
        assert_eq!(ending.reason, DisconnectReason::ProtocolError);
        if protocol == Protocol::V5 {
            assert_eq!(ending.farewell, Farewell::Disconnect(ReasonCode::ProtocolError));
        }
    }
}

#[test]
fn mqtt_5_is_told_that_nobody_subscribes() {
    let nobody = PublishVerdict::Accepted { matched: false };
    for protocol in EVERY_PROTOCOL {
        let code = if protocol == Protocol::V5 { ReasonCode::NoMatchingSubscribers } else { ReasonCode::Success };
        let mut connection = open(protocol);
        hand_on(&mut connection, QoS::AtLeastOnce, 4);
        let puback = vec![Effect::Send(Outgoing::PubAck(id(4), code))];
        assert_eq!(verdict(&mut connection, receipt(4, false), nobody), puback);
        hand_on(&mut connection, QoS::ExactlyOnce, 5);
        let pubrec = vec![Effect::Send(Outgoing::PubRec(id(5), ReasonCode::Success))];
        assert_eq!(verdict(&mut connection, receipt(5, true), nobody), pubrec);
        let pubcomp = vec![Effect::Send(Outgoing::PubComp(id(5), ReasonCode::Success))];
        assert_eq!(packet(&mut connection, Packet::PubRel(id(5))), pubcomp, "the identifier was kept");
    }
}

#[test]
fn a_pubrel_nobody_awaits_is_answered_and_does_no_harm() {
    for protocol in EVERY_PROTOCOL {
        let mut connection = open(protocol);
        let unknown = Effect::Send(Outgoing::PubComp(id(5), ReasonCode::PacketIdentifierNotFound));
        assert_eq!(packet(&mut connection, Packet::PubRel(id(5))), vec![unknown]);
        assert!(connection.is_open());
    }
}

#[test]
fn acknowledgements_of_messages_never_sent_do_no_harm() {
    let mut connection = open(Protocol::V5);
    assert_eq!(packet(&mut connection, Packet::PubAck(id(5))), vec![]);
    assert_eq!(packet(&mut connection, Packet::PubComp(id(5))), vec![]);
    let pubrel = Effect::Send(Outgoing::PubRel(id(5), ReasonCode::PacketIdentifierNotFound));
    assert_eq!(packet(&mut connection, Packet::PubRec { packet_id: id(5), refused: false }), vec![pubrel]);
}

#[test]
fn a_refused_publish_is_told_by_mqtt_5_and_acknowledged_by_mqtt_3() {
    for (protocol, given, code) in [
        (Protocol::V5, PublishVerdict::NotAuthorized, ReasonCode::NotAuthorized),
        (Protocol::V5, PublishVerdict::OverQuota { retry_after_s: 1 }, ReasonCode::QuotaExceeded),
        (Protocol::V311, PublishVerdict::NotAuthorized, ReasonCode::Success),
    ] {
        for exactly_once in [false, true] {
            let mut connection = open(protocol);
            let qos = if exactly_once { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
            hand_on(&mut connection, qos, 4);
            let ack = if exactly_once { Outgoing::PubRec(id(4), code) } else { Outgoing::PubAck(id(4), code) };
            assert_eq!(verdict(&mut connection, receipt(4, exactly_once), given), vec![Effect::Send(ack)]);
            if code != ReasonCode::Success {
                // A PUBREC with an error ends the handshake: the identifier is free (MQTT 5.0, 4.3.3).
                assert!(matches!(hand_on(&mut connection, qos, 4)[..], [Effect::Publish { .. }]));
            }
        }
    }
}

#[test]
fn more_under_way_than_receive_maximum_ends_with_0x93() {
    // MQTT-3.3.4-7, MQTT-3.3.4-9
    let limits = || Limits { receive_maximum: 2, ..Limits::default() };
    let mut connection = open_with(limits(), connect(Protocol::V5));
    for number in [1, 2] {
        hand_on(&mut connection, QoS::ExactlyOnce, number);
        verdict(&mut connection, receipt(number, true), ACCEPTED);
    }
    let pubrec = vec![Effect::Send(Outgoing::PubRec(id(2), ReasonCode::Success))];
    assert_eq!(hand_on(&mut connection, QoS::ExactlyOnce, 2), pubrec, "a repeat is not one more");
    let effects = hand_on(&mut connection, QoS::AtLeastOnce, 3);
    assert_eq!(effects[0], Effect::LimitReached(ClientLimit::ReceiveMaximum));
    assert_eq!(ended(&effects).farewell, Farewell::Disconnect(ReasonCode::ReceiveMaximumExceeded));

    let mut v3 = open_with(limits(), connect(Protocol::V311));
    for number in 1..=50 {
        assert!(matches!(hand_on(&mut v3, QoS::ExactlyOnce, number)[..], [Effect::Publish { .. }]), "v3 has none");
    }
}

#[test]
fn a_publish_refused_for_a_limit_names_it() {
    let limits = || Limits { payload_bytes_max: 3, topic_levels_max: 2, ..Limits::default() };
    let on = |topic: &str| publish(topic, QoS::AtMostOnce, None);
    let mut heavy = on("t");
    Arc::make_mut(&mut heavy.message).payload = vec![0; 4];
    for (bad, limit) in [
        (on(&"t".repeat(1025)), Some(ClientLimit::TopicBytes)),
        (on("a/b/c"), Some(ClientLimit::TopicLevels)),
        (heavy, Some(ClientLimit::PayloadBytes)),
        (Publish { topic_alias: Some(33), ..on("a") }, Some(ClientLimit::TopicAliases)),
        (Publish { topic_alias: Some(0), ..on("a") }, None),
        (on("+"), None),
    ] {
        let effects = packet(&mut open_with(limits(), connect(Protocol::V5)), Packet::Publish(bad));
        let got = match effects[..] {
            [Effect::LimitReached(limit), Effect::End(_)] => Some(limit),
            [Effect::End(_)] => None,
            _ => panic!("{effects:?}"),
        };
        assert_eq!(got, limit);
    }
    let too_large = Event::Undecodable(DecodeFault::TooLarge(Some(Protocol::V5)));
    let effects = open(Protocol::V5).handle(too_large, at(1));
    assert!(matches!(effects[..], [Effect::LimitReached(ClientLimit::PacketBytes), Effect::End(_)]), "{effects:?}");
}

#[test]
fn a_released_message_makes_room_below_receive_maximum() {
    let limits = Limits { receive_maximum: 1, ..Limits::default() };
    let mut connection = open_with(limits, connect(Protocol::V5));
    for number in 1..=100 {
        hand_on(&mut connection, QoS::ExactlyOnce, number);
        verdict(&mut connection, receipt(number, true), ACCEPTED);
        packet(&mut connection, Packet::PubRel(id(number)));
    }
    assert!(connection.is_open());
}

#[test]
fn a_publish_that_breaks_a_rule_ends_the_connection_with_its_code() {
    let base = || publish("a", QoS::AtMostOnce, None);
    let on = |topic: &str| publish(topic, QoS::AtMostOnce, None);
    let deep = "a/".repeat(128);
    let mut null_property = base();
    Arc::make_mut(&mut null_property.message).properties.content_type = Some("\0".into());
    let mut odd_response = base();
    Arc::make_mut(&mut odd_response.message).properties.response_topic = Some("+".into());
    for (bad, code) in [
        (Publish { dup: true, ..base() }, ReasonCode::MalformedPacket),
        (publish("a", QoS::AtMostOnce, Some(1)), ReasonCode::MalformedPacket),
        (publish("a", QoS::AtLeastOnce, None), ReasonCode::MalformedPacket),
        (on(""), ReasonCode::ProtocolError),
        (on("a\0"), ReasonCode::MalformedPacket),
        (on("+"), ReasonCode::TopicNameInvalid),
        (on(&"t".repeat(1025)), ReasonCode::TopicNameInvalid),
        (on(&deep), ReasonCode::TopicNameInvalid),
        (Publish { topic_alias: Some(33), ..base() }, ReasonCode::TopicAliasInvalid),
        (Publish { has_subscription_id: true, ..base() }, ReasonCode::ProtocolError),
        (null_property, ReasonCode::MalformedPacket),
        (odd_response, ReasonCode::ProtocolError),
    ] {
        let ending = ended(&packet(&mut open(Protocol::V5), Packet::Publish(bad.clone())));
        assert_eq!(ending.farewell, Farewell::Disconnect(code), "{bad:?}");
    }
}

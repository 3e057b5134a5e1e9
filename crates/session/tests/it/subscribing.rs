//! SUBSCRIBE and UNSUBSCRIBE: grammar, limits, answers.

use crate::steps::{at, ended, id, open, packet, subscribe};
use rollcall_session::{
    ClientLimit, Effect, Event, Farewell, Outgoing, Packet, ReasonCode, SubscribeAnswer, UnsubscribeAnswer,
};
use rollcall_types::{Protocol, QoS};

#[test]
fn filters_are_passed_on_in_order_and_those_over_the_limits_are_marked() {
    let long = "t".repeat(1025);
    let effects = packet(&mut open(Protocol::V5), Packet::Subscribe(subscribe(&["a/#", &long, "$share/g/b/+"])));
    let [Effect::LimitReached(ClientLimit::TopicBytes), Effect::Subscribe { packet_id, filters, .. }] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(*packet_id, id(1));
    let refused: Vec<_> = filters.iter().map(|(_, refused)| *refused).collect();
    assert_eq!(refused, vec![None, Some(ReasonCode::TopicFilterInvalid), None]);
}

#[test]
fn the_answers_become_suback_and_unsuback() {
    let mut connection = open(Protocol::V311);
    let answers = vec![
        SubscribeAnswer::Granted { qos: QoS::AtLeastOnce, is_new: true },
        SubscribeAnswer::Refused(ReasonCode::NotAuthorized),
    ];
    let effects = connection.handle(
        Event::Subscribed {
            packet_id: id(1),
            subscription_id: None,
            filters: subscribe(&["$share/g/a", "b"]).filters,
            answers: answers.clone(),
        },
        at(1),
    );
    assert_eq!(effects, vec![Effect::Send(Outgoing::SubAck(id(1), answers))]);
    let effects = packet(&mut connection, Packet::Unsubscribe { packet_id: id(2), filters: vec!["a".into()] });
    assert_eq!(effects, vec![Effect::Unsubscribe { packet_id: id(2), filters: vec!["a".into()] }]);
    let effects =
        connection.handle(Event::Unsubscribed { packet_id: id(2), answers: vec![UnsubscribeAnswer::Removed] }, at(1));
    assert_eq!(effects, vec![Effect::Send(Outgoing::UnsubAck(id(2), vec![UnsubscribeAnswer::Removed]))]);
}

#[test]
fn a_filter_that_breaks_the_grammar_ends_the_connection() {
    for (bad, code) in [
        ("", ReasonCode::MalformedPacket),
        ("a#", ReasonCode::MalformedPacket),
        ("#/a", ReasonCode::MalformedPacket),
        ("a+/b", ReasonCode::MalformedPacket),
        ("a\0", ReasonCode::MalformedPacket),
        ("$share//a", ReasonCode::ProtocolError),
        ("$share/+/a", ReasonCode::ProtocolError),
    ] {
        let subscribed = packet(&mut open(Protocol::V5), Packet::Subscribe(subscribe(&["ok", bad])));
        assert_eq!(ended(&subscribed).farewell, Farewell::Disconnect(code), "{bad:?}");
        let unsubscribe = Packet::Unsubscribe { packet_id: id(1), filters: vec![bad.into()] };
        let unsubscribed = packet(&mut open(Protocol::V5), unsubscribe);
        assert_eq!(ended(&unsubscribed).farewell, Farewell::Disconnect(code), "{bad:?}");
    }
}

#[test]
fn an_empty_list_is_a_protocol_error() {
    // MQTT-3.8.3-2, MQTT-3.10.3-2
    let error = Farewell::Disconnect(ReasonCode::ProtocolError);
    assert_eq!(ended(&packet(&mut open(Protocol::V5), Packet::Subscribe(subscribe(&[])))).farewell, error);
    let unsubscribe = Packet::Unsubscribe { packet_id: id(1), filters: vec![] };
    assert_eq!(ended(&packet(&mut open(Protocol::V5), unsubscribe)).farewell, error);
}

#[test]
fn no_local_on_a_shared_subscription_is_a_protocol_error() {
    // MQTT-3.8.3-4
    let mut shared = subscribe(&["$share/g/a"]);
    shared.filters[0].no_local = true;
    let ending = ended(&packet(&mut open(Protocol::V5), Packet::Subscribe(shared)));
    assert_eq!(ending.farewell, Farewell::Disconnect(ReasonCode::ProtocolError));
}

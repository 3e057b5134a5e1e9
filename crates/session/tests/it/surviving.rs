//! Properties over any sequence of events.

use crate::steps::{Machine, at, connect, id, publish, subscribe};
use proptest::{collection::vec, prelude::*};
use rollcall_session::{
    AuthAnswer, AuthPurpose, ConnectRefusal, DecodeFault, Effect, Event, Limits, Order, Outgoing, Packet, Publish,
    PublishVerdict, Receipt,
};
use rollcall_types::{Protocol, QoS};

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::V31), Just(Protocol::V311), Just(Protocol::V5)]
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn client_packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        (protocol(), any::<bool>()).prop_map(|(protocol, method)| {
            let method = (method && protocol == Protocol::V5).then(|| "x".to_owned());
            Packet::Connect(Box::new(rollcall_session::Connect { authentication_method: method, ..connect(protocol) }))
        }),
        ("[a-c/+#]{0,4}", qos(), proptest::option::of(1..4u16))
            .prop_map(|(topic, qos, packet_id)| Packet::Publish(publish(&topic, qos, packet_id))),
        (1..4u16).prop_map(|number| Packet::PubRel(id(number))),
        (1..4u16).prop_map(|number| Packet::PubRec { packet_id: id(number), refused: false }),
        (1..4u16).prop_map(|number| Packet::PubAck(id(number))),
        "[a/+#]{0,4}".prop_map(|filter| Packet::Subscribe(subscribe(&[&filter]))),
        "[a/+#]{0,4}".prop_map(|filter| Packet::Unsubscribe { packet_id: id(1), filters: vec![filter] }),
        Just(Packet::PingReq),
        (any::<u8>(), proptest::option::of(0..3u32))
            .prop_map(|(reason, session_expiry_s)| Packet::Disconnect { reason, session_expiry_s }),
        prop_oneof![Just(AuthPurpose::Success), Just(AuthPurpose::Continue), Just(AuthPurpose::Again)]
            .prop_map(|purpose| crate::steps::auth(purpose, "x")),
        Just(Packet::ServerOnly),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => client_packet().prop_map(Event::Packet),
        4 => Just(Event::Admitted { session_present: false }),
        1 => Just(Event::Refused(ConnectRefusal::Busy)),
        1 => Just(Event::PeerGone),
        2 => Just(Event::Tick),
        1 => Just(Event::Undecodable(DecodeFault::NotMqtt)),
        2 => prop_oneof![
            Just(AuthAnswer::Continue(vec![1])),
            Just(AuthAnswer::Success(vec![])),
            Just(AuthAnswer::UnknownMethod)
        ]
        .prop_map(Event::Authenticated),
        1 => Just(Event::Order(Order::Takeover)),
        3 => (1..4u16, any::<bool>()).prop_map(|(number, exactly_once)| Event::Published {
            receipt: Receipt { packet_id: id(number), exactly_once },
            verdict: PublishVerdict::Accepted { matched: false },
        }),
    ]
}

proptest! {
    #[test]
    fn every_connection_ends_at_most_once_and_nothing_follows_its_end(events in vec((event(), 0..3000u64), 0..60)) {
        let mut connection = Machine::new(Limits::default(), 1);
        let (mut now, mut ends, mut connacks, mut asked) = (0, 0, 0, 0);
        for (event, passed) in events {
            now += passed;
            let effects = connection.handle(event, at(now));
            prop_assert!(ends == 0 || effects.is_empty(), "nothing follows the end");
            for (place, effect) in effects.iter().enumerate() {
                match effect {
                    Effect::End(_) => {
                        ends += 1;
                        prop_assert_eq!(place + 1, effects.len(), "the end is the last effect");
                    }
                    Effect::Send(Outgoing::ConnAck(_)) => connacks += 1,
                    Effect::Admit(_) => asked += 1,
                    Effect::Send(Outgoing::Publish(_)) => prop_assert_eq!(connacks, 1, "nothing before CONNACK"),
                    _ => {}
                }
            }
            prop_assert!(connacks <= asked && asked <= 1, "no CONNACK success without one admission");
        }
        prop_assert!(ends <= 1);
    }

    #[test]
    fn a_qos_2_message_is_handed_on_once_between_its_releases(steps in vec((1..3u16, any::<bool>()), 0..60)) {
        let mut connection = crate::steps::open(Protocol::V311);
        let mut held = std::collections::BTreeSet::new();
        for (number, release) in steps {
            if release {
                crate::steps::packet(&mut connection, Packet::PubRel(id(number)));
                held.remove(&number);
            } else {
                let dup = held.contains(&number);
                let sent = Publish { dup, ..publish("a", QoS::ExactlyOnce, Some(number)) };
                let effects = crate::steps::packet(&mut connection, Packet::Publish(sent));
                let handed_on = matches!(effects[..], [Effect::Publish { .. }]);
                prop_assert_eq!(handed_on, held.insert(number));
                if handed_on {
                    let receipt = Receipt { packet_id: id(number), exactly_once: true };
                    let verdict = PublishVerdict::Accepted { matched: true };
                    connection.handle(Event::Published { receipt, verdict }, at(1));
                }
            }
        }
    }
}

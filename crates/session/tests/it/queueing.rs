//! What waits for a client: bounds, expiry, windows, aliases.

use crate::steps::{ROOM, at, delivery, id, message, terms};
use rollcall_session::{Delivery, Event, LinkTerms, Offered, Outgoing, OutgoingPublish, Packet, QueueLimits, Session};
use rollcall_types::QoS;
use std::sync::Arc;

fn attached(receive_maximum: u16) -> Session {
    let mut session = Session::default();
    session.attach(terms(receive_maximum));
    session
}

fn publishes(session: &mut Session, ms: u64) -> Vec<OutgoingPublish> {
    std::iter::from_fn(|| session.next_outgoing(at(ms)))
        .map(|outgoing| match outgoing {
            Outgoing::Publish(publish) => publish,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn topics(session: &mut Session, ms: u64) -> Vec<String> {
    publishes(session, ms).iter().map(|publish| publish.delivery.message.topic.clone()).collect()
}

#[test]
fn a_full_queue_drops_qos_0_first_and_then_refuses_what_is_new() {
    let limits = QueueLimits { messages: 3, bytes: 1_000_000 };
    let mut session = attached(10);
    let mut offer = |topic: &str, qos| session.offer(delivery(topic, qos), limits, at(0));
    assert_eq!(offer("0a", QoS::AtMostOnce), Offered::Queued);
    assert_eq!(offer("1", QoS::AtLeastOnce), Offered::Queued);
    assert_eq!(offer("0b", QoS::AtMostOnce), Offered::Queued);
    assert_eq!(offer("0c", QoS::AtMostOnce), Offered::Full);
    assert_eq!(offer("2", QoS::ExactlyOnce), Offered::QueuedInsteadOf(1));
    assert_eq!(offer("3", QoS::AtLeastOnce), Offered::QueuedInsteadOf(1));
    assert_eq!(offer("4", QoS::AtLeastOnce), Offered::Full);
    assert_eq!(topics(&mut session, 0), ["1", "2", "3"]);
}

#[test]
fn what_waits_presses_from_half_of_a_limit_on_and_only_while_the_client_is_there() {
    let limits = QueueLimits { messages: 10, bytes: 1_000_000 };
    let mut session = attached(100);
    let mut pressures = vec![];
    for number in 0..11 {
        session.offer(delivery("0", QoS::AtMostOnce), limits, at(0));
        session.offer(delivery(&number.to_string(), QoS::AtLeastOnce), limits, at(0));
        pressures.push(session.filled(false).pressure(limits));
    }
    assert_eq!(pressures, [0, 0, 0, 0, 0, 200, 400, 600, 800, 1000, 1000], "QoS 0 makes room");
    let few_bytes = QueueLimits { messages: 100, bytes: 1000 };
    assert_eq!(session.filled(false).pressure(few_bytes), 320, "10 messages of 66 bytes");
    session.detach();
    assert_eq!((session.filled(false).pressure(limits), session.messages()), (0, 10));
    session.attach(terms(100));
    assert_eq!(session.filled(false).pressure(limits), 1000);
    for pressure in [800, 600, 400, 200, 0, 0, 0, 0, 0, 0] {
        session.next_outgoing(at(0));
        assert_eq!(session.filled(false).pressure(limits), pressure);
    }
    session.offer(delivery("0", QoS::AtMostOnce), limits, at(0));
    assert_eq!(session.filled(false).pressure(QueueLimits { messages: 1, bytes: 1 }), 0);
}

#[test]
fn bytes_are_bounded_and_a_large_message_alone_still_passes() {
    let limits = QueueLimits { messages: 100, bytes: 300 };
    let mut session = attached(10);
    let large = |bytes| {
        let mut large = message("t", QoS::AtLeastOnce);
        large.payload = vec![0; bytes];
        Delivery::new(Arc::new(large), QoS::AtLeastOnce, at(0))
    };
    assert_eq!(session.offer(large(1000), limits, at(0)), Offered::Queued);
    assert_eq!(session.offer(large(1), limits, at(0)), Offered::Full);
    assert_eq!(publishes(&mut session, 0).len(), 1);
    assert_eq!(session.offer(large(100), limits, at(0)), Offered::Queued);
    assert_eq!(session.offer(large(100), limits, at(0)), Offered::Full);
}

#[test]
fn no_more_is_under_way_than_the_clients_receive_maximum() {
    // MQTT-3.3.4-9
    let mut session = attached(2);
    for topic in ["1", "2", "3", "4"] {
        session.offer(delivery(topic, QoS::AtLeastOnce), ROOM, at(0));
    }
    let sent = publishes(&mut session, 0);
    let ids: Vec<_> = sent.iter().map(|publish| publish.packet_id.unwrap()).collect();
    assert_eq!(ids, [id(1), id(2)]);
    assert!(sent.iter().all(|publish| !publish.dup));
    session.not_sent(&sent[0]);
    assert_eq!(topics(&mut session, 0), ["3"], "one that cannot be sent gives its place back");
}

#[test]
fn messages_that_begin_to_wait_for_acknowledgements_are_noticed_once() {
    let mut session = attached(1);
    for topic in ["1", "2", "3"] {
        session.offer(delivery(topic, QoS::AtLeastOnce), ROOM, at(0));
    }
    assert_eq!(topics(&mut session, 0), ["1"]);
    assert_eq!(topics(&mut session, 0), [""; 0]);
    assert_eq!((session.take_stalls(), session.take_stalls()), (1, 0));
    let mut connection = crate::steps::open(rollcall_types::Protocol::V5).connection;
    let puback = Event::Packet(Packet::PubAck(id(1)));
    connection.handle(puback, Some(&mut session), at(0));
    assert_eq!(topics(&mut session, 0), ["2"]);
    assert_eq!(session.take_stalls(), 1, "they wait again");
}

#[test]
fn messages_expire_in_the_queue_and_carry_what_is_left() {
    // MQTT-3.3.2-5, MQTT-3.3.2-6
    let expiring = |topic: &str, seconds| {
        let mut message = message(topic, QoS::AtLeastOnce);
        message.properties.expiry_s = Some(seconds);
        Delivery::new(Arc::new(message), QoS::AtLeastOnce, at(0))
    };
    let mut session = Session::default();
    session.offer(expiring("short", 2), ROOM, at(0));
    session.offer(expiring("long", 10), ROOM, at(0));
    session.attach(terms(10));
    let sent = publishes(&mut session, 3500);
    assert_eq!((sent.len(), sent[0].expiry_s), (1, Some(7)));
    assert_eq!((session.take_expired(), session.take_expired()), (1, 0));
}

#[test]
fn qos_0_is_not_kept_for_a_client_that_is_away() {
    let mut session = attached(10);
    session.offer(delivery("0", QoS::AtMostOnce), ROOM, at(0));
    session.offer(delivery("1", QoS::AtLeastOnce), ROOM, at(0));
    session.detach();
    assert_eq!(session.offer(delivery("0", QoS::AtMostOnce), ROOM, at(0)), Offered::NotKept);
    session.attach(terms(10));
    assert_eq!(topics(&mut session, 0), ["1"]);
}

#[test]
fn topics_get_aliases_up_to_the_clients_maximum_and_the_topic_goes_along_once() {
    // MQTT-3.1.2-26
    let mut session = Session::default();
    session.attach(LinkTerms { topic_alias_maximum: 1, ..terms(10) });
    for topic in ["a", "b", "a"] {
        session.offer(delivery(topic, QoS::AtMostOnce), ROOM, at(0));
    }
    let aliases: Vec<_> =
        publishes(&mut session, 0).iter().map(|sent| sent.alias.map(|alias| (alias.alias, alias.is_new))).collect();
    assert_eq!(aliases, [Some((id(1), true)), None, Some((id(1), false))]);
    session.offer(delivery("a", QoS::AtMostOnce), ROOM, at(0));
    session.attach(LinkTerms { topic_alias_maximum: 1, ..terms(10) });
    session.offer(delivery("a", QoS::AtMostOnce), ROOM, at(0));
    assert!(publishes(&mut session, 0)[0].alias.unwrap().is_new, "aliases end with their connection");
}

#[test]
fn an_alias_whose_first_packet_was_too_large_is_told_again() {
    let mut session = Session::default();
    session.attach(LinkTerms { topic_alias_maximum: 1, ..terms(10) });
    for _ in 0..2 {
        session.offer(delivery("a", QoS::AtMostOnce), ROOM, at(0));
        let sent = publishes(&mut session, 0).remove(0);
        assert!(sent.alias.unwrap().is_new);
        session.not_sent(&sent);
    }
}

#[test]
fn what_a_shared_subscription_brought_is_given_back_when_the_session_ends_unacknowledged() {
    let mut session = attached(1);
    for (topic, group) in [("under way", Some("$share/g/#")), ("own", None), ("waits", Some("$share/g/#"))] {
        let shared = Delivery { group: group.map(Into::into), ..delivery(topic, QoS::AtLeastOnce) };
        session.offer(shared, ROOM, at(0));
    }
    assert_eq!(topics(&mut session, 0), ["under way"]);
    let orphans = session.end();
    let orphans: Vec<_> = orphans.iter().map(|delivery| delivery.message.topic.as_str()).collect();
    assert_eq!(orphans, ["under way", "waits"]);
    assert_eq!(session.messages(), 0);
}

#[test]
fn what_was_collected_elsewhere_comes_behind_and_qos_2_is_not_doubled() {
    let offer = |session: &mut Session, topic: &str, qos| session.offer(delivery(topic, qos), ROOM, at(0));
    let (mut session, mut collected) = (attached(10), Session::default());
    for topic in ["a", "twice"] {
        offer(&mut session, topic, QoS::ExactlyOnce);
    }
    offer(&mut session, "b", QoS::AtLeastOnce);
    for topic in ["twice", "twice", "c"] {
        offer(&mut collected, topic, QoS::ExactlyOnce);
    }
    offer(&mut collected, "b", QoS::AtLeastOnce);
    let limits = QueueLimits { messages: 5, ..ROOM };
    assert_eq!(session.append(&collected, limits), 1, "the newest had no room");
    assert_eq!(topics(&mut session, 0), ["a", "twice", "b", "twice", "c"]);
}

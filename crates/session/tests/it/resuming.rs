//! A session over several connections: nothing lost, nothing doubled beyond what QoS allows, order kept.

use crate::steps::{Machine, ROOM, at, connect, delivery, fresh, id, open, packet, publish, terms};
use proptest::{collection::vec, prelude::*};
use rollcall_session::{
    Effect, Event, Limits, Outgoing, Packet, PublishVerdict, ReasonCode, Receipt, Session, SessionState,
};
use rollcall_types::{Protocol, QoS};
use std::{collections::BTreeSet, num::NonZeroU16};

fn sent(outgoing: &Outgoing) -> (String, bool) {
    match outgoing {
        Outgoing::Publish(publish) => (publish.delivery.message.topic.clone(), publish.dup),
        Outgoing::PubRel(packet_id, _) => (format!("PUBREL {packet_id}"), false),
        other => panic!("{other:?}"),
    }
}

fn all_sent(session: &mut Session) -> Vec<(String, bool)> {
    std::iter::from_fn(|| session.next_outgoing(at(0))).map(|outgoing| sent(&outgoing)).collect()
}

#[test]
fn what_was_under_way_is_sent_again_in_order_with_dup_and_before_anything_new() {
    // MQTT-4.4.0-1, MQTT-4.6.0-1
    let mut machine = open(Protocol::V5);
    machine.session.attach(terms(3));
    for (topic, qos) in
        [("1", QoS::AtLeastOnce), ("2", QoS::ExactlyOnce), ("3", QoS::ExactlyOnce), ("4", QoS::AtLeastOnce)]
    {
        machine.session.offer(delivery(topic, qos), ROOM, at(0));
    }
    assert_eq!(all_sent(&mut machine.session).len(), 3);
    packet(&mut machine, Packet::PubRec { packet_id: id(2), refused: false });
    machine.session.attach(terms(9));
    let again: Vec<_> = all_sent(&mut machine.session);
    let wanted = [("1", true), ("PUBREL 2", false), ("3", true), ("4", false)];
    assert_eq!(again, wanted.map(|(topic, dup)| (topic.to_owned(), dup)));
}

#[test]
fn a_smaller_receive_maximum_holds_for_what_is_sent_again_too() {
    let mut session = Session::default();
    session.attach(terms(3));
    for topic in ["1", "2", "3"] {
        session.offer(delivery(topic, QoS::AtLeastOnce), ROOM, at(0));
    }
    assert_eq!(all_sent(&mut session).len(), 3);
    session.attach(terms(1));
    assert_eq!(all_sent(&mut session), [("1".to_owned(), true)]);
}

#[test]
fn a_qos_2_message_of_the_client_is_not_handed_on_again_after_a_reconnect() {
    let mut first = open(Protocol::V311);
    let twice = || Packet::Publish(publish("a", QoS::ExactlyOnce, Some(5)));
    packet(&mut first, twice());
    let receipt = Receipt { packet_id: id(5), exactly_once: true };
    let accepted = PublishVerdict::Accepted { matched: true };
    first.handle(Event::Published { receipt, verdict: accepted }, at(1));
    first.session.detach();
    let mut second = Machine { session: first.session, ..open(Protocol::V311) };
    assert_eq!(packet(&mut second, twice()), [Effect::Send(Outgoing::PubRec(id(5), ReasonCode::Success))]);
    let known = Effect::Send(Outgoing::PubComp(id(5), ReasonCode::Success));
    assert_eq!(packet(&mut second, Packet::PubRel(id(5))), [known]);
}

#[test]
fn a_verdict_that_comes_after_the_connection_answers_the_next_one() {
    let mut first = open(Protocol::V5);
    let twice = || Packet::Publish(publish("a", QoS::ExactlyOnce, Some(5)));
    packet(&mut first, twice());
    first.session.detach();
    let mut second = Machine { session: first.session, ..open(Protocol::V5) };
    second.session.attach(terms(9));
    assert_eq!(packet(&mut second, twice()), [], "still being handed on");
    assert!(second.session.settle_late(id(5), true));
    let pubrec = Outgoing::PubRec(id(5), ReasonCode::Success);
    assert_eq!(second.session.next_outgoing(at(0)), Some(pubrec.clone()));
    assert_eq!(packet(&mut second, twice()), [Effect::Send(pubrec)]);
}

#[test]
fn a_connection_that_lost_its_session_to_a_later_one_does_nothing_to_it() {
    let mut connection = open(Protocol::V5).connection;
    let events =
        [Packet::Publish(publish("a", QoS::AtLeastOnce, Some(5))), Packet::PubAck(id(1)), Packet::PubRel(id(1))];
    for event in events {
        assert_eq!(connection.handle(Event::Packet(event), None, at(1)), []);
    }
}

#[test]
fn the_expiry_of_a_session_can_be_changed_at_the_end() {
    let mut asked = connect(Protocol::V5);
    asked.session_expiry_s = 100;
    let mut machine = crate::steps::open_with(Limits { session_expiry_max_s: 500, ..Limits::default() }, asked);
    machine.session.attach(terms(1));
    packet(&mut machine, Packet::Disconnect { reason: 0, session_expiry_s: Some(1000) });
    assert_eq!(machine.session.expiry_s(), 500);
}

#[test]
fn connack_says_whether_a_session_was_there() {
    for session_present in [false, true] {
        let mut machine = fresh(Limits::default());
        machine.handle(Event::Packet(Packet::Connect(Box::new(connect(Protocol::V311)))), at(0));
        let effects = machine.handle(Event::Admitted { session_present }, at(0));
        let [Effect::Send(Outgoing::ConnAck(connack))] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(connack.session_present, session_present);
    }
}

/// A client that keeps to the rules, and what its application got.
#[derive(Default)]
struct Client {
    got: Vec<(String, QoS)>,
    held: BTreeSet<NonZeroU16>,
}

/// What happens next between broker and client.
#[derive(Clone, Copy, Debug)]
enum Step {
    Offer(QoS),
    /// The client receives the next packet and answers; the answer arrives or is lost with the connection.
    Deliver {
        answer_arrives: bool,
    },
    Reconnect {
        receive_maximum: u16,
    },
    /// The session moves to another node.
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let qos = prop_oneof![Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)];
    prop_oneof![
        4 => qos.prop_map(Step::Offer),
        6 => prop::bool::weighted(0.8).prop_map(|answer_arrives| Step::Deliver { answer_arrives }),
        1 => (1..4u16).prop_map(|receive_maximum| Step::Reconnect { receive_maximum }),
        1 => Just(Step::Move),
    ]
}

impl Client {
    /// One packet; the client's answer.
    fn receive(&mut self, outgoing: &Outgoing) -> Packet {
        match outgoing {
            Outgoing::Publish(publish) => {
                let packet_id = publish.packet_id.unwrap();
                let qos = publish.delivery.qos;
                if qos == QoS::AtLeastOnce || self.held.insert(packet_id) {
                    self.got.push((publish.delivery.message.topic.clone(), qos));
                }
                match qos {
                    QoS::ExactlyOnce => Packet::PubRec { packet_id, refused: false },
                    _ => Packet::PubAck(packet_id),
                }
            }
            Outgoing::PubRel(packet_id, _) => {
                self.held.remove(packet_id);
                Packet::PubComp(*packet_id)
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Hands the client what is next; an answer of the broker to the client's answer arrives too, or is lost.
fn exchange(machine: &mut Machine, client: &mut Client, answer_arrives: bool) -> bool {
    let Some(mut outgoing) = machine.session.next_outgoing(at(0)) else { return false };
    loop {
        let answer = client.receive(&outgoing);
        if !answer_arrives {
            machine.session.attach(terms(3));
            return true;
        }
        match &packet(machine, answer)[..] {
            [] => return true,
            [Effect::Send(next)] => outgoing = next.clone(),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_interleaving_of_drops_reconnects_and_moves_delivers_qos_1_in_order_and_qos_2_exactly_once(
        steps in vec(step(), 0..120),
    ) {
        let mut machine = open(Protocol::V5);
        machine.session.attach(terms(3));
        let mut client = Client::default();
        let mut offered = Vec::new();
        for step in steps {
            match step {
                Step::Offer(qos) => {
                    let topic = offered.len().to_string();
                    machine.session.offer(delivery(&topic, qos), ROOM, at(0));
                    offered.push((topic, qos));
                }
                Step::Deliver { answer_arrives } => {
                    exchange(&mut machine, &mut client, answer_arrives);
                }
                Step::Reconnect { receive_maximum } => {
                    machine.session.detach();
                    machine.session.attach(terms(receive_maximum));
                }
                Step::Move => {
                    let bytes = postcard::to_stdvec(&machine.session.export(at(0))).unwrap();
                    let state: SessionState = postcard::from_bytes(&bytes).unwrap();
                    let (session, left_out) = Session::import(state, ROOM, at(0));
                    prop_assert_eq!(left_out, 0);
                    machine.session = session;
                    machine.session.attach(terms(3));
                }
            }
        }
        while exchange(&mut machine, &mut client, true) {}
        prop_assert_eq!(machine.session.messages(), 0);
        // First arrivals are in the order of publishing, per QoS and over all; QoS 2 has no second.
        let mut seen = BTreeSet::new();
        let first: Vec<_> = client.got.iter().filter(|got| seen.insert((*got).clone())).cloned().collect();
        prop_assert_eq!(&first, &offered);
        let exactly: Vec<_> = client.got.iter().filter(|(_, qos)| *qos == QoS::ExactlyOnce).collect();
        let wanted: Vec<_> = offered.iter().filter(|(_, qos)| *qos == QoS::ExactlyOnce).collect();
        prop_assert_eq!(exactly, wanted);
    }
}

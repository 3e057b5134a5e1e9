//! B-007, B-020, B-120, B-122: one and a half times the keep-alive, on the boot clock.

use crate::steps::{at, connect, ended, open_with};
use rollcall_session::{Connect, Effect, Event, Limits, Outgoing, Packet};
use rollcall_types::{DisconnectReason, Protocol, QoS};

#[test]
fn b_007_a_silent_client_ends_at_one_and_a_half_times_its_keep_alive() {
    for protocol in crate::steps::EVERY_PROTOCOL {
        let mut connection = open_with(Limits::default(), Connect { keep_alive_s: 5, ..connect(protocol) });
        assert_eq!(connection.next_deadline(), Some(at(7500)));
        assert_eq!(connection.handle(Event::Tick, at(7499)), vec![]);
        let ending = ended(&connection.handle(Event::Tick, at(7500)));
        assert_eq!(ending.reason, DisconnectReason::KeepaliveTimeout);
        assert!(ending.owes_will, "B-122");
    }
}

#[test]
fn b_120_any_packet_of_the_client_counts_and_what_it_is_sent_does_not() {
    let mut connection = open_with(Limits::default(), Connect { keep_alive_s: 5, ..connect(Protocol::V311) });
    let effects = connection.handle(Event::Packet(Packet::PingReq), at(7000));
    assert_eq!(effects, vec![Effect::Send(Outgoing::PingResp)]);
    assert_eq!(connection.next_deadline(), Some(at(14_500)));
    connection.session.attach(crate::steps::terms(16));
    connection.session.offer(crate::steps::delivery("a", QoS::AtMostOnce), crate::steps::ROOM, at(14_000));
    assert!(matches!(connection.session.next_outgoing(at(14_000)), Some(Outgoing::Publish(_))));
    assert_eq!(connection.next_deadline(), Some(at(14_500)));
}

#[test]
fn a_keep_alive_of_zero_never_ends() {
    let mut connection = open_with(Limits::default(), connect(Protocol::V5));
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(connection.handle(Event::Tick, at(u64::MAX)), vec![]);
}

#[test]
fn the_time_a_claim_takes_does_not_count_against_the_client() {
    let mut connection = crate::steps::fresh(Limits::default());
    let asked = Connect { keep_alive_s: 1, ..connect(Protocol::V5) };
    connection.handle(Event::Packet(Packet::Connect(Box::new(asked))), at(0));
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(connection.handle(Event::Tick, at(9000)), vec![]);
    connection.handle(Event::Admitted { session_present: false }, at(9000));
    assert_eq!(connection.next_deadline(), Some(at(10_500)));
}

#[test]
fn another_keep_alive_is_in_force_at_once_and_ends_nobody_by_itself() {
    for protocol in crate::steps::EVERY_PROTOCOL {
        let mut connection = open_with(Limits::default(), Connect { keep_alive_s: 30, ..connect(protocol) });
        assert_eq!(connection.next_deadline(), Some(at(45_000)));
        assert_eq!(connection.handle(Event::KeepAlive(1200), at(40_000)), vec![]);
        assert_eq!(connection.next_deadline(), Some(at(1_800_000)), "from its last packet");
        assert_eq!(connection.handle(Event::Tick, at(45_000)), vec![]);
        assert_eq!(connection.handle(Event::KeepAlive(30), at(1_000_000)), vec![]);
        assert_eq!(connection.next_deadline(), Some(at(1_045_000)), "silent for longer, and not cut off");
        assert_eq!(connection.handle(Event::Tick, at(1_044_999)), vec![]);
        let ending = ended(&connection.handle(Event::Tick, at(1_045_000)));
        assert_eq!(ending.reason, DisconnectReason::KeepaliveTimeout);
    }
}

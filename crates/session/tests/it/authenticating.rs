//! Enhanced authentication: the exchange before CONNACK and on an open connection, by the statements of MQTT 5.0, 4.12.

use crate::steps::{Machine, at, auth, connect, ended, fresh, open, packet};
use rollcall_session::{
    Auth, AuthAnswer, AuthPurpose, Authenticating, Connect, ConnectRefusal, Effect, Event, Farewell, Limits, Outgoing,
    Packet, ReasonCode,
};
use rollcall_types::{ClientId, DisconnectReason, Protocol};

const METHOD: &str = "m";

fn asked() -> Packet {
    let base = connect(Protocol::V5);
    let (method, data) = (Some(METHOD.to_owned()), b"first".to_vec());
    Packet::Connect(Box::new(Connect { authentication_method: method, authentication_data: data, ..base }))
}

/// A connection whose CONNECT named the method.
fn begun() -> Machine {
    let mut machine = fresh(Limits::default());
    let start = Authenticating {
        method: METHOD.into(),
        data: b"first".to_vec(),
        client_id: ClientId::new("c1").unwrap(),
        username: None,
    };
    assert_eq!(packet(&mut machine, asked()), [Effect::BeginAuthentication(Box::new(start))]);
    machine
}

fn answer(machine: &mut Machine, answer: AuthAnswer) -> Vec<Effect> {
    machine.handle(Event::Authenticated(answer), at(2))
}

fn sent(purpose: AuthPurpose, data: &[u8]) -> Vec<Effect> {
    let auth = Auth { purpose, method: METHOD.into(), data: data.to_vec() };
    vec![Effect::Send(Outgoing::Auth(Box::new(auth)))]
}

fn admitted() -> Machine {
    let mut machine = begun();
    let effects = answer(&mut machine, AuthAnswer::Success(b"done".to_vec()));
    assert!(matches!(effects[..], [Effect::Admit(_)]), "{effects:?}");
    let effects = machine.handle(Event::Admitted { session_present: false }, at(2));
    let [Effect::Send(Outgoing::ConnAck(connack))] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(connack.authentication, Some((METHOD.to_owned(), b"done".to_vec())), "MQTT-4.12.0-5");
    machine
}

fn refused(effects: &[Effect]) -> Farewell {
    ended(effects).farewell
}

#[test]
fn a_method_that_is_not_known_is_refused() {
    let effects = answer(&mut begun(), AuthAnswer::UnknownMethod);
    assert_eq!(
        refused(&effects),
        Farewell::ConnAck(Protocol::V5, ReasonCode::BadAuthenticationMethod),
        "MQTT-4.12.0-1"
    );
}

#[test]
fn an_exchange_goes_on_until_it_is_decided_and_only_then_the_claim_begins() {
    let mut machine = begun();
    for round in 0..16 {
        assert_eq!(answer(&mut machine, AuthAnswer::Continue(vec![round])), sent(AuthPurpose::Continue, &[round]));
        let effects = packet(&mut machine, auth(AuthPurpose::Continue, METHOD));
        assert_eq!(effects, [Effect::ContinueAuthentication(b"answer".to_vec())]);
    }
    answer(&mut machine, AuthAnswer::Continue(vec![]));
    let effects = packet(&mut machine, auth(AuthPurpose::Continue, METHOD));
    assert_eq!(refused(&effects), Farewell::ConnAck(Protocol::V5, ReasonCode::NotAuthorized), "rounds are bounded");
    admitted();
    let effects = answer(&mut begun(), AuthAnswer::Refused(ConnectRefusal::NotAuthorized));
    assert_eq!(refused(&effects), Farewell::ConnAck(Protocol::V5, ReasonCode::NotAuthorized), "MQTT-4.12.0-4");
}

#[test]
fn before_connack_nothing_but_an_answer_in_turn_is_taken() {
    let error = Farewell::ConnAck(Protocol::V5, ReasonCode::ProtocolError);
    let out_of_turn = packet(&mut begun(), auth(AuthPurpose::Continue, METHOD));
    assert_eq!(refused(&out_of_turn), error);
    for wrong in [
        auth(AuthPurpose::Again, METHOD),
        auth(AuthPurpose::Success, METHOD),
        auth(AuthPurpose::Continue, "another"),
        Packet::PingReq,
        asked(),
    ] {
        let mut machine = begun();
        answer(&mut machine, AuthAnswer::Continue(vec![]));
        assert_eq!(refused(&packet(&mut machine, wrong.clone())), error, "{wrong:?}");
    }
    let mut machine = begun();
    answer(&mut machine, AuthAnswer::Continue(vec![]));
    let left = packet(&mut machine, Packet::Disconnect { reason: 0, session_expiry_s: None });
    assert_eq!(refused(&left), Farewell::Silent);
}

#[test]
fn an_exchange_has_the_time_of_its_connect() {
    let mut machine = begun();
    answer(&mut machine, AuthAnswer::Continue(vec![]));
    assert_eq!(machine.next_deadline(), Some(at(10_000)));
    assert_eq!(machine.handle(Event::Tick, at(9_999)), []);
    assert_eq!(ended(&machine.handle(Event::Tick, at(10_000))).reason, DisconnectReason::ConnectionLost);
}

#[test]
fn an_open_connection_authenticates_again_by_the_same_method_only() {
    let mut machine = admitted();
    assert_eq!(machine.next_deadline(), None);
    for _ in 0..2 {
        let effects = packet(&mut machine, auth(AuthPurpose::Again, METHOD));
        let [Effect::BeginAuthentication(start)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((start.method.as_str(), start.data.as_slice()), (METHOD, &b"answer"[..]));
        assert_eq!(machine.next_deadline(), Some(at(10_001)));
        assert_eq!(packet(&mut machine, Packet::PingReq), [Effect::Send(Outgoing::PingResp)], "all else goes on");
        assert_eq!(answer(&mut machine, AuthAnswer::Continue(vec![7])), sent(AuthPurpose::Continue, &[7]));
        assert_eq!(
            packet(&mut machine, auth(AuthPurpose::Continue, METHOD)),
            [Effect::ContinueAuthentication(b"answer".to_vec())]
        );
        assert_eq!(answer(&mut machine, AuthAnswer::Success(vec![])), sent(AuthPurpose::Success, &[]));
        assert!(machine.is_open() && machine.next_deadline().is_none());
    }
    let effects = packet(&mut machine, auth(AuthPurpose::Again, "another"));
    assert_eq!(refused(&effects), Farewell::Disconnect(ReasonCode::ProtocolError), "MQTT-4.12.1-1");
}

#[test]
fn a_failed_or_late_re_authentication_ends_the_connection() {
    let not_authorized = Farewell::Disconnect(ReasonCode::NotAuthorized);
    let mut machine = admitted();
    packet(&mut machine, auth(AuthPurpose::Again, METHOD));
    let effects = answer(&mut machine, AuthAnswer::Refused(ConnectRefusal::BadCredentials));
    assert_eq!(refused(&effects), not_authorized, "MQTT-4.12.1-2");
    let mut machine = admitted();
    packet(&mut machine, auth(AuthPurpose::Again, METHOD));
    assert_eq!(refused(&machine.handle(Event::Tick, at(10_001))), not_authorized);
    for unasked in [AuthPurpose::Continue, AuthPurpose::Success] {
        let effects = packet(&mut admitted(), auth(unasked, METHOD));
        assert_eq!(refused(&effects), Farewell::Disconnect(ReasonCode::ProtocolError), "{unasked:?}");
    }
    let mut machine = admitted();
    packet(&mut machine, auth(AuthPurpose::Again, METHOD));
    let twice = packet(&mut machine, auth(AuthPurpose::Again, METHOD));
    assert_eq!(refused(&twice), Farewell::Disconnect(ReasonCode::ProtocolError));
}

#[test]
fn a_client_that_named_no_method_neither_sends_nor_gets_auth() {
    for purpose in [AuthPurpose::Again, AuthPurpose::Continue] {
        for method in ["", METHOD] {
            let effects = packet(&mut open(Protocol::V5), auth(purpose, method));
            assert_eq!(refused(&effects), Farewell::Disconnect(ReasonCode::ProtocolError), "MQTT-4.12.0-7");
        }
    }
    assert_eq!(answer(&mut open(Protocol::V5), AuthAnswer::Continue(vec![])), [], "MQTT-4.12.0-6");
}

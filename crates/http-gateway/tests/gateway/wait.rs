//! `…/status?wait=SECONDS&for=online|offline`: long polls.

use crate::fakes::{Call, GOOD, online, start, start_with};
use rollcall_contracts::StatusError;
use rollcall_http_gateway::GatewayConfig;
use std::time::Duration;

const PATH: &str = "/client-id/VIN0000001/status";

#[test]
fn a_long_poll_is_answered_like_a_query_and_costs_as_much() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Ok(online());
    let mut connection = running.connect();
    let answer = connection.ask("GET", &format!("{PATH}?wait=30&for=online&client_id=me"), GOOD);
    assert_eq!((answer.status(), answer.body.as_str()), (200, r#"{"online":true}"#));
    assert_eq!(answer.header("rollcall-node"), Some("n1"));
    let waited = Call::Wait("VIN0000001".into(), true, Duration::from_secs(30));
    assert_eq!(running.world.calls()[2..], [Call::MayConnect(Some("me".into())), Call::Charge(1), waited]);
    assert_eq!(connection.ask("POST", &format!("{PATH}?for=offline&wait=0"), GOOD).status(), 200);
    let waited = Call::Wait("VIN0000001".into(), false, Duration::ZERO);
    assert_eq!(running.world.calls().pop(), Some(waited));
}

#[test]
fn a_wait_that_is_not_understood_is_refused_and_costs_nothing() {
    let running = start();
    let mut connection = running.connect();
    for query in [
        "wait=10",
        "for=online",
        "wait=61&for=online",
        "wait=-1&for=online",
        "wait=&for=online",
        "wait=1.5&for=online",
        "wait=10&for=",
        "wait=10&for=Online",
        "wait=10&wait=11&for=online",
    ] {
        let answer = connection.ask("GET", &format!("{PATH}?{query}"), GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (400, "bad_parameter"), "{query}");
    }
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::Wait(..))));
}

#[test]
fn what_cannot_be_known_at_the_end_is_503() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Err(StatusError::NoQuorum);
    let answer = running.connect().ask("GET", &format!("{PATH}?wait=1&for=online"), GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "no_quorum"));
}

#[test]
fn so_many_wait_and_one_more_is_told_so_while_queries_go_on() {
    let running = start_with(GatewayConfig { waits_max: 2, ..GatewayConfig::default() });
    let target = format!("{PATH}?wait=60&for=online");
    let held = running.runtime.block_on(running.world.held.write());
    let mut waiting = [running.connect(), running.connect()];
    for connection in &mut waiting {
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n"));
    }
    let mut waits = 0;
    while waits < 2 {
        waits += running.world.calls().iter().filter(|call| matches!(call, Call::Wait(..))).count();
        std::thread::yield_now();
    }
    let mut connection = running.connect();
    let answer = connection.ask("GET", &target, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "too_many_waiting"));
    assert!(answer.header("retry-after").is_some());
    let calls = running.world.calls();
    assert!(!calls.iter().any(|call| matches!(call, Call::Charge(_) | Call::Wait(..))), "{calls:?}");
    let metrics = running.connect_admin().ask("GET", "/metrics", "").body;
    assert!(metrics.contains("rollcall_long_polls_waiting"), "{metrics}");
    drop(held);
    for connection in &mut waiting {
        assert_eq!(connection.answer().status(), 200);
    }
    assert_eq!(connection.ask("GET", &target, GOOD).status(), 200, "their places are free again");
}

//! `GET /clients/{client-id}/presence`: what is known of one client.

use crate::fakes::{Call, GOOD, start};
use rollcall_contracts::{ConnectPermission, KnownClient, StatusError};
use rollcall_presence::ClientFacts;
use rollcall_types::{ClientId, ClusterTime, DisconnectReason, Epoch, NodeId, NodeName, Protocol};

const PATH: &str = "/clients/VIN0000001/presence";

pub(crate) fn known(id: &str) -> KnownClient {
    let facts = ClientFacts {
        client_id: ClientId::new(id).unwrap(),
        epoch: Epoch(42),
        node: Some(NodeId(1)),
        since: ClusterTime(1_764_000_000_123),
        ended: None,
        username: "ann".into(),
        protocol: Protocol::V5,
        keep_alive_s: 60,
    };
    KnownClient { facts, node: Some(NodeName("n1".into())) }
}

fn parsed(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap()
}

#[test]
fn an_online_client_is_told_with_all_that_is_known() {
    let running = start();
    running.world.known_clients.lock().unwrap().insert("VIN0000001".into(), known("VIN0000001"));
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let expected = serde_json::json!({
        "client_id": "VIN0000001", "online": true, "epoch": 42, "node": "n1", "since": 1_764_000_000_123_u64,
        "last_disconnect": null, "username": "ann", "protocol_version": 5, "keep_alive": 60,
        "partition": 3, "index": 41, "lease_ms": 5000, "half_open_bound_ms": 90_000,
    });
    assert_eq!(parsed(&answer.body), expected);
    let order = [Call::MayConnect(None), Call::Charge(1), Call::Presence("VIN0000001".into())];
    assert_eq!(running.world.calls()[2..], order);
}

#[test]
fn an_offline_client_says_when_and_why_and_has_no_node() {
    let running = start();
    let mut client = known("a/b");
    client.facts =
        ClientFacts { ended: Some(DisconnectReason::NodeLost), username: "".into(), keep_alive_s: 0, ..client.facts };
    running.world.known_clients.lock().unwrap().insert("a/b".into(), client);
    let body = parsed(&running.connect().ask("GET", "/clients/a%2Fb/presence", GOOD).body);
    let end = serde_json::json!({ "at": 1_764_000_000_123_u64, "reason": "node_lost" });
    assert_eq!((&body["online"], &body["last_disconnect"]), (&false.into(), &end));
    let unknown = serde_json::Value::Null;
    assert_eq!((&body["node"], &body["username"], &body["half_open_bound_ms"]), (&unknown, &unknown, &unknown));
    assert_eq!(body["client_id"], "a/b");
}

#[test]
fn a_client_never_seen_is_offline_and_nothing_else_is_known() {
    let running = start();
    let body = parsed(&running.connect().ask("GET", PATH, GOOD).body);
    for unknown in ["epoch", "node", "since", "last_disconnect", "username", "protocol_version", "keep_alive"] {
        assert!(body.as_object().unwrap().contains_key(unknown) && body[unknown].is_null(), "{unknown}");
    }
    assert_eq!((&body["online"], &body["index"]), (&false.into(), &41.into()));
}

#[test]
fn refusals_are_those_of_the_status_query() {
    let running = start();
    let mut connection = running.connect();
    assert_eq!(connection.ask("GET", PATH, "").problem_code(), "unauthorized");
    assert_eq!(connection.ask("GET", "/clients//presence", GOOD).problem_code(), "bad_client_id");
    assert_eq!(connection.ask("GET", "/clients/%zz/presence", GOOD).problem_code(), "bad_client_id");
    assert_eq!(connection.ask("GET", "/clients/a/b/presence", GOOD).status(), 404);
    let answer = connection.ask("POST", PATH, GOOD);
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    *running.world.otherwise.lock().unwrap() = Err(StatusError::NoQuorum);
    let answer = connection.ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "no_quorum"));
    assert!(!answer.body.contains("online"));
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    assert_eq!(connection.ask("GET", PATH, GOOD).status(), 403);
}

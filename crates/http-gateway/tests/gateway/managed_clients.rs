//! Clients on the management API: lists, what is known of one, kicks, and the stream of presence.

use crate::{
    fakes::{Call, GOOD, Running, start},
    presence::known,
    raw_http::Connection,
};
use rollcall_contracts::{ClientsPage, ClientsQuestion, ControlError, HeldSubscription, Role, StatusError};
use rollcall_presence::OwedWill;
use rollcall_types::{ClientId, ClusterTime, Message, MessageProperties, NodeName, QoS, Will};
use serde_json::{Value, json};
use std::num::NonZeroU32;

fn running_as(role: Role) -> (Running, Connection) {
    let running = start();
    *running.world.role.lock().unwrap() = role;
    let connection = running.connect_admin();
    (running, connection)
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

fn kicks(running: &Running) -> Vec<(String, bool)> {
    let kick = |call| match call {
        Call::Kick(id, and_session) => Some((id, and_session)),
        _ => None,
    };
    running.world.calls().into_iter().filter_map(kick).collect()
}

#[test]
fn the_cluster_is_told_with_its_leader_and_its_members() {
    let (_running, mut connection) = running_as(Role::Viewer);
    let cluster = parsed(&connection.ask("GET", "/api/v1/cluster", GOOD).body);
    assert_eq!(cluster["members"][0]["name"], "n4");
    let facts = json!({
        "name": "main", "id": "0123456789abcdef0123456789abcdef", "version": env!("CARGO_PKG_VERSION"), "node": "n4",
        "leader": "n4", "partitions": 1, "replicas": 1, "lease_ms": 4000, "formed_at": 1_000_000,
        "members": cluster["members"],
    });
    assert_eq!(cluster, facts);
}

#[test]
fn a_viewer_lists_clients_as_the_data_plane_does_without_a_charge() {
    let (running, mut connection) = running_as(Role::Viewer);
    let next = Some(ClientId::new("b").unwrap());
    *running.world.page.lock().unwrap() = ClientsPage { clients: vec![known("a")], next };
    let target = "/api/v1/clients?prefix=a&node=n4&username=ann&online=true&limit=1";
    let page = parsed(&connection.ask("GET", target, GOOD).body);
    assert_eq!((&page["clients"][0]["client_id"], &page["clients"][0]["online"]), (&json!("a"), &json!(true)));
    let question = ClientsQuestion {
        prefix: "a".into(),
        node: Some(NodeName("n4".into())),
        username: Some("ann".into()),
        online: Some(true),
        limit: 1,
        ..ClientsQuestion::default()
    };
    let calls = running.world.calls();
    assert!(calls.contains(&Call::Clients(question)), "{calls:?}");
    let free = |call: &Call| !matches!(call, Call::Charge(_) | Call::MayConnect(_));
    assert!(calls.iter().all(free), "{calls:?}");
    let on = format!("{target}&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(connection.ask("GET", &on, GOOD).status(), 200);
    for bad in ["limit=0", "client_id=a", "online=maybe", "cursor=x", "node=nowhere"] {
        assert_eq!(connection.ask("GET", &format!("/api/v1/clients?{bad}"), GOOD).status(), 400, "{bad}");
    }
}

#[test]
fn one_client_is_told_whole_and_one_never_seen_is_not_there() {
    let (running, mut connection) = running_as(Role::Viewer);
    running.world.known_clients.lock().unwrap().insert("a/b".into(), known("a/b"));
    let client = parsed(&connection.ask("GET", "/api/v1/clients/a%2Fb", GOOD).body);
    assert_eq!(
        (&client["client_id"], &client["epoch"], &client["lease_ms"]),
        (&json!("a/b"), &json!(42), &json!(5000))
    );
    let never = connection.ask("GET", "/api/v1/clients/never", GOOD);
    assert_eq!((never.status(), never.problem_code().as_str()), (404, "unknown_client"));
    assert_eq!(connection.ask("GET", "/api/v1/clients/%00", GOOD).problem_code(), "bad_client_id");
}

#[test]
fn an_operator_kicks_and_it_is_on_record_before_it_is_done() {
    let (running, mut connection) = running_as(Role::Operator);
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/a%2Fb", GOOD).status(), 204);
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c?delete_session=true", GOOD).status(), 204);
    assert_eq!(kicks(&running), [("a/b".to_owned(), false), ("c".to_owned(), true)]);
    let audit = parsed(&connection.ask("GET", "/api/v1/audit", GOOD).body);
    let told = |place: usize| (audit["audit"][place]["action"].clone(), audit["audit"][place]["object"].clone());
    assert_eq!(told(0), (json!("delete_session"), json!("c")));
    assert_eq!(told(1), (json!("kick_client"), json!("a/b")));
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c?delete_session=yes", GOOD).status(), 400);
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c?and=x", GOOD).status(), 400);
    for (error, status, code) in [
        (ControlError::NotConnected, 404, "not_connected"),
        (ControlError::Unavailable { may_have_happened: true }, 503, "unconfirmed"),
        (ControlError::Unavailable { may_have_happened: false }, 503, "not_applied"),
    ] {
        *running.world.controlled.lock().unwrap() = Err(error);
        let answer = connection.ask("DELETE", "/api/v1/clients/c", GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code));
    }
    kicks(&running);
    *running.world.cut_off.lock().unwrap() = true;
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c", GOOD).problem_code(), "no_quorum");
    assert_eq!(kicks(&running), [], "what cannot be recorded is not done");
    *running.world.role.lock().unwrap() = Role::Viewer;
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c", GOOD).problem_code(), "role_too_low");
}

#[test]
fn subscriptions_are_listed_made_and_taken_with_their_options() {
    let (running, mut connection) = running_as(Role::Operator);
    let list = parsed(&connection.ask("GET", "/api/v1/clients/c/subscriptions", GOOD).body);
    let held = json!({"filter": "$share/g/a/#", "qos": 2, "no_local": false, "retain_as_published": true, "subscription_id": 7});
    assert_eq!(list, json!({"subscriptions": [held]}));
    running.world.calls();
    let body = r#"{"filter":"a/+","qos":1,"no_local":true,"subscription_id":268435455}"#;
    let made = connection.put("POST", "/api/v1/clients/c%2F1/subscriptions", GOOD, body);
    let shown = json!({"filter": "a/+", "qos": 1, "no_local": true, "retain_as_published": false, "subscription_id": 268_435_455});
    assert_eq!((made.status(), parsed(&made.body)), (201, shown));
    let again = connection.put("PUT", "/api/v1/clients/c/subscriptions/there%2Falready", GOOD, "{}");
    assert_eq!((again.status(), parsed(&again.body)["filter"].as_str()), (200, Some("there/already")));
    assert_eq!(connection.ask("DELETE", "/api/v1/clients/c/subscriptions/%24share%2Fg%2Fa", GOOD).status(), 204);
    let wanted = |filter: &str, qos, no_local, id| HeldSubscription {
        filter: filter.to_owned(),
        qos,
        no_local,
        retain_as_published: false,
        subscription_id: NonZeroU32::new(id),
    };
    let mut calls = running.world.calls();
    calls.retain(|call| matches!(call, Call::Subscribe(..) | Call::Unsubscribe(..)));
    let expected = [
        Call::Subscribe("c/1".into(), wanted("a/+", QoS::AtLeastOnce, true, 268_435_455)),
        Call::Subscribe("c".into(), wanted("there/already", QoS::AtMostOnce, false, 0)),
        Call::Unsubscribe("c".into(), "$share/g/a".into()),
    ];
    assert_eq!(calls, expected);
    for (body, status) in [
        ("{}", 400),
        (r#"{"filter":"a","more":1}"#, 400),
        (r#"{"filter":"a/#/b"}"#, 422),
        (r#"{"filter":"a","qos":3}"#, 422),
        (r#"{"filter":"a","subscription_id":0}"#, 422),
        (r#"{"filter":"a","subscription_id":268435456}"#, 422),
        (r#"{"filter":"$share/g/a","no_local":true}"#, 422),
    ] {
        let answer = connection.put("POST", "/api/v1/clients/c/subscriptions", GOOD, body);
        assert_eq!(answer.status(), status, "{body}");
    }
    assert_eq!(connection.put("PUT", "/api/v1/clients/c/subscriptions/a", GOOD, r#"{"filter":"b"}"#).status(), 422);
    for (error, status, code) in [
        (ControlError::NotConnected, 404, "not_connected"),
        (ControlError::NoSession, 404, "no_session"),
        (ControlError::NotSubscribed, 404, "not_subscribed"),
        (ControlError::NotAuthorized, 409, "client_not_authorized"),
        (ControlError::LimitReached, 409, "limit_reached"),
        (ControlError::NoAnswer(StatusError::NoQuorum), 503, "no_quorum"),
    ] {
        *running.world.controlled.lock().unwrap() = Err(error);
        let answer = connection.ask("DELETE", "/api/v1/clients/c/subscriptions/a", GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code));
    }
    let audit = parsed(&connection.ask("GET", "/api/v1/audit?limit=1", GOOD).body);
    assert_eq!((&audit["audit"][0]["action"], &audit["audit"][0]["detail"]), (&json!("unsubscribe"), &json!("a")));
}

#[test]
fn a_will_is_told_with_its_message_and_when_it_is_due() {
    let (running, mut connection) = running_as(Role::Viewer);
    let message = Message {
        topic: "w".into(),
        payload: vec![0xff, 0x00],
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties { user: vec![("k".into(), "v".into())], ..MessageProperties::default() },
    };
    let owed = OwedWill { will: Will { message: message.clone(), delay_s: 5 }, due: Some(ClusterTime(70)) };
    running.world.wills.lock().unwrap().insert("c".into(), owed);
    let will = parsed(&connection.ask("GET", "/api/v1/clients/c/will", GOOD).body);
    let expected = json!({
        "topic": "w", "payload_base64": "/wA=", "qos": 1, "retain": true, "delay_s": 5, "due_at": 70,
        "properties": {"user_properties": [{"name": "k", "value": "v"}]},
    });
    assert_eq!(will, expected);
    let text = Message { payload: b"gone".to_vec(), properties: MessageProperties::default(), ..message };
    let owed = OwedWill { will: Will { message: text, delay_s: 0 }, due: None };
    running.world.wills.lock().unwrap().insert("d".into(), owed);
    let will = parsed(&connection.ask("GET", "/api/v1/clients/d/will", GOOD).body);
    assert_eq!((&will["payload"], &will["due_at"], &will["properties"]), (&json!("gone"), &Value::Null, &json!({})));
    assert_eq!(connection.ask("GET", "/api/v1/clients/e/will", GOOD).problem_code(), "no_will");
}

#[test]
fn the_stream_of_presence_is_open_to_viewers() {
    let (running, mut connection) = running_as(Role::Client);
    assert_eq!(connection.ask("GET", "/api/v1/presence/events", GOOD).problem_code(), "role_too_low");
    *running.world.role.lock().unwrap() = Role::Viewer;
    assert_eq!(connection.ask("GET", "/api/v1/presence/events?kinds=x", GOOD).status(), 400);
    running.world.calls();
    connection.send(format!("GET /api/v1/presence/events?prefix=a HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n"));
    let head = connection.head();
    assert_eq!((head.status(), head.header("content-type")), (200, Some("text/event-stream")));
    let mut text = String::new();
    while !text.contains("event: position") {
        text.push_str(&String::from_utf8_lossy(&connection.chunk().unwrap().into_bytes()));
    }
    assert!(!running.world.calls().contains(&Call::Charge(1)));
}

//! Messages on the management API: topics, shared groups, retained messages, and publishing.

use crate::{
    fakes::{Call, GOOD, Running, start, start_with},
    raw_http::Connection,
};
use rollcall_contracts::{
    ControlError, Interest, InterestAt, InterestPage, InterestQuestion, InterestedMember, PublishError, Role,
};
use rollcall_http_gateway::{GatewayConfig, PublishLimits};
use rollcall_types::{ClientId, Message, MessageProperties, NodeId, QoS};
use serde_json::{Value, json};

fn running_as(role: Role) -> (Running, Connection) {
    let running = start();
    *running.world.role.lock().unwrap() = role;
    let connection = running.connect_admin();
    (running, connection)
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap()
}

fn message(topic: &str, payload: &[u8]) -> Message {
    Message {
        topic: topic.into(),
        payload: payload.to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties::default(),
    }
}

#[test]
fn topics_are_told_with_their_nodes_page_by_page() {
    let (running, mut connection) = running_as(Role::Viewer);
    let at =
        |node: Option<u64>, subscriptions| InterestAt { node: node.map(NodeId), subscriptions, members: Vec::new() };
    *running.world.interests.lock().unwrap() = InterestPage {
        interests: vec![Interest { filter: "a/+".into(), at: vec![at(None, 2), at(Some(9), 3)] }],
        next: Some("a/+".into()),
        silent: vec![NodeId(4)],
    };
    let page = parsed(&connection.ask("GET", "/api/v1/topics?prefix=a&after=a%2F%23&limit=1", GOOD).body);
    let nine = NodeId(9).to_string();
    let expected = json!({
        "topics": [{"filter": "a/+", "nodes": ["n4", nine], "subscriptions": 5}], "next": "a/+", "unanswered": ["n4"],
    });
    assert_eq!(page, expected);
    let asked = InterestQuestion { prefix: "a".into(), after: "a/#".into(), limit: 1, with_members: false };
    assert!(running.world.calls().contains(&Call::Interests(asked)));
    for bad in ["limit=0", "limit=1001", "filter=a"] {
        assert_eq!(connection.ask("GET", &format!("/api/v1/topics?{bad}"), GOOD).status(), 400, "{bad}");
    }
    *running.world.controlled.lock().unwrap() = Err(ControlError::Unavailable { may_have_happened: false });
    assert_eq!(connection.ask("GET", "/api/v1/topics", GOOD).status(), 503);
}

#[test]
fn shared_groups_are_told_with_their_members_and_lag() {
    let (running, mut connection) = running_as(Role::Viewer);
    let member = |id: &str, connected, lag| InterestedMember { client_id: ClientId::new(id).unwrap(), connected, lag };
    let at = InterestAt { node: None, subscriptions: 1, members: vec![member("c", true, 3), member("d", false, 4)] };
    let interests = vec![Interest { filter: "$share/g/a/#".into(), at: vec![at] }];
    *running.world.interests.lock().unwrap() = InterestPage { interests, ..InterestPage::default() };
    let page = parsed(&connection.ask("GET", "/api/v1/shared-groups?prefix=g", GOOD).body);
    let members = json!([
        {"client_id": "c", "node": "n4", "connected": true, "lag": 3},
        {"client_id": "d", "node": "n4", "connected": false, "lag": 4},
    ]);
    let group = json!({"group": "g", "filter": "a/#", "members": members, "more_members": false, "lag": 7});
    assert_eq!(page, json!({"shared_groups": [group], "next": null, "unanswered": []}));
    let asked = InterestQuestion { prefix: "$share/g".into(), limit: 100, with_members: true, ..Default::default() };
    assert!(running.world.calls().contains(&Call::Interests(asked)));
}

#[test]
fn retained_messages_are_listed_read_and_deleted() {
    let (running, mut connection) = running_as(Role::Operator);
    let topics = ["a", "b", "b/1", "c", "c/1"];
    running.world.retained.lock().unwrap().extend(topics.map(|topic| message(topic, topic.as_bytes())));
    let mut listed = Vec::new();
    let mut target = "/api/v1/retained?limit=3".to_owned();
    loop {
        let page = parsed(&connection.ask("GET", &target, GOOD).body);
        let topics = page["retained"].as_array().unwrap().iter().map(|one| one["topic"].as_str().unwrap().to_owned());
        listed.push(topics.collect::<Vec<_>>());
        let Some(cursor) = page["cursor"].as_str() else { break };
        target = format!("/api/v1/retained?limit=3&cursor={cursor}");
    }
    assert_eq!(listed, [vec!["a", "b", "b/1"], vec!["c", "c/1"]]);
    let below = parsed(&connection.ask("GET", "/api/v1/retained?prefix=b%2F", GOOD).body);
    assert_eq!(below["retained"].as_array().unwrap().len(), 1);
    let one = parsed(&connection.ask("GET", "/api/v1/retained/b%2F1", GOOD).body);
    assert_eq!(one, json!({"topic": "b/1", "payload": "b/1", "qos": 1, "retain": true, "properties": {}}));
    assert_eq!(connection.ask("DELETE", "/api/v1/retained/b%2F1", GOOD).status(), 204);
    assert_eq!(connection.ask("DELETE", "/api/v1/retained/b%2F1", GOOD).problem_code(), "no_retained_message");
    assert_eq!(connection.ask("GET", "/api/v1/retained/b%2F1", GOOD).problem_code(), "no_retained_message");
    assert_eq!(connection.ask("GET", "/api/v1/retained/%2B", GOOD).problem_code(), "bad_topic");
    let audit = parsed(&connection.ask("GET", "/api/v1/audit", GOOD).body);
    assert_eq!((audit["audit"].as_array().unwrap().len(), &audit["audit"][0]["object"]), (1, &json!("b/1")));
    for bad in ["filter=%24share%2Fg%2Fa", "filter=a%23", "cursor=x", "limit=1001", "topic=a"] {
        assert_eq!(connection.ask("GET", &format!("/api/v1/retained?{bad}"), GOOD).status(), 400, "{bad}");
    }
}

#[test]
fn an_operator_publishes_text_and_bytes_with_all_that_mqtt_has() {
    let (running, mut connection) = running_as(Role::Operator);
    let body = json!({
        "topic": "a/b", "payload": "hi", "qos": 2, "retain": true, "client_id": "ops",
        "properties": {
            "payload_format_indicator": 1, "message_expiry_interval": 60, "content_type": "text/plain",
            "response_topic": "r", "correlation_data_base64": "/wA=", "user_properties": [{"name": "k", "value": "v"}],
        },
    });
    let answer = connection.put("POST", "/api/v1/messages", GOOD, &body.to_string());
    assert_eq!((answer.status(), answer.body.as_str()), (200, r#"{"matched":true}"#));
    let bytes = r#"{"topic":"x","payload_base64":"/wA="}"#;
    assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, bytes).status(), 200);
    let properties = MessageProperties {
        utf8_payload: true,
        expiry_s: Some(60),
        content_type: Some("text/plain".into()),
        response_topic: Some("r".into()),
        correlation_data: Some(vec![0xff, 0]),
        user: vec![("k".into(), "v".into())],
    };
    let first = Message { qos: QoS::ExactlyOnce, properties, ..message("a/b", b"hi") };
    let second = Message { qos: QoS::AtMostOnce, retain: false, ..message("x", &[0xff, 0]) };
    let published = |call| matches!(call, Call::Publish(..)).then_some(call);
    let calls: Vec<Call> = running.world.calls().into_iter().filter_map(published).collect();
    let expected = [
        Call::Publish("user0".into(), "ops".into(), first),
        Call::Publish("user0".into(), "management".into(), second),
    ];
    assert_eq!(calls, expected);
    *running.world.published.lock().unwrap() = Err(PublishError::NotAuthorized);
    assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, bytes).problem_code(), "not_authorized");
    for (body, status) in [
        ("{}", 400),
        ("x", 400),
        (r#"{"topic":"a","properties":{"other":1}}"#, 400),
        (r#"{"topic":"a","other":1}"#, 400),
        (r#"{"topic":"a/#"}"#, 400),
        (r#"{"topic":"a","client_id":""}"#, 400),
        (r#"{"topic":"a","payload":"a","payload_base64":"YQ=="}"#, 422),
        (r#"{"topic":"a","payload_base64":"!"}"#, 422),
        (r#"{"topic":"a","qos":3}"#, 422),
        (r#"{"topic":"a","properties":{"payload_format_indicator":2}}"#, 422),
        (r#"{"topic":"a","properties":{"response_topic":"+"}}"#, 422),
        (r#"{"topic":"a","properties":{"content_type":"\u0000"}}"#, 422),
        (r#"{"topic":"a","properties":{"user_properties":[{"name":"\u0000","value":""}]}}"#, 422),
    ] {
        assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, body).status(), status, "{body}");
    }
    *running.world.role.lock().unwrap() = Role::Viewer;
    assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, bytes).problem_code(), "role_too_low");
}

#[test]
fn a_payload_has_the_bound_of_all_messages() {
    let publish = PublishLimits { payload_bytes_max: 4, ..PublishLimits::default() };
    let running = start_with(GatewayConfig { publish, ..GatewayConfig::default() });
    *running.world.role.lock().unwrap() = Role::Operator;
    let mut connection = running.connect_admin();
    assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, r#"{"topic":"a","payload":"1234"}"#).status(), 200);
    assert_eq!(connection.put("POST", "/api/v1/messages", GOOD, r#"{"topic":"a","payload":"12345"}"#).status(), 413);
}

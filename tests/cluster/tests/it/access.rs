//! Users, policies and block rules are changed at one node, hold at once on all, and act on who is connected already.

use crate::events::{next_event, text, watcher};
use rollcall_test_cluster::config::{ADMIN, OPERATOR, USER};
use rollcall_test_cluster::http::{self, Response, basic};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Refused, Version};
use rollcall_test_cluster::{Cluster, deadline};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
/// A block rule's time, long enough to be seen at work.
const BLOCKED_S: u64 = 6;
const NOT_AUTHORIZED: u8 = 0x87;
const DISCONNECT: u8 = 14;

/// A call of the management API by an account.
fn call_as(
    cluster: &Cluster,
    (place, authorization): (usize, &str),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [&[("Authorization", authorization)], headers].concat();
    let target = format!("/api/v1/{path}");
    http::send_json(cluster.nodes[place].addresses.admin, method, &target, &headers, &body).unwrap()
}

fn call(cluster: &Cluster, place: usize, method: &str, path: &str, body: &Value) -> Response {
    call_as(cluster, (place, &basic(ADMIN.0, ADMIN.1)), method, path, &[], body)
}

fn read(response: &Response) -> Value {
    serde_json::from_str(&response.text()).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// The next event of this kind about this client; others are passed over.
fn event_about(events: &mut Connection, kind: &str, client_id: &str) -> Value {
    let began = Instant::now();
    loop {
        let left = SOON.saturating_sub(began.elapsed());
        let (_, event) = next_event(events, left).unwrap_or_else(|| panic!("no {kind} of {client_id}"));
        if text(&event, "event") == kind && text(&event, "clientid") == client_id {
            return event;
        }
    }
}

/// The connection ends: in MQTT 5 with DISCONNECT 0x87 first, in MQTT 3 with nothing.
fn assert_closed(connection: &mut Connection) {
    let packets = connection.to_the_end(SOON).unwrap();
    let codes: Vec<(u8, Option<u8>)> =
        packets.iter().map(|packet| (packet.kind(), packet.body.first().copied())).collect();
    match connection.version() {
        Version::V5 => assert_eq!(codes, [(DISCONNECT, Some(NOT_AUTHORIZED))]),
        _ => assert_eq!(codes, []),
    }
}

fn refused(cluster: &Cluster, place: usize, connect: &Connect) -> Refused {
    match Connection::connect(cluster.nodes[place].addresses.mqtt, connect) {
        Ok(_) => panic!("{} was let in", connect.client_id),
        Err(refused) => refused,
    }
}

fn as_user(username: &str, password: &str, client_id: &str) -> Connect {
    Connect {
        username: Some(username.to_owned()),
        password: Some(password.to_owned()),
        ..Connect::new(Version::V5, client_id)
    }
}

#[test]
fn a_policy_changed_on_one_node_stops_a_subscription_on_another() {
    let cluster = Cluster::of_three();
    let mut events = watcher(&cluster, 2, "events", "$events/session_unsubscribed", 1);
    let mut reader = cluster.connect(1, "reader");
    reader.subscribe("home/#").unwrap();
    reader.subscribe("other/#").unwrap();
    let policy = json!({"effect": "deny", "actions": ["sub"], "resources": ["home/#"], "username": USER.0});
    let created = call(&cluster, 0, "PUT", "policies/no-home", &policy);
    assert_eq!(created.status, 201, "{}", created.text());
    let tag = created.header("etag").unwrap().to_owned();
    // At the end it changes nothing: the policy before it decides. In the first place it does.
    let moved = call(&cluster, 0, "PUT", "policies/no-home/place", &json!({"place": 0}));
    assert_eq!(moved.status, 204, "{}", moved.text());
    let event = event_about(&mut events, "session.unsubscribed", "reader");
    assert_eq!((text(&event, "topic"), text(&event, "node")), ("home/#", "n2"));

    let mut writer = cluster.connect(2, "writer");
    assert_eq!(writer.publish_acknowledged("home/1", b"secret", false).unwrap() & 0x80, 0);
    assert_eq!(writer.publish_acknowledged("other/1", b"free", false).unwrap(), 0);
    match reader.next(SOON) {
        Arrival::Packet(packet) => {
            assert_eq!(packet.publish(Version::V5), Some(("other/1".to_owned(), b"free".to_vec())));
        }
        other => panic!("{other:?}"),
    }
    let refusal = reader.subscribe("home/1").unwrap_err();
    assert!(refusal.contains("135"), "0x87 in SUBACK: {refusal}");

    let question = json!({"action": "sub", "topic": "home/1", "client_id": "reader", "username": USER.0});
    deadline::until("every node explains it alike", SOON, || {
        for place in 0..3 {
            let explained = read(&call(&cluster, place, "POST", "policies/explain", &question));
            let expected = json!({"allowed": false, "decided_by": "policy", "rule": "no-home"});
            if explained != expected {
                return Err(format!("n{}: {explained}", place + 1));
            }
        }
        Ok(())
    });
    // Changed for a state that is no more.
    let admin = basic(ADMIN.0, ADMIN.1);
    let path = "policies/no-home";
    let allow = json!({"effect": "allow", "actions": ["sub"], "resources": ["home/#"]});
    let changed = call_as(&cluster, (1, &admin), "PUT", path, &[("If-Match", &tag)], &allow);
    assert_eq!(changed.status, 200, "{}", changed.text());
    let late = call_as(&cluster, (2, &admin), "DELETE", path, &[("If-Match", &tag)], &Value::Null);
    assert_eq!((late.status, read(&late)["code"].as_str()), (412, Some("precondition_failed")));
    deadline::until("it is allowed again", SOON, || reader.subscribe("home/1"));
}

#[test]
fn a_block_rule_made_on_one_node_closes_clients_of_another_until_it_expires() {
    let cluster = Cluster::of_three();
    let mut events = watcher(&cluster, 0, "events", "$events/client_disconnected", 1);
    let bad = Connect::new(Version::V5, "bad-5");
    let bad_3 = Connect::new(Version::V311, "bad-3");
    let (mut new, mut old) = (cluster.connect_as(2, &bad), cluster.connect_as(2, &bad_3));
    let mut good = cluster.connect(2, "good");
    let rule = json!({"kind": "client_id", "include": "bad*", "expires_in_s": BLOCKED_S});
    let operator = basic(OPERATOR.0, OPERATOR.1);
    let made = call_as(&cluster, (0, &operator), "PUT", "block-rules/bad", &[], &rule);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_closed(&mut new);
    assert_closed(&mut old);
    let mut reasons = Vec::new();
    while reasons.len() < 2 {
        let (_, event) = next_event(&mut events, SOON).expect("an event");
        reasons.push((text(&event, "clientid").to_owned(), text(&event, "reason").to_owned()));
    }
    reasons.sort();
    let told = |id: &str| (id.to_owned(), "not_authorized".to_owned());
    assert_eq!(reasons, [told("bad-3"), told("bad-5")]);
    good.ping().unwrap();
    assert_eq!(refused(&cluster, 2, &bad), Refused::Code(NOT_AUTHORIZED));
    assert_eq!(refused(&cluster, 2, &bad_3), Refused::Code(5));
    deadline::until("the rule has expired", Duration::from_secs(BLOCKED_S) + SOON, || {
        Connection::connect(cluster.nodes[2].addresses.mqtt, &bad).map(|_| ()).map_err(|refused| format!("{refused:?}"))
    });
    let gone = call_as(&cluster, (1, &operator), "GET", "block-rules/bad", &[], &Value::Null);
    assert_eq!((gone.status, read(&gone)["code"].as_str()), (404, Some("unknown_block_rule")));
}

#[test]
fn a_deleted_user_is_closed_and_every_change_is_recorded() {
    let cluster = Cluster::of_three();
    let user = json!({"role": "client", "password": "a password"});
    let made = call(&cluster, 1, "PUT", "users/temp", &user);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(read(&made), json!({"username": "temp", "role": "client", "scram": false}));
    let connect = as_user("temp", "a password", "of-temp");
    let mut connection = deadline::until("the user is known everywhere", SOON, || {
        let to = cluster.nodes[2].addresses.mqtt;
        Connection::connect(to, &connect).map(|(connection, _)| connection).map_err(|refused| format!("{refused:?}"))
    });
    // It may change its own password, and nothing else.
    let own = basic("temp", "a password");
    let other = json!({"password": "another"});
    assert_eq!(call_as(&cluster, (2, &own), "PUT", "users/user0/password", &[], &other).status, 403);
    assert_eq!(call_as(&cluster, (2, &own), "GET", "users", &[], &Value::Null).status, 403);
    assert_eq!(call_as(&cluster, (2, &own), "PUT", "users/temp/password", &[], &other).status, 204);
    connection.ping().unwrap();

    assert_eq!(call(&cluster, 0, "DELETE", "users/temp", &Value::Null).status, 204);
    assert_closed(&mut connection);
    assert_eq!(refused(&cluster, 2, &as_user("temp", "another", "of-temp")), Refused::Code(0x86));
    assert_eq!(read(&call(&cluster, 0, "DELETE", "users/temp", &Value::Null))["code"], "unknown_user");
    assert_eq!(read(&call(&cluster, 0, "DELETE", "users/admin0", &Value::Null))["code"], "last_admin");

    // A token made on one node counts on the others, for its role.
    let issued = read(&call(&cluster, 0, "POST", "tokens", &json!({"role": "viewer", "remark": "dashboard"})));
    let bearer = format!("Bearer {}", issued["token"].as_str().unwrap());
    let listed = deadline::until("the token counts everywhere", SOON, || {
        let listed = call_as(&cluster, (2, &bearer), "GET", "users", &[], &Value::Null);
        if listed.status == 200 { Ok(listed) } else { Err(listed.text()) }
    });
    let names: Vec<Value> = read(&listed)["users"].as_array().unwrap().iter().map(|u| u["username"].clone()).collect();
    assert_eq!(names, ["admin0", "nobody", "operator0", "user0"]);
    assert!(!listed.text().contains("argon2"), "{}", listed.text());
    assert_eq!(call_as(&cluster, (2, &bearer), "PUT", "users/x", &[], &user).status, 403);
    let token = format!("tokens/{}", issued["id"].as_str().unwrap());
    assert_eq!(call(&cluster, 2, "DELETE", &token, &Value::Null).status, 204);
    deadline::until("the token counts no more", SOON, || {
        match call_as(&cluster, (1, &bearer), "GET", "users", &[], &Value::Null).status {
            401 => Ok(()),
            other => Err(other.to_string()),
        }
    });

    let audit = deadline::until("every node has the record", SOON, || {
        let audit = read(&call(&cluster, 1, "GET", "audit?limit=3", &Value::Null));
        if audit["audit"][0]["action"] == "delete_token" { Ok(audit) } else { Err(audit.to_string()) }
    });
    let lines: Vec<(&str, &str, &str, &str)> = audit["audit"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(one, "by"), text(one, "node"), text(one, "action"), text(one, "source")))
        .collect();
    let here = "127.0.0.1";
    assert_eq!(
        lines,
        [
            ("admin0", "n3", "delete_token", here),
            ("admin0", "n1", "add_token", here),
            ("admin0", "n1", "delete_user", here)
        ]
    );
    let older = read(&call(&cluster, 1, "GET", &format!("audit?before={}", audit["next"]), &Value::Null));
    let actions: Vec<&str> = older["audit"].as_array().unwrap().iter().map(|one| text(one, "action")).collect();
    assert_eq!((actions, text(&older["audit"][0], "by")), (vec!["set_user_password", "put_user"], "temp"));
}

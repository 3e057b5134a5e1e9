//! What operators do to clients and nodes, asked for on any node.

use rollcall_test_cluster::config::{ADMIN, OPERATOR};
use rollcall_test_cluster::http::{self, Response, basic};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, binary, deadline};
use serde_json::{Value, json};
use std::{process::Command, time::Duration};

const ALL: [usize; 3] = [0, 1, 2];
const SOON: Duration = Duration::from_secs(10);
const DISCONNECT: u8 = 14;

fn call(cluster: &Cluster, place: usize, method: &str, path: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let authorization = basic(OPERATOR.0, OPERATOR.1);
    let target = format!("/api/v1/{path}");
    let to = cluster.nodes[place].addresses.admin;
    http::send_json(to, method, &target, &[("Authorization", &authorization)], &body).unwrap()
}

fn get(cluster: &Cluster, place: usize, path: &str) -> Value {
    let answer = call(cluster, place, "GET", path, &Value::Null);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    serde_json::from_str(&answer.text()).unwrap()
}

/// Standard output and exit code of an operator's verb.
fn rollcall(cluster: &Cluster, place: usize, account: (&str, &str), arguments: &[&str]) -> (String, Option<i32>) {
    let output = Command::new(binary::rollcall())
        .args(arguments)
        .env("ROLLCALL_ADMIN_URL", format!("http://{}", cluster.nodes[place].addresses.admin))
        .env("ROLLCALL_USER", account.0)
        .env("ROLLCALL_PASSWORD", account.1)
        .env("ROLLCALL_NEW_PASSWORD", "secret9")
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// The next message of a client.
fn message(client: &mut Connection) -> (String, Vec<u8>) {
    match client.next(SOON) {
        Arrival::Packet(packet) => packet.publish(client.version()).unwrap_or_else(|| panic!("{packet:?}")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_is_seen_changed_and_kicked_from_any_node() {
    let cluster = Cluster::of_three();
    for place in ALL {
        let (id, asked) = (format!("kicked/{place}"), (place + 1) % 3);
        let path = format!("clients/kicked%2F{place}");
        let mut client = cluster.connect(place, &id);
        assert_eq!(get(&cluster, asked, &path)["online"], true);
        let listed = get(&cluster, asked, "clients?prefix=kicked%2F&online=true");
        assert_eq!(listed["clients"][0]["node"], format!("n{}", place + 1));
        let subscription = json!({"filter": "ops/+", "qos": 1});
        let made = call(&cluster, asked, "POST", &format!("{path}/subscriptions"), &subscription);
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(get(&cluster, (place + 2) % 3, &format!("{path}/subscriptions"))["subscriptions"][0]["qos"], 1);
        // Whatever is published afterwards on any node reaches it.
        let published =
            call(&cluster, asked, "POST", "messages", &json!({"topic": "ops/1", "payload": "hi", "qos": 0}));
        assert_eq!(published.status, 200, "{}", published.text());
        assert_eq!(message(&mut client), ("ops/1".to_owned(), b"hi".to_vec()));
        let topics = get(&cluster, asked, "topics?prefix=ops");
        assert_eq!(
            topics["topics"],
            json!([{"filter": "ops/+", "nodes": [format!("n{}", place + 1)], "subscriptions": 1}])
        );
        let taken = call(&cluster, asked, "DELETE", &format!("{path}/subscriptions/ops%2F+"), &Value::Null);
        assert_eq!(taken.status, 204, "{}", taken.text());
        assert_eq!(call(&cluster, asked, "DELETE", &path, &Value::Null).status, 204);
        let packets = client.to_the_end(SOON).unwrap();
        let codes: Vec<_> = packets.iter().map(|packet| (packet.kind(), packet.body.first().copied())).collect();
        assert_eq!(codes, [(DISCONNECT, Some(0x98))]);
        cluster.wait_online(&ALL, &id, false, SOON);
        assert_eq!(get(&cluster, asked, &path)["last_disconnect"]["reason"], "kicked");
        assert_eq!(call(&cluster, asked, "DELETE", &path, &Value::Null).status, 404, "it is not connected any more");
    }
    let audit = get(&cluster, 0, "audit?limit=1000");
    let kicks = audit["audit"].as_array().unwrap().iter().filter(|record| record["action"] == "kick_client");
    assert_eq!(kicks.count(), 6, "each was recorded before it was done");
}

#[test]
fn shared_groups_and_retained_messages_are_seen_from_any_node() {
    let cluster = Cluster::of_three();
    let mut members: Vec<_> = ALL.iter().map(|place| cluster.connect(*place, &format!("member-{place}"))).collect();
    for member in &mut members {
        member.subscribe("$share/workers/jobs/#").unwrap();
    }
    for place in ALL {
        let groups = get(&cluster, place, "shared-groups");
        let group = &groups["shared_groups"][0];
        assert_eq!(
            (&group["group"], &group["filter"], &group["lag"]),
            (&json!("workers"), &json!("jobs/#"), &json!(0))
        );
        let mut nodes: Vec<_> =
            group["members"].as_array().unwrap().iter().map(|member| member["node"].as_str().unwrap()).collect();
        nodes.sort_unstable();
        assert_eq!(nodes, ["n1", "n2", "n3"], "asked of n{}", place + 1);
    }
    for (place, topic) in ["kept/a", "kept/b", "kept/c"].iter().enumerate() {
        let kept = json!({"topic": topic, "payload": topic, "qos": 1, "retain": true});
        assert_eq!(call(&cluster, place, "POST", "messages", &kept).status, 200);
    }
    for place in ALL {
        let listed = get(&cluster, place, "retained?filter=kept%2F%2B");
        assert_eq!(listed["retained"].as_array().unwrap().len(), 3 - place);
        let one = format!("retained/kept%2F{}", ["a", "b", "c"][place]);
        assert_eq!(get(&cluster, place, &one)["qos"], 1);
        assert_eq!(call(&cluster, place, "DELETE", &one, &Value::Null).status, 204);
        assert_eq!(call(&cluster, (place + 1) % 3, "GET", &one, &Value::Null).status, 404);
    }
}

/// Whether the node's readiness page says yes.
fn is_ready(cluster: &Cluster, place: usize) -> bool {
    let answer = http::request(cluster.nodes[place].addresses.admin, "GET", "/readyz", &[]);
    answer.is_ok_and(|answer| answer.status == 200)
}

#[test]
fn a_drained_node_sends_its_clients_away_leads_nothing_and_answers_until_it_is_taken_back() {
    // Without a lease it has no part of a quota.
    let cluster = Cluster::start(Options { messages_per_second: 0, ..Options::default() });
    let drained = cluster.leader();
    let others = cluster.others(drained);
    let mut v5 = cluster.connect(drained, "moves");
    let mut v3 = cluster.connect_as(drained, &Connect::new(Version::V311, "closed"));
    let mut stays = cluster.connect(others[0], "stays");
    let path = format!("nodes/n{}/drain", drained + 1);
    let told = call(&cluster, others[1], "POST", &path, &Value::Null);
    assert_eq!(told.status, 202, "{}", told.text());
    let packets = v5.to_the_end(SOON).unwrap();
    assert_eq!(packets[0].body.first(), Some(&0x9d), "{packets:?}");
    let elsewhere = cluster.nodes[others[0]].addresses.mqtt.to_string();
    assert!(packets[0].body.windows(elsewhere.len()).any(|bytes| bytes == elsewhere.as_bytes()), "{packets:?}");
    assert_eq!(v3.to_the_end(SOON).unwrap(), []);
    cluster.wait_online(&ALL, "moves", false, SOON);
    deadline::until("it leads nothing", SOON, || match cluster.led_by(drained) {
        Ok(groups) if groups.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(!is_ready(&cluster, drained));
    assert_eq!(get(&cluster, drained, "nodes")["nodes"][drained]["draining"], true);
    cluster.assert_online(&ALL, "stays", true);
    stays.ping().unwrap();
    let authorization = basic(ADMIN.0, ADMIN.1);
    let refused = Connection::connect(cluster.nodes[drained].addresses.mqtt, &Connect::new(Version::V5, "late"));
    assert!(refused.is_err(), "it lets nobody in");
    // It is still one of those that vote, and reads and changes are answered.
    let block = json!({"kind": "client_id", "include": "nobody"});
    let to = cluster.nodes[drained].addresses.admin;
    let headers = [("Authorization", &*authorization)];
    let made = http::send_json(to, "PUT", "/api/v1/block-rules/b", &headers, &block.to_string()).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());

    assert_eq!(call(&cluster, others[0], "DELETE", &path, &Value::Null).status, 202);
    deadline::until("it serves again", Duration::from_secs(20), || match is_ready(&cluster, drained) {
        true => Ok(()),
        false => Err("not ready".to_owned()),
    });
    let mut back = cluster.connect(drained, "moves");
    back.ping().unwrap();
    cluster.assert_online(&ALL, "moves", true);
}

#[test]
fn the_operators_verbs_do_and_print_what_they_say() {
    let cluster = Cluster::of_three();
    let mut client = cluster.connect(0, "verb/1");
    let operator = |place, arguments: &[&str]| rollcall(&cluster, place, OPERATOR, arguments);
    let admin = |arguments: &[&str]| rollcall(&cluster, 2, ADMIN, arguments);
    let (listed, code) = operator(1, &["clients", "--prefix", "verb/", "--online"]);
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((code, &row[..5]), (Some(0), &["verb/1", "online", "n1", "user0", "5"][..]));
    let (json, _) = operator(1, &["clients", "--prefix", "verb/", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["client_id"], "verb/1");
    assert_eq!(operator(2, &["kick", "verb/1"]), ("verb/1: its connection is over\n".to_owned(), Some(0)));
    assert_eq!(client.to_the_end(SOON).unwrap().len(), 1);
    assert_eq!(operator(2, &["kick", "verb/1"]).1, Some(1), "it is gone");

    let (nodes, _) = operator(0, &["nodes"]);
    assert_eq!(nodes.lines().filter(|line| line.contains(" alive ")).count(), 3, "{nodes}");
    assert_eq!(admin(&["users", "add", "clerk", "--role", "viewer"]).1, Some(0));
    assert_eq!(admin(&["users", "add", "clerk"]).1, Some(1), "it keeps what it has");
    assert!(admin(&["users", "list"]).0.lines().any(|line| line.starts_with("clerk") && line.ends_with("viewer")));
    assert_eq!(rollcall(&cluster, 0, ("clerk", "secret9"), &["users", "list", "--json"]).1, Some(0));
    assert_eq!(admin(&["users", "remove", "clerk"]).1, Some(0));
    assert_eq!(operator(0, &["users", "add", "other"]).1, Some(1), "an operator has no say in that");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policies.json");
    std::fs::write(&file, r#"[{"name":"no-home","effect":"deny","actions":["sub"],"resources":["home/#"]}]"#).unwrap();
    assert_eq!(admin(&["policies", "set", file.to_str().unwrap()]), ("no-home is set\n".to_owned(), Some(0)));
    assert!(admin(&["policies", "list"]).0.lines().any(|line| line.starts_with("no-home")));
    let explain = ["policies", "explain", "sub", "home/1", "--client-id", "c", "--username", "user0"];
    let (explained, code) = admin(&explain);
    assert!(code == Some(0) && explained.contains("by policy"), "{explained}");
    assert_eq!(admin(&["policies", "remove", "no-home"]).1, Some(0));
    assert_eq!(admin(&["policies", "show", "no-home"]).1, Some(1));
}

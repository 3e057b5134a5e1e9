//! Members and partitions, and who may change them.

use crate::fakes::{Call, GOOD, basic, start};
use rollcall_contracts::Role;

#[test]
fn a_viewer_reads_members_and_partitions() {
    let running = start();
    *running.world.role.lock().unwrap() = Role::Viewer;
    let mut connection = running.connect_admin();
    let nodes = connection.ask("GET", "/api/v1/nodes", GOOD);
    assert_eq!((nodes.status(), nodes.header("content-type")), (200, Some("application/json")));
    assert_eq!(
        nodes.body,
        r#"{"nodes":[{"id":4,"name":"n4","zone":"a","mesh":"n4:7400","alive":true,"incarnation":2,"leaving":false,"draining":false,"partitions":3,"votes":true}]}"#
    );
    let partitions = connection.ask("GET", "/api/v1/partitions", GOOD);
    assert_eq!(
        partitions.body,
        r#"{"partitions":[{"partition":0,"replicas":[4,1],"leader":null,"moving":true,"lags":[null,7]}]}"#
    );
    assert_eq!(connection.ask("DELETE", "/api/v1/nodes/n4", GOOD).status(), 403);
    let quota = connection.ask("GET", "/api/v1/quota", GOOD);
    let parts = concat!(
        r#"[{"node":"n4","id":4,"granted":980,"demand":2000},"#,
        r#"{"node":null,"id":5,"granted":10,"demand":0}]"#
    );
    let messages = r#"{"name":"messages_per_second","limit":1000,"granted":990,"demand":2000,"nodes":"#;
    assert_eq!(quota.body, format!("{{\"burst_percent\":10,\"limits\":[{messages}{parts}}}]}}"));
}

#[test]
fn an_operator_tells_a_member_to_leave_and_hears_why_not() {
    let running = start();
    *running.world.role.lock().unwrap() = Role::Operator;
    let mut connection = running.connect_admin();
    let told = connection.ask("DELETE", "/api/v1/nodes/n4", GOOD);
    assert_eq!((told.status(), told.body.as_str()), (202, r#"{"leaving":true}"#));
    for (name, status, code) in
        [("x", 404, "unknown_node"), ("last", 409, "cannot_leave"), ("cut-off", 503, "no_quorum")]
    {
        let answer = connection.ask("DELETE", &format!("/api/v1/nodes/{name}"), GOOD);
        assert_eq!(answer.status(), status);
        assert!(answer.body.contains(&format!("\"code\":\"{code}\"")), "{}", answer.body);
    }
}

#[test]
fn an_operator_drains_a_member_and_takes_it_back() {
    let running = start();
    *running.world.role.lock().unwrap() = Role::Operator;
    let mut connection = running.connect_admin();
    let told = connection.ask("POST", "/api/v1/nodes/n4/drain", GOOD);
    assert_eq!((told.status(), told.body.as_str()), (202, r#"{"draining":true}"#));
    let back = connection.ask("DELETE", "/api/v1/nodes/n4/drain", GOOD);
    assert_eq!((back.status(), back.body.as_str()), (202, r#"{"draining":false}"#));
    let drains = |call| matches!(call, Call::Drain(..)).then_some(call);
    let calls: Vec<Call> = running.world.calls().into_iter().filter_map(drains).collect();
    assert_eq!(calls, [Call::Drain("n4".into(), true), Call::Drain("n4".into(), false)]);
    for (name, status, code) in
        [("x", 404, "unknown_node"), ("last", 409, "cannot_drain"), ("cut-off", 503, "no_quorum")]
    {
        let answer = connection.ask("POST", &format!("/api/v1/nodes/{name}/drain"), GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code));
    }
    assert_eq!(connection.ask("GET", "/api/v1/nodes/n4/drain", GOOD).header("allow"), Some("POST, DELETE"));
}

#[test]
fn the_description_and_its_page_are_open_to_everybody() {
    let running = start();
    let mut connection = running.connect_admin();
    let description = connection.ask("GET", "/api/v1/openapi.json", "");
    assert_eq!((description.status(), description.header("content-type")), (200, Some("application/json")));
    let document: serde_json::Value = serde_json::from_str(&description.body).unwrap();
    assert!(document["paths"]["/api/v1/clients/{client_id}"]["delete"].is_object());
    let page = connection.ask("GET", "/api/v1/", "");
    assert_eq!((page.status(), page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert_eq!(connection.ask("POST", "/api/v1/", "").header("allow"), Some("GET, HEAD"));
}

#[test]
fn nobody_else_gets_in() {
    let running = start();
    let mut connection = running.connect_admin();
    for path in ["/api/v1/nodes", "/api/v1/partitions", "/api/v1/quota"] {
        assert_eq!(connection.ask("GET", path, "").status(), 401);
        assert_eq!(connection.ask("GET", path, &basic("user0:wrong")).status(), 401);
        assert_eq!(connection.ask("GET", path, GOOD).status(), 403, "role client");
        assert_eq!(connection.ask("DELETE", path, GOOD).status(), 405);
    }
    for path in ["/api/v1", "/api/v1/nodes/", "/api/v1/nodes/a/b", "/api/v1/nothing"] {
        assert_eq!(connection.ask("GET", path, GOOD).status(), 404, "{path}");
    }
    assert_eq!(connection.ask("GET", "/api/v1/nodes/n4", GOOD).header("allow"), Some("DELETE"));
}

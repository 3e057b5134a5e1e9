//! Users, policies, block rules, tokens and the record of changes on the management API.

use crate::{
    fakes::{GOOD, Running, start},
    raw_http::{Answer, Connection},
};
use rollcall_contracts::Role;
use serde_json::{Value, json};

/// A gateway, and who asks as an administrator.
fn admin() -> (Running, Connection) {
    let running = start();
    *running.world.role.lock().unwrap() = Role::Admin;
    let connection = running.connect_admin();
    (running, connection)
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &str) -> Answer {
    connection.put(method, &format!("/api/v1/{path}"), GOOD, body)
}

fn with(connection: &mut Connection, header: &str, method: &str, path: &str, body: &str) -> Answer {
    connection.put(method, &format!("/api/v1/{path}"), &format!("{GOOD}{header}\r\n"), body)
}

fn read(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn refusal(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    (answer.status(), read(answer)["code"].as_str().unwrap().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn users_are_made_read_changed_and_deleted_and_no_hash_comes_out() {
    let (_running, mut connection) = admin();
    let made = call(&mut connection, "PUT", "users/gr%C3%B6%C3%9Fe%20x", r#"{"role":"viewer","password":"secret"}"#);
    assert_eq!((made.status(), read(&made)), (201, json!({"username": "größe x", "role": "viewer", "scram": false})));
    let again = call(&mut connection, "PUT", "users/gr%C3%B6%C3%9Fe%20x", r#"{"role":"operator"}"#);
    assert_eq!((again.status(), read(&again)["role"].as_str()), (200, Some("operator")));
    let kept = call(&mut connection, "PUT", "users/gr%C3%B6%C3%9Fe%20x", r#"{"password":"other"}"#);
    assert_eq!(read(&kept)["role"], "operator", "a new password alone leaves the role");
    let listed = call(&mut connection, "GET", "users", "");
    let expected = json!({"users": [
        {"username": "größe x", "role": "operator"},
        {"username": "root", "role": "admin"},
        {"username": "user0", "role": "client"},
    ], "next": null});
    assert_eq!(read(&listed), expected);
    let page = read(&call(&mut connection, "GET", "users?limit=1&after=gr%C3%B6%C3%9Fe+x", ""));
    assert_eq!(page, json!({"users": [{"username": "root", "role": "admin"}], "next": "root"}));
    assert_eq!(call(&mut connection, "PUT", "users/user0/password", r#"{"password":"new"}"#).status(), 204);
    assert_eq!(call(&mut connection, "DELETE", "users/user0", "").status(), 204);
    assert_eq!(refusal(&call(&mut connection, "DELETE", "users/user0", "")), refused(404, "unknown_user"));
    assert_eq!(refusal(&call(&mut connection, "GET", "users/user0", "")), refused(404, "unknown_user"));
    assert_eq!(refusal(&call(&mut connection, "DELETE", "users/root", "")), refused(409, "last_admin"));
    let audit = call(&mut connection, "GET", "audit", "");
    assert!(!audit.body.contains("$hash") && !audit.body.contains("secret"), "{}", audit.body);
    let actions: Vec<Value> =
        read(&audit)["audit"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
    assert_eq!(actions, ["delete_user", "set_user_password", "put_user", "set_user_role", "put_user"]);
    let last = &read(&audit)["audit"][0];
    assert_eq!(
        (&last["by"], &last["source"], &last["object"]),
        (&json!("user0"), &json!("127.0.0.1"), &json!("user0"))
    );
}

#[test]
fn a_password_brings_keys_for_scram_where_they_are_made_and_one_without_takes_them_away() {
    let (_running, mut connection) = admin();
    for (path, body, status, scram) in [
        ("users/dev", r#"{"password":"keyed one"}"#, 201, true),
        ("users/dev", r#"{"role":"viewer"}"#, 200, true),
        ("users/dev", r#"{"password":"other"}"#, 200, false),
        ("users/dev/password", r#"{"password":"keyed two"}"#, 204, true),
    ] {
        assert_eq!(call(&mut connection, "PUT", path, body).status(), status, "{path} {body}");
        assert_eq!(read(&call(&mut connection, "GET", "users/dev", ""))["scram"], scram, "{path} {body}");
    }
    let audit = call(&mut connection, "GET", "audit", "");
    assert!(audit.body.contains("set_scram_keys") && !audit.body.contains("keyed"), "{}", audit.body);
}

#[test]
fn bodies_that_cannot_be_used_are_refused_with_a_code() {
    let (_running, mut connection) = admin();
    for (method, path, body, status, code) in [
        ("PUT", "users/x", "", 400, "bad_json"),
        ("PUT", "users/x", r#"{"role":"king","password":"p"}"#, 400, "bad_json"),
        ("PUT", "users/x", r#"{"role":"client","pasword":"p"}"#, 400, "bad_json"),
        ("PUT", "users/x", r#"{"role":"client"}"#, 422, "invalid_user"),
        ("PUT", "users/x", r#"{"username":"y","password":"p"}"#, 422, "invalid_user"),
        ("PUT", "users/a:b", r#"{"password":"p"}"#, 422, "invalid_user"),
        ("PUT", "users/x", r#"{"password":""}"#, 422, "invalid_password"),
        ("PUT", "users/user0", "{}", 400, "bad_json"),
        ("PUT", "users/x/password", r#"{"password":"p"}"#, 404, "unknown_user"),
        ("PUT", "policies/p", r#"{"effect":"allow"}"#, 400, "bad_json"),
        ("PUT", "policies/p", r#"{"effect":"allow","actions":[]}"#, 422, "invalid_policy"),
        ("PUT", "policies/p", r#"{"effect":"allow","actions":["pub"],"resources":["a+"]}"#, 422, "invalid_policy"),
        ("PUT", "policies/p", r#"{"effect":"allow","actions":["pub"],"ip":"lab"}"#, 422, "invalid_policy"),
        ("PUT", "policies/p", r#"{"effect":"allow","actions":["pub"],"retain":4}"#, 400, "bad_json"),
        ("PUT", "policies/p/place", r#"{"place":0}"#, 404, "unknown_policy"),
        ("PUT", "block-rules/b", r#"{"kind":"colour","include":"x"}"#, 400, "bad_json"),
        ("PUT", "block-rules/b", r#"{"kind":"address","include":"x"}"#, 422, "invalid_block_rule"),
        ("PUT", "block-rules/b", r#"{"kind":"username","include":"x","expires_in_s":0}"#, 422, "invalid_expiry"),
        ("PUT", "block-rules/b", r#"{"kind":"username","include":"x","expires_at":1000000}"#, 422, "invalid_expiry"),
        ("POST", "tokens", r#"{"role":"client"}"#, 422, "invalid_token"),
        ("POST", "tokens", "{}", 400, "bad_json"),
        ("POST", "policies/explain", r#"{"action":"pub","topic":"t"}"#, 400, "bad_json"),
        ("GET", "users?limit=0", "", 400, "bad_parameter"),
        ("GET", "users?lmit=1", "", 400, "bad_parameter"),
        ("DELETE", "tokens/t9", "", 404, "unknown_token"),
        ("DELETE", "block-rules/b", "", 404, "unknown_block_rule"),
        ("PUT", "users", "{}", 405, "method_not_allowed"),
    ] {
        assert_eq!(
            refusal(&call(&mut connection, method, path, body)),
            refused(status, code),
            "{method} {path} {body}"
        );
    }
    let large = format!(r#"{{"password":"{}"}}"#, "x".repeat(64 * 1024));
    assert_eq!(refusal(&call(&mut connection, "PUT", "users/x", &large)).0, 413);
}

#[test]
fn policies_stand_in_order_and_conditions_hold() {
    let (_running, mut connection) = admin();
    let allow = r#"{"effect":"allow","actions":["pub","sub"],"resources":["home/${ClientId}/#"],"ip":"10.0.0.0/8"}"#;
    let made = with(&mut connection, "If-None-Match: *", "PUT", "policies/home", allow);
    assert_eq!(made.status(), 201, "{made:?}");
    let shown = json!({
        "name": "home", "effect": "allow", "actions": ["pub", "sub"], "resources": ["home/${ClientId}/#"],
        "client_id": null, "username": null, "ip": "10.0.0.0/8", "qos": [0, 1, 2], "retain": 3
    });
    assert_eq!(read(&made), shown);
    let tag = made.header("etag").unwrap().to_owned();
    let twice = with(&mut connection, "If-None-Match: *", "PUT", "policies/home", allow);
    assert_eq!(refusal(&twice), refused(412, "precondition_failed"));
    assert_eq!(call(&mut connection, "PUT", "policies/home", allow).status(), 200, "the same once more");
    let known = with(&mut connection, &format!("If-None-Match: {tag}"), "GET", "policies/home", "");
    assert_eq!((known.status(), known.body.as_str()), (304, ""));
    let deny = r#"{"effect":"deny","actions":["connect"]}"#;
    assert_eq!(call(&mut connection, "PUT", "policies/none", deny).status(), 201);
    assert_eq!(call(&mut connection, "PUT", "policies/none/place", r#"{"place":0}"#).status(), 204);
    let listed = read(&call(&mut connection, "GET", "policies", ""));
    let names: Vec<&Value> = listed["policies"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["none", "home"]);
    let changed = with(&mut connection, &format!("If-Match: {tag}"), "PUT", "policies/home", deny);
    assert_eq!(changed.status(), 200);
    let late = with(&mut connection, &format!("If-Match: {tag}"), "DELETE", "policies/home", "");
    assert_eq!(refusal(&late), refused(412, "precondition_failed"));
    let bad = with(&mut connection, "If-Match: home", "DELETE", "policies/home", "");
    assert_eq!(refusal(&bad), refused(400, "bad_precondition"));
    assert_eq!(with(&mut connection, "If-Match: *", "DELETE", "policies/home", "").status(), 204);
}

#[test]
fn a_question_is_explained() {
    let (_running, mut connection) = admin();
    let question = r#"{"action":"pub","topic":"t","client_id":"c","username":"u","retain":true}"#;
    let explained = call(&mut connection, "POST", "policies/explain", question);
    let expected = json!({"allowed": true, "decided_by": "policy", "rule": "u as Some(\"c\") t"});
    assert_eq!((explained.status(), read(&explained)), (200, expected));
    let claim = r#"{"action":"connect","acl":[{"permission":"allow","action":"publish"}]}"#;
    assert_eq!(refusal(&call(&mut connection, "POST", "policies/explain", claim)), refused(422, "invalid_acl"));
}

#[test]
fn block_rules_and_tokens_expire() {
    let (running, mut connection) = admin();
    let rule = r#"{"kind":"address","include":"192.0.2.0/24","excludes":["192.0.2.1"],"expires_in_s":60,"remark":"r"}"#;
    let made = call(&mut connection, "PUT", "block-rules/b", rule);
    let shown = json!({
        "name": "b", "kind": "address", "include": "192.0.2.0/24", "excludes": ["192.0.2.1"], "expires_at": 1_060_000,
        "remark": "r"
    });
    assert_eq!((made.status(), read(&made)), (201, shown));
    let issued = call(&mut connection, "POST", "tokens", r#"{"role":"operator","expires_at":1030000,"remark":"ci"}"#);
    let expected = json!({
        "token": "rct_t1_secret", "id": "t1", "role": "operator", "remark": "ci", "created_by": "user0",
        "created_at": 1_000_000, "expires_at": 1_030_000
    });
    assert_eq!((issued.status(), read(&issued)), (201, expected));
    let token = call(&mut connection, "GET", "tokens/t1", "");
    assert!(token.status() == 200 && !token.body.contains("secret") && !token.body.contains("hash"), "{token:?}");
    // The time comes with any change.
    let later = rollcall_cluster::ClusterCommand {
        at: rollcall_types::ClusterTime(1_060_000),
        change: rollcall_cluster::ClusterChange::DeletePolicy { name: "x".into() },
    };
    running.world.cluster.lock().unwrap().apply(rollcall_types::LogIndex(99), later);
    assert_eq!(read(&call(&mut connection, "GET", "block-rules", "")), json!({"block_rules": []}));
    assert_eq!(read(&call(&mut connection, "GET", "tokens", "")), json!({"tokens": []}));
    assert_eq!(refusal(&call(&mut connection, "GET", "tokens/t1", "")), refused(404, "unknown_token"));
}

#[test]
fn each_role_does_what_it_may() {
    let (running, mut connection) = admin();
    let set = |role| *running.world.role.lock().unwrap() = role;
    let rule = r#"{"kind":"username","include":"x"}"#;
    let policy = r#"{"effect":"deny","actions":["pub"]}"#;
    for (role, expected) in [
        (Role::Client, [403, 403, 403, 403, 403, 403]),
        (Role::Viewer, [200, 200, 403, 403, 403, 403]),
        (Role::Operator, [200, 200, 201, 403, 403, 403]),
        (Role::Admin, [200, 200, 200, 201, 201, 201]),
    ] {
        set(role);
        let got = [
            call(&mut connection, "GET", "audit", "").status(),
            call(&mut connection, "POST", "policies/explain", r#"{"action":"connect"}"#).status(),
            call(&mut connection, "PUT", "block-rules/b", rule).status(),
            call(&mut connection, "PUT", "policies/p", policy).status(),
            call(&mut connection, "PUT", "users/x", r#"{"password":"p"}"#).status(),
            call(&mut connection, "POST", "tokens", r#"{"role":"viewer"}"#).status(),
        ];
        assert_eq!(got, expected, "{role:?}");
    }
    // A user changes its own password, whatever its role; a token has none.
    set(Role::Client);
    assert_eq!(call(&mut connection, "PUT", "users/user0/password", r#"{"password":"p"}"#).status(), 204);
    assert_eq!(call(&mut connection, "PUT", "users/other/password", r#"{"password":"p"}"#).status(), 403);
    *running.world.bearer.lock().unwrap() = Some(("rct_t_s".into(), Role::Viewer));
    let bearer = "Authorization: Bearer rct_t_s\r\n";
    assert_eq!(connection.ask("GET", "/api/v1/users", bearer).status(), 200);
    assert_eq!(connection.put("PUT", "/api/v1/users/y", bearer, r#"{"password":"p"}"#).status(), 403);
    let wrong = connection.ask("GET", "/api/v1/users", "Authorization: Bearer rct_t_x\r\n");
    assert_eq!(refusal(&wrong), refused(401, "unauthorized"));
    let data_plane = running.connect().ask("GET", "/client-id/a/status", bearer);
    assert_eq!(data_plane.status(), 401, "a token is none of the data plane's");
}

#[test]
fn without_a_quorum_a_change_is_a_503() {
    let (running, mut connection) = admin();
    *running.world.cut_off.lock().unwrap() = true;
    let answer = call(&mut connection, "DELETE", "users/user0", "");
    assert_eq!(refusal(&answer), refused(503, "no_quorum"));
    assert!(answer.header("retry-after").is_some());
    *running.world.cluster.lock().unwrap() = rollcall_cluster::ClusterState::default();
    assert_eq!(refusal(&call(&mut connection, "GET", "users", "")), refused(503, "not_ready"));
}

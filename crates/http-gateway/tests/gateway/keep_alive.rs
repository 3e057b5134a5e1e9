//! `POST /keep-alive`: the change that is asked for, and every refusal.

use crate::fakes::{Call, GOOD, start, start_with};
use rollcall_contracts::{ConnectPermission, KeepAliveError, QueryRefusal, StatusError};
use rollcall_http_gateway::GatewayConfig;

const PATH: &str = "/keep-alive?client-id=car%2F1&interval=120";

#[test]
fn a_change_is_answered_with_exactly_these_bytes_and_costs_one() {
    let running = start();
    let answer = running.connect().post(PATH, GOOD, "");
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    assert_eq!(answer.body, r#"{"success": true, "keepalive": 120}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let change = Call::KeepAlive("car/1".to_owned(), 120);
    let expected = [Call::CachedBasic, Call::Authenticate, Call::MayConnect(None), Call::Charge(1), change];
    assert_eq!(running.world.calls(), expected);
}

#[test]
fn both_ends_of_the_range_and_the_common_parameters_are_taken() {
    let running = start();
    let mut connection = running.connect();
    for (interval, target) in [
        (30, "/keep-alive?interval=30&client-id=a&client_id=me"),
        (1200, "/keep-alive?client-id=a&interval=1200&username=x"),
    ] {
        let answer = connection.post(target, GOOD, "ignored");
        assert_eq!(answer.body, format!("{{\"success\": true, \"keepalive\": {interval}}}"));
        assert!(running.world.calls().contains(&Call::KeepAlive("a".to_owned(), interval)));
    }
}

#[test]
fn what_is_no_change_is_refused_with_the_reason_and_costs_nothing() {
    let running =
        start_with(GatewayConfig { keep_alive_max_s: 600, client_id_bytes_max: 20, ..GatewayConfig::default() });
    let mut connection = running.connect();
    let refused = [
        ("", 400, "bad_parameter", "client-id"),
        ("?interval=60", 400, "bad_parameter", "client-id"),
        ("?client-id=a", 400, "bad_parameter", "interval"),
        ("?client-id=a&interval=", 400, "bad_parameter", "interval"),
        ("?client-id=a&interval=0", 400, "bad_parameter", "30 to 1200"),
        ("?client-id=a&interval=29", 400, "bad_parameter", "30 to 1200"),
        ("?client-id=a&interval=1201", 400, "bad_parameter", "30 to 1200"),
        ("?client-id=a&interval=60.5", 400, "bad_parameter", "whole number"),
        ("?client-id=a&interval=%2B60", 400, "bad_parameter", "whole number"),
        ("?client-id=a&interval=601", 400, "bad_parameter", "keep_alive_max_s"),
        ("?client-id=a&interval=60&keepalive=1", 400, "bad_parameter", "the parameters are"),
        ("?client-id=&interval=60", 400, "bad_client_id", "empty"),
        ("?client-id=a%00&interval=60", 400, "bad_client_id", "U+0000"),
        ("?client-id=123456789012345678901&interval=60", 400, "bad_client_id", "too long"),
    ];
    for (query, status, code, says) in refused {
        let answer = connection.post(&format!("/keep-alive{query}"), GOOD, "");
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code), "{query}");
        assert!(answer.body.contains(says) && answer.body.contains(r#""success":false"#), "{query}: {}", answer.body);
    }
    assert!(!running.world.calls().iter().any(|call| matches!(call, Call::Charge(_) | Call::KeepAlive(..))));
}

#[test]
fn what_the_broker_says_has_its_status() {
    let running = start();
    let mut connection = running.connect();
    let refused = [
        (KeepAliveError::NotConnected, 404, "not_connected", None),
        (KeepAliveError::Off, 409, "no_keep_alive", None),
        (KeepAliveError::NoAnswer(StatusError::NoQuorum), 503, "no_quorum", Some(false)),
        (KeepAliveError::NoAnswer(StatusError::Busy), 503, "busy", Some(false)),
        (KeepAliveError::NoAnswer(StatusError::NotReady), 503, "not_ready", Some(false)),
        (KeepAliveError::Unavailable { may_have_happened: false }, 503, "not_applied", Some(false)),
        (KeepAliveError::Unavailable { may_have_happened: true }, 503, "unconfirmed", Some(true)),
    ];
    for (error, status, code, may_have_happened) in refused {
        *running.world.changed.lock().unwrap() = Err(error);
        let answer = connection.post(PATH, GOOD, "");
        assert_eq!((answer.status(), answer.problem_code().as_str()), (status, code));
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((body["success"].as_bool(), body["may_have_happened"].as_bool()), (Some(false), may_have_happened));
        assert_eq!(answer.header("retry-after").is_some(), status == 503, "{code}");
    }
    let metrics = running.connect_admin().ask("GET", "/metrics", "").body;
    assert!(metrics.contains("rollcall_http_calls_total{call=\"keep_alive\",code=\"409\"}"));
}

#[test]
fn who_may_not_ask_may_not_change_and_over_quota_nothing_is_changed() {
    let running = start();
    let mut connection = running.connect();
    let answer = connection.post(PATH, "", "");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (401, "unauthorized"));
    for method in ["GET", "HEAD", "PUT"] {
        let answer = connection.ask(method, PATH, GOOD);
        assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    *running.world.refusal.lock().unwrap() = Some(QueryRefusal::OverQuota { retry_after_s: 2 });
    let answer = connection.post(PATH, GOOD, "");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (429, "over_quota"));
    assert_eq!(answer.header("retry-after"), Some("2"));
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    let answer = connection.post(&format!("{PATH}&client_id=me"), GOOD, "");
    assert_eq!((answer.status(), answer.problem_code().as_str()), (403, "not_authorized"));
    let calls = running.world.calls();
    assert!(calls.contains(&Call::MayConnect(Some("me".into()))));
    assert!(!calls.iter().any(|call| matches!(call, Call::KeepAlive(..))));
}

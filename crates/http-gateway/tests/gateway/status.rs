//! The answer itself, and what is asked on the way to it.

use crate::fakes::{Call, GOOD, online, start};

const PATH: &str = "/client-id/VIN0000001/status";

#[test]
fn an_online_client_is_answered_with_exactly_these_bytes_and_headers() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Ok(online());
    let mut connection = running.connect();
    for method in ["GET", "POST"] {
        let answer = connection.ask(method, PATH, GOOD);
        assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
        assert_eq!(answer.body, r#"{"online":true}"#);
        let expected = [
            ("cache-control", "no-store"),
            ("content-length", "15"),
            ("content-type", "application/json"),
            ("rollcall-epoch", "9007199254740991"),
            ("rollcall-index", "18446744073709551615"),
            ("rollcall-node", "n1"),
            ("rollcall-partition", "5"),
        ];
        assert_eq!(answer.headers(), expected, "{method}");
    }
}

#[test]
fn a_client_never_seen_is_offline_without_epoch_or_node() {
    let running = start();
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.body.as_str()), (200, r#"{"online":false}"#));
    let expected = [
        ("cache-control", "no-store"),
        ("content-length", "16"),
        ("content-type", "application/json"),
        ("rollcall-index", "41"),
        ("rollcall-partition", "3"),
    ];
    assert_eq!(answer.headers(), expected);
}

#[test]
fn an_offline_client_keeps_its_epoch_and_names_no_node() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Ok(rollcall_contracts::StatusAnswer { online: false, ..online() });
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!(answer.body, r#"{"online":false}"#);
    assert_eq!(answer.header("rollcall-epoch"), Some("9007199254740991"));
    assert_eq!(answer.header("rollcall-node"), None);
}

#[test]
fn a_query_is_authenticated_then_permitted_then_charged_then_looked_up() {
    let running = start();
    let mut connection = running.connect();
    connection.ask("GET", PATH, GOOD);
    let rest = [Call::MayConnect(None), Call::Charge(1), Call::Status("VIN0000001".into())];
    assert_eq!(running.world.calls(), [&[Call::CachedBasic, Call::Authenticate], &rest[..]].concat());
    // Known now: the credentials are not verified again.
    connection.ask("POST", PATH, GOOD);
    assert_eq!(running.world.calls(), [&[Call::CachedBasic], &rest[..]].concat());
}

#[test]
fn head_is_a_query_without_the_body() {
    let running = start();
    *running.world.otherwise.lock().unwrap() = Ok(online());
    let mut connection = running.connect();
    let get = connection.ask("GET", PATH, GOOD);
    running.world.calls();
    let head = connection.ask("HEAD", PATH, GOOD);
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers(), get.headers());
    assert_eq!(running.world.looked_up(), ["VIN0000001"]);
    let unauthorized = connection.ask("HEAD", PATH, "");
    assert_eq!(unauthorized.status(), 401);
    assert!(unauthorized.header("www-authenticate").is_some());
    // Had a body followed, this answer would not be where it is.
    assert_eq!(connection.ask("GET", PATH, GOOD).body, r#"{"online":true}"#);
}

#[test]
fn options_names_the_methods_and_costs_nothing() {
    let running = start();
    let mut connection = running.connect();
    for target in [PATH, "*"] {
        let answer = connection.ask("OPTIONS", target, "");
        assert_eq!(answer.status(), 204, "{target}");
        assert_eq!(answer.headers(), [("allow", "GET, POST, HEAD, OPTIONS")]);
    }
    assert_eq!(running.world.calls(), []);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let running = start();
    let mut connection = running.connect();
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "BREW"] {
        let answer = connection.ask(method, PATH, GOOD);
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(answer.header("allow"), Some("GET, POST, HEAD, OPTIONS"));
        assert_eq!(answer.problem_code(), "method_not_allowed");
    }
    assert_eq!(running.world.calls(), []);
}

#[test]
fn other_paths_do_not_exist_and_say_what_does() {
    let running = start();
    let mut connection = running.connect();
    let paths = [
        "/",
        "/client-id",
        "/client-id/",
        "/client-id/status",
        "/client-id/x",
        "/client-id/x/status/",
        "/client-id/x/statuses",
        "/client-id/a/b/status",
        "/client-id/a//b/status",
        "//client-id/x/status",
        "/x/../client-id/x/status",
        "/Client-Id/x/status",
        "/healthz",
        "/readyz",
        "/metrics",
    ];
    for path in paths {
        let answer = connection.ask("GET", path, GOOD);
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.problem_code(), "not_found");
        assert!(answer.body.contains("/client-id/{client-id}/status"));
    }
    assert_eq!(running.world.calls(), []);
}

#[test]
fn an_absolute_target_is_understood() {
    let running = start();
    let answer = running.connect().ask("GET", "http://any.host:1/client-id/a%2Fb/status", GOOD);
    assert_eq!(answer.status(), 200);
    assert_eq!(running.world.looked_up(), ["a/b"]);
}

#[test]
fn the_parameter_client_id_is_checked_as_a_connect_of_that_id() {
    let running = start();
    let mut connection = running.connect();
    for (query, expected) in [
        ("", None),
        ("?", None),
        ("?other=1&client=2", None),
        ("?client_id=dev1", Some("dev1")),
        ("?x=1&client_id=a%2Bb+c%26d&y=2", Some("a+b c&d")),
        ("?client_id=%F0%9F%98%80", Some("😀")),
        ("?client_id=same&client_id=same", Some("same")),
    ] {
        assert_eq!(connection.ask("GET", &format!("{PATH}{query}"), GOOD).status(), 200, "{query}");
        let calls = running.world.calls();
        assert!(calls.contains(&Call::MayConnect(expected.map(str::to_owned))), "{query}: {calls:?}");
        assert!(calls.contains(&Call::Status("VIN0000001".into())));
    }
    for query in
        ["?client_id", "?client_id=", "?client_id=%", "?client_id=%ff", "?client_id=%00", "?client_id=a&client_id=b"]
    {
        let answer = connection.ask("GET", &format!("{PATH}{query}"), GOOD);
        assert_eq!(answer.status(), 400, "{query}");
        assert_eq!(answer.problem_code(), "bad_parameter");
        assert_eq!(running.world.looked_up(), [""; 0]);
    }
}

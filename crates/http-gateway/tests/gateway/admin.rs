//! Health, readiness, metrics.

use crate::fakes::{GOOD, start};

#[test]
fn healthz_says_that_the_process_works_whatever_readiness_says() {
    let running = start();
    running.world.readiness.lock().unwrap().not_ready = vec!["no quorum".into()];
    let answer = running.connect_admin().ask("GET", "/healthz", "");
    assert_eq!((answer.status(), answer.body.as_str()), (200, "ok"));
}

#[test]
fn readyz_gives_the_reasons_when_it_is_not() {
    let running = start();
    let mut connection = running.connect_admin();
    let ready = connection.ask("GET", "/readyz", "");
    assert_eq!((ready.status(), ready.body.as_str()), (200, r#"{"ready":true,"reasons":[]}"#));
    running.world.readiness.lock().unwrap().not_ready = vec!["no \"lease\"".into(), "not caught up".into()];
    let answer = connection.ask("GET", "/readyz?verbose", "");
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.body, r#"{"ready":false,"reasons":["no \"lease\"","not caught up"]}"#);
}

#[test]
fn metrics_are_prometheus_text_and_count_the_queries() {
    let running = start();
    let mut admin = running.connect_admin();
    let count = |text: &str, code: u16| -> u64 {
        let line = format!("rollcall_status_queries_total{{code=\"{code}\"}} ");
        text.lines().find_map(|known| known.strip_prefix(&line)).map_or(0, |value| value.parse().unwrap())
    };
    let before = admin.ask("GET", "/metrics", "").body;
    let mut connection = running.connect();
    for _ in 0..5 {
        connection.ask("GET", "/client-id/a/status", GOOD);
        connection.ask("GET", "/client-id/a/status", "");
        connection.ask("PUT", "/client-id/a/status", GOOD);
    }
    let answer = admin.ask("GET", "/metrics", "");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for code in [200, 401, 405] {
        // Other gateways of this process count in the same place.
        assert!(count(&answer.body, code) >= count(&before, code) + 5, "{code}: {}", answer.body);
    }
    assert!(answer.body.contains("\nrollcall_status_query_seconds"));
}

#[test]
fn the_admin_listener_has_nothing_else() {
    let running = start();
    let mut connection = running.connect_admin();
    for path in [
        "/console",
        "/console/",
        "/console/index.html",
        "/console/nothing.js",
        "/healthz/",
        "/client-id/a/status",
        "/api/v1/nothing",
    ] {
        let answer = connection.ask("GET", path, GOOD);
        assert_eq!((answer.status(), answer.problem_code().as_str()), (404, "not_found"), "{path}");
    }
    let head = connection.ask("HEAD", "/healthz", "");
    assert_eq!((head.status(), head.header("content-length")), (200, Some("2")));
    let post = connection.ask("POST", "/readyz", "");
    assert_eq!((post.status(), post.header("allow")), (405, Some("GET, HEAD")));
}

//! HTTP/1.0 and 1.1 connections: kept, pipelined, ended; bodies nobody asked for; slow clients; the end of it all.

use crate::fakes::{GOOD, World, loopback, offline, online, parts, start, start_with};
use rollcall_http_gateway::{Gateway, GatewayConfig, GatewayError, Listen};
use std::{net::TcpListener, net::TcpStream, time::Duration};

const PATH: &str = "/client-id/a/status";

#[test]
fn http_1_0_ends_the_connection_unless_asked_to_keep_it() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("GET {PATH} HTTP/1.0\r\n{GOOD}Connection: keep-alive\r\n\r\n"));
    let answer = connection.answer();
    assert_eq!(answer.status_line, "HTTP/1.0 200 OK");
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    assert_eq!(answer.body, r#"{"online":false}"#);
    connection.send(format!("POST {PATH} HTTP/1.0\r\n{GOOD}Content-Length: 2\r\n\r\nab"));
    assert_eq!(connection.answer().status_line, "HTTP/1.0 200 OK");
    assert!(connection.ends());
}

#[test]
fn http_1_1_keeps_the_connection_unless_asked_to_end_it() {
    let running = start();
    let mut connection = running.connect();
    for _ in 0..3 {
        assert_eq!(connection.ask("GET", PATH, GOOD).header("connection"), None);
    }
    let last = connection.ask("GET", PATH, &format!("{GOOD}Connection: close\r\n"));
    assert_eq!((last.status(), last.header("connection")), (200, Some("close")));
    assert!(connection.ends());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = start();
    running.world.answers.lock().unwrap().insert("on".into(), Ok(online()));
    running.world.answers.lock().unwrap().insert("off".into(), Ok(offline()));
    let mut connection = running.connect();
    let one = |id: &str| format!("GET /client-id/{id}/status HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n");
    let order: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
    connection.send(order.iter().map(|on| one(if *on { "on" } else { "off" })).collect::<String>());
    for on in order {
        assert_eq!(connection.answer().body, format!(r#"{{"online":{on}}}"#));
    }
}

#[test]
fn a_request_without_a_host_is_malformed() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("GET {PATH} HTTP/1.1\r\n{GOOD}\r\n"));
    assert_eq!(connection.answer().status(), 400);
    assert!(connection.ends());
}

#[test]
fn a_small_body_of_any_kind_is_ignored_and_the_connection_kept() {
    let running = start();
    let mut connection = running.connect();
    let plain = "z".repeat(64 * 1024);
    let bodies = [
        "Content-Length: 0\r\n\r\n".to_owned(),
        "Content-Length: 5\r\nContent-Type: application/json\r\n\r\n{\"a\":".to_owned(),
        format!("Content-Length: {}\r\n\r\n{plain}", plain.len()),
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_owned(),
    ];
    for method in ["POST", "GET"] {
        for body in &bodies {
            connection.send(format!("{method} {PATH} HTTP/1.1\r\nHost: x\r\n{GOOD}{body}"));
            let answer = connection.answer();
            assert_eq!((answer.status(), answer.header("connection")), (200, None), "{method} {body:.60}");
        }
    }
    connection
        .send(format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{GOOD}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(connection.head().status(), 100);
    connection.send("ok");
    assert_eq!(connection.answer().status(), 200);
}

#[test]
fn a_large_body_is_refused_and_ends_the_connection() {
    let running = start();
    let chunk = "8000\r\n".to_owned() + &"z".repeat(0x8000) + "\r\n";
    let bodies = [
        "Content-Length: 65537\r\n\r\n".to_owned(),
        "Content-Length: 18446744073709551615\r\n\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\n\r\n{chunk}{chunk}{chunk}"),
    ];
    for body in bodies {
        let mut connection = running.connect();
        connection.send(format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{GOOD}{body}"));
        let answer = connection.answer();
        assert_eq!((answer.status(), answer.problem_code().as_str()), (413, "body_too_large"), "{body:.60}");
        assert_eq!(running.world.looked_up(), [""; 0]);
    }
}

#[test]
fn an_upgrade_is_not_taken_and_the_question_answered() {
    let running = start();
    for upgrade in ["Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", "Upgrade: websocket\r\n"] {
        let mut connection = running.connect();
        let answer = connection.ask("GET", PATH, &format!("{GOOD}Connection: Upgrade\r\n{upgrade}"));
        assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")), "{upgrade}");
        assert!(connection.ends());
    }
}

#[test]
fn a_client_that_does_not_finish_its_request_head_is_cut() {
    let config = GatewayConfig { request_head_timeout: Duration::from_millis(200), ..GatewayConfig::default() };
    let running = start_with(config);
    let mut connection = running.connect();
    connection.send(format!("GET {PATH} HTTP/1.1\r\nHost:"));
    assert_eq!(connection.answer().status(), 408);
    assert!(connection.ends());
}

#[test]
fn an_idle_connection_is_ended() {
    let running = start_with(GatewayConfig { keep_alive: Duration::from_millis(200), ..GatewayConfig::default() });
    let mut connection = running.connect();
    assert_eq!(connection.ask("GET", PATH, GOOD).status(), 200);
    assert!(connection.ends());
}

#[test]
fn a_head_with_too_many_bytes_is_refused() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nX: {}", "x".repeat(140_000)));
    assert_eq!(connection.answer().status(), 431);
}

// B-155
#[test]
fn stopping_lets_a_request_in_progress_end_and_closes_idle_connections() {
    let running = start();
    let mut idle = running.connect();
    idle.ask("GET", PATH, GOOD);
    let held = running.runtime.block_on(running.world.held.write());
    let mut busy = running.connect();
    running.world.calls();
    busy.send(format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n"));
    let deadline = std::time::Instant::now() + crate::raw_http::DEADLINE;
    while running.world.looked_up().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the query never arrived");
        std::thread::yield_now();
    }
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| running.stop());
        // Idle connections end first, while the busy one is still held.
        assert!(idle.ends());
        drop(held);
        let answer = busy.answer();
        assert_eq!((answer.status(), answer.body.as_str()), (200, r#"{"online":false}"#));
        assert!(busy.ends());
        stopping.join().unwrap();
    });
    assert!(!running.gateway.is_running());
    assert!(TcpStream::connect(running.gateway.addresses().http.unwrap()).is_err());
    running.stop();
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = GatewayConfig { http: loopback(), admin: Some(address.into()), ..GatewayConfig::default() };
    match Gateway::start(config, parts(&World::new(), &runtime)) {
        Err(GatewayError::Listen { address: named, .. }) => assert_eq!(named, address),
        other => panic!("{:?}", other.err()),
    }
    let nothing = Gateway::start(GatewayConfig::default(), parts(&World::new(), &runtime));
    assert!(matches!(nothing, Err(GatewayError::NoListener)));
}

#[test]
fn a_listener_bound_by_somebody_else_is_served() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = GatewayConfig { http: Some(Listen::Listener(listener)), workers: 1, ..GatewayConfig::default() };
    let gateway = Gateway::start(config, parts(&World::new(), &runtime)).unwrap();
    assert_eq!(gateway.addresses().http, Some(address));
    assert_eq!(gateway.addresses().admin, None);
    assert_eq!(crate::raw_http::Connection::open(address).ask("GET", PATH, GOOD).status(), 200);
    runtime.block_on(gateway.stop());
}

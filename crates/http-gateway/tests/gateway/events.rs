//! `GET /presence/events`: streams of events.

use crate::{
    fakes::{Call, GOOD, Running, start, start_with},
    raw_http::Connection,
};
use rollcall_contracts::{ConnectPermission, QueryRefusal};
use rollcall_http_gateway::GatewayConfig;
use rollcall_types::DisconnectReason;
use serde_json::Value;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const PATH: &str = "/presence/events";
const GONE: Option<DisconnectReason> = Some(DisconnectReason::Normal);

/// One event of a stream.
#[derive(Clone, PartialEq, Debug)]
struct Event {
    id: Option<String>,
    kind: String,
    data: Value,
}

/// A reader of one stream.
struct Reader {
    connection: Connection,
    text: String,
}

impl Reader {
    /// Opens a stream and reads its head and its first event, which says where it begins.
    fn open(running: &Running, target: &str, headers: &str) -> (Reader, String) {
        let mut connection = running.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n{GOOD}{headers}\r\n"));
        let head = connection.head();
        assert_eq!(head.status(), 200, "{target}");
        let expected = [
            ("cache-control", "no-store"),
            ("content-type", "text/event-stream"),
            ("transfer-encoding", "chunked"),
            ("x-accel-buffering", "no"),
        ];
        assert_eq!(head.headers(), expected);
        let mut reader = Reader { connection, text: String::new() };
        let first = reader.next().unwrap();
        assert_eq!(first.kind, "position");
        (reader, first.id.unwrap())
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let end = loop {
            if let Some(end) = self.text.find("\n\n") {
                break end;
            }
            let Some(chunk) = self.connection.chunk() else {
                assert_eq!(self.text, "", "the stream ended within an event");
                return None;
            };
            self.text.push_str(&chunk);
        };
        let event: String = self.text.drain(..end + 2).collect();
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        Some(Event {
            id: field("id").map(str::to_owned),
            kind: field("event").unwrap().to_owned(),
            data: serde_json::from_str(field("data").unwrap()).unwrap(),
        })
    }

    /// The next event of a client: its kind and the client's id. What says only how far the stream is, is passed over.
    fn next_client(&mut self) -> (String, String) {
        let (kind, client, _) = self.next_client_with_id();
        (kind, client)
    }

    fn next_client_with_id(&mut self) -> (String, String, String) {
        loop {
            let event = self.next().expect("the stream ended");
            match event.kind.as_str() {
                "position" => {}
                "client_connected" | "client_disconnected" => {
                    let client = event.data["clientid"].as_str().unwrap().to_owned();
                    return (event.kind, client, event.id.unwrap());
                }
                other => panic!("{other}: {:?}", event.data),
            }
        }
    }

    fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next().expect("the stream ended");
            if event.kind == kind {
                return event;
            }
        }
    }
}

fn came(client: &str) -> (String, String) {
    ("client_connected".into(), client.into())
}

fn went(client: &str) -> (String, String) {
    ("client_disconnected".into(), client.into())
}

fn refused(running: &Running, target: &str, headers: &str) -> (u16, String) {
    let answer = running.connect().ask("GET", target, &format!("{GOOD}{headers}"));
    (answer.status(), answer.problem_code())
}

#[test]
fn a_stream_tells_what_comes_after_its_beginning_and_costs_one_query() {
    let running = start();
    running.world.feeds.apply(0, &[("before", None)]);
    let (mut reader, _) = Reader::open(&running, PATH, "");
    assert_eq!(running.world.calls()[2..], [Call::MayConnect(None), Call::Charge(1)]);
    running.world.feeds.apply(1, &[("a", None), ("a", Some(DisconnectReason::Takeovered)), ("a", None)]);
    running.world.feeds.apply(2, &[("b", None)]);
    assert_eq!([(); 4].map(|()| reader.next_client()), [came("a"), went("a"), came("a"), came("b")]);
    running.world.feeds.apply(1, &[("a", GONE)]);
    let last = reader.next().unwrap();
    assert_eq!((last.data["node"].as_str(), last.data["reason"].as_str()), (Some("n1"), Some("normal")));
    assert_eq!((last.data["partition"].as_u64(), last.data["index"].as_u64()), (Some(1), Some(2)));
}

#[test]
fn a_reader_that_comes_again_with_any_id_misses_nothing_and_sees_nothing_twice() {
    let running = start();
    let (reader, beginning) = Reader::open(&running, PATH, "");
    drop(reader);
    let mut all = Vec::new();
    for step in 0..12_u16 {
        let names: Vec<String> = (0..3).map(|ordinal| format!("c{step}.{ordinal}")).collect();
        let transitions: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        running.world.feeds.apply(step % 3, &transitions);
        all.extend(names);
    }
    all.sort();
    let mut ids = Vec::new();
    let mut reader = Reader::open(&running, &format!("{PATH}?from={beginning}"), "").0;
    while ids.len() < all.len() {
        let (_, client, id) = reader.next_client_with_id();
        ids.push((client, id));
    }
    for (place, (_, id)) in ids.iter().enumerate() {
        // Last-Event-ID counts more than the query, which a browser repeats as it was.
        let by_header = format!("Last-Event-ID: {id}\r\n");
        let (mut again, first) = Reader::open(&running, &format!("{PATH}?from={beginning}"), &by_header);
        assert_eq!(first, *id);
        let mut seen: Vec<String> = ids[..=place].iter().map(|(client, _)| client.clone()).collect();
        while seen.len() < all.len() {
            seen.push(again.next_client().1);
        }
        seen.sort();
        assert_eq!(seen, all, "after {place}");
    }
}

#[test]
fn filters_leave_out_the_others_and_the_position_moves_on_all_the_same() {
    let heartbeat = Duration::from_millis(100);
    let running = start_with(GatewayConfig { stream_heartbeat: heartbeat, ..GatewayConfig::default() });
    let (mut by_prefix, beginning) = Reader::open(&running, &format!("{PATH}?prefix=dev%2F"), "");
    let (mut by_id, _) = Reader::open(&running, &format!("{PATH}?client_id=dev%2F1"), "");
    let (mut by_kind, _) = Reader::open(&running, &format!("{PATH}?kinds=client_disconnected&prefix="), "");
    running.world.feeds.apply(0, &[("dev", None), ("dev/1", None), ("dev/10", None), ("x", None)]);
    running.world.feeds.apply(0, &[("dev/1", GONE), ("x", GONE)]);
    assert_eq!([(); 3].map(|()| by_prefix.next_client()), [came("dev/1"), came("dev/10"), went("dev/1")]);
    assert_eq!([(); 2].map(|()| by_id.next_client()), [came("dev/1"), went("dev/1")]);
    assert_eq!([(); 2].map(|()| by_kind.next_client()), [went("dev/1"), went("x")]);
    let may_watch_it = Call::MayConnect(Some("dev/1".into()));
    assert!(running.world.calls().contains(&may_watch_it), "who may connect as it may watch it");
    // Nothing that is wanted: the id moves on, and the entries need not be kept for this reader.
    running.world.feeds.apply(2, &[("y", None), ("y", GONE)]);
    let moved = loop {
        let position = by_prefix.next_of("position");
        if position.data["through"] == serde_json::json!([2, 0, 1]) {
            break position.id.unwrap();
        }
    };
    running.world.feeds.forget(0);
    running.world.feeds.forget(2);
    let (mut again, _) = Reader::open(&running, &format!("{PATH}?prefix=dev%2F&from={moved}"), "");
    running.world.feeds.apply(0, &[("dev/2", None)]);
    assert_eq!(again.next_client(), came("dev/2"));
    assert_eq!(refused(&running, &format!("{PATH}?from={beginning}"), ""), (410, "position_gone".into()));
}

#[test]
fn a_token_that_leads_nowhere_is_refused_and_says_why() {
    let running = start();
    running.world.feeds.apply(0, &[("a", None)]);
    let (reader, token) = Reader::open(&running, PATH, "");
    drop(reader);
    for bad in ["x", "", &token[1..], &token[..token.len() - 1]] {
        assert_eq!(refused(&running, &format!("{PATH}?from={bad}"), ""), (400, "bad_token".into()), "{bad}");
    }
    assert_eq!(refused(&running, PATH, "Last-Event-ID: x\r\n"), (400, "bad_token".into()));
    Reader::open(&running, PATH, "Last-Event-ID: \r\n");
    *running.world.feeds.history.lock().unwrap() = Some("another".into());
    assert_eq!(refused(&running, &format!("{PATH}?from={token}"), ""), (410, "other_history".into()));
    // The same history, but its log is not so far: nobody was told of such a place.
    let other = start();
    assert_eq!(refused(&other, &format!("{PATH}?from={token}"), ""), (410, "other_history".into()));
    for query in ["kinds=", "kinds=client_connected,x", "prefx=a", "client_id=", "from=a&from=b"] {
        assert_eq!(refused(&running, &format!("{PATH}?{query}"), ""), (400, "bad_parameter".into()), "{query}");
    }
}

#[test]
fn entries_that_fall_out_under_a_reader_are_a_gap_and_the_end() {
    let running = start_with(GatewayConfig { workers: 1, ..GatewayConfig::default() });
    let (mut reader, _) = Reader::open(&running, PATH, "");
    running.world.feeds.apply(1, &[("a", None)]);
    assert_eq!(reader.next_client(), came("a"));
    running.world.feeds.apply_and_forget(1, &[("b", None)]);
    let gap = reader.next_of("gap");
    assert_eq!((gap.id.as_deref(), gap.data["partition"].as_u64()), (Some(""), Some(1)));
    assert_eq!(gap.data["code"], "position_gone");
    assert_eq!(reader.next(), None);
}

#[test]
fn who_may_not_ask_gets_no_stream_and_what_cannot_be_confirmed_is_503() {
    let running = start();
    assert_eq!(running.connect().ask("GET", PATH, "").status(), 401);
    *running.world.permission.lock().unwrap() = ConnectPermission::Denied;
    assert_eq!(refused(&running, PATH, ""), (403, "not_authorized".into()));
    *running.world.permission.lock().unwrap() = ConnectPermission::Allowed;
    *running.world.refusal.lock().unwrap() = Some(QueryRefusal::OverQuota { retry_after_s: 1 });
    assert_eq!(refused(&running, PATH, ""), (429, "over_quota".into()));
    *running.world.refusal.lock().unwrap() = None;
    *running.world.feeds.without_quorum.lock().unwrap() = vec![2];
    assert_eq!(refused(&running, PATH, ""), (503, "no_quorum".into()));
    running.world.feeds.without_quorum.lock().unwrap().clear();
    *running.world.feeds.history.lock().unwrap() = None;
    assert_eq!(refused(&running, PATH, ""), (503, "not_ready".into()));
    *running.world.feeds.history.lock().unwrap() = Some("h".into());
    assert_eq!(running.connect().ask("POST", PATH, GOOD).status(), 405);
    let head = running.connect().ask("HEAD", PATH, GOOD);
    assert_eq!((head.status(), head.header("content-type")), (200, Some("text/event-stream")));
}

#[test]
fn a_stream_says_when_nothing_is_confirmed_and_when_it_is_again() {
    let heartbeat = Duration::from_millis(50);
    let running = start_with(GatewayConfig { stream_heartbeat: heartbeat, ..GatewayConfig::default() });
    let (mut reader, _) = Reader::open(&running, PATH, "");
    reader.next_of("position");
    *running.world.feeds.without_quorum.lock().unwrap() = vec![0, 2];
    assert_eq!(reader.next_of("stalled").data["partitions"], serde_json::json!([0, 2]));
    // What is there is told all the same.
    running.world.feeds.apply(1, &[("a", None)]);
    assert_eq!(reader.next_client(), came("a"));
    running.world.feeds.without_quorum.lock().unwrap().clear();
    assert_eq!(reader.next_of("position").data["through"], serde_json::json!([0, 1, 0]));
    // For long: it ends, and can be gone on with elsewhere.
    *running.world.feeds.without_quorum.lock().unwrap() = vec![1];
    let end = reader.next_of("end");
    assert_eq!(end.data["reason"], "no_quorum");
    assert_eq!(reader.next(), None);
    running.world.feeds.without_quorum.lock().unwrap().clear();
    Reader::open(&running, &format!("{PATH}?from={}", end.id.unwrap()), "");
}

#[test]
fn so_many_streams_are_open_and_one_more_is_told_so() {
    let running = start_with(GatewayConfig { streams_max: 2, ..GatewayConfig::default() });
    let (first, _) = Reader::open(&running, PATH, "");
    let (_second, _) = Reader::open(&running, PATH, "");
    running.world.calls();
    let answer = running.connect().ask("GET", PATH, GOOD);
    assert_eq!((answer.status(), answer.problem_code().as_str()), (503, "too_many_streams"));
    assert!(answer.header("retry-after").is_some());
    assert!(!running.world.calls().contains(&Call::Charge(1)), "it costs nothing");
    let metrics = running.connect_admin().ask("GET", "/metrics", "").body;
    for name in ["rollcall_event_streams ", r#"rollcall_quota_limited_total{kind="event_streams"}"#] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert_eq!(running.connect().ask("GET", "/client-id/a/status", GOOD).status(), 200);
    drop(first);
    // The place is free once the node has noticed, by the next thing it sends at the latest.
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        running.world.feeds.apply(0, &[("a", None)]);
        let status = {
            let mut connection = running.connect();
            connection.send(format!("HEAD {PATH} HTTP/1.1\r\nHost: x\r\n{GOOD}\r\n"));
            connection.head().status()
        };
        if status == 200 {
            return;
        }
        assert!(Instant::now() < until, "the place of a reader that has gone stays taken");
    }
}

#[test]
fn a_node_that_is_to_be_left_ends_its_streams_and_opens_no_more() {
    let running = start();
    let (mut reader, _) = Reader::open(&running, PATH, "");
    running.world.feeds.apply(0, &[("a", None)]);
    assert_eq!(reader.next_client(), came("a"));
    running.world.leaving.send_replace(true);
    let end = reader.next().unwrap();
    assert_eq!((end.kind.as_str(), end.data["reason"].as_str()), ("end", Some("shutting_down")));
    assert_eq!(reader.next(), None);
    assert_eq!(refused(&running, PATH, ""), (503, "not_ready".into()));
    // The id is one to go on with.
    running.world.leaving.send_replace(false);
    running.world.feeds.apply(0, &[("b", None)]);
    let (mut again, _) = Reader::open(&running, &format!("{PATH}?from={}", end.id.unwrap()), "");
    assert_eq!(again.next_client(), came("b"));
    running.world.leaving.send_replace(true);
    running.stop();
}

#[test]
#[allow(clippy::disallowed_methods)] // a thread of its own, between two looks at a condition
fn a_slow_reader_holds_up_itself_alone_and_gets_everything_in_the_end() {
    // Some 40 MB: several times what the buffers of two sockets take.
    const EVENTS: usize = 30_000;
    let long = "x".repeat(1000);
    let running = start_with(GatewayConfig { workers: 1, ..GatewayConfig::default() });
    let (reader, beginning) = Reader::open(&running, PATH, "");
    drop(reader);
    for index in 0..EVENTS / 100 {
        let names: Vec<String> = (0..100).map(|ordinal| format!("client-{index}-{ordinal}-{long}")).collect();
        let transitions: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        running.world.feeds.apply(u16::try_from(index % 3).unwrap(), &transitions);
    }
    running.world.feeds.handed_out.store(0, Ordering::SeqCst);
    let (mut slow, _) = Reader::open(&running, &format!("{PATH}?from={beginning}"), "");
    // It does not read: the feed is read no more once the socket's buffers are full.
    let mut before = usize::MAX;
    loop {
        let now = running.world.feeds.handed_out.load(Ordering::SeqCst);
        if now == before {
            break;
        }
        before = now;
        // Others are served by the same worker meanwhile.
        let (mut other, _) = Reader::open(&running, PATH, "");
        running.world.feeds.apply(0, &[("ping", None)]);
        assert_eq!(other.next_client(), came("ping"));
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(before < EVENTS / 2, "{before} entries were read for a reader that takes none");
    let mut seen = std::collections::HashSet::new();
    while seen.len() < EVENTS {
        let (_, client) = slow.next_client();
        assert!(client == "ping" || seen.insert(client), "an event came twice");
    }
}

#[test]
fn http_1_0_gets_a_stream_that_ends_with_the_connection() {
    let running = start();
    let mut connection = running.connect();
    connection.send(format!("GET {PATH} HTTP/1.0\r\n{GOOD}\r\n"));
    let head = connection.head();
    assert_eq!((head.status(), head.header("transfer-encoding")), (200, None));
    running.world.feeds.apply(0, &[("a", None)]);
    let text = connection.read_past("client_connected");
    assert!(text.starts_with("retry: 1000\nid: "), "{text}");
    running.world.leaving.send_replace(true);
    connection.read_past("shutting_down");
    connection.read_to_end();
}

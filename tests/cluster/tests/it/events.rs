//! Client events over MQTT: one for each transition, on every node, with its reason and its place in the log; nothing left
//! out and nothing told twice, whatever happens to other nodes.

use rollcall_test_cluster::config::OPERATOR;
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, deadline};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
const SOON: Duration = Duration::from_secs(10);
/// Nothing more comes after this much silence.
const QUIET: Duration = Duration::from_secs(2);
/// A terminated node has ended by then.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
/// Ids that come and go while the leader is killed, and how often each does.
const STORM_CLIENTS: usize = 40;
const STORM_ROUNDS: usize = 16;
/// Clients of the node that is killed, and the time in which they connect.
const LOST_CLIENTS: usize = 1500;
const CONNECTED_WITHIN: Duration = Duration::from_secs(90);

/// A subscriber of events.
pub(crate) fn watcher(cluster: &Cluster, place: usize, id: &str, filter: &str, qos: u8) -> Connection {
    let connect = Connect {
        username: Some(OPERATOR.0.to_owned()),
        password: Some(OPERATOR.1.to_owned()),
        ..Connect::new(Version::V5, id)
    };
    let mut watcher = cluster.connect_as(place, &connect);
    watcher.subscribe_at(filter, qos).unwrap();
    watcher
}

/// The next event, with its topic.
pub(crate) fn next_event(watcher: &mut Connection, within: Duration) -> Option<(String, Value)> {
    let began = Instant::now();
    loop {
        match watcher.next(within.saturating_sub(began.elapsed())) {
            Arrival::Packet(packet) => {
                watcher.answer(&packet).unwrap();
                if let Some(message) = packet.delivered(watcher.version()) {
                    assert!(!message.retain, "{message:?}");
                    return Some((message.topic, serde_json::from_slice(&message.payload).unwrap()));
                }
            }
            Arrival::Silence => return None,
            Arrival::Closed(rest) => panic!("the subscriber was closed: {rest:?}"),
        }
    }
}

pub(crate) fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_else(|| panic!("{field} of {event}"))
}

pub(crate) fn number(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("{field} of {event}"))
}

/// Where an event stands.
pub(crate) fn place(event: &Value) -> (u64, u64, u64) {
    (number(event, "partition"), number(event, "index"), number(event, "ordinal"))
}

/// Everything that comes about clients whose id begins so, until this holds.
fn events_until(
    watcher: &mut Connection,
    prefix: &str,
    within: Duration,
    mut enough: impl FnMut(&[Value]) -> bool,
) -> Vec<Value> {
    let began = Instant::now();
    let mut events = Vec::new();
    while !enough(&events) {
        let left = within.saturating_sub(began.elapsed());
        let Some((topic, event)) = next_event(watcher, left) else {
            panic!("not enough within {within:?}: {} events, the last {:?}", events.len(), events.last());
        };
        let expected = format!("$events/{}", text(&event, "event").replace('.', "_"));
        assert_eq!(topic, expected);
        if text(&event, "clientid").starts_with(prefix) {
            events.push(event);
        }
    }
    events
}

/// Connections that come and go of clients whose id begins so, until it is over and nothing more comes.
pub(crate) fn events_until_over(watcher: &mut Connection, prefix: &str, over: &AtomicBool) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let was_over = over.load(Ordering::SeqCst);
        match next_event(watcher, QUIET) {
            Some((topic, event))
                if topic.starts_with("$events/client_") && text(&event, "clientid").starts_with(prefix) =>
            {
                events.push(event);
            }
            Some(_) => {}
            None if was_over => return events,
            None => {}
        }
    }
}

/// What a reader of all events of some clients must find: each connection begins and then ends, each follows the one
/// before it, and each partition's events come in the order of its log.
pub(crate) fn check_order(events: &[Value]) {
    let mut last_place: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    let mut last: BTreeMap<&str, &Value> = BTreeMap::new();
    for event in events {
        let at = place(event);
        if let Some(before) = last_place.insert(at.0, at) {
            assert!(before < at, "{event} comes after {before:?}");
        }
        let before = last.insert(text(event, "clientid"), event);
        let connects = text(event, "event") == "client.connected";
        // Who displaces it begins with the next event of the same log entry.
        let displaced = matches!(event["reason"].as_str(), Some("takeovered" | "discarded"));
        assert_eq!(event["online"].as_bool(), Some(connects || displaced), "{event}");
        match (before, connects) {
            (None, true) => {}
            (Some(before), true) => {
                assert_eq!(text(before, "event"), "client.disconnected", "{before}, then {event}");
                assert_eq!(event["prev_epoch"], before["epoch"], "{before}, then {event}");
                assert!(number(before, "epoch") < number(event, "epoch"), "{before}, then {event}");
            }
            (None, false) => panic!("an end without a beginning: {event}"),
            (Some(before), false) => {
                assert_eq!(text(before, "event"), "client.connected", "{before}, then {event}");
                for same in ["epoch", "prev_epoch", "connected_at", "username", "peername", "node", "keepalive"] {
                    assert_eq!(event[same], before[same], "{same} of {before} and {event}");
                }
            }
        }
    }
}

fn is_end(event: &Value) -> bool {
    text(event, "event") == "client.disconnected"
}

fn ended(events: &[Value], id: &str) -> usize {
    events.iter().filter(|e| text(e, "clientid") == id && is_end(e)).count()
}

fn beginnings(events: &[Value]) -> usize {
    events.iter().filter(|e| text(e, "event") == "client.connected").count()
}

/// B-037, B-039, B-042, B-044, B-046, B-047, B-054, B-056: the table of endings, as far as they can be brought about from
/// outside.
#[test]
fn every_ending_is_told_once_with_its_reason_at_every_qos_on_every_node() {
    let mut cluster = Cluster::of_three();
    let mut watchers: Vec<Connection> =
        (0..3_u8).map(|n| watcher(&cluster, usize::from(n), &format!("watcher-{n}"), "$events/+", n)).collect();
    let resumed = |id: &str| Connect { clean: false, ..Connect::new(Version::V5, id) };

    cluster.connect(0, "e-normal").disconnect().unwrap();
    let mut with_will = cluster.connect(1, "e-with-will");
    with_will.send(&[0xe0, 2, 4, 0]).unwrap();
    with_will.to_the_end(SOON).unwrap();
    drop(cluster.connect(2, "e-lost"));
    let silent = cluster.connect_as(0, &Connect::new(Version::V311, "e-silent").keep_alive(1));
    let mut faulty = cluster.connect(1, "e-faulty");
    faulty.send(&Connect::new(Version::V5, "e-faulty").encode()).unwrap();
    faulty.to_the_end(SOON).unwrap();
    let mut taken = cluster.connect_as(2, &resumed("e-taken"));
    let newer = cluster.connect_as(0, &resumed("e-taken"));
    taken.to_the_end(SOON).unwrap();
    let mut discarded = cluster.connect(0, "e-discarded");
    let fresh = cluster.connect(1, "e-discarded");
    discarded.to_the_end(SOON).unwrap();
    let expected = [
        ("e-normal", "normal"),
        ("e-with-will", "normal"),
        ("e-lost", "connection_lost"),
        ("e-silent", "keepalive_timeout"),
        ("e-faulty", "protocol_error"),
        ("e-taken", "takeovered"),
        ("e-discarded", "discarded"),
    ];
    let all = |events: &[Value]| expected.iter().all(|(id, _)| ended(events, id) == 1) && beginnings(events) == 9;
    let told: Vec<Vec<Value>> = watchers.iter_mut().map(|watcher| events_until(watcher, "e-", SOON, all)).collect();
    drop(silent);
    for events in &told {
        check_order(events);
        for (id, reason) in expected {
            let end = events.iter().find(|e| text(e, "clientid") == id && is_end(e)).unwrap();
            assert_eq!(text(end, "reason"), reason, "{end}");
            assert_eq!(end["synthetic"], false, "{end}");
            assert_eq!(end["disconnected_at"], end["timestamp"], "{end}");
        }
        // Every node tells the same, to the byte, in each partition's order.
        let by_place = |events: &[Value]| events.iter().map(|e| (place(e), e.to_string())).collect::<BTreeMap<_, _>>();
        assert_eq!(by_place(events), by_place(&told[0]));
    }
    let taken: Vec<&Value> = told[1].iter().filter(|e| text(e, "clientid") == "e-taken").collect();
    let kinds: Vec<(&str, &str)> = taken.iter().map(|e| (text(e, "event"), text(e, "node"))).collect();
    let (c, d) = ("client.connected", "client.disconnected");
    assert_eq!(kinds, [(c, "n3"), (d, "n3"), (c, "n1")], "the old one ends before the new one begins");
    let answer = cluster.ask(1, "e-taken").unwrap();
    let last = taken[2];
    assert_eq!(answer.epoch, last["epoch"].as_u64());
    assert_eq!(u64::from(answer.partition), number(last, "partition"));
    assert!(answer.index >= number(last, "index"), "{answer:?} after {last}");
    assert_eq!((text(last, "username"), number(last, "keepalive"), number(last, "proto_ver")), ("user0", 300, 5));
    assert_eq!(last["clean_start"], false);

    // A planned stop: released one by one, not spoken for by a survivor.
    let leaving: Vec<Connection> = (0..5).map(|n| cluster.connect(2, &format!("s-{n}"))).collect();
    cluster.nodes[2].terminate();
    assert_eq!(cluster.nodes[2].ended(STOPPED_WITHIN).code(), Some(0));
    for watcher in &mut watchers[..2] {
        let events = events_until(watcher, "s-", SOON, |events| events.len() == 10);
        check_order(&events);
        for end in events.iter().filter(|e| is_end(e)) {
            assert_eq!((text(end, "reason"), &end["synthetic"]), ("server_shutdown", &Value::Bool(false)), "{end}");
        }
    }
    drop((leaving, newer, fresh));
}

/// B-041, B-055: more clients than any queue holds, all lost at once.
#[test]
fn clients_of_a_killed_node_are_told_once_each_by_the_survivors() {
    let mut cluster = Cluster::of_three();
    let mut watchers =
        [watcher(&cluster, 0, "watcher-0", "$events/#", 1), watcher(&cluster, 1, "watcher-1", "$events/#", 0)];
    let within = cluster.offline_within() + CONNECTED_WITHIN;
    std::thread::scope(|scope| {
        for watcher in &mut watchers {
            scope.spawn(move || {
                let events = events_until(watcher, "lost-", within, |events| events.len() == 2 * LOST_CLIENTS);
                check_order(&events);
                for end in events.iter().filter(|e| is_end(e)) {
                    assert_eq!(text(end, "reason"), "node_lost", "{end}");
                    assert_eq!((&end["synthetic"], text(end, "node")), (&Value::Bool(true), "n3"), "{end}");
                }
            });
        }
        let lost: Vec<Connection> = (0..LOST_CLIENTS).map(|n| cluster.connect(2, &format!("lost-{n}"))).collect();
        cluster.nodes[2].kill();
        drop(lost);
    });
    // They come back elsewhere, and are known to follow the connections lost.
    let back = cluster.connect(0, "lost-0");
    for watcher in &mut watchers {
        let events = events_until(watcher, "lost-0", SOON, |events| !events.is_empty());
        assert!(events[0]["prev_epoch"].is_u64(), "{}", events[0]);
    }
    drop(back);
}

/// B-037, B-040, B-060: the log's order, over a change of all leaders that one node can bring.
#[test]
fn a_leader_killed_in_mid_stream_leaves_no_gap_and_tells_nothing_twice() {
    let mut cluster = Cluster::of_three();
    let victim = cluster.leader();
    let survivors = cluster.others(victim);
    let mut watchers: Vec<Connection> =
        survivors.iter().map(|place| watcher(&cluster, *place, &format!("watcher-{place}"), "$events/#", 1)).collect();
    let over = AtomicBool::new(false);
    let addresses: Vec<_> = survivors.iter().map(|place| cluster.nodes[*place].addresses.mqtt).collect();
    let told = std::thread::scope(|scope| {
        let readers: Vec<_> = watchers
            .iter_mut()
            .map(|watcher| {
                let over = &over;
                scope.spawn(move || events_until_over(watcher, "storm-", over))
            })
            .collect();
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let addresses = &addresses;
                scope.spawn(move || {
                    let mut accepted = 0_usize;
                    for round in 0..STORM_ROUNDS {
                        for client in (0..STORM_CLIENTS).filter(|client| client % 4 == thread) {
                            let connect = Connect::new(Version::V5, &format!("storm-{client}"));
                            // Taken over, left, or dropped; refused for a moment while there is no leader.
                            let began = Instant::now();
                            loop {
                                match Connection::connect(addresses[(client + round) % 2], &connect) {
                                    Ok((connection, _)) if round % 3 == 0 => {
                                        connection.disconnect().unwrap();
                                        break;
                                    }
                                    Ok(_) => break,
                                    Err(refused) => assert!(began.elapsed() < SOON * 3, "{refused:?}"),
                                }
                            }
                            accepted += 1;
                        }
                    }
                    accepted
                })
            })
            .collect();
        // In the middle of it.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            cluster.ask(survivors[0], "storm-0").unwrap();
        }
        cluster.nodes[victim].kill();
        let accepted: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert_eq!(accepted, STORM_CLIENTS * STORM_ROUNDS);
        for client in 0..STORM_CLIENTS {
            cluster.wait_online(&survivors, &format!("storm-{client}"), false, SOON);
        }
        over.store(true, Ordering::SeqCst);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<Vec<Value>>>()
    });
    for events in &told {
        check_order(events);
        let connects = beginnings(events);
        assert!(connects >= STORM_CLIENTS * STORM_ROUNDS, "{connects}");
        for client in 0..STORM_CLIENTS {
            let id = format!("storm-{client}");
            let last = events.iter().rfind(|e| text(e, "clientid") == id).unwrap();
            let answer = cluster.ask(survivors[0], &id).unwrap();
            assert_eq!(
                (Some(answer.online), answer.epoch),
                (last["online"].as_bool(), last["epoch"].as_u64()),
                "{last}"
            );
        }
    }
    let places = |events: &[Value]| events.iter().map(place).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(places(&told[0]), places(&told[1]));
}

/// Only the broker speaks there, and only those with a policy read it; `#` is for other topics.
#[test]
fn reading_takes_a_policy_and_nobody_publishes_there() {
    let cluster = Cluster::of_three();
    let mut client = cluster.connect(0, "client");
    for filter in ["$events/#", "$events/client_connected", "$share/g/$events/#"] {
        let refused = client.subscribe_at(filter, 1).unwrap_err();
        assert!(refused.contains(", 135]"), "{filter}: {refused}");
    }
    client.subscribe_at("#", 1).unwrap();
    let mut watcher = watcher(&cluster, 1, "watcher", "$events/client_connected", 1);
    for topic in ["$events/client_connected", "$events/mine", "$SYS/mine"] {
        assert_eq!(client.publish_acknowledged(topic, b"{}", false), Ok(0x87), "{topic}");
    }
    let mut other = cluster.connect(2, "other");
    let events = events_until(&mut watcher, "o", SOON, |events| !events.is_empty());
    assert_eq!(text(&events[0], "clientid"), "other");
    // What the plain subscriber gets comes in order: no event came before the message.
    assert_eq!(other.publish_acknowledged("a", b"last", false), Ok(0));
    deadline::until("the message", SOON, || match client.next(SOON) {
        Arrival::Packet(packet) => match packet.delivered(Version::V5) {
            Some(message) if message.topic == "a" => Ok(()),
            Some(message) => panic!("{message:?}"),
            None => Err("another packet".to_owned()),
        },
        other => Err(format!("{other:?}")),
    });
}

fn unsubscribe(client: &mut Connection, filter: &str) {
    let length = u8::try_from(filter.len()).unwrap();
    let mut packet = vec![0xa2, length + 5, 0, 7, 0, 0, length];
    packet.extend(filter.as_bytes());
    client.send(&packet).unwrap();
    assert!(matches!(client.next(SOON), Arrival::Packet(packet) if packet.first == 0xb0));
}

#[test]
fn subscriptions_are_told_in_order_on_every_node() {
    let cluster = Cluster::of_three();
    let mut watchers: Vec<Connection> =
        ALL.iter().map(|place| watcher(&cluster, *place, &format!("watcher-{place}"), "$events/#", 1)).collect();
    let mut client = cluster.connect(1, "subscriber");
    for round in 0..50 {
        let filter = format!("{}f/{round}/#", if round % 2 == 0 { "" } else { "$share/g/" });
        client.subscribe_at(&filter, 1).unwrap();
        unsubscribe(&mut client, &filter);
    }
    for watcher in &mut watchers {
        let events = events_until(watcher, "subscriber", SOON, |events| events.len() == 101);
        let changes = events.iter().filter(|e| text(e, "event").starts_with("session."));
        let told: Vec<String> = changes.map(|e| format!("{} {}", text(e, "event"), text(e, "topic"))).collect();
        let expected = (0..50).flat_map(|round| {
            let filter = format!("{}f/{round}/#", if round % 2 == 0 { "" } else { "$share/g/" });
            ["session.subscribed", "session.unsubscribed"].map(|event| format!("{event} {filter}"))
        });
        assert!(told.iter().eq(&expected.collect::<Vec<_>>()), "{told:?}");
        let first = events.iter().find(|e| text(e, "event") == "session.subscribed").unwrap();
        assert_eq!((text(first, "node"), text(first, "peerhost"), number(first, "qos")), ("n2", "127.0.0.1", 1));
        assert_eq!(first["epoch"].as_u64(), cluster.ask(0, "subscriber").unwrap().epoch);
    }
}

//! Larger questions: batches, lists, the rich form and long polls are right on every node, at any moment, or 503.

use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::{Response, basic, post_json, request_within, status_target};
use rollcall_test_cluster::mqtt::Connection;
use rollcall_test_cluster::{Cluster, Options, deadline, metrics};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
const SOON: Duration = Duration::from_secs(10);

fn get(to: SocketAddr, target: &str) -> Result<Response, String> {
    request_within(to, "GET", target, &[("Authorization", &basic(USER.0, USER.1))], Duration::from_secs(40))
}

fn batch(to: SocketAddr, ids: &[String]) -> Result<Response, String> {
    let body = json!({ "client_ids": ids }).to_string();
    post_json(to, "/client-ids/status", &[("Authorization", &basic(USER.0, USER.1))], &body)
}

fn http_of(cluster: &Cluster, place: usize) -> SocketAddr {
    cluster.nodes[place].addresses.http
}

fn parsed(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).unwrap()
}

/// Who is online by one batch at one node, and where.
fn batched(cluster: &Cluster, place: usize, ids: &[String]) -> Vec<Option<String>> {
    let answer = parsed(&batch(http_of(cluster, place), ids).unwrap());
    let results = answer["results"].as_array().unwrap();
    let asked: Vec<&str> = results.iter().map(|one| one["client_id"].as_str().unwrap()).collect();
    assert_eq!(asked, ids, "in the order asked");
    let node = |one: &Value| {
        let node = one["node"].as_str().map(str::to_owned);
        assert_eq!(one["online"].as_bool(), Some(node.is_some()), "{one}");
        node
    };
    results.iter().map(node).collect()
}

// B-136
#[test]
fn a_batch_is_right_on_every_node_after_each_change_and_after_the_death_of_a_node() {
    let mut cluster = Cluster::of_three();
    let ids: Vec<String> = (0..40).map(|number| format!("device/{number}")).collect();
    let mut devices: BTreeMap<usize, (usize, Connection)> = BTreeMap::new();
    let expected = |devices: &BTreeMap<usize, (usize, Connection)>| -> Vec<Option<String>> {
        (0..ids.len()).map(|number| devices.get(&number).map(|(place, _)| format!("n{}", place + 1))).collect()
    };
    for round in 0..60 {
        let number = round * 7 % ids.len();
        match devices.remove(&number) {
            Some((_, connection)) => {
                connection.disconnect().unwrap();
                cluster.wait_online(&[round % 3], &ids[number], false, SOON);
            }
            None => {
                let connection = cluster.connect(round % 3, &ids[number]);
                devices.insert(number, (round % 3, connection));
            }
        }
        // The CONNACK is here, or the end is known: no later answer may say otherwise, at any node.
        let place = (round + 1) % 3;
        assert_eq!(batched(&cluster, place, &ids), expected(&devices), "round {round} at n{}", place + 1);
    }
    for (number, id) in ids.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
        devices.insert(number, (2, cluster.connect(2, id)));
    }
    cluster.nodes[2].kill();
    devices.retain(|_, (place, _)| *place != 2);
    deadline::until("the clients of the dead node are offline", cluster.offline_within() + SOON, || {
        let answer = batch(http_of(&cluster, 0), &ids)?;
        let dead = answer.text().contains("\"node\":\"n3\"");
        if answer.status == 200 && !dead { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text())) }
    });
    for place in [0, 1] {
        assert_eq!(batched(&cluster, place, &ids), expected(&devices), "at n{}", place + 1);
    }
    let doubles = [ids[0].clone(), ids[1].clone(), ids[0].clone()];
    assert_eq!(batched(&cluster, 1, &doubles).len(), 3);
}

/// Every page of a list, each asked at another node.
fn listed(addresses: &[SocketAddr], filters: &str) -> Vec<Value> {
    let (mut clients, mut cursor) = (Vec::new(), None::<String>);
    for page in 0.. {
        let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let answer = parsed(&get(addresses[page % addresses.len()], &format!("/clients?{filters}{from}")).unwrap());
        clients.extend(answer["clients"].as_array().unwrap().iter().cloned());
        match &answer["cursor"] {
            Value::Null => break,
            Value::String(next) => cursor = Some(next.clone()),
            other => panic!("no cursor: {other}"),
        }
        assert!(page < 10_000, "a list without an end");
    }
    clients
}

fn names(clients: &[Value]) -> Vec<&str> {
    clients.iter().map(|client| client["client_id"].as_str().unwrap()).collect()
}

// B-022, B-024, B-027, B-134, B-137, B-138
#[test]
fn pages_are_complete_and_without_doubles_while_clients_come_and_go() {
    let cluster = Cluster::of_three();
    let stable: BTreeSet<String> = (0..60).map(|number| format!("stay-{number}")).collect();
    let _devices: Vec<Connection> =
        stable.iter().enumerate().map(|(number, id)| cluster.connect(number % 3, id)).collect();
    let addresses: Vec<SocketAddr> = ALL.iter().map(|place| http_of(&cluster, *place)).collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for place in ALL {
            let (cluster, over) = (&cluster, &over);
            scope.spawn(move || {
                for number in 0_u32.. {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    // Between the others in the order of ids.
                    let passing = cluster.connect(place, &format!("stay-{}-{place}-passing", number % 60));
                    passing.disconnect().unwrap();
                }
            });
        }
        for round in 0..15 {
            let clients = listed(&addresses, "prefix=stay-&online=true&limit=7");
            let names = names(&clients);
            assert!(names.is_sorted_by(|a, b| a < b), "round {round}, in order and without doubles: {names:?}");
            let there: BTreeSet<&str> = names.into_iter().collect();
            let missing: Vec<&String> = stable.iter().filter(|id| !there.contains(id.as_str())).collect();
            assert!(missing.is_empty(), "round {round}: {missing:?} are missing");
        }
        over.store(true, Ordering::SeqCst);
    });
    deadline::until("the last of those who passed are gone", SOON, || {
        let on_n2 = listed(&addresses, "node=n2&username=user0&limit=1000");
        assert!(on_n2.iter().all(|client| client["node"] == "n2" && client["online"] == true), "{on_n2:?}");
        if on_n2.len() == 20 { Ok(()) } else { Err(format!("{} clients", on_n2.len())) }
    });
    assert_eq!(listed(&addresses, "username=nobody"), [Value::Null; 0]);
    let foreign = get(addresses[0], "/clients?cursor=AAAA").unwrap();
    assert_eq!((foreign.status, foreign.text().contains("bad_cursor")), (400, true), "{foreign:?}");
}

#[test]
fn the_rich_form_says_who_where_since_when_and_how_the_last_connection_ended() {
    let mut cluster = Cluster::of_three();
    let presence = |cluster: &Cluster, place: usize, id: &str| {
        parsed(&get(http_of(cluster, place), &format!("/clients/{id}/presence")).unwrap())
    };
    let never = presence(&cluster, 0, "never");
    assert_eq!((&never["online"], &never["epoch"], &never["since"]), (&json!(false), &Value::Null, &Value::Null));
    let device = cluster.connect(1, "VIN0000001");
    for place in ALL {
        let answer = presence(&cluster, place, "VIN0000001");
        let told = (&answer["online"], &answer["node"], &answer["username"], &answer["protocol_version"]);
        assert_eq!(told, (&json!(true), &json!("n2"), &json!("user0"), &json!(5)), "{answer}");
        assert_eq!((&answer["keep_alive"], &answer["half_open_bound_ms"]), (&json!(300), &json!(450_000)));
        let lease = u64::try_from(cluster.lease().as_millis()).unwrap();
        assert_eq!((&answer["lease_ms"], &answer["last_disconnect"]), (&json!(lease), &Value::Null));
        assert!(answer["epoch"].as_u64() > Some(0) && answer["index"].as_u64() > Some(0), "{answer}");
    }
    let connected = presence(&cluster, 0, "VIN0000001")["since"].as_u64().unwrap();
    device.disconnect().unwrap();
    cluster.wait_online(&ALL, "VIN0000001", false, SOON);
    let gone = presence(&cluster, 2, "VIN0000001");
    assert_eq!((&gone["online"], &gone["node"]), (&json!(false), &Value::Null));
    assert_eq!(gone["last_disconnect"]["reason"], "normal");
    assert_eq!(gone["last_disconnect"]["at"], gone["since"]);
    assert!(gone["since"].as_u64().unwrap() >= connected);

    let _device = cluster.connect(2, "VIN0000001");
    cluster.nodes[2].kill();
    cluster.wait_online(&[0, 1], "VIN0000001", false, cluster.offline_within() + SOON);
    assert_eq!(presence(&cluster, 0, "VIN0000001")["last_disconnect"]["reason"], "node_lost");
}

/// A long poll, on a thread of its own: the answer and how long it took.
fn poll(to: SocketAddr, id: &str, query: &str) -> thread::JoinHandle<(Response, Duration)> {
    let target = format!("{}?{query}", status_target(id));
    thread::spawn(move || {
        let began = Instant::now();
        (get(to, &target).unwrap(), began.elapsed())
    })
}

fn wait_for_polls(cluster: &Cluster, place: usize, polls: f64) {
    deadline::until("long polls wait", SOON, || {
        let waiting = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_long_polls_waiting")?;
        let waiting: f64 = waiting.iter().map(|sample| sample.value).sum();
        if waiting >= polls { Ok(()) } else { Err(format!("{waiting} of {polls}")) }
    });
}

#[test]
fn a_long_poll_is_woken_by_what_happens_on_another_node_and_ends_at_its_deadline() {
    let mut cluster = Cluster::of_three();
    let polls: Vec<_> = ALL.iter().map(|place| poll(http_of(&cluster, *place), "late", "wait=30&for=online")).collect();
    ALL.iter().for_each(|place| wait_for_polls(&cluster, *place, 1.0));
    let device = cluster.connect(1, "late");
    for answer in polls {
        let (response, took) = answer.join().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, r#"{"online":true}"#), "{response:?}");
        assert!(took < Duration::from_secs(15), "nobody was woken, the deadline came: {took:?}");
    }
    // Already so: no wait.
    let (response, took) = poll(http_of(&cluster, 0), "late", "wait=30&for=online").join().unwrap();
    assert!(response.text() == r#"{"online":true}"# && took < Duration::from_secs(5), "{response:?} after {took:?}");
    // Never so: the present state at the deadline.
    let (response, took) = poll(http_of(&cluster, 2), "late", "wait=1&for=offline").join().unwrap();
    assert_eq!(response.text(), r#"{"online":true}"#);
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(4), "{took:?}");
    // And the end of a connection whose node died.
    let poll = poll(http_of(&cluster, 0), "late", "wait=30&for=offline");
    wait_for_polls(&cluster, 0, 1.0);
    cluster.nodes[1].kill();
    let (response, took) = poll.join().unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, r#"{"online":false}"#), "{response:?}");
    assert!(took < Duration::from_secs(25), "nobody was woken: {took:?}");
    drop(device);
}

#[test]
fn a_node_without_a_replica_answers_every_question_too() {
    let cluster = Cluster::start(Options { nodes: 4, partitions: 6, replicas: 3, ..Options::default() });
    let ids: Vec<String> = (0..24).map(|number| format!("far-{number:02}")).collect();
    // At each node some of these polls are for partitions that it holds no replica of.
    let polls: Vec<_> = (0..4)
        .flat_map(|place| ids.iter().map(move |id| (place, id)))
        .map(|(place, id)| poll(http_of(&cluster, place), id, "wait=30&for=online"))
        .collect();
    (0..4).for_each(|place| wait_for_polls(&cluster, place, 24.0));
    let _devices: Vec<Connection> = ids.iter().enumerate().map(|(place, id)| cluster.connect(place % 4, id)).collect();
    for answer in polls {
        let (response, took) = answer.join().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, r#"{"online":true}"#), "{response:?}");
        assert!(took < Duration::from_secs(20), "nobody was woken: {took:?}");
    }
    for place in 0..4 {
        let nodes: Vec<Option<String>> = (0..ids.len()).map(|number| Some(format!("n{}", number % 4 + 1))).collect();
        assert_eq!(batched(&cluster, place, &ids), nodes, "at n{}", place + 1);
        assert_eq!(names(&listed(&[http_of(&cluster, place)], "prefix=far-&limit=5")), ids, "at n{}", place + 1);
        for (number, id) in ids.iter().enumerate() {
            let answer = parsed(&get(http_of(&cluster, place), &format!("/clients/{id}/presence")).unwrap());
            assert_eq!(answer["node"], format!("n{}", number % 4 + 1), "{answer}");
        }
    }
}

// B-140
#[test]
fn without_a_quorum_each_of_them_is_503_and_nothing_in_part() {
    let mut cluster = Cluster::of_three();
    let alone = cluster.leader();
    let _device = cluster.connect(alone, "VIN0000001");
    let to = http_of(&cluster, alone);
    let waiting = poll(to, "VIN0000001", "wait=3&for=offline");
    wait_for_polls(&cluster, alone, 1.0);
    let others = cluster.others(alone);
    for place in &others {
        cluster.nodes[*place].pause();
    }
    for _ in 0..3 {
        let asked = [
            batch(to, &["VIN0000001".to_owned(), "VIN0000002".to_owned()]).unwrap(),
            get(to, "/clients/VIN0000001/presence").unwrap(),
            get(to, "/clients").unwrap(),
            get(to, "/clients?node=n1&limit=1000").unwrap(),
            get(to, &format!("{}?wait=10&for=offline", status_target("VIN0000001"))).unwrap(),
        ];
        for response in asked {
            assert_eq!(response.status, 503, "{response:?}");
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
            assert!(response.header("retry-after").is_some(), "{response:?}");
            assert!(!response.text().contains("online"), "{response:?}");
        }
    }
    // One that waited before takes a new read point at its deadline, and there is none.
    let (response, _) = waiting.join().unwrap();
    assert_eq!(response.status, 503, "{response:?}");
    for place in &others {
        cluster.nodes[*place].resume();
    }
    cluster.wait_ready();
    cluster.assert_online(&[alone], "nobody was here", false);
    assert_eq!(batch(to, &["VIN0000002".to_owned()]).unwrap().status, 200);
}

#[test]
fn a_batch_costs_as_much_as_its_ids_one_by_one_and_over_quota_nothing_is_answered() {
    let cluster = Cluster::start(Options { messages_per_second: 300, ..Options::default() });
    let ids: Vec<String> = (0..500).map(|number| format!("VIN{number:07}")).collect();
    let to = http_of(&cluster, 0);
    let over_quota = |response: &Response| -> u64 {
        assert!(response.status == 429 && response.text().contains("\"code\":\"over_quota\""), "{response:?}");
        assert!(!response.text().contains("online"), "{response:?}");
        response.header("retry-after").expect("Retry-After").parse().expect("whole seconds")
    };
    // This node's share is 100 a second, and 10 at once: the batch is more, so it is admitted once a whole burst is there.
    deadline::until("the batch is admitted", SOON, || match batch(to, &ids)? {
        response if response.status == 200 => Ok(()),
        response => Err(format!("{response:?}")),
    });
    // What it cost above that is owed: some five seconds of the share.
    let waits = [over_quota(&batch(to, &ids[..2]).unwrap()), over_quota(&cluster.status(0, &ids[0]).unwrap())];
    assert!(waits.iter().all(|wait| (3..=5).contains(wait)), "{waits:?}");
    // The share of another node is its own.
    assert_eq!(batch(http_of(&cluster, 1), &ids[..2]).unwrap().status, 200);
    deadline::until("answered again", SOON, || cluster.ask(0, &ids[0]));
}

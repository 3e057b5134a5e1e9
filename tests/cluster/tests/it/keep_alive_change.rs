//! Another keep-alive for a live connection, asked for on any node.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::{Response, basic, post, request};
use rollcall_test_cluster::mqtt::{Arrival, Connect, Version};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];

fn change(cluster: &Cluster, place: usize, query: &str) -> Response {
    let headers = [("Authorization", &*basic(USER.0, USER.1))];
    post(cluster.nodes[place].addresses.http, &format!("/keep-alive?{query}"), &headers, b"").unwrap()
}

/// Keep-alive and half-open bound as a node tells them.
fn told(cluster: &Cluster, place: usize, client: &str) -> (Option<u64>, Option<u64>) {
    let headers = [("Authorization", &*basic(USER.0, USER.1))];
    let target = format!("/clients/{client}/presence");
    let answer = request(cluster.nodes[place].addresses.http, "GET", &target, &headers).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    (body["keep_alive"].as_u64(), body["half_open_bound_ms"].as_u64())
}

// B-007
#[test]
fn it_is_in_force_at_once_wherever_the_connection_is_and_every_node_tells_it() {
    let cluster = Cluster::of_three();
    for place in ALL {
        let version = [Version::V31, Version::V311, Version::V5][place];
        let mut silent = cluster.connect_as(place, &Connect::new(version, "silent").keep_alive(2));
        let connected = Instant::now();
        assert_eq!(told(&cluster, place, "silent"), (Some(2), Some(3_000)));
        let answer = change(&cluster, (place + 1) % 3, "client-id=silent&interval=30");
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"success": true, "keepalive": 30}"#));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        for asked in ALL {
            assert_eq!(told(&cluster, asked, "silent"), (Some(30), Some(45_000)), "at n{}", asked + 1);
        }
        // With the keep-alive of its CONNECT it would have been closed by now, for it says nothing.
        let past = Duration::from_millis(4_500).saturating_sub(connected.elapsed());
        assert_eq!(silent.next(past), Arrival::Silence, "it is not closed");
        silent.ping().unwrap();
        // The next connection has its own.
        let mut next = cluster.connect_as((place + 2) % 3, &Connect::new(version, "silent").keep_alive(60));
        assert_eq!(told(&cluster, place, "silent"), (Some(60), Some(90_000)));
        next.ping().unwrap();
        next.disconnect().unwrap();
        cluster.wait_online(&ALL, "silent", false, Duration::from_secs(10));
    }
}

#[test]
fn what_cannot_be_changed_is_refused_and_leaves_the_connection_as_it_is() {
    let cluster = Cluster::of_three();
    let mut without = cluster.connect_as(0, &Connect::new(Version::V5, "without").keep_alive(0));
    let mut with = cluster.connect_as(1, &Connect::new(Version::V311, "with").keep_alive(100));
    for place in ALL {
        for (query, status, code) in [
            ("client-id=without&interval=60", 409, "no_keep_alive"),
            ("client-id=never-seen&interval=60", 404, "not_connected"),
            ("client-id=with&interval=29", 400, "bad_parameter"),
            ("client-id=with&interval=1201", 400, "bad_parameter"),
            ("client-id=with&interval=0", 400, "bad_parameter"),
            ("interval=60", 400, "bad_parameter"),
        ] {
            let answer = change(&cluster, place, query);
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let said = (answer.status, body["code"].as_str().unwrap(), body["success"].as_bool());
            assert_eq!(said, (status, code, Some(false)), "{query} at n{}", place + 1);
        }
        assert_eq!(told(&cluster, place, "with"), (Some(100), Some(150_000)));
        assert_eq!(told(&cluster, place, "without"), (Some(0), None));
    }
    let first = change(&cluster, 2, "client-id=with&interval=30");
    assert_eq!(first.status, 200, "{}", first.text());
    with.ping().unwrap();
    without.ping().unwrap();
    with.disconnect().unwrap();
    cluster.wait_online(&ALL, "with", false, Duration::from_secs(10));
    assert_eq!(change(&cluster, 0, "client-id=with&interval=60").status, 404, "it was connected, and is no more");
}

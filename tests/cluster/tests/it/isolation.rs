//! A node cut off from the other two: it answers 503, never a guess, and closes its clients before they are declared
//! offline.

use rollcall_test_cluster::mqtt::{Arrival, Connection};
use rollcall_test_cluster::{Cluster, Options, deadline, http, tools};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// Asks the node for the whole time; once the first 503 came, nothing else may come.
fn assert_only_503(cluster: &Cluster, place: usize, id: &str, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        let asked = Instant::now();
        let response = cluster.status(place, id).unwrap();
        assert_eq!(response.status, 503, "{response:?}");
        assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
        assert!(response.header("retry-after").is_some(), "{response:?}");
        assert!(asked.elapsed() < Duration::from_secs(2), "answered only after {:?}", asked.elapsed());
    }
}

/// B-105, B-106: one node of three with the two others paused has no quorum and says so, in time.
#[test]
fn a_node_whose_peers_stand_still_answers_503() {
    let mut cluster = Cluster::of_three();
    let alone = cluster.leader();
    let _device = cluster.connect(alone, "VIN0000001");
    let others = cluster.others(alone);
    for place in &others {
        cluster.nodes[*place].pause();
    }
    assert_only_503(&cluster, alone, "VIN0000001", Duration::from_secs(4));
    for place in &others {
        cluster.nodes[*place].resume();
    }
    cluster.wait_ready();
}

/// B-003, B-004, B-036, B-105, B-113, B-117: the minority of one, with its clients still attached to it, in network
/// namespaces.
#[test]
fn a_node_cut_off_from_the_others_answers_503_closes_its_clients_and_heals_by_itself() {
    let scenario = "a node cut off from the others answers 503";
    if !tools::available(scenario, "root and `ip netns`", tools::namespaces()) {
        return;
    }
    let mut cluster = Cluster::in_namespaces(Options::default());
    // Once the leader of the cluster group, once not.
    for round in 0..2 {
        let alone = (cluster.leader() + round) % 3;
        let others = cluster.others(alone);
        let id = format!("islander-{round}");
        let mut islander = cluster.connect(alone, &id);
        let mut elsewhere = cluster.connect(others[0], &format!("elsewhere-{round}"));

        cluster.network.as_ref().unwrap().cut_from_peers(alone);
        let cut = Instant::now();
        // What it answers until it must refuse is still right: the client is online, and nobody else can have it.
        deadline::until("the cut node refuses", Duration::from_secs(3), || {
            let response = cluster.status(alone, &id)?;
            match (response.status, response.text().as_str()) {
                (503, _) => Ok(()),
                (200, r#"{"online":true}"#) => Err("it still answers".to_owned()),
                other => panic!("a guess: {other:?}"),
            }
        });
        assert_only_503(&cluster, alone, &id, Duration::from_secs(1));

        // It closes its clients by itself, before the others may call them offline.
        let mut closed_at = None;
        deadline::until("the others see the islander offline", cluster.offline_within() + SOON, || {
            if closed_at.is_none() && matches!(islander.next(Duration::from_millis(1)), Arrival::Closed(_)) {
                closed_at = Some(cut.elapsed());
            }
            let online = cluster.ask(others[0], &id)?.online;
            assert!(
                online || closed_at.is_some(),
                "offline after {:?}, but its connection is still open",
                cut.elapsed()
            );
            if online { Err("still online".to_owned()) } else { Ok(()) }
        });
        elsewhere.ping().unwrap();
        // Listeners are closed, http and admin stay.
        assert!(
            Connection::open(cluster.nodes[alone].addresses.mqtt, rollcall_test_cluster::mqtt::Version::V5).is_err()
        );
        let admin = cluster.nodes[alone].addresses.admin;
        assert_eq!(http::request(admin, "GET", "/healthz", &[]).unwrap().status, 200);
        assert_eq!(http::request(admin, "GET", "/readyz", &[]).unwrap().status, 503);
        // The majority gives the id to whoever connects.
        let mut moved = cluster.connect(others[1], &id);

        cluster.network.as_ref().unwrap().heal(alone);
        cluster.wait_ready();
        cluster.assert_online(&[0, 1, 2], &id, true);
        moved.ping().unwrap();
        let mut back = cluster.connect(alone, &format!("back-{round}"));
        back.ping().unwrap();
    }
}

//! Dead and paused nodes: their clients turn offline in time, and a node past its lease says nothing more to anybody.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Version, Will};
use rollcall_test_cluster::{Cluster, deadline};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);
/// Longer than the lease, its margins and an election.
const WELL_PAST_THE_FENCE: Duration = Duration::from_secs(12);

/// B-002, B-005, B-031, B-055: one entry per partition takes all clients of a dead node offline.
#[test]
fn three_hundred_clients_of_a_dead_node_are_offline_within_the_bound() {
    let mut cluster = Cluster::of_three();
    let victim = (cluster.leader() + 1) % 3;
    let survivors = cluster.others(victim);
    let clients: Vec<_> = (0..300).map(|number| cluster.connect(victim, &format!("crowd-{number}"))).collect();
    cluster.nodes[victim].kill();
    let killed = Instant::now();
    for number in 0..clients.len() {
        let left = cluster.offline_within().saturating_sub(killed.elapsed());
        cluster.wait_online(&survivors, &format!("crowd-{number}"), false, left);
    }
}

/// B-049, B-050: survivors publish the will of a dead node's client, once.
#[test]
fn the_will_of_a_dead_nodes_client_is_published_once() {
    let mut cluster = Cluster::of_three();
    let mut watchers = [cluster.connect(1, "watcher-1"), cluster.connect(2, "watcher-2")];
    for watcher in &mut watchers {
        watcher.subscribe("wills/#").unwrap();
    }
    let mut connect = Connect::new(Version::V5, "doomed");
    connect.will = Some(Will { topic: "wills/doomed".to_owned(), payload: b"gone".to_vec() });
    let _doomed = cluster.connect_as(0, &connect);
    cluster.nodes[0].kill();
    for watcher in &mut watchers {
        let Arrival::Packet(packet) = watcher.next(cluster.offline_within() + SOON) else { panic!("no will") };
        assert_eq!(packet.publish(Version::V5), Some(("wills/doomed".to_owned(), b"gone".to_vec())));
        assert_eq!(watcher.next(Duration::from_secs(2)), Arrival::Silence, "one will, once");
    }
}

/// B-001, B-033, B-036: an owner that stood still past its fence wakes up: its clients get nothing but the close.
#[test]
fn a_paused_owner_that_wakes_past_its_fence_only_closes() {
    let mut cluster = Cluster::of_three();
    for owner in [(cluster.leader() + 1) % 3, cluster.leader()] {
        let others = cluster.others(owner);
        let mut clients: Vec<_> = (0..5)
            .map(|number| {
                let mut client = cluster.connect(owner, &format!("frozen-{owner}-{number}"));
                client.subscribe("to/all").unwrap();
                client
            })
            .collect();
        let mut publisher = cluster.connect(others[0], &format!("publisher-{owner}"));

        cluster.nodes[owner].pause();
        for number in 0..clients.len() {
            cluster.wait_online(&others, &format!("frozen-{owner}-{number}"), false, WELL_PAST_THE_FENCE);
        }
        // One of them connects elsewhere meanwhile; the others ask their silent owner for something.
        let mut moved = cluster.connect(others[1], &format!("frozen-{owner}-0"));
        for client in &mut clients {
            client.send(&[0xc0, 0]).unwrap();
        }
        publisher.publish("to/all", b"said during the pause").unwrap();

        cluster.nodes[owner].resume();
        for client in &mut clients {
            assert_eq!(client.to_the_end(SOON).unwrap(), [], "nothing but the close");
        }
        deadline::holds("the answers stay right", Duration::from_secs(2), || {
            for place in 0..3 {
                for (number, online) in [(0, true), (1, false), (4, false)] {
                    // The paused node may answer 503 until it is back, but nothing wrong.
                    let Ok(answer) = cluster.ask(place, &format!("frozen-{owner}-{number}")) else { continue };
                    if answer.online != online {
                        return Err(format!("frozen-{owner}-{number} at n{}: {answer:?}", place + 1));
                    }
                }
            }
            Ok(())
        });
        moved.ping().unwrap();
        cluster.wait_ready();
        // It comes back with a new incarnation and serves again.
        let mut again = cluster.connect(owner, &format!("frozen-{owner}-1"));
        again.ping().unwrap();
        cluster.assert_online(&[0, 1, 2], &format!("frozen-{owner}-1"), true);
    }
}

/// B-064: a takeover does not wait for an old owner that hangs.
#[test]
fn a_client_of_a_hanging_node_connects_elsewhere_before_the_fence() {
    let cluster = Cluster::of_three();
    let owner = (cluster.leader() + 1) % 3;
    let others = cluster.others(owner);
    let _old: Vec<_> = (0..6).map(|number| cluster.connect(owner, &format!("moving-{number}"))).collect();
    cluster.nodes[owner].pause();
    for number in 0..6 {
        let id = format!("moving-{number}");
        let mut new = cluster.connect(others[number % 2], &id);
        new.ping().unwrap();
        let answer = deadline::until("an answer", SOON, || cluster.ask(others[(number + 1) % 2], &id));
        assert!(answer.online, "{id}: {answer:?}");
        new.disconnect().unwrap();
    }
    cluster.nodes[owner].resume();
}

/// The pause ends before the lease does: nothing happened.
#[test]
fn a_pause_shorter_than_the_lease_disturbs_nobody() {
    let cluster = Cluster::of_three();
    let owner = (cluster.leader() + 1) % 3;
    let mut client = cluster.connect(owner, "patient");
    cluster.nodes[owner].pause();
    let others = cluster.others(owner);
    deadline::holds("patient stays online", cluster.lease() / 4, || {
        // An election of the partition may take its time; a wrong answer may not.
        match cluster.ask(others[0], "patient") {
            Ok(answer) if !answer.online => Err(format!("{answer:?}")),
            _ => Ok(()),
        }
    });
    cluster.nodes[owner].resume();
    client.ping().unwrap();
    cluster.wait_online(&[0, 1, 2], "patient", true, SOON);
}

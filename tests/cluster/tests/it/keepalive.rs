//! Keep-alive: a client that falls silent is offline by one and a half times its keep-alive; others are left alone.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::deadline;
use rollcall_test_cluster::mqtt::{Connect, Connection, Version, kind};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
/// How much later than 1.5 times the keep-alive the end may come.
const ACCURACY: Duration = Duration::from_secs(1);

/// B-007, B-020, B-042, B-120, B-122: over every transport and version.
#[test]
fn a_silent_client_is_offline_by_one_and_a_half_times_its_keep_alive() {
    let cluster = Cluster::of_three();
    let mut silent = Vec::new();
    for (number, version) in [Version::V31, Version::V311, Version::V5].into_iter().enumerate() {
        let connect = Connect::new(version, &format!("silent-{number}")).keep_alive(2);
        silent.push((version, connect.client_id.clone(), Instant::now(), cluster.connect_as(number, &connect)));
        let connect = Connect::new(version, &format!("silent-ws-{number}")).keep_alive(2);
        let began = Instant::now();
        let mut connection = Connection::open_websocket(cluster.nodes[number].addresses.ws, version).unwrap();
        connection.introduce(&connect).unwrap();
        silent.push((version, connect.client_id, began, connection));
    }
    let bound = Duration::from_secs(3);
    for (_, id, began, _) in &silent {
        // Not too early: a client may be late by half its keep-alive.
        if began.elapsed() < Duration::from_millis(2_800) {
            cluster.assert_online(&ALL, id, true);
        }
    }
    for (version, id, began, connection) in &mut silent {
        let packets = connection.to_the_end(bound + ACCURACY * 2).unwrap();
        for packet in packets {
            assert_eq!((*version, packet.kind(), packet.body.first()), (Version::V5, kind::DISCONNECT, Some(&0x8d)));
        }
        let took = began.elapsed();
        assert!(took >= bound - Duration::from_millis(100), "{id} was closed after {took:?}");
        cluster.wait_online(&ALL, id, false, (bound + ACCURACY).saturating_sub(took).max(Duration::from_millis(500)));
    }
    let late = silent[0].2.elapsed();
    assert!(late < bound + ACCURACY + Duration::from_millis(500), "all were closed only after {late:?}");
}

#[test]
fn a_client_that_pings_or_publishes_stays_and_keep_alive_0_never_ends() {
    let cluster = Cluster::of_three();
    let mut pinging = cluster.connect_as(0, &Connect::new(Version::V311, "pinging").keep_alive(1));
    let mut publishing = cluster.connect_as(1, &Connect::new(Version::V5, "publishing").keep_alive(1));
    let mut without = cluster.connect_as(2, &Connect::new(Version::V311, "without").keep_alive(0));
    let mut last = Instant::now();
    deadline::holds("all stay online", Duration::from_secs(5), || {
        if last.elapsed() > Duration::from_millis(600) {
            last = Instant::now();
            pinging.ping()?;
            publishing.publish("beat", b"1")?;
        }
        for id in ["pinging", "publishing", "without"] {
            let answer = cluster.ask(1, id)?;
            if !answer.online {
                return Err(format!("{id}: {answer:?}"));
            }
        }
        Ok(())
    });
    publishing.ping().unwrap();
    without.ping().unwrap();
}

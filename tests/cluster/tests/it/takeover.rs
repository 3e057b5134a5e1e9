//! One client id, one owner: a newer connection displaces the older one, wherever both are.

use rollcall_test_cluster::mqtt::{Connect, Connection, Version, kind};
use rollcall_test_cluster::{Cluster, deadline};
use std::time::Duration;

const ALL: [usize; 3] = [0, 1, 2];
const SOON: Duration = Duration::from_secs(5);
const ROUNDS: usize = 200;

/// The end of a displaced connection: v5 hears 0x8E first, v3 nothing.
fn assert_displaced(connection: &mut Connection, version: Version) {
    let packets = connection.to_the_end(SOON).unwrap();
    if version == Version::V5 {
        assert_eq!(packets.len(), 1, "MQTT-3.1.4-3: {packets:?}");
        assert_eq!((packets[0].kind(), packets[0].body.first()), (kind::DISCONNECT, Some(&0x8e)), "{packets:?}");
    } else {
        assert_eq!(packets, [], "an MQTT 3 server sends no DISCONNECT");
    }
}

/// B-062, B-072, B-081, B-082, B-085: at most one owner in the cluster, and the loser hears why.
#[test]
fn a_newer_connection_displaces_the_older_one_on_the_same_and_on_another_node() {
    let cluster = Cluster::of_three();
    for version in [Version::V31, Version::V311, Version::V5] {
        for (old_place, new_place) in [(0, 0), (0, 1), (2, 0), (1, 2)] {
            let connect = Connect::new(version, "contested");
            let mut old = cluster.connect_as(old_place, &connect);
            let mut new = cluster.connect_as(new_place, &connect);
            assert_displaced(&mut old, version);
            cluster.assert_online(&ALL, "contested", true);
            new.ping().unwrap();
            assert_eq!(
                cluster.ask(old_place, "contested").unwrap().node.as_deref(),
                Some(cluster.nodes[new_place].name.as_str())
            );
            new.disconnect().unwrap();
        }
    }
}

/// B-067, B-077, B-091: no round wedges the id, and nobody is displaced but by a newer connection.
#[test]
fn two_hundred_takeovers_across_nodes_leave_one_owner_after_each() {
    let cluster = Cluster::of_three();
    let version_of = |round: usize| if round.is_multiple_of(2) { Version::V5 } else { Version::V311 };
    let mut epoch = 0;
    let mut held = cluster.connect_as(0, &Connect::new(version_of(0), "wanderer"));
    for round in 1..=ROUNDS {
        let place = round % 3;
        let newer = cluster.connect_as(place, &Connect::new(version_of(round), "wanderer"));
        let answer = cluster.ask((round + 1) % 3, "wanderer").unwrap();
        assert!(answer.online, "round {round}: {answer:?}");
        assert_eq!(answer.node.as_deref(), Some(cluster.nodes[place].name.as_str()), "round {round}");
        assert!(answer.epoch.unwrap() > epoch, "round {round}: {answer:?} after epoch {epoch}");
        epoch = answer.epoch.unwrap();
        let mut older = std::mem::replace(&mut held, newer);
        assert_displaced(&mut older, version_of(round - 1));
    }
    held.ping().unwrap();
    cluster.assert_online(&ALL, "wanderer", true);
}

/// B-075, B-094: at once from several nodes; a client sees at most a delay, and exactly one stays.
#[test]
fn of_many_connections_at_once_exactly_one_stays_and_it_is_the_owner_on_record() {
    let cluster = Cluster::of_three();
    for round in 0..10 {
        let id = format!("rush-{round}");
        let mut connections: Vec<(usize, Option<Connection>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|number| {
                    let (to, connect) = (cluster.nodes[number % 3].addresses.mqtt, Connect::new(Version::V5, &id));
                    scope.spawn(move || (number % 3, Connection::connect(to, &connect).ok().map(|(c, _)| c)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let alive: Vec<usize> = deadline::until(&format!("one of {id} stays"), SOON, || {
            let alive: Vec<usize> = connections
                .iter_mut()
                .filter_map(|(place, connection)| {
                    connection.as_mut().is_some_and(|c| c.ping().is_ok()).then_some(*place)
                })
                .collect();
            if alive.len() == 1 { Ok(alive) } else { Err(format!("alive at {alive:?}")) }
        });
        let answer = cluster.ask((alive[0] + 1) % 3, &id).unwrap();
        assert!(answer.online);
        assert_eq!(answer.node.as_deref(), Some(cluster.nodes[alive[0]].name.as_str()));
    }
}

/// B-052, B-078, B-083, B-087, B-089: the late end of an old connection changes nothing for the new one.
#[test]
fn the_late_end_of_an_old_connection_does_not_end_the_new_one() {
    let cluster = Cluster::of_three();
    for round in 0..20 {
        let old = cluster.connect(round % 3, "reborn");
        let _new = cluster.connect((round + 1) % 3, "reborn");
        drop(old);
        deadline::holds("reborn stays online", Duration::from_millis(100), || {
            let answer = cluster.ask((round + 2) % 3, "reborn")?;
            if answer.online { Ok(()) } else { Err(format!("{answer:?}")) }
        });
    }
}

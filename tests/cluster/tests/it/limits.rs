//! Limits of the instance: each node takes an equal part, and what is beyond it is refused in the words of its version.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Refused, Version, kind};
use rollcall_test_cluster::{Cluster, Options, deadline, metrics};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

fn limited(cluster: &Cluster, kind: &str) -> f64 {
    let of_node = |place: usize| {
        let samples = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_quota_limited_total").unwrap();
        let label = format!("kind=\"{kind}\"");
        samples.iter().filter(|sample| sample.labels.contains(&label)).map(|sample| sample.value).sum::<f64>()
    };
    (0..cluster.nodes.len()).map(of_node).sum()
}

fn connect(cluster: &Cluster, place: usize, version: Version, client_id: &str) -> Result<Connection, u8> {
    match Connection::connect(cluster.nodes[place].addresses.mqtt, &Connect::new(version, client_id)) {
        Ok((connection, _)) => Ok(connection),
        Err(Refused::Code(code)) => Err(code),
        Err(other) => panic!("{other:?}"),
    }
}

/// The last code of the SUBACK.
fn subscribe(connection: &mut Connection, filter: &str) -> u8 {
    connection.send(&rollcall_test_cluster::mqtt::subscribe(connection.version(), filter)).unwrap();
    match connection.next(WITHIN) {
        Arrival::Packet(packet) if packet.kind() == kind::SUBACK => *packet.body.last().unwrap(),
        other => panic!("no SUBACK but {other:?}"),
    }
}

#[test]
fn the_instance_has_so_many_connections_and_subscriptions_and_no_more() {
    let limits = &[("connections", 6), ("subscriptions", 9)];
    let cluster = Cluster::start(Options { limits, ..Options::default() });
    let mut there = Vec::new();
    for place in 0..3 {
        for number in 0..2 {
            there.push(connect(&cluster, place, Version::V5, &format!("c{place}-{number}")).unwrap());
        }
        assert_eq!(connect(&cluster, place, Version::V5, "more").err(), Some(0x97));
        assert_eq!(connect(&cluster, place, Version::V311, "more").err(), Some(3));
    }
    assert_eq!(limited(&cluster, "connections"), 6.0);
    // A newer connection of a client that is there is not one more.
    there[0] = connect(&cluster, 0, Version::V311, "c0-0").unwrap();
    for place in 0..3 {
        for filter in ["a", "b", "$share/g/c"] {
            assert_eq!(subscribe(&mut there[2 * place], filter), 0, "{place} {filter}");
        }
        let code = if place == 0 { 0x80 } else { 0x97 };
        assert_eq!(subscribe(&mut there[2 * place], "d"), code);
        assert_eq!(subscribe(&mut there[2 * place + 1], "d"), 0x97);
    }
    assert_eq!(limited(&cluster, "subscriptions"), 6.0);
    drop(there.pop());
    deadline::until("there is room again", WITHIN, || match connect(&cluster, 2, Version::V5, "more") {
        Ok(_) => Ok(()),
        Err(code) => Err(format!("{code:#x}")),
    });
}

#[test]
fn the_instances_rates_refuse_what_comes_too_soon() {
    let limits = &[("connects_per_second", 3), ("subscribes_per_second", 3)];
    let cluster = Cluster::start(Options { limits, ..Options::default() });
    for (version, connect_code, subscribe_code) in [(Version::V5, 0x9F, 0x97), (Version::V311, 3, 0x80)] {
        let mut connection = deadline::until("a connect is let in", WITHIN, || {
            connect(&cluster, 1, version, "first").map_err(|code| format!("{code:#x}"))
        });
        let refused = (0..5).filter_map(|_| connect(&cluster, 1, version, "soon").err()).collect::<Vec<_>>();
        assert!(refused.contains(&connect_code) && refused.iter().all(|code| *code == connect_code), "{refused:02x?}");
        let codes: Vec<u8> = (0..5).map(|number| subscribe(&mut connection, &format!("t/{number}"))).collect();
        assert!(codes.contains(&subscribe_code), "{codes:02x?}");
        assert!(codes.iter().all(|code| [0, subscribe_code].contains(code)), "{codes:02x?}");
    }
    assert!(limited(&cluster, "connects") >= 2.0 && limited(&cluster, "subscribes") >= 2.0);
}

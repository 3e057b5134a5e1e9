//! CONNECT and what follows it: every version on one port, refusals, endings, messages between nodes.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::config::FORBIDDEN_USER;
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Refused, Version, Will, kind};
use rollcall_test_cluster::{Options, deadline};
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
const AT_ONCE: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(5);

/// B-016, B-023, B-025: any node answers for the whole cluster, and alike.
#[test]
fn every_version_connects_over_tcp_and_websocket_and_is_online_on_every_node() {
    let cluster = Cluster::of_three();
    let mut open = Vec::new();
    for (version, name) in [(Version::V31, "v31"), (Version::V311, "v311"), (Version::V5, "v5")] {
        for place in ALL {
            let id = format!("{name}-tcp-{place}");
            open.push(cluster.connect_as(place, &Connect::new(version, &id)));
            cluster.assert_online(&ALL, &id, true);

            let id = format!("{name}-ws-{place}");
            let mut connection = Connection::open_websocket(cluster.nodes[place].addresses.ws, version).unwrap();
            connection.introduce(&Connect::new(version, &id)).unwrap();
            open.push(connection);
            cluster.assert_online(&ALL, &id, true);
        }
    }
    for connection in &mut open {
        connection.ping().unwrap();
    }
}

#[test]
fn an_answer_reflects_every_connack_sent_before_the_question() {
    let cluster = Cluster::of_three();
    let mut open = Vec::new();
    for number in 0..60 {
        let id = format!("device-{number}");
        open.push(cluster.connect(number % 3, &id));
        // Asked at once, of a node that is not the owner: no waiting until it becomes true.
        let asked = (number + 1) % 3;
        let answer = cluster.ask(asked, &id).unwrap();
        assert!(answer.online, "{id} asked of n{}: {answer:?}", asked + 1);
        assert_eq!(answer.node.as_deref(), Some(cluster.nodes[number % 3].name.as_str()));
    }
}

#[test]
fn a_clean_disconnect_and_a_lost_connection_turn_the_client_offline_everywhere() {
    let cluster = Cluster::of_three();
    let leaving = cluster.connect(0, "leaving");
    let lost = cluster.connect(1, "lost");
    leaving.disconnect().unwrap();
    cluster.wait_online(&ALL, "leaving", false, AT_ONCE);
    drop(lost);
    cluster.wait_online(&ALL, "lost", false, AT_ONCE);
}

#[test]
fn an_empty_id_is_assigned_one_or_refused_as_each_version_says() {
    let cluster = Cluster::of_three();
    let to = cluster.nodes[0].addresses.mqtt;
    let (_v5, connack) = Connection::connect(to, &Connect::new(Version::V5, "")).unwrap();
    let assigned = connack.text_property(0x12).expect("MQTT-3.1.3-7: Assigned Client Identifier");
    cluster.assert_online(&ALL, &assigned, true);

    let (mut v3, _) = Connection::connect(to, &Connect::new(Version::V311, "")).unwrap();
    v3.ping().unwrap();

    let mut kept = Connect::new(Version::V311, "");
    kept.clean = false;
    assert_eq!(Connection::connect(to, &kept).err(), Some(Refused::Code(2)), "MQTT-3.1.3-8 of 3.1.1");
}

#[test]
fn wrong_credentials_and_a_missing_permission_are_refused_with_the_code_of_the_version() {
    let cluster = Cluster::of_three();
    let to = cluster.nodes[1].addresses.mqtt;
    let refusal = |connect: &Connect| match Connection::connect(to, connect) {
        Err(Refused::Code(code)) => code,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("{} was let in", connect.client_id),
    };
    let wrong = |version| Connect::new(version, "intruder").password("wrong");
    assert_eq!(refusal(&wrong(Version::V5)), 0x86);
    assert!([4, 5].contains(&refusal(&wrong(Version::V311))));

    let mut forbidden = Connect::new(Version::V5, "intruder");
    (forbidden.username, forbidden.password) = (Some(FORBIDDEN_USER.0.into()), Some(FORBIDDEN_USER.1.into()));
    assert_eq!(refusal(&forbidden), 0x87);
    forbidden.version = Version::V311;
    assert_eq!(refusal(&forbidden), 5);

    let mut anonymous = Connect::new(Version::V5, "intruder");
    (anonymous.username, anonymous.password) = (None, None);
    assert!([0x86, 0x87].contains(&refusal(&anonymous)));
    cluster.assert_online(&ALL, "intruder", false);
}

#[test]
fn what_is_no_connect_gets_no_connection() {
    let cluster = Cluster::of_three();
    let to = cluster.nodes[0].addresses.mqtt;
    // MQTT-3.1.0-1: the first packet must be CONNECT.
    let mut ping_first = Connection::open(to, Version::V311).unwrap();
    ping_first.send(&[0xc0, 0]).unwrap();
    assert_eq!(ping_first.to_the_end(SOON).unwrap(), []);

    let mut http = Connection::open(to, Version::V311).unwrap();
    http.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(http.to_the_end(SOON).unwrap(), []);

    // An unknown protocol level: refused with a code of either version, or closed; never let in.
    let mut bytes = Connect::new(Version::V311, "future").encode();
    let level = bytes.windows(4).position(|w| w == b"MQTT").unwrap() + 4;
    bytes[level] = 9;
    let mut future = Connection::open(to, Version::V311).unwrap();
    future.send(&bytes).unwrap();
    for packet in future.to_the_end(SOON).unwrap() {
        assert_eq!(packet.kind(), kind::CONNACK);
        assert!([0x01, 0x84].contains(&packet.body[1]), "{packet:?}");
    }
    cluster.assert_online(&ALL, "future", false);
}

#[test]
fn a_second_connect_ends_the_connection() {
    let cluster = Cluster::of_three();
    for version in [Version::V311, Version::V5] {
        let connect = Connect::new(version, "twice");
        let mut connection = cluster.connect_as(2, &connect);
        connection.send(&connect.encode()).unwrap();
        // MQTT-3.1.0-2. A v5 server may say why first.
        for packet in connection.to_the_end(SOON).unwrap() {
            assert_eq!((version, packet.kind()), (Version::V5, kind::DISCONNECT), "{packet:?}");
            assert_eq!(packet.body.first(), Some(&0x82));
        }
        cluster.wait_online(&ALL, "twice", false, AT_ONCE);
    }
}

/// B-123: a TCP connection that never sends CONNECT is closed in time.
#[test]
fn a_connection_that_says_nothing_is_closed_after_the_connect_timeout() {
    let cluster = Cluster::start(Options { connect_timeout_ms: 1_500, ..Options::default() });
    let began = Instant::now();
    let mut silent = Connection::open(cluster.nodes[0].addresses.mqtt, Version::V311).unwrap();
    let mut halting = Connection::open(cluster.nodes[0].addresses.mqtt, Version::V311).unwrap();
    halting.send(&[0x10, 0x20, 0]).unwrap();
    for connection in [&mut silent, &mut halting] {
        assert!(matches!(connection.next(Duration::from_secs(4)), Arrival::Closed(rest) if rest.is_empty()));
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1_400) && took < Duration::from_secs(3), "closed after {took:?}");
}

#[test]
fn a_message_reaches_subscribers_on_every_node() {
    let cluster = Cluster::of_three();
    let versions = [Version::V31, Version::V311, Version::V5];
    let mut subscribers: Vec<(Version, Connection)> = ALL
        .into_iter()
        .map(|place| (versions[place], Connect::new(versions[place], &format!("subscriber-{place}"))))
        .enumerate()
        .map(|(place, (version, connect))| (version, cluster.connect_as(place, &connect)))
        .collect();
    for (_, connection) in &mut subscribers {
        connection.subscribe("plant/+/temperature").unwrap();
    }
    let mut publisher = cluster.connect(1, "publisher");
    publisher.publish("plant/7/pressure", b"not for us").unwrap();
    publisher.publish("plant/7/temperature", b"21.5").unwrap();
    for (version, connection) in &mut subscribers {
        let Arrival::Packet(packet) = connection.next(SOON) else { panic!("no message for {version:?}") };
        assert_eq!(packet.publish(*version), Some(("plant/7/temperature".to_owned(), b"21.5".to_vec())));
    }
}

/// B-056: every ending but a clean DISCONNECT owes the will.
#[test]
fn a_will_is_published_once_when_the_connection_is_lost_and_not_after_a_clean_disconnect() {
    let cluster = Cluster::of_three();
    let mut watcher = cluster.connect(2, "watcher");
    watcher.subscribe("wills/#").unwrap();
    let with_will = |id: &str| {
        let mut connect = Connect::new(Version::V5, id);
        connect.will = Some(Will { topic: format!("wills/{id}"), payload: b"gone".to_vec() });
        cluster.connect_as(0, &connect)
    };
    with_will("polite").disconnect().unwrap();
    cluster.wait_online(&ALL, "polite", false, AT_ONCE);
    drop(with_will("torn"));
    let Arrival::Packet(packet) = watcher.next(SOON) else { panic!("no will") };
    assert_eq!(packet.publish(Version::V5), Some(("wills/torn".to_owned(), b"gone".to_vec())));
    assert_eq!(watcher.next(AT_ONCE), Arrival::Silence, "one will, once");
}

/// B-083: a client that is gone before its CONNACK is not left online.
#[test]
fn a_client_that_hangs_up_during_its_connect_does_not_stay_online() {
    let cluster = Cluster::of_three();
    for round in 0..50 {
        let id = format!("hasty-{round}");
        let mut connection = Connection::open(cluster.nodes[round % 3].addresses.mqtt, Version::V5).unwrap();
        connection.send(&Connect::new(Version::V5, &id).encode()).unwrap();
        drop(connection);
    }
    for round in 0..50 {
        cluster.wait_online(&ALL, &format!("hasty-{round}"), false, SOON);
    }
    deadline::holds("nobody comes back", AT_ONCE, || {
        let answer = cluster.ask(0, "hasty-7")?;
        if answer.online { Err(format!("{answer:?}")) } else { Ok(()) }
    });
}

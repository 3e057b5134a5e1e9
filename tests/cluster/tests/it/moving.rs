//! Sessions that move with their clients from node to node.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version, kind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
const CLIENT: &str = "traveller";

/// Connects with what was there before; true when there was a session.
fn travel(cluster: &Cluster, place: usize) -> (Connection, bool) {
    let connect = Connect { clean: false, ..Connect::new(Version::V311, CLIENT) };
    let (connection, connack) = Connection::connect(cluster.nodes[place].addresses.mqtt, &connect).unwrap();
    (connection, connack.session_present)
}

/// Subscribes to `t` at QoS 1.
fn subscribe(connection: &mut Connection) {
    connection.send(&[0x82, 6, 0, 1, 0, 1, b't', 1]).unwrap();
    match connection.next(WITHIN) {
        Arrival::Packet(packet) => assert_eq!((packet.kind(), packet.body), (kind::SUBACK, vec![0, 1, 1])),
        other => panic!("no SUBACK but {other:?}"),
    }
}

/// The number in the next message, which is acknowledged.
fn take(connection: &mut Connection) -> u32 {
    let packet = match connection.next(WITHIN) {
        Arrival::Packet(packet) if packet.kind() == kind::PUBLISH => packet,
        other => panic!("no message but {other:?}"),
    };
    let id = [packet.body[3], packet.body[4]];
    connection.send(&[0x40, 2, id[0], id[1]]).unwrap();
    String::from_utf8(packet.body[5..].to_vec()).unwrap().parse().unwrap()
}

fn publish(publisher: &mut Connection, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(publisher.publish_acknowledged("t", number.to_string().as_bytes(), false), Ok(0));
    }
}

#[test]
fn a_session_moves_with_its_client_from_node_to_node() {
    let cluster = Cluster::of_three();
    let mut publisher = cluster.connect(2, "publisher");
    let (mut device, present) = travel(&cluster, 0);
    assert!(!present);
    subscribe(&mut device);
    for (leg, place) in [1, 2, 0].into_iter().enumerate() {
        drop(device);
        cluster.wait_online(&[0, 1, 2], CLIENT, false, cluster.offline_within());
        let first = u32::try_from(leg).unwrap() * 100;
        publish(&mut publisher, first..first + 20);
        let (mut there, present) = travel(&cluster, place);
        assert!(present, "the session is at n{}", place + 1);
        publish(&mut publisher, first + 20..first + 30);
        let got: Vec<u32> = (0..30).map(|_| take(&mut there)).collect();
        assert_eq!(got, (first..first + 30).collect::<Vec<_>>(), "at n{}", place + 1);
        assert_eq!(there.next(Duration::from_millis(200)), Arrival::Silence, "each once");
        device = there;
    }
}

#[test]
fn a_client_that_moves_while_messages_come_misses_none_that_was_acknowledged() {
    let cluster = Cluster::of_three();
    let (mut device, _) = travel(&cluster, 0);
    subscribe(&mut device);
    let arrived = AtomicBool::new(false);
    let (got, published) = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut publisher = cluster.connect(2, "publisher");
            let mut count = 0;
            while !arrived.load(Ordering::SeqCst) {
                publish(&mut publisher, count..count + 1);
                count += 1;
            }
            publish(&mut publisher, count..count + 1);
            count
        });
        let mut got = vec![take(&mut device)];
        for place in [1, 0, 1, 2, 1, 0] {
            // The connection before is still there: it is taken over.
            let (there, present) = travel(&cluster, place);
            assert!(present, "the session is at n{}", place + 1);
            device = there;
            let before = got.len();
            while got.len() < before + 20 {
                got.push(take(&mut device));
            }
        }
        arrived.store(true, Ordering::SeqCst);
        let last = publishing.join().unwrap();
        while got.last() != Some(&last) {
            got.push(take(&mut device));
        }
        (got, last)
    });
    let missing: Vec<u32> = (0..=published).filter(|number| !got.contains(number)).collect();
    assert!(missing.is_empty(), "missing {missing:?} of {published} in {got:?}");
}

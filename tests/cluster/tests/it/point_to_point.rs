//! Messages for one client, and values that the broker itself tells.

use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::mqtt::{Arrival, Connection, Version};
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);
/// v5: accepted, and nobody gets it.
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
const NOT_AUTHORIZED: u8 = 0x87;

fn message(connection: &mut Connection) -> (String, Vec<u8>) {
    match connection.next(WITHIN) {
        Arrival::Packet(packet) => packet.publish(Version::V5).unwrap_or_else(|| panic!("no message but {packet:?}")),
        other => panic!("no message but {other:?}"),
    }
}

#[test]
fn a_message_for_one_client_finds_it_on_any_node_without_a_subscription() {
    let cluster = Cluster::of_three();
    let mut sender = cluster.connect(0, "sender");
    let mut bystander = cluster.connect(1, "bystander");
    bystander.subscribe("#").unwrap();
    for place in 0..3 {
        let mut device = cluster.connect(place, "fleet/device");
        assert_eq!(sender.publish_acknowledged("first/p2p/fleet/device", b"for you", false), Ok(0));
        assert_eq!(message(&mut device), ("first/p2p/fleet/device".to_owned(), b"for you".to_vec()), "n{}", place + 1);
        device.disconnect().unwrap();
        cluster.wait_online(&[0, 1, 2], "fleet/device", false, WITHIN);
        let answer = sender.publish_acknowledged("first/p2p/fleet/device", b"gone", false);
        assert_eq!(answer, Ok(NO_MATCHING_SUBSCRIBERS));
    }
    bystander.ping().unwrap();
    assert_eq!(bystander.next(Duration::from_millis(200)), Arrival::Silence, "it is for one client alone");
    assert_eq!(sender.publish_acknowledged("$SYS/broker/version", b"mine", true), Ok(NOT_AUTHORIZED));
}

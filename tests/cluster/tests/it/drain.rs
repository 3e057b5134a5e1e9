//! SIGTERM: a node sends its clients away, releases their claims, hands leadership over and stops.

use rollcall_test_cluster::mqtt::{Connect, Version, kind};
use rollcall_test_cluster::{Cluster, deadline};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// B-018, B-035, B-090, B-151, B-155: at once, not after a lease; nobody else is disturbed; the same node comes back.
#[test]
fn a_terminated_node_takes_its_clients_offline_at_once_and_disturbs_nobody_else() {
    let mut cluster = Cluster::of_three();
    for round in 0..3 {
        let leaving = (cluster.leader() + round) % 3;
        let others = cluster.others(leaving);
        let mut v5: Vec<_> = (0..10).map(|n| cluster.connect(leaving, &format!("v5-{round}-{n}"))).collect();
        let mut v3 = cluster.connect_as(leaving, &Connect::new(Version::V311, &format!("v3-{round}")));
        let mut staying: Vec<_> =
            others.iter().map(|place| cluster.connect(*place, &format!("staying-{round}-{place}"))).collect();

        cluster.nodes[leaving].terminate();
        for client in &mut v5 {
            let packets = client.to_the_end(STOPPED_WITHIN).unwrap();
            assert_eq!(packets.len(), 1, "{packets:?}");
            assert_eq!(packets[0].kind(), kind::DISCONNECT);
            let body = &packets[0].body;
            assert_eq!(body.first(), Some(&0x8b), "{body:x?}");
            let other = cluster.nodes[others[0]].addresses.mqtt.to_string();
            let named = body.windows(other.len()).any(|bytes| bytes == other.as_bytes());
            assert!(named && body.contains(&0x1c), "where else to go: {body:x?}");
        }
        assert_eq!(v3.to_the_end(STOPPED_WITHIN).unwrap(), []);
        let status = cluster.nodes[leaving].ended(STOPPED_WITHIN);
        assert_eq!(status.code(), Some(0), "a drained node ends well");

        for n in 0..v5.len() {
            // Their claims were released before the node ended: no lease is waited for.
            let id = format!("v5-{round}-{n}");
            let answer = deadline::until("an answer", SOON, || cluster.ask(others[n % 2], &id));
            assert!(!answer.online, "{id}: {answer:?}");
        }
        for (client, place) in staying.iter_mut().zip(&others) {
            client.ping().unwrap();
            cluster.assert_online(&others, &format!("staying-{round}-{place}"), true);
        }
        cluster.nodes[leaving].start();
        cluster.wait_ready();
    }
}

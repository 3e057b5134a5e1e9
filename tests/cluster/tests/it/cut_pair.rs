//! Two nodes that do not reach each other while a third reaches both: everything goes on, over the third.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, deadline, metrics, tools};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const QOS: [u8; 3] = [0, 1, 2];
/// Messages at each QoS before the cut, during it, and after it.
const PER_STAGE: u64 = 400;
/// So many numbers may the publisher be ahead of the slowest subscriber, whose queue is bounded.
const AHEAD_MAX: u64 = 100;
/// QoS 1 and 2 messages that the publisher has under way.
const WINDOW: usize = 24;
/// Until a cut is noticed and a common node is found; a lease is longer.
const NOTICED_WITHIN: Duration = Duration::from_secs(6);
/// Until a link is dialled again and has answered for a while.
const HEALED_WITHIN: Duration = Duration::from_secs(20);
/// What is usual while a pair is relayed, on a busy machine.
const USUAL: Duration = Duration::from_secs(1);
const WITHIN: Duration = Duration::from_secs(15);
/// Nothing more comes after this much silence.
const QUIET: Duration = Duration::from_millis(400);
const STANDS_STILL_AT_MOST: Duration = Duration::from_secs(20);

/// How far everybody is.
#[derive(Default)]
struct Run {
    /// The publisher goes so far, and no further.
    gate: AtomicU64,
    /// How far the subscribers are, by their QoS.
    reached: [AtomicU64; 3],
}

impl Run {
    fn slowest(&self) -> u64 {
        self.reached.iter().map(|reached| reached.load(SeqCst)).min().unwrap_or(0)
    }

    /// Publishes numbers from 1 on, each at every QoS, as far as the gate is open.
    fn publish(&self, to: SocketAddr, last: u64) {
        let (mut connection, _) = Connection::connect(to, &Connect::new(Version::V5, "publisher")).unwrap();
        let (mut next, mut id, mut waiting) = (1, 0_u16, std::collections::BTreeSet::new());
        let mut moved = Instant::now();
        while next <= last || !waiting.is_empty() {
            let open = self.gate.load(SeqCst).min(self.slowest() + AHEAD_MAX);
            if next <= open && waiting.len() < WINDOW {
                for qos in QOS {
                    id = id.checked_add(1).unwrap_or(1);
                    connection.send_publish(&topic(qos), next.to_string().as_bytes(), qos, id).unwrap();
                    if qos > 0 {
                        assert!(waiting.insert(id));
                    }
                }
                next += 1;
                moved = Instant::now();
                continue;
            }
            match connection.next(Duration::from_millis(10)) {
                Arrival::Packet(packet) => {
                    connection.settle(&packet, &mut waiting);
                    moved = Instant::now();
                }
                Arrival::Silence if waiting.is_empty() => moved = Instant::now(),
                Arrival::Silence => assert!(moved.elapsed() < STANDS_STILL_AT_MOST, "{waiting:?} are not answered"),
                closed @ Arrival::Closed(_) => panic!("the publisher's node keeps its lease: {closed:?}"),
            }
        }
    }

    /// Hears everything up to the last number of each stream, and what may come behind it.
    fn hear(&self, mut connection: Connection, qos: u8, last: u64) -> [Vec<u64>; 3] {
        let mut heard: [Vec<u64>; 3] = Default::default();
        let mut moved = Instant::now();
        loop {
            match connection.next(QUIET) {
                Arrival::Packet(packet) => {
                    connection.answer(&packet).unwrap();
                    moved = Instant::now();
                    let Some(message) = packet.delivered(connection.version()) else { continue };
                    let stream = QOS.into_iter().find(|qos| topic(*qos) == message.topic).unwrap();
                    let number: u64 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
                    heard[usize::from(stream)].push(number);
                    let through = heard.iter().map(|stream| stream.last().copied().unwrap_or(0)).min().unwrap();
                    self.reached[usize::from(qos)].store(through, SeqCst);
                }
                Arrival::Silence if heard.iter().all(|stream| stream.last() == Some(&last)) => return heard,
                Arrival::Silence => assert!(
                    moved.elapsed() < 2 * STANDS_STILL_AT_MOST,
                    "QoS {qos}: nothing comes behind {:?}",
                    heard.each_ref().map(|stream| stream.last())
                ),
                closed @ Arrival::Closed(_) => panic!("the subscribers' node keeps its lease: {closed:?}"),
            }
        }
    }

    fn wait_for(&self, number: u64) {
        deadline::until("the subscribers have what was sent so far", STANDS_STILL_AT_MOST, || {
            let slowest = self.slowest();
            if slowest >= number { Ok(()) } else { Err(format!("the slowest has {slowest} of {number}")) }
        });
    }
}

fn topic(qos: u8) -> String {
    format!("line/{qos}")
}

/// Waits until the node relays to so many others.
fn wait_relayed(cluster: &Cluster, place: usize, pairs: usize, within: Duration) {
    let node = &cluster.nodes[place];
    deadline::until(&format!("{} relays to {pairs}", node.name), within, || {
        let samples = metrics::samples(node.addresses.admin, "rollcall_mesh_relayed_pairs")?;
        let relayed = samples.iter().filter(|sample| sample.value == 1.0).count();
        if relayed == pairs { Ok(()) } else { Err(format!("{samples:?}")) }
    });
}

fn relayed_calls(cluster: &Cluster, place: usize, direction: &str) -> f64 {
    let samples = metrics::samples(cluster.nodes[place].addresses.admin, "rollcall_mesh_relayed_total").unwrap();
    samples.iter().filter(|sample| sample.labels.contains(direction)).map(|sample| sample.value).sum()
}

/// The payload of the next message.
fn take(connection: &mut Connection) -> Vec<u8> {
    loop {
        match connection.next(WITHIN) {
            Arrival::Packet(packet) => {
                connection.answer(&packet).unwrap();
                if let Some(message) = packet.delivered(connection.version()) {
                    return message.payload;
                }
            }
            other => panic!("no message but {other:?}"),
        }
    }
}

/// What a client of the far node sees while its node does not reach the near one.
fn everything_works(cluster: &Cluster, near: usize, far: usize, round: usize) {
    let (mut publisher, begun) = (cluster.connect(near, &format!("asks-{round}")), Instant::now());
    for number in 0..20 {
        let mut device = cluster.connect(far, &format!("device-{round}-{number}"));
        let subscribing = Instant::now();
        let filter = format!("device/{round}/{number}");
        assert_eq!(device.subscribe_at(&filter, 1), Ok(Vec::new()));
        let took = subscribing.elapsed();
        assert!(took < USUAL, "a SUBACK took {took:?}");
        assert_eq!(publisher.publish_acknowledged(&filter, b"x", false), Ok(0), "it matches at once");
        assert_eq!(take(&mut device), b"x");
        let alone = format!("first/p2p/device-{round}-{number}");
        assert_eq!(publisher.publish_acknowledged(&alone, b"for you", false), Ok(0));
        assert_eq!(take(&mut device), b"for you");
    }
    assert!(begun.elapsed() < 20 * USUAL, "{:?}", begun.elapsed());

    // A session goes with its client to the node on the other side.
    let traveller = Connect { clean: false, ..Connect::new(Version::V311, &format!("traveller-{round}")) };
    let mut there = cluster.connect_as(near, &traveller);
    assert_eq!(there.subscribe_at("travel", 1), Ok(Vec::new()));
    drop(there);
    cluster.wait_online(&[near, far], &traveller.client_id, false, cluster.offline_within());
    assert_eq!(publisher.publish_acknowledged("travel", b"follows", false), Ok(0));
    let (mut here, connack) = Connection::connect(cluster.nodes[far].addresses.mqtt, &traveller).unwrap();
    assert!(connack.session_present, "the session came");
    assert_eq!(take(&mut here), b"follows");
    cluster.assert_online(&[near, far], &traveller.client_id, true);
}

#[test]
fn two_nodes_that_do_not_reach_each_other_go_on_over_the_third_and_by_their_own_link_once_it_heals() {
    let scenario = "two nodes that do not reach each other";
    if !tools::available(scenario, "root and `ip netns`", tools::namespaces()) {
        return;
    }
    let cluster = Cluster::in_namespaces(Options { messages_per_second: 0, ..Options::default() });
    let network = cluster.network.as_ref().unwrap();
    // Once the publisher's node leads the cluster group, once the node in the middle does.
    for round in 0..2 {
        let leader = cluster.leader();
        let (near, far, common) = match round {
            0 => (leader, (leader + 1) % 3, (leader + 2) % 3),
            _ => ((leader + 1) % 3, (leader + 2) % 3, leader),
        };
        let run = Run::default();
        let last = 3 * PER_STAGE;
        std::thread::scope(|scope| {
            let hearing = QOS.map(|qos| {
                let mut subscriber = cluster.connect(far, &format!("subscriber-{qos}"));
                assert_eq!(subscriber.subscribe_at("line/+", qos), Ok(Vec::new()));
                let run = &run;
                scope.spawn(move || run.hear(subscriber, qos, last))
            });
            let publishing = scope.spawn(|| run.publish(cluster.nodes[near].addresses.mqtt, last));
            run.gate.store(PER_STAGE / 2, SeqCst);
            run.wait_for(PER_STAGE / 2);
            let passed = relayed_calls(&cluster, common, "through");

            run.gate.store(PER_STAGE, SeqCst);
            network.cut_pair(near, far);
            wait_relayed(&cluster, near, 1, NOTICED_WITHIN);
            wait_relayed(&cluster, far, 1, NOTICED_WITHIN);
            run.wait_for(PER_STAGE);
            run.gate.store(2 * PER_STAGE, SeqCst);
            everything_works(&cluster, near, far, round);
            run.wait_for(2 * PER_STAGE);
            assert!(relayed_calls(&cluster, common, "through") > passed);
            assert!(relayed_calls(&cluster, near, "out") > 0.0 && relayed_calls(&cluster, far, "in") > 0.0);

            run.gate.store(last - 1, SeqCst);
            network.heal_pair(near, far);
            for place in [near, far, common] {
                wait_relayed(&cluster, place, 0, HEALED_WITHIN);
            }
            run.gate.store(last, SeqCst);
            publishing.join().unwrap();
            for (qos, heard) in QOS.into_iter().zip(hearing) {
                for (published, numbers) in QOS.into_iter().zip(heard.join().unwrap()) {
                    let expected: Vec<u64> = (1..=last).collect();
                    assert_eq!(numbers, expected, "published at QoS {published}, subscribed at {qos}");
                }
            }
        });
    }
}

#[test]
fn nothing_is_acknowledged_that_the_other_side_cannot_have_once_the_common_node_is_dead_too() {
    let scenario = "a cut pair whose common node dies";
    if !tools::available(scenario, "root and `ip netns`", tools::namespaces()) {
        return;
    }
    let mut cluster = Cluster::in_namespaces(Options::default());
    let common = cluster.leader();
    let (near, far) = ((common + 1) % 3, (common + 2) % 3);
    let mut subscriber = cluster.connect(far, "subscriber");
    assert_eq!(subscriber.subscribe_at("t", 1), Ok(Vec::new()));
    let mut publisher = cluster.connect(near, "publisher");
    cluster.network.as_ref().unwrap().cut_pair(near, far);
    wait_relayed(&cluster, near, 1, NOTICED_WITHIN);
    assert_eq!(publisher.publish_acknowledged("t", b"over the third", false), Ok(0));
    assert_eq!(take(&mut subscriber), b"over the third");

    cluster.nodes[common].kill();
    publisher.send_publish("t", b"nowhere", 1, 700).unwrap();
    let killed = Instant::now();
    // Nobody has a majority: both sides end their clients with their leases, and nothing is said before that.
    loop {
        match publisher.next(QUIET) {
            Arrival::Packet(packet) => {
                assert_eq!(packet.acknowledgement(), None, "acknowledged after {:?}: {packet:?}", killed.elapsed());
            }
            Arrival::Silence => assert!(killed.elapsed() < cluster.offline_within() + WITHIN, "its lease is over"),
            Arrival::Closed(_) => break,
        }
    }
    cluster.network.as_ref().unwrap().heal_pair(near, far);
    cluster.start_all();
    let mut subscriber = cluster.connect(far, "subscriber");
    assert_eq!(subscriber.subscribe_at("t", 1), Ok(Vec::new()));
    let mut publisher = cluster.connect(near, "publisher");
    assert_eq!(publisher.publish_acknowledged("t", b"again", false), Ok(0));
    assert_eq!(take(&mut subscriber), b"again");
}

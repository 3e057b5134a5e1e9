//! A consumer that reads more slowly than a client on another node publishes: the publisher is slowed down, and nothing
//! is lost.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version, kind};
use rollcall_test_cluster::{Cluster, Options, metrics};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Three times what the queue of one client holds.
const NUMBERS: u16 = 3000;
/// QoS 1 messages that the publisher has under way, as with a Receive Maximum of as many.
const WINDOW: u16 = 20;
/// The consumer acknowledges one message each time; it is an MQTT 3 client, to which 16 at most are under way.
const PACE: Duration = Duration::from_millis(2);
/// Nothing may stand still for so long.
const WITHIN: Duration = Duration::from_secs(10);

/// Publishes all numbers and gives how long it took.
fn publish(to: SocketAddr) -> Duration {
    let (mut connection, _) = Connection::connect(to, &Connect::new(Version::V5, "publisher")).unwrap();
    let begun = Instant::now();
    let (mut sent, mut acknowledged) = (0, 0);
    while acknowledged < NUMBERS {
        if sent < NUMBERS && sent - acknowledged < WINDOW {
            sent += 1;
            connection.send_publish("slow", sent.to_string().as_bytes(), 1, sent).unwrap();
            continue;
        }
        match connection.next(WITHIN) {
            Arrival::Packet(packet) => {
                acknowledged += 1;
                assert_eq!(packet.acknowledgement(), Some((acknowledged, 0)), "in the order of the publishes");
            }
            other => panic!("{acknowledged} of {sent} acknowledged, then {other:?}"),
        }
    }
    begun.elapsed()
}

/// The consumer is at work.
#[allow(clippy::disallowed_methods)] // the pace of the workload: no condition is waited for
fn keep_pace() {
    std::thread::sleep(PACE);
}

/// Takes all numbers, one after another.
fn consume(connection: &mut Connection) -> Vec<u16> {
    let mut heard = Vec::new();
    while heard.last() != Some(&NUMBERS) {
        match connection.next(WITHIN) {
            Arrival::Packet(packet) if packet.kind() == kind::PUBLISH => {
                let message = packet.delivered(connection.version()).unwrap();
                heard.push(std::str::from_utf8(&message.payload).unwrap().parse().unwrap());
                keep_pace();
                connection.answer(&packet).unwrap();
            }
            other => panic!("{} came, then {other:?}", heard.len()),
        }
    }
    heard
}

fn total(cluster: &Cluster, place: usize, name: &str, label: &str) -> f64 {
    let samples = metrics::samples(cluster.nodes[place].addresses.admin, name).unwrap();
    samples.iter().filter(|sample| sample.labels.contains(label)).map(|sample| sample.value).sum()
}

#[test]
fn a_publisher_is_slowed_down_to_the_pace_of_a_consumer_on_another_node() {
    let cluster = Cluster::start(Options { messages_per_second: 0, ..Options::default() });
    let mut consumer = cluster.connect_as(1, &Connect::new(Version::V311, "consumer"));
    assert_eq!(consumer.subscribe_at("slow", 1), Ok(Vec::new()));
    let to = cluster.nodes[0].addresses.mqtt;
    let (heard, took) = std::thread::scope(|scope| {
        let publisher = scope.spawn(move || publish(to));
        let heard = consume(&mut consumer);
        (heard, publisher.join().unwrap())
    });
    assert_eq!(heard, (1..=NUMBERS).collect::<Vec<_>>(), "none lost, none doubled, none overtaken");
    // The queue took the first thousand; the rest came at the consumer's pace.
    assert!(took > PACE * u32::from(NUMBERS - 1000), "it was not slowed down: {took:?}");
    assert!(total(&cluster, 1, "rollcall_acknowledgements_delayed_total", "") > 0.0);
    assert_eq!(total(&cluster, 1, "rollcall_messages_dropped_total", "queue_full"), 0.0);
}

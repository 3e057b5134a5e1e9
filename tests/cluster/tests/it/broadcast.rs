//! One topic, many subscribers over three nodes: every one gets each message once, in order.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version, kind};
use rollcall_test_cluster::{Cluster, Options};
use std::time::{Duration, Instant};

/// Subscribers, a third of them on each node and a third at each QoS.
const SUBSCRIBERS: usize = 600;
/// Another number of them: 10 000 are as many as one process may have sockets, with some to spare.
const SUBSCRIBERS_VARIABLE: &str = "ROLLCALL_SUBSCRIBERS";
const MESSAGES: usize = 20;
/// Threads that share the subscribers.
const THREADS: usize = 12;
const TOPIC: &str = "to/all";
/// A message is under way so long at most, to the last of them.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// A subscriber and its QoS.
type Subscriber = (Connection, u8);

fn subscribed(cluster: &Cluster, number: usize) -> Subscriber {
    let (node, qos) = (number % 3, u8::try_from(number / 3 % 3).unwrap());
    let version = if number.is_multiple_of(2) { Version::V5 } else { Version::V311 };
    let connect = Connect::new(version, &format!("listener-{number}")).keep_alive(0);
    let mut connection = cluster.connect_as(node, &connect);
    assert_eq!(connection.subscribe_at(TOPIC, qos), Ok(Vec::new()));
    (connection, qos)
}

/// Each message once and in order; then nothing more before the answer to a ping that follows the last.
fn assert_hears_each_once(subscriber: &mut Subscriber) {
    let (connection, qos) = subscriber;
    for number in 0..MESSAGES {
        let delivered = loop {
            let Arrival::Packet(packet) = connection.next(ARRIVES_WITHIN) else { panic!("{number} did not come") };
            connection.answer(&packet).unwrap();
            if let Some(delivered) = packet.delivered(connection.version()) {
                break delivered;
            }
        };
        assert_eq!(String::from_utf8_lossy(&delivered.payload), number.to_string());
        assert_eq!((delivered.qos, delivered.dup, delivered.retain), ((*qos).min(1), false, false));
    }
    connection.send(&[0xc0, 0]).unwrap();
    match connection.next(ARRIVES_WITHIN) {
        Arrival::Packet(packet) if packet.kind() == kind::PINGRESP => {}
        other => panic!("after the last message came {other:?}"),
    }
}

#[test]
fn every_subscriber_of_one_topic_gets_each_message_once() {
    let count = std::env::var(SUBSCRIBERS_VARIABLE).map_or(SUBSCRIBERS, |text| text.parse().expect("a number"));
    let cluster = Cluster::start(Options { messages_per_second: 0, ..Options::default() });
    let cluster = &cluster;
    let began = Instant::now();
    let mut subscribers: Vec<Vec<Subscriber>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let share = (thread..count).step_by(THREADS);
                scope.spawn(move || share.map(|number| subscribed(cluster, number)).collect())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(subscribers.iter().map(Vec::len).sum::<usize>(), count);
    let connected = began.elapsed();

    let began = Instant::now();
    let acknowledged = std::thread::scope(|scope| {
        for share in &mut subscribers {
            scope.spawn(|| share.iter_mut().for_each(assert_hears_each_once));
        }
        let mut publisher = cluster.connect(0, "speaker");
        for number in 0..MESSAGES {
            let code = publisher.publish_acknowledged(TOPIC, number.to_string().as_bytes(), false);
            assert_eq!(code, Ok(0), "{number}");
        }
        began.elapsed()
    });
    println!(
        "{count} subscribers in {connected:.1?}; {MESSAGES} messages acknowledged in {acknowledged:.1?}, all heard in {:.1?}",
        began.elapsed()
    );
}

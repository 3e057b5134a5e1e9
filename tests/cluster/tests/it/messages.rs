//! Messages from one node to subscribers on the others, through every pair of QoS, while a node is killed.
//!
//! What is promised today: an acknowledged message reaches every matching session on a node that lives. A session dies
//! with its node: a client that comes back at another node finds none, subscribes again, and has a hole from what its old
//! node had handed it last to its new SUBACK. From there on the promise holds for it, too.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, deadline};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const QOS: [u8; 3] = [0, 1, 2];
/// Messages published at each QoS; each goes to subscribers of every QoS on two nodes.
const NUMBERS: u64 = 300;
/// More of them, for a long run.
const NUMBERS_VARIABLE: &str = "ROLLCALL_MESSAGES";
/// QoS 1 and 2 messages that the publisher has under way.
const WINDOW: usize = 32;
/// So many numbers may the publisher be ahead of the slowest subscriber: the broker's queue for one client is bounded,
/// and what does not fit is dropped by promise.
const AHEAD_MAX: u64 = 200;
/// The publisher may stand still for so long: a lease, a fence and two elections.
const STANDS_STILL_AT_MOST: Duration = Duration::from_secs(30);
/// A subscriber waits so long for the end of a stream.
const END_WITHIN: Duration = Duration::from_secs(15);
/// And for what may still come after it.
const QUIET: Duration = Duration::from_millis(300);
const CONNECTS_AGAIN_WITHIN: Duration = Duration::from_secs(20);
const LAST: &str = "last";

/// What the threads share.
#[derive(Default)]
struct Run {
    /// Numbers begun.
    sent: AtomicU64,
    /// The publisher goes no further than this.
    gate: AtomicU64,
    /// The end of every stream was acknowledged.
    over: AtomicBool,
    /// How far each subscriber is, by its place and QoS; one that is away holds nobody up.
    reached: [[AtomicU64; 3]; 2],
}

/// What one subscriber heard, by the QoS of the publish.
type Heard = [Vec<u64>; 3];

fn topic(qos: u8) -> String {
    format!("line/{qos}")
}

impl Run {
    fn limit(&self) -> u64 {
        let slowest = self.reached.iter().flatten().map(|reached| reached.load(SeqCst)).min().unwrap_or(0);
        self.gate.load(SeqCst).min(slowest.saturating_add(AHEAD_MAX))
    }

    /// Publishes every number at every QoS, in order, then the end of each stream.
    fn publish(&self, to: SocketAddr, numbers: u64) {
        let (mut connection, _) = Connection::connect(to, &Connect::new(Version::V5, "publisher")).unwrap();
        let mut waiting = BTreeSet::new();
        let (mut next, mut id) = (0, 0_u16);
        let mut moved = Instant::now();
        while next <= numbers || !waiting.is_empty() {
            if next <= numbers && waiting.len() < WINDOW && (next == numbers || next < self.limit()) {
                let payload = if next == numbers { LAST.to_owned() } else { next.to_string() };
                next += 1;
                self.sent.store(next.min(numbers), SeqCst);
                for qos in QOS {
                    id = id.checked_add(1).unwrap_or(1);
                    // The end is to be acknowledged even where what it ends was not.
                    let at = if payload == LAST { 1 } else { qos };
                    connection.send_publish(&topic(qos), payload.as_bytes(), at, id).unwrap();
                    if at > 0 {
                        assert!(waiting.insert(id), "{id} is under way since 65 535 messages");
                    }
                }
                continue;
            }
            match connection.next(Duration::from_millis(10)) {
                Arrival::Packet(packet) => {
                    connection.settle(&packet, &mut waiting);
                    moved = Instant::now();
                }
                Arrival::Silence => {
                    let still = moved.elapsed();
                    assert!(
                        still < STANDS_STILL_AT_MOST,
                        "stands still for {still:?} at {next}, {waiting:?} unanswered"
                    );
                }
                closed @ Arrival::Closed(_) => panic!("the publisher's node lives: {closed:?}"),
            }
        }
        self.over.store(true, SeqCst);
    }

    /// Hears to the end of the streams, or of the connection.
    fn hear(&self, connection: &mut Connection, reached: &AtomicU64) -> Heard {
        let mut heard = Heard::default();
        let mut ended = BTreeSet::new();
        let mut last = Instant::now();
        loop {
            match connection.next(QUIET) {
                Arrival::Packet(packet) => {
                    connection.answer(&packet).ok();
                    last = Instant::now();
                    let Some(message) = packet.delivered(connection.version()) else { continue };
                    let stream = QOS.into_iter().find(|qos| topic(*qos) == message.topic).unwrap();
                    match std::str::from_utf8(&message.payload).unwrap() {
                        LAST => drop(ended.insert(stream)),
                        number => {
                            let number = number.parse().unwrap();
                            heard[usize::from(stream)].push(number);
                            reached.fetch_max(number, SeqCst);
                        }
                    }
                }
                Arrival::Silence if ended.len() == QOS.len() => return heard,
                Arrival::Silence if self.over.load(SeqCst) && last.elapsed() > END_WITHIN => return heard,
                Arrival::Silence => assert!(last.elapsed() < 2 * STANDS_STILL_AT_MOST, "nothing comes any more"),
                Arrival::Closed(_) => return heard,
            }
        }
    }
}

/// No message overtook another: their first arrivals are in order. Where each comes at most once, none came twice.
fn assert_in_order(who: &str, numbers: &[u64], at_most_once: bool) {
    let mut seen = BTreeSet::new();
    for number in numbers {
        let latest = seen.last().copied();
        let is_new = seen.insert(*number);
        assert!(is_new || !at_most_once, "{who}: {number} came twice");
        assert!(!is_new || latest < Some(*number), "{who}: {number} came after {latest:?}");
    }
}

/// Everything in the range came.
fn assert_whole(who: &str, numbers: &[u64], mut range: std::ops::Range<u64>) {
    let heard: BTreeSet<u64> = numbers.iter().copied().collect();
    let missing = range.find(|number| !heard.contains(number));
    assert_eq!(missing, None, "{who}: lost, of {} that came", heard.len());
}

fn assert_stream(who: &str, heard: &Heard, subscribed: u8, expected: impl Fn(&[u64]) -> std::ops::Range<u64>) {
    for published in QOS {
        let who = format!("{who}, subscribed at QoS {subscribed}, published at QoS {published}");
        let numbers = &heard[usize::from(published)];
        let qos = published.min(subscribed);
        assert_in_order(&who, numbers, qos != 1);
        if qos > 0 {
            assert_whole(&who, numbers, expected(numbers));
        }
    }
}

#[test]
fn through_all_pairs_of_qos_none_is_lost_doubled_or_overtaken_while_a_node_is_killed() {
    let numbers = std::env::var(NUMBERS_VARIABLE).map_or(NUMBERS, |text| text.parse().expect("a number"));
    let mut cluster = Cluster::start(Options { messages_per_second: 0, ..Options::default() });
    let (run, nodes) = (Run::default(), [1, 2]);
    run.gate.store(numbers * 3 / 4, SeqCst);
    let to = cluster.nodes[0].addresses.mqtt;
    let connect = |node: usize, qos: u8| {
        let version = if node == 2 { Version::V311 } else { Version::V5 };
        let mut connect = Connect::new(version, &format!("at-n{}-{qos}", node + 1));
        connect.clean = node != 2;
        connect
    };
    let mut subscribers: Vec<Vec<Connection>> = nodes
        .map(|node| {
            let subscribed = |qos| {
                let mut connection = cluster.connect_as(node, &connect(node, qos));
                assert_eq!(connection.subscribe_at("line/+", qos), Ok(Vec::new()));
                connection
            };
            QOS.map(subscribed).into()
        })
        .into();

    std::thread::scope(|scope| {
        let run = &run;
        let hear = |mut connection: Connection, place: usize, qos: u8| {
            let reached = &run.reached[place][usize::from(qos)];
            (qos, scope.spawn(move || run.hear(&mut connection, reached)))
        };
        let mut listen = |place: usize| {
            let connections = std::mem::take(&mut subscribers[place]);
            connections.into_iter().zip(QOS).map(|(connection, qos)| hear(connection, place, qos)).collect::<Vec<_>>()
        };
        let (living, dying) = (listen(0), listen(1));
        let publisher = scope.spawn(move || run.publish(to, numbers));

        deadline::until("half of the messages are sent", Duration::from_secs(10 + numbers / 50), || {
            assert!(!publisher.is_finished(), "the publisher ended early");
            let sent = run.sent.load(SeqCst);
            if sent >= numbers / 2 { Ok(()) } else { Err(format!("{sent} are")) }
        });
        cluster.nodes[2].kill();
        let mut returned = Vec::new();
        for (qos, thread) in dying {
            let heard = thread.join().unwrap();
            run.reached[1][usize::from(qos)].store(u64::MAX, SeqCst);
            // What it had was the beginning, without a hole.
            assert_stream("before its node died", &heard, qos, |heard| 0..heard.last().map_or(0, |last| last + 1));

            let (mut connection, connack) =
                deadline::until("a client of the dead node connects again", CONNECTS_AGAIN_WITHIN, || {
                    Connection::connect(cluster.nodes[1].addresses.mqtt, &connect(2, qos))
                        .map_err(|refused| format!("{refused:?}"))
                });
            assert!(!connack.session_present, "a session does not outlive its node, and nobody pretends that it does");
            // What comes before SUBACK is a gift.
            drop(connection.subscribe_at("line/+", qos).unwrap());
            let from = run.sent.load(SeqCst);
            run.reached[1][usize::from(qos)].store(from, SeqCst);
            returned.push((from, hear(connection, 1, qos)));
        }
        run.gate.store(u64::MAX, SeqCst);
        publisher.join().unwrap();
        for (qos, thread) in living {
            assert_stream("on a node that lived", &thread.join().unwrap(), qos, |_| 0..numbers);
        }
        for (from, (qos, thread)) in returned {
            assert!(from < numbers, "something is published after each SUBACK");
            assert_stream("after its return", &thread.join().unwrap(), qos, |_| from..numbers);
        }
    });
}

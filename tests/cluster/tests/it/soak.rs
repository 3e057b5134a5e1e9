//! The same load for a long time: memory stays flat, and nothing that was acknowledged is lost.
//!
//! A publisher sends numbers at QoS 1 to ten topics in turn, as fast as it may; five subscribers on each hear every one
//! of them, on all nodes. A second one publishes retained messages, and numbers for a shared subscription. All the time
//! clients come and go. As a plain test it lasts seconds and shows that the scenario works; memory is judged from the
//! second minute on.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, metrics};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const MINUTES_VARIABLE: &str = "ROLLCALL_SOAK_MINUTES";
/// Messages a second that are tried; a busy machine gets as many as it can.
const RATE_VARIABLE: &str = "ROLLCALL_SOAK_RATE";
const RATE: u64 = 2_000;
const SECONDS: u64 = 12;
const LOOKS_EVERY_S: u64 = 10;
/// From then on memory may grow by no more than this.
const SETTLED_AFTER: Duration = Duration::from_secs(60);
const GROWTH_MAX_PERCENT: u64 = 15;
const TOPICS: usize = 10;
const SUBSCRIBERS: usize = 50;
const MEMBERS: usize = 3;
const KEPT_TOPICS: u64 = 100;
/// Messages that the publisher has under way.
const WINDOW: usize = 128;
/// So many numbers may it be ahead of the slowest subscriber of a topic: what a client's queue does not hold is dropped
/// by promise.
const AHEAD_MAX: u64 = 200;
const STANDS_STILL_AT_MOST: Duration = Duration::from_secs(30);
const LAST: &str = "last";
/// PUBACK of a message that nobody but those who come later wants (MQTT 5.0, 3.4.2.1).
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;

/// What the threads share.
struct Run {
    until: Instant,
    rate: u64,
    acknowledged: AtomicU64,
    came_and_went: AtomicU64,
    /// The next number that each subscriber waits for.
    reached: Vec<AtomicU64>,
    /// Nothing is published to the shared subscription any more.
    shared_over: AtomicBool,
}

fn topic(number: usize) -> String {
    format!("soak/live/{number}")
}

impl Run {
    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn slowest(&self) -> u64 {
        self.reached.iter().map(|reached| reached.load(SeqCst)).min().unwrap_or(0)
    }

    /// Each number to every topic, and at the end the last word. Gives how many numbers.
    fn publish(&self, mut connection: Connection) -> u64 {
        let (began, mut moved) = (Instant::now(), Instant::now());
        let (mut waiting, mut id, mut number, mut ended) = (BTreeSet::new(), 0_u16, 0_u64, false);
        while !ended || !waiting.is_empty() {
            let due = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) * self.rate / 1_000;
            let may = number * (TOPICS as u64) <= due && number < self.slowest() + AHEAD_MAX;
            let is_last = self.is_over() && !ended;
            if waiting.len() + TOPICS <= WINDOW && (is_last || may && !ended) {
                let payload = if is_last { LAST.to_owned() } else { number.to_string() };
                for place in 0..TOPICS {
                    id = id.checked_add(1).unwrap_or(1);
                    connection.send_publish(&topic(place), payload.as_bytes(), 1, id).unwrap();
                    assert!(waiting.insert(id), "{id} is under way since 65 535 messages");
                }
                (ended, number) = (is_last, number + u64::from(!is_last));
                continue;
            }
            match connection.next(Duration::from_millis(1)) {
                Arrival::Packet(packet) => {
                    let (id, code) = packet.acknowledgement().unwrap_or_else(|| panic!("no PUBACK but {packet:?}"));
                    assert!(code < 0x80 && waiting.remove(&id), "{packet:?}");
                    self.acknowledged.fetch_add(1, SeqCst);
                    moved = Instant::now();
                }
                Arrival::Silence if waiting.is_empty() => moved = Instant::now(),
                Arrival::Silence => assert!(moved.elapsed() < STANDS_STILL_AT_MOST, "{waiting:?} are not acknowledged"),
                closed @ Arrival::Closed(_) => panic!("the publisher: {closed:?}"),
            }
        }
        number
    }

    /// Every number in order up to the last word; how many.
    fn hear(&self, mut connection: Connection, place: usize) -> u64 {
        let mut next = 0;
        loop {
            let packet = match connection.next(2 * STANDS_STILL_AT_MOST) {
                Arrival::Packet(packet) => packet,
                other => panic!("subscriber {place} waits for {next}: {other:?}"),
            };
            connection.answer(&packet).unwrap();
            let Some(message) = packet.delivered(connection.version()) else { continue };
            match std::str::from_utf8(&message.payload).unwrap() {
                LAST => {
                    self.reached[place].store(u64::MAX / 2, SeqCst);
                    return next;
                }
                number => {
                    let number: u64 = number.parse().unwrap();
                    assert_eq!(number, next, "subscriber {place}: lost, doubled or overtaken");
                    next += 1;
                    self.reached[place].store(next, SeqCst);
                }
            }
        }
    }

    /// Retained messages, and numbers for the shared subscription; each is acknowledged before the next.
    fn publish_beside(&self, mut connection: Connection) -> (u64, BTreeMap<String, String>) {
        let (mut number, mut kept) = (0, BTreeMap::new());
        while !self.is_over() {
            let (topic, text) = (format!("soak/kept/{}", number % KEPT_TOPICS), number.to_string());
            let code = connection.publish_acknowledged(&topic, text.as_bytes(), true);
            assert!(matches!(code, Ok(0 | NO_MATCHING_SUBSCRIBERS)), "{code:?}");
            kept.insert(topic, text.clone());
            assert_eq!(connection.publish_acknowledged("soak/shared", text.as_bytes(), false), Ok(0));
            number += 1;
        }
        self.shared_over.store(true, SeqCst);
        (number, kept)
    }

    /// What one member of the group gets.
    fn share(&self, mut connection: Connection) -> Vec<u64> {
        let mut got = Vec::new();
        loop {
            match connection.next(Duration::from_secs(1)) {
                Arrival::Packet(packet) => {
                    connection.answer(&packet).unwrap();
                    let Some(message) = packet.delivered(connection.version()) else { continue };
                    got.push(std::str::from_utf8(&message.payload).unwrap().parse().unwrap());
                }
                Arrival::Silence if self.shared_over.load(SeqCst) => return got,
                // Whoever was to say so has failed.
                Arrival::Silence if Instant::now() > self.until + STANDS_STILL_AT_MOST => return got,
                Arrival::Silence => {}
                closed @ Arrival::Closed(_) => panic!("a member of the group: {closed:?}"),
            }
        }
    }

    /// Each second a client more, on each node in turn; half of them say goodbye, the others are just gone.
    fn come_and_go(&self, cluster: &Cluster) {
        while !self.is_over() {
            let number = self.came_and_went.fetch_add(1, SeqCst);
            let version = if number.is_multiple_of(2) { Version::V5 } else { Version::V311 };
            let connect = Connect::new(version, &format!("guest-{}", number % 7));
            let mut connection = cluster.connect_as(usize::try_from(number % 3).unwrap(), &connect);
            drop(connection.subscribe_at(&format!("soak/guest/{number}/#"), 1).unwrap());
            let leaves = Instant::now() + Duration::from_secs(1);
            while let Some(left) = leaves.checked_duration_since(Instant::now()) {
                connection.next(left);
            }
            if number.is_multiple_of(4) {
                connection.disconnect().unwrap();
            }
        }
    }
}

/// Resident memory of a process, in KiB.
fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the node runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a resident size");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

fn dropped(cluster: &Cluster, node: usize) -> f64 {
    let samples = metrics::samples(cluster.nodes[node].addresses.admin, "rollcall_messages_dropped_total");
    samples.expect("/metrics answers").iter().map(|sample| sample.value).sum()
}

/// Looks at the nodes until the run is over; memory of each at each look, with its time.
fn watch(cluster: &Cluster, run: &Run) -> Vec<(Duration, Vec<u64>)> {
    let (began, mut looks, mut before) = (Instant::now(), Vec::new(), (0, Duration::ZERO));
    println!("   s  messages/s  guests    n1 KiB    n2 KiB    n3 KiB  dropped");
    while !run.is_over() {
        let next = began + Duration::from_secs(LOOKS_EVERY_S * (looks.len() as u64 + 1));
        while Instant::now() < next.min(run.until) {
            rollcall_test_cluster::deadline::pause();
        }
        let memory: Vec<u64> =
            cluster.nodes.iter().map(|node| resident_kib(node.process_id().expect("the node runs"))).collect();
        let dropped: f64 = (0..cluster.nodes.len()).map(|node| dropped(cluster, node)).sum();
        let acknowledged = run.acknowledged.load(SeqCst);
        let (guests, at) = (run.came_and_went.load(SeqCst), began.elapsed());
        let rate = (acknowledged - before.0) * 1_000 / u64::try_from((at - before.1).as_millis()).unwrap_or(1).max(1);
        before = (acknowledged, at);
        let columns: Vec<String> = memory.iter().map(|kib| format!("{kib:>10}")).collect();
        println!("{:>4} {rate:>11} {guests:>7}{} {dropped:>8}", at.as_secs(), columns.concat());
        looks.push((at, memory));
    }
    looks
}

/// A sentence for each node whose memory grew beyond its bound since it settled.
fn grown(looks: &[(Duration, Vec<u64>)]) -> Vec<String> {
    let mut settled = looks.iter().filter(|(at, _)| *at >= SETTLED_AFTER).map(|(_, memory)| memory);
    let Some(first) = settled.next() else { return Vec::new() };
    let most = |kib: u64| kib + kib * GROWTH_MAX_PERCENT / 100;
    settled
        .flat_map(|memory| first.iter().zip(memory).enumerate())
        .filter(|(_, (first, now))| **now > most(**first))
        .map(|(node, (first, now))| format!("n{} grew from {first} to {now} KiB", node + 1))
        .collect()
}

#[test]
fn under_the_same_load_for_long_memory_stays_flat_and_nothing_acknowledged_is_lost() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seconds = number(MINUTES_VARIABLE).map_or(SECONDS, |minutes| minutes * 60);
    let cluster = Cluster::start(Options { messages_per_second: 0, ..Options::default() });
    let cluster = &cluster;
    let subscriber = |id: String, node: usize, filter: &str| {
        let mut connection = cluster.connect_as(node, &Connect::new(Version::V5, &id).keep_alive(0));
        assert_eq!(connection.subscribe_at(filter, 1), Ok(Vec::new()));
        connection
    };
    let listeners: Vec<_> = (0..SUBSCRIBERS)
        .map(|place| subscriber(format!("listener-{place}"), place % 3, &topic(place % TOPICS)))
        .collect();
    let members: Vec<_> =
        (0..MEMBERS).map(|place| subscriber(format!("member-{place}"), place, "$share/group/soak/shared")).collect();
    let publishers = [0, 1]
        .map(|node| cluster.connect_as(node, &Connect::new(Version::V5, &format!("publisher-{node}")).keep_alive(0)));
    let run = Run {
        until: Instant::now() + Duration::from_secs(seconds),
        rate: number(RATE_VARIABLE).unwrap_or(RATE),
        acknowledged: AtomicU64::new(0),
        came_and_went: AtomicU64::new(0),
        reached: (0..SUBSCRIBERS).map(|_| AtomicU64::new(0)).collect(),
        shared_over: AtomicBool::new(false),
    };
    let run = &run;
    let (looks, kept) = std::thread::scope(|scope| {
        let [first, second] = publishers;
        let publisher = scope.spawn(move || run.publish(first));
        let beside = scope.spawn(move || run.publish_beside(second));
        scope.spawn(move || run.come_and_go(cluster));
        let listeners: Vec<_> = listeners
            .into_iter()
            .enumerate()
            .map(|(place, connection)| scope.spawn(move || run.hear(connection, place)))
            .collect();
        let members: Vec<_> =
            members.into_iter().map(|connection| scope.spawn(move || run.share(connection))).collect();
        let looks = watch(cluster, run);

        let numbers = publisher.join().unwrap();
        assert!(numbers > 0, "nothing was published");
        for listener in listeners {
            assert_eq!(listener.join().unwrap(), numbers, "a subscriber lost the end");
        }
        let (shared, kept) = beside.join().unwrap();
        let got: BTreeSet<u64> = members.into_iter().flat_map(|member| member.join().unwrap()).collect();
        assert_eq!(got, (0..shared).collect(), "the group as a whole gets every message");
        println!("{numbers} numbers to each of {TOPICS} topics, {shared} shared and as many retained: none lost");
        (looks, kept)
    });

    // What was retained last is what a newcomer gets.
    let mut newcomer = cluster.connect(2, "newcomer");
    let mut packets = newcomer.subscribe_at("soak/kept/+", 1).unwrap();
    let mut retained = BTreeMap::new();
    loop {
        for message in packets.drain(..).filter_map(|packet| packet.delivered(Version::V5)) {
            retained.insert(message.topic, String::from_utf8(message.payload).unwrap());
        }
        if retained.len() >= kept.len() {
            break;
        }
        let Arrival::Packet(packet) = newcomer.next(STANDS_STILL_AT_MOST) else {
            panic!("of {} retained messages came {}", kept.len(), retained.len())
        };
        newcomer.answer(&packet).unwrap();
        packets.push(packet);
    }
    assert_eq!(retained, kept);
    assert_eq!(grown(&looks), Vec::<String>::new());
}

#[test]
fn memory_that_grows_after_the_first_minute_is_noticed() {
    let look = |at, memory: [u64; 2]| (Duration::from_secs(at), memory.to_vec());
    let flat = [look(10, [10, 100]), look(60, [100, 200]), look(70, [115, 100]), look(80, [90, 230])];
    assert_eq!(grown(&flat), Vec::<String>::new());
    let growing = [look(60, [100, 200]), look(70, [100, 231])];
    assert_eq!(grown(&growing), ["n2 grew from 200 to 231 KiB"]);
}

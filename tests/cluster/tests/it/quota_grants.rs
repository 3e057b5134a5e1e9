//! The instance's quota follows the demand from node to node, over a death and a cut, and is never exceeded.

use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::{basic, post_json, request};
use rollcall_test_cluster::{Cluster, Options, tools};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const LIMIT: u32 = 1_000;
const BURST_PERCENT: u32 = 10;
/// Ids in one question, which costs as much.
const BATCH: usize = 20;
/// Who ask at once, and the pause of each: more than twice the limit in all.
const ASKING: u32 = 4;
const PAUSE: Duration = Duration::from_millis(30);
/// Grants have followed the demand by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
const MEASURED_FOR: Duration = Duration::from_secs(3);
/// Of the limit, when all demand is at one node.
const ADMITTED_MIN: f64 = 950.0;

/// The load's pace, the time over which a rate is counted, and the bounds that the promises name: nothing to be awaited.
#[allow(clippy::disallowed_methods, reason = "time itself is what is wanted")]
fn pass(time: Duration) {
    thread::sleep(time);
}

struct EndsTheThreads<'a>(&'a AtomicBool);

impl Drop for EndsTheThreads<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// One question that was answered, from before it was sent until after the answer had come.
#[derive(Clone, Copy)]
struct Answered {
    sent: Instant,
    came: Instant,
}

/// Everything that was answered, by any node.
#[derive(Default)]
struct Log(Mutex<Vec<Answered>>);

impl Log {
    /// Answers a second from now on, over a while.
    fn rate(&self) -> f64 {
        let from = Instant::now();
        pass(MEASURED_FOR);
        let count = self.0.lock().unwrap().iter().filter(|one| one.came >= from).count();
        (count * BATCH) as f64 / from.elapsed().as_secs_f64()
    }

    /// The most that was surely admitted within one second, wherever that second begins: sent and answered within it.
    fn most_in_a_second(&self) -> usize {
        let mut log = self.0.lock().unwrap().clone();
        log.sort_by_key(|one| one.sent);
        let within = |(place, first): (usize, &Answered)| {
            let end = first.sent + Duration::from_secs(1);
            log[place..].iter().take_while(|one| one.sent < end).filter(|one| one.came <= end).count() * BATCH
        };
        log.iter().enumerate().map(within).max().unwrap_or(0)
    }
}

/// Asks the node that the demand is at, again and again; 429 and 503 are no answers.
fn ask(nodes: &[SocketAddr], at: &AtomicUsize, over: &AtomicBool, log: &Log) {
    let authorization = basic(USER.0, USER.1);
    let ids: Vec<String> = (0..BATCH).map(|n| format!("\"VIN{n:07}\"")).collect();
    let body = format!("{{\"client_ids\":[{}]}}", ids.join(","));
    while !over.load(SeqCst) {
        let sent = Instant::now();
        let answer =
            post_json(nodes[at.load(SeqCst)], "/client-ids/status", &[("Authorization", &authorization)], &body);
        let came = Instant::now();
        match answer.map(|response| response.status) {
            Ok(200) => log.0.lock().unwrap().push(Answered { sent, came }),
            Ok(429 | 503) | Err(_) => {}
            Ok(other) => panic!("status {other}"),
        }
        pass(PAUSE);
    }
}

/// What the management API of a node says of all nodes: granted a second.
fn granted(cluster: &Cluster, place: usize) -> Result<u64, String> {
    let admin = cluster.nodes[place].addresses.admin;
    let authorization = basic(rollcall_test_cluster::config::OPERATOR.0, rollcall_test_cluster::config::OPERATOR.1);
    let response = request(admin, "GET", "/api/v1/quota", &[("Authorization", &authorization)])?;
    let value: serde_json::Value = serde_json::from_str(&response.text()).map_err(|error| error.to_string())?;
    value["limits"][0]["granted"].as_u64().ok_or_else(|| response.text().to_string())
}

fn settled(what: &str, within: Duration, log: &Log) {
    pass(within);
    let rate = log.rate();
    assert!(rate >= ADMITTED_MIN, "{what}: {rate:.0} a second, {within:?} later");
}

#[test]
fn the_quota_follows_the_demand_over_moves_a_death_and_a_cut_and_is_never_exceeded() {
    let scenario = "the quota follows the demand";
    if !tools::available(scenario, "root and `ip netns`", tools::namespaces()) {
        return;
    }
    let options = Options { messages_per_second: LIMIT, lease_ms: 3_000, ..Options::default() };
    let mut cluster = Cluster::in_namespaces(options);
    // A lease and its margin, until nobody else can use what a silent node had; and the election of a new leader.
    let after_a_lease = cluster.offline_within() + SETTLED_WITHIN;
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.http).collect();
    let (log, at, over) = (Log::default(), AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..ASKING {
            scope.spawn(|| ask(&nodes, &at, &over, &log));
        }
        // Whatever fails from here on, the threads must end.
        let _end = EndsTheThreads(&over);
        settled("all demand at one node", SETTLED_WITHIN, &log);
        at.store(1, SeqCst);
        settled("the demand has moved", SETTLED_WITHIN, &log);
        for place in 0..3 {
            let sum = granted(&cluster, place).unwrap();
            assert!(sum <= u64::from(LIMIT) && sum >= 950, "{sum}");
        }

        cluster.nodes[1].kill();
        at.store(2, SeqCst);
        settled("the node that had it all was killed", after_a_lease, &log);
        cluster.nodes[1].start();
        cluster.wait_node_ready(1);

        cluster.network.as_ref().unwrap().cut_from_peers(2);
        // What it was granted it may use until its lease runs out; nobody else can have it before.
        let half_a_lease = cluster.lease() / 2;
        pass(half_a_lease);
        at.store(0, SeqCst);
        settled("the node that had it all was cut off", after_a_lease, &log);
        at.store(2, SeqCst);
        pass(PAUSE * 4);
        let rate = log.rate();
        assert!(rate < f64::EPSILON, "{rate:.0} a second at a node without a lease");
    });
    let most = log.most_in_a_second();
    let allowed = (LIMIT + LIMIT * BURST_PERCENT / 100) as usize;
    println!("{most} in the fullest second, of {allowed}");
    assert!(most <= allowed, "{most} in one second, {allowed} allowed");
}

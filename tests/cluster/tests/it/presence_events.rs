//! Streams of presence events: whoever follows one over any nodes, through drops and deaths, sees every transition once,
//! in the order of the log, and ends with what the status query says.

use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::event_stream::{EventStream, StreamEvent};
use rollcall_test_cluster::http::basic;
use rollcall_test_cluster::mqtt::{Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, binary, deadline};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);
/// Longest time for the events of a churn to arrive.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);

/// One event of a stream.
#[derive(Clone, Debug)]
struct Event {
    id: Option<String>,
    kind: String,
    data: Value,
}

impl Event {
    fn number(&self, field: &str) -> u64 {
        self.data[field].as_u64().unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }

    /// Partition, index and ordinal.
    fn place(&self) -> (u64, u64, u64) {
        (self.number("partition"), self.number("index"), self.number("ordinal"))
    }

    fn client(&self) -> &str {
        self.data["clientid"].as_str().unwrap()
    }
}

/// One open stream, its events read.
struct Stream(EventStream);

impl Stream {
    fn open(to: SocketAddr, query: &str, last: Option<&str>) -> Result<Stream, String> {
        EventStream::open(to, query, last).map(Stream)
    }

    /// The next event; `None` when the stream is over, however it ended.
    fn next(&mut self) -> Option<Event> {
        let StreamEvent { id, kind, data } = self.0.next_event()?;
        Some(Event { id, kind, data: serde_json::from_str(&data).unwrap() })
    }
}

/// Where events begin that come from now on.
fn beginning(to: SocketAddr) -> String {
    let first = Stream::open(to, "", None).unwrap().next().unwrap();
    assert_eq!(first.kind, "position");
    first.id.unwrap()
}

/// A reader that drops its stream again and again and goes on at another node.
struct Wanderer<'a> {
    nodes: &'a [SocketAddr],
    last: String,
    events: Vec<Event>,
    /// For each partition, the log index up to which it has seen everything.
    through: Vec<u64>,
    streams: usize,
    served_by: BTreeSet<usize>,
}

impl Wanderer<'_> {
    /// Follows until told that it is over and everything up to these indices was seen.
    fn follow(&mut self, is_seen: impl Fn(&[u64]) -> bool) {
        for turn in 0.. {
            if is_seen(&self.through) {
                return;
            }
            let place = turn % self.nodes.len();
            // The query says where it all began; the header counts more.
            let Ok(mut stream) = Stream::open(self.nodes[place], "?from=AQ", Some(&self.last)) else {
                deadline::pause();
                continue;
            };
            self.streams += 1;
            let most = 5 + turn * 7 % 60;
            for _ in 0..most {
                let Some(event) = stream.next() else { break };
                match event.kind.as_str() {
                    "position" => {
                        let through = event.data["through"].as_array().unwrap();
                        self.through = through.iter().map(|index| index.as_u64().unwrap()).collect();
                        self.last = event.id.unwrap();
                        if is_seen(&self.through) {
                            return;
                        }
                    }
                    "client_connected" | "client_disconnected" => {
                        self.served_by.insert(place);
                        self.last = event.id.clone().unwrap();
                        self.events.push(event);
                    }
                    "stalled" => {}
                    "end" => break,
                    other => panic!("{other}: {event:?}"),
                }
            }
        }
    }
}

/// Clients that come and go at nodes of their own, whatever happens to these, until it is over.
fn churn(nodes: &[SocketAddr], worker: usize, over: &AtomicBool, acknowledged: &AtomicUsize) {
    let mut open: BTreeMap<String, Connection> = BTreeMap::new();
    for step in 0_usize.. {
        if over.load(Ordering::SeqCst) {
            return;
        }
        // Clients are shared by two workers, so that there are takeovers.
        let id = format!("c-{}-{}", worker / 2, step * 7 % 11);
        match open.remove(&id) {
            Some(connection) if step % 3 == 0 => drop(connection),
            Some(connection) => drop(connection.disconnect()),
            None => {
                let place = (worker + step) % nodes.len();
                if let Ok((connection, _)) = Connection::connect(nodes[place], &Connect::new(Version::V5, &id)) {
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    open.insert(id, connection);
                }
            }
        }
    }
}

/// What a reader knows of a client that keeps the one rule: the highest epoch, a connect wins if greater, a disconnect
/// if equal or greater.
#[derive(Default, Debug, PartialEq, Eq)]
struct Known {
    epoch: u64,
    online: bool,
}

impl Known {
    fn hear(&mut self, event: &Event) {
        let epoch = event.number("epoch");
        match event.kind.as_str() {
            "client_connected" if epoch > self.epoch => *self = Known { epoch, online: true },
            "client_disconnected" if epoch >= self.epoch => *self = Known { epoch, online: false },
            _ => {}
        }
    }
}

/// Nothing is missing and nothing is double: places grow in each partition, and each client comes and goes in turn, its
/// epochs growing.
fn assert_whole(events: &[Event]) {
    let mut last_place: BTreeMap<u64, (u64, u64, u64)> = BTreeMap::new();
    let mut last_of: BTreeMap<&str, &Event> = BTreeMap::new();
    for event in events {
        let place = event.place();
        if let Some(before) = last_place.insert(place.0, place) {
            assert!(before < place, "{place:?} after {before:?}");
        }
        let before = last_of.insert(event.client(), event);
        let epoch = event.number("epoch");
        match (event.kind.as_str(), before) {
            ("client_connected", None) => {}
            ("client_connected", Some(before)) => {
                assert_eq!(before.kind, "client_disconnected", "{event:?} after {before:?}");
                assert!(epoch > before.number("epoch"), "{event:?} after {before:?}");
            }
            (_, before) => {
                let before = before.unwrap_or_else(|| panic!("{event:?} is the first of its client"));
                assert_eq!(before.kind, "client_connected", "{event:?} after {before:?}");
                assert_eq!(epoch, before.number("epoch"), "{event:?} after {before:?}");
            }
        }
    }
}

/// A scenario that fails waits for nobody.
struct EndsThreads<'a>([&'a AtomicBool; 2]);

impl Drop for EndsThreads<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.iter().for_each(|over| over.store(true, Ordering::SeqCst));
        }
    }
}

/// Clients come and go while nodes are killed and come back, one after the other, leaders among them.
fn followed_through_kills(options: Options) {
    let mut cluster = Cluster::start(options);
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.http).collect();
    let listeners: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.mqtt).collect();
    let places: Vec<usize> = (0..nodes.len()).collect();
    let began = beginning(nodes[0]);
    let (over, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let wanted: Mutex<Option<BTreeMap<u64, u64>>> = Mutex::new(None);
    let failed = AtomicBool::new(false);
    let is_seen = |through: &[u64]| {
        let wanted = wanted.lock().unwrap();
        let place = |partition: &u64| usize::try_from(*partition).unwrap();
        let reached = |(partition, index): (&u64, &u64)| through.get(place(partition)).is_some_and(|at| at >= index);
        failed.load(Ordering::SeqCst) || wanted.as_ref().is_some_and(|wanted| wanted.iter().all(reached))
    };
    let wanderer = |last: &str| Wanderer {
        nodes: &nodes,
        last: last.to_owned(),
        events: Vec::new(),
        through: Vec::new(),
        streams: 0,
        served_by: BTreeSet::new(),
    };
    let answers = Mutex::new(Vec::new());
    let follower = thread::scope(|scope| {
        let _ends = EndsThreads([&over, &failed]);
        let mut follower = wanderer(&began);
        let is_seen = &is_seen;
        let following = scope.spawn(move || {
            follower.follow(is_seen);
            follower
        });
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (listeners, over, acknowledged) = (&listeners, &over, &acknowledged);
                scope.spawn(move || churn(listeners, worker, over, acknowledged))
            })
            .collect();
        for round in 0..2 {
            // It leads partitions, as every node does, and once it leads the cluster group as well.
            let victim = if round == 0 { cluster.leader() } else { (cluster.leader() + 1) % nodes.len() };
            let led = cluster.led_by(victim).unwrap();
            assert!(round > 0 || !led.is_empty(), "{led:?}");
            let before = acknowledged.load(Ordering::SeqCst);
            deadline::until("clients come and go", SOON * 3, || match acknowledged.load(Ordering::SeqCst) - before {
                60.. => Ok(()),
                fewer => Err(format!("{fewer} connects")),
            });
            // Some that nobody takes over: the dead node's own.
            let lost: Vec<Connection> =
                (0..3).map(|number| cluster.connect(victim, &format!("lost-{round}-{number}"))).collect();
            acknowledged.fetch_add(lost.len(), Ordering::SeqCst);
            cluster.nodes[victim].kill();
            drop(lost);
            let before = acknowledged.load(Ordering::SeqCst);
            deadline::until("others go on", SOON * 3, || match acknowledged.load(Ordering::SeqCst) - before {
                40.. => Ok(()),
                fewer => Err(format!("{fewer} connects")),
            });
            cluster.nodes[victim].start();
            cluster.wait_node_ready(victim);
        }
        over.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().unwrap();
        }
        // The workers' connections are closed: in the end nobody is online, and that is known by each partition's log.
        let shared = (0..2).flat_map(|pair| (0..11).map(move |n| format!("c-{pair}-{n}")));
        let lost = (0..2).flat_map(|round| (0..3).map(move |n| format!("lost-{round}-{n}")));
        let ids: Vec<String> = shared.chain(lost).collect();
        for id in &ids {
            cluster.wait_online(&places, id, false, cluster.offline_within() + SOON);
        }
        let stays = cluster.connect(0, "c-0-0");
        let ask = |id: &String| deadline::until("an answer", SOON, || cluster.ask(places.len() - 1, id));
        let asked: Vec<_> = ids.iter().map(|id| (id.clone(), ask(id))).collect();
        let mut indices = BTreeMap::new();
        for (_, answer) in &asked {
            let index = indices.entry(u64::from(answer.partition)).or_insert(0);
            *index = answer.index.max(*index);
        }
        *wanted.lock().unwrap() = Some(indices);
        let waiting = Instant::now();
        while !following.is_finished() {
            assert!(waiting.elapsed() < CAUGHT_UP_WITHIN, "the reader does not catch up");
            deadline::pause();
        }
        *answers.lock().unwrap() = asked;
        drop(stays);
        following.join().unwrap()
    });
    assert_whole(&follower.events);
    assert!(follower.streams >= 10, "only {} streams", follower.streams);
    assert!(follower.served_by.len() >= 3, "only nodes {:?}", follower.served_by);
    let connects = follower.events.iter().filter(|event| event.kind == "client_connected").count();
    assert!(connects > acknowledged.load(Ordering::SeqCst), "{connects} connects, more were acknowledged");
    assert!(follower.events.iter().any(|event| event.data["reason"] == "node_lost"), "nobody died");

    // The state that the events make is the one that the queries gave.
    let mut known: BTreeMap<&str, Known> = BTreeMap::new();
    for event in &follower.events {
        known.entry(event.client()).or_default().hear(event);
    }
    for (id, answer) in answers.lock().unwrap().iter() {
        let told = Known { epoch: answer.epoch.unwrap(), online: answer.online };
        assert_eq!(known.get(id.as_str()), Some(&told), "{id}");
    }

    // Who begins at the same place and reads in one go sees the same, at every node.
    for node in &nodes {
        let mut stream = Stream::open(*node, &format!("?from={began}"), None).unwrap();
        let mut again = Vec::new();
        while again.len() < follower.events.len() {
            let event = stream.next().expect("the stream ended");
            if event.kind.starts_with("client_") && !(event.kind == "client_disconnected" && is_last(&event, &known)) {
                again.push((event.place(), event.kind));
            }
        }
        let mut first: Vec<_> = follower.events.iter().map(|event| (event.place(), event.kind.clone())).collect();
        first.sort();
        again.sort();
        assert_eq!(first, again);
    }
}

/// The end of the connection that was open when the questions were asked.
fn is_last(event: &Event, known: &BTreeMap<&str, Known>) -> bool {
    known.get(event.client()) == Some(&Known { epoch: event.number("epoch"), online: true })
}

// B-037, B-039, B-040, B-055
#[test]
fn a_reader_that_drops_and_goes_on_elsewhere_misses_nothing_while_leaders_are_killed() {
    followed_through_kills(Options::default());
}

#[test]
fn the_same_where_no_node_has_a_replica_of_every_partition() {
    followed_through_kills(Options { nodes: 4, partitions: 6, replicas: 3, ..Options::default() });
}

/// The state read after the beginning was taken, and the events from the beginning on, make the present state.
#[test]
fn a_list_and_what_follows_from_before_it_make_the_state() {
    let cluster = Cluster::of_three();
    let (http, mqtt) = (cluster.nodes[1].addresses.http, cluster.nodes[0].addresses.mqtt);
    let over = AtomicBool::new(false);
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let (over, acknowledged) = (&over, &acknowledged);
                scope.spawn(move || churn(&[mqtt], worker, over, acknowledged))
            })
            .collect();
        deadline::until("clients come and go", SOON, || match acknowledged.load(Ordering::SeqCst) {
            30.. => Ok(()),
            fewer => Err(format!("{fewer} connects")),
        });
        // First the place, then the list, then what came since the place.
        let began = beginning(http);
        let before = acknowledged.load(Ordering::SeqCst);
        deadline::until("and more of them", SOON, || match acknowledged.load(Ordering::SeqCst) - before {
            10.. => Ok(()),
            fewer => Err(format!("{fewer} connects")),
        });
        let authorization = basic(USER.0, USER.1);
        let headers = [("Authorization", authorization.as_str())];
        let listed = cluster.request(2, "GET", "/clients?prefix=c-&limit=1000", &headers).unwrap();
        let listed: Value = serde_json::from_slice(&listed.body).unwrap();
        assert!(listed["cursor"].is_null());
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        for client in listed["clients"].as_array().unwrap() {
            let id = client["client_id"].as_str().unwrap().to_owned();
            let state = Known { epoch: client["epoch"].as_u64().unwrap(), online: client["online"].as_bool().unwrap() };
            known.insert(id, state);
        }
        over.store(true, Ordering::SeqCst);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        let stays = cluster.connect(1, "c-0-5");
        let ids: Vec<String> = (0..11).map(|n| format!("c-0-{n}")).collect();
        for id in ids.iter().filter(|id| *id != "c-0-5") {
            cluster.wait_online(&[0, 1, 2], id, false, SOON);
        }
        let asked: Vec<_> = ids.iter().map(|id| (id, cluster.ask(2, id).unwrap())).collect();
        let mut stream = Stream::open(http, &format!("?from={began}&prefix=c-"), None).unwrap();
        loop {
            let event = stream.next().expect("the stream ended");
            match event.kind.as_str() {
                "position" => {
                    let seen = |answer: &rollcall_test_cluster::Answer| {
                        event.data["through"][answer.partition as usize].as_u64().unwrap() >= answer.index
                    };
                    if asked.iter().all(|(_, answer)| seen(answer)) {
                        break;
                    }
                }
                _ => known.entry(event.client().to_owned()).or_default().hear(&event),
            }
        }
        for (id, answer) in asked {
            let told = answer.epoch.map(|epoch| Known { epoch, online: answer.online });
            assert_eq!(known.get(id), told.as_ref(), "{id}");
        }
        drop(stays);
    });
}

/// A node cut off from the others does not let its readers believe that nothing happens.
#[test]
fn a_stream_at_a_node_without_a_quorum_says_so_and_ends() {
    let mut cluster = Cluster::of_three();
    let mut stream = Stream::open(cluster.nodes[0].addresses.http, "", None).unwrap();
    let first = stream.next().unwrap();
    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    let next = |stream: &mut Stream, kind: &str| loop {
        let event = stream.next().unwrap_or_else(|| panic!("the stream ended before {kind}"));
        if event.kind == kind {
            return event;
        }
    };
    assert!(!next(&mut stream, "stalled").data["partitions"].as_array().unwrap().is_empty());
    let end = next(&mut stream, "end");
    assert_eq!(end.data["reason"], "no_quorum");
    assert!(stream.next().is_none());
    let refused = Stream::open(cluster.nodes[0].addresses.http, "", first.id.as_deref()).err().unwrap();
    assert!(refused.contains("503"), "{refused}");
    cluster.start_all();
    let mut again = Stream::open(cluster.nodes[2].addresses.http, "", end.id.as_deref()).unwrap();
    let device = cluster.connect(1, "afterwards");
    assert_eq!(next(&mut again, "client_connected").client(), "afterwards");
    drop(device);
}

#[test]
fn a_node_that_stops_ends_its_streams_and_they_go_on_at_another() {
    let mut cluster = Cluster::of_three();
    let device = cluster.connect(0, "device");
    let mut stream = Stream::open(cluster.nodes[0].addresses.http, "", None).unwrap();
    stream.next().unwrap();
    cluster.nodes[0].terminate();
    let end = loop {
        let event = stream.next().expect("the stream broke off without a word");
        if event.kind == "end" {
            break event;
        }
    };
    assert_eq!(end.data["reason"], "shutting_down");
    assert!(cluster.nodes[0].ended(SOON * 3).success());
    let mut again = Stream::open(cluster.nodes[1].addresses.http, "", end.id.as_deref()).unwrap();
    let gone = loop {
        let event = again.next().unwrap();
        if event.kind == "client_disconnected" {
            break event;
        }
    };
    assert_eq!((gone.client(), gone.data["reason"].as_str()), ("device", Some("server_shutdown")));
    drop(device);
}

/// A running `rollcall watch` and the lines it prints.
struct Watching {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Watching {
    fn start(cluster: &Cluster, arguments: &[&str]) -> Watching {
        let mut command = Command::new(binary::rollcall());
        command.args(["watch", "--user", USER.0, "--password", USER.1]).args(arguments).stdout(Stdio::piped());
        for node in &cluster.nodes {
            command.args(["--url", &format!("http://{}", node.addresses.http)]);
        }
        let mut process = command.stdin(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Ends with the process.
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Watching { process, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(SOON * 5).expect("a line")
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[test]
fn watch_prints_who_comes_and_goes_and_goes_on_when_its_node_dies() {
    let mut cluster = Cluster::of_three();
    let watching = Watching::start(&cluster, &["--prefix", "dev", "--json"]);
    assert!(watching.next().contains("\"position\""));
    let next_client = || loop {
        let line: Value = serde_json::from_str(&watching.next()).unwrap();
        if line["event"].as_str().unwrap().starts_with("client_") {
            return (line["event"].as_str().unwrap().to_owned(), line["data"]["clientid"].as_str().unwrap().to_owned());
        }
    };
    let pair = |event: &str, client: &str| (event.to_owned(), client.to_owned());
    let (other, device) = (cluster.connect(1, "other"), cluster.connect(2, "dev/1"));
    assert_eq!(next_client(), pair("client_connected", "dev/1"));
    // It follows the first node given.
    let lost = cluster.connect(0, "dev/0");
    assert_eq!(next_client(), pair("client_connected", "dev/0"));
    cluster.nodes[0].kill();
    device.disconnect().unwrap();
    assert_eq!(next_client(), pair("client_disconnected", "dev/1"));
    assert_eq!(next_client(), pair("client_disconnected", "dev/0"));
    drop((lost, other));
    let plain = Watching::start(&cluster, &["--client", "dev/2"]);
    // Its first node is dead: it is at another one when it prints the first line.
    deadline::until("a line", SOON * 3, || {
        drop(cluster.connect(1, "dev/2"));
        plain.lines.try_recv().map_err(|error| error.to_string()).map(|line| {
            assert!(line.contains("  dev/2  ") && line.contains("  n2"), "{line}");
        })
    });
}

//! A storm: clients reconnect in a tight loop over three nodes, nodes die and come back meanwhile, and everybody who
//! watches, over MQTT or HTTP, is told one and the same history, which the answers of queries agree with at every index.
//!
//! As a plain test it is a short storm; variables make it a long one. The judge is `checker`, and `histories` shows that
//! it can say no.

mod checker;
mod feed;
mod histories;
pub(crate) mod load;
mod subscriber;
pub(crate) mod told;

use checker::Answered;
use feed::{FeedReader, Position};
use load::Progress;
use rollcall_test_cluster::config::USER;
use rollcall_test_cluster::http::{basic, post_json, request, status_target};
use rollcall_test_cluster::{Answer, Cluster, Options, deadline, metrics};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};
use subscriber::{Finish, Marks, Record, listen};
use told::{Told, client_id};

const CLIENTS_VARIABLE: &str = "ROLLCALL_STORM_CLIENTS";
const EVENTS_VARIABLE: &str = "ROLLCALL_STORM_EVENTS";
const CLIENTS: u64 = 200;
const EVENTS: u64 = 3_000;
/// One node dies for so many events, but two at least: the leader of the cluster group first.
const EVENTS_FOR_A_KILL: u64 = 100_000;
const KILLS_MIN: u64 = 2;
/// How long the storm may take: this, and for so many connects a second more.
const ALWAYS_WITHIN: Duration = Duration::from_secs(90);
const CONNECTS_A_SECOND_MIN: u64 = 10;
/// The reader over HTTP drops its stream after so many events at most.
const DROPS_AFTER: usize = 400;
/// Threads that ask while the storm goes on.
const ASKING: u32 = 2;
/// Ids in one batch.
const BATCH: u32 = 1_000;
/// Sentences that a failure prints.
const SHOWN: usize = 20;

fn within(connects: u64) -> Duration {
    ALWAYS_WITHIN + Duration::from_secs(connects / CONNECTS_A_SECOND_MIN)
}

/// Asks about one client after the other, at one node after the other, until it is over.
fn ask(nodes: &[SocketAddr], first: u32, clients: u32, progress: &Progress) -> Vec<Answered> {
    let authorization = basic(USER.0, USER.1);
    let mut answers = Vec::new();
    for turn in first.. {
        if progress.over.load(SeqCst) {
            break;
        }
        // Neighbours in time are neither neighbours in number nor at one node.
        let client = turn.wrapping_mul(2_654_435_761) % clients;
        let node = nodes[usize::try_from(turn).unwrap_or(0) % nodes.len()];
        let target = status_target(&client_id(client));
        // A node that is dead, or cannot know, gives no answer to compare.
        if let Ok(response) = request(node, "GET", &target, &[("Authorization", &authorization)])
            && let Ok(answer) = Answer::of(&response)
        {
            answers.push(answered(client, &answer));
        }
        deadline::pause();
    }
    answers
}

fn answered(client: u32, answer: &Answer) -> Answered {
    let Answer { online, epoch, partition, index, .. } = *answer;
    Answered { client, partition, index, online, epoch }
}

/// Waits for so many more connects.
fn more_connects(progress: &Progress, more: u64, limit: Duration) {
    let before = progress.connects.load(SeqCst);
    deadline::until("clients come and go", limit, || match progress.connects.load(SeqCst) - before {
        enough if enough >= more => Ok(()),
        fewer => Err(format!("{fewer} connects of {more}")),
    });
}

/// Kills nodes and starts them again while the clients go on: the leader of the cluster group, then the other one, and so
/// on; never the one that is spared, so that one subscriber is connected to a living node all the time.
fn kill_in_turn(cluster: &mut Cluster, spared: usize, progress: &Progress, (kills, share): (u64, u64)) {
    let mut last = None;
    for _ in 0..kills {
        more_connects(progress, share, within(share));
        let leader = cluster.leader();
        let may_die = |node: &usize| *node != spared && Some(*node) != last;
        let victim =
            Some(leader).filter(may_die).or((0..cluster.nodes.len()).find(may_die)).expect("one of the others");
        last = Some(victim);
        cluster.nodes[victim].kill();
        more_connects(progress, share / 10, within(share / 10));
        cluster.nodes[victim].start();
        cluster.wait_node_ready(victim);
    }
    more_connects(progress, share, within(share));
}

/// Waits until none of the clients is online, as a node tells it.
pub(crate) fn wait_until_all_are_gone(cluster: &Cluster, node: usize, clients: u32) {
    let authorization = basic(USER.0, USER.1);
    let http = cluster.nodes[node].addresses.http;
    for first in (0..clients).step_by(BATCH as usize) {
        let ids: Vec<String> = (first..clients.min(first + BATCH)).map(|n| format!("\"{}\"", client_id(n))).collect();
        let body = format!("{{\"client_ids\":[{}]}}", ids.join(","));
        deadline::until("all clients have gone", cluster.offline_within() + ALWAYS_WITHIN, || {
            let answer = post_json(http, "/client-ids/status", &[("Authorization", &authorization)], &body)?;
            let online = answer.text().matches("\"online\":true").count();
            if answer.status == 200 && online == 0 { Ok(()) } else { Err(format!("{} {online} online", answer.status)) }
        });
    }
}

/// Clients behind the last one, one for each partition.
pub(crate) fn one_for_each_partition(cluster: &Cluster, node: usize, clients: u32, partitions: u16) -> Vec<u32> {
    let mut covered = BTreeSet::new();
    let covers = |client: &u32| covered.insert(cluster.ask(node, &client_id(*client)).expect("an answer").partition);
    (clients..).filter(covers).take(usize::from(partitions)).collect()
}

/// Reads the stream of events from the beginning to the marks, dropping it again and again.
fn wander(nodes: &[SocketAddr], from: &Position, finish: &OnceLock<Finish>) -> Result<(Vec<Told>, usize), String> {
    let mut reader = FeedReader::new(nodes, from, Some(DROPS_AFTER));
    let mut marks = Marks::default();
    reader.read(|reader| {
        let finish = finish.get();
        finish.is_some_and(|finish| marks.are_all_in(&reader.events, finish) || Instant::now() > finish.until)
    })?;
    Ok((reader.events, reader.streams))
}

fn assert_nothing(whose: &str, wrong: &[String]) {
    let shown: Vec<&str> = wrong.iter().take(SHOWN).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{whose}: {} sentences:\n{}", wrong.len(), shown.join("\n"));
}

/// Holds one subscriber against the stream; gives how many gaps it noticed.
fn judge(whose: &str, record: &Record, stream: &[Told]) -> usize {
    let lives: Vec<usize> = record.lives.iter().map(Vec::len).collect();
    println!("{whose}: events heard on each of its connections: {lives:?}; not heard:");
    for (first, last, events) in checker::missing_runs(&record.lives, stream) {
        println!("  {events} from {first:?} to {last:?}");
    }
    for (turn, life) in record.lives.iter().enumerate() {
        assert_nothing(whose, &checker::unbroken(life, turn == 0));
    }
    assert!(record.stayed, "{whose} had no connection at the end");
    let last = record.lives.last().expect("a subscriber that stayed has a connection");
    assert_nothing(whose, &checker::complete(last, stream, record.lives.len() == 1));
    assert_nothing(whose, &checker::filled(&record.lives, &record.fills, stream));
    match checker::gaps_are_noticed(&record.lives, stream) {
        Ok(gaps) => gaps,
        Err(wrong) => {
            assert_nothing(whose, &wrong);
            0
        }
    }
}

// B-037, B-039, B-040, B-046, B-055
#[test]
fn in_a_storm_with_kills_every_watcher_is_told_one_history_that_the_answers_agree_with() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let clients = u32::try_from(number(CLIENTS_VARIABLE, CLIENTS)).expect("fewer clients");
    let events = number(EVENTS_VARIABLE, EVENTS);
    let kills = (events / EVENTS_FOR_A_KILL).max(KILLS_MIN);
    // Of the events, half are connects.
    let share = events / 2 / (kills + 1);
    let options = Options { partitions: 6, lease_ms: 5_000, messages_per_second: 0, ..Options::default() };
    let partitions = options.partitions;
    let mut cluster = Cluster::start(options);
    let http: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.http).collect();
    let mqtt: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.addresses.mqtt).collect();
    let spared = (cluster.leader() + 1) % 3;
    let (progress, finish) = (Progress::default(), OnceLock::new());
    let places: Vec<subscriber::Place<'_>> =
        (0..3).map(|node| subscriber::Place { node, mqtt: mqtt[node], http: &http }).collect();
    let from = feed::now(&http, 0).unwrap();
    let first: Vec<_> = places.iter().map(|place| subscriber::subscribe(place).unwrap()).collect();
    let began = Instant::now();
    let (progress, finish, http, mqtt, from, places) = (&progress, &finish, &http, &mqtt, &from, &places);
    let (stream, records, answers, streams) = thread::scope(|scope| {
        let wanderer = scope.spawn(move || wander(http, from, finish));
        let listeners: Vec<_> = places
            .iter()
            .zip(first)
            .map(|(place, first)| scope.spawn(move || listen(scope, place, first, from.clone(), finish)))
            .collect();
        let step = load::workers(clients);
        let workers: Vec<_> = (0..step)
            .map(|first| scope.spawn(move || load::reconnect(mqtt, (first, step), clients, progress)))
            .collect();
        let asking: Vec<_> = (0..ASKING)
            .map(|one| scope.spawn(move || ask(http, one * (u32::MAX / ASKING), clients, progress)))
            .collect();
        // Whatever fails from here on, the threads must end.
        let end = EndsTheThreads { progress, finish };
        kill_in_turn(&mut cluster, spared, progress, (kills, share));
        progress.over.store(true, SeqCst);
        let rate = progress.connects.load(SeqCst) * 2 / began.elapsed().as_secs().max(1);
        println!("{} connects, about {rate} events a second", progress.connects.load(SeqCst));
        for worker in workers {
            worker.join().unwrap();
        }
        let mut answers: Vec<Answered> = asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect();
        wait_until_all_are_gone(&cluster, spared, clients);
        let marks = one_for_each_partition(&cluster, spared, clients, partitions);
        let stay: Vec<_> = marks.iter().map(|mark| cluster.connect(spared, &client_id(*mark))).collect();
        for client in marks.iter().copied().chain((0..clients).step_by(7).take(100)) {
            answers.push(answered(client, &cluster.ask(spared, &client_id(client)).unwrap()));
        }
        let until = Instant::now() + within(events);
        assert!(finish.set(Finish { marks, until }).is_ok());
        let (stream, streams) = wanderer.join().unwrap().unwrap();
        let records: Vec<Record> = listeners.into_iter().map(|listener| listener.join().unwrap().unwrap()).collect();
        // What says why, should a subscriber have missed something.
        for name in ["rollcall_messages_dropped_total", "rollcall_event_feed_gaps_total"] {
            let samples = metrics::samples(cluster.nodes[spared].addresses.admin, name).unwrap();
            println!("{name} of the spared node: {samples:?}");
        }
        drop((stay, end));
        (stream, records, answers, streams)
    });

    assert_nothing("the stream", &checker::whole(&stream));
    let connects = stream.iter().filter(|told| told.change == told::Change::Connected).count() as u64;
    assert!(connects >= progress.connects.load(SeqCst), "{connects} connects, more were acknowledged");
    assert!(stream.iter().any(|told| told.synthetic), "nobody was lost with a node");
    let mut noticed = 0;
    for (node, record) in records.iter().enumerate() {
        let whose = format!("the subscriber at n{}", node + 1);
        assert_eq!(record.lives.len() == 1, node == spared, "{whose} had {} connections", record.lives.len());
        noticed += judge(&whose, record, &stream);
    }
    assert!(noticed > 0, "nodes died, and no subscriber noticed that it had missed anything");
    let compared = match checker::agree(&stream, &answers) {
        Ok(compared) => compared,
        Err(wrong) => {
            assert_nothing("answers", &wrong);
            0
        }
    };
    println!(
        "{} events of {clients} clients over {streams} streams, {kills} kills; subscribers had {:?} connections and noticed \
         {noticed} gaps, all filled; {compared} answers agree",
        stream.len(),
        records.iter().map(|record| record.lives.len()).collect::<Vec<_>>(),
    );
}

/// Ends the storm when the test fails in its middle.
struct EndsTheThreads<'a> {
    progress: &'a Progress,
    finish: &'a OnceLock<Finish>,
}

impl Drop for EndsTheThreads<'_> {
    fn drop(&mut self) {
        self.progress.over.store(true, SeqCst);
        drop(self.finish.set(Finish { marks: Vec::new(), until: Instant::now() }));
    }
}

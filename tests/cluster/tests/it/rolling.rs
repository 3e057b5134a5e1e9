//! Restarts, planned and not, under clients that come and go.

use rollcall_test_cluster::mqtt::{Connect, Connection, Version};
use rollcall_test_cluster::{Cluster, Options, deadline};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);

/// The longest time in which no question to any of these nodes was answered.
fn longest_silence(cluster: &Cluster, asked: &[usize], id: &str, stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    let mut last = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        for place in asked {
            if let Ok(answer) = cluster.ask(*place, id) {
                assert!(answer.online, "{answer:?}");
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
    }
    longest.max(last.elapsed())
}

/// B-115: one node after the other is stopped as planned and started again: nothing is lost, and questions to the others are
/// interrupted for less than a second each time.
#[test]
fn a_rolling_restart_loses_nothing_and_hardly_interrupts() {
    let mut cluster = Cluster::of_three();
    for place in 0..3 {
        let others = cluster.others(place);
        let witness = format!("witness-{place}");
        let mut staying = cluster.connect(others[0], &witness);
        let gone: Vec<_> = (0..10).map(|n| cluster.connect(place, &format!("gone-{place}-{n}"))).collect();
        let (stop, leaving) = (AtomicBool::new(false), &cluster.nodes[place]);
        leaving.terminate();
        let silence = std::thread::scope(|scope| {
            let asking = scope.spawn(|| longest_silence(&cluster, &others, &witness, &stop));
            for (n, mut connection) in gone.into_iter().enumerate() {
                connection.to_the_end(SOON).unwrap();
                let id = format!("gone-{place}-{n}");
                let mut back = cluster.connect(others[n % 2], &id);
                back.ping().unwrap();
                cluster.wait_online(&others, &id, true, SOON);
            }
            stop.store(true, Ordering::SeqCst);
            asking.join().unwrap()
        });
        assert!(silence < Duration::from_secs(1), "n{}: no answer for {silence:?}", place + 1);
        let status = cluster.nodes[place].ended(SOON);
        assert!(status.success(), "{status}");
        cluster.nodes[place].start();
        cluster.wait_ready();
        staying.ping().unwrap();
        cluster.assert_online(&[0, 1, 2], &witness, true);
    }
}

/// Any one of three nodes dies while 200 clients connect in a loop: after the lease hardly a CONNECT fails, and no
/// client of a living node is disturbed.
#[test]
fn connects_go_on_when_a_node_dies() {
    const CLIENTS: usize = 200;
    const THREADS: usize = 20;
    let mut cluster = Cluster::start(Options::default());
    for victim in 0..3 {
        let others = cluster.others(victim);
        let mut healthy: Vec<_> =
            (0..10).map(|n| cluster.connect(others[n % 2], &format!("healthy-{victim}-{n}"))).collect();
        cluster.nodes[victim].kill();
        let over = Instant::now() + cluster.offline_within();
        let stop = AtomicBool::new(false);
        let (tried, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (cluster, others, stop, tried, failed) = (&cluster, &others, &stop, &tried, &failed);
                scope.spawn(move || {
                    let mut round = 0;
                    while !stop.load(Ordering::SeqCst) {
                        for n in 0..CLIENTS / THREADS {
                            let id = format!("looping-{thread}-{n}");
                            let counts = Instant::now() >= over;
                            let to = cluster.nodes[others[(n + round) % 2]].addresses.mqtt;
                            let connected = Connection::connect(to, &Connect::new(Version::V5, &id));
                            if counts {
                                tried.fetch_add(1, Ordering::SeqCst);
                                failed.fetch_add(usize::from(connected.is_err()), Ordering::SeqCst);
                            }
                        }
                        round += 1;
                    }
                });
            }
            deadline::until("enough connects after the lease", SOON * 3, || {
                let tried = tried.load(Ordering::SeqCst);
                if tried >= 2_000 { Ok(()) } else { Err(format!("{tried}")) }
            });
            stop.store(true, Ordering::SeqCst);
        });
        let (tried, failed) = (tried.into_inner(), failed.into_inner());
        assert!(failed * 1_000 <= tried, "n{} dead: {failed} of {tried} connects failed", victim + 1);
        for (n, connection) in healthy.iter_mut().enumerate() {
            connection.ping().unwrap_or_else(|error| panic!("healthy-{victim}-{n}: {error}"));
            cluster.assert_online(&others, &format!("healthy-{victim}-{n}"), true);
        }
        cluster.nodes[victim].start();
        cluster.wait_ready();
    }
}

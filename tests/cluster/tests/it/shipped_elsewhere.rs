//! Faults that well-tested systems have shipped, each as a scenario here. Two more are scripted in the Raft simulation,
//! where a message can be held at will; `docs/internals/testing.md` has the whole list.

use rollcall_test_cluster::mqtt::{Arrival, Connect, Version, kind};
use rollcall_test_cluster::{Answer, Cluster, Options, deadline, http, metrics, tools};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// Who leads the partition of this client id, by its position among the nodes.
fn leader_of(cluster: &Cluster, client_id: &str) -> usize {
    let partition = deadline::until("an answer", SOON, || cluster.ask(0, client_id)).partition;
    let group = format!("partition-{partition}\"");
    deadline::until("the partition has a leader", SOON, || {
        (0..cluster.nodes.len())
            .find(|place| cluster.led_by(*place).is_ok_and(|groups| groups.iter().any(|g| g.contains(&group))))
            .ok_or_else(|| "nobody leads".to_owned())
    })
}

/// Asks a node all the time; every answer to a question that was put after a write was acknowledged must show it.
fn read_all_the_time(
    cluster: &Cluster,
    place: usize,
    id: &str,
    (acknowledged, epoch): (&AtomicBool, u64),
    answers: &AtomicUsize,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::SeqCst) {
        let after = acknowledged.load(Ordering::SeqCst);
        let Ok(answer) = cluster.ask(place, id) else { continue };
        answers.fetch_add(1, Ordering::SeqCst);
        let seen = answer.epoch.unwrap_or(0);
        assert!(!after || seen > epoch, "stale at n{}: epoch {seen}, though a later one was acknowledged", place + 1);
    }
}

/// The leader stands still with reads under way; another is elected and acknowledges a write; then the old one goes on.
#[test]
fn a_read_is_never_answered_by_a_leader_that_stood_still() {
    let cluster = Cluster::of_three();
    for round in 0..4 {
        let id = format!("paused-leader-{round}");
        let _old = cluster.connect(0, &id);
        let leader = leader_of(&cluster, &id);
        let others = cluster.others(leader);
        let epoch = deadline::until("an answer", SOON, || cluster.ask(others[0], &id)).epoch.unwrap();
        let (acknowledged, answers, stop) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|place| {
                    let (cluster, id, acknowledged, answers, stop) = (&cluster, &id, &acknowledged, &answers, &stop);
                    scope.spawn(move || read_all_the_time(cluster, place, id, (acknowledged, epoch), answers, stop))
                })
                .collect();
            cluster.nodes[leader].pause();
            let new = deadline::until("a claim under another leader", SOON, || {
                let connect = Connect::new(Version::V5, &id);
                let to = cluster.nodes[others[round % 2]].addresses.mqtt;
                rollcall_test_cluster::mqtt::Connection::connect(to, &connect).map_err(|refused| format!("{refused:?}"))
            });
            acknowledged.store(true, Ordering::SeqCst);
            cluster.nodes[leader].resume();
            // All nodes answer again, and rightly.
            for place in 0..3 {
                deadline::until("the new claim is seen", SOON, || match cluster.ask(place, &id)?.epoch {
                    Some(seen) if seen > epoch => Ok(()),
                    seen => Err(format!("{seen:?}")),
                });
            }
            // How many there are depends on how fast all this went; enough of them were under way.
            deadline::until("answers", SOON, || match answers.load(Ordering::SeqCst) {
                enough if enough > 20 => Ok(()),
                fewer => Err(format!("only {fewer} answers")),
            });
            stop.store(true, Ordering::SeqCst);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            drop(new);
        });
    }
}

/// The asked follower stands still with reads under way; a write is acknowledged meanwhile; then it goes on and asks
/// again what it has no answer to.
#[test]
fn a_follower_that_stood_still_answers_nothing_from_before() {
    let cluster = Cluster::of_three();
    for round in 0..4 {
        let id = format!("paused-follower-{round}");
        let leader = leader_of(&cluster, &id);
        let others = cluster.others(leader);
        let (follower, third) = (others[0], others[1]);
        let _old = cluster.connect(third, &id);
        let epoch = deadline::until("an answer", SOON, || cluster.ask(leader, &id)).epoch.unwrap();
        let (acknowledged, answers, stop) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let reader =
                scope.spawn(|| read_all_the_time(&cluster, follower, &id, (&acknowledged, epoch), &answers, &stop));
            deadline::until("reads are under way", SOON, || cluster.ask(follower, &id));
            cluster.nodes[follower].pause();
            let new = cluster.connect(leader, &id);
            acknowledged.store(true, Ordering::SeqCst);
            cluster.nodes[follower].resume();
            deadline::until("the new claim is seen", SOON, || match cluster.ask(follower, &id)?.epoch {
                Some(seen) if seen > epoch => Ok(()),
                seen => Err(format!("{seen:?}")),
            });
            stop.store(true, Ordering::SeqCst);
            reader.join().unwrap();
            assert!(answers.load(Ordering::SeqCst) > 0);
            drop(new);
        });
    }
}

/// One node's log is damaged while all are down, and it starts first: it refuses, or it has repaired what it can prove;
/// what was acknowledged is there either way.
#[test]
fn a_node_with_a_damaged_log_never_leads_with_it() {
    let mut cluster = Cluster::of_three();
    let epochs = |cluster: &Cluster| -> Vec<Option<u64>> {
        (0..12).map(|n| deadline::until("an answer", SOON * 3, || cluster.ask(1, &format!("kept-{n}"))).epoch).collect()
    };
    for (round, damage) in [0.3, 0.6, 0.9, 1.0].into_iter().enumerate() {
        let devices: Vec<_> = (0..12).map(|n| cluster.connect(n % 3, &format!("kept-{n}"))).collect();
        let before = epochs(&cluster);
        for node in &mut cluster.nodes {
            node.kill();
        }
        drop(devices);
        let file = File::options().read(true).write(true).open(cluster.data_dir(0).join("db/db")).unwrap();
        let length = file.metadata().unwrap().len();
        if damage < 1.0 {
            // The first byte from there on that is not zero: a hole would hide the damage.
            let mut at = (length as f64 * damage) as u64;
            let mut byte = [0];
            while file.read_at(&mut byte, at).unwrap() == 1 && byte[0] == 0 {
                at += 1;
            }
            file.write_at(&[byte[0] ^ 0x10], at).unwrap();
        } else {
            file.set_len(length - length / 8).unwrap();
        }
        drop(file);
        cluster.nodes[0].start();
        cluster.nodes[1].start();
        cluster.nodes[2].start();
        for place in [1, 2] {
            cluster.wait_node_ready(place);
        }
        let after = epochs(&cluster);
        assert_eq!(after, before, "round {round}: acknowledged claims");
        // The damaged node says so and ends, or answers as the others do.
        deadline::until("the damaged node refuses or is right", SOON * 3, || {
            if !cluster.nodes[0].is_running() {
                return Ok(());
            }
            for (n, epoch) in before.iter().enumerate() {
                assert_eq!(cluster.ask(0, &format!("kept-{n}"))?.epoch, *epoch, "a guess from a damaged log");
            }
            Ok(())
        });
        if !cluster.nodes[0].is_running() {
            // Replaced, as an operator would: an empty directory in its place.
            cluster.nodes[0].kill();
            std::fs::remove_dir_all(cluster.data_dir(0)).unwrap();
            cluster.nodes[0].start();
            cluster.wait_node_ready(0);
        }
    }
}

/// One node loses its power while another stands still: nothing acknowledged is lost, and the majority that is left
/// after the first returns goes on.
#[test]
fn power_loss_of_one_node_and_silence_of_another_lose_nothing() {
    let scenario = "power loss of one node and silence of another";
    if !tools::available(scenario, "root, loop devices, mkfs.ext4 and python3", tools::loop_disks()) {
        return;
    }
    let mut cluster = Cluster::on_disks(Options::default());
    for round in 0..3 {
        let (dark, silent, left) = (round % 3, (round + 1) % 3, (round + 2) % 3);
        let ids: Vec<String> = (0..9).map(|n| format!("acknowledged-{round}-{n}")).collect();
        let devices: Vec<_> = ids.iter().map(|id| cluster.connect(left, id)).collect();
        cluster.disks[dark].cut_power();
        cluster.nodes[silent].pause();
        cluster.nodes[dark].kill();
        let refused = deadline::until("the last one refuses", SOON, || cluster.status(left, &ids[0]));
        assert_ne!((refused.status, refused.text().as_str()), (200, r#"{"online":false}"#), "a guess");
        cluster.disks[dark].restore_power();
        cluster.nodes[dark].start();
        for id in &ids {
            let answer = deadline::until("an answer of two", SOON * 3, || cluster.ask(dark, id));
            assert!(answer.epoch.is_some(), "{id}: an acknowledged claim is gone");
        }
        cluster.nodes[silent].resume();
        cluster.wait_ready();
        drop(devices);
    }
}

/// A node restarts again and again while it is asked: what it says never goes back.
#[test]
fn answers_never_go_back_over_restarts() {
    let mut cluster = Cluster::of_three();
    let mut last: Option<Answer> = None;
    for round in 0..5 {
        let _device = cluster.connect(1 + round % 2, "restarted-under");
        cluster.nodes[0].kill();
        cluster.nodes[0].start();
        let expected = deadline::until("an answer", SOON, || cluster.ask(1, "restarted-under"));
        let until = Instant::now() + Duration::from_secs(3);
        let mut answers = 0;
        while Instant::now() < until || answers < 5 {
            let Ok(answer) = cluster.ask(0, "restarted-under") else { continue };
            assert!(answer.epoch >= expected.epoch && answer.index >= expected.index, "{answer:?} after {expected:?}");
            if let Some(last) = &last {
                assert!(answer.epoch >= last.epoch && answer.index >= last.index, "{answer:?} after {last:?}");
            }
            last = Some(answer);
            answers += 1;
        }
    }
}

/// Nobody reads the log: the node says that it is not well, and goes on answering.
#[test]
fn a_log_that_nobody_reads_stops_no_answer() {
    let mut cluster = Cluster::of_three();
    cluster.nodes[2].terminate();
    cluster.nodes[2].ended(SOON * 3);
    cluster.nodes[2].leave_log_unread();
    cluster.nodes[2].set_variable("RUST_LOG", "trace");
    cluster.nodes[2].start();
    let admin = cluster.nodes[2].addresses.admin;
    deadline::until("it complains", SOON * 3, || {
        let ready = http::request(admin, "GET", "/readyz", &[])?;
        let complains = ready.status == 503 && ready.text().contains("log lines were dropped");
        if complains { Ok(()) } else { Err(format!("{} {}", ready.status, ready.text())) }
    });
    let mut device = cluster.connect(2, "quiet");
    for _ in 0..50 {
        let asked = Instant::now();
        let answer = cluster.ask(2, "quiet").unwrap();
        assert!(answer.online && asked.elapsed() < Duration::from_secs(2), "{answer:?} after {:?}", asked.elapsed());
    }
    device.ping().unwrap();
}

/// The same client id on both sides of a cut that heals within the lease: one connection stays, the other is told.
#[test]
fn of_two_connections_across_a_cut_exactly_one_stays() {
    let scenario = "of two connections across a cut exactly one stays";
    if !tools::available(scenario, "root and `ip netns`", tools::namespaces()) {
        return;
    }
    // A lease long enough that the cut heals before it runs out, on a busy machine.
    let mut cluster = Cluster::in_namespaces(Options { lease_ms: 15_000, ..Options::default() });
    for round in 0..2 {
        let alone = (cluster.leader() + round) % 3;
        let others = cluster.others(alone);
        let id = format!("both-sides-{round}");
        let mut old = cluster.connect(alone, &id);
        let before = cluster.ask(others[0], &id).unwrap().epoch;
        cluster.network.as_ref().unwrap().cut_from_peers(alone);
        let mut new = deadline::until("a claim on the other side", SOON, || {
            let connect = Connect::new(Version::V5, &id);
            let to = cluster.nodes[others[0]].addresses.mqtt;
            rollcall_test_cluster::mqtt::Connection::connect(to, &connect)
                .map(|(connection, _)| connection)
                .map_err(|refused| format!("{refused:?}"))
        });
        assert_eq!(old.next(Duration::from_millis(1)), Arrival::Silence, "the cut side cannot know yet");
        cluster.network.as_ref().unwrap().heal(alone);
        let packets = old.to_the_end(SOON).unwrap();
        assert_eq!(packets.len(), 1, "{packets:?}");
        assert_eq!((packets[0].kind(), packets[0].body.first()), (kind::DISCONNECT, Some(&0x8e)));
        new.ping().unwrap();
        cluster.wait_ready();
        for place in 0..3 {
            let answer = deadline::until("an answer", SOON, || cluster.ask(place, &id));
            assert!(answer.online && answer.epoch > before, "{answer:?}");
            assert_eq!(answer.node.as_deref(), Some(cluster.nodes[others[0]].name.as_str()));
        }
    }
}

/// The wall clocks jump by an hour, there and back: nobody is declared offline early, and nobody is kept online.
#[test]
fn a_jump_of_the_wall_clock_ends_no_keep_alive_early() {
    const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    if !tools::available("a jump of the wall clock", "the package libfaketime", std::path::Path::new(LIBRARY).exists())
    {
        return;
    }
    let mut cluster = Cluster::of_three();
    let folder = tempfile::tempdir().unwrap();
    let offsets: Vec<_> = (0..3).map(|n| folder.path().join(format!("offset-{n}"))).collect();
    for (node, offset) in cluster.nodes.iter_mut().zip(&offsets) {
        std::fs::write(offset, "+0").unwrap();
        node.kill();
        node.set_variable("LD_PRELOAD", LIBRARY);
        node.set_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        node.set_variable("FAKETIME_NO_CACHE", "1");
        node.set_variable("FAKETIME_TIMESTAMP_FILE", offset.to_str().unwrap());
    }
    cluster.start_all();
    let keep_alive = 4;
    let mut pinging: Vec<_> = (0..3)
        .map(|place| {
            let connect =
                Connect { keep_alive_s: keep_alive, ..Connect::new(Version::V311, &format!("pinging-{place}")) };
            cluster.connect_as(place, &connect)
        })
        .collect();
    for (round, offset) in ["+3600", "-3600", "+0"].into_iter().enumerate() {
        let silent = Connect { keep_alive_s: keep_alive, ..Connect::new(Version::V311, &format!("silent-{round}")) };
        let _silent = cluster.connect_as(round % 3, &silent);
        let since = Instant::now();
        for file in &offsets {
            std::fs::write(file, offset).unwrap();
        }
        // By 1.5 times the keep-alive the silent one is offline, not earlier.
        let due = Duration::from_secs(u64::from(keep_alive)) * 3 / 2;
        let mut offline_at = None;
        while since.elapsed() < due + Duration::from_secs(3) {
            for connection in &mut pinging {
                connection.ping().unwrap();
            }
            for place in 0..3 {
                let Ok(answer) = cluster.ask(place, &format!("silent-{round}")) else { continue };
                if !answer.online {
                    offline_at.get_or_insert(since.elapsed());
                }
                let Ok(answer) = cluster.ask(place, &format!("pinging-{place}")) else { continue };
                assert!(answer.online, "{offset}: a client that pings is offline: {answer:?}");
            }
            deadline::pause();
        }
        let offline_at = offline_at.unwrap_or_else(|| panic!("{offset}: the silent client is still online"));
        assert!(offline_at + Duration::from_secs(1) >= due, "{offset}: offline after {offline_at:?}, due at {due:?}");
    }
    let violated = metrics::samples(cluster.nodes[0].addresses.admin, "rollcall_invariant_violations_total").unwrap();
    assert!(violated.iter().all(|sample| sample.value == 0.0), "{violated:?}");
}

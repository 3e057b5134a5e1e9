//! Nodes killed with `kill -9`: what stays, how soon the answers are right, and that everything heals without help.

use rollcall_test_cluster::mqtt::Connection;
use rollcall_test_cluster::{Cluster, deadline};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ALL: [usize; 3] = [0, 1, 2];
/// Queries on surviving nodes may be interrupted for this long.
const INTERRUPTED_AT_MOST: Duration = Duration::from_secs(2);
const CONNECTS_AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// A device on each node, several times over: id, place, connection.
fn devices(cluster: &Cluster, prefix: &str, per_node: usize) -> Vec<(String, usize, Connection)> {
    (0..per_node * 3)
        .map(|number| {
            let (id, place) = (format!("{prefix}-{number}"), number % 3);
            let connection = cluster.connect(place, &id);
            (id, place, connection)
        })
        .collect()
}

fn epochs(cluster: &Cluster, place: usize, devices: &[(String, usize, Connection)]) -> BTreeMap<String, u64> {
    devices.iter().map(|(id, ..)| (id.clone(), cluster.ask(place, id).unwrap().epoch.unwrap())).collect()
}

/// Kills the node and holds the rest to their promises; then starts it again.
fn kill_and_heal(cluster: &mut Cluster, victim: usize, round: &str) {
    let mut devices = devices(cluster, round, 4);
    let before = epochs(cluster, victim, &devices);
    let survivors = cluster.others(victim);

    cluster.nodes[victim].kill();
    let killed = Instant::now();

    let mut last_answer = killed;
    let mut longest = Duration::ZERO;
    let offline_within = cluster.offline_within();
    deadline::until(&format!("{round}: the clients of the dead node are offline"), offline_within, || {
        let mut still_online = Vec::new();
        for (id, place, _) in &devices {
            for survivor in &survivors {
                match cluster.ask(*survivor, id) {
                    Ok(answer) => {
                        longest = longest.max(last_answer.elapsed());
                        last_answer = Instant::now();
                        assert_eq!(answer.epoch, before.get(id).copied(), "{id}: {answer:?}");
                        if *place == victim && answer.online {
                            still_online.push(id.clone());
                        }
                        assert!(answer.online || *place == victim, "{id} lives on n{}: {answer:?}", place + 1);
                    }
                    Err(reason) => still_online.push(reason),
                }
            }
        }
        if still_online.is_empty() { Ok(()) } else { Err(format!("{still_online:?}")) }
    });
    assert!(longest <= INTERRUPTED_AT_MOST, "{round}: no query was answered for {longest:?}");

    // The majority serves: the displaced clients connect elsewhere, with a higher epoch.
    for (id, place, connection) in &mut devices {
        if *place == victim {
            *connection = cluster.connect(survivors[0], id);
            let answer = cluster.ask(survivors[1], id).unwrap();
            assert!(answer.online && answer.epoch > before.get(id).copied(), "{id}: {answer:?}");
        } else {
            // B-090: clients of other nodes are not disturbed.
            connection.ping().unwrap();
        }
    }

    cluster.nodes[victim].start();
    cluster.wait_node_ready(victim);
    for (id, ..) in &devices {
        assert!(cluster.ask(victim, id).unwrap().online, "{id} as the restarted node sees it");
    }
    let mut back = cluster.connect(victim, &format!("{round}-back"));
    back.ping().unwrap();
    cluster.assert_online(&ALL, &format!("{round}-back"), true);
}

/// B-002, B-009, B-017, B-074, B-092, B-110, B-154: any one node dies, the majority serves, and the node comes back.
#[test]
fn each_node_in_turn_is_killed_and_comes_back() {
    let mut cluster = Cluster::of_three();
    for victim in ALL {
        kill_and_heal(&mut cluster, victim, &format!("n{}", victim + 1));
    }
}

#[test]
fn the_leader_of_the_cluster_group_is_killed_and_comes_back() {
    let mut cluster = Cluster::of_three();
    for round in 0..2 {
        let leader = cluster.leader();
        kill_and_heal(&mut cluster, leader, &format!("leader-{round}"));
    }
}

/// B-096, B-145, B-146: nothing acknowledged is lost, and nobody forms a second cluster.
#[test]
fn all_three_are_killed_at_once_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::of_three();
    let mut before = BTreeMap::new();
    for round in 0..3 {
        let devices = devices(&cluster, "device", 10);
        let now = epochs(&cluster, round % 3, &devices);
        for (id, epoch) in &now {
            assert!(before.get(id).is_none_or(|earlier| epoch > earlier), "{id}: {epoch} after {before:?}");
        }
        // One more, acknowledged just before the end.
        let last = cluster.connect(round % 3, "last");
        for place in ALL {
            cluster.nodes[place].kill();
        }
        drop((devices, last));
        cluster.start_all();
        for place in ALL {
            for (id, epoch) in &now {
                let answer = cluster.ask(place, id).unwrap();
                assert_eq!(answer.epoch, Some(*epoch), "{id} at n{}: {answer:?}", place + 1);
            }
            assert!(
                cluster.ask(place, "last").unwrap().epoch.is_some(),
                "the claim of an acknowledged CONNECT is gone"
            );
        }
        for (id, ..) in &now {
            cluster.wait_online(&ALL, id, false, cluster.offline_within());
        }
        before = now;
    }
    deadline::until("connects are served again", CONNECTS_AGAIN_WITHIN, || {
        let _again = cluster.connect(0, "again");
        cluster.ask(1, "again")
    });
}

/// B-106: with the quorum gone, every query ends in 503 within its deadline; with it back, in an answer.
#[test]
fn the_last_of_three_answers_503_and_heals_when_one_other_returns() {
    let mut cluster = Cluster::of_three();
    let _device = cluster.connect(0, "VIN0000001");
    for place in [1, 2] {
        cluster.nodes[place].kill();
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let asked = Instant::now();
        let response = cluster.status(0, "VIN0000001").unwrap();
        assert_eq!(response.status, 503, "{response:?}");
        assert!(response.header("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()), "{response:?}");
        assert!(asked.elapsed() < Duration::from_secs(2), "answered only after {:?}", asked.elapsed());
    }
    let healthy =
        rollcall_test_cluster::http::request(cluster.nodes[0].addresses.admin, "GET", "/healthz", &[]).unwrap();
    assert_eq!(healthy.status, 200, "a lost quorum is no illness of the process");
    cluster.nodes[2].start();
    cluster.wait_node_ready(2);
    cluster.wait_node_ready(0);
}

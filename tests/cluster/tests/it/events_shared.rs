//! A shared subscription of events: each event to one member in the whole cluster, and all of one client to the same one,
//! in order, so that members can keep what they know of their clients.

use crate::events::{check_order, events_until_over, place, text, watcher};
use rollcall_test_cluster::Cluster;
use rollcall_test_cluster::mqtt::{Connect, Connection, Version};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

const CLIENTS: usize = 120;
const ROUNDS: usize = 4;

#[test]
fn a_group_over_nodes_gets_each_event_once_and_all_of_a_client_in_one_place() {
    let cluster = Cluster::of_three();
    let group = "$share/g/$events/#";
    let mut members: Vec<Connection> = [(0, "m-a"), (1, "m-b"), (1, "m-c")]
        .into_iter()
        .map(|(place, id)| watcher(&cluster, place, id, group, 1))
        .collect();
    let mut plain = watcher(&cluster, 2, "plain", "$events/#", 1);
    let over = AtomicBool::new(false);
    let told: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let over = &over;
        let read = |one| scope.spawn(move || events_until_over(one, "shared-", over));
        let readers: Vec<_> = members.iter_mut().chain([&mut plain]).map(read).collect();
        for round in 0..ROUNDS {
            for client in 0..CLIENTS {
                let connect = Connect::new(Version::V5, &format!("shared-{client}"));
                let connection = cluster.connect_as((client + round) % 3, &connect);
                if round % 2 == 1 {
                    connection.disconnect().unwrap();
                }
            }
        }
        over.store(true, Ordering::SeqCst);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let (plain, members) = told.split_last().unwrap();
    check_order(plain);
    let mut seen = BTreeSet::new();
    let mut member_of: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, events) in members.iter().enumerate() {
        assert!(!events.is_empty(), "member {number} got nothing");
        check_order(events);
        for event in events {
            assert!(seen.insert(place(event)), "told twice: {event}");
            let member = *member_of.entry(text(event, "clientid")).or_insert(number);
            assert_eq!(member, number, "of one client by two members: {event}");
        }
    }
    assert_eq!(seen, plain.iter().map(place).collect::<BTreeSet<_>>());
    assert_eq!(member_of.len(), CLIENTS);
}

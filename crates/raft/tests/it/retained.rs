//! Retained messages of real groups: kept from any node, found from every node, and there when a node is gone.

use crate::cluster::{Cluster, RETAINED_LIMITS, TestNode, WITHIN};
use rollcall_contracts::{RetainError, RetainedPlace, RetainedReadError, RetainedStore as _};
use rollcall_types::{Message, MessageProperties, QoS};
use std::sync::Arc;
use tokio::time::Instant;

fn message(topic: &str, payload: &str) -> Arc<Message> {
    Arc::new(Message {
        topic: topic.to_owned(),
        payload: payload.as_bytes().to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: MessageProperties::default(),
    })
}

async fn keep(node: &TestNode, topic: &str, payload: &str) {
    node.replication.retained().keep(message(topic, payload)).await.unwrap();
}

/// All that matches, page by page; refusals are allowed only for a while.
async fn found(node: &TestNode, filter: &str) -> Vec<(String, String)> {
    let until = Instant::now() + WITHIN;
    let mut found = Vec::new();
    let mut place = RetainedPlace::default();
    loop {
        match node.replication.retained().matching(filter, place.clone()).await {
            Ok(page) => {
                found.extend(page.messages.into_iter().map(|m| (m.topic, String::from_utf8(m.payload).unwrap())));
                match page.next {
                    Some(next) => place = next,
                    None => break,
                }
            }
            Err(error) => assert!(Instant::now() < until, "no answer: {error}"),
        }
    }
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(topic, payload)| ((*topic).to_owned(), (*payload).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_keeps_every_node_finds_whether_or_not_it_has_a_replica() {
    let cluster = Cluster::start(4, 6, 3).await;
    cluster.serve();
    let topics: Vec<String> = (0..12).map(|n| format!("plant/{n}/state")).collect();
    for (n, topic) in topics.iter().enumerate() {
        keep(cluster.node(1 + n as u64 % 4), topic, "old").await;
        keep(cluster.node(1 + (n + 1) as u64 % 4), topic, topic).await;
    }
    keep(cluster.node(2), "plant/0/other", "x").await;
    let mut expected: Vec<_> = topics.iter().map(|topic| (topic.clone(), topic.clone())).collect();
    expected.sort();
    for node in cluster.nodes.values() {
        assert_eq!(found(node, "plant/+/state").await, expected, "the newest of each, of all partitions");
        assert_eq!(
            found(node, "plant/0/#").await,
            pairs(&[("plant/0/other", "x"), ("plant/0/state", "plant/0/state")])
        );
        assert_eq!(found(node, "plant/3/state").await, pairs(&[("plant/3/state", "plant/3/state")]));
    }
    keep(cluster.node(3), "plant/0/other", "").await;
    for node in cluster.nodes.values() {
        assert_eq!(found(node, "plant/0/#").await, pairs(&[("plant/0/state", "plant/0/state")]), "cleared");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_message_survives_any_node_and_without_a_quorum_nothing_is_said() {
    let cluster = Cluster::start(3, 2, 3).await;
    cluster.serve();
    for topic in ["a", "b", "c", "d"] {
        keep(cluster.node(1), topic, topic).await;
    }
    cluster.node(1).stop().await;
    let expected = pairs(&[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")]);
    for survivor in [2, 3] {
        assert_eq!(found(cluster.node(survivor), "#").await, expected);
    }
    keep(cluster.node(2), "e", "e").await;
    cluster.node(3).stop().await;
    let alone = cluster.node(2).replication.retained();
    assert_eq!(alone.matching("#", RetainedPlace::default()).await, Err(RetainedReadError::NoQuorum));
    assert_eq!(alone.keep(message("f", "f")).await, Err(RetainError::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_come_in_bounded_pages_and_beyond_the_limit_they_are_refused() {
    let cluster = Cluster::start(1, 1, 1).await;
    cluster.serve();
    let retained = cluster.node(1).replication.retained();
    for n in 0..RETAINED_LIMITS.messages {
        retained.keep_soon(message(&format!("many/{n}"), "x")).unwrap();
    }
    // Behind all of them in the queue.
    assert_eq!(retained.keep(message("one more", "x")).await, Err(RetainError::LimitReached));
    let first = retained.matching("#", RetainedPlace::default()).await.unwrap();
    assert!(first.next.is_some() && first.messages.len() < 1000, "{}", first.messages.len());
    assert_eq!(found(cluster.node(1), "many/+").await.len() as u64, RETAINED_LIMITS.messages);
    assert_eq!(retained.keep(message("many/7", "")).await, Ok(()));
    assert_eq!(retained.keep(message("one more", "x")).await, Ok(()), "room again");
    let large = message("large", &"x".repeat(3 << 20));
    assert_eq!(retained.keep(large).await, Err(RetainError::TooLarge));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_serve_keeps_nothing() {
    let cluster = Cluster::start(1, 2, 1).await;
    let retained = cluster.node(1).replication.retained();
    assert_eq!(retained.keep(message("a", "x")).await, Err(RetainError::NotServing));
    cluster.serve();
    keep(cluster.node(1), "a", "x").await;
    retained.end().await;
    assert_eq!(retained.keep(message("a", "y")).await, Err(RetainError::NotServing));
    assert_eq!(found(cluster.node(1), "a").await, pairs(&[("a", "x")]));
}

//! The presence store of real groups: claims, releases, read points, from every node and without some of them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod cluster;
mod retained;
mod violations;

use cluster::{Cluster, WITHIN, answered, claim, eventually, id};
use openraft::{raft::VoteRequest, vote::RaftLeaderId as _};
use rollcall_contracts::{ClaimError, PeerCall, PresenceStore as _, StatusError};
use rollcall_presence::ClaimDetails;
use rollcall_proto::Kind;
use rollcall_raft::payload;
use rollcall_storage::{LeaderId, TypeConfig, Vote};
use rollcall_types::{DisconnectReason, GroupId, Message, MessageProperties, NodeId, PartitionId, QoS, Will};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_on_one_node_shows_on_every_node_and_so_does_its_release() {
    let cluster = Cluster::start(3, 2, 3).await;
    cluster.serve();
    for text in ["VIN0000001", "VIN0000002", "a/%+ ü"] {
        let granted = cluster.node(1).replication.presence().claim(claim(text)).await.unwrap();
        for node in cluster.nodes.values() {
            let answer = node.replication.presence().status(id(text)).await.unwrap();
            assert!(answer.online);
            assert_eq!(answer.epoch, Some(granted.epoch));
            assert_eq!(answer.node.unwrap().0, "n1");
        }
        cluster.node(1).replication.presence().release(id(text), granted.epoch, DisconnectReason::Normal);
        assert!(cluster.node(1).replication.presence().released(WITHIN).await);
        for node in cluster.nodes.values() {
            assert!(!node.replication.presence().status(id(text)).await.unwrap().online);
        }
    }
    assert!(!answered(cluster.node(2), "never seen").await.online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_elsewhere_displaces_and_an_old_release_changes_nothing() {
    // B-062, B-083, B-089.
    let cluster = Cluster::start(3, 2, 3).await;
    cluster.serve();
    let first = cluster.node(1).replication.presence().claim(claim("twice")).await.unwrap();
    let second = cluster.node(2).replication.presence().claim(claim("twice")).await.unwrap();
    assert!(second.epoch > first.epoch);
    let displaced = second.displaced.unwrap();
    assert_eq!((displaced.epoch, displaced.owner.node), (first.epoch, NodeId(1)));
    cluster.node(1).replication.presence().release(id("twice"), first.epoch, DisconnectReason::Takeovered);
    assert!(cluster.node(1).replication.presence().released(WITHIN).await);
    let answer = answered(cluster.node(3), "twice").await;
    assert!(answer.online);
    assert_eq!(answer.epoch, Some(second.epoch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_nobody_waits_for_is_released_by_itself() {
    let cluster = Cluster::start(3, 1, 3).await;
    cluster.serve();
    let presence = cluster.node(2).replication.presence();
    // Polled once, so that it is queued, then dropped.
    let dropped = tokio::time::timeout(Duration::ZERO, presence.claim(claim("gone"))).await;
    assert!(dropped.is_err());
    assert!(presence.released(WITHIN).await);
    let answer = answered(cluster.node(1), "gone").await;
    assert!(!answer.online);
    assert!(answer.epoch.is_some(), "it was claimed before it was released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_survivors_answer_when_a_leader_is_gone() {
    let cluster = Cluster::start(3, 3, 3).await;
    cluster.serve();
    let texts: Vec<String> = (0..20).map(|n| format!("device-{n}")).collect();
    for text in &texts {
        cluster.node(2).replication.presence().claim(claim(text)).await.unwrap();
    }
    cluster.node(1).stop().await;
    let stopped = Instant::now();
    for text in &texts {
        for survivor in [2, 3] {
            assert!(answered(cluster.node(survivor), text).await.online, "acknowledged claims are not lost");
        }
    }
    assert!(stopped.elapsed() < WITHIN);
    cluster.node(3).replication.presence().claim(claim("after")).await.unwrap();
    assert!(answered(cluster.node(2), "after").await.online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_quorum_there_is_no_answer_and_no_claim() {
    // B-105, B-106: a refusal within the deadline, never a guess.
    let cluster = Cluster::start(3, 1, 3).await;
    cluster.serve();
    cluster.node(1).replication.presence().claim(claim("kept")).await.unwrap();
    cluster.node(2).stop().await;
    cluster.node(3).stop().await;
    let presence = cluster.node(1).replication.presence();
    let begun = Instant::now();
    assert_eq!(presence.status(id("kept")).await, Err(StatusError::NoQuorum));
    assert_eq!(presence.status(id("never seen")).await, Err(StatusError::NoQuorum));
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(presence.claim(claim("new")).await, Err(ClaimError::Unavailable));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_a_replica_answers_and_claims() {
    let cluster = Cluster::start(4, 6, 3).await;
    cluster.serve();
    for n in 0..24 {
        let text = format!("far-{n}");
        let owner = 1 + n % 4;
        cluster.node(owner).replication.presence().claim(claim(&text)).await.unwrap();
        for node in cluster.nodes.values() {
            let answer = answered(node, &text).await;
            assert!(answer.online, "{text}");
            assert_eq!(answer.node.unwrap().0, format!("n{owner}"));
        }
    }
    let leaders: std::collections::BTreeSet<_> = (0..6)
        .map(|p| {
            let (_, node) = cluster
                .nodes
                .iter()
                .find(|(_, n)| {
                    n.replication.groups().hosted().get(&PartitionId(p)).is_some_and(|g| g.handle().is_leader())
                })
                .unwrap();
            node.replication.groups().me()
        })
        .collect();
    assert!(leaders.len() >= 3, "leaders stand on at least three nodes: {leaders:?}");
}

fn will(bytes: usize) -> Will {
    let message = Message {
        topic: "gone".to_owned(),
        payload: vec![7; bytes],
        qos: QoS::AtMostOnce,
        retain: false,
        properties: MessageProperties::default(),
    };
    Will { message, delay_s: 0 }
}

/// B-157: entries are bounded by bytes, not only by count; otherwise the mesh or the store would refuse one for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_large_wills_is_spread_over_entries_that_every_part_can_carry() {
    const CLIENTS: usize = 100;
    let cluster = Cluster::start(3, 1, 3).await;
    cluster.serve();
    let presence = cluster.node(2).replication.presence();
    // 6 MiB: several entries.
    let claims = (0..CLIENTS).map(|n| {
        let details = ClaimDetails { will: Some(will(64 * 1024)), ..claim(&format!("large-{n}")) };
        async move {
            while let Err(error) = presence.claim(details.clone()).await {
                assert_eq!(error, ClaimError::Unavailable, "a slow machine may pass the deadline, nothing else");
            }
        }
    });
    tokio::time::timeout(WITHIN * 3, futures_util::future::join_all(claims)).await.unwrap();
    for node in cluster.nodes.values() {
        assert!(answered(node, "large-0").await.online);
        assert!(answered(node, &format!("large-{}", CLIENTS - 1)).await.online);
        assert!(node.replication.groups().handles().iter().all(|group| group.failure().is_none()));
    }
    let too_large = ClaimDetails { will: Some(will(3 << 20)), ..claim("too-large") };
    assert_eq!(presence.claim(too_large).await, Err(ClaimError::TooLarge));
    assert!(!answered(cluster.node(1), "too-large").await.online);
}

/// Read points rest on this: a vote is granted only after the saved term was raised (docs/decisions/0004).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vote_is_granted_only_after_the_saved_term_was_raised() {
    let cluster = Cluster::start(3, 1, 3).await;
    let group = GroupId::partition(PartitionId(0));
    let node = cluster.node(2);
    let handle = node.replication.groups().handle(group).unwrap();
    eventually("the replica has the log", || handle.progress().0 > 0).await;
    // Without a leader that renews its lease there is nothing to keep the replica from granting.
    cluster.node(1).stop().await;
    cluster.node(3).stop().await;
    for _ in 0..50 {
        let term = handle.saved_term() + 1;
        let vote = Vote::new(term, 3);
        let last = openraft::LogId::new(LeaderId { term: term - 1, voted_for: 3 }.to_committed(), 1_000_000);
        let request: VoteRequest<TypeConfig> = VoteRequest::new(vote, Some(last));
        let call = PeerCall {
            from: NodeId(3),
            kind: Kind::RaftVote as u32,
            group: group.0,
            payload: payload::encode(&request).unwrap().into(),
            deadline_ms: 1000,
        };
        let reply = node.replication.answer_peer(Kind::RaftVote, call).await.unwrap();
        let response: openraft::raft::VoteResponse<TypeConfig> = payload::decode(&reply).unwrap();
        if response.vote_granted {
            assert!(handle.saved_term() >= term);
            return;
        }
        // Within the last leader's lease a follower grants nothing: ask again a little later.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no vote was ever granted, so nothing was shown");
}

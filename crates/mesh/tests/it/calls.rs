//! Calls: their answers, their order, their bounds.

use crate::nodes::{ECHO, FACTS, GATE, NEVER, NOTE, Node, REFUSE, WITHIN, pair, within};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_mesh::PAYLOAD_BYTES_MAX;
use rollcall_types::NodeId;
use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

const SECOND_NODE: NodeId = NodeId(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_with_what_the_handler_gives() {
    let (first, second) = pair(|_| {}).await;
    assert_eq!(first.echo(2, "hello").await, Ok(Bytes::from_static(b"hello")));
    assert_eq!(first.echo(2, "").await, Ok(Bytes::new()));
    let facts = first.mesh.call(SECOND_NODE, FACTS, 9, 4, Bytes::new(), Duration::from_millis(1234)).await;
    assert_eq!(facts, Ok(Bytes::from_static(b"from 1 kind 7 group 9 1234 ms")));
    let refusal = first.mesh.call(SECOND_NODE, REFUSE, 0, 0, Bytes::from_static(b"not today"), WITHIN).await;
    assert_eq!(refusal, Err(CallError::Refused("not today".to_owned())));
    // The other direction has a link of its own.
    assert!(matches!(second.echo(1, "x").await, Err(CallError::Unreachable(_))));
    second.link(1, first.address()).await;
    assert_eq!(second.echo(1, "back").await, Ok(Bytes::from_static(b"back")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_of_the_largest_size_pass_and_larger_ones_are_refused_unsent() {
    let (first, _second) = pair(|_| {}).await;
    let large = Bytes::from(vec![7; PAYLOAD_BYTES_MAX]);
    let answer = first.mesh.call(SECOND_NODE, ECHO, 0, 0, large.clone(), WITHIN).await;
    assert!(answer == Ok(large), "the largest payload did not come back");
    let larger = Bytes::from(vec![7; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(first.mesh.call(SECOND_NODE, ECHO, 0, 0, larger, WITHIN).await, Err(CallError::Refused(_))));
    assert!(first.echo(2, "still there").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_one_lane_are_handled_in_the_order_sent_under_load() {
    const CALLS: u64 = 5000;
    const LANES: u32 = 4;
    let (first, second) = pair(|_| {}).await;
    let mut answers = VecDeque::new();
    for number in 0..CALLS {
        for lane in 1..=LANES {
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            answers.push_back(first.mesh.begin_call(SECOND_NODE, NOTE, lane, lane, payload, WITHIN).unwrap());
            // Others without order in between.
            answers.push_back(first.mesh.begin_call(SECOND_NODE, ECHO, 0, 0, Bytes::new(), WITHIN).unwrap());
        }
        while answers.len() > 4000 {
            answers.pop_front().unwrap().wait().await.unwrap();
        }
    }
    for answer in answers {
        answer.wait().await.unwrap();
    }
    let mut by_lane: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (lane, payload) in second.script.noted.lock().unwrap().iter() {
        by_lane.entry(*lane).or_default().push(u64::from_be_bytes(payload.as_ref().try_into().unwrap()));
    }
    assert_eq!(by_lane.len(), LANES as usize);
    for (lane, numbers) in by_lane {
        assert!(numbers.iter().copied().eq(0..CALLS), "lane {lane} came out of order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_lane_stops_no_other_lane_and_no_call_without_one() {
    let (first, second) = pair(|_| {}).await;
    let blocked: Vec<_> =
        (0..2000).map(|_| first.mesh.begin_call(SECOND_NODE, GATE, 0, 1, Bytes::new(), WITHIN).unwrap()).collect();
    second.holds(1).await;
    for lane in [0, 2, 3] {
        let answer = within(first.mesh.call(SECOND_NODE, ECHO, 0, lane, Bytes::from_static(b"x"), WITHIN)).await;
        assert_eq!(answer, Ok(Bytes::from_static(b"x")), "lane {lane}");
    }
    assert_eq!(*second.script.held.lock().unwrap(), 1, "a lane handles one call at a time");
    second.script.gate.add_permits(2000);
    for answer in blocked {
        answer.wait().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_a_lane_run_side_by_side() {
    let (first, second) = pair(|_| {}).await;
    let blocked: Vec<_> =
        (0..100).map(|_| first.mesh.begin_call(SECOND_NODE, GATE, 0, 0, Bytes::new(), WITHIN).unwrap()).collect();
    second.holds(100).await;
    second.script.gate.add_permits(100);
    for answer in blocked {
        answer.wait().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_in_unknown_and_leaves_nothing_behind() {
    let (first, second) = pair(|c| c.call_queue_max = 1).await;
    for lane in [0, 5] {
        let since = Instant::now();
        let outcome = first.mesh.call(SECOND_NODE, NEVER, 0, lane, Bytes::new(), Duration::from_millis(60)).await;
        assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
        assert!(since.elapsed() >= Duration::from_millis(60));
        // There is room for one call only: the one given up has left it, here and in its lane over there.
        second.holds(0).await;
        assert!(first.mesh.call(SECOND_NODE, ECHO, 0, lane, Bytes::new(), WITHIN).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_told_at_once_and_has_room_again_after_answers() {
    let (first, second) = pair(|c| c.call_queue_max = 4).await;
    let blocked: Vec<_> =
        (0..4).map(|_| first.mesh.begin_call(SECOND_NODE, GATE, 0, 0, Bytes::new(), WITHIN).unwrap()).collect();
    assert_eq!(first.echo(2, "one more").await, Err(CallError::Full));
    second.script.gate.add_permits(4);
    for answer in blocked {
        answer.wait().await.unwrap();
    }
    assert!(first.echo(2, "one more").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_nodes_that_are_no_peers_are_unreachable() {
    let node = Node::identified(1, |_| {});
    assert!(matches!(node.echo(2, "x").await, Err(CallError::Unreachable(_))));
    node.mesh.set_peers(BTreeMap::from([(SECOND_NODE, "127.0.0.1:1".to_owned())]));
    assert!(matches!(node.echo(2, "x").await, Err(CallError::Unreachable(_))));
    assert!(!node.mesh.is_connected(SECOND_NODE));
}

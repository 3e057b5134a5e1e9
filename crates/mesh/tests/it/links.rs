//! Links: how they break, heal and end.

use crate::{
    nodes::{Book, NEVER, Node, PANIC, WITHIN, pair, until, within},
    wire::{Mode, Wire},
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_types::NodeId;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_link_settles_all_its_calls_as_unknown_at_once() {
    let second = Node::identified(2, |_| {});
    let wire = Wire::to(second.mesh.local_addr()).await;
    let first = Node::identified(1, |_| {});
    first.link(2, wire.address.to_string()).await;
    let calls: Vec<_> =
        (0..50).map(|n| first.mesh.begin_call(NodeId(2), NEVER, 0, n % 3, Bytes::new(), MINUTE).unwrap()).collect();
    // 17 without a lane, and the first of each of two lanes.
    second.holds(19).await;
    let since = Instant::now();
    wire.set(Mode::Cut);
    for call in calls {
        let outcome = within(call.wait()).await;
        assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    first.unlinked(2).await;
    assert!(matches!(first.echo(2, "x").await, Err(CallError::Unreachable(_))));
    // Handlers end with their link.
    second.holds(0).await;
    wire.set(Mode::Pass);
    first.linked(2).await;
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_passes_nothing_is_noticed() {
    let second = Node::identified(2, |_| {});
    let wire = Wire::to(second.mesh.local_addr()).await;
    let first = Node::identified(1, |_| {});
    first.link(2, wire.address.to_string()).await;
    wire.set(Mode::Stall);
    let outcome = within(first.mesh.call(NodeId(2), NEVER, 0, 0, Bytes::new(), MINUTE)).await;
    assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
    wire.set(Mode::Pass);
    first.linked(2).await;
    assert!(first.echo(2, "x").await.is_ok());
}

/// B-143: members are ids; an address is a name that is resolved at each dial.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_restarts_elsewhere_is_found_by_resolving_its_name_anew() {
    let book = Arc::new(Book::default());
    let second = Node::identified(2, |_| {});
    book.0.lock().unwrap().insert("second.mesh".to_owned(), second.mesh.local_addr());
    let names = Arc::clone(&book);
    let first = Node::identified(1, |c| c.resolver = names);
    first.link(2, "second.mesh:7400".to_owned()).await;
    let old = second.mesh.local_addr();
    second.mesh.shutdown().await;
    drop(second);
    first.unlinked(2).await;
    let second = Node::identified(2, |_| {});
    assert_ne!(second.mesh.local_addr(), old);
    book.0.lock().unwrap().insert("second.mesh".to_owned(), second.mesh.local_addr());
    first.linked(2).await;
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_another_address_is_dialled_there_and_one_no_longer_named_is_let_go() {
    let first = Node::identified(1, |_| {});
    let third = Node::identified(3, |_| {});
    first.mesh.set_peers(BTreeMap::from([(NodeId(2), "127.0.0.1:1".to_owned()), (NodeId(3), third.address())]));
    first.linked(3).await;
    let second = Node::identified(2, |_| {});
    first.mesh.set_peers(BTreeMap::from([(NodeId(2), second.address()), (NodeId(3), third.address())]));
    first.linked(2).await;
    assert!(first.mesh.is_connected(NodeId(3)));
    first.mesh.set_peers(BTreeMap::from([(NodeId(2), second.address())]));
    first.unlinked(3).await;
    assert!(matches!(first.echo(3, "x").await, Err(CallError::Unreachable(_))));
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_belongs_to_another_node_now_gives_no_link() {
    let third = Node::identified(3, |_| {});
    let first = Node::identified(1, |_| {});
    first.mesh.set_peers(BTreeMap::from([(NodeId(2), third.address())]));
    let mut why = String::new();
    until_call_says(&first, 2, "this is node 3, not node 2", &mut why).await;
    assert!(!first.mesh.is_connected(NodeId(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_wait_until_both_sides_have_ids() {
    let second = Node::start(|_| {});
    let first = Node::start(|_| {});
    first.mesh.set_peers(BTreeMap::from([(NodeId(2), second.address())]));
    assert_eq!(first.mesh.hello(&second.address(), WITHIN).await, Ok(b"the hello of a node".to_vec()));
    first.mesh.identify(NodeId(1), "c1".to_owned());
    let mut why = String::new();
    until_call_says(&first, 2, "this node has no id yet", &mut why).await;
    second.mesh.identify(NodeId(2), "c1".to_owned());
    first.linked(2).await;
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_panics_costs_its_link_and_nothing_else() {
    let (first, second) = pair(|_| {}).await;
    let panicking = within(first.mesh.begin_call(NodeId(2), PANIC, 0, 1, Bytes::new(), MINUTE).unwrap().wait());
    // The failure is seen with the next batch, at the latest. The link may be up again at any moment, so what is
    // awaited is the call's outcome and not the gap between the links.
    let mut panicking = std::pin::pin!(panicking);
    let outcome = loop {
        let more = first.mesh.call(NodeId(2), NEVER, 0, 0, Bytes::new(), Duration::from_millis(20));
        tokio::select! {
            outcome = &mut panicking => break outcome,
            _ = more => {}
        }
    };
    assert!(matches!(outcome, Err(CallError::Unknown(_))), "{outcome:?}");
    first.linked(2).await;
    within(async { while first.echo(2, "x").await.is_err() {} }).await;
    second.holds(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_everything_and_others_notice() {
    let (first, second) = pair(|_| {}).await;
    let call = first.mesh.begin_call(NodeId(2), NEVER, 0, 0, Bytes::new(), MINUTE).unwrap();
    second.holds(1).await;
    let since = Instant::now();
    second.mesh.shutdown().await;
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert_eq!(*second.script.held.lock().unwrap(), 0);
    assert!(matches!(within(call.wait()).await, Err(CallError::Unknown(_))));
    first.unlinked(2).await;
    assert!(tokio::net::TcpStream::connect(second.mesh.local_addr()).await.is_err());
    first.mesh.shutdown().await;
    assert!(matches!(first.echo(2, "x").await, Err(CallError::Unreachable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_that_is_dropped_stops_to_listen() {
    let node = Node::identified(1, |_| {});
    let address = node.mesh.local_addr();
    drop(node);
    within(async { while tokio::net::TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_link_of_the_same_peer_takes_the_place_of_the_older() {
    let second = Node::identified(2, |_| {});
    let first = Node::identified(1, |_| {});
    first.link(2, second.address()).await;
    let call = first.mesh.begin_call(NodeId(2), NEVER, 0, 0, Bytes::new(), MINUTE).unwrap();
    second.holds(1).await;
    let again = Node::identified(1, |_| {});
    again.mesh.set_peers(BTreeMap::from([(NodeId(2), second.address())]));
    assert!(matches!(within(call.wait()).await, Err(CallError::Unknown(_))));
    second.holds(0).await;
    first.mesh.shutdown().await;
    until(|| again.mesh.is_connected(NodeId(2))).await;
    within(async { while again.echo(2, "x").await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_bytes_break_a_link_and_it_heals() {
    let second = Node::identified(2, |_| {});
    let wire = Wire::to(second.mesh.local_addr()).await;
    let first = Node::identified(1, |_| {});
    first.link(2, wire.address.to_string()).await;
    for _ in 0..3 {
        wire.set(Mode::Spoil);
        let outcome = within(first.mesh.call(NodeId(2), NEVER, 0, 0, Bytes::from(vec![1; 1000]), MINUTE)).await;
        assert!(matches!(outcome, Err(CallError::Unknown(_) | CallError::Unreachable(_))), "{outcome:?}");
        wire.set(Mode::Pass);
        first.linked(2).await;
        within(async { while first.echo(2, "x").await.is_err() {} }).await;
    }
}

/// Waits until calls to the peer fail with a reason that contains the words.
pub(crate) async fn until_call_says(node: &Node, peer: u64, words: &str, why: &mut String) {
    let seen = async {
        loop {
            match node.echo(peer, "x").await {
                Err(CallError::Unreachable(reason)) if reason.contains(words) => return,
                other => *why = format!("{other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let seen = tokio::time::timeout(WITHIN, seen).await;
    assert!(seen.is_ok(), "never said `{words}`, but {why}");
}

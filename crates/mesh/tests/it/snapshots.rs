//! Snapshots in pieces.

use crate::nodes::{Hello, Node, Script, WITHIN, pair, within};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_mesh::{Mesh, MeshConfig, SNAPSHOT_BYTES_MAX, SNAPSHOT_HEAD_BYTES_MAX};
use rollcall_types::{NodeId, NodeName};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_20_mib_arrives_whole_while_calls_go_on() {
    let (first, _second) = pair(|_| {}).await;
    let data: Vec<u8> = (0..20 * 1024 * 1024 + 17u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sum: u64 = data.iter().enumerate().map(|(i, b)| (i as u64).wrapping_mul(u64::from(*b))).sum();
    let expected = format!("from 1 group 3 head 5 {} bytes sum {sum}", data.len());
    let sending = first.mesh.send_snapshot(NodeId(2), 3, Bytes::from_static(b"heads"), data, WITHIN);
    let calling = async {
        for _ in 0..100 {
            first.echo(2, "x").await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(within(sending), within(calling));
    assert_eq!(answer, Ok(Bytes::from(expected)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_snapshot_arrives_and_a_refusal_comes_back_as_one() {
    let (first, _second) = pair(|_| {}).await;
    let answer = first.mesh.send_snapshot(NodeId(2), 0, Bytes::new(), Bytes::new(), WITHIN).await;
    assert_eq!(answer, Ok(Bytes::from_static(b"from 1 group 0 head 0 0 bytes sum 0")));
    let answer = first.mesh.send_snapshot(NodeId(2), 0, Bytes::from_static(b"refuse"), vec![1; 10], WITHIN).await;
    assert_eq!(answer, Err(CallError::Refused("as asked".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_large_a_snapshot_is_refused_unsent() {
    let (first, _second) = pair(|_| {}).await;
    for (head, data) in [(0, SNAPSHOT_BYTES_MAX + 1), (SNAPSHOT_HEAD_BYTES_MAX + 1, 0)] {
        let answer = first.mesh.send_snapshot(NodeId(2), 0, Bytes::from(vec![0; head]), vec![0; data], WITHIN).await;
        assert!(matches!(answer, Err(CallError::Refused(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_no_snapshots_yet_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = MeshConfig::new(listener, address.clone(), "lab".to_owned(), NodeName("n".to_owned()));
    let script = Script { gate: Semaphore::new(0), noted: Mutex::default(), held: Mutex::default() };
    let bare = Mesh::start(config, Arc::new(script), Arc::new(Hello(""))).unwrap();
    bare.identify(NodeId(2), "c1".to_owned());
    let first = Node::identified(1, |_| {});
    first.link(2, address).await;
    let answer = first.mesh.send_snapshot(NodeId(2), 0, Bytes::new(), Bytes::new(), WITHIN).await;
    assert!(matches!(&answer, Err(CallError::Refused(why)) if why.contains("snapshots yet")), "{answer:?}");
}

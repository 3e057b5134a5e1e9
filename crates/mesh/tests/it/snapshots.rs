//! Snapshots in pieces.

use crate::nodes::{Hello, Node, Script, WITHIN, pair, within};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_mesh::{Mesh, MeshConfig, SNAPSHOT_BYTES_MAX, SNAPSHOT_HEAD_BYTES_MAX, SnapshotHandler};
use rollcall_types::{NodeId, NodeName};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
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

/// Node 2, without a handler of snapshots.
fn bare() -> Mesh {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let config = MeshConfig::new(listener, address, "lab".to_owned(), NodeName("n".to_owned()));
    let script = Script { gate: Semaphore::new(0), noted: Mutex::default(), held: Mutex::default() };
    let mesh = Mesh::start(config, Arc::new(script), Arc::new(Hello(""))).unwrap();
    mesh.identify(NodeId(2), "c1".to_owned());
    mesh
}

/// Keeps its thread, without giving way to any task, until it is told to go on.
struct Busy {
    begun: Semaphore,
    go_on: Mutex<mpsc::Receiver<()>>,
}

#[async_trait::async_trait]
impl SnapshotHandler for Busy {
    async fn install_snapshot(&self, _: NodeId, _: u32, _: Bytes, _: Bytes) -> Result<Bytes, String> {
        self.begun.add_permits(1);
        let told = self.go_on.lock().unwrap().recv_timeout(WITHIN / 2);
        told.map(|()| Bytes::from_static(b"installed")).map_err(|_| "nothing else could run".to_owned())
    }
}

// One thread for all tasks of both nodes: it must stay free.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_installation_that_keeps_its_thread_busy_holds_up_no_connection() {
    let second = bare();
    let (tell, go_on) = mpsc::channel();
    let busy = Arc::new(Busy { begun: Semaphore::new(0), go_on: Mutex::new(go_on) });
    second.set_snapshot_handler(Arc::clone(&busy) as _);
    let first = Node::identified(1, |_| {});
    first.link(2, second.local_addr().to_string()).await;
    let sending = first.mesh.send_snapshot(NodeId(2), 0, Bytes::new(), vec![1; 10], WITHIN);
    let calling = async {
        busy.begun.acquire().await.unwrap().forget();
        assert!(first.echo(2, "meanwhile").await.is_ok());
        let _ = tell.send(());
    };
    let (answer, ()) = tokio::join!(within(sending), within(calling));
    assert_eq!(answer, Ok(Bytes::from_static(b"installed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_no_snapshots_yet_says_so() {
    let bare = bare();
    let first = Node::identified(1, |_| {});
    first.link(2, bare.local_addr().to_string()).await;
    let answer = first.mesh.send_snapshot(NodeId(2), 0, Bytes::new(), Bytes::new(), WITHIN).await;
    assert!(matches!(&answer, Err(CallError::Refused(why)) if why.contains("snapshots yet")), "{answer:?}");
}

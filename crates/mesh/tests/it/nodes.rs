//! Nodes for the tests: a mesh each, with a handler that does what the kind of a call says.

use bytes::Bytes;
use rollcall_contracts::{CallError, PeerCall, PeerHandler};
use rollcall_mesh::{HelloSource, Mesh, MeshConfig, Resolve, SnapshotHandler};
use rollcall_types::{NodeId, NodeName};
use std::{
    collections::BTreeMap,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long a test waits for what must come.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// Answers with the payload.
pub(crate) const ECHO: u32 = 1;
/// Waits for the gate, then answers with the payload.
pub(crate) const GATE: u32 = 2;
/// Answers never.
pub(crate) const NEVER: u32 = 3;
/// Refuses, with the payload as sentence.
pub(crate) const REFUSE: u32 = 4;
/// Notes group and payload in the order handled, then gives way to others, then echoes.
pub(crate) const NOTE: u32 = 5;
/// Panics.
pub(crate) const PANIC: u32 = 6;
/// Answers with the caller's id, the kind, the group and the deadline.
pub(crate) const FACTS: u32 = 7;

pub(crate) struct Script {
    pub(crate) gate: Semaphore,
    pub(crate) noted: Mutex<Vec<(u32, Bytes)>>,
    /// Calls of the kinds `GATE` and `NEVER` that have begun and not ended.
    pub(crate) held: Mutex<usize>,
}

struct Held<'a>(&'a Script);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0.held.lock().unwrap() -= 1;
    }
}

impl Script {
    fn hold(&self) -> Held<'_> {
        *self.held.lock().unwrap() += 1;
        Held(self)
    }
}

#[async_trait::async_trait]
impl PeerHandler for Script {
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String> {
        match call.kind {
            ECHO => Ok(call.payload),
            GATE => {
                let _held = self.hold();
                self.gate.acquire().await.unwrap().forget();
                Ok(call.payload)
            }
            NEVER => {
                let _held = self.hold();
                std::future::pending().await
            }
            REFUSE => Err(String::from_utf8_lossy(&call.payload).into_owned()),
            NOTE => {
                self.noted.lock().unwrap().push((call.group, call.payload.clone()));
                tokio::task::yield_now().await;
                Ok(call.payload)
            }
            PANIC => panic!("as asked"),
            FACTS => {
                Ok(format!("from {} kind {} group {} {} ms", call.from, call.kind, call.group, call.deadline_ms).into())
            }
            other => Err(format!("kind {other} is not known")),
        }
    }
}

#[async_trait::async_trait]
impl SnapshotHandler for Script {
    async fn install_snapshot(&self, from: NodeId, group: u32, head: Bytes, data: Bytes) -> Result<Bytes, String> {
        if head.as_ref() == b"refuse" {
            return Err("as asked".to_owned());
        }
        let sum: u64 = data.iter().enumerate().map(|(i, b)| (i as u64).wrapping_mul(u64::from(*b))).sum();
        Ok(format!("from {from} group {group} head {} {} bytes sum {sum}", head.len(), data.len()).into())
    }
}

pub(crate) struct Hello(pub(crate) &'static str);

impl HelloSource for Hello {
    fn hello(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

/// A book of names that the test rewrites.
#[derive(Debug, Default)]
pub(crate) struct Book(pub(crate) Mutex<BTreeMap<String, SocketAddr>>);

#[async_trait::async_trait]
impl Resolve for Book {
    async fn resolve(&self, host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.0.lock().unwrap().get(host).copied();
        Ok(vec![found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "not in the book"))?])
    }
}

pub(crate) struct Node {
    pub(crate) mesh: Mesh,
    pub(crate) script: Arc<Script>,
}

impl Node {
    /// A node on a free port of loopback, with settings as changed.
    pub(crate) fn start(change: impl FnOnce(&mut MeshConfig)) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut config = MeshConfig::new(listener, address, "lab".to_owned(), NodeName("n".to_owned()));
        change(&mut config);
        let script = Arc::new(Script { gate: Semaphore::new(0), noted: Mutex::new(Vec::new()), held: Mutex::new(0) });
        let mesh = Mesh::start(config, Arc::clone(&script) as _, Arc::new(Hello("the hello of a node"))).unwrap();
        mesh.set_snapshot_handler(Arc::clone(&script) as _);
        Node { mesh, script }
    }

    /// The same, with an id.
    pub(crate) fn identified(id: u64, change: impl FnOnce(&mut MeshConfig)) -> Node {
        let node = Node::start(change);
        node.mesh.identify(NodeId(id), "c1".to_owned());
        node
    }

    pub(crate) fn address(&self) -> String {
        self.mesh.local_addr().to_string()
    }

    /// Links to a peer at an address, and waits until the link is up.
    pub(crate) async fn link(&self, peer: u64, address: String) {
        self.mesh.set_peers(BTreeMap::from([(NodeId(peer), address)]));
        self.linked(peer).await;
    }

    pub(crate) async fn linked(&self, peer: u64) {
        let mut watch = self.mesh.connected_watch();
        within(watch.wait_for(|set| set.contains(&NodeId(peer)))).await.unwrap();
    }

    pub(crate) async fn unlinked(&self, peer: u64) {
        let mut watch = self.mesh.connected_watch();
        within(watch.wait_for(|set| !set.contains(&NodeId(peer)))).await.unwrap();
    }

    pub(crate) async fn echo(&self, peer: u64, text: &'static str) -> Result<Bytes, CallError> {
        self.mesh.call(NodeId(peer), ECHO, 0, 0, Bytes::from_static(text.as_bytes()), WITHIN).await
    }

    /// Waits until so many calls are held by this node's handler.
    pub(crate) async fn holds(&self, count: usize) {
        until(|| *self.script.held.lock().unwrap() == count).await;
    }
}

/// Two nodes, 1 and 2, with a link from the first to the second.
pub(crate) async fn pair(change: impl FnOnce(&mut MeshConfig)) -> (Node, Node) {
    let second = Node::identified(2, |_| {});
    let first = Node::identified(1, change);
    first.link(2, second.address()).await;
    (first, second)
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WITHIN, future).await.expect("it did not come in time")
}

/// Looks again and again, until it holds.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

//! Publishers of several nodes over loopback: what they tell each other, and which messages cross.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::{formation::Greeting, from_peers::FromPeers, peer_publisher::Publisher, told_routes::Standing};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use rollcall_contracts::{
    Charge, DeliveryTarget, Part, PartTaken, PeerCall, PeerHandler, PeerPublisher as _, RouteBoard as _, Spread,
    Unserved,
};
use rollcall_mesh::{IncomingStreams, Mesh, MeshConfig};
use rollcall_types::{Home, Incarnation, Message, MessageProperties, NodeId, NodeName, QoS};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const WITHIN: Duration = Duration::from_secs(20);
const GROUP: &str = "$share/g/s";

/// Notes what comes; may be out of members.
#[derive(Default)]
struct Sessions {
    came: Mutex<Vec<(String, Part)>>,
    has_no_members: Mutex<bool>,
}

impl DeliveryTarget for Sessions {
    fn deliver_local(&self, message: Arc<Message>) -> Option<Duration> {
        self.deliver_part(message, &Part::whole()).wait
    }

    fn deliver_part(&self, message: Arc<Message>, part: &Part) -> PartTaken {
        self.came.lock().push((message.topic.clone(), part.clone()));
        let unserved = if *self.has_no_members.lock() { part.groups.clone() } else { Vec::new() };
        PartTaken { unserved, wait: None }
    }
}

/// Answers streams, once it may.
#[derive(Default)]
struct Answers(OnceLock<IncomingStreams>);

#[async_trait]
impl PeerHandler for Answers {
    async fn handle(&self, call: PeerCall) -> Result<Bytes, String> {
        self.0.get().ok_or("this node is starting")?.answer(call.from, call.payload)
    }
}

struct Node {
    id: NodeId,
    mesh: Arc<Mesh>,
    answers: Arc<Answers>,
    publisher: Arc<Publisher>,
    sessions: Arc<Sessions>,
}

impl Node {
    fn new(id: u64) -> Node {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let config = MeshConfig::new(listener, address, "lab".to_owned(), NodeName(format!("n{id}")));
        let answers = Arc::new(Answers::default());
        let mesh = Arc::new(Mesh::start(config, answers.clone(), Arc::new(Greeting::default())).unwrap());
        mesh.identify(NodeId(id), "c1".to_owned());
        let publisher = Arc::new(Publisher::default());
        publisher.set_mesh(mesh.clone());
        Node { id: NodeId(id), mesh, answers, publisher, sessions: Arc::default() }
    }

    /// Takes what others send from now on.
    fn answer(&self) {
        let target = FromPeers { broker: self.sessions.clone(), routes: self.publisher.routes() };
        assert!(self.answers.0.set(IncomingStreams::new(Arc::new(target))).is_ok());
    }

    /// Members that serve, by incarnation.
    fn knows(&self, members: &[(NodeId, u64)]) {
        self.knows_of(members, &[]);
    }

    /// The same, and dead ones.
    fn knows_of(&self, living: &[(NodeId, u64)], dead: &[(NodeId, u64)]) {
        let standing = |alive| move |(id, last): &(NodeId, u64)| (*id, Standing { last: Incarnation(*last), alive });
        let all: BTreeMap<NodeId, Standing> =
            living.iter().map(standing(true)).chain(dead.iter().map(standing(false))).collect();
        let me = all[&self.id].last;
        let others = all.into_iter().filter(|(id, _)| *id != self.id).collect();
        self.publisher.set_members(Some(me), &others);
    }

    fn receivers(&self, topic: &str) -> Vec<NodeId> {
        self.publisher.spread(topic, 0).peers.into_iter().map(|(node, _)| node).collect()
    }

    /// Subscribes, and waits until the others know.
    async fn announces(&self, filter: &str) {
        if filter == GROUP {
            self.publisher.members(filter, 1, false);
        } else {
            self.publisher.route_added(filter);
        }
        let known = self.publisher.announce().expect("there are others");
        assert!(within(known).await);
    }

    async fn publishes(&self, topic: &str) -> Vec<Unserved> {
        let Charge { taken, .. } = self.publisher.publish(message(topic), self.publisher.spread(topic, 0)).await;
        within(taken).await
    }

    fn came(&self) -> Vec<(String, Part)> {
        std::mem::take(&mut self.sessions.came.lock())
    }
}

fn message(topic: &str) -> Arc<Message> {
    Arc::new(Message {
        topic: topic.to_owned(),
        payload: b"p".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: MessageProperties::default(),
    })
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WITHIN, future).await.expect("not within the time")
}

async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn connected(count: u64) -> Vec<Node> {
    let nodes: Vec<Node> = (1..=count).map(Node::new).collect();
    for node in &nodes {
        let others = nodes.iter().filter(|other| other.id != node.id);
        node.mesh.set_peers(others.map(|other| (other.id, other.mesh.local_addr().to_string())).collect());
    }
    nodes
}

/// So many nodes that have told each other their routes.
async fn cluster(count: u64) -> Vec<Node> {
    let nodes = connected(count);
    let members: Vec<_> = nodes.iter().map(|node| (node.id, 1)).collect();
    nodes.iter().for_each(|node| node.knows(&members));
    nodes.iter().for_each(Node::answer);
    until(|| nodes.iter().all(|node| node.receivers("nobody/wants/this").is_empty())).await;
    nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_announced_is_known_everywhere_and_nothing_else_crosses() {
    let nodes = cluster(3).await;
    nodes[0].announces("a/+").await;
    for other in &nodes[1..] {
        assert_eq!(other.receivers("a/b"), [nodes[0].id]);
        assert_eq!(other.receivers("b"), []);
        assert_eq!(other.publishes("a/b").await, []);
        assert_eq!(other.publishes("b").await, []);
    }
    assert_eq!(nodes[0].came(), vec![("a/b".to_owned(), Part::plain()); 2]);
    nodes[0].publisher.route_removed("a/+");
    until(|| nodes[1..].iter().all(|other| other.receivers("a/b").is_empty())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_to_want_a_message_while_it_is_queued_gets_it() {
    let nodes = cluster(2).await;
    let decided = nodes[0].publisher.spread("a", 0);
    assert_eq!(decided.peers, []);
    nodes[1].announces("a").await;
    let charge = nodes[0].publisher.publish(message("a"), decided.clone()).await;
    assert_eq!(within(charge.taken).await, []);
    assert_eq!(nodes[1].came(), [("a".to_owned(), Part::plain())]);
    let all = Spread { view: None, ..decided };
    assert_eq!(nodes[0].publisher.publish(message("a"), all).await.nodes, 0, "this is all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_told_its_routes_gets_everything() {
    let nodes = connected(2);
    let members: Vec<_> = nodes.iter().map(|node| (node.id, 1)).collect();
    nodes.iter().for_each(|node| node.knows(&members));
    nodes[1].answer();
    assert_eq!(nodes[0].publishes("x").await, []);
    let whole = Part::whole();
    assert_eq!(nodes[1].came(), [("x".to_owned(), whole)], "every group that is not known elsewhere as well");
    nodes[0].answer();
    until(|| nodes[0].receivers("x").is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_incarnation_of_either_side_is_told_anew() {
    let nodes = cluster(2).await;
    let [a, b] = &nodes[..] else { panic!("two") };
    a.announces("a").await;
    for (first, second) in [(2, 1), (2, 2)] {
        let members = [(a.id, first), (b.id, second)];
        // Before it is told anew, it gets everything; it does not confirm anything before it knows of the other.
        a.knows(&members);
        b.knows(&members);
        until(|| b.receivers("b").is_empty()).await;
        assert_eq!(b.receivers("a"), [a.id]);
        a.announces("more").await;
        assert_eq!(b.receivers("more"), [a.id]);
    }
    b.knows_of(&[(b.id, 2)], &[(a.id, 2)]);
    assert_eq!(b.receivers("a"), [], "it is dead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_served_by_one_node_and_by_another_one_if_that_has_no_member_any_more() {
    let nodes = cluster(3).await;
    for node in &nodes {
        node.announces(GROUP).await;
    }
    for _ in 0..9 {
        assert_eq!(nodes[0].publishes("s").await, []);
    }
    let group = Part { groups: vec![GROUP.into()], ..Part::none() };
    for other in &nodes[1..] {
        assert_eq!(other.came(), vec![("s".to_owned(), group.clone()); 3]);
        *other.sessions.has_no_members.lock() = true;
    }
    let mut tried = BTreeSet::new();
    while tried.len() < 2 {
        for unserved in nodes[0].publishes("s").await {
            assert_eq!((&*unserved.group, unserved.tried.len()), (GROUP, 1));
            tried.extend(unserved.tried);
        }
    }
    assert_eq!(tried, BTreeSet::from([Home::Peer(nodes[1].id), Home::Peer(nodes[2].id)]));
    let unserved = Unserved { group: GROUP.into(), tried, client_hash: 0 };
    assert_eq!(nodes[0].publisher.choose_again(&unserved), Some(Home::Here));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_was_chosen_for_comes_back_when_it_dies() {
    let nodes = cluster(2).await;
    nodes[1].announces(GROUP).await;
    nodes[1].mesh.shutdown().await;
    let charge = nodes[0].publisher.publish(message("s"), nodes[0].publisher.spread("s", 0)).await;
    assert_eq!(charge.nodes, 1);
    let mut taken = charge.taken;
    assert!(futures_util::poll!(&mut taken).is_pending(), "it may still take it");
    nodes[0].knows_of(&[(nodes[0].id, 1)], &[(nodes[1].id, 1)]);
    let tried = BTreeSet::from([Home::Peer(nodes[1].id)]);
    assert_eq!(within(taken).await, [Unserved { group: GROUP.into(), tried: tried.clone(), client_hash: 0 }]);
    let unserved = Unserved { group: GROUP.into(), tried: BTreeSet::new(), client_hash: 0 };
    assert_eq!(nodes[0].publisher.choose_again(&unserved), None, "its members are gone");
}

/// The others do not know that they miss a change as long as no other follows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_was_lost_on_the_way_is_there_after_the_next_comparison() {
    let nodes = cluster(3).await;
    nodes[1].announces("a").await;
    nodes[1].publisher.route_added_unheard("b");
    // Whatever would have been on its way has come.
    nodes[1].publisher.flush(nodes[0].id).await;
    assert_eq!((nodes[0].receivers("a"), nodes[0].receivers("b")), (vec![nodes[1].id], vec![]));
    let (publisher, stop) = (nodes[1].publisher.clone(), CancellationToken::new());
    let every = Duration::from_millis(20);
    let ended = stop.clone();
    let mut comparing = JoinSet::new();
    comparing.spawn(async move { publisher.compare_now_and_then(every, ended).await });
    until(|| [0, 2].iter().all(|other: &usize| nodes[*other].receivers("b") == [nodes[1].id])).await;
    assert_eq!(nodes[0].receivers("x"), [], "all is known again, and no more");
    stop.cancel();
    within(comparing.join_next()).await.unwrap().unwrap();
}

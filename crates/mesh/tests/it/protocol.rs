//! What a node does with peers that do not keep to the protocol, spoken to without a mesh of its own.

use crate::nodes::{ECHO, FACTS, Node, WITHIN, within};
use bytes::Bytes;
use rand::RngCore as _;
use rollcall_contracts::CallError;
use rollcall_mesh::SNAPSHOT_PIECE_BYTES_MAX;
use rollcall_proto::{
    Claim, Frame, FrameBatch, HelloReply, HelloRequest, JoinReply, JoinRequest, Kind, PROTOCOL_VERSION, RelayedCall,
    Reply, Request, SnapshotChunk, SnapshotHead, SnapshotReply, Welcome, frame, hello_reply,
    mesh_client::MeshClient,
    mesh_server::{Mesh as MeshService, MeshServer},
    reply, snapshot_chunk, snapshot_reply,
};
use rollcall_types::NodeId;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

type Client = MeshClient<Channel>;

async fn client(node: &Node) -> Client {
    let channel = Channel::from_shared(format!("http://{}", node.address())).unwrap().connect().await.unwrap();
    MeshClient::new(channel)
}

fn claim(node: u64, target: u64) -> Claim {
    Claim {
        cluster_name: "lab".to_owned(),
        cluster_id: "c1".to_owned(),
        node,
        target,
        nonce: Bytes::from(vec![1; 32]),
        proof: Bytes::new(),
    }
}

async fn hello(client: &mut Client, claim: Option<Claim>) -> Result<hello_reply::Step, Status> {
    let reply = client.hello(HelloRequest { version: PROTOCOL_VERSION, claim }).await?;
    Ok(reply.into_inner().step.unwrap())
}

/// A client that node 2 takes for node 7.
async fn peer_client(node: &Node) -> Client {
    let mut client = client(node).await;
    hello(&mut client, None).await.unwrap();
    hello(&mut client, Some(claim(7, 2))).await.unwrap();
    client
}

fn request(call: u64, payload: &'static str) -> Frame {
    let payload = Bytes::from_static(payload.as_bytes());
    let request = Request { kind: ECHO, deadline_ms: 5000, payload, ..Request::default() };
    Frame { call, body: Some(frame::Body::Request(request)) }
}

fn batch(version: u32, frames: Vec<Frame>) -> FrameBatch {
    FrameBatch { version, frames }
}

/// Sends batches on a link and gives all that comes back, and the reason of its end.
async fn converse(client: &mut Client, batches: Vec<FrameBatch>) -> (Vec<Frame>, Option<Status>) {
    let (sender, queue) = tokio::sync::mpsc::channel(16);
    for batch in batches {
        sender.send(batch).await.unwrap();
    }
    let stream = futures_util::stream::unfold(queue, |mut queue| async { queue.recv().await.map(|b| (b, queue)) });
    let mut answers = match client.link(stream).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut frames = Vec::new();
    loop {
        match within(answers.message()).await {
            Ok(Some(batch)) => frames.extend(batch.frames),
            Ok(None) => return (frames, None),
            Err(status) => return (frames, Some(status)),
        }
        if frames.len() == 1 {
            drop(sender);
            return (frames, None);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_version_is_refused_with_a_sentence() {
    let node = Node::identified(2, |_| {});
    let refusal = client(&node).await.hello(HelloRequest { version: 99, claim: None }).await.unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    assert!(refusal.message().contains("version 99") && refusal.message().contains("version 1"), "{refusal}");
    let (frames, end) = converse(&mut peer_client(&node).await, vec![batch(99, vec![request(1, "x")])]).await;
    assert!(frames.is_empty());
    let end = end.unwrap();
    assert!(end.message().contains("version 99"), "{end}");
    // With the right one the same frames are answered.
    let (frames, _) = converse(&mut peer_client(&node).await, vec![batch(1, vec![request(5, "x")])]).await;
    let answer = Reply { result: Some(reply::Result::Payload(Bytes::from_static(b"x"))) };
    assert_eq!(frames, vec![Frame { call: 5, body: Some(frame::Body::Reply(answer)) }]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_relayed_of_a_member_to_a_member_and_never_again() {
    // Members 3 and 7 have no link to this node.
    let node = Node::identified(2, |_| {});
    let members = |ids: &[u64]| ids.iter().map(|id| (NodeId(*id), "127.0.0.1:1".to_owned())).collect();
    let envelope = |kind: Kind, to: u64, inner: u32| {
        let relayed = Some(RelayedCall { node: to, kind: inner, lane: 0 });
        Request { kind: kind.number(), group: 9, deadline_ms: 5000, relayed, ..Request::default() }
    };
    let ask = async |request: Request| {
        let frame = Frame { call: 5, body: Some(frame::Body::Request(request)) };
        let (mut frames, _) = converse(&mut peer_client(&node).await, vec![batch(1, vec![frame])]).await;
        match frames.pop().and_then(|frame| frame.body) {
            Some(frame::Body::Reply(Reply { result: Some(result) })) => result,
            other => panic!("no answer but {other:?}"),
        }
    };
    let not_passed_on = |result: reply::Result, why: &str| match result {
        reply::Result::NotPassedOn(sentence) => assert!(sentence.contains(why), "{sentence}"),
        other => panic!("{other:?}"),
    };
    not_passed_on(ask(envelope(Kind::Relay, 3, ECHO)).await, "no member");
    node.mesh.set_peers(members(&[3, 7]));
    for kind in [Kind::Relay, Kind::Relayed, Kind::Reach] {
        not_passed_on(ask(envelope(Kind::Relay, 3, kind.number())).await, "envelope");
    }
    not_passed_on(ask(Request { relayed: None, ..envelope(Kind::Relay, 3, ECHO) }).await, "envelope");
    not_passed_on(ask(envelope(Kind::Relay, 99, ECHO)).await, "no peer");
    not_passed_on(ask(envelope(Kind::Relay, 7, ECHO)).await, "no peer");
    // Why there is no link depends on how far the dialling has come.
    not_passed_on(ask(envelope(Kind::Relay, 3, ECHO)).await, "");

    for origin in [99, 7, 2] {
        let refused = ask(envelope(Kind::Relayed, origin, FACTS)).await;
        assert!(matches!(refused, reply::Result::Refused(_)), "of {origin}: {refused:?}");
    }
    let taken = ask(envelope(Kind::Relayed, 3, FACTS)).await;
    assert_eq!(taken, reply::Result::Payload(Bytes::from("from 3 kind 7 group 9 5000 ms")));
    node.mesh.set_peers(members(&[3]));
    let refused = ask(envelope(Kind::Relayed, 3, FACTS)).await;
    assert!(matches!(refused, reply::Result::Refused(_)), "over one that is no member: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_or_snapshot_before_the_proof_is_refused() {
    let node = Node::identified(2, |_| {});
    let mut fresh = client(&node).await;
    let mut challenged = client(&node).await;
    hello(&mut challenged, None).await.unwrap();
    let mut asker = client(&node).await;
    hello(&mut asker, None).await.unwrap();
    hello(&mut asker, Some(claim(7, 0))).await.unwrap();
    for client in [&mut fresh, &mut challenged, &mut asker] {
        let (frames, end) = converse(client, vec![batch(1, vec![request(1, "x")])]).await;
        assert!(frames.is_empty());
        assert_eq!(end.unwrap().code(), Code::Unauthenticated);
        let snapshot = client.install_snapshot(futures_util::stream::iter(Vec::new())).await;
        assert_eq!(snapshot.unwrap_err().code(), Code::Unauthenticated);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_without_the_secret_learns_nothing_but_the_challenge() {
    let node = Node::identified(2, |c| {
        c.secret = Some("one".to_owned());
        c.cluster_name = "a-name-to-guard".to_owned();
    });
    for proof in [Bytes::new(), Bytes::from(vec![0; 32]), Bytes::from(vec![0; 31])] {
        let mut client = client(&node).await;
        let hello_reply::Step::Challenge(challenge) = hello(&mut client, None).await.unwrap() else { panic!() };
        assert_eq!(challenge.len(), 32);
        let refusal = hello(&mut client, Some(Claim { proof, ..claim(7, 0) })).await.unwrap_err();
        assert_eq!(refusal.code(), Code::Unauthenticated);
        for known in ["a-name-to-guard", "c1", "the hello"] {
            assert!(!refusal.message().contains(known), "{refusal}");
        }
        // There is no second try on a connection.
        assert!(hello(&mut client, Some(claim(7, 0))).await.is_err());
        assert!(hello(&mut client, None).await.is_err());
    }
}

/// A callee that says welcome to everybody and keeps the claims.
#[derive(Default)]
struct Impostor {
    claims: Mutex<Vec<Claim>>,
}

#[tonic::async_trait]
impl MeshService for Impostor {
    type LinkStream = futures_util::stream::Empty<Result<FrameBatch, Status>>;

    async fn hello(&self, request: tonic::Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let step = match request.into_inner().claim {
            None => hello_reply::Step::Challenge(Bytes::from(vec![9; 32])),
            Some(claim) => {
                let welcome = Welcome {
                    node: claim.target,
                    cluster_id: claim.cluster_id.clone(),
                    hello: Bytes::from_static(b"false"),
                    proof: claim.proof.clone(),
                };
                self.claims.lock().unwrap().push(claim);
                hello_reply::Step::Welcome(welcome)
            }
        };
        Ok(Response::new(HelloReply { step: Some(step) }))
    }

    async fn join(&self, _: tonic::Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        Err(Status::internal("no"))
    }

    async fn link(&self, _: tonic::Request<Streaming<FrameBatch>>) -> Result<Response<Self::LinkStream>, Status> {
        Ok(Response::new(futures_util::stream::empty()))
    }

    async fn install_snapshot(
        &self,
        _: tonic::Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotReply>, Status> {
        Err(Status::internal("no"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_without_the_secret_is_not_believed_and_gains_no_proof_it_can_use() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let impostor = Arc::new(Impostor::default());
    let incoming = futures_util::stream::unfold(listener, |listener| async {
        let socket = listener.accept().await.map(|(socket, _)| socket);
        Some((socket, listener))
    });
    let mut tasks = tokio::task::JoinSet::new();
    let service = MeshServer::from_arc(Arc::clone(&impostor));
    tasks.spawn(tonic::transport::Server::builder().serve_with_incoming(service, Box::pin(incoming)));
    let secret = |c: &mut rollcall_mesh::MeshConfig| c.secret = Some("one".to_owned());
    let first = Node::identified(1, secret);
    let hello_of_impostor = first.mesh.hello(&address, WITHIN).await;
    let words = "has not proved that it knows the cluster secret";
    assert!(matches!(&hello_of_impostor, Err(CallError::Unreachable(why)) if why.contains(words)));
    // What it has heard opens no door: elsewhere the challenge is another one.
    let heard = impostor.claims.lock().unwrap()[0].clone();
    let second = Node::identified(2, secret);
    let mut client = client(&second).await;
    hello(&mut client, None).await.unwrap();
    assert_eq!(hello(&mut client, Some(heard)).await.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_make_no_sense_end_their_link_only() {
    let node = Node::identified(2, |_| {});
    let first = Node::identified(1, |_| {});
    first.link(2, node.address()).await;
    let answer = Frame { call: 1, body: Some(frame::Body::Reply(Reply { result: None })) };
    for frame in [answer, Frame { call: 1, body: None }] {
        let (frames, end) = converse(&mut peer_client(&node).await, vec![batch(1, vec![frame])]).await;
        assert!(frames.is_empty());
        assert_eq!(end.unwrap().code(), Code::InvalidArgument);
    }
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_before_the_proof_and_garbage_do_not_hurt() {
    let node = Node::identified(2, |_| {});
    let first = Node::identified(1, |_| {});
    first.link(2, node.address()).await;
    let large = Claim { nonce: Bytes::from(vec![0; 100_000]), ..claim(7, 2) };
    let refusal = hello(&mut client(&node).await, Some(large)).await.unwrap_err();
    assert_eq!(refusal.code(), Code::OutOfRange);
    for long in [
        Claim { cluster_name: "n".repeat(5000), ..claim(7, 2) },
        Claim { cluster_id: "n".repeat(5000), ..claim(7, 2) },
        Claim { nonce: Bytes::new(), ..claim(7, 2) },
    ] {
        let mut client = client(&node).await;
        hello(&mut client, None).await.unwrap();
        assert_eq!(hello(&mut client, Some(long)).await.unwrap_err().code(), Code::InvalidArgument);
    }
    for start in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = TcpStream::connect(node.mesh.local_addr()).await.unwrap();
        let mut bytes = start.to_vec();
        bytes.resize(start.len() + 20_000, 0);
        rand::rng().fill_bytes(&mut bytes[start.len()..]);
        // The node may hang up before all is written.
        let _ = socket.write_all(&bytes).await;
        let mut rest = Vec::new();
        let _ = within(socket.read_to_end(&mut rest)).await;
    }
    assert!(first.echo(2, "x").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_proves_nothing_is_closed_in_time() {
    let node = Node::identified(2, |_| {});
    let mut socket = TcpStream::connect(node.mesh.local_addr()).await.unwrap();
    let mut rest = Vec::new();
    let _ = within(socket.read_to_end(&mut rest)).await;
    let mut silent = client(&node).await;
    hello(&mut silent, None).await.unwrap();
    within(async { while silent.hello(HelloRequest { version: 1, claim: None }).await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_do_not_keep_their_word_are_refused() {
    let node = Node::identified(2, |_| {});
    let head = |version: u32, data_bytes: u64| SnapshotChunk {
        part: Some(snapshot_chunk::Part::Head(SnapshotHead { version, group: 0, head: Bytes::new(), data_bytes })),
    };
    let data = |bytes: usize| SnapshotChunk { part: Some(snapshot_chunk::Part::Data(Bytes::from(vec![0; bytes]))) };
    let large = SNAPSHOT_PIECE_BYTES_MAX + 1;
    let wrong = [
        vec![],
        vec![data(1)],
        vec![head(1, 2), data(1)],
        vec![head(1, 1), data(2)],
        vec![head(1, 2), data(1), data(1), data(1)],
        vec![head(1, 1), head(1, 1)],
        vec![head(1, large as u64), data(large)],
        vec![SnapshotChunk { part: None }],
    ];
    for chunks in wrong {
        let mut client = peer_client(&node).await;
        let refusal = client.install_snapshot(futures_util::stream::iter(chunks.clone())).await;
        assert_eq!(refusal.unwrap_err().code(), Code::InvalidArgument, "{} chunks", chunks.len());
    }
    for (head, words) in [(head(1, 1 << 40), "more than this node takes"), (head(99, 0), "version 99")] {
        let mut client = peer_client(&node).await;
        let reply = client.install_snapshot(futures_util::stream::iter([head])).await.unwrap().into_inner();
        let Some(snapshot_reply::Result::Refused(why)) = reply.result else { panic!("{reply:?}") };
        assert!(why.contains(words), "{why}");
    }
}

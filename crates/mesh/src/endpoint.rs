//! The accepting side: the door that lets nothing but hello pass before the proof, and the four calls behind it.

use crate::{
    batches::{Backlog, Batches, ReplyBatches},
    connection::{Caller, Session},
    inbound::Inbound,
    join,
    limits::{
        CLUSTER_NAME_BYTES_MAX, HELLO_BYTES_MAX, HELLO_REPLY_BYTES_MAX, HELLO_REQUEST_BYTES_MAX, MESSAGE_BYTES_MAX,
        REPLY_QUEUE_MAX,
    },
    local::{Identity, Local},
    secret, snapshot,
};
use bytes::Bytes;
use rollcall_proto::{
    Claim, FrameBatch, HelloReply, HelloRequest, JoinReply, JoinRequest, PROTOCOL_VERSION, SnapshotChunk,
    SnapshotReply, Welcome, hello_reply,
    mesh_server::{Mesh as MeshService, MeshServer},
};
use rollcall_types::NodeId;
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, body::Body, codegen::BoxFuture, codegen::Service, codegen::http};

const HELLO_PATH: &str = "/rollcall.mesh.v1.Mesh/Hello";
const JOIN_PATH: &str = "/rollcall.mesh.v1.Mesh/Join";

/// Decides by connection and path before anything is decoded, so that the large messages are for peers only.
#[derive(Clone)]
pub(crate) struct Door {
    hello: MeshServer<Endpoint>,
    links: MeshServer<Endpoint>,
}

impl Door {
    pub(crate) fn new(local: Arc<Local>) -> Self {
        let endpoint = Arc::new(Endpoint { local });
        Door {
            hello: MeshServer::from_arc(Arc::clone(&endpoint))
                .max_decoding_message_size(HELLO_REQUEST_BYTES_MAX)
                .max_encoding_message_size(HELLO_REPLY_BYTES_MAX),
            links: MeshServer::from_arc(endpoint)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        }
    }
}

impl Service<http::Request<Body>> for Door {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() == HELLO_PATH {
            return self.hello.call(request);
        }
        match request.extensions().get::<Arc<Session>>().and_then(|session| session.caller()) {
            // As small as a hello, so its bounds serve for both.
            Some(_) if request.uri().path() == JOIN_PATH => self.hello.call(request),
            Some(Caller::Peer(_)) => self.links.call(request),
            Some(Caller::Asker) | None => {
                let refusal = Status::unauthenticated("this connection has not said hello as a peer");
                Box::pin(async move { Ok(refusal.into_http()) })
            }
        }
    }
}

/// The four calls.
pub(crate) struct Endpoint {
    local: Arc<Local>,
}

fn session<T>(request: &Request<T>) -> Result<Arc<Session>, Status> {
    let session = request.extensions().get::<Arc<Session>>().cloned();
    session.ok_or_else(|| Status::internal("the connection is not known"))
}

/// The peer of a connection that the door has let through.
fn peer<T>(request: &Request<T>) -> Result<NodeId, Status> {
    match session(request)?.caller() {
        Some(Caller::Peer(node)) => Ok(node),
        Some(Caller::Asker) | None => Err(Status::unauthenticated("this connection has not said hello as a peer")),
    }
}

/// The sentence for a version this program does not speak.
pub(crate) fn version_refusal(version: u32) -> String {
    format!(
        "the peer speaks version {version} of the mesh protocol and this node version {PROTOCOL_VERSION}: run releases \
         on both that know a common one"
    )
}

#[async_trait::async_trait]
impl MeshService for Endpoint {
    type LinkStream = ReplyBatches;

    async fn hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let session = session(&request)?;
        let HelloRequest { version, claim } = request.into_inner();
        if version != PROTOCOL_VERSION {
            return Err(Status::failed_precondition(version_refusal(version)));
        }
        let step = match claim {
            None => {
                let nonce = secret::nonce();
                if !session.challenge(nonce) {
                    return Err(Status::failed_precondition("this connection has said hello already"));
                }
                hello_reply::Step::Challenge(Bytes::copy_from_slice(&nonce))
            }
            Some(claim) => {
                let challenge = session.take_challenge();
                let challenge =
                    challenge.ok_or_else(|| Status::failed_precondition("no challenge is open on this connection"))?;
                let (caller, welcome) = self.welcome(&claim, &challenge).inspect_err(|refusal| {
                    self.local.metrics.rejected.increment(1);
                    tracing::debug!(claimed = claim.node, why = refusal.message(), "a connection is refused");
                })?;
                session.accept(caller);
                hello_reply::Step::Welcome(welcome)
            }
        };
        Ok(Response::new(HelloReply { step: Some(step) }))
    }

    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinReply>, Status> {
        if session(&request)?.caller().is_none() {
            return Err(Status::unauthenticated("this connection has not said hello"));
        }
        join::answer(&self.local, request.into_inner()).await.map(Response::new)
    }

    async fn link(&self, request: Request<Streaming<FrameBatch>>) -> Result<Response<ReplyBatches>, Status> {
        let from = peer(&request)?;
        let (replies, queue) = mpsc::channel(REPLY_QUEUE_MAX);
        let ending = Arc::new(OnceLock::new());
        let batches = Batches::new(queue, Backlog::default(), Arc::clone(&self.local.metrics));
        let inbound = Inbound::new(from, Arc::clone(&self.local), replies, Arc::clone(&ending));
        self.local.tasks.spawn(inbound.serve(request.into_inner()));
        Ok(Response::new(ReplyBatches::new(batches, ending)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotReply>, Status> {
        let from = peer(&request)?;
        snapshot::receive(&self.local, from, request.into_inner()).await.map(Response::new)
    }
}

impl Endpoint {
    /// Judges a claim. Until the proof holds, the refusal tells nothing of this node.
    fn welcome(&self, claim: &Claim, challenge: &[u8]) -> Result<(Caller, Welcome), Status> {
        let local = &self.local;
        match &local.secret {
            Some(secret) if claim.proof.is_empty() && !secret.accepts_claim(claim, challenge) => {
                return Err(Status::unauthenticated(
                    "this cluster has a secret and the caller has none: set `secret` in [cluster] alike on all nodes",
                ));
            }
            Some(secret) if !secret.accepts_claim(claim, challenge) => {
                return Err(Status::unauthenticated(
                    "the cluster secret differs: set `secret` in [cluster] alike on all nodes",
                ));
            }
            None if !claim.proof.is_empty() => {
                return Err(Status::unauthenticated(
                    "the caller has a cluster secret and this node has none: set `secret` in [cluster] alike on all \
                     nodes",
                ));
            }
            Some(_) | None => {}
        }
        if claim.nonce.len() != secret::NONCE_BYTES {
            return Err(Status::invalid_argument("the caller's challenge has a wrong size"));
        }
        if claim.cluster_name.len() > CLUSTER_NAME_BYTES_MAX || claim.cluster_id.len() > CLUSTER_NAME_BYTES_MAX {
            return Err(Status::invalid_argument("the caller's cluster name or id is too long"));
        }
        if claim.cluster_name != local.cluster_name {
            return Err(Status::failed_precondition(format!(
                "this node belongs to the cluster named `{}`, the caller to `{}`",
                local.cluster_name, claim.cluster_name
            )));
        }
        let identity = local.identity();
        let known = identity.as_ref().map_or("", |i| i.cluster_id.as_str());
        if !known.is_empty() && !claim.cluster_id.is_empty() && known != claim.cluster_id {
            return Err(Status::failed_precondition(format!(
                "this node belongs to the cluster with id {known}, the caller to {}",
                claim.cluster_id
            )));
        }
        let caller = if claim.target == 0 { Caller::Asker } else { link_caller(claim, identity.as_ref())? };
        let hello = match caller {
            Caller::Asker => Bytes::from(local.hello.hello()),
            Caller::Peer(_) => Bytes::new(),
        };
        if hello.len() > HELLO_BYTES_MAX {
            tracing::error!(bytes = hello.len(), "this node's hello is too large to send");
            return Err(Status::internal("this node's hello is too large"));
        }
        let mut welcome = Welcome {
            node: identity.as_ref().map_or(0, |i| i.me.0),
            cluster_id: known.to_owned(),
            hello,
            proof: Bytes::new(),
        };
        if let Some(secret) = &local.secret {
            welcome.proof = Bytes::from(secret.prove_welcome(claim, challenge, &welcome));
        }
        Ok((caller, welcome))
    }
}

/// A caller that wants more than the hello must know whom it calls, and be known itself.
fn link_caller(claim: &Claim, identity: Option<&Identity>) -> Result<Caller, Status> {
    let Some(identity) = identity else {
        return Err(Status::unavailable("this node has no id yet: it is still joining"));
    };
    if claim.target != identity.me.0 {
        return Err(Status::failed_precondition(format!(
            "this is node {}, not node {}: the address has moved",
            identity.me, claim.target
        )));
    }
    if claim.cluster_id != identity.cluster_id {
        return Err(Status::failed_precondition(format!(
            "this node belongs to the cluster with id {}, the caller to none",
            identity.cluster_id
        )));
    }
    if claim.node == 0 || claim.node == identity.me.0 {
        return Err(Status::failed_precondition(format!(
            "the caller claims node id {}, which it cannot have",
            claim.node
        )));
    }
    Ok(Caller::Peer(NodeId(claim.node)))
}

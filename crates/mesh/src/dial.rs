//! The dialling side of a connection: resolve, connect, and prove who is who, before anything else is sent.

use crate::{
    config::split_address,
    endpoint::version_refusal,
    limits::{
        ADDRESSES_PER_DIAL_MAX, CONNECTION_WINDOW_BYTES, HANDSHAKE_DEADLINE, HEADER_BYTES_MAX, HELLO_REPLY_BYTES_MAX,
        HELLO_REQUEST_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, REFUSAL_BYTES_MAX, STREAM_WINDOW_BYTES,
    },
    local::Local,
    secret, tls,
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_proto::{
    Claim, HelloReply, HelloRequest, PROTOCOL_VERSION, Welcome, hello_reply, mesh_client::MeshClient,
};
use rollcall_types::NodeId;
use std::{error::Error as _, fmt, io, net::SocketAddr, time::Duration};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

/// How long one address of a name may take to accept a connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// Finds the addresses of a host. Asked anew at every dial: nothing of an answer is kept.
#[async_trait::async_trait]
pub trait Resolve: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`, each with the port to dial, best first.
    ///
    /// # Errors
    /// When the name cannot be resolved now.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The operating system's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

#[async_trait::async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Why a peer was not reached. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// No connection, or it broke before the peer was known.
    #[error("{0}")]
    Unreachable(String),
    /// The peer was reached and refused.
    #[error("{0}")]
    Refused(String),
}

impl From<DialError> for CallError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Unreachable(why) => CallError::Unreachable(why),
            DialError::Refused(why) => CallError::Refused(why),
        }
    }
}

/// An authenticated connection.
pub(crate) struct Dialled {
    pub(crate) channel: Channel,
    /// The peer's hello; empty when a target was named.
    pub(crate) hello: Bytes,
}

/// Connects to `host:port` and proves who is who: to the node `target`, or to whoever answers in order to hear its
/// hello. Bounded by the caller.
pub(crate) async fn dial(local: &Local, address: &str, target: Option<NodeId>) -> Result<Dialled, DialError> {
    let unreachable = |e: &dyn fmt::Display| DialError::Unreachable(e.to_string());
    let (host, port) = split_address(address).map_err(|e| unreachable(&e))?;
    let addresses = local.resolver.resolve(host, port).await;
    let addresses = addresses.map_err(|e| DialError::Unreachable(format!("`{host}` cannot be resolved: {e}")))?;
    let mut failure = format!("`{host}` has no address");
    for socket in addresses.into_iter().take(ADDRESSES_PER_DIAL_MAX) {
        if !local.may_reach(socket.ip()) {
            failure = format!(
                "{socket} is not loopback and this node has no protection: set `secret` in [cluster] or the files of \
                 [cluster.tls]"
            );
            continue;
        }
        match connect(local, host, socket).await {
            Ok(channel) => {
                let hello = prove(local, channel.clone(), target).await?;
                return Ok(Dialled { channel, hello });
            }
            Err(error) => failure = format!("{socket}: {}", with_causes(&error)),
        }
    }
    Err(DialError::Unreachable(failure))
}

async fn connect(local: &Local, host: &str, socket: SocketAddr) -> Result<Channel, tonic::transport::Error> {
    let tls = local.tls.borrow().clone();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{socket}"))?
        .connect_timeout(CONNECT_DEADLINE)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if let Some(files) = tls {
        endpoint = endpoint.tls_config(tls::client(&files, host).timeout(HANDSHAKE_DEADLINE))?;
    }
    endpoint.connect().await
}

/// Both steps of the hello. The answer is the peer's hello.
async fn prove(local: &Local, channel: Channel, target: Option<NodeId>) -> Result<Bytes, DialError> {
    let mut client = MeshClient::new(channel)
        .max_decoding_message_size(HELLO_REPLY_BYTES_MAX)
        .max_encoding_message_size(HELLO_REQUEST_BYTES_MAX);
    let opening = HelloRequest { version: PROTOCOL_VERSION, claim: None };
    let reply = client.hello(opening).await.map_err(refusal)?.into_inner();
    let Some(hello_reply::Step::Challenge(challenge)) = reply.step else {
        return Err(DialError::Unreachable("the peer gave no challenge".to_owned()));
    };
    if challenge.len() != secret::NONCE_BYTES {
        return Err(DialError::Unreachable("the peer's challenge has a wrong size".to_owned()));
    }
    let identity = local.identity();
    let mut claim = Claim {
        cluster_name: local.cluster_name.clone(),
        cluster_id: identity.as_ref().map(|i| i.cluster_id.clone()).unwrap_or_default(),
        node: identity.as_ref().map_or(0, |i| i.me.0),
        target: target.map_or(0, |t| t.0),
        nonce: Bytes::copy_from_slice(&secret::nonce()),
        proof: Bytes::new(),
    };
    if let Some(secret) = &local.secret {
        claim.proof = Bytes::from(secret.prove_claim(&claim, &challenge));
    }
    let answer = HelloRequest { version: PROTOCOL_VERSION, claim: Some(claim.clone()) };
    let HelloReply { step } = client.hello(answer).await.map_err(refusal)?.into_inner();
    let Some(hello_reply::Step::Welcome(welcome)) = step else {
        return Err(DialError::Unreachable("the peer gave no welcome".to_owned()));
    };
    judge(local, &claim, &challenge, &welcome)?;
    Ok(welcome.hello)
}

/// Whether the peer has proved itself too, and is the one that was called.
fn judge(local: &Local, claim: &Claim, challenge: &[u8], welcome: &Welcome) -> Result<(), DialError> {
    let proved = match &local.secret {
        Some(secret) => secret.accepts_welcome(claim, challenge, welcome),
        None => true,
    };
    if !proved {
        local.metrics.rejected.increment(1);
        return Err(DialError::Unreachable("the peer has not proved that it knows the cluster secret".to_owned()));
    }
    if claim.target != 0 && (welcome.node != claim.target || welcome.cluster_id != claim.cluster_id) {
        return Err(DialError::Unreachable(format!("the peer is node {}, not node {}", welcome.node, claim.target)));
    }
    Ok(())
}

fn refusal(status: Status) -> DialError {
    let sentence = sentence(&status);
    match status.code() {
        Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied => {
            DialError::Refused(sentence)
        }
        _ => DialError::Unreachable(sentence),
    }
}

/// What a status says, fit for a log: short, and on one line whoever wrote it.
pub(crate) fn sentence(status: &Status) -> String {
    let mut text = match status.source() {
        Some(cause) => format!("{}: {}", status.message(), with_causes(cause)),
        None if status.message().is_empty() => format!("{:?}", status.code()),
        None => status.message().to_owned(),
    };
    text.truncate(text.floor_char_boundary(REFUSAL_BYTES_MAX));
    text.retain(|c| !c.is_control());
    text
}

pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The reason for ending a link on which a peer speaks another version.
pub(crate) fn check_version(version: u32) -> Result<(), String> {
    if version == PROTOCOL_VERSION { Ok(()) } else { Err(version_refusal(version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_says_is_cut_to_one_short_line() {
        let status = Status::internal(format!("a\nb\u{1b}[31m{}", "é".repeat(REFUSAL_BYTES_MAX)));
        let text = sentence(&status);
        assert!(text.starts_with("ab[31mé") && text.len() <= REFUSAL_BYTES_MAX, "{text}");
        assert_eq!(sentence(&Status::new(Code::Unavailable, "")), "Unavailable");
    }
}

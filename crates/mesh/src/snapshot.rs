//! Snapshots: cut into pieces by the sender, put together and bounded by the receiver.

use crate::{
    dial,
    endpoint::version_refusal,
    limits::{
        DIAL_DEADLINE, MESSAGE_BYTES_MAX, REFUSAL_BYTES_MAX, SNAPSHOT_BYTES_MAX, SNAPSHOT_FIRST_ALLOCATION,
        SNAPSHOT_HEAD_BYTES_MAX, SNAPSHOT_PIECE_BYTES_MAX, SNAPSHOT_PIECE_WAIT,
    },
    local::Local,
};
use bytes::Bytes;
use rollcall_contracts::CallError;
use rollcall_proto::{
    PROTOCOL_VERSION, SnapshotChunk, SnapshotHead, SnapshotReply, mesh_client::MeshClient, snapshot_chunk,
    snapshot_reply,
};
use rollcall_types::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, Streaming};

/// Takes a snapshot that a peer has sent whole.
#[async_trait::async_trait]
pub trait SnapshotHandler: Send + Sync + 'static {
    /// Installs it. `head` and the answer are the Raft shell's; an `Err` text reaches the sender as
    /// [`CallError::Refused`]. Runs on a thread of its own and may keep it busy; the future is dropped when the sender
    /// gives up.
    async fn install_snapshot(&self, from: NodeId, group: u32, head: Bytes, data: Bytes) -> Result<Bytes, String>;
}

/// What is sent.
pub(crate) struct Outgoing {
    pub(crate) to: NodeId,
    pub(crate) address: String,
    pub(crate) group: u32,
    pub(crate) head: Bytes,
    pub(crate) data: Bytes,
}

/// Sends a snapshot on a connection of its own, so that the calls of the link do not wait behind it.
pub(crate) async fn send(local: &Local, snapshot: Outgoing, deadline: Duration) -> Result<Bytes, CallError> {
    let Outgoing { to, address, group, head, data } = snapshot;
    if head.len() > SNAPSHOT_HEAD_BYTES_MAX || data.len() > SNAPSHOT_BYTES_MAX {
        return Err(CallError::Refused(format!(
            "a snapshot of {} bytes, its head of {}, is more than is sent ({SNAPSHOT_BYTES_MAX}, \
             {SNAPSHOT_HEAD_BYTES_MAX})",
            data.len(),
            head.len()
        )));
    }
    let until = tokio::time::Instant::now() + deadline;
    let dialling = tokio::time::timeout(DIAL_DEADLINE.min(deadline), dial::dial(local, &address, Some(to))).await;
    let dialled = dialling.map_err(|_| CallError::Unreachable(format!("{address} gave no connection in time")))??;
    let mut client = MeshClient::new(dialled.channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let size = data.len() as u64;
    let head = SnapshotHead { version: PROTOCOL_VERSION, group, head, data_bytes: size };
    let pieces = futures_util::stream::iter(chunks(head, data));
    let answer = match tokio::time::timeout_at(until, client.install_snapshot(pieces)).await {
        Ok(Ok(reply)) => reply.into_inner(),
        Ok(Err(status)) => return Err(CallError::Unknown(dial::sentence(&status))),
        Err(_) => return Err(CallError::Unknown(format!("none within {} ms", deadline.as_millis()))),
    };
    match answer.result {
        Some(snapshot_reply::Result::Payload(payload)) => {
            local.metrics.snapshot_sent.increment(size);
            Ok(payload)
        }
        Some(snapshot_reply::Result::Refused(sentence)) => Err(CallError::Refused(sentence)),
        None => Err(CallError::Unknown("the peer sent an empty answer".to_owned())),
    }
}

/// The head, then the data in pieces that share the snapshot's memory.
fn chunks(head: SnapshotHead, mut data: Bytes) -> impl Iterator<Item = SnapshotChunk> + Send + 'static {
    let mut head = Some(head);
    std::iter::from_fn(move || {
        if let Some(head) = head.take() {
            return Some(SnapshotChunk { part: Some(snapshot_chunk::Part::Head(head)) });
        }
        if data.is_empty() {
            return None;
        }
        let piece = data.split_to(data.len().min(SNAPSHOT_PIECE_BYTES_MAX));
        Some(SnapshotChunk { part: Some(snapshot_chunk::Part::Data(piece)) })
    })
}

/// Receives a snapshot and hands it over.
pub(crate) async fn receive(
    local: &Local,
    from: NodeId,
    mut stream: Streaming<SnapshotChunk>,
) -> Result<SnapshotReply, Status> {
    let refused = |sentence: String| Ok(SnapshotReply { result: Some(snapshot_reply::Result::Refused(sentence)) });
    let Some(handler) = local.snapshots.get() else {
        return refused("this node does not take snapshots yet".to_owned());
    };
    let Ok(room) = Arc::clone(&local.snapshot_room).try_acquire_owned() else {
        local.metrics.snapshots_full.increment(1);
        return refused("this node receives as many snapshots as it can".to_owned());
    };
    let Some(snapshot_chunk::Part::Head(head)) = next(&mut stream).await? else {
        return Err(Status::invalid_argument("a snapshot begins with its head"));
    };
    if head.version != PROTOCOL_VERSION {
        return refused(version_refusal(head.version));
    }
    let size = usize::try_from(head.data_bytes).unwrap_or(usize::MAX);
    if size > SNAPSHOT_BYTES_MAX || head.head.len() > SNAPSHOT_HEAD_BYTES_MAX {
        return refused(format!("a snapshot of {size} bytes is more than this node takes ({SNAPSHOT_BYTES_MAX})"));
    }
    let mut data = Vec::with_capacity(size.min(SNAPSHOT_FIRST_ALLOCATION));
    while data.len() < size {
        let Some(snapshot_chunk::Part::Data(piece)) = next(&mut stream).await? else {
            return Err(Status::invalid_argument("the snapshot ended before its announced size"));
        };
        if piece.is_empty() || piece.len() > SNAPSHOT_PIECE_BYTES_MAX || data.len() + piece.len() > size {
            return Err(Status::invalid_argument("a piece of the snapshot has a wrong size"));
        }
        data.extend_from_slice(&piece);
    }
    if next(&mut stream).await?.is_some() {
        return Err(Status::invalid_argument("the snapshot goes on beyond its announced size"));
    }
    local.metrics.snapshot_received.increment(head.data_bytes);
    match install(local, Arc::clone(handler), room, (from, head.group, head.head, Bytes::from(data))).await? {
        Ok(payload) => Ok(SnapshotReply { result: Some(snapshot_reply::Result::Payload(payload)) }),
        Err(mut sentence) => {
            sentence.truncate(sentence.floor_char_boundary(REFUSAL_BYTES_MAX));
            refused(sentence)
        }
    }
}

/// Runs the handler on a thread of its own. Installing may keep a thread busy for seconds, and on a thread of the runtime
/// it would hold up the connection's own task, whose silence the sender takes for death.
async fn install(
    local: &Local,
    handler: Arc<dyn SnapshotHandler>,
    room: OwnedSemaphorePermit,
    (from, group, head, data): (NodeId, u32, Bytes, Bytes),
) -> Result<Result<Bytes, String>, Status> {
    // Given up with the connection, or with the mesh.
    let given_up = local.ended.child_token();
    let _guard = given_up.clone().drop_guard();
    let runtime = tokio::runtime::Handle::current();
    let installing = local.tasks.spawn_blocking(move || {
        let _room = room;
        runtime.block_on(given_up.run_until_cancelled(handler.install_snapshot(from, group, head, data)))
    });
    match installing.await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Status::unavailable("this node's mesh has ended")),
        Err(error) => {
            tracing::error!(peer = %from, %error, "the handler of a snapshot has failed");
            Err(Status::internal("the handler of a snapshot has failed on this node"))
        }
    }
}

/// The next part; `None` at the end of the stream.
async fn next(stream: &mut Streaming<SnapshotChunk>) -> Result<Option<snapshot_chunk::Part>, Status> {
    match tokio::time::timeout(SNAPSHOT_PIECE_WAIT, stream.message()).await {
        Ok(Ok(Some(chunk))) => {
            chunk.part.map(Some).ok_or_else(|| Status::invalid_argument("a piece of the snapshot is empty"))
        }
        Ok(Ok(None)) => Ok(None),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::deadline_exceeded("the snapshot did not go on")),
    }
}

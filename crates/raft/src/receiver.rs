//! openraft's messages over the mesh: the receiving side.

use crate::{
    group::GroupHandle,
    network::SnapshotHead,
    payload::{self, PayloadError},
};
use bytes::Bytes;
use rollcall_proto::Kind;
use rollcall_storage::{Snapshot, SnapshotMeta};
use serde::{Serialize, de::DeserializeOwned};

impl GroupHandle {
    /// Answers one Raft message of a peer.
    ///
    /// # Errors
    /// A sentence for the peer's log when the message cannot be read or Raft has ended here.
    pub(crate) async fn receive(&self, kind: Kind, request: &[u8]) -> Result<Bytes, String> {
        match kind {
            Kind::RaftAppend => answer(self.raft.append_entries(read(request)?).await),
            Kind::RaftVote => answer(self.raft.vote(read(request)?).await),
            Kind::RaftPreVote => answer(self.raft.pre_vote(read(request)?).await),
            Kind::RaftTransferLeader => answer(self.raft.handle_transfer_leader(read(request)?).await),
            other => Err(format!("{other:?} is no message of raft")),
        }
    }

    /// Installs a snapshot that a leader sent whole.
    ///
    /// # Errors
    /// As for [`Self::receive`].
    pub(crate) async fn receive_snapshot(&self, head: &[u8], data: Bytes) -> Result<Bytes, String> {
        let head: SnapshotHead = read(head)?;
        let meta = SnapshotMeta { last_log_id: head.last_log_id, last_membership: head.last_membership };
        answer(self.raft.install_full_snapshot(head.vote, Snapshot { meta, snapshot: data.to_vec() }).await)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    payload::decode(bytes).map_err(|e: PayloadError| e.to_string())
}

fn answer<T: Serialize, E: std::fmt::Display>(result: Result<T, E>) -> Result<Bytes, String> {
    let value = result.map_err(|e| e.to_string())?;
    payload::encode(&value).map(Bytes::from).map_err(|e| e.to_string())
}
